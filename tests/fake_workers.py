"""Workers for tests of engines: no model, and they end in the ways that real ones do; sent to other processes by name.

A question's text tells what happens: "fine", "kill" (its process is killed before there is a record), "kill once",
"kill after" (once, after the record is on disk and before anybody is told), "raise", "full" (no room for the record).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eval.asking import Job
from eval.item import Group, Item, Record
from eval.run_folder import SHARDS, Shard
from eval.run_record import failed
from roles.errors import CheckpointError, DataError


class FakeWorker:
    """Takes a moment for each question."""

    pause_s = 0.01
    node: str | None = None

    def __init__(self, job: Job) -> None:
        self._folder = job.folder
        self._device = job.device
        self._shard = Shard(job.folder)
        note(job.folder, "started", str(os.getpid()))

    def ask(self, group: Group) -> Iterator[Record]:
        for item in group.items:
            note(self._folder, "asked", item.key)
            time.sleep(self.pause_s)
            if item.question == "kill" or (item.question == "kill once" and first_time(self._folder, item)):
                os.kill(os.getpid(), signal.SIGKILL)
            if item.question == "raise":
                raise ValueError("a bug")
            if item.question == "full":
                raise DataError("no room is left")
            record = failed(item, "") | {
                "error": None,
                "said": "yes",
                "choice": 0,
                "pid": os.getpid(),
                "device": self._device,
                "node": self.node,
                "threads": os.environ.get("OMP_NUM_THREADS"),
            }
            self._shard.add(record)
            if item.question == "kill after" and first_time(self._folder, item):
                os.kill(os.getpid(), signal.SIGKILL)
            yield record

    def close(self) -> None:
        self._shard.close()


class SlowWorker(FakeWorker):
    """Slow enough to be killed from outside."""

    pause_s = 0.15


class StuckWorker(FakeWorker):
    """Never through with a question."""

    pause_s = 3600.0


class Refused(FakeWorker):
    """Its checkpoint is not there."""

    def __init__(self, job: Job) -> None:
        raise CheckpointError(f"{job.model}: no such checkpoint")


class Killed(FakeWorker):
    """Its model takes more memory than there is."""

    def __init__(self, job: Job) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class SlowStart(SlowWorker):
    """Waits until three have started, so that each gets a share."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        until(lambda: len(noted(job.folder, "started")) >= 3)


class OnlyOneSlow(FakeWorker):
    """A model fits once; whoever comes later finds no room, and is heard before the work is done."""

    pause_s = 0.1

    def __init__(self, job: Job) -> None:
        if not once(job.folder / "taken"):
            raise CheckpointError("no room for another model")
        super().__init__(job)


def once(path: Path) -> bool:
    """Whether this is the first call, among all processes."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def first_time(folder: Path, item: Item) -> bool:
    return once(folder / f"once-{item.key}")


def note(folder: Path, what: str, line: str) -> None:
    """Adds a line, by one write, to a file that all processes share."""
    descriptor = os.open(folder / f"{what}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def noted(folder: Path, what: str) -> list[str]:
    path = folder / f"{what}.txt"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def groups(*texts: Sequence[str]) -> list[Group]:
    """Videos v0, v1 and so on, with questions v0-0, v0-1 and so on of these texts."""
    return [
        Group(f"v{video}", tuple(Item(f"v{video}-{at}", f"v{video}", text) for at, text in enumerate(asked)))
        for video, asked in enumerate(texts)
    ]


def script_groups() -> list[Group]:
    return groups(["fine"] * 20, ["fine"] * 20)


def accelerate_groups() -> list[Group]:
    """The last of them takes one process much longer than the other."""
    return groups(["fine"] * 12, ["kill once"], ["kill"], ["fine"] * 3)


def keys(several: Sequence[Group]) -> list[str]:
    return sorted(item.key for group in several for item in group.items)


def on_disk(folder: Path) -> Counter[str]:
    """How many records each question has in the shards."""
    lines = [
        line for path in (folder / SHARDS).glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return Counter(json.loads(line)["key"] for line in lines)


def until(seen: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Waits for something that another process does."""
    end_s = time.monotonic() + limit_s
    while not seen():
        assert time.monotonic() < end_s, "it did not come to pass"
        time.sleep(0.02)
