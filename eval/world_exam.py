"""A checkpoint and a split of the generated world go in; what it can do comes out: records, `report.json`, `report.md`.

python -m eval.world_exam --split test --sets 100 --out runs/exam
python -m eval.world_exam --model BASE --adapters DIR --split val --sets 20 --parts answers moments --out runs/exam

The parts: answers (the answerer alone on short films), moments (the grounder), verifier (its order of candidates),
planner (routes), long (the agent against the answerer alone on films of 3 to 5 minutes), swap (the evidence exchanged
for something else), agent (from question to answer and moment). Films are made where they are missing, and kept. The
same command goes on where it was stopped; more --sets add to what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from eval.exam_films import FIRST, SHORT, ExamFilm, films_of, first_seed
from eval.worlds.workers import progress
from roles.errors import DataError, MindreelError
from roles.examples import write_text

FORMAT = 1
EXAM, REPORT, TABLES, FILMS = "exam.json", "report.json", "report.md", "films"
PART_NAMES = ("answers", "moments", "verifier", "planner", "long", "swap", "agent")
SAMPLE = 6
"""Questions of a film that the costly parts ask."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        return run(args)
    except MindreelError as error:
        print(f"mindreel: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("mindreel: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def run(args: argparse.Namespace) -> int:
    """Examines, then writes and prints the report.

    Raises:
        MindreelError: The model, the folder or the split cannot be used, or something in a film failed.
    """
    from agent.build import default_model
    from eval.exam_parts import PARTS
    from eval.exam_pool import Candidate, Records
    from eval.exam_pool import run as examined

    if args.model is None and args.adapters is None:
        args.model, args.adapters = default_model()
    parts = [name for name in PART_NAMES if name in args.parts]
    asked = identity(args)
    _claim(args.out, asked)
    films = {
        sort: films_of(sort, args.split, args.seed, args.sets, args.out / FILMS)
        for sort in sorted({PARTS[part].sort for part in parts})
    }
    samples = {part: args.sample if PARTS[part].costly else 0 for part in parts}
    records = Records(args.out)
    wanted = [(film, part) for part in parts for film in films[PARTS[part].sort]]
    tasks = _tasks([pair for pair in wanted if records.get(*pair, samples[pair[1]]) is None], samples)
    candidate = Candidate(args.model, args.adapters, args.device, args.dtype)
    if tasks:
        total = sum(len(task.parts) for task in tasks)
        results = examined(candidate, tasks, min(args.workers, len(tasks)))
        with progress("parts of films", total) as advance, closing(results):
            for found in results:
                records.add(found)
                advance(len(found))
    rows = None
    if "answers" in parts and not args.no_baselines:
        from eval.exam_baselines import baselines

        print("mindreel: the world's shortcuts on the same questions", file=sys.stderr, flush=True)
        rows = baselines(films[SHORT], args.out, args.workers)
    report = _report(args, asked, parts, wanted, lambda film, part: records.get(film, part, samples[part]), rows)
    write_text(args.out / REPORT, [json.dumps(report, indent=1)])
    from eval.exam_tables import markdown

    text = markdown(report)
    write_text(args.out / TABLES, text.rstrip("\n").split("\n"))
    print(text)
    return 0


def identity(args: argparse.Namespace) -> dict[str, Any]:
    """What a folder's records depend on, beside the number of sets and the parts: another exam needs another folder."""
    from eval.run_folder import checkpoint_digest
    from eval.worlds.manifest import code_digest, versions

    return {
        "format": FORMAT,
        "model": {name: checkpoint_digest(getattr(args, name)) for name in ("model", "adapters")},
        "device": args.device,
        "dtype": args.dtype,
        "split": args.split,
        "first_seed": first_seed(args.split, args.seed),
        "world": {"code": code_digest(), "versions": versions()},
    }


def _claim(folder: Path, asked: Mapping[str, Any]) -> None:
    """Notes in a folder what is examined in it, or makes sure that it is the same.

    Raises:
        DataError: The folder holds another exam, or cannot be written.
    """
    path = folder / EXAM
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be used ({error}); name another --out") from error
    if before is None:
        write_text(path, [json.dumps(asked, indent=1)])
    elif before != asked:
        changed = [name for name in asked if not isinstance(before, dict) or before.get(name) != asked[name]]
        raise DataError(f"{folder}: holds an exam with another {' and '.join(changed) or 'format'}; name another --out")


def _tasks(missing: Sequence[tuple[ExamFilm, str]], samples: Mapping[str, int]) -> list[Any]:
    """A task for each film with all of its parts: it is opened and decoded once."""
    from eval.exam_pool import Task

    films = {film.name: film for film, _ in missing}
    parts: dict[str, list[str]] = defaultdict(list)
    for film, part in missing:
        parts[film.name].append(part)
    return [Task(films[name], tuple(todo), tuple(samples[part] for part in todo)) for name, todo in parts.items()]


def _report(
    args: argparse.Namespace,
    asked: Mapping[str, Any],
    parts: Sequence[str],
    wanted: Sequence[tuple[ExamFilm, str]],
    find: Callable[[ExamFilm, str], dict[str, Any] | None],
    baselines: Mapping[str, Any] | None,
) -> dict[str, Any]:
    from eval.exam_report import scores_of

    found = {part: [record for film, name in wanted if name == part and (record := find(film, part))] for part in parts}
    return {
        **asked,
        "sets": args.sets,
        "workers": args.workers,
        "sample": args.sample,
        "parts": {part: scores_of(part, found[part]) for part in parts},
        "baselines": baselines,
    }


def _parser() -> argparse.ArgumentParser:
    from eval.worlds.splits import RANGES

    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m eval.world_exam",
        description=about,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help="base model; default: the one that the adapters name, or the default model")
    parser.add_argument("--adapters", help="folder of role adapters; default: none, or the default model's")
    parser.add_argument("--split", choices=sorted(set(RANGES) - {"train"}), required=True)
    parser.add_argument("--sets", type=_whole(1), required=True, metavar="N", help="matched sets, about 4.3 films each")
    parser.add_argument(
        "--seed",
        type=_whole(0),
        default=FIRST,
        metavar="S",
        help=f"first set, counted from the start of the split (default {FIRST})",
    )
    parser.add_argument("--parts", nargs="+", choices=PART_NAMES, default=list(PART_NAMES), metavar="PART")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="films, records and report")
    parser.add_argument("--workers", type=_whole(1), default=4, help="processes, each with a model (default 4)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument(
        "--sample",
        type=_whole(0),
        default=SAMPLE,
        metavar="K",
        help="questions of a film that verifier, planner, long, swap and agent ask, the same ones in all films of "
        f"a set (default {SAMPLE}; 0: all)",
    )
    parser.add_argument(
        "--no-baselines", action="store_true", help="leave out the world's shortcuts (2 minutes of one core)"
    )
    return parser


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, {least} or more")
        return int(text)

    return parse


if __name__ == "__main__":
    sys.exit(main())
