"""Example JSONL: lines of a data set's file go in, checked Examples come out, and back.

A line is one JSON object with the keys `video`, `question`, `options`, `answer`, `spans` and `tags`; docs/data.md shows
them. Reading is strict: an unknown key, a number where text belongs or a span that ends before it starts is a
`Problem` with its line and field, never a guess. What is written can be read again, and gives the same Examples.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from roles.errors import DataError
from roles.schema import KEYS, faults, kind, shown
from roles.types import Example, Span

SHOWN_PROBLEMS = 10
_EXACT = 2**53
"""Whole numbers up to here are floats without rounding, and are written without a point."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file of examples.

    Attributes:
        line: Number of the line, from 1.
        field: Where in the line, such as "spans[1]"; empty for the line as a whole.
        message: What is wrong and what belongs there.
    """

    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f", field {self.field}" if self.field else ""
        return f"line {self.line}{where}: {self.message}"


def read_examples(path: Path) -> list[Example]:
    """Reads a data set's file.

    Raises:
        DataError: It is missing, no UTF-8 text or empty, or a line is wrong: then the message names the first ten
            problems, each with its line and field.
    """
    return [example for _, example in read_numbered(path)]


def read_numbered(path: Path) -> list[tuple[int, Example]]:
    """Reads a data set's file; each example comes with the number of its line.

    Raises:
        DataError: As `read_examples`.
    """
    numbered, problems = parse_lines(read_lines(path))
    if problems:
        shown = "; ".join(str(problem) for problem in problems[:SHOWN_PROBLEMS])
        more = len(problems) - SHOWN_PROBLEMS
        raise DataError(f"{path}: {shown}{f'; and {more:,} more problems' if more > 0 else ''}")
    if not numbered:
        raise DataError(f"{path}: no examples; expected one JSON object per line")
    return numbered


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, with or without a byte order mark.

    Lines end at line feeds only: other characters that break lines for Unicode may stand inside JSON text.

    Raises:
        DataError: The file is missing, not a plain file, not readable or not UTF-8.
    """
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise DataError(f"{path}: not a file (a folder, a pipe or a device); name a file")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({_reason(error)}); check the path") from error
    try:
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line} is not UTF-8 text; convert the file first") from error


def parse_lines(lines: Iterable[str]) -> tuple[list[tuple[int, Example]], list[Problem]]:
    """Reads lines, blank ones excepted.

    Returns:
        (examples with the numbers of their lines, everything that is wrong in the other lines).
    """
    numbered: list[tuple[int, Example]] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _load(line)
        except _LineError as error:
            problems.append(Problem(number, "", str(error)))
            continue
        found = list(faults(row))
        if found:
            problems += [Problem(number, field, message) for field, message in found]
        else:
            numbered.append((number, _build(row)))
    return numbered, problems


def to_line(example: Example) -> str:
    """The example as one line of compact JSON: defaults left out, numbers as short as they read back the same."""
    row: dict[str, Any] = {"video": example.video, "question": example.question}
    if example.options:
        row["options"] = list(example.options)
    if example.answer is not None:
        row["answer"] = example.answer
    if example.spans:
        row["spans"] = [[_short(span.start_s), _short(span.end_s)] for span in example.spans]
    if example.tags:
        row["tags"] = dict(example.tags)
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """Writes a data set's file, whole or not at all; its folders are made.

    Raises:
        DataError: An example could not be read back, or the file cannot be written; an older file is kept.
    """
    write_text(path, _checked_lines(path, examples))


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Writes lines into a file that is replaced only when all of them are on disk.

    Args:
        path: The file; its folders are made.
        lines: Without line feeds at their ends.

    Raises:
        DataError: The file cannot be written.
    """
    path = Path(path)
    try:
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be written ({_reason(error)})") from error


def video_path(example: Example, data_file: Path) -> Path:
    """Where an example's video lies: its path counts from the folder of the data set's file."""
    return Path(data_file).parent / example.video


class _LineError(ValueError):
    """A line that is no JSON object."""


def _load(line: str) -> dict[str, Any]:
    def constant(name: str) -> NoReturn:
        raise _LineError(f"{name} is not a number that JSON knows")

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(found)
        if len(row) < len(found):
            counts = Counter(key for key, _ in found)
            raise _LineError(f"the key {shown(counts.most_common(1)[0][0])} is given twice")
        return row

    try:
        row = json.loads(line, parse_constant=constant, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise _LineError(f"not JSON ({error.msg} at column {error.colno})") from error
    except _LineError:
        raise
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets nested a thousand deep
        raise _LineError(f"not JSON that can be read ({error})") from error
    if not isinstance(row, dict):
        raise _LineError(f"expected a JSON object, found {kind(row)}")
    return row


def _build(row: Mapping[str, Any]) -> Example:
    return Example(
        video=row["video"],
        question=row["question"],
        options=tuple(row.get("options", ())),
        answer=row.get("answer"),
        spans=tuple(Span(float(start), float(end)) for start, end in row.get("spans", ())),
        tags=dict(row.get("tags", {})),
    )


def _checked_lines(path: Path, examples: Iterable[Example]) -> Iterator[str]:
    for number, example in enumerate(examples, start=1):
        row = {key: getattr(example, key) for key in KEYS}
        row["options"] = list(example.options)
        row["spans"] = [[span.start_s, span.end_s] for span in example.spans]
        for field, message in faults(row):
            raise DataError(f"{path}: not written: example {number}, field {field}: {message}")
        yield to_line(example)


def _short(seconds: float) -> float:
    """A number that JSON writes without a needless `.0`."""
    return int(seconds) if float(seconds).is_integer() and abs(seconds) <= _EXACT else seconds


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
