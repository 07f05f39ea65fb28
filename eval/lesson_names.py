"""A film goes in, lessons on who is called what come out: a name is said in a question and has to be found there again.

Names stand on no shirt but for the initial. That an answer may have to be copied from the question's own words, from
beside a colour, is learned slowly from one name at a time; several in one reply, and transcripts in names, teach it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from adapters.train.default.contract import Segment
from eval.worlds import art
from eval.worlds.names import NAMES
from eval.worlds.scene import YARD, Person, Scene
from eval.worlds.voice import Voice
from eval.worlds.wording import sentence

STRANGERS = (0, 0, 1, 2, 3, 4)
"""People of a roll call who are not in the film."""
REVERSE_SHARE = 0.25
"""How often it is asked what somebody wears, and not who wears something."""
_WHO = (
    "Who wears {these}?",
    "Who is in {these}?",
    "Name the one in {these}.",
    "Which of them is dressed in {these}?",
    "What is the name of the one in {these} clothes?",
    "How is the person in {these} called?",
    "Who has {these} clothes on?",
    "In whose case are the clothes {these}?",
    "{these}: who is it?",
    "Give the name that goes with {these}.",
)
_WHAT = (
    "What does {these} wear?",
    "Which colour does {these} have on?",
    "Name the colour of {these}.",
    "{these}: in what colour?",
    "How is {these} dressed?",
)


def roll_call(scene: Scene, rng: random.Random) -> Segment:
    """Several people are introduced, then some of them are asked for by what they wear, or the other way round."""
    people = [person for person in scene.people if person.place != YARD]
    crowd = [*people, *strangers(scene.people, rng.choice(STRANGERS), rng)]
    rng.shuffle(crowd)
    asked = rng.sample(crowd, rng.randint(1, len(crowd)))
    names, shirts = [person.name for person in asked], [person.shirt for person in asked]
    given, wanted = (names, shirts) if rng.random() < REVERSE_SHARE else (shirts, names)
    text = rng.choice(_WHAT if given is names else _WHO).format(these=", ".join(given))
    return _asked(crowd, text, ", ".join(wanted), rng)


def who(scene: Scene, rng: random.Random) -> list[Segment]:
    """One of the film's people is asked for, as an option names her; none where there is but one."""
    people = [person for person in scene.people if person.place != YARD]
    if len(people) < 2:
        return []
    some = rng.sample(people, rng.randint(2, min(3, len(people))))
    asked = rng.choice(some)
    text = rng.choice(_WHO).format(these=asked.shirt)
    return [_asked(some, text, asked.name, rng)]


def _asked(people: Sequence[Person], text: str, reply: str, rng: random.Random) -> Segment:
    return Segment("answerer", sentence(f"{introduced(people, rng)} {text}"), reply, type="names")


def introduced(people: Sequence[Person], rng: random.Random) -> str:
    """The sentence that says who is who."""
    return Voice("preamble", rng.random(), 1, bare=False).introduce(people)


def everybody(scene: Scene, rng: random.Random) -> str:
    """The sentence that introduces everybody of a film, in any order."""
    people = list(scene.people)
    rng.shuffle(people)
    return introduced(people, rng)


def strangers(people: Sequence[Person], count: int, rng: random.Random) -> list[Person]:
    """People who look and are called otherwise than those given."""
    colours = [shirt for shirt in art.SHIRTS if shirt not in {person.shirt for person in people}]
    initials = {person.name[0] for person in people}
    pairs = rng.sample([pair for pair in NAMES if pair[0][0] not in initials], min(count, len(colours)))
    shirts = rng.sample(colours, len(pairs))
    alike = [rng.choice(people) for _ in pairs]
    return [
        replace(one, name=pair[0 if one.pronoun == "she" else 1], shirt=shirt)
        for one, pair, shirt in zip(alike, pairs, shirts, strict=True)
    ]
