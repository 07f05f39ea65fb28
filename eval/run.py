"""A benchmark and a checkpoint go in; predictions, traces, metrics and a report come out, in one folder.

python -m eval.run nextgqa --data NExT-GQA --model Qwen/Qwen2-VL-2B-Instruct --adapters VideoMind-2B --out runs/nextgqa
python -m eval.run worlds --split test --sets 20 --minds --workers 4 --out runs/worlds   # makes the films, too
accelerate launch --num_processes 8 -m eval.run nextgqa --data NExT-GQA --out runs/nextgqa

The same command goes on where it was stopped, even by kill -9: no question that has its record is asked again. A video
that is missing or broken counts as wrong and is named. `--minds` adds what a Theory-of-Mind claim needs: sets of
questions all right, orders apart, what shortcuts earn, and answers from exchanged evidence.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.run_options import SETS, check, parser
from eval.run_telling import complain, say, show, tell_report
from eval.suites.table import SUITES, Suite
from roles.errors import DataError, InputError, MindreelError

if TYPE_CHECKING:
    from eval.asking import Job
    from eval.item import Group, Item, Record
    from eval.suites.report import DataReport

VERSION = 1
FILMS = "films"
SHORTCUTS = "shortcuts.json"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed, and a library may write to it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    args = parser(__doc__ or "").parse_args(argv)
    args.argv = tuple(sys.argv[1:] if argv is None else argv)
    from agent.errors import one_line

    try:
        return run(args)
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 130
    except BrokenPipeError:  # whoever read the table has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except MindreelError as error:
        complain(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a person gets a line, not a stack trace
        complain(f"a failure inside: {one_line(error)}")
        return 1


def run(args: argparse.Namespace) -> int:
    """Reads, asks, scores and reports.

    Raises:
        MindreelError: The benchmark, the model or the folder cannot be used.
    """
    check(args)
    from eval.engines.local import in_accelerate, is_main, launched

    if launched() and not is_main():  # the main process reads the benchmark and says what is asked
        for _ in in_accelerate(_job(args, SUITES[args.benchmark]), []):
            pass
        return 0
    from eval.run_folder import only_one

    with only_one(args.out):
        asked = _prepare(args)
        _ask(args, asked)
        _score(args, asked)
    return 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a run is about."""

    items: list[Item]
    report: DataReport
    job: Job


def _prepare(args: argparse.Namespace) -> _Asked:
    """Reads the benchmark and notes in the folder what is asked of whom.

    Raises:
        DataError: The benchmark cannot be read, or the folder holds another run.
    """
    from eval.item import write_items
    from eval.run_folder import DATA, ITEMS, claim
    from eval.suites.read import read_suite
    from roles.examples import write_text

    suite = SUITES[args.benchmark]
    job = _job(args, suite)
    data, split = _data(args)
    items, report = read_suite(args.benchmark, data, split, args.videos)
    report.require_videos()
    items = items[: args.limit]
    claim(args.out, _identity(args, job, report))
    write_text(args.out / DATA, json.dumps(report.to_json(), indent=1, ensure_ascii=False).split("\n"))
    write_items(args.out / ITEMS, items)
    tell_report(report)
    return _Asked(items, report, job)


def _data(args: argparse.Namespace) -> tuple[Path, str | None]:
    """The benchmark's folder and split; films of our world are made.

    Raises:
        MindreelError: The films cannot be made, or the folder holds a run of others.
    """
    from eval.run_folder import RUN, sets_made

    if args.data is not None:
        return args.data, args.split
    from eval.worlds.__main__ import main as worlds

    films, sets = args.out / FILMS, SETS if args.sets is None else args.sets
    made = sets_made(films)
    if (args.out / RUN).exists() and made != sets:  # more sets would be made, and fit none of the records
        raise DataError(f"{args.out}: holds a run of {made or 'other data, not'} sets of films; name another --out")
    with contextlib.redirect_stdout(sys.stderr):
        seed, split = str(args.seed or 0), args.split or "test"
        code = worlds(["make", "--seed", seed, "--n", str(sets), "--split", split, "--out", str(films)])
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise DataError(f"{films}: the films could not be made (see above)")
    return films, None


