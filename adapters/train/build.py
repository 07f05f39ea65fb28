"""A base, LoRA layers and a head go together into a network in training, and into the agent's own model to validate it.

Both are one set of weights: validation asks the adapter exactly as `agent.run` will.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adapters.decode import Vocabulary
from adapters.eyes import CLIP_MEAN, CLIP_STD
from adapters.heads.timestamp import TimestampHead
from adapters.loading import Placement, base_vocabulary, load_base
from adapters.qwen2vl import Qwen2VL
from adapters.store import (
    EMBED,
    EMBED_ROWS,
    HEAD,
    HEAD_ROWS,
    AdapterFiles,
    AdapterFolder,
    read_normalisation,
    read_stop_ids,
    read_tensors,
)
from adapters.tokens import END, END_OF_TEXT, NEW_TOKENS, Tokens
from adapters.train.network import NewTokens, TrainingNetwork
from prompts import PromptBook
from roles.errors import CheckpointError
from roles.manner import Manner

if TYPE_CHECKING:
    from adapters.export import TrainedAdapter

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
"""Where LoRA goes by default, as in VideoMind."""


@dataclass(frozen=True, slots=True)
class LoraShape:
    """LoRA's settings, as PEFT means them."""

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]


@dataclass(slots=True)
class Workbench:
    """Everything that training works on.

    Attributes:
        role: Whose adapter is trained.
        network: What is trained.
        backbone: The agent's model over the same weights.
        tokens: The tokenizer, added tokens included.
        prompts: What the role is asked with.
        lora: LoRA's settings.
        token_ids: Ids whose rows are learned; empty with full copies or none.
        notes: What a person should know of how it was put together.
    """

    role: str
    network: TrainingNetwork
    backbone: Qwen2VL
    tokens: Tokens
    prompts: PromptBook
    lora: LoraShape
    token_ids: tuple[int, ...]
    notes: list[str]

    def show(self) -> None:
        """Lets the backbone see the adapter as it is now; call before asking it."""
        vocabulary = self.network.new_tokens.vocabulary(self.backbone.placement.dtype)
        self.backbone.adopt(self.role, vocabulary, self.network.head)

    def trained(self, state: Mapping[str, Tensor]) -> TrainedAdapter:
        """What is written to disk.

        Args:
            state: Name in the network -> trained tensor, whole, as from `trained_state`.
        """
        from adapters.export import TrainedAdapter

        lora = {
            name.removeprefix("base.").replace(f".{self.role}.weight", ".weight"): tensor
            for name, tensor in state.items()
            if ".lora_" in name
        }
        head = {name.removeprefix("head."): tensor for name, tensor in state.items() if name.startswith("head.")}
        return TrainedAdapter(
            role=self.role,
            lora=lora,
            rank=self.lora.rank,
            alpha=self.lora.alpha,
            dropout=self.lora.dropout,
            targets=self.lora.targets,
            token_ids=self.token_ids,
            embed=state.get("new_tokens.embed"),
            head=state.get("new_tokens.head"),
            timestamp_head=head or None,
        )


def trained_state(network: TrainingNetwork) -> dict[str, Tensor]:
    """Everything that learns, whole and on the CPU; every process of a sharded run must call it."""
    state = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            value: Any = parameter.detach()
            state[name] = (value.full_tensor() if hasattr(value, "full_tensor") else value).cpu().contiguous()
    return state


def load_trained_state(network: TrainingNetwork, state: Mapping[str, Tensor]) -> None:
    """Puts back what `trained_state` gave.

    Raises:
        CheckpointError: It is of another network.
    """
    own = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    wrong = sorted(own.keys() ^ state.keys())
    wrong += [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]
    if wrong:
        raise CheckpointError(f"the checkpoint is of another adapter: {', '.join(wrong[:5])}; start anew with --fresh")
    with torch.no_grad():
        for name, parameter in own.items():
            value: Any = state[name].to(parameter.device, parameter.dtype)
            if hasattr(parameter, "device_mesh"):
                from torch.distributed.tensor import distribute_tensor

                value = distribute_tensor(value, parameter.device_mesh, parameter.placements)  # type: ignore[attr-defined]
            parameter.copy_(value)


def build(
    role: str,
    base: Path,
    tokens: Tokens,
    prompts: PromptBook,
    placement: Placement,
    lora: LoraShape,
    new_tokens: str,
    with_head: bool,
    init: AdapterFolder | None,
    seed: int,
    manner: Manner | None = None,
) -> Workbench:
    """Puts a workbench together.

    Args:
        role: Whose adapter.
        base: The base's folder.
        tokens: The tokenizer, with the added tokens where the role needs them.
        prompts: What the role is asked with.
        placement: Where it runs.
        lora: LoRA's settings.
        new_tokens: "rows", "full", "none", or "auto" for rows where the base has room for them.
        with_head: Whether it has a regression head.
        init: Adapters to start from; None starts anew.
        seed: Of what is drawn at random.
        manner: How the checkpoint is asked; None is as VideoMind's.

    Raises:
        CheckpointError: Weights that do not fit.
        InputError: Unknown targets.
    """
    notes: list[str] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = load_base(base, placement)
        vocabulary = base_vocabulary(model)
        start = _start_of(init, role)
        _inject(model, role, lora, placement, start)
        kept = _rows_of(init.roles[role], start) if init is not None and start else {}
        learned, token_ids = _new_tokens(new_tokens, tokens, vocabulary, start, kept, notes)
        head = None
        if with_head:
            head = TimestampHead(vocabulary.embed.shape[1]).to(placement.device, torch.float32)
            if init is not None and init.head is not None:
                stored = read_tensors(init.head)
                head.load_state_dict({k.removeprefix("base_model.model."): v.float() for k, v in stored.items()})
    mean, std = read_normalisation(base, CLIP_MEAN, CLIP_STD)
    stops = read_stop_ids(base, [tokens.id(END), tokens.id(END_OF_TEXT)])
    backbone = Qwen2VL(model, tokens, prompts, placement, stops, mean, std, manner)
    network = TrainingNetwork(model, backbone.language_model, learned, head, (mean, std))
    network.new_tokens.to(placement.device)
    return Workbench(role, network, backbone, tokens, prompts, lora, token_ids, notes)


