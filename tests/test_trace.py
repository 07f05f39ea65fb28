from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.agent import Agent
from agent.encode import dumps, to_json
from agent.errors import TraceError
from agent.recorder import TraceWriter
from agent.trace import read_traces
from agent.versions import git_sha, package_versions
from roles.types import Answer, Span
from tests.fakes import VIDEO, ScriptedBackbone

ROOT = Path(__file__).parent.parent


def record(path: Path, *questions: str, **options: Any) -> None:
    with TraceWriter(path, seed=7, argv=["--video", "v"], fingerprint="abc", **options) as writer:
        agent = Agent(ScriptedBackbone(), trace=writer)
        for question in questions or ("Why?",):
            agent.ask(VIDEO, question, ["one", "two"])


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "trace.jsonl"
    with TraceWriter(path, seed=7) as writer:
        result = Agent(ScriptedBackbone(), trace=writer).ask(VIDEO, "Wer? 猫", ["one", "two"], span=Span(5, 50))
    (trace,) = read_traces(path)
    assert trace.question == result.question
    assert trace.video == VIDEO
    assert trace.plan == result.plan
    assert trace.steps == result.steps
    assert trace.answer == result.answer
    assert trace.moments == result.moments
    assert trace.clip == result.clip
    assert trace.part == Span(5, 50)
    assert trace.options == ("one", "two")
    assert trace.seed == 7
    assert trace.finished
    assert trace.run["model"]["attn"] == "sdpa"
    assert trace.run["packages"]["networkx"]
    assert trace.error is None


def test_events_come_in_order_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    record(path)
    steps = ["step.begin", "step.end"]
    assert [event["event"] for event in events(path)] == [
        "trace.begin",
        "model",
        "question.begin",
        *steps,
        "plan",
        *steps * 3,
        "question.end",
        "trace.end",
    ]
    plan = events(path)[5]
    assert plan["nodes"] == ["grounder", "verifier", "answerer"]
    assert plan["edges"] == [["grounder", "verifier"], ["verifier", "answerer"]]


