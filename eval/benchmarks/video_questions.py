"""Rows of benchmarks that ask about videos go in, records with options, the right one and its evidence come out.

ReXTime, CG-Bench, MVBench and Video-MME. `choice_questions.py` says which tags the records have.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.benchmarks.choice_questions import (
    LETTERED,
    about,
    choice,
    decide,
    empty,
    index_of,
    joined,
    options_of,
    unique,
)
from eval.benchmarks.files import json_rows
from eval.benchmarks.records import (
    Converted,
    Entry,
    FieldError,
    Record,
    Row,
    Skipped,
    as_number,
    each,
    get,
    items,
    label,
    number,
    pair,
    text,
)
from roles.answerer import LETTERS
from roles.errors import DataError

ACTIVITYNET_ID_LENGTH = 13
"""ReXTime names a film of ActivityNet `v_` and 11 characters; those of QVHighlights carry their seconds as well."""
REXTIME_SPAN = re.compile(r"^from\b.{1,40}?\bto\b.{1,40}?,\s*", re.IGNORECASE)
"""What a ReXTime answer begins with, such as `From <s0> to <e0>, `."""
CGBENCH_SUBTITLES = (".", "cg_subtitles", "cg_subtitles/cg_subtitles")
"""Folders beneath that of cgbench.json in which its archives leave subtitles."""
MVBENCH_FOLDERS = {
    task: folder
    for folder, tasks in {
        "FunQA_test/test": "unexpected_action",
        "Moments_in_Time_Raw/videos": "fine_grained_action",
        "clevrer/video_validation": "counterfactual_inference moving_attribute moving_count moving_direction "
        "object_existence",
        "nturgbd": "fine_grained_pose",
        "perception/videos": "action_count character_order object_shuffle state_change",
        "scene_qa/video": "scene_transition",
        "ssv2_video": "action_antonym",
        "sta/sta_video": "action_localization",
        "star/Charades_v1_480": "action_prediction action_sequence object_interaction",
        "tvqa/frames_fps3_hq": "episodic_reasoning",
        "vlnqa": "egocentric_navigation",
    }.items()
    for task in tasks.split()
}
"""Where each task's videos lie beneath MVBench's folder `video`; some are in the same place under `data0613`."""
MVBENCH_FRAME_RATE = 3.0
MVBENCH_FRAME_TASK = "episodic_reasoning"
VIDEOMME_TAGS = ("duration", "domain", "sub_category", "task_type")
VIDEOMME_COLUMNS = ("videoID", "question_id", "question", "options", "answer", *VIDEOMME_TAGS)


def rextime(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Questions with options (`rextime_*.json`) or windows and a letter alone (`rextime_val.jsonl`, no options).

    A test row has neither answer nor span. The answer's sentence begins with the span, so that it is only compared
    with the options, never handed on.
    """

    def read(row: Row) -> Record:
        video = label(row.value, "vid")
        source = "activitynet" if len(video) == ACTIVITYNET_ID_LENGTH else "qvhighlights"
        bare = (video, video[2:]) if source == "activitynet" and video.startswith("v_") else (video,)
        tags = _tags("rextime", label(row.value, "qid"), row.value, "category") | {"video_source": source}
        letter, said = row.value.get("ans"), row.value.get("answer")
        hidden = empty(letter) and empty(said)
        names, length_s = (*bare, *(f"{source}/{name}" for name in bare)), _length_s(row.value)
        if "options" not in row.value:
            question, spans = text(row.value, "query"), tuple(map(pair, items(row.value, "relevant_windows")))
            key = {"hidden_answer": "yes"} if hidden else {"answer_at": str(index_of(letter, len(LETTERS)))}
            return Record(row.where, names, question, spans, length_s, tags=tags | {"no_options": "yes"} | key)
        question, options = text(row.value, "question"), options_of(row.value, "options")
        if hidden:  # what stands for the span in a test file is no truth
            return choice(row, names, question, options, None, tags, length_s=length_s)
        sentence = "" if empty(said) else text(row.value, "answer")
        at = decide(letter, (sentence, REXTIME_SPAN.sub("", sentence, count=1)), options, tags)
        return choice(row, names, question, options, at, tags, (pair(get(row.value, "span")),), length_s)

    return unique(each(entries, read))


def load_rextime(paths: Sequence[Path]) -> Iterator[Entry]:
    """Both shapes; where both hold a question it comes once, with options, and the other one is a `Skipped`.

    Raises:
        DataError: A file cannot be read.
    """
    entries = list(json_rows(paths))
    rows = [entry.value for entry in entries if isinstance(entry, Row) and isinstance(entry.value, dict)]
    asked = {str(row.get("qid")): row for row in rows if "options" in row}
    for entry in entries:
        row = entry.value if isinstance(entry, Row) and isinstance(entry.value, dict) else {"options": []}
        full = None if "options" in row else asked.get(str(row.get("qid")))
        if full is None:
            yield entry
        else:
            differs = row.get("ans") != full.get("ans") and not empty(full.get("ans"))
            also = ", and with another answer" if differs else ""
            yield Skipped(f"the same question without options{also}", entry.where)


