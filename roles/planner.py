"""The planner: from a video and a question to a plan of role calls, written as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from prompts import PromptBook
from roles.errors import ReplyError
from roles.types import PX_PER_TOKEN, Budget, Clip, Plan, Request, RoleCall, Span, Video

ROLE = "planner"
BUDGET = Budget(fps=1.0, max_frames=100, min_px=36 * PX_PER_TOKEN, max_px=64 * PX_PER_TOKEN)
ROUTES = ("ground", "moment", "answer")
"""Find a moment and answer from it; find a moment only; answer from the whole video."""


def clean_query(text: str) -> str:
    """A question or description as the grounder gets it: white space collapsed, outer full stops stripped."""
    return re.sub(r"\s+", " ", text).strip().strip(".").strip()


def request(video: Video, span: Span | None, question: str, prompts: PromptBook, budget: Budget = BUDGET) -> Request:
    """Asks how to answer a question.

    Args:
        video: The video.
        span: The part that is asked about; None is the whole.
        question: The question as the user wrote it, without options.
        prompts: The checkpoint's templates.
        budget: Frames to look at.
    """
    return Request(ROLE, Clip(video, span, budget), prompts.get(ROLE).fill(question=question))


def target(route: str, query: str | None) -> str:
    """The JSON that the planner is trained to write.

    Args:
        route: One of `ROUTES`.
        query: The moment to look for; None for the route "answer".

    Raises:
        ValueError: An unknown route, or a query where none belongs.
    """
    if route not in ROUTES:
        raise ValueError(f"unknown route {route!r}; expected one of {', '.join(ROUTES)}")
    if (query is None) != (route == "answer"):
        raise ValueError(f"route {route!r} with query {query!r}: a query belongs to every route but 'answer'")
    steps: list[dict[str, str]] = []
    if query is not None:
        steps += [{"type": "grounder", "value": query}, {"type": "verifier"}]
    if route != "moment":
        steps.append({"type": "answerer"})
    return json.dumps(steps, ensure_ascii=False)


def route_plan(route: str, query: str, question: str, source: str) -> Plan:
    """The role calls of a route.

    Args:
        route: One of `ROUTES`.
        query: What the grounder looks for.
        question: What the verifier and the answerer are asked.
        source: "planner", "fallback" or "forced".
    """
    calls: list[RoleCall] = []
    if route != "answer":
        calls.append(RoleCall("grounder", "grounder", query))
        calls.append(RoleCall("verifier", "verifier", question, needs=("grounder",)))
    if route != "moment":
        calls.append(RoleCall("answerer", "answerer", question, needs=("verifier",) if calls else ()))
    return Plan(tuple(calls), source)


def read(reply: str, question: str, must_answer: bool = False) -> Plan:
    """Reads a plan.

    Only the first action decides: a grounder's value replaces the query unless it is empty, an answerer skips
    grounding. Whether an answer follows a grounder is what the rest of the list says, or `must_answer`.

    Args:
        reply: What the planner wrote.
        question: The question, the query where the planner names no other.
        must_answer: True where the question has options: then an answer is always given.

    Raises:
        ReplyError: No JSON, or no action that is known; the caller records its fallback.
    """
    try:
        parsed: Any = json.loads(reply)
    except ValueError as error:
        raise ReplyError(f"the plan is not JSON ({error}): {reply[:200]!r}") from error
    actions = parsed if isinstance(parsed, list) else [parsed]
    if not actions or not all(isinstance(action, dict) and isinstance(action.get("type"), str) for action in actions):
        raise ReplyError(f"the plan is no list of actions with a type: {reply[:200]!r}")
    kinds = [action["type"].lower() for action in actions]
    if kinds[0] == "answerer":
        return route_plan("answer", question, question, "planner")
    if kinds[0] != "grounder":
        raise ReplyError(f"the plan begins with {kinds[0][:40]!r}; expected grounder or answerer")
    value = actions[0].get("value")
    query = value if isinstance(value, str) and value.strip() else question
    route = "ground" if must_answer or "answerer" in kinds else "moment"
    return route_plan(route, query, question, "planner")
