"""The command line, in this process on a scripted model, and where a process of its own matters in one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters import embedded
from agent import build, run
from agent.errors import VideoError
from agent.show import Reporter, clean, results_only, show_description, show_json, show_result, time_code
from roles.manner import Manner
from roles.types import FilmCheck, RoleCall
from tests.fakes import ANSWER_PLAN, MOMENT_PLAN, ScriptedBackbone, fake_opener

ROOT = Path(__file__).parent.parent
Main = Callable[..., int]


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Calls the command on a video that is there, with a scripted model."""
    video = tmp_path / "sally.mp4"
    video.write_bytes(b"not looked at")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedded, "FOLDER", tmp_path / "default")

    def call(*argv: str, backbone: ScriptedBackbone | None = None, given: bool = True) -> int:
        monkeypatch.setattr(build, "open_session", fake_opener(backbone or ScriptedBackbone(), folder=tmp_path))
        before = ["--video", str(video), "--adapters", "a"] if given else []
        try:
            return run.main([*before, *argv])
        except SystemExit as end:
            return int(str(end.code))

    return call


Capture = pytest.CaptureFixture[str]


def test_a_person_sees_answer_moments_plan_and_trace(main: Main, capsys: Capture) -> None:
    assert main("--question", "Where?", "--options", "basket", "box") == 0
    assert main("--question", "Where?", "--options", "basket", "in the box") == 0
    out = capsys.readouterr().out
    assert "Answer    (B) box  [reply: B) In the box]\n" in out
    assert "Answer    (B) in the box\n" in out
    assert "1. 00:06.000 - 00:12.000  confidence 0.800  P(Yes) 0.900  P(No) 0.050" in out
    assert "00:00.000 - 00:32.000 for the answer" in out
    assert "grounder -> verifier -> answerer (made by the planner)" in out
    assert "looked for: Sally hides the marble." in out
    assert "a note on the video" in out
    assert "trace.jsonl" in out
    assert "Question" not in out


def test_progress_goes_to_stderr_a_line_for_each_step(main: Main, capsys: Capture) -> None:
    main("--question", "Where?")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "mindreel: loading the model"
    assert [line.split()[:2] for line in lines[1:]] == [
        [role, "ok"] for role in ("planner", "grounder", "verifier", "answerer")
    ]


def test_the_best_moment_is_the_answer_where_only_moments_are_asked_for(main: Main, capsys: Capture) -> None:
    assert main("--question", "When?", backbone=ScriptedBackbone(plan=MOMENT_PLAN)) == 0
    assert "Answer    00:06.000 - 00:12.000 (the best moment)" in capsys.readouterr().out


def test_fallbacks_and_missing_roles_are_in_plain_sight(main: Main, capsys: Capture) -> None:
    backbone = ScriptedBackbone(adapters=("planner", "grounder"), plan="nonsense")
    assert main("--question", "When?", backbone=backbone) == 0
    out = capsys.readouterr().out
    assert "(a fallback)" in out
    assert "Fallback  planner: the plan is not JSON" in out
    assert "Skipped   verifier: the checkpoint has no verifier" in out
    assert "Note      the checkpoint has no answerer: the base model answers" in out


def test_several_questions_are_told_apart(main: Main, capsys: Capture) -> None:
    backbone = ScriptedBackbone(plan=ANSWER_PLAN)
    assert main("--question", "One?", "--question", "Two?", backbone=backbone) == 0
    out = capsys.readouterr().out
    assert out.index("Question  One?") < out.index("Question  Two?")


def test_json_is_one_object_a_question_and_nothing_else(main: Main, capsys: Capture) -> None:
    def chatty() -> None:
        print("a library prints")

    backbone = ScriptedBackbone(failures={"planner": chatty})
    assert main("--question", "One?", "--question", "Zwei? 猫", "--json", backbone=backbone) == 0
    captured = capsys.readouterr()
    values = [json.loads(line) for line in captured.out.splitlines()]
    assert [value["question"] for value in values] == ["One?", "Zwei? 猫"]
    assert "猫" in captured.out
    assert values[0]["plan_source"] == "planner"
    assert values[0]["notes"] == ["a note on the video"]
    assert "a library prints" in captured.err


