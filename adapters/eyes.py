"""What the model sees: clips of watched videos go in, visual tokens come out, each decoded and encoded once.

The roles look at one video again and again: planner and grounder at one set of frames, the verifier at close windows.
Everything kept is keyed by the watched file, so one video never reaches another's answer.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from adapters.frames import VideoFile, resized_hw
from adapters.vision import encode
from roles.errors import VideoError
from roles.types import Clip, Video

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Normalisation of the images that Qwen2-VL was trained on, where a checkpoint does not state its own."""
FEATURE_CACHE_BYTES = 256 << 20
"""Visual tokens kept for clips that are asked about again."""


_Size = tuple[str, int, int]
"""A video's path, and the height and width that its frames are resized to."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A clip as the language model gets it.

    Attributes:
        features: Visual tokens, [T, tokens per temporal patch, hidden].
        indices: Frame numbers on the sampling time line, 2 T of them.
        times_s: Presentation times of those frames.
        grid: Temporal patches, and rows and columns of visual tokens.
        grid_thw: Likewise in spatial patches, as processors count.
        seconds: "frames" and "vision"; 0 where they were kept from before.
    """

    features: Tensor
    indices: tuple[int, ...]
    times_s: tuple[float, ...]
    grid: tuple[int, int, int]
    grid_thw: tuple[int, int, int]
    seconds: dict[str, float]


class Eyes:
    """Decodes, resizes and encodes clips.

    Args:
        tower: The vision tower of a Qwen2-VL model.
        pixel_mean: Per channel, of values in 0..1.
        pixel_std: Likewise.
        look: Is shown the frames of each clip that is encoded, uint8 [n, 3, height, width], and their video.
    """

    def __init__(
        self,
        tower: Any,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        look: Callable[[Video, Tensor], None] | None = None,
    ) -> None:
        self._tower = tower
        self._mean, self._std = torch.tensor(pixel_mean), torch.tensor(pixel_std)
        self._look = look
        self._files: dict[str, VideoFile] = {}
        self._frames: dict[_Size, dict[int, Tensor]] = {}
        self._prepared_s = 0.0
        self._sights: OrderedDict[tuple[tuple[int, ...], _Size], Sight] = OrderedDict()

    def watch(self, file: VideoFile) -> None:
        """Makes an opened video known; what was kept of an earlier one of the same path is dropped."""
        self.forget(file.video)
        self._files[file.video.path] = file

    def watches(self, video: Video) -> bool:
        """Whether a video is known."""
        return video.path in self._files

    def forget(self, video: Video) -> None:
        """Drops everything kept of a video."""
        self._files.pop(video.path, None)
        self._prepared_s = 0.0
        self._frames = {key: kept for key, kept in self._frames.items() if key[0] != video.path}
        for key in [key for key in self._sights if key[1][0] == video.path]:
            del self._sights[key]

    def prepare(self, clips: Sequence[Clip]) -> None:
        """Decodes the frames of several clips in one pass over the file and keeps them for `see`."""
        wanted: dict[_Size, set[int]] = {}
        for clip in clips:
            _, indices, size = self._look_up(clip)
            if (indices, size) not in self._sights:
                wanted.setdefault(size, set()).update(indices)
        started_s = time.perf_counter()
        self._keep_frames_of(wanted)
        for size, union in wanted.items():
            self._read(sorted(union), size)
        self._prepared_s += time.perf_counter() - started_s

    def see(self, clip: Clip) -> Sight:
        """Visual tokens of a clip.

        Raises:
            VideoError: The video is not watched, or cannot be decoded.
        """
        file, indices, size = self._look_up(clip)
        key = (indices, size)
        if key in self._sights:
            self._sights.move_to_end(key)
            return replace(self._sights[key], seconds={"frames": 0.0, "vision": 0.0})
        started_s = time.perf_counter()
        if not self._frames.get(size, {}).keys() >= set(indices):
            # A role's frames are seldom asked for after the next role's: one set at a time bounds memory.
            self._keep_frames_of([size])
        frames = self._read(indices, size)
        if self._look is not None:
            self._look(file.video, frames)
        decoded_s = time.perf_counter()
        features = encode(self._tower, frames, self._mean, self._std)
        if features.is_cuda:
            torch.cuda.synchronize(features.device)
        # The first clip that uses prepared frames bears their cost.
        seconds = {"frames": decoded_s - started_s + self._prepared_s, "vision": time.perf_counter() - decoded_s}
        self._prepared_s = 0.0
        patch_px, merge = self._tower.config.patch_size, self._tower.config.spatial_merge_size
        rows, columns = frames.shape[2] // patch_px, frames.shape[3] // patch_px
        sight = Sight(
            features=features,
            indices=indices,
            times_s=tuple(file.times_s(indices)),
            grid=(features.shape[0], rows // merge, columns // merge),
            grid_thw=(features.shape[0], rows, columns),
            seconds=seconds,
        )
        self._keep(key, sight)
        return sight

    def _keep(self, key: tuple[tuple[int, ...], _Size], sight: Sight) -> None:
        self._sights[key] = sight
        while len(self._sights) > 1 and self._kept_bytes() > FEATURE_CACHE_BYTES:
            self._sights.popitem(last=False)

    def _kept_bytes(self) -> int:
        return sum(sight.features.numel() * sight.features.element_size() for sight in self._sights.values())

    def _look_up(self, clip: Clip) -> tuple[VideoFile, tuple[int, ...], _Size]:
        """A clip's file, the numbers of its frames, and their size."""
        file = self._file(clip.video)
        height, width = resized_hw(file.video.height_px, file.video.width_px, clip.budget)
        return file, tuple(file.indices(clip)), (file.video.path, height, width)

    def _keep_frames_of(self, sizes: Iterable[_Size]) -> None:
        self._frames = {size: self._frames.get(size, {}) for size in sizes}

    def _read(self, indices: Sequence[int], size: _Size) -> Tensor:
        """Resized frames, uint8, [n, 3, height, width]; those of the last pass at this size are kept."""
        path, height, width = size
        kept = self._frames.get(size, {})
        missing = sorted(set(indices) - kept.keys())
        if missing:
            device = str(self._tower.patch_embed.proj.weight.device)
            read = self._files[path].read(missing, height, width, device=device)
            kept = {index: kept[index] for index in indices if index in kept}
            kept |= {index: read[at] for at, index in enumerate(missing)}
            self._frames[size] = kept
        return torch.stack([kept[index] for index in indices])

    def _file(self, video: Video) -> VideoFile:
        try:
            return self._files[video.path]
        except KeyError:
            raise VideoError(f"{video.path}: not opened; call watch() with its VideoFile first") from None
