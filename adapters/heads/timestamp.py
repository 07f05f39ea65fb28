"""The grounder's regression head: hidden states of the frames and of the timestamp token in, candidate spans out.

Module names follow the tensors of VideoMind's `pytorch_model.safetensors`, so its files load without a table of names.
What is computed is pinned by `tests/parity` against recorded numbers of every stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 256
STRIDES = (1, 2, 4, 8)
FUSE_LAYERS = 3
FUSE_HEADS = 8
NMS_IOU = 0.75


class _Embedding(nn.Module):
    """A learned vector that tells frames from the query."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(1, 1, width))


class _Attention(nn.Module):
    """Multi-head self-attention with separate projections."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.m = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (layer(x).view(batch, length, self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.m(mixed.transpose(1, 2).reshape(batch, length, width))
        return out


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.mapping(x)
        return out


class _FuseLayer(nn.Module):
    """A transformer layer that normalises before each half."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_att = _Attention(width, FUSE_HEADS)
        self.self_att_norm = nn.LayerNorm(width)
        self.ffn = _FeedForward(width)
        self.ffn_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_att(self.self_att_norm(x))
        out: Tensor = x + self.ffn(self.ffn_norm(x))
        return out


class _Channels(nn.Module):
    """Swaps time and channels, for the convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(-1, -2)


class _Pyramid(nn.Module):
    """The time axis at several strides; level k is level 0 under k halving convolutions of its own."""

    def __init__(self, width: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.strides = strides
        self.blocks = nn.ModuleList()
        for stride in strides:
            layers: list[nn.Module] = []
            for _ in range(int(math.log2(stride))):
                halve = nn.Conv1d(width, width, kernel_size=2, stride=2)
                layers += [_Channels(), halve, _Channels(), nn.LayerNorm(width), nn.SiLU()]
            self.blocks.append(nn.Sequential(*layers or [nn.SiLU()]))

    def forward(self, x: Tensor) -> list[Tensor]:
        # A clip shorter than a stride has no step on that level.
        levels = zip(self.strides, self.blocks, strict=True)
        return [block(x) for stride, block in levels if stride <= x.shape[1]]


class _ConvHead(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.module = nn.Sequential(
            _Channels(),
            nn.Conv1d(width, width, kernel_size=3, padding=1),
            nn.SiLU(),
            nn.Conv1d(width, out, kernel_size=3, padding=1),
            _Channels(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.module(x)
        return out


class _Scale(nn.Module):
    """One learned factor per pyramid level."""

    def __init__(self, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(len(strides)))


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """Every stage of one pass of the head; P is the number of points over all levels.

    Attributes:
        vis_proj: Frames after projection, [batch, T, width].
        reg_proj: The query after projection, [batch, 1, width].
        fused: Frames and query after fusion, [batch, T + 1, width]; the last row is the query.
        pyramid: Levels, [batch, T_k, width] each.
        class_logits: Confidence before the sigmoid, [batch, P].
        distances: Distances to both ends in grid steps of the level, already exponentiated and scaled, [batch, P, 2].
        points: Grid step of each point and its level's stride, [P, 2].
    """

    vis_proj: Tensor
    reg_proj: Tensor
    fused: Tensor
    pyramid: tuple[Tensor, ...]
    class_logits: Tensor
    distances: Tensor
    points: Tensor

    def rows_norm(self) -> Tensor:
        """Spans as fractions of the clip with confidence, before suppression and not clamped, [batch, P, 3]."""
        frames = self.vis_proj.shape[1]
        at, stride = self.points[:, 0], self.points[:, 1]
        start = (at - self.distances[..., 0] * stride) / frames
        end = (at + self.distances[..., 1] * stride) / frames
        return torch.stack((start, end, self.class_logits.sigmoid()), dim=-1)


class TimestampHead(nn.Module):
    """Regresses spans from hidden states before the language model's final norm.

    Args:
        hidden_size: The language model's.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.vis_proj = nn.Sequential(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, WIDTH))
        self.reg_proj = nn.Sequential(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, WIDTH))
        self.vis_emb = _Embedding(WIDTH)
        self.reg_emb = _Embedding(WIDTH)
        self.vis_fuse = nn.ModuleList(_FuseLayer(WIDTH) for _ in range(FUSE_LAYERS))
        self.vis_norm = nn.LayerNorm(WIDTH)
        self.pyramid = _Pyramid(WIDTH, STRIDES)
        self.class_head = _ConvHead(WIDTH, 1)
        self.coord_head = _ConvHead(WIDTH, 2)
        self.coef = _Scale(STRIDES)

    def forward(self, frames: Tensor, query: Tensor) -> HeadOutput:
        """Runs the head.

        Args:
            frames: Hidden states averaged per temporal patch, [batch, T, hidden].
            query: Hidden state of the position whose next token is the timestamp token, [batch, 1, hidden].
        """
        vis, reg = self.vis_proj(frames), self.reg_proj(query)
        x = torch.cat((vis + self.vis_emb.weights + time_encoding(vis), reg + self.reg_emb.weights), dim=1)
        for layer in self.vis_fuse:
            x = layer(x)
        fused = self.vis_norm(x)
        levels = self.pyramid(fused[:, :-1])
        logits = [self.class_head(level).squeeze(-1) for level in levels]
        distances = [
            self.coord_head(level).exp() * scale for level, scale in zip(levels, self.coef.scale, strict=False)
        ]
        points = [
            torch.stack((torch.arange(level.shape[1]) * stride, torch.full((level.shape[1],), stride)), dim=1)
            for level, stride in zip(levels, STRIDES, strict=False)
        ]
        return HeadOutput(
            vis_proj=vis,
            reg_proj=reg,
            fused=fused,
            pyramid=tuple(levels),
            class_logits=torch.cat(logits, dim=1),
            distances=torch.cat(distances, dim=1),
            points=torch.cat(points).to(vis.device, vis.dtype),
        )


