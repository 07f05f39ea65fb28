"""Furniture: a stage's theme and decor go in; what hangs on its wall and stands at its foot comes out."""

from __future__ import annotations

import random

from eval.worlds.art.colours import INK, LAYOUT, PAPER, Palette, dark, mix, pale
from eval.worlds.art.pen import Pen
from eval.worlds.scene import Stage

FLOOR = 0.7
"""Where the back wall meets the floor."""
EDGE = 0.35
"""How far backdrops reach beyond the picture, for a camera that moves."""


def furnish(pen: Pen, stage: Stage, shades: Palette, draw: random.Random) -> None:
    """What hangs on the wall and stands at its foot, where nothing else is."""
    taken = [(stage.door_x, LAYOUT.door_width / 2 + 0.03), (stage.window_x, LAYOUT.window_width / 2 + 0.05)]
    hangs = {
        "kitchen": ("shelf", "clock", "tiles"), "nursery": ("bunting", "picture", "moon"),
        "living_room": ("picture", "lamp", "picture"), "classroom": ("board", "clock", "chart"),
        "workshop": ("tools", "shelf", "clock"), "attic": ("beams", "picture", "web"),
    }[stage.theme]  # fmt: skip
    if stage.theme == "attic":
        wood = mix(shades.accent, (120, 86, 58), 0.5)
        pen.box(stage.width / 2, 0.006, stage.width / 2 + EDGE, 0.024, wood, line=dark(wood, 0.3), line_width=0.003)
        for u in (0.02, stage.width - 0.02):
            pen.box(u, 0.33, 0.016, 0.36, wood, line=dark(wood, 0.3), line_width=0.003)
    if stage.theme == "nursery":
        _bunting(pen, stage, shades)
    for what in draw.sample(hangs, len(hangs)):
        half = {"board": 0.17, "shelf": 0.12, "tools": 0.11}.get(what, 0.075)
        for _ in range(12):
            u = draw.uniform(half + 0.03, stage.width - half - 0.03)
            if all(abs(u - other) > half + room_u for other, room_u in taken):
                taken.append((u, half + 0.02))
                _hang(pen.at(u, 0.15), what, shades, draw)
                break
    for what, half in (("plant", 0.075), ("stool", 0.07)):
        u = draw.uniform(half, stage.width - half)
        if draw.random() < 0.6 and abs(u - stage.door_x) > LAYOUT.door_width / 2 + half:
            _stand(pen.at(u, FLOOR + 0.012), what, shades)


def _bunting(pen: Pen, stage: Stage, shades: Palette) -> None:
    for i in range(int(stage.width / 0.1) + 1):
        u = 0.03 + i * 0.1
        if abs(u + 0.03 - stage.window_x) > LAYOUT.window_width / 2 + 0.06:
            colour = (
                mix(shades.accent, PAPER, 0.35),
                mix(shades.grass, PAPER, 0.35),
                mix(shades.sky, shades.accent, 0.3),
            )[i % 3]
            pen.polygon([(u, 0.0), (u + 0.07, 0.0), (u + 0.035, 0.06)], colour)


def _hang(pen: Pen, what: str, shades: Palette, draw: random.Random) -> None:
    wood = mix(shades.floor, (110, 76, 50), 0.35)
    grey = mix(shades.accent, shades.wall, 0.35)
    if what == "clock":
        pen.ellipse(0, 0, 0.058, 0.058, PAPER, line=dark(shades.accent, 0.2), line_width=0.011)
        pen.limb(0, 0, 0, -0.034, 0.0035, INK)
        pen.limb(0, 0, 0.022, 0.008, 0.0035, INK)
    elif what in ("picture", "chart", "moon"):
        pen.box(0, 0, 0.068, 0.055, PAPER, line=wood, line_width=0.011)
        pen.box(0, 0.0, 0.054, 0.041, pale(shades.sky, 0.35))
        if what == "chart":
            for v in (-0.02, 0.0, 0.02):
                pen.limb(-0.035, v, draw.uniform(0.0, 0.035), v, 0.0035, grey)
        elif what == "moon":
            pen.ellipse(0.01, -0.005, 0.024, 0.024, (250, 240, 200))
            pen.ellipse(0.02, -0.011, 0.02, 0.02, pale(shades.sky, 0.35))
        else:
            pen.polygon([(-0.054, 0.041), (-0.014, -0.018), (0.026, 0.041)], mix(shades.grass, grey, 0.4))
            pen.polygon([(-0.01, 0.041), (0.024, 0.002), (0.054, 0.041)], mix(shades.grass, grey, 0.15))
    elif what == "board":
        pen.box(0, 0.01, 0.16, 0.075, (74, 98, 90), line=wood, line_width=0.012)
        for v, long in ((-0.025, 0.09), (0.005, 0.11), (0.035, 0.06)):
            pen.limb(-0.11, v, -0.11 + 2 * long * draw.uniform(0.6, 1), v, 0.0035, (222, 230, 222), alpha=0.7)
    elif what == "shelf":
        pen.box(0, 0.05, 0.115, 0.009, wood, line_width=0.003)
        for i, u in enumerate((-0.085, -0.055, -0.03, 0.0, 0.045, 0.075)):
            high = (0.03, 0.036, 0.026, 0.033, 0.028, 0.034)[i]
            pen.box(
                u, 0.041 - high, 0.011, high, mix((shades.accent, shades.grass, shades.sky)[i % 3], shades.wall, 0.35)
            )
    elif what == "tools":
        pen.box(0, 0, 0.105, 0.062, pale(wood, 0.3), line=wood, line_width=0.006)
        pen.limb(-0.06, -0.03, -0.06, 0.04, 0.006, wood)
        pen.box(-0.06, -0.034, 0.022, 0.01, grey)
        pen.limb(0.0, -0.035, 0.0, 0.035, 0.0055, grey)
        pen.limb(0.05, -0.035, 0.07, 0.035, 0.006, grey)
    elif what == "lamp":
        pen.limb(0, -0.2, 0, -0.03, 0.003, INK)
        pen.polygon([(-0.03, -0.035), (0.03, -0.035), (0.06, 0.025), (-0.06, 0.025)], mix(shades.accent, PAPER, 0.4))
        pen.ellipse(0, 0.03, 0.1, 0.05, (255, 244, 190), alpha=0.3, soft=0.05)
    elif what == "tiles":
        for i in range(12):
            pen.box(
                (i % 4 - 1.5) * 0.036,
                (i // 4 - 1) * 0.036,
                0.016,
                0.016,
                (shades.trim, mix(shades.sky, PAPER, 0.4))[i % 2],
            )


def _stand(pen: Pen, what: str, shades: Palette) -> None:
    wood = mix(shades.floor, (110, 76, 50), 0.3)
    if what == "plant":
        leaf = mix(shades.grass, (60, 110, 70), 0.45)
        for u, v in ((-0.05, -0.2), (0.05, -0.19), (0.0, -0.24), (-0.025, -0.16), (0.03, -0.15)):
            pen.curve([(0, -0.07), (u * 0.4, v * 0.9), (u, v)], 0.004, leaf, r1=0.014)
        pen.polygon([(-0.036, -0.075), (0.036, -0.075), (0.026, 0.0), (-0.026, 0.0)], mix(shades.accent, wood, 0.5))
    else:
        for side in (-1, 1):
            pen.limb(side * 0.035, -0.1, side * 0.045, 0.0, 0.007, dark(wood, 0.2))
        pen.box(0, -0.105, 0.056, 0.011, wood, radius=0.008)
