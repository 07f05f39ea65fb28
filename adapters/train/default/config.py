"""Settings of the default model's training: sizes, data, curriculum and optimisation, checked, from one YAML file.

`default.yaml` beside this module holds what the shipped model was trained with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
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
class RolesConfig:
    """How the adapters are trained.

    Attributes:
        rank: LoRA's.
        alpha: LoRA's.
        films: The module and arguments that write films and examples.
        train: First seed and number of sets to train on; the base has seen none of them.
        val: Likewise to validate on.
        detector: Likewise to learn from what films of the world look like.
        mined: Examples of each that the verifier's candidates are found in.
        settings: Flags of the roles' scripts, by role, "all" or "mine".
    """

    rank: int = 8
    alpha: float = 16.0
    films: tuple[str, ...] = ("eval.worlds", "make", "--size", "224")
    train: tuple[int, int] = (9_000_000, 300)
    val: tuple[int, int] = (10_000_000, 20)
    detector: tuple[int, int] = (9_500_000, 330)
    mined: tuple[int, int] = (4000, 200)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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
        matrix_rate: The learning rate of the base's matrices, which Muon turns, over that of all else.
        constant_share: Share of the steps after which it falls.
        final_share: Share of it that is left at the end.
        betas: AdamW's averaging.
        weight_decay: Of matrices.
        clip_norm: Greatest norm of the gradient.
        seed: Of everything.
        tokenizer_texts: Texts that the tokenizer is made from.
        roles: How the adapters are trained.
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
    matrix_rate: float = 2.0
    warmup_steps: int = 200
    constant_share: float = 0.5
    final_share: float = 0.03
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    seed: int = 0
    tokenizer_texts: int = 60_000
    roles: RolesConfig = field(default_factory=RolesConfig)

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
    values: dict[str, Any] = dict(read_mapping(path))
    where = f"{path} with {', '.join(changes)} changed" if changes else f"{path}"
    for name, value in (changes or {}).items():
        outer, _, inner = name.partition(".")
        if inner and isinstance(values.get(outer, {}), Mapping):
            values[outer] = {**values.get(outer, {}), inner: value}
        else:
            values[name] = value
    try:
        if "stages" in values:
            values["stages"] = _stages(values["stages"])
        for name, kind in _SECTIONS.items():
            if name in values:
                values[name] = _made(kind, values[name], f"{name}.")
        config: DefaultConfig = _made(DefaultConfig, values, "")
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
    problems = list(_problems(config))
    if problems:
        raise InputError(f"{where}: {'; '.join(problems)}")
    return config


_SECTIONS: Mapping[str, type] = {"shape": Shape, "weights": Weights, "roles": RolesConfig}
_FROM_0 = ("warmup_steps", "seed")
"""Whole numbers that may be 0."""


def _made(kind: type, values: object, prefix: str) -> Any:
    """Settings of a kind from plain values; each value must be of the sort that its default is.

    Raises:
        ValueError: An unknown name, or a value of another sort.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{prefix.rstrip('.')} {values!r:.80}: expected names with values")
    usual = kind()
    known = [one.name for one in fields(usual)]
    unknown = [f"{prefix}{name}" for name in values if name not in known]
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)}; expected some of {', '.join(known)}")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for name, value in given.items():
        expected = _lack(value, getattr(usual, name), least=0 if name in _FROM_0 else 1)
        if expected:
            raise ValueError(f"{prefix}{name} {value!r:.80}: expected {expected}")
    return kind(**given)


def _lack(value: object, usual: object, least: int) -> str:
    """What a value should have been; empty where it is of the sort that it usually is."""
    if isinstance(usual, int):
        right = isinstance(value, int) and not isinstance(value, bool) and value >= least
        return "" if right else f"a whole number, at least {least}"
    if isinstance(usual, float):
        right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        hint = " (in YAML, 1e-3 is a text: write 0.001)" if isinstance(value, str) else ""
        return "" if right else f"a number, 0 or more{hint}"
    if isinstance(usual, str):
        return "" if isinstance(value, str) and value else "a text"
    if isinstance(usual, tuple) and isinstance(usual[0], str):
        right = isinstance(value, tuple) and bool(value) and all(isinstance(one, str) for one in value)
        return "" if right else "a list of texts"
    if isinstance(usual, tuple) and isinstance(usual[0], int | float):
        pairs = zip(value, usual, strict=False) if isinstance(value, tuple) and len(value) == len(usual) else [("", 0)]
        wrong = any(_lack(one, normal, least=0) for one, normal in pairs)
        return f"{len(usual)} numbers such as {list(usual)}" if wrong else ""
    if isinstance(usual, Mapping):
        right = isinstance(value, Mapping) and all(isinstance(one, Mapping) for one in value.values())
        return "" if right else "names, each with names and values"
    return "" if isinstance(value, type(usual)) else f"a {type(usual).__name__}"


def _stages(values: object) -> tuple[Stage, ...]:
    """The curriculum.

    Raises:
        ValueError: A stage that cannot be meant.
    """
    if not isinstance(values, list) or not values:
        raise ValueError(f"stages {values!r:.80}: expected a list of stages")
    stages = []
    for number, one in enumerate(values, start=1):
        try:
            views = {str(view): float(weight) for view, weight in one.get("views", {"whole": 1.0}).items()}
            lengths = tuple((float(low), float(high), float(weight)) for low, high, weight in one["lengths"])
            stage = Stage(float(one["share"]), lengths, views)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                f"stages: {one!r:.120} (number {number}): expected share, lengths as [[from_s, to_s, how_often]] and "
                "views as {name: how_often}"
            ) from error
        if not 0 < stage.share <= 1 or not any(weight > 0 for weight in views.values()) or min(views.values()) < 0:
            raise ValueError(f"stages: number {number}: expected a share above 0 and a view that is drawn")
        if not lengths or not all(0 < low <= high < math.inf and weight > 0 for low, high, weight in lengths):
            raise ValueError(f"stages: number {number}: expected lengths above 0, the lesser first, and how often")
        stages.append(stage)
    return tuple(stages)


def _problems(config: DefaultConfig) -> Iterator[str]:
    """What does not go together, or lies outside its range."""
    if config.pack_tokens < 1024 or config.pack_tokens % 128:
        yield f"pack_tokens {config.pack_tokens}: expected a multiple of 128, at least 1024"
    if not 0 < config.learning_rate < 1:
        yield f"learning_rate {config.learning_rate}: expected more than 0 and less than 1"
    for name in ("constant_share", "final_share"):
        if not 0 <= getattr(config, name) <= 1:
            yield f"{name} {getattr(config, name)}: expected 0 to 1"
    if not all(beta < 1 for beta in config.betas):
        yield f"betas {list(config.betas)}: expected less than 1"
    if not config.clip_norm:
        yield "clip_norm 0: expected more than 0"
    if abs(sum(stage.share for stage in config.stages) - 1) > 1e-6:
        yield "stages: their shares must sum to 1"
    shape = config.shape
    if shape.hidden % shape.heads or sum(shape.mrope_section) * 2 != shape.hidden // shape.heads:
        yield "shape: hidden must be heads times twice the sum of mrope_section"
    if shape.heads % shape.kv_heads:
        yield "shape: heads must be a multiple of kv_heads"
    if shape.vision_width % (4 * shape.vision_heads):
        yield "shape: vision_width must be a multiple of 4 times vision_heads"
