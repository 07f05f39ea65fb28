"""Tables of shapes: what was painted over all frames and a camera go in, the draw list comes out.

Most values of most shapes are plain numbers; they are moved and rounded all at once. Only what changes from frame to
frame is looked at shape by shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    Array,
    DrawList,
    Value,
    bounds,
    in_picture,
)

_PLAIN, _X, _Y, _LENGTH, _COLOUR = range(5)
_ROLES = np.full((len(NAMES), BOUNDS), _PLAIN)
"""For every kind, what the camera does to each column."""
_ROLES[:, FILL:CUT] = _COLOUR
_ROLES[:, [SOFT, LINE_WIDTH, ROUND]] = _LENGTH
for _kind in range(len(NAMES)):
    _ROLES[_kind, [SHAPE + i for i in X_COLUMNS[_kind]]] = _X
    _ROLES[_kind, [SHAPE + i + 1 for i in X_COLUMNS[_kind]]] = _Y
    _ROLES[_kind, [SHAPE + i for i in LENGTHS[_kind]]] = _LENGTH
_ROLES_OF: list[list[int]] = _ROLES.tolist()
_FINENESS = np.full(BOUNDS, float(GRID))
_FINENESS[[KIND, *range(FILL, CUT)]] = 1
_HIGHEST = float(LIMIT * GRID)


@dataclass(frozen=True, slots=True)
class Shape:
    """A painted shape.

    Attributes:
        numbers: A row's columns up to `BOUNDS`; 0 where an array tells them.
        arrays: The columns that change, [frames] each.
    """

    numbers: list[float]
    arrays: dict[int, Array]


@dataclass(frozen=True, slots=True)
class Camera:
    """How the stage gets into the picture: x' = zoom * x + x0, y' = zoom * y + y0, colours times `light`.

    Each is a number, or all of the first three are arrays.
    """

    zoom: Value
    x0: Value
    y0: Value
    light: Value


def build(shapes: Sequence[Shape], frames: int, camera: Camera, width: float) -> DrawList:
    """The draw list of shapes in paint order.

    Raises:
        ValueError: A value is not a number or too large to be stored.
    """
    fixed = _stored_numbers(shapes, camera)
    tables = [np.zeros((0, COLUMNS), dtype=np.int16)]
    refs = np.zeros((len(shapes), frames), dtype=np.int64)
    shown = np.zeros((len(shapes), frames), dtype=bool)
    total = 0
    for i, shape in enumerate(shapes):
        alpha = shape.arrays.get(ALPHA)
        there = None if alpha is None else np.rint(alpha * GRID) > 0
        if (fixed[i, ALPHA] <= 0 if there is None else not there.any()) or not frames:
            continue
        changing = _seen(shape, camera)
        if not changing:
            if not np.abs(fixed[i]).max() <= _HIGHEST:
                raise _misfit(shape)
            tables.append(fixed[i : i + 1].astype(np.int16))
            refs[i], shown[i] = total, True
            total += 1
            continue
        rows, index = _stretches(shape, fixed[i], changing, there)
        tables.append(rows)
        shown[i] = True if there is None else there
        refs[i, shown[i]] = index + total
        total += len(rows)
    rows = np.concatenate(tables)
    rows[:, BOUNDS:] = bounds(rows)
    shown &= in_picture(rows, width)[refs] if total else False
    kept = refs.T[shown.T]
    used = np.zeros(total, dtype=bool)
    used[kept] = True
    renumbered = (np.cumsum(used) - 1)[kept]
    offsets = np.concatenate([[0], np.cumsum(shown.sum(axis=0))]).astype(np.int64)
    short = int(used.sum()) <= 65536
    small = renumbered.astype(np.uint16) if short else renumbered.astype(np.uint32)
    return DrawList(rows[used], small, offsets, float(width))


def _stored_numbers(shapes: Sequence[Shape], camera: Camera) -> NDArray[np.float64]:
    """All shapes' plain numbers as they are stored, [shapes, `COLUMNS`]; wrong where camera or light change them."""
    stored = np.zeros((len(shapes), COLUMNS))
    if not shapes:
        return stored
    numbers = np.array([shape.numbers for shape in shapes])
    roles = _ROLES[numbers[:, KIND].astype(np.int64)]
    if not isinstance(camera.zoom, np.ndarray):
        nx, ny = numbers[:, CUT], numbers[:, CUT + 1]
        cut = (nx != 0) | (ny != 0)
        moved = numbers[:, CUT + 2] * camera.zoom + nx * camera.x0 + ny * camera.y0
        numbers = np.where((roles == _X) | (roles == _Y) | (roles == _LENGTH), numbers * camera.zoom, numbers)
        numbers = numbers + np.where(roles == _X, camera.x0, 0) + np.where(roles == _Y, camera.y0, 0)
        numbers[:, CUT + 2] = np.where(cut, moved, numbers[:, CUT + 2])
    if not isinstance(camera.light, np.ndarray):
        numbers = np.where(roles == _COLOUR, np.minimum(numbers * camera.light, 255), numbers)
    stored[:, :BOUNDS] = np.rint(numbers * _FINENESS)
    return stored


