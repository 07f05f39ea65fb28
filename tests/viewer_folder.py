"""Folders of traces of every kind, made by code, and the viewer served on a port of its own."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from agent.agent import Agent
from agent.recorder import TraceWriter
from agent.viewer.app import make_app
from agent.viewer.files import Index
from agent.viewer.media import Places
from roles.types import Video
from tests.fakes import VIDEO, ScriptedBackbone

OPTIONS = ("In the basket", "In the box")


def answered(
    path: Path, *questions: str, video: Video = VIDEO, backbone: ScriptedBackbone | None = None, **options: Any
) -> Path:
    """A trace as the agent writes it."""
    with TraceWriter(path, seed=7, **options) as writer:
        agent = Agent(backbone or ScriptedBackbone(), trace=writer)
        for question in questions or ("Where will Sally look?",):
            agent.ask(video, question, OPTIONS)
    return path


def fell_back(path: Path) -> Path:
    """The grounder found nothing."""
    return answered(path, "What fell back?", backbone=ScriptedBackbone(rows=None))


def failed(path: Path) -> Path:
    """The answerer failed."""
    return answered(path, "What failed?", backbone=ScriptedBackbone(failures={"answerer": RuntimeError("out of luck")}))


def running(path: Path) -> Path:
    """Stops after the verifier has begun, as while it is being written."""
    lines = answered(path, "What runs?").read_text().splitlines(keepends=True)
    last = next(at for at, line in enumerate(lines) if '"event": "step.begin"' in line and '"role": "verifier"' in line)
    path.write_text("".join(lines[: last + 1]))
    return path


def torn(path: Path) -> Path:
    """Ends in the middle of a line."""
    whole = answered(path, "What is torn?").read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:6]) + whole[6][:40])
    return path


def damaged(path: Path) -> Path:
    """One line in the middle is none."""
    lines = answered(path, "What is damaged?").read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:6], "rubbish\n", *lines[6:]]))
    return path


def all_kinds(folder: Path) -> Path:
    """One of each, and a file that is no trace."""
    folder.mkdir(parents=True, exist_ok=True)
    answered(folder / "ok.jsonl", "First?", "Second?")
    for make in (fell_back, failed, running, torn, damaged):
        make(folder / f"{make.__name__}.jsonl")
    (folder / "foreign.jsonl").write_text('{"a": 1}\n')
    return folder


def evaluated(folder: Path) -> Path:
    """An evaluation of three questions: right, right from the wrong moment, wrong."""
    (folder / "traces").mkdir(parents=True)
    answered(folder / "traces" / "a.jsonl", "Right?", "Wrong moment?")
    answered(folder / "traces" / "b.jsonl", "Wrong?")
    items = [
        {"key": "q2", "question": "Wrong?", "options": OPTIONS, "answer_at": 0, "spans": [[6, 12]]},
        {"key": "q0", "question": "Right?", "options": OPTIONS, "answer_at": 1, "spans": [[6, 12], [40, 50]]},
        {"key": "q1", "question": "Wrong moment?", "options": OPTIONS, "answer_at": 1, "spans": [[50, 60]]},
    ]
    records = [
        {"key": "q0", "choice": 1, "trace": ["traces/a.jsonl", 1]},
        {"key": "q1", "choice": 1, "trace": ["traces/a.jsonl", 2]},
        {"key": "q2", "choice": 1, "trace": ["traces/b.jsonl", 1]},
    ]
    for name, rows in (("items", items), ("predictions", records)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def many_steps(path: Path, steps: int = 5_000, reply_chars: int = 800) -> Path:
    """One question of very many steps."""
    answered(path, "How many steps?")
    lines = path.read_text().splitlines()
    begin = next(json.loads(line) for line in lines if '"event": "step.begin"' in line)
    end = next(json.loads(line) for line in lines if '"event": "step.end"' in line)
    made = []
    for number in range(steps):
        call = {**begin["call"], "id": f"step{number}", "needs": [f"step{number - 1}"] if number else []}
        made.append(json.dumps({**begin, "id": call["id"], "call": call}))
        done = {**end, "id": call["id"], "call": call, "raw": "x" * reply_chars, "started_s": number * 1.0}
        made.append(json.dumps(done))
    at = next(number for number, line in enumerate(lines) if '"event": "question.end"' in line)
    path.write_text("\n".join([*lines[:at], *made, *lines[at:]]) + "\n")
    return path


@dataclass(slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Served:
    """The viewer on a port."""

    port: int
    index: Index

    def get(self, path: str, method: str = "GET", host: str | None = None, **headers: str) -> Answer:
        """Asks with the path just as it is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", f"127.0.0.1:{self.port}" if host is None else host)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            connection.close()

    def rows(self) -> dict[str, dict[str, Any]]:
        """The list by question."""
        return {row["question"]: row for row in self.get("/api/traces").json()["traces"]}

    def trace(self, question: str) -> dict[str, Any]:
        """One question in full."""
        found: dict[str, Any] = self.get(f"/api/trace/{self.rows()[question]['id']}").json()
        return found


@contextmanager
def served(*named: Path, videos: tuple[Path, ...] = ()) -> Iterator[Served]:
    """The viewer, as the command starts it."""
    index = Index(named)
    stop = threading.Event()
    app = make_app(index, Places(index.roots, videos), poll_s=0.05, stopping=stop.is_set)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.01)
    try:
        yield Served(server.servers[0].sockets[0].getsockname()[1], index)
    finally:
        stop.set()
        server.should_exit = True
        thread.join(timeout=10)
