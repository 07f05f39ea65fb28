"""Subtitle files: SubRip or WebVTT text goes in, timed lines come out."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from roles.errors import QuestionError
from roles.types import Span

MAX_LINES = 100
_TIMING = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Line:
    """One subtitle: when it is shown, in seconds, and its text on one line."""

    start_s: float
    end_s: float
    text: str


def read_subtitles(text: str, source: str) -> list[Line]:
    """Reads SubRip (.srt) or WebVTT (.vtt): blocks with a timing line, text below it.

    Args:
        text: The file's content.
        source: Its name, for messages.

    Raises:
        QuestionError: No timing line in it, or one that ends before it starts.
    """
    lines: list[Line] = []
    for block in re.split(r"\n\s*\n", text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")):
        rows = block.strip("\n").split("\n")
        at = next((i for i, row in enumerate(rows) if "-->" in row), None)
        if at is None:
            continue
        match = _TIMING.search(rows[at])
        if match is None:
            raise QuestionError(f"{source}: cannot read {rows[at].strip()!r}; expected 00:00:01,000 --> 00:00:02,000")
        start_s, end_s = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        if end_s < start_s:
            raise QuestionError(f"{source}: {rows[at].strip()!r} ends before it starts")
        words = " ".join(row.strip() for row in rows[at + 1 :] if row.strip())
        words = html.unescape(_MARKUP.sub("", words)).strip()
        if words:
            lines.append(Line(start_s, end_s, words))
    if not lines:
        raise QuestionError(f"{source}: holds no subtitles; expected SubRip (.srt) or WebVTT (.vtt)")
    return lines


def lines_within(lines: Sequence[Line], span: Span) -> list[Line]:
    """Lines wholly inside a span, times from its start, rounded to 0.1 s; at most `MAX_LINES`."""
    inside = [line for line in lines if span.start_s <= line.start_s and line.end_s <= span.end_s]
    return [
        Line(round(line.start_s - span.start_s, 1), round(line.end_s - span.start_s, 1), line.text)
        for line in inside[:MAX_LINES]
    ]


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction}")
