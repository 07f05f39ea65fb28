"""Figures and foreign texts go in; tables of a report, the same for HTML and Markdown, and its Markdown come out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.show import clean
from eval.exam_tables import shown

ONE_SET = "one set"
"""Stands where the interval of a figure would."""
MAX_ROWS = 100
"""A table shows so many rows; the others are in metrics.json."""
MAX_TEXT = 300
"""A cell shows so many characters of a text."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table.

    Attributes:
        text: As it is shown.
        value: What rows are sorted by where it is a number; None for words.
    """

    text: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A head, and rows that are as wide; `title` may be empty."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        key: Tells it from the others, such as "minds"; its anchor.
        title: Its heading.
        lines: Paragraphs above the tables.
        tables: What it shows.
    """

    key: str
    title: str
    lines: Sequence[str] = ()
    tables: Sequence[Table] = field(default_factory=tuple)


Json = Mapping[str, Any]


def is_figure(value: Any) -> bool:
    """Whether a value is an `exam_scores.Figure` in JSON."""
    return isinstance(value, Mapping) and {"mean", "low", "high"} <= value.keys()


def cut(text: object, most: int = MAX_TEXT) -> str:
    """A text without control characters, its end left out where it is too long."""
    whole = str(text)
    more = len(whole) - most
    return clean(whole[:most], keep_lines=True) + (f" ... ({more:,} characters more)" if more > 0 else "")


def word(text: object) -> Cell:
    """A cell of foreign text."""
    return Cell(cut(text))


def count(value: Any) -> Cell:
    """A cell with a whole number."""
    return Cell("-", -1.0) if value is None else Cell(f"{value:,}", float(value))


def is_of_one_set(value: Json) -> bool:
    """Whether a figure has no interval: one set drawn again and again is always itself, and says nothing of others."""
    return value.get("sets") == 1


def figure(value: Any, signed: bool = False) -> Cell:
    """A cell with a share in per cent and its interval; a bare number is a share without one."""
    if is_figure(value) and is_of_one_set(value):
        return Cell(f"{100 * value['mean']:{'+' if signed else ''}.1f} [{ONE_SET}]", float(value["mean"]))
    if is_figure(value):
        return Cell(shown(value, signed), float(value["mean"]))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(f"{100 * value:.1f}", float(value))
    return Cell("-", -2.0)


def figures_table(figures: Json, first: str, title: str = "", counted: str = "questions") -> Table:
    """A table of {row: figure}, or of {row: {column: figure}} with the columns in the order in which they come.

    Args:
        figures: As metrics.json holds them; the first `MAX_ROWS` are shown.
        first: Head of the first column.
        title: Of the table.
        counted: What a figure is a mean over.
    """
    rows = dict(list(figures.items())[:MAX_ROWS])
    if all(map(is_figure, rows.values())):
        cells = [[word(name), count(one.get("asked")), figure(one, _signed(name))] for name, one in rows.items()]
        return Table([first, counted, "% [95 % interval]"], cells, title)
    columns = list(dict.fromkeys(column for one in rows.values() if isinstance(one, Mapping) for column in one))
    cells = []
    for name, one in rows.items():
        found = one if isinstance(one, Mapping) else {}
        asked = next((value["asked"] for value in found.values() if is_figure(value) and "asked" in value), None)
        # The row of a difference is signed too, as its column may be called like any other.
        values = [figure(found.get(column), _signed(column) or _signed(name)) for column in columns]
        cells.append([word(name), count(asked), *values])
    return Table([first, counted, *columns], cells, title)


def markdown(title: str, shown_sections: Sequence[Section]) -> str:
    """Sections as Markdown, foreign text in it without any meaning to Markdown or HTML."""
    lines = [f"# {escaped(title)}"]
    for section in shown_sections:
        lines += ["", f"## {escaped(section.title)}"]
        lines += [text for line in section.lines for text in ("", escaped(line))]
        for table in section.tables:
            lines += ["", f"**{escaped(table.title)}**"] if table.title else []
            lines += ["", *_markdown_table(table)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A text for one line of Markdown."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", re.sub(r"([\\`*|~\[\]])", r"\\\1", line))
    return re.sub(r"^(?=[#+-]\s|\d+[.)]\s|[#+-]$)", r"\\", line)


def _markdown_table(table: Table) -> Iterator[str]:
    numbers = [
        bool(table.rows) and all(row[at].value is not None for row in table.rows) for at in range(len(table.heads))
    ]
    yield "| " + " | ".join(map(escaped, table.heads)) + " |"
    yield "|" + "|".join("---:" if right else "---" for right in numbers) + "|"
    for row in table.rows:
        # A number's brackets are its interval, which no Markdown takes for a link.
        cells = (escaped(cell.text) if cell.value is None else cell.text for cell in row)
        yield "| " + " | ".join(cells) + " |"


def _signed(name: object) -> bool:
    return any(part in str(name) for part in ("below", "difference", "gain"))
