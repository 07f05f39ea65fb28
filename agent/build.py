"""Where the parts come together: options go in, a session on one video comes out. Alone in knowing `adapters`.

Everything that is cheap to check is checked before the model is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from agent.agent import Agent
from agent.checks import check_order, part_of
from agent.contract import Observer
from agent.errors import one_line
from agent.recorder import TraceWriter
from agent.result import Result
from agent.settings import Settings
from roles.errors import CheckpointError, InputError
from roles.subtitles import Line
from roles.types import Video

DEFAULT_NOTE = "no model was named: the small default model answers, which has seen generated films only"


def _silent(message: str) -> None:
    """Says nothing."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What to open and how.

    Attributes:
        video: A file, or a folder of frames.
        model: The base: a folder or hub id; None takes the one that the adapters name. With neither, the default
            model that ships with the package answers.
        adapters: A folder or hub id in VideoMind's layout; None is the base alone.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto", "float32", "bfloat16" or "float16".
        attn: "auto", "flash_attention_2", "sdpa" or "eager".
        own_prompts: Ask with Mindreel's wording a checkpoint that carries none.
        frame_rate: Frames per second of a folder of frames.
        allow_urls: Whether `video` may be a URL.
        start_s: Where the part that is asked about begins; None is the start.
        end_s: Where it ends; None is the end.
        settings: How to ask.
        trace: The trace's file; None makes runs/<time>-<video>.jsonl.
        argv: The command that was given, for the trace.
    """

    video: str
    model: str | None = None
    adapters: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    attn: str = "auto"
    own_prompts: bool = False
    frame_rate: float = 1.0
    allow_urls: bool = False
    start_s: float | None = None
    end_s: float | None = None
    settings: Settings = field(default_factory=Settings)
    trace: str | None = None
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """One opened video and one loaded model.

    Attributes:
        agent: The agent.
        video: The video.
        trace: Records every question.
        remarks: Tells what there is to say on the video and the model; part of every result. Asked after each
            question, as reading the video may find more.
        options: What the session was opened with.
        load_s: How long the model took to load.
    """

    agent: Agent
    video: Video
    trace: TraceWriter
    remarks: Callable[[], tuple[str, ...]]
    options: SessionOptions
    load_s: float

    def ask(self, question: str, options: Sequence[str] = (), subtitles: Sequence[Line] = ()) -> Result:
        """Asks about the session's video, or the part of it that the session was opened for.

        Raises:
            InputError: The question or the part cannot be used.
        """
        span, cut = part_of(self.video.duration_s, self.options.start_s, self.options.end_s)
        return self.agent.ask(
            self.video, question, options, subtitles=subtitles, span=span, notes=lambda: (*self.remarks(), *cut)
        )

    def describe(self) -> dict[str, object]:
        """What is loaded, the chosen attention among it."""
        return {**self.agent.backbone.describe(), "load_s": round(self.load_s, 2)}


def with_model(options: SessionOptions) -> SessionOptions:
    """The options with the default model in them where they name none.

    Raises:
        CheckpointError: They name none, and the default is not there.
    """
    if options.model is not None or options.adapters is not None:
        return options
    model, adapters = default_model()
    return replace(options, model=model, adapters=adapters)


def default_model() -> tuple[str, str]:
    """Folders of the default model: (base, adapters).

    Raises:
        CheckpointError: It is not there.
    """
    from adapters import embedded

    if not embedded.present():
        raise CheckpointError(
            "no model is named; give --adapters FOLDER, --model FOLDER, or both "
            f"(there is no default model in {embedded.FOLDER}; {embedded.MAKE} makes it)"
        )
    return str(embedded.base()), str(embedded.FOLDER)


@contextmanager
def open_session(
    options: SessionOptions, *, progress: Observer | None = None, say: Callable[[str], None] = _silent
) -> Iterator[Session]:
    """Opens the video, then the trace, then the model.

    Args:
        options: What to open and how.
        progress: Is told as steps begin and end.
        say: Gets a line now and then while files are opened and the model is loaded.

    Yields:
        A session, closed with the block.

    Raises:
        InputError: The video, the checkpoint or the trace cannot be used.
    """
    chosen = with_model(options)
    remarks = () if chosen is options else (DEFAULT_NOTE,)
    options = chosen
    check_order(options.start_s, options.end_s)
    from adapters.frames import fingerprint, open_video

    say("opening the video")
    file = open_video(options.video, frame_rate=options.frame_rate, allow_urls=options.allow_urls)
    try:
        part_of(file.video.duration_s, options.start_s, options.end_s)
        trace = _writer(options, None if "://" in options.video else fingerprint(options.video))
        try:
            from adapters.qwen2vl import Qwen2VL

            say("loading the model")
            began = time.perf_counter()
            model = Qwen2VL.load(
                options.model,
                options.adapters,
                device=options.device,
                dtype=options.dtype,
                attn=options.attn,
                prompts="own" if options.own_prompts else "auto",
                progress=say,
            )
            load_s = time.perf_counter() - began
            video = model.watch(file)
            agent = Agent(model, options.settings, trace=trace, progress=progress)
            yield Session(agent, video, trace, lambda: (*remarks, *file.notes, *model.notes), options, load_s)
            model.forget(video)
        except InputError as error:
            trace.close(one_line(error), keep_unasked=False)
            raise
        except BaseException as error:
            trace.close("interrupted" if isinstance(error, KeyboardInterrupt) else one_line(error))
            raise
        trace.close()
    finally:
        file.close()


def _writer(options: SessionOptions, fingerprint: str | None) -> TraceWriter:
    seed, argv = options.settings.seed, options.argv
    if options.trace is None:
        return TraceWriter.new(options.video, seed=seed, argv=argv, fingerprint=fingerprint)
    return TraceWriter(options.trace, seed=seed, argv=argv, fingerprint=fingerprint)
