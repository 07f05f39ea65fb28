"""The exception tree, for users of the library; it lives in `roles.errors`, where every package can reach it.

MindreelError: something went wrong that has a name

- InputError: wrong use or bad input, the caller can mend it (exit code 2)
    - VideoError, QuestionError, CheckpointError, DataError, GraphError, TraceError
- StepError: a step of the agent failed inside (exit code 1)
    - StepTimeoutError, ReplyError
"""

from __future__ import annotations

from roles.errors import (
    CheckpointError,
    DataError,
    GraphError,
    InputError,
    MindreelError,
    QuestionError,
    ReplyError,
    StepError,
    StepTimeoutError,
    TraceError,
    VideoError,
)

__all__ = [
    "CheckpointError",
    "DataError",
    "GraphError",
    "InputError",
    "MindreelError",
    "QuestionError",
    "ReplyError",
    "StepError",
    "StepTimeoutError",
    "TraceError",
    "VideoError",
    "one_line",
]


def one_line(error: BaseException, limit: int = 500) -> str:
    """What an error says, for a person: ours as they are, foreign ones with their type, cut to one line."""
    text = " ".join(str(error).split())
    if not isinstance(error, MindreelError):
        name = type(error).__name__
        text = f"{name}: {text}" if text else name
    return text if len(text) <= limit else text[: limit - 3] + "..."
