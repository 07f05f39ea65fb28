"""A place on disk and what fills it go in; the file or folder appears there whole, or what was there stays.

Everything is written beside the place under a hidden name, synced to the disk, and renamed. A full disk therefore costs
nothing that was there before.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roles.errors import CheckpointError


@contextmanager
def new_file(place: Path) -> Iterator[Path]:
    """Yields a file to write, which takes the place's name when the block ends.

    Raises:
        CheckpointError: It cannot be written.
    """
    partial = _beside(place, "partial")
    with _one_line(place):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _sync(partial)
            partial.replace(place)
            _sync(place.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """Yields an empty folder to fill, which takes the place's name when the block ends.

    A folder that is there already is moved aside, and removed once the new one is in place. Should the machine stop
    between the two, the next write puts it back.

    Raises:
        CheckpointError: It cannot be written.
    """
    partial, old = _beside(place, "partial"), _beside(place, "old")
    with _one_line(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        recover(place)
        partial.mkdir()
        try:
            yield partial
            for file in sorted(partial.rglob("*")):
                _sync(file)
            _sync(partial)
            if place.exists():
                place.rename(old)
            try:
                partial.rename(place)
            except OSError:
                recover(place)
                raise
            _sync(place.parent)
            _remove(old)
        finally:
            _remove(partial)


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """Yields an empty folder beside a place, from which `publish` takes files; it is gone when the block ends.

    Raises:
        CheckpointError: It cannot be written.
    """
    partial, parent = _beside(place, "partial"), place.parent
    made = not parent.exists()
    with _one_line(parent):
        parent.mkdir(parents=True, exist_ok=True)
        _remove(partial)
        partial.mkdir()
        try:
            yield partial
        finally:
            _remove(partial)
            if made and not any(parent.iterdir()):
                parent.rmdir()


def publish(file: Path, place: Path) -> None:
    """Moves a finished file to its place."""
    _sync(file)
    file.replace(place)
    _sync(place.parent)


def recover(place: Path) -> None:
    """Clears away what an interrupted write of a folder left, and puts back what it had moved aside."""
    partial, old = _beside(place, "partial"), _beside(place, "old")
    if old.exists() and not place.exists():
        old.rename(place)
    _remove(old)
    _remove(partial)


@contextmanager
def _one_line(place: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors wraps the system's errors into its own
        reason = getattr(error, "strerror", None) or str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{place}: cannot be written ({reason}); what was there is as it was. Make room, or name another folder"
        ) from error


def _beside(place: Path, kind: str) -> Path:
    return place.with_name(f".{place.name}.{kind}")


def _sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
