"""The drawn world: names of looks go in, primitives in a painter's draw list come out.

`colours` holds the names that plots draw from (themes, shirts, shapes ...) and the layout rules; it imports nothing
heavy.
"""

from __future__ import annotations

from eval.worlds.art.colours import (
    CONTAINER_COLOURS,
    CONTAINER_SHAPES,
    EXTRAS,
    HAIR_COLOURS,
    HAIRS,
    IDLE_ACTS,
    LAYOUT,
    MALE_EXTRAS,
    PALETTES,
    SHIRTS,
    SKINS,
    THEMES,
    THING_COLOURS,
    THING_SHAPES,
    YARD_THEMES,
    Layout,
)

__all__ = [
    "CONTAINER_COLOURS",
    "CONTAINER_SHAPES",
    "EXTRAS",
    "HAIRS",
    "HAIR_COLOURS",
    "IDLE_ACTS",
    "LAYOUT",
    "MALE_EXTRAS",
    "PALETTES",
    "SHIRTS",
    "SKINS",
    "THEMES",
    "THING_COLOURS",
    "THING_SHAPES",
    "YARD_THEMES",
    "Layout",
]
