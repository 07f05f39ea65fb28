"""The stage: a scene and film times go in, a draw list of those frames comes out, ready for any renderer.

Painted from the back: outdoors, who is outdoors, the wall, people and the folding screen (whoever acts in front), what
they hold, containers with their contents, bubbles and signs. Each place of the film has its own stage; shots say which
is seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.worlds.art import backdrops, bubbles, signs
from eval.worlds.art import containers as boxes
from eval.worlds.art.acting import act
from eval.worlds.art.colours import INK, PAPER, named, skin
from eval.worlds.art.depth import SCREEN_RANK
from eval.worlds.art.layers import laid
from eval.worlds.art.pen import Num, Pen
from eval.worlds.art.people import draw_person
from eval.worlds.art.things import thing
from eval.worlds.art.tracks import BASE, Acting, pulse, side_of, stage_of, there
from eval.worlds.drawlist import DrawList, Painter, together
from eval.worlds.scene import ROOM, YARD, Container, Person, Scene, Stage

FADE_S = 0.125
"""A cut darkens the picture this long before and after."""

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
    acting = act(scene, times)
    width = scene.stages[0].width
    painters: list[Painter] = []
    ranks: list[Array] = []
    for number, stage in enumerate(scene.stages):
        seen = _seen(scene, stage.place, times)
        if seen.any():
            for painter, rank in _paint(scene, stage, acting, 1.0 if seen.all() else seen.astype(float)):
                painters.append(painter)
                # Ranks are from -10 to 10: a stage's layers stay between those of the stages before and after it.
                ranks.append(rank + 30.0 * number)
    cuts = [shot.start_s for shot in scene.shots[1:]]
    if cuts:
        painters.append(Painter(len(times)))
        ranks.append(np.full(len(times), 30.0 * len(scene.stages)))
        dark = np.max([np.clip(1 - np.abs(times - cut) / FADE_S, 0, 1) for cut in cuts], axis=0)
        backdrops.cut_fade(Pen(painters[-1], 0, 0, 1), width, dark)
    camera, look = scene.look.camera, scene.look
    part = np.clip(times / max(scene.duration_s, 1e-6), 0, 1)
    dx, dy, zoom = (
        first if first == last else first + (last - first) * part for first, last in (camera.dx, camera.dy, camera.zoom)
    )
    layers = together(painters, width, dx, dy, zoom, look.light)
    return laid(layers, np.argsort(np.array(ranks).T, axis=1, kind="stable"))


def _seen(scene: Scene, place: str, times: Array) -> NDArray[np.bool_]:
    """When a place is on the picture."""
    if not scene.shots:
        return np.full(len(times), place == scene.stages[0].place)
    starts = np.array([shot.start_s for shot in scene.shots])
    number = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, len(starts) - 1)
    here = np.array([(shot.place == YARD) == (place == YARD) for shot in scene.shots])
    return np.asarray(here[number], dtype=np.bool_)


def _paint(scene: Scene, stage: Stage, acting: Acting, seen: Num) -> list[tuple[Painter, Array]]:
    """Layers of one stage, each with its rank in every frame."""
    frames = len(acting.times_s)
    painter = Painter(frames)
    layers = [(painter, np.full(frames, -10.0))]
    backdrop = Pen(painter, 0, 0, 1, alpha=seen)
    people = [person for person in scene.people if stage_of(person) == stage.place]
    if stage.place == ROOM:
        backdrops.outdoors(backdrop, stage)
        for person in people:
            shown = there(acting.poses[person.name].outdoors, seen)
            if shown is not None:
                _person(painter, person, stage, acting, shown)
        backdrops.room(backdrop, stage)
        backdrops.sill(backdrop, stage)
        for person in people:
            _hands_on_sill(painter, person, stage, acting, seen)
    else:
        backdrops.yard(backdrop, stage)
    for person in people:
        shown = there(acting.poses[person.name].indoors, seen)
        if shown is not None:
            own = Painter(frames)
            _person(own, person, stage, acting, shown)
            _props(own, scene, person, acting, seen)
            signs.plate(own, scene, person, stage, acting, seen)
            layers.append((own, acting.ranks[person.name]))
    if stage.place == ROOM and stage.screen_x is not None:
        own = Painter(frames)
        backdrops.screen(Pen(own, 0, 0, 1, alpha=seen), stage)
        layers.append((own, np.full(frames, SCREEN_RANK)))
    painter = Painter(frames)
    layers.append((painter, np.full(frames, 10.0)))
    _held(painter, scene, stage, acting, seen)
    for item in scene.containers:
        if (item.place == YARD) == (stage.place == YARD):
            _container(painter, scene, item, stage, acting, seen)
    signs.say(painter, scene, people, stage, acting, seen)
    return layers


def _person(painter: Painter, person: Person, stage: Stage, acting: Acting, shown: Array) -> None:
    pose = acting.poses[person.name]
    draw_person(Pen(painter, pose.x, pose.y, pose.size, alpha=shown), person, pose, stage.palette)


def _hands_on_sill(painter: Painter, person: Person, stage: Stage, acting: Acting, seen: Num) -> None:
    shown = there(np.where(acting.peeks[person.name] > 0.45, 1.0, 0.0), seen)
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
        shown = there(track.held, seen)
        if shown is not None:
            pen = Pen(painter, track.x, track.y, track.size, tilt=track.tilt, alpha=shown)
            # A glow, dark about what is pale, sets it off from a shirt of the same colour; on the floor it needs none.
            fill = named(item.colour, stage.palette)
            around, strong = (INK, 0.42) if min(fill) > 200 else (PAPER, 0.7)
            pen.ellipse(0, 0, 1.18, 1.18, around, alpha=np.where(track.y < 0.8, strong, 0.0), soft=0.22)
            thing(pen, item.shape, fill)


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
    side = side_of(stage)
    boxes.behind(pen, item.shape, fill, swing, glass=item.glass, side=side)
    for other in scene.things:
        track = acting.things[other.name]
        shown = there(track.inside.get(item.name, 0.0), seen)
        if shown is not None:
            inside = Pen(painter, track.x, track.y, track.size, tilt=track.tilt, alpha=shown)
            risen = np.clip((BASE + boxes.MOUTH - track.y) / 0.05, 0, 1)
            if risen.any():  # what is found shines before whoever stands there
                inside.ellipse(0, 0, 1.3, 1.3, PAPER, alpha=0.75 * risen, soft=0.22)
            thing(inside, other.shape, named(other.colour, stage.palette))
    boxes.before(pen, item.shape, fill, swing, glass=item.glass, side=side)
    if item.label is not None:
        pictured = next((other for other in scene.things if other.name == item.label), None)
        colour, _, shape = item.label.partition(" ")
        picture = boxes.sticker(pen)
        if pictured is not None:
            colour, shape = pictured.colour, pictured.shape
        thing(picture, shape, named(colour, stage.palette))
    shown = there(np.where(acting.empty[item.name] > 0, 1.0, 0.0), seen)
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
        shown = there(on * np.asarray(pose.indoors), seen)
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
