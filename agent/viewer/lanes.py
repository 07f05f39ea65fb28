"""A trace and its truth go in, the lanes of the timeline come out: plain data that the page draws without knowing it.

A lane is {"id", "title", "kind", "items"}; its kind says how items are drawn. A new kind of evidence is a function
here, not code in the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agent.trace import Step, Trace
from agent.trace_shape import MOST
from agent.viewer.evaluation import Truth
from roles.subtitles import Line
from roles.types import Moment

Lane = dict[str, Any]
Item = dict[str, Any]
Thumb = Callable[[int], str | None]
"""Gives the address of a frame's thumbnail."""

MAX_FRAME = 2**31

MAX_TICKS = 4_000
"""Frames that one lane shows; more are thinned out evenly."""


def lanes(trace: Trace, truth: Truth | None, subtitles: Sequence[Line], thumb: Thumb) -> list[Lane]:
    """All lanes, from what is true to what was looked at.

    Args:
        trace: The question.
        truth: What its evaluation knows; None outside one.
        subtitles: Lines of the video.
        thumb: Gives thumbnails.
    """
    found: list[Lane] = []
    if truth is not None and truth.spans:
        marked = [_span(span.start_s, span.end_s, f"true moment {at}") for at, span in enumerate(truth.spans, 1)]
        found.append(_lane("truth", "True moments", "spans", marked))
    if trace.moments:
        found.append(_lane("chosen", "Chosen moment", "spans", [_chosen(trace.moments[0])]))
    steps = [step for step in trace.steps if step.status not in ("skipped", "running")]
    candidates = [lane for step in reversed(steps) for lane in _ranked(step)]
    candidates += _fallback_candidates(trace, candidates)
    if candidates and trace.moments:
        _mark(candidates[0], trace.moments[0])
    found += candidates
    if trace.clip is not None:
        said = "what the answerer watched"
        found.append(_lane("clip", "Answerer's clip", "spans", [_span(trace.clip.start_s, trace.clip.end_s, said)]))
    if trace.part is not None:
        asked = _span(trace.part.start_s, trace.part.end_s, "the part that was asked about")
        found.append(_lane("part", "Part asked about", "spans", [asked]))
    if subtitles:
        said_lines = [_item(line.start_s, line.end_s, line.text) for line in subtitles]
        found.append(_lane("subtitles", "Subtitles", "subtitles", said_lines))
    for step in steps:
        ticks = _ticks(step, thumb)
        if ticks:
            found.append(_lane(f"frames:{step.id}", f"Frames: {step.call.role}", "ticks", ticks))
    return found


def frames_of(step: Step) -> dict[int, tuple[float, list[int]]]:
    """Frames that a step looked at: number -> time in seconds, and in which of its requests, from 1."""
    looked: dict[int, tuple[float, list[int]]] = {}
    usage = step.usage if isinstance(step.usage, Mapping) else {}
    for request, one in enumerate(_list(usage.get("frames")), start=1):
        if not isinstance(one, Mapping):
            continue
        for index, time_s in zip(_list(one.get("indices")), _list(one.get("times_s")), strict=False):
            if isinstance(index, int) and 0 <= index < MAX_FRAME and _number(time_s):
                requests = looked.setdefault(index, (float(time_s), []))[1]
                if request not in requests:
                    requests.append(request)
    return looked


def all_frames(trace: Trace) -> list[tuple[int, float]]:
    """Every frame that any step looked at, each once: number and seconds, by time."""
    found: dict[int, float] = {}
    for step in trace.steps:
        for index, (time_s, _) in frames_of(step).items():
            found.setdefault(index, time_s)
    return sorted(found.items(), key=lambda one: (one[1], one[0]))


