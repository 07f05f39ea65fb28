"""Levels in patch layout go in, the same films go out a little blurred, brighter or noisier, normalised for the tower.

Training draws films directly at the size that the model sees. Films that come as files have been compressed and resized
before; these changes cover what that does to them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adapters.train.default.network import normalised
from adapters.vision import cut, pasted

PATCH_PX, MERGE = 14, 2
BLUR = (-0.06, 0.2)
"""Weight of each neighbour; below 0 sharpens, as bicubic resizing does."""
GAIN, TINT, SHIFT, NOISE = 0.1, 0.04, 8.0, 6.0


def augmented(levels: Tensor, rows: int, columns: int, dtype: torch.dtype, seed: int) -> Tensor:
    """Changes films at random and normalises them.

    Args:
        levels: uint8, [patches, 4 * rows * columns, 3 * 2 * 14 * 14].
        rows: Rows of visual tokens.
        columns: Columns of visual tokens.
        dtype: Of the result.
        seed: Of what is done; one change for all films of a call.
    """
    generator = torch.Generator().manual_seed(seed)
    device = levels.device
    chance = torch.rand(8, generator=generator)
    picture = pasted(levels.to(dtype), rows, columns, PATCH_PX, MERGE)
    if chance[0] < 0.7:
        low, high = BLUR
        weight = float(low + (high - low) * chance[1])
        picture = _blurred(_blurred(picture, weight, 2), weight, 3)
    gain = 1 + GAIN * (2 * float(chance[2]) - 1)
    tint = 1 + TINT * (2 * torch.rand(3, generator=generator) - 1)
    shift = SHIFT * (2 * float(chance[3]) - 1)
    picture = picture * (gain * tint).to(device, dtype)[None, :, None, None] + shift
    if chance[4] < 0.5:
        grain = torch.Generator(device).manual_seed(seed)
        noise = torch.empty_like(picture).normal_(0, NOISE * float(chance[5]) + 1e-3, generator=grain)
        picture = picture + noise
    return normalised(cut(picture.clamp(0, 255), PATCH_PX, MERGE), dtype)


def _blurred(picture: Tensor, weight: float, axis: int) -> Tensor:
    length = picture.shape[axis]
    at = torch.arange(length, device=picture.device)
    before, after = (
        picture.index_select(axis, (at - 1).clamp(min=0)),
        picture.index_select(axis, (at + 1).clamp(max=length - 1)),
    )
    return picture * (1 - 2 * weight) + (before + after) * weight
