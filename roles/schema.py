"""One row of a data set goes in, everything that is wrong with it comes out, as fields and messages.

The row is what JSON gave for one line; docs/data.md has the schema. Nothing in here raises, whatever the row holds.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from roles.answerer import LETTERS
from roles.planner import ROUTES
from roles.types import Example

KEYS = tuple(field.name for field in fields(Example))
REQUIRED = ("video", "question")
TEXT_TAGS = ("query", "group", "subtitles")
FRACTION_TAGS = ("candidate_iou", "candidate_confidence")

Fault = tuple[str, str]
"""(field, such as "spans[1]"; what is wrong and what belongs there)"""


def faults(row: Mapping[str, Any]) -> Iterator[Fault]:
    """Everything that is wrong with a row."""
    for key in row:
        if key not in KEYS:
            yield _name(key), f"unknown key; expected one of {', '.join(KEYS)}"
    for key in REQUIRED:
        if key not in row:
            yield key, "missing; every line needs it"
        else:
            yield from _check_text(key, row[key])
    if "\0" in str(row.get("video", "")):
        yield "video", "a path cannot hold the character NUL"
    options = row.get("options", [])
    bad_options = list(_check_options(options))
    yield from bad_options
    answer = row.get("answer")
    if answer is not None:
        bad_answer = list(_check_text("answer", answer))
        yield from bad_answer
        if options and not bad_options and not bad_answer and answer not in options:
            yield "answer", f"{shown(answer)} is none of the options; write one of them exactly as it stands there"
    yield from _check_spans(row.get("spans", []))
    yield from _check_tags(row.get("tags", {}))


def _check_text(field: str, value: Any) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield field, f"expected text, found {kind(value)}"
    elif not _encodes(value):
        yield field, "holds half a character (a lone surrogate); write the whole one"
    elif is_blank(value):
        yield field, "is blank; expected some text"


def _check_options(options: Any) -> Iterator[Fault]:
    if not isinstance(options, list):
        yield "options", f"expected a list of texts, found {kind(options)}"
        return
    if len(options) == 1 or len(options) > len(LETTERS):
        yield "options", f"{len(options)} given; expected none, or 2 to {len(LETTERS)}"
        return
    for index, option in enumerate(options):
        yield from _check_text(f"options[{index}]", option)
        first = options.index(option)
        if first < index:
            yield f"options[{index}]", f"the same as options[{first}]: {shown(option)}"


def _check_spans(spans: Any) -> Iterator[Fault]:
    if not isinstance(spans, list):
        yield "spans", f"expected a list of [start_s, end_s], found {kind(spans)}"
        return
    for index, span in enumerate(spans):
        field = f"spans[{index}]"
        if not isinstance(span, list) or len(span) != 2:
            found = f"{len(span)} values" if isinstance(span, list) else kind(span)
            yield field, f"expected [start_s, end_s], found {found}"
        elif any(not _is_number(end) for end in span):
            wrong = next(end for end in span if not _is_number(end))
            yield field, f"expected two finite numbers of seconds, found {kind(wrong)}"
        elif not 0 <= float(span[0]) < float(span[1]):
            yield field, f"[{span[0]:g}, {span[1]:g}]: expected 0 <= start < end"


def _check_tags(tags: Any) -> Iterator[Fault]:
    if not isinstance(tags, dict):
        yield "tags", f"expected an object of texts, found {kind(tags)}"
        return
    for key, value in tags.items():
        field = f"tags.{_name(key)}"
        if not _encodes(key):
            yield field, "its name holds half a character (a lone surrogate); write the whole one"
        if not isinstance(value, str):
            hint = f'; write it as text: "{value}"' if _is_number(value) else ""
            yield field, f"expected text, found {kind(value)}{hint}"
        elif not _encodes(value):
            yield field, "holds half a character (a lone surrogate); write the whole one"
        elif key in TEXT_TAGS and is_blank(value):
            yield field, "is blank; expected some text"
        elif key == "route" and value not in ROUTES:
            yield field, f"unknown route {shown(value)}; expected one of {', '.join(ROUTES)}"
        elif key in FRACTION_TAGS and not _is_fraction(value):
            yield field, f"{shown(value)}: expected a number from 0 to 1 written as text"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the floats
        return False


def _is_fraction(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def kind(value: Any) -> str:
    """What sort of value somebody wrote, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {shown(value)}" if _is_number(value) else "a number that is not finite"
    if isinstance(value, str):
        return f"the text {shown(value)}"
    return "a list" if isinstance(value, list) else "an object"


def shown(value: Any) -> str:
    """A short form of what somebody wrote, without characters that could steer a terminal."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _name(key: str) -> str:
    return key if key.isidentifier() and len(key) <= 60 else shown(key)


def is_blank(text: str) -> bool:
    """Whether a text holds nothing to see: spaces, controls and zero-width characters at most."""
    return all(unicodedata.category(char)[0] in "ZC" for char in text)
