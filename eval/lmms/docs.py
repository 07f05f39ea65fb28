"""Items of a benchmark go in, a folder that lmms-eval's `--include_path` takes comes out: data and YAML side by side.

A line of the data is an item with all its fields, so that `datasets` sees the same columns in every line; what is not
known is null, and the tags, which differ from item to item, are one text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.item import Item
from roles.errors import DataError
from roles.examples import write_text
from roles.types import Span

TASKS_DIR = Path(__file__).parent / "tasks"
COMMON = "mindreel_common"
"""What our task files include; without a suffix, as lmms-eval takes every *.yaml for a task."""
MARK = "mindreel"
"""The column that tells our data from others'; holds the version of its form."""
VERSION = 1


TASKS = {"nextgqa": "nextgqa", "rextime": "rextime", "qvhighlights": "qvhighlights", "worlds": "mindreel_world"}
"""Names of our tasks, and of their files, by the benchmark's name in `eval.suites.table`."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a benchmark asks our agent, as in `eval.suites.table.Suite`; other models do not see it.

    Attributes:
        plan: "auto", "ground", "answer", or "moment": find a moment and do not answer.
        unit_s: To what predicted times are rounded, in seconds; None leaves the agent's.
        min_clip_s: The answerer watches at least this much, in seconds; None leaves the checkpoint's.
    """

    plan: str = "auto"
    unit_s: float | None = None
    min_clip_s: float | None = None


def doc_of(item: Item, manner: Manner) -> dict[str, Any]:
    """The item as a line of a task's data."""
    return {
        MARK: VERSION,
        "key": item.key,
        "video": item.video,
        "question": item.question,
        "options": list(item.options),
        "answer_at": item.answer_at,
        "spans": [[span.start_s, span.end_s] for span in item.spans],
        "plan": manner.plan,
        "unit_s": manner.unit_s,
        "min_clip_s": manner.min_clip_s,
        "set": item.set,
        "query": item.query,
        "start_s": item.start_s,
        "end_s": item.end_s,
        "frame_rate": item.frame_rate,
        "subtitles": item.subtitles,
        "missing": item.missing,
        "tags": json.dumps(dict(item.tags), ensure_ascii=False),
    }


def item_of(doc: Mapping[str, Any]) -> Item:
    """The item of a line of a task's data."""
    return Item(
        key=doc["key"],
        video=doc["video"],
        question=doc["question"],
        options=tuple(doc["options"] or ()),
        answer_at=doc["answer_at"],
        spans=tuple(Span(start_s, end_s) for start_s, end_s in doc["spans"] or ()),
        tags=json.loads(doc["tags"]),
        set=doc["set"] or "",
        query=doc["query"],
        start_s=doc["start_s"],
        end_s=doc["end_s"],
        frame_rate=doc["frame_rate"],
        subtitles=doc["subtitles"],
        missing=bool(doc["missing"]),
    )


def manner_of(doc: Mapping[str, Any]) -> Manner:
    """How the line's benchmark asks our agent."""
    return Manner(doc["plan"], doc["unit_s"], doc["min_clip_s"])


def is_ours(doc: Mapping[str, Any]) -> bool:
    """Whether a line is of one of our tasks."""
    return doc.get(MARK) == VERSION


def write_task(benchmark: str, items: Sequence[Item], folder: Path, manner: Manner, split: str | None = None) -> Path:
    """Writes a task's data, and beside it its YAML, which lmms-eval finds the data by.

    Args:
        benchmark: One of `TASKS`.
        items: What is asked.
        folder: For `--include_path`; made where it is missing.
        manner: How our agent is asked.
        split: Shown with the task's name in lmms-eval's table.

    Returns:
        The YAML file.

    Raises:
        DataError: There are no items, or a file cannot be written.
    """
    if not items:
        raise DataError(f"{benchmark}: no questions to write; nothing was written to {folder}")
    name = TASKS[benchmark]
    rows = (json.dumps(doc_of(_placed(item), manner), ensure_ascii=False) for item in items)
    write_text(folder / f"{name}.jsonl", rows)
    write_text(folder / COMMON, _lines(COMMON))
    path = folder / f"{name}.yaml"
    alias = [f"task_alias: {json.dumps(f'{name} ({split})')}"] if split else []
    write_text(path, [*_lines(path.name), *alias])
    return path


def _placed(item: Item) -> Item:
    """The item with paths that hold wherever lmms-eval is started."""
    subtitles = None if item.subtitles is None else str(Path(item.subtitles).absolute())
    return replace(item, video=str(Path(item.video).absolute()), subtitles=subtitles)


def _lines(name: str) -> list[str]:
    return (TASKS_DIR / name).read_text(encoding="utf-8").splitlines()
