"""Trains all four roles in order and asks the agent that comes out a question.

    python -m adapters.train.all --model BASE --data train.jsonl --out adapters

Planner, grounder, verifier and answerer learn from one file of examples; the verifier from what the new grounder finds
in it (`adapters.train.mine`). Settings go to every role (`--set epochs=3`) or to one (`--set grounder.epochs=5`), or
come from a YAML file with a section `all` and one for each role. Roles that are trained already with the same settings
are left as they are, so the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.train.config import TrainConfig, complain
from adapters.train.fields import did_you_mean, flags_of
from adapters.train.yaml_file import read_mapping
from roles.errors import InputError, MindreelError
from roles.examples import read_examples, video_path
from roles.types import Example

ORDER = ("planner", "grounder", "verifier", "answerer")
EVERY = "all"
OWN = ("model", "data", "val", "out", "fresh")
"""What this command says itself."""


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
        StageError: One of them failed; it has said why.
    """
    for role in job.roles:
        files = {"data": job.data, "val": job.val}
        if role == "verifier":
            for name, path in tuple(files.items()):
                if path is not None:
                    files[name] = mined = job.out / ".train" / f"mined-{name}-{path.stem}.jsonl"
                    _mine(job, path, mined)
        command = ["--model", job.model, "--data", str(files["data"]), "--out", str(job.out)]
        command += ["--val", str(files["val"])] if files["val"] is not None else []
        for name, value in {**job.settings.get(EVERY, {}), **job.settings.get(role, {})}.items():
            if name in ("eval_every", "val_limit", "select") and files["val"] is None:
                continue
            command += [f"--{name.replace('_', '-')}", *value.split()]
        command += ["--fresh"] if job.fresh else []
        _start(job, f"adapters.train.{role}", command)


class StageError(MindreelError):
    """A training failed; its own words are on stderr already."""

    def __init__(self, stage: str, exit_code: int) -> None:
        super().__init__(f"{stage} failed (see above); mend it and run the same command, which goes on from there")
        self.exit_code = exit_code


def _mine(job: Job, data: Path, out: Path) -> None:
    """Lets the new grounder find candidates, unless it is done and neither the data nor the grounder is newer."""
    weights = job.out / "grounder" / "adapter_model.safetensors"
    if out.is_file() and weights.is_file() and out.stat().st_mtime > max(weights.stat().st_mtime, data.stat().st_mtime):
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    shared = job.settings.get(EVERY, {})
    placed = [part for name in ("device",) if name in shared for part in (f"--{name}", shared[name])]
    command = ["--model", job.model, "--adapters", str(job.out), "--data", str(data), "--out", str(out), *placed]
    _start(job, "adapters.train.mine", command)


def _start(job: Job, module: str, arguments: Sequence[str]) -> None:
    launcher = [sys.executable, "-m"]
    if job.processes > 1:
        launcher += ["accelerate.commands.launch", "--num_processes", str(job.processes), "-m"]
    print(f"mindreel: {module.rsplit('.', 1)[1]}", file=sys.stderr, flush=True)
    done = subprocess.run([*launcher, module, *arguments], check=False)  # noqa: S603 - our own modules
    if done.returncode != 0:
        raise StageError(module.rsplit(".", 1)[1], done.returncode if done.returncode > 0 else 1)


def ask(job: Job, examples: Sequence[Example]) -> int:
    """Asks the new agent the first question of the data that has options, or else the first; returns the exit code."""
    source = job.val or job.data
    example = next((one for one in examples if one.options), examples[0])
    command = ["--model", job.model, "--adapters", str(job.out), "--video", str(video_path(example, source))]
    command += [f"--question={example.question}"]
    command += ["--options", *example.options] if example.options else []
    device = job.settings.get(EVERY, {}).get("device")
    command += ["--device", device] if device else []
    environment = dict(os.environ)
    # Below `adapters`, the agent is a program to start, not a package to import.
    done = subprocess.run([sys.executable, "-m", "agent.run", *command], check=False, env=environment)  # noqa: S603
    return done.returncode


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
            settings.setdefault(str(role), {})[str(name)] = text if value is not None else "none"
    for one in given:
        name, mark, value = one.partition("=")
        if not mark:
            raise InputError(f"--set {one!r}: expected NAME=VALUE or ROLE.NAME=VALUE")
        role, dot, rest = name.partition(".")
        section, key = (role, rest) if dot else (EVERY, name)
        settings.setdefault(section, {})[key.replace("-", "_")] = value
    known = _known_settings()
    for role, values in settings.items():
        if role not in (EVERY, *ORDER):
            raise InputError(f"settings for {role!r}: expected {EVERY}, {', '.join(ORDER)}")
        for name in values:
            if name in OWN:
                raise InputError(f"setting {name!r}: say --{name} to this command instead")
            allowed = known[role] if role != EVERY else known[EVERY]
            if name not in allowed:
                raise InputError(f"unknown setting {name!r} for {role}{did_you_mean(name, allowed)}")
    return settings


def _known_settings() -> dict[str, list[str]]:
    from adapters.train.answerer import AnswererConfig
    from adapters.train.grounder import GrounderConfig
    from adapters.train.planner import PlannerConfig
    from adapters.train.verifier import VerifierConfig

    kinds = (TrainConfig, PlannerConfig, GrounderConfig, VerifierConfig, AnswererConfig)
    return {role: [flag.name for flag in flags_of(kind)] for role, kind in zip((EVERY, *ORDER), kinds, strict=True)}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
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
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="processes of each training, one a GPU")
    parser.add_argument("--fresh", action="store_true", help="start anew although there are checkpoints")
    args = parser.parse_args(argv)
    try:
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
        return complain(error)


if __name__ == "__main__":
    sys.exit(main())
