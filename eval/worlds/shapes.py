"""The shapes of the renderer for CPUs: a shape's row and points go in, how far each point is from its edge comes out.

Only additions, multiplications, divisions and square roots of 32-bit numbers are used, which every processor rounds
alike; `gpu_kernel.py` takes the same steps in the same order.
"""

from __future__ import annotations

from typing import Any

import numba  # noqa: F401  # without it these shapes would take minutes: that is said when this module is imported
import numpy as np
from numpy.typing import NDArray

from eval.worlds.compiler import compiled
from eval.worlds.rows import (
    ARC,
    BOX,
    CAPSULE,
    CURVE,
    CURVE_PIECES,
    CUT,
    ELLIPSE,
    KIND,
    POLYGON,
    ROUND,
    SHAPE,
)

Real = Any
"""A 32-bit number; the compiler sees its exact type."""

_0, _1, _2 = (np.float32(v) for v in (0, 1, 2))
_TINY = np.float32(1e-12)
_FLAT = np.float32(0.99)


@compiled
def _segment(px: Real, py: Real, ax: Real, ay: Real, bx: Real, by: Real) -> tuple[Real, Real]:
    """Squared distance from p to the line from a to b, and how far along it the nearest point lies."""
    ex, ey = bx - ax, by - ay
    inverse = _1 / max(ex * ex + ey * ey, _TINY)
    wx, wy = px - ax, py - ay
    t = min(max((wx * ex + wy * ey) * inverse, _0), _1)
    qx, qy = wx - ex * t, wy - ey * t
    return qx * qx + qy * qy, t


