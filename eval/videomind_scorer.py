"""Samples of VideoMind's prediction dump go in; the tables of its own scorer, or our figures for them, come out.

Its scorer is followed with its faults, so that its numbers and ours can be put side by side: samples without `pred`
are left out of the grounding tables, overlapping intervals count twice in CG-Bench's overlap (which can then exceed 1
or be negative), and of a reply only the first word's first letter is read. `our_scores` has none of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

Sample = Mapping[str, Any]
Pairs = Sequence[Sequence[float]]
Overlap = Callable[[Pairs, Sequence[float], Pairs], list[float]]
"""(predicted, their confidences, true) -> the overlap of each ranked prediction; none where nothing is predicted"""

_CONFIDENT = re.compile(r"cgbench_conf_thr_(\d*\.?\d+)")
_RIGHT_FROM = 0.5


def is_mode(mode: str) -> bool:
    """Whether there is such a mode: "default", "cgbench", "cgbench_conf_thr_0.4" (or another number) or "ours"."""
    return mode in ("default", "cgbench", "ours") or _CONFIDENT.fullmatch(mode) is not None


def official_scores(samples: Sequence[Sample], mode: str = "default") -> dict[str, Any]:
    """The tables that VideoMind's own scorer prints.

    Args:
        samples: Checked ones; `task` is one name or several, of which each gets the sample's row.
        mode: "default", or "cgbench", in which the first interval counts against the sum of all true ones, or
            "cgbench_conf_thr_T", in which the first and all whose confidence exceeds T do.

    Returns:
        By name: lists of rows, percent with two decimals, for "Grounding (IoU)", "Grounding (IoP)" and "QA"; and under
        "IoU Raise", "IoU Lower" and so on how many samples the verifier's order made better or worse than `pred_ori`.
    """
    cgbench = mode.startswith("cgbench")
    limits = (0.1, 0.2, 0.3, 0.4, 0.5) if cgbench else (0.3, 0.5, 0.7)
    ranks = (1,) if cgbench else (1, 3, 5)
    confident = _CONFIDENT.fullmatch(mode)
    measures: dict[str, Overlap] = {"IoU": _best(_iou), "IoP": _best(_iop)}
    if cgbench:
        measures = {"IoU": _summed(float(confident[1]) if confident else None)}
    tables: dict[str, Any] = {}
    grounded = [sample for sample in samples if _is_grounded(sample)]
    for name, measure in measures.items() if grounded else ():
        overlaps = [_overlaps(sample, measure) for sample in grounded]
        columns: dict[str, list[float]] = {
            f"R{k}@{limit}": [float(any(one >= limit for one in found[:k])) for found in overlaps]
            for k in ranks
            for limit in limits
        }
        columns[f"m{name}"] = [_first(found) for found in overlaps]
        if cgbench:
            columns["rec.@IoU"] = [_share(_first(found), limits) for found in overlaps]
        failed = [sample.get("grounder_success") is False for sample in grounded]
        tables[f"Grounding ({name})"] = _rows(grounded, failed, columns)
        before = [_overlaps(sample, measure, "_ori") for sample in grounded]
        pairs = [(now[0], was[0]) for now, was in zip(overlaps, before, strict=True) if now and was]
        changed = {"Raise": sum(now > was for now, was in pairs), "Lower": sum(now < was for now, was in pairs)}
        for word, count in changed.items():
            percent = round(100 * count / len(grounded), 2)
            tables[f"{name} {word}"] = {"samples": len(grounded), "count": count, "percent": percent}
    if asked := [sample for sample in samples if _is_asked(sample)]:
        said = [_first_letter(sample) for sample in asked]
        right = [float(letter == sample["ans"].upper()) for letter, sample in zip(said, asked, strict=True)]
        reached = {
            name: [_first(_overlaps(sample, measure)) if _is_grounded(sample) else 0.0 for sample in asked]
            for name, measure in measures.items()
        }
        if cgbench:
            shares = [_share(overlap, limits) for overlap in reached["IoU"]]
            columns = {"long-acc.": right, "acc.@IoU": [ok * share for ok, share in zip(right, shares, strict=True)]}
        else:
            columns = {"Acc": right} | {
                f"Acc ({name} >= {_RIGHT_FROM})": [
                    ok * (overlap >= _RIGHT_FROM) for ok, overlap in zip(right, overlaps_of, strict=True)
                ]
                for name, overlaps_of in reached.items()
            }
        tables["QA"] = _rows(asked, [letter is None for letter in said], columns)
    return tables


def our_scores(samples: Sequence[Sample]) -> dict[str, Any]:
    """The figures of `eval.metrics` for a dump, replies read by `eval.choices`; whatever is missing is wrong.

    Returns:
        {task, or "all": {"asked", "unparsed" (replies that name no option), "no_prediction" (samples with true spans
        and without predicted ones), "fallbacks" (the grounder did not answer), "figures": {name: mean, low, high,
        asked, sets}}}; the intervals are drawn over videos where samples name one.
    """
    from eval.choices import read_choice
    from eval.metrics import interval, question_values

    scored = []
    for number, sample in enumerate(samples):
        right = said = None
        if _is_asked(sample):
            said = read_choice(sample.get("response"), sample["options"])
            right = said == ascii_uppercase.index(sample["ans"].upper())
        truths = _spans(sample.get("span") or ())
        predicted = _spans(sample.get("pred") or ())
        counts = {
            "unparsed": right is not None and said is None,
            "no_prediction": bool(truths) and not predicted,
            "fallbacks": bool(truths) and sample.get("grounder_success") is False,
        }
        scored.append((sample.get("video_path", number), counts, question_values(predicted, truths, right)))
    report: dict[str, Any] = {}
    for task, members in _by_task(samples).items():
        chosen = [scored[at] for at in members]
        names = dict.fromkeys(name for _, _, values in chosen for name in values)
        figures = {}
        for name in names:
            having = [(video, values[name]) for video, _, values in chosen if name in values]
            figures[name] = interval([value for _, value in having], [video for video, _ in having]).to_json()
        tallies = {kind: sum(counts[kind] for _, counts, _ in chosen) for kind in chosen[0][1]}
        report[task] = {"asked": len(chosen), **tallies, "figures": figures}
    return report


def _is_grounded(sample: Sample) -> bool:
    return "pred" in sample and bool(sample.get("span"))


def _is_asked(sample: Sample) -> bool:
    return bool(sample.get("options")) and sample.get("ans") is not None


def _overlaps(sample: Sample, measure: Overlap, which: str = "") -> list[float]:
    return measure(sample.get(f"pred{which}") or (), sample.get(f"conf{which}") or (), sample["span"])


def _best(measure: Callable[[Sequence[float], Sequence[float]], float]) -> Overlap:
    """Each prediction against the true span that it meets best."""

    def overlaps(predicted: Pairs, _conf: Sequence[float], truths: Pairs) -> list[float]:
        return [max(measure(one, true) for true in truths) for one in predicted]

    return overlaps


def _summed(least_conf: float | None) -> Overlap:
    """The first prediction, and those of more confidence than a limit, against all true spans, nothing merged.

    Sums run in the order of the lists and without compensation: the scorer compares two orders of the same
    predictions, and counts a difference in the last bit as a raise or a fall.
    """

    def overlaps(predicted: Pairs, conf: Sequence[float], truths: Pairs) -> list[float]:
        if not predicted:
            return []
        kept = [predicted[0]]
        if least_conf is not None:
            kept += [one for one, sure in zip(predicted[1:], conf[1:], strict=True) if sure > least_conf]
        shared = _plain_sum([_shared(one, true) for one in kept for true in truths])
        whole = _plain_sum([one[1] - one[0] for one in kept]) + _plain_sum([one[1] - one[0] for one in truths])
        return [shared / (whole - shared) if whole != shared else 0.0]

    return overlaps


def _plain_sum(values: Sequence[float]) -> float:
    """Added one by one; from Python 3.12 on the built-in sum rounds otherwise."""
    total = 0.0
    for value in values:
        total += value
    return total


def _shared(a: Sequence[float], b: Sequence[float]) -> float:
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    union = (a[1] - a[0]) + (b[1] - b[0]) - _shared(a, b)
    return _shared(a, b) / union if union > 0 else 0.0


def _iop(a: Sequence[float], b: Sequence[float]) -> float:
    return _shared(a, b) / (a[1] - a[0]) if a[1] > a[0] else 0.0


def _first(overlaps: Sequence[float]) -> float:
    return overlaps[0] if overlaps else 0.0


def _share(overlap: float, limits: Sequence[float]) -> float:
    return sum(overlap >= limit for limit in limits) / len(limits)


def _first_letter(sample: Sample) -> str | None:
    """What its scorer reads in a reply: the first letter of the first word; None where that is no option's."""
    words = (sample.get("response") or "").split()
    letter = re.sub(r"[().]", "", words[0])[:1].upper() if words else ""
    return letter if letter and letter in ascii_uppercase[: len(sample["options"])] else None


def _by_task(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Numbers of the samples of each task, by name, and last of "all"."""
    tasks: dict[str, list[int]] = {}
    for number, sample in enumerate(samples):
        task = sample.get("task") or "unknown"
        for name in dict.fromkeys([task] if isinstance(task, str) else task):
            tasks.setdefault(name, []).append(number)
    return {name: tasks[name] for name in sorted(tasks)} | {"all": list(range(len(samples)))}


def _rows(
    samples: Sequence[Sample], failed: Sequence[bool], columns: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    return [
        {
            "Task": task,
            "#Samples": float(len(members)),
            "Failed": float(sum(failed[at] for at in members)),
            **{
                name: round(100 * _plain_sum([values[at] for at in members]) / len(members), 2)
                for name, values in columns.items()
            },
        }
        for task, members in _by_task(samples).items()
    ]


def _spans(pairs: Pairs) -> list[Any]:
    """Spans in the video: a start before 0 becomes 0, and one that ends before it starts has no length."""
    from roles.types import Span

    return [Span(max(0.0, start), max(0.0, start, end)) for start, end in pairs]
