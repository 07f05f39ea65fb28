"""Trains the default model: a base on a generated world, then its four adapters with the roles' own scripts.

    python -m adapters.train.default --out adapters/default

The base comes first: a tokenizer from the world's words, then lessons that the world gives. Stop it when you like, or
give it so many minutes at a time; the same command goes on. On several GPUs: accelerate launch -m adapters.train.default.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.train.command import Parser
from roles.errors import InputError, MindreelError

HERE = Path(__file__).parent
MORE_TO_DO = 75
"""Exit code of a run whose time was up: the same command goes on."""
STEPS = ("base", "films", "roles", "detector", "card")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = Parser(
        prog="python -m adapters.train.default", description=(__doc__ or "").split("\n")[0],
        epilog=f"exit codes: 0 done, {MORE_TO_DO} the time is up and the same command goes on, 2 wrong use, 130 interrupted",
    )  # fmt: skip
    top.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets base/ and the adapters")
    top.add_argument("--work", type=Path, metavar="DIR", help="keeps what is needed to go on (OUT/.train)")
    top.add_argument("--config", type=Path, metavar="FILE", help="settings (adapters/train/default/default.yaml)")
    top.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", dest="changes", help="settings that differ")
    top.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help=", ".join(STEPS))
    top.add_argument("--minutes", type=float, metavar="M", help="stop after so long, everything saved")
    top.add_argument("--workers", type=int, default=4, metavar="N", help="processes that make lessons (4)")
    top.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    top.add_argument("--no-states", action="store_true", help="without the state heads, to see what they are worth")
    top.add_argument("--init", type=Path, metavar="FILE", help="state of another run to start from")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        return _run(args)
    except MindreelError as error:
        print(f"mindreel: error: {error}", file=sys.stderr)
        return error.exit_code


def _run(args: argparse.Namespace) -> int:
    from adapters.train.default.config import DEFAULT_FILE, read_default_config
    from adapters.train.default.loop import Place, Training, Unfinished
    from adapters.train.default.pool import load_world
    from adapters.train.default.tokenizer import build_tokenizer
    from adapters.train.progress import say
    from prompts import read_prompt_file
    from roles.manner import MANNER_FILE, read_manner

    config = read_default_config(args.config or DEFAULT_FILE, _changes(args.changes))
    work = args.work or args.out / ".train"
    work.mkdir(parents=True, exist_ok=True)
    manner = read_manner(HERE)
    if manner is None:
        raise InputError(f"{HERE / MANNER_FILE}: missing; the default model's budgets are in it")
    prompts = read_prompt_file(HERE / "prompts.json")
    place = Place.here(args.device)
    if not (work / "tokenizer" / "tokenizer.json").is_file() and place.main:
        say("tokenizer")
        build_tokenizer(load_world(config.world).texts(config.tokenizer_texts), config.shape.vocabulary, work / "tokenizer")
    place.wait()
    training = Training(
        config, work, manner, prompts, place, with_states=not args.no_states, workers=args.workers, init=args.init
    )
    if "base" in args.only:
        try:
            training.run(None if args.minutes is None else args.minutes * 60)
        except Unfinished as reason:
            say(str(reason))
            return 130 if training.interrupted else MORE_TO_DO
        training.write(args.out / "base")
    return 0


def _changes(texts: Sequence[str]) -> dict[str, Any]:
    """Reads NAME=VALUE, values as in YAML."""
    import yaml

    changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: expected NAME=VALUE")
        changes[name] = yaml.safe_load(value)
    return changes


if __name__ == "__main__":
    sys.exit(main())
