"""A model and a watched film with its questions go in; the product's roles and agent, ready to be asked, come out.

Beside them stands how an answer and a moment are compared with the truth, and what a record says of a question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent import Agent, Result, Settings
from eval.exam_films import sample
from eval.exam_model import ExaminedModel
from eval.worlds.questions import MOMENTS
from roles import answerer, grounder, verifier
from roles.scores import best_iou
from roles.types import Example, Judgement, Moment, Span, Video

Record = dict[str, Any]
BELIEFS = ("belief", "search", "knowledge", "second_order")
POINTED = (*MOMENTS, *BELIEFS)
"""Types whose moments are looked for."""
FEW_FRAMES = (32, 16)
"""Smaller budgets of the answerer with which localising and looking at the whole are compared; 32 is VideoMind's."""
SHOWN_TAGS = ("type", "family", "kind", "order", "truth", "held_out", "route", "wording")


@dataclass(frozen=True, slots=True)
class Sitting:
    """One film in front of one model.

    Attributes:
        model: The model.
        video: The film, watched.
        examples: Its questions.
        seed: Of its set.
        sample: How many questions a costly part takes; 0 is all.
        rewatch: Makes the model forget the film and watch it anew.
        go_on: Called before each question; raises where the exam is to stop.
    """

    model: ExaminedModel
    video: Video
    examples: Sequence[Example]
    seed: int
    sample: int
    rewatch: Callable[[], None]
    go_on: Callable[[], None]

    @property
    def part(self) -> Span:
        """The whole film, in seconds."""
        return Span(0.0, self.video.duration_s)

    def drawn(self, name: str, suits: Callable[[Example], bool]) -> Iterator[Example]:
        """Some of the questions that suit a part."""
        suiting = [example for example in self.examples if suits(example)]
        for example in sample(suiting, name, self.seed, self.sample):
            self.go_on()
            yield example

    def agent(self, plan: str) -> Agent:
        """The product's agent."""
        return Agent(self.model, Settings(plan=plan))

    def pointed(self, query: str) -> list[Moment]:
        """What the grounder finds, best first; empty where it points at nothing."""
        manner, prompts = self.model.manner, self.model.prompts
        pointing = self.model.point(grounder.request(self.video, None, query, prompts, manner.budget(grounder.ROLE)))
        if not pointing.rows_norm:
            return []
        return grounder.read(pointing, self.part, Settings().unit_s, verified=False)

    def judged(self, candidates: Sequence[Moment], question: str) -> list[Judgement]:
        """What the verifier says of each candidate; nothing of a single one, as the agent does not ask then."""
        if len(candidates) < 2:
            return []
        manner, prompts = self.model.manner, self.model.prompts
        requests = [
            verifier.request(
                self.video, self.part, one.span, question, prompts, manner.budget(verifier.ROLE), manner.window_s
            )
            for one in candidates
        ]
        return self.model.judge(requests)


def about(example: Example) -> Record:
    """What a record says of its question."""
    return {"id": example.tags["id"], "tags": {k: example.tags[k] for k in SHOWN_TAGS if k in example.tags}}


def is_right(result: Result, example: Example) -> bool:
    """Whether the agent chose the right option, or, where it writes freely, wrote what it says."""
    answer = result.answer
    if answer.choice is not None:
        at = answerer.LETTERS.index(answer.choice)
        return at < len(example.options) and example.options[at] == example.answer
    return answer.text is not None and answer.text.strip() == example.answer


def answered(result: Result, example: Example) -> Record:
    """What a record says of an answer."""
    probs = result.answer.option_probs
    return {
        "right": is_right(result, example),
        "said": result.answer.text,
        "answer": example.answer,
        "options": len(example.options),
        "probs": None if probs is None else [round(prob, 4) for prob in probs],
        "error": result.error,
        "strange": None if result.film is None else result.film.strange,
    }


def first_iou(result: Result, example: Example) -> float | None:
    """How much the first moment overlaps the evidence; None where no moment rests on any."""
    if not example.spans:
        return None
    return round(best_iou(result.moments[0].span if result.moments else None, example.spans), 5)


def points(example: Example) -> bool:
    """Whether the moment of a question is looked for."""
    return bool(example.spans) and example.tags["type"] in POINTED


def has_evidence(example: Example) -> bool:
    """Whether a question has an answer to choose and a moment that it rests on."""
    return bool(example.options and example.spans)


def overlaps(found: Sequence[Moment], example: Example) -> list[float]:
    """How much each moment overlaps the evidence."""
    return [round(best_iou(moment.span, example.spans), 5) for moment in found]
