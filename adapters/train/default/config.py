"""Settings of the default model's training: sizes, data, curriculum and optimisation, checked, from one YAML file.

`default.yaml` beside this module holds what the shipped model was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from adapters.train.default.contract import Stage
from adapters.train.yaml_file import read_mapping
from roles.errors import InputError

DEFAULT_FILE = Path(__file__).with_name("default.yaml")


@dataclass(frozen=True, slots=True)
class Shape:
    """The base's size, in Qwen2-VL's terms."""

    hidden: int = 384
    layers: int = 8
    heads: int = 6
    kv_heads: int = 2
    intermediate: int = 512
    vocabulary: int = 1024
    rope_theta: float = 100_000.0
    mrope_section: tuple[int, int, int] = (8, 12, 12)
    vision_width: int = 160
    vision_depth: int = 4
    vision_heads: int = 5


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of the loss counts; each is a mean over its own items.

    Attributes:
        answerer: Of an answer's negative log-likelihood.
        transcript: Likewise of a whole transcript.
        planner: Of a plan.
        verifier: Of a verdict.
        grounder: Of the regression head's losses.
        states: Of the state heads, each of three.
    """

    answerer: float = 1.0
    transcript: float = 0.02
    planner: float = 0.05
    verifier: float = 1.0
    grounder: float = 1.0
    states: float = 0.5


@dataclass(frozen=True, slots=True)
class DefaultConfig:
    """How the base is trained.

    Attributes:
        world: Where the lessons come from, "module:class".
        shape: Of the base.
        weights: Of the loss's parts.
        stages: The curriculum, in order; shares sum to 1.
        steps: Optimizer steps.
        packs_per_step: Packs that one step averages over, on however many GPUs.
        pack_tokens: Tokens of a pack.
        reuse: How often a pack is used; only its first use is unseen.
        chunk: Packs between a pack's uses.
        learning_rate: The greatest.
        warmup_steps: Steps in which it rises.
        constant_share: Share of the steps after which it falls.
        final_share: Share of it that is left at the end.
        betas: AdamW's averaging.
        weight_decay: Of matrices.
        clip_norm: Greatest norm of the gradient.
        seed: Of everything.
        tokenizer_texts: Texts that the tokenizer is made from.
    """

    world: str = "eval.lessons:Lessons"
    shape: Shape = field(default_factory=Shape)
    weights: Weights = field(default_factory=Weights)
    stages: tuple[Stage, ...] = (Stage(1.0, ((12, 20, 1.0),)),)
    steps: int = 1000
    packs_per_step: int = 4
    pack_tokens: int = 49152
    reuse: int = 3
    chunk: int = 32
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    constant_share: float = 0.5
    final_share: float = 0.03
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    seed: int = 0
    tokenizer_texts: int = 60_000

    def stage_at(self, share: float) -> Stage:
        """The stage of the curriculum at a share of the training, 0 to 1."""
        done = 0.0
        for stage in self.stages:
            done += stage.share
            if share < done:
                return stage
        return self.stages[-1]

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: rises, stays, falls in a straight line."""
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        fall_from = self.constant_share * self.steps
        down = max(0.0, (step - fall_from) / max(1.0, self.steps - fall_from))
        return self.learning_rate * rise * (1 - (1 - self.final_share) * down)

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)


def read_default_config(path: Path = DEFAULT_FILE, changes: Mapping[str, Any] | None = None) -> DefaultConfig:
    """Reads the YAML file.

    Args:
        path: The file.
        changes: Values that win over it, by name; of nested ones as "shape.hidden".

    Raises:
        InputError: An unknown name or a value that cannot be meant; the message names file and name.
    """
    values = dict(read_mapping(path))
    for name, value in (changes or {}).items():
        outer, _, inner = name.partition(".")
        if inner:
            values[outer] = {**values.get(outer, {}), inner: value}
        else:
            values[name] = value
    try:
        if "stages" in values:
            values["stages"] = tuple(
                Stage(
                    float(one["share"]),
                    tuple((float(a), float(b), float(w)) for a, b, w in one["lengths"]),
                    {str(view): float(weight) for view, weight in one.get("views", {"whole": 1.0}).items()},
                )
                for one in values["stages"]
            )
        for name, kind in (("shape", Shape), ("weights", Weights)):
            if name in values:
                values[name] = kind(**{key: _tupled(value) for key, value in values[name].items()})
        config = DefaultConfig(**{key: _tupled(value) for key, value in values.items()})
    except (TypeError, ValueError, KeyError) as error:
        known = ", ".join(one.name for one in fields(DefaultConfig))
        raise InputError(f"{path}: {error}; expected values for some of {known}") from error
    problems = list(_problems(config))
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")
    return config


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _problems(config: DefaultConfig) -> list[str]:
    problems = []
    for name in ("steps", "packs_per_step", "reuse", "chunk", "tokenizer_texts"):
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            problems.append(f"{name} {value!r}: expected a whole number, at least 1")
    if config.pack_tokens < 1024 or config.pack_tokens % 128:
        problems.append(f"pack_tokens {config.pack_tokens}: expected a multiple of 128, at least 1024")
    if not 0 < config.learning_rate < 1:
        problems.append(f"learning_rate {config.learning_rate}: expected more than 0 and less than 1")
    if abs(sum(stage.share for stage in config.stages) - 1) > 1e-6:
        problems.append("stages: their shares must sum to 1")
    shape = config.shape
    if shape.hidden % shape.heads or sum(shape.mrope_section) * 2 != shape.hidden // shape.heads:
        problems.append("shape: hidden must be heads times twice the sum of mrope_section")
    if shape.heads % shape.kv_heads:
        problems.append("shape: heads must be a multiple of kv_heads")
    return problems
