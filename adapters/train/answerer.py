"""Trains the answerer: questions, the moments that hold their answers and the answers go in, an adapter comes out.

    python -m adapters.train.answerer --model BASE --data train.jsonl --out adapters

It watches the true moment as it will watch the grounder's: widened to a least length. So that it does not come to rely
on exact ends, they are jittered. Examples without spans are answered from the whole video.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from adapters.train.command import command
from adapters.train.config import TrainConfig, about
from adapters.train.recipe import Item, Record, Sample, Skip, check_words
from prompts import Part, PromptBook
from roles import answerer, scores
from roles.planner import clean_query
from roles.types import Request, Span

if TYPE_CHECKING:
    from adapters.qwen2vl import Qwen2VL


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswererConfig(TrainConfig):
    """The answerer's settings."""

    style: Literal["mcq", "options", "direct"] = field(
        default="mcq", metadata=about("how options are put to it; as the agent will", "data")
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
    """How the answerer learns."""

    max_words: int
    style: str
    jitter: float
    role: str = answerer.ROLE
    learns_tokens: bool = False
    with_head: bool = False
    best: str = "accuracy"

    def sample(self, item: Item, prompts: PromptBook, rng: random.Random) -> Sample:
        """The question on a jittered clip, and its answer."""
        check_words(item.example.question, self.max_words)
        if item.example.answer is None:
            raise Skip("no answer")
        moment = (
            jittered(rng.choice(item.spans()), self.jitter, item.video.duration_s, rng) if item.example.spans else None
        )
        text = answerer.target(item.example.answer, item.example.options, self.style)
        return Sample(self._request(item, moment, prompts), Part(text, trusted=False), source=item.source)

    def ask(self, backbone: Qwen2VL, item: Item) -> Record:
        """Lets it answer from the true moment."""
        if item.example.answer is None:
            raise Skip("no answer")
        moment = item.spans()[0] if item.example.spans else None
        reply = backbone.write(self._request(item, moment, backbone.prompts))
        options = item.example.options
        shown = options if self.style != "direct" else ()
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
        span = answerer.clip_span(moment, Span(0.0, item.video.duration_s))
        example = item.example
        return answerer.request(
            item.video, span, example.question, prompts, example.options, item.subtitles, self.style
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
