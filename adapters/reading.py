"""A time line and the numbers of wanted frames go in, their pixels come out: upright RGB, each decoded once.

A wanted frame is reached from the keyframe before it, not from the start of the file. Stretches that begin at
different keyframes are independent, so that threads with a container each share long work: the pixels are the same.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from itertools import chain
from queue import Empty, Queue
from typing import Any, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from adapters.pixels import FirstLook, decode, packets_of, to_rgb
from adapters.timeline import Timeline, open_container
from roles.deadline import check_deadline
from roles.errors import VideoError

Emit = Callable[[int, NDArray[np.uint8]], None]
"""Takes a frame's number and its pixels [height, width, 3]."""

Result = TypeVar("Result")

MAX_WORKERS = 16
PX_PER_WORKER = 30_000_000
"""A further thread pays from about this many decoded pixels on (130 frames of 640x360, 0.05 s)."""

NEAR_FRAMES = 4
"""Decoding on over this many unwanted frames costs no more than a jump over them."""

STEP_BACK_FRAMES = 600
"""How far before a frame that did not come out the second attempt begins."""

SEEK_MARGIN_S = 5
"""How much earlier to aim where a jump lands behind its keyframe, as in streams without an index."""

UNTYPED, PREDICTED = 0, (2, 3)
"""Picture types: none given, which decoders also give to the grey they put where a picture is missing; P and B."""


class _BadKeyError(Exception):
    """The file calls a frame a keyframe that is none."""


class _StoppedError(Exception):
    """Another thread failed."""


@dataclass(slots=True)
class Outcome:
    """What a reading took.

    Attributes:
        decoded: Frames that the decoder gave out, wanted or not.
        replaced: Numbers of wanted frames that did not come out, so that the one before each was handed over.
        keys_failed: Whether the file's keyframes could not be relied on.
    """

    decoded: int
    replaced: set[int]
    keys_failed: bool


def read_frames(
    path: str,
    timeline: Timeline,
    first: FirstLook,
    wanted: Sequence[int],
    emit: Emit,
    *,
    allow_urls: bool,
) -> Outcome:
    """Decodes the wanted frames and hands each to `emit`, in threads where the work is worth it.

    Args:
        path: The file.
        timeline: Its time line.
        first: What its first frame tells.
        wanted: Numbers of frames, ascending, each once.
        emit: Takes a number and pixels [height, width, 3], in any order, one call per wanted frame.
        allow_urls: Whether `path` may be a URL.

    Raises:
        VideoError: A frame cannot be decoded, nor any around it.
        StepTimeoutError: The surrounding step is out of time.
    """
    parts, threads = share_out(timeline, wanted, first.height_px * first.width_px, usable_cores())
    stopped = threading.Event()

    def work(part: list[int], hand: Emit) -> Outcome:
        return _Worker(path, timeline, first, threads, allow_urls).read(part, hand, stopped)

    return _sum(run_parts(work, parts, emit, stopped))


