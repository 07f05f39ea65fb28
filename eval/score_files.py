"""Files of predictions and of truths go in; checked samples and queries come out, or one line about what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from roles.errors import DataError
from roles.examples import read_lines

CLIP_S = 2
"""Length of QVHighlights' clips."""
MAX_RATING = 4
MAX_VIDEO_S = 24 * 3600
_EXACT = 2**53
"""Whole numbers up to here are floats without rounding."""

Query = dict[str, Any]
Queries = dict[int | str, Query]


def read_dumps(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The samples of VideoMind's dumps, one after the other.

    Raises:
        DataError: A file is missing, no JSON list, or holds a wrong sample; or there are no samples.
    """
    samples = []
    for path in paths:
        found = _parsed("\n".join(read_lines(path)), str(path))
        if not isinstance(found, list):
            raise DataError(f"{path}: expected a list of samples, as VideoMind's inference writes it")
        samples += [_sample(sample, f"{path}: sample {number}") for number, sample in enumerate(found)]
    if not samples:
        raise DataError(f"{', '.join(map(str, paths))}: no samples to score")
    return samples


def read_true_queries(path: Path) -> Queries:
    """QVHighlights' annotations by qid: "windows" [[start, end]], "vid", "ratings" [clips, workers].

    Raises:
        DataError: The file is missing or empty, or a line is wrong.
    """
    return _queries(path, _true_query)


def read_predicted_queries(path: Path) -> Queries:
    """Predictions by qid: "windows" [[start, end, score]] and "scores" [clips], each where it is there.

    Raises:
        DataError: The file is missing or empty, or a line is wrong.
    """
    return _queries(path, _predicted_query)


def _true_query(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    windows = _numbers(row, "relevant_windows", where, width=2)
    if not windows:
        raise DataError(
            f"{where}: relevant_windows: expected at least one [start, end] in seconds (a test file has none)"
        )
    query = {"windows": windows, "vid": str(row.get("vid", row["qid"]))}
    if "saliency_scores" in row:
        ratings = _numbers(row, "saliency_scores", where, width=None)
        clips = row.get("relevant_clip_ids")
        length_s = row.get("duration", math.nan)
        if not (_is_number(length_s) and 0 < length_s <= MAX_VIDEO_S):
            raise DataError(f"{where}: duration: expected seconds, at most {MAX_VIDEO_S}")
        count = int(length_s // CLIP_S)
        if not (isinstance(clips, list) and len(clips) == len(ratings)):
            raise DataError(f"{where}: relevant_clip_ids: expected one for each of {len(ratings)} saliency_scores")
        if not all(isinstance(clip, int) and 0 <= clip < count for clip in clips):
            raise DataError(f"{where}: relevant_clip_ids: expected whole numbers from 0 to {count - 1}")
        workers = len(ratings[0]) if ratings else 0
        if not workers or any(len(one) != workers for one in ratings):
            raise DataError(f"{where}: saliency_scores: expected equally many ratings for each clip")
        rated = dict(zip(clips, ratings, strict=True))
        query["ratings"] = [rated.get(clip, [0] * workers) for clip in range(count)]
    return query


def _predicted_query(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if row.get("pred_relevant_windows") is not None:
        query["windows"] = _numbers(row, "pred_relevant_windows", where, width=3)
    if (scores := row.get("pred_saliency_scores")) is not None:
        if not (isinstance(scores, list) and all(map(_is_number, scores))):
            raise DataError(f"{where}: pred_saliency_scores: expected a list of numbers, one per clip")
        query["scores"] = scores
    return query


def _queries(path: Path, read: Callable[[Mapping[str, Any], str], Query]) -> Queries:
    """The lines of a file by qid, each as `read` makes it."""
    queries: Queries = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        row = _parsed(line, f"{path}: line {number}")
        if not isinstance(row, dict) or not isinstance(row.get("qid"), int | str):
            raise DataError(f"{path}: line {number}: expected a JSON object with a qid")
        where = f"{path}: line {number}, qid {row['qid']}"
        if row["qid"] in queries:
            raise DataError(f"{where}: this qid stands in the file twice; keep one line")
        queries[row["qid"]] = read(row, where)
    if not queries:
        raise DataError(f"{path}: no queries; expected one JSON object per line")
    return queries


def _sample(sample: object, where: str) -> dict[str, Any]:
    """A checked sample of VideoMind's dump."""
    if not isinstance(sample, dict):
        raise DataError(f"{where}: expected a JSON object")
    checked = {**sample}
    for name in ("span", "pred", "pred_ori"):
        if sample.get(name) is None:
            checked.pop(name, None)
        else:
            checked[name] = _numbers(sample, name, where, width=2)
    for name in ("conf", "conf_ori"):
        ours, spans = sample.get(name), checked.get(name.replace("conf", "pred"), [])
        if ours is None and not spans:
            continue
        if not (isinstance(ours, list) and len(ours) == len(spans) and all(map(_is_number, ours))):
            raise DataError(f"{where}: {name}: expected one number for each of {len(spans)} predictions")
    task = sample.get("task", "unknown")
    if not (isinstance(task, str) or (isinstance(task, list) and all(isinstance(one, str) for one in task))):
        raise DataError(f"{where}: task: expected a name or a list of names")
    if not isinstance(sample.get("response") or "", str):
        raise DataError(f"{where}: response: expected text")
    options, answer = sample.get("options"), sample.get("ans")
    if options is not None and not (isinstance(options, list) and all(isinstance(one, str) for one in options)):
        raise DataError(f"{where}: options: expected a list of texts")
    if options and answer is not None:
        letters = ascii_uppercase[: len(options)]
        if not (isinstance(answer, str) and len(answer) == 1 and answer.upper() in letters):
            raise DataError(f"{where}: ans {answer!r}: expected the letter of one of {len(options)} options")
    return checked


def _numbers(row: Mapping[str, Any], name: str, where: str, width: int | None) -> list[list[float]]:
    """A field that is a list of lists of numbers: of `width` each, or of ratings where that is None."""
    found = row.get(name)
    what = f"lists of {width} numbers" if width else f"lists of whole numbers from 0 to {MAX_RATING}"
    if not isinstance(found, list):
        raise DataError(f"{where}: {name}: expected {what}")
    for one in found:
        good = isinstance(one, list) and all(map(_is_number, one)) and (width is None or len(one) == width)
        if not good or (width is None and not all(isinstance(n, int) and 0 <= n <= MAX_RATING for n in one)):
            raise DataError(f"{where}: {name}: {str(one)[:60]}: expected {what}")
    return found


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= _EXACT


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: no JSON ({str(error) or type(error).__name__})") from error
