"""The records of an exam go in, its figures come out, part by part, as `report.json` holds them.

A figure is a mean over questions with a 95 % interval over matched sets (`exam_scores.Figure`); None where there is no
question to take it of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from eval.exam_scores import CORE, Entry, difference, figure, row_order, rows_of, whole_sets
from eval.exam_sitting import FEW_FRAMES, Record
from eval.worlds.questions import MOMENTS

IOU_LIMITS = (0.3, 0.5, 0.7)
RIGHT_IOU = 0.5
SWAP_KINDS = ("true", "predicted", "random", "complement")
SWAP_RULES = ("tight", "manner", "")

Asked = tuple[int, Record]
"""(seed of the set, record of one question)"""
Value = Callable[[Record], float | None]
Json = dict[str, Any]


def scores_of(part: str, records: Sequence[Record]) -> Json:
    """A part's figures, with its time: seconds a question are those of one worker."""
    asked = [(record["seed"], one) for record in records for one in record["asked"]]
    failed = [one["error"] for _, one in asked if one.get("error")]
    spent_s = sum(record["elapsed_s"] for record in records)
    return {
        "films": len(records),
        "sets": len({record["seed"] for record in records}),
        "questions": len(asked),
        "seconds_a_question": spent_s / len(asked) if asked else None,
        "failed": {"count": len(failed), "first": failed[:3]},
        **(_SCORES[part](asked) if asked else {}),
    }


def reranked(one: Record) -> tuple[float, float]:
    """Overlaps of the first candidate in the grounder's order and in the verifier's; equal ones keep their order."""
    if not one["ious"]:
        return 0.0, 0.0
    first = one["order"][0] if one["order"] else 0
    return one["ious"][0], one["ious"][first]


def has_room(one: Record) -> bool:
    """Whether the grounder's first candidate is wrong while another one is right."""
    return bool(one["ious"]) and one["ious"][0] < RIGHT_IOU <= max(one["ious"])


def _answers(asked: Sequence[Asked]) -> Json:
    rows, wordings = {}, {}
    for row, found in _by_row(asked).items():
        entries = _entries(found, _right)
        rows[row] = {
            "right": _json(figure(entries)),
            "sets": _json(figure(whole_sets(entries))),
            "chance": sum(1 / one["options"] for _, one in found) / len(found),
        }
        new, known = _by_wording(found)
        if new and known:
            wordings[row] = {
                "unseen": _mean(new, _right),
                "trained": _mean(known, _right),
                "difference": _json(difference(_entries(new, _right), _entries(known, _right))),
            }
    kinds: dict[str, list[Asked]] = defaultdict(list)
    for seed, one in asked:
        if one["tags"]["type"] in CORE:
            kinds[f"{one['tags']['family']}/{one['tags']['kind']}"].append((seed, one))
    return {
        "rows": rows,
        "wordings": wordings,
        "core questions by kind of film": {kind: _mean(kinds[kind], _right) for kind in sorted(kinds)},
        "called_strange": sum(bool(one.get("strange")) for _, one in asked),
    }


def _moments(asked: Sequence[Asked]) -> Json:
    values: dict[str, Value] = {"mIoU": lambda one: _best(one, 1)}
    for limit in IOU_LIMITS:
        values[f"R1@{limit}"] = _at_least(limit, 1)
    for limit in IOU_LIMITS[1:]:
        values[f"R5@{limit}"] = _at_least(limit, 5)
    groups = {row: found for row, found in _by_row(asked).items() if row != "core"}
    groups["all moments"] = [pair for pair in asked if pair[1]["tags"]["type"] in MOMENTS]
    groups["all beliefs"] = [pair for pair in asked if pair[1]["tags"]["type"] not in MOMENTS]
    new, known = _by_wording(asked)
    unseen = difference(_entries(new, values["mIoU"]), _entries(known, values["mIoU"]))
    return {
        "rows": {
            row: {name: _mean(groups[row], value) for name, value in values.items()}
            for row in sorted(groups, key=row_order)
            if groups[row]
        },
        "mIoU of unseen wordings, less that of trained ones": _json(unseen),
        "pointed": sum(one["pointed"] for _, one in asked) / len(asked),
    }


def _best(one: Record, first: int) -> float:
    return max(one["ious"][:first], default=0.0)


def _at_least(limit: float, first: int) -> Value:
    return lambda one: float(_best(one, first) >= limit)


def _verifier(asked: Sequence[Asked]) -> Json:
    groups = {
        "overall": list(asked),
        "where there is room": [pair for pair in asked if has_room(pair[1])],
        "first candidate right": [pair for pair in asked if reranked(pair[1])[0] >= RIGHT_IOU],
        **_by_type(asked),
    }

    def hit(one: Record, at: int) -> float:
        return float(reranked(one)[at] >= RIGHT_IOU)

    values: dict[str, Value] = {
        "before": lambda one: hit(one, 0),
        "after": lambda one: hit(one, 1),
        "gain": lambda one: hit(one, 1) - hit(one, 0),
        "mIoU before": lambda one: reranked(one)[0],
        "mIoU after": lambda one: reranked(one)[1],
    }
    return {
        "rows": {
            name: {key: _mean(found, value) for key, value in values.items()} for name, found in groups.items() if found
        }
    }


