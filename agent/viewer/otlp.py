"""Traces go in, OpenTelemetry spans with OpenInference's attributes go out over HTTP.

The question is a CHAIN; under it the planner is an AGENT with an LLM span, a grounder a RETRIEVER, a verifier a
RERANKER, the answerer an LLM; where an evaluation knows the truth, an EVALUATOR says how the question was judged. Times
are those of the trace, and ids are made from it, so that what is sent twice is the same trace. Media never leave.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.encode import dumps
from agent.trace import Step, Trace
from agent.viewer.choice import chosen
from agent.viewer.detail import edges_of
from agent.viewer.evaluation import Truth, span_right
from agent.viewer.files import Index
from agent.viewer.summary import answer_of
from roles.errors import InputError, MindreelError, TraceError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

TIMEOUT_S = 10.0
BATCH = 256
"""Spans in one request."""
KIND = "openinference.span.kind"
PLAIN = ("input.value", "output.value", "graph.node.id", "graph.node.parent_id", KIND)

Value = str | bool | int | float


class SendError(MindreelError):
    """The collector did not take the spans."""


def send(index: Index, question: int | None, url: str) -> int:
    """Sends questions to a collector.

    Args:
        index: The traces.
        question: Number in the file, from 1; None sends all.
        url: Of the collector, such as http://localhost:4318; without a path /v1/traces is added.

    Returns:
        How many spans were sent.

    Raises:
        InputError: The address is none, the extra `otel` is not installed, or there is nothing to send.
        SendError: The collector cannot be reached or refuses.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"--otlp {url}: expected an address such as http://localhost:4318/v1/traces")
    endpoint = url if parts.path.strip("/") else f"{url.rstrip('/')}/v1/traces"
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult
    except ImportError as error:
        raise InputError(f"--otlp needs {error.name}: pip install 'mindreel[otel]'") from error
    spans = [
        span
        for file, number, trace in chosen(index, question)
        for span in spans_of(trace, index.truth(file, number), f"{file.name}#{number + 1}")
    ]
    if not spans:
        said = next((one["message"] for one in index.problems()), f"{index.title}: no question was asked in it")
        raise TraceError(said)
    heard = _Heard()
    logger = logging.getLogger("opentelemetry")
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(heard)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=TIMEOUT_S)
    try:
        for first in range(0, len(spans), BATCH):
            if exporter.export(spans[first : first + BATCH]) is not SpanExportResult.SUCCESS:
                why = heard.said or "no reason was given"
                raise SendError(f"--otlp {endpoint}: the collector did not take the spans ({why})")
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]
        logger.removeHandler(heard)
        logger.propagate = propagated
    return len(spans)


