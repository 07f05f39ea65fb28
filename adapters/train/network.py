"""The model in training: a packed pass goes in, the mean loss of its samples and its parts come out.

The base is frozen; what learns is LoRA (made by PEFT), the embeddings of the added tokens, and the grounder's head.
The vision tower has no part in the backward pass: visual tokens come from the disk, or are computed without gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from adapters.decode import LanguageModel, Vocabulary
from adapters.heads.losses import grounding_losses
from adapters.heads.timestamp import TimestampHead
from adapters.train.attention import use_packed_attention
from adapters.train.packing import Pass
from adapters.vision import encode

LOGIT_ROWS = 512
"""Positions whose logits over the vocabulary are held at once; 300 MB in float32 at 152,000 tokens."""
PARTS = ("lm", "class", "coord", "saliency")


@dataclass(frozen=True, slots=True)
class Losses:
    """Of one pass, S samples.

    Attributes:
        total: What is descended: the weighted sum over the samples.
        parts: Per part of `PARTS`, each sample's loss, [S].
    """

    total: Tensor
    parts: dict[str, Tensor]


class NewTokens(nn.Module):
    """What an adapter learns of the vocabulary: single rows, full copies, or nothing.

    Args:
        base: The base's vocabulary; frozen.
        row_ids: Ids whose rows are learned, [R]; None with full copies or nothing.
        embed: First values: rows [R, H] or a copy [V, H]; None learns nothing.
        head: Likewise of the output layer; None where the base ties it to the embeddings and rows are learned.
    """

    def __init__(self, base: Vocabulary, row_ids: Tensor | None, embed: Tensor | None, head: Tensor | None) -> None:
        super().__init__()
        self._base = base
        self._row_ids = row_ids
        self.embed = nn.Parameter(embed.detach().clone()) if embed is not None else None
        self.head = nn.Parameter(head.detach().clone()) if head is not None else None

    def vocabulary(self, dtype: torch.dtype | None = None) -> Vocabulary:
        """What is spoken now; gradients flow into it unless a dtype to convert full copies to is given."""
        embed, head = self.embed, self.head if self.head is not None else self.embed
        if embed is None or head is None:
            return self._base
        if self._row_ids is not None:
            return Vocabulary(self._base.embed, self._base.head, self._row_ids.to(embed.device), embed, head)
        if dtype is not None:
            return Vocabulary(embed.detach().to(dtype), head.detach().to(dtype))
        return Vocabulary(embed, head)


class TrainingNetwork(nn.Module):
    """A Qwen2-VL base with one role's adapter in training.

    Args:
        base: transformers' model with LoRA layers injected; frozen but for them.
        language_model: Drives its text model.
        new_tokens: What is learned of the vocabulary.
        head: The grounder's; None for other roles.
        pixels: Mean and standard deviation of the base's pixels, per channel.
    """

    def __init__(
        self,
        base: Any,
        language_model: LanguageModel,
        new_tokens: NewTokens,
        head: TimestampHead | None,
        pixels: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        super().__init__()
        self.base = base
        self.new_tokens = new_tokens
        self.head = head
        self.checkpointed_layers: int | None = 0
        """How many of the language model's layers are recomputed in the backward pass; None decides for each pass."""
        self.activation_bytes: int = 0
        """Memory that a pass may take for activations where that is decided for each pass."""
        self.pixels = pixels
        self._text = base.model.language_model
        self._language_model = language_model
        use_packed_attention(self._text)
        enable = getattr(base, "activation_checkpointing_enable", None) or base.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        for module in base.modules():
            if getattr(module, "gradient_checkpointing", False):
                module.gradient_checkpointing = False  # each pass decides for itself

    def forward(self, batch: Pass) -> Losses:
        """Losses of a packed pass, on any device."""
        # Said here and not left to a launcher, so that it is the same on one GPU, with DDP and with FSDP: weights that
        # learn are float32 everywhere, products are made in the base's precision, the regression head in float32.
        half = self._dtype != torch.float32
        with torch.autocast(self.base.lm_head.weight.device.type, self._dtype if half else None, enabled=half):
            return self._losses(batch)

    def _losses(self, batch: Pass) -> Losses:
        device = self.base.lm_head.weight.device
        batch = batch.on(device)
        vocabulary = self.new_tokens.vocabulary()
        embeds = vocabulary.embedded(batch.ids).to(self._dtype)
        features = torch.cat([self._see(clip).flatten(0, -2) for clip in batch.clips])
        embeds = embeds.index_copy(0, batch.visual, features.to(embeds.dtype))
        self._set_checkpointing(batch.ids.shape[0])
        states = self._language_model.forward(embeds[None], batch.positions[:, None], pack=batch.pack)[0]
        lm = self._language_loss(states, vocabulary, batch)
        parts = {"lm": lm}
        if self.head is not None:
            parts |= self._grounding_losses(states, batch)
        total = torch.stack(tuple(parts.values())).sum() * batch.weight
        return Losses(total, {name: part.detach() for name, part in parts.items()})

    def compile_parts(self) -> None:
        """Fuses what is bound by memory rather than arithmetic: the norms and the feed-forward part of every layer.

        The rest is matrix products, which gain nothing. Compiling takes some seconds at the first pass; lengths may
        vary freely after it.
        """
        swiglu, norm = (torch.compile(part, dynamic=True) for part in (_swiglu, _rms_norm))
        for layer in self._text.layers:
            mlp = layer.mlp
            parts = (mlp.gate_proj, mlp.up_proj, mlp.down_proj)
            if self._text.config.hidden_act == "silu" and all(type(part) is nn.Linear for part in parts):
                mlp.forward = partial(_call_swiglu, swiglu, *parts)
            for one in (layer.input_layernorm, layer.post_attention_layernorm):
                one.forward = partial(_call_norm, norm, one)

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self._text.norm.weight.dtype
        return dtype

    def _see(self, clip: Tensor) -> Tensor:
        """Visual tokens of a clip, from its frames or as they were kept."""
        if clip.dtype != torch.uint8:
            return clip
        with torch.no_grad():
            mean, std = (torch.tensor(values) for values in self.pixels)
            return encode(self.base.model.visual, clip, mean, std)

    def _set_checkpointing(self, tokens: int) -> None:
        layers = self._text.layers
        count = self.checkpointed_layers
        if count is None:
            fitting = self.activation_bytes // (layer_bytes(self._text.config, self._dtype) * tokens)
            count = len(layers) - int(min(fitting, len(layers)))
        for number, layer in enumerate(layers):
            layer.gradient_checkpointing = number < count

    def _language_loss(self, states: Tensor, vocabulary: Vocabulary, batch: Pass) -> Tensor:
        """Cross-entropy of each sample, averaged over the tokens that it teaches, [S]."""
        # Logits are made for these positions only: over the whole sequence they would be the largest tensor by far.
        hidden = self._language_model.normalise(states[batch.predict])
        losses = []
        for at in range(0, hidden.shape[0], LOGIT_ROWS):
            rows, targets = hidden[at : at + LOGIT_ROWS], batch.targets[at : at + LOGIT_ROWS]
            several = hidden.shape[0] > LOGIT_ROWS and torch.is_grad_enabled()
            if several:
                losses.append(checkpoint(_cross_entropy, rows, targets, vocabulary, use_reentrant=False))
            else:
                losses.append(_cross_entropy(rows, targets, vocabulary))
        zeros = torch.zeros(batch.samples, device=states.device)
        return zeros.index_add(0, batch.owner, torch.cat(losses) * batch.shares)

    def _grounding_losses(self, states: Tensor, batch: Pass) -> dict[str, Tensor]:
        """The regression head's losses of each sample, zero for those that point at nothing, [S]."""
        head = self.head
        assert head is not None  # noqa: S101 - the caller looked
        parts = {name: torch.zeros(batch.samples, device=states.device) for name in PARTS[1:]}
        for grounding in batch.groundings:
            steps, rows, columns = grounding.grid
            count = steps * rows * columns
            visual = batch.visual[grounding.first_visual : grounding.first_visual + count]
            frames = states[visual].float().view(1, steps, rows * columns, -1).mean(dim=2)
            query = states[grounding.states].float()[:, None]
            losses = grounding_losses(head.train_outputs(frames, query), grounding.targets, grounding.positive)
            for name, loss in zip(parts, (losses.class_, losses.coord, losses.saliency), strict=True):
                parts[name] = parts[name].index_add(0, grounding.samples, loss)
        if not batch.groundings:
            # Every device must have the same parameters in its graph.
            unused = sum(parameter.sum() for parameter in head.parameters()) * 0.0
            parts["class"] = parts["class"] + unused
        return parts


