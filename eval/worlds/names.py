"""Names of people: how many, and who is she or he, go in; short names with different initials come out."""

from __future__ import annotations

import random
from collections.abc import Sequence

NAMES: tuple[tuple[str, str], ...] = (
    ("Ada", "Abe"), ("Bea", "Ben"), ("Cleo", "Carl"), ("Dora", "Dan"), ("Eva", "Eli"), ("Fay", "Finn"),
    ("Gia", "Gus"), ("Hana", "Hugo"), ("Ida", "Ian"), ("Jill", "Jon"), ("Kaya", "Kai"), ("Lea", "Leo"),
    ("Mia", "Max"), ("Nora", "Ned"), ("Olga", "Otto"), ("Pia", "Paul"), ("Rosa", "Rex"), ("Sara", "Sam"),
    ("Tess", "Tom"), ("Uma", "Udo"), ("Vera", "Vic"), ("Wanda", "Walt"), ("Yara", "Yan"), ("Zoe", "Zack"),
)  # fmt: skip
"""(she, he) for each initial."""


def name_all(pronouns: Sequence[str], dice: random.Random) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Two names for each person: hers, and the one she has where the film is renamed; all initials differ."""
    letters = dice.sample(range(len(NAMES)), 2 * len(pronouns))
    sides = [0 if pronoun == "she" else 1 for pronoun in pronouns]
    first = tuple(NAMES[letter][side] for letter, side in zip(letters, sides, strict=False))
    other = tuple(NAMES[letter][side] for letter, side in zip(letters[len(sides) :], sides, strict=True))
    return first, other
