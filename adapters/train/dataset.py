"""Planned passes go in, packed tensors come out, made in worker processes.

A video that cannot be decoded after all is replaced by the next sample that can, in place, and is named in the pass, so
that no step grows smaller and every device has work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from adapters.tokens import Tokens
from adapters.train.features import FeatureStore, read_clip
from adapters.train.packing import ClipKey, Pass, assemble
from adapters.train.plan import PlannedPass
from adapters.train.recipe import Sample
from roles.errors import VideoError


class Samples(Protocol):
    """What there is to learn from; sampling again in another round may jitter the clip."""

    def __len__(self) -> int:
        """How many."""

    def sample(self, number: int, epoch: int) -> Sample:
        """One of them, the same for the same arguments."""


@dataclass(slots=True)
class PassDataset:
    """A map-style data set of passes.

    Attributes:
        planned: In the order in which they are learned.
        samples: What they are made of.
        tokens: The checkpoint's tokenizer.
        token_px: Side of the square behind one visual token.
        store: Kept visual tokens; None decodes frames.
        aligned: How tokens around segment tokens are numbered; see `adapters.positions`.
    """

    planned: Sequence[PlannedPass]
    samples: Samples
    tokens: Tokens
    token_px: int
    store: FeatureStore | None = None
    aligned: bool = False

    def __len__(self) -> int:
        return len(self.planned)

    def __getitem__(self, number: int) -> Pass:
        planned = self.planned[number]
        loaded: dict[ClipKey, Tensor] = {}
        broken: dict[str, str] = {}
        taken: list[Sample] = []
        for wanted, epoch in zip(planned.samples, planned.epochs, strict=True):
            for step in range(len(self.samples)):
                sample = self.samples.sample((wanted + step) % len(self.samples), epoch)
                if sample.request.clip.video.path in broken:
                    continue
                key = ClipKey.of(sample.request.clip).frames
                try:
                    if key not in loaded:
                        loaded[key] = self._load(key)
                except VideoError as error:
                    broken[key.path] = str(error)
                    continue
                taken.append(sample)
                break
            else:
                reason = next(iter(broken.values()))
                raise VideoError(f"none of the {len(broken)} videos can be read any more; the first: {reason}")
        made = assemble(taken, self.tokens, self.token_px, loaded.__getitem__, planned.weight, self.aligned)
        return replace(made, broken=tuple(broken.items()))

    def _load(self, key: ClipKey) -> Tensor:
        if self.store is not None and self.store.has(key):
            return self.store.load(key)
        return read_clip(key)
