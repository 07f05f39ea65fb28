"""Carrying: beats go in; where things are in every frame, and how far containers are open, comes out."""

from __future__ import annotations

import numpy as np

from eval.worlds.art import containers as box
from eval.worlds.art.people import Pose
from eval.worlds.art.tracks import (
    BASE,
    HOLD,
    RADIUS,
    Acting,
    Array,
    ThingTrack,
    ramp,
    side_of,
    span,
    spots,
)
from eval.worlds.scene import Beat, Scene


def carry(scene: Scene, acting: Acting) -> None:
    """Where the things are: held, in the air, in a container."""
    t = acting.times_s
    x_of, glass = spots(scene), {item.name: item.glass for item in scene.containers}
    slots, width = _slots(scene), scene.stages[0].width
    for number, item in enumerate(scene.things):
        x, y, size, tilt, held = np.zeros((5, len(t)))
        track = ThingTrack(x, y, size, tilt, held)
        acting.things[item.name] = track
        hand = side_of(scene.stages[0]) * (1.0 if number % 2 == 0 else -1.0)

        def stay(first: int, place: str, track: ThingTrack = track, hand: float = hand, item_x: float = item.x,
                 name: str = item.name) -> None:  # fmt: skip
            """From frame `first` on, until something happens, the thing is there."""
            rest = slice(first, None)
            for share in track.inside.values():
                share[rest] = 0
            track.tilt[rest] = 0
            if place in acting.poses:
                pose = acting.poses[place]
                track.x[rest] = _hold_x(pose, hand, width, rest)
                track.y[rest] = pose.y[rest] + (HOLD[1] - pose.lift[rest] - pose.breath[rest]) * pose.size[rest]
                track.size[rest] = RADIUS
                track.held[rest] = pose.indoors[rest]
            elif place in x_of:
                shift, small = slots.get((name, place), (0.0, 1.0))
                track.x[rest], track.y[rest] = x_of[place] + shift, BASE + box.REST
                track.size[rest], track.held[rest] = RADIUS * box.FIT * small, 0
                track.inside.setdefault(place, np.zeros(len(t)))[rest] = 1.0 if glass[place] else 0.0
            else:
                track.x[rest], track.y[rest], track.size[rest], track.held[rest] = item_x, 0.85, RADIUS, 1

        def pour(
            start: float, end: float, place: str, *, out: bool, track: ThingTrack = track, name: str = item.name,
            hand: float = hand, person: str = "",
        ) -> None:  # fmt: skip
            """Between the times the thing goes from the hand into the container, or out of it."""
            part = span(t, start, end)
            if part.stop <= part.start:
                return
            s = np.clip((t[part] - start) / max(end - start, 1e-6), 0, 1)
            s = 1 - s if out else s
            pose = acting.poses[person]
            shift, small = slots.get((name, place), (0.0, 1.0))
            hold_x = _hold_x(pose, hand, width, part)
            hold_y = pose.y[part] + (HOLD[1] - pose.breath[part]) * pose.size[part]
            over_x, over_y = x_of[place], BASE + box.MOUTH - 0.095
            across, down = ramp(s, 0.0, 0.4), ramp(s, 0.42, 0.68) ** 1.5
            track.x[part] = hold_x + (over_x - hold_x) * across + shift * down
            arch = 0.05 * np.sin(np.pi * across)
            track.y[part] = hold_y + (over_y - hold_y) * across - arch + (BASE + box.REST - over_y) * down
            track.size[part] = RADIUS * (1 + (box.FIT * small - 1) * down)
            falls = s > 0.42
            track.held[part] = np.where(falls, 0.0, 1.0)
            seen = falls if glass[place] else falls & (s < 0.67)
            for share in track.inside.values():
                share[part] = 0
            track.inside.setdefault(place, np.zeros(len(t)))[part] = np.where(seen, 1.0, 0.0)

        stay(0, item.inside)
        for beat in sorted(scene.beats, key=lambda beat: beat.start_s):
            first, last = int(t.searchsorted(beat.walk_end_s)), int(t.searchsorted(beat.end_s, side="right"))
            if beat.kind == "put" and beat.thing == item.name and beat.container is not None:
                stay(last, beat.container)
                pour(beat.walk_end_s, beat.end_s, beat.container, out=False, person=beat.person)
            elif beat.kind == "take" and beat.thing == item.name:
                stay(last, beat.person)
                if beat.container is not None:
                    pour(beat.walk_end_s, beat.end_s, beat.container, out=True, person=beat.person)
                else:
                    _lift(track, acting.poses[beat.person], t, beat, hand, item.x, width)
            elif beat.kind == "move" and beat.thing == item.name and beat.container and beat.to_container:
                stay(first, beat.person)
                stay(last, beat.to_container)
                pour(beat.walk_end_s, beat.take_end_s, beat.container, out=True, person=beat.person)
                pour(beat.carry_end_s, beat.end_s, beat.to_container, out=False, person=beat.person)
            elif beat.kind == "open" and item.name in beat.found and beat.container is not None:
                _show(track, t, beat, x_of[beat.container], beat.found.index(item.name))


