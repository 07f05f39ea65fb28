"""States of lessons: what `roles.minds` says and the stage shows, patch by patch."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from adapters.train.default.contract import UNKNOWN
from eval import lesson_views, lesson_words
from eval.lesson_looks import looks_of
from eval.lesson_states import SIZES, states_of
from eval.lesson_views import View
from eval.lesson_words import CLASSES, COLOURS, NAMES, SHAPES
from eval.worlds import plot
from eval.worlds.art.acting import act
from eval.worlds.draw import dice
from eval.worlds.scene import ROOM, YARD, Scene
from prompts import own_prompts
from roles.manner import Manner
from roles.minds import Belief, Minds
from roles.types import Span

WORDS = {
    "room": ("facing", "turned"),
    "nook": ("nook",),
    "window": ("window",),
    "outside": ("outside",),
    "yard": ("yard",),
    "away": ("away",),
}


@cache
def films() -> tuple[tuple[Scene, Minds], ...]:
    kinds = [(seed, kind) for seed in range(900, 912) for kind in plot.members(seed)[:2]]
    testimony = next(seed for seed in range(900, 990) if plot.family_of(seed) == "testimony")
    kinds += [(testimony, "lie_distrusted"), (testimony, "truth")]
    scenes = [plot.scene(seed, kind, length_s=22.0 + 5 * (seed % 8), check=False) for seed, kind in kinds]
    return tuple((scene, Minds(scene.story)) for scene in scenes)


def view_of(scene: Scene, start_s: float = 0.0, end_s: float | None = None) -> View:
    """Two frames a second from one time to another."""
    end_s = scene.duration_s if end_s is None else end_s
    count = int(end_s - start_s) * 2
    times = np.linspace(start_s, end_s - 0.25, count)
    return View(Span(start_s, end_s), 0.0, times, 4, 6, whole=start_s == 0.0)


def place_of(scene: Scene, belief: Belief | None) -> tuple[str, str, str]:
    """Class, colour and shape of where a thing is thought to be, worked out by other means than the labels."""
    if belief is None:
        return "no idea", "", ""
    for box in scene.containers:
        if belief.value == box.name:
            return "inside", box.colour, box.shape
    for person in scene.people:
        if belief.value == person.name:
            return "held", person.shirt, ""
    return ("gone" if belief.value is None else "lying"), "", ""


def thing_of(scene: Scene, name: str | None, none: str) -> tuple[str, str, str]:
    found = next((thing for thing in scene.things if thing.name == name), None)
    return (none, "", "") if found is None else ("thing", found.colour, found.shape)


def expected(scene: Scene, minds: Minds, kind: int, about: list[str], at_s: float) -> tuple[str, str, str] | None:
    """The answer to a query about what is so or believed; None for what is to be seen."""
    people = {person.shirt: person.name for person in scene.people}
    things = {thing.shape: thing.name for thing in scene.things}
    boxes = {box.shape: box.name for box in scene.containers}
    if any(name not in people and name not in things and name not in boxes for name in about):
        return "absent", "", ""
    who = tuple(people[name] for name in about if name in people)
    if kind == lesson_words.PLACE:
        return place_of(scene, minds.truth(("in", things[about[0]]), at_s))
    if kind in (lesson_words.BELIEF, lesson_words.SECOND):
        return place_of(scene, minds.belief(*who, fact=("in", things[about[-1]]), at_s=at_s))
    if kind in (lesson_words.CONTENTS, lesson_words.SECOND_CONTENTS):
        found = minds.contents(*who, container=boxes[about[-1]], at_s=at_s)
        return thing_of(scene, found[0], "no idea") if len(found) == 1 else ("several" if found else "no idea", "", "")
    if kind == lesson_words.TRUST:
        belief = minds.belief(who[0], fact=("trusts", *who), at_s=at_s)
        return ("no" if belief is not None and belief.value is False else "yes"), "", ""
    if kind == lesson_words.WISH:
        return thing_of(scene, str(minds.truth(("wants", who[0]), at_s).value), "none")
    if kind == lesson_words.PUT_BY:
        movers = movers_of(scene, things[about[0]], at_s)
        shirts = {person.name: person.shirt for person in scene.people}
        return ("held", shirts[movers[-1]], "") if movers else ("none", "", "")
    if kind == lesson_words.VERDICT:
        said = [event for event in scene.story.events if event.says and event.actor == who[0] and event.end_s <= at_s]
        return (minds.honesty(said[-1].id) if said else "none"), "", ""
    if kind == lesson_words.KNOWS:
        fact = ("in", things[about[-1]])
        known = minds.belief(who[0], fact=fact, at_s=at_s) is not None
        return ("no idea" if not known else "yes" if minds.knows(who[0], fact=fact, at_s=at_s) else "no"), "", ""
    if kind == lesson_words.WHEREABOUTS:
        words = WORDS[str(minds.truth(("at", who[0]), at_s).value)]
        turned = minds.truth(("turned", who[0]), at_s).value is True
        return words[turned and len(words) > 1], "", ""
    return None


def movers_of(scene: Scene, thing: str, at_s: float) -> list[str]:
    """Who took, put or moved a thing until a time, as the film shows it."""
    ends = {event.id: event.end_s for event in scene.story.events}
    beats = [beat for beat in scene.beats if beat.kind in ("put", "take", "move") and beat.thing == thing]
    return [beat.person for beat in sorted(beats, key=lambda beat: ends[beat.event]) if ends[beat.event] <= at_s]


def read(label: np.ndarray) -> tuple[str, str, str]:
    kind, colour, shape = (int(part) for part in label)
    return CLASSES[kind], "" if colour == UNKNOWN else COLOURS[colour], "" if shape == UNKNOWN else SHAPES[shape]


def test_labels_are_what_the_minds_hold_at_every_patch() -> None:
    checked: Counter[int] = Counter()
    said: Counter[str] = Counter()
    for number, (scene, minds) in enumerate(films()):
        view = view_of(scene)
        states = states_of(scene, minds, view, dice(number))
        for query, line in zip(states.queries, states.labels, strict=True):
            about = [NAMES[name] for name in query[1:] if name]
            for at_s, label in zip(view.patch_times_s(), line, strict=True):
                answer = expected(scene, minds, int(query[0]), about, float(at_s))
                if answer is not None:
                    assert read(label) == answer, (scene.id, query, at_s)
                    checked[int(query[0])] += 1
                    said[answer[0]] += 1
    remembered = set(range(lesson_words.KINDS)) - set(lesson_words.VISIBLE)
    assert remembered <= set(checked)
    assert {
        "inside", "held", "lying", "gone", "no idea", "thing", "yes", "no", "turned", "outside", "truth", "lie",
    } <= set(said)  # fmt: skip


def test_within_a_film_only_what_the_view_shows_is_scored() -> None:
    scored = left = 0
    for seed in range(950, 960):
        scene = plot.scene(seed, plot.members(seed)[0], length_s=100, check=False)
        minds = Minds(scene.story)
        view = view_of(scene, 40.0, 90.0)
        states = states_of(scene, minds, view, dice(seed))
        for query, line in zip(states.queries, states.labels, strict=True):
            about = [NAMES[name] for name in query[1:] if name]
            people = {person.shirt: person.name for person in scene.people}
            things = {thing.shape: thing.name for thing in scene.things}
            for at_s, label in zip(view.patch_times_s(), line, strict=True):
                answer = expected(scene, minds, int(query[0]), about, float(at_s))
                if answer is None or answer[0] == "absent":
                    continue
                if label[0] != UNKNOWN:
                    assert read(label) == answer
                if query[0] == lesson_words.BELIEF:
                    belief = minds.belief(people[about[0]], fact=("in", things[about[1]]), at_s=float(at_s))
                    old = belief is None or belief.since_s < 40.0
                    assert old or label[0] != UNKNOWN
                    # What she took in before and cannot see now is not to be known from the view.
                    hidden = belief is None or any(box.name == belief.value for box in scene.containers)
                    assert not (old and hidden) or label[0] == UNKNOWN
                    scored, left = scored + (label[0] != UNKNOWN), left + (label[0] == UNKNOWN)
    assert scored > 200
    assert left > 200


def test_what_is_seen_is_what_the_stage_shows() -> None:
    agree: Counter[tuple[str, bool]] = Counter()
    for scene, _ in films():
        times = np.arange(0.25, scene.duration_s, 0.5)
        looks = looks_of(scene, times.tolist(), [(float(t) - 0.25, float(t) + 0.25) for t in times])
        acting = act(scene, times)
        yard = {box.name for box in scene.containers if box.place == YARD}
        yard |= {person.name for person in scene.people if person.place == YARD}
        shown = looks.shown
        for person in scene.people:
            place = YARD if person.name in yard else ROOM
            pose, peek = acting.poses[person.name], acting.peeks[person.name]
            inside, outside = np.broadcast_to(pose.indoors, times.shape), np.broadcast_to(pose.outdoors, times.shape)
            for k in [k for k, stage in enumerate(shown) if stage is not None]:
                there = shown[k] == place and (inside[k] > 0.5 or peek[k] > 0.3)
                seen = CLASSES[looks.status[person.name][k][0]]
                if not (outside[k] > 0.5 and peek[k] <= 0.3):  # in the doorway she is neither here nor there
                    agree["person", there == (seen != "not seen")] += 1
                if there and seen in ("facing", "turned"):
                    turned = np.broadcast_to(pose.turned, times.shape)[k] > 0.5
                    agree["turned", turned == (seen == "turned")] += 1
        for thing in scene.things:
            track = acting.things[thing.name]
            place = YARD if thing.inside in yard else ROOM
            for k in [k for k, stage in enumerate(shown) if stage is not None]:
                drawn = track.held[k] > 0.5 or any(share[k] > 0.5 for share in track.inside.values())
                seen = CLASSES[looks.things[thing.name][k][0]]
                agree["thing", (drawn and shown[k] == place) == (seen != "not seen")] += 1
        for k in [k for k, stage in enumerate(shown) if stage is not None]:
            open_boxes = [
                box
                for box in scene.containers
                if acting.opening[box.name][k] > 0.6 and (box.place == YARD) == (shown[k] == YARD)
            ]
            name, colour, shape = read(np.array(looks.lid[k]))
            right = any((box.colour, box.shape) == (colour, shape) for box in open_boxes)
            agree["lid", right or (not open_boxes and name == "none")] += 1
    for what in ("person", "turned", "thing", "lid"):
        assert agree[what, True] > 500
        assert agree[what, False] < 0.02 * agree[what, True], (what, agree)


def test_all_indices_are_within_the_sizes_and_name_what_there_is() -> None:
    kinds: Counter[int] = Counter()
    absent = 0
    for number, (scene, minds) in enumerate(films()):
        states = states_of(scene, minds, view_of(scene), dice(number))
        assert states.queries.dtype == states.labels.dtype == np.int16
        assert states.queries.min() >= 0
        assert states.queries[:, 0].max() < SIZES.kinds
        assert states.queries[:, 1:].max() < SIZES.names
        for axis, size in enumerate((SIZES.classes, SIZES.colours, SIZES.shapes)):
            part = states.labels[:, :, axis]
            assert np.all((part == UNKNOWN) | ((part >= 0) & (part < size)))
        rows = {tuple(query) for query in states.queries.tolist()}
        assert len(rows) == len(states.queries)
        kinds.update(states.queries[:, 0].tolist())
        absent += int((states.labels[:, 0, 0] == CLASSES.index("absent")).sum())
        there = {p.shirt for p in scene.people} | {t.shape for t in scene.things} | {b.shape for b in scene.containers}
        for query, line in zip(states.queries, states.labels, strict=True):
            missing = any(NAMES[name] not in there for name in query[1:] if name)
            assert missing == (line[0, 0] == CLASSES.index("absent"))
    assert set(kinds) == set(range(SIZES.kinds))
    assert absent >= 3 * len(films())


def test_labels_belong_to_the_moved_frames_of_a_shifted_view() -> None:
    scene, minds = next((scene, minds) for scene, minds in films() if scene.family == "place")
    manner = Manner()
    for seed in range(6):
        view = lesson_views.whole(scene, manner, own_prompts(), dice(seed))
        states = states_of(scene, minds, view, dice(seed))
        line = next(line for query, line in zip(states.queries, states.labels, strict=True)
                    if query[0] == lesson_words.PLACE and NAMES[query[1]] == scene.cast.thing.split()[-1])  # fmt: skip
        for at_s, label in zip((view.times_s[0::2] + view.times_s[1::2]) / 2, line, strict=True):
            assert read(label) == place_of(scene, minds.truth(("in", scene.cast.thing), float(at_s)))


# What a film of a known kind has to say


def lines(scene: Scene, minds: Minds, kind: int, view: View | None = None) -> dict[tuple[str, ...], list[str]]:
    """The labels of a kind's queries, in words with their colours, by what they are about."""
    states = states_of(scene, minds, view_of(scene) if view is None else view, dice("lines"))
    found = {}
    for query, line in zip(states.queries, states.labels, strict=True):
        if query[0] == kind:
            about = tuple(NAMES[name] for name in query[1:] if name)
            found[about] = [f"{read(one)[0]} {read(one)[1]}".strip() if one[0] != UNKNOWN else "?" for one in line]
    return found


