"""A file of predictions goes in; a table of figures, and with --json the figures as a file, come out.

python -m eval.score videomind DUMP.json --mode cgbench
python -m eval.score qvhighlights --truth highlight_val_release.jsonl --predictions pred.jsonl --json figures.json

`videomind` reads what VideoMind's inference writes. Its modes default, cgbench and cgbench_conf_thr_T (T from 0 to 1)
count as its own scorer does, faults included: samples without `pred` are left out, overlapping intervals count twice,
only the first letter of a reply is read. Mode ours scores the same dump by our rules (a missing prediction is wrong,
time is counted once, a reply must name one option) and gives 95 % intervals over videos.

`qvhighlights` gives the figures of QVHighlights' own scorer, in percent. A query without a prediction is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.command import Parser, exit_code, show_anything
from roles.errors import DataError

Row = Sequence[str]
PROG = "python -m eval.score"
NO_INTERVAL = ("one", "video")
"""Stands where an interval would: drawing one video again and again says nothing about others."""
MODES = "default, cgbench, cgbench_conf_thr_T or ours"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    show_anything()
    args = parser().parse_args(argv)
    return exit_code(lambda: _score(args))


def _score(args: argparse.Namespace) -> None:
    if args.command == "videomind":
        figures = videomind_scores(args.dumps, args.mode)
        rows = _videomind_rows(figures, args.mode)
    else:
        figures = qvhighlights_scores(args.truth, args.predictions)
        rows = _qvhighlights_rows(figures)
    if args.json is not None:
        from roles.examples import write_text

        write_text(args.json, json.dumps(figures, indent=1).split("\n"))
    show_tables(rows)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    about, _, rest = (__doc__ or "").partition("\n\n")
    top = Parser(prog=PROG, description=about, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="{videomind,qvhighlights}")
    dump = commands.add_parser("videomind", help="score VideoMind's prediction dump", allow_abbrev=False)
    dump.add_argument("dumps", nargs="+", type=Path, metavar="DUMP.json", help="list of samples; several are joined")
    dump.add_argument("--mode", default="default", metavar="MODE", help=f"{MODES} (default: default)")
    moments = commands.add_parser("qvhighlights", help="score moments and highlights", allow_abbrev=False)
    moments.add_argument("--truth", type=Path, required=True, metavar="FILE", help="highlight_*_release.jsonl")
    moments.add_argument("--predictions", type=Path, required=True, metavar="FILE", help="JSON lines, one per query")
    for command in (dump, moments):
        command.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    return top


def videomind_scores(dumps: Sequence[Path], mode: str = "default") -> dict[str, Any]:
    """The figures of VideoMind's dump; see `eval.videomind_scorer`.

    Raises:
        DataError: There is no such mode, or a file is missing, no JSON list, empty, or holds a wrong sample.
    """
    from eval.score_files import read_dumps
    from eval.videomind_scorer import is_mode, official_scores, our_scores

    if not is_mode(mode):
        raise DataError(f"--mode {mode}: expected {MODES}, such as cgbench_conf_thr_0.4")
    samples = read_dumps(dumps)
    figures = our_scores(samples) if mode == "ours" else official_scores(samples, mode)
    if not figures:
        raise DataError(f"{dumps[0]}: no sample has `span` with `pred`, or `options` with `ans`: nothing to score")
    return figures


def qvhighlights_scores(truth: Path, predictions: Path) -> dict[str, Any]:
    """The figures of QVHighlights' own scorer, percent with two decimals.

    What no prediction holds at all (moments, or saliency) is left out; what some hold is wrong where it is missing.

    Returns:
        "brief", "full", "long", "middle" and "short" ("MR-mAP" and "MR-R1" by IoU) and "HL-min-Fair", "-Good" and
        "-VeryGood", named as the official scorer names them; "intervals" (95 %, over videos, for each figure of
        "brief"; of one video it has no width and means nothing), "videos" and "counts".

    Raises:
        DataError: A file is missing or empty, a line is wrong, or a prediction has a qid that the truth lacks.
    """
    from eval.highlights import RATINGS
    from eval.metrics import highlight_values, interval, means, moment_retrieval
    from eval.score_files import read_predicted_queries, read_true_queries
    from roles.scores import mean

    true, given = read_true_queries(truth), read_predicted_queries(predictions)
    unknown = [qid for qid in given if qid not in true]
    if unknown:
        raise DataError(f"{predictions}: qid {unknown[0]}: not in {truth} ({len(unknown)} such): is it another split?")
    both = [(one, given.get(qid, {})) for qid, one in true.items()]
    values: dict[str, list[float]] = {}
    videos: dict[str, list[str]] = {}
    figures: dict[str, Any] = {"brief": {}}
    if any("windows" in one for one in given.values()):
        everyone = list(range(len(both)))
        tables = moment_retrieval([one.get("windows", []) for _, one in both], [one["windows"] for one, _ in both])
        for length, found in tables.items():
            if not found:
                continue
            average = {name: _percent(value) for name, value in means(found.values()).items()}
            figures[length] = {
                "MR-mAP": {name.removeprefix("mAP@"): value for name, value in average.items() if "mAP@" in name}
                | {"average": average["mAP"]},
                "MR-R1": {name.removeprefix("R1@"): value for name, value in average.items() if "R1@" in name},
            }
            wanted = ("mAP", "mAP@0.5", "mAP@0.75", "R1@0.5", "R1@0.7") if length == "full" else ("mAP",)
            for name in wanted:
                values[f"MR-{length}-{name}"] = [found[at][name] for at in everyone if at in found]
                videos[f"MR-{length}-{name}"] = [both[at][0]["vid"] for at in everyone if at in found]
    rated = [pair for pair in both if "ratings" in pair[0]]
    rated_too = bool(rated) and any("scores" in one for one in given.values())
    if rated_too:
        found_clips = [highlight_values(one.get("scores", []), known["ratings"]) for known, one in rated]
        for name in found_clips[0]:
            values[f"HL-min-{name}"] = [found[name] for found in found_clips]
            videos[f"HL-min-{name}"] = [known["vid"] for known, _ in rated]
    if not values:
        raise DataError(f"{predictions}: no pred_relevant_windows and no pred_saliency_scores that {truth} can judge")
    intervals = {name: interval(several, videos[name]) for name, several in values.items()}
    figures["brief"] = {name: _percent(mean(values[name])) for name in intervals}
    for name in RATINGS if rated_too else ():
        brief = figures["brief"]
        figures[f"HL-min-{name}"] = {f"HL-{part}": brief[f"HL-min-{name}-{part}"] for part in ("mAP", "Hit1")}
    figures["intervals"] = {name: [_percent(one.low), _percent(one.high)] for name, one in intervals.items()}
    figures["videos"] = {name: one.sets for name, one in intervals.items()}
    missing = {
        "without_prediction": sum(not one for _, one in both),
        "without_windows": sum(not one.get("windows") for _, one in both),
        "without_saliency": sum(not one.get("scores") for _, one in both),
    }
    figures["counts"] = {"queries": len(both), **missing}
    return figures


def _percent(share: float) -> float:
    return round(100 * share, 2)


def _videomind_rows(figures: Mapping[str, Any], mode: str) -> dict[str, list[Row]]:
    """Tables by title, the first row of each being its head."""
    if mode == "ours":
        tables: dict[str, list[Row]] = {}
        for task, found in figures.items():
            counts = ", ".join(f"{name} {found[name]}" for name in ("asked", "unparsed", "no_prediction", "fallbacks"))
            rows = [
                (name, f"{100 * one['mean']:.2f}", *(NO_INTERVAL if one["sets"] == 1 else ends), str(one["asked"]))
                for name, one in found["figures"].items()
                for ends in ([f"{100 * one[part]:.2f}" for part in ("low", "high")],)
            ]
            tables[f"{task}: {counts}"] = [("figure", "%", "low", "high", "samples"), *rows]
        return tables
    tables = {}
    changes: list[Row] = []
    for name, found in figures.items():
        if isinstance(found, dict):
            changes.append((name, str(found["count"]), str(found["samples"]), f"{found['percent']:.2f}"))
        else:
            cells = [list(row.items()) for row in found]
            wide = [
                (task, f"{asked:g}", f"{failed:g}", *(f"{share:.2f}" for _, share in shares))
                for (_, task), (_, asked), (_, failed), *shares in cells
            ]
            tables[name] = [tuple(found[0]), *wide]
    if changes:
        tables["Verifier"] = [("change", "count", "of", "%"), *changes]
    return tables


def _qvhighlights_rows(figures: Mapping[str, Any]) -> dict[str, list[Row]]:
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in figures["counts"].items())
    rows = [
        (name, f"{value:.2f}", *(NO_INTERVAL if videos == 1 else (f"{end:.2f}" for end in figures["intervals"][name])))
        for name, value in figures["brief"].items()
        for videos in (figures["videos"][name],)
    ]
    return {f"QVHighlights: {counts}": [("figure", "%", "low", "high"), *rows]}


def show_tables(tables: Mapping[str, Sequence[Row]]) -> None:
    """Prints tables; a row is never cut to the width of the terminal, as a figure could be lost."""
    from agent.show import clean

    for title, lines in tables.items():
        rows = [[clean(cell) for cell in line] for line in lines]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        print(clean(title))
        for first, *rest in rows:
            cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
            print("  ".join([first.ljust(widths[0]), *cells]))
        print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
