"""The answerer: watches the chosen moment, or the whole video, and answers in words or by choosing an option."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence

from prompts import Part, Prompt, PromptBook
from roles.errors import ReplyError
from roles.spans import widen
from roles.subtitles import Line, lines_within
from roles.types import PX_PER_TOKEN, Budget, Choosing, Clip, Moment, Request, Span, Video

ROLE = "answerer"
BUDGET = Budget(fps=2.0, max_frames=32, min_px=128 * PX_PER_TOKEN, max_px=256 * PX_PER_TOKEN)
MIN_CLIP_S = 32.0
STYLES = ("mcq", "options", "direct")
"""With options: open the reply with a bracket, list them only, or do not show them at all."""
LETTERS = string.ascii_uppercase


def hull(spans: Sequence[Span]) -> Span:
    """From the start of the first span to the end of the last.

    Raises:
        ValueError: There are none.
    """
    if not spans:
        raise ValueError("no spans: nothing lies around them")
    return Span(min(span.start_s for span in spans), max(span.end_s for span in spans))


def accepted(moments: Sequence[Moment]) -> list[Moment]:
    """The moments that count as evidence: the best, and those that the verifier says Yes to.

    Where no verifier judged a moment, half of the best one's confidence is enough. Moments without any confidence,
    such as windows spread over a video in which nothing was found, count only if they are the best.

    Args:
        moments: Best first.
    """
    if not moments:
        return []
    enough = moments[0].confidence / 2

    def counts(moment: Moment) -> bool:
        if moment.p_yes is not None and moment.p_no is not None:
            return moment.p_yes > moment.p_no
        return moment.confidence > 0 and moment.confidence >= enough

    return [moments[0], *(moment for moment in moments[1:] if counts(moment))]


def watched(moments: Sequence[Moment], clip: str) -> Span | None:
    """What must be watched of the moments that were found; None where there are none.

    Args:
        moments: Best first.
        clip: "best" takes the best moment, "hull" everything from the first to the last accepted one.
    """
    if not moments:
        return None
    return hull([moment.span for moment in accepted(moments)]) if clip == "hull" else moments[0].span


def clip_span(moment: Span | None, part: Span, min_length_s: float = MIN_CLIP_S) -> Span:
    """What the answerer watches: the moment widened to a least length, or the whole part."""
    if moment is None:
        return part
    inside = widen(moment.start_s - part.start_s, moment.end_s - part.start_s, part.length_s, min_length_s)
    return Span(inside.start_s + part.start_s, inside.end_s + part.start_s) if part.start_s else inside


def request(
    video: Video,
    span: Span,
    question: str,
    prompts: PromptBook,
    options: Sequence[str] = (),
    subtitles: Sequence[Line] = (),
    style: str = "mcq",
    budget: Budget = BUDGET,
) -> Request:
    """Asks the question itself.

    Args:
        video: The video.
        span: What to watch, from `clip_span`.
        question: The user's question.
        prompts: The checkpoint's templates.
        options: The choices, without letters.
        subtitles: All lines of the video; those wholly inside `span` are shown.
        style: One of `STYLES`; matters only with options.
        budget: Frames to look at.

    Raises:
        ValueError: An unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}; expected one of {', '.join(STYLES)}")
    newline = Prompt((Part("\n", trusted=True),))
    prompt = prompts.get(ROLE, "question").fill(question=question)
    if options and style != "direct":
        prompt = prompt + newline + prompts.get(ROLE, "options").fill(options=option_lines(options))
    if subtitles:
        shown = lines_within(subtitles, span)
        lines = "\n".join(f"{line.start_s}s - {line.end_s}s, {line.text}" for line in shown)
        head = prompts.get(ROLE, "subtitles").fill(length_s=str(round(span.length_s, 1)), lines=lines)
        prompt = head + (newline if shown else Prompt(())) + prompt
    opened = prompts.get(ROLE, "reply_start").fill().text if options and style == "mcq" else ""
    return Request(ROLE, Clip(video, span, budget), prompt, reply_start=opened)


def option_lines(options: Sequence[str]) -> str:
    """The options as the answerer sees them: one a line, lettered, first letter upper-case."""
    return "\n".join(
        f"({letter}) {option[:1].upper()}{option[1:]}" for letter, option in zip(LETTERS, options, strict=False)
    )


def target(answer: str, options: Sequence[str] = (), style: str = "mcq") -> str:
    """The reply that the answerer is trained to give: the option's letter and text, or the answer itself.

    Raises:
        ValueError: The answer is none of the options.
    """
    if not options or style == "direct":
        return answer
    if answer not in options:
        raise ValueError(f"answer {answer!r} is none of the options {list(options)}")
    letter = LETTERS[list(options).index(answer)]
    text = f"{letter}) {answer[:1].upper()}{answer[1:]}"
    return text if style == "mcq" else f"({text}"


def replies(options: Sequence[str], style: str) -> list[str]:
    """What the answerer would write for each option; their likelihoods are compared where no letter is asked for."""
    return [target(option, options, style) for option in options]


def likeliest(found: Choosing) -> int:
    """Number of the likeliest option, the first of equals.

    Raises:
        ReplyError: Some likelihood is no number.
    """
    if not all(map(math.isfinite, found.log_probs)):
        raise ReplyError(f"the options' log-probabilities are {list(found.log_probs)}: the checkpoint is broken")
    return max(range(len(found.log_probs)), key=lambda at: found.log_probs[at])


def read(reply: str, options: Sequence[str] = ()) -> tuple[str, str | None]:
    """Reads the answer.

    The first word decides, as in VideoMind's scorer: brackets and full stops are dropped, and of a longer word the
    first letter counts.

    Returns:
        (the reply as written, letter of the option or None where the reply names none).
    """
    words = reply.split()
    if not options or not words:
        return reply, None
    letter = re.sub(r"[().]", "", words[0])[:1].upper()
    return reply, letter if letter and letter in LETTERS[: len(options)] else None
