"""The kernel of the renderer for GPUs: shapes and frames on a device go in, normalised patches come out there.

Every helper does what its namesake in `shapes.py` and `tiles.py` does, in the same order, with exact division and
square roots and without fused additions, so that the levels are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl

from eval.worlds import rows as layout
from eval.worlds.rows import COLUMNS, GRID

_UNIT = tl.constexpr(1 / GRID)
_COLUMNS = tl.constexpr(COLUMNS)
_TINY = tl.constexpr(1e-12)
_FAR = tl.constexpr(1e9)
_ELLIPSE, _BOX, _CAPSULE, _POLYGON, _ARC, _CURVE = (tl.constexpr(kind) for kind in range(layout.STROKE))
_ALPHA, _SOFT, _LINE_WIDTH, _FILL, _FILL2, _LINE, _CUT, _SHAPE, _ROUND, _FILL_ALPHA, _BOUNDS = (
    tl.constexpr(getattr(layout, name))
    for name in "ALPHA SOFT LINE_WIDTH FILL FILL2 LINE CUT SHAPE ROUND FILL_ALPHA BOUNDS".split()  # noqa: SIM905
)
_PIECES = tl.constexpr(layout.CURVE_PIECES)
_MIDDLE, _SPREAD = tl.constexpr(layout.GRAIN_MIDDLE), tl.constexpr(layout.GRAIN_SPREAD)


def _helper(function: Callable[..., Any]) -> Any:
    return triton.jit(function)


@_helper
def _real(row: tl.tensor, column: tl.tensor) -> tl.tensor:
    """A length, direction or opacity out of a row."""
    return tl.load(row + column).to(tl.float32) * _UNIT


@_helper
def _level(row: tl.tensor, column: tl.tensor) -> tl.tensor:
    return tl.load(row + column).to(tl.float32)


@_helper
def _divided(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return tl.math.div_rn(a, b)


@_helper
def _length(x: tl.tensor, y: tl.tensor) -> tl.tensor:
    return tl.math.sqrt_rn(x * x + y * y)


@_helper
def _segment(px: tl.tensor, py: tl.tensor, ax: tl.tensor, ay: tl.tensor, bx: tl.tensor, by: tl.tensor) -> tl.tensor:
    """Squared distance from p to the line from a to b, and how far along it the nearest point lies."""
    ex, ey = bx - ax, by - ay
    inverse = _divided(1.0, tl.maximum(ex * ex + ey * ey, _TINY))
    wx, wy = px - ax, py - ay
    t = tl.minimum(tl.maximum((wx * ex + wy * ey) * inverse, 0.0), 1.0)
    qx, qy = wx - ex * t, wy - ey * t
    return qx * qx + qy * qy, t


@_helper
def _ellipse(row: tl.tensor, x: tl.tensor, y: tl.tensor) -> tl.tensor:
    ux, uy, rx, ry = _real(row, _SHAPE + 2), _real(row, _SHAPE + 3), _real(row, _SHAPE + 4), _real(row, _SHAPE + 5)
    ix, iy = _divided(1.0, tl.maximum(rx, _TINY)), _divided(1.0, tl.maximum(ry, _TINY))
    px, py = x - _real(row, _SHAPE), y - _real(row, _SHAPE + 1)
    qx, qy = (px * ux + py * uy) * ix, (py * ux - px * uy) * iy
    k0 = _length(qx, qy)
    k1 = _length(qx * ix, qy * iy)
    d = _divided(k0 * (k0 - 1.0), tl.maximum(k1, _TINY))
    return tl.where(k0 < _TINY, -tl.minimum(rx, ry), d)


@_helper
def _box(row: tl.tensor, x: tl.tensor, y: tl.tensor) -> tl.tensor:
    ux, uy, radius = _real(row, _SHAPE + 2), _real(row, _SHAPE + 3), _real(row, _ROUND)
    bx, by = _real(row, _SHAPE + 4) - radius, _real(row, _SHAPE + 5) - radius
    px, py = x - _real(row, _SHAPE), y - _real(row, _SHAPE + 1)
    qx, qy = tl.abs(px * ux + py * uy) - bx, tl.abs(py * ux - px * uy) - by
    return _length(tl.maximum(qx, 0.0), tl.maximum(qy, 0.0)) + tl.minimum(tl.maximum(qx, qy), 0.0) - radius


@_helper
def _capsule(row: tl.tensor, x: tl.tensor, y: tl.tensor) -> tl.tensor:
    x0, y0, r0, r1 = _real(row, _SHAPE), _real(row, _SHAPE + 1), _real(row, _SHAPE + 4), _real(row, _SHAPE + 5)
    ux, uy = _real(row, _SHAPE + 2) - x0, _real(row, _SHAPE + 3) - y0
    length = _length(ux, uy)
    inverse = _divided(1.0, tl.maximum(length, _TINY))
    ux, uy = tl.where(length > _TINY, ux * inverse, 1.0), tl.where(length > _TINY, uy * inverse, 0.0)
    b = tl.where(length > _TINY, tl.minimum(tl.maximum((r0 - r1) * inverse, -0.99), 0.99), 0.0)
    a = tl.math.sqrt_rn(1.0 - b * b)
    px, py = x - x0, y - y0
    across, along = tl.abs(px * uy - py * ux), px * ux + py * uy
    k = along * a - across * b
    first, second = _length(across, along) - r0, _length(across, along - length) - r1
    side = across * a + along * b - r0
    return tl.where(k < 0.0, first, tl.where(k > a * length, second, side))


@_helper
def _polygon(row: tl.tensor, x: tl.tensor, y: tl.tensor) -> tl.tensor:
    best = x * 0.0 + _FAR
    low, high = best, -best
    for n in tl.static_range(5):
        m = (n + 1) % 5
        ax, ay = _real(row, _SHAPE + 2 * n), _real(row, _SHAPE + 2 * n + 1)
        bx, by = _real(row, _SHAPE + 2 * m), _real(row, _SHAPE + 2 * m + 1)
        d, _ = _segment(x, y, ax, ay, bx, by)
        best = tl.minimum(best, d)
        turn = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        low, high = tl.minimum(low, turn), tl.maximum(high, turn)
    d = tl.math.sqrt_rn(best)
    return tl.where((low >= 0.0) | (high <= 0.0), -d, d) - _real(row, _ROUND)


@_helper
def _arc(row: tl.tensor, x: tl.tensor, y: tl.tensor) -> tl.tensor:
    ux, uy, r, half = _real(row, _SHAPE + 2), _real(row, _SHAPE + 3), _real(row, _SHAPE + 4), _real(row, _SHAPE + 5)
    sin, cos = _real(row, _SHAPE + 6), _real(row, _SHAPE + 7)
    px, py = x - _real(row, _SHAPE), y - _real(row, _SHAPE + 1)
    along, across = px * ux + py * uy, tl.abs(py * ux - px * uy)
    end = _length(across - sin * r, along - cos * r)
    ring = tl.abs(_length(across, along) - r)
    return tl.where(cos * across > sin * along, end, ring) - half


@_helper
def _curve(row: tl.tensor, x: tl.tensor, y: tl.tensor) -> tl.tensor:
    x0, y0, x1, y1 = _real(row, _SHAPE), _real(row, _SHAPE + 1), _real(row, _SHAPE + 2), _real(row, _SHAPE + 3)
    x2, y2, r0, r1 = _real(row, _SHAPE + 4), _real(row, _SHAPE + 5), _real(row, _SHAPE + 6), _real(row, _SHAPE + 7)
    best = x * 0.0 + _FAR
    where = x * 0.0
    ax, ay = x0, y0
    for n in tl.static_range(_PIECES):
        t = (n + 1) * (1 / _PIECES)
        u = 1 - t
        bx, by = u * u * x0 + 2 * u * t * x1 + t * t * x2, u * u * y0 + 2 * u * t * y1 + t * t * y2
        d, at = _segment(x, y, ax, ay, bx, by)
        where = tl.where(d < best, n + at, where)
        best = tl.minimum(best, d)
        ax, ay = bx, by
    return tl.math.sqrt_rn(best) - (r0 + (r1 - r0) * (where * (1 / _PIECES)))


@_helper
def _stroke(row: tl.tensor, x: tl.tensor, y: tl.tensor) -> tl.tensor:
    best = x * 0.0 + _FAR
    for n in tl.static_range(4):
        ax, ay = _real(row, _SHAPE + 2 * n), _real(row, _SHAPE + 2 * n + 1)
        d, _ = _segment(x, y, ax, ay, _real(row, _SHAPE + 2 * n + 2), _real(row, _SHAPE + 2 * n + 3))
        best = tl.minimum(best, d)
    return tl.math.sqrt_rn(best) - _real(row, _ROUND)


@_helper
def _distance(row: tl.tensor, x: tl.tensor, y: tl.tensor) -> tl.tensor:
    """Signed distance to a shape's edge, negative inside."""
    kind = tl.load(row).to(tl.int32)
    if kind == _ELLIPSE:
        d = _ellipse(row, x, y)
    elif kind == _BOX:
        d = _box(row, x, y)
    elif kind == _CAPSULE:
        d = _capsule(row, x, y)
    elif kind == _POLYGON:
        d = _polygon(row, x, y)
    elif kind == _ARC:
        d = _arc(row, x, y)
    elif kind == _CURVE:
        d = _curve(row, x, y)
    else:
        d = _stroke(row, x, y)
    nx, ny = _real(row, _CUT), _real(row, _CUT + 1)
    return tl.where((nx != 0.0) | (ny != 0.0), tl.maximum(d, _real(row, _CUT + 2) - nx * x - ny * y), d)


