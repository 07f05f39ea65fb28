"""A job and groups of questions go in, records come out as they are made, from the hosts of a Ray cluster.

Each worker is an actor that holds the model and is asked about one video at a time. One that is lost, with its process
or with its whole host, is replaced as long as there is room for another, and what is left of its video goes to whoever
is free. All hosts need the same folders: of the run, the videos and the checkpoints.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from agent.errors import one_line
from eval.asking import Job, Worker
from eval.engines.ray_cluster import connected, imported_ray
from eval.engines.shares import ENDS_A_RUN, Asks, Cost, MakeWorker, Share, Sheet, questions
from eval.item import Group, Record
from eval.run_telling import warn
from roles.errors import InputError, MindreelError

RAY_LOSSES = 3
"""After so many lost workers in a row without a record, what is left of a video is given up."""

_LOOK_S = 5.0
_TELL_S = 60.0
"""How often a person is told that there is no room for any worker."""
_PATIENCE_S = 900.0
"""How long a run without any worker waits for room: clusters may have to start a host first."""


def in_ray(
    job: Job,
    groups: Sequence[Group],
    address: str | None = None,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    *,
    make_worker: MakeWorker = Worker,
    cost: Cost = questions,
) -> Generator[Record, None, None]:
    """Asks on the hosts of a cluster; closing this generator ends the workers, and costs the questions they are at.

    Args:
        job: What is asked of whom.
        groups: The questions.
        address: Of the cluster, such as "10.0.0.1:6379" or "auto"; None takes RAY_ADDRESS, and where that is not set
            starts one of this machine alone, which nobody can reach from outside.
        workers: How many models; None is one for each share of GPUs, on CPUs one for each host.
        gpus_per_worker: GPUs of one model, also a part of one; None is 1 where the cluster has GPUs, else 0.
        make_worker: Loads a model in each worker.
        cost: How long a group takes; long ones are asked first.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached, or no worker could load its model.
        MindreelError: There is no room for any worker, or a record cannot be kept.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    ray = imported_ray(local=not address)
    if not groups:
        return
    job = replace(job, folder=job.folder.resolve())
    with connected(ray, address):
        resources = ray.cluster_resources()
        if gpus_per_worker is None:
            gpus_per_worker = 1 if resources.get("GPU") and job.device != "cpu" else 0
        if workers is None:
            hosts = sum(bool(node["Alive"] and node["Resources"].get("CPU")) for node in ray.nodes())
            workers = int(resources.get("GPU", 0) / gpus_per_worker) if gpus_per_worker else hosts
        if gpus_per_worker and job.device.startswith("cuda:"):
            job = replace(job, device="cuda")  # Ray says which, and a worker sees no other
        elif not gpus_per_worker and job.device == "auto":
            job = replace(job, device="cpu")
        sheet = Sheet(job.folder, groups, RAY_LOSSES, cost)
        yield from _Troop(ray, job, make_worker, sheet, gpus_per_worker).run(max(1, min(workers, len(groups))))


@dataclass(eq=False, slots=True)
class _Member:
    """An actor as the driver sees it.

    Attributes:
        actor: Its handle.
        hears: What comes from it next; None while it has nothing to do.
        host: Where it is; "" as long as there is no room for it.
        ready: Whether its model is loaded.
        share: What it has been asked.
    """

    actor: Any
    hears: Any
    host: str = ""
    ready: bool = False
    share: Share | None = None


