"""Boxes, lines and wrapped text go in, an SVG that needs nothing but itself comes out."""

from __future__ import annotations

import base64
import io
import unicodedata
from functools import cache
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from agent.show import clean

INK, MUTED, LINE, PALE, BLUE, DARK, WHITE = "#1f2328", "#57606a", "#d0d7de", "#f6f8fa", "#0a58a8", "#2b3036", "#ffffff"
FONTS = "-apple-system, BlinkMacSystemFont, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
SMALL, BODY, HEAD, LARGE = 18, 20, 24, 28
WIDTH, PAD = 1200, 44


def plain(text: object) -> str:
    """Text from a trace on one line, without what XML forbids or what could turn the picture around."""
    return " ".join(clean(str(text)[:2000]).translate({0xFFFE: None, 0xFFFF: None}).split())


@cache
def _advance(char: str, size: int) -> float:
    wide = unicodedata.east_asian_width(char) in "WF"
    return float(size if wide else ImageFont.load_default(size).getlength(char))


def width_of(text: str, size: int, bold: bool = False) -> float:
    """Pixels that a line takes, on the safe side: every reader's system has another font."""
    return sum(_advance(char, size) for char in text) * (1.14 if bold else 1.08)


def wrap(text: str, width: float, size: int, most: int, bold: bool = False) -> list[str]:
    """Breaks text into at most so many lines; what does not fit ends in an ellipsis."""
    rows = [""]
    for word in plain(text).split():
        longer = f"{rows[-1]} {word}".strip()
        if width_of(longer, size, bold) <= width:
            rows[-1] = longer
            continue
        if rows[-1]:
            rows.append("")
        for char in word:
            if width_of(rows[-1] + char, size, bold) > width:
                rows.append("")
            rows[-1] += char
    if len(rows) > most:
        last = rows[most - 1]
        while last and width_of(last + "…", size, bold) > width:
            last = last[:-1]
        rows = [*rows[: most - 1], last.rstrip() + "…"]
    return rows


class Canvas:
    """Draws from the top down.

    Attributes:
        y: Where the next part begins.
    """

    def __init__(self) -> None:
        self.y = float(PAD)
        self._parts: list[str] = []

    def add(self, tag: str, inner: str = "", /, **attributes: object) -> None:
        """Adds one element; underscores in attribute names stand for hyphens."""
        given = "".join(f' {key.replace("_", "-")}="{escape(_short(value))}"' for key, value in attributes.items())
        self._parts.append(f"<{tag}{given}>{inner}</{tag}>")

    def box(self, x: float, y: float, width: float, height: float, **style: object) -> None:
        """A rectangle with rounded corners."""
        self.add("rect", **{"x": x, "y": y, "width": width, "height": height, "rx": 8, **style})

    def path(self, d: str, stroke: str = LINE, **style: object) -> None:
        """A line."""
        self.add("path", **{"d": d, "stroke": stroke, "fill": "none", "stroke_width": 2, **style})

    def text(
        self, x: float, y: float, text: str, size: int = BODY, fill: str = INK, anchor: str = "start", **style: object
    ) -> None:
        """One line; `y` is its base line."""
        self.add("text", escape(plain(text)), x=x, y=y, font_size=size, fill=fill, text_anchor=anchor, **style)

    def over(self, x: float, y: float, text: str, fill: str = INK, anchor: str = "middle", **style: object) -> None:
        """A small line that stays readable on top of others."""
        self.text(x, y, text, SMALL, fill, anchor, stroke=WHITE, stroke_width=8, paint_order="stroke", **style)

    def heading(self, title: str, aside: str = "") -> None:
        """Names a part."""
        self.text(PAD, self.y + SMALL, title, SMALL, BLUE, font_weight=600)
        self.text(WIDTH - PAD, self.y + SMALL, aside, SMALL, MUTED, "end")
        self.y += SMALL + 15

    def document(self, title: str, description: str) -> str:
        """The picture, on a white card that dark pages can show too."""
        tall = round(self.y)
        size = f'width="{WIDTH}" height="{tall}" viewBox="0 0 {WIDTH} {tall}"'
        named = 'role="img" aria-labelledby="title description"'
        card = f'x="1" y="1" width="{WIDTH - 2}" height="{tall - 2}" rx="20" fill="{WHITE}" stroke="{LINE}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {named} font-family="{FONTS}" stroke-linecap="round">',
            f'<title id="title">{escape(plain(title))}</title>',
            f'<desc id="description">{escape(plain(description))}</desc>',
            f'<rect {card} stroke-width="2"/>',
        ]
        return "\n".join([*lines, *self._parts, "</svg>\n"])


def jpeg(pixels: NDArray[np.uint8]) -> str:
    """A picture of [height, width, 3] grey levels as a data URI."""
    Image.fromarray(pixels).save(file := io.BytesIO(), "JPEG", quality=72, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _short(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