@_helper
def _grain(key: tl.tensor, place: tl.tensor) -> tl.tensor:
    """About normally distributed numbers, the same for the same key and place."""
    v = key ^ place
    v = v ^ (v >> 16)
    v = v * 0x9E3779B1
    v = v ^ (v >> 15)
    v = v * 0x85EBCA77
    v = v ^ (v >> 16)
    total = (v & 255) + ((v >> 8) & 255) + ((v >> 16) & 255) + (v >> 24)
    return total.to(tl.float32) - _MIDDLE


@_helper
def _painted(
    under: tl.tensor, row: tl.tensor, channel: tl.tensor, g: tl.tensor, gradient: tl.tensor, u: tl.tensor, a: tl.tensor
) -> tl.tensor:
    """One channel of the pixels after a shape was painted over them."""
    fill = _level(row, _FILL + channel)
    colour = tl.where(gradient, fill * (1.0 - g) + _level(row, _FILL2 + channel) * g, fill)
    return under * (1.0 - a) + (_level(row, _LINE + channel) * (1.0 - u) + colour * u) * a


@_helper
def _store(
    out: tl.tensor, level: tl.tensor, grain: tl.tensor, mean: tl.tensor, scale: tl.tensor, mask: tl.tensor
) -> None:
    whole = tl.math.floor(tl.minimum(tl.maximum(level + grain, 0.0), 255.0) + 0.5)
    tl.store(out, ((whole - mean) * scale).to(out.dtype.element_ty), mask=mask)


