"""Questions with options go in; what can be learned of them on other videos, without any model, comes out as guesses.

Items are cut into folds by video and by set. What is guessed in one was learned in the others, so that a shortcut knows
no video that it is asked about.
"""

from __future__ import annotations

import random
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eval.item import Item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Guess = Sequence[int]
"""Places of the options among which a shortcut cannot decide; one is a decision."""

FOLDS = 5
SMOOTHING = 4.0
"""Words are counted as if each had been seen so often before, as often right as options are on the whole."""
_SLOTS = 1 << 20
"""Words and pairs of words are hashed into this many counters."""


def learned(items: Sequence[Item]) -> dict[str, list[Guess]]:
    """Guesses for each item by shortcut; none where all items hang together and nothing is left to learn from.

    With the questions exchanged, each item has another one's question: what the words of questions and options earn
    beyond that, they earn by fitting each other.

    Args:
        items: With options and a known answer.
    """
    folds = folds_of(items)
    if not any(folds):
        return {}
    exchanged = list(items)
    random.Random("0/exchanged questions").shuffle(exchanged)  # noqa: S311 - no secret
    return {
        "most common place of the answer": _usual_places(items, folds),
        "words of the options": _by_words(items, [""] * len(items), folds),
        "words of question and options": _by_words(items, [item.question for item in items], folds),
        "the same, questions exchanged": _by_words(items, [other.question for other in exchanged], folds),
    }


def folds_of(items: Sequence[Item]) -> list[int]:
    """A fold for each item, from 0; items of one video or of one set are in one fold."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for item in items:
        ends = sorted((find(f"set {item.set}"), find(f"video {item.video}")))
        leader[ends[1]] = ends[0]
    groups = sorted({find(f"set {item.set}") for item in items})
    random.Random("0/folds").shuffle(groups)  # noqa: S311 - no secret
    fold = {group: at % FOLDS for at, group in enumerate(groups)}
    return [fold[find(f"set {item.set}")] for item in items]


def _usual_places(items: Sequence[Item], folds: Sequence[int]) -> list[Guess]:
    """The place at which the answer stands most often in the other folds, among as many options."""
    places = Counter(
        (fold, len(item.options), at)
        for item, fold in zip(items, folds, strict=True)
        if (at := item.answer_at) is not None
    )
    guesses: list[Guess] = []
    for item, fold in zip(items, folds, strict=True):
        size = len(item.options)
        counts = [sum(places[other, size, at] for other in range(FOLDS) if other != fold) for at in range(size)]
        guesses.append([at for at, count in enumerate(counts) if count == max(counts)])
    return guesses


def _by_words(items: Sequence[Item], contexts: Sequence[str], folds: Sequence[int]) -> list[Guess]:
    """The options whose words, or pairs with a word of the context, were right most often in the other folds.

    A naive Bayes over words. On Social-IQ 2.0 it earns 49 % and, with questions, 49 %, where the linear model of
    `eval.worlds.bag_of_words` earns 47 and 42 %, in a tenth of the time; it is blind to the options' order, and says
    when it cannot decide.
    """
    import numpy as np

    slots = [
        [_slots(context, option) for option in item.options] for item, context in zip(items, contexts, strict=True)
    ]
    seen = np.zeros((2, FOLDS, _SLOTS), dtype=np.int32)  # [is it right, fold, word]
    options = np.zeros((2, FOLDS))
    for item, fold, words in zip(items, folds, slots, strict=True):
        for at, found in enumerate(words):
            right = int(bool(item.is_right(at)))
            seen[right, fold, found] += 1
            options[right, fold] += 1
    guesses: list[Guess] = []
    all_seen, all_options = seen.sum(axis=1), options.sum(axis=1)
    for fold, words in zip(folds, slots, strict=True):
        wrong, right = all_options - options[:, fold]
        if not (wrong and right):
            guesses.append(range(len(words)))
            continue
        share = right / (wrong + right)
        scores = []
        for found in words:
            no, yes = all_seen[:, found] - seen[:, fold, found]
            odds = (yes + SMOOTHING * share) * wrong / ((no + SMOOTHING * (1 - share)) * right)
            scores.append(round(float(np.log(odds).sum()), 9))  # options with the same words must tie
        guesses.append([at for at, score in enumerate(scores) if score == max(scores)])
    return guesses


def _slots(context: str, option: str) -> NDArray[np.int64]:
    """Counters of an option's words, and of its pairs with the context's words."""
    import numpy as np

    def hashed(text: str) -> NDArray[np.int64]:
        words = sorted(set(re.findall(r"[\w']+", text.lower())))
        return np.array([zlib.crc32(word.encode("utf-8", "replace")) for word in words], dtype=np.int64)

    ours, theirs = hashed(option), hashed(context)
    pairs = (theirs[:, None] * 31 + 7) ^ ours[None, :]
    return np.unique(np.concatenate([ours, pairs.ravel()]) % _SLOTS)
