"""A video and a question go in, a Result comes out: plan, graph, walk, and a record of all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import networkx as nx

from agent.checks import check_question, part_of
from agent.contract import Handler, Observer, Policy
from agent.encode import span_from
from agent.errors import one_line
from agent.execute import Executor, Run
from agent.graph import KINDS, RoleKind, build_graph, validate
from agent.recorder import TraceWriter
from agent.result import Result
from agent.settings import Settings
from agent.steps import Asking
from agent.strange import remark
from agent.trace import Step
from roles.backbone import Backbone
from roles.errors import GraphError, InputError
from roles.subtitles import Line
from roles.types import Answer, FilmCheck, Moment, Plan, RoleCall, Span, Video

ORDER = ("planner", "grounder", "verifier", "answerer")


@dataclass(frozen=True, slots=True)
class OwnRole:
    """A role of your own, or another way to do a built-in one.

    Attributes:
        kind: What it takes and gives.
        handler: Does its work.
        policy: What happens when it fails.
    """

    kind: RoleKind
    handler: Handler
    policy: Policy = field(default_factory=Policy)


class Agent:
    """Answers questions about videos. It keeps nothing between two questions."""

    def __init__(
        self,
        backbone: Backbone,
        settings: Settings | None = None,
        *,
        trace: TraceWriter | None = None,
        progress: Observer | None = None,
        roles: Sequence[OwnRole] = (),
    ) -> None:
        """Puts an agent together.

        Args:
            backbone: The model, or a stand-in.
            settings: How to ask.
            trace: Records every step.
            progress: Is told as steps begin and end.
            roles: Roles beside, or in place of, the built-in ones.
        """
        self.backbone = backbone
        self.settings = settings or Settings()
        self.trace = trace
        self.roles = tuple(roles)
        self.kinds: Mapping[str, RoleKind] = {**KINDS, **{role.kind.name: role.kind for role in roles}}
        self.observers = tuple(observer for observer in (trace, progress) if observer is not None)
        if trace is not None:
            trace.model(backbone.describe())

    def ask(
        self,
        video: Video,
        question: str,
        options: Sequence[str] = (),
        *,
        subtitles: Sequence[Line] = (),
        span: Span | None = None,
        duration_s: float | None = None,
        plan: Plan | nx.DiGraph[str] | None = None,
        notes: Sequence[str] | Callable[[], Sequence[str]] = (),
    ) -> Result:
        """Answers one question.

        Args:
            video: What to watch.
            question: What is asked.
            options: The choices, without letters; empty where the question is open.
            subtitles: All lines of the video.
            span: The part that is asked about; None is the whole.
            duration_s: The video's length where a data set states one that differs from the file's.
            plan: Role calls, or a graph of them, to run instead of the planner's.
            notes: On the video or the model, repeated in the result and the trace; a function is asked at the end.

        Returns:
            What was found. A step that failed inside leaves its mark in `Result.error`.

        Raises:
            InputError: The question, the part, the plan or the video cannot be used.
            KeyboardInterrupt: The user stopped it; the trace holds what was done.
        """
        began = time.perf_counter()
        check_question(question, options)
        length_s = video.duration_s if duration_s is None else duration_s
        ends = (None, None) if span is None else (span.start_s, span.end_s)
        inside, cut = part_of(length_s, *ends)
        manner = self.settings.over(self.backbone.manner)
        given, graph = self._given(plan)
        asking = Asking(
            backbone=self.backbone,
            settings=self.settings,
            manner=manner,
            video=video,
            question=question,
            options=tuple(options),
            subtitles=subtitles,
            span=inside,
            part=inside or Span(0.0, length_s),
            given=given,
        )
        if self.trace is not None:
            self.trace.question_begin(video, question, options, inside, manner)
        run = Run()
        try:
            chosen = self._walk(asking, graph, run)
        except (InputError, KeyboardInterrupt) as error:
            said = "interrupted" if isinstance(error, KeyboardInterrupt) else one_line(error)
            self._close(
                Answer(None, None, _last_moments(run)), None, said, notes() if callable(notes) else notes, began
            )
            raise
        steps = _in_order(run.steps)
        answers = [output for output in run.outputs.values() if isinstance(output, Answer)]
        moments = _last_moments(run)
        answer = replace(answers[-1], moments=moments) if answers else Answer(None, None, moments)
        failed = next((step for step in steps if step.status == "failed"), None)
        error_text = None
        if run.error is not None:
            error_text = f"{failed.call.role} failed: {one_line(run.error)}" if failed else one_line(run.error)
        outside = notes() if callable(notes) else notes
        film = self.backbone.film(video)
        warning = remark(film)
        warnings = () if warning is None else (warning,)
        said_notes = (*outside, *warnings, *cut, *(note for step in steps for note in step.notes))
        clip = self._clip(steps)
        self._close(answer, clip, error_text, said_notes, began, film)
        return Result(
            question=question,
            video=replace(video, duration_s=length_s),
            plan=chosen,
            moments=moments,
            clip=clip,
            answer=answer,
            steps=steps,
            elapsed_s=time.perf_counter() - began,
            options=tuple(options),
            trace=None if self.trace is None else self.trace.path,
            error=error_text,
            notes=said_notes,
            failure=run.error,
            film=film,
        )

    def _walk(self, asking: Asking, graph: nx.DiGraph[str] | None, run: Run) -> Plan:
        """Plans, then runs the plan; steps and outputs gather in `run` whatever happens."""
        executor = Executor(
            {**asking.handlers(), **{role.kind.name: role.handler for role in self.roles}},
            {**asking.policies(), **{role.kind.name: role.policy for role in self.roles}},
            kinds=self.kinds,
            observers=self.observers,
            memory=self.backbone,
        )
        planning = Plan((RoleCall("planner", "planner", asking.question),), "agent")
        executor.run(build_graph(planning, self.kinds), into=run)
        chosen = run.outputs.pop("planner", None)
        if isinstance(run.error, InputError):
            raise run.error
        if run.error is not None:
            return Plan((), "fallback")
        if not isinstance(chosen, Plan):
            raise GraphError(f"the planner gave {type(chosen).__name__}; expected Plan")
        graph = build_graph(chosen, self.kinds) if graph is None else graph
        if self.trace is not None:
            self.trace.plan(chosen, graph)
        used = [call.role for call in chosen.calls]
        absent = [role for role in ORDER[1:] if role not in used] if set(used) <= set(ORDER) else []
        first = min((ORDER.index(role) for role in used), default=0) if absent else 0
        self._leave_out(executor, [role for role in absent if ORDER.index(role) < first], used, run)
        try:
            executor.run(graph, into=run)
        finally:
            self._leave_out(executor, [role for role in absent if ORDER.index(role) > first], used, run)
        if isinstance(run.error, InputError):
            raise run.error
        return chosen

    def _leave_out(self, executor: Executor, roles: Sequence[str], used: Sequence[str], run: Run) -> None:
        """Records the roles that the plan does without, so that a reader need not wonder about them."""
        for role in roles:
            executor.skip(RoleCall(role, role, ""), f"the plan is: {', '.join(used)}", run)

    def _given(self, plan: Plan | nx.DiGraph[str] | None) -> tuple[Plan | None, nx.DiGraph[str] | None]:
        """A caller's plan, checked before anything runs, as a plan and as a graph."""
        if plan is None:
            return None, None
        if isinstance(plan, Plan):
            return plan, build_graph(plan, self.kinds)
        validate(plan, self.kinds)
        calls = [plan.nodes[node]["call"] for node in nx.lexicographical_topological_sort(plan)]
        return Plan(tuple(calls), "forced"), plan

    def _clip(self, steps: Sequence[Step]) -> Span | None:
        clips = [s.requests[0]["span"] for s in steps if s.requests and self.kinds[s.call.role].gives == "answer"]
        return span_from(clips[-1]) if clips else None

    def _close(
        self,
        answer: Answer,
        clip: Span | None,
        error: str | None,
        notes: Sequence[str],
        began: float,
        film: FilmCheck | None = None,
    ) -> None:
        if self.trace is not None:
            elapsed_s = time.perf_counter() - began
            self.trace.question_end(answer, clip=clip, error=error, notes=notes, elapsed_s=elapsed_s, film=film)


def _in_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Planner, grounder, verifier, answerer; steps of a graph with other roles stay as they ran."""
    roles = [step.call.role for step in steps]
    if set(roles) <= set(ORDER) and len(set(roles)) == len(roles):
        return tuple(sorted(steps, key=lambda step: ORDER.index(step.call.role)))
    return tuple(steps)


def _last_moments(run: Run) -> tuple[Moment, ...]:
    """The moments of the last step that gave any."""
    for output in reversed(run.outputs.values()):
        if isinstance(output, Sequence) and output and all(isinstance(item, Moment) for item in output):
            return tuple(output)
    return ()
