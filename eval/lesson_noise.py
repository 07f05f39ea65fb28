"""A question or query goes in, the same with some words lost, strange or out of place comes out.

Users use words that no lesson has. A base that has heard questions through noise finds what is meant in the words that
are left. Who and what is meant, and small words that turn the meaning round, always stay.
"""

from __future__ import annotations

import random
import re
from functools import cache

from eval.worlds import art
from eval.worlds.names import NAMES
from eval.worlds.scene import Scene

NOISY_SHARE = 0.4
"""Share of the texts whose words may be changed; of short ones fewer are in the end."""
STRENGTH = (0.04, 0.25)
"""How many of a changed text's words are, from least to most."""
WAYS = (("lost", 0.35), ("strange", 0.4), ("other", 0.1), ("swapped", 0.15))
"""What happens to a word, and how often."""
KEPT = frozenset(
    re.findall(
        r"\w+",
        "not no never nor neither first before last after now really true false wrong right original originally "
        "initially who where what when why which lie lied lying mistake truth know knows think thinks thought i he she "
        "her him his second finally end ends beginning start starts still until from to unaware unseen untrue "
        "incorrect wrongly mistaken miss missed misses cannot without isn aren wasn weren don doesn didn hasn hadn "
        "haven won couldn wouldn shouldn",
    )
)
_WORD = re.compile(r"[A-Za-z]+")
_ONSETS: list[str] = re.findall(
    r"\w+", "b bl br c ch cl d dr f fl g gr h j k l m n p pl pr qu r s sc sh sn st t th tr v w z"
)
_VOWELS: list[str] = re.findall(r"\w+", "a e i o u ai ea ee ie oa oo ou")
_CODAS = ("", *re.findall(r"\w+", "b ck d ft g l ll m mp n nd ng nt p r rd rk s sh st t x"))
_ENDINGS = ("", "", "", "s", "ed", "ing", "er", "ly", "ion", "ment", "ful", "able")


@cache
def _fixed() -> frozenset[str]:
    """Words that name people, things, containers and colours."""
    words = {name.lower() for pair in NAMES for name in pair}
    for names in (art.SHIRTS, art.THING_COLOURS, art.CONTAINER_COLOURS, art.THING_SHAPES, art.CONTAINER_SHAPES):
        words |= {part.lower() for name in names for part in name.split()}
    return frozenset(words) | KEPT


def noised(text: str, scene: Scene, rng: random.Random) -> str:
    """A text with some of its words changed, or as it was.

    Args:
        text: A question or a description of a moment.
        scene: The film it is about, whose names stay.
        rng: Chance.
    """
    if rng.random() >= NOISY_SHARE:
        return text
    strength = rng.uniform(*STRENGTH)
    fixed = _fixed() | {part.lower() for box in scene.containers for part in box.name.split()}
    words = text.split(" ")
    plain = [part for part in _WORD.findall(text) if part.lower() not in fixed]
    out: list[str] = []
    for word in words:
        found = _WORD.search(word)
        if found is None or found.group().lower() in fixed or rng.random() >= strength:
            out.append(word)
            continue
        way = rng.choices([name for name, _ in WAYS], [weight for _, weight in WAYS])[0]
        if way == "swapped":
            out.insert(max(0, len(out) - 1), word)
        elif way == "other":
            out.append(word.replace(found.group(), rng.choice(plain), 1))
        elif way == "strange":
            out.append(word.replace(found.group(), _strange(rng), 1))
        elif found.group() != word:  # lost, but its sign stays
            out.append(word.replace(found.group(), "", 1))
    return " ".join(out) or text


def _strange(rng: random.Random) -> str:
    """A word that does not exist, of one to three syllables."""
    count = rng.choice((1, 1, 2, 2, 3))
    parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(count)]
    word: str = "".join(parts) + rng.choice(_CODAS) + rng.choice(_ENDINGS)
    return _strange(rng) if word in _fixed() else word
