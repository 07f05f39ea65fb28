"""What is learned when: measured samples go in, the samples of every forward pass of every step come out.

The order depends on the seed and the data alone, never on the number of devices, so a run on two GPUs takes the same
steps as one on a single GPU, and a resumed run takes those that were left. Within a step, questions on one clip go into
one pass, and passes are filled evenly, so that devices wait little for each other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """A sample as the plan sees it.

    Attributes:
        clip: Samples with equal clips can share its tokens.
        shared: Tokens that such samples share.
        own: Tokens of its own.
    """

    clip: Hashable
    shared: int
    own: int


@dataclass(frozen=True, slots=True)
class PlannedPass:
    """One forward pass.

    Attributes:
        epochs: For each of its samples, which round over the data it belongs to.
        samples: Numbers of its samples.
        tokens: Its length.
        weight: What the sum of its samples' losses counts in the step.
    """

    epochs: tuple[int, ...]
    samples: tuple[int, ...]
    tokens: int
    weight: float

    @property
    def epoch(self) -> int:
        """The round that it begins in."""
        return min(self.epochs)


def steps_of(samples: int, batch: int, epochs: float, max_steps: int | None) -> int:
    """Optimizer steps of a run."""
    steps = max(1, round(epochs * samples / batch))
    return steps if max_steps is None else min(steps, max_steps)


def mean_tokens(samples: Sequence[Measured], questions_per_video: int) -> float:
    """Tokens that a sample takes on average where samples of one clip share what they can."""
    by_clip: dict[Hashable, list[Measured]] = {}
    for sample in samples:
        by_clip.setdefault(sample.clip, []).append(sample)
    shared = sum(math.ceil(len(some) / questions_per_video) * some[0].shared for some in by_clip.values())
    return (shared + sum(sample.own for sample in samples)) / len(samples)


def plan_steps(
    samples: Sequence[Measured], batch: int, passes: int, questions_per_video: int, steps: int, seed: int
) -> list[list[PlannedPass]]:
    """Plans a run.

    Args:
        samples: At least one.
        batch: Samples of one step; those of the last step of a round over the data are topped up from the next round.
        passes: Forward passes of one step, over all devices; at most `batch`.
        questions_per_video: At most this many samples of one clip are taken in a row, so that steps stay mixed. Where a
            step holds more of one clip, they may meet in a pass.
        steps: Optimizer steps.
        seed: Of the order.

    Returns:
        For each step its passes, longest first.

    Raises:
        ValueError: No samples, or passes that cannot all be filled.
    """
    if not samples or not 1 <= passes <= batch:
        raise ValueError(f"{len(samples)} samples, batches of {batch} in {passes} passes: nothing to plan")
    queue: list[tuple[int, tuple[int, ...]]] = []
    epoch = 0
    planned = []
    for _ in range(steps):
        chunks: list[tuple[int, tuple[int, ...]]] = []
        missing = batch
        while missing:
            if not queue:
                queue = [(epoch, chunk) for chunk in reversed(_chunks(samples, questions_per_video, seed, epoch))]
                epoch += 1
            at, chunk = queue.pop()
            if len(chunk) > missing:
                queue.append((at, chunk[missing:]))
                chunk = chunk[:missing]
            chunks.append((at, chunk))
            missing -= len(chunk)
        planned.append(_fill(samples, chunks, batch, passes))
    return planned


def _chunks(samples: Sequence[Measured], most: int, seed: int, epoch: int) -> list[tuple[int, ...]]:
    """All samples once, in random order; up to `most` of one clip stay together."""
    rng = random.Random(f"{seed}:{epoch}")  # noqa: S311 - an order, no secret
    by_clip: dict[Hashable, list[int]] = {}
    for number, sample in enumerate(samples):
        by_clip.setdefault(sample.clip, []).append(number)
    chunks = []
    for numbers in by_clip.values():
        rng.shuffle(numbers)
        chunks += [tuple(numbers[at : at + most]) for at in range(0, len(numbers), most)]
    rng.shuffle(chunks)
    return chunks


def _fill(
    samples: Sequence[Measured], chunks: Sequence[tuple[int, tuple[int, ...]]], batch: int, passes: int
) -> list[PlannedPass]:
    """Spreads a step's chunks over its passes: the longest first, each to the emptiest pass."""
    parts = list(chunks)
    while len(parts) < passes:
        # No pass may stay empty: every device takes part in every step.
        longest = max(range(len(parts)), key=lambda i: (len(parts[i][1]), -i))
        epoch, numbers = parts.pop(longest)
        parts += [(epoch, numbers[: len(numbers) // 2]), (epoch, numbers[len(numbers) // 2 :])]
    parts.sort(key=lambda part: (-_tokens(samples, part[1]), part))
    loads = [0] * passes
    bins: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in range(passes)]
    for number, part in enumerate(parts):
        at = number if number < passes else loads.index(min(loads))
        bins[at].append(part)
        loads[at] += _tokens(samples, part[1])
    filled = [
        PlannedPass(
            epochs=tuple(epoch for epoch, numbers in held for _ in numbers),
            samples=tuple(number for _, numbers in held for number in numbers),
            tokens=load,
            weight=passes / batch,
        )
        for held, load in zip(bins, loads, strict=True)
    ]
    return sorted(filled, key=lambda one: (-one.tokens, one.samples))


def _tokens(samples: Sequence[Measured], numbers: Sequence[int]) -> int:
    return samples[numbers[0]].shared + sum(samples[number].own for number in numbers)
