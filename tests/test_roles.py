"""Roles against the oracle's records and against rules of arithmetic; and the agent as a whole on recorded replies."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from agent.agent import Agent
from agent.settings import Settings
from prompts import own_prompts, read_prompt_file
from roles import answerer, grounder, planner, verifier
from roles.deadline import Deadline, check_deadline, deadline
from roles.errors import ReplyError, StepTimeoutError
from roles.spans import evenly_spread, iou, rows_to_seconds, widen, window_around
from roles.subtitles import read_subtitles
from roles.types import PX_PER_TOKEN, Budget, Clip, Judgement, Moment, Pointing, Reply, Span, Usage, Video
from tests.fakes import VIDEO, ScriptedBackbone

ORACLE = Path(__file__).parent / "data" / "oracle"
UNITS: dict[str, list[dict[str, Any]]] = json.loads((ORACLE / "units.json").read_text(encoding="utf-8"))
CASES = sorted((ORACLE / "inference").glob("*.json"))
BOOK = read_prompt_file(ORACLE / "videomind" / "prompts.json")
OWN = own_prompts()

spans = st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)).map(lambda ends: Span(min(ends), max(ends)))


# arithmetic


@pytest.mark.parametrize("case", UNITS["parse_span"])
def test_spans_are_widened_as_recorded(case: dict[str, Any]) -> None:
    least_s = None if case["min_len"] < 0 else case["min_len"]
    span = widen(*case["span"], case["duration"], least_s)
    assert [span.start_s, span.end_s] == pytest.approx(case["out"], abs=1e-9)


@pytest.mark.parametrize("case", UNITS["parse_query"])
def test_queries_are_cleaned_as_recorded(case: dict[str, Any]) -> None:
    assert planner.clean_query(case["i"]) == case["out"]


@pytest.mark.parametrize("case", UNITS["verifier_segments"])
def test_segments_lie_where_recorded(case: dict[str, Any]) -> None:
    part = Span(0.0, case["duration"])
    request = verifier.request(VIDEO, part, Span(*case["candidate"]), "q", OWN)
    window = request.clip.whole_span
    assert [window.start_s, window.end_s] == pytest.approx(case["crop"], abs=1e-9)
    assert request.clip.marked_norm == pytest.approx(case["rel"], abs=1e-9)
    assert [round(norm * case["grid_t"]) for norm in request.clip.marked_norm or ()] == case["frame_pos"]


@pytest.mark.parametrize("case", UNITS["grounder_rows_to_seconds"])
def test_rows_become_seconds_as_recorded_each_row_ordered_by_itself(case: dict[str, Any]) -> None:
    rows = rows_to_seconds([(start, end, 0.5) for start, end in case["rows"]], case["duration"], case["unit"])
    assert np.asarray([row[:2] for row in rows]) == pytest.approx(
        np.sort(np.asarray(case["rounded"]), axis=1), abs=1e-12
    )


@given(spans, spans)
def test_overlap_is_symmetric_and_bounded(a: Span, b: Span) -> None:
    assert iou(a, b) == iou(b, a)
    assert 0.0 <= iou(a, b) <= 1.0 + 1e-12


@given(spans)
def test_a_span_overlaps_itself_wholly_unless_it_has_no_length(span: Span) -> None:
    assert iou(span, span) == (1.0 if span.length_s else 0.0)


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0, 1e4), st.none() | st.floats(0, 1e4))
def test_a_widened_span_is_inside_and_long_enough_where_that_is_possible(
    start_s: float, end_s: float, duration_s: float, least_s: float | None
) -> None:
    span = widen(start_s, end_s, duration_s, least_s)
    assert 0 <= span.start_s <= span.end_s <= duration_s
    assert span.length_s >= min(least_s or 0.0, duration_s) - 1e-9 * max(1.0, duration_s)


@given(spans, st.floats(0.01, 1e4))
def test_a_window_holds_what_it_is_around(candidate: Span, duration_s: float) -> None:
    marked, window = window_around(candidate, duration_s)
    assert 0 <= window.start_s <= marked.start_s <= marked.end_s <= window.end_s <= duration_s


@given(st.floats(0.01, 1e5))
def test_evenly_spread_windows_cover_the_video(duration_s: float) -> None:
    windows = evenly_spread(duration_s)
    assert len(windows) == 5
    assert windows[0].start_s == 0.0
    assert windows[-1].end_s == pytest.approx(duration_s)
    assert all(a.end_s >= b.start_s for a, b in pairwise(windows))


@given(st.lists(st.tuples(st.floats(-2, 3), st.floats(-2, 3), st.floats(0, 1))), st.floats(0.01, 1e4))
def test_rows_in_seconds_are_ordered_and_inside(rows: list[tuple[float, float, float]], duration_s: float) -> None:
    for start_s, end_s, _ in rows_to_seconds(rows, duration_s, 0.001):
        assert 0 <= start_s <= end_s <= duration_s * (1 + 1e-6) + 0.0011


# the oracle's runs: what is asked, from what is recorded


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def settings_of(case: dict[str, Any]) -> Settings:
    attrs = case["dataset_attrs"]
    budget = Budget(
        fps=attrs.get("FPS", 2.0),
        max_frames=attrs.get("MAX_FRAMES", 32),
        min_px=attrs.get("MIN_PIXELS", 128) * PX_PER_TOKEN,
        max_px=attrs.get("MAX_PIXELS", 256) * PX_PER_TOKEN,
    )
    return Settings(
        unit_s=attrs["UNIT"],
        min_clip_s=attrs.get("MIN_LEN", 32),
        min_clip_ratio=attrs.get("MIN_RATIO"),
        style=case["style"],
        budgets={"answerer": budget},
    )


def replayed(path: Path) -> tuple[dict[str, Any], ScriptedBackbone, Any]:
    """The agent on a backbone that gives the recorded replies."""
    case = load(path)
    official, flags, anno = case["official_output"], case["flags"], case["anno"]
    arrays = load_file(path.with_suffix(".safetensors"))
    rows = None
    if official.get("grounder_success"):
        rows = tuple((float(s), float(e), float(c)) for s, e, c in np.asarray(arrays["grounder.reg_rows"]))
    verdicts = [
        (step["verifier"]["prob_yes"], step["verifier"]["prob_no"])
        for step in case["steps"]
        if step["role"] == "verifier"
    ]
    adapters = ["grounder"] + [role for role in ("planner", "verifier") if flags[f"{role}_loaded"]]
    backbone = ScriptedBackbone(
        adapters=adapters,
        plan=official.get("planner_response", ""),
        grounded=official.get("grounder_response", ""),
        rows=rows,
        verdicts=verdicts,
        answer=official.get("answerer_response", ""),
        book=BOOK,
    )
    subtitles = []
    if flags["use_subtitle"]:
        subtitles = read_subtitles((ORACLE / anno["subtitle_path"]).read_text(encoding="utf-8"), "v2.srt")
    video = Video(anno["video_path"], official["duration"], 25.0, 320, 240, 1000)
    question = anno.get("question") or anno["query"]
    agent = Agent(backbone, settings_of(case))
    return case, backbone, agent.ask(video, question, anno.get("options", ()), subtitles=subtitles)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_recorded_step_is_asked_the_same(path: Path) -> None:
    case, backbone, _ = replayed(path)
    asked = backbone.requests
    if not any(step["role"] == "answerer" for step in case["steps"]):
        asked = [request for request in asked if request.role != "answerer"]  # samples for grounding only
    assert [request.role for request in asked] == [step["role"] for step in case["steps"]]
    for request, step in zip(asked, case["steps"], strict=True):
        assert request.prompt.text == step["prompt_text"]
        args, budget = step["video_args"], request.clip.budget
        assert (budget.fps, budget.max_frames) == (args["fps"], args["max_frames"])
        assert (budget.min_px, budget.max_px) == (args["min_pixels"], args["max_pixels"])
        if "video_start" in args:
            span = request.clip.whole_span
            assert (span.start_s, span.end_s) == pytest.approx((args["video_start"], args["video_end"]), abs=2e-6)
        else:
            assert request.clip.span is None
        assert step["chat_text"].endswith(f"<|im_start|>assistant\n{request.reply_start}")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_recorded_replies_give_the_recorded_results(path: Path) -> None:
    case, _, result = replayed(path)
    official = case["official_output"]
    if "pred" in official:
        pred, conf = (json.loads(v) if isinstance(v, str) else v for v in (official["pred"], official["conf"]))
        found = [[moment.span.start_s, moment.span.end_s] for moment in result.moments]
        assert np.asarray(found) == pytest.approx(np.asarray(pred), abs=2e-6)
        assert [moment.confidence for moment in result.moments] == pytest.approx(conf, abs=1e-6)
    else:
        assert result.moments == ()
    if "answerer_response" in official:
        assert result.answer.text == official["answerer_response"]


# each role by itself


@pytest.mark.parametrize("route", planner.ROUTES)
def test_a_plan_that_is_taught_reads_back(route: str) -> None:
    query = None if route == "answer" else 'the "red" box'
    plan = planner.read(planner.target(route, query), "Why?")
    assert plan == planner.route_plan(route, query or "Why?", "Why?", "planner")


def test_teaching_a_plan_needs_a_route_and_a_query_that_fit() -> None:
    with pytest.raises(ValueError, match="unknown route 'judge'; expected one of ground, moment, answer"):
        planner.target("judge", "q")
    with pytest.raises(ValueError, match="a query belongs to every route but 'answer'"):
        planner.target("answer", "q")


@pytest.mark.parametrize("value", ['""', '"  "', "null", "7"])
def test_an_empty_query_leaves_the_question(value: str) -> None:
    plan = planner.read(f'[{{"type": "grounder", "value": {value}}}]', "Why?")
    assert [call.query for call in plan.calls] == ["Why?", "Why?"]


def test_a_single_action_is_read_as_a_plan_of_one() -> None:
    assert planner.read('{"type": "ANSWERER"}', "Why?").calls[0].role == "answerer"


@pytest.mark.parametrize("reply", ["", "Sure!", "[]", "[1]", '[{"type": 3}]', '[{"type": "judge"}]', "7", "null"])
def test_a_reply_that_is_no_plan_raises(reply: str) -> None:
    with pytest.raises(ReplyError):
        planner.read(reply, "Why?")


@given(st.text(max_size=60))
def test_any_reply_is_read_or_refused(reply: str) -> None:
    with suppress(ReplyError):
        assert planner.read(reply, "Why?").calls


def test_grounder_rows_are_counted_from_the_part() -> None:
    pointing = Pointing(Reply("", True, Usage()), ((0.5, 0.25, 0.9),))
    moments = grounder.read(pointing, Span(100.0, 120.0), 0.001, verified=True)
    assert moments == [Moment(Span(105.0, 110.0), 0.9)]


def test_the_grounder_is_taught_to_write_the_timestamp_token() -> None:
    assert "<|reg|>" in grounder.target(BOOK)
    assert grounder.target(OWN) == "The relevant moment happens in <|reg|>."


def test_the_verifier_is_taught_by_overlap() -> None:
    truth = [Span(10, 20), Span(40, 50)]
    assert verifier.target(Span(11, 20), truth, OWN) == "Yes."
    assert verifier.target(Span(11, 40), truth, OWN) == "No."
    assert verifier.target(Span(11, 20), [], OWN) == "No."


def test_equally_sure_candidates_keep_their_order() -> None:
    moments = [Moment(Span(i, i + 1), 0.5) for i in range(3)]
    verdicts = [Judgement(yes, 0.1, Usage()) for yes in (0.2, 0.4, 0.2)]
    assert [moment.span.start_s for moment in verifier.read(moments, verdicts)] == [1, 0, 2]
    with pytest.raises(ValueError, match="2 judgements for 3 moments"):
        verifier.read(moments, verdicts[:2])


def test_a_checkpoint_may_rank_by_confidence_times_yes() -> None:
    usage = Usage()
    moments = [Moment(Span(0, 1), 0.9), Moment(Span(1, 2), 0.1), Moment(Span(2, 3), 0.5)]
    verdicts = [Judgement(0.6, 0.4, usage), Judgement(0.9, 0.1, usage), Judgement(0.2, 0.8, usage)]
    assert verifier.ranking(moments, verdicts) == [1, 0, 2]
    assert verifier.ranking(moments, verdicts, "product") == [0, 2, 1]
    assert [moment.confidence for moment in verifier.read(moments, verdicts, "product")] == [0.9, 0.5, 0.1]
    with pytest.raises(ValueError, match="rank 'luck'"):
        verifier.ranking(moments, verdicts, "luck")


@pytest.mark.parametrize("style", answerer.STYLES)
def test_an_answer_that_is_taught_reads_back(style: str) -> None:
    options = ("in the basket", "in the box")
    text = answerer.target("in the box", options, style)
    assert text == {"mcq": "B) In the box", "options": "(B) In the box", "direct": "in the box"}[style]
    assert answerer.read(text, options if style != "direct" else ())[1] == ("B" if style != "direct" else None)


def test_answers_and_styles_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="answer 'c' is none of the options"):
        answerer.target("c", ("a", "b"))
    with pytest.raises(ValueError, match="unknown style 'essay'; expected one of mcq, options, direct"):
        answerer.request(VIDEO, Span(0, 1), "q", OWN, style="essay")


@pytest.mark.parametrize(
    ("reply", "choice"),
    [("B) x", "B"), ("(b)", "B"), ("B", "B"), ("C", None), ("", None), ("A man", "A"), ("()", None)],
)
def test_the_first_word_names_the_choice(reply: str, choice: str | None) -> None:
    assert answerer.read(reply, ("x", "y")) == (reply, choice)


def test_a_clip_of_a_part_stays_inside_it() -> None:
    assert answerer.clip_span(Span(12, 13), Span(10, 30), 8.0) == Span(10, 18)
    assert answerer.clip_span(Span(28, 30), Span(10, 30), 8.0) == Span(22, 30)
    assert answerer.clip_span(None, Span(10, 30), 8.0) == Span(10, 30)
    assert answerer.clip_span(Span(0, 5), Span(0, 20), 8.0) == Span(0, 8)


# nouns


def test_nouns_are_checked_on_construction() -> None:
    for ends in ((-1, 2), (3, 2), (float("nan"), 2), (0, float("inf"))):
        with pytest.raises(ValueError, match="expected 0 <= start_s <= end_s"):
            Span(*ends)
    with pytest.raises(ValueError, match="expected fps > 0"):
        Budget(0, 4, 784, 784)
    assert Clip(VIDEO, Span(0, 1), answerer.BUDGET).marked_norm is None
    assert Clip(VIDEO, Span(5, 5), answerer.BUDGET, Span(5, 5)).marked_norm == (0.0, 1.0)


def test_a_deadline_counts_only_inside_its_block() -> None:
    check_deadline()
    with deadline(Deadline(None)) as limit:
        check_deadline()
        limit.cancelled.set()
        with pytest.raises(StepTimeoutError, match="given up"):
            check_deadline()
    with deadline(Deadline(1e-9)), pytest.raises(StepTimeoutError, match="took longer than the 1e-09 s"):
        check_deadline()
    check_deadline()
