"""A line of a task's data and a reply to it go in; what the tasks' YAML files name comes out: prompts and figures.

The figures are those of `eval.metrics` under the same names, so that a run under lmms-eval and one of ours can be laid
side by side. Each is a mean over questions; what has no reply, or one that cannot be read, is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from eval.item import Item
from eval.lmms.docs import item_of
from eval.lmms.replies import Reply, read_reply

QUESTION_FIGURES = (
    "Acc",
    "Acc@GQA",
    "Acc@IoU",
    "mIoU",
    "mIoP",
    "R1@0.3",
    "R1@0.5",
    "R1@0.7",
    "IoP R1@0.3",
    "IoP R1@0.5",
)
"""Of `eval.metrics.question_values`, those that a task's YAML names: lmms-eval writes the others as empty lists."""
MOMENT_FIGURES = ("mAP", "mAP@0.5", "mAP@0.75", "R1@0.5", "R1@0.7")
"""Of `eval.metrics.moment_retrieval`, those of all windows; of each length of window only the first."""

Scored = dict[str, Any]
"""{"score": a figure of one question, "set": the set over which standard errors are counted}"""


def doc_to_visual(doc: Mapping[str, Any], lmms_eval_specific_kwargs: object = None) -> list[str]:
    """The video."""
    return [doc["video"]]


def doc_to_text(doc: Mapping[str, Any], lmms_eval_specific_kwargs: object = None) -> str:
    """The prompt for models other than ours, which takes the question from the data."""
    lines = [doc["question"]]
    if doc["options"]:
        lines += [f"{ascii_uppercase[at]}. {option}" for at, option in enumerate(doc["options"])]
        wanted = '{"choice": "<letter>", "spans": [[<start>, <end>]]}'
        lines.append(f"Answer with one JSON object, {wanted}: your option's letter, and when one sees it, in seconds.")
    elif doc["spans"]:
        wanted = '{"spans": [[<start>, <end>]]}'
        lines.append(f"When is that? Answer with one JSON object, {wanted}, in seconds, the best moment first.")
    return "\n".join(lines)


def doc_to_target(doc: Mapping[str, Any]) -> str:
    """The truth, for the log of samples."""
    item = item_of(doc)
    letter = None if item.answer_at is None else ascii_uppercase[item.answer_at]
    return json.dumps(
        {"key": item.key, "choice": letter, "spans": [[one.start_s, one.end_s] for one in item.spans]},
        ensure_ascii=False,
    )


def question_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Scored]:
    """The figures of one question; which there are depends on whether it has an answer and true moments."""
    item = item_of(doc)
    return _scored(_values(item, read_reply(_first(results), item.options)), item)


def world_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Scored]:
    """The same for our world, with Acc by order of belief, and Acc once more for its sets."""
    item = item_of(doc)
    values = _values(item, read_reply(_first(results), item.options))
    if "Acc" in values:
        values |= {f"Acc order {item.tags['order']}": values["Acc"], "Sets": values["Acc"]}
    return _scored(values, item)


def moment_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Scored]:
    """QVHighlights' figures of moment retrieval for one query, under the official scorer's names."""
    from eval.metrics import moment_retrieval

    item = item_of(doc)
    if not item.spans:
        return {}
    windows = read_reply(_first(results), item.options).windows
    tables = moment_retrieval([windows], [[(one.start_s, one.end_s) for one in item.spans]])
    values = {
        f"MR-{length}-{name}": found[0][name]
        for length, found in tables.items()
        if found
        for name in (MOMENT_FIGURES if length == "full" else MOMENT_FIGURES[:1])
    }
    return _scored(values, item)


def mean_score(items: Sequence[Scored]) -> float:
    """A figure's mean over questions, 0 to 1."""
    from roles.scores import mean

    return mean([one["score"] for one in items])


def sets_right(items: Sequence[Scored]) -> float:
    """Share of sets in which every question is right."""
    from roles.scores import mean

    sets: dict[str, bool] = {}
    for one in items:
        sets[one["set"]] = sets.get(one["set"], True) and one["score"] == 1.0
    return mean(list(sets.values()))


def _values(item: Item, reply: Reply) -> dict[str, float]:
    from eval.metrics import question_values

    values = question_values(reply.spans, item.spans, item.is_right(reply.choice))
    return {name: values[name] for name in QUESTION_FIGURES if name in values}


def _first(results: Sequence[str]) -> str:
    return results[0] if results else ""


def _scored(values: Mapping[str, float], item: Item) -> dict[str, Scored]:
    return {name: {"score": value, "set": item.set or item.video} for name, value in values.items()}
