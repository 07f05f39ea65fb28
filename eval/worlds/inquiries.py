"""A scene and its minds go in; what all questions about it need comes out: places, evidence, chance by set."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from eval.worlds.draw import dice
from eval.worlds.scene import NOOK, ROOM, WINDOW, YARD, Scene
from eval.worlds.voice import Named
from roles.minds import Event, Fact, Minds, without
from roles.types import Span

Solve = Callable[[Minds], object]
"""Works an answer out from minds; the ones below can be sent to other processes."""
GROUNDS = 4
"""How many times evidence is widened by what gives the same answer without it."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the last of the chain believes of a fact, at some time or in the end; what is so, for an empty chain."""

    chain: tuple[str, ...]
    fact: Fact
    at_s: float | None = None

    def __call__(self, minds: Minds) -> object:
        """Works it out."""
        belief = minds.belief(*self.chain, fact=self.fact, at_s=self.at_s)
        return None if belief is None else belief.value


@dataclass(frozen=True, slots=True)
class Inside:
    """What the last of the chain believes to be in a container; what is in it, for an empty chain."""

    chain: tuple[str, ...]
    container: str

    def __call__(self, minds: Minds) -> object:
        """Works it out."""
        return minds.contents(*self.chain, container=self.container)


@dataclass(frozen=True, slots=True)
class Honest:
    """What kind of statement was made; None where it was not made."""

    event: str

    def __call__(self, minds: Minds) -> object:
        """Works it out."""
        return minds.honesty(self.event) if minds.happened(self.event) else None


@dataclass(frozen=True, slots=True)
class Together:
    """Several answers at once."""

    parts: tuple[Solve, ...]

    def __call__(self, minds: Minds) -> object:
        """Works it out."""
        return tuple(part(minds) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One thing to ask, before it is put into words.

    Attributes:
        type: Type of the question.
        variant: Which sort of it; empty where there is one only.
        slots: What the wording's slots stand for.
        options: In an order that does not depend on the film; empty for moments.
        right: The right one; None for moments.
        events: The evidence: events that entail the answer, none too many, in order of time.
        moment: The span where it is not that of the events.
        order: How deep the minds are nested that it takes.
        truth: Whether the belief asked about is true; None where no belief is asked about.
        solve: Works the answer out again from (other) minds, to check evidence; None where no mind is asked.
        fixed: Whether the options keep their order.
    """

    type: str
    variant: str
    slots: dict[str, Named]
    options: tuple[Named, ...] = ()
    right: Named | None = None
    events: tuple[str, ...] = ()
    moment: Span | None = None
    order: int = 0
    truth: bool | None = None
    solve: Solve | None = None
    fixed: bool = False


@dataclass
class Asker:
    """A scene with its minds, and what all inquiries need of them."""

    scene: Scene
    minds: Minds
    _kept: dict[object, tuple[str, ...]] = field(default_factory=dict)

    def dice(self, purpose: str) -> random.Random:
        """Chance that is the same for all films of the set."""
        return dice(self.scene.seed, "questions", purpose)

    @cached_property
    def where(self) -> Fact:
        """Where the thing is."""
        return ("in", self.scene.cast.thing)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The main stage's events by their ends."""
        return tuple(
            sorted((e for e in self.scene.story.events if e.place != YARD), key=lambda event: (event.end_s, event.id))
        )

    @cached_property
    def reality(self) -> str | None:
        """Where the thing is in the end, if it is in a container."""
        value = self.minds.truth(self.where).value
        return str(value) if value in self.boxes else None

    @cached_property
    def boxes(self) -> frozenset[str]:
        """Names of the containers."""
        return frozenset(container.name for container in self.scene.containers)

    @cached_property
    def laid(self) -> tuple[Event, ...]:
        """The events that lay the thing into a container."""
        return tuple(e for e in self.events if any(f == self.where and v in self.boxes for f, v in e.effects))

    @cached_property
    def seen_people(self) -> tuple[str, ...]:
        """Who can be seen on the main stage at some time, in the scene's order."""
        shown = {
            name
            for name in (person.name for person in self.scene.people)
            if self.scene.story.initial.get(("at", name)) in (ROOM, NOOK, WINDOW)
        }
        for event in self.scene.story.events:
            for fact, value in (*event.onset, *event.effects):
                if fact[0] == "at" and value in (ROOM, NOOK, WINDOW):
                    shown.add(fact[1])
        return tuple(person.name for person in self.scene.people if person.name in shown)

    def held(self, *chain: str) -> str | None:
        """The container in which the last of the chain believes the thing."""
        belief = self.minds.belief(*chain, fact=self.where)
        return str(belief.value) if belief is not None and belief.value in self.boxes else None

    def evidence(self, *chain: str, fact: Fact | None = None) -> tuple[str, ...]:
        """Events that entail what the last of the chain believes; what is so, for an empty chain."""
        wanted = self.where if fact is None else fact
        key = (chain, wanted)
        if key not in self._kept:
            self._kept[key] = self._all_grounds(
                self.minds.evidence(*chain, fact=wanted), self.value(*chain, fact=wanted)
            )
        return self._kept[key]

    def evidence_of(self, name: object, solve: Solve, start: Iterable[str]) -> tuple[str, ...]:
        """Events that entail any other answer; equal names are one question."""
        if name not in self._kept:
            self._kept[name] = self._all_grounds(self.minds.evidence_of(solve, sorted(set(start))), solve)
        return self._kept[name]

    def _all_grounds(self, events: tuple[str, ...], solve: Solve) -> tuple[str, ...]:
        """A minimal set of events, and further ones where the rest of the film gives the same answer without it.

        Whoever enters twice sees the picture on the box twice: only with both moments cut out is the answer gone.
        """
        answer, story = solve(self.minds), self.scene.story
        found = set(events)
        for _ in range(GROUNDS):
            rest = Minds(without(story, found))
            if not found or solve(rest) != answer:
                break
            more = rest.evidence_of(solve)
            if not more:
                break
            found.update(more)
        return tuple(event.id for event in sorted(story.events, key=lambda e: (e.end_s, e.id)) if event.id in found)

    def value(self, *chain: str, fact: Fact | None = None) -> Solve:
        """Works out what the last of the chain believes of the thing's place, or of another fact; else what is so."""
        return Held(chain, self.where if fact is None else fact)

    def knowing(self, *people: str) -> tuple[tuple[str, ...], Solve]:
        """Evidence of who knows where the thing is: what entails both where it is and where each one believes it.

        The bare yes or no would often be entailed by nothing: who sees nothing and misses nothing is not wrong.
        """
        start = {event for person in people for event in self.evidence(person)} | set(self.evidence())
        solve = Together((self.value(), *(self.value(person) for person in people)))
        return self.evidence_of(("knows", people), solve, start), solve
