"""A film goes in; inquiries whose answers are moments come out, without words.

Asked for is only what happens once, so that one span is right and no other.
"""

from __future__ import annotations

from collections.abc import Callable

from eval.worlds.inquiries import Asker, Inquiry
from eval.worlds.voice import Named
from eval.worlds.wording import SLOTS
from roles.minds import Change, Event
from roles.types import Span

EVENTS = 3
"""Moments of single events that are asked of one film."""
FRAME_S = 1.0
"""A frame asked for may lie so long before and after the instant."""
NEAR_S = 0.005
"""Times are written with two decimals; closer ones are the same."""


def turning(a: Asker) -> list[Inquiry]:
    """When the believer's belief becomes false, when she finds out, and the frame of it."""
    scene, cast = a.scene, a.scene.cast
    found: list[Inquiry] = []
    slots: dict[str, Named] = {"x": ("person", cast.believer), "o": ("thing", cast.thing)}
    spans = a.minds.false_spans(cast.believer, a.where) if scene.family != "contents" else ()
    if len(spans) == 1:
        event = _turned_false(a, spans[0][0])
        if event is not None:
            found.append(Inquiry("moment_false", "", slots, events=(event.id,), order=1))
        discovery = _discovery(a)
        if discovery is not None and not _misled(a, spans[0][0], discovery):
            found.append(Inquiry("moment_found_out", "", slots, events=(discovery.event,), order=1))
            found.append(
                Inquiry("frame", "gone", slots, events=(discovery.event,), moment=_frame(a, discovery), order=1)
            )
    found += _unpacked(a)
    caught = _caught(a)
    if caught is not None and cast.witness is not None and not any(inquiry.type == "frame" for inquiry in found):
        named: dict[str, Named] = {"x": slots["x"], "w": ("person", cast.witness)}
        found.append(Inquiry("frame", "lied", named, events=(caught.event,), moment=_frame(a, caught), order=1))
    return found


def _unpacked(a: Asker) -> list[Inquiry]:
    """When the believer finds out that the container does not hold what is in the picture or what was in it."""
    scene, cast = a.scene, a.scene.cast
    box = cast.path[0]
    label = next((container.label for container in scene.containers if container.name == box), None)
    if scene.family != "contents" or label is None:
        return []
    slots: dict[str, Named] = {"x": ("person", cast.believer), "c": ("container", box)}
    for change in a.minds.changes(cast.believer, fact=("in", label)):
        was_false = change.before is not None and change.before.value == box and not change.was_true
        if was_false and (change.after is None or change.after.value != box) and _event(a, change.event) is not None:
            shown = _frame(a, change)
            return [
                Inquiry("moment_found_out", "contents", slots, events=(change.event,), order=1),
                Inquiry("frame", "contents", slots, events=(change.event,), moment=shown, order=1),
            ]
    return []


def _turned_false(a: Asker, time_s: float) -> Event | None:
    """The event by which she came to be wrong: the thing was moved, or she was told something false."""
    for event in a.events:
        if abs(event.end_s - time_s) < NEAR_S and any(fact == a.where for fact, _ in event.effects):
            return event
    changes = a.minds.changes(a.scene.cast.believer, fact=a.where)
    turn = next((change for change in changes if abs(change.time_s - time_s) < NEAR_S), None)
    return None if turn is None else _event(a, turn.event)


def _discovery(a: Asker) -> Change | None:
    """The turn in which she gives up a false belief for a true one, or for none."""
    for change in a.minds.changes(a.scene.cast.believer, fact=a.where):
        was_false = change.before is not None and change.before.value is not None and not change.was_true
        if was_false and (change.is_true or (change.after is not None and change.after.value is None)):
            return change if _event(a, change.event) is not None else None
    return None


def _misled(a: Asker, start_s: float, discovery: Change) -> bool:
    """Whether she took another wrong place for the right one before: then she found out something twice."""
    return any(
        start_s + NEAR_S < change.time_s < discovery.time_s - NEAR_S
        for change in a.minds.changes(a.scene.cast.believer, fact=a.where)
    )


def _caught(a: Asker) -> Change | None:
    """The turn in which the believer finds out that the witness lied to her about something."""
    cast = a.scene.cast
    if cast.witness is None:
        return None
    for change in a.minds.changes(cast.believer, fact=("trusts", cast.believer, cast.witness)):
        if change.after is None or change.after.value is not False:
            continue
        said = [e for e in a.events if e.says is not None and e.actor == cast.witness and e.end_s <= change.time_s]
        if said and a.minds.honesty(said[-1].id) == "lie" and _event(a, change.event) is not None:
            return change
    return None


