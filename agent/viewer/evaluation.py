"""The folder of an evaluation goes in; which question of which trace was which item, and its truth, come out.

`eval` writes these files and may not be imported from here, so they are read as plain JSON lines: what is missing or
odd is passed over, with a note.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.trace import Trace
from roles.spans import iou
from roles.types import Span

ITEMS, PREDICTIONS, SHARDS = "items.jsonl", "predictions.jsonl", "shards"
RIGHT_IOU = 0.5
"""A span counts as right from this overlap on."""

Place = tuple[str, int]
"""A trace's file, from the run's folder, and the number of the question in it, from 1."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of one question from outside.

    Attributes:
        key: The item's.
        at: Place among the items, from 0.
        options: The choices, as in the data.
        answer_at: Place of the right one; None where it is not known.
        spans: The true moments.
        tags: Labels of the item.
        subtitles: Their file, as the item names it.
        said: The place of the choice that was scored; None where none was, or no record is there yet.
        swap: What was chosen from other clips, with `--minds`; empty elsewhere.
    """

    key: str
    at: int
    options: tuple[str, ...] = ()
    answer_at: int | None = None
    spans: tuple[Span, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    subtitles: str | None = None
    said: int | None = None
    swap: Mapping[str, Any] = field(default_factory=dict)

    def option_right(self, at: int) -> bool | None:
        """Whether an option is right, also another one with the right one's text; None where that is not known."""
        if self.answer_at is None or not 0 <= self.answer_at < len(self.options):
            return None
        return 0 <= at < len(self.options) and self.options[at] == self.options[self.answer_at]

    def right(self, trace: Trace) -> bool | None:
        """Whether the answer is right; None without a truth, or while the question runs."""
        if self.option_right(0) is None or not trace.finished:
            return None
        return self.said is not None and self.option_right(self.said) is True

    def iou(self, trace: Trace) -> float | None:
        """Overlap of the first moment with the true one that it fits best; None without a truth or before the end."""
        if not self.spans or not trace.finished:
            return None
        return max(iou(trace.moments[0].span, span) for span in self.spans) if trace.moments else 0.0


class Evaluation:
    """One evaluation's folder, read anew when its files change.

    Attributes:
        folder: The folder.
        truths: What is known of the questions, by place.
        order: Places in the order of the items.
        notes: Lines that could not be read.
        seen: Names, sizes and times of its files when they were last read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truths: dict[Place, Truth] = {}
        self.order: list[Place] = []
        self.notes: list[str] = []
        self.seen: tuple[Any, ...] | None = None

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether a folder looks like an evaluation's."""
        return (folder / ITEMS).is_file() and ((folder / PREDICTIONS).is_file() or (folder / SHARDS).is_dir())

    def refresh(self) -> bool:
        """Reads the files if they have changed; returns whether they had."""
        files = [path for path in (self.folder / ITEMS, *self._record_files()) if path.is_file()]
        seen = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
        if seen == self.seen:
            return False
        self.seen, self.notes = seen, []
        items: dict[str, Truth] = {}
        for at, row in enumerate(self._rows(self.folder / ITEMS)):
            truth = _truth(row, at)
            if truth is None:
                self.notes.append(f"{self.folder.name}/{ITEMS}: item {at + 1} cannot be read")
            else:
                items[truth.key] = truth
        places: dict[str, tuple[Place, Truth]] = {}
        for path in self._record_files():
            for row in self._rows(path):
                found = _place(row, items)
                if found is not None:  # the last record of an item counts
                    places[found[1].key] = found
        self.truths = dict(places.values())
        self.order = sorted(self.truths, key=lambda place: self.truths[place].at)
        return True

    def _record_files(self) -> list[Path]:
        whole = self.folder / PREDICTIONS
        return [*sorted((self.folder / SHARDS).glob("*.jsonl")), *([whole] if whole.is_file() else [])]

    def _rows(self, path: Path) -> Iterator[dict[str, Any]]:
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            self.notes.append(f"{self.folder.name}/{path.name}: cannot be read ({error.strerror or error})")
            return
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield row
            elif number < len(lines):  # the last line of a file that is being written may be torn
                self.notes.append(f"{self.folder.name}/{path.name}, line {number}: not a JSON object; passed over")


def _truth(row: Mapping[str, Any], at: int) -> Truth | None:
    try:
        spans = tuple(Span(float(start_s), float(end_s)) for start_s, end_s in row.get("spans") or ())
        options = tuple(str(option) for option in row.get("options") or ())
        answer_at = row.get("answer_at")
        subtitles = row.get("subtitles")
        return Truth(
            key=str(row["key"]),
            at=at,
            options=options,
            answer_at=answer_at if isinstance(answer_at, int) else None,
            spans=spans,
            tags={str(name): str(value) for name, value in (row.get("tags") or {}).items()},
            subtitles=subtitles if isinstance(subtitles, str) else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _place(row: Mapping[str, Any], items: Mapping[str, Truth]) -> tuple[Place, Truth] | None:
    named, truth = row.get("trace"), items.get(str(row.get("key")))
    if truth is None or not isinstance(named, Sequence) or len(named) != 2:
        return None
    file, number = named
    if not isinstance(file, str) or not isinstance(number, int):
        return None
    choice, swap = row.get("choice"), row.get("swap")
    said = choice if isinstance(choice, int) else None
    told = replace(truth, said=said, swap=swap if isinstance(swap, dict) else {})
    return (file, number), told


def span_right(overlap: float | None) -> bool | None:
    """Whether an overlap is enough; None where it is not known."""
    return None if overlap is None or not math.isfinite(overlap) else overlap >= RIGHT_IOU
