"""One command runs a benchmark: what is done stays done, what is broken is named, and the figures are of all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import read_traces
from agent.errors import one_line
from eval import run
from eval.asking import Job, Worker
from eval.evidence_swap import KINDS
from eval.item import Group, Item, read_items
from eval.run_folder import read_predictions, read_records
from tests.suite_folders import make_nextgqa, write_lines
from tests.test_train_processes import free_port

ORACLE = Path(__file__).parent / "data" / "oracle"
CHECKPOINT = ["--model", str(ORACLE / "base"), "--adapters", str(ORACLE / "videomind"), "--device", "cpu"]
QUESTIONS = ("what happens", "who moves", "where is it", "why does it stop")


def examples(folder: Path, each: int = 4, videos: Sequence[str] = ("v1", "v2", "v3", "v4")) -> Path:
    """Questions on the oracle's films, as Example JSONL."""
    rows = [
        {
            "video": str(ORACLE / "videos" / f"{video}.mp4"),
            "question": f"{QUESTIONS[number % 4]} {number}?",
            "options": ["the left one", "the right one", "none"],
            "answer": ("the left one", "the right one", "none")[number % 3],
            "spans": [[1, 3 + number % 3]],
            "tags": {"id": f"{video}/{number}", "type": ("belief", "reality")[number % 2], "order": str(number % 2)},
        }
        for video in videos
        for number in range(each)
    ]
    return write_lines(folder / "data" / "test.jsonl", *rows).parent


def command(data: Path, out: Path, *more: str) -> list[str]:
    return ["examples", "--data", str(data), *CHECKPOINT, "--plan", "answer", "--out", str(out), *more]


