"""Whatever becomes of the processes, each question ends with one record, and none is asked twice without need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eval.asking import Job, LostDeviceError
from eval.engines import local as engines
from eval.engines import pool as pool_engine
from eval.engines.local import in_pool, in_process
from eval.item import Group, Record
from roles.errors import CheckpointError, DataError, MindreelError
from tests import fake_workers
from tests.fake_workers import FakeWorker, accelerate_groups, groups, keys, noted, on_disk, script_groups, until
from tests.test_train_processes import descendants, free_port, kill_all

ENDED = "the process that asked about it ended (signal 9) 2 times"


def pooled(
    folder: Path, several: list[Group], workers: int = 2, make_worker: Any = FakeWorker, device: str = "cpu"
) -> list[Record]:
    """All records of a pool, each question's once, given and on disk."""
    records = list(in_pool(Job(folder, device=device), several, workers, make_worker=make_worker))
    assert sorted(record["key"] for record in records) == keys(several)
    assert on_disk(folder) == Counter(keys(several))
    return records


def test_one_process_asks_in_order(tmp_path: Path) -> None:
    several = groups(["fine", "fine"], ["fine"])
    records = list(in_process(Job(tmp_path), several, make_worker=FakeWorker))
    assert [record["key"] for record in records] == ["v0-0", "v0-1", "v1-0"]
    assert {record["pid"] for record in records} == {os.getpid()}


def test_without_questions_no_model_is_loaded(tmp_path: Path) -> None:
    job = Job(tmp_path)
    assert list(in_process(job, [], make_worker=fake_workers.Refused)) == []
    assert list(in_pool(job, [], 2, make_worker=fake_workers.Refused)) == []


def test_a_failed_device_ends_a_run_of_one_process_by_name(tmp_path: Path) -> None:
    class Lost(FakeWorker):
        def ask(self, group: Group) -> Any:
            raise LostDeviceError("the device failed")

    with pytest.raises(MindreelError, match="the device failed"):
        list(in_process(Job(tmp_path), groups(["fine"]), make_worker=Lost))


def test_one_process_goes_on_after_a_video_with_a_fault(tmp_path: Path) -> None:
    several = groups(["fine", "raise", "fine"], ["fine"])
    records = list(in_process(Job(tmp_path), several, make_worker=FakeWorker))
    assert {record["key"]: record["error"] for record in records} == {
        "v0-0": None, "v0-1": "ValueError: a bug", "v0-2": "ValueError: a bug", "v1-0": None
    }  # fmt: skip
    assert on_disk(tmp_path) == Counter(keys(several))
    with pytest.raises(DataError, match="no room is left"):
        list(in_process(Job(tmp_path), groups(["full"]), make_worker=FakeWorker))


def test_a_pool_shares_videos_out_on_one_core_each(tmp_path: Path) -> None:
    several = groups(*[["fine", "fine", "fine"]] * 6)
    records = pooled(tmp_path, several, 2)
    assert len({record["pid"] for record in records}) == 2
    assert {record["threads"] for record in records} == {"1"}
    asked_of = {record["key"].split("-")[0]: record["pid"] for record in records}
    assert all(record["pid"] == asked_of[record["key"].split("-")[0]] for record in records)
    assert all(count == 1 for count in Counter(noted(tmp_path, "asked")).values())


def test_a_killed_process_is_replaced_and_only_its_question_is_asked_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    several = groups(["fine", "kill once", "fine", "fine"], ["fine"] * 3)
    records = pooled(tmp_path, several)
    assert all(record["error"] is None for record in records)
    again = {key: count for key, count in Counter(noted(tmp_path, "asked")).items() if count > 1}
    assert again == {"v0-1": 2}
    assert "ended (signal 9); another takes its place" in capfd.readouterr().err


def test_a_record_that_was_written_and_not_told_is_kept(tmp_path: Path) -> None:
    records = pooled(tmp_path, groups(["fine", "kill after", "fine"]), 1)
    assert all(record["error"] is None for record in records)
    assert set(Counter(noted(tmp_path, "asked")).values()) == {1}


