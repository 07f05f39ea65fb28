"""Items with their truth and a run's records go in, `metrics.json` comes out: figures, counts, tables, plots' data.

A question without a record, without its video, with an error or with a reply that names no option is wrong, and its
spans overlap nothing. Figures are means over questions, 0 to 1, with 95 % intervals by bootstrap over `Item.set`. The
same items and records give the same bytes, in whatever order the records come.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.item import Item, Record
from eval.metrics import interval, moment_retrieval, question_values
from roles.errors import DataError
from roles.scores import best_iou, mean
from roles.types import Span

Json = dict[str, Any]
Values = dict[str, float]
"""Figures of one question, 0 to 1, by name."""

VERSION = 1
DECIMALS = 6
CONFIDENCE_BINS = 10
IOU_BINS = 20
QVHIGHLIGHTS = "qvhighlights"
MOMENT_FIGURES = {
    "full": ("mAP", "mAP@0.5", "mAP@0.75", "R1@0.5", "R1@0.7"),
    "long": ("mAP",),
    "middle": ("mAP",),
    "short": ("mAP",),
}
"""QVHighlights' own figures by length of the true windows; here "MR-full-mAP" and so on."""
LISTED = {"moments": ("type", "cues")}
"""Tags that hold several values, separated by ", ": a question counts in the row of each."""


def score_run(
    benchmark: str,
    split: str | None,
    items: Sequence[Item],
    records: Mapping[str, Record],
    headline: Sequence[str],
    by: Sequence[str],
    minds: bool,
    *,
    train_sets: int | None = None,
    cache: Path | None = None,
    workers: int = 1,
) -> Json:
    """All figures of a run, as `metrics.json` holds them.

    Args:
        benchmark: Its name.
        split: Its part, where it has any.
        items: What was to be asked.
        records: What was said, by the items' keys; others are not looked at.
        headline: Names of the figures that are shown first; those that nothing was asked for are left out.
        by: Tags that get a row for each value.
        minds: Whether to work out the tables of Theory of Mind as well, which takes minutes on our own world.
        train_sets: Sets of our own world that its shortcuts learn from; None is the usual number.
        cache: File that keeps the shortcuts' figures for the next time.
        workers: Processes for the shortcuts.

    Raises:
        DataError: There are no items.
    """
    if not items:
        raise DataError(f"{benchmark}: no items to score; is the split or the limit right?")
    values = item_values(benchmark, items, records)
    figures = figures_of(items, values)
    found: Json = {
        "version": VERSION,
        "benchmark": benchmark,
        "split": split,
        "items": len(items),
        "videos": len({item.video for item in items}),
        "sets": len({item.set for item in items}),
        "counts": _counts(items, records),
        "headline": [name for name in headline if name in figures],
        "figures": figures,
        "by": {tag: rows for tag in dict.fromkeys(by) if (rows := _rows(benchmark, items, values, tag))},
        "minds": None,
        "calibration": _calibration(items, records),
        "iou": _overlaps(items, records),
    }
    if minds:
        from eval.mind_scores import mind_scores
        from eval.shortcut_scores import TRAIN_SETS, shortcuts

        baselines, notes = shortcuts(
            benchmark,
            items,
            by,
            lengths_s(items, records),
            train_sets=train_sets or TRAIN_SETS,
            cache=cache,
            workers=workers,
        )
        found["minds"] = mind_scores(benchmark, items, records, values, by, baselines, notes)
    rounded: Json = round_all(found)
    return rounded


def item_values(benchmark: str, items: Sequence[Item], records: Mapping[str, Record]) -> list[Values]:
    """Each item's own figures, in the items' order: those of `eval.metrics`, and QVHighlights' where it is that."""
    values = [
        question_values(spans_of(records.get(item.key)), item.spans, item.is_right(choice_of(item, records)))
        for item in items
    ]
    true = [at for at, item in enumerate(items) if item.spans]
    if benchmark == QVHIGHLIGHTS and true:
        windows = [_windows(records.get(items[at].key)) for at in true]
        truths = [[(span.start_s, span.end_s) for span in items[at].spans] for at in true]
        for length, found in moment_retrieval(windows, truths).items():
            for number, its in found.items():
                values[true[number]] |= {f"MR-{length}-{name}": its[name] for name in MOMENT_FIGURES[length]}
    return values


def figures_of(items: Sequence[Item], values: Sequence[Values]) -> Json:
    """Each figure's mean and interval over those items that have it; names in a fixed order."""
    return {
        name: interval([its[name] for _, its in some], [item.set for item, _ in some]).to_json()
        for name in figure_names(values)
        if (some := [pair for pair in zip(items, values, strict=True) if name in pair[1]])
    }


def figure_names(values: Iterable[Values]) -> list[str]:
    """Names that occur, in a fixed order: that of `eval.metrics.question_values`, then QVHighlights'."""
    known = [*question_values([], [Span(0, 1)], right=False)]
    known += [f"MR-{length}-{name}" for length, names in MOMENT_FIGURES.items() for name in names]
    return sorted({name for its in values for name in its}, key=known.index)


