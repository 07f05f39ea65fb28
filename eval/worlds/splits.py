"""Splits by seed: a seed goes in, the split it belongs to comes out; and what is kept out of training altogether."""

from __future__ import annotations

from collections.abc import Mapping

from roles.errors import DataError

RANGES: Mapping[str, tuple[int, int]] = {
    "train": (0, 10_000_000),
    "val": (10_000_000, 11_000_000),
    "test": (20_000_000, 21_000_000),
    "generalisation": (30_000_000, 31_000_000),
}
"""First seed of each split, and the first seed after it. A seed is one matched set."""

HELD_KINDS: tuple[str, ...] = ("came_back", "uninformative")
"""Kinds that only generalisation sets have; every set of the place family there has at least one of them."""
HELD_PALETTES: tuple[str, ...] = ("lilac", "dusk", "sage")
HELD_THEMES: tuple[str, ...] = ("classroom", "attic")
HELD_YARDS: tuple[str, ...] = ("beach",)
HELD_LAYOUTS: tuple[str, ...] = ("same_side", "cluster")
"""Door and window next to each other; containers side by side at one end of the room."""
HELD_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {("car", "basket"), ("star", "box"), ("duck", "chest"), ("bell", "pot"), ("boat", "bag"), ("fish", "suitcase")}
)
"""(shape of a thing, shape of a container) that never are in one film of the other splits."""
HELD_SHIRTS: frozenset[tuple[str, str]] = frozenset(
    {("red", "ball"), ("blue", "apple"), ("green", "book"), ("yellow", "bear"), ("purple", "flower"), ("pink", "cup")}
)
"""(colour of a shirt, shape of a thing) that never are in one room of the other splits."""


def split_of(seed: int) -> str:
    """The split that a seed belongs to.

    Raises:
        DataError: It belongs to none.
    """
    for name, (first, stop) in RANGES.items():
        if first <= seed < stop:
            return name
    ranges = ", ".join(f"{name} {first} to {stop - 1}" for name, (first, stop) in RANGES.items())
    raise DataError(f"seed {seed} belongs to no split: choose one of {ranges}")
