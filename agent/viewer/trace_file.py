"""One trace file goes in, the summaries of its questions come out, and stay up to date as it grows.

Only what is new is read. Of a question that has ended only the summary is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.trace import OPENING, Trace
from agent.trace_reader import TraceReader
from agent.viewer.evaluation import Evaluation
from agent.viewer.summary import Summary, summarize
from roles.errors import TraceError

CHUNK_BYTES = 1 << 23
TAIL_BYTES = 256
"""So much of what was read is compared before a file is taken to have grown, and not to be another one."""

Signature = tuple[Any, ...]


@dataclass(slots=True)
class TraceFile:
    """One trace file, as far as it was read.

    Attributes:
        path: Where it really is.
        name: What it is called on the page: its path from the folder that was named.
        key: Stands for it in addresses.
        home: The folder that was named.
        summaries: One per question.
        problem: Why it could not be read, or not to its end.
        modified_s: When it was last written, in seconds since 1970.
        evaluation: What it belongs to; None outside one.
        seen: Size, time of change and number of the file when it was last read.
    """

    path: Path
    name: str
    key: str
    home: Path
    summaries: list[Summary] = field(default_factory=list)
    problem: str | None = None
    modified_s: float = 0.0
    evaluation: Evaluation | None = None
    seen: Signature | None = None
    _offset: int = 0
    _tail: bytes = b""
    _reader: TraceReader | None = None
    _done: set[int] = field(default_factory=set)

    def refresh(self) -> bool:
        """Reads what is new; returns whether there was anything."""
        try:
            state = self.path.stat()
        except OSError as error:
            said = f"{self.name}: the trace cannot be read ({error.strerror or error})"
            changed, self.problem = said != self.problem, said
            return changed
        seen = (state.st_size, state.st_mtime_ns, state.st_ino)
        if seen == self.seen:
            return False
        same = self.problem is None and self.seen is not None and self.seen[2] == seen[2] and seen[0] >= self._offset
        self.seen, self.modified_s = seen, state.st_mtime
        try:
            with self.path.open("rb") as file:
                if not (same and self._continues(file)):
                    self._begin_anew()
                    self._check(file)
                self._read_on(file)
        except OSError as error:
            self.problem = f"{self.name}: the trace cannot be read ({error.strerror or error})"
        except TraceError as error:
            self.problem = str(error)
            for number in range(len(self.summaries)):
                if self.summaries[number].status == "running":
                    self.summaries[number].broken(self.problem)
        return True

    def _continues(self, file: Any) -> bool:
        file.seek(max(self._offset - len(self._tail), 0))
        return self._reader is not None and file.read(len(self._tail)) == self._tail

    def _begin_anew(self) -> None:
        self.summaries, self.problem, self._offset, self._tail = [], None, 0, b""
        self._reader, self._done = TraceReader(self.name), set()

    def _check(self, file: Any) -> None:
        file.seek(0)
        if self._reader is not None:
            self._reader.check_opening(file.read(len(OPENING)))

    def _read_on(self, file: Any) -> None:
        reader = self._reader
        assert reader is not None, "made before anything is read"  # noqa: S101
        file.seek(self._offset)
        touched: set[int] = set()
        try:
            while data := file.read(CHUNK_BYTES):
                self._offset += len(data)
                self._tail = (self._tail + data)[-TAIL_BYTES:]
                touched |= reader.feed(data)
                self._sum_up(reader, touched)
        except TraceError:
            self._sum_up(reader, set(range(len(reader.questions))))
            raise
        reader.finish()
        if not reader.run:
            raise TraceError(f"{self.name}, line 1: torn; expected a whole {OPENING.decode()} ...")

    @property
    def torn(self) -> bool:
        """Whether the file stops within a line."""
        return self._reader is not None and self._reader.torn

    def _sum_up(self, reader: TraceReader, touched: set[int]) -> None:
        for number in sorted(touched - self._done):
            asked = reader.questions[number]
            summary = summarize(asked, number)
            if number < len(self.summaries):
                self.summaries[number] = summary
            else:
                self.summaries.append(summary)
            if asked.end is not None:  # only the summary is kept
                self._done.add(number)
                asked.steps, asked.end = [], {"over": True}


def whole(file: TraceFile) -> list[Trace | str]:
    """All questions of a file in full; in place of one that cannot be read, why."""
    reader = TraceReader(file.name)
    try:
        with file.path.open("rb") as opened:
            while data := opened.read(CHUNK_BYTES):
                reader.feed(data)
    except (OSError, TraceError):
        pass  # the file's own problem says so; what came before it is shown
    traces: list[Trace | str] = []
    for asked in reader.questions:
        try:
            traces.append(asked.trace())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            traces.append(f"{file.name}: cannot be read ({type(error).__name__}: {error})")
    return traces
