"""QVHighlights' figures against a second way to work them out, with arrays, from its rules; odd predictions."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.highlights import highlight_ap, moment_values, window_iou
from eval.score import qvhighlights_scores

Rows = Sequence[Mapping[str, Any]]
LIMITS = [round(0.5 + 0.05 * step, 2) for step in range(10)]
LENGTHS = {"short": (0, 10), "middle": (10, 30), "long": (30, 150), "full": (0, 10**6)}


def _percent(value: float) -> float:
    return float(f"{100 * value:.2f}")


def _overlaps(windows: Any, truths: Any) -> NDArray[np.float64]:
    """[windows, truths]: shared time over the sum of both lengths less what is shared."""
    ours, theirs = (np.array(some, dtype=float).reshape(len(some), -1) for some in (windows, truths))
    first = np.maximum(ours[:, None, 0], theirs[None, :, 0])
    last = np.minimum(ours[:, None, 1], theirs[None, :, 1])
    shared = np.clip(last - first, 0, None)
    lengths = (ours[:, 1] - ours[:, 0])[:, None] + (theirs[:, 1] - theirs[:, 0])[None, :]
    found: NDArray[np.float64] = shared / (lengths - shared)
    return found


def _stretched(window: Any, truths: Any) -> NDArray[np.float64]:
    """[truths]: shared time over the stretch from the first start to the last end; what recall looks at."""
    theirs = np.array(truths, dtype=float)
    shared = np.clip(np.minimum(window[1], theirs[:, 1]) - np.maximum(window[0], theirs[:, 0]), 0, None)
    found: NDArray[np.float64] = shared / (np.maximum(window[1], theirs[:, 1]) - np.minimum(window[0], theirs[:, 0]))
    return found


def _ap(windows: Any, truths: Any, limit: float) -> float:
    """The area under the falling hull of precision over recall."""
    ranked = sorted(windows[:10], key=lambda one: one[2], reverse=True)  # equal scores keep their order
    overlaps = _overlaps(ranked, truths)
    free = np.ones(len(truths), dtype=bool)
    hits = np.zeros(len(ranked))
    for place in range(len(ranked)):
        open_ones = [(overlaps[place, at], at) for at in range(len(truths)) if free[at]]
        reached = [pair for pair in open_ones if pair[0] >= limit]
        if reached:
            hits[place] = 1
            free[max(reached)[1]] = False
    found = np.cumsum(hits)
    precision, recall = found / np.arange(1, len(ranked) + 1), found / len(truths)
    hull = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * hull))


def _clip_ap(scores: Any, relevant: NDArray[np.bool_]) -> float:
    if relevant.all() or not relevant.any():
        return float(relevant.all())
    padded = np.zeros(len(relevant))
    padded[: len(scores)] = scores[: len(relevant)]
    steps = [padded >= threshold for threshold in np.unique(padded)[::-1]]
    precision = [float(relevant[chosen].mean()) for chosen in steps]
    recall = [0.0, *(float(relevant[chosen].sum() / relevant.sum()) for chosen in steps)]
    return float(np.mean([max(precision[at:]) for at in range(len(steps)) if recall[at + 1] > recall[at]]))


def _second_opinion(truth: Rows, predictions: Rows) -> dict[str, Any]:
    """What QVHighlights publishes as its rules, written down a second time."""
    given = {one["qid"]: one for one in predictions}
    found: dict[str, Any] = {"brief": {}}
    for name, (over, up_to) in LENGTHS.items():
        kept = {
            one["qid"]: [window for window in one["relevant_windows"] if over < window[1] - window[0] <= up_to]
            for one in truth
        }
        kept = {qid: windows for qid, windows in kept.items() if windows}
        if not kept:
            continue
        pairs = [(given[qid]["pred_relevant_windows"], windows) for qid, windows in kept.items()]
        aps = {str(limit): float(np.mean([_ap(*pair, limit) for pair in pairs])) for limit in LIMITS}
        best = np.array([_stretched(ours[0], true).max() for ours, true in pairs])
        found[name] = {
            "MR-mAP": {limit: _percent(ap) for limit, ap in aps.items()}
            | {"average": _percent(float(np.mean(list(aps.values()))))},
            "MR-R1": {str(limit): _percent(float(np.mean(best >= limit))) for limit in LIMITS},
        }
        found["brief"][f"MR-{name}-mAP"] = found[name]["MR-mAP"]["average"]
    full = found["full"]
    found["brief"] |= {f"MR-full-mAP@{limit}": full["MR-mAP"][limit] for limit in ("0.5", "0.75")}
    found["brief"] |= {f"MR-full-R1@{limit}": full["MR-R1"][limit] for limit in ("0.5", "0.7")}
    for name, least in (("Fair", 2), ("Good", 3), ("VeryGood", 4)):
        aps_of, hits = [], []
        for one in truth:
            scores = given[one["qid"]]["pred_saliency_scores"]
            rated = np.zeros((int(one["duration"] / 2), 3))
            rated[one["relevant_clip_ids"]] = one["saliency_scores"]
            liked = rated >= least
            aps_of.append([_clip_ap(scores, liked[:, worker]) for worker in range(3)])
            top = int(np.argmax(scores))
            hits.append(top < len(liked) and bool(liked[top].any()))
        found[f"HL-min-{name}"] = {
            "HL-mAP": _percent(float(np.mean(aps_of))),
            "HL-Hit1": _percent(float(np.mean(hits))),
        }
        found["brief"] |= {f"HL-min-{name}-{key[3:]}": value for key, value in found[f"HL-min-{name}"].items()}
    return found


def _queries(dice: random.Random, count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Truths and predictions with everything odd: ties, doubles, no order, no length, beyond the end, too few clips."""
    truth, predictions = [], []
    for qid in range(count):
        length_s = dice.choice([150, 150, 125.5, 41])
        clips = int(length_s / 2)
        starts = sorted(dice.sample(range(clips), 6))
        windows = [[2 * start, 2 * end] for start, end in zip(starts[::2], starts[1::2], strict=True)]
        windows = windows[: dice.randint(1, 3)]
        rated = [clip for clip in range(clips) if any(start <= 2 * clip < end for start, end in windows)]
        truth.append(
            {
                "qid": qid,
                "duration": length_s,
                "vid": f"v{qid // 2}",
                "relevant_windows": windows,
                "relevant_clip_ids": rated,
                "saliency_scores": [[dice.randint(0, 4) for _ in range(3)] for _ in rated],
            }
        )
        guesses: list[list[float]] = []
        for _ in range(dice.randint(1, 14)):
            start, end = dice.choice(windows)
            kind = dice.random()
            if kind < 0.5:  # near a true one, in whole clips or not
                step = dice.choice([2.0, 0.1])
                guess = [start + step * dice.randint(-3, 3), end + step * dice.randint(-3, 3)]
            elif kind < 0.6 and guesses:
                guess = guesses[-1][:2]
            elif kind < 0.7:
                guess = [end, end]
            elif kind < 0.8:
                guess = [140.0, 170.0]
            else:
                guess = [round(dice.uniform(0, 75), 4), round(dice.uniform(75, 150), 4)]
            guesses.append(
                [max(0.0, guess[0]), max(0.0, guess[0], guess[1]), dice.choice([0.1, 0.5, 0.9, dice.random()])]
            )
        scores = [dice.choice([-0.5, 0.0, 0.25, dice.uniform(-1, 1)]) for _ in range(clips + dice.randint(-5, 5))]
        predictions.append({"qid": qid, "pred_relevant_windows": guesses, "pred_saliency_scores": scores})
    dice.shuffle(predictions)
    return truth, predictions


