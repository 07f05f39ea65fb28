"""Pictures: one moment of a story and somebody's picture of the facts go in, her picture after the moment comes out.

The rules by which pictures change, for `roles.minds`. The truth is one picture; Sally's is made inside it, by what she
perceives there; what Anne thinks that Sally believes is made by the same rules inside Anne's. So a step needs only her
picture and the one that it is made inside of, before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from roles.perception import Perception
from roles.story import SPOKEN, Fact, Moment, Story, Value

OWN = ("at", "turned", "trusts", "wants")
"""Kinds of facts that the person whom they are about always knows."""
NOBODY: frozenset[str] = frozenset()


class Note(NamedTuple):
    """What stands behind a value in a picture.

    Attributes:
        source: As in `roles.minds.Belief`.
        teller: Who told it, if it was told.
        fresh: Whether she saw it and has watched its place without a gap since: then no word beats it.
        since_s: When it took its value.
        why: Events that it rests on.
    """

    source: str
    teller: str | None
    fresh: bool
    since_s: float
    why: frozenset[str]


class Picture:
    """Somebody's picture of the facts: values and notes by fact. Never changed once a step has returned it."""

    __slots__ = ("notes", "values")

    def __init__(self, values: dict[Fact, Value], notes: dict[Fact, Note]) -> None:
        self.values = values
        self.notes = notes


class Step(NamedTuple):
    """What a moment did to a picture: the new one, whether it was seen and heard, and which facts were written."""

    picture: Picture
    seen: bool
    heard: bool
    touched: tuple[Fact, ...]


class _Draft:
    """A picture that is being changed: copied when first written to."""

    __slots__ = ("base", "notes", "reasons", "time_s", "touched", "values")

    def __init__(self, base: Picture, time_s: float, reasons: bool) -> None:
        self.base = base
        self.values = base.values
        self.notes = base.notes
        self.touched: list[Fact] = []
        self.time_s = time_s
        self.reasons = reasons

    def write(
        self,
        fact: Fact,
        value: Value,
        source: str,
        why: frozenset[str],
        *,
        fresh: bool = False,
        teller: str | None = None,
    ) -> None:
        """Write the value; its time stays where the value is the same as before."""
        old = self.notes.get(fact)
        since_s = self.time_s if self.reasons else 0.0
        if old is not None and self.values[fact] == value:
            since_s = old.since_s
        self.note(fact, Note(source, teller, fresh, since_s, why), value)

    def note(self, fact: Fact, note: Note, value: Value) -> None:
        if self.values is self.base.values:
            self.values = dict(self.values)
            self.notes = dict(self.notes)
        self.values[fact] = value
        self.notes[fact] = note
        self.touched.append(fact)

    def done(self) -> Picture:
        return self.base if self.values is self.base.values else Picture(self.values, self.notes)


