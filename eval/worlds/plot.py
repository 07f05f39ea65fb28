"""Plots: a seed and a kind go in, a scene comes out, with what everybody should think checked against `roles.minds`.

A seed names a matched set: one layout, one cast, one story; a kind is one change to it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from eval.worlds import check as checks
from eval.worlds import design as designs
from eval.worlds import layout, splits
from eval.worlds.design import KINDS, TRUE_KINDS, Design, M, W, X
from eval.worlds.draw import dice
from eval.worlds.interludes import Filler, plan, tail
from eval.worlds.mirror import mirrored
from eval.worlds.opening import EARSHOT, SIGHT, insides_of, places_of
from eval.worlds.scene import OUTSIDE, ROOM, YARD, Cast, Person, Scene
from eval.worlds.schedule import SETTLE_S, Director
from eval.worlds.tale import Tale
from eval.worlds.tales import TELL
from roles.errors import DataError
from roles.minds import Fact, Story, Value

SPARE_S = 2.5
"""At most so much is kept free: side stories move people about, whose ways then are longer in some films of a set."""
PACES = (0.85, 1.3)
"""Between these a film's pace is fitted to its length."""
LONGEST_S = 600.0
"""No film may be asked for that is longer."""


def scene(
    seed: int, kind: str, *, length_s: float | None = None, aspect: str | None = None, check: bool = True
) -> Scene:
    """The film of a kind from the set of a seed.

    Args:
        seed: Of the set; see `splits.RANGES`.
        kind: Any of `all_kinds()`, also one that the set does not have by itself: the set is then the one that the seed
            gives in the family of that kind. (One of `design.DEMANDING` that the set lacks may change the rest of the
            set's story: `peeked`, in a set whose believer stays inside, is told with one who goes out.)
        length_s: Length of the film, in seconds; longer where the story needs it. None draws one.
        aspect: Shape of the picture, one of `layout.ASPECTS`; None draws one.
        check: Whether to ask `roles.minds` if everybody thinks what the plot intends.

    Raises:
        DataError: There is no such kind or aspect, the seed is in no split, or the length is out of bounds.
        checks.PlotError: A mind is not as intended: an error of this program.
    """
    family = _family(kind)
    if length_s is not None and not (math.isfinite(length_s) and 5 <= length_s <= LONGEST_S):
        raise DataError(f"a film of {length_s} s: choose a length from 5 to {LONGEST_S:.0f} s")
    if aspect is not None and aspect not in layout.ASPECTS:
        raise DataError(f"no aspect {aspect!r}: choose one of {', '.join(layout.ASPECTS)}")
    design = _design(seed, family, kind, length_s, aspect)
    design = _paced(design)
    longest = max(_bare_s(design, member) for member in design.members)
    bare = _bare_s(design, kind)
    wanted = _wanted_s(design, max(longest, bare) + SETTLE_S)
    room = wanted - max(longest, bare) - SETTLE_S
    slots = plan(design, room - min(SPARE_S, 0.12 * room))
    tale = _tell(design, kind, slots, wanted - SETTLE_S, max(0.0, longest - bare))
    made = _scene(design, kind, tale, wanted)
    if kind == "mirrored":
        made = mirrored(made)
    if check:
        checks.verify(made)
    return made


def members(seed: int) -> tuple[str, ...]:
    """The kinds of a seed's set: its films."""
    splits.split_of(seed)
    return designs.members(seed, family_of(seed))


def all_kinds(family: str | None = None) -> tuple[str, ...]:
    """All kinds, or those of a family."""
    if family is None:
        return tuple(kind for kinds in KINDS.values() for kind in kinds)
    if family not in KINDS:
        raise DataError(f"no family {family!r}: choose one of {', '.join(KINDS)}")
    return KINDS[family]


def family_of(seed: int) -> str:
    """The family of a seed's set."""
    return designs.family_of(seed)


