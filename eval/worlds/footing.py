"""Time and room on the stage: who shall do something where goes in, walks and drafts of events come out.

The clock, and where everybody and everything is: walks start where the last one ended, and nobody stands in front of
anybody else. All times are rounded to 0.01 s; all durations are drawn by the name of the step, so that the films of a
set, which share most steps, share their timing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from eval.worlds import art
from eval.worlds.draw import unit
from eval.worlds.layout import AT_EASE, standing
from eval.worlds.scene import ROOM, YARD, Reaction, Stage
from roles.minds import Fact, Value

WALK_PER_S = 0.55
"""Walking speed in stage units a second, at pace 1."""
BESIDE: tuple[float, ...] = (0.1, -0.1, 0.12, -0.12, 0.08, -0.08, 0.14, -0.14, 0.05, -0.05, 0.16, -0.16, 0.0)


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


def _pushed(row: list[tuple[float, str]], x: float, side: int, low: float, high: float) -> dict[str, float]:
    """Where those go who stand on one side of x, nearest first, if all keep apart; infinite is out of bounds."""
    moved: dict[str, float] = {}
    edge = x
    for at, name in row:
        edge = side * max(side * at, side * edge + art.LAYOUT.person_gap)
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

    def _here(self, person: str) -> str:
        """The stage on which she stands, or is about to stand."""
        return YARD if self.place[person] == YARD else ROOM

    def beside(self, person: str, container: str) -> float:
        """Where she stands to use a container."""
        return self.close_to(person, self.spots[container][1], BESIDE)

    def close_to(self, person: str, middle: float, offsets: Iterable[float]) -> float:
        """The best of some places: near to where she is, and with few others in the way, who step aside."""
        low, high = standing(self.stages[self._here(person)])
        best, asides, least = min(max(middle, low), high), dict[str, float](), math.inf
        for rank, offset in enumerate(offsets):
            x = round(middle + offset, 3)
            if not low <= x <= high:
                continue
            moved = self._asides(person, x, low, high)
            if moved is None:
                continue
            after = [moved.get(name, self.x[name]) for name in self.in_room(self._here(person)) if name != person]
            tight = max(0.0, AT_EASE - min((abs(x - at) for at in after), default=AT_EASE))
            away = sum(abs(self.x[name] - goal) for name, goal in moved.items())
            cost = 0.3 * abs(x - self.x[person]) + 0.01 * rank + 1.5 * away + 0.05 * len(moved) + tight
            if cost < least:
                best, asides, least = x, moved, cost
        for name, goal in asides.items():
            end = self.now + self.walk_s(name, goal) + 0.1
            self.add("walk", name, self.now, end, x_to=goal, walk=True)
            self.clear_s = max(self.clear_s, round(end, 2))
        return best

    def _asides(self, person: str, x: float, low: float, high: float) -> dict[str, float] | None:
        """Where others go so that she has room at x, with the least walking; None if there is not room for all."""
        here = self._here(person)
        others = sorted((self.x[name], name) for name, where in self.place.items() if where == here and name != person)
        if all(abs(at - x) >= art.LAYOUT.person_gap - 1e-6 for at, _ in others):
            return {}
        best, least = None, math.inf
        for split in range(len(others) + 1):
            moved = {
                **_pushed(others[:split][::-1], x, -1, low, high),
                **_pushed(others[split:], x, 1, low, high),
            }
            away = sum(abs(self.x[name] - goal) for name, goal in moved.items())
            if away < least:
                best, least = moved, away
        return best

    def free_spot(self, person: str, wanted: float) -> float:
        """The place to stand nearest to the one wanted."""
        offsets = [sign * 0.04 * k for k in range(26) for sign in (1, -1)]
        return self.close_to(person, wanted, offsets)

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
