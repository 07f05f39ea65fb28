"""Traces go in, trees for a terminal come out; where the output is no terminal, plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from agent.show import STYLES, clean, console, span_codes, time_code
from agent.trace import Step, Trace
from agent.viewer.choice import chosen
from agent.viewer.detail import calls_of
from agent.viewer.evaluation import RIGHT_IOU, Truth
from agent.viewer.files import Index
from agent.viewer.lanes import frames_of
from agent.viewer.summary import LETTERS, Summary, answer_of, chosen_at
from roles.errors import TraceError
from roles.types import Moment

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

MOMENTS = 5
MAX_TEXT = 300
"""Characters of a reply or a reason that are shown; the page shows all of it."""
WIDE_CHARS = 2_000
STATUS = {**STYLES, "running": "cyan", "broken": "red", "not run": "dim"}


def show_text(index: Index, question: int | None, file: TextIO) -> int:
    """Prints a tree per question.

    Args:
        index: The traces.
        question: Number in the file, from 1; None shows all.
        file: Where to.

    Returns:
        The exit code: 2 where a file could not be read to its end, after what could be.

    Raises:
        InputError: There is nothing to show.
    """
    lines = console(file)
    if not lines.is_terminal:
        lines.width = WIDE_CHARS  # a pipe gets long lines whole; in a terminal they are folded beside their branch
    shown = 0
    for trace_file, number, trace in chosen(index, question):
        summary = trace_file.summaries[number]
        where = f"{trace_file.name}, question {number + 1} of {len(trace_file.summaries)}"
        if shown:
            lines.print()
        drawn = tree(trace, summary, index.truth(trace_file, number), where)
        lines.print(drawn, soft_wrap=False)
        shown += 1
    problems = [one["message"] for one in index.problems()]
    if problems:
        raise TraceError("; ".join(problems[:5]) + ("" if len(problems) <= 5 else f"; and {len(problems) - 5} more"))
    if not shown:
        raise TraceError(f"{index.title}: no question was asked in it; nothing can be shown")
    return 0


def tree(trace: Trace, summary: Summary, truth: Truth | None, where: str) -> Tree:
    """One question as a tree.

    Args:
        trace: The question.
        summary: What the list says of it.
        truth: What its evaluation knows.
        where: The file and the number, for the first line.
    """
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(_line(where, style="dim"), highlight=False)
    head = root.add(Text(_short(trace.question), style="bold"))
    took = "" if trace.elapsed_s is None else f"  {trace.elapsed_s:.2f} s"
    head.add(Text(summary.status, style=STATUS.get(summary.status, "")).append(took, style=""))
    if summary.problem:
        head.add(_line("Problem", summary.problem, "red"))
    video = trace.video
    about = f"{video.path}  {time_code(video.duration_s)}, {video.width_px}x{video.height_px}, {video.fps:g} frames/s"
    head.add(_line("Video", about))
    if trace.part is not None:
        head.add(_line("Part", span_codes(trace.part)))
    _options(head, trace, truth)
    plan = "none was made" if trace.plan is None else f"made by: {trace.plan.source}"
    planned = head.add(_line("Plan", plan))
    steps = {step.id: step for step in trace.steps}
    for id_, call in calls_of(trace).items():
        step = steps.get(id_)
        if step is None:
            line = Text(f"{clean(call.role):<10}").append("not run", style="dim")
            planned.add(line)
        else:
            _step(planned, step)
    if trace.moments:
        moments = head.add(_line("Moments"))
        for rank, moment in enumerate(trace.moments[:MOMENTS], start=1):
            moments.add(_line(f"{rank}.", _moment(moment)))
    if trace.clip is not None:
        head.add(_line("Watched", f"{span_codes(trace.clip)} for the answer"))
    if truth is not None:
        _truth(head, trace, truth)
    if trace.error is not None:
        head.add(_line("Error", trace.error, "red"))
    said = answer_of(trace)
    head.add(_line("Answer", "none" if said is None else said, "bold" if said else "dim"))
    for note in trace.notes:
        head.add(_line("Note", note))
    return root


def _options(head: Tree, trace: Trace, truth: Truth | None) -> None:
    if not trace.options:
        return
    options = head.add(_line("Options"))
    shares = (trace.answer.option_probs if trace.answer else None) or ()
    for at, option in enumerate(trace.options):
        marks = ["chosen"] if at == chosen_at(trace) else []
        if truth is not None and truth.option_right(at):
            marks.append("right")
        share = f"  {shares[at]:.3f}" if at < len(shares) else ""
        letter = LETTERS[at] if at < len(LETTERS) else str(at + 1)
        options.add(_line(f"{letter}.", f"{option}{share}{'  <- ' if marks else ''}{' and '.join(marks)}"))


def _step(planned: Tree, step: Step) -> None:
    from rich.text import Text

    line = Text(f"{clean(step.call.role):<10}")
    line.append(f"{clean(step.status):<9}", style=STATUS.get(step.status, ""))
    line.append(f"{step.elapsed_s:8.2f} s" if step.status not in ("skipped", "running") else "")
    usage = step.usage or {}
    about = []
    if usage:
        about = [f"{usage.get('adapter') or 'base'} adapter", f"{len(frames_of(step))} frames"]
        about.append(f"{usage.get('input_tokens', 0)} tokens in, {usage.get('output_tokens', 0)} out")
    if step.peak_mem_bytes:
        about.append(f"{step.peak_mem_bytes / 2**30:.2f} GiB at most")
    line.append(f"  {clean(', '.join(about))}" if about else "", style="dim")
    branch = planned.add(line)
    for label, text, style in (
        ("asked", step.call.query, ""),
        ("reply", step.raw, ""),
        ("reason", step.reason, "yellow"),
        ("error", step.error, "red"),
    ):
        if text:
            branch.add(_line(label, str(text), style))
    for note in step.notes:
        branch.add(_line("note", note))


def _truth(head: Tree, trace: Trace, truth: Truth) -> None:
    right = {True: "right", False: "wrong", None: "not known"}
    known = head.add(_line("Item", truth.key))
    known.add(_line("Answer", right[truth.right(trace)]))
    for span in truth.spans:
        known.add(_line("True", span_codes(span)))
    overlap = truth.iou(trace)
    if overlap is not None:
        enough = "right" if overlap >= RIGHT_IOU else "wrong"
        known.add(_line("Moment", f"{enough} (IoU {overlap:.3f} with a true one)"))


def _moment(moment: Moment) -> str:
    text = f"{span_codes(moment.span)}  confidence {moment.confidence:.3f}"
    if moment.p_yes is not None and moment.p_no is not None:
        text += f"  P(Yes) {moment.p_yes:.3f}  P(No) {moment.p_no:.3f}"
    return text


def _line(label: str, text: str = "", style: str = "") -> Text:
    from rich.text import Text

    line = Text(_short(label), style="bold" if text else style)
    return line.append(f"  {_short(text)}", style=style or "not bold") if text else line


def _short(text: object) -> str:
    plain = clean(text)
    return plain if len(plain) <= MAX_TEXT else f"{plain[: MAX_TEXT - 3]}..."
