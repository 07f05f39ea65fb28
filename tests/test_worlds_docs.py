"""What docs/worlds.md shows in Python runs, and the kinds and types that it names are those there are."""

import re
from pathlib import Path
from typing import Any

from eval.worlds import plot, questions, splits

DOCS = (Path(__file__).parents[1] / "docs" / "worlds.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    [code] = re.findall(r"^```python\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/worlds.md", "exec"), names)  # noqa: S102 - our own documentation
    assert names["frames"].shape[1:] == (112, 168, 3)
    assert names["frames"].shape[0] == names["drawn"].frames
    assert {question.type for question in names["asked"]} >= {"reality", "honesty"}


def test_every_kind_and_type_is_explained() -> None:
    words = set(re.findall(r"`([a-z_0-9]+)`", DOCS))
    kinds = {kind.removesuffix("_distrusted") for kind in plot.all_kinds()}
    assert kinds - words == set()
    assert set(questions.TYPES) - words == set()
    for first, stop in splits.RANGES.values():
        assert f"{first:,} to {stop - 1:,}" in DOCS
