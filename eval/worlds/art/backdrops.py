"""Backdrops: a stage's theme, palette and decor seed go in; sky, wall, openings, floor and furniture come out.

A room is painted in this order: `outdoors`, people outdoors, `room`, people, `screen`. A yard is one picture, `yard`.
"""

from __future__ import annotations

import random

from eval.worlds.art.colours import LAYOUT, PAPER, RGB, Palette, dark, mix, pale, palette
from eval.worlds.art.furniture import EDGE, FLOOR, furnish
from eval.worlds.art.pen import Num, Pen, stencil
from eval.worlds.scene import Stage

DOOR_TOP = 0.235
WINDOW_TOP = 0.055
SILL = 0.275


@stencil
def outdoors(pen: Pen, stage: Stage) -> None:
    """What is seen through door and window: sky, sun, hills, a tree, a path."""
    shades = palette(stage.palette)
    middle, half = stage.width / 2, stage.width / 2 + EDGE
    pen.box(middle, 0.35, half, 0.36, shades.sky, fill2=pale(shades.sky, 0.6))
    draw = random.Random(f"{stage.decor}/outdoors")  # noqa: S311
    window = stage.window_x
    pen.ellipse(window + draw.uniform(-0.07, 0.07), 0.115, 0.03, 0.03, (255, 226, 120))
    for u in (window - 0.05, window + 0.02):
        pen.ellipse(u, 0.19, 0.055, 0.016, PAPER, alpha=0.8)
    for u, v, ru in ((stage.door_x - 0.1, 0.62, 0.2), (stage.door_x + 0.14, 0.64, 0.22)):
        pen.ellipse(u, v, ru, 0.14, mix(shades.grass, shades.sky, 0.3))
    pen.box(middle, 0.69, half, 0.09, shades.grass, fill2=dark(shades.grass, 0.1))
    pen.limb(stage.door_x + 0.06, 0.5, stage.door_x + 0.06, 0.6, 0.01, (126, 92, 62))
    pen.ellipse(stage.door_x + 0.06, 0.45, 0.055, 0.07, dark(shades.grass, 0.18))
    sandy = (232, 214, 172)
    pen.polygon(
        [
            (stage.door_x - 0.05, 0.61),
            (stage.door_x - 0.02, 0.61),
            (stage.door_x + 0.11, 0.72),
            (stage.door_x - 0.1, 0.72),
        ],
        sandy,
    )


@stencil
def room(pen: Pen, stage: Stage) -> None:
    """Wall with its openings, floor, and what hangs and stands about."""
    shades = palette(stage.palette)
    draw = random.Random(f"{stage.decor}/room")  # noqa: S311
    _wall(pen, stage, shades, draw)
    _floor(pen, stage, shades, draw)
    _door(pen, stage.door_x, shades)
    _window(pen, stage.window_x, shades)
    furnish(pen, stage, shades, draw)


def _wall(pen: Pen, stage: Stage, shades: Palette, draw: random.Random) -> None:
    """The wall in pieces around door and window, with its pattern."""
    low = dark(shades.wall, 0.06)
    door, window = LAYOUT.door_width / 2, LAYOUT.window_width / 2
    left, right = -EDGE, stage.width + EDGE
    holes = sorted(
        [(stage.door_x - door, stage.door_x + door, DOOR_TOP, FLOOR),
         (stage.window_x - window, stage.window_x + window, WINDOW_TOP, SILL)]
    )  # fmt: skip

    def piece(u0: float, u1: float, v0: float, v1: float) -> None:
        # A little overlap, so that no seam shows; every piece has its part of one gradient over the whole wall.
        if u1 > u0 and v1 > v0:
            top, bottom = mix(shades.wall, low, max(0.0, v0) / FLOOR), mix(shades.wall, low, v1 / FLOOR)
            pen.box((u0 + u1) / 2, (v0 + v1) / 2, (u1 - u0) / 2 + 0.002, (v1 - v0) / 2 + 0.002, top, fill2=bottom)

    edge = left
    for u0, u1, v0, v1 in holes:
        piece(edge, u0, -EDGE, FLOOR)
        piece(u0, u1, -EDGE, v0)
        piece(u0, u1, v1, FLOOR)
        edge = u1
    piece(edge, right, -EDGE, FLOOR)

    def free(u: float, room_u: float, top: float) -> bool:
        beside_door = abs(u - stage.door_x) > door + room_u or top < DOOR_TOP - 0.03
        return beside_door and abs(u - stage.window_x) > window + room_u

    pattern = draw.choice(("stripes", "dots", "panel", "plain"))
    step = draw.choice((0.075, 0.09, 0.11))
    count = int(stage.width / step) + 2
    if pattern == "stripes":
        for i in range(count):
            u = (i - 0.5) * step
            if free(u, step * 0.25, 1.0):
                pen.box(u, FLOOR / 2 - 0.1, step * 0.22, FLOOR / 2 + 0.1, shades.pattern)
    elif pattern == "dots":
        for i in range(count):
            for j in range(6):
                u, v = (i - 0.5 + 0.5 * (j % 2)) * step, 0.05 + j * 0.115
                if free(u, 0.02, 1.0):
                    pen.ellipse(u, v, 0.011, 0.011, shades.pattern)
    elif pattern == "panel":
        for u0, u1 in _beside(stage, door):
            pen.box((u0 + u1) / 2, 0.6, (u1 - u0) / 2, 0.1, shades.pattern)
            pen.box((u0 + u1) / 2, 0.5, (u1 - u0) / 2, 0.008, shades.trim)


