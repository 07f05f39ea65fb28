"""The text that another task of lmms-eval would show a model goes in; its question and options come out.

Our agent wants the question by itself and the options without letters, as it words them for each role in its own way.
Read are options on lines of their own, lettered from A on without a gap, and the two wordings in which lmms-eval's
tasks ask for a moment. What is neither is a question that is asked as it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import ascii_uppercase

_OPTION = re.compile(r"^\s*(?:\(([A-Z])\)|([A-Z])[.):])\s*(\S.*)$")
_HEADING = re.compile(r"^\s*(?:options?|choices|candidates|possible answer choices)\s*:?\s*$", re.IGNORECASE)
_LABEL = re.compile(r"^\s*question\s*:\s*", re.IGNORECASE)
_INSTRUCTION = re.compile(
    r"^\s*(?:please\s+)?(?:select|choose|pick|answer|respond|only give|you (?:will|are)|carefully)\b"
    r".*\b(?:answers?|options?|letters?|choices?|questions?)\b[^?]*$",
    re.IGNORECASE,
)
_WANTS_MOMENT = re.compile(
    r"\bstart(?:ing)?(?: times?)? (?:and|-|to) end(?:ing)? times?\b|\bstart time>? ?- ?<?end time\b", re.IGNORECASE
)
_DESCRIBED = (
    re.compile(r"textual sentence: *(.+?)[.\s]*(?:Please return its start time|$)", re.DOTALL | re.IGNORECASE),
    re.compile(r"described by the sentence '(.+)', *determining", re.DOTALL | re.IGNORECASE),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a text asks.

    Attributes:
        question: The question, or the description of a moment.
        options: The choices without letters, in the order of their letters; none where it shows none.
        wants_moment: Whether the reply shall be a start and an end in seconds.
    """

    question: str
    options: tuple[str, ...] = ()
    wants_moment: bool = False


def read_context(text: str) -> Asked:
    """Takes a text apart.

    Args:
        text: As a task's `doc_to_text` gives it, instructions included.

    Returns:
        The question without options and instructions; the text as it stands where there is nothing to take off.
    """
    if _WANTS_MOMENT.search(text):
        found = next((match for match in (one.search(text) for one in _DESCRIBED) if match), None)
        return Asked(text.strip() if found is None else found[1].strip(), wants_moment=True)
    lines = text.splitlines()
    first = next((at for at in range(len(lines)) if len(_options(lines[at:])) > 1), None)
    if first is None:
        return Asked(_LABEL.sub("", text).strip() or text)
    before = [line for line in lines[:first] if line.strip() and not _HEADING.match(line)]
    asks = [line for line in before if not _INSTRUCTION.match(line)] or before
    question = _LABEL.sub("", "\n".join(asks)).strip()
    return Asked(question or text.strip(), tuple(_options(lines[first:])))


def _options(lines: list[str]) -> list[str]:
    """The options that begin with the first line; a line between two of them goes on with the one above it."""
    options: list[str] = []
    open_lines: list[str] = []
    for line in lines:
        match = _OPTION.match(line)
        expected = ascii_uppercase[len(options)] if len(options) < len(ascii_uppercase) else None
        if match is not None and (match[1] or match[2]) == expected:
            if options and open_lines:
                options[-1] = " ".join([options[-1], *open_lines])
            open_lines = []
            options.append(match[3].strip())
        elif not options:
            return []
        elif line.strip():
            open_lines.append(line.strip())
    return options
