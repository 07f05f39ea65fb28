"""The base in training: a pack of films with many questions each goes in, the parts of its loss come out.

transformers' modules hold the weights; what runs here is the same arithmetic (tested), laid out so that one layer is
compiled once and serves all: films of one size are a batch for the vision tower, the whole pack is one sequence for the
language model, and a question sees its own film and itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapters.eyes import CLIP_MEAN, CLIP_STD
from adapters.heads.timestamp import TimestampHead
from adapters.train.default.arrays import ROLES, Pack
from adapters.train.default.config import Weights
from adapters.train.default.contract import UNKNOWN, StateSizes
from adapters.train.default.grounding import padded_losses
from adapters.train.default.layers import after_attention, before_attention, block_mask, dense, flex, rms, vision_block
from adapters.train.default.states import StateHead
from adapters.vision import rotary

MIDDLE = 0.75
"""Share of the layers after which the second state head looks."""
ITEMS = 24576
"""State items that one pass learns from, drawn anew each time; neighbouring patches have mostly the same answers.

What is rare, like the second in which somebody notices somebody, is drawn more often: by one over the root of how often
its kind of query has that answer.
"""
EVEN = 64
"""Patches go through the vision tower in multiples of this, so that compiled kernels fit all packs."""


@dataclass(slots=True)
class Report:
    """What one pack gave.

    Attributes:
        loss: What is descended.
        parts: Mean of each part, detached.
        nll: Negative log-likelihood of each segment's reply, [S].
        right: For each segment with a written reply, whether every token of it was the likeliest, bool [S].
        states_right: Share of right state answers at the last layer, by kind, [kinds]; NaN where none was asked.
    """

    loss: Tensor
    parts: dict[str, Tensor]
    nll: Tensor
    right: Tensor
    states_right: Tensor


class BaseNetwork(nn.Module):
    """A base and the heads that help it to learn.

    Args:
        model: transformers' Qwen2-VL, float32.
        sizes: Of the state heads.
        weights: Of the parts of the loss.
        with_states: Whether the state heads are there at all.
        compiled: Whether layers are compiled; only on a GPU.
    """

    _inverse: Tensor
    _axis: Tensor

    def __init__(
        self, model: Any, sizes: StateSizes, weights: Weights, *, with_states: bool = True, compiled: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.sizes = sizes
        self.weights = weights
        text = model.config.get_text_config()
        hidden = text.hidden_size
        self.head = TimestampHead(hidden)
        self.states = nn.ModuleList(StateHead(hidden, sizes) for _ in range(3)) if with_states else None
        self.heads, self.kv_heads = text.num_attention_heads, text.num_key_value_heads
        self.eps = text.rms_norm_eps
        theta, section = rope_of(text)
        head_dim = hidden // self.heads
        inverse = 1.0 / theta ** (torch.arange(0, head_dim, 2).float() / head_dim)
        self.register_buffer("_inverse", inverse, persistent=False)
        axis = torch.repeat_interleave(torch.arange(3), torch.tensor(section))
        self.register_buffer("_axis", axis, persistent=False)
        self._middle = round(MIDDLE * text.num_hidden_layers)
        self._visible = frozenset(sizes.visible)
        wrap: Callable[..., Any] = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        loose: Callable[..., Any] = (lambda f: torch.compile(f, dynamic=True)) if compiled else (lambda f: f)
        self._before, self._after = wrap(before_attention), wrap(after_attention)
        self._vision_block = loose(vision_block)
        self._attend = flex(wrap) if compiled else dense
        self._compiled = compiled

    def forward(self, pack: Pack, pixels: list[Tensor], dtype: torch.dtype) -> Report:
        """Losses of one pack.

        Args:
            pack: On the device.
            pixels: For each group of films of one size, normalised pixels [patches, spatial, 3 * 2 * 14 * 14].
            dtype: Of the products; weights stay float32.
        """
        visual = torch.cat([self._see(part, group.rows, group.columns, dtype) for part, group in
                            zip(pixels, pack.groups, strict=True)])  # fmt: skip
        features = visual.index_select(0, pack.visual_order)
        embed = self.model.model.language_model.embed_tokens.weight
        x = functional.embedding(pack.ids, embed).to(dtype)
        x = x.index_copy(0, pack.visual, features)
        angles = pack.positions[self._axis].T.float() * self._inverse
        cos, sin = (f(torch.cat((angles, angles), dim=-1)).to(dtype) for f in (torch.cos, torch.sin))
        if pack.mask is None:
            pack.mask = self._mask(pack)
        mask = pack.mask
        middle = x
        for number, layer in enumerate(self.model.model.language_model.layers):
            if number == self._middle:
                middle = x
            attn, mlp = layer.self_attn, layer.mlp
            q, k, v = self._before(
                x, cos, sin, layer.input_layernorm.weight, attn.q_proj.weight, attn.q_proj.bias, attn.k_proj.weight,
                attn.k_proj.bias, attn.v_proj.weight, attn.v_proj.bias, self.heads, self.kv_heads, self.eps,
            )  # fmt: skip
            mixed = self._attend(q, k, v, mask)
            x = self._after(
                x, mixed, attn.o_proj.weight, layer.post_attention_layernorm.weight, mlp.gate_proj.weight,
                mlp.up_proj.weight, mlp.down_proj.weight, self.eps,
            )  # fmt: skip
        return self._losses(pack, visual, middle, x, embed, dtype)

    def _mask(self, pack: Pack) -> Any:
        if self._compiled:
            return block_mask(pack.film, pack.segment)
        film, segment = pack.film, pack.segment
        at = torch.arange(film.shape[0], device=film.device)
        same = film[:, None] == film[None]
        seen = (segment[None] == 0) | (segment[:, None] == segment[None])
        return same & seen & (at[:, None] >= at[None])

    def _see(self, pixels: Tensor, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """Visual tokens of films of one size, [tokens, hidden]."""
        tower = self.model.model.visual
        config = tower.config
        heads, merge = config.num_heads, config.spatial_merge_size
        cos, sin = rotary(rows * merge, columns * merge, merge, config.embed_dim // heads, pixels.device)
        cos, sin = cos.to(dtype), sin.to(dtype)
        count = pixels.shape[0]
        x = functional.linear(pixels.to(dtype), tower.patch_embed.proj.weight.flatten(1).to(dtype))
        x = functional.pad(x, (0, 0, 0, 0, 0, -count % EVEN))
        for block in tower.blocks:
            attn, mlp = block.attn, block.mlp
            x = self._vision_block(
                x, cos, sin, block.norm1.weight, block.norm1.bias, attn.qkv.weight, attn.qkv.bias, attn.proj.weight,
                attn.proj.bias, block.norm2.weight, block.norm2.bias, mlp.fc1.weight, mlp.fc1.bias, mlp.fc2.weight,
                mlp.fc2.bias, heads,
            )  # fmt: skip
        merger = tower.merger
        norm = merger.ln_q
        x = functional.layer_norm(x, (x.shape[-1],), norm.weight.to(dtype), norm.bias.to(dtype), 1e-6)
        x = x[:count].reshape(-1, x.shape[-1] * merge**2)
        first, second = merger.mlp[0], merger.mlp[2]
        x = functional.gelu(functional.linear(x, first.weight.to(dtype), first.bias.to(dtype)))
        return functional.linear(x, second.weight.to(dtype), second.bias.to(dtype))

    def _losses(
        self, pack: Pack, visual: Tensor, middle: Tensor, x: Tensor, embed: Tensor, dtype: torch.dtype
    ) -> Report:
        norm = self.model.model.language_model.norm.weight
        final = rms(x[pack.predict], norm.to(dtype), self.eps)
        logits = functional.linear(final, embed.to(dtype)).float()
        token_loss = functional.cross_entropy(logits, pack.targets, reduction="none")
        count = pack.segment_role.shape[0]
        zeros = torch.zeros(count, device=x.device)
        nll = zeros.index_add(0, pack.owner, token_loss)
        wrong = zeros.index_add(0, pack.owner, (logits.detach().argmax(-1) != pack.targets).float())
        parts: dict[str, Tensor] = {}
        for number, role in enumerate(ROLES):
            mine = (pack.segment_role == number).float()
            parts[role] = (nll * mine).sum() / mine.sum().clamp(min=1)
        loss = (
            self.weights.answerer * parts["answerer"]
            + self.weights.transcript * parts["transcript"]
            + self.weights.planner * parts["planner"]
            + self.weights.verifier * parts["verifier"]
            + 0.1 * self.weights.grounder * parts["grounder"]
        )
        means = _patch_means(x, pack)
        loss = loss + self.weights.grounder * self._ground(pack, means, x, parts)
        right_states = torch.full((self.sizes.kinds,), float("nan"), device=x.device)
        if self.states is not None and pack.item_patch.shape[0]:
            loss = loss + self.weights.states * self._tell(pack, visual, middle, means, parts, right_states)
        return Report(
            loss, {name: part.detach() for name, part in parts.items()}, nll.detach(), wrong == 0, right_states
        )

    def _ground(self, pack: Pack, means: Tensor, x: Tensor, parts: dict[str, Tensor]) -> Tensor:
        if not pack.ground_query.shape[0]:
            # Every device must have the same parameters in its graph.
            return sum((p.sum() for p in self.head.parameters()), torch.zeros((), device=x.device)) * 0.0
        padded = means.new_zeros(pack.ground_patches.shape[0], pack.ground_patches.shape[1], means.shape[1])
        inside = pack.ground_patches >= 0
        padded = torch.where(inside[..., None], means[pack.ground_patches.clamp(min=0)], padded)
        losses = padded_losses(
            self.head, padded, inside, pack.ground_film, x[pack.ground_query].float(), pack.ground_spans
        )
        total = torch.zeros((), device=x.device)
        for name, part in losses.items():
            parts[name] = part.mean()
            total = total + parts[name]
        return total

    def _tell(
        self, pack: Pack, visual: Tensor, middle: Tensor, means: Tensor, parts: dict[str, Tensor], right: Tensor
    ) -> Tensor:
        assert self.states is not None  # noqa: S101 - the caller looked
        seen = torch.zeros_like(means).index_add(
            0, pack.visual_patch, visual.index_select(0, pack.visual_order).float()
        )
        seen = seen / pack.patch_tokens[:, None]
        total = torch.zeros((), device=means.device)
        sources = (seen, _patch_means(middle, pack), means)
        patch, query, known, visible = pack.item_patch, pack.item_query, pack.item_labels, pack.item_visible
        if patch.shape[0] > ITEMS:
            sort = pack.queries[query, 0] * self.sizes.classes + known[:, 0].clamp(min=0)
            drawn = _evenly(sort, self.sizes.kinds * self.sizes.classes, ITEMS)
            patch, query, known, visible = patch[drawn], query[drawn], known[drawn], visible[drawn]
        half = means.is_cuda
        for number, (head, states) in enumerate(zip(self.states, sources, strict=True)):
            with torch.autocast(means.device.type, torch.bfloat16 if half else None, enabled=half):
                logits = head(states, patch, pack.queries, query)
            keep = visible if number == 0 else torch.ones_like(visible)
            part = torch.zeros((), device=means.device)
            for at, one in enumerate(logits):
                labels = torch.where(keep, known[:, at], UNKNOWN)
                losses = functional.cross_entropy(one.float(), labels, ignore_index=UNKNOWN, reduction="sum")
                part = part + losses / (labels != UNKNOWN).sum().clamp(min=1)
            parts[f"states{number}"] = part
            total = total + part
        fits = torch.ones_like(visible)
        for at, one in enumerate(logits):
            labels = known[:, at]
            fits &= (one.detach().argmax(-1) == labels) | (labels == UNKNOWN)
        kinds = pack.queries[query, 0]
        counts = torch.zeros_like(right).index_add(0, kinds, torch.ones_like(fits, dtype=right.dtype))
        hits = torch.zeros_like(right).index_add(0, kinds, fits.to(right.dtype))
        right.copy_(hits / counts)
        return total


def rope_of(text: Any) -> tuple[float, tuple[int, ...]]:
    """Base and sections of a text config's rotary embedding, in current and older transformers."""
    said = getattr(text, "rope_parameters", None) or {}
    older = getattr(text, "rope_scaling", None) or {}
    theta = said.get("rope_theta") or getattr(text, "rope_theta", None)
    section = said.get("mrope_section") or older.get("mrope_section")
    if theta is None or section is None:
        raise ValueError("the text config states no rope_theta or mrope_section")
    return float(theta), tuple(int(part) for part in section)


