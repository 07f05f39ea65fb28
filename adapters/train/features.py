"""Visual tokens on disk: clips go in, files that save running the vision tower again come out.

The tower is frozen, so its output for a clip never changes. A file is named after everything that it depends on: the
video's content, the frames, their size, the tower's weights, the normalisation of pixels, and the dtype.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.frames import fingerprint, open_video
from adapters.train.packing import ClipKey
from adapters.train.videos import dead_workers_named
from adapters.vision import encode
from roles.errors import DataError, MindreelError

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
FEATURES = "features"
"""The tensor's name in its file."""


class FeatureStore:
    """Visual tokens by clip.

    Args:
        folder: Where they lie; several runs, also at a time, may share it.
        tower_id: From `tower_id`.
    """

    def __init__(self, folder: Path, tower_id: str) -> None:
        self.folder = folder
        self._tower_id = tower_id

    def path(self, key: ClipKey) -> Path:
        """The file of a clip.

        Raises:
            VideoError: The video cannot be read.
        """
        stated = json.dumps([self._tower_id, _content(key.path), key.indices, key.height_px, key.width_px])
        name = hashlib.sha256(stated.encode()).hexdigest()[:40]
        return self.folder / name[:2] / f"{name[2:]}.safetensors"

    def has(self, key: ClipKey) -> bool:
        """Whether a clip's visual tokens are there, and whole: a machine that lost power may leave half a file.

        Raises:
            VideoError: The video cannot be read.
        """
        from safetensors import SafetensorError, safe_open

        try:
            # Opening reads the header, which states the file's length.
            with safe_open(self.path(key), framework="pt") as file:
                return FEATURES in file.keys()  # noqa: SIM118 - it is no dict
        except (OSError, SafetensorError):
            return False

    def load(self, key: ClipKey) -> Tensor:
        """A clip's visual tokens, [T, tokens per temporal patch, H], on the CPU."""
        from safetensors.torch import load_file

        features: Tensor = load_file(self.path(key))[FEATURES]
        return features

    def save(self, key: ClipKey, features: Tensor) -> None:
        """Keeps a clip's visual tokens, whole or not at all.

        Raises:
            DataError: The folder cannot be written to.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        path = self.path(key)
        # Other runs may share the folder, also from other machines.
        partial = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                save_file({FEATURES: features.contiguous()}, partial)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except (OSError, SafetensorError) as error:
            raise self._unwritable(error) from error

    def check(self) -> None:
        """Makes sure, before long work, that it can be written to.

        Raises:
            DataError: It cannot.
        """
        partial = self.folder / f".{os.getpid()}-{secrets.token_hex(4)}.partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.touch()
            partial.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> DataError:
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
        return DataError(
            f"{self.folder}: features cannot be kept ({reason}); make room, or name another folder with --features"
        )


def tower_id(tower: Any, pixels: tuple[Sequence[float], Sequence[float]]) -> str:
    """Names a vision tower by its weights, their dtype and the normalisation of its pixels."""
    digest = hashlib.sha256(json.dumps([list(values) for values in pixels]).encode())
    for name, tensor in sorted(tower.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def read_clip(key: ClipKey) -> Tensor:
    """A clip's frames, uint8 [2 T, 3, height, width].

    Raises:
        VideoError: The video cannot be read.
    """
    with open_video(key.path) as file:
        return file.read(key.indices, key.height_px, key.width_px)


def fill_store(
    store: FeatureStore,
    keys: Sequence[ClipKey],
    tower: Any,
    pixels: tuple[Sequence[float], Sequence[float]],
    workers: int,
    track: Track,
) -> dict[ClipKey, str]:
    """Encodes the clips that a store lacks; an interrupted filling goes on where it was.

    Args:
        store: What to fill.
        keys: Clips, without marks.
        tower: The vision tower, on its device.
        pixels: Mean and standard deviation per channel.
        workers: Processes that decode.
        track: Shows progress.

    Returns:
        Clips that cannot be decoded, and why.

    Raises:
        DataError: The store cannot be written to, or a worker died over a video.
    """
    from torch.utils.data import DataLoader

    broken: dict[ClipKey, str] = {}
    missing = []
    for key in dict.fromkeys(keys):
        try:
            if not store.has(key):
                missing.append(key)
        except MindreelError as error:
            broken[key] = str(error)
    if not missing:
        return broken
    store.check()
    loader: Any = DataLoader(_Clips(missing), batch_size=None, num_workers=min(workers, len(missing)))  # type: ignore[arg-type]
    mean, std = (torch.tensor(values) for values in pixels)
    with ThreadPoolExecutor(2) as writers, torch.inference_mode(), dead_workers_named("encoding clips"):
        writing: list[Future[None]] = []
        for number, frames, reason in track(loader, "encoding clips", len(missing)):
            key = missing[number]
            if frames is None:
                broken[key] = reason
                continue
            features = encode(tower, frames, mean, std).cpu()
            writing.append(writers.submit(store.save, key, features))
            while len(writing) > 8:
                writing.pop(0).result()
        for one in writing:
            one.result()
    return broken


class _Clips:
    def __init__(self, keys: Sequence[ClipKey]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: int) -> tuple[int, Tensor | None, str]:
        try:
            return number, read_clip(self._keys[number]), ""
        except MindreelError as error:
            return number, None, str(error)


@lru_cache(maxsize=1 << 16)
def _content(path: str) -> str:
    return fingerprint(path)
