"""Prompt templates: wording with named fields goes in, a `Prompt` that knows which text a user wrote comes out.

One file per role (`<role>.txt`), split into sections by lines like `[request]`. Sections use the notation of
`str.format` with plain named fields only: `{question}`; a literal brace is doubled. Filling is strict: a missing or an
unknown field raises, and text put into a field is never read as a template or as a control token.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROLES = ("planner", "grounder", "verifier", "answerer")
FIELDS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "planner": {"request": frozenset({"question"})},
    "grounder": {"request": frozenset({"query"}), "reply": frozenset()},
    "verifier": {"request": frozenset({"query"}), "yes": frozenset(), "no": frozenset()},
    "answerer": {
        "subtitles": frozenset({"length_s", "lines"}),
        "question": frozenset({"question"}),
        "options": frozenset({"options"}),
        "reply_start": frozenset(),
    },
}
"""Every role's sections and the fields that each must use."""

FILE_KEYS: Mapping[str, tuple[str, str]] = {
    "planner": ("planner", "request"),
    "grounder": ("grounder", "request"),
    "verifier": ("verifier", "request"),
    "grounder_reply": ("grounder", "reply"),
    "answerer": ("answerer", "question"),
    "answerer_options": ("answerer", "options"),
    "answerer_subtitles": ("answerer", "subtitles"),
    "answerer_reply_start": ("answerer", "reply_start"),
}
"""Keys of a checkpoint's `prompts.json` and the section that each one replaces."""
REQUIRED_FILE_KEYS = ("planner", "grounder", "verifier", "grounder_reply")

_SECTION = re.compile(r"^\[([a-z_]+)\]\n", re.MULTILINE)


class PromptError(ValueError):
    """A template that does not have the sections or fields its role needs, or a field left unfilled."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a prompt. `trusted` text may hold control tokens; the rest is a user's and never does."""

    text: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """A filled template, as parts in order."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The whole prompt as a person reads it."""
        return "".join(part.text for part in self.parts)

    def __add__(self, other: Prompt) -> Prompt:
        return Prompt(self.parts + other.parts)


def plain(text: str) -> Prompt:
    """A prompt that is a user's text and nothing else."""
    return Prompt((Part(text, trusted=False),))


@dataclass(frozen=True, slots=True)
class Template:
    """One section of a role's prompt.

    Attributes:
        name: Where it came from, for messages ("planner.request").
        pieces: Alternating literal text and field names, as (literal, field or None).
    """

    name: str
    pieces: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, name: str, text: str, fields: frozenset[str]) -> Template:
        """Reads a template.

        Args:
            name: Used in messages.
            text: The template in `str.format` notation.
            fields: The fields it must use, no more and no fewer.

        Raises:
            PromptError: The notation is broken, or the fields are not exactly `fields`.
        """
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise PromptError(f"prompt {name}: {error}; write a literal brace twice") from error
        pieces: list[tuple[str, str | None]] = []
        for literal, field, spec, conversion in parsed:
            if spec or conversion or (field is not None and not field.isidentifier()):
                raise PromptError(f"prompt {name}: only plain fields like {{question}} may be used, got {field!r}")
            pieces.append((literal, field))
        used = {field for _, field in pieces if field is not None}
        if used != fields:
            problems = [f"missing {{{field}}}" for field in sorted(fields - used)]
            problems += [f"unknown {{{field}}}" for field in sorted(used - fields)]
            raise PromptError(f"prompt {name}: {', '.join(problems)}; expected fields: {sorted(fields) or 'none'}")
        return cls(name, tuple(pieces))

    @property
    def source(self) -> str:
        """The template in `str.format` notation, as `parse` reads it."""
        return "".join(
            literal.replace("{", "{{").replace("}", "}}") + ("" if field is None else f"{{{field}}}")
            for literal, field in self.pieces
        )

    def fill(self, **values: str) -> Prompt:
        """Puts values into the fields.

        Raises:
            PromptError: A field is missing or unknown.
        """
        fields = {field for _, field in self.pieces if field is not None}
        if fields != values.keys():
            raise PromptError(f"prompt {self.name}: needs {sorted(fields)}, got {sorted(values)}")
        parts: list[Part] = []
        for literal, field in self.pieces:
            if literal:
                parts.append(Part(literal, trusted=True))
            if field is not None:
                parts.append(Part(values[field], trusted=False))
        return Prompt(tuple(parts))


@dataclass(frozen=True, slots=True)
class PromptBook:
    """The templates of every role that one checkpoint uses.

    Attributes:
        source: "mindreel" for this package's own wording, else the file that replaced it.
        templates: (role, section) -> template.
    """

    source: str
    templates: Mapping[tuple[str, str], Template]

    def get(self, role: str, section: str = "request") -> Template:
        """The template of one role's section."""
        return self.templates[role, section]

    def replaced(self, source: str, texts: Mapping[str, str]) -> PromptBook:
        """This book with the sections named by `texts` (keys of `FILE_KEYS`) replaced.

        Raises:
            PromptError: An unknown key, or a template whose fields do not fit.
        """
        unknown = sorted(texts.keys() - FILE_KEYS.keys())
        if unknown:
            raise PromptError(f"{source}: unknown prompt {', '.join(unknown)}; expected some of {', '.join(FILE_KEYS)}")
        templates = dict(self.templates)
        for key, text in texts.items():
            role, section = FILE_KEYS[key]
            if not isinstance(text, str):
                raise PromptError(f"{source}: prompt {key} must be text, got {type(text).__name__}")
            templates[role, section] = Template.parse(f"{source}: {key}", text, FIELDS[role][section])
        return PromptBook(source, templates)


@cache
def own_prompts() -> PromptBook:
    """The wording that ships with Mindreel, from the `.txt` files beside this module."""
    folder = Path(__file__).parent
    templates: dict[tuple[str, str], Template] = {}
    for role in ROLES:
        pieces = _SECTION.split((folder / f"{role}.txt").read_text(encoding="utf-8"))
        sections = dict(zip(pieces[1::2], pieces[2::2], strict=True))
        if pieces[0].strip() or sections.keys() != FIELDS[role].keys():
            raise PromptError(
                f"prompts/{role}.txt: expected the sections {sorted(FIELDS[role])}, got {sorted(sections)}"
            )
        for section, text in sections.items():
            name = f"{role}.{section}"
            templates[role, section] = Template.parse(name, text.strip("\n"), FIELDS[role][section])
    return PromptBook("mindreel", templates)


def read_prompt_file(path: Path) -> PromptBook:
    """Reads a checkpoint's `prompts.json`, whose templates replace ours.

    Raises:
        PromptError: Not a JSON object of templates, or one that does not fit its role; the message names the file.
    """
    try:
        texts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PromptError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(texts, dict):
        raise PromptError(f"{path}: expected a JSON object of prompt templates, got {type(texts).__name__}")
    missing = [key for key in REQUIRED_FILE_KEYS if key not in texts]
    if missing:
        raise PromptError(f"{path}: missing prompt {', '.join(missing)}")
    return own_prompts().replaced(str(path), texts)
