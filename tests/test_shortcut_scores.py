"""What is earned without a model: a leak in a benchmark is found, and where there is none, nothing is earned."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import shortcut_scores
from eval.item import Item
from eval.shortcut_scores import SPAN_ROWS, WORLD, choice_credits, shortcuts, span_rows, world_rows
from eval.shortcut_words import FOLDS, folds_of, learned
from eval.worlds import plot, questions
from roles.types import Span

LEARNED = (
    "most common place of the answer",
    "words of the options",
    "words of question and options",
    "the same, questions exchanged",
)
WORDS = ["apple", "bread", "chair", "dress", "eagle", "flute", "grape", "house", "igloo", "juice", "kite", "lemon"]


def item(at: int, options: Any, answer_at: int, question: str = "What is it?", **others: Any) -> Item:
    made = Item(f"{at}", f"v{at}", question, tuple(options), answer_at, set=f"v{at}")
    return replace(made, **others)


def earned(items: list[Item]) -> dict[str, float]:
    return {name: sum(credits) / len(credits) for name, credits in choice_credits(items).items()}


def drawn(seed: int, count: int) -> list[Item]:
    """Questions in which nothing gives the answer away."""
    dice = random.Random(seed)  # noqa: S311
    return [item(at, dice.sample(WORDS, 4), dice.randrange(4), f"Is it {dice.choice(WORDS)}?") for at in range(count)]


def test_where_nothing_gives_the_answer_away_nothing_is_earned() -> None:
    found = earned(drawn(0, 600))
    assert list(found) == ["chance", "first option", "last option", "longest option", *LEARNED]
    assert found.pop("chance") == 0.25
    assert all(abs(share - 0.25) < 0.07 for share in found.values()), found


def test_a_guess_among_several_counts_its_share_and_a_doubled_right_option_counts_twice() -> None:
    found = choice_credits([item(0, ["no", "yes", "yes"], 1), item(1, ["aaaa", "bbbb", "c"], 0)])
    assert found["chance"] == [pytest.approx(2 / 3), pytest.approx(1 / 3)]
    assert found["longest option"] == [1.0, 0.5]
    assert found["first option"] == [0.0, 1.0]
    assert found["last option"] == [1.0, 0.0]


def test_a_long_right_option_is_found_by_its_length_and_a_usual_place_by_counting() -> None:
    items = [replace(one, options=("long option", *one.options[1:]), answer_at=0) for one in drawn(1, 50)]
    found = earned(items)
    assert found["longest option"] == found["first option"] == 1.0
    assert found["most common place of the answer"] == 1.0
    assert found["last option"] == 0.0


def test_words_that_only_right_options_have_are_learned_whatever_their_place() -> None:
    dice = random.Random(2)  # noqa: S311
    items = []
    for at in range(100):
        options = [f"{word} smiling" if number == 0 else word for number, word in enumerate(dice.sample(WORDS, 4))]
        right = options[0]
        dice.shuffle(options)
        items.append(item(at, options, options.index(right)))
    found = earned(items)
    assert found["words of the options"] > 0.95
    assert found["most common place of the answer"] < 0.5


def test_a_question_that_names_its_answer_helps_only_with_its_own_options() -> None:
    """Which of two options is right depends on the question's word alone."""
    dice = random.Random(3)  # noqa: S311
    items = []
    for at in range(200):
        which = dice.randrange(2)
        items.append(item(at, ["day", "night"], which, ("Was it bright?", "Was it dark?")[which]))
    found = earned(items)
    assert found["words of question and options"] == 1.0
    assert abs(found["words of the options"] - 0.5) < 0.12
    assert abs(found["the same, questions exchanged"] - 0.5) < 0.12


def test_the_order_of_options_is_nothing_to_a_shortcut_that_reads_words() -> None:
    items = drawn(4, 80)
    turned = [replace(one, options=one.options[::-1], answer_at=3 - (one.answer_at or 0)) for one in items]
    ours, theirs = choice_credits(items), choice_credits(turned)
    for name in LEARNED[1:]:
        assert ours[name] == theirs[name]
    assert ours["first option"] == theirs["last option"]


def test_no_video_and_no_set_is_both_learned_from_and_asked_about() -> None:
    dice = random.Random(5)  # noqa: S311
    items = [
        item(at, WORDS[:4], 0, video=f"v{dice.randrange(30)}", set=f"s{dice.randrange(60)}") for at in range(60)
    ] + [item(at, WORDS[:4], 0) for at in range(100, 140)]
    folds = folds_of(items)
    for what in ("video", "set"):
        assert len({(getattr(one, what), fold) for one, fold in zip(items, folds, strict=True)}) == len(
            {getattr(one, what) for one in items}
        )
    assert set(folds) == set(range(FOLDS))


def test_what_is_known_of_one_video_alone_is_not_used() -> None:
    items = [item(at, ["right one", "wrong one"], 0, video="v", set="v") for at in range(30)]
    assert learned(items) == {}
    # Two videos whose words give opposite things away: who learned on the one is always wrong about the other.
    items += [item(at, ["right one", "wrong one"], 1, video="w", set="w") for at in range(30, 60)]
    assert earned(items)["words of the options"] == 0.0


