"""Everything wrong that a person may hand to a training script: exit code 2 and one clear line, never a stack trace."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from roles.errors import VideoError

ROOT = Path(__file__).parent.parent
ORACLE = ROOT / "tests" / "data" / "oracle"
ROLES = ("planner", "grounder", "verifier", "answerer")
SCRIPTS = {
    **{role: f"adapters.train.{role}" for role in ROLES},
    "mine": "adapters.train.mine",
    "all": "adapters.train.all",
    "convert": "adapters.convert",
}
EXAMPLE = {"video": str(ORACLE / "videos" / "v4.mp4"), "question": "Why?", "answer": "Yes", "spans": [[1, 3]]}


@dataclass(frozen=True)
class Ran:
    """What a run of a script gave."""

    code: int
    out: str
    err: str


Call = Callable[..., Ran]


@pytest.fixture
def call(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls a script on a good example and the small base, unless the arguments say otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write(tmp_path / "train.jsonl", EXAMPLE)
    shared = {"model": ORACLE / "base", "data": "train.jsonl", "out": "out"}
    own = {**shared, "device": "cpu", "workers": 0, "report_to": "none"}
    said: dict[str, dict[str, Any]] = dict.fromkeys(ROLES, own)
    said["mine"] = {**shared, "adapters": ORACLE / "videomind", "device": "cpu", "out": "mined.jsonl"}
    said["all"] = shared
    said["convert"] = {"adapters": ORACLE / "videomind", "layout": "peft", "out": "converted"}

    def run(script: str, *argv: object, **changes: object) -> Ran:
        words = {**said[script], **changes}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in words.items() if value is not None]
        capfd.readouterr()
        code = importlib.import_module(SCRIPTS[script]).main([*flags, *map(str, argv)])
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def check_refused(ran: Ran, says: str) -> None:
    """Exit code 2, nothing on stdout, and on stderr, after progress, one line that says what is wrong."""
    assert ran.code == 2, ran.err
    assert ran.out == ""
    *progress, line = ran.err.splitlines()
    assert line.startswith("mindreel: error: ")
    assert says in line
    assert line.isprintable()
    assert len(line) < 600
    assert all(text.startswith("mindreel: ") and "error" not in text for text in progress)
    assert "Traceback" not in ran.err


def broken_base(folder: Path, name: str, content: bytes | None) -> Path:
    """A copy of the small base in which one file is something else, or gone."""
    base = shutil.copytree(ORACLE / "base", folder / "broken")
    (base / name).unlink()
    if content is not None:
        (base / name).write_bytes(content)
    return base


def broken_adapters(folder: Path, name: str, content: bytes | None) -> Path:
    adapters = shutil.copytree(ORACLE / "videomind", folder / "adapters")
    (adapters / name).unlink()
    if content is not None:
        (adapters / name).write_bytes(content)
    return adapters


# --- flags --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_printed_without_loading_torch(script: str) -> None:
    code = (
        "import runpy, sys\n"
        "try:\n"
        f"    sys.argv = ['x', '--help']; runpy.run_module({SCRIPTS[script]!r}, run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'transformers', 'peft', 'av', 'safetensors', 'numpy'} & sys.modules.keys()\n"
        "    sys.exit(f'{end.code} {heavy}' if end.code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python -m {SCRIPTS[script]}" in done.stdout
    assert "--out" in done.stdout


def test_a_process_that_is_refused_ends_with_2_and_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "adapters.train.grounder", f"--model={tmp_path}", "--out=x", "--data=no.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line == "mindreel: error: no.jsonl: cannot be read (No such file or directory); check the path"


@pytest.mark.parametrize("role", ROLES)
def test_every_missing_flag_is_named(role: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert importlib.import_module(SCRIPTS[role]).main([]) == 2
    captured = capfd.readouterr()
    lines = captured.err.splitlines()
    assert [line.split()[2] for line in lines] == ["--data:", "--model:", "--out:"]
    assert all(line.startswith("mindreel: error: ") and ": missing; give " in line for line in lines)


@pytest.mark.parametrize("script", ["mine", "all", "convert"])
def test_missing_flags_of_the_other_scripts_are_named_in_a_line(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert importlib.import_module(SCRIPTS[script]).main([]) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("mindreel: error: the following arguments are required: --")
    assert "--out" in line


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_flag_is_named(script: str, call: Call) -> None:
    check_refused(call(script, "--judge", "3"), "--judge")


@pytest.mark.parametrize(
    ("script", "argv", "says"),
    [
        ("grounder", ["--epoch", "3"], "--epoch: no such flag; did you mean --epochs?"),
        ("grounder", ["--epochs", "nan"], "--epochs nan: expected a number above 0"),
        ("grounder", ["--batch", "0"], "--batch 0: expected a whole number of at least 1"),
        ("grounder", ["--drop-path", "1"], "--drop-path 1: expected a number of at least 0 and below 1"),
        ("planner", ["--drop-path", "0.1"], "--drop-path: no such flag"),
        (
            "answerer",
            ["--style", "mqc"],
            "--style mqc: expected one of mcq, options, direct or none; did you mean mcq?",
        ),
        ("answerer", ["--jitters", "0"], "--jitters 0: expected a whole number of at least 1"),
        ("verifier", ["--lora-targets", "qkv"], "--lora-targets qkv: expected names out of q_proj"),
        ("grounder", ["--eval-every", "3"], "eval_every 3: expected val as well"),
        ("grounder", ["--config", "no.yaml"], "no.yaml: cannot be read (No such file or directory)"),
        ("grounder", ["--device", "cuda:77"], "device 'cuda:77' is not here"),
        ("grounder", ["--device", "tpu"], "--device tpu: expected auto, cpu, cuda or cuda:N"),
        ("grounder", ["--report-to", "nowhere"], "--report-to nowhere: nobody knows it; expected none or some of"),
        ("mine", ["--max-broken", "2"], "argument --max-broken: '2': expected a number from 0 to 1"),
        ("mine", ["--max-broken", "nan"], "argument --max-broken: 'nan': expected a number from 0 to 1"),
        ("mine", ["--device", "tpu"], "device 'tpu' is unknown; expected auto, cpu, cuda or cuda:N"),
        ("mine", ["--dtype", "int8"], "dtype 'int8' is unknown"),
        ("convert", ["--layout", "flat"], "argument --layout: invalid choice: 'flat'"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(script: str, argv: list[str], says: str, call: Call) -> None:
    check_refused(call(script, *argv), says)


def test_reports_that_need_a_missing_package_say_what_to_install(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.integrations import integration_utils

    monkeypatch.setattr(integration_utils, "get_available_reporting_integrations", lambda: [])
    said = "--report-to tensorboard: it is not installed; pip install 'mindreel[train]', or say --report-to none"
    check_refused(call("planner", report_to=None), said)
    check_refused(call("planner", report_to="wandb"), "--report-to wandb: it is not installed; install its package")


# --- data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [*ROLES, "mine", "all"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "bad.jsonl: cannot be read (No such file or directory); check the path"),
        (b"", "bad.jsonl: no examples; expected one JSON object per line"),
        (b"\xff\xfe\x00", "bad.jsonl: line 1 is not UTF-8 text; convert the file first"),
        (b"{\n", "bad.jsonl: line 1: not JSON"),
        (
            b'\n{"video": "v", "question": "q", "spans": [[3, 1]]}\n',
            "bad.jsonl: line 2, field spans[0]: [3, 1]: expected",
        ),
        (b'{"video": "v", "question": "q", "answers": "a"}\n', "bad.jsonl: line 1, field answers: unknown key"),
    ],
)
def test_broken_data_is_named_by_line_and_field(
    script: str, content: bytes | None, says: str, call: Call, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "bad.jsonl").write_bytes(content)
    check_refused(call(script, data="bad.jsonl"), says)
    assert not (tmp_path / "out" / "grounder").exists()


@pytest.mark.parametrize("script", ["planner", "all"])
def test_broken_validation_data_is_refused_too(script: str, call: Call, tmp_path: Path) -> None:
    write(tmp_path / "val.jsonl", EXAMPLE, {"video": "v"})
    check_refused(call(script, val="val.jsonl"), "val.jsonl: line 2, field question: missing")


@pytest.mark.parametrize("place", [".", "pipe"])
def test_data_that_is_no_file_is_not_waited_for(place: str, call: Call, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for script in ("verifier", "mine", "all"):
        check_refused(call(script, data=place), "not a file (a folder, a pipe or a device); name a file")


@pytest.mark.parametrize(
    ("script", "row", "says"),
    [
        ("grounder", {"spans": []}, "nothing in it for the grounder to learn from (1 x no spans)"),
        ("verifier", {"answer": "maybe"}, "for the verifier to learn from (1 x the answer is neither Yes nor No)"),
        ("answerer", {"answer": None}, "nothing in it for the answerer to learn from (1 x no answer)"),
        ("planner", {"answer": None, "spans": []}, "(1 x neither a route, nor spans, nor an answer)"),
        ("mine", {"spans": []}, "no example has spans"),
        ("grounder", {"video": "gone.mp4"}, "1 of 1 videos cannot be read, more than --max-broken 0.02 allows"),
        ("mine", {"video": "gone.mp4"}, "1 videos cannot be used (see above), more than --max-broken allows"),
        ("answerer", {"tags": {"subtitles": "no.srt"}}, "line 1: no.srt: the subtitles cannot be read (No such file"),
    ],
)
def test_data_without_anything_usable_says_why(
    script: str, row: dict[str, Any], says: str, call: Call, tmp_path: Path
) -> None:
    write(tmp_path / "train.jsonl", {**EXAMPLE, **row})
    check_refused(call(script), says)


# --- bases and adapters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [*ROLES, "mine"])
def test_a_base_that_is_not_there_is_named(script: str, call: Call, tmp_path: Path) -> None:
    check_refused(call(script, model="nowhere"), "base model 'nowhere': no such folder; name another with --model")
    check_refused(call(script, model="train.jsonl"), "base model 'train.jsonl' is a file; expected a checkpoint folder")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", b'{"model_type": "llama"}', "model_type is 'llama'; the base must be a qwen2_vl model"),
        ("config.json", b"{", "config.json: "),
        ("config.json", None, "config.json: missing; is this a checkpoint folder?"),
        ("model.safetensors", b"x" * 100, "model.safetensors: cannot be read as safetensors"),
        ("model.safetensors", None, "no weights; expected model*.safetensors"),
        ("tokenizer.json", b"{", "its tokenizer cannot be loaded"),
    ],
)
def test_a_base_that_is_no_qwen2_vl_is_refused(
    name: str, content: bytes | None, says: str, call: Call, tmp_path: Path
) -> None:
    base = broken_base(tmp_path, name, content)
    check_refused(call("grounder", model=base), says)
    assert not (tmp_path / "out" / "grounder").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("grounder/adapter_model.safetensors", b"x" * 100, "cannot be read as safetensors"),
        ("grounder/adapter_config.json", None, "adapter_config.json: missing; is this a checkpoint folder?"),
        ("pytorch_model.safetensors", None, "the grounder's head pytorch_model.safetensors is missing"),
        ("prompts.json", b"{", "prompts.json: "),
    ],
)
@pytest.mark.parametrize(("script", "flag"), [("grounder", "init"), ("mine", "adapters"), ("convert", "adapters")])
def test_adapters_that_are_broken_are_refused(
    script: str, flag: str, name: str, content: bytes | None, says: str, call: Call, tmp_path: Path
) -> None:
    adapters = broken_adapters(tmp_path, name, content)
    check_refused(call(script, **{flag: adapters}), says)
    assert not (tmp_path / "converted").exists()
    assert not (tmp_path / "mined.jsonl").exists()


def test_adapters_to_start_from_must_fit(call: Call, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    check_refused(call("answerer", init=ORACLE / "videomind"), "holds no answerer to start from (it has planner, ")
    check_refused(call("grounder", init=ORACLE / "videomind"), "has rank 16, asked for is 64; say --lora-rank 16")
    check_refused(call("grounder", init="nowhere"), "adapters 'nowhere': no such folder")
    check_refused(call("grounder", init="empty"), "no folder planner, grounder, verifier, answerer in it")
    check_refused(call("mine", adapters="empty"), "empty: holds no grounder; train one with python -m adapters.train.g")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "p.json: cannot be read as JSON"),
        (b"{", "p.json: cannot be read as JSON"),
        (b"[]", "p.json: expected a JSON object of prompt templates, got list"),
        (b'{"planner": "{question}"}', "p.json: missing prompt grounder, verifier, grounder_reply"),
        (
            b'{"planner": "{q}", "grounder": "{query}", "verifier": "{query}", "grounder_reply": "x"}',
            "p.json: planner: missing {question}, unknown {q}",
        ),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(content: bytes | None, says: str, call: Call, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "p.json").write_bytes(content)
    check_refused(call("planner", prompts="p.json"), says)


# --- places to write to -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["train.jsonl", "train.jsonl/out", "/proc/nowhere/out"])
@pytest.mark.parametrize("script", [*ROLES, "mine", "convert"])
def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(script: str, out: str, call: Call) -> None:
    if script == "mine" and out == "train.jsonl":
        out = "."
    ran = call(script, out=out)
    check_refused(ran, "name another" if "/" in out or script in ROLES else "name a")
    assert "training: " not in ran.err
    assert "mining: " not in ran.err


@pytest.mark.parametrize("features", ["train.jsonl", "train.jsonl/f", "/proc/nowhere/f"])
def test_a_folder_for_features_that_cannot_be_written_to_is_refused(features: str, call: Call) -> None:
    ran = call("grounder", features=features)
    check_refused(ran, "; make room, or name another folder with --features")
    assert f"{features}: features cannot be kept (" in ran.err
    assert "encoding clips" not in ran.err


def test_a_folder_of_another_run_is_refused_with_what_differs(call: Call, tmp_path: Path) -> None:
    few = {"max_steps": 1, "batch": 1, "lora_rank": 4}
    assert call("planner", **few).code == 0
    before = (tmp_path / "out" / "planner" / "adapter_model.safetensors").read_bytes()
    check_refused(
        call("planner", **few, seed=3, epochs=2),
        "of a run with other settings (--epochs was 1.0, --seed was 42); use those, another --out, or --fresh",
    )
    write(tmp_path / "train.jsonl", EXAMPLE, EXAMPLE)
    check_refused(call("planner", **few), "the data has changed since that run began; use another --out, or --fresh")
    assert (tmp_path / "out" / "planner" / "adapter_model.safetensors").read_bytes() == before
    assert call("planner", "--fresh", **few).code == 0


# --- failures on the way ------------------------------------------------------------------------------------------


@dataclass
class Processes:
    """As many processes as a launcher would have started."""

    num_processes: int
    process_index: int = 0
    is_main_process: bool = True
    device: str = "cpu"


def test_more_processes_than_samples_in_a_step_are_refused(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    import accelerate

    monkeypatch.setattr(accelerate, "PartialState", lambda **_: Processes(4))
    check_refused(call("planner", batch=3), "batch 3: expected at least one sample for each of 4 processes")


@pytest.mark.parametrize(
    ("batch", "in_pass", "processes", "passes"),
    [
        (32, 4, 1, 8),
        (32, 4, 8, 8),
        (32, 4, 3, 9),
        (32, 5, 4, 8),
        (8, 1, 3, 6),
        (2, 8, 2, 2),
        (1, 4, 1, 1),
        (7, 2, 2, 4),
    ],
)
def test_passes_are_dealt_out_evenly(batch: int, in_pass: int, processes: int, passes: int) -> None:
    from adapters.train.loop import passes_of

    assert passes_of(batch, in_pass, processes) == passes
    assert passes % processes == 0
    assert passes <= batch


@pytest.mark.parametrize("workers", [0, 1])
def test_videos_that_all_break_while_it_trains_end_it_with_a_line(
    workers: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapters.train import dataset

    def broken(key: Any) -> Any:
        raise VideoError(f"{key.path}: went bad")

    monkeypatch.setattr(dataset, "read_clip", broken)
    ran = call("planner", workers=workers, max_broken=1, lora_rank=4)
    check_refused(ran, "none of the 1 videos can be read any more; the first: ")
    assert ran.err.splitlines()[-1].endswith("v4.mp4: went bad")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes the training fail."""
    from adapters.train import loop

    def fail(error: BaseException) -> None:
        def train(*_args: Any) -> None:
            raise error

        monkeypatch.setattr(loop, "train", train)

    return fail


