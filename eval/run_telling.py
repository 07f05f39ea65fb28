"""Figures, a data report or a message goes in; lines that are safe to show come out, on stdout the figures alone."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent.show import clean

if TYPE_CHECKING:
    from eval.suites.report import DataReport


def show(benchmark: str, found: Mapping[str, Any]) -> None:
    """The figures that count, and what went wrong, on stdout."""
    counts = {name: number for name, number in found["counts"].items() if isinstance(number, int) and number}
    counts |= {f"fell back: {role}": number for role, number in found["counts"].get("fell_back", {}).items()}
    print(clean(f"{benchmark}, {found['items']:,} questions on {found['videos']:,} videos"))
    rows = [("", "%", "95 % interval", "questions")]
    for name in found["headline"]:
        one = found["figures"][name]
        interval = f"{100 * one['low']:.1f} to {100 * one['high']:.1f}"
        bounds = "one set: no interval" if one["sets"] == 1 else interval
        rows.append((name, f"{100 * one['mean']:.1f}", bounds, f"{one['asked']:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *rest in rows:
        print(
            "  ".join(
                [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
            )
        )
    print(clean(", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in counts.items())), flush=True)


def tell_report(report: DataReport) -> None:
    """What was read and what is odd about it, on stderr."""
    for name, number, place in report.rows():
        print(clean(f"mindreel: {name}: {number}{f' ({place})' if place else ''}"), file=sys.stderr)
    sys.stderr.flush()


def say(message: str) -> None:
    """A line for a person, on stderr."""
    print(f"mindreel: {clean(message)}", file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """A line on what went wrong and does not end the run."""
    say(f"warning: {message}")


def complain(message: str) -> None:
    """The line on what ends the run; whoever would read it may have gone."""
    with contextlib.suppress(OSError):
        say(f"error: {message}")
