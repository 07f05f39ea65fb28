"""Wordings: files with ways to ask go in, templates with checked slots come out, and filled ones as sentences.

One file per type of question (`wordings/<type>.txt`), split by lines like `[train]` (what every split may use),
`[test]` (what training never shows) and `[query train]` (descriptions of the moment to look for); a variant of a
type follows a colon: `[train:second]`. Below them stands one wording per line. A slot is a name in braces: `{x}` is a
person, `{x_she}`, `{x_her}` and `{x_his}` the pronouns that go with her. Loading is strict: a slot that the type does
not know is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from roles.errors import DataError

PEOPLE = ("x", "m", "w")
"""Slots of people: the believer, the mover, the witness."""
PRONOUNS: Mapping[str, Mapping[str, str]] = {
    "she": {"she": "she", "her": "her", "his": "her"},
    "he": {"she": "he", "her": "him", "his": "his"},
}
"""What the slots `_she`, `_her` (object) and `_his` (possessive) become."""

SLOTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "reality": {"": ("o",), "contents": ("c",)},
    "memory": {
        "first": ("o",),
        "before": ("o",),
        "mover": ("o", "c?", "c2?"),
        "putter": ("o", "c?"),
        "contents": ("c",),
        "did": ("x", "o?"),
    },
    "belief": {"": ("x", "o")},
    "search": {"": ("x", "o")},
    "knowledge": {"": ("x", "o"), "contents": ("x", "c")},
    "ignorance": {"not": ("o",), "knows": ("o",)},
    "second_order": {"": ("m", "x", "o")},
    "belief_contents": {"": ("x", "c"), "second": ("m", "x", "c")},
    "goal": {"what": ("x",), "who": ("o",)},
    "honesty": {"": ("w", "x", "o")},
    "moment_false": {"": ("x", "o")},
    "moment_found_out": {"": ("x", "o"), "contents": ("x", "c")},
    "frame": {"gone": ("x", "o"), "lied": ("x", "w"), "contents": ("x", "c")},
    "moment_event": {
        "move": ("m", "o"),
        "move_away": ("m", "x", "o"),
        "leave": ("x",),
        "return": ("x",),
        "last_seen": ("x", "o"),
        "tell": ("w", "x", "o"),
        "put": ("o",),
        "peek": ("x",),
        "open": ("x", "c"),
        "wish": ("x",),
        "turn": ("x",),
        "hide": ("x",),
        "spot": ("m", "x"),
    },
    "why": {"think": ("x", "o", "c"), "will": ("x", "o", "c"), "did": ("x", "o", "c"), "contents": ("x", "c", "z")},
    "scene": {
        "people": (),
        "containers": (),
        "thing_colour": ("shape",),
        "container_colour": ("shape",),
        "wears": ("colour",),
    },
}
"""Types of questions, their variants, and the slots that a wording must use (with "?": may use)."""
REASONS: tuple[str, ...] = (
    "unaware", "saw", "told", "peeked", "glass", "distrust", "label", "looked", "swap_unaware", "swap_seen",
)  # fmt: skip
"""Explanations that questions of type `why` offer; they speak of the believer with pronouns only."""

_SECTION = re.compile(r"^\[(?:(query) )?(train|test)(?::([a-z_]+))?\]$")
_REASON = re.compile(r"^\[([a-z_]+)\]$")
_SLOT = re.compile(r"\{([^{}]*)\}")
_FOLDER = Path(__file__).with_name("wordings")


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to say something.

    Attributes:
        id: Type, section and number: "belief/test/03".
        text: With slots.
        held_out: Whether training never shows it.
    """

    id: str
    text: str
    held_out: bool


Book = Mapping[tuple[str, str, bool], tuple[Wording, ...]]
"""(variant, "ask" or "query", held out) -> wordings."""


