"""A run's figures: worked out by hand on four questions, and what must hold for any run."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import exam_scores
from eval.item import Item, Record
from eval.metrics import interval
from eval.mind_scores import CORE_SETS, LEFT_OUT, MUST_FALL
from eval.run_scores import round_all, score_run
from roles.errors import DataError
from roles.types import Span

OPTIONS = ("the box", "the bag", "the pot")


def item(key: str, **others: Any) -> Item:
    made = Item(key, f"{key}.mp4", "Where is it?", OPTIONS, 0, (Span(0, 10),), {"type": "belief"}, f"set of {key}")
    return replace(made, **others)


def record(choice: int | None = 0, spans: Any = ((0.0, 10.0, 0.9, None),), **others: Any) -> Record:
    said = None if choice is None else OPTIONS[choice]
    return {
        "said": said,
        "choice": choice,
        "probs": None,
        "spans": [list(row) for row in spans],
        "error": None,
    } | others


ITEMS = [
    item("a", set="s"),
    item("b", set="s", tags={"type": "reality"}),
    item("c", spans=()),
    item("d", answer_at=None),
]
RECORDS = {
    "a": record(),  # right, IoU 1
    "b": record(1, [[0, 5, 0.9, None]], strange=True, fell_back=["verifier"]),  # wrong, IoU 0.5
    "c": record(None, [], said="either", probs=None),  # names no option
    "d": record(2, [[20, 30, 0.9, None], [0, 8, 0.1, None]]),  # nobody knows, IoU 0, the second 0.8
}


def scores(items: Any = ITEMS, records: Any = RECORDS, benchmark: str = "nextgqa", **others: Any) -> dict[str, Any]:
    asked = {"headline": ["Acc@GQA", "Acc", "nothing"], "by": ["type", "nowhere"], "minds": False}
    return score_run(benchmark, "val", items, records, **asked | others)


def means(found: dict[str, Any]) -> dict[str, float]:
    return {name: one["mean"] for name, one in found.items()}


def test_figures_of_four_questions_are_those_worked_out_by_hand() -> None:
    found = scores()
    figures = means(found["figures"])
    assert figures["Acc"] == pytest.approx(1 / 3, abs=1e-6)
    assert figures["mIoU"] == 0.5
    assert figures["mIoP"] == pytest.approx(2 / 3, abs=1e-6)
    assert figures["Acc@GQA"] == figures["Acc@IoU"] == 0.5  # of a and b: d has no answer, c no moment
    assert figures["R1@0.5"] == pytest.approx(2 / 3, abs=1e-6)
    assert figures["R3@0.7"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["figures"]["Acc"]["asked"] == 3
    assert found["figures"]["Acc"]["sets"] == 2
    assert (found["items"], found["videos"], found["sets"]) == (4, 4, 3)
    assert found["headline"] == ["Acc@GQA", "Acc"]
    assert list(found["by"]) == ["type"]
    assert means(found["by"]["type"]["reality"])["Acc"] == 0.0
    assert found["minds"] is None


def test_what_went_wrong_is_counted() -> None:
    items = [*ITEMS, item("e", missing=True), item("f"), item("g")]
    records = RECORDS | {"e": record(None, [], error="the video is missing"), "f": record(None, [], error="broken")}
    found = scores(items, records)
    assert found["counts"] == {
        "asked": 6,
        "missing_video": 1,
        "errors": 2,
        "unparsed": 1,
        "no_span": 3,
        "hidden_answer": 1,
        "strange": 1,
        "fell_back": {"verifier": 1},
    }
    assert found["figures"]["Acc"]["mean"] == pytest.approx(1 / 6, abs=1e-6)
    assert found["figures"]["mIoU"]["mean"] == 0.25


def test_intervals_are_over_sets() -> None:
    dice = random.Random(0)  # noqa: S311
    items = [item(f"{at}", set=f"{at // 8}") for at in range(80)]
    luck = [dice.randrange(3) for _ in range(10)]
    records = {f"{at}": record(luck[at // 8]) for at in range(80)}
    values = [float(luck[at // 8] == 0) for at in range(80)]
    found = scores(items, records)["figures"]["Acc"]
    assert found == round_all(interval(values, [one.set for one in items]).to_json())
    alone = interval(values)
    assert found["high"] - found["low"] > 2 * (alone.high - alone.low)


def test_another_option_with_the_right_ones_text_is_right() -> None:
    twice = item("a", options=("yes", "no", "yes"))
    assert scores([twice], {"a": record(2)})["figures"]["Acc"]["mean"] == 1.0


@pytest.mark.parametrize("choice", [3, -1, "0", True, 0.0])
def test_a_choice_that_is_no_place_of_an_option_is_unparsed_and_wrong(choice: Any) -> None:
    found = scores([item("a")], {"a": record() | {"choice": choice}})
    assert found["figures"]["Acc"]["mean"] == 0.0
    assert found["counts"]["unparsed"] == 1


def test_qvhighlights_own_figures_are_worked_out_as_its_scorer_does() -> None:
    long, short = item("a", options=(), answer_at=None, spans=(Span(0, 40),)), item("b", spans=(Span(4, 8),))
    records = {"a": record(None, [[0, 20, 0.9, None], [0, 40, 0.5, None]]), "b": record(None, [])}
    figures = means(scores([long, short], records, "qvhighlights")["figures"])
    # The first window overlaps by 0.5, the second wholly: at 0.5 the first is the find, above it the second, of two.
    assert figures["MR-full-R1@0.5"] == 0.5
    assert figures["MR-full-R1@0.7"] == 0.0
    assert figures["MR-full-mAP@0.75"] == 0.25
    assert figures["MR-full-mAP"] == pytest.approx((1 + 9 * 0.5) / 10 / 2, abs=1e-6)
    assert figures["MR-long-mAP"] == pytest.approx(0.55, abs=1e-6)
    assert figures["MR-short-mAP"] == 0.0
    assert "MR-middle-mAP" not in figures
    assert not any(name.startswith("MR") for name in scores([long, short], records)["figures"])


def test_a_tag_with_several_values_counts_in_the_row_of_each() -> None:
    items = [item("a", tags={"type": "belief, desire"}), item("b", tags={"type": "desire"})]
    rows = scores(items, RECORDS, "moments")["by"]["type"]
    assert {name: one["Acc"]["asked"] for name, one in rows.items()} == {"belief": 1, "desire": 2}
    assert list(scores(items, RECORDS)["by"]["type"]) == ["belief, desire", "desire"]


def test_calibration_holds_sureness_against_being_right() -> None:
    items = [item(f"{at}") for at in range(4)]
    sure = [0.95, 0.95, 0.55, 1.0]
    records = {f"{at}": record(0 if at != 1 else 1, probs=[one, 1 - one, 0.0]) for at, one in enumerate(sure)}
    found = scores(items, records)["calibration"]
    assert [one["count"] for one in found["bins"]] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert found["bins"][9]["right"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["bins"][9]["confidence"] == pytest.approx(2.9 / 3, abs=1e-6)
    assert found["bins"][0]["right"] is None
    assert found["ece"] == pytest.approx((0.45 + 0.9) / 4, abs=1e-6)
    assert scores()["calibration"] is None


def test_the_histogram_of_overlaps_has_every_question_and_recall_agrees_with_the_figures() -> None:
    found = scores()
    assert found["iou"]["histogram"] == [1, *[0] * 9, 1, *[0] * 8, 1]
    recall = dict(map(tuple, found["iou"]["recall"]))
    for limit in (0.3, 0.5, 0.7):
        assert recall[limit] == found["figures"][f"R1@{limit}"]["mean"]
    assert scores([item("a", spans=())])["iou"] is None


def test_no_items_are_refused() -> None:
    with pytest.raises(DataError, match="no items to score"):
        scores([])


def test_floats_are_rounded_and_there_is_no_minus_zero() -> None:
    assert json.dumps(round_all({"a": [1 / 3, -1e-9], "b": (1, True, None, "x")})) == (
        '{"a": [0.333333, 0.0], "b": [1, true, null, "x"]}'
    )


# What must hold for any run.
ends = st.integers(0, 60).map(lambda half: half / 2)
spans = st.tuples(ends, ends, st.floats(0, 1)).map(lambda row: [min(row[:2]), max(row[:2]), row[2], None])
said = st.none() | st.builds(
    record,
    st.sampled_from([None, 0, 1, 2]),
    st.lists(spans, max_size=6),
    probs=st.none() | st.just([0.5, 0.3, 0.2]),
    error=st.sampled_from([None, "it broke"]),
)
true_spans = st.lists(
    st.tuples(ends, st.integers(1, 20)).map(lambda pair: Span(pair[0], pair[0] + pair[1])), max_size=3
).map(tuple)
asked = st.lists(
    st.tuples(true_spans, st.sampled_from([None, 0, 1, 2]), st.integers(0, 3), said), min_size=1, max_size=10
)


def run_of(rows: Any) -> tuple[list[Item], dict[str, Record]]:
    items = [
        item(f"{at}", spans=true, answer_at=answer_at, set=f"{group}", video=f"{group}")
        for at, (true, answer_at, group, _) in enumerate(rows)
    ]
    return items, {f"{at}": row[3] for at, row in enumerate(rows) if row[3] is not None}


@settings(max_examples=40, deadline=None)
@given(asked, st.randoms(use_true_random=False))
def test_any_run_has_figures_within_bounds_and_the_same_bytes_in_any_order_of_records(rows: Any, dice: Any) -> None:
    items, records = run_of(rows)
    found = scores(items, records, "qvhighlights")
    for one in found["figures"].values():
        assert 0 <= one["low"] <= one["mean"] + 1e-6
        assert one["mean"] <= one["high"] + 1e-6
        assert one["high"] <= 1
    keys = list(records)
    dice.shuffle(keys)
    shuffled = {key: records[key] for key in keys} | {"of no item": record()}
    assert json.dumps(scores(items, shuffled, "qvhighlights")) == json.dumps(found)
    turned = scores(items[::-1], records, "qvhighlights")
    assert means(turned["figures"]) == pytest.approx(means(found["figures"]), abs=2e-6)


@settings(max_examples=40, deadline=None)
@given(asked)
def test_perfect_predictions_are_maximal(rows: Any) -> None:
    items, records = run_of(rows)
    perfect = {
        one.key: record(one.answer_at, [[span.start_s, span.end_s, 1.0, None] for span in one.spans]) for one in items
    }
    best = scores(items, perfect)["figures"]
    lone = all(len(one.spans) <= 1 for one in items)
    for name, one in scores(items, records)["figures"].items():
        # CG-Bench asks how much of all true spans the first predicted one covers: of several, not all.
        if lone or name not in ("union mIoU", "rec@IoU", "acc@IoU"):
            assert one["mean"] <= best[name]["mean"] == 1.0


@settings(max_examples=40, deadline=None)
@given(asked, st.data())
def test_a_missing_prediction_equals_a_wrong_one(rows: Any, data: Any) -> None:
    items, records = run_of(rows)
    at = data.draw(st.sampled_from(range(len(items))))
    one = items[at]
    wrong = None if one.answer_at is None else (one.answer_at + 1) % 3
    without = {key: value for key, value in records.items() if key != one.key}
    far_off = without | {one.key: record(wrong, [[500, 501, 1.0, None]])}
    broken = without | {one.key: record(None, [], error="the video is missing")}
    missing = scores(items, without, "qvhighlights")["figures"]
    assert missing == scores(items, far_off, "qvhighlights")["figures"]
    assert missing == scores(items, broken, "qvhighlights")["figures"]
    found = scores(items, records, "qvhighlights")["figures"]
    assert all(missing[name]["mean"] <= value["mean"] for name, value in found.items())


# The tables of Theory of Mind.
def world(seed: int, kind: str, what: str, **others: str) -> Item:
    tags = {"type": what, "kind": kind, "family": "place", "set": f"{seed}", "source": "worlds", "id": "x"} | others
    return item(f"{seed}-{kind}-{what}", tags=tags, set=f"{seed}", video=f"{seed}-{kind}.mp4")


def minds(items: Any, records: Any, benchmark: str = "nextgqa") -> dict[str, Any]:
    found: dict[str, Any] = scores(items, records, benchmark, minds=True)["minds"]
    return found


def test_a_set_counts_where_all_of_its_questions_are_right_and_a_core_set_where_those_on_minds_are() -> None:
    items = [
        *(world(seed, kind, what) for seed in (1, 2) for kind in ("left", "stayed") for what in ("belief", "scene")),
    ]
    wrong = {"1-left-scene", "2-stayed-belief"}
    found = minds(items, {one.key: record(int(one.key in wrong)) for one in items})
    assert means(found["sets"]) == {
        "all questions": 0.0,
        CORE_SETS: 0.5,
        f"{CORE_SETS}, place": 0.5,
        f"{CORE_SETS} of one film, left": 1.0,
        f"{CORE_SETS} of one film, stayed": 0.5,
    }
    assert found["sets"]["all questions"]["asked"] == 2


def test_orders_stand_apart_and_true_beliefs_apart_from_false_ones() -> None:
    items = [
        world(1, "left", "belief", order="1", truth="false"),
        world(1, "stayed", "belief", order="1", truth="true"),
        world(1, "left", "second_order", order="2", truth="false"),
        world(1, "left", "scene", order="0"),
    ]
    found = minds(items, {one.key: record(at % 2) for at, one in enumerate(items)})
    assert means(found["orders"]) == {
        "order 1": 0.5,
        "order 1, false": 1.0,
        "order 1, true": 0.0,
        "order 2": 1.0,
        "order 2, false": 1.0,
    }
    other = [item("a", tags={"order": "1"}), item("b", tags={"order": "2"})]
    assert means(minds(other, {"a": record()})["orders"]) == {"order 1": 1.0, "order 2": 0.0}


def swapped(*choices: int) -> dict[str, Any]:
    kinds = ("true", "predicted", "random", "complement")
    return {kind: {"choice": choice, "clip": [0, 8]} for kind, choice in zip(kinds, choices, strict=False)}


def test_the_swap_table_is_over_questions_that_were_asked_with_every_clip() -> None:
    items = [item(f"{at}") for at in range(4)]
    found = minds(
        items,
        {
            "0": record(swap=swapped(0, 0, 0, 1)),
            "1": record(swap=swapped(0, 1, 1, 1)),
            "2": record(swap=swapped(0, 0, 0)),
            "3": record(),
        },
    )["swap"]
    assert {kind: one["right"]["mean"] for kind, one in found.items() if isinstance(one, dict)} == {
        "true": 1.0,
        "predicted": 0.5,
        "random": 0.5,
        "complement": 0.0,
    }
    assert found["complement"]["below true"]["mean"] == 1.0
    assert found["complement"]["right"]["asked"] == 2
    assert found[LEFT_OUT] == 2
    assert found[MUST_FALL] == "it does: 100.0 points below the true moment [100.0, 100.0]"
    same = minds(items, {"0": record(swap=swapped(0, 0, 0, 0)), "1": record(swap=swapped(1, 1, 1, 1))})["swap"]
    assert same[MUST_FALL].startswith("it does not for sure")
    assert minds(items, {"3": record()})["swap"] is None


def test_blind_answers_are_compared_on_the_questions_that_were_asked_blind() -> None:
    items = [item(f"{at}") for at in range(4)]
    records = {
        "0": record(blind={"choice": 1}),
        "1": record(blind={"choice": 0}),
        "2": record(0, blind={"choice": None}),
        "3": record(1),
    }
    found = minds(items, records)
    assert found["blind"]["mean"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["blind_below"]["mean"] == pytest.approx(2 / 3, abs=1e-6)
    assert minds(items, {"3": record()})["blind"] is None


def test_the_model_stands_first_among_the_shortcuts_in_their_rows() -> None:
    items = [item(f"{at}", tags={"type": ("belief", "desire")[at % 2]}, video=f"{at}", set=f"{at}") for at in range(20)]
    records = {one.key: record(duration_s=40.0) for one in items[:10]}
    found = minds(items, records)["shortcuts"]
    first, *others = found
    assert first == "the model"
    assert found[first]["all"]["mean"] == found[first]["mIoU"]["mean"] == 0.5
    assert set(found[first]) == {row for name in others for row in found[name]}
    assert found["whole video"]["mIoU"]["mean"] == 0.25
    assert found["whole video"]["mIoU"]["asked"] == 10  # how long the other videos are nobody knows


def test_a_benchmark_without_answers_or_moments_has_tables_without_rows() -> None:
    bare = [item("a", answer_at=None, spans=())]
    assert scores(bare, {}, minds=True)["minds"]["shortcuts"] == {}


def test_sets_are_drawn_as_often_as_counting_one_by_one_says() -> None:
    for size in (1, 2, 37):
        drawn = np.random.default_rng(20_000_000 + size).integers(0, size, (exam_scores.DRAWS, size))
        counted = np.zeros((exam_scores.DRAWS, size))
        np.add.at(counted, (np.arange(exam_scores.DRAWS)[:, None], drawn), 1)
        sums = np.random.default_rng(size).random(size)
        with np.errstate(invalid="ignore"):
            means = (counted @ sums) / (counted @ np.ones(size))
        assert np.array_equal(exam_scores._drawn(sums, np.ones(size)), means)
