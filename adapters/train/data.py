"""A file of examples goes in, the items that a role can learn from come out, and an account of the others."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.train.config import TrainConfig
from adapters.train.progress import say, track
from adapters.train.recipe import Item, Recipe, Skip
from adapters.train.videos import Broken, survey
from prompts import PromptBook
from roles.errors import DataError
from roles.examples import parse_lines, read_lines, video_path
from roles.subtitles import Line, read_subtitles
from roles.types import Example

WORK_FOLDER = ".train"
"""Where runs keep what they need to go on, inside the adapters folder."""
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Data:
    """What a file of examples gave.

    Attributes:
        items: Examples whose videos can be read and that teach the role something.
        skipped: Reason -> how many examples were left out for it.
        broken: Videos that cannot be read.
        videos: How many different videos the file names.
    """

    items: list[Item]
    skipped: Mapping[str, int]
    broken: list[Broken]
    videos: int


def load_data(path: Path, config: TrainConfig, recipe: Recipe, prompts: PromptBook, main: bool) -> Data:
    """Reads examples, looks at their videos, and sorts out what this role cannot learn from.

    Raises:
        DataError: The file is wrong, too many videos are broken, or nothing is left.
    """
    numbered, problems = parse_lines(read_lines(path))
    if problems:
        more = f"; and {len(problems) - SHOWN:,} more" if len(problems) > SHOWN else ""
        raise DataError(f"{path}: {'; '.join(map(str, problems[:SHOWN]))}{more}")
    paths = {line: str(video_path(example, path)) for line, example in numbered}
    kept = config.out / WORK_FOLDER / "videos.jsonl"
    videos, broken = survey(list(paths.values()), kept, config.workers, track if main else untracked)
    named = len(set(paths.values()))
    for one in broken[:SHOWN] if main else ():
        say(f"broken video: {one.reason}")
    if len(broken) > config.max_broken * named:
        raise DataError(
            f"{path}: {len(broken)} of {named} videos cannot be read, more than --max-broken {config.max_broken:g} "
            f"allows; the first: {broken[0].reason}"
        )
    skipped: Counter[str] = Counter()
    items: list[Item] = []
    for line, example in numbered:
        video = videos.get(paths[line])
        if video is None:
            skipped["broken video"] += 1
            continue
        if not config.min_duration_s <= video.duration_s <= config.max_duration_s:
            skipped["video too short or too long"] += 1
            continue
        source = f"{path.name}:{line}"
        item = Item(example, video, source, _subtitles(example, path))
        try:
            recipe.sample(item, prompts, random.Random(0))  # noqa: S311 - tried out, not used
        except Skip as reason:
            skipped[str(reason)] += 1
            continue
        except ValueError as error:
            raise DataError(f"{path}: line {line}: {error}") from error
        items.append(item)
    if not items:
        why = ", ".join(f"{count} x {reason}" for reason, count in skipped.most_common())
        raise DataError(f"{path}: nothing in it for the {recipe.role} to learn from ({why})")
    return Data(items, dict(skipped), broken, named)


def _subtitles(example: Example, data_file: Path) -> tuple[Line, ...]:
    named = example.tags.get("subtitles")
    if named is None:
        return ()
    path = data_file.parent / named
    try:
        return tuple(read_subtitles(path.read_text(encoding="utf-8-sig"), str(path)))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: subtitles cannot be read ({error})") from error


def untracked(items: Iterable[Any], _what: str, _total: int) -> Iterable[Any]:
    """Shows no progress."""
    return items
