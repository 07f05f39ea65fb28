"""A run that is killed, stopped, or out of disk goes on as if nothing had happened, with the same command."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from adapters.train import answerer, grounder, trainer
from tests.films import BASE, make_examples

STEPS = 10
"""Of which every second writes a checkpoint."""
EXTENDED = "--batch 4 --samples-per-pass 2 --lora-rank 4 --lora-dropout 0.2 --learning-rate 1e-3 --workers 2"
COMMON = f"--model {BASE} --max-steps {STEPS} --epochs 99 --save-every 2 --report-to none --device cpu --seed 3"


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    """A grounder's, with everything on that draws at random: dropout, drop path, the order, the saliency's steps."""
    return [*f"{COMMON} {EXTENDED} --drop-path 0.2 --data {data} --out {out}".split(), *more]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_examples(tmp_path_factory.mktemp("films"), seconds=4)


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapters folder of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("unbroken")
    assert grounder.main(arguments(data, out, "--keep", "2")) == 0
    return out


def steps_of(out: Path, role: str = "grounder") -> list[dict[str, Any]]:
    lines = (out / role / "losses.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if "loss" in record]


def weights_of(out: Path, role: str = "grounder") -> dict[str, torch.Tensor]:
    files = sorted((out / role).glob("*.safetensors"))
    return {f"{file.name}:{name}": tensor for file in files for name, tensor in load_file(file).items()}


def assert_same_run(out: Path, other: Path, role: str = "grounder") -> None:
    """Every logged number and every weight, to the bit."""
    assert steps_of(out, role) == steps_of(other, role)
    ours, theirs = weights_of(out, role), weights_of(other, role)
    assert ours.keys() == theirs.keys()
    assert [name for name, tensor in ours.items() if not torch.equal(tensor, theirs[name])] == []


def work_of(out: Path, role: str = "grounder") -> Path:
    return out / ".train" / role


def checkpoints_of(out: Path, role: str = "grounder") -> list[int]:
    """Steps of the checkpoints that are whole."""
    return [int(path.name.rsplit("-", 1)[1]) for path in trainer.complete_checkpoints(work_of(out, role))]


def started(command: Sequence[str], prelude: str = "") -> subprocess.Popen[bytes]:
    """A training in a process of its own, with as many threads as here, so that sums are made in the same order."""
    code = f"import sys\nfrom adapters.train import grounder\n{prelude}\nsys.exit(grounder.main(sys.argv[1:]))"
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen([sys.executable, "-c", code, *command], env=environment, stderr=subprocess.DEVNULL)


def wait_for(path: Path, still: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert still(), f"ended before it wrote {path}"
        assert time.monotonic() < until, f"never wrote {path}"
        time.sleep(0.002)


def test_a_run_shows_what_it_does(unbroken: Path) -> None:
    steps = steps_of(unbroken)
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    assert {"loss", "lm", "class", "coord", "saliency", "grad_norm", "learning_rate", "round"} <= steps[0].keys()
    assert len({record["loss"] for record in steps}) == STEPS


def test_only_the_newest_checkpoints_are_kept_and_none_holds_a_pickle_that_nobody_reads(unbroken: Path) -> None:
    assert checkpoints_of(unbroken) == [STEPS - 2, STEPS]
    [*_, newest] = trainer.complete_checkpoints(work_of(unbroken))
    names = {path.name for path in newest.iterdir()}
    assert names == {
        "complete.json", "optimizer.pt", "rng_state.pth", "scheduler.pt", "trained.safetensors", "trainer_state.json",
    }  # fmt: skip
    for name in ("optimizer.pt", "scheduler.pt"):
        torch.load(newest / name, weights_only=True)


def test_a_run_that_is_killed_twice_goes_on_as_if_nothing_had_happened(
    data: Path, unbroken: Path, tmp_path: Path
) -> None:
    command = arguments(data, tmp_path)
    first = started(command)
    wait_for(work_of(tmp_path) / "checkpoint-2" / "complete.json", lambda: first.poll() is None)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert checkpoints_of(tmp_path)[-1] < STEPS
    # The second start dies while it writes the optimizer's state of its second checkpoint.
    prelude = (
        "import os, signal, torch\n"
        "save, seen = torch.save, []\n"
        "def dying(what, where, *rest, **more):\n"
        "    if str(where).endswith('optimizer.pt'):\n"
        "        seen.append(where)\n"
        "    if len(seen) == 2:\n"
        "        open(where, 'wb').write(b'PK half a file')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return save(what, where, *rest, **more)\n"
        "torch.save = dying\n"
    )
    second = started(command, prelude)
    assert second.wait(120) == -signal.SIGKILL
    whole = checkpoints_of(tmp_path)
    [cut_off] = [path for path in work_of(tmp_path).glob("checkpoint-*") if not (path / "complete.json").exists()]
    assert int(cut_off.name.rsplit("-", 1)[1]) > whole[-1]
    assert grounder.main(command) == 0
    assert_same_run(tmp_path, unbroken)
    summary = json.loads((tmp_path / "grounder" / "summary.json").read_text(encoding="utf-8"))
    assert summary["resumed_from_step"] == whole[-1]
    assert all((path / "complete.json").exists() for path in work_of(tmp_path).glob("checkpoint-*"))


@contextmanager
def signalled(path: Path, number: int) -> Iterator[None]:
    """Sends this process a signal as soon as a file is there."""
    running = threading.Event()
    running.set()

    def watch() -> None:
        wait_for(path, running.is_set)
        os.kill(os.getpid(), number)

    late: list[int] = []
    before = signal.signal(number, lambda received, _frame: late.append(received))
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        running.clear()
        thread.join()
        signal.signal(number, before)
    assert not late, "the run had ended already"


def test_a_run_that_is_asked_to_stop_stops_after_the_step_and_goes_on(
    data: Path, unbroken: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with signalled(work_of(tmp_path) / "checkpoint-2" / "complete.json", signal.SIGTERM):
        assert grounder.main(arguments(data, tmp_path)) == 130
    told = capfd.readouterr().err
    stopped = checkpoints_of(tmp_path)[-1]
    assert 2 <= stopped < STEPS
    assert told.count("stopping after this step") == 1
    assert f"mindreel: stopped by SIGTERM after step {stopped} of {STEPS}; the same command goes on" in told
    assert not (tmp_path / "grounder").exists()
    assert grounder.main(arguments(data, tmp_path)) == 0
    assert f"going on from checkpoint-{stopped}" in capfd.readouterr().err
    assert_same_run(tmp_path, unbroken)


def test_an_answerer_that_is_interrupted_sees_the_same_jittered_clips_again(tmp_path: Path) -> None:
    # Longer than the answerer's shortest clip, so that jitter moves it.
    data = make_examples(tmp_path / "films", count=1, seconds=40)
    common = f"--model {BASE} --data {data} --max-steps 5 --epochs 9 --save-every 1 --report-to none --device cpu"
    common += " --batch 1 --lora-rank 4 --learning-rate 1e-3 --jitter 0.5 --workers 1"
    assert answerer.main([*common.split(), "--out", str(tmp_path / "whole")]) == 0
    assert len({record["loss"] for record in steps_of(tmp_path / "whole", "answerer")}) == 5
    broken = tmp_path / "broken"
    with signalled(work_of(broken, "answerer") / "checkpoint-2" / "complete.json", signal.SIGINT):
        assert answerer.main([*common.split(), "--out", str(broken)]) == 130
    assert answerer.main([*common.split(), "--out", str(broken)]) == 0
    assert_same_run(broken, tmp_path / "whole", "answerer")


@pytest.mark.parametrize("share", [0.5, 1.5], ids=["weights", "optimizer"])
def test_a_full_disk_stops_with_one_line_and_loses_nothing(
    data: Path,
    unbroken: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    share: float,
) -> None:
    # The system refuses larger files once the second checkpoint is whole, as it does on a full disk.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    marked = trainer.Checkpoints.on_save

    def fill(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        marked(self, args, state, control, **more)
        if state.global_step == 4:
            whole = work_of(tmp_path) / "checkpoint-4" / "trained.safetensors"
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * whole.stat().st_size), hard))

    monkeypatch.setattr(trainer.Checkpoints, "on_save", fill)
    try:
        code = grounder.main(arguments(data, tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2
    [line] = [line for line in capfd.readouterr().err.splitlines() if "checkpoint-6" in line]
    assert "cannot be written" in line
    assert "earlier checkpoints are untouched" in line
    assert checkpoints_of(tmp_path) == [2, 4]
    assert not (work_of(tmp_path) / "checkpoint-6").exists()
    monkeypatch.undo()
    if share > 1:
        assert grounder.main(arguments(data, tmp_path)) == 0
        assert_same_run(tmp_path, unbroken)


def test_a_disk_that_is_full_when_the_mark_is_written_leaves_the_earlier_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    written = trainer.write_atomic

    def full(path: Path, text: str) -> None:
        if path.parent.name == "checkpoint-4":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written(path, text)

    monkeypatch.setattr(trainer, "write_atomic", full)
    assert grounder.main(arguments(data, tmp_path)) == 2
    assert "No space left on device" in capfd.readouterr().err
    assert checkpoints_of(tmp_path) == [2]


@pytest.fixture
def finished(unbroken: Path, tmp_path: Path) -> Path:
    """A copy of the unbroken run, to change."""
    return Path(shutil.copytree(unbroken, tmp_path / "copy"))


def stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_is_left_as_it_is(data: Path, finished: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = stamps(finished / "grounder")
    assert grounder.main(arguments(data, finished)) == 0
    assert "is trained already with these settings; --fresh trains it anew" in capfd.readouterr().err
    assert stamps(finished / "grounder") == before


def test_a_finished_run_is_written_again_where_its_files_are_gone_or_shall_be_others(
    data: Path, finished: Path, unbroken: Path
) -> None:
    shutil.rmtree(finished / "grounder")
    assert grounder.main(arguments(data, finished)) == 0
    assert_same_run(finished, unbroken)
    assert grounder.main(arguments(data, finished, "--val", str(data))) == 0
    summary = json.loads((finished / "grounder" / "summary.json").read_text(encoding="utf-8"))
    assert summary["resumed_from_step"] == STEPS
    assert "mIoU" in summary["metrics"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--learning-rate", "2e-3"), "--learning-rate was 0.001"),
        (("--lora-dropout", "0.3", "--seed", "4"), "--seed was 3"),
        (("--drop-path", "0.5"), "--drop-path was 0.2"),
    ],
)
def test_other_settings_are_refused_by_name(
    data: Path, finished: Path, capfd: pytest.CaptureFixture[str], flags: tuple[str, ...], told: str
) -> None:
    before = stamps(finished)
    assert grounder.main(arguments(data, finished, *flags)) == 2
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert told in line
    assert "--fresh" in line
    assert stamps(finished) == before


def test_other_data_is_refused(data: Path, finished: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = data.read_text(encoding="utf-8").splitlines()
    text = data.read_text(encoding="utf-8")
    try:
        data.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
        assert grounder.main(arguments(data, finished)) == 2
    finally:
        data.write_text(text, encoding="utf-8")
    assert "the data has changed since that run began" in capfd.readouterr().err


def test_fresh_starts_anew_and_other_checkpoints_may_be_kept(data: Path, finished: Path, unbroken: Path) -> None:
    more = ("--fresh", "--keep", "1", "--save-every", "5", "--workers", "0")
    assert grounder.main(arguments(data, finished, *more)) == 0
    summary = json.loads((finished / "grounder" / "summary.json").read_text(encoding="utf-8"))
    assert summary["resumed_from_step"] is None
    assert checkpoints_of(finished) == [STEPS]
    assert_same_run(finished, unbroken)


def test_the_best_weights_are_kept_where_that_is_asked_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.2, 0.6, 0.1, 0.3, 0.5, 0.4])
    monkeypatch.setattr(grounder.GrounderRecipe, "score", lambda _self, _records: {"mIoU": next(scores), "R1@0.5": 0.0})
    more = ("--val", str(data), "--eval-every", "2", "--val-limit", "1", "--select", "best")
    assert grounder.main(arguments(data, tmp_path, *more)) == 0
    summary = json.loads((tmp_path / "grounder" / "summary.json").read_text(encoding="utf-8"))
    assert summary["kept_step"] == 4
    best = load_file(work_of(tmp_path) / "best.safetensors")
    last = load_file(work_of(tmp_path) / f"checkpoint-{STEPS}" / "trained.safetensors")
    written = weights_of(tmp_path)
    [name] = [name for name in best if name.endswith("layers.0.self_attn.q_proj.lora_B.grounder.weight")]
    [stored] = [x for key, x in written.items() if "layers.0.self_attn.q_proj.lora_B" in key]
    assert torch.equal(stored.float(), best[name])
    assert not torch.equal(best[name], last[name])
