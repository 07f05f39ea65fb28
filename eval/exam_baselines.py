"""The films of an exam go in, what the world's shortcuts earn on the very same questions comes out, row by row."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.exam_films import ExamFilm
from eval.exam_scores import figure, grouped, row_order, whole_sets
from eval.worlds import clues, shortcuts
from eval.worlds.manifest import code_digest
from roles.examples import write_text

FILE = "baselines.json"
TRAIN_SETS = 400
"""Sets that the bags of words learn from, as in `python -m eval.worlds shortcuts`."""


def baselines(films: Sequence[ExamFilm], folder: Path, workers: int, train: int = TRAIN_SETS) -> dict[str, Any]:
    """Scores by baseline and row; kept in the exam's folder for the next time.

    Args:
        films: As the world makes them.
        folder: The exam's.
        workers: Processes.
        train: Sets to learn from.
    """
    pairs = [(film.job.seed, film.job.kind) for film in films]
    ends = {"first": list(pairs[0]), "last": list(pairs[-1])}
    about = {"code": code_digest(), "films": len(pairs), **ends, "train": train}
    path = folder / FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["about"] == about:
            return dict(kept["rows"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or of other films: worked out anew
    rows = scored(clues.films(shortcuts.TRAIN_SEED, train, workers), _films(pairs, workers))
    write_text(path, [json.dumps({"about": about, "rows": rows}, indent=1)])
    return rows


def scored(train: Sequence[clues.Film], test: Sequence[clues.Film]) -> dict[str, Any]:
    """Scores by baseline and row, "chance" first: {"right": ..., "sets": ...}, as `Figure`s in JSON."""
    asked = [(film, question) for film in test for question in film.items if question.options]
    earned = {"chance": [1 / len(question.options) for _, question in asked]}
    for name, entries in shortcuts.credits(train, test).items():
        # credits() goes through the films and their questions in this order too.
        earned[name] = [credit for _, _, credit, _ in entries]
    out: dict[str, Any] = {}
    for name, credits in earned.items():
        rows = grouped(
            (question.tags, film.seed, credit) for (film, question), credit in zip(asked, credits, strict=True)
        )
        out[name] = {
            row: {
                "right": None if (right := figure(entries)) is None else right.to_json(),
                "sets": None if (sets := figure(whole_sets(entries))) is None else sets.to_json(),
            }
            for row, entries in sorted(rows.items(), key=lambda item: row_order(item[0]))
        }
    return out


def best_of(rows: dict[str, Any], row: str) -> tuple[str, dict[str, float]] | None:
    """The baseline that does best in a row without watching what minds take in, with its figure."""
    found = [
        (name, scores[row]["right"])
        for name, scores in rows.items()
        if name != "chance" and name not in shortcuts.PARTS and row in scores
    ]
    return max(found, key=lambda pair: pair[1]["mean"]) if found else None


def _films(pairs: Sequence[tuple[int, str]], workers: int) -> list[clues.Film]:
    if workers <= 1:
        return [clues.film(*pair) for pair in pairs]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return pool.starmap(clues.film, pairs, chunksize=16)
