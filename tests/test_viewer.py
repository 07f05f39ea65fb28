"""What the viewer's server says of traces: lists, details, truths, news."""

from __future__ import annotations

import copy
import http.client
import io
import json
import os
import random
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agent.trace import read_traces
from agent.viewer.app import answer
from agent.viewer.detail import list_json, trace_json
from agent.viewer.files import Index
from agent.viewer.media import Places
from agent.viewer.otlp import spans_of
from agent.viewer.text import tree
from roles.errors import InputError
from tests.fakes import ScriptedBackbone
from tests.viewer_folder import (
    OPTIONS,
    all_kinds,
    answered,
    damaged,
    evaluated,
    failed,
    fell_back,
    many_steps,
    running,
    served,
    torn,
)

ROW = {
    "id",
    "file",
    "number",
    "question",
    "options",
    "answer",
    "video",
    "started_s",
    "elapsed_s",
    "status",
    "steps",
    "right",
    "span_right",
    "iou",
    "confidence",
    "key",
    "problem",
}
ITEM = {
    "start_s",
    "end_s",
    "label",
    "detail",
    "shade",
    "chosen",
    "rank",
    "was_rank",
    "p_yes",
    "p_no",
    "thumb",
    "step",
}
STEP = {
    "id",
    "role",
    "query",
    "status",
    "started_s",
    "elapsed_s",
    "reason",
    "error",
    "notes",
    "prompt",
    "raw",
    "parsed",
    "usage",
    "peak_mem_bytes",
    "adapter",
    "frames",
}


def test_the_list_has_a_row_for_each_question_newest_first(tmp_path: Path) -> None:
    all_kinds(tmp_path / "runs")
    with served(tmp_path / "runs") as viewer:
        listed = viewer.get("/api/traces").json()
    rows = listed["traces"]
    assert listed["folder"] == str(tmp_path / "runs")
    assert all(set(row) >= ROW for row in rows)
    assert [row["started_s"] for row in rows] == sorted((row["started_s"] for row in rows), reverse=True)
    by_question = {row["question"]: row for row in rows}
    assert {question: row["status"] for question, row in by_question.items()} == {
        "First?": "ok",
        "Second?": "ok",
        "What fell back?": "fallback",
        "What failed?": "failed",
        "What runs?": "running",
        "What is torn?": "running",
        "What is damaged?": "broken",
    }
    assert by_question["Second?"]["number"] == 1
    assert by_question["Second?"]["file"] == "ok.jsonl"
    assert by_question["First?"]["answer"] == "In the box"
    assert by_question["First?"]["video"] == "sally.mp4"
    assert by_question["What fell back?"]["steps"]["grounder"] == "fallback"
    assert by_question["What failed?"]["steps"]["answerer"] == "failed"
    assert "not whole" in by_question["What is torn?"]["problem"]
    assert "line 7: not a JSON object" in by_question["What is damaged?"]["problem"]
    assert {one["file"] for one in listed["problems"]} == {"damaged.jsonl", "foreign.jsonl"}
    assert "not the beginning of a Mindreel trace" in str(listed["problems"])
    assert by_question["First?"]["right"] is None


def test_a_trace_is_told_in_full(tmp_path: Path) -> None:
    answered(tmp_path / "a.jsonl")
    with served(tmp_path) as viewer:
        told = viewer.trace("Where will Sally look?")
    assert set(told["summary"]) >= ROW
    assert told["options"] == [
        {"text": "In the basket", "letter": "A", "prob": None, "chosen": False, "right": None},
        {"text": "In the box", "letter": "B", "prob": None, "chosen": True, "right": None},
    ]
    assert told["answer"] == "In the box"
    assert (told["previous"], told["next"], told["part"], told["error"]) == (None, None, None, None)
    assert told["video"]["duration_s"] == 60.0
    assert told["video"]["url"] is None
    assert "sally.mp4: not found" in told["video"]["problem"]
    assert told["run"]["seed"] == 7
    steps = told["steps"]
    assert [step["role"] for step in steps] == ["planner", "grounder", "verifier", "answerer"]
    assert all(set(step) >= STEP for step in steps)
    assert steps[0]["started_s"] == 0.0
    assert all(one["started_s"] <= other["started_s"] for one, other in pairwise(steps))
    assert "Sally hides the marble" in steps[1]["prompt"][0]
    assert steps[1]["raw"] == "The relevant moment happens in <|reg|>."
    assert steps[1]["parsed"][0]["confidence"] == 0.9
    assert steps[1]["adapter"] == "grounder"
    assert steps[1]["frames"] == 2
    assert len(steps[2]["prompt"]) == 3
    assert steps[3]["usage"]["input_tokens"] == 100