class _Troop:
    """The workers of a run."""

    def __init__(self, ray: Any, job: Job, make_worker: MakeWorker, sheet: Sheet, gpus: float) -> None:
        self._ray, self._sheet, self._gpus = ray, sheet, gpus
        # One CPU each, spread over the hosts; a lost one is not started again by Ray, which does not know what is left.
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        self._actor = ray.remote(**options)(_Asker)
        self._sent = (job, make_worker, str(Path.cwd()), (ray.get_runtime_context().get_node_id(), os.getpid()))
        self._members: list[_Member] = []
        self._refusals: list[MindreelError] = []
        self._lost_at_start = 0
        self._alone_since_s = self._told_s = time.monotonic()

    def run(self, workers: int) -> Iterator[Record]:
        """Gives records until each question has one."""
        try:
            for _ in range(workers):
                self._hire()
            while self._sheet.left:
                if not self._members:
                    raise self._refusals[0]
                self._check_room()
                hearing = {member.hears: member for member in self._members if member.hears is not None}
                heard, _ = self._ray.wait(list(hearing), num_returns=1, timeout=_LOOK_S)
                for one in heard:
                    yield from self._hear(hearing[one])
                for member in self._members:
                    if member.ready and member.share is None and (share := self._sheet.next()) is not None:
                        member.share = share
                        member.hears = member.actor.ask.remote(share.group)
        finally:
            for member in self._members:
                self._end(member)

    def _hire(self) -> None:
        actor = self._actor.remote(*self._sent)
        self._members.append(_Member(actor, actor.host.remote()))

    def _hear(self, member: _Member) -> Iterator[Record]:
        """Takes what a member says next, or notes that it is gone."""
        try:
            if not member.host:
                member.host, member.hears = self._ray.get(member.hears), member.actor.load.remote()
                return
            if not member.ready:
                refusal = self._ray.get(member.hears)
                member.hears = None
                if refusal is None:
                    member.ready, self._lost_at_start = True, 0
                else:
                    self._leave_out(member, refusal)
                return
            try:
                kind, value = self._ray.get(next(member.hears))
            except StopIteration:
                share, member.share, member.hears = member.share, None, None
                if share is not None:
                    yield from self._sheet.lost(share, "without a record")  # does nothing where all are there
                return
        except self._ray.exceptions.RayError as error:
            yield from self._replace(member, type(error).__name__ if member.ready else one_line(error, 300))
            return
        if kind == "record":
            if self._sheet.take(value):
                yield value
        elif isinstance(value, ENDS_A_RUN):
            raise value
        else:
            yield from self._replace(member, value)

    def _replace(self, member: _Member, why: str) -> Iterator[Record]:
        self._members.remove(member)
        self._end(member)
        if not member.ready:
            self._lost_at_start += 1
            if self._lost_at_start >= RAY_LOSSES:
                self._refusals.append(
                    MindreelError(
                        f"{self._lost_at_start} workers in a row ended while they loaded the model ({why}), perhaps "
                        "for want of memory; run the same command again with fewer workers a host: it goes on"
                    )
                )
                return
        if member.share is not None:
            yield from self._sheet.lost(member.share, why)
        if self._sheet.waiting:
            warn(f"the worker on {member.host or 'a host'} ended ({why}); another takes its place")
            self._hire()

    def _leave_out(self, member: _Member, refusal: MindreelError) -> None:
        self._members.remove(member)
        self._end(member)
        self._refusals.append(refusal)
        if self._members:
            warn(f"the worker on {member.host} is left out: {refusal}")

    def _end(self, member: _Member) -> None:
        """Also where it is only out of reach: its share goes to another, and nothing is to be asked twice."""
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(member.actor, no_restart=True)

    def _check_room(self) -> None:
        """Tells a person that a run waits, and ends one that waits in vain.

        Raises:
            MindreelError: There has been no room for too long.
        """
        now_s = time.monotonic()
        if any(member.host for member in self._members):
            self._alone_since_s = self._told_s = now_s
            return
        has = self._ray.cluster_resources()
        text = (
            f"no host has room for a worker: each takes 1 CPU and {self._gpus:g} GPU, the cluster has "
            f"{has.get('CPU', 0):g} CPU and {has.get('GPU', 0):g} GPU in all"
        )
        if now_s - self._alone_since_s > _PATIENCE_S:
            raise MindreelError(f"{text}; add hosts or free some, and run the same command again: it goes on")
        if now_s - self._told_s > _TELL_S:
            self._told_s = now_s
            warn(f"{text}; waiting")


class _Asker:
    """The actor: a worker in a process on some host."""

    def __init__(self, job: Job, make_worker: MakeWorker, place: str, driver: tuple[str, int]) -> None:
        self._job, self._make_worker, self._place = job, make_worker, place
        self._worker: Asks | None = None
        import ray

        node, process = driver
        if ray.get_runtime_context().get_node_id() == node:
            threading.Thread(target=_end_with, args=(process,), daemon=True).start()

    def host(self) -> str:
        """The first that is heard of it."""
        return socket.gethostname()

    def load(self) -> MindreelError | None:
        """Loads the model; gives, and does not raise, what went wrong: Ray would wrap it in a trace."""
        try:
            os.chdir(self._place)  # relative paths mean the same as in the command
        except OSError as error:
            return InputError(f"{socket.gethostname()}: {self._place}: {error.strerror}; all hosts must share it")
        try:
            self._worker = self._make_worker(self._job)
        except MindreelError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a worker's boundary: the driver decides what becomes of it
            return MindreelError(f"{socket.gethostname()}: {one_line(error)}")
        return None

    def ask(self, group: Group) -> Iterator[tuple[str, Any]]:
        """Gives records one by one, at last perhaps what went wrong."""
        assert self._worker is not None  # noqa: S101 - it is loaded first
        try:
            for record in self._worker.ask(group):
                yield "record", record
        except ENDS_A_RUN as error:
            yield "failed", error
        except Exception as error:  # noqa: BLE001 - as above
            yield "failed", one_line(error)


def _end_with(driver: int) -> None:
    """Ends this process after the driver's: Ray would let it ask to the end of its video, beside the next run."""
    try:
        wait([os.pidfd_open(driver)])
    except ProcessLookupError:  # it has ended already
        pass
    except (AttributeError, OSError):  # not on this system: the video is asked to its end
        return
    os._exit(1)
