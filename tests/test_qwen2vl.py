"""The model as a whole: batches, repeats and several videos give what one clean run gives."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.frames import open_video
from adapters.qwen2vl import Qwen2VL
from agent import Agent
from prompts import plain
from roles import verifier
from roles.deadline import Deadline, deadline
from roles.errors import StepError, StepTimeoutError, VideoError
from roles.types import Budget, Clip, Request, Span

ORACLE = Path(__file__).parent / "data" / "oracle"
QUESTION = "What is the colour of the background when the green square is visible?"
OPTIONS = ("blue", "purple", "white", "cyan")


@pytest.fixture(scope="module")
def model() -> Qwen2VL:
    return Qwen2VL.load(None, str(ORACLE / "videomind"), device="cpu", dtype="float32")


def ask(model: Qwen2VL, name: str, question: str = QUESTION) -> dict[str, Any]:
    """One question on one video, opened for it alone, without what differs from run to run."""
    with open_video(ORACLE / "videos" / name) as file:
        video = model.watch(file)
        found = Agent(model).ask(video, question, OPTIONS).to_json()
        model.forget(video)
    return {**found, "elapsed_s": 0, "steps": [{**step, "elapsed_s": 0} for step in found["steps"]]}


def test_candidates_judged_together_get_what_each_gets_alone(model: Qwen2VL) -> None:
    with open_video(ORACLE / "videos" / "v1.mp4") as file:
        video = model.watch(file)
        part = Span(0.0, video.duration_s)
        spans = [Span(0.0, 4.0), Span(6.0, 11.0), Span(3.0, 21.0), Span(20.0, 24.0), Span(1.0, 1.2)]
        requests = [verifier.request(video, part, span, QUESTION, model.prompts) for span in spans]
        alone = [model.judge_in_batches([request], 0)[0] for request in requests]
        for tokens in (1500, 1 << 20):
            together = model.judge_in_batches(requests, tokens)
            for one, many in zip(alone, together, strict=True):
                assert (many.p_yes, many.p_no) == pytest.approx((one.p_yes, one.p_no), abs=1e-6)
                assert many.usage.input_tokens == one.usage.input_tokens
        model.forget(video)


def test_no_request_gets_no_judgement(model: Qwen2VL) -> None:
    assert model.judge([]) == []


def test_a_question_asked_twice_is_answered_the_same_to_the_last_bit(model: Qwen2VL) -> None:
    assert ask(model, "v1.mp4") == ask(model, "v1.mp4")


def test_questions_on_one_open_video_do_not_change_each_other(model: Qwen2VL) -> None:
    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        agent = Agent(model)
        video = model.watch(file)

        def moments(question: str) -> Any:
            return agent.ask(video, question).to_json()["moments"]

        first = moments(QUESTION)
        moments("Where does the black triangle move?")
        assert moments(QUESTION) == first
        model.forget(video)


def test_one_video_does_not_leak_into_another(model: Qwen2VL) -> None:
    alone = ask(Qwen2VL.load(None, str(ORACLE / "videomind"), device="cpu", dtype="float32"), "v4.mp4")
    ask(model, "v2.mp4")
    assert ask(model, "v4.mp4") == alone


def test_a_file_that_changed_under_its_name_is_seen_anew(model: Qwen2VL, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes((ORACLE / "videos" / "v1.mp4").read_bytes())
    clip = {"span": None, "budget": Budget(1.0, 8, 28224, 50176)}
    with open_video(path) as file:
        before = model._eyes.see(Clip(model.watch(file), **clip)) if model.watch(file) else None
    path.write_bytes((ORACLE / "videos" / "v2.mp4").read_bytes())
    with open_video(path) as file, torch.inference_mode():
        after = model._eyes.see(Clip(model.watch(file), **clip))
    assert before is not None
    assert before.grid != after.grid or not torch.equal(before.features, after.features)


def test_frames_prepared_in_one_pass_are_not_decoded_again(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_video(ORACLE / "videos" / "v2.mp4") as file:
        video = model.watch(file)
        budget = Budget(1.0, 64, 28224, 50176)
        clips = [Clip(video, Span(0.0, 12.0), budget), Clip(video, Span(6.0, 20.0), budget)]
        model.prepare(clips)

        def refuse(*_args: Any, **_kwargs: Any) -> Any:
            raise AssertionError("decoded again")

        monkeypatch.setattr(type(file), "read", refuse)
        with torch.inference_mode():
            assert [model._eyes.see(clip).grid[0] for clip in clips] == [6, 7]
        model.forget(video)


def test_frames_prepared_at_two_sizes_are_both_kept(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_video(ORACLE / "videos" / "v2.mp4") as file:
        video = model.watch(file)
        clips = [Clip(video, None, Budget(1.0, 8, 28224, 50176)), Clip(video, None, Budget(1.0, 8, 50176, 78400))]
        model.prepare(clips)

        def refuse(*_args: Any, **_kwargs: Any) -> Any:
            raise AssertionError("decoded again")

        monkeypatch.setattr(type(file), "read", refuse)
        with torch.inference_mode():
            small, large = (model._eyes.see(clip) for clip in clips)
        assert small.grid < large.grid
        model.forget(video)


def test_requests_of_two_roles_are_not_judged_together(model: Qwen2VL) -> None:
    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        clip = Clip(model.watch(file), None, Budget(1.0, 8, 28224, 50176))
        requests = [Request(role, clip, plain("Who?")) for role in ("verifier", "planner")]
        with pytest.raises(ValueError, match="requests of planner, verifier: expected one role"):
            model.judge(requests)
        model.forget(file.video)


def test_switching_roles_leaves_no_trace_of_the_last(model: Qwen2VL) -> None:
    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        video = model.watch(file)
        clip = Clip(video, None, Budget(1.0, 8, 28224, 50176))

        def reply(role: str) -> tuple[int, ...]:
            return model.write(Request(role, clip, plain("Who is there?"), max_new_tokens=6)).token_ids

        first = {role: reply(role) for role in ("planner", "answerer", "verifier", "grounder")}
        assert {role: reply(role) for role in ("grounder", "verifier", "answerer", "planner")} == first
        assert len(set(first.values())) > 1
        model.forget(video)


def test_an_unwatched_video_is_named(model: Qwen2VL) -> None:
    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        clip = Clip(file.video, None, Budget(1.0, 8, 28224, 50176))
        with pytest.raises(VideoError, match=r"v4.mp4: not opened; call watch\(\)"):
            model.write(Request("planner", clip, plain("Who?")))


def test_a_prompt_that_the_model_cannot_hold_is_refused(model: Qwen2VL) -> None:
    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        clip = Clip(model.watch(file), None, Budget(1.0, 8, 28224, 50176))
        with pytest.raises(
            StepError, match=r"the planner's prompt has \d+ tokens; with its reply the model takes 32768"
        ):
            model.write(Request("planner", clip, plain("word " * 33000)))
        model.forget(file.video)


def test_generation_stops_at_its_deadline_and_the_model_goes_on_working(model: Qwen2VL) -> None:
    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        clip = Clip(model.watch(file), None, Budget(1.0, 8, 28224, 50176))
        request = Request("planner", clip, plain("Who?"), max_new_tokens=4)
        stopped = Deadline(None)
        stopped.cancelled.set()
        with deadline(stopped), pytest.raises(StepTimeoutError):
            model.write(request)
        assert model.write(request).usage.output_tokens == 4
        model.forget(file.video)


def test_two_threads_take_turns(model: Qwen2VL) -> None:
    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        clip = Clip(model.watch(file), None, Budget(1.0, 8, 28224, 50176))
        requests = {role: Request(role, clip, plain("Who?"), max_new_tokens=5) for role in ("planner", "verifier")}
        alone = {role: model.write(request).token_ids for role, request in requests.items()}
        found: dict[str, tuple[int, ...]] = {}

        def work(role: str) -> None:
            found[role] = model.write(requests[role]).token_ids

        threads = [threading.Thread(target=work, args=(role,)) for role in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == alone
        model.forget(file.video)


def test_peak_memory_is_measured(model: Qwen2VL) -> None:
    model.reset_peak_memory()
    before = model.peak_memory_bytes()
    assert before is not None
    block = torch.ones(64 << 20, dtype=torch.uint8)
    after = model.peak_memory_bytes()
    assert after is not None
    assert after - before > 32 << 20
    assert block.numel()
