from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from agent.contract import Handler, Policy, StepContext, StepOutcome
from agent.errors import GraphError, QuestionError, StepTimeoutError, one_line
from agent.execute import Executor, Run
from agent.graph import RoleKind, build_graph
from agent.trace import Step
from roles.deadline import check_deadline
from roles.types import Plan, RoleCall

KINDS = {
    "make": RoleKind("make", gives="thing"),
    "use": RoleKind("use", takes=frozenset({"thing"}), gives="use"),
    "like": RoleKind("like", optional=frozenset({"thing"}), gives="liking"),
}


class Watcher:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def started(self, call: RoleCall) -> None:
        self.events.append(("started", call.id))

    def finished(self, step: Step) -> None:
        self.events.append((step.status, step.id))


def says(text: str) -> Handler:
    return lambda call, context: StepOutcome(text)


def raises(error: BaseException) -> Handler:
    def handler(call: RoleCall, context: StepContext) -> StepOutcome:
        raise error

    return handler


def run(
    make: Handler,
    policy: Policy | None = None,
    *,
    use: Handler | None = None,
    like: Handler | None = None,
    **options: Any,
) -> Run:
    handlers = {"make": make, "use": use or says("used"), "like": like or says("liked")}
    plan = Plan(
        (RoleCall("m", "make", "q"), RoleCall("u", "use", "q", ("m",)), RoleCall("l", "like", "q", ("m",))), "forced"
    )
    executor = Executor(handlers, {"make": policy or Policy()}, kinds=KINDS, **options)
    return executor.run(build_graph(plan, KINDS))


def statuses(done: Run) -> dict[str, str]:
    return {step.id: step.status for step in done.steps}


def test_steps_run_in_topological_order_with_ties_broken_by_id() -> None:
    calls = [RoleCall(name, "make", "q") for name in "cab"] + [RoleCall("0", "use", "q", ("b",))]
    graph = build_graph(Plan(tuple(calls), "forced"), KINDS)
    done = Executor({"make": says("x"), "use": says("y")}, kinds=KINDS).run(graph)
    assert [step.id for step in done.steps] == ["a", "b", "0", "c"]


def test_a_step_sees_the_outputs_of_what_it_needs() -> None:
    seen: list[StepContext] = []

    def use(call: RoleCall, context: StepContext) -> StepOutcome:
        seen.append(context)
        return StepOutcome("used")

    done = run(says("a thing"), use=use)
    assert seen[0].inputs == {"thing": "a thing"}
    assert seen[0].outputs == {"m": "a thing"}
    assert seen[0].followers == frozenset()
    assert done.outputs == {"m": "a thing", "u": "used", "l": "liked"}


def test_a_failure_stops_what_comes_later_and_keeps_what_came_before() -> None:
    watcher = Watcher()
    boom = RuntimeError("boom")
    done = run(says("a thing"), like=raises(boom), observers=(watcher,))
    assert statuses(done) == {"m": "ok", "l": "failed", "u": "skipped"}
    assert done.error is boom
    assert done.outputs == {"m": "a thing"}
    assert done.steps[1].error == "RuntimeError: boom"
    assert done.steps[2].reason == "not run, because like 'l' failed"
    assert watcher.events == [
        ("started", "m"),
        ("ok", "m"),
        ("started", "l"),
        ("failed", "l"),
        ("started", "u"),
        ("skipped", "u"),
    ]


def test_skip_leaves_out_only_those_who_cannot_do_without() -> None:
    done = run(raises(RuntimeError("boom")), Policy(on_error="skip"))
    assert statuses(done) == {"m": "failed", "l": "ok", "u": "skipped"}
    assert done.error is None
    assert done.steps[2].reason == "there are no thing: nothing came from m"


def test_a_fallback_is_recorded_with_its_reason() -> None:
    policy = Policy(on_error="fallback", fallback=lambda call, context, error: StepOutcome("spare", reason="a spare"))
    done = run(raises(RuntimeError("boom")), policy)
    assert statuses(done) == {"m": "fallback", "l": "ok", "u": "ok"}
    assert done.steps[0].reason == "RuntimeError: boom; a spare"
    assert done.steps[0].error == "RuntimeError: boom"
    assert done.outputs["m"] == "spare"


