"""A model's free text and the options go in; which option it names comes out, or nothing where that is not clear.

Read are a letter (`C`, `(C)`, `C.`, `I think (C)`, `The answer is C`) and an option's own text. What names no option,
two of them, or one that it rejects, is unparsed: wrong, and counted. What stands before `</think>`, and around
`<answer>` and `</answer>`, is no part of the reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

_WRAPPING = " \t\r\n*_`\"'“”‘’"
_LEAD = re.compile(
    r"^(?:(?:so|well|okay|ok|therefore|thus|hence|i (?:think|believe|guess|would say)|it(?: is|'s|’s)|that|"
    r"(?:the |my |best |final |correct |right )*(?:answer|option|choice)(?: is|:|=)?)[\s,:]*(?:that )?)+",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\(\s*([A-Za-z])\s*\)|\[\s*([A-Za-z])\s*\]|\{\s*([A-Za-z])\s*\}")
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_LEADING = re.compile(r"^\(?([A-Za-z])\s*(?:[.):](?=\s|$|\*)|$|\n)")
_SUBJECT = re.compile(r"^([A-Z])(?:,| is (?:the|my|correct|right|true|best)\b)")
_CUES = "answer|option|choice|choose|pick|select|say|think"
_AFTER_CUE = re.compile(rf"(?i:\b(?:{_CUES})\b(?: is| are|:|=)*)\s+\**([A-Z])\b")
_CLAUSE = re.compile(r"[,;:!?\n]|\.(?:\s|$)")
_BARE = re.compile(r"(?<![\w'’])([A-Z])(?![\w'’])")
_REJECTED = re.compile(
    r"(?:\b(?:not|never|neither|nor|cannot|except|without|excluding|rather than|instead of)|n['’]t)"
    r"(?:\s+[\w']+){0,3}\s*$",
    re.IGNORECASE,
)
_TOO_COMMON = frozenset(
    ["yes", "no", "none", "not", "all", "both", "neither", "either", "other", "one", "it", "he", "she", "they"]
) | {"this", "that", "the", "a", "an"}
"""Words that turn up in replies without naming an option: they count only as the whole reply or its first clause."""


@dataclass(frozen=True, slots=True)
class ChoiceScores:
    """What choices were worth.

    Attributes:
        accuracy: Share of all questions whose reply names the right option.
        unparsed: Replies that name none, or more than one; they are wrong.
        asked: Number of questions.
    """

    accuracy: float
    unparsed: int
    asked: int


def read_choice(reply: str | None, options: Sequence[str]) -> int | None:
    """The index of the option that a reply names.

    Args:
        reply: What the model wrote; None or nothing but white space where it wrote nothing.
        options: Their texts, with or without letters, in the order of their letters; an empty one has no text to be
            named by, and texts that occur twice can only be told apart by their letters.

    Returns:
        Its index; None where the reply names no option, or more than one.
    """
    text = (reply or "").rpartition("</think>")[2]
    tagged = _TAGGED.findall(text)
    text = (tagged[-1] if tagged else text).strip(_WRAPPING)
    if not text or len(options) > len(ascii_uppercase):
        return None
    wholes = [_plain(option) for option in _unlettered(options)]
    exact = _same(_plain(text), wholes)
    lettered = _letters(text, wholes)
    if exact:  # "B" may be the letter of one option and the text of another: then nobody knows which was meant
        return _only(exact | (lettered - {-1}))
    if lettered:
        return _agreeing(text, lettered, wholes)
    plain = _LEAD.sub("", text)
    said = _same(_plain(plain), wholes)
    return _only(said or _same(_plain(_CLAUSE.split(plain, maxsplit=1)[0]), wholes) | _contained(_plain(text), wholes))


def choice_scores(
    replies: Sequence[str | None], options: Sequence[Sequence[str]], right: Sequence[int]
) -> ChoiceScores:
    """Accuracy of replies to several questions, and how many of them could not be read.

    Args:
        replies: One per question; None where there is none.
        options: Each question's options.
        right: The index of each right option.

    Raises:
        ValueError: No questions, lists of different lengths, or a right option that does not exist.
    """
    if not len(replies) == len(options) == len(right):
        raise ValueError(f"{len(replies)} replies, {len(options)} lists of options, {len(right)} answers: one each")
    if not replies:
        raise ValueError("no questions to score")
    for number, (given, true) in enumerate(zip(options, right, strict=True)):
        if not 0 <= true < len(given):
            raise ValueError(f"question {number}: right option {true} of {len(given)}")
    read = [read_choice(reply, given) for reply, given in zip(replies, options, strict=True)]
    good = sum(said == true for said, true in zip(read, right, strict=True))
    return ChoiceScores(good / len(read), sum(said is None for said in read), len(read))


def _letters(text: str, wholes: Sequence[str]) -> set[int]:
    """Indices of letters that the reply marks as an answer; one past the options stands for itself, as -1."""
    found: set[int] = set()
    body = _without_options(text, wholes)
    bare = _LEAD.sub("", body).strip(_WRAPPING)
    led = _LEADING.match(body) or _LEADING.match(bare) or _SUBJECT.match(bare)
    marks = [match for match in (led, *_BRACKETED.finditer(body), *_AFTER_CUE.finditer(body)) if match]
    for match in marks:
        if match.re is _AFTER_CUE and _is_word(body, match.start(1), match.end(1)):
            continue
        letter = next(group for group in match.groups() if group)
        before = match.string[: match.start()]
        if _REJECTED.search(before):
            found.add(-1)
        found.add(_index(letter, len(wholes)))
    if found:  # letters without a mark cannot name an option, but they can contradict one: "A or B", "C, since B is"
        for match in _BARE.finditer(body):
            at = _index(match.group(1), len(wholes))
            if at >= 0 and not _is_word(body, match.start(1), match.end(1)):
                found.add(at)
    return found


def _agreeing(text: str, lettered: set[int], wholes: Sequence[str]) -> int | None:
    """The one letter, unless the text after it is that of another option ("D) one")."""
    named = _only(lettered)
    if named is None:
        return None
    rest = _plain(re.sub(r"^\W*[A-Za-z]\W+", "", _LEAD.sub("", text), count=1))
    said = _same(rest, wholes)
    return named if not said or named in said else None


def _contained(reply: str, wholes: Sequence[str]) -> set[int]:
    """Options whose text stands in the reply as whole words, unless inside another option's longer text."""
    places: dict[int, list[tuple[int, int]]] = {}
    for at, whole in enumerate(wholes):
        if not whole or whole in _TOO_COMMON or (len(whole) == 1 and not whole.isdigit()):
            continue
        hits = [match.span() for match in re.finditer(rf"(?<!\w)(?<!\d\.){re.escape(whole)}(?!\w|\.\d)", reply)]
        if hits:
            places[at] = hits
    longest = {
        at: [hit for hit in hits if not any(_inside(hit, other) for others in places.values() for other in others)]
        for at, hits in places.items()
    }
    found = {at for at, hits in longest.items() if hits}
    if any(_REJECTED.search(reply[:start]) for hits in longest.values() for start, _ in hits):
        found.add(-1)
    return found


