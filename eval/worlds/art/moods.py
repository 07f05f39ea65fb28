"""Moods: a person's beats and reactions go in, what the face shows in every frame comes out."""

from __future__ import annotations

import numpy as np

from eval.worlds.art.tracks import (
    Acting,
    beats_of,
    pulse,
    span,
)
from eval.worlds.scene import Person, Scene


def express(scene: Scene, person: Person, acting: Acting) -> None:
    """What the face shows."""
    t, pose = acting.times_s, acting.poses[person.name]
    zeros = np.zeros(len(t))
    wide, brow, slant, smile, mouth = zeros.copy(), zeros.copy(), zeros.copy(), np.full(len(t), 0.4), zeros.copy()
    blush, head_u, head_v, lift = zeros.copy(), zeros.copy(), zeros.copy(), np.array(pose.lift, dtype=float)
    lean = np.array(pose.lean, dtype=float)
    for beat in beats_of(scene, person.name):
        part = span(t, beat.start_s, beat.end_s)
        since = t[part] - beat.start_s
        if beat.kind in ("tell", "wish"):
            talks = pulse(t[part], beat.walk_end_s, beat.end_s - 0.15, 0.1, 0.1)
            mouth[part] = talks * (0.42 + 0.36 * np.sin(since * 2 * np.pi * 3.1))
        elif beat.kind == "spot":
            shock = pulse(t[part], beat.start_s, beat.end_s, 0.12, 0.12)
            wide[part], brow[part], mouth[part] = shock, shock, 0.35 * shock
        elif beat.kind == "peek":
            brow[part], smile[part] = 0.4, 0.1
        elif beat.kind == "idle":
            on = pulse(t[part], beat.walk_end_s, beat.end_s)
            if beat.act in ("dance", "jump"):
                lift[part] += (
                    on
                    * np.abs(np.sin(since * (5.2 if beat.act == "dance" else 4.2)))
                    * (0.022 if beat.act == "dance" else 0.06)
                )
                smile[part] += 0.5 * on
            if beat.act == "dance":
                lean[part] += 0.13 * np.sin(since * 5.2) * on
            elif beat.act == "hum":
                mouth[part], head_u[part] = 0.3 * on, 0.01 * np.sin(since * 3.2) * on
            elif beat.act == "stretch":
                lean[part] += 0.08 * np.sin(since * 2.4) * on
            elif beat.act in ("wave", "juggle"):
                smile[part] += 0.4 * on
    for mood in scene.reactions:
        if mood.person != person.name:
            continue
        part = span(t, mood.start_s, mood.end_s)
        on, since = pulse(t[part], mood.start_s, mood.end_s, 0.15, 0.25), t[part] - mood.start_s
        if mood.feeling == "surprise":
            wide[part], brow[part], mouth[part] = on, on, np.maximum(mouth[part], 0.85 * on)
            lift[part] += 0.03 * np.maximum(0, np.sin(np.clip(since / 0.35, 0, 1) * np.pi))
        elif mood.feeling == "joy":
            smile[part] += 0.6 * on
            mouth[part] = np.maximum(mouth[part], 0.55 * on)
            brow[part] = 0.5 * on
            lift[part] += 0.035 * np.abs(np.sin(since * 6.0)) * on
        elif mood.feeling == "anger":
            brow[part], slant[part], smile[part] = -0.9 * on, -on, smile[part] - 1.2 * on
            blush[part] = on
        elif mood.feeling == "doubt":
            slant[part], smile[part] = on, smile[part] - 0.8 * on
            head_u[part] += 0.016 * np.sin(since * 2 * np.pi * 1.9) * on
        elif mood.feeling == "nod":
            head_v[part] += 0.016 * np.maximum(0, np.sin(since * 2 * np.pi * 1.6)) * on
            smile[part] += 0.3 * on
    pose.wide, pose.brow, pose.slant, pose.smile, pose.mouth = wide, brow, slant, smile, mouth
    pose.blush, pose.head_u, pose.head_v, pose.lift, pose.lean = blush, head_u, head_v, lift, lean
