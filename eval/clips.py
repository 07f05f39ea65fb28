"""Films of any length to measure speed on: a textured scene that pans, objects that move, a cut every few seconds.

python -m eval.clips --seconds 600 --out 600.mp4
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SCENE_S = 7.0
OBJECTS = 6


def frames(count: int, fps: int, width_px: int, height_px: int, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Frames, [height, width, 3] each, always the same for a seed."""
    draw = np.random.default_rng(seed)
    scene = -1
    for k in range(count):
        if int(k / fps / SCENE_S) != scene:
            scene = int(k / fps / SCENE_S)
            coarse = draw.integers(0, 256, (height_px // 20 + 2, width_px // 10 + 2, 3), dtype=np.uint8)
            texture = np.kron(coarse, np.ones((20, 20, 1), dtype=np.uint8))
            texture = texture // 2 + draw.integers(0, 24, texture.shape, dtype=np.uint8)
            places = draw.random((OBJECTS, 2))
            moves = (draw.random((OBJECTS, 2)) - 0.5) / fps
            colours = draw.integers(0, 256, (OBJECTS, 3), dtype=np.uint8)
            first = k
        at = (k - first) * 2 % (texture.shape[1] - width_px)
        image = texture[:height_px, at : at + width_px].copy()
        for place, move, colour in zip(places, moves, colours, strict=True):
            row, column = ((place + move * (k - first)) % 1 * (height_px - 60, width_px - 60)).astype(int)
            image[row : row + 60, column : column + 60] = colour
        yield image


def write_clip(path: Path, seconds: float, fps: int = 25, width_px: int = 640, height_px: int = 360) -> None:
    """Writes an H.264 film with B-frames and a keyframe every ten seconds, as encoders do by default."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "28", "g": "250"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        for image in frames(round(seconds * fps), fps, width_px, height_px):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m eval.clips", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write_clip(args.out, args.seconds, args.fps, *args.size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
