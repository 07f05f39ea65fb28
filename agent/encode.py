"""The nouns go in, plain JSON values come out, and the way back for what a trace is read for."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from prompts import Prompt
from roles.types import Moment, Plan, Request, RoleCall, Span, Usage, Video


def to_json(value: object) -> Any:
    """Makes a value that `json.dumps` takes; what is unknown becomes its `repr`, so that a trace never fails on it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Moment):
        return {"start_s": value.span.start_s, "end_s": value.span.end_s} | {
            name: to_json(getattr(value, name)) for name in ("confidence", "p_yes", "p_no")
        }
    if isinstance(value, Prompt):
        return value.text
    if isinstance(value, Request):
        return {
            "role": value.role,
            "prompt": value.prompt.text,
            "reply_start": value.reply_start,
            "max_new_tokens": value.max_new_tokens,
            "span": to_json(value.clip.whole_span),
            "marked": to_json(value.clip.marked),
            "budget": to_json(value.clip.budget),
        }
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, Sequence | Set) and not isinstance(value, bytes | bytearray):
        return [to_json(item) for item in value]
    return str(value) if isinstance(value, Path) else repr(value)


def dumps(value: object) -> str:
    """One line of JSON that can always be encoded as UTF-8; odd file names come out escaped."""
    plain = to_json(value)
    text = json.dumps(plain, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair, as in a file name that is not UTF-8
        return json.dumps(plain)
    return text


def total_usage(usages: Sequence[Usage]) -> dict[str, Any]:
    """What the calls of one step cost together, with the frames of each."""
    seconds: dict[str, float] = {}
    for usage in usages:
        for name, part_s in usage.seconds.items():
            seconds[name] = seconds.get(name, 0.0) + part_s
    return {
        "input_tokens": sum(usage.input_tokens for usage in usages),
        "video_tokens": sum(usage.video_tokens for usage in usages),
        "output_tokens": sum(usage.output_tokens for usage in usages),
        "adapter": usages[0].adapter if usages else None,
        "seconds": to_json(seconds),
        "frames": [
            {"indices": to_json(u.frame_indices), "times_s": to_json(u.frame_times_s), "grid_thw": to_json(u.grid_thw)}
            for u in usages
        ],
    }


def documents(moments: Sequence[Moment], ids: Sequence[str]) -> list[dict[str, Any]]:
    """Moments as OpenInference documents: what retrievers and rerankers pass on."""
    return [
        {
            "document.id": name,
            "document.score": to_json(
                moment.confidence if moment.p_yes is None or moment.p_no is None else moment.p_yes - moment.p_no
            ),
            "document.metadata": to_json(moment),
        }
        for moment, name in zip(moments, ids, strict=True)
    ]


def span_from(value: Mapping[str, Any] | None) -> Span | None:
    """A span from its JSON."""
    return None if value is None else Span(value["start_s"], value["end_s"])


def moments_from(values: Sequence[Mapping[str, Any]]) -> tuple[Moment, ...]:
    """Moments from their JSON."""
    return tuple(Moment(Span(v["start_s"], v["end_s"]), v["confidence"], v.get("p_yes"), v.get("p_no")) for v in values)


def video_from(value: Mapping[str, Any]) -> Video:
    """A video from its JSON."""
    return Video(**{field.name: value[field.name] for field in dataclasses.fields(Video)})


def call_from(value: Mapping[str, Any]) -> RoleCall:
    """A role call from its JSON."""
    return RoleCall(value["id"], value["role"], value["query"], tuple(value["needs"]))


def plan_from(value: Mapping[str, Any]) -> Plan:
    """A plan from its JSON."""
    return Plan(tuple(call_from(call) for call in value["calls"]), value["source"])
