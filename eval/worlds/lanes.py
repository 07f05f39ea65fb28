"""A scene goes in; what is true, and what each person believes about it when, comes out as lanes of a time line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from eval.worlds.scene import NOOK, OUTSIDE, ROOM, WINDOW, YARD, Beat, Scene
from roles.minds import Belief, Event, Minds

Stretch = tuple[float, float]
_JUST_AFTER_S = 1e-4
_ABSENT = {OUTSIDE: "away", WINDOW: "at the window", NOOK: "behind the screen"}
EMPTY = "empty"
"""Stands for no thing at all, where a lane shows what is in a container."""
FLOOR = "on the floor"
"""Stands for a thing that lies about."""
_ACTS: Mapping[str, str] = {
    "dance": "dances",
    "wave": "waves",
    "juggle": "juggles",
    "read": "reads",
    "drink": "drinks",
    "jump": "jumps",
    "stretch": "stretches",
    "look_around": "looks around",
    "hum": "hums",
    "water": "waters a plant",
}
_IN_WORDS: Mapping[str, str] = {
    "enter": "{person} comes in",
    "leave": "{person} leaves",
    "put": "{person} puts the {thing} into the {container}",
    "take": "{person} takes the {thing}",
    "move": "{person} moves the {thing} to the {to_container}",
    "open": "{person} opens the {container}",
    "look_away": "{person} looks away",
    "turn_back": "{person} turns back",
    "hide": "{person} goes behind the screen",
    "come_out": "{person} comes out again",
    "peek": "{person} looks in at the window",
    "spot": "{person} notices {other}",
    "tell": "{person} says: the {thing} is in the {container}",
    "wish": "{person} wants the {thing}",
}
_SHORT: Mapping[str, str] = {
    "enter": "comes in",
    "leave": "goes",
    "put": "put",
    "take": "taken",
    "move": "moved",
    "open": "opened",
    "look_away": "turns away",
    "turn_back": "turns back",
    "hide": "hides",
    "come_out": "comes out",
    "peek": "peeks",
    "spot": "notices",
    "tell": "told",
    "walk": "walks",
}


@dataclass(frozen=True, slots=True)
class Held:
    """What was held to be so for a while.

    Attributes:
        start_s: From then on.
        end_s: Until then.
        value: A container, a thing, a person who has it in hand, a place; None is no idea.
        false: Whether it is not so.
    """

    start_s: float
    end_s: float
    value: str | None
    false: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment at which a lane changes.

    Attributes:
        time_s: When.
        event: Id of the event that did it.
        text: What it was, in a word or two.
    """

    time_s: float
    event: str
    text: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of the time line.

    Attributes:
        title: What the row shows.
        person: Whose mind; None is the truth.
        held: Stretches without gaps.
        marks: Where they change.
        absent: (start, end, why) where the person is not in the room or looks away.
    """

    title: str
    person: str | None
    held: tuple[Held, ...]
    marks: tuple[Mark, ...]
    absent: tuple[tuple[float, float, str], ...] = ()


def lanes(scene: Scene, minds: Minds) -> list[Lane]:
    """What is true first, then everybody on the main stage, then what one believes that another believes."""
    contents = scene.family == "contents"
    cast = scene.cast
    what = f"in the {cast.path[0]}" if contents else cast.thing
    chains: list[tuple[str, ...]] = [()]
    chains += [(person.name,) for person in scene.people if person.place != YARD]
    if scene.family == "second_order":
        chains.append((cast.mover, cast.believer))
    return [_lane(scene, minds, chain, what, contents) for chain in chains]


def _lane(scene: Scene, minds: Minds, chain: tuple[str, ...], what: str, contents: bool) -> Lane:
    times_s = _moments(scene)
    fact, box = ("in", scene.cast.thing), scene.cast.path[0]

    def seen_full(of: tuple[str, ...], time_s: float) -> bool:
        """Whether something was thought to be inside before: then nothing in it is a thought, not ignorance."""
        return not of or any(minds.contents(*of, container=box, at_s=at_s) for at_s in times_s if at_s <= time_s)

    def value(of: tuple[str, ...], time_s: float) -> str | None:
        if contents:
            found = minds.contents(*of, container=box, at_s=time_s)
            return " + ".join(found) or (EMPTY if seen_full(of, time_s) else None)
        belief = minds.belief(*of, fact=fact, at_s=time_s) if of else minds.truth(fact, time_s)
        if belief is None or belief.value is None:
            return None
        return FLOOR if belief.value in (ROOM, YARD) else str(belief.value)

    held: list[Held] = []
    for start_s, end_s in pairwise(times_s):
        now = value(chain, start_s + _JUST_AFTER_S)
        false = bool(chain) and now is not None and now != value(chain[1:], start_s + _JUST_AFTER_S)
        if held and (held[-1].value, held[-1].false) == (now, false):
            held[-1] = Held(held[-1].start_s, end_s, now, false)
        else:
            held.append(Held(start_s, end_s, now, false))

    def source(time_s: float) -> Belief | None:
        return None if contents or not chain else minds.belief(*chain, fact=fact, at_s=time_s + _JUST_AFTER_S)

    at_s = {} if contents or not chain else {turn.time_s: turn.event for turn in minds.changes(*chain, fact=fact)}
    marks = [
        _mark(scene, chain, after.start_s, at_s.get(after.start_s), source(after.start_s))
        for before, after in pairwise(held)
        if before.value != after.value
    ]
    title = f"truth: {what}" if not chain else " thinks ".join(chain) + " thinks"
    absent = () if len(chain) != 1 else _absences(minds, chain[0], times_s)
    return Lane(title, chain[0] if chain else None, tuple(held), tuple(m for m in marks if m is not None), absent)


def _moments(scene: Scene) -> list[float]:
    found = {0.0, scene.duration_s}
    for event in scene.story.events:
        if event.place != YARD:
            found |= {event.start_s, event.end_s}
    return sorted(time_s for time_s in found if time_s <= scene.duration_s)


def _mark(scene: Scene, chain: tuple[str, ...], time_s: float, known: str | None, belief: Belief | None) -> Mark | None:
    """Names the event that is `known` to have made the change, or one that ends or begins then, her own first."""
    events = [event for event in scene.story.events if event.place != YARD]
    near = [event for event in events if event.id == known]
    near = near or [event for event in events if time_s in (event.start_s, event.end_s)]
    if not near:
        return None
    event = min(near, key=lambda one: (one.kind == "idle", one.actor not in chain[-1:], one.start_s == time_s))
    return Mark(time_s, event.id, _short(event, chain, belief))


def _short(event: Event, chain: tuple[str, ...], belief: Belief | None) -> str:
    if belief is not None and belief.source == "told":
        return f"told by {belief.teller}"
    if belief is not None and belief.source == "missed":
        return "not there!"
    if belief is not None and belief.source == "label":
        return "reads the label"
    word = _SHORT.get(event.kind, event.kind.replace("_", " "))
    if not chain or event.actor in chain[-1:]:
        return word
    return f"sees it {word}" if event.kind in ("put", "take", "move", "open") else f"{event.actor} {word}"


def _absences(minds: Minds, person: str, times_s: list[float]) -> tuple[tuple[float, float, str], ...]:
    found: list[tuple[float, float, str]] = []
    for start_s, end_s in pairwise(times_s):
        at = minds.truth(("at", person), start_s + _JUST_AFTER_S)
        turned = minds.truth(("turned", person), start_s + _JUST_AFTER_S)
        why = _ABSENT.get(str(at.value)) or ("turned away" if turned.value is True else None)
        if why is None:
            continue
        if found and found[-1][1] == start_s and found[-1][2] == why:
            found[-1] = (found[-1][0], end_s, why)
        else:
            found.append((start_s, end_s, why))
    return tuple(found)


def in_words(beat: Beat) -> str:
    """What a beat shows, as a short sentence."""
    said: Callable[[str], str] = lambda name: str(getattr(beat, name) or "thing").replace("_", " ")  # noqa: E731
    slots = {name: said(name) for name in ("person", "thing", "container", "to_container", "other")}
    text = _IN_WORDS.get(beat.kind, "{person}: " + beat.kind.replace("_", " ")).format(**slots)
    if beat.kind == "idle":
        text = f"{beat.person} {_ACTS.get(beat.act or '', 'waits')}"
    if beat.kind == "take" and beat.container:
        text += f" out of the {beat.container}"
    if beat.kind == "open":
        text += f": {' and '.join(beat.found)}" if beat.found else ": nothing"
    return text