def test_errors_of_the_system_are_a_line(failing: Callable[[BaseException], None], call: Call) -> None:
    failing(OSError(28, "No space left on device", "out/file"))
    check_refused(call("planner"), "out/file: cannot be used (No space left on device); check the path, its rights and")
    failing(PermissionError("no"))
    check_refused(call("planner"), "error: cannot be used (no); check the path")


def test_a_gpu_that_is_too_small_is_a_line(failing: Callable[[BaseException], None], call: Call) -> None:
    import torch

    failing(torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"))
    check_refused(call("grounder"), "out of GPU memory: say --samples-per-pass 1, --checkpointing all or")


def test_a_worker_that_was_killed_is_a_line(failing: Callable[[BaseException], None], call: Call) -> None:
    failing(RuntimeError("DataLoader worker (pid 7) is killed by signal: Segmentation fault. \nmore"))
    check_refused(call("grounder"), "training: a worker process died (DataLoader worker (pid 7) is killed by signal")


def test_interruptions_say_that_the_run_goes_on(failing: Callable[[BaseException], None], call: Call) -> None:
    from adapters.train.loop import StoppedError

    failing(KeyboardInterrupt())
    ran = call("planner")
    assert (ran.code, ran.out) == (130, "")
    assert ran.err == "mindreel: interrupted; the same command goes on from the last checkpoint\n"
    failing(StoppedError("stopped by SIGTERM after step 3 of 9; the same command goes on from there"))
    ran = call("planner")
    assert (ran.code, ran.err) == (
        130,
        "mindreel: stopped by SIGTERM after step 3 of 9; the same command goes on from there\n",
    )


def test_what_is_a_mistake_of_ours_keeps_its_trace(failing: Callable[[BaseException], None], call: Call) -> None:
    failing(RuntimeError("our own"))
    with pytest.raises(RuntimeError, match="our own"):
        call("planner")
