"""How well each role did: its predictions and the truth go in, figures from 0 to 1 come out.

Every figure is a mean over questions. A prediction that is missing counts as wrong and is never left out, so a role
cannot gain by not answering. Lists that do not match in length, or are empty, are the caller's mistake: ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from roles.spans import iou
from roles.types import Span

IOU_LIMITS = (0.3, 0.5, 0.7)
Candidate = tuple[float, float, float]
"""(the grounder's confidence, the verifier's P(Yes) - P(No), largest overlap with a true span)"""


def best_iou(predicted: Span | None, truths: Sequence[Span]) -> float:
    """Largest overlap of a span with any true one; 0 without a prediction, and for one without length.

    Raises:
        ValueError: There is no true span to compare with.
    """
    if not truths:
        raise ValueError("a question without true spans cannot be scored: leave it out")
    return max(iou(predicted, truth) for truth in truths) if predicted is not None else 0.0


def recall_at(
    predictions: Sequence[Sequence[Span]], truths: Sequence[Sequence[Span]], iou_limit: float, k: int = 1
) -> float:
    """Share of questions of whose first k spans at least one overlaps a true one by `iou_limit` or more.

    Args:
        predictions: For each question, spans best first; none where nothing was found.
        truths: For each question, the true spans.
        iou_limit: Above 0, up to 1.
        k: How many spans may try, at least 1.

    Raises:
        ValueError: See the module, and for an `iou_limit` or a `k` out of range.
    """
    if not 0 < iou_limit <= 1 or k < 1:
        raise ValueError(f"iou_limit {iou_limit}, k {k}: expected 0 < iou_limit <= 1 and k >= 1")
    check_pairs(predictions, truths)
    pairs = zip(predictions, truths, strict=True)
    found = [any(best_iou(span, true) >= iou_limit for span in spans[:k] or (None,)) for spans, true in pairs]
    return mean(found)


def mean_iou(predictions: Sequence[Sequence[Span]], truths: Sequence[Sequence[Span]]) -> float:
    """Mean over questions of how much the first span overlaps the true one that it overlaps most.

    Raises:
        ValueError: See the module.
    """
    check_pairs(predictions, truths)
    pairs = zip(predictions, truths, strict=True)
    return mean([best_iou(spans[0] if spans else None, true) for spans, true in pairs])


def span_scores(predictions: Sequence[Sequence[Span]], truths: Sequence[Sequence[Span]]) -> dict[str, float]:
    """The grounder's figures: mIoU, R1@0.3, R1@0.5 and R1@0.7.

    Raises:
        ValueError: See the module.
    """
    recalls = {f"R1@{limit}": recall_at(predictions, truths, limit) for limit in IOU_LIMITS}
    return {"mIoU": mean_iou(predictions, truths), **recalls}


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """Chance that a random Yes is scored above a random No, ties counting half; None where one of them is missing.

    Args:
        scores: One per candidate, any finite numbers.
        labels: Whether it is a Yes.

    Raises:
        ValueError: See the module, and for a score that is no finite number.
    """
    check_pairs(scores, labels)
    if not all(math.isfinite(score) for score in scores):
        raise ValueError(
            f"scores {[score for score in scores if not math.isfinite(score)][:3]}: expected finite numbers"
        )
    yes = sum(map(bool, labels))
    no = len(labels) - yes
    if not (yes and no):
        return None
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    won = 0.0
    below = at = 0
    while at < len(order):
        end = at
        while end < len(order) and scores[order[end]] == scores[order[at]]:
            end += 1
        yes_here = sum(bool(labels[i]) for i in order[at:end])
        no_here = end - at - yes_here
        won += yes_here * (below + no_here / 2)
        below += no_here
        at = end
    return won / (yes * no)


def rerank_gain(groups: Sequence[Sequence[Candidate]], iou_limit: float = 0.5) -> dict[str, float]:
    """What the verifier's first candidate is worth against the grounder's; equal scores keep the order of the list.

    Args:
        groups: For each question, its candidates; none counts as overlap 0.
        iou_limit: From which overlap a candidate is right.

    Returns:
        R1@0.5 (or whatever the limit is) and mIoU, each "_before" in the grounder's order, "_after" in the verifier's,
        and "_gain", the difference, which is below 0 where the verifier harms.

    Raises:
        ValueError: No questions.
    """
    if not groups:
        raise ValueError("no questions to score")
    before = [max(group, key=lambda c: c[0])[2] if group else 0.0 for group in groups]
    after = [max(group, key=lambda c: c[1])[2] if group else 0.0 for group in groups]
    figures: dict[str, float] = {}
    for name, was, is_now in (
        (f"R1@{iou_limit:g}", mean([v >= iou_limit for v in before]), mean([v >= iou_limit for v in after])),
        ("mIoU", mean(before), mean(after)),
    ):
        figures |= {f"{name}_before": was, f"{name}_after": is_now, f"{name}_gain": is_now - was}
    return figures


def route_scores(routes: Sequence[tuple[Hashable, Hashable | None]]) -> dict[str, float]:
    """The planner's figures: "route_accuracy", the share of exactly right routes, and "parse_rate".

    Args:
        routes: For each question, the right route, and the planner's or None where its reply could not be read.

    Raises:
        ValueError: No questions, or a right route that is None.
    """
    if any(true is None for true, _ in routes):
        raise ValueError("a question without a right route cannot be scored: leave it out")
    return {
        "route_accuracy": accuracy([said == true for true, said in routes]),
        "parse_rate": accuracy([said is not None for _, said in routes]),
    }


def accuracy(right: Sequence[bool]) -> float:
    """Share of questions that were answered rightly; one without an answer is not.

    Raises:
        ValueError: No questions.
    """
    if not right:
        raise ValueError("no questions to score")
    return mean(right)


def mean(values: Sequence[float]) -> float:
    """The mean of at least one value, summed without rounding on the way."""
    return math.fsum(values) / len(values)


def check_pairs(predictions: Sequence[object], truths: Sequence[object]) -> None:
    """Refuses lists that do not match.

    Raises:
        ValueError: They differ in length, or are empty.
    """
    if len(predictions) != len(truths):
        raise ValueError(f"{len(predictions)} predictions for {len(truths)} truths: expected one each")
    if not predictions:
        raise ValueError("no questions to score")
