"""Questions of generated films: one right answer, evidence that entails it, and nothing that gives it away."""

from __future__ import annotations

import pickle
import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from eval.worlds import ask_facts, plot, questions, voice, wording
from eval.worlds.inquiries import Asker, Together
from eval.worlds.questions import Question, ask, example, merged
from eval.worlds.scene import YARD, Scene
from roles import examples
from roles.errors import DataError
from roles.minds import Minds, only, without

SEEDS = (*range(40, 58), *range(20_000_040, 20_000_052), *range(30_000_040, 30_000_048))
BALANCED = ("belief", "search", "knowledge", "second_order", "belief_contents", "honesty", "why")


@cache
def films() -> tuple[tuple[Scene, Minds, tuple[Question, ...]], ...]:
    made = []
    for seed in SEEDS:
        for kind in plot.members(seed):
            scene = plot.scene(seed, kind, check=False)
            minds = Minds(scene.story)
            made.append((scene, minds, tuple(ask(scene, minds))))
    return tuple(made)


def asked() -> list[tuple[Scene, Minds, Question]]:
    return [(scene, minds, question) for scene, minds, found in films() for question in found]


def test_all_types_are_asked_and_lines_can_be_read_back() -> None:
    lines = [examples.to_line(example(question, "films/x.mp4")) for _, _, question in asked()]
    read, problems = examples.parse_lines(lines)
    assert not problems
    assert [line for _, line in read] == [example(question, "films/x.mp4") for _, _, question in asked()]
    assert {question.type for _, _, question in asked()} == set(questions.TYPES)


def test_every_question_is_sound() -> None:
    for scene, _, question in asked():
        text = question.text
        assert "{" not in text
        assert "  " not in text
        assert text[0].isupper() or text[0] == '"', text
        # Some people type no question mark.
        assert text[-1] in '.?")' or text[-1].isalnum(), text
        assert len(set(question.options)) == len(question.options)
        assert (question.answer is None) == (question.type in questions.MOMENTS) == (not question.options)
        assert question.answer is None or question.answer in question.options
        assert all(isinstance(value, str) for value in question.tags.values())
        assert (question.tags["route"] == "answer") == (not question.spans) == ("query" not in question.tags)
        for span in question.spans:
            assert 0 <= span.start_s < span.end_s <= scene.duration_s + 0.005
            assert round(span.start_s, 2) == span.start_s
        for before, after in zip(question.spans, question.spans[1:], strict=False):
            assert after.start_s - before.end_s >= questions.GAP_S - 1e-9


def test_spans_cover_the_evidence() -> None:
    for scene, _, question in asked():
        if question.type in ("frame", "scene"):
            continue
        times = {event.id: event for event in scene.story.events}
        for event in question.events:
            middle_s = (times[event].start_s + times[event].end_s) / 2
            assert any(span.start_s <= middle_s <= span.end_s for span in question.spans), question
            assert times[event].place != YARD


def test_the_evidence_alone_gives_the_answer_and_without_it_the_answer_is_gone() -> None:
    checked: Counter[str] = Counter()
    for scene, minds, question in asked():
        if question.solve is None or not question.events:
            continue
        answer = question.solve(minds)
        assert question.solve(Minds(only(scene.story, question.events))) == answer, question
        assert question.solve(Minds(without(scene.story, question.events))) != answer, question
        checked[question.type] += 1
    assert set(checked) >= {"belief", "knowledge", "second_order", "belief_contents", "honesty", "goal", "reality"}


def test_answers_are_what_the_minds_say() -> None:
    for scene, minds, question in asked():
        where = ("in", scene.cast.thing)
        if question.type in ("belief", "search"):
            belief = minds.belief(scene.cast.believer, fact=where)
            assert belief is not None
            assert question.answer == f"the {belief.value}"
        elif question.type == "second_order":
            belief = minds.belief(scene.cast.mover, scene.cast.believer, fact=where)
            assert belief is not None
            assert question.answer == f"the {belief.value}"
        elif question.type == "reality" and scene.family != "contents":
            assert question.answer == f"the {minds.truth(where).value}"


