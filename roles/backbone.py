"""The few verbs that a role needs of a model; `adapters.qwen2vl.Qwen2VL` has them, and so do the tests' fakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from prompts import PromptBook
from roles.manner import Manner
from roles.types import Choosing, Clip, FilmCheck, Judgement, Pointing, Reply, Request, Video


class Backbone(Protocol):
    """One base model with an adapter per role."""

    @property
    def prompts(self) -> PromptBook:
        """The templates that the loaded checkpoint was trained with."""
        ...

    @property
    def manner(self) -> Manner:
        """How the loaded checkpoint wants to be asked."""
        ...

    def has(self, role: str) -> bool:
        """Whether the checkpoint holds an adapter for the role (the answerer can do without)."""
        ...

    def prepare(self, clips: Sequence[Clip]) -> None:
        """Says which clips are likely to be asked about next, so that their frames are decoded in one pass."""
        ...

    def write(self, request: Request) -> Reply:
        """Generates text greedily."""
        ...

    def point(self, request: Request) -> Pointing:
        """Generates text and regresses spans from its first timestamp token."""
        ...

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """Yes/No probabilities for each request; batched where memory allows, with the same result."""
        ...

    def choose(self, request: Request, texts: Sequence[str]) -> Choosing:
        """How likely each text is as the whole reply to a request."""
        ...

    def film(self, video: Video) -> FilmCheck | None:
        """Whether a video is of the kind that the checkpoint was trained on.

        None where the checkpoint cannot tell, or where nothing of the video has been looked at yet.
        """
        ...

    def describe(self) -> dict[str, object]:
        """What is loaded, for the trace: model, adapters, device, dtype, attention, versions."""
        ...

    def reset_peak_memory(self) -> None:
        """Starts a new measurement for `peak_memory_bytes`."""
        ...

    def peak_memory_bytes(self) -> int | None:
        """Most memory in use since the last reset, on the model's device; None where it cannot be told."""
        ...
