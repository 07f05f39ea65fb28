"""A clip of a video goes in; the numbers, times and pixels of the frames that a role looks at come out.

Which frames, and how large, follows VideoMind exactly; see `frame_indices` and `resized_hw`. A video is a file, which
`timeline` lists and `reading` decodes, or a `folder` of pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.folder import Folder, check_plain, pictures
from adapters.pixels import FirstLook, look
from adapters.reading import Emit, read_frames
from adapters.timeline import MIN_FRAMES, Timeline, open_container, read_timeline
from roles.errors import VideoError
from roles.types import Budget, Clip, Video

FACTOR_PX = 28
"""Frames are resized to multiples of this: patch 14, merged 2 by 2."""

MAX_RATIO = 200
"""Qwen2-VL's rule for sizes takes no frame that is longer than this many times its width."""

FINGERPRINT_BYTES = 1 << 20


def frame_indices(
    total_frames: int, fps: float, budget: Budget, start_s: float | None, end_s: float | None
) -> list[int]:
    """Numbers of the frames to look at, evenly spread from the clip's first frame to its last.

    Source: VideoMind. Both ends are rounded half to even and clamped to the file; the *number* of frames comes from
    the unclamped length, at the budget's rate, even, at least 4. So a clip near the end may name a frame twice.

    Args:
        total_frames: Frames in the file.
        fps: Frames per second of the file.
        budget: How densely to sample.
        start_s: Where the clip begins; None is the file's start.
        end_s: Where it ends; None is the file's end.

    Raises:
        VideoError: The file has fewer than 4 frames.
    """
    if total_frames < MIN_FRAMES:
        raise VideoError(f"{total_frames} frames; at least {MIN_FRAMES} are needed")
    last = total_frames - 1
    first_frame = 0 if start_s is None else min(max(round(start_s * fps), 0), last)
    last_frame = last if end_s is None else min(max(round(end_s * fps), 0), last)
    length = total_frames
    if start_s is not None or end_s is not None:
        length_s = (total_frames / fps if end_s is None else end_s) - (start_s or 0.0)
        length = min(max(round(length_s * fps), MIN_FRAMES), total_frames)
    most = min(budget.max_frames, length) // 2 * 2
    count = round(min(max(length / fps * budget.fps, MIN_FRAMES), most) / 2) * 2
    numbers: list[int] = torch.linspace(first_frame, last_frame, count, dtype=torch.float32).round().long().tolist()
    return numbers


def resized_hw(height_px: int, width_px: int, budget: Budget) -> tuple[int, int]:
    """Height and width in pixels to resize a frame to: multiples of 28 within the budget, by Qwen2-VL's rule.

    Raises:
        VideoError: One side is over 200 times as long as the other.
    """
    from qwen_vl_utils.vision_process import smart_resize  # imports torchvision: two seconds

    try:
        height, width = smart_resize(
            height_px, width_px, factor=FACTOR_PX, min_pixels=budget.min_px, max_pixels=budget.max_px
        )
    except ValueError as error:
        raise VideoError(_too_long(height_px, width_px)) from error
    # The rule rounds the short side of a narrow strip down to nothing; one row of patches is the least there is.
    longest = budget.max_px // FACTOR_PX // FACTOR_PX * FACTOR_PX
    if height < FACTOR_PX or width < FACTOR_PX:
        return (FACTOR_PX, min(width, longest)) if height < width else (min(height, longest), FACTOR_PX)
    return height, width


def fingerprint(path: str | Path) -> str:
    """Tells apart contents of video files without reading them whole.

    Returns:
        "sha256:" and the SHA-256 in hex of: the size in bytes in decimal, a line feed, the first MiB, the last MiB
        (of a file under 2 MiB they overlap). For a folder: of one line "name size" per picture, in frame order.

    Raises:
        VideoError: There is no such file, or it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if Path(path).is_dir():
            for picture in pictures(Path(path)):
                digest.update(f"{picture.name} {picture.stat().st_size}\n".encode())
        else:
            with Path(path).open("rb") as file:
                size = file.seek(0, 2)
                digest.update(f"{size}\n".encode())
                file.seek(0)
                digest.update(file.read(FINGERPRINT_BYTES))
                file.seek(max(size - FINGERPRINT_BYTES, 0))
                digest.update(file.read(FINGERPRINT_BYTES))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return f"sha256:{digest.hexdigest()}"


class Source(Protocol):
    """Where frames come from: a file's stream or a folder."""

    video: Video

    def frame_at(self, tick: int) -> int:
        """Number of the frame shown at a tick of the sampling time line."""

    def time_s(self, frame: int) -> float:
        """When it is shown."""

    def read(self, wanted: Sequence[int], emit: Emit) -> int:
        """Hands every wanted frame (ascending, each once) to `emit`; returns how many were decoded."""

    def notes(self) -> tuple[str, ...]:
        """Oddities found so far."""