@cache
def of_kind(kind: str, count: int = 4, *, coda: bool | None = None) -> tuple[tuple[Scene, Minds], ...]:
    """Films of a kind, those that end before the believer has searched where `coda` is False."""
    found: list[tuple[Scene, Minds]] = []
    for seed in range(900, 1400):
        if kind in plot.members(seed) and len(found) < count:
            scene = plot.scene(seed, kind, length_s=24, check=False)
            if coda is None or scene.coda == coda:
                found.append((scene, Minds(scene.story)))
    return tuple(found)


def shirt_of(scene: Scene, name: str | None) -> str:
    return next(person.shirt for person in scene.people if person.name == name)


def shape_of(scene: Scene) -> str:
    return next(thing.shape for thing in scene.things if thing.name == scene.cast.thing)


def switches(line: list[str]) -> list[str]:
    return [one for k, one in enumerate(line) if k == 0 or line[k - 1] != one]


@pytest.mark.parametrize("kind", plot.all_kinds("testimony"))
def test_what_was_said_is_judged_from_when_it_has_been_said(kind: str) -> None:
    base, distrusted = kind.removesuffix("_distrusted"), kind.endswith("_distrusted")
    for scene, minds in of_kind(kind):
        found = lines(scene, minds, lesson_words.VERDICT)
        line = found[(shirt_of(scene, scene.cast.witness),)]
        tells = [beat for beat in scene.beats if beat.kind == "tell" and beat.person == scene.cast.witness]
        last = next(event for event in scene.story.events if event.id == tells[-1].event)
        times = view_of(scene).patch_times_s()
        assert {one for one, at_s in zip(line, times, strict=True) if at_s > last.end_s} == {base}
        assert switches(line)[0] == "none"
        assert not {"lie", "mistake", "truth"} & {
            one for one, at_s in zip(line, times, strict=True) if at_s < min(tell.start_s for tell in tells)
        }
        # Whoever is not believed has lied before; others have been right before, or have said nothing.
        assert ("lie" in switches(line)[:-1]) == (distrusted and base != "lie")