def _frame(a: Asker, change: Change) -> Span:
    """Around the end of the event: a lid is fully open then, a sentence said, a face has changed."""
    event = _event(a, change.event)
    end_s = change.time_s if event is None else event.end_s
    return Span(round(max(0.0, end_s - FRAME_S), 2), round(min(a.scene.duration_s, end_s + FRAME_S), 2))


def _event(a: Asker, event_id: str) -> Event | None:
    return next((event for event in a.events if event.id == event_id), None)


def happening(a: Asker) -> list[Inquiry]:
    """When single things happen: somebody leaves, moves the thing, looks in at the window ..."""
    order = list(SLOTS["moment_event"])
    a.dice("moment_event").shuffle(order)
    found: list[Inquiry] = []
    for variant in order:
        event, slots = _FINDERS[variant](a)
        if event is not None and len(found) < EVENTS:
            found.append(Inquiry("moment_event", variant, slots, events=(event.id,)))
    return found


Found = tuple[Event | None, dict[str, Named]]


def _single(events: list[Event]) -> Event | None:
    return events[0] if len(events) == 1 else None


def _thing(a: Asker) -> Named:
    return ("thing", a.scene.cast.thing)


def _moves(a: Asker) -> list[Event]:
    return [event for event in a.laid if event.kind == "move"]


def _move(a: Asker) -> Found:
    mover = a.scene.cast.mover
    event = _single([event for event in _moves(a) if event.actor == mover])
    return event, {"m": ("person", mover), "o": _thing(a)}


def _move_away(a: Asker) -> Found:
    cast = a.scene.cast
    seen = set(a.minds.perceived(cast.believer))
    unseen = [event for event in _moves(a) if event.actor == cast.mover and event.id not in seen]
    return _single(unseen), {"m": ("person", cast.mover), "x": ("person", cast.believer), "o": _thing(a)}


def _last_seen(a: Asker) -> Found:
    believer = a.scene.cast.believer
    seen = set(a.minds.perceived(believer))
    handled = [e for e in a.events if e.id in seen and any(fact == a.where for fact, _ in e.effects)]
    event = handled[-1] if handled and handled[-1] in a.laid and handled[-1].actor != believer else None
    return event, {"x": ("person", believer), "o": _thing(a)}


def _tell(a: Asker) -> Found:
    told = [e for e in a.events if e.says is not None and e.says[0] == a.where]
    event = _single(told)
    beat = next((beat for beat in a.scene.beats if event is not None and beat.event == event.id), None)
    if event is None or beat is None or beat.other is None:
        return None, {}
    return event, {"w": ("person", event.actor), "x": ("person", beat.other), "o": _thing(a)}


def _put(a: Asker) -> Found:
    inside = a.scene.story.initial.get(a.where) in a.boxes
    return (a.laid[0] if a.laid and not inside else None), {"o": _thing(a)}


def _spot(a: Asker) -> Found:
    cast = a.scene.cast
    event = _single([event for event in a.events if event.kind == "spot" and event.actor == cast.mover])
    return event, {"m": ("person", cast.mover), "x": ("person", cast.believer)}


def _open(a: Asker) -> Found:
    """Somebody opens a container, once in the film; which of those is drawn by set.

    Whoever takes a thing out or puts one in opens it, too.
    """
    opened = [(b.event, b.person, b.container) for b in a.scene.beats if b.kind == "open" and b.container is not None]
    handled = [(b.person, box) for b in a.scene.beats for box in (b.container, b.to_container)]
    single = [entry for entry in opened if handled.count(entry[1:]) == 1 and _event(a, entry[0]) is not None]
    if not single:
        return None, {}
    event_id, person, box = single[int(a.dice("open").random() * len(single))]
    return _event(a, event_id), {"x": ("person", person), "c": ("container", str(box))}


def _once(kind: str) -> Callable[[Asker], Found]:
    """Somebody does something of a kind once in the film: the believer, or else one of the others."""

    def find(a: Asker) -> Found:
        cast = a.scene.cast
        for person in (cast.believer, cast.mover, cast.witness):
            event = _single([event for event in a.events if event.kind == kind and event.actor == person])
            if person is not None and event is not None:
                return event, {"x": ("person", person)}
        return None, {}

    return find


_FINDERS: dict[str, Callable[[Asker], Found]] = {
    "move": _move,
    "move_away": _move_away,
    "leave": _once("leave"),
    "return": _once("enter"),
    "last_seen": _last_seen,
    "tell": _tell,
    "put": _put,
    "peek": _once("peek"),
    "open": _open,
    "wish": _once("wish"),
    "turn": _once("look_away"),
    "hide": _once("hide"),
    "spot": _spot,
}
