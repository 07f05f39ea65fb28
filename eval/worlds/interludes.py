"""What fills a film between the events that matter: seconds go in; idle acts, side stories and interludes come out.

What is planned is the same for all films of a set, each piece in a slot of fixed length, so that members keep their
timing. Nothing here touches the thing that the set is about, or what anybody thinks of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from eval.worlds import art, sidestory
from eval.worlds.design import B, Design, W
from eval.worlds.draw import dice, unit
from eval.worlds.scene import ROOM, YARD
from eval.worlds.schedule import SETTLE_S, Director

GAPS: dict[str, float] = {"open": 0.17, "before": 0.25, "away": 0.25, "after": 0.25, "late": 0.04, "end": 0.04}
"""Where something may be filled in, and how much of it: at the start, once the thing lies in its place, when the
believer is gone, after the moves, and before and after her search."""
MORE_GAPS: dict[str, float] = {"prelude": 0.2, "between": 0.16}
"""In stories of testimony as well: when it is plain whom she may trust, and between the moves."""
CODA_GAP = 0.14
"""How much is filled in before a search."""
YARD_SHARE = 0.45
"""How much of what is filled in is told in the yard, where there is one."""
YARD_S = (14.0, 19.0)
"""How short an interlude is at least, and how long they are on average."""
SHOT_S = 2.5
"""No shot is shorter."""
FIRST_SHOT_S = 6.0
"""Nor the first: whose story it is has to be plain before it is left."""


@dataclass(frozen=True, slots=True)
class Filler:
    """A slot: what happens in it ("idle", "stroll", "second" or "yard"), how long it is, and the key of its draws."""

    act: str
    seconds: float
    key: str


def plan(design: Design, seconds: float) -> dict[str, list[Filler]]:
    """Slots for each gap that together take about so long, never longer; the longer, the more evenly spread."""
    chance = dice(design.key, "fillers")
    weights = {**GAPS, **(MORE_GAPS if design.family == "testimony" else {})}
    if design.coda:
        weights["late"] = CODA_GAP
    weights = {name: weight * chance.uniform(0.7, 1.3) for name, weight in weights.items()}
    names = list(weights)
    cuts: dict[str, list[float]] = {name: [] for name in names}
    if len(design.layout.stages) > 1 and seconds >= YARD_S[0] + 1:
        # No film ends, and no search begins, with a cut: these gaps are too short for one.
        fitting = [name for name in names if name not in ("open", "late", "end")]
        chance.shuffle(fitting)
        fitting.append("open")
        # One round of the side story is to be told even where there is little time.
        whole = max(YARD_SHARE * seconds, min(0.8 * seconds, 21.0))
        number = max(1, round(whole / YARD_S[1]))
        for k in range(number):
            length = max(YARD_S[0], whole / number * chance.uniform(0.85, 1.15))
            cuts[fitting[k % len(fitting)]].append(round(length, 2))
    taken = sum(sum(lengths) for lengths in cuts.values())
    free = {name: max(0.0, seconds * weights[name] / sum(weights.values()) - sum(cuts[name])) for name in names}
    scale = max(0.0, seconds - taken) / max(1e-9, sum(free.values()))
    planner = _Planner(design, seconds)
    gaps: dict[str, list[Filler]] = {name: [] for name in names}
    left = 0.0
    for name in chance.sample(names, len(names)):
        here = planner.room(free[name] * scale + left)
        left = free[name] * scale + left - sum(length for _, length in here)
        there = [("yard", length) for length in cuts[name]]
        # By turns, so that the room is seen between two interludes.
        if there and not here:
            # The room is seen for a while after every interlude: the film may end here.
            there[-1] = ("yard", round(there[-1][1] - 3.0, 2))
            here = [("idle", 3.0)]
        first = chance.random() < 0.5 and len(here) > len(there)
        pair = (here, there) if first else (there, here)
        for k in range(max(len(here), len(there))):
            for pieces in pair:
                for act, length in pieces[k : k + 1]:
                    planner.number += 1
                    gaps[name].append(Filler(act, length, f"{design.key}/filler{planner.number}"))
    return gaps


class _Planner:
    """Fills stretches of time in the room; side stories of the room are rationed by the length of the whole."""

    def __init__(self, design: Design, seconds: float) -> None:
        self.design = design
        self.chance = dice(design.key, "room fillers")
        self.seconds_moved = 1 + int(seconds / 45)
        self.strolls = 1 + int(seconds / 60)
        self.number = 0

    def room(self, left: float) -> list[tuple[str, float]]:
        """Acts and their lengths, together at most so long."""
        pieces = []
        stroller = _stroller(self.design) is not None
        second = self.design.family in ("place", "second_order") and self.design.second
        while left > 1.8:
            draw = self.chance.random()
            if second and left > 8 and draw < 0.35 and self.seconds_moved:
                act, length = "second", 7.5
                self.seconds_moved -= 1
            elif stroller and left > 7 and draw < 0.65 and self.strolls:
                act, length = "stroll", 6.5
                self.strolls -= 1
            else:
                act, length = "idle", min(left, self.chance.uniform(2.5, 4.5))
            pieces.append((act, round(length - 0.005, 2)))
            left -= length
        return pieces


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
    """A cut to other people elsewhere, whose story goes on, and back."""
    since = film.cuts[-1][0] if film.cuts else 0.0
    if film.cuts and not any(draft.start_s >= since for draft in film.drafts):
        # Nothing has happened in the room: the last interlude goes on.
        film.cuts.pop()
    else:
        hold = since + (SHOT_S if film.cuts else FIRST_SHOT_S)
        if film.now < hold:
            idle(film, f"{filler.key}/hold", min(end, hold))
            film.until(hold)
        if end - film.now < SHOT_S + 0.5:
            return
        film.cuts.append((film.now, YARD))
    film.wait(0.4)
    stop = end - 0.3
    number = 0
    while stop - film.now > 1.2:
        number += 1
        key = f"{filler.key}/yard{number}"
        if not sidestory.step(film, key, stop):
            idle(film, key, min(stop, film.now + 1.6 + 1.6 * unit(f"{key}/long")), YARD)
        film.pause(key, 0.2, 0.6)
    film.now = round(end, 2)
    film.cuts.append((film.now, ROOM))
    film.wait(0.3)
