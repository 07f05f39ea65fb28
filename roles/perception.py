"""Perception: a person, what happens or is so, and a picture of the facts go in; whether she perceives it comes out.

The rules are asked in a picture, not always in the truth: what Anne thinks that Sally sees is what Sally would see if
everything were as Anne takes it to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from roles.story import SPOKEN, Event, Fact, Story, Value


class Perception(Protocol):
    """What people perceive. `state` is a picture of the facts, not always the truth: the rules are asked in it."""

    def perceives(self, who: str, event: Event, state: Mapping[Fact, Value], story: Story) -> bool:
        """Tell whether `who` sees the event happen."""

    def hears(self, who: str, event: Event, state: Mapping[Fact, Value], story: Story) -> bool:
        """Tell whether `who` hears what is said in the event."""

    def views(self, who: str, fact: Fact, state: Mapping[Fact, Value], story: Story) -> bool:
        """Tell whether the fact, as `state` has it, lies open to her eyes."""

    def watches(self, who: str, fact: Fact, state: Mapping[Fact, Value], story: Story) -> bool:
        """Tell whether she would notice now if the fact, as `state` has it, were changed."""

    def looks_into(self, who: str, container: str, state: Mapping[Fact, Value], story: Story) -> bool:
        """Tell whether she sees the container's inside."""

    def trusts(self, who: str, speaker: str, state: Mapping[Fact, Value]) -> bool:
        """Tell whether she believes what the speaker says."""


class StagePerception:
    """People see the places that can be seen from where they are, unless they are turned away; they hear anyway."""

    local = True
    """Whether the rules look only at the facts "at", "turned", "open", "in" and "trusts" of those concerned. This lets
    steps and evidence leave out the rest; a subclass that looks at more sets it to False."""

    def sees(self, who: str, place: Value, state: Mapping[Fact, Value], story: Story) -> bool:
        """Tell whether the place is in her sight. A place without an entry in `story.sight` sees only itself."""
        at = state.get(("at", who))
        if not isinstance(at, str) or state.get(("turned", who)) is True:
            return False
        return place in story.sight.get(at, (at,))

    def perceives(self, who: str, event: Event, state: Mapping[Fact, Value], story: Story) -> bool:
        """See an event at a place in sight."""
        return self.sees(who, event.place, state, story)

    def hears(self, who: str, event: Event, state: Mapping[Fact, Value], story: Story) -> bool:
        """Hear from all places that the event's is heard from; without an entry in `story.earshot`, only there."""
        return self._within_earshot(who, event.place, state, story)

    def views(self, who: str, fact: Fact, state: Mapping[Fact, Value], story: Story) -> bool:
        """See people in sight, what they hold, how they are turned, lids, what lies about, and into open containers."""
        if fact[0] == "in":
            return self._sees_thing(who, fact, state, story, self.looks_into)
        return self._sees_about(who, fact, state, story)

    def watches(self, who: str, fact: Fact, state: Mapping[Fact, Value], story: Story) -> bool:
        """Have an eye on the place where it is; on a wish, an ear."""
        kind, about = fact[0], fact[1]
        if kind == "in":
            return self._sees_thing(who, fact, state, story, self._sees_container)
        if kind != "open" and about == who:
            return True
        if kind in SPOKEN:
            return self._within_earshot(who, state.get(("at", about)), state, story)
        return self._sees_about(who, fact, state, story)

    def looks_into(self, who: str, container: str, state: Mapping[Fact, Value], story: Story) -> bool:
        """See into glass and into what stands open, where the container itself is in sight."""
        if container not in story.glass and state.get(("open", container)) is not True:
            return False
        return self._sees_container(who, container, state, story)

    def trusts(self, who: str, speaker: str, state: Mapping[Fact, Value]) -> bool:
        """Trust everybody of whom nothing else is known."""
        return state.get(("trusts", who, speaker)) is not False

    def _sees_thing(
        self,
        who: str,
        fact: Fact,
        state: Mapping[Fact, Value],
        story: Story,
        sees_box: Callable[[str, str, Mapping[Fact, Value], Story], bool],
    ) -> bool:
        """See where a thing is: in her own hand always, in a container by `sees_box`, else by its holder or place."""
        where = state.get(fact)
        if where == who:
            return True
        if isinstance(where, str) and where in story.containers:
            return sees_box(who, where, state, story)
        return self.sees(who, self._place_of(where, state), state, story)

    def _sees_about(self, who: str, fact: Fact, state: Mapping[Fact, Value], story: Story) -> bool:
        """See where somebody is and how she is turned, always of herself, and whether a container is open."""
        kind, about = fact[0], fact[1]
        if kind in ("at", "turned"):
            return about == who or self.sees(who, state.get(("at", about)), state, story)
        return kind == "open" and self._sees_container(who, about, state, story)

    def _sees_container(self, who: str, container: str, state: Mapping[Fact, Value], story: Story) -> bool:
        return self.sees(who, story.containers.get(container), state, story)

    def _place_of(self, where: Value, state: Mapping[Fact, Value]) -> Value:
        """The place of a thing: its holder's, or the place itself where it lies about."""
        return state.get(("at", where), where) if isinstance(where, str) else None

    def _within_earshot(self, who: str, place: Value, state: Mapping[Fact, Value], story: Story) -> bool:
        at = state.get(("at", who))
        return isinstance(at, str) and isinstance(place, str) and at in story.earshot.get(place, (place,))
