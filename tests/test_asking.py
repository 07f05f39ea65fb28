"""A worker makes a record of every question, whatever becomes of it; exchanged clips lie where they should."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eval.asking import Job, LostDeviceError, Worker
from eval.evidence_swap import KINDS, TIGHT_S, swap_clips
from eval.item import Group, Item
from eval.run_folder import read_records
from roles.types import Moment, Span
from tests.test_eval_run import ORACLE


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


def test_too_many_traces_of_a_video_get_other_names(tmp_path: Path) -> None:
    item = Item("a", str(ORACLE / "videos" / "v1.mp4"), "what happens?")
    worker = Worker(Job(tmp_path, str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu", plan="answer"))
    traces = [record["trace"][0] for _ in range(3) for record in worker.ask(Group(item.video, (item,)))]
    worker.close()
    assert len(set(traces)) == 3
    assert all((tmp_path / trace).is_file() for trace in traces)


def test_videos_that_are_no_files_are_errors_by_name_and_nothing_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    worker = Worker(Job(tmp_path, str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu", plan="answer"))
    names = ("pipe.mp4", "folder.mp4", "empty.mp4", "gone.mp4")
    items = [Item(name, str(tmp_path / name), "what happens?") for name in names]
    records = [record for item in items for record in worker.ask(Group(item.video, (item,)))]
    worker.close()
    assert [record["key"] for record in records] == list(names)
    assert all(record["key"] in record["error"] for record in records)


def test_a_trace_without_room_is_noted_and_the_answer_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = str(ORACLE / "videos" / "v1.mp4")
    items = tuple(Item(key, video, "what happens?") for key in ("kept", "not kept"))
    worker = Worker(Job(tmp_path, str(ORACLE / "base"), str(ORACLE / "videomind"), device="cpu", plan="answer"))
    asking = worker.ask(Group(video, items))
    first = next(asking)
    monkeypatch.setattr("agent.recorder.os.write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    monkeypatch.setattr(worker, "_kept", lambda record: record)
    second = next(asking)
    monkeypatch.undo()
    worker.close()
    assert first["trace"][1] == 1
    assert second["trace"] is None
    assert second["error"] is None
    assert second["said"]
    assert "its trace could not be kept" in second["notes"]
