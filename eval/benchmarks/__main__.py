"""The command line: `check` takes files of examples, `convert` takes annotation files of a public format.

python -m eval.benchmarks check train.jsonl --videos
python -m eval.benchmarks convert didemo --annotations train_data.json --videos videos --out didemo.jsonl
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from agent.errors import one_line
from agent.show import clean, console
from eval.benchmarks.check import check_file
from eval.benchmarks.convert import MISSING, convert
from eval.benchmarks.formats import FORMATS
from eval.benchmarks.report import Report, tally_rows
from roles.errors import DataError, MindreelError

PROG = "python -m eval.benchmarks"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as everywhere in this program."""
        _complain(f"{message} (see --help)")
        sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Arguments; None takes the process's.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    args = parser().parse_args(argv)
    try:
        if args.command == "check":
            return _check(args)
        report = convert(args.format, args.annotations, args.videos, args.out, args.durations, args.missing)
        _show_report(report, args.out)
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:  # whoever read the results has gone; what is left in the buffer must not raise at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except MindreelError as error:
        _complain(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a person gets a line, not a stack trace
        _complain(f"a failure inside: {one_line(error)}")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = _Parser(prog=PROG, description="Check files of examples, or make them from public annotation formats.")
    commands = top.add_subparsers(dest="command", required=True, metavar="{check,convert}", parser_class=_Parser)

    check = commands.add_parser(
        "check", help="count what files of examples hold, and name every problem", allow_abbrev=False
    )
    check.add_argument("files", nargs="+", type=Path, metavar="FILE", help="Example JSONL (see docs/data.md)")
    check.add_argument("--videos", action="store_true", help="also look for the videos")

    wide = max(len(name) for name in FORMATS)
    listed = "\n".join(f"  {name:{wide}}  {form.files}: {form.gives}" for name, form in FORMATS.items())
    make = commands.add_parser(
        "convert",
        help="make a file of examples from a public annotation format",
        epilog=f"formats, the files they need, and what they give:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    make.add_argument("format", choices=FORMATS, metavar="FORMAT", help="one of the formats below")
    make.add_argument("--annotations", nargs="+", type=Path, required=True, metavar="FILE", help="the format's files")
    make.add_argument(
        "--videos",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of its videos; relative: examples name them relative to --out, absolute: absolutely",
    )
    make.add_argument(
        "--out", type=Path, required=True, metavar="FILE.jsonl", help="what to write; FILE.report.json too"
    )
    make.add_argument(
        "--durations", type=Path, metavar="FILE", help="JSON of seconds by video, or CSV with id and length"
    )
    make.add_argument(
        "--missing", choices=MISSING, default="skip", help="examples whose video is not there (skip, and count them)"
    )
    return top


def _check(args: argparse.Namespace) -> int:
    wrong, faulty = 0, 0
    for path in args.files:
        try:
            checked = check_file(path, args.videos)
        except DataError as error:
            _print(str(error))
            wrong, faulty = wrong + 1, faulty + 1
            continue
        _show_rows(str(path), [(name, value) for name, value in checked.counts.items()])
        for problem in checked.problems:
            _print(f"{path}: {problem}")
        wrong += len(checked.problems)
        faulty += bool(checked.problems)
    if wrong:
        _complain(f"{wrong:,} problems in {faulty} of {len(args.files)} files")
    return 2 if wrong else 0


def _show_report(report: Report, out: Path) -> None:
    rows = [("annotations read", f"{report.read:,}", ""), ("examples written", f"{report.written:,}", "")]
    rows += tally_rows("skipped", report.skipped) + tally_rows("changed", report.changed)
    if report.missing_videos.count:
        rows += tally_rows("missing", {"videos": report.missing_videos})
    _show_rows(str(out), rows)


def _show_rows(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(clean(title)), title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    console(sys.stdout).print(table)


def _print(line: str) -> None:
    print(clean(line), flush=True)


def _complain(message: str) -> None:
    with contextlib.suppress(OSError):  # a full or closed stderr must not cost the exit code
        print(f"mindreel: error: {clean(message)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
