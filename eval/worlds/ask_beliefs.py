"""A film goes in; inquiries about what people think, know and mean to say come out, without words.

Everything that could give an answer away without following minds is kept even within a matched set: what is asked in
one of its films is asked in the others with the same options, or in just as many with the other answer.
"""

from __future__ import annotations

from eval.worlds import plot
from eval.worlds.inquiries import Asker, Honest, Inquiry
from eval.worlds.scene import YARD
from eval.worlds.voice import Named

AS_FIRST = 0.2
"""Share of the sets about places in which a question of order 2 is asked whose answer is that of order 1."""


def believing(a: Asker) -> list[Inquiry]:
    """Where the believer thinks the thing is, where she will look, whether she knows, and who does not."""
    scene, cast, thing = a.scene, a.scene.cast, a.scene.cast.thing
    if scene.coda or scene.family == "contents":
        return []
    found: list[Inquiry] = []
    offered: tuple[Named, ...] = tuple(("container", name) for name in cast.offered)
    slots: dict[str, Named] = {"x": ("person", cast.believer), "o": ("thing", thing)}
    held = a.held(cast.believer)
    if held in cast.offered:
        for kind in ("belief", "search"):
            found.append(
                Inquiry(
                    kind,
                    "",
                    slots,
                    offered,
                    ("container", str(held)),
                    a.evidence(cast.believer),
                    order=1,
                    truth=held == a.reality,
                    solve=a.value(cast.believer),
                    fixed=True,
                )
            )
    found += _knowledge(a)
    found += _ignorance(a)
    second = a.held(cast.mover, cast.believer) if _nested(a) else None
    if second in cast.offered:
        found.append(
            Inquiry(
                "second_order",
                "",
                {**slots, "m": ("person", cast.mover)},
                offered,
                ("container", str(second)),
                a.evidence(cast.mover, cast.believer),
                order=2,
                truth=second == held,
                solve=a.value(cast.mover, cast.believer),
                fixed=True,
            )
        )
    return found


def _nested(a: Asker) -> bool:
    """Whether it is asked what the mover thinks that the believer thinks.

    In sets about places this is mostly what she thinks herself; only who peeks unnoticed knows more than he supposes.
    Where the set has such a film, it is asked about with the one in which she sees the move from the room: she holds
    the same in both, he supposes the one place in one and the other in the other.
    """
    scene = a.scene
    if scene.family == "second_order":
        return True
    if scene.family != "place":
        return False
    if "peeked" in plot.members(scene.seed):
        return scene.kind in ("peeked", "true_belief")
    return scene.kind in ("false_belief", "true_belief") and a.dice("second_order").random() < AS_FIRST


def _knowledge(a: Asker) -> list[Inquiry]:
    scene, cast = a.scene, a.scene.cast
    who: str | None = cast.believer
    if scene.family == "testimony":
        # The believer knows in one film of six only, so she is asked about in two films, and the witness in the rest.
        who = cast.believer if scene.kind.startswith("truth") else cast.witness
    if who is None or a.reality is None:
        return []
    knows = a.minds.knows(who, fact=a.where)
    events, solve = a.knowing(who)
    return [
        Inquiry(
            "knowledge",
            "",
            {"x": ("person", who), "o": ("thing", cast.thing)},
            (("text", "yes"), ("text", "no")),
            ("text", "yes" if knows else "no"),
            events,
            order=1,
            truth=knows,
            solve=solve,
        )
    ]


def _ignorance(a: Asker) -> list[Inquiry]:
    cast = a.scene.cast
    if a.reality is None:
        return []
    people = [name for name in a.seen_people if a.scene.story.initial.get(("at", name)) != YARD]
    knows = {name: a.minds.knows(name, fact=a.where) for name in people}
    unsure = [name for name in people if not knows[name] and a.held(name) is not None]
    sure = [name for name in people if knows[name]]
    if not unsure or not sure:
        return []
    ignorant = cast.believer if cast.believer in unsure else unsure[0]
    knower = cast.mover if cast.mover in sure else sure[0]
    variant = a.dice("ignorance").choice(("not", "knows"))
    pair = tuple(name for name in people if name in (ignorant, knower))
    events, solve = a.knowing(*pair)
    return [
        Inquiry(
            "ignorance",
            variant,
            {"o": ("thing", cast.thing)},
            tuple(("person", name) for name in pair),
            ("person", ignorant if variant == "not" else knower),
            events,
            order=1,
            solve=solve,
        )
    ]


def honest(a: Asker) -> list[Inquiry]:
    """Whether the witness lied, was mistaken or told the truth."""
    scene, cast = a.scene, a.scene.cast
    said = [e for e in a.events if e.says is not None and e.says[0] == a.where and e.actor == cast.witness]
    if scene.family != "testimony" or cast.witness is None or len(said) != 1:
        return []
    event = said[0].id
    verdict = a.minds.honesty(event)
    witness = cast.witness
    ways = (
        ("lie", "mistake", "truth"),
        ("a lie", "a mistake", "the truth"),
        ("a lie", "an honest mistake", "the truth"),
    )
    words = dict(zip(ways[0], a.dice("honesty").choice(ways[1:]), strict=True))

    solve = Honest(event)
    before_s = max(0.0, said[0].end_s - 0.01)
    belief = a.minds.belief(witness, fact=a.where, at_s=before_s)
    start = {event, *(belief.why if belief else ()), *a.minds.truth(a.where, at_s=before_s).why}
    return [
        Inquiry(
            "honesty",
            "",
            {"w": ("person", witness), "x": ("person", cast.believer), "o": ("thing", cast.thing)},
            tuple(("text", words[name]) for name in ways[0]),
            ("text", words[verdict]),
            a.evidence_of(("honesty",), solve, start),
            order=1,
            solve=solve,
        )
    ]
