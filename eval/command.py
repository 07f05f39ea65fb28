"""A command's work goes in, its exit code comes out; what goes wrong is told in a line, as everywhere here."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from roles.errors import MindreelError


class Parser(argparse.ArgumentParser):
    """A parser that tells wrong use in one line and ends with 2."""

    def error(self, message: str) -> NoReturn:
        """One line, as everywhere in this program."""
        print(f"mindreel: error: {message} (see --help)", file=sys.stderr)
        sys.exit(2)


def show_anything() -> None:
    """Lets a terminal without the characters of a text show others in their place."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def exit_code(work: Callable[[], None]) -> int:
    """Does a command's work.

    Returns:
        0; the error's code where there was one; 130 where it was interrupted; 1 where nobody reads its output.
    """
    try:
        work()
    except MindreelError as error:
        print(f"mindreel: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("mindreel: error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has gone
        sys.stderr.close()
        return 1
    return 0
