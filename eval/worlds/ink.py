"""Text and small shapes go in, smooth pixels come out: what the contact sheet is drawn with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

RGB = tuple[int, int, int]
WIDTH_PX, MARGIN_PX = 1400, 36
PAPER, INK, GREY, PALE, RED = (253, 252, 248), (38, 38, 46), (122, 122, 132), (228, 227, 222), (176, 24, 40)
FINE = 3
"""Shapes are drawn this much larger, then shrunk: smooth edges."""


def strip(height: int) -> Image.Image:
    """An empty part of the sheet, over its whole width."""
    return Image.new("RGB", (WIDTH_PX, height), PAPER)


def shape(width: int, height: int, put: Callable[[ImageDraw.ImageDraw, int], None]) -> Image.Image:
    """A small picture with smooth edges; `put` draws it larger."""
    big = Image.new("RGBA", (width * FINE, height * FINE), (255, 255, 255, 0))
    put(ImageDraw.Draw(big), width * FINE)
    return big.resize((width, height), Image.Resampling.BOX)


def pill(picture: Image.Image, left: int, top: int, text: str, size: int) -> None:
    """White text on a dark rounded ground."""
    wide = width(text, size) + 12
    box = (0, 0, wide * FINE - 1, 20 * FINE - 1)
    ground = shape(wide, 20, lambda big, _: big.rounded_rectangle(box, 24, fill=(30, 30, 38, 205)))
    picture.paste(ground, (left, top), ground)
    write(ImageDraw.Draw(picture), (left + 6, top + 3), text, size, (255, 255, 255))


def badge(picture: Image.Image, x: int, y: int, number: int) -> None:
    """A number in a dark dot, its middle at (x, y)."""
    dot = shape(18, 18, lambda big, side: big.ellipse((0, 0, side - 1, side - 1), INK))
    picture.paste(dot, (x - 9, y - 9), dot)
    text = str(number)
    write(ImageDraw.Draw(picture), (x - width(text, 11) // 2, y - 6), text, 11, (255, 255, 255))


def bright(colour: RGB) -> bool:
    """Whether dark letters are easier to read on it than white ones."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 150


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


@cache
def width(text: str, size: int) -> int:
    """Pixels that the text takes."""
    return int(_font(size).getlength(text) + 0.5)


def write(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, fill: RGB = INK, bold: bool = False
) -> None:
    """Writes a line, its upper left corner at `place`."""
    pen.text(place, text, fill=fill, font=_font(size), stroke_width=0.4 if bold else 0, stroke_fill=fill)


def cut(text: str, size: int, room: int) -> str:
    """The text, shortened with dots where it is wider than `room` pixels."""
    if width(text, size) <= room:
        return text
    while text and width(text + "...", size) > room:
        text = text[:-1]
    return text.rstrip() + "..."


def wrapped(text: str, size: int, room: int) -> list[str]:
    """The text in lines that are at most `room` pixels wide, where words allow it."""
    lines: list[str] = []
    for word in text.split():
        if lines and width(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def time_code(seconds: float, digits: int = 1) -> str:
    """Minutes, seconds and tenths: 1:02.5."""
    tenths = round(seconds * 10**digits)
    minutes, rest = divmod(tenths, 60 * 10**digits)
    whole, part = divmod(rest, 10**digits)
    return f"{minutes}:{whole:02d}" + (f".{part:0{digits}d}" if digits else "")
