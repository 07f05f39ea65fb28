"""Evidence over more than a thousand scenes: what is kept entails the answer; with it cut out the answer is gone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest

from eval.worlds import design, plot, questions, splits
from eval.worlds.questions import Question, ask
from eval.worlds.scene import YARD, Scene
from roles.minds import Fact, Minds, only, without

STARTS = (2_000_000, 10_300_000, 20_300_000, 30_300_000)
"""A first seed in every split."""
CHUNKS, SETS = 12, 22
"""A chunk is so many sets in a row; the chunks go round the splits, which makes over 1,000 scenes."""
EXTRA = 3
"""Sets of a chunk that are asked for a kind they do not have by themselves as well."""
BELIEFS = frozenset(
    (
        "belief", "search", "knowledge", "ignorance", "second_order", "belief_contents", "honesty", "why", "goal",
        "reality",
    )
)  # fmt: skip
"""Types whose evidence is checked by asking other minds; the rest are checked by what their events do."""
LEFT_OUT = 3
"""Choices of further events that are tried beside the evidence."""
chunked = pytest.mark.parametrize("chunk", range(CHUNKS))


@cache
def films(chunk: int) -> tuple[tuple[Scene, Minds, tuple[Question, ...]], ...]:
    first = STARTS[chunk % len(STARTS)] + chunk // len(STARTS) * SETS
    names = [(seed, kind) for seed in range(first, first + SETS) for kind in plot.members(seed)]
    for seed in range(first, first + EXTRA):
        others = [kind for kind in design.KINDS[design.family_of(seed)] if (seed, kind) not in names]
        names += [(seed, kind) for kind in others[:2]]
    made = []
    for seed, kind in names:
        scene = plot.scene(seed, kind, check=False)
        minds = Minds(scene.story)
        made.append((scene, minds, tuple(ask(scene, minds))))
    return tuple(made)


def asked(chunk: int) -> Iterator[tuple[Scene, Minds, Question]]:
    return ((scene, minds, question) for scene, minds, found in films(chunk) for question in found)


def test_there_are_over_a_thousand_scenes_of_all_kinds_in_all_splits() -> None:
    seeds = [STARTS[chunk % len(STARTS)] + chunk // len(STARTS) * SETS for chunk in range(CHUNKS)]
    names = [(seed, kind) for first in seeds for seed in range(first, first + SETS) for kind in plot.members(seed)]
    assert len(set(names)) > 1000
    assert {kind for _, kind in names} == {kind for kinds in design.KINDS.values() for kind in kinds}
    assert {splits.split_of(seed) for seed, _ in names} == {"train", "val", "test", "generalisation"}


@chunked
def test_the_kept_events_alone_entail_the_answer_and_without_them_it_is_another(chunk: int) -> None:
    checked: Counter[str] = Counter()
    for scene, minds, question in asked(chunk):
        if question.type not in BELIEFS or question.solve is None:
            continue
        answer = question.solve(minds)
        assert question.events, question
        assert question.solve(Minds(only(scene.story, question.events))) == answer, question
        assert question.solve(Minds(without(scene.story, question.events))) != answer, question
        checked[question.type] += 1
    assert checked["belief"] + checked["belief_contents"] > SETS


@chunked
def test_whatever_else_happens_beside_the_kept_events_the_answer_stays(chunk: int) -> None:
    for scene, minds, question in asked(chunk):
        if question.type not in ("belief", "second_order", "belief_contents", "honesty") or question.solve is None:
            continue
        answer = question.solve(minds)
        draw = random.Random(question.tags["id"])  # noqa: S311
        for _ in range(LEFT_OUT):
            others = {event.id for event in scene.story.events if draw.random() < 0.5}
            assert question.solve(Minds(only(scene.story, others | set(question.events)))) == answer, question


@chunked
def test_the_entailing_events_lie_inside_the_spans_and_never_in_an_interlude(chunk: int) -> None:
    for scene, _, question in asked(chunk):
        if question.tags["route"] == "answer":
            assert not question.spans
            continue
        assert question.events, question
        times = {event.id: event for event in scene.story.events}
        for event in (times[name] for name in question.events):
            assert event.place != YARD
            if question.type == "frame":
                assert question.spans[0].start_s <= event.end_s <= question.spans[0].end_s
            else:
                inside = [
                    s for s in question.spans if s.start_s <= event.start_s + 0.01 and event.end_s <= s.end_s + 0.01
                ]
                assert inside or event.end_s > scene.duration_s, question


@chunked
def test_spans_hold_nothing_but_the_evidence(chunk: int) -> None:
    for scene, _, question in asked(chunk):
        if question.type in ("frame", "scene"):
            continue
        times = {event.id: event.end_s - event.start_s for event in scene.story.events}
        longest_s = sum(times[name] for name in question.events) + questions.GAP_S * len(question.events)
        assert sum(span.end_s - span.start_s for span in question.spans) <= longest_s + 0.02 * len(question.events)


@chunked
def test_a_moment_of_change_is_the_event_that_makes_it(chunk: int) -> None:
    checked: Counter[str] = Counter()
    for scene, minds, question in asked(chunk):
        if question.type not in ("moment_false", "moment_found_out", "frame"):
            continue
        (name,) = question.events
        event = next(e for e in scene.story.events if e.id == name)
        rest, fact, who = Minds(without(scene.story, question.events)), _about(scene, question), scene.cast.believer
        # A lid that is lifted shows what it shows from then on, so that a belief may turn in the midst of an event.
        before = minds.belief(who, fact=fact, at_s=max(0.0, event.start_s - 0.001))
        after = minds.belief(who, fact=fact, at_s=event.end_s)
        if question.type == "moment_false":
            assert not _wrong(minds, who, fact, max(0.0, event.start_s - 0.001)), question
            assert _wrong(minds, who, fact, event.end_s), question
            assert not _wrong(rest, who, fact, event.end_s), question
        else:
            assert _value(before) != _value(after), question
            assert _value(rest.belief(who, fact=fact, at_s=event.end_s)) == _value(before), question
        checked[question.type] += 1
    assert checked["moment_false"]


@chunked
def test_an_event_that_is_asked_for_happens_once(chunk: int) -> None:
    for scene, _, question in asked(chunk):
        variant = question.tags.get("variant")
        if question.type != "moment_event" or variant not in (
            "move_away",
            "leave",
            "return",
            "peek",
            "turn",
            "hide",
            "spot",
        ):
            continue
        (name,) = question.events
        event = next(e for e in scene.story.events if e.id == name)
        same = [e for e in scene.story.events if (e.kind, e.actor) == (event.kind, event.actor)]
        if variant == "move_away":
            seen = set(Minds(scene.story).perceived(scene.cast.believer))
            same = [e for e in same if e.id not in seen and set(e.effects) & set(event.effects)]
        assert same == [event], question


def _about(scene: Scene, question: Question) -> Fact:
    """The fact about which somebody finds out or comes to be wrong."""
    if question.tags.get("variant") == "contents":
        label = next(c.label for c in scene.containers if c.name == scene.cast.path[0])
        return ("in", str(label))
    if question.tags.get("variant") == "lied":
        return ("trusts", scene.cast.believer, str(scene.cast.witness))
    return ("in", scene.cast.thing)


def _wrong(minds: Minds, person: str, fact: Fact, at_s: float) -> bool:
    belief = minds.belief(person, fact=fact, at_s=at_s)
    return belief is not None and belief.value is not None and not minds.knows(person, fact=fact, at_s=at_s)


def _value(belief: object) -> object:
    return getattr(belief, "value", None)
