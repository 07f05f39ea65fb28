"""Annotation files of a public format go in, Example JSONL and a report of what became of every row come out.

All dirt is met in one place, whatever the format: what can be mended by cutting is cut and counted, the rest is
skipped and counted, and the report shows the first places of each kind. Nothing is dropped without a count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from eval.benchmarks.choice_questions import notes
from eval.benchmarks.files import load_durations
from eval.benchmarks.formats import FORMATS
from eval.benchmarks.mending import length_of, mended_spans, unusable
from eval.benchmarks.records import Converted, Record, Skipped
from eval.benchmarks.report import Report, main_reasons
from eval.benchmarks.videos import VideoFolder, likeliest
from roles.errors import DataError
from roles.examples import to_line, write_examples, write_text
from roles.schema import faults
from roles.types import Example

MISSING = ("skip", "keep", "stop")


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
    report_text = json.dumps(about | {"out": str(out)} | report.to_json(), ensure_ascii=True, indent=2)
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
        made = _example(record, length_of(record, lengths), report)
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


def _nothing(report: Report, name: str) -> str:
    """Why there is not one example."""
    if not report.read:
        return f"nothing to convert: no annotations in these files; expected {FORMATS[name].files}"
    why = main_reasons(report.skipped)
    return f"nothing was converted, all {report.read:,} annotations were skipped: {why}"


def _example(record: Record, length_s: float | None, report: Report) -> Example | Skipped:
    """The record with clean text and spans that lie in the video; its path is not yet known."""
    if "hidden_spans" in record.tags:
        return Skipped("the file does not give its spans", record.where)
    if (fault := unusable(record, length_s)) is not None:
        return fault
    spans = mended_spans(record.spans, length_s)
    if spans.faults:
        reason, shown = spans.faults[0]
        return Skipped(reason, f"{record.where}: {shown}")
    for change in spans.changes:
        report.change(change, record.where)
    question, *options = (" ".join(text.split()) for text in (record.question, *record.options))
    answer = None if record.answer is None else " ".join(record.answer.split())
    return Example("", question, tuple(options), answer, spans.kept, dict(record.tags))
