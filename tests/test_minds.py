"""What must hold of minds in every story: properties over random stories, evidence against brute force, bad input."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roles.errors import DataError
from roles.minds import Event, Fact, Minds, StagePerception, Story, Value, only, without
from tests.minds_stage import EARSHOT, SIGHT

PEOPLE = ("Ann", "Bob", "Cid")
THINGS = ("ball", "car")
CONTAINERS = ("basket", "box", "jar", "tin")
PLACES = ("room", "nook", "window", "outside")
BALL: Fact = ("in", "ball")
FEW = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Watchful(StagePerception):
    """Ann sees and hears everything, wherever she is."""

    def sees(self, who: str, place: Value, state: Mapping[Fact, Value], story: Story) -> bool:
        return who == "Ann" or super().sees(who, place, state, story)

    def hears(self, who: str, event: Event, state: Mapping[Fact, Value], story: Story) -> bool:
        return who == "Ann" or super().hears(who, event, state, story)

    def views(self, who: str, fact: Fact, state: Mapping[Fact, Value], story: Story) -> bool:
        return (who == "Ann" and fact[0] in ("in", "at", "open", "turned")) or super().views(who, fact, state, story)

    def watches(self, who: str, fact: Fact, state: Mapping[Fact, Value], story: Story) -> bool:
        return who == "Ann" or super().watches(who, fact, state, story)


class Unsliced(StagePerception):
    """The same rules, but nothing may be left out as irrelevant."""

    local = False


@st.composite
def events(draw: st.DrawFn, number: int, *, tells: bool = True, people: tuple[str, ...] = PEOPLE) -> Event:
    actor = draw(st.sampled_from(people))
    kinds = ["put", "put", "go", "go", "turn", "peek", "open", "look", "wish", "idle", *(["tell"] * 3 if tells else [])]
    kind = draw(st.sampled_from(kinds))
    start_s = float(number if draw(st.booleans()) else draw(st.integers(0, number)))
    end_s = start_s + draw(st.sampled_from((0.5, 1.0, 2.5)))
    place = draw(st.sampled_from(("room", "room", "room", *PLACES)))
    event = Event(f"e{number}", kind, start_s, end_s, actor, place)
    thing, container = draw(st.sampled_from(THINGS)), draw(st.sampled_from(CONTAINERS))
    if kind == "put":
        return replace(event, effects=((("in", thing), draw(st.sampled_from((container, container, actor, "room")))),))
    if kind == "go":
        return replace(event, effects=((("at", actor), draw(st.sampled_from(PLACES))),))
    if kind == "turn":
        return replace(event, effects=((("turned", actor), draw(st.booleans())),))
    if kind == "peek":
        return replace(event, place="window", onset=((("at", actor), "window"),), effects=((("at", actor), "outside"),))
    if kind == "open":
        return replace(event, onset=((("open", container), True),), effects=((("open", container), False),))
    if kind == "look":
        return replace(event, reveals=(draw(st.sampled_from((("in", thing), ("at", draw(st.sampled_from(people)))))),))
    if kind == "wish":
        return replace(event, effects=((("wants", actor), thing),))
    if kind == "tell":
        about: tuple[Fact, Value] = (("in", thing), container)
        if draw(st.integers(0, 3)) == 0:
            about = (("at", draw(st.sampled_from(people))), draw(st.sampled_from(PLACES)))
        return replace(event, says=about)
    return event


@st.composite
def stories(draw: st.DrawFn, most: int = 7, *, tells: bool = True, all_known: bool = False) -> Story:
    count = draw(st.integers(3, most))
    initial: dict[Fact, Value] = {("at", person): draw(st.sampled_from(("room", "room", *PLACES))) for person in PEOPLE}
    for thing in THINGS:
        initial[("in", thing)] = draw(st.sampled_from((*CONTAINERS, "Ann", "Bob", "room")))
    labels = {}
    if not all_known and draw(st.booleans()):
        labels["tin"] = draw(st.sampled_from((*THINGS, "sweets")))
    if draw(st.integers(0, 3)) == 0:
        initial[("trusts", "Ann", "Bob")] = False
    return Story(
        people=PEOPLE,
        initial=initial,
        events=tuple(draw(events(number, tells=tells)) for number in range(count)),
        sight=SIGHT,
        earshot=EARSHOT,
        containers=dict.fromkeys(CONTAINERS, "room"),
        glass=frozenset(("jar",)),
        labels=labels,
        common=initial if all_known else {},
    )


CHAINS = [
    (),
    ("Ann",),
    ("Bob",),
    ("Ann", "Bob"),
    ("Bob", "Ann"),
    ("Cid", "Ann"),
    ("Ann", "Bob", "Ann"),
    ("Cid", "Ann", "Bob"),
]
FACTS: list[Fact] = [
    BALL, ("in", "car"), ("in", "sweets"), ("at", "Ann"), ("at", "Bob"), ("wants", "Ann"), ("trusts", "Ann", "Bob"),
]  # fmt: skip


def value(minds: Minds, chain: tuple[str, ...], fact: Fact, at_s: float | None = None) -> object:
    found = minds.belief(*chain, fact=fact, at_s=at_s)
    return None if found is None else (found.value, found.source)


def picture(minds: Minds, at_s: float | None = None) -> dict[tuple[tuple[str, ...], Fact], object]:
    return {(chain, fact): value(minds, chain, fact, at_s) for chain in CHAINS for fact in FACTS}


@FEW
@given(stories(all_known=True))
def test_who_perceives_everything_has_no_false_belief(story: Story) -> None:
    minds = Minds(story, Watchful())
    for fact in (
        BALL,
        ("in", "car"),
        ("at", "Bob"),
        ("at", "Cid"),
        ("turned", "Bob"),
        ("wants", "Bob"),
        ("wants", "Cid"),
    ):
        assert value(minds, ("Ann",), fact) == value(minds, (), fact)
        assert minds.false_spans("Ann", fact) == ()


@FEW
@given(stories(tells=False, all_known=True))
def test_who_perceives_everything_knows_what_everybody_believes(story: Story) -> None:
    minds = Minds(story, Watchful())
    for fact in (BALL, ("in", "car"), ("at", "Ann"), ("at", "Cid")):
        assert value(minds, ("Ann", "Bob"), fact) == value(minds, ("Bob",), fact)
        assert value(minds, ("Ann", "Bob", "Cid"), fact) == value(minds, ("Bob", "Cid"), fact)


@FEW
@given(stories())
def test_what_one_thinks_that_one_believes_is_what_one_believes(story: Story) -> None:
    minds = Minds(story)
    for fact in FACTS:
        assert minds.belief("Ann", "Ann", fact=fact) == minds.belief("Ann", fact=fact)
        assert minds.belief("Bob", "Ann", "Ann", fact=fact) == minds.belief("Bob", "Ann", fact=fact)
        assert minds.belief("Bob", "Bob", "Ann", fact=fact) == minds.belief("Bob", "Ann", fact=fact)


@FEW
@given(stories(), st.permutations([*PEOPLE, *THINGS, *CONTAINERS, *PLACES, "sweets"]))
def test_renaming_and_mirroring_carry_the_answers_along(story: Story, shuffled: list[str]) -> None:
    """Everybody and everything gets another's name: people, things, containers and places alike."""
    new = dict(zip([*PEOPLE, *THINGS, *CONTAINERS, *PLACES, "sweets"], shuffled, strict=True))

    def name(item: Value) -> Value:
        return new.get(item, item) if isinstance(item, str) else item

    def fact_of(fact: Fact) -> Fact:
        return (fact[0], *(new.get(part, part) for part in fact[1:]))

    def facts_of(items: tuple[tuple[Fact, Value], ...]) -> tuple[tuple[Fact, Value], ...]:
        return tuple((fact_of(fact), name(item)) for fact, item in items)

    def places_of(seen: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
        return {new[place]: frozenset(new[other] for other in others) for place, others in seen.items()}

    renamed = Story(
        people=tuple(new[person] for person in story.people),
        initial=dict(facts_of(tuple(story.initial.items()))),
        events=tuple(
            replace(
                event,
                actor=new[event.actor],
                place=new[event.place],
                onset=facts_of(event.onset),
                effects=facts_of(event.effects),
                says=facts_of((event.says,))[0] if event.says else None,
                reveals=tuple(fact_of(fact) for fact in event.reveals),
            )
            for event in story.events
        ),
        sight=places_of(story.sight),
        earshot=places_of(story.earshot),
        containers={new[container]: new[place] for container, place in story.containers.items()},
        glass=frozenset(new[container] for container in story.glass),
        labels={new[container]: new[thing] for container, thing in story.labels.items()},
    )
    minds, others = Minds(story), Minds(renamed)
    for chain in CHAINS:
        for fact in FACTS:
            before = minds.belief(*chain, fact=fact)
            after = others.belief(*(new[person] for person in chain), fact=fact_of(fact))
            assert (before is None) == (after is None)
            if before is not None and after is not None:
                assert (name(before.value), before.why, before.since_s) == (after.value, after.why, after.since_s)


@FEW
@given(
    stories(most=5), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE), st.sampled_from(CONTAINERS), st.integers(0, 5)
)
def test_independent_events_commute(story: Story, one: str, other: str, container: str, when: int) -> None:
    """Two things are put somewhere; who watches sees both, who does not, neither: the order is of no account."""
    first = Event("x", "put", 0.0, 0.0, one, "room", effects=((BALL, container),))
    second = Event("y", "put", 0.0, 0.0, other, "room", effects=((("in", "car"), "basket"),))

    def told(earlier: Event, later: Event) -> Minds:
        at_s = when + 0.1
        pair = (replace(earlier, start_s=at_s, end_s=at_s), replace(later, start_s=at_s + 0.1, end_s=at_s + 0.1))
        return Minds(replace(story, events=(*story.events, *pair)))

    assert picture(told(first, second)) == picture(told(second, first))


