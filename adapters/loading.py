"""From checked checkpoint folders to a model on its device: the base once, LoRA layers injected, adapters filled."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.decode import Vocabulary
from adapters.heads.timestamp import TimestampHead
from adapters.store import (
    ADAPTER_FILE,
    EMBED,
    EMBED_ROWS,
    HEAD,
    HEAD_ROWS,
    PEFT_PREFIX,
    AdapterFiles,
    check_tensors,
    current_name,
    read_base_shapes,
    read_json,
    read_tensors,
)
from adapters.tokens import NEW_TOKENS, Tokens
from roles.errors import CheckpointError, InputError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ATTENTIONS = ("flash_attention_2", "sdpa", "eager")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how the model runs; `attn_reason` says why that attention."""

    device: torch.device
    dtype: torch.dtype
    attn: str
    attn_reason: str


def choose_placement(device: str, dtype: str, attn: str) -> Placement:
    """Resolves "auto" choices.

    Device: CUDA where there is one. Dtype: bfloat16 on a GPU that has it, float16 on an older one, float32 on a CPU.
    Attention: flash_attention_2 where it is installed and device and dtype allow, else sdpa; eager only on request.

    Raises:
        InputError: An unknown name, or a device or attention that cannot be had here.
    """
    name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {device!r} is unknown; expected auto, cpu, cuda or cuda:N") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r} is not here: this machine has {torch.cuda.device_count()} CUDA devices")
    if dtype == "auto":
        half = torch.bfloat16 if chosen.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float16
        kind = half if chosen.type == "cuda" else torch.float32
    elif dtype in DTYPES:
        kind = DTYPES[dtype]
    else:
        raise InputError(f"dtype {dtype!r} is unknown; expected auto, {', '.join(DTYPES)}")
    obstacle = _flash_obstacle(chosen, kind)
    if attn == "auto":
        picked, reason = ("sdpa", obstacle) if obstacle else ("flash_attention_2", "installed and usable here")
    elif attn not in ATTENTIONS:
        raise InputError(f"attention {attn!r} is unknown; expected auto, {', '.join(ATTENTIONS)}")
    elif attn == "flash_attention_2" and obstacle:
        raise InputError(f"attention flash_attention_2 cannot be used: {obstacle}; use sdpa")
    else:
        picked, reason = attn, "asked for"
    return Placement(chosen, kind, picked, reason)


