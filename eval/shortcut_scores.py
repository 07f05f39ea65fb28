"""A benchmark's items go in; what is earned on them without any model, and without opening a film, comes out.

What a shortcut can do, a model need not understand minds for. Those with options: a guess, the first, last or longest
option, the usual place of the answer, and words of the options (with or without the question), learned on other videos
and other sets only. Those that point: the whole video, a random span as long as the true one, the middle third. Where a
shortcut cannot decide between options, each of them counts with its share. Our own world has more: `eval.worlds`.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from eval import shortcut_words
from eval.item import Item
from eval.metrics import interval, question_values
from eval.run_scores import round_all, values_of_tag
from eval.shortcut_words import Guess, learned
from roles.errors import DataError
from roles.examples import write_text
from roles.types import Span

Json = dict[str, Any]

TRAIN_SETS = 400
"""Sets that our world's own bags of words learn from, as in `python -m eval.worlds shortcuts`."""
RANDOM_SPANS = 20
"""Random spans drawn for each question; their mean is what one earns."""
SPAN_ROWS = ("mIoU", "mIoP", "R1@0.3", "R1@0.5", "R1@0.7")
"""Figures of the shortcuts that point."""
WORLD = "world: "
"""Stands before the names of our world's own shortcuts."""
SAME_AS_OURS = ("chance", "always the first option")
"""Those of them that any benchmark has."""


