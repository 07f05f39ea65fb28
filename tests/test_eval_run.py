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
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.frames import open_video
from agent import Agent, read_traces
from agent.errors import one_line
from eval import run
from eval.asking import Job, LostDeviceError, Worker
from eval.evidence_swap import KINDS, TIGHT_S, swap_clips
from eval.item import Group, Item, read_items
from eval.run_folder import Shard, read_predictions, read_records, write_predictions
from eval.steady_model import SteadyModel
from roles.errors import DataError
from roles.types import Moment, Span
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


@pytest.fixture(scope="module")
def steady() -> SteadyModel:
    model = SteadyModel.load(str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu")
    assert isinstance(model, SteadyModel)
    model.reader._size = 32
    return model


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


def test_the_agent_alone_says_the_same(tmp_path: Path, steady: SteadyModel) -> None:
    data, out = examples(tmp_path, 2, ("v1",)), tmp_path / "out"
    assert run.main([*command(data, out, "--frames", "8")]) == 0
    item = read_items(out / "items.jsonl")[0]
    job = Job(out, frames={"answerer": 8}, plan="answer")
    worker = Worker.__new__(Worker)
    worker._job, worker.model = job, steady
    with open_video(item.video) as file:
        video = steady.watch(file)
        result = Agent(steady, worker._settings).ask(video, item.question, item.options)
        steady.forget(video)
    assert read_predictions(out)[item.key]["said"] == result.answer.text
    assert result.steps[-1].usage is not None
    assert len(result.steps[-1].usage["frames"][0]["indices"]) <= 8


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


def test_another_run_in_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = examples(tmp_path, 1, ("v1",)), tmp_path / "out"
    assert run.main(command(data, out)) == 0
    kept = (out / "metrics.json").read_bytes()
    code, _, told = ran(command(data, out, "--frames", "8"), capsys)
    assert code == 2
    assert "another frames" in told
    assert told.count("\n") == told.count("mindreel: ")
    with (data / "test.jsonl").open("a") as file:
        file.write("\n")
    code, _, told = ran(command(data, out), capsys)
    assert code == 2
    assert "another data" in told
    assert (out / "metrics.json").read_bytes() == kept


def test_a_second_run_at_the_same_time_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from eval.run_folder import only_one

    data, out = examples(tmp_path, 1, ("v1",)), tmp_path / "out"
    script = "import sys, time; from pathlib import Path; from eval.run_folder import only_one\n" \
        "with only_one(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", script, str(out)], stdout=subprocess.PIPE, cwd=ORACLE.parents[2]
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        code, _, told = ran(command(data, out), capsys)
        other.kill()
    assert code == 2
    assert "another run is at work" in told
    with only_one(out):
        pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nextgqa", "--out", "OUT"], "--data"),
        (["nothing", "--out", "OUT"], "nothing"),
        (["examples", "--data", "nowhere", "--out", "OUT"], "nowhere"),
        (["examples", "--data", "DATA", "--out", "OUT", "--model", "nowhere", "--plan", "answer"], "nowhere"),
        (["examples", "--data", "DATA", "--out", "OUT", "--limit", "0"], "1 or more"),
        (["examples", "--data", "DATA", "--out", "OUT", "--timeout", "-1"], "timeout"),
        (["examples", "--data", "DATA"], "--out"),
        (["worlds", "--videos", "DATA", "--out", "OUT"], "--data"),
        (["worlds", "--split", "nothing", "--out", "OUT"], "nothing"),
        (["worlds", "--seed", "99999999999", "--out", "OUT"], "split"),
    ],
)
def test_wrong_use_is_told_in_a_line(
    arguments: Sequence[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = examples(tmp_path, 1, ("v1",))
    places = {"OUT": str(tmp_path / "out"), "DATA": str(data)}
    try:
        code = run.main([places.get(one, one) for one in arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    told = capsys.readouterr().err.strip().split("\n")
    assert code == 2
    assert words in "\n".join(told)
    assert "Traceback" not in "\n".join(told)
    assert any(line.startswith("mindreel: error: ") for line in told)


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
         "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(free_port()),
         "-m", "eval.run", *command(data, out)],
        cwd=ORACLE.parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert metrics(out)["counts"]["asked"] == 8
    assert len([path for path in (out / "shards").glob("*.jsonl") if path.stat().st_size]) == 2


def texts(model: SteadyModel, items: Sequence[Item], order: Sequence[int]) -> dict[str, tuple[Any, ...]]:
    """What a model says of some questions, bit by bit, asked in an order."""
    said = {}
    with open_video(items[0].video) as file:
        video = model.watch(file)
        try:
            agent = Agent(model)
            for at in order:
                result = agent.ask(video, items[at].question, items[at].options)
                moments = tuple((one.span, one.confidence, one.p_yes) for one in result.moments)
                said[items[at].key] = (result.answer.text, result.answer.option_probs, moments)
        finally:
            model.forget(video)
    return said


def test_what_was_asked_before_changes_no_bit(steady: SteadyModel, tmp_path: Path) -> None:
    examples(tmp_path, 4, ("v2",))
    rows = [json.loads(line) for line in (tmp_path / "data" / "test.jsonl").read_text().splitlines()]
    items = [Item(row["tags"]["id"], row["video"], row["question"], tuple(row["options"])) for row in rows]
    before = steady.reader.reused_tokens
    together = texts(steady, items, range(4))
    assert steady.reader.reused_tokens > before  # something was read once for several questions
    for at, item in enumerate(items):
        assert texts(steady, items, [at])[item.key] == together[item.key]
    assert texts(steady, items, [3, 1, 0, 2]) == together


def test_read_in_chunks_a_prompt_says_what_it_says_in_one_piece(steady: SteadyModel) -> None:
    generator = torch.Generator().manual_seed(0)
    embeds = torch.randn((1, 83, 128), generator=generator)
    positions = torch.arange(83)[None, None].expand(3, 1, 83)
    plain = super(type(steady.reader), steady.reader)
    with torch.inference_mode():
        whole = plain.forward(embeds, positions)
        chunked = [steady.reader.forward(embeds, positions) for _ in range(2)]
    steady.reader.forget()
    assert torch.equal(chunked[0], chunked[1])
    torch.testing.assert_close(chunked[0], whole, rtol=1e-4, atol=1e-4)


def test_a_failed_device_ends_the_worker_and_is_nobody_s_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AcceleratorError(RuntimeError):
        pass

    def broken(*_: object, **__: object) -> None:
        raise AcceleratorError("an illegal memory access was encountered")

    job = Job(tmp_path, str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu", plan="answer")
    worker = Worker(job)
    monkeypatch.setattr(worker.model, "write", broken)
    item = Item("a", str(ORACLE / "videos" / "v1.mp4"), "what happens?")
    with pytest.raises(LostDeviceError, match="illegal memory access"):
        list(worker.ask(Group(item.video, (item,))))
    worker.close()
    assert read_records(tmp_path) == {}


def test_a_question_that_cannot_be_asked_is_an_error_of_its_own(tmp_path: Path) -> None:
    video = str(ORACLE / "videos" / "v1.mp4")
    items = (
        Item("good", video, "what happens?", ("one", "two"), 0),
        Item("beyond", video, "what happens?", ("one", "two"), 0, start_s=500.0, end_s=600.0),
        Item("subtitles", video, "what happens?", ("one", "two"), 0, subtitles=str(tmp_path / "none.srt")),
        Item("good too", video, "what happens?", ("one", "two"), 0, subtitles=str(ORACLE / "subs" / "v2.srt")),
    )
    worker = Worker(Job(tmp_path, str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu", plan="answer"))
    records = {record["key"]: record for record in worker.ask(Group(video, items))}
    worker.close()
    assert [key for key, record in records.items() if record["error"] is not None] == ["beyond", "subtitles"]
    assert "500" in records["beyond"]["error"]
    assert [record["trace"] and record["trace"][1] for record in records.values()] == [1, None, None, 2]
    assert "none.srt" in records["subtitles"]["error"]
    assert records == read_records(tmp_path)


def test_a_moment_alone_is_looked_for_and_nothing_answered(tmp_path: Path) -> None:
    item = Item("a", str(ORACLE / "videos" / "v1.mp4"), "a square moves", spans=(Span(1.0, 2.0),))
    worker = Worker(Job(tmp_path, str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu", plan="moment"))
    (record,) = worker.ask(Group(item.video, (item,)))
    worker.close()
    assert record["plan"] == ["grounder", "verifier"]
    assert record["said"] is None
    assert record["error"] is None
    assert 1 <= len(record["spans"]) <= 5


def test_swapped_clips_lie_where_they_should() -> None:
    part = Span(10.0, 70.0)
    found = [Moment(Span(50.0, 52.0), 0.9)]
    clips = swap_clips([Span(20.0, 22.0)], found, part, "key", "best")
    assert set(clips) == set(KINDS)
    assert clips["true"].length_s == pytest.approx(TIGHT_S)
    assert clips["true"].start_s <= 20.0
    assert clips["true"].end_s >= 22.0
    assert clips["predicted"].start_s <= 50.0
    assert clips["predicted"].end_s >= 52.0
    assert clips["random"].length_s == pytest.approx(TIGHT_S)
    assert clips["complement"] == Span(clips["true"].end_s, 70.0)
    assert swap_clips([Span(20.0, 22.0)], found, part, "key", "best") == clips
    assert swap_clips([Span(20.0, 22.0)], found, part, "other", "best")["random"] != clips["random"]
    assert "complement" not in swap_clips([Span(10.0, 69.0)], found, part, "key", "best")
    assert swap_clips([Span(20.0, 22.0)], [], part, "key", "best")["predicted"] == part


def test_a_full_disk_ends_the_run_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard(tmp_path)
    shard.add({"key": "a"})

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eval.run_folder.os.write", full)
    with pytest.raises(DataError, match=r"No space left.*run the same command again"):
        shard.add({"key": "b"})
    monkeypatch.undo()
    assert read_records(tmp_path) == {"a": {"key": "a"}}


def test_a_record_of_an_answer_wins_over_one_of_an_error(tmp_path: Path) -> None:
    for error in ("it broke", None, "it broke again"):
        shard = Shard(tmp_path)
        shard.add({"key": "a", "error": error})
        shard.close()
    assert read_records(tmp_path) == {"a": {"key": "a", "error": None}}


def test_half_a_character_in_a_reply_is_kept(tmp_path: Path) -> None:
    shard = Shard(tmp_path)
    shard.add({"key": "a", "said": "half \ud83d of é"})
    shard.close()
    records = read_records(tmp_path)
    assert records["a"]["said"] == "half \ud83d of é"
    write_predictions(tmp_path, [Item("a", "v.mp4", "what?")], records)
    assert read_predictions(tmp_path) == records


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "a.jsonl").write_text('{"key": "a"}\nnothing\n{"key": "b"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: line 2"):
        read_records(tmp_path)


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


def test_too_many_traces_of_a_video_get_other_names(tmp_path: Path) -> None:
    item = Item("a", str(ORACLE / "videos" / "v1.mp4"), "what happens?")
    worker = Worker(Job(tmp_path, str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu", plan="answer"))
    traces = [record["trace"][0] for _ in range(3) for record in worker.ask(Group(item.video, (item,)))]
    worker.close()
    assert len(set(traces)) == 3
    assert all((tmp_path / trace).is_file() for trace in traces)
