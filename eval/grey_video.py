"""A video goes in; another comes out, as long and as large, in which there is nothing to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adapters.frames import VideoFile
from roles.types import Video


def grey_video(file: VideoFile) -> VideoFile:
    """A video as long and as large as another; every pixel is grey."""
    return VideoFile(_Grey(replace(file.video, path=f"{file.video.path} (grey)")))


class _Grey:
    """Frames without anything in them; satisfies `adapters.frames.Source`."""

    def __init__(self, video: Video) -> None:
        self.video = video

    def frame_at(self, tick: int) -> int:
        return tick

    def time_s(self, frame: int) -> float:
        return frame / self.video.fps

    def read(self, wanted: Sequence[int], emit: Any) -> int:
        import numpy as np

        grey = np.full((self.video.height_px, self.video.width_px, 3), 127, np.uint8)
        for number in wanted:
            emit(number, grey)
        return 0

    def notes(self) -> tuple[str, ...]:
        return ()
