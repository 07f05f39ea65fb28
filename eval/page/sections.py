"""A run goes in, the sections of its report come out: words and tables, the same for the page and for Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from agent.show import clean
from eval.mind_scores import MODEL
from eval.page.run import Json, Run
from eval.page.tables import MAX_ROWS, Cell, Section, Table, count, figure, figures_table, is_figure, word
from eval.shortcut_scores import SPAN_ROWS

COLUMNS = 6
"""Figures in a table by tag where the benchmark names no headline."""


def sections(run: Run) -> list[Section]:
    """All sections that have something to show, in the report's order."""
    made = [_headline(run), *_minds(run), *_by_tag(run), *_moments(run), _asked(run), _data(run), _all_figures(run)]
    return [section for section in made if section.lines or section.tables]


def title_of(run: Run) -> str:
    """What the report is called: the benchmark and its split."""
    split = run.metrics.get("split")
    return clean(f"{run.metrics.get('benchmark', 'a run')}{f', {split}' if split else ''}")


def headline(run: Run) -> dict[str, Json]:
    """The figures that are shown first."""
    figures = run.metrics.get("figures") or {}
    wanted = [name for name in run.metrics.get("headline") or () if name in figures]
    return {name: figures[name] for name in wanted or list(figures)[:COLUMNS]}


def _headline(run: Run) -> Section:
    metrics = run.metrics
    counts = metrics.get("counts") or {}
    told = f"{metrics.get('items', len(run.judged)):,} questions on {metrics.get('videos', 0):,} videos"
    sets = metrics.get("sets")
    told += "." if sets is None else f" in {sets:,} sets." if sets != 1 else " in one set."
    told += " Shares and overlaps in %; in brackets the 95 % interval by bootstrap over sets."
    told += " What has no answer counts as wrong."
    lines = [told, *_meanings(headline(run)), *_without_understanding(run), CAUTION]
    flat = [(name, value) for name, value in counts.items() if not isinstance(value, Mapping)]
    fallen = counts.get("fell_back") or {}
    flat += [(f"fell back: {role}", value) for role, value in fallen.items()]
    rows = [[word(COUNTS.get(name, name)), count(value)] for name, value in flat]
    tables = [figures_table(headline(run), "figure")] if headline(run) else []
    return Section("headline", "Figures", lines, [*tables, Table(["what happened", "questions"], rows)])


CAUTION = (
    "One set: no interval. Those from fewer than 20 sets, and of shares near 0 or 100 %, are narrower than they should "
    "be; one without width says no more than that all its sets did alike."
)
"""In simulations 93 to 96 of 100 intervals over 60 sets hold the true share, 86 to 94 over 20, 72 to 84 over 5."""
MEANINGS = {
    "Acc": "right answers",
    "mIoU": "overlap of the first predicted moment with the true one, mean",
    "mIoP": "share of the first predicted moment that is true, mean",
    "R1@0.3": "first moments with an IoU of 0.3 or more",
    "R1@0.5": "first moments with an IoU of 0.5 or more",
    "R1@0.7": "first moments with an IoU of 0.7 or more",
    "IoP R1@0.5": "first moments at least half of which is true",
    "Acc@GQA": "right answers whose first moment is at least half true",
    "Acc@IoU": "right answers whose first moment has an IoU of 0.5 or more",
    "union mIoU": "overlap with all true moments together, mean",
    "rec@IoU": "such overlaps that reach a limit, mean over 0.1 to 0.5",
    "acc@IoU": "the same with the right answer",
    "MR-full-mAP": "average precision of moments, mean over IoU 0.5 to 0.95",
    "MR-full-R1@0.5": "first windows with an IoU of 0.5 or more",
    "MR-full-R1@0.7": "first windows with an IoU of 0.7 or more",
}
"""What figures are, in a few words."""


def _meanings(figures: Json) -> list[str]:
    known = [f"{name}: {MEANINGS[name]}" for name in figures if name in MEANINGS]
    return [f"{'; '.join(known)}."] if known else []


