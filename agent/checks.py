"""What a user asks goes in; it comes out unchanged, or a QuestionError says what is wrong with it.

Nothing in here is slow: the command line runs these checks before a model is loaded.
"""

from __future__ import annotations

import math
import stat
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from roles.errors import QuestionError
from roles.subtitles import Line, read_subtitles
from roles.types import Span

MAX_QUESTION_CHARS = 8_000
MAX_OPTIONS = 26
"""One letter each."""
MAX_SUBTITLE_BYTES = 10_000_000


def check_question(question: str, options: Sequence[str] = ()) -> None:
    """Checks a question and its options.

    Raises:
        QuestionError: Either is empty or too long, or there are more options than letters.
    """
    _check_text("the question", question)
    if len(options) > MAX_OPTIONS:
        raise QuestionError(f"{len(options)} options: expected at most {MAX_OPTIONS}, one for each letter")
    for number, option in enumerate(options, start=1):
        _check_text(f"option {number}", option)


def _check_text(name: str, text: str) -> None:
    if all(unicodedata.category(char)[0] in "ZC" for char in text):  # spaces, controls, zero-width characters
        raise QuestionError(f"{name} is empty; expected some text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise QuestionError(f"{name} is not UTF-8 text; check the terminal's encoding") from None
    if len(text) > MAX_QUESTION_CHARS:
        raise QuestionError(f"{name} has {len(text):,} characters; expected at most {MAX_QUESTION_CHARS:,}")


def check_order(start_s: float | None, end_s: float | None) -> None:
    """Checks the ends of a part as far as that goes without knowing the video.

    Raises:
        QuestionError: An end is negative or not finite, or the start is not before the end.
    """
    for name, value in (("start", start_s), ("end", end_s)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise QuestionError(f"{name} {value:g} s: expected a time from 0 s on")
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise QuestionError(f"start {start_s:g} s is not before end {end_s:g} s; expected start < end")


def part_of(duration_s: float, start_s: float | None, end_s: float | None) -> tuple[Span | None, tuple[str, ...]]:
    """The part of a video that is asked about.

    Args:
        duration_s: The video's length.
        start_s: Where the part begins; None is the video's start.
        end_s: Where it ends; None is the video's end, and what lies beyond that is cut to it.

    Returns:
        (the part or None where the whole video is asked about, notes on what was changed).

    Raises:
        QuestionError: The part is not inside the video.
    """
    check_order(start_s, end_s)
    if start_s is None and end_s is None:
        return None, ()
    begin_s = start_s or 0.0
    if begin_s >= duration_s:
        raise QuestionError(f"start {begin_s:g} s lies beyond the video, which is {duration_s:g} s long")
    if end_s is not None and end_s > duration_s:
        note = f"the end at {end_s:g} s lies beyond the video, which is {duration_s:g} s long: asked up to its end"
        return Span(begin_s, duration_s), (note,)
    return Span(begin_s, duration_s if end_s is None else end_s), ()


def read_subtitle_file(path: str) -> list[Line]:
    """Reads a .srt or .vtt file.

    Raises:
        QuestionError: It cannot be read, is not UTF-8 (or UTF-16 with its mark), or holds no subtitles.
    """
    try:
        about = Path(path).stat()
        if not stat.S_ISREG(about.st_mode):
            raise QuestionError(f"{path}: the subtitles are not a file (a pipe, a device or a folder); name a file")
        size = about.st_size
        if size > MAX_SUBTITLE_BYTES:
            raise QuestionError(f"{path}: {size:,} bytes; expected subtitles of at most {MAX_SUBTITLE_BYTES:,}")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise QuestionError(f"{path}: the subtitles cannot be read ({reason})") from error
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise QuestionError(f"{path}: the subtitles are not UTF-8 text; convert them first") from error
    return read_subtitles(text, path)
