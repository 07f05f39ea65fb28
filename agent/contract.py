"""What a role's handler gets and gives, what happens when it fails, and who is told: the executor's side of a bargain.

To add a role of your own: write a `Handler`, describe it by an `agent.graph.RoleKind`, give both to the agent or to an
executor, and name the role in a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agent.trace import Step
from roles.types import Request, RoleCall, Usage


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a handler gives back.

    Attributes:
        output: What the steps that need this one get; None gives them nothing.
        raw: The model's reply as written.
        usage: What each model call cost.
        status: "ok", "fallback" or "skipped".
        reason: Why it is not "ok".
        notes: What a person should know besides.
        details: OpenInference attributes for the trace.
    """

    output: object
    raw: str | None = None
    usage: tuple[Usage, ...] = ()
    status: Literal["ok", "fallback", "skipped"] = "ok"
    reason: str | None = None
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a handler knows besides its call.

    Attributes:
        inputs: Outputs of the steps it directly needs, by what they are ("moments"); where two give the same thing,
            the one whose id sorts last.
        outputs: The same by call id.
        followers: Roles of the steps that directly need this one.
        requests: What the handler said it asks, see `asked`.
    """

    inputs: Mapping[str, object] = field(default_factory=dict)
    outputs: Mapping[str, object] = field(default_factory=dict)
    followers: frozenset[str] = frozenset()
    requests: list[Request] = field(default_factory=list)

    def asked(self, *requests: Request) -> None:
        """Tells what the model is about to be asked, so that it is on record even if the call fails."""
        self.requests.extend(requests)


Handler = Callable[[RoleCall, StepContext], StepOutcome]
Fallback = Callable[[RoleCall, StepContext, Exception], StepOutcome]


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a role's steps may take, and what happens when one fails.

    Attributes:
        timeout_s: Seconds; None is no limit.
        on_error: "stop" leaves out all later steps; "skip" those that cannot do without this one's output;
            "fallback" goes on with what `fallback` gives. Bad input always stops: no fallback mends it.
        fallback: Gives the output to go on with; its reason says what that is.
    """

    timeout_s: float | None = None
    on_error: Literal["stop", "fallback", "skip"] = "stop"
    fallback: Fallback | None = None

    def __post_init__(self) -> None:
        if self.on_error not in ("stop", "fallback", "skip"):
            raise ValueError(f"unknown on_error {self.on_error!r}; expected one of stop, fallback, skip")
        if (self.on_error == "fallback") != (self.fallback is not None):
            raise ValueError(f"on_error {self.on_error!r} and fallback {self.fallback!r}: one needs the other")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise ValueError(f"timeout_s {self.timeout_s}: expected more than 0 s, or None")


class Observer(Protocol):
    """Is told as steps begin and end: the trace's writer, a progress line."""

    def started(self, call: RoleCall) -> None:
        """A step begins."""
        ...

    def finished(self, step: Step) -> None:
        """A step has ended, or was skipped."""
        ...


class Memory(Protocol):
    """Measures the memory of a step; every `Backbone` does."""

    def reset_peak_memory(self) -> None:
        """Starts a new measurement."""
        ...

    def peak_memory_bytes(self) -> int | None:
        """Most memory in use since the last reset."""
        ...
