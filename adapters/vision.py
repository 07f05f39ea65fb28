"""The vision tower: uint8 frames in, visual tokens out.

Attention in Qwen2-VL's tower stays within a temporal patch. Frames of a clip have one size, so temporal patches are a
batch here, where transformers loops over them in Python (sdpa) and VideoMind masks one long sequence: the result is the
same, and any number of temporal patches at a time gives the same tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from roles.deadline import check_deadline

MAX_PATCHES = 1 << 16
"""Spatial patches that go through the tower at once; bounds its memory to about 2 GB at bfloat16."""
_ROPE_BASE = 10000.0


def patches(frames: Tensor, mean: Tensor, std: Tensor, patch_px: int, merge: int) -> Tensor:
    """Cuts frames into the tower's input.

    Args:
        frames: Pairs of frames in order, uint8, [2 T, 3, height, width]; sides are multiples of `patch_px * merge`.
        mean: Per channel, of values in 0..1, [3].
        std: Likewise.
        patch_px: Side of a spatial patch.
        merge: Patches per side that become one visual token; they are kept next to each other.

    Returns:
        [T, patches, 3 * 2 * patch_px**2], float32.
    """
    x = frames.to(torch.float32).div_(255)
    return cut((x - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1), patch_px, merge)


def cut(frames: Tensor, patch_px: int, merge: int) -> Tensor:
    """The tower's layout of frames [2 T, 3, height, width]: [T, patches, 3 * 2 * patch_px**2], of the same type."""
    count, channels, height, width = frames.shape
    rows, columns = height // (patch_px * merge), width // (patch_px * merge)
    x = frames.reshape(count // 2, 2, channels, rows, merge, patch_px, columns, merge, patch_px)
    x = x.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return x.reshape(count // 2, rows * columns * merge**2, channels * 2 * patch_px**2)


def pasted(patches: Tensor, rows: int, columns: int, patch_px: int, merge: int) -> Tensor:
    """The frames, [2 T, 3, height, width], that `cut` made patches of; rows and columns are of visual tokens."""
    x = patches.reshape(-1, rows, columns, merge, merge, 3, 2, patch_px, patch_px)
    side = patch_px * merge
    return x.permute(0, 6, 5, 1, 3, 7, 2, 4, 8).reshape(-1, 3, rows * side, columns * side)


def rotary(rows: int, columns: int, merge: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of a grid's rotary embedding, [patches, 1, head_dim] each, float32.

    Args:
        rows: Spatial patches per column.
        columns: Spatial patches per row.
        merge: As in `patches`.
        head_dim: Of the tower's attention.
        device: Where the result lives.
    """
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    order = [
        grid.view(rows // merge, merge, columns // merge, merge).transpose(1, 2).reshape(-1) for grid in (row, column)
    ]
    half = head_dim // 2
    frequencies = 1.0 / _ROPE_BASE ** (torch.arange(0, half, 2, dtype=torch.float32) / half)
    angles = torch.cat([at[:, None].float() * frequencies for at in order], dim=-1)
    angles = torch.cat((angles, angles), dim=-1)[:, None].to(device)
    return angles.cos(), angles.sin()


def encode(tower: Any, frames: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Runs the tower over frames of one size.

    Args:
        tower: The vision tower of a Qwen2-VL model.
        frames: uint8 on the tower's device or the CPU, [2 T, 3, height, width].
        mean: Per channel, [3].
        std: Likewise.

    Returns:
        Visual tokens, [T, tokens per patch, hidden].
    """
    config = tower.config
    weight = tower.patch_embed.proj.weight
    rows, columns = frames.shape[2] // config.patch_size, frames.shape[3] // config.patch_size
    step = max(1, MAX_PATCHES // (rows * columns))
    mean, std = mean.to(weight.device), std.to(weight.device)
    out = []
    for at in range(0, frames.shape[0] // 2, step):
        check_deadline()
        part = frames[2 * at : 2 * (at + step)].to(weight.device, non_blocking=True)
        pixels = patches(part, mean, std, config.patch_size, config.spatial_merge_size)
        out.append(_forward(tower, pixels.to(weight.dtype), rows, columns))
    return torch.cat(out)


def _forward(tower: Any, pixels: Tensor, rows: int, columns: int) -> Tensor:
    batch, count, _ = pixels.shape
    config = tower.config
    heads = config.num_heads
    head_dim = config.embed_dim // heads
    cos, sin = rotary(rows, columns, config.spatial_merge_size, head_dim, pixels.device)
    # The convolution's kernel covers a whole patch, so it is a matrix product.
    x = functional.linear(pixels, tower.patch_embed.proj.weight.flatten(1))
    for block in tower.blocks:
        qkv = block.attn.qkv(block.norm1(x)).view(batch, count, 3, heads, head_dim)
        q, k, v = qkv.unbind(2)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        mixed = functional.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        x = x + block.attn.proj(mixed.transpose(1, 2).reshape(batch, count, -1))
        x = x + block.mlp(block.norm2(x))
    merged: Tensor = tower.merger(x.reshape(batch * count, -1))
    return merged.view(batch, count // config.spatial_merge_size**2, -1)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    # In float32 as the model was trained; the products are rounded back once.
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)
