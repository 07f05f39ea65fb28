"""A video file goes in, its time line comes out: when each frame is shown and which one that is at tick k.

Only packets are listed, nothing is decoded, so that an hour of video costs a fraction of a second. Sampling counts in
ticks of a constant rate. Where the file keeps such a rate (to within half a frame), tick k is its k-th frame, as
VideoMind's decoder counts them. Elsewhere tick k is the frame on screen k/fps after the file's start.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from roles.deadline import check_deadline
from roles.errors import VideoError

MIN_FRAMES = 4
"""VideoMind samples at least this many, so a file with fewer is refused."""

FROM_START_CODECS = ("gif", "apng")
"""Each picture is painted over the one before, whatever the container says of keyframes."""

LISTS_OF_FILES = ("hls", "dash", "concat", "sdp", "imf", "rtsp", "tty")
"""Formats that name other files or draw text: opening one would read what the user did not name."""

LOCAL_ONLY = {"protocol_whitelist": "file"}
REMOTE_ONLY = {"protocol_whitelist": "http,https,httpproxy,tls,tcp,crypto,rtmp,rtmps,rtsp,rtp,udp,ftp"}


@dataclass(frozen=True, slots=True)
class Timeline:
    """When the frames of one video stream are shown.

    Attributes:
        stream_index: The stream's number in its container.
        pts: int64 [n], presentation times in units of `time_base_s`, ascending; the k-th is that of frame k.
        keys: int64 [m], numbers of the frames that decoding can begin at, ascending; the first is 0.
        time_base_s: Seconds per unit.
        start_s: The file's own start, which times are relative to.
        fps: Frames per second of the ticks.
        frames: Number of ticks.
        duration_s: From the file's start to the end of the last frame.
        constant: Whether tick k is frame k.
        counted: Whether frames can be told only by counting them from the start.
        notes: Oddities, each for a person to read.
    """

    stream_index: int
    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    time_base_s: Fraction
    start_s: float
    fps: float
    frames: int
    duration_s: float
    constant: bool
    counted: bool
    notes: tuple[str, ...]

    def frame_at(self, tick: int) -> int:
        """Number of the frame on screen at `tick`; before the first frame that is the first one."""
        if self.constant:
            return min(max(tick, 0), len(self.pts) - 1)
        # Containers round times to their unit, so a frame may be stamped up to half a unit later than it is due.
        slack_s = float(self.time_base_s) / 2 + 1e-6
        at = (self.start_s + tick / self.fps + slack_s) / float(self.time_base_s)
        return max(int(np.searchsorted(self.pts, at, side="right")) - 1, 0)

    def time_s(self, frame: int) -> float:
        """When `frame` is shown, from the file's start."""
        return float(self.pts[frame] * self.time_base_s) - self.start_s

    def key_before(self, frame: int) -> int:
        """Number of the last frame at or before `frame` that decoding can begin at."""
        return int(self.keys[max(int(np.searchsorted(self.keys, frame, side="right")) - 1, 0)])

    def frame_of(self, pts: int) -> int | None:
        """Number of the frame nearest to `pts`; None where `pts` is nearer to no frame than to a gap between two."""
        right = min(int(np.searchsorted(self.pts, pts)), len(self.pts) - 1)
        left = max(right - 1, 0)
        nearest = right if abs(self.pts[right] - pts) < abs(self.pts[left] - pts) else left
        return (
            nearest if 2 * abs(int(self.pts[nearest]) - pts) <= max(int(self.pts[right] - self.pts[left]), 1) else None
        )


@dataclass(slots=True)
class _Packets:
    """What listing the packets found: times in units of the stream's time base, decoding order."""

    times: array[int]
    keys: array[int]
    listed: int = 0
    last_length: int = 0
    counted: bool = False
    stopped: str | None = None
    """Why listing ended before the end of the file."""


