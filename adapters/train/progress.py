"""A training run's events go in, its progress comes out on stderr: steps, loss parts, samples per second, time left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback

from adapters.train.records import loss_parts, metrics
from adapters.train.screen import Bar, Screen, current_screen, say, track

__all__ = ["RichProgress", "Screen", "say", "track"]

LINE_EVERY_STEPS = 50


class RichProgress(TrainerCallback):  # type: ignore[misc]
    """Shows a training run on the screen that is in use, in the main process alone.

    Steps that were done before a resume count as done, not for the speed; neither does the time of validations and
    checkpoints. Put `with Screen():` around the training, so that an interrupt leaves the terminal clean, and take
    transformers' own callbacks for progress out.

    Args:
        samples_per_step: Samples of one optimizer step, over all devices; None counts steps.
        epochs: Times through the data in all, where that is known.
    """

    def __init__(self, samples_per_step: float | None = None, epochs: float | None = None) -> None:
        self._samples_per_step, self._epochs = samples_per_step, epochs
        self._own: Screen | None = None
        self._bar: Bar | None = None
        self._stepped_s = 0.0
        self._warned = False

    @property
    def samples_per_s(self) -> float | None:
        """Over the last steps; None before the first, or where nobody knows how many samples a step has."""
        per_s = self._bar.pace.per_s if self._bar is not None else None
        return None if per_s is None or self._samples_per_step is None else per_s * self._samples_per_step

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Opens the bar at the step from which the run goes on."""
        self._close()
        if not state.is_world_process_zero:
            return
        screen = current_screen()
        if screen is None:
            screen = self._own = Screen(enabled=True)
        self._bar = screen.bar(
            "training",
            state.max_steps,
            done=state.global_step,
            unit="steps" if self._samples_per_step is None else "samples",
            per_item=self._samples_per_step or 1.0,
            every=LINE_EVERY_STEPS,
        )
        self._stepped_s = screen.clock()

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Counts a step."""
        if self._bar is not None:
            self._bar.reach(state.global_step)
            self._stepped_s = self._bar.screen.clock()

    def on_log(
        self, _args: Any, state: Any, _control: Any, logs: Mapping[str, Any] | None = None, **_more: Any
    ) -> None:
        """Shows the losses."""
        if self._bar is None or not logs or "loss" not in logs:
            return
        self._bar.tell(loss_text(logs, self._epochs))
        if not self._warned and not math.isfinite(logs["loss"]):
            self._warned = True
            self._bar.screen.say(f"the loss is {logs['loss']} at step {state.global_step}")

    def on_evaluate(
        self, _args: Any, state: Any, _control: Any, metrics: Mapping[str, Any] | None = None, **_more: Any
    ) -> None:
        """Shows the metrics in a line that stays."""
        if self._bar is not None:
            self._bar.screen.say(f"validation at step {state.global_step}: {metric_text(metrics or {})}")
            self._leave_out()

    def on_save(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Leaves the time of saving out of the speed."""
        if self._bar is not None:
            self._leave_out()

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Takes the bar away."""
        self._close()

    def _leave_out(self) -> None:
        # Validating and saving come right after a step: all the time since it was theirs.
        if self._bar is not None:
            now_s = self._bar.screen.clock()
            self._bar.pace.leave_out(now_s - self._stepped_s)
            self._stepped_s = now_s

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._own is not None:
            self._own.close()
        self._bar = self._own = None


def loss_text(logs: Mapping[str, Any], epochs: float | None = None) -> str:
    """A step's log as a person reads it: loss and parts, learning rate, round over the data."""
    parts = ", ".join(f"{name} {value:.4g}" for name, value in loss_parts(logs).items())
    shown = [f"loss {logs['loss']:.4g}{f' ({parts})' if parts else ''}"]
    if "learning_rate" in logs:
        shown.append(f"lr {logs['learning_rate']:.2e}")
    # The loop packs several samples into a pass and counts its rounds itself; transformers' epoch counts passes.
    epoch = logs.get("round", logs.get("epoch"))
    if epoch is not None:
        shown.append(f"epoch {epoch:.2f}" + (f" of {epochs:g}" if epochs is not None else ""))
    return ", ".join(shown)


def metric_text(record: Mapping[str, Any]) -> str:
    """Validation metrics as a person reads them."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics(record).items()) or "no metrics"
