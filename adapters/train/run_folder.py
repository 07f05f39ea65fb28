"""A run's own folder, `<out>/.train/<role>`: settings and data go in; where to go on, or why not, comes out."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from adapters.store import ADAPTER_FILE, AdapterFolder
from adapters.train.config import TrainConfig, read_config, same_training, to_yaml
from adapters.train.data import Data
from adapters.train.finish import FINISHED
from adapters.train.recipe import Recipe
from adapters.train.trainer import BEST_FILE, complete_checkpoints, remove_cut_off, write_atomic
from prompts import PromptBook
from roles.errors import InputError
from roles.manner import Manner

CONFIG_FILE = "config.yaml"
RUN_FILE = "run.json"
PASS_FILE = "pass.json"  # noqa: S105 - a forward pass


def prepare_folder(
    config: TrainConfig,
    recipe: Recipe,
    work: Path,
    data: Data,
    prompts: PromptBook,
    init: AdapterFolder | None,
    main: bool,
) -> Path | None:
    """Makes the run's folder, or checks that it is of the same run; returns the checkpoint to go on from.

    Raises:
        InputError: The folder holds checkpoints of a run with other settings, data, prompts, manner or another start.
    """
    wording = "\n".join(f"{key} {template.source}" for key, template in sorted(prompts.templates.items()))
    start = init.roles[recipe.role].folder / ADAPTER_FILE if init is not None and recipe.role in init.roles else None
    stated = {
        "role": recipe.role,
        "data": _sha256(config.data.read_bytes()),
        "samples": len(data.items),
        "prompts": _sha256(wording.encode()),
        "manner": None if recipe.manner == Manner() else recipe.manner.to_json(),
        "init": _sha256(start.read_bytes()) if start is not None else None,
    }
    if config.fresh and main:
        shutil.rmtree(work, ignore_errors=True)
    known = work / RUN_FILE
    begun = bool(complete_checkpoints(work)) or (work / FINISHED).is_file()
    if begun and known.is_file() and (work / CONFIG_FILE).is_file():
        earlier = read_config(work / CONFIG_FILE, type(config))
        differ = same_training(config, earlier)
        flags = ", ".join(f"--{name.replace('_', '-')} was {getattr(earlier, name)}" for name in differ)
        if differ:
            raise InputError(f"{work}: is of a run with other settings ({flags}); use those, another --out, or --fresh")
        before = json.loads(known.read_text(encoding="utf-8"))
        changed = [name for name, value in stated.items() if before.get(name) != value]
        if changed:
            what = "init adapter" if changed[0] == "init" else changed[0]
            raise InputError(f"{work}: the {what} has changed since that run began; use another --out, or --fresh")
    if main:
        work.mkdir(parents=True, exist_ok=True)
        remove_cut_off(work)
        if not begun:
            for left in (PASS_FILE, BEST_FILE):  # of an attempt that never came to a checkpoint
                (work / left).unlink(missing_ok=True)
        write_atomic(work / CONFIG_FILE, to_yaml(config))
        write_atomic(known, json.dumps(stated))
    complete = complete_checkpoints(work)
    return complete[-1] if complete else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
