"""Rows of data sets that describe moments go in, records with a description and its spans come out.

QVHighlights, TACoS, CosMo-Cap, InternVid-VTime, Charades-STA and ActivityNet-Captions. The formats were read off
public files and VideoMind's loaders (yeliudev/VideoMind, videomind/dataset/sub_classes); docs/data.md says which were
tried on real files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eval.benchmarks.records import (
    Converted,
    Entry,
    FieldError,
    Record,
    Row,
    each,
    expand,
    get,
    items,
    label,
    number,
    pair,
    stem,
    text,
)


def qvhighlights(entries: Iterable[Entry]) -> Iterator[Converted]:
    """One description with one or more windows; the test split has none, which the tag `hidden_spans` says."""

    def read(row: Row) -> Record:
        tags = {"source": "qvhighlights", "id": label(row.value, "qid")}
        if "relevant_windows" not in row.value:
            tags["hidden_spans"] = "yes"
            names = (label(row.value, "vid"),)
            return Record(row.where, names, text(row.value, "query"), (), number(row.value, "duration"), tags=tags)
        windows = tuple(pair(window) for window in items(row.value, "relevant_windows"))
        return _described(row, label(row.value, "vid"), "query", windows, tags)

    return each(entries, read)


def tacos(entries: Iterable[Entry]) -> Iterator[Converted]:
    """2D-TAN's files (frame numbers by video) or VideoMind's lines (seconds, one window each)."""

    def split(row: Row) -> Iterable[Row]:
        if row.key is None:
            return [row]
        frames_per_s, frames = number(row.value, "fps"), number(row.value, "num_frames")
        if not frames_per_s > 0:
            raise FieldError("field 'fps' is not above 0")
        return [
            Row(part.where, {**part.value, "fps": frames_per_s, "duration": frames / frames_per_s}, row.key)
            for part in _sentences(row)
        ]

    def read(row: Row) -> Record:
        tags = {"source": "tacos"}
        if row.key is None:
            windows = tuple(pair(window) for window in items(row.value, "relevant_windows"))
            return _described(row, _camera(label(row.value, "vid")), "query", windows, tags)
        start, end = pair(get(row.value, "span"))
        rate = number(row.value, "fps")
        span_s = (round(start / rate, 3), round(end / rate, 3))
        return _described(row, _camera(row.key), "sentence", (span_s,), tags)

    return each(expand(entries, split), read)


def cosmo_cap(entries: Iterable[Entry]) -> Iterator[Converted]:
    """VideoMind's lines: one description, one span."""
    return each(entries, lambda row: _one_span(row, "cosmo_cap"))


def internvid_vtime(entries: Iterable[Entry]) -> Iterator[Converted]:
    """VideoMind's lines: one description, one span."""
    return each(entries, lambda row: _one_span(row, "internvid_vtime"))


def charades_sta(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Lines like `VIDEO start end##sentence`."""

    def read(row: Row) -> Record:
        head, mark, sentence = str(row.value).partition("##")
        parts = head.split()
        if not mark or len(parts) != 3:
            raise FieldError("not a line like VIDEO start end##sentence")
        try:
            span_s = (float(parts[1]), float(parts[2]))
        except ValueError:
            raise FieldError("a span's ends are not numbers", head) from None
        return Record(row.where, (parts[0],), sentence, (span_s,), tags={"source": "charades_sta"})

    return each(entries, read)


def activitynet(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Sentences with times by video; the file may be called with `v_` in front of its id or without."""

    def split(row: Row) -> Iterable[Row]:
        length_s = number(row.value, "duration")
        return [Row(part.where, {**part.value, "duration": length_s}, row.key) for part in _sentences(row)]

    def read(row: Row) -> Record:
        names = (row.key or "", (row.key or "").removeprefix("v_"))
        spans = (pair(get(row.value, "span")),)
        return _described(row, names, "sentence", spans, {"source": "activitynet_captions"})

    return each(expand(entries, split), read)


def _described(
    row: Row, names: str | tuple[str, ...], key: str, spans: tuple[tuple[float, float], ...], tags: dict[str, str]
) -> Record:
    """A record of a row that says how long its video is."""
    if not spans:
        raise FieldError("no span")
    named = (names,) if isinstance(names, str) else names
    return Record(row.where, named, text(row.value, key), spans, number(row.value, "duration"), tags=tags)


def _one_span(row: Row, source: str) -> Record:
    return _described(row, label(row.value, "vid"), "query", (pair(get(row.value, "span")),), {"source": source})


def _sentences(row: Row) -> list[Row]:
    times, sentences = items(row.value, "timestamps"), items(row.value, "sentences")
    if len(times) != len(sentences):
        raise FieldError("as many sentences as timestamps were expected", f"{len(sentences)} and {len(times)}")
    return [
        Row(f"{row.where} item {index}", {"span": span, "sentence": sentence}, row.key)
        for index, (span, sentence) in enumerate(zip(times, sentences, strict=True), start=1)
    ]


def _camera(video: str) -> tuple[str, ...]:
    """TACoS' films carry the camera's number, which annotations leave out."""
    name = stem(video)
    return f"{name.removesuffix('-cam-002')}-cam-002", name
