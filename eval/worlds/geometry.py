"""Places of shapes: a shape's columns in a pen's units go in, those of the stage come out, and the box around a row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from eval.worlds.compiler import compiled
from eval.worlds.rows import (
    ARC,
    BOUNDS,
    BOX,
    CAPSULE,
    CURVE,
    CUT,
    ELLIPSE,
    GRID,
    KIND,
    LINE_WIDTH,
    NAMES,
    ROUND,
    SHAPE,
    SOFT,
    X_COLUMNS,
)

POINTS = np.array([len(X_COLUMNS[kind]) for kind in range(len(NAMES))])
"""How many points each kind has; they are the first shape columns."""


@compiled
def put(kind: int, own: NDArray[np.float64], pen: NDArray[np.float64], cut: bool) -> None:
    """Moves a shape from its pen's units to the stage's."""
    x, y, wide, high, tilt, cos, sin = pen[0], pen[1], pen[2], pen[3], pen[4], pen[5], pen[6]
    for n in range(POINTS[kind]):
        i = SHAPE + 2 * n
        u, v = own[i], own[i + 1]
        own[i] = x + wide * (u * cos - v * sin)
        own[i + 1] = y + high * (u * sin + v * cos)
    own[SOFT] *= high
    own[LINE_WIDTH] *= high
    own[ROUND] *= high
    if cut:
        a, b = own[CUT] * cos - own[CUT + 1] * sin, own[CUT] * sin + own[CUT + 1] * cos
        # Of a pen without width or height nothing can be cut; no number says so.
        nx, ny = (a / wide, b / high) if wide != 0 and high != 0 else (np.nan, np.nan)
        length = np.sqrt(nx * nx + ny * ny)
        size = 1 / length if length > 0 else np.nan
        own[CUT], own[CUT + 1], own[CUT + 2] = nx * size, ny * size, (own[CUT + 2] + nx * x + ny * y) * size
    if kind in (ELLIPSE, BOX):
        turn = (own[SHAPE + 2] + tilt) * np.sign(wide)
        own[SHAPE + 2], own[SHAPE + 3] = (np.cos(turn), np.sin(turn)) if turn != 0 else (1.0, 0.0)
        own[SHAPE + 4] *= abs(wide)
        own[SHAPE + 5] *= high
        if kind == BOX:
            own[ROUND] = min(own[ROUND], min(own[SHAPE + 4], own[SHAPE + 5]))
    elif kind == CAPSULE:
        own[SHAPE + 4] *= high
        own[SHAPE + 5] *= high
        across, down = own[SHAPE + 2] - own[SHAPE], own[SHAPE + 3] - own[SHAPE + 1]
        first, second = own[SHAPE + 4], own[SHAPE + 5]
        if abs(second - first) >= 0.98 * np.sqrt(across * across + down * down):
            # Where one circle swallows the other, both become the larger one.
            to, by = (0, 2) if second > first else (2, 0)
            own[SHAPE + to], own[SHAPE + to + 1] = own[SHAPE + by], own[SHAPE + by + 1]
            own[SHAPE + 4] = own[SHAPE + 5] = max(first, second)
    elif kind == CURVE:
        own[SHAPE + 6] *= high
        own[SHAPE + 7] *= high


@compiled
def bound(row: NDArray[np.int16]) -> None:
    """Fills in the box (x0, y0, x1, y1) around what a row may colour, its blur included, without any smoothing."""
    kind, soft = int(row[KIND]), float(row[SOFT])
    x0 = x1 = float(row[SHAPE])
    y0 = y1 = float(row[SHAPE + 1])
    first, second = float(row[SHAPE + 4]), float(row[SHAPE + 5])
    if kind in (ELLIPSE, BOX, ARC):
        ux, uy = abs(float(row[SHAPE + 2])) / GRID, abs(float(row[SHAPE + 3])) / GRID
        if kind == ELLIPSE:
            half_x, half_y = math.hypot(ux * first, uy * second), math.hypot(uy * first, ux * second)
            # Its distances are not true ones: the blur of a flat ellipse reaches further along its longer axis.
            spread = soft / max(min(first, second), 1.0)
            half_x, half_y = half_x + min(half_x * spread, 4 * soft), half_y + min(half_y * spread, 4 * soft)
        elif kind == BOX:
            half_x, half_y = ux * first + uy * second, uy * first + ux * second
        else:
            half_x = half_y = first + second
        x0, x1, y0, y1 = x0 - half_x, x1 + half_x, y0 - half_y, y1 + half_y
    else:
        # A Bezier curve lies within the hull of its three points.
        for n in range(1, POINTS[kind]):
            x, y = float(row[SHAPE + 2 * n]), float(row[SHAPE + 2 * n + 1])
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
        grown = float(row[ROUND])
        if kind == CAPSULE:
            grown = max(first, second)
        elif kind == CURVE:
            grown = max(float(row[SHAPE + 6]), float(row[SHAPE + 7]))
        x0, x1, y0, y1 = x0 - grown, x1 + grown, y0 - grown, y1 + grown
    row[BOUNDS] = np.int16(min(max(np.floor(x0 - soft), -32767), 32767))
    row[BOUNDS + 1] = np.int16(min(max(np.floor(y0 - soft), -32767), 32767))
    row[BOUNDS + 2] = np.int16(min(max(np.ceil(x1 + soft), -32767), 32767))
    row[BOUNDS + 3] = np.int16(min(max(np.ceil(y1 + soft), -32767), 32767))
