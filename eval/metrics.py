"""What was predicted for a question and what is true go in; the figures of the field's benchmarks, 0 to 1, come out.

Every figure is a mean over questions, so each has a value for one question (`question_values`, `moment_values`,
`highlight_values`): `means` averages them, `interval` says how sure the average is, and two runs can be compared
question by question. A missing prediction is an empty list of spans or `right=False` and counts as wrong; a span
without length is no answer. Spans and windows are in seconds, best first. QVHighlights' figures are in eval.highlights.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from eval.highlights import highlight_ap, highlight_values, moment_retrieval, moment_values, window_iou
from roles.scores import IOU_LIMITS, accuracy, best_iou, check_pairs, mean, mean_iou, recall_at
from roles.types import Span

if TYPE_CHECKING:
    from eval.exam_scores import Figure

__all__ = [
    "acc_gqa",
    "acc_iou",
    "accuracy",
    "best_iop",
    "best_iou",
    "cgbench_scores",
    "highlight_ap",
    "highlight_values",
    "interval",
    "mean_iop",
    "mean_iou",
    "means",
    "moment_retrieval",
    "moment_values",
    "question_values",
    "recall_at",
    "union_iou",
    "window_iou",
]

RIGHT_FROM = 0.5
"""From this IoP (NExT-GQA) or IoU (ReXTime) on, a right answer also counts as grounded."""
RANKS = (1, 3, 5)
CG_LIMITS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""IoU limits over which CG-Bench averages."""


def best_iop(predicted: Span | None, truths: Sequence[Span]) -> float:
    """Largest share of a span that lies inside one true span; 0 without a prediction, and for one without length.

    Raises:
        ValueError: There is no true span to compare with.
    """
    if not truths:
        raise ValueError("a question without true spans cannot be scored: leave it out")
    if predicted is None or predicted.length_s <= 0:
        return 0.0
    inside_s = (min(predicted.end_s, true.end_s) - max(predicted.start_s, true.start_s) for true in truths)
    return max(0.0, *inside_s) / predicted.length_s


def union_iou(predicted: Sequence[Span], truths: Sequence[Span]) -> float:
    """CG-Bench's overlap: everything predicted against everything true, time that is in two spans counted once.

    Raises:
        ValueError: There is no true span to compare with.
    """
    if not truths:
        raise ValueError("a question without true spans cannot be scored: leave it out")
    ours, theirs = _merged(predicted), _merged(truths)
    overlap_s = math.fsum(max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s)) for a in ours for b in theirs)
    union_s = math.fsum(span.length_s for span in _merged([*ours, *theirs]))
    return min(1.0, overlap_s / union_s) if union_s > 0 else 0.0


def question_values(
    predicted: Sequence[Span], truths: Sequence[Span], right: bool | None = None, answer_spans: int = 1
) -> dict[str, float]:
    """Every figure of one question; which there are depends on what is known about it.

    Args:
        predicted: Spans, best first; none where nothing was found.
        truths: The true spans; none where nobody marked any.
        right: Whether the answer is the right one, False without an answer; None where nothing was to be answered.
        answer_spans: The first so many spans together are the answer in CG-Bench's figures.

    Returns:
        With `right`: Acc. With true spans: mIoU, mIoP, R1@0.3 to R5@0.7 (IoU) and their like "IoP R1@0.3"; union mIoU
        and rec@IoU (CG-Bench). With both: Acc@GQA, Acc@IoU (ReXTime) and acc@IoU (CG-Bench).
    """
    values: dict[str, float] = {}
    if right is not None:
        values["Acc"] = float(right)
    if not truths:
        return values
    ious = [best_iou(span, truths) for span in predicted[: max(RANKS)]] or [0.0]
    iops = [best_iop(span, truths) for span in predicted[: max(RANKS)]] or [0.0]
    values |= {"mIoU": ious[0], "mIoP": iops[0]}
    for name, overlaps in (("", ious), ("IoP ", iops)):
        values |= {f"{name}R{k}@{m}": float(max(overlaps[:k]) >= m) for k in RANKS for m in IOU_LIMITS}
    whole = union_iou(predicted[:answer_spans], truths)
    values |= {"union mIoU": whole, "rec@IoU": mean([whole >= limit for limit in CG_LIMITS])}
    if right is not None:
        values["Acc@GQA"] = float(right and iops[0] >= RIGHT_FROM)
        values["Acc@IoU"] = float(right and ious[0] >= RIGHT_FROM)
        values["acc@IoU"] = values["rec@IoU"] * float(right)
    return values