def cgbench(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Choices about long films; the clue intervals are the evidence, all of them together."""

    def read(row: Row) -> Record:
        video = label(row.value, "video_uid")
        options = options_of(row.value, "choices")
        said = row.value.get("answer")
        tags = _tags("cgbench", label(row.value, "qid"), row.value, "domain", "sub_category", "subtitles")
        texts = (said,) if isinstance(said, str) else ()
        at = decide(row.value.get("right_answer"), texts, options, tags)
        question, clues = text(row.value, "question"), tuple(map(pair, items(row.value, "clue_intervals")))
        return choice(row, (video, f"cg_videos_720p/{video}"), question, options, at, tags, clues, _length_s(row.value))

    return unique(each(entries, read))


def load_cgbench(paths: Sequence[Path]) -> Iterator[Entry]:
    """Adds `subtitles` to rows whose .srt lies beside their file: its path from there, mostly just its name.

    Raises:
        DataError: A file cannot be read.
    """
    for path in paths:
        beside: dict[str, str] = {}
        for folder in CGBENCH_SUBTITLES:
            for found in sorted((path.parent / folder).glob("*.srt")):
                beside.setdefault(found.stem, found.relative_to(path.parent).as_posix())
        for entry in json_rows([path]):
            uid = str(entry.value.get("video_uid")) if isinstance(entry, Row) and isinstance(entry.value, dict) else ""
            yield joined(entry, {"subtitles": beside[uid]} if uid in beside else {})


def mvbench(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Choices of 20 tasks; `start_s` and `end_s` are the part of the video that is shown, no evidence.

    A folder of frames has a name that ends in "/", and the tag `frame_rate` in frames per second.
    """

    def read(row: Row) -> Record:
        task = text(row.value, "task")
        folder = MVBENCH_FOLDERS.get(task)
        if folder is None:
            raise FieldError("its file is named after none of MVBench's 20 tasks")
        frames = task == MVBENCH_FRAME_TASK
        video = text(row.value, "video").rstrip("/") + ("/" if frames else "")
        options = options_of(row.value, "candidates")
        said = label(row.value, "answer")
        tags = _tags("mvbench", f"{task}_{label(row.value, 'place')}", row.value, "task")
        if frames:
            rate = MVBENCH_FRAME_RATE if empty(row.value.get("fps")) else number(row.value, "fps")
            if not 0 < rate < math.inf:
                raise FieldError("field 'fps' is not above 0", f"{rate:g}")
            tags["frame_rate"] = f"{rate:g}"
        tags |= _cut(row.value)
        at = decide(None, (said, LETTERED.sub("", said, count=1)), options, tags)
        names = (f"{folder}/{video}", f"data0613/{folder}/{video}", video)
        return choice(row, names, text(row.value, "question"), options, at, tags)

    return unique(each(entries, read))


def load_mvbench(paths: Sequence[Path]) -> Iterator[Entry]:
    """The tasks' files, or all of a folder; rows get `task` and `place`, their number in the file from 0.

    Raises:
        DataError: A folder without .json files, or a file that cannot be read.
    """
    for path in paths:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise DataError(f"{path}: no .json files; name MVBench's folder json, with one file for each task")
        if path.is_dir():
            there = {file.stem for file in files}
            lacking = [task for task in MVBENCH_FOLDERS if task not in there]
            yield from (Skipped("a task without file", f"{path.name}/{task}.json") for task in lacking)
        for file in files:
            for place, entry in enumerate(json_rows([file])):
                yield joined(entry, {"task": file.stem, "place": place})


def videomme(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Choices about short, medium and long films; `duration` is one of these words."""

    def read(row: Row) -> Record:
        video = label(row.value, "videoID")
        options = options_of(row.value, "options")
        at = index_of(row.value.get("answer"), len(options))
        tags = _tags("videomme", label(row.value, "question_id"), row.value, *VIDEOMME_TAGS)
        return choice(row, (video, f"data/{video}"), text(row.value, "question"), options, at, tags)

    return unique(each(entries, read))


def load_videomme(paths: Sequence[Path]) -> Iterator[Entry]:
    """The rows of Parquet files.

    Raises:
        DataError: pyarrow is missing, or a file cannot be read, is no Parquet or lacks a column.
    """
    try:
        pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError("Video-MME comes as Parquet, which needs pyarrow: pip install 'mindreel[parquet]'") from error
    for path in paths:
        try:
            with parquet.ParquetFile(path) as file:
                lacking = [name for name in VIDEOMME_COLUMNS if name not in file.schema_arrow.names]
                if lacking:
                    raise DataError(f"{path}: no column {', '.join(lacking)}; is it Video-MME's test-*.parquet?")
                rows = file.read(columns=list(VIDEOMME_COLUMNS)).to_pylist()
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"{path}: cannot be read as Parquet ({reason}); check the path") from error
        yield from (Row(f"{path.name} row {place}", row) for place, row in enumerate(rows, start=1))


def _tags(benchmark: str, name: str, row: Any, *fields: str) -> dict[str, str]:
    """The tags of every record, and those of a row's fields that hold something."""
    return {"id": name, **about(benchmark)} | {
        field: label(row, field) for field in fields if not empty(row.get(field))
    }


def _cut(row: Any) -> dict[str, str]:
    """Tags for the part that MVBench shows; times that make no part are kept beside the whole video."""
    ends = {name: row.get(name) for name in ("start", "end")}
    times_s = {name: as_number(value, f"field {name!r}") for name, value in ends.items() if value is not None}
    start_s, end_s = max(0.0, times_s.get("start", 0.0)), times_s.get("end", math.inf)
    if not (0 <= start_s < end_s and all(math.isfinite(value) for value in times_s.values())):
        return {"cut_ignored": f"{times_s.get('start', 0.0):g} to {end_s:g}"}
    return {f"{name}_s": f"{max(0.0, value):.12g}" for name, value in times_s.items()}


def _length_s(row: Any) -> float | None:
    return None if row.get("duration") is None else number(row, "duration")
