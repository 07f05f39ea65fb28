"""Rows of data sets whose times lie in segments, steps or a second file go in, records come out.

DiDeMo, HiREST and QuerYD. The formats were read off public files and VideoMind's loaders (yeliudev/VideoMind,
videomind/dataset/sub_classes); docs/data.md says which were tried on real files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.benchmarks.files import load_object, text_rows
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
    label,
    number,
    pair,
    text,
)
from roles.errors import DataError

DIDEMO_SEGMENT_S = 5.0


def didemo(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Annotators' first and last segments of 5 s: their means, in full seconds.

    The means are VideoMind's rule, without the random shift of up to 2 s that its loader adds in training: that is
    the trainer's business.
    """

    def read(row: Row) -> Record:
        marks = [pair(mark) for mark in items(row.value, "times")]
        if not marks:
            raise FieldError("field 'times' is empty")
        segments = number(row.value, "num_segments") if "num_segments" in row.value else 6.0
        for first, last in marks:
            if not 0 <= first <= last:
                raise FieldError("an annotator's moment ends before it starts", f"[{first:g}, {last:g}]")
            if last >= segments:
                raise FieldError("an annotator's segment is not in the video", f"[{first:g}, {last:g}]")
        start_s = round(sum(first for first, _ in marks) / len(marks) * DIDEMO_SEGMENT_S)
        end_s = round((sum(last for _, last in marks) / len(marks) + 1) * DIDEMO_SEGMENT_S)
        tags = {"source": "didemo"}
        if "annotation_id" in row.value:
            tags["id"] = label(row.value, "annotation_id")
        video = text(row.value, "video")
        return Record(
            row.where, (video, video.split(".")[0]), text(row.value, "description"), ((start_s, end_s),), tags=tags
        )

    return each(entries, read)


def hirest_grounding(entries: Iterable[Entry]) -> Iterator[Converted]:
    """The part of a video that answers a search; videos that are not marked as clips give nothing."""

    def read(row: Row) -> Converted:
        if not _is_clip(row.value):
            return Skipped("not marked as relevant and a clip", row.where)
        tags = {"source": "hirest_grounding"}
        return _hirest(row, text(row.value, "query"), get(row.value, "bounds"), tags)

    return each(expand(entries, _hirest_videos), read)


def hirest_step(entries: Iterable[Entry]) -> Iterator[Converted]:
    """The steps of such a part, each with its own times."""

    def split(row: Row) -> Iterable[Row]:
        if not _is_clip(row.value):
            return [row]
        return [
            Row(f"{row.where} step {index}", {**row.value, "step": step}, row.key)
            for index, step in enumerate(items(row.value, "steps"), start=1)
        ]

    def read(row: Row) -> Converted:
        if "step" not in row.value:
            return Skipped("not marked as relevant and a clip", row.where)
        step = row.value["step"]
        return _hirest(row, text(step, "heading"), get(step, "absolute_bounds"), {"source": "hirest_step"})

    return each(expand(expand(entries, _hirest_videos), split), read)


def queryd(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Transcribed audio descriptions (lists of words) with the times at which they were spoken."""

    def split(row: Row) -> Iterable[Row]:
        captions, times = items(row.value, "captions"), items(row.value, "times")
        if len(captions) != len(times):
            raise FieldError("as many captions as times were expected", f"{len(captions)} and {len(times)}")
        return [
            Row(f"{row.where} item {index}", {"words": words, "span": span}, row.key)
            for index, (words, span) in enumerate(zip(captions, times, strict=True), start=1)
        ]

    def read(row: Row) -> Record:
        words = row.value["words"]
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            words = " ".join(words)
        elif not isinstance(words, str):
            raise FieldError("a caption is not a list of words")
        video = row.key or ""
        names = (video.removeprefix("video-"), video)
        return Record(row.where, names, words, (pair(row.value["span"]),), tags={"source": "queryd"})

    return each(expand(entries, split), read)


def load_queryd(paths: Sequence[Path]) -> Iterator[Entry]:
    """Joins QuerYD's captions and times, both made JSON, for the videos of a list where one is given.

    Raises:
        DataError: Not exactly one file of each, or they do not hold what they should.
    """
    tables = {path: load_object(path, "an object of lists by video") for path in paths if path.suffix != ".txt"}
    timed = [path for path, table in tables.items() if _holds_times(table)]
    spoken = [path for path in tables if path not in timed]
    if len(timed) != 1 or len(spoken) != 1:
        raise DataError(
            "QuerYD needs two JSON files, captions (lists of words) and times, and may have a list of videos"
        )
    captions, times = tables[spoken[0]], tables[timed[0]]
    listed = [
        str(row.value) for row in text_rows([path for path in paths if path.suffix == ".txt"]) if isinstance(row, Row)
    ]
    for video in listed or captions:
        where = f"{spoken[0].name} {video!r}"
        if video not in captions or video not in times:
            yield Skipped("no captions or no times for a video", where)
        else:
            yield Row(where, {"captions": captions[video], "times": times[video]}, video)


def _hirest_videos(row: Row) -> list[Row]:
    if not isinstance(row.value, dict):
        raise FieldError("not an object of videos")
    return [
        Row(f"{row.where} {video!r}", {**value, "query": row.key} if isinstance(value, dict) else value, video)
        for video, value in row.value.items()
    ]


def _is_clip(value: Any) -> bool:
    return bool(get(value, "relevant")) and bool(get(value, "clip"))


def _hirest(row: Row, question: str, bounds: Any, tags: dict[str, str]) -> Record:
    return Record(row.where, (row.key or "",), question, (pair(bounds),), number(row.value, "v_duration"), tags=tags)


def _holds_times(table: dict[str, Any]) -> bool:
    """Whether the first entry that is not empty holds pairs of numbers."""
    for value in table.values():
        if isinstance(value, list) and value and isinstance(value[0], list) and value[0]:
            try:
                as_number(value[0][0], "")
            except FieldError:
                return False
            return True
    return False