def shortcuts(
    benchmark: str,
    items: Sequence[Item],
    by: Sequence[str],
    lengths_s: Mapping[str, float],
    *,
    train_sets: int = TRAIN_SETS,
    cache: Path | None = None,
    workers: int = 1,
) -> tuple[dict[str, Json], list[str]]:
    """Figures by shortcut and row, and sentences on what was left out.

    Args:
        benchmark: Its name.
        items: With their truth.
        by: Tags that get rows.
        lengths_s: Seconds by `Item.video`; what is asked about a video of unknown length gets no span of a shortcut.
        train_sets: Sets that our world's own shortcuts learn from.
        cache: File that keeps the figures; those of other items or of another program are not used.
        workers: Processes that tell our world's films again.

    Raises:
        DataError: The cache cannot be written.
    """
    about = _identity(benchmark, items, by, lengths_s, train_sets)
    if cache is not None:
        try:
            kept = json.loads(cache.read_text(encoding="utf-8"))
            if kept["about"] == about:
                return dict(kept["rows"]), list(kept["notes"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not there, or of something else: worked out anew
    answerable = [item for item in items if item.options and item.answer_at is not None]
    rows: dict[str, Json] = {
        name: _choice_rows(benchmark, answerable, credits, by) for name, credits in choice_credits(answerable).items()
    }
    notes: list[str] = []
    from_world, unknown = world_rows(answerable, train_sets, workers)
    rows |= {f"{WORLD}{name}": found for name, found in from_world.items()}
    if unknown:
        notes.append(
            f"{unknown:,} questions are not what this program's world asks about its own films (another version, or "
            "another --length or --size when they were made): they are left out of its shortcuts."
        )
    pointing, unknown = span_rows(items, lengths_s)
    rows |= pointing
    if unknown:
        notes.append(f"{unknown:,} questions are on videos of unknown length: left out of the shortcuts that point.")
    rows = round_all(rows)
    if cache is not None:
        write_text(cache, [json.dumps({"about": about, "rows": rows, "notes": notes}, indent=1)])
    return rows, notes


def choice_credits(items: Sequence[Item]) -> dict[str, list[float]]:
    """What each shortcut earns on each question, 0 to 1; all items have options and a known answer."""
    if not items:
        return {}
    earned = {name: [_credit(item, choose(item)) for item in items] for name, choose in STRATEGIES.items()}
    for name, guesses in learned(items).items():
        earned[name] = [_credit(item, guess) for item, guess in zip(items, guesses, strict=True)]
    return earned


def span_rows(items: Sequence[Item], lengths_s: Mapping[str, float]) -> tuple[dict[str, Json], int]:
    """Figures of the shortcuts that point, by name and `SPAN_ROWS`; and how many questions have no known length."""
    known: list[tuple[Item, Span]] = []
    unknown = 0
    for item in items:
        if item.spans:
            part = _part(item, lengths_s)
            if part is None:
                unknown += 1
            else:
                known.append((item, part))
    if not known:
        return {}, unknown
    rows: dict[str, Json] = {}
    for name, point in _POINTERS.items():
        values = []
        for item, part in known:
            found = [question_values([span], item.spans) for span in point(item, part)]
            values.append({row: sum(one[row] for one in found) / len(found) for row in SPAN_ROWS})
        sets = [item.set for item, _ in known]
        rows[name] = {row: interval([one[row] for one in values], sets).to_json() for row in SPAN_ROWS}
    return rows, unknown


def world_rows(items: Sequence[Item], train_sets: int, workers: int = 1) -> tuple[dict[str, Json], int]:
    """Our world's own shortcuts by name and row; and how many questions are not as the world asks them now.

    Its films are told again from their seeds, which costs a second for about 70 of them.
    """
    asked: dict[tuple[int, str], dict[str, Item]] = {}
    for item in items:
        if is_world(item):
            asked.setdefault((int(item.tags["set"]), item.tags["kind"]), {})[item.tags["id"]] = item
    if not asked:
        return {}, 0
    from eval.exam_baselines import scored
    from eval.worlds import clues
    from eval.worlds import shortcuts as worlds

    films, matched = [], 0
    for (seed, kind), wanted in asked.items():
        try:
            film = clues.film(seed, kind)
        except DataError:  # a kind or a seed that this version does not have
            continue
        same = tuple(question for question in film.items if _is_same(wanted.get(question.tags["id"]), question))
        if same:
            films.append(replace(film, items=same))
            matched += len(same)
    unknown = sum(map(len, asked.values())) - matched
    if not films:
        return {}, unknown
    rows: dict[str, Json] = {}
    for name, found in scored(clues.films(worlds.TRAIN_SEED, train_sets, workers), films).items():
        if name not in SAME_AS_OURS:
            title = f"{name} (partial)" if name in worlds.PARTS else name
            rows[title] = {row: scores["right"] for row, scores in found.items()}
    return rows, unknown


def is_world(item: Item) -> bool:
    """Whether an item comes from our own world."""
    tags = item.tags
    return tags.get("source") == "worlds" and tags.get("set", "").isdecimal() and {"id", "kind", "type"} <= tags.keys()


def rows_of_item(benchmark: str, item: Item, by: Sequence[str]) -> list[str]:
    """The rows that a question counts in: those of the world's exam, or everything and a row for each tag's value."""
    from eval.exam_scores import rows_of

    if is_world(item):
        return rows_of(item.tags)
    return ["all", *(f"{tag}: {value}" for tag in dict.fromkeys(by) for value in values_of_tag(benchmark, item, tag))]


def sorted_rows(rows: Iterable[str], items: Sequence[Item], by: Sequence[str]) -> list[str]:
    """Rows in their order: that of the world's exam, or everything first and then by tag and value."""
    from eval.exam_scores import row_order

    if any(is_world(item) for item in items):
        return sorted(rows, key=row_order)
    heads = ["all", *by]
    return sorted(rows, key=lambda row: (heads.index(row.partition(": ")[0]), row))


def _longest(item: Item) -> Guess:
    most = max(map(len, item.options))
    return [at for at, option in enumerate(item.options) if len(option) == most]


STRATEGIES: Mapping[str, Callable[[Item], Guess]] = {
    "chance": lambda item: range(len(item.options)),
    "first option": lambda item: (0,),
    "last option": lambda item: (len(item.options) - 1,),
    "longest option": _longest,
}


def _random_spans(item: Item, part: Span) -> list[Span]:
    from eval.evidence_swap import anywhere

    drawn = random.Random(f"{item.key}/length")  # noqa: S311 - no secret
    lengths_s = [min(drawn.choice(item.spans).length_s, part.length_s) for _ in range(RANDOM_SPANS)]
    return [anywhere(length_s, part, f"{item.key}/{number}") for number, length_s in enumerate(lengths_s)]


def _middle_third(item: Item, part: Span) -> list[Span]:
    third_s = part.length_s / 3
    return [Span(part.start_s + third_s, part.end_s - third_s)]


_POINTERS: Mapping[str, Callable[[Item, Span], list[Span]]] = {
    "whole video": lambda item, part: [part],
    "random span of the true length": _random_spans,
    "middle third": _middle_third,
}


def _part(item: Item, lengths_s: Mapping[str, float]) -> Span | None:
    """What is asked about; None where nobody says how long the video is."""
    end_s = item.end_s if item.end_s is not None else lengths_s.get(item.video)
    start_s = item.start_s or 0.0
    return Span(start_s, end_s) if end_s is not None and start_s < end_s else None


def _credit(item: Item, guess: Guess) -> float:
    return sum(bool(item.is_right(at)) for at in guess) / len(guess)


def _choice_rows(benchmark: str, items: Sequence[Item], credits: Sequence[float], by: Sequence[str]) -> Json:
    members: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        for row in rows_of_item(benchmark, item, by):
            members.setdefault(row, []).append(at)
    return {
        row: interval([credits[at] for at in members[row]], [items[at].set for at in members[row]]).to_json()
        for row in sorted_rows(members, items, by)
    }


def _is_same(item: Item | None, question: Any) -> bool:
    """Whether an item is a question of the film as the world tells it now."""
    return (
        item is not None
        and (item.question, item.options, item.spans) == (question.text, question.options, question.spans)
        and question.options.index(question.answer) == item.answer_at
    )


def _identity(
    benchmark: str, items: Sequence[Item], by: Sequence[str], lengths_s: Mapping[str, float], train_sets: int
) -> Json:
    """What the figures depend on."""
    from eval.worlds.manifest import code_digest

    known_s = [lengths_s.get(item.video) for item in items]
    told = json.dumps([benchmark, list(by), [asdict(item) for item in items], known_s])
    return {
        "items": hashlib.sha256(told.encode()).hexdigest()[:16],
        "code": [
            hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] for file in (__file__, shortcut_words.__file__)
        ],
        "world": code_digest(),
        "train_sets": train_sets,
    }