def _start_of(init: AdapterFolder | None, role: str) -> dict[str, Tensor]:
    if init is None:
        return {}
    if role not in init.roles:
        raise CheckpointError(f"{init.folder}: holds no {role} to start from (it has {', '.join(init.roles)})")
    return init.roles[role].tensors()


def _inject(model: Any, role: str, lora: LoraShape, placement: Placement, start: Mapping[str, Tensor]) -> None:
    """Adds trainable LoRA layers to the language model, in float32, under the role's name."""
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    targets = "|".join(lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf"model\.language_model\.layers\.\d+\.(self_attn|mlp)\.({targets})",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of names that transformers is about to change
        inject_adapter_in_model(config, model, adapter_name=role)
    named = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    missing = [name for name in named if start and f"{name}.lora_A.weight" not in start]
    if missing:
        raise CheckpointError(f"the adapter to start from lacks {missing[0]} and {len(missing) - 1} more layers")
    for name, module in named.items():
        # Inputs stay in half precision: PEFT would copy each of them to float32 first.
        module.cast_input_dtype_enabled = False
        for side in ("lora_A", "lora_B"):
            layer = getattr(module, side)[role]
            layer.to(placement.device, torch.float32)
            layer.weight.requires_grad_(True)
            if start:
                stored = start[f"{name}.{side}.weight"]
                if stored.shape != layer.weight.shape:
                    raise CheckpointError(
                        f"{name}.{side}: the adapter to start from has rank {min(stored.shape)}, "
                        f"asked for is {lora.rank}; say --lora-rank {min(stored.shape)}"
                    )
                layer.weight.data.copy_(stored.float())


def _rows_of(files: AdapterFiles, start: Mapping[str, Tensor]) -> dict[str, dict[int, Tensor]]:
    """Single rows that an adapter to start from brings, by name and id."""
    return {name: dict(zip(ids, start[name], strict=True)) for name, ids in files.row_ids.items() if name in start}


def _new_tokens(
    mode: str,
    tokens: Tokens,
    base: Vocabulary,
    start: Mapping[str, Tensor],
    kept: Mapping[str, Mapping[int, Tensor]],
    notes: list[str],
) -> tuple[NewTokens, tuple[int, ...]]:
    """What is learned of the vocabulary, and the ids of its rows."""
    if mode == "none":
        return NewTokens(base, None, None, None), ()
    ids = tuple(tokens.id(name) for name in NEW_TOKENS)
    rows = base.embed.shape[0]
    tied = base.embed.data_ptr() == base.head.data_ptr()
    if mode == "auto":
        mode = "rows" if max(ids) < rows and EMBED not in start else "full"
        if mode == "full":
            why = "the adapter to start from brings copies" if EMBED in start else f"the base has only {rows} rows"
            notes.append(f"the added tokens need full copies of the embeddings: {why}")
    if mode == "rows" and max(ids) >= rows:
        raise CheckpointError(
            f"the base has {rows} token embeddings and none for {', '.join(NEW_TOKENS)}; say --new-tokens full"
        )
    first = [base.embed, base.head]
    # New tokens start as the mean embedding. Rows of padding, which no token uses, take no part in the mean.
    used = min(rows, min(ids))
    means = [values[:used].mean(dim=0, dtype=torch.float32) for values in first]
    if mode == "rows":
        embed, head = (
            torch.stack([kept.get(name, {}).get(one, mean).to(mean) for one in ids])
            for name, mean in zip((EMBED_ROWS, HEAD_ROWS), means, strict=True)
        )
        return NewTokens(base, torch.tensor(ids), embed, None if tied else head), ids
    copies = []
    own_rows = [kept.get(EMBED_ROWS, {}), kept.get(HEAD_ROWS, kept.get(EMBED_ROWS, {}) if tied else {})]
    for values, mean, name, learned in zip(first, means, (EMBED, HEAD), own_rows, strict=True):
        if name in start:
            copies.append(start[name].float())
            continue
        grown = torch.cat((values.float(), mean.expand(max(0, max(ids) + 1 - rows), -1)))
        grown[list(ids)] = mean
        for one, row in learned.items():
            grown[one] = row.to(grown)
        copies.append(grown)
    return NewTokens(base, None, *(copy.to(base.embed.device) for copy in copies)), ()
