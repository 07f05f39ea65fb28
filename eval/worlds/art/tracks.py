"""Tracks: what acting fills in for every frame, and the ramps and looks-up by time that it is made with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eval.worlds.art.pen import Num
from eval.worlds.art.people import Pose
from eval.worlds.compiler import compiled
from eval.worlds.scene import ROOM, YARD, Beat, Person, Scene, Stage

Array = NDArray[np.float64]

FEET = 0.8
BEHIND_WALL = 0.105
"""How much higher in the picture, and `SHRINK` smaller, one stands just behind the back wall."""
SHRINK = 0.15
BASE = 0.922
"""Where the containers stand."""
SILL = 0.275
"""Lower edge of the window."""
PEEK_Y = 0.482
"""Feet of one who looks in at the window, and her size there."""
PEEK_SIZE = 0.8
RADIUS = 0.072
"""Of a thing."""
HOLD = (0.1, -0.168)
"""Where a held thing is, in the holder's units; the second hand's is mirrored."""
REACH = 0.24


@dataclass(slots=True)
class ThingTrack:
    """Where a thing is drawn.

    Attributes:
        x: Its middle.
        y: Its middle.
        size: Its radius.
        tilt: How it is turned.
        held: 1 where it is drawn before the people (in a hand, in the air, on the floor).
        inside: For containers it is ever drawn in: 1 where it is drawn between their back and their front.
    """

    x: Array
    y: Array
    size: Array
    tilt: Array
    held: Array
    inside: dict[str, Array] = field(default_factory=dict)


@dataclass(slots=True)
class Acting:
    """Everything that moves.

    Attributes:
        times_s: The frames' times, ascending.
        poses: By person.
        peeks: By person: how far she has risen at the window, 0 to 1.
        tags: By person: opacity of the name tag.
        ranks: By person: who has more stands in front of who has less.
        things: By thing.
        opening: By container: 0 shut, 1 open.
        empty: By container: how far a look into it has come that found nothing, 0 to 1; 0 is none.
    """

    times_s: Array
    poses: dict[str, Pose] = field(default_factory=dict)
    peeks: dict[str, Array] = field(default_factory=dict)
    tags: dict[str, Array] = field(default_factory=dict)
    ranks: dict[str, Array] = field(default_factory=dict)
    things: dict[str, ThingTrack] = field(default_factory=dict)
    opening: dict[str, Array] = field(default_factory=dict)
    empty: dict[str, Array] = field(default_factory=dict)


def ramp(t: Array, start: float, end: float) -> Array:
    """0 before `start`, 1 after `end`, smooth between."""
    return _ramp(t, float(start), float(end))


def pulse(t: Array, start: float, end: float, rise_s: float = 0.25, fall_s: float = 0.25) -> Array:
    """Rises after `start`, has fallen at `end`."""
    short = max(1e-3, (end - start) / 2)
    return _pulse(t, float(start), float(start + min(rise_s, short)), float(end - min(fall_s, short)), float(end))


@compiled
def _part(t: float, start: float, end: float) -> float:
    part = min(max((t - start) / max(end - start, 1e-6), 0.0), 1.0)
    return part * part * (3 - 2 * part)


@compiled
def _ramp(t: Array, start: float, end: float) -> Array:
    result = np.empty(len(t))
    for i in range(len(t)):
        result[i] = _part(t[i], start, end)
    return result


@compiled
def _pulse(t: Array, start: float, risen: float, falls: float, end: float) -> Array:
    result = np.empty(len(t))
    for i in range(len(t)):
        result[i] = _part(t[i], start, risen) * (1 - _part(t[i], falls, end))
    return result


def side_of(stage: Stage) -> float:
    """Which way a stage goes: 1, or -1 on its mirror image."""
    return 1.0 if stage.door_x < stage.window_x else -1.0


def stage_of(person: Person) -> str:
    """The place whose stage a person belongs to."""
    return YARD if person.place == YARD else ROOM


def span(times: Array, start: float, end: float) -> slice:
    """The frames from one time to another."""
    return slice(int(times.searchsorted(start)), int(times.searchsorted(end, side="right")))


def beats_of(scene: Scene, name: str) -> list[Beat]:
    """A person's beats by their start."""
    return sorted((beat for beat in scene.beats if beat.person == name), key=lambda beat: beat.start_s)


def spots(scene: Scene) -> dict[str, float]:
    """Where the containers stand."""
    return {item.name: item.x for item in scene.containers}


def there(value: Num, seen: Num) -> Num:
    """Opacity on this stage, or None where it is 0 all the time."""
    shown = np.asarray(value) * seen
    return shown if np.any(shown) else None
