"""Steps and results go in, lines for a person or for a program come out.

Whatever a user, a file or a model wrote is shown without control characters, so that no text can steer the terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

from agent.encode import dumps, to_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Spinner
    from rich.text import Text

    from agent.result import Result
    from agent.trace import Step
    from roles.types import RoleCall, Span

SHOWN_MOMENTS = 5
STYLES = {"ok": "green", "fallback": "yellow", "failed": "red", "skipped": "dim"}
MAKERS = {"planner": "made by the planner", "fallback": "a fallback", "forced": "forced"}


def clean(text: object, keep_lines: bool = False) -> str:
    """Text that is safe to show: no terminal controls, no text-direction overrides, no broken characters."""
    kept = []
    for char in str(text):
        if char in "\n\t":
            kept.append(char if keep_lines else " ")
        elif unicodedata.category(char) == "Cs":
            kept.append("\ufffd")
        elif unicodedata.category(char) != "Cc" and not ("\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069"):
            kept.append(char)
    return "".join(kept)


def time_code(seconds: float) -> str:
    """mm:ss.mmm, with hours in front where there are any."""
    millis = round(seconds * 1000)
    minutes, rest = divmod(millis, 60_000)
    hours, minutes_left = divmod(minutes, 60)
    tail = f"{rest // 1000:02d}.{rest % 1000:03d}"
    return f"{hours}:{minutes_left:02d}:{tail}" if hours else f"{minutes:02d}:{tail}"


def span_codes(span: Span) -> str:
    """Both ends of a span as time codes."""
    return f"{time_code(span.start_s)} - {time_code(span.end_s)}"


def console(file: TextIO) -> Console:
    """A rich console that prints text as it is: no markup, no highlighting, no wrapping."""
    from rich.console import Console

    return Console(file=file, markup=False, highlight=False, emoji=False, soft_wrap=True)


class Reporter:
    """Shows on stderr what goes on: a spinner with a clock where that is a terminal, and a line for each step."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._console = console(file or sys.stderr)
        self._spinner: Spinner | None = None

    def say(self, message: str) -> None:
        """Shows what the program is busy with before the first step."""
        if self._console.is_terminal:
            self._spin(clean(message))
        else:
            self._print(f"mindreel: {clean(message)}")

    def started(self, call: RoleCall) -> None:
        """A step begins."""
        self._spin(clean(call.role))

    def finished(self, step: Step) -> None:
        """A step has ended."""
        from rich.text import Text

        self.rest()
        line = Text(f"  {clean(step.call.role):<10}")
        line.append(f"{step.status:<9}", style=STYLES.get(step.status, ""))
        line.append(f"{step.elapsed_s:7.2f} s")
        why = step.reason or step.error
        if why:
            line.append(f"  {clean(why)}", style="dim")
        self._print(line)

    def _print(self, line: Text | str) -> None:
        with contextlib.suppress(OSError):  # progress that nobody can see must not cost the answer
            self._console.print(line)

    def rest(self) -> None:
        """Takes the spinner off the screen."""
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def _spin(self, label: str) -> None:
        self.rest()
        if self._console.is_terminal:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
            self._spinner = Progress(*columns, console=self._console, transient=True)
            self._spinner.add_task(label)
            self._spinner.start()


def show_description(description: Mapping[str, object], file: TextIO) -> None:
    """Shows what is loaded, a line for each fact."""
    lines = console(file)
    for key, value in description.items():
        plain = to_json(value)
        lines.print(f"  {clean(key)}: {clean(plain if isinstance(plain, str) else dumps(plain))}")


def show_json(result: Result, file: TextIO) -> None:
    """Prints one result as one line of JSON, escaped as far as the stream's encoding asks for it."""
    import json

    values = result.to_json()
    line = dumps(values)
    try:
        line.encode(file.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        line = json.dumps(to_json(values))
    file.write(line + "\n")
    file.flush()


def show_result(result: Result, file: TextIO, title: bool = False) -> None:
    """Shows one result to a person.

    Args:
        result: What was found.
        file: Where to.
        title: Whether to repeat the question first.
    """
    from rich.text import Text

    lines = console(file)

    def line(label: str, text: str, style: str = "") -> None:
        lines.print(Text(f"{label:<10}", style="bold").append(text, style=style))

    if title:
        line("Question", clean(result.question))
    line("Answer", _answer(result), "bold" if result.error is None else "red")
    if result.answer.option_probs is not None:
        letters = (f"{chr(ord('A') + at)} {share:.2f}" for at, share in enumerate(result.answer.option_probs))
        line("Options", "  ".join(letters))
    for rank, moment in enumerate(result.moments[:SHOWN_MOMENTS], start=1):
        text = f"{rank}. {span_codes(moment.span)}  confidence {moment.confidence:.3f}"
        if moment.p_yes is not None and moment.p_no is not None:
            text += f"  P(Yes) {moment.p_yes:.3f}  P(No) {moment.p_no:.3f}"
        line("Moments" if rank == 1 else "", text)
    if result.clip is not None:
        line("Watched", f"{span_codes(result.clip)} for the answer")
    roles = " -> ".join(clean(call.role) for call in result.plan.calls) or "none"
    line("Plan", f"{roles} ({MAKERS.get(result.plan.source, clean(result.plan.source))})")
    wanted = next((call.query for call in result.plan.calls if call.role == "grounder"), result.question)
    if wanted != result.question:
        line("", f"looked for: {clean(wanted)}")
    used = {"planner"} | {call.role for call in result.plan.calls}
    for step in result.steps:
        if step.status == "fallback" or (step.status == "skipped" and step.call.role in used):
            line(step.status.capitalize(), f"{clean(step.call.role)}: {clean(step.reason)}", STYLES[step.status])
    for note in result.notes:
        line("Note", clean(note))
    if result.trace is not None:
        line("Trace", clean(result.trace))


def _answer(result: Result) -> str:
    if result.error is not None:
        return f"none: {clean(result.error)}"
    if result.answer.text is None:
        return f"{span_codes(result.moments[0].span)} (the best moment)" if result.moments else "none"
    text = clean(result.answer.text, keep_lines=True).strip()
    if result.answer.choice is None:
        return text
    chosen = clean(result.options[ord(result.answer.choice) - ord("A")])
    shown = f"({result.answer.choice}) {chosen}"
    if result.answer.option_probs is not None:  # no reply was written
        return shown
    repeats = text.strip("().").casefold() in (shown[1:].casefold(), result.answer.choice.casefold())
    return shown if repeats else f"{shown}  [reply: {text}]"


@contextlib.contextmanager
def results_only(guarded: bool) -> Iterator[TextIO]:
    """Where results go. Guarded, everything else that is written to stdout, also from C code, goes to stderr."""
    out = sys.stdout
    if not guarded:
        yield out
        return
    out.flush()
    saved: int | None = None
    try:
        if out.fileno() == 1:
            saved = os.dup(1)
            os.dup2(2, 1)
    except (OSError, ValueError):  # a stand-in without a descriptor, or no stderr: the redirect below must do
        pass
    results = out if saved is None else os.fdopen(os.dup(saved), "w", encoding=out.encoding, newline="\n")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield results
    finally:
        if saved is not None:
            os.dup2(saved, 1)
            os.close(saved)
            with contextlib.suppress(BrokenPipeError):
                results.close()
