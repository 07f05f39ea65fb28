"""What a generated world must give so that a base can be trained on it: lessons on the CPU, pixels on the device.

The trainer knows no world; its configuration names the class that makes one ("eval.lessons:Lessons").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from prompts import PromptBook
from roles.manner import Manner

UNKNOWN = -100
"""A label that is not scored."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One thing to read and one to write about a film; several share its video and never see each other.

    Attributes:
        role: Whose prompt is filled: one of the four roles, or "transcript".
        text: The question or query that fills it; for a transcript what stands ahead of the request, or nothing.
        reply: What is to be written, without the end token. For the grounder None: its prompt says it.
        spans_norm: For the grounder, the moments as fractions of what is shown.
        type: Type of the question, for statistics.
    """

    role: str
    text: str
    reply: str | None
    spans_norm: tuple[tuple[float, float], ...] = ()
    type: str = ""


@dataclass(frozen=True, slots=True)
class States:
    """What is so at each temporal patch of a view: Q queries about T patches. Learned by heads that are then dropped.

    Attributes:
        queries: Kind of the query and up to three names it is about, as indices into the world's vocabulary (0 is
            none), int16 [Q, 4].
        labels: Class, colour and shape of the answer, `UNKNOWN` where there is none, int16 [Q, T, 3].
    """

    queries: NDArray[np.int16]
    labels: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class StateSizes:
    """How large the indices in `States` get.

    Attributes:
        kinds: Query kinds.
        names: Names that queries are about.
        classes: Classes of an answer.
        colours: Colours of an answer.
        shapes: Shapes of an answer.
        visible: Kinds that one patch alone shows; only these are asked of the vision tower.
    """

    kinds: int
    names: int
    classes: int
    colours: int
    shapes: int
    visible: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One view of one film with all that is asked about it.

    Attributes:
        film: Whatever `World.draw` draws.
        patches: Temporal patches, of two frames each.
        rows: Rows of visual tokens.
        columns: Columns of visual tokens.
        marked_norm: The stretch between the segment tokens, as fractions of the view; None marks nothing.
        segments: What is asked.
        states: What is so when; None where nothing is known of it.
        seconds: How long the view lasts.
    """

    film: Any
    patches: int
    rows: int
    columns: int
    marked_norm: tuple[float, float] | None
    segments: tuple[Segment, ...]
    states: States | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a curriculum.

    Attributes:
        share: Its share of the training.
        lengths: Least and greatest length of films in seconds, and how often: ((12, 20, 1.0),).
        views: How often each sort of view is drawn: "whole" (as the grounder and a short film's answerer see it),
            "clip" (the evidence and its surroundings, as the answerer sees it), "marked" (as the verifier sees it).
    """

    share: float
    lengths: tuple[tuple[float, float, float], ...]
    views: dict[str, float] = field(default_factory=lambda: {"whole": 1.0})


class World(Protocol):
    """Makes lessons. `lesson` runs in worker processes and gives the same for the same numbers, always."""

    @property
    def state_sizes(self) -> StateSizes:
        """Of all lessons."""
        ...

    def lesson(self, number: int, stage: Stage, manner: Manner, prompts: PromptBook) -> Lesson:
        """The lesson of a number: film, view, segments, states; from training seeds and training wordings alone."""
        ...

    def draw(self, films: Sequence[Any], rows: int, columns: int, device: Any) -> Tensor:
        """Draws films of one size.

        Returns:
            Levels 0 to 255 in the vision tower's patch layout, uint8 [patches, 3 * 2 * 14 * 14]: for each film in
            turn its temporal patches, each with 4 * rows * columns spatial ones in merge order.
        """
        ...

    def texts(self, count: int) -> Iterator[str]:
        """About `count` texts such as lessons hold, for the tokenizer; from training seeds and wordings alone."""
        ...

    def look(self, seed: int, part: str) -> Tensor:
        """Frames of a film of a training seed, to learn what films of the world look like.

        Args:
            seed: The film's.
            part: "whole" is the film in a few frames, "part" a stretch at two frames a second, "moment" some seconds.

        Returns:
            uint8 [frames, 3, height, width], on the CPU.
        """
        ...
