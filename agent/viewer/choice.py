"""What was named and the number of a question go in, the questions that are meant come out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.trace import Trace
from agent.viewer.files import Index
from agent.viewer.trace_file import TraceFile
from roles.errors import InputError, TraceError


def chosen(index: Index, question: int | None) -> Iterator[tuple[TraceFile, int, Trace]]:
    """Every question that is meant, with its file and its place in that.

    Args:
        index: The traces.
        question: Number in the file, from 1; None takes all.

    Raises:
        InputError: There is none.
        TraceError: A file that is no trace.
    """
    files = index.files
    if not files:
        raise InputError(f"{index.title}: holds no traces; name a file that agent.run or eval.run wrote")
    if question is not None:
        if len(files) > 1:
            raise InputError(f"--question {question}: {len(files)} traces were named; name the one that is meant")
        count = len(files[0].summaries)
        if count == 0 and files[0].problem:
            raise TraceError(files[0].problem)
        if question > count:
            raise InputError(f"--question {question}: {files[0].name} holds {count} question{'s' * (count != 1)}")
        yield files[0], question - 1, index.trace(files[0], question - 1)
        return
    for file in files:
        for number in range(len(file.summaries)):
            yield file, number, index.trace(file, number)


def only(index: Index, question: int | None) -> tuple[TraceFile, int, Trace]:
    """The one question that is meant.

    Raises:
        InputError: There is none, or more than one.
        TraceError: It is no trace, or holds no question.
    """
    files = index.files
    questions = sum(len(file.summaries) for file in files)
    if question is None and questions > 1:
        if len(files) > 1:
            raise InputError(f"{index.title}: {len(files)} traces; name one file, and its question by --question N")
        raise InputError(f"{index.title}: holds {questions} questions; name one by --question 1 to {questions}")
    for one in chosen(index, question):
        return one
    said = next((file.problem for file in files if file.problem), None)
    raise TraceError(said or f"{index.title}: no question was asked in it; nothing can be shown")


def with_ending(path: str | Path) -> Path:
    """Where to write a page, checked before anything is made.

    Raises:
        InputError: Its folder is not there, or a folder is in the way.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"--export {path}: is a folder; name a file, such as {target / 'page.html'}")
    if not target.absolute().parent.is_dir():
        raise InputError(f"--export {path}: there is no folder {target.parent}; make it first")
    return target