texts = st.sampled_from([*WORDS, "", "the the", "\ud800", "Straße 東京", "?!"])
any_items = st.lists(st.tuples(st.lists(texts, min_size=1, max_size=5), texts, st.integers(0, 6)), max_size=12).map(
    lambda rows: [
        item(at, options, at % len(options), question, video=f"{group}", set=f"{group}")
        for at, (options, question, group) in enumerate(rows)
    ]
)


@settings(max_examples=25, deadline=None)
@given(any_items)
def test_credits_are_shares_for_any_questions(items: list[Item]) -> None:
    for credits in choice_credits(items).values():
        assert len(credits) == len(items)
        assert all(0 <= credit <= 1 for credit in credits)


# Shortcuts that point.
def pointing(**others: Any) -> Item:
    return replace(item(0, (), 0), answer_at=None, spans=(Span(20, 40),), **others)


def test_spans_without_looking_overlap_as_geometry_says() -> None:
    rows, unknown = span_rows([pointing()], {"v0": 60.0})
    assert unknown == 0
    assert rows["whole video"]["mIoU"]["mean"] == pytest.approx(1 / 3)
    assert rows["middle third"]["mIoU"]["mean"] == pytest.approx(1.0)
    assert set(rows["random span of the true length"]) == set(SPAN_ROWS)
    many = [replace(pointing(), key=f"{at}") for at in range(300)]
    # Beside the true one by x, even from 0 to 1, of its length: IoU is (1 - x) / (1 + x), on average 2 ln 2 - 1.
    found = span_rows(many, {"v0": 60.0})[0]["random span of the true length"]["mIoU"]["mean"]
    assert found == pytest.approx(2 * 0.6931 - 1, abs=0.02)


def test_what_is_asked_about_a_part_is_pointed_at_within_it() -> None:
    rows, _ = span_rows([pointing(start_s=15.0, end_s=45.0)], {})
    assert rows["whole video"]["mIoU"]["mean"] == pytest.approx(2 / 3)
    assert rows["middle third"]["mIoU"]["mean"] == pytest.approx(0.5)


def test_videos_of_unknown_length_are_left_out_and_counted() -> None:
    assert span_rows([pointing()], {}) == ({}, 1)
    rows, notes = shortcuts("charades-sta", [pointing()], (), {})
    assert rows == {}
    assert notes == ["1 questions are on videos of unknown length: left out of the shortcuts that point."]


# Our own world.
SEED, KIND = 20_000_001, plot.members(20_000_001)[0]


@pytest.fixture(scope="module")
def world() -> list[Item]:
    examples = [questions.example(one, "film.mp4") for one in questions.ask(plot.scene(SEED, KIND))]
    return [
        Item(
            key=one.tags["id"],
            video=one.video,
            question=one.question,
            options=one.options,
            answer_at=one.options.index(one.answer) if one.answer is not None else None,
            spans=one.spans,
            tags=dict(one.tags),
            set=one.tags["set"],
        )
        for one in examples
        if one.options
    ]


def test_our_worlds_own_shortcuts_are_worked_out_on_the_very_questions_that_were_asked(world: list[Item]) -> None:
    rows, unknown = world_rows(world, train_sets=2)
    assert unknown == 0
    assert rows["always reality"]["all"]["asked"] == len(world)
    assert rows["always reality"]["reality"]["mean"] == 1.0
    assert "order 1 in place of order 2 (partial)" in rows
    some = [one for one in world if one.tags["type"] in ("reality", "belief")]
    assert world_rows(some, train_sets=2)[0]["always reality"]["all"]["asked"] == len(some)


def test_questions_that_the_world_does_not_ask_are_left_out_and_counted(world: list[Item]) -> None:
    spans = (Span(0.0, 0.5),)
    changed = [replace(world[0], spans=spans), replace(world[1], question="Who?"), *world[2:]]
    rows, unknown = world_rows(changed, train_sets=2)
    assert unknown == 2
    assert rows["always reality"]["all"]["asked"] == len(world) - 2
    strange = [replace(one, tags=one.tags | {"kind": "no such kind"}) for one in world]
    assert world_rows(strange, train_sets=2) == ({}, len(world))
    assert "are not what this program's world asks" in shortcuts("worlds", strange, (), {}, train_sets=2)[1][0]


def test_what_was_worked_out_is_kept_and_only_for_the_same_questions(
    world: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "shortcuts.json"
    fresh = shortcuts("worlds", world, (), {}, train_sets=2)
    assert shortcuts("worlds", world, (), {}, train_sets=2, cache=cache) == fresh
    assert f"{WORLD}always reality" in fresh[0]
    calls: list[int] = []

    def counted(items: Any, train_sets: int, workers: int) -> tuple[dict[str, Any], int]:
        calls.append(train_sets)
        return {}, 0

    monkeypatch.setattr(shortcut_scores, "world_rows", counted)
    kept = shortcuts("worlds", world, (), {}, train_sets=2, cache=cache)
    assert json.dumps(kept) == json.dumps(fresh)
    assert calls == []
    shortcuts("worlds", world[1:], (), {}, train_sets=2, cache=cache)
    shortcuts("worlds", world[1:], (), {}, train_sets=3, cache=cache)
    assert calls == [2, 3]
    cache.write_text("no JSON")
    shortcuts("worlds", world, (), {}, train_sets=2, cache=cache)
    assert calls == [2, 3, 2]
