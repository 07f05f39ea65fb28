"""Colours, names and layout rules: a colour's name and a palette go in, RGB comes out; plots draw from the names."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cache

RGB = tuple[float, float, float]
"""Red, green and blue, 0 to 255."""

_NAMED: dict[str, RGB] = {
    "red": (219, 50, 47),
    "orange": (240, 124, 26),
    "yellow": (252, 217, 52),
    "green": (70, 165, 72),
    "blue": (48, 104, 205),
    "purple": (134, 70, 176),
    "pink": (244, 132, 184),
    "brown": (133, 84, 48),
    "white": (246, 245, 240),
    "black": (56, 57, 66),
}

SHIRTS: tuple[str, ...] = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black")
CONTAINER_COLOURS: tuple[str, ...] = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
THING_COLOURS: tuple[str, ...] = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
CONTAINER_SHAPES: tuple[str, ...] = ("basket", "box", "bag", "pot", "chest", "bucket", "suitcase", "cupboard")
THING_SHAPES: tuple[str, ...] = (
    "ball", "star", "car", "duck", "apple", "fish", "bear", "book", "bell", "flower", "boat", "cup",
)  # fmt: skip
HAIRS: tuple[str, ...] = (
    "short", "bob", "long", "ponytail", "bun", "curly", "spiky", "braids", "bunches", "fringe",
)  # fmt: skip
EXTRAS: tuple[str, ...] = (
    "none", "glasses", "cap", "bow", "headband", "hat", "flower", "scarf", "beard", "moustache",
)  # fmt: skip
MALE_EXTRAS: tuple[str, ...] = ("beard", "moustache")
"""Extras for people whose pronoun is "he"."""
IDLE_ACTS: tuple[str, ...] = (
    "dance", "wave", "juggle", "read", "drink", "jump", "stretch", "look_around", "hum", "water",
)  # fmt: skip
THEMES: tuple[str, ...] = ("kitchen", "nursery", "living_room", "classroom", "workshop", "attic")
YARD_THEMES: tuple[str, ...] = ("garden", "beach", "park", "street")

_SKIN_TONES: tuple[RGB, ...] = (
    (255, 222, 196), (247, 202, 168), (232, 180, 140), (206, 150, 108), (166, 112, 76), (124, 80, 56),
)  # fmt: skip
_HAIR_TONES: tuple[RGB, ...] = (
    (52, 42, 40), (92, 60, 40), (142, 88, 46), (226, 178, 90), (192, 84, 40), (150, 146, 150), (58, 50, 78),
)  # fmt: skip
SKINS = len(_SKIN_TONES)
HAIR_COLOURS = len(_HAIR_TONES)

INK: RGB = (62, 48, 52)
"""Outlines, pupils and letters."""
PAPER: RGB = (255, 253, 246)
"""Bubbles and stickers."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a stage, and how they tint what is named by a colour.

    Attributes:
        wall: Of the back wall.
        pattern: Of stripes or dots on it.
        floor: Of the floor.
        trim: Of skirting board, door and window frames.
        accent: Of rug, curtains and screen.
        sky: Outdoors, at the top.
        grass: Outdoors, hills and lawn.
        hue_deg: By how much named colours turn round the colour circle.
        rich: Factor on their saturation.
    """

    wall: RGB
    pattern: RGB
    floor: RGB
    trim: RGB
    accent: RGB
    sky: RGB
    grass: RGB
    hue_deg: float
    rich: float


def _palette(colours: str, hue_deg: float, rich: float) -> Palette:
    codes = (int(part, 16) for part in colours.split())
    wall, pattern, floor, trim, accent, sky, grass = (
        (float(code >> 16), float(code >> 8 & 255), float(code & 255)) for code in codes
    )
    return Palette(wall, pattern, floor, trim, accent, sky, grass, hue_deg, rich)


_PALETTES: dict[str, Palette] = {
    "cream": _palette("faecd0 f3e0bc d6ae80 faf8f0 b09884 b0dcf2 9ec67e", 0, 1.0),
    "mint": _palette("d6ecde c8e2d2 dec29c f8faf6 7ea096 bee2f4 94c07a", 3, 1.0),
    "sky": _palette("d0e2f0 c2d7e9 ccb296 fafafc 7a92ac cde8f8 a4c878", -3, 0.97),
    "blush": _palette("f8ded8 f0d0ca cea88a fff8f4 b08a8c bcdaf4 a6c484", 4, 0.98),
    "lilac": _palette("e4dcf0 d8cee8 d2baa4 fcfaff 9284a8 c4d6f4 9abe8c", -4, 1.0),
    "sand": _palette("f0e2c8 e6d6b8 ba9876 fcf6ea 9e9278 b8d8e8 b2be74", 2, 0.95),
    "stone": _palette("dededa d2d2ce b0a094 f6f6f4 868a8e bed4e6 96b680", -2, 1.03),
    "lemon": _palette("fcf2c8 f5e8b4 c8a47c fffcf0 aa9e74 b4e0f0 96c882", -5, 1.0),
    "dusk": _palette("c4c6dc b8bad2 a8928e eceaf4 747696 f6ceb4 8ca480", 5, 0.96),
    "sage": _palette("d8e0c8 cbd4ba bea482 f6f6ec 8a9476 c8e2ec 8cb270", 1, 1.02),
}
PALETTES: tuple[str, ...] = tuple(_PALETTES)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things may stand, in stage units; a plot that keeps to it is legible.

    Attributes:
        width_min: Of a stage; 1.2 and more where there is a screen, or three containers.
        width_max: Of a stage.
        container_gap: Least distance between the middles of two containers.
        container_margin: Least distance of a container's middle from the picture's edge.
        person_gap: Least distance between two people who stand.
        person_margin: Least distance of a standing person from the edge.
        door_width: Of the doorway.
        door_margin: Least distance of its middle from the edge.
        window_width: Of the window.
        window_margin: Least distance of its middle from the edge.
        door_window_gap: Least distance between the middles of door and window.
        screen_width: Of the folding screen.
        screen_margin: Least distance of its middle from the edge on the nook's side; most is 0.40.
        screen_container_gap: Least distance of its middle from a container's middle. No container stands in the nook.
        screen_door_gap: Least distance of its middle from the door's; the door is not in the nook.
        nook_offset: Where one stands in the nook: `screen_x + nook_side * nook_offset`.
        size_min: Least `Person.size`.
        size_max: Greatest `Person.size`.
        reach: How far from a container's middle one stands at most when using it.
    """

    width_min: float = 1.0
    width_max: float = 1.78
    container_gap: float = 0.28
    container_margin: float = 0.16
    person_gap: float = 0.25
    person_margin: float = 0.11
    door_width: float = 0.26
    door_margin: float = 0.16
    window_width: float = 0.27
    window_margin: float = 0.17
    door_window_gap: float = 0.32
    screen_width: float = 0.14
    screen_margin: float = 0.33
    screen_container_gap: float = 0.21
    screen_door_gap: float = 0.22
    nook_offset: float = 0.18
    size_min: float = 0.9
    size_max: float = 1.05
    reach: float = 0.16


