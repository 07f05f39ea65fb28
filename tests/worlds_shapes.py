"""Draw lists with every kind of shape and every option, for tests of the renderers."""

from __future__ import annotations

from typing import Any

import numpy as np

from eval.worlds.drawlist import DrawList, Painter

WIDTH = 1.5


def medley(frames: int, shapes: int, seed: int = 0, mirror: bool = False, width: float = WIDTH) -> DrawList:
    """Shapes of all kinds that move, rest, come and go, over a backdrop, under a camera that moves now and then.

    Args:
        frames: How many frames.
        shapes: How many shapes; from 14 on every kind is there both moving and at rest.
        seed: Of everything.
        mirror: Whether left and right are swapped.
        width: Of the picture.
    """
    dice = np.random.default_rng(seed)
    painter = Painter(frames)
    painter.box(width / 2, 0.4, 2.0, 0.6, (250, 220, 180), fill2=(200, 180, 240))
    zoom = 1.0 + 0.1 * (np.arange(frames) > frames // 2)
    with painter.at(width if mirror else 0.0, flip=-1.0 if mirror else 1.0):
        for i in range(shapes):
            _shape(painter, dice, i % 7, frames, width, moving=i % 14 < 7)
    return painter.build(
        width, dx=(-0.02 if mirror else 0.02) * (zoom - 1), dy=0.05 * (zoom - 1), zoom=zoom, light=0.95
    )


def _shape(painter: Painter, dice: np.random.Generator, kind: int, frames: int, width: float, moving: bool) -> None:
    def value(low: float, high: float, moves: float = 0.0) -> Any:
        start = dice.uniform(low, high)
        steps = dice.uniform(-moves, moves, frames) * (dice.random(frames) < 0.7)
        return start + np.cumsum(steps) if moving and moves else start

    def colour() -> tuple[float, float, float]:
        return tuple(int(v) for v in dice.integers(0, 256, 3))  # type: ignore[return-value]

    options: dict[str, Any] = {}
    if dice.random() < 0.5:
        options |= {"line": colour(), "line_width": dice.uniform(0.003, 0.02)}
        if dice.random() < 0.4:
            options["fill_alpha"] = dice.uniform(0, 1)
    if dice.random() < 0.3:
        options["soft"] = dice.uniform(0.005, 0.05)
    if dice.random() < 0.4:
        options["fill2"] = colour()
    if dice.random() < 0.4:
        options["alpha"] = value(0.3, 1.0) * (dice.random(frames) < 0.7)
    x, y = value(0, width, 0.03), value(0, 1, 0.03)
    if dice.random() < 0.4:
        angle = dice.uniform(0, 6.3)
        nx, ny = np.cos(angle), np.sin(angle)
        options["cut"] = (nx, ny, nx * x + ny * y + dice.uniform(-0.05, 0.05))
    if kind == 0:
        painter.ellipse(x, y, value(0.01, 0.3), value(0.01, 0.3), colour(), angle=value(0, 6, 0.3), **options)
    elif kind == 1:
        box = (x, y, value(0.02, 0.3), value(0.02, 0.3))
        painter.box(*box, colour(), radius=value(0, 0.1), angle=value(0, 6, 0.3), **options)
    elif kind == 2:
        ends = (x, y, x + value(-0.2, 0.2, 0.02), y + value(-0.2, 0.2, 0.02))
        painter.capsule(*ends, value(0.005, 0.1), value(0.005, 0.1), colour(), **options)
    elif kind == 3:
        turns = np.sort(dice.uniform(0, 6.28, int(dice.integers(3, 6))))
        points = [(x + 0.15 * np.cos(turn), y + 0.15 * np.sin(turn)) for turn in turns]
        painter.polygon(points, colour(), round=value(0, 0.03), **options)
    elif kind == 4:
        start = value(0, 6, 0.2)
        ring = (x, y, value(0.03, 0.2), value(0.01, 0.06))
        painter.arc(*ring, start, start + value(0.2, 6.28), colour(), **options)
    elif kind == 5:
        bend, end = (x + value(-0.3, 0.3, 0.02), y), (x + value(-0.2, 0.2), y + value(-0.3, 0.3, 0.02))
        painter.curve((x, y), bend, end, value(0.004, 0.04), value(0.004, 0.04), colour(), **options)
    else:
        points = [(x + dice.uniform(-0.2, 0.2), y + dice.uniform(-0.2, 0.2)) for _ in range(int(dice.integers(2, 6)))]
        painter.stroke(points, value(0.003, 0.03), colour(), **options)
