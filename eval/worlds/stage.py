"""The stage: a scene and film times go in, a draw list of those frames comes out, ready for any renderer.

Painted from the back: outdoors, who is outdoors, the wall, people, what they hold, containers with their contents, the
folding screen, bubbles and signs, name tags. Each place of the film has its own stage; shots say which is seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.worlds.art import backdrops, bubbles
from eval.worlds.art import containers as boxes
from eval.worlds.art.acting import act
from eval.worlds.art.colours import LAYOUT, PAPER, named, skin
from eval.worlds.art.pen import Num, Pen
from eval.worlds.art.people import draw_person
from eval.worlds.art.things import thing
from eval.worlds.art.tracks import BASE, Acting, pulse, stage_of
from eval.worlds.drawlist import DrawList, Painter
from eval.worlds.scene import ROOM, YARD, Beat, Container, Person, Scene, Stage

FADE_S = 0.125
"""A cut darkens the picture this long before and after."""
TAG_Y = 0.944
"""Where name tags are: under the feet, below the containers."""

Array = NDArray[np.float64]


def draw_list(scene: Scene, times_s: Array) -> DrawList:
    """What is to be seen of a scene.

    Args:
        scene: The film.
        times_s: The frames' film times, ascending.

    Returns:
        One frame for every time.

    Raises:
        ValueError: The times go backwards.
    """
    times = np.asarray(times_s, dtype=np.float64)
    if len(times) > 1 and np.any(np.diff(times) < 0):
        raise ValueError("the times of a film's frames must ascend; sort them first")
    painter = Painter(len(times))
    acting = act(scene, times)
    width = scene.stages[0].width
    for stage in scene.stages:
        seen = _seen(scene, stage.place, times)
        if seen.any():
            _paint(painter, scene, stage, acting, 1.0 if seen.all() else seen.astype(float))
    cuts = [shot.start_s for shot in scene.shots[1:]]
    if cuts:
        dark = np.max([np.clip(1 - np.abs(times - cut) / FADE_S, 0, 1) for cut in cuts], axis=0)
        backdrops.cut_fade(Pen(painter, 0, 0, 1), width, dark)
    camera, look = scene.look.camera, scene.look
    part = np.clip(times / max(scene.duration_s, 1e-6), 0, 1)
    dx, dy, zoom = (
        first if first == last else first + (last - first) * part for first, last in (camera.dx, camera.dy, camera.zoom)
    )
    return painter.build(width, dx=dx, dy=dy, zoom=zoom, light=look.light)


def _seen(scene: Scene, place: str, times: Array) -> NDArray[np.bool_]:
    """When a place is on the picture."""
    if not scene.shots:
        return np.full(len(times), place == scene.stages[0].place)
    starts = np.array([shot.start_s for shot in scene.shots])
    number = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, len(starts) - 1)
    here = np.array([(shot.place == YARD) == (place == YARD) for shot in scene.shots])
    return np.asarray(here[number], dtype=np.bool_)


def _there(value: Num, seen: Num) -> Num:
    """Opacity on this stage, or None where it is 0 all the time."""
    shown = np.asarray(value) * seen
    return shown if np.any(shown) else None


def _paint(painter: Painter, scene: Scene, stage: Stage, acting: Acting, seen: Num) -> None:
    backdrop = Pen(painter, 0, 0, 1, alpha=seen)
    people = [person for person in scene.people if stage_of(person) == stage.place]
    if stage.place == ROOM:
        backdrops.outdoors(backdrop, stage)
        for person in people:
            shown = _there(acting.poses[person.name].outdoors, seen)
            if shown is not None:
                _person(painter, person, stage, acting, shown)
        backdrops.room(backdrop, stage)
        backdrops.sill(backdrop, stage)
        for person in people:
            _hands_on_sill(painter, person, stage, acting, seen)
    else:
        backdrops.yard(backdrop, stage)
    for person in people:
        shown = _there(acting.poses[person.name].indoors, seen)
        if shown is not None:
            _person(painter, person, stage, acting, shown)
            _props(painter, scene, person, acting, seen)
    _held(painter, scene, stage, acting, seen)
    for item in scene.containers:
        if (item.place == YARD) == (stage.place == YARD):
            _container(painter, scene, item, stage, acting, seen)
    if stage.place == ROOM:
        backdrops.screen(backdrop, stage)
    _signs(painter, scene, people, stage, acting, seen)
    for person in people:
        shown = _there(acting.tags[person.name] * np.asarray(acting.poses[person.name].indoors), seen)
        if shown is not None:
            pose = acting.poses[person.name]
            bubbles.name_tag(Pen(painter, pose.x, TAG_Y, 1, alpha=np.where(shown > 0, 1.0, 0.0)), person.name, shown)


def _person(painter: Painter, person: Person, stage: Stage, acting: Acting, shown: Array) -> None:
    pose = acting.poses[person.name]
    draw_person(Pen(painter, pose.x, pose.y, pose.size, alpha=shown), person, pose, stage.palette)


def _hands_on_sill(painter: Painter, person: Person, stage: Stage, acting: Acting, seen: Num) -> None:
    shown = _there(np.where(acting.peeks[person.name] > 0.45, 1.0, 0.0), seen)
    if shown is None:
        return
    pen = Pen(painter, stage.window_x, backdrops.SILL, 1, alpha=shown)
    for side in (-1, 1):
        pen.box(side * 0.098, -0.004, 0.02, 0.016, named(person.shirt, stage.palette), radius=0.008, line_width=0.004)
        pen.ellipse(side * 0.078, 0.002, 0.02, 0.017, skin(person.skin), line_width=0.004)


def _held(painter: Painter, scene: Scene, stage: Stage, acting: Acting, seen: Num) -> None:
    """Things in hands, in the air and on the floor."""
    for item in scene.things:
        if _thing_place(scene, item.inside) != (stage.place == YARD):
            continue
        track = acting.things[item.name]
        shown = _there(track.held, seen)
        if shown is not None:
            pen = Pen(painter, track.x, track.y, track.size, tilt=track.tilt, alpha=shown)
            # A glow sets it off from a shirt of the same colour; on the floor it needs none.
            pen.ellipse(0, 0, 1.16, 1.16, PAPER, alpha=np.where(track.y < 0.8, 0.6, 0.0), soft=0.22)
            thing(pen, item.shape, named(item.colour, stage.palette))


def _thing_place(scene: Scene, inside: str) -> bool:
    """Whether a thing belongs to the yard."""
    for person in scene.people:
        if person.name == inside:
            return person.place == YARD
    for item in scene.containers:
        if item.name == inside:
            return item.place == YARD
    return inside == YARD


def _container(painter: Painter, scene: Scene, item: Container, stage: Stage, acting: Acting, seen: Num) -> None:
    fill, opening = named(item.colour, stage.palette), acting.opening[item.name]
    pen = Pen(painter, item.x, BASE, 1, alpha=seen)
    swing: Num = opening if opening.any() else 0.0
    boxes.behind(pen, item.shape, fill, swing, glass=item.glass)
    for other in scene.things:
        track = acting.things[other.name]
        shown = _there(track.inside.get(item.name, 0.0), seen)
        if shown is not None:
            inside = Pen(painter, track.x, track.y, track.size, tilt=track.tilt, alpha=shown)
            thing(inside, other.shape, named(other.colour, stage.palette))
    boxes.before(pen, item.shape, fill, swing, glass=item.glass)
    if item.label is not None:
        pictured = next((other for other in scene.things if other.name == item.label), None)
        colour, _, shape = item.label.partition(" ")
        picture = boxes.sticker(pen)
        if pictured is not None:
            colour, shape = pictured.colour, pictured.shape
        thing(picture, shape, named(colour, stage.palette))
    shown = _there(np.where(acting.empty[item.name] > 0, 1.0, 0.0), seen)
    if shown is not None:
        bubbles.puff(Pen(painter, item.x, BASE + boxes.MOUTH - 0.01, 1, alpha=shown), acting.empty[item.name])


def _props(painter: Painter, scene: Scene, person: Person, acting: Acting, seen: Num) -> None:
    """What idle acts need: a paper, a glass, notes."""
    times, pose = acting.times_s, acting.poses[person.name]
    for what in ("hum", "juggle", "read", "drink", "water"):
        beats = [b for b in scene.beats if b.person == person.name and b.kind == "idle" and b.act == what]
        if not beats:
            continue
        on = np.max([pulse(times, b.walk_end_s, b.end_s, 0.2, 0.2) for b in beats], axis=0)
        shown = _there(on * np.asarray(pose.indoors), seen)
        if shown is None:
            continue
        pen = Pen(painter, pose.x, pose.y, pose.size, alpha=np.where(shown > 0.05, 1.0, 0.0))
        if what == "hum":
            bubbles.notes(pen, times, shown)
        elif what == "juggle":
            bubbles.juggled(pen, times, 1.0)
        elif what == "read":
            bubbles.newspaper(pen, 1.0)
        elif what == "drink":
            bubbles.drinking_glass(pen, pose.right[0], pose.right[1] - 0.03, 1.0)
        else:
            bubbles.watering_can(pen, pose.right[0] + 0.01, pose.right[1] + 0.02, times, 1.0)


def _signs(painter: Painter, scene: Scene, people: list[Person], stage: Stage, acting: Acting, seen: Num) -> None:
    names = {person.name for person in people}
    for beat in scene.beats:
        if beat.person in names and beat.kind in ("tell", "wish"):
            _speech(painter, scene, beat, stage, acting, seen)
        elif beat.person in names and beat.kind == "spot":
            _mark(painter, beat.person, "!", beat.start_s, beat.end_s + 0.4, stage, acting, seen)
    for mood in scene.reactions:
        sign = {"surprise": "!", "doubt": "?"}.get(mood.feeling)
        if mood.person in names and sign is not None:
            _mark(painter, mood.person, sign, mood.start_s, mood.end_s, stage, acting, seen)


def _mark(
    painter: Painter, name: str, sign: str, start_s: float, end_s: float, stage: Stage, acting: Acting, seen: Num
) -> None:
    """A sign beside a head, or beside the window for one who looks in."""
    times, pose = acting.times_s, acting.poses[name]
    on = pulse(times, start_s, end_s, 0.15, 0.15) * np.maximum(pose.indoors, pose.outdoors)
    shown = _there(on, seen)
    if shown is None:
        return
    x = np.asarray(pose.x)
    side = np.where(x > stage.width - 0.2, -1.0, 1.0)
    pen = Pen(
        painter,
        x + side * 0.135 * pose.size,
        pose.y - 0.475 * np.asarray(pose.size),
        1,
        alpha=np.where(shown > 0, 1.0, 0.0),
    )
    bubbles.mark(pen, sign, shown)


def _speech(painter: Painter, scene: Scene, beat: Beat, stage: Stage, acting: Acting, seen: Num) -> None:
    """A balloon above the speaker, beside the window, for as long as she speaks."""
    times, pose = acting.times_s, acting.poses[beat.person]
    start = beat.walk_end_s + 0.05
    on = np.where((times >= start) & (times <= beat.end_s), 1.0, 0.0)
    shown = _there(on * np.asarray(pose.indoors), seen)
    if shown is None:
        return
    first = int(np.flatnonzero(shown)[0])
    x, y, size = float(pose.x[first]), float(pose.y[first]), float(pose.size[first])
    half = bubbles.HALF if beat.kind == "tell" else 0.135
    u = _clear_of_window(x, half, stage)
    pen = Pen(painter, 0, 0, 1, alpha=shown)
    tip_v = y - 0.505 * size
    tip_u = x + float(np.clip(u - x, -0.06, 0.06)) * size
    inside = bubbles.bubble(pen, u, tip_u, tip_v, half)
    item = next((other for other in scene.things if other.name == beat.thing), None)
    if beat.kind == "wish":
        bubbles.wishes(inside, item, stage.palette)
    else:
        place = next((other for other in scene.containers if other.name == beat.container), None)
        bubbles.tells(inside, item, place, stage.palette)


def _clear_of_window(x: float, half: float, stage: Stage) -> float:
    """Where a balloon stands: as near to the speaker as the picture's edges and the window allow."""
    low, high = half + 0.03, stage.width - half - 0.03
    near = float(np.clip(x, low, high))
    if stage.place == YARD:
        return near
    gap = LAYOUT.window_width / 2 + 0.03 + half
    if abs(near - stage.window_x) >= gap:
        return near
    sides = [u for u in (stage.window_x - gap, stage.window_x + gap) if low <= u <= high]
    return min(sides, key=lambda u: abs(u - x)) if sides else near
