"""Word noise: some words of some questions are lost or strange, never those that say who, what or whether."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import pytest

from eval import lesson_noise
from eval.lesson_noise import KEPT, NOISY_SHARE, STRENGTH, noised
from eval.lessons import Lessons
from eval.worlds import art, plot, questions
from eval.worlds.draw import dice
from eval.worlds.names import NAMES
from eval.worlds.scene import Scene
from prompts import own_prompts
from roles import planner
from roles.manner import Manner
from tests.test_lessons import STAGE

FIXED = {name.lower() for pair in NAMES for name in pair} | KEPT
FIXED |= {*art.SHIRTS, *art.THING_COLOURS, *art.CONTAINER_COLOURS, *art.THING_SHAPES, *art.CONTAINER_SHAPES}
LONG = " ".join(["please look at this film and say whether somebody opens something of wood"] * 30)
"""Of words that may all be changed; so many that noise leaves hardly ever all of them."""


@cache
def films() -> tuple[Scene, ...]:
    return tuple(plot.scene(seed, plot.members(seed)[-1], length_s=25, check=False) for seed in range(400, 416))


@cache
def texts() -> tuple[tuple[Scene, str], ...]:
    """Questions and descriptions with the film that they are about."""
    found = []
    for scene in films():
        for question in questions.ask(scene):
            found += [(scene, text) for text in (question.text, question.tags.get("query")) if text]
    return tuple(found)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def fixed(text: str) -> Counter[str]:
    return Counter(word for word in words(text) if word in FIXED)


def test_the_share_that_noise_leaves_alone_is_the_one_it_says() -> None:
    rng, scene = dice("share"), films()[0]
    same = sum(noised(LONG, scene, rng) == LONG for _ in range(1500)) / 1500
    assert same == pytest.approx(1 - NOISY_SHARE, abs=0.04)
    # Short texts have few words that may change: more of them come through whole.
    short = sum(noised(text, scene, dice(k)) == text for k, (scene, text) in enumerate(texts())) / len(texts())
    assert 1 - NOISY_SHARE - 0.03 < short < 0.9


def test_of_a_changed_text_as_many_words_change_as_the_strength_says() -> None:
    rng, scene = dice("strength"), films()[0]
    shares = []
    for _ in range(300):
        text = noised(LONG, scene, rng)
        if text != LONG:
            known = Counter(words(LONG))
            shares.append(sum((known - Counter(words(text))).values()) / known.total())
    # Swapped words are still there, as are some of the others' copies.
    assert min(shares) < 0.06
    assert 0.15 < max(shares) < STRENGTH[1] + 0.05
    assert 0.07 < sum(shares) / len(shares) < sum(STRENGTH) / 2 + 0.01


def test_names_colours_things_containers_and_small_words_stay() -> None:
    changed = 0
    for number, (scene, text) in enumerate(texts()):
        for k in range(3):
            out = noised(text, scene, dice(number, k))
            assert not fixed(text) - fixed(out), (text, out)
            assert not {word for box in scene.containers for word in words(box.name)} & (
                set(words(text)) - set(words(out))
            )
            changed += out != text
    assert changed > 0.15 * 3 * len(texts())


def test_a_strange_word_is_none_that_means_something_here() -> None:
    rng = dice("strange")
    made = [lesson_noise._strange(rng) for _ in range(60_000)]
    assert len(set(made)) > 20_000
    assert sorted(set(made) & FIXED) == []


def test_no_denial_gets_lost() -> None:
    """Without it the question would be the opposite one, with the same answer beside it."""
    scene = films()[0]
    for text in (
        "What doesn't Sally know?",
        "It isn't there, is it?",
        "She cannot see it.",
        "He moved it without her.",
    ):
        for k in range(400):
            out = noised(text, scene, dice(k)).lower()
            assert any(word in out for word in ("doesn't", "isn't", "cannot", "without")), (text, out)


def test_signs_stay_and_nothing_is_left_empty() -> None:
    for number, (scene, text) in enumerate(texts()):
        out = noised(text, scene, dice("signs", number))
        assert Counter(re.sub(r"[\w\s]", "", text)) == Counter(re.sub(r"[\w\s]", "", out)), (text, out)
        assert planner.clean_query(out)
    for text in ("look", "look at this", "?"):
        assert all(noised(text, films()[0], dice(k)).strip() for k in range(300))


def test_all_ways_to_change_a_word_happen() -> None:
    text, scene = "please watch somebody opens something", films()[0]
    seen: Counter[str] = Counter()
    for k in range(600):
        before, after = words(text), words(noised(text, scene, dice(k)))
        if before == after:
            continue
        if sorted(before) == sorted(after):
            seen["swapped"] += 1
        elif len(after) < len(before):
            seen["lost"] += 1
        elif set(after) < set(before):
            seen["other"] += 1
        elif set(after) - set(before):
            seen["strange"] += 1
    assert set(seen) == {name for name, _ in lesson_noise.WAYS}
    assert min(seen["strange"], seen["lost"]) > max(seen["other"], seen["swapped"])


def test_noise_depends_on_its_chance_alone() -> None:
    for number, (scene, text) in enumerate(texts()[:200]):
        assert noised(text, scene, dice(number)) == noised(text, scene, dice(number))
    scene, text = texts()[0]
    assert len({noised(text, scene, dice(k)) for k in range(60)}) > 5


def test_questions_and_queries_of_lessons_are_noisy_but_neither_replies_nor_who_is_who(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book, world, manner = own_prompts(), Lessons(), Manner()
    clean = [world.lesson(number, STAGE, manner, book) for number in range(14)]
    # Chance is used up as before: the lessons are the same but for their texts.
    monkeypatch.setattr("eval.lessons.noised", lambda text, scene, rng: f"~{noised(text, scene, rng)}")
    roles: Counter[str] = Counter()
    for number, lesson in enumerate(clean):
        marked = world.lesson(number, STAGE, manner, book).segments
        for before, after in zip(lesson.segments, marked, strict=True):
            by_name = after.role == "transcript" or after.type == "names"
            assert after.text == (before.text if by_name else f"~{before.text}")
            assert (after.reply, after.spans_norm) == (before.reply, before.spans_norm)
            roles["names" if by_name else after.role] += 1
    assert set(roles) == {"names", "answerer", "grounder", "planner", "verifier"}
