"""Lessons: what the base learns from a film is what the agent will show it, and it is true."""

from __future__ import annotations

import pickle
import random
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapters.frames import frame_indices, open_video, resized_hw
from adapters.train.default.contract import Lesson, Stage
from eval import lesson_noise, lesson_texts, lesson_views, lessons
from eval.lesson_views import View
from eval.lessons import Lessons
from eval.worlds import plot, questions
from eval.worlds.draw import dice
from eval.worlds.film import frame_times, write_film
from eval.worlds.names import NAMES
from eval.worlds.questions import Question
from eval.worlds.scene import Scene
from eval.worlds.stage import draw_list
from prompts import own_prompts
from roles import answerer, grounder, planner, verifier
from roles.manner import Manner
from roles.minds import Minds
from roles.spans import iou
from roles.types import PX_PER_TOKEN, Budget, Span

MANNER = Manner(
    budgets={
        role: Budget(2.0, frames, 16 * PX_PER_TOKEN, 29 * PX_PER_TOKEN)
        for role, frames in (("planner", 8), ("grounder", 256), ("verifier", 128), ("answerer", 128))
    },
    style="direct",
    choose="likelihood",
    clip="hull",
    min_clip_s=64.0,
    window_s=64.0,
    marks="aligned",
)
STAGE = Stage(1.0, ((12, 20, 1.0), (20, 60, 2.0), (70, 150, 1.0)), {"whole": 1.0, "clip": 1.0, "marked": 1.0})
COUNT = 45


