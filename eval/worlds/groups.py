"""Groups of shapes: points and directions in a group's own units go in, those of the stage come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.worlds.rows import Value

Point = tuple[Value, Value]


@dataclass(frozen=True, slots=True)
class Group:
    """Where a group's own x, y, lengths and opacity end up: x' = a * x + b * y + x0, y' = c * x + d * y + y0."""

    a: Value = 1.0
    b: Value = 0.0
    c: Value = 0.0
    d: Value = 1.0
    x0: Value = 0.0
    y0: Value = 0.0
    scale: Value = 1.0
    alpha: Value = 1.0

    def point(self, x: Value, y: Value) -> Point:
        """Where a point of the group ends up."""
        return self.a * x + self.b * y + self.x0, self.c * x + self.d * y + self.y0

    def direction(self, x: Value, y: Value) -> Point:
        """Which way a direction of the group ends up pointing, its length kept."""
        return (self.a * x + self.b * y) / self.scale, (self.c * x + self.d * y) / self.scale


def five(points: Sequence[Point], least: int) -> list[Value]:
    """`least` to five points, the last one repeated as needed, as x, y, x, y ...

    Raises:
        ValueError: There are fewer or more.
    """
    if not least <= len(points) <= 5:
        what = "a polygon has 3 to 5 corners" if least == 3 else "a stroke goes through 2 to 5 points"
        raise ValueError(f"{what}, not {len(points)}; paint several")
    return [value for point in [*points, *[points[-1]] * (5 - len(points))] for value in point]
