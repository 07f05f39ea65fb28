"""Acting: a scene's beats and ascending times go in; where all are in every frame, and in what mood, comes out.

Times are film times. Every function works on all frames at once; a beat touches only the frames that it lasts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval.worlds.art.carrying import carry, lids
from eval.worlds.art.depth import step_forward
from eval.worlds.art.hands import hands_of
from eval.worlds.art.moods import express
from eval.worlds.art.pen import Num
from eval.worlds.art.people import HEAD_V, Pose
from eval.worlds.art.tracks import (
    BEHIND_WALL,
    FEET,
    PEEK_SIZE,
    PEEK_Y,
    SHRINK,
    Acting,
    Array,
    beats_of,
    pulse,
    ramp,
    span,
    stage_of,
)
from eval.worlds.scene import NOOK, OUTSIDE, WINDOW, YARD, Beat, Person, Scene, Stage


def act(scene: Scene, times_s: Array) -> Acting:
    """Acts a scene out at the given times."""
    acting = Acting(times_s)
    stages = {stage.place: stage for stage in scene.stages}
    for index, person in enumerate(scene.people):
        _walk(scene, stages[stage_of(person)], person, index, acting)
    for place in stages:
        _look(scene, stages[place], acting)
    for person in scene.people:
        express(scene, person, acting)
    step_forward(scene, acting)
    carry(scene, acting)
    lids(scene, acting)
    for person in scene.people:
        hands_of(scene, person, acting)
    return acting


def door_parts(beat: Beat) -> tuple[float, float]:
    """When one who leaves stands in front of the doorway, and when in it; or one who enters, the other way round."""
    length = beat.end_s - beat.start_s
    if beat.kind == "leave":
        front = beat.walk_end_s if beat.end_s - beat.walk_end_s >= 0.35 else beat.start_s + 0.6 * length
        return front, front + 0.5 * (beat.end_s - front)
    inside = beat.start_s + min(0.22 * length, 0.5)
    return inside + min(0.22 * length, 0.5), inside


def _walk(scene: Scene, stage: Stage, person: Person, index: int, acting: Acting) -> None:
    """Where a person is, which way her feet go, and whether her back is to us."""
    t = acting.times_s
    count = len(t)
    keys: list[tuple[float, float, float]] = [(-1e3, person.x, float(person.place in (OUTSIDE, WINDOW)))]
    shown = np.full(count, 0.0 if person.place in (OUTSIDE, WINDOW) else 1.0)
    turned = np.full(count, 1.0 if scene.story.initial.get(("turned", person.name)) is True else 0.0)
    peek = np.zeros(count)
    tag = np.zeros(count) if keys[0][2] else 1 - ramp(t, 2.1, 2.5)
    if person.place == YARD:  # names again whenever the film comes to this place
        for shot in scene.shots:
            if shot.place == YARD:
                tag = np.maximum(tag, pulse(t, shot.start_s, shot.start_s + 2.5))
    away = -0.3 if stage.door_x < stage.window_x else 0.3
    for beat in beats_of(scene, person.name):
        after = int(t.searchsorted(beat.start_s))
        if beat.kind == "leave":
            front, sill = door_parts(beat)
            keys += [(beat.start_s, beat.x_from, 0), (front, stage.door_x, 0), (sill, stage.door_x, 1)]
            keys.append((beat.end_s, stage.door_x + away, 1))
            shown[int(t.searchsorted(beat.end_s)) :] = 0
            tag[after:] = np.minimum(tag[after:], 1 - ramp(t[after:], beat.start_s, beat.start_s + 0.2))
        elif beat.kind == "enter":
            front, sill = door_parts(beat)
            keys += [(beat.start_s, stage.door_x + away, 1), (sill, stage.door_x, 1), (front, stage.door_x, 0)]
            keys.append((max(front + 0.05, beat.walk_end_s), beat.x_to, 0))
            shown[after:] = 1
            tag[after:] = pulse(t[after:], beat.start_s + 0.3, beat.end_s + 2.2)
        elif beat.kind == "peek":
            peek[after:] = np.maximum(peek[after:], pulse(t[after:], beat.start_s, beat.end_s, 0.55, 0.45))
        else:
            keys += [(beat.start_s, beat.x_from, 0), (max(beat.walk_end_s, beat.start_s + 1e-3), beat.x_to, 0)]
            if beat.kind == "move":
                keys += [(beat.take_end_s, beat.x_to, 0), (beat.carry_end_s, beat.to_x, 0)]
            elif beat.kind == "look_away":
                turned[after:] = ramp(t[after:], beat.start_s, beat.start_s + min(0.5, beat.end_s - beat.start_s))
            elif beat.kind == "turn_back":
                turned[after:] = 1 - ramp(t[after:], beat.start_s, beat.start_s + min(0.5, beat.end_s - beat.start_s))
    moments = np.maximum.accumulate(np.array([key[0] for key in keys]))
    xs, depths = np.array([key[1] for key in keys]), np.array([key[2] for key in keys])
    x, depth = np.interp(t, moments, xs), np.interp(t, moments, depths)
    speed = (np.interp(t + 0.06, moments, xs) - np.interp(t - 0.06, moments, xs)) / 0.12
    inward = (np.interp(t + 0.06, moments, depths) - np.interp(t - 0.06, moments, depths)) / 0.12
    peeking = peek > 0
    behind = (depth > 0.9) & (shown > 0)
    stride = np.clip(np.hypot(speed, 0.25 * inward) / 0.25, 0, 1) * ~peeking
    leaving_back = np.where(inward > 0.2, 1.0, 0.0)  # one who walks out of the door shows her back
    turn = np.maximum(turned, leaving_back)  # one who looks away does so while she steps aside, too
    phase = (x + 0.4 * depth) * (2 * np.pi / 0.17) + index
    beat_of_breath = np.rint(1 + np.sin(2 * np.pi * (t / 3.1 + 0.37 * index)))
    acting.peeks[person.name] = peek
    for mood in scene.reactions:
        if mood.person == person.name:  # the sign beside the head stands where the name does
            tag[span(t, mood.start_s, mood.end_s)] = 0
    acting.tags[person.name] = tag * shown
    acting.poses[person.name] = Pose(
        x=np.where(peeking, stage.window_x, x),
        y=np.where(peeking, PEEK_Y + 0.2 * (1 - peek), FEET - BEHIND_WALL * depth + 0.004 * (index % 3)),
        size=np.where(peeking, PEEK_SIZE, person.size * (1 - SHRINK * depth)),
        indoors=np.where((shown > 0) & ~behind & ~peeking, 1.0, 0.0),
        outdoors=np.where(behind | peeking, 1.0, 0.0),
        turned=np.where(peeking, 0.0, np.where(turn > 0.5, 1.0, 0.0)),
        squash=np.maximum(0.55, np.abs(1 - 2 * np.where(leaving_back > 0, 1.0, turn))),
        phase=phase,
        stride=stride,
        lift=np.abs(np.sin(phase)) * 0.012 * stride,
        breath=beat_of_breath * 0.0022 * (1 - np.clip(stride * 4, 0, 1)),
        face=np.clip(speed / 0.25, -1, 1),
        lean=np.clip(speed / 0.5, -1, 1) * 0.05,
    )


def _look(scene: Scene, stage: Stage, acting: Acting) -> None:
    """Where eyes go: to whoever acts, unless one acts oneself or cannot see."""
    t = acting.times_s
    people = [person for person in scene.people if stage_of(person) == stage.place]
    names = {person.name for person in people}
    where = {item.name: item.x for item in scene.containers}
    aim_x, aim_y, weight = np.zeros(len(t)), np.full(len(t), 0.42), np.zeros(len(t))
    own: dict[str, list[tuple[float, float, float, float]]] = {person.name: [] for person in people}
    for beat in sorted(scene.beats, key=lambda beat: beat.start_s):
        if beat.person not in names or beat.kind in ("idle", "spot", "peek", "look_away"):
            if beat.kind == "spot" and beat.person in names:
                own[beat.person].append((beat.start_s, beat.end_s + 0.3, stage.window_x, 0.16))
            continue
        pose = acting.poses[beat.person]
        part = span(t, beat.start_s, beat.end_s + 0.35)
        if part.stop <= part.start:
            continue
        head = pose.y[part] + HEAD_V * pose.size[part]
        to_x, to_y = pose.x[part].copy(), head
        if beat.container is not None and beat.kind in ("put", "take", "move", "open"):
            works = ramp(t[part], beat.walk_end_s - 0.3, beat.walk_end_s)
            second = ramp(t[part], beat.take_end_s, beat.carry_end_s) if beat.kind == "move" else 0.0
            spot_x: Num = where.get(beat.container, stage.width / 2)
            if beat.kind == "move" and beat.to_container is not None:
                spot_x = spot_x + (where[beat.to_container] - spot_x) * second
            to_x, to_y = to_x + (spot_x - to_x) * works, to_y + (0.7 - to_y) * works
        share = pulse(t[part], beat.start_s, beat.end_s + 0.35)
        taken = np.where(weight[part] > 0, share, 1.0)
        aim_x[part] += (to_x - aim_x[part]) * taken
        aim_y[part] += (to_y - aim_y[part]) * taken
        weight[part] = np.maximum(weight[part], share)
    for number, person in enumerate(people):
        pose = acting.poses[person.name]
        eyes_y = pose.y + HEAD_V * pose.size
        # Nothing going on: the eyes rest here and there, a second and a half each.
        tick = np.floor(t / 1.6 + 0.37 * number).astype(np.int64)
        rest = ((tick * 40503 + number * 9973) >> 3) % 7
        gaze_u, gaze_v = (rest % 3 - 1) * 0.35, (rest // 3 - 1) * 0.18
        far_x, far_y = aim_x - pose.x, aim_y - eyes_y
        moving = np.clip(np.abs(pose.face) * 2, 0, 1)
        other = weight * (np.abs(far_x) > 0.03)
        gaze_u = gaze_u + (np.clip(far_x / 0.3, -1, 1) - gaze_u) * other
        gaze_v = gaze_v + (np.clip(far_y / 0.35, -1, 1) - gaze_v) * other
        for beat in beats_of(scene, person.name):
            if beat.kind in ("tell", "wish") and beat.other in acting.poses:
                listener = acting.poses[beat.other]
                part = span(t, beat.start_s, beat.end_s)
                if part.stop > part.start:
                    middle = (part.start + part.stop) // 2
                    aim = float(np.broadcast_to(listener.x, t.shape)[middle])
                    own[person.name].append((beat.start_s, beat.end_s, aim, 0.42))
            elif beat.kind == "peek":
                part = span(t, beat.start_s, beat.end_s)
                shift = np.where(weight[part] > 0, np.clip((aim_x[part] - stage.window_x) / 0.4, -1, 1), 0.0)
                gaze_u[part], gaze_v[part] = shift, 0.9
            elif beat.kind == "idle" and beat.act == "look_around":
                part = span(t, beat.start_s, beat.end_s)
                gaze_u[part] = np.sin((t[part] - beat.start_s) * 3.0)
        for start, end, x, y in own[person.name]:
            part = span(t, start, end)
            share = pulse(t[part], start, end, 0.15, 0.15)
            gaze_u[part] += (np.clip((x - pose.x[part]) / 0.2, -1, 1) - gaze_u[part]) * share
            gaze_v[part] += (np.clip((y - eyes_y[part]) / 0.25, -1, 1) - gaze_v[part]) * share
        hidden = _in_nook(scene, person, t)
        if hidden.any():
            gaze_u = np.where(hidden, stage.nook_side * 0.75, gaze_u)
            gaze_v = np.where(hidden, 0.35, gaze_v)
        pose.gaze_u = gaze_u + (np.sign(pose.face) - gaze_u) * moving * (1 - 0.6 * weight)
        pose.gaze_v = gaze_v * (1 - 0.5 * moving)
        pose.face = np.clip(pose.face + 0.75 * gaze_u * (1 - moving), -1, 1)
        period = 3.3 + 0.41 * number
        pose.blink = np.where(np.mod(t + 0.9 * number + 1.3, period) < 0.13, 1.0, 0.0)


def _in_nook(scene: Scene, person: Person, t: Array) -> NDArray[np.bool_]:
    """Where a person stands behind the screen."""
    hidden = np.full(len(t), person.place == NOOK)
    for beat in beats_of(scene, person.name):
        if beat.kind == "hide":
            hidden[int(t.searchsorted(beat.walk_end_s)) :] = True
        elif beat.kind in ("come_out", "leave", "enter"):
            hidden[int(t.searchsorted(beat.start_s)) :] = False
    return hidden
