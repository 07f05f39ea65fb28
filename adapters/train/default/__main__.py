"""Trains the default model: a base on a generated world, then its four adapters with the roles' own scripts.

    python -m adapters.train.default --out adapters/default

The base comes first: a tokenizer from the world's words, then lessons that the world gives. Stop it when you like, or
give it so many minutes at a time; the same command goes on. On several GPUs:
accelerate launch -m adapters.train.default.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.train.command import Parser, unusable
from adapters.train.config import complain
from prompts import ROLES
from roles.errors import InputError, MindreelError

if TYPE_CHECKING:
    from adapters.train.default.config import DefaultConfig
    from adapters.train.default.place import Place
    from prompts import PromptBook
    from roles.manner import Manner

HERE = Path(__file__).parent
MORE_TO_DO = 75
"""Exit code of a run whose time was up: the same command goes on."""
STEPS = ("base", "films", "roles", "detector", "card")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = Parser(
        prog="python -m adapters.train.default", description=(__doc__ or "").split("\n")[0],
        epilog=f"exit codes: 0 done, {MORE_TO_DO} the time is up and the same command goes on, 1 a step failed, "
        "2 wrong use, 130 interrupted",
    )  # fmt: skip
    top.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets base/ and the adapters")
    top.add_argument("--work", type=Path, metavar="DIR", help="keeps what is needed to go on (OUT/.train)")
    top.add_argument("--config", type=Path, metavar="FILE", help="settings (adapters/train/default/default.yaml)")
    top.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", dest="changes", help="settings that differ")
    top.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help=", ".join(STEPS))
    top.add_argument("--roles", nargs="+", choices=ROLES, default=list(ROLES), metavar="ROLE", help="which adapters")
    top.add_argument("--minutes", type=float, metavar="M", help="stop after so long, everything saved")
    top.add_argument("--workers", type=int, default=4, metavar="N", help="processes that make lessons (4)")
    top.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    top.add_argument("--no-states", action="store_true", help="without the state heads, to see what they are worth")
    top.add_argument("--init", type=Path, metavar="FILE", help="state of another run to start from")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    try:
        return _run(parser().parse_args(argv))
    except KeyboardInterrupt:
        print("mindreel: interrupted; the same command goes on", file=sys.stderr)
        return 130
    except MindreelError as error:
        return complain(error)
    except OSError as error:
        return complain(unusable(error))


def _run(args: argparse.Namespace) -> int:
    from adapters.train.default.config import DEFAULT_FILE, read_default_config
    from adapters.train.default.place import Place
    from prompts import read_prompt_file
    from roles.manner import MANNER_FILE, read_manner

    config = read_default_config(args.config or DEFAULT_FILE, _changes(args.changes))
    if args.workers < 0:
        raise InputError(f"--workers {args.workers}: expected a number of processes, 0 or more")
    args.work = args.work or args.out / ".train"
    for folder in (args.out, args.work):
        folder.mkdir(parents=True, exist_ok=True)
    manner = read_manner(HERE)
    if manner is None:
        raise InputError(f"{HERE / MANNER_FILE}: missing; the default model's budgets are in it")
    prompts = read_prompt_file(HERE / "prompts.json")
    place = Place.here(args.device)
    if "base" in args.only:
        code = _base(args, config, manner, prompts, place)
        if code:
            return code
    if place.main:
        _adapters(args, config, manner, prompts)
    return 0


def _base(args: argparse.Namespace, config: DefaultConfig, manner: Manner, prompts: PromptBook, place: Place) -> int:
    """Trains the base, or as much of it as there is time for; returns the exit code."""
    from adapters.train.default.loop import Training, Unfinished
    from adapters.train.default.pool import load_world
    from adapters.train.default.tokenizer import build_tokenizer
    from adapters.train.progress import say

    folder = args.work / "tokenizer"
    if not (folder / "tokenizer.json").is_file() and place.main:
        say(f"tokenizer of {config.shape.vocabulary} entries from {config.tokenizer_texts} texts")
        build_tokenizer(load_world(config.world).texts(config.tokenizer_texts), config.shape.vocabulary, folder)
    place.wait()
    training = Training(
        config, args.work, manner, prompts, place, with_states=not args.no_states, workers=args.workers, init=args.init
    )
    try:
        training.run(None if args.minutes is None else args.minutes * 60)
    except Unfinished as reason:
        if place.main:
            say(str(reason))
        place.wait()
        return 130 if training.interrupted else MORE_TO_DO
    training.write(args.out / "base")
    place.wait()
    return 0


def _adapters(args: argparse.Namespace, config: DefaultConfig, manner: Manner, prompts: PromptBook) -> None:
    """Everything after the base."""
    from adapters.train.default import roles
    from adapters.train.progress import say

    base, films, begin = args.out / "base", args.work / "films", args.work / "begin"
    if "films" in args.only:
        roles.make_films(config.roles, films, args.workers)
    if "roles" in args.only:
        if not begin.is_dir():
            roles.write_start(begin, base, args.work / "head.safetensors", config.roles, prompts, manner, config.seed)
        for role in args.roles:
            roles.train_role(role, config.roles, base, begin, films, args.out, args.device, args.workers)
    if "detector" in args.only:
        say("detector of strange films")
        roles.fit_detector(config, args.out)
    if "card" in args.only:
        from adapters.train.default.loop import state_info
        from adapters.train.default.report import write_report
        from adapters.train.default.tally import LOG_FILE, curve

        write_report(config, curve(args.work / LOG_FILE), base, float(state_info(args.work)["spent_s"]))
        roles.tidied(args.out, args.work)
        say(f"{args.out}: {roles.in_half(args.out) / 1e6:.1f} MB")


def _changes(texts: Sequence[str]) -> dict[str, Any]:
    """Reads NAME=VALUE, values as in YAML."""
    import yaml

    changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text}: expected NAME=VALUE")
        try:
            changes[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {text}: what stands behind = is no value in YAML") from error
    return changes


if __name__ == "__main__":
    sys.exit(main())
