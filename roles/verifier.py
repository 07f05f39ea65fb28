"""The verifier: looks at each candidate moment from close by and ranks them by how surely it says Yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prompts import PromptBook
from roles.spans import iou, window_around
from roles.types import PX_PER_TOKEN, Budget, Clip, Judgement, Moment, Request, Span, Video

ROLE = "verifier"
BUDGET = Budget(fps=2.0, max_frames=64, min_px=36 * PX_PER_TOKEN, max_px=64 * PX_PER_TOKEN)
MAX_CANDIDATES = 5
MIN_CANDIDATE_S = 2.0
POSITIVE_IOU = 0.5
"""A candidate that overlaps the truth at least this much is a Yes in training."""
RANKS = ("margin", "product")
"""Candidates are ranked by P(Yes) - P(No) alone, as VideoMind's are, or by the grounder's confidence times P(Yes)."""
YES, NO = "Yes", "No"
"""The verdicts' first tokens; their probabilities are read at the next position."""


def request(
    video: Video,
    part: Span,
    candidate: Span,
    question: str,
    prompts: PromptBook,
    budget: Budget = BUDGET,
    window_s: float = 0.0,
) -> Request:
    """Asks whether a candidate is the moment in question.

    Args:
        video: The video.
        part: The part that is asked about; the candidate's surroundings stay inside it.
        candidate: The moment to judge.
        question: The user's question, not the planner's rephrasing of it.
        prompts: The checkpoint's templates.
        budget: Frames to look at.
        window_s: At least this much is watched around the candidate, as far as the part goes.
    """
    inside = Span(max(candidate.start_s - part.start_s, 0.0), max(candidate.end_s - part.start_s, 0.0))
    marked, window = window_around(inside, part.length_s, MIN_CANDIDATE_S, window_s)
    clip = Clip(video, _shift(window, part.start_s), budget, marked=_shift(marked, part.start_s))
    return Request(ROLE, clip, prompts.get(ROLE).fill(query=question), max_new_tokens=1)


def target(candidate: Span, truths: Sequence[Span], prompts: PromptBook) -> str:
    """The verdict that the verifier is trained to give."""
    right = any(iou(candidate, truth) >= POSITIVE_IOU for truth in truths)
    return prompts.get(ROLE, "yes" if right else "no").fill().text


def ranking(moments: Sequence[Moment], judgements: Sequence[Judgement], rank: str = "margin") -> list[int]:
    """Which candidate comes first, second ...; equal ones keep their order.

    Args:
        moments: The candidates.
        judgements: What was said of each.
        rank: One of `RANKS`.

    Raises:
        ValueError: Not one judgement per moment, or an unknown rule.
    """
    if len(moments) != len(judgements):
        raise ValueError(f"{len(judgements)} judgements for {len(moments)} moments")
    if rank not in RANKS:
        raise ValueError(f"unknown rank {rank!r}; expected one of {', '.join(RANKS)}")
    scores = [
        judgement.margin if rank == "margin" else moment.confidence * judgement.p_yes
        for moment, judgement in zip(moments, judgements, strict=True)
    ]
    return sorted(range(len(scores)), key=lambda at: -scores[at])


def read(moments: Sequence[Moment], judgements: Sequence[Judgement], rank: str = "margin") -> list[Moment]:
    """The judged moments, best first; equally good ones keep their order.

    Args:
        moments: The candidates.
        judgements: What was said of each.
        rank: One of `RANKS`.

    Raises:
        ValueError: Not one judgement per moment, or an unknown rule.
    """
    order = ranking(moments, judgements, rank)
    judged = [replace(m, p_yes=j.p_yes, p_no=j.p_no) for m, j in zip(moments, judgements, strict=True)]
    return [judged[at] for at in order]


def _shift(span: Span, offset_s: float) -> Span:
    return Span(span.start_s + offset_s, span.end_s + offset_s) if offset_s else span
