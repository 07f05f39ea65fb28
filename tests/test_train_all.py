"""One command for all roles: its settings, which stages it starts with what, and what it makes of their ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.train import all as every
from adapters.train.all import Job, StageError, arguments, check, mined_from, read_settings, run
from adapters.train.config import ConfigError, parse
from adapters.train.grounder import GrounderConfig
from adapters.train.verifier import VerifierConfig
from roles.errors import InputError

FILMS = Path(__file__).parent / "data" / "oracle" / "videos"
ORDER = ("planner", "grounder", "verifier", "answerer")


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def example(**more: Any) -> dict[str, Any]:
    return {"video": str(FILMS / "v4.mp4"), "question": "Why?", **more}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("base", write(tmp_path / "train.jsonl", example()), tmp_path / "out")


Started = list[tuple[str, dict[str, str]]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, job: Job) -> Started:
    """Stages that were started, in order, with what they were told; they do what they would leave behind."""
    stages: Started = []

    def start(_job: Job, module: str, words: Sequence[str]) -> None:
        said = dict(word.removeprefix("--").partition("=")[::2] for word in words)
        stages.append((module.rpartition(".")[2], said))
        if module.endswith("grounder"):
            weights = job.out / "grounder" / "adapter_model.safetensors"
            weights.parent.mkdir(parents=True, exist_ok=True)
            weights.write_bytes(said.get("seed", "0").encode())
        if module.endswith("mine"):
            Path(said["out"]).parent.mkdir(parents=True, exist_ok=True)
            Path(said["out"]).write_text("mined\n", encoding="utf-8")

    monkeypatch.setattr(every, "_start", start)
    return stages


def names(started: Started) -> list[str]:
    return [name for name, _ in started]


# --- settings -----------------------------------------------------------------------------------------------------


def test_settings_come_from_a_file_and_from_the_command_which_wins(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "all:\n  epochs: 3\n  lora-targets: [q_proj, v_proj]\n  val_limit: null\n"
        "grounder:\n  epochs: 5\n  drop_path: 0.2\n  features: my films/features\n",
        encoding="utf-8",
    )
    given = ["batch=8", "grounder.epochs=7", "answerer.style=direct", "verifier.learning-rate=1e-5", "all.seed=3"]
    assert read_settings(path, given) == {
        "all": {"epochs": "3", "lora_targets": "q_proj v_proj", "val_limit": "none", "batch": "8", "seed": "3"},
        "grounder": {"epochs": "7", "drop_path": "0.2", "features": "my films/features"},
        "answerer": {"style": "direct"},
        "verifier": {"learning_rate": "1e-5"},
    }
    assert read_settings(None, []) == {}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["epochs"], "--set 'epochs': expected NAME=VALUE or ROLE.NAME=VALUE"),
        (["grander.epochs=3"], "settings for 'grander': expected all, planner, grounder, verifier, answerer"),
        (["epoch=3"], "unknown setting 'epoch' for all; did you mean epochs?"),
        (["drop_path=0"], "unknown setting 'drop_path' for all"),
        (["planner.drop_path=0"], "unknown setting 'drop_path' for planner"),
        (["model=x"], "setting 'model': say --model to this command instead"),
        (["grounder.out=x"], "setting 'out': say --out to this command instead"),
        (["fresh=true"], "setting 'fresh': say --fresh to this command instead"),
        (["=3"], "unknown setting '' for all"),
    ],
)
def test_settings_that_nobody_knows_are_refused(given: list[str], says: str) -> None:
    with pytest.raises(InputError) as raised:
        read_settings(None, given)
    assert str(raised.value) == says


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("all: 3\n", "'all' holds no settings; expected sections all, planner, grounder, verifier, answerer"),
        ("- 3\n", "expected lines such as"),
        ("all: [\n", "no YAML that can be read"),
        ("epochs: 3\n", "'epochs' holds no settings"),
        ("everyone:\n  epochs: 3\n", "settings for 'everyone'"),
    ],
)
def test_a_settings_file_that_cannot_be_meant_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_settings(path, [])


def test_a_settings_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.yaml: cannot be read \(No such file"):
        read_settings(tmp_path / "no.yaml", [])


def test_wrong_values_of_any_role_are_refused_before_the_first_one_is_trained(job: Job, started: Started) -> None:
    settings = {"all": {"epochs": "many"}, "verifier": {"batch": "0"}, "answerer": {"jitter": "-1"}}
    with pytest.raises(ConfigError) as raised:
        run(Job(job.model, job.data, job.out, settings=settings))
    assert not started
    assert len(raised.value.problems) == 3
    said = str(raised.value)
    assert "--epochs many: expected a number above 0 (for planner, grounder, verifier, answerer)" in said
    assert "(for verifier)" in said
    assert "--jitter -1: " in said


def test_settings_that_need_validation_examples_are_refused_without_any(job: Job) -> None:
    settings = {"all": {"eval_every": "5"}}
    with pytest.raises(ConfigError, match="eval_every 5: expected val as well"):
        check(Job(job.model, job.data, job.out, settings=settings))
    check(Job(job.model, job.data, job.out, val=job.data, settings=settings))


def test_a_role_reads_its_settings_as_they_were_meant(job: Job) -> None:
    settings = {
        "all": {"lora_targets": "q_proj v_proj", "betas": "0.8 0.9", "features": "my films/f", "epochs": "3"},
        "grounder": {"drop_path": "0", "epochs": "1e1", "report_to": "none"},
        "verifier": {"seed": "5"},
    }
    told = Job("-odd base", job.data, job.out, settings=settings, fresh=True)
    grounder = parse(GrounderConfig, arguments(told, "grounder"), "x", "")
    assert grounder.lora_targets == ("q_proj", "v_proj")
    assert grounder.betas == (0.8, 0.9)
    assert grounder.features == Path("my films/f")
    assert (grounder.epochs, grounder.drop_path, grounder.report_to) == (10.0, 0.0, ())
    assert (grounder.model, grounder.data, grounder.out, grounder.val) == ("-odd base", job.data, job.out, None)
    assert grounder.fresh
    verifier = parse(VerifierConfig, arguments(told, "verifier"), "x", "")
    assert (verifier.data, verifier.seed) == (mined_from(told, job.data), 5)


# --- stages -------------------------------------------------------------------------------------------------------


def test_roles_are_trained_in_order_the_verifier_on_what_was_mined(job: Job, started: Started) -> None:
    val = write(job.data.with_name("val.jsonl"), example())
    run(Job(job.model, job.data, job.out, val=val, settings={"all": {"max_broken": "0.5", "device": "cpu"}}))
    assert names(started) == ["planner", "grounder", "mine", "mine", "verifier", "answerer"]
    assert [said["data"] for _, said in started[:2]] == [str(job.data)] * 2
    mined = [said["out"] for name, said in started if name == "mine"]
    assert [said["data"] for name, said in started if name == "mine"] == [str(job.data), str(val)]
    assert [started[4][1][name] for name in ("data", "val")] == mined
    assert len(set(mined)) == 2
    assert started[2][1]["max_broken".replace("_", "-")] == "0.5"
    assert {said["device"] for _, said in started} == {"cpu"}


def test_only_the_roles_asked_for_are_trained(job: Job, started: Started) -> None:
    run(Job(job.model, job.data, job.out, roles=("planner", "answerer")))
    assert names(started) == ["planner", "answerer"]


def test_mining_is_not_repeated_for_the_same_grounder_and_data(job: Job, started: Started) -> None:
    run(job)
    started.clear()
    run(job)
    assert names(started) == list(ORDER)


@pytest.mark.parametrize("change", ["data", "grounder", "model", "mined", "older data"])
def test_mining_is_repeated_where_anything_that_decides_it_is_new(job: Job, started: Started, change: str) -> None:
    run(job)
    started.clear()
    again = job
    if change in ("data", "older data"):
        write(job.data, example(question="Another?"))
        if change == "older data":
            os.utime(job.data, (0, 0))
    elif change == "grounder":
        again = Job(job.model, job.data, job.out, settings={"grounder": {"seed": "9"}})
    elif change == "model":
        again = Job("another", job.data, job.out)
    else:
        mined_from(job, job.data).unlink()
    run(again)
    assert names(started) == ["planner", "grounder", "mine", "verifier", "answerer"]


def test_mining_that_failed_is_repeated(job: Job, started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = every._start

    def fail(job: Job, module: str, words: Sequence[str]) -> None:
        fine(job, module, words)
        if module.endswith("mine"):
            raise StageError("mine", 2)

    monkeypatch.setattr(every, "_start", fail)
    with pytest.raises(StageError, match=r"mine failed \(see above\); mend it and run the same command"):
        run(job)
    assert names(started) == ["planner", "grounder", "mine"]
    monkeypatch.setattr(every, "_start", fine)
    started.clear()
    run(job)
    assert names(started) == ["planner", "grounder", "mine", "verifier", "answerer"]


def test_fresh_reaches_every_role(job: Job, started: Started) -> None:
    run(Job(job.model, job.data, job.out, fresh=True))
    assert [("fresh" in said) for _, said in started] == [True, True, False, True, True]


# --- processes and exit codes -------------------------------------------------------------------------------------

Script = Callable[[str], None]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    """Replaces what is started by a line of Python."""
    real = subprocess.Popen

    def replace(code: str) -> None:
        def popen(command: Sequence[str], **options: Any) -> Any:
            if command[:2] != [sys.executable, "-m"]:  # a library's own
                return real(command, **options)
            (tmp_path / "commands").open("a").write(json.dumps(list(command)) + "\n")
            return real([sys.executable, "-c", code], **options)

        monkeypatch.setattr(every.subprocess, "Popen", popen)

    return replace


def commands(tmp_path: Path) -> list[list[str]]:
    return [json.loads(line) for line in (tmp_path / "commands").read_text().splitlines()]


def main(job: Job, *more: str) -> int:
    return every.main(["--model", job.model, "--data", str(job.data), "--out", str(job.out), *more])


@pytest.mark.parametrize(("code", "exits"), [(2, 2), (1, 1), (3, 3), (-9, 1)])
def test_a_stage_that_fails_ends_the_command_with_its_exit_code(
    job: Job, script: Script, tmp_path: Path, capfd: pytest.CaptureFixture[str], code: int, exits: int
) -> None:
    script(f"import os, sys\nif {code} < 0: os.kill(os.getpid(), {-code})\nsys.exit({code})")
    assert main(job) == exits
    assert len(commands(tmp_path)) == 1
    said = capfd.readouterr().err.splitlines()
    assert said[0] == "mindreel: planner"
    assert said[1].startswith("mindreel: error: planner failed (see above); mend it and run the same command")


def test_a_stage_that_was_stopped_ends_the_command_without_an_error(
    job: Job, script: Script, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script("import sys; sys.exit(130)")
    assert main(job) == 130
    assert len(commands(tmp_path)) == 1
    assert capfd.readouterr().err.splitlines()[1:] == ["mindreel: stopped; the same command goes on where it was"]


PATIENT = """
import signal, sys, time
def stop(number, frame):
    time.sleep(0.8)  # finishes its step, writes a checkpoint
    open({done!r}, "w").write(signal.Signals(number).name)
    sys.exit(130)
