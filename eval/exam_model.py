"""A checkpoint goes in; the same model comes out, which reads what several questions have in common only once.

All questions on a film begin with the film. The keys and values of such a beginning are kept for each adapter, and the
next prompt is read from where it differs. The rest is the product's own code, and so are its answers, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adapters.decode import LanguageModel
from adapters.qwen2vl import Qwen2VL
from roles.types import Video

KEPT = 6
"""Beginnings that are kept for each adapter: the verifier's differ with the marked candidate."""
WORTH = 0.9
"""A prompt that shares so much of its length with a kept one need not be kept itself."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A prompt that was read: L tokens, hidden size H.

    Attributes:
        embeds: [L, H].
        positions: [3, L].
        states: Before the final norm, [L, H].
        layers: Keys and values of each layer, [1, heads, L, size of a head].
    """

    embeds: Tensor
    positions: Tensor
    states: Tensor
    layers: tuple[tuple[Tensor, Tensor], ...]


class SharingLanguageModel(LanguageModel):
    """A language model that goes on from a kept beginning where a new prompt has one."""

    def __init__(self, text_model: Any) -> None:
        super().__init__(text_model)
        self.sharing = True
        self.reused_tokens = 0
        """Tokens that did not have to be read again, in all."""
        self._read: dict[str | None, list[_Read]] = {}
        self._adapter: str | None = None

    def use(self, adapter: str | None) -> None:
        """Says which adapter is switched on: what another one read is of no use."""
        self._adapter = adapter

    def forget(self) -> None:
        """Drops all that was kept."""
        self._read.clear()

    def forward(
        self, embeds: Tensor, positions: Tensor, cache: Any | None = None, pack: object | None = None
    ) -> Tensor:
        """As `LanguageModel.forward`; the beginning of a single prompt is taken from what was read before."""
        begins = cache is None or cache.get_seq_length() == 0
        if not self.sharing or pack is not None or embeds.shape[0] != 1 or not begins:
            return super().forward(embeds, positions, cache, pack)
        from transformers import DynamicCache

        cache = DynamicCache() if cache is None else cache
        kept = self._read.setdefault(self._adapter, [])
        best, common = None, 0
        for one in kept:
            same = _common(one, embeds[0], positions[:, 0])
            if same > common:
                best, common = one, same
        if best is not None:
            for number, (keys, values) in enumerate(best.layers):
                cache.update(keys[:, :, :common], values[:, :, :common], number)
            self.reused_tokens += common
        states = super().forward(embeds[:, common:], positions[:, :, common:], cache)
        if best is not None:
            states = torch.cat((best.states[None, :common], states), dim=1)
        if common < WORTH * embeds.shape[1]:
            layers = tuple((layer.keys, layer.values) for layer in cache.layers)
            kept.append(_Read(embeds[0], positions[:, 0], states[0], layers))
            del kept[:-KEPT]
        return states


def _common(kept: _Read, embeds: Tensor, positions: Tensor) -> int:
    """How many tokens two prompts have in common from the start; the last one is always read anew."""
    length = min(kept.embeds.shape[0], embeds.shape[0] - 1)
    if length <= 0:
        return 0
    same = (kept.embeds[:length] == embeds[:length]).all(dim=1)
    same &= (kept.positions[:, :length] == positions[:, :length]).all(dim=0)
    return int(same.int().cumprod(dim=0).sum())


class ExaminedModel(Qwen2VL):
    """A `Qwen2VL` for many questions on one film; use `ExaminedModel.load`."""

    def __init__(self, model: Any, *args: Any, **named: Any) -> None:
        super().__init__(model, *args, **named)
        self.reader = SharingLanguageModel(model.model.language_model)
        self._language_model = self.reader

    def forget(self, video: Video) -> None:
        """Drops everything kept of a video."""
        super().forget(video)
        self.reader.forget()

    @contextmanager
    def reading_afresh(self) -> Iterator[None]:
        """Inside, every prompt is read from its start, as the product does it: for measuring time."""
        self.reader.sharing = False
        try:
            yield
        finally:
            self.reader.sharing = True

    @contextmanager
    def _working(self, role: str) -> Iterator[str | None]:
        with super()._working(role) as adapter:
            self.reader.use(adapter)
            yield adapter
