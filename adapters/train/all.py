"""Trains all four roles in order and asks the agent that comes out a question.

    python -m adapters.train.all --model BASE --data train.jsonl --out adapters

Planner, grounder, verifier and answerer learn from one file of examples; the verifier from what the new grounder finds
in it (`adapters.train.mine`). Settings go to every role (`--set epochs=3`) or to one (`--set grounder.epochs=5`), or
come from a YAML file with a section `all` and one for each role. Roles that are trained already with the same settings
are left as they are, so the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.train.command import Parser, unusable
from adapters.train.config import ConfigError, TrainConfig, complain, parse
from adapters.train.fields import did_you_mean, flags_of
from adapters.train.mine import grounder_id
from adapters.train.yaml_file import read_mapping
from roles.errors import InputError, MindreelError
from roles.examples import read_examples, video_path, write_text
from roles.types import Example

ORDER = ("planner", "grounder", "verifier", "answerer")
EVERY = "all"
OWN = ("model", "data", "val", "out", "fresh")
"""What this command says itself."""
INTERRUPTED = 130
MOST_TRIED = 100
"""Examples whose videos are tried before the agent is asked nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained.

    Attributes:
        model: The base, a folder or hub id.
        data: Examples to train on.
        val: Examples to validate on.
        out: The adapters folder.
        roles: Which roles, in order.
        settings: Role, or `EVERY` -> setting -> value.
        processes: Processes of each training, one a GPU.
        fresh: Start anew.
    """

    model: str
    data: Path
    out: Path
    val: Path | None = None
    roles: tuple[str, ...] = ORDER
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    processes: int = 1
    fresh: bool = False


def run(job: Job) -> None:
    """Trains the roles one after another, each in a process of its own, so that none inherits another's memory.

    Raises:
        InputError: Settings that one of them would refuse; nothing is started then.
        StageError: One of them failed; it has said why.
    """
    check(job)
    for role in job.roles:
        if role == "verifier":
            for data in filter(None, (job.data, job.val)):
                _mine(job, data)
        _start(job, f"adapters.train.{role}", arguments(job, role))


def arguments(job: Job, role: str) -> list[str]:
    """What a role's script is told."""
    files = {"data": job.data, "val": job.val}
    if role == "verifier":
        files = {name: path and mined_from(job, path) for name, path in files.items()}
    said: dict[str, object] = {"model": job.model, "out": job.out}
    said |= {name: path for name, path in files.items() if path is not None}
    said |= {**job.settings.get(EVERY, {}), **job.settings.get(role, {})}
    # One word each, so that no value is taken for a flag, or for two where a path has a space in it.
    words = [f"--{name.replace('_', '-')}={value}" for name, value in said.items()]
    return [*words, "--fresh"] if job.fresh else words


def check(job: Job) -> None:
    """Reads every role's settings as its script will, rather than hours later.

    Raises:
        ConfigError: Something is wrong; it holds all problems.
    """
    problems: dict[str, list[str]] = {}
    for role in job.roles:
        try:
            parse(_configs()[role], arguments(job, role), f"adapters.train.{role}", "")
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(role)
    if problems:
        raise ConfigError([f"{problem} (for {', '.join(roles)})" for problem, roles in problems.items()])


class StageError(MindreelError):
    """A training failed, or was stopped; its own words are on stderr already."""

    def __init__(self, stage: str, exit_code: int) -> None:
        super().__init__(f"{stage} failed (see above); mend it and run the same command, which goes on from there")
        self.exit_code = exit_code


def mined_from(job: Job, data: Path) -> Path:
    """Where the verifier's examples from a file of examples go."""
    return job.out / ".train" / f"mined-{'val' if data == job.val else 'data'}-{data.stem}.jsonl"


def _mine(job: Job, data: Path) -> None:
    """Lets the new grounder find candidates, unless the same grounder has done so in the same data."""
    out = mined_from(job, data)
    source = out.with_suffix(".source.json")
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    stated = json.dumps({"model": job.model, "grounder": grounder_id(job.out), "data": digest})
    if out.is_file() and source.is_file() and source.read_text(encoding="utf-8").strip() == stated:
        return
    settings = {**job.settings.get(EVERY, {}), **job.settings.get("verifier", {})}
    said = {"model": job.model, "adapters": job.out, "data": data, "out": out}
    said |= {name: settings[name] for name in ("device", "dtype", "max_broken") if name in settings}
    _start(job, "adapters.train.mine", [f"--{name.replace('_', '-')}={value}" for name, value in said.items()])
    write_text(source, [stated])


