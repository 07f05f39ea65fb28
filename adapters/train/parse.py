"""Arguments and a YAML file go in, a checked settings dataclass comes out, or every problem at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, cast, get_args, get_origin

from adapters.train.fields import Flag, did_you_mean, flags_of, groups_of
from adapters.train.text import plain, shown
from adapters.train.yaml_file import read_mapping
from roles.errors import InputError, MindreelError

Config = TypeVar("Config")
Rule = tuple[tuple[str, ...], str]
"""What a class's method `rules` yields for a broken rule over several fields: their names, and one line."""
_STAND_INS: Mapping[Any, object] = {str: "", Path: Path(), int: 0, float: 0.0}
_METAVARS: Mapping[Any, str] = {str: "TEXT", Path: "PATH", int: "N", float: "X"}


class ConfigError(InputError):
    """Settings that cannot be used; `problems` holds one line for each thing that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def parse(config_type: type[Config], argv: Sequence[str] | None, prog: str, description: str) -> Config:
    """Reads flags; those that are not given come from `--config FILE.yaml`, then from the defaults.

    Args:
        config_type: A dataclass; each field is a flag.
        argv: Arguments; None takes the process's.
        prog: The command, for `--help`.
        description: What it does, for `--help`.

    Raises:
        ConfigError: Anything is wrong; it holds all problems.
        SystemExit: `--help` was asked for.
    """
    given, extra = _parser(config_type, prog, description).parse_known_args(argv)
    reader = _Reader(config_type)
    if given.config is not None:
        reader.take_file(Path(given.config))
    words = {name: " ".join(value) if isinstance(value, list) else value for name, value in vars(given).items()}
    reader.take({name: value for name, value in words.items() if name != "config"})
    reader.problems += _unplaced(extra, flags_of(config_type))
    return cast("Config", reader.build())


def read_config(path: Path, config_type: type[Config]) -> Config:
    """Reads a YAML file alone, such as `to_yaml` wrote; fields that it lacks keep their defaults.

    Raises:
        ConfigError: Anything is wrong; it holds all problems.
    """
    reader = _Reader(config_type)
    reader.take_file(path)
    return cast("Config", reader.build(f"{path}: "))


def validate(config: object) -> list[str]:
    """Every problem of a settings dataclass, one line each; empty where there is none."""
    wrong = {flag.name: flag.problem(getattr(config, flag.name)) for flag in flags_of(type(config))}
    lines = [f"{name} {shown(getattr(config, name))}: {problem}" for name, problem in wrong.items() if problem]
    return lines + _broken_rules(config, {name for name, problem in wrong.items() if problem})


def complain(error: MindreelError) -> int:
    """Prints an error on stderr, a line for each problem; returns the exit code.

    All processes of a launch read the same settings: what is wrong with these is said by the first one alone.
    """
    if isinstance(error, ConfigError) and os.environ.get("RANK", "0") not in ("", "0"):
        return error.exit_code
    for problem in error.problems if isinstance(error, ConfigError) else (error,):
        print(f"mindreel: error: {plain(problem)}", file=sys.stderr, flush=True)
    return error.exit_code


class _Reader:
    """Gathers values from one source after another, later ones win, and what is wrong with any of them."""

    def __init__(self, config_type: type[Any]) -> None:
        self.config_type = config_type
        self.flags = {flag.name: flag for flag in flags_of(config_type)}
        self.values: dict[str, Any] = {}
        self.bad: set[str] = set()
        self.problems: list[str] = []

    def take_file(self, path: Path) -> None:
        try:
            content = read_mapping(path)
        except InputError as error:
            self.problems.append(str(error))
            self.bad |= {name for name, flag in self.flags.items() if flag.required}  # it may well have held them
            return
        self.take(content, f"{path}: ")

    def take(self, content: Mapping[Any, object], source: str = "") -> None:
        for key, value in content.items():
            name = key.replace("-", "_") if isinstance(key, str) else key
            flag = self.flags.get(name)
            if flag is None:
                self.problems.append(f"{source}{shown(key)}: no such setting{did_you_mean(name, list(self.flags))}")
                continue
            self.bad.discard(name)
            try:
                self.values[name] = flag.read(value)
            except ValueError as error:
                self.bad.add(name)
                label = f"{source}{name}" if source else flag.label
                self.problems.append(f"{label} {shown(value)}: {error}")

    def build(self, source: str = "") -> Any:
        usable = {name: value for name, value in self.values.items() if name not in self.bad}
        for name, flag in self.flags.items():
            if flag.required and name not in usable:
                usable[name] = _STAND_INS.get(flag.kinds[-1])  # so that the rules can be asked about the others
                if name not in self.bad:
                    self.bad.add(name)
                    label = f"{source}{name}" if source else flag.label
                    self.problems.append(f"{label}: missing; give {flag.about.get('help') or flag.rule}")
        config = self.config_type(**usable)
        self.problems += _broken_rules(config, self.bad)
        if self.problems:
            raise ConfigError(self.problems)
        return config


def _broken_rules(config: object, bad: set[str]) -> list[str]:
    """Rules that fields break together; what is bad by itself has been said."""
    # super() does not work in a dataclass with slots before Python 3.14, so each class's own rules are found here.
    own = [vars(base)["rules"] for base in reversed(type(config).__mro__) if "rules" in vars(base)]
    broken: Iterable[Rule] = (rule for rules in own for rule in rules(config))
    return [message for names, message in broken if not bad.intersection(names)]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError([f"{message} (see --help)"])


class _Paragraphs(argparse.HelpFormatter):
    """Wraps a description paragraph by paragraph; indented ones, such as examples, stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        kept = [
            part if part.startswith(" ") else super(_Paragraphs, self)._fill_text(part, width, indent)
            for part in text.strip().split("\n\n")
        ]
        return "\n\n".join(kept)


