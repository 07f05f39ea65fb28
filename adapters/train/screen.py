"""Work that takes long goes in, progress comes out on stderr: bars in a terminal, a line now and then elsewhere.

There is one screen at a time. Whatever runs inside `with Screen():` shares it, so that bars nest and lines do not tear
them; leaving it, also by Ctrl-C, gives the terminal back as it was. Only a run's main process shows anything.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, TextIO, TypeVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from adapters.train.text import plain

Item = TypeVar("Item")
PLAIN_EVERY_S = 30.0
WINDOW_MARKS = 60
MARK_EVERY_S = 0.5
_screens: list[Screen] = []
"""Screens that are in use, the innermost last."""


class Pace:
    """How fast something goes, over the last minute or the last sixty steps, whichever is longer.

    Args:
        done: What was done before the clock started.
        clock: Seconds from anywhere.
    """

    def __init__(self, done: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks = deque([(clock(), done)], maxlen=WINDOW_MARKS)
        self._last = self._marks[0]

    def mark(self, done: float) -> None:
        """So much is done now."""
        self._last = (self._clock(), done)
        if self._last[0] - self._marks[-1][0] >= MARK_EVERY_S:
            self._marks.append(self._last)

    def leave_out(self, seconds: float) -> None:
        """Takes a pause, such as a validation, out of the time that counts."""
        self._marks = deque(((at + seconds, done) for at, done in self._marks), maxlen=WINDOW_MARKS)
        self._last = (self._last[0] + seconds, self._last[1])

    @property
    def per_s(self) -> float | None:
        """Things per second; None as long as nothing was done."""
        (start_s, start), (end_s, end) = self._marks[0], self._last
        return (end - start) / (end_s - start_s) if end > start and end_s > start_s else None


class Bar:
    """One piece of work on a screen; made by `Screen.bar`, a context manager.

    Attributes:
        screen: Where it is shown.
        pace: How fast it goes.
    """

    def __init__(
        self, screen: Screen, what: str, total: int | None, done: int, unit: str, per_item: float, every: int | None
    ) -> None:
        self.pace = Pace(done, screen.clock)
        self.screen, self._what, self._total, self._done = screen, plain(what), total, done
        self._unit, self._per_item, self._every = unit, per_item, every
        self._details = ""
        self._began_s = self._shown_s = screen.clock()
        self._shown_done = done
        self._task: TaskID | None = None
        self._open = True
        screen.draw(self)

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self.reach(self._done + count)

    def reach(self, done: int) -> None:
        """So much is done in all."""
        self._done = done
        self.pace.mark(done)
        self.screen.draw(self)

    def tell(self, details: str) -> None:
        """What stands below the bar, or behind the numbers of a line."""
        self._details = plain(details)
        self.screen.draw(self)

    def close(self) -> None:
        """Takes the bar away and leaves one line on what was done."""
        if self._open:
            self._open = False
            self.screen.finish(self)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def label(self) -> str:
        """What it is, for lines."""
        return self._what

    def count(self) -> str:
        """How much is done of how much."""
        return f"{self._done}" if self._total is None else f"{self._done} of {self._total}"

    def speed(self) -> str:
        """How fast, and how long it will take; empty as long as nobody knows."""
        per_s = self.pace.per_s
        if per_s is None:
            return ""
        rate = per_s * self._per_item
        shown = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
        shown += f" {self._unit}/s" if self._unit else "/s"
        if self._total is not None and self._total > self._done:
            shown += f", {clock_text((self._total - self._done) / per_s)} left"
        return shown

    def line(self, closing: bool = False) -> str:
        """All of it in one line."""
        took = f"in {clock_text(self.screen.clock() - self._began_s)}" if closing else ""
        return ", ".join(filter(None, [f"{self._what}: {self.count()} {took}".rstrip(), self.speed(), self._details]))

    def put(self, bars: Progress) -> None:
        """Draws it."""
        if self._task is None:
            self._task = bars.add_task(self._what, total=self._total, count="", speed="", details="")
        bars.update(self._task, completed=self._done, count=self.count(), speed=self.speed(), details=self._details)

    def take(self, bars: Progress) -> None:
        """Takes it away."""
        if self._task is not None:
            bars.remove_task(self._task)

    def line_is_due(self) -> bool:
        """Whether it is time for another line where there are no bars."""
        now_s = self.screen.clock()
        many = self._every is not None and self._done - self._shown_done >= self._every
        if self._done in (self._shown_done, self._total) or not (many or now_s - self._shown_s >= self.screen.every_s):
            return False
        self._shown_s, self._shown_done = now_s, self._done
        return True


class Screen:
    """Where progress is shown; use it as a context manager.

    Args:
        file: Where to; None is stderr.
        enabled: Whether it shows anything; None only in the main process.
        every_s: Seconds between lines where there is no terminal.
        clock: Seconds from anywhere.
    """

    def __init__(
        self,
        file: TextIO | None = None,
        enabled: bool | None = None,
        every_s: float = PLAIN_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock, self.every_s = clock, every_s
        self._console = _Console(file=file or sys.stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._enabled = is_main_process() if enabled is None else enabled
        self._bars: Progress | None = None
        self._open: list[Bar] = []
        self._process = os.getpid()

    def bar(
        self,
        what: str,
        total: int | None = None,
        *,
        done: int = 0,
        unit: str = "",
        per_item: float = 1.0,
        every: int | None = None,
    ) -> Bar:
        """Begins a piece of work.

        Args:
            what: What it is.
            total: How many items there are, where that is known.
            done: How many were done before; they do not count for the speed.
            unit: What the speed counts.
            per_item: How many of these an item is.
            every: Items between two lines where there is no terminal; None goes by time alone.
        """
        bar = Bar(self, what, total, done, unit, per_item, every)
        self._open.append(bar)
        return bar

    def say(self, text: str) -> None:
        """One line above the bars."""
        shown = plain(text)
        self._print(shown if self._console.is_terminal else f"mindreel: {shown}")

    def draw(self, bar: Bar) -> None:
        """Shows a bar as it is now."""
        if not self._enabled or os.getpid() != self._process:
            return
        if self._console.is_terminal:
            if self._bars is None:
                self._bars = _bars(self._console)
                self._bars.start()
                atexit.register(self.close)
            bar.put(self._bars)
        elif bar.line_is_due():
            self.say(bar.line())

    def finish(self, bar: Bar) -> None:
        """Takes a bar away, with a line on what was done."""
        if bar in self._open:
            self._open.remove(bar)
        if self._bars is not None and os.getpid() == self._process:
            bar.take(self._bars)
        self.say(bar.line(closing=True))
        if not self._open:
            self._stop()

    def close(self) -> None:
        """Gives the terminal back; bars that are still open leave a line on how far they came."""
        for bar in reversed(self._open):
            bar.close()
        self._stop()

    def _stop(self) -> None:
        if self._bars is not None and os.getpid() == self._process:  # a forked worker has no thread to stop
            bars, self._bars = self._bars, None
            atexit.unregister(self.close)
            with contextlib.suppress(OSError):
                bars.stop()

    def _print(self, line: str) -> None:
        if not self._enabled or os.getpid() != self._process:
            return
        # A full or closed stderr must not cost the run; nor must a signal that came while a line was being written.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            self._console.print(Text(line))

    def __enter__(self) -> Screen:
        _screens.append(self)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()
        _screens.remove(self)


def say(text: str) -> None:
    """One line on stderr that tears no bar."""
    (_screens[-1] if _screens else Screen()).say(text)


def track(items: Iterable[Item], what: str, total: int | None = None, unit: str = "") -> Iterator[Item]:
    """Passes items on and shows how many have been.

    Args:
        items: What is worked on.
        what: What the work is.
        total: How many there are; None asks `len`.
        unit: What the speed counts.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with contextlib.ExitStack() as stack:
        screen = _screens[-1] if _screens else stack.enter_context(Screen())
        bar = stack.enter_context(screen.bar(what, total, unit=unit))
        for item in items:
            yield item
            bar.advance()


def current_screen() -> Screen | None:
    """The screen that is in use."""
    return _screens[-1] if _screens else None


def is_main_process() -> bool:
    """Whether this is the process of a run that speaks; launchers number them in RANK."""
    return os.environ.get("RANK", "0") in ("", "0")


def clock_text(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}:{minutes_left:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class _Console(Console):
    """A console that falls silent when nobody reads it any more; rich's would end the program."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class _Bars(Progress):
    """Bars, and below them a line of details for each that has some."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if task.fields.get("details"):
                yield Text(f"  {task.fields['details']}", style="dim")


def _bars(console: Console) -> Progress:
    columns: list[Any] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}", markup=False),
        TextColumn("{task.fields[speed]}", markup=False),
    ]
    return _Bars(*columns, console=console, transient=True, refresh_per_second=4)