def means(values: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Each figure's mean over those questions that have it.

    Raises:
        ValueError: No questions.
    """
    lists: dict[str, list[float]] = {}
    for one in values:
        for name, value in one.items():
            lists.setdefault(name, []).append(value)
    if not lists:
        raise ValueError("no questions to score")
    return {name: mean(several) for name, several in lists.items()}


def interval(values: Sequence[float], sets: Sequence[Hashable] | None = None) -> Figure:
    """A mean with its 95 % interval, by bootstrap over sets.

    Args:
        values: One per question.
        sets: The set (matched films, or a video) that each question belongs to; None makes each its own.

    Raises:
        ValueError: No questions, or not one set for each.
    """
    from eval.exam_scores import figure

    named: Sequence[Hashable] = range(len(values)) if sets is None else sets
    check_pairs(values, named)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(named))}
    found = figure([(numbers[name], float(value)) for name, value in zip(named, values, strict=True)])
    assert found is not None  # noqa: S101 - there is at least one value: checked above
    return found


def mean_iop(predictions: Sequence[Sequence[Span]], truths: Sequence[Sequence[Span]]) -> float:
    """Mean over questions of the first span's best IoP.

    Raises:
        ValueError: No questions, lists of two lengths, or a question without true spans.
    """
    check_pairs(predictions, truths)
    pairs = zip(predictions, truths, strict=True)
    return mean([best_iop(spans[0] if spans else None, true) for spans, true in pairs])


def acc_gqa(right: Sequence[bool], predictions: Sequence[Sequence[Span]], truths: Sequence[Sequence[Span]]) -> float:
    """NExT-GQA: share of all questions with the right answer and a first span whose IoP is at least 0.5.

    Raises:
        ValueError: As in `mean_iop`.
    """
    return _all_answered("Acc@GQA", right, predictions, truths)


def acc_iou(right: Sequence[bool], predictions: Sequence[Sequence[Span]], truths: Sequence[Sequence[Span]]) -> float:
    """ReXTime: share of all questions with the right answer and a first span whose IoU is at least 0.5.

    Raises:
        ValueError: As in `mean_iop`.
    """
    return _all_answered("Acc@IoU", right, predictions, truths)


def cgbench_scores(
    right: Sequence[bool],
    predictions: Sequence[Sequence[Span]],
    truths: Sequence[Sequence[Span]],
    answer_spans: int = 1,
) -> dict[str, float]:
    """CG-Bench: long-acc, mIoU over unions, rec@IoU and acc@IoU, the last two averaged over limits 0.1 to 0.5.

    Raises:
        ValueError: As in `mean_iop`.
    """
    _check_grounded(right, predictions, truths)
    rows = zip(predictions, truths, right, strict=True)
    found = means(question_values(spans, true, bool(ok), answer_spans) for spans, true, ok in rows)
    names = {"long-acc": "Acc", "mIoU": "union mIoU", "rec@IoU": "rec@IoU", "acc@IoU": "acc@IoU"}
    return {ours: found[theirs] for ours, theirs in names.items()}


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted((span for span in spans if span.length_s > 0), key=lambda one: one.start_s):
        if merged and span.start_s <= merged[-1].end_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return merged


def _all_answered(
    name: str, right: Sequence[bool], predictions: Sequence[Sequence[Span]], truths: Sequence[Sequence[Span]]
) -> float:
    _check_grounded(right, predictions, truths)
    rows = zip(predictions, truths, right, strict=True)
    return mean([question_values(spans, true, bool(ok))[name] for spans, true, ok in rows])


def _check_grounded(
    right: Sequence[bool], predictions: Sequence[Sequence[Span]], truths: Sequence[Sequence[Span]]
) -> None:
    check_pairs(predictions, truths)
    check_pairs(right, truths)
    if not all(truths):
        raise ValueError("a question without true spans cannot be scored: leave it out")
