"""Arithmetic on spans: overlap, suppression, widening, and from normalised rows to seconds.

Normalised time becomes seconds in `rows_to_seconds` and nowhere else. The rules are those that the released VideoMind
adapters were trained and evaluated with; single precision is imitated where they round in it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from roles.types import Span

Row = tuple[float, float, float]
"""(start, end, confidence)"""


def f32(value: float) -> float:
    """The nearest single-precision number."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def iou(a: Span, b: Span) -> float:
    """Intersection over union, 0 to 1; 0 for two spans without length."""
    overlap_s = max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))
    union_s = a.length_s + b.length_s - overlap_s
    return overlap_s / union_s if union_s > 0 else 0.0


def widen(start_s: float, end_s: float, duration_s: float, min_length_s: float | None = None) -> Span:
    """Brings a span into the video and to a least length.

    Ends are ordered and clamped first. A span that is too short grows evenly about its middle, and is moved back
    inside where that leaves the video; a video shorter than the length is taken whole.

    Args:
        start_s: One end, may lie outside the video.
        end_s: The other.
        duration_s: Length of the video.
        min_length_s: Least length, or None.
    """
    start_s, end_s = min(start_s, end_s), max(start_s, end_s)
    start_s, end_s = max(0.0, min(duration_s, start_s)), max(0.0, min(duration_s, end_s))
    if min_length_s is not None and end_s - start_s < min_length_s:
        half_s = min_length_s / 2
        middle_s = max(min((start_s + end_s) / 2, duration_s - half_s), half_s)
        start_s, end_s = max(0.0, middle_s - half_s), min(duration_s, middle_s + half_s)
    return Span(start_s, end_s)


def rows_to_seconds(rows_norm: Sequence[Row], duration_s: float, unit_s: float) -> list[Row]:
    """Turns normalised rows into seconds: scale, clamp, round to the unit, order the ends.

    Args:
        rows_norm: (start, end, confidence); ends as fractions of the clip, not clamped.
        duration_s: Length of the clip.
        unit_s: Seconds are rounded to a multiple of this.

    Returns:
        (start, end, confidence) in seconds, each row ordered by itself.
    """
    limit_s, unit = f32(duration_s), f32(unit_s)

    def seconds(norm: float) -> float:
        clamped_s = min(max(f32(f32(norm) * limit_s), 0.0), limit_s)
        return f32(round(f32(clamped_s / unit)) * unit)

    rows = []
    for start, end, confidence in rows_norm:
        start_s, end_s = seconds(start), seconds(end)
        rows.append((min(start_s, end_s), max(start_s, end_s), confidence))
    return rows


def window_around(
    candidate: Span, duration_s: float, min_length_s: float = 2.0, window_s: float = 0.0
) -> tuple[Span, Span]:
    """The verifier's view of a candidate: (the candidate widened to a least length, the window around it).

    The window reaches half the widened candidate's length further on both sides, as far as the video goes, and is at
    least `window_s` long where the video is.
    """
    marked = widen(candidate.start_s, candidate.end_s, duration_s, min_length_s)
    margin_s = marked.length_s / 2
    return marked, widen(marked.start_s - margin_s, marked.end_s + margin_s, duration_s, window_s)


def evenly_spread(duration_s: float, count: int = 5) -> list[Span]:
    """Overlapping windows that cover a video, for when nothing was found: [i, i+2] * duration / (count+1)."""
    parts = count + 1
    return [Span(i * duration_s / parts, min((i + 2) * duration_s / parts, duration_s)) for i in range(count)]