def _ticks(step: Step, thumb: Thumb) -> list[Item]:
    looked = sorted(frames_of(step).items(), key=lambda one: (one[1][0], one[0]))
    several = len(_list((step.usage or {}).get("frames"))) > 1
    apart = -(-len(looked) // MAX_TICKS) or 1
    ticks = []
    for index, (time_s, requests) in looked[::apart]:
        detail = f"seen for candidate {', '.join(str(number) for number in requests)}" if several else ""
        ticks.append(_item(time_s, time_s, f"frame {index}", detail, thumb=thumb(index), step=step.id))
    return ticks


def _ranked(step: Step) -> list[Lane]:
    """A lane of candidates for a step that found or ranked any."""
    after = _documents(step.attributes.get("reranker.output_documents"))
    if after:
        before = [name for name, _, _ in _documents(step.attributes.get("reranker.input_documents"))]
        items = [
            _candidate(values, rank, before.index(name) + 1 if name in before else None, step.id)
            for rank, (name, _, values) in enumerate(after, start=1)
        ]
        return [_lane(step.id, f"Ranked: {step.call.role}", "spans", items)]
    found = _documents(step.attributes.get("retrieval.documents"))
    items = [_candidate(values, rank, None, step.id) for rank, (_, _, values) in enumerate(found, start=1)]
    return [_lane(step.id, f"Found: {step.call.role}", "spans", items)] if items else []


def _fallback_candidates(trace: Trace, found: Iterable[Lane]) -> list[Lane]:
    """Candidates of a grounder that fell back: its attributes name no documents, its output still does."""
    have = {lane["id"] for lane in found}
    made = []
    for step in trace.steps:
        if step.id in have or step.status != "fallback" or not isinstance(step.output, list):
            continue
        spans = [value for value in step.output if isinstance(value, Mapping) and _timed(value)]
        if spans:
            items = [_candidate(value, rank, None, step.id) for rank, value in enumerate(spans, start=1)]
            made.append(_lane(step.id, f"Fallback: {step.call.role}", "spans", items))
    return made


def _mark(lane: Lane, best: Moment) -> None:
    """Says which candidate the answer stands by; only the last ranking can say so."""
    ends = (round(best.span.start_s, 3), round(best.span.end_s, 3))
    for item in lane["items"]:
        if (item["start_s"], item["end_s"]) == ends:
            item["chosen"] = True
            return


def _documents(value: Any) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """OpenInference documents that are moments: id, score and values."""
    found = []
    for one in _list(value):
        values = one.get("document.metadata") if isinstance(one, Mapping) else None
        if isinstance(values, Mapping) and _timed(values):
            found.append((str(one.get("document.id")), one.get("document.score"), values))
    return found


def _candidate(values: Mapping[str, Any], rank: int, was_rank: int | None, step: str) -> Item:
    confidence, p_yes, p_no = (_share(values.get(name)) for name in ("confidence", "p_yes", "p_no"))
    # Where the verifier's word is what shades a bar, the grounder's is told beside it.
    detail = f"confidence {confidence:.3f}" if confidence is not None and p_yes is not None else ""
    return _item(
        values["start_s"],
        values["end_s"],
        f"{rank}",
        detail,
        shade=confidence if p_yes is None else p_yes,
        rank=rank,
        was_rank=was_rank,
        p_yes=p_yes,
        p_no=p_no,
        step=step,
    )


def _chosen(moment: Moment) -> Item:
    return _item(
        moment.span.start_s,
        moment.span.end_s,
        "chosen",
        f"confidence {moment.confidence:.3f}",
        shade=_share(moment.confidence),
        chosen=True,
        rank=1,
        p_yes=moment.p_yes,
        p_no=moment.p_no,
    )


def _span(start_s: float, end_s: float, label: str) -> Item:
    return _item(start_s, end_s, label)


def _item(start_s: float, end_s: float, label: str, detail: str = "", **more: Any) -> Item:
    blank = dict.fromkeys(("shade", "rank", "was_rank", "p_yes", "p_no", "thumb", "step"))
    return {
        "start_s": round(start_s, 3),
        "end_s": round(end_s, 3),
        "label": label,
        "detail": detail,
        "chosen": False,
        **blank,
        **more,
    }


def _lane(id_: str, title: str, kind: str, items: Sequence[Item]) -> Lane:
    return {"id": id_, "title": title, "kind": kind, "items": list(items)}


def _timed(values: Mapping[str, Any]) -> bool:
    return all(_number(values.get(name)) for name in ("start_s", "end_s"))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < MOST  # not so for what is no number


def _share(value: Any) -> float | None:
    return min(max(float(value), 0.0), 1.0) if _number(value) else None


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
