"""How a film begins: a design and a kind go in, where everybody and everything is at second 0 comes out."""

from __future__ import annotations

from eval.worlds import layout
from eval.worlds.design import Design, M, W, X
from eval.worlds.draw import unit
from eval.worlds.scene import NOOK, OUTSIDE, ROOM, WINDOW, YARD

AWAY = "away"
"""Where people of the yard go; nothing is seen or heard from there."""
ASIDE = 0.06
"""So far beyond where people stand things may lie."""
ROOM_FOR_THING = 0.185
"""Nearer than this to the middle of a container, a thing on the floor touches it."""
SIGHT = {
    ROOM: frozenset({ROOM}),
    NOOK: frozenset({NOOK}),
    WINDOW: frozenset({WINDOW, ROOM}),
    OUTSIDE: frozenset({OUTSIDE, WINDOW}),
    YARD: frozenset({YARD}),
    AWAY: frozenset({AWAY}),
}
"""What is seen from where: who is outside sees who stands at the window, and nobody in the room does."""
EARSHOT = {
    ROOM: frozenset({ROOM, NOOK}),
    NOOK: frozenset({ROOM, NOOK}),
    WINDOW: frozenset({OUTSIDE, WINDOW}),
    OUTSIDE: frozenset({OUTSIDE, WINDOW}),
    YARD: frozenset({YARD}),
    AWAY: frozenset({AWAY}),
}


def places_of(design: Design) -> list[str]:
    """Where everybody is at second 0."""
    places = [person.place for person in design.layout.people]
    if design.enters or design.family in ("testimony", "contents"):
        places[X] = OUTSIDE
    if design.late:
        places[W] = OUTSIDE
    return places


def insides_of(design: Design, kind: str, names: tuple[str, ...]) -> tuple[dict[str, str], dict[str, float]]:
    """Where everything is at second 0, and where things on the floor lie."""
    rooms = design.layout
    boxes = [box.name for box in rooms.containers if box.place == ROOM]
    things = [thing.name for thing in rooms.things]
    inside: dict[str, str] = {}
    if design.family == "contents":
        swapped = kind in ("swapped", "swap_seen")
        inside[things[0]], inside[things[1]] = (boxes[1], boxes[0]) if swapped else (boxes[0], boxes[1])
    else:
        held = M if design.family == "testimony" else design.putter
        inside[things[0]] = ROOM if design.on_floor else names[held]
        if design.family == "testimony":
            inside[things[1]] = names[W]
        elif design.second:
            # Not where the believer may look for the first thing.
            hidden = unit(f"{design.key}/second/hidden") < 0.5
            inside[things[1]] = boxes[design.moves] if hidden else ROOM
    for number, thing in enumerate(things[2 if design.second else 1 :]):
        # All lie in containers, for the side story to begin with.
        yard = [box.name for box in rooms.containers if box.place == YARD]
        inside[thing] = yard[(number + int(2 * unit(f"{design.key}/yard thing"))) % len(yard)]
    floor: dict[str, float] = {}
    taken = [box.x for box in rooms.containers if box.place == ROOM]
    low, high = layout.standing(rooms.stages[0])
    low, high = low - ASIDE, high + ASIDE
    for thing in [name for name, where in inside.items() if where == ROOM]:
        # As far from containers and other things as it can lie.
        free = [low + 0.02 * k for k in range(int((high - low) / 0.02) + 1)]
        clear = [min(abs(x - other) for other in taken) for x in free]
        if max(clear) < ROOM_FOR_THING and design.second and thing == things[1]:
            # It would lie between the feet of two containers: better in one.
            inside[thing] = boxes[design.moves]
            continue
        floor[thing] = round(free[clear.index(max(clear))], 3)
        taken.append(floor[thing])
    return inside, floor
