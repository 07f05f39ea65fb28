"""Stories that people wrote, with their answers: what everybody believes, knows, perceives, and by which events."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from roles.minds import Event, Fact, Minds, Story, Value, only
from tests.minds_stage import EARSHOT, SIGHT

FOLDER = Path(__file__).parent / "data" / "minds"
GOES = {"leaves": "outside", "comes in": "room", "hides": "nook", "comes out": "room"}
PLACES = {"floor": "room"}


@dataclass
class Told:
    """A story as it is written down."""

    name: str
    people: dict[str, str] = field(default_factory=dict)
    containers: dict[str, str] = field(default_factory=dict)
    glass: set[str] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)
    initial: dict[Fact, Value] = field(default_factory=dict)
    common: dict[Fact, Value] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


def read(text: str) -> list[Told]:
    found: list[Told] = []
    for line in text.splitlines():
        if line.startswith("== "):
            found.append(Told(line[3:]))
        elif line.startswith("? "):
            found[-1].answers.append(line[2:])
        elif match := re.fullmatch(r"(\d+)\. (.+)", line):
            assert int(match[1]) == len(found[-1].lines) + 1, f"{found[-1].name}: event {match[1]} out of order"
            found[-1].lines.append(match[2])
        elif line:
            head, rest = line.split(": ")
            for item in rest.split(", "):
                _begin(found[-1], head, item)
    return found


def _begin(told: Told, head: str, item: str) -> None:
    words = item.split()
    if head == "people":
        told.people[words[0]] = words[1] if len(words) > 1 else "room"
    elif head == "boxes":
        is_glass = words[0] == "glass"
        name = words[int(is_glass)]
        told.containers[name] = "room"
        if is_glass:
            told.glass.add(name)
        if match := re.search(r"with (\w+) on it", item):
            told.labels[name] = match[1]
    elif head in ("things", "known"):
        fact, value = _fact(told, item)
        if head == "known":
            told.common[fact] = value
        told.initial[fact] = value
    elif head == "distrusts":
        told.initial[("trusts", words[0], words[1])] = False
    else:
        assert head == "places", head


def _fact(told: Told, text: str) -> tuple[Fact, Value]:
    """Read "ball in box", "ball with Sally", "ball on floor", "ball unknown", "Van at park", "Van plans church"."""
    about, *how = text.split()
    if how[0] == "plans":
        return ("plan", about), how[1]
    kind = "at" if about in told.people else "in"
    value = None if how == ["unknown"] else how[1]
    return (kind, about), PLACES.get(value, value) if value else None


def build(told: Told) -> Story:
    things = {fact for fact in told.initial if fact[0] == "in"}
    where = dict(told.people)
    events = []
    for number, line in enumerate(told.lines, 1):
        who, *words = line.split()
        said, place = " ".join(words), where[who]
        onset: tuple[tuple[Fact, Value], ...] = ()
        effects: tuple[tuple[Fact, Value], ...] = ()
        says: tuple[Fact, Value] | None = None
        reveals: tuple[Fact, ...] = ()
        start_s = 2.0 * number
        end_s = start_s + 1
        if match := re.fullmatch(r"puts (\w+) in (\w+)|moves (\w+) to (\w+)", said):
            effects = ((("in", match[1] or match[3]), match[2] or match[4]),)
        elif match := re.fullmatch(r"(takes|drops) (\w+)", said):
            effects = ((("in", match[2]), who if match[1] == "takes" else place),)
        elif said in GOES or words[:2] == ["goes", "to"]:
            where[who] = GOES.get(said) or words[2]
            effects = ((("at", who), where[who]),)
            place = "room" if said == "comes in" else place
        elif said in ("turns away", "turns back"):
            effects = ((("turned", who), said == "turns away"),)
        elif match := re.fullmatch(r"peeks for (\d)", said):
            onset, effects = ((("at", who), "window"),), ((("at", who), "outside"),)
            place, end_s = "window", start_s + 2 * int(match[1]) + 1.5
        elif words[0] == "spots":
            reveals = (("at", words[1]),)
        elif words[0] == "opens":
            onset, effects = ((("open", words[1]), True),), ((("open", words[1]), False),)
        elif words[:2] == ["looks", "into"]:
            reveals = tuple(fact for fact in sorted(things) if told.initial[fact] == words[2])
            if words[2] in told.labels:
                reveals += (("in", told.labels[words[2]]),)
        elif words[0] == "says":
            says = _fact(told, said[5:])
        elif words[0] == "wants":
            effects = ((("wants", who), words[1]),)
        elif words[0] == "plans":
            effects = ((("plan", who), words[1]),)
        else:
            assert said == "waves", f"{told.name}: cannot read {line!r}"
        events.append(
            Event(str(number), words[0], start_s, end_s, who, place, onset, effects, says=says, reveals=reveals)
        )
    initial: dict[Fact, Value] = {**told.initial}
    initial.update({("at", person): place for person, place in told.people.items()})
    return Story(
        tuple(told.people), initial, tuple(events), SIGHT, EARSHOT, told.containers, frozenset(told.glass), told.labels,
        told.common,
    )  # fmt: skip


def check(told: Told, minds: Minds, answer: str) -> None:
    """Compare one written answer with what the program says."""
    answer, *rest = answer.split(", because ")
    because = rest[0].split() if rest else None

    def ends(number: str) -> float:
        if number.startswith("beginning of "):
            return minds.story.events[int(number.split()[-1]) - 1].start_s
        return minds.end_s if number == "end" else minds.story.events[int(number) - 1].end_s

    if match := re.fullmatch(r"(\d+) is (?:the |a )(\w+)", answer):
        assert minds.honesty(match[1]) == match[2]
    elif match := re.fullmatch(r"(\w+) perceived: (.+)", answer):
        assert sorted(minds.perceived(match[1])) == sorted(match[2].split())
    elif match := re.fullmatch(r"(.+) knows (\w+): (yes|no)", answer):
        assert minds.knows(*match[1].split(" > "), fact=("in", match[2])) == (match[3] == "yes")
    elif match := re.fullmatch(r"(\w+) trusts (\w+): (yes|no)", answer):
        found = minds.truth(("trusts", match[1], match[2])).value
        assert (found is not False) == (match[3] == "yes")
        assert minds.belief(match[1], fact=("trusts", match[1], match[2])) in (
            None,
            minds.truth(("trusts", *match.groups()[:2])),
        )
    elif match := re.fullmatch(r"(\w+) wrong about (\w+): (.+)", answer):
        ranges = [] if match[3] == "never" else [span.split("-") for span in match[3].split(", ")]
        spans = tuple((ends(start), ends(end)) for start, end in ranges)
        assert minds.false_spans(match[1], ("in", match[2])) == spans
    elif match := re.fullmatch(r"(?:(.+): )?(\w+) holds (.+)", answer):
        chain, names = match[1].split(" > ") if match[1] else [], match[3].split()
        container = match[2]
        assert minds.contents(*chain, container=container) == (() if names == ["nothing"] else tuple(sorted(names)))
        if because is not None:
            assert list(minds.evidence_of(lambda m: m.contents(*chain, container=container))) == because
    elif match := re.fullmatch(r"(.+) wants: (.+)", answer):
        *chain, who = match[1].split(" > ")
        wish = minds.belief(*chain, fact=("wants", who))
        assert (None if wish is None else wish.value) == (None if match[2] == "no idea" else match[2])
    else:
        chain = answer.split(": ")[0].split(" > ") if ": " in answer else []
        text = answer.split(": ")[-1]
        if match := re.fullmatch(r"(\w+) (no idea|nowhere)", text):
            assert minds.belief(*chain, fact=("in", match[1])) is None
            return
        fact, value = _fact(told, text)
        believed = minds.belief(*chain, fact=fact)
        assert believed is not None
        assert believed.value == value
        if because is not None:
            assert list(minds.evidence(*chain, fact=fact)) == because


STORIES = [told for path in sorted(FOLDER.glob("[0-9]*.txt")) for told in read(path.read_text())]


@pytest.mark.parametrize("told", STORIES, ids=lambda told: told.name)
def test_everybody_believes_what_a_reader_says_they_do(told: Told) -> None:
    minds = Minds(build(told))
    for answer in told.answers:
        try:
            check(told, minds, answer)
        except AssertionError as error:
            raise AssertionError(f"{told.name}: ? {answer}\n{error}") from error


@pytest.mark.parametrize("told", STORIES, ids=lambda told: told.name)
def test_the_evidence_of_every_answer_entails_it_and_is_minimal(told: Told) -> None:
    """By trying every choice of the other events."""
    story = build(told)
    minds = Minds(story)
    worlds: dict[frozenset[str], Minds] = {}

    def entails(kept: frozenset[str], chain: tuple[str, ...], fact: Fact) -> bool:
        others = sorted({event.id for event in story.events} - kept)
        for bits in range(1 << len(others)):
            ids = kept | {event for place, event in enumerate(others) if bits >> place & 1}
            world = worlds.setdefault(ids, Minds(only(story, ids)))
            if held(world, chain, fact) != held(minds, chain, fact):
                return False
        return True

    def held(world: Minds, chain: tuple[str, ...], fact: Fact) -> object:
        believed = world.belief(*chain, fact=fact)
        return None if believed is None else (believed.value,)

    asked = {
        answer.split(", because ")[0]
        for answer in told.answers
        if re.search(r": \w+ (in|with|unknown|no idea)", answer)
    }
    for answer in sorted(asked):
        people, what = answer.split(": ")
        chain = tuple(people.split(" > "))
        fact: Fact = ("at" if what.split()[0] in told.people else "in", what.split()[0])
        evidence = frozenset(minds.evidence(*chain, fact=fact))
        assert entails(evidence, chain, fact), answer
        for event in sorted(evidence):
            assert not entails(evidence - {event}, chain, fact), f"{answer}, without {event}"


def test_there_are_sixty_stories_with_two_answers_each() -> None:
    assert len(STORIES) >= 60
    assert len({told.name for told in STORIES}) == len(STORIES)
    asked = {
        told.name: [answer for answer in told.answers if not re.match(r"\d|\w+ in \w+$|\w+ perceived", answer)]
        for told in STORIES
    }
    assert [name for name, answers in asked.items() if len(answers) < 2] == []