def test_a_failure_inside_gives_one_line_and_what_was_found(main: Main, capsys: Capture) -> None:
    backbone = ScriptedBackbone(failures={"answerer": RuntimeError("boom")})
    assert main("--question", "Where?", "--json", backbone=backbone) == 1
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    assert value["answer"] == {"text": None, "choice": None, "option_probs": None}
    assert value["error"] == "answerer failed: RuntimeError: boom"
    assert len(value["moments"]) == 3
    assert captured.err.splitlines()[-1] == "mindreel: error: answerer failed: RuntimeError: boom"
    assert "Traceback" not in captured.err


def test_the_stack_trace_is_shown_on_request(main: Main, capsys: Capture) -> None:
    backbone = ScriptedBackbone(failures={"answerer": RuntimeError("boom")})
    assert main("--question", "Where?", "-v", backbone=backbone) == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    assert "  attn: sdpa" in captured.err
    assert '  adapters: ["planner", "grounder", "verifier", "answerer"]' in captured.err
    assert "Answer    none: answerer failed" in captured.out


def test_bad_input_found_on_the_way_is_two(main: Main, capsys: Capture) -> None:
    backbone = ScriptedBackbone(failures={"planner": VideoError("sally.mp4: cut short")})
    assert main("--question", "Where?", "--json", backbone=backbone) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == "mindreel: error: sally.mp4: cut short"


