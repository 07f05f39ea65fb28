"""Films of lessons go in, grey levels in the vision tower's patch layout come out: on a GPU, or slowly on a CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from adapters import vision
from eval.worlds.rows import DrawList

PATCH, MERGE = 14, 2
SIDE = PATCH * MERGE
FINER = 1.3
"""A film whose picture has another shape than the view is drawn at least so much finer first, in its own shape."""


@dataclass(frozen=True, slots=True)
class Film:
    """What it takes to draw the frames of a view.

    Attributes:
        drawn: The frames' shapes.
        noise: Standard deviation of the grain, in levels.
        seed: Of the grain.
    """

    drawn: DrawList
    noise: float
    seed: int


def draw(films: Sequence[Film], rows: int, columns: int, device: str | torch.device) -> Tensor:
    """Draws films of one size.

    Args:
        films: Each with an even number of frames.
        rows: Rows of visual tokens.
        columns: Columns of visual tokens.
        device: Where; with CUDA, or Triton's interpreter, by the GPU's renderer.

    Returns:
        uint8 [patches, 3 * 2 * 14 * 14], films in their order, see `contract.World.draw`.
    """
    where = torch.device(device)
    groups: dict[float, list[int]] = {}
    for number, film in enumerate(films):
        groups.setdefault(film.drawn.width, []).append(number)
    found: dict[int, Tensor] = {}
    for width, numbers in groups.items():
        size = drawn_size(width, rows, columns)
        parts = _draw_group([films[number] for number in numbers], *size, where)
        if size != (columns * SIDE, rows * SIDE):
            parts = [_resized(part, *size, rows, columns) for part in parts]
        found.update(zip(numbers, parts, strict=True))
    return torch.cat([found[number] for number in range(len(films))])


def drawn_size(width: float, rows: int, columns: int) -> tuple[int, int]:
    """Width and height in pixels at which a film is drawn: that of the view, if it has the shape of the stage.

    Args:
        width: Of the stage, which is 1 high.
        rows: Rows of visual tokens of the view.
        columns: Columns of them.
    """
    if abs(width * rows / columns - 1) < 0.02:
        return columns * SIDE, rows * SIDE
    for high in range(max(rows, round(FINER * rows)), 8 * rows):
        across = round(width * high)
        if across >= columns and abs(width * high / across - 1) < 0.019:
            return across * SIDE, high * SIDE
    raise ValueError(f"no size for a stage {width} times as wide as high in {columns} x {rows} tokens")


def _draw_group(films: Sequence[Film], width_px: int, height_px: int, device: torch.device) -> list[Tensor]:
    if device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1":
        from eval.worlds.gpu import draw_patches

        pixels, grid = draw_patches(
            [film.drawn for film in films],
            width_px,
            height_px,
            [film.noise for film in films],
            [film.seed for film in films],
            mean=(0.0, 0.0, 0.0),
            std=(1 / 255, 1 / 255, 1 / 255),
            dtype=torch.uint8,
            device=device,
        )
        return list(torch.split(pixels, grid.prod(dim=1).tolist()))
    from eval.worlds.raster import draw as draw_frames

    parts = []
    for film in films:
        frames = draw_frames(film.drawn, width_px, height_px, None, film.noise, film.seed)
        parts.append(cut(torch.from_numpy(frames).permute(0, 3, 1, 2)))
    return parts


def cut(frames: Tensor) -> Tensor:
    """Frames [2 T, 3, height, width] in the tower's layout, [T * patches, 3 * 2 * 14 * 14], of the same type."""
    return vision.cut(frames, PATCH, MERGE).flatten(0, 1)


def pasted(patches: Tensor, width_px: int, height_px: int) -> Tensor:
    """The frames [2 T, 3, height, width] that `cut` made patches of."""
    return vision.pasted(patches, height_px // SIDE, width_px // SIDE, PATCH, MERGE)


def _resized(patches: Tensor, width_px: int, height_px: int, rows: int, columns: int) -> Tensor:
    """As `adapters.frames.resize` does with a film's frames."""
    frames = functional.interpolate(
        pasted(patches, width_px, height_px).float(),
        size=(rows * SIDE, columns * SIDE),
        mode="bicubic",
        antialias=True,
        align_corners=False,
    )
    return cut(frames.round().clamp(0, 255).to(torch.uint8))
