"""What the stage shows: every sort of beat changes the picture where it should, and nowhere says more than is known."""

from __future__ import annotations

import string
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.worlds.art import colours
from eval.worlds.art.layers import laid
from eval.worlds.art.letters import plain, width, write
from eval.worlds.art.pen import Pen, stencil
from eval.worlds.art.tracks import BASE, RADIUS, SILL
from eval.worlds.drawlist import Painter
from eval.worlds.raster import draw
from eval.worlds.scene import (
    NOOK,
    OUTSIDE,
    ROOM,
    YARD,
    Beat,
    Camera,
    Cast,
    Container,
    Person,
    Reaction,
    Scene,
    Shot,
    Stage,
    Thing,
)
from eval.worlds.stage import draw_list
from roles.minds import Story

WIDTH = 1.5
HIGH_PX = 112
DOOR, WINDOW = 0.3, 1.2
SALLY = Person("Sally", "she", "red", 1, "bunches", 1, "none", 1.0, ROOM, 0.55)
ANNE = Person("Anne", "she", "blue", 4, "short", 0, "none", 1.0, ROOM, 0.95)
BASKET = Container("green basket", "basket", "green", ROOM, 0.6)
CHEST = Container("orange chest", "chest", "orange", ROOM, 1.0)
BALL = Thing("purple ball", "ball", "purple", "green basket")
Picture = NDArray[np.uint8]


def scene(
    *beats: Beat,
    people: tuple[Person, ...] = (SALLY, ANNE),
    containers: tuple[Container, ...] = (BASKET, CHEST),
    things: tuple[Thing, ...] = (BALL,),
    reactions: tuple[Reaction, ...] = (),
    screen: float | None = None,
    shots: tuple[Shot, ...] = (),
) -> Scene:
    stages = [Stage(ROOM, "kitchen", "cream", WIDTH, DOOR, WINDOW, screen, -1, 3)]
    if any(shot.place == YARD for shot in shots):
        stages.append(Stage(YARD, "beach", "mint", WIDTH, DOOR, WINDOW))
    return Scene(
        seed=1, kind="test", family="place", split="test", story=Story((), {}, (), {}, {}), people=people,
        containers=containers, things=things, stages=tuple(stages), beats=beats, reactions=reactions,
        shots=shots or (Shot(ROOM, 0, 12),), duration_s=12.0,
        cast=Cast("Sally", "Anne", None, "purple ball", (), ("", "")),
    )  # fmt: skip


def beat(kind: str, person: str, start_s: float, end_s: float, x: float, **more: object) -> Beat:
    return Beat(f"e-{kind}-{start_s}", kind, person, start_s, start_s, end_s, x, x, **more)  # type: ignore[arg-type]


def pictures(film: Scene, *times_s: float) -> list[Picture]:
    """The frames at these times, each drawn by itself."""
    drawn = draw_list(film, np.array(times_s))
    return [draw(drawn, round(WIDTH * HIGH_PX), HIGH_PX, [i])[0] for i in range(len(times_s))]


def part(picture: Picture, x0: float, x1: float, y0: float, y1: float) -> NDArray[np.int64]:
    rows, columns = slice(round(y0 * HIGH_PX), round(y1 * HIGH_PX)), slice(round(x0 * HIGH_PX), round(x1 * HIGH_PX))
    return picture[rows, columns].astype(np.int64)


def share_of(picture: NDArray[np.int64], colour: str) -> float:
    """How much of a picture has about this colour."""
    wanted = np.array(colours.named(colour, "cream"))
    return float((np.abs(picture - wanted).sum(axis=-1) < 70).mean())