def test_steps_carry_openinference_attributes(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    record(path)
    ends = {event["id"]: event["attributes"] for event in events(path) if event["event"] == "step.end"}
    kinds = {name: attributes["openinference.span.kind"] for name, attributes in ends.items()}
    assert kinds == {"planner": "AGENT", "grounder": "RETRIEVER", "verifier": "RERANKER", "answerer": "LLM"}
    assert ends["answerer"]["graph.node.id"] == "answerer"
    assert ends["answerer"]["graph.node.parent_id"] == "verifier"
    assert ends["answerer"]["gen_ai.usage.input_tokens"] == 100
    assert ends["answerer"]["gen_ai.usage.output_tokens"] == 12
    assert ends["answerer"]["input.value"].startswith("Why?\nOptions:")
    assert ends["answerer"]["output.value"] == "B) In the box"
    found = ends["grounder"]["retrieval.documents"]
    assert [document["document.id"] for document in found] == ["grounder-0", "grounder-1", "grounder-2"]
    assert found[0]["document.score"] == 0.9
    assert found[0]["document.metadata"]["start_s"] == pytest.approx(30.0)
    before = [document["document.id"] for document in ends["verifier"]["reranker.input_documents"]]
    after = [document["document.id"] for document in ends["verifier"]["reranker.output_documents"]]
    assert (before, after) == (["verifier-0", "verifier-1", "verifier-2"], ["verifier-1", "verifier-2", "verifier-0"])


def test_a_step_holds_prompt_reply_frames_tokens_and_memory(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    record(path)
    step = read_traces(path)[0].steps[1]
    assert "Sally hides the marble" in step.requests[0]["prompt"]
    assert step.requests[0]["span"] == {"start_s": 0.0, "end_s": 60.0}
    assert step.raw == "The relevant moment happens in <|reg|>."
    assert step.output[0]["confidence"] == 0.9
    assert step.usage is not None
    assert step.usage["frames"] == [{"indices": [0, 25], "times_s": [0.0, 1.0], "grid_thw": [1, 4, 6]}]
    assert step.usage["seconds"] == {"vision": 0.25, "decode": 0.5}
    assert step.usage["adapter"] == "grounder"
    assert step.peak_mem_bytes == 1002


def test_one_file_holds_several_questions_and_several_runs(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    record(path, "One?", "Two?")
    record(path, "Three?")
    assert [trace.question for trace in read_traces(path)] == ["One?", "Two?", "Three?"]
    assert [len(trace.steps) for trace in read_traces(path)] == [4, 4, 4]


KILLED = """
import sys, time
from agent.agent import Agent
from agent.recorder import TraceWriter
from tests.fakes import VIDEO, ScriptedBackbone

def hang():
    print("hanging", flush=True)
    time.sleep(60)

backbone = ScriptedBackbone(failures={"verifier": hang})
Agent(backbone, trace=TraceWriter(sys.argv[1])).ask(VIDEO, "Why?")
"""


def test_a_run_killed_in_the_middle_of_a_step_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"hanging\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (trace,) = read_traces(path)
    assert [(step.id, step.status) for step in trace.steps] == [
        ("planner", "ok"),
        ("grounder", "ok"),
        ("verifier", "running"),
    ]
    assert not trace.finished
    assert trace.plan is not None
    record(path)  # and the file can be continued
    assert [trace.finished for trace in read_traces(path)] == [False, True]


@pytest.mark.parametrize("again", [False, True])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, again: bool) -> None:
    path = tmp_path / "trace.jsonl"
    record(path)
    whole = path.read_bytes()
    for cut in (3, 40, 300):
        path.write_bytes(whole[: -cut - len(whole.splitlines()[-1])])
        if again:
            record(path)
        traces = read_traces(path)
        assert len(traces) == 1 + again
        assert traces[0].question == "Why?"


def test_every_prefix_of_a_trace_opens(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    record(path)
    whole = path.read_bytes()
    first = len(whole.splitlines(keepends=True)[0])
    for length in range(first, len(whole), 211):
        path.write_bytes(whole[:length])
        read_traces(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: an empty file"),
        (b"\x00\x01binary", "line 1: not the beginning"),
        (b'{"a": 1}\n', "line 1: not the beginning"),
        (b'{"event": "trace.begin"}\n', "line 1: not an event of a Mindreel trace"),
        (b'{"event": "trace.begin", "form', "line 1: torn"),
        (b'{"event": "trace.begin", "format": "mindreel.trace", "version": 99}\n', "expected mindreel.trace 1"),
    ],
)
def test_a_foreign_file_is_refused_naming_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "foreign.jsonl"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=re.escape(message)):
        read_traces(path)


@pytest.mark.parametrize("broken", ["not json", "[1]", '{"event": "step.end", "question": 0}', '{"no": "event"}'])
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "trace.jsonl"
    record(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:6], broken, "", *lines[6:]]) + "\n")
    with pytest.raises(TraceError, match="line 7: not a"):
        read_traces(path)


def test_events_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    record(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:6], '{"event": "thought", "question": 0}', *lines[6:]]) + "\n")
    assert len(read_traces(path)) == 1


def test_a_missing_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere.jsonl: the trace cannot be read \(No such file"):
        read_traces(tmp_path / "nowhere.jsonl")


def test_a_full_disk_is_told_at_once() -> None:
    with pytest.raises(TraceError, match=r"/dev/full: the trace cannot be written \(No space left on device\)"):
        TraceWriter("/dev/full")


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "trace.jsonl", tmp_path / "deep\0" / "x", tmp_path / ("x" * 300)):
        with pytest.raises(TraceError, match="the trace cannot be written"):
            TraceWriter(path)
    with pytest.raises(TraceError, match="the trace cannot be written"):
        TraceWriter.new("v.mp4", folder=tmp_path / "file")


def test_a_file_that_is_no_trace_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(TraceError, match="the file exists and is no trace; name another"):
        TraceWriter(path)
    assert path.read_bytes() == b"precious"


