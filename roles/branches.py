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

    Attributes:
        ids: The events that can bear on it.
    """

    def __init__(
        self,
        story: Story,
        perception: Perception,
        lookups: list[Lookup],
        judge: Callable[[dict[Lookup, Held | None]], bool],
    ) -> None:
        self._judge = judge
        self._asked_after = frozenset(fact[1] for _, _, fact in lookups if fact[0] == HAPPENED)
        self._lookups = sorted((lookup for lookup in lookups if lookup[2][0] != HAPPENED), key=lambda lookup: lookup[0])
        prefixes = {chain[:length] for _, chain, _ in lookups for length in range(len(chain) + 1)} | {()}
        self._chains = sorted(prefixes, key=lambda chain: (len(chain), chain))
        self._place = {chain: place for place, chain in enumerate(self._chains)}
        facts = _bearing(story, self._lookups) if getattr(perception, "local", False) else None
        last = max((lookup[0] for lookup in self._lookups), default=LAST)
        self._moments: list[Moment] = []
        for moment in moments_of(story):
            short = moment if facts is None else _shorten(moment, facts)
            bears = short.key < last and (short.facts or short.says or short.reveals)
            if bears or (moment.is_end and moment.event.id in self._asked_after):
                self._moments.append(short)
        self.ids = frozenset(moment.event.id for moment in self._moments)
        firsts: dict[str, int] = {}
        lasts: dict[str, int] = {}
        for number, moment in enumerate(self._moments):
            firsts.setdefault(moment.event.id, number)
            lasts[moment.event.id] = number
        self._firsts, self._lasts = frozenset(firsts.values()), frozenset(lasts.values())
        keys = [moment.key for moment in self._moments]
        self._due: list[list[tuple[int, Fact]]] = [[] for _ in range(len(keys) + 1)]
        for key, chain, fact in self._lookups:
            self._due[bisect_left(keys, key)].append((self._place[chain], fact))
        self._calculus = Calculus(story if facts is None else _slice(story, facts), perception, reasons=False)
        self._pictures: list[Picture] = []
        self._numbers: dict[object, int] = {}
        self._applied: dict[tuple[int, tuple[int, ...]], tuple[int, ...]] = {}
        self._steps: dict[_StepKey, tuple[Step, int]] = {}
        self._verdicts: dict[object, bool] = {}
        self._count = 0
        opening = [self._calculus.opening_truth()]
        for chain in self._chains[1:]:
            opening.append(self._calculus.opening(chain[-1], opening[self._place[chain[:-1]]]))
        self._opening = tuple(self._number(picture) for picture in opening)

    def entails(self, kept: frozenset[str]) -> bool:
        """Tell whether all worlds in which the events `kept` happen are as expected."""
        start: _State = (0, self._opening, frozenset(), (), frozenset())
        stack, seen = [start], {start}
        while stack:
            self._count += 1
            if self._count > MAX_STATES:
                return False
            number, pictures, begun, answers, happened = stack.pop()
            for place, fact in self._due[number]:
                answers = (*answers, _read(self._pictures[pictures[place]], fact))
            if number == len(self._moments):
                if not self._is_expected(answers, happened):
                    return False
                continue
            event_id = self._moments[number].event.id
            if event_id in kept or event_id in begun:
                choices: tuple[bool, ...] = (True,)
            else:
                choices = (False, True) if number in self._firsts else (False,)
            for present in choices:
                then, open_ends, named = pictures, begun, happened
                if present:
                    then = self._apply(number, pictures)
                    open_ends = begun - {event_id} if number in self._lasts else begun | {event_id}
                    named = happened | {event_id} if event_id in self._asked_after else happened
                state = (number + 1, then, open_ends, answers, named)
                if state not in seen:
                    seen.add(state)
                    stack.append(state)
        return True

    def _apply(self, number: int, pictures: tuple[int, ...]) -> tuple[int, ...]:
        """Let a moment happen to the pictures, all given by their numbers."""
        found = self._applied.get((number, pictures))
        if found is None:
            keys: list[_StepKey] = []
            for place, chain in enumerate(self._chains):
                above = self._place[chain[:-1]] if chain else -1
                key: _StepKey = (number, chain, pictures[place], keys[above] if chain else None)
                if key not in self._steps:
                    step = self._step(number, chain, pictures[place], pictures[above], key[3])
                    self._steps[key] = (step, self._number(step.picture))
                keys.append(key)
            found = tuple(self._steps[key][1] for key in keys)
            self._applied[(number, pictures)] = found
        return found

    def _step(self, number: int, chain: tuple[str, ...], mine: int, before: int, above: _StepKey | None) -> Step:
        moment = self._moments[number]
        if above is None:
            return self._calculus.truth(self._pictures[mine], moment)
        holder = chain[-2] if len(chain) > 1 else None
        theirs = self._steps[above][0]
        return self._calculus.step(chain[-1], self._pictures[mine], moment, self._pictures[before], theirs, holder)

    def _number(self, picture: Picture) -> int:
        key = (frozenset(picture.values.items()), frozenset(picture.notes.items()))
        number = self._numbers.setdefault(key, len(self._pictures))
        if number == len(self._pictures):
            self._pictures.append(picture)
        return number

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
