"""The command line of `python -m eval.run` goes in, its arguments come out; wrong use is told in a line."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from eval.run_telling import complain
from eval.suites.table import SUITES
from roles.errors import InputError

PROG = "python -m eval.run"
WORLDS = "worlds"
SETS = 20
"""Matched sets of our world where nobody says how many."""
PLANS = ("auto", "ground", "answer", "moment")
ENGINES = ("here", "ray")
_LONGEST_S = 1e6


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as everywhere in this program."""
        complain(f"{message} (see --help)")
        sys.exit(2)


def parser(text: str) -> argparse.ArgumentParser:
    """The command's arguments; the text is what the help begins and ends with."""
    about, _, rest = text.partition("\n\n")
    top = _Parser(
        prog=PROG,
        description=about,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("benchmark", choices=SUITES, metavar="BENCHMARK", help=", ".join(SUITES))
    top.add_argument(
        "--data",
        type=_path,
        metavar="DIR",
        help="its annotation files and videos (worlds: films are made in OUT/films)",
    )
    top.add_argument("--videos", type=_path, metavar="DIR", help="its videos, where they lie elsewhere")
    top.add_argument("--split", help="default: the one that the field reports; worlds: test")
    top.add_argument("--out", type=_path, required=True, metavar="DIR", help="predictions, traces, metrics, report")
    top.add_argument("--limit", type=_whole(1), metavar="N", help="ask only the first N questions")
    worlds = top.add_argument_group("films of our world, made where --data is not given")
    worlds.add_argument("--sets", type=_whole(1), metavar="N", help=f"matched sets (default {SETS})")
    worlds.add_argument("--seed", type=_whole(0), metavar="S", help="first set of the split (default 0)")
    model = top.add_argument_group("model")
    model.add_argument("--model", help="base model; default: the one that the adapters name, or the default model")
    model.add_argument("--adapters", help="folder or hub id of role adapters; default: none, or the default model's")
    model.add_argument("--own-prompts", action="store_true", help="ask adapters without wording in Mindreel's")
    model.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    model.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    model.add_argument("--attn", default="auto", help="auto, flash_attention_2, sdpa or eager")
    how = top.add_argument_group("how it is asked")
    how.add_argument("--plan", choices=PLANS, help="default: the benchmark's protocol; auto: the planner decides")
    how.add_argument("--frames", type=_whole(4), metavar="N", help="most frames that the answerer sees")
    how.add_argument("--timeout", type=_seconds, metavar="S", help="seconds that a step may take (default: no limit)")
    how.add_argument("--minds", action="store_true", help="Theory-of-Mind scoring; answers up to six times as much")
    spread = top.add_argument_group("over processes and hosts")
    spread.add_argument(
        "--workers",
        type=_whole(1),
        metavar="N",
        help="processes, each with a model (default: one for each GPU, else 1; ray: else one for each host)",
    )
    spread.add_argument("--engine", choices=ENGINES, default="here", help="ray: the hosts of a Ray cluster")
    spread.add_argument("--address", help="of the Ray cluster; default: RAY_ADDRESS, or one of this machine alone")
    spread.add_argument("--gpus-per-worker", type=_gpus, metavar="G", help="ray: GPUs of one model (default 1)")
    spread.add_argument("--retry-failed", action="store_true", help="ask again what ended in an error")
    return top


def check(args: argparse.Namespace) -> None:
    """Refuses arguments that would do nothing here: whoever gave them meant something.

    Raises:
        InputError: There are some.
    """
    if args.benchmark != WORLDS and args.data is None:
        raise InputError(f"{args.benchmark}: name the folder of its files with --data")
    if args.data is None and args.videos is not None:
        raise InputError("--videos: needs --data, the folder of examples.jsonl")
    if args.data is not None or args.benchmark != WORLDS:
        for name in ("sets", "seed"):
            if getattr(args, name) is not None:
                raise InputError(f"--{name}: is for films of our world that are made here, without --data; leave it")
    if args.engine != "ray":
        for name in ("address", "gpus_per_worker"):
            if getattr(args, name) is not None:
                raise InputError(f"--{name.replace('_', '-')}: needs --engine ray")


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a path; . is the folder that you are in")
    return Path(text)


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, {least} or more")
        return int(text)

    return parse


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _seconds(text: str) -> float:
    number = _number(text)
    if not 0 < number <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, more than 0 and at most {_LONGEST_S:,.0f}")
    return number


def _gpus(text: str) -> float:
    number = _number(text)
    if not 0 <= number < math.inf or (number > 1 and number % 1):
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0, a part of 1, or a whole number")
    return number
