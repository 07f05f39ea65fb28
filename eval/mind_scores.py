"""Items and records of a run go in; its tables of Theory of Mind come out: sets, orders, shortcuts, span swap, blind.

A set counts only where all of its questions are right. Orders of belief stand apart, and true beliefs apart from false
ones. The swap asks whether the moment matters: with the evidence exchanged for something else, answers must get worse.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from eval.evidence_swap import KINDS as SWAP_KINDS
from eval.item import Item, Record
from eval.metrics import interval
from eval.run_scores import valid_choice
from eval.shortcut_scores import SPAN_ROWS, is_world, rows_of_item, sorted_rows

Json = dict[str, Any]
MODEL = "the model"
ALL = "all questions"
CORE_SETS = "core questions"
"""Those of `eval.exam_scores.CORE`, which only our own world's items have."""
MUST_FALL = "without the evidence (complement) accuracy must fall"
LEFT_OUT = "questions left out"


def mind_scores(
    benchmark: str,
    items: Sequence[Item],
    records: Mapping[str, Record],
    values: Sequence[Mapping[str, float]],
    by: Sequence[str],
    baselines: Mapping[str, Json],
    notes: Sequence[str] = (),
) -> Json:
    """The tables.

    Args:
        benchmark: Its name.
        items: What was to be asked.
        records: What was said, by key.
        values: `eval.run_scores.item_values`.
        by: Tags that get rows.
        baselines: `eval.shortcut_scores.shortcuts`.
        notes: What a person should know of them.

    Returns:
        "sets" and "orders": figures by row. "shortcuts": by name, then by row, the first being the model itself; rows
        named after a figure (`SPAN_ROWS`) are that figure of the shortcuts that point at moments. "swap": by kind of
        clip {"right", "below true"}, then `MUST_FALL` in words and `LEFT_OUT`, the number of questions with evidence
        that were not asked with all kinds of clips; None where none was. "swap_core": the same of our world's core
        questions. "blind": right from grey frames, or None; "blind_below": how much that is below the answer from the
        video, on the same questions. "notes": sentences.
    """
    answered = [(item, its["Acc"]) for item, its in zip(items, values, strict=True) if "Acc" in its]
    swapped = _swapped(items, records)
    blind = _blind(answered, records)
    return {
        "sets": _sets(answered),
        "orders": _orders(answered),
        "shortcuts": {MODEL: _model_rows(benchmark, items, values, by), **baselines} if answered or baselines else {},
        "swap": _swap(swapped),
        "swap_core": _swap([pair for pair in swapped if _is_core(pair[0])]),
        "blind": _figure([(item, ours) for item, ours, _ in blind]),
        "blind_below": _figure([(item, seen - ours) for item, ours, seen in blind]),
        "notes": list(notes),
    }


def _sets(answered: Sequence[tuple[Item, float]]) -> Json:
    """Shares of sets of which all questions are right; of our world by family, and films' own by kind."""
    groups: dict[tuple[int, str], list[tuple[Hashable, str, float]]] = {}

    for item, right in answered:
        found: list[tuple[int, str, Hashable]] = [(0, ALL, item.set)]
        if _is_core(item):
            found += [
                (1, CORE_SETS, item.set),
                (2, f"{CORE_SETS}, {item.tags.get('family', 'no family')}", item.set),
                (3, f"{CORE_SETS} of one film, {item.tags['kind']}", (item.set, item.tags["kind"])),
            ]
        for place, row, group in found:
            groups.setdefault((place, row), []).append((group, item.set, right))
    rows: Json = {}
    for place, row in sorted(groups):
        whole: dict[Hashable, tuple[str, float]] = {}
        for group, name, value in groups[place, row]:
            whole[group] = (name, whole.get(group, (name, 1.0))[1] * value)
        rows[row] = interval([value for _, value in whole.values()], [name for name, _ in whole.values()]).to_json()
    return rows