def _job(args: argparse.Namespace, suite: Suite) -> Job:
    from agent import Settings
    from agent.build import default_model
    from eval.asking import Job

    model, adapters = args.model, args.adapters
    if model is None and adapters is None:
        model, adapters = default_model()
    plan = args.plan or suite.plan
    settings = {"step_timeout_s": args.timeout, "min_clip_s": suite.min_clip_s}
    if suite.unit_s is not None:
        settings["unit_s"] = suite.unit_s
    return Job(
        folder=args.out,
        model=model,
        adapters=adapters,
        device=args.device,
        dtype=args.dtype,
        attn=args.attn,
        own_prompts=args.own_prompts,
        settings=Settings(**settings),
        plan=plan,
        frames={**suite.frames, **({} if args.frames is None else {"answerer": args.frames})},
        midpoints=suite.midpoints and plan == "answer",
        minds=args.minds,
        swap=args.minds and suite.has_evidence,
        argv=("-m", "eval.run", *args.argv),
    )


def _identity(args: argparse.Namespace, job: Job, report: DataReport) -> dict[str, Any]:
    """What the records of a folder depend on: another run needs another folder."""
    from agent.versions import package_versions
    from eval.run_folder import checkpoint_digest

    settings = {
        name: value
        for name in ("unit_s", "min_clip_s", "step_timeout_s")
        if (value := getattr(job.settings, name)) is not None
    }
    return {
        "version": VERSION,
        "benchmark": args.benchmark,
        "split": report.split,
        "data": {one.name: one.sha256 for one in report.files},
        "model": {name: _source(getattr(job, name)) for name in ("model", "adapters")},
        "digest": {name: checkpoint_digest(getattr(job, name)) for name in ("model", "adapters")},
        "device": job.device,
        "dtype": job.dtype,
        "attention": job.attn,
        "own prompts": job.own_prompts,
        "plan": job.plan,
        "frames": dict(job.frames),
        "settings": settings,
        "minds": job.minds,
        "packages": package_versions(),
    }


def _source(name: str | None) -> str | None:
    """How a person knows a checkpoint; the folder that it lies in is no part of it."""
    return None if name is None else Path(name).name if Path(name).is_dir() else name


def _ask(args: argparse.Namespace, asked: _Asked) -> None:
    """Asks what has no record yet.

    Raises:
        MindreelError: The model cannot be loaded, the records cannot be kept, or an engine failed.
    """
    from eval.engines.local import launched
    from eval.item import groups_of
    from eval.run_folder import drop_figures, read_records, without, write_predictions
    from eval.worlds.workers import progress

    records = read_records(args.out)
    drop_figures(args.out)
    todo = without(records, asked.items, args.retry_failed)
    if len(todo) < len(asked.items):
        say(f"{len(asked.items) - len(todo):,} of {len(asked.items):,} questions have their record already")
    if todo or launched():
        engine = _engine(args, asked.job, groups_of(todo))
        with progress("questions", max(1, len(todo))) as advance, contextlib.closing(engine):
            for _ in engine:
                advance(1)
        records = read_records(args.out)
    left = without(records, asked.items, False)
    if left:
        raise MindreelError(f"{len(left):,} questions have no record, first {left[0].key}; run the same command again")
    write_predictions(args.out, asked.items, records)


def _engine(args: argparse.Namespace, job: Job, groups: Sequence[Group]) -> Generator[Record, None, None]:
    """What asks: on a CPU this process, which takes all cores, unless there shall be several; on GPUs one for each."""
    from eval.engines.local import in_accelerate, in_pool, in_process, launched
    from eval.engines.pool import gpus

    if launched():
        if args.workers is not None or args.engine != "here":
            raise InputError("--workers and --engine: accelerate launch has started the processes already; leave them")
        return in_accelerate(job, groups)
    if args.engine == "ray":
        from eval.engines.ray_actors import in_ray

        return in_ray(job, groups, args.address, args.workers, args.gpus_per_worker)
    workers = args.workers or max(1, gpus(job.device))
    return in_process(job, groups) if workers == 1 and not gpus(job.device) else in_pool(job, groups, workers)


def _score(args: argparse.Namespace, asked: _Asked) -> None:
    from eval.page.page import write_markdown, write_page
    from eval.run_folder import METRICS, read_predictions
    from eval.run_scores import score_run
    from eval.worlds.workers import cores
    from roles.examples import write_text

    suite = SUITES[args.benchmark]
    records = read_predictions(args.out)
    if args.minds:
        say("what shortcuts earn on the same questions")
    found = score_run(
        args.benchmark,
        asked.report.split,
        asked.items,
        records,
        suite.headline,
        suite.rows,
        args.minds,
        cache=args.out / SHORTCUTS,
        workers=min(args.workers or 1, cores()),
    )
    write_text(args.out / METRICS, json.dumps(found, indent=1, ensure_ascii=False).split("\n"))
    pages = [write_markdown(args.out), write_page(args.out)]
    show(args.benchmark, found)
    say(f"{', '.join(map(str, pages))}")


if __name__ == "__main__":
    sys.exit(main())