class VideoFile:
    """An open video, used by one thread at a time.

    Attributes:
        video: What is known of it.
        frames_decoded: Frames decoded so far, by all readings.
    """

    def __init__(self, source: Source) -> None:
        self.video = source.video
        self.frames_decoded = 0
        self._source: Source | None = source

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends its use; closing twice is fine. No file handle is held between readings."""
        self._source = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Oddities of the file for a person to read; reading frames may add some."""
        return self._open_source.notes()

    def indices(self, clip: Clip) -> list[int]:
        """Numbers of the frames that a role looks at, on the sampling time line."""
        start_s, end_s = (clip.span.start_s, clip.span.end_s) if clip.span is not None else (None, None)
        return frame_indices(self.video.frames, self.video.fps, clip.budget, start_s, end_s)

    def times_s(self, indices: Sequence[int]) -> list[float]:
        """When the frames behind `indices` are really shown, from the file's start."""
        source = self._open_source
        return [source.time_s(source.frame_at(index)) for index in indices]

    def read(self, indices: Sequence[int], height_px: int, width_px: int, device: str = "cpu") -> torch.Tensor:
        """Decodes frames.

        Args:
            indices: Numbers on the sampling time line, in any order, repeats allowed.
            height_px: Height to resize to.
            width_px: Width to resize to.
            device: Where to resize, and where the result lies. One grey level may differ between devices.

        Returns:
            uint8 [n, 3, height_px, width_px], RGB, upright; row i shows frame `indices[i]`.

        Raises:
            VideoError: The frames cannot be decoded.
            StepTimeoutError: The surrounding step is out of time.
        """
        source = self._open_source
        rows: dict[int, list[int]] = {}
        for row, index in enumerate(indices):
            rows.setdefault(source.frame_at(index), []).append(row)
        result = torch.empty((len(indices), 3, height_px, width_px), dtype=torch.uint8, device=device)

        def emit(number: int, image: NDArray[np.uint8]) -> None:
            # One frame at a time: of a 4K video not more than one at full size per thread is ever held.
            result[rows[number]] = resize(image, height_px, width_px, device)

        if rows:
            self.frames_decoded += source.read(sorted(rows), emit)
        return result

    @property
    def _open_source(self) -> Source:
        if self._source is None:
            raise VideoError(f"{self.video.path}: was closed; open it again")
        return self._source


def resize(image: NDArray[np.uint8], height_px: int, width_px: int, device: str) -> torch.Tensor:
    """Bicubic with antialiasing, rounded back to whole grey levels: [h, w, 3] to uint8 [3, height_px, width_px]."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)
    if pixels.shape[1:] == (height_px, width_px):
        return pixels
    resized = torch.nn.functional.interpolate(
        pixels[None].float(), size=(height_px, width_px), mode="bicubic", antialias=True, align_corners=False
    )
    return resized[0].round().clamp(0, 255).to(torch.uint8)


def open_video(path: str | Path, *, frame_rate: float = 1.0, allow_urls: bool = False) -> VideoFile:
    """Opens a video file or a folder of pictures and lists its frames.

    Args:
        path: The file or folder.
        frame_rate: Frames per second of a folder; files know their own.
        allow_urls: Whether a path with "://" may be fetched.

    Raises:
        VideoError: It is missing, unreadable, no file, no video, incomplete, or has fewer than 4 frames.
        StepTimeoutError: The surrounding step is out of time.
    """
    name = str(path)
    if "://" in name:
        if not allow_urls:
            raise VideoError(f"{name!r} is a URL; only local files are opened unless --allow-urls is given")
        return VideoFile(_shaped(_Stream(name, allow_urls=True)))
    local = Path(path)
    try:
        if local.is_dir():
            return VideoFile(_shaped(Folder(local, frame_rate)))
        check_plain(local)
        with local.open("rb") as file:
            if not file.read(1):
                raise VideoError(f"{name}: the file is empty; copy or download it again")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return VideoFile(_shaped(_Stream(name, allow_urls=False)))


def _shaped(source: Source) -> Source:
    """The source, if its frames have a shape that can be looked at: better now than after the model is loaded."""
    video = source.video
    short, long = sorted((video.width_px, video.height_px))
    if long > MAX_RATIO * short:
        raise VideoError(f"{video.path}: {_too_long(video.height_px, video.width_px)}")
    return source


def _too_long(height_px: int, width_px: int) -> str:
    return (
        f"frames of {width_px}x{height_px} pixels: one side may be at most {MAX_RATIO} times the other; crop the video"
    )


def _unreadable(path: str | Path, error: Exception) -> VideoError:
    if isinstance(error, FileNotFoundError):
        return VideoError(f"{path}: no such file; check the path")
    if isinstance(error, PermissionError):
        return VideoError(f"{path}: may not be read; change its permissions")
    return VideoError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); check the path")


class _Stream:
    """The video stream of a file."""

    def __init__(self, path: str, *, allow_urls: bool) -> None:
        self._path = path
        self._allow_urls = allow_urls
        with open_container(path, allow_urls=allow_urls) as container:
            self._timeline: Timeline = read_timeline(container, path)
        with open_container(path, allow_urls=allow_urls) as container:
            self._look: FirstLook = look(container, path, self._timeline.stream_index)
        self._replaced: set[int] = set()
        self._keys_failed = False
        line = self._timeline
        self.video = Video(path, line.duration_s, line.fps, self._look.width_px, self._look.height_px, line.frames)

    def frame_at(self, tick: int) -> int:
        return self._timeline.frame_at(tick)

    def time_s(self, frame: int) -> float:
        return self._timeline.time_s(frame)

    def read(self, wanted: Sequence[int], emit: Emit) -> int:
        outcome = read_frames(
            self._path,
            self._timeline,
            self._look,
            wanted,
            emit,
            allow_urls=self._allow_urls,
        )
        self._replaced |= outcome.replaced
        self._keys_failed |= outcome.keys_failed
        return outcome.decoded

    def notes(self) -> tuple[str, ...]:
        notes = [*self._timeline.notes, *self._look.notes]
        if self._keys_failed:
            notes.append("its keyframes cannot be jumped to: read from the start")
        if self._replaced:
            many = len(self._replaced) > 1
            notes.append(
                f"{len(self._replaced)} frame{'s' if many else ''} could not be decoded; "
                f"the frame before {'each stands' if many else 'it stands'} in"
            )
        return tuple(notes)