def test_no_room_in_the_middle_costs_the_trace_but_not_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trace.jsonl"
    warnings: list[str] = []
    writer = TraceWriter(path, warn=warnings.append)
    agent = Agent(ScriptedBackbone(), trace=writer)
    real, left = os.write, [4]

    def write(fd: int, data: bytes) -> int:
        left[0] -= 1
        return real(fd, data) if left[0] > 0 else real(fd, data[:20])

    monkeypatch.setattr(os, "write", write)
    result = agent.ask(VIDEO, "Why?")
    writer.close()
    monkeypatch.undo()
    assert result.answer.text == "B) In the box"
    assert warnings == [f"{path}: the trace is incomplete ({os.strerror(errno.ENOSPC)})"]
    assert writer.problem == warnings[0]
    assert read_traces(path)[0].steps[0].status == "ok"


def test_trouble_is_told_on_stderr_unless_asked_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = TraceWriter(tmp_path / "trace.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: 0)
        writer.model({})
    assert "mindreel: warning: " in capsys.readouterr().err
    writer.close()
    writer.close()


def test_no_room_for_the_first_line_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trace.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: 0)
        with pytest.raises(TraceError, match="No space left"):
            TraceWriter(path)
    assert not path.exists()


def test_default_names_never_overwrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "20250101-120000")
    paths = []
    for video in ("a/My video!.mp4", "a/My video!.mp4", "..."):
        with TraceWriter.new(video, folder=tmp_path) as writer:
            paths.append(writer.path.name)
    assert paths == [
        "20250101-120000-My_video.jsonl",
        "20250101-120000-My_video-2.jsonl",
        "20250101-120000-video.jsonl",
    ]


def test_a_trace_without_a_question_can_be_dropped(tmp_path: Path) -> None:
    unasked, asked = tmp_path / "unasked.jsonl", tmp_path / "asked.jsonl"
    TraceWriter(unasked).close("bad input", keep_unasked=False)
    assert not unasked.exists()
    record(asked)
    TraceWriter(asked).close("bad input", keep_unasked=False)
    assert asked.exists()


def test_a_run_that_fails_says_so_in_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with pytest.raises(RuntimeError, match="boom"), TraceWriter(path):
        raise RuntimeError("boom")
    assert events(path)[-1]["outcome"] == "RuntimeError: boom"


def test_anything_becomes_json() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    values = {"nan": float("nan"), "path": Path("a"), "set": {1}, "bytes": b"x", "odd": Odd(), 3: (True, None)}
    assert to_json(values) == {
        "nan": None,
        "path": "a",
        "set": [1],
        "bytes": "b'x'",
        "odd": "<odd>",
        "3": [True, None],
    }
    assert to_json(Answer("a", None, ())) == {"text": "a", "choice": None, "moments": [], "option_probs": None}
    assert to_json(ScriptedBackbone().prompts.get("grounder", "reply").fill()).startswith("The relevant")
    assert dumps({"a": "猫"}) == '{"a": "猫"}'
    assert json.loads(dumps({"a": "bad \udcff name"})) == {"a": "bad \udcff name"}


def test_versions_of_what_runs_are_known(tmp_path: Path) -> None:
    assert package_versions()["mindreel"]
    assert git_sha(tmp_path) is None
    here = git_sha(ROOT)
    assert here is None or re.fullmatch(r"[0-9a-f]{40}", here)
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert git_sha(tmp_path) is None
    (git / "packed-refs").write_text("# pack-refs\n1111 refs/heads/main\n")
    assert git_sha(tmp_path) == "1111"
    (git / "refs" / "heads" / "main").write_text("2222\n")
    assert git_sha(tmp_path) == "2222"
    (git / "HEAD").write_text("3333\n")
    assert git_sha(tmp_path) == "3333"
    tree, linked = tmp_path / "tree", git / "worktrees" / "tree"
    tree.mkdir()
    linked.mkdir(parents=True)
    (tree / ".git").write_text(f"gitdir: {linked}\n")
    (linked / "HEAD").write_text("ref: refs/heads/main\n")
    (linked / "commondir").write_text("../..\n")
    assert git_sha(tree) == "2222"
