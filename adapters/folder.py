"""A folder of pictures goes in, a video comes out: frame k is shown at k / frame_rate, in the order of the names."""

from __future__ import annotations

import re
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from adapters.pixels import over_black
from adapters.reading import Emit, run_parts, usable_cores
from adapters.timeline import MIN_FRAMES
from roles.deadline import check_deadline
from roles.errors import VideoError
from roles.types import Video

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""Files in a folder that count as frames."""

EXIF_ORIENTATION = 0x0112
EXIF_SIDEWAYS = (5, 6, 7, 8)
"""Orientations that swap width and height."""


def pictures(folder: Path) -> list[Path]:
    """The frames in a folder: names are compared with their numbers read as numbers, so that 10 follows 9."""

    def key(path: Path) -> list[tuple[int, int, str]]:
        parts = re.split(r"([0-9]+)", path.name.lower())
        return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]

    found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith(".")]
    return sorted(found, key=lambda path: (key(path), path.name))


def check_plain(path: Path) -> None:
    """Refuses what is there and is no file: opening a pipe waits until somebody writes to it, perhaps for ever.

    Raises:
        VideoError: It is a pipe, a device or the like.
        OSError: It is not there.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise VideoError(f"{path}: not a file (a pipe, a device or a folder); save it to a file first")


MIN_FRAME_RATE, MAX_FRAME_RATE = 0.001, 1000.0


class Folder:
    """Pictures of one size as a video; a `Source` of `frames`.

    Raises:
        VideoError: Fewer than four pictures, an unreadable one, or two of different size.
    """

    def __init__(self, folder: Path, frame_rate: float) -> None:
        if not MIN_FRAME_RATE <= frame_rate <= MAX_FRAME_RATE:
            raise VideoError(f"{folder}: frame rate {frame_rate:g}; expected {MIN_FRAME_RATE:g} to {MAX_FRAME_RATE:g}")
        self._paths = pictures(folder)
        count = len(self._paths)
        if not count:
            raise VideoError(f"{folder}: no frames in this folder; expected files ending in {', '.join(PICTURES)}")
        if count < MIN_FRAMES:
            raise VideoError(f"{folder}: has {count} frame{'s' if count > 1 else ''}; at least {MIN_FRAMES} are needed")
        sizes = (_size(path) for path in self._paths)
        width_px, height_px = first = next(sizes)
        for path, size in zip(self._paths[1:], sizes, strict=True):
            check_deadline()
            if size != first:
                raise VideoError(
                    f"{folder}: {self._paths[0].name} is {width_px}x{height_px} pixels and {path.name} "
                    f"{size[0]}x{size[1]}; all frames must have the same size"
                )
        self.video = Video(str(folder), count / frame_rate, frame_rate, width_px, height_px, count)

    def frame_at(self, tick: int) -> int:
        """Number of the picture shown at `tick`."""
        return min(max(tick, 0), len(self._paths) - 1)

    def time_s(self, frame: int) -> float:
        """When it is shown."""
        return frame / self.video.fps

    def read(self, wanted: Sequence[int], emit: Emit) -> int:
        """Hands the wanted pictures, upright RGB over black, to `emit`; returns their number."""
        stopped = threading.Event()

        def work(part: list[int], hand: Emit) -> None:
            for number in part:
                if stopped.is_set():
                    return
                check_deadline()
                hand(number, _pixels(self._paths[number]))

        workers = min(usable_cores(), len(wanted))
        run_parts(work, [list(wanted[worker::workers]) for worker in range(workers)], emit, stopped)
        return len(wanted)

    def notes(self) -> tuple[str, ...]:
        """Pictures have no oddities that are not errors."""
        return ()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        check_plain(path)
        with Image.open(path) as image:
            yield image
    except UnidentifiedImageError as error:
        raise VideoError(f"{path}: not a picture that can be read; remove or replace it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(f"{path}: not a picture that can be read ({reason}); remove or replace it") from error


def _size(path: Path) -> tuple[int, int]:
    """Width and height as displayed, from the header alone."""
    with _opened(path) as image:
        width_px, height_px = image.size
        sideways = image.getexif().get(EXIF_ORIENTATION) in EXIF_SIDEWAYS
        return (height_px, width_px) if sideways else (width_px, height_px)


def _pixels(path: Path) -> NDArray[np.uint8]:
    with _opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            return over_black(np.array(upright.convert("RGBA")))
        return np.array(upright.convert("RGB"))