def _family(kind: str) -> str:
    for family, kinds in KINDS.items():
        if kind in kinds:
            return family
    raise DataError(f"no kind {kind!r}: choose one of {', '.join(all_kinds())}")


def _design(seed: int, family: str, kind: str, length_s: float | None, aspect: str | None) -> Design:
    # Only a kind that the set lacks may need another story; all others share one design, which is kept for the next.
    alien = kind if kind in designs.DEMANDING and kind not in designs.members(seed, family) else None
    return designs.design(seed, family, alien, length_s, aspect)


@lru_cache(maxsize=4096)
def _bare_s(design: Design, kind: str) -> float:
    """How long a film takes with nothing filled in."""
    return _tell(design, kind, {}).film.now


@lru_cache(maxsize=512)
def _paced(design: Design) -> Design:
    """The set at a pace at which its story fits into its class of length, and fills a short film by itself."""
    low, high = design.lengths
    for _ in range(3):
        least = max(_bare_s(design, member) for member in design.members) + SETTLE_S
        aim = low + (high - low) * design.at
        if least > high:
            aim = high - 0.1
        elif design.lengths != designs.LENGTHS["12-20"] or least > aim - 0.5:
            break
        pace = round(min(PACES[1], max(PACES[0], design.pace * least / aim)), 3)
        if pace == design.pace:
            break
        design = replace(design, pace=pace)
    return design


def _wanted_s(design: Design, least: float) -> float:
    """How long the films of the set are: drawn within the class, never shorter than the story."""
    low, high = design.lengths
    if design.lengths == designs.LENGTHS["12-20"]:
        return round(max(low, least), 2)
    low = max(low, least)
    return round(low + (max(high, low) - low) * design.at, 2)


def _tell(
    design: Design, kind: str, slots: dict[str, list[Filler]], limit_s: float = math.inf, slack_s: float = 0.0
) -> Tale:
    """Tells one film up to the end of its plot."""
    rooms = design.layout
    people = rooms.people
    names = rooms.other_names if kind == "renamed" else tuple(person.name for person in people)
    places = places_of(design)
    inside, floor = insides_of(design, kind, names)
    door = rooms.stages[0].door_x
    x = [door if place == OUTSIDE else person.x for person, place in zip(people, places, strict=True)]
    director = Director(
        key=design.key,
        stages={stage.place: stage for stage in rooms.stages},
        spots={box.name: (box.place, box.x) for box in rooms.containers},
        place=dict(zip(names, places, strict=True)),
        x=dict(zip(names, x, strict=True)),
        home={name: person.x for name, person in zip(names, people, strict=True)},
        inside=inside,
        floor=floor,
        pace=design.pace,
    )
    boxes = tuple(box.name for box in rooms.containers if box.place == ROOM)
    things = tuple(thing.name for thing in rooms.things[: 2 if design.second else 1])
    tale = Tale(design, kind, director, names[: design.people], boxes, things, slots, limit_s, slack_s)
    TELL[design.family](tale)
    return tale


