"""One role's trained tensors: from an adapter's files or a training run in, with full copies or single rows out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.decode import Vocabulary
from adapters.loading import adapted_vocabulary, check_adapter, current_module, load_head
from adapters.store import (
    EMBED,
    HEAD,
    PEFT_PREFIX,
    AdapterFiles,
    read_base_shapes,
    read_base_tensor,
    read_json,
    read_tensors,
)
from prompts import ROLES
from roles.errors import CheckpointError

_CHUNK_ROWS = 8192
"""Rows that are compared at a time, so that a large vocabulary is never held twice."""


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """What training one role gives; V tokens, H hidden, R rows.

    Attributes:
        role: Whose it is.
        lora: LoRA's tensors by current name without PEFT's prefix
            ("model.language_model.layers.0.self_attn.q_proj.lora_A.weight").
        rank: LoRA's rank.
        alpha: LoRA's scale, times the rank.
        dropout: What it was trained with.
        targets: Short names of the adapted layers ("q_proj").
        token_ids: Ids of the rows in `embed` and `head`; empty with full copies, or without a vocabulary of its own.
        embed: Token embeddings, [R, H] or [V, H]; None are the base's.
        head: Rows of the output layer, likewise. None with rows on a tied base follows `embed`; else it is the base's.
        timestamp_head: The grounder's head, named as in `TimestampHead.state_dict()`; None for other roles.
        rank_pattern: Ranks of modules that depart from `rank`, by the module's current name.
        alpha_pattern: Likewise of `alpha`.
        rslora: Whether the scale is divided by the root of the rank.
    """

    role: str
    lora: Mapping[str, Tensor]
    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    token_ids: tuple[int, ...] = ()
    embed: Tensor | None = None
    head: Tensor | None = None
    timestamp_head: Mapping[str, Tensor] | None = None
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    rslora: bool = False

    @property
    def modules(self) -> list[str]:
        """Full current names of the adapted layers."""
        suffix = ".lora_A.weight"
        return sorted(name.removesuffix(suffix) for name in self.lora if name.endswith(suffix))

    def check(self) -> None:
        """Makes sure that it is whole.

        Raises:
            CheckpointError: An unknown role, nothing trained, a head at the wrong role, rows that are no rows, or
                numbers that are none.
        """
        who = f"adapter {self.role}"
        if self.role not in ROLES:
            raise CheckpointError(f"{who}: unknown role; expected one of {', '.join(ROLES)}")
        pairs = {f"{module}.{side}.weight" for module in self.modules for side in ("lora_A", "lora_B")}
        if not pairs or pairs != self.lora.keys():
            odd = sorted(pairs ^ self.lora.keys())
            raise CheckpointError(
                f"{who}: {'LoRA tensors without their pair: ' + odd[0] if odd else 'no LoRA tensors'}"
            )
        if (self.timestamp_head is not None) != (self.role == "grounder"):
            raise CheckpointError(f"{who}: a grounder has a timestamp head, and no other role has one")
        if len(set(self.token_ids)) != len(self.token_ids) or any(one < 0 for one in self.token_ids):
            raise CheckpointError(f"{who}: token_ids are {self.token_ids}; expected different ids")
        if self.token_ids and self.embed is None and self.head is None:
            raise CheckpointError(f"{who}: has token_ids and no rows for them")
        for name, tensor in (("embed", self.embed), ("head", self.head)):
            if self.token_ids and tensor is not None and tensor.shape[0] != len(self.token_ids):
                raise CheckpointError(f"{who}: {name} has {tensor.shape[0]} rows for {len(self.token_ids)} token_ids")
        every = {**self.lora, **(self.timestamp_head or {}), "embed": self.embed, "head": self.head}
        broken = [name for name, tensor in every.items() if tensor is not None and not _is_finite(tensor)]
        if broken:
            raise CheckpointError(
                f"{who}: {broken[0]} holds NaN or infinity ({len(broken)} tensors do); go back to an earlier checkpoint"
            )

    def with_copies(self, base: Path, tied: bool) -> TrainedAdapter:
        """The same with full copies of the vocabulary in place of rows.

        Values stay exact: copies take the wider dtype of base and rows.

        Raises:
            CheckpointError: The base's vocabulary cannot be read.
        """
        if not self.token_ids:
            return self
        head_rows = self.embed if self.head is None and tied else self.head
        embed = None if self.embed is None else _grown(read_base_tensor(base, EMBED), self.token_ids, self.embed)
        whole = EMBED if tied else HEAD
        head = None if head_rows is None else _grown(read_base_tensor(base, whole), self.token_ids, head_rows)
        return replace(self, token_ids=(), embed=embed, head=head)

    def with_rows(self, base: Path, tied: bool, allowed: Collection[int]) -> TrainedAdapter:
        """The same with rows in place of full copies, where these depart from the base in rows of `allowed` alone.

        Nothing is rounded: a copy that differs from the base by its dtype's precision alone is kept.

        Raises:
            CheckpointError: The base's vocabulary cannot be read.
        """
        if self.token_ids or (self.embed is None and self.head is None):
            return self
        if tied and (self.embed is None or self.head is None):
            return self  # rows of a tied base are rows of both
        pairs = [
            (copy, read_base_tensor(base, EMBED if tied else name))
            for copy, name in ((self.embed, EMBED), (self.head, HEAD))
            if copy is not None
        ]
        ids: set[int] = set()
        for copy, whole in pairs:
            differ = _differing_rows(copy, whole, len(allowed))
            if differ is None or not differ <= set(allowed):
                return self
            ids |= differ
        picked = sorted(ids)
        if not picked:
            return replace(self, embed=None, head=None)
        if any(copy.shape[0] <= picked[-1] for copy, _ in pairs):
            return self
        embed = None if self.embed is None else self.embed[picked]
        head = None if self.head is None else self.head[picked]
        if tied and embed is not None and head is not None:
            if not torch.equal(embed, head):
                return self
            head = None
        return replace(self, token_ids=tuple(picked), embed=embed, head=head)


def read_trained(files: AdapterFiles, head: Path | None, base: Path) -> TrainedAdapter:
    """Reads a stored adapter of either layout.

    Args:
        files: The adapter.
        head: The grounder's head file; left alone for other roles.
        base: The base's folder.

    Raises:
        CheckpointError: It cannot be read, or does not fit the base.
    """
    shapes = read_base_shapes(base)
    tied = is_tied_base(base, shapes)
    if EMBED not in shapes:
        raise CheckpointError(f"{base}: has no tensor {EMBED}; is this a whole Qwen2-VL base?")
    linear = {name.removesuffix(".weight"): (s[1], s[0]) for name, s in shapes.items() if len(s) == 2}
    ranks = check_adapter(files, linear, shapes[EMBED][1], tied)
    tensors = files.tensors()
    embed = own = None
    ids: tuple[int, ...] = ()
    if files.row_ids or EMBED in tensors or HEAD in tensors:
        first = read_base_tensor(base, EMBED)
        plain = Vocabulary(first, first if tied else read_base_tensor(base, HEAD))
        spoken = adapted_vocabulary(files, tensors, plain)
        embed = None if spoken.embed is plain.embed else spoken.embed
        own = None if spoken.head is plain.head else spoken.head
        if spoken.row_ids is not None:
            ids = tuple(int(one) for one in spoken.row_ids)
            if embed is None and own is None:
                embed, own = spoken.embed_rows, spoken.head_rows
                own = None if tied and own is embed else own
            else:  # a copy of one half and rows of the other: copies of both say the same
                embed = _half(embed, plain.embed, ids, spoken.embed_rows)
                own = _half(own, plain.head, ids, spoken.head_rows)
                ids = ()
    config = files.config
    alphas = config.get("alpha_pattern") or {}
    return TrainedAdapter(
        role=files.role,
        lora={name: tensor for name, tensor in tensors.items() if ".lora_" in name},
        rank=config["r"],
        alpha=config["lora_alpha"],
        dropout=float(config.get("lora_dropout") or 0.0),
        targets=tuple(sorted({module.rpartition(".")[2] for module in files.lora_modules})),
        token_ids=ids,
        embed=embed,
        head=own,
        timestamp_head=_read_head(head, shapes[EMBED][1]) if files.role == "grounder" and head is not None else None,
        rank_pattern=ranks,
        alpha_pattern={current_module(key): value for key, value in alphas.items()},
        rslora=bool(config.get("use_rslora")),
    )


def is_tied_base(base: Path, shapes: Mapping[str, object] | None = None) -> bool:
    """Whether a base's output layer is its token embeddings.

    Raises:
        CheckpointError: The folder cannot be read.
    """
    config: Mapping[str, Any] = read_json(base / "config.json")
    if HEAD not in (read_base_shapes(base) if shapes is None else shapes):
        return True
    return bool(config.get("tie_word_embeddings", (config.get("text_config") or {}).get("tie_word_embeddings")))


def _read_head(path: Path, hidden: int) -> dict[str, Tensor]:
    """The grounder's head as stored; it is loaded once to see that it fits."""
    load_head(path, hidden, torch.device("cpu"))
    return {name.removeprefix(PEFT_PREFIX): tensor for name, tensor in read_tensors(path).items()}


