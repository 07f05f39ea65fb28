"""The nouns of the world: what a plot decides and the stage draws, frozen; seconds, and stage units.

Stage units: the picture is 1 high and `Stage.width` wide, x from left to right, y from the top down, so that one scene
can be drawn at any size. People stand in a row behind the containers, which stand in a row at the front.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from roles.minds import Story

ROOM, NOOK, WINDOW, OUTSIDE = "room", "nook", "window", "outside"
"""Places of the main stage: in front of the containers; beside them, behind a folding screen; outside at the window,
looking in; outside, out of sight and earshot."""
YARD = "yard"
"""The place of interludes: another stage with other people, containers and things."""


@dataclass(frozen=True, slots=True)
class Person:
    """One character.

    Attributes:
        name: Unique in the film, as is its first letter, which is on the shirt.
        pronoun: "she" or "he".
        shirt: Name of the colour of the clothes, unique in the film; questions tell people apart by it.
        skin: Index of a skin tone.
        hair: Name of a hair style.
        hair_colour: Index of a hair colour.
        extra: Name of a costume part ("none", "glasses", "cap", "bow", "beard", ...).
        size: Height against the others, about 1.
        place: Where she is at second 0.
        x: Where she stands on her stage then.
    """

    name: str
    pronoun: str
    shirt: str
    skin: int
    hair: str
    hair_colour: int
    extra: str
    size: float
    place: str
    x: float


@dataclass(frozen=True, slots=True)
class Container:
    """Something to put things in.

    Attributes:
        name: Colour and shape, unique in the film ("red basket").
        shape: "basket", "box" ...
        colour: Name of the colour.
        place: `ROOM` or `YARD`.
        x: Its middle.
        glass: Whether one can see into it when it is closed.
        label: Name of the thing pictured on its front; None is no picture.
    """

    name: str
    shape: str
    colour: str
    place: str
    x: float
    glass: bool = False
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Thing:
    """An object that is put, moved and looked for.

    Attributes:
        name: Colour and shape ("green car"); shapes and colours are unique in the film.
        shape: "ball", "car" ...
        colour: Name of the colour.
        inside: Where it is at second 0: a person who holds it, a container, or a place where it lies on the floor.
        x: Where it lies then, if it lies on the floor.
    """

    name: str
    shape: str
    colour: str
    inside: str
    x: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A place with its backdrop.

    Attributes:
        place: `ROOM` or `YARD`.
        theme: Name of the backdrop ("kitchen", "garden", ...).
        palette: Name of its colours.
        width: Of the picture, in stage units: its aspect ratio.
        door_x: Middle of the doorway in the back wall; leaving is walking through it.
        window_x: Middle of the window in the back wall.
        screen_x: The folding screen; None is none.
        nook_side: -1 where the nook is to the left of the screen, 1 to the right.
        decor: Seed of what hangs and stands about.
    """

    place: str
    theme: str
    palette: str
    width: float
    door_x: float
    window_x: float
    screen_x: float | None = None
    nook_side: int = -1
    decor: int = 0


@dataclass(frozen=True, slots=True)
class Beat:
    """How one event looks: who walks where, and what the hands do. Times lie within the event's own.

    Kinds and what they use:
        enter, leave: from and to the doorway. `x_to` is where she stops, or the doorway.
        put: walks to `container`, lays `thing`, which she holds, into it.
        take: takes `thing` out of `container`, or off the floor, and holds it.
        move: takes `thing` out of `container` until `take_end_s`, carries it to `to_container` until `carry_end_s`,
            lays it in.
        open: opens `container`, looks in, closes it. `found` says what comes to light; None is nothing.
        look_away, turn_back: turns her back to everything, or back again.
        hide, come_out: walks behind the screen, or back.
        peek: looks in at the window from outside until the end.
        spot: glances at the window and notices `other` there.
        tell: says to `other` that `thing` is in `container` (a bubble with both).
        wish: says that she wants `thing` (a bubble with a heart).
        idle: does `act`.

    Attributes:
        event: Id of the event in the story.
        kind: Which of the above.
        person: Who.
        start_s: When it begins.
        walk_end_s: Until then she walks from `x_from` to `x_to`, then acts.
        end_s: When it is over.
        x_from: Where she comes from.
        x_to: Where she goes.
    """

    event: str
    kind: str
    person: str
    start_s: float
    walk_end_s: float
    end_s: float
    x_from: float
    x_to: float
    thing: str | None = None
    container: str | None = None
    to_container: str | None = None
    to_x: float = 0.0
    take_end_s: float = 0.0
    carry_end_s: float = 0.0
    other: str | None = None
    found: tuple[str, ...] = ()
    act: str | None = None


@dataclass(frozen=True, slots=True)
class Reaction:
    """A feeling that shows on a face: "surprise", "joy", "anger", "doubt" (shakes the head) or "nod"."""

    person: str
    feeling: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Shot:
    """Which stage is seen from `start_s` to `end_s`; shots follow each other without gaps."""

    place: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Camera:
    """Slow movement of the picture: centre shift in stage units and zoom at the film's start and end."""

    dx: tuple[float, float] = (0.0, 0.0)
    dy: tuple[float, float] = (0.0, 0.0)
    zoom: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Look:
    """How the film is shot and stored; none of it changes what happens.

    Attributes:
        camera: Its movement.
        noise: Standard deviation of the grain, in levels of 255.
        light: Factor on all colours, about 1.
        crf: Quality of the compression; higher is worse.
        fps: Frames per second of the film as a file, where the user asks for none.
        seed: Of the grain.
    """

    camera: Camera = Camera()
    noise: float = 0.0
    light: float = 1.0
    crf: int = 23
    fps: float = 12.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Cast:
    """The parts that people and things play; what questions are asked about.

    Attributes:
        believer: Whose belief the set turns on.
        mover: Who moves the thing.
        witness: A third who saw it, or tells of it; None where the plot needs none.
        thing: The thing that is moved.
        path: The containers it lies in, one after the other.
        offered: The two containers that questions about places offer, the same for all films of a set.
    """

    believer: str
    mover: str
    witness: str | None
    thing: str
    path: tuple[str, ...]
    offered: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Scene:
    """One film before it is drawn.

    Attributes:
        seed: Of its matched set; with `kind` it names the film.
        kind: Which member of the set: "false_belief", "told", ...
        family: Which sort of set: "place", "second_order", "testimony", "contents".
        split: "train", "val", "test" or "generalisation".
        story: What happens, for `roles.minds`.
        people: Everybody, the main stage's first.
        containers: All of them, both stages'.
        things: All of them.
        stages: The main one first.
        beats: How the events look, by start.
        reactions: What faces show.
        shots: What is seen when.
        duration_s: Length of the film.
        cast: Who plays what.
        coda: Whether the film goes on until the believer has searched and found.
        look: How it is shot.
        facts: What the plot drew, as text, for manifests and statistics ("believes": "false", "in_view": "yes", ...).
    """

    seed: int
    kind: str
    family: str
    split: str
    story: Story
    people: tuple[Person, ...]
    containers: tuple[Container, ...]
    things: tuple[Thing, ...]
    stages: tuple[Stage, ...]
    beats: tuple[Beat, ...]
    reactions: tuple[Reaction, ...]
    shots: tuple[Shot, ...]
    duration_s: float
    cast: Cast
    coda: bool = False
    look: Look = Look()
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of the film: its file without the ending."""
        return f"{self.seed:08d}-{self.kind}"
