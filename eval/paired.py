"""The folders of two runs go in; what sets them apart comes out: figure by figure, question by question, each with p.

A question is compared with itself only. The difference is the second run's figure less the first one's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.item import Item, Record
from roles.errors import DataError

Json = dict[str, Any]
EXACT_SETS = 13
"""Up to so many sets all flips of signs are tried."""
FLIPS = 10_000
"""Beyond, so many are drawn."""
TEST = (
    "sign flips of whole sets, two-sided, not corrected for several figures: all 2^n where at most "
    f"{EXACT_SETS} sets differ, else {FLIPS:,} drawn ones and the observed one"
)
TRUTH = ("question", "options", "answer_at", "spans", "set", "start_s", "end_s")
"""What must be the same for two runs to have been asked the same."""
FLIPPED = ("right -> wrong", "wrong -> right")
RIGHT_BY = ("Acc", "R1@0.5")
"""The first of these that a question has says whether it is right."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs.

    Attributes:
        folder: Where it lies.
        benchmark: Its name; empty where the folder does not say.
        headline: Names of the figures that are shown first.
        items: What was asked, by key.
        records: What was said, by key.
    """

    folder: Path
    benchmark: str
    headline: tuple[str, ...]
    items: Mapping[str, Item]
    records: Mapping[str, Record]


def compare(a: Path, b: Path, figures: Sequence[str] = (), by: Sequence[str] = ()) -> Json:
    """Everything that the command shows.

    Args:
        a: Folder of a run.
        b: Folder of another.
        figures: Names of figures; none takes the benchmark's headline, or all where it has none.
        by: Tags that get a table.

    Returns:
        "compared" and "left_out" count questions. "figures": by name {"a", "b", "difference" (a `Figure`), "p",
        "sets that differ"}. "by": the same by tag and value. "flipped": how many answers changed, and which.

    Raises:
        DataError: A folder is no finished run, the two are of different benchmarks or have no question in common, a
            question is not the same in both, or no question has one of the figures or tags.
    """
    from eval.run_scores import figure_names, round_all

    one, other = read_side(a), read_side(b)
    keys = common_keys(one, other)
    items = [one.items[key] for key in keys]
    before, after = (_values(side, items) for side in (one, other))
    known = figure_names(before)
    for name in figures:
        if name not in known:
            raise DataError(f"--figure {name}: no question has it; there are {', '.join(known) or 'none'}")
    names = list(dict.fromkeys(figures)) or [name for name in one.headline if name in known] or known
    rows = list(zip(items, before, after, strict=True))
    found = {
        "version": 1,
        "benchmark": one.benchmark,
        "a": str(a),
        "b": str(b),
        "compared": len(keys),
        "left_out": {"a": len(one.items) - len(keys), "b": len(other.items) - len(keys)},
        "p": TEST,
        "figures": _differences(rows, names),
        "by": {tag: _by_tag(one.benchmark, rows, names, tag) for tag in dict.fromkeys(by)},
        "flipped": _flips(rows, one.records, other.records),
    }
    rounded: Json = round_all(found)
    return rounded


def read_side(folder: Path) -> Side:
    """Reads what is compared of a finished run.

    Raises:
        DataError: A file is missing or broken.
    """
    from eval.item import read_items
    from eval.run_folder import ITEMS, METRICS, read_predictions

    path = folder / METRICS
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); is {folder} the folder of a finished run?") from error
    if not isinstance(metrics, dict) or not isinstance(metrics.get("benchmark"), str):
        raise DataError(f"{path}: names no benchmark; run the same command again that made {folder}")
    headline = tuple(name for name in metrics.get("headline") or () if isinstance(name, str))
    items = {item.key: item for item in read_items(folder / ITEMS)}
    return Side(folder, metrics["benchmark"], headline, items, read_predictions(folder))


def common_keys(a: Side, b: Side) -> list[str]:
    """Keys of the questions that both are about, in the order of the first.

    Raises:
        DataError: The two cannot be compared.
    """
    if a.benchmark != b.benchmark:
        raise DataError(f"{b.folder}: a run on {b.benchmark}, and {a.folder} is one on {a.benchmark}; name two alike")
    keys = [key for key in a.items if key in b.items]
    if not keys:
        raise DataError(f"{b.folder}: has no question in common with {a.folder}; is it another split?")
    for key in keys:
        for name in TRUTH:
            if getattr(a.items[key], name) != getattr(b.items[key], name):
                raise DataError(
                    f"{b.folder}: {key}: another {name} than in {a.folder}; compare runs on the same benchmark's files"
                )
    return keys


def _values(side: Side, items: Sequence[Item]) -> list[dict[str, float]]:
    from eval.run_folder import PREDICTIONS
    from eval.run_scores import item_values

    try:
        return item_values(side.benchmark, items, side.records)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        path = side.folder / PREDICTIONS
        raise DataError(f"{path}: holds something that is no record ({error}); run the same command again") from error


Row = tuple[Item, Mapping[str, float], Mapping[str, float]]
"""(question, figures in a, figures in b)"""


def _differences(rows: Sequence[Row], names: Sequence[str]) -> Json:
    from eval.metrics import interval
    from roles.scores import mean

    found: Json = {}
    for name in names:
        pairs = [(item.set, was[name], now[name]) for item, was, now in rows if name in was]
        if pairs:
            sets = [its for its, _, _ in pairs]
            differences = [now - was for _, was, now in pairs]
            p, differing = sign_flip_p(differences, sets)
            found[name] = {
                "a": mean([was for _, was, _ in pairs]),
                "b": mean([now for _, _, now in pairs]),
                "difference": interval(differences, sets).to_json(),
                "p": p,
                "sets that differ": differing,
            }
    return found


def sign_flip_p(differences: Sequence[float], sets: Sequence[str]) -> tuple[float, int]:
    """The p of the mean difference, see the module; and the number of sets whose sum is not 0.

    Were the two runs equally good, each set's difference could as well have had the other sign.
    """
    import numpy as np

    sums: dict[str, float] = {}
    for name, value in zip(sets, differences, strict=True):
        sums[name] = sums.get(name, 0.0) + value
    moved = np.array([total for total in sums.values() if abs(total) > 1e-12])
    size = len(moved)
    if size == 0:
        return 1.0, 0
    least = abs(moved.sum()) - 1e-9  # a sum of the same numbers in another order counts as equal
    if size <= EXACT_SETS:
        signs = 1.0 - 2.0 * ((np.arange(2**size)[:, None] >> np.arange(size)) & 1)
        return float(np.mean(np.abs(signs @ moved) >= least)), size
    dice = np.random.default_rng(30_000_000 + size)
    hits = 0
    for _ in range(FLIPS // 1000):
        signs = 1.0 - 2.0 * dice.integers(0, 2, (1000, size), dtype=np.int8)
        hits += int(np.count_nonzero(np.abs(signs @ moved) >= least))
    return (hits + 1) / (FLIPS + 1), size


def _by_tag(benchmark: str, rows: Sequence[Row], names: Sequence[str], tag: str) -> Json:
    from eval.run_scores import values_of_tag

    members: dict[str, list[Row]] = {}
    for row in rows:
        for value in values_of_tag(benchmark, row[0], tag):
            members.setdefault(value, []).append(row)
    if not members:
        tags = sorted({name for item, _, _ in rows for name in item.tags})
        raise DataError(f"--by {tag}: no question has this tag; there are {', '.join(tags) or 'none'}")
    return {value: _differences(members[value], names) for value in sorted(members)}


def _flips(rows: Sequence[Row], records_a: Mapping[str, Record], records_b: Mapping[str, Record]) -> Json:
    """Answers that are right in one run only; moments where there are no answers."""
    counts = {"both right": 0, "both wrong": 0, FLIPPED[0]: 0, FLIPPED[1]: 0}
    changed: list[Json] = []
    for item, was, now in rows:
        name = next((name for name in RIGHT_BY if name in was), None)
        if name is None:
            continue
        right_a, right_b = was[name] == 1, now[name] == 1
        if right_a == right_b:
            counts["both right" if right_a else "both wrong"] += 1
            continue
        change = FLIPPED[0] if right_a else FLIPPED[1]
        counts[change] += 1
        changed.append(
            {
                "key": item.key,
                "change": change,
                "by": name,
                "question": item.question,
                "true": _true(item, name),
                "a": _said(item, records_a.get(item.key), name),
                "b": _said(item, records_b.get(item.key), name),
            }
        )
    return {**counts, "questions": sorted(changed, key=lambda one: FLIPPED.index(one["change"]))}


def _true(item: Item, name: str) -> str:
    if name == RIGHT_BY[0] and item.answer_at is not None:
        return item.options[item.answer_at]
    return ", ".join(f"{span.start_s:.1f} to {span.end_s:.1f} s" for span in item.spans)


def _said(item: Item, record: Record | None, name: str) -> str:
    from eval.run_scores import spans_of, valid_choice

    if record is None:
        return "(never asked)"
    if record.get("error") is not None:
        return f"(error: {record['error']})"
    if name != RIGHT_BY[0]:
        return next((f"{span.start_s:.1f} to {span.end_s:.1f} s" for span in spans_of(record)), "(no moment)")
    choice = valid_choice(item, record.get("choice"))
    return item.options[choice] if choice is not None else f"(no option named: {record.get('said')!r})"