@cache
def book(kind: str) -> Book:
    """The wordings of a type of question.

    Raises:
        DataError: The file is missing or cannot be read, or a line in it is wrong.
    """
    path = _FOLDER / f"{kind}.txt"
    found: dict[tuple[str, str, bool], list[Wording]] = {}
    section: tuple[str, str, bool] | None = None
    for number, line in _lines(path):
        if line.startswith("["):
            match = _SECTION.match(line)
            if match is None or (match[3] or "") not in SLOTS[kind]:
                raise DataError(f"{path}: line {number}: unknown section {line}; expected [train] or the like")
            section = (match[3] or "", "query" if match[1] else "ask", match[2] == "test")
            if section in found:
                raise DataError(f"{path}: line {number}: the section {line} is there twice; join the two")
            found[section] = []
        elif section is None:
            raise DataError(f"{path}: line {number}: no section yet; begin with [train]")
        else:
            slots = SLOTS[kind][section[0]]
            needed = tuple(slot for slot in slots if not slot.endswith("?")) if section[1] == "ask" else ()
            check(f"{path}: line {number}", line, tuple(slot.rstrip("?") for slot in slots), needed)
            name = "/".join((kind, *(part for part in (section[0],) if part), "test" if section[2] else "train"))
            found[section].append(Wording(f"{name}/{len(found[section]):02d}", line, section[2]))
    for variant in SLOTS[kind]:
        for use in ("ask",) if kind == "scene" else ("ask", "query"):
            for held in (False, True):
                if not found.get((variant, use, held)):
                    name = f"{use} {'test' if held else 'train'}{variant and ':' + variant}".removeprefix("ask ")
                    raise DataError(f"{path}: the section [{name}] is missing or empty; write some wordings")
    return {section: tuple(wordings) for section, wordings in found.items()}


@cache
def reasons() -> Mapping[str, tuple[str, ...]]:
    """Ways to say each explanation.

    Raises:
        DataError: As `book`.
    """
    path = _FOLDER / "why_reasons.txt"
    found: dict[str, list[str]] = {}
    section = ""
    for number, line in _lines(path):
        match = _REASON.match(line)
        if match is not None:
            section = match[1]
            if section not in REASONS or section in found:
                raise DataError(f"{path}: line {number}: {line} is unknown or there twice")
            found[section] = []
        elif not section:
            raise DataError(f"{path}: line {number}: no section yet; begin with [{REASONS[0]}]")
        else:
            check(f"{path}: line {number}", line, ("x",), ())
            found[section].append(line)
    missing = [name for name in REASONS if not found.get(name)]
    if missing:
        raise DataError(f"{path}: nothing under {', '.join(missing)}; write some wordings")
    return {name: tuple(lines) for name, lines in found.items()}


def check(where: str, text: str, allowed: tuple[str, ...], needed: tuple[str, ...]) -> None:
    """Makes sure that a wording can be filled.

    Args:
        where: File and line, for the message.
        text: The wording.
        allowed: Slots that it may use; pronouns of the people among them besides.
        needed: Slots that it must use.

    Raises:
        DataError: A slot is unknown or missing, a brace is left over, or a person's slot has an 's: that reads badly
            after "Sally (in red)".
    """
    used = _SLOT.findall(text)
    known = {*allowed, *(f"{p}_{form}" for p in PEOPLE if p in allowed for form in PRONOUNS["she"])}
    for slot in used:
        if slot not in known:
            raise DataError(f"{where}: unknown slot {{{slot}}}; expected some of {', '.join(sorted(known)) or 'none'}")
    for slot in needed:
        if slot not in used:
            raise DataError(f"{where}: the slot {{{slot}}} is missing from {text!r}")
    if set(_SLOT.sub("", text)) & {"{", "}"}:
        raise DataError(f"{where}: a brace without its partner in {text!r}")
    if re.search(r"\{[a-z0-9]+\}'s", text):
        raise DataError(f"{where}: no 's after a slot in {text!r}; write 'of {{x}}'")


def fill(text: str, values: Mapping[str, tuple[str, str]]) -> str:
    """Puts values into a wording's slots.

    Args:
        text: The wording.
        values: For each slot what stands at its first mention, and what later.
    """
    seen: set[str] = set()

    def put(match: re.Match[str]) -> str:
        slot = match[1]
        first, later = values[slot]
        if slot in seen:
            return later
        seen.add(slot)
        return first

    return _SLOT.sub(put, text)


def sentence(text: str) -> str:
    """The text with a capital at the start of each sentence."""
    return re.sub(r"(^\"?|[.?!]\s+\"?)([a-z])", lambda match: match[1] + match[2].upper(), text)


def article(name: str) -> str:
    """The name with "a" or "an" before it."""
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); reinstall mindreel") from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
