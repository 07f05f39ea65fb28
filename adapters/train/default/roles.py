"""A trained base goes in, its four adapters come out, trained by the roles' own scripts on films of the world.

The base has read and answered every role's prompts before; an adapter starts as no change to it, with the regression
head that learned beside it, and learns its role on films as files, exactly as they will be asked about.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from adapters.export import TrainedAdapter, write_adapter
from adapters.familiar import FilmDetector
from adapters.heads.timestamp import TimestampHead
from adapters.store import FILMS_FILE, HEAD_FILE, read_base_shapes
from adapters.train.all import INTERRUPTED, wait_for
from adapters.train.default.config import DefaultConfig, RolesConfig
from adapters.train.default.pool import load_world
from prompts import ROLES, PromptBook
from roles.errors import StepError
from roles.manner import Manner

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def write_start(
    out: Path, base: Path, head: Path, config: RolesConfig, prompts: PromptBook, manner: Manner, seed: int
) -> None:
    """Writes adapters that change nothing, to start from; all of them or none.

    Args:
        out: The adapters folder.
        base: The base.
        head: The regression head that learned beside it.
        config: LoRA's rank.
        prompts: What the roles are asked with.
        manner: How.
        seed: Of LoRA's first matrices.
    """
    shapes = read_base_shapes(base)
    stored = load_file(head)
    TimestampHead(int(stored["vis_proj.0.weight"].shape[0])).load_state_dict(stored)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for number, role in enumerate(ROLES):
        generator = torch.Generator().manual_seed(seed * 100 + number)
        lora: dict[str, Tensor] = {}
        for name, shape in sorted(shapes.items()):
            module = name.removesuffix(".weight")
            if ".layers." in module and module.endswith(ATTENTION):
                first = torch.empty(config.rank, shape[1]).normal_(0, shape[1] ** -0.5, generator=generator)
                lora[f"{module}.lora_A.weight"] = first
                lora[f"{module}.lora_B.weight"] = torch.zeros(shape[0], config.rank)
        adapter = TrainedAdapter(
            role=role, lora=lora, rank=config.rank, alpha=config.alpha, dropout=0.0, targets=ATTENTION, token_ids=(),
            embed=None, head=None, timestamp_head=stored if role == "grounder" else None,
        )  # fmt: skip
        write_adapter(
            part, adapter, base=base, base_name=str(base), layout="peft", prompts=prompts, tokens_from=base,
            manner=manner,
        )  # fmt: skip
    part.replace(out)


def make_films(config: RolesConfig, folder: Path, workers: int) -> None:
    """Lets the world write films and examples, for training and for validation.

    Raises:
        StepError: It failed; it has said why.
    """
    for name, seeds in (("train", config.train), ("val", config.val)):
        if not seeds[1]:
            continue
        arguments = [*config.films, "--seed", str(seeds[0]), "--n", str(seeds[1]), "--out", str(folder / name)]
        start([*arguments, "--workers", str(workers)])


def train_role(
    role: str, config: RolesConfig, base: Path, begin: Path, films: Path, out: Path, device: str, workers: int
) -> None:
    """Trains one role with its script; the verifier first lets the grounder in `out` find its candidates.

    Raises:
        StepError: The script failed; it has said why.
    """
    data, val = films / "train" / "examples.jsonl", films / "val" / "examples.jsonl"
    if role == "verifier":
        for path, most in ((data, config.mined[0]), (val, config.mined[1])):
            mined = path.with_name("mined.jsonl")
            some = evenly(path, most, path.with_name("some.jsonl"))
            start(["adapters.train.mine", "--model", str(base), "--adapters", str(out), "--data", str(some),
                   "--out", str(mined), "--device", device, *flags(config.settings.get("mine", {}))])  # fmt: skip
        data, val = data.with_name("mined.jsonl"), val.with_name("mined.jsonl")
    settings = {**config.settings.get("all", {}), **config.settings.get(role, {})}
    start([
        f"adapters.train.{role}", "--model", str(base), "--init", str(begin), "--data", str(data), "--val", str(val),
        "--out", str(out), "--device", device, "--workers", str(workers), "--lora-rank", str(config.rank),
        "--lora-alpha", str(config.alpha), "--new-tokens", "none", *flags(settings),
    ])  # fmt: skip


def evenly(path: Path, most: int, out: Path) -> Path:
    """At most so many lines of a file, evenly spread over it, as a file beside it."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if len(lines) <= most:
        return path
    out.write_text("".join(lines[at * len(lines) // most] for at in range(most)), encoding="utf-8")
    return out


def fit_detector(config: DefaultConfig, out: Path) -> None:
    """Learns what films of the world look like, from parts of training films drawn at the size that the model sees.

    A third are whole films in a few frames, a third parts at two frames a second, a third some seconds alone.
    """
    world = load_world(config.world)
    first, count = config.roles.detector
    clips = [world.look(first + number, ("whole", "part", "moment")[number % 3]) for number in range(count)]
    FilmDetector.fit(clips).save(out / FILMS_FILE)


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as arguments: {"learning_rate": 1e-3} -> ["--learning-rate", "0.001"]."""
    out: list[str] = []
    for name, value in settings.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            out.append(flag)
        elif value is not False:
            out += [flag, *(str(one) for one in (value if isinstance(value, list | tuple) else [value]))]
    return out


def start(arguments: Sequence[str]) -> None:
    """Runs a module in a process of its own.

    Raises:
        StepError: It failed.
        KeyboardInterrupt: It was stopped, and had the time to save what it had.
    """
    code = wait_for(subprocess.Popen([sys.executable, "-m", *arguments]))  # noqa: S603 - our own modules
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise StepError(f"{' '.join(arguments[:2])} failed with exit code {code}; what it said stands above")


def tidied(folder: Path, work: Path) -> None:
    """Makes a folder fit to be shipped: no places of this machine, no single answers, small pictures.

    Args:
        folder: The adapters folder.
        work: What its files may name.
    """
    for path in sorted(folder.glob("*/validation.jsonl")):
        path.unlink()
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as picture:
            few = picture.convert("RGB").quantize(48)
        few.save(path, optimize=True)
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".json", ".jsonl", ".yaml", ".md") or ".train" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        clean = text.replace(str(work.resolve()), "work").replace(str(work), "work")
        clean = clean.replace(str(folder.resolve()), folder.name)
        if clean != text:
            path.write_text(clean, encoding="utf-8")


def in_half(folder: Path) -> int:
    """Rewrites every tensor file of an adapters folder in bfloat16; returns the bytes of all its files."""
    for path in sorted(folder.rglob("*.safetensors")):
        if path.name.startswith(".") or ".train" in path.parts or path.name == FILMS_FILE:
            continue
        stored = load_file(path)
        if any(tensor.dtype != torch.bfloat16 for tensor in stored.values()):
            part = path.with_name(f".{path.name}.part")
            save_file({name: tensor.to(torch.bfloat16) for name, tensor in stored.items()}, part, {"format": "pt"})
            part.replace(path)
    if not (folder / HEAD_FILE).is_file():
        raise StepError(f"{folder / HEAD_FILE}: missing; was the grounder trained?")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and ".train" not in path.parts)
