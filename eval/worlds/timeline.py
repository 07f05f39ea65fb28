"""Lanes and evidence of a sheet go in, the time line below its frames comes out; false beliefs are hatched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from eval.worlds import ink
from eval.worlds.ink import GREY, INK, MARGIN_PX, PALE, PAPER, RED, RGB, WIDTH_PX
from eval.worlds.lanes import Held, Lane
from roles.types import Span

if TYPE_CHECKING:
    from eval.worlds.sheet import Sheet

NAMES_PX = 190
"""Width of the lanes' names, left of the time line."""
LANE_PX, ABSENT_PX, MARKS_PX = 26, 7, 18
_ABSENT_SHADES = {"turned away": (190, 190, 196), "at the window": (120, 160, 205)}
_ELSEWHERE: RGB = (241, 237, 222)
_AWAY: RGB = (140, 140, 148)


def draw(sheet: Sheet) -> Image.Image:
    """Draws the part of the sheet between the frames and the questions."""
    left, right = MARGIN_PX + NAMES_PX, WIDTH_PX - MARGIN_PX
    tops, top = [], 58
    for lane in sheet.lanes:
        tops.append(top)
        top += LANE_PX + MARKS_PX + (ABSENT_PX + 4 if lane.absent else 2)
    lanes_end = top
    strip = ink.strip(lanes_end + 72)
    pen = ImageDraw.Draw(strip)

    def at(time_s: float) -> int:
        return round(left + (right - left) * min(max(time_s / sheet.duration_s, 0.0), 1.0))

    for span in sheet.elsewhere:
        pen.rectangle((at(span.start_s), 50, at(span.end_s), lanes_end), fill=_ELSEWHERE)
    last_px = [-99, -99, -99]  # neighbours that would touch stand on other levels
    for number, frame in enumerate(sheet.frames):
        x = at(frame.time_s)
        level = next((level for level, before in enumerate(last_px) if x - before >= 19), 2)
        last_px[level] = x
        pen.line((x, 50, x, lanes_end), fill=PALE)
        ink.badge(strip, x, 44 - 17 * level, number + 1)
    for lane, lane_top in zip(sheet.lanes, tops, strict=True):
        _lane(strip, pen, sheet, lane, lane_top, at)
    _axis(pen, sheet.duration_s, lanes_end + 2, at)
    _legend(sheet, strip, pen, lanes_end + 46)
    if sheet.evidence:
        _brackets(pen, sheet.evidence, lanes_end + 34, at)
    return strip


def _lane(
    strip: Image.Image, pen: ImageDraw.ImageDraw, sheet: Sheet, lane: Lane, top: int, at: Callable[[float], int]
) -> None:
    name_left = MARGIN_PX
    if lane.person is not None and lane.person in sheet.people:
        shirt = sheet.people[lane.person]
        dot = ink.shape(14, 14, lambda big, side: big.ellipse((0, 0, side - 1, side - 1), shirt, ink.INK, 2))
        strip.paste(dot, (name_left, top + 6), dot)
        name_left += 20
    lines = ink.wrapped(lane.title, 14, MARGIN_PX + NAMES_PX - name_left - 8)[:2]
    for number, line in enumerate(lines):
        ink.write(pen, (name_left, top + (5, -4)[len(lines) - 1] + 17 * number), line, 14, bold=lane.person is None)
    for held in lane.held:
        _bar(strip, pen, held, sheet.colours, (at(held.start_s), top, at(held.end_s)))
    for start_s, end_s, why in lane.absent:
        shade = _ABSENT_SHADES.get(why, _AWAY)
        bar_top = top + LANE_PX + 2
        pen.rectangle((at(start_s), bar_top, at(end_s) - 1, bar_top + ABSENT_PX - 2), fill=shade)
    below = top + LANE_PX + (ABSENT_PX + 1 if lane.absent else 1)
    taken: list[tuple[int, int]] = []
    for mark in lane.marks:
        x = at(mark.time_s)
        pen.polygon([(x, below - 2), (x - 4, below + 5), (x + 4, below + 5)], fill=INK)
        taken.append((x - 5, x + 5))
    named = [(at(mark.time_s) + 6, mark.text, INK) for mark in lane.marks]
    named += [(at(start_s), why, GREY) for start_s, _, why in lane.absent]
    for start, words, shade in named:  # marks first: what does not fit any more is left out
        end = start + ink.width(words, 11)
        start, end = min(start, WIDTH_PX - 6 - (end - start)), min(end, WIDTH_PX - 6)
        if all(end + 4 < left or start > right - 1 for left, right in taken):
            ink.write(pen, (start, below), words, 11, shade)
            taken.append((start, end + 4))


