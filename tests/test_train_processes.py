"""Two processes learn what one learns with twice the accumulation, write one set of files, and survive a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from adapters.train import grounder
from adapters.train.trainer import complete_checkpoints
from tests.films import BASE, make_examples

STEPS = 6
RESUMES_ON_CPUS = tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 23)
"""transformers 5.17 cannot put an optimizer's state back on several CPUs ("cpu:0"); on GPUs it can."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_examples(tmp_path_factory.mktemp("films"), seconds=4)


def arguments(data: Path, out: Path) -> list[str]:
    """Nothing is drawn at random in the network: each process would draw something else."""
    common = f"--model {BASE} --data {data} --val {data} --out {out} --device cpu --max-steps {STEPS} --epochs 99"
    common += " --batch 4 --samples-per-pass 1 --lora-rank 4 --lora-dropout 0 --drop-path 0 --learning-rate 1e-3"
    return f"{common} --save-every 2 --eval-every 3 --workers 1 --report-to none".split()


@pytest.fixture(scope="module")
def single(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("single")
    assert grounder.main(arguments(data, out)) == 0
    return out


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def launched(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """`accelerate launch` with two processes on the CPU; its --cpu would start one, so --multi_gpu stands here."""
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
    launch += f" --dynamo_backend no --main_process_port {free_port()} -m adapters.train.grounder"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with log.open("wb") as told:
        return subprocess.Popen([sys.executable, *launch.split(), *command], env=environment, stderr=told)


def descendants(pid: int) -> list[int]:
    """A process's children and theirs."""
    try:
        told = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [one for child in map(int, told) for one in (child, *descendants(child))]


def kill_all(process: subprocess.Popen[bytes]) -> int:
    """Kills a launcher and all that it started; how many that were."""
    every = [process.pid, *descendants(process.pid)]
    for pid in every:
        os.kill(pid, signal.SIGSTOP)  # first of all, so that none notices another's death
    for pid in every:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    return len(every)


@pytest.fixture(scope="module")
def double(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on two processes, killed once on the way where they can go on."""
    out = tmp_path_factory.mktemp("double")
    log = out / "log.txt"
    process = launched(arguments(data, out), log)
    mark = out / ".train" / "grounder" / "checkpoint-2" / "complete.json"
    until = time.monotonic() + 120
    while not mark.exists():
        assert process.poll() is None, log.read_text(encoding="utf-8")[-2000:]
        assert time.monotonic() < until, log.read_text(encoding="utf-8")[-2000:]
        time.sleep(0.002)
    if RESUMES_ON_CPUS:
        assert kill_all(process) >= 3
        assert not (out / "grounder").exists()
        process = launched(arguments(data, out), log)
    assert process.wait(180) == 0, log.read_text(encoding="utf-8")[-2000:]
    return out


def records_of(out: Path) -> list[dict[str, Any]]:
    lines = (out / "grounder" / "losses.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_two_processes_that_were_killed_go_on_with_the_losses_of_one(single: Path, double: Path) -> None:
    ours, theirs = ([one for one in records_of(out) if "loss" in one] for out in (single, double))
    assert [one["step"] for one in theirs] == list(range(1, STEPS + 1))
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in ("loss", "lm", "class", "coord", "saliency", "grad_norm", "learning_rate", "round"):
            assert other[name] == pytest.approx(one[name], rel=1e-4), (one["step"], name)


def test_two_processes_learn_the_same_adapter(single: Path, double: Path) -> None:
    for name in ("grounder/adapter_model.safetensors", "pytorch_model.safetensors"):
        ours, theirs = load_file(single / name), load_file(double / name)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            torch.testing.assert_close(theirs[key], tensor, rtol=1e-3, atol=1e-4, msg=key)


def test_validation_is_gathered_from_both(single: Path, double: Path) -> None:
    ours, theirs = (
        (out / "grounder" / "validation.jsonl").read_text(encoding="utf-8").splitlines() for out in (single, double)
    )
    assert [json.loads(line)["source"] for line in theirs] == [json.loads(line)["source"] for line in ours]
    assert len(theirs) == 8
    evaluated = [one for one in records_of(double) if "eval_mIoU" in one]
    assert [one["step"] for one in evaluated] == [3, STEPS]


def test_both_are_counted_and_write_one_set_of_files(single: Path, double: Path) -> None:
    names = [sorted(path.name for path in (out / "grounder").iterdir()) for out in (single, double)]
    assert names[0] == names[1]
    summary = json.loads((double / "grounder" / "summary.json").read_text(encoding="utf-8"))
    assert summary["hardware"]["processes"] == 2
    assert (summary["resumed_from_step"] is not None) is RESUMES_ON_CPUS
    newest = complete_checkpoints(double / ".train" / "grounder")[-1]
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in newest.iterdir()}
    # What one process says is said once.
    assert (double / "log.txt").read_text(encoding="utf-8").count("going on from checkpoint-") == int(RESUMES_ON_CPUS)


def test_a_sharded_network_learns_saves_loads_and_answers_like_a_whole_one() -> None:
    command = f"-m torch.distributed.run --nproc_per_node 2 --master_port {free_port()} -m tests.sharded"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *command.split()], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