signal.signal(signal.{listens}, stop)
open({ready!r}, "w").close()
time.sleep(30)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stage_is_given_the_time_to_stop_in_good_order(job: Job, script: Script, tmp_path: Path, name: str) -> None:
    ready, done = tmp_path / "ready", tmp_path / "done"
    script(PATIENT.format(ready=str(ready), done=str(done), listens=name))

    def press() -> None:
        while not ready.exists():
            time.sleep(0.02)
        # A terminal tells the whole group of Ctrl-C; a cluster may tell the first process alone.
        if name == "SIGINT":
            child = int(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()[-1])
            os.kill(child, signal.SIGINT)
        os.kill(os.getpid(), signal.Signals[name])

    thread = threading.Thread(target=press)
    thread.start()
    before = signal.getsignal(signal.SIGTERM)
    code = main(job)
    thread.join()
    assert code == 130
    assert done.read_text() == name
    assert len(commands(tmp_path)) == 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_every_stage_is_started_with_this_python_and_the_agent_is_asked_at_the_end(
    job: Job, script: Script, tmp_path: Path
) -> None:
    script("pass")
    write(job.data, example(question="-first?"), example(question="Which?", options=["a b", "c"], answer="c"))
    assert main(job, "--roles", "answerer", "planner", "--set", "device=cpu") == 0
    planner, answerer, agent = commands(tmp_path)
    assert planner[:3] == [sys.executable, "-m", "adapters.train.planner"]
    assert answerer[2] == "adapters.train.answerer"
    assert agent[:3] == [sys.executable, "-m", "agent.run"]
    assert "--question=Which?" in agent
    assert agent[agent.index("--options") + 1 :][:2] == ["a b", "c"]
    assert f"--adapters={job.out}" in agent
    assert "--device=cpu" in agent


