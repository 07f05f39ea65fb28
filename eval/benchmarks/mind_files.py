"""Files of public Theory-of-Mind benchmarks go in, rows come out: questions joined with trims, texts or keys."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.benchmarks.choice_questions import joined
from eval.benchmarks.files import csv_rows, json_rows, load_json
from eval.benchmarks.records import Entry, FieldError, Row, Skipped, as_number
from roles.examples import read_lines
from roles.schema import kind

EGOTOM_COLUMNS = ("vuid", "cuid", "narrations_in_context", "clip_start_time", "clip_end_time")
"""What each of EgoToM's tables has, beside the columns of its own task."""


def load_social_iq(paths: Sequence[Path]) -> Iterator[Entry]:
    """Joins questions (`qa_*.json`, JSON lines) with `trims.json` where it is given.

    Raises:
        DataError: A file cannot be read or is neither.
    """
    trims: dict[str, Any] = {}
    questions: list[Entry] = []
    for path in paths:
        for entry in line_rows([path]):
            if isinstance(entry, Skipped) or (not isinstance(entry.value, dict) and entry.key is None):
                questions.append(entry)
            elif not isinstance(entry.value, dict):  # a table of several lines
                trims[str(entry.key)] = entry.value
            elif entry.value and not {"qid", "q", "vid_name"} & set(entry.value):  # a table in one line
                trims |= entry.value
            else:
                questions.append(entry)
    good = {video: trim_s for video, trim in trims.items() if (trim_s := _finite(trim)) is not None}
    for video, trim in trims.items():
        if video not in good:
            questions.append(Skipped("neither a question nor a trim in seconds", f"{video!r}: {kind(trim)}"))

    for entry in questions:
        video = _own(entry, "vid_name")
        missed = {"no_trim": "yes"} if trims else {}
        yield joined(entry, {"trim": good[video]} if video in good else missed)


def load_muma_tom(paths: Sequence[Path]) -> Iterator[Entry]:
    """Joins `questions.json` with `texts.json` (the text of each episode) where it is given.

    Raises:
        DataError: A file cannot be read or is no JSON.
    """
    texts: dict[str, str] = {}
    questions: list[Path] = []
    for path in paths:
        table = load_json(path)
        if isinstance(table, dict) and table and all(isinstance(value, str) for value in table.values()):
            texts |= table
        else:
            questions.append(path)
    for entry in json_rows(questions):
        known = texts.get(entry.key or "") if isinstance(entry, Row) else None
        yield joined(entry, {} if known is None else {"texts.json": known})


def load_egotom(paths: Sequence[Path]) -> Iterator[Entry]:
    """The rows of `egotom_goal_shuffled.csv`, `egotom_belief_shuffled.csv` and `egotom_actions_shuffled.csv`.

    Raises:
        DataError: A file cannot be read, is no CSV, or lacks a column.
    """
    for path in paths:
        yield from csv_rows(path, EGOTOM_COLUMNS)


def load_moments(paths: Sequence[Path]) -> Iterator[Entry]:
    """Joins questions with their keys; a question without one stays, a key without a question is a `Skipped`.

    Raises:
        DataError: A file cannot be read or is no JSON.
    """
    questions: list[Entry] = []
    keys: dict[str, Row] = {}
    differ: set[str] = set()
    for given in json_rows(paths):
        entry = given
        if isinstance(given, Row) and given.key is not None and isinstance(given.value, str):  # letters by id
            entry = Row(given.where, {"question_id": given.key, "correct_answer_key": given.value})
        if isinstance(entry, Skipped) or not isinstance(entry.value, dict) or "question" in entry.value:
            questions.append(entry)
        elif "correct_answer_key" not in entry.value:
            questions.append(Skipped("neither a question nor a key", entry.where))
        elif (known := keys.setdefault(_own(entry, "question_id"), entry)) is not entry:
            questions.append(Skipped("a key that was there before", entry.where))
            if known.value["correct_answer_key"] != entry.value["correct_answer_key"]:
                differ.add(_own(entry, "question_id"))
    asked = {_own(entry, "question_id") for entry in questions}
    for entry in questions:
        own = _own(entry, "question_id")
        if own in differ:
            yield Skipped("its keys differ", entry.where)
        else:
            key = {"correct_answer_key": keys[own].value["correct_answer_key"]} if own in keys else {}
            yield joined(entry, key)
    yield from (Skipped("a key to no question", f"{row.where}: {own}") for own, row in keys.items() if own not in asked)


def line_rows(paths: Sequence[Path]) -> Iterator[Entry]:
    """The rows of files that hold JSON lines under the name .json, also where there is but one; else as `json_rows`.

    Raises:
        DataError: A file cannot be read, or is neither JSON nor JSON lines.
    """
    for path in paths:
        filled = [(place, line) for place, line in enumerate(read_lines(path), start=1) if line.strip()]
        rows = [(f"{path.name} line {place}", _parsed(line)) for place, line in filled]
        whole = len(filled) > 1 and _parsed("\n".join(line for _, line in filled)) is not None
        if whole or not any(isinstance(value, dict) for _, value in rows):
            yield from json_rows([path])
            continue
        for where, value in rows:
            yield Row(where, value) if isinstance(value, dict) else Skipped("not a JSON object", where)


def _own(entry: Entry, key: str) -> str:
    """What a row has in a field, as text; empty where it is no object or has no such field."""
    if isinstance(entry, Skipped) or not isinstance(entry.value, dict):
        return ""
    return str(entry.value.get(key, ""))


def _parsed(text_: str) -> Any:
    try:
        return json.loads(text_)
    except (ValueError, RecursionError):
        return None


def _finite(found: Any) -> float | None:
    """The number as a float; None where it is none."""
    try:
        value = as_number(found, "it")
    except FieldError:
        return None
    return value if math.isfinite(value) else None
