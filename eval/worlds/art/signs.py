"""Signs: who is called what, says what and notices what goes in; name plates, balloons and marks come out, in sight."""

from __future__ import annotations

import numpy as np

from eval.worlds.art import bubbles
from eval.worlds.art.colours import LAYOUT
from eval.worlds.art.pen import Num, Pen
from eval.worlds.art.people import top_of
from eval.worlds.art.tracks import FEET, Acting, pulse, side_of, there
from eval.worlds.drawlist import Painter
from eval.worlds.scene import YARD, Beat, Person, Scene, Stage

EDGE = 0.012
"""No plate or balloon comes nearer to the picture's edge."""


def plate(painter: Painter, scene: Scene, person: Person, stage: Stage, acting: Acting, seen: Num) -> None:
    """A name above a head; where somebody looks in at the window, nothing may cover her."""
    pose = acting.poses[person.name]
    shown = acting.tags[person.name] * pose.indoors
    for peek in acting.peeks.values():
        shown = np.where((peek > 0) & (np.abs(pose.x - stage.window_x) < 0.35), 0.0, shown)
    left, right, _ = _frame(scene)
    shown = np.where((pose.x > left) & (pose.x < right), shown, 0.0)  # not before she herself comes in
    half = bubbles.tag_half(person.name)
    u = np.clip(pose.x, left + half, right - half)
    for other in scene.people:  # two plates never run into one word: who stands behind gives way
        if other.name != person.name and (other.place == YARD) == (person.place == YARD):
            behind = acting.ranks[other.name] > acting.ranks[person.name]
            near = np.abs(u - acting.poses[other.name].x) < half + bubbles.tag_half(other.name)
            taken = acting.tags[other.name] * acting.poses[other.name].indoors > 0
            shown = np.where(behind & near & taken, 0.0, shown)
    shown = there(shown, seen)
    if shown is None:
        return
    v = FEET - top_of(person) * person.size - bubbles.TAG_HIGH - 0.006
    bubbles.name_tag(Pen(painter, u, v, 1, alpha=np.where(shown > 0, 1.0, 0.0)), person.name, shown)


def say(painter: Painter, scene: Scene, people: list[Person], stage: Stage, acting: Acting, seen: Num) -> None:
    """Balloons of those who speak, marks beside those who notice or feel something."""
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
    shown = there(on, seen)
    if shown is None:
        return
    x, size = np.asarray(pose.x), np.asarray(pose.size)
    side = np.where(np.abs(x - stage.width / 2) > stage.width / 2 - 0.2, -np.sign(x - stage.width / 2), side_of(stage))
    # Above the ear, off the neighbours' faces; beside the head of one at the window, and off the window otherwise.
    near = (np.abs(x - stage.window_x) < 0.28) & (pose.indoors > 0)
    side = np.where(near & (x != stage.window_x), np.sign(x - stage.window_x), side)
    up = np.where(pose.outdoors > 0, 0.45, 0.52)
    out = np.where(pose.outdoors > 0, 0.14, 0.112)
    pen = Pen(painter, x + side * out * size, pose.y - up * size, 1, alpha=np.where(shown > 0, 1.0, 0.0))
    bubbles.mark(pen, sign, shown)


def _speech(painter: Painter, scene: Scene, beat: Beat, stage: Stage, acting: Acting, seen: Num) -> None:
    """A balloon above the speaker, for as long as she speaks; beside the window while somebody looks in."""
    times, pose = acting.times_s, acting.poses[beat.person]
    start = beat.walk_end_s + 0.05
    on = np.where((times >= start) & (times <= beat.end_s), 1.0, 0.0)
    shown = there(on * np.asarray(pose.indoors), seen)
    if shown is None:
        return
    first = int(np.flatnonzero(shown)[0])
    x, y, size = float(pose.x[first]), float(pose.y[first]), float(pose.size[first])
    half = bubbles.HALF if beat.kind == "tell" else 0.135
    left, right, top = _frame(scene)
    u = float(np.clip(x, left + half, right - half))
    if any(other.kind == "peek" and other.start_s < beat.end_s and other.end_s > start for other in scene.beats):
        u = _clear_of_window(u, half, stage, left + half, right - half)
    pen = Pen(painter, 0, 0, 1, alpha=shown)
    person = next(person for person in scene.people if person.name == beat.person)
    tip_v = y - (top_of(person) - 0.01) * size
    tip_u = x + float(np.clip(u - x, -0.06, 0.06)) * size
    middle = max(bubbles.MIDDLE, top + bubbles.HIGH)
    inside = bubbles.bubble(pen, u, middle, tip_u, tip_v, half)
    item = next((other for other in scene.things if other.name == beat.thing), None)
    if beat.kind == "wish":
        bubbles.wishes(inside, item, stage.palette)
    else:
        place = next((other for other in scene.containers if other.name == beat.container), None)
        bubbles.tells(inside, item, place, stage.palette)


def _clear_of_window(x: float, half: float, stage: Stage, low: float, high: float) -> float:
    """Where a balloon stands that somebody is not hidden by who looks in: between `low` and `high`, near x."""
    gap = LAYOUT.window_width / 2 + 0.03 + half
    if stage.place == YARD or abs(x - stage.window_x) >= gap:
        return x
    sides = [u for u in (stage.window_x - gap, stage.window_x + gap) if low <= u <= high]
    return min(sides, key=lambda u: abs(u - x)) if sides else x


def _frame(scene: Scene) -> tuple[float, float, float]:
    """Left, right and upper edge of what the camera sees from beginning to end."""
    camera, middle = scene.look.camera, scene.stages[0].width / 2
    ends = list(zip(camera.dx, camera.dy, camera.zoom, strict=True))
    left = max(middle + dx - middle / zoom for dx, _, zoom in ends)
    right = min(middle + dx + middle / zoom for dx, _, zoom in ends)
    return left + EDGE, right - EDGE, max(0.5 + dy - 0.5 / zoom for _, dy, zoom in ends) + EDGE
