"""What commands that work with several processes share: how workers begin and end, on how many cores, how far it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")

_ONE_CORE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def begin_worker() -> None:
    """Leaves Ctrl-C to the parent, and ends with it even where it was killed and could not say so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ctrl-C does nothing meanwhile; processes that start inherit that, and it is for their parent alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def as_done(
    pool: ProcessPoolExecutor, work: Callable[[Job], Done], jobs: Iterable[Job], in_flight: int
) -> Iterator[Done]:
    """What comes of jobs, in the order in which they end; never more than `in_flight` of them are with the pool.

    Raises:
        BrokenProcessPool: A process was killed.
    """
    waiting = iter(jobs)
    running: set[Future[Done]] = set()
    while True:
        with interrupts_ignored():  # processes that start here inherit it: Ctrl-C reaches them too, and is not for them
            running |= {pool.submit(work, job) for job in islice(waiting, in_flight - len(running))}
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


@contextmanager
def children_on_one_core() -> Iterator[None]:
    """Processes that start meanwhile compute on one core each."""
    before = {name: os.environ.get(name) for name in _ONE_CORE}
    os.environ.update(dict.fromkeys(_ONE_CORE, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows how far it is, on stderr: a bar in a terminal, a line at each tenth elsewhere; it is told how many more."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(what, total=total)
            yield lambda count: bars.advance(task, count)
        return
    done, began_s = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if done * 10 // total > (done - count) * 10 // total:
            left_s = (time.monotonic() - began_s) / done * (total - done)
            left = f", about {timedelta(seconds=round(left_s))} left" if left_s >= 1 else ""
            print(f"mindreel: {what}: {done:,} of {total:,}{left}", file=sys.stderr, flush=True)

    yield advance


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