class Calculus:
    """The rules of change for one story.

    Args:
        story: The story; its events are not used here, only who is there and how places lie.
        perception: The rules of perception.
        reasons: Whether notes carry times and events. Without them pictures that are the same are equal.
    """

    def __init__(self, story: Story, perception: Perception, *, reasons: bool = True) -> None:
        self.story = story
        self.perception = perception
        self.reasons = reasons
        self._is_local = bool(getattr(perception, "local", False))

    def opening_truth(self) -> Picture:
        """Return the truth at second 0."""
        values = {**self.story.common, **self.story.initial}
        return Picture(values, dict.fromkeys(values, Note("saw", None, True, 0.0, NOBODY)))

    def opening(self, who: str, above: Picture) -> Picture:
        """Return what `who` takes to be so at second 0, inside the picture `above`."""
        draft = _Draft(Picture({}, {}), 0.0, self.reasons)
        for fact, value in self.story.common.items():
            draft.write(fact, value, "saw", NOBODY, fresh=True)
        for fact, value in above.values.items():
            if _is_own(who, fact, value):
                draft.write(fact, value, "saw", NOBODY, fresh=True)
        self._glance(draft, who, above)
        return draft.done()

    def truth(self, picture: Picture, moment: Moment) -> Step:
        """Let a moment change the truth."""
        draft = _Draft(picture, moment.key[0], self.reasons)
        why = frozenset((moment.event.id,)) if self.reasons else NOBODY
        for fact, value in moment.facts:
            draft.write(fact, value, "saw", why, fresh=True)
        return Step(draft.done(), True, True, tuple(draft.touched))

    def step(self, who: str, mine: Picture, moment: Moment, before: Picture, above: Step, holder: str | None) -> Step:
        """Let a moment change the picture that `who` has.

        Args:
            who: Whose picture it is.
            mine: Her picture before the moment.
            moment: The moment.
            before: The picture that hers is made inside of, before the moment.
            above: What the moment did to that picture.
            holder: Who has that picture; None if it is the truth.

        Returns:
            What the moment did to hers.
        """
        event = moment.event
        seen, heard = above.seen, above.heard and moment.voiced
        if who != event.actor:
            seen = seen and self.perception.perceives(who, event, before.values, self.story)
            heard = heard and self.perception.hears(who, event, before.values, self.story)
        if not (seen or heard) and above.picture is before:
            return Step(mine, False, False, ())
        draft = _Draft(mine, moment.key[0], self.reasons)
        why = frozenset((event.id,)) | self._gate(who, before) if self.reasons and (seen or heard) else NOBODY
        for fact, value in moment.facts:
            if heard if fact[0] in SPOKEN else seen:
                draft.write(fact, value, "saw", why, fresh=True)
        for fact in above.touched:
            value = above.picture.values[fact]
            if _is_own(who, fact, value) and draft.values.get(fact, _UNKNOWN) != value:
                draft.write(fact, value, "saw", above.picture.notes[fact].why, fresh=True)
        if who == event.actor and above.seen:
            for fact in moment.reveals:
                self._look(draft, who, fact, above.picture.values.get(fact), above.picture, why)
        if moment.says is not None and above.heard:
            self._listen(draft, who, event.actor, moment.says, heard, above.picture, holder, why)
        if draft.touched or above.picture is not before:
            self._glance(draft, who, above.picture, self._affected(draft, who, above))
        if self.reasons:
            self._overlook(draft, who, above)
        return Step(draft.done(), seen, heard, tuple(dict.fromkeys(draft.touched)))

    def _listen(
        self,
        draft: _Draft,
        who: str,
        speaker: str,
        says: tuple[Fact, Value],
        heard: bool,
        above: Picture,
        holder: str | None,
        why: frozenset[str],
    ) -> None:
        """Take in what is said: hearers who trust believe it, and take the speaker to believe it."""
        fact, value = says
        old = draft.notes.get(fact)
        if who != speaker:
            if not heard or not self.perception.trusts(who, speaker, draft.values):
                return
            if old is not None and draft.values[fact] is not None and old.fresh:
                return  # She has had it before her eyes all along: nobody talks her out of that.
            why |= self._why(draft.notes, ("trusts", who, speaker))
        else:
            if holder is None or not self.perception.trusts(holder, speaker, above.values):
                return
            # Who believes him takes him to believe it himself; who knows better takes him to believe what he saw.
            if old is not None and old.source == "saw" and above.values.get(fact, _UNKNOWN) != value:
                return
        if old is None or draft.values[fact] != value or old.source not in ("saw", "told"):
            draft.write(fact, value, "told", why, teller=speaker)

    def _affected(self, draft: _Draft, who: str, above: Step) -> dict[Fact, None] | None:
        """Return the facts that may look different to her after a moment; None if all may."""
        if not self._is_local or ("at", who) in above.touched or ("turned", who) in above.touched:
            return None
        affected = dict.fromkeys((*above.touched, *draft.touched))
        moved = {fact[1] for fact in above.touched if fact[0] in ("at", "open")}
        if moved:
            for values in (above.picture.values, draft.values):
                for fact, value in values.items():
                    if value in moved or fact[1] in moved:
                        affected[fact] = None
        return affected

    def _glance(self, draft: _Draft, who: str, above: Picture, affected: dict[Fact, None] | None = None) -> None:
        """Let her see what lies before her eyes in the picture `above`, and miss what should and does not.

        Args:
            draft: Her picture.
            who: She.
            above: The picture that hers is made inside of.
            affected: The facts to look at; None is all.
        """
        perception, story, state = self.perception, self.story, above.values
        for fact in state if affected is None else affected:
            value = state.get(fact)
            if value is not None and perception.views(who, fact, state, story):
                self._look(draft, who, fact, value, above, NOBODY)
        for fact in list(draft.values) if affected is None else affected:
            value = draft.values.get(fact)
            if value is None or fact[0] in _UNSEEN or state.get(fact) == value:
                continue
            if perception.views(who, fact, {**state, fact: value}, story):
                self._look(draft, who, fact, None, above, NOBODY)  # If it were so, she would see it.
        if story.labels:
            self._read_labels(draft, who, above)
        for fact in list(draft.notes) if affected is None else affected:
            note = draft.notes.get(fact)
            if note is not None and note.fresh:
                value = draft.values[fact]
                believed = state if state.get(fact) == value else {**state, fact: value}
                if not perception.watches(who, fact, believed, story):
                    draft.note(fact, note._replace(fresh=False), value)

    def _look(self, draft: _Draft, who: str, fact: Fact, value: Value, above: Picture, why: frozenset[str]) -> None:
        """Let her find by looking that a fact has this value, None being that it is not as she thought.

        Whoever told her otherwise loses her trust.
        """
        old = draft.notes.get(fact)
        held = draft.values.get(fact)
        if value == held and (old is None or old.source == "saw"):
            if old is not None and not old.fresh:
                draft.note(fact, old._replace(fresh=True), value)
            return
        theirs = above.notes.get(fact)
        if self.reasons:
            why |= self._gate(who, above) | (theirs.why if theirs is not None else NOBODY)
            for where in (value, held):
                if isinstance(where, str) and where in self.story.containers:
                    why |= self._why(above.notes, ("open", where))
        known = above.values.get(fact) is not None or (theirs is not None and theirs.source == "missed")
        if known and old is not None and old.source == "told" and old.teller not in (None, who) and held != value:
            doubt: Fact = ("trusts", who, str(old.teller))
            if draft.values.get(doubt) is not False:
                draft.write(doubt, False, "saw", why | old.why, fresh=True)
        draft.write(fact, value, "missed" if value is None else "saw", why, fresh=value is not None)

    def _read_labels(self, draft: _Draft, who: str, above: Picture) -> None:
        """Let her take a container that she knows nothing of to hold what is pictured on it."""
        perception, story = self.perception, self.story
        for container, thing in story.labels.items():
            looked: Fact = (_LOOKED, container)
            if looked not in draft.values and perception.looks_into(who, container, above.values, story):
                draft.write(looked, True, "saw", self._gate(who, above), fresh=False)
            fact: Fact = ("in", thing)
            if fact in draft.values or looked in draft.values:
                continue
            if any(value == container and known[0] == "in" for known, value in draft.values.items()):
                continue
            if perception.views(who, ("open", container), above.values, story):
                draft.write(fact, container, "label", self._gate(who, above))

    def _overlook(self, draft: _Draft, who: str, above: Step) -> None:
        """Note what kept her from noticing a change: without it she would believe something else."""
        for fact in above.touched:
            note = draft.notes.get(fact)
            if note is not None and draft.values[fact] != above.picture.values[fact]:
                why = note.why | self._gate(who, above.picture)
                if why != note.why:
                    draft.note(fact, note._replace(why=why), draft.values[fact])

    def _gate(self, who: str, above: Picture) -> frozenset[str]:
        """The events that put her where she stands, and turned her."""
        if not self.reasons:
            return NOBODY
        return self._why(above.notes, ("at", who)) | self._why(above.notes, ("turned", who))

    def _why(self, notes: Mapping[Fact, Note], fact: Fact) -> frozenset[str]:
        note = notes.get(fact) if self.reasons else None
        return note.why if note is not None else NOBODY


_LOOKED = "looked into"
_UNSEEN = ("trusts", "wants", _LOOKED)
_UNKNOWN = object()


def _is_own(who: str, fact: Fact, value: Value) -> bool:
    """Tell whether she knows this of herself: where she is, how she is turned, whom she trusts, her wish, her hands."""
    return (fact[0] in OWN and fact[1] == who) or (fact[0] == "in" and value == who)
