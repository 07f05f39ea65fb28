"""Film files: a draw list or frames go in, an H.264 mp4 comes out, the same bytes every time.

A draw list is made for the times k / fps, so a film of any frame rate and size is drawn as it is meant to be and
nothing is resampled.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from eval.worlds.raster import Frames, stream
from eval.worlds.rows import DrawList
from eval.worlds.tiles import to_yuv
from roles.errors import DataError

PRESET = "veryfast"
"""Of x264: a slower one saves no byte on these films, a faster one doubles them."""
EFFORT = "subme=1:deadzone-inter=28:deadzone-intra=16"
"""Less search for movement, less care for grain: a third less time, a tenth fewer bytes, as near to what was drawn."""
KEY_FRAME_S = 2.0
"""A player can jump to every so many seconds."""


def frame_times(duration_s: float, fps: float | Fraction) -> NDArray[np.float64]:
    """The times k / fps of a film's frames: all that begin before its end, so that no event lies beyond the file's."""
    rate = exact_fps(fps)
    count = max(1, math.ceil(Fraction(duration_s).limit_denominator(1000) * rate))
    return np.arange(count, dtype=np.float64) * (rate.denominator / rate.numerator)


def exact_fps(fps: float | Fraction) -> Fraction:
    """A frame rate as a fraction: 12.5 is 25/2.

    Raises:
        DataError: It is not a number between 0.1 and 1000.
    """
    if not 0.1 <= fps <= 1000:
        raise DataError(f"{fps} is no frame rate; give one from 0.1 to 1000 frames per second")
    return Fraction(fps).limit_denominator(1001)


def write_film(
    path: Path,
    film: DrawList | Iterable[Frames],
    fps: float | Fraction,
    size: tuple[int, int] | None = None,
    crf: int = 23,
    noise: float = 0.0,
    seed: int = 0,
    preset: str = PRESET,
) -> int:
    """Writes a film, whole or not at all.

    Args:
        path: The file; it is written beside itself under another name and renamed at last.
        film: A draw list, or frames [height, width, 3], or parts of a film [frames, height, width, 3].
        fps: Frames per second.
        size: Width and height in pixels, both even; None is that of the frames.
        crf: Quality, 0 to 51; higher is smaller and worse.
        noise: Standard deviation of the grain that a draw list is drawn with.
        seed: Of that grain.
        preset: How hard x264 tries.

    Returns:
        How many frames were written.

    Raises:
        DataError: There is nothing to write, the size is odd or not that of the frames, or the disk refuses.
    """
    rate = exact_fps(fps)
    if isinstance(film, DrawList):
        if size is None:
            raise ValueError("a draw list has no size in pixels; give one")
        film = stream(film, *size, noise=noise, seed=seed)
    frames = _single(film)
    first = next(frames, None)
    if first is None:
        raise DataError(f"{path}: a film needs at least one frame")
    height, width = first.shape[:2]
    if size is not None and size != (width, height):
        raise DataError(f"{path}: the frames are {width} x {height}, not {size[0]} x {size[1]}")
    if width % 2 or height % 2:
        raise DataError(f"{path}: a film's width and height must be even, not {width} x {height}")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        count = _encode(part, first, frames, rate, crf, preset)
        part.replace(path)
    except (OSError, av.FFmpegError) as error:
        raise DataError(f"{path} cannot be written ({error}); is there room, and may you write there?") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _single(film: Iterable[Frames]) -> Iterator[Frames]:
    for part in film:
        if part.ndim == 3:
            yield part
        else:
            yield from part


def _encode(path: Path, first: Frames, frames: Iterator[Frames], rate: Fraction, crf: int, preset: str) -> int:
    """Compresses all frames into `path`; returns how many."""
    height, width = first.shape[:2]
    planes = np.empty((height * 3 // 2, width), dtype=np.uint8)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.flags |= av.container.Flags.bitexact.value
        video = container.add_stream("libx264", rate=rate)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        context = video.codec_context
        context.time_base = 1 / rate
        # One thread, and the same choices on every processor: the bytes depend on the frames alone.
        context.options = {
            "preset": preset,
            "tune": "animation",  # measured on grainy films: a fifth smaller and faster, and nearer to what was drawn
            "crf": str(crf),
            "threads": "1",
            "x264-params": f"cpu-independent=1:keyint={max(1, round(KEY_FRAME_S * rate))}:{EFFORT}",
        }
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = 1  # 16 to 235
        count = 0
        frame: Frames | None = first
        while frame is not None:
            if frame.shape != first.shape or frame.dtype != np.uint8:
                raise ValueError(f"frame {count} is {frame.dtype} {frame.shape}, the first is uint8 {first.shape}")
            to_yuv(frame, planes)
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            picture.pts, picture.time_base = count, 1 / rate
            container.mux(video.encode(picture))
            count += 1
            frame = next(frames, None)
        container.mux(video.encode(None))
    return count
