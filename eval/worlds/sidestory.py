"""Side stories: a director and a stretch of time go in; people elsewhere, who hide and look for things, come out.

What happens in the yard looks like what happens in the room: somebody goes away, a thing is moved meanwhile, she comes
back, is told or looks. So a moment of the main story cannot be found by its kind alone.
"""

from __future__ import annotations

from eval.worlds.draw import unit
from eval.worlds.footing import WALK_PER_S
from eval.worlds.opening import AWAY
from eval.worlds.scene import YARD
from eval.worlds.schedule import Director

STEPS: tuple[str, ...] = ("goes", "moves", "returns", "learns", "takes", "puts")
"""One round of the story; the next round has other people and things in the parts."""


def step(film: Director, key: str, stop_s: float) -> bool:
    """Plays the next step, if it surely is over in time; a story that is broken off goes on in the next interlude."""
    left = stop_s - film.now
    for _ in STEPS:
        name, number = STEPS[film.side % len(STEPS)], film.side // len(STEPS)
        done = _play(film, name, number, key, left)
        if done is False:
            return False
        film.side += 1
        if done:
            return True
    return False


def _play(film: Director, name: str, number: int, key: str, left_s: float) -> bool | None:
    """Plays a step; False if there is no time, None if there is nothing to do for it."""
    people = [who for who, where in film.place.items() if where in (YARD, AWAY)]
    boxes = [box for box, (place, _) in film.spots.items() if place == YARD]
    things = [thing for thing, where in film.inside.items() if where in boxes or where in people]
    story = f"{film.key}/side{number}"
    # Whoever goes comes back before the round is over: at its start all are there, with empty hands.
    first = int(unit(f"{story}/who") * len(people))
    mover, goer = people[first], people[(first + 1 + int(unit(f"{story}/other") * (len(people) - 1))) % len(people)]
    inside = [thing for thing in things if film.inside[thing] in boxes]
    thing = inside[int(unit(f"{story}/thing") * len(inside))] if inside else None
    if name == "goes":
        if left_s < _walk_s(film, goer, film.stages[YARD].door_x) + 2.0:
            return False
        film.leave(goer, f"{key}/leave")
        return True
    if name == "returns":
        if left_s < abs(film.stages[YARD].door_x - film.home[goer]) / (WALK_PER_S * film.pace) + 2.4:
            return False
        film.enter(goer, f"{key}/enter")
        return True
    if name == "moves":
        if thing is None:
            return None
        source = film.inside[thing]
        target = next(box for box in boxes if box != source)
        between = abs(film.spots[source][1] - film.spots[target][1]) + 0.3
        if left_s < _walk_s(film, mover, film.spots[source][1]) + between / (WALK_PER_S * film.pace) + 3.6:
            return False
        film.notes[story] = source
        film.move(mover, thing, target, f"{key}/move")
        return True
    if name == "learns":
        return _learns(film, mover, goer, story, key, left_s)
    return _handles(film, name, mover, boxes, things, story, key, left_s)


def _learns(film: Director, mover: str, goer: str, story: str, key: str, left_s: float) -> bool | None:
    """She who was away looks into the container where the thing was, or is told where some thing is."""
    source = film.notes.get(story)
    if source is None:
        return None
    if unit(f"{story}/looks") < 0.5:
        if left_s < _walk_s(film, goer, film.spots[source][1]) + 3.2:
            return False
        film.open(goer, source, f"{key}/open")
        return True
    if left_s < 3.2:
        return False
    kept = [(thing, where) for thing, where in film.inside.items() if where in film.spots and where != source]
    kept = [(thing, where) for thing, where in kept if film.spots[where][0] == YARD]
    if not kept:
        return None
    film.tell(mover, goer, *kept[0], f"{key}/tell")
    return True


def _handles(
    film: Director, name: str, mover: str, boxes: list[str], things: list[str], story: str, key: str, left_s: float
) -> bool:
    """Somebody takes a thing out, and puts it away again."""
    held = [thing for thing in things if film.inside[thing] not in boxes]
    thing = held[0] if held else things[int(unit(f"{story}/toy") * len(things))]
    box = boxes[int(unit(f"{story}/box") * len(boxes))] if held else film.inside[thing]
    if left_s < _walk_s(film, mover, film.spots[box][1]) + 2.6:
        return False
    if name == "puts":
        film.put(mover, thing, box, f"{key}/put")
    else:
        film.take(mover, thing, f"{key}/take")
    return True


def _walk_s(film: Director, person: str, x: float) -> float:
    """How long she walks there at most."""
    return (abs(film.x[person] - x) + 0.16) / (WALK_PER_S * film.pace)
