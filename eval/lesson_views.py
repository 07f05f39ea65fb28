"""A film and a role go in, the view that the role has of it comes out: which frames, how large, and what is marked.

The roles' own requests decide, so that a base learns from what it will be asked with; only a small shift in time is
added, which moves what is said about the view as well.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from adapters.frames import FACTOR_PX, frame_indices, resized_hw
from eval.worlds.questions import Question
from eval.worlds.scene import Scene
from prompts import PromptBook
from roles import answerer, grounder, verifier
from roles.manner import Manner
from roles.spans import iou
from roles.types import Budget, Clip, Span, Video

HEIGHT_PX = 224
WIDTHS_PX: dict[str, int] = {"4:3": 298, "3:2": 336, "16:9": 398}
"""Width of a film `HEIGHT_PX` high, by the shape of its picture."""
FPS: tuple[float, ...] = (8.0, 10.0, 12.0, 12.0, 15.0, 24.0)
"""Frames per second of the films as files; which frames are looked at depends on it a little."""
TIGHT_SHARE = 0.2
"""Share of the clips that end soon after the evidence, however short that is."""
TIGHT_S = (1.0, 6.0)
"""Around the evidence of such a clip."""
CUT_S = 0.3
"""Evidence that reaches no further out of a clip still lies inside it."""
SLACK_S = (-CUT_S, 2.0)
"""How far the ends of a predicted stretch lie outside of the true one."""
NEAR_S = 0.1
"""A view that leaves out no more than this at either end is one of the whole film."""
MISS_IOU = (0.05, 0.45)
"""Overlap of a near miss with the truth."""
TRIES = 12


@dataclass(frozen=True, slots=True)
class View:
    """What is seen of a film.

    Attributes:
        span: From where to where, in film seconds.
        shift_s: The frames show what happens so much later than they would in a film that is asked about.
        times_s: Film times of the frames, ascending, float64 [2 * patches].
        rows: Rows of visual tokens.
        columns: Columns of visual tokens.
        whole: Whether that is the whole film.
        marked_norm: The marked stretch as fractions of the view; None marks nothing.
    """

    span: Span
    shift_s: float
    times_s: NDArray[np.float64]
    rows: int
    columns: int
    whole: bool
    marked_norm: tuple[float, float] | None = None

    @property
    def start_s(self) -> float:
        """Film time of fraction 0; a little below 0 where the frames are shifted back."""
        return self.span.start_s + self.shift_s

    @property
    def end_s(self) -> float:
        """Film time of fraction 1."""
        return self.span.end_s + self.shift_s

    def norm(self, span: Span) -> tuple[float, float]:
        """A stretch of the film as fractions of the view, 0 to 1."""
        length_s = max(self.span.length_s, 1e-6)
        start, end = (min(max((at - self.start_s) / length_s, 0.0), 1.0) for at in (span.start_s, span.end_s))
        return start, end

    def holds(self, spans: Sequence[Span]) -> bool:
        """Whether all of these stretches lie inside."""
        return all(
            self.span.start_s - CUT_S <= span.start_s and span.end_s <= self.span.end_s + CUT_S for span in spans
        )

    def patch_times_s(self) -> NDArray[np.float64]:
        """Film time in the middle of each temporal patch's two frames, float64 [patches]."""
        middles: NDArray[np.float64] = (self.times_s[0::2] + self.times_s[1::2]) / 2
        return middles


def video_of(scene: Scene, fps: float) -> Video:
    """The film as if it had been written to a file."""
    frames = max(4, math.ceil(round(scene.duration_s * fps, 6)))
    return Video(scene.id, frames / fps, fps, WIDTHS_PX[scene.facts["aspect"]], HEIGHT_PX, frames)


def whole(scene: Scene, manner: Manner, prompts: PromptBook, rng: random.Random) -> View:
    """The grounder's view of all of a film."""
    video = video_of(scene, rng.choice(FPS))
    return _view(scene, grounder.request(video, None, "", prompts, manner.budget(grounder.ROLE)).clip, rng)


def all_of(scene: Scene) -> View:
    """All of a film, without frames: enough to write about it."""
    return View(Span(0.0, scene.duration_s), 0.0, np.zeros(0), 0, 0, whole=True)


