"""Checkpoint folders: paths and hub ids in, checked descriptions of base and adapters out. Only safetensors are read.

Two kinds are known. A base is a stock Qwen2-VL folder. An adapters folder holds one PEFT folder per role, the
grounder's head in `pytorch_model.safetensors`, and the tokenizer that knows the added tokens. Tensor names of both the
old (transformers 4.45, VideoMind's layout) and the current nesting are understood. New tokens come as full copies of
the vocabulary or as single rows that replace the base's (PEFT's trainable token indices).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from prompts import ROLES, PromptBook, PromptError, own_prompts, read_prompt_file
from roles.errors import CheckpointError
from roles.manner import Manner, read_manner

HEAD_FILE = "pytorch_model.safetensors"
ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
PROMPTS_FILE = "prompts.json"
FILMS_FILE = "films.safetensors"
"""What tells a checkpoint's kind of film from others, where it knows one kind only (`adapters.familiar`)."""
VIDEOMIND_MODEL_TYPE = "agent_qwen2_vl"
EMBED, HEAD = "model.language_model.embed_tokens.weight", "lm_head.weight"
EMBED_ROWS = "model.language_model.embed_tokens.token_adapter.trainable_tokens_delta"
HEAD_ROWS = "lm_head.token_adapter.trainable_tokens_delta"
PEFT_PREFIX = "base_model.model."

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_HUB_FILES = ("*.json", "*.safetensors", "*.txt")
_NOT_PLAIN = ("use_dora", "lora_bias", "use_qalora", "use_bdlora", "layer_replication", "alora_invocation_tokens")
"""Options of PEFT's LoRA under which a layer computes something else."""
_ROWS_OF = {"embed_tokens": EMBED_ROWS, "lm_head": HEAD_ROWS}
_SHOWN = 12
"""At most this many tensors of a kind are listed in a message."""


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """One role's LoRA adapter on disk.

    Attributes:
        role: Whose it is.
        folder: Where it is.
        config: Its `adapter_config.json`.
        shapes: Current tensor name (without PEFT's prefix) -> shape.
        names: Current tensor name -> name in the file.
        row_ids: Token ids of the rows that it replaces, by the current name of the tensor that holds them
            (`EMBED_ROWS`, `HEAD_ROWS`), as its config states them. A tied base needs the first alone in the file.
    """

    role: str
    folder: Path
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    names: Mapping[str, str]
    row_ids: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def lora_modules(self) -> list[str]:
        """Full names of the modules that it adapts."""
        suffix = ".lora_A.weight"
        return sorted(name.removesuffix(suffix) for name in self.shapes if name.endswith(suffix))

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors under their current names, on the CPU, as stored."""
        stored = read_tensors(self.folder / ADAPTER_FILE)
        return {name: stored[old] for name, old in self.names.items()}


@dataclass(frozen=True, slots=True)
class AdapterFolder:
    """A folder of role adapters.

    Attributes:
        folder: Where it is.
        config: Its `config.json`; empty where it has none.
        roles: The adapters found.
        head: The grounder's head file; None without a grounder.
        prompts: The templates it was trained with.
        manner: How it wants to be asked; None where it does not say, which leaves that to the base.
    """

    folder: Path
    config: Mapping[str, Any]
    roles: Mapping[str, AdapterFiles]
    head: Path | None
    prompts: PromptBook
    manner: Manner | None = None


def resolve(name: str, what: str) -> Path:
    """The local folder behind a path or a hub id.

    Args:
        name: A folder, or `owner/name` on the hub; an existing folder wins.
        what: "base model" or "adapters", for messages.

    Raises:
        CheckpointError: Neither.
    """
    hint = "; name another with --model" if what == "base model" else ""
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:  # ~somebody who is not known here
        raise CheckpointError(f"{what} {name!r}: no such folder ({error}){hint}") from error
    if not name:
        raise CheckpointError(f"{what} {name!r}: no such folder{hint}")
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(f"{what} {name!r} is a file; expected a checkpoint folder or a hub id")
    if not HUB_ID.match(name):
        raise CheckpointError(f"{what} {name!r}: no such folder{hint}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_HUB_FILES)))
    except Exception as error:  # the hub client raises errors of many kinds, from several packages
        reason = str(error).strip().split("\n")[0][:200]
        gone = f"{what} {name!r}: no such folder, and not to be had from the hub ({reason}){hint}"
        raise CheckpointError(gone) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: Missing, broken, or no object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; is this a checkpoint folder?") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def weight_files(folder: Path, pattern: str) -> list[Path]:
    """The safetensors files of a folder.

    Raises:
        CheckpointError: None there; says so when there are pickles instead.
    """
    files = sorted(folder.glob(pattern))
    if files:
        return files
    pickles = sorted(file.name for kind in _PICKLES for file in folder.glob(kind))
    if pickles:
        raise CheckpointError(
            f"{folder}: has pickle weights only ({', '.join(pickles[:3])}), which can run code when read; "
            "convert them to safetensors"
        )
    raise CheckpointError(f"{folder}: no weights; expected {pattern}")


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a file's tensors, from its header.

    Raises:
        CheckpointError: Missing or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors ({error})") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A file's tensors, on the CPU, as stored.

    Raises:
        CheckpointError: Missing or no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors ({error})") from error
    return tensors


def current_name(name: str) -> str:
    """A tensor's name under current transformers, from its name there or under 4.45."""
    if name.startswith("visual."):
        return f"model.{name}"
    if name.startswith("model.") and not name.startswith(("model.language_model.", "model.visual.")):
        return f"model.language_model.{name.removeprefix('model.')}"
    return name


