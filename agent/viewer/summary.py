"""A question as far as it was read goes in, what the list shows of it comes out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from agent.trace import Trace
from agent.trace_reader import AskedQuestion
from agent.viewer.evaluation import Truth, span_right

IDLE_S = 600.0
"""A question that has not ended is said to be perhaps stopped when its file is not written for so long."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BEST_LAST = ("ok", "skipped", "running", "fallback", "failed")
"""Of several steps of one role the worst status is shown: the last of these."""


@dataclass(slots=True)
class Summary:
    """What is kept of a question for the list.

    Attributes:
        number: Place in the file, from 0.
        trace: The question without its steps; None where it could not be read.
        status: "ok", "fallback", "failed", "running" or "broken".
        steps: Worst status by role.
        problem: What is wrong with the record of it.
    """

    number: int
    trace: Trace | None
    status: str
    steps: Mapping[str, str]
    problem: str | None = None

    def broken(self, problem: str) -> None:
        """Says that the rest of the question cannot be read."""
        self.status, self.problem = "broken", problem


def summarize(asked: AskedQuestion, number: int) -> Summary:
    """Sums up a question."""
    steps: dict[str, str] = {}
    for step in (*asked.steps, *asked.running.values()):
        before = steps.get(str(step.call.role))
        steps[str(step.call.role)] = step.status if before is None else max(before, step.status, key=_rank)
    try:
        slim = AskedQuestion(asked.begin, asked.run, asked.plan, [], {}, asked.end, asked.left)
        trace = slim.trace()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return Summary(number, None, "broken", steps, f"cannot be read ({type(error).__name__}: {error})")
    problem = None
    if not trace.finished:
        status = "running"
        if asked.left:
            status, problem = "broken", "the run went on, or ended, in the middle of this question"
    elif trace.error is not None or "failed" in steps.values():
        status = "failed"
    else:
        status = "fallback" if "fallback" in steps.values() else "ok"
    return Summary(number, trace, status, steps, problem)


def _rank(status: str) -> int:
    return BEST_LAST.index(status) if status in BEST_LAST else len(BEST_LAST)


def answer_of(trace: Trace) -> str | None:
    """The answer in words: the chosen option, else what the model wrote."""
    answer = trace.answer
    if answer is None:
        return None
    at = chosen_at(trace)
    return answer.text if at is None else trace.options[at]


def chosen_at(trace: Trace) -> int | None:
    """Place of the chosen option, from 0."""
    letter = trace.answer.choice if trace.answer else None
    at = LETTERS.find(letter) if isinstance(letter, str) and len(letter) == 1 else -1
    return at if 0 <= at < len(trace.options) else None


def confidence_of(trace: Trace) -> float | None:
    """The chosen option's probability where options were compared by it, else the first moment's confidence."""
    at = chosen_at(trace)
    shares = trace.answer.option_probs if trace.answer else None
    if at is not None and shares is not None and at < len(shares):
        return shares[at]
    return trace.moments[0].confidence if trace.moments else None


def summary_json(
    summary: Summary, *, id_: str, file: str, modified_s: float, truth: Truth | None, problem: str | None = None
) -> dict[str, Any]:
    """One row of the list.

    Args:
        summary: The question's.
        id_: Stands for it in addresses.
        file: The trace file's name on the page.
        modified_s: When that was last written, in seconds since 1970.
        truth: What its evaluation knows of it.
        problem: What is wrong with the file.
    """
    trace = summary.trace
    said = summary.problem
    if summary.status == "running" and (idle_s := time.time() - modified_s) > IDLE_S:
        said = f"nothing was written for {_spoken(idle_s)}: the run may have been stopped"
    overlap = truth.iou(trace) if truth is not None and trace is not None else None
    return {
        "id": id_,
        "file": file,
        "number": summary.number,
        "question": trace.question if trace else "",
        "options": list(trace.options) if trace else [],
        "answer": answer_of(trace) if trace else None,
        "video": PurePath(trace.video.path).name if trace else "",
        "started_s": (trace.started_s if trace else None) or modified_s,
        "elapsed_s": trace.elapsed_s if trace else None,
        "status": summary.status,
        "steps": dict(summary.steps),
        "right": truth.right(trace) if truth is not None and trace is not None else None,
        "span_right": span_right(overlap),
        "iou": None if overlap is None else round(overlap, 4),
        "confidence": confidence_of(trace) if trace else None,
        "key": truth.key if truth is not None else None,
        "tags": dict(truth.tags) if truth is not None else {},
        "problem": said or problem,
    }


def _spoken(seconds: float) -> str:
    for length_s, name in ((86400, "days"), (3600, "hours")):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {name}"
    return f"{seconds / 60:.0f} minutes"
