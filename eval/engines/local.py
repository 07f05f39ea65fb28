"""A job and groups of questions go in, records come out as they are made: one process, several, or `accelerate launch`.

Each engine gives every question's record once, in any order. A record is on disk before it is given, so that whoever
stops listening loses nothing; close an engine (`contextlib.closing`) to end its workers. `eval.engines.ray_actors` is
the engine for several hosts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

from agent.errors import one_line
from eval.asking import Job, LostDeviceError, Worker
from eval.engines.pool import gpus, in_pool
from eval.engines.shares import ENDS_A_RUN, Cost, MakeWorker, NewRecords, give_up, questions
from eval.item import Group, Record
from roles.errors import InputError, MindreelError

__all__ = ["give_up", "in_accelerate", "in_pool", "in_process", "is_main", "launched"]

_LOOK_S = 1.0
"""How often the main process looks into the folder for what others have written."""
_LATE_S = 120.0
"""How late their last lines may come up there."""
_FOREVER = timedelta(days=30)


def in_process(job: Job, groups: Sequence[Group], *, make_worker: MakeWorker = Worker) -> Generator[Record, None, None]:
    """Asks in this process, in the order given; a video with a fault that no worker handles is given up.

    Raises:
        MindreelError: The model cannot be loaded, a record cannot be kept, or the device failed.
    """
    if not groups:
        return
    worker = make_worker(job)
    try:
        for group in groups:
            left = {item.key: item for item in group.items}
            try:
                for record in worker.ask(group):
                    left.pop(record["key"], None)
                    yield record
            except ENDS_A_RUN:
                raise
            except LostDeviceError as error:
                raise MindreelError(str(error)) from error
            except Exception as error:  # noqa: BLE001 - whatever else it is, it is one video's
                yield from give_up(job.folder, list(left.values()), one_line(error))
    finally:
        worker.close()


def launched() -> bool:
    """Whether this is one of several processes of `accelerate launch` (or `torchrun`).

    Raises:
        InputError: It is said to be, but nobody has said how to reach the others.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if count.isdecimal() and int(count) <= 1:
        return False
    if not count.isdecimal() or not {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        raise InputError(f"WORLD_SIZE is {count!r}, but no launcher set it; start with accelerate launch, or unset it")
    return True


def is_main() -> bool:
    """Whether this process is the one that reads the benchmark, shows how far it is, and scores."""
    return int(os.environ.get("RANK", "0")) == 0


def in_accelerate(
    job: Job,
    groups: Sequence[Group],
    *,
    make_worker: MakeWorker = Worker,
    cost: Cost = questions,
) -> Generator[Record, None, None]:
    """Asks in the processes that `accelerate launch` started, each on its own device; all of them must call this.

    The main process says what is asked, as the others may see the run's folder later than it does. It is given all
    records, also the others', from the shared folder, and ends after everybody; the others are given their own.

    Args:
        job: What is asked of whom.
        groups: The questions; only the main process's count.
        make_worker: Loads a model in each process.
        cost: How long a group takes.

    Raises:
        MindreelError: As `in_process`, or another process has left, or its records do not come up in the folder.
    """
    import torch
    from accelerate import PartialState

    # gloo: shares can end hours apart, little is exchanged, and the GPU's memory is the worker's
    state = PartialState(cpu=True, backend="gloo", timeout=_FOREVER)
    written = NewRecords(job.folder)
    told: list[Any] = [list(groups)]
    torch.distributed.broadcast_object_list(told)
    everything = sorted(told[0], key=cost, reverse=True)
    mine = everything[state.process_index :: state.num_processes]
    count = gpus(job.device)
    if count:
        job = replace(job, device=f"cuda:{state.local_process_index % count}")
    left = {item.key for group in everything for item in group.items}

    def new(records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            if record["key"] in left:
                left.remove(record["key"])
                yield record

    looked_s = time.monotonic()
    with closing(in_pool(job, mine, 1, make_worker=make_worker, cost=cost)) as own:
        for record in own:
            yield from new([record])
            if state.is_main_process and time.monotonic() - looked_s > _LOOK_S:
                yield from new(written.read())
                looked_s = time.monotonic()
    everybody = torch.distributed.barrier(async_op=True)
    try:
        while not everybody.is_completed():
            time.sleep(_LOOK_S)
            if state.is_main_process:
                yield from new(written.read())
        everybody.wait()
    except RuntimeError as error:  # gloo has lost the connection
        raise MindreelError(
            "another process has ended before it was through (its message stands above, or in the log of its host); "
            "run the same command again: it goes on"
        ) from error
    if not state.is_main_process:
        return
    since_s = time.monotonic()
    while True:  # a network's file system may show other hosts' last lines late
        yield from new(written.read())
        if not left:
            return
        if time.monotonic() - since_s > _LATE_S:
            raise MindreelError(
                f"{job.folder}: {len(left)} records of other processes are not to be seen; do all hosts share this "
                "folder? Run the same command again: it goes on"
            )
        time.sleep(_LOOK_S)
