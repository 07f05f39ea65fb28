"""True and predicted moments of a question go in, the clips to answer it from instead of the whole video come out.

Where a question is answered as well from the complement of its evidence as from the evidence, localising is decoration.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from roles import answerer
from roles.types import Moment, Span

TIGHT_S = 8.0
"""In the swapped clips at least so much is watched, where the checkpoint's own rule would watch nearly everything."""
LEAST_LEFT_S = 2.0
"""The rest of a film must be at least so long to be watched in place of the evidence."""
KINDS = ("true", "predicted", "random", "complement")


def swap_clips(
    truths: Sequence[Span], found: Sequence[Moment], part: Span, key: str, clip: str, least_s: float = TIGHT_S
) -> dict[str, Span]:
    """The clips by kind; without "complement" where too little of the part is left beside the evidence.

    Args:
        truths: The true moments, at least one.
        found: The predicted ones, best first; without any, the whole part is watched in their place.
        part: What is asked about.
        key: Draws the random place.
        clip: Which predicted moments are watched, as in `roles.answerer.watched`.
        least_s: True and predicted moments are widened to at least this length.
    """
    true = answerer.clip_span(inside(answerer.hull(truths), part), part, least_s)
    clips = {
        "true": true,
        "predicted": answerer.clip_span(answerer.watched(found, clip), part, least_s),
        "random": anywhere(true.length_s, part, key),
    }
    rest = longest_rest(true, part)
    return clips | ({"complement": rest} if rest.length_s >= LEAST_LEFT_S else {})


def inside(span: Span, part: Span) -> Span:
    """What of a span lies in a part; where nothing does, the part's nearest end, without length."""
    start_s = min(max(span.start_s, part.start_s), part.end_s)
    return Span(start_s, max(start_s, min(span.end_s, part.end_s)))


def anywhere(length_s: float, part: Span, key: str) -> Span:
    """A span of a length at a place that is drawn by a key; it may overlap the evidence."""
    free_s = max(0.0, part.length_s - length_s)
    start_s = part.start_s + free_s * random.Random(f"{key}/anywhere").random()  # noqa: S311 - no secret
    return Span(start_s, min(start_s + length_s, part.end_s))


def longest_rest(taken: Span, part: Span) -> Span:
    """The longer of what lies before and after a span."""
    before, after = Span(part.start_s, taken.start_s), Span(taken.end_s, part.end_s)
    return before if before.length_s >= after.length_s else after
