"""The compiled inner part of the renderer for CPUs: rows of shapes go in, the frames' pixels come out, tile by tile.

A tile whose shapes are those of the last frame is kept; another begins where its shapes first differ from the last
frame's, from a copy that was kept of it. That gives the same frame, bit for bit, as painting all of it, because every
pixel goes through the same steps, which are those of `gpu_kernel.py` as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.worlds.compiler import compiled
from eval.worlds.rows import (
    ALPHA,
    BOUNDS,
    CURVE,
    CUT,
    ELLIPSE,
    FILL,
    FILL2,
    FILL_ALPHA,
    GRAIN_MIDDLE,
    GRAIN_SPREAD,
    KIND,
    LINE,
    LINE_WIDTH,
    SHAPE,
    SOFT,
)
from eval.worlds.shapes import Real, distances

TILE = 16
"""Width and height of a tile in pixels."""
SKIP, EDGE, SOLID = 0, 1, 2
_0, _1, _2, _3, _HALF = (np.float32(v) for v in (0, 1, 2, 3, 0.5))
_TINY = np.float32(1e-12)
_SLACK = np.float32(3e-4)
"""How much nearer than it says a shape's edge may be, because of rounding."""
_MIDDLE, _SPREAD = np.float32(GRAIN_MIDDLE), np.float32(GRAIN_SPREAD)


@compiled
def _class(row: NDArray[np.float32], x: Real, y: Real, reach: Real, pixel: Real, one: NDArray[np.float32]) -> int:
    """Whether a shape misses, fills, or does something else to all that lies within `reach` of (x, y)."""
    distances(row, x, y, _1, _1, one, 1, 1)
    outer = inner = one[0, 0]
    kind = int(row[KIND])
    if kind == ELLIPSE:
        # An ellipse's distances are not true ones, but never smaller than what a circle of its smaller radius gives.
        s = row[SHAPE : SHAPE + 6]
        px, py = x - s[0], y - s[1]
        qx, qy = (px * s[2] + py * s[3]) / max(s[4], _TINY), (py * s[2] - px * s[3]) / max(s[5], _TINY)
        outer = min(s[4], s[5]) * (np.sqrt(qx * qx + qy * qy) - _1)
        inner = outer
        cut = row[CUT + 2] - row[CUT] * x - row[CUT + 1] * y
        outer, inner = max(outer, cut), max(inner, cut)
    elif kind == CURVE:
        spread = abs(row[SHAPE + 6] - row[SHAPE + 7])
        outer, inner = outer - spread, inner + spread
    margin = (pixel + _2 * row[SOFT]) * _HALF + reach + _SLACK
    if outer > margin:
        return SKIP
    if inner + row[LINE_WIDTH] < -margin:
        return SOLID
    return EDGE


@compiled
def blend(
    tile: NDArray[np.float32], row: NDArray[np.float32], solid: bool, d: NDArray[np.float32], pixel: Real, y0: Real,
    step_y: Real, j0: int, j1: int, i0: int, i1: int,
) -> None:  # fmt: skip
    """Paints a shape over the part of a tile whose distances are in `d`."""
    red, green, blue = row[FILL], row[FILL + 1], row[FILL + 2]
    red2, green2, blue2 = row[FILL2], row[FILL2 + 1], row[FILL2 + 2]
    line_red, line_green, line_blue = row[LINE], row[LINE + 1], row[LINE + 2]
    gradient = red != red2 or green != green2 or blue != blue2
    soft, alpha, line, within = row[SOFT], row[ALPHA], row[LINE_WIDTH], row[FILL_ALPHA]
    top = row[BOUNDS + 1] + soft
    slope = _1 / max(row[BOUNDS + 3] - soft - top, _TINY)
    sharp = _1 / (pixel + _2 * soft)
    for j in range(j0, j1):
        if gradient:
            y = (y0 + np.float32(j - j0)) * step_y
            g = min(max((y - top) * slope, _0), _1)
            h = _1 - g
            r, gr, b = row[FILL] * h + red2 * g, row[FILL + 1] * h + green2 * g, row[FILL + 2] * h + blue2 * g
        else:
            r, gr, b = red, green, blue
        if solid:
            a = alpha * within
            rest = _1 - a
            for i in range(i0, i1):
                tile[0, j, i] = tile[0, j, i] * rest + r * a
                tile[1, j, i] = tile[1, j, i] * rest + gr * a
                tile[2, j, i] = tile[2, j, i] * rest + b * a
            continue
        for i in range(i0, i1):
            distance = d[j - j0, i - i0]
            t = min(max(_HALF - distance * sharp, _0), _1)
            if soft > _0:
                t = t * t * (_3 - _2 * t)
            u = min(max(_HALF - (distance + line) * sharp, _0), _1) if line > _0 else _1
            v = _1 - u
            a = alpha * t * (v + u * within)
            rest = _1 - a
            tile[0, j, i] = tile[0, j, i] * rest + (line_red * v + r * u) * a
            tile[1, j, i] = tile[1, j, i] * rest + (line_green * v + gr * u) * a
            tile[2, j, i] = tile[2, j, i] * rest + (line_blue * v + b * u) * a