def _flash_obstacle(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cuda":
        return f"flash-attn needs a GPU, the device is {device.type}"
    if dtype == torch.float32:
        return "flash-attn needs float16 or bfloat16"
    if importlib.util.find_spec("flash_attn") is None:
        return "flash-attn is not installed"
    if torch.cuda.get_device_capability(device)[0] < 8:
        return "flash-attn needs an Ampere GPU or newer"
    return None


def load_base(folder: Path, placement: Placement) -> Any:
    """A Qwen2-VL base on its device, in evaluation mode, frozen.

    Raises:
        CheckpointError: No Qwen2-VL folder, or tensors that do not fit its config (all of them listed).
    """
    kind = read_json(folder / "config.json").get("model_type")
    if kind != "qwen2_vl":
        raise CheckpointError(f"{folder}: model_type is {kind!r}; the base must be a qwen2_vl model")
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    found = read_base_shapes(folder)
    with quiet_transformers():
        try:
            config = Qwen2VLConfig.from_pretrained(folder, local_files_only=True)
            with torch.device("meta"):
                expected = {
                    name: tuple(t.shape) for name, t in Qwen2VLForConditionalGeneration(config).state_dict().items()
                }
        except (TypeError, ValueError, KeyError, AttributeError, RuntimeError, ZeroDivisionError) as error:
            raise CheckpointError(f"{folder / 'config.json'}: no usable Qwen2-VL config ({error})") from error
        if config.tie_word_embeddings:
            expected.pop(HEAD, None)
            found.pop(HEAD, None)
        check_tensors(str(folder), expected, found)
        model = Qwen2VLForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            dtype=placement.dtype,
            attn_implementation=placement.attn,
            device_map={"": placement.device},
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    return model.eval().requires_grad_(False)


def base_vocabulary(model: Any) -> Vocabulary:
    """The base's own token embeddings and output layer (one tensor where they are tied)."""
    return Vocabulary(model.model.language_model.embed_tokens.weight, model.lm_head.weight)


def inject_adapter(
    model: Any, files: AdapterFiles, base: Vocabulary, placement: Placement
) -> tuple[list[Any], Vocabulary]:
    """Adds one role's LoRA weights to the base's layers, under the role's name.

    Args:
        model: The base; already injected roles stay as they are.
        files: The adapter on disk.
        base: The base's vocabulary.
        placement: Where its tensors go.

    Returns:
        (PEFT's layers that hold it, the vocabulary that it speaks: its own, the base's where it brings none).

    Raises:
        CheckpointError: Tensors that do not fit the base.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    modules = {
        name: (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | LoraLayer)
    }
    ranks = check_adapter(files, modules, base.embed.shape[1], is_tied(base))
    config = LoraConfig(
        r=files.config["r"],
        lora_alpha=files.config["lora_alpha"],
        lora_dropout=0.0,
        target_modules=files.lora_modules,
        use_rslora=bool(files.config.get("use_rslora")),
        rank_pattern={f"^{module}$".replace(".", r"\."): rank for module, rank in ranks.items()},
        alpha_pattern={current_module(key): value for key, value in (files.config.get("alpha_pattern") or {}).items()},
    )
    with warnings.catch_warnings():
        # Several adapters over one base are the point here.
        warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
        inject_adapter_in_model(config, model, adapter_name=files.role, low_cpu_mem_usage=True)
    tensors = {name: t.to(placement.device, placement.dtype) for name, t in files.tensors().items()}
    layers = []
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and files.role in module.lora_A:
            layers.append(module)
            for side in ("lora_A", "lora_B"):
                weight = tensors[f"{name}.{side}.weight"]
                getattr(module, side)[files.role].weight = torch.nn.Parameter(weight, requires_grad=False)
    return layers, adapted_vocabulary(files, tensors, base)


def check_adapter(
    files: AdapterFiles, modules: Mapping[str, tuple[int, int]], hidden: int, tied: bool
) -> dict[str, int]:
    """Makes sure that an adapter's tensors fit a base.

    Args:
        files: The adapter.
        modules: Inputs and outputs of the base's linear layers, by current name.
        hidden: The base's hidden size.
        tied: Whether its output layer is its embeddings.

    Returns:
        The rank of each module that departs from the config's.

    Raises:
        CheckpointError: Missing, unexpected or wrongly shaped tensors, all of them named.
    """
    expected: dict[str, tuple[int, ...]] = {}
    ranks: dict[str, int] = {}
    for name in files.lora_modules:
        if name not in modules:
            continue
        inputs, outputs = modules[name]
        stored = files.shapes[f"{name}.lora_A.weight"][0]
        rank = stored if files.config.get("rank_pattern") else files.config["r"]
        if rank != files.config["r"]:
            ranks[name] = rank
        expected[f"{name}.lora_A.weight"] = (rank, inputs)
        expected[f"{name}.lora_B.weight"] = (outputs, rank)
    for name in (EMBED, HEAD):
        if name in files.shapes:
            # An adapter may have been trained with a vocabulary of another length than the base's.
            expected[name] = (files.shapes[name][0], hidden)
    for name, ids in files.row_ids.items():
        follows = name == HEAD_ROWS and tied and ids == files.row_ids.get(EMBED_ROWS)
        if name in files.shapes or not follows:
            expected[name] = (len(ids), hidden)
    check_tensors(f"{files.folder / ADAPTER_FILE} on this base", expected, files.shapes)
    return ranks


def is_tied(vocabulary: Vocabulary) -> bool:
    """Whether the output layer is the embeddings themselves."""
    return vocabulary.embed.data_ptr() == vocabulary.head.data_ptr()


def adapted_vocabulary(files: AdapterFiles, tensors: Mapping[str, Tensor], base: Vocabulary) -> Vocabulary:
    """The vocabulary that an adapter speaks: full copies, single rows beside the base's, or the base's itself.

    Where the base is tied, rows of the embeddings are rows of the output layer too, as in PEFT, unless the adapter
    brings other ones.

    Args:
        files: The adapter.
        tensors: Its tensors by current name, on the device and in the dtype of choice.
        base: The base's vocabulary.

    Raises:
        CheckpointError: Its rows of the embeddings and of the output layer are of different tokens, and the base lacks
            the other half of one.
    """
    embed, head = tensors.get(EMBED, base.embed), tensors.get(HEAD, base.head)
    tied = is_tied(base) and HEAD not in tensors
    if tied and EMBED in tensors and files.config.get("ensure_weight_tying"):
        head = embed
    embed_ids, head_ids = files.row_ids.get(EMBED_ROWS), files.row_ids.get(HEAD_ROWS)
    if embed_ids is None and head_ids is None:
        return Vocabulary(embed, head)
    embed_rows, head_rows = tensors.get(EMBED_ROWS), tensors.get(HEAD_ROWS)
    if tied and head_rows is None:
        head_ids, head_rows = embed_ids, embed_rows
    if embed_ids is None or head_ids is None or embed_ids == head_ids:
        ids = embed_ids or head_ids or ()
        return Vocabulary(embed, head, torch.tensor(ids, device=embed.device), embed_rows, head_rows)
    ids = tuple(dict.fromkeys(embed_ids + head_ids))
    return Vocabulary(
        embed,
        head,
        torch.tensor(ids, device=embed.device),
        _rows_of(ids, embed_ids, embed_rows, embed, f"{files.folder}: embeddings"),
        _rows_of(ids, head_ids, head_rows, head, f"{files.folder}: output layer"),
    )


def load_head(path: Path, hidden: int, device: torch.device) -> TimestampHead:
    """The grounder's regression head in float32 (it is small, and spans deserve the precision).

    Raises:
        CheckpointError: Tensors that do not fit.
    """
    with torch.device("meta"):
        head = TimestampHead(hidden)
    expected = {name: tuple(t.shape) for name, t in head.state_dict().items()}
    tensors = {name.removeprefix(PEFT_PREFIX): tensor for name, tensor in read_tensors(path).items()}
    check_tensors(str(path), expected, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    head.load_state_dict({name: t.to(device, torch.float32) for name, t in tensors.items()}, assign=True)
    return head.eval().requires_grad_(False)


def check_vocabularies(tokens: Tokens, vocabularies: Mapping[str, Vocabulary]) -> None:
    """Makes sure that every token a role needs has an embedding.

    The base's embeddings are often padded beyond the tokenizer and then have room for the added tokens; where they are
    not, an adapter must bring embeddings of its own.

    Raises:
        CheckpointError: A role needs a token that nothing embeds, or replaces the row of one that does not exist.
    """
    for role, vocabulary in sorted(vocabularies.items()):
        rows = min(vocabulary.embed.shape[0], vocabulary.head.shape[0])
        both = vocabulary.embed_rows is not None and vocabulary.head_rows is not None
        own: list[int] = [] if vocabulary.row_ids is None else vocabulary.row_ids.tolist()
        unknown = sorted(one for one in own if one >= max(len(tokens), rows))
        if unknown:
            shown = ", ".join(map(str, unknown[:3]))
            raise CheckpointError(
                f"adapter {role}: embeds the ids {shown}, and the tokenizer {tokens.folder} knows {len(tokens)}; "
                "use the tokenizer that it was trained with"
            )
        if role not in ("grounder", "verifier"):
            continue
        missing = [name for name in NEW_TOKENS if tokens.id(name) >= rows and not (both and tokens.id(name) in own)]
        if missing:
            raise CheckpointError(
                f"adapter {role}: nothing embeds {', '.join(missing)}: {rows} rows, the tokenizer needs {len(tokens)}"
            )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keeps transformers' notices about old configs and progress bars off the user's terminal."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _rows_of(
    ids: tuple[int, ...], own_ids: tuple[int, ...], own_rows: Tensor | None, whole: Tensor, where: str
) -> Tensor:
    """Rows of the ids: an adapter's own where it has them, the base's elsewhere, [len(ids), H]."""
    beyond = [one for one in ids if one not in own_ids and one >= whole.shape[0]]
    if beyond:
        raise CheckpointError(f"{where}: no row for the token {beyond[0]}; the base has {whole.shape[0]} rows")
    assert own_rows is not None  # noqa: S101 - `check_adapter` saw them
    own = dict(zip(own_ids, own_rows, strict=True))
    return torch.stack([own[one] if one in own else whole[one].to(own_rows.dtype) for one in ids])


def current_module(pattern: str) -> str:
    """A module's name under current transformers, from a key of PEFT's patterns."""
    return current_name(pattern.removeprefix(PEFT_PREFIX))