def _scene(design: Design, kind: str, tale: Tale, wanted_s: float) -> Scene:
    """Closes the film and puts everything into a scene."""
    film, rooms = tale.film, design.layout
    end_s = max(wanted_s, round(film.now + SETTLE_S, 2))
    tail(film, design.key, end_s)
    events, beats, roles = film.finish(end_s)
    names = rooms.other_names if kind == "renamed" else tuple(person.name for person in rooms.people)
    places = places_of(design)
    inside, floor = insides_of(design, kind, names)
    door = rooms.stages[0].door_x
    people = [
        replace(person, name=name, place=place, x=door if place == OUTSIDE else person.x)
        for person, name, place in zip(rooms.people, names, places, strict=True)
    ]
    label = tale.things[1] if design.family == "contents" else None
    containers = [
        replace(
            box,
            glass=kind in ("transparent", "unseen_glass") and box.name == tale.boxes[design.moves],
            label=label if label is not None and box.name == tale.boxes[0] else None,
        )
        for box in rooms.containers
    ]
    things = tuple(replace(thing, inside=inside[thing.name], x=floor.get(thing.name, 0.0)) for thing in rooms.things)
    people = _shuffled(design, people)
    initial: dict[Fact, Value] = {("at", person.name): person.place for person in people}
    initial.update({("in", thing.name): thing.inside for thing in things})
    story = Story(
        people=tuple(person.name for person in people),
        initial=initial,
        events=events,
        sight=SIGHT,
        earshot=EARSHOT,
        containers={box.name: box.place for box in containers},
        glass=frozenset(box.name for box in containers if box.glass),
        labels={box.name: box.label for box in containers if box.label is not None},
    )
    # A film of a kind that is kept out of training counts as one for the generalisation split, whatever its seed.
    split = "generalisation" if kind in splits.HELD_KINDS else design.split
    return Scene(
        seed=design.seed,
        kind=kind,
        family=design.family,
        split=split,
        story=story,
        people=tuple(people),
        containers=tuple(containers),
        things=things,
        stages=rooms.stages,
        beats=beats,
        reactions=tuple(film.reactions),
        shots=film.shots(end_s),
        duration_s=end_s,
        cast=_cast(design, tale),
        coda=design.coda,
        look=replace(rooms.look, seed=dice(design.key, kind, "grain").randrange(1 << 31)),
        facts=_facts(design, kind, tale, end_s, roles),
    )


def _shuffled(design: Design, people: list[Person]) -> list[Person]:
    """The main stage's people in an order that tells nothing about their parts, then the yard's."""
    main = people[: design.people]
    dice(design.key, "order of people").shuffle(main)
    return main + people[design.people :]


def _cast(design: Design, tale: Tale) -> Cast:
    """Who plays what; for the contents family `path` is the container with the picture, `offered` are two things."""
    boxes = tale.boxes
    path = boxes[: design.moves + 1]
    offered = (boxes[design.seen], boxes[design.moves])
    if design.family == "testimony":
        offered = (boxes[0], tale.notes["said"])
    elif design.family == "contents":
        path, offered = boxes[:1], (tale.things[1], tale.things[0])
    if design.swap_offered:
        offered = (offered[1], offered[0])
    witness = tale.names[W] if design.people > W else None
    return Cast(tale.names[X], tale.names[M], witness, tale.things[0], path, offered)


def _facts(design: Design, kind: str, tale: Tale, end_s: float, roles: dict[str, str]) -> dict[str, str]:
    """What was drawn, as text; "event.NAME" are the ids of events by their part in the plot."""
    rooms = design.layout
    facts = {
        "believes": "true" if kind in TRUE_KINDS else "false",
        "thinks": tale.thinks,
        "reality": tale.things[0] if design.family == "contents" else tale.boxes[design.moves],
        "in_view": "yes" if design.in_view else "no",
        "cause": design.cause,
        "moves": str(design.moves if design.family != "contents" else int(kind in ("swapped", "swap_seen"))),
        "seen_moves": str(design.seen),
        "length": designs.length_class(end_s),
        "coda": "yes" if design.coda else "no",
        "people": str(design.people),
        "containers": str(len(tale.boxes)),
        "second": tale.things[1] if design.second else "",
        "wishes": "yes" if design.wishes is not None else "no",
        "interludes": str(sum(place == YARD for _, place in tale.film.cuts)),
        "pattern": rooms.pattern,
        "aspect": rooms.aspect,
        "door": rooms.door_side,
        "mirrored": "yes" if kind == "mirrored" else "no",
        "putter": tale.names[design.putter] if design.family != "testimony" else "",
        "witness": ("late" if design.late else "there") if design.people > W else "none",
    }
    if tale.expects is not None:
        facts["expects"] = tale.expects
    if kind == "told":
        facts["teller"] = tale.names[design.teller]
    if kind == "uninformative":
        facts["noise"] = design.noise
    facts.update(tale.notes)
    facts.update({f"event.{role}": name for role, name in sorted(roles.items()) if "/" not in role})
    return facts