def _orders(answered: Sequence[tuple[Item, float]]) -> Json:
    """Right answers by order of belief, then split by whether the belief is true."""
    rows: dict[str, list[tuple[Item, float]]] = {}
    for item, right in answered:
        order, truth = item.tags.get("order"), item.tags.get("truth")
        if order is None or (is_world(item) and not _is_core(item)):
            continue
        rows.setdefault(f"order {order}", []).append((item, right))
        if truth is not None:
            rows.setdefault(f"order {order}, {truth}", []).append((item, right))
    return {row: _figure(rows[row]) for row in sorted(rows)}


def _model_rows(
    benchmark: str, items: Sequence[Item], values: Sequence[Mapping[str, float]], by: Sequence[str]
) -> Json:
    """The model's figures in the rows that the shortcuts have."""
    rows: dict[str, list[tuple[Item, float]]] = {}
    for item, its in zip(items, values, strict=True):
        if "Acc" in its:
            for row in rows_of_item(benchmark, item, by):
                rows.setdefault(row, []).append((item, its["Acc"]))
    found = {row: _figure(rows[row]) for row in sorted_rows(rows, items, by)}
    for name in SPAN_ROWS:
        some = [(item, its[name]) for item, its in zip(items, values, strict=True) if name in its]
        found |= {name: _figure(some)} if some else {}
    return found


def _swapped(items: Sequence[Item], records: Mapping[str, Record]) -> list[tuple[Item, dict[str, float] | None]]:
    """Items with an answer and evidence, and whether the answer was right with each kind of clip.

    None where not all kinds were asked.
    """
    found: list[tuple[Item, dict[str, float] | None]] = []
    for item in items:
        if item.answer_at is None or not item.spans:
            continue
        swap = records.get(item.key, {}).get("swap") or {}
        if all(kind in swap for kind in SWAP_KINDS):
            choices = {kind: valid_choice(item, swap[kind].get("choice")) for kind in SWAP_KINDS}
            found.append((item, {kind: float(bool(item.is_right(choice))) for kind, choice in choices.items()}))
        else:
            found.append((item, None))
    return found


def _swap(asked: Sequence[tuple[Item, Mapping[str, float] | None]]) -> Json | None:
    """Right answers by kind of clip, and what they lose against the true one; then what else there is to say."""
    swapped = [(item, right) for item, right in asked if right is not None]
    if not swapped:
        return None
    rows: Json = {
        kind: {
            "right": _figure([(item, right[kind]) for item, right in swapped]),
            "below true": _figure([(item, right["true"] - right[kind]) for item, right in swapped]),
        }
        for kind in SWAP_KINDS
    }
    fall = rows["complement"]["below true"]
    mean, low, high = (100 * fall[name] for name in ("mean", "low", "high"))
    if fall["sets"] == 1:  # has no interval
        rows[MUST_FALL] = f"one set cannot tell: {mean:.1f} points below the true moment"
    else:
        verdict = "it does" if low > 0 else "it does not for sure, so that localising may be decoration"
        rows[MUST_FALL] = f"{verdict}: {mean:.1f} points below the true moment [{low:.1f}, {high:.1f}]"
    rows[LEFT_OUT] = len(asked) - len(swapped)
    return rows


def _blind(answered: Sequence[tuple[Item, float]], records: Mapping[str, Record]) -> list[tuple[Item, float, float]]:
    """(item, whether it is right without the video, and with it) of all that were asked blind."""
    return [
        (item, float(bool(item.is_right(valid_choice(item, blind.get("choice"))))), seen)
        for item, seen in answered
        if (blind := records.get(item.key, {}).get("blind")) is not None
    ]


def _is_core(item: Item) -> bool:
    from eval.exam_scores import CORE

    return is_world(item) and item.tags.get("type") in CORE


def _figure(entries: Sequence[tuple[Item, float]]) -> Json | None:
    if not entries:
        return None
    return interval([value for _, value in entries], [item.set for item, _ in entries]).to_json()