def layer_bytes(config: Any, dtype: torch.dtype) -> int:
    """Memory for the activations of one decoder layer that the backward pass needs, per token, in bytes.

    Counted on what autograd keeps with frozen weights: inputs of LoRA layers, two norms in float32, queries, keys,
    values, the attention's output, and three tensors of the feed-forward part. It errs on the safe side: peaks measured
    on an H100 lie a fifth below it at 2B and 7B sizes.
    """
    size = 2 if dtype != torch.float32 else 4
    heads = config.num_attention_heads
    kv_width = config.hidden_size // heads * config.num_key_value_heads
    wide = 3 * config.intermediate_size * size
    norms = 2 * config.hidden_size * (4 + 4 + size)
    attention = (3 * config.hidden_size + 2 * kv_width) * size
    lora_inputs = 4 * config.hidden_size * (size + 1)
    return int(wide + norms + attention + lora_inputs)


def _swiglu(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    return functional.linear(functional.silu(functional.linear(x, gate)) * functional.linear(x, up), down)


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return weight * scaled.to(x.dtype)


def _call_swiglu(function: Any, gate: nn.Linear, up: nn.Linear, down: nn.Linear, x: Tensor) -> Tensor:
    # Weights are arguments: one compiled function serves all layers.
    out: Tensor = function(x, gate.weight, up.weight, down.weight)
    return out


def _call_norm(function: Any, module: Any, x: Tensor) -> Tensor:
    out: Tensor = function(x, module.weight, module.variance_epsilon)
    return out


def _cross_entropy(hidden: Tensor, targets: Tensor, vocabulary: Vocabulary) -> Tensor:
    return functional.cross_entropy(vocabulary.logits(hidden).float(), targets, reduction="none")
