"""A trace goes in, everything that the page shows of it comes out as one JSON value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from agent.trace import Step, Trace
from agent.viewer.evaluation import Truth
from agent.viewer.files import Index
from agent.viewer.lanes import Thumb, frames_of, lanes
from agent.viewer.layout import lay_out
from agent.viewer.media import Media, Places
from agent.viewer.summary import LETTERS, Summary, answer_of, chosen_at, summary_json
from agent.viewer.trace_file import TraceFile
from roles.errors import MindreelError
from roles.subtitles import Line, read_subtitles
from roles.types import RoleCall


def list_json(index: Index) -> dict[str, Any]:
    """All questions, newest first, and what could not be read."""
    rows = [_row(index, file, summary) for file in index.files for summary in file.summaries]
    rows.sort(key=lambda row: (-row["started_s"], row["file"], -row["number"]))
    return {"folder": index.title, "traces": rows, "problems": index.problems()}


def trace_json(index: Index, places: Places, id_: str, file: TraceFile, number: int) -> dict[str, Any]:
    """One question.

    Args:
        index: Where it was found.
        places: Where its video may lie.
        id_: Stands for it in addresses.
        file: Its file.
        number: Its place in that, from 0.

    Raises:
        TraceError: It cannot be read.
    """
    trace = index.trace(file, number)
    truth = index.truth(file, number)
    media = places.video(trace.video.path, file.path.parent)
    before, after = index.neighbours(file, number)
    shown = media.path is not None

    def thumb(frame: int) -> str | None:
        return f"/thumb/{id_}/{frame}.jpg" if shown else None

    return {
        "id": id_,
        "summary": _row(index, file, file.summaries[number]),
        "previous": before,
        "next": after,
        "video": _video(trace, media, f"/media/{id_}"),
        **body_json(trace, truth, _subtitles(trace, truth, places, file.path.parent), thumb),
    }


def body_json(trace: Trace, truth: Truth | None, subtitles: list[Line], thumb: Thumb) -> dict[str, Any]:
    """What the page shows of a question besides its place in a list and its video."""
    steps = _steps(trace)
    return {
        "part": None if trace.part is None else [trace.part.start_s, trace.part.end_s],
        "clip": None if trace.clip is None else [trace.clip.start_s, trace.clip.end_s],
        "truth": None if truth is None else [[span.start_s, span.end_s] for span in truth.spans],
        "item": None if truth is None else {"key": truth.key, "tags": dict(truth.tags), "swap": dict(truth.swap)},
        "question": trace.question,
        "options": _options(trace, truth),
        "answer": answer_of(trace),
        "error": trace.error,
        "notes": list(trace.notes),
        "lanes": lanes(trace, truth, subtitles, thumb),
        "graph": _graph(trace),
        "steps": steps,
        "run": {**trace.run, "manner": dict(trace.manner)},
    }


def _row(index: Index, file: TraceFile, summary: Summary) -> dict[str, Any]:
    last = summary.number == len(file.summaries) - 1
    problem = file.problem if last or summary.trace is None else None
    if problem is None and last and summary.status == "running" and file.torn:
        problem = "the file's last line is not whole: it is being written, or the run was killed"
    return summary_json(
        summary,
        id_=f"{file.key}-{summary.number}",
        file=file.name,
        modified_s=file.modified_s,
        truth=index.truth(file, summary.number),
        problem=problem,
    )


def _video(trace: Trace, media: Media, url: str) -> dict[str, Any]:
    video = trace.video
    return {
        "name": PurePath(video.path).name or video.path,
        "url": url if media.playable else None,
        "type": media.type,
        "problem": media.problem,
        "duration_s": video.duration_s,
        "fps": video.fps,
        "width_px": video.width_px,
        "height_px": video.height_px,
    }


def _options(trace: Trace, truth: Truth | None) -> list[dict[str, Any]]:
    chosen = chosen_at(trace)
    shares = (trace.answer.option_probs if trace.answer else None) or ()
    return [
        {
            "text": text,
            "letter": LETTERS[at] if at < len(LETTERS) else str(at + 1),
            "prob": shares[at] if at < len(shares) else None,
            "chosen": at == chosen,
            "right": None if truth is None else truth.option_right(at),
        }
        for at, text in enumerate(trace.options)
    ]


def calls_of(trace: Trace) -> dict[str, RoleCall]:
    """Every call by id: the steps in the order they were begun, then calls of the plan that never were."""
    begun = sorted(trace.steps, key=lambda step: step.started_s)
    calls = {step.id: step.call for step in begun}
    for call in trace.plan.calls if trace.plan else ():
        calls.setdefault(call.id, call)
    return calls


def edges_of(trace: Trace) -> list[tuple[str, str]]:
    """The graph as it was run: needs, and from the planner to whatever needs nothing else."""
    calls = calls_of(trace)
    edges = dict.fromkeys(trace.edges)
    for call in calls.values():
        edges.update(dict.fromkeys((need, call.id) for need in call.needs if need in calls))
    users = {user for _, user in edges}
    planners = [call.id for call in calls.values() if call.role == "planner"]
    for call in calls.values():
        if planners and call.role != "planner" and call.id not in users:
            edges[planners[0], call.id] = None
    return [edge for edge in edges if edge[0] in calls and edge[1] in calls]


def _graph(trace: Trace) -> dict[str, Any]:
    calls = calls_of(trace)
    layout = lay_out(calls, edges_of(trace))
    steps = {step.id: step for step in trace.steps}
    nodes = []
    for id_, call in calls.items():
        step = steps.get(id_)
        x_px, y_px = layout.places[id_]
        nodes.append(
            {
                "id": id_,
                "role": call.role,
                "adapter": _adapter(step),
                "status": step.status if step else ("not run" if trace.finished else "waiting"),
                "elapsed_s": step.elapsed_s if step and step.status not in ("skipped", "running") else None,
                "x": x_px,
                "y": y_px,
            }
        )
    return {
        "width": layout.width_px,
        "height": layout.height_px,
        "nodes": nodes,
        "edges": [list(edge) for edge in layout.edges],
    }


def _adapter(step: Step | None) -> str | None:
    if step is None or not isinstance(step.usage, Mapping):
        return None
    return step.usage.get("adapter") or "base"


def _steps(trace: Trace) -> list[dict[str, Any]]:
    begun = sorted(trace.steps, key=lambda step: step.started_s)
    first_s = begun[0].started_s if begun else 0.0
    shown = []
    for number, step in enumerate(begun):
        usage = dict(step.usage) if isinstance(step.usage, Mapping) else {}
        looked = frames_of(step)
        usage.pop("frames", None)
        shown.append(
            {
                "id": step.id,
                "index": number,
                "role": step.call.role,
                "query": step.call.query,
                "needs": list(step.call.needs),
                "status": step.status,
                "started_s": round(step.started_s - first_s, 6),
                "elapsed_s": step.elapsed_s,
                "reason": step.reason,
                "error": step.error,
                "notes": list(step.notes),
                "prompt": [str(one.get("prompt", "")) for one in step.requests if isinstance(one, Mapping)],
                "requests": [
                    {name: value for name, value in one.items() if name != "prompt"}
                    for one in step.requests
                    if isinstance(one, Mapping)
                ],
                "raw": step.raw,
                "parsed": step.output,
                "usage": usage,
                "peak_mem_bytes": step.peak_mem_bytes,
                "adapter": _adapter(step),
                "frames": len(looked),
                "scored": step.attributes.get("answer.options"),
            }
        )
    return shown


def _subtitles(trace: Trace, truth: Truth | None, places: Places, beside: Path) -> list[Line]:
    """Lines of the video where the item or the command names their file."""
    argv = list(trace.run.get("argv") or ())
    named = truth.subtitles if truth is not None else None
    for at, word in enumerate(argv):
        if word == "--subtitles" and at + 1 < len(argv):
            named = named or argv[at + 1]
        elif word.startswith("--subtitles="):
            named = named or word.partition("=")[2]
    path = None if named is None else places.subtitles(named, beside)
    if path is None:
        return []
    try:
        return read_subtitles(path.read_text(encoding="utf-8-sig", errors="replace"), path.name)
    except (MindreelError, OSError):
        return []
