"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.packed import unpack

# Workers of one test run share the cores; torch would take all of them in each, and spin while it waits. Said here as
# torch must not have been imported yet.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _workers > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _workers)))

ORACLE = Path(__file__).parent / "data" / "oracle"


unpack(ORACLE / "texts.tar.xz")


LONGEST = ("test_readme.py",)
"""Files that take minutes begin first, or one process works on alone when all others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; within files the order stays."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture
def small_video() -> Iterator[Any]:
    """A ten-second film, opened."""
    from adapters.frames import open_video

    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        yield file