def around(scene: Scene, spans: Sequence[Span], manner: Manner, prompts: PromptBook, rng: random.Random) -> View:
    """The answerer's view of evidence: from its first moment to its last, with what is around.

    Args:
        scene: The film.
        spans: The evidence, at least one stretch.
        manner: How the checkpoint is asked.
        prompts: Its templates.
        rng: Chance.
    """
    video = video_of(scene, rng.choice(FPS))
    part = Span(0.0, video.duration_s)
    tight = rng.random() < TIGHT_SHARE
    before_s, after_s = (rng.uniform(*(TIGHT_S if tight else SLACK_S)) for _ in range(2))
    first_s = max(0.0, min(span.start_s for span in spans) - before_s)
    last_s = min(part.end_s, max(span.end_s for span in spans) + after_s)
    hull = Span(min(first_s, last_s), max(first_s, last_s))
    span = answerer.clip_span(hull, part, 2.0 if tight else manner.min_clip_s)
    clip = answerer.request(video, span, "", prompts, budget=manner.budget(answerer.ROLE)).clip
    return _view(scene, clip, rng)


def beside(scene: Scene, candidate: Span, manner: Manner, prompts: PromptBook, rng: random.Random) -> View:
    """The verifier's view of a candidate, which is marked."""
    video = video_of(scene, rng.choice(FPS))
    part = Span(0.0, video.duration_s)
    candidate = Span(min(candidate.start_s, part.end_s), min(candidate.end_s, part.end_s))
    request = verifier.request(
        video, part, candidate, "", prompts, budget=manner.budget(verifier.ROLE), window_s=manner.window_s
    )
    return _view(scene, request.clip, rng)


def near_hit(truth: Span, duration_s: float, rng: random.Random) -> Span:
    """A stretch that is the true one but for its ends: they overlap by half at least."""
    for _ in range(TRIES):
        start_s, end_s = (at + rng.uniform(-0.25, 0.25) * truth.length_s for at in (truth.start_s, truth.end_s))
        found = _inside(start_s, end_s, duration_s)
        if found is not None and iou(found, truth) >= verifier.POSITIVE_IOU:
            return found
    return truth


def near_miss(truths: Sequence[Span], duration_s: float, rng: random.Random) -> Span | None:
    """A stretch that overlaps one of the true ones, but too little; None where chance gives none."""
    for _ in range(TRIES):
        truth = rng.choice(truths)
        length_s = truth.length_s * math.exp(rng.uniform(math.log(0.3), math.log(3.5)))
        middle_s = (truth.start_s + truth.end_s) / 2 + rng.uniform(-1, 1) * (truth.length_s + length_s) / 2
        found = _inside(middle_s - length_s / 2, middle_s + length_s / 2, duration_s)
        if found is None:
            continue
        best = max(iou(found, other) for other in truths)
        if MISS_IOU[0] <= best <= MISS_IOU[1]:
            return found
    return None


def candidate_for(asked: Question, others: Sequence[Question], duration_s: float, rng: random.Random) -> Span:
    """What the verifier shall judge: a third of the time a right moment, else a near miss or another event.

    Args:
        asked: The question whose moment is looked for; it has spans.
        others: The film's other questions, from whose moments a wrong one is taken.
        duration_s: Length of the film.
        rng: Chance.
    """
    sort = rng.choice(("hit", "miss", "other"))
    truth = rng.choice(asked.spans)
    if sort == "miss":
        missed = near_miss(asked.spans, duration_s, rng)
        if missed is not None:
            return missed
    if sort == "other":
        spans = [span for other in others for span in other.spans]
        far = [span for span in spans if max(iou(span, true) for true in asked.spans) < MISS_IOU[1]]
        if far:
            return near_hit(rng.choice(far), duration_s, rng)
    return near_hit(truth, duration_s, rng)


def _inside(start_s: float, end_s: float, duration_s: float) -> Span | None:
    start_s, end_s = max(0.0, start_s), min(duration_s, end_s)
    return Span(round(start_s, 2), round(end_s, 2)) if end_s - start_s >= 0.1 else None


def _view(scene: Scene, clip: Clip, rng: random.Random) -> View:
    video, span = clip.video, clip.whole_span
    ends = (None, None) if clip.span is None else (span.start_s, span.end_s)
    at = np.array(frame_indices(video.frames, video.fps, clip.budget, *ends), dtype=np.float64) / video.fps
    step_s = float(at[-1] - at[0]) / max(len(at) - 1, 1)
    shift_s = rng.uniform(-0.5, 0.5) * step_s
    rows, columns = _grid(video.width_px, video.height_px, clip.budget)
    view = View(
        span,
        shift_s,
        np.clip(at + shift_s, 0.0, scene.duration_s),
        rows,
        columns,
        span.start_s < NEAR_S and span.end_s > video.duration_s - NEAR_S,
    )
    if clip.marked is None:
        return view
    return View(span, shift_s, view.times_s, rows, columns, view.whole, view.norm(clip.marked))


@cache
def _grid(width_px: int, height_px: int, budget: Budget) -> tuple[int, int]:
    height, width = resized_hw(height_px, width_px, budget)
    return height // FACTOR_PX, width // FACTOR_PX
