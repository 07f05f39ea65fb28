"""Mirroring: a scene goes in, the same scene with left and right exchanged comes out."""

from __future__ import annotations

from dataclasses import replace

from eval.worlds.layout import flipped
from eval.worlds.scene import Scene


def mirrored(scene: Scene) -> Scene:
    """The scene in a mirror: every x becomes the stage's width less x; story, names and times stay."""
    width = scene.stages[0].width

    def turn(x: float) -> float:
        return round(width - x, 4)

    camera = scene.look.camera
    facts = {**scene.facts, "door": {"left": "right", "right": "left"}[scene.facts["door"]]}
    return replace(
        scene,
        stages=tuple(flipped(stage) for stage in scene.stages),
        people=tuple(replace(person, x=turn(person.x)) for person in scene.people),
        containers=tuple(replace(box, x=turn(box.x)) for box in scene.containers),
        things=tuple(replace(thing, x=turn(thing.x)) if thing.x else thing for thing in scene.things),
        beats=tuple(
            replace(
                beat, x_from=turn(beat.x_from), x_to=turn(beat.x_to), to_x=turn(beat.to_x) if beat.to_container else 0.0
            )
            for beat in scene.beats
        ),
        look=replace(scene.look, camera=replace(camera, dx=(-camera.dx[0], -camera.dx[1]))),
        facts=facts,
    )