def _write(path: Path, rows: Rows) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", range(8))
def test_all_figures_are_those_of_a_second_opinion(tmp_path: Path, seed: int) -> None:
    truth, predictions = _queries(random.Random(seed), 60 if seed else 400)  # noqa: S311 - no secret
    wanted = _second_opinion(truth, predictions)
    found = qvhighlights_scores(_write(tmp_path / "truth", truth), _write(tmp_path / "predictions", predictions))
    assert {name: found[name] for name in wanted} == wanted
    assert found.keys() - wanted.keys() == {"intervals", "videos", "counts"}


def test_average_precision_and_recall_divide_by_the_union_each_in_their_own_way() -> None:
    # The union of both is 4 s long, of which 2 are shared. Recall takes the stretch from the first start to the last
    # end, average precision both lengths less what is shared, as the official scorer does: the last bit differs.
    ours, true = [0.1, 2.3], [0.3, 4.1]
    assert window_iou(ours, true) == 0.5 > _overlaps([ours], [true])[0, 0]
    values = moment_values([[*ours, 1.0]], [true])
    assert (values["R1@0.5"], values["mAP@0.5"]) == (1.0, 0.0)


def test_odd_windows_overlap_nothing_and_take_a_place_all_the_same() -> None:
    truths = [[0, 10]]
    for odd in ([10, 10, 0.9], [8, 2, 0.9], [200, 300, 0.9]):
        values = moment_values([odd, [0, 10, 0.5]], truths)
        assert (values["R1@0.5"], values["mAP"]) == (0.0, 0.5)
    # Doubles of a window that is found are misses behind it, and do not lower what stands before them.
    assert moment_values([[0, 10, 0.9], [0, 10, 0.9], [0, 10, 0.9]], truths)["mAP"] == 1.0
    # Of equal scores the first in the list counts first.
    assert moment_values([[50, 60, 0.5], [0, 10, 0.5]], truths)["mAP"] == 0.5


def test_where_everything_is_a_highlight_any_order_is_perfect() -> None:
    assert highlight_ap([0.3, 0.1], [True, True, True]) == 1.0
