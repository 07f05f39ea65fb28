"""The renderer for GPUs: draw lists go in, pixels in Qwen2-VL's patch layout come out, without a film in between.

Each program of the kernel draws one patch of 14 x 14 pixels of one frame and takes the very steps of the renderer for
CPUs, so that the levels are those that `raster.draw` gives; then it normalises them and stores them where transformers'
video processor would. On a CPU, TRITON_INTERPRET=1 runs the same kernel slowly, for tests.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eval.worlds import gpu_kernel as kernel
from eval.worlds import rows as layout
from eval.worlds.rows import GRID, DrawList, size_steps
from roles.errors import InputError

PATCH, MERGE, FRAMES_A_PATCH = 14, 2, 2
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""What Qwen2-VL's processors take pixels to: (level / 255 - mean) / std."""

_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def draw_patches(
    drawlists: Sequence[DrawList],
    width_px: int,
    height_px: int,
    noise: float | Sequence[float] = 0.0,
    seeds: int | Sequence[int] = 0,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cuda",
    warps: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws films into patches.

    Args:
        drawlists: One for each film.
        width_px: Width of the frames, a multiple of 28.
        height_px: Their height, a multiple of 28.
        noise: Standard deviation of the grain in levels, for all films or for each.
        seeds: Of the grain, for all films or for each.
        mean: Subtracted from each channel's share of 255.
        std: What that is divided by.
        dtype: Of the pixels.
        device: Where they are drawn.
        warps: How many warps draw one patch; the pixels are the same with any.

    Returns:
        `pixel_values_videos` [patches, 3 * 2 * 14 * 14] of all films, one after the other, and
        `video_grid_thw` [films, 3]. The last frame of an odd number is repeated.

    Raises:
        InputError: There is no CUDA device.
        ValueError: A film is empty, or the size does not fit it.
    """
    where = torch.device(device)
    if not _INTERPRETED and (where.type != "cuda" or not torch.cuda.is_available()):
        raise InputError("drawing into patches needs a CUDA device; eval.worlds.raster.draw draws the same on a CPU")
    side = PATCH * MERGE
    if width_px % side or height_px % side or width_px < side or height_px < side:
        raise ValueError(f"frames of {width_px} x {height_px} pixels do not fall into blocks of {side} x {side}")
    if not drawlists or any(film.frames == 0 for film in drawlists):
        raise ValueError("there must be films to draw, each with at least one frame")
    steps = [size_steps(film, width_px, height_px) for film in drawlists]
    if len({step_x for step_x, _ in steps}) > 1:
        raise ValueError("the films of one call must have stages of the same width")
    table = _Table(drawlists, height_px // PATCH, width_px // PATCH, noise, seeds)
    rows = torch.from_numpy(np.concatenate([film.rows for film in drawlists])).to(where, non_blocking=True)
    refs = torch.from_numpy(np.concatenate(table.refs)).to(where, non_blocking=True)
    slots = {name: torch.from_numpy(value).to(where) for name, value in table.slots.items()}
    step_x, step_y = steps[0]
    boxes = _pixel_boxes(rows, width_px, height_px, float(step_x), float(step_y))
    pixels = torch.empty((int(table.grid.prod(axis=1).sum()), 3 * FRAMES_A_PATCH * PATCH**2), dtype=dtype, device=where)
    patches = width_px * height_px // PATCH**2
    kernel.draw[(len(table.slots["keys"]) * patches,)](
        rows, boxes, refs, slots["begins"], slots["ends"], slots["keys"], slots["strengths"], slots["firsts"], pixels,
        float(step_x), float(step_y), *(255 * value for value in mean), *(1 / (255 * value) for value in std),
        across=width_px // side, patches=patches, side=PATCH, block=256, num_warps=warps, enable_fp_fusion=False,
    )  # fmt: skip
    return pixels, torch.from_numpy(table.grid).to(where)


class _Table:
    """What each frame slot of the kernel draws: slot 2 t + k is frame k of a film's temporal patch t."""

    def __init__(
        self,
        films: Sequence[DrawList],
        down: int,
        across: int,
        noise: float | Sequence[float],
        seeds: int | Sequence[int],
    ) -> None:
        noises = [float(noise)] * len(films) if isinstance(noise, (int, float)) else list(noise)
        all_seeds = [int(seeds)] * len(films) if isinstance(seeds, int) else list(seeds)
        if not len(noises) == len(all_seeds) == len(films):
            raise ValueError(
                f"{len(films)} films need as many noises and seeds, not {len(noises)} and {len(all_seeds)}"
            )
        self.refs: list[NDArray[np.int32]] = []
        self.grid = np.empty((len(films), 3), dtype=np.int64)
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("begins", "ends", "keys", "strengths", "firsts")}
        row = ref = patch = 0
        patches = down * across
        for i, film in enumerate(films):
            pairs = -(-film.frames // FRAMES_A_PATCH)
            frames = np.minimum(np.arange(pairs * FRAMES_A_PATCH), film.frames - 1)
            self.refs.append(film.refs.astype(np.int32) + np.int32(row))
            parts["begins"].append(film.offsets[frames] + ref)
            parts["ends"].append(film.offsets[frames + 1] + ref)
            parts["keys"].append(layout.grain_keys(all_seeds[i], frames).view(np.int32))
            strength = np.float32(noises[i]) / np.float32(layout.GRAIN_SPREAD)
            parts["strengths"].append(np.full(len(frames), strength, dtype=np.float32))
            parts["firsts"].append(patch + np.arange(len(frames), dtype=np.int64) // FRAMES_A_PATCH * patches)
            self.grid[i] = pairs, down, across
            row, ref, patch = row + len(film.rows), ref + len(film.refs), patch + pairs * patches
        self.slots = {name: np.concatenate(values) for name, values in parts.items()}


def _pixel_boxes(rows: torch.Tensor, width_px: int, height_px: int, step_x: float, step_y: float) -> torch.Tensor:
    """The pixels (x0, y0, x1, y1; ends excluded) that each row may colour: `raster.pixel_boxes` on the device."""
    steps = torch.tensor([step_x, step_y, step_x, step_y], dtype=torch.float64, device=rows.device)
    boxes = rows[:, layout.BOUNDS : layout.BOUNDS + 4].double() / GRID / steps
    boxes[:, :2] = torch.floor(boxes[:, :2] - 1)
    boxes[:, 2:] = torch.ceil(boxes[:, 2:] + 1)
    limits = torch.tensor([width_px, height_px, width_px, height_px], dtype=torch.float64, device=rows.device)
    return torch.minimum(boxes.clamp(min=0), limits).int()
