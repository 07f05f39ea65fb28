"""Judged questions go in, HTML comes out: failures by name, and the worst questions with how they were answered."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from agent.encode import moments_from
from agent.show import span_codes
from agent.trace import Step, Trace
from eval.metrics import RIGHT_FROM
from eval.page.plots import timeline
from eval.page.run import Judged, Traces, trace_place
from eval.page.tables import cut
from eval.run_scores import spans_of

WORST = 40
"""So many questions are shown with everything that is known of them."""
NAMED = 100
"""A list of failures names so many."""
MAX_ITEM_BYTES = 20_000
"""What a question's part of the page may take; of longer ones the steps are left out, then all but the first line."""
MAX_FAILURE_BYTES = 200_000
"""What the lists of failures may take; the last ones are left out."""
SHOWN_SPANS = 5
LONG_TEXT = 2000
NEVER, ERRORS, UNREAD = "Never asked", "Errors", "Replies that name no option"
_KINDS = (NEVER, ERRORS, UNREAD)


def bdi(text: object, most: int = LONG_TEXT) -> str:
    """Foreign text as HTML: escaped, cut, and with its direction of writing kept to itself."""
    return f'<bdi dir="auto">{html.escape(cut(text, most))}</bdi>'


def worst(judged: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """The wrong answers that were surest, and the first moments that are furthest off.

    Returns:
        (wrong answers, the surest first; others below IoU 0.5, the lowest first and the surest among equals), together
        at most `WORST`; each gets half of the places, and what the other does not need. Failures are in neither.
    """
    asked = [one for one in judged if one.failure is None]
    wrong = sorted((one for one in asked if one.right is False), key=_doubt)
    off = sorted((one for one in asked if one.iou is not None and one.iou < RIGHT_FROM), key=_distance)
    keys = {one.item.key for one in wrong[: WORST // 2]}
    others = [one for one in off if one.item.key not in keys][: WORST // 2]
    wrong = wrong[: WORST - len(others)]
    keys = {one.item.key for one in wrong}
    others = [one for one in off if one.item.key not in keys][: WORST - len(wrong)]
    return wrong, others


def failures(judged: Sequence[Judged]) -> str:
    """Lists of what went wrong besides wrong answers, by kind, with the names; empty where nothing did."""
    lists: dict[str, list[str]] = {}
    videos: dict[str, int] = {}
    for one in judged:
        name = bdi(one.item.key, 200)
        if one.item.missing:
            videos[one.item.video] = videos.get(one.item.video, 0) + 1
        elif one.failure is not None:
            kind = ERRORS if one.record else NEVER
            lists.setdefault(kind, []).append(f"{name}: {bdi(one.failure, 500)}" if one.record else name)
        for role in one.record.get("fell_back") or ():
            lists.setdefault(f"Fell back: {role}", []).append(name)
        said = one.record.get("said")
        if said is not None and one.choice is None and one.item.options:
            lists.setdefault(UNREAD, []).append(f"{name}: {bdi(said, 200)}")
    missing = [f"{bdi(video, 300)} (questions: {count:,})" for video, count in videos.items()]
    order = sorted(lists, key=lambda kind: (*_KINDS, kind).index(kind))
    kinds = [("Missing videos", missing), *((kind, lists[kind]) for kind in order)]
    return "".join(fit([_names(kind, names) for kind, names in kinds if names], MAX_FAILURE_BYTES, "predictions.jsonl"))


def fit(parts: Iterable[str], most_bytes: int, where: str) -> list[str]:
    """Those parts of a page, from the first on, that there is room for; in place of others stands where they are."""
    kept = []
    for part in parts:
        size = len(part.encode())
        fits = size <= most_bytes
        most_bytes -= size if fits else 0
        kept.append(part if fits else f'<p class="soft">Too long to be shown: see {where}.</p>')
    return kept


def _names(kind: str, names: Sequence[str]) -> str:
    rows = "".join(f"<li>{name}</li>" for name in names[:NAMED])
    more = _more(len(names) - NAMED, "predictions.jsonl")
    return f"<details><summary>{bdi(kind, 100)}: {len(names):,}</summary><div><ol>{rows}</ol>{more}</div></details>"


def listed(judged: Iterable[Judged], traces: Traces) -> str:
    """Questions, each folded, with everything that is known of how they were answered."""
    return "".join(_whole(one, traces) for one in judged)


def _whole(one: Judged, traces: Traces) -> str:
    """One question, as much of it as there is room for."""
    trace = traces.of(one)
    shorter = "the steps are too long to be shown here" if isinstance(trace, Trace) else trace
    for known in (trace, shorter):
        text = _folded(one, _item(one, known))
        if len(text.encode()) <= MAX_ITEM_BYTES:
            return text
    return _folded(one, f'<p class="soft">Too long to be shown: see predictions.jsonl.</p>{_link(one.record)}')


def _folded(one: Judged, inside: str) -> str:
    return f'<details class="item"><summary>{_summary(one)}</summary><div>{inside}</div></details>'


def _item(one: Judged, trace: Trace | str) -> str:
    item, record = one.item, one.record
    facts = [f"question {bdi(item.key, 200)}", bdi(item.video, 300)]
    facts += [bdi(f"{name}: {value}", 120) for name, value in list(item.tags.items())[:12]]
    parts = [f'<p class="soft">{" · ".join(facts)}</p>', f"<p>{bdi(item.question)}</p>", _options(one), _said(one)]
    if item.spans or one.spans:
        parts.append(timeline(_duration_s(one, trace), _lanes(one, trace)))
    for name, kind in (("error", "wrong"), ("notes", "soft")):
        told = record.get(name) or ()
        parts += [
            f'<p class="{kind}">{bdi(text, 500)}</p>' for text in ([told] if isinstance(told, str) else told)[:10]
        ]
    fallen = record.get("fell_back") or ()
    parts += [f'<p class="warn">Fell back: {bdi(", ".join(map(str, fallen)), 200)}</p>'] if fallen else []
    if isinstance(trace, Trace):
        parts += [_plan(trace), _steps(trace)]
    else:
        parts.append(f'<p class="soft">No steps: {bdi(trace, 500)}.</p>')
    parts.append(_link(record))
    return "".join(parts)


def _summary(one: Judged) -> str:
    marks = []
    if one.right is not None:
        kind = "right" if one.right else "wrong"
        marks.append(f'<span class="mark {kind}">{kind}</span>')
    if one.confidence is not None:
        marks.append(f'<span class="mark soft">{100 * one.confidence:.0f} % sure</span>')
    if one.iou is not None:
        marks.append(f'<span class="mark soft">IoU {one.iou:.2f}</span>')
    return "".join(marks) + bdi(" ".join(one.item.question.split()), 160)


def _options(one: Judged) -> str:
    if not one.item.options:
        return ""
    probs = one.record.get("probs") or ()
    rows = []
    for number, option in enumerate(one.item.options):
        marks = ""
        if number == one.item.answer_at:
            marks += ' <b class="right">right</b>'
        if number == one.choice:
            marks += f' <b class="{"right" if one.right else "wrong" if one.right is False else "soft"}">chosen</b>'
        if number < len(probs) and isinstance(probs[number], int | float):
            marks += f' <span class="soft">{100 * probs[number]:.1f} %</span>'
        rows.append(f"<li>{bdi(option, 500)}{marks}</li>")
    return f'<ol class="letters">{"".join(rows)}</ol>'


def _said(one: Judged) -> str:
    said = one.record.get("said")
    if said is None or (one.choice is not None and said == one.item.options[one.choice]):
        return ""  # no words beside the chosen option
    unread = " It names no option." if one.item.options and one.choice is None else ""
    return f"<p>Reply: {bdi(said)}{unread}</p>"


def _lanes(one: Judged, trace: Trace | str) -> list[tuple[str, str, Sequence[Any]]]:
    lanes: list[tuple[str, str, Sequence[Any]]] = []
    if one.item.spans:
        shown = ", ".join(map(span_codes, one.item.spans[:SHOWN_SPANS]))
        lanes.append(("true", f"true: {shown}{', ...' if len(one.item.spans) > SHOWN_SPANS else ''}", one.item.spans))
    for rank, span in enumerate(one.spans[:SHOWN_SPANS], start=1):
        row = one.record["spans"][rank - 1]
        scores = [f"{row[2]:.2f}"] if len(row) > 2 and isinstance(row[2], int | float) else []
        scores += [f"Yes {row[3]:.2f}"] if len(row) > 3 and isinstance(row[3], int | float) else []
        kind = "said" if rank == 1 else "other"
        lanes.append((kind, " · ".join([f"predicted {rank}: {span_codes(span)}", *scores]), [span]))
    before = spans_of({"spans": one.record.get("grounded")})
    if before and (not one.spans or before[0] != one.spans[0]):
        lanes.append(("other", f"first before the verifier: {span_codes(before[0])}", before[:1]))
    if isinstance(trace, Trace) and trace.clip is not None:
        lanes.append(("watched", f"watched for the answer: {span_codes(trace.clip)}", [trace.clip]))
    return lanes


def _duration_s(one: Judged, trace: Trace | str) -> float:
    """The video's length: what its file said, else what the benchmark says; 0 where neither does."""
    length_s = trace.video.duration_s if isinstance(trace, Trace) else one.duration_s
    return length_s or 0.0


def _plan(trace: Trace) -> str:
    source = "" if trace.plan is None else f"Plan ({html.escape(trace.plan.source)}): "
    roles = " → ".join(call.role for call in trace.plan.calls) if trace.plan else ""
    return f'<p class="soft">{source}{bdi(roles, 200)}</p>' if roles else ""


def _steps(trace: Trace) -> str:
    return "".join(map(_step, trace.steps[:12]))


def _step(step: Step) -> str:
    kind = {"failed": "wrong", "fallback": "warn"}.get(step.status, "soft")
    asked = f": {bdi(step.call.query, 300)}" if step.call.query else ""
    raw = f"<pre>{bdi(step.raw)}</pre>" if step.raw else ""
    gave = f"<pre>{bdi(given, 600)}</pre>" if (given := _gave(step)) else ""
    told = [step.reason, step.error, *step.notes[:5]]
    words = "".join(f'<p class="{kind}">{bdi(text, 500)}</p>' for text in told if text)
    head = (
        f'<b>{bdi(step.call.role, 40)}</b> <span class="{kind}">{bdi(step.status, 20)}, {step.elapsed_s:.2f} s</span>'
    )
    return f'<div class="step"><p>{head}{asked}</p>{raw}{gave}{words}</div>'


def _gave(step: Step) -> str:
    """What was read from a reply: moments a line each, and whatever else there is where no reply was written."""
    try:
        moments = moments_from(step.output)[:SHOWN_SPANS]
    except (TypeError, KeyError, ValueError, AttributeError):
        if step.raw or step.output is None:
            return ""
        # The moments that an answer came with stand in the time line.
        given = {key: value for key, value in step.output.items() if key != "moments"}
        return json.dumps(given, ensure_ascii=False)
    lines = []
    for moment in moments:
        sure = "" if moment.p_yes is None or moment.p_no is None else f", Yes {moment.p_yes:.3f}, No {moment.p_no:.3f}"
        lines.append(f"{span_codes(moment.span)}, confidence {moment.confidence:.3f}{sure}")
    return "\n".join(lines)


def _link(record: Mapping[str, Any]) -> str:
    """A link to the trace's file, from the page's folder."""
    place = trace_place(record)
    if place is None:
        return ""
    try:
        href = quote(os.fsencode(place[0]), safe="/")
    except UnicodeEncodeError:  # a name that no file system holds
        return ""
    return f'<p><a href="./{href}">{bdi(place[0], 300)}</a>, question {place[1]}</p>'


def _doubt(one: Judged) -> tuple[bool, float, float]:
    """Puts the surest answers first; those without probabilities come last, by how sure the first moment was."""
    return one.confidence is None, -(one.confidence or 0.0), -_first_sure(one)


def _distance(one: Judged) -> tuple[float, float]:
    return one.iou or 0.0, -_first_sure(one)


def _first_sure(one: Judged) -> float:
    row = (one.record.get("spans") or [()])[0]
    return float(row[2]) if len(row) > 2 and isinstance(row[2], int | float) else -1.0


def _more(count: int, where: str) -> str:
    return f'<p class="soft">and {count:,} more in {where}</p>' if count > 0 else ""
