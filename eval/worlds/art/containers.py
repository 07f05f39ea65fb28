"""Containers: a shape, a colour and how far it is open go in; what is behind and before its contents comes out.

A container's origin is the middle of its base; it is `HALF` wide to either side and `HIGH` high, in stage units. What
is inside is painted between `behind` and `before`: opaque ones hide it, glass ones show it.
"""

from __future__ import annotations

import numpy as np

from eval.worlds.art.colours import INK, PAPER, RGB, dark, mix, pale
from eval.worlds.art.pen import Num, Pen, stencil

HALF = 0.118
HIGH = 0.185
MOUTH = -0.185
"""Height of the rim: things go in and come out here."""
REST = -0.078
"""Height of the middle of a thing that lies inside."""
FIT = 0.9
"""How much smaller a thing inside is drawn, so that it fits."""
LINE = 0.0065
_AJAR = 0.3
"""From here on the lid is drawn behind what is inside."""
_RIM = {"basket": 0.112, "box": 0.11, "bag": 0.05, "pot": 0.084, "chest": 0.113, "bucket": 0.112, "suitcase": 0.11,
        "cupboard": 0.098}  # fmt: skip
_TOP = {"bag": -0.165, "pot": -0.165, "chest": -0.135, "suitcase": -0.16}


def _body(pen: Pen, shape: str, fill: RGB, grow: float = 0.0, **options: object) -> None:
    """The silhouette without its lid, `grow` larger on all sides."""
    line = {"line_width": LINE, **options} if grow >= 0 else options
    low = dark(fill, 0.22)
    if shape == "basket":
        corners = [(-0.1, -0.17), (0.1, -0.17), (0.072, -0.012), (-0.072, -0.012)]
        pen.polygon(corners, fill, round=0.012 + grow, fill2=low, **line)
    elif shape == "bucket":
        corners = [(-0.106, -0.178), (0.106, -0.178), (0.07, -0.006), (-0.07, -0.006)]
        pen.polygon(corners, fill, round=0.006 + grow, fill2=low, **line)
    elif shape == "bag":
        pen.ellipse(0, -0.078, 0.11 + grow, 0.08 + grow, fill, fill2=low, **line)
        if "alpha" not in options:  # a veil must not be laid on twice
            pen.polygon(
                [(-0.04, -0.165), (0.04, -0.165), (0.07, -0.12), (-0.07, -0.12)], fill, round=0.008 + grow, **line
            )
            pen.ellipse(0, -0.088, 0.086 + grow, 0.064 + grow, fill, fill2=mix(fill, low, 0.5))
    elif shape == "pot":
        pen.ellipse(0, -0.085, 0.116 + grow, 0.085 + grow, fill, fill2=low, **line)
    else:
        half, top, radius = {
            "box": (0.112, -0.18, 0.004),
            "chest": (0.118, -0.135, 0.008),
            "suitcase": (0.12, -0.155, 0.022),
            "cupboard": (0.1, -0.19, 0.006),
        }[shape]
        pen.box(0, top / 2, half + grow, -top / 2 + grow, fill, radius=radius, fill2=low, **line)


def behind(pen: Pen, shape: str, fill: RGB, opening: Num, *, glass: bool, side: float = 1.0) -> None:
    """What lies behind the contents: shadow, handle, the dark inside; for glass the silhouette and a pale pane.

    Lids turn about the end that `side` says, 1 is the right one.
    """
    _back(pen, shape, fill, glass)
    rim, top = _RIM[shape], _TOP.get(shape, -0.178)
    if np.any(opening):
        # A lid that stands open is behind what comes out.
        _lid(pen.at(0, 0, alpha=np.where(np.asarray(opening) > _AJAR, 1.0, 0.0)), shape, fill, opening, glass, side)
        pen.ellipse(0, top, rim, 0.021, (48, 34, 40), alpha=opening * (0.5 if glass else 1.0), line_width=LINE)


@stencil
def _back(pen: Pen, shape: str, fill: RGB, glass: bool) -> None:
    """Of what lies behind the contents, all but the lid."""
    pen.ellipse(0, 0.002, 0.13, 0.02, (40, 30, 40), alpha=0.28, soft=0.018)
    if shape == "basket":
        pen.curve([(-0.098, -0.17), (0, -0.31), (0.098, -0.17)], 0.009, dark(fill, 0.3), line_width=LINE * 0.7)
    elif shape == "bucket":
        pen.curve([(-0.104, -0.16), (0, -0.285), (0.104, -0.16)], 0.0055, (120, 124, 132))
    elif shape == "pot":
        for end in (-1, 1):
            pen.ellipse(end * 0.118, -0.105, 0.022, 0.024, dark(fill, 0.3), line_width=LINE)
    elif shape == "cupboard":
        for end in (-1, 1):
            pen.box(end * 0.078, -0.01, 0.014, 0.018, dark(fill, 0.45))
    if glass:
        _body(pen, shape, fill)
        _body(pen, shape, (158, 190, 208), -0.0145)


