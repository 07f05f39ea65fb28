"""A time limit that long work checks as it goes, carried by context rather than through every signature.

Decoding and generation call `check_deadline()` between frames and tokens; whoever starts a step wraps it in
`deadline(...)`. Outside of one the check costs nothing and never raises.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from roles.errors import StepTimeoutError


@dataclass(slots=True)
class Deadline:
    """A limit on one piece of work.

    Attributes:
        limit_s: Seconds allowed, or None for no limit.
        cancelled: Set by another thread to stop the work early.
    """

    limit_s: float | None
    cancelled: threading.Event = field(default_factory=threading.Event)
    started_s: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raises StepTimeoutError when the time is over or the work was cancelled."""
        if self.cancelled.is_set():
            raise StepTimeoutError("stopped: the step was given up")
        if self.limit_s is not None and time.monotonic() - self.started_s > self.limit_s:
            raise StepTimeoutError(f"took longer than the {self.limit_s:g} s it was allowed")


_current: ContextVar[Deadline | None] = ContextVar("mindreel_deadline", default=None)


@contextmanager
def deadline(limit: Deadline) -> Iterator[Deadline]:
    """Makes `limit` the one that `check_deadline` looks at inside the block."""
    token = _current.set(limit)
    try:
        yield limit
    finally:
        _current.reset(token)


def check_deadline() -> None:
    """Raises StepTimeoutError when the surrounding work is out of time; call it between units of long work."""
    limit = _current.get()
    if limit is not None:
        limit.check()
