"""Things to put and find: a shape and a colour go in, a bold figure of about one unit's radius comes out of the pen."""

from __future__ import annotations

import math
from collections.abc import Callable

from eval.worlds.art.colours import INK, PAPER, RGB, dark, mix, pale
from eval.worlds.art.pen import Num, Pen, stencil

LINE = 0.09
"""Width of outlines, in the figure's own units."""


@stencil
def thing(pen: Pen, shape: str, fill: RGB) -> None:
    """Draws a thing about the pen's origin, within one unit of it."""
    _DRAWN[shape](pen, fill)


def _ball(pen: Pen, fill: RGB) -> None:
    white = mix(PAPER, fill, 0.06)
    pen.ellipse(0, 0, 0.95, 0.95, fill, fill2=dark(fill, 0.15), line_width=LINE)
    pen.ellipse(0, 0, 0.4, 0.9, white)
    pen.ellipse(0, 0, 0.14, 0.88, fill)
    pen.ellipse(0, -0.78, 0.2, 0.12, white, line_width=LINE / 2)
    pen.ellipse(-0.48, -0.45, 0.16, 0.1, PAPER, angle=-0.7, alpha=0.7)


def _star(pen: Pen, fill: RGB) -> None:
    def ring(outer: float, inner: float, colour: RGB, shift: float) -> None:
        def at(radius: float, turn: float) -> tuple[float, float]:
            return radius * math.sin(turn), shift - radius * math.cos(turn)

        for point in range(5):
            middle, half = point * 2 * math.pi / 5, math.pi / 5
            corners = [(0.0, shift), at(inner, middle - half), at(outer, middle), at(inner, middle + half)]
            pen.polygon(corners, colour, round=0.06)

    ring(1.08, 0.56, INK, 0.06)
    ring(0.94, 0.46, fill, 0.06)
    pen.ellipse(-0.12, -0.1, 0.16, 0.22, pale(fill, 0.55), angle=0.4, alpha=0.8)


def _wheel(pen: Pen, u: float) -> None:
    pen.ellipse(u, 0.52, 0.3, 0.3, INK)
    pen.ellipse(u, 0.52, 0.13, 0.13, PAPER)


def _car(pen: Pen, fill: RGB) -> None:
    pen.polygon([(-0.62, 0.1), (-0.38, -0.58), (0.3, -0.58), (0.62, 0.1)], fill, round=0.1, line_width=LINE)
    pen.polygon([(-0.4, -0.02), (-0.24, -0.42), (-0.04, -0.42), (-0.04, -0.02)], (206, 234, 246), round=0.03)
    pen.polygon([(0.08, -0.02), (0.08, -0.42), (0.2, -0.42), (0.38, -0.02)], (206, 234, 246), round=0.03)
    pen.box(0, 0.26, 1.0, 0.3, fill, radius=0.2, fill2=dark(fill, 0.2), line_width=LINE)
    pen.ellipse(0.86, 0.18, 0.1, 0.1, (255, 240, 160), line_width=LINE / 2)
    _wheel(pen, -0.52)
    _wheel(pen, 0.52)


def _duck(pen: Pen, fill: RGB) -> None:
    beak = (240, 120, 30) if fill[1] > 170 or fill[0] < 200 else (252, 206, 60)
    pen.polygon([(-0.98, -0.12), (-0.5, 0.1), (-0.6, 0.5)], fill, round=0.06, line_width=LINE)
    pen.ellipse(-0.1, 0.36, 0.78, 0.52, fill, fill2=dark(fill, 0.15), line_width=LINE)
    pen.polygon([(0.62, -0.55), (1.04, -0.36), (0.62, -0.2)], beak, round=0.05, line_width=LINE)
    pen.ellipse(0.36, -0.42, 0.44, 0.44, fill, line_width=LINE)
    pen.ellipse(0.2, 0.02, 0.3, 0.2, fill)
    pen.ellipse(-0.24, 0.32, 0.36, 0.22, dark(fill, 0.22), angle=0.25)
    pen.ellipse(0.46, -0.5, 0.1, 0.12, INK)
    pen.ellipse(0.49, -0.54, 0.035, 0.035, PAPER)


