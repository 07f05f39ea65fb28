"""transformers' Trainer, taught packed passes: batching, losses by part, checkpoints of what learns, validation.

Everything else is its own: gradient accumulation, clipping, schedules, mixed precision, DDP, FSDP, DeepSpeed, RNG
states, logging.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from adapters.staging import new_file
from adapters.train.build import Workbench, load_trained_state, trained_state
from adapters.train.dataset import PassDataset
from adapters.train.packing import Pass
from roles.errors import CheckpointError, DataError

WEIGHTS_FILE = "trained.safetensors"
COMPLETE_FILE = "complete.json"
"""Written last: a checkpoint without it was cut off and does not count."""
BEST_FILE = "best.safetensors"
TORCH_WRITER = ("PytorchStreamWriter", "inline_container", "iostream error")
"""Some of these stand in what `torch.save` says when it cannot write."""

Validate = Callable[[], Mapping[str, float]]


class PassTrainer(Trainer):  # type: ignore[misc]
    """Trains one role.

    Args:
        bench: What is trained.
        dataset: All passes of the run, in order.
        samples: Samples in one round over the data.
        batch: Samples of one step.
        videos: How many different videos there are.
        max_broken: Share of them that may turn out broken.
        validate: Asks the validation examples; None where there are none.
        args: transformers' settings.
        callbacks: transformers' callbacks.
        best: The metric whose greatest value marks the best weights.
    """

    def __init__(
        self,
        bench: Workbench,
        dataset: PassDataset,
        samples: int,
        batch: int,
        videos: int,
        max_broken: float,
        validate: Validate | None,
        args: TrainingArguments,
        callbacks: Sequence[TrainerCallback],
        best: str = "",
    ) -> None:
        self.bench = bench
        self.broken: dict[str, str] = {}
        self.tokens_seen = 0
        self._passes = dataset
        self._samples, self._batch = samples, batch
        self._videos, self._max_broken = videos, max_broken
        self._validate = validate
        self._best_name = best
        self._best = -math.inf
        self._sums: dict[str, Tensor] = {}
        self._logged_step = 0
        super().__init__(
            model=bench.network,
            args=args,
            train_dataset=dataset,
            eval_dataset=[] if validate is not None else None,
            callbacks=list(callbacks),
        )

    # Batches and losses

    def get_train_dataloader(self) -> DataLoader[Any]:
        """All passes of the run in order; accelerate deals them out to the devices."""
        workers = self.args.dataloader_num_workers
        loader: DataLoader[Any] = DataLoader(
            self._passes,  # type: ignore[arg-type]
            batch_size=1,
            shuffle=False,
            collate_fn=_only,
            num_workers=workers,
            pin_memory=self.args.device.type == "cuda",
            prefetch_factor=4 if workers else None,
            multiprocessing_context="fork" if workers else None,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of one pass; its parts are kept for the log."""
        batch: Pass = inputs["batch"]
        self._note_broken(batch)
        self.tokens_seen += int(batch.ids.shape[0])
        losses = model(batch)
        for name, part in losses.parts.items():
            # What a step's mean takes from this pass, as in `total`.
            share = part.sum() * batch.weight / self.current_gradient_accumulation_steps
            self._sums[name] = self._sums.get(name, 0.0) + share
        return (losses.total, losses) if return_outputs else losses.total

    def _note_broken(self, batch: Pass) -> None:
        for path, reason in batch.broken:
            if path not in self.broken:
                self.broken[path] = reason
                print_line(f"broken video, replaced: {reason}")
        if len(self.broken) > self._max_broken * self._videos:
            raise DataError(
                f"{len(self.broken)} of {self._videos} videos cannot be decoded, more than --max-broken "
                f"{self._max_broken:g} allows; mend or remove them (they are listed above) and run the command again"
            )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the loss parts, and the round over the data, to what is logged."""
        if "loss" in logs:
            steps = max(self.state.global_step - self._logged_step, 1)
            self._logged_step = self.state.global_step
            names = sorted(self._sums)
            sums = torch.stack([self._sums[name] for name in names]).to(self.args.device)
            means = self.accelerator.reduce(sums / steps, reduction="mean").tolist()
            logs |= dict(zip(names, means, strict=True))
            logs["round"] = self.state.global_step * self._batch / self._samples
            self._sums = {}
        super().log(logs, start_time)

    # Validation

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Asks the validation examples as the agent would, and keeps the best weights."""
        if self._validate is None:
            return {}
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self._validate().items()}
        self.log(dict(metrics))
        value = metrics.get(f"{metric_key_prefix}_{self._best_name}", math.nan)
        if value > self._best:
            self._best = value
            self.keep_best()
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def keep_best(self) -> None:
        """Writes the present weights as the best so far."""
        state = trained_state(self.bench.network)
        if self.args.should_save:
            folder = Path(self.args.output_dir)
            save_atomic(state, folder / BEST_FILE, {"step": str(self.state.global_step), "value": repr(self._best)})

    # Checkpoints

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes what learns, and nothing of the frozen base."""
        state = trained_state(self.bench.network)
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            save_atomic(state, folder / WEIGHTS_FILE)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Writes a checkpoint.

        Raises:
            CheckpointError: The disk is full, or may not be written to; earlier checkpoints are still there.
        """
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, CheckpointError) as error:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in TORCH_WRITER):
                raise  # a failure of another kind
            shutil.rmtree(folder, ignore_errors=True)  # the room is needed
            if isinstance(error, CheckpointError):
                raise CheckpointError(f"{error}; earlier checkpoints are untouched") from error
            # torch's own writer does not pass on what the system said.
            reason = error.strerror if isinstance(error, OSError) else "is the disk full?"
            raise CheckpointError(
                f"{folder}: cannot be written ({reason}); earlier checkpoints are untouched, "
                "make room and run the same command, which goes on from the last"
            ) from error

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        from safetensors.torch import load_file

        load_trained_state(self.bench.network, load_file(Path(resume_from_checkpoint) / WEIGHTS_FILE))
        self._logged_step = int(Path(resume_from_checkpoint).name.rsplit("-", 1)[1])
        best = Path(self.args.output_dir) / BEST_FILE
        if best.is_file():
            from safetensors import safe_open

            with safe_open(best, framework="pt") as file:
                self._best = float((file.metadata() or {}).get("value", "-inf"))


class Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Marks complete checkpoints, removes old and cut-off ones, and stops in good order when asked to.

    Args:
        keep: How many complete checkpoints stay.
        wait: Waits for all processes.
        any_of: Whether a flag is set in any process.
    """

    def __init__(self, keep: int, wait: Callable[[], None], any_of: Callable[[bool], bool]) -> None:
        self.stopped_by: int | None = None
        self._main = False
        self._process = os.getpid()
        self._keep = keep
        self._wait = wait
        self._any_of = any_of
        self._before: dict[int, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kwargs: Any
    ) -> None:
        """Listens for Ctrl-C and for a cluster's notice."""
        self._main, self._process = state.is_world_process_zero, os.getpid()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kwargs: Any
    ) -> None:
        """Stops listening."""
        self.listen_no_more()

    def listen_no_more(self) -> None:
        """Gives signals back to whoever had them."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a worker that decodes videos, which Ctrl-C reaches as well; it ends with the run
        if self.stopped_by is not None:
            self.listen_no_more()
            raise KeyboardInterrupt  # asked twice: at once
        self.stopped_by = number
        if self._main:
            print_line("stopping after this step; the run can be resumed (once more stops at once)")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kwargs: Any
    ) -> TrainerControl:
        """Saves and stops where that was asked for."""
        if self._any_of(self.stopped_by is not None):
            control.should_save = control.should_training_stop = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kwargs: Any) -> None:
        """Marks the checkpoint, then removes those that are no longer needed."""
        self._wait()
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir)
        newest = folder / f"checkpoint-{state.global_step}"
        sync_folder(newest)
        write_atomic(newest / COMPLETE_FILE, json.dumps({"step": state.global_step}))
        complete = complete_checkpoints(folder)
        for old in complete[: -self._keep]:
            remove_checkpoint(old)


def complete_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints that were written to their end, oldest first."""
    found = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE_FILE}")]
    return sorted(found, key=lambda path: int(path.name.rsplit("-", 1)[1]))


def remove_cut_off(folder: Path) -> None:
    """Removes checkpoints that were never finished."""
    for path in folder.glob("checkpoint-*"):
        if not (path / COMPLETE_FILE).is_file():
            shutil.rmtree(path, ignore_errors=True)


def remove_checkpoint(path: Path) -> None:
    """Removes a checkpoint, its mark first: what is left of an interrupted removal does not count."""
    (path / COMPLETE_FILE).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def save_atomic(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors whole or not at all.

    Raises:
        CheckpointError: The disk is full, or may not be written to; what was there before is still there.
    """
    from safetensors.torch import save_file

    with new_file(path) as partial:
        save_file(dict(tensors), partial, metadata={"format": "pt", **(metadata or {})})


def write_atomic(path: Path, text: str) -> None:
    """Writes text whole or not at all.

    Raises:
        CheckpointError: As `save_atomic`.
    """
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sync_folder(folder: Path) -> None:
    """Makes sure that a folder's files are on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def print_line(text: str) -> None:
    """One line on stderr that a progress bar does not tear."""
    from adapters.train.progress import say

    say(text)


def _only(batch: list[Pass]) -> dict[str, Pass]:
    return {"batch": batch[0]}
