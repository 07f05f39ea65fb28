"""Layouts: how many people, containers and things a plot needs goes in, a furnished stage with its cast comes out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from eval.worlds import art, splits
from eval.worlds.draw import dice
from eval.worlds.names import name_all
from eval.worlds.scene import ROOM, YARD, Camera, Container, Look, Person, Stage, Thing

ASPECTS: dict[str, float] = {"4:3": 4 / 3, "3:2": 1.5, "16:9": 16 / 9}
"""Shapes of the picture, and the stage's width at each."""
PATTERNS: tuple[str, ...] = ("apart", "middle_window", "middle_door")
"""Where door and window are, outside the generalisation split."""
SCREEN_ROOM = 0.17
"""Nobody who is in the room stands nearer than this to the middle of the screen."""
EDGE = 0.08
"""So much further from the picture's edge than the art needs people stand: who waves is wider."""
CROP = 0.028
"""At most so much of the stage the camera ever crops on each side; above and below it is less."""
AT_EASE = 0.31
"""People stand so far apart at least, where there is room: heads and hats do not touch."""
DOOR_ROOM = 0.23
"""Nobody stands nearer than this to the middle of the doorway while somebody goes through it, where there is room."""
FPS: tuple[float, ...] = (8.0, 10.0, 12.0, 15.0)


