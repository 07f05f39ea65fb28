"""A film with a mislabelled container goes in; inquiries about what is, was and is thought to be in it come out."""

from __future__ import annotations

from eval.worlds.ask_reasons import worded
from eval.worlds.inquiries import Asker, Inquiry, Inside, Solve, Together
from eval.worlds.voice import Named

CONTENTS_REASONS = {
    "unexpected": ("label", "looked"),
    "looked": ("looked", "label"),
    "swapped": ("swap_unaware", "swap_seen"),
    "swap_seen": ("swap_seen", "swap_unaware"),
}
"""(right, wrong) explanation by kind."""
NESTED = 0.35
"""Share of the sets in which order 2 is asked: as the mover sees all that she sees, its answer is that of order 1."""
GOING = ("leave", "look_away", "hide")


def contents(a: Asker) -> list[Inquiry]:
    """What is in the container with the picture, what was in it, what she thinks is in it, and whether she knows."""
    scene, cast = a.scene, a.scene.cast
    if scene.family != "contents":
        return []
    box = cast.path[0]
    inside = a.minds.contents(container=box)
    label = next((container.label for container in scene.containers if container.name == box), None)
    if label is None or len(inside) != 1:
        return []
    names = tuple(dict.fromkeys((label, _hidden(a, box, label))))
    if len(names) != 2:
        return []
    options: tuple[Named, ...] = tuple(("a", name) for name in sorted(names))
    c: Named = ("container", box)
    found = []
    first = a.minds.contents(container=box, at_s=0.0)
    solve: Solve | None = Inside((), box)
    events = a.evidence_of(("contents",), Inside((), box), a.minds.truth(("in", inside[0])).why)
    if not events:
        # It was in there from the start: no event makes it so, but one shows it.
        events, solve = _showing(a, box, inside[0]), None
    if events:
        found.append(Inquiry("reality", "contents", {"c": c}, options, ("a", inside[0]), events, solve=solve))
    if len(first) == 1 and first[0] in names and _showing(a, box, first[0]):
        found.append(Inquiry("memory", "contents", {"c": c}, options, ("a", first[0]), _showing(a, box, first[0])[:1]))
    return found if scene.coda else found + _thought(a, box, inside[0], options)


def _thought(a: Asker, box: str, inside: str, options: tuple[Named, ...]) -> list[Inquiry]:
    """What she thinks is in it, why, whether she knows, and what the other one thinks that she thinks."""
    cast = a.scene.cast
    names = [name for _, name in options]
    slots: dict[str, Named] = {"x": ("person", cast.believer), "c": ("container", box)}
    found = []
    believed = a.minds.contents(cast.believer, container=box)
    if len(believed) == 1 and believed[0] in names:
        held, true = believed[0], believed[0] == inside
        own, really = Inside((cast.believer,), box), Inside((), box)
        events = a.evidence_of(("contents", cast.believer), own, _first_visit(a))
        found.append(
            Inquiry("belief_contents", "", slots, options, ("a", held), events, order=1, truth=true, solve=own)
        )
        reasons = worded(a, *CONTENTS_REASONS[a.scene.kind])
        named: dict[str, Named] = {**slots, "z": ("a", held)}
        both = Together((own, really))
        start = {*_first_visit(a), *a.evidence(fact=("in", inside))}
        known = a.evidence_of(("knows", "contents"), both, start)
        # That she does not know of the exchange is seen in the exchange.
        why, solve = (known, both) if a.scene.kind == "swapped" else (events, own)
        found.append(Inquiry("why", "contents", named, reasons, reasons[0], why, order=1, truth=true, solve=solve))
        answers: tuple[Named, ...] = (("text", "yes"), ("text", "no"))
        right = answers[0 if true else 1]
        found.append(Inquiry("knowledge", "contents", slots, answers, right, known, order=1, truth=true, solve=both))
    chain = (cast.mover, cast.believer)
    second = a.minds.contents(*chain, container=box)
    if len(second) == 1 and second[0] in names and a.dice("belief_contents/second").random() < NESTED:
        solve = Inside(chain, box)
        events = a.evidence_of(("contents", *chain), solve, _first_visit(a))
        right = ("a", second[0])
        named = {"m": ("person", cast.mover), **slots}
        found.append(
            Inquiry(
                "belief_contents", "second", named, options, right, events,
                order=2, truth=second == believed, solve=solve,
            )
        )  # fmt: skip
    return found


def _first_visit(a: Asker) -> list[str]:
    """What the believer does until she goes: where she comes back and sees the picture again, that is no news."""
    own = [event for event in a.events if event.actor == a.scene.cast.believer]
    gone_s = min((event.end_s for event in own if event.kind in GOING), default=a.scene.duration_s)
    return [event.id for event in own if event.end_s <= gone_s]


def _hidden(a: Asker, box: str, label: str) -> str:
    """The thing that is, or will be, in the container, other than the one in the picture."""
    inside = a.minds.contents(container=box)
    return next((name for name in inside if name != label), label)


def _showing(a: Asker, box: str, thing: str) -> tuple[str, ...]:
    """The first event in which one sees the thing in the container, come out of it, or go in."""
    for beat in sorted(a.scene.beats, key=lambda beat: (beat.end_s, beat.event)):
        looked = beat.kind == "open" and beat.container == box and thing in beat.found
        moved = (
            beat.kind in ("put", "take", "move") and beat.thing == thing and box in (beat.container, beat.to_container)
        )
        if looked or moved:
            return (beat.event,)
    return ()
