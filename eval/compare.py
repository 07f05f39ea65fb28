"""The folders of two runs go in; by how much their figures differ, how surely, and which answers changed, come out.

python -m eval.compare runs/a runs/b
python -m eval.compare runs/a runs/b --figure Acc mIoU --by type --flips 20 --json compared.json

Only questions that both runs are about are compared, each with itself; one without an answer is wrong. The difference
is b less a. Its 95 % interval is a bootstrap over sets (matched films, else the questions of one video). p is the share
of sign flips of whole sets whose mean difference is at least as far from 0: all 2^n of them where at most 13 sets
differ, else 10,000 drawn ones and the observed one. It is two-sided and not corrected for looking at several figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.command import Parser, exit_code, show_anything

Json = dict[str, Any]
PROG = "python -m eval.compare"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    show_anything()
    args = parser().parse_args(argv)
    return exit_code(lambda: _compare(args))


def _compare(args: argparse.Namespace) -> None:
    from eval.paired import compare

    found = compare(args.a, args.b, args.figure, args.by)
    if args.json is not None:
        from roles.examples import write_text

        write_text(args.json, json.dumps(found, indent=1).split("\n"))
    _print(found, args.flips)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    about, _, rest = (__doc__ or "").partition("\n\n")
    top = Parser(
        prog=PROG,
        description=about,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("a", type=Path, metavar="A", help="folder of a finished run")
    top.add_argument("b", type=Path, metavar="B", help="folder of another one on the same benchmark")
    top.add_argument("--figure", nargs="+", action="extend", default=[], metavar="NAME", help="these figures only")
    top.add_argument("--by", nargs="+", action="extend", default=[], metavar="TAG", help="a table for each tag as well")
    top.add_argument("--flips", type=_count, default=10, metavar="N", help="show so many changed answers (default 10)")
    top.add_argument("--json", type=Path, metavar="FILE", help="write everything here as well, all changed answers too")
    return top


def _print(found: Json, flips: int) -> None:
    from agent.show import clean
    from eval.paired import FLIPPED
    from eval.score import show_tables

    left = found["left_out"]
    title = f"{found['benchmark']}: {found['compared']:,} questions in both"
    title += f"; left out: {left['a']:,} only in a, {left['b']:,} only in b" if any(left.values()) else ""
    print(clean(f"a: {found['a']}"))
    print(clean(f"b: {found['b']}"))
    print()
    heads = ("a, %", "b, %", "b - a", "low", "high", "p", "questions", "sets")
    show_tables({title: [("figure", *heads), *((name, *_cells(one)) for name, one in found["figures"].items())]})
    for tag, values in found["by"].items():
        lines = [(value, name, *_cells(one)) for value, names in values.items() for name, one in names.items()]
        show_tables({f"by {tag}": [(tag, "figure", *heads), *lines]})
    flipped = found["flipped"]
    counts = ", ".join(f"{name} {flipped[name]:,}" for name in (*FLIPPED, "both right", "both wrong"))
    print(f"Answers: {counts}")
    questions = flipped["questions"]
    for one in questions[:flips]:
        print(clean(f"{one['change']}: {one['key']}"))
        for name in ("question", "true", "a", "b"):
            print(clean(f"    {name:<8}  {one[name]}"))
    if len(questions) > flips:
        print(f"... and {len(questions) - flips:,} more: see --flips and --json")
    print(f"p: {found['p']}", flush=True)


def _cells(one: Json) -> tuple[str, ...]:
    moved = one["difference"]
    shares = (f"{100 * one['a']:.1f}", f"{100 * one['b']:.1f}")
    points = [f"{100 * moved[name]:+.1f}" for name in ("mean", "low", "high")]
    if moved["sets"] == 1:  # has no interval
        points[1:] = ["one", "set"]
    return (*shares, *points, f"{one['p']:.4f}", f"{moved['asked']:,}", f"{moved['sets']:,}")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 0 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
