"""What a role's script must say for the shared loop to train it: how an example becomes a sample, and how good it is.

The scripts `planner.py`, `grounder.py`, `verifier.py` and `answerer.py` beside this file each define one recipe.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from prompts import Part, PromptBook
from roles.manner import Manner
from roles.subtitles import Line
from roles.types import Example, Request, Span, Video

if TYPE_CHECKING:  # torch stays out of `--help`
    from adapters.qwen2vl import Qwen2VL


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing to learn: what a role asks, and what it should reply.

    Questions are built by the same `roles.*.request` as at inference, so that the two cannot drift apart.

    Attributes:
        request: What the role is asked, as at inference.
        reply: What it should write; trusted where it may hold the timestamp token.
        spans: For the grounder: the true moments, in seconds from the clip's start.
        source: Where it comes from ("train.jsonl:12"), for messages.
        draw: Seed of what is drawn at random for it later on.
    """

    request: Request
    reply: Part
    spans: tuple[Span, ...] = ()
    source: str = ""
    draw: int = 0


Record = dict[str, Any]
"""What asking one validation example gave, as JSON."""


class Skip(Exception):  # noqa: N818 - not an error: a reason, counted
    """This example teaches this role nothing; the text says why, the same for all of a kind."""


@dataclass(frozen=True, slots=True)
class Item:
    """An example whose video is known.

    Attributes:
        example: What the data says.
        video: Its video.
        source: Where it stands ("train.jsonl:12").
        subtitles: The lines of its subtitle file.
    """

    example: Example
    video: Video
    source: str
    subtitles: tuple[Line, ...] = ()

    def spans(self) -> tuple[Span, ...]:
        """The true moments, inside the video.

        Raises:
            Skip: There are none, or one lies outside.
        """
        if not self.example.spans:
            raise Skip("no spans")
        end_s = self.video.duration_s
        cut = tuple(Span(min(span.start_s, end_s), min(span.end_s, end_s)) for span in self.example.spans)
        if any(span.length_s <= 0 for span in cut):
            raise Skip("a span lies behind the end of the video")
        return cut


class Recipe(Protocol):
    """A role's part of its training."""

    @property
    def role(self) -> str:
        """Its name."""

    @property
    def learns_tokens(self) -> bool:
        """Whether it learns the embeddings of the added tokens."""

    @property
    def with_head(self) -> bool:
        """Whether it learns the regression head."""

    @property
    def best(self) -> str:
        """The metric by which checkpoints are compared; more is better."""

    @property
    def manner(self) -> Manner:
        """How it is asked, in training and in validation."""

    def asked_as(self, manner: Manner) -> Recipe:
        """The same for a checkpoint that wants to be asked so; what the role's own settings say wins."""

    def sample(self, item: Item, prompts: PromptBook, rng: random.Random) -> Sample:
        """What an example teaches.

        Raises:
            Skip: Nothing.
        """

    def ask(self, backbone: Qwen2VL, item: Item) -> Record:
        """Asks the adapter about a validation example, exactly as the agent does."""

    def missed(self, item: Item) -> Record:
        """What stands for an example that the adapter failed on: a wrong prediction, not a missing one."""

    def score(self, records: Sequence[Record]) -> Mapping[str, float]:
        """The role's own metrics."""


@dataclass(slots=True)
class RoleSamples:
    """A recipe over items, as the data set needs it.

    Attributes:
        items: What to learn from.
        recipe: How.
        prompts: The templates.
        seed: Of what a sample draws at random.
        variants: How many different draws there are of a sample; rounds over the data take turns.
    """

    items: Sequence[Item]
    recipe: Recipe
    prompts: PromptBook
    seed: int
    variants: int = 1

    def __len__(self) -> int:
        return len(self.items)

    def sample(self, number: int, epoch: int) -> Sample:
        """The sample of an item, the same in every process."""
        rng = random.Random(f"{self.seed}:{number}:{epoch % self.variants}")  # noqa: S311 - no secret
        draw = random.Random(f"{self.seed}:{number}:{epoch}").getrandbits(48)  # noqa: S311
        return replace(self.recipe.sample(self.items[number], self.prompts, rng), draw=draw)


def check_words(text: str, most: int) -> str:
    """The text.

    Raises:
        Skip: It has more words than that.
    """
    if len(text.split()) > most:
        raise Skip(f"a query of more than {most} words")
    return text
