"""The contact sheet: lanes of belief, the choice of frames, and the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval.worlds.ink import time_code
from eval.worlds.lanes import Lane, in_words, lanes
from eval.worlds.scene import OUTSIDE, ROOM, WINDOW, YARD, Beat, Cast, Container, Person, Scene, Shot, Stage, Thing
from eval.worlds.sheet import Asked, Frame, Sheet, draw, frame_width_px
from eval.worlds.telling import moments
from roles.minds import Event, Minds, Story
from roles.types import Span

BALL, BASKET, BOX = ("in", "red ball"), "blue basket", "green box"


def person(name: str, shirt: str, x: float) -> Person:
    return Person(name, "she", shirt, 0, "short", 0, "none", 1.0, ROOM, x)


def beat(event: Event, **more: object) -> Beat:
    fields = {"x_from": 0.5, "x_to": 0.5, **more}
    return Beat(event.id, event.kind, event.actor, event.start_s, event.start_s, event.end_s, **fields)  # type: ignore[arg-type]


def sally_anne(family: str = "place") -> Scene:
    """Sally puts a ball into a basket and leaves; Anne moves it into glass; Sally peeks in at 14 s, is back at 18."""
    put = Event("e1", "put", 1.0, 2.0, "Sally", ROOM, effects=((BALL, BASKET),))
    leave = Event("e2", "leave", 3.0, 5.0, "Sally", ROOM, effects=((("at", "Sally"), OUTSIDE),))
    move = Event("e3", "move", 6.0, 9.0, "Anne", ROOM, effects=((BALL, BOX),))
    look = Event(
        "e4", "peek", 14.0, 16.0, "Sally", WINDOW,
        onset=((("at", "Sally"), WINDOW),), effects=((("at", "Sally"), OUTSIDE),),
    )  # fmt: skip
    enter = Event("e5", "enter", 17.0, 18.0, "Sally", ROOM, effects=((("at", "Sally"), ROOM),))
    lift = Event("e6", "take", 18.5, 19.0, "Sally", ROOM, effects=((BALL, "Sally"),))
    initial = {("at", "Sally"): ROOM, ("at", "Anne"): ROOM, BALL: "Sally"}
    story = Story(
        people=("Sally", "Anne"),
        initial=initial,
        events=(put, leave, move, look, enter, lift),
        sight={ROOM: frozenset({ROOM}), OUTSIDE: frozenset({OUTSIDE}), WINDOW: frozenset({WINDOW, ROOM})},
        earshot={ROOM: frozenset({ROOM})},
        containers={BASKET: ROOM, BOX: ROOM},
        glass=frozenset({BOX}),
    )
    stranger = replace(person("Zoe", "pink", 1), place=YARD)
    return Scene(
        seed=0, kind="false_belief", family=family, split="train", story=story,
        people=(person("Sally", "yellow", 0.4), person("Anne", "blue", 1.0), stranger),
        containers=(Container(BASKET, "basket", "blue", ROOM, 0.4), Container(BOX, "box", "green", ROOM, 1.1)),
        things=(Thing("red ball", "ball", "red", "Sally"),),
        stages=(Stage(ROOM, "kitchen", "cream", 1.5, 0.2, 1.2),),
        beats=(
            beat(put, thing="red ball", container=BASKET), beat(leave),
            beat(move, thing="red ball", container=BASKET, to_container=BOX, take_end_s=7.0, carry_end_s=8.0),
            beat(look), beat(enter), beat(lift, thing="red ball", container=BOX),
        ),
        reactions=(), shots=(Shot(ROOM, 0.0, 10.0), Shot(YARD, 10.0, 13.0), Shot(ROOM, 13.0, 20.0)), duration_s=20.0,
        cast=Cast("Sally", "Anne", None, "red ball", (BASKET, BOX), (BASKET, BOX)),
    )  # fmt: skip


def rows(scene: Scene) -> dict[str, Lane]:
    return {lane.title: lane for lane in lanes(scene, Minds(scene.story))}


def test_a_lane_shows_a_false_belief_only_as_long_as_it_is_false() -> None:
    sally = rows(sally_anne())["Sally thinks"]
    false = [(held.start_s, held.end_s, held.value) for held in sally.held if held.false]
    assert [held[2] for held in false] == [BASKET]
    assert false[0][0] == 9.0
    assert 14.0 <= false[0][1] <= 16.0
    assert [held.value for held in sally.held if not held.false] == ["Sally", BASKET, BOX, "Sally"]


def test_lanes_are_without_gaps_and_the_truth_comes_first_and_is_never_false() -> None:
    found = lanes(sally_anne(), Minds(sally_anne().story))
    assert found[0].person is None
    assert not any(held.false for held in found[0].held)
    for lane in found:
        assert (lane.held[0].start_s, lane.held[-1].end_s) == (0.0, 20.0)
        assert all(a.end_s == b.start_s for a, b in zip(lane.held, lane.held[1:], strict=False))


def test_people_of_interludes_have_no_lane() -> None:
    assert set(rows(sally_anne())) == {"truth: red ball", "Sally thinks", "Anne thinks"}


def test_second_order_sets_get_a_lane_for_what_one_thinks_that_the_other_thinks() -> None:
    lane = rows(sally_anne("second_order"))["Anne thinks Sally thinks"]
    assert [held.value for held in lane.held if held.false][:1] == [BASKET]  # the peek stays a secret from Anne


def test_contents_sets_show_what_is_believed_to_be_inside() -> None:
    found = rows(sally_anne("contents"))
    truth = found["truth: in the blue basket"]
    assert [held.value for held in truth.held] == ["empty", "red ball", "empty"]
    assert [held.value for held in found["Sally thinks"].held] == [None, "red ball", "red ball", "empty"]


def test_the_bar_below_a_lane_says_when_somebody_was_away_and_why() -> None:
    absent = rows(sally_anne())["Sally thinks"].absent
    assert [why for _, _, why in absent] == ["away", "at the window", "away"]
    assert (absent[0][0], absent[-1][1]) == (5.0, 18.0)


def test_marks_name_the_event_that_changed_the_lane() -> None:
    found = rows(sally_anne())
    assert [(mark.event, mark.text) for mark in found["Anne thinks"].marks][:2] == [
        ("e1", "sees it put"),
        ("e3", "moved"),
    ]
    assert [mark.event for mark in found["Sally thinks"].marks] == ["e1", "e4", "e6"]


def test_frames_are_taken_at_the_moments_that_tell_the_story() -> None:
    scene = sally_anne()
    told = moments(scene, lanes(scene, Minds(scene.story)), 8)
    words = [text for _, text in told]
    assert len(told) == 8
    assert [time_s for time_s, _ in told] == sorted(time_s for time_s, _ in told)
    assert "Sally puts the red ball into the blue basket" in words
    assert "Anne moves the red ball to the green box" in words
    assert (7.5, "Anne moves the red ball to the green box") in told  # while it is being carried


def test_more_frames_than_events_fill_the_pauses_and_few_show_what_matters() -> None:
    scene = sally_anne()
    found = lanes(scene, Minds(scene.story))
    many = moments(scene, found, 20)
    assert len({time_s for time_s, _ in many}) == 20
    assert "elsewhere" in [text for _, text in many]
    assert moments(scene, found, 3)[1][1] in (in_words(one) for one in scene.beats if one.kind in ("put", "move"))
    assert "Sally leaves" in [text for _, text in moments(scene, found, 5)]  # the believer goes: that is the story
    assert "Sally comes in" not in [text for _, text in moments(scene, found, 5)]
    assert "Sally comes in" in [text for _, text in moments(scene, found, 6, [Span(16.9, 18.1)])]  # it is evidence


def test_every_kind_of_beat_has_words() -> None:
    event = Event("e", "open", 0, 1, "Sally", ROOM)
    assert in_words(beat(event, container=BOX, found=("star",))) == "Sally opens the green box: star"
    assert in_words(beat(event, container=BOX)) == "Sally opens the green box: nothing"
    assert in_words(beat(replace(event, kind="idle"), act="look_around")) == "Sally looks around"
    assert in_words(beat(replace(event, kind="idle"))) == "Sally waits"
    assert in_words(beat(replace(event, kind="look_away"))) == "Sally looks away"


def sheet(count: int = 4, **more: object) -> Sheet:
    scene = sally_anne()
    found = lanes(scene, Minds(scene.story))
    width = frame_width_px(4)
    pixels = np.full((width * 2 // 3, width, 3), 200, np.uint8)
    told = moments(scene, found, count)
    parts = {
        "title": "false belief", "subtitle": "a set", "duration_s": 20.0,
        "frames": [Frame(time_s, words, pixels) for time_s, words in told], "columns": 4, "lanes": found,
        "colours": {BASKET: (40, 90, 210), BOX: (60, 160, 70), "Sally": (250, 230, 150)},
        "people": {"Sally": (250, 210, 40)},
        "elsewhere": [Span(10, 13)], "evidence": ("Where does Sally think the ball is?", [Span(1, 2), Span(3, 5)]),
        "questions": [Asked("belief", "Where does Sally think it is?", (BASKET, BOX), BASKET, (Span(1, 2),))],
    }  # fmt: skip
    return Sheet(**{**parts, **more})  # type: ignore[arg-type]


def test_the_sheet_has_the_colours_of_the_containers_and_hatches_what_is_false() -> None:
    picture = np.asarray(draw(sheet()))
    assert picture.shape[1] == 1400
    blue = (picture == (40, 90, 210)).all(axis=2)
    assert blue.sum() > 2000
    red = (picture == (176, 24, 40)).all(axis=2)
    true_only = [replace(lane, held=tuple(replace(held, false=False) for held in lane.held)) for lane in sheet().lanes]
    unhatched = np.asarray(draw(sheet(lanes=true_only)))
    assert (unhatched == (40, 90, 210)).all(axis=2).sum() > 1.1 * blue.sum()
    assert (unhatched == (176, 24, 40)).all(axis=2).sum() < red.sum()


def test_a_sheet_without_questions_or_evidence_is_drawn_as_well() -> None:
    bare = draw(sheet(questions=[], evidence=None))
    assert bare.height < draw(sheet()).height


def test_the_same_film_gives_the_same_sheet(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path in paths:
        draw(sheet()).save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, "0:00.0"), (9.96, "0:10.0"), (125.25, "2:05.2")])
def test_time_codes_carry_over(seconds: float, shown: str) -> None:
    assert time_code(seconds) == shown
