"""What an agent said of a question goes in, the record that a run keeps of it comes out; also of one that failed."""

from __future__ import annotations

from collections.abc import Sequence

from agent import Result
from agent.encode import moments_from
from eval.choices import read_choice
from eval.item import Item, Record
from roles import answerer
from roles.types import Moment


def said(item: Item, result: Result) -> Record:
    """A record of what an agent said."""
    roles = [step.call.role for step in result.steps if step.status in ("ok", "fallback")]
    grounder = next((step for step in result.steps if step.call.role == "grounder"), None)
    grounded = moments_from(grounder.output) if grounder is not None and grounder.output else ()
    fell_back = [step.call.role for step in result.steps if step.status == "fallback"]
    probs = result.answer.option_probs
    found = result.moments
    return {
        "key": item.key,
        "said": result.answer.text,
        "choice": chosen(item, result),
        "probs": None if probs is None else [round(prob, 5) for prob in probs],
        "spans": _rows(found),
        "grounded": _rows(grounded[: len(found)]),
        "plan": [role for role in roles if role != "planner"],
        "fell_back": fell_back,
        "error": result.error,
        "notes": list(result.notes),
        "strange": None if result.film is None else result.film.strange,
        "duration_s": round(result.video.duration_s, 3),
        "swap": None,
        "blind": None,
    }


def failed(item: Item, why: str) -> Record:
    """The record of a question that could not be asked."""
    return {
        "key": item.key,
        "said": None,
        "choice": None,
        "probs": None,
        "spans": [],
        "grounded": [],
        "plan": [],
        "fell_back": [],
        "error": why,
        "notes": [],
        "strange": None,
        "duration_s": None,
        "swap": None,
        "blind": None,
        "trace": None,
        "elapsed_s": 0.0,
    }


def chosen(item: Item, result: Result) -> int | None:
    """Place of the option that an answer names; a free reply must name one, and one only."""
    answer = result.answer
    if not item.options:
        return None
    if answer.option_probs is not None and answer.choice is not None:
        return answerer.LETTERS.index(answer.choice)
    return read_choice(answer.text, item.options)


def _rows(moments: Sequence[Moment]) -> list[list[float | None]]:
    return [
        [
            round(one.span.start_s, 4),
            round(one.span.end_s, 4),
            round(one.confidence, 5),
            None if one.p_yes is None else round(one.p_yes, 5),
        ]
        for one in moments
    ]
