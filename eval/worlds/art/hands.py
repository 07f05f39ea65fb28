"""Hands: beats, reactions and things go in; where everybody's hands are in every frame comes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.worlds.art import containers as box
from eval.worlds.art.people import SHOULDER
from eval.worlds.art.tracks import (
    BASE,
    HOLD,
    REACH,
    Acting,
    Array,
    beats_of,
    pulse,
    span,
    spots,
)
from eval.worlds.scene import Beat, Person, Scene


def hands_of(scene: Scene, person: Person, acting: Acting) -> None:
    """Where the hands are: swinging, holding, reaching, waving."""
    t, pose = acting.times_s, acting.poses[person.name]
    swing = np.sin(pose.phase) * pose.stride * 0.035
    hands = {
        -1: (-0.112 + swing, -0.13 - np.abs(swing) * 0.3),
        1: (0.112 + swing, -0.13 - np.abs(swing) * 0.3),
    }
    everything = slice(None)
    for item in scene.things:
        track = acting.things[item.name]
        u, v = (track.x - pose.x) / pose.size, (track.y - pose.y) / pose.size
        near = (np.abs(u) < 0.16) & (np.abs(v - HOLD[1]) < 0.06) & (track.held > 0) & holds(scene, person, item.name, t)
        if near.any():
            # One hand holds it from below; the other would hide the letter on the shirt.
            for side in (-1, 1):
                _toward(hands[side], side, u, v + 0.055, (near & (u * side >= 0)).astype(float), everything)
    x_of = spots(scene)
    for beat in beats_of(scene, person.name):
        jobs: list[tuple[float, float, str | None]] = []
        if beat.kind in ("put", "take", "open"):
            jobs.append((beat.walk_end_s, beat.end_s, beat.container))
        elif beat.kind == "move":
            jobs += [
                (beat.walk_end_s, beat.take_end_s, beat.container),
                (beat.carry_end_s, beat.end_s, beat.to_container),
            ]
        for start, end, name in jobs:
            part = span(t, start, end)
            length = end - start
            x = x_of.get(name or "", float(np.mean(pose.x[part])) if part.stop > part.start else 0.0)
            share = pulse(t[part], start, end, 0.32 * length, 0.3 * length)
            u = (x - pose.x[part]) / pose.size[part]
            v = (BASE + box.MOUTH - pose.y[part]) / pose.size[part]
            side = 1 if part.stop > part.start and float(np.mean(u)) >= 0 else -1
            _toward(hands[side], side, u - side * 0.03, v - 0.05, share, part)
        if beat.kind == "idle":
            _idle_hands(beat, hands, t)
        elif beat.kind in ("tell", "wish"):
            part = span(t, beat.walk_end_s, beat.end_s)
            share = pulse(t[part], beat.walk_end_s, beat.end_s, 0.3, 0.3) * 0.8
            rest = np.sin((t[part] - beat.start_s) * 5.0) * 0.015
            # The hand points to who is spoken to.
            there = acting.poses[beat.other].x if beat.other in acting.poses else pose.x + 1.0
            side = 1 if part.stop > part.start and float(np.mean((there - pose.x)[part])) >= 0 else -1
            _toward(hands[side], side, side * (0.17 + rest), -0.22 + rest, share, part)
    for mood in scene.reactions:
        if mood.person == person.name and mood.feeling in ("joy", "surprise"):
            part = span(t, mood.start_s, mood.end_s)
            share = pulse(t[part], mood.start_s, mood.end_s)
            held = 0.3 if any(holds(scene, person, item.name, t)[part].any() for item in scene.things) else 1.0
            for side in (-1, 1):
                v = -0.42 if mood.feeling == "joy" else -0.3
                _toward(hands[side], side, np.full(len(share), side * 0.16), np.full(len(share), v), share * held, part)
    pose.left, pose.right = hands[-1], hands[1]


def _toward(hand: tuple[Array, Array], side: int, u: Array, v: Array, share: Array, part: slice) -> None:
    """Moves a hand toward a point, no further than the arm is long."""
    far_u, far_v = u - side * SHOULDER[0], v - SHOULDER[1]
    length = np.maximum(np.hypot(far_u, far_v), 1e-6)
    reach = np.minimum(length, REACH) / length
    to_u, to_v = side * SHOULDER[0] + far_u * reach, SHOULDER[1] + far_v * reach
    hand[0][part] += (to_u - hand[0][part]) * share
    hand[1][part] += (to_v - hand[1][part]) * share


def holds(scene: Scene, person: Person, thing: str, t: Array) -> NDArray[np.bool_]:
    """Where a person holds a thing."""
    start = next(item.inside for item in scene.things if item.name == thing)
    holds = np.full(len(t), start == person.name)
    for beat in sorted(scene.beats, key=lambda beat: beat.start_s):
        if beat.thing != thing or beat.kind not in ("put", "take", "move"):
            continue
        first, last = int(np.searchsorted(t, beat.walk_end_s)), int(np.searchsorted(t, beat.end_s))
        holds[last if beat.kind != "put" else first :] = beat.kind == "take" and beat.person == person.name
        if beat.kind == "move":
            holds[first:last] = beat.person == person.name
    return holds


def _idle_hands(beat: Beat, hands: dict[int, tuple[Array, Array]], t: Array) -> None:
    part = span(t, beat.walk_end_s, beat.end_s)
    share, since = pulse(t[part], beat.walk_end_s, beat.end_s, 0.3, 0.3), t[part] - beat.walk_end_s
    poses: dict[str, Sequence[tuple[int, Array | float, Array | float]]] = {
        "wave": [(1, 0.17 + 0.04 * np.sin(since * 9), -0.42)],
        "dance": [(-1, -0.17, -0.3 + 0.09 * np.sin(since * 5.2)), (1, 0.17, -0.3 - 0.09 * np.sin(since * 5.2))],
        "juggle": [(-1, -0.1, -0.22 + 0.02 * np.sin(since * 8)), (1, 0.1, -0.22 - 0.02 * np.sin(since * 8))],
        "read": [(-1, -0.085, -0.17), (1, 0.085, -0.17)],
        "drink": [(1, 0.075, -0.27 + 0.02 * np.sin(since * 2))],
        "jump": [(-1, -0.16, -0.36), (1, 0.16, -0.36)],
        "stretch": [(-1, -0.1, -0.5), (1, 0.1, -0.5)],
        "water": [(1, 0.15, -0.21)],
    }
    for side, u, v in poses.get(beat.act or "", ()):
        _toward(hands[side], side, np.broadcast_to(u, share.shape), np.broadcast_to(v, share.shape), share, part)
