"""Validation counts what failed as wrong, and leaves out what could not be seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from adapters.train import validation
from adapters.train.recipe import Item
from roles.errors import StepError, VideoError
from roles.types import Example, Video

ALONE = SimpleNamespace(process_index=0, num_processes=1, is_main_process=True)


class Bench:
    """A network without weights, and a backbone that opens nothing."""

    def __init__(self) -> None:
        self.network = torch.nn.Linear(1, 1).train()
        self.backbone: Any = SimpleNamespace(
            placement=SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32),
            watches=lambda video: True,
            forget=lambda video: None,
        )

    def show(self) -> None:
        assert not self.network.training


class Recipe:
    """Right where the question says so; fails, or cannot see, likewise."""

    def ask(self, backbone: Any, item: Item) -> dict[str, Any]:
        if item.example.question == "fails":
            raise StepError("the adapter has diverged")
        if item.example.question == "unseen":
            raise VideoError("x.mp4: cannot be decoded")
        return {"right": item.example.question == "right"}

    def missed(self, item: Item) -> dict[str, Any]:
        return {"right": False}

    def score(self, records: list[dict[str, Any]]) -> dict[str, float]:
        return {"accuracy": sum(record["right"] for record in records) / len(records)}


def items(*questions: str) -> list[Item]:
    return [
        Item(Example(f"{number}.mp4", question), Video(f"{number}.mp4", 4.0, 10.0, 96, 64, 40), f"val.jsonl:{number}")
        for number, question in enumerate(questions)
    ]


def validate(*questions: str) -> tuple[dict[str, float], list[dict[str, Any]]]:
    bench: Any = Bench()
    recipe: Any = Recipe()
    found = validation.validate(bench, recipe, items(*questions), ALONE)
    assert bench.network.training  # as it was found
    return found


def test_a_failure_of_the_adapter_is_a_wrong_answer() -> None:
    metrics, records = validate("right", "fails", "right", "wrong")
    assert metrics == {"accuracy": pytest.approx(0.5), "failed": 1.0}
    assert [record["source"] for record in records] == [f"val.jsonl:{number}" for number in range(4)]
    assert "diverged" in records[1]["error"]


def test_a_video_that_cannot_be_decoded_is_left_out_and_counted() -> None:
    metrics, records = validate("right", "unseen", "wrong")
    assert metrics == {"accuracy": pytest.approx(0.5), "unseen": 1.0}
    assert records[1]["unseen"]


def test_nothing_is_claimed_where_nothing_could_be_seen() -> None:
    metrics, _ = validate("unseen")
    assert metrics == {"unseen": 1.0}
