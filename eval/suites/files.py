"""A benchmark's folder goes in; its annotation files of one split, and the folders of its videos, come out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.suites.table import FOLDERS, SUBTITLES, VIDEOS, Files, Suite
from roles.errors import DataError


@dataclass(frozen=True, slots=True)
class Found:
    """Where a benchmark lies.

    Attributes:
        root: The data's folder.
        split: The split that is read.
        chosen: Whether somebody named it; else it is the first one that is there.
        splits: All splits that are there.
        files: The split's files.
        lacking: Files that would help and are not there, by name.
        others: Files of the other splits.
    """

    root: Path
    split: str
    chosen: bool
    splits: tuple[str, ...]
    files: tuple[Path, ...]
    lacking: tuple[str, ...]
    others: tuple[Path, ...]

    def name_of(self, path: Path) -> str:
        """A file's name for a report: from the data's folder, and never the path of this machine."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name


def find_files(name: str, suite: Suite, data: Path, split: str | None) -> Found:
    """Finds a benchmark's files.

    Args:
        name: Of the benchmark, for messages.
        suite: The benchmark.
        data: Its folder, or one file, which then is read as the split.
        split: Which split; None takes the first that is there.

    Raises:
        DataError: There is no such folder or split, or its files are not there.
    """
    if split is not None and split not in suite.splits:
        raise DataError(f"{name}: no split {split!r}; expected one of {', '.join(suite.splits)}")
    if data.is_file():
        return _one_file(suite, data, split)
    if not data.is_dir():
        raise DataError(f"{data}: no such file or folder; name the folder that holds {name}'s files")
    there = {one: _files(suite, data, files) for one, files in suite.splits.items()}
    complete = {one: files for one, files in there.items() if files is not None}
    taken = split or next(iter(complete), None)
    if taken is None or taken not in complete:
        raise DataError(_not_there(name, suite, data, split, complete))
    files = complete[taken]
    if suite.format is None and len(files) > 1:
        listed = ", ".join(path.name for path in files[:5])
        raise DataError(f"{data}: {len(files)} files of examples ({listed}); name one of them as --data")
    names = {path.name for path in files}
    return Found(
        data,
        taken,
        split is not None,
        tuple(complete),
        tuple(files),
        tuple(wanted for wanted in suite.splits[taken].wanted if wanted not in names),
        tuple(path for one, paths in complete.items() if one != taken for path in paths if path not in files),
    )


def length_tables(suite: Suite, found: Found) -> list[Path]:
    """The tables of lengths that are there."""
    names = (one.format(split=found.split) for one in suite.lengths)
    return [path for one in names for path in _matching(suite, found.root, one)[:1]]


def video_folders(suite: Suite, found: Found, named: Path | None) -> list[Path]:
    """Folders in which videos may lie, the likeliest first.

    Raises:
        DataError: The one that was named is not there.
    """
    if named is not None and not named.is_dir():
        raise DataError(f"{named}: no such folder of videos; check --videos")
    roots = [found.root, *(path.parent for path in found.files)]
    if found.root.name in {Path(one).name for one in (*FOLDERS, *suite.folders)}:  # DIR/annotations beside DIR/videos
        roots.append(found.root.parent)
    beneath = (root / one for root in roots for one in (*suite.videos, *VIDEOS))
    return _existing([named] if named is not None else beneath)


def subtitle_folders(found: Found, videos: Sequence[Path]) -> list[Path]:
    """Folders in which subtitles may lie, the likeliest first."""
    roots = [*(path.parent for path in found.files), found.root, *videos, *(folder.parent for folder in videos)]
    return _existing(root / one for root in roots for one in SUBTITLES)


def _existing(folders: Iterable[Path]) -> list[Path]:
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _files(suite: Suite, data: Path, files: Files) -> list[Path] | None:
    """A split's files; None where a needed one, or all of them, are not there."""
    found: list[Path] = []
    for pattern in (*files.needed, *files.wanted):
        paths = _matching(suite, data, pattern)
        if not paths and pattern in files.needed:
            return None
        found += paths
    return list(dict.fromkeys(found)) or None


def _matching(suite: Suite, data: Path, pattern: str) -> list[Path]:
    """The files of a name or pattern in the first folder that has any."""
    for folder in dict.fromkeys((*FOLDERS, *suite.folders)):
        found = sorted(path for path in (data / folder).glob(pattern) if path.is_file())
        # What somebody keeps beside a file, such as x.json.bak, is not another part of it.
        paths = [path for path in found if not pattern.endswith("*") or path.suffix in (".json", ".jsonl")]
        if paths:
            return paths
    return []


def _one_file(suite: Suite, data: Path, split: str | None) -> Found:
    """A file by itself; those of its kind that lie beside it, such as spans or keys, belong to it."""
    own = next((one for one, files in suite.splits.items() if any(data.match(need) for need in files.needed)), None)
    taken = split or own or next(iter(suite.splits))
    beside = [] if suite.format is None else _files(suite, data.parent, suite.splits[taken]) or []
    files = list(dict.fromkeys([data, *(path for path in beside if path.resolve() != data.resolve())]))
    names = {path.name for path in files}
    lacking = tuple(one for one in suite.splits[taken].wanted if one not in names)
    return Found(data.parent, taken, split is not None, (taken,), tuple(files), lacking, ())


def _not_there(name: str, suite: Suite, data: Path, split: str | None, complete: Iterable[str]) -> str:
    asked = [split] if split is not None else list(suite.splits)
    wanted = " or ".join(
        " with ".join(suite.splits[one].needed) or f"one of {', '.join(suite.splits[one].wanted[:3])} ..."
        for one in asked
    )
    folders = ", ".join(one for one in dict.fromkeys((*FOLDERS, *suite.folders)) if one != ".")
    there = f"; splits that are there: {', '.join(complete)}" if list(complete) else ""
    return f"{data}: no files of {name}: looked for {wanted} in it and in its folders {folders}{there}"
