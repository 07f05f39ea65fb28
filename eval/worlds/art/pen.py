"""A pen with its own place, size and tilt: shapes in a figure's own units go in, stage primitives go to a painter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.worlds.art.colours import INK, RGB

if TYPE_CHECKING:
    from eval.worlds.drawlist import Painter

Num = Any
"""A float, or a float array with one value per frame."""


class Pen:
    """Draws in units of one figure; every value may be a float or one float per frame.

    Attributes:
        painter: What the primitives go to.
        x: Where the figure's origin is on the stage.
        y: The same, downward.
        wide: Stage units per own unit sideways; negative mirrors.
        high: Stage units per own unit downward.
        tilt: Turn about the origin, radians, clockwise on the screen (before mirroring).
        alpha: Factor on the alpha of all that is drawn; 0 is absent.
    """

    __slots__ = ("_cos", "_sin", "alpha", "high", "painter", "tilt", "wide", "x", "y")

    def __init__(
        self, painter: Painter, x: Num, y: Num, wide: Num, high: Num | None = None, *, tilt: Num = 0.0, alpha: Num = 1.0
    ) -> None:
        self.painter, self.x, self.y, self.wide = painter, x, y, wide
        self.high = np.abs(wide) if high is None else high
        self.tilt, self.alpha = tilt, alpha
        upright = isinstance(tilt, (int, float)) and tilt == 0
        self._cos: Num = 1.0 if upright else np.cos(tilt)
        self._sin: Num = 0.0 if upright else np.sin(tilt)

    def point(self, u: Num, v: Num) -> tuple[Num, Num]:
        """Where a point of the figure is on the stage."""
        if isinstance(self._sin, float) and self._sin == 0.0:
            return self.x + self.wide * u, self.y + self.high * v
        return (
            self.x + self.wide * (u * self._cos - v * self._sin),
            self.y + self.high * (u * self._sin + v * self._cos),
        )

    def at(self, u: Num, v: Num, size: Num = 1.0, *, tilt: Num = 0.0, flip: Num = 1.0, alpha: Num = 1.0) -> Pen:
        """A pen for a part of the figure: its origin, size, further tilt and share of alpha."""
        x, y = self.point(u, v)
        whole_tilt = tilt if isinstance(self.tilt, (int, float)) and self.tilt == 0 else self.tilt + tilt
        return Pen(
            self.painter,
            x,
            y,
            self.wide * size * flip,
            self.high * size,
            tilt=whole_tilt,
            alpha=self.alpha if isinstance(alpha, (int, float)) and alpha == 1 else self.alpha * alpha,
        )

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        alpha = options.get("alpha")
        options["alpha"] = self.alpha if alpha is None else self.alpha * alpha
        if options.get("line_width"):
            options["line_width"] = options["line_width"] * self.high
            options.setdefault("line", INK)
        if "soft" in options:
            options["soft"] = options["soft"] * self.high
        if "cut" in options:
            options["cut"] = self._cut(*options["cut"])
        return options

    def _cut(self, a: Num, b: Num, least: Num) -> tuple[Num, Num, Num]:
        a, b = a * self._cos - b * self._sin, a * self._sin + b * self._cos
        nx, ny = a / self.wide, b / self.high
        size = 1 / np.sqrt(nx * nx + ny * ny)
        return nx * size, ny * size, (least + nx * self.x + ny * self.y) * size

    def _turn(self, angle: Num) -> Num:
        whole = angle + self.tilt
        return 0.0 if isinstance(whole, (int, float)) and whole == 0 else whole * np.sign(self.wide)

    def ellipse(self, u: Num, v: Num, ru: Num, rv: Num, fill: RGB, *, angle: Num = 0.0, **options: Any) -> None:
        """An ellipse with its half axes.

        Args:
            u: Its middle.
            v: Its middle.
            ru: Half axis sideways.
            rv: Half axis downward.
            fill: Its colour.
            angle: Its turn about its middle.
            **options: alpha, line, line_width, soft, fill2, cut: as the painter has them, in own units.
        """
        x, y = self.point(u, v)
        options = self._options(options)
        self.painter.ellipse(x, y, ru * np.abs(self.wide), rv * self.high, fill, angle=self._turn(angle), **options)

    def box(
        self,
        u: Num,
        v: Num,
        half_u: Num,
        half_v: Num,
        fill: RGB,
        *,
        radius: Num = 0.0,
        angle: Num = 0.0,
        **options: Any,
    ) -> None:
        """A rectangle with its half sides and round corners; `options` as with `ellipse`."""
        x, y = self.point(u, v)
        self.painter.box(
            x,
            y,
            half_u * np.abs(self.wide),
            half_v * self.high,
            fill,
            radius=radius * self.high,
            angle=self._turn(angle),
            **self._options(options),
        )

    def limb(
        self, u0: Num, v0: Num, u1: Num, v1: Num, r0: Num, fill: RGB, *, r1: Num | None = None, **options: Any
    ) -> None:
        """A limb from one point to another, `r0` thick on either side at the first and `r1` at the second."""
        x0, y0 = self.point(u0, v0)
        x1, y1 = self.point(u1, v1)
        thin = None if r1 is None else r1 * self.high
        self.painter.capsule(x0, y0, x1, y1, r0 * self.high, thin, fill=fill, **self._options(options))

    def polygon(self, points: Sequence[tuple[Num, Num]], fill: RGB, *, round: Num = 0.0, **options: Any) -> None:
        """A convex polygon with three to five corners, rounded by `round`."""
        corners = [self.point(u, v) for u, v in points]
        self.painter.polygon(corners, fill, round=round * self.high, **self._options(options))

    def curve(
        self, points: Sequence[tuple[Num, Num]], r: Num, fill: RGB, *, r1: Num | None = None, **options: Any
    ) -> None:
        """A bent stroke: the quadratic Bezier curve of three points."""
        start, bend, end = (self.point(u, v) for u, v in points)
        thin = None if r1 is None else r1 * self.high
        self.painter.curve(start, bend, end, r * self.high, thin, fill=fill, **self._options(options))

    def stroke(self, points: Sequence[tuple[Num, Num]], r: Num, fill: RGB, **options: Any) -> None:
        """Straight strokes through two to five points."""
        corners = [self.point(u, v) for u, v in points]
        self.painter.stroke(corners, r * self.high, fill=fill, **self._options(options))
