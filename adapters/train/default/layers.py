"""Tensors and weights of a layer go in, what transformers' layer gives comes out, in a form that is compiled once.

The language model sees a whole pack as one sequence; the vision tower sees patches as a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 128
"""Tokens of a block of the attention mask."""


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm, computed in float32."""
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def before_attention(
    x: Tensor, cos: Tensor, sin: Tensor, norm: Tensor, wq: Tensor, bq: Tensor, wk: Tensor, bk: Tensor, wv: Tensor,
    bv: Tensor, heads: int, kv_heads: int, eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Norm, projections and rotation of a layer on [N, hidden]: q, k, v as [1, heads, N, head_dim]."""
    d = x.dtype
    h = rms(x, norm.to(d), eps)
    q = functional.linear(h, wq.to(d), bq.to(d)).view(-1, heads, cos.shape[-1])
    k = functional.linear(h, wk.to(d), bk.to(d)).view(-1, kv_heads, cos.shape[-1])
    v = functional.linear(h, wv.to(d), bv.to(d)).view(-1, kv_heads, cos.shape[-1])
    q, k = _turn(q, cos[:, None], sin[:, None]), _turn(k, cos[:, None], sin[:, None])
    return tuple(one.transpose(0, 1)[None].contiguous() for one in (q, k, v))  # type: ignore[return-value]


def after_attention(
    x: Tensor, mixed: Tensor, wo: Tensor, norm: Tensor, gate: Tensor, up: Tensor, down: Tensor, eps: float
) -> Tensor:
    """The rest of a layer: projection of what was mixed, [1, heads, N, head_dim], and the MLP; [N, hidden]."""
    d = x.dtype
    x = x + functional.linear(mixed[0].transpose(0, 1).reshape(x.shape[0], -1), wo.to(d))
    h = rms(x, norm.to(d), eps)
    return x + functional.linear(
        functional.silu(functional.linear(h, gate.to(d))) * functional.linear(h, up.to(d)), down.to(d)
    )


def vision_block(
    x: Tensor, cos: Tensor, sin: Tensor, n1w: Tensor, n1b: Tensor, wqkv: Tensor, bqkv: Tensor, wo: Tensor, bo: Tensor,
    n2w: Tensor, n2b: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, heads: int,
) -> Tensor:  # fmt: skip
    """One block of the vision tower on [patches, spatial, width]; a patch sees itself alone."""
    d, (batch, count, width) = x.dtype, x.shape
    h = functional.layer_norm(x, (width,), n1w.to(d), n1b.to(d), 1e-6)
    qkv = functional.linear(h, wqkv.to(d), bqkv.to(d)).view(batch, count, 3, heads, width // heads)
    q, k, v = qkv.unbind(2)
    q, k = _turn(q, cos, sin), _turn(k, cos, sin)
    mixed = functional.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    x = x + functional.linear(mixed.transpose(1, 2).reshape(batch, count, width), wo.to(d), bo.to(d))
    h = functional.layer_norm(x, (width,), n2w.to(d), n2b.to(d), 1e-6)
    h = functional.linear(h, w1.to(d), b1.to(d))
    return x + functional.linear(h * torch.sigmoid(1.702 * h), w2.to(d), b2.to(d))


def dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention with a mask of [N, N], for a CPU."""
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)


def flex(wrap: Callable[..., Any]) -> Callable[..., Tensor]:
    """Attention with a block mask, compiled by `wrap`, for a GPU."""
    from torch.nn.attention.flex_attention import flex_attention

    compiled = wrap(flex_attention)

    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Any) -> Tensor:
        out: Tensor = compiled(q, k, v, block_mask=mask, enable_gqa=True)
        return out

    return attend


_compiled_mask: list[Any] = []


def block_mask(film: Tensor, segment: Tensor) -> Any:
    """Which blocks see which: a token sees its own film's video and its own segment, up to itself."""
    from torch.nn.attention.flex_attention import create_block_mask

    if not _compiled_mask:
        _compiled_mask.append(torch.compile(create_block_mask, dynamic=False))

    def sees(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        same = (film[q] == film[k]) & (q >= k)
        return same & ((segment[k] == 0) | (segment[k] == segment[q]))

    n = film.shape[0]
    return _compiled_mask[0](sees, None, None, n, n, device=film.device, BLOCK_SIZE=BLOCK)
