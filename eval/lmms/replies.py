"""A record of what our agent said goes in, the text that lmms-eval keeps as a model's reply comes out, and back.

To our own tasks a reply is one JSON object with `choice` (the option's letter), `answer` (the text) and `spans`
([start_s, end_s, confidence], best first); then, where there is anything to say, `fell_back`, `strange` and `error`.
Another model may leave out what it does not know, or write a letter only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from eval.choices import read_choice
from eval.item import Record
from roles.types import Span

_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
NO_ANSWER = "?"
"""Holds no letter and no number; an empty reply is left out of some tasks' averages, such as MVBench's."""
MAX_SPANS = 10
"""QVHighlights looks at so many; nothing looks at more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to one of our tasks, read.

    Attributes:
        choice: Place of the option that it names, from 0; None where it names none, or several.
        windows: (start_s, end_s, score), best first; those that are no stretch of time are left out.
    """

    choice: int | None
    windows: tuple[tuple[float, float, float], ...]

    @property
    def spans(self) -> list[Span]:
        """The windows as spans; what lies before the video's start is cut off."""
        return [Span(max(0.0, start_s), end_s) for start_s, end_s, _ in self.windows if end_s >= 0]


def write_reply(record: Record) -> str:
    """What our agent said of one question, for our own tasks."""
    choice = record["choice"]
    spans = [[start_s, end_s, confidence] for start_s, end_s, confidence, _ in record["spans"][:MAX_SPANS]]
    reply: dict[str, Any] = {
        "choice": None if choice is None else ascii_uppercase[choice],
        "answer": record["said"],
        "spans": spans,
    }
    for name in ("fell_back", "strange", "error"):
        if record.get(name):
            reply[name] = record[name]
    return json.dumps(reply, ensure_ascii=False)


def plain_reply(record: Record, has_options: bool, wants_moment: bool) -> str:
    """What our agent said of one question, as other people's tasks want it: a letter, a text, or a moment.

    Returns:
        `NO_ANSWER` where there is none, so that it is counted, and counted as wrong.
    """
    if wants_moment:
        spans = record["spans"]
        return f"The event happens in {spans[0][0]:.2f} - {spans[0][1]:.2f} seconds." if spans else NO_ANSWER
    if has_options and record["choice"] is not None:
        return ascii_uppercase[record["choice"]]
    return record["said"] or NO_ANSWER


def read_reply(text: str, options: Sequence[str]) -> Reply:
    """Reads any model's reply to one of our tasks; what cannot be read is no answer.

    Args:
        text: A JSON object, also one with words around it, or free text that names an option.
        options: The question's, without letters; none where there are none.
    """
    row = _object(text)
    if row is None:
        return Reply(read_choice(text, options) if options else None, ())
    named = next((str(row[key]) for key in ("choice", "answer") if row.get(key) not in (None, "")), None)
    spans = row.get("spans")
    windows = [window for one in spans if (window := _window(one)) is not None] if isinstance(spans, list) else []
    return Reply(read_choice(named, options) if options else None, tuple(windows[:MAX_SPANS]))


def _object(text: str) -> dict[str, Any] | None:
    match = _OBJECT.search(text)
    if match is None:
        return None
    try:
        row = json.loads(match[0])
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _window(value: object) -> tuple[float, float, float] | None:
    """A window of two or three numbers; without a score the order alone ranks it."""
    if not isinstance(value, list) or len(value) not in (2, 3):
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value):
        return None
    start_s, end_s, score = (*map(float, value), 0.0)[:3]
    if not all(math.isfinite(number) for number in (start_s, end_s, score)) or start_s > end_s:
        return None
    return start_s, end_s, score