def _bar(
    strip: Image.Image, pen: ImageDraw.ImageDraw, held: Held, colours: Mapping[str, RGB], place: tuple[int, int, int]
) -> None:
    left, top, right = place
    width = right - left - 1
    if width <= 0:
        return
    if held.value is None:
        for x in range(left, left + width, 8):
            pen.line((x, top + LANE_PX // 2, min(x + 3, left + width), top + LANE_PX // 2), fill=(190, 190, 190))
        return
    fill = colours.get(held.value, (214, 212, 206))
    block = _block(width, LANE_PX, fill, not held.false)
    strip.paste(block, (left, top), block)
    label = held.value
    if ink.width(label, 12) + 14 > width:
        label = held.value.split()[-1]
    if ink.width(label, 12) + 10 > width:
        return
    half = ink.width(label, 12) // 2
    if held.false:
        ground = ink.shape(2 * half + 10, 18, lambda big, side: big.rounded_rectangle((0, 0, side - 1, 53), 27, PAPER))
        strip.paste(ground, (left + width // 2 - half - 5, top + 4), ground)
    letters = INK if held.false or ink.bright(fill) else (255, 255, 255)
    ink.write(pen, (left + width // 2 - half, top + 6), label, 12, letters)


def _block(width: int, height: int, fill: RGB, true: bool) -> Image.Image:
    """A rounded block; hatched, with a red edge, for what is not so."""

    def put(big: ImageDraw.ImageDraw, wide: int) -> None:
        high = height * ink.FINE
        box = (0, 0, wide - 1, high - 1)
        big.rounded_rectangle(box, 4 * ink.FINE, fill=fill)
        if min(fill) > 225:  # white things on white paper
            big.rounded_rectangle(box, 4 * ink.FINE, outline=(190, 190, 190), width=ink.FINE)
        if not true:
            stripe = (255, 255, 255) if min(fill) <= 225 else (205, 205, 205)
            for x in range(-high, wide, 9 * ink.FINE):
                big.line((x, high, x + high, 0), fill=stripe, width=3 * ink.FINE)
            big.rounded_rectangle(box, 4 * ink.FINE, outline=RED, width=2 * ink.FINE)

    return ink.shape(width, height, put)


def _axis(pen: ImageDraw.ImageDraw, duration_s: float, top: int, at: Callable[[float], int]) -> None:
    step_s = next((step for step in (1, 2, 5, 10, 20, 30, 60) if duration_s / step <= 16), 60)
    pen.line((at(0), top, at(duration_s), top), fill=INK)
    for number in range(int(duration_s // step_s) + 1):
        x = at(number * step_s)
        pen.line((x, top, x, top + 5), fill=INK)
        text = ink.time_code(number * step_s, 0)
        ink.write(pen, (x - ink.width(text, 12) // 2, top + 8), text, 12, GREY)


def _legend(sheet: Sheet, strip: Image.Image, pen: ImageDraw.ImageDraw, top: int) -> None:
    right = WIDTH_PX - MARGIN_PX
    shades = {"away": _AWAY, **_ABSENT_SHADES}
    for words, shade in reversed(list(shades.items())):
        right -= ink.width(words, 12)
        ink.write(pen, (right, top + 2), words, 12, GREY)
        pen.rectangle((right - 26, top + 7, right - 6, top + 11), fill=shade)
        right -= 42
    if sheet.elsewhere:
        right -= ink.width("elsewhere", 12)
        ink.write(pen, (right, top + 2), "elsewhere", 12, GREY)
        pen.rectangle((right - 26, top + 2, right - 6, top + 15), fill=_ELSEWHERE)
        right -= 42
    words = "false belief"
    right -= ink.width(words, 12)
    ink.write(pen, (right, top + 2), words, 12, GREY)
    sample = _block(22, 14, (120, 124, 134), true=False)
    strip.paste(sample, (right - 28, top + 2), sample)


def _brackets(
    pen: ImageDraw.ImageDraw, evidence: tuple[str, Sequence[Span]], top: int, at: Callable[[float], int]
) -> None:
    what, spans = evidence
    ink.write(pen, (MARGIN_PX, top - 4), "evidence", 14, RED, bold=True)
    for span in spans:
        left, right = at(span.start_s), max(at(span.end_s), at(span.start_s) + 3)
        pen.line([(left, top - 2), (left, top + 6), (right, top + 6), (right, top - 2)], fill=RED, width=2)
    ink.write(pen, (at(0), top + 11), ink.cut(f"for: {what}", 12, 700), 12, RED)