def before(pen: Pen, shape: str, fill: RGB, opening: Num, *, glass: bool, side: float = 1.0) -> None:
    """What lies before the contents: front, ornaments and lid; for glass a veil, highlights and lid."""
    _front(pen, shape, fill, glass)
    if np.any(opening):
        ajar = np.where(np.asarray(opening) > _AJAR, 0.0, 1.0)
        _lid(pen.at(0, 0, alpha=ajar), shape, fill, opening, glass, side)
    else:
        _shut(pen, shape, fill, glass, side)


@stencil
def _front(pen: Pen, shape: str, fill: RGB, glass: bool) -> None:
    """Of what lies before the contents, all but the lid."""
    if glass:
        _body(pen, shape, (255, 255, 255), -0.014, alpha=0.12)
        pen.limb(-0.062, -0.13, -0.072, -0.06, 0.0065, PAPER, alpha=0.75)
        pen.limb(-0.043, -0.135, -0.046, -0.11, 0.005, PAPER, alpha=0.75)
        pen.limb(0.066, -0.05, 0.062, -0.028, 0.005, PAPER, alpha=0.6)
    else:
        _body(pen, shape, fill)
        _ornaments(pen, shape, fill)


@stencil
def _shut(pen: Pen, shape: str, fill: RGB, glass: bool, side: float) -> None:
    """The lid of what is never opened."""
    _lid(pen, shape, fill, 0.0, glass, side)


def _ornaments(pen: Pen, shape: str, fill: RGB) -> None:
    deep, light = dark(fill, 0.28), pale(fill, 0.35)
    if shape == "basket":
        for v, half in ((-0.13, 0.098), (-0.09, 0.09), (-0.05, 0.082)):
            pen.limb(-half, v, half, v, 0.0045, deep)
        for u in (-0.066, -0.022, 0.022, 0.066):
            for v in (-0.15, -0.07):
                pen.limb(u * 1.04, v, u, v + 0.03, 0.0045, light)
            pen.limb(u * 0.86 + 0.02, -0.11, u * 0.84 + 0.02, -0.08, 0.0045, light)
    elif shape == "box":
        pen.box(0, -0.09, 0.014, 0.088, light)
        pen.limb(0.06, -0.03, 0.09, -0.03, 0.004, deep)
        pen.limb(0.06, -0.045, 0.09, -0.045, 0.004, deep)
    elif shape == "bag":
        pen.curve([(-0.04, -0.13), (-0.075, -0.1), (-0.08, -0.06)], 0.004, deep)
        pen.curve([(0.04, -0.13), (0.075, -0.1), (0.08, -0.06)], 0.004, deep)
        pen.box(0, -0.13, 0.068, 0.008, light, radius=0.006, line_width=LINE * 0.7)
    elif shape == "pot":
        pen.curve([(-0.108, -0.075), (0, -0.035), (0.108, -0.075)], 0.007, light)
        pen.ellipse(-0.06, -0.125, 0.014, 0.024, PAPER, angle=0.6, alpha=0.5)
    elif shape == "chest":
        for u in (-0.085, 0.085):
            pen.box(u, -0.0675, 0.012, 0.064, (236, 194, 90), line_width=LINE * 0.6)
        pen.limb(-0.112, -0.066, 0.112, -0.066, 0.0035, deep)
    elif shape == "bucket":
        pen.limb(-0.094, -0.12, 0.094, -0.12, 0.005, light)
        pen.limb(-0.082, -0.06, 0.082, -0.06, 0.005, light)
    elif shape == "suitcase":
        for u in (-0.065, 0.065):
            pen.box(u, -0.077, 0.012, 0.074, dark(fill, 0.5))
            pen.box(u, -0.077, 0.009, 0.011, (240, 204, 110), radius=0.003)
    elif shape == "cupboard":
        for v in (-0.132, -0.05):
            pen.box(0, v, 0.084, 0.034, light, radius=0.006, line_width=LINE * 0.7)
            pen.ellipse(0, v, 0.01, 0.01, dark(fill, 0.5))


