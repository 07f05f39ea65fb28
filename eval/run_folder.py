"""The folder of a run: what it is about and the records that are in it go in and out; what is done is never lost.

Each process appends to a file of its own under `shards/`, a line for each record, by one write. A kill leaves at most
the last line torn, and that question is asked again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eval.item import Item, Record
from roles.errors import CheckpointError, DataError
from roles.examples import write_text

RUN, DATA, ITEMS, PREDICTIONS, METRICS = "run.json", "data.json", "items.jsonl", "predictions.jsonl", "metrics.json"
FIGURES = (METRICS, "report.md", "report.html", PREDICTIONS)
"""What a run ends with; the last of them is what the others are made of."""
SHARDS, TRACES = "shards", "traces"
_DECIDE = (".safetensors", ".json", ".txt", ".jinja")
"""Files of a checkpoint that decide what it says."""


class Shard:
    """One process's file of records; opened with the first of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / SHARDS
        self._fd: int | None = None
        self.name = ""
        """Tells this process's files from all others', once there is a file."""

    def open(self) -> str:
        """Opens a file that nobody else writes; its name without suffix comes back.

        Raises:
            DataError: It cannot be written.
        """
        if self._fd is None:
            host = re.sub(r"[^\w-]+", "-", socket.gethostname(), flags=re.ASCII)[:40] or "host"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                for number in itertools.count(1):
                    name = f"{host}-{os.getpid()}-{number}"
                    try:
                        path = self._folder / f"{name}.jsonl"
                        self._fd = os.open(
                            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644
                        )
                    except FileExistsError:
                        continue
                    self.name = name
                    break
            except OSError as error:
                raise DataError(f"{self._folder}: cannot be written ({error.strerror}); name another --out") from error
        return self.name

    def add(self, record: Record) -> None:
        """Notes what was said.

        Raises:
            DataError: It cannot be written.
        """
        self.open()
        line = f"{_line(record)}\n".encode()
        assert self._fd is not None  # noqa: S101 - opened above
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            raise DataError(
                f"{self._folder}: cannot be written ({error.strerror}); make room and run the same command again"
            ) from error
        if written != len(line):
            raise DataError(f"{self._folder}: no room is left; make some and run the same command again")

    def close(self) -> None:
        """Closes the file; closing twice is fine."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read_records(folder: Path) -> dict[str, Record]:
    """The records of all shards by key; where a key is there twice, one that is no error, else the first.

    Raises:
        DataError: A file cannot be read, or a line that is not the last is no record.
    """
    found: dict[str, Record] = {}
    for path in sorted((folder / SHARDS).glob("*.jsonl")):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); mend that and run again") from error
        whole = data[: data.rfind(b"\n") + 1]  # what follows was cut off by a kill
        for number, line in enumerate(whole.decode("utf-8", "replace").split("\n")[:-1], start=1):
            try:
                record = json.loads(line)
                if record["key"] not in found or (found[record["key"]].get("error") and not record.get("error")):
                    found[record["key"]] = record
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path}: line {number} is no record; delete that line and run again") from error
    return found


def read_predictions(folder: Path) -> dict[str, Record]:
    """The records of a finished run by key.

    Raises:
        DataError: There are none, or they cannot be read.
    """
    path = folder / PREDICTIONS
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); is {folder} the folder of a finished run?") from error
    try:
        return {record["key"]: record for line in lines if line.strip() for record in [json.loads(line)]}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: holds something that is no record; run the same command again") from error


def write_predictions(folder: Path, items: Iterable[Item], records: Mapping[str, Record]) -> None:
    """Writes the records in the items' order.

    Raises:
        DataError: The file cannot be written.
    """
    write_text(folder / PREDICTIONS, (_line(records[item.key]) for item in items if item.key in records))


def drop_figures(folder: Path) -> None:
    """Removes what was made of fewer records, and what a killed run had half written.

    Raises:
        DataError: The folder cannot be written.
    """
    try:
        for path in [*(folder / name for name in FIGURES), *folder.glob(".*.partial")]:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror}); name another --out") from error


def sets_made(films: Path) -> int | None:
    """How many sets of films of our world there are in a folder; None where none were made."""
    try:
        return int(json.loads((films / "manifest.json").read_text(encoding="utf-8"))["seeds"]["sets"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _line(record: Record) -> str:
    """As JSON; half a character, which a model may write, stays an escape."""
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def claim(folder: Path, asked: Mapping[str, Any]) -> None:
    """Notes in a folder what is asked of whom, or makes sure that it is the same.

    Raises:
        DataError: The folder holds another run, or cannot be written.
    """
    path = folder / RUN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be used ({error}); name another --out") from error
    if before is None:
        if any(folder.glob("*.jsonl")) or any((folder / name).exists() for name in (DATA, *FIGURES)):
            raise DataError(f"{folder}: holds other files and no {RUN}; name another --out")
        write_text(path, json.dumps(asked, indent=1, ensure_ascii=False).split("\n"))
        return
    same = json.loads(json.dumps(asked))
    if before != same:
        changed = [name for name in same if not isinstance(before, dict) or before.get(name) != same[name]]
        raise DataError(
            f"{folder}: holds a run with another {' and another '.join(changed) or 'version'}; name another --out"
        )


def checkpoint_digest(source: str | None) -> str | None:
    """Names the contents of a checkpoint's folder; of one that is not here, its id.

    Raises:
        CheckpointError: One of its files cannot be read.
    """
    if source is None or not Path(source).is_dir():
        return source
    hashed = hashlib.sha256()
    try:
        for path in sorted(Path(source).rglob("*")):
            if path.suffix in _DECIDE and path.is_file():
                name = path.relative_to(source).as_posix()
                hashed.update(f"{name} {path.stat().st_size}\n".encode("utf-8", "replace"))
                with path.open("rb") as file:
                    hashed.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise CheckpointError(f"{error.filename or source}: cannot be read ({error.strerror}); check it") from error
    return hashed.hexdigest()[:16]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keeps a second run out of the folder meanwhile, where the file system has locks.

    Raises:
        DataError: Another run is at work in it, or it cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror}); name another --out") from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{folder}: another run is at work in it; wait for it, or name another --out") from None
        except OSError:  # a file system without locks
            pass
        yield


def without(records: Mapping[str, Record], wanted: Sequence[Item], again: bool) -> list[Item]:
    """The items that are still to ask: those without a record, and with `again` those whose record is an error."""
    return [
        item for item in wanted if item.key not in records or (again and records[item.key].get("error") is not None)
    ]