def normalised(levels: Tensor, dtype: torch.dtype) -> Tensor:
    """Levels 0 to 255 in the tower's layout, [..., 3 * 2 * 14 * 14], as the tower takes them."""
    mean = torch.tensor(CLIP_MEAN, device=levels.device).repeat_interleave(2 * 14 * 14) * 255
    std = torch.tensor(CLIP_STD, device=levels.device).repeat_interleave(2 * 14 * 14) * 255
    return ((levels.float() - mean) / std).to(dtype)


def _evenly(sort: Tensor, sorts: int, count: int) -> Tensor:
    """Draws `count` items with replacement, those of rare sorts more often; nothing waits for the device."""
    of_sort = torch.zeros(sorts, dtype=torch.float64, device=sort.device)
    of_sort = of_sort.index_add(0, sort, torch.ones_like(sort, dtype=torch.float64))
    along = of_sort[sort].rsqrt().cumsum(0)
    at = torch.rand(count, device=sort.device, dtype=torch.float64) * along[-1]
    return torch.searchsorted(along, at).clamp(max=sort.shape[0] - 1)  # rounding may reach the very end


def _patch_means(x: Tensor, pack: Pack) -> Tensor:
    """Mean state over the visual tokens of each temporal patch, float32, [P, hidden]."""
    sums = torch.zeros(pack.patch_tokens.shape[0], x.shape[1], device=x.device)
    return sums.index_add(0, pack.visual_patch, x.index_select(0, pack.visual).float()) / pack.patch_tokens[:, None]