def _without_understanding(run: Run) -> list[str]:
    """What the shortcuts of the table earn at most, in a line, so that nobody takes a figure for more than it is."""
    rows = ((run.metrics.get("minds") or {}).get("shortcuts")) or {}
    right = {name: one["all"]["mean"] for name, one in rows.items() if is_figure(one.get("all"))}
    model, chance = right.pop(MODEL, None), right.pop("chance", None)
    whole = {name: mean for name, mean in right.items() if not name.endswith("(partial)")}
    if model is None or not whole:
        return []
    best = max(whole, key=lambda name: whole[name])
    told = f"Right without understanding: {100 * whole[best]:.1f} % by the best shortcut ({clean(best)})"
    told += "" if chance is None else f", {100 * chance:.1f} % by chance"
    return [f"{told}; the model: {100 * model:.1f} %."]


COUNTS = {
    "asked": "asked",
    "missing_video": "the video is missing",
    "errors": "ended in an error",
    "unparsed": "the reply names no option",
    "no_span": "true moments, none predicted",
    "hidden_answer": "the right answer is not published",
    "strange": "the film is of a kind that the model does not know",
}
"""What the names in metrics.json's `counts` mean."""


def _asked(run: Run) -> Section:
    rows = [[word(name), word(value)] for name, value in _flat(run.about)]
    return Section(
        "asked", "What was asked of whom", tables=[Table(["setting", "value"], rows[:MAX_ROWS])] if rows else []
    )


def _flat(value: Json, before: str = "") -> Iterator[tuple[str, str]]:
    """Every value of nested objects, under its dotted name."""
    for name, one in value.items():
        if isinstance(one, Mapping) and one:
            yield from _flat(one, f"{before}{name}.")
        elif isinstance(one, str):
            yield f"{before}{name}", one
        elif one is not None:
            yield f"{before}{name}", json.dumps(one, ensure_ascii=False)


def _by_tag(run: Run) -> list[Section]:
    wanted = list(headline(run))
    tables = []
    for tag, values in (run.metrics.get("by") or {}).items():
        rows = {
            value: {name: figures[name] for name in wanted if name in figures} or figures
            for value, figures in values.items()
        }
        more = len(rows) - MAX_ROWS
        note = f" (the first {MAX_ROWS}; {more:,} more are in metrics.json)" if more > 0 else ""
        tables += [figures_table(rows, clean(tag), f"by {clean(tag)}{note}")] if rows else []
    return [Section("by", "Figures by kind of question", tables=tables)] if tables else []


def _minds(run: Run) -> list[Section]:
    """Every part of metrics.json's `minds`: figures as tables, numbers and words as lines."""
    minds = run.metrics.get("minds")
    if not minds:
        return []
    lines: list[str] = []
    tables: list[Table] = []
    alone = {name: value for name, value in minds.items() if is_figure(value)}
    for name, value in minds.items():
        head, title = MINDS.get(name, ("", name.replace("_", " ")))
        if isinstance(value, Mapping) and name not in alone:
            tables += (
                _shortcuts(value)
                if name == "shortcuts"
                else _figure_tables(value, head, title, "sets" if name == "sets" else "questions")
            )
            told = {row: one for row, one in value.items() if isinstance(one, str | int | float) and one != 0}
            lines += [f"{title.partition(':')[0]}: {row}: {_plain(one)}." for row, one in told.items()]
        elif isinstance(value, list):
            lines += map(_plain, value)
        elif value is not None and name not in alone:
            lines.append(f"{title}: {_plain(value)}.")
    named = {MINDS.get(name, ("", name.replace("_", " ")))[1]: value for name, value in alone.items()}
    tables += _figure_tables(named, "", "Without the video")
    return [Section("minds", "Theory of mind", lines, tables)]


MINDS = {
    "sets": ("", "Whole sets: every question right"),
    "orders": ("", "Right answers by order of belief"),
    "swap": ("watched", "Span swap: answered from another clip"),
    "swap_core": ("watched", "Span swap, core questions alone"),
    "blind": ("", "right from grey frames"),
    "blind_below": ("", "below the answer from the video (difference)"),
}
"""The parts of metrics.json's `minds`: the head of the first column, and the table's title."""