def _apple(pen: Pen, fill: RGB) -> None:
    pen.ellipse(-0.34, 0.16, 0.58, 0.74, fill, line_width=LINE)
    pen.ellipse(0.34, 0.16, 0.58, 0.74, fill, fill2=dark(fill, 0.2), line_width=LINE)
    pen.ellipse(-0.02, 0.2, 0.5, 0.62, fill, fill2=dark(fill, 0.12))
    pen.curve([(0.0, -0.42), (0.0, -0.75), (0.16, -0.98)], 0.08, (104, 68, 44))
    pen.ellipse(0.44, -0.74, 0.36, 0.17, (92, 160, 70), angle=-0.45, line_width=LINE)
    pen.ellipse(-0.52, -0.12, 0.12, 0.24, PAPER, angle=0.4, alpha=0.6)


def _fish(pen: Pen, fill: RGB) -> None:
    pen.polygon([(-0.35, 0), (-1.0, -0.56), (-1.0, 0.56)], fill, round=0.1, line_width=LINE)
    pen.polygon([(-0.25, -0.4), (0.1, -0.82), (0.35, -0.4)], dark(fill, 0.2), round=0.06, line_width=LINE)
    pen.ellipse(0.2, 0, 0.78, 0.54, fill, fill2=dark(fill, 0.15), line_width=LINE)
    for u, half in ((-0.2, 0.36), (0.08, 0.42)):
        pen.limb(u, -half, u, half, 0.07, pale(fill, 0.6))
    pen.ellipse(0.56, -0.14, 0.17, 0.17, PAPER, line_width=LINE / 2)
    pen.ellipse(0.6, -0.14, 0.09, 0.09, INK)
    pen.curve([(0.66, 0.22), (0.78, 0.3), (0.9, 0.16)], 0.04, INK)


def _bear(pen: Pen, fill: RGB) -> None:
    for side in (-1, 1):
        pen.ellipse(side * 0.66, -0.62, 0.34, 0.34, fill, line_width=LINE)
        pen.ellipse(side * 0.66, -0.62, 0.17, 0.17, pale(fill, 0.55))
    pen.ellipse(0, 0.08, 0.92, 0.84, fill, fill2=dark(fill, 0.12), line_width=LINE)
    pen.ellipse(0, 0.38, 0.46, 0.36, pale(fill, 0.7))
    pen.ellipse(0, 0.2, 0.17, 0.12, INK)
    pen.limb(0, 0.3, 0, 0.48, 0.04, INK)
    for side in (-1, 1):
        pen.ellipse(side * 0.36, -0.1, 0.11, 0.13, INK)


def _book(pen: Pen, fill: RGB) -> None:
    page = pen.at(0, 0, tilt=-0.12)
    page.box(0.06, 0.06, 0.72, 0.88, PAPER, radius=0.06, line_width=LINE)
    for v in (-0.5, -0.1, 0.3, 0.7):
        page.limb(0.76, v, 0.76, v + 0.12, 0.02, (190, 184, 170))
    page.box(-0.04, 0, 0.72, 0.9, fill, radius=0.08, fill2=dark(fill, 0.12), line_width=LINE)
    page.box(-0.64, 0, 0.12, 0.88, dark(fill, 0.3), radius=0.06)
    page.box(0.1, -0.36, 0.38, 0.2, PAPER, radius=0.05)
    page.limb(-0.1, 0.3, 0.3, 0.3, 0.06, pale(fill, 0.6))


