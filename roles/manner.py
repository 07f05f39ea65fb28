"""How a checkpoint wants to be asked: `mindreel.json` beside its weights goes in, budgets and rules come out, checked.

A checkpoint is trained with budgets, with a way to choose among options, with a way to cut clips; they belong to it, as
its prompts do. A folder without the file is asked as VideoMind's checkpoints are, which is what the defaults say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from roles import answerer, grounder, planner, verifier
from roles.errors import CheckpointError
from roles.types import Budget

MANNER_FILE = "mindreel.json"
BUDGETS: Mapping[str, Budget] = {role.ROLE: role.BUDGET for role in (planner, grounder, verifier, answerer)}
CLIPS = ("best", "hull")
"""The answerer watches the best moment, or all from the first to the last of those that the verifier accepts."""
CHOOSES = ("letter", "likelihood")
"""The answerer writes an option's letter, or the options' texts are compared by how likely it finds them."""
RANKS = verifier.RANKS
MARKS = ("shifted", "aligned")
"""Positions around the verifier's segment tokens: as VideoMind's adapters learned them, or as without these tokens."""


OWNERS: Mapping[str, str] = {
    **dict.fromkeys(("style", "choose", "clip", "min_clip_s"), answerer.ROLE),
    **dict.fromkeys(("candidates", "window_s", "marks", "rank"), verifier.ROLE),
}
"""Whose training a field belongs to; a budget belongs to its role."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a checkpoint is asked.

    Attributes:
        budgets: By role, those that differ from the role's own.
        style: How options are put to the answerer: one of `roles.answerer.STYLES`.
        choose: One of `CHOOSES`.
        clip: One of `CLIPS`.
        min_clip_s: The answerer watches at least this much around the moments.
        candidates: How many moments the verifier judges.
        window_s: The verifier sees at least this much around a candidate.
        marks: One of `MARKS`.
        rank: What candidates are ranked by: one of `roles.verifier.RANKS`.

    Raises:
        ValueError: A value that cannot be meant; every problem is told.
    """

    budgets: Mapping[str, Budget] = field(default_factory=dict)
    style: str = "mcq"
    choose: str = "letter"
    clip: str = "best"
    min_clip_s: float = answerer.MIN_CLIP_S
    candidates: int = verifier.MAX_CANDIDATES
    window_s: float = 0.0
    marks: str = "shifted"
    rank: str = "margin"

    def __post_init__(self) -> None:
        problems = []
        for name, choices in (
            ("style", answerer.STYLES),
            ("choose", CHOOSES),
            ("clip", CLIPS),
            ("marks", MARKS),
            ("rank", RANKS),
        ):
            if getattr(self, name) not in choices:
                problems.append(f"{name} {getattr(self, name)!r}: expected one of {', '.join(choices)}")
        for name in ("min_clip_s", "window_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                problems.append(f"{name} {value!r}: expected seconds, 0 or more")
        if isinstance(self.candidates, bool) or not isinstance(self.candidates, int) or self.candidates < 1:
            problems.append(f"candidates {self.candidates!r}: expected a whole number, at least 1")
        if self.choose == "likelihood" and self.style == "mcq":
            problems.append(
                "choose likelihood with style mcq: expected style direct or options, as no letter is written"
            )
        unknown = sorted(self.budgets.keys() - BUDGETS.keys())
        if unknown:
            problems.append(f"budgets for {', '.join(unknown)}: expected some of {', '.join(BUDGETS)}")
        if problems:
            raise ValueError("; ".join(problems))

    def budget(self, role: str) -> Budget:
        """How much of a clip a role looks at."""
        return self.budgets.get(role, BUDGETS[role])

    def with_role(self, role: str, other: Manner) -> Manner:
        """This manner with what belongs to one role taken from another: the roles of a folder are trained in turn."""
        own = {name: getattr(other, name) for name, owner in OWNERS.items() if owner == role}
        budgets = {name: budget for name, budget in self.budgets.items() if name != role}
        budgets |= {name: budget for name, budget in other.budgets.items() if name == role}
        return replace(self, budgets=budgets, **own)

    def with_style(self, style: str | None) -> Manner:
        """This manner with options put in another style; None changes nothing.

        In style "mcq" a letter is written, so that is how an option is then chosen.

        Raises:
            ValueError: An unknown style.
        """
        if style is None:
            return self
        return replace(self, style=style, choose="letter" if style == "mcq" else self.choose)

    def to_json(self) -> dict[str, Any]:
        """The object that `mindreel.json` holds."""
        out: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        out["budgets"] = {
            role: {one.name: getattr(budget, one.name) for one in fields(budget)}
            for role, budget in self.budgets.items()
        }
        return out


def read_manner(folder: Path) -> Manner | None:
    """The manner of a checkpoint folder; None where it brings none.

    Raises:
        CheckpointError: The file is broken, or says something unknown or impossible; the message names it.
    """
    path = folder / MANNER_FILE
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(said, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(said).__name__}")
    known = {one.name for one in fields(Manner)}
    unknown = sorted(said.keys() - known)
    if unknown:
        raise CheckpointError(f"{path}: unknown {', '.join(unknown)}; expected some of {', '.join(sorted(known))}")
    stated = said.get("budgets", {})
    if not isinstance(stated, dict) or not all(isinstance(budget, dict) for budget in stated.values()):
        raise CheckpointError(f"{path}: budgets is {stated!r:.80}; expected an object of objects, one for each role")
    try:
        budgets = {role: Budget(**budget) for role, budget in stated.items()}
        return Manner(**{**said, "budgets": budgets})
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error