class _Heard(logging.Handler):
    """Keeps the exporter's last complaint instead of printing it."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = " ".join(record.getMessage().split())[:300]


def spans_of(trace: Trace, truth: Truth | None, name: str) -> list[ReadableSpan]:
    """A question as spans, the whole first.

    Args:
        trace: The question.
        truth: What its evaluation knows.
        name: The file and the number; ids are made from it and the question's time.
    """
    from opentelemetry.sdk.resources import Resource

    maker = _Maker(
        f"{name} {trace.started_s} {trace.question}",
        Resource({"service.name": "mindreel", "service.version": str(trace.run.get("mindreel") or "unknown")}),
    )
    begin_s = trace.started_s or min((step.started_s for step in trace.steps), default=0.0)
    ends = [step.started_s + step.elapsed_s for step in trace.steps]
    end_s = begin_s + trace.elapsed_s if trace.elapsed_s is not None else max(ends, default=begin_s)
    about = {
        KIND: "CHAIN",
        "input.value": trace.question,
        "input.mime_type": "text/plain",
        "output.value": answer_of(trace),
        "metadata": dumps({"options": trace.options, "video": trace.video, "part": trace.part, "clip": trace.clip}),
        "mindreel.trace": name,
        "mindreel.notes": "; ".join(trace.notes) or None,
        "mindreel.fingerprint": trace.run.get("fingerprint"),
    }
    error = trace.error or (None if trace.finished else "the question never ended")
    root = maker.span("mindreel.ask", None, begin_s, end_s, about, error)
    spans = [root]
    parents = _parents(edges_of(trace))
    for step in sorted(trace.steps, key=lambda step: step.started_s):
        stop_s = step.started_s + step.elapsed_s
        failed = step.error if step.status == "failed" else "it never ended" if step.status == "running" else None
        values = _step_values(step, trace, parents.get(step.id, ()))
        span = maker.span(step.call.role, root, step.started_s, stop_s, values, failed)
        spans.append(span)
        if values[KIND] == "AGENT" and step.usage:
            spans.append(maker.span(f"{step.call.role}.llm", span, step.started_s, stop_s, _llm(step, trace), failed))
    if truth is not None and trace.finished:
        overlap = truth.iou(trace)
        judged = {
            KIND: "EVALUATOR",
            "input.value": truth.key,
            "eval.right": truth.right(trace),
            "eval.iou": overlap,
            "eval.span_right": span_right(overlap),
            "output.value": dumps({"right": truth.right(trace), "iou": overlap}),
        }
        spans.append(maker.span("evaluation", root, end_s, end_s, judged, None))
    return spans


def _step_values(step: Step, trace: Trace, parents: Sequence[str]) -> dict[str, Any]:
    told = step.attributes
    values: dict[str, Any] = {
        KIND: told.get(KIND) or "CHAIN",
        "graph.node.id": step.id,
        "graph.node.parent_id": ",".join(parents) or None,
        "mindreel.status": step.status,
        "mindreel.reason": step.reason,
        "mindreel.peak_mem_bytes": step.peak_mem_bytes,
    }
    if values[KIND] == "LLM":
        values |= _llm(step, trace)
    for name, value in told.items():
        values.update(_flat(name, value) if name not in PLAIN else {name: value})
    values["graph.node.parent_id"] = ",".join(parents) or None
    if step.notes:
        values["mindreel.notes"] = "; ".join(str(note) for note in step.notes)
    return values


def _llm(step: Step, trace: Trace) -> dict[str, Any]:
    """What is told of a model call."""
    usage = step.usage if isinstance(step.usage, Mapping) else {}
    read, written = usage.get("input_tokens"), usage.get("output_tokens")
    model = trace.run.get("model")
    prompt = step.requests[0].get("prompt") if step.requests and isinstance(step.requests[0], Mapping) else None
    values = {
        KIND: "LLM",
        "llm.model_name": model.get("model") if isinstance(model, Mapping) else None,
        "llm.token_count.prompt": read,
        "llm.token_count.completion": written,
        "llm.token_count.total": read + written if isinstance(read, int) and isinstance(written, int) else None,
        "gen_ai.usage.input_tokens": read,
        "gen_ai.usage.output_tokens": written,
        "mindreel.adapter": usage.get("adapter") or "base",
        "input.value": prompt,
        "output.value": step.raw,
    }
    if prompt is not None:
        values |= {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": prompt}
    if step.raw is not None:
        values |= {"llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": step.raw}
    return values


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """OpenInference's way with lists of objects: `retrieval.documents.0.document.id`; metadata are JSON text."""
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        for at, one in enumerate(value):
            for key, inner in one.items():
                yield f"{name}.{at}.{key}", dumps(inner) if isinstance(inner, Mapping | list) else inner
            span = one.get("document.metadata")
            if isinstance(span, Mapping) and "start_s" in span and "end_s" in span:
                yield f"{name}.{at}.document.content", f"{span['start_s']} s to {span['end_s']} s"
    else:
        yield name, value


def _parents(edges: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for need, user in edges:
        found.setdefault(user, []).append(need)
    return found


class _Maker:
    """Makes spans of one trace, whose ids follow from its name and their number."""

    def __init__(self, name: str, resource: Any) -> None:
        self._seed = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
        self._trace_id = int.from_bytes(self._seed[:16], "big") or 1
        self._resource = resource
        self._made = 0

    def span(
        self, name: str, parent: Any, start_s: float, end_s: float, values: Mapping[str, Any], error: str | None
    ) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
        from opentelemetry.trace.status import Status, StatusCode

        self._made += 1
        digest = hashlib.sha256(self._seed + self._made.to_bytes(4, "big")).digest()
        span_id = int.from_bytes(digest[:8], "big") or 1
        context = SpanContext(self._trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        return ReadableSpan(
            name=_sendable(name),
            context=context,
            parent=None if parent is None else parent.context,
            resource=self._resource,
            attributes=_attributes(values),
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.OK) if error is None else Status(StatusCode.ERROR, _sendable(error)),
            start_time=_nanoseconds(start_s),
            end_time=_nanoseconds(max(end_s, start_s)),
            instrumentation_scope=InstrumentationScope("mindreel"),
        )


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _nanoseconds(time_s: float) -> int:
    return min(max(round(time_s * 1e9), 0), 2**63 - 1)


def _attributes(values: Mapping[str, Any]) -> dict[str, Value]:
    """What OpenTelemetry takes: no null, no structure."""
    made: dict[str, Value] = {}
    for name, value in values.items():
        if value is None:
            continue
        plain = value if isinstance(value, str | bool | int | float) else dumps(value)
        if isinstance(plain, str):
            plain = _sendable(plain)
        elif isinstance(plain, int) and not isinstance(plain, bool) and not -(2**63) <= plain < 2**63:
            plain = str(plain)
        made[name] = plain
    return made
