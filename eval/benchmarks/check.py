"""A file of examples goes in; how much of what it holds, and everything wrong with it, come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from roles.examples import Problem, parse_lines, read_lines, video_path
from roles.types import Example

POSITIVE_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked file.

    Attributes:
        counts: What it holds, by name, as text to show.
        problems: Everything that is wrong, by line.
    """

    counts: dict[str, str]
    problems: tuple[Problem, ...]


def check_file(path: Path, videos: bool = False) -> Checked:
    """Reads and counts a file of examples.

    Args:
        path: The file.
        videos: Whether to look for the videos as well.

    Raises:
        DataError: The file cannot be read at all.
    """
    numbered, problems = parse_lines(read_lines(path))
    if videos:
        problems += list(_missing(numbered, path))
    if not numbered and not problems:
        problems = [Problem(1, "", "no examples; expected one JSON object per line")]
    counts = dict(_counts([example for _, example in numbered]))
    return Checked(counts, tuple(sorted(problems, key=lambda problem: problem.line)))


def _missing(numbered: Sequence[tuple[int, Example]], path: Path) -> Iterator[Problem]:
    there: dict[str, bool] = {}
    for number, example in numbered:
        if example.video not in there:
            there[example.video] = _exists(video_path(example, path))
        if not there[example.video]:
            yield Problem(number, "video", f"no such file: {video_path(example, path)}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name longer than file systems allow, a folder that may not be looked into
        return False


def _counts(examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
    yield "examples", f"{len(examples):,}"
    yield "videos", f"{len({example.video for example in examples}):,}"
    lengths_s = [span.length_s for example in examples for span in example.spans]
    yield "with spans", f"{sum(bool(example.spans) for example in examples):,}"
    if lengths_s:
        yield "spans", f"{len(lengths_s):,}"
        yield "span length", f"{min(lengths_s):.4g} to {max(lengths_s):.4g} s, median {median(lengths_s):.4g} s"
    yield "with options", f"{sum(bool(example.options) for example in examples):,}"
    yield "with an answer", f"{sum(example.answer is not None for example in examples):,}"
    for tag in ("route", "source"):
        values = Counter(example.tags[tag] for example in examples if tag in example.tags)
        if values:
            yield f"{tag}s", ", ".join(f"{value} {count:,}" for value, count in values.most_common())
    ious = [float(example.tags["candidate_iou"]) for example in examples if "candidate_iou" in example.tags]
    if ious:
        groups = len({example.tags["group"] for example in examples if "group" in example.tags})
        positive = sum(iou >= POSITIVE_IOU for iou in ious)
        yield "candidates", f"{len(ious):,} of {groups:,} groups, {positive:,} positive (IoU >= {POSITIVE_IOU})"
