"""A benchmark's question with its truth goes in, one line of `items.jsonl` comes out, and back; what a run asks.

An `Item` is an `Example` made ready for scoring: it has a key of its own, knows which of several options with the same
text is meant, and belongs to a set, over which intervals are drawn. What a model said is a `Record`, which holds no
truth, so that predictions can be scored anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from roles.errors import DataError
from roles.examples import read_lines, write_text
from roles.types import Span

Record = dict[str, Any]
"""What a run keeps of one question, a line of `predictions.jsonl`:

    key           the item's
    said          what the answerer wrote, or the option that it chose; None where there is no answer
    choice        place of the chosen option, from 0; None where none was chosen or the reply names none
    probs         of each option where options are scored by likelihood, else None
    spans         [[start_s, end_s, confidence, P(Yes) or None], ...], best first
    grounded      the same before the verifier changed the order
    plan          roles that ran, such as ["grounder", "verifier", "answerer"]
    fell_back     roles that failed and were replaced by a fallback
    error         why there is no answer, or None
    notes         what a person should know besides
    strange       whether the film is of a kind that the checkpoint does not know; None where that is not known
    trace         the trace's file, from the run's folder, and the number of the question in it, from 1; or None
    elapsed_s     how long it took
    swap          with --minds: {"true" | "predicted" | "random" | "complement": {"choice", "clip"}}; or None
    blind         with --minds: {"choice"}, answered from grey frames; or None
"""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark, with its truth.

    Attributes:
        key: Tells it from all others of the benchmark, the same from run to run.
        video: File or folder of frames, as it is opened.
        question: What is asked, or the description of a moment.
        options: The choices, without letters; two may have the same text.
        answer_at: Place of the right one, from 0; None where it is not known, or there are none.
        spans: The true moments; none where nobody marked any.
        tags: Labels, such as `type`, by which tables are split.
        set: Items of one set resemble each other: matched films, else those of one video.
        query: What the grounder looks for where the benchmark says so; None leaves it to the planner.
        start_s: Where the part begins that is asked about; None is the video's start.
        end_s: Where it ends; None is the video's end.
        frame_rate: Frames per second where the video is a folder of frames.
        subtitles: Their file.
        missing: Whether there is no such video; the item counts as wrong.
    """

    key: str
    video: str
    question: str
    options: tuple[str, ...] = ()
    answer_at: int | None = None
    spans: tuple[Span, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    set: str = ""
    query: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    frame_rate: float | None = None
    subtitles: str | None = None
    missing: bool = False

    def is_right(self, choice: int | None) -> bool | None:
        """Whether a choice is right, also one of another option with the right one's text; None without a truth."""
        if self.answer_at is None:
            return None
        return choice is not None and self.options[choice] == self.options[self.answer_at]

    def to_json(self) -> dict[str, Any]:
        """As an object, defaults left out."""
        row = asdict(self) | {
            "options": list(self.options),
            "spans": [[span.start_s, span.end_s] for span in self.spans],
            "tags": dict(self.tags),
        }
        return {
            name: value for name, value in row.items() if not (value is None or value is False or value in ([], {}, ""))
        }


@dataclass(frozen=True, slots=True)
class Group:
    """All items of one video that are still to ask: it is opened and watched once."""

    video: str
    items: tuple[Item, ...]


def groups_of(items: Iterable[Item]) -> list[Group]:
    """Items by video, in the order in which the videos first come."""
    groups: dict[tuple[str, float | None], list[Item]] = {}
    for item in items:
        groups.setdefault((item.video, item.frame_rate), []).append(item)
    return [Group(video, tuple(members)) for (video, _), members in groups.items()]


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Writes a file of items, whole or not at all.

    Raises:
        DataError: It cannot be written.
    """
    write_text(path, (json.dumps(item.to_json(), ensure_ascii=False) for item in items))


def read_items(path: Path) -> list[Item]:
    """Reads what `write_items` wrote.

    Raises:
        DataError: It is missing, or a line is no item.
    """
    items = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            spans = tuple(Span(float(start_s), float(end_s)) for start_s, end_s in row.pop("spans", ()))
            items.append(Item(**row | {"options": tuple(row.get("options", ())), "spans": spans}))
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: line {number} is no item of a run ({error}); is it another file?") from error
    return items
