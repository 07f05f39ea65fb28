"""An event of a trace goes in; nothing comes out, or an error that says which value is none that could be meant.

Whoever reads a trace may rely on the types that `agent.trace` states, whoever wrote the file. What models and own roles
gave out may be any JSON, and so may values that this version does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

MOST = 1e15
"""Numbers beyond this are no seconds, pixels, bytes or tokens."""


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST < value < MOST


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(one) for one in value)


def _with(**checks: Check) -> Check:
    """An object with these values; more may be in it."""
    return lambda value: (
        isinstance(value, Mapping) and all(name in value and check(value[name]) for name, check in checks.items())
    )


def _edge(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(end, str) for end in value)


_CALL = _with(id=_text, role=_text, query=_text, needs=_list_of(_text))
_SPAN = _with(start_s=_number, end_s=_number)
_SHARE = _or_none(_number)
_MOMENT = _with(start_s=_number, end_s=_number, confidence=_SHARE)
_FILM = _with(score=_number, limit=_number, strange=lambda value: isinstance(value, bool))

NEEDED: Mapping[str, Mapping[str, Check]] = {
    "question.begin": {
        "text": _text,
        "options": _list_of(_text),
        "video": _with(path=_text, duration_s=_number, fps=_number, width_px=_number, height_px=_number),
        "part": _or_none(_SPAN),
    },
    "plan": {"plan": _with(calls=_list_of(_CALL), source=_text)},
    "step.begin": {"id": _text, "call": _CALL, "time_s": _number},
    "step.end": {
        "id": _text,
        "call": _CALL,
        "status": _text,
        "started_s": _number,
        "elapsed_s": _number,
        "requests": _list_of(_mapping),
        "raw": _or_none(_text),
        "reason": _or_none(_text),
        "error": _or_none(_text),
        "notes": _list_of(_text),
        "usage": _or_none(_mapping),
        "peak_mem_bytes": _or_none(_number),
        "attributes": _mapping,
    },
    "question.end": {
        "answer": _with(text=_or_none(_text), choice=_or_none(_text)),
        "moments": _list_of(_MOMENT),
        "clip": _or_none(_SPAN),
        "error": _or_none(_text),
        "notes": _list_of(_text),
        "elapsed_s": _number,
    },
}
"""What has to be there, by event."""

ALLOWED: Mapping[str, Mapping[str, Check]] = {
    "trace.begin": {"argv": _list_of(_text), "fingerprint": _or_none(_text)},
    "question.begin": {"time_s": _number, "manner": _or_none(_mapping)},
    "plan": {"edges": _list_of(_edge)},
    "question.end": {"film": _or_none(_FILM)},
}
"""What may be missing, as it is in traces of earlier versions."""


def check_shape(event: Mapping[str, Any]) -> None:
    """Looks at an event.

    Raises:
        KeyError: A value is missing.
        TypeError: One is not of the type that it must have.
    """
    name = event["event"]
    if not isinstance(name, str):
        raise TypeError("event is no text")
    if "question" in event and (not isinstance(event["question"], int) or event["question"] < 0):
        raise TypeError("question is no number of one")
    for key, check in NEEDED.get(name, {}).items():
        if not check(event[key]):
            raise TypeError(f"{key} is not what it must be")
    for key, check in ALLOWED.get(name, {}).items():
        if key in event and not check(event[key]):
            raise TypeError(f"{key} is not what it must be")
    if name == "question.end":
        shares = event["answer"].get("option_probs")
        judged = [moment.get(p) for moment in event["moments"] for p in ("p_yes", "p_no")]
        if not (_or_none(_list_of(_SHARE))(shares) and all(_SHARE(share) for share in judged)):
            raise TypeError("a probability is no number")
