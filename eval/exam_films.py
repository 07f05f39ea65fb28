"""A split and a number of sets go in; the films of an exam come out as files, made once, with their questions.

Three sorts of films: "short" ones as the world makes them, up to what an answerer sees at its full rate, "long" ones of
3 to 5 minutes, and "swap" ones of 1 to 5 minutes, in which the evidence can be exchanged for something else.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.worlds import plot, splits
from eval.worlds.make import make_film
from eval.worlds.manifest import Asked, code_digest, read_record, versions
from eval.worlds.options import HEIGHT_PX, Job
from roles.errors import DataError
from roles.examples import parse_lines
from roles.types import Example

FIRST = 50_000
"""The first set of an exam, counted from the start of its split: far from what training and its validation look at."""
SHORT, LONG, SWAP = "short", "long", "swap"
LONGEST_SHORT_S = 64.0
LENGTHS_S = {LONG: (180.0, 300.0), SWAP: (60.0, 300.0)}
"""Between these the length of a set's films is drawn."""


@dataclass(frozen=True, slots=True)
class ExamFilm:
    """One film of an exam.

    Attributes:
        sort: "short", "long" or "swap".
        job: Makes its file.
    """

    sort: str
    job: Job

    @property
    def name(self) -> str:
        """Tells it from all others of the exam."""
        return f"{self.sort}/{self.job.film_id}"


def first_seed(split: str, offset: int) -> int:
    """Seed of the first set.

    Raises:
        DataError: It is not in the split.
    """
    low, high = splits.RANGES[split]
    if not 0 <= offset < high - low:
        raise DataError(f"--seed {offset}: the split {split} has seeds 0 to {high - low - 1:,}; choose one of them")
    return low + offset


def films_of(sort: str, split: str, offset: int, sets: int, folder: Path) -> list[ExamFilm]:
    """The films of the first sets from a seed on; of sort "short", of the first that are short enough.

    Raises:
        DataError: The split ends before.
    """
    first = first_seed(split, offset)
    stop = splits.RANGES[split][1]
    code, libraries = code_digest(), versions()
    films: list[ExamFilm] = []
    seed, taken = first, 0
    while taken < sets:
        if seed >= stop:
            raise DataError(f"--sets {sets}: the split {split} ends after {taken:,} such sets; ask for no more")
        kinds = plot.members(seed)
        if sort != SHORT or _is_short(seed, kinds):
            asked = Asked(
                first_seed=first,
                sets=sets,
                split=split,
                kinds=(),
                families=(),
                width_px=None,
                height_px=HEIGHT_PX,
                aspect=None,
                fps=None,
                length_s=length_s(sort, seed),
                films=True,
                code=code,
                versions=libraries,
            )
            films += [ExamFilm(sort, Job(folder / sort, seed, kind, asked)) for kind in kinds]
            taken += 1
        seed += 1
    return films


def length_s(sort: str, seed: int) -> float | None:
    """How long the films of a set are made, in seconds; None leaves it to the world."""
    if sort == SHORT:
        return None
    return round(random.Random(f"{seed}/{sort}/length").uniform(*LENGTHS_S[sort]), 1)  # noqa: S311 - no secret


def _is_short(seed: int, kinds: Sequence[str]) -> bool:
    return all(plot.scene(seed, kind, check=False).duration_s <= LONGEST_SHORT_S for kind in kinds)


def ready(film: ExamFilm) -> tuple[Path, list[Example]]:
    """A film's file and its questions; it is made if it is not there, or not as it was made.

    Raises:
        DataError: It cannot be written or read.
    """
    job = film.job
    (job.folder / "films").mkdir(parents=True, exist_ok=True)
    make_film(job)
    record = read_record(job.folder, job.film_id, job.asked.digest)
    if record is None:
        raise DataError(f"{job.folder}: {job.film_id} was changed meanwhile; run the same command again")
    numbered, problems = parse_lines(record["examples"])
    if problems:
        raise DataError(f"{job.folder}: questions of {job.film_id}, {problems[0]}; delete its record and run again")
    return job.folder / os.fspath(record["video"]), [example for _, example in numbered]


def sample(examples: Sequence[Example], part: str, seed: int, count: int) -> list[Example]:
    """Some of a film's questions, the same ones for all films of its set, in their order; all where `count` is 0."""
    if count == 0 or len(examples) <= count:
        return list(examples)

    def lot(example: Example) -> tuple[float, str]:
        # The id begins with the film's; what follows says which question it is.
        question = example.tags["id"].partition("/")[2]
        return random.Random(f"{seed}/{part}/{question}").random(), question  # noqa: S311 - no secret

    drawn = {id(example) for example in sorted(examples, key=lot)[:count]}
    return [example for example in examples if id(example) in drawn]