def test_a_fallback_that_fails_is_a_failure() -> None:
    policy = Policy(on_error="fallback", fallback=lambda call, context, error: StepOutcome(1 // 0))
    done = run(raises(RuntimeError("boom")), policy)
    assert isinstance(done.error, ZeroDivisionError)
    assert isinstance(done.error.__cause__, RuntimeError)
    assert statuses(done) == {"m": "failed", "l": "skipped", "u": "skipped"}


@pytest.mark.parametrize("on_error", ["fallback", "skip"])
def test_bad_input_stops_whatever_the_policy(on_error: Any) -> None:
    fallback = None if on_error == "skip" else (lambda call, context, error: StepOutcome("spare"))
    done = run(raises(QuestionError("bad")), Policy(on_error=on_error, fallback=fallback))
    assert isinstance(done.error, QuestionError)
    assert done.steps[0].error == "bad"


def test_a_handler_must_give_an_outcome() -> None:
    done = run(lambda call, context: "text")  # type: ignore[arg-type, return-value]
    assert str(done.error) == "the handler of 'make' gave str; expected StepOutcome"


def test_a_role_without_a_handler_is_refused_before_anything_runs() -> None:
    graph = build_graph(Plan((RoleCall("m", "make", "q"),), "forced"), KINDS)
    with pytest.raises(GraphError, match="no handler for the role make; there are handlers for: none"):
        Executor({}, kinds=KINDS).run(graph)


def test_a_step_that_sleeps_too_long_is_given_up() -> None:
    began = time.perf_counter()
    done = run(lambda call, context: time.sleep(1) or says("x")(call, context), Policy(0.05, "skip"), grace_s=0.05)
    assert time.perf_counter() - began < 0.9
    assert statuses(done) == {"m": "failed", "l": "ok", "u": "skipped"}
    assert done.steps[0].error == "timed out after 0.05 s; its work had not stopped 0.05 s later"


def test_cooperative_work_notices_its_deadline_and_is_waited_for() -> None:
    stopped = threading.Event()

    def patient(call: RoleCall, context: StepContext) -> StepOutcome:
        try:
            while True:
                time.sleep(0.005)
                check_deadline()
        finally:
            stopped.set()

    done = run(patient, Policy(0.05))
    assert stopped.is_set()
    assert done.steps[0].error == "timed out after 0.05 s"
    assert isinstance(done.error, StepTimeoutError)


def test_a_step_within_its_time_gives_its_output_and_its_own_errors() -> None:
    assert run(says("a thing"), Policy(5.0)).outputs["m"] == "a thing"
    boom = RuntimeError("boom")
    assert run(raises(boom), Policy(5.0)).error is boom


def test_the_context_travels_into_the_worker_thread() -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")
    name.set("Sally")
    assert run(lambda call, context: StepOutcome(name.get()), Policy(5.0)).outputs["m"] == "Sally"


@pytest.mark.parametrize("timeout_s", [None, 5.0])
def test_an_interrupt_is_recorded_and_raised_again(timeout_s: float | None) -> None:
    def interrupted(call: RoleCall, context: StepContext) -> StepOutcome:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(200):
            time.sleep(0.005)
            check_deadline()
        return StepOutcome("late")

    watcher = Watcher()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(interrupted, Policy(timeout_s), observers=(watcher,))
    finally:
        signal.signal(signal.SIGINT, before)
    assert watcher.events == [("started", "m"), ("failed", "m")]


def test_what_was_asked_is_kept_when_the_call_fails() -> None:
    from roles.answerer import request
    from roles.types import Span
    from tests.fakes import VIDEO, ScriptedBackbone

    def asks(call: RoleCall, context: StepContext) -> StepOutcome:
        context.asked(request(VIDEO, Span(0, 10), "Why?", ScriptedBackbone().prompts))
        raise MemoryError

    step = run(asks).steps[0]
    assert step.requests[0]["prompt"] == "Why?"
    assert step.attributes["input.value"] == "Why?"
    assert step.error == "MemoryError"


def test_peak_memory_is_measured_for_each_step() -> None:
    from tests.fakes import ScriptedBackbone

    done = run(says("x"), memory=ScriptedBackbone())
    assert [step.peak_mem_bytes for step in done.steps] == [1001, 1002, 1003]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Policy(on_error="retry"), "unknown on_error 'retry'; expected one of stop, fallback, skip"),  # type: ignore[arg-type]
        (lambda: Policy(on_error="fallback"), "one needs the other"),
        (lambda: Policy(0.0), "timeout_s 0.0: expected more than 0 s"),
    ],
)
def test_policies_are_checked(make: Callable[[], Policy], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_errors_are_shown_on_one_short_line() -> None:
    assert one_line(ValueError("a\n b")) == "ValueError: a b"
    assert one_line(QuestionError("a\nb")) == "a b"
    assert len(one_line(ValueError("x" * 1000))) == 500
