"""A trace file goes in, one `Trace` per question comes out; runs that were killed open as far as they got.

The file is flat: one JSON object a line, `event` first, written by `agent.recorder`. Steps that were begun and never
ended have the status "running". Attribute names inside a step follow OpenInference and OpenTelemetry's `gen_ai`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        started_s: When the question was asked, in seconds since 1970; None where the file does not say.
        edges: Of the graph that was run, from a need to its user.
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
    started_s: float | None = None
    edges: tuple[tuple[str, str], ...] = ()

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
    from agent.trace_reader import TraceReader  # which needs the classes above

    reader = TraceReader(path)
    try:
        with Path(path).open("rb") as file:
            opening = file.read(len(OPENING))
            reader.check_opening(opening)
            reader.feed(opening + file.read())
    except OSError as error:
        raise TraceError(f"{path}: the trace cannot be read ({error.strerror or error})") from error
    reader.feed(b"\n")
    reader.finish()
    return [question.trace() for question in reader.questions]
