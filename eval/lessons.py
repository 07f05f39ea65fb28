"""Numbers go in, lessons for the base model come out: films of the generated world, views of them, texts and states.

The trainer's `contract.World`; only seeds and wordings of the training split are used.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from adapters.train.default.contract import Lesson, Segment, Stage, StateSizes
from eval import lesson_names, lesson_pixels, lesson_texts, lesson_views
from eval.lesson_noise import noised
from eval.lesson_pixels import Film
from eval.lesson_states import SIZES, states_of
from eval.lesson_views import View
from eval.worlds import plot, questions, splits
from eval.worlds.draw import dice
from eval.worlds.questions import Question
from eval.worlds.scene import YARD, Scene
from eval.worlds.stage import draw_list
from prompts import PromptBook
from roles.manner import BUDGETS, Manner
from roles.minds import Minds

SEEDS = (splits.RANGES["train"][0], 9_000_000)
"""First seed, and the first one after; the training split's later ones are kept for the adapters."""
KEPT: Mapping[str, float] = {"place": 0.4, "second_order": 0.9, "testimony": 1.0, "contents": 0.6}
"""How many of a family's films are kept."""
TRANSCRIPT_SHARE = 0.3
NAMED_SHARE = 0.5
"""Share of the transcripts in which people go by their names."""
GRAIN_LEFT = 0.5
"""Share of a film's grain that is left in frames half as high as the film's."""
SPARSE_SHARE = 0.25
SPARSE_FRAMES = (24, 32, 48, 64, 96)
"""Some views are looked at with no more frames than this, so that a small budget is no surprise."""
TEXT_LENGTHS_S = (12.0, 60.0)
"""Of the films that the tokenizer's texts are about; none of them is drawn."""
VIEWS = ("whole", "clip", "marked")


class Lessons:
    """The generated world as `contract.World`."""

    @property
    def state_sizes(self) -> StateSizes:
        """How large the indices of states get."""
        return SIZES

    def lesson(self, number: int, stage: Stage, manner: Manner, prompts: PromptBook) -> Lesson:
        """The lesson of a number.

        Args:
            number: Any; the same one gives the same lesson.
            stage: Lengths of films, and which views there are.
            manner: Budgets, least clips and windows, as at inference.
            prompts: The checkpoint's templates, for the verifier's verdicts.
        """
        rng = dice(number, "lesson")
        weights = [share for _, _, share in stage.lengths]
        low, high, _ = rng.choices(stage.lengths, weights=weights)[0]
        scene = draw_scene(rng, rng.uniform(low, high))
        minds = Minds(scene.story)
        asked = questions.ask(scene, minds)
        sorts = [name for name in VIEWS if stage.views.get(name, 0) > 0]
        sort = rng.choices(sorts, weights=[stage.views[name] for name in sorts])[0]
        if rng.random() < SPARSE_SHARE:
            manner = sparse(manner, rng.choice(SPARSE_FRAMES))
        view, segments = _view(sort, scene, minds, asked, manner, prompts, rng)
        return Lesson(
            film=Film(draw_list(scene, view.times_s), GRAIN_LEFT * scene.look.noise, rng.randrange(1 << 31)),
            patches=len(view.times_s) // 2,
            rows=view.rows,
            columns=view.columns,
            marked_norm=view.marked_norm,
            segments=tuple(segments),
            states=states_of(scene, minds, view, rng),
            seconds=view.span.length_s,
        )

    def draw(self, films: Sequence[Any], rows: int, columns: int, device: Any) -> Tensor:
        """Draws films of one size; see `contract.World.draw`."""
        return lesson_pixels.draw(films, rows, columns, device)

    def look(self, seed: int, part: str) -> Tensor:
        """Frames of a film; see `contract.World.look`."""
        rng = dice(seed, "look")
        scene = plot.scene(seed, rng.choice(plot.members(seed)), check=False)
        end_s = scene.duration_s
        if part == "whole":
            times_s = np.linspace(0, end_s - 0.1, 8)
        else:
            length_s = min(end_s, rng.uniform(8, 24) if part == "part" else rng.uniform(2, 5))
            start_s = rng.uniform(0, end_s - length_s)
            if part == "moment" and rng.random() < 0.5:
                # Interludes have a backdrop of their own, and are all that some parts show.
                yards = [shot for shot in scene.shots if shot.place == YARD]
                if yards:
                    shot = rng.choice(yards)
                    start_s, length_s = shot.start_s, min(length_s, shot.end_s - shot.start_s)
            times_s = start_s + np.arange(0, max(length_s, 1.0), 0.5)
        film = Film(draw_list(scene, np.append(times_s, times_s[-1:]) if len(times_s) % 2 else times_s),
                    scene.look.noise * rng.random(), rng.randrange(1 << 31))  # fmt: skip
        rows, columns = 4, 7 if film.drawn.width > 1.6 else 6
        return lesson_pixels.pasted(
            lesson_pixels.draw([film], rows, columns, "cpu"), columns * lesson_pixels.SIDE, rows * lesson_pixels.SIDE
        )

    def texts(self, count: int) -> Iterator[str]:
        """About `count` texts: questions, options, descriptions, plans and transcripts of films in turn."""
        given = number = 0
        while given < count:
            rng = dice(number, "texts")
            number += 1
            scene = draw_scene(rng, rng.uniform(*TEXT_LENGTHS_S))
            minds = Minds(scene.story)
            asked = questions.ask(scene, minds)
            texts = [text for question in asked for text in (question.text, *question.options)]
            texts += [question.tags["query"] for question in asked if "query" in question.tags]
            texts += [lesson_texts.plan_of(question) for question in asked]
            told = lesson_texts.transcript(scene, minds, lesson_views.all_of(scene))
            texts += [] if told is None or told.reply is None else [told.reply]
            # A name is one token, at the beginning of an answer as within a sentence.
            texts += [name for person in scene.people for name in (person.name, f" {person.name}") for _ in range(3)]
            yield from texts[: count - given]
            given += len(texts)