@FEW
@given(stories())
def test_an_event_in_a_place_that_nobody_sees_changes_no_belief(story: Story) -> None:
    story = replace(story, people=(*PEOPLE, "Dot"), initial={**story.initial, ("at", "Dot"): "cellar"})
    alone = Event("z", "put", 1.0, 2.0, "Dot", "cellar", effects=((("in", "lamp"), "Dot"),), says=(BALL, "box"))
    assert picture(Minds(replace(story, events=(*story.events, alone)))) == picture(Minds(story))


@FEW
@given(stories(), st.floats(0, 10))
def test_what_happens_later_changes_nothing_now(story: Story, at_s: float) -> None:
    later = [event.id for event in story.events if event.start_s > at_s]
    assert picture(Minds(without(story, later)), at_s) == picture(Minds(story), at_s)


@FEW
@given(stories())
def test_rules_that_look_at_little_give_the_answers_of_those_that_look_at_everything(story: Story) -> None:
    assert picture(Minds(story)) == picture(Minds(story, Unsliced()))


@FEW
@given(stories())
def test_changes_retell_a_belief_from_start_to_end(story: Story) -> None:
    minds = Minds(story)
    for chain in (("Ann",), ("Ann", "Bob")):
        for fact in FACTS:
            held = minds.belief(*chain, fact=fact, at_s=-1.0)
            for change in minds.changes(*chain, fact=fact):
                assert (change.before and change.before.value) == (held and held.value)
                held = change.after
            assert (held and held.value) == ((end := minds.belief(*chain, fact=fact)) and end.value)