def _planner(asked: Sequence[Asked]) -> Json:
    def coarse(plan: str | None) -> str | None:
        return "ground" if plan == "rephrase" else plan

    truths: dict[str, list[Asked]] = defaultdict(list)
    for pair in asked:
        truths[pair[1]["truth"]].append(pair)
    new, known = _by_wording(asked)

    def plan_right(one: Record) -> float:
        return float(one["planned"] == one["truth"])

    return {
        "rows": {
            "routes right": _mean(asked, lambda one: float(coarse(one["planned"]) == coarse(one["truth"]))),
            "plans right": _mean(asked, plan_right),
            **{f"plans right, {truth}": _mean(truths[truth], plan_right) for truth in sorted(truths)},
            "plans right, unseen wordings": _mean(new, plan_right),
            "plans right, trained wordings": _mean(known, plan_right),
            "read as a plan": _mean(asked, lambda one: float(one["planned"] is not None)),
            "mIoU with the planner's query": _mean(asked, _field("own_iou")),
            "mIoU with the question's own query": _mean(asked, _field("told_iou")),
        }
    }


def _long(asked: Sequence[Asked]) -> Json:
    values: dict[str, Value] = {
        "full agent": _right,
        "answerer alone": _field("right_alone"),
        "difference": lambda one: float(one["right"]) - float(one["right_alone"]),
    }
    for frames in FEW_FRAMES:
        values |= _few(str(frames))
    tokens = [one["tokens"] for _, one in asked]
    return {
        "rows": {
            row: {name: _mean(found, value) for name, value in values.items()} for row, found in _by_row(asked).items()
        },
        "mIoU": _mean(asked, _field("iou")),
        "visual tokens a question": {
            name: {who: sum(pair[at][who] for pair in tokens) / len(tokens) for who in ("answerer", "all")}
            for at, name in enumerate(("full agent", "answerer alone"))
        },
    }


def _few(frames: str) -> dict[str, Value]:
    """Full agent and answerer alone with so many frames for the answerer."""
    return {
        f"full agent, {frames} frames": lambda one: float(one["few"][frames][0]),
        f"answerer alone, {frames} frames": lambda one: float(one["few"][frames][1]),
        f"difference, {frames} frames": lambda one: float(one["few"][frames][0]) - float(one["few"][frames][1]),
    }


def _swap(asked: Sequence[Asked]) -> Json:
    paired = [pair for pair in asked if "complement" in pair[1]["right"]]
    names = sorted({name for _, one in paired for name in one["right"]}, key=_swap_order)

    def right(name: str) -> Value:
        return lambda one: float(one["right"][name])

    def below(name: str) -> Value:
        return lambda one: float(one["right"]["true/tight"]) - float(one["right"][name])

    core = [pair for pair in paired if pair[1]["tags"]["type"] in CORE]

    def rows(found: Sequence[Asked]) -> Json:
        return {
            name: {"right": _mean(found, right(name)), "below true/tight": _mean(found, below(name))} for name in names
        }

    return {
        "rows": rows(paired),
        "core": rows(core) if core else {},
        "complement": "the longer of what lies before and after the true clip of the tight rule, taken as it is",
        "left_out": len(asked) - len(paired),
    }


def _swap_order(name: str) -> tuple[int, int]:
    kind, _, rule = name.partition("/")
    return SWAP_RULES.index(rule), SWAP_KINDS.index(kind)


def _agent(asked: Sequence[Asked]) -> Json:
    answered = [pair for pair in asked if "right" in pair[1]]
    pointing = [pair for pair in asked if pair[1]["iou"] is not None]
    moments = [pair for pair in pointing if pair[1]["tags"]["type"] in MOMENTS]
    groups = {"all": pointing, "all moments": moments, **_by_type(pointing)}
    times = sorted(one["elapsed_s"] for _, one in asked)
    return {
        "rows": {row: {"right": _mean(found, _right)} for row, found in _by_row(answered).items()},
        "mIoU": {name: _mean(found, _field("iou")) for name, found in groups.items() if found},
        "elapsed_s": {"median": times[len(times) // 2], "90 %": times[int(0.9 * (len(times) - 1))], "most": times[-1]},
        "fell_back": sum(bool(one["fell_back"]) for _, one in asked),
    }


def _by_row(asked: Sequence[Asked]) -> dict[str, list[Asked]]:
    rows: dict[str, list[Asked]] = defaultdict(list)
    for pair in asked:
        for row in rows_of(pair[1]["tags"]):
            rows[row].append(pair)
    return {row: rows[row] for row in sorted(rows, key=row_order)}


def _by_type(asked: Sequence[Asked]) -> dict[str, list[Asked]]:
    types: dict[str, list[Asked]] = defaultdict(list)
    for pair in asked:
        types[pair[1]["tags"]["type"]].append(pair)
    return dict(sorted(types.items()))


def _by_wording(asked: Sequence[Asked]) -> tuple[list[Asked], list[Asked]]:
    """(questions in words that training never shows, all others)."""
    new = [pair for pair in asked if "held_out" in pair[1]["tags"]]
    return new, [pair for pair in asked if "held_out" not in pair[1]["tags"]]


def _right(one: Record) -> float:
    return float(one["right"])


def _field(name: str) -> Value:
    """What a record says under a name; None where it does not."""
    return lambda one: one.get(name)


def _entries(asked: Iterable[Asked], value: Value) -> list[Entry]:
    return [(seed, float(found)) for seed, one in asked if (found := value(one)) is not None]


def _mean(asked: Iterable[Asked], value: Value) -> Any:
    return _json(figure(_entries(asked, value)))


def _json(found: Any) -> Any:
    return None if found is None else found.to_json()


_SCORES: Mapping[str, Callable[[Sequence[Asked]], Json]] = {
    "answers": _answers,
    "moments": _moments,
    "verifier": _verifier,
    "planner": _planner,
    "long": _long,
    "swap": _swap,
    "agent": _agent,
}
