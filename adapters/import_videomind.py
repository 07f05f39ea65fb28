"""Writes the prompts that VideoMind's adapters were trained with beside them, out of the user's copy of VideoMind.

    python -m adapters.import_videomind DIR --constants VideoMind/videomind/constants.py

The released folders do not hold their prompts, which are part of what the adapters learned. They stand in three
constants of VideoMind's code. That file is parsed, never run.
"""

from __future__ import annotations

import argparse
import ast
import json
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.store import PROMPTS_FILE, VIDEOMIND_MODEL_TYPE, read_json, resolve
from prompts import PromptError, Template, own_prompts
from roles import grounder
from roles.errors import CheckpointError, InputError, MindreelError

CONSTANTS: Mapping[str, tuple[str, str]] = {
    "PLANNER_PROMPT": ("planner", "question"),
    "GROUNDER_PROMPT": ("grounder", "query"),
    "VERIFIER_PROMPT": ("verifier", "query"),
}
"""VideoMind's constants: the prompt that each one is, and the field that its placeholder stands for."""


def read_constants(path: Path) -> dict[str, str]:
    """Reads module-level text constants without running the file.

    Literals, their concatenation and f-strings over earlier constants are understood; the rest is passed over.

    Raises:
        InputError: Missing, or no Python.
    """
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected videomind/constants.py of a copy of VideoMind") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as Python ({error})") from error
    known: dict[str, str] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        text = _text(value, known)
        if text is not None:
            known |= {target.id: text for target in targets if isinstance(target, ast.Name)}
    return known


def templates(constants: Mapping[str, str], source: str) -> dict[str, str]:
    """The content of `prompts.json`.

    Args:
        constants: From `read_constants`.
        source: Where they came from, for messages.

    Raises:
        InputError: A constant is missing, or has no single placeholder.
    """
    missing = [name for name in CONSTANTS if name not in constants]
    if missing:
        raise InputError(f"{source}: {', '.join(missing)} not found as text; is this VideoMind's constants.py?")
    texts = {key: _name_placeholder(name, constants[name], field, source) for name, (key, field) in CONSTANTS.items()}
    texts["grounder_reply"] = grounder.target(own_prompts())
    try:
        own_prompts().replaced(source, texts)
    except PromptError as error:
        raise InputError(str(error)) from error
    return texts


def import_prompts(folder: Path, constants: Path, force: bool = False) -> Path:
    """Writes `prompts.json` into a VideoMind checkpoint folder.

    Raises:
        InputError: The constants cannot be used, or another prompts.json is there already.
        CheckpointError: `folder` has not VideoMind's layout.
    """
    kind = read_json(folder / "config.json").get("model_type")
    if kind != VIDEOMIND_MODEL_TYPE:
        raise CheckpointError(
            f"{folder}: model_type is {kind!r}; expected {VIDEOMIND_MODEL_TYPE!r} (VideoMind's layout)"
        )
    target = folder / PROMPTS_FILE
    content = json.dumps(templates(read_constants(constants), str(constants)), indent=2, ensure_ascii=False) + "\n"
    if target.exists() and not force and target.read_text(encoding="utf-8") != content:
        raise InputError(f"{target}: already there with other prompts; replace it with --force")
    half = target.with_suffix(".json.part")
    try:
        half.write_text(content, encoding="utf-8")
        half.replace(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from error
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m adapters.import_videomind",
        description="Write the prompts of VideoMind's released adapters beside them, out of a copy of its code.",
    )
    parser.add_argument("folder", metavar="DIR", help="folder or hub id with planner/, grounder/, verifier/")
    parser.add_argument("--constants", type=Path, required=True, help="videomind/constants.py of a copy of VideoMind")
    parser.add_argument("--force", action="store_true", help="replace a prompts.json that is there already")
    args = parser.parse_args(argv)
    try:
        written = import_prompts(resolve(args.folder, "adapters"), args.constants, args.force)
    except MindreelError as error:
        print(f"mindreel: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"wrote {written}")
    return 0


def _text(node: ast.expr, known: Mapping[str, str]) -> str | None:
    """The text that an expression stands for, or None where it is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, known) if node.conversion == -1 and node.format_spec is None else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [_text(node.left, known), _text(node.right, known)]
    elif isinstance(node, ast.JoinedStr):
        parts = [_text(value, known) for value in node.values]
    else:
        return None
    return None if any(part is None for part in parts) else "".join(part or "" for part in parts)


def _name_placeholder(name: str, text: str, field: str, source: str) -> str:
    """Renames a template's one placeholder, `{}`, `{0}` or `{anything}`, to the field's name."""
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise InputError(f"{source}: {name} is no str.format template ({error})") from error
    found = [placeholder for _, placeholder, _, _ in pieces if placeholder is not None]
    if len(found) != 1 or any(spec or conversion for _, _, spec, conversion in pieces):
        raise InputError(f"{source}: {name} has {len(found)} placeholders; expected one for the {field}")
    renamed = tuple((literal, None if placeholder is None else field) for literal, placeholder, _, _ in pieces)
    return Template(name, renamed).source


if __name__ == "__main__":
    sys.exit(main())