@FEW
@given(stories())
def test_false_spans_are_where_belief_and_truth_differ(story: Story) -> None:
    minds = Minds(story)
    for fact in (BALL, ("at", "Bob")):
        spans = minds.false_spans("Ann", fact)
        for tenth in range(int(minds.end_s * 10)):
            at_s = tenth / 10 + 0.05
            held = minds.belief("Ann", fact=fact, at_s=at_s)
            is_false = held is not None and held.value is not None and held.value != minds.truth(fact, at_s).value
            assert any(start <= at_s < end for start, end in spans) == is_false


def entails(story: Story, kept: set[str], question: Callable[[Minds], object]) -> bool:
    """Try every choice of the other events."""
    expected = question(Minds(story))
    others = [event.id for event in story.events if event.id not in kept]
    for size in range(len(others) + 1):
        for choice in combinations(others, size):
            try:
                found = question(Minds(only(story, kept | set(choice))))
            except DataError:
                return False
            if found != expected:
                return False
    return True


@settings(FEW, max_examples=150)
@given(stories(most=6), st.data())
def test_evidence_entails_the_belief_and_nothing_can_be_left_out(story: Story, data: st.DataObject) -> None:
    minds, unmoved = Minds(story), picture(Minds(only(story, ())))
    changed = [key for key, held in picture(minds).items() if held != unmoved[key]]
    chain, fact = data.draw(st.sampled_from(changed or list(unmoved)))
    evidence = set(minds.evidence(*chain, fact=fact))

    def ask(some: Minds) -> object:
        found = some.belief(*chain, fact=fact)
        return None if found is None else (found.value,)

    assert entails(story, evidence, ask)
    assert not any(entails(story, evidence - {event}, ask) for event in evidence)
    assert evidence == set(Minds(story, Unsliced()).evidence(*chain, fact=fact))


