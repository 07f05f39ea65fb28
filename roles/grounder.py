"""The grounder: from a video and a description to candidate moments, regressed from a timestamp token."""

from __future__ import annotations

from prompts import PromptBook
from roles.planner import clean_query
from roles.spans import evenly_spread, rows_to_seconds
from roles.types import PX_PER_TOKEN, Budget, Clip, Moment, Pointing, Request, Span, Video

ROLE = "grounder"
BUDGET = Budget(fps=1.0, max_frames=150, min_px=36 * PX_PER_TOKEN, max_px=64 * PX_PER_TOKEN)
MAX_MOMENTS = 100


def request(video: Video, span: Span | None, query: str, prompts: PromptBook, budget: Budget = BUDGET) -> Request:
    """Asks when something happens.

    Args:
        video: The video.
        span: The part that is asked about; None is the whole.
        query: A description of the moment.
        prompts: The checkpoint's templates.
        budget: Frames to look at.
    """
    return Request(ROLE, Clip(video, span, budget), prompts.get(ROLE).fill(query=clean_query(query)))


def target(prompts: PromptBook) -> str:
    """The sentence that the grounder is trained to write; its timestamp token stands for the regressed span."""
    return prompts.get(ROLE, "reply").fill().text


def read(pointing: Pointing, window: Span, unit_s: float, verified: bool) -> list[Moment]:
    """Reads candidate moments, best first.

    Without a timestamp token nothing was found: five windows over the whole clip with confidence 0 when a verifier
    will choose among them, else the whole clip. The caller records that as a fallback.

    Args:
        pointing: What the model gave.
        window: The part of the video that was watched.
        unit_s: Seconds are rounded to a multiple of this.
        verified: Whether a verifier follows.
    """
    if pointing.rows_norm is None:
        spans = evenly_spread(window.length_s) if verified else [Span(0.0, window.length_s)]
        rows = [(span.start_s, span.end_s, 0.0) for span in spans]
    else:
        rows = rows_to_seconds(pointing.rows_norm[:MAX_MOMENTS], window.length_s, unit_s)
    return [Moment(Span(start + window.start_s, end + window.start_s), confidence) for start, end, confidence in rows]
