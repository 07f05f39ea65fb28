"""The settings that all training scripts share: fields go in from flags and YAML, one checked object comes out.

A script's own settings are a subclass; a field that it gives another default keeps its explanation and its limits:

    @dataclass(frozen=True, slots=True, kw_only=True)
    class VerifierConfig(TrainConfig):
        learning_rate: float = 5e-5
        pairs: bool = field(default=True, metadata=about("balance Yes and No"))

    config = parse(VerifierConfig, argv, "python -m adapters.train.verifier", "Train the verifier.")
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from adapters.train.fields import about, flags_of
from adapters.train.parse import ConfigError, Rule, complain, parse, read_config, validate
from adapters.train.yaml_file import to_yaml

__all__ = [
    "ConfigError",
    "Rule",
    "Target",
    "TrainConfig",
    "about",
    "complain",
    "parse",
    "read_config",
    "same_training",
    "to_yaml",
    "validate",
]

Target = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""Layers of the language model that LoRA can adapt; the vision tower has none of these names and stays as it is."""

DATA, OPTIMISATION, ADAPTER = "data", "optimisation", "adapter"
SPEED, OUTPUT = "memory and speed", "output"
DEVICE = (r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N")
LAUNCHER = (r"[a-z][a-z0-9_]*", "a name in lower case, such as tensorboard")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What every role's training can be told; relative paths start at the current folder."""

    data: Path = field(metadata=about("examples to train on, JSON lines", DATA, metavar="FILE"))
    val: Path | None = field(
        default=None, metadata=about("examples to validate on", DATA, metavar="FILE", shapes_result=False)
    )
    max_query_words: int = field(default=200, metadata=about("leave out longer questions", DATA, at_least=1))
    min_duration_s: float = field(default=0.0, metadata=about("leave out shorter videos", DATA, at_least=0))
    max_duration_s: float = field(
        default=math.inf, metadata=about("leave out longer videos", DATA, above=0, infinite=True)
    )
    max_broken: float = field(
        default=0.02,
        metadata=about(
            "stop when a greater share of the videos is broken", DATA, at_least=0, at_most=1, shapes_result=False
        ),
    )

    epochs: float = field(default=1.0, metadata=about("times through the data", OPTIMISATION, above=0))
    max_steps: int | None = field(
        default=None,
        metadata=about("stop after this many optimizer steps, whatever epochs says", OPTIMISATION, at_least=1),
    )
    batch: int = field(
        default=32, metadata=about("samples per optimizer step over all devices", OPTIMISATION, at_least=1)
    )
    learning_rate: float = field(default=1e-4, metadata=about("the greatest one", OPTIMISATION, above=0, at_most=1))
    schedule: Literal["cosine", "linear", "constant"] = field(
        default="cosine", metadata=about("how the learning rate falls after the warm-up", OPTIMISATION)
    )
    warmup: float = field(
        default=0.03,
        metadata=about("share of the steps in which the learning rate rises", OPTIMISATION, at_least=0, below=1),
    )
    weight_decay: float = field(default=0.0, metadata=about("AdamW's weight decay", OPTIMISATION, at_least=0))
    betas: tuple[float, float] = field(
        default=(0.9, 0.999), metadata=about("AdamW's averaging", OPTIMISATION, at_least=0, below=1, metavar="B")
    )
    clip_norm: float = field(
        default=1.0, metadata=about("greatest norm of the gradient; 0 clips nothing", OPTIMISATION, at_least=0)
    )
    seed: int = field(
        default=42, metadata=about("of data order, dropout and new weights", OPTIMISATION, at_least=0, below=2**32)
    )

    model: str = field(metadata=about("base model, a folder or hub id", ADAPTER, metavar="BASE"))
    init: str | None = field(
        default=None, metadata=about("adapters folder or hub id to start from", ADAPTER, metavar="DIR")
    )
    prompts: Path | None = field(
        default=None,
        metadata=about("a prompts.json to ask with; none: that of init, else Mindreel's own", ADAPTER, metavar="FILE"),
    )
    lora_rank: int = field(default=64, metadata=about("LoRA's rank", ADAPTER, at_least=1))
    lora_alpha: float = field(default=64.0, metadata=about("LoRA's scale is this / rank", ADAPTER, above=0))
    lora_dropout: float = field(default=0.1, metadata=about("LoRA's dropout", ADAPTER, at_least=0, below=1))
    lora_targets: tuple[Target, ...] = field(
        default=("q_proj", "k_proj", "v_proj", "o_proj"),
        metadata=about("layers of the language model that get LoRA", ADAPTER, filled=True),
    )
    new_tokens: Literal["auto", "rows", "full", "none"] = field(
        default="auto",
        metadata=about("embeddings that are trained: the new tokens' rows, all of them, or none", ADAPTER),
    )

    device: str = field(
        default="auto",
        metadata=about(
            f"{DEVICE[1]}; accelerate launch sets its own", SPEED, pattern=DEVICE, metavar="D", shapes_result=False
        ),
    )
    dtype: Literal["auto", "bfloat16", "float32"] = field(
        default="auto", metadata=about("of the base; auto is bfloat16 on a GPU and float32 on a CPU", SPEED)
    )
    samples_per_pass: Literal["auto"] | int = field(
        default="auto",
        metadata=about(
            "samples in one forward pass, packed without padding; auto takes what fits without computing layers twice",
            SPEED,
            at_least=1,
            shapes_result=False,
        ),
    )
    questions_per_video: int = field(
        default=8, metadata=about("at most this many questions share one pass over their video", SPEED, at_least=1)
    )
    checkpointing: Literal["auto", "all", "none"] | int = field(
        default="auto",
        metadata=about(
            "layers that compute their activations twice to save memory", SPEED, at_least=0, shapes_result=False
        ),
    )
    compile: bool = field(
        default=False,
        metadata=about("fuse norms and feed-forward parts; some seconds at the start", SPEED, shapes_result=False),
    )
    features: Path | None = field(
        default=None, metadata=about("folder that keeps visual features", SPEED, metavar="DIR", shapes_result=False)
    )
    workers: int = field(
        default=4, metadata=about("processes that decode videos", SPEED, at_least=0, shapes_result=False)
    )

    out: Path = field(metadata=about("adapters folder to write to", OUTPUT, metavar="DIR", shapes_result=False))
    layout: Literal["peft", "videomind"] = field(
        default="peft", metadata=about("tensor names and files of the adapter", OUTPUT, shapes_result=False)
    )
    save_every: int = field(
        default=200, metadata=about("steps between checkpoints", OUTPUT, at_least=1, shapes_result=False)
    )
    keep: int = field(default=2, metadata=about("newest checkpoints to keep", OUTPUT, at_least=1, shapes_result=False))
    eval_every: int | None = field(
        default=None,
        metadata=about("steps between validations; none validates at the end", OUTPUT, at_least=1, shapes_result=False),
    )
    val_limit: int | None = field(
        default=None, metadata=about("validate on the first so many examples", OUTPUT, at_least=1, shapes_result=False)
    )
    select: Literal["last", "best"] = field(
        default="last",
        metadata=about("which weights are written: the last, or the best in validation", OUTPUT, shapes_result=False),
    )
    log_every: int = field(default=1, metadata=about("steps between logs", OUTPUT, at_least=1, shapes_result=False))
    report_to: tuple[str, ...] = field(
        default=("tensorboard",),
        metadata=about(
            "where logs go: tensorboard, wandb ...; none: nowhere", OUTPUT, pattern=LAUNCHER, shapes_result=False
        ),
    )
    fresh: bool = field(
        default=False, metadata=about("start anew although there are checkpoints", OUTPUT, shapes_result=False)
    )

    def rules(self) -> Iterator[Rule]:
        """Rules over several fields that this object breaks; a subclass's own `rules` are asked as well."""
        if self.min_duration_s >= self.max_duration_s:
            yield (
                ("min_duration_s", "max_duration_s"),
                f"min_duration_s {self.min_duration_s:g}: expected less than max_duration_s {self.max_duration_s:g}",
            )
        for name in ("eval_every", "val_limit"):
            if getattr(self, name) is not None and self.val is None:
                yield ((name, "val"), f"{name} {getattr(self, name)}: expected val as well, examples to validate on")
        if self.select == "best" and (self.val is None or self.eval_every is None):
            yield ("select", "val", "eval_every"), "select best: expected val and eval_every as well, to choose by"


def same_training(ours: TrainConfig, theirs: TrainConfig) -> list[str]:
    """Fields in which two runs differ so that they would give other weights; a run may only be resumed without any.

    Where a run writes, what it reports, how it is placed and how it computes the same numbers do not count. Texts and
    paths that name the same file are the same.

    Raises:
        TypeError: The two belong to different roles.
    """
    if type(ours) is not type(theirs):
        raise TypeError(f"settings of {type(ours).__name__} and {type(theirs).__name__} cannot be compared")
    counted = [flag.name for flag in flags_of(type(ours)) if flag.about.get("shapes_result", True)]
    return [name for name in counted if _located(getattr(ours, name)) != _located(getattr(theirs, name))]


def _located(value: object) -> object:
    return os.path.realpath(value) if isinstance(value, Path | str) else value