def open_container(path: str, *, allow_urls: bool = False) -> Any:
    """Opens a local file, and only that, with PyAV.

    Raises:
        VideoError: The file cannot be read as a video.
    """
    remote = allow_urls and "://" in path
    try:
        # The prefix keeps a name such as `concat:a|b` a name; the whitelist keeps a playlist from fetching its entries.
        source = path if remote else f"file:{path}"
        options = REMOTE_ONLY if remote else LOCAL_ONLY
        container: Any = av.open(source, container_options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        if not remote and lacks_index(Path(path)):
            raise VideoError(
                f"{path}: the file is incomplete, its index (the moov box) is missing; copy or record it again"
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"{path}: not a video that can be read ({reason}); convert it, for example to mp4") from error
    if any(name in LISTS_OF_FILES for name in container.format.name.split(",")):
        name = container.format.name
        container.close()
        raise VideoError(f"{path}: not a video but a text or a list of files ({name}); give the video itself")
    return container


def lacks_index(path: Path) -> bool:
    """Whether a file is an mp4 or mov whose list of frames was never written or is cut off."""
    with path.open("rb") as file:
        length = path.stat().st_size
        at, kinds = 0, set[bytes]()
        while at + 8 <= length and len(kinds) < 64:
            file.seek(at)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            kinds.add(kind)
            if kind == b"moov":
                return at + size > length
            if size < 8:
                break
            at += size
    return b"ftyp" in kinds


def video_stream(container: Any, path: str) -> Any:
    """The stream to watch.

    Raises:
        VideoError: There is none, or no decoder for it.
    """
    stream = container.streams.best("video")
    if stream is None:
        raise VideoError(f"{path}: has no video stream; give a file with pictures")
    if stream.codec_context is None:
        raise VideoError(f"{path}: no decoder for its video; convert it, for example to H.264 in mp4")
    return stream


def read_timeline(container: Any, path: str) -> Timeline:
    """Lists a container's video packets and settles on a time line.

    Raises:
        VideoError: No video stream, fewer than four frames, or no duration.
        StepTimeoutError: The surrounding step is out of time.
    """
    stream = video_stream(container, path)
    found = _list_packets(container, stream)
    notes: list[str] = []
    if found.stopped:
        notes.append(f"reading stopped after {len(found.times)} frames: {found.stopped}")
    if stream.frames and stream.frames != found.listed:
        notes.append(f"the header says {stream.frames} frames, the stream has {found.listed}")

    decoding_order = np.array(found.times, dtype=np.int64)
    if len(decoding_order) < MIN_FRAMES:
        count = f"{len(decoding_order)} frame" + ("s" if len(decoding_order) != 1 else "")
        cut_off = "; the file is incomplete" if notes else ""
        raise VideoError(f"{path}: has {count}; at least {MIN_FRAMES} are needed{cut_off}")
    pts = np.unique(decoding_order)
    if len(pts) < MIN_FRAMES:
        raise VideoError(
            f"{path}: its {len(decoding_order)} frames are shown at {len(pts)} different times only, so it has no "
            f"duration; convert it again"
        )
    seekable = not found.counted and stream.codec_context.name not in FROM_START_CODECS
    keys = np.searchsorted(pts, np.array(found.keys if seekable else [], dtype=np.int64))
    if found.counted:
        notes.append("frames carry no presentation times: counted from the start")
    return _settle(container, stream, pts, np.union1d(keys, [0]).astype(np.int64), found, notes)


def _list_packets(container: Any, stream: Any) -> _Packets:
    found = _Packets(array("q"), array("q"))
    decoding_times: array[int] | None = array("q")
    hides_pictures = stream.codec_context.name == "vp8"
    last_pts = None
    try:
        for packet in container.demux(stream):
            if found.listed % 1024 == 0:
                check_deadline()
            pts, dts, size = packet.pts, packet.dts, packet.size
            found.listed += size > 0 or dts is not None
            # An edit list drops discarded ones; VP8 stores pictures that are never shown (bit 4 of byte 0 is clear).
            if size == 0 or packet.is_discard or (hides_pictures and not bytes(packet)[0] & 0x10):
                continue
            found.times.append(pts if pts is not None else 0)
            found.counted |= pts is None
            if dts is None:
                decoding_times = None
            elif decoding_times is not None:
                decoding_times.append(dts)
            if packet.is_keyframe and pts is not None:
                found.keys.append(pts)
            if pts is not None and (last_pts is None or pts > last_pts):
                last_pts, found.last_length = pts, packet.duration or 0
    except av.FFmpegError as error:
        found.stopped = error.strerror or str(error)
    if found.counted:
        found.times = decoding_times or _even_times(stream, len(found.times))
    return found


def _even_times(stream: Any, frames: int) -> array[int]:
    """Times of a stream that has none: one frame after the other at the rate it is said to have."""
    rate = stream.average_rate or stream.guessed_rate or 25
    step = max(round(1 / (rate * stream.time_base)), 1)
    return array("q", range(0, frames * step, step))


def _settle(
    container: Any,
    stream: Any,
    pts: NDArray[np.int64],
    keys: NDArray[np.int64],
    found: _Packets,
    notes: list[str],
) -> Timeline:
    """Chooses between the frames' own constant rate and a nominal one."""
    unit_s = stream.time_base
    first_s = float(int(pts[0]) * unit_s)
    # An avi stores frame numbers, and those of one with B-frames begin late by the decoder's delay.
    start_us = container.start_time if container.format.name != "avi" else None
    start_s = min(first_s, start_us / 1_000_000) if start_us is not None else first_s
    times_s = (pts - pts[0]) * float(unit_s)

    measured = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * unit_s)
    rates = [rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate, measured) if rate]
    kept = next((rate for rate in rates if _keeps(times_s, rate)), None)
    late_s = first_s - start_s
    if kept is not None and late_s <= 0.5 / float(kept):
        fps, constant, duration_s, frames = float(kept), True, len(pts) / float(kept), len(pts)
    else:
        length = found.last_length if found.last_length > 0 else float(np.median(np.diff(pts)))
        shown_s = float(times_s[-1]) + (1 / float(kept) if kept is not None else length * float(unit_s))
        duration_s, constant = late_s + shown_s, False
        fps = float(kept) if kept is not None else len(pts) / shown_s
        frames = round(duration_s * fps)
    if kept is None:
        notes.append("variable frame rate: sampled by presentation time")
    elif kept != rates[0] and abs(float(kept / rates[0]) - 1) > 0.01:
        notes.append(f"the header says {float(rates[0]):g} frames per second, the stream has {float(kept):g}")
    if not constant and late_s > 0.5 / fps:
        notes.append(f"video starts {late_s:.1f} s after the file")
    return Timeline(
        stream_index=stream.index,
        pts=pts,
        keys=keys,
        time_base_s=unit_s,
        start_s=start_s,
        fps=fps,
        frames=frames,
        duration_s=duration_s,
        constant=constant,
        counted=found.counted,
        notes=tuple(notes),
    )


def _keeps(times_s: NDArray[np.float64], rate: Fraction) -> bool:
    """Whether every frame is shown within half a frame of when a constant rate would show it."""
    due_s = np.arange(len(times_s)) / float(rate)
    return bool(np.all(np.abs(times_s - due_s) < 0.5 / float(rate)))
