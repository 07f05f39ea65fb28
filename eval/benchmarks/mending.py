"""What an annotation file says, unchecked, goes in; clean spans and texts, and every fault by name, come out.

Converting and evaluating share these checks and differ in what they do about a fault: a converter leaves a row with a
bad span out, an evaluation asks its question all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.benchmarks.records import Record, Skipped, stem
from eval.benchmarks.videos import is_inside
from roles.schema import is_blank
from roles.types import Span


@dataclass(frozen=True, slots=True)
class Spans:
    """A record's spans after the checks.

    Attributes:
        kept: Those that can be used, in their order.
        changes: What was mended, or is odd and was left, each once.
        faults: (why, the span as it was) of those that cannot be used.
    """

    kept: tuple[Span, ...]
    changes: tuple[str, ...]
    faults: tuple[tuple[str, str], ...]


def mended_spans(spans: Sequence[tuple[float, float]], length_s: float | None, cut: bool = True) -> Spans:
    """Checks spans.

    Args:
        spans: (start, end) in seconds, as annotated.
        length_s: The video's; None where it is not known.
        cut: Whether to cut them to the video and to merge equal ones. Without, a span reaches as far as its file says
            and is only named: a benchmark's truth must not change with what we know of its videos.
    """
    kept: list[Span] = []
    changes: set[str] = set()
    faults: list[tuple[str, str]] = []
    for start_s, end_s in spans:
        shown = f"[{start_s:g}, {end_s:g}]"
        beyond = length_s is not None and start_s >= length_s
        if not (math.isfinite(start_s) and math.isfinite(end_s)):
            faults.append(("a span is not finite", shown))
        elif end_s <= start_s:
            faults.append(("a span ends before it starts, or where it starts", shown))
        elif end_s <= 0 or (cut and beyond):
            faults.append(("a span lies outside the video", shown))
        else:
            after = length_s is not None and end_s > length_s
            if start_s < 0:
                changes.add("a span that begins before the video was cut")
            if after and cut:
                changes.add("a span that ends after the video was cut")
            elif after:
                changes.add(f"a span {'lies outside' if beyond else 'ends after'} the video: as the file has it")
            span = Span(max(0.0, start_s), min(end_s, length_s) if cut and length_s is not None else end_s)
            if span in kept:
                changes.add("a span given twice was merged" if cut else "a span given twice: as the file has it")
            if not (cut and span in kept):
                kept.append(span)
    return Spans(tuple(kept), tuple(sorted(changes)), tuple(faults))


def unusable(record: Record, length_s: float | None) -> Skipped | None:
    """Why a record cannot be used at all, whatever its spans are; None where it can."""
    if is_blank(record.question):
        return Skipped("its text is empty", record.where)
    if not all(is_inside(name) for name in record.names):
        return Skipped("its video's name leaves the folder of videos", f"{record.where}: {record.names[0]!r}")
    if length_s is not None and not 0 < length_s < math.inf:
        return Skipped("its video's length is not above 0", f"{record.where}: {length_s:g} s")
    return None


def length_of(record: Record, lengths: Mapping[str, float]) -> float | None:
    """The length of a record's video in seconds: from a table by name without extension, else its own."""
    for name in record.names:
        for known in (stem(name), stem(name).rpartition("/")[2]):
            if known in lengths:
                return lengths[known]
    return record.duration_s