def test_a_failure_outside_of_any_step_is_one(main: Main, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = ScriptedBackbone()
    monkeypatch.setattr(backbone, "describe", lambda: 1 // 0)
    assert main("--question", "Where?", backbone=backbone) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("mindreel: error: a failure inside: ZeroDivisionError: ")
    assert last.endswith("(-v shows where)")
    assert main("--question", "Where?", "-v", backbone=backbone) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130(main: Main, capsys: Capture) -> None:
    assert main("--question", "Where?", backbone=ScriptedBackbone(failures={"grounder": KeyboardInterrupt()})) == 130
    assert capsys.readouterr().err.splitlines()[-1].endswith("trace.jsonl holds what was done")


def test_an_interrupt_while_loading_is_130(main: Main, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = ScriptedBackbone()

    def describe() -> dict[str, object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(backbone, "describe", describe)
    assert main("--question", "Where?", backbone=backbone) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "mindreel: error: interrupted"


def test_a_trace_that_breaks_off_costs_the_exit_code_not_the_answer(
    main: Main, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.write, [3]

    def write(fd: int, data: bytes) -> int:
        left[0] -= 1
        return real(fd, data) if left[0] > 0 else 0

    monkeypatch.setattr(os, "write", write)
    code = main("--question", "Where?", "--json")
    monkeypatch.undo()
    captured = capsys.readouterr()
    assert code == 1
    assert json.loads(captured.out)["answer"]["text"] == "B) In the box"
    assert "mindreel: warning: " in captured.err
    assert "the trace is incomplete (No space left on device)" in captured.err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--question", " "], "the question is empty"),
        (["--question", "x" * 100_000], "the question has 100,000 characters; expected at most 8,000"),
        (["--question", "q", "--options", *["x"] * 27], "27 options: expected at most 26"),
        (["--question", "q", "--options", ""], "option 1 is empty"),
        (["--question", "q", "--start", "-5"], "start -5 s: expected a time from 0 s on"),
        (["--question", "q", "--start", "9", "--end", "0:05"], "start 9 s is not before end 5 s"),
        (["--question", "q", "--start", "70"], "start 70 s lies beyond the video, which is 60 s long"),
        (["--question", "q", "--start", "soon"], "'soon' is no time; expected seconds or [hh:]mm:ss"),
        (["--question", "q", "--end", "1:75"], "minutes and seconds go up to 59"),
        (["--question", "q", "--subtitles", "nowhere.srt"], "nowhere.srt: the subtitles cannot be read"),
        (["--question", "q", "--video", "nowhere.mp4"], "nowhere.mp4: no such file or folder"),
        (["--question", "q", "--video", ""], "no such file or folder"),
        (["--question", "q", "--video", "x" * 5000], "no such file or folder"),
        (["--question", "q", "--video", "https://x.org/v.mp4"], "a URL; give a file, or --allow-urls"),
        (["--question", "q", "--device", "tpu"], "'tpu': expected auto, cpu, cuda or cuda:N"),
        (["--question", "q", "--dtype", "int8"], "invalid choice: 'int8'"),
        (["--question", "q", "--unit", "0"], "'0': expected a number above 0"),
        (["--question", "q", "--unit", "x"], "'x': expected a number above 0"),
        (["--question", "q", "--min-clip", "-1"], "min_clip_s -1.0: expected 0 s or more"),
        (
            ["--question", "q", "--trace", "/dev/full"],
            "/dev/full: the trace cannot be written (No space left on device)",
        ),
        (["--question", "q", "--judge"], "unrecognized arguments: --judge"),
        ([], "the following arguments are required: --question"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_bad_input_is_two_with_one_line(
    main: Main, capsys: Capture, argv: list[str], message: str, as_json: bool
) -> None:
    assert main(*argv, *["--json"] * as_json) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("mindreel: error: ")
    assert message in last
    assert "Traceback" not in captured.err


def test_a_model_must_be_named(main: Main, capsys: Capture, tmp_path: Path) -> None:
    assert main("--video", str(tmp_path), "--question", "q", given=False) == 2
    assert "no model is named; give --adapters FOLDER, --model FOLDER, or both" in capsys.readouterr().err


def test_no_model_needs_to_be_named_where_the_default_is_there(main: Main, tmp_path: Path) -> None:
    (tmp_path / "default" / "base").mkdir(parents=True)
    (tmp_path / "default" / "base" / "config.json").write_text("{}")
    assert main("--video", str(tmp_path), "--question", "q", given=False) == 0


def test_options_compared_by_likelihood_are_shown_with_their_probabilities(main: Main, capsys: Capture) -> None:
    backbone = ScriptedBackbone(manner=Manner(style="direct", choose="likelihood"))
    assert main("--question", "Where?", "--options", "basket", "box", backbone=backbone) == 0
    out = capsys.readouterr().out
    assert "Answer    (B) box\n" in out
    assert "Options   A 0.27  B 0.73\n" in out


def test_a_strange_film_is_told_once_on_stderr_and_in_each_result(main: Main, capsys: Capture) -> None:
    check = FilmCheck(12.0, 3.0, True)
    asked = ("--question", "One?", "--question", "Two?")
    assert main(*asked, backbone=ScriptedBackbone(kind_of_film=check)) == 0
    captured = capsys.readouterr()
    assert captured.err.count("mindreel: warning: this film is not of the kind") == 1
    assert captured.out.count("Note      this film is not of the kind") == 2
    assert main(*asked, "--json", backbone=ScriptedBackbone(kind_of_film=check)) == 0
    captured = capsys.readouterr()
    assert "warning" not in captured.err
    assert [json.loads(line)["strange_film"] for line in captured.out.splitlines()] == [True, True]


def test_urls_pass_where_they_are_allowed(main: Main) -> None:
    assert main("--video", "https://x.org/v.mp4", "--allow-urls", "--question", "q") == 0


def test_flags_reach_the_session(main: Main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    opener = fake_opener(ScriptedBackbone(), folder=tmp_path)
    subtitles = tmp_path / "s.srt"
    subtitles.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    argv = ["--video", str(tmp_path), "--model", "m", "--question", "q", "--subtitles", str(subtitles)]
    argv += ["--start", "1", "--end", "0:00:30.5", "--plan", "ground", "--device", "cuda:1", "--dtype", "bfloat16"]
    argv += ["--attn", "sdpa", "--seed", "3", "--trace", str(tmp_path / "t"), "--frame-rate", "2", "--own-prompts"]
    argv += ["--step-timeout", "60", "--min-clip", "8", "--unit", "0.1"]

    def open_session(options: Any, **more: Any) -> Any:
        seen.append(options)
        return opener(options, **more)

    monkeypatch.setattr(build, "open_session", open_session)
    assert run.main(argv) == 0
    (options,) = seen
    settings = options.settings
    assert (options.model, options.adapters, options.device, options.dtype) == ("m", None, "cuda:1", "bfloat16")
    assert (options.attn, options.frame_rate, options.own_prompts, options.argv) == ("sdpa", 2.0, True, tuple(argv))
    assert (options.start_s, options.end_s, options.trace) == (1.0, 30.5, str(tmp_path / "t"))
    assert (settings.plan, settings.unit_s, settings.min_clip_s, settings.seed) == ("ground", 0.1, 8.0, 3)
    assert settings.step_timeout_s == 60.0


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90.0), ("1:30", 90.0), ("1:02:03.5", 3723.5), ("0:00", 0.0), ("90.", 90.0), ("75:00", 4500.0)],
)
def test_times_are_read(text: str, value: float) -> None:
    assert run.seconds(text) == value


def test_time_codes_show_hours_only_where_there_are_any() -> None:
    assert [time_code(s) for s in (0, 59.9996, 61.5, 3723.25)] == ["00:00.000", "01:00.000", "01:01.500", "1:02:03.250"]


def test_no_text_can_steer_the_terminal(main: Main, capsys: Capture) -> None:
    evil = "\x1b[31mred\x07 \u202etfel [bold]x[/bold]"
    assert main("--question", evil, "--question", "b", backbone=ScriptedBackbone(answer=evil + "\nline two")) == 0
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "[bold]x[/bold]" in captured.out
    assert "line two" in captured.out
    assert main("--video", "\x1b]0;title\x07", "--question", "q") == 2
    assert "\x1b" not in capsys.readouterr().err
    assert clean("a\nb\x9bc\udcff") == "a bc\ufffd"


def test_names_that_cannot_be_encoded_are_escaped_in_json() -> None:
    from agent.agent import Agent
    from tests.fakes import VIDEO

    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8")
    show_json(Agent(ScriptedBackbone()).ask(replace(VIDEO, path="odd \udcff.mp4"), "q"), out)
    assert json.loads(raw.getvalue())["video"]["path"] == "odd \udcff.mp4"


def test_a_question_that_is_no_text_is_refused(main: Main, capsys: Capture) -> None:
    assert main("--question", "odd \udcff", "--json") == 2
    assert "the question is not UTF-8 text" in capsys.readouterr().err
    assert main("--question", "\u200b\u200d \ufeff") == 2
    assert "the question is empty" in capsys.readouterr().err


def test_json_fits_a_narrow_encoding() -> None:
    from agent.agent import Agent
    from tests.fakes import VIDEO

    raw = io.BytesIO()
    narrow = io.TextIOWrapper(raw, encoding="ascii")
    show_json(Agent(ScriptedBackbone()).ask(VIDEO, "猫?"), narrow)
    assert json.loads(raw.getvalue())["question"] == "猫?"


def test_a_result_without_anything_says_none() -> None:
    from agent.agent import Agent
    from tests.fakes import VIDEO

    out = io.StringIO()
    result = Agent(ScriptedBackbone(plan=MOMENT_PLAN)).ask(VIDEO, "When?")
    from dataclasses import replace

    show_result(replace(result, moments=()), out)
    assert "Answer    none" in out.getvalue()
    show_description({"device": "cpu"}, out)
    assert "  device: cpu" in out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    reporter = Reporter(file)
    reporter.say("loading [bold]the model")
    reporter.started(RoleCall("g", "grounder", "q"))
    time.sleep(0.15)
    reporter.rest()
    reporter.rest()
    assert "grounder" in file.getvalue()
    assert "0:00:00" in file.getvalue()
    assert "loading [bold]the model" in file.getvalue()


def test_results_only_leaves_stdout_as_it_was(capsys: Capture) -> None:
    before = sys.stdout
    with results_only(True) as out:
        print("stray")
        out.write("result\n")
    assert sys.stdout is before
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("result\n", "stray\n")


NOISY = """
import os, sys
from pathlib import Path
from agent import build, run
from tests.fakes import ScriptedBackbone, fake_opener

noise = lambda: (os.write(1, b"from C code\\n"), print("from python"))
build.open_session = fake_opener(ScriptedBackbone(failures={"planner": noise}), folder=Path(sys.argv[1]))
sys.exit(run.main(["--video", ".", "--adapters", "a", "--question", "Why? \\u732b", *sys.argv[2:]]))
"""


def test_stdout_holds_only_results_even_from_c_code(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NOISY, str(tmp_path), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout)["question"] == "Why? 猫"
    assert b"from C code" in done.stderr
    assert b"from python" in done.stderr


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_odd_encodings_never_crash(tmp_path: Path, extra: list[str]) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", NOISY, str(tmp_path), *extra], cwd=ROOT, capture_output=True, env=env)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("extra", ["", "--json"])
def test_a_reader_that_goes_away_is_no_stack_trace(tmp_path: Path, extra: str) -> None:
    script = tmp_path / "noisy.py"
    script.write_text(NOISY)
    command = f"{sys.executable} {script} {tmp_path} {extra} | true"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, env=env)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_help_is_quick_and_light() -> None:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "agent.run", "--help"], cwd=ROOT, capture_output=True, check=True, text=True
        )
        took.append(time.perf_counter() - began)
    assert min(took) < 0.5
    assert "--question" in done.stdout
    heavy = "import agent, agent.run, sys; print({'torch', 'networkx', 'rich', 'numpy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", heavy], cwd=ROOT) == b"set()\n"
