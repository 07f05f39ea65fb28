"""A film goes in; inquiries about what is and was so, who wants what, and what there is to see come out."""

from __future__ import annotations

from collections.abc import Sequence

from eval.worlds import art, design, splits
from eval.worlds.inquiries import Asker, Held, Inquiry, Solve, Together
from eval.worlds.scene import ROOM, YARD, Person
from eval.worlds.voice import Named
from roles.minds import Event

CAUSES: dict[str, str] = {"leave": "{0} went out", "look_away": "{0} turned away", "hide": "{0} went behind the screen"}
"""What people do so that they see nothing of the containers."""
OTHERS = 40
"""So many other sets are looked at for one that has interludes, or has none, as this one."""
MEMORIES = 2
"""Questions about the past that are asked of one film."""


def placing(a: Asker) -> list[Inquiry]:
    """Where the thing is."""
    if a.scene.family == "contents" or a.reality is None:
        return []
    return _place(a, "reality", "", a.reality, a.evidence(), a.value())


def _place(
    a: Asker, kind: str, variant: str, answer: str, events: tuple[str, ...], solve: Solve | None = None
) -> list[Inquiry]:
    """A question with containers to choose from: the two offered, or all that the thing was in."""
    cast = a.scene.cast
    fixed = answer in cast.offered and a.scene.family != "testimony"
    names = cast.offered if fixed else tuple(dict.fromkeys(cast.path))
    if answer not in names or len(names) < 2:
        return []
    return [
        Inquiry(
            kind,
            variant,
            {"o": ("thing", cast.thing)},
            tuple(("container", name) for name in names),
            ("container", answer),
            events,
            fixed=fixed,
            solve=solve,
        )
    ]


def remembering(a: Asker) -> list[Inquiry]:
    """Where the thing was, who put and moved it, and what the believer did."""
    if a.scene.family == "contents" or not a.laid:
        return []
    found: dict[str, list[Inquiry]] = {}
    first, last = a.laid[0], a.laid[-1]
    places = [_target(a, event) for event in a.laid]
    if a.scene.story.initial.get(a.where) not in a.boxes:
        found["first"] = _place(a, "memory", "first", places[0], (first.id,))
        found["putter"] = _doer(a, "putter", first, {"c": ("container", places[0])})
    if len(a.laid) > 1:
        taken = _before(a, last)
        found["before"] = _place(a, "memory", "before", places[-2], (*taken, last.id))
    if len(a.laid) > 1 and places.count(places[-1]) == 1:
        slots: dict[str, Named] = {"c": ("container", places[-2]), "c2": ("container", places[-1])}
        found["mover"] = _doer(a, "mover", last, slots)
    found["did"] = _did(a)
    order = ["first", "before", "mover", "putter", "did"]
    a.dice("memory").shuffle(order)
    asked = [inquiry for name in order for inquiry in found.get(name, [])]
    return asked[:MEMORIES]


def _target(a: Asker, event: Event) -> str:
    return next(str(value) for fact, value in event.effects if fact == a.where and value in a.boxes)


def _before(a: Asker, last: Event) -> tuple[str, ...]:
    """The event that took the thing out, where that is not the same that laid it in elsewhere."""
    taken = [e.id for e in a.events if e.end_s < last.end_s and (a.where, last.actor) in e.effects]
    return tuple(taken[-1:]) if last.kind == "put" else ()


def _doer(a: Asker, variant: str, event: Event, slots: dict[str, Named]) -> list[Inquiry]:
    people = [name for name in a.seen_people if a.scene.story.initial.get(("at", name)) != YARD]
    others = [name for name in people if name != event.actor]
    if not others or event.actor not in people:
        return []
    # The believer is always among the two, or else the mover: their part alone does not tell.
    cast = a.scene.cast
    other = next((name for name in (cast.believer, cast.mover) if name in others), others[0])
    pair = tuple(name for name in people if name in (event.actor, other))
    return [
        Inquiry(
            "memory",
            variant,
            {"o": ("thing", cast.thing), **slots},
            tuple(("person", name) for name in pair),
            ("person", event.actor),
            (event.id,),
        )
    ]


def _did(a: Asker) -> list[Inquiry]:
    cast = a.scene.cast
    did = [event for event in a.events if event.actor == cast.believer and event.kind in CAUSES]
    if len(did) != 1 or (a.laid and did[0].end_s < a.laid[0].end_s):
        return []
    she = next(person.pronoun for person in a.scene.people if person.name == cast.believer)
    return [
        Inquiry(
            "memory",
            "did",
            {"x": ("person", cast.believer), "o": ("thing", cast.thing)},
            tuple(("text", text.format(she)) for text in CAUSES.values()),
            ("text", CAUSES[did[0].kind].format(she)),
            (did[0].id,),
        )
    ]