@pytest.mark.parametrize("kind", BALANCED)
def test_within_a_set_no_option_is_right_more_often_than_another(kind: str) -> None:
    right: dict[tuple[int, str], Counter[int]] = defaultdict(Counter)
    texts: dict[tuple[int, str], Counter[tuple[str, bool]]] = defaultdict(Counter)
    for scene, _, question in asked():
        if question.type == kind:
            key = scene.seed, question.tags.get("variant", "")
            right[key][question.options.index(question.answer or "")] += 1
            for option in question.options:
                texts[key][option, option == question.answer] += 1
    assert right
    for key, counts in right.items():
        if kind == "why":
            for option in {option for option, _ in texts[key]}:
                assert texts[key][option, True] == texts[key][option, False], (key, texts[key])
        else:
            assert len(set(counts.values())) == 1, (key, counts)
            assert len(counts) == (3 if kind == "honesty" else 2)


def test_films_of_a_set_ask_in_the_same_words_with_options_in_the_same_order() -> None:
    said: dict[tuple[int, str, str], set[tuple[str, ...]]] = defaultdict(set)
    for scene, _, question in asked():
        about = question.type in ("belief", "search", "second_order", "belief_contents")
        if about and scene.kind != "renamed":
            options = question.options if scene.family != "testimony" else ()
            said[scene.seed, question.type, question.tags.get("variant", "")].add((question.text, *options))
    assert said
    assert all(len(forms) == 1 for forms in said.values())


def test_beliefs_are_not_asked_where_she_has_searched_in_the_film() -> None:
    for scene, _, found in films():
        types = {question.type for question in found}
        if scene.coda:
            assert not types & {"belief", "search", "knowledge", "ignorance", "second_order", "belief_contents"}


def _with_wishes_for_the_other(scene: Scene) -> Scene:
    main, other = (thing.name for thing in scene.things[:2])
    swapped = {main: other, other: main}
    events = tuple(
        replace(
            event,
            effects=tuple(
                (fact, swapped[str(value)] if fact[0] == "wants" else value) for fact, value in event.effects
            ),
        )
        for event in scene.story.events
    )
    return replace(scene, story=replace(scene.story, events=events))


def test_whether_a_wish_is_asked_about_does_not_depend_on_what_is_wished_for() -> None:
    wished = 0
    for scene, minds, _ in films():
        if any(event.kind == "wish" for event in scene.story.events):
            other = _with_wishes_for_the_other(scene)
            before = ask_facts.wanting(Asker(scene, minds))
            after = ask_facts.wanting(Asker(other, Minds(other.story)))
            assert [inquiry.options for inquiry in after] == [inquiry.options for inquiry in before]
            assert all(one.right != two.right for one, two in zip(before, after, strict=True))
            wished += len(before)
    assert wished


def test_what_the_mover_supposes_is_often_not_what_the_believer_holds() -> None:
    same: Counter[bool] = Counter()
    for scene, minds, question in asked():
        if question.type == "second_order":
            belief = minds.belief(scene.cast.believer, fact=("in", scene.cast.thing))
            assert belief is not None
            same[question.answer == f"the {belief.value}"] += 1
    assert same[False] > 0.3 * same.total()


def test_who_peeked_unnoticed_holds_what_the_mover_does_not_suppose() -> None:
    found = 0
    for scene, minds, questions_ in films():
        if scene.kind != "peeked":
            continue
        for question in questions_:
            if question.type == "second_order":
                belief = minds.belief(scene.cast.believer, fact=("in", scene.cast.thing))
                assert belief is not None
                assert question.answer != f"the {belief.value}"
                found += 1
    assert found


