"""Trains the verifier: a grounder's candidates, judged by their overlap with the truth, go in; an adapter comes out.

    python -m adapters.train.mine --model BASE --adapters adapters --data train.jsonl --out mined.jsonl
    python -m adapters.train.verifier --model BASE --data mined.jsonl --out adapters

An example's one span is the candidate, its answer is Yes or No, or its tag `candidate_iou` tells.
`adapters.train.mine` makes such examples.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from adapters.train.command import command
from adapters.train.config import TrainConfig
from adapters.train.recipe import Item, Record, Sample, Skip, check_words
from prompts import Part, PromptBook
from roles import scores, verifier
from roles.errors import StepError
from roles.manner import Manner
from roles.types import Request, Span

if TYPE_CHECKING:
    from adapters.qwen2vl import Qwen2VL


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierConfig(TrainConfig):
    """The verifier's settings."""

    learning_rate: float = 5e-5


@dataclass(frozen=True, slots=True)
class VerifierRecipe:
    """How the verifier learns."""

    max_words: int
    role: str = verifier.ROLE
    learns_tokens: bool = True
    with_head: bool = False
    best: str = "auc"
    manner: Manner = field(default_factory=Manner)

    def asked_as(self, manner: Manner) -> VerifierRecipe:
        """The same for a checkpoint that wants to be asked so."""
        return replace(self, manner=manner)

    def sample(self, item: Item, prompts: PromptBook, rng: random.Random) -> Sample:
        """A candidate, and whether it is the moment."""
        check_words(item.example.question, self.max_words)
        said = "yes" if verdict_of(item) else "no"
        reply = Part(prompts.get(verifier.ROLE, said).fill().text, trusted=False)
        return Sample(self._request(item, prompts), reply, source=item.source)

    def ask(self, backbone: Qwen2VL, item: Item) -> Record:
        """Lets it judge a candidate."""
        [judgement] = backbone.judge([self._request(item, backbone.prompts)])
        if not math.isfinite(judgement.margin):
            raise StepError("the probabilities of Yes and No are no numbers: the adapter has diverged")
        return self._record(item, judgement.margin)

    def missed(self, item: Item) -> Record:
        """The wrong verdict, with certainty."""
        return self._record(item, -1.0 if verdict_of(item) else 1.0)

    def _request(self, item: Item, prompts: PromptBook) -> Request:
        spans = item.spans()
        if len(spans) != 1:
            raise Skip("not exactly one span, the candidate")
        part, budget = Span(0.0, item.video.duration_s), self.manner.budget(self.role)
        question, window_s = item.example.question, self.manner.window_s
        return verifier.request(item.video, part, spans[0], question, prompts, budget, window_s)

    def _record(self, item: Item, margin: float) -> Record:
        tags = item.example.tags
        return {
            "margin": margin,
            "right": verdict_of(item),
            "group": tags.get("group", f"{item.example.video} {item.example.question}"),
            "iou": float(tags["candidate_iou"]) if "candidate_iou" in tags else float(verdict_of(item)),
            "confidence": float(tags.get("candidate_confidence", 0.0)),
        }

    def score(self, records: Sequence[Record]) -> Mapping[str, float]:
        """How well it tells right from wrong, and what re-ranking by it brings."""
        area = scores.auc([record["margin"] for record in records], [record["right"] for record in records])
        groups: dict[str, list[tuple[float, float, float]]] = {}
        for record in records:
            groups.setdefault(record["group"], []).append((record["confidence"], record["margin"], record["iou"]))
        return {"auc": float("nan") if area is None else area, **scores.rerank_gain(list(groups.values()))}


def verdict_of(item: Item) -> bool:
    """Whether an example's candidate is the moment.

    Raises:
        Skip: It is no verifier's example.
    """
    if item.example.answer is None and "candidate_iou" in item.example.tags:
        return float(item.example.tags["candidate_iou"]) >= verifier.POSITIVE_IOU
    said = (item.example.answer or "").strip().rstrip(".").casefold()
    if said not in ("yes", "no"):
        raise Skip("the answer is neither Yes nor No")
    return said == "yes"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return command(VerifierConfig, lambda config: VerifierRecipe(config.max_query_words), argv, "verifier", __doc__)


if __name__ == "__main__":
    sys.exit(main())
