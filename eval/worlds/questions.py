"""A scene goes in, its questions come out: in words, with options, answer, evidence in seconds, and tags for training.

    ask(scene)                       -> list of Question
    example(question, "films/x.mp4") -> the line of a data set

All films of a matched set ask in the same words, with the same options in the same order: only the film differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from eval.worlds.ask_beliefs import believing, honest
from eval.worlds.ask_contents import contents
from eval.worlds.ask_facts import looking, placing, remembering, wanting
from eval.worlds.ask_moments import happening, turning
from eval.worlds.ask_reasons import explaining
from eval.worlds.inquiries import Asker, Inquiry, Solve
from eval.worlds.scene import Scene
from eval.worlds.voice import Voice
from eval.worlds.wording import SLOTS, Wording, book
from roles.minds import Minds
from roles.types import Example, Span

TYPES: tuple[str, ...] = tuple(SLOTS)
"""All types of questions."""
GAP_S = 0.3
"""Evidence that lies closer together is one span."""
OPENING_S = 2.0
"""What holds from the start is seen in the first seconds."""
TEST_SHARE = 0.5
"""Share of the test split's questions whose wording training never shows.

All other splits use the wordings of training only, so that new words and new looks can be told apart.
"""
MOMENTS = ("moment_false", "moment_found_out", "moment_event", "frame")
"""Types whose answers are spans."""

_PARTS: tuple[Callable[[Asker], list[Inquiry]], ...] = (
    placing, remembering, believing, contents, explaining, honest, wanting, turning, happening, looking,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a film.

    Attributes:
        type: One of `TYPES`.
        text: As it is asked.
        options: To choose from; empty for moments.
        answer: The right option; None for moments.
        spans: Evidence, in seconds; for moments the answer.
        tags: For training and statistics; all text.
        events: Ids of the events that entail the answer (behind `spans`).
        solve: Works the answer out from other minds: with the evidence alone it is the same, without it, it is not.
            None where no event needs to be understood.
    """

    type: str
    text: str
    options: tuple[str, ...]
    answer: str | None
    spans: tuple[Span, ...]
    tags: dict[str, str]
    events: tuple[str, ...] = ()
    solve: Solve | None = field(default=None, compare=False, repr=False)


def ask(scene: Scene, minds: Minds | None = None) -> list[Question]:
    """All questions of a film, in a fixed order of types.

    Args:
        scene: The film.
        minds: Of its story, where they are there already.
    """
    asker = Asker(scene, Minds(scene.story) if minds is None else minds)
    return [_worded(asker, inquiry) for part in _PARTS for inquiry in part(asker)]


def example(question: Question, video_path: str) -> Example:
    """The line of a data set for a question."""
    return Example(video_path, question.text, question.options, question.answer, question.spans, dict(question.tags))


def _worded(asker: Asker, inquiry: Inquiry) -> Question:
    scene = asker.scene
    dice = asker.dice(f"{inquiry.type}/{inquiry.variant}/words")
    voice = Voice.draw(dice)
    held = scene.split == "test" and dice.random() < TEST_SHARE
    wording = _choose(inquiry, "ask", held, dice.random())
    options = list(inquiry.options)
    shuffle = asker.dice(f"{inquiry.type}/{inquiry.variant}/options").shuffle
    if not inquiry.fixed:
        # Options stand in an order of their own before, so that the shuffle is the same in all films of the set.
        options.sort(key=lambda option: _place(scene, option))
        shuffle(options)
    route = "answer" if inquiry.type == "scene" else "moment" if inquiry.type in MOMENTS else "ground"
    tags = {
        "type": inquiry.type,
        "family": scene.family,
        "kind": scene.kind,
        "set": str(scene.seed),
        "split": scene.split,
        "order": str(inquiry.order),
        "wording": wording.id,
        "style": voice.style,
        "about": " ".join(name.replace(" ", "_") for sort, name in inquiry.slots.values() if sort != "text"),
        "route": route,
        "source": "worlds",
        "id": "/".join(part for part in (scene.id, inquiry.type, inquiry.variant) if part),
    }
    if inquiry.variant:
        tags["variant"] = inquiry.variant
    if inquiry.truth is not None:
        tags["truth"] = "true" if inquiry.truth else "false"
    if wording.held_out:
        tags["held_out"] = "yes"
    if route != "answer":
        query = _choose(inquiry, "query", held, dice.random())
        tags["query"] = voice.query(scene, query.text, inquiry.slots)
    return Question(
        inquiry.type,
        voice.ask(scene, wording.text, inquiry.slots, options),
        tuple(voice.option(scene, option) for option in options),
        None if inquiry.right is None else voice.option(scene, inquiry.right),
        () if route == "answer" else _spans(scene, inquiry),
        tags,
        inquiry.events,
        inquiry.solve,
    )


def _place(scene: Scene, option: tuple[str, str]) -> tuple[int, str]:
    """Where an option stands before the shuffle: people by their part, as their names change, all else by its text."""
    sort, name = option
    if sort == "person":
        return [person.name for person in scene.people].index(name), ""
    return 0, name.rpartition("|")[0] or name


def _choose(inquiry: Inquiry, use: str, held: bool, at: float) -> Wording:
    wordings = book(inquiry.type)[inquiry.variant, use, held]
    return wordings[int(at * len(wordings))]


def _spans(scene: Scene, inquiry: Inquiry) -> tuple[Span, ...]:
    """The evidence in seconds; what rests on no event is seen as the film opens."""
    if inquiry.moment is not None:
        return (inquiry.moment,)
    times = {event.id: (event.start_s, event.end_s) for event in scene.story.events}
    return merged([times[event] for event in inquiry.events] or [(0.0, OPENING_S)], scene.duration_s)


def merged(times: Iterable[tuple[float, float]], duration_s: float) -> tuple[Span, ...]:
    """Spans in order of time, rounded, inside the film; those that overlap or nearly touch are one."""
    spans: list[tuple[float, float]] = []
    for start_s, end_s in sorted(times):
        start_s, end_s = max(0.0, round(start_s, 2)), min(round(duration_s, 2), round(end_s, 2))
        if start_s >= end_s:
            continue
        if spans and start_s - spans[-1][1] < GAP_S:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end_s))
        else:
            spans.append((start_s, end_s))
    return tuple(Span(*ends) for ends in spans)
