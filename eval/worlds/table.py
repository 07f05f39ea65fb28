"""Tables of shapes: what was painted over all frames and a camera go in, draw lists come out.

Every value that a frame can change is put in its place, moved under the camera and rounded here, in one compiled pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.worlds.compiler import compiled, warn_if_slow
from eval.worlds.geometry import bound, put
from eval.worlds.rows import (
    ALPHA,
    BOUNDS,
    COLUMNS,
    CUT,
    FILL,
    GRID,
    KIND,
    LENGTHS,
    LIMIT,
    LINE_WIDTH,
    NAMES,
    ROUND,
    SHAPE,
    SOFT,
    X_COLUMNS,
    DrawList,
    Value,
    in_picture,
)
from eval.worlds.tape import PEN_COLUMNS, Tape, tables

_PLAIN, _X, _Y, _LENGTH, _COLOUR, _EDGE = range(6)
_ROLES = np.full((len(NAMES), BOUNDS), _PLAIN, dtype=np.int64)
"""For every kind, what the camera does to each column; `_EDGE` is how far a cut is from the corner."""
_ROLES[:, FILL:CUT] = _COLOUR
_ROLES[:, CUT + 2] = _EDGE
_ROLES[:, [SOFT, LINE_WIDTH, ROUND]] = _LENGTH
for _kind in range(len(NAMES)):
    _ROLES[_kind, [SHAPE + i for i in X_COLUMNS[_kind]]] = _X
    _ROLES[_kind, [SHAPE + i + 1 for i in X_COLUMNS[_kind]]] = _Y
    _ROLES[_kind, [SHAPE + i for i in LENGTHS[_kind]]] = _LENGTH
_FINENESS = np.full(BOUNDS, float(GRID))
_FINENESS[[KIND, *range(FILL, CUT)]] = 1
_HIGHEST = float(LIMIT * GRID)
_USED = np.array([6, 6, 6, 10, 8, 8, 10])
"""How many shape columns each kind has."""


@dataclass(frozen=True, slots=True)
class Camera:
    """How the stage gets into the picture: x' = zoom * x + x0, y' = zoom * y + y0, colours times `light`.

    Each is a number, or an array with one entry a frame.
    """

    zoom: Value
    x0: Value
    y0: Value
    light: Value


def build(tapes: Sequence[Tape], frames: int, camera: Camera, width: float) -> list[DrawList]:
    """The draw list of each tape.

    Raises:
        ValueError: A value is not a number or too large to be stored.
    """
    warn_if_slow()
    painted = tables(tapes, frames)
    views = [np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (camera.zoom, camera.x0, camera.y0, camera.light)]
    steady = all(len(view) == 1 for view in views) and frames > 0
    view = np.stack([np.broadcast_to(view, 1 if steady else frames) for view in views])
    rows, refs, misfit = _rows(
        painted.numbers, painted.sources, painted.pens, painted.pen_numbers, painted.pen_sources, painted.arrays,
        view, frames,
    )  # fmt: skip
    if misfit >= 0:
        name = NAMES[int(painted.numbers[misfit, KIND])]
        raise ValueError(f"a painted {name} has a value that is not a number or further than {LIMIT} from 0")
    kept = in_picture(rows, width)
    result = []
    for first, last in zip(painted.starts[:-1].tolist(), painted.starts[1:].tolist(), strict=True):
        numbers, shown, offsets = _seen(refs[first:last], kept)
        short = len(numbers) <= 65536
        small = shown.astype(np.uint16) if short else shown.astype(np.uint32)
        result.append(DrawList(rows[numbers], small, offsets, float(width)))
    return result


@compiled
def _rows(
    numbers: NDArray[np.float64],
    sources: NDArray[np.int32],
    pens: NDArray[np.int64],
    pen_numbers: NDArray[np.float64],
    pen_sources: NDArray[np.int32],
    arrays: NDArray[np.float64],
    view: NDArray[np.float64],
    frames: int,
) -> tuple[NDArray[np.int16], NDArray[np.int32], int]:
    """All shapes' rows, each stretch of frames that are alike once; which row each frame shows, -1 is none.

    The last result is the shape that cannot be stored, or -1.
    """
    shapes = len(numbers)
    rows = np.zeros((shapes * 4 + 64, COLUMNS), dtype=np.int16)
    refs = np.full((shapes, frames), -1, dtype=np.int32)
    total = 0
    own, pen, stored = np.empty(BOUNDS), np.zeros(PEN_COLUMNS), np.empty(BOUNDS)
    pen[:] = 1
    changing = np.empty(BOUNDS, dtype=np.int64)
    moves = view.shape[1] > 1
    for s in range(shapes):
        holder, kind = pens[s], int(numbers[s, KIND])
        sliding = False
        if holder >= 0:
            for i in range(PEN_COLUMNS - 1):
                sliding = sliding or pen_sources[holder, i] >= 0
        cut = numbers[s, CUT] != 0 or numbers[s, CUT + 1] != 0
        for i in range(CUT, CUT + 3):
            cut = cut or sources[s, i] >= 0
        # The columns that may change from frame to frame; all others are worked out once.
        count = 0
        told = False
        for i in range(BOUNDS):
            told = told or sources[s, i] >= 0
        for i in range(BOUNDS):
            role = _ROLES[kind, i]
            placed = SHAPE <= i < SHAPE + _USED[kind] or role in (_LENGTH, _EDGE) or i in (CUT, CUT + 1)
            by_pen = holder >= 0 and placed and (sliding or told)
            if sources[s, i] >= 0 or by_pen or (moves and (role != _PLAIN or placed)):
                changing[count] = i
                count += 1
        alpha_source = sources[s, ALPHA]
        pen_alpha_source = pen_sources[holder, PEN_COLUMNS - 1] if holder >= 0 else -1
        fades = alpha_source >= 0 or pen_alpha_source >= 0
        if fades:
            told = False
            for i in range(count):
                told = told or changing[i] == ALPHA
            if not told:
                changing[count] = ALPHA
                count += 1
        last = -1
        for f in range(frames if count > 0 else min(frames, 1)):
            alpha = arrays[alpha_source, f] if alpha_source >= 0 else numbers[s, ALPHA]
            if holder >= 0:
                share = arrays[pen_alpha_source, f] if pen_alpha_source >= 0 else pen_numbers[holder, PEN_COLUMNS - 1]
                alpha = share * alpha
            opaque = np.rint(alpha * GRID)
            # Where an array's entry is not a number the shape is absent; a plain number cannot be meant so.
            if opaque <= 0 or (fades and not opaque > 0):
                continue
            first = last < 0
            for n in range(BOUNDS if first else count):
                i = n if first else changing[n]
                source = sources[s, i]
                own[i] = arrays[source, f] if source >= 0 else numbers[s, i]
            own[ALPHA] = alpha
            if holder >= 0:
                for i in range(PEN_COLUMNS):
                    source = pen_sources[holder, i]
                    pen[i] = arrays[source, f] if source >= 0 else pen_numbers[holder, i]
                put(kind, own, pen, cut)
            at = f if moves else 0
            zoom, x0, y0, light = view[0, at], view[1, at], view[2, at], view[3, at]
            if total == len(rows):
                larger = np.zeros((2 * total, COLUMNS), dtype=np.int16)
                larger[:total] = rows
                rows = larger
            new = first
            for n in range(BOUNDS if first else count):
                i = n if first else changing[n]
                role, value = _ROLES[kind, i], own[i]
                if role == _COLOUR:
                    value = min(value * light, 255.0)
                elif role == _EDGE:
                    value = value * zoom + own[CUT] * x0 + own[CUT + 1] * y0 if cut else value
                elif role != _PLAIN:
                    value = value * zoom
                    if role == _X:
                        value = value + x0
                    elif role == _Y:
                        value = value + y0
                value = np.rint(value * _FINENESS[i])
                if not abs(value) <= _HIGHEST:
                    return rows[:total], refs, s
                new = new or stored[i] != value
                stored[i] = value
            if new:
                for i in range(BOUNDS):
                    rows[total, i] = np.int16(stored[i])
                bound(rows[total])
                last = total
                total += 1
            refs[s, f] = last
        if count == 0:
            refs[s, :] = last
    return rows[:total], refs, -1


@compiled
def _seen(
    refs: NDArray[np.int32], kept: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of some shapes: the rows that are kept, which of these each frame shows, and where each frame's part begins."""
    shapes, frames = refs.shape
    number = np.full(len(kept), -1, dtype=np.int64)
    offsets = np.zeros(frames + 1, dtype=np.int64)
    used = 0
    for s in range(shapes):
        for f in range(frames):
            row = refs[s, f]
            if row >= 0 and kept[row]:
                offsets[f + 1] += 1
                if number[row] < 0:
                    number[row] = used
                    used += 1
    for f in range(frames):
        offsets[f + 1] += offsets[f]
    rows = np.empty(used, dtype=np.int64)
    for row in range(len(kept)):
        if number[row] >= 0:
            rows[number[row]] = row
    result, following = np.empty(offsets[frames], dtype=np.int64), offsets.copy()
    for s in range(shapes):
        for f in range(frames):
            row = refs[s, f]
            if row >= 0 and kept[row]:
                result[following[f]] = number[row]
                following[f] += 1
    return rows, result, offsets