LAYOUT = Layout()


def palette(name: str) -> Palette:
    """The palette of that name."""
    return _PALETTES[name]


@cache
def named(colour: str, palette_name: str) -> RGB:
    """The RGB of a colour's name under a palette: a little warmer here, a little duller there, always tellable."""
    shades = _PALETTES[palette_name]
    hue, light, rich = colorsys.rgb_to_hls(*(part / 255 for part in _NAMED[colour]))
    # Orange lies between red, yellow and brown: it turns only half as far as the others.
    turn = shades.hue_deg * (0.5 if colour in ("orange", "yellow", "red", "brown") else 1.0)
    red, green, blue = colorsys.hls_to_rgb((hue + turn / 360) % 1, light, min(1.0, rich * shades.rich))
    return (round(red * 255), round(green * 255), round(blue * 255))


def skin(index: int) -> RGB:
    """A skin tone."""
    return _SKIN_TONES[index % SKINS]


def hair(index: int) -> RGB:
    """A hair colour."""
    return _HAIR_TONES[index % HAIR_COLOURS]


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`first` with `share` of `second` in it."""
    return (
        first[0] + (second[0] - first[0]) * share,
        first[1] + (second[1] - first[1]) * share,
        first[2] + (second[2] - first[2]) * share,
    )


def dark(colour: RGB, share: float = 0.25) -> RGB:
    """A darker shade, towards ink."""
    return mix(colour, (40, 24, 44), share)


def pale(colour: RGB, share: float = 0.3) -> RGB:
    """A lighter shade."""
    return mix(colour, (255, 255, 255), share)
