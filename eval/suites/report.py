"""Every row of a benchmark, and what became of it, goes in; the data report of a run comes out, as JSON and as a table.

Nothing is dropped silently: what was skipped, changed or is odd stands in it with a count and the first places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.benchmarks.report import Tallies, Tally, count, main_reasons, tallies_json, tally_rows
from eval.item import Item
from roles.errors import DataError

VERSION = 1


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that was read: its name from the data's folder, its size in bytes, the start of its SHA-256."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(slots=True)
class DataReport:
    """What a benchmark's files gave.

    Attributes:
        benchmark: Its name.
        split: The split that was read.
        chosen: Whether somebody named it.
        splits: Those that are there.
        files: What was read.
        lacking: Files that would help and are not there.
        read: Rows.
        counts: What there is to ask, by name.
        skipped: Rows that give no question, by reason.
        changed: Questions that were mended, by what was done.
        noted: Questions that are odd and were left as they are, by what is odd.
        withheld: Rows with a field that no question may show, by field and what it is.
        missing_videos: Distinct videos that are not there; their questions count as wrong.
        looked_in: Folders in which videos were looked for, from the data's folder.
    """

    benchmark: str
    split: str
    chosen: bool = False
    splits: tuple[str, ...] = ()
    files: tuple[ReadFile, ...] = ()
    lacking: tuple[str, ...] = ()
    read: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    skipped: Tallies = field(default_factory=dict)
    changed: Tallies = field(default_factory=dict)
    noted: Tallies = field(default_factory=dict)
    withheld: Tallies = field(default_factory=dict)
    missing_videos: Tally = field(default_factory=Tally)
    looked_in: tuple[str, ...] = ()

    def skip(self, reason: str, where: str) -> None:
        """Counts a row that gives no question."""
        count(self.skipped, reason, where)

    def change(self, what: str, where: str) -> None:
        """Counts a question that was mended."""
        count(self.changed, what, where)

    def note(self, what: str, where: str) -> None:
        """Counts a question that is odd."""
        count(self.noted, what, where)

    def withhold(self, what: str, where: str) -> None:
        """Counts a row with a field that no question may show."""
        count(self.withheld, what, where)

    def count_items(self, items: Sequence[Item]) -> None:
        """Takes down what there is to ask."""
        self.counts = {
            "items": len(items),
            "videos": len({item.video for item in items}),
            "sets": len({item.set for item in items}),
            "with_options": sum(bool(item.options) for item in items),
            "with_answer": sum(item.answer_at is not None for item in items),
            "with_spans": sum(bool(item.spans) for item in items),
            "with_subtitles": sum(item.subtitles is not None for item in items),
            "missing_video": sum(item.missing for item in items),
        }

    def to_json(self) -> dict[str, Any]:
        """As `data.json` holds it."""
        return {
            "version": VERSION,
            "benchmark": self.benchmark,
            "split": self.split,
            "split_chosen_by": "the user" if self.chosen else "default",
            "splits": list(self.splits),
            "files": [{"name": one.name, "bytes": one.size_bytes, "sha256": one.sha256} for one in self.files],
            "files_not_there": list(self.lacking),
            "read": self.read,
            **self.counts,
            "skipped": tallies_json(self.skipped),
            "changed": tallies_json(self.changed),
            "noted": tallies_json(self.noted),
            "withheld": tallies_json(self.withheld),
            "missing_videos": self.missing_videos.to_json(),
            "looked_for_videos_in": list(self.looked_in),
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Rows of a table for a terminal: (what, how many, first place)."""
        others = ", ".join(one for one in self.splits if one != self.split)
        about = "" if self.chosen or not others else f"by default; there are {others} as well"
        rows = [
            ("split", self.split, about),
            ("rows read", f"{self.read:,}", ", ".join(one.name for one in self.files)),
        ]
        shown = [(name, number) for name, number in self.counts.items() if number or name in ("items", "videos")]
        rows += [(name.replace("_", " "), f"{number:,}", "") for name, number in shown]
        rows += tally_rows("skipped", self.skipped) + tally_rows("changed", self.changed)
        rows += tally_rows("noted", self.noted) + tally_rows("withheld", self.withheld)
        if self.missing_videos.count:
            rows += tally_rows("missing", {"videos": self.missing_videos})
        return rows + ([("not there", f"{len(self.lacking)}", ", ".join(self.lacking))] if self.lacking else [])

    def require_questions(self) -> None:
        """Refuses a benchmark without any question.

        Raises:
            DataError: There is none; the message says why.
        """
        if self.counts.get("items"):
            return
        why = f"all {self.read:,} rows were skipped: {main_reasons(self.skipped)}" if self.read else "no rows at all"
        raise DataError(f"{self.benchmark}: nothing to ask in {', '.join(one.name for one in self.files)}: {why}")

    def require_videos(self) -> None:
        """Refuses a benchmark of which not one video is there: a wrong folder, not a score of 0.

        Raises:
            DataError: All are missing; the message says where they were looked for.
        """
        if 0 < self.counts.get("missing_video", 0) == self.counts.get("items"):
            first = ", ".join(self.missing_videos.first[:3])
            raise DataError(
                f"{self.benchmark}: none of its {self.missing_videos.count:,} videos ({first} ...) is there; looked in "
                f"{', '.join(self.looked_in) or 'no folder'}; name their folder with --videos"
            )


def read_files(named: Iterable[tuple[str, Path]]) -> tuple[ReadFile, ...]:
    """Sizes and digests of files by the names that reports use.

    Raises:
        DataError: One cannot be read.
    """
    made = []
    for name, path in named:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
                made.append(ReadFile(name, file.tell(), digest))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return tuple(made)