def _beside(stage: Stage, half: float) -> list[tuple[float, float]]:
    return [(-EDGE, stage.door_x - half - 0.02), (stage.door_x + half + 0.02, stage.width + EDGE)]


def _floor(pen: Pen, stage: Stage, shades: Palette, draw: random.Random) -> None:
    middle, half = stage.width / 2, stage.width / 2 + EDGE
    pen.box(middle, 0.95, half, 0.25, shades.floor, fill2=dark(shades.floor, 0.16))
    line = dark(shades.floor, 0.12)
    if stage.theme in ("kitchen", "classroom"):
        for i in range(-6, 7):
            pen.limb(middle + i * 0.17, FLOOR, middle + i * 0.3, 1.05, 0.0022, line)
        for v in (0.745, 0.81, 0.9):
            pen.limb(-0.2, v, stage.width + 0.2, v, 0.0022, line)
    else:
        for v in (0.735, 0.785, 0.85, 0.93):
            pen.limb(-0.2, v, stage.width + 0.2, v, 0.0025, line)
            for _ in range(3):
                u = draw.uniform(0, stage.width)
                pen.limb(u, v, u + 0.01, v + 0.05, 0.002, line)
    if draw.random() < 0.6:
        soft = mix(shades.accent, shades.floor, 0.45)
        pen.ellipse(middle, 0.885, stage.width * 0.42, 0.085, soft, line=pale(soft, 0.3), line_width=0.012)
    for u0, u1 in _beside(stage, LAYOUT.door_width / 2):
        pen.box((u0 + u1) / 2, FLOOR - 0.012, (u1 - u0) / 2, 0.014, shades.trim)
        pen.limb(u0, FLOOR + 0.002, u1, FLOOR + 0.002, 0.002, dark(shades.floor, 0.3))


def _door(pen: Pen, u: float, shades: Palette) -> None:
    """The frame of an open doorway and its open leaf's edge."""
    half = LAYOUT.door_width / 2
    edge = dark(shades.trim, 0.35)
    for side in (-1, 1):
        pen.box(u + side * (half + 0.008), (DOOR_TOP + FLOOR) / 2, 0.016, (FLOOR - DOOR_TOP) / 2 + 0.016, shades.trim,
                line=edge, line_width=0.003)  # fmt: skip
    pen.box(u, DOOR_TOP - 0.008, half + 0.024, 0.016, shades.trim, line=edge, line_width=0.003)
    pen.box(u, FLOOR + 0.008, half + 0.01, 0.01, dark(shades.accent, 0.2), radius=0.006)


def _window(pen: Pen, u: float, shades: Palette) -> None:
    """Frame, sill and short curtains that leave the opening free."""
    half, middle = LAYOUT.window_width / 2, (WINDOW_TOP + SILL) / 2
    edge = dark(shades.trim, 0.35)
    for side in (-1, 1):
        pen.box(u + side * (half + 0.006), middle, 0.013, (SILL - WINDOW_TOP) / 2 + 0.013, shades.trim, line=edge,
                line_width=0.003)  # fmt: skip
        pen.polygon(
            [(u + side * (half - 0.035), WINDOW_TOP - 0.012), (u + side * (half + 0.034), WINDOW_TOP - 0.012),
             (u + side * (half + 0.03), SILL + 0.01), (u + side * (half + 0.004), SILL + 0.01)][::side],
            mix(shades.accent, PAPER, 0.25), line=dark(shades.accent, 0.2), line_width=0.003,
        )  # fmt: skip
    pen.box(u, WINDOW_TOP - 0.008, half + 0.045, 0.013, dark(shades.accent, 0.1), radius=0.008)


@stencil
def sill(pen: Pen, stage: Stage) -> None:
    """The window's sill; painted after those who look in, before their hands."""
    shades = palette(stage.palette)
    pen.box(stage.window_x, SILL + 0.008, LAYOUT.window_width / 2 + 0.03, 0.011, shades.trim, radius=0.004,
            line=dark(shades.trim, 0.35), line_width=0.003)  # fmt: skip


