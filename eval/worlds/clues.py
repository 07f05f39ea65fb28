"""What a shortcut can see of a film without following any mind: a scene goes in, a few facts of it come out."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eval.worlds import plot, questions
from eval.worlds.questions import Question
from eval.worlds.scene import ROOM, YARD, Scene
from roles.minds import Minds, Value


@dataclass(frozen=True, slots=True)
class Film:
    """A scene with its questions and what a shortcut can see of it.

    Attributes:
        seed: Of its set.
        length_s: Of the film.
        items: Its questions.
        marks: What is known without watching: length, people, cuts, frame rate.
        events: What the believer does in the room and what others do, counted in no order; and whether there is glass.
        first: Where the thing was first.
        previous: Where it was before it was moved last.
        reality: Where it is.
        said: The container named last by a speaker for this thing; None where nobody spoke of it.
        in_view: Whether the believer is in the room and faces it when the film ends.
        attended: Where the thing was when the believer was last in the room and faced it.
        believed: Where the believer thinks it is.
        names: Names of containers and things, longest first.
    """

    seed: int
    length_s: float
    items: tuple[Question, ...]
    marks: tuple[str, ...]
    events: tuple[str, ...]
    first: str | None
    previous: str | None
    reality: str | None
    said: str | None
    in_view: bool
    attended: str | None
    believed: str | None
    names: tuple[str, ...]


def film(seed: int, kind: str) -> Film:
    """What a shortcut can see of one film."""
    scene = plot.scene(seed, kind)
    minds = Minds(scene.story)
    asked = tuple(question for question in questions.ask(scene, minds))
    if scene.family == "contents":
        box = scene.cast.path[0]
        values = [value for value in _contents_over_time(scene, box) if value is not None]
        believed = minds.contents(scene.cast.believer, container=box)
        belief = believed[0] if len(believed) == 1 else None
    else:
        fact = ("in", scene.cast.thing)
        values = _path(scene)
        held = minds.belief(scene.cast.believer, fact=fact)
        belief = held.value if held is not None and isinstance(held.value, str) else None
    in_view, attended = _attention(scene, values)
    return Film(
        seed=seed,
        length_s=scene.duration_s,
        items=asked,
        marks=(
            f"seconds={round(scene.duration_s)}",
            f"tens={round(scene.duration_s / 10)}",
            f"people={len(scene.people)}",
            f"cuts={len(scene.shots)}",
            f"fps={scene.look.fps}",
            f"width={scene.stages[0].width:.2f}",
        ),
        events=_counted(scene),
        first=values[0] if values else None,
        previous=values[-2] if len(values) > 1 else None,
        reality=values[-1] if values else None,
        said=_said(scene),
        in_view=in_view,
        attended=attended,
        believed=belief,
        names=tuple(
            sorted([c.name for c in scene.containers] + [t.name for t in scene.things], key=lambda n: (-len(n), n))
        ),
    )


def films(seed: int, sets: int, workers: int = 1) -> list[Film]:
    """All films of consecutive sets."""
    wanted = [(s, kind) for s in range(seed, seed + sets) for kind in plot.members(s)]
    if workers <= 1:
        return [film(*pair) for pair in wanted]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return pool.starmap(film, wanted, chunksize=16)


def _counted(scene: Scene) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    for event in scene.story.events:
        if event.place != YARD and event.kind not in ("idle", "walk"):
            counts[f"{'she' if event.actor == scene.cast.believer else 'other'}_{event.kind}"] += 1
    glass = "glass" if scene.story.glass else "no_glass"
    return (glass, *(f"{name}={count}" for name, count in sorted(counts.items())))


def _path(scene: Scene) -> list[str]:
    boxes = {container.name for container in scene.containers}
    wanted = ("in", scene.cast.thing)
    path = [str(scene.story.initial[wanted])] if scene.story.initial.get(wanted) in boxes else []
    for event in sorted(scene.story.events, key=lambda event: event.end_s):
        for fact, value in event.effects:
            if fact == wanted and value in boxes and path[-1:] != [value]:
                path.append(str(value))
    return path


def _contents_over_time(scene: Scene, box: str) -> list[str | None]:
    inside: list[str | None] = [
        thing.name for thing in scene.things if scene.story.initial.get(("in", thing.name)) == box
    ]
    for event in sorted(scene.story.events, key=lambda event: event.end_s):
        for fact, value in event.effects:
            if fact[0] == "in" and value == box and inside[-1:] != [fact[1]]:
                inside.append(fact[1])
    return inside


def _said(scene: Scene) -> str | None:
    said = None
    for event in sorted(scene.story.events, key=lambda event: event.end_s):
        if event.says is not None and event.says[0] == ("in", scene.cast.thing):
            said = event.says[1]
    return said if isinstance(said, str) else None


def _attention(scene: Scene, path: Sequence[str | None]) -> tuple[bool, str | None]:
    """(is the believer in view at the end, where was the thing when she last was), by place and facing alone."""
    at: Value = scene.story.initial.get(("at", scene.cast.believer))
    turned: Value = scene.story.initial.get(("turned", scene.cast.believer))
    step, attended = -1, None
    thing = ("in", scene.cast.thing)
    boxes = {container.name for container in scene.containers}
    if scene.story.initial.get(thing) in boxes:
        step = 0
    moments = [(event.start_s, event.onset) for event in scene.story.events]
    moments += [(event.end_s, event.effects) for event in scene.story.events]
    for _, effects in sorted(moments, key=lambda moment: moment[0]):
        if at == ROOM and not turned and step >= 0:
            attended = path[step]
        for fact, value in effects:
            if fact == ("at", scene.cast.believer):
                at = value
            elif fact == ("turned", scene.cast.believer):
                turned = value
            elif fact == thing and value in boxes and (step < 0 or path[step] != value):
                step = min(step + 1, len(path) - 1)
    if at == ROOM and not turned and step >= 0:
        attended = path[step]
    return at == ROOM and not turned, attended
