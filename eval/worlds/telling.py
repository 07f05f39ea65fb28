"""A scene and its lanes go in; the times at which single frames tell its story best come out, each with a caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from eval.worlds.lanes import Lane, in_words
from eval.worlds.scene import OUTSIDE, WINDOW, YARD, Beat, Scene
from roles.types import Span

_WAY = (0.5, 0.35, 0.65, 0.2, 0.8)
"""Shares of the way on which one who carries something may be shown, the best first."""
_ROOMY = 0.16
"""So far from her nobody is covered."""


def moments(scene: Scene, rows: list[Lane], count: int, evidence: Sequence[Span] = ()) -> list[tuple[float, str]]:
    """The moments that tell the story: (seconds, what is seen), in order of time.

    Args:
        scene: The film.
        rows: Its lanes: moments at which one changes weigh more.
        count: How many.
        evidence: Spans in which beats weigh more as well.
    """
    changing = {mark.event for row in rows for mark in row.marks}
    weighed = sorted(
        (
            -_weight(scene, beat, beat.event in changing, _inside(scene, beat, evidence)),
            _peak(scene, beat),
            in_words(beat),
        )
        for beat in scene.beats
        if _seen(scene, _peak(scene, beat)) == _place(scene, beat)
    )
    apart_s = min(1.2, scene.duration_s / (3 * count))
    last_s = max(0.0, scene.duration_s - 0.25)
    chosen: list[tuple[float, str]] = [(0.0, "it begins"), (last_s, "it ends")][: max(1, min(count, 2))]
    for _, time_s, words in weighed:
        if len(chosen) >= count:
            break
        if all(abs(time_s - other_s) >= apart_s for other_s, _ in chosen):
            chosen.append((time_s, words))
    while len(chosen) < count:  # fewer beats than frames: the middles of the longest pauses
        times_s = sorted(time_s for time_s, _ in chosen)
        before_s, after_s = max(pairwise(times_s), key=lambda pair: pair[1] - pair[0])
        middle_s = (before_s + after_s) / 2
        chosen.append((middle_s, _meanwhile(scene, middle_s)))
    return sorted(chosen)


def _meanwhile(scene: Scene, time_s: float) -> str:
    """What goes on at a time that no beat was chosen for."""
    place = _seen(scene, time_s)
    for beat in reversed(scene.beats):
        if beat.start_s <= time_s < beat.end_s and beat.kind != "idle" and _place(scene, beat) == place:
            return in_words(beat)
    return "elsewhere" if place == YARD else "a moment later"


def _weight(scene: Scene, beat: Beat, changes: bool, tells: bool) -> float:
    base = {"idle": 0.0, "wish": 1.0, "take": 2.0, "enter": 2.0, "turn_back": 2.0, "come_out": 2.0}.get(beat.kind, 3.0)
    parts = (scene.cast.believer, scene.cast.mover, scene.cast.witness)
    if beat.kind == "idle" or _place(scene, beat) == YARD:
        return base - 3
    # What sets this kind apart must be on the sheet: who notices, who tells, and that the believer goes.
    telling = beat.kind in ("spot", "tell")
    goes = beat.person == scene.cast.believer and beat.kind in ("leave", "look_away", "hide")
    base += 3 * (telling or goes) * (beat.person in parts)
    return base + 2 * (beat.person in parts) + 2 * (beat.thing == scene.cast.thing) + 3 * changes + 5 * tells


def _inside(scene: Scene, beat: Beat, spans: Sequence[Span]) -> bool:
    return any(span.start_s <= _peak(scene, beat) <= span.end_s for span in spans)


def _peak(scene: Scene, beat: Beat) -> float:
    """When a beat shows best what it is."""
    if beat.kind == "move" and beat.carry_end_s > beat.take_end_s:
        # On the way, where she passes nobody: who watches is to be seen.
        share = max(_WAY, key=lambda part: min(_ROOMY, _room_about(scene, beat, part)))
        return round(beat.take_end_s + share * (beat.carry_end_s - beat.take_end_s), 3)
    share = {"leave": 0.55, "look_away": 0.95, "turn_back": 0.9, "hide": 0.95}.get(beat.kind, 0.6)
    start_s = beat.walk_end_s if beat.kind in ("put", "take", "open") else beat.start_s
    return round(start_s + share * (beat.end_s - start_s), 3)


def _room_about(scene: Scene, beat: Beat, share: float) -> float:
    """How far the next person stands from one who has carried a thing that share of the way."""
    at_s = beat.take_end_s + share * (beat.carry_end_s - beat.take_end_s)
    x = beat.x_to + share * (beat.to_x - beat.x_to)
    here = next(one.place == YARD for one in scene.people if one.name == beat.person)
    stands = {one.name: one.x for one in scene.people if (one.place == YARD) == here}
    for one in scene.people:
        if one.place in (OUTSIDE, WINDOW):
            stands.pop(one.name, None)
    for other in scene.beats:  # by start
        if other.start_s > at_s:
            break
        if other.kind in ("leave", "peek"):
            stands.pop(other.person, None)
        elif other.person in stands or other.kind == "enter":
            stands[other.person] = other.to_x if other.kind == "move" else other.x_to
    return min((abs(at - x) for name, at in stands.items() if name != beat.person), default=math.inf)


def _seen(scene: Scene, time_s: float) -> str:
    """The stage that is in the picture."""
    return next((shot.place for shot in scene.shots if shot.start_s <= time_s < shot.end_s), scene.stages[0].place)


def _place(scene: Scene, beat: Beat) -> str:
    person = next(one for one in scene.people if one.name == beat.person)
    return YARD if person.place == YARD else scene.stages[0].place
