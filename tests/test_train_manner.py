"""A base that says how it is asked: the scripts train its roles so, keep it, and the agent asks them so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters import embedded
from adapters.train import answerer, grounder, planner, verifier
from adapters.train.mine import grounder_id
from adapters.train.mine import main as mine
from agent import read_traces
from agent.build import DEFAULT_NOTE
from agent.run import main as ask
from roles.manner import BUDGETS, MANNER_FILE, Manner, read_manner
from roles.types import Budget
from tests.films import BASE, make_examples, short_prompts

MANNER = Manner(
    budgets=dict.fromkeys(BUDGETS, Budget(2.0, 16, 4 * 784, 9 * 784)),
    style="direct",
    choose="likelihood",
    clip="hull",
    min_clip_s=4.0,
    candidates=3,
    window_s=3.0,
    marks="aligned",
)
OPTIONS = ["blue", "green", "red", "yellow"]
Main = Callable[[list[str]], int]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_examples(tmp_path_factory.mktemp("films"), seconds=4)


@pytest.fixture(scope="module")
def default(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four roles over a base with a manner, laid out as the default is, and moved after its training."""
    made = tmp_path_factory.mktemp("made") / "default"
    shutil.copytree(BASE, made / "base")
    (made / "base" / MANNER_FILE).write_text(json.dumps(MANNER.to_json()))
    common = f"--model {made / 'base'} --out {made} --batch 2 --samples-per-pass 2 --lora-rank 4 --workers 0"
    words = [*common.split(), *["--max-steps", "1", "--device", "cpu", "--report-to", "none"]]
    words += ["--prompts", str(short_prompts(made.parent))]
    assert planner.main([*words, "--data", str(data)]) == 0
    assert grounder.main([*words, "--data", str(data)]) == 0
    mined = made.parent / "mined.jsonl"
    said = f"--model {made / 'base'} --adapters {made} --data {data} --out {mined} --device cpu"
    assert mine(said.split()) == 0
    assert verifier.main([*words, "--data", str(mined)]) == 0
    assert answerer.main([*words, "--data", str(data), "--val", str(data)]) == 0
    shutil.copytree(made, made.parent / "moved")
    shutil.rmtree(made)
    return made.parent / "moved"


def test_the_folder_says_how_its_roles_were_trained(default: Path) -> None:
    assert read_manner(default) == MANNER


def test_mining_keeps_as_many_candidates_as_will_be_judged(default: Path, data: Path) -> None:
    mined = [json.loads(line) for line in (default.parent / "mined.jsonl").read_text().splitlines()]
    groups: dict[str, int] = {}
    for line in mined:
        groups[line["tags"]["group"]] = groups.get(line["tags"]["group"], 0) + 1
    assert 1 <= max(groups.values()) <= MANNER.candidates


def test_validation_chose_among_options_and_wrote_without_them(default: Path) -> None:
    asked = [json.loads(line) for line in (default / "answerer" / "validation.jsonl").read_text().splitlines()]
    assert {one["reply"] in OPTIONS for one in asked if one["options"]} == {True}
    assert any(one["options"] == 0 for one in asked)


def test_the_default_answers_where_no_model_is_named(
    default: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(embedded, "FOLDER", default)
    monkeypatch.chdir(tmp_path)
    film = data.with_name("film0.mp4")
    words = ["--video", str(film), "--question", "Which square comes first?", "--options", *OPTIONS, "--json"]
    assert ask([*words, "--plan", "ground", "--device", "cpu", "--trace", "t.jsonl"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["answer"]["text"] in OPTIONS
    assert said["answer"]["choice"] == "ABCD"[OPTIONS.index(said["answer"]["text"])]
    assert sum(said["answer"]["option_probs"]) == pytest.approx(1.0)
    assert said["notes"] == [DEFAULT_NOTE]
    assert said["strange_film"] is None
    assert list(said)[-1] == "strange_film"
    [trace] = read_traces(tmp_path / "t.jsonl")
    assert trace.manner == MANNER.to_json()
    assert trace.notes == (DEFAULT_NOTE,)
    assert trace.run["model"]["model"] == str(default / "base")
    for step in trace.steps:
        for request in step.requests:
            assert request["budget"]["fps"] == 2.0
            assert step.call.role != "verifier" or request["span"]["end_s"] - request["span"]["start_s"] >= 3.0 - 1e-6


def test_a_users_wish_goes_before_the_manner(
    default: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--video", str(data.with_name("film0.mp4")), "--question", "Which?", "--adapters", str(default), "--json"]
    assert ask([*words, "--plan", "answer", "--device", "cpu", "--min-clip", "1", "--trace", "t.jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"]["option_probs"] is None
    [trace] = read_traces(tmp_path / "t.jsonl")
    assert trace.manner == replace(MANNER, min_clip_s=1.0).to_json()


def test_another_manner_makes_another_grounder_of_the_same_weights(default: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(default, tmp_path / name, ignore=shutil.ignore_patterns("base", ".train"))
    assert grounder_id(tmp_path / "a") == grounder_id(tmp_path / "b")
    (tmp_path / "b" / MANNER_FILE).write_text(json.dumps(Manner().to_json()))
    assert grounder_id(tmp_path / "a") != grounder_id(tmp_path / "b")


def test_a_run_does_not_go_on_under_another_manner(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(BASE, tmp_path / "base")
    common = f"--model {tmp_path / 'base'} --data {data} --out {tmp_path / 'out'} --batch 2 --samples-per-pass 2"
    words: list[Any] = [*common.split(), *["--lora-rank", "4", "--workers", "0", "--max-steps", "1", "--device", "cpu"]]
    words += ["--report-to", "none"]
    assert planner.main(words) == 0
    assert not (tmp_path / "out" / MANNER_FILE).exists()
    (tmp_path / "base" / MANNER_FILE).write_text(json.dumps(MANNER.to_json()))
    assert planner.main(words) == 2
    assert "the manner has changed since that run began" in capsys.readouterr().err
