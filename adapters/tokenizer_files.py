"""A checkpoint's tokenizer files go in, the same files with the timestamp and segment tokens come out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.store import read_json
from adapters.tokens import NEW_TOKENS, Tokens
from roles.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "chat_template.json",
    "chat_template.jinja",
    "generation_config.json",
)
"""What an adapters folder takes over from its base, so that tokenizer and processor load from it too."""


def tokens_with_new(base_folder: Path, out_folder: Path) -> Path:
    """Copies a tokenizer and adds the tokens that it lacks; their ids follow the last one in use.

    Source: VideoMind adds its three tokens in this order, which gives them 151657 and on for Qwen2-VL.

    Args:
        base_folder: Holds the tokenizer; plain Qwen2-VL's will do.
        out_folder: Gets `tokenizer.json` and whatever else of `TOKENIZER_FILES` there is; made where it is missing.

    Returns:
        `out_folder`.

    Raises:
        CheckpointError: No tokenizer of Qwen2-VL.
        OSError: It cannot be written.
    """
    before = Tokens(base_folder)
    out_folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (base_folder / name).is_file():
            shutil.copyfile(base_folder / name, out_folder / name)
    if not before.has_new_tokens or not (base_folder / "tokenizer.json").is_file():
        _add(_backend(base_folder), out_folder)
    after = Tokens(out_folder)
    added = [name for name in NEW_TOKENS if not _has(before, name)]
    given, expected = [after.id(name) for name in added], list(range(len(before), len(before) + len(added)))
    if given != expected:
        raise CheckpointError(f"{base_folder}: its tokenizer gives {', '.join(added)} the ids {given}, not {expected}")
    _state(out_folder, {name: after.id(name) for name in added})
    return out_folder


def same_tokenizer(folder: Path, other: Path) -> bool:
    """Whether two folders' tokenizers give every word piece and special token the same id.

    Raises:
        CheckpointError: A broken tokenizer.
    """
    files = [place / "tokenizer.json" for place in (folder, other)]
    if all(file.is_file() for file in files) and files[0].read_bytes() == files[1].read_bytes():
        return True
    for place in (folder, other):
        Tokens(place)  # says what is wrong with it
    first, second = (_backend(place).get_vocab(with_added_tokens=True) for place in (folder, other))
    return bool(first == second)


def _backend(folder: Path) -> Tokenizer:
    if (folder / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    from transformers import Qwen2TokenizerFast

    backend: Tokenizer = Qwen2TokenizerFast.from_pretrained(folder, local_files_only=True).backend_tokenizer
    return backend


def _has(tokens: Tokens, name: str) -> bool:
    try:
        tokens.id(name)
    except CheckpointError:
        return False
    return True


def _add(backend: Tokenizer, folder: Path) -> None:
    from tokenizers import AddedToken

    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in NEW_TOKENS])
    # Through our own hand, not `save`: an error of the disk is then an OSError.
    (folder / "tokenizer.json").write_text(backend.to_str(pretty=False), encoding="utf-8")


def _state(folder: Path, ids: Mapping[str, int]) -> None:
    """Names the new tokens in the files beside `tokenizer.json` too, where transformers looks for them."""
    if not ids:
        return
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    for name in ("added_tokens.json", "tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if not path.is_file():
            continue
        stated: dict[str, Any] = read_json(path)
        if name == "added_tokens.json":
            stated |= ids
        if isinstance(stated.get("added_tokens_decoder"), dict):
            stated["added_tokens_decoder"] |= {
                str(one): {"content": token, **plain, "special": True} for token, one in ids.items()
            }
        known = stated.get("additional_special_tokens")
        if isinstance(known, list):
            known += [{"content": token, **plain} for token in ids] if any(map(_is_object, known)) else list(ids)
        path.write_text(json.dumps(stated, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_object(value: object) -> bool:
    return isinstance(value, dict)
