"""A benchmark's folder goes in; its questions with their truth, and a report of every oddity, come out.

The converters of `eval.benchmarks` read the rows. Unlike for training, nothing is left out that can be asked: options
with the same text, questions that come twice, films that are not there and questions whose span makes no sense all
stay, and the report names them. Fields that tell the answer reach no question.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from eval.benchmarks.choice_questions import empty, unique
from eval.benchmarks.files import load_durations
from eval.benchmarks.formats import FORMATS
from eval.benchmarks.records import Converted, Entry, Record, Row
from eval.item import Item
from eval.suites.files import Found, find_files, length_tables, subtitle_folders, video_folders
from eval.suites.items import FILM, ItemReader
from eval.suites.report import DataReport, read_files
from eval.suites.table import SUITES, Suite
from roles.errors import DataError
from roles.examples import read_numbered


def read_suite(
    name: str, data: Path, split: str | None = None, videos: Path | None = None
) -> tuple[list[Item], DataReport]:
    """Reads a benchmark.

    Args:
        name: One of `eval.suites.table.SUITES`.
        data: The folder of its files, or one file.
        split: Which split; None takes the one that the field reports, or the next that is there.
        videos: The folder of its videos; None looks where its publishers put them, beneath `data`.

    Returns:
        (questions in the files' order, what became of every row). Films that are missing are named in the report;
        `DataReport.require_videos` refuses to go on where that is all of them.

    Raises:
        DataError: No such benchmark, folder or split, a file that cannot be read, or not one question.
    """
    if name not in SUITES:
        raise DataError(f"{name}: no such benchmark; expected one of {', '.join(SUITES)}")
    suite = SUITES[name]
    found = find_files(name, suite, data, split)
    folders = video_folders(suite, found, videos)
    report = DataReport(
        name,
        found.split,
        found.chosen,
        found.splits,
        read_files((found.name_of(path), path) for path in found.files),
        found.lacking,
        looked_in=tuple(folder.name if folder == videos else found.name_of(folder) for folder in folders),
    )
    lengths: dict[str, float] = {}
    for table in length_tables(suite, found):
        lengths = load_durations(table) | lengths
    reader = ItemReader(suite, report, folders, subtitle_folders(found, folders), lengths)
    records = _records(suite, found, videos, report)
    items = [item for record in records if (item := reader.read(record)) is not None]
    if suite.shares_ids:
        _note_shared(suite, found, items, report)
    report.count_items(items)
    report.require_questions()
    return items, report


def _records(suite: Suite, found: Found, videos: Path | None, report: DataReport) -> Iterator[Converted]:
    """The rows of all files, each with an id of its own."""
    if suite.format is None:
        records = _example_records(found.files[0], videos)
    else:
        form = FORMATS[suite.format]
        records = form.convert(_watched(form.load(found.files), suite, report))
    return unique(_with_ids(records))


def _watched(entries: Iterable[Entry], suite: Suite, report: DataReport) -> Iterator[Entry]:
    """The same rows; notes what they hold that no question may show."""
    for entry in entries:
        row = entry.value if isinstance(entry, Row) and isinstance(entry.value, dict) else {}
        for name, what in suite.withheld.items():
            if not empty(row.get(name)):
                report.withhold(f"{name}: {what}", entry.where)
        yield entry


def _example_records(path: Path, videos: Path | None) -> Iterator[Converted]:
    """Example JSONL as records; their films count from the file's folder, or from the one that was named."""
    folder = videos or path.parent
    for number, example in read_numbered(path):
        spans = tuple((span.start_s, span.end_s) for span in example.spans)
        film = folder / example.video
        tags = {tag: value for tag, value in example.tags.items() if tag not in ("answer_at", FILM)}
        tags |= {FILM: str(film.absolute())} if film.exists() else {}
        where = f"{path.name} line {number}"
        yield Record(where, (example.video,), example.question, spans, None, example.options, example.answer, tags)


def _with_ids(records: Iterable[Converted]) -> Iterator[Converted]:
    """Records of formats without ids are called by their film, and numbered."""
    asked: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Record) and "id" not in record.tags:
            asked[record.names[0]] += 1
            own = f"{record.names[0]}/{asked[record.names[0]]}"
            yield replace(record, tags={**record.tags, "id": own})
        else:
            yield record


def _note_shared(suite: Suite, found: Found, items: Sequence[Item], report: DataReport) -> None:
    """Notes questions whose id stands in another split as well."""
    if not found.others or suite.format is None:
        return
    form = FORMATS[suite.format]
    others = (record for record in form.convert(form.load(found.others)) if isinstance(record, Record))
    ids = set(itertools.chain.from_iterable((one.tags["id"], one.tags.get("repeated_id", "")) for one in others))
    for item in items:
        own = item.tags.get("repeated_id", item.key)
        if own in ids:
            report.note("its id stands in another split as well", own)
