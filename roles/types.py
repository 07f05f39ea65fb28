"""The nouns that every package shares: frozen, checked on construction, seconds from the file's start.

A name that says `norm` holds a fraction instead of seconds. Nothing in here knows about models or files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from prompts import Prompt

PX_PER_TOKEN = 28 * 28
"""Pixels of one frame behind one visual token (patch 14, merged 2 by 2)."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time.

    Raises:
        ValueError: Unless 0 <= start_s <= end_s and both are finite.
    """

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and 0 <= self.start_s <= self.end_s):
            raise ValueError(f"span [{self.start_s}, {self.end_s}]: expected 0 <= start_s <= end_s")

    @property
    def length_s(self) -> float:
        """Seconds between its ends."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Video:
    """What is known of a video file before any frame is decoded.

    Attributes:
        path: The file, or a folder of frames, as the user named it.
        duration_s: Seconds from the file's start to the end of its last frame.
        fps: Mean frames per second.
        width_px: Width as displayed, after rotation.
        height_px: Height as displayed, after rotation.
        frames: Number of frames on the constant-rate time line that sampling counts in.
    """

    path: str
    duration_s: float
    fps: float
    width_px: int
    height_px: int
    frames: int


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a clip a role looks at.

    Attributes:
        fps: Sampled frames per second.
        max_frames: At most this many frames.
        min_px: At least this many pixels per frame after resizing.
        max_px: At most this many pixels per frame after resizing.
    """

    fps: float
    max_frames: int
    min_px: int
    max_px: int

    def __post_init__(self) -> None:
        if not (self.fps > 0 and self.max_frames >= 4 and PX_PER_TOKEN <= self.min_px <= self.max_px):
            raise ValueError(f"{self}: expected fps > 0, max_frames >= 4 and {PX_PER_TOKEN} <= min_px <= max_px")


@dataclass(frozen=True, slots=True)
class Clip:
    """A part of a video as one role sees it.

    Attributes:
        video: The video.
        span: The part; None is the whole file.
        budget: How densely it is sampled.
        marked: The candidate to enclose between segment tokens, inside `span`; None marks nothing.
    """

    video: Video
    span: Span | None
    budget: Budget
    marked: Span | None = None

    @property
    def whole_span(self) -> Span:
        """The part in seconds, also where it is the whole file."""
        return self.span or Span(0.0, self.video.duration_s)

    @property
    def marked_norm(self) -> tuple[float, float] | None:
        """The marked candidate's ends as fractions of the part."""
        if self.marked is None:
            return None
        window = self.whole_span
        length_s = window.end_s - window.start_s
        if length_s <= 0:
            return 0.0, 1.0
        return (self.marked.start_s - window.start_s) / length_s, (self.marked.end_s - window.start_s) / length_s


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the model.

    Attributes:
        role: The role that asks; its adapter is used where the checkpoint has one, else the base.
        clip: What the model watches.
        prompt: What it is asked, after the video.
        reply_start: Text that opens the model's turn; the reply continues it.
        max_new_tokens: Longest reply.
    """

    role: str
    clip: Clip
    prompt: Prompt
    reply_start: str = ""
    max_new_tokens: int = 256


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call cost.

    Attributes:
        input_tokens: Tokens read, visual ones included.
        video_tokens: Visual tokens among them.
        output_tokens: Tokens written.
        frame_times_s: Presentation times of the frames that were looked at.
        frame_indices: Their numbers on the sampling time line.
        grid_thw: Temporal patches, and rows and columns of spatial patches.
        adapter: The adapter that was active; None is the base.
        seconds: Parts of the elapsed time by name, such as "frames", "vision", "prefill", "decode".
    """

    input_tokens: int = 0
    video_tokens: int = 0
    output_tokens: int = 0
    frame_times_s: tuple[float, ...] = ()
    frame_indices: tuple[int, ...] = ()
    grid_thw: tuple[int, int, int] | None = None
    adapter: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """Text that the model wrote.

    Attributes:
        text: The reply without end tokens.
        finished: False where it was cut off at the longest length.
        usage: What it cost.
        token_ids: The ids behind it, end token included.
    """

    text: str
    finished: bool
    usage: Usage
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pointing:
    """A reply with the timestamps regressed from it.

    Attributes:
        reply: The text.
        rows_norm: (start, end, confidence) per candidate, ends as fractions of the clip and not clamped, best first,
            suppressed ones with confidence 0; None where the reply holds no timestamp token.
    """

    reply: Reply
    rows_norm: tuple[tuple[float, float, float], ...] | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Probabilities of the two verdicts at the next token, out of the whole vocabulary."""

    p_yes: float
    p_no: float
    usage: Usage

    @property
    def margin(self) -> float:
        """P(Yes) - P(No), which ranks candidates."""
        return self.p_yes - self.p_no


@dataclass(frozen=True, slots=True)
class Choosing:
    """How likely the model finds each of several replies.

    Attributes:
        log_probs: Natural logarithm of each one's probability, its end token included.
        usage: What it cost; its output tokens are those that were scored.
    """

    log_probs: tuple[float, ...]
    usage: Usage

    @property
    def shares(self) -> tuple[float, ...]:
        """The same as probabilities among these replies alone; they add up to 1."""
        top = max(self.log_probs)
        weights = [math.exp(one - top) for one in self.log_probs]
        return tuple(weight / sum(weights) for weight in weights)


@dataclass(frozen=True, slots=True)
class FilmCheck:
    """Whether a film is of the kind that a checkpoint was trained on.

    Attributes:
        score: How far it is from that kind.
        limit: From here on it is called strange.
        strange: Whether it is.
    """

    score: float
    limit: float
    strange: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """A span with what the roles think of it.

    Attributes:
        span: When.
        confidence: The grounder's, 0 to 1.
        p_yes: The verifier's P(Yes); None where it was not asked.
        p_no: The verifier's P(No).
    """

    span: Span
    confidence: float
    p_yes: float | None = None
    p_no: float | None = None


@dataclass(frozen=True, slots=True)
class RoleCall:
    """One node of a plan.

    Attributes:
        id: Unique within the plan.
        role: Which role runs.
        query: What it is asked.
        needs: Ids of the calls whose outputs it uses.
    """

    id: str
    role: str
    query: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Role calls and where they came from: "planner", "fallback" or "forced"."""

    calls: tuple[RoleCall, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent says.

    Attributes:
        text: The answerer's reply; None where the plan asks only for moments.
        choice: Letter of the option chosen; None without options or where the reply names none of them.
        moments: The evidence, best first.
        option_probs: Probability of each option among the options, where they were compared by it.
    """

    text: str | None
    choice: str | None
    moments: tuple[Moment, ...]
    option_probs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One line of every data set on disk.

    Attributes:
        video: Path, relative to the data set's file.
        question: What is asked.
        options: The choices; empty where the question is open.
        answer: The right answer's text.
        spans: Evidence, in seconds.
        tags: Free labels, such as {"kind": "false_belief"}.
    """

    video: str
    question: str
    options: tuple[str, ...] = ()
    answer: str | None = None
    spans: tuple[Span, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
