"""A trained adapter goes in, a folder comes out that PEFT, `agent.run --adapters` or VideoMind's own code can load.

Two layouts. "peft" has the tensor names of current transformers and keeps new tokens as single rows that replace the
base's. "videomind" has the names of transformers 4.45, full copies of the vocabulary, and only those options that PEFT
0.14 knows. Both hold one folder per role, the grounder's head, the prompts and the tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from adapters.shared_files import CARD_FILE, base_reference, keep_manner, share, write_index
from adapters.staging import new_file, new_folder
from adapters.store import (
    ADAPTER_CONFIG,
    ADAPTER_FILE,
    EMBED,
    EMBED_ROWS,
    HEAD,
    HEAD_FILE,
    HEAD_ROWS,
    PEFT_PREFIX,
    read_base_shapes,
    read_json,
)
from adapters.tokenizer_files import tokens_with_new
from adapters.trained import TrainedAdapter, is_tied_base
from prompts import PromptBook
from roles.errors import CheckpointError
from roles.manner import Manner

__all__ = ["LAYOUTS", "TrainedAdapter", "base_reference", "check_place", "tokens_with_new", "write_adapter"]

LAYOUTS = ("peft", "videomind")
_RESERVED = frozenset({ADAPTER_FILE, ADAPTER_CONFIG, CARD_FILE, HEAD_FILE})


def check_place(
    out: Path, role: str, *, base: Path, base_name: str, layout: str, prompts: PromptBook, tokens_from: Path
) -> None:
    """Makes sure, before any work, that an adapter may be written beside those that are in a folder.

    Args:
        out: The adapters folder; it may be missing.
        role: Who is to be written.
        base: The base's folder here.
        base_name: What the base is called.
        layout: "peft" or "videomind".
        prompts: What the roles are asked with.
        tokens_from: A folder with the tokenizer.

    Raises:
        CheckpointError: The adapters there have another layout, base, tokenizer or other prompts.
    """
    if (out / "config.json").is_file() or (out / "prompts.json").is_file():
        base_config, reference = read_json(base / "config.json"), base_reference(base_name, out)
        share(out, role, base_config, reference, layout, prompts, tokens_from, write=False)


def write_adapter(
    out: Path,
    adapter: TrainedAdapter,
    *,
    base: Path,
    base_name: str,
    layout: str,
    prompts: PromptBook,
    tokens_from: Path,
    manner: Manner | None = None,
    card: str = "",
    files: Mapping[str, bytes | str] = MappingProxyType({}),
    compact: bool = True,
) -> Path:
    """Writes one role's adapter into a folder that may hold others.

    What the roles share is written once: `config.json`, the prompts and the tokenizer; of the manner in which they are
    asked, each role brings its own part. An older adapter of the role
    is replaced when the new one is whole and on the disk, and stays as it was if anything goes wrong.

    Args:
        out: The adapters folder; made where it is missing.
        adapter: What was trained.
        base: The base's folder here.
        base_name: What the base is called: a hub id or a path. A relative path is kept relative to `out`.
        layout: "peft" or "videomind".
        prompts: What the roles are asked with.
        tokens_from: A folder with the tokenizer; the new tokens are added where it lacks them.
        manner: How the role is asked; None leaves unsaid what is unsaid.
        card: The role's model card, in Markdown; none where empty.
        files: Further files of the role's folder, by name.
        compact: In the layout "peft", keep rows alone where full copies depart from the base only in the new tokens.

    Returns:
        The role's folder.

    Raises:
        CheckpointError: It cannot be written, is not whole, or does not go with the adapters that are there.
    """
    if layout not in LAYOUTS:
        raise CheckpointError(f"layout {layout!r} is unknown; expected one of {', '.join(LAYOUTS)}")
    adapter.check()
    place = out / adapter.role
    odd = [name for name in files if name in _RESERVED or not name or Path(name).name != name or name.startswith(".")]
    if odd:
        raise CheckpointError(f"{place}: {odd[0]!r} is no name for a further file there")
    reference = base_reference(base_name, out)
    shapes = read_base_shapes(base)
    tied = is_tied_base(base, shapes)
    ids = share(out, adapter.role, read_json(base / "config.json"), reference, layout, prompts, tokens_from)
    if layout == "videomind":
        adapter = adapter.with_copies(base, tied)
        config = _config_of_peft_014(adapter, reference)
    else:
        adapter = _for_peft(adapter, base, tied, ids if compact else ())
        config = _config_of_peft(adapter, reference, shapes)
    content = {
        ADAPTER_CONFIG: json.dumps(config, indent=2, sort_keys=True) + "\n",
        **({CARD_FILE: card} if card else {}),
        **files,
    }
    if adapter.timestamp_head is None:
        _write_role(place, _tensors(adapter, layout), content)
    else:
        head = {f"{PEFT_PREFIX}{name}": tensor for name, tensor in adapter.timestamp_head.items()}
        # Both are whole on the disk before either takes its place.
        with new_file(out / HEAD_FILE) as file:
            _save(head, file)
            _write_role(place, _tensors(adapter, layout), content)
    if manner is not None:
        keep_manner(out, adapter.role, manner, base)
    write_index(out, reference)
    return place


def _for_peft(adapter: TrainedAdapter, base: Path, tied: bool, allowed: Collection[int]) -> TrainedAdapter:
    """The form of an adapter's vocabulary that PEFT can hold."""
    if tied and adapter.token_ids and adapter.head is not None:
        # PEFT ties the rows of a tied base, whatever the file says: rows of their own need copies.
        adapter = adapter.with_copies(base, tied)
    return adapter.with_rows(base, tied, allowed) if allowed else adapter


