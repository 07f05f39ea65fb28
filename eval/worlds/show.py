"""A seed goes in, a contact sheet of its film comes out: frames, minds and questions in one PNG."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from roles.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eval.worlds.ink import RGB
    from eval.worlds.questions import Question
    from eval.worlds.scene import Container, Scene, Thing
    from eval.worlds.sheet import Sheet
    from roles.minds import Minds

FRAMES = 12
SHOWN_FIRST = ("second_order", "belief_contents", "honesty", "belief", "search", "moment_false", "moment_found_out")
"""Whose evidence the time line shows: the first of these that is asked."""
_SET_FOR = {"second_order": "second_order", "contents": "belief_contents", "testimony": "belief", "place": "belief"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m eval.worlds show`."""
    parser.add_argument("seed", type=int, metavar="SEED", help="of the matched set")
    parser.add_argument("--kind", metavar="K", help="which film of it (default: its first)")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="default: SEED-KIND.png")
    parser.add_argument("--frames", type=int, default=FRAMES, metavar="N", help=f"2 to 48 (default {FRAMES})")
    parser.add_argument("--length", type=float, metavar="SECONDS", help="of the film, as make's --length")
    parser.add_argument("--questions", action="store_true", help="print the questions as well")


def run(args: argparse.Namespace) -> int:
    """Writes the sheet and says where.

    Raises:
        DataError: There is no such kind or seed, or the file cannot be written.
    """
    from eval.worlds import plot, questions, splits
    from roles.minds import Minds

    if not 2 <= args.frames <= 48:
        raise DataError(f"--frames {args.frames}: expected 2 to 48")
    splits.split_of(args.seed)
    known = plot.all_kinds()
    kind = args.kind or plot.members(args.seed)[0]
    if kind not in known:
        raise DataError(f"--kind {kind}: no such kind; take one of {', '.join(known)}")
    scene = plot.scene(args.seed, kind, length_s=args.length)
    minds = Minds(scene.story)
    asked = questions.ask(scene, minds)
    path = args.out or Path(f"{scene.id}.png")
    picture = sheet_of(scene, minds, asked, args.frames)
    _save(picture, path)
    print(path)
    if args.questions:
        print(in_text(asked))
    return 0


def sheet_of(scene: Scene, minds: Minds, asked: list[Question], count: int = FRAMES) -> Sheet:
    """Everything that the contact sheet of a film shows."""
    from eval.worlds.lanes import lanes
    from eval.worlds.scene import YARD
    from eval.worlds.sheet import Asked, Frame, Sheet, frame_width_px
    from eval.worlds.telling import moments
    from roles.types import Span

    rows = lanes(scene, minds)
    shown = evidence_question(scene, asked)
    told = moments(scene, rows, count, shown.spans if shown else ())
    columns = next(side for side in (4, 5, 3, 6) if count % side == 0 or side == 6) if count > 3 else count
    pictures = _pictures(scene, [time_s for time_s, _ in told], frame_width_px(columns))
    return Sheet(
        title=f"{scene.kind.replace('_', ' ')}  -  seed {scene.seed}",
        subtitle=_subtitle(scene),
        duration_s=scene.duration_s,
        frames=[Frame(time_s, words, pixels) for (time_s, words), pixels in zip(told, pictures, strict=True)],
        columns=columns,
        lanes=rows,
        colours=_colours(scene),
        people=_shirts(scene),
        elsewhere=[Span(shot.start_s, shot.end_s) for shot in scene.shots if shot.place == YARD],
        evidence=(shown.text, shown.spans) if shown else None,
        questions=[Asked(one.type, one.text, tuple(one.options), one.answer, tuple(one.spans)) for one in asked],
    )


def evidence_question(scene: Scene, asked: list[Question]) -> Question | None:
    """The question on which the set turns, or the nearest to it that is asked and has evidence."""
    order = (_SET_FOR.get(scene.family, ""), *SHOWN_FIRST)
    with_spans = [one for one in asked if one.spans]
    found = (one for kind in order for one in with_spans if one.type == kind)
    return next(found, with_spans[0] if with_spans else None)


def in_text(asked: list[Question]) -> str:
    """The questions for a terminal: type, words, options with the right one starred, evidence."""
    blocks = []
    for one in asked:
        lines = [f"{one.type}: {one.text}"]
        lines += [f"  {'*' if option == one.answer else ' '} {option}" for option in one.options]
        if one.answer is not None and not one.options:
            lines.append(f"  * {one.answer}")
        if one.spans:
            lines.append("    " + ", ".join(f"{span.start_s:.2f}-{span.end_s:.2f} s" for span in one.spans))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _subtitle(scene: Scene) -> str:
    cast = scene.cast
    parts = [f"{cast.believer} believes", f"{cast.mover} acts"]
    if cast.witness:
        parts.append(f"{cast.witness} {'tells' if scene.family == 'testimony' else 'stands by'}")
    path = " -> ".join(cast.path)
    return (
        f"{scene.family.replace('_', ' ')}, {scene.split}; {', '.join(parts)}; {cast.thing}: {path}; "
        f"{scene.duration_s:.1f} s"
    )


def _pictures(scene: Scene, times_s: list[float], width_px: int) -> list[NDArray[np.uint8]]:
    import numpy as np

    from eval.worlds import raster, stage

    height_px = 2 * round(width_px / scene.stages[0].width / 2)
    drawn = stage.draw_list(scene, np.array(times_s))
    return list(raster.draw(drawn, width_px, height_px))


def _colours(scene: Scene) -> dict[str, RGB]:
    from eval.worlds.art.colours import named, pale

    palette = scene.stages[0].palette
    coloured: tuple[Container | Thing, ...] = (*scene.containers, *scene.things)
    raw = {one.name: named(one.colour, palette) for one in coloured}
    raw |= {one.name: pale(named(one.shirt, palette), 0.55) for one in scene.people}
    return {name: _rounded(colour) for name, colour in raw.items()}


def _shirts(scene: Scene) -> dict[str, RGB]:
    from eval.worlds.art.colours import named

    return {one.name: _rounded(named(one.shirt, scene.stages[0].palette)) for one in scene.people}


def _rounded(colour: tuple[float, float, float]) -> tuple[int, int, int]:
    return round(colour[0]), round(colour[1]), round(colour[2])


def _save(sheet: Sheet, path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    from eval.worlds.sheet import draw

    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draw(sheet).save(partial, format="png")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); name another --out") from error
