"""How a checkpoint is asked: its file, what a user's settings change of it, and that the agent keeps to it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import Agent, Settings, TraceWriter, read_traces
from agent.errors import CheckpointError, InputError
from agent.result import Result
from roles import answerer, verifier
from roles.errors import ReplyError
from roles.manner import BUDGETS, MANNER_FILE, Manner, read_manner
from roles.spans import window_around
from roles.types import Budget, Choosing, FilmCheck, Moment, Span, Usage
from tests.fakes import ANSWER_PLAN, VIDEO, ScriptedBackbone

DEFAULT = Manner(
    budgets={role: Budget(2.0, 128, 16 * 784, 29 * 784) for role in ("planner", "grounder", "verifier", "answerer")},
    style="direct",
    choose="likelihood",
    clip="hull",
    min_clip_s=20.0,
    candidates=2,
    window_s=40.0,
    marks="aligned",
)
QUESTION, OPTIONS = "Where will Sally look?", ("in the basket", "in the box")


def write(folder: Path, value: Any) -> Path:
    (folder / MANNER_FILE).write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def ask(backbone: ScriptedBackbone, settings: Settings | None = None, **more: Any) -> Result:
    return Agent(backbone, settings).ask(VIDEO, QUESTION, more.pop("options", OPTIONS), **more)


# --- the file ----------------------------------------------------------------------------------------------------


def test_a_manner_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    for manner in (Manner(), DEFAULT):
        assert read_manner(write(tmp_path, manner.to_json())) == manner


def test_a_folder_without_the_file_says_nothing(tmp_path: Path) -> None:
    assert read_manner(tmp_path) is None
    assert Manner().budget("answerer") == BUDGETS["answerer"] == answerer.BUDGET


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read as JSON"),
        ([], "expected a JSON object, got list"),
        ({"stile": "mcq"}, "unknown stile; expected some of"),
        ({"style": "essay"}, "style 'essay': expected one of mcq, options, direct"),
        ({"min_clip_s": -1, "window_s": "2"}, "min_clip_s -1: expected seconds, 0 or more; window_s '2'"),
        ({"candidates": 0}, "candidates 0: expected a whole number, at least 1"),
        ({"choose": "likelihood"}, "choose likelihood with style mcq"),
        ({"budgets": {"judge": {"fps": 1, "max_frames": 8, "min_px": 784, "max_px": 784}}}, "budgets for judge"),
        ({"budgets": {"planner": {"fps": 1}}}, "max_frames"),
        ({"budgets": 3}, "budgets is 3; expected an object of objects"),
        ({"budgets": {"planner": [1]}}, "expected an object of objects"),
    ],
)
def test_a_broken_file_is_refused_with_its_name(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_manner(write(tmp_path, content))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / MANNER_FILE}: ")
    assert says in message
    assert "\n" not in message


def test_a_role_brings_its_own_part_and_leaves_the_others() -> None:
    mixed = Manner().with_role("answerer", DEFAULT)
    assert (mixed.style, mixed.choose, mixed.clip, mixed.min_clip_s) == ("direct", "likelihood", "hull", 20.0)
    assert (mixed.candidates, mixed.window_s, mixed.marks) == (5, 0.0, "shifted")
    assert dict(mixed.budgets) == {"answerer": DEFAULT.budget("answerer")}
    every = Manner()
    for role in BUDGETS:
        every = every.with_role(role, DEFAULT)
    assert every == DEFAULT
    assert DEFAULT.with_role("verifier", Manner()).with_role("verifier", DEFAULT) == DEFAULT


# --- what a user wants ---------------------------------------------------------------------------------------------


def test_settings_that_say_nothing_leave_the_checkpoints_manner() -> None:
    assert Settings().over(DEFAULT) == DEFAULT
    assert Settings().over(Manner()) == Manner()


def test_what_a_user_says_wins_and_the_rest_stays() -> None:
    budget = Budget(1.0, 8, 784, 784)
    settings = Settings(min_clip_s=0, candidates=4, clip="best", window_s=3, budgets={"planner": budget})
    budgets = {**DEFAULT.budgets, "planner": budget}
    wanted = replace(DEFAULT, min_clip_s=0, candidates=4, clip="best", window_s=3, budgets=budgets)
    assert settings.over(DEFAULT) == wanted


def test_an_answerer_with_fewer_frames_watches_a_shorter_clip_at_the_same_rate() -> None:
    usual = DEFAULT.budget("answerer")
    half, twice = (replace(usual, max_frames=int(usual.max_frames * share)) for share in (0.5, 2))
    assert Settings(budgets={"answerer": half}).over(DEFAULT).min_clip_s == DEFAULT.min_clip_s / 2
    assert Settings(budgets={"answerer": twice}).over(DEFAULT).min_clip_s == DEFAULT.min_clip_s
    assert Settings(budgets={"answerer": half}, min_clip_s=50).over(DEFAULT).min_clip_s == 50


def test_letters_that_a_user_asks_for_are_written() -> None:
    manner = Settings(style="mcq").over(DEFAULT)
    assert (manner.style, manner.choose) == ("mcq", "letter")
    with pytest.raises(InputError, match="choose likelihood with style mcq"):
        Settings(style="mcq", choose="likelihood").over(DEFAULT)


def test_settings_that_cannot_be_meant_are_all_named() -> None:
    with pytest.raises(InputError) as caught:
        Settings(choose="dice", clip="all", window_s=math.nan, min_clip_s=-1.0)
    for part in ("choose 'dice'", "clip 'all'", "window_s nan", "min_clip_s -1.0"):
        assert part in str(caught.value)


# --- what the agent does -------------------------------------------------------------------------------------------


def test_the_agent_asks_as_the_checkpoint_says_and_records_it(tmp_path: Path) -> None:
    backbone = ScriptedBackbone(manner=DEFAULT)
    with TraceWriter(tmp_path / "t.jsonl") as trace:
        Agent(backbone, Settings(candidates=3), trace=trace).ask(VIDEO, QUESTION, OPTIONS)
    assert {request.clip.budget for request in backbone.requests} == {DEFAULT.budget("planner")}
    judged = backbone.asked("verifier")
    assert len(judged) == 3
    assert all(request.clip.whole_span.length_s >= 40.0 for request in judged)
    [answering] = backbone.asked("answerer")
    assert "basket" not in answering.prompt.text
    [kept] = read_traces(tmp_path / "t.jsonl")
    assert kept.manner == replace(DEFAULT, candidates=3).to_json()


def test_the_likeliest_option_is_the_answer_with_its_letter_and_probability(tmp_path: Path) -> None:
    backbone = ScriptedBackbone(manner=DEFAULT, likelihoods=(-2.0, -1.0))
    with TraceWriter(tmp_path / "t.jsonl") as trace:
        result = Agent(backbone, trace=trace).ask(VIDEO, QUESTION, OPTIONS)
    assert backbone.chosen_among == [OPTIONS]
    assert (result.answer.text, result.answer.choice) == ("in the box", "B")
    share = 1 / (1 + math.e)
    assert result.answer.option_probs == pytest.approx((share, 1 - share))
    assert result.to_json()["answer"]["option_probs"] == pytest.approx([share, 1 - share])
    [kept] = read_traces(tmp_path / "t.jsonl")
    assert kept.answer is not None
    assert kept.answer.option_probs == pytest.approx((share, 1 - share))
    scored = kept.steps[-1].attributes["answer.options"]
    assert [(one["letter"], one["text"], one["log_prob"]) for one in scored] == [
        ("A", "in the basket", -2.0),
        ("B", "in the box", -1.0),
    ]


def test_options_that_are_shown_are_compared_as_they_would_be_written() -> None:
    backbone = ScriptedBackbone(manner=replace(DEFAULT, style="options"))
    assert ask(backbone).answer.text == "in the box"
    assert backbone.chosen_among == [("(A) In the basket", "(B) In the box")]
    assert "(A) In the basket" in backbone.asked("answerer")[0].prompt.text


def test_without_options_a_likelihood_checkpoint_writes() -> None:
    backbone = ScriptedBackbone(manner=DEFAULT, answer="In the box, she thinks.")
    result = ask(backbone, options=())
    assert backbone.chosen_among == []
    assert (result.answer.text, result.answer.choice) == ("In the box, she thinks.", None)
    assert result.answer.option_probs is None


def test_likelihoods_that_are_no_numbers_fail_with_a_line() -> None:
    result = ask(ScriptedBackbone(manner=DEFAULT, likelihoods=(math.nan, -1.0)))
    assert result.answer.text is None
    assert result.error is not None
    assert "log-probabilities" in result.error


@given(st.lists(st.floats(-1e4, 0), min_size=1, max_size=26))
def test_shares_add_up_and_the_likeliest_has_the_greatest(log_probs: list[float]) -> None:
    found = Choosing(tuple(log_probs), Usage())
    assert sum(found.shares) == pytest.approx(1.0)
    assert log_probs[answerer.likeliest(found)] == max(log_probs)
    with pytest.raises(ReplyError):
        answerer.likeliest(Choosing((*log_probs, math.inf), Usage()))


# --- what the answerer watches -------------------------------------------------------------------------------------


def moment(start_s: float, end_s: float, confidence: float, verdict: tuple[float, float] | None = None) -> Moment:
    return Moment(Span(start_s, end_s), confidence, *(verdict or (None, None)))


def test_the_hull_holds_what_the_verifier_accepts() -> None:
    judged = [moment(30, 34, 0.3, (0.9, 0.1)), moment(5, 8, 0.9, (0.6, 0.3)), moment(50, 55, 0.8, (0.2, 0.7))]
    assert answerer.watched(judged, "hull") == Span(5, 34)
    assert answerer.watched(judged, "best") == Span(30, 34)


def test_the_best_moment_is_watched_even_if_it_is_doubted() -> None:
    doubted = [moment(30, 34, 0.3, (0.1, 0.9)), moment(5, 8, 0.9, (0.05, 0.9))]
    assert answerer.watched(doubted, "hull") == Span(30, 34)


def test_without_a_verifier_half_of_the_best_confidence_is_enough() -> None:
    found = [moment(10, 12, 0.8), moment(20, 22, 0.4), moment(40, 45, 0.39)]
    assert answerer.watched(found, "hull") == Span(10, 22)


def test_windows_in_which_nothing_was_found_do_not_all_count() -> None:
    windows = [moment(0, 20, 0.0), moment(10, 30, 0.0)]
    assert answerer.watched(windows, "hull") == Span(0, 20)
    assert answerer.watched([], "hull") is None


def test_moments_stay_as_ranked_and_the_clip_says_what_was_watched() -> None:
    manner = replace(DEFAULT, candidates=5)
    verdicts = ((0.9, 0.05), (0.6, 0.3), (0.1, 0.8))
    result = ask(ScriptedBackbone(manner=manner, verdicts=verdicts))
    assert [round(one.span.start_s) for one in result.moments] == [30, 6, 42]
    assert result.clip is not None
    assert (result.clip.start_s, result.clip.end_s) == pytest.approx((6, 36), abs=1e-5)
    [wide] = ask(ScriptedBackbone(manner=manner, plan=ANSWER_PLAN)).steps[-1].requests
    assert wide["span"] == {"start_s": 0.0, "end_s": 60.0}


# --- the verifier's window ------------------------------------------------------------------------------------------


@given(
    ends=st.tuples(st.floats(0, 200), st.floats(0, 200)),
    length_s=st.floats(1, 200),
    window_s=st.floats(0, 100),
)
def test_the_window_is_long_enough_holds_the_candidate_and_stays_inside(
    ends: tuple[float, float], length_s: float, window_s: float
) -> None:
    marked, window = window_around(Span(min(ends), max(ends)), length_s, 2.0, window_s)
    plain, narrow = window_around(Span(min(ends), max(ends)), length_s)
    assert marked == plain
    assert window.length_s >= min(window_s, length_s) - 1e-9
    assert 0 <= window.start_s <= marked.start_s + 1e-9
    assert marked.end_s - 1e-9 <= window.end_s <= length_s
    if window_s <= narrow.length_s:
        assert window == narrow


def test_the_window_of_a_part_stays_in_the_part() -> None:
    book = ScriptedBackbone().prompts
    request = verifier.request(VIDEO, Span(10, 50), Span(12, 14), QUESTION, book, window_s=30.0)
    assert request.clip.whole_span == Span(10, 40)
    assert request.clip.marked == Span(12, 14)


# --- films of another kind ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "strange"),
    [(None, None), (FilmCheck(1.0, 2.0, False), False), (FilmCheck(31.415, 2.0, True), True)],
)
def test_a_strange_film_is_told_and_answered_anyway(
    tmp_path: Path, check: FilmCheck | None, strange: bool | None
) -> None:
    backbone = ScriptedBackbone(kind_of_film=check)
    with TraceWriter(tmp_path / "t.jsonl") as trace:
        result = Agent(backbone, trace=trace).ask(VIDEO, QUESTION, OPTIONS)
    assert result.answer.choice == "B"
    assert result.to_json()["strange_film"] is strange
    told = [note for note in result.notes if "not of the kind" in note]
    assert len(told) == (strange is True)
    if strange:
        assert "score 31.4, limit 2" in told[0]
        assert "--model Qwen/Qwen2-VL-2B-Instruct --adapters" in told[0]
    [kept] = read_traces(tmp_path / "t.jsonl")
    assert kept.film == check