def run_parts(
    work: Callable[[list[int], Emit], Result], parts: Sequence[list[int]], emit: Emit, stopped: threading.Event
) -> list[Result]:
    """Runs `work` on every part, one thread each and each under the caller's deadline; the first real error wins.

    What the threads decode comes to `emit` in the caller's own thread: resizing uses all cores by itself, and several
    threads that each do so would stand in each other's way.

    Args:
        work: Gets a part and what to hand its frames to.
        parts: One for each thread.
        emit: Gets every frame.
        stopped: Set when something failed, for `work` to look at.
    """
    if len(parts) == 1:
        return [work(parts[0], emit)]
    ready: Queue[tuple[int, NDArray[np.uint8]] | None] = Queue(maxsize=2 * len(parts))

    def run(part: list[int]) -> Result:
        try:
            return work(part, lambda number, image: ready.put((number, image)))
        except BaseException:
            stopped.set()
            raise
        finally:
            ready.put(None)

    failure: BaseException | None = None
    with ThreadPoolExecutor(len(parts)) as pool:
        futures = [pool.submit(copy_context().run, run, part) for part in parts]
        running = len(parts)
        while running and not (ready.empty() and all(future.done() for future in futures)):
            try:
                item = ready.get(timeout=1.0)
                if item is None:
                    running -= 1
                elif failure is None:
                    emit(*item)
            except Empty:
                continue
            except BaseException as caught:  # noqa: BLE001 - raised below, once no thread waits to hand over
                failure = failure or caught
                stopped.set()
    errors = [error for future in futures if (error := future.exception()) is not None]
    if failure is not None:
        raise failure
    if errors:
        raise next((error for error in errors if not isinstance(error, _StoppedError)), errors[0])
    return [future.result() for future in futures]


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_out(timeline: Timeline, wanted: Sequence[int], px: int, cores: int) -> tuple[list[list[int]], int]:
    """Splits wanted frames at keyframes into parts of about equal work.

    Returns:
        The parts, in order and never split inside a stretch that begins at one keyframe, and decoder threads for each.
    """
    stretches: dict[int, list[int]] = {}
    for number in wanted:
        stretches.setdefault(timeline.key_before(number), []).append(number)
    costs = [numbers[-1] - key + 1 for key, numbers in stretches.items()]
    useful = min(cores, MAX_WORKERS, 1 + sum(costs) * px // PX_PER_WORKER)
    workers = min(useful, len(costs))
    parts: list[list[int]] = [[] for _ in range(workers)]
    done = 0.0
    for cost, numbers in zip(costs, stretches.values(), strict=True):
        parts[int((done + cost / 2) / sum(costs) * workers)] += numbers
        done += cost
    return [part for part in parts if part], max(useful // workers, 1)


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(
        decoded=sum(outcome.decoded for outcome in outcomes),
        replaced=set[int]().union(*(outcome.replaced for outcome in outcomes)),
        keys_failed=any(outcome.keys_failed for outcome in outcomes),
    )


class _Worker:
    """One container and its decoder, used by one thread."""

    def __init__(self, path: str, timeline: Timeline, first: FirstLook, threads: int, allow_urls: bool) -> None:
        self._path = path
        self._timeline = timeline
        self._orientation = first.orientation
        self._typed = first.typed
        self._threads = threads
        self._allow_urls = allow_urls
        self._container: Any = None
        self._wanted_pts: frozenset[int] = frozenset()
        self._outcome = Outcome(0, set(), keys_failed=False)

    def read(self, wanted: Sequence[int], emit: Emit, stopped: threading.Event) -> Outcome:
        """Hands every wanted frame (numbers ascending, each once) to `emit`."""
        self._wanted_pts = frozenset(self._timeline.pts[list(wanted)].tolist())
        try:
            missing = self._attempt(wanted, emit, stopped, patient=False)
            if missing:
                self._attempt(missing, emit, stopped, patient=True)
        finally:
            if self._container is not None:
                self._container.close()
        return self._outcome

    def _attempt(self, wanted: Sequence[int], emit: Emit, stopped: threading.Event, *, patient: bool) -> list[int]:
        """Decodes what is wanted and returns the numbers that did not come out.

        A patient attempt begins earlier, takes damaged frames and lets the frame before stand in for a missing one.
        """
        todo, missing = deque(wanted), list[int]()
        while todo:
            shown = None
            try:
                for number, frame in self._frames_from(self._start(todo[0], patient=patient), patient=patient):
                    check_deadline()
                    if stopped.is_set():
                        raise _StoppedError
                    while todo and todo[0] < number:
                        missing.append(todo.popleft())
                        if patient:
                            self._replace(missing[-1], shown or frame, emit)
                    shown = frame
                    if todo and todo[0] == number:
                        emit(todo.popleft(), self._orientation.apply(to_rgb(frame)))
                    if not todo or self._start(todo[0], patient=patient) > number + NEAR_FRAMES:
                        break
                else:
                    missing.extend(todo)
                    for number in todo if patient else ():
                        self._replace(number, shown, emit)
                    todo.clear()
            except _BadKeyError:
                self._outcome.keys_failed = True
        return missing

    def _start(self, number: int, *, patient: bool) -> int:
        """Where to begin decoding in order to reach frame `number`."""
        if self._outcome.keys_failed:
            return 0
        return self._timeline.key_before(max(number - STEP_BACK_FRAMES, 0) if patient else number)

    def _replace(self, number: int, frame: Any, emit: Emit) -> None:
        if frame is None:
            at_s = self._timeline.time_s(number)
            raise VideoError(f"{self._path}: no frame around {at_s:.1f} s can be decoded; the file is damaged")
        self._outcome.replaced.add(number)
        emit(number, self._orientation.apply(to_rgb(frame)))

    def _frames_from(self, start: int, *, patient: bool) -> Iterator[tuple[int, Any]]:
        """Frames with their numbers, in presentation order, from keyframe `start` on."""
        packets = self._packets_from(start)
        context = self._stream.codec_context
        # Other H.264 frames never look at those of the discarded kind, so leaving them out changes no pixel of others.
        thin_out = context.name == "h264" and not self._timeline.counted and not patient
        context.skip_frame = "DEFAULT"

        def prepare(packet: Any) -> None:
            if thin_out and packet is not None:
                keep = packet.pts is None or packet.pts in self._wanted_pts
                context.skip_frame = "DEFAULT" if keep else "NONREF"

        arrived = False
        for count, frame in enumerate(decode(packets, context, prepare)):
            self._outcome.decoded += 1
            number: int | None = count
            if not self._timeline.counted:
                pts = frame.pts if frame.pts is not None else frame.dts
                number = self._timeline.frame_of(pts) if pts is not None else None
            if number is None or (frame.is_corrupt and not patient):
                continue
            if start and number >= start:
                kind = int(frame.pict_type)
                if (kind in PREDICTED and not arrived) or (kind == UNTYPED and self._typed):
                    raise _BadKeyError
                arrived = True
            yield number, frame

    def _packets_from(self, start: int) -> Iterator[Any]:
        """Packets from that of keyframe `start` on: by seeking, and where that misses it, by reading up to it."""
        self._open(again=start == 0)
        if start == 0:
            return packets_of(self._container, self._stream)
        pts = int(self._timeline.pts[start])
        back = round(SEEK_MARGIN_S / self._timeline.time_base_s)
        for target in (pts, pts - back):
            try:
                self._container.seek(target, stream=self._stream, backward=True)
            except av.FFmpegError:
                break
            packets = self._cut(packets_of(self._container, self._stream), pts)
            if packets is not None:
                return packets
        self._outcome.keys_failed = True
        self._open(again=True)
        return self._cut(packets_of(self._container, self._stream), pts) or iter((None,))

    def _cut(self, packets: Iterator[Any], pts: int) -> Iterator[Any] | None:
        """The packets from the keyframe shown at `pts` on; None where they begin after it."""
        for packet in packets:
            check_deadline()
            if packet is None or (packet.is_keyframe and packet.pts is not None and packet.pts > pts):
                break
            if packet.pts == pts:
                return chain((packet,), packets)
        return None

    @property
    def _stream(self) -> Any:
        return self._container.streams[self._timeline.stream_index]

    def _open(self, *, again: bool) -> None:
        if self._container is not None:
            if not again:
                return
            self._container.close()
        self._container = open_container(self._path, allow_urls=self._allow_urls)
        self._stream.codec_context.thread_type = "AUTO" if self._threads > 1 else "SLICE"
        self._stream.codec_context.thread_count = self._threads
