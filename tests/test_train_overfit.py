"""Each role overfits eight generated examples from scratch on a CPU, through its own script.

These tests ask the examples that were learned. So they show that the machinery can learn at all, from the films to the
adapter that the agent loads, and say nothing of other films. The base is small and frozen, and its output layer cannot
say every word (of "moment" it can reach a probability of 6 % at best), hence the prompts of `films.short_prompts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.heads.timestamp import TimestampHead
from adapters.store import read_tensors
from adapters.train import answerer, grounder, mine, planner, verifier
from roles import planner as planner_role
from roles import scores
from tests.films import BASE, make_examples, short_prompts

EVERY_LAYER = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

Main = Callable[[Sequence[str]], int]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_examples(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


def overfit(main: Main, data: Path, out: Path, *more: str) -> None:
    """Trains on a file of examples and asks the same examples."""
    common = f"--model {BASE} --data {data} --val {data} --out {out} --features {out}/.features --prompts"
    common += f" {short_prompts(out)} --device cpu --report-to none --save-every 1000 --workers 0 --warmup 0.1"
    common += " --batch 8 --samples-per-pass 8 --lora-rank 16 --lora-dropout 0"
    assert main([*common.split(), *more]) == 0


def asked(out: Path, role: str) -> list[dict[str, Any]]:
    lines = (out / role / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def metrics(out: Path, role: str) -> dict[str, float]:
    found = json.loads((out / role / "summary.json").read_text(encoding="utf-8"))["metrics"]
    return {name: value["last"] for name, value in found.items()}


@pytest.fixture(scope="module")
def grounded(data: Path, out: Path) -> Path:
    """A grounder that was overfitted; the adapters folder."""
    overfit(grounder.main, data, out, "--learning-rate", "3e-3", "--epochs", "85", "--drop-path", "0")
    return out


def test_a_grounder_finds_every_moment_that_it_was_shown(grounded: Path) -> None:
    reached = metrics(grounded, "grounder")
    assert reached["mIoU"] > 0.8
    assert reached["R1@0.5"] == 1.0
    assert [one["reply"] for one in asked(grounded, "grounder")] == ["It can be seen at <|reg|>."] * 8


def test_every_part_of_the_grounders_head_was_trained(grounded: Path) -> None:
    trained = {name.removeprefix("base_model.model."): x for name, x in head_of(grounded).items()}
    # The same draws as in `build`: what the head began with. Moving away from it takes a gradient.
    first = first_head(seed=42)
    assert trained.keys() == first.keys()
    still = [name for name, x in trained.items() if bool((x == first[name]).all())]
    # What a key's bias adds is the same for every key, so the softmax takes it out again: its gradient is rounding.
    assert [name for name in still if not name.endswith("self_att.k.bias")] == []


def head_of(adapters: Path) -> dict[str, torch.Tensor]:
    from adapters.store import read_adapter_folder

    head = read_adapter_folder(str(adapters)).head
    assert head is not None
    return read_tensors(head)


def first_head(seed: int) -> dict[str, torch.Tensor]:
    from adapters.loading import choose_placement
    from adapters.tokens import Tokens
    from adapters.train.build import LoraShape, build
    from prompts import own_prompts

    bench = build(
        "grounder",
        BASE,
        Tokens(BASE.parent / "videomind"),
        own_prompts(),
        choose_placement("cpu", "float32", "sdpa"),
        LoraShape(16, 64.0, 0.0, ("q_proj", "k_proj", "v_proj", "o_proj")),
        "rows",
        True,
        None,
        seed,
    )
    assert isinstance(bench.network.head, TimestampHead)
    return dict(bench.network.head.state_dict())


def test_a_verifier_tells_a_grounders_right_candidates_from_its_wrong_ones(
    grounded: Path, data: Path, tmp_path: Path
) -> None:
    mined = tmp_path / "mined.jsonl"
    command = f"--model {BASE} --adapters {grounded} --data {data} --out {mined} --device cpu"
    assert mine.main(command.split()) == 0
    lines = [json.loads(line) for line in mined.read_text(encoding="utf-8").splitlines()]
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault(line["tags"]["group"], []).append(line)
    assert len(groups) == 8
    # The best and the worst candidate of four questions: only the marks in the clip tell the two apart.
    picked = []
    for group in list(groups.values())[1::2]:
        by_overlap = sorted(group, key=lambda one: float(one["tags"]["candidate_iou"]))
        picked += [by_overlap[0], by_overlap[-1]]
    assert [one["answer"] for one in picked] == ["No", "Yes"] * 4
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(one) + "\n" for one in picked), encoding="utf-8")
    out = grounded
    overfit(verifier.main, tmp_path / "some.jsonl", out, "--learning-rate", "3e-3", "--epochs", "60")
    assert metrics(out, "verifier")["auc"] > 0.95
    records = asked(out, "verifier")
    assert {record["right"] for record in records} == {True, False}
    assert scores.auc([r["margin"] for r in records], [r["right"] for r in records]) == metrics(out, "verifier")["auc"]


def test_a_planner_writes_every_plan_that_it_was_shown(data: Path, out: Path) -> None:
    more = ("--learning-rate", "4e-3", "--epochs", "70", "--lora-targets", *EVERY_LAYER)
    overfit(planner.main, data, out, *more)
    reached = metrics(out, "planner")
    assert reached["route_accuracy"] == reached["parse_rate"] == 1.0
    examples = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    replies = [one["reply"] for one in asked(out, "planner")]
    assert replies == [plan_for(example) for example in examples]
    assert len({one["truth"] for one in asked(out, "planner")}) == 4


def plan_for(example: dict[str, Any]) -> str:
    tags = example.get("tags", {})
    route = tags.get("route", "ground")
    query = None if route == "answer" else planner_role.clean_query(tags.get("query", example["question"]))
    return planner_role.target(route, query)


def test_an_answerer_answers_every_question_that_it_was_shown(tmp_path: Path) -> None:
    data = make_examples(tmp_path / "films", seconds=4)
    more = ("--learning-rate", "4e-3", "--epochs", "45", "--lora-targets", *EVERY_LAYER, "--jitter", "0")
    overfit(answerer.main, data, tmp_path, *more)
    assert metrics(tmp_path, "answerer")["accuracy"] == 1.0
    told = [(one["reply"], one["options"]) for one in asked(tmp_path, "answerer")]
    assert [reply for reply, options in told if not options] == ["early", "yes", "late", "yes"]
    assert {reply for reply, options in told if options} >= {"C) Red", "D) Yellow"}