def _parser(config_type: type[Any], prog: str, description: str) -> argparse.ArgumentParser:
    required = [f"{flag.label} {_metavar(flag)}" for flag in flags_of(config_type) if flag.required]
    parser = _Parser(
        prog=prog,
        usage=" ".join([prog, *required, "[--config FILE] [more options]"]).replace("%", "%%"),
        description=description,
        formatter_class=_Paragraphs,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--config", metavar="FILE", default=None, help="YAML with settings; flags win over it")
    for heading, flags in groups_of(config_type):
        group = parser.add_argument_group(heading)
        for flag in flags:
            end = "required" if flag.required else f"default: {_words(flag.default)}"
            text = f"{flag.about.get('help', '')} ({end})".replace("%", "%%").strip()
            if flag.hint is bool:
                group.add_argument(flag.label, dest=flag.name, action=argparse.BooleanOptionalAction, help=text)
            else:
                nargs = "+" if flag.takes_list else None
                group.add_argument(flag.label, dest=flag.name, nargs=nargs, metavar=_metavar(flag), help=text)
    return parser


def _metavar(flag: Flag) -> str:
    words = []
    for kind in flag.kinds:
        item = get_args(kind)[0] if get_origin(kind) is tuple else kind
        if get_origin(item) is Literal:
            words.append("NAME" if item is not kind else "{" + ",".join(get_args(item)) + "}")
        elif item in _METAVARS:
            words.append(_METAVARS[item])
    return str(flag.about.get("metavar") or "|".join(words))


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return {None: "none", True: "yes", False: "no"}[value] if value is None or isinstance(value, bool) else str(value)


def _unplaced(words: Sequence[str], flags: Sequence[Flag]) -> Iterator[str]:
    """Problems of words that argparse could not place; one after an unknown flag is taken for that flag's value."""
    names = [*(flag.label for flag in flags), "--config", "--help"]
    after_unknown = False
    for word in words:
        if word.startswith("-"):
            after_unknown = True
            name = word.split("=", 1)[0]
            yield f"{shown(name)}: no such flag{did_you_mean(name, names) or ' (see --help)'}"
        elif not after_unknown:
            yield f"{shown(word)}: belongs to no flag (see --help)"