@compiled
def _bin(
    boxes: NDArray[np.int32], refs: NDArray[np.int64], lists: NDArray[np.int32], counts: NDArray[np.int32], across: int
) -> None:
    """Lists the shapes that touch each tile, the lowest first."""
    counts[:] = 0
    for ref in refs:
        for ty in range(boxes[ref, 1] // TILE, (boxes[ref, 3] - 1) // TILE + 1):
            for tx in range(boxes[ref, 0] // TILE, (boxes[ref, 2] - 1) // TILE + 1):
                tile = ty * across + tx
                lists[tile, counts[tile]] = ref
                counts[tile] += 1


@compiled
def _draw_tile(
    tile: NDArray[np.float32], kept: NDArray[np.float32], kept_at: int, same: int, rows: NDArray[np.float32],
    boxes: NDArray[np.int32], refs: NDArray[np.int32], classes: NDArray[np.int8], d: NDArray[np.float32], left: int,
    top: int, step_x: Real, step_y: Real,
) -> int:  # fmt: skip
    """Paints a tile's shapes; returns how many of them `kept`, the copy for the next frame, then holds."""
    reach = _HALF * np.float32(TILE) * np.sqrt(step_x * step_x + step_y * step_y)
    middle_x, middle_y = (np.float32(left + TILE // 2)) * step_x, (np.float32(top + TILE // 2)) * step_y
    start = kept_at if kept_at <= same else 0
    kept_at = start
    begin = start
    for n in range(start, len(refs)):
        row = rows[refs[n]]
        classes[n] = _class(row, middle_x, middle_y, reach, step_y, d)
        if classes[n] == SOLID and row[ALPHA] * row[FILL_ALPHA] == _1:
            begin = n
    if begin == start:
        if start > 0:
            tile[:] = kept
        else:
            tile[:] = _0
    for n in range(begin, len(refs)):
        if n == same and n > begin:
            kept[:] = tile
            kept_at = same
        if classes[n] == SKIP:
            continue
        row = rows[refs[n]]
        if classes[n] == SOLID:
            j0, j1, i0, i1 = 0, TILE, 0, TILE
        else:
            box = boxes[refs[n]]
            i0, i1 = max(box[0] - left, 0), min(box[2] - left, TILE)
            j0, j1 = max(box[1] - top, 0), min(box[3] - top, TILE)
        x0, y0 = np.float32(left + i0) + _HALF, np.float32(top + j0) + _HALF
        if classes[n] == EDGE:
            distances(row, x0, y0, step_x, step_y, d, j1 - j0, i1 - i0)
        blend(tile, row, classes[n] == SOLID, d, step_y, y0, step_y, j0, j1, i0, i1)
    return kept_at


@compiled
def _mixed(value: Real) -> Real:
    """Stirs the bits of a 32-bit number."""
    v = np.uint32(value)
    v = np.uint32(v ^ (v >> np.uint32(16)))
    v = np.uint32(v * np.uint32(0x9E3779B1))
    v = np.uint32(v ^ (v >> np.uint32(15)))
    v = np.uint32(v * np.uint32(0x85EBCA77))
    return np.uint32(v ^ (v >> np.uint32(16)))


@compiled
def _emit(
    canvas: NDArray[np.float32], changed: NDArray[np.bool_], across: int, noise: Real, key: Real, out: NDArray[np.uint8]
) -> None:
    """Turns tiles into a frame of whole numbers, with grain; without grain only those that changed."""
    height, width = out.shape[:2]
    strength = np.float32(noise) / _SPREAD
    grain = np.zeros(TILE, dtype=np.float32)
    for n in range(len(canvas)):
        if noise == 0 and not changed[n]:
            continue
        tile = canvas[n]
        left, top = (n % across) * TILE, (n // across) * TILE
        w = min(TILE, width - left)
        for j in range(min(TILE, height - top)):
            y = top + j
            if noise > 0:
                for i in range(TILE):
                    v = _mixed(np.uint32(np.uint32(key) ^ np.uint32(y * 65536 + left + i)))
                    total = (v & np.uint32(255)) + ((v >> np.uint32(8)) & np.uint32(255))
                    total = total + ((v >> np.uint32(16)) & np.uint32(255)) + (v >> np.uint32(24))
                    grain[i] = (np.float32(total) - _MIDDLE) * strength
            for i in range(w):
                for c in range(3):
                    level = min(max(tile[c, j, i] + grain[i], _0), np.float32(255))
                    out[y, left + i, c] = np.uint8(level + _HALF)


@compiled
def draw_frames(
    rows: NDArray[np.float32], boxes: NDArray[np.int32], refs: NDArray[np.int64], offsets: NDArray[np.int64],
    frames: NDArray[np.int64], state: NDArray[np.int64], canvas: NDArray[np.float32], kept: NDArray[np.float32],
    kept_at: NDArray[np.int32], lists: NDArray[np.int32], counts: NDArray[np.int32], last: NDArray[np.uint8],
    across: int, step_x: Real, step_y: Real, noise: Real, keys: NDArray[np.uint32], out: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Draws frames one after the other. `state` holds which half of `lists` the last frame's are in."""
    changed = np.zeros(len(canvas), dtype=np.bool_)
    classes = np.zeros(lists.shape[2], dtype=np.int8)
    d = np.empty((TILE, TILE), dtype=np.float32)
    for f in range(len(frames)):
        frame = frames[f]
        old, new = state[0], 1 - state[0]
        state[0] = new
        _bin(boxes, refs[offsets[frame] : offsets[frame + 1]], lists[new], counts[new], across)
        for n in range(len(canvas)):
            count, before = counts[new, n], counts[old, n]
            same = 0
            while same < count and same < before and lists[new, n, same] == lists[old, n, same]:
                same += 1
            changed[n] = same != count or same != before
            if changed[n]:
                left, top = (n % across) * TILE, (n // across) * TILE
                kept_at[n] = _draw_tile(
                    canvas[n], kept[n], kept_at[n], same, rows, boxes, lists[new, n, :count], classes, d, left, top,
                    step_x, step_y,
                )  # fmt: skip
        _emit(canvas, changed, across, noise, keys[f], last)
        out[f] = last


@compiled
def to_yuv(frame: NDArray[np.uint8], planes: NDArray[np.uint8]) -> None:
    """Converts a frame to BT.709 of limited range, both colour differences at half size.

    Args:
        frame: [height, width, 3], both even.
        planes: Filled with the rows of Y, then those of U and V, each half as long: [height * 3 / 2, width].
    """
    height, width = frame.shape[:2]
    flat = planes.reshape(-1)
    u0, v0 = height * width, height * width + height * width // 4
    # 65536ths of a level; of a colour difference, the mean of four pixels.
    for y in range(height):
        for x in range(width):
            r, g, b = np.int32(frame[y, x, 0]), np.int32(frame[y, x, 1]), np.int32(frame[y, x, 2])
            flat[y * width + x] = np.uint8((11966 * r + 40254 * g + 4064 * b + 1081344) >> 16)
    for y in range(height // 2):
        for x in range(width // 2):
            r = g = b = np.int32(0)
            for j in range(2):
                for i in range(2):
                    r += np.int32(frame[2 * y + j, 2 * x + i, 0])
                    g += np.int32(frame[2 * y + j, 2 * x + i, 1])
                    b += np.int32(frame[2 * y + j, 2 * x + i, 2])
            at = y * (width // 2) + x
            flat[u0 + at] = np.uint8((-6596 * r - 22189 * g + 28785 * b + 33685504) >> 18)
            flat[v0 + at] = np.uint8((28784 * r - 26145 * g - 2639 * b + 33685504) >> 18)