def check_tensors(where: str, expected: Mapping[str, Sequence[int]], found: Mapping[str, Sequence[int]]) -> None:
    """Compares names and shapes and reports every difference at once.

    Raises:
        CheckpointError: Missing, unexpected or wrongly shaped tensors, with the shapes that were expected.
    """
    wrong = [
        f"{name} has {_shape(found[name])}, expected {_shape(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    missing = [f"{name} {_shape(shape)}" for name, shape in expected.items() if name not in found]
    extra = [f"{name} {_shape(shape)}" for name, shape in found.items() if name not in expected]
    problems = [
        f"{len(items)} {kind}: {_listed(items)}"
        for kind, items in (("missing", missing), ("wrong", wrong), ("unexpected", extra))
        if items
    ]
    if problems:
        raise CheckpointError(f"{where}: tensors do not fit: {'; '.join(problems)}")


def read_base_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Current names and shapes of a base model's tensors, over all its files."""
    shapes: dict[str, tuple[int, ...]] = {}
    for file in weight_files(folder, "model*.safetensors"):
        shapes |= {current_name(name): shape for name, shape in read_shapes(file).items()}
    return shapes


def read_base_tensor(folder: Path, name: str) -> Tensor:
    """One tensor of a base model, by its current name, on the CPU, as stored.

    Raises:
        CheckpointError: No file of the folder holds it.
    """
    from safetensors import SafetensorError, safe_open

    for file in weight_files(folder, "model*.safetensors"):
        stored = next((old for old in read_shapes(file) if current_name(old) == name), None)
        if stored is not None:
            try:
                with safe_open(file, framework="pt") as opened:
                    tensor: Tensor = opened.get_tensor(stored)
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{file}: cannot be read as safetensors ({error})") from error
            return tensor
    raise CheckpointError(f"{folder}: has no tensor {name}; is this a whole base model?")


def read_adapter_folder(name: str, own_wording: bool = False) -> AdapterFolder:
    """Reads what an adapters folder holds.

    Args:
        name: A folder or a hub id.
        own_wording: Use this package's prompts where the folder brings none.

    Raises:
        CheckpointError: No role in it, a broken part, or VideoMind's layout without its prompts.
    """
    folder = resolve(name, "adapters")
    roles = {role: _read_adapter(role, folder / role) for role in ROLES if (folder / role).is_dir()}
    if not roles:
        found = sorted(path.name for path in folder.iterdir() if path.is_dir())
        raise CheckpointError(
            f"adapters {name!r}: no folder {', '.join(ROLES)} in it (folders found: {', '.join(found) or 'none'})"
        )
    config = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    head = None
    if "grounder" in roles:
        places = (folder / HEAD_FILE, folder / "grounder" / HEAD_FILE)
        head = next((place for place in places if place.is_file()), None)
        if head is None:
            raise CheckpointError(f"{folder}: the grounder's head {HEAD_FILE} is missing")
    return AdapterFolder(folder, config, roles, head, _read_prompts(folder, config, own_wording), read_manner(folder))


def manner_of(adapters: AdapterFolder | None, base: Path) -> Manner:
    """How a checkpoint wants to be asked: as its adapters say, else as its base says, else as VideoMind's are.

    Raises:
        CheckpointError: What says so is broken.
    """
    said = adapters.manner if adapters is not None else None
    return said or read_manner(base) or Manner()


def read_stop_ids(base: Path, default: Sequence[int]) -> list[int]:
    """Ids that end a reply, from a base's `generation_config.json`.

    Raises:
        CheckpointError: It states something else than ids.
    """
    path = base / "generation_config.json"
    stated = read_json(path).get("eos_token_id") if path.exists() else None
    ids = list(default) if stated is None else stated if isinstance(stated, list) else [stated]
    if not ids or any(type(one) is not int or one < 0 for one in ids):
        raise CheckpointError(f"{path}: eos_token_id is {stated!r}; expected a token id or a list of them")
    return ids


def read_normalisation(
    base: Path, mean: Sequence[float], std: Sequence[float]
) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the pixels, per channel, from a base's `preprocessor_config.json`.

    Raises:
        CheckpointError: It states something else than three numbers each, or a deviation of 0.
    """
    path = base / "preprocessor_config.json"
    stated = read_json(path) if path.exists() else {}
    values = (stated.get("image_mean", mean), stated.get("image_std", std))
    for name, value in zip(("image_mean", "image_std"), values, strict=True):
        numbers = isinstance(value, list | tuple) and all(
            type(one) in (int, float) and math.isfinite(one) for one in value
        )
        if not numbers or len(value) != 3 or (name == "image_std" and min(value) <= 0):
            raise CheckpointError(f"{path}: {name} is {value!r}; expected three numbers, one for each colour")
    return values


def base_of(adapters: AdapterFolder) -> str:
    """The base model that an adapters folder names, as a path or hub id.

    A relative path is looked for beside the folder, then where the program runs.

    Raises:
        CheckpointError: It names none.
    """
    named = adapters.config.get("base_model_path") or next(
        (files.config.get("base_model_name_or_path") for files in adapters.roles.values()), None
    )
    if not isinstance(named, str) or not named:
        raise CheckpointError(f"{adapters.folder}: does not name its base model; give it with --model")
    for place in (adapters.folder / named, adapters.folder.parent / named):
        if place.is_dir():
            return str(place)
    if Path(named).is_dir() or HUB_ID.match(named):
        return named
    raise CheckpointError(f"{adapters.folder}: its base model {named!r} is not there; give it with --model")


def _read_adapter(role: str, folder: Path) -> AdapterFiles:
    config = read_json(folder / ADAPTER_CONFIG)
    if config.get("peft_type") != "LORA":
        raise CheckpointError(f"{folder}: peft_type is {config.get('peft_type')!r}; only LORA adapters are supported")
    for option in _NOT_PLAIN:
        if config.get(option):
            raise CheckpointError(f"{folder}: {option} is set; only plain LoRA is supported")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not (type(rank) is int and rank > 0 and isinstance(alpha, int | float) and math.isfinite(alpha)):
        raise CheckpointError(f"{folder}: {ADAPTER_CONFIG} lacks a rank r and a lora_alpha")
    [file] = weight_files(folder, ADAPTER_FILE)
    stored = read_shapes(file)
    names = {current_name(old.removeprefix(PEFT_PREFIX)): old for old in stored}
    if any(name.startswith("model.visual.") for name in names):
        raise CheckpointError(f"{folder}: adapts the vision tower, whose features the roles share; not supported")
    shapes = {name: stored[old] for name, old in names.items()}
    files = AdapterFiles(role, folder, config, shapes, names, _read_row_ids(folder, config, shapes))
    if not files.lora_modules:
        raise CheckpointError(f"{file}: holds no LoRA weights")
    return files


def _read_row_ids(
    folder: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Ids of the rows that an adapter replaces; PEFT states them as a list (embeddings) or by module."""
    stated = config.get("trainable_token_indices") or {}
    by_module = stated if isinstance(stated, dict) else {"embed_tokens": stated}
    found: dict[str, tuple[int, ...]] = {}
    for module, ids in by_module.items():
        name = _ROWS_OF.get(module.rpartition(".")[2])
        if name is None:
            known = ", ".join(_ROWS_OF)
            raise CheckpointError(f"{folder}: trainable_token_indices names {module!r}; expected some of {known}")
        proper = isinstance(ids, list) and ids and all(type(one) is int and one >= 0 for one in ids)
        if not proper or len(set(ids)) != len(ids):
            shown = f"{ids!r}"[:80]
            raise CheckpointError(f"{folder}: trainable_token_indices of {module} is {shown}; expected different ids")
        found[name] = tuple(ids)
    for name in _ROWS_OF.values():
        if name in shapes and name not in found:
            raise CheckpointError(
                f"{folder}: holds {name} and {ADAPTER_CONFIG} states no trainable_token_indices for it"
            )
    for rows, whole in ((EMBED_ROWS, EMBED), (HEAD_ROWS, HEAD)):
        if rows in found and whole in shapes:
            raise CheckpointError(f"{folder}: holds both {whole} and single rows of it; expected one of them")
    return found


def _read_prompts(folder: Path, config: Mapping[str, Any], own_wording: bool) -> PromptBook:
    path = folder / PROMPTS_FILE
    if path.is_file():
        try:
            return read_prompt_file(path)
        except PromptError as error:
            raise CheckpointError(str(error)) from error
    if config.get("model_type") == VIDEOMIND_MODEL_TYPE and not own_wording:
        raise CheckpointError(
            f"{folder}: VideoMind's layout without {PROMPTS_FILE}; adapters need the prompts they were trained with: "
            f"python -m adapters.import_videomind {folder} --constants VideoMind/videomind/constants.py "
            "(or use this package's own wording: --own-prompts)"
        )
    return own_prompts()


def _shape(shape: Sequence[int]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _listed(items: Iterable[str]) -> str:
    shown = list(items)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