@dataclass(frozen=True, slots=True)
class Needs:
    """What the plot asks of a layout.

    Attributes:
        people: Number of people on the main stage.
        containers: Number of containers there.
        things: Number of things there.
        screen: Whether there is a folding screen.
        yard: Whether there are interludes.
        aspect: Shape of the picture; None draws one.
        turns: Whether somebody turns her back, and then must not be in the way.
    """

    people: int
    containers: int
    things: int
    screen: bool
    yard: bool
    aspect: str | None = None
    turns: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A furnished stage; people, containers and things of the main stage come first, in the order of their parts.

    Attributes:
        pattern: How door, window and containers stand.
        aspect: Shape of the picture.
        door_side: Side of the door, seen from the window: "left" or "right".
        stages: The main one, and the yard if there is one.
        people: Everybody; people's homes are their `x`.
        other_names: Everybody's name in the renamed film.
        containers: All of them.
        things: All of them; `inside` is for the plot to say.
        look: How the films are shot.
    """

    pattern: str
    aspect: str
    door_side: str
    stages: tuple[Stage, ...]
    people: tuple[Person, ...]
    other_names: tuple[str, ...]
    containers: tuple[Container, ...]
    things: tuple[Thing, ...]
    look: Look


def furnish(seed: int, family: str, split: str, needs: Needs) -> Layout:
    """The layout of a set."""
    held = split == "generalisation"
    chance = dice(seed, family, "layout")
    drawn = chance.choices(list(ASPECTS), weights=_weights(needs))[0]
    aspect = needs.aspect or drawn
    width = round(ASPECTS[aspect], 4)
    pattern = chance.choice(splits.HELD_LAYOUTS if held else PATTERNS)
    screen_x = round(chance.uniform(art.LAYOUT.screen_margin, art.LAYOUT.screen_margin + 0.04), 3)
    stage = _room(chance, width, pattern, screen_x if needs.screen else None, held)
    spots = _spots(chance, width, needs.containers, stage.screen_x, pattern)
    # The one that covers least of the doorway.
    rows = [at_ease(chance, *standing(stage), needs.people) for _ in range(8)]
    homes = min(rows, key=lambda row: sum(max(0.0, DOOR_ROOM - abs(x - stage.door_x)) for x in row))
    turned = chance.random() < 0.5
    if turned:
        stage = flipped(stage)
        spots = [round(width - x, 3) for x in spots]
        homes = [round(width - x, 3) for x in homes]
    chance.shuffle(spots)
    chance.shuffle(homes)
    stages = (stage, _yard(chance, width, held)) if needs.yard else (stage,)
    people, other_names = _people(chance, homes, _yard_homes(chance, width) if needs.yard else [])
    containers, things = _goods(chance, needs, spots, width, {p.shirt for p in people if p.place == ROOM}, held)
    return Layout(
        pattern, aspect, "left" if stage.door_x < stage.window_x else "right", stages, people, other_names, containers,
        things, _look(dice(seed, family, "look"), width),
    )  # fmt: skip


def _weights(needs: Needs) -> tuple[int, int, int]:
    """How likely each shape of the picture is: the more there is to stand about, the wider."""
    if needs.people > 3:
        return (0, 2, 8) if needs.screen else (0, 6, 4)
    crowd = needs.people + needs.screen + needs.turns + (needs.containers > 2)
    return (3, 6, 1) if crowd < 5 else (0, 1, 9) if needs.turns else (0, 6, 4)


def standing(stage: Stage) -> tuple[float, float]:
    """Between which x people stand on a stage, the nook left out."""
    low, high = art.LAYOUT.person_margin + EDGE, stage.width - art.LAYOUT.person_margin - EDGE
    if stage.screen_x is not None:
        if stage.nook_side < 0:
            low = stage.screen_x + SCREEN_ROOM
        else:
            high = stage.screen_x - SCREEN_ROOM
    return low, high


def flipped(stage: Stage) -> Stage:
    """The stage seen in a mirror."""

    def turn(x: float) -> float:
        return round(stage.width - x, 4)

    screen = None if stage.screen_x is None else turn(stage.screen_x)
    return replace(
        stage, door_x=turn(stage.door_x), window_x=turn(stage.window_x), screen_x=screen, nook_side=-stage.nook_side
    )


def spread(chance: random.Random, low: float, high: float, count: int, gap: float) -> list[float]:
    """Positions from left to right, at least `gap` apart, the rest of the way shared out by chance."""
    rest = max(0.0, high - low - gap * (count - 1))
    cuts = sorted(chance.random() for _ in range(count))
    return [round(low + gap * k + rest * cut, 3) for k, cut in enumerate(cuts)]


def at_ease(chance: random.Random, low: float, high: float, count: int) -> list[float]:
    """Where people stand at first."""
    return spread(chance, low, high, count, min(AT_EASE, (high - low) / max(1, count - 1)))


def _room(chance: random.Random, width: float, pattern: str, screen_x: float | None, held: bool) -> Stage:
    """The main stage, its screen at the left if it has one."""
    rules = art.LAYOUT
    first, last = rules.window_margin + EDGE, width - rules.window_margin - EDGE
    if screen_x is not None:
        first = screen_x + rules.screen_door_gap
    gap = rules.door_window_gap
    slack = max(0.0, last - first - gap)
    if pattern == "same_side":
        # The pair stands at one end; with a screen at the left, at the other one.
        near = last - gap - 0.05 * chance.random() * min(1.0, slack)
        far = near + gap + 0.03 * chance.random() * min(1.0, slack)
        far = min(far, last)
    elif pattern in ("apart", "cluster"):
        near = first + slack * chance.uniform(0, 0.2)
        far = last - slack * chance.uniform(0, 0.2)
    else:
        near = first + slack * chance.uniform(0, 0.15)
        far = near + gap + slack * chance.uniform(0.3, 0.5)
    door_x, window_x = near, far
    swap = chance.random() < 0.5 if pattern in ("same_side", "apart", "cluster") else pattern == "middle_door"
    if swap:
        door_x, window_x = far, near
    palettes = splits.HELD_PALETTES if held else _without(art.PALETTES, splits.HELD_PALETTES)
    themes = splits.HELD_THEMES if held else _without(art.THEMES, splits.HELD_THEMES)
    return Stage(
        ROOM,
        theme=chance.choice(themes),
        palette=chance.choice(palettes),
        width=width,
        door_x=round(door_x, 3),
        window_x=round(window_x, 3),
        screen_x=screen_x,
        nook_side=-1,
        decor=chance.randrange(1 << 20),
    )


def _without(names: Sequence[str], left_out: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in left_out)


def _spots(chance: random.Random, width: float, count: int, screen_x: float | None, pattern: str) -> list[float]:
    """Where the containers stand, from left to right."""
    rules = art.LAYOUT
    low, high = rules.container_margin, width - rules.container_margin
    if screen_x is not None:
        low = screen_x + rules.screen_container_gap
    if pattern == "cluster":
        block = rules.container_gap * (count - 1)
        start = low if chance.random() < 0.5 else high - block
        return [round(start + rules.container_gap * k, 3) for k in range(count)]
    # Two of three containers never stand so close that they look like a cluster, where there is room.
    gap = min(rules.container_gap + 0.05, (high - low) / (count - 1))
    return spread(chance, low, high, count, gap)


def _yard(chance: random.Random, width: float, held: bool) -> Stage:
    yards = splits.HELD_YARDS if held else _without(art.YARD_THEMES, splits.HELD_YARDS)
    palettes = splits.HELD_PALETTES if held else _without(art.PALETTES, splits.HELD_PALETTES)
    return Stage(
        YARD,
        theme=chance.choice(yards),
        palette=chance.choice(palettes),
        width=width,
        # People leave a yard to the left or the right; there the door is just outside the picture.
        door_x=chance.choice((-0.22, round(width + 0.22, 4))),
        window_x=round(width / 2, 4),
        decor=chance.randrange(1 << 20),
    )


def _yard_homes(chance: random.Random, width: float) -> list[float]:
    margin = art.LAYOUT.person_margin + EDGE
    return chance.sample(homes := at_ease(chance, margin, width - margin, chance.choice((2, 3))), len(homes))


def _people(
    chance: random.Random, homes: Sequence[float], yard: Sequence[float]
) -> tuple[tuple[Person, ...], tuple[str, ...]]:
    count = len(homes) + len(yard)
    pronouns = [chance.choice(("she", "he")) for _ in range(count)]
    names, other_names = name_all(pronouns, chance)
    shirts = chance.sample(art.SHIRTS, count)
    hairs = chance.sample(art.HAIRS, count)
    people = []
    for k, (name, pronoun, x) in enumerate(zip(names, pronouns, (*homes, *yard), strict=True)):
        extras = art.EXTRAS if pronoun == "he" else _without(art.EXTRAS, art.MALE_EXTRAS)
        person = Person(
            name,
            pronoun,
            shirts[k],
            skin=chance.randrange(art.SKINS),
            hair=hairs[k],
            hair_colour=chance.randrange(art.HAIR_COLOURS),
            extra="none" if chance.random() < 0.35 else chance.choice(extras),
            size=round(chance.uniform(art.LAYOUT.size_min, art.LAYOUT.size_max), 3),
            place=ROOM if k < len(homes) else YARD,
            x=x,
        )
        people.append(person)
    return tuple(people), other_names


def _goods(
    chance: random.Random, needs: Needs, spots: Sequence[float], width: float, shirts: set[str], held: bool
) -> tuple[tuple[Container, ...], tuple[Thing, ...]]:
    """Containers and things of both stages; no two containers, and no two things, share a shape or a colour."""
    in_yard = 2 if needs.yard else 0
    boxes = chance.sample(art.CONTAINER_SHAPES, needs.containers + in_yard)
    while True:
        shapes = chance.sample(art.THING_SHAPES, needs.things + in_yard)
        in_room = [(thing, box) for thing in shapes[: needs.things] for box in boxes[: needs.containers]]
        in_room += [(thing, box) for thing in shapes[needs.things :] for box in boxes[needs.containers :]]
        worn = [(shirt, thing) for shirt in sorted(shirts) for thing in shapes[: needs.things]]
        if held or not (splits.HELD_PAIRS.intersection(in_room) or splits.HELD_SHIRTS.intersection(worn)):
            break
    box_colours = chance.sample(art.CONTAINER_COLOURS, len(boxes))
    colours = chance.sample(art.THING_COLOURS, len(shapes))
    margin = art.LAYOUT.container_margin
    places = [*spots, *spread(chance, margin, width - margin, in_yard, 0.4)] if in_yard else list(spots)
    containers = tuple(
        Container(f"{colour} {shape}", shape, colour, ROOM if k < needs.containers else YARD, places[k])
        for k, (colour, shape) in enumerate(zip(box_colours, boxes, strict=True))
    )
    things = tuple(
        Thing(f"{colour} {shape}", shape, colour, ROOM) for colour, shape in zip(colours, shapes, strict=True)
    )
    return containers, things


def _look(chance: random.Random, width: float) -> Look:
    most = 1 / (1 - 2 * 0.7 * CROP / width)  # the shift takes the rest of what may be cropped
    zooms = (round(chance.uniform(1, most), 3), round(chance.uniform(1, most), 3))
    if chance.random() < 0.3:
        zooms = (1.0, 1.0)
    dx = tuple(round(chance.uniform(-0.2, 0.2) * (zoom - 1) * width, 4) for zoom in zooms)
    dy = tuple(round(chance.uniform(-0.1, 0.2) * (zoom - 1), 4) for zoom in zooms)
    # Grain costs bytes.
    noise = 0.0 if chance.random() < 0.5 else round(chance.uniform(0.5, 4), 2)
    return Look(
        camera=Camera((dx[0], dx[1]), (dy[0], dy[1]), zooms),
        noise=noise,
        light=round(chance.uniform(0.9, 1.1), 3),
        crf=chance.randint(29 if noise > 2 else 26, 34),
        fps=chance.choice(FPS),
    )
