"""A finished run goes in; the adapter's folder comes out, with settings, losses, picture, summary and model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file

from adapters.export import write_adapter
from adapters.memory import peak_memory_bytes
from adapters.train.build import Workbench, load_trained_state, trained_state
from adapters.train.config import TrainConfig, to_yaml
from adapters.train.data import Data
from adapters.train.progress import say
from adapters.train.recipe import Recipe
from adapters.train.report import DataCount, Run, draw_curve, hardware, model_card, summary_of, write_summary
from adapters.train.trainer import BEST_FILE, PassTrainer, write_atomic
from adapters.train.validation import validate

CURVE, SUMMARY, SETTINGS = "loss.png", "summary.json", "training.yaml"
LOSSES, ASKED = "losses.jsonl", "validation.jsonl"
FINISHED = "finished.json"
"""In the run's own folder, once the adapter is written: what it was written with."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished training.

    Attributes:
        folder: The adapter.
        steps: Optimizer steps.
        metrics: The last validation's.
        summary: What is in its `summary.json`.
    """

    folder: Path
    steps: int
    metrics: Mapping[str, float]
    summary: Mapping[str, Any]


def finish(
    config: TrainConfig,
    recipe: Recipe,
    bench: Workbench,
    trainer: PassTrainer,
    data: Data,
    val: Data | None,
    work: Path,
    base: Path,
    first_step: int,
    elapsed_s: float,
    processes: Any,
) -> Outcome:
    """Validates what was trained, and writes it; every process must call it.

    Args:
        config: The settings.
        recipe: How the role learned.
        bench: What was trained.
        trainer: Has trained it.
        data: What it learned from.
        val: What it is asked about.
        work: The run's own folder.
        base: The base's folder.
        first_step: Where this process went on.
        elapsed_s: How long its steps took.
        processes: accelerate's state.

    Raises:
        CheckpointError: The adapter cannot be written.
    """
    device = bench.backbone.placement.device
    peak = peak_memory_bytes(device)
    kept_step = None
    best = work / BEST_FILE
    if config.select == "best" and best.is_file():
        load_trained_state(bench.network, load_file(best))
        with safe_open(best, framework="pt") as file:
            kept_step = int((file.metadata() or {}).get("step", trainer.state.global_step))
    records = [dict(record) for record in trainer.state.log_history]
    metrics: dict[str, float] = {}
    asked: list[dict[str, Any]] = []
    if val is not None:
        metrics, asked = validate(bench, recipe, val.items, processes)
        shown_step = trainer.state.global_step if kept_step is None else kept_step
        records = [r for r in records if not (r.get("step") == shown_step and any(k.startswith("eval_") for k in r))]
        records.append({"step": shown_step, **{f"eval_{name}": value for name, value in metrics.items()}})
    state = trained_state(bench.network)
    tokens = sum(gather(processes, trainer.tokens_seen))
    worn_out = {path: reason for found in gather(processes, trainer.broken) for path, reason in found.items()}
    folder = config.out / recipe.role
    run = Run(
        role=recipe.role,
        config=config,
        records=records,
        steps=trainer.state.global_step,
        first_step=first_step,
        elapsed_s=elapsed_s,
        train=_counted(config.data, data, worn_out),
        val=_counted(config.val, val, {}) if val is not None and config.val is not None else None,
        kept_step=kept_step,
        peak_memory_bytes=max((one for one in gather(processes, peak) if one is not None), default=None),
        tokens=tokens,
        hardware=hardware(processes.num_processes),
        notes=bench.notes,
    )
    summary = summary_of(run)
    if processes.is_main_process:
        note = draw_curve(records, work / CURVE, f"{recipe.role}: {config.data.name}")
        if note is not None:
            say(note)
            run = replace(run, notes=[*run.notes, note])
        summary = write_summary(work / SUMMARY, run)
        write_atomic(work / LOSSES, "".join(json.dumps(record) + "\n" for record in records))
        write_atomic(work / ASKED, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in asked))
        files: dict[str, bytes | str] = {
            name: (work / name).read_bytes() for name in (CURVE, SUMMARY, LOSSES, ASKED) if (work / name).is_file()
        }
        folder = write_adapter(
            config.out,
            bench.trained(state),
            base=base,
            base_name=config.model,
            layout=config.layout,
            prompts=bench.prompts,
            manner=recipe.manner,
            tokens_from=bench.tokens.folder,
            card=model_card(summary, str(config.out), CURVE if CURVE in files else None),
            files={**files, SETTINGS: to_yaml(config)},
        )
        write_atomic(work / FINISHED, json.dumps(_written_with(config)))
        told = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        say(f"wrote {folder}{f' ({told})' if told else ''}")
    processes.wait_for_everyone()
    return Outcome(folder, trainer.state.global_step, metrics, summary)


def finished_before(config: TrainConfig, role: str, work: Path) -> Outcome | None:
    """What an earlier run with the same settings and data has written, or None where something is left to do.

    Args:
        config: The settings; those that shape the weights are known to be the same.
        role: Whose adapter.
        work: The run's own folder.
    """
    folder = config.out / role
    needed = (work / FINISHED, folder / SUMMARY, folder / "adapter_model.safetensors", folder / "adapter_config.json")
    if not all(path.is_file() for path in needed):
        return None
    if json.loads((work / FINISHED).read_text(encoding="utf-8")) != _written_with(config):
        return None
    summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    metrics = {name: values["last"] for name, values in summary["metrics"].items()}
    return Outcome(folder, summary["steps"], metrics, summary)


def _written_with(config: TrainConfig) -> dict[str, str | None]:
    """Settings that shape what is written, beside those that shape the weights."""
    val = None if config.val is None else hashlib.sha256(config.val.read_bytes()).hexdigest()
    return {"layout": config.layout, "select": config.select, "val_sha256": val}


def gather(processes: Any, value: Any) -> list[Any]:
    """What every process has."""
    if processes.num_processes == 1:
        return [value]
    from accelerate.utils import gather_object

    gathered: list[Any] = gather_object([value])
    return gathered


def _counted(path: Path, data: Data, worn_out: Mapping[str, str]) -> DataCount:
    broken = [*(one.reason for one in data.broken), *worn_out.values()]
    return DataCount(file=path, used=len(data.items), videos=data.videos, skipped=data.skipped, broken=broken)
