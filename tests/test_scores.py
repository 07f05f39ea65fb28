"""Figures of merit: answers worked out by hand, and properties that hold for any predictions."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.scores import (
    accuracy,
    auc,
    best_iou,
    mean_iou,
    recall_at,
    rerank_gain,
    route_scores,
    span_scores,
)
from roles.types import Span

ends = st.integers(0, 200).map(lambda tenth: tenth / 10)
spans = st.tuples(ends, ends).map(lambda pair: Span(min(pair), max(pair)))
long_spans = st.tuples(ends, st.integers(1, 99)).map(lambda pair: Span(pair[0], pair[0] + pair[1] / 10))
questions = st.lists(
    st.tuples(st.lists(spans, max_size=4), st.lists(long_spans, min_size=1, max_size=3)), min_size=1, max_size=8
)
scores = st.one_of(st.integers(0, 4).map(float), st.floats(-1, 1))
judged = st.lists(st.tuples(scores, st.booleans()), min_size=1, max_size=30)
candidates = st.tuples(st.floats(0, 1), st.floats(-1, 1), st.floats(0, 1))

# Overlaps of the first spans: 5 of 10 (0.5), 4 of 8 by the second true span (0.5), none (0), 3 of 3 (1).
PREDICTIONS = [[Span(0, 10), Span(0, 5)], [Span(20, 28)], [Span(1, 2), Span(6, 9)], [Span(4, 7)]]
TRUTHS = [[Span(0, 5)], [Span(0, 9), Span(24, 28)], [Span(5, 10)], [Span(4, 7)]]


def test_figures_of_four_questions_are_those_worked_out_by_hand() -> None:
    assert mean_iou(PREDICTIONS, TRUTHS) == pytest.approx(0.5)
    assert span_scores(PREDICTIONS, TRUTHS) == {
        "mIoU": pytest.approx(0.5),
        "R1@0.3": 0.75,
        "R1@0.5": 0.75,
        "R1@0.7": 0.25,
    }
    assert recall_at(PREDICTIONS, TRUTHS, 0.6, k=2) == 0.75
    assert recall_at(PREDICTIONS, TRUTHS, 0.6, k=1) == 0.25


def test_an_overlap_of_exactly_the_limit_counts() -> None:
    assert recall_at([[Span(0, 10)]], [[Span(0, 3)]], 0.3) == 1.0
    assert recall_at([[Span(0, 10)]], [[Span(0, 7)]], 0.7) == 1.0


def test_a_question_without_a_prediction_counts_as_wrong() -> None:
    assert mean_iou([[], [Span(0, 1)]], [[Span(0, 1)], [Span(0, 1)]]) == 0.5
    assert recall_at([[], [Span(0, 1)]], [[Span(0, 1)], [Span(0, 1)]], 0.5) == 0.5


def test_a_span_without_length_overlaps_nothing() -> None:
    assert best_iou(Span(2, 2), [Span(0, 4)]) == 0.0
    assert best_iou(Span(2, 2), [Span(2, 2)]) == 0.0
    assert best_iou(None, [Span(0, 4)]) == 0.0


@given(questions)
def test_figures_stay_between_0_and_1_and_do_not_rise_with_the_limit(
    asked: list[tuple[list[Span], list[Span]]],
) -> None:
    predicted, true = [p for p, _ in asked], [t for _, t in asked]
    metrics = span_scores(predicted, true)
    assert all(0 <= value <= 1 for value in metrics.values())
    assert metrics["R1@0.3"] >= metrics["R1@0.5"] >= metrics["R1@0.7"]
    assert recall_at(predicted, true, 0.5, k=3) >= metrics["R1@0.5"]


@given(questions, st.randoms(use_true_random=False))
def test_the_order_of_questions_and_of_true_spans_does_not_matter(
    asked: list[tuple[list[Span], list[Span]]], shuffler: random.Random
) -> None:
    mixed = [(predicted, shuffler.sample(true, len(true))) for predicted, true in asked]
    shuffler.shuffle(mixed)
    before = span_scores([p for p, _ in asked], [t for _, t in asked])
    after = span_scores([p for p, _ in mixed], [t for _, t in mixed])
    assert after == pytest.approx(before)


@given(questions)
def test_predicting_a_true_span_scores_highest(asked: list[tuple[list[Span], list[Span]]]) -> None:
    true = [t for _, t in asked]
    assert set(span_scores([[t[-1]] for t in true], true).values()) == {1.0}


def test_auc_counts_pairs_in_the_right_order_and_half_for_ties() -> None:
    # Pairs of a Yes (0.9, 0.4, 0.4) and a No (0.4, 0.1): 2 + (0.5 + 1) * 2 = 5 of 6.
    assert auc([0.9, 0.4, 0.4, 0.4, 0.1], [True, True, True, False, False]) == pytest.approx(5 / 6)
    assert auc([0.1, 0.9], [True, False]) == 0.0
    assert auc([0.5, 0.5], [True, False]) == 0.5
    assert auc([0.5, 0.6], [True, True]) is None
    assert auc([0.5, 0.6], [False, False]) is None


@given(judged)
def test_auc_is_the_share_of_pairs_and_only_depends_on_the_order(pairs: list[tuple[float, bool]]) -> None:
    values, labels = [v for v, _ in pairs], [label for _, label in pairs]
    yes, no = [v for v, label in pairs if label], [v for v, label in pairs if not label]
    found = auc(values, labels)
    if not (yes and no):
        assert found is None
        return
    won = sum((a > b) + (a == b) / 2 for a in yes for b in no)
    assert found == pytest.approx(won / (len(yes) * len(no)))
    assert auc([-v for v in values], labels) == pytest.approx(1 - won / (len(yes) * len(no)))
    assert auc(values[::-1], labels[::-1]) == pytest.approx(found)


def test_reranking_is_compared_with_the_grounders_order() -> None:
    groups = [
        [(0.9, -0.2, 0.2), (0.5, 0.3, 0.8)],  # mended
        [(0.9, 0.1, 0.6), (0.5, 0.0, 0.1)],  # left right
        [(0.9, 0.0, 0.5), (0.5, 0.6, 0.4)],  # spoilt
        [],
    ]
    assert rerank_gain(groups) == {
        "R1@0.5_before": 0.5,
        "R1@0.5_after": 0.5,
        "R1@0.5_gain": 0.0,
        "mIoU_before": pytest.approx(1.3 / 4),
        "mIoU_after": pytest.approx(1.8 / 4),
        "mIoU_gain": pytest.approx(0.5 / 4),
    }
    assert rerank_gain(groups[:1])["R1@0.5_gain"] == 1.0
    assert rerank_gain(groups[2:3])["R1@0.5_gain"] == -1.0


def test_a_verifier_that_cannot_decide_changes_nothing() -> None:
    assert rerank_gain([[(0.4, 0.5, 0.1), (0.4, 0.5, 0.7)]])["mIoU_gain"] == 0.0


@given(st.lists(st.lists(candidates, max_size=5), min_size=1, max_size=6))
def test_no_order_beats_that_of_the_true_overlaps(groups: list[list[tuple[float, float, float]]]) -> None:
    gain = rerank_gain(groups)
    best = rerank_gain([[(confidence, overlap, overlap) for confidence, _, overlap in group] for group in groups])
    for name in ("R1@0.5", "mIoU"):
        assert 0 <= gain[f"{name}_after"] <= best[f"{name}_after"] <= 1
        assert best[f"{name}_gain"] >= 0


def test_a_plan_that_cannot_be_read_is_neither_parsed_nor_right() -> None:
    found = route_scores([("ground", "ground"), ("answer", None), ("answer", "answer"), ("ground", "moment")])
    assert found == {"route_accuracy": 0.5, "parse_rate": 0.75}


def test_accuracy_is_the_share_of_right_answers() -> None:
    assert accuracy([True, False, False, True, True]) == 0.6
    assert accuracy([True] * 3) == 1.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mean_iou([], []), "no questions"),
        (lambda: mean_iou([[Span(0, 1)]], []), "1 predictions for 0 truths"),
        (lambda: mean_iou([[Span(0, 1)]], [[]]), "without true spans"),
        (lambda: mean_iou([[]], [[]]), "without true spans"),
        (lambda: recall_at([[Span(0, 1)]], [[Span(0, 1)]], 0.0), "iou_limit"),
        (lambda: recall_at([[Span(0, 1)]], [[Span(0, 1)]], 0.5, k=0), "k 0"),
        (lambda: recall_at([[]], [[]], 0.5), "without true spans"),
        (lambda: auc([float("nan"), 0.5], [True, False]), "finite"),
        (lambda: auc([0.5], [True, False]), "1 predictions for 2 truths"),
        (lambda: rerank_gain([]), "no questions"),
        (lambda: accuracy([]), "no questions"),
        (lambda: route_scores([]), "no questions"),
        (lambda: route_scores([(None, "ground")]), "without a right route"),
    ],
)
def test_what_cannot_be_scored_is_refused(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