def test_two_numbers_that_are_offered_together_are_right_equally_often() -> None:
    higher: Counter[bool] = Counter()
    for seed in range(3_000, 3_240):
        scene = plot.scene(seed, plot.members(seed)[0], check=False)
        for inquiry in ask_facts.looking(Asker(scene, Minds(scene.story))):
            if inquiry.variant in ("people", "containers"):
                assert inquiry.right is not None
                numbers = [int(number) for _, number in inquiry.options]
                assert len(set(numbers)) == 2
                higher[int(inquiry.right[1]) == max(numbers)] += 1
    assert higher.total() > 40
    assert 0.32 < higher[True] / higher.total() < 0.68


def test_evidence_is_the_first_look_rather_than_a_later_one() -> None:
    for scene, _, question in asked():
        if scene.kind == "swapped" and question.type == "belief_contents":
            first = next(e for e in scene.story.events if e.actor == scene.cast.believer and e.kind == "enter")
            assert question.events[0] == first.id


def test_that_she_missed_the_move_is_shown_with_the_move() -> None:
    found = 0
    for scene, _, question in asked():
        if question.type == "why" and scene.kind == "false_belief" and scene.family == "place":
            kinds = {event.id: event.kind for event in scene.story.events}
            last = max(
                (
                    e
                    for e in scene.story.events
                    if e.actor == scene.cast.mover
                    and e.kind == "move"
                    and (("in", scene.cast.thing), scene.cast.path[-1]) in e.effects
                ),
                key=lambda e: e.end_s,
            )
            assert last.id in question.events, [kinds[name] for name in question.events]
            found += 1
    assert found


def test_who_is_misled_once_more_before_the_discovery_is_not_asked_when_she_finds_out() -> None:
    for scene, minds, question in asked():
        if question.type == "moment_found_out" and scene.family != "contents":
            (start_s, end_s) = minds.false_spans(scene.cast.believer, ("in", scene.cast.thing))[0]
            turns = minds.changes(scene.cast.believer, fact=("in", scene.cast.thing))
            assert not [
                turn
                for turn in turns
                if start_s + 0.01 < turn.time_s < end_s - 0.01
                and not turn.is_true
                and turn.after is not None
                and turn.after.value is not None
            ]


def test_a_container_that_she_also_fills_is_not_the_one_she_is_seen_to_open() -> None:
    for scene, _, question in asked():
        if question.tags.get("variant") != "open":
            continue
        beat = next(beat for beat in scene.beats if beat.event == question.events[0])
        used = [b for b in scene.beats if b.person == beat.person and beat.container in (b.container, b.to_container)]
        assert used == [beat]


def test_a_false_belief_has_its_moment_and_a_true_one_has_none() -> None:
    for scene, minds, found in films():
        if scene.family != "place" or scene.kind not in ("false_belief", "true_belief"):
            continue
        moments = [question for question in found if question.type == "moment_false"]
        spans = minds.false_spans(scene.cast.believer, ("in", scene.cast.thing))
        assert len(moments) == len(spans) == (scene.kind == "false_belief")
        for question in moments:
            assert question.spans[0].start_s <= spans[0][0] <= question.spans[0].end_s + 0.01


def test_test_wordings_appear_in_the_test_split_only_and_in_about_half_of_it() -> None:
    held = Counter((scene.split, question.tags.get("held_out", "no")) for scene, _, question in asked())
    assert {split for split, flag in held if flag == "yes"} == {"test"}
    share = held["test", "yes"] / (held["test", "yes"] + held["test", "no"])
    assert 0.35 < share < 0.65


def test_asking_again_gives_the_same() -> None:
    scene, _, found = films()[3]
    assert tuple(ask(scene)) == found
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301


def test_options_are_anywhere_in_order() -> None:
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for scene, _, question in asked():
        if question.options and scene.kind == plot.members(scene.seed)[0]:
            counts[f"{len(question.options)}"][question.options.index(question.answer or "")] += 1
    for size, found in counts.items():
        assert min(found[k] for k in range(int(size))) > 0.6 * sum(found.values()) / int(size)


