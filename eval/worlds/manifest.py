"""What was asked for and the films' records go in; the manifest of a data set, its options and its versions come out.

A film's record is written after the film itself, so that a film with a record is whole. Records, examples and manifest
hold no dates, paths or numbers of workers: the same options give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from roles.errors import DataError
from roles.examples import write_text

FORMAT = 1
"""Of manifest and records; raised when their keys change."""
FILMS, RECORDS, EXAMPLES, MANIFEST, ASKED = "films", "records", "examples.jsonl", "manifest.json", "asked.json"
_DECIDE_BYTES = ("av", "numba", "numpy")
_DECIDE_NOTHING = (
    "__init__", "__main__", "bag_of_words", "clues", "gpu", "ink", "lanes", "options", "sheet", "shortcuts", "show",
    "stats", "timeline",
)  # fmt: skip
"""Modules of eval/worlds that have no part in making a data set."""
_SHARED = ("evidence", "examples", "minds", "pictures", "stories", "types")
"""Modules of roles that have one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides the bytes of a data set, with the versions it is made with.

    Attributes:
        first_seed: Of the range that is searched for sets.
        sets: How many matched sets.
        split: The one in which all seeds lie.
        kinds: Empty is each set's own members; "all" alone is every kind of the set's family.
        families: Only sets of these; empty is any.
        width_px: Of the films; None follows each set's own aspect ratio.
        height_px: Of the films.
        aspect: Shape of every picture, such as "3:2"; None draws one for each set.
        fps: Frames per second, as a fraction in text; None is each film's own.
        length_s: Of the films; None is each set's own.
        films: Whether films are written, or examples alone.
        code: Digest of the generator's source.
        versions: Of Python and the libraries that decide bytes.
    """

    first_seed: int
    sets: int
    split: str
    kinds: tuple[str, ...]
    families: tuple[str, ...]
    width_px: int | None
    height_px: int
    aspect: str | None
    fps: str | None
    length_s: float | None
    films: bool
    code: str
    versions: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Lists instead of tuples, so that it equals what is read back."""
        row: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return row

    @property
    def digest(self) -> str:
        """Names everything that decides a single film; how many there are does not."""
        row = self.as_json()
        del row["sets"]
        return sha256(json.dumps(row, sort_keys=True).encode())[:16]


def code_digest() -> str:
    """Names the generator's source: a data set may not be a mixture of two generators."""
    here = Path(__file__).parent
    sources = [path for path in here.rglob("*.py") if path.stem not in _DECIDE_NOTHING]
    sources += here.rglob("*.txt")
    named = {path.relative_to(here).as_posix(): path for path in sources}
    roles = here.parents[1] / "roles"
    named |= {f"roles/{name}.py": roles / f"{name}.py" for name in _SHARED if (roles / f"{name}.py").is_file()}
    lines = [f"{name} {sha256(named[name].read_bytes())}" for name in sorted(named)]
    return sha256("\n".join(lines).encode())[:12]


def versions() -> dict[str, str]:
    """Of Python and the libraries that decide bytes."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _DECIDE_BYTES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def claim(folder: Path, asked: Asked) -> None:
    """Notes in a folder what it is made from, or makes sure that it is made from the same.

    More sets than last time are fine: the folder grows.

    Raises:
        DataError: The folder holds something else, or cannot be written.
    """
    path = folder / RECORDS / ASKED
    if path.exists():
        before, now = _read_object(path), asked.as_json()
        for one in fields(Asked):
            old, new = before.get(one.name), now[one.name]
            if old == new or (one.name == "sets" and isinstance(old, int) and old < new):
                continue
            raise DataError(
                f"{folder}: was made with {one.name} {_shown(old)}, not {_shown(new)}; repeat that command, or name "
                "another folder"
            )
        if before == now:
            return
    elif (folder / MANIFEST).exists():
        raise DataError(f"{folder}: holds a data set without its {RECORDS}/{ASKED}; name another folder")
    write_text(path, [_pretty(asked.as_json())])


def record_path(folder: Path, film_id: str) -> Path:
    """Where a film's record lies."""
    return folder / RECORDS / f"{film_id}.json"