def test_nobody_is_judged_who_says_nothing() -> None:
    for scene, minds in (*of_kind("lie"), *of_kind("told_other"), *of_kind("false_belief")):
        tellers = {shirt_of(scene, beat.person) for beat in scene.beats if beat.kind == "tell"}
        tellers -= {person.shirt for person in scene.people if person.place == YARD}
        assert {about[0] for about in lines(scene, minds, lesson_words.VERDICT)} == tellers


def test_who_moved_a_thing_last_is_named_from_when_it_lies_there() -> None:
    for kind in ("false_belief", "true_belief", "unseen", "lie", "truth", "renamed"):
        for scene, minds in of_kind(kind, 3):
            line = lines(scene, minds, lesson_words.PUT_BY)[(shape_of(scene),)]
            ends = {event.id: event.end_s for event in scene.story.events}
            move = next(
                b
                for b in scene.beats
                if b.kind == "move" and (b.person, b.thing) == (scene.cast.mover, scene.cast.thing)
            )
            after = [b for b in scene.beats if b.thing == scene.cast.thing and b.kind in ("put", "take", "move")
                     and ends[b.event] > ends[move.event]]  # fmt: skip
            until = min((ends[b.event] for b in after), default=1e9)
            said = [one for one, at_s in zip(line, view_of(scene).patch_times_s(), strict=True)
                    if ends[move.event] <= at_s < until]  # fmt: skip
            assert set(said) == {f"held {shirt_of(scene, scene.cast.mover)}"}
            assert line[0] == "none"


