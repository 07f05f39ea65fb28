"""A scene and the times of its patches go in; what is to be seen at each of them comes out, as labels of queries.

Follows the beats as the stage draws them. Nothing here needs to be remembered or understood: it is what the vision
tower can learn from a single patch.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from eval.lesson_words import CLASS, UNSCORED, Label, label
from eval.worlds.scene import NOOK, OUTSIDE, ROOM, WINDOW, YARD, Beat, Container, Person, Scene, Thing

Line = list[Label]
"""One label for every patch."""

UNSEEN = label("not seen")
LID_OPENS, LID_SHUTS = 0.18, 0.85
"""Between these parts of a look into a container it is plainly open."""
DOOR_PART = 0.22
"""So much of an entrance she is still outside."""
TURN_S = 0.3
"""So long after she begins to turn, she is seen from the other side."""


@dataclass(slots=True)
class Looks:
    """What is to be seen.

    Attributes:
        shown: For each patch the place on the picture (`ROOM` or `YARD`), or None where its two frames show different.
        status: For each person, how she is to be seen.
        doing: For each person, what she does and with which container.
        hands: For each person, what she holds or speaks of.
        things: For each thing, how it is to be seen.
        boxes: For each container, likewise.
        pictures: For each container, what is pictured on it.
        lid: Which container is open.
    """

    shown: list[str | None]
    status: dict[str, Line]
    doing: dict[str, Line]
    hands: dict[str, Line]
    things: dict[str, Line]
    boxes: dict[str, Line]
    pictures: dict[str, Line]
    lid: Line


def looks_of(scene: Scene, times_s: list[float], pairs_s: list[tuple[float, float]]) -> Looks:
    """What is to be seen of a scene.

    Args:
        scene: The film.
        times_s: Middles of the patches, ascending.
        pairs_s: Times of each patch's two frames.
    """
    return _Watcher(scene, times_s, pairs_s).watch()


class _Watcher:
    """Fills in lines of labels, beat by beat."""

    def __init__(self, scene: Scene, times_s: list[float], pairs_s: list[tuple[float, float]]) -> None:
        self.scene, self.times = scene, times_s
        self.count = len(times_s)
        self.people = {person.name: person for person in scene.people}
        self.things = {thing.name: thing for thing in scene.things}
        self.boxes = {box.name: box for box in scene.containers}
        starts = [shot.start_s for shot in scene.shots]
        places = [shot.place for shot in scene.shots]

        def place(at_s: float) -> str:
            return places[max(bisect_right(starts, at_s) - 1, 0)]

        self.shown: list[str | None] = [first if (first := place(a)) == place(b) else None for a, b in pairs_s]
        self.beats: dict[str, list[Beat]] = {name: [] for name in self.people}
        for beat in sorted(scene.beats, key=lambda beat: beat.start_s):
            self.beats[beat.person].append(beat)

    def watch(self) -> Looks:
        status = {name: self._status(person) for name, person in self.people.items()}
        doing = {name: self._doing(person, status[name]) for name, person in self.people.items()}
        where = {name: self._where(thing) for name, thing in self.things.items()}
        things = {name: self._thing(thing, where[name], status) for name, thing in self.things.items()}
        hands = {name: self._hands(person, where, status[name]) for name, person in self.people.items()}
        boxes = {box.name: self._box(box) for box in self.scene.containers}
        pictures = {box.name: self._picture(box) for box in self.scene.containers}
        return Looks(self.shown, status, doing, hands, things, boxes, pictures, self._lid())

    def _fill(self, line: list[Label], start_s: float, end_s: float, value: Label) -> None:
        first, last = bisect_left(self.times, start_s), bisect_left(self.times, end_s)
        line[first:last] = [value] * (last - first)

    def _only_shown(self, line: Line, place: str, unseen: Label = UNSEEN) -> Line:
        """What belongs to the one stage is not seen while the other one is; nothing is said of a cut."""
        return [
            UNSCORED if shown is None else value if shown == place else unseen
            for value, shown in zip(line, self.shown, strict=True)
        ]

    def _status(self, person: Person) -> Line:
        facing, turned = label("facing"), label("turned")
        first = {OUTSIDE: UNSEEN, WINDOW: label("window"), NOOK: label("nook")}.get(person.place, facing)
        if self.scene.story.initial.get(("turned", person.name)) is True:
            first = turned
        line = [first] * self.count
        end_s = float("inf")
        for beat in self.beats[person.name]:
            if beat.kind == "enter":
                inside_s = beat.start_s + min(DOOR_PART * (beat.end_s - beat.start_s), 0.5)
                self._fill(line, inside_s, end_s, facing)
            elif beat.kind == "leave":
                self._fill(line, beat.end_s, end_s, UNSEEN)
            elif beat.kind == "look_away":
                self._fill(line, beat.start_s + TURN_S, end_s, turned)
            elif beat.kind == "turn_back":
                self._fill(line, beat.start_s + TURN_S, end_s, facing)
            elif beat.kind == "hide":
                self._fill(line, beat.walk_end_s, end_s, label("nook"))
            elif beat.kind == "come_out":
                self._fill(line, beat.start_s, end_s, facing)
            elif beat.kind == "peek":
                self._fill(line, beat.start_s, end_s, label("window"))
                self._fill(line, beat.end_s, end_s, UNSEEN)
        return self._only_shown(line, _stage(person.place))

    def _doing(self, person: Person, status: Line) -> Line:
        line = [label("standing")] * self.count
        for beat in self.beats[person.name]:
            for start_s, end_s, kind, box in _phases(beat):
                found = self.boxes.get(box) if box is not None else None
                value = label(kind) if found is None else label(kind, found.colour, found.shape)
                self._fill(line, start_s, end_s, value)
        return [seen if seen in (UNSEEN, UNSCORED) else value for value, seen in zip(line, status, strict=True)]

    def _where(self, thing: Thing) -> list[str]:
        """Where a thing is drawn at each patch: in whose hand, in which container, or "" on the floor; "+" handled."""
        line = [self._spot(thing.inside)] * self.count

        def fill(start_s: float, value: str, end_s: float = float("inf")) -> None:
            first, last = bisect_left(self.times, start_s), bisect_left(self.times, end_s)
            line[first:last] = [value] * (last - first)

        for beat in sorted(self.scene.beats, key=lambda beat: beat.start_s):
            if beat.thing == thing.name and beat.kind == "put":
                fill(beat.walk_end_s, "+")
                fill(beat.walk_end_s + 0.67 * (beat.end_s - beat.walk_end_s), str(beat.container))
            elif beat.thing == thing.name and beat.kind == "take":
                share = 0.33 if beat.container is not None else 0.0
                fill(beat.walk_end_s + share * (beat.end_s - beat.walk_end_s), "+")
                fill(beat.end_s, beat.person)
            elif beat.thing == thing.name and beat.kind == "move":
                fill(beat.walk_end_s + 0.33 * (beat.take_end_s - beat.walk_end_s), "+")
                fill(beat.take_end_s, beat.person)
                fill(beat.carry_end_s, "+")
                fill(beat.carry_end_s + 0.67 * (beat.end_s - beat.carry_end_s), str(beat.to_container))
            elif beat.kind == "open" and thing.name in beat.found:
                length_s = beat.end_s - beat.walk_end_s
                fill(beat.walk_end_s + LID_OPENS * length_s, "+", beat.walk_end_s + LID_SHUTS * length_s)
        return line

    def _spot(self, inside: str) -> str:
        return inside if inside in self.people or inside in self.boxes else ""

    def _thing(self, thing: Thing, where: list[str], status: dict[str, Line]) -> Line:
        line: Line = []
        for at, spot in enumerate(where):
            if spot == "":
                value = label("lying", thing.colour)
            elif spot == "+":
                value = label("handled", thing.colour)
            elif spot in self.people:
                # The one who holds it may be out of the room, or on the other stage.
                seen = status[spot][at]
                value = seen if seen in (UNSEEN, UNSCORED) else label("held", thing.colour)
            else:
                value = label("through glass", thing.colour) if self.boxes[spot].glass else UNSEEN
            line.append(value)
        return self._only_shown(line, self._stage_of(thing.inside))

    def _hands(self, person: Person, where: dict[str, list[str]], status: Line) -> Line:
        line = [label("none")] * self.count
        for name, spots in where.items():
            thing = self.things[name]
            for at, spot in enumerate(spots):
                if spot == person.name:
                    line[at] = label("held", thing.colour, thing.shape)
        for beat in self.beats[person.name]:
            told = self.things.get(beat.thing or "")
            if told is None:
                continue
            if beat.kind in ("tell", "wish"):
                self._fill(line, beat.start_s, beat.end_s, label("shown", told.colour, told.shape))
            elif beat.kind in ("put", "take", "move"):
                self._fill(
                    line, beat.walk_end_s, beat.take_end_s or beat.end_s, label("handled", told.colour, told.shape)
                )
                if beat.kind == "move":
                    held = label("held", told.colour, told.shape)
                    self._fill(line, beat.take_end_s, beat.carry_end_s, held)
                    self._fill(line, beat.carry_end_s, beat.end_s, label("handled", told.colour, told.shape))
        return [seen if seen in (UNSEEN, UNSCORED) else value for value, seen in zip(line, status, strict=True)]

    def _lid(self) -> Line:
        line = [UNSCORED if shown is None else label("none") for shown in self.shown]
        for beat in self.scene.beats:
            for start_s, end_s, name in _lids(beat):
                box = self.boxes.get(name or "")
                if box is None:
                    continue
                length_s = end_s - start_s
                first = bisect_left(self.times, start_s + LID_OPENS * length_s)
                last = bisect_left(self.times, start_s + LID_SHUTS * length_s)
                for at in range(first, last):
                    if self.shown[at] == _stage(box.place):
                        line[at] = label("shown", box.colour, box.shape)
        return line

    def _stage_of(self, inside: str) -> str:
        if inside in self.people:
            return _stage(self.people[inside].place)
        return _stage(self.boxes[inside].place if inside in self.boxes else inside)

    def _box(self, box: Container) -> Line:
        value = label("through glass" if box.glass else "shown", box.colour)
        return self._only_shown([value] * self.count, _stage(box.place))

    def _picture(self, box: Container) -> Line:
        thing = self.things.get(box.label or "")
        value = label("none") if thing is None else label("thing", thing.colour, thing.shape)
        return self._only_shown([value] * self.count, _stage(box.place))


def _stage(place: str) -> str:
    return YARD if place == YARD else ROOM


def _lids(beat: Beat) -> list[tuple[float, float, str | None]]:
    if beat.kind in ("put", "take", "open"):
        return [(beat.walk_end_s, beat.end_s, beat.container)]
    if beat.kind == "move":
        return [
            (beat.walk_end_s, beat.take_end_s, beat.container),
            (beat.carry_end_s, beat.end_s, beat.to_container),
        ]
    return []


def _phases(beat: Beat) -> list[tuple[float, float, str, str | None]]:
    """What one sees her do in a beat: from, to, what, with which container."""
    whole = (beat.start_s, beat.end_s)
    if beat.kind == "enter":
        return [(*whole, "enter", None)]
    if beat.kind == "move":
        return [
            (beat.start_s, beat.walk_end_s, "walking", None),
            (beat.walk_end_s, beat.take_end_s, "take", beat.container),
            (beat.take_end_s, beat.carry_end_s, "carry", None),
            (beat.carry_end_s, beat.end_s, "put", beat.to_container),
        ]
    done = beat.kind if beat.kind in CLASS else "idle"
    if beat.kind == "idle" and beat.act is None:
        done = "walking"
    return [(beat.start_s, beat.walk_end_s, "walking", None), (beat.walk_end_s, beat.end_s, done, beat.container)]
