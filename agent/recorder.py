"""What happens goes in, event by event; an append-only file of JSON lines comes out (`agent.trace` reads it).

Every line is written by one `write` on an append-only descriptor, so that a kill leaves at most the last line torn.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import networkx as nx

from agent.encode import dumps, to_json
from agent.errors import one_line
from agent.trace import FORMAT_NAME, FORMAT_VERSION, OPENING, Step
from agent.versions import git_sha, package_versions
from roles.errors import TraceError
from roles.manner import Manner
from roles.types import Answer, FilmCheck, Plan, RoleCall, Span, Video


def _warn(message: str) -> None:
    print(f"mindreel: warning: {message}", file=sys.stderr)


class TraceWriter:
    """Appends to one trace file.

    A file that cannot be opened or has no room raises at once. Trouble later on is told once through `warn` and kept
    in `problem`, and the run goes on: an answer that was found is worth more than its record.

    Attributes:
        path: The file.
        problem: Why the trace is incomplete, or None.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        seed: int | None = None,
        argv: Sequence[str] = (),
        fingerprint: str | None = None,
        warn: Callable[[str], None] = _warn,
        exclusive: bool = False,
    ) -> None:
        """Opens the file and writes its first line.

        Args:
            path: Created where it is missing; a trace that is there is continued, any other file is left alone.
            seed: Of the run.
            argv: The command that was given.
            fingerprint: Hash of the video's bytes; the media itself is never stored.
            warn: Gets one line when writing fails later on.
            exclusive: Raise FileExistsError where the file exists.

        Raises:
            TraceError: The file cannot be written, or is there and is no trace.
        """
        self.path = Path(path)
        self.problem: str | None = None
        self._warn = warn
        self._questions = 0
        self._fd: int | None = None
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if exclusive else 0)
        try:
            existed = self.path.exists()
            if self.path.is_fifo():
                raise ValueError("it is a pipe; name a file")
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise TraceError(f"{self.path}: the trace cannot be written ({_why(error)})") from error
        try:
            self._fd = os.open(self.path, flags, 0o644)
            torn = self._check_opening()
        except FileExistsError:
            raise  # only with `exclusive`
        except (OSError, ValueError) as error:
            self._shut()
            raise TraceError(f"{self.path}: the trace cannot be written ({_why(error)})") from error
        header = {
            "format": FORMAT_NAME,
            "version": FORMAT_VERSION,
            "mindreel": package_versions().get("mindreel"),
            "packages": package_versions(),
            "git_sha": git_sha(),
            "seed": seed,
            "argv": list(argv),
            "fingerprint": fingerprint,
        }
        try:
            if torn:
                self._append(b"\n")
            self._append(self._line("trace.begin", header))
        except OSError as error:
            self._shut()
            if not existed:
                self.path.unlink(missing_ok=True)
            raise TraceError(f"{self.path}: the trace cannot be written ({_why(error)})") from error
        self._created = not existed

    @classmethod
    def new(cls, video_path: str, folder: str | Path = "runs", **options: Any) -> Self:
        """Opens runs/<time>-<video>.jsonl, or with -2, -3, ... where that exists.

        Args:
            video_path: Gives the name.
            folder: Where traces are kept.
            options: As for `TraceWriter`.

        Raises:
            TraceError: The file cannot be written.
        """
        stem = re.sub(r"[^\w.-]+", "_", Path(video_path).stem, flags=re.ASCII).strip("._")[:60] or "video"
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{stem}"
        for number in range(1, 10_000):
            path = Path(folder) / (f"{name}.jsonl" if number == 1 else f"{name}-{number}.jsonl")
            try:
                return cls(path, exclusive=True, **options)
            except FileExistsError:
                continue
        raise TraceError(f"{folder}: 9,999 traces are called {name} already")

    def model(self, description: Mapping[str, object]) -> None:
        """Records which model answers."""
        self._event("model", {"model": description})

    @property
    def questions(self) -> int:
        """How many were begun so far."""
        return self._questions

    def question_begin(
        self, video: Video, question: str, options: Sequence[str], part: Span | None, manner: Manner | None = None
    ) -> None:
        """Opens a question, with the manner in force; the steps that follow belong to it."""
        self._questions += 1
        values = {"text": question, "input.value": question, "options": options, "video": video, "part": part}
        values |= {"manner": None if manner is None else manner.to_json()}
        self._event("question.begin", {**self._at(), "openinference.span.kind": "CHAIN", **values})

    def plan(self, plan: Plan, graph: nx.DiGraph[str]) -> None:
        """Records the plan and its graph."""
        edges = [list(edge) for edge in graph.edges]
        self._event("plan", {**self._at(), "plan": plan, "nodes": list(graph.nodes), "edges": edges})

    def started(self, call: RoleCall) -> None:
        """Records that a step begins."""
        self._event("step.begin", {**self._at(), "id": call.id, "call": call})

    def finished(self, step: Step) -> None:
        """Records what a step did."""
        self._event("step.end", {**self._at(), **to_json(step)})

    def question_end(
        self,
        answer: Answer,
        *,
        clip: Span | None = None,
        error: str | None = None,
        notes: Sequence[str] = (),
        elapsed_s: float = 0.0,
        film: FilmCheck | None = None,
    ) -> None:
        """Closes a question."""
        values = {
            "answer": {"text": answer.text, "choice": answer.choice, "option_probs": answer.option_probs},
            "output.value": answer.text,
            "moments": answer.moments,
            "clip": clip,
            "error": error,
            "notes": notes,
            "elapsed_s": elapsed_s,
            "film": film,
        }
        self._event("question.end", {**self._at(), **values})

    def close(self, outcome: str = "ok", *, keep_unasked: bool = True) -> None:
        """Writes the last line and closes the file; closing twice does nothing.

        Args:
            outcome: "ok", or what ended the run.
            keep_unasked: False removes a file that this writer made and in which no question was begun.
        """
        if self._fd is None:
            return
        self._event("trace.end", {"outcome": outcome, "questions": self._questions})
        self._shut()
        if not keep_unasked and self._created and not self._questions and self.path.is_file():
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close("ok" if error is None else one_line(error))

    def _at(self) -> dict[str, int]:
        return {"question": self._questions - 1}

    def _line(self, name: str, values: Mapping[str, object]) -> bytes:
        return (dumps({"event": name, "time_s": time.time(), **values}) + "\n").encode()

    def _event(self, name: str, values: Mapping[str, object]) -> None:
        if self._fd is None or self.problem is not None:
            return  # after a line that is perhaps half written, another would make the file unreadable
        try:
            self._append(self._line(name, values))
        except OSError as error:
            self.problem = f"{self.path}: the trace is incomplete ({_why(error)})"
            self._warn(self.problem)

    def _append(self, line: bytes) -> None:
        if self._fd is not None and os.write(self._fd, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _check_opening(self) -> bool:
        """Whether the file that is there ends within a line.

        Raises:
            ValueError: It is no trace.
        """
        if self._fd is None or not self.path.is_file():
            return False
        _lock(self._fd)
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, len(OPENING), 0) != OPENING:
            raise ValueError("the file exists and is no trace; name another")
        return size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def _shut(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _lock(fd: int) -> None:
    """Keeps a second run from mixing its lines into this one's; held until the descriptor is closed.

    Raises:
        ValueError: Another run writes the file.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError("another run is writing it; name another") from None
    except OSError:  # a file system without locks
        return


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a part of its path is not a folder"
    return (isinstance(error, OSError) and error.strerror) or str(error)
