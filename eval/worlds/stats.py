"""A data set's manifest and examples go in, tables and a picture of its balance come out."""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from eval.worlds import manifest
from roles.errors import DataError
from roles.types import Example, Span

BARS = 20
"""Parts of the film, and classes of length, that the picture counts in."""
WIDE = 150
"""Columns of text where the output is no terminal."""
INK, GRID, BLUE, ORANGE, GREEN = "#222222", "#dddddd", "#0072b2", "#d55e00", "#009e73"


@dataclass(slots=True)
class Tally:
    """What was counted of one type of question.

    Attributes:
        asked: How many.
        answers: How often each answer is right, where the type has few different ones.
        positions: How often the first, second ... option is right.
        options: How many options there were, over all questions.
        lengths_s: Evidence of each question, in seconds.
        shares: Evidence of each question, as a share of the film.
        middles: The middle of each span, as a share of the film.
        routes: What the planner should do.
        truths: How often the belief that is asked about is true, and false.
    """

    asked: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    positions: Counter[int] = field(default_factory=Counter)
    options: int = 0
    lengths_s: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    middles: list[float] = field(default_factory=list)
    routes: Counter[str] = field(default_factory=Counter)
    truths: Counter[str] = field(default_factory=Counter)

    def add(self, example: Example, film_s: float) -> None:
        """Counts a question on a film of that length."""
        self.asked += 1
        self.routes[example.tags.get("route", "none")] += 1
        if "truth" in example.tags:
            self.truths[example.tags["truth"]] += 1
        if example.options and example.answer is not None:
            self.positions[example.options.index(example.answer)] += 1
            self.options += len(example.options)
            self.answers[example.answer] += 1
        if example.spans:
            covered_s = covered(example.spans)
            self.lengths_s.append(covered_s)
            self.shares.append(min(1.0, covered_s / film_s))
            self.middles += [min(1.0, (span.start_s + span.end_s) / 2 / film_s) for span in example.spans]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m eval.worlds stats`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="what make wrote")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="draw the balance as well")


def run(args: argparse.Namespace) -> int:
    """Prints the tables, and draws them where a picture is asked for.

    Raises:
        DataError: The folder holds no finished data set, or the picture cannot be written.
    """
    made = manifest.read_manifest(args.folder)
    tallies = count(args.folder, made)
    _print(args.folder, made, tallies)
    if args.out:
        draw(made, tallies, args.out)
        print(args.out)
    return 0


def count(folder: Path, made: Mapping[str, Any]) -> dict[str, Tally]:
    """Tallies by type of question, the most frequent first.

    Raises:
        DataError: The examples cannot be read, or are of films that the manifest does not name.
    """
    from roles.examples import read_numbered

    lengths_s = {name: film["duration_s"] for name, film in made["films"].items()}
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    path = folder / manifest.EXAMPLES
    for line, example in read_numbered(path):
        film = Path(example.video).stem
        if film not in lengths_s:
            raise DataError(f"{path}: line {line}: the manifest knows no film {film}; run make again")
        tallies[example.tags.get("type", "none")].add(example, lengths_s[film])
    return dict(sorted(tallies.items(), key=lambda item: (-item[1].asked, item[0])))


def covered(spans: Iterable[Span]) -> float:
    """Seconds that lie in at least one of the spans."""
    total_s, end_s = 0.0, 0.0
    for span in sorted(spans, key=lambda one: one.start_s):
        total_s += max(0.0, span.end_s - max(span.start_s, end_s))
        end_s = max(end_s, span.end_s)
    return total_s


def _print(folder: Path, made: Mapping[str, Any], tallies: Mapping[str, Tally]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    counts, lengths_s = made["counts"], _film_lengths(made)
    seeds = made["seeds"]
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else WIDE)
    console.print(
        f"{folder}: {counts['films']:,} films of {seeds['sets']:,} sets ({made['split']}, seeds {seeds['first']} to "
        f"{seeds['last']}), {counts['examples']:,} questions; films {min(lengths_s):.0f} to {max(lengths_s):.0f} s, "
        f"median {median(lengths_s):.0f} s, {sum(lengths_s) / 3600:.2f} h in all",
        soft_wrap=True,
    )
    kinds = Table(box=None, padding=(0, 2, 0, 0), title=Text("films"), title_justify="left")
    for head in ("family / kind", "films", "share"):
        kinds.add_column(head, justify="left" if head.startswith("family") else "right")
    for family in counts["families"]:
        kinds.add_row(family, *_of(counts["families"][family], counts["films"]))
        found = Counter(film["kind"] for film in made["films"].values() if film["family"] == family)
        for kind, films in sorted(found.items(), key=lambda item: (-item[1], item[0])):
            kinds.add_row(f"  {kind}", *_of(films, counts["films"]))
    console.print(kinds)
    types = Table(box=None, padding=(0, 2, 0, 0), title=Text("questions"), title_justify="left")
    for name in ("type", "asked", "share", "right option: 1st, 2nd ... %", "answers", "belief true"):
        types.add_column(name, justify="right" if name in ("asked", "share") else "left", no_wrap=name != "answers")
    for name in ("evidence", "of film", "route"):
        types.add_column(name, justify="left" if name == "route" else "right", no_wrap=True)
    for kind, one in tallies.items():
        types.add_row(
            kind,
            *_of(one.asked, counts["examples"]),
            " ".join(f"{share:.0f}" for share in position_shares(one)),
            _few(one.answers),
            f"{100 * one.truths['true'] / one.truths.total():.0f} %" if one.truths else "",
            f"{median(one.lengths_s):.1f} s" if one.lengths_s else "",
            f"{100 * median(one.shares):.0f} %" if one.shares else "",
            ", ".join(name for name, _ in one.routes.most_common()),
        )
    console.print(types)


def position_shares(tally: Tally) -> list[float]:
    """How often the first, second ... option is right, in percent."""
    total = tally.positions.total()
    return [100 * tally.positions[at] / total for at in range(max(tally.positions, default=-1) + 1)]


def _of(part: int, whole: int) -> tuple[str, str]:
    return f"{part:,}", f"{100 * part / whole:.1f} %"


def _few(answers: Counter[str], most: int = 3) -> str:
    """The answers with their shares where there are only a few, else how many there are and the most frequent."""
    if len(answers) > most:
        name, times = answers.most_common(1)[0]
        return f"{len(answers)}, most often {_short(name)} {100 * times / answers.total():.0f} %"
    return ", ".join(f"{_short(name)} {100 * n / answers.total():.0f} %" for name, n in sorted(answers.items()))


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:23] + "…"


def _film_lengths(made: Mapping[str, Any]) -> list[float]:
    return [film["duration_s"] for film in made["films"].values()]


def draw(made: Mapping[str, Any], tallies: Mapping[str, Tally], path: Path) -> None:
    """Draws six panels: kinds, types, positions of the right option, lengths, evidence.

    Raises:
        DataError: The picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 9.5), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3).ravel()
    seeds, counts = made["seeds"], made["counts"]
    figure.suptitle(
        f"{counts['films']:,} films of {seeds['sets']:,} sets, {counts['examples']:,} questions "
        f"({made['split']}, from seed {seeds['first']})",
        color=INK, fontsize=15, parse_math=False,
    )  # fmt: skip
    _bars(axes[0], "films by kind", counts["kinds"], BLUE)
    _bars(axes[1], "questions by type", {name: one.asked for name, one in tallies.items()}, BLUE)
    _positions(axes[2], tallies)
    _histogram(axes[3], "length of the films", _film_lengths(made), "seconds", BLUE)
    middles = [middle for one in tallies.values() for middle in one.middles]
    shares = [share for one in tallies.values() for share in one.shares]
    _histogram(axes[4], "where evidence lies", middles, "middle of a span, as a share of the film", ORANGE, (0.0, 1.0))
    _histogram(axes[5], "how much of the film it is", shares, "share of the film, by question", ORANGE, (0.0, 1.0))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); name another --out") from error


def _bars(axis: Any, title: str, counts: Mapping[str, int], colour: str) -> None:
    named = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    axis.barh([name.replace("_", " ") for name, _ in named], [times for _, times in named], color=colour)
    _finish(axis, title, "x")


def _positions(axis: Any, tallies: Mapping[str, Tally]) -> None:
    """How often the first option is right, over the share that chance gives it."""
    named = [(name, one) for name, one in reversed(list(tallies.items())) if one.positions]
    names = [name.replace("_", " ") for name, _ in named]
    axis.barh(names, [position_shares(one)[0] for _, one in named], color=GREEN)
    for row, (_, one) in enumerate(named):
        chance = 100 * one.positions.total() / one.options
        axis.plot([chance, chance], [row - 0.4, row + 0.4], color=INK, linewidth=2)
    axis.set_xlim(0, 100)
    axis.set_xlabel("% (line: if all positions were equal)", color=INK)
    _finish(axis, "first option is right", "x")


def _histogram(
    axis: Any, title: str, values: Sequence[float], label: str, colour: str, ends: tuple[float, float] | None = None
) -> None:
    if values:
        axis.hist(values, bins=BARS, range=ends, color=colour, edgecolor="white")
    axis.set_xlabel(label, color=INK)
    _finish(axis, title, "y")


def _finish(axis: Any, title: str, grid: str) -> None:
    axis.set_title(title, color=INK, fontsize=12, loc="left")
    axis.grid(True, axis=grid, color=GRID)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=9, colors=INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
