"""A film goes in; inquiries about why somebody thinks or does what she does come out, without words.

Two explanations are offered, and over the films of a set each is right as often as it is wrong.
"""

from __future__ import annotations

from eval.worlds import plot
from eval.worlds.inquiries import Asker, Held, Inquiry, Solve, Together
from eval.worlds.voice import Named
from eval.worlds.wording import reasons
from roles.minds import Event

CHANNELS = {"transparent": "glass", "told": "told", "peeked": "peeked", "came_back": "saw"}
"""How she comes to know in the controls that flip the answer."""


def explaining(a: Asker) -> list[Inquiry]:
    """Why the believer thinks, will look, or looked where she did."""
    scene, cast = a.scene, a.scene.cast
    if scene.family == "contents":
        return []
    at_s: float | None = None
    search = None
    if scene.coda:
        last_s = a.laid[-1].end_s if a.laid else 0.0
        search = next((e for e in _opened(a, cast.believer) if e.start_s >= last_s), None)
        if search is None:
            return []
        # With the lid she knows more: what she thinks until then made her go there.
        at_s = max(0.0, search.start_s - 0.01)
    belief = a.minds.belief(cast.believer, fact=a.where, at_s=at_s)
    if belief is None or belief.value not in a.boxes:
        return []
    held = str(belief.value)
    opened = next((b.container for b in scene.beats if search is not None and b.event == search.id), None)
    pair = _explanations(a, held, belief.source)
    if pair is None or (search is not None and opened != held):
        return []
    variant = "did" if scene.coda else a.dice("why").choice(("think", "will"))
    options = worded(a, *pair)
    # That she does not know of the last move is seen in that move.
    solve: Solve = Held((cast.believer,), a.where, at_s)
    start = set(a.minds.evidence(cast.believer, fact=a.where, at_s=at_s))
    if pair[0] == "unaware":
        solve = Together((Held((), a.where, at_s), solve))
        start |= set(a.evidence())
    events = a.evidence_of(("why", pair[0]), solve, start)
    return [
        Inquiry(
            "why",
            variant,
            {"x": ("person", cast.believer), "o": ("thing", cast.thing), "c": ("container", held)},
            options,
            options[0],
            events,
            order=1,
            truth=held == a.reality,
            solve=solve,
        )
    ]


def _opened(a: Asker, person: str) -> list[Event]:
    return [event for event in a.events if event.kind == "open" and event.actor == person]


def _explanations(a: Asker, held: str, source: str) -> tuple[str, str] | None:
    """(right, wrong) explanation, so that each is right in as many films of a set as it is wrong."""
    scene = a.scene
    false = held != a.reality
    if scene.family == "second_order":
        return ("unaware", "peeked") if false else ("peeked", "unaware")
    if scene.family == "testimony":
        if source == "told":
            return "told", "distrust"
        return ("distrust", "told") if scene.kind.endswith("distrusted") else None
    if not false:
        return CHANNELS.get(scene.kind, "saw"), "unaware"
    other = "saw"
    if scene.kind != "false_belief":
        other = next((CHANNELS[kind] for kind in plot.members(scene.seed) if kind in CHANNELS), "saw")
    return "unaware", other


def worded(a: Asker, right: str, wrong: str) -> tuple[Named, ...]:
    """Explanations as options, in ways to say them that the set's films share."""
    pick = a.dice("reasons").random()
    said = reasons()
    return tuple(
        ("reason", f"{said[name][int(pick * len(said[name]))]}|{a.scene.cast.believer}") for name in (right, wrong)
    )