def changed(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    return float((np.abs(one - other).sum(axis=-1) > 40).mean())


def inside_of(picture: Picture, container: Container) -> NDArray[np.int64]:
    return part(picture, container.x - 0.12, container.x + 0.12, BASE - 0.19, BASE)


@pytest.mark.parametrize("shape", colours.CONTAINER_SHAPES)
def test_what_lies_in_an_opaque_container_cannot_be_seen_and_in_a_glass_one_it_can(shape: str) -> None:
    def seen(glass: bool, full: bool) -> NDArray[np.int64]:
        place = replace(BASKET, shape=shape, glass=glass)
        thing = replace(BALL, inside=place.name if full else CHEST.name)
        away = tuple(replace(person, place=OUTSIDE) for person in (SALLY, ANNE))
        return inside_of(pictures(scene(people=away, containers=(place, CHEST), things=(thing,)), 5.0)[0], place)

    assert changed(seen(False, True), seen(False, False)) == 0
    assert share_of(seen(True, True), "purple") - share_of(seen(True, False), "purple") > 0.03


def test_a_moved_thing_is_seen_in_the_hands_on_its_way_and_is_gone_at_the_end() -> None:
    move = Beat(
        "m", "move", "Anne", 1, 1, 6, 0.6, 0.6, "purple ball", "green basket", "orange chest", 1.0, 2.5, 4.0
    )  # fmt: skip
    before, carried, after = pictures(scene(move, people=(replace(ANNE, x=0.6),)), 0.5, 3.25, 7)
    chest_high = (0.2, 1.4, 0.5, 0.72)
    assert share_of(part(before, *chest_high), "purple") == 0
    assert share_of(part(carried, *chest_high), "purple") > 0.01
    assert share_of(part(after, 0, WIDTH, 0, 1), "purple") == 0


def test_a_thing_that_is_put_leaves_the_hand() -> None:
    put = beat("put", "Sally", 1, 3, 0.55, thing="purple ball", container="green basket")
    before, after = pictures(scene(put, things=(replace(BALL, inside="Sally"),)), 0.5, 4)
    assert share_of(before.astype(np.int64), "purple") > 0.003
    assert share_of(after.astype(np.int64), "purple") == 0


def test_a_thing_that_is_taken_stays_in_the_hand_when_its_holder_walks() -> None:
    take = beat("take", "Sally", 1, 3, 0.55, thing="purple ball", container="green basket")
    walk = Beat("w", "idle", "Sally", 4, 6, 6, 0.55, 0.2)
    here, there = pictures(scene(take, walk), 3.5, 7)
    assert share_of(part(here, 0.5, 0.8, 0.5, 0.75), "purple") > 0.05
    assert share_of(part(there, 0.1, 0.45, 0.5, 0.75), "purple") > 0.05


@pytest.mark.parametrize(("found", "shown"), [(("purple ball",), True), ((), False)])
def test_opening_shows_what_is_found_and_nothing_else(found: tuple[str, ...], shown: bool) -> None:
    opened = beat("open", "Sally", 1, 4, 0.55, container="green basket", found=found)
    before, during, after = pictures(scene(opened), 0.5, 2.6, 5)
    over = (0.46, 0.76, 0.58, 0.74)
    assert (share_of(part(during, *over), "purple") > 0.05) == shown
    assert changed(part(before, *over), part(during, *over)) > 0.05
    assert share_of(after.astype(np.int64), "purple") == 0


@pytest.mark.parametrize("look", range(len(colours.HAIRS)))
def test_one_who_peeks_is_seen_in_the_window_and_nowhere_else(look: int) -> None:
    outside = replace(SALLY, place=OUTSIDE, hair=colours.HAIRS[look], extra=colours.EXTRAS[look])
    peek = beat("peek", "Sally", 2, 6, DOOR)
    before, during, after = pictures(scene(peek, people=(outside,)), 1, 4, 7)
    opening = (WINDOW - 0.12, WINDOW + 0.12, 0.07, SILL)
    assert changed(part(before, *opening), part(during, *opening)) > 0.2
    assert changed(part(before, 0, 1.0, 0, 1), part(during, 0, 1.0, 0, 1)) == 0
    assert changed(part(before, 0, WIDTH, 0.33, 1), part(during, 0, WIDTH, 0.33, 1)) == 0
    assert changed(part(before, 0, WIDTH, 0, 1), part(after, 0, WIDTH, 0, 1)) == 0


@pytest.mark.parametrize("look", range(len(colours.HAIRS)))
def test_nobody_in_the_room_covers_one_who_peeks(look: int) -> None:
    outside = replace(SALLY, place=OUTSIDE)
    size = colours.LAYOUT.size_max
    tall = replace(ANNE, x=WINDOW, size=size, hair=colours.HAIRS[look], extra=colours.EXTRAS[look])
    film = scene(beat("peek", "Sally", 2, 6, DOOR), people=(outside, tall))
    alone = scene(beat("peek", "Sally", 2, 6, DOOR), people=(outside,))
    face = (WINDOW - 0.08, WINDOW + 0.08, 0.07, 0.2)
    assert changed(part(pictures(film, 4)[0], *face), part(pictures(alone, 4)[0], *face)) == 0


def test_a_bubble_leaves_the_window_free_while_somebody_looks_in() -> None:
    tell = beat("tell", "Anne", 5, 8, WINDOW, thing="purple ball", container="green basket", other="Sally")
    outside = replace(SALLY, name="Bea", shirt="pink", hair="short", place=OUTSIDE)
    peek = beat("peek", "Bea", 3, 9, DOOR)
    before, during = pictures(scene(peek, tell, people=(SALLY, replace(ANNE, x=WINDOW), outside)), 4.2, 6.5)
    opening = (WINDOW - 0.13, WINDOW - 0.1, 0.06, 0.2)
    assert changed(part(before, *opening), part(during, *opening)) == 0
    beside = part(during, 0.5, WINDOW - 0.15, 0.05, 0.25)
    assert share_of(beside, "purple") > 0.01
    assert share_of(beside, "green") > 0.01


def test_a_bubble_shows_what_is_said_and_not_where_the_thing_is() -> None:
    def says(place: str) -> NDArray[np.int64]:
        tell = beat("tell", "Sally", 2, 5, 0.55, thing="purple ball", container=place, other="Anne")
        return part(pictures(scene(tell), 3.5)[0], 0.3, 1.0, 0.05, 0.25)

    assert share_of(says("green basket"), "green") > 0.01
    assert share_of(says("orange chest"), "green") == 0
    assert share_of(says("orange chest"), "orange") > 0.01


def test_a_wish_shows_a_heart_and_the_thing() -> None:
    wish = beat("wish", "Sally", 2, 5, 0.55, thing="purple ball", other="Anne")
    balloon = part(pictures(scene(wish), 3.5)[0], 0.35, 0.85, 0.05, 0.25)
    assert share_of(balloon, "purple") > 0.01
    assert float((np.abs(balloon - np.array([232, 62, 84])).sum(axis=-1) < 60).mean()) > 0.01


def _whites(picture: Picture, x: float) -> float:
    """How much of a head is the white of eyes."""
    face = part(picture, x - 0.08, x + 0.08, 0.34, 0.46)
    return float((face.min(axis=-1) > 215).mean())


def test_a_back_has_no_eyes() -> None:
    away = beat("look_away", "Anne", 1, 1.6, 0.95)
    back = beat("turn_back", "Anne", 5, 5.6, 0.95)
    front, turned, again = pictures(scene(away, back), 0.5, 3, 7)
    assert _whites(front, 0.95) > 0.02
    assert _whites(turned, 0.95) < 0.005
    assert _whites(again, 0.95) > 0.02


def test_one_whose_back_is_turned_at_the_start_shows_it() -> None:
    film = scene()
    story = replace(film.story, initial={("turned", "Anne"): True})
    assert _whites(pictures(replace(film, story=story), 3)[0], 0.95) < 0.005


def test_one_who_leaves_is_gone_and_one_who_enters_is_there() -> None:
    leave = Beat("l", "leave", "Sally", 1, 2, 3, 0.55, DOOR)
    enter = Beat("n", "enter", "Sally", 6, 8, 8, DOOR, 0.55)
    here, doorway, gone, back = pictures(scene(leave, enter, people=(SALLY,)), 0.5, 2.4, 4, 9)
    assert share_of(part(here, 0.4, 0.7, 0.45, 0.75), "red") > 0.1
    assert share_of(part(doorway, DOOR - 0.12, DOOR + 0.12, 0.4, 0.75), "red") > 0.1
    assert share_of(gone.astype(np.int64), "red") == 0
    assert share_of(part(back, 0.4, 0.7, 0.45, 0.75), "red") > 0.1


def test_one_who_hides_stands_beyond_the_screen() -> None:
    sally = replace(SALLY, x=0.8)
    hide = Beat("h", "hide", "Sally", 1, 3, 3.3, 0.8, 0.15)
    before, hidden = pictures(scene(hide, people=(sally,), screen=0.36), 0.5, 5)
    assert share_of(part(hidden, 0, 0.3, 0.45, 0.75), "red") > 0.1
    assert share_of(part(hidden, 0.45, 1.5, 0.3, 0.75), "red") == 0
    assert share_of(part(before, 0.45, 1.5, 0.3, 0.75), "red") > 0.05


def test_one_in_the_nook_does_not_follow_with_her_eyes() -> None:
    hidden = replace(SALLY, place=NOOK, x=0.15)
    walk = Beat("w", "idle", "Anne", 1, 4, 4, 0.95, 0.6)
    still = pictures(scene(people=(hidden, ANNE), screen=0.36), 2.5)[0]
    moving = pictures(scene(walk, people=(hidden, ANNE), screen=0.36), 2.5)[0]
    assert changed(part(still, 0, 0.28, 0.25, 0.85), part(moving, 0, 0.28, 0.25, 0.85)) == 0


def test_eyes_follow_what_happens() -> None:
    opened = beat("open", "Anne", 1, 5, 0.95, container="orange chest")
    still, busy = pictures(scene(), 3)[0], pictures(scene(opened), 3)[0]
    assert changed(part(still, 0.47, 0.63, 0.34, 0.46), part(busy, 0.47, 0.63, 0.34, 0.46)) > 0.01


@pytest.mark.parametrize("feeling", ["surprise", "joy", "anger", "doubt", "nod"])
def test_a_feeling_shows_on_the_face(feeling: str) -> None:
    film = scene(reactions=(Reaction("Sally", feeling, 2.0, 4.0),))
    calm, felt = pictures(scene(), 2.85)[0], pictures(film, 2.85)[0]
    assert changed(part(calm, 0.44, 0.66, 0.27, 0.52), part(felt, 0.44, 0.66, 0.27, 0.52)) > 0.02
    assert changed(part(calm, 0.84, 1.06, 0.35, 0.8), part(felt, 0.84, 1.06, 0.35, 0.8)) == 0


def test_one_who_spots_another_gets_a_sign() -> None:
    film = scene(beat("spot", "Anne", 2, 2.8, 0.95, other="Sally"))
    before, during = pictures(film, 1.8, 2.5)
    assert changed(part(before, 1.02, 1.1, 0.235, 0.325), part(during, 1.02, 1.1, 0.235, 0.325)) > 0.2


@pytest.mark.parametrize("act", [act for act in colours.IDLE_ACTS if act != "look_around"])
def test_an_idle_act_moves_its_person_and_no_other(act: str) -> None:
    still, busy = pictures(scene(), 3.6)[0], pictures(scene(beat("idle", "Sally", 2, 5, 0.55, act=act)), 3.6)[0]
    assert changed(part(still, 0.3, 0.75, 0.1, 0.8), part(busy, 0.3, 0.75, 0.1, 0.8)) > 0.003
    assert changed(part(still, 0.85, 1.05, 0.3, 0.8), part(busy, 0.85, 1.05, 0.3, 0.8)) == 0


def test_an_interlude_shows_the_other_place() -> None:
    shots = (Shot(ROOM, 0, 4), Shot(YARD, 4, 8), Shot(ROOM, 8, 12))
    before, elsewhere, after = pictures(scene(shots=shots), 3, 6, 9)
    assert share_of(elsewhere.astype(np.int64), "red") == 0
    assert changed(before.astype(np.int64), elsewhere.astype(np.int64)) > 0.8
    assert changed(before.astype(np.int64), after.astype(np.int64)) < 0.05


@pytest.mark.parametrize("busy", ["Sally", "Anne"])
def test_whoever_acts_stands_in_front(busy: str) -> None:
    crowd = (replace(SALLY, x=0.55), replace(ANNE, x=0.62))
    box = replace(BASKET, x=0.58)
    acts = beat("open", busy, 4, 8, 0.55 if busy == "Sally" else 0.62, container=box.name)
    picture = pictures(scene(acts, people=crowd, containers=(box, CHEST)), 6)[0]
    between = part(picture, 0.56, 0.61, 0.55, 0.6)
    shirt = {"Sally": "red", "Anne": "blue"}
    other = {"Sally": "blue", "Anne": "red"}
    assert share_of(between, shirt[busy]) > 0.3
    assert share_of(between, other[busy]) == 0


def test_one_beside_the_screen_stands_before_it_and_one_in_the_nook_behind_it() -> None:
    beside = scene(people=(replace(SALLY, x=0.42),), screen=0.36)
    hidden = scene(people=(replace(SALLY, x=0.3, place=NOOK),), screen=0.36)
    edge = (0.37, 0.42, 0.58, 0.68)
    assert share_of(part(pictures(beside, 5)[0], *edge), "red") > 0.5
    assert share_of(part(pictures(hidden, 5)[0], *edge), "red") == 0


@pytest.mark.parametrize("x", [0.11, WIDTH - 0.11])
def test_names_stand_over_heads_and_whole_within_the_picture(x: float) -> None:
    person = replace(SALLY, x=x)
    film = scene(people=(person,))
    zoomed = replace(film, look=replace(film.look, camera=Camera(zoom=(1.1, 1.1))))
    with_name, without = pictures(zoomed, 1, 4)
    rows = part(with_name, 0, WIDTH, 0.05, 0.26)
    spots = np.flatnonzero((np.abs(rows - part(without, 0, WIDTH, 0.05, 0.26)).sum(axis=-1) > 40).any(axis=0))
    assert len(spots) > 15
    assert spots[0] > 0
    assert spots[-1] < rows.shape[1] - 1
    below = (0, WIDTH, 0.9, 1)
    assert changed(part(with_name, *below), part(without, *below)) == 0


@pytest.mark.parametrize("shape", colours.CONTAINER_SHAPES)
def test_the_lid_of_a_mirrored_scene_opens_mirrored(shape: str) -> None:
    def lid(x: float, door: float, window: float) -> NDArray[np.int64]:
        box = replace(BASKET, shape=shape, colour="red", x=x)  # nothing on the wall is red
        film = scene(beat("open", "Sally", 1, 5, x, container=box.name), people=(replace(SALLY, place=OUTSIDE),),
                     containers=(box,), things=())  # fmt: skip
        film = replace(film, stages=(replace(film.stages[0], door_x=door, window_x=window),))
        shut, opened = pictures(film, 0.5, 2.2)
        high = (x - 0.3, x + 0.3, 0.5, 0.72)
        differs: NDArray[np.int64] = np.abs(part(shut, *high) - part(opened, *high)).sum(axis=-1)
        return (differs > 40).astype(np.int64)

    here, mirrored = lid(0.75, DOOR, WINDOW), lid(WIDTH - 0.75, WIDTH - DOOR, WIDTH - WINDOW)
    assert (here != mirrored[:, ::-1]).mean() < 0.02


def test_layers_in_one_order_are_what_one_painter_makes() -> None:
    times = np.linspace(0, 1, 5)
    whole, parts = Painter(5), (Painter(5), Painter(5), Painter(5))
    for i, own in enumerate(parts):
        for painter in (whole, own):
            painter.ellipse(0.3 + 0.1 * i + 0.1 * times, 0.5, 0.2, 0.2, (80 * i, 90, 40))
            painter.box(0.5, 0.5, 0.1, 0.1, (10, 200, 80 * i), alpha=np.where(times > 0.2 * i, 1.0, 0.0))
    layers = [painter.build(1.0) for painter in parts]
    together, once = laid(layers, np.tile(np.arange(3), (5, 1))), whole.build(1.0)
    backward = laid(layers, np.tile(np.arange(3)[::-1], (5, 1)))
    for i in range(5):
        assert np.array_equal(together.frame(i), once.frame(i))
        assert len(backward.frame(i)) == len(once.frame(i))
    assert not np.array_equal(backward.frame(3), once.frame(3))


def test_the_same_scene_gives_the_same_draw_list() -> None:
    film = scene(beat("open", "Sally", 1, 4, 0.55, container="green basket", found=("purple ball",)))
    times = np.arange(0, 12, 0.25)
    one, other = draw_list(film, times), draw_list(film, times)
    assert np.array_equal(one.rows, other.rows)
    assert np.array_equal(one.refs, other.refs)


def test_a_frame_does_not_depend_on_the_times_beside_it() -> None:
    move = Beat("m", "move", "Anne", 1, 1, 6, 0.6, 0.6, "purple ball", "green basket", "orange chest", 1.0, 2.5, 4.0)
    film = scene(move, people=(SALLY, replace(ANNE, x=0.6)))
    dense = draw_list(film, np.arange(0, 8, 0.25))
    for i in (2, 9, 13, 22):
        alone = draw_list(film, np.array([i * 0.25]))
        assert np.array_equal(alone.frame(0), dense.frame(i))


def test_what_is_drawn_from_a_stencil_is_what_its_pen_draws() -> None:
    def flag(pen: Pen, tall: float) -> None:
        pen.box(0, 0, 0.1, tall, (200, 30, 30), radius=0.02, line_width=0.01)
        pen.at(0.1, 0.05, 0.5, tilt=0.3, flip=-1.0, alpha=0.5).ellipse(0, 0.1, 0.1, 0.05, (1, 2, 3), cut=(0, 1, 0.1))

    painters = Painter(6), Painter(6)
    for painter, raise_flag in zip(painters, (flag, stencil(flag)), strict=True):
        for tall in (0.2, 0.3, 0.2):
            turn = np.linspace(0, 1 + tall, 6)
            raise_flag(Pen(painter, 0.5 + 0.1 * turn, 0.5, 0.8, tilt=turn, alpha=np.where(turn > 0.5, 1.0, 0.0)), tall)
    direct, cut = (painter.build(1.0) for painter in painters)
    assert len(direct.rows) > 12
    assert np.array_equal(direct.rows, cut.rows)
    assert np.array_equal(direct.refs, cut.refs)


def test_a_stencil_refuses_what_changes_from_frame_to_frame() -> None:
    wave = stencil(lambda pen: pen.ellipse(np.zeros(3), 0, 0.1, 0.1, (1, 2, 3)))
    with pytest.raises(ValueError, match="there are 0 frames"):
        wave(Pen(Painter(3), 0, 0, 1))


def test_a_pen_does_not_draw_inside_a_group() -> None:
    painter = Painter(1)
    with painter.at(0.5, 0.5), pytest.raises(ValueError, match="inside a painter's group"):
        Pen(painter, 0, 0, 1).ellipse(0, 0, 0.1, 0.1, (1, 2, 3))


def test_times_that_go_backwards_are_refused() -> None:
    with pytest.raises(ValueError, match="ascend"):
        draw_list(scene(), np.array([1.0, 0.5]))


def test_every_letter_can_be_written_and_no_two_look_alike() -> None:
    seen = set()
    for sign in string.ascii_uppercase + "?!":
        painter = Painter(1)
        painter.box(0.5, 0.5, 1, 1, (255, 255, 255))
        write(Pen(painter, 0.5, 0.5, 1), sign, 0, 0, 0.6, 0.05, (0, 0, 0))
        seen.add(draw(painter.build(1.0), 32, 32)[0].tobytes())
    assert len(seen) == 28


def test_accents_are_dropped_and_long_names_are_wider() -> None:
    assert plain("Zoë") == "ZOE"
    assert width("Cleopatra") > width("Cleo") > width("Al") > 0


def _distance(one: colours.RGB, other: colours.RGB) -> float:
    return float(np.abs(np.array(one) - np.array(other)).sum())


@pytest.mark.parametrize("palette", colours.PALETTES)
def test_named_colours_stay_apart_in_every_palette(palette: str) -> None:
    for names in (colours.SHIRTS, colours.CONTAINER_COLOURS, colours.THING_COLOURS):
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                assert _distance(colours.named(one, palette), colours.named(other, palette)) > 90, (one, other)


def test_everything_that_can_be_named_can_be_drawn() -> None:
    """Every look once, on every backdrop once."""
    count = len(colours.HAIRS)
    for i, theme in enumerate([*colours.THEMES, *colours.YARD_THEMES]):
        yard = theme in colours.YARD_THEMES
        place = YARD if yard else ROOM
        person = Person(
            "ABCDEFGHIJ"[i], "he", colours.SHIRTS[i], i % colours.SKINS, colours.HAIRS[i % count],
            i % colours.HAIR_COLOURS, colours.EXTRAS[i], 1.0, place, 0.4,
        )  # fmt: skip
        thing = Thing("x", colours.THING_SHAPES[i], colours.THING_COLOURS[i % 8], person.name)
        box = Container("y", colours.CONTAINER_SHAPES[i % 8], colours.CONTAINER_COLOURS[i % 8], place, 0.9, False, "x")
        stage = Stage(place, theme, colours.PALETTES[i], WIDTH, DOOR, WINDOW, decor=i)
        film = replace(
            scene(people=(person,), containers=(box,), things=(thing,)), stages=(stage,), shots=(Shot(place, 0, 12),)
        )
        assert draw_list(film, np.array([0.5, 5.0])).frames == 2


def test_things_are_large() -> None:
    assert RADIUS * 2 * 112 > 15


def test_names_in_the_other_place_show_when_the_film_comes_there() -> None:
    shots = (Shot(ROOM, 0, 4), Shot(YARD, 4, 8), Shot(ROOM, 8, 12))
    named = replace(SALLY, place=YARD)
    soon, later = pictures(scene(people=(named,), shots=shots), 5, 7.5)
    over = (0.4, 0.7, 0.2, 0.27)
    assert changed(part(soon, *over), part(later, *over)) > 0.3


def test_one_who_looks_away_shows_her_back_while_she_steps_aside() -> None:
    away = beat("look_away", "Anne", 1, 1.6, 0.95)
    aside = Beat("w", "idle", "Anne", 3, 5, 5, 0.95, 1.15)
    walking = pictures(scene(away, aside), 4)[0]
    assert _whites(walking, 1.05) < 0.005
