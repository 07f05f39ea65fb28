"""A job and groups of questions go in, records come out as they are made, from several processes of this machine.

A process that is killed, for want of memory or by a decoder's fault, is replaced, and the run goes on without it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from agent.errors import one_line
from eval.asking import Job, Worker
from eval.engines.shares import ENDS_A_RUN, Cost, MakeWorker, Share, Sheet, questions
from eval.item import Group, Record
from eval.run_telling import warn
from eval.worlds.workers import begin_worker, children_on_one_core, cores, interrupts_ignored
from roles.errors import MindreelError

POOL_LOSSES = 2
"""After so many lost processes in a row without a record, what is left of a video is given up."""

_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_END_S = 10.0
"""How long a process may take to end that has said its last word."""


def in_pool(
    job: Job,
    groups: Sequence[Group],
    workers: int,
    *,
    make_worker: MakeWorker = Worker,
    cost: Cost = questions,
) -> Generator[Record, None, None]:
    """Asks in several processes: with one core each on a CPU, else worker i on GPU i modulo their count.

    A process that is killed is replaced, and what is left of its video goes to another. When this generator is closed,
    each worker ends the question that it is at; a second Ctrl-C ends them at once.

    Args:
        job: What is asked of whom.
        groups: The questions.
        workers: How many processes, at most one per group.
        make_worker: Loads a model in each of them.
        cost: How long a group takes; long ones are asked first.

    Raises:
        MindreelError: No worker could start (as the first of them said), or a record cannot be kept.
    """
    sheet = Sheet(job.folder, groups, POOL_LOSSES, cost)
    hall = _Hall(job, make_worker, workers)
    seats: list[_Seat] = []
    refusals: list[MindreelError] = []
    try:
        seats += [hall.seat(number) for number in range(min(workers, len(groups)))]
        while sheet.left:
            if not seats:
                raise refusals[0]
            heard = set(wait([end for seat in seats for end in (seat.line, seat.process.sentinel)]))
            for seat in [one for one in seats if {one.line, one.process.sentinel} & heard]:
                for kind, value in seat.messages():
                    if kind == "record" and sheet.take(value):
                        yield value
                    elif kind == "through":
                        if seat.share is not None:
                            yield from sheet.lost(seat.share, "without a record")  # does nothing where all are there
                        seat.share = None
                    elif kind == "ready":
                        seat.ready = True
                    elif kind == "failed":
                        if isinstance(value, ENDS_A_RUN) and seat.ready:
                            raise value
                        seat.trouble = value
                if not seat.over and seat.process.sentinel not in heard:  # after that, no message comes
                    continue
                seats.remove(seat)
                why = seat.dismiss()
                if not seat.ready:
                    refusals.append(why if isinstance(why, MindreelError) else _cannot_start(why))
                    if seats:
                        warn(f"worker {seat.number + 1} of {workers} is left out: {refusals[-1]}")
                    continue
                if seat.share is not None:
                    yield from sheet.lost(seat.share, str(why))
                if sheet.waiting:
                    warn(f"worker {seat.number + 1} of {workers} ended ({why}); another takes its place")
                    seats.append(hall.seat(seat.number))
            for seat in seats:
                if seat.ready and seat.share is None and (share := sheet.next()) is not None and not seat.give(share):
                    sheet.put_back(share)
    finally:
        _close(seats)


class _Hall:
    """Where workers start."""

    def __init__(self, job: Job, make_worker: MakeWorker, workers: int) -> None:
        self._job, self._make_worker = job, make_worker
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        self._gpus = gpus(job.device)
        beside = workers * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        on_gpu = self._gpus or job.device.startswith("cuda:")
        self._threads = max(1, cores() // beside) if on_gpu else 1

    def seat(self, number: int) -> _Seat:
        """Starts a worker."""
        job = replace(self._job, device=f"cuda:{number % self._gpus}") if self._gpus else self._job
        ours, theirs = self._context.Pipe()
        # A line for each worker, and no queue for all: whoever is killed while it holds a queue's lock stops them all.
        args = (theirs, job, self._make_worker, self._threads)
        process = self._context.Process(target=_serve, args=args)
        with interrupts_ignored(), children_on_one_core():
            process.start()
        theirs.close()  # so that the line ends with the process
        return _Seat(number, process, ours)


@dataclass(eq=False, slots=True)
class _Seat:
    """A worker as its parent sees it."""

    number: int
    process: BaseProcess
    line: Connection[Any, Any]
    ready: bool = False
    share: Share | None = None
    trouble: MindreelError | str | None = None
    over: bool = False

    def messages(self) -> Iterator[tuple[str, Any]]:
        """What it has said; the last words of a killed process may be cut off."""
        try:
            while self.line.poll():
                yield self.line.recv()
        except (EOFError, OSError):
            self.over = True

    def give(self, share: Share) -> bool:
        """Hands it a share; False where it has just ended."""
        try:
            self.line.send(share.group)
        except OSError:
            return False
        self.share = share
        return True

    def dismiss(self) -> MindreelError | str:
        """Waits for its end, and says how it came."""
        self.process.join(_END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.line.close()
        code = self.process.exitcode or 0
        return self.trouble or (f"signal {-code}" if code < 0 else f"exit code {code}")


def _serve(line: Connection[Any, Any], job: Job, make_worker: MakeWorker, threads: int) -> None:
    """A worker's life: it loads its model, and asks what it is sent until it is sent None."""
    begin_worker()
    for name in _LAUNCHED:  # what its parent was started with: it is on its own
        os.environ.pop(name, None)
    if threads > 1:
        import torch

        torch.set_num_threads(threads)
    worker = None
    try:
        worker = make_worker(job)
        line.send(("ready", None))
        while (group := line.recv()) is not None:
            for record in worker.ask(group):
                line.send(("record", record))
                if line.poll():  # in the middle of a group only the end is told
                    return
            line.send(("through", None))
    except Exception as error:  # noqa: BLE001 - a worker's boundary: its parent decides what becomes of the rest
        with suppress(OSError):
            line.send(("failed", error if isinstance(error, MindreelError) else one_line(error)))
        sys.exit(1)
    finally:
        if worker is not None:
            worker.close()


def _close(seats: Sequence[_Seat]) -> None:
    """Lets each worker end its question; whoever is impatient ends them all."""
    try:
        for seat in seats:
            if seat.ready:
                with suppress(OSError):
                    seat.line.send(None)
            else:
                seat.process.terminate()  # it is still loading, and would not listen
        for seat in seats:
            while not seat.over and not wait([seat.process.sentinel], timeout=0.1):
                for _ in seat.messages():  # it could not go on if nobody listened
                    pass
            seat.dismiss()
    finally:
        for seat in seats:
            if seat.process.is_alive():
                seat.process.kill()


def _cannot_start(why: str) -> MindreelError:
    return MindreelError(
        f"a worker ended while it loaded the model ({why}), perhaps for want of memory; run the same command again "
        "with fewer workers: it goes on"
    )


def gpus(device: str) -> int:
    """How many GPUs workers are spread over; none where a device is named."""
    if device not in ("auto", "cuda"):
        return 0
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
