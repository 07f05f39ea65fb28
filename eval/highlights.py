"""Predicted windows or saliency scores of a query and the truth go in; QVHighlights' figures, 0 to 1, come out.

They are counted as its official scorer counts them, except that a query without a prediction is wrong and not left out.
Every figure is a mean over queries: `eval.metrics.means` averages what is given here for one query.
"""

from __future__ import annotations

from collections.abc import Sequence

from roles.scores import mean

MAP_LIMITS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""IoU limits over which QVHighlights averages."""
WINDOW_LENGTHS_S = {"short": (0, 10), "middle": (10, 30), "long": (30, 150)}
"""QVHighlights' kinds of true windows: longer than the first number of seconds, up to the second."""
MAX_WINDOWS = 10
"""QVHighlights' mAP looks at so many windows of a prediction."""
RATINGS = {"Fair": 2, "Good": 3, "VeryGood": 4}
"""From which rating (0 to 4) a clip counts as a highlight, three strictnesses."""

TrueWindow = Sequence[float]
"""(start, end)"""
Window = Sequence[float]
"""(start, end, score); may lie anywhere: one that ends before it starts overlaps nothing."""


def window_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Overlap of two windows, 0 to 1, of which only (start, end) is read.

    The overlap is divided by the stretch from the first start to the last end, which is the union wherever there is
    an overlap: one subtraction instead of three, so that 0.7 stays 0.7 where a limit of 0.7 is applied. The official
    scorer does so for R1; for average precision see `_added_iou`.
    """
    return _shared_s(a, b) / (max(a[1], b[1]) - min(a[0], b[0])) if _shared_s(a, b) else 0.0


def moment_values(predicted: Sequence[Window], truths: Sequence[TrueWindow]) -> dict[str, float]:
    """QVHighlights' moment retrieval for one query: R1@m of the first window, mAP@m, and mAP averaged over limits.

    Args:
        predicted: Windows in the order of the prediction: the first is the one that R1 looks at.
        truths: The true windows, at least one.

    Raises:
        ValueError: There is no true window.
    """
    if not truths:
        raise ValueError("a query without true windows cannot be scored: leave it out")
    first = max(window_iou(predicted[0], true) for true in truths) if predicted else 0.0
    aps = _detection_aps(predicted[:MAX_WINDOWS], truths)
    return {
        **{f"R1@{limit}": float(first >= limit) for limit in MAP_LIMITS},
        **{f"mAP@{limit}": ap for limit, ap in zip(MAP_LIMITS, aps, strict=True)},
        "mAP": mean(aps),
    }


def moment_retrieval(
    predictions: Sequence[Sequence[Window]], truths: Sequence[Sequence[TrueWindow]]
) -> dict[str, dict[int, dict[str, float]]]:
    """QVHighlights' moment retrieval by length of the true windows: "full", "long", "middle" and "short".

    For a length only the true windows of that length count and only queries that have one; predictions stay whole.

    Returns:
        For each length, `moment_values` of its queries by their number in the lists; `means` averages them. Empty
        where no query has such a window.

    Raises:
        ValueError: No queries, lists of two lengths, or a query without true windows.
    """
    if len(predictions) != len(truths):
        raise ValueError(f"{len(predictions)} predictions for {len(truths)} truths: expected one each")
    if not truths:
        raise ValueError("no queries to score")
    pairs = list(enumerate(zip(predictions, truths, strict=True)))
    found = {"full": {number: moment_values(ours, true) for number, (ours, true) in pairs}}
    for name, (over_s, up_to_s) in reversed(WINDOW_LENGTHS_S.items()):
        found[name] = {}
        for number, (ours, true) in pairs:
            if kept := [window for window in true if over_s < window[1] - window[0] <= up_to_s]:
                found[name][number] = moment_values(ours, kept)
    return found


def highlight_ap(scores: Sequence[float], relevant: Sequence[bool]) -> float:
    """Interpolated average precision of clips ranked by score, as QVHighlights computes it.

    Clips of equal score enter together. At each score where recall grows counts the best precision from there on
    down, and these are averaged without weights (the area under the curve would weigh them by the growth).

    Args:
        scores: One per clip; clips without one get 0, and scores beyond the last clip are left out. No scores at all
            is a missing prediction: 0.
        relevant: Whether each clip is a highlight; 0 where none is.
    """
    if not scores or not any(relevant):
        return 0.0
    padded = [*scores[: len(relevant)], *[0.0] * (len(relevant) - len(scores))]
    order = sorted(range(len(padded)), key=lambda clip: -padded[clip])
    precisions = []
    hits = before = 0
    for rank, clip in enumerate(order, start=1):
        hits += bool(relevant[clip])
        if rank < len(order) and padded[order[rank]] == padded[clip]:
            continue
        if hits > before:
            precisions.append(hits / rank)
        before = hits
    best = 0.0
    for at in reversed(range(len(precisions))):
        precisions[at] = best = max(best, precisions[at])
    return mean(precisions)


def highlight_values(scores: Sequence[float], ratings: Sequence[Sequence[int]]) -> dict[str, float]:
    """QVHighlights' highlight detection for one query: mAP and Hit@1 for Fair, Good and VeryGood.

    Args:
        scores: Predicted saliency of each clip of two seconds; none where it is missing.
        ratings: [clips, workers], 0 to 4: what each person thought of each clip.

    Returns:
        "Fair-mAP", the mean over workers, "Fair-Hit1", whether any worker likes the clip of the highest score (the
        first of several), and so on.
    """
    top = max(range(len(scores)), key=lambda clip: (scores[clip], -clip)) if scores else len(ratings)
    values: dict[str, float] = {}
    for name, least in RATINGS.items():
        workers = zip(*ratings, strict=True)
        values[f"{name}-mAP"] = mean([highlight_ap(scores, [one >= least for one in given]) for given in workers])
        values[f"{name}-Hit1"] = float(top < len(ratings) and max(ratings[top]) >= least)
    return values


def _shared_s(a: Sequence[float], b: Sequence[float]) -> float:
    """Seconds that two windows share; none where one of them ends where or before it starts."""
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0])) if a[0] < a[1] and b[0] < b[1] else 0.0


def _added_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """The same overlap over both lengths less what is shared, as the official scorer has it for average precision.

    It can differ from `window_iou` in the last bit, and by that at a limit.
    """
    shared_s = _shared_s(a, b)
    return shared_s / ((a[1] - a[0]) + (b[1] - b[0]) - shared_s) if shared_s else 0.0


def _detection_aps(predicted: Sequence[Window], truths: Sequence[TrueWindow]) -> list[float]:
    """Interpolated average precision at each of MAP_LIMITS; each true window can be found once."""
    ranked = sorted(predicted, key=lambda window: -window[2])
    # Each prediction tries the true windows in falling overlap, the later of equal ones first.
    tries = [
        sorted(((_added_iou(window, true), at) for at, true in enumerate(truths)), reverse=True) for window in ranked
    ]
    aps = []
    for limit in MAP_LIMITS:
        found: set[int] = set()
        precisions = []
        for rank, overlaps in enumerate(tries, start=1):
            new = next((at for overlap, at in overlaps if overlap >= limit and at not in found), None)
            if new is not None:
                found.add(new)
                precisions.append(len(found) / rank)
        best, total = 0.0, 0.0
        for precision in reversed(precisions):
            best = max(best, precision)
            total += best
        aps.append(total / len(truths))
    return aps
