"""Groups of questions go in, shares for workers come out, until each question has exactly one record.

Engines (`eval.engines.local`, `.ray_actors`) tell a `Sheet` what they hear from their workers. A worker that is lost
takes no question with it: what it had written is taken from disk, the rest of its share goes to another worker, and a
share that loses one worker after the other is given up, so that one broken file cannot end a run.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from eval.asking import Job
from eval.item import Group, Item, Record
from eval.run_folder import SHARDS, Shard
from eval.run_record import failed
from roles.errors import DataError, TraceError

ENDS_A_RUN = (DataError, TraceError)
"""What no other video would be spared: nothing can be written. All else is one video's."""


class Asks(Protocol):
    """What engines want of `eval.asking.Worker`."""

    def ask(self, group: Group) -> Iterator[Record]:
        """Asks all questions on a video; each record is on disk before it is given."""

    def close(self) -> None:
        """Ends the records' file."""


MakeWorker = Callable[[Job], Asks]
"""Loads a model; a class or function of a module, as its name is sent to other processes."""

Cost = Callable[[Group], float]
"""How long a group takes, in any unit."""


def questions(group: Group) -> float:
    """The cost of a group where nothing else is known."""
    return len(group.items)


@dataclass(eq=False, slots=True)
class Share:
    """What a worker is asked next.

    Attributes:
        group: The questions of one video that have no record.
        losses: How the workers ended that had it since its last record.
    """

    group: Group
    losses: list[str] = field(default_factory=list)


class Sheet:
    """Who is asked what, and what has been said."""

    def __init__(self, folder: Path, groups: Iterable[Group], losses: int, cost: Cost = questions) -> None:
        """Longest work first, so that the last worker does not start on it when all others are done.

        Args:
            folder: The run's.
            groups: What is to ask.
            losses: After so many lost workers in a row without a record, a share is given up.
            cost: How long a group takes.
        """
        self._folder = folder
        self._losses = losses
        self._written = NewRecords(folder)
        self._waiting = deque(Share(group) for group in sorted(groups, key=cost, reverse=True))
        self._open = {item.key for share in self._waiting for item in share.group.items}

    @property
    def left(self) -> int:
        """How many questions have no record."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many shares no worker has."""
        return len(self._waiting)

    def next(self) -> Share | None:
        """A share for a worker; None where others have all that is left."""
        return self._waiting.popleft() if self._waiting else None

    def put_back(self, share: Share) -> None:
        """A share that never reached its worker."""
        self._waiting.appendleft(share)

    def take(self, record: Record) -> bool:
        """Notes a record; whether it is the first to its question."""
        if record["key"] not in self._open:
            return False
        self._open.remove(record["key"])
        return True

    def lost(self, share: Share, why: str) -> Iterator[Record]:
        """Notes that a worker ended before it was through with a share; gives records that come of it.

        Args:
            share: What it had.
            why: How it ended, such as "signal 9".

        Raises:
            DataError: The run's folder cannot be written.
        """
        if any(item.key in self._open for item in share.group.items):
            yield from (record for record in self._written.read() if self.take(record))
        items = tuple(item for item in share.group.items if item.key in self._open)
        if not items:
            return
        went_on = len(items) < len(share.group.items)
        losses = [why] if went_on else [*share.losses, why]
        if len(losses) < self._losses:
            self._waiting.appendleft(Share(Group(share.group.video, items), losses))
            return
        times = "once" if len(losses) == 1 else f"{len(losses)} times"
        text = f"the process that asked about it ended ({', '.join(dict.fromkeys(losses))}) {times}"
        yield from (record for record in give_up(self._folder, items, text) if self.take(record))


class NewRecords:
    """The records that processes add to a run's folder from now on; each is given once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / SHARDS
        self._read = {path.name: path.stat().st_size for path in self._folder.glob("*.jsonl")}

    def read(self) -> Iterator[Record]:
        """What was added since it was last asked; a line that is still being written waits for the next time."""
        for path in sorted(self._folder.glob("*.jsonl")):
            begin = self._read.get(path.name, 0)
            with path.open("rb") as file:
                file.seek(begin)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read[path.name] = begin + len(whole)
            for line in whole.decode("utf-8", "replace").split("\n")[:-1]:
                with suppress(ValueError):  # whoever reads them all names a line that is no record
                    yield json.loads(line)


def give_up(folder: Path, items: Sequence[Item], why: str) -> list[Record]:
    """Writes records of questions that nobody will ask.

    Args:
        folder: The run's.
        items: The questions.
        why: Why there is no answer, a line for a person.

    Raises:
        DataError: The run's folder cannot be written.
    """
    records = [failed(item, why) for item in items]
    shard = Shard(folder)
    try:
        for record in records:
            shard.add(record)
    finally:
        shard.close()
    return records