def _lid(pen: Pen, shape: str, fill: RGB, opening: Num, glass: bool, side: float) -> None:
    """The lid, lifted and tilted as far as it is open."""
    veil: dict[str, float] = {"fill_alpha": 0.45} if glass else {}
    deep, light = dark(fill, 0.12), pale(fill, 0.18)
    if shape == "box":
        # Two flaps that swing up and outward.
        for end in (-1, 1):
            tip_u, tip_v = end * (0.006 + 0.15 * opening), -0.192 - 0.052 * opening * (2 - opening)
            hinge = end * 0.112
            corners = [(hinge, -0.174), (hinge, -0.188), (tip_u, tip_v), (tip_u, tip_v + 0.014)]
            pen.polygon(corners if end > 0 else corners[::-1], light, round=0.003, line_width=LINE, **veil)
        return
    if shape == "bag":
        half = 0.03 + 0.022 * opening
        pen.polygon(
            [(-half, -0.2 + 0.014 * opening), (half, -0.2 + 0.014 * opening), (0.046, -0.142), (-0.046, -0.142)],
            light,
            round=0.007,
            line_width=LINE,
            **veil,
        )
        pen.ellipse(0, -0.199 + 0.012 * opening, half, 0.006 + 0.011 * opening, dark(fill, 0.55), line_width=LINE * 0.6)
        pen.limb(-0.045, -0.14, 0.045, -0.14, 0.0075, (236, 194, 90) if not glass else fill, line_width=LINE * 0.6)
        return
    rim, top = _RIM[shape], _TOP.get(shape, -0.178)
    # The others turn about one end.
    lid = pen.at(0, 0, flip=side).at(rim, top, tilt=opening * 1.25)
    if shape == "basket":
        lid.ellipse(-rim, 0.004, 0.114, 0.04, light, line_width=LINE, cut=(0, -1, -0.008), **veil)
        lid.box(-rim, 0.006, 0.116, 0.0095, deep, radius=0.008, line_width=LINE)
        lid.ellipse(-rim, -0.037, 0.014, 0.01, deep, line_width=LINE)
    elif shape == "pot":
        lid.ellipse(-rim, 0.01, 0.092, 0.034, light, line_width=LINE, cut=(0, -1, -0.012), **veil)
        lid.ellipse(-rim, -0.03, 0.016, 0.014, dark(fill, 0.4), line_width=LINE)
    elif shape == "chest":
        lid.box(-rim, -0.02, 0.119, 0.03, light, radius=0.026, line_width=LINE, **veil)
        lid.box(-rim, 0.004, 0.119, 0.007, deep, line_width=LINE * 0.6)
        if not glass:
            for u in (-0.085, 0.085):
                lid.box(u - rim, -0.02, 0.012, 0.027, (236, 194, 90), line_width=LINE * 0.6)
        lid.box(-rim, 0.012, 0.017, 0.019, (246, 212, 120), radius=0.005, line_width=LINE * 0.7)
        lid.ellipse(-rim, 0.014, 0.005, 0.006, INK)
    elif shape == "bucket":
        lid.box(-rim, -0.003, 0.116, 0.0105, light, radius=0.009, line_width=LINE, **veil)
        lid.ellipse(-rim, -0.018, 0.018, 0.008, deep, line_width=LINE * 0.7)
    elif shape == "suitcase":
        lid.curve([(-rim - 0.034, -0.012), (-rim, -0.062), (-rim + 0.034, -0.012)], 0.0075, dark(fill, 0.5))
        lid.box(-rim, 0.0, 0.121, 0.015, light, radius=0.013, line_width=LINE, **veil)
    else:
        lid.box(-rim, -0.004, 0.112, 0.0115, light, radius=0.005, line_width=LINE, **veil)


def sticker(pen: Pen) -> Pen:
    """The white label on the front; returns the pen that draws the picture on it."""
    _blank(pen)
    return pen.at(0, -0.086, 0.05)


@stencil
def _blank(pen: Pen) -> None:
    """A label with nothing on it."""
    pen.box(0.002, -0.082, 0.066, 0.062, (60, 44, 50), radius=0.014, alpha=0.25, soft=0.006)
    pen.box(0, -0.086, 0.066, 0.062, PAPER, radius=0.014, line_width=0.005)


@stencil
def icon(pen: Pen, shape: str, fill: RGB, *, glass: bool) -> None:
    """The container as a small picture in a bubble: its origin is its middle, about one unit is half its size."""
    part = pen.at(0, 0.86, 9.4)
    behind(part, shape, fill, 0.0, glass=glass)
    before(part, shape, fill, 0.0, glass=glass)
