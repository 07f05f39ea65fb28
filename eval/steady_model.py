"""A checkpoint goes in; the same model comes out, which reads what several questions have in common only once.

All prompts on a video begin with the video. A prompt is read in chunks of a fixed number of tokens, and the keys and
values of a chunk are kept for prompts that begin with the same chunks. As every prompt is read in the same chunks,
whether some are kept or not, what a model says of one question does not depend, to the last bit, on which others were
asked before: a run that was killed and goes on says what an unbroken one does. The rest is the product's own code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from adapters.decode import LanguageModel
from adapters.qwen2vl import Qwen2VL
from roles.types import Video

CHUNK_TOKENS = {"cpu": 256, "cuda": 1024}
"""Small chunks share more; a GPU wants more to do at a time."""
KEPT_TOKENS = 16_384
"""Tokens that are kept for each adapter; at 2B they take 470 MB."""


@dataclass(eq=False, slots=True)
class _Chunk:
    """C tokens of a prompt, read after those before them: hidden size H.

    Attributes:
        embeds: [C, H].
        positions: [3, C].
        states: Before the final norm, [1, C, H].
        layers: Keys and values of each layer, [1, heads, C, size of a head].
        after: Chunks that followed it.
    """

    embeds: Tensor
    positions: Tensor
    states: Tensor
    layers: tuple[tuple[Tensor, Tensor], ...]
    after: list[_Chunk] = field(default_factory=list)

    def is_of(self, embeds: Tensor, positions: Tensor) -> bool:
        """Whether it is what these tokens would give."""
        return torch.equal(self.embeds, embeds) and torch.equal(self.positions, positions)


class SteadyLanguageModel(LanguageModel):
    """A language model that reads prompts in chunks, and keeps them.

    Attributes:
        adapter: The one that is switched on: what another one read is of no use.
        reused_tokens: Tokens that did not have to be read again, in all.
    """

    def __init__(self, text_model: Any, chunk_tokens: int) -> None:
        super().__init__(text_model)
        self.adapter: str | None = None
        self.reused_tokens = 0
        self._size = chunk_tokens
        self._first: dict[str | None, list[_Chunk]] = {}
        self._kept: dict[str | None, int] = {}

    def forget(self) -> None:
        """Drops all that was kept."""
        self._first.clear()
        self._kept.clear()

    def forward(
        self, embeds: Tensor, positions: Tensor, cache: Any | None = None, pack: object | None = None
    ) -> Tensor:
        """As `LanguageModel.forward`; a single prompt that begins is read in chunks."""
        begins = cache is None or cache.get_seq_length() == 0
        if not begins or pack is not None or embeds.shape[0] != 1:
            return super().forward(embeds, positions, cache, pack)
        from transformers import DynamicCache

        cache = DynamicCache() if cache is None else cache
        if self._kept.get(self.adapter, 0) > KEPT_TOKENS:
            self._first[self.adapter], self._kept[self.adapter] = [], 0
        known = self._first.setdefault(self.adapter, [])
        last = embeds.shape[1] - 1  # the last token is read in any case: what follows needs its state
        states: list[Tensor] = []
        shared: list[_Chunk] = []
        for start in range(0, last - self._size + 1, self._size):
            part = slice(start, start + self._size)
            found = next((one for one in known if one.is_of(embeds[0, part], positions[:, 0, part])), None)
            if found is None:
                self._fill(cache, shared)
                found = self._read(embeds[:, part], positions[:, :, part], cache)
                known.append(found)
            else:
                shared.append(found)
                self.reused_tokens += self._size
            states.append(found.states)
            known = found.after
        self._fill(cache, shared)
        rest = len(states) * self._size
        return torch.cat([*states, super().forward(embeds[:, rest:], positions[:, :, rest:], cache)], dim=1)

    def _fill(self, cache: Any, shared: list[_Chunk]) -> None:
        """Puts what was kept into a cache, and empties the list."""
        for number, layers in enumerate(zip(*(chunk.layers for chunk in shared), strict=True)):
            cache.update(*(torch.cat(parts, dim=2) for parts in zip(*layers, strict=True)), number)
        shared.clear()

    def _read(self, embeds: Tensor, positions: Tensor, cache: Any) -> _Chunk:
        states = super().forward(embeds, positions, cache)
        self._kept[self.adapter] = self._kept.get(self.adapter, 0) + self._size
        # Copies: a view would keep alive all that lies before it in the cache.
        layers = tuple(
            (layer.keys[:, :, -self._size :].clone(), layer.values[:, :, -self._size :].clone())
            for layer in cache.layers
        )
        return _Chunk(embeds[0].clone(), positions[:, 0].clone(), states, layers)


class SteadyModel(Qwen2VL):
    """A `Qwen2VL` for many questions on one video; use `SteadyModel.load`."""

    def __init__(self, model: Any, *args: Any, **named: Any) -> None:
        super().__init__(model, *args, **named)
        size = CHUNK_TOKENS["cuda" if self.placement.device.type == "cuda" else "cpu"]
        self.reader = SteadyLanguageModel(model.model.language_model, size)
        self._language_model = self.reader

    def forget(self, video: Video) -> None:
        """Drops everything kept of a video."""
        super().forget(video)
        self.reader.forget()

    @contextmanager
    def _working(self, role: str) -> Iterator[str | None]:
        with super()._working(role) as adapter:
            self.reader.adapter = adapter
            yield adapter
