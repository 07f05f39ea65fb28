"""The fields of a settings dataclass go in, flags come out: each reads and checks one value and says what it takes.

A field's type says what may be given: str, int, float, bool, Path, a Literal of texts, a tuple of these, a union of
these. Its metadata, made by `about`, says the rest.
"""

from __future__ import annotations

import difflib
import math
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

OWN_GROUP = "this role"
"""Heading of the fields that name none."""
_KINDS = (types.NoneType, Literal, bool, int, float, tuple, Path, str)
"""Types that a field may have, the choosiest first: the parts of a union are tried in this order."""
_LIMITS = {"above": "above", "at_least": "of at least", "at_most": "at most", "below": "below"}


def about(
    help: str,
    group: str = OWN_GROUP,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    infinite: bool = False,
    pattern: tuple[str, str] | None = None,
    filled: bool = False,
    metavar: str | None = None,
    shapes_result: bool = True,
) -> dict[str, Any]:
    """Metadata of a field.

    Args:
        help: What it does, for `--help` and for the comments in YAML.
        group: Its heading in both.
        above: Numbers must lie above this. The limits hold for each item of a tuple.
        at_least: The least number.
        at_most: The greatest number.
        below: Numbers must lie below this.
        infinite: Whether inf is allowed.
        pattern: (regular expression that a text must match as a whole, what that means in words).
        filled: Whether a tuple needs an item.
        metavar: Its value's name in `--help`.
        shapes_result: Whether another value gives other weights (see `adapters.train.config.same_training`).
    """
    limits = {"above": above, "at_least": at_least, "at_most": at_most, "below": below}
    return {
        "help": help,
        "group": group,
        "limits": {name: limit for name, limit in limits.items() if limit is not None},
        "infinite": infinite,
        "pattern": pattern,
        "filled": filled,
        "metavar": metavar,
        "shapes_result": shapes_result,
    }


