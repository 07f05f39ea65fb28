"""Progress on a terminal and elsewhere: what is shown, when, by whom, and that an interrupt leaves nothing behind."""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.train.progress import RichProgress
from adapters.train.screen import Pace, Screen, clock_text, current_screen, say, track

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")


def state(step: int = 0, total: int = 100, main: bool = True) -> Any:
    return SimpleNamespace(global_step=step, max_steps=total, is_world_process_zero=main)


def train(progress: RichProgress, found: Any, clock: Clock, steps: int, step_s: float = 1.0) -> None:
    for _ in range(steps):
        clock.now_s += step_s
        found.global_step += 1
        progress.on_step_end(None, found, None)
        logs = {"loss": 2.0, "lm": 1.5, "coord": 0.5, "learning_rate": 1e-4, "epoch": 9.0, "round": 0.25}
        progress.on_log(None, found, None, logs=logs)


def test_the_pace_is_that_of_the_last_marks() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    assert pace.per_s is None
    done = 100
    for step_s in [10.0] * 5 + [0.5] * 100:
        clock.now_s += step_s
        done += 1
        pace.mark(done)
    assert pace.per_s == pytest.approx(2.0)


def test_what_was_done_before_a_resume_and_pauses_do_not_count_for_the_pace() -> None:
    clock = Clock()
    pace = Pace(1000, clock)
    for number in range(1, 5):
        clock.now_s += 1.0
        pace.mark(1000 + number)
        clock.now_s += 7.0
        pace.leave_out(7.0)
    assert pace.per_s == pytest.approx(1.0)


def test_a_run_shows_steps_losses_rate_and_time_left_in_lines_where_there_is_no_terminal() -> None:
    stream, clock = io.StringIO(), Clock()
    with Screen(stream, clock=clock):
        progress, found = RichProgress(32, 2.0), state(step=20)
        progress.on_train_begin(None, found, None)
        train(progress, found, clock, 80)
        assert progress.samples_per_s == pytest.approx(32.0)
        progress.on_train_end(None, found, None)
    lines = stream.getvalue().splitlines()
    assert lines[0] == (
        "mindreel: training: 50 of 100, 32 samples/s, 0:50 left, "
        "loss 2 (lm 1.5, coord 0.5), lr 1.00e-04, epoch 0.25 of 2"
    )
    assert [line.split(",")[0].split(": ")[-1] for line in lines] == ["50 of 100", "80 of 100", "100 of 100 in 1:20"]


def test_lines_come_after_so_many_steps_where_steps_are_fast() -> None:
    stream, clock = io.StringIO(), Clock()
    with Screen(stream, clock=clock):
        progress, found = RichProgress(1), state()
        progress.on_train_begin(None, found, None)
        train(progress, found, clock, 100, step_s=0.01)
        progress.on_train_end(None, found, None)
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == [
        "mindreel: training: 50 of 100",
        "mindreel: training: 100 of 100 in 0:01",
    ]


def test_validation_and_saving_do_not_slow_the_rate_and_metrics_stay_in_a_line() -> None:
    stream, clock = io.StringIO(), Clock()
    with Screen(stream, clock=clock):
        progress, found = RichProgress(8), state()
        progress.on_train_begin(None, found, None)
        for _ in range(10):
            train(progress, found, clock, 1)
            clock.now_s += 60.0
            progress.on_evaluate(None, found, None, metrics={"eval_mIoU": 0.25, "eval_runtime": 60.0})
            clock.now_s += 5.0
            progress.on_save(None, found, None)
        assert progress.samples_per_s == pytest.approx(8.0)
    assert "mindreel: validation at step 10: mIoU 0.25\n" in stream.getvalue()


def test_a_loss_that_is_no_number_is_said_once() -> None:
    stream = io.StringIO()
    with Screen(stream):
        progress, found = RichProgress(8), state()
        progress.on_train_begin(None, found, None)
        for found.global_step in (1, 2):
            progress.on_log(None, found, None, logs={"loss": float("nan")})
    assert stream.getvalue().count("the loss is nan at step 1") == 1
    assert "step 2" not in stream.getvalue()


def test_only_the_main_process_shows_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), Clock()
    progress, found = RichProgress(8), state(main=False)
    with Screen(stream, clock=clock):
        progress.on_train_begin(None, found, None)
        train(progress, found, clock, 60)
        progress.on_evaluate(None, found, None, metrics={"eval_mIoU": 0.5})
        progress.on_train_end(None, found, None)
    monkeypatch.setenv("RANK", "1")
    with Screen(stream, clock=clock):
        say("hello")
        list(track([1, 2], "counting"))
    assert stream.getvalue() == ""


def test_tracked_items_all_come_through_and_are_counted() -> None:
    stream = io.StringIO()
    with Screen(stream):
        assert list(track([1, 2, 3], "probing")) == [1, 2, 3]
        assert list(track(iter("ab"), "of unknown number")) == ["a", "b"]
    first, second = stream.getvalue().splitlines()
    assert first.startswith("mindreel: probing: 3 of 3 in 0:00")
    assert second.startswith("mindreel: of unknown number: 2 in 0:00")


def test_track_works_without_a_screen_and_leaves_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(track(range(4), "adding")) == 6
    assert current_screen() is None
    assert "mindreel: adding: 4 of 4" in capsys.readouterr().err


def test_a_terminal_gets_nested_bars_and_its_cursor_back() -> None:
    stream = Terminal()
    with Screen(stream):
        progress, found = RichProgress(8, 1.0), state(step=3, total=9)
        progress.on_train_begin(None, found, None)
        for _ in track(range(3), "validating"):
            say("a line")
        progress.on_train_end(None, found, None)
    shown = stream.getvalue()
    assert "training" in shown
    assert "validating" in shown
    assert "3 of 9" in shown
    assert shown.count(HIDE) == shown.count(SHOW) >= 1
    assert shown.rindex(SHOW) > shown.rindex(HIDE)


def test_an_interrupt_gives_the_cursor_back_and_leaves_how_far_it_came() -> None:
    stream = Terminal()

    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    def work() -> None:
        with Screen(stream):
            progress, found = RichProgress(8), state(step=3, total=9)
            progress.on_train_begin(None, found, None)
            list(track(items(), "validating", total=5))

    with pytest.raises(KeyboardInterrupt):
        work()
    shown = stream.getvalue()
    assert shown.rindex(SHOW) > shown.rindex(HIDE)
    assert "validating: 1 of 5" in shown
    assert "training: 3 of 9" in shown
    assert current_screen() is None


def test_what_others_wrote_is_shown_without_markup_or_controls() -> None:
    for stream in (Terminal(), io.StringIO()):
        with Screen(stream):
            say("[red]film[/red]\x1b]0;title\x07\n.mp4")
            list(track([1], "[bold]\x1b[5mwork"))
        shown = stream.getvalue()
        assert "[red]film[/red]" in shown
        assert "[bold]" in shown
        assert "\x1b]0;" not in shown
        assert "\x1b[5m" not in shown


def test_a_broken_stderr_does_not_cost_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    class GoneTerminal(Gone, Terminal):
        pass

    for stream in (Gone(), GoneTerminal()):
        with Screen(stream):
            say("hello")
            assert list(track([1, 2], "counting")) == [1, 2]


def test_times_are_shown_as_on_a_clock() -> None:
    assert [clock_text(seconds) for seconds in (0, 59.6, 3599, 3600, 90061)] == [
        "0:00", "1:00", "59:59", "1:00:00", "25:01:01",
    ]  # fmt: skip
