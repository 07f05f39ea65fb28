"""The figures of an exam go in, Markdown tables for people come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.exam_baselines import best_of
from eval.worlds.shortcuts import PARTS as PARTIAL

Json = Mapping[str, Any]


def markdown(report: Json) -> str:
    """All tables of a report."""
    lines = [
        f"# What the model can do: {report['split']}, sets from seed {report['first_seed']}",
        "",
        "Shares in %, with 95 % intervals over matched sets in brackets; overlaps (mIoU) likewise, times 100. "
        f"{report['sets']} sets of films a part; seconds are those of one of {report['workers']} workers.",
    ]
    for part, scores in report["parts"].items():
        lines += ["", f"## {part}", "", _about(scores)]
        if scores["questions"]:
            lines += ["", *_TABLES[part](scores, report)]
    return "\n".join(lines) + "\n"


def _about(scores: Json) -> str:
    seconds = scores["seconds_a_question"]
    text = f"{scores['questions']:,} questions on {scores['films']:,} films of {scores['sets']:,} sets"
    text += f", {seconds:.2f} s a question." if seconds is not None else "."
    failed = scores["failed"]
    return text + (f" {failed['count']:,} failed, as: {failed['first'][0]}." if failed["count"] else "")


def shown(figure: Json | None, signed: bool = False) -> str:
    """A figure in per cent with its interval."""
    if figure is None:
        return "-"
    sign = "+" if signed else ""
    low, high = 100 * figure["low"], 100 * figure["high"]
    return f"{100 * figure['mean']:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _figures(rows: Json, label: str, signed: Sequence[str] = ()) -> list[str]:
    """A table of rows that all have the same figures."""
    names = list(next(iter(rows.values())))
    asked = [next((figure["asked"] for figure in row.values() if figure), 0) for row in rows.values()]
    return _table(
        [label, "questions", *names],
        [
            [name, f"{count:,}", *(shown(row[key], key in signed) for key in names)]
            for (name, row), count in zip(rows.items(), asked, strict=True)
        ],
    )


def _answers(scores: Json, report: Json) -> list[str]:
    baselines = report.get("baselines") or {}
    body = []
    for name, row in scores["rows"].items():
        # A constant guess is always right about half of a type that is split by truth: that tells nothing.
        best = None if _is_split(name) else best_of(baselines, name)
        body.append(
            [
                name,
                f"{row['right']['asked']:,}",
                shown(row["right"]),
                shown(row["sets"]),
                f"{100 * row['chance']:.1f}",
                "-" if best is None else f"{100 * best[1]['mean']:.1f} ({best[0]})",
            ]
        )
    lines = _table(["questions on", "asked", "right", "sets all right", "chance", "best shortcut"], body)
    if scores["wordings"]:
        lines += ["", "Wordings that training never shows, against those that it does:", ""]
        lines += _figures(scores["wordings"], "questions on", signed=("difference",))
    lines += ["", "Core questions by kind of film:", ""]
    kinds = scores["core questions by kind of film"]
    lines += _table(["kind", "asked", "right"], [[k, f"{f['asked']:,}", shown(f)] for k, f in kinds.items()])
    if baselines:
        lines += ["", "Every shortcut of the world on the same questions (the partial ones do part of the work):", ""]
        wanted = [row for row in scores["rows"] if row != "all" and (row.startswith("order") or not _is_split(row))]
        lines += _table(
            ["baseline", *wanted],
            [
                [
                    f"{name} (partial)" if name in PARTIAL else name,
                    *(f"{100 * rows[row]['right']['mean']:.1f}" if row in rows else "-" for row in wanted),
                ]
                for name, rows in [("the model", scores["rows"]), *baselines.items()]
            ],
        )
    if scores["called_strange"]:
        lines += ["", f"{scores['called_strange']:,} questions were on films that the model took for strange ones."]
    return lines


def _is_split(row: str) -> bool:
    """Whether a row holds only the true, or only the false beliefs of a type or an order."""
    return ", " in row


def _moments(scores: Json, report: Json) -> list[str]:
    difference = scores["mIoU of unseen wordings, less that of trained ones"]
    lines = _figures(scores["rows"], "questions on")
    lines += ["", f"The reply points at a moment: {100 * scores['pointed']:.1f} %."]
    return lines + ([f"Unseen wordings: mIoU {shown(difference, signed=True)}."] if difference else [])


def _verifier(scores: Json, report: Json) -> list[str]:
    return _figures(scores["rows"], "R1@0.5", signed=("gain",))


def _planner(scores: Json, report: Json) -> list[str]:
    found = {name: figure for name, figure in scores["rows"].items() if figure}
    return _table(["", "questions", "share"], [[n, f"{f['asked']:,}", shown(f)] for n, f in found.items()])


def _long(scores: Json, report: Json) -> list[str]:
    columns: Json = next(iter(scores["rows"].values()), {})
    lines = _figures(
        scores["rows"], "questions on", signed=tuple(name for name in columns if name.startswith("difference"))
    )
    tokens = scores["visual tokens a question"]
    told = [f"{who}: {one['answerer']:,.0f} by the answerer, {one['all']:,.0f} in all" for who, one in tokens.items()]
    return [
        *lines,
        "",
        f"Visual tokens a question, {'; '.join(told)}. The agent's moments: mIoU {shown(scores['mIoU'])}.",
    ]


def _swap(scores: Json, report: Json) -> list[str]:
    lines = _figures(scores["rows"], "watched", signed=("below true/tight",)) if scores["rows"] else []
    if scores["core"]:
        lines += ["", "Core questions alone:", "", *_figures(scores["core"], "watched", signed=("below true/tight",))]
    return [
        *lines,
        "",
        "tight: at least 8 s are watched; manner: as the checkpoint says. random: as long as the true clip, anywhere. "
        f"complement: {scores['complement']}. {scores['left_out']:,} questions have no rest to watch and are left out.",
    ]


def _agent(scores: Json, report: Json) -> list[str]:
    lines = _figures(scores["rows"], "answers") if scores["rows"] else []
    found = scores["mIoU"]
    lines += [
        "",
        *_table(["moments", "questions", "mIoU"], [[n, f"{f['asked']:,}", shown(f)] for n, f in found.items()]),
    ]
    took = scores["elapsed_s"]
    lines += ["", f"Seconds a question, film unseen: median {took['median']:.1f}, 90 % {took['90 %']:.1f}."]
    return [*lines, f"In {scores['fell_back']:,} questions some step fell back."]


_TABLES: Mapping[str, Callable[[Json, Json], list[str]]] = {
    "answers": _answers,
    "moments": _moments,
    "verifier": _verifier,
    "planner": _planner,
    "long": _long,
    "swap": _swap,
    "agent": _agent,
}
