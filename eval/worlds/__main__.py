"""The command line: `make` films with their questions, `show` a set, count with `stats`, try `shortcuts`.

python -m eval.worlds make --seed 0 --n 100 --split train --out worlds/train
python -m eval.worlds show 20000000 --kind false_belief
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from roles.errors import MindreelError

PROG = "python -m eval.worlds"
COMMANDS = {
    "make": "make films, their questions and a manifest",
    "show": "draw a film's frames and what everybody believes, as a picture",
    "stats": "count and plot what a data set holds",
    "shortcuts": "measure how far one gets without understanding minds",
}
"""Each is a module of this package with `add_arguments(parser)` and `run(args) -> int`."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as everywhere in this program."""
        _complain(f"{message} (see --help)")
        sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: Arguments; None takes the process's.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        args = parser(given[0] if given else None).parse_args(given)
        return int(importlib.import_module(f"eval.worlds.{args.command}").run(args))
    except KeyboardInterrupt:
        _complain("interrupted; what is finished stays" if given[:1] == ["make"] else "interrupted")
        return 130
    except BrokenPipeError:  # whoever read the results has gone; what is left in the buffer must not raise at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except MindreelError as error:
        _complain(str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        _complain(f"{error.name} is missing; run: pip install 'mindreel[worlds]'")
        return 2
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a person gets a line, not a stack trace
        _complain(f"a failure inside: {type(error).__name__}: {error}")
        return 1


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The program's arguments.

    Args:
        command: The only command whose own arguments are filled in: the others' modules are not imported.
    """
    top = _Parser(prog=PROG, description="Generated films where it is known who saw what, and when.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for name, about in COMMANDS.items():
        one = commands.add_parser(name, help=about, description=about.capitalize() + ".", allow_abbrev=False)
        if name == command:
            importlib.import_module(f"eval.worlds.{name}").add_arguments(one)
    return top


def _complain(message: str) -> None:
    line = "".join(char if char.isprintable() else " " for char in message)
    with contextlib.suppress(OSError):  # a full or closed stderr must not cost the exit code
        print(f"mindreel: error: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
