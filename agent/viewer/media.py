"""The path of a video in a trace goes in; the file comes out if it may be shown, or why it may not.

A trace is not trusted: whatever path it names, only a video inside a folder that was named on the command line, or a
video named there itself, is opened, and never through a link that leads outside.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from roles.errors import InputError

TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".ogv": "video/ogg",
    ".avi": "video/x-msvideo",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".ts": "video/mp2t",
    ".flv": "video/x-flv",
    ".wmv": "video/x-ms-wmv",
    ".3gp": "video/3gpp",
    ".gif": "image/gif",
}
"""Files that count as videos, by the end of their name; nothing else is ever sent."""

SUBTITLES = (".srt", ".vtt")
MAX_SUBTITLE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Media:
    """What was found of a video.

    Attributes:
        path: The file or the folder of frames, where it really is; None where it may not be shown.
        type: Its media type; None for a folder of frames.
        problem: Why there is no player.
    """

    path: Path | None
    type: str | None
    problem: str | None

    @property
    def playable(self) -> bool:
        """Whether a browser can be given it."""
        return self.path is not None and self.problem is None


class Places:
    """Where videos may lie."""

    def __init__(self, roots: Sequence[Path], videos: Sequence[str | Path] = ()) -> None:
        """Takes the folders.

        Args:
            roots: Folders of traces, where they really are.
            videos: Further folders, or single files, as named on the command line.

        Raises:
            InputError: One of `videos` is not there.
        """
        self.roots = list(roots)
        self.single: list[Path] = []
        for one in videos:
            try:
                real = Path(one).resolve(strict=True)
            except (OSError, ValueError, RuntimeError) as error:
                raise InputError(f"--videos {one}: no such file or folder; check the path") from error
            (self.roots if real.is_dir() else self.single).append(real)

    def video(self, named: str, beside: Path) -> Media:
        """Looks for a video.

        Args:
            named: Its path, as in the trace.
            beside: The folder that the trace lies in.
        """
        shown = PurePath(named).name or named
        found, outside = self._find(named, beside)
        if found is None and outside is not None:
            where = outside.parent if outside.parent != Path("/") else outside
            return Media(None, None, f"{shown} lies outside what may be shown; start with --videos {where}")
        if found is None:
            return Media(None, None, f"{shown}: not found; where it has moved, start with --videos DIR")
        if found.is_dir():
            return Media(found, None, "a folder of frames: there is no player for it")
        kind = TYPES.get(found.suffix.lower())
        if kind is None:
            return Media(None, None, f"{shown}: not a kind of file that is shown; expected one of {', '.join(TYPES)}")
        if kind == "image/gif":
            return Media(found, kind, "a GIF: browsers have no player for it")
        return Media(found, kind, None)

    def subtitles(self, named: str, beside: Path) -> Path | None:
        """Looks for a file of subtitles; None where there is none that may be shown."""
        found, _ = self._find(named, beside)
        if found is None or found.suffix.lower() not in SUBTITLES or not found.is_file():
            return None
        return found if found.stat().st_size <= MAX_SUBTITLE_BYTES else None

    def _find(self, named: str, beside: Path) -> tuple[Path | None, Path | None]:
        """The file if it may be shown; else where one of that name is that may not."""
        if not named or "\0" in named or "://" in named:
            return None, None
        plain = PurePath(named)
        parts = [part for part in plain.parts if part not in ("/", "..", ".")]
        # As named; else, for data that has moved, the longest end of the path that a folder holds.
        tries = [Path(named)] if plain.is_absolute() else [Path.cwd() / named, beside / named]
        tries += [root.joinpath(*parts[at:]) for at in range(len(parts)) for root in self.roots]
        tries += [path for path in self.single if path.name == plain.name]
        outside: Path | None = None
        for one in tries:
            try:
                real = one.resolve(strict=True)
                mode = real.stat().st_mode
            except (OSError, ValueError, RuntimeError):
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                continue
            if real in self.single or any(real.is_relative_to(root) for root in self.roots):
                return real, None
            outside = outside or real
        return None, outside