def ran(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run.main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def metrics(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def test_a_run_leaves_predictions_traces_metrics_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make_nextgqa(tmp_path / "gqa"), tmp_path / "out"
    code, said, told = ran(["nextgqa", "--data", str(data), *CHECKPOINT, "--out", str(out)], capsys)
    assert code == 0, told
    found = metrics(out)
    assert (found["items"], found["videos"], found["counts"]["asked"]) == (4, 2, 4)
    assert found["figures"]["Acc@GQA"]["asked"] == 4
    assert "Acc@GQA" in said
    assert "options with the same text" in told
    for record in read_predictions(out).values():
        name, number = record["trace"]
        trace = read_traces(out / name)[number - 1]
        assert trace.finished
        assert trace.answer is not None
        assert trace.answer.text == record["said"]
        moments = [[round(one.span.start_s, 4), round(one.span.end_s, 4)] for one in trace.moments]
        assert moments == [row[:2] for row in record["spans"]] != []
        assert record["plan"] == ["grounder", "verifier", "answerer"]
        assert sorted(row[:3] for row in record["grounded"]) == sorted(row[:3] for row in record["spans"])
    assert (out / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert "Acc@GQA" in (out / "report.md").read_text()
    again = (out / "metrics.json").read_bytes()
    stamps = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    assert run.main(["nextgqa", "--data", str(data), *CHECKPOINT, "--out", str(out)]) == 0
    assert (out / "metrics.json").read_bytes() == again
    assert {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()} == stamps  # nothing was asked


def test_killed_twice_and_resumed_it_gives_the_same_bytes_and_asks_nothing_twice(tmp_path: Path) -> None:
    data = examples(tmp_path, each=10)
    assert run.main(command(data, tmp_path / "whole")) == 0
    out = tmp_path / "killed"
    for enough in (7, 21):
        process = subprocess.Popen(
            [sys.executable, "-m", "eval.run", *command(data, out)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ORACLE.parents[2],
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while (done := sum(path.read_bytes().count(b"\n") for path in (out / "shards").glob("*.jsonl"))) < enough:
            assert process.poll() is None, f"it ended after {done} records"
            assert time.monotonic() < deadline, f"it has {done} records"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = read_records(out)
    assert 21 <= len(before) < 40
    assert not (out / "metrics.json").exists()
    shards = {path: path.read_bytes() for path in (out / "shards").iterdir()}
    first = next(path for path in shards if shards[path])
    first.write_bytes(shards[first] + b'{"key": "v4/9", "sai')  # as a kill in the middle of a line leaves it
    assert run.main(command(data, out)) == 0
    lines = [line for path in (out / "shards").iterdir() for line in path.read_text().split("\n")[:-1]]
    assert Counter(json.loads(line)["key"] for line in lines) == Counter(
        item.key for item in read_items(out / "items.jsonl")
    )
    for name in ("metrics.json", "items.jsonl", "data.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    one, other = read_predictions(out), read_predictions(tmp_path / "whole")
    untimed = [{k: {**v, "elapsed_s": 0, "trace": 0} for k, v in records.items()} for records in (one, other)]
    assert untimed[0] == untimed[1]


def test_a_missing_and_a_broken_video_count_as_wrong_and_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_nextgqa(tmp_path / "gqa", missing=("22",))
    broken = data / "NExTVideo" / "1164" / "11.mp4"
    broken.write_bytes(broken.read_bytes()[:300])
    write_lines(data / "more.jsonl")
    out = tmp_path / "out"
    code, _said, told = ran(["nextgqa", "--data", str(data), *CHECKPOINT, "--out", str(out)], capsys)
    assert code == 0, told
    found, records = metrics(out), read_predictions(out)
    assert found["counts"]["missing_video"] == 2
    assert found["counts"]["errors"] >= 2
    assert found["figures"]["Acc"]["mean"] == 0.0
    assert found["figures"]["Acc"]["asked"] == 4
    assert found["figures"]["mIoU"]["mean"] == 0.0
    errors = [record["error"] for record in records.values()]
    assert sum("11.mp4" in error for error in errors) == 2
    assert sum("0001/22" in error for error in errors) == 2
    assert "0001/22" in told  # named before anything is asked
    page = (out / "report.html").read_text()
    assert "11.mp4" in page
    assert "0001/22" in page


def test_what_failed_can_be_asked_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = make_nextgqa(tmp_path / "gqa"), tmp_path / "out"
    film = data / "NExTVideo" / "1164" / "11.mp4"
    whole = film.read_bytes()
    film.write_bytes(whole[:300])
    arguments = ["nextgqa", "--data", str(data), *CHECKPOINT, "--plan", "answer", "--out", str(out)]
    assert run.main(arguments) == 0
    film.write_bytes(whole)
    assert run.main(arguments) == 0
    assert metrics(out)["counts"]["errors"] == 2  # what is done is done
    assert run.main([*arguments, "--retry-failed"]) == 0
    assert metrics(out)["counts"]["errors"] == 0
    assert "2 of 4 questions have their record already" in capsys.readouterr().err


def test_the_first_questions_are_asked_first_and_the_rest_later(tmp_path: Path) -> None:
    data, out = examples(tmp_path, 2), tmp_path / "out"
    assert run.main(command(data, out, "--limit", "3")) == 0
    first = read_predictions(out)
    assert len(first) == metrics(out)["items"] == 3
    assert run.main(command(data, out)) == 0
    then = read_predictions(out)
    assert len(then) == 8
    assert {key: then[key] for key in first} == first


def test_minds_are_asked_from_exchanged_evidence_and_without_the_video(tmp_path: Path) -> None:
    data, out = examples(tmp_path, 2, ("v2", "v4")), tmp_path / "out"
    assert run.main(command(data, out, "--minds")) == 0
    records = read_predictions(out)
    assert all(set(record["blind"]) == {"choice"} for record in records.values())
    swapped = [record["swap"] for record in records.values() if record["swap"] is not None]
    assert swapped
    for swap in swapped:
        assert set(swap) == set(KINDS)
        length_s = [end_s - start_s for start_s, end_s in (swap[kind]["clip"] for kind in ("true", "random"))]
        assert length_s[0] == pytest.approx(length_s[1], abs=0.01)
    minds = metrics(out)["minds"]
    assert minds["swap"]["true"]["right"]["asked"] == len(swapped)
    assert {"chance", "longest option"} <= set(minds["shortcuts"])
    assert minds["blind"]["asked"] == 4
    assert "swap" in (out / "report.md").read_text().lower()


def test_workers_say_what_one_process_says(tmp_path: Path) -> None:
    data = examples(tmp_path, 3)
    for name, more in (("one", ()), ("two", ("--workers", "2"))):
        assert subprocess.run(
            [sys.executable, "-m", "eval.run", *command(data, tmp_path / name, *more)],
            cwd=ORACLE.parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, check=False,
        ).returncode == 0  # fmt: skip
    assert (tmp_path / "one" / "metrics.json").read_bytes() == (tmp_path / "two" / "metrics.json").read_bytes()
    assert len(list((tmp_path / "two" / "shards").glob("*.jsonl"))) == 2


def test_accelerate_spreads_a_run_over_processes(tmp_path: Path) -> None:
    data, out = examples(tmp_path, 2), tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
         "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
         "--main_process_port", str(free_port()),
         "-m", "eval.run", *command(data, out)],
        cwd=ORACLE.parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert metrics(out)["counts"]["asked"] == 8
    assert len([path for path in (out / "shards").glob("*.jsonl") if path.stat().st_size]) == 2


def test_frames_at_midpoints_lie_in_the_middle_of_equal_parts(tmp_path: Path) -> None:
    video = str(ORACLE / "videos" / "v1.mp4")
    item = Item("a", video, "what happens?", ("one", "two"), 0, start_s=4.0, end_s=12.0)
    job = Job(tmp_path, str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu", plan="answer")
    worker = Worker(replace(job, frames={"answerer": 16}, midpoints=True))
    (record,) = worker.ask(Group(video, (item,)))
    worker.close()
    name, number = record["trace"]
    answered = read_traces(tmp_path / name)[number - 1].steps[-1]
    assert answered.usage is not None
    times_s = answered.usage["frames"][0]["times_s"]
    assert times_s == pytest.approx([4.25 + 0.5 * part for part in range(16)], abs=0.1)


def test_errors_inside_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> Mapping[str, Any]:
        raise ValueError("something\nodd")

    monkeypatch.setattr("eval.run_scores.score_run", broken)
    code, _, told = ran(command(examples(tmp_path, 1, ("v1",)), tmp_path / "out"), capsys)
    assert code == 1
    assert f"a failure inside: {one_line(ValueError('something odd'))}" in told
    assert len(read_predictions(tmp_path / "out")) == 1  # what was asked is not lost