def test_the_agents_exit_code_is_the_commands(job: Job, script: Script) -> None:
    script("import sys; sys.exit(1 if 'x' else 0)")
    assert every.ask(job, every.read_examples(job.data)) == 1


def test_several_processes_go_through_accelerate(job: Job, script: Script, tmp_path: Path) -> None:
    script("pass")
    main(job, "--roles", "planner", "--processes", "3")
    main(job, "--roles", "planner", "--processes", "2", "--set", "device=cpu")
    first, _, second, _ = commands(tmp_path)
    assert first[1:4] == ["-m", "accelerate.commands.launch", "--multi_gpu"]
    for words, count in ((first, "3"), (second, "2")):
        at = words.index("--num_processes")
        assert words[at + 1 : at + 4] == [count, "-m", "adapters.train.planner"]


def test_the_agent_is_asked_about_a_video_that_opens(job: Job, script: Script, tmp_path: Path) -> None:
    script("pass")
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    rows = [
        example(video="bad.mp4", question="bad", options=["a", "b"]),
        example(question="dashes", options=["-a", "b"]),
        example(question="plain"),
    ]
    write(job.data, *rows)
    assert every.ask(job, every.read_examples(job.data)) == 0
    [agent] = commands(tmp_path)
    assert "--question=plain" in agent
    assert "--options" not in agent