@compiled
def distances(
    row: NDArray[np.float32], x0: Real, y0: Real, step_x: Real, step_y: Real, out: NDArray[np.float32], h: int, w: int
) -> None:
    """Signed distance to a shape's edge, negative inside, at `h` times `w` points; (x0, y0) steps is the first."""
    s = row[SHAPE : SHAPE + 10]
    kind = int(row[KIND])
    radius = row[ROUND]
    if kind == ELLIPSE:
        ix, iy = _1 / max(s[4], _TINY), _1 / max(s[5], _TINY)
        deepest = -min(s[4], s[5])
        for j in range(h):
            py = (y0 + np.float32(j)) * step_y - s[1]
            for i in range(w):
                px = (x0 + np.float32(i)) * step_x - s[0]
                qx, qy = (px * s[2] + py * s[3]) * ix, (py * s[2] - px * s[3]) * iy
                k0 = np.sqrt(qx * qx + qy * qy)
                gx, gy = qx * ix, qy * iy
                k1 = np.sqrt(gx * gx + gy * gy)
                d = k0 * (k0 - _1) / max(k1, _TINY)
                out[j, i] = deepest if k0 < _TINY else d
    elif kind == BOX:
        bx, by = s[4] - radius, s[5] - radius
        for j in range(h):
            py = (y0 + np.float32(j)) * step_y - s[1]
            for i in range(w):
                px = (x0 + np.float32(i)) * step_x - s[0]
                qx, qy = abs(px * s[2] + py * s[3]) - bx, abs(py * s[2] - px * s[3]) - by
                ox, oy = max(qx, _0), max(qy, _0)
                out[j, i] = np.sqrt(ox * ox + oy * oy) + min(max(qx, qy), _0) - radius
    elif kind == CAPSULE:
        ux, uy = s[2] - s[0], s[3] - s[1]
        length = np.sqrt(ux * ux + uy * uy)
        inverse = _1 / max(length, _TINY)
        # Where both ends are one point it is a circle, and any direction will do, but there must be one.
        ux, uy = (ux * inverse, uy * inverse) if length > _TINY else (_1, _0)
        b = min(max((s[4] - s[5]) * inverse, -_FLAT), _FLAT) if length > _TINY else _0
        a = np.sqrt(_1 - b * b)
        for j in range(h):
            py = (y0 + np.float32(j)) * step_y - s[1]
            for i in range(w):
                px = (x0 + np.float32(i)) * step_x - s[0]
                across, along = abs(px * uy - py * ux), px * ux + py * uy
                k = along * a - across * b
                rest = along - length
                first = np.sqrt(across * across + along * along) - s[4]
                second = np.sqrt(across * across + rest * rest) - s[5]
                side = across * a + along * b - s[4]
                out[j, i] = first if k < _0 else (second if k > a * length else side)
    elif kind == POLYGON:
        for j in range(h):
            py = (y0 + np.float32(j)) * step_y
            for i in range(w):
                px = (x0 + np.float32(i)) * step_x
                best = np.float32(1e9)
                low, high = np.float32(1e9), np.float32(-1e9)
                for n in range(5):
                    m = 0 if n == 4 else n + 1
                    ax, ay, bx, by = s[2 * n], s[2 * n + 1], s[2 * m], s[2 * m + 1]
                    d, _ = _segment(px, py, ax, ay, bx, by)
                    best = min(best, d)
                    turn = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
                    low, high = min(low, turn), max(high, turn)
                d = np.sqrt(best)
                out[j, i] = (-d if low >= _0 or high <= _0 else d) - radius
    elif kind == ARC:
        for j in range(h):
            py = (y0 + np.float32(j)) * step_y - s[1]
            for i in range(w):
                px = (x0 + np.float32(i)) * step_x - s[0]
                along, across = px * s[2] + py * s[3], abs(py * s[2] - px * s[3])
                ex, ey = across - s[6] * s[4], along - s[7] * s[4]
                end = np.sqrt(ex * ex + ey * ey)
                ring = abs(np.sqrt(across * across + along * along) - s[4])
                out[j, i] = (end if s[7] * across > s[6] * along else ring) - s[5]
    elif kind == CURVE:
        for j in range(h):
            py = (y0 + np.float32(j)) * step_y
            for i in range(w):
                out[j, i] = np.float32(1e9)
        ax, ay = s[0], s[1]
        knots = np.empty((CURVE_PIECES + 1, 2), dtype=np.float32)
        for n in range(CURVE_PIECES + 1):
            t = np.float32(n) * np.float32(1 / CURVE_PIECES)
            u = _1 - t
            knots[n, 0] = u * u * s[0] + _2 * u * t * s[2] + t * t * s[4]
            knots[n, 1] = u * u * s[1] + _2 * u * t * s[3] + t * t * s[5]
        for j in range(h):
            py = (y0 + np.float32(j)) * step_y
            for i in range(w):
                px = (x0 + np.float32(i)) * step_x
                best, where = np.float32(1e9), _0
                for n in range(CURVE_PIECES):
                    d, t = _segment(px, py, knots[n, 0], knots[n, 1], knots[n + 1, 0], knots[n + 1, 1])
                    where = np.float32(n) + t if d < best else where
                    best = min(best, d)
                t = where * np.float32(1 / CURVE_PIECES)
                out[j, i] = np.sqrt(best) - (s[6] + (s[7] - s[6]) * t)
    else:
        for j in range(h):
            py = (y0 + np.float32(j)) * step_y
            for i in range(w):
                px = (x0 + np.float32(i)) * step_x
                best = np.float32(1e9)
                for n in range(4):
                    d, _ = _segment(px, py, s[2 * n], s[2 * n + 1], s[2 * n + 2], s[2 * n + 3])
                    best = min(best, d)
                out[j, i] = np.sqrt(best) - radius
    nx, ny, c = row[CUT], row[CUT + 1], row[CUT + 2]
    if nx != _0 or ny != _0:
        for j in range(h):
            py = (y0 + np.float32(j)) * step_y
            for i in range(w):
                px = (x0 + np.float32(i)) * step_x
                out[j, i] = max(out[j, i], c - nx * px - ny * py)