@_helper
def draw(
    rows: tl.tensor,
    boxes: tl.tensor,
    refs: tl.tensor,
    begins: tl.tensor,
    ends: tl.tensor,
    keys: tl.tensor,
    strengths: tl.tensor,
    firsts: tl.tensor,
    out: tl.tensor,
    step_x: tl.tensor,
    step_y: tl.tensor,
    mean0: tl.tensor,
    mean1: tl.tensor,
    mean2: tl.tensor,
    scale0: tl.tensor,
    scale1: tl.tensor,
    scale2: tl.tensor,
    across: tl.constexpr,
    patches: tl.constexpr,
    side: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Draws one patch of one frame. `across` counts the blocks of 2 x 2 patches in a row of the picture."""
    slot, patch = tl.program_id(0) // patches, tl.program_id(0) % patches
    merged = patch // 4
    left = ((merged % across) * 2 + patch % 2) * side
    top = ((merged // across) * 2 + (patch % 4) // 2) * side
    index = tl.arange(0, block)
    column, line = left + index % side, top + index // side
    x, y = (column.to(tl.float32) + 0.5) * step_x, (line.to(tl.float32) + 0.5) * step_y
    red = tl.zeros([block], dtype=tl.float32)
    green = tl.zeros([block], dtype=tl.float32)
    blue = tl.zeros([block], dtype=tl.float32)
    for i in range(tl.load(begins + slot), tl.load(ends + slot)):
        ref = tl.load(refs + i)
        x0, y0 = tl.load(boxes + ref * 4), tl.load(boxes + ref * 4 + 1)
        x1, y1 = tl.load(boxes + ref * 4 + 2), tl.load(boxes + ref * 4 + 3)
        if (x0 < left + side) & (x1 > left) & (y0 < top + side) & (y1 > top):
            row = rows + ref.to(tl.int64) * _COLUMNS
            d = _distance(row, x, y)
            soft, line_width = _real(row, _SOFT), _real(row, _LINE_WIDTH)
            sharp = _divided(1.0, step_y + 2.0 * soft)
            t = tl.minimum(tl.maximum(0.5 - d * sharp, 0.0), 1.0)
            t = tl.where(soft > 0.0, t * t * (3.0 - 2.0 * t), t)
            u = tl.minimum(tl.maximum(0.5 - (d + line_width) * sharp, 0.0), 1.0)
            u = tl.where(line_width > 0.0, u, 1.0)
            a = _real(row, _ALPHA) * t * ((1.0 - u) + u * _real(row, _FILL_ALPHA))
            a = tl.where((column >= x0) & (column < x1) & (line >= y0) & (line < y1), a, 0.0)
            high = _real(row, _BOUNDS + 1) + soft
            slope = _divided(1.0, tl.maximum(_real(row, _BOUNDS + 3) - soft - high, _TINY))
            g = tl.minimum(tl.maximum((y - high) * slope, 0.0), 1.0)
            gradient = _level(row, _FILL) != _level(row, _FILL2)
            gradient = gradient | (_level(row, _FILL + 1) != _level(row, _FILL2 + 1))
            gradient = gradient | (_level(row, _FILL + 2) != _level(row, _FILL2 + 2))
            red = _painted(red, row, 0, g, gradient, u, a)
            green = _painted(green, row, 1, g, gradient, u, a)
            blue = _painted(blue, row, 2, g, gradient, u, a)
    key = tl.load(keys + slot).to(tl.uint32, bitcast=True)
    grain = _grain(key, (line * 65536 + column).to(tl.uint32)) * tl.load(strengths + slot)
    # A patch holds, for each channel, its two frames one after the other.
    area: tl.constexpr = side * side
    place = out + (tl.load(firsts + slot) + patch) * (6 * area) + (slot % 2) * area + index
    mask = index < area
    _store(place, red, grain, mean0, scale0, mask)
    _store(place + 2 * area, green, grain, mean1, scale1, mask)
    _store(place + 4 * area, blue, grain, mean2, scale2, mask)
