"""Attention over a pack: videos with several questions behind each go in as one sequence, and stay apart inside.

A pack is laid end to end, without padding. Each of its groups is one video's prefix, followed by the suffixes of the
questions on it. A suffix sees its own prefix and itself, never another suffix or group, so the outcome is that of each
question by itself, while the prefix - nearly all of the tokens - is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

IMPLEMENTATION = "mindreel_packed"
"""The name under which transformers finds it."""


@dataclass(frozen=True, slots=True)
class Group:
    """One video in a pack.

    Attributes:
        prefix: Tokens that every question on it shares.
        suffixes: Tokens of each question, the reply included.
    """

    prefix: int
    suffixes: tuple[int, ...]

    @property
    def length(self) -> int:
        """All its tokens."""
        return self.prefix + sum(self.suffixes)


@dataclass(slots=True)
class Pack:
    """How a sequence is divided; goes through the model where an attention mask would."""

    groups: tuple[Group, ...]
    _masks: dict[tuple[int, torch.device], Tensor] = field(default_factory=dict)

    def spans(self) -> Iterator[tuple[int, Group]]:
        """(first token, group) of each group."""
        start = 0
        for group in self.groups:
            yield start, group
            start += group.length

    def suffix_mask(self, number: int, device: torch.device) -> Tensor:
        """What the suffixes of a group may see, bool [suffix tokens, group tokens]; made once for all layers."""
        key = (number, device)
        if key not in self._masks:
            group = self.groups[number]
            sizes = torch.tensor(group.suffixes)
            owner = torch.repeat_interleave(torch.arange(len(group.suffixes)), sizes).to(device)
            at = torch.arange(owner.shape[0], device=device)
            own = (owner[:, None] == owner[None, :]) & (at[:, None] >= at[None, :])
            shared = torch.ones(owner.shape[0], group.prefix, dtype=torch.bool, device=device)
            self._masks[key] = torch.cat((shared, own), dim=1)
        return self._masks[key]


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: object,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one layer, as transformers calls it.

    Args:
        module: The layer.
        query: [1, heads, L, d].
        key: [1, key-value heads, L, d].
        value: Likewise.
        attention_mask: A `Pack`; anything else is left to transformers' sdpa, so that a model in training can still
            generate for its validation.
        dropout: Of the attention weights; Qwen2-VL has none.
        scaling: Of the scores.
        **kwargs: Passed on to sdpa.

    Returns:
        ([1, L, heads, d], None).
    """
    if not isinstance(attention_mask, Pack):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        out: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return out
    repeat = query.shape[1] // key.shape[1]
    pieces = []
    for number, (start, group) in enumerate(attention_mask.spans()):
        end = start + group.length
        q, k, v = query[:, :, start:end], key[:, :, start:end], value[:, :, start:end]
        alone = len(group.suffixes) == 1
        cut = group.length if alone else group.prefix
        pieces.append(
            functional.scaled_dot_product_attention(
                q[:, :, :cut], k[:, :, :cut], v[:, :, :cut], is_causal=True, scale=scaling, enable_gqa=repeat > 1
            )
        )
        if not alone:
            # The kernels that take a mask want as many key-value heads as query heads.
            wide_k, wide_v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
            mask = attention_mask.suffix_mask(number, query.device)
            pieces.append(
                functional.scaled_dot_product_attention(q[:, :, cut:], wide_k, wide_v, attn_mask=mask, scale=scaling)
            )
    return torch.cat(pieces, dim=2).transpose(1, 2), None


def use_packed_attention(text_model: Any) -> None:
    """Makes a language model attend by packs where it is given one."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(IMPLEMENTATION, packed_attention)
    AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)  # for the calls that bring no pack
    text_model.config._attn_implementation = IMPLEMENTATION
    if torch.cuda.is_available():
        # cuDNN's kernel makes a plan for every new length, and packs always have new ones. Said for the process, not
        # around the forward pass: layers that are computed again in the backward pass must choose the same kernel.
        torch.backends.cuda.enable_cudnn_sdp(False)
