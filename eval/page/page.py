"""The folder of a run goes in, its report comes out: `report.html`, one file that opens offline, and `report.md`."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.page.items import bdi, failures, fit, listed, worst
from eval.page.plots import histogram, interval_bar, recall_curve, reliability, whisker_bars
from eval.page.run import Judged, Run, Traces, read_run
from eval.page.sections import headline, sections, title_of
from eval.page.style import CSS, SCRIPT, policy
from eval.page.tables import ONE_SET, Cell, Section, Table, is_figure, is_of_one_set, markdown
from roles.examples import write_text

PAGE, MARKDOWN = "report.html", "report.md"
MAX_TABLE_BYTES = 700_000
"""What tables may take of the page; with `WORST` questions and the failures, it stays below 2 MB."""
MAX_LINES, MAX_LINE = 40, 1000
MAX_TILES = 12
FOLDED = {"asked": "Settings and versions", "data": "What was read", "all": "Figures"}
"""Sections that are long, and looked up rather than read."""
_SCORES = "Behind a predicted moment stand the grounder's confidence and the verifier's P(Yes)."


def write_page(folder: Path) -> Path:
    """Writes a run's `report.html` and returns its path; the same folder gives the same bytes.

    Raises:
        DataError: The folder holds no finished run, or the page cannot be written.
    """
    run = read_run(folder)
    path = Path(folder) / PAGE
    write_text(path, [page(run)])
    return path


def write_markdown(folder: Path) -> Path:
    """Writes a run's `report.md`, the page's tables without pictures and questions, and returns its path.

    Raises:
        DataError: The folder holds no finished run, or the file cannot be written.
    """
    run = read_run(folder)
    path = Path(folder) / MARKDOWN
    write_text(path, markdown(title_of(run), sections(run)).rstrip("\n").split("\n"))
    return path


def page(run: Run) -> str:
    """The whole page."""
    title = html.escape(title_of(run))
    wrong, off = worst(run.judged)
    traces = Traces(run.folder)
    made = sections(run)
    tables = iter(fit([_table(table) for section in made for table in section.tables], MAX_TABLE_BYTES, "metrics.json"))
    parts = [(one.key, one.title, _section(one, [next(tables) for _ in one.tables], run)) for one in made]
    parts += [("failures", "What failed", failures(run.judged))]
    parts += [
        ("wrong", "Wrong, and sure of it", _questions(wrong, traces, f"Wrong answers, the surest first. {_SCORES}"))
    ]
    words = "The lowest overlaps of the first moment with the true one, the surest first among equals. " + _SCORES
    parts += [("off", "Furthest from the moment", _questions(off, traces, words))]
    shown = [part for part in parts if part[2]]
    links = "".join(f'<a href="#{key}">{html.escape(name)}</a>' for key, name, _ in shown)
    body = "".join(f'<section id="{key}"><h2>{html.escape(name)}</h2>{text}</section>' for key, name, text in shown)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{title}</title>\n<style>{CSS}</style></head>\n'
        f"<body><h1>{bdi(title_of(run))}</h1><nav>{links}</nav>\n{body}\n<script>{SCRIPT}</script></body></html>"
    )


def _section(section: Section, tables: Sequence[str], run: Run) -> str:
    lines = "".join(f"<p>{bdi(line, MAX_LINE)}</p>" for line in section.lines[:MAX_LINES])
    if section.key == "headline":
        first, _, more = lines.partition("</p>")  # the tiles show what the first table does
        return f"{first}</p>{_tiles(run)}{more}{''.join(tables[len(tables) - 1 :])}"
    if section.key == "minds":
        return lines + _swap(run) + "".join(tables)
    if section.key == "moments":
        return lines + _moments(run) + _folded("The same as tables", tables)
    if section.key in FOLDED:
        return lines + _folded(FOLDED[section.key], tables)
    return lines + "".join(tables)


def _folded(title: str, tables: Sequence[str]) -> str:
    return f"<details><summary>{title}</summary><div>{''.join(tables)}</div></details>" if tables else ""


def _tiles(run: Run) -> str:
    tiles = [
        f'<div class="tile"><span>{bdi(name, 60)}</span><b>{100 * one["mean"]:.1f}</b>'
        f"<span>{_ends(one)}, {one.get('asked', 0):,} questions</span>"
        f"{interval_bar(one)}</div>"
        for name, one in list(headline(run).items())[:MAX_TILES]
        if is_figure(one)
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _ends(one: Mapping[str, Any]) -> str:
    return f"{ONE_SET}: no interval" if is_of_one_set(one) else f"{100 * one['low']:.1f} to {100 * one['high']:.1f}"


def _swap(run: Run) -> str:
    swap = (run.metrics.get("minds") or {}).get("swap") or {}
    right = {name: one["right"] for name, one in swap.items() if isinstance(one, dict) and is_figure(one.get("right"))}
    return _figures(
        [(whisker_bars(right, "Right answers by what was watched"), "Right, %, by what was watched")] if right else []
    )


def _moments(run: Run) -> str:
    calibration, iou = run.metrics.get("calibration"), run.metrics.get("iou")
    shown: list[tuple[str, str]] = []
    if calibration:
        told = "Reliability: right, %, by probability; the dashed line is perfect; grey: how many answers"
        shown.append((reliability(calibration["bins"]), told))
    if iou:
        told = "Questions by IoU of the first moment"
        shown.append((histogram(iou["histogram"], told, "IoU of the first moment"), told))
        shown.append((recall_curve(iou["recall"]), "Questions, %, whose first moment reaches an IoU"))
    return _figures(shown)


def _figures(pictures: Sequence[tuple[str, str]]) -> str:
    shown = (f"<figure><figcaption>{html.escape(told)}</figcaption>{picture}</figure>" for picture, told in pictures)
    return f'<div class="plots">{"".join(shown)}</div>' if pictures else ""


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    caption = f"<caption>{bdi(table.title)}</caption>" if table.title else ""
    numbers = [all(row[at].value is not None for row in table.rows) for at in range(len(table.heads))]
    heads = "".join(
        f'<th scope="col"{_number(right)}>{bdi(head, 100)}</th>'
        for head, right in zip(table.heads, numbers, strict=True)
    )
    rows = "".join(f"<tr>{''.join(_cells(row, numbers))}</tr>" for row in table.rows)
    return (
        f'<div class="wide"><table class="sort">{caption}<thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cells(row: Sequence[Cell], numbers: Sequence[bool]) -> Iterable[str]:
    for cell, right in zip(row, numbers, strict=True):
        value: Any = "" if cell.value is None else f' data-v="{cell.value!r}"'
        # Only foreign text can turn the direction of writing.
        text = bdi(cell.text, len(cell.text)) if cell.value is None else html.escape(cell.text)
        yield f"<td{_number(right)}{value}>{text}</td>"


def _number(right: bool) -> str:
    return ' class="num"' if right else ""


def _questions(judged: Sequence[Judged], traces: Traces, told: str) -> str:
    return f'<p class="soft">{told}</p>{listed(judged, traces)}' if judged else ""
