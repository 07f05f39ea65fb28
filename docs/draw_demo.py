"""A trace goes in, the README's picture comes out.

Example:
    python docs/draw_demo.py demo.jsonl docs/demo.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from canvas import (
    BLUE,
    BODY,
    DARK,
    HEAD,
    INK,
    LARGE,
    LINE,
    MUTED,
    PAD,
    PALE,
    SMALL,
    WHITE,
    WIDTH,
    Canvas,
    jpeg,
    plain,
    width_of,
    wrap,
)
from words import between, candidates, clock, outcome, tell

from adapters.frames import open_video
from agent.show import SHOWN_MOMENTS
from agent.trace import Step, Trace, read_traces
from roles.errors import TraceError, VideoError
from roles.types import Moment

INNER, GAP, ROW = WIDTH - 2 * PAD, 32, 38
LEFT, RIGHT = PAD + 44, WIDTH - PAD - 228  # where the film begins and ends
FRAMES, MOST_CARDS = 12, 5
TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
MARKS = {"ok": "m-6 0 4 5 8-9", "failed": "m-5-5 10 10m0-10-10 10", "skipped": "m-6 0h12"}
OTHER_MARK = "m0-7v8m0 5v1"
FROM_TRACE = "rawn from a real trace by docs/draw_demo.py"
FIXTURE = "Default model, a generated film that it has not seen; d"


def thumbnails(path: str, width_px: int, height_px: int) -> list[str]:
    """Evenly spread frames as data URIs, each what is shown where it begins; none where the film cannot be read."""
    try:
        with open_video(path) as film:
            indices = [number * film.video.frames // FRAMES for number in range(FRAMES)]
            pixels = film.read(indices, height_px, width_px).permute(0, 2, 3, 1).numpy()
    except VideoError as error:
        print(f"{error}; drawn without frames", file=sys.stderr)
        return []
    return [jpeg(frame) for frame in pixels]


def draw_question(canvas: Canvas, trace: Trace) -> None:
    """What was asked, and the options."""
    canvas.heading("Question")
    for line in wrap(trace.question, INNER, LARGE, 3, bold=True):
        canvas.text(PAD, canvas.y + LARGE, line, LARGE, font_weight=600)
        canvas.y += LARGE + 8
    canvas.y += 16
    x = PAD + 0.0
    for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", trace.options, strict=False):
        (label,) = wrap(f"({letter}) {option}", INNER - 32, BODY, 1)
        width = width_of(label, BODY) + 32
        if x + width > WIDTH - PAD:
            x, canvas.y = PAD, canvas.y + 46
        canvas.box(x, canvas.y, width, 36, rx=18, fill=PALE, stroke=LINE)
        canvas.text(x + width / 2, canvas.y + 25, label, anchor="middle")
        x += width + 12
    canvas.y += (36 if trace.options else -16) + GAP


def draw_roles(canvas: Canvas, trace: Trace) -> None:
    """A card for each step, and the base model that all of them share."""
    steps = trace.steps[:MOST_CARDS]
    device = plain((trace.run.get("model") or {}).get("device", "")).upper()
    aside = "unfinished" if trace.elapsed_s is None else f"{trace.elapsed_s:.1f} s in all"
    more = f", {len(trace.steps) - len(steps)} more steps" if len(trace.steps) > len(steps) else ""
    canvas.heading("Roles, in the order they ran", f"{aside}{f' on {device}' if device else ''}{more}")
    width = (INNER - GAP * (max(len(steps), 4) - 1)) / max(len(steps), 4)
    cards = [[(what, wrap(text, width - 32, BODY, 3)) for what, text in tell(step)] for step in steps]
    tall = 110 + max((sum(31 + 25 * len(lines) for _, lines in card) for card in cards), default=0)
    for number, (step, card) in enumerate(zip(steps, cards, strict=True)):
        draw_card(canvas, step, card, PAD + number * (width + GAP), width, tall, number)
    canvas.y += tall + 70 if steps else 0
    bare = [plain(step.call.role) for step in steps if step.usage and not step.usage.get("adapter")]
    rest = f"; the {' and the '.join(bare)} on the base itself" if bare else ""
    (label,) = wrap(f"One base model, one LoRA adapter each{rest}", INNER - 32, BODY, 1, bold=True)
    canvas.box(PAD, canvas.y, INNER, 44, fill=DARK)
    canvas.text(WIDTH / 2, canvas.y + 29, label, BODY, WHITE, "middle", font_weight=600)
    canvas.y += 44 + GAP


def draw_card(
    canvas: Canvas, step: Step, card: list[tuple[str, list[str]]], x: float, width: float, tall: float, number: int
) -> None:
    """One step: role, what it was asked and said, how it ended, and the adapter below."""
    y, middle, bottom = canvas.y, x + width / 2, canvas.y + tall
    if number:
        canvas.path(f"M{x - GAP + 5:.1f} {y + 36:.1f}h{GAP - 12}m-8-7 8 7-8 7", MUTED)
    canvas.box(x, y, width, tall, rx=12, fill=WHITE, stroke=LINE, stroke_width=1.5)
    canvas.add("circle", cx=x + 30, cy=y + 36, r=14, fill=INK)
    canvas.text(x + 30, y + 42, str(number + 1), SMALL, WHITE, "middle", font_weight=600)
    (name,) = wrap(step.call.role.capitalize(), width - 66, HEAD, 1, bold=True)
    canvas.text(x + 54, y + 44, name, HEAD, font_weight=600)
    y += 60
    for what, lines in card:
        canvas.text(x + 16, y + 20, what, SMALL, MUTED)
        for row, line in enumerate(lines):
            canvas.text(x + 16, y + 45 + 25 * row, line)
        y += 31 + 25 * len(lines)
    canvas.path(f"M{x:.1f} {bottom - 42:.1f}h{width:.1f}", stroke_width=1.5)
    canvas.path(f"M{x + 24:.1f} {bottom - 20:.1f}{MARKS.get(step.status, OTHER_MARK)}", INK, stroke_width=2.5)
    canvas.text(x + 40, bottom - 14, step.status)
    canvas.text(x + width - 16, bottom - 14, f"{step.elapsed_s:.2f} s", anchor="end")
    if step.usage:
        adapter = step.usage.get("adapter")
        style = {"fill": "#dbe9f8", "stroke": BLUE} if adapter else {"fill": WHITE, "stroke_dasharray": "6 5"}
        (label,) = wrap(f"LoRA adapter: {adapter}" if adapter else "no adapter: base itself", width - 8, SMALL, 1)
        canvas.path(f"M{middle:.1f} {bottom + 1:.1f}v68", MUTED)
        canvas.box(x, bottom + 20, width, 36, **{"stroke": MUTED, "stroke_width": 1.5, **style})
        canvas.text(middle, bottom + 44, label, SMALL, anchor="middle")


def draw_film(canvas: Canvas, trace: Trace) -> None:
    """Thumbnails over a time axis, and the candidates under it."""
    moments, video = candidates(trace), trace.video
    verified = any(moment.p_yes is not None for moment in moments)
    order = f"in the {'verifier' if verified else 'grounder'}’s order, best first; darker = higher confidence"
    canvas.heading("Film and candidate moments", order if moments else "")
    cell, top = (RIGHT - LEFT) / FRAMES, canvas.y
    tall = min(max(cell * video.height_px / max(video.width_px, 1), 40), 100)
    canvas.box(LEFT - 6, top, RIGHT - LEFT + 12, tall + 32, fill=DARK)
    for number in range(FRAMES * 4):
        x = LEFT + (number + 0.5) * cell / 4 - 4
        canvas.path(f"M{x:.1f} {top + 8:.1f}h8m-8 {tall + 16:.1f}h8", LINE, stroke_width=5, stroke_linecap="butt")
    pictures = thumbnails(video.path, round(cell * 2), round(tall * 2))
    for number, picture in enumerate(pictures):
        at = {"x": LEFT + cell * number + 1.5, "y": top + 16, "width": cell - 3, "height": tall}
        canvas.add("image", **at, preserveAspectRatio="xMidYMid slice", href=picture)
    if not pictures:
        canvas.text(RIGHT - 16, top + tall / 2 + 22, "the film was not there to show", SMALL, WHITE, "end")
    axis = top + tall + 32
    if moments:
        start, end = x_at(moments[0].span.start_s, trace), x_at(moments[0].span.end_s, trace)
        for style in ({"stroke": WHITE, "stroke_width": 6}, {"stroke": BLUE, "stroke_width": 3}):
            canvas.box(start, top + 12, max(end - start, 4), tall + 8, fill="none", **{"rx": 6, **style})
        canvas.path(f"M{start:.1f} {axis - 12:.1f}v64M{end:.1f} {axis - 12:.1f}v64", BLUE)
    tick_s = next((tick for tick in TICKS_S if video.duration_s / tick <= FRAMES), int(video.duration_s / FRAMES) + 1)
    for second in range(0, int(video.duration_s) + 1, tick_s):
        canvas.path(f"M{x_at(second, trace):.1f} {axis + 3:.1f}v8", MUTED)
        canvas.over(x_at(second, trace), axis + 31, clock(second) if second else "0 s", MUTED)
    for label, edge in (("confidence", 98), ("P(Yes)", 0)) if moments else ():
        canvas.text(WIDTH - PAD - edge, axis + 31, label if verified or edge else "", SMALL, MUTED, "end")
    canvas.y = axis + 46
    for rank, moment in enumerate(moments[:SHOWN_MOMENTS]):
        draw_moment(canvas, trace, rank, moment)
    if not moments:
        canvas.text(LEFT, canvas.y + 20, "No moments: none were looked for, or none were found.", BODY, MUTED)
        canvas.y += ROW
    canvas.y += GAP - 10


def draw_moment(canvas: Canvas, trace: Trace, rank: int, moment: Moment) -> None:
    """One candidate: its rank, a bar, and what the roles think of it."""
    y, best = canvas.y, rank == 0
    start = x_at(moment.span.start_s, trace)
    end = max(x_at(moment.span.end_s, trace), start + 4)
    canvas.path(f"M{LEFT} {y + 16:.1f}H{RIGHT}", stroke_width=1.5)
    edge = {"stroke": INK, "stroke_width": 3} if best else {"stroke": BLUE, "stroke_width": 1.5}
    canvas.box(start, y + 4, end - start, 24, fill=WHITE, rx=5)
    opacity = 0.08 + 0.92 * moment.confidence
    canvas.box(start, y + 4, end - start, 24, **{"fill": BLUE, "fill_opacity": opacity, "rx": 5, **edge})
    if best:
        canvas.add("circle", cx=PAD + 14, cy=y + 16, r=14, fill=BLUE)
        room = width_of("chosen", SMALL, bold=True) + 14
        if end + room < RIGHT:
            canvas.over(end + 12, y + 22, "chosen", anchor="start", font_weight=600)
        elif start - room > LEFT:
            canvas.over(start - 12, y + 22, "chosen", anchor="end", font_weight=600)
    weight = 600 if best else 400
    canvas.text(PAD + 14, y + 22, str(rank + 1), SMALL, WHITE if best else INK, "middle", font_weight=weight)
    canvas.text(WIDTH - PAD - 98, y + 23, f"{moment.confidence:.2f}", anchor="end")
    if moment.p_yes is not None:
        canvas.text(WIDTH - PAD, y + 23, f"{moment.p_yes:.3f}", anchor="end", font_weight=weight)
    canvas.y += ROW


def x_at(seconds: float, trace: Trace) -> float:
    """Where a time lies on the film."""
    return LEFT + (RIGHT - LEFT) * min(seconds / max(trace.video.duration_s, 0.001), 1.0)


def draw_answer(canvas: Canvas, trace: Trace) -> None:
    """What came out, and where the picture is from."""
    canvas.heading("Answer")
    moments, lines = candidates(trace), wrap(outcome(trace), INNER - 48, LARGE, 3, bold=True)
    tall = 30 + 36 * len(lines)
    canvas.box(PAD, canvas.y, INNER, tall, rx=12, fill="#eaf2fb", stroke=BLUE, stroke_width=2.5)
    for row, line in enumerate(lines):
        canvas.text(PAD + 24, canvas.y + 43 + 36 * row, line, LARGE, font_weight=600)
    aside = f"chosen moment: {between(moments[0].span)}" if moments else ""
    if len(lines) == 1 and width_of(aside, BODY) + width_of(lines[0], LARGE, bold=True) < INNER - 80:
        canvas.text(WIDTH - PAD - 24, canvas.y + 40, aside, anchor="end")
    canvas.y += tall + 36
    note = FIXTURE if trace.video.path.startswith("examples/") else "D"
    canvas.text(WIDTH / 2, canvas.y, note + FROM_TRACE, SMALL, MUTED, "middle")
    canvas.y += PAD - 14


def draw(trace: Trace) -> str:
    """The whole picture of one question, as SVG."""
    canvas = Canvas()
    for part in (draw_question, draw_roles, draw_film, draw_answer):
        part(canvas, trace)
    steps = "; ".join(f"{step.call.role}: {step.status}, {step.elapsed_s:.2f} s" for step in trace.steps)
    spans = ", ".join(between(moment.span) for moment in candidates(trace)[:SHOWN_MOMENTS]) or "none"
    description = f"Steps: {steps}. Candidate moments, best first: {spans}. Answer: {outcome(trace)}."
    return canvas.document(f"Mindreel answers: {trace.question}", description)


def main(arguments: list[str]) -> int:
    """Draws the first question of a trace file; returns the exit status."""
    if len(arguments) != 2:
        print("usage: python docs/draw_demo.py TRACE OUT.svg", file=sys.stderr)
        return 2
    try:
        traces = read_traces(arguments[0])
    except TraceError as error:
        print(error, file=sys.stderr)
        return 1
    if not traces:
        print(f"{arguments[0]}: holds no question", file=sys.stderr)
        return 1
    Path(arguments[1]).write_text(draw(traces[0]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
