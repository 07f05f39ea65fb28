"""Small videos made on the spot, whose frames carry their own number: used by every test that needs a file.

The upper half of frame k is a moving pattern; the lower half spells k in 12 black or white cells, so that a test can
ask which frame it was given, also after lossy coding, resizing or rotation back.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 12
"""Cells in the lower half: numbers below 4096 can be spelled."""

PIX_FMTS = {"gif": "rgb8", "mjpeg": "yuvj420p", "qtrle": "argb", "png": "rgba", "ffv1": "bgr0"}
"""Pixel format that an encoder wants where it is not yuv420p."""


def picture(number: int, width_px: int = 96, height_px: int = 64) -> NDArray[np.uint8]:
    """RGB pixels [height, width, 3] of the frame called `number`."""
    rows, columns = np.mgrid[0:height_px, 0:width_px]
    red = (columns * 2 + number * 5) % 256
    green = (rows * 3 + columns) % 256
    blue = np.full_like(red, (number * 11) % 256)
    image = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    edges = np.linspace(0, width_px, BITS + 1).round().astype(int)
    for bit in range(BITS):
        image[height_px // 2 :, edges[bit] : edges[bit + 1]] = 255 if number >> bit & 1 else 0
    return image


def number_of(frame: Any) -> int:
    """Number spelled by a frame, an array or tensor [3, h, w]."""
    pixels = np.asarray(frame).astype(float).mean(axis=0)
    height_px, width_px = pixels.shape
    row = pixels[height_px * 3 // 4]
    centres = ((np.arange(BITS) + 0.5) * width_px / BITS).astype(int)
    return sum(1 << bit for bit, column in enumerate(centres) if row[column] > 127)


def numbers_of(frames: Any) -> list[int]:
    """Numbers spelled by frames [n, 3, h, w]."""
    return [number_of(frame) for frame in frames]


def make_video(
    path: Path,
    seconds: float = 4.0,
    fps: Fraction | float = 10,
    width: int = 96,
    height: int = 64,
    *,
    codec: str = "libx264",
    gop: int = 12,
    bframes: int = 0,
    times_s: Sequence[float] | None = None,
    audio: bool = False,
    start_s: float = 0.0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pix_fmt: str | None = None,
) -> Path:
    """Writes a video and returns its path.

    Args:
        path: Where to; the extension picks the container.
        seconds: Length, where `times_s` is not given.
        fps: Frames per second (nominal, where `times_s` is given).
        width: Pixels.
        height: Pixels.
        codec: Encoder.
        gop: Frames from one keyframe to the next.
        bframes: Frames predicted from both sides, in a row.
        times_s: When each frame is shown, in whole milliseconds; None is a constant rate.
        audio: Whether a silent sound track from 0 s accompanies it.
        start_s: When the first frame is shown.
        options: More options of the encoder.
        container_options: Options of the container, such as {"movflags": "faststart"}.
        pix_fmt: Pixel format; None takes the usual one of the encoder.
    """
    rate = Fraction(fps).limit_denominator(100_000)
    tick_s = Fraction(1, 1000) if times_s is not None else 1 / rate
    count = len(times_s) if times_s is not None else round(seconds * rate)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height = width, height
        stream.pix_fmt = pix_fmt or PIX_FMTS.get(codec, "yuv420p")
        context = stream.codec_context
        context.time_base = tick_s
        context.gop_size = gop
        if codec in ("libx264", "mpeg4"):
            context.max_b_frames = bframes
        defaults = {"crf": "20", "preset": "ultrafast", "bf": str(bframes), "sc_threshold": "0"}
        context.options = {**(defaults if codec == "libx264" else {}), **(options or {})}
        context.bit_rate = 2_000_000 if codec != "libx264" else 0
        sound: Any = container.add_stream("aac", rate=16000) if audio else None
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number, width, height), format="rgb24")
            at_s = Fraction(times_s[number]).limit_denominator(1000) if times_s is not None else number / rate
            frame.pts, frame.time_base = round((at_s + Fraction(start_s)) / tick_s), tick_s
            container.mux(stream.encode(frame))
        if sound is not None:
            _add_silence(container, sound, start_s + seconds)
        container.mux(stream.encode(None))
    return path


def make_sound(path: Path, seconds: float = 2.0) -> Path:
    """Writes a file that holds only sound."""
    with av.open(str(path), "w") as container:
        _add_silence(container, container.add_stream("aac", rate=16000), seconds)
    return path


def make_frozen(path: Path, frames: int = 6) -> Path:
    """Writes a file whose frames are all shown at the same time, so that it lasts no time at all."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, PIX_FMTS["mjpeg"]
        for number in range(frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")):
                packet.pts = packet.dts = 0
                container.mux(packet)
    return path


def make_folder(folder: Path, frames: int = 6) -> Path:
    """Saves numbered pictures in a new folder and returns it."""
    folder.mkdir()
    for number in range(frames):
        Image.fromarray(picture(number)).save(folder / f"{number}.jpg")
    return folder


def cut_off(path: Path, share: float = 0.6) -> Path:
    """Keeps only the first part of a file, as a download that broke off does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def _add_silence(container: Any, stream: Any, seconds: float) -> None:
    for block in range(int(seconds * 16000 / 1024)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, block * 1024, Fraction(1, 16000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def turn_mp4(path: Path, matrix: Sequence[int]) -> Path:
    """Overwrites the display matrix (a, b, c, d) of an mp4's first track, as a phone held sideways writes it."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (value * 65536 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def claim_frames_avi(path: Path, frames: int) -> Path:
    """Overwrites the number of frames that an avi's header claims for its first stream."""
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 8 + 32
    data[at : at + 4] = struct.pack("<I", frames)
    path.write_bytes(data)
    return path
