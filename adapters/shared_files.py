"""A base, prompts and a tokenizer go in; the files that the roles of one adapters folder share come out, checked.

They are written with the first role. Later roles must agree with them, as all of them are asked in one session.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.staging import new_file, publish, scratch_folder
from adapters.store import HUB_ID, PROMPTS_FILE, VIDEOMIND_MODEL_TYPE, read_json
from adapters.tokenizer_files import same_tokenizer, tokens_with_new
from adapters.tokens import NEW_TOKENS, Tokens
from prompts import FILE_KEYS, ROLES, PromptBook, PromptError, read_prompt_file
from roles.errors import CheckpointError
from roles.manner import MANNER_FILE, Manner, read_manner

OWN_MODEL_TYPE = "mindreel_adapters"
CARD_FILE = "README.md"
_TOKEN_KEYS = dict(zip(("reg_token_id", "seg_s_token_id", "seg_e_token_id"), NEW_TOKENS, strict=True))
_MARK = "<!-- Written anew with each role; without this line it stays as it is. -->"
_ELSEWHERE = "roles that work together share it; name another folder"


def base_reference(base_name: str, out: Path) -> str:
    """How a folder of adapters names its base: hub ids and absolute paths as they are, others relative to the folder.

    A base inside the folder is always named relative to it, so that the two can be moved together.

    Args:
        base_name: What the base is called from where the program runs.
        out: The adapters folder.
    """
    try:
        path = Path(base_name).expanduser()
    except RuntimeError:  # ~somebody who is not known here
        return base_name
    inside = path.is_dir() and path.resolve().is_relative_to(out.resolve())
    if not inside and (path.is_absolute() or not path.is_dir()):
        return str(path) if path.is_absolute() else base_name
    return Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()


def share(
    out: Path,
    role: str,
    base_config: Mapping[str, Any],
    reference: str,
    layout: str,
    prompts: PromptBook,
    tokens_from: Path,
    write: bool = True,
) -> tuple[int, ...]:
    """Writes what is missing of the files that roles share: `config.json`, the prompts and the tokenizer.

    Args:
        out: The adapters folder; made where it is missing.
        role: Who is about to be written.
        base_config: The base's `config.json`.
        reference: How the folder names its base, from `base_reference`.
        layout: "peft" or "videomind".
        prompts: What the roles are asked with.
        tokens_from: A folder with the tokenizer.
        write: False only compares with what is there.

    Returns:
        The ids of the new tokens.

    Raises:
        CheckpointError: What is there says otherwise, or it cannot be written.
    """
    texts = {key: prompts.get(*section).source for key, section in FILE_KEYS.items()}
    with scratch_folder(out / "shared") as stage:
        tokens = Tokens(tokens_with_new(tokens_from, stage))
        ids = {key: tokens.id(name) for key, name in _TOKEN_KEYS.items()}
        config = {"model_type": OWN_MODEL_TYPE, "base_model_path": reference, **ids}
        if layout == "videomind":
            config = _config_of_videomind(base_config, reference, role) | ids
        if (out / "config.json").is_file():
            stated = read_json(out / "config.json")
            _check_config(out, stated, config)
            if write and layout == "videomind" and role == "grounder" and stated.get("role") != role:
                # VideoMind's code starts from the grounder where there is one.
                with new_file(out / "config.json") as file:
                    file.write_text(_as_json(stated | {"role": role}), encoding="utf-8")
        if (out / PROMPTS_FILE).is_file():
            _check_prompts(out, texts)
        if (out / "tokenizer.json").is_file() and not same_tokenizer(out, stage):
            raise CheckpointError(f"{out}: its adapters have another tokenizer than {tokens_from}; {_ELSEWHERE}")
        (stage / PROMPTS_FILE).write_text(_as_json(texts), encoding="utf-8")
        (stage / "config.json").write_text(_as_json(config), encoding="utf-8")
        for file in sorted(stage.iterdir()) if write else ():
            if not (out / file.name).exists():
                publish(file, out / file.name)
    return tuple(ids.values())


def keep_manner(out: Path, role: str, manner: Manner, base: Path) -> None:
    """Says in a folder how its roles are asked, one more of which has just been written.

    The first role brings the whole manner, later ones what belongs to them. Nothing is written where neither the folder
    nor its base says anything and the roles are asked as VideoMind's are.

    Args:
        out: The adapters folder.
        role: Who was written.
        manner: How it is asked.
        base: The base's folder.

    Raises:
        CheckpointError: What is said there is broken, or it cannot be written.
    """
    there, from_base = read_manner(out), read_manner(base)
    others = any((out / other).is_dir() for other in ROLES if other != role)
    before = there or (from_base or Manner() if others else manner)
    whole = before.with_role(role, manner)
    if whole == there or (there is None and from_base is None and whole == Manner()):
        return
    with new_file(out / MANNER_FILE) as file:
        file.write_text(_as_json(whole.to_json()), encoding="utf-8")


def write_index(out: Path, reference: str) -> None:
    """Keeps the folder's README, which points to the cards of its roles; a person's own stays as it is."""
    path = out / CARD_FILE
    if path.exists() and _MARK not in path.read_text(encoding="utf-8", errors="replace"):
        return
    with new_file(path) as file:
        file.write_text(_index(out, reference), encoding="utf-8")


def _check_config(out: Path, stated: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    layouts = ["videomind" if one.get("model_type") == VIDEOMIND_MODEL_TYPE else "peft" for one in (stated, config)]
    if layouts[0] != layouts[1]:
        raise CheckpointError(
            f"{out}: holds adapters in the layout {layouts[0]}, not {layouts[1]}; name another folder, or bring them "
            "into that layout: python -m adapters.convert"
        )
    bases = [str(one.get("base_model_path") or config["base_model_path"]) for one in (stated, config)]
    if len({_where(out, base) for base in bases}) > 1:
        raise CheckpointError(f"{out}: its adapters have the base {bases[0]!r}, not {bases[1]!r}; {_ELSEWHERE}")
    for key, name in _TOKEN_KEYS.items():
        if key in stated and stated[key] != config[key]:
            raise CheckpointError(f"{out}: {name} has the id {stated[key]} there, not {config[key]}; {_ELSEWHERE}")


def _where(out: Path, named: str) -> str:
    """A base's folder, however it is written; what is no folder stands for itself."""
    places = (out / named, out.parent / named, Path(named))
    return next((str(place.resolve()) for place in places if place.is_dir()), named)