def test_in_a_view_from_within_a_film_the_mover_is_named_only_if_she_is_seen_to_move_it() -> None:
    named = left = 0
    for seed in range(950, 958):
        scene = plot.scene(seed, plot.members(seed)[0], length_s=100, check=False)
        view = view_of(scene, 40.0, 90.0)
        ends = {event.id: event.end_s for event in scene.story.events}
        for about, line in lines(scene, Minds(scene.story), lesson_words.PUT_BY, view).items():
            thing = next(thing.name for thing in scene.things if thing.shape == about[0])
            moves = [beat for beat in scene.beats if beat.thing == thing and beat.kind in ("put", "take", "move")]
            seen = [ends[beat.event] for beat in moves if ends[beat.event] >= 40.0]
            for one, at_s in zip(line, view.patch_times_s(), strict=True):
                assert (one != "?") == any(end_s <= at_s for end_s in seen)
                named, left = named + (one != "?"), left + (one == "?")
    assert named > 50
    assert left > 50


def test_the_believer_no_longer_knows_when_the_thing_was_moved_unseen() -> None:
    for kind in ("false_belief", "unseen"):
        for scene, minds in of_kind(kind, 3, coda=False):
            cast = scene.cast
            found = lines(scene, minds, lesson_words.KNOWS)
            believes, moves = (found[shirt_of(scene, name), shape_of(scene)] for name in (cast.believer, cast.mover))
            end_s = next(
                event.end_s for event in reversed(scene.story.events)
                if any(fact == ("in", cast.thing) for fact, _ in event.effects)
            )  # fmt: skip
            times = view_of(scene).patch_times_s()
            assert "no" not in [one for one, at_s in zip(believes, times, strict=True) if at_s < end_s]
            assert {one for one, at_s in zip(believes, times, strict=True) if at_s >= end_s} == {"no"}
            assert "yes" in believes
            assert "no" not in moves
            assert moves[-1] == "yes"


