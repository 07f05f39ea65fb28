"""Branches: a story and what is to be known of it go in; whether that holds whatever else is left out comes out.

A story is followed once with every state that it can be in when some events are sure and the others may have happened
or not; states that are the same are followed once. A state keeps only the facts that can bear on what is asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from roles.perception import Perception
from roles.pictures import Calculus, Picture, Step
from roles.story import Fact, Key, Moment, Story, Value, moments_of

MAX_STATES = 100_000
"""After so many states the search ends: the evidence found still entails the answer, but may not be minimal."""

Lookup = tuple[Key, tuple[str, ...], Fact]
"""Just before which moment, in whose picture, which fact."""
HAPPENED = "happened"
"""("happened", event) is the fact that the story has the event; asked for at `LAST`."""
LAST: Key = (-1.0, 0, 0)


class NeedsHistoryError(Exception):
    """The question asks for more than what was believed at certain times."""


@dataclass(frozen=True, slots=True)
class Held:
    """A belief without its times and reasons."""

    value: Value
    source: str
    teller: str | None

    @property
    def since_s(self) -> float:
        """No state holds times."""
        raise NeedsHistoryError

    @property
    def why(self) -> frozenset[str]:
        """No state holds reasons."""
        raise NeedsHistoryError


YES = Held(True, "saw", None)
_State = tuple[int, tuple[int, ...], frozenset[str], tuple["Held | None", ...], frozenset[str]]


# A moment, a chain, the number of its picture before, and the same of the chain that it is made inside of.
_StepKey = tuple[int, tuple[str, ...], int, Any]


class Branches:
    """All worlds that are left when some events are sure and the others may have happened or not.

    Args:
        story: The whole story.
        perception: The rules of perception.
        lookups: What is to be known of each world.
        judge: Tells from it whether a world is as expected.
        shared: Kept between questions about one story: what is worked out for one serves the next; None shares nothing.

    Attributes:
        ids: The events that can bear on it.
    """

    def __init__(
        self,
        story: Story,
        perception: Perception,
        lookups: list[Lookup],
        judge: Callable[[dict[Lookup, Held | None]], bool],
        shared: dict[object, Any] | None = None,
    ) -> None:
        self._judge = judge
        self._asked_after = frozenset(fact[1] for _, _, fact in lookups if fact[0] == HAPPENED)
        self._lookups = sorted((lookup for lookup in lookups if lookup[2][0] != HAPPENED), key=lambda lookup: lookup[0])
        prefixes = {chain[:length] for _, chain, _ in lookups for length in range(len(chain) + 1)} | {()}
        self._chains = sorted(prefixes, key=lambda chain: (len(chain), chain))
        facts = _bearing(story, self._lookups) if getattr(perception, "local", False) else None
        last = max((lookup[0] for lookup in self._lookups), default=LAST)
        key = (facts, last, self._asked_after, tuple(self._chains))
        course = None if shared is None else shared.get(key)
        if course is None:
            course = _Course(story, perception, facts, last, self._asked_after, self._chains)
            if shared is not None:
                shared[key] = course
        self._course = course
        self.ids = course.ids
        keys = [moment.key for moment in course.moments]
        self._due: list[list[tuple[int, Fact]]] = [[] for _ in range(len(keys) + 1)]
        for before, chain, fact in self._lookups:
            self._due[bisect_left(keys, before)].append((course.place[chain], fact))
        self._verdicts: dict[object, bool] = {}
        self._count = 0

    def entails(self, kept: frozenset[str]) -> bool:
        """Tell whether all worlds in which the events `kept` happen are as expected."""
        course = self._course
        moments, firsts, lasts, pictured = course.moments, course.firsts, course.lasts, course.pictures
        start: _State = (0, course.opening, frozenset(), (), frozenset())
        stack, seen = [start], {start}
        while stack:
            self._count += 1
            if self._count > MAX_STATES:
                return False
            number, pictures, begun, answers, happened = stack.pop()
            for place, fact in self._due[number]:
                answers = (*answers, _read(pictured[pictures[place]], fact))
            if number == len(moments):
                if not self._is_expected(answers, happened):
                    return False
                continue
            event_id = moments[number].event.id
            if event_id in kept or event_id in begun:
                choices: tuple[bool, ...] = (True,)
            else:
                choices = (False, True) if number in firsts else (False,)
            for present in choices:
                then, open_ends, named = pictures, begun, happened
                if present:
                    then = course.applied.get((number, pictures)) or course.apply(number, pictures)
                    open_ends = begun - {event_id} if number in lasts else begun | {event_id}
                    named = happened | {event_id} if event_id in self._asked_after else happened
                state = (number + 1, then, open_ends, answers, named)
                if state not in seen:
                    seen.add(state)
                    stack.append(state)
        return True

    def _is_expected(self, answers: tuple[Held | None, ...], happened: frozenset[str]) -> bool:
        """Judge a world that is over."""
        verdict = self._verdicts.get((answers, happened))
        if verdict is None:
            known: dict[Lookup, Held | None] = dict(zip(self._lookups, answers, strict=True))
            for name in self._asked_after:
                known[(LAST, (), (HAPPENED, name))] = YES if name in happened else None
            verdict = self._judge(known)
            self._verdicts[(answers, happened)] = verdict
        return verdict


class _Course:
    """How a story's moments change pictures, as far as some facts and minds go; what is worked out is kept.

    Args:
        story: The whole story.
        perception: The rules of perception.
        facts: Those that can bear on what is asked for; None is all.
        last: What happens from then on bears on nothing.
        asked_after: Ids of events of which it is asked whether they happen.
        chains: Whose pictures are followed, outer ones before inner ones.

    Attributes:
        moments: Those that can bear on it.
        ids: Their events.
        firsts: Numbers of the moments that are the first of their events.
        lasts: The same for the last ones.
        place: Of each chain.
        pictures: All that were met; elsewhere they are given by their numbers here.
        opening: The pictures at second 0, one for each chain.
        applied: What a moment makes of pictures, as far as it is known: see `apply`.
    """

    def __init__(
        self,
        story: Story,
        perception: Perception,
        facts: frozenset[Fact] | None,
        last: Key,
        asked_after: frozenset[str],
        chains: list[tuple[str, ...]],
    ) -> None:
        self._chains = chains
        self.place = {chain: place for place, chain in enumerate(chains)}
        self.moments: list[Moment] = []
        for moment in moments_of(story):
            short = moment if facts is None else _shorten(moment, facts)
            bears = short.key < last and (short.facts or short.says or short.reveals)
            if bears or (moment.is_end and moment.event.id in asked_after):
                self.moments.append(short)
        self.ids = frozenset(moment.event.id for moment in self.moments)
        firsts: dict[str, int] = {}
        lasts: dict[str, int] = {}
        for number, moment in enumerate(self.moments):
            firsts.setdefault(moment.event.id, number)
            lasts[moment.event.id] = number
        self.firsts, self.lasts = frozenset(firsts.values()), frozenset(lasts.values())
        self._calculus = Calculus(story if facts is None else _slice(story, facts), perception, reasons=False)
        self.pictures: list[Picture] = []
        self.applied: dict[tuple[int, tuple[int, ...]], tuple[int, ...]] = {}
        self._numbers: dict[object, int] = {}
        self._steps: dict[_StepKey, tuple[Step, int]] = {}
        opening = [self._calculus.opening_truth()]
        for chain in chains[1:]:
            opening.append(self._calculus.opening(chain[-1], opening[self.place[chain[:-1]]]))
        self.opening = tuple(self._number(picture) for picture in opening)

    def apply(self, number: int, pictures: tuple[int, ...]) -> tuple[int, ...]:
        """Let a moment happen to the pictures, all given by their numbers."""
        keys: list[_StepKey] = []
        for place, chain in enumerate(self._chains):
            above = self.place[chain[:-1]] if chain else -1
            mine = pictures[place]
            key: _StepKey = (number, chain, mine, keys[above] if chain else None)
            if key not in self._steps:
                step = self._step(number, chain, mine, pictures[above], key[3])
                same = step.picture is self.pictures[mine]
                self._steps[key] = (step, mine if same else self._number(step.picture))
            keys.append(key)
        found = tuple(self._steps[key][1] for key in keys)
        self.applied[(number, pictures)] = found
        return found

    def _step(self, number: int, chain: tuple[str, ...], mine: int, before: int, above: _StepKey | None) -> Step:
        moment = self.moments[number]
        if above is None:
            return self._calculus.truth(self.pictures[mine], moment)
        holder = chain[-2] if len(chain) > 1 else None
        theirs = self._steps[above][0]
        return self._calculus.step(chain[-1], self.pictures[mine], moment, self.pictures[before], theirs, holder)

    def _number(self, picture: Picture) -> int:
        key = (frozenset(picture.values.items()), frozenset(picture.notes.items()))
        number = self._numbers.setdefault(key, len(self.pictures))
        if number == len(self.pictures):
            self.pictures.append(picture)
        return number


def _read(picture: Picture, fact: Fact) -> Held | None:
    note = picture.notes.get(fact)
    return None if note is None else Held(picture.values[fact], note.source, note.teller)


def _bearing(story: Story, lookups: list[Lookup]) -> frozenset[Fact]:
    """Return every fact that can bear on what is looked up, by the rules of `StagePerception`."""
    values: dict[Fact, set[Value]] = {}
    tellers: dict[Fact, set[str]] = {}
    sayings: dict[str, set[Fact]] = {}
    for fact, value in (*story.initial.items(), *story.common.items()):
        values.setdefault(fact, set()).add(value)
    for container, thing in story.labels.items():
        values.setdefault(("in", thing), set()).add(container)
    for event in story.events:
        for fact, value in (*event.onset, *event.effects, *((event.says,) if event.says else ())):
            values.setdefault(fact, set()).add(value)
        if event.says:
            tellers.setdefault(event.says[0], set()).add(event.actor)
            sayings.setdefault(event.actor, set()).add(event.says[0])
    people = {person for _, chain, _ in lookups for person in chain}
    todo = [fact for _, _, fact in lookups]
    if people:
        todo.extend((kind, person) for person in people for kind in ("at", "turned"))
    bearing: set[Fact] = set()
    while todo:
        fact = todo.pop()
        if fact in bearing:
            continue
        bearing.add(fact)
        if not people:
            continue  # The truth changes by what happens, not by who sees it.
        if fact[1] in story.people:
            todo.append(("at", fact[1]))
        for value in values.get(fact, ()):
            if fact[0] == "in" and isinstance(value, str):
                todo.append(("open", value) if value in story.containers else ("at", value))
                if story.labels.get(value) == fact[1]:
                    todo.extend(other for other, known in values.items() if other[0] == "in" and value in known)
        for teller in tellers.get(fact, ()):
            todo.extend(("trusts", person, teller) for person in people)
        if fact[0] == "trusts" and len(fact) > 2:
            todo.extend(sayings.get(fact[2], ()))
    return frozenset(bearing)


def _shorten(moment: Moment, facts: frozenset[Fact]) -> Moment:
    """Leave out of a moment what is about other facts."""
    return moment._replace(
        facts=tuple(item for item in moment.facts if item[0] in facts),
        says=moment.says if moment.says and moment.says[0] in facts else None,
        reveals=tuple(fact for fact in moment.reveals if fact in facts),
    )


def _slice(story: Story, facts: frozenset[Fact]) -> Story:
    """Leave out of a story's beginning what is about other facts."""
    return replace(
        story,
        events=(),
        initial={fact: value for fact, value in story.initial.items() if fact in facts},
        common={fact: value for fact, value in story.common.items() if fact in facts},
        labels={container: thing for container, thing in story.labels.items() if ("in", thing) in facts},
    )
