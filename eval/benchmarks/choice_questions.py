"""A row's options and what it says of the answer go in, a record with the right option or the row's fault comes out.

What converters of questions with options share. Their records have the tags `id` (unique), `source` and `benchmark`; a
choice has `answer_at`, the right option's index from 0. What is odd about a row stands in its tags; `NOTED` says what
they mean.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from eval.benchmarks.records import Converted, Entry, FieldError, Record, Row, Skipped, items, label
from roles.answerer import LETTERS
from roles.schema import is_blank, kind

NOTED = {
    "repeated_id": "an id that stood there before got a number",
    "duplicate_options": "options with the same text: score it by the tag answer_at",
    "empty_options": "options without text were left out",
    "answer_conflict": "the answer's letter and its text name different options: taken by its letter",
    "answer_differs": "the answer's text is none of the options: taken by its letter",
    "no_options": "the file has the right letter but no options",
    "cut_ignored": "a part of the video that ends before it starts: the whole video instead",
    "names_time": "the question names a time of the video",
    "no_trim": "trims.json does not say where its clip begins",
    "hidden_answer": "the file does not give the answer",
    "hidden_spans": "the file does not give the moments",
}
"""Tags that a converter sets where a row is odd, and what to call them in a report."""
LETTERED = re.compile(r"^\(?([A-Z])[.):]\s*")
"""The letter in front of an option, such as `A. ` or `(A) `."""


def notes(record: Record) -> list[str]:
    """What is odd about a record, in words that repeat from record to record."""
    return [words for tag, words in NOTED.items() if tag in record.tags]


def about(benchmark: str) -> dict[str, str]:
    """The tags that tell where a record comes from."""
    return {"source": benchmark, "benchmark": benchmark}


def empty(value: Any) -> bool:
    """Whether a field says nothing: null, no items, or blank text."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def joined(entry: Entry, more: Mapping[str, Any]) -> Entry:
    """The row with more fields, where it is an object."""
    if isinstance(entry, Skipped) or not isinstance(entry.value, dict):
        return entry
    return replace(entry, value={**entry.value, **more})


def unique(found: Iterable[Converted]) -> Iterator[Converted]:
    """Gives ids that come again a number, `#2`, and says so in a tag."""
    used: set[str] = set()
    for one in found:
        if isinstance(one, Record):
            first = one.tags["id"]
            free = next(name for count in itertools.count(2) if (name := f"{first}#{count}") not in used)
            made = one if first not in used else replace(one, tags={**one.tags, "id": free, "repeated_id": first})
            used.add(made.tags["id"])
            yield made
        else:
            yield one


def options_of(row: Any, key: str) -> tuple[str, ...]:
    """A field's texts (or whole numbers), without letters in front where at least two carry their own.

    Raises:
        FieldError: It is no list of 2 to 26 texts.
    """
    texts = [" ".join(label({key: option}, key).split()) for option in items(row, key)]
    if not 2 <= len(texts) <= len(LETTERS):
        raise FieldError(f"not 2 to {len(LETTERS)} options", f"{len(texts)}")
    own = [(found := LETTERED.match(one)) and found[1] == LETTERS[at] for at, one in enumerate(texts)]
    if sum(map(bool, own)) < 2:
        return tuple(texts)
    return tuple(LETTERED.sub("", one, count=1) if lettered else one for one, lettered in zip(texts, own, strict=True))


def index_of(letter: Any, count: int) -> int:
    """The place, from 0, of a letter such as `C`, `C.` or `(c)` among `count` options.

    Raises:
        FieldError: It is no letter, or one beyond the options.
    """
    found = re.fullmatch(r"\s*\(?([A-Za-z])[.):]?\s*", letter) if isinstance(letter, str) else None
    if found is None:
        raise FieldError("the answer is not a letter", kind(letter))
    at = LETTERS.index(found[1].upper())
    if at >= count:
        raise FieldError("the answer's letter is beyond the options", found[1])
    return at


def find(options: Sequence[str], *texts: str) -> int | None:
    """The place, from 0, of the first option that is one of the texts: exactly, else but for case and end mark."""
    shown, wanted = ([" ".join(one.split()) for one in some] for some in (options, texts))
    forms: tuple[Callable[[str], str], ...] = (str, lambda one: one.casefold().rstrip(" ."))
    for form in forms:
        alike = [at for one in wanted for at, option in enumerate(shown) if form(one) and form(one) == form(option)]
        if alike:
            return alike[0]
    return None


def decide(letter: Any, texts: Sequence[str], options: Sequence[str], tags: dict[str, str]) -> int:
    """The place of the right option, from 0: by its letter where there is one, else by its text.

    Args:
        letter: What the row gives for it; None or blank where it gives none.
        texts: Ways to read the answer's text; none, or blank ones, where the row has no text.
        options: The choices.
        tags: Of the record; get `answer_conflict` where the text is another option than the letter's (equal texts
            do not differ), `answer_differs` where it is no option at all.

    Raises:
        FieldError: The letter names no option, or there is none and the text is none of the options.
    """
    named = find(options, *texts)
    if empty(letter):
        if named is None:
            raise FieldError("the answer is none of the options", kind(texts[-1]) if texts else "")
        return named
    at = index_of(letter, len(options))
    if named is None:
        tags |= {} if all(map(is_blank, texts)) else {"answer_differs": "yes"}
    elif options[named].split() != options[at].split():
        tags["answer_conflict"] = "yes"
    return at


def choice(
    row: Row,
    names: tuple[str, ...],
    question: str,
    options: Sequence[str],
    at: int | None,
    tags: Mapping[str, str],
    spans: tuple[tuple[float, float], ...] = (),
    length_s: float | None = None,
) -> Record:
    """A record of a question with options; those without text are left out.

    Args:
        row: Where it stands.
        names: Of its video, the likeliest first.
        question: What is asked.
        options: The choices, as the row has them.
        at: The right one's place among them, from 0; None where the file does not tell.
        tags: What else is known of it, `id` included.
        spans: The evidence, (start, end) in seconds.
        length_s: The video's, in seconds; None where the format does not say.

    Raises:
        FieldError: The right option is empty, or fewer than two have text.
    """
    texts = [" ".join(option.split()) for option in options]
    kept = [place for place, option in enumerate(texts) if not is_blank(option)]
    if at is not None and at not in kept:
        raise FieldError("the right option is empty")
    if len(kept) < 2:
        raise FieldError("fewer than two options with text", f"{len(kept)}")
    shown = tuple(texts[place] for place in kept)
    found = dict(tags)
    found |= {"empty_options": str(len(texts) - len(shown))} if len(shown) < len(texts) else {}
    found |= {"duplicate_options": "yes"} if len(set(shown)) < len(shown) else {}
    found |= {"hidden_answer": "yes"} if at is None else {"answer_at": str(kept.index(at))}
    return Record(row.where, names, question, spans, length_s, shown, None if at is None else texts[at], found)
