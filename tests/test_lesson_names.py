"""Roll calls and named transcripts: who is called what, as the question's first sentence says it."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from eval import lesson_texts, lesson_views
from eval.lesson_names import STRANGERS, everybody, introduced, roll_call, strangers, who
from eval.worlds import art, plot
from eval.worlds.draw import dice
from eval.worlds.names import NAMES
from eval.worlds.scene import YARD, Person, Scene
from roles.minds import Minds

CALLS = 40
ALL_NAMES = [name for pair in NAMES for name in pair]


@cache
def films(count: int = 12, length_s: float = 30.0) -> tuple[Scene, ...]:
    return tuple(
        plot.scene(seed, plot.members(seed)[0], length_s=length_s, check=False) for seed in range(300, 300 + count)
    )


def in_room(scene: Scene) -> list[Person]:
    return [person for person in scene.people if person.place != YARD]


def found(words: list[str] | tuple[str, ...], text: str) -> list[str]:
    """Those of the words that a text holds, in its order."""
    at = {word: match.start() for word in words if (match := re.search(rf"\b{word}\b", text, re.IGNORECASE))}
    return sorted(at, key=at.__getitem__)


def told(text: str) -> tuple[dict[str, str], str]:
    """What a sentence ahead says, colour by name, and the question behind it; every pair stands in one order."""
    ahead, _, question = text.partition(". ")
    names, colours = found(ALL_NAMES, ahead), found(art.SHIRTS, ahead)
    assert len(names) == len(colours) > 0, text
    # Each name stands beside its own colour, before or behind it, throughout.
    pairs = found([*names, *colours], ahead)
    assert all((a in names) != (b in names) for a, b in zip(pairs[::2], pairs[1::2], strict=True)), text
    return dict(zip(names, colours, strict=True)), question


def test_roll_calls_pair_names_and_colours_as_the_sentence_ahead_does_in_both_directions() -> None:
    sorts: Counter[str] = Counter()
    for number, scene in enumerate(films()):
        shirts = {person.name: person.shirt for person in in_room(scene)}
        for k in range(CALLS):
            segment = roll_call(scene, dice(number, k))
            assert (segment.role, segment.type, segment.spans_norm) == ("answerer", "names", ())
            said, question = told(segment.text)
            assert {name: said[name] for name in shirts} == shirts
            reply = str(segment.reply).split(", ")
            colours, names = found(art.SHIRTS, question), found(ALL_NAMES, question)
            assert bool(colours) != bool(names), question
            # As many answers as were asked for, in that order.
            wearers = {colour: name for name, colour in said.items()}
            assert reply == ([said[name] for name in names] if names else [wearers[colour] for colour in colours])
            assert question[0] == question[0].upper()
            sorts["what" if names else "who"] += 1
            sorts["one" if len(reply) == 1 else "several"] += 1
            sorts["all"] += len(reply) == len(said)
            sorts["strangers"] += len(said) > len(shirts)
    count = len(films()) * CALLS
    assert 0.17 < sorts["what"] / count < 0.33
    assert min(sorts["one"], sorts["several"], sorts["all"]) > 0.1 * count
    assert 0.5 < sorts["strangers"] / count < 0.8


def test_strangers_are_nobody_of_the_film_and_unlike_each_other() -> None:
    counts: Counter[int] = Counter()
    for number, scene in enumerate(films()):
        for k in range(CALLS):
            said, _ = told(roll_call(scene, dice(number, k)).text)
            people = in_room(scene)
            others = {name: shirt for name, shirt in said.items() if name not in {person.name for person in people}}
            assert not {name[0] for name in others} & {person.name[0] for person in people}
            assert not set(others.values()) & {person.shirt for person in people}
            assert len({name[0] for name in said}) == len(set(said.values())) == len(said)
            counts[len(others)] += 1
    assert set(counts) == set(STRANGERS)
    assert counts[0] > counts[1]


def test_strangers_are_as_many_as_there_are_colours_left() -> None:
    people = in_room(films()[0])
    left = len(art.SHIRTS) - len(people)
    for count in (0, 3, left, left + 5):
        drawn = strangers(people, count, dice(count))
        assert len(drawn) == min(count, left)
        assert len({person.shirt for person in (*people, *drawn)}) == len(people) + len(drawn)


def test_a_strangers_name_fits_the_noun_that_goes_with_it() -> None:
    men, women = {he for _, he in NAMES}, {she for she, _ in NAMES}
    for number, scene in enumerate(films()):
        for person in strangers(in_room(scene), 4, dice(number)):
            assert person.name in (women if person.pronoun == "she" else men), person


def test_no_stranger_wears_or_is_called_what_somebody_of_an_interlude_does() -> None:
    seen = 0
    for number, scene in enumerate(films(12, 75.0)):
        yard = [person for person in scene.people if person.place == YARD]
        for k in range(8 if yard else 0):
            said, _ = told(roll_call(scene, dice(number, k)).text)
            others = {name: shirt for name, shirt in said.items() if name not in {p.name for p in in_room(scene)}}
            seen += len(others)
            assert not set(others.values()) & {person.shirt for person in yard}, scene.id
            assert not {name[0] for name in others} & {person.name[0] for person in yard}, scene.id
    assert seen > 20


def test_one_of_several_people_of_the_film_is_asked_for_by_the_colour_alone() -> None:
    answers: Counter[int] = Counter()
    for number, scene in enumerate(films()):
        shirts = {person.name: person.shirt for person in in_room(scene)}
        for k in range(CALLS):
            segments = who(scene, dice(number, k))
            assert len(segments) == (len(shirts) > 1)
            for segment in segments:
                said, question = told(segment.text)
                assert said.items() <= shirts.items()
                assert 2 <= len(said) <= 3
                assert found(ALL_NAMES, question) == []
                assert found(art.SHIRTS, question) == [said[str(segment.reply)]]
                # Not always the first or the last one who is introduced.
                answers[list(said).index(str(segment.reply))] += 1
    assert min(answers[0], answers[1], answers[2]) > 0.1 * answers.total()


def test_every_way_to_introduce_people_is_heard_and_everybody_is_introduced_in_any_order() -> None:
    scene = max(films(), key=lambda scene: len(scene.people))
    shirts = {person.name: person.shirt for person in scene.people}
    orders = set()
    for number in range(60):
        text = everybody(scene, dice(number))
        said, rest = told(text)
        assert said == shirts
        assert text.endswith(".")
        assert not rest
        orders.add(tuple(said))
    assert len(orders) > 5
    pair = scene.people[:2]
    ways = {re.sub("|".join((*shirts, *shirts.values())), "_", introduced(pair, dice(k))) for k in range(80)}
    assert len(ways) == 7


def test_a_named_transcript_is_the_plain_one_with_names_for_the_colours_of_people() -> None:
    named_some = 0
    for number, scene in enumerate(films()):
        minds, view = Minds(scene.story), lesson_views.all_of(scene)
        plain = lesson_texts.transcript(scene, minds, view)
        named = lesson_texts.transcript(scene, minds, view, everybody(scene, dice(number)))
        if plain is None or named is None:
            continue
        assert plain.text == ""
        assert told(named.text)[0] == {person.name: person.shirt for person in scene.people}
        shirts = {person.name: person.shirt for person in scene.people}
        for part in re.split("; |end: ", str(named.reply)):
            subject = re.match(r"(?:[\d-]+ )?(\w+)(?: \w+)? ?", part)
            if subject is not None and re.match(r"\d|\w+ (thinks|no)", part):
                assert subject.group(1) in shirts, part
        # Colours are those of things and containers alone, with the noun behind them.
        nouns = {*art.THING_SHAPES, *art.CONTAINER_SHAPES}
        for match in re.finditer(rf"\b({'|'.join(art.SHIRTS)})\b(?: (\w+))?", str(named.reply)):
            assert match.group(2) in nouns, (match.group(), named.reply)
        back = "".join(shirts.get(part, part) for part in re.split(r"(\W+)", str(named.reply)))
        assert sorted(back.rstrip(".").split("; ")) == sorted(str(plain.reply).rstrip(".").split("; "))
        assert found(list(shirts), str(named.reply))
        assert not found(list(shirts), str(plain.reply))
        named_some += 1
    assert named_some > 6