def test_lanes_say_what_was_found_ranked_chosen_and_seen(tmp_path: Path) -> None:
    answered(tmp_path / "a.jsonl")
    with served(tmp_path) as viewer:
        lanes = {lane["id"]: lane for lane in viewer.trace("Where will Sally look?")["lanes"]}
    assert all(set(item) >= ITEM for lane in lanes.values() for item in lane["items"])
    assert {lane["kind"] for lane in lanes.values()} <= {"ticks", "spans", "subtitles", "levels"}
    found = lanes["grounder"]["items"]
    assert [(item["start_s"], item["rank"]) for item in found] == [(30.0, 1), (6.0, 2), (42.0, 3)]
    assert [item["shade"] for item in found] == [0.9, 0.8, 0.3]
    assert not any(item["chosen"] for item in found)  # the verifier put another first
    ranked = lanes["verifier"]["items"]
    assert [(item["start_s"], item["rank"], item["was_rank"]) for item in ranked] == [
        (6.0, 1, 2),
        (42.0, 2, 3),
        (30.0, 3, 1),
    ]
    assert [(item["p_yes"], item["p_no"]) for item in ranked] == [(0.9, 0.05), (0.4, 0.4), (0.2, 0.7)]
    assert [item["chosen"] for item in ranked] == [True, False, False]
    (chosen,) = lanes["chosen"]["items"]
    assert (chosen["start_s"], chosen["end_s"], chosen["p_yes"]) == (6.0, 12.0, 0.9)
    assert lanes["clip"]["items"][0]["start_s"] == 0.0
    ticks = lanes["frames:verifier"]["items"]
    assert [(tick["start_s"], tick["end_s"]) for tick in ticks] == [(0.0, 0.0), (1.0, 1.0)]
    assert ticks[0]["detail"] == "seen for candidate 1, 2, 3"
    assert {tick["step"] for tick in lanes["frames:answerer"]["items"]} == {"answerer"}


def test_the_graph_runs_from_left_to_right_and_keeps_what_was_skipped(tmp_path: Path) -> None:
    answered(tmp_path / "a.jsonl", "Without a moment?", backbone=ScriptedBackbone(plan='[{"type": "answerer"}]'))
    answered(tmp_path / "b.jsonl", "With one?")
    with served(tmp_path) as viewer:
        short, graph = (viewer.trace(question)["graph"] for question in ("Without a moment?", "With one?"))
    statuses = {node["role"]: node["status"] for node in short["nodes"]}
    assert statuses == {"planner": "ok", "grounder": "skipped", "verifier": "skipped", "answerer": "ok"}
    places = {node["id"]: node["x"] for node in graph["nodes"]}
    assert places["planner"] < places["grounder"] < places["verifier"] < places["answerer"]
    assert all(0 < node["x"] < graph["width"] and 0 < node["y"] < graph["height"] for node in graph["nodes"])
    assert graph["edges"] == [["planner", "grounder"], ["grounder", "verifier"], ["verifier", "answerer"]]
    for node in short["nodes"]:
        others = [(one["x"], one["y"]) for one in short["nodes"] if one["id"] != node["id"]]
        assert (node["x"], node["y"]) not in others


def test_the_films_of_a_world_are_no_foreign_traces(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "examples.jsonl").write_text('{"video": "a.mp4", "question": "Where?"}\n')
    for there in (False, True):
        if there:
            (tmp_path / "films" / "manifest.json").write_text("{}")
        index = Index([tmp_path])
        index.refresh()
        assert bool(index.problems()) is not there