def test_no_video_that_opens_is_said_and_no_failure(
    job: Job, script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script("pass")
    write(job.data, example(video="gone.mp4"))
    assert every.ask(job, every.read_examples(job.data)) == 0
    assert not (tmp_path / "commands").exists()
    assert "trained; no question of the data can be asked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--processes", "0"], "argument --processes: '0': expected a whole number from 1 on"),
        (["--processes", "two"], "argument --processes"),
        (["--roles", "judge"], "argument --roles: invalid choice: 'judge'"),
        (["--roles"], "argument --roles: expected at least one argument"),
        (["--epochs", "3"], "unrecognized arguments: --epochs 3"),
        (["--val", "no.jsonl"], "no.jsonl: cannot be read (No such file or directory); check the path"),
        (["--config", "no.yaml"], "no.yaml: cannot be read"),
        (["--set", "x"], "--set 'x': expected NAME=VALUE"),
        (["--set", "batch=none"], "--batch none: expected a whole number"),
    ],
)
def test_wrong_use_is_one_line_and_starts_nothing(
    job: Job, started: Started, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    assert main(job, *more) == 2
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert line.startswith("mindreel: error: ")
    assert says in line
    assert captured.out == ""
    assert not started


def test_broken_data_is_refused_before_anything_is_trained(
    job: Job, started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    write(job.data, example(), {"video": "x"})
    assert main(job) == 2
    assert "line 2, field question: missing" in capsys.readouterr().err
    assert not started
