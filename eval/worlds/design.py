"""Designs: the seed of a matched set goes in, everything that its films share comes out, before any of them is told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from eval.worlds import layout, splits
from eval.worlds.draw import dice
from eval.worlds.layout import Layout, Needs

FAMILIES: dict[str, float] = {"place": 0.5, "second_order": 0.2, "testimony": 0.15, "contents": 0.15}
"""Families and their shares of the seeds."""
KINDS: dict[str, tuple[str, ...]] = {
    "place": (
        "false_belief", "true_belief", "transparent", "told", "peeked", "came_back", "uninformative", "renamed",
        "mirrored", "unseen_glass", "told_other",
    ),
    "second_order": ("unseen", "secret_peek", "seen_peek", "missed_peek"),
    "testimony": ("truth", "truth_distrusted", "lie", "lie_distrusted", "mistake", "mistake_distrusted"),
    "contents": ("unexpected", "looked", "swapped", "swap_seen"),
}  # fmt: skip
"""Kinds of each family."""
TRUE_KINDS = frozenset(
    (
        "true_belief", "transparent", "told", "peeked", "came_back", "secret_peek", "seen_peek", "truth", "looked",
        "swap_seen",
    )
)  # fmt: skip
"""Kinds in which the believer is right at the end of the plot."""
FLIPS = ("transparent", "told", "peeked", "came_back")
KEEPS = ("uninformative", "renamed", "mirrored", "unseen_glass", "told_other")
"""The last two undo what `transparent` and `told` show: glass and words tell her nothing if she is not there."""
DEMANDING = ("peeked", "unseen_glass", "told_other")
"""Kinds that ask something of the whole set: that she leaves, that she stays away, that there is a third person."""
CAUSES = ("leave", "look_away", "hide")
LENGTHS: dict[str, tuple[float, float]] = {
    "12-20": (12, 20), "20-40": (20, 40), "40-60": (40, 60), "60-120": (60, 120), "120-300": (120, 300),
}  # fmt: skip
"""Classes of length, in seconds."""
BRISK: dict[str, float] = {"12-20": 0.357, "20-40": 0.243, "40-60": 0.2, "60-120": 0.1, "120-300": 0.1}
SLOW: dict[str, float] = {"20-40": 0.6, "40-60": 0.2, "60-120": 0.1, "120-300": 0.1}
"""Shares of the classes: stories of testimony and of contents do not fit into 20 s, the others make up for it."""
X, M, W, B = range(4)
"""Parts: believer, mover, witness, bystander."""


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """What the films of a set share.

    Attributes:
        seed: Of the set.
        family: Its family.
        split: Its split.
        members: Its kinds; whether the first of them has a true belief is drawn before everything else.
        cause: How the believer gets out of view: "leave", "look_away" or "hide".
        in_view: Whether she is in view at the end.
        coda: Whether she searches in the end.
        people: Number of people on the main stage.
        moves: How often the thing is moved.
        seen: How many of these moves the believer of the false-belief film sees.
        putter: Who puts the thing into its first container.
        teller: Who tells where it is, in the films where someone tells.
        late: Whether the witness comes only after all moves.
        enters: Whether the believer comes in at the beginning.
        on_floor: Whether the thing lies on the floor at first.
        second: Whether there is a second thing.
        wishes: Which thing believer and mover want, 0 or 1; None where nobody wishes.
        change_mind: Whether the believer wishes for the other one first.
        noise: Which uninformative thing happens in the film of that kind.
        swap_offered: Whether the later place is offered first.
        pace: Speed of everything, about 1.
        lengths: Least and greatest length.
        at: Where between them the length lies, 0 to 1.
        layout: The stage and who and what is on it.
    """

    seed: int
    family: str
    split: str
    members: tuple[str, ...]
    cause: str
    in_view: bool
    coda: bool
    people: int
    moves: int
    seen: int
    putter: int
    teller: int
    late: bool
    enters: bool
    on_floor: bool
    second: bool
    wishes: tuple[int, int] | None
    change_mind: bool
    noise: str
    swap_offered: bool
    pace: float
    lengths: tuple[float, float]
    at: float
    layout: Layout

    @property
    def key(self) -> str:
        """What every draw of the set begins with."""
        return f"{self.seed}/{self.family}"


def family_of(seed: int) -> str:
    """The family of a seed's set."""
    return dice(seed, "family").choices(list(FAMILIES), weights=list(FAMILIES.values()))[0]


def length_class(length_s: float) -> str:
    """The class of a length; what is shorter or longer than all belongs to the nearest."""
    return next((name for name, (_, high) in LENGTHS.items() if length_s <= high), "120-300")


@lru_cache(maxsize=512)
def members(seed: int, family: str) -> tuple[str, ...]:
    """The kinds of a set; the first one's belief is true or false by a draw that nothing else depends on."""
    true_first = dice(seed, "truth").random() < 0.5
    chance = dice(seed, family, "members")
    kinds = list(KINDS[family])
    if family == "place":
        flip, keep = _controls(splits.split_of(seed) == "generalisation", chance.random(), chance.random())
        kinds = ["false_belief", "true_belief", flip, keep]
    chance.shuffle(kinds)
    first = next(kind for kind in kinds if (kind in TRUE_KINDS) == true_first)
    kinds.remove(first)
    return (first, *kinds)


