"""What becomes of every row of an annotation file goes in, counts with the first places of each kind come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SHOWN_PLACES = 10


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

    def to_json(self) -> dict[str, object]:
        """As an object."""
        return {"count": self.count, "first": self.first}


Tallies = dict[str, Tally]


def count(tallies: Tallies, reason: str, where: str) -> None:
    """Counts one more of a kind."""
    tallies.setdefault(reason, Tally()).add(where)


def tallies_json(tallies: Mapping[str, Tally]) -> dict[str, object]:
    """Tallies by reason as JSON holds them."""
    return {reason: tally.to_json() for reason, tally in tallies.items()}


def tally_rows(kind: str, tallies: Mapping[str, Tally]) -> list[tuple[str, str, str]]:
    """Rows of a table for a terminal, the most frequent kind first: (what, how often, where first)."""
    return [
        (f"{kind}: {reason}", f"{tally.count:,}", f"first: {tally.first[0]}")
        for reason, tally in sorted(tallies.items(), key=lambda item: -item[1].count)
    ]


def main_reasons(tallies: Mapping[str, Tally]) -> str:
    """The three most frequent kinds in one line."""
    reasons = sorted(tallies.items(), key=lambda item: -item[1].count)[:3]
    return "; ".join(f"{tally.count:,} x {reason} (first: {tally.first[0]})" for reason, tally in reasons)


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
    skipped: Tallies = field(default_factory=dict)
    changed: Tallies = field(default_factory=dict)
    missing_videos: Tally = field(default_factory=Tally)

    def skip(self, reason: str, where: str) -> None:
        """Counts an annotation that gives no example."""
        count(self.skipped, reason, where)

    def change(self, what: str, where: str) -> None:
        """Counts something that was mended."""
        count(self.changed, what, where)

    def to_json(self) -> dict[str, object]:
        """As JSON holds it."""
        return {
            "read": self.read,
            "written": self.written,
            "skipped": tallies_json(self.skipped),
            "changed": tallies_json(self.changed),
            "missing_videos": self.missing_videos.to_json(),
        }
