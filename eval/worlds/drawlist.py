"""Draw lists: shapes painted over all frames of a film go in, a compact table that any renderer can draw comes out.

A `Painter` takes shapes in paint order; every argument is a number or an array with one entry a frame. `build` moves
them under the camera, rounds them to a grid (so that the last bit of a machine's sine cannot change a film) and keeps a
shape that stays the same from frame to frame once. Nothing in a `DrawList` depends on the size in pixels.

Units: the picture is 1 high and `width` wide, x to the right, y down; colours are 0 to 255; angles are radians and turn
from x towards y, which is clockwise on the screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict, Unpack

import numpy as np

from eval.worlds.groups import Group, Point, five
from eval.worlds.rows import (
    ARC,
    BOX,
    CAPSULE,
    CURVE,
    ELLIPSE,
    LENGTHS,
    NEVER_CUT,
    POLYGON,
    ROUND,
    STROKE,
    X_COLUMNS,
    Array,
    DrawList,
    Value,
)
from eval.worlds.table import Camera, build
from eval.worlds.tape import Tape

__all__ = ["Array", "Colour", "DrawList", "Options", "Painter", "Point", "Value"]

Colour = tuple[float, float, float] | Array


class Options(TypedDict, total=False):
    """What every shape understands.

    Attributes:
        alpha: Opacity; where it is 0 the shape is not there.
        line: Colour of an outline, which lies inside the shape's edge; None is none.
        line_width: Its width.
        fill_alpha: Opacity of what the outline encloses: 0 draws the outline alone.
        soft: How far the edge is blurred, inwards and outwards.
        fill2: Colour at the lower end of a vertical gradient that begins with `fill`.
        cut: (nx, ny, c): only the half plane nx * x + ny * y >= c is kept; (nx, ny) has length 1.
    """

    alpha: Value
    line: Colour | None
    line_width: Value
    fill_alpha: Value
    soft: Value
    fill2: Colour | None
    cut: tuple[Value, Value, Value] | None


class Painter:
    """Collects shapes in paint order.

    Args:
        times: How many frames there are: the length of every array.
    """

    def __init__(self, times: int) -> None:
        self.times = times
        self.tape = Tape(times)
        self._group: Group | None = None

    def __len__(self) -> int:
        return len(self.tape)

    def pen(self, columns: list[Value]) -> int:
        """Takes a pen, as `Tape.pen`.

        Raises:
            ValueError: It would draw inside a group: pens stand on the stage itself.
        """
        if self._group is not None:
            raise ValueError("a pen does not draw inside a painter's group; give the pen the group's place")
        return self.tape.pen(columns)

    @contextmanager
    def at(
        self,
        x: Value = 0.0,
        y: Value = 0.0,
        scale: Value = 1.0,
        angle: Value = 0.0,
        flip: Value = 1.0,
        alpha: Value = 1.0,
    ) -> Iterator[None]:
        """What is painted inside has its origin at (x, y), is mirrored where `flip` is -1, scaled, then turned.

        Groups nest. Cuts and lengths are in the group's own units; `alpha` multiplies that of every shape.
        """
        outer = self._group
        base = outer or Group()
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        a, b, c, d = cos * flip, -sin, sin * flip, cos
        x0, y0 = base.point(x, y)
        self._group = Group(
            base.a * a + base.b * c,
            base.a * b + base.b * d,
            base.c * a + base.d * c,
            base.c * b + base.d * d,
            x0,
            y0,
            base.scale * scale,
            base.alpha * alpha,
        )
        try:
            yield
        finally:
            self._group = outer

    def ellipse(
        self, x: Value, y: Value, rx: Value, ry: Value, fill: Colour, angle: Value = 0.0, **options: Unpack[Options]
    ) -> None:
        """An ellipse around (x, y)."""
        self._add(ELLIPSE, [x, y, np.cos(angle), np.sin(angle), rx, ry], fill, 0.0, options)

    def box(
        self,
        x: Value,
        y: Value,
        half_w: Value,
        half_h: Value,
        fill: Colour,
        radius: Value = 0.0,
        angle: Value = 0.0,
        **options: Unpack[Options],
    ) -> None:
        """A rectangle around (x, y) with round corners."""
        radius = np.minimum(radius, np.minimum(half_w, half_h))
        self._add(BOX, [x, y, np.cos(angle), np.sin(angle), half_w, half_h], fill, radius, options)

    def capsule(
        self,
        x0: Value,
        y0: Value,
        x1: Value,
        y1: Value,
        r0: Value,
        r1: Value | None = None,
        fill: Colour = (0, 0, 0),
        **options: Unpack[Options],
    ) -> None:
        """The hull of two circles; `r1` is `r0` where none is given."""
        r1 = r0 if r1 is None else r1
        # Where one circle swallows the other, both become the larger one.
        swallowed = np.abs(r1 - r0) >= 0.98 * np.hypot(x1 - x0, y1 - y0)
        if np.any(swallowed):
            second = np.greater(r1, r0)
            both_first, both_second = swallowed & ~second, swallowed & second
            (x0, x1), (y0, y1), (r0, r1) = (
                (np.where(both_second, v1, v0), np.where(both_first, v0, v1))
                for v0, v1 in ((x0, x1), (y0, y1), (r0, r1))
            )
        self._add(CAPSULE, [x0, y0, x1, y1, r0, r1], fill, 0.0, options)

    def polygon(self, points: Sequence[Point], fill: Colour, round: Value = 0.0, **options: Unpack[Options]) -> None:
        """A convex polygon of 3 to 5 corners, grown by `round` on all sides."""
        self._add(POLYGON, five(points, 3), fill, round, options)

    def arc(
        self,
        x: Value,
        y: Value,
        r: Value,
        thickness: Value,
        start: Value,
        end: Value,
        fill: Colour = (0, 0, 0),
        **options: Unpack[Options],
    ) -> None:
        """A part of a ring with round ends, from angle `start` clockwise to `end`; a turn of 2 pi is a whole ring."""
        middle, half = (np.add(start, end)) / 2, np.minimum(np.abs(np.subtract(end, start)) / 2, np.pi)
        shape = [x, y, np.cos(middle), np.sin(middle), r, np.multiply(thickness, 0.5), np.sin(half), np.cos(half)]
        self._add(ARC, shape, fill, 0.0, options)

    def curve(
        self,
        start: Point,
        bend: Point,
        end: Point,
        r0: Value,
        r1: Value | None = None,
        fill: Colour = (0, 0, 0),
        **options: Unpack[Options],
    ) -> None:
        """A bent stroke (quadratic Bezier) with round ends, `r0` to `r1` from its middle line to its edge."""
        self._add(CURVE, [*start, *bend, *end, r0, r0 if r1 is None else r1], fill, 0.0, options)

    def stroke(self, points: Sequence[Point], r: Value, fill: Colour = (0, 0, 0), **options: Unpack[Options]) -> None:
        """Straight strokes through 2 to 5 points with round joints: letters, whiskers, zigzags."""
        self._add(STROKE, five(points, 2), fill, r, options)

    def _add(self, kind: int, shape: list[Value], fill: Colour, radius: Value, options: Options) -> None:
        """Stores a shape's columns, moved out of its group."""
        alpha: Value = options.get("alpha", 1.0)
        line, fill2, cut = options.get("line"), options.get("fill2"), options.get("cut")
        soft: Value = options.get("soft", 0.0)
        line_width: Value = options.get("line_width", 0.0) if line is not None else 0.0
        group = self._group
        if group is not None:
            for i in X_COLUMNS[kind]:
                shape[i], shape[i + 1] = group.point(shape[i], shape[i + 1])
            for i in LENGTHS[kind]:
                shape[i] = shape[i] * group.scale
            if kind in (ELLIPSE, BOX, ARC):
                shape[2], shape[3] = group.direction(shape[2], shape[3])
            if cut is not None:
                nx, ny = group.direction(cut[0], cut[1])
                cut = (nx, ny, group.scale * cut[2] + nx * group.x0 + ny * group.y0)
            radius, soft, line_width = radius * group.scale, soft * group.scale, line_width * group.scale
            alpha = alpha * group.alpha
        columns: list[Value] = [float(kind), alpha, soft, line_width]
        for colour in (fill, fill if fill2 is None else fill2, fill if line is None else line):
            columns += [colour[..., 0], colour[..., 1], colour[..., 2]] if isinstance(colour, np.ndarray) else colour
        columns += (0.0, 0.0, NEVER_CUT) if cut is None else cut
        columns += shape
        columns += [0.0] * (ROUND - len(columns))
        columns += [radius, options.get("fill_alpha", 1.0)]
        self.tape.add(columns)

    def build(
        self,
        width: float,
        dx: Value = 0.0,
        dy: Value = 0.0,
        zoom: Value = 1.0,
        light: Value = 1.0,
        camera_step: float = 1 / 2048,
    ) -> DrawList:
        """The draw list of everything painted so far.

        Args:
            width: Of the picture.
            dx: How far the camera looks to the right of the stage's middle.
            dy: How far it looks below it.
            zoom: How much larger than the stage the picture shows things.
            light: Factor on all colours.
            camera_step: The camera moves in steps of this size, so that in most frames the backdrop stays the same.
        """
        return together([self], width, dx, dy, zoom, light, camera_step)[0]


def together(
    painters: Sequence[Painter],
    width: float,
    dx: Value = 0.0,
    dy: Value = 0.0,
    zoom: Value = 1.0,
    light: Value = 1.0,
    camera_step: float = 1 / 2048,
) -> list[DrawList]:
    """The draw list of each painter, at least one; the arguments are those of `Painter.build`."""
    times = painters[0].times
    if not times:
        dx = dy = zoom = light = 1.0
    zoom, dx, dy = (np.rint(np.divide(value, camera_step)) * camera_step for value in (zoom, dx, dy))
    x0: Value = width / 2 - (width / 2 + dx) * zoom
    y0: Value = 0.5 - (0.5 + dy) * zoom
    paths = [np.asarray(value) for value in (zoom, x0, y0)]
    if any(np.any(path != path[:1]) for path in paths if path.ndim):
        zoom, x0, y0 = (np.broadcast_to(path, (times,)) for path in paths)
    else:
        # It stands still, however it was given.
        zoom, x0, y0 = (float(path.flat[0]) for path in paths)
    return build([painter.tape for painter in painters], times, Camera(zoom, x0, y0, light), width)
