"""A graph of role calls and a handler per role go in; steps, outputs and at most one error come out.

Calls run one at a time, in topological order, ties broken by id. What a step directly needs is what it sees. A step
that fails never takes with it what was done before; what happens next is its role's policy.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx

from agent.contract import Handler, Memory, Observer, Policy, StepContext, StepOutcome
from agent.encode import to_json, total_usage
from agent.errors import one_line
from agent.graph import KINDS, RoleKind, validate
from agent.trace import Step
from roles.deadline import Deadline, deadline
from roles.errors import GraphError, InputError, StepTimeoutError
from roles.types import RoleCall

GRACE_S = 5.0
"""How long a step that was given up may take to notice it before the next one starts."""


@dataclass(slots=True)
class Run:
    """What a walk over a graph gave.

    Attributes:
        steps: One per call, in the order they were walked.
        outputs: What each call gave, by id; calls that gave nothing are missing.
        error: What stopped the run, or None.
    """

    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, object] = field(default_factory=dict)
    error: Exception | None = None


class Executor:
    """Walks graphs of role calls.

    Example:
        >>> from roles.types import Plan
        >>> from agent.graph import build_graph
        >>> kinds = {"greeter": RoleKind("greeter", gives="greeting")}
        >>> executor = Executor({"greeter": lambda call, context: StepOutcome(f"Hello {call.query}")}, kinds=kinds)
        >>> executor.run(build_graph(Plan((RoleCall("g", "greeter", "Sally"),), "mine"), kinds)).outputs
        {'g': 'Hello Sally'}
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        policies: Mapping[str, Policy] | None = None,
        *,
        kinds: Mapping[str, RoleKind] = KINDS,
        observers: Sequence[Observer] = (),
        memory: Memory | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        """Takes what is needed to run any graph.

        Args:
            handlers: Does a role's work.
            policies: By role; `Policy()` where one is missing.
            kinds: The roles that exist.
            observers: Are told of every step.
            memory: Measures every step's peak.
            grace_s: How long to wait for a step that was given up.
        """
        self.handlers = handlers
        self.policies = policies or {}
        self.kinds = kinds
        self.observers = observers
        self.memory = memory
        self.grace_s = grace_s

    def run(self, graph: nx.DiGraph[str], into: Run | None = None) -> Run:
        """Walks a graph.

        Args:
            graph: From `agent.graph.build_graph`, or made by hand.
            into: Where steps and outputs are added as they come, so that a caller has them even after an interrupt.

        Returns:
            What came of it; `into` where that was given.

        Raises:
            GraphError: It is not valid, or a role has no handler.
            KeyboardInterrupt: The user stopped it; the step in progress is told to the observers first.
        """
        validate(graph, self.kinds)
        homeless = sorted({graph.nodes[node]["call"].role for node in graph} - self.handlers.keys())
        if homeless:
            known = ", ".join(self.handlers) or "none"
            raise GraphError(f"no handler for the role {', '.join(homeless)}; there are handlers for: {known}")
        run = Run() if into is None else into
        stopped = ""
        for node in nx.lexicographical_topological_sort(graph):
            needs = sorted(graph.predecessors(node))
            call: RoleCall = replace(graph.nodes[node]["call"], needs=tuple(needs))  # edges are what counts
            if run.error is not None:
                self.skip(call, stopped, run)
                continue
            given = {need: run.outputs[need] for need in needs if run.outputs.get(need) is not None}
            inputs = {self.kinds[graph.nodes[need]["call"].role].gives: output for need, output in given.items()}
            followers = frozenset(graph.nodes[user]["call"].role for user in graph.successors(node))
            missing = sorted(self.kinds[call.role].takes - inputs.keys())
            if missing:
                self.skip(call, f"there are no {' and no '.join(missing)}: nothing came from {', '.join(needs)}", run)
                continue
            self._step(call, StepContext(inputs, given, followers), run)
            if run.error is not None:
                stopped = f"not run, because {call.role} {call.id!r} failed"
        return run

    def skip(self, call: RoleCall, reason: str, run: Run) -> None:
        """Records a call that is not run."""
        self._tell_started(call)
        attributes = self._attributes(call, None, None, {})
        self._tell(Step(call.id, call, "skipped", time.time(), reason=reason, attributes=attributes), run)

    def _step(self, call: RoleCall, context: StepContext, run: Run) -> None:
        """Runs one call by its policy and records it."""
        policy = self.policies.get(call.role, Policy())
        began_s, began = time.time(), time.perf_counter()
        self._tell_started(call)
        if self.memory is not None:
            self.memory.reset_peak_memory()
        failure: Exception | None = None
        outcome = StepOutcome(None)
        status: str = "failed"
        try:
            outcome = self._attempt(call, context, policy.timeout_s)
            status = outcome.status
        except KeyboardInterrupt:
            self._record(call, context, outcome, "failed", "interrupted", began_s, began, run)
            raise
        except Exception as error:  # noqa: BLE001 - the one boundary: whatever a model or a user's handler raises,
            # out of memory included (torch's own error, which cannot be named here), belongs into the trace
            failure = error
        if failure is not None and policy.fallback is not None and not isinstance(failure, InputError):
            try:
                outcome = policy.fallback(call, context, failure)
                reason = f"{one_line(failure)}; {outcome.reason or 'went on without'}"
                outcome, status = replace(outcome, status="fallback", reason=reason), "fallback"
            except Exception as error:  # noqa: BLE001 - a fallback that fails is a failure like any other
                error.__cause__ = failure
                run.error = error
        elif failure is not None and (policy.on_error == "stop" or isinstance(failure, InputError)):
            run.error = failure
        said = None if failure is None else one_line(failure)
        if outcome.output is not None:
            run.outputs[call.id] = outcome.output
        self._record(call, context, outcome, status, said, began_s, began, run)

    def _attempt(self, call: RoleCall, context: StepContext, timeout_s: float | None) -> StepOutcome:
        handler = self.handlers[call.role]
        if timeout_s is None:
            outcome = handler(call, context)
        else:
            outcome = self._limited(lambda: handler(call, context), timeout_s)
        if not isinstance(outcome, StepOutcome):
            raise TypeError(f"the handler of {call.role!r} gave {type(outcome).__name__}; expected StepOutcome")
        return outcome

    def _limited(self, work: Callable[[], StepOutcome], timeout_s: float) -> StepOutcome:
        """Does work in a thread of its own, so that even work that never looks at its deadline can be given up."""
        limit = Deadline(timeout_s)
        results: list[StepOutcome] = []
        errors: list[BaseException] = []
        ended = threading.Event()

        def target() -> None:
            try:
                with deadline(limit):
                    results.append(work())
            except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits, which raises it
                errors.append(error)
            finally:
                ended.set()

        thread = threading.Thread(
            target=contextvars.copy_context().run, args=(target,), name="mindreel-step", daemon=True
        )
        try:
            thread.start()
            ended.wait(timeout_s)
        except KeyboardInterrupt:
            # Not by `join`: an interrupted one takes the thread for ended, and a thread that still runs torch while
            # the interpreter shuts down aborts it.
            limit.cancelled.set()
            ended.wait(self.grace_s)
            raise
        if results:
            return results[0]
        if errors and not isinstance(errors[0], StepTimeoutError):
            raise errors[0]
        limit.cancelled.set()
        stopped = ended.wait(self.grace_s)  # two steps at once would fight over the model's adapters
        still = "" if stopped else f"; its work had not stopped {self.grace_s:g} s later"
        raise StepTimeoutError(f"timed out after {timeout_s:g} s{still}")

    def _record(
        self,
        call: RoleCall,
        context: StepContext,
        outcome: StepOutcome,
        status: str,
        error: str | None,
        began_s: float,
        began: float,
        run: Run,
    ) -> None:
        requests = tuple(to_json(request) for request in tuple(context.requests))
        usage = total_usage(outcome.usage) if outcome.usage else None
        output = to_json(outcome.output)
        asked = requests[0]["prompt"] if requests else None
        said = outcome.raw if outcome.raw is not None else output
        step = Step(
            id=call.id,
            call=call,
            status=status,
            started_s=began_s,
            elapsed_s=time.perf_counter() - began,
            requests=requests,
            raw=outcome.raw,
            output=output,
            reason=outcome.reason,
            error=error,
            notes=outcome.notes,
            usage=usage,
            peak_mem_bytes=None if self.memory is None else self.memory.peak_memory_bytes(),
            attributes=self._attributes(call, asked, said, {**_tokens(usage), **outcome.details}),
        )
        self._tell(step, run)

    def _attributes(self, call: RoleCall, asked: str | None, said: object, more: Mapping[str, Any]) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "openinference.span.kind": self.kinds[call.role].span_kind,
            "graph.node.id": call.id,
            "graph.node.parent_id": ",".join(call.needs) or None,
            "input.value": call.query if asked is None else asked,
            "output.value": said,
        }
        return {**attributes, **to_json(more)}

    def _tell_started(self, call: RoleCall) -> None:
        for observer in self.observers:
            observer.started(call)

    def _tell(self, step: Step, run: Run) -> None:
        run.steps.append(step)
        for observer in self.observers:
            observer.finished(step)


def _tokens(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {f"gen_ai.usage.{name}": usage[name] for name in ("input_tokens", "output_tokens")}
