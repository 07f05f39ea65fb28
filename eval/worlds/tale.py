"""One film being told: a design and a director go in; what all sorts of stories have in common is told from here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from eval.worlds.design import Design, M, X
from eval.worlds.draw import unit
from eval.worlds.interludes import Filler, idle, perform
from eval.worlds.schedule import Director


@dataclass(slots=True)
class Tale:
    """One film being told.

    Attributes:
        design: Of its set.
        kind: Which member.
        film: Who stages it.
        names: Of the main stage's people, by part.
        boxes: Names of the main stage's containers.
        things: Names of the main stage's things.
        gaps: What is filled in where.
        limit_s: When the plot must be over; what is filled in at the end gives way.
        slack_s: How much shorter this film is than the longest of its set; filled after the moves.
        thinks: What the believer thinks at the end of the plot: a container, or a thing in the contents family.
        expects: What the mover thinks that the believer thinks; None where the set is not about that.
    """

    design: Design
    kind: str
    film: Director
    names: tuple[str, ...]
    boxes: tuple[str, ...]
    things: tuple[str, ...]
    gaps: dict[str, list[Filler]]
    limit_s: float = math.inf
    slack_s: float = 0.0
    thinks: str = ""
    expects: str | None = None
    notes: dict[str, str] = field(default_factory=dict)

    def gap(self, name: str) -> None:
        """Plays what is filled in here."""
        second = self.things[1] if len(self.things) > 1 else None
        for filler in self.gaps.get(name, ()):
            if name in ("late", "end") and self.film.now + filler.seconds > self.limit_s:
                continue
            perform(self.film, filler, self.design, self.names, second)
        if name == "after" and self.slack_s > 0:
            end = self.film.now + self.slack_s
            idle(self.film, f"{self.design.key}/slack", end)
            self.film.until(end)

    def wishes(self, late: bool) -> None:
        """Who wants which thing, said aloud; the believer perhaps wants the other one first."""
        design, film = self.design, self.film
        if design.wishes is None:
            return
        for part in (X, M):
            wanted = design.wishes[part]
            # What she says late is heard only where she is in view at the end; otherwise both wishes come early.
            is_late = unit(f"{design.key}/wish{part}/late") < 0.4 and (part == M or design.in_view)
            if part == X and design.change_mind and not late:
                film.wish(self.names[X], self.things[1 - wanted], "wish-first")
                film.pause("wish-first", 0.3, 0.8)
            if is_late == late:
                film.wish(self.names[part], self.things[wanted], f"wish-{'xm'[part]}")
                film.pause(f"wish-{'xm'[part]}", 0.2, 0.6)

    def moves(self, first: int, last: int) -> None:
        """The thing's way through the containers, from one step to another."""
        for k in range(first, last):
            self.film.move(self.names[M], self.things[0], self.boxes[k + 1], f"move{k + 1}")
            self.film.pause(f"move{k + 1}")

    def search(self, believed: str, real: str) -> None:
        """She looks where she thinks it is and, if it is not there, where it is."""
        film, x = self.film, self.names[X]
        film.pause("search", 0.4, 0.9)
        first = film.open(x, believed, "search")
        # The lid is up after half a second.
        film.feel(x, "joy" if believed == real else "surprise", first.start_s + 0.6, 1.5)
        if believed != real:
            film.pause("search-again", 0.7, 1.0)
            second = film.open(x, real, "find")
            film.feel(x, "joy", second.start_s + 0.6, 1.5)

    def end(self, believed: str, real: str) -> None:
        """Wishes that come late, the coda, and what is filled in around them."""
        self.wishes(late=True)
        self.gap("late")
        if self.design.coda:
            self.search(believed, real)
        self.gap("end")
