"""The model as a whole: batches, repeats and several videos give what one clean run gives."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.familiar import FilmDetector, statistics
from adapters.frames import open_video
from adapters.qwen2vl import Qwen2VL
from adapters.store import FILMS_FILE
from agent import Agent
from prompts import Part, plain
from roles import verifier
from roles.deadline import Deadline, deadline
from roles.errors import CheckpointError, StepError, StepTimeoutError, VideoError
from roles.manner import MANNER_FILE, Manner
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


# --- choosing by likelihood, manners, kinds of film -----------------------------------------------------------------

TEXTS = ("the green square", "no", "it moves behind the purple circle and stays there", "<|im_end|> is only text here")


def scored_alone(model: Qwen2VL, request: Request, text: str) -> float:
    """Log-probability of a reply by one full pass over prompt and reply, nothing kept."""
    reply = [*model.tokens.encode([Part(text, trusted=False)]), model.tokens.id("<|im_end|>")]
    with model._working(request.role) as adapter:
        vocabulary = model._vocabulary(adapter)
        embeds, layout, _ = model._embed(request)
        length = embeds.shape[0]
        more = torch.arange(len(reply)) + int(layout.positions.max()) + 1
        positions = torch.cat((layout.positions, more.expand(3, -1)), dim=1)
        whole = torch.cat((embeds, vocabulary.embedded(torch.tensor(reply))))
        states = model.language_model.forward(whole[None], positions[:, None])[0]
        logits = vocabulary.logits(model.language_model.normalise(states[length - 1 : -1]))
        return float(logits.log_softmax(dim=-1).gather(1, torch.tensor(reply)[:, None]).sum())


@pytest.mark.parametrize("role", ["answerer", "planner"])
def test_options_scored_on_one_prefill_get_what_a_full_pass_gives_each(model: Qwen2VL, role: str) -> None:
    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        clip = Clip(model.watch(file), None, Budget(1.0, 8, 28224, 50176))
        request = Request(role, clip, plain("Where is it?"))
        found = model.choose(request, TEXTS)
        for text, log_prob in zip(TEXTS, found.log_probs, strict=True):
            assert log_prob == pytest.approx(scored_alone(model, request, text), abs=1e-5, rel=1e-5)
        again = model.choose(request, TEXTS[::-1])
        assert again.log_probs[::-1] == pytest.approx(found.log_probs, abs=1e-5)
        assert found.usage.adapter == (role if model.has(role) else None)
        assert found.usage.output_tokens > len(TEXTS) > 0
        assert {"prefill", "decode"} <= found.usage.seconds.keys()
        with pytest.raises(ValueError, match="no texts"):
            model.choose(request, ())
        model.forget(file.video)


def test_scoring_stops_at_its_deadline(model: Qwen2VL) -> None:
    with open_video(ORACLE / "videos" / "v4.mp4") as file:
        request = Request("answerer", Clip(model.watch(file), None, Budget(1.0, 8, 28224, 50176)), plain("Where?"))
        over = Deadline(100.0)
        over.cancelled.set()
        with deadline(over), pytest.raises(StepTimeoutError):
            model.choose(request, TEXTS)
        model.forget(file.video)


def with_manner(tmp_path: Path, manner: Manner, place: str = "videomind") -> Qwen2VL:
    """The recorded checkpoint with a manner in its adapters' or its base's folder."""
    for name in ("base", "videomind"):
        if not (tmp_path / name).exists():
            shutil.copytree(ORACLE / name, tmp_path / name)
    (tmp_path / place / MANNER_FILE).write_text(json.dumps(manner.to_json()))
    return Qwen2VL.load(None, str(tmp_path / "videomind"), device="cpu", dtype="float32")


def test_the_adapters_manner_goes_before_the_bases(model: Qwen2VL, tmp_path: Path) -> None:
    assert model.manner == Manner()
    assert with_manner(tmp_path, Manner(candidates=3), "base").manner.candidates == 3
    loaded = with_manner(tmp_path, Manner(candidates=2))
    assert loaded.manner.candidates == 2
    assert loaded.describe()["manner"] == Manner(candidates=2).to_json()


def test_aligned_marks_number_the_clip_as_without_them(model: Qwen2VL, tmp_path: Path) -> None:
    aligned = with_manner(tmp_path, Manner(marks="aligned"))
    with open_video(ORACLE / "videos" / "v1.mp4") as file:
        part = Span(0.0, file.video.duration_s)
        request = verifier.request(file.video, part, Span(6.0, 11.0), QUESTION, model.prompts)
        bare = replace(request, clip=replace(request.clip, marked=None))
        shown = {}
        for name, one in (("aligned", aligned), ("shifted", model)):
            one.watch(file)
            with one._working("verifier"):
                marked, unmarked = one._embed(request)[1], one._embed(bare)[1]
            plain_positions = unmarked.positions[:, unmarked.visual]
            shown[name] = torch.equal(marked.positions[:, marked.visual], plain_positions)
            one.forget(file.video)
    assert shown == {"aligned": True, "shifted": False}


def knowing(tmp_path: Path, like: str) -> Qwen2VL:
    """The recorded checkpoint with a detector that knows films drawn as one of them."""
    for name in ("base", "videomind"):
        shutil.copytree(ORACLE / name, tmp_path / name)
    with open_video(ORACLE / "videos" / like) as file:
        frames = file.read(file.indices(Clip(file.video, None, Budget(1.0, 8, 28224, 50176))), 168, 224)
    mean = statistics(frames)
    FilmDetector(mean, torch.eye(len(mean)), 0.1).save(tmp_path / "base" / FILMS_FILE)
    return Qwen2VL.load(None, str(tmp_path / "videomind"), device="cpu", dtype="float32")


def test_a_film_is_judged_once_by_the_first_frames_that_are_seen(
    model: Qwen2VL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows = knowing(tmp_path, "v4.mp4")
    assert (knows.describe()["knows_films"], model.describe()["knows_films"]) == (True, False)
    judged: list[int] = []
    judge = FilmDetector.judge

    def counted(self: FilmDetector, frames: torch.Tensor) -> Any:
        judged.append(len(frames))
        return judge(self, frames)

    monkeypatch.setattr(FilmDetector, "judge", counted)
    strange = {}
    for name in ("v4.mp4", "v1.mp4"):
        with open_video(ORACLE / "videos" / name) as file:
            video = knows.watch(file)
            assert knows.film(video) is None
            for budget in (Budget(1.0, 8, 28224, 50176), Budget(2.0, 12, 28224, 50176)):
                knows.write(Request("answerer", Clip(video, None, budget), plain("Who?"), max_new_tokens=1))
            found = knows.film(video)
            assert found is not None
            assert found.strange == (found.score > found.limit)
            strange[name] = found.strange
            knows.forget(video)
            assert knows.film(video) is None
    assert judged == [8, 8]
    assert strange == {"v4.mp4": False, "v1.mp4": True}


def test_a_checkpoint_that_knows_no_kind_of_film_says_nothing(model: Qwen2VL) -> None:
    assert ask(model, "v4.mp4")["strange_film"] is None


def test_a_broken_detector_is_refused_with_its_file(tmp_path: Path) -> None:
    for name in ("base", "videomind"):
        shutil.copytree(ORACLE / name, tmp_path / name)
    (tmp_path / "videomind" / FILMS_FILE).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"films\.safetensors: cannot be read"):
        Qwen2VL.load(None, str(tmp_path / "videomind"), device="cpu", dtype="float32")