def wanting(a: Asker) -> list[Inquiry]:
    """Who wants what; the last wish counts."""
    cast = a.scene.cast
    wanted = {name: a.minds.truth(("wants", name)).value for name in (cast.believer, cast.mover)}
    things = _shown_things(a)[:2]
    dice = a.dice("goal")
    variant, who, what = dice.choice(("what", "who")), dice.choice(list(wanted)), dice.randrange(2)
    if len(things) < 2 or any(value not in things for value in wanted.values()):
        return []
    if variant == "who" and len(set(wanted.values())) == 2:
        thing = things[what]
        person = next(name for name, value in wanted.items() if value == thing)
        people = tuple(name for name in a.seen_people if name in wanted)
        start = {event for name in wanted for event in a.minds.truth(("wants", name)).why}
        return [
            Inquiry(
                "goal",
                "who",
                {"o": ("thing", thing)},
                tuple(("person", name) for name in people),
                ("person", person),
                a.evidence_of(("wants",), _wants(tuple(wanted)), start),
                solve=_wants(tuple(wanted)),
            )
        ]
    events = a.evidence(fact=("wants", who))
    return [
        Inquiry(
            "goal",
            "what",
            {"x": ("person", who)},
            tuple(("thing", name) for name in things),
            ("thing", str(wanted[who])),
            events,
            solve=_wants((who,)),
        )
    ]


def _shown_things(a: Asker) -> list[str]:
    """The main stage's things that lie about, are held or are handled at some time.

    A wish does not count: where only things that are wished for were offered, the other one would be it more often.
    """
    handled = {fact[1] for event in a.events for fact, _ in event.effects if fact[0] == "in"}
    stage = (ROOM, *(person.name for person in a.scene.people if person.place != YARD))
    return [thing.name for thing in a.scene.things if thing.name in handled or thing.inside in stage]


def _wants(people: tuple[str, ...]) -> Solve:
    return Together(tuple(Held((), ("wants", name)) for name in people))


def looking(a: Asker) -> list[Inquiry]:
    """What there is to see without following anything: numbers and colours."""
    scene = a.scene
    dice = a.dice("scene")
    order = ["people", "containers", "thing_colour", "container_colour", "wears"]
    dice.shuffle(order)
    has_yard = any(shot.place == YARD for shot in scene.shots)
    shown = [box for box in scene.containers if box.place == ROOM or has_yard]
    people = [p for p in scene.people if p.name in a.seen_people or (has_yard and p.place == YARD)]
    shapes = [box.shape for box in shown]
    single = [box for box in shown if shapes.count(box.shape) == 1]
    pick, yes = dice.random(), dice.random() < 0.5
    for variant in order:
        if variant in ("people", "containers"):
            number = len(people if variant == "people" else shown)
            other = _other_number(a, variant, has_yard)
            if other != number:
                numbers: tuple[Named, ...] = tuple(("text", str(n)) for n in sorted((number, other)))
                return [Inquiry("scene", variant, {}, numbers, ("text", str(number)))]
        if variant == "wears":
            return [_worn(people, yes, pick)]
        if variant == "thing_colour":
            main = next(thing for thing in scene.things if thing.name == scene.cast.thing)
            return [_colour(variant, main.shape, main.colour, art.THING_COLOURS, pick)]
        if variant == "container_colour" and single:
            box = single[dice.randrange(len(single))]
            return [_colour(variant, box.shape, box.colour, art.CONTAINER_COLOURS, pick)]
    return []


def _other_number(a: Asker, variant: str, has_yard: bool) -> int:
    """The number of another set of the same sort.

    Each of two numbers is then the right one as often as the other, however often it occurs: nothing is gained by
    knowing that most films have three people.
    """
    scene = a.scene
    chance, (low, high) = a.dice(f"scene/{variant}"), splits.RANGES[scene.split]
    for _ in range(OTHERS):
        other = design.design(chance.randrange(low, high), scene.family, None, None, None)
        if (len(other.layout.stages) > 1) == has_yard:
            break
    return len(other.layout.people if variant == "people" else other.layout.containers)


def _worn(people: Sequence[Person], yes: bool, pick: float) -> Inquiry:
    worn = {person.shirt for person in people}
    colours = [colour for colour in art.SHIRTS if (colour in worn) == yes]
    answers: tuple[Named, ...] = (("text", "yes"), ("text", "no"))
    colour = colours[int(pick * len(colours))]
    return Inquiry("scene", "wears", {"colour": ("text", colour)}, answers, answers[0 if yes else 1])


def _colour(variant: str, shape: str, colour: str, colours: Sequence[str], pick: float) -> Inquiry:
    wrong = [other for other in colours if other != colour]
    options: tuple[Named, ...] = (("text", colour), ("text", wrong[int(pick * len(wrong))]))
    return Inquiry("scene", variant, {"shape": ("text", shape)}, options, ("text", colour))
