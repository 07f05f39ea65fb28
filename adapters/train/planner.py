"""Trains the planner: questions with their right plan go in, an adapter that writes plans as JSON comes out.

    python -m adapters.train.planner --model BASE --data train.jsonl --out adapters

An example's tag `route` says which plan is right: `ground`, `moment` or `answer`. Without it, evidence spans and an
answer mean `ground`, spans alone `moment`, an answer alone `answer`. The tag `query` is the moment to look for, where
that is not the question itself, so there are four plans to tell apart.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from adapters.train.command import command
from adapters.train.config import TrainConfig
from adapters.train.recipe import Item, Record, Sample, Skip, check_words
from prompts import Part, PromptBook
from roles import planner, scores
from roles.errors import ReplyError
from roles.manner import Manner
from roles.types import Example, Plan

if TYPE_CHECKING:
    from adapters.qwen2vl import Qwen2VL


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerConfig(TrainConfig):
    """The planner's settings."""


@dataclass(frozen=True, slots=True)
class PlannerRecipe:
    """How the planner learns."""

    max_words: int
    role: str = planner.ROLE
    learns_tokens: bool = False
    with_head: bool = False
    best: str = "route_accuracy"
    manner: Manner = field(default_factory=Manner)

    def asked_as(self, manner: Manner) -> PlannerRecipe:
        """The same for a checkpoint that wants to be asked so."""
        return replace(self, manner=manner)

    def sample(self, item: Item, prompts: PromptBook, rng: random.Random) -> Sample:
        """The question, and the plan that is right for it."""
        question = check_words(item.example.question, self.max_words)
        route = route_of(item.example)
        query = None if route == "answer" else planner.clean_query(item.example.tags.get("query", question))
        request = planner.request(item.video, None, question, prompts, self.manner.budget(self.role))
        return Sample(request, Part(planner.target(route, query), trusted=False), source=item.source)

    def ask(self, backbone: Qwen2VL, item: Item) -> Record:
        """Lets it plan."""
        question = item.example.question
        budget = self.manner.budget(self.role)
        reply = backbone.write(planner.request(item.video, None, question, backbone.prompts, budget))
        try:
            said: str | None = kind_of(planner.read(reply.text, question), question)
        except ReplyError:
            said = None
        return {"truth": truth_of(item.example), "said": said, "reply": reply.text}

    def missed(self, item: Item) -> Record:
        """No plan at all."""
        return {"truth": truth_of(item.example), "said": None}

    def score(self, records: Sequence[Record]) -> Mapping[str, float]:
        """Share of right plans, and of replies that can be read at all."""
        return scores.route_scores([(record["truth"], record["said"]) for record in records])


def route_of(example: Example) -> str:
    """The right route of an example, from its tag or from what it holds.

    Raises:
        Skip: Nothing tells.
    """
    stated = example.tags.get("route")
    if stated is not None:
        return stated
    if example.spans:
        return "ground" if example.answer is not None else "moment"
    if example.answer is not None:
        return "answer"
    raise Skip("neither a route, nor spans, nor an answer")


def truth_of(example: Example) -> str:
    """Which of the four plans is right for an example."""
    query = planner.clean_query(example.tags.get("query", example.question))
    return kind_of(planner.route_plan(route_of(example), query, example.question, "planner"), example.question)


def kind_of(plan: Plan, question: str) -> str:
    """Which of the four plans: "rephrase" and "ground" (the query is the question), "moment", "answer"."""
    roles = [call.role for call in plan.calls]
    if "grounder" not in roles:
        return "answer"
    if "answerer" not in roles:
        return "moment"
    same = planner.clean_query(plan.calls[0].query) == planner.clean_query(question)
    return "ground" if same else "rephrase"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return command(PlannerConfig, lambda config: PlannerRecipe(config.max_query_words), argv, "planner", __doc__)


if __name__ == "__main__":
    sys.exit(main())