def _start(job: Job, module: str, words: Sequence[str]) -> None:
    """Runs one of our modules to its end.

    Raises:
        StageError: It failed.
    """
    launcher = [sys.executable, "-m"]
    if job.processes > 1:
        # accelerate starts a single process where it is told --cpu; its --multi_gpu means several, of any kind. Said in
        # full, so that it does not complain of what it was not told.
        launcher += ["accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no"]
        launcher += ["--dynamo_backend", "no", "--num_processes", str(job.processes), "-m"]
    stage = module.rsplit(".", 1)[1]
    print(f"mindreel: {stage}", file=sys.stderr, flush=True)
    code = wait_for(subprocess.Popen([*launcher, module, *words]))  # noqa: S603 - our own modules
    if code != 0:
        raise StageError(stage, code if code > 0 else 1)


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Waits for a process, which is given the time to stop in good order when this one is told to stop."""
    stopped = False

    def pass_on(number: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True
        process.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                stopped = True  # the terminal has told the process as well
    finally:
        signal.signal(signal.SIGTERM, before)
    return INTERRUPTED if stopped else code


def ask(job: Job, examples: Sequence[Example]) -> int:
    """Asks the new agent a question of the data, one with options if there is any; returns the exit code."""
    from adapters.frames import open_video

    source = job.val or job.data
    # Options that look like flags cannot be said on a command line.
    sayable = [one for one in examples if not any(option.startswith("-") for option in one.options)]
    for example in sorted(sayable, key=lambda one: not one.options)[:MOST_TRIED]:
        video = video_path(example, source)
        try:
            open_video(video).close()
        except MindreelError:
            continue  # training has named it
        words = [f"--model={job.model}", f"--adapters={job.out}", f"--video={video}", f"--question={example.question}"]
        words += ["--options", *example.options] if example.options else []
        device = job.settings.get(EVERY, {}).get("device")
        words += [f"--device={device}"] if device else []
        # Below `adapters`, the agent is a program to start, not a package to import.
        return wait_for(subprocess.Popen([sys.executable, "-m", "agent.run", *words]))  # noqa: S603
    print("mindreel: trained; no question of the data can be asked on a command line", file=sys.stderr)
    return 0


def read_settings(path: Path | None, given: Sequence[str]) -> dict[str, dict[str, str]]:
    """Settings by role, from a YAML file and from `ROLE.NAME=VALUE`; the latter win.

    Raises:
        InputError: An unknown role or setting.
    """
    settings: dict[str, dict[str, str]] = {}
    sections = read_mapping(path) if path is not None else {}
    for role, values in sections.items():
        if not isinstance(values, Mapping):
            raise InputError(f"{path}: {role!r} holds no settings; expected sections {EVERY}, {', '.join(ORDER)}")
        for name, value in values.items():
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            key = str(name).replace("-", "_")
            settings.setdefault(str(role), {})[key] = text if value is not None else "none"
    for one in given:
        name, mark, value = one.partition("=")
        if not mark:
            raise InputError(f"--set {one!r}: expected NAME=VALUE or ROLE.NAME=VALUE")
        role, dot, rest = name.partition(".")
        section, key = (role, rest) if dot else (EVERY, name)
        settings.setdefault(section, {})[key.replace("-", "_")] = value
    for role, values in settings.items():
        if role not in _configs():
            raise InputError(f"settings for {role!r}: expected {EVERY}, {', '.join(ORDER)}")
        allowed = [flag.name for flag in flags_of(_configs()[role]) if flag.name not in OWN]
        for name in values:
            if name in OWN:
                raise InputError(f"setting {name!r}: say --{name} to this command instead")
            if name not in allowed:
                raise InputError(f"unknown setting {name!r} for {role}{did_you_mean(name, allowed)}")
    return settings


def _configs() -> dict[str, type[TrainConfig]]:
    from adapters.train.answerer import AnswererConfig
    from adapters.train.grounder import GrounderConfig
    from adapters.train.planner import PlannerConfig
    from adapters.train.verifier import VerifierConfig

    kinds = (TrainConfig, PlannerConfig, GrounderConfig, VerifierConfig, AnswererConfig)
    return dict(zip((EVERY, *ORDER), kinds, strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = Parser(
        prog="python -m adapters.train.all",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="BASE", help="base model, a folder or hub id")
    parser.add_argument("--data", required=True, type=Path, metavar="FILE", help="examples to train on, JSON lines")
    parser.add_argument("--val", type=Path, metavar="FILE", help="examples to validate on")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="adapters folder to write to")
    parser.add_argument("--roles", nargs="+", choices=ORDER, default=list(ORDER), help="which roles (default: all)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML with sections all, planner, grounder ...")
    parser.add_argument(
        "--set", action="append", default=[], metavar="[ROLE.]NAME=VALUE", help="a setting of all roles, or of one"
    )
    parser.add_argument(
        "--processes", type=_count, default=1, metavar="N", help="processes of each training, one a GPU"
    )
    parser.add_argument("--fresh", action="store_true", help="start anew although there are checkpoints")
    try:
        args = parser.parse_args(argv)
        job = Job(
            model=args.model,
            data=args.data,
            out=args.out,
            val=args.val,
            roles=tuple(role for role in ORDER if role in args.roles),
            settings=read_settings(args.config, args.set),
            processes=args.processes,
            fresh=args.fresh,
        )
        examples = read_examples(job.val or job.data)
        if job.val is not None:
            read_examples(job.data)
        run(job)
        return ask(job, examples)
    except KeyboardInterrupt:
        print("mindreel: interrupted; the same command goes on where it was", file=sys.stderr)
        return 130
    except MindreelError as error:
        if error.exit_code == INTERRUPTED:
            print("mindreel: stopped; the same command goes on where it was", file=sys.stderr)
            return INTERRUPTED
        return complain(error)
    except OSError as error:
        return complain(unusable(error))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
