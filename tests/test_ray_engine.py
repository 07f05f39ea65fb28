"""On a cluster of three hosts (raylets on this machine), processes and hosts are killed, and nothing is lost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.asking import Job
from eval.engines import ray_actors as ray_engine
from eval.engines.ray_actors import in_ray
from roles.errors import CheckpointError, DataError, InputError, MindreelError
from tests import fake_workers
from tests.fake_workers import FakeWorker, groups, keys, noted, on_disk

ROOT = str(Path(__file__).parents[1])
STORE_BYTES = 80 * 2**20


class Placed(fake_workers.SlowWorker):
    """Notes which host it is on."""

    def __init__(self, job: Job) -> None:
        import ray

        super().__init__(job)
        self.node = ray.get_runtime_context().get_node_id()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PYTHONPATH", ROOT + os.pathsep + os.environ.get("PYTHONPATH", ""))
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        yield made
        made.shutdown()


def asked_in(cluster: Any, folder: Path, several: Any, make_worker: Any = FakeWorker, workers: int = 3) -> Any:
    return in_ray(Job(folder, device="cpu"), several, address=cluster.address, workers=workers, make_worker=make_worker)


def test_all_hosts_take_part_and_nothing_is_asked_twice(cluster: Any, tmp_path: Path) -> None:
    several = groups(*[["fine"] * 4] * 9)
    records = list(in_ray(Job(tmp_path, device="cpu"), several, address=cluster.address, make_worker=Placed))
    assert Counter(record["key"] for record in records) == on_disk(tmp_path) == Counter(keys(several))
    assert Counter(noted(tmp_path, "asked")) == Counter(keys(several))
    assert len({record["node"] for record in records}) == 3, "a worker on each host where nobody says how many"


def test_killed_workers_are_replaced_and_what_kills_three_is_given_up(
    cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    several = groups(["fine", "kill once", "fine"], ["kill after", "fine"], ["fine", "kill", "fine"], ["raise"])
    records = list(asked_in(cluster, tmp_path, several))
    assert Counter(record["key"] for record in records) == on_disk(tmp_path) == Counter(keys(several))
    ended = "the process that asked about it ended ({}) 3 times"
    assert {record["key"]: record["error"] for record in records if record["error"] is not None} == {
        "v2-1": ended.format("ActorDiedError"),
        "v2-2": ended.format("ActorDiedError"),
        "v3-0": ended.format("ValueError: a bug"),
    }
    once = Counter(keys(several)) - Counter(["v2-2"])
    assert Counter(noted(tmp_path, "asked")) == once + Counter({"v0-1": 1, "v2-1": 2, "v3-0": 2})
    assert "ended (ActorDiedError); another takes its place" in capfd.readouterr().err


def test_a_host_that_joins_takes_part_and_when_it_is_lost_only_its_question_is_asked_again(
    cluster: Any, tmp_path: Path
) -> None:
    several = groups(*[["fine"] * 12] * 9)
    records: list[Any] = []
    extra, lost = None, False
    for record in asked_in(cluster, tmp_path, several, Placed, 4):  # there is room for three
        records.append(record)
        if extra is None:
            extra = cluster.add_node(wait=False, num_cpus=1, object_store_memory=STORE_BYTES)
        elif not lost and record["node"] == extra.node_id:
            cluster.remove_node(extra, allow_graceful=False)
            lost = True
    assert lost
    assert Counter(record["key"] for record in records) == Counter(keys(several))
    assert all(record["error"] is None for record in records)
    asked = Counter(noted(tmp_path, "asked"))
    again = asked - Counter(keys(several))
    assert sum(again.values()) <= 1, "only the question that was being asked"
    assert set(on_disk(tmp_path)) == set(keys(several))
    assert on_disk(tmp_path) <= asked


def test_a_checkpoint_that_is_missing_is_told_as_it_is(cluster: Any, tmp_path: Path) -> None:
    job = Job(tmp_path, model="nowhere", device="cpu")
    with pytest.raises(CheckpointError, match=r"^nowhere: no such checkpoint$"):
        list(in_ray(job, groups(["fine"], ["fine"]), cluster.address, 2, make_worker=fake_workers.Refused))


def test_workers_that_are_killed_at_the_start_end_the_run(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(MindreelError, match="3 workers in a row ended while they loaded the model"):
        list(asked_in(cluster, tmp_path, groups(["fine"]), fake_workers.Killed, 1))


def test_no_room_for_records_ends_the_run(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no room is left"):
        list(asked_in(cluster, tmp_path, groups(["full"], ["fine"]), FakeWorker, 2))


def test_a_cluster_without_room_is_not_waited_for_for_ever(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(ray_engine, "_LOOK_S", 0.2)
    with pytest.raises(MindreelError, match=r"each takes 1 CPU and 1 GPU, the cluster has \d CPU and 0 GPU"):
        list(in_ray(Job(tmp_path), groups(["fine"]), cluster.address, 1, 1, make_worker=FakeWorker))


def test_an_address_where_nobody_listens_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=f"^Ray cluster {address}: "):
            list(in_ray(Job(tmp_path), groups(["fine"]), address, make_worker=FakeWorker))
    with pytest.raises(InputError, match="expected HOST:PORT"):
        list(in_ray(Job(tmp_path), groups(["fine"]), "ray://head:10001", make_worker=FakeWorker))


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'mindreel\[ray\]'"):
        list(in_ray(Job(tmp_path), groups(["fine"]), make_worker=FakeWorker))


SCRIPT = """
import sys
from pathlib import Path
import psutil
from eval.asking import Job
from eval.engines.ray_actors import in_ray
from tests.fake_workers import FakeWorker, groups, keys

if __name__ == "__main__":
    heard = set()
    told = []
    for record in in_ray(Job(Path("run"), device="cpu"), groups(["fine"]), make_worker=FakeWorker):
        told.append(record["key"])
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            heard |= {one.laddr.ip for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    print(*told, *sorted({one.removeprefix("::ffff:") for one in heard}))
"""


def test_a_cluster_of_this_machine_cannot_be_reached_from_outside(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "run").mkdir()
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PYTHONPATH": ROOT + os.pathsep + os.environ.get("PYTHONPATH", ""), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["v0-0", "127.0.0.1"]
    assert on_disk(tmp_path / "run") == Counter(["v0-0"]), "relative paths mean the same to a worker"
    assert not (tmp_path / ".ray").exists(), "no key is left behind"


KILLED = """
import sys
from pathlib import Path
from eval.asking import Job
from eval.engines.ray_actors import in_ray
from tests.fake_workers import SlowWorker, groups

if __name__ == "__main__":
    list(in_ray(Job(Path("run"), device="cpu"), groups(["fine"] * 60), make_worker=SlowWorker))
"""


def test_a_killed_driver_s_worker_does_not_go_on_asking(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    if not hasattr(os, "pidfd_open"):
        pytest.skip("this system has no handles of processes")
    (tmp_path / "run").mkdir()
    (tmp_path / "script.py").write_text(KILLED, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PYTHONPATH": ROOT + os.pathsep + os.environ.get("PYTHONPATH", ""), "HOME": str(tmp_path)}
    with subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, env=environment) as process:
        fake_workers.until(lambda: len(noted(tmp_path / "run", "asked")) >= 3, 60)
        process.kill()
    time.sleep(1)  # 60 questions would take it 9 s
    asked = len(noted(tmp_path / "run", "asked"))
    time.sleep(1)
    assert len(noted(tmp_path / "run", "asked")) == asked < 20