def test_who_is_who_is_told_by_the_colour_of_the_clothes() -> None:
    for scene, _, question in asked():
        for person in scene.people:
            if re.search(rf"\b{person.name}\b", question.text):
                assert re.search(rf"\b{person.shirt}\b", question.text), question.text
            if re.search(rf"\b{person.name}\b", question.tags.get("query", "")):
                assert re.search(rf"\b{person.shirt}\b", question.tags["query"])


def test_there_are_enough_wordings_and_no_two_are_the_same() -> None:
    for kind in wording.SLOTS:
        found = wording.book(kind)
        lines = [w.text for (_, use, h), group in found.items() for w in group if use == "ask" and h]
        assert len(lines) >= 8
        for variant in wording.SLOTS[kind]:
            assert len(found[variant, "ask", False]) >= 50
            for use in ("ask",) if kind == "scene" else ("ask", "query"):
                shown = [w.text.casefold().rstrip(".?") for w in found[variant, use, False]]
                held = [w.text.casefold().rstrip(".?") for w in found[variant, use, True]]
                assert len(set(shown)) == len(shown)
                assert len(set(held)) == len(held)
                if use == "ask":
                    assert not set(shown) & set(held)
        if kind != "scene":
            assert all(len(found[variant, "query", False]) >= 25 for variant in wording.SLOTS[kind])
            assert sum(len(found[variant, "query", True]) for variant in wording.SLOTS[kind]) >= 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Where does {y} think {o} is?", r"unknown slot \{y\}"),
        ("Where is {o}?", r"the slot \{x\} is missing"),
        ("Where is {o} in {x}'s mind?", r"no 's after a slot"),
        ("Where does {x} think {o} is}?", "a brace without its partner"),
    ],
)
def test_a_wrong_wording_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    monkeypatch.setattr(wording, "_FOLDER", tmp_path)
    (tmp_path / "belief.txt").write_text(f"[train]\n{line}\n")
    with pytest.raises(DataError, match=rf"belief.txt: line 2: .*{message}"):
        wording.book.__wrapped__("belief")


def test_a_missing_section_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "_FOLDER", tmp_path)
    (tmp_path / "belief.txt").write_text("[train]\nWhere does {x} think {o} is?\n")
    with pytest.raises(DataError, match=r"the section \[test\] is missing"):
        wording.book.__wrapped__("belief")


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("apposition", "What does {0} ({1}) think {0} sees?"),
        ("preamble", "{0} think {0} sees?"),
        ("description", "What does the {2} think the {2} sees?"),
    ],
)
def test_a_person_is_introduced_once(style: str, said: str) -> None:
    scene = films()[0][0]
    person = scene.people[0]
    spoken = voice.Voice(style, 0.0, 1, False).ask(
        scene, "what does {x} think {x} sees?", {"x": ("person", person.name)}
    )
    noun = "girl" if person.pronoun == "she" else "man" if person.extra in voice.MEN else "boy"
    assert said.format(person.name, f"in {person.shirt}", f"{noun} in {person.shirt}") in spoken


def test_pronouns_follow_the_person() -> None:
    scene = films()[0][0]
    for person in scene.people:
        told = replace(scene, people=(replace(person, pronoun="he"),))
        slots = {"x": ("person", person.name)}
        text = voice.Voice("apposition", 0.0, 1, False).ask(
            told, "{x} sees what {x_she} has in {x_his} bag, with {x_her}.", slots
        )
        assert text.endswith("sees what he has in his bag, with him.")


def test_spans_that_nearly_touch_are_one_and_stay_inside_the_film() -> None:
    spans = merged([(5.0, 9.0), (1.0, 2.0), (2.2, 3.0), (8.5, 12.004)], 12.0)
    assert [(span.start_s, span.end_s) for span in spans] == [(1.0, 3.0), (5.0, 12.0)]


def test_a_solver_of_several_parts_answers_all_of_them() -> None:
    scene, minds, _ = films()[0]
    both = Together((lambda m: m.end_s, lambda m: len(m.story.people)))
    assert both(minds) == (minds.end_s, len(scene.story.people))
