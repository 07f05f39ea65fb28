"""Packs come in from worker processes, are drawn on the device, and stay there until they are not used again."""

from __future__ import annotations

import importlib
import queue
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adapters.tokens import Tokens
from adapters.train.default.arrays import Pack
from adapters.train.default.config import DefaultConfig
from adapters.train.default.contract import World
from adapters.train.default.pack import Packer
from adapters.train.default.schedule import Use, fresh_from, pack_number, stage_of, use_at
from prompts import PromptBook
from roles.errors import InputError
from roles.manner import Manner

AHEAD = 3
"""Packs that wait for the device."""


def load_world(name: str) -> World:
    """Makes the world that a configuration names as "module:class".

    Raises:
        InputError: There is no such class.
    """
    module, _, attribute = name.partition(":")
    try:
        made: World = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"world {name!r} cannot be loaded ({error}); expected module:class") from error
    return made


@dataclass(frozen=True, slots=True)
class Maker:
    """What a worker process needs to make packs."""

    config: DefaultConfig
    tokenizer: Path
    prompts: PromptBook
    manner: Manner

    def packer(self, world: World) -> Packer:
        """The packer of this training."""
        return Packer(
            Tokens(self.tokenizer), self.prompts, self.manner, self.config.pack_tokens, self.config.seed,
            frozenset(world.state_sizes.visible),
        )  # fmt: skip


class PackSet(Dataset[tuple[Use, Pack]]):
    """The packs of some uses, made when asked for."""

    def __init__(self, maker: Maker, uses: Sequence[Use]) -> None:
        self._maker, self._uses = maker, uses
        self._world: World | None = None
        self._packer: Packer | None = None

    def __len__(self) -> int:
        return len(self._uses)

    def __getitem__(self, at: int) -> tuple[Use, Pack]:
        if self._world is None or self._packer is None:
            self._world = load_world(self._maker.config.world)
            self._packer = self._maker.packer(self._world)
        use, config = self._uses[at], self._maker.config
        return use, self._packer.make(self._world, pack_number(config, use), stage_of(config, use))


def _uninterrupted(_worker: int) -> None:
    """Leaves Ctrl-C, which reaches every process of a terminal, to the process that trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(slots=True)
class Drawn:
    """A pack on the device, with its films as levels: one tensor a group, uint8 [patches, spatial, 1176]."""

    pack: Pack
    levels: list[Tensor]


class Pool:
    """The packs of the lanes of one device.

    Args:
        maker: Makes them.
        lanes: Which lanes this device works on.
        step: Where the training stands.
        workers: Processes; 0 makes packs when they are needed.
    """

    def __init__(self, maker: Maker, lanes: Sequence[int], step: int, workers: int) -> None:
        self._config = maker.config
        self._world = load_world(maker.config.world)
        self._kept: dict[tuple[int, int], Drawn] = {}
        parts = [fresh_from(maker.config, lane, step) for lane in lanes]
        before = [use for old, _ in parts for use in old]
        new = [use for group in zip(*(new for _, new in parts), strict=True) for use in group]
        loader: DataLoader[tuple[Use, Pack]] = DataLoader(
            PackSet(maker, before + new), batch_size=None, shuffle=False, num_workers=workers,
            prefetch_factor=2 if workers else None, collate_fn=None, persistent_workers=False,
            worker_init_fn=_uninterrupted,
        )  # fmt: skip
        self._packs: Iterator[tuple[Use, Pack]] = iter(loader)
        self._threaded = workers > 0
        self._queue: queue.Queue[Any] = queue.Queue(AHEAD)
        if self._threaded:
            threading.Thread(target=self._fetch, daemon=True).start()

    def _fetch(self) -> None:
        try:
            for item in self._packs:
                self._queue.put(item)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that takes packs
            self._queue.put(error)

    def take(self, lane: int, step: int, device: torch.device) -> tuple[Drawn, bool]:
        """The pack that a lane uses at a step, and whether it is new."""
        use = use_at(self._config, lane, step)
        while (lane, use.fresh) not in self._kept:
            self._receive(device)
        drawn = self._kept[lane, use.fresh]
        oldest = step // self._config.reuse - self._config.chunk
        for key in [key for key in self._kept if key[0] == lane and key[1] < oldest]:
            del self._kept[key]
        return drawn, use.first

    def _receive(self, device: torch.device) -> None:
        item = self._queue.get() if self._threaded else next(self._packs)
        if isinstance(item, BaseException):
            raise item
        use, pack = item
        self._kept[use.lane, use.fresh] = draw(self._world, pack, device)


def draw(world: World, pack: Pack, device: torch.device) -> Drawn:
    """Draws a pack's films on the device."""
    levels = []
    for group in pack.groups:
        pixels = world.draw(group.films, group.rows, group.columns, device)
        levels.append(pixels.view(group.patches, 4 * group.rows * group.columns, -1))
    return Drawn(pack.on(device), levels)
