"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Workers of one test run share the cores; torch would take all of them in each, and spin while it waits. Said here as
# torch must not have been imported yet.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _workers > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _workers)))

ORACLE = Path(__file__).parent / "data" / "oracle"


def _unpack(archive: Path) -> None:
    """Unpacks the oracle's long texts beside their archive, where they are not there yet."""
    with tarfile.open(archive) as packed:
        missing = [name for name in packed.getnames() if not (archive.parent / name).is_file()]
        if not missing:
            return
        # Several test processes may do this at once: each file appears whole or not at all.
        with tempfile.TemporaryDirectory(dir=archive.parent) as place:
            packed.extractall(place, filter="data")
            for name in missing:
                (Path(place) / name).replace(archive.parent / name)


_unpack(ORACLE / "texts.tar.xz")


@pytest.fixture
def small_video() -> Iterator[Any]:
    """A ten-second film, opened."""
    from adapters.frames import open_video

    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        yield file
