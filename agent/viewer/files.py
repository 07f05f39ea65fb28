"""Folders and files named on the command line go in; trace files with their questions come out, and stay up to date.

Of a file that grows only what is new is read, and of a question that has ended only its summary is kept, so that a
folder of a thousand traces is listed quickly. A question's id says nothing of its path: it is looked up, never opened.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.trace import Trace
from agent.viewer.evaluation import ITEMS, PREDICTIONS, SHARDS, Evaluation, Truth
from agent.viewer.trace_file import Signature, TraceFile, whole
from roles.errors import InputError, TraceError

SUFFIX = ".jsonl"
EXAMPLES, MANIFEST = "examples.jsonl", "manifest.json"
"""Together they are generated films, which an evaluation of our world keeps in its folder: no traces."""
MAX_FILES = 50_000
OPEN_FILES = 4
"""Whole trace files kept in memory, the latest used."""


class Index:
    """All traces under what was named on the command line.

    Attributes:
        homes: The folders, where they really are.
        problems: What was found that is no trace.
    """

    def __init__(self, named: Sequence[str | Path]) -> None:
        """Looks at what was named.

        Raises:
            InputError: There is no such file or folder.
        """
        self.homes: list[Path] = []
        self._single: list[Path] = []
        for one in named:
            path = Path(one)
            try:
                real = path.resolve(strict=True)
                mode = real.stat().st_mode
            except (OSError, ValueError, RuntimeError) as error:
                raise InputError(f"{one}: no such file or folder; name a trace or a folder of traces") from error
            if stat.S_ISDIR(mode):
                self.homes.append(real)
            elif stat.S_ISREG(mode):
                self._single.append(real)
            else:
                raise InputError(f"{one}: neither a file nor a folder; name a trace or a folder of traces")
        self.title = ", ".join(str(one) for one in named)
        self._files: dict[Path, TraceFile] = {}
        self._keys: dict[str, TraceFile] = {}
        self._evaluations: dict[Path, Evaluation] = {}
        self._open: OrderedDict[Path, tuple[Signature, list[Trace | str]]] = OrderedDict()
        self._lock = threading.RLock()
        self.truncated = False

    @property
    def roots(self) -> list[Path]:
        """Folders inside which videos are shown without further ado."""
        return [*self.homes, *(path.parent for path in self._single)]

    @property
    def files(self) -> list[TraceFile]:
        """The trace files, by name."""
        return sorted(self._files.values(), key=lambda file: file.name)

    def refresh(self) -> list[str]:
        """Reads what is new; returns the names of files that changed."""
        with self._lock:
            changed = []
            present = dict(self._walk())
            for path in self._files.keys() - present.keys():
                gone = self._files.pop(path)
                del self._keys[gone.key]
                changed.append(gone.name)
            for path, (name, home) in present.items():
                file = self._files.get(path)
                if file is None:
                    key = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
                    file = self._files[path] = self._keys[key] = TraceFile(path, name, key, home)
                    file.evaluation = self._evaluation_of(path)
                elif file.evaluation is None:
                    file.evaluation = self._evaluation_of(path)
                if file.refresh():
                    changed.append(name)
            for evaluation in self._evaluations.values():
                if evaluation.refresh():
                    changed.append(f"{evaluation.folder.name}/{ITEMS}")
            return sorted(changed)

    def _walk(self) -> Iterator[tuple[Path, tuple[str, Path]]]:
        self.truncated = False
        seen: set[Path] = set()
        for path in self._single:
            seen.add(path)
            yield path, (path.name, path.parent)
        for home in self.homes:
            for folder, names, files in os.walk(home):
                here = Path(folder)
                evaluated = ITEMS in files and (PREDICTIONS in files or SHARDS in names)
                names[:] = sorted(
                    name for name in names if not name.startswith(".") and not (evaluated and name == SHARDS)
                )
                for name in sorted(files):
                    if not name.endswith(SUFFIX) or (evaluated and name in (ITEMS, PREDICTIONS)):
                        continue
                    if name == EXAMPLES and MANIFEST in files:
                        continue
                    real = _inside(here / name, home)
                    if real is None or real in seen:
                        continue
                    if len(seen) >= MAX_FILES:
                        self.truncated = True
                        return
                    seen.add(real)
                    shown = (here / name).relative_to(home).as_posix()
                    yield real, (shown if len(self.homes) == 1 else f"{home.name}/{shown}", home)

    def _evaluation_of(self, path: Path) -> Evaluation | None:
        """The evaluation that a trace belongs to: its file lies in a folder inside the evaluation's."""
        folder = path.parent.parent
        if folder not in self._evaluations:
            if not Evaluation.is_one(folder):
                return None
            self._evaluations[folder] = Evaluation(folder)
            self._evaluations[folder].refresh()
        return self._evaluations[folder]

    def problems(self) -> list[dict[str, str]]:
        """What could not be read, and why."""
        with self._lock:
            found = [{"file": file.name, "message": file.problem} for file in self.files if file.problem]
            for evaluation in self._evaluations.values():
                found += [{"file": evaluation.folder.name, "message": note} for note in evaluation.notes[:20]]
            if self.truncated:
                found.append({"file": self.title, "message": f"over {MAX_FILES:,} traces; the others are left out"})
            return found

    def versions(self) -> dict[str, Signature | None]:
        """The state of every file that was read, by name: what differs from before has changed."""
        with self._lock:
            found = {file.name: file.seen for file in self._files.values()}
            for folder, evaluation in self._evaluations.items():
                found[str(folder)] = evaluation.seen
            return found

    def truth(self, file: TraceFile, number: int) -> Truth | None:
        """What is known of a question from its evaluation."""
        if file.evaluation is None:
            return None
        place = file.path.relative_to(file.evaluation.folder).as_posix()
        return file.evaluation.truths.get((place, number + 1))

    def find(self, name: str) -> tuple[TraceFile, int] | None:
        """The file and the number of the question behind an id."""
        key, _, number = name.partition("-")
        with self._lock:
            file = self._keys.get(key)
            if file is None or not (number.isascii() and number.isdecimal() and len(number) < 9):
                return None
            at = int(number)
            return (file, at) if at < max(len(file.summaries), 1 if file.problem else 0) else None

    def neighbours(self, file: TraceFile, number: int) -> tuple[str | None, str | None]:
        """The ids before and after a question: among the evaluation's items, else in the file."""
        with self._lock:
            evaluation = file.evaluation
            if evaluation is not None and self.truth(file, number) is not None:
                by_place = {
                    one.path.relative_to(evaluation.folder).as_posix(): one
                    for one in self._files.values()
                    if one.evaluation is evaluation
                }
                order = [
                    f"{by_place[name].key}-{at - 1}"
                    for name, at in evaluation.order
                    if name in by_place and at <= len(by_place[name].summaries)
                ]
            else:
                order = [f"{file.key}-{at}" for at in range(len(file.summaries))]
            here = f"{file.key}-{number}"
            at = order.index(here) if here in order else 0
            return (order[at - 1] if at > 0 else None), (order[at + 1] if at + 1 < len(order) else None)

    def trace(self, file: TraceFile, number: int) -> Trace:
        """A question in full.

        Raises:
            TraceError: The file holds no such question, or what there is cannot be read.
        """
        with self._lock:
            try:
                state = file.path.stat()
            except OSError as error:
                raise TraceError(f"{file.name}: the trace cannot be read ({error.strerror or error})") from error
            seen = (state.st_size, state.st_mtime_ns, state.st_ino)
            kept = self._open.get(file.path)
            if kept is None or kept[0] != seen:
                kept = seen, whole(file)
                self._open[file.path] = kept
            self._open.move_to_end(file.path)
            while len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
            traces = kept[1]
            if number >= len(traces):
                raise TraceError(file.problem or f"{file.name}: holds no question {number + 1}; it has {len(traces)}")
            found = traces[number]
            if isinstance(found, str):
                raise TraceError(found)
            return found


def _inside(path: Path, home: Path) -> Path | None:
    """Where a file really is; None where that is outside, or it is no plain file."""
    try:
        real = path.resolve(strict=True)
        return real if real.is_relative_to(home) and stat.S_ISREG(real.stat().st_mode) else None
    except (OSError, RuntimeError):
        return None
