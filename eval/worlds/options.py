"""The words of a `make` command go in, the films that it asks for come out, checked."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from eval.worlds import manifest
from eval.worlds.manifest import Asked
from roles.errors import DataError

ALL = "all"
HEIGHT_PX = 224
SPLITS = ("train", "val", "test", "generalisation")
FAMILIES = ("place", "second_order", "testimony", "contents")
LENGTHS_S = (5.0, 600.0)
SIDES_PX = (64, 2160)
FRAMES_PER_S = (1, 120)
ASPECT_TOLERANCE = 0.015
"""By how much a size may differ from the shape of its stage: rounding to whole pixels, hardly more."""


@dataclass(frozen=True, slots=True)
class Job:
    """One film to make."""

    folder: Path
    seed: int
    kind: str
    asked: Asked

    @property
    def film_id(self) -> str:
        """As `Scene.id`."""
        return f"{self.seed:08d}-{self.kind}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m eval.worlds make`."""
    parser.add_argument("--seed", type=_whole, required=True, metavar="S", help="first seed: a seed is a matched set")
    parser.add_argument("--n", type=_whole, required=True, metavar="N", help="how many sets, of mostly 4 films each")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to fill, or to go on filling")
    parser.add_argument("--split", choices=SPLITS, help="count S from the first seed of this split")
    parser.add_argument(
        "--kind", nargs="+", default=[], metavar="K", help="these films of each set; all: every kind of its family"
    )
    parser.add_argument("--family", nargs="+", default=[], choices=FAMILIES, metavar="F", help="only sets of these")
    parser.add_argument(
        "--size",
        type=_size,
        default=(None, HEIGHT_PX),
        metavar="HEIGHT|WxH",
        help=f"height in pixels, the width follows each set's aspect ratio (default {HEIGHT_PX}), or both, such as "
        "336x224",
    )
    parser.add_argument("--fps", type=_fps, metavar="F", help="frames per second (default: differs from set to set)")
    parser.add_argument("--length", type=_length, metavar="SECONDS", help="of all films (default: 12 s to 5 min)")
    parser.add_argument("--workers", type=_workers, metavar="W", help="processes, one core each (default: all cores)")
    parser.add_argument("--no-films", dest="films", action="store_false", help="questions and records only")


def plan(args: argparse.Namespace) -> list[Job]:
    """The films that a command asks for, set by set.

    Raises:
        DataError: There is no such kind, or the seeds do not lie in one split.
    """
    from eval.worlds import layout, plot, splits

    known = plot.all_kinds()
    kinds = tuple(dict.fromkeys(args.kind))
    strange = [kind for kind in kinds if kind not in known and (kind != ALL or len(kinds) > 1)]
    if strange:
        raise DataError(f"--kind {strange[0]}: no such kind; take {ALL} or some of {', '.join(known)}")
    if kinds and ALL not in kinds and args.family:
        raise DataError("--family picks sets by their family, --kind names films of any set; give one of them")
    if args.n < 1:
        raise DataError("--n 0: make at least one set")
    first = args.seed + (splits.RANGES[args.split][0] if args.split else 0)
    split = args.split or splits.split_of(first)
    stop = splits.RANGES[split][1]
    families = tuple(sorted(set(args.family)))
    found = (seed for seed in range(first, stop) if not families or plot.family_of(seed) in families)
    seeds = list(islice(found, args.n))
    if len(seeds) < args.n:
        raise DataError(
            f"--n {args.n}: from seed {first} on there are only {len(seeds):,} such sets in the split {split}, which "
            f"ends at {stop - 1}"
        )
    width_px, height_px = args.size
    asked = Asked(
        first_seed=first,
        sets=args.n,
        split=split,
        kinds=kinds,
        families=families,
        width_px=width_px,
        height_px=height_px,
        aspect=_aspect(width_px, height_px, layout.ASPECTS),
        fps=None if args.fps is None else str(args.fps),
        length_s=args.length,
        films=args.films,
        code=manifest.code_digest(),
        versions=manifest.versions(),
    )
    held = [kind for kind in kinds if split != "generalisation" and kind in splits.HELD_KINDS]
    if held:
        raise DataError(f"--kind {held[0]}: kept for the generalisation split, and not in {split}")

    def kinds_of(seed: int) -> Sequence[str]:
        if not kinds:
            return plot.members(seed)
        if kinds != (ALL,):
            return kinds
        everything = plot.all_kinds(plot.family_of(seed))
        return [kind for kind in everything if split == "generalisation" or kind not in splits.HELD_KINDS]

    return [Job(args.out, seed, kind, asked) for seed in seeds for kind in kinds_of(seed)]


def _aspect(width_px: int | None, height_px: int, known: Mapping[str, float]) -> str | None:
    """The shape of stage that fits the size.

    Raises:
        DataError: There is none.
    """
    if width_px is None:
        return None
    shape = width_px / height_px
    name = min(known, key=lambda one: abs(known[one] - shape))
    if abs(known[name] / shape - 1) > ASPECT_TOLERANCE:
        fits = " or ".join(f"{2 * round(height_px * width / 2)}x{height_px}" for width in known.values())
        raise DataError(
            f"--size {width_px}x{height_px}: stages are {', '.join(known)}; take {fits}, or the height alone"
        )
    return name


def _whole(text: str) -> int:
    return int(_checked(text, int, lambda value: value >= 0, "a whole number, 0 or more"))


def _workers(text: str) -> int:
    return int(_checked(text, int, lambda value: value >= 1, "a whole number, 1 or more"))


def _length(text: str) -> float:
    least, most = LENGTHS_S
    return float(_checked(text, float, lambda value: least <= value <= most, f"{least:g} to {most:g} seconds"))


def _fps(text: str) -> Fraction:
    least, most = FRAMES_PER_S
    says = f"{least} to {most}, such as 12, 12.5 or 30000/1001"
    return Fraction(_checked(text, lambda v: Fraction(v).limit_denominator(1001), lambda v: least <= v <= most, says))


def _size(text: str) -> tuple[int | None, int]:
    least, most = SIDES_PX
    says = f"even numbers from {least} to {most}, such as 224 or 336x224"

    def parse(given: str) -> tuple[int, ...]:
        return tuple(int(side) for side in given.lower().split("x"))

    def fits(sides: tuple[int, ...]) -> bool:
        return len(sides) in (1, 2) and all(least <= side <= most and side % 2 == 0 for side in sides)

    sides = _checked(text, parse, fits, says)
    return (None, sides[0]) if len(sides) == 1 else (sides[0], sides[1])


def _checked(text: str, parse: Callable[[str], Any], fits: Callable[[Any], bool], says: str) -> Any:
    try:
        value = parse(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {says}")
    return value
