"""The command line of a role's script: arguments go in, a trained adapter and an exit code come out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from adapters.train.config import TrainConfig, complain, parse
from roles.errors import MindreelError

if TYPE_CHECKING:
    from adapters.train.recipe import Recipe

Config = TypeVar("Config", bound=TrainConfig)


def command(
    config_type: type[Config],
    make_recipe: Callable[[Config], Recipe],
    argv: Sequence[str] | None,
    name: str,
    doc: str | None,
    variants: Callable[[Config], int] = lambda _config: 1,
) -> int:
    """Runs a role's training.

    Args:
        config_type: The role's settings.
        make_recipe: How the role learns under them.
        argv: Arguments; None takes the process's.
        name: The script's name, for `--help`.
        doc: Its description.
        variants: How many different draws there are of a sample.

    Returns:
        The exit code: 0 trained, 1 a failure inside, 2 wrong use or bad input, 130 interrupted.
    """
    try:
        config = parse(config_type, argv, f"python -m adapters.train.{name}", doc or "")
        from adapters.train.loop import StoppedError, train

        try:
            train(config, make_recipe(config), variants(config))
        except StoppedError as error:
            print(f"mindreel: {error}", file=sys.stderr)
            return 130
    except KeyboardInterrupt:
        print("mindreel: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    except MindreelError as error:
        return complain(error)
    return 0
