"""The world gives nothing away: no shortcut is far from chance where minds are asked about."""

import math

import pytest

from eval.worlds import shortcuts, splits
from eval.worlds.bag_of_words import BagOfWords, Item
from eval.worlds.clues import Film, films
from eval.worlds.shortcuts import HELD, LEARNED, LIMIT, PARTS, STRATEGIES

SETS = 150


@pytest.fixture(scope="module")
def test_films() -> list[Film]:
    return films(splits.RANGES["test"][0] + 40_000, SETS)


@pytest.fixture(scope="module")
def rows(test_films: list[Film]) -> dict[str, dict[str, shortcuts.Score]]:
    return shortcuts.table(shortcuts.credits(films(shortcuts.TRAIN_SEED + 40_000, SETS), test_films))


def test_every_type_about_minds_is_asked_often_enough_to_judge(rows: dict[str, dict[str, shortcuts.Score]]) -> None:
    assert all(rows["chance"][kind].asked >= 60 for kind in HELD)


def test_no_shortcut_is_more_than_five_points_from_chance(rows: dict[str, dict[str, shortcuts.Score]]) -> None:
    assert set(LEARNED) | set(STRATEGIES) | set(PARTS) | {"chance"} == set(rows)
    assert shortcuts.beyond(rows) == []


def test_no_shortcut_gets_whole_sets_right(rows: dict[str, dict[str, shortcuts.Score]]) -> None:
    for name in (*LEARNED, *STRATEGIES):
        for kind in ("belief", "search", "knowledge"):
            assert rows[name][kind].sets <= 0.1, (name, kind)


def test_watching_who_was_there_is_not_enough_but_is_better_than_any_shortcut(
    rows: dict[str, dict[str, shortcuts.Score]],
) -> None:
    attended = rows["where she last was in the room with it"]["belief"].right
    assert LIMIT + 0.5 < attended < 0.95


def test_the_table_can_find_a_leak(test_films: list[Film]) -> None:
    always_reality = [
        (film.seed, question.type, float(film.reality is not None and film.reality in question.options[0]), 2)
        for film in test_films
        for question in film.items
        if question.type == "reality"
    ]
    cheat = [(seed, "belief", 1.0, options) for seed, _, _, options in always_reality]
    rows = shortcuts.table({"cheat": cheat})
    assert shortcuts.beyond(rows) == ["cheat: belief 1.000, chance 0.500"]


def test_a_bag_of_words_learns_what_words_give_away() -> None:
    items = [
        Item((f"who wears {colour}",), ("sally", "anne"), int(colour == "blue")) for colour in ("red", "blue")
    ] * 20
    bag = BagOfWords()
    bag.fit(items)
    assert [bag.choose(item) for item in items] == [item.right for item in items]


def test_a_bag_of_words_that_sees_options_only_cannot_learn_from_the_question() -> None:
    items = [Item((), ("sally", "anne"), k % 2) for k in range(40)]
    bag = BagOfWords()
    bag.fit(items)
    assert sum(bag.choose(item) == item.right for item in items) == 20


def test_sets_are_right_only_when_all_their_questions_are() -> None:
    rows = shortcuts.table({"half": [(1, "belief", 1.0, 2), (1, "belief", 0.0, 2), (2, "belief", 1.0, 2)]})
    score = rows["half"]["belief"]
    assert (score.right, score.sets, score.asked) == (pytest.approx(2 / 3), 0.5, 3)
    assert rows["chance"]["belief"].sets == pytest.approx((0.25 + 0.5) / 2)
    assert 0 <= score.low <= score.right <= score.high <= 1


def test_moments_cannot_be_found_without_watching(test_films: list[Film]) -> None:
    train = films(shortcuts.TRAIN_SEED + 50_000, 40)
    found = shortcuts.prior_spans(train, test_films)
    assert found
    for kind, (mean, half, asked) in found.items():
        assert asked > 0
        assert not math.isnan(mean)
        assert half <= 0.25, kind
