"""Trains the grounder: queries with their moments go in, an adapter and a head that regresses spans come out.

    python -m adapters.train.grounder --model BASE --data train.jsonl --out adapters

The query is an example's tag `query`, or its question. It learns to write the sentence with the timestamp token, and
its head learns spans from the states behind it: focal loss, L1 and contrast of salient frames.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from adapters.tokens import REG
from adapters.train.command import command
from adapters.train.config import TrainConfig, about
from adapters.train.recipe import Item, Record, Sample, check_words
from prompts import Part, PromptBook
from roles import grounder, scores
from roles.errors import InputError, StepError
from roles.manner import Manner
from roles.types import Pointing, Span

if TYPE_CHECKING:
    from adapters.qwen2vl import Qwen2VL

UNIT_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class GrounderConfig(TrainConfig):
    """The grounder's settings."""

    drop_path: float = field(
        default=0.1, metadata=about("share of the head's branches that are dropped", "adapter", at_least=0, below=1)
    )


@dataclass(frozen=True, slots=True)
class GrounderRecipe:
    """How the grounder learns."""

    max_words: int
    drop_path: float = 0.1
    role: str = grounder.ROLE
    learns_tokens: bool = True
    with_head: bool = True
    best: str = "mIoU"
    manner: Manner = field(default_factory=Manner)

    def asked_as(self, manner: Manner) -> GrounderRecipe:
        """The same for a checkpoint that wants to be asked so."""
        return replace(self, manner=manner)

    def sample(self, item: Item, prompts: PromptBook, rng: random.Random) -> Sample:
        """The query, and the sentence with the timestamp token that stands for its moments."""
        query = check_words(query_of(item), self.max_words)
        request = grounder.request(item.video, None, query, prompts, self.manner.budget(self.role))
        reply = Part(told_by(prompts), trusted=True)
        return Sample(request, reply, item.spans(), item.source)

    def ask(self, backbone: Qwen2VL, item: Item) -> Record:
        """Lets it find the moment."""
        window = Span(0.0, item.video.duration_s)
        budget = self.manner.budget(self.role)
        pointing = backbone.point(grounder.request(item.video, None, query_of(item), backbone.prompts, budget))
        check_finite(pointing)
        moments = grounder.read(pointing, window, UNIT_S, verified=False)[:5]
        return {
            "predicted": [[m.span.start_s, m.span.end_s] for m in moments] if pointing.rows_norm is not None else [],
            "confidences": [m.confidence for m in moments],
            "true": [[span.start_s, span.end_s] for span in item.spans()],
            "reply": pointing.reply.text,
        }

    def missed(self, item: Item) -> Record:
        """No span at all."""
        return {"predicted": [], "confidences": [], "true": [[span.start_s, span.end_s] for span in item.spans()]}

    def score(self, records: Sequence[Record]) -> Mapping[str, float]:
        """Overlap of its best span with the truth, and how often it is found."""
        predicted = [[Span(*ends) for ends in record["predicted"]] for record in records]
        true = [[Span(*ends) for ends in record["true"]] for record in records]
        return scores.span_scores(predicted, true)


def told_by(prompts: PromptBook) -> str:
    """The sentence that the grounder learns to write.

    Raises:
        InputError: Its timestamp token is missing, or stands first, where no state leads to it: the head would then
            learn nothing.
    """
    sentence = grounder.target(prompts)
    if REG not in sentence or sentence.startswith(REG):
        raise InputError(
            f"the prompts' grounder_reply is {sentence!r}: {REG} must stand in it, and something before it"
        )
    return sentence


def query_of(item: Item) -> str:
    """What the grounder looks for in an example."""
    return item.example.tags.get("query", item.example.question)


def check_finite(pointing: Pointing) -> None:
    """Makes sure that what was regressed can be read as spans.

    Raises:
        StepError: It holds NaN or infinity.
    """
    if not all(map(math.isfinite, chain.from_iterable(pointing.rows_norm or ()))):
        raise StepError("the spans are no numbers: the adapter has diverged")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return command(
        GrounderConfig,
        lambda config: GrounderRecipe(config.max_query_words, config.drop_path),
        argv,
        "grounder",
        __doc__,
    )


if __name__ == "__main__":
    sys.exit(main())
