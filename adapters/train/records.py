"""Log records of a training run (transformers' `state.log_history`) go in, losses and metrics by name come out.

A record with `loss` is a step: its other numbers are the loss's parts, but for those with a unit or a meaning of their
own. Keys that begin with `eval_` are validation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

Record = Mapping[str, Any]
Series = dict[str, dict[int, float]]
"""Name -> step -> value, steps ascending; a value may be NaN."""

NO_LOSS = re.compile(
    r"loss|step|epoch|round|learning_rate|grad_norm|total_flos|(train|eval)_.*"
    r"|.*(^|_)(seen|tokens|samples|steps|videos|broken|skipped|share|gib|bytes|mfu|s|ms|percent|runtime|per_second)"
)
NO_METRIC = re.compile(r"(model_preparation_time|jit_compilation_time|.*_per_second|.*_s|.*runtime|examples|samples)")
LOWER_IS_BETTER = re.compile(r"(.*_)?loss")


def loss_parts(record: Record) -> dict[str, float]:
    """The parts of a step's loss, in the order in which they were logged; none where the record is no step."""
    if "loss" not in record:
        return {}
    return {name: float(value) for name, value in record.items() if _is_number(value) and not NO_LOSS.fullmatch(name)}


def metrics(record: Record) -> dict[str, float]:
    """The validation metrics of a record, without the prefix."""
    found = {name.removeprefix("eval_"): value for name, value in record.items() if name.startswith("eval_")}
    return {name: float(value) for name, value in found.items() if _is_number(value) and not NO_METRIC.fullmatch(name)}


def losses_by_name(records: Iterable[Record]) -> Series:
    """`loss` first, then its parts; of a step that was logged twice, around a resume, the later log counts."""
    return _by_name(records, lambda record: {"loss": float(record["loss"]), **loss_parts(record)}, "loss")


def metrics_by_name(records: Iterable[Record]) -> Series:
    """Validation metrics."""
    return _by_name(records, metrics, None)


def best_of(name: str, values: Mapping[int, float]) -> tuple[int, float] | None:
    """(step, value) of a metric's first best; None where no value is finite."""
    finite = {step: value for step, value in values.items() if math.isfinite(value)}
    if not finite:
        return None
    sign = -1 if LOWER_IS_BETTER.fullmatch(name) else 1
    step = max(finite, key=lambda step: (sign * finite[step], -step))
    return step, finite[step]


def _by_name(records: Iterable[Record], numbers: Any, needs: str | None) -> Series:
    found: Series = {}
    for record in records:
        step = record.get("step")
        if not isinstance(step, int) or (needs is not None and not _is_number(record.get(needs))):
            continue
        for name, value in numbers(record).items():
            found.setdefault(name, {})[step] = value
    return {name: dict(sorted(values.items())) for name, values in found.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