def _without_options(text: str, wholes: Sequence[str]) -> str:
    """The reply without options' longer texts, whose capitals are no letters ("(C) Person B")."""
    for whole in sorted(wholes, key=len, reverse=True):
        if len(whole) > 1:
            pattern = r"\s+".join(re.escape(word) for word in whole.split())
            text = re.sub(rf"(?<!\w){pattern}(?!\w)", "...", text, flags=re.IGNORECASE)
    return text


def _is_word(text: str, start: int, end: int) -> bool:
    """Whether "A" or "I" is the English word: it is followed by a word in small letters that is no or/and."""
    return text[start:end] in "AI" and re.match(r"\s+(?!(?:or|and)\b)[a-z.]", text[end:]) is not None


def _unlettered(options: Sequence[str]) -> list[str]:
    """Options without their letters, where each begins with its own ("A. ", "(A) "), as some data sets write them."""
    letters = [re.match(r"\(?([A-Z])[.):]\s*", option.strip()) for option in options]
    if any(not found or found[1] != letter for found, letter in zip(letters, ascii_uppercase, strict=False)):
        return list(options)
    return [option.strip()[found.end() :] for option, found in zip(options, letters, strict=True) if found]


def _same(text: str, wholes: Sequence[str]) -> set[int]:
    return {at for at, whole in enumerate(wholes) if whole and whole == text}


def _only(named: set[int]) -> int | None:
    return next(iter(named)) if len(named) == 1 and -1 not in named else None


def _index(letter: str, count: int) -> int:
    at = ascii_uppercase.index(letter.upper())
    return at if at < count else -1


def _inside(hit: tuple[int, int], other: tuple[int, int]) -> bool:
    return other != hit and other[0] <= hit[0] and hit[1] <= other[1]


def _plain(text: str) -> str:
    """A text to compare: small letters, single spaces, no wrapping and no final full stop."""
    return " ".join(text.casefold().split()).strip(_WRAPPING).rstrip(".!;,:").strip(_WRAPPING)
