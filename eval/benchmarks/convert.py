"""Annotation files of a public format go in, Example JSONL and a report of what became of every row come out.

All dirt is met in one place, whatever the format: what can be mended by cutting is cut and counted, the rest is
skipped and counted, and the report shows the first places of each kind. Nothing is dropped without a count.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.benchmarks.choice_questions import notes
from eval.benchmarks.files import load_durations
from eval.benchmarks.formats import FORMATS
from eval.benchmarks.records import Converted, Record, Skipped, stem
from eval.benchmarks.videos import VideoFolder, is_inside, likeliest
from roles.errors import DataError
from roles.examples import to_line, write_examples, write_text
from roles.schema import faults, is_blank
from roles.types import Example, Span

SHOWN_PLACES = 10
MISSING = ("skip", "keep", "stop")


@dataclass(slots=True)
class Tally:
    """How often something happened, and where first."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str) -> None:
        """Counts one more."""
        self.count += 1
        if len(self.first) < SHOWN_PLACES:
            self.first.append(where)


@dataclass(slots=True)
class Report:
    """What became of a format's annotations.

    Attributes:
        read: Annotations.
        written: Examples.
        skipped: By reason; `read` is `written` and all of these.
        changed: Examples that were mended, by what was done, and those that are odd, by what is odd.
        missing_videos: Distinct videos that are not there.
    """

    read: int = 0
    written: int = 0
    skipped: dict[str, Tally] = field(default_factory=dict)
    changed: dict[str, Tally] = field(default_factory=dict)
    missing_videos: Tally = field(default_factory=Tally)

    def skip(self, reason: str, where: str) -> None:
        """Counts an annotation that gives no example."""
        self.skipped.setdefault(reason, Tally()).add(where)

    def change(self, what: str, where: str) -> None:
        """Counts something that was mended."""
        self.changed.setdefault(what, Tally()).add(where)


def convert(
    name: str,
    annotations: Sequence[Path],
    videos: Path,
    out: Path,
    durations: Path | None = None,
    missing: str = "skip",
) -> Report:
    """Converts a format's files and writes the examples, and the report beside them.

    Args:
        name: One of `FORMATS`.
        annotations: The format's files.
        videos: The folder under which its videos lie.
        out: The file of examples; its report has the suffix `.report.json`.
        durations: Lengths of videos; they win over those in the annotations.
        missing: What to do with examples whose video is not there, one of `MISSING`.

    Raises:
        DataError: A file cannot be read or written, nothing is left, or a video is missing and that shall stop it.
    """
    if missing != "keep" and not videos.is_dir():
        raise DataError(f"{videos}: no such folder of videos; check the path, or --missing keep to go on without them")
    if out.resolve() in {path.resolve() for path in annotations}:
        raise DataError(f"{out}: also one of the annotation files; name another --out")
    lengths = {} if durations is None else load_durations(durations)
    report = Report()
    records = FORMATS[name].convert(FORMATS[name].load(annotations))
    found = list(examples(records, VideoFolder(videos, out), lengths, missing, report))
    if missing == "stop" and report.missing_videos.count:
        first = ", ".join(report.missing_videos.first[:5])
        raise DataError(f"{videos}: {report.missing_videos.count:,} videos are missing, first {first}")
    if not found:
        raise DataError(_nothing(report, name))
    write_examples(out, found)
    about = {"version": 1, "format": name, "annotations": [str(path) for path in annotations], "videos": str(videos)}
    report_text = json.dumps(about | {"out": str(out)} | to_json(report), ensure_ascii=True, indent=2)
    write_text(out.with_suffix(".report.json"), [report_text])
    return report


