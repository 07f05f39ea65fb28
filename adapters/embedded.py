"""Which model answers where a user names none goes out: the folders of the small default that ships with the package.

The module is cheap to import: the command line looks before anything is loaded.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "default"
"""Its adapters, prompts and tokenizer; its base lies inside."""
BASE_NAME = "base"
MAKE = "python -m adapters.train.default"
"""The command that makes it."""


def base() -> Path:
    """The folder of its base."""
    return FOLDER / BASE_NAME


def present() -> bool:
    """Whether it is there; a part of it that is missing is told when it is loaded."""
    return (base() / "config.json").is_file()
