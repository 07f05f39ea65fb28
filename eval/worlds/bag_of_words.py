"""A bag of words that chooses options: questions with their options go in, the chosen option's number comes out.

It sees words only, never the film. What it gets right beyond chance, the wording gives away.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_SLOTS = 1 << 18
"""Features are hashed into this many weights."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question as the bag sees it.

    Attributes:
        context: Texts that all options share: the question, or marks such as the film's length; empty where only the
            options are seen.
        options: The options' texts.
        right: Number of the right one.
    """

    context: tuple[str, ...]
    options: tuple[str, ...]
    right: int


@dataclass(slots=True)
class BagOfWords:
    """A linear model over words, pairs of a word of the context and one of the option, and positions.

    Attributes:
        epochs: Passes over the data.
        rate: Step length of AdaGrad.
        seed: Of the order of the data.
        decay: Pull of the weights towards zero.
    """

    epochs: int = 4
    rate: float = 0.2
    seed: int = 0
    decay: float = 1e-5
    _weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_SLOTS))

    def fit(self, items: Sequence[Item]) -> None:
        """Learns from questions whose right option is known."""
        squares = np.full(_SLOTS, 1e-8)
        features = [[_features(item, k) for k in range(len(item.options))] for item in items]
        order = np.random.default_rng(self.seed)
        for _ in range(self.epochs):
            for i in order.permutation(len(items)):
                rows = features[i]
                probs = _softmax(np.array([self._weights[row].sum() for row in rows]))
                for k, row in enumerate(rows):
                    gradient = probs[k] - (k == items[i].right)
                    steps = gradient + self.decay * self._weights[row]
                    squares[row] += steps**2
                    self._weights[row] -= self.rate * steps / np.sqrt(squares[row])

    def choose(self, item: Item) -> int:
        """The option that it thinks most likely."""
        return int(np.argmax([self._weights[_features(item, k)].sum() for k in range(len(item.options))]))


def _features(item: Item, k: int) -> NDArray[np.int64]:
    words = sorted(set(_words([item.options[k]])))
    context = sorted(set(_words(item.context)))
    texts = [f"at {k}", *(f"o {word}" for word in words)]
    texts += [f"{mark}|{word}" for mark in context for word in words]
    texts += [f"{mark}|at {k}" for mark in context]
    return np.unique(np.array([zlib.crc32(text.encode()) % _SLOTS for text in texts]))


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in re.findall(r"[a-z0-9_'=]+", text.lower())]


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.exp(scores - scores.max())
    return powers / float(powers.sum())
