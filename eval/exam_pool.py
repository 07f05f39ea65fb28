"""Films and parts go in, records come out of worker processes, each with a model of its own; what is done is kept.

A line of `records.jsonl` holds one part of one film. It is written at once, so that an interrupt costs the films that
were being asked about, and the same command goes on from there.
"""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.exam_films import ExamFilm, ready
from eval.exam_model import ExaminedModel
from eval.exam_parts import PARTS, check_roles
from eval.exam_sitting import Record, Sitting
from eval.worlds.workers import as_done, begin_worker, children_on_one_core
from roles.errors import DataError, InputError, MindreelError

RECORDS = "records.jsonl"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who is examined.

    Attributes:
        model: Folder or hub id of the base; None takes the one that the adapters name.
        adapters: Folder or hub id of the adapters; None is the base alone.
        device: As `Qwen2VL.load` takes it.
        dtype: Likewise.
    """

    model: str | None
    adapters: str | None
    device: str = "auto"
    dtype: str = "auto"

    def load(self, parts: Sequence[str]) -> ExaminedModel:
        """Loads it.

        Raises:
            InputError: It cannot be loaded, or lacks a role that a part needs.
        """
        model = ExaminedModel.load(self.model, self.adapters, device=self.device, dtype=self.dtype)
        if not isinstance(model, ExaminedModel):
            raise TypeError("the loaded model cannot share what it read")
        check_roles(model, parts)
        return model


@dataclass(frozen=True, slots=True)
class Task:
    """Parts of the exam that are still to do on one film; `samples` says how many questions each takes, 0 all."""

    film: ExamFilm
    parts: tuple[str, ...]
    samples: tuple[int, ...]


class StoppedError(Exception):
    """The exam was interrupted."""


def examine(model: ExaminedModel, task: Task, stop: threading.Event | None = None) -> list[Record]:
    """Asks about one film; a record for each part.

    Raises:
        InputError: The film cannot be made or read.
        StoppedError: It was interrupted between two questions.
    """
    from adapters.frames import open_video

    path, examples = ready(task.film)
    seed = task.film.job.seed
    records: list[Record] = []
    with open_video(str(path)) as file:
        video = model.watch(file)

        def go_on() -> None:
            if stop is not None and stop.is_set():
                raise StoppedError

        try:
            for part, count in zip(task.parts, task.samples, strict=True):
                sitting = Sitting(model, video, examples, seed, count, lambda: _again(model, file), go_on)
                began = time.perf_counter()
                asked = list(PARTS[part].examine(sitting))
                records.append(
                    {
                        "part": part,
                        "film": task.film.name,
                        "seed": seed,
                        "kind": task.film.job.kind,
                        "duration_s": video.duration_s,
                        "sample": count,
                        "elapsed_s": round(time.perf_counter() - began, 4),
                        "asked": asked,
                    }
                )
        finally:
            model.forget(video)
    return records


def _again(model: ExaminedModel, file: Any) -> None:
    model.forget(file.video)
    model.watch(file)


def run(candidate: Candidate, tasks: Sequence[Task], workers: int) -> Generator[list[Record], None, None]:
    """Examines all films, in any order.

    Raises:
        MindreelError: A worker was killed, or something in a film failed; the message names it.
    """
    parts = sorted({part for task in tasks for part in task.parts})
    if workers <= 1:
        model = candidate.load(parts)
        for task in tasks:
            yield _told(model, task, None)
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with children_on_one_core():
        pool = ProcessPoolExecutor(workers, context, _begin, (candidate, parts, stop))
        try:
            yield from as_done(pool, _work, tasks, 2 * workers)
        except BrokenProcessPool as error:
            raise MindreelError(
                "a worker ended, for want of memory or of a model that can be loaded (its message stands above); run "
                "the same command again, perhaps with fewer --workers: it goes on"
            ) from error
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


_model: ExaminedModel | None = None
_stop: Any = None
_refused: InputError | None = None


def _begin(candidate: Candidate, parts: Sequence[str], stop: Any) -> None:
    """Loads a worker's model. Ctrl-C is for the parent, and the worker ends with it even where that was killed."""
    global _model, _stop, _refused
    begin_worker()
    import torch

    torch.set_num_threads(1)
    _stop = stop
    try:
        _model = candidate.load(parts)
    except InputError as error:  # told by the first task: an initializer that raises only breaks the pool
        _refused = error


def _work(task: Task) -> list[Record]:
    if _model is None:
        raise _refused or MindreelError("the worker has no model")
    return _told(_model, task, _stop)


def _told(model: ExaminedModel, task: Task, stop: Any) -> list[Record]:
    """As `examine`; what fails is told with the film that it failed on."""
    try:
        return examine(model, task, stop)
    except (MindreelError, StoppedError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise MindreelError(f"{task.film.name}, {' '.join(task.parts)}: {type(error).__name__}: {text}") from error


class Records:
    """The records of a folder, by film and part; what is added is on disk at once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORDS
        self._found: dict[tuple[str, str], Record] = {}
        if self._path.exists():
            self._read()

    def _read(self) -> None:
        """Reads what is there; a line that was cut off by a kill is dropped, and asked again."""
        try:
            data = self._path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                with self._path.open("rb+") as file:
                    file.truncate(len(whole))
        except OSError as error:
            raise DataError(f"{self._path}: cannot be read ({error.strerror}); name another --out") from error
        for number, line in enumerate(whole.decode("utf-8", "replace").splitlines(), start=1):
            try:
                record = json.loads(line)
                self._found[record["film"], record["part"]] = record
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{self._path}: line {number} is no record; delete that line and run again") from error

    def get(self, film: ExamFilm, part: str, count: int) -> Record | None:
        """What is known of a part of a film, asked with a sample of this size."""
        record = self._found.get((film.name, part))
        return record if record is not None and record.get("sample") == count else None

    def add(self, records: Sequence[Record]) -> None:
        """Notes what was asked.

        Raises:
            DataError: It cannot be written.
        """
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
        except OSError as error:
            raise DataError(f"{self._path}: cannot be written ({error.strerror}); make room and run again") from error
        for record in records:
            self._found[record["film"], record["part"]] = record