def examples(
    records: Iterable[Converted], folder: VideoFolder, lengths: Mapping[str, float], missing: str, report: Report
) -> Iterator[Example]:
    """Turns records into examples that keep the schema, each once, and counts all else.

    Args:
        records: What a format's converter gave.
        folder: Where its videos lie.
        lengths: Of videos in seconds, by name without extension.
        missing: One of `MISSING`; with "stop", as with "skip", examples of missing videos are left out here.
        report: Is filled while the examples are taken.
    """
    seen: set[str] = set()
    absent: set[tuple[str, ...]] = set()
    for record in records:
        report.read += 1
        if isinstance(record, Skipped):
            report.skip(record.reason, record.where)
            continue
        made = _example(record, _length_s(record, lengths), report)
        if isinstance(made, Skipped):
            report.skip(made.reason, made.where)
            continue
        video = folder.find(record.names)
        if video is None:
            if record.names not in absent:
                absent.add(record.names)
                report.missing_videos.add(likeliest(record.names))
            if missing != "keep":
                report.skip("its video is missing", f"{record.where}: {likeliest(record.names)}")
                continue
            video = folder.guess(record.names)
        example = Example(video, made.question, made.options, made.answer, made.spans, made.tags)
        fault = next(faults(json.loads(to_line(example))), None)
        same = to_line(Example(video, made.question, made.options, made.answer, made.spans))
        if fault is not None:
            report.skip(f"its {fault[0].partition('[')[0]} broke the schema", f"{record.where}: {fault[1]}")
        elif same in seen:
            report.skip("the same example again", record.where)
        else:
            seen.add(same)
            report.written += 1
            for note in notes(record):
                report.change(note, record.where)
            yield example


def to_json(report: Report) -> dict[str, object]:
    """The report as JSON holds it."""

    def tallies(of: Mapping[str, Tally]) -> dict[str, object]:
        return {reason: {"count": tally.count, "first": tally.first} for reason, tally in of.items()}

    return {
        "read": report.read,
        "written": report.written,
        "skipped": tallies(report.skipped),
        "changed": tallies(report.changed),
        "missing_videos": {"count": report.missing_videos.count, "first": report.missing_videos.first},
    }


def _nothing(report: Report, name: str) -> str:
    """Why there is not one example."""
    if not report.read:
        return f"nothing to convert: no annotations in these files; expected {FORMATS[name].files}"
    reasons = sorted(report.skipped.items(), key=lambda item: -item[1].count)[:3]
    why = "; ".join(f"{tally.count:,} x {reason} (first: {tally.first[0]})" for reason, tally in reasons)
    return f"nothing was converted, all {report.read:,} annotations were skipped: {why}"


def _example(record: Record, length_s: float | None, report: Report) -> Example | Skipped:
    """The record with clean text and spans that lie in the video; its path is not yet known."""
    question = " ".join(record.question.split())
    if is_blank(question):
        return Skipped("its text is empty", record.where)
    if not all(is_inside(name) for name in record.names):
        return Skipped("its video's name leaves the folder of videos", f"{record.where}: {record.names[0]!r}")
    if length_s is not None and not 0 < length_s < math.inf:
        return Skipped("its video's length is not above 0", f"{record.where}: {length_s:g} s")
    spans: list[Span] = []
    changes: set[str] = set()
    for start_s, end_s in record.spans:
        shown = f"{record.where}: [{start_s:g}, {end_s:g}]"
        if not (math.isfinite(start_s) and math.isfinite(end_s)):
            return Skipped("a span is not finite", shown)
        if end_s <= start_s:
            return Skipped("a span ends before it starts, or where it starts", shown)
        if end_s <= 0 or (length_s is not None and start_s >= length_s):
            return Skipped("a span lies outside the video", shown)
        if start_s < 0:
            changes.add("a span that begins before the video was cut")
        if length_s is not None and end_s > length_s:
            changes.add("a span that ends after the video was cut")
        span = Span(max(0.0, start_s), end_s if length_s is None else min(end_s, length_s))
        if span in spans:
            changes.add("a span given twice was merged")
        else:
            spans.append(span)
    for change in sorted(changes):
        report.change(change, record.where)
    options = tuple(" ".join(option.split()) for option in record.options)
    answer = None if record.answer is None else " ".join(record.answer.split())
    return Example("", question, options, answer, tuple(spans), dict(record.tags))


def _length_s(record: Record, lengths: Mapping[str, float]) -> float | None:
    for name in record.names:
        for known in (stem(name), stem(name).rpartition("/")[2]):
            if known in lengths:
                return lengths[known]
    return record.duration_s