def _controls(held: bool, flip: float, keep: float) -> tuple[str, str]:
    """The control that makes her know, and the one that changes nothing."""
    if not held:
        return FLIPS[int(flip * 3)], KEEPS[1:][int(keep * 4)]
    # One of the two at least is of a kind that no other split has; 2 of 3 sets have it as flip, 2 of 3 as keep.
    if keep < 1 / 3:
        return "came_back", "uninformative"
    if keep < 2 / 3:
        return "came_back", KEEPS[1:][int(flip * 4)]
    return FLIPS[int(flip * 3)], "uninformative"


@lru_cache(maxsize=512)
def design(seed: int, family: str, kind: str | None, length_s: float | None, aspect: str | None) -> Design:
    """The design of a set; a demanding kind that the set does not have is named where it is asked for."""
    chance = dice(seed, family, "design")
    split = splits.split_of(seed)
    kinds = members(seed, family)
    shares = SLOW if family in ("testimony", "contents") else BRISK
    drawn = chance.choices(list(shares), weights=list(shares.values()))[0]
    size = drawn if length_s is None else length_class(length_s)
    lengths, at = (LENGTHS[size], chance.random()) if length_s is None else ((length_s, length_s), chance.random())
    short = size == "12-20"
    needed = {*kinds, kind}
    stays_away = "unseen_glass" in needed
    coda = chance.random() < 0.46 and family != "second_order" and not stays_away
    containers = 3 if family == "testimony" or chance.random() < 0.45 else 2
    # A coda or a second move alone fits into a short film.
    twice = chance.random() < 0.6 and containers == 3 and not (short and coda)
    moves = 2 if family == "testimony" or (twice and family != "contents") else 1
    seen = 0 if family == "testimony" else chance.randrange(moves)
    least = 3 if family == "testimony" or "told_other" in needed else 2
    people = max(least, chance.choices((2, 3, 4), weights=(0.3, 0.45, 0.25))[0])
    cause = _cause(family, needed, chance.random())
    # Four are too many for a narrow picture, and for somebody to turn her back without being in the way.
    people = min(people, 3) if aspect == "4:3" or cause == "look_away" else people
    teller = W if people > 2 and chance.random() < 0.6 else M
    late = chance.random() < 0.35 and family == "place" and people > 2 and not short
    teller = M if late else teller
    putter = X if chance.random() < 0.6 else M
    enters = chance.random() < 0.25 and not short and family in ("place", "second_order")
    on_floor = chance.random() < 0.25 and not short and not enters and family != "contents"
    second = chance.random() < (0.0 if short else 0.5 if size == "20-40" else 0.85) or family in (
        "testimony",
        "contents",
    )
    wants = (chance.randrange(2), chance.randrange(2))
    slow = family == "testimony" and size == "20-40"
    # A quarter of the sets of places have somebody who must stay away; the others make up for it.
    in_view = 2 / 3 if family == "place" and split != "generalisation" else 0.5
    wishes = wants if second and family != "contents" and not (short or slow) and chance.random() < 0.75 else None
    change_mind = chance.random() < 0.25
    noises = ["wave", "stroll", "peek_before", "open_other", "second"]
    chance.shuffle(noises)
    fitting = {"wave"}
    fitting |= {"stroll"} if people > 2 and not late else set()
    fitting |= {"peek_before"} if cause == "leave" else set()
    fitting |= {"open_other"} if containers > moves + 1 else set()
    fitting |= {"second"} if second else set()
    screen = cause == "hide" or chance.random() < 0.12
    yard = size in ("60-120", "120-300") or (size == "40-60" and chance.random() < 0.6)
    needs = Needs(people, containers, 2 if second else 1, screen, yard, aspect, cause == "look_away")
    return Design(
        seed=seed,
        family=family,
        split=split,
        members=kinds,
        cause=cause,
        in_view=not stays_away and (coda or dice(seed, family, "in view").random() < in_view),
        coda=coda,
        people=people,
        moves=moves,
        seen=seen,
        putter=putter,
        teller=teller,
        late=late,
        enters=enters,
        on_floor=on_floor,
        second=second,
        wishes=wishes,
        change_mind=change_mind,
        noise=next(name for name in noises if name in fitting),
        swap_offered=chance.random() < 0.5,
        pace=round(chance.uniform(1.1, 1.3) if short else chance.uniform(0.85, 1.2), 3),
        lengths=lengths,
        at=at,
        layout=layout.furnish(seed, family, split, needs),
    )


def _cause(family: str, kinds: set[str | None], chance: float) -> str:
    """How she gets out of view; whoever peeks has left, and so has who must not hear. Of all sets, about half leave."""
    if family == "second_order" or "peeked" in kinds or "told_other" in kinds:
        return "leave"
    leave = 0.1 if family == "place" else 0.5
    if chance < leave:
        return "leave"
    return "look_away" if chance < (1 + leave) / 2 else "hide"
