"""Which pack is used when: a lane and a step go in, a pack's number comes out, whatever the number of GPUs.

A step averages over `packs_per_step` lanes. Each lane takes a fresh pack every `reuse` steps and, in between, one of
its last `chunk` packs again: drawing and writing lessons costs a CPU more than learning from them costs a GPU.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from adapters.train.default.config import DefaultConfig
from adapters.train.default.contract import Stage


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a pack.

    Attributes:
        lane: Which lane.
        fresh: Number of the pack within its lane.
        first: Whether it has not been seen before.
    """

    lane: int
    fresh: int
    first: bool


def use_at(config: DefaultConfig, lane: int, step: int) -> Use:
    """What a lane uses at a step."""
    newest, again = divmod(step, config.reuse)
    if not again:
        return Use(lane, newest, first=True)
    dice = random.Random(f"{config.seed}/{lane}/{step}/again")  # noqa: S311 - no secret
    return Use(lane, dice.randint(max(0, newest - config.chunk + 1), newest), first=False)


def pack_number(config: DefaultConfig, use: Use) -> int:
    """The pack's number in the whole training."""
    return use.fresh * config.packs_per_step + use.lane


def stage_of(config: DefaultConfig, use: Use) -> Stage:
    """The stage of the curriculum that the pack was made in."""
    return config.stage_at(use.fresh * config.reuse / config.steps)


def fresh_from(config: DefaultConfig, lane: int, step: int) -> tuple[list[Use], list[Use]]:
    """What a lane must make to go on at a step.

    Returns:
        (packs that were made before and may be used again, packs that are new from then on).
    """
    newest = (step - 1) // config.reuse if step else -1
    before = [Use(lane, fresh, first=True) for fresh in range(max(0, newest - config.chunk + 1), newest + 1)]
    last = (config.steps - 1) // config.reuse
    return before, [Use(lane, fresh, first=True) for fresh in range(newest + 1, last + 1)]
