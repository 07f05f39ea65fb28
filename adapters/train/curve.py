"""Log records of a training run go in, a PNG of its losses and validation metrics comes out."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.staging import new_file
from adapters.train.records import Record, losses_by_name, metrics_by_name
from adapters.train.text import plain
from roles.errors import CheckpointError

WIDTH_IN, PANEL_IN, DPI = 12.0, 4.4, 100
FEW_POINTS = 40
"""Up to so many points each is shown as a dot and nothing is smoothed."""
SMOOTH_SHARE = 0.02
LOG_FROM_RATIO = 20.0
INK, GRID = "#222222", "#dddddd"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31")
"""Okabe and Ito's, without yellow: told apart with any colour vision; dashes tell them apart without colours."""
DASHES: tuple[Any, ...] = ((5, 1.5), (2, 1.2), (6, 1.5, 1.5, 1.5), (9, 2), (1, 1), (4, 1, 1, 1, 1, 1), (3, 3))


def draw_curve(records: Iterable[Record], path: Path, title: str) -> str | None:
    """Draws losses over steps, a second panel for validation metrics where there are any, 1200 pixels wide.

    A run must not fail at its end for a picture, so that what goes wrong is said instead of raised.

    Args:
        records: transformers' `state.log_history`.
        path: The PNG; replaced whole or not at all.
        title: Its heading.

    Returns:
        None, or a note on why there is no picture.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return "no picture of the loss curve: matplotlib is missing; run: pip install 'mindreel[train]'"
    records = list(records)
    losses, metrics = losses_by_name(records), metrics_by_name(records)
    held_out = {name: metrics.pop(name) for name in list(metrics) if name in losses}
    panels = 2 if metrics else 1
    figure = Figure(figsize=(WIDTH_IN, PANEL_IN * panels + 0.3), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    figure.suptitle(_shortened(plain(title)), color=INK, fontsize=14, parse_math=False)
    _draw_losses(axes[0], losses, held_out)
    if metrics:
        _draw_metrics(axes[1], metrics)
    if losses or metrics:
        _same_steps(axes, [*losses.values(), *metrics.values(), *held_out.values()])
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks
        figure.savefig(picture, format="png")
    return _write(path, picture.getvalue())


def _draw_losses(
    axis: Any, losses: Mapping[str, Mapping[int, float]], held_out: Mapping[str, Mapping[int, float]]
) -> None:
    smoothed = {name: smooth(list(values.values())) for name, values in losses.items()}
    everything = [value for line in smoothed.values() for value in line]
    everything += [value for values in held_out.values() for value in values.values()]
    on_log_scale = needs_log_scale(everything)
    for number, (name, values) in enumerate(losses.items()):
        steps, raw = list(values), _drawable(values.values(), on_log_scale)
        style = _style(number - 1) if number else {"color": INK, "linewidth": 2.2}
        if len(steps) <= FEW_POINTS:
            axis.plot(steps, raw, label=name, marker="o", markersize=4, **style)
        else:
            axis.plot(steps, raw, color=style["color"], alpha=0.22, linewidth=0.7, zorder=1)
            axis.plot(steps, _drawable(smoothed[name], on_log_scale), label=name, **style)
        if name in held_out:
            seen = held_out[name]
            label = f"{name}, validation"
            axis.plot(
                list(seen), _drawable(seen.values(), on_log_scale), label=label, linestyle="none", marker="D",
                markersize=7, markerfacecolor="white", markeredgewidth=1.6, color=style["color"], zorder=4,
            )  # fmt: skip
    broken = [step for step, value in losses.get("loss", {}).items() if not math.isfinite(value)]
    if broken:
        label = f"loss is no number ({len(broken)})"
        below = axis.get_xaxis_transform()
        axis.plot(broken, [0.015] * len(broken), "x", color="#b00020", label=label, transform=below, markersize=7)
    if on_log_scale:
        axis.set_yscale("log")
        _plain_log_labels(axis)
    _finish(axis, "loss" + (", log scale" if on_log_scale else ""), bool(losses), "no losses were logged")


def _draw_metrics(axis: Any, metrics: Mapping[str, Mapping[int, float]]) -> None:
    values = [value for series in metrics.values() for value in series.values() if math.isfinite(value)]
    for number, (name, series) in enumerate(metrics.items()):
        marker = "o" if len(series) <= FEW_POINTS else None
        axis.plot(
            list(series), _drawable(series.values(), False), label=name, marker=marker, markersize=5, **_style(number)
        )
    if values and min(values) >= -1 and max(values) <= 1:
        axis.set_ylim(min(0.0, min(values)) - 0.03, 1.03)
    _finish(axis, "validation", True, "")


def _style(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "dashes": DASHES[number % len(DASHES)],
        "linewidth": 1.8,
    }


def _finish(axis: Any, label: str, filled: bool, otherwise: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_ylabel(label, fontsize=12, color=INK)
    axis.set_xlabel("step", fontsize=12, color=INK)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axis.tick_params(labelsize=11, colors=INK)
    axis.grid(True, color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    if filled:
        legend = axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=11, handlelength=4.5)
        for text in legend.get_texts():
            text.set_parse_math(False)
            text.set_text(_shortened(plain(text.get_text()), 28))
    else:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.text(0.5, 0.5, otherwise, transform=axis.transAxes, ha="center", va="center", fontsize=14, color=INK)


def _plain_log_labels(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=20))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _same_steps(axes: Iterable[Any], series: Sequence[Mapping[int, float]]) -> None:
    steps = [step for values in series for step in values]
    margin = max((max(steps) - min(steps)) * 0.02, 0.5)
    for axis in axes:
        axis.set_xlim(min(steps) - margin, max(steps) + margin)


def smooth(values: Sequence[float]) -> list[float]:
    """A running mean over a fiftieth of the run, around each step; values that are no numbers are passed over.

    Returns:
        As many values; NaN where there is no number near.
    """
    reach = max(1, round(len(values) * SMOOTH_SHARE / 2))
    sums, counts = [0.0], [0]
    for value in values:
        finite = math.isfinite(value)
        sums.append(sums[-1] + (value if finite else 0.0))
        counts.append(counts[-1] + finite)
    ends = [(max(0, at - reach), min(len(values), at + reach + 1)) for at in range(len(values))]
    return [
        (sums[end] - sums[start]) / (counts[end] - counts[start]) if counts[end] > counts[start] else math.nan
        for start, end in ends
    ]


def needs_log_scale(values: Iterable[float]) -> bool:
    """Whether the values lie so far apart that the small ones could not be seen beside the great ones."""
    finite = [value for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    return len(positive) >= 0.9 * len(finite) > 0 and max(positive) > LOG_FROM_RATIO * min(positive)


def _drawable(values: Iterable[float], on_log_scale: bool) -> list[float]:
    return [value if math.isfinite(value) and (value > 0 or not on_log_scale) else math.nan for value in values]


def _shortened(text: str, most: int = 100) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _write(path: Path, content: bytes) -> str | None:
    try:
        with new_file(path) as partial:
            partial.write_bytes(content)
    except CheckpointError as error:
        return f"no picture of the loss curve: {error}"
    return None
