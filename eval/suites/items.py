"""A converter's record goes in, a question with its truth comes out; what is odd about it goes into the report.

Nothing is left out that can be asked, and the truth stays as the file has it, so that figures compare with the field's.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agent.checks import MAX_QUESTION_CHARS
from eval.benchmarks.choice_questions import NOTED, find, notes
from eval.benchmarks.mending import length_of, mended_spans, unusable
from eval.benchmarks.records import Converted, Record, Skipped
from eval.benchmarks.videos import VideoFolder, likeliest
from eval.item import Item
from eval.suites.report import DataReport
from eval.suites.table import Suite
from roles.schema import is_blank
from roles.types import Span

FOLDER_FRAME_RATE = 1.0
"""Frames per second of a folder of pictures whose benchmark gives none."""
FILM = "film"
"""Tag of a record whose film was found already: where it lies."""
_MOVED = ("answer_at", "start_s", "end_s", "frame_rate", "subtitles", FILM)
"""Tags that have a field of their own in an item."""


class ItemReader:
    """Makes items of records, and notes in the report what is odd about them."""

    def __init__(
        self,
        suite: Suite,
        report: DataReport,
        videos: Sequence[Path],
        subtitles: Sequence[Path],
        lengths: Mapping[str, float],
    ) -> None:
        """Takes what a record alone does not tell.

        Args:
            suite: The benchmark.
            report: Is filled while records are read.
            videos: Folders in which films may lie, the likeliest first.
            subtitles: The same for their subtitles.
            lengths: Of videos in seconds, by name without extension.
        """
        self._suite = suite
        self._report = report
        here = Path("items.jsonl").absolute()
        self._videos = [VideoFolder(folder.absolute(), here, frames=True) for folder in videos]
        self._subtitles = subtitles
        self._lengths = lengths
        self._absent: set[tuple[str, ...]] = set()
        self._asked: dict[str, set[str]] = {}
        self._mixed: dict[Path, bool] = {}

    def read(self, record: Converted) -> Item | None:
        """The record's item; None, and the reason in the report, where it cannot be asked."""
        self._report.read += 1
        if isinstance(record, Skipped):
            self._report.skip(record.reason, record.where)
            return None
        fault = self._fault(record)
        if fault is not None:
            self._report.skip(fault.reason, fault.where)
            return None
        length_s = length_of(record, self._lengths)
        if length_s is not None and not 0 < length_s < math.inf:
            self._report.note("its video's length is not above 0: taken as unknown", f"{record.where}: {length_s:g} s")
            length_s = None
        options, answer_at = self._choices(record)
        tags = {key: value for key, value in record.tags.items() if key not in _MOVED}
        if length_s is not None:
            tags["duration_s"] = f"{length_s:g}"
        video = self._video(record)
        start_s, end_s = self._part(record)
        item = Item(
            key=record.tags["id"],
            video=video or record.names[0],
            question=_lines(record.question),
            options=options,
            answer_at=answer_at,
            spans=self._spans(record, length_s),
            tags=tags,
            set=record.tags.get("set") or record.names[0],
            query=record.tags.get("question_only"),
            start_s=start_s,
            end_s=end_s,
            frame_rate=self._frame_rate(record),
            subtitles=self._subtitle_file(record),
            missing=video is None,
        )
        if video is not None and Path(video).is_dir():
            item = self._of_pictures(item, record)
        for note in notes(record):
            self._report.note(note, record.where)
        if len(item.question) > MAX_QUESTION_CHARS:
            self._report.note(f"longer than {MAX_QUESTION_CHARS:,} characters: the agent refuses it", record.where)
        if self._lacks_moments(record):
            self._report.note("no moments are given for it: it is not scored for them", record.where)
        self._note_again(item, record)
        return item

    def _fault(self, record: Record) -> Skipped | None:
        """Why a record cannot be asked at all; a film's odd length does not matter here."""
        if self._suite.format is not None and (fault := unusable(record, None)) is not None:
            return fault
        if sum(not is_blank(option) for option in record.options) == 1:  # it would be right by default
            return Skipped("fewer than two options with text", record.where)
        try:
            "".join((record.question, *record.options, *record.names, *record.tags.values())).encode()
        except UnicodeEncodeError:
            return Skipped("its text holds half a character (a lone surrogate)", record.where)
        return None

    def _choices(self, record: Record) -> tuple[tuple[str, ...], int | None]:
        """The options that have text, and the right one's place among them."""
        texts = [" ".join(option.split()) for option in record.options]
        kept = [place for place, text in enumerate(texts) if not is_blank(text)]
        options = tuple(texts[place] for place in kept)
        if not options:
            if record.answer is not None:
                self._report.note("an answer without options: it is not scored", record.where)
            return (), None
        if len(kept) < len(texts):
            self._report.note(NOTED["empty_options"], record.where)
        if "answer_at" in record.tags or "hidden_answer" in record.tags:  # `choice` has seen to all this
            return options, int(record.tags["answer_at"]) if "answer_at" in record.tags else None
        if len(set(options)) < len(options):
            self._report.note(NOTED["duplicate_options"], record.where)
        if record.answer is None:
            self._report.note(NOTED["hidden_answer"], record.where)
            return options, None
        answer_at = find(options, record.answer)
        if answer_at is None:
            self._report.note("the answer is none of the options: it is not scored", record.where)
        return options, answer_at

    def _spans(self, record: Record, length_s: float | None) -> tuple[Span, ...]:
        """The true spans as the file has them, without those that make no sense."""
        spans = mended_spans(record.spans, length_s, cut=False)
        for reason, shown in spans.faults:
            self._report.change(f"{reason}: left out, the question stays", f"{record.where}: {shown}")
        for change in spans.changes:
            (self._report.change if "cut" in change else self._report.note)(change, record.where)
        if record.spans and not spans.kept:
            self._report.note("no span is left: its moments are not scored", record.where)
        return spans.kept

    def _lacks_moments(self, record: Record) -> bool:
        """Whether a question has no moments where the benchmark's others have."""
        asked_for = self._suite.has_evidence or self._suite.plan == "moment"
        hidden = {"hidden_spans", "hidden_answer"} & record.tags.keys()
        return self._suite.format is not None and asked_for and not record.spans and not hidden

    def _part(self, record: Record) -> tuple[float | None, float | None]:
        """Where the part begins and ends that is asked about; the whole film where the tags make no part."""
        start_s, end_s = _number(record.tags.get("start_s")), _number(record.tags.get("end_s"))
        if 0 <= (start_s or 0.0) < (math.inf if end_s is None else end_s) and end_s != math.inf:
            return start_s, end_s
        self._report.change(NOTED["cut_ignored"], record.where)
        return None, None

    def _frame_rate(self, record: Record) -> float | None:
        rate = _number(record.tags.get("frame_rate"))
        if rate is None or 0 < rate < math.inf:
            return rate
        self._report.change("a frame rate that is no number above 0: left out", record.where)
        return None

    def _video(self, record: Record) -> str | None:
        """Where the film lies; None, and its name in the report, where it is not there."""
        if self._suite.format is None:
            found = record.tags.get(FILM)
        else:
            tried = (folder.find(record.names) for folder in self._videos)
            found = next((path for path in tried if path is not None), None)
        if found is None and record.names not in self._absent:
            self._absent.add(record.names)
            self._report.missing_videos.add(likeliest(record.names))
        return found

    def _subtitle_file(self, record: Record) -> str | None:
        named = record.tags.get("subtitles")
        if named is None and self._suite.subtitles is not None:
            named = record.names[0].rpartition("/")[2] + self._suite.subtitles
        if named is None:
            return None
        tried = (folder / named for folder in self._subtitles)
        found = next((path for path in tried if path.is_file()), None)
        if found is None:
            self._report.note("its subtitles are not there: asked without", f"{record.where}: {named}")
        return None if found is None else str(found.absolute())

    def _of_pictures(self, item: Item, record: Record) -> Item:
        """An item on a folder of pictures: at which rate they are shown, and up to where."""
        folder = Path(item.video)
        if item.frame_rate is None:
            self._report.note("a folder of pictures without a frame rate: one a second", record.where)
            item = replace(item, frame_rate=FOLDER_FRAME_RATE)
        if "end_step" not in record.tags:
            return item
        if folder not in self._mixed:  # a film of thousands of files has several questions
            kinds = {path.stem.rpartition("_")[2] for path in folder.glob("*.png")}
            self._mixed[folder] = len(kinds) > 1 and "normal" in kinds
        if self._mixed[folder]:
            self._report.note("its folder also holds pictures that are no frames: keep *_normal.png only", record.where)
        frames = _end_frame(folder, record.tags["end_step"])
        if frames is None:
            self._report.note("no frame_intervals.json: what comes after the step asked about is shown", record.where)
            return item
        return replace(item, end_s=frames / (item.frame_rate or FOLDER_FRAME_RATE))

    def _note_again(self, item: Item, record: Record) -> None:
        """Notes a question that came before, with the same truth or another."""
        labels = {key: value for key, value in item.tags.items() if key != "id" and key not in NOTED}
        asked = [item.video, item.question, sorted(item.options), item.start_s, item.end_s, sorted(labels.items())]
        right = None if item.answer_at is None else item.options[item.answer_at]
        truth = json.dumps([right, [(span.start_s, span.end_s) for span in item.spans]])
        before = self._asked.setdefault(json.dumps(asked), set())
        if truth in before:
            self._report.note("the same question again, with the same truth: it counts again", record.where)
        elif before:
            self._report.note("the same question again, with another truth", record.where)
        before.add(truth)


def _end_frame(folder: Path, step: str) -> float | None:
    """The frame at which a step of MMToM-QA's films ends, from a table that somebody made of its pickle."""
    for place in (folder, *folder.parents[:2]):
        try:
            intervals = json.loads((place / "frame_intervals.json").read_text(encoding="utf-8"))
            return float(intervals[int(float(step))][1]) or None
        except (OSError, ValueError, TypeError, LookupError):
            continue
    return None


def _lines(text: str) -> str:
    """A text with single spaces, whose lines stay lines: text worlds are told in lines."""
    lines = (" ".join(line.split()) for line in text.strip().split("\n"))
    return "\n".join(key for key, group in itertools.groupby(lines) for key in ([key] if not key else group))


def _number(written: str | None) -> float | None:
    """A tag's number; NaN where it is none, None without the tag."""
    try:
        return None if written is None else float(written)
    except ValueError:
        return math.nan
