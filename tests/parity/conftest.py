"""The recorded numbers of VideoMind's own code, and our model on the very checkpoint that they were recorded with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ORACLE = Path(__file__).parents[1] / "data" / "oracle"
CASES = tuple(sorted(path.stem for path in (ORACLE / "inference").glob("*.json")))


@cache
def read_case(name: str) -> dict[str, Any]:
    """One recorded question with all its steps."""
    case: dict[str, Any] = json.loads((ORACLE / "inference" / f"{name}.json").read_text())
    return case


def unroll(pairs: list[list[int]]) -> list[int]:
    """Run-length encoded ids as a list."""
    return [token for token, count in pairs for _ in range(count)]


@pytest.fixture(scope="session")
def backbone() -> Any:
    from adapters.qwen2vl import Qwen2VL

    return Qwen2VL.load(None, str(ORACLE / "videomind"), device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def videos(backbone: Any) -> Iterator[dict[str, Any]]:
    from adapters.frames import open_video

    files = {f"videos/{path.name}": open_video(path) for path in (ORACLE / "videos").glob("*.mp4")}
    for file in files.values():
        backbone.watch(file)
    yield files
    for file in files.values():
        file.close()
