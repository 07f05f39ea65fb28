"""A film, its minds and a view go in; queries about what is so, seen and believed, and their labels, come out.

Labels are what `roles.minds` says at each patch's time. In a view that begins within a film nothing is scored that
rests on what happened before it.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from adapters.train.default.contract import States, StateSizes
from eval import lesson_words as words
from eval.lesson_looks import UNSEEN, Line, looks_of
from eval.lesson_views import NEAR_S, View
from eval.lesson_words import COLOURS, KINDS, NAME, NAMES, SHAPES, UNSCORED, VISIBLE, Label, label
from eval.worlds import art
from eval.worlds.scene import NOOK, OUTSIDE, ROOM, WINDOW, YARD, Person, Scene
from roles.minds import Belief, Minds

SIZES = StateSizes(KINDS, len(NAMES), len(words.CLASSES), len(COLOURS), len(SHAPES), VISIBLE)
NESTED = 3
"""Of at most so many people it is asked what each thinks that each other one thinks."""
ABSENT_THINGS = 2
ABSENT = label("absent")
OPEN = ("held", "lying")
"""Where whoever is there sees a thing."""

Query = tuple[int, int, int, int]


def states_of(scene: Scene, minds: Minds, view: View, rng: random.Random) -> States:
    """What is so at each patch of a view.

    Args:
        scene: The film.
        minds: Of its story.
        view: What is seen of it.
        rng: Chance, for the names that are asked about although they are not there.
    """
    builder = _Builder(scene, minds, view)
    builder.seen()
    builder.believed()
    builder.missing(rng)
    queries = np.array(builder.queries, dtype=np.int16).reshape(len(builder.queries), 4)
    labels = np.array(builder.lines, dtype=np.int16).reshape(len(builder.queries), len(builder.times), 3)
    return States(queries, labels)


class _Builder:
    """Collects queries and their lines of labels."""

    def __init__(self, scene: Scene, minds: Minds, view: View) -> None:
        self.scene, self.minds = scene, minds
        self.since_s = -math.inf if view.start_s < NEAR_S * 5 else view.start_s
        self.times: list[float] = view.patch_times_s().tolist()
        pairs: NDArray[np.float64] = view.times_s.reshape(-1, 2)
        self.looks = looks_of(scene, self.times, [(float(a), float(b)) for a, b in pairs])
        self.queries: list[Query] = []
        self.lines: list[Line] = []
        self.shirts = {person.name: person.shirt for person in scene.people}
        self.things = {thing.name: thing for thing in scene.things}
        self.boxes = {box.name: box for box in scene.containers}
        self.main = [person for person in scene.people if person.place != YARD]
        shown = set(self.looks.shown)
        self.people = [*self.main, *(person for person in scene.people if person.place == YARD and YARD in shown)]
        at = minds.story.initial
        yard = {box.name for box in scene.containers if box.place == YARD}
        yard |= {person.name for person in scene.people if person.place == YARD} | {YARD}
        self.room_things = [thing.name for thing in scene.things if at[("in", thing.name)] not in yard]
        yard_things = [thing.name for thing in scene.things if at[("in", thing.name)] in yard]
        self.shown_things = [*self.room_things, *(yard_things if YARD in shown else ())]
        self.shown_boxes = [box for box in scene.containers if box.place == ROOM or YARD in shown]
        # Nothing changes between two of these.
        events = scene.story.events
        turns = {event.end_s for event in events if event.effects or event.says is not None or event.reveals}
        turns |= {event.start_s for event in events if event.onset}
        turns_s = sorted(turns)
        stretches = [bisect_right(turns_s, time) for time in self.times]
        self.firsts = [k for k, number in enumerate(stretches) if k == 0 or stretches[k - 1] != number]
        self.lengths = [b - a for a, b in zip(self.firsts, [*self.firsts[1:], len(self.times)], strict=True)]

    def ask(self, line: Line, kind: int, *names: str) -> None:
        """Adds one query with its labels; of one that is never scored nothing can be learned."""
        if any(value != UNSCORED for value in line):
            about = [NAME[name] for name in names] + [0] * (3 - len(names))
            self.queries.append((kind, about[0], about[1], about[2]))
            self.lines.append(line)

    def seen(self) -> None:
        """What the picture shows."""
        looks = self.looks
        stage = {None: UNSCORED, ROOM: label("main stage"), YARD: label("other stage")}
        self.ask([stage[shown] for shown in looks.shown], words.STAGE)
        self.ask(looks.lid, words.LID)
        for person in self.people:
            self.ask(looks.status[person.name], words.STATUS, person.shirt)
            self.ask(looks.doing[person.name], words.DOING, person.shirt)
            self.ask(looks.hands[person.name], words.HANDS, person.shirt)
            self.ask(self._initials(person), words.INITIAL, person.shirt)
        for name in self.shown_things:
            self.ask(looks.things[name], words.SEEN_THING, self.things[name].shape)
        for box in self.shown_boxes:
            self.ask(looks.boxes[box.name], words.SEEN_BOX, box.shape)
            if box.label is not None or box.name == self.scene.cast.offered[0]:
                self.ask(looks.pictures[box.name], words.PICTURE, box.shape)

    def believed(self) -> None:
        """What is so and what people think, which has to be remembered."""
        scene, cast = self.scene, self.scene.cast
        for name in self.shown_things:
            self.ask(self._places(name), words.PLACE, self.things[name].shape)
            self.ask(self._along(partial(self._put_by, name)), words.PUT_BY, self.things[name].shape)
        for person in self.people:
            self.ask(self._along(partial(self._whereabouts, person)), words.WHEREABOUTS, person.shirt)
        for person in self.main:
            self.ask(self._along(partial(self._wish, person)), words.WISH, person.shirt)
            for name in self.room_things:
                line = self._along(partial(self._held, (person.name,), name))
                self.ask(line, words.BELIEF, person.shirt, self.things[name].shape)
            if scene.family != "contents":
                line = self._along(partial(self._knows, person.name, cast.thing))
                self.ask(line, words.KNOWS, person.shirt, self.things[cast.thing].shape)
        parts = [name for name in (cast.believer, cast.mover, cast.witness) if name is not None]
        nested = sorted(self.main, key=lambda person: person.name not in parts)[:NESTED]
        pairs = [(a, b) for a in nested for b in nested if a is not b]
        for a, b in pairs:
            line = self._along(partial(self._held, (a.name, b.name), cast.thing))
            self.ask(line, words.SECOND, a.shirt, b.shirt, self.things[cast.thing].shape)
        if scene.family == "contents":
            box = self.boxes[cast.path[0]]
            for person in self.main:
                line = self._along(partial(self._contents, (person.name,), box.name))
                self.ask(line, words.CONTENTS, person.shirt, box.shape)
            for a, b in pairs:
                line = self._along(partial(self._contents, (a.name, b.name), box.name))
                self.ask(line, words.SECOND_CONTENTS, a.shirt, b.shirt, box.shape)
        tellers = sorted(
            {event.actor for event in scene.story.events if event.says is not None and event.place != YARD}
        )
        for person in self.main:
            for teller in tellers:
                if teller != person.name:
                    line = self._along(partial(self._trusts, person.name, teller))
                    self.ask(line, words.TRUST, person.shirt, self.shirts[teller])
        for teller in tellers:
            self.ask(self._along(partial(self._verdict, teller)), words.VERDICT, self.shirts[teller])

    def missing(self, rng: random.Random) -> None:
        """Names that the film does not have."""
        line = [ABSENT] * len(self.times)
        shapes = [shape for shape in art.THING_SHAPES if shape not in {t.shape for t in self.scene.things}]
        for number, shape in enumerate(rng.sample(shapes, ABSENT_THINGS)):
            self.ask(line, (words.PLACE, words.SEEN_THING)[number % 2], shape)
            if number == 0:
                self.ask(line, words.SEEN_THING, shape)
                self.ask(line, words.BELIEF, rng.choice(self.main).shirt, shape)
        boxes = [shape for shape in art.CONTAINER_SHAPES if shape not in {b.shape for b in self.scene.containers}]
        if boxes:
            self.ask(line, words.SEEN_BOX, rng.choice(boxes))
        shirts = [shirt for shirt in art.SHIRTS if shirt not in self.shirts.values()]
        if shirts:
            shirt = rng.choice(shirts)
            self.ask(line, words.STATUS, shirt)
            self.ask(line, words.WHEREABOUTS, shirt)
            self.ask(line, words.BELIEF, shirt, self.things[self.scene.cast.thing].shape)

    def _along(self, at: Callable[[float], Label]) -> Line:
        """What is so at every patch, worked out once between two events."""
        line: Line = []
        for first, length in zip(self.firsts, self.lengths, strict=True):
            line += [at(self.times[first])] * length
        return line

    def _places(self, thing: str) -> Line:
        """Where a thing really is; in a view from within a film, from when on that is plain."""
        unveiled = next((k for k, seen in enumerate(self.looks.things[thing]) if seen not in (UNSEEN, UNSCORED)), None)

        def place(at_s: float) -> tuple[Label, bool]:
            belief = self.minds.truth(("in", thing), at_s)
            return self._place(belief), belief.since_s >= self.since_s

        line: Line = []
        for first, length in zip(self.firsts, self.lengths, strict=True):
            value, fresh = place(self.times[first])
            for k in range(first, first + length):
                line.append(value if fresh or (unveiled is not None and k >= unveiled) else UNSCORED)
        return line

    def _held(self, chain: tuple[str, ...], thing: str, at_s: float) -> Label:
        """Where the last of a chain believes a thing."""
        belief = self.minds.belief(*chain, fact=("in", thing), at_s=at_s)
        value = self._place(belief)
        if self.since_s == -math.inf or (belief is not None and belief.since_s >= self.since_s):
            return value
        # She sees it lie there, or in somebody's hands, now as before.
        plain = belief is not None and value == self._place(self.minds.truth(("in", thing), at_s))
        plain = plain and value[0] in (words.CLASS[name] for name in OPEN)
        return value if plain and all(self._looks_on(who, at_s) for who in chain) else UNSCORED

    def _initials(self, person: Person) -> Line:
        """The letter on her clothes, where she is seen from the front."""
        facing, letter = label("facing"), label(person.name[0])
        return [letter if seen == facing else UNSCORED for seen in self.looks.status[person.name]]

    def _put_by(self, thing: str, at_s: float) -> Label:
        """Who moved a thing last."""
        before = [
            event for event in self.scene.story.events
            if event.end_s <= at_s and any(fact == ("in", thing) for fact, _ in event.effects)
        ]  # fmt: skip
        if not before:
            return label("none") if self.since_s == -math.inf else UNSCORED
        last = max(before, key=lambda event: event.end_s)
        return label("held", self.shirts[last.actor]) if last.end_s >= self.since_s else UNSCORED

    def _knows(self, person: str, thing: str, at_s: float) -> Label:
        """Whether somebody is right about where a thing is; scored in views from the film's beginning."""
        if self.since_s > -math.inf:
            return UNSCORED
        belief = self.minds.belief(person, fact=("in", thing), at_s=at_s)
        if belief is None:
            return label("no idea")
        return label("yes" if belief.value == self.minds.truth(("in", thing), at_s).value else "no")

    def _verdict(self, teller: str, at_s: float) -> Label:
        """What somebody said last; scored in views from the film's beginning."""
        if self.since_s > -math.inf:
            return UNSCORED
        said = [
            event for event in self.scene.story.events
            if event.says is not None and event.actor == teller and event.end_s <= at_s
        ]  # fmt: skip
        return label(self.minds.honesty(said[-1].id)) if said else label("none")

    def _looks_on(self, person: str, at_s: float) -> bool:
        turned = self.minds.truth(("turned", person), at_s).value is True
        return self.minds.truth(("at", person), at_s).value == ROOM and not turned

    def _place(self, belief: Belief | None) -> Label:
        if belief is None:
            return label("no idea")
        value = belief.value
        if value is None:
            return label("gone")
        box = self.boxes.get(str(value))
        if box is not None:
            return label("inside", box.colour, box.shape)
        shirt = self.shirts.get(str(value))
        return label("lying") if shirt is None else label("held", shirt)

    def _whereabouts(self, person: Person, at_s: float) -> Label:
        fact = self.minds.truth(("at", person.name), at_s)
        if fact.value == ROOM:
            return label("turned" if self.minds.truth(("turned", person.name), at_s).value is True else "facing")
        return label({NOOK: "nook", WINDOW: "window", OUTSIDE: "outside", YARD: "yard"}.get(str(fact.value), "away"))

    def _wish(self, person: Person, at_s: float) -> Label:
        fact = self.minds.truth(("wants", person.name), at_s)
        if fact.value is None:
            return label("none") if self.since_s == -math.inf else UNSCORED
        thing = self.things[str(fact.value)]
        return label("thing", thing.colour, thing.shape) if fact.since_s >= self.since_s else UNSCORED

    def _trusts(self, person: str, other: str, at_s: float) -> Label:
        belief = self.minds.belief(person, fact=("trusts", person, other), at_s=at_s)
        if belief is None or belief.value is not False:
            return label("yes") if self.since_s == -math.inf else UNSCORED
        return label("no") if belief.since_s >= self.since_s else UNSCORED

    def _contents(self, chain: tuple[str, ...], box: str, at_s: float) -> Label:
        """What the last of a chain believes to be in a container."""
        found = [
            (name, belief)
            for name in self.room_things
            if (belief := self.minds.belief(*chain, fact=("in", name), at_s=at_s)) is not None and belief.value == box
        ]
        if any(belief.since_s < self.since_s for _, belief in found) or (not found and self.since_s > -math.inf):
            return UNSCORED
        if not found:
            return label("no idea")
        thing = self.things[found[0][0]]
        return label("thing", thing.colour, thing.shape) if len(found) == 1 else label("several")
