"""Settings go in, commented YAML comes out, and the way back to plain values.

YAML is read by PyYAML's safe loader: plain values only.
"""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import Any

from adapters.train.fields import groups_of
from adapters.train.text import plain, shown
from roles.errors import InputError

MAX_BYTES = 1_000_000


def to_yaml(config: object) -> str:
    """All fields of a settings dataclass with their explanations; `parse` reads an equal one back from it.

    Raises:
        InputError: PyYAML is not installed.
    """
    yaml = _yaml()
    lines = ["# Settings of a training run. Use them again with --config; flags win over this file."]
    for heading, flags in groups_of(type(config)):
        lines += ["", f"# {plain(heading)}"]
        for flag in flags:
            value = getattr(config, flag.name)
            # Quotes with escapes where plain text would come back with other line breaks.
            odd = not _is_printable(value)
            style = {"default_style": '"' if odd else None, "allow_unicode": not odd, "width": math.inf}
            if isinstance(value, tuple):
                written = f"{flag.name}: {yaml.safe_dump(list(value), default_flow_style=True, **style)}"
            elif odd:
                written = f"{flag.name}: {yaml.safe_dump(str(value), **style)}"
            else:
                written = yaml.safe_dump({flag.name: str(value) if isinstance(value, Path) else value}, **style)
            lines += [f"# {plain(flag.about.get('help', ''))}", written.rstrip("\n")]
    return "\n".join(lines) + "\n"


def read_mapping(path: Path) -> dict[Any, Any]:
    """The keys and values of a YAML file; an empty file has none.

    Raises:
        InputError: PyYAML is missing, or the file cannot be read, is no YAML, no mapping, or names a key twice.
    """
    yaml = _yaml()
    text = _read_text(path)
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise InputError(
            f"{path}: no YAML that can be read ({where}{plain(error.problem or error.context)})"
        ) from error
    except (yaml.YAMLError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no YAML that can be read ({plain(error)})") from error
    except RecursionError:
        raise InputError(f"{path}: no YAML that can be read (nested too deeply)") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected lines such as 'batch: 32', got {shown(content)}")
    lines: dict[str, int] = {}
    for key, _ in tree.value:
        name = str(key.value).replace("-", "_")
        if name in lines:
            raise InputError(
                f"{path}: {shown(name)} stands on line {lines[name]} and again on line {_line(key)}; keep one"
            )
        lines[name] = _line(key)
    return content


def _is_printable(value: object) -> bool:
    return all(str(item).isprintable() for item in (value if isinstance(value, tuple) else (value,)))


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _read_text(path: Path) -> str:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise InputError(f"{path}: not a file (a pipe, a device or a folder); name a YAML file")
        if about.st_size > MAX_BYTES:
            raise InputError(f"{path}: {about.st_size:,} bytes; expected settings of at most {MAX_BYTES:,}")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; convert it first") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{path}: cannot be read ({reason})") from error


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise InputError("settings in YAML need PyYAML; run: pip install 'mindreel[train]'") from error
    return yaml