def _hold_x(pose: Pose, hand: float, width: float, part: slice) -> Array:
    """Where a held thing is: beside the letter on the shirt, and within the picture."""
    aside: Array = pose.x[part] + hand * HOLD[0] * pose.size[part]
    return np.clip(aside, RADIUS + 0.05, width - RADIUS - 0.05)


def _slots(scene: Scene) -> dict[tuple[str, str], tuple[float, float]]:
    """For things that may lie in one container together: how far aside each lies, and how much smaller."""
    visits: dict[str, list[str]] = {}
    for item in scene.things:
        places = [item.inside]
        for beat in scene.beats:
            if beat.thing == item.name and beat.kind in ("put", "move"):
                places.append((beat.to_container if beat.kind == "move" else beat.container) or "")
        for place in dict.fromkeys(places):
            visits.setdefault(place, []).append(item.name)
    slots = {}
    for place, names in visits.items():
        for rank, name in enumerate(names):
            if len(names) > 1:
                slots[name, place] = ((rank - (len(names) - 1) / 2) * 0.086 * 2 / len(names), 0.66)
    return slots


def _lift(track: ThingTrack, pose: Pose, t: Array, beat: Beat, hand: float, floor_x: float, width: float) -> None:
    """A thing that is picked up from the floor."""
    part = span(t, beat.walk_end_s, beat.end_s)
    up = ramp(t[part], beat.walk_end_s + 0.4 * (beat.end_s - beat.walk_end_s), beat.end_s)
    to_x = _hold_x(pose, hand, width, part)
    to_y = pose.y[part] + (HOLD[1] - pose.breath[part]) * pose.size[part]
    track.x[part], track.y[part] = floor_x + (to_x - floor_x) * up, 0.85 + (to_y - 0.85) * up
    track.held[part] = 1


def _show(track: ThingTrack, t: Array, beat: Beat, x: float, rank: int) -> None:
    """What comes to light in an opened container rises out of it, stays, and sinks back."""
    part = span(t, beat.walk_end_s, beat.end_s)
    if part.stop <= part.start or beat.container is None:
        return
    s = np.clip((t[part] - beat.walk_end_s) / max(beat.end_s - beat.walk_end_s, 1e-6), 0, 1)
    up = ramp(s, 0.18, 0.4) * (1 - ramp(s, 0.7, 0.88))
    count = len(beat.found)
    aside = (rank - (count - 1) / 2) * 0.11
    low_y, low_size = BASE + box.REST, RADIUS * box.FIT
    track.x[part] = track.x[part] * (1 - up) + (x + aside) * up
    track.y[part] = low_y + (BASE + box.MOUTH - 0.075 - low_y) * up
    track.size[part] = low_size + (RADIUS * (1.05 if count == 1 else 0.85) - low_size) * up
    track.tilt[part] = 0.12 * np.sin(s * 30) * up
    inside = track.inside.setdefault(beat.container, np.zeros(len(t)))
    inside[part] = np.maximum(inside[part], np.where(up > 0.02, 1.0, 0.0))


def lids(scene: Scene, acting: Acting) -> None:
    """How far containers are open."""
    t = acting.times_s
    for item in scene.containers:
        acting.opening[item.name], acting.empty[item.name] = np.zeros(len(t)), np.zeros(len(t))

    def swing(name: str | None, start: float, end: float, opens: float, shuts: float) -> None:
        if name in acting.opening:
            part = span(t, start, end)
            length = end - start
            share = ramp(t[part], start, start + opens * length) * (1 - ramp(t[part], start + shuts * length, end))
            acting.opening[name][part] = np.maximum(acting.opening[name][part], share)

    for beat in scene.beats:
        if beat.kind in ("put", "take"):
            swing(beat.container, beat.walk_end_s, beat.end_s, 0.3, 0.7)
        elif beat.kind == "move":
            swing(beat.container, beat.walk_end_s, beat.take_end_s, 0.3, 0.7)
            swing(beat.to_container, beat.carry_end_s, beat.end_s, 0.3, 0.7)
        elif beat.kind == "open":
            swing(beat.container, beat.walk_end_s, beat.end_s, 0.18, 0.85)
            if not beat.found and beat.container in acting.empty:
                part = span(t, beat.walk_end_s, beat.end_s)
                length = max(beat.end_s - beat.walk_end_s, 1e-6)
                acting.empty[beat.container][part] = np.clip(((t[part] - beat.walk_end_s) / length - 0.2) / 0.65, 0, 1)
