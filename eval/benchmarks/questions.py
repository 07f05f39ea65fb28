"""Rows of data sets that ask or plan go in, records with options, answers, routes or candidates come out.

NExT-QA and NExT-GQA, and VideoMind's own planner and verifier annotations, whose formats were read off its loaders
(yeliudev/VideoMind, videomind/dataset/sub_classes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.benchmarks.files import csv_rows, load_object
from eval.benchmarks.records import (
    Converted,
    Entry,
    FieldError,
    Record,
    Row,
    Skipped,
    as_number,
    each,
    expand,
    get,
    items,
    number,
    pair,
    text,
)
from roles.errors import DataError
from roles.schema import kind
from roles.spans import iou
from roles.types import Span

NEXTQA_OPTIONS = ("a0", "a1", "a2", "a3", "a4")
NEXTQA_ROUTES = {"C": "ground", "T": "ground", "D": "answer"}
"""By the type's first letter. Causal (CW, CH) and temporal questions (TN, TC, TP) are about a moment: NExT-GQA gives
evidence for all of them. Descriptive ones (DC, DL, DO: how many, where, what) are about the whole video, and it leaves
them out."""
VIDEOMIND_ROUTES = {1: "ground", 2: "ground", 3: "moment", 4: "answer"}
"""1 rephrases, grounds and answers; 2 grounds the question itself and answers; 3 rephrases and grounds; 4 answers."""
VERIFIED = 5
"""So many of a grounder's candidates are verified."""


def nextqa(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Five options, the right one, a route by the question's type, and spans where NExT-GQA has them."""

    def read(row: Row) -> Record:
        question_type = text(row.value, "type")
        if question_type[:1] not in NEXTQA_ROUTES:
            raise FieldError("unknown question type", question_type)
        options = tuple(text(row.value, key) for key in NEXTQA_OPTIONS)
        video = row.value.get("video_id") or text(row.value, "video")
        tags = {
            "source": "nextqa",
            "id": f"{video}_{text(row.value, 'qid')}",
            "type": question_type,
            "route": NEXTQA_ROUTES[question_type[0]],
        }
        length = row.value.get("duration")
        return Record(
            where=row.where,
            names=(str(row.value.get("file") or video), video),
            question=_asked(text(row.value, "question")),
            spans=tuple(pair(span) for span in (items(row.value, "spans") if "spans" in row.value else ())),
            duration_s=None if length is None else as_number(length, "field 'duration'"),
            options=options,
            answer=_nextqa_answer(row.value, options),
            tags=tags,
        )

    return each(entries, read)


def load_nextqa(paths: Sequence[Path]) -> Iterator[Entry]:
    """Joins NExT-QA's questions (.csv) with the map of videos and NExT-GQA's spans where they are given (.json).

    Raises:
        DataError: No .csv, or a .json that is neither.
    """
    files: dict[str, Any] = {}
    evidence: dict[str, Any] = {}
    for path in paths:
        if path.suffix == ".csv":
            continue
        table = load_object(path, "map_vid_vidorID.json or gsub_*.json")
        first = next(iter(table.values()), "")
        if isinstance(first, str):
            files |= table
        elif isinstance(first, dict) and "location" in first:
            evidence |= table
        else:
            raise DataError(f"{path}: expected map_vid_vidorID.json (paths by video) or gsub_*.json (spans by video)")
    questions = [path for path in paths if path.suffix == ".csv"]
    if not questions:
        raise DataError(
            "NExT-QA's questions are .csv files; name one, and with it map_vid_vidorID.json and gsub_*.json"
        )
    for path in questions:
        for row in csv_rows(path, ("question", "answer", "qid", "type", *NEXTQA_OPTIONS)):
            if isinstance(row, Skipped):
                yield row
                continue
            video = row.value.get("video_id") or row.value.get("video", "")
            known = evidence.get(video)
            extra: dict[str, Any] = {"file": files.get(video, "")}
            if isinstance(known, dict):
                location = known.get("location")
                extra["duration"] = known.get("duration")
                extra["spans"] = location.get(row.value["qid"], []) if isinstance(location, dict) else []
            yield Row(row.where, {**row.value, **extra})


def videomind_planning(entries: Iterable[Entry]) -> Iterator[Converted]:
    """VideoMind's planner annotations: a question, one of four routes, and a rephrased query for two of them."""

    def read(row: Row) -> Record:
        route = get(row.value, "route")
        if not isinstance(route, int) or isinstance(route, bool) or route not in VIDEOMIND_ROUTES:
            raise FieldError("unknown route", kind(route))
        tags = {"source": "videomind_planning", "route": VIDEOMIND_ROUTES[route]}
        if route in (1, 3):
            tags["query"] = " ".join(text(row.value, "query").split())
        length_s = number(row.value, "duration") if row.value.get("duration") is not None else None
        names = _tails(text(row.value, "video_path"))
        return Record(row.where, names, text(row.value, "question"), duration_s=length_s, tags=tags)

    return each(entries, read)


def videomind_verifying(entries: Iterable[Entry]) -> Iterator[Converted]:
    """VideoMind's verifier annotations: a grounder's first five candidates, each against the true spans."""

    def split(row: Row) -> Iterable[Row]:
        true = [_span(pair(span)) for span in items(row.value, "span")]
        rows = []
        for rank, candidate in enumerate(items(row.value, "pred")[:VERIFIED], start=1):
            if not isinstance(candidate, list):
                raise FieldError("a candidate is not [start, end]")
            ends = pair(candidate[:2])
            overlap = max((iou(_span(ends), span) for span in true), default=0.0) if ends[0] < ends[1] else 0.0
            rows.append(
                Row(f"{row.where} candidate {rank}", {**row.value, "ends": ends, "iou": overlap, "of": row.where})
            )
        return rows

    def read(row: Row) -> Record:
        tags = {"source": "videomind_verifying", "group": row.value["of"], "candidate_iou": str(row.value["iou"])}
        names = _tails(text(row.value, "video_path"))
        return Record(
            row.where, names, text(row.value, "query"), (row.value["ends"],), number(row.value, "duration"), tags=tags
        )

    return each(expand(entries, split), read)


def _asked(question: str) -> str:
    """NExT-QA writes questions in small letters without a mark."""
    question = question.strip()
    asked = question[:1].upper() + question[1:]
    return asked if not asked or asked[-1] in "?.!" else f"{asked}?"


def _nextqa_answer(row: dict[str, Any], options: tuple[str, ...]) -> str:
    """NExT-QA (column `video`) gives the option's number, NExT-GQA (column `video_id`) its text."""
    answer = text(row, "answer")
    if row.get("video_id") or not answer.isdecimal():
        return answer
    if int(answer) >= len(options):
        raise FieldError("the answer's number is beyond the options", answer)
    return options[int(answer)]


def _span(ends: tuple[float, float]) -> Span:
    try:
        return Span(max(0.0, ends[0]), max(0.0, ends[1]))
    except ValueError:
        return Span(0.0, 0.0)  # overlaps nothing; the candidate itself is reported later


def _tails(path: str) -> tuple[str, ...]:
    """A path within VideoMind's repository, and less and less of it: --videos may be any of its folders."""
    parts = path.split("/")
    return tuple("/".join(parts[start:]) for start in range(len(parts)))
