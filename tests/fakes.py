"""Stand-ins for the model and for a session: deterministic, satisfy the same Protocols, record what they are asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.agent import Agent
from agent.build import Session, SessionOptions
from agent.recorder import TraceWriter
from prompts import PromptBook, own_prompts
from roles.backbone import Backbone
from roles.manner import Manner
from roles.types import Choosing, Clip, FilmCheck, Judgement, Pointing, Reply, Request, Usage, Video

VIDEO = Video("clips/sally.mp4", duration_s=60.0, fps=25.0, width_px=640, height_px=360, frames=1500)
GROUND_PLAN = '[{"type": "grounder", "value": "Sally hides the marble."}, {"type": "verifier"}, {"type": "answerer"}]'
MOMENT_PLAN = '[{"type": "grounder", "value": "Sally hides the marble."}, {"type": "verifier"}]'
ANSWER_PLAN = '[{"type": "answerer"}]'
ROWS = ((0.5, 0.6, 0.9), (0.1, 0.2, 0.8), (0.7, 0.75, 0.3))
ALL_ROLES = ("planner", "grounder", "verifier", "answerer")


def usage(role: str, output_tokens: int = 0) -> Usage:
    return Usage(
        input_tokens=100,
        video_tokens=80,
        output_tokens=output_tokens,
        frame_times_s=(0.0, 1.0),
        frame_indices=(0, 25),
        grid_thw=(1, 4, 6),
        adapter=role,
        seconds={"vision": 0.25, "decode": 0.5},
    )


@dataclass
class ScriptedBackbone:
    """A model whose replies are written down.

    `failures` maps a role to an exception to raise, or a function to call first (to sleep, say).
    """

    adapters: Sequence[str] = ALL_ROLES
    plan: str = GROUND_PLAN
    grounded: str = "The relevant moment happens in <|reg|>."
    rows: tuple[tuple[float, float, float], ...] | None = ROWS
    verdicts: Sequence[tuple[float, float]] = ((0.2, 0.7), (0.9, 0.05), (0.4, 0.4), (0.1, 0.1), (0.3, 0.1))
    answer: str = "B) In the box"
    finished: bool = True
    failures: Mapping[str, BaseException | Callable[[], None]] = field(default_factory=dict)
    book: PromptBook = field(default_factory=own_prompts)
    requests: list[Request] = field(default_factory=list)
    prepared: list[tuple[Clip, ...]] = field(default_factory=list)
    resets: int = 0
    notes: tuple[str, ...] = ()
    manner: Manner = field(default_factory=Manner)
    likelihoods: Sequence[float] = (-2.0, -1.0, -4.0, -3.0)
    chosen_among: list[tuple[str, ...]] = field(default_factory=list)
    kind_of_film: FilmCheck | None = None

    @property
    def prompts(self) -> PromptBook:
        return self.book

    def has(self, role: str) -> bool:
        return role in self.adapters

    def prepare(self, clips: Sequence[Clip]) -> None:
        self.prepared.append(tuple(clips))

    def write(self, request: Request) -> Reply:
        self._ask(request)
        text = self.plan if request.role == "planner" else self.answer
        return Reply(text, self.finished, usage(request.role, 12))

    def point(self, request: Request) -> Pointing:
        self._ask(request)
        return Pointing(Reply(self.grounded, True, usage("grounder", 9)), self.rows)

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        for request in requests:
            self._ask(request)
        return [Judgement(yes, no, usage("verifier")) for (yes, no), _ in zip(self.verdicts, requests, strict=False)]

    def choose(self, request: Request, texts: Sequence[str]) -> Choosing:
        self._ask(request)
        self.chosen_among.append(tuple(texts))
        return Choosing(tuple(self.likelihoods[: len(texts)]), usage(request.role, 3 * len(texts)))

    def film(self, video: Video) -> FilmCheck | None:
        return self.kind_of_film if self.requests else None

    def describe(self) -> dict[str, object]:
        return {"model": "scripted", "attn": "sdpa", "adapters": list(self.adapters)}

    def reset_peak_memory(self) -> None:
        self.resets += 1

    def peak_memory_bytes(self) -> int | None:
        return 1000 + self.resets

    def asked(self, role: str) -> list[Request]:
        return [request for request in self.requests if request.role == role]

    def _ask(self, request: Request) -> None:
        self.requests.append(request)
        failure = self.failures.get(request.role)
        if isinstance(failure, BaseException):
            raise failure
        if failure is not None:
            failure()


_: Backbone = ScriptedBackbone()
"""The fake satisfies the Protocol; the type checker would say so."""


def sleeping(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)


def fake_opener(backbone: ScriptedBackbone, video: Video = VIDEO, folder: Path | None = None) -> Any:
    """Replaces `agent.build.open_session` by one that needs neither files nor a model."""

    @contextmanager
    def open_session(options: SessionOptions, *, progress: Any = None, say: Any = print) -> Iterator[Session]:
        say("loading the model")
        path = options.trace or (folder or Path()) / "trace.jsonl"
        with TraceWriter(path, seed=options.settings.seed, argv=options.argv) as trace:
            agent = Agent(backbone, options.settings, trace=trace, progress=progress)
            yield Session(agent, video, trace, lambda: ("a note on the video",), options, 0.5)

    return open_session