@stencil
def screen(pen: Pen, stage: Stage) -> None:
    """The tall folding screen: three leaves with a pattern, painted before those who stand behind it."""
    if stage.screen_x is None:
        return
    shades = palette(stage.palette)
    colour = dark(shades.accent, 0.08)
    part = pen.at(stage.screen_x, 0, flip=1.0)
    half, top, bottom = LAYOUT.screen_width / 2, 0.27, 0.875
    part.ellipse(0, bottom, half + 0.03, 0.02, (40, 30, 40), alpha=0.3, soft=0.016)
    third = 2 * half / 3
    for leaf in range(3):
        u0 = -half + leaf * third
        drop = 0.018
        a, b = (0.0, drop) if leaf % 2 == 0 else (drop, 0.0)
        fill = colour if leaf % 2 == 0 else pale(colour, 0.22)
        part.polygon(
            [(u0, top + a), (u0 + third, top + b), (u0 + third, bottom - 0.02 + b), (u0, bottom - 0.02 + a)],
            fill, round=0.003, line=dark(colour, 0.5), line_width=0.006,
        )  # fmt: skip
        for row in range(7):
            v = top + 0.055 + row * 0.08
            part.ellipse(u0 + third / 2, v, 0.011, 0.019, pale(colour, 0.55 if row % 2 else 0.4))


@stencil
def yard(pen: Pen, stage: Stage) -> None:
    """Another place under the open sky, where interludes happen."""
    shades = palette(stage.palette)
    draw = random.Random(f"{stage.decor}/yard")  # noqa: S311
    middle, half = stage.width / 2, stage.width / 2 + EDGE
    pen.box(middle, 0.3, half, 0.66, shades.sky, fill2=pale(shades.sky, 0.7))
    pen.ellipse(draw.uniform(0.15, stage.width - 0.15), 0.14, 0.055, 0.055, (255, 228, 130))
    for _ in range(3):
        u, v = draw.uniform(0.1, stage.width - 0.1), draw.uniform(0.07, 0.26)
        for shift, r in ((-0.06, 0.035), (0.0, 0.05), (0.065, 0.036)):
            pen.ellipse(u + shift, v, r * 1.3, r * 0.7, PAPER, alpha=0.85)
    ground: RGB = shades.grass
    if stage.theme == "beach":
        ground = (240, 222, 176)
        pen.box(middle, 0.6, half, 0.13, (110, 176, 214), fill2=(142, 204, 226))
        for i in range(7):
            u, v = draw.uniform(0, stage.width), 0.52 + 0.028 * i
            pen.limb(u, v, u + 0.12, v, 0.003, PAPER, alpha=0.7)
    elif stage.theme == "street":
        ground = (196, 192, 188)
        for i in range(int(stage.width / 0.24) + 2):
            tone = mix((shades.wall, shades.pattern, mix(shades.accent, PAPER, 0.6))[i % 3], (190, 160, 140), 0.15)
            u, top = i * 0.24 - 0.05, draw.uniform(0.24, 0.36)
            pen.box(u, (top + FLOOR) / 2, 0.115, (FLOOR - top) / 2, tone)
            pen.polygon(
                [(u - 0.125, top), (u, top - 0.09), (u + 0.125, top)], dark(mix(tone, (170, 100, 80), 0.4), 0.1)
            )
            for side in (-1, 1):
                for v in (top + 0.08, top + 0.2):
                    pen.box(u + side * 0.05, v, 0.022, 0.03, pale(shades.sky, 0.2), line=PAPER, line_width=0.006)
    else:
        for _ in range(3):
            u = draw.uniform(0, stage.width)
            pen.ellipse(u, 0.72, draw.uniform(0.3, 0.5), draw.uniform(0.12, 0.2), mix(shades.grass, shades.sky, 0.35))
    pen.box(middle, 0.95, half, 0.27, ground, fill2=dark(ground, 0.12))
    if stage.theme == "garden":
        for i in range(int(stage.width / 0.085) + 2):
            u = i * 0.085 - 0.02
            corners = [(u - 0.026, 0.7), (u - 0.026, 0.54), (u, 0.51), (u + 0.026, 0.54), (u + 0.026, 0.7)]
            pen.polygon(corners, (246, 240, 226), line=(190, 178, 160), line_width=0.004)
        pen.box(middle, 0.6, half, 0.011, (236, 228, 212))
    if stage.theme == "park":
        for u in (draw.uniform(0.06, 0.3), stage.width - draw.uniform(0.06, 0.3)):
            pen.limb(u, 0.45, u, 0.71, 0.022, (128, 94, 64))
            for shift, v, r in ((-0.07, 0.36, 0.085), (0.07, 0.36, 0.085), (0.0, 0.29, 0.1)):
                pen.ellipse(u + shift, v, r, r, dark(shades.grass, 0.16))
    for _ in range(9 if stage.theme in ("garden", "park") else 0):
        u, v = draw.uniform(0, stage.width), draw.uniform(0.73, 0.99)
        pen.curve([(u, v), (u + 0.004, v - 0.02), (u + 0.012, v - 0.028)], 0.003, dark(ground, 0.25))


def cut_fade(pen: Pen, width: float, alpha: Num) -> None:
    """A short darkening where one place gives way to the other."""
    pen.box(width / 2, 0.5, width / 2 + EDGE, 0.5 + EDGE, (40, 32, 44), alpha=alpha)
