"""Bubbles and signs: who says or feels what goes in; balloons with pictures, marks and small props come out."""

from __future__ import annotations

import numpy as np

from eval.worlds.art.colours import INK, PAPER, named
from eval.worlds.art.containers import icon
from eval.worlds.art.letters import width as text_width
from eval.worlds.art.letters import write
from eval.worlds.art.pen import Num, Pen
from eval.worlds.art.things import heart, thing
from eval.worlds.scene import Container, Thing

HALF = 0.2
"""Half the width of a bubble with two pictures."""
HIGH = 0.082
"""Half its height."""
MIDDLE = 0.148
"""Where its middle is."""
TAG_HIGH = 0.034
"""Half the height of a name's plate."""


def bubble(pen: Pen, u: float, v: float, head_u: float, head_v: float, half: float) -> Pen:
    """An empty balloon about (u, v), its tail above a speaker's head; returns the pen for what is in it."""
    # The tail starts at the balloon's lower edge, where it is nearest to the speaker.
    root = min(max(head_u, u - half + 0.06), u + half - 0.06)
    low = v + HIGH - 0.012
    part = pen.at(u, v)
    part.box(0.004, 0.008, half, HIGH, (50, 40, 60), radius=HIGH * 0.8, alpha=0.22, soft=0.012)
    pen.polygon([(root - 0.03, low), (root + 0.03, low), (head_u, head_v)], INK, round=0.005)
    part.box(0, 0, half, HIGH, PAPER, radius=HIGH * 0.8, line_width=0.0055)
    pen.polygon([(root - 0.027, low - 0.006), (root + 0.027, low - 0.006), (head_u, head_v)], PAPER)
    return part


def tells(pen: Pen, item: Thing | None, place: Container | None, palette: str) -> None:
    """Thing, arrow, container."""
    if item is not None:
        thing(pen.at(-0.116, 0, 0.064), item.shape, named(item.colour, palette))
    pen.limb(-0.04, 0, -0.006, 0, 0.008, INK)
    pen.polygon([(-0.008, -0.024), (0.022, 0), (-0.008, 0.024)], INK, round=0.003)
    if place is not None:
        icon(pen.at(0.108, 0.008, 0.057), place.shape, named(place.colour, palette), glass=place.glass)


def wishes(pen: Pen, item: Thing | None, palette: str) -> None:
    """A heart and the thing wanted."""
    heart(pen.at(-0.066, 0.002, 0.045))
    if item is not None:
        thing(pen.at(0.056, 0, 0.064), item.shape, named(item.colour, palette))


def mark(pen: Pen, sign: str, shown: Num) -> None:
    """An exclamation or question mark on a small burst, about the pen's origin."""
    part = pen.at(0, 0, 0.55 + 0.45 * shown, alpha=np.where(np.asarray(shown) > 0.02, 1.0, 0.0))
    fill = (255, 214, 66) if sign == "!" else (206, 226, 246)
    part.ellipse(0, 0, 0.042, 0.046, fill, line_width=0.005)
    write(part, sign, 0.004, 0, 0.056, 0.0065, INK)


def puff(pen: Pen, progress: Num) -> None:
    """Dust and a question mark that rise out of an empty container; `progress` 0 to 1, 0 and 1 are nothing."""
    there = np.where((np.asarray(progress) > 0.01) & (np.asarray(progress) < 0.99), 1.0, 0.0)
    fade = there * np.minimum(1.0, 3.0 * (1.0 - np.asarray(progress)))
    rise = np.asarray(progress) * 0.05
    for u, r, late in ((-0.06, 0.026, 0.0), (0.06, 0.024, 0.3), (0.0, 0.03, 0.15)):
        pen.ellipse(u * (0.6 + progress), -0.02 - rise + late * 0.02, r, r * 0.8, (214, 206, 200), alpha=0.75 * fade)
    part = pen.at(0, -0.075 - 0.02 * np.sin(np.pi * np.asarray(progress)), 1.0, alpha=there)
    part.ellipse(0, 0, 0.045, 0.048, PAPER, line_width=0.005)
    write(part, "?", 0.004, 0, 0.062, 0.007, INK)


def tag_half(name: str) -> float:
    """Half the width of a name's plate."""
    return text_width(name) * 0.047 / 2 + 0.016


def name_tag(pen: Pen, name: str, shown: Num) -> None:
    """A small plate with a name, about the pen's origin."""
    pen.box(0, 0, tag_half(name), TAG_HIGH, PAPER, radius=0.014, line_width=0.004, alpha=shown)
    write(pen, name, 0, 0, 0.047, 0.0052, INK, alpha=shown)


def notes(pen: Pen, since_s: Num, shown: Num) -> None:
    """Notes that drift up from one who hums."""
    for late, u in ((0.0, 0.12), (0.5, 0.16)):
        part = np.mod(np.asarray(since_s) * 0.6 + late, 1.0)
        note = pen.at(u + 0.012 * np.sin(part * 9), -0.42 - 0.12 * part, 1.0, alpha=shown * (1 - part))
        note.ellipse(0, 0, 0.015, 0.011, INK, angle=-0.4)
        note.limb(0.012, -0.002, 0.012, -0.045, 0.003, INK)
        note.limb(0.012, -0.045, 0.028, -0.036, 0.004, INK)


def juggled(pen: Pen, since_s: Num, shown: Num) -> None:
    """Three dots in the air."""
    for i, colour in enumerate(((96, 120, 140), (150, 110, 90), (90, 140, 110))):
        turn = np.asarray(since_s) * 4.2 + i * 2 * np.pi / 3
        pen.ellipse(
            0.1 * np.cos(turn), -0.36 - 0.2 * np.abs(np.sin(turn)), 0.016, 0.016, colour, alpha=shown, line_width=0.004
        )


def newspaper(pen: Pen, shown: Num) -> None:
    """A paper held open before the chest."""
    for side in (-1, 1):
        corners = [(0, -0.235), (side * 0.1, -0.25), (side * 0.1, -0.135), (0, -0.12)]
        pen.polygon(corners[::side], (244, 242, 234), line_width=0.004, alpha=shown)
        for v in (-0.215, -0.195, -0.175, -0.155):
            pen.limb(side * 0.02, v, side * 0.08, v - 0.007, 0.0025, (150, 148, 146), alpha=shown)


def drinking_glass(pen: Pen, u: Num, v: Num, shown: Num) -> None:
    """A tall glass with a straw at a hand."""
    part = pen.at(u, v, 1.0, alpha=shown)
    part.limb(0.004, -0.03, 0.02, -0.085, 0.0035, (226, 110, 120))
    part.polygon(
        [(-0.021, -0.045), (0.021, -0.045), (0.016, 0.035), (-0.016, 0.035)], (206, 226, 236), line_width=0.004
    )


def watering_can(pen: Pen, u: Num, v: Num, since_s: Num, shown: Num) -> None:
    """A can at a hand, and drops."""
    part = pen.at(u, v, 1.0, alpha=shown)
    grey = (150, 162, 170)
    part.limb(0.02, 0.0, 0.075, -0.02, 0.006, grey, line_width=0.003)
    part.ellipse(0.078, -0.022, 0.014, 0.01, grey, angle=1.0, line_width=0.003)
    part.box(0, 0.006, 0.032, 0.03, grey, radius=0.01, line_width=0.004)
    for late in (0.0, 0.33, 0.66):
        fall = np.mod(np.asarray(since_s) * 1.6 + late, 1.0)
        part.ellipse(0.09 + 0.012 * fall, -0.01 + 0.13 * fall, 0.006, 0.009, (110, 176, 226), alpha=1 - 0.5 * fall)