@dataclass(frozen=True, slots=True)
class Flag:
    """One field as a flag; `hint` is its type, `default` is `dataclasses.MISSING` where it must be given."""

    name: str
    hint: Any
    default: Any
    about: Mapping[str, Any]

    @property
    def label(self) -> str:
        """How it is written on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING

    @property
    def kinds(self) -> list[Any]:
        """The parts of its type, the choosiest first."""
        parts = get_args(self.hint) if get_origin(self.hint) in (Union, types.UnionType) else (self.hint,)
        unknown = [part for part in parts if (get_origin(part) or part) not in _KINDS]
        if unknown:
            raise TypeError(f"field {self.name}: a flag cannot say {unknown[0]}")
        return sorted(parts, key=lambda part: _KINDS.index(get_origin(part) or part))

    @property
    def takes_list(self) -> bool:
        """Whether several words may follow it."""
        return any(get_origin(kind) is tuple for kind in self.kinds)

    @property
    def rule(self) -> str:
        """What it takes, in words."""
        return " or ".join(self._words(kind) for kind in reversed(self.kinds))

    def read(self, value: object) -> Any:
        """Reads and checks a value from a flag (a text) or from YAML.

        Raises:
            ValueError: It is none that this field takes; the message says what was expected.
        """
        for kind in self.kinds:
            try:
                read = _read(kind, value)
            except (ValueError, OverflowError):
                continue
            problem = self.problem(read)
            if problem:
                raise ValueError(problem)
            return read
        quotes = "" if isinstance(value, str | list) or str not in self.kinds else "; put it in quotes"
        raise ValueError(self._expected(value) + quotes)

    def problem(self, value: object) -> str | None:
        """What is wrong with a value of the field, as `expected ...`; None where nothing is."""
        return None if any(self._fits(kind, value) for kind in self.kinds) else self._expected(value)

    def _expected(self, value: object) -> str:
        kinds = [item for kind in self.kinds for item in (get_args(kind) if get_origin(kind) is tuple else (kind,))]
        choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
        words = (
            re.split(r"[,\s]+", value) if isinstance(value, str) else value if isinstance(value, list | tuple) else []
        )
        hints = (did_you_mean(word, choices) for word in words if word not in choices)
        return f"expected {self.rule}{next(filter(None, hints), '')}"

    def _words(self, kind: Any) -> str:
        if get_origin(kind) is Literal:
            return "one of " + ", ".join(get_args(kind))
        if get_origin(kind) is tuple:
            item, *more = get_args(kind)
            if more != [...]:
                return f"{1 + len(more)} values, each {self._words(item)}"
            names = f"names out of {', '.join(get_args(item))}" if get_origin(item) is Literal else "names"
            return f"{names}, {'at least one, ' if self.about.get('filled') else ''}none twice"
        if kind in (int, float):
            limits = self.about.get("limits", {})
            words = [f"{text} {_number(limits[name])}" for name, text in _LIMITS.items() if name in limits]
            name = " ".join(["a whole number" if kind is int else "a number", " and ".join(words)]).strip()
            return f"{name} or inf" if self.about.get("infinite") else name
        if kind is str and self.about.get("pattern"):
            return str(self.about["pattern"][1])
        return {types.NoneType: "none", Path: "a path", str: "text", bool: "true or false"}[kind]

    def _fits(self, kind: Any, value: Any) -> bool:
        if get_origin(kind) is Literal:
            return isinstance(value, str) and value in get_args(kind)
        if get_origin(kind) is tuple:
            item, *more = get_args(kind)
            if not isinstance(value, tuple) or not all(self._fits(item, part) for part in value):
                return False
            if more != [...]:
                return len(value) == 1 + len(more)
            return len(set(value)) == len(value) >= bool(self.about.get("filled"))
        if kind in (int, float):
            return _is_number(kind, value) and self._in_limits(value)
        if kind in (str, Path):
            return isinstance(value, kind) and self._usable(str(value))
        return isinstance(value, kind)

    def _in_limits(self, value: float) -> bool:
        limits = self.about.get("limits", {})
        return (
            value >= limits.get("at_least", -math.inf)
            and value <= limits.get("at_most", math.inf)
            and value > limits.get("above", -math.inf)
            and (value < limits["below"] if "below" in limits else True)
            and (abs(value) < math.inf or (value > 0 and bool(self.about.get("infinite"))))
        )

    def _usable(self, text: str) -> bool:
        if types.NoneType in self.kinds and _is_none(text):
            return False  # it stands for no value on the command line and in YAML: it would not survive being saved
        pattern = self.about.get("pattern")
        return bool(text.strip()) and "\0" not in text and (not pattern or bool(re.fullmatch(pattern[0], text)))


def flags_of(config_type: type[Any]) -> tuple[Flag, ...]:
    """The flags of a dataclass; a subclass that only changes a default keeps the metadata of its base."""
    hints = get_type_hints(config_type)
    tables = [base.__dataclass_fields__ for base in reversed(config_type.__mro__) if is_dataclass(base)]
    flags = []
    for field in fields(config_type):
        known: dict[str, Any] = {}
        for table in tables:
            known |= table[field.name].metadata if field.name in table else {}
        default = field.default if field.default_factory is MISSING else field.default_factory()
        flags.append(Flag(field.name, hints[field.name], default, known))
    return tuple(flags)


def groups_of(config_type: type[Any]) -> Iterator[tuple[str, list[Flag]]]:
    """Headings, each with its flags, in the order in which they first come."""
    groups: dict[str, list[Flag]] = {}
    for flag in flags_of(config_type):
        groups.setdefault(flag.about.get("group", OWN_GROUP), []).append(flag)
    yield from groups.items()


def did_you_mean(word: object, choices: Sequence[str]) -> str:
    """The end of a message on a misspelt word; empty where nothing is near."""
    near = difflib.get_close_matches(word, choices, n=1) if isinstance(word, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def _is_number(kind: Any, value: object) -> bool:
    return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _is_none(text: str) -> bool:
    return text.strip().lower() == "none"


def _read(kind: Any, value: object) -> Any:
    """Reads a value as one kind; ValueError where it is none."""
    if value is None and kind not in (str, Path):
        value = "none"  # null in YAML
    if get_origin(kind) is tuple:
        return _read_tuple(kind, value)
    if isinstance(value, str):
        return _read_text(kind, value)
    if kind in (int, float) and _is_number(kind, value):
        return kind(value)
    if kind is bool and isinstance(value, bool):
        return value
    raise ValueError


def _read_text(kind: Any, text: str) -> Any:
    if kind is types.NoneType and _is_none(text):
        return None
    if get_origin(kind) is Literal and text in get_args(kind):
        return text
    if kind in (int, float) or (kind in (str, Path) and text.strip()):
        return kind(text)
    raise ValueError


def _read_tuple(kind: Any, value: object) -> tuple[Any, ...]:
    item, *more = get_args(kind)
    if isinstance(value, str):
        value = [] if _is_none(value) else [word for word in re.split(r"[,\s]+", value) if word]
    if not isinstance(value, list) or (more != [...] and len(value) != 1 + len(more)):
        raise ValueError
    return tuple(_read(item, part) for part in value)
