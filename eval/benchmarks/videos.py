"""Names that annotations give to videos go in, paths of files beneath a folder come out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from eval.benchmarks.records import VIDEO_SUFFIXES, stem


class VideoFolder:
    """Finds videos, and says how an example's file names them.

    Folders are listed once each. A relative folder gives paths relative to the example's file, so that both can be
    moved together; an absolute one gives absolute paths.
    """

    def __init__(self, folder: Path, out: Path, frames: bool = False) -> None:
        """Takes the videos' folder and the file that will name them.

        Args:
            folder: Where the videos lie.
            out: The file that will name them.
            frames: Whether a folder of pictures is a video as well.
        """
        self._folder = folder
        self._frames = frames
        self._absolute = folder.is_absolute()
        self._from = out.parent.resolve()
        self._listings: dict[Path, dict[str, str]] = {}
        self._found: dict[tuple[str, ...], str | None] = {}

    def find(self, names: Sequence[str]) -> str | None:
        """The path of the first file that exists, as an example's `video`.

        Args:
            names: Likeliest first; each is tried as it is and with the usual extensions.

        Returns:
            The path; None where there is no such file.
        """
        key = tuple(names)
        if key not in self._found:
            tried = (self._lookup(PurePosixPath(name)) for name in key if is_inside(name))
            found = next((path for path in tried if path is not None), None)
            self._found[key] = None if found is None else self._written(found)
        return self._found[key]

    def guess(self, names: Sequence[str]) -> str:
        """Where a video that is missing would most likely lie, as an example's `video`."""
        return self._written(self._folder / likeliest(names))

    def _lookup(self, name: PurePosixPath) -> Path | None:
        listing = self._listing(self._folder / name.parent)
        bare = stem(name.name)
        for candidate in (
            name.name,
            *(bare + suffix for suffix in VIDEO_SUFFIXES),
            *(name.name + s for s in VIDEO_SUFFIXES),
        ):
            if stem(candidate) != candidate and _folded(candidate) in listing:
                return self._folder / name.parent / listing[_folded(candidate)]
        return self._folder / name if self._frames and holds_pictures(self._folder / name) else None

    def _listing(self, folder: Path) -> dict[str, str]:
        if folder not in self._listings:
            try:
                with os.scandir(folder) as entries:
                    self._listings[folder] = {_folded(entry.name): entry.name for entry in entries if entry.is_file()}
            except (OSError, ValueError):
                self._listings[folder] = {}
        return self._listings[folder]

    def _written(self, path: Path) -> str:
        path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links that a user made on purpose
        return str(path) if self._absolute else Path(os.path.relpath(path, self._from)).as_posix()


def holds_pictures(folder: Path) -> bool:
    """Whether this is a folder with at least one picture right in it."""
    from adapters.folder import PICTURES  # imports numpy and PIL

    try:
        with os.scandir(folder) as entries:
            return any(PurePosixPath(entry.name).suffix.lower() in PICTURES for entry in entries)
    except (OSError, ValueError):
        return False


def likeliest(names: Sequence[str]) -> str:
    """The file name to show for a video that is missing."""
    return names[0] if stem(names[0]) != names[0] else names[0] + VIDEO_SUFFIXES[0]


def is_inside(name: str) -> bool:
    """Whether a name from an annotation file stays within the videos' folder."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\0" not in name and "\\" not in name


def _folded(name: str) -> str:
    """A file's name with its extension in small letters."""
    bare = stem(name)
    return bare + name[len(bare) :].lower()
