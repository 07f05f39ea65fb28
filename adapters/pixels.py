"""An open container goes in, decoded frames come out of it as upright RGB pixels; the plain steps behind `reading`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from roles.deadline import check_deadline
from roles.errors import VideoError

_BT709 = 1
"""How streams name that colour space."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """How stored pixels become upright ones: swap rows and columns, then mirror."""

    swap: bool = False
    mirror_rows: bool = False
    mirror_columns: bool = False

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Upright pixels from stored ones, both [rows, columns, 3]."""
        image = image.transpose(1, 0, 2) if self.swap else image
        image = image[::-1] if self.mirror_rows else image
        return image[:, ::-1] if self.mirror_columns else image


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What decoding one frame tells.

    Attributes:
        height_px: Height as displayed.
        width_px: Width as displayed.
        orientation: How stored pixels become upright.
        typed: Whether the decoder names each picture's type, such as I or P.
        notes: Oddities, each for a person to read.
    """

    height_px: int
    width_px: int
    orientation: Orientation
    typed: bool
    notes: tuple[str, ...]


def look(container: Any, path: str, stream_index: int) -> FirstLook:
    """Decodes up to the first frame that comes out.

    Raises:
        VideoError: None does.
    """
    stream = container.streams[stream_index]
    for frame in decode(packets_of(container, stream), stream.codec_context, lambda packet: None):
        check_deadline()
        orientation, angle_note = _orientation(frame)
        height_px, width_px = (frame.width, frame.height) if orientation.swap else (frame.height, frame.width)
        notes = [angle_note] if angle_note else []
        aspect = stream.sample_aspect_ratio
        if aspect and aspect != 1:
            notes.append(f"pixels are {aspect} as wide as they are high: shown as if square")
        return FirstLook(height_px, width_px, orientation, int(frame.pict_type) != 0, tuple(notes))
    codec = stream.codec_context.name
    raise VideoError(f"{path}: none of its frames can be decoded ({codec}); the file is damaged or incomplete")


def _orientation(frame: Any) -> tuple[Orientation, str | None]:
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return Orientation(), None
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), dtype=np.int32).tolist()
    # A stored pixel (x, y) is displayed at (a*x + c*y, b*x + d*y), up to a shift.
    if a == d == 0 and b and c:
        degrees = 90 if b > 0 > c else 270 if c > 0 > b else None
        turned = f"rotated by {degrees} degrees" if degrees else "mirrored and rotated by 90 degrees"
        return Orientation(True, mirror_rows=b < 0, mirror_columns=c < 0), turned
    if b == c == 0 and a and d:
        if a > 0 and d > 0:
            return Orientation(), None
        turned = "rotated by 180 degrees" if a < 0 and d < 0 else "mirrored"
        return Orientation(False, mirror_rows=d < 0, mirror_columns=a < 0), turned
    return Orientation(), "asks to be turned by an odd angle: shown as stored"


def packets_of(container: Any, stream: Any) -> Iterator[Any]:
    """Packets from where the container stands, then None, which asks the decoder for what it holds back."""
    # A file that is cut off ends with an error; its time line says so in its notes.
    with suppress(av.FFmpegError):
        yield from (packet for packet in container.demux(stream) if packet.size)
    yield None


def decode(packets: Iterator[Any], context: Any, prepare: Callable[[Any], None]) -> Iterator[Any]:
    """Frames in presentation order; `prepare` sees each packet first, and damaged packets are passed over."""
    for packet in packets:
        prepare(packet)
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            continue
        yield from frames


def to_rgb(frame: Any) -> NDArray[np.uint8]:
    """RGB pixels [height, width, 3] of a decoded frame as stored; what is transparent is shown over black."""
    # BT.709 has to be named, and another target with it, or av 15 and 16 read such films as BT.601: red turns dark.
    colours = {"src_colorspace": Colorspace.ITU709, "dst_colorspace": Colorspace.ITU601} if _is_bt709(frame) else {}
    if not any(component.is_alpha for component in frame.format.components):
        rgb: NDArray[np.uint8] = frame.to_ndarray(format="rgb24", **colours)
        return rgb
    return over_black(frame.to_ndarray(format="rgba", **colours))


def _is_bt709(frame: Any) -> bool:
    return int(frame.colorspace) == _BT709


def over_black(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB [height, width, 3] of RGBA [height, width, 4] pixels in front of black."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)
