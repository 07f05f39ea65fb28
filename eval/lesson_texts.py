"""A film's questions, minds and view go in; what there is to read and to write about the view comes out as segments."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from adapters.train.default.contract import Segment
from eval.lesson_views import NEAR_S, View
from eval.worlds.questions import Question
from eval.worlds.scene import YARD, Beat, Scene
from prompts import PromptBook
from roles import answerer, grounder, planner, verifier
from roles.minds import Belief, Minds
from roles.planner import clean_query
from roles.spans import iou
from roles.types import Span

TRANSCRIPT = "transcript"
"""The role of transcripts, which no adapter has: perception before questions."""
QUERY_SHARE = 0.7
"""How often a moment is looked for by the planner's description, and not by the question itself."""
PLANS = 4
JUDGED = (7, 11)
"""With how many descriptions a marked stretch is compared at most, half of which it fits."""
LEAST_MISSES = 3
"""With so many where it fits none."""
ASKED_AS_IT_IS = 0.7
"""How often the verifier gets the question, as in the agent, and not the description."""
LONGEST_S = 64.0
"""No transcript is written of a longer view."""
LONGEST_WORDS = 150
"""Nor one with more words, numbers and signs."""
_WORDS = re.compile(r"\w+|[^\w\s]")


def answers(asked: Sequence[Question], view: View) -> list[Segment]:
    """All questions with options whose answer the view entails."""
    return [
        Segment(answerer.ROLE, question.text, question.answer, type=question.type)
        for question in asked
        if question.answer is not None and (view.whole or (bool(question.spans) and view.holds(question.spans)))
    ]


def moments(asked: Sequence[Question], view: View, rng: random.Random) -> list[Segment]:
    """All questions that a moment or evidence belongs to, for the grounder."""
    return [
        Segment(
            grounder.ROLE,
            described(question, rng, QUERY_SHARE),
            None,
            tuple(view.norm(span) for span in question.spans),
            question.type,
        )
        for question in asked
        if question.spans
    ]


def described(question: Question, rng: random.Random, query_share: float) -> str:
    """How a moment is named: by the planner's description, else by the question."""
    query = question.tags.get("query")
    by_query = rng.random() < query_share
    return clean_query(query if query is not None and by_query else question.text)


def plans(asked: Sequence[Question], rng: random.Random) -> list[Segment]:
    """Some questions with the planner's replies: one of each route, where the film has one, and others."""
    chosen: list[Question] = []
    for route in planner.ROUTES:
        fitting = [question for question in asked if question.tags["route"] == route]
        if fitting:
            chosen.append(rng.choice(fitting))
    rest = [question for question in asked if question not in chosen]
    chosen += rng.sample(rest, min(len(rest), max(0, PLANS - len(chosen))))
    return [Segment(planner.ROLE, question.text, plan_of(question), type=question.type) for question in chosen]


def plan_of(question: Question) -> str:
    """What the planner should reply."""
    route = question.tags["route"]
    return planner.target(route, None if route == "answer" else clean_query(question.tags["query"]))