@settings(FEW, max_examples=60)
@given(stories(most=5), st.floats(0, 6))
def test_evidence_of_any_question_entails_it_and_is_minimal(story: Story, at_s: float) -> None:
    minds = Minds(story)
    questions: list[Callable[[Minds], object]] = [
        lambda m: m.knows("Ann", fact=BALL),
        lambda m: [person for person in PEOPLE if not m.knows(person, fact=BALL)],
        lambda m: m.contents("Ann", container="tin"),
        lambda m: m.knows("Ann", fact=BALL, at_s=at_s) and m.knows("Bob", fact=("in", "car")),
        lambda m: m.truth(("trusts", "Ann", "Bob")).value,
        lambda m: len(m.changes("Ann", fact=BALL)),
        *((lambda m, told=event.id: m.honesty(told)) for event in story.events if event.says),
    ]
    for question in questions:
        evidence = set(minds.evidence_of(question))
        assert entails(story, evidence, question)
        assert not any(entails(story, evidence - {event}, question) for event in evidence)


def sally_and_anne(*further: Event) -> Story:
    return Story(
        people=("Sally", "Anne"),
        initial={("at", "Sally"): "room", ("at", "Anne"): "room", BALL: "Sally"},
        events=(
            Event("put", "put", 1, 2, "Sally", "room", effects=((BALL, "basket"),)),
            Event("leave", "leave", 3, 4, "Sally", "room", effects=((("at", "Sally"), "outside"),)),
            Event("move", "move", 5, 6, "Anne", "room", effects=((BALL, "box"),)),
            *further,
        ),
        sight=SIGHT,
        earshot=EARSHOT,
        containers={"basket": "room", "box": "room"},
    )


def test_a_belief_says_since_when_by_what_and_why() -> None:
    believed = Minds(sally_and_anne()).belief("Sally", fact=BALL)
    assert believed is not None
    assert (believed.value, believed.since_s, believed.source, believed.teller) == ("basket", 2, "saw", None)
    assert believed.why == {"put", "leave"}


def test_who_is_told_names_the_teller() -> None:
    minds = Minds(sally_and_anne(Event("tell", "tell", 7, 8, "Anne", "outside", says=(BALL, "box"))))
    believed = minds.belief("Sally", fact=BALL)
    assert believed is not None
    assert (believed.value, believed.source, believed.teller, believed.since_s) == ("box", "told", "Anne", 8)
    turn = minds.changes("Sally", fact=BALL)[-1]
    assert (turn.time_s, turn.event, turn.was_true, turn.is_true) == (8, "tell", False, True)


def test_whom_she_trusts_and_what_she_wants_she_knows_whatever_changed_it() -> None:
    doubt: Fact = ("trusts", "Sally", "Anne")
    further = (
        Event("doubt", "think", 7, 8, "Anne", "cellar", effects=((doubt, False), (("wants", "Sally"), "box"))),
        Event("tell", "tell", 9, 10, "Anne", "outside", says=(BALL, "box")),
    )
    minds = Minds(sally_and_anne(*further))
    assert minds.knows("Sally", fact=doubt) or minds.truth(doubt).value is False
    assert minds.knows("Sally", fact=("wants", "Sally"))
    assert (found := minds.belief("Sally", fact=BALL)) is not None
    assert found.value == "basket"
    assert minds.evidence("Sally", fact=BALL) == ("put", "leave", "doubt")


def test_an_event_happens_whole_or_not_at_all() -> None:
    story = Story(
        people=("Sally",),
        initial={("at", "Sally"): "room", BALL: "basket", ("in", "car"): "basket"},
        events=(
            Event("both", "move", 1, 2, "Sally", "room", onset=((BALL, "box"),), effects=((("in", "car"), "box"),)),
        ),
        sight=SIGHT,
        earshot=EARSHOT,
    )
    assert Minds(story).evidence_of(lambda m: m.truth(BALL).value == m.truth(("in", "car")).value) == ()


