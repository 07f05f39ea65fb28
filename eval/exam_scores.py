"""Values of questions go in, means with 95 % intervals over matched sets come out; tags go in, rows of tables come out.

Films of a set resemble each other, so sets are drawn anew, not questions: an interval says how much another choice of
sets would change a figure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
CORE = ("reality", "memory", "belief", "search", "knowledge", "second_order", "belief_contents")
"""Types of which all questions of all films of a set must be right for the set to count as understood."""
SPLIT_BY_TRUTH = ("belief", "search", "knowledge", "second_order")

Entry = tuple[int, float]
"""(seed of the set, value of one question)"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over questions.

    Attributes:
        mean: Of their values; a share where these are 0 or 1.
        low: Lower end of the 95 % interval, by bootstrap over sets.
        high: Upper end.
        asked: Number of questions.
        sets: Number of sets that they belong to.
    """

    mean: float
    low: float
    high: float
    asked: int
    sets: int

    def to_json(self) -> dict[str, float]:
        """As an object."""
        return asdict(self)


def figure(entries: Sequence[Entry]) -> Figure | None:
    """The mean of some values; None where there are none."""
    if not entries:
        return None
    sums, counts = _by_set([entries])
    means = _drawn(sums[0], counts[0])
    low, high = np.nanpercentile(means, (2.5, 97.5))
    mean = float(sums[0].sum() / counts[0].sum())
    return Figure(mean, float(low), float(high), len(entries), len(counts[0]))


def difference(first: Sequence[Entry], second: Sequence[Entry]) -> Figure | None:
    """By how much the mean of one group of questions exceeds that of another; None where one has none."""
    if not first or not second:
        return None
    sums, counts = _by_set([first, second])
    drawn = _drawn(sums[0], counts[0]) - _drawn(sums[1], counts[1])
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    mean = float(sums[0].sum() / counts[0].sum() - sums[1].sum() / counts[1].sum())
    return Figure(mean, float(low), float(high), len(first) + len(second), counts.shape[1])


def whole_sets(entries: Iterable[Entry]) -> list[Entry]:
    """One entry for each set: the product of its questions' values, so 1 where all are right.

    Where guesses count with their expected share, as for the shortcuts, it is the expected share of whole sets.
    """
    products: dict[int, float] = defaultdict(lambda: 1.0)
    for seed, value in entries:
        products[seed] *= value
    return sorted(products.items())


def _by_set(groups: Sequence[Sequence[Entry]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums and counts, [groups, sets], with the sets of all groups in one order."""
    order = {seed: at for at, seed in enumerate(sorted({seed for group in groups for seed, _ in group}))}
    sums, counts = np.zeros((len(groups), len(order))), np.zeros((len(groups), len(order)))
    for number, group in enumerate(groups):
        for seed, value in group:
            sums[number, order[seed]] += value
            counts[number, order[seed]] += 1
    return sums, counts


def _drawn(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of sets drawn with replacement, [DRAWS]; the same draws for the same number of sets."""
    weights = _weights(len(sums))
    with np.errstate(invalid="ignore", divide="ignore"):
        means: NDArray[np.float64] = (weights @ sums) / (weights @ counts)
    return means


@lru_cache(maxsize=2)  # the figures of one table mostly have the same sets; with 5,000 of them this is 80 MB each
def _weights(size: int) -> NDArray[np.float64]:
    """How often each set is drawn, [DRAWS, size]."""
    drawn = np.random.default_rng(20_000_000 + size).integers(0, size, (DRAWS, size))
    drawn += size * np.arange(DRAWS)[:, None]  # numbers of cells, so that all draws are counted at once
    weights: NDArray[np.float64] = np.bincount(drawn.ravel(), minlength=DRAWS * size).astype(np.float64)
    weights = weights.reshape(DRAWS, size)
    weights.flags.writeable = False
    return weights


def rows_of(tags: Mapping[str, str]) -> list[str]:
    """The rows of a table that a question counts in, by its tags."""
    kind, truth = tags["type"], tags.get("truth")
    rows = ["all", kind]
    if kind in SPLIT_BY_TRUTH and truth is not None:
        rows.append(f"{kind}, {truth}")
    order = tags.get("order")
    if kind in CORE:
        rows.append("core")
        if order is not None:
            rows.append(f"order {order}")
            if truth is not None:
                rows.append(f"order {order}, {truth}")
    return rows


def row_order(row: str) -> tuple[int, str]:
    """Where a row stands: everything, core and orders first, then types by name."""
    heads = ("all", "core")
    if row in heads:
        return heads.index(row), row
    return (2, row) if row.startswith("order ") else (3, row)


def grouped(entries: Iterable[tuple[Mapping[str, str], int, float]]) -> dict[str, list[Entry]]:
    """(tags, seed, value) of questions by row, the rows in their order."""
    rows: dict[str, list[Entry]] = defaultdict(list)
    for tags, seed, value in entries:
        for row in rows_of(tags):
            rows[row].append((seed, value))
    return {row: rows[row] for row in sorted(rows, key=row_order)}
