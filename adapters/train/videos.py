"""Paths of videos go in, what is known of each comes out; files that cannot be read are named, not met later.

Every video is opened once, by worker processes, and what was found is kept beside the run, so that the next role and
the next start need not look again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters.frames import open_video
from roles.errors import DataError, MindreelError
from roles.types import Video

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Broken:
    """A video that cannot be used, and why."""

    path: str
    reason: str


def survey(paths: Sequence[str], kept: Path, workers: int, track: Track) -> tuple[dict[str, Video], list[Broken]]:
    """Opens every video once.

    Args:
        paths: Files or folders of frames; repeats are looked at once.
        kept: JSON lines of earlier surveys; read, and extended as videos are looked at.
        workers: Processes that open them; 0 opens them here.
        track: Shows progress.

    Returns:
        (path -> what is known of it, those that cannot be read).

    Raises:
        DataError: What was found cannot be kept, or a worker died over a video.
    """
    wanted = {path: _stamp(path) for path in dict.fromkeys(paths)}
    videos = {path: video for path, stamp, video in _read_kept(kept) if wanted.get(path) == stamp}
    missing = [path for path in wanted if path not in videos]
    broken: dict[str, str] = {}
    if missing:
        with appending(kept) as keep:
            for found in track(_open_all(missing, workers), "looking at videos", len(missing)):
                if "error" in found:
                    # Looked at again next time: the file may have been mended in place.
                    broken[found["path"]] = found["error"]
                    continue
                videos[found["path"]] = Video(**found["video"])
                keep(found)
    return {path: videos[path] for path in wanted if path in videos}, [
        Broken(path, broken[path]) for path in wanted if path in broken
    ]


def look(path: str) -> dict[str, Any]:
    """What is known of one video, as JSON."""
    stamp = _stamp(path)
    try:
        with open_video(path) as file:
            return {"path": path, "stamp": stamp, "video": asdict(file.video)}
    except MindreelError as error:
        return {"path": path, "stamp": stamp, "error": str(error)}


def _open_all(paths: Sequence[str], workers: int) -> Iterator[dict[str, Any]]:
    from torch.utils.data import DataLoader

    # torch's loader rather than a process pool: a crash of the decoder ends in an error, not in a hang.
    loader: Any = DataLoader(_Looks(paths), batch_size=None, num_workers=min(workers, len(paths)))  # type: ignore[arg-type]
    with dead_workers_named("looking at videos"):
        yield from loader


@contextmanager
def dead_workers_named(what: str) -> Iterator[None]:
    """Makes one line of the error that torch's loader raises where a worker was killed.

    Raises:
        DataError: One was.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        if not re.search(r"DataLoader worker .*(exited unexpectedly|is killed)", reason):
            raise
        raise DataError(
            f"{what}: a worker process died ({reason}); where memory suffices, a video crashes the decoder: with "
            "--workers 0 the program itself dies at it"
        ) from error


@contextmanager
def appending(kept: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yields what adds a line to a file; a line that was cut off before does not spoil the next one."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        torn = kept.is_file() and not kept.read_bytes().endswith(b"\n")
        with kept.open("a", encoding="ascii", newline="\n") as file:
            file.write("\n" if torn else "")

            def keep(found: Mapping[str, Any]) -> None:
                file.write(json.dumps(found) + "\n")
                file.flush()

            yield keep
    except OSError as error:
        raise DataError(f"{kept}: cannot be written ({error.strerror or error}); name another --out") from error


class _Looks:
    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return look(self._paths[number])


def _stamp(path: str) -> list[int]:
    """Size and time of the last change, which tell a replaced file."""
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):
        return []
    return [stat.st_size, stat.st_mtime_ns]


def _read_kept(kept: Path) -> Iterator[tuple[str, list[int], Video]]:
    try:
        lines = kept.read_bytes().split(b"\n")
    except OSError:
        return  # there is none yet; one that cannot be read cannot be written either, which says so
    for line in lines:
        try:
            found = json.loads(line)
            yield str(found["path"]), found["stamp"], Video(**found["video"])
        except (ValueError, KeyError, TypeError):
            continue  # cut off when a run was killed, or written by another version
