"""The check of a plot: a scene goes in, an error comes out where `roles.minds` does not find what the plot intends."""

from __future__ import annotations

from eval.worlds.scene import ROOM, Scene
from roles.minds import Minds


class PlotError(RuntimeError):
    """A scene in which somebody does not think what the plot meant them to: an error of the generator."""


def verify(scene: Scene, minds: Minds | None = None) -> None:
    """Checks beliefs, second-order beliefs, trust, honesty and who is in view.

    Raises:
        PlotError: Something is not as intended.
    """
    minds = Minds(scene.story) if minds is None else minds
    facts, cast = scene.facts, scene.cast
    x, m = cast.believer, cast.mover
    if scene.coda:
        _agree(scene, "what she found", _held(scene, minds, x), facts["reality"])
    at_s = (
        None if not scene.coda else min(e.start_s for e in scene.story.events if e.id == facts["event.search"]) - 0.02
    )
    _agree(scene, "the truth", _held(scene, minds, at_s=at_s), facts["reality"])
    _agree(scene, "the believer's belief", _held(scene, minds, x, at_s=at_s), facts["thinks"])
    _agree(scene, "the mover's belief", _held(scene, minds, m, at_s=at_s), facts["reality"])
    if "expects" in facts:
        _agree(scene, "what the mover expects", _held(scene, minds, m, x, at_s=at_s), facts["expects"])
    if scene.family == "testimony":
        kind = scene.kind.split("_")[0]
        _agree(scene, "honesty", minds.honesty(facts["event.tell"]), kind)
        trust = minds.belief(x, fact=("trusts", x, cast.witness or ""))
        distrusts = trust is not None and trust.value is False
        if not scene.coda:
            _agree(scene, "trust", "no" if distrusts else "yes", facts["trusted"])
    if scene.kind == "told":
        _agree(scene, "honesty", minds.honesty(facts["event.tell"]), "truth")
    at, turned = minds.truth(("at", x)).value, minds.truth(("turned", x)).value
    _agree(scene, "in view", "yes" if at == ROOM and turned is not True else "no", facts["in_view"])


def _held(scene: Scene, minds: Minds, *chain: str, at_s: float | None = None) -> str | None:
    """Where the thing is, or what the container with the picture holds, in somebody's mind."""
    if scene.family == "contents":
        inside = minds.contents(*chain, container=scene.cast.path[0], at_s=at_s)
        return inside[0] if len(inside) == 1 else None
    if not chain:
        value = minds.truth(("in", scene.cast.thing), at_s).value
    else:
        belief = minds.belief(*chain, fact=("in", scene.cast.thing), at_s=at_s)
        value = None if belief is None else belief.value
    return value if isinstance(value, str) else None


def _agree(scene: Scene, what: str, found: str | None, meant: str) -> None:
    if found != meant:
        raise PlotError(f"seed {scene.seed}, kind {scene.kind}: {what} is {found}, meant was {meant}")
