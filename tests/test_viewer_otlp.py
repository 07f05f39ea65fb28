"""Spans, as a collector of the test's own receives them over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agent.trace import read_traces
from agent.viewer.__main__ import main
from tests.fakes import ScriptedBackbone
from tests.viewer_folder import answered, evaluated, failed, fell_back, running

OK, ERROR = 1, 2


class Collector:
    """Takes spans and keeps them."""

    def __init__(self, status: int = 200) -> None:
        self.paths: list[str] = []
        self.requests: list[Any] = []
        keeper = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                keeper.paths.append(self.path)
                assert self.headers["content-type"] == "application/x-protobuf"
                keeper.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *said: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    collector = Collector(status)
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()


def values_of(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def sent(path: Path, *words: str) -> list[Any]:
    with collecting() as collector:
        assert main([str(path), "--otlp", collector.url, *words]) == 0
    assert set(collector.paths) == {"/v1/traces"}
    return collector.spans


def test_a_question_becomes_spans_of_the_right_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = answered(tmp_path / "a.jsonl")
    spans = sent(path)
    assert capsys.readouterr().out.startswith("6 spans sent to http://127.0.0.1")
    kinds = {span.name: values_of(span)["openinference.span.kind"] for span in spans}
    assert kinds == {
        "mindreel.ask": "CHAIN",
        "planner": "AGENT",
        "planner.llm": "LLM",
        "grounder": "RETRIEVER",
        "verifier": "RERANKER",
        "answerer": "LLM",
    }
    by_name = {span.name: span for span in spans}
    root = by_name["mindreel.ask"]
    assert root.parent_span_id == b""
    assert by_name["planner.llm"].parent_span_id == by_name["planner"].span_id
    for name in ("planner", "grounder", "verifier", "answerer"):
        assert by_name[name].parent_span_id == root.span_id
    assert len({span.trace_id for span in spans}) == 1
    assert len({span.span_id for span in spans}) == 6
    assert {span.status.code for span in spans} == {OK}


def test_spans_carry_the_times_of_the_trace(tmp_path: Path) -> None:
    path = answered(tmp_path / "a.jsonl")
    (trace,) = read_traces(path)
    spans = {span.name: span for span in sent(path)}
    for step in trace.steps:
        span = spans[step.id]
        assert span.start_time_unix_nano == round(step.started_s * 1e9)
        assert span.end_time_unix_nano == round((step.started_s + step.elapsed_s) * 1e9)
    root = spans["mindreel.ask"]
    assert trace.started_s is not None
    assert root.start_time_unix_nano == round(trace.started_s * 1e9)
    assert root.start_time_unix_nano <= min(span.start_time_unix_nano for span in spans.values())


def test_attributes_follow_openinference(tmp_path: Path) -> None:
    values = {span.name: values_of(span) for span in sent(answered(tmp_path / "a.jsonl"))}
    assert values["mindreel.ask"]["input.value"] == "Where will Sally look?"
    assert values["mindreel.ask"]["output.value"] == "In the box"
    grounder = values["grounder"]
    assert grounder["graph.node.id"] == "grounder"
    assert grounder["graph.node.parent_id"] == "planner"
    assert grounder["retrieval.documents.0.document.id"] == "grounder-0"
    assert grounder["retrieval.documents.0.document.score"] == 0.9
    assert '"start_s": 30.0' in grounder["retrieval.documents.0.document.metadata"]
    verifier = values["verifier"]
    assert verifier["graph.node.parent_id"] == "grounder"
    assert verifier["reranker.input_documents.1.document.id"] == "verifier-1"
    assert verifier["reranker.output_documents.0.document.id"] == "verifier-1"
    assert verifier["reranker.output_documents.0.document.score"] == pytest.approx(0.85)
    answerer = values["answerer"]
    assert answerer["gen_ai.usage.input_tokens"] == 100
    assert answerer["gen_ai.usage.output_tokens"] == 12
    assert answerer["llm.token_count.total"] == 112
    assert answerer["llm.model_name"] == "scripted"
    assert answerer["llm.input_messages.0.message.content"].startswith("Where will Sally look?")
    assert answerer["llm.output_messages.0.message.content"] == "B) In the box"
    assert values["planner.llm"]["llm.output_messages.0.message.content"].startswith('[{"type": "grounder"')


def test_the_same_trace_is_the_same_spans_and_another_is_not(tmp_path: Path) -> None:
    path = answered(tmp_path / "a.jsonl", "One?", "Two?")
    ids = [[(span.trace_id, span.span_id) for span in sent(path)] for _ in range(2)]
    assert ids[0] == ids[1]
    assert len({trace_id for trace_id, _ in ids[0]}) == 2
    assert {one for one, _ in ids[0]} >= {span.trace_id for span in sent(path, "--question", "2")}


def test_failures_fallbacks_and_what_never_ended_are_told(tmp_path: Path) -> None:
    spans = {span.name: span for span in sent(failed(tmp_path / "failed.jsonl"))}
    assert spans["answerer"].status.code == ERROR
    assert spans["answerer"].status.message == "RuntimeError: out of luck"
    assert spans["mindreel.ask"].status.code == ERROR
    assert spans["grounder"].status.code == OK
    values = {span.name: values_of(span) for span in sent(fell_back(tmp_path / "fell.jsonl"))}
    assert values["grounder"]["mindreel.status"] == "fallback"
    assert "points at no moment" in values["grounder"]["mindreel.reason"]
    spans = {span.name: span for span in sent(running(tmp_path / "running.jsonl"))}
    assert spans["verifier"].status.message == "it never ended"
    assert spans["mindreel.ask"].status.message == "the question never ended"
    skipped = answered(tmp_path / "s.jsonl", backbone=ScriptedBackbone(plan='[{"type": "answerer"}]'))
    assert {values_of(span).get("mindreel.status") for span in sent(skipped)} == {None, "ok", "skipped"}


def test_an_evaluation_says_how_it_was_judged(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run")
    spans = {span.name: values_of(span) for span in sent(run / "traces" / "a.jsonl", "--question", "2")}
    judged = spans["evaluation"]
    assert judged["openinference.span.kind"] == "EVALUATOR"
    assert (judged["eval.right"], judged["eval.span_right"], judged["eval.iou"]) == (True, False, 0.0)


def test_many_spans_go_in_several_requests(tmp_path: Path) -> None:
    path = answered(tmp_path / "a.jsonl", *(f"Question {number}?" for number in range(50)))
    with collecting() as collector:
        assert main([str(path), "--otlp", f"{collector.url}/v1/traces"]) == 0
    assert len(collector.requests) == 2
    assert len({span.span_id for span in collector.spans}) == 300


def test_odd_texts_are_sent_too(tmp_path: Path) -> None:
    path = answered(tmp_path / "a.jsonl", "half a pair, 猫")
    path.write_text(path.read_text().replace("half a pair", "half a pair \\udcff \\u0000"))
    assert values_of(sent(path)[0])["input.value"] == "half a pair ? \x00, 猫"


def test_a_collector_that_refuses_or_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = answered(tmp_path / "a.jsonl")
    with collecting(400) as collector:
        assert main([str(path), "--otlp", collector.url]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"mindreel: error: --otlp {collector.url}/v1/traces: the collector did not take the spans (")
    assert said.count("\n") == 1
    (tmp_path / "none.jsonl").write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert main([str(tmp_path / "none.jsonl"), "--otlp", collector.url]) == 2
    assert "no question was asked" in capsys.readouterr().err
