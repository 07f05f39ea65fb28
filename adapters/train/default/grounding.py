"""The regression head's losses for many films of different lengths at once, which `adapters.heads.losses` takes singly.

Films are padded to the longest and the padding is masked: it is not attended to, and no point behind a film's end
counts. Values equal those of one film at a time (tested).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from adapters.heads.losses import (
    CLASS_WEIGHT,
    COORD_WEIGHT,
    SALIENCY_WEIGHT,
    assign_steps,
    contrast,
    distance,
    draw_positive_step,
    focal,
)
from adapters.heads.timestamp import MIN_TRAINING_STEPS, STRIDES, WIDTH, TimestampHead


def padded_losses(
    head: TimestampHead, frames: Tensor, inside: Tensor, film: Tensor, query: Tensor, spans: Tensor
) -> dict[str, Tensor]:
    """Losses of K queries about G films.

    Args:
        head: In training; its drop path is not used.
        frames: Mean states of the temporal patches, float32, [G, T, hidden].
        inside: Which of them are there, [G, T].
        film: Row of `frames` that each query is about, [K].
        query: States that point, float32, [K, hidden].
        spans: Start and end in patches, -1 where there is none, [K, n, 2].

    Returns:
        "class", "coord" and "saliency": weighted, summed over the fuse layers, one value a query, [K].
    """
    short = max(0, MIN_TRAINING_STEPS - frames.shape[1])
    frames, inside = functional.pad(frames, (0, 0, 0, short)), functional.pad(inside, (0, short))
    half = frames.device.type == "cuda"
    with torch.autocast(frames.device.type, torch.bfloat16 if half else None, enabled=half):
        lengths = inside.sum(dim=1)
        vis = head.vis_proj(frames) + head.vis_emb.weights + _time_encoding(lengths, frames.shape[1])
        reg = head.reg_proj(query)[:, None] + head.reg_emb.weights
        there = inside[film]
        x = torch.cat((vis[film] * there[..., None], reg), dim=1)
        keys = functional.pad(there, (0, 1), value=True)[:, None, None]
        layers = []
        for layer in head.vis_fuse:
            x = layer(x, keys=keys)
            layers.append(x)
        fused = head.vis_norm(torch.cat(layers))
        several = there.repeat(len(layers), 1)
        states = fused[:, :-1] * several[..., None]
        logits, distances, points = _regress(head, states, several)
    with torch.autocast(frames.device.type, enabled=False):
        fused, states, logits, distances = (one.float() for one in (fused, states, logits, distances))
        steps = lengths[film]
        at, stride = points[None, :, 0], points[None, :, 1]
        # A level ends where its last whole step does; short films are filled up to the coarsest level's first.
        counted = (at < steps[:, None]) & (at + stride <= steps.clamp(min=MIN_TRAINING_STEPS)[:, None])
        real = spans[..., 0] >= 0
        middle, half_length = spans.mean(dim=-1), ((spans[..., 1] - spans[..., 0]) / 2).clamp(min=0.5)
        wide = torch.stack((middle - half_length, middle + half_length), dim=-1)
        positive, apart = assign_steps(points, wide, real)
        saliency = _saliency(spans, steps, there)
        step = draw_positive_step(saliency)
        # Steps behind a film's end are more salient than any, so that none of them is a rival.
        saliency = saliency.masked_fill(~there, 2.0)
        by_layer = (len(layers), film.shape[0], -1)
        parts = {
            "class": CLASS_WEIGHT * focal(logits.view(by_layer), positive, counted),
            "coord": COORD_WEIGHT * distance(distances.view(*by_layer, 2), apart, positive),
            "saliency": SALIENCY_WEIGHT
            * contrast(
                states.view(*by_layer, fused.shape[-1]), fused[:, -1:].view(*by_layer, fused.shape[-1]), saliency, step
            ),
        }
        return {name: part.sum(dim=0) for name, part in parts.items()}


def _saliency(spans: Tensor, steps: Tensor, inside: Tensor) -> Tensor:
    """1 for the steps inside a span, else 0, [K, T]; a query whose spans hold no step gets its film's middle."""
    at = torch.arange(inside.shape[1], device=inside.device)
    first = spans[..., :1].ceil()
    last = torch.maximum(spans[..., 1:].ceil(), first + 1)
    salient = ((at >= first) & (at < last) & (spans[..., :1] >= 0)).any(dim=1) & inside
    return torch.where(salient.any(dim=1, keepdim=True), salient, at[None] == (steps[:, None] // 2)).float()


def _time_encoding(lengths: Tensor, longest: int) -> Tensor:
    """`timestamp.time_encoding` for films of several lengths, [G, T, width]."""
    at = torch.arange(1, longest + 1, device=lengths.device, dtype=torch.float32)[None]
    at = at / (lengths[:, None] + 1e-6) * (2 * math.pi)
    pair = torch.arange(WIDTH // 2, device=lengths.device, dtype=torch.float32)
    angles = at[..., None] / 10000 ** (2 * pair / WIDTH)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(2)


def _regress(head: TimestampHead, states: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As the head does, with zeros behind each film's end on every level."""
    logits, distances, points = [], [], []
    lengths = inside.sum(dim=1).clamp(min=MIN_TRAINING_STEPS)
    for stride, block, scale in zip(STRIDES, head.pyramid.blocks, head.coef.scale, strict=True):
        level = _level(block, states)
        at = torch.arange(level.shape[1], device=states.device)
        mask = (at[None] < (lengths // stride)[:, None])[..., None]
        level = level * mask
        logits.append(_conv_head(head.class_head, level, mask).squeeze(-1))
        distances.append(_conv_head(head.coord_head, level, mask).float().exp() * scale)
        steps = at.float() * stride
        points.append(torch.stack((steps, torch.full_like(steps, stride)), dim=1))
    return torch.cat(logits, dim=1), torch.cat(distances, dim=1), torch.cat(points)


def _level(block: torch.nn.Module, x: Tensor) -> Tensor:
    """One level of the pyramid."""
    for layer in block.children():
        if isinstance(layer, torch.nn.Conv1d):
            x = _halved(layer, x)
        elif not type(layer).__name__.startswith("_"):  # the layers that only swap axes have nothing to do here
            x = layer(x)
    return x


def _halved(conv: torch.nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution of kernel and stride 2 over time, [batch, T, width].

    As a matrix product: for convolutions, cuDNN makes a plan for each new length, which costs more than they do.
    """
    even = x[:, : x.shape[1] // 2 * 2]
    pairs = even.reshape(x.shape[0], -1, 2 * x.shape[2])
    return functional.linear(pairs, conv.weight.transpose(1, 2).flatten(1), conv.bias)


def _widened(conv: torch.nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution of kernel 3 over time with one zero on both sides, likewise."""
    wide = functional.pad(x, (0, 0, 1, 1))
    triples = torch.cat((wide[:, :-2], wide[:, 1:-1], wide[:, 2:]), dim=-1)
    return functional.linear(triples, conv.weight.transpose(1, 2).flatten(1), conv.bias)


def _conv_head(head: torch.nn.Module, level: Tensor, mask: Tensor) -> Tensor:
    first, second = (layer for layer in head.modules() if isinstance(layer, torch.nn.Conv1d))
    return _widened(second, functional.silu(_widened(first, level)) * mask)