def _check_prompts(out: Path, texts: Mapping[str, str]) -> None:
    try:
        there = read_prompt_file(out / PROMPTS_FILE)
    except PromptError as error:
        raise CheckpointError(str(error)) from error
    other = [key for key, section in FILE_KEYS.items() if there.get(*section).source != texts[key]]
    if other:
        raise CheckpointError(f"{out / PROMPTS_FILE}: other prompts are there ({', '.join(other)}); {_ELSEWHERE}")


def _config_of_videomind(base_config: Mapping[str, Any], reference: str, role: str) -> dict[str, Any]:
    """`config.json` as VideoMind writes it: the base's fields in the flat form of transformers 4.45, and its own."""
    text: Mapping[str, Any] = base_config.get("text_config") or {}
    flat = {key: value for key, value in text.items() if key not in ("model_type", "layer_types")}
    flat |= {key: value for key, value in base_config.items() if key not in ("text_config", "transformers_version")}
    rope = flat.pop("rope_parameters", None)
    if rope is not None:
        flat |= {"rope_theta": rope["rope_theta"]}
        flat |= {"rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]}}
    if "dtype" in flat:
        flat["torch_dtype"] = flat.pop("dtype")
    own = {"model_type": VIDEOMIND_MODEL_TYPE, "base_model": "qwen2_vl", "conv_type": "chatml", "role": role}
    return flat | own | dict.fromkeys(("base_model_path", "model_name_or_path", "_name_or_path"), reference)


def _index(out: Path, reference: str) -> str:
    named = f"base_model: {reference}\n" if HUB_ID.match(reference) else ""
    roles = [role for role in ROLES if (out / role).is_dir()]
    cards = {role: (out / role / CARD_FILE).is_file() for role in roles}
    lines = [f"- [{role}]({role}/{CARD_FILE})" if cards[role] else f"- {role}" for role in roles]
    return (
        f"---\n{named}library_name: peft\ntags:\n- mindreel\n- video-question-answering\n---\n{_MARK}\n\n"
        "# Adapters for Mindreel\n\nEach role is a LoRA adapter over one Qwen2-VL base:\n\n"
        + "\n".join(lines)
        + '\n\n```bash\npython -m agent.run --video film.mp4 --adapters THIS_FOLDER --question "What happens?"\n```\n'
    )


def _as_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
