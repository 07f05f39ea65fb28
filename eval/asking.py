"""A video with its questions goes in, each question's record comes out, written to the run's folder at once.

What goes wrong with one video or one question is that question's record, by name, and never the end of the run.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import Agent, Result, Settings, TraceWriter
from agent.checks import part_of, read_subtitle_file
from agent.errors import one_line
from eval.evidence_swap import KINDS, TIGHT_S, swap_clips
from eval.item import Group, Item, Record
from eval.run_folder import TRACES, Shard
from eval.run_record import chosen, failed, said
from roles import planner
from roles.errors import MindreelError, TraceError
from roles.subtitles import Line
from roles.types import Moment, Plan, Span, Video

if TYPE_CHECKING:
    from adapters.frames import VideoFile
    from eval.steady_model import SteadyModel

MISSING = "the video is missing"
_ALL_FPS = 1000.0
"""So many frames a second that only their greatest number counts."""
_LOST = ("AcceleratorError", "CudaError")
"""Errors after which a GPU does nothing more for its process: another question would only fail, too."""


@dataclass(frozen=True, slots=True)
class Job:
    """Who is asked, how, and where what is said is kept; can be sent to another process or host.

    Attributes:
        folder: The run's.
        model: Folder or hub id of the base; None takes the one that the adapters name.
        adapters: Folder or hub id of the adapters; None is the base alone.
        device: As `Qwen2VL.load` takes it.
        dtype: Likewise.
        attn: Likewise.
        own_prompts: Whether a checkpoint without wording of its own is asked in Mindreel's.
        settings: How the agent asks.
        plan: "auto", "ground", "answer", or "moment": find a moment and do not answer.
        frames: Most frames by role, where they differ from the checkpoint's.
        midpoints: Whether the answerer's frames stand in the middle of as many equal parts of what is asked about.
        minds: Whether questions are asked again without the video.
        swap: Whether questions with true moments are asked again with exchanged evidence.
        argv: The command that was given, for the traces.
    """

    folder: Path
    model: str | None = None
    adapters: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    attn: str = "auto"
    own_prompts: bool = False
    settings: Settings = field(default_factory=Settings)
    plan: str = "auto"
    frames: Mapping[str, int] = field(default_factory=dict)
    midpoints: bool = False
    minds: bool = False
    swap: bool = False
    argv: tuple[str, ...] = ()


class Worker:
    """One model that is asked about one video after the other."""

    def __init__(self, job: Job) -> None:
        """Loads the model.

        Raises:
            InputError: It cannot be loaded.
        """
        from eval.steady_model import SteadyModel

        self._job = job
        model = SteadyModel.load(
            job.model,
            job.adapters,
            device=job.device,
            dtype=job.dtype,
            attn=job.attn,
            prompts="own" if job.own_prompts else "auto",
        )
        assert isinstance(model, SteadyModel)  # noqa: S101 - `load` makes what it is called on
        self.model: SteadyModel = model
        self._shard = Shard(job.folder)

    def ask(self, group: Group) -> Iterator[Record]:
        """Asks all questions on a video; each record is on disk before it is given.

        Raises:
            DataError: The record cannot be kept.
            LostDeviceError: The GPU failed: nothing more can be asked.
        """
        for item in group.items:
            if item.missing:
                yield self._kept(failed(item, f"{MISSING}: {item.video}"))
        items = [item for item in group.items if not item.missing]
        if not items:
            return
        from adapters.frames import fingerprint, open_video
        from eval.grey_video import grey_video

        with ExitStack() as opened:
            try:
                file = opened.enter_context(open_video(items[0].video, frame_rate=items[0].frame_rate or 1.0))
                mark = fingerprint(items[0].video)  # a pipe would be waited for, and was refused above
            except MindreelError as error:
                for item in items:
                    yield self._kept(failed(item, one_line(error)))
                return
            trace = opened.enter_context(self._trace(items[0].video, mark))
            video = self.model.watch(file)
            blind = grey_video(file) if self._job.minds else None
            if blind is not None:
                self.model.watch(blind)
            try:
                agent = Agent(self.model, self._settings, trace=trace)
                for item in items:
                    before = trace.questions
                    record = self._record(agent, item, video, blind)
                    yield self._kept(record | {"trace": self._place(trace, before, record["notes"])})
            finally:
                self.model.forget(video)
                if blind is not None:
                    self.model.forget(blind.video)

    def close(self) -> None:
        """Ends the records' file."""
        self._shard.close()

    @property
    def _settings(self) -> Settings:
        settings, manner = self._job.settings, self.model.manner
        fewer = {role: replace(manner.budget(role), max_frames=most) for role, most in self._job.frames.items()}
        if self._job.midpoints:
            fewer = {role: replace(budget, fps=_ALL_FPS) for role, budget in fewer.items()}
        plan = "auto" if self._job.plan == "moment" else self._job.plan
        return replace(settings, plan=plan, budgets={**settings.budgets, **fewer})

    def _record(self, agent: Agent, item: Item, video: Video, blind: VideoFile | None) -> Record:
        """What is said of one question; whatever goes wrong is in it."""
        began = time.perf_counter()
        try:
            part, cut = part_of(video.duration_s, item.start_s, item.end_s)
            if self._job.midpoints and (frames := self._job.frames.get("answerer")) is not None:
                part = between_midpoints(part or Span(0.0, video.duration_s), frames)
            result = agent.ask(
                video,
                item.question,
                item.options,
                subtitles=_subtitles(item),
                span=part,
                plan=_find_only(item) if self._job.plan == "moment" else None,
                notes=cut,
            )
            _check_alive(result)
            record = said(item, result)
            if item.options and self._job.swap and item.spans:
                whole = Span(0.0, video.duration_s)
                record["swap"] = self._swapped(item, video, part or whole, result, record["notes"])
            if item.options and blind is not None:
                record["blind"] = {
                    "choice": self._answer(item, blind.video, part, "without the video", record["notes"])
                }
        except MindreelError as error:
            record = failed(item, one_line(error))
        return record | {"elapsed_s": round(time.perf_counter() - began, 4)}

    def _answer(self, item: Item, video: Video, span: Span | None, what: str, notes: list[str]) -> int | None:
        """The choice from a clip that is not looked for; what fails is noted."""
        result = self._agent("answer").ask(video, item.question, item.options, subtitles=_subtitles(item), span=span)
        _check_alive(result)
        if result.error is not None:
            notes.append(f"{what}: {result.error}")
        return chosen(item, result)

    def _swapped(self, item: Item, video: Video, part: Span, result: Result, notes: list[str]) -> dict[str, Any] | None:
        """The same question, answered from each of the swapped clips; None where nothing is left beside the evidence.

        Raises:
            InputError: The video cannot be decoded there.
        """
        found: Sequence[Moment] = result.moments
        if not found:  # the plan went without: what would have been found
            found = self._agent("ground").ask(video, item.question, span=part, plan=_find_only(item)).moments
        manner = self._settings.over(self.model.manner)
        clips = swap_clips(item.spans, found, part, item.key, manner.clip, min(TIGHT_S, manner.min_clip_s))
        if set(clips) != set(KINDS):
            return None
        choices: dict[Span, int | None] = {}
        for kind, clip in clips.items():
            if clip not in choices:
                choices[clip] = self._answer(item, video, clip, f"{kind} clip", notes)
        return {
            kind: {"choice": choices[clip], "clip": [round(clip.start_s, 3), round(clip.end_s, 3)]}
            for kind, clip in clips.items()
        }

    def _agent(self, plan: str) -> Agent:
        return Agent(self.model, replace(self._settings, plan=plan))

    def _trace(self, video: str, mark: str) -> TraceWriter:
        stem = re.sub(r"[^\w.-]+", "_", Path(video).stem, flags=re.ASCII).strip("._")[:60] or "video"
        name = f"{stem}-{hashlib.sha256(video.encode()).hexdigest()[:8]}-{self._shard.open()}"
        path = self._job.folder / TRACES / f"{name}.jsonl"
        seed = self._job.settings.seed
        for number in range(2, 1000):  # the same video twice in a process: asked again after an error
            try:
                return TraceWriter(path, seed=seed, argv=self._job.argv, fingerprint=mark, exclusive=True)
            except FileExistsError:
                path = path.with_name(f"{name}-{number}.jsonl")
        raise TraceError(f"{path}: too many traces of one video; name another --out")

    @staticmethod
    def _place(trace: TraceWriter, before: int, notes: list[str]) -> list[str | int] | None:
        """Where a question's trace is; None, and a note, where there was no room for it."""
        if trace.questions == before:
            return None
        if trace.problem is not None:
            notes.append("its trace could not be kept")
            return None
        return [f"{TRACES}/{trace.path.name}", trace.questions]

    def _kept(self, record: Record) -> Record:
        self._shard.add(record)
        return record


def between_midpoints(part: Span, frames: int) -> Span:
    """From the middle of the first of equal parts to that of the last: frames spread evenly lie in all middles."""
    half_s = part.length_s / frames / 2
    return Span(part.start_s + half_s, part.end_s - half_s)


def _find_only(item: Item) -> Plan:
    """Looks for a moment with the question's own words and does not answer."""
    return planner.route_plan("moment", item.question, item.question, "forced")


def _subtitles(item: Item) -> list[Line]:
    return [] if item.subtitles is None else read_subtitle_file(item.subtitles)


def _check_alive(result: Result) -> None:
    """Refuses to go on where the GPU failed under a question: all later ones would be counted as wrong.

    Raises:
        LostDeviceError: It did.
    """
    if result.failure is not None and type(result.failure).__name__ in _LOST:
        raise LostDeviceError(f"the device failed ({one_line(result.failure)}); run the same command again")


class LostDeviceError(Exception):
    """The device does nothing more for this process."""
