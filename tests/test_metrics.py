"""Benchmarks' figures: answers worked out by hand, and properties that hold for any predictions."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.metrics import (
    acc_gqa,
    acc_iou,
    accuracy,
    best_iop,
    cgbench_scores,
    highlight_ap,
    highlight_values,
    interval,
    mean_iop,
    mean_iou,
    means,
    moment_retrieval,
    moment_values,
    question_values,
    recall_at,
    union_iou,
    window_iou,
)
from roles.types import Span

ends = st.integers(0, 200).map(lambda tenth: tenth / 10)
spans = st.tuples(ends, ends).map(lambda pair: Span(min(pair), max(pair)))
long_spans = st.tuples(ends, st.integers(1, 99)).map(lambda pair: Span(pair[0], pair[0] + pair[1] / 10))
Question = tuple[list[Span], list[Span], bool]
question_lists = st.lists(
    st.tuples(st.lists(spans, max_size=6), st.lists(long_spans, min_size=1, max_size=3), st.booleans()),
    min_size=1,
    max_size=8,
)
true_windows = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda pair: [2 * pair[0], 2 * sum(pair)])
windows = st.tuples(st.integers(0, 150), st.integers(0, 150), st.floats(0, 1)).map(list)
Query = tuple[list[list[float]], list[list[float]]]
query_lists = st.lists(
    st.tuples(st.lists(windows, max_size=12), st.lists(true_windows, min_size=1, max_size=4)), min_size=1, max_size=6
)
ratings = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12)

# First spans: IoU 5/10, IoP 5/10; IoU 4/8, IoP 4/8; none; exact.
PREDICTIONS = [[Span(0, 10), Span(0, 5)], [Span(20, 28)], [], [Span(4, 7)]]
TRUTHS = [[Span(0, 5)], [Span(0, 9), Span(24, 28)], [Span(5, 10)], [Span(4, 7)]]
RIGHT = [True, False, True, True]


def test_iop_is_the_share_of_the_prediction_that_is_true() -> None:
    assert best_iop(Span(0, 4), [Span(3, 20)]) == 0.25
    assert best_iop(Span(5, 6), [Span(0, 100)]) == 1.0
    # The best single true span, 2 of 8 seconds, and not both together, 4 of 8.
    assert best_iop(Span(0, 8), [Span(0, 2), Span(6, 8)]) == 0.25
    assert mean_iop(PREDICTIONS, TRUTHS) == pytest.approx((0.5 + 0.5 + 0 + 1) / 4)


def test_a_span_without_length_is_no_answer() -> None:
    assert best_iop(Span(2, 2), [Span(0, 4)]) == 0.0
    assert best_iop(None, [Span(0, 4)]) == 0.0
    assert acc_gqa([True], [[Span(2, 2)]], [[Span(0, 4)]]) == 0.0
    assert union_iou([Span(2, 2)], [Span(0, 4)]) == 0.0
    assert recall_at([[Span(2, 2), Span(0, 4)]], [[Span(0, 4)]], 0.5, k=1) == 0.0
    assert window_iou([3, 3, 1.0], [3, 3]) == 0.0


def test_an_answer_is_grounded_from_half_on_and_counted_over_all_questions() -> None:
    assert acc_gqa(RIGHT, PREDICTIONS, TRUTHS) == 0.5
    assert acc_iou(RIGHT, PREDICTIONS, TRUTHS) == 0.5
    # Inside a long true span: IoP 1, IoU 0.2.
    assert acc_gqa([True], [[Span(2, 4)]], [[Span(0, 10)]]) == 1.0
    assert acc_iou([True], [[Span(2, 4)]], [[Span(0, 10)]]) == 0.0


def test_the_union_counts_time_once() -> None:
    # Predicted 0-6 and 4-10 are 10 seconds; true 8-12 and 9-14 are 6 (8-14); 2 of 14 are shared.
    assert union_iou([Span(0, 6), Span(4, 10)], [Span(8, 12), Span(9, 14)]) == pytest.approx(2 / 14)
    assert union_iou([Span(0, 10)], [Span(0, 2), Span(8, 10)]) == pytest.approx(0.4)
    assert union_iou([], [Span(0, 2)]) == 0.0


def test_cg_bench_averages_over_limits_from_a_tenth_to_a_half() -> None:
    # Overlaps 0.4 (4 of the 5 limits), 1 (all), 0.
    predictions = [[Span(0, 10)], [Span(1, 3)], []]
    truths = [[Span(0, 2), Span(8, 10)], [Span(1, 3)], [Span(0, 1)]]
    assert cgbench_scores([True, False, True], predictions, truths) == {
        "long-acc": pytest.approx(2 / 3),
        "mIoU": pytest.approx(1.4 / 3),
        "rec@IoU": pytest.approx((0.8 + 1) / 3),
        "acc@IoU": pytest.approx(0.8 / 3),
    }
    two = [[Span(0, 2), Span(8, 10)]]
    assert cgbench_scores([True], two, truths[:1])["mIoU"] == pytest.approx(0.5)
    assert cgbench_scores([True], two, truths[:1], answer_spans=2)["mIoU"] == 1.0


def test_values_of_one_question_are_those_worked_out_by_hand() -> None:
    values = question_values([Span(0, 1), Span(4, 8)], [Span(4, 10)], right=True)
    assert values == {
        "Acc": 1.0,
        "mIoU": 0.0,
        "mIoP": 0.0,
        **{f"R1@{m}": 0.0 for m in (0.3, 0.5, 0.7)},
        **{f"R{k}@{m}": float(m < 0.6) for k in (3, 5) for m in (0.3, 0.5, 0.7)},
        **{f"IoP R1@{m}": 0.0 for m in (0.3, 0.5, 0.7)},
        **{f"IoP R{k}@{m}": 1.0 for k in (3, 5) for m in (0.3, 0.5, 0.7)},
        "union mIoU": 0.0,
        "rec@IoU": 0.0,
        "Acc@GQA": 0.0,
        "Acc@IoU": 0.0,
        "acc@IoU": 0.0,
    }
    assert question_values([], [], right=False) == {"Acc": 0.0}
    assert "Acc" not in question_values([], [Span(0, 1)])


def test_an_average_is_over_the_questions_that_have_the_figure() -> None:
    assert means([{"Acc": 1.0}, {"Acc": 0.0, "mIoU": 0.4}, {"mIoU": 0.2}]) == {
        "Acc": 0.5,
        "mIoU": pytest.approx(0.3),
    }


def test_intervals_are_drawn_over_sets() -> None:
    values = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    alone, pairs = interval(values), interval(values, ["a", "a", "b", "b", "c", "c", "d", "d"])
    assert alone.mean == pairs.mean == 0.5
    assert (alone.sets, pairs.sets) == (8, 4)
    assert pairs.high - pairs.low > alone.high - alone.low
    assert interval(values) == alone
    same = interval([0.25] * 5)
    assert (same.low, same.mean, same.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(("sets", "least"), [(20, 0.90), (60, 0.92)])
def test_an_interval_holds_the_true_share_about_as_often_as_it_says(sets: int, least: float) -> None:
    dice = random.Random(sets)  # noqa: S311 - no secret
    held = 0
    for _ in range(400):
        values, names = [], []
        for name in range(sets):
            share = dice.betavariate(3.0, 2.0)  # sets differ: their questions are not independent
            for _ in range(dice.randint(5, 15)):
                values.append(float(dice.random() < share))
                names.append(name)
        found = interval(values, names)
        held += found.low <= 0.6 <= found.high
    assert least <= held / 400 <= 0.98


@given(question_lists)
def test_figures_of_questions_stay_between_0_and_1(asked: list[Question]) -> None:
    found = means(question_values(predicted, true, right) for predicted, true, right in asked)
    assert all(0 <= value <= 1 for value in found.values())
    assert found["Acc@IoU"] <= found["Acc@GQA"] <= found["Acc"]
    assert found["R1@0.7"] <= found["R1@0.5"] <= found["R3@0.5"] <= found["R5@0.5"]
    assert found["mIoU"] <= found["mIoP"] + 1e-12


@given(question_lists)
def test_values_of_questions_average_to_the_figures_of_lists(asked: list[Question]) -> None:
    predictions, truths, right = [p for p, _, _ in asked], [t for _, t, _ in asked], [r for _, _, r in asked]
    found = means(question_values(*one) for one in asked)
    assert found["mIoU"] == pytest.approx(mean_iou(predictions, truths))
    assert found["mIoP"] == pytest.approx(mean_iop(predictions, truths))
    assert found["R3@0.5"] == pytest.approx(recall_at(predictions, truths, 0.5, k=3))
    assert found["Acc"] == pytest.approx(accuracy(right))
    assert found["Acc@GQA"] == pytest.approx(acc_gqa(right, predictions, truths))
    assert found["Acc@IoU"] == pytest.approx(acc_iou(right, predictions, truths))


@given(question_lists, st.randoms(use_true_random=False))
def test_the_order_of_questions_and_of_true_spans_does_not_matter(
    asked: list[Question], shuffler: random.Random
) -> None:
    mixed = [(predicted, shuffler.sample(true, len(true)), right) for predicted, true, right in asked]
    shuffler.shuffle(mixed)
    assert means(question_values(*one) for one in mixed) == pytest.approx(means(question_values(*one) for one in asked))


@given(question_lists)
def test_a_true_span_and_the_right_answer_score_highest(asked: list[Question]) -> None:
    perfect = [question_values(true, true, True, answer_spans=len(true)) for _, true, _ in asked]
    assert means(perfect) == pytest.approx(dict.fromkeys(perfect[0], 1.0))


@given(question_lists)
def test_a_question_without_a_prediction_counts_as_wrong(asked: list[Question]) -> None:
    before = means(question_values(*one) for one in asked)
    after = means([question_values(*one) for one in asked] + [question_values([], [Span(0, 1)], False)])
    share = len(asked) / (len(asked) + 1)
    assert after == pytest.approx({name: value * share for name, value in before.items()})


def test_average_precision_of_windows_is_that_worked_out_by_hand() -> None:
    truths = [[0, 10], [20, 30]]
    # Found, missed, found: precisions 1 and 2/3.
    found = moment_values([[0, 10, 0.9], [50, 60, 0.8], [20, 30, 0.7]], truths)
    assert found["mAP"] == found["mAP@0.75"] == pytest.approx((1 + 2 / 3) / 2)
    # Missed, found, found: precisions 1/2 and 2/3, the better of which counts for both.
    assert moment_values([[50, 60, 0.9], [0, 10, 0.8], [20, 30, 0.7]], truths)["mAP"] == pytest.approx(2 / 3)
    # An overlap of 0.8 reaches seven of the ten limits.
    nearly = moment_values([[0, 8, 1.0]], truths[:1])
    assert (nearly["mAP@0.5"], nearly["mAP@0.75"], nearly["mAP@0.95"]) == (1.0, 1.0, 0.0)
    assert nearly["mAP"] == pytest.approx(0.7)


def test_a_moment_can_be_found_once() -> None:
    assert moment_values([[0, 10, 0.9], [0, 10, 0.8]], [[0, 10], [20, 30]])["mAP"] == 0.5
    # The second window's best moment is taken, but it reaches the other by 8 of 12 seconds, up to a limit of 0.65.
    values = moment_values([[0, 10, 0.9], [0, 10, 0.8]], [[0, 10], [2, 12]])
    assert (values["mAP@0.65"], values["mAP@0.7"]) == (1.0, 0.5)


def test_recall_looks_at_the_first_window_and_precision_at_the_highest_scores() -> None:
    values = moment_values([[50, 60, 0.1], [0, 10, 0.9]], [[0, 10]])
    assert (values["R1@0.5"], values["mAP"]) == (0.0, 1.0)
    assert moment_values([[0, 7, 0.5]], [[0, 10]])["R1@0.7"] == 1.0


def test_precision_looks_at_ten_windows() -> None:
    misses = [[100, 110, 0.1]] * 9
    assert moment_values([*misses, [0, 10, 0.9]], [[0, 10]])["mAP"] == 1.0
    assert moment_values([*misses, *misses, [0, 10, 0.9]], [[0, 10]])["mAP"] == 0.0


def test_moments_are_counted_by_their_length_and_predictions_stay_whole() -> None:
    truths = [[[0, 10], [20, 50]], [[0, 12]], [[0, 150]]]
    predictions = [[[20, 50, 0.9], [0, 10, 0.8]], [[0, 12, 1.0]], []]
    found = moment_retrieval(predictions, truths)
    assert {name: sorted(queries) for name, queries in found.items()} == {
        "full": [0, 1, 2],
        "long": [2],
        "middle": [0, 1],
        "short": [0],
    }
    assert found["short"][0]["mAP"] == 0.5  # the window of 30 s stands first, and is a miss here
    assert found["middle"][0]["mAP"] == 1.0
    assert means(found["full"].values())["mAP"] == pytest.approx(2 / 3)


@given(query_lists)
def test_figures_of_moments_stay_between_0_and_1_and_do_not_rise_with_the_limit(queries: list[Query]) -> None:
    for found in moment_retrieval([p for p, _ in queries], [t for _, t in queries]).values():
        for values in found.values():
            assert all(0 <= value <= 1 for value in values.values())
            assert values["R1@0.7"] <= values["R1@0.5"]
            assert values["mAP@0.95"] <= values["mAP@0.5"]


@given(query_lists, st.randoms(use_true_random=False))
def test_the_order_of_queries_does_not_matter(queries: list[Query], shuffler: random.Random) -> None:
    mixed = shuffler.sample(queries, len(queries))
    before = moment_retrieval([p for p, _ in queries], [t for _, t in queries])["full"]
    after = moment_retrieval([p for p, _ in mixed], [t for _, t in mixed])["full"]
    assert means(after.values()) == pytest.approx(means(before.values()))


@given(query_lists, st.randoms(use_true_random=False))
def test_the_true_moments_score_highest(queries: list[Query], shuffler: random.Random) -> None:
    truths = [true for _, true in queries]
    perfect = [[[*window, shuffler.random()] for window in true] for true in truths]
    values = moment_retrieval(perfect, truths)["full"]
    assert set(means(values.values()).values()) == {1.0}


@given(query_lists)
def test_a_query_without_windows_counts_as_wrong(queries: list[Query]) -> None:
    predictions, truths = [p for p, _ in queries], [t for _, t in queries]
    before = means(moment_retrieval(predictions, truths)["full"].values())
    after = means(moment_retrieval([*predictions, []], [*truths, [[0, 10]]])["full"].values())
    share = len(queries) / (len(queries) + 1)
    assert after == pytest.approx({name: value * share for name, value in before.items()})


def test_average_precision_of_clips_is_that_worked_out_by_hand() -> None:
    assert highlight_ap([0.9, 0.8, 0.7, 0.6], [True, False, True, False]) == pytest.approx((1 + 2 / 3) / 2)
    # Equal scores enter together: 1 of 2, then 2 of 3, the better of which counts for both.
    assert highlight_ap([0.5, 0.5, 0.1], [True, False, True]) == pytest.approx(2 / 3)
    # Two found at one score count once: (1 + 3/4) / 2, and not (1 + 1 + 3/4) / 3.
    assert highlight_ap([0.9, 0.9, 0.5, 0.4], [True, True, False, True]) == pytest.approx(0.875)
    assert highlight_ap([0.1, 0.9], [True, True]) == 1.0
    assert highlight_ap([0.1, 0.9], [False, False]) == 0.0


def test_clips_without_a_score_get_nought_and_scores_without_a_clip_are_left_out() -> None:
    assert highlight_ap([-1.0], [True, False]) == 0.5
    assert highlight_ap([0.2, 0.1, 5.0], [True, False]) == 1.0
    assert highlight_ap([], [True, True]) == 0.0


def test_highlights_are_averaged_over_people_and_a_hit_needs_one_of_them() -> None:
    # Fair (from 2): people see {0, 1}, {0}, {1, 2}; the clips are ranked 1, 0, 2.
    values = highlight_values([0.5, 0.9, 0.1], [[2, 3, 0], [2, 1, 4], [0, 0, 3]])
    assert values["Fair-mAP"] == pytest.approx((1 + 1 / 2 + (1 + 2 / 3) / 2) / 3)
    # Good (from 3): nobody, {0}, {1, 2}. VeryGood (4): nobody, nobody, {1}.
    assert values["Good-mAP"] == pytest.approx((0 + 1 / 2 + (1 + 2 / 3) / 2) / 3)
    assert values["VeryGood-mAP"] == pytest.approx(1 / 3)
    assert (values["Fair-Hit1"], values["Good-Hit1"], values["VeryGood-Hit1"]) == (1.0, 1.0, 1.0)
    assert highlight_values([0.9, 0.5, 0.1], [[2, 3, 0], [2, 1, 4], [0, 0, 3]])["VeryGood-Hit1"] == 0.0


def test_of_equal_scores_the_first_clip_is_the_hit_and_one_after_the_video_is_none() -> None:
    assert highlight_values([0.5, 0.5], [[4], [0]])["Fair-Hit1"] == 1.0
    assert highlight_values([0.5, 0.5], [[0], [4]])["Fair-Hit1"] == 0.0
    assert highlight_values([0.1, 0.2, 0.9], [[4], [4]])["Fair-Hit1"] == 0.0


@given(ratings, st.lists(st.floats(-5, 5), max_size=15))
def test_figures_of_highlights_stay_between_0_and_1(rated: list[tuple[int, ...]], scores: list[float]) -> None:
    values = highlight_values(scores, rated)
    assert all(0 <= value <= 1 for value in values.values())
    assert values["Fair-Hit1"] >= values["Good-Hit1"] >= values["VeryGood-Hit1"]
    if not scores:
        assert set(values.values()) == {0.0}


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.lists(st.floats(-5, 5), min_size=12, max_size=12))
def test_no_scores_beat_the_ratings_themselves(rated: list[int], scores: list[float]) -> None:
    best = highlight_values([float(one) for one in rated], [[one] for one in rated])
    for name, value in highlight_values(scores[: len(rated)], [[one] for one in rated]).items():
        assert value <= best[name]
    assert best["Fair-mAP"] == best["Fair-Hit1"] == float(max(rated) >= 2)


@given(st.lists(st.tuples(st.booleans(), st.integers(-50, 50)), min_size=1, max_size=10, unique_by=lambda one: one[1]))
def test_with_distinct_scores_each_highlight_counts_with_the_best_precision_from_there_on(
    clips: list[tuple[bool, int]],
) -> None:
    ranked = [relevant for relevant, _ in sorted(clips, key=lambda one: -one[1])]
    precision = [sum(ranked[: n + 1]) / (n + 1) for n in range(len(ranked))]
    wanted = [max(precision[n:]) for n, relevant in enumerate(ranked) if relevant]
    found = highlight_ap([float(score) for _, score in clips], [relevant for relevant, _ in clips])
    assert found == pytest.approx(sum(wanted) / len(wanted) if wanted else 0.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: best_iop(Span(0, 1), []), "without true spans"),
        (lambda: union_iou([], []), "without true spans"),
        (lambda: mean_iop([], []), "no questions"),
        (lambda: acc_gqa([True], [[]], [[]]), "without true spans"),
        (lambda: acc_iou([True, False], [[]], [[Span(0, 1)]]), "2 predictions for 1 truths"),
        (lambda: cgbench_scores([True], [], []), "no questions"),
        (lambda: cgbench_scores([True], [[]], [[]]), "without true spans"),
        (lambda: means([]), "no questions"),
        (lambda: interval([]), "no questions"),
        (lambda: interval([1.0], ["a", "b"]), "1 predictions for 2 truths"),
        (lambda: moment_values([], []), "without true windows"),
        (lambda: moment_retrieval([], []), "no queries"),
        (lambda: moment_retrieval([[]], []), "1 predictions for 0 truths"),
    ],
)
def test_what_cannot_be_scored_is_refused(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
