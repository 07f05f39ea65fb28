"""Stories: who is there, how it begins and what happens go in as plain data; the moments when facts change come out.

The nouns of `roles.minds`, which says what follows from a story.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from roles.errors import DataError

Fact = tuple[str, ...]
"""What can be true of the world: ("in", thing), ("at", person), ("turned", person), ("open", container),
("trusts", person, other), ("wants", person). Its value is a name, True or False, or None."""
Value = str | bool | None
SPOKEN = ("wants",)
"""Kinds of facts that cannot be seen: an event that changes one is taken in by ear."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens between two times.

    Attributes:
        id: Unique within the story.
        kind: What it is called: "leave", "move", "tell" ...; only people read it.
        start_s: When it begins, in seconds.
        end_s: When it is over.
        actor: Who does it.
        place: Where it can be seen.
        onset: Facts that it makes true when it begins.
        effects: Facts that it makes true when it is over.
        says: The fact and value that the actor states, true or not, when it is over.
        addressees: To whom; empty is everybody in earshot. Others in earshot hear it as well.
        reveals: Facts whose present value the actor learns by looking when it is over, wherever she stands.
    """

    id: str
    kind: str
    start_s: float
    end_s: float
    actor: str
    place: str
    onset: tuple[tuple[Fact, Value], ...] = ()
    effects: tuple[tuple[Fact, Value], ...] = ()
    says: tuple[Fact, Value] | None = None
    addressees: tuple[str, ...] = ()
    reveals: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """Who is there, how it begins and what happens.

    Attributes:
        people: Their names.
        initial: Facts at second 0. Whoever can see them then knows them; everybody knows where she is herself.
        events: What happens; ties in time are settled by their order here.
        sight: For each place, the places that can be seen from it (itself only if it is listed). A place without an
            entry sees itself alone.
        earshot: For each place, the places from which one hears what is said there; without an entry, itself alone.
        containers: For each container, the place where it stands. Things may also be "in" a person (held: everybody who
            sees the person sees it) or in a place (lying about openly there).
        glass: Containers that can be seen into when they are closed.
        labels: Containers with a picture of a thing on them: whoever sees one and knows nothing of that thing's
            whereabouts or of that container's contents assumes it to be inside.
        common: Facts that everybody knows from the start, and knows that everybody knows.
    """

    people: tuple[str, ...]
    initial: Mapping[Fact, Value]
    events: tuple[Event, ...]
    sight: Mapping[str, frozenset[str]]
    earshot: Mapping[str, frozenset[str]]
    containers: Mapping[str, str] = field(default_factory=dict)
    glass: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    common: Mapping[Fact, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Belief:
    """What someone takes to be so.

    Attributes:
        value: The value; None where the person knows that she does not know (a thing was gone from its place).
        since_s: When it took this value in her mind.
        source: "saw", "told", "label" or "missed" (looked where it should be, and it was not there).
        teller: Who told it; None unless `source` is "told".
        why: Ids of the events that it rests on: those that made it so, and those that decided what she perceived.
    """

    value: Value
    since_s: float
    source: str
    teller: str | None = None
    why: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """A turn in someone's belief about one fact.

    Attributes:
        time_s: When.
        event: Id of the event at which it came.
        before: The belief until then; None where she had none.
        after: The belief from then on.
        was_true: Whether the belief before was true just before the event.
        is_true: Whether the belief after is true.
    """

    time_s: float
    event: str
    before: Belief | None
    after: Belief | None
    was_true: bool
    is_true: bool


Key = tuple[float, int, int]
"""A place in the order of time: seconds, number of the event in the story, 0 for its beginning and 1 for its end."""


class Moment(NamedTuple):
    """One end of an event, where facts change.

    Attributes:
        key: When it is.
        event: The event.
        facts: What it makes true then.
        says: What is said by then.
        reveals: What the actor finds by looking.
        is_end: Whether the event is over.
        voiced: Whether there is something to hear in it.
    """

    key: Key
    event: Event
    facts: tuple[tuple[Fact, Value], ...]
    says: tuple[Fact, Value] | None
    reveals: tuple[Fact, ...]
    is_end: bool
    voiced: bool


def is_voiced(event: Event) -> bool:
    """Tell whether there is something to hear: words, or a wish."""
    return event.says is not None or any(fact[0] in SPOKEN for fact, _ in event.onset + event.effects)


def is_shown(event: Event) -> bool:
    """Tell whether there is something to see: any event that is not words or a wish alone."""
    return (
        not is_voiced(event)
        or bool(event.reveals)
        or any(fact[0] not in SPOKEN for fact, _ in event.onset + event.effects)
    )


def moments_of(story: Story) -> list[Moment]:
    """Put the beginnings (where they change something) and the ends of all events in order of time."""
    moments = []
    for number, event in enumerate(story.events):
        voiced = is_voiced(event)
        if event.onset:
            moments.append(Moment((event.start_s, number, 0), event, event.onset, None, (), False, voiced))
        moments.append(Moment((event.end_s, number, 1), event, event.effects, event.says, event.reveals, True, voiced))
    moments.sort(key=lambda moment: moment.key)
    return moments


def only(story: Story, ids: Iterable[str]) -> Story:
    """Return the story with these of its events, at their times."""
    kept = frozenset(ids)
    return replace(story, events=tuple(event for event in story.events if event.id in kept))


def without(story: Story, ids: Iterable[str]) -> Story:
    """Return the story without these of its events; the others keep their times."""
    gone = frozenset(ids)
    return replace(story, events=tuple(event for event in story.events if event.id not in gone))


def plain_chain(chain: Iterable[str]) -> tuple[str, ...]:
    """Return the chain with repetitions taken out: what Anne thinks that Anne believes is what Anne believes."""
    plain: list[str] = []
    for person in chain:
        if not plain or plain[-1] != person:
            plain.append(person)
    return tuple(plain)


def check_story(story: Story) -> None:
    """Refuse a story that cannot be.

    Args:
        story: The story.

    Raises:
        DataError: Two events have one name, an actor is not in the story, or an event ends before it begins.
    """
    seen: set[str] = set()
    for event in story.events:
        if event.id in seen:
            raise DataError(f"two events of the story are called {event.id!r}; give each an id of its own")
        seen.add(event.id)
        if event.actor not in story.people:
            raise DataError(
                f"event {event.id!r} ({event.kind}): {event.actor!r} is not in the story; its people are "
                f"{', '.join(story.people)}"
            )
        if not 0 <= event.start_s <= event.end_s < math.inf:
            raise DataError(
                f"event {event.id!r} ({event.kind}): from {event.start_s} to {event.end_s} s is no time: it must "
                "begin at 0 or later, and end after that"
            )
        for fact in (*(fact for fact, _ in (*event.onset, *event.effects)), *event.reveals, *(event.says or ())[:1]):
            _check_fact(fact, f"event {event.id!r} ({event.kind})")
    for fact in (*story.initial, *story.common):
        _check_fact(fact, "the story's beginning")


def _check_fact(fact: object, where: str) -> None:
    if not isinstance(fact, tuple) or len(fact) < 2:
        raise DataError(f'{where}: {fact!r} is no fact; a fact is a kind and what it is about, as ("in", "ball")')
