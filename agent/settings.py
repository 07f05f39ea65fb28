"""How an agent asks: numbers that a data set or a user may want otherwise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from roles import answerer, grounder, planner, verifier
from roles.errors import InputError
from roles.types import Budget

MIN_UNIT_S, MAX_UNIT_S = 1e-6, 3600.0
PLANS = ("auto", "ground", "answer")
"""Let the planner decide; always find a moment first; always answer from the whole."""
BUDGETS: Mapping[str, Budget] = {role.ROLE: role.BUDGET for role in (planner, grounder, verifier, answerer)}


@dataclass(frozen=True, slots=True)
class Settings:
    """How an agent asks.

    Attributes:
        plan: One of `PLANS`.
        unit_s: The grounder's seconds are rounded to a multiple of this.
        min_clip_s: The answerer watches at least this much around the best moment.
        min_clip_ratio: The same as a fraction of the part that is asked about; wins over `min_clip_s`.
        style: How options are put to the answerer: one of `roles.answerer.STYLES`.
        candidates: How many moments the verifier judges.
        budgets: By role, those that differ from the role's own.
        step_timeout_s: How long a step may take; None is no limit.
        seed: Recorded with every trace; the built-in roles draw no random numbers.

    Raises:
        InputError: A value that cannot be meant.
    """

    plan: str = "auto"
    unit_s: float = 0.001
    min_clip_s: float = answerer.MIN_CLIP_S
    min_clip_ratio: float | None = None
    style: str = "mcq"
    candidates: int = verifier.MAX_CANDIDATES
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    step_timeout_s: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        problems = []
        if self.plan not in PLANS:
            problems.append(f"plan {self.plan!r}: expected one of {', '.join(PLANS)}")
        if self.style not in answerer.STYLES:
            problems.append(f"style {self.style!r}: expected one of {', '.join(answerer.STYLES)}")
        if not MIN_UNIT_S <= self.unit_s <= MAX_UNIT_S:
            problems.append(f"unit_s {self.unit_s}: expected {MIN_UNIT_S:g} to {MAX_UNIT_S:g} s")
        if not (math.isfinite(self.min_clip_s) and self.min_clip_s >= 0):
            problems.append(f"min_clip_s {self.min_clip_s}: expected 0 s or more")
        if self.min_clip_ratio is not None and not 0 <= self.min_clip_ratio <= 1:
            problems.append(f"min_clip_ratio {self.min_clip_ratio}: expected 0 to 1")
        if self.candidates < 1:
            problems.append(f"candidates {self.candidates}: expected at least 1")
        if self.step_timeout_s is not None and not self.step_timeout_s > 0:
            problems.append(f"step_timeout_s {self.step_timeout_s}: expected more than 0 s, or none")
        unknown = sorted(self.budgets.keys() - BUDGETS.keys())
        if unknown:
            problems.append(f"budgets for {', '.join(unknown)}: expected some of {', '.join(BUDGETS)}")
        if problems:
            raise InputError("; ".join(problems))

    def budget(self, role: str) -> Budget:
        """How much of a clip a role looks at."""
        return self.budgets.get(role, BUDGETS[role])