def test_evidence_of_how_somebody_stands_includes_that_she_went_out_of_sight() -> None:
    turned: Fact = ("turned", "Sally")
    minds = Minds(sally_and_anne(Event("turn", "turn", 7, 8, "Sally", "outside", effects=((turned, True),))))
    assert minds.belief("Anne", fact=turned) is None
    assert minds.evidence("Anne", fact=turned) == ("leave",)


def test_evidence_names_the_lie_about_another_thing_that_cost_the_speaker_her_trust() -> None:
    key: Fact = ("in", "key")
    story = sally_and_anne(
        Event("lie", "tell", 7, 8, "Anne", "outside", says=(key, "box")),
        Event("find", "look", 9, 10, "Sally", "outside", reveals=(key,)),
        Event("tell", "tell", 11, 12, "Anne", "outside", says=(BALL, "box")),
    )
    minds = Minds(replace(story, initial={**story.initial, key: "drawer"}))
    assert minds.truth(("trusts", "Sally", "Anne")).value is False
    assert minds.evidence("Sally", fact=BALL) == ("put", "leave", "lie", "find")


def test_evidence_keeps_what_it_is_asked_to_keep_where_there_is_a_choice() -> None:
    twice = sally_and_anne(
        Event("in", "enter", 7, 8, "Sally", "room", effects=((("at", "Sally"), "room"),)),
        Event("first", "open", 9, 10, "Anne", "room", reveals=(BALL,), onset=((("open", "box"), True),)),
        Event("second", "open", 11, 12, "Anne", "room", reveals=(BALL,), onset=((("open", "box"), True),)),
    )
    minds = Minds(twice)

    def ask(some: Minds) -> object:
        return some.contents("Sally", container="box")

    assert "second" in minds.evidence_of(ask, start=("second",))
    assert "first" in minds.evidence_of(ask, start=("first",))


def test_a_question_about_times_has_evidence_as_well() -> None:
    minds = Minds(sally_and_anne())
    assert minds.evidence_of(lambda m: m.false_spans("Sally", BALL)[0][0]) == ("put", "leave", "move")
    assert minds.evidence_of(lambda m: "put" in m.perceived("Sally")) == ("put",)
    assert minds.evidence_of(lambda m: len(m.story.events) > 2) == ("put", "leave", "move")


def test_evidence_of_a_long_story_is_found_fast() -> None:
    """Thirty calls for a film of 150 events may not hold up its making."""
    noise = [
        Event(f"n{number}", "go", 10 + number, 10.5 + number, ("Sally", "Anne")[number % 2], "outside",
              effects=((("at", ("Sally", "Anne")[number % 2]), ("outside", "yard")[number // 2 % 2]),))
        for number in range(147)
    ]  # fmt: skip
    minds = Minds(sally_and_anne(*noise))
    began = time.perf_counter()
    assert minds.evidence("Sally", fact=BALL) == ("put", "leave")
    assert minds.evidence("Anne", "Sally", fact=BALL) == ("put", "leave")
    assert time.perf_counter() - began < 2


def test_bad_stories_and_questions_are_refused_in_one_line() -> None:
    story = sally_and_anne()
    with pytest.raises(DataError, match="two events of the story are called 'put'"):
        Minds(replace(story, events=(*story.events, story.events[0])))
    with pytest.raises(DataError, match="'Tom' is not in the story; its people are Sally, Anne"):
        Minds(replace(story, events=(replace(story.events[0], actor="Tom"),)))
    for start_s, end_s in ((2.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (0.0, math.inf)):
        with pytest.raises(DataError, match="is no time"):
            Minds(replace(story, events=(replace(story.events[0], start_s=start_s, end_s=end_s),)))
    with pytest.raises(DataError, match=r"the story's beginning: .* is no fact"):
        Minds(replace(story, initial={("ball",): "basket"}))
    with pytest.raises(DataError, match=r"event 'put' .* is no fact"):
        Minds(replace(story, events=(replace(story.events[0], says=(("ball",), "basket")),)))
    minds = Minds(story)
    with pytest.raises(DataError, match="'Tom' is not in the story"):
        minds.belief("Tom", fact=BALL)
    with pytest.raises(DataError, match="nothing is said"):
        minds.honesty("put")
    with pytest.raises(DataError, match="no event 'x'; its events are put, leave, move"):
        minds.honesty("x")
    with pytest.raises(DataError, match="name at least one person"):
        minds.knows(fact=BALL)
