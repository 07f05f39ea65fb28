"""A trace goes in; what its steps were asked and said comes out, in a few words each."""

from __future__ import annotations

from agent.encode import moments_from, span_from
from agent.trace import Step, Trace
from roles.types import Moment, Span

PLAIN_SECONDS_UNTIL_S = 120


def clock(seconds: float, digits: int = 0) -> str:
    """Seconds as a person reads them: 6.5, or 2:06 from two minutes on."""
    if seconds < PLAIN_SECONDS_UNTIL_S:
        return f"{seconds:.{digits}f}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def between(span: Span) -> str:
    """Both ends of a span."""
    return f"{clock(span.start_s, 1)}–{clock(span.end_s, 1)}{' s' if span.end_s < PLAIN_SECONDS_UNTIL_S else ''}"


def candidates(trace: Trace) -> tuple[Moment, ...]:
    """The moments, best first, also where the run ended before the answer."""
    listed = [step.output for step in trace.steps if step.status == "ok" and isinstance(step.output, list)]
    return trace.moments or (moments_from(listed[-1]) if listed else ())


def tell(step: Step) -> list[tuple[str, str]]:
    """What a step was asked and what it said, in a few words."""
    role, output = step.call.role, step.output
    if step.status != "ok":
        asked = [("asked", step.call.query)] if step.call.query else []
        return [*asked, ("but", step.reason or step.error or "the run ended here")]
    if role == "planner" and isinstance(output, dict):
        return [("plans", " → ".join(call["role"] for call in output["calls"]))]
    if role in ("grounder", "verifier") and output:
        moments = moments_from(output)
        first = moments[0]
        if role == "grounder":
            count = sum(moment.confidence > 0 for moment in moments)
            return [("looks for", f"“{step.call.query}”"), ("finds", f"{count} moment{'s' * (count != 1)}")]
        odds = [] if first.p_yes is None else [("with P(Yes)", f"{first.p_yes:.3f}")]
        checked = ("checks", f"{len(moments)} moment{'s' * (len(moments) != 1)}")
        return [checked, ("puts first", between(first.span)), *odds]
    if role == "answerer" and isinstance(output, dict):
        span = span_from(step.requests[0].get("span")) if step.requests else None
        told = [("watches", between(span))] if span else []
        if output.get("option_probs"):
            shares = zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", output["option_probs"], strict=False)
            return [*told, ("finds likely", ", ".join(f"{letter} {share:.2f}" for letter, share in shares))]
        choice = [("read as", f"option {output['choice']}, by its letter")] if output.get("choice") else []
        return [*told, ("replies", f"“{step.raw or ''}”"), *choice]
    return [("asked", step.call.query), ("said", step.raw or str(output))]


def outcome(trace: Trace) -> str:
    """The answer in words."""
    answer = trace.answer
    if trace.error or answer is None:
        return f"None: {trace.error or 'the run ended before there was one'}"
    if answer.choice is not None:
        return f"({answer.choice}) {''.join(trace.options[ord(answer.choice) - ord('A') :][:1])}"
    return answer.text or (between(answer.moments[0].span) if answer.moments else "none")
