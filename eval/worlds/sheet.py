"""Frames, lanes and questions of a film go in, a contact sheet comes out: one picture, as for a paper.

On top frames with time codes; below them, on one time line, what is true and what everybody believes, in the colours of
the containers, false beliefs hatched; at the bottom the questions with their answers and evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from eval.worlds import ink, timeline
from eval.worlds.ink import GREY, INK, MARGIN_PX, PALE, PAPER, RED, RGB, WIDTH_PX
from eval.worlds.lanes import Lane
from roles.types import Span

GAP_PX, TYPES_PX, TICK_PX = 14, 122, 15
GREEN: RGB = (24, 130, 60)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the film: when, what is to be seen, and its pixels."""

    time_s: float
    words: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is printed: its type, its words, the options, the right one, its evidence."""

    kind: str
    text: str
    options: tuple[str, ...]
    answer: str | None
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that a contact sheet shows.

    Attributes:
        title: First line.
        subtitle: Second line.
        duration_s: Of the film.
        frames: In order of time, all of one size.
        columns: Frames side by side.
        lanes: The truth first.
        colours: Of containers, things, people and places, by name.
        people: Shirt colours by name.
        elsewhere: When another place is shown.
        evidence: (what is asked, spans) of the question whose evidence the time line shows; None is none.
        questions: All of them.
    """

    title: str
    subtitle: str
    duration_s: float
    frames: Sequence[Frame]
    columns: int
    lanes: Sequence[Lane]
    colours: Mapping[str, RGB]
    people: Mapping[str, RGB]
    elsewhere: Sequence[Span]
    evidence: tuple[str, Sequence[Span]] | None
    questions: Sequence[Asked]


def frame_width_px(columns: int) -> int:
    """How wide frames are that stand side by side."""
    return (WIDTH_PX - 2 * MARGIN_PX - (columns - 1) * GAP_PX) // columns // 2 * 2


def draw(sheet: Sheet) -> Image.Image:
    """Draws the sheet."""
    parts = [_head(sheet), _frames(sheet), timeline.draw(sheet), _questions(sheet)]
    picture = Image.new("RGB", (WIDTH_PX, sum(part.height for part in parts) + MARGIN_PX), PAPER)
    top = MARGIN_PX // 2
    for part in parts:
        picture.paste(part, (0, top))
        top += part.height
    return picture


def _head(sheet: Sheet) -> Image.Image:
    strip = ink.strip(74)
    pen = ImageDraw.Draw(strip)
    ink.write(pen, (MARGIN_PX, 8), sheet.title, 26, bold=True)
    ink.write(pen, (MARGIN_PX, 44), sheet.subtitle, 15, GREY)
    return strip


def _frames(sheet: Sheet) -> Image.Image:
    height, width = sheet.frames[0].pixels.shape[:2]
    step_px = height + 34
    strip = ink.strip(-(-len(sheet.frames) // sheet.columns) * step_px + 6)
    pen = ImageDraw.Draw(strip)
    for number, frame in enumerate(sheet.frames):
        left = MARGIN_PX + number % sheet.columns * (width + GAP_PX)
        top = number // sheet.columns * step_px
        strip.paste(Image.fromarray(frame.pixels), (left, top))
        pen.rectangle((left - 1, top - 1, left + width, top + height), outline=PALE)
        ink.pill(strip, left + 6, top + 6, ink.time_code(frame.time_s), 13)
        ink.badge(strip, left + 10, top + height + 14, number + 1)
        ink.write(pen, (left + 24, top + height + 6), ink.cut(frame.words, 13, width - 26), 13)
    return strip


def _questions(sheet: Sheet) -> Image.Image:
    """Two columns, filled so that they are about equally long."""
    column_px = (WIDTH_PX - 2 * MARGIN_PX - 30) // 2
    laid = [_question(asked, column_px) for asked in sheet.questions]
    half, so_far, split = sum(part.height for part in laid) / 2, 0.0, len(laid)
    for number, part in enumerate(laid):
        if so_far + part.height / 2 > half:
            split = number
            break
        so_far += part.height
    columns = (laid[:split], laid[split:])
    strip = ink.strip(16 + max((sum(part.height for part in column) for column in columns), default=0))
    ImageDraw.Draw(strip).line((MARGIN_PX, 4, WIDTH_PX - MARGIN_PX, 4), fill=PALE)
    for number, column in enumerate(columns):
        top = 16
        for part in column:
            strip.paste(part, (MARGIN_PX + number * (column_px + 30), top))
            top += part.height
    return strip


def _question(asked: Asked, width: int) -> Image.Image:
    """One question: type at the left, words, and below them options and evidence, on as many lines as it takes."""
    lines = ink.wrapped(asked.text, 14, width - TYPES_PX)
    words = [(option, option == asked.answer, INK if option == asked.answer else GREY) for option in asked.options]
    if asked.answer is not None and not asked.options:
        words.append((asked.answer, True, INK))
    if asked.spans:
        spans = ", ".join(f"{span.start_s:.1f} - {span.end_s:.1f}" for span in asked.spans)
        words.append((f"{spans} s" if asked.options else f"moment: {spans} s", False, RED))
    placed: list[tuple[int, int, str, bool, RGB]] = []
    left, top = TYPES_PX, 19 * max(1, len(lines))
    for text, right, shade in words:
        shown = ink.cut(text, 13, width - TYPES_PX - TICK_PX)
        needs = ink.width(shown, 13) + (TICK_PX if right else 0)
        if left > TYPES_PX and left + needs > width:
            left, top = TYPES_PX, top + 17
        placed.append((left, top, shown, right, shade))
        left += needs + 18
    part = Image.new("RGB", (width, top + 32), PAPER)
    pen = ImageDraw.Draw(part)
    ink.write(pen, (0, 2), asked.kind.replace("_", " "), 12, GREY)
    for number, line in enumerate(lines):
        ink.write(pen, (TYPES_PX, 19 * number), line, 14)
    for left, top, shown, right, shade in placed:
        if right:
            pen.line([(left, top + 8), (left + 4, top + 12), (left + 11, top + 3)], fill=GREEN, width=2)
        ink.write(pen, (left + (TICK_PX if right else 0), top + 1), shown, 13, shade, bold=right)
    return part
