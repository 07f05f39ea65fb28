"""The renderer for CPUs: a draw list and a size in pixels go in, frames [frames, height, width, 3] of bytes come out.

What is alike from one frame to the next is drawn once, see `tiles.py`; each frame is the same as if drawn alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from eval.worlds.rows import BOUNDS, SCALE, DrawList, grain_keys, size_steps
from eval.worlds.tiles import TILE, draw_frames

Frames = NDArray[np.uint8]


def stream(
    drawlist: DrawList,
    width_px: int,
    height_px: int,
    frames: Sequence[int] | None = None,
    noise: float = 0.0,
    seed: int = 0,
    at_once: int = 24,
) -> Iterator[Frames]:
    """The frames as `draw` gives them, in parts of `at_once`, so that a long film needs little memory."""
    step_x, step_y = size_steps(drawlist, width_px, height_px)
    wanted = np.arange(drawlist.frames) if frames is None else np.asarray(frames, dtype=np.int64)
    if len(wanted) and not (wanted.min() >= 0 and wanted.max() < drawlist.frames):
        raise ValueError(f"frames run from 0 to {drawlist.frames - 1}, not to {wanted.max()}")
    rows = drawlist.rows * SCALE
    boxes = pixel_boxes(rows, width_px, height_px, step_x, step_y)
    across, down = -(-width_px // TILE), -(-height_px // TILE)
    most = max(int(np.diff(drawlist.offsets).max(initial=0)), 1)
    canvas = np.zeros((across * down, 3, TILE, TILE), dtype=np.float32)
    kept, kept_at = np.zeros_like(canvas), np.zeros(across * down, dtype=np.int32)
    lists, counts = np.zeros((2, across * down, most), dtype=np.int32), np.full((2, across * down), -1, dtype=np.int32)
    state, last = np.zeros(1, dtype=np.int64), np.zeros((height_px, width_px, 3), dtype=np.uint8)
    refs = drawlist.refs.astype(np.int64)
    for first in range(0, len(wanted), at_once):
        part = wanted[first : first + at_once]
        out = np.empty((len(part), height_px, width_px, 3), dtype=np.uint8)
        draw_frames(
            rows, boxes, refs, drawlist.offsets, part, state, canvas, kept, kept_at, lists, counts, last, across,
            step_x, step_y, float(noise), grain_keys(seed, part), out,
        )  # fmt: skip
        yield out


def draw(
    drawlist: DrawList,
    width_px: int,
    height_px: int,
    frames: Sequence[int] | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> Frames:
    """Draws a film.

    Args:
        drawlist: What to draw.
        width_px: Width of the frames; the shape of the stage, within 2%.
        height_px: Their height.
        frames: Which frames; None is all.
        noise: Standard deviation of the grain, in levels.
        seed: Of the grain.

    Returns:
        Red, green and blue of every pixel, [frames, height, width, 3].
    """
    parts = list(stream(drawlist, width_px, height_px, frames, noise, seed))
    return np.concatenate(parts) if parts else np.zeros((0, height_px, width_px, 3), dtype=np.uint8)


def pixel_boxes(
    rows: NDArray[np.float32], width_px: int, height_px: int, step_x: np.float32, step_y: np.float32
) -> NDArray[np.int32]:
    """The pixels (x0, y0, x1, y1; ends excluded) that each row may colour."""
    steps = np.array([step_x, step_y, step_x, step_y], dtype=np.float64)
    boxes = rows[:, BOUNDS : BOUNDS + 4] / steps
    boxes[:, :2] = np.floor(boxes[:, :2] - 1)
    boxes[:, 2:] = np.ceil(boxes[:, 2:] + 1)
    limits = np.array([width_px, height_px, width_px, height_px])
    return np.clip(boxes, 0, limits).astype(np.int32)
