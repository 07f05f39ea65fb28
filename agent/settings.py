"""How an agent asks: a data set's or a user's wishes go in; the checkpoint's manner fills in what they leave open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from roles import answerer, verifier
from roles.errors import InputError
from roles.manner import BUDGETS, CHOOSES, CLIPS, Manner
from roles.types import Budget

MIN_UNIT_S, MAX_UNIT_S = 1e-6, 3600.0
PLANS = ("auto", "ground", "answer")
"""Let the planner decide; always find a moment first; always answer from the whole."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How an agent asks. Where something is None, the checkpoint decides it (`roles.manner`).

    Attributes:
        plan: One of `PLANS`.
        unit_s: The grounder's seconds are rounded to a multiple of this.
        min_clip_s: The answerer watches at least this much around the moments; None takes the checkpoint's, less in
            proportion where `budgets` gives the answerer fewer frames.
        min_clip_ratio: The same as a fraction of the part that is asked about; wins over `min_clip_s`.
        style: How options are put to the answerer: one of `roles.answerer.STYLES`.
        choose: How one of them is taken: one of `roles.manner.CHOOSES`.
        clip: Which moments the answerer watches: one of `roles.manner.CLIPS`.
        candidates: How many moments the verifier judges.
        window_s: The verifier sees at least this much around a candidate.
        rank: What candidates are ranked by: one of `roles.verifier.RANKS`.
        budgets: By role, those that differ from the checkpoint's.
        step_timeout_s: How long a step may take; None is no limit.
        seed: Recorded with every trace; the built-in roles draw no random numbers.

    Raises:
        InputError: A value that cannot be meant.
    """

    plan: str = "auto"
    unit_s: float = 0.001
    min_clip_s: float | None = None
    min_clip_ratio: float | None = None
    style: str | None = None
    candidates: int | None = None
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    step_timeout_s: float | None = None
    seed: int = 0
    choose: str | None = None
    clip: str | None = None
    window_s: float | None = None
    rank: str | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.plan not in PLANS:
            problems.append(f"plan {self.plan!r}: expected one of {', '.join(PLANS)}")
        for name, choices in (
            ("style", answerer.STYLES),
            ("choose", CHOOSES),
            ("clip", CLIPS),
            ("rank", verifier.RANKS),
        ):
            value = getattr(self, name)
            if value is not None and value not in choices:
                problems.append(f"{name} {value!r}: expected one of {', '.join(choices)}")
        if not MIN_UNIT_S <= self.unit_s <= MAX_UNIT_S:
            problems.append(f"unit_s {self.unit_s}: expected {MIN_UNIT_S:g} to {MAX_UNIT_S:g} s")
        for name in ("min_clip_s", "window_s"):
            length_s = getattr(self, name)
            if length_s is not None and not (math.isfinite(length_s) and length_s >= 0):
                problems.append(f"{name} {length_s}: expected 0 s or more")
        if self.min_clip_ratio is not None and not 0 <= self.min_clip_ratio <= 1:
            problems.append(f"min_clip_ratio {self.min_clip_ratio}: expected 0 to 1")
        if self.candidates is not None and self.candidates < 1:
            problems.append(f"candidates {self.candidates}: expected at least 1")
        if self.step_timeout_s is not None and not self.step_timeout_s > 0:
            problems.append(f"step_timeout_s {self.step_timeout_s}: expected more than 0 s, or none")
        unknown = sorted(self.budgets.keys() - BUDGETS.keys())
        if unknown:
            problems.append(f"budgets for {', '.join(unknown)}: expected some of {', '.join(BUDGETS)}")
        if problems:
            raise InputError("; ".join(problems))

    def over(self, manner: Manner) -> Manner:
        """The manner in force: the checkpoint's, with what these settings say in its place.

        An answerer with fewer frames than the checkpoint's watches a shorter clip in proportion, so that it sees what
        it watches at the checkpoint's own rate, unless the settings say how much it watches. Options that the user
        wants shown with letters to be written (style "mcq") are then chosen by letter.

        Raises:
            InputError: The two do not go together.
        """
        names = [one.name for one in fields(Manner) if one.name not in ("budgets", "style", "marks")]
        said = {name: value for name in names if (value := getattr(self, name)) is not None}
        if answerer.ROLE in self.budgets and self.min_clip_s is None:
            share = self.budgets[answerer.ROLE].max_frames / manner.budget(answerer.ROLE).max_frames
            said["min_clip_s"] = manner.min_clip_s * min(1.0, share)
        try:
            return replace(manner.with_style(self.style), budgets={**manner.budgets, **self.budgets}, **said)
        except ValueError as error:
            raise InputError(str(error)) from error
