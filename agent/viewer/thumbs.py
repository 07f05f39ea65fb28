"""A video and the time of a frame go in, a small JPEG comes out; the latest made are kept in memory.

Only frames that a trace says were looked at are asked for. Decoding begins at the keyframe before the frame, and
what else is wanted of the same stretch is kept along the way, so that neighbours cost one decoding.
"""

from __future__ import annotations

import io
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roles.errors import VideoError

WIDTH_PX = 160
CACHE_BYTES = 24 << 20
MAX_DECODED = 6_000
"""Frames that one thumbnail may cost; a file with no keyframe for so long gets none."""
AHEAD = 32
"""Wanted frames that are kept beyond the one that was asked for."""
FAR_S = 4.0
"""No frame further ahead than this is waited for."""
QUALITY = 78

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
LISTS_OF_FILES = ("hls", "dash", "concat", "sdp", "imf", "rtsp", "tty")
"""Formats that name other files: opening one would read what nobody named."""

Key = tuple[str, int, int, int]


class Thumbs:
    """Makes thumbnails, one at a time."""

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._cache: OrderedDict[Key, bytes] = OrderedDict()
        self._bytes = 0
        self._most = cache_bytes
        self._lock = threading.Lock()

    def get(self, path: Path, wanted: Sequence[tuple[int, float]], frame: int) -> bytes:
        """A thumbnail.

        Args:
            path: The video, or a folder of frames.
            wanted: All frames that may be asked for: number, and time in seconds from the file's start; by time.
            frame: The number of the one that is.

        Returns:
            A JPEG, 160 pixels wide.

        Raises:
            VideoError: It cannot be decoded.
        """
        state = path.stat()
        where = (str(path), state.st_size, state.st_mtime_ns)
        with self._lock:
            key = (*where, frame)
            if key not in self._cache:
                made = _pictured(path, frame) if path.is_dir() else _decoded(path, wanted, frame)
                for number, data in made.items():
                    self._keep((*where, number), data)
            if key not in self._cache:
                raise VideoError(f"{path.name}: frame {frame} cannot be decoded")
            self._cache.move_to_end(key)
            while self._bytes > self._most and len(self._cache) > 1:
                self._bytes -= len(self._cache.popitem(last=False)[1])
            return self._cache[key]

    @property
    def kept_bytes(self) -> int:
        """How much is in memory."""
        return self._bytes

    def _keep(self, key: Key, data: bytes) -> None:
        before = self._cache.pop(key, b"")
        self._cache[key] = data
        self._bytes += len(data) - len(before)


def _pictured(folder: Path, frame: int) -> dict[int, bytes]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    def key(path: Path) -> list[tuple[int, int, str]]:
        parts = re.split(r"([0-9]+)", path.name.lower())
        return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]

    found = [one for one in folder.iterdir() if one.suffix.lower() in PICTURES and not one.name.startswith(".")]
    if not found:
        raise VideoError(f"{folder.name}: holds no pictures")
    path = sorted(found, key=lambda one: (key(one), one.name))[min(max(frame, 0), len(found) - 1)]
    real = path.resolve()
    if not (real.is_relative_to(folder) and real.is_file()):
        raise VideoError(f"{path.name}: lies outside its folder")
    try:
        with Image.open(path) as image:
            return {frame: _jpeg(ImageOps.exif_transpose(image).convert("RGB"))}
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise VideoError(f"{path.name}: not a picture that can be read") from error


def _decoded(path: Path, wanted: Sequence[tuple[int, float]], frame: int) -> dict[int, bytes]:
    import av

    time_s = next((at_s for number, at_s in wanted if number == frame), None)
    if time_s is None:
        raise VideoError(f"{path.name}: frame {frame} was not looked at")
    try:
        with av.open(f"file:{path}", container_options={"protocol_whitelist": "file"}) as container:
            if any(name in LISTS_OF_FILES for name in container.format.name.split(",")):
                raise VideoError(f"{path.name}: not a video but a list of files")
            return _from_container(container, path, wanted, time_s)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path.name}: cannot be decoded ({getattr(error, 'strerror', None) or error})") from error


def _from_container(container: Any, path: Path, wanted: Sequence[tuple[int, float]], time_s: float) -> dict[int, bytes]:
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        raise VideoError(f"{path.name}: has no video that can be decoded")
    stream.thread_type = "AUTO"
    start_us = container.start_time if container.format.name != "avi" else None
    start_s = 0.0 if start_us is None else start_us / 1_000_000
    if stream.start_time is not None and stream.time_base is not None:
        first_s = float(stream.start_time * stream.time_base)
        start_s = first_s if start_us is None else min(start_s, first_s)
    slack_s = 0.5 / float(stream.average_rate) if stream.average_rate else 0.02
    if stream.time_base:
        container.seek(max(int((time_s + start_s) / stream.time_base), 0), stream=stream, backward=True)
    # What was wanted before the frame that is asked for may be passed on the way; so many after it are waited for.
    ahead = [one for one in wanted if time_s < one[1] <= time_s + FAR_S][:AHEAD]
    last_s = ahead[-1][1] if ahead else time_s
    made: dict[int, bytes] = {}
    best: Any = None
    for count, picture in enumerate(container.decode(stream)):
        if picture.time is None or count > MAX_DECODED:
            break
        at_s = float(picture.time) - start_s
        for number, wanted_s in wanted:
            if number not in made and abs(wanted_s - at_s) <= slack_s:
                made[number] = _small(picture)
        best = picture
        if at_s >= last_s - slack_s:
            break
    else:  # the file has ended: one that is shorter than its trace says gives its last frame
        here = next(number for number, at_s in wanted if at_s == time_s)
        if here not in made and best is not None:
            made[here] = _small(best)
    return made


def _small(frame: Any) -> bytes:
    turn = int(getattr(frame, "rotation", 0) or 0)
    sideways = abs(turn) % 180 == 90
    width_px, height_px = (frame.height, frame.width) if sideways else (frame.width, frame.height)
    tall_px = max(2, min(round(WIDTH_PX * height_px / width_px), 4 * WIDTH_PX))
    stored = (tall_px, WIDTH_PX) if sideways else (WIDTH_PX, tall_px)
    image = frame.to_image(width=stored[0], height=stored[1])
    return _jpeg(image.rotate(turn, expand=True) if turn else image)


def _jpeg(image: Any) -> bytes:
    image.thumbnail((WIDTH_PX, 4 * WIDTH_PX))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=QUALITY)
    return data.getvalue()
