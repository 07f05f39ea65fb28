"""Evidence: a question about minds goes in, a minimal set of events that entail its answer comes out.

Events entail an answer if it stays the same whichever of the other events are left out. There are too many choices of
others to try one by one; instead the story is followed through all of them at once, by `roles.branches`. The search is
exact: nothing is sampled, except for questions about times and reasons, which no state holds.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import NoReturn, cast

from roles.branches import HAPPENED, LAST, YES, Branches, Held, Lookup, NeedsHistoryError
from roles.errors import DataError
from roles.minds import Minds
from roles.story import Belief, Event, Fact, Key, Moment, Story, only

MAX_EXHAUSTIVE = 7
"""Questions about times are tried with every choice of up to so many other events; beyond that, with some choices."""
TRIES = 48
"""So many of them, besides those that leave out or add few."""

Question = Callable[[Minds], object]
_NO_ANSWER = object()


class _MissingError(Exception):
    """The question looks up something in this world that it did not look up before."""

    def __init__(self, lookup: Lookup) -> None:
        super().__init__(lookup)
        self.lookup = lookup


def smallest(minds: Minds, question: Question, start: Iterable[str] = ()) -> tuple[str, ...]:
    """Return a minimal set of events that entail the answer, in order of time; see `Minds.evidence_of`."""
    liked = frozenset(start)
    numbers = {event.id: number for number, event in enumerate(minds.story.events)}
    by_end = [event.id for event in sorted(minds.story.events, key=lambda event: event.end_s)]
    tracer = _Tracer(minds)
    try:
        expected = question(tracer)

        def judge(known: dict[Lookup, Held | None]) -> bool:
            return _ask(question, _Recalled(minds, known)) == expected

        while True:
            branches = Branches(minds.story, minds.perception, tracer.lookups, judge, minds.courses)
            try:
                kept = _drop([name for name in by_end if name in branches.ids], liked, branches.entails)
                break
            except _MissingError as missing:
                tracer.lookups.append(missing.lookup)
    except NeedsHistoryError:
        kept = _drop(by_end, liked, _Trials(minds, question).entails)
    events = minds.story.events
    return tuple(sorted(kept, key=lambda name: (events[numbers[name]].start_s, numbers[name])))


def _drop(candidates: list[str], liked: frozenset[str], entails: Callable[[frozenset[str]], bool]) -> frozenset[str]:
    """Take candidates out as long as the rest entails the answer, the liked ones last, the earlier ones first.

    A larger set entails what a smaller one does, so trying blocks at once ends where trying one by one would.
    """
    kept = sorted(candidates, key=lambda name: name in liked)
    place, block = 0, len(kept)
    while place < len(kept):
        block = max(1, min(block, len(kept) - place))
        rest = kept[:place] + kept[place + block :]
        if entails(frozenset(rest)):
            kept = rest
            block *= 2
        elif block == 1:
            place += 1
        else:
            block //= 2
    return frozenset(kept)


def _ask(question: Question, minds: Minds) -> object:
    """Ask in a world where it may not arise: an event is missing that it is about, or a belief that it takes apart."""
    try:
        return question(minds)
    except (DataError, AttributeError, LookupError, TypeError, ValueError):
        return _NO_ANSWER


class _Stateless(Minds, ABC):
    """Minds that answer only what a state holds, by looking each thing up."""

    def __init__(self, minds: Minds) -> None:
        self._story = minds.story
        self.perception = minds.perception

    @property
    def story(self) -> Story:
        raise NeedsHistoryError

    @property
    def end_s(self) -> float:
        raise NeedsHistoryError

    def happened(self, event_id: str) -> bool:
        if all(event.id != event_id for event in self._story.events):
            return False
        return self._answer((LAST, (), (HAPPENED, event_id))) is not None

    def _event(self, event_id: str) -> tuple[int, Event]:
        found = super()._event(event_id)
        if not self.happened(event_id):
            raise DataError(f"event {event_id!r} did not happen")
        return found

    def _look_up(self, chain: Iterable[str], fact: Fact, key: Key) -> Belief | None:
        return cast("Belief | None", self._answer((key, self._read_as(chain, fact), fact)))

    def _record(self, chain: tuple[str, ...]) -> NoReturn:
        raise NeedsHistoryError

    def _timeline(self) -> list[Moment]:
        raise NeedsHistoryError

    @abstractmethod
    def _answer(self, lookup: Lookup) -> Held | None:
        """Return what a lookup finds."""


class _Tracer(_Stateless):
    """Minds that write down what a question looks up."""

    def __init__(self, minds: Minds) -> None:
        super().__init__(minds)
        self._minds = minds
        self.lookups: list[Lookup] = []

    def _answer(self, lookup: Lookup) -> Held | None:
        key, chain, fact = lookup
        if lookup not in self.lookups:
            self.lookups.append(lookup)
        if fact[0] == HAPPENED:
            return YES
        found = self._minds._look_up(chain, fact, key)
        return None if found is None else Held(found.value, found.source, found.teller)


class _Recalled(_Stateless):
    """Minds of a world that is over, of which only the answers to some lookups are left."""

    def __init__(self, minds: Minds, answers: dict[Lookup, Held | None]) -> None:
        super().__init__(minds)
        self._answers = answers

    def _answer(self, lookup: Lookup) -> Held | None:
        if lookup not in self._answers:
            raise _MissingError(lookup)
        return self._answers[lookup]


class _Trials:
    """Worlds tried one by one, for questions that no state answers."""

    def __init__(self, minds: Minds, question: Question) -> None:
        self._story, self._perception, self._question = minds.story, minds.perception, question
        self._ids = frozenset(event.id for event in minds.story.events)
        self._expected = question(minds)
        self._answers: dict[frozenset[str], object] = {self._ids: self._expected}

    def entails(self, kept: frozenset[str]) -> bool:
        """Tell whether the answer is the expected one with `kept` and every choice of others that is tried."""
        others = sorted(self._ids - kept)
        return all(self._ask(kept | choice) == self._expected for choice in _choices(others))

    def _ask(self, ids: frozenset[str]) -> object:
        if ids not in self._answers:
            self._answers[ids] = _ask(self._question, Minds(only(self._story, ids), self._perception))
        return self._answers[ids]


def _choices(others: list[str]) -> Iterable[frozenset[str]]:
    """Yield choices of the others: all if they are few, else none, all, one, all but one, and some drawn ones."""
    if len(others) <= MAX_EXHAUSTIVE:
        for bits in range(1 << len(others)):
            yield frozenset(name for place, name in enumerate(others) if bits >> place & 1)
        return
    everything = frozenset(others)
    yield frozenset()
    for name in others:
        yield frozenset((name,))
        yield everything - {name}
    draw = random.Random("/".join(others))  # noqa: S311
    for _ in range(TRIES):
        yield frozenset(name for name in others if draw.random() < 0.5)
