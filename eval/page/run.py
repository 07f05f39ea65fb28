"""The folder of a run goes in; what its report shows comes out: settings, figures and judged questions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from agent import Trace, read_traces
from eval.item import Item, Record, read_items
from eval.run_folder import DATA, ITEMS, METRICS, PREDICTIONS, RUN, read_predictions
from eval.run_scores import spans_of, valid_choice
from roles.errors import DataError, TraceError
from roles.scores import best_iou
from roles.types import Span

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """A question with what was said, held against the truth.

    Attributes:
        item: The question.
        record: What was said; empty where there is no record.
        choice: Place of the chosen option, from 0; None where there is none.
        right: Whether it is right; None where the right one is not known.
        spans: The predicted spans, best first.
        iou: Overlap of the first one with the true span that it meets best; None without true spans.
        confidence: The chosen option's probability; None where options were not compared by it.
    """

    item: Item
    record: Record
    choice: int | None
    right: bool | None
    spans: tuple[Span, ...]
    iou: float | None
    confidence: float | None

    @property
    def duration_s(self) -> float | None:
        """How long the video is, as its file or else the benchmark says; None where neither does."""
        for told in (self.record.get("duration_s"), self.item.tags.get("duration_s")):
            try:
                value = float(told or 0)
            except (TypeError, ValueError):  # words
                continue
            if 0 < value < math.inf:
                return value
        return None

    @property
    def failure(self) -> str | None:
        """Why the question was not answered at all, in a few words; None where it was."""
        if self.item.missing:
            return "the video is missing"
        if not self.record:
            return "there is no record: it was never asked"
        error = self.record.get("error")
        return None if error is None else str(error)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a report shows.

    Attributes:
        folder: Where it lies.
        about: `run.json`; empty where there is none.
        data: `data.json`; likewise.
        metrics: `metrics.json`.
        judged: All questions, in the benchmark's order.
    """

    folder: Path
    about: Json
    data: Json
    metrics: Json
    judged: tuple[Judged, ...]


def read_run(folder: Path) -> Run:
    """Reads a finished run.

    Raises:
        DataError: Items, predictions or metrics are missing or broken, or the predictions are of other items.
    """
    folder = Path(folder)
    metrics = _object(folder / METRICS)
    if metrics is None:
        raise DataError(f"{folder / METRICS}: missing; is {folder} the folder of a finished run?")
    items, records = read_items(folder / ITEMS), read_predictions(folder)
    known = {item.key for item in items}
    strangers = [key for key in records if key not in known]
    if strangers:
        raise DataError(
            f"{folder / PREDICTIONS}: key {strangers[0]}: not in {ITEMS} ({len(strangers)} such); "
            "these files are of two runs"
        )
    about, data = _object(folder / RUN) or {}, _object(folder / DATA) or {}
    judged = []
    for item in items:
        try:
            judged.append(judge(item, records.get(item.key)))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise DataError(f"{folder / PREDICTIONS}: key {item.key}: no record of a run ({error})") from error
    return Run(folder, about, data, metrics, tuple(judged))


def judge(item: Item, record: Record | None) -> Judged:
    """One question with what was said; without a record, it is wrong."""
    said = record or {}
    choice = valid_choice(item, said.get("choice"))
    spans = tuple(spans_of(said))
    iou = best_iou(spans[0] if spans else None, item.spans) if item.spans else None
    return Judged(item, said, choice, item.is_right(choice), spans, iou, _confidence(said, choice))


def trace_place(record: Json) -> tuple[str, int] | None:
    """The trace's file, from the run's folder, and the number of the question in it, from 1.

    None where the record names none, or one that is not inside the folder.
    """
    named = record.get("trace")
    if not (isinstance(named, Sequence) and len(named) == 2 and isinstance(named[0], str) and named[0]):
        return None
    path = PurePosixPath(named[0].replace("\\", "/"))
    leaves = path.is_absolute() or ".." in path.parts or "\0" in named[0]
    return None if leaves or not isinstance(named[1], int) else (named[0], named[1])


class Traces:
    """The traces of a run, each file read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, list[Trace] | str] = {}

    def of(self, one: Judged) -> Trace | str:
        """A question's trace, or why there is none."""
        record = one.record
        place = trace_place(record)
        if place is None:
            return "no trace was kept" if not record.get("trace") else "the trace is not inside the run's folder"
        name, number = place
        if name not in self._read:
            try:
                self._read[name] = read_traces(self._folder / name)
            except (TraceError, ValueError) as error:  # ValueError: a name that no file system takes
                self._read[name] = str(error).replace(f"{self._folder}/", "")
        found = self._read[name]
        if isinstance(found, str):
            return found
        same = [trace for trace in found if (trace.question, trace.options) == (one.item.question, one.item.options)]
        if 1 <= number <= len(found) and found[number - 1] in same:
            return found[number - 1]
        # A question that is refused before it is begun is in no trace, and those after it have a lower number.
        return same[-1] if same else f"{name}: does not hold this question"


def _confidence(record: Json, choice: int | None) -> float | None:
    probs = record.get("probs")
    value = probs[choice] if choice is not None and probs and choice < len(probs) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _object(path: Path) -> Json | None:
    """A file that holds a JSON object; None where there is no file.

    Raises:
        DataError: It holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run the same command again") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected a JSON object; run the same command again")
    return found
