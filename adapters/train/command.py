"""The command line of a role's script: arguments go in, a trained adapter and an exit code come out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, TypeVar

from adapters.train.config import TrainConfig, complain, parse
from roles.errors import DataError, InputError, MindreelError

if TYPE_CHECKING:
    from adapters.train.recipe import Recipe

Config = TypeVar("Config", bound=TrainConfig)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are errors of this program, one line each."""

    def error(self, message: str) -> NoReturn:
        """Raises the complaint.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{message} (see --help)")


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
        check_reporters(config.report_to)
        from torch import OutOfMemoryError

        from adapters.train.loop import StoppedError, train
        from adapters.train.videos import dead_workers_named

        try:
            with dead_workers_named("training"):
                train(config, make_recipe(config), variants(config))
        except StoppedError as error:
            print(f"mindreel: {error}", file=sys.stderr)
            return 130
        except OutOfMemoryError as error:
            raise InputError(
                "out of GPU memory: say --samples-per-pass 1, --checkpointing all or --dtype bfloat16, or take a GPU "
                "with more; the same command goes on from the last checkpoint"
            ) from error
    except KeyboardInterrupt:
        print("mindreel: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    except MindreelError as error:
        return complain(_own_words(error))
    except OSError as error:
        return complain(unusable(error))
    return 0


def check_reporters(names: Sequence[str]) -> None:
    """Makes sure that logs can go where they shall go.

    Raises:
        InputError: Nobody knows that place, or its package is not installed.
    """
    if not names:
        return
    from transformers.integrations import integration_utils

    known = sorted(integration_utils.INTEGRATION_TO_CALLBACK)
    here = [*integration_utils.get_available_reporting_integrations(), "all", "azure_ml", "flyte"]
    for name in names:
        if name not in (*known, "all"):
            raise InputError(f"--report-to {name}: nobody knows it; expected none or some of {', '.join(known)}")
        if name not in here:
            hint = "pip install 'mindreel[train]'" if name == "tensorboard" else "install its package"
            raise InputError(f"--report-to {name}: it is not installed; {hint}, or say --report-to none")


def unusable(error: OSError) -> DataError:
    """What the system said of a file, as an error of ours."""
    where = f"{error.filename}: " if error.filename is not None else ""
    return DataError(f"{where}cannot be used ({error.strerror or error}); check the path, its rights and the disk")


def _own_words(error: MindreelError) -> MindreelError:
    """An error as it was raised: torch's loader puts a worker's whole stack trace into its message."""
    text = str(error)
    if "Original Traceback" not in text:
        return error
    return type(error)(text.strip().rsplit("\n", 1)[-1].partition(": ")[2])