def verdicts(
    asked: Sequence[Question], main: Question, candidate: Span, prompts: PromptBook, rng: random.Random
) -> list[Segment]:
    """Descriptions of the film's moments, each with whether the marked stretch is it.

    Args:
        asked: The film's questions.
        main: The one whose moment was looked for.
        candidate: The stretch, in film seconds.
        prompts: The checkpoint's templates.
        rng: Chance.
    """
    placed = [question for question in asked if question.spans and question is not main]
    rng.shuffle(placed)
    hits = [question for question in (main, *placed) if is_hit(candidate, question)]
    misses = [question for question in (main, *placed) if not is_hit(candidate, question)]
    most = rng.randint(*JUDGED)
    # The one that was looked for first; a moment of many names is compared with several of them.
    yes = [(question, text) for text in (0, 1) for question in hits][: most // 2]
    near = sorted(misses, key=lambda question: (question is not main, -overlap(candidate, question)))
    hard = near[: most // 4 + 1]
    least = 2 if yes else LEAST_MISSES
    no = [*hard, *(question for question in misses if question not in hard)][: max(len(yes), least)]
    first = [rng.random() < ASKED_AS_IT_IS for _ in hits]
    chosen = [(question, (text == 0) == first[k % len(hits)]) for k, (question, text) in enumerate(yes)]
    share = sum(as_asked for _, as_asked in chosen) / len(chosen) if chosen else ASKED_AS_IT_IS
    # Of either sort as many are asked as the user asked: how it is put tells nothing.
    chosen += [(question, rng.random() < share) for question in no]
    rng.shuffle(chosen)
    return [
        Segment(
            verifier.ROLE,
            question.text if as_asked else described(question, rng, 1.0),
            verifier.target(candidate, question.spans, prompts),
            type=question.type,
        )
        for question, as_asked in chosen
    ]


def overlap(candidate: Span, question: Question) -> float:
    """How well a stretch agrees with the nearest of a question's moments, 0 to 1."""
    return max(iou(candidate, span) for span in question.spans)


def is_hit(candidate: Span, question: Question) -> bool:
    """Whether a stretch is a moment of a question."""
    return overlap(candidate, question) >= verifier.POSITIVE_IOU


def transcript(scene: Scene, minds: Minds, view: View, named: str = "") -> Segment | None:
    """What happens when, and who thinks what at last; None where that is too long to be written.

    Args:
        scene: The film.
        minds: Of its story.
        view: What is seen of it.
        named: A sentence that says who is who; people then go by their names, and by the colours they wear otherwise.
    """
    if view.span.length_s > LONGEST_S + NEAR_S:
        return None
    teller = _Teller(scene, minds, view, named=bool(named))
    end = teller.ending()
    text = f"{'; '.join([*teller.events(felt=True)])}; {end}"
    if len(_WORDS.findall(text)) > LONGEST_WORDS:
        text = f"{'; '.join([*teller.events(felt=False)])}; {end}"
    if len(_WORDS.findall(text)) > LONGEST_WORDS:
        return None
    return Segment(TRANSCRIPT, named, text.removeprefix("; "), type=TRANSCRIPT)


class _Teller:
    """Puts the main stage's story into few words."""

    def __init__(self, scene: Scene, minds: Minds, view: View, *, named: bool) -> None:
        self.scene, self.minds, self.view = scene, minds, view
        self.shirts = {person.name: person.name if named else person.shirt for person in scene.people}
        self.shapes = {thing.name: thing.shape for thing in scene.things}
        self.main = [person.name for person in scene.people if person.place != YARD]

    def events(self, *, felt: bool) -> list[str]:
        """One line for each event, in order of time, and for each feeling."""
        told: list[tuple[float, str]] = []
        for beat in self.scene.beats:
            words = self._words(beat) if beat.person in self.main else None
            if words is not None and self._mostly_seen(beat.start_s, beat.end_s):
                start, end = self._second(beat.start_s), self._second(beat.end_s)
                told.append((beat.start_s, f"{start}-{end} {self.shirts[beat.person]} {words}"))
        for mood in self.scene.reactions if felt else ():
            if mood.person in self.main and self._mostly_seen(mood.start_s, mood.end_s):
                told.append((mood.start_s, f"{self._second(mood.start_s)} {self.shirts[mood.person]} {mood.feeling}"))
        return [text for _, text in sorted(told)]

    def ending(self) -> str:
        """Where the thing is and who thinks what, as the view ends; only what the view shows."""
        at_s = min(self.view.end_s, self.scene.duration_s)
        thing = self.scene.cast.thing
        if self.scene.family == "contents":
            return self._ending_contents(self.scene.cast.path[0], at_s)
        fact = ("in", thing)
        parts = [f"{self.shapes[thing]} {self._place(self.minds.truth(fact, at_s))}"]
        for who in self.main:
            belief = self.minds.belief(who, fact=fact, at_s=at_s)
            if self._shown(belief):
                parts.append(f"{self.shirts[who]} thinks {self._place(belief)}")
        cast = self.scene.cast
        nested = self.minds.belief(cast.mover, cast.believer, fact=fact, at_s=at_s)
        if self._shown(nested):
            parts.append(f"{self.shirts[cast.mover]} thinks {self.shirts[cast.believer]} thinks {self._place(nested)}")
        return f"end: {'; '.join(parts)}."

    def _ending_contents(self, box: str, at_s: float) -> str:
        parts = [f"{box} holds {', '.join(self.minds.contents(container=box, at_s=at_s)) or 'nothing'}"]
        if self.view.whole:
            for who in self.main:
                found = self.minds.contents(who, container=box, at_s=at_s)
                parts.append(f"{self.shirts[who]} thinks {', '.join(found) or 'no idea'}")
        return f"end: {'; '.join(parts)}."

    def _shown(self, belief: Belief | None) -> bool:
        return self.view.whole or (belief is not None and belief.since_s >= self.view.start_s)

    def _second(self, at_s: float) -> int:
        return max(0, round(at_s - self.view.start_s))

    def _mostly_seen(self, start_s: float, end_s: float) -> bool:
        inside_s = min(end_s, self.view.end_s) - max(start_s, self.view.start_s)
        return inside_s >= 0.5 * (end_s - start_s)

    def _place(self, belief: Belief | None) -> str:
        if belief is None:
            return "no idea"
        if belief.value is None:
            return "gone"
        name = str(belief.value)
        if name in self.shirts:
            return f"with {self.shirts[name]}"
        return f"in {name}" if any(box.name == name for box in self.scene.containers) else "on floor"

    def _words(self, beat: Beat) -> str | None:
        """What somebody does; None for trifles."""
        other = self.shirts.get(beat.other or "", "")
        texts = {
            "enter": "comes in",
            "leave": "goes out",
            "put": f"puts {beat.thing} in {beat.container}",
            "take": f"takes {beat.thing}" + (f" from {beat.container}" if beat.container else ""),
            "move": f"moves {beat.thing} from {beat.container} to {beat.to_container}",
            "open": f"opens {beat.container}: {', '.join(beat.found) or 'empty'}",
            "look_away": "turns away",
            "turn_back": "turns back",
            "hide": "hides",
            "come_out": "comes out",
            "peek": "peeks",
            "spot": f"notices {other}",
            "tell": f"tells {other} {beat.thing} in {beat.container}",
            "wish": f"wants {beat.thing}",
        }
        return texts.get(beat.kind)
