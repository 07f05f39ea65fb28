"""Time and room on the stage: who shall do something where goes in, walks and drafts of events come out.

The clock, and where everybody and everything is: walks start where the last one ended, and nobody stands in front of
anybody else. All times are rounded to 0.01 s; all durations are drawn by the name of the step, so that the films of a
set, which share most steps, share their timing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from eval.worlds import art
from eval.worlds.draw import unit
from eval.worlds.layout import AT_EASE, DOOR_ROOM, standing
from eval.worlds.opening import AWAY
from eval.worlds.scene import ROOM, YARD, Reaction, Stage
from roles.minds import Fact, Value

WALK_PER_S = 0.55
"""Walking speed in stage units a second, at pace 1."""
GAPS: tuple[float, ...] = (AT_EASE, 0.28, art.LAYOUT.person_gap)
"""How far apart people keep, from what is pleasant to what is just possible."""
UNSEEMLY = 5.0
"""What it costs, in steps, that somebody walks about who has turned her back to everything."""
BESIDE: tuple[float, ...] = (0.1, -0.1, 0.12, -0.12, 0.08, -0.08, 0.14, -0.14, 0.05, -0.05, 0.155, -0.155, 0.0)


@dataclass(slots=True)
class Draft:
    """An event and its beat before they have an id and, while it lasts, an end."""

    kind: str
    actor: str
    place: str
    start_s: float
    end_s: float
    onset: tuple[tuple[Fact, Value], ...] = ()
    effects: tuple[tuple[Fact, Value], ...] = ()
    says: tuple[Fact, Value] | None = None
    addressees: tuple[str, ...] = ()
    reveals: tuple[Fact, ...] = ()
    role: str = ""
    beat: dict[str, Any] = field(default_factory=dict)


def _pushed(
    row: list[tuple[float, str]], x: float, side: int, low: float, high: float, gap: float, then: float
) -> dict[str, float]:
    """Where those go who stand on one side of x, nearest first, to keep a gap; infinite is out of bounds.

    The gap is that to x; those behind keep `then` to each other.
    """
    moved: dict[str, float] = {}
    edge = x
    for at, name in row:
        edge = side * max(side * at, side * edge + gap)
        gap = then
        if abs(edge - at) > 1e-6:
            moved[name] = round(edge, 3) if low - 1e-6 <= edge <= high + 1e-6 else math.inf
    return moved


@dataclass(slots=True)
class Footing:
    """Keeps time and places while a film is staged.

    Attributes:
        key: What every draw begins with.
        stages: By place.
        spots: Where each container stands: its place and its x.
        place: Where everybody is.
        x: Where on the stage; outside it is where one comes in again.
        home: Where one likes to stand.
        inside: Where each thing is.
        floor: Where things on the floor lie.
        pace: Speed of everything.
        now: The clock.
        clear_s: When everybody who stepped aside stands again.
        side: How many steps of the yard's story have been told.
        notes: What side stories remember.
    """

    key: str
    stages: dict[str, Stage]
    spots: dict[str, tuple[str, float]]
    place: dict[str, str]
    x: dict[str, float]
    home: dict[str, float]
    inside: dict[str, str]
    floor: dict[str, float]
    pace: float
    now: float = 0.0
    clear_s: float = 0.0
    turned: dict[str, bool] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    cuts: list[tuple[float, str]] = field(default_factory=list)
    side: int = 0
    notes: dict[str, str] = field(default_factory=dict)

    # Time

    def lasts(self, step: str, low_s: float, high_s: float) -> float:
        """How long a step of that name takes."""
        return round((low_s + (high_s - low_s) * unit(f"{self.key}/{step}")) / self.pace, 2)

    def wait(self, seconds: float) -> None:
        """Nothing happens."""
        self.now = round(self.now + max(0.0, seconds), 2)

    def until(self, time_s: float) -> None:
        """Nothing happens until then, and until whoever stepped aside stands again."""
        self.now = max(self.now, round(time_s, 2), self.clear_s)

    def pause(self, step: str, low_s: float = 0.2, high_s: float = 0.9) -> None:
        """A short rest."""
        self.wait(self.lasts(f"{step}/pause", low_s, high_s))

    # Space

    def in_room(self, place: str = ROOM) -> list[str]:
        """Who is at a place, in order of the parts."""
        return [name for name, where in self.place.items() if where == place]

    def sees(self, person: str) -> bool:
        """Whether she is in the room and faces it."""
        return self.place[person] == ROOM and not self.turned.get(person, False)

    def _turned(self, person: str) -> bool:
        """Whether she has her back to the room: she should not be asked to step aside."""
        return self.turned.get(person, False)

    def _here(self, person: str) -> str:
        """The stage on which she stands, or is about to stand."""
        return YARD if self.place[person] in (YARD, AWAY) else ROOM

    def beside(self, person: str, container: str) -> float:
        """Where she stands to use a container."""
        return self.close_to(person, self.spots[container][1], BESIDE)

    def close_to(self, person: str, middle: float, offsets: Iterable[float]) -> float:
        """The best of some places: near to where she is, and with few others in the way, who step aside."""
        low, high = standing(self.stages[self._here(person)])
        best, asides, least = min(max(middle, low), high), dict[str, float](), math.inf
        door = self.stages[self._here(person)].door_x
        places = [(rank, round(middle + offset, 3)) for rank, offset in enumerate(offsets)]
        for gap in GAPS:
            for rank, x in places:
                moved = self._asides(person, x, low, high, gap) if low <= x <= high else None
                if moved is None:
                    continue
                away = sum(abs(self.x[name] - goal) for name, goal in moved.items())
                cost = 0.3 * abs(x - self.x[person]) + 0.01 * rank + 1.5 * away + 0.05 * len(moved)
                cost += 0.6 * max(0.0, DOOR_ROOM - abs(x - door)) + sum(
                    UNSEEMLY for name in moved if self._turned(name)
                )
                if cost < least:
                    best, asides, least = x, moved, cost
            if least < UNSEEMLY:
                break
        self._make_way(asides)
        return best

    def _asides(
        self, person: str, x: float, low: float, high: float, gap: float, then: float | None = None
    ) -> dict[str, float] | None:
        """Where others go so that there is a gap around x, with the least walking; None if that is not to be had."""
        then = gap if then is None else then
        here = self._here(person)
        others = sorted((self.x[name], name) for name, where in self.place.items() if where == here and name != person)
        if all(abs(at - x) >= gap - 1e-6 for at, _ in others):
            return {}
        best, least = None, math.inf
        for split in range(len(others) + 1):
            moved = {
                **_pushed(others[:split][::-1], x, -1, low, high, gap, then),
                **_pushed(others[split:], x, 1, low, high, gap, then),
            }
            away = sum(abs(self.x[name] - goal) for name, goal in moved.items())
            if away < least:
                best, least = moved, away
        return best

    def free_spot(self, person: str, wanted: float) -> float:
        """The place to stand nearest to the one wanted."""
        offsets = [sign * 0.04 * k for k in range(26) for sign in (1, -1)]
        return self.close_to(person, wanted, offsets)

    def out_of_the_way(self, person: str) -> float:
        """Where she may turn her back without being in the way of what happens next; others make room for her."""
        low, high = standing(self.stages[ROOM])
        boxes = [x for place, x in self.spots.values() if place == ROOM]
        steps = int((high - low) / 0.06)
        best, asides, least = self.x[person], dict[str, float](), math.inf
        for x in (self.x[person], *(round(low + 0.06 * k, 3) for k in range(steps + 1))):
            moved = self._asides(person, x, low, high, GAPS[1])
            if moved is None:
                continue
            away = sum(abs(self.x[name] - goal) for name, goal in moved.items())
            cost = 0.3 * abs(x - self.x[person]) + away + 8.0 * max(0.0, DOOR_ROOM - abs(x - self.stages[ROOM].door_x))
            if cost < least:
                cost += self._blocked(person, x, moved, boxes)
            if cost < least:
                best, asides, least = x, moved, cost
        self._make_way(asides)
        return best

    def _blocked(self, person: str, x: float, moved: dict[str, float], boxes: list[float]) -> int:
        """How many containers nobody could use without asking her, who stands at x then, to step aside."""
        low, high = standing(self.stages[ROOM])
        others = [name for name in self.in_room() if name != person]
        before = dict(self.x)
        self.x.update(moved)
        self.x[person] = x
        blocked = 0
        for name, box in product(others, boxes):
            ways = (self._asides(name, box + side, low, high, GAPS[1]) for side in (0.1, -0.1, 0.15, -0.15, 0.0)
                    if low <= box + side <= high)  # fmt: skip
            blocked += all(way is None or person in way for way in ways)
        self.x.update(before)
        return blocked

    def clear_door(self, person: str) -> None:
        """Whoever stands before the doorway makes way for one who goes through it, where there is room to."""
        stage = self.stages[ROOM]
        low, high = standing(stage)
        for room, gap in product((DOOR_ROOM, DOOR_ROOM - 0.04), GAPS[:2]):
            moved = self._asides(person, stage.door_x, low, high, room, gap)
            if moved is not None and not any(self._turned(name) for name in moved):
                self._make_way(moved)
                return

    def _make_way(self, moved: dict[str, float]) -> None:
        """Those who are in the way step aside."""
        for name, goal in moved.items():
            end = self.now + self.walk_s(name, goal) + 0.1
            self.add("walk", name, self.now, end, x_to=goal, walk=True)
            self.clear_s = max(self.clear_s, round(end, 2))

    def walk_s(self, person: str, x_to: float) -> float:
        """How long she walks."""
        return abs(x_to - self.x[person]) / (WALK_PER_S * self.pace)

    def add(
        self,
        kind: str,
        actor: str,
        start_s: float,
        end_s: float,
        *,
        x_to: float | None = None,
        walk: bool = False,
        walk_end_s: float | None = None,
        x_from: float | None = None,
        role: str = "",
        beat: str | None = None,
        more: dict[str, Any] | None = None,
        place: str | None = None,
        **facts: Any,
    ) -> Draft:
        """Notes an event and its looks; whoever walks in it stands at `x_to` afterwards."""
        start_s, end_s = round(start_s, 2), round(end_s, 2)
        x_from = self.x[actor] if x_from is None else x_from
        x_to = x_from if x_to is None else x_to
        if walk_end_s is None:
            walk_end_s = end_s if walk else start_s
        looks = {
            "kind": beat or ("idle" if kind == "walk" else kind),
            "person": actor,
            "start_s": start_s,
            "walk_end_s": min(round(walk_end_s, 2), end_s),
            "end_s": end_s,
            "x_from": round(x_from, 3),
            "x_to": round(x_to, 3),
            **(more or {}),
        }
        here = self.place[actor]
        draft = Draft(kind, actor, place or here, start_s, end_s, role=role, beat=looks, **facts)
        self.drafts.append(draft)
        self.x[actor] = round(x_to, 3)
        return draft
