"""Fixtures that several test modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ORACLE = Path(__file__).parent / "data" / "oracle"


@pytest.fixture
def small_video() -> Iterator[Any]:
    """A ten-second film, opened."""
    from adapters.frames import open_video

    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        yield file
