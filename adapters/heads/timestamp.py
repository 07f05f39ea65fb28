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
MIN_TRAINING_STEPS = max(STRIDES)
"""In training a shorter clip gets steps of zeros, so that each level of the pyramid learns from it."""
DROP_PATH = 0.1
"""How often a sample in training goes without one of the two branches of a fuse layer."""
CLASS_PRIOR = 0.05
"""Confidence that a fresh head gives to every point: about the share of points that are right."""


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

    def forward(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (layer(x).view(batch, length, self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=keys)
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

    def forward(self, x: Tensor, drop_path: float = 0.0, keys: Tensor | None = None) -> Tensor:
        """Runs it; `keys` says which rows may be attended to, [batch, 1, 1, length], None all."""
        x = x + _dropped(self.self_att(self.self_att_norm(x), keys), drop_path)
        return x + _dropped(self.ffn(self.ffn_norm(x)), drop_path)


def _dropped(branch: Tensor, share: float) -> Tensor:
    """A branch, [batch, ...], left out of some samples; the others get more of it, so that its mean stays."""
    if not share:
        return branch
    kept = branch.new_empty(branch.shape[0], 1, 1).bernoulli_(1 - share)
    return branch * (kept / (1 - share))


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


@dataclass(frozen=True, slots=True)
class TrainingOutput:
    """What the losses need: the outputs of every fuse layer, each sent through the same norm, pyramid and heads.

    L is the number of fuse layers, Q of queries, T of the clip's steps, P of points.

    Attributes:
        frames: Frames after fusion and norm, padding left out, [L, Q, T, width].
        query: The queries after fusion and norm, [L, Q, 1, width].
        class_logits: Confidence before the sigmoid, [L, Q, P].
        distances: Distances to both ends in grid steps of the level, already exponentiated and scaled, [L, Q, P, 2].
        points: Grid step of each point and its level's stride, [P, 2]; in a short clip some lie beyond its end.
    """

    frames: Tensor
    query: Tensor
    class_logits: Tensor
    distances: Tensor
    points: Tensor


class TimestampHead(nn.Module):
    """Regresses spans from hidden states before the language model's final norm.

    Args:
        hidden_size: The language model's.
        drop_path: How often a sample goes without a branch of a fuse layer; only in `train_outputs`, and there only
            while the module is in training mode.
    """

    def __init__(self, hidden_size: int, drop_path: float = DROP_PATH) -> None:
        super().__init__()
        self.drop_path = drop_path
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
        self._initialise()

    def _initialise(self) -> None:
        """Starting values for training from scratch.

        Weights keep the variance of their input (1 / fan-in), whatever the language model's width. The two embeddings
        are random, because equal ones would not tell frames from the query; their scale, 1 / sqrt(width), is that of
        VideoMind's. The class head starts at a low confidence: nearly all points are wrong, and their loss would
        otherwise drown that of the few right ones.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for embedding in (self.vis_emb, self.reg_emb):
            nn.init.normal_(embedding.weights, std=WIDTH**-0.5)
        nn.init.constant_(self.get_parameter("class_head.module.3.bias"), math.log(CLASS_PRIOR / (1 - CLASS_PRIOR)))

    def forward(self, frames: Tensor, query: Tensor) -> HeadOutput:
        """Runs the head for inference, on the last fuse layer's output only.

        Args:
            frames: Hidden states averaged per temporal patch, [batch, T, hidden].
            query: Hidden state of the position whose next token is the timestamp token, [batch, 1, hidden].
        """
        vis, reg, x = self._joined(frames, query)
        for layer in self.vis_fuse:
            x = layer(x)
        fused = self.vis_norm(x)
        levels, logits, distances, points = self._regress(fused[:, :-1])
        return HeadOutput(
            vis_proj=vis,
            reg_proj=reg,
            fused=fused,
            pyramid=tuple(levels),
            class_logits=logits,
            distances=distances,
            points=points,
        )

    def train_outputs(self, frames: Tensor, query: Tensor) -> TrainingOutput:
        """Runs the head for training, on the output of every fuse layer.

        A clip of fewer than 8 steps is filled up with zeros between the fused frames and the pyramid, so neither the
        time encoding nor the attention sees padding. (Source: VideoMind; `tests/parity/test_training_head.py` finds
        that place from recorded arrays.) The inputs are cast to the head's own precision, and autocast is off inside.

        Args:
            frames: Hidden states averaged per temporal patch; [1, T, hidden] for several queries about one clip,
                which is projected once, else [Q, T, hidden].
            query: Hidden state of the position whose next token is the timestamp token, [Q, 1, hidden].

        Raises:
            ValueError: Neither one clip nor as many as queries.
        """
        if frames.shape[0] not in (1, query.shape[0]):
            raise ValueError(f"{frames.shape[0]} clips for {query.shape[0]} queries: expected 1 or {query.shape[0]}")
        dtype, steps = self.vis_norm.weight.dtype, frames.shape[1]
        with torch.autocast(frames.device.type, enabled=False):
            _, _, x = self._joined(frames.to(dtype), query.to(dtype))
            drop_path = self.drop_path if self.training else 0.0
            layers = []
            for layer in self.vis_fuse:
                x = layer(x, drop_path)
                layers.append(x)
            fused = self.vis_norm(torch.cat(layers))
            padded = functional.pad(fused[:, :-1], (0, 0, 0, max(0, MIN_TRAINING_STEPS - steps)))
            _, logits, distances, points = self._regress(padded)
        by_layer = fused.view(len(layers), -1, *fused.shape[1:])
        return TrainingOutput(
            frames=by_layer[:, :, :-1],
            query=by_layer[:, :, -1:],
            class_logits=logits.view(len(layers), -1, *logits.shape[1:]),
            distances=distances.view(len(layers), -1, *distances.shape[1:]),
            points=points,
        )

    def _joined(self, frames: Tensor, query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Projected frames, [F, T, width], projected queries, [Q, 1, width], and the fusion's input, [Q, T + 1, width].

        F is Q, or 1 where the queries share their frames.
        """
        vis, reg = self.vis_proj(frames), self.reg_proj(query)
        timed = vis + self.vis_emb.weights + time_encoding(vis)
        joined = torch.cat((timed.expand(reg.shape[0], -1, -1), reg + self.reg_emb.weights), dim=1)
        return vis, reg, joined

    def _regress(self, frames: Tensor) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Pyramid levels, class logits [batch, P], distances [batch, P, 2] and points [P, 2] of fused frames."""
        levels: list[Tensor] = self.pyramid(frames)
        logits = [self.class_head(level).squeeze(-1) for level in levels]
        distances = [
            self.coord_head(level).exp() * scale for level, scale in zip(levels, self.coef.scale, strict=False)
        ]
        points = []
        for level, stride in zip(levels, STRIDES, strict=False):
            # Made where the frames are: a copy from the CPU would wait for the GPU.
            at = torch.arange(level.shape[1], device=frames.device, dtype=frames.dtype) * stride
            points.append(torch.stack((at, torch.full_like(at, stride)), dim=1))
        return levels, torch.cat(logits, dim=1), torch.cat(distances, dim=1), torch.cat(points)


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
