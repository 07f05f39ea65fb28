"""Lessons go in, one packed sequence of fixed length comes out: every film once, every question on it behind it.

A pack is made in a worker process, from its number alone, and holds everything as arrays; `Pack.on` sends it to the
device. Films that are left over when the pack is full are dropped: their numbers are not used again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.tokens import END, Tokens
from adapters.train.default.arrays import ArrayMaker, Pack, Written
from adapters.train.default.contract import Lesson, Segment, Stage, World
from prompts import Part, Prompt, PromptBook
from roles.manner import Manner

TRANSCRIPT = "Tell what happens."
"""What asks for a transcript; only training ever does."""
NUMBERS_PER_PACK = 1000
"""Lesson numbers set aside for one pack."""
MOST_OF_A_ROLE = {"planner": 1, "grounder": 6}
"""Segments of a role that one film brings: more of them would leave less room for films."""


@dataclass(frozen=True, slots=True)
class Packer:
    """Makes packs.

    Attributes:
        tokens: The tokenizer.
        prompts: What each role is asked with.
        manner: How.
        length: Tokens of a pack.
        seed: Of the whole training.
        visible: Kinds of state queries that one patch shows.
    """

    tokens: Tokens
    prompts: PromptBook
    manner: Manner
    length: int
    seed: int
    visible: frozenset[int]

    def make(self, world: World, number: int, stage: Stage) -> Pack:
        """The pack of a number; its films are of one class of length, so that few places stay empty."""
        dice = random.Random(f"{self.seed}/{number}/pack")  # noqa: S311 - no secret
        lengths = dice.choices(stage.lengths, [weight for _, _, weight in stage.lengths])[0]
        narrow = Stage(stage.share, (lengths,), stage.views)
        first = (self.seed * 10**7 + number) * NUMBERS_PER_PACK
        lessons: list[tuple[Lesson, list[Written]]] = []
        used = 0
        for at in range(NUMBERS_PER_PACK):
            lesson = world.lesson(first + at, narrow, self.manner, self.prompts)
            segments = [self.write(segment) for segment in chosen(lesson.segments, dice)]
            length = self.prefix_length(lesson) + sum(len(one.ids) for one in segments)
            if used + length > self.length:
                break
            used += length
            lessons.append((lesson, segments))
        if not lessons:
            raise ValueError(f"lesson {first} has {length} tokens; a pack takes {self.length}")
        return self.lay_out(number, lessons)

    def prefix_length(self, lesson: Lesson) -> int:
        """Tokens of a film and what stands before it."""
        marks = 2 if lesson.marked_norm is not None else 0
        return len(self.head()) + lesson.patches * lesson.rows * lesson.columns + marks

    def write(self, segment: Segment) -> Written:
        """A segment's tokens."""
        if segment.role == "transcript":
            ahead = (Part(f"{segment.text} ", trusted=False),) if segment.text else ()
            prompt = Prompt((*ahead, Part(TRANSCRIPT, trusted=True)))
        elif segment.role == "answerer":
            prompt = self.prompts.get("answerer", "question").fill(question=segment.text)
        else:
            field = "question" if segment.role == "planner" else "query"
            prompt = self.prompts.get(segment.role).fill(**{field: segment.text})
        tail = self.tokens.chat(prompt).tail
        if segment.role == "grounder":
            reply = self.tokens.encode([Part(self.prompts.get("grounder", "reply").fill().text, trusted=True)])
        else:
            reply = self.tokens.encode([Part(segment.reply or "", trusted=False)])
        return Written(segment, (*tail, *reply, self.tokens.id(END)), len(tail))

    def lay_out(self, number: int, lessons: Sequence[tuple[Lesson, Sequence[Written]]]) -> Pack:
        """Lays lessons end to end."""
        aligned = self.manner.marks == "aligned"
        maker = ArrayMaker(self.tokens, self.length, self.head(), self.visible, aligned, lessons)
        for film, (lesson, segments) in enumerate(lessons):
            maker.add(film, lesson, segments)
        return maker.finish(number)

    def head(self) -> tuple[int, ...]:
        """Tokens before a film."""
        return self.tokens.chat(Prompt(())).head


def chosen(segments: Sequence[Segment], dice: random.Random) -> list[Segment]:
    """The segments that are learned, in their order: all, but of some roles only so many, drawn at random."""
    left: set[int] = set(range(len(segments)))
    for role, most in MOST_OF_A_ROLE.items():
        mine = [at for at, segment in enumerate(segments) if segment.role == role]
        left -= set(mine) - set(dice.sample(mine, min(most, len(mine))))
    return [segments[at] for at in sorted(left)]
