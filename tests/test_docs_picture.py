from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pytest

from agent.agent import Agent
from agent.recorder import TraceWriter
from agent.trace import Trace, read_traces
from roles.errors import StepError
from roles.types import Video
from tests.conftest import ORACLE
from tests.fakes import ANSWER_PLAN, MOMENT_PLAN, VIDEO, ScriptedBackbone

DOCS = Path(__file__).parent.parent / "docs"
HOSTILE = "</text><script>alert('1' & \"2\")</script>\x1b[31m\u202e\ufffe"


@pytest.fixture
def draw_demo(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("draw_demo")


def record(
    path: Path, question: str = "Why?", options: tuple[str, ...] = ("one", "two"), video: Video = VIDEO, **model: Any
) -> Trace:
    with TraceWriter(path, seed=7) as writer:
        Agent(ScriptedBackbone(**model), trace=writer).ask(video, question, list(options))
    return read_traces(path)[0]


def content(svg: str) -> tuple[list[str], list[dict[str, str]]]:
    """Texts and attributes of a document, which must be well-formed."""
    texts, attributes = [], []
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.CharacterDataHandler = texts.append
    parser.StartElementHandler = lambda tag, given: attributes.append({"tag": tag, **given})
    parser.Parse(svg.encode(), True)
    return [text.strip() for text in texts if text.strip()], attributes


def test_shows_roles_moments_and_answer(draw_demo: Any, tmp_path: Path) -> None:
    video = Video(str(ORACLE / "videos" / "v4.mp4"), 10.0, 8.0, 160, 120, 80)
    texts, elements = content(draw_demo.draw(record(tmp_path / "t.jsonl", video=video)))
    for expected in ("Why?", "Planner", "Grounder", "Verifier", "Answerer", "0.900", "chosen", "(B) two", "ok"):
        assert expected in texts
    pictures = [element["href"] for element in elements if element["tag"] == "image"]
    assert len(pictures) == 12
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)


@pytest.mark.parametrize(
    "model",
    [
        {"plan": ANSWER_PLAN},
        {"plan": MOMENT_PLAN},
        {"adapters": ("planner", "grounder")},
        {"adapters": ()},
        {"rows": None},
        {"failures": {"answerer": StepError("broken <model>")}},
    ],
)
def test_draws_what_there_is(draw_demo: Any, tmp_path: Path, model: dict[str, Any]) -> None:
    trace = record(tmp_path / "t.jsonl", **model)
    for variant in (trace, replace(trace, answer=None, elapsed_s=None), replace(trace, steps=(), answer=None)):
        texts, _ = content(draw_demo.draw(variant))
        assert "Answer" in texts


def test_text_from_a_trace_stays_text(draw_demo: Any, tmp_path: Path) -> None:
    trace = record(tmp_path / "t.jsonl", HOSTILE, (HOSTILE, "b" * 999), answer=f"A) {HOSTILE}")
    texts, elements = content(draw_demo.draw(trace))
    assert not any(element["tag"] == "script" for element in elements)
    assert any("<script>" in text for text in texts)
    assert not any(char in text for char in "\x1b\u202e\ufffe" for text in texts)


def test_lines_fit(draw_demo: Any) -> None:
    for text in ("Why " * 200, "W" * 500, "\u732b" * 300, ""):
        lines = draw_demo.wrap(text, 300, 20, 3)
        assert 1 <= len(lines) <= 3
        assert all(draw_demo.width_of(line, 20) <= 300 for line in lines)


def test_reports_what_is_no_trace(draw_demo: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t").write_text("nothing")
    assert draw_demo.main([str(tmp_path / "t"), str(tmp_path / "out.svg")]) == 1
    assert "trace" in capsys.readouterr().err
    assert draw_demo.main([]) == 2
    assert not (tmp_path / "out.svg").exists()


def test_the_stored_picture_is_whole_and_small() -> None:
    path = DOCS / "demo.svg"
    texts, elements = content(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 200_000
    assert {"Question", "Answer"} < set(texts)
    assert all(element.get("href", "data:").startswith("data:") for element in elements)
