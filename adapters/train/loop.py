"""The loop that every role shares: settings and a recipe go in, a trained adapter in its folder comes out.

    survey the videos -> build the network -> measure and plan -> (keep visual features) -> train -> validate -> write

It runs in one process, or in several under `accelerate launch`. All that it needs to go on after a kill lies in
`<out>/.train/<role>`.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from adapters.export import check_place
from adapters.loading import Placement, choose_placement, quiet_transformers
from adapters.memory import reset_peak_memory
from adapters.store import AdapterFolder, manner_of, read_adapter_folder, resolve
from adapters.tokenizer_files import tokens_with_new
from adapters.tokens import Tokens
from adapters.train.build import LoraShape, Workbench, build
from adapters.train.config import TrainConfig
from adapters.train.data import WORK_FOLDER, Data, load_data, untracked, without_broken
from adapters.train.dataset import PassDataset
from adapters.train.features import FeatureStore, fill_store, tower_id
from adapters.train.finish import Outcome, finish, finished_before, gather
from adapters.train.network import layer_bytes
from adapters.train.packing import ClipKey, sample_length, token_side_px
from adapters.train.plan import Measured, mean_tokens, plan_steps, steps_of
from adapters.train.progress import RichProgress, Screen, say, track
from adapters.train.recipe import Recipe, RoleSamples
from adapters.train.run_folder import PASS_FILE, prepare_folder
from adapters.train.trainer import (
    Checkpoints,
    PassTrainer,
    write_atomic,
)
from adapters.train.validation import validate
from prompts import PromptBook, PromptError, own_prompts, read_prompt_file
from roles.errors import InputError, MindreelError

TENSORBOARD_FOLDER = "tensorboard"
AUTO_SAMPLES = 8
"""At most this many samples share a pass where nobody says how many: from there on a GPU is busy anyway."""
SPARE_BYTES = 4 << 30
"""Left free of activations: logits, the optimizer's temporaries, fragments."""


class StoppedError(MindreelError):
    """Stopped in good order by a signal; the same command goes on."""

    exit_code = 130


def train(config: TrainConfig, recipe: Recipe, variants: int = 1) -> Outcome:
    """Trains a role; a run that was cut off goes on.

    Args:
        config: The settings.
        recipe: How the role learns.
        variants: How many different draws there are of a sample.

    Raises:
        InputError: Settings, data or weights that cannot be used.
        StoppedError: A signal stopped it.
    """
    with Screen():
        return _train(config, recipe, variants)


def _train(config: TrainConfig, recipe: Recipe, variants: int) -> Outcome:
    from accelerate import PartialState

    processes = PartialState(cpu=config.device == "cpu" or not torch.cuda.is_available())
    work = config.out / WORK_FOLDER / recipe.role
    if config.batch < processes.num_processes:
        least = processes.num_processes
        raise InputError(f"batch {config.batch}: expected at least one sample for each of {least} processes")
    placement = _placement(config, processes)
    base = resolve(config.model, "base model")
    init = read_adapter_folder(config.init, own_wording=True) if config.init is not None else None
    prompts = _prompts(config, init)
    recipe = recipe.asked_as(manner_of(init, base))

    with processes.main_process_first():
        data = load_data(config.data, config, recipe, prompts, processes.is_main_process)
        val = load_data(config.val, config, recipe, prompts, processes.is_main_process) if config.val else None
    with processes.main_process_first():
        resume = prepare_folder(config, recipe, work, data, prompts, init, processes.is_main_process)
        tokens = _tokens(base, init, work, recipe)
    finished = finished_before(config, recipe.role, work)
    processes.wait_for_everyone()
    if finished is not None:
        if processes.is_main_process:
            say(f"{finished.folder} is trained already with these settings; --fresh trains it anew")
        return finished
    check_place(
        config.out,
        recipe.role,
        base=base,
        base_name=config.model,
        layout=config.layout,
        prompts=prompts,
        tokens_from=tokens.folder,
    )
    if resume is not None and processes.is_main_process:
        say(f"going on from {resume.name}")

    bench = build(
        recipe.role,
        base,
        tokens,
        prompts,
        placement,
        LoraShape(config.lora_rank, config.lora_alpha, config.lora_dropout, config.lora_targets),
        config.new_tokens if recipe.learns_tokens else "none",
        recipe.with_head,
        init,
        config.seed,
        recipe.manner,
    )
    if bench.network.head is not None:
        bench.network.head.drop_path = getattr(recipe, "drop_path", 0.0)
    if init is not None and config.prompts is None and prompts is own_prompts():
        bench.notes.append(f"{init.folder} brings no prompts: it is trained on in Mindreel's wording")
    for note in bench.notes:
        if processes.is_main_process:
            say(f"note: {note}")

    samples = RoleSamples(data.items, recipe, prompts, config.seed, variants)
    store = None
    if config.features is not None:
        store, broken = _keep_features(config, bench, samples, processes)
        data = without_broken(data, broken, config)
        samples = RoleSamples(data.items, recipe, prompts, config.seed, variants)
        if val is None:
            bench.network.base.model.visual = None  # never needed again: every clip's visual tokens are on the disk
    token_px = token_side_px(bench.network.base.config.vision_config)
    steps = steps_of(len(samples), config.batch, config.epochs, config.max_steps)
    measured = _measure(samples, tokens, token_px, processes.is_main_process)
    bench.network.checkpointed_layers, bench.network.activation_bytes = _checkpointing(config, bench, placement)
    passes = passes_of(
        config.batch, _samples_per_pass(config, bench, measured, work, processes), processes.num_processes
    )
    planned = plan_steps(measured, config.batch, passes, config.questions_per_video, steps, config.seed)

    if config.compile:
        bench.network.compile_parts()

    aligned = recipe.manner.marks == "aligned"
    dataset = PassDataset([one for step in planned for one in step], samples, tokens, token_px, store, aligned)
    trainer = _trainer(config, recipe, bench, dataset, data, val, work, steps, passes, processes)
    reset_peak_memory(placement.device)
    started_s = time.perf_counter()
    first_step = int(resume.name.rsplit("-", 1)[1]) if resume is not None else 0
    checkpoints = next(one for one in trainer.callback_handler.callbacks if isinstance(one, Checkpoints))
    try:
        with quiet_transformers():
            trainer.train(resume_from_checkpoint=str(resume) if resume is not None else None)
    finally:
        checkpoints.listen_no_more()
    if trainer.state.global_step < steps:
        name = signal.Signals(checkpoints.stopped_by or signal.SIGINT).name
        done = f"{trainer.state.global_step} of {steps}"
        raise StoppedError(f"stopped by {name} after step {done}; the same command goes on from there")
    seconds = time.perf_counter() - started_s
    return finish(config, recipe, bench, trainer, data, val, work, base, first_step, seconds, processes)


