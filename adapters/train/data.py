"""A file of examples goes in, the items that a role can learn from come out, and an account of the others."""

from __future__ import annotations

import random
import stat
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
from roles.errors import DataError, QuestionError
from roles.examples import read_numbered, video_path
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
    numbered = read_numbered(path)
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
    subtitles: dict[Path, tuple[Line, ...]] = {}
    for line, example in numbered:
        video = videos.get(paths[line])
        if video is None:
            skipped["broken video"] += 1
            continue
        if not config.min_duration_s <= video.duration_s <= config.max_duration_s:
            skipped["video too short or too long"] += 1
            continue
        try:
            item = Item(example, video, f"{path.name}:{line}", _subtitles(example, path, subtitles))
            recipe.sample(item, prompts, random.Random(0))  # noqa: S311 - tried out, not used
        except Skip as reason:
            skipped[str(reason)] += 1
            continue
        except (ValueError, QuestionError) as error:
            raise DataError(f"{path}: line {line}: {error}") from error
        items.append(item)
    if not items:
        why = ", ".join(f"{count} x {reason}" for reason, count in skipped.most_common())
        raise DataError(f"{path}: nothing in it for the {recipe.role} to learn from ({why})")
    return Data(items, dict(skipped), broken, named)


def without_broken(data: Data, broken: Mapping[str, str], config: TrainConfig) -> Data:
    """The data without videos that turned out broken when they were decoded.

    Args:
        data: From `load_data`.
        broken: Video -> why.
        config: Says how many may be.

    Raises:
        DataError: Too many, or nothing is left.
    """
    if not broken:
        return data
    found = [*data.broken, *(Broken(path, reason) for path, reason in broken.items())]
    items = [item for item in data.items if item.video.path not in broken]
    if not items:
        raise DataError(f"{config.data}: none of the videos can be decoded; the last: {found[-1].reason}")
    if len(found) > config.max_broken * data.videos:
        raise DataError(
            f"{config.data}: {len(found)} of {data.videos} videos cannot be decoded, more than --max-broken "
            f"{config.max_broken:g} allows; the last: {found[-1].reason}"
        )
    lost = len(data.items) - len(items)
    skipped = {**data.skipped, "broken video": data.skipped.get("broken video", 0) + lost}
    return Data(items, skipped, found, data.videos)


def _subtitles(example: Example, data_file: Path, known: dict[Path, tuple[Line, ...]]) -> tuple[Line, ...]:
    """The lines of an example's subtitle file; many examples may share one.

    Raises:
        QuestionError: It cannot be read, or is none.
    """
    named = example.tags.get("subtitles")
    if named is None:
        return ()
    path = data_file.parent / named
    if path not in known:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise QuestionError(f"{path}: the subtitles are not a file (a pipe, a device or a folder); name a file")
            known[path] = tuple(read_subtitles(path.read_text(encoding="utf-8-sig"), str(path)))
        except UnicodeDecodeError as error:
            raise QuestionError(f"{path}: the subtitles are not UTF-8 text; convert them first") from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise QuestionError(f"{path}: the subtitles cannot be read ({reason}); check the path") from error
    return known[path]


def untracked(items: Iterable[Any], _what: str, _total: int) -> Iterable[Any]:
    """Shows no progress."""
    return items