def _bell(pen: Pen, fill: RGB) -> None:
    pen.ellipse(0, 0.76, 0.2, 0.2, dark(fill, 0.35), line_width=LINE)
    pen.ellipse(0, -0.84, 0.16, 0.16, dark(fill, 0.2), line_width=LINE)
    pen.polygon([(-0.5, -0.25), (0.5, -0.25), (0.82, 0.6), (-0.82, 0.6)], fill, round=0.06, line_width=LINE)
    pen.ellipse(0, -0.22, 0.53, 0.54, fill, line_width=LINE, cut=(0, -1, 0.22))
    pen.box(0, 0.58, 0.94, 0.13, dark(fill, 0.12), radius=0.12, line_width=LINE)
    pen.limb(-0.26, -0.4, -0.4, 0.26, 0.08, pale(fill, 0.6), alpha=0.8)


def _flower(pen: Pen, fill: RGB) -> None:
    eye = (250, 208, 60) if fill[2] > 80 or fill[1] < 150 else (126, 76, 42)
    pen.limb(0, 0.2, 0, 1.0, 0.08, (74, 140, 66))
    pen.ellipse(0.3, 0.78, 0.28, 0.12, (92, 160, 74), angle=-0.5, line_width=LINE / 2)
    petals = [(0.5 * math.sin(turn * math.pi / 3), -0.26 - 0.5 * math.cos(turn * math.pi / 3)) for turn in range(6)]
    for u, v in petals:
        pen.ellipse(u, v, 0.31, 0.31, fill, line_width=LINE)
    pen.ellipse(0, -0.26, 0.42, 0.42, fill)
    pen.ellipse(0, -0.26, 0.27, 0.27, eye, line_width=LINE / 2)


def _boat(pen: Pen, fill: RGB) -> None:
    pen.limb(-0.05, -0.9, -0.05, 0.3, 0.05, (120, 82, 50))
    pen.polygon([(0.06, -0.86), (0.74, 0.12), (0.06, 0.12)], PAPER, round=0.05, line_width=LINE)
    pen.polygon([(-0.16, -0.6), (-0.16, 0.12), (-0.68, 0.12)], pale(fill, 0.45), round=0.05, line_width=LINE)
    pen.polygon([(-1.0, 0.26), (1.0, 0.26), (0.62, 0.84), (-0.62, 0.84)], fill, round=0.08, line_width=LINE)
    pen.limb(-0.72, 0.5, 0.72, 0.5, 0.06, pale(fill, 0.6))


def _cup(pen: Pen, fill: RGB) -> None:
    pen.ellipse(0.66, 0.1, 0.36, 0.4, fill, line_width=LINE)
    pen.ellipse(0.66, 0.1, 0.16, 0.2, PAPER, line_width=LINE)
    pen.polygon([(-0.82, -0.62), (0.62, -0.62), (0.46, 0.82), (-0.66, 0.82)], fill, round=0.1, line_width=LINE)
    pen.ellipse(-0.1, -0.62, 0.74, 0.18, dark(fill, 0.4), line_width=LINE)
    for u in (-0.42, -0.1, 0.22):
        pen.ellipse(u, 0.18, 0.11, 0.11, pale(fill, 0.75))


_DRAWN: dict[str, Callable[[Pen, RGB], None]] = {
    "ball": _ball,
    "star": _star,
    "car": _car,
    "duck": _duck,
    "apple": _apple,
    "fish": _fish,
    "bear": _bear,
    "book": _book,
    "bell": _bell,
    "flower": _flower,
    "boat": _boat,
    "cup": _cup,
}


def heart(pen: Pen, fill: RGB = (232, 62, 84), alpha: Num = 1.0) -> None:
    """A heart about the pen's origin."""
    part = pen.at(0, 0, alpha=alpha)
    part.polygon([(-0.86, -0.02), (0.86, -0.02), (0, 0.95)], fill, round=0.08)
    for side in (-1, 1):
        part.ellipse(side * 0.43, -0.3, 0.52, 0.5, fill)
    part.ellipse(-0.5, -0.42, 0.14, 0.1, PAPER, alpha=0.7, angle=-0.6)
