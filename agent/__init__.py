"""Answers questions about videos, and keeps a record of how: the public interface of Mindreel.

Example:
    >>> from agent import open_session, SessionOptions
    from agent import SessionOptions, open_session

    with open_session(SessionOptions(video="sally.mp4", adapters="checkpoints/mindreel")) as session:
        result = session.ask("Where will Sally look for the marble?", ["in the basket", "in the box"])
        print(result.answer.text, result.moments[0].span)

An `Agent` works with anything that satisfies `roles.backbone.Backbone`; `Executor` runs graphs of your own roles.
Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.agent import Agent, OwnRole
    from agent.build import Session, SessionOptions, open_session
    from agent.contract import Policy, StepContext, StepOutcome
    from agent.errors import MindreelError
    from agent.execute import Executor
    from agent.graph import KINDS, RoleKind, build_graph, validate
    from agent.recorder import TraceWriter
    from agent.result import Result
    from agent.settings import Settings
    from agent.trace import Step, Trace, read_traces
    from roles.types import Answer, Moment, Plan, RoleCall, Span, Video

_HOMES = {
    "agent.agent": ("Agent", "OwnRole"),
    "agent.build": ("Session", "SessionOptions", "open_session"),
    "agent.contract": ("Policy", "StepContext", "StepOutcome"),
    "agent.errors": ("MindreelError",),
    "agent.execute": ("Executor",),
    "agent.graph": ("KINDS", "RoleKind", "build_graph", "validate"),
    "agent.recorder": ("TraceWriter",),
    "agent.result": ("Result",),
    "agent.settings": ("Settings",),
    "agent.trace": ("Step", "Trace", "read_traces"),
    "roles.types": ("Answer", "Moment", "Plan", "RoleCall", "Span", "Video"),
}

__all__ = [
    "KINDS",
    "Agent",
    "Answer",
    "Executor",
    "MindreelError",
    "Moment",
    "OwnRole",
    "Plan",
    "Policy",
    "Result",
    "RoleCall",
    "RoleKind",
    "Session",
    "SessionOptions",
    "Settings",
    "Span",
    "Step",
    "StepContext",
    "StepOutcome",
    "Trace",
    "TraceWriter",
    "Video",
    "build_graph",
    "open_session",
    "read_traces",
    "validate",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'agent' has no attribute {name!r}; expected one of {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