def sparse(manner: Manner, frames: int) -> Manner:
    """A manner in which no role looks at more frames than so many."""
    budgets = {
        role: replace(manner.budget(role), max_frames=min(frames, manner.budget(role).max_frames)) for role in BUDGETS
    }
    return replace(manner, budgets=budgets)


def draw_scene(rng: random.Random, length_s: float) -> Scene:
    """A film of training, longer where its story needs it."""
    seed = rng.randrange(*SEEDS)
    # What is hard is seen more often than the world makes it.
    while rng.random() > KEPT[plot.family_of(seed)]:
        seed = rng.randrange(*SEEDS)
    kind = rng.choice(plot.members(seed))
    return plot.scene(seed, kind, length_s=round(length_s, 2), check=False)


def _view(
    sort: str,
    scene: Scene,
    minds: Minds,
    asked: Sequence[Question],
    manner: Manner,
    prompts: PromptBook,
    rng: random.Random,
) -> tuple[View, list[Segment]]:
    """One view with what is read and written about it; where a film has nothing for it, the whole of the film."""
    segments: list[Segment] = []
    placed = [question for question in asked if question.spans]
    told = [question for question in placed if question.answer is not None]
    if sort == "marked" and placed:
        main = rng.choice(placed)
        others = [question for question in placed if question is not main]
        candidate = lesson_views.candidate_for(main, others, scene.duration_s, rng)
        view = lesson_views.beside(scene, candidate, manner, prompts, rng)
        return view, _heard(lesson_texts.verdicts(asked, main, candidate, prompts, rng), scene, rng)
    if sort == "clip" and told:
        view = lesson_views.around(scene, rng.choice(told).spans, manner, prompts, rng)
        segments += lesson_texts.answers(asked, view)
    else:
        view = lesson_views.whole(scene, manner, prompts, rng)
        segments += lesson_texts.answers(asked, view)
        segments += lesson_texts.moments(asked, view, rng)
        segments += lesson_texts.plans(asked, rng)
    segments = _heard(segments, scene, rng)
    segments += [lesson_names.roll_call(scene, rng), *lesson_names.who(scene, rng)]
    if rng.random() < TRANSCRIPT_SHARE:
        named = lesson_names.everybody(scene, rng) if rng.random() < NAMED_SHARE else ""
        story = lesson_texts.transcript(scene, minds, view, named)
        segments += [] if story is None else [story]
    return view, segments


def _heard(segments: Sequence[Segment], scene: Scene, rng: random.Random) -> list[Segment]:
    """Segments with noise in their questions."""
    return [replace(one, text=noised(one.text, scene, rng)) for one in segments]