def passes_of(batch: int, samples_per_pass: int, processes: int) -> int:
    """Forward passes of one step, over all processes, which each get as many."""
    passes = max(1, math.ceil(batch / samples_per_pass))
    return min(math.ceil(passes / processes) * processes, batch // processes * processes)


# Parts of `train`, in its order


def _placement(config: TrainConfig, processes: Any) -> Placement:
    device = config.device if config.device != "auto" else str(processes.device)
    if processes.num_processes > 1:
        device = str(processes.device)
    # Packs bring an attention of their own; anything else, as in validation, goes through sdpa.
    dtype = config.dtype if config.dtype != "auto" else "bfloat16" if device.startswith("cuda") else "float32"
    return choose_placement(device, dtype, "sdpa")


def _prompts(config: TrainConfig, init: AdapterFolder | None) -> PromptBook:
    if config.prompts is not None:
        try:
            return read_prompt_file(config.prompts)
        except PromptError as error:
            raise InputError(str(error)) from error
    return init.prompts if init is not None else own_prompts()


def _tokens(base: Path, init: AdapterFolder | None, work: Path, recipe: Recipe) -> Tokens:
    """The tokenizer: of the adapters to start from, else of the base, with the added tokens."""
    if init is not None and (init.folder / "tokenizer.json").is_file():
        return Tokens(init.folder)
    tokens = Tokens(base)
    if tokens.has_new_tokens:
        return tokens
    folder = work.parent / "tokenizer"
    if not (folder / "tokenizer.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        tokens_with_new(base, folder)
    return Tokens(folder)


def _measure(samples: RoleSamples, tokens: Tokens, token_px: int, main: bool) -> list[Measured]:
    follow = track if main and len(samples) > 5000 else untracked
    measured = []
    for number in follow(range(len(samples)), "measuring", len(samples)):
        sample = samples.sample(number, 0)
        key = ClipKey.of(sample.request.clip)
        shared, own = sample_length(tokens, sample, key, token_px)
        measured.append(Measured(key, shared, own))
    return measured


def _keep_features(
    config: TrainConfig, bench: Workbench, samples: RoleSamples, processes: Any
) -> tuple[FeatureStore, dict[str, str]]:
    """Encodes every clip that the run will need.

    Returns:
        (the clips' visual tokens, video -> reason of those that cannot be decoded).
    """
    assert config.features is not None  # noqa: S101 - the caller looked
    tower = bench.network.base.model.visual
    pixels = bench.network.pixels
    store = FeatureStore(config.features, tower_id(tower, pixels))
    steps = steps_of(len(samples), config.batch, config.epochs, config.max_steps)
    # One round more than needed: samples that turn out broken are taken out, and the data then goes round sooner.
    rounds = min(samples.variants, math.ceil(steps * config.batch / len(samples)) + 1)
    keys = [
        ClipKey.of(samples.sample(number, epoch).request.clip).frames
        for epoch in range(rounds)
        for number in range(len(samples))
    ]
    mine = list(dict.fromkeys(keys))[processes.process_index :: processes.num_processes]
    follow = track if processes.is_main_process else untracked
    found = fill_store(store, mine, tower, pixels, config.workers, follow)
    processes.wait_for_everyone()
    reasons = gather(processes, {key.path: reason for key, reason in found.items()})
    return store, {path: reason for some in reasons for path, reason in some.items()}


def _checkpointing(config: TrainConfig, bench: Workbench, placement: Placement) -> tuple[int | None, int]:
    """(layers that compute their activations twice, memory for activations where that is decided pass by pass)."""
    layers = len(bench.network.base.model.language_model.layers)
    if config.checkpointing != "auto":
        count = {"all": layers, "none": 0}.get(str(config.checkpointing))
        return (int(config.checkpointing) if count is None else min(count, layers)), 0
    if placement.device.type != "cuda":
        return 0, 0
    learned = sum(p.numel() for p in bench.network.parameters() if p.requires_grad)
    free, _ = torch.cuda.mem_get_info(placement.device)
    # Gradients and two moments, in float32, are yet to come.
    return None, max(0, free - 12 * learned - SPARE_BYTES)


def _samples_per_pass(
    config: TrainConfig, bench: Workbench, measured: Sequence[Measured], work: Path, processes: Any
) -> int:
    """How many samples go into a pass; the choice is kept, so that a run goes on as it began, also on another GPU."""
    if config.samples_per_pass != "auto":  # noqa: S105
        return config.samples_per_pass
    kept = work / PASS_FILE
    if not kept.is_file():
        fitting = float(AUTO_SAMPLES)
        if bench.network.activation_bytes:
            text = bench.network.base.config.get_text_config()
            per_token = layer_bytes(text, bench.backbone.placement.dtype) * text.num_hidden_layers
            fitting = bench.network.activation_bytes / per_token / mean_tokens(measured, config.questions_per_video)
        chosen = max(1, min(AUTO_SAMPLES, int(fitting)))
        lowest = min(gather(processes, chosen))
        if processes.is_main_process:
            write_atomic(kept, json.dumps({"samples_per_pass": lowest}))
        processes.wait_for_everyone()
    return int(json.loads(kept.read_text(encoding="utf-8"))["samples_per_pass"])


def _trainer(
    config: TrainConfig,
    recipe: Recipe,
    bench: Workbench,
    dataset: PassDataset,
    data: Data,
    val: Data | None,
    work: Path,
    steps: int,
    passes: int,
    processes: Any,
) -> PassTrainer:
    from transformers import ProgressCallback, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    device = bench.backbone.placement.device
    with quiet_transformers():
        args = TrainingArguments(
            output_dir=str(work),
            max_steps=steps,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=passes // processes.num_processes,
            learning_rate=config.learning_rate,
            lr_scheduler_type={"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
            warmup_steps=round(config.warmup * steps),
            weight_decay=config.weight_decay,
            adam_beta1=config.betas[0],
            adam_beta2=config.betas[1],
            max_grad_norm=config.clip_norm,
            optim="adamw_torch_fused" if device.type == "cuda" else "adamw_torch",
            use_cpu=device.type == "cpu",
            seed=config.seed,
            data_seed=config.seed,
            dataloader_num_workers=min(config.workers, len(dataset)),
            dataloader_pin_memory=device.type == "cuda",
            remove_unused_columns=False,
            logging_strategy="steps",
            logging_steps=config.log_every,
            logging_first_step=True,
            logging_nan_inf_filter=False,
            save_strategy="steps",
            save_steps=config.save_every,
            save_total_limit=None,
            eval_strategy="steps" if val is not None and config.eval_every else "no",
            eval_steps=config.eval_every,
            report_to=list(config.report_to) or "none",
            disable_tqdm=True,
            ddp_find_unused_parameters=False,
        )
    limited = val.items[: config.val_limit] if val is not None else []

    def any_of(flag: bool) -> bool:
        if processes.num_processes == 1:
            return flag
        told = torch.tensor([float(flag)], device=device)
        torch.distributed.all_reduce(told)
        return bool(told.item() > 0)

    checkpoints = Checkpoints(config.keep, processes.wait_for_everyone, any_of)
    trainer = PassTrainer(
        bench,
        dataset,
        samples=len(data.items),
        batch=config.batch,
        videos=data.videos,
        max_broken=config.max_broken,
        validate=(lambda: validate(bench, recipe, limited, processes)[0]) if val is not None else None,
        args=args,
        callbacks=[checkpoints, RichProgress(config.batch, steps * config.batch / len(data.items))],
        best=recipe.best,
    )
    for unwanted in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(unwanted)
    for callback in trainer.callback_handler.callbacks:
        # transformers would make a folder named after the host and the hour for every start.
        if type(callback).__name__ == "TensorBoardCallback" and callback.logging_dir is None:
            callback.logging_dir = str(work / TENSORBOARD_FOLDER)
    return trainer
