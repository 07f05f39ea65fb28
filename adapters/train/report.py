"""What a training run was told, did and measured goes in; a summary in JSON comes out.

`draw_curve` and `model_card` make the other two reports of a run, from the same records and the same summary.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from adapters.staging import new_file
from adapters.train.card import model_card
from adapters.train.curve import draw_curve
from adapters.train.records import Record, best_of, losses_by_name, metrics_by_name

__all__ = ["DataCount", "Run", "draw_curve", "hardware", "model_card", "summary_of", "versions", "write_summary"]

VERSION = 1
LISTED_BROKEN = 50
PACKAGES = ("mindreel", "torch", "transformers", "peft", "accelerate", "numpy", "av", "flash-attn", "deepspeed")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCount:
    """What became of a file of examples.

    Attributes:
        file: The file.
        used: Examples that the role learned from, or was asked about.
        videos: Different videos that the file names.
        skipped: Reason -> examples that were left out for it.
        broken: Videos that could not be read, a line each.
    """

    file: Path
    used: int
    videos: int
    skipped: Mapping[str, int]
    broken: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A training run that has come to its end.

    Attributes:
        role: Whose adapter was trained.
        config: Its settings, a dataclass.
        records: transformers' `state.log_history`, from the first step on.
        steps: Optimizer steps in all.
        first_step: The step from which this process went on; 0 without a resume.
        elapsed_s: What the steps of this process took.
        train: What it learned from.
        val: What it was asked about.
        kept_step: Step of the weights that were written, where that is not the last.
        peak_memory_bytes: On the device that took most.
        tokens: Tokens that went through the network in this process's steps, over all devices.
        hardware: As `hardware` gives it.
        notes: What a person should know.
    """

    role: str
    config: Any
    records: Sequence[Record]
    steps: int
    elapsed_s: float
    train: DataCount
    first_step: int = 0
    val: DataCount | None = None
    kept_step: int | None = None
    peak_memory_bytes: int | None = None
    tokens: int | None = None
    hardware: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()


def summary_of(run: Run) -> dict[str, Any]:
    """A run as plain JSON values; what is no number is None.

    Keys: version, role, base, steps, resumed_from_step, kept_step, samples, elapsed_s, samples_per_s and tokens_per_s
    (these three of the steps since the resume), peak_memory_bytes, losses (name -> last value), metrics (name -> last,
    best, best_step), data (train, val), hardware, versions, config, notes. Keys may be added, none will be renamed.
    """
    here = (run.steps - run.first_step) * run.config.batch
    last_losses = {name: _last(values) for name, values in losses_by_name(run.records).items()}
    metrics = {}
    for name, values in metrics_by_name(run.records).items():
        best = best_of(name, values)
        metrics[name] = {"last": _last(values), "best": best and best[1], "best_step": best and best[0]}
    summary = {
        "version": VERSION,
        "role": run.role,
        "base": run.config.model,
        "steps": run.steps,
        "resumed_from_step": run.first_step or None,
        "kept_step": run.steps if run.kept_step is None else run.kept_step,
        "samples": run.steps * run.config.batch,
        "elapsed_s": run.elapsed_s,
        "samples_per_s": _per_s(here, run.elapsed_s),
        "tokens_per_s": _per_s(run.tokens, run.elapsed_s),
        "peak_memory_bytes": run.peak_memory_bytes,
        "losses": last_losses,
        "metrics": metrics,
        "data": {"train": _data(run.train), "val": None if run.val is None else _data(run.val)},
        "hardware": hardware() if run.hardware is None else run.hardware,
        "versions": versions(),
        "config": {one.name: _setting(getattr(run.config, one.name)) for one in fields(run.config)},
        "notes": list(run.notes),
    }
    plain: dict[str, Any] = _json(summary)
    return plain


def write_summary(path: Path, run: Run) -> dict[str, Any]:
    """Writes a run's summary whole or not at all, and returns it.

    Raises:
        CheckpointError: It cannot be written.
    """
    summary = summary_of(run)
    with new_file(path) as partial, partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(summary, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
    return summary


def hardware(processes: int = 1) -> dict[str, Any]:
    """What this machine computes with.

    Args:
        processes: How many processes the run had, one a device.
    """
    import torch

    found: dict[str, Any] = {
        "processes": processes,
        "platform": platform.platform(),
        "cpu_threads": os.cpu_count(),
        "device": "cpu",
    }
    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(torch.cuda.current_device())
        found |= {"device": about.name, "device_memory_bytes": about.total_memory}
    return found


def versions() -> dict[str, str]:
    """Versions of the packages that decide what is learned, those that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _data(count: DataCount) -> dict[str, Any]:
    return {
        "file": str(count.file),
        "examples": count.used + sum(count.skipped.values()),
        "used": count.used,
        "videos": count.videos,
        "skipped": dict(count.skipped),
        "broken_videos": len(count.broken),
        "broken": list(count.broken[:LISTED_BROKEN]),
    }


def _last(values: Mapping[int, float]) -> float:
    return values[max(values)]


def _per_s(count: int | None, elapsed_s: float) -> float | None:
    return None if count is None or elapsed_s <= 0 else count / elapsed_s


def _setting(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return "inf" if value == math.inf else value


def _json(value: object) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
