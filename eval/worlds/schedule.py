"""The director: what shall happen, in order, goes in; timed events, their looks, and faces come out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from eval.worlds import art
from eval.worlds.footing import BESIDE, Draft, Footing
from eval.worlds.opening import AWAY
from eval.worlds.scene import NOOK, OUTSIDE, ROOM, WINDOW, Beat, Reaction, Shot
from roles.minds import Event

SETTLE_S = 0.6
"""At least so long nothing happens at the end of a film."""


@dataclass(slots=True)
class Director(Footing):
    """Stages one film, event by event; each method plays one and leaves the clock at its end."""

    def put(self, person: str, thing: str, container: str, step: str) -> None:
        """She lays what she holds into a container."""
        x = self.beside(person, container)
        there = self.now + self.walk_s(person, x)
        end = there + self.lasts(step, 0.9, 1.2)
        effects = ((("in", thing), container),)
        more = {"thing": thing, "container": container}
        self.add("put", person, self.now, end, x_to=x, walk_end_s=there, role=step, more=more, effects=effects)
        self.inside[thing] = container
        self.until(end)

    def take(self, person: str, thing: str, step: str) -> None:
        """She takes a thing out of its container or off the floor."""
        where = self.inside[thing]
        container = where if where in self.spots else None
        x = self.beside(person, where) if container else self.close_to(person, self.floor[thing], BESIDE)
        there = self.now + self.walk_s(person, x)
        end = there + self.lasts(step, 0.8, 1.0)
        effects = ((("in", thing), person),)
        more = {"thing": thing, "container": container}
        self.add("take", person, self.now, end, x_to=x, walk_end_s=there, role=step, more=more, effects=effects)
        self.inside[thing] = person
        self.until(end)

    def move(self, person: str, thing: str, container: str, step: str) -> None:
        """She carries a thing from the container it is in to another one."""
        start, source = self.now, self.inside[thing]
        first = self.beside(person, source)
        there = start + self.walk_s(person, first)
        taken = there + self.lasts(f"{step}/take", 0.75, 0.95)
        x_from, self.x[person] = self.x[person], first
        self.now = round(taken, 2)
        second = self.beside(person, container)
        carried = taken + self.walk_s(person, second) * 1.1
        end = carried + self.lasts(f"{step}/lay", 0.9, 1.1)
        more = {
            "thing": thing,
            "container": source,
            "to_container": container,
            "to_x": second,
            "take_end_s": round(taken, 2),
            "carry_end_s": round(carried, 2),
        }
        effects = ((("in", thing), container),)
        self.add(
            "move",
            person,
            start,
            end,
            x_from=x_from,
            x_to=first,
            walk_end_s=there,
            role=step,
            more=more,
            effects=effects,
        )
        self.x[person] = second
        self.inside[thing] = container
        self.until(end)

    def open(self, person: str, container: str, step: str) -> Draft:
        """She walks to a container, which is an event of its own, opens it, looks in and closes it."""
        x = self.beside(person, container)
        if abs(x - self.x[person]) > 0.005:
            there = self.now + self.walk_s(person, x)
            self.add("walk", person, self.now, there, x_to=x, walk=True)
            self.until(there)
        end = self.now + self.lasts(step, 1.6, 2.0)
        found = tuple(thing for thing, where in self.inside.items() if where == container)
        draft = self.add(
            "open", person, self.now, end, role=step, more={"container": container, "found": found},
            onset=((("open", container), True),), effects=((("open", container), False),),
        )  # fmt: skip
        self.until(end)
        return draft

    def enter(self, person: str, step: str) -> None:
        """She comes in through the door; in the yard, from beside the picture."""
        here = self._here(person)
        door = self.stages[here].door_x
        if here == ROOM:
            self.clear_door(person)
            self.until(self.now)
        self.x[person] = door
        x = self.free_spot(person, self.home[person])
        self.x[person] = door
        there = self.now + self.lasts(step, 0.7, 0.9) + self.walk_s(person, x)
        end = there + 0.1
        effects = ((("at", person), here),)
        self.add("enter", person, self.now, end, x_to=x, walk_end_s=there, role=step, place=here, effects=effects)
        self.place[person] = here
        self.until(end)

    def leave(self, person: str, step: str) -> None:
        """She goes out through the door; in the yard, out of the picture."""
        here = self._here(person)
        door, gone = self.stages[here].door_x, OUTSIDE if here == ROOM else AWAY
        if here == ROOM:
            self.clear_door(person)
        there = self.now + self.walk_s(person, door)
        end = there + self.lasts(step, 0.7, 0.9)
        effects = ((("at", person), gone),)
        self.add("leave", person, self.now, end, x_to=door, walk_end_s=there, role=step, effects=effects)
        self.place[person] = gone
        self.until(end)

    def look_away(self, person: str, step: str) -> None:
        """She turns her back to everything, where she is not in the way."""
        x = self.out_of_the_way(person)
        if abs(x - self.x[person]) > 0.02:
            there = self.now + self.walk_s(person, x)
            self.add("walk", person, self.now, there, x_to=x, walk=True)
            self.until(there)
        self.until(self.now)
        end = self.now + self.lasts(step, 0.6, 0.7)
        self.add("look_away", person, self.now, end, role=step, effects=((("turned", person), True),))
        self.turned[person] = True
        self.until(end)

    def turn_back(self, person: str, step: str) -> None:
        """She faces the room again."""
        end = self.now + self.lasts(step, 0.6, 0.7)
        self.add("turn_back", person, self.now, end, role=step, effects=((("turned", person), False),))
        self.turned[person] = False
        self.until(end)

    def hide(self, person: str, step: str) -> None:
        """She goes behind the screen."""
        stage = self.stages[ROOM]
        x = (stage.screen_x or 0.0) + stage.nook_side * art.LAYOUT.nook_offset
        there = self.now + self.walk_s(person, x)
        end = there + self.lasts(step, 0.3, 0.4)
        effects = ((("at", person), NOOK),)
        self.add("hide", person, self.now, end, x_to=x, walk_end_s=there, role=step, effects=effects)
        self.place[person] = NOOK
        self.until(end)

    def come_out(self, person: str, step: str) -> None:
        """She comes out from behind the screen."""
        x = self.free_spot(person, self.home[person])
        there = self.now + self.walk_s(person, x)
        end = there + self.lasts(step, 0.2, 0.3)
        effects = ((("at", person), ROOM),)
        self.add("come_out", person, self.now, end, x_to=x, walk_end_s=there, role=step, place=ROOM, effects=effects)
        self.place[person] = ROOM
        self.until(end)

    def go(self, person: str, cause: str, step: str) -> None:
        """She gets out of view."""
        {"leave": self.leave, "look_away": self.look_away, "hide": self.hide}[cause](person, step)

    def back(self, person: str, cause: str, step: str) -> None:
        """She is in view again."""
        {"leave": self.enter, "look_away": self.turn_back, "hide": self.come_out}[cause](person, step)

    def peek(self, person: str, step: str) -> Draft:
        """She begins to look in at the window; `peek_end` ends it."""
        window = self.stages[ROOM].window_x
        draft = self.add(
            "peek", person, self.now, self.now, x_from=window, x_to=window, role=step, place=WINDOW,
            onset=((("at", person), WINDOW),), effects=((("at", person), OUTSIDE),),
        )  # fmt: skip
        self.place[person] = WINDOW
        self.wait(self.lasts(f"{step}/rise", 0.7, 1.0))
        return draft

    def peek_end(self, draft: Draft, step: str) -> None:
        """She goes from the window; no peek is shorter than 2.5 s."""
        least = draft.start_s + self.lasts(f"{step}/least", 2.5, 3.4)
        self.until(max(least, self.now + self.lasts(f"{step}/sink", 0.6, 0.9)))
        draft.end_s = draft.beat["end_s"] = self.now
        self.place[draft.actor] = OUTSIDE

    def spot(self, person: str, other: str, step: str) -> None:
        """She glances at the window and notices who is there."""
        end = self.now + self.lasts(step, 0.8, 1.0)
        more = {"other": other}
        self.add("spot", person, self.now, end, role=step, more=more, reveals=(("at", other),))
        self.until(end)

    def tell(self, person: str, other: str, thing: str, container: str, step: str) -> None:
        """She says that a thing is in a container."""
        end = self.now + self.lasts(step, 2.1, 2.5)
        more = {"other": other, "thing": thing, "container": container}
        self.add(
            "tell", person, self.now, end, role=step, more=more, says=(("in", thing), container), addressees=(other,)
        )  # fmt: skip
        self.until(end)

    def wish(self, person: str, thing: str, step: str) -> None:
        """She says that she wants a thing."""
        end = self.now + self.lasts(step, 1.8, 2.1)
        self.add("wish", person, self.now, end, role=step, more={"thing": thing}, effects=((("wants", person), thing),))
        self.until(end)

    def idle(self, person: str, act: str, seconds: float, step: str = "") -> None:
        """She does something that changes nothing."""
        self.add("idle", person, self.now, self.now + seconds, role=step, more={"act": act})
        self.wait(seconds)

    def feel(self, person: str, feeling: str, start_s: float, seconds: float = 1.2) -> None:
        """Her face shows a feeling; it does not take time of its own."""
        self.reactions.append(Reaction(person, feeling, round(start_s, 2), round(start_s + seconds, 2)))

    # The end

    def finish(self, end_s: float) -> tuple[tuple[Event, ...], tuple[Beat, ...], dict[str, str]]:
        """Events and beats in order of time, and the ids of the events that have a name in the plot."""
        events, beats, roles = [], [], {}
        for number, draft in enumerate(sorted(self.drafts, key=lambda draft: draft.start_s)):
            name = f"e{number:02d}-{draft.kind}"
            happened = Event(
                name,
                draft.kind,
                draft.start_s,
                draft.end_s,
                draft.actor,
                draft.place,
                draft.onset,
                draft.effects,
                draft.says,
                draft.addressees,
                draft.reveals,
            )
            events.append(happened)
            beats.append(Beat(event=name, **draft.beat))
            if draft.role:
                roles[draft.role] = name
        felt = sorted((one for one in self.reactions if one.start_s < end_s), key=lambda one: one.start_s)
        self.reactions = [replace(one, end_s=min(one.end_s, end_s)) for one in felt]
        return tuple(events), tuple(beats), roles

    def shots(self, end_s: float) -> tuple[Shot, ...]:
        """What is seen when."""
        cuts = [(0.0, ROOM), *self.cuts, (round(end_s, 2), "")]
        return tuple(Shot(place, start, stop) for (start, place), (stop, _) in pairwise(cuts) if stop > start)
