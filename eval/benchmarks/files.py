"""Annotation files go in, their rows come out: JSON, JSON lines, CSV and plain lines; and tables of durations."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.benchmarks.records import Entry, Row, Skipped, stem
from roles.errors import DataError
from roles.examples import read_lines
from roles.schema import kind


def json_rows(paths: Sequence[Path]) -> Iterator[Entry]:
    """The entries of JSON files: items of a list, values of an object by key, or one per line.

    Raises:
        DataError: A file cannot be read or is no JSON. A single bad line is a `Skipped`.
    """
    for path in paths:
        _refuse_pickle(path)
        lines = read_lines(path)
        if path.suffix == ".jsonl" or _one_per_line(lines):
            yield from _line_rows(path, lines)
            continue
        value = load_json(path)
        if isinstance(value, list):
            yield from (Row(f"{path.name} item {index}", item) for index, item in enumerate(value, start=1))
        elif isinstance(value, dict):
            yield from (Row(f"{path.name} {key!r}", item, key) for key, item in value.items())
        else:
            raise DataError(f"{path}: expected a list or an object of annotations, found {kind(value)}")


def text_rows(paths: Sequence[Path]) -> Iterator[Entry]:
    """The lines of text files, blank ones excepted.

    Raises:
        DataError: A file cannot be read.
    """
    for path in paths:
        for number, line in enumerate(read_lines(path), start=1):
            if line.strip():
                yield Row(f"{path.name} line {number}", line.strip())


def csv_rows(path: Path, needed: Sequence[str]) -> Iterator[Entry]:
    """The rows of a CSV file as objects of texts; one with too many or too few fields is a `Skipped`.

    Args:
        path: The file.
        needed: Columns that it must have.

    Raises:
        DataError: It cannot be read, is no CSV, or a column is missing.
    """
    reader = csv.DictReader(f"{line}\n" for line in read_lines(path))
    try:
        lacking = [name for name in needed if name not in (reader.fieldnames or ())]
        if lacking:
            raise DataError(f"{path}: no column {', '.join(lacking)}; expected {', '.join(needed)} in the first line")
        for row in reader:
            where = f"{path.name} line {reader.line_num}"
            if None in row or None in row.values():
                yield Skipped("more or fewer fields than the first line has", where)
            else:
                yield Row(where, row)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num + 1} is no CSV ({error})") from error


def load_json(path: Path) -> Any:
    """A whole JSON file.

    Raises:
        DataError: It cannot be read or is no JSON; pickles are refused, as opening one can run anything.
    """
    _refuse_pickle(path)
    text = "\n".join(read_lines(path))
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON ({error.msg} at line {error.lineno}, column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON that can be read ({error})") from error


def load_object(path: Path, holds: str) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        DataError: It holds something else; the message says that it should hold `holds`.
    """
    value = load_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected {holds}, found {kind(value)}")
    return value


def load_durations(path: Path) -> dict[str, float]:
    """Lengths of videos in seconds by name without extension.

    Args:
        path: A JSON object of numbers by name, or a CSV file with the columns `id` and `length` (Charades' own).

    Raises:
        DataError: It is neither, or a length is no positive number.
    """
    if path.suffix == ".csv":
        found: dict[str, Any] = {}
        for row in csv_rows(path, ("id", "length")):
            if isinstance(row, Skipped):
                raise DataError(f"{path}: {row.where}: {row.reason}")
            found[row.value["id"]] = row.value["length"]
    else:
        found = load_object(path, "an object of seconds by video, or a .csv with the columns id and length")
    durations: dict[str, float] = {}
    for name, value in found.items():
        try:
            length_s = float(value)
        except (TypeError, ValueError, OverflowError):
            length_s = math.nan
        if not 0 < length_s < math.inf:
            raise DataError(f"{path}: the length of {name!r} is {kind(value)}; expected seconds above 0")
        durations[stem(name)] = length_s
    return durations


def _refuse_pickle(path: Path) -> None:
    if path.suffix in (".pkl", ".pickle", ".p"):
        raise DataError(f"{path}: a pickle can run code when it is opened; make JSON of it first (see docs/data.md)")


def _one_per_line(lines: Sequence[str]) -> bool:
    """Whether a file called .json holds JSON lines: two whole objects on lines of their own."""
    filled = [line for line in lines if line.strip()][:2]
    return len(filled) == 2 and all(isinstance(_parsed(line), dict) for line in filled)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _line_rows(path: Path, lines: Sequence[str]) -> Iterator[Entry]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path.name} line {number}"
            value = _parsed(line)
            yield Skipped("not a JSON object", where) if not isinstance(value, dict) else Row(where, value)
