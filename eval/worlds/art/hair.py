"""Hair: a style and a colour go in; what lies behind the head, on it, and how it looks from behind comes out."""

from __future__ import annotations

from eval.worlds.art.colours import RGB, dark, pale
from eval.worlds.art.pen import Pen, stencil

LINE = 0.007
COVERED_EARS = ("bob", "long", "bunches")
"""Styles that hide the ears."""


@stencil
def hair_behind(pen: Pen, style: str, locks: RGB) -> None:
    """What of the hair lies behind head and body, seen from the front."""
    low = dark(locks, 0.2)
    if style == "bob":
        pen.box(0, 0.012, 0.126, 0.1, low, radius=0.07, line_width=LINE)
    elif style == "long":
        pen.box(0, 0.06, 0.124, 0.15, low, radius=0.06, line_width=LINE)
    elif style == "ponytail":
        pen.ellipse(0.118, 0.0, 0.04, 0.088, low, angle=-0.35, line_width=LINE)
    elif style == "curly":
        for u, v in ((-0.11, 0.04), (0.11, 0.04), (-0.12, -0.02), (0.12, -0.02)):
            pen.ellipse(u, v, 0.04, 0.04, low, line_width=LINE)
    elif style == "braids":
        _braids(pen, low)
    elif style == "bunches":
        _bunches(pen, low)
    elif style == "bun":
        pen.ellipse(0, -0.108, 0.046, 0.038, low, line_width=LINE)
    elif style == "spiky":
        _spikes(pen, low)


def _braids(pen: Pen, locks: RGB) -> None:
    for side in (-1, 1):
        for v in (0.05, 0.09, 0.13):
            pen.ellipse(side * (0.1 + 0.15 * (v - 0.05)), v, 0.026, 0.028, locks, line_width=LINE)
        pen.ellipse(side * 0.116, 0.158, 0.014, 0.018, locks, line_width=LINE)


def _bunches(pen: Pen, locks: RGB) -> None:
    for side in (-1, 1):
        pen.ellipse(side * 0.132, -0.022, 0.045, 0.058, locks, angle=-side * 0.4, line_width=LINE)


def _spikes(pen: Pen, locks: RGB) -> None:
    for u, lean in ((-0.07, -0.04), (-0.037, -0.012), (0.0, 0.012), (0.037, 0.034), (0.07, 0.052)):
        top = -0.142 + abs(u) * 0.3
        corners = [(u - 0.03, -0.055), (u + lean, top), (u + 0.03, -0.055)]
        pen.polygon(corners, locks, round=0.005, line_width=LINE)


def _crown(pen: Pen, locks: RGB, least: float) -> None:
    """The hair that lies on the head, down to a hairline; `least` is how far above the middle that is."""
    pen.ellipse(0, -0.006, 0.11, 0.103, locks, fill2=dark(locks, 0.15), line_width=LINE, cut=(0, -1, least))


@stencil
def hair_before(pen: Pen, style: str, locks: RGB) -> None:
    """What of the hair lies on head and forehead, seen from the front."""
    sheen = pale(locks, 0.25)
    if style == "curly":
        for u, v in ((-0.1, -0.05), (0.1, -0.05), (-0.068, -0.086), (0.068, -0.086), (-0.024, -0.1), (0.026, -0.1)):
            pen.ellipse(u, v, 0.037, 0.036, locks, line_width=LINE)
        pen.ellipse(0, -0.08, 0.08, 0.024, locks)
        return
    if style == "spiky":
        _crown(pen, locks, 0.052)
        return
    if style == "fringe":
        _crown(pen, locks, 0.048)
        for side in (-1, 1):
            pen.box(side * 0.096, -0.02, 0.013, 0.044, locks, radius=0.012)
        for u in (-0.06, -0.02, 0.02, 0.06):
            pen.ellipse(u, -0.05, 0.024, 0.013, locks)
        return
    if style == "short":
        _crown(pen, locks, 0.062)
        for side in (-1, 1):
            pen.ellipse(side * 0.1, -0.03, 0.014, 0.034, locks)
        pen.ellipse(-0.03, -0.068, 0.062, 0.022, locks, angle=-0.22)
    else:
        _crown(pen, locks, 0.066)
        # A parting: two swept locks.
        pen.ellipse(-0.062, -0.054, 0.056, 0.024, locks, angle=-0.62)
        pen.ellipse(0.058, -0.056, 0.06, 0.024, locks, angle=0.58)
        if style in ("bob", "long"):
            for side in (-1, 1):
                pen.ellipse(side * 0.108, 0.012, 0.018, 0.062, locks)
        if style == "ponytail":
            pen.ellipse(0.102, -0.062, 0.016, 0.016, (232, 90, 120), line_width=LINE * 0.7)
    pen.curve([(-0.06, -0.082), (-0.035, -0.096), (0.0, -0.095)], 0.005, sheen, alpha=0.7)


@stencil
def hair_from_behind(pen: Pen, style: str, locks: RGB) -> None:
    """The back of the head: hair all over, no face."""
    low = dark(locks, 0.15)
    if style == "bunches":
        _bunches(pen, low)
    if style == "spiky":
        _spikes(pen, low)
    pen.ellipse(0, -0.006, 0.111, 0.104, locks, fill2=dark(locks, 0.25), line_width=LINE, cut=(0, -1, -0.07))
    if style == "long":
        pen.box(0, 0.07, 0.112, 0.13, locks, radius=0.055, fill2=dark(locks, 0.25), line_width=LINE)
        pen.ellipse(0, -0.006, 0.106, 0.1, locks, cut=(0, -1, -0.05))
    elif style == "bob":
        pen.box(0, 0.03, 0.114, 0.078, locks, radius=0.06, fill2=dark(locks, 0.25), line_width=LINE)
        pen.ellipse(0, -0.006, 0.106, 0.1, locks, cut=(0, -1, -0.05))
    elif style == "ponytail":
        pen.ellipse(0, 0.05, 0.036, 0.1, low, line_width=LINE)
        pen.ellipse(0, -0.04, 0.02, 0.016, (232, 90, 120), line_width=LINE * 0.7)
    elif style == "bun":
        pen.ellipse(0, -0.09, 0.05, 0.046, low, line_width=LINE)
    elif style == "curly":
        for u, v in (
            (-0.1, 0.03),
            (0.1, 0.03),
            (-0.11, -0.04),
            (0.11, -0.04),
            (-0.06, -0.09),
            (0.06, -0.09),
            (0, -0.1),
        ):
            pen.ellipse(u, v, 0.038, 0.038, locks, line_width=LINE)
        pen.ellipse(0, -0.02, 0.09, 0.078, locks)
    elif style == "braids":
        _braids(pen, low)
    for u in (-0.05, 0.0, 0.05):
        pen.curve([(u, -0.07), (u * 1.25, -0.02), (u * 1.2, 0.035)], 0.0035, low)
