"""A benchmark's own files go in, a folder with a task for lmms-eval comes out: its data and its YAML side by side.

python -m eval.lmms nextgqa --data NExT-GQA --out tasks
lmms-eval --model mindreel --tasks nextgqa --include_path tasks --output_path results --log_samples

The questions are those that `python -m eval.run` asks, and what is odd in the files stands in the data report beside
them. Any model of lmms-eval can be asked: it is told to reply with JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.command import Parser, exit_code
from eval.lmms.docs import TASKS


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: _write(args))


def _write(args: argparse.Namespace) -> None:
    count, report = write(args.benchmark, args.data, args.out, args.split, args.videos)
    print(f"{args.out / TASKS[args.benchmark]}.yaml: {count:,} questions; {report} tells what was read")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    about, _, rest = (__doc__ or "").partition("\n\n")
    top = Parser(
        prog="python -m eval.lmms",
        description=about,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("benchmark", choices=sorted(TASKS), help="which one")
    top.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of its files, as published")
    top.add_argument("--split", metavar="S", help="which of its splits (the one that the field reports first)")
    top.add_argument("--videos", type=Path, metavar="DIR", help="folder of its videos (looked for in --data)")
    top.add_argument("--out", type=Path, required=True, metavar="DIR", help="what --include_path is given")
    return top


def write(benchmark: str, data: Path, out: Path, split: str | None, videos: Path | None) -> tuple[int, Path]:
    """Reads a benchmark and writes its task.

    Returns:
        (number of questions, the data report).

    Raises:
        DataError: The files are not there or cannot be read, or `out` cannot be written.
    """
    from eval.lmms.docs import Manner, write_task
    from eval.suites.read import read_suite
    from eval.suites.table import SUITES
    from roles.examples import write_text

    items, report = read_suite(benchmark, data, split, videos)
    report.require_videos()
    suite = SUITES[benchmark]
    write_task(benchmark, items, out, Manner(suite.plan, suite.unit_s, suite.min_clip_s), report.split)
    path = out / f"{TASKS[benchmark]}.data.json"
    write_text(path, json.dumps(report.to_json(), indent=1, ensure_ascii=False).split("\n"))
    return len(items), path


if __name__ == "__main__":
    sys.exit(main())
