"""Minds: a story's events go in, what each person believes, and what she believes others believe, comes out.

An event calculus in plain Python. A story is a list of timed events that change facts. Everybody keeps an own picture
of the facts, which changes only by what that person perceives or is told; what Anne thinks that Sally believes is the
same rule once more, applied inside Anne's picture. Beliefs carry the events they rest on.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from roles.errors import DataError
from roles.perception import Perception, StagePerception
from roles.pictures import Calculus, Picture, Step
from roles.story import (
    Belief,
    Change,
    Event,
    Fact,
    Key,
    Moment,
    Story,
    Value,
    check_story,
    is_shown,
    is_voiced,
    moments_of,
    only,
    plain_chain,
    without,
)

__all__ = [
    "Belief",
    "Change",
    "Event",
    "Fact",
    "Minds",
    "Perception",
    "StagePerception",
    "Story",
    "Value",
    "only",
    "without",
]

END: Key = (math.inf, 0, 0)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a picture said of a fact from a moment on."""

    key: Key
    belief: Belief
    event: str


@dataclass(frozen=True, slots=True)
class _Record:
    """A picture over the whole story: at the start, after each moment, and fact by fact."""

    opening: Picture
    steps: list[Step]
    entries: dict[Fact, list[_Entry]]


class Minds:
    """Who believes what, when and why, in one story.

    People are named from the outside in: `belief("Anne", "Sally", fact=f)` is what Anne thinks that Sally believes.
    Any depth goes; only what is asked for is worked out. Answers count what happened up to and at `at_s`; None is the
    end.

    Args:
        story: The story.
        perception: The rules of perception.

    Raises:
        DataError: The story cannot be: two events of one name, an actor whom it does not list, an end before a start.
    """

    def __init__(self, story: Story, perception: Perception | None = None) -> None:
        check_story(story)
        self._story = story
        self.perception: Perception = StagePerception() if perception is None else perception
        self._calculus = Calculus(story, self.perception)
        self._moments: list[Moment] | None = None
        self._records: dict[tuple[str, ...], _Record] = {}
        self._evidence: dict[object, tuple[str, ...]] = {}
        self.courses: dict[object, Any] = {}
        """What `roles.branches` keeps between questions."""

    @property
    def story(self) -> Story:
        """The story."""
        return self._story

    @property
    def end_s(self) -> float:
        """When the last event is over."""
        return max((event.end_s for event in self._story.events), default=0.0)

    def truth(self, fact: Fact, at_s: float | None = None) -> Belief:
        """Return what is so; the value of a fact that the story says nothing of is None."""
        found = self._look_up((), fact, _key(at_s))
        return Belief(None, 0.0, "saw") if found is None else found

    def belief(self, *chain: str, fact: Fact, at_s: float | None = None) -> Belief | None:
        """Return what the last of the chain believes, as the ones before see it; None where she has no idea."""
        return self._look_up(chain, fact, _key(at_s))

    def contents(self, *chain: str, container: str, at_s: float | None = None) -> tuple[str, ...]:
        """Return the things that are believed to be in the container, by name; those that are, for an empty chain."""
        found = []
        for fact in self._places():
            belief = self._look_up(chain, fact, _key(at_s))
            if belief is not None and belief.value == container:
                found.append(fact[1])
        return tuple(sorted(found))

    def knows(self, *chain: str, fact: Fact, at_s: float | None = None) -> bool:
        """Tell whether the last of the chain is right about the fact, in the picture of the one before."""
        believed = self._look_up(chain, fact, _key(at_s))
        so = self._look_up(self._above(chain), fact, _key(at_s))
        return _agree(believed, so)

    def changes(self, *chain: str, fact: Fact) -> tuple[Change, ...]:
        """Return the turns that the belief takes, in order of time; truth is that of the picture of the one before."""
        chain = self._read_as(chain, fact)
        above = self._read_as(self._above(chain), fact)
        turns = []
        before = self._look_up(chain, fact, _START)
        for entry in self._record(chain).entries.get(fact, []):
            if entry.key <= _START or (before is not None and before.value == entry.belief.value):
                before = entry.belief
                continue
            was_true = _agree(before, self._look_up(above, fact, entry.key))
            is_true = _agree(entry.belief, self._look_up(above, fact, _after(entry.key)))
            turns.append(Change(entry.key[0], entry.event, before, entry.belief, was_true, is_true))
            before = entry.belief
        return tuple(turns)

    def false_spans(self, person: str, fact: Fact) -> tuple[tuple[float, float], ...]:
        """Return when she held something false: half open, in seconds; the last may reach up to the story's end."""
        keys = {_START}
        for chain in (self._read_as((), fact), self._read_as((person,), fact)):
            keys.update(_after(entry.key) for entry in self._record(chain).entries.get(fact, []))
        spans: list[tuple[float, float]] = []
        start_s: float | None = None
        for key in sorted(keys):
            believed, so = self._look_up((person,), fact, key), self._look_up((), fact, key)
            is_false = believed is not None and believed.value is not None and not _agree(believed, so)
            now_s = max(key[0], 0.0)
            if is_false and start_s is None:
                start_s = now_s
            elif not is_false and start_s is not None:
                if now_s > start_s:
                    spans.append((start_s, now_s))
                start_s = None
        if start_s is not None:
            spans.append((start_s, max(self.end_s, start_s)))
        return tuple(spans)

    def honesty(self, event_id: str) -> str:
        """Tell what kind of statement an event is.

        Returns:
            "truth": the speaker believes it, and it is so; "mistake": she believes it, and it is not so; "lie": she
            does not believe it.

        Raises:
            DataError: There is no such event, or nothing is said in it.
        """
        number, event = self._event(event_id)
        if event.says is None:
            raise DataError(f"event {event_id!r} ({event.kind}): nothing is said in it")
        fact, value = event.says
        just_before: Key = (event.end_s, number, 1)
        believed = self._look_up((event.actor,), fact, just_before)
        if believed is None or believed.value != value:
            return "lie"
        return "truth" if _agree(believed, self._look_up((), fact, just_before)) else "mistake"

    def happened(self, event_id: str) -> bool:
        """Tell whether the story has this event."""
        return any(event.id == event_id for event in self._story.events)

    def perceived(self, *chain: str) -> tuple[str, ...]:
        """Return the events that reached the last of the chain, by their ends: seen, or heard if they are words."""
        record = self._record(self._known(chain))
        reached = []
        for moment, step in zip(self._timeline(), record.steps, strict=True):
            event = moment.event
            if moment.is_end and ((step.seen and is_shown(event)) or (step.heard and is_voiced(event))):
                reached.append(event.id)
        return tuple(reached)

    def evidence(self, *chain: str, fact: Fact, at_s: float | None = None) -> tuple[str, ...]:
        """Return a minimal set of events that entail what is believed, in order of time; see `evidence_of`."""

        def ask(minds: Minds) -> object:
            found = minds.belief(*chain, fact=fact, at_s=at_s)
            return None if found is None else (found.value,)

        key = (chain, fact, at_s)
        if key not in self._evidence:
            found = self.belief(*chain, fact=fact, at_s=at_s)
            self._evidence[key] = self.evidence_of(ask, () if found is None else found.why)
        return self._evidence[key]

    def evidence_of(self, question: Callable[[Minds], object], start: Iterable[str] = ()) -> tuple[str, ...]:
        """Return a minimal set of events that entail the answer to a question.

        With these events and any of the others, or none, at their times, the answer is the same; without any one of
        them there is a choice of others with which it is not.

        Args:
            question: Asks minds something and returns an answer that can be compared. It may use the values, sources
                and tellers of beliefs; questions about times, reasons and changes are answered as well, but slowly.
            start: Ids to keep rather than others, where there is a choice.

        Returns:
            Ids in order of time.
        """
        from roles.evidence import smallest

        return smallest(self, question, start)

    def _look_up(self, chain: Iterable[str], fact: Fact, key: Key) -> Belief | None:
        """Return what the picture said of the fact just before `key`; all questions come down to this."""
        entries = self._record(self._read_as(chain, fact)).entries.get(fact)
        if not entries:
            return None
        place = bisect_left(entries, key, key=lambda entry: entry.key)
        return entries[place - 1].belief if place else None

    def _event(self, event_id: str) -> tuple[int, Event]:
        for number, event in enumerate(self._story.events):
            if event.id == event_id:
                return number, event
        names = ", ".join(event.id for event in self._story.events)
        raise DataError(f"the story has no event {event_id!r}; its events are {names}")

    def _known(self, chain: Iterable[str]) -> tuple[str, ...]:
        chain = plain_chain(chain)
        for person in chain:
            if person not in self._story.people:
                raise DataError(f"{person!r} is not in the story; its people are {', '.join(self._story.people)}")
        return chain

    def _read_as(self, chain: Iterable[str], fact: Fact) -> tuple[str, ...]:
        """Return whose picture holds the answer: what Sally trusts is kept in Sally's, as the ones before see it."""
        chain = self._known(chain)
        if fact[0] == "trusts" and fact[1] in self._story.people:
            return plain_chain((*chain, fact[1]))
        return chain

    def _above(self, chain: Iterable[str]) -> tuple[str, ...]:
        chain = self._known(chain)
        if not chain:
            raise DataError("name at least one person whose belief is meant")
        return chain[:-1]

    def _places(self) -> list[Fact]:
        """Every ("in", thing) that the story speaks of."""
        found = {fact for fact in (*self._story.initial, *self._story.common) if fact[0] == "in"}
        found.update(("in", thing) for thing in self._story.labels.values())
        for event in self._story.events:
            for fact, _ in (*event.onset, *event.effects, *((event.says,) if event.says else ())):
                if fact[0] == "in":
                    found.add(fact)
        return sorted(found)

    def _timeline(self) -> list[Moment]:
        if self._moments is None:
            self._moments = moments_of(self._story)
        return self._moments

    def _record(self, chain: tuple[str, ...]) -> _Record:
        """Work out a picture over the whole story, inside that of the ones before."""
        record = self._records.get(chain)
        if record is None:
            record = self._follow(chain)
            self._records[chain] = record
        return record

    def _follow(self, chain: tuple[str, ...]) -> _Record:
        calculus = self._calculus
        steps: list[Step] = []
        if not chain:
            picture = opening = calculus.opening_truth()
            for moment in self._timeline():
                steps.append(calculus.truth(picture, moment))
                picture = steps[-1].picture
        else:
            above = self._record(chain[:-1])
            holder = chain[-2] if len(chain) > 1 else None
            before = above.opening
            picture = opening = calculus.opening(chain[-1], before)
            for moment, theirs in zip(self._timeline(), above.steps, strict=True):
                steps.append(calculus.step(chain[-1], picture, moment, before, theirs, holder))
                picture, before = steps[-1].picture, theirs.picture
        entries = {fact: [_Entry(_OPENING, _believe(opening, fact), "")] for fact in opening.values}
        for moment, step in zip(self._timeline(), steps, strict=True):
            for fact in step.touched:
                belief = _believe(step.picture, fact)
                known = entries.setdefault(fact, [])
                if not known or known[-1].belief != belief:
                    known.append(_Entry(moment.key, belief, moment.event.id))
        return _Record(opening, steps, entries)


_OPENING: Key = (-math.inf, 0, 0)
_START: Key = (-math.inf, 0, 1)


def _key(at_s: float | None) -> Key:
    return END if at_s is None else (max(at_s, -1.0), 1 << 60, 0)


def _after(key: Key) -> Key:
    return (key[0], key[1], key[2] + 1)


def _agree(believed: Belief | None, so: Belief | None) -> bool:
    return believed is not None and believed.value is not None and so is not None and believed.value == so.value


def _believe(picture: Picture, fact: Fact) -> Belief:
    note = picture.notes[fact]
    return Belief(picture.values[fact], note.since_s, note.source, note.teller, note.why)