def test_a_circle_in_a_foreign_plan_is_drawn_too(tmp_path: Path) -> None:
    path = answered(tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for event in lines:
        if event["event"] == "plan":
            event["edges"] += [["answerer", "grounder"], ["nobody", "grounder"]]
    path.write_text("".join(json.dumps(event) + "\n" for event in lines))
    with served(tmp_path) as viewer:
        graph = viewer.trace("Where will Sally look?")["graph"]
    assert len({(node["x"], node["y"]) for node in graph["nodes"]}) == 4


@pytest.mark.parametrize(
    ("make", "question"), [(failed, "What failed?"), (running, "What runs?"), (torn, "What is torn?")]
)
def test_what_did_not_end_well_opens_as_far_as_it_got(tmp_path: Path, make: Any, question: str) -> None:
    make(tmp_path / "a.jsonl")
    with served(tmp_path) as viewer:
        told = viewer.trace(question)
    statuses = {node["role"]: node["status"] for node in told["graph"]["nodes"]}
    if make is failed:
        assert "out of luck" in told["error"]
        assert statuses["answerer"] == "failed"
    else:
        assert told["summary"]["elapsed_s"] is None
        assert statuses["answerer"] == "waiting"


def test_a_run_that_went_on_without_an_end_is_broken(tmp_path: Path) -> None:
    path = running(tmp_path / "a.jsonl")
    with served(tmp_path) as viewer:
        assert viewer.rows()["What runs?"]["status"] == "running"
        answered(path, "Again?")
        rows = viewer.rows()
    assert rows["What runs?"]["status"] == "broken"
    assert "in the middle of this question" in rows["What runs?"]["problem"]
    assert rows["Again?"]["status"] == "ok"


def test_a_run_that_writes_nothing_for_long_may_have_been_stopped(tmp_path: Path) -> None:
    path = running(tmp_path / "a.jsonl")
    os.utime(path, (time.time() - 7200, time.time() - 7200))
    with served(tmp_path) as viewer:
        assert viewer.rows()["What runs?"]["problem"].startswith("nothing was written for 2 hours")


def test_an_evaluation_says_what_was_right(tmp_path: Path) -> None:
    with served(evaluated(tmp_path / "run")) as viewer:
        rows = viewer.rows()
        told = viewer.trace("Right?")
        first = viewer.trace("Wrong?")
        problems = viewer.get("/api/traces").json()["problems"]
    judged = {name: (row["right"], row["span_right"]) for name, row in rows.items()}
    assert judged == {"Right?": (True, True), "Wrong moment?": (True, False), "Wrong?": (False, True)}
    assert rows["Right?"]["iou"] == 1.0
    assert rows["Wrong moment?"]["iou"] == 0.0
    assert rows["Right?"]["key"] == "q0"
    assert problems == []  # its own files are no broken traces
    assert [option["right"] for option in told["options"]] == [False, True]
    assert [item["start_s"] for item in told["lanes"][0]["items"]] == [6.0, 40.0]
    assert told["lanes"][0]["id"] == "truth"
    # The order is that of the items, across files.
    assert first["previous"] is None
    assert first["next"] == rows["Right?"]["id"]
    assert (told["previous"], told["next"]) == (rows["Wrong?"]["id"], rows["Wrong moment?"]["id"])


def test_an_evaluation_is_read_while_it_runs_and_odd_lines_are_told(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run")
    (run / "shards").mkdir()
    records = (run / "predictions.jsonl").read_text().splitlines(keepends=True)
    (run / "predictions.jsonl").unlink()
    shard = run / "shards" / "one.jsonl"
    shard.write_text(records[0] + "rubbish\n" + '[1]\n{"key": "q1", "trace": 5}\n{"torn')
    with served(run) as viewer:
        rows = viewer.rows()
        assert rows["Right?"]["right"] is True
        assert rows["Wrong?"]["right"] is None
        problems = [one["message"] for one in viewer.get("/api/traces").json()["problems"]]
        shard.write_text("".join(records))
        assert viewer.rows()["Wrong?"]["right"] is False
    assert problems == [f"run/one.jsonl, line {number}: not a JSON object; passed over" for number in (2, 3)]


def test_a_question_walks_along_its_file(tmp_path: Path) -> None:
    answered(tmp_path / "a.jsonl", "One?", "Two?", "Three?")
    with served(tmp_path) as viewer:
        rows = viewer.rows()
        told = viewer.trace("Two?")
    assert (told["previous"], told["next"]) == (rows["One?"]["id"], rows["Three?"]["id"])


def test_subtitles_that_may_be_read_get_a_lane(tmp_path: Path) -> None:
    (tmp_path / "lines.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nWhere is <b>it</b>?\n")
    answered(tmp_path / "a.jsonl", "Heard?", argv=["--subtitles", str(tmp_path / "lines.srt")])
    (tmp_path / "elsewhere").mkdir()
    answered(tmp_path / "elsewhere" / "b.jsonl", "Deaf?", argv=["--subtitles", str(tmp_path / "lines.srt")])
    with served(tmp_path) as viewer:
        lane = next(lane for lane in viewer.trace("Heard?")["lanes"] if lane["id"] == "subtitles")
    with served(tmp_path / "elsewhere") as viewer:
        assert "subtitles" not in {lane["id"] for lane in viewer.trace("Deaf?")["lanes"]}
    assert lane["kind"] == "subtitles"
    assert [(item["start_s"], item["end_s"], item["label"]) for item in lane["items"]] == [(1.0, 2.5, "Where is it?")]


def test_what_json_has_no_word_for_becomes_null(tmp_path: Path) -> None:
    path = answered(tmp_path / "a.jsonl")
    path.write_text(path.read_text().replace('"confidence": 0.9', '"confidence": NaN'))
    with served(tmp_path) as viewer:
        told = viewer.trace("Where will Sally look?")
    assert told["steps"][1]["parsed"][0]["confidence"] is None


@pytest.mark.parametrize("id_", ["nonsense", "-1", "0-0", "..", "%2e%2e", "a" * 5000])
def test_an_unknown_id_is_not_found(tmp_path: Path, id_: str) -> None:
    answered(tmp_path / "a.jsonl")
    with served(tmp_path) as viewer:
        key = viewer.rows()["Where will Sally look?"]["id"].split("-")[0]
        for one in (id_, f"{key}-99", f"{key}-", f"{key}--1", f"{key}-x", f"{key}-99999999999999999999"):
            assert viewer.get(f"/api/trace/{one}").status == 404, one


def test_news_arrive_when_a_trace_grows(tmp_path: Path) -> None:
    path = running(tmp_path / "a.jsonl")
    with served(tmp_path) as viewer:
        connection = http.client.HTTPConnection("127.0.0.1", viewer.port, timeout=10)
        connection.request("GET", "/events")
        stream = connection.getresponse()
        assert stream.getheader("content-type", "").startswith("text/event-stream")
        assert stream.readline() == b"event: hello\n"
        stream.readline(), stream.readline()
        with path.open("a") as file:
            file.write('{"event": "thought", "question": 0}\n')
        assert stream.readline() == b"event: changed\n"
        assert json.loads(stream.readline().removeprefix(b"data: ")) == {"files": ["a.jsonl"]}
        stream.readline()
        answered(tmp_path / "new.jsonl", "New?")
        assert stream.readline() == b"event: changed\n"
        connection.close()
        assert viewer.rows()["New?"]["status"] == "ok"


def test_only_what_grew_is_read_and_what_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = running(tmp_path / "a.jsonl")
    index = Index([tmp_path])
    assert index.refresh() == ["a.jsonl"]
    assert index.refresh() == []
    (file,) = index.files
    read: list[bytes] = []
    reader = file._reader
    assert reader is not None
    feed = reader.feed

    def counted(data: bytes) -> set[int]:
        read.append(data)
        return feed(data)

    reader.feed = counted  # type: ignore[method-assign]
    with path.open("a") as opened:
        opened.write('{"event": "thought", "question": 0}\n')
    assert index.refresh() == ["a.jsonl"]
    assert read == [b'{"event": "thought", "question": 0}\n']
    answered(tmp_path / "other.jsonl", "Quite another, and longer than before?", "And one more?")
    path.write_bytes((tmp_path / "other.jsonl").read_bytes())
    index.refresh()
    assert [summary.trace.question for summary in file.summaries if summary.trace] == [
        "Quite another, and longer than before?",
        "And one more?",
    ]
    path.unlink()
    assert index.refresh() == ["a.jsonl"]
    assert [file.name for file in index.files] == ["other.jsonl"]


def test_a_file_that_is_mended_is_shown(tmp_path: Path) -> None:
    path = damaged(tmp_path / "a.jsonl")
    index = Index([tmp_path])
    index.refresh()
    assert index.files[0].problem is not None
    path.write_text(path.read_text().replace("rubbish\n", ""))
    index.refresh()
    assert index.files[0].problem is None
    assert index.files[0].summaries[0].status == "ok"


def test_every_prefix_of_a_trace_is_listed(tmp_path: Path) -> None:
    whole = answered(tmp_path / "a.jsonl", "One?", "Two?").read_bytes()
    path = tmp_path / "grows.jsonl"
    index = Index([tmp_path])
    for length in range(0, len(whole) + 1, 997):
        path.write_bytes(whole[:length])
        index.refresh()
    path.write_bytes(whole)
    index.refresh()
    (file,) = [file for file in index.files if file.path == path]
    assert [summary.status for summary in file.summaries] == ["ok", "ok"]


def test_5000_steps_open_fast(tmp_path: Path) -> None:
    path = many_steps(tmp_path / "many.jsonl")
    assert path.stat().st_size > 10_000_000
    began = time.perf_counter()
    assert len(read_traces(path)[0].steps) >= 5_000
    read_s = time.perf_counter() - began
    with served(tmp_path) as viewer:
        began = time.perf_counter()
        told = viewer.trace("How many steps?")
        served_s = time.perf_counter() - began
    assert len(told["steps"]) >= 5_000
    assert len(told["graph"]["nodes"]) >= 5_000
    assert read_s < 5
    assert served_s < 5


def test_a_folder_of_many_traces_is_listed_fast(tmp_path: Path) -> None:
    content = answered(tmp_path / "first.jsonl").read_bytes()
    for number in range(1_000):
        (tmp_path / f"{number}.jsonl").write_bytes(content)
    index = Index([tmp_path])
    began = time.perf_counter()
    index.refresh()
    first_s = time.perf_counter() - began
    began = time.perf_counter()
    index.refresh()
    again_s = time.perf_counter() - began
    assert len(index.files) == 1_001
    assert first_s < 5
    assert again_s < 1


def test_files_may_be_named_beside_folders(tmp_path: Path) -> None:
    one = answered(tmp_path / "x" / "one.jsonl", "One?")
    answered(tmp_path / "x" / "unnamed.jsonl", "Unnamed?")
    answered(tmp_path / "y" / "two.jsonl", "Two?")
    answered(tmp_path / "z" / ".hidden" / "three.jsonl", "Three?")
    with served(one, tmp_path / "y", tmp_path / "z") as viewer:
        rows = viewer.rows()
    assert {row["question"]: row["file"] for row in rows.values()} == {"One?": "one.jsonl", "Two?": "y/two.jsonl"}


def test_what_is_named_must_be_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for named, message in ((tmp_path / "nowhere", "no such file"), (tmp_path / "pipe.jsonl", "neither a file nor")):
        with pytest.raises(InputError, match=message):
            Index([named])
    assert Index([tmp_path]).refresh() == []  # and a pipe in a folder is not waited for


def test_hostile_texts_come_through_as_they_are(tmp_path: Path) -> None:
    text = "</script><script>alert(1)</script>\"'&\u2028\x00"
    answered(tmp_path / "a.jsonl", text)
    with served(tmp_path) as viewer:
        listed = viewer.get("/api/traces")
        assert listed.headers["content-type"] == "application/json"
        assert listed.headers["x-content-type-options"] == "nosniff"
        assert viewer.trace(text)["question"] == text
    assert OPTIONS[0] in listed.body.decode()


ODD = [None, -1, 3.5, "x", [], {}, True, [1], {"a": 1}, float("nan"), float("inf"), "\ud800", 10**30, [[1, 2]], [None]]


def places_in(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    if way:
        yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places_in(one, (*way, key))


def test_no_odd_value_anywhere_takes_the_viewer_down(tmp_path: Path) -> None:
    path = answered(tmp_path / "a.jsonl")
    whole = [json.loads(line) for line in path.read_text().splitlines()]
    places = list(places_in(whole))
    dice = random.Random("odd values")  # noqa: S311 - no secret
    opened = refused = 0
    for _ in range(400):
        events = copy.deepcopy(whole)
        *way, last = dice.choice([place for place in places if len(place) > 1])
        value: Any = events
        for key in way:
            value = value[key]
        value[last] = dice.choice(ODD)
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        index = Index([path])
        index.refresh()
        assert answer(list_json(index)).status_code == 200
        (file,) = index.files
        assert file.problem is None or re.search(r"line \d+", file.problem)
        for summary in file.summaries:
            opened += 1
            told = trace_json(index, Places(index.roots), "x", file, summary.number)
            assert json.loads(bytes(answer(told).body))["id"] == "x"
            trace = index.trace(file, summary.number)
            Console(file=io.StringIO()).print(tree(trace, summary, None, "x"))
            assert spans_of(trace, None, "x")
        refused += file.problem is not None
    assert opened > 200
    assert 40 < refused < 360


def test_what_a_fallback_goes_on_with_is_shown(tmp_path: Path) -> None:
    fell_back(tmp_path / "a.jsonl")
    with served(tmp_path) as viewer:
        told = viewer.trace("What fell back?")
    lanes = {lane["id"]: lane for lane in told["lanes"]}
    assert lanes["grounder"]["title"] == "Fallback: grounder"
    assert [item["rank"] for item in lanes["grounder"]["items"]] == [1, 2, 3, 4, 5]
    assert sum(item["chosen"] for item in lanes["verifier"]["items"]) == 1
    assert not any(item["chosen"] for item in lanes["grounder"]["items"])
