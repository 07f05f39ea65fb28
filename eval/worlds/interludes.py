"""What fills a film between the events that matter: seconds go in; idle acts, side stories and interludes come out.

What is planned is the same for all films of a set, each piece in a slot of fixed length, so that members keep their
timing. Nothing here touches the thing that the set is about, or what anybody thinks of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from eval.worlds import art
from eval.worlds.design import B, Design, W
from eval.worlds.draw import dice, unit
from eval.worlds.scene import ROOM, YARD
from eval.worlds.schedule import SETTLE_S, Director

GAPS: dict[str, float] = {"open": 0.18, "before": 0.2, "away": 0.22, "after": 0.2, "late": 0.1, "end": 0.1}
"""Where something may be filled in, and how much of it: at the start, once the thing lies in its place, when the
believer is gone, after the moves, and before and after her search."""


@dataclass(frozen=True, slots=True)
class Filler:
    """A slot: what happens in it ("idle", "stroll", "second" or "yard"), how long it is, and the key of its draws."""

    act: str
    seconds: float
    key: str


def plan(design: Design, seconds: float) -> dict[str, list[Filler]]:
    """Slots for each gap that together take about so long, never longer."""
    chance = dice(design.key, "fillers")
    gaps: dict[str, list[Filler]] = {name: [] for name in GAPS}
    names, weights = list(GAPS), list(GAPS.values())
    left, strolls, seconds_moved, number = seconds, 0, 0, 0
    yard = len(design.layout.stages) > 1
    while left > 1.8:
        number += 1
        gap = chance.choices(names, weights)[0]
        draw = chance.random()
        if yard and left > 9 and draw < 0.3:
            act, length = "yard", min(left, chance.uniform(8, 30 if left > 60 else 16))
        elif (
            design.family in ("place", "second_order")
            and design.second
            and left > 8
            and draw < 0.5
            and seconds_moved < 3
        ):
            act, length = "second", 7.5
            seconds_moved += 1
        elif _stroller(design) is not None and left > 8 and draw < 0.6 and strolls < 2:
            act, length = "stroll", 6.5
            strolls += 1
        else:
            act, length = "idle", min(left, chance.uniform(1.8, 4.2))
        gaps[gap].append(Filler(act, round(length, 2), f"{design.key}/filler{number}"))
        left -= length
    return gaps


def _stroller(design: Design) -> int | None:
    """Who may go out and come in again without changing what anybody thinks of the thing."""
    if design.family == "testimony":
        return B if design.people > 3 else None
    if design.family == "contents" or design.people < 3 or design.late:
        return None
    return B if design.people > 3 else W if design.teller != W else None


def perform(film: Director, filler: Filler, design: Design, names: tuple[str, ...], second: str | None) -> None:
    """Plays one slot; the clock stands at its end afterwards."""
    end = film.now + filler.seconds
    stroller = _stroller(design)
    if filler.act == "yard":
        _yard(film, filler, end)
    elif filler.act == "stroll" and stroller is not None and film.place[names[stroller]] == ROOM:
        film.leave(names[stroller], f"{filler.key}/leave")
        film.pause(filler.key, 0.4, 0.9)
        film.enter(names[stroller], f"{filler.key}/enter")
    elif filler.act == "second" and second is not None:
        _second(film, filler, design, names, second)
    idle(film, filler.key, end)
    film.until(end)


def idle(film: Director, key: str, end_s: float, place: str = ROOM) -> None:
    """Whoever is there and can be seen does something or other until then, one at a time, sometimes two."""
    number = 0
    while end_s - film.now > 1.2:
        number += 1
        here = [name for name in film.in_room(place) if not film.turned.get(name, False)]
        if not here:
            return
        step = f"{key}/idle{number}"
        draws = [unit(f"{step}/{what}") for what in ("who", "act", "long", "also", "other")]
        person = here[int(draws[0] * len(here))]
        act = art.IDLE_ACTS[int(draws[1] * len(art.IDLE_ACTS))]
        length = min(1.6 + 2.2 * draws[2], end_s - film.now - 0.2)
        others = [name for name in here if name != person]
        start = film.now
        if others and draws[3] < 0.3 and length > 1.6:
            film.wait(0.3)
            film.idle(
                others[int(draws[4] * len(others))],
                art.IDLE_ACTS[int(draws[4] * 97) % len(art.IDLE_ACTS)],
                length - 0.5,
            )
            film.now = start
        film.idle(person, act, round(length, 2))
        film.pause(step, 0.2, 0.8)
        if film.now > end_s:
            film.now = round(end_s, 2)


def tail(film: Director, key: str, end_s: float) -> None:
    """Fills the film up to its end, the last moment left still."""
    if end_s - film.now > SETTLE_S + 2.0:
        film.wait(0.4)
        idle(film, f"{key}/tail", end_s - SETTLE_S)
    film.until(end_s)


def _second(film: Director, filler: Filler, design: Design, names: tuple[str, ...], second: str) -> None:
    """Somebody puts the second thing elsewhere, but never where the believer may come to look for the first."""
    path = [box.name for box in design.layout.containers if box.place == ROOM]
    where = film.inside[second]
    targets = [box for box in path if box not in (where, path[design.seen])]
    here = [name for name in film.in_room() if not film.turned.get(name, False) and name in names[1:]]
    if not targets or not here:
        return
    person = here[int(unit(f"{filler.key}/who") * len(here))]
    target = targets[int(unit(f"{filler.key}/to") * len(targets))]
    if where in film.spots:
        film.move(person, second, target, f"{filler.key}/move")
    else:
        film.take(person, second, f"{filler.key}/take")
        film.pause(filler.key, 0.1, 0.3)
        film.put(person, second, target, f"{filler.key}/put")


def _yard(film: Director, filler: Filler, end: float) -> None:
    """A cut to other people elsewhere, who put things about, and back."""
    film.cuts.append((film.now, YARD))
    film.wait(0.5)
    stop = end - 0.4
    number = 0
    while stop - film.now > 1.2:
        number += 1
        key = f"{filler.key}/yard{number}"
        if stop - film.now < 6.5 or unit(f"{key}/what") < 0.45:
            idle(film, key, min(stop, film.now + 1.6 + 2.4 * unit(f"{key}/long")), YARD)
        else:
            _yard_act(film, key)
        film.pause(key, 0.2, 0.7)
    film.now = round(end, 2)
    film.cuts.append((film.now, ROOM))
    film.wait(0.3)


def _yard_act(film: Director, key: str) -> None:
    """Somebody in the yard does something with a thing that is there."""
    people = film.in_room(YARD)
    boxes = [name for name, (place, _) in film.spots.items() if place == YARD]
    things = [name for name, where in film.inside.items() if where in boxes or where in people or where == YARD]
    thing = things[int(unit(f"{key}/thing") * len(things))]
    where = film.inside[thing]
    person = people[int(unit(f"{key}/who") * len(people))]
    box = boxes[int(unit(f"{key}/box") * len(boxes))]
    draw = unit(f"{key}/act")
    if where in people:
        film.put(where, thing, box, f"{key}/put")
    elif where not in boxes or draw < 0.3:
        if any(film.inside[other] == person for other in things):
            film.wish(person, thing, f"{key}/wish")
        else:
            film.take(person, thing, f"{key}/take")
    elif draw < 0.6 and not any(film.inside[other] == person for other in things):
        film.move(person, thing, next(other for other in boxes if other != where), f"{key}/move")
    elif draw < 0.85:
        film.open(person, box, f"{key}/open")
    else:
        film.wish(person, thing, f"{key}/wish")
