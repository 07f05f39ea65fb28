"""How one question speaks of people and things: a wording and who is meant go in, a sentence comes out.

Names are written only as initials on shirts, so a question says who is who by the colour of the clothes, in one of
three ways: "Sally (in red)", a sentence ahead ("Sally wears red, Tom blue."), or no name at all ("the girl in red").
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eval.worlds.scene import Person, Scene
from eval.worlds.wording import PRONOUNS, article, fill, sentence

STYLES = ("apposition", "preamble", "description")
MEN = ("beard", "moustache")
"""Costume parts that no child has."""

Named = tuple[str, str]
"""(sort, name): "person", "thing" and "container" are spoken of in the question's voice; "a" is a thing with "a" before
it; "text" stands as it is; a "reason" is a text with the believer's pronouns, her name after a bar at its end."""

_APPOSITIONS = ("{name} (in {colour})", "{name} (wearing {colour})")
_DESCRIPTIONS = (
    "the {noun} in {colour}",
    "the {noun} in {colour}",
    "the one in {colour}",
    "the one wearing {colour}",
    "the person in {colour}",
    "the {noun} dressed in {colour}",
    "the {noun} in {colour} clothes",
)
_PREAMBLES: tuple[tuple[str, str, str], ...] = (
    ("Who is who: ", "{name} is in {colour}", "{name} in {colour}"),
    ("", "{name} wears {colour}", "{name} {colour}"),
    ("", "{name} is the one in {colour}", "{name} the one in {colour}"),
    ("In this film ", "{name} is dressed in {colour}", "{name} in {colour}"),
    ("", "the {noun} in {colour} is called {name}", "the {noun} in {colour} {name}"),
    ("You will see ", "{name} in {colour}", "{name} in {colour}"),
    ("", "{name} has {colour} clothes on", "{name} {colour} ones"),
)
"""(opening, first person, each further one); the first pattern is for several people only."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How one question of a set speaks; the same in all films of the set.

    Attributes:
        style: One of `STYLES`.
        pattern: Which of the ways to do so, 0 to 1.
        order: Whether the sentence ahead names people in the order of the film or the other way round.
        bare: Whether things go by their shape alone.
    """

    style: str
    pattern: float
    order: int
    bare: bool

    @classmethod
    def draw(cls, dice: random.Random) -> Voice:
        """Draws one."""
        return cls(dice.choice(STYLES), dice.random(), dice.choice((1, -1)), dice.random() < 0.5)

    def ask(self, scene: Scene, text: str, slots: Mapping[str, Named], others: Iterable[Named] = ()) -> str:
        """Fills a question's wording.

        Args:
            scene: The film.
            text: The wording.
            slots: What its slots stand for.
            others: What the options name: a sentence ahead introduces these people, too.
        """
        filled = sentence(fill(text, self._values(scene, slots)))
        named = {name for sort, name in (*slots.values(), *others) if sort == "person"}
        people = [person for person in scene.people if person.name in named][:: self.order]
        if self.style != "preamble" or not people:
            return filled
        return f"{self.introduce(people)} {filled}"

    def query(self, scene: Scene, text: str, slots: Mapping[str, Named]) -> str:
        """Fills the description of a moment; it stands alone, so that a sentence ahead cannot help it."""
        voice = Voice("apposition", 0.0, self.order, self.bare) if self.style == "preamble" else self
        return fill(text, voice._values(scene, slots))

    def option(self, scene: Scene, named: Named) -> str:
        """How an option reads."""
        sort, name = named
        if sort == "reason":
            text, _, believer = name.rpartition("|")
            return fill(text, _pronouns("x", _person(scene, believer)))
        if sort == "person":
            return self._person(_person(scene, name))[0]
        if sort == "a":
            return article(name)
        return f"the {name}" if sort in ("thing", "container") else name

    def _values(self, scene: Scene, slots: Mapping[str, Named]) -> dict[str, tuple[str, str]]:
        values: dict[str, tuple[str, str]] = {}
        for slot, named in slots.items():
            sort, name = named
            if sort == "person":
                person = _person(scene, name)
                values[slot] = self._person(person)
                values.update(_pronouns(slot, person))
            elif sort == "thing" and self.bare:
                shape = next(thing.shape for thing in scene.things if thing.name == name)
                values[slot] = (f"the {shape}", f"the {shape}")
            else:
                values[slot] = (self.option(scene, named),) * 2
        return values

    def _person(self, person: Person) -> tuple[str, str]:
        """How to name somebody: (at first mention, later)."""
        if self.style == "preamble":
            return person.name, person.name
        if self.style == "apposition":
            return _put(_APPOSITIONS[int(self.pattern * len(_APPOSITIONS))], person), person.name
        text = _put(_DESCRIPTIONS[int(self.pattern * len(_DESCRIPTIONS))], person)
        return text, text

    def introduce(self, people: Sequence[Person]) -> str:
        """The sentence ahead: who wears what, one person or more."""
        patterns = _PREAMBLES if len(people) > 1 else _PREAMBLES[1:]
        opening, first, further = patterns[int(self.pattern * len(patterns))]
        parts = [_put(first if k == 0 else further, person) for k, person in enumerate(people)]
        listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
        return sentence(f"{opening}{listed}.")


def _person(scene: Scene, name: str) -> Person:
    return next(person for person in scene.people if person.name == name)


def _put(pattern: str, person: Person) -> str:
    noun = ("man" if person.extra in MEN else "boy") if person.pronoun == "he" else "girl"
    return pattern.format(name=person.name, colour=person.shirt, noun=noun)


def _pronouns(slot: str, person: Person) -> dict[str, tuple[str, str]]:
    return {f"{slot}_{form}": (text, text) for form, text in PRONOUNS[person.pronoun].items()}