def test_a_video_that_kills_two_processes_is_given_up_and_the_run_goes_on(tmp_path: Path) -> None:
    several = groups(["fine", "kill", "fine"], ["fine"] * 2, ["kill"])
    errors = {record["key"]: record["error"] for record in pooled(tmp_path, several)}
    assert errors == {
        "v0-0": None, "v0-1": ENDED, "v0-2": ENDED, "v1-0": None, "v1-1": None, "v2-0": ENDED
    }  # fmt: skip
    assert Counter(noted(tmp_path, "asked"))["v0-1"] == 2
    assert "v0-2" not in noted(tmp_path, "asked")


def test_several_questions_that_kill_once_are_all_answered(tmp_path: Path) -> None:
    records = pooled(tmp_path, groups(["kill once", "kill once", "fine", "kill once"]), 1)
    assert all(record["error"] is None for record in records)


def test_a_bug_that_a_worker_cannot_handle_is_named(tmp_path: Path) -> None:
    records = pooled(tmp_path, groups(["raise"], ["fine"]))
    assert {record["key"]: record["error"] for record in records} == {
        "v0-0": "the process that asked about it ended (ValueError: a bug) 2 times",
        "v1-0": None,
    }


def test_no_room_for_records_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no room is left"):
        list(in_pool(Job(tmp_path, device="cpu"), groups(["full"], ["fine"]), 2, make_worker=FakeWorker))


def test_a_checkpoint_that_is_missing_is_told_once(tmp_path: Path) -> None:
    job = Job(tmp_path, model="nowhere", device="cpu")
    with pytest.raises(CheckpointError, match="nowhere: no such checkpoint"):
        list(in_pool(job, groups(["fine"], ["fine"]), 2, make_worker=fake_workers.Refused))


def test_workers_that_are_killed_at_the_start_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(MindreelError, match=r"while it loaded the model \(signal 9\)"):
        list(in_pool(Job(tmp_path, device="cpu"), groups(["fine"]), 2, make_worker=fake_workers.Killed))


def test_a_worker_that_cannot_start_is_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    records = pooled(tmp_path, groups(*[["fine"] * 5] * 4), 2, fake_workers.OnlyOneSlow)
    assert len({record["pid"] for record in records}) == 1
    assert "is left out: no room for another model" in capfd.readouterr().err


def test_gpus_go_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_engine, "gpus", lambda device: 2)
    monkeypatch.setattr(pool_engine, "cores", lambda: 1)
    records = pooled(tmp_path, groups(*[["fine"] * 10] * 3), 3, fake_workers.SlowStart, device="auto")
    assert Counter(record["device"] for record in records) == {"cuda:0": 20, "cuda:1": 10}


def test_a_device_that_is_named_is_everybodys() -> None:
    assert pool_engine.gpus("cpu") == pool_engine.gpus("cuda:1") == 0


def test_who_stops_listening_stops_between_two_questions(tmp_path: Path) -> None:
    several = groups(["fine"] * 30, ["fine"] * 30)
    with closing(in_pool(Job(tmp_path, device="cpu"), several, 2, make_worker=fake_workers.SlowWorker)) as records:
        next(records)
    asked = Counter(noted(tmp_path, "asked"))
    assert asked == on_disk(tmp_path), "what was begun is on disk"
    assert 1 <= sum(asked.values()) <= 6


def test_interrupted_by_a_person_nothing_is_lost_and_the_next_run_asks_the_rest(tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of a terminal at once."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    process = subprocess.Popen([sys.executable, script, tmp_path, "pool"], env=environment(), start_new_session=True)
    until(lambda: len(noted(tmp_path, "asked")) >= 3)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) == 130
    before = on_disk(tmp_path)
    assert Counter(noted(tmp_path, "asked")) == before
    several = [
        Group(group.video, tuple(item for item in group.items if item.key not in before)) for group in script_groups()
    ]
    rest = list(in_pool(Job(tmp_path, device="cpu"), several, 2, make_worker=FakeWorker))
    assert sorted([*before, *(record["key"] for record in rest)]) == keys(script_groups())


