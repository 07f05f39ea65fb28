"""A trace file goes in, one `Trace` per question comes out; runs that were killed open as far as they got.

The file is flat: one JSON object a line, `event` first, written by `agent.recorder`. Steps that were begun and never
ended have the status "running". Attribute names inside a step follow OpenInference and OpenTelemetry's `gen_ai`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.encode import call_from, moments_from, plan_from, span_from, video_from
from roles.errors import TraceError
from roles.types import Answer, FilmCheck, Moment, Plan, RoleCall, Span, Video

FORMAT_VERSION = 1
FORMAT_NAME = "mindreel.trace"
OPENING = b'{"event": "trace.begin"'
"""How every trace file begins, byte by byte."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one role call did.

    Attributes:
        id: The call's id.
        call: The call.
        status: "ok", "fallback", "failed" or "skipped"; "running" where a run was killed in the middle of it.
        started_s: Seconds since 1970.
        elapsed_s: How long it took.
        requests: What the model was asked, prompt text included, as JSON.
        raw: The model's reply as written.
        output: What was read from it, as JSON.
        reason: Why it fell back or was skipped.
        error: What went wrong.
        notes: What a person should know besides.
        usage: Tokens, seconds by part, adapter, and the frames that were looked at.
        peak_mem_bytes: Most memory in use on the model's device.
        attributes: OpenInference attributes.
    """

    id: str
    call: RoleCall
    status: str
    started_s: float
    elapsed_s: float = 0.0
    requests: tuple[Mapping[str, Any], ...] = ()
    raw: str | None = None
    output: Any = None
    reason: str | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()
    usage: Mapping[str, Any] | None = None
    peak_mem_bytes: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trace:
    """One question, as it was answered.

    Attributes:
        version: Of the file format.
        git_sha: Of the code, where it ran from a checkout.
        seed: Of the run.
        video: What was asked about.
        question: As typed.
        plan: None where the run ended before there was one.
        steps: In the order they ended; one that never ended comes last.
        answer: None where there is none.
        error: Why there is none.
        options: The choices.
        part: The part that was asked about; None is the whole.
        clip: What the answerer watched.
        notes: What a person should know besides.
        elapsed_s: How long the question took; None where it never ended.
        manner: How the checkpoint was asked, as in its `mindreel.json`; empty where the file does not say.
        film: Whether the film was of the checkpoint's kind; None where that is not known.
        run: Everything that the file says about the run: versions, argv, model, the video's fingerprint.
    """

    version: int
    git_sha: str | None
    seed: int | None
    video: Video
    question: str
    plan: Plan | None = None
    steps: tuple[Step, ...] = ()
    answer: Answer | None = None
    error: str | None = None
    options: tuple[str, ...] = ()
    part: Span | None = None
    clip: Span | None = None
    notes: tuple[str, ...] = ()
    elapsed_s: float | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    manner: Mapping[str, Any] = field(default_factory=dict)
    film: FilmCheck | None = None

    @property
    def finished(self) -> bool:
        """Whether the question was brought to an end, with or without an answer."""
        return self.elapsed_s is not None

    @property
    def moments(self) -> tuple[Moment, ...]:
        """The evidence, best first."""
        return self.answer.moments if self.answer else ()


def read_traces(path: str | Path) -> list[Trace]:
    """Reads a trace file.

    Args:
        path: Written by `agent.recorder.TraceWriter`; may hold several runs.

    Returns:
        One trace per question, in the order asked.

    Raises:
        TraceError: Not a trace, or a line in the middle that is none; the message names it.
    """
    traces: list[Trace] = []
    run: dict[str, Any] = {}
    first_of_run = 0
    for number, event in _events(Path(path)):
        try:
            name = event["event"]
            if name == "trace.begin":
                run, first_of_run = _header(event), len(traces)
            elif name == "model":
                run = {**run, "model": event["model"]}
                traces[first_of_run:] = [replace(trace, run=run) for trace in traces[first_of_run:]]
            elif name == "question.begin":
                traces.append(_begun(event, run))
            elif name != "trace.end":
                at = first_of_run + event["question"]
                traces[at] = _folded(traces[at], name, event)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            detail = f"{type(error).__name__}: {error}"
            raise TraceError(f"{path}, line {number}: not an event of a Mindreel trace ({detail})") from error
    return traces


def _header(event: Mapping[str, Any]) -> dict[str, Any]:
    if event["format"] != FORMAT_NAME or event["version"] != FORMAT_VERSION:
        raise ValueError(f"{event['format']} {event['version']}; expected {FORMAT_NAME} {FORMAT_VERSION}")
    return {key: value for key, value in event.items() if key != "event"}


def _begun(event: Mapping[str, Any], run: Mapping[str, Any]) -> Trace:
    return Trace(
        version=run["version"],
        git_sha=run["git_sha"],
        seed=run["seed"],
        video=video_from(event["video"]),
        question=event["text"],
        options=tuple(event["options"]),
        part=span_from(event["part"]),
        run=run,
        manner=event.get("manner") or {},
    )


def _folded(trace: Trace, name: str, event: Mapping[str, Any]) -> Trace:
    if name == "plan":
        return replace(trace, plan=plan_from(event["plan"]))
    if name == "step.begin":
        begun = Step(event["id"], call_from(event["call"]), "running", event["time_s"])
        return replace(trace, steps=(*trace.steps, begun))
    if name == "step.end":
        kept = tuple(step for step in trace.steps if not (step.id == event["id"] and step.status == "running"))
        return replace(trace, steps=(*kept, _step_from(event)))
    if name == "question.end":
        answer = event["answer"]
        moments = moments_from(event["moments"])
        shares, film = answer.get("option_probs"), event.get("film")  # missing in traces of earlier versions
        return replace(
            trace,
            answer=Answer(answer["text"], answer["choice"], moments, None if shares is None else tuple(shares)),
            film=None if film is None else FilmCheck(film["score"], film["limit"], film["strange"]),
            clip=span_from(event["clip"]),
            error=event["error"],
            notes=tuple(event["notes"]),
            elapsed_s=event["elapsed_s"],
        )
    return trace  # a later version's event: what is known is still worth showing


def _step_from(event: Mapping[str, Any]) -> Step:
    keys = set(Step.__dataclass_fields__) - {"call", "requests", "notes"}
    values = {key: event[key] for key in keys}
    return Step(call=call_from(event["call"]), requests=tuple(event["requests"]), notes=tuple(event["notes"]), **values)


def _events(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered events. A line that a kill tore is passed over: the file's last, or the last before another run."""
    try:
        with path.open("rb") as file:
            opening = file.read(len(OPENING))
            if opening != OPENING:
                what = "an empty file" if not opening else "not the beginning of a Mindreel trace"
                raise TraceError(f"{path}, line 1: {what}; expected {OPENING.decode()} ...")
            file.seek(0)
            lines = file.read().split(b"\n")
    except OSError as error:
        raise TraceError(f"{path}: the trace cannot be read ({error.strerror or error})") from error
    torn: int | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        event = _parsed(line)
        if torn is not None and (event is None or event.get("event") != "trace.begin"):
            raise TraceError(f"{path}, line {torn}: not a JSON object; expected one event a line")
        torn = number if event is None else None
        if event is not None:
            yield number, event
    if torn == 1:
        raise TraceError(f"{path}, line 1: torn; expected a whole {OPENING.decode()} ...")


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