def _seen(shape: Shape, camera: Camera) -> dict[int, Array]:
    """The columns that change from frame to frame, as the camera sees them."""
    numbers, arrays = shape.numbers, shape.arrays
    moves, flickers = isinstance(camera.zoom, np.ndarray), isinstance(camera.light, np.ndarray)
    roles = _ROLES_OF[int(numbers[KIND])]
    result: dict[int, Array] = {}
    for i in range(BOUNDS) if moves or flickers else arrays:
        value = arrays.get(i)
        role = roles[i]
        if value is None:
            lit = flickers and role == _COLOUR
            carried = moves and (role in (_X, _Y) or (role == _LENGTH and numbers[i] != 0))
            if not lit and not carried:
                continue
        own: Value = numbers[i] if value is None else value
        if role == _COLOUR:
            own = np.minimum(own * camera.light, 255)
        elif role != _PLAIN:
            own = own * camera.zoom
            if role != _LENGTH:
                own = own + (camera.x0 if role == _X else camera.y0)
        result[i] = np.asarray(own)
    if any(i in arrays for i in range(CUT, CUT + 3)) or (moves and (numbers[CUT] or numbers[CUT + 1])):
        cut = [arrays.get(i, numbers[i]) for i in range(CUT, CUT + 3)]
        moved = cut[2] * camera.zoom + cut[0] * camera.x0 + cut[1] * camera.y0
        result[CUT + 2] = np.broadcast_to(moved, np.shape(next(iter(result.values()))))
    return result


def _stretches(
    shape: Shape, fixed: NDArray[np.float64], changing: dict[int, Array], there: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """A shape's rows, each stretch of frames that are alike once, and which of them each frame shows."""
    columns = list(changing)
    values = np.stack(list(changing.values()))
    if there is not None and not there.all():
        # Where a shape is absent its other values say nothing and may be anything.
        values = values[:, there]
    stored = np.rint(values * _FINENESS[columns, None])
    base = fixed.copy()
    base[columns] = 0
    if not (np.abs(stored).max() <= _HIGHEST and np.abs(base).max() <= _HIGHEST):
        raise _misfit(shape)
    whole = stored.astype(np.int16)
    changed = np.ones(whole.shape[1], dtype=bool)
    np.any(whole[:, 1:] != whole[:, :-1], axis=0, out=changed[1:])
    first = np.flatnonzero(changed)
    rows = np.repeat(base.astype(np.int16)[None], len(first), axis=0)
    rows[:, columns] = whole[:, first].T
    return rows, np.cumsum(changed) - 1


def _misfit(shape: Shape) -> ValueError:
    name = NAMES[int(shape.numbers[KIND])]
    return ValueError(f"a painted {name} has a value that is not a number or further than {LIMIT} from 0")