def test_the_believer_knows_on_where_she_saw_the_move_or_has_found_the_thing() -> None:
    for scene, minds in of_kind("true_belief", 3):
        line = lines(scene, minds, lesson_words.KNOWS)[shirt_of(scene, scene.cast.believer), shape_of(scene)]
        assert switches(line) in (["yes"], ["no idea", "yes"])
    for scene, minds in of_kind("false_belief", 3, coda=True):
        line = lines(scene, minds, lesson_words.KNOWS)[shirt_of(scene, scene.cast.believer), shape_of(scene)]
        assert switches(line)[-3:] == ["yes", "no", "yes"]


def test_who_is_right_and_what_was_said_are_not_asked_of_a_view_from_within_a_film() -> None:
    for scene, minds in of_kind("lie"):
        view = view_of(scene, 8.0)
        assert lines(scene, minds, lesson_words.KNOWS, view) == lines(scene, minds, lesson_words.VERDICT, view) == {}
        assert lines(scene, minds, lesson_words.INITIAL, view)


def test_the_letter_on_the_clothes_is_the_names_first_where_it_faces_the_picture() -> None:
    seen: Counter[str] = Counter()
    agree: Counter[bool] = Counter()
    for scene, minds in (*films(), *of_kind("renamed", 3)):
        found = lines(scene, minds, lesson_words.INITIAL)
        status = lines(scene, minds, lesson_words.STATUS)
        poses = act(scene, view_of(scene).patch_times_s()).poses
        for person in scene.people:
            letters = found.get((person.shirt,), [])
            assert {letter for letter in letters if letter != "?"} <= {person.name[0]}
            turned = np.broadcast_to(poses[person.name].turned, len(letters)) > 0.5
            for k, letter in enumerate(letters):
                assert (letter != "?") == (status[(person.shirt,)][k] == "facing")
                if status[(person.shirt,)][k] in ("facing", "turned"):
                    agree[bool(turned[k]) == (letter == "?")] += 1
                seen[letter] += 1
    assert len(seen) > 12
    assert seen["?"] > 200
    assert agree[False] < 0.02 * agree[True]


def test_letters_and_verdicts_have_classes_of_their_own() -> None:
    assert len(set(CLASSES)) == len(CLASSES) == SIZES.classes
    assert {f"{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} | {"truth", "lie", "mistake"} <= set(CLASSES)
    assert lesson_words.INITIAL in SIZES.visible
    assert not {lesson_words.VERDICT, lesson_words.PUT_BY, lesson_words.KNOWS} & set(SIZES.visible)
