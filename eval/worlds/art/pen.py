"""A pen with its own place, size and tilt: shapes in a figure's own units go in, stage primitives go to a painter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from eval.worlds.art.colours import INK, RGB
from eval.worlds.groups import five
from eval.worlds.rows import BOX, CAPSULE, CURVE, ELLIPSE, NEVER_CUT, POLYGON, STROKE
from eval.worlds.tape import Tape

if TYPE_CHECKING:
    from eval.worlds.drawlist import Painter

Num = Any
"""A float, or a float array with one value per frame."""

_NOTHING = (0.0,) * 10
_UNCUT = (0.0, 0.0, NEVER_CUT)


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

    __slots__ = ("_cos", "_number", "_sin", "alpha", "high", "painter", "tilt", "wide", "x", "y")

    def __init__(
        self, painter: Painter, x: Num, y: Num, wide: Num, high: Num | None = None, *, tilt: Num = 0.0, alpha: Num = 1.0
    ) -> None:
        self.painter, self.x, self.y, self.wide = painter, x, y, wide
        self.high = abs(wide) if high is None else high
        self.tilt, self.alpha = tilt, alpha
        upright = isinstance(tilt, (int, float)) and tilt == 0
        self._cos: Num = 1.0 if upright else np.cos(tilt)
        self._sin: Num = 0.0 if upright else np.sin(tilt)
        self._number = -1

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

    def _draw(self, kind: float, shape: list[Num], fill: RGB, radius: Num, options: dict[str, Any]) -> None:
        """Puts a shape on the painter's tape, in own units."""
        alpha: Num = 1.0
        fill2, line, line_width, soft, fill_alpha = fill, fill, 0.0, 0.0, 1.0
        cut = _UNCUT
        if options:
            get = options.get
            alpha, soft, fill_alpha, cut = (
                get("alpha", 1.0), get("soft", 0.0), get("fill_alpha", 1.0), get("cut", _UNCUT)
            )  # fmt: skip
            fill2, line_width = get("fill2") or fill, get("line_width") or 0.0
            if line_width:
                line = get("line", INK)
        self.painter.tape.add(
            [
                kind, alpha, soft, line_width, *fill, *fill2, *line, *cut, *shape, *_NOTHING[len(shape) :], radius,
                fill_alpha,
            ],
            self.number,
        )  # fmt: skip

    @property
    def number(self) -> int:
        """Of this pen on the painter's tape."""
        if self._number < 0:
            self._number = self.painter.pen(
                [self.x, self.y, self.wide, self.high, self.tilt, self._cos, self._sin, self.alpha]
            )
        return self._number

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
        self._draw(float(ELLIPSE), [u, v, angle, 0.0, ru, rv], fill, 0.0, options)

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
        self._draw(float(BOX), [u, v, angle, 0.0, half_u, half_v], fill, radius, options)

    def limb(
        self, u0: Num, v0: Num, u1: Num, v1: Num, r0: Num, fill: RGB, *, r1: Num | None = None, **options: Any
    ) -> None:
        """A limb from one point to another, `r0` thick on either side at the first and `r1` at the second."""
        self._draw(float(CAPSULE), [u0, v0, u1, v1, r0, r0 if r1 is None else r1], fill, 0.0, options)

    def polygon(self, points: Sequence[tuple[Num, Num]], fill: RGB, *, round: Num = 0.0, **options: Any) -> None:
        """A convex polygon with three to five corners, rounded by `round`."""
        self._draw(float(POLYGON), five(points, 3), fill, round, options)

    def curve(
        self, points: Sequence[tuple[Num, Num]], r: Num, fill: RGB, *, r1: Num | None = None, **options: Any
    ) -> None:
        """A bent stroke: the quadratic Bezier curve of three points."""
        start, bend, end = points
        self._draw(float(CURVE), [*start, *bend, *end, r, r if r1 is None else r1], fill, 0.0, options)

    def stroke(self, points: Sequence[tuple[Num, Num]], r: Num, fill: RGB, **options: Any) -> None:
        """Straight strokes through two to five points."""
        self._draw(float(STROKE), five(points, 2), fill, r, options)


class _Knife(Pen):
    """A pen that cuts a stencil: where it is does not matter, only where its parts are, seen from it."""

    __slots__ = ("_parts",)

    def __init__(self, sheet: _Sheet, parts: list[_Part]) -> None:
        super().__init__(sheet, 0.0, 0.0, 1.0)  # type: ignore[arg-type]  # a sheet is all of a painter that it needs
        self._parts = parts
        self._number = len(parts)

    def at(self, u: Num, v: Num, size: Num = 1.0, *, tilt: Num = 0.0, flip: Num = 1.0, alpha: Num = 1.0) -> Pen:
        self._parts.append((self._number, (u, v, size), {"tilt": tilt, "flip": flip, "alpha": alpha}))
        return _Knife(self.painter, self._parts)  # type: ignore[arg-type]


class _Sheet:
    """What a stencil is cut out of."""

    def __init__(self) -> None:
        self.tape = Tape(0)


P = ParamSpec("P")
_Part = tuple[int, tuple[Num, ...], dict[str, Num]]
"""Of a pen for a part: the number of the pen that it is seen from, and what `Pen.at` is given."""


def stencil(draw: Callable[Concatenate[Pen, P], None]) -> Callable[Concatenate[Pen, P], None]:
    """Keeps what a function draws for each set of its arguments.

    Nothing that it draws may change from frame to frame but by where the pen is, and how opaque.
    """

    def cut_out(*args: Any, **kwargs: Any) -> tuple[Tape, list[_Part]]:
        sheet, parts = _Sheet(), list[_Part]()
        draw(_Knife(sheet, parts), *args, **kwargs)
        return sheet.tape, parts

    cut: Callable[..., tuple[Tape, list[_Part]]] = lru_cache(maxsize=1024)(cut_out)

    @wraps(draw)
    def laid(pen: Pen, /, *args: P.args, **kwargs: P.kwargs) -> None:
        tape, parts = cut(*args, **kwargs)
        pens = [pen]
        for number, place, turned in parts:
            pens.append(pens[number].at(*place, **turned))
        pen.painter.tape.paste(tape, [each.number for each in pens])

    return laid
