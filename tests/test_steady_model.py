"""A model that keeps what it has read says, to the last bit, what it says without."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.frames import open_video
from agent import Agent
from eval import run
from eval.asking import Job, Worker
from eval.item import Item, read_items
from eval.run_folder import read_predictions
from eval.steady_model import SteadyModel
from tests.test_eval_run import ORACLE, command, examples


@pytest.fixture(scope="module")
def steady() -> SteadyModel:
    model = SteadyModel.load(str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu")
    assert isinstance(model, SteadyModel)
    model.reader._size = 32
    return model


def test_the_agent_alone_says_the_same(tmp_path: Path, steady: SteadyModel) -> None:
    data, out = examples(tmp_path, 2, ("v1",)), tmp_path / "out"
    assert run.main([*command(data, out, "--frames", "8")]) == 0
    item = read_items(out / "items.jsonl")[0]
    job = Job(out, frames={"answerer": 8}, plan="answer")
    worker = Worker.__new__(Worker)
    worker._job, worker.model = job, steady
    with open_video(item.video) as file:
        video = steady.watch(file)
        result = Agent(steady, worker._settings).ask(video, item.question, item.options)
        steady.forget(video)
    assert read_predictions(out)[item.key]["said"] == result.answer.text
    assert result.steps[-1].usage is not None
    assert len(result.steps[-1].usage["frames"][0]["indices"]) <= 8


def texts(model: SteadyModel, items: Sequence[Item], order: Sequence[int]) -> dict[str, tuple[Any, ...]]:
    """What a model says of some questions, bit by bit, asked in an order."""
    said = {}
    with open_video(items[0].video) as file:
        video = model.watch(file)
        try:
            agent = Agent(model)
            for at in order:
                result = agent.ask(video, items[at].question, items[at].options)
                moments = tuple((one.span, one.confidence, one.p_yes) for one in result.moments)
                said[items[at].key] = (result.answer.text, result.answer.option_probs, moments)
        finally:
            model.forget(video)
    return said


def test_what_was_asked_before_changes_no_bit(steady: SteadyModel, tmp_path: Path) -> None:
    examples(tmp_path, 3, ("v4",))
    rows = [json.loads(line) for line in (tmp_path / "data" / "test.jsonl").read_text().splitlines()]
    items = [Item(row["tags"]["id"], row["video"], row["question"], tuple(row["options"])) for row in rows]
    before = steady.reader.reused_tokens
    together = texts(steady, items, range(3))
    assert steady.reader.reused_tokens > before  # something was read once for several questions
    for at, item in enumerate(items):
        assert texts(steady, items, [at])[item.key] == together[item.key]
    assert texts(steady, items, [2, 0, 1]) == together


def test_read_in_chunks_a_prompt_says_what_it_says_in_one_piece(steady: SteadyModel) -> None:
    generator = torch.Generator().manual_seed(0)
    embeds = torch.randn((1, 83, 128), generator=generator)
    positions = torch.arange(83)[None, None].expand(3, 1, 83)
    plain = super(type(steady.reader), steady.reader)
    with torch.inference_mode():
        whole = plain.forward(embeds, positions)
        chunked = [steady.reader.forward(embeds, positions) for _ in range(2)]
    steady.reader.forget()
    assert torch.equal(chunked[0], chunked[1])
    torch.testing.assert_close(chunked[0], whole, rtol=1e-4, atol=1e-4)
