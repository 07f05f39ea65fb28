"""The composition root, with stand-ins for the two modules of `adapters` that it knows."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from adapters import embedded
from agent import open_session, read_traces
from agent.build import DEFAULT_NOTE, SessionOptions
from agent.errors import CheckpointError, QuestionError, TraceError, VideoError
from roles.types import Span
from tests.fakes import VIDEO, ScriptedBackbone


@dataclass
class Log:
    """What the stand-ins were told, in order."""

    events: list[str] = field(default_factory=list)
    loaded: dict[str, Any] = field(default_factory=dict)
    refuse: Exception | None = None
    backbone: ScriptedBackbone = field(default_factory=ScriptedBackbone)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Log:
    log = Log()
    frames: Any = ModuleType("adapters.frames")
    qwen: Any = ModuleType("adapters.qwen2vl")

    def open_video(path: str, *, frame_rate: float, allow_urls: bool) -> Any:
        if path == "broken.mp4":
            raise VideoError("broken.mp4: no video")
        log.events.append(f"open {path}")
        return SimpleNamespace(video=VIDEO, notes=("odd header",), close=lambda: log.events.append("close"))

    def load(model: str | None, adapters: str | None, **options: Any) -> ScriptedBackbone:
        log.events.append("load")
        if log.refuse is not None:
            raise log.refuse
        options.pop("progress")("base model")
        log.loaded = {"model": model, "adapters": adapters, **options}
        backbone: Any = log.backbone
        backbone.notes = ["its tokenizer is old"]
        backbone.watch = lambda file: file.video
        backbone.forget = lambda video: log.events.append("forget")
        return log.backbone

    frames.open_video, frames.fingerprint = open_video, lambda path: "sha256:abc"
    qwen.Qwen2VL = SimpleNamespace(load=load)
    monkeypatch.setitem(sys.modules, "adapters.frames", frames)
    monkeypatch.setitem(sys.modules, "adapters.qwen2vl", qwen)
    monkeypatch.setattr(embedded, "FOLDER", tmp_path / "default")
    monkeypatch.chdir(tmp_path)
    return log


def test_a_session_opens_once_and_answers_often(log: Log, tmp_path: Path) -> None:
    said: list[str] = []
    options = SessionOptions("v.mp4", model="m", adapters="a", dtype="float32", own_prompts=True, argv=("--x",))
    with open_session(options, say=said.append) as session:
        first = session.ask("One?", ["a", "b"])
        second = session.ask("Two?")
        assert session.describe()["attn"] == "sdpa"
    assert log.events == ["open v.mp4", "load", "forget", "close"]
    assert log.loaded == {
        "model": "m",
        "adapters": "a",
        "device": "auto",
        "dtype": "float32",
        "attn": "auto",
        "prompts": "own",
    }
    assert said == ["opening the video", "loading the model", "base model"]
    assert first.notes == ("odd header", "its tokenizer is old")
    assert first.trace is not None
    assert first.trace.parent == Path("runs")
    assert [trace.question for trace in read_traces(first.trace)] == ["One?", "Two?"]
    assert read_traces(first.trace)[0].run["fingerprint"] == "sha256:abc"
    assert second.answer.text


def test_where_no_model_is_named_the_default_answers_and_the_result_and_trace_say_so(log: Log, tmp_path: Path) -> None:
    (tmp_path / "default" / "base").mkdir(parents=True)
    (tmp_path / "default" / "base" / "config.json").write_text("{}")
    with open_session(SessionOptions("v.mp4")) as session:
        result = session.ask("One?", ["a", "b"])
    assert (log.loaded["model"], log.loaded["adapters"]) == (
        str(tmp_path / "default" / "base"),
        str(tmp_path / "default"),
    )
    assert result.notes[0] == DEFAULT_NOTE
    assert result.trace is not None
    assert read_traces(result.trace)[0].notes[0] == DEFAULT_NOTE


@pytest.mark.parametrize("named", [{"model": "m"}, {"adapters": "a"}])
def test_a_model_that_is_named_is_never_replaced_by_the_default(
    log: Log, tmp_path: Path, named: dict[str, Any]
) -> None:
    (tmp_path / "default" / "base").mkdir(parents=True)
    (tmp_path / "default" / "base" / "config.json").write_text("{}")
    with open_session(SessionOptions("v.mp4", **named)) as session:
        result = session.ask("One?")
    assert {"model": log.loaded["model"], "adapters": log.loaded["adapters"]} == {
        "model": None,
        "adapters": None,
        **named,
    }
    assert DEFAULT_NOTE not in result.notes


def test_without_the_default_the_error_says_how_it_is_made(log: Log) -> None:
    with (
        pytest.raises(CheckpointError, match=r"no model is named; .*python -m adapters\.train\.default makes it"),
        open_session(SessionOptions("v.mp4")),
    ):
        pass


def test_a_part_reaches_the_agent(log: Log) -> None:
    with open_session(SessionOptions("v.mp4", adapters="a", start_s=50.0, end_s=70.0)) as session:
        result = session.ask("Why?")
    assert log.backbone.requests[0].clip.span == Span(50, 60)
    assert "the end at 70 s lies beyond the video, which is 60 s long: asked up to its end" in result.notes


@pytest.mark.parametrize(
    ("options", "error", "events"),
    [
        (SessionOptions("v.mp4"), CheckpointError, []),
        (SessionOptions("v.mp4", model="m", start_s=3.0, end_s=2.0), QuestionError, []),
        (SessionOptions("broken.mp4", model="m"), VideoError, []),
        (SessionOptions("v.mp4", model="m", start_s=61.0), QuestionError, ["open v.mp4", "close"]),
        (SessionOptions("v.mp4", model="m", trace="/dev/full"), TraceError, ["open v.mp4", "close"]),
    ],
)
def test_what_is_wrong_is_found_before_the_model_is_loaded(
    log: Log, options: SessionOptions, error: type[Exception], events: list[str]
) -> None:
    with pytest.raises(error), open_session(options):
        pass
    assert log.events == events


def test_a_checkpoint_that_does_not_fit_leaves_no_trace_behind(log: Log, tmp_path: Path) -> None:
    log.refuse = CheckpointError("tensors are missing")
    with pytest.raises(CheckpointError), open_session(SessionOptions("https://x/v.mp4", adapters="a", trace="t.jsonl")):
        pass
    assert log.events[-1] == "close"
    assert not (tmp_path / "t.jsonl").exists()


@pytest.mark.parametrize(
    ("refuse", "outcome"), [(RuntimeError("boom"), "RuntimeError: boom"), (KeyboardInterrupt(), "interrupted")]
)
def test_a_run_that_ends_early_says_so_in_its_trace(log: Log, tmp_path: Path, refuse: Any, outcome: str) -> None:
    log.refuse = refuse
    with pytest.raises(type(refuse)), open_session(SessionOptions("v.mp4", adapters="a", trace="t.jsonl")):
        pass
    assert f'"outcome": "{outcome}"' in (tmp_path / "t.jsonl").read_text()


def test_the_real_adapters_have_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    import inspect

    from adapters import frames

    names: Callable[[Any], set[str]] = lambda function: set(inspect.signature(function).parameters)  # noqa: E731
    assert {"frame_rate", "allow_urls"} <= names(frames.open_video)
    assert {"path"} <= names(frames.fingerprint)


def test_an_installed_package_brings_the_default_with_all_its_files(tmp_path: Path) -> None:
    names = ["config.json", "model.safetensors", "merges.txt", "README.md"]
    whole = {tmp_path / "default" / part / name for part in (".", "base", "planner") for name in names}
    for path in whole:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["adapters"]
    shipped = {path.resolve() for pattern in patterns for path in tmp_path.glob(pattern)}
    assert shipped == {path.resolve() for path in whole}