def choice_of(item: Item, records: Mapping[str, Record]) -> int | None:
    """Place of the option that was chosen; None where there is no record, or it names none of the options."""
    record = records.get(item.key)
    return valid_choice(item, None if record is None else record.get("choice"))


def valid_choice(item: Item, choice: object) -> int | None:
    """A choice, if it is the place of an option."""
    return choice if type(choice) is int and 0 <= choice < len(item.options) else None


def spans_of(record: Record | None) -> list[Span]:
    """The spans that a record predicts, best first; one that ends before it starts has no length."""
    rows = () if record is None else record.get("spans") or ()
    return [Span(max(0.0, row[0]), max(0.0, row[0], row[1])) for row in rows]


def lengths_s(items: Iterable[Item], records: Mapping[str, Record]) -> dict[str, float]:
    """How long the videos are that a run opened, in seconds, by `Item.video`."""
    return {
        item.video: float(length_s)
        for item in items
        if (length_s := records.get(item.key, {}).get("duration_s")) is not None
    }


def values_of_tag(benchmark: str, item: Item, tag: str) -> list[str]:
    """The rows of a tag that an item counts in."""
    value = item.tags.get(tag)
    if not value:
        return []
    return list(dict.fromkeys(value.split(", "))) if tag in LISTED.get(benchmark, ()) else [value]


def round_all(value: Any) -> Any:
    """The same with floats rounded, so that what is written does not depend on the last bits of a sum."""
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0  # -0.0 becomes 0.0
    if isinstance(value, dict):
        return {name: round_all(one) for name, one in value.items()}
    return [round_all(one) for one in value] if isinstance(value, list | tuple) else value


def _windows(record: Record | None) -> list[tuple[float, float, float]]:
    rows = () if record is None else record.get("spans") or ()
    # Without a confidence the order decides.
    return [(row[0], row[1], float(row[2]) if len(row) > 2 else float(-at)) for at, row in enumerate(rows)]


def _rows(benchmark: str, items: Sequence[Item], values: Sequence[Values], tag: str) -> Json:
    members: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        for value in values_of_tag(benchmark, item, tag):
            members.setdefault(value, []).append(at)
    return {
        value: figures_of([items[at] for at in members[value]], [values[at] for at in members[value]])
        for value in sorted(members)
    }


def _counts(items: Sequence[Item], records: Mapping[str, Record]) -> Json:
    pairs = [(item, records[item.key]) for item in items if item.key in records]
    fell_back = Counter(role for _, record in pairs for role in dict.fromkeys(record.get("fell_back") or ()))
    return {
        "asked": len(pairs),
        "missing_video": sum(item.missing for item in items),
        "errors": sum(record.get("error") is not None for _, record in pairs),
        "unparsed": sum(
            bool(item.options) and record.get("said") is not None and choice_of(item, records) is None
            for item, record in pairs
        ),
        "no_span": sum(bool(item.spans) and not spans_of(records.get(item.key)) for item in items),
        "hidden_answer": sum(bool(item.options) and item.answer_at is None for item in items),
        "strange": sum(record.get("strange") is True for _, record in pairs),
        "fell_back": dict(sorted(fell_back.items())),
    }


def _calibration(items: Sequence[Item], records: Mapping[str, Record]) -> Json | None:
    """Does the likeliest option's probability say how often it is right? Only where options were scored."""
    pairs = [
        (min(1.0, max(0.0, float(max(probs)))), float(right))
        for item in items
        if (probs := records.get(item.key, {}).get("probs"))
        and (right := item.is_right(choice_of(item, records))) is not None
    ]
    if not pairs:
        return None
    edges = [at / CONFIDENCE_BINS for at in range(CONFIDENCE_BINS + 1)]
    members: list[list[tuple[float, float]]] = [[] for _ in range(CONFIDENCE_BINS)]
    for pair in pairs:
        members[_bin(pair[0], edges)].append(pair)
    bins = [
        {
            "low": low,
            "high": high,
            "count": len(some),
            "confidence": mean([sure for sure, _ in some]) if some else None,
            "right": mean([right for _, right in some]) if some else None,
        }
        for low, high, some in zip(edges, edges[1:], members, strict=False)
    ]
    gaps = [abs(mean([right - sure for sure, right in some])) * len(some) for some in members if some]
    return {"ece": sum(gaps) / len(pairs), "bins": bins}


def _overlaps(items: Sequence[Item], records: Mapping[str, Record]) -> Json | None:
    """How much the first span overlaps the best true one: counts by IoU, and the share that reaches each limit."""
    ious = [best_iou(next(iter(spans_of(records.get(item.key))), None), item.spans) for item in items if item.spans]
    if not ious:
        return None
    edges = [at / IOU_BINS for at in range(IOU_BINS + 1)]
    counts = Counter(_bin(one, edges) for one in ious)
    return {
        "histogram": [counts[at] for at in range(IOU_BINS)],
        "recall": [[limit, mean([one >= limit for one in ious])] for limit in edges[1:]],
    }


def _bin(value: float, edges: Sequence[float]) -> int:
    """Number of the bin, each with its lower edge and without its upper one, but the last with both."""
    return min(bisect_right(edges, value), len(edges) - 1) - 1