def _figure_tables(value: Json, head: str, title: str, counted: str = "questions") -> list[Table]:
    """The figures among the values of an object as a table, if there are any."""
    rows = {row: one for row, one in value.items() if isinstance(one, Mapping) and one}
    return [figures_table(rows, head, title, counted)] if rows else []


def _shortcuts(found: Json) -> list[Table]:
    """Who answers by what is asked, and apart from it who points by figure; the rows are the model and shortcuts."""
    pointing = {name: {row: one for row, one in rows.items() if row in SPAN_ROWS} for name, rows in found.items()}
    answering = {name: {row: one for row, one in rows.items() if row not in SPAN_ROWS} for name, rows in found.items()}
    told = "The model beside shortcuts that understand nothing"
    made = _figure_tables({name: rows for name, rows in answering.items() if rows}, "who answers", f"{told}: right")
    pointers = {name: rows for name, rows in pointing.items() if rows}
    return made + _figure_tables(pointers, "who points", f"{told}: moments")


def _moments(run: Run) -> list[Section]:
    """Calibration and overlaps, which the page shows as pictures as well."""
    lines, tables = [], []
    calibration, iou = run.metrics.get("calibration"), run.metrics.get("iou")
    if calibration:
        lines.append(
            f"Expected calibration error {100 * calibration['ece']:.1f} %: by how much the chosen option's probability "
            "is off, on average."
        )
        rows = [
            [
                Cell(f"{one['low']:.1f} - {one['high']:.1f}", float(one["low"])),
                count(one["count"]),
                figure(one.get("confidence")),
                figure(one.get("right")),
            ]
            for one in calibration["bins"]
            if one["count"]
        ]
        tables.append(Table(["probability", "questions", "mean probability, %", "right, %"], rows, "Calibration"))
    if iou:
        recall = [[Cell(f"{limit:.2f}", float(limit)), figure(share)] for limit, share in iou["recall"]]
        tables.append(Table(["IoU at least", "% of questions"], recall, "Recall of the first moment"))
    return [Section("moments", "How sure, and how exact", lines, tables)]


def _data(run: Run) -> Section:
    """The data report: numbers, files, and every kind of dirt with its first places."""
    plain = [[word(name), word(_plain(value))] for name, value in run.data.items() if _is_plain(value)]
    tables = [Table(["data", ""], plain)] if plain else []
    for name, value in run.data.items():
        if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            heads = list(dict.fromkeys(key for one in value for key in one))
            rows = [[_any(one.get(head)) for head in heads] for one in value[:MAX_ROWS]]
            tables.append(Table(heads, rows, clean(name).replace("_", " ")))
        elif isinstance(value, Mapping) and value:
            tallies = {"": value} if "count" in value else value
            rows = [_tally(kind or name.replace("_", " "), one) for kind, one in list(tallies.items())[:MAX_ROWS]]
            if any(row[1].value != 0 for row in rows):
                tables.append(Table([clean(name).replace("_", " "), "count", "first places"], rows))
    return Section("data", "The data, and what is odd about it", tables=tables)


def _tally(kind: str, value: Any) -> list[Cell]:
    if not isinstance(value, Mapping):
        return [word(kind), _any(value), Cell("")]
    places = value.get("first") or value.get("names") or ()
    return [word(kind), count(value.get("count")), word("; ".join(map(str, places)))]


def _all_figures(run: Run) -> Section:
    figures = run.metrics.get("figures") or {}
    return Section("all", "Every figure", tables=[figures_table(figures, "figure")] if figures else [])


def _any(value: Any) -> Cell:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(f"{value:,}", float(value)) if number else word("" if value is None else _plain(value))


def _is_plain(value: Any) -> bool:
    """Whether a value is words or a number, or a list of such."""
    several = value if isinstance(value, list) else [value]
    return bool(several) and not any(one is None or isinstance(one, Mapping | list) for one in several)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