def time_encoding(frames: Tensor) -> Tensor:
    """Sinusoids over the clip's time, whatever its length, [T, width].

    Args:
        frames: Gives T, width, device and dtype, [batch, T, width].
    """
    length, width = frames.shape[1:]
    at = torch.arange(1, length + 1, device=frames.device, dtype=torch.float32)
    at = at / (length + 1e-6) * (2 * math.pi)
    pair = torch.arange(width // 2, device=frames.device, dtype=torch.float32)
    angles = at[:, None] / 10000 ** (2 * pair / width)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).to(frames.dtype)


def suppress(rows: Tensor, iou_limit: float = NMS_IOU) -> Tensor:
    """Non-maximum suppression that keeps every row.

    Each round moves the most confident remaining row up by a swap and sets the confidence of later rows that overlap
    it to 0. The swaps decide the order among suppressed rows, which VideoMind's candidates depend on.

    Args:
        rows: (start, end, confidence), [P, 3], in any unit.
        iou_limit: Rows that overlap at least this much are suppressed.

    Returns:
        The rows reordered, best first, on the CPU, [P, 3].
    """
    rows = rows.detach().float().cpu()
    rows = rows[rows[:, 2].argsort(descending=True, stable=True)].clone()
    for i in range(rows.shape[0]):
        best = i + int(rows[i:, 2].argmax())
        if best != i:
            rows[[i, best]] = rows[[best, i]]
        later = rows[i + 1 :]
        overlap = (torch.minimum(rows[i, 1], later[:, 1]) - torch.maximum(rows[i, 0], later[:, 0])).clamp(min=0)
        union = (rows[i, 1] - rows[i, 0]) + (later[:, 1] - later[:, 0]) - overlap
        later[:, 2] = torch.where(overlap / union >= iou_limit, 0.0, later[:, 2])
    return rows
