"""Letters as strokes: text goes in, round-ended strokes come out, legible at any size and the same on every machine."""

from __future__ import annotations

import unicodedata

from eval.worlds.art.colours import RGB
from eval.worlds.art.pen import Num, Pen, stencil

# Strokes separated by "|"; a point is two digits: 0 to 4 from left to right, 0 to 6 from top to bottom.
_GLYPHS = {
    "A": "06 20 46|14 34", "B": "03 33 44 45 36 06 00 30 41 42 33", "C": "41 30 10 01 05 16 36 45",
    "D": "00 20 42 44 26 06 00", "E": "40 00 06 46|03 33", "F": "40 00 06|03 33", "G": "41 30 10 01 05 16 36 45 43 23",
    "H": "00 06|40 46|03 43", "I": "10 30|20 26|16 36", "J": "40 45 36 16 05", "K": "00 06|40 03 46", "L": "00 06 46",
    "M": "06 00 23 40 46", "N": "06 00 46 40", "O": "10 30 41 45 36 16 05 01 10", "P": "06 00 30 41 42 33 03",
    "Q": "10 30 41 45 36 16 05 01 10|34 46", "R": "06 00 30 41 42 33 03|23 46",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05", "T": "00 40|20 26", "U": "00 05 16 36 45 40", "V": "00 26 40",
    "W": "00 16 22 36 40", "X": "00 46|40 06", "Y": "00 23 40|23 26", "Z": "00 40 06 46",
    "?": "01 10 30 41 42 23 24|26 26", "!": "20 24|26 26", "-": "13 33", "'": "20 21", ".": "26 26",
    "0": "10 30 41 45 36 16 05 01 10", "1": "11 20 26", "2": "01 10 30 41 42 06 46", "3": "00 40 23 44 45 36 16 05",
    "4": "36 30 04 44", "5": "40 00 03 33 44 45 36 06", "6": "40 10 04 05 16 36 45 44 33 04", "7": "00 40 16",
    "8": "13 02 01 10 30 41 42 33 44 45 36 16 05 04 13 33", "9": "42 13 02 01 10 30 41 42 36 06",
}  # fmt: skip


def plain(text: str) -> str:
    """The text in capitals without accents; what there is no letter for is left out."""
    bare = unicodedata.normalize("NFKD", text).upper()
    return "".join(sign for sign in bare if sign in _GLYPHS or sign == " ")


def width(text: str) -> float:
    """How wide `write` makes the text, for letters of height 1."""
    return max(0.0, len(plain(text)) * 0.92 - 0.25)


def write(pen: Pen, text: str, u: Num, v: Num, high: float, thick: float, fill: RGB, alpha: Num = 1.0) -> None:
    """Writes a line of text about a middle.

    Args:
        pen: What draws.
        text: What to write.
        u: Middle of the line.
        v: Middle of the line.
        high: Height of the letters.
        thick: Half the width of a stroke.
        fill: Colour.
        alpha: Opacity.
    """
    _line(pen.at(u, v, alpha=alpha), text, high, thick, fill)


@stencil
def _line(pen: Pen, text: str, high: float, thick: float, fill: RGB) -> None:
    """A line of text about the pen's origin."""
    signs = plain(text)
    left = -width(text) * high / 2
    for i, sign in enumerate(signs):
        for stroke in _GLYPHS.get(sign, "").split("|"):
            points = [
                (left + (i * 0.92 + int(spot[0]) / 6) * high, (int(spot[1]) / 6 - 0.5) * high)
                for spot in stroke.split()
            ]
            for first in range(0, max(1, len(points) - 1), 4):
                pen.stroke(points[first : first + 5], thick, fill)
