"""What a format's converter reads from and gives: rows go in, records or reasons why there is none come out.

A record is what an annotation file says, unchecked; `convert.py` checks all formats' records in one place. A converter
is a pure function from rows to records. It reads fields with the functions below, which raise `FieldError`, and hands
its work to `each`, so that a bad row becomes a `Skipped` and never stops the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from roles.schema import kind

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of an annotation file.

    Attributes:
        where: File and place, for a person.
        value: What JSON or CSV gave.
        key: Its name where the file is an object of entries; None in lists and lines.
    """

    where: str
    value: Any
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that gives no example: why, in words that repeat from row to row, and where."""

    reason: str
    where: str


@dataclass(frozen=True, slots=True)
class Record:
    """What a row says.

    Attributes:
        where: File and place, for a person.
        names: Of the video, the likeliest first, beneath the videos' folder, with an extension or without.
        question: The question or the description of a moment.
        spans: (start, end) in seconds, as annotated.
        duration_s: The video's length; None where the format does not say.
        options: The choices.
        answer: The right one.
        tags: Labels for the example.
    """

    where: str
    names: tuple[str, ...]
    question: str
    spans: tuple[tuple[float, float], ...] = ()
    duration_s: float | None = None
    options: tuple[str, ...] = ()
    answer: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


Entry = Row | Skipped
Converted = Record | Skipped
Converter = Callable[[Iterable[Entry]], Iterator[Converted]]


class FieldError(ValueError):
    """A row without a field that its format needs.

    Attributes:
        detail: What stood there; kept out of the message, by which skipped rows are counted.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail


def each(entries: Iterable[Entry], read: Callable[[Row], Converted]) -> Iterator[Converted]:
    """Reads one record from each row."""
    for entry in entries:
        try:
            yield entry if isinstance(entry, Skipped) else read(entry)
        except FieldError as error:
            yield _skipped(error, entry.where)


def expand(entries: Iterable[Entry], split: Callable[[Row], Iterable[Row]]) -> Iterator[Entry]:
    """Splits rows that hold several annotations; `split` must be done with its checks before it gives the first."""
    for entry in entries:
        try:
            rows = [entry] if isinstance(entry, Skipped) else list(split(entry))
        except FieldError as error:
            rows = [_skipped(error, entry.where)]
        yield from rows


def get(value: Any, key: str) -> Any:
    """A field of an object.

    Raises:
        FieldError: The value is no object, or has no such field.
    """
    if not isinstance(value, dict):
        raise FieldError("not an object with fields", kind(value))
    if key not in value:
        raise FieldError(f"no field {key!r}")
    return value[key]


def label(value: Any, key: str) -> str:
    """A field that holds a name: text, or a whole number that serves as one.

    Raises:
        FieldError: It does not.
    """
    found = get(value, key)
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else text(value, key)


def text(value: Any, key: str) -> str:
    """A field that holds text.

    Raises:
        FieldError: It does not.
    """
    found = get(value, key)
    if not isinstance(found, str):
        raise FieldError(f"field {key!r} is not text", kind(found))
    return found


def number(value: Any, key: str) -> float:
    """A field that holds a number.

    Raises:
        FieldError: It does not.
    """
    return as_number(get(value, key), f"field {key!r}")


def items(value: Any, key: str) -> list[Any]:
    """A field that holds a list.

    Raises:
        FieldError: It does not.
    """
    found = get(value, key)
    if not isinstance(found, list):
        raise FieldError(f"field {key!r} is not a list", kind(found))
    return found


def pair(value: Any) -> tuple[float, float]:
    """A list of two numbers, in the order in which they stand.

    Raises:
        FieldError: It is something else.
    """
    if not isinstance(value, list) or len(value) != 2:
        raise FieldError("a span is not [start, end]", kind(value))
    return as_number(value[0], "a span's start"), as_number(value[1], "a span's end")


def as_number(value: Any, name: str) -> float:
    """A number as a float; NaN and infinities are left to the checks of spans.

    Raises:
        FieldError: It is no number, or one beyond the floats.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FieldError(f"{name} is not a number", kind(value))
    try:
        return float(value)
    except OverflowError:
        raise FieldError(f"{name} is beyond the floats") from None


def stem(name: str) -> str:
    """A video's name without an extension that videos have; dots that belong to the name stay."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in VIDEO_SUFFIXES else name


def _skipped(error: FieldError, where: str) -> Skipped:
    return Skipped(str(error), f"{where}: {error.detail}" if error.detail else where)
