"""Paths of videos go in, what is known of each comes out; files that cannot be read are named, not met later.

Every video is opened once, by worker processes, and what was found is kept beside the run, so that the next role and
the next start need not look again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters.frames import open_video
from roles.errors import MindreelError
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
    """
    known = dict(_read_kept(kept))
    wanted = {path: _stamp(path) for path in dict.fromkeys(paths)}
    missing = [path for path, stamp in wanted.items() if known.get(path, {}).get("stamp") != stamp]
    if missing:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with kept.open("a", encoding="utf-8") as file:
            for found in track(_open_all(missing, workers), "looking at videos", len(missing)):
                known[found["path"]] = found
                if not found.get("error"):
                    # Broken files are looked at again next time: they may have been mended in place.
                    file.write(json.dumps(found, ensure_ascii=False) + "\n")
                    file.flush()
    videos = {path: Video(**known[path]["video"]) for path in wanted if known[path].get("video")}
    return videos, [Broken(path, known[path]["error"]) for path in wanted if path not in videos]


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

    # torch's loader rather than a process pool: it survives a crash of the decoder with an error, not a hang.
    yield from DataLoader(_Looks(paths), batch_size=None, num_workers=min(workers, len(paths)))  # type: ignore[arg-type]


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


def _read_kept(kept: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        lines = kept.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            found = json.loads(line)
            yield found["path"], found
        except (ValueError, KeyError, TypeError):
            continue  # the last line of a run that was killed while it wrote
