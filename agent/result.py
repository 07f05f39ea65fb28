"""What the agent found out about one question, and the JSON that the command line prints of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.encode import to_json
from agent.trace import Step
from roles.types import Answer, FilmCheck, Moment, Plan, Span, Video

VERSION = 1


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one question.

    Attributes:
        question: As typed.
        video: What was asked about.
        plan: What was run.
        moments: The evidence, best first.
        clip: What the answerer watched; None where none ran.
        answer: Its text is None where the plan asks for moments only, or where the answerer failed.
        steps: Planner, grounder, verifier and answerer, those that did not run as "skipped".
        elapsed_s: How long it took.
        options: The choices.
        trace: The file that holds every step, or None.
        error: Why there is no answer, or None.
        notes: What a person should know besides.
        failure: The exception behind `error`.
        film: Whether the film is of the kind that the checkpoint was trained on; None where that is not known.
    """

    question: str
    video: Video
    plan: Plan
    moments: tuple[Moment, ...]
    clip: Span | None
    answer: Answer
    steps: tuple[Step, ...]
    elapsed_s: float
    options: tuple[str, ...] = ()
    trace: Path | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()
    failure: Exception | None = field(default=None, compare=False, repr=False)
    film: FilmCheck | None = None

    @property
    def plan_source(self) -> str:
        """Who made the plan: "planner", "fallback" or "forced"."""
        return self.plan.source

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints; keys may be added at the end, none is ever renamed."""
        video = to_json(self.video)
        return {
            "version": VERSION,
            "video": {key: video[key] for key in ("path", "duration_s", "fps", "width_px", "height_px")},
            "question": self.question,
            "plan": [{"role": call.role, "query": call.query} for call in self.plan.calls],
            "plan_source": self.plan.source,
            "moments": to_json(self.moments),
            "clip": to_json(self.clip),
            "answer": {
                "text": self.answer.text,
                "choice": self.answer.choice,
                "option_probs": to_json(self.answer.option_probs),
            },
            "steps": [
                {
                    "id": step.id,
                    "role": step.call.role,
                    "status": step.status,
                    "elapsed_s": step.elapsed_s,
                    "reason": step.reason,
                    "error": step.error,
                }
                for step in self.steps
            ],
            "trace": None if self.trace is None else str(self.trace),
            "elapsed_s": self.elapsed_s,
            "options": list(self.options),
            "notes": list(self.notes),
            "error": self.error,
            "strange_film": None if self.film is None else self.film.strange,
        }
