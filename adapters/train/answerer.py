"""Trains the answerer: questions, the moments that hold their answers and the answers go in, an adapter comes out.

    python -m adapters.train.answerer --model BASE --data train.jsonl --out adapters

It watches the true moment as it will watch the grounder's: widened to a least length. Of several moments it watches
one, or all from the first to the last, as the checkpoint's manner says. So that it does not come to rely on exact ends,
they are jittered. Examples without spans are answered from the whole video.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from adapters.train.command import command
from adapters.train.config import TrainConfig, about
from adapters.train.recipe import Item, Record, Sample, Skip, check_words
from prompts import Part, PromptBook
from roles import answerer, scores
from roles.errors import InputError
from roles.manner import Manner
from roles.planner import clean_query
from roles.types import Request, Span

if TYPE_CHECKING:
    from adapters.qwen2vl import Qwen2VL


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswererConfig(TrainConfig):
    """The answerer's settings."""

    style: Literal["mcq", "options", "direct"] | None = field(
        default=None, metadata=about("how options are put to it; none: as the base's mindreel.json says", "data")
    )
    jitter: float = field(
        default=0.25, metadata=about("ends move by up to this share of the moment's length", "data", at_least=0)
    )
    jitters: int = field(
        default=4,
        metadata=about("different clips of a moment, taken in turn by rounds over the data", "data", at_least=1),
    )


@dataclass(frozen=True, slots=True)
class AnswererRecipe:
    """How the answerer learns; a style of its own goes before the manner's.

    Raises:
        InputError: An unknown style.
    """

    max_words: int
    style: str | None
    jitter: float
    role: str = answerer.ROLE
    learns_tokens: bool = False
    with_head: bool = False
    best: str = "accuracy"
    manner: Manner = field(default_factory=Manner)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "manner", self.manner.with_style(self.style))
        except ValueError as error:
            raise InputError(str(error)) from error

    def asked_as(self, manner: Manner) -> AnswererRecipe:
        """The same for a checkpoint that wants to be asked so; a style of its own stays."""
        return replace(self, manner=manner)

    def sample(self, item: Item, prompts: PromptBook, rng: random.Random) -> Sample:
        """The question on a jittered clip, and its answer."""
        check_words(item.example.question, self.max_words)
        if item.example.answer is None:
            raise Skip("no answer")
        moment = None
        if item.example.spans:
            spans = item.spans()
            chosen = answerer.hull(spans) if self.manner.clip == "hull" else rng.choice(spans)
            moment = jittered(chosen, self.jitter, item.video.duration_s, rng)
        text = answerer.target(item.example.answer, item.example.options, self.manner.style)
        return Sample(self._request(item, moment, prompts), Part(text, trusted=False), source=item.source)

    def ask(self, backbone: Qwen2VL, item: Item) -> Record:
        """Lets it answer from the true moment."""
        if item.example.answer is None:
            raise Skip("no answer")
        moment = None
        if item.example.spans:
            moment = answerer.hull(item.spans()) if self.manner.clip == "hull" else item.spans()[0]
        request = self._request(item, moment, backbone.prompts)
        options = item.example.options
        if options and self.manner.choose == "likelihood":
            found = backbone.choose(request, answerer.replies(options, self.manner.style))
            text = options[answerer.likeliest(found)]
            right = text == item.example.answer
            return {"right": right, "reply": text, "answer": item.example.answer, "options": len(options)}
        reply = backbone.write(request)
        shown = options if self.manner.style != "direct" else ()
        text, choice = answerer.read(reply.text, shown)
        if shown:
            right = choice == answerer.LETTERS[shown.index(item.example.answer)]
        else:
            right = clean_query(text).casefold() == clean_query(item.example.answer).casefold()
        return {"right": right, "reply": text, "answer": item.example.answer, "options": len(options)}

    def missed(self, item: Item) -> Record:
        """No answer."""
        return {"right": False, "reply": None, "answer": item.example.answer, "options": len(item.example.options)}

    def score(self, records: Sequence[Record]) -> Mapping[str, float]:
        """Share of right answers."""
        return {"accuracy": scores.accuracy([record["right"] for record in records])}

    def _request(self, item: Item, moment: Span | None, prompts: PromptBook) -> Request:
        example, manner = item.example, self.manner
        return answerer.request(
            item.video,
            answerer.clip_span(moment, Span(0.0, item.video.duration_s), manner.min_clip_s),
            example.question,
            prompts,
            example.options,
            item.subtitles,
            manner.style,
            manner.budget(self.role),
        )


def jittered(moment: Span, jitter: float, duration_s: float, rng: random.Random) -> Span:
    """A moment with both ends moved at random, by up to a share of its length."""
    most_s = jitter * moment.length_s
    start_s = min(max(moment.start_s + rng.uniform(-most_s, most_s), 0.0), duration_s)
    end_s = min(max(moment.end_s + rng.uniform(-most_s, most_s), 0.0), duration_s)
    return Span(min(start_s, end_s), max(start_s, end_s))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return command(
        AnswererConfig,
        lambda config: AnswererRecipe(config.max_query_words, config.style, config.jitter),
        argv,
        "answerer",
        __doc__,
        variants=lambda config: config.jitters,
    )


if __name__ == "__main__":
    sys.exit(main())
