"""The bytes of a trace file go in, piece by piece; its questions come out, as far as they were written.

A file that grows is read on from where it ended. Each event is taken in once, so that a question of thousands of
steps costs no more than its lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.encode import call_from, moments_from, plan_from, span_from, video_from
from agent.trace import FORMAT_NAME, FORMAT_VERSION, OPENING, Step, Trace
from agent.trace_shape import check_shape
from roles.errors import TraceError
from roles.types import Answer, FilmCheck


@dataclass(slots=True)
class _Run:
    """What is known of a run; its model is told after it has begun."""

    about: dict[str, Any]
    first: int
    ended: bool = False


@dataclass(slots=True)
class AskedQuestion:
    """A question as far as it was read.

    Attributes:
        begin: The event that opened it.
        run: The run that it belongs to.
        plan: The event that told its plan.
        steps: Those that ended, in that order.
        running: Those that were begun and have not ended, by id.
        end: The event that closed it.
        left: Whether the run went on, or came to its end, without closing it.
    """

    begin: Mapping[str, Any]
    run: _Run
    plan: Mapping[str, Any] | None = None
    steps: list[Step] = field(default_factory=list)
    running: dict[str, Step] = field(default_factory=dict)
    end: Mapping[str, Any] | None = None
    left: bool = False

    def trace(self) -> Trace:
        """The question as a trace."""
        begin, run, end = self.begin, self.run.about, self.end
        told: dict[str, Any] = {}
        if end is not None:
            answer = end["answer"]
            shares, film = answer.get("option_probs"), end.get("film")  # missing in traces of earlier versions
            shares = None if shares is None else tuple(_known(share) for share in shares)
            moments = [{**moment, "confidence": _known(moment["confidence"])} for moment in end["moments"]]
            told = {
                "answer": Answer(answer["text"], answer["choice"], moments_from(moments), shares),
                "film": None if film is None else FilmCheck(film["score"], film["limit"], film["strange"]),
                "clip": span_from(end["clip"]),
                "error": end["error"],
                "notes": tuple(end["notes"]),
                "elapsed_s": end["elapsed_s"],
            }
        return Trace(
            version=run["version"],
            git_sha=run["git_sha"],
            seed=run["seed"],
            video=video_from(begin["video"]),
            question=begin["text"],
            plan=None if self.plan is None else plan_from(self.plan["plan"]),
            steps=(*self.steps, *self.running.values()),
            options=tuple(begin["options"]),
            part=span_from(begin["part"]),
            run=run,
            manner=begin.get("manner") or {},
            started_s=begin.get("time_s"),
            edges=() if self.plan is None else tuple((edge[0], edge[1]) for edge in self.plan.get("edges", ())),
            **told,
        )


class TraceReader:
    """Reads a trace in pieces, so that of a file that grows only the new bytes are read.

    Attributes:
        path: The file's name, for messages.
        questions: Those read so far, in the order asked.
        run: What the file says of the latest run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.questions: list[AskedQuestion] = []
        self._run: _Run | None = None
        self._rest = b""
        self._line = 0
        self._torn: int | None = None

    @property
    def run(self) -> Mapping[str, Any]:
        """What the file says of the latest run."""
        return {} if self._run is None else self._run.about

    @property
    def torn(self) -> bool:
        """Whether the file stops, so far, within a line."""
        return bool(self._rest) or self._torn is not None

    def check_opening(self, opening: bytes) -> None:
        """Looks at a file's first bytes.

        Raises:
            TraceError: It is no trace.
        """
        if opening[: len(OPENING)] != OPENING:
            what = "an empty file" if not opening else "not the beginning of a Mindreel trace"
            raise TraceError(f"{self.path}, line 1: {what}; expected {OPENING.decode()} ...")

    def feed(self, data: bytes) -> set[int]:
        """Takes the file's next bytes; a line counts once its end is there.

        Returns:
            Places in `questions` of those that something was learnt of.

        Raises:
            TraceError: A line that is none of a trace; what came before it stays.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        touched: set[int] = set()
        for line in lines:
            self._line += 1
            if line.strip():
                self._take(line, touched)
        return touched

    def finish(self) -> None:
        """Says that no more will come.

        Raises:
            TraceError: Not even the first line is whole.
        """
        if self._torn == 1:
            raise TraceError(f"{self.path}, line 1: torn; expected a whole {OPENING.decode()} ...")

    def _take(self, line: bytes, touched: set[int]) -> None:
        """One line. One that a kill tore is passed over: the file's last, or the last before another run."""
        event = _parsed(line)
        if self._torn is not None and (event is None or event.get("event") != "trace.begin"):
            raise TraceError(f"{self.path}, line {self._torn}: not a JSON object; expected one event a line")
        self._torn = self._line if event is None else None
        if event is None:
            return
        try:
            self._note(event, touched)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            detail = f"{type(error).__name__}: {error}"
            raise TraceError(f"{self.path}, line {self._line}: not an event of a Mindreel trace ({detail})") from error

    def _note(self, event: Mapping[str, Any], touched: set[int]) -> None:
        check_shape(event)
        name = event["event"]
        if name == "trace.begin":
            self._leave(touched)
            self._run = _Run(_header(event), len(self.questions))
            return
        if self._run is None:
            raise ValueError("no trace.begin comes before it")
        if name == "model":
            self._run.about = {**self._run.about, "model": event["model"]}
            touched.update(range(self._run.first, len(self.questions)))
        elif name == "question.begin":
            self._leave(touched)
            asked = AskedQuestion(event, self._run)
            asked.trace()  # what cannot be read is told with its line
            self.questions.append(asked)
            touched.add(len(self.questions) - 1)
        elif name == "trace.end":
            self._leave(touched)
        elif name in _OF_QUESTIONS or "question" in event:
            at = self._run.first + event["question"]
            self._fold(self.questions[at], name, event)
            touched.add(at)

    def _leave(self, touched: set[int]) -> None:
        if self.questions and self.questions[-1].end is None:
            self.questions[-1].left = True
            touched.add(len(self.questions) - 1)

    def _fold(self, asked: AskedQuestion, name: str, event: Mapping[str, Any]) -> None:
        if name == "plan":
            plan_from(event["plan"])
            asked.plan = event
        elif name == "step.begin":
            asked.running[event["id"]] = Step(event["id"], call_from(event["call"]), "running", event["time_s"])
        elif name == "step.end":
            step = _step_from(event)
            asked.running.pop(step.id, None)
            asked.steps.append(step)
        elif name == "question.end":
            before, asked.end = asked.end, event
            try:
                asked.trace()
            except Exception:
                asked.end = before
                raise
        # Anything else is a later version's event: what is known is still worth showing.


def _known(share: float | None) -> float:
    """A share; JSON has no word for one that is no number, and says null."""
    return float("nan") if share is None else share


def _header(event: Mapping[str, Any]) -> dict[str, Any]:
    if event["format"] != FORMAT_NAME or event["version"] != FORMAT_VERSION:
        raise ValueError(f"{event['format']} {event['version']}; expected {FORMAT_NAME} {FORMAT_VERSION}")
    if "git_sha" not in event or "seed" not in event:
        raise ValueError("it names no git_sha or no seed")
    return {key: value for key, value in event.items() if key != "event"}


_OF_QUESTIONS = ("plan", "step.begin", "step.end", "question.end")
_STEP_KEYS = tuple(key for key in Step.__dataclass_fields__ if key not in ("call", "requests", "notes"))


def _step_from(event: Mapping[str, Any]) -> Step:
    values = {key: event[key] for key in _STEP_KEYS}
    return Step(call=call_from(event["call"]), requests=tuple(event["requests"]), notes=tuple(event["notes"]), **values)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # the second: brackets nested by the thousand
        return None
    return event if isinstance(event, dict) else None