class Unmoved(random.Random):
    """Chance that shifts nothing and takes 12 frames a second."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2

    def choice(self, seq: Any) -> Any:
        return 12.0 if 12.0 in seq else seq[0]


@cache
def learned() -> tuple[Lesson, ...]:
    world = Lessons()
    return tuple(world.lesson(number, STAGE, MANNER, own_prompts()) for number in range(COUNT))


@cache
def films(count: int = 12, length_s: float = 45.0) -> tuple[tuple[Scene, Minds, tuple[Question, ...]], ...]:
    found = []
    for seed in range(500, 500 + count):
        kinds = plot.members(seed)
        scene = plot.scene(seed, kinds[seed % len(kinds)], length_s=length_s, check=False)
        minds = Minds(scene.story)
        found.append((scene, minds, tuple(questions.ask(scene, minds))))
    return tuple(found)


def same(a: Lesson, b: Lesson) -> bool:
    assert a.states is not None
    assert b.states is not None
    arrays = [
        (a.film.drawn.rows, b.film.drawn.rows),
        (a.film.drawn.refs, b.film.drawn.refs),
        (a.film.drawn.offsets, b.film.drawn.offsets),
        (a.states.queries, b.states.queries),
        (a.states.labels, b.states.labels),
    ]
    return (a.segments, a.marked_norm, a.patches, a.film.seed) == (
        b.segments,
        b.marked_norm,
        b.patches,
        b.film.seed,
    ) and all(np.array_equal(first, second) for first, second in arrays)


def test_the_same_number_gives_the_same_lesson_in_any_order_and_process() -> None:
    world = pickle.loads(pickle.dumps(Lessons()))  # noqa: S301 - made here
    for number in (7, 3):
        again = world.lesson(number, STAGE, MANNER, own_prompts())
        assert same(again, learned()[number])
        assert same(pickle.loads(pickle.dumps(again)), again)  # noqa: S301
    assert not same(learned()[3], learned()[7])


def test_every_sort_of_view_is_drawn_and_brings_its_segments() -> None:
    roles = [frozenset(segment.role for segment in lesson.segments) - {"transcript"} for lesson in learned()]
    assert set(roles) == {
        frozenset({"answerer", "grounder", "planner"}),
        frozenset({"answerer"}),
        frozenset({"verifier"}),
    }
    assert all((lesson.marked_norm is None) == (roles[k] != {"verifier"}) for k, lesson in enumerate(learned()))
    some = (*learned(), *of_one_length(40.0))
    assert any(segment.role == "transcript" for lesson in some for segment in lesson.segments)


def test_spans_lie_inside_the_view_and_only_the_grounder_has_them() -> None:
    for segment in (segment for lesson in learned() for segment in lesson.segments):
        assert (segment.role == "grounder") == bool(segment.spans_norm) == (segment.reply is None)
        assert all(0 <= start < end <= 1 for start, end in segment.spans_norm), segment
        assert segment.reply is None or segment.reply.strip() == segment.reply != ""
        assert segment.text or segment.role == "transcript"
        assert segment.role != "grounder" or planner.clean_query(segment.text)


def test_seeds_and_wordings_are_those_of_training_and_none_of_the_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Scene] = []
    tell = plot.scene

    def noted(*args: Any, **more: Any) -> Scene:
        made.append(tell(*args, **more))
        return made[-1]

    monkeypatch.setattr(plot, "scene", noted)
    for number in range(60):
        lessons.draw_scene(dice(number), 15.0)
    assert {scene.split for scene in made} == {"train"}
    assert all(0 <= scene.seed < 9_000_000 for scene in made)
    assert len({scene.seed for scene in made}) == 60
    assert len({scene.family for scene in made}) == 4
    for scene in made[:8]:
        assert all("held_out" not in question.tags for question in questions.ask(scene))


def test_a_view_is_what_the_agent_would_see_of_the_film_as_a_file(tmp_path: Path) -> None:
    scene = plot.scene(77, plot.members(77)[0], length_s=14, aspect="3:2", check=False)
    path = tmp_path / "film.mp4"
    times = frame_times(scene.duration_s, 12)
    write_film(path, draw_list(scene, times), 12, (lesson_views.WIDTHS_PX["3:2"], lesson_views.HEIGHT_PX), crf=35)
    with open_video(path) as film:
        made_up, real = lesson_views.video_of(scene, 12.0), film.video
        assert (made_up.frames, made_up.width_px, made_up.height_px) == (real.frames, real.width_px, real.height_px)
        assert made_up.duration_s == pytest.approx(real.duration_s, abs=0.01)
        request = grounder.request(real, None, "anything", own_prompts(), MANNER.budget("grounder"))
        view = lesson_views.whole(scene, MANNER, own_prompts(), Unmoved())
        assert view.times_s == pytest.approx(film.times_s(film.indices(request.clip)), abs=0.01)
        height, width = resized_hw(real.height_px, real.width_px, request.clip.budget)
    assert (view.rows * 28, view.columns * 28) == (height, width) == (112, 168)


@pytest.mark.parametrize(("aspect", "columns"), [("4:3", 6), ("3:2", 6), ("16:9", 7)])
def test_sizes_and_numbers_of_frames_follow_budgets_and_lengths(aspect: str, columns: int) -> None:
    for length_s in (12.5, 40.0, 200.0):
        scene = plot.scene(78, plot.members(78)[1], length_s=length_s, aspect=aspect, check=False)
        video = lesson_views.video_of(scene, 12.0)
        view = lesson_views.whole(scene, MANNER, own_prompts(), Unmoved())
        count = len(frame_indices(video.frames, video.fps, MANNER.budget("grounder"), None, None))
        assert len(view.times_s) == count == min(256, round(video.duration_s) * 2)
        assert (view.rows, view.columns) == (4, columns)


def test_the_shift_moves_frames_and_what_is_said_of_them_alike() -> None:
    scene = films()[0][0]
    still = lesson_views.whole(scene, MANNER, own_prompts(), Unmoved())
    shifts = []
    for seed in range(20):
        view = lesson_views.whole(scene, MANNER, own_prompts(), dice(seed))
        shifts.append(view.shift_s)
        middle = view.times_s[len(view.times_s) // 2]
        # What happens at a frame stands at that frame's place in the view, whatever the shift.
        assert view.norm(Span(middle, middle))[0] == pytest.approx(0.5, abs=0.75 / len(view.times_s) + 0.01)
        assert np.all(np.diff(view.times_s) >= 0)
        assert view.times_s[0] >= 0
        assert view.times_s[-1] <= scene.duration_s
        assert abs(view.shift_s) <= 0.26
    assert still.shift_s == 0
    assert max(shifts) > 0.1
    assert min(shifts) < -0.1


def test_a_clip_holds_all_evidence_of_what_is_asked_about_it() -> None:
    parts = short = 0
    for scene, _, asked in films(8, 150.0):
        told = [question for question in asked if question.answer is not None and question.spans]
        for k, question in enumerate(told):
            view = lesson_views.around(scene, question.spans, MANNER, own_prompts(), dice(k))
            segments = lesson_texts.answers(asked, view)
            texts = {segment.text: segment.reply for segment in segments}
            assert texts[question.text] == question.answer
            for other in asked:
                if other.text in texts and not view.whole:
                    assert other.spans
                    assert all(view.span.start_s - 0.31 <= span.start_s for span in other.spans)
                    assert all(span.end_s <= view.span.end_s + 0.31 for span in other.spans)
            parts += not view.whole
            short += view.span.length_s < MANNER.min_clip_s - 1e-6
    assert parts > 20
    assert 0.05 * parts < short < 0.5 * parts


def test_clips_of_short_films_are_whole_films_unless_cut_tightly() -> None:
    scene, _, asked = films()[1]
    spans = next(question.spans for question in asked if question.answer is not None and question.spans)
    views = [lesson_views.around(scene, spans, MANNER, own_prompts(), dice(k)) for k in range(40)]
    assert 0.6 <= sum(view.whole for view in views) / 40 <= 0.95


def test_verdicts_say_whether_the_marked_stretch_is_a_moment_of_what_is_asked() -> None:
    book = own_prompts()
    said: Counter[bool] = Counter()
    for number, (scene, _, asked) in enumerate(films()):
        placed = [question for question in asked if question.spans]
        names = {question.text: question for question in placed}
        names |= {planner.clean_query(question.tags["query"]): question for question in placed}
        for k, main in enumerate(placed[:6]):
            rng = dice(100 * number + k)
            others = [question for question in placed if question is not main]
            candidate = lesson_views.candidate_for(main, others, scene.duration_s, rng)
            segments = lesson_texts.verdicts(asked, main, candidate, book, rng)
            assert main.text in {names[segment.text].text for segment in segments}
            for segment in segments:
                right = any(iou(candidate, span) >= verifier.POSITIVE_IOU for span in names[segment.text].spans)
                # Two questions may share one description; then either of their moments is a right one.
                if sum(planner.clean_query(q.tags["query"]) == segment.text for q in placed) < 2:
                    assert segment.reply == ("Yes." if right else "No.")
                said[segment.reply == "Yes."] += 1
    assert 0.35 < said[True] / said.total() < 0.6


def test_the_verifiers_window_and_marks_are_those_of_its_request() -> None:
    scene = films(8, 150.0)[2][0]
    candidate = Span(70.0, 71.0)
    view = lesson_views.beside(scene, candidate, MANNER, own_prompts(), Unmoved())
    video = lesson_views.video_of(scene, 12.0)
    part = Span(0.0, video.duration_s)
    clip = verifier.request(video, part, candidate, "", own_prompts(), MANNER.budget("verifier"), MANNER.window_s).clip
    assert view.span == clip.span
    assert view.span.length_s == pytest.approx(64.0)
    assert view.marked_norm == pytest.approx(clip.marked_norm)
    assert len(view.times_s) == 128


def test_candidates_are_hits_misses_and_other_events() -> None:
    found: Counter[str] = Counter()
    for scene, _, asked in films():
        placed = [question for question in asked if question.spans]
        for k, main in enumerate(placed):
            others = [question for question in placed if question is not main]
            candidate = lesson_views.candidate_for(main, others, scene.duration_s, dice(k))
            assert 0 <= candidate.start_s < candidate.end_s <= scene.duration_s + 0.01
            best = max(iou(candidate, span) for span in main.spans)
            found["hit" if best >= 0.5 else "miss" if best > 0 else "other"] += 1
    assert min(found["hit"], found["miss"], found["other"]) > 0.15 * found.total()


def test_plans_are_read_back_as_the_questions_routes() -> None:
    routes: Counter[str] = Counter()
    for number, (_, _, asked) in enumerate(films()):
        by_text = {question.text: question for question in asked}
        for segment in lesson_texts.plans(asked, dice(number)):
            question = by_text[segment.text]
            plan = planner.read(segment.reply or "", question.text)
            query = question.tags.get("query", question.text)
            route = question.tags["route"]
            expected = planner.route_plan(route, planner.clean_query(query), question.text, "planner")
            assert plan == expected
            routes[route] += 1
    assert set(routes) == set(planner.ROUTES)


def test_answers_are_replies_that_the_options_hold() -> None:
    for _, _, asked in films():
        view = lesson_views.all_of(films()[0][0])
        by_text = {question.text: question for question in asked}
        segments = lesson_texts.answers(asked, view)
        assert len(segments) == sum(bool(question.options) for question in asked)
        for segment in segments:
            question = by_text[segment.text]
            assert segment.reply == answerer.target(str(question.answer), question.options, "direct")


def test_a_transcript_tells_the_story_with_seconds_and_who_thinks_what() -> None:
    found = (plot.scene(seed, "false_belief", length_s=20, check=False) for seed in range(42, 80))
    scene = next(scene for scene in found if not scene.coda)
    minds = Minds(scene.story)
    told = lesson_texts.transcript(scene, minds, lesson_views.all_of(scene))
    assert told is not None
    text = told.reply or ""
    cast = scene.cast
    shirts = {person.name: person.shirt for person in scene.people}
    move = next(beat for beat in scene.beats if beat.kind == "move" and beat.thing == cast.thing)
    line = (
        f"{round(move.start_s)}-{round(move.end_s)} {shirts[move.person]} moves {cast.thing} "
        f"from {move.container} to {move.to_container}"
    )
    assert line in text
    held = minds.belief(cast.believer, fact=("in", cast.thing))
    assert held is not None
    assert f"{shirts[cast.believer]} thinks in {held.value}" in text
    truth = minds.truth(("in", cast.thing)).value
    assert truth != held.value
    assert f"end: {cast.thing.split()[-1]} in {truth};" in text


def test_transcripts_are_short_and_only_of_short_views() -> None:
    for scene, minds, _ in films(8, 150.0):
        assert lesson_texts.transcript(scene, minds, lesson_views.all_of(scene)) is None
        part = View(Span(60.0, 110.0), 0.0, np.zeros(0), 4, 6, whole=False)
        told = lesson_texts.transcript(scene, minds, part)
        if told is not None and told.reply is not None:
            assert len(told.reply.split()) <= lesson_texts.LONGEST_WORDS
            events = told.reply.split("end: ")[0].split("; ")[:-1]
            starts = [int(event.split()[0].split("-")[0]) for event in events]
            assert starts == sorted(starts)
            assert all(0 <= start <= 50 for start in starts)


def test_texts_are_as_many_as_asked_for_always_the_same_and_of_all_sorts() -> None:
    texts = list(Lessons().texts(200))
    assert texts == list(Lessons().texts(200))
    assert len(texts) == 200
    assert any(text.startswith("[{") for text in texts)
    assert any("end: " in text for text in texts)
    assert any(text.endswith("?") for text in texts)
    # A name alone, and as within a sentence, so often that the tokenizer makes one token of either.
    bare = Counter(text for text in texts if text.strip() in {name for pair in NAMES for name in pair})
    assert len(bare) >= 4
    assert all(bare[name] >= 3 and bare[f" {name}"] >= 3 for name in {text.strip() for text in bare})


@cache
def of_one_length(length_s: float, count: int = 40) -> tuple[Lesson, ...]:
    world, stage = Lessons(), Stage(1.0, ((length_s, length_s, 1.0),), {"whole": 1.0})
    return tuple(world.lesson(number, stage, MANNER, own_prompts()) for number in range(count))


def test_lessons_last_as_long_as_their_views() -> None:
    sparse = {frames // 2 for frames in lessons.SPARSE_FRAMES}
    found: Counter[str] = Counter()
    for lesson in (*learned(), *of_one_length(70.0, 12)):
        assert lesson.film.drawn.frames == 2 * lesson.patches
        assert lesson.states is not None
        assert lesson.states.labels.shape[1] == lesson.patches
        assert 2 <= lesson.patches <= 128
        per_patch_s = lesson.seconds / lesson.patches
        # Two frames a second, two frames a patch; fewer where the view is sparse or the budget is at its end.
        sort = "full" if per_patch_s <= 1.1 else "sparse" if lesson.patches in sparse else "capped"
        assert sort != "full" or lesson.patches <= 4 or per_patch_s >= 0.8, (lesson.seconds, lesson.patches)
        assert sort != "capped" or lesson.patches in (64, 128), (lesson.seconds, lesson.patches)
        found[sort] += 1
    assert found["full"] > found["sparse"] > 0


def test_some_views_are_sparse_so_that_a_small_budget_is_no_surprise() -> None:
    sparse = {frames // 2 for frames in lessons.SPARSE_FRAMES}
    patches = [lesson.patches for lesson in of_one_length(60.0)]
    assert sum(one < 55 for one in patches) in range(3, 20)
    assert all(one in sparse for one in patches if one < 55)
    assert len({one for one in patches if one < 55}) >= 3


def test_a_sparse_manner_never_looks_at_more_than_the_checkpoint_does() -> None:
    thin = lessons.sparse(MANNER, 24)
    assert [thin.budget(role).max_frames for role in ("planner", "grounder", "verifier", "answerer")] == [8, 24, 24, 24]
    assert thin.budget("grounder").max_px == MANNER.budget("grounder").max_px
    assert (thin.choose, thin.clip, thin.window_s) == (MANNER.choose, MANNER.clip, MANNER.window_s)


def test_lessons_ask_who_is_who_except_where_a_stretch_is_judged() -> None:
    asked = [sum(segment.type == "names" for segment in lesson.segments) for lesson in learned()]
    judged = [lesson.marked_norm is not None for lesson in learned()]
    assert {count for count, marked in zip(asked, judged, strict=True) if marked} == {0}
    # A roll call always, and one of the film's people as an option would name her where there are several.
    counts = Counter(count for count, marked in zip(asked, judged, strict=True) if not marked)
    assert set(counts) <= {1, 2}
    assert counts[2] > 0.8 * counts.total()


def test_some_transcripts_go_by_names_and_some_by_colours() -> None:
    told = [segment for lesson in (*learned(), *of_one_length(40.0)) for segment in lesson.segments
            if segment.role == "transcript"]  # fmt: skip
    named = [segment for segment in told if segment.text]
    assert 0 < len(named) < len(told)
    every = [name for pair in NAMES for name in pair]
    for segment in told:
        said = {name for name in every if re.search(rf"\b{name}\b", str(segment.reply))}
        introduced = {name for name in every if re.search(rf"\b{name}\b", segment.text)}
        assert said <= introduced
        assert bool(said) == bool(segment.text)


def test_noise_reaches_the_questions_of_lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Lessons()
    monkeypatch.setattr(lesson_noise, "NOISY_SHARE", 0.0)
    plain = [world.lesson(number, STAGE, MANNER, own_prompts()) for number in range(6)]
    monkeypatch.setattr(lesson_noise, "NOISY_SHARE", 1.0)
    noisy = [world.lesson(number, STAGE, MANNER, own_prompts()) for number in range(6)]
    asked = changed = 0
    for before, after in zip(plain, noisy, strict=True):
        known = {segment.text for segment in before.segments if segment.type != "names"}
        heard = [segment for segment in after.segments if segment.text and segment.type != "names"]
        asked += len(heard)
        changed += sum(segment.text not in known for segment in heard)
    assert changed > 0.3 * asked > 10


def test_families_that_are_hard_are_seen_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def noted(seed: int, *_args: Any, **_more: Any) -> int:
        seeds.append(seed)
        return seed

    monkeypatch.setattr(plot, "scene", noted)
    rng = dice("families")
    for _ in range(3000):
        lessons.draw_scene(rng, 15.0)
    drawn = Counter(plot.family_of(seed) for seed in seeds)
    world = Counter(plot.family_of(seed) for seed in range(*lessons.SEEDS, 997))
    weights = {family: world[family] * lessons.KEPT[family] for family in world}
    for family, weight in weights.items():
        assert drawn[family] / 3000 == pytest.approx(weight / sum(weights.values()), abs=0.03)
    assert drawn["place"] / 3000 < world["place"] / world.total() - 0.05


@pytest.mark.parametrize("seed", [9_500_001, 9_500_007])
def test_looks_are_frames_at_the_size_that_the_model_sees(seed: int) -> None:
    world = Lessons()
    looks = {part: world.look(seed, part) for part in ("whole", "part", "moment")}
    for part, frames in looks.items():
        assert frames.dtype == torch.uint8
        assert frames.shape[1] == 3
        assert tuple(frames.shape[2:]) in ((112, 168), (112, 196))
        assert bool((frames == world.look(seed, part)).all())
        assert float(frames.float().std()) > 10
    assert looks["whole"].shape[0] == 8
    assert looks["part"].shape[0] in range(16, 50, 2)
    assert looks["moment"].shape[0] in range(2, 12, 2)
    assert not bool((world.look(seed + 1, "whole")[:1, :, :, :168] == looks["whole"][:1, :, :, :168]).all())
