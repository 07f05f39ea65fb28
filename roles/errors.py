"""Every error that Mindreel raises on purpose.

MindreelError: something went wrong that has a name

- InputError: wrong use or bad input, the caller can mend it (exit code 2)
    - VideoError: the file is missing, is no video, or cannot be decoded
    - QuestionError: an empty, oversized or otherwise unusable question, option or subtitle file
    - CheckpointError: a base or an adapter folder that is incomplete or does not fit
    - DataError: a data set's file that cannot be read, written or converted
    - GraphError: a plan that is no valid graph of role calls
    - TraceError: a trace cannot be written or read
- StepError: a step of the agent failed inside (exit code 1)
    - StepTimeoutError: it took longer than it was allowed to
    - ReplyError: the model's reply cannot be read
"""

from __future__ import annotations


class MindreelError(Exception):
    """Base of every error raised on purpose; its text is one line for a person."""

    exit_code = 1


class InputError(MindreelError):
    """Wrong use or bad input: the message says what, where, and what to do."""

    exit_code = 2


class VideoError(InputError):
    """A video that is missing, is no video, or cannot be decoded."""


class QuestionError(InputError):
    """A question, an option or a subtitle file that cannot be used."""


class CheckpointError(InputError):
    """A base model or adapter folder that is incomplete or does not fit."""


class DataError(InputError):
    """A data set's file that cannot be read, written or converted."""


class GraphError(InputError):
    """A plan that is no valid graph of role calls."""


class TraceError(InputError):
    """A trace that cannot be written or read."""


class StepError(MindreelError):
    """A step of the agent failed."""


class StepTimeoutError(StepError):
    """A step took longer than it was allowed to."""


class ReplyError(StepError):
    """A model's reply that cannot be read as what the role promises."""
