"""Depth: beats go in; who stands in front of whom in every frame comes out, so that whoever acts is plain to see."""

from __future__ import annotations

import numpy as np

from eval.worlds.art.tracks import BEHIND_WALL, FEET, Acting, Array, beats_of, pulse, span, stage_of
from eval.worlds.scene import Person, Scene

STEP = 0.014
"""How far nearer one comes who does something."""
_LINGER_S = 0.4
SCREEN_RANK = -0.3
"""Whoever is behind the folding screen ranks below it, all others above."""
_SCREEN_NEAR = 0.17
_RANKS = {"tell": 5.0, "open": 5.0, "move": 4.0, "put": 4.0, "take": 4.0, "wish": 3.5, "leave": 3.0, "enter": 3.0,
          "hide": 3.0, "come_out": 3.0, "look_away": 2.5, "turn_back": 2.5, "idle": 2.2}  # fmt: skip
_HANDS = ("tell", "open", "move", "put", "take", "wish")


def step_forward(scene: Scene, acting: Acting) -> None:
    """Ranks all people; one who does something comes a step nearer."""
    for person in scene.people:
        acting.ranks[person.name] = _ranks(scene, person, acting)
        pose = acting.poses[person.name]
        for beat in beats_of(scene, person.name):
            if beat.kind in _HANDS:
                part = span(acting.times_s, beat.start_s, beat.end_s + _LINGER_S)
                nearer = pulse(acting.times_s[part], beat.start_s, beat.end_s + _LINGER_S, 0.3, 0.3)
                pose.y[part] += STEP * nearer * pose.indoors[part]


def _ranks(scene: Scene, person: Person, acting: Acting) -> Array:
    """Who acts comes before who feels, she before who acted last, and all before one in the doorway."""
    t, length = acting.times_s, max(scene.duration_s, 1e-6)
    ranks = np.zeros(len(t))
    beats = [beat for beat in beats_of(scene, person.name) if beat.kind in _RANKS]
    for beat in beats:
        # Whoever did the last thing stays in front: nobody jumps forward while nothing happens.
        ranks[int(t.searchsorted(beat.start_s)) :] = min(beat.end_s / length, 1.0)
    for mood in scene.reactions:
        if mood.person == person.name:
            part = span(t, mood.start_s, mood.end_s)
            ranks[part] = np.maximum(ranks[part], 2.0 + (mood.feeling != "nod"))
    for beat in beats:
        part = span(t, beat.start_s, beat.end_s + _LINGER_S)
        ranks[part] = np.maximum(ranks[part], _RANKS[beat.kind])
    room = scene.stages[0]
    if room.screen_x is not None and stage_of(person) == room.place:
        x, walks = acting.poses[person.name].x, acting.poses[person.name].stride > 0
        passes = walks & (np.abs(x - room.screen_x) < _SCREEN_NEAR)
        ranks = np.where(passes | ((x - room.screen_x) * room.nook_side > -0.02), -0.5, ranks)
    away = (FEET - acting.poses[person.name].y) / BEHIND_WALL
    return np.where(away > 0.25, -1.0, ranks)