def read_record(folder: Path, film_id: str, digest: str) -> dict[str, Any] | None:
    """A film's record, if it is there, of these options, and the film is as it says; else None."""
    try:
        record = json.loads(record_path(folder, film_id).read_text(encoding="utf-8"))
        if record["digest"] != digest or record["id"] != film_id or not isinstance(record["examples"], list):
            return None
        film = record["film"]
        if film is not None:
            data = (folder / record["video"]).read_bytes()
            if len(data) != film["bytes"] or sha256(data) != film["sha256"]:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(record)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Notes that a film is whole.

    Raises:
        DataError: It cannot be written.
    """
    write_text(record_path(folder, record["id"]), [json.dumps(record, ensure_ascii=False, separators=(",", ":"))])


def write_manifest(folder: Path, asked: Asked, records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Joins the records into the file of examples and the manifest; the manifest comes last.

    Args:
        folder: The data set.
        asked: What it was made from.
        records: Of all films, in order.

    Returns:
        The manifest.

    Raises:
        DataError: Something cannot be written.
    """
    films: dict[str, dict[str, Any]] = {}
    counts = Counts()
    hashed = hashlib.sha256()

    def lines() -> Iterable[str]:
        for record in records:
            film = {key: record[key] for key in ("seed", "kind", "family", "duration_s")}
            films[record["id"]] = film | (record["film"] or {})
            counts.add_film(record)
            for line in record["examples"]:
                counts.add_example(json.loads(line))
                hashed.update(f"{line}\n".encode())
                yield line

    write_text(folder / EXAMPLES, lines())
    seeds = [film["seed"] for film in films.values()]
    made = asked.as_json()
    manifest = {
        "format": FORMAT,
        "generator": {"code": made.pop("code"), "versions": made.pop("versions")},
        "split": made.pop("split"),
        "seeds": {"first": min(seeds), "last": max(seeds), "sets": made.pop("sets")},
        "options": made,
        "counts": counts.as_json(),
        "examples": {"file": EXAMPLES, "sha256": hashed.hexdigest()},
        "films": films,
    }
    write_text(folder / MANIFEST, [_pretty(manifest)])
    return manifest


class Counts:
    """Tallies of a data set; feed it films and examples."""

    def __init__(self) -> None:
        self._by: dict[str, Counter[str]] = {key: Counter() for key in ("families", "kinds", "types", "routes")}
        self._films, self._examples = 0, 0
        self._positions: dict[str, Counter[int]] = {}

    def add_film(self, record: Mapping[str, Any]) -> None:
        """Counts a film."""
        self._films += 1
        self._by["families"][record["family"]] += 1
        self._by["kinds"][record["kind"]] += 1

    def add_example(self, row: Mapping[str, Any]) -> None:
        """Counts a line of the file of examples."""
        tags = row.get("tags", {})
        self._examples += 1
        self._by["types"][tags.get("type", "none")] += 1
        self._by["routes"][tags.get("route", "none")] += 1
        if row.get("options"):
            at = row["options"].index(row["answer"])
            self._positions.setdefault(tags.get("type", "none"), Counter())[at] += 1

    def as_json(self) -> dict[str, Any]:
        """Sorted by name; `positions` says for each type how often the first, second ... option is right."""
        return {
            "films": self._films,
            "examples": self._examples,
            **{key: dict(sorted(found.items())) for key, found in self._by.items()},
            "positions": {
                kind: [found[at] for at in range(max(found) + 1)] for kind, found in sorted(self._positions.items())
            },
        }


def read_manifest(folder: Path) -> dict[str, Any]:
    """A data set's manifest.

    Raises:
        DataError: There is none, or it is no manifest of this format.
    """
    path = folder / MANIFEST
    if folder.is_dir() and not path.exists() and (folder / RECORDS / ASKED).exists():
        raise DataError(f"{folder}: not finished; run the command that makes it again, it goes on where it stopped")
    manifest = _read_object(path)
    if manifest.get("format") != FORMAT or not isinstance(manifest.get("films"), dict):
        raise DataError(f"{path}: no manifest that this version can read; make the data set again")
    return manifest


def sha256(data: bytes) -> str:
    """Its digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _read_object(path: Path) -> dict[str, Any]:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); name a folder that `python -m eval.worlds make` filled"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); make the data set again in another folder") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}: expected a JSON object; make the data set again in another folder")
    return row


def _pretty(row: Mapping[str, Any]) -> str:
    """JSON that a person can read: one line for each of the innermost objects."""
    return "{\n" + ",\n".join(_member(key, value) for key, value in row.items()) + "\n}"


def _member(key: str, value: Any) -> str:
    if isinstance(value, dict) and any(isinstance(part, dict | list) for part in value.values()):
        inner = ",\n".join(f"  {json.dumps(name)}: {json.dumps(part)}" for name, part in value.items())
        return f"{json.dumps(key)}: {{\n{inner}\n}}"
    return f"{json.dumps(key)}: {json.dumps(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