def _tensors(adapter: TrainedAdapter, layout: str) -> dict[str, Tensor]:
    """What the adapter's file holds, under the names of its layout."""
    names = (EMBED_ROWS, HEAD_ROWS) if adapter.token_ids else (EMBED, HEAD)
    own = {
        name: tensor for name, tensor in zip(names, (adapter.embed, adapter.head), strict=True) if tensor is not None
    }
    every = {**adapter.lora, **own}
    return {
        PEFT_PREFIX + (_videomind_name(name) if layout == "videomind" else name): every[name] for name in sorted(every)
    }


def _videomind_name(name: str) -> str:
    """A tensor's or module's name under transformers 4.45, from its current one."""
    return name.replace("model.language_model.", "model.", 1)


def _config_of_peft_014(adapter: TrainedAdapter, reference: str) -> dict[str, Any]:
    """`adapter_config.json` with the names of transformers 4.45 and the options of PEFT 0.14."""
    return {
        **_plain_config(adapter, reference),
        "target_modules": [_videomind_name(module) for module in adapter.modules],
        "rank_pattern": {_videomind_name(name): rank for name, rank in adapter.rank_pattern.items()},
        "alpha_pattern": {_videomind_name(name): alpha for name, alpha in adapter.alpha_pattern.items()},
        "eva_config": None,
        "exclude_modules": None,
        "layer_replication": None,
        "layers_pattern": None,
        "layers_to_transform": None,
        "loftq_config": {},
        "lora_bias": False,
        "megatron_config": None,
        "megatron_core": "megatron.core",
    }


def _config_of_peft(
    adapter: TrainedAdapter, reference: str, base_shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Any]:
    """`adapter_config.json` for current PEFT.

    Layers are named in short where the short names mean exactly the adapted ones in this base: "q_proj" is a name of
    the language model alone, "proj" would be the vision tower's too.
    """
    layers = [name.removesuffix(".weight") for name, shape in base_shapes.items() if len(shape) == 2]
    meant = sorted(layer for layer in layers if layer.rpartition(".")[2] in adapter.targets)
    config = {
        **_plain_config(adapter, reference),
        "target_modules": sorted(adapter.targets) if meant == adapter.modules else adapter.modules,
        "rank_pattern": dict(adapter.rank_pattern),
        "alpha_pattern": dict(adapter.alpha_pattern),
        "trainable_token_indices": None,
    }
    if adapter.token_ids:
        own = {"embed_tokens": adapter.embed, "lm_head": adapter.head}
        rows = {name: list(adapter.token_ids) for name, tensor in own.items() if tensor is not None}
        config |= {"modules_to_save": None, "trainable_token_indices": rows}
    return config


def _plain_config(adapter: TrainedAdapter, reference: str) -> dict[str, Any]:
    copies = {"embed_tokens": adapter.embed, "lm_head": adapter.head}
    return {
        "auto_mapping": None,
        "base_model_name_or_path": reference,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
        "modules_to_save": [name for name, tensor in copies.items() if tensor is not None] or None,
        "peft_type": "LORA",
        "r": adapter.rank,
        "revision": None,
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": adapter.rslora,
    }


def _write_role(place: Path, tensors: Mapping[str, Tensor], content: Mapping[str, bytes | str]) -> None:
    with new_folder(place) as folder:
        _save(tensors, folder / ADAPTER_FILE)
        for name, value in content.items():
            (folder / name).write_bytes(value.encode() if isinstance(value, str) else value)


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    seen: set[int] = set()
    whole: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        kept = tensor.detach().to("cpu").contiguous()
        if kept.untyped_storage().nbytes() != kept.nbytes or kept.data_ptr() in seen:
            kept = kept.clone()  # safetensors refuses memory that two tensors share
        seen.add(kept.data_ptr())
        whole[name] = kept
    path.touch()
    mode = path.stat().st_mode
    save_file(whole, path, metadata={"format": "pt"})
    path.chmod(mode)  # safetensors' own files are for their owner alone