def _is_finite(tensor: Tensor) -> bool:
    parts = tensor.reshape(1) if tensor.dim() == 0 else tensor
    steps = range(0, parts.shape[0], _CHUNK_ROWS)
    return all(bool(parts[start : start + _CHUNK_ROWS].isfinite().all()) for start in steps)


def _half(copy: Tensor | None, whole: Tensor, ids: tuple[int, ...], rows: Tensor | None) -> Tensor | None:
    return copy if copy is not None or rows is None else _grown(whole, ids, rows)


def _grown(whole: Tensor, ids: tuple[int, ...], rows: Tensor) -> Tensor:
    """A base's matrix with rows replaced; longer where ids lie beyond it, with zeros in between."""
    dtype = torch.promote_types(whole.dtype, rows.dtype)
    length = max(whole.shape[0], max(ids) + 1)
    out = torch.zeros(length, whole.shape[1], dtype=dtype)
    out[: whole.shape[0]] = whole
    out[list(ids)] = rows.detach().to("cpu", dtype)
    return out


def _differing_rows(copy: Tensor, whole: Tensor, limit: int) -> set[int] | None:
    """Rows in which a copy is not exactly the base's; None where it is shorter, or more than `limit` differ."""
    if copy.shape[0] < whole.shape[0]:
        return None
    dtype = torch.promote_types(copy.dtype, whole.dtype)
    found = set(range(whole.shape[0], copy.shape[0]))
    for start in range(0, whole.shape[0], _CHUNK_ROWS):
        part = slice(start, min(start + _CHUNK_ROWS, whole.shape[0]))
        differ = (copy[part].to("cpu", dtype) != whole[part].to(dtype)).any(dim=1).nonzero()[:, 0]
        found |= {start + int(one) for one in differ[: limit + 1]}
        if len(found) > limit:
            return None
    return found
