"""Text that a user, a file or a model wrote goes in, the same text comes out safe for a terminal or for Markdown."""

from __future__ import annotations

import re
import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 2

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#|~$!&:@])")
"""Every character that starts something inside a line in CommonMark or in GitHub's tables, links and formulas."""
_FIRST = re.compile(r"^(\d+(?=\.(?: |$))|(?=[-+](?: |$)|--|=))")
"""Where a backslash must stand so that a line's beginning makes no list, rule or heading of it."""


def plain(text: object) -> str:
    """One line without controls, text-direction overrides or broken characters; each of them becomes a space."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def shown(value: object) -> str:
    """A value for an error message: one line, shortened, with quotes only where they are needed to see its ends."""
    if isinstance(value, str) and re.fullmatch(r"[\w./:@%+-]{1,80}", value):
        return value
    return plain(_SHORT.repr(value))


def markdown(text: object) -> str:
    """Text that Markdown shows as it is, in a sentence or in a table's cell."""
    escaped = _MARKS.sub(r"\\\1", re.sub(r"\s+", " ", plain(text)).strip())
    return _FIRST.sub(r"\1\\", re.sub(r"(?i)\b(www)\.", r"\1\\.", escaped))
