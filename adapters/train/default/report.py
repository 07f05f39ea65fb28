"""A training's log goes in, the curves (PNG) and the base's model card come out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.train.default.config import DefaultConfig
from adapters.train.default.tally import LOG_EVERY

CURVES_FILE, CARD_FILE = "training.png", "README.md"
_PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("what is so (order 0)", ("reality", "memory", "scene")),
    ("beliefs and knowledge", ("belief", "search", "belief_contents", "knowledge", "second_order")),
    ("reasons, wishes, honesty, names", ("why", "goal", "honesty", "ignorance", "names")),
    ("the verifier", ("verifier",)),
)
"""Types of questions whose right answers are drawn together."""
SMOOTH = 5
"""Lines of the log that one point of a curve averages."""


def draw_curves(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws losses and right answers over the steps.

    Args:
        lines: Of the log, by step.
        path: The picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(15, 8), layout="constrained")
    steps = [line["step"] for line in lines]
    axis = axes.flat[0]
    for name, label in (("answerer", "answer, nats"), ("class", "grounder, class"), ("coord", "grounder, ends"),
                        ("states2", "state heads")):  # fmt: skip
        axis.plot(steps, smoothed([line.get(name) for line in lines]), label=label)
    axis.set_yscale("log")
    axis.set_title("losses")
    axis.legend()
    for axis, (title, names) in zip(axes.flat[1:], _PANELS, strict=False):
        for name in names:
            axis.plot(steps, smoothed([line["right"].get(name) for line in lines]), label=name.replace("_", " "))
        axis.set(title=f"{title}: every word right, unseen films", ylim=(0, 1.01))
        axis.legend(loc="lower right")
    axis = axes.flat[5]
    axis.plot(steps, [line["tokens_per_s"] / 1e6 for line in lines])
    axis.set(title="million tokens a second", ylim=(0, None))
    for axis in axes.flat:
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def smoothed(values: Sequence[float | None]) -> list[float]:
    """Running means over what is there; NaN where nothing is."""
    out = []
    for at in range(len(values)):
        near = [value for value in values[max(0, at - SMOOTH + 1) : at + 1] if value is not None]
        out.append(sum(near) / len(near) if near else float("nan"))
    return out


def base_card(config: DefaultConfig, lines: Sequence[Mapping[str, Any]], parameters: int, spent_s: float) -> str:
    """The base's README.md, in Markdown."""
    last = lines[-1]
    tail = lines[-10:]
    tokens = sum(line["tokens_per_s"] * line["step_s"] for line in lines) * LOG_EVERY
    right = {
        name: smoothed([line["right"].get(name) for line in tail])[-1]
        for name in sorted({name for line in tail for name in line["right"]} - {"planner", "transcript", "grounder"})
    }
    shape = config.shape
    table = "\n".join(f"| {name.replace('_', ' ')} | {100 * value:.1f} |" for name, value in right.items())
    stages = "\n".join(
        f"| {stage.share:.0%} | {', '.join(f'{a:g}-{b:g} s ({w:g})' for a, b, w in stage.lengths)} | "
        f"{', '.join(f'{name} {weight:g}' for name, weight in stage.views.items())} |"
        for stage in config.stages
    )
    return f"""---
library_name: transformers
tags:
- mindreel
- qwen2_vl
- theory-of-mind
- video
license: apache-2.0
---
# Mindreel default base

A Qwen2-VL model of {parameters / 1e6:.1f} million parameters, trained from random weights on films of Mindreel's
generated world and on nothing else. It is the base of the planner, grounder, verifier and answerer beside it.

It knows small cartoon films in which people put things into containers, come and go, look on and tell each other where
things are. It knows no real film, and no words but those of such questions.

## Shape

Hidden {shape.hidden}, {shape.layers} layers, {shape.heads} heads, {shape.kv_heads} key-value heads, intermediate
{shape.intermediate}, vocabulary {shape.vocabulary} (byte-level BPE), tied embeddings, m-RoPE sections
{list(shape.mrope_section)}, base {shape.rope_theta:g}; vision width {shape.vision_width}, depth {shape.vision_depth}.

## Training

{last["step"]:,} steps of {config.packs_per_step} packs of {config.pack_tokens:,} tokens, {tokens / 1e9:.1f} billion
tokens, {spent_s / 60:.0f} minutes. AdamW, learning rate {config.learning_rate:g}, betas {list(config.betas)};
Muon for the matrices, {config.matrix_rate:g} times that rate; weight decay {config.weight_decay:g}.
Films of training seeds 0 to 8,999,999 and training wordings only.

| share of the steps | films (how often) | views |
|---|---|---|
{stages}

![Losses and right answers over the steps]({CURVES_FILE})

Right answers, every word of them, on films seen for the first time, last {len(tail)} log lines, in %. A name or a
reason among several that say the same counts as wrong here; chosen among options it is another matter:

| type | % |
|---|---|
{table}

What it can do on test films, unseen wordings and unseen looks is in Mindreel's README.
"""


def write_report(config: DefaultConfig, lines: Sequence[Mapping[str, Any]], base: Path, spent_s: float) -> None:
    """Writes curves and card beside the base's weights."""
    from adapters.store import read_base_shapes

    parameters = 0
    for shape in read_base_shapes(base).values():
        count = 1
        for side in shape:
            count *= side
        parameters += count
    draw_curves(lines, base / CURVES_FILE)
    (base / CARD_FILE).write_text(base_card(config, lines, parameters, spent_s), encoding="utf-8")
    (base / "training.json").write_text(json.dumps(config.to_json(), indent=1) + "\n", encoding="utf-8")
