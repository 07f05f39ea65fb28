"""Tapes: shapes go in as they are painted, each a list of columns; tables of numbers and of what changes come out.

A shape is in stage units, or in those of a pen that it names. What changes from frame to frame is an array; arrays that
several shapes share, as a pen's place, are kept once.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.worlds.rows import BOUNDS, Array, Value

PEN_COLUMNS = 8
"""Of a pen: x, y, units sideways, units downward, tilt, its cosine and sine, opacity."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What several tapes hold, one after the other.

    Attributes:
        numbers: The shapes' columns, [shapes, `BOUNDS`]; 0 where an array tells them.
        sources: Which array tells a column, [shapes, `BOUNDS`]; -1 is none.
        pens: The pen of each shape, [shapes]; -1 is none.
        pen_numbers: The pens' columns, [pens, `PEN_COLUMNS`].
        pen_sources: Which array tells them, [pens, `PEN_COLUMNS`].
        arrays: One row for each array, [arrays, frames].
        starts: Where each tape's shapes begin, and at last where the last one's end.
    """

    numbers: NDArray[np.float64]
    sources: NDArray[np.int32]
    pens: NDArray[np.int64]
    pen_numbers: NDArray[np.float64]
    pen_sources: NDArray[np.int32]
    arrays: NDArray[np.float64]
    starts: NDArray[np.int64]


class Tape:
    """Shapes in paint order.

    Args:
        frames: The length of every array.
    """

    __slots__ = ("_arrays", "_moving", "_numbers", "_pen_moving", "_pen_numbers", "_pens", "_rows", "frames")

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._numbers = array("d")
        self._moving = array("q")
        self._pens = array("q")
        self._pen_numbers = array("d")
        self._pen_moving = array("q")
        self._arrays: list[Array] = []
        self._rows: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._pens)

    def add(self, columns: list[Value], pen: int = -1) -> None:
        """Takes a shape: the first columns of a row; with a pen, in that pen's units and seen from it.

        With a pen an ellipse's or a box's third shape column is the angle it is turned by, and the fourth nothing.

        Raises:
            ValueError: An array has not one entry a frame.
        """
        self._take(columns, self._numbers, self._moving)
        self._pens.append(pen)

    def pen(self, columns: list[Value]) -> int:
        """Takes a pen; returns the number by which shapes name it."""
        self._take(columns, self._pen_numbers, self._pen_moving)
        return len(self._pen_numbers) // PEN_COLUMNS - 1

    def paste(self, block: Tape, pens: Sequence[int]) -> None:
        """Takes all shapes of a tape that has no arrays; its pen 0 is the first of `pens`, and so on."""
        self._numbers += block._numbers
        if len(pens) == 1:
            self._pens += array("q", pens) * len(block)
        else:
            self._pens.extend([pens[pen] for pen in block._pens])

    def _take(self, columns: list[Value], numbers: array[float], moving: array[int]) -> None:
        for i, value in enumerate(columns):
            if value.__class__ is np.ndarray:
                # The list of arrays keeps each alive, so that no other can have its id.
                row = self._rows.get(id(value))
                if row is None:
                    if not value.ndim:
                        columns[i] = float(value)
                        continue
                    row = self._keep(value)
                columns[i] = 0.0
                moving.append(len(numbers) + i)
                moving.append(row)
        numbers.extend(columns)  # type: ignore[arg-type]  # the arrays are out

    def _keep(self, value: Array) -> int:
        if value.shape != (self.frames,):
            raise ValueError(f"an array of shape {value.shape} was painted with; there are {self.frames} frames")
        self._arrays.append(value)
        self._rows[id(value)] = len(self._arrays) - 1
        return len(self._arrays) - 1


def tables(tapes: Sequence[Tape], frames: int) -> Tables:
    """All tapes' shapes in one set of tables."""
    starts = np.cumsum([0, *(len(tape) for tape in tapes)])
    first_array = np.cumsum([0, *(len(tape._arrays) for tape in tapes)])
    first_pen = np.cumsum([0, *(len(tape._pen_numbers) // PEN_COLUMNS for tape in tapes)])
    arrays = [values for tape in tapes for values in tape._arrays]
    pens = _joined([tape._pens for tape in tapes], np.int64)
    pens = np.where(pens < 0, -1, pens + np.repeat(first_pen[:-1], np.diff(starts)))
    return Tables(
        _joined([tape._numbers for tape in tapes], np.float64).reshape(-1, BOUNDS),
        _sources([tape._moving for tape in tapes], starts * BOUNDS, first_array, BOUNDS),
        pens,
        _joined([tape._pen_numbers for tape in tapes], np.float64).reshape(-1, PEN_COLUMNS),
        _sources([tape._pen_moving for tape in tapes], first_pen * PEN_COLUMNS, first_array, PEN_COLUMNS),
        np.array(arrays, dtype=np.float64).reshape(len(arrays), frames),
        starts,
    )


def _joined(parts: Sequence[array[Any]], dtype: type[Any]) -> NDArray[Any]:
    return np.frombuffer(b"".join(part.tobytes() for part in parts), dtype=dtype)


def _sources(
    moving: Sequence[array[int]], first_cell: NDArray[np.int64], first_array: NDArray[np.int64], columns: int
) -> NDArray[np.int32]:
    """Which array tells each cell of a table, [rows, `columns`]; each tape counts cells and arrays anew."""
    pairs = _joined(moving, np.int64).reshape(-1, 2)
    counts = [len(part) // 2 for part in moving]
    result = np.full(int(first_cell[-1]), -1, dtype=np.int32)
    result[pairs[:, 0] + np.repeat(first_cell[:-1], counts)] = pairs[:, 1] + np.repeat(first_array[:-1], counts)
    return result.reshape(-1, columns)
