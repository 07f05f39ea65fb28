"""Rows of public Theory-of-Mind benchmarks go in, records with options, the right one and what to score by come out.

Social-IQ 2.0, MMToM-QA, MuMA-ToM, EgoToM and MoMentS. Text that goes with a video stands ahead of the question, with a
blank line between (of which `convert.py` makes a space); the tag `question_only` then holds the question alone. Fields
that tell the answer are read for the answer and for nothing else. `choice_questions.py` says which tags there are.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast
from urllib.parse import parse_qs, urlparse

from eval.benchmarks.choice_questions import about, choice, decide, joined, unique
from eval.benchmarks.records import (
    Converted,
    Entry,
    FieldError,
    Record,
    Row,
    as_number,
    each,
    expand,
    get,
    items,
    label,
    number,
    text,
)
from eval.benchmarks.videos import is_inside
from roles.schema import is_blank, kind

SOCIAL_IQ_OPTIONS = ("a0", "a1", "a2", "a3")
MMTOM_KINDS = {
    "1.1": "true_belief",
    "1.2": "false_belief",
    "1.3": "long_term_belief",
    "2.1": "goal_true_belief",
    "2.2": "goal_false_belief",
    "2.3": "goal_updated_belief",
    "2.4": "goal_future_actions",
}
"""By question_type; all of them are first-order: about what one person believes or wants of things."""
MUMA_ORDERS = {"belief": "1", "belief_of_goal": "2"}
"""By label. A social goal (help or hinder) is no belief and gets no order."""
EGOTOM_QUESTIONS = {
    "goal": "C wears the camera. What goal is C pursuing?",
    "belief": "C wears the camera. What does C believe when the video ends?",
    "actions": "C wears the camera. What will C do right after the video ends?",
}
"""The tables hold no questions, only options; these are our words."""
EGOTOM_CONTEXTS = {"full": math.inf, "last_30s": 30.0, "last_5s": 5.0}
"""How many seconds before its end a clip is shown from."""

_TIME = re.compile(r"(?<!\d)\d{0,2}:[0-5]\d(?!\d)")
_NARRATION = re.compile(r"\s*(\d+)m:(\d+)s\s*\|")
_INLINE = re.compile(r"\s\(?([A-Z])[).]\s+")
"""Options that stand in one line."""
_LETTERED = re.compile(r"\n[ \t]*\(?([A-Z])[).][ \t]*")


def social_iq(entries: Iterable[Entry]) -> Iterator[Converted]:
    """Social-IQ 2.0: four options on a clip of 60 s, whose transcript counts from the clip's start.

    `ts` covers the whole clip, so it is a tag and no evidence; so is the second at which the clip was cut out.
    """

    def read(row: Row) -> Record:
        tags = about("social-iq") | {"id": label(row.value, "qid")}
        question, video = text(row.value, "q"), label(row.value, "vid_name")
        tags |= {"subtitles": f"{video}.vtt"}
        tags |= {"ts": row.value["ts"]} if isinstance(row.value.get("ts"), str) else {}
        if "trim" in row.value:
            tags["trim_start_s"] = f"{row.value['trim']:.3f}"
        tags |= {"no_trim": "yes"} if "no_trim" in row.value else {}
        if times := _TIME.findall(question):
            tags["names_time"] = " ".join(times)
        options = [text(row.value, key) for key in SOCIAL_IQ_OPTIONS]
        right = row.value.get("answer_idx")
        if "answer_idx" in row.value and (type(right) is not int or not 0 <= right < len(options)):
            raise FieldError("field 'answer_idx' is no option's number", kind(right))
        return choice(row, (video,), question, options, right, tags)

    return unique(each(entries, read))


def mmtom_qa(entries: Iterable[Entry]) -> Iterator[Converted]:
    """MMToM-QA: two statements about a person's belief or goal; what is where and what she did stands ahead.

    `start_time` and `end_time` count action steps, so they are tags. The file has no ids: a question's is its place.
    """

    def read(row: Row) -> Record:
        known = f"{number(row.value, 'question_type'):g}"
        if known not in MMTOM_KINDS:
            raise FieldError("unknown question type", known)
        told, mark, asked = text(row.value, "question").rpartition("Question:")
        parts = re.fullmatch(r"(.*?)\(a\)(.*?)\(b\)(.*?)(?:Please respond with.*)?", asked, re.DOTALL)
        if not mark or parts is None:
            raise FieldError("its question is not like 'Question: ... (a) ... (b) ...'")
        answer = get(row.value, "answer")
        if answer not in ("a", "b"):
            raise FieldError("field 'answer' is neither 'a' nor 'b'", kind(answer))
        episode = label(row.value, "episode")
        tags = about("mmtom-qa") | {"id": row.value["place"], "type": known, "kind": MMTOM_KINDS[known], "order": "1"}
        steps = {"start_step": number(row.value, "start_time"), "end_step": number(row.value, "end_time")}
        tags |= {"episode": episode} | {tag: f"{step:g}" for tag, step in steps.items()}
        question, *options = (part.strip() for part in parts.groups())
        names = (f"task_{episode}", episode, f"task_{episode}/script/0")
        return choice(row, names, _after(told, question, tags), options, "ab".index(answer), tags)

    numbered = enumerate(entries, start=1)
    return unique(each((joined(entry, {"place": str(place)}) for place, entry in numbered), read))


def muma_tom(entries: Iterable[Entry]) -> Iterator[Converted]:
    """MuMA-ToM: up to four questions on each episode, the options lettered lines of the question.

    The text ahead of the question is the first of what `texts.json` says, the description without what only the video
    shows (`filtered_description`), and the whole description; the tag `text` says which one.
    """

    def split(row: Row) -> Iterable[Row]:
        parts = {key: get(row.value, key) for key in ("questions", "answers", "labels")}
        for key, part in parts.items():
            if not isinstance(part, dict):
                raise FieldError(f"field {key!r} is not an object", kind(part))
        source = next((key for key in ("texts.json", "filtered_description") if row.value.get(key)), "description")
        shared = {"text": _unescaped(text(row.value, source)), "source": source} | parts
        places = dict.fromkeys([*parts["questions"], *parts["answers"]])
        if not places:
            raise FieldError("no questions")
        return [Row(f"{row.where} question {place}", shared | {"place": place}, row.key) for place in places]

    def read(row: Row) -> Record:
        episode, place = row.key or "", row.value["place"]
        known = text(row.value["labels"], place)
        asked = text(row.value["questions"], place)
        stem, *parts = (_LETTERED if len(_LETTERED.findall(asked)) > 1 else _INLINE).split(asked)
        letters, options = parts[::2], [part.strip() for part in parts[1::2]]
        if letters != [chr(ord("A") + index) for index in range(len(letters))]:
            raise FieldError("its options are not lettered A, B, C ...", " ".join(letters))
        tags = about("muma-tom") | {"id": f"{episode}_{place}", "type": known, "episode": episode}
        tags |= {"text": row.value["source"]} | ({"order": MUMA_ORDERS[known]} if known in MUMA_ORDERS else {})
        said = text(row.value["answers"], place)  # such as `B) text`, a letter or a text alone
        mark = re.match(r"\s*\(?([A-Z])(?:[).]|\s*$)", said)
        right = decide(mark and mark[1], (said[mark.end() :] if mark else said,), options, tags)
        names = (episode, f"video_{episode}", f"episode_{episode}")
        return choice(row, names, _after(row.value["text"], stem.strip(), tags), options, right, tags)

    return unique(each(expand(entries, split), read))


def egotom(entries: Iterable[Entry]) -> Iterator[Converted]:
    """EgoToM: each question three times, on the whole clip, its last 30 s and its last 5 s (tag `context`).

    The tags `start_s` and `end_s` are the part of the Ego4D video to show; narrations are told that lie in it.
    """

    def split(row: Row) -> Iterable[Row]:
        clip, video = text(row.value, "cuid"), text(row.value, "vuid")
        task = next((name for name in EGOTOM_QUESTIONS if f"{name}_choice_a" in row.value), None)
        if task is None:
            raise FieldError("no column of options: goal_choice_a, belief_choice_a or actions_choice_a")
        start_s, end_s = (_seconds(text(row.value, f"clip_{end}_time")) for end in ("start", "end"))
        if not 0 <= start_s < end_s:
            raise FieldError("its clip ends before it starts, or where it starts", f"[{start_s:g}, {end_s:g}]")
        columns = (f"{task}_choice_{letter}" for letter in "abcd")
        options = [text(row.value, column) for column in columns if column in row.value]
        right = decide(None, (text(row.value, f"gt_{task}"),), options, {})
        told = _narrations(text(row.value, "narrations_in_context"))
        made = []
        for context, last_s in EGOTOM_CONTEXTS.items():
            from_s = max(start_s, end_s - last_s)
            lines = "\n".join(line for time_s, line in told if context == "full" or time_s >= from_s - start_s)
            tags = about("egotom") | {"id": f"{clip}/{task}/{context}", "type": task, "context": context}
            tags |= {"clip": clip, "start_s": f"{from_s:.3f}", "end_s": f"{end_s:.3f}"}
            question = _after(lines, EGOTOM_QUESTIONS[task], tags)
            made.append(Row(row.where, choice(row, (video,), question, options, right, tags)))
        return made

    return unique(each(expand(entries, split), lambda row: cast("Record", row.value)))


def moments(entries: Iterable[Entry]) -> Iterator[Converted]:
    """MoMentS: four options on a short film; the focus window t_i to t_j is the evidence.

    The tags `start_s` and `end_s` are t_0, where the context begins, and t_j, where it ends.
    """

    def read(row: Row) -> Record:
        tags = about("moments") | {"id": label(row.value, "question_id")}
        start_s, focus_s, end_s = (_time_s(row.value, key) for key in ("t_0", "t_i", "t_j"))
        if not 0 <= start_s <= end_s:
            raise FieldError("its context ends before it starts", f"[{start_s:g}, {end_s:g}]")
        tags |= {"start_s": f"{start_s:.3f}", "end_s": f"{end_s:.3f}"}
        for tag, key in (("type", "assigned_categories"), ("cues", "multimodal_cues")):
            found = [row.value[key]] if isinstance(row.value.get(key), str) else items(row.value, key)
            if not all(isinstance(one, str) for one in found):
                raise FieldError(f"field {key!r} is not a list of texts")
            tags |= {tag: ", ".join(found)} if found else {}
        choices = get(row.value, "options")
        letters = sorted(choices) if isinstance(choices, dict) else []
        options = [text(choices, letter) for letter in letters]
        answer = row.value.get("correct_answer_key")
        if answer is not None and answer not in letters:
            raise FieldError("its key names no option", kind(answer))
        right = None if answer is None else letters.index(answer)
        title = text(row.value, "movie_title")
        names = tuple(name for name in (_video_id(text(row.value, "video_url")), title) if is_inside(name))
        if not names:
            raise FieldError("neither its URL nor its title names a video", title)
        length = row.value.get("video_length")
        length_s = None if length is None else as_number(length, "field 'video_length'")
        spans = ((focus_s, end_s),)
        return choice(row, names, text(row.value, "question"), options, right, tags, spans, length_s)

    return unique(each(entries, read))


def _after(told: str, question: str, tags: dict[str, str]) -> str:
    """The question with the text that goes with the video ahead; the tags get it alone."""
    if is_blank(told):
        return question
    tags["question_only"] = " ".join(question.split())
    lines = "\n".join(line.strip() for line in told.strip().splitlines())
    return f"{lines}\n\n{question}"


def _unescaped(description: str) -> str:
    """A description that was written down as Python shows bytes (b'...'), as the text that it means."""
    if not re.match(r"b['\"]", description):
        return description
    try:
        value = ast.literal_eval(description)
        return value.decode() if isinstance(value, bytes) else description
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise FieldError("its description is neither text nor written as bytes") from None


def _narrations(told: str) -> list[tuple[int, str]]:
    """Lines like `01m:05s | #C C opens the tap` with their seconds from the clip's start.

    A line without a time belongs to the one before it; -1 is the time of those that have none before.
    """
    found: list[tuple[int, str]] = []
    for line in told.splitlines():
        mark = _NARRATION.match(line)
        time_s = int(mark[1]) * 60 + int(mark[2]) if mark else found[-1][0] if found else -1
        if line.strip():
            found.append((time_s, line.strip()))
    return found


def _seconds(found: str) -> float:
    try:
        time_s = float(found)
    except ValueError:
        time_s = math.nan
    if not math.isfinite(time_s):
        raise FieldError("a clip's time is no number of seconds", kind(found))
    return time_s


def _time_s(row: Any, key: str) -> float:
    """Seconds: a number, or text such as `75.5` or `00:01:15.5`.

    Raises:
        FieldError: It is neither.
    """
    found = get(row, key)
    if isinstance(found, str) and re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", found.strip()):
        parts = [float(part) for part in found.split(":")]
        return math.fsum(part * 60.0**power for power, part in enumerate(reversed(parts)))
    return number(row, key)


def _video_id(url: str) -> str:
    """What a film's page calls it: YouTube's `v`, else the end of the address."""
    parts = urlparse(url.strip())
    return (parse_qs(parts.query).get("v") or [parts.path.rstrip("/").rpartition("/")[2]])[0]
