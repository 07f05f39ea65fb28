"""Seeds and options go in; a folder of films, their questions as Example JSONL and a manifest comes out.

Every film is made by itself, in any order, by any number of processes, and noted in a record once it is whole. The same
command goes on where it was stopped: it makes what has no record, or is not as its record says.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.worlds import manifest
from eval.worlds.manifest import FILMS, Asked
from eval.worlds.options import Job, add_arguments, plan
from eval.worlds.workers import as_done, begin_worker, children_on_one_core, cores, progress
from roles.errors import DataError, MindreelError

if TYPE_CHECKING:
    from eval.worlds.scene import Scene

__all__ = ["add_arguments", "make_film", "run"]

_IN_FLIGHT = 4
"""Films handed to each worker ahead: enough that none waits, few enough that an interrupt is quick."""


def run(args: argparse.Namespace) -> int:
    """Makes a data set.

    Raises:
        DataError: The options do not fit each other, or the folder does not fit them or cannot be written.
    """
    jobs = plan(args)
    asked, folder = jobs[0].asked, jobs[0].folder
    manifest.claim(folder, asked)
    if asked.films:
        _make_folder(folder / FILMS)
    workers = min(args.workers or cores(), len(jobs))
    made = 0
    with progress("films", len(jobs)) as advance, closing(_made(jobs, workers)) as results:
        for fresh in results:
            made += fresh
            advance(1)
    records = (_finished(job) for job in jobs)
    counts = manifest.write_manifest(folder, asked, records)["counts"]
    kept = len(jobs) - made
    print(
        f"{folder}: {counts['films']:,} films of {asked.sets:,} sets, {counts['examples']:,} questions"
        + (f"; {kept:,} films were there already" if kept else "")
    )
    return 0


def make_film(job: Job) -> bool:
    """Makes one film with its questions, if it is not there already.

    Returns:
        Whether it had to be made.

    Raises:
        DataError: It cannot be written.
        MindreelError: The generator failed; the message names seed and kind.
    """
    try:
        if manifest.read_record(job.folder, job.film_id, job.asked.digest) is not None:
            return False
        manifest.write_record(job.folder, _made_record(job))
    except OSError as error:
        raise DataError(
            f"{job.folder}: {job.film_id} cannot be written ({error.strerror or error}); make room or name another "
            "folder, and run the same command again: it goes on"
        ) from error
    except (DataError, ModuleNotFoundError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise MindreelError(f"seed {job.seed}, kind {job.kind}: {type(error).__name__}: {text}") from error
    return True


def _made_record(job: Job) -> dict[str, Any]:
    from eval.worlds import plot, questions
    from roles.examples import to_line
    from roles.minds import Minds

    asked = job.asked
    scene = plot.scene(job.seed, job.kind, length_s=asked.length_s, aspect=asked.aspect)
    video = f"{FILMS}/{scene.id}.mp4"
    found = questions.ask(scene, Minds(scene.story))
    lines = [to_line(questions.example(question, video)) for question in found]
    film = None
    if asked.films:
        film = _draw(scene, job.folder / video, asked)
    return {
        "id": scene.id,
        "digest": asked.digest,
        "seed": scene.seed,
        "kind": scene.kind,
        "family": scene.family,
        "split": scene.split,
        "duration_s": film["duration_s"] if film else scene.duration_s,
        "facts": scene.facts,
        "video": video,
        "film": film,
        "examples": lines,
    }


def _draw(scene: Scene, path: Path, asked: Asked) -> dict[str, Any]:
    """Draws a film and writes it; says what came of it."""
    from eval.worlds import stage
    from eval.worlds.film import exact_fps, frame_times, write_film

    fps = exact_fps(Fraction(asked.fps) if asked.fps else scene.look.fps)
    height_px = asked.height_px
    width_px = asked.width_px or 2 * round(height_px * scene.stages[0].width / 2)
    drawn = stage.draw_list(scene, frame_times(scene.duration_s, fps))
    look = scene.look
    frames = write_film(path, drawn, fps, (width_px, height_px), look.crf, noise=look.noise, seed=look.seed)
    data = path.read_bytes()
    return {
        "width_px": width_px,
        "height_px": height_px,
        "fps": str(fps),
        "frames": frames,
        "duration_s": round(float(frames / fps), 6),
        "bytes": len(data),
        "sha256": manifest.sha256(data),
    }


def _made(jobs: Sequence[Job], workers: int) -> Generator[bool, None, None]:
    """Runs the jobs and yields, in any order, whether each had to be made."""
    if workers <= 1:
        yield from map(make_film, jobs)
        return
    with children_on_one_core():
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), begin_worker)
        try:
            yield from as_done(pool, make_film, jobs, _IN_FLIGHT * workers)
        except BrokenProcessPool as error:
            raise MindreelError(
                "a worker was killed, perhaps for want of memory; run the same command again with fewer --workers: it "
                "goes on"
            ) from error
        except KeyboardInterrupt:
            print("mindreel: stopping; films that were begun are finished", file=sys.stderr, flush=True)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finished(job: Job) -> dict[str, Any]:
    record = manifest.read_record(job.folder, job.film_id, job.asked.digest)
    if record is None:
        raise DataError(f"{job.folder}: {job.film_id} was changed meanwhile; run the same command again")
    return record


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}); name another --out") from error