def test_whoever_is_impatient_interrupts_twice(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    process = subprocess.Popen([sys.executable, script, tmp_path, "stuck"], env=environment(), start_new_session=True)
    until(lambda: len(noted(tmp_path, "asked")) >= 2)
    os.killpg(process.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(10) == 130
    assert not any(alive(int(pid)) for pid in noted(tmp_path, "started"))


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    process = subprocess.Popen([sys.executable, script, tmp_path, "pool"], env=environment())
    until(lambda: len(noted(tmp_path, "asked")) >= 3)
    workers = [int(pid) for pid in noted(tmp_path, "started")]
    assert set(workers) <= set(descendants(process.pid))
    process.kill()
    process.wait()
    until(lambda: not any(alive(pid) for pid in workers), 10)


SCRIPT = """
import sys
from pathlib import Path
from eval.asking import Job
from eval.engines.local import in_accelerate, in_pool, is_main
from tests.fake_workers import FakeWorker, SlowWorker, StuckWorker, accelerate_groups, script_groups

if __name__ == "__main__":
    job = Job(Path(sys.argv[1]), device="cpu")
    if sys.argv[2] in ("pool", "stuck"):
        worker = SlowWorker if sys.argv[2] == "pool" else StuckWorker
        try:
            list(in_pool(job, script_groups(), 2, make_worker=worker))
        except KeyboardInterrupt:
            sys.exit(130)
    else:
        worker = FakeWorker if sys.argv[2] == "fast" else SlowWorker
        told = list(in_accelerate(job, accelerate_groups() if is_main() else (), make_worker=worker))
        if is_main():
            (job.folder / "told.txt").write_text(" ".join(record["key"] for record in told))
"""


def environment() -> dict[str, str]:
    root = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def launched(folder: Path, how: str) -> subprocess.Popen[bytes]:
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
    launch += f" --dynamo_backend no --main_process_port {free_port()}"
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen([sys.executable, *launch.split(), script, folder, how], env=environment(), stderr=log)


def test_launched_processes_share_the_work_and_the_main_one_ends_last(tmp_path: Path) -> None:
    process = launched(tmp_path, "fast")
    assert process.wait(60) == 0, (tmp_path / "log.txt").read_text(encoding="utf-8")[-2000:]
    assert sorted(noted(tmp_path, "told")) == keys(accelerate_groups())
    assert on_disk(tmp_path) == Counter(keys(accelerate_groups()))
    assert Counter(noted(tmp_path, "asked")) == Counter(keys(accelerate_groups())) + Counter(["v1-0", "v2-0"])


def test_a_launch_that_is_killed_leaves_what_was_said(tmp_path: Path) -> None:
    process = launched(tmp_path, "slow")
    until(lambda: len(noted(tmp_path, "asked")) >= 4)
    assert kill_all(process) >= 5
    found = on_disk(tmp_path)
    assert found
    assert set(found.values()) == {1}
    assert set(Counter(noted(tmp_path, "asked")) - found) <= set(keys(accelerate_groups()))


def test_a_launched_process_that_is_lost_on_another_host_is_told(tmp_path: Path) -> None:
    """There no launcher ends those that are left."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    shared = {**environment(), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, script, tmp_path, "slow"]
    main, other = (
        subprocess.Popen(command, env={**shared, "RANK": rank}, stderr=subprocess.PIPE, text=True) for rank in "01"
    )
    until(lambda: len(set(noted(tmp_path, "started"))) == 2 and len(noted(tmp_path, "asked")) >= 2)
    other.kill()
    other.communicate()
    told = main.communicate(timeout=60)[1]
    assert main.returncode == 1
    assert "MindreelError: another process has ended before it was through" in told


def test_one_process_is_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    assert not engines.launched()
    assert engines.is_main()
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert engines.launched()
    assert not engines.is_main()
