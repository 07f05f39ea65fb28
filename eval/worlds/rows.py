"""The rows that say what a film's pictures are made of: their layout, their boxes, and draw lists in and out of files.

A row is `COLUMNS` whole numbers that, times `SCALE`, say all about one shape: what the renderers draw by. Nothing in it
depends on the size in pixels: the picture is 1 high and `width` wide, x to the right, y down, colours are 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roles.errors import DataError

Array = NDArray[Any]
Value = float | Array
"""A number, or an array with one entry a frame."""

ELLIPSE, BOX, CAPSULE, POLYGON, ARC, CURVE, STROKE = range(7)
"""Kinds of shapes; column `KIND` of a row."""
KIND, ALPHA, SOFT, LINE_WIDTH, FILL, FILL2, LINE, CUT, SHAPE, ROUND, FILL_ALPHA, BOUNDS = (
    0, 1, 2, 3, 4, 7, 10, 13, 16, 26, 27, 28,
)  # fmt: skip
COLUMNS = 32
GRID = 8192
"""Lengths, alphas and directions are stored as multiples of 1 / GRID."""
LIMIT = 3.99
"""No shape may reach further than this from the picture's corner; a 16-bit number ends there."""
NAMES = ("ellipse", "box", "capsule", "polygon", "arc", "curve", "stroke")
CURVE_PIECES = 8
"""A curve is drawn as this many straight pieces."""
NEVER_CUT = -3.9

GRAIN_MIDDLE, GRAIN_SPREAD = 510.0, 147.80
"""Mean and standard deviation of the sum of four random bytes, of which the grain is made."""

SCALE = np.full(COLUMNS, 1 / GRID, dtype=np.float32)
"""What a stored whole number is multiplied with."""
SCALE[[KIND, *range(FILL, CUT)]] = 1

# For every kind: which of the ten shape columns are x positions, y positions, lengths; others are directions or sines.
X_COLUMNS = {
    ELLIPSE: (0,),
    BOX: (0,),
    CAPSULE: (0, 2),
    POLYGON: (0, 2, 4, 6, 8),
    ARC: (0,),
    CURVE: (0, 2, 4),
    STROKE: (),
}
X_COLUMNS[STROKE] = X_COLUMNS[POLYGON]
LENGTHS = {ELLIPSE: (4, 5), BOX: (4, 5), CAPSULE: (4, 5), POLYGON: (), ARC: (4, 5), CURVE: (6, 7), STROKE: ()}


@dataclass(frozen=True, slots=True, eq=False)
class DrawList:
    """What to draw in every frame.

    Attributes:
        rows: Whole numbers [shapes, `COLUMNS`]; times `SCALE` they are the shapes.
        refs: For one frame after another, the rows to draw, the lowest first.
        offsets: Where each frame's part of `refs` begins, and at last where the last one's ends.
        width: Of the picture, in stage units.
    """

    rows: NDArray[np.int16]
    refs: NDArray[np.uint16] | NDArray[np.uint32]
    offsets: NDArray[np.int64]
    width: float

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        """Its size in memory."""
        return self.rows.nbytes + self.refs.nbytes + self.offsets.nbytes

    def frame(self, i: int) -> NDArray[np.float32]:
        """The shapes of one frame, [shapes, `COLUMNS`]."""
        return self.rows[self.refs[self.offsets[i] : self.offsets[i + 1]]] * SCALE

    def save(self, path: Path) -> None:
        """Writes it as an npz file."""
        with path.open("wb") as file:
            np.savez_compressed(
                file, rows=self.rows, refs=self.refs, offsets=self.offsets, width=np.array(self.width, dtype=np.float64)
            )

    @staticmethod
    def load(path: Path) -> DrawList:
        """Reads what `save` wrote."""
        try:
            with np.load(path, allow_pickle=False) as data:
                return DrawList(data["rows"], data["refs"], data["offsets"], float(data["width"]))
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path} is no draw list ({error}); write it again with DrawList.save") from error


def in_picture(rows: NDArray[np.int16], width: float) -> NDArray[np.bool_]:
    """Which rows may colour anything of a picture `width` wide; smoothing is never wider than 1/64."""
    x0, y0, x1, y1 = rows[:, BOUNDS:].T / GRID
    inside: NDArray[np.bool_] = (x1 > -1 / 64) & (x0 < width + 1 / 64) & (y1 > -1 / 64) & (y0 < 1 + 1 / 64)
    return inside


def size_steps(drawlist: DrawList, width_px: int, height_px: int) -> tuple[np.float32, np.float32]:
    """Width and height of a pixel in stage units.

    Raises:
        ValueError: The size is not of the stage's shape; a film is drawn whole, without bars.
    """
    if width_px < 1 or height_px < 1 or not 0.98 < drawlist.width * height_px / width_px < 1.02:
        raise ValueError(
            f"a stage {drawlist.width:.3f} times as wide as high does not fit {width_px} x {height_px} pixels; "
            f"at that height draw about {round(drawlist.width * height_px)} pixels wide"
        )
    return np.float32(drawlist.width / width_px), np.float32(1 / height_px)


def grain_keys(seed: int, frames: NDArray[np.int64]) -> NDArray[np.uint32]:
    """What the grain of each frame is made from."""
    return stirred(stirred(np.array([seed & 0xFFFFFFFF], dtype=np.uint32)) ^ frames.astype(np.uint32))


def stirred(v: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Stirs the bits of 32-bit numbers."""
    v = (v ^ (v >> np.uint32(16))) * np.uint32(0x9E3779B1)
    v = (v ^ (v >> np.uint32(15))) * np.uint32(0x85EBCA77)
    return v ^ (v >> np.uint32(16))
