"""People: looks and a pose for every frame go in; a big-headed puppet with eyes that follow what happens comes out.

A person's origin is the ground between the feet; sizes are stage units at size 1, where a person is about half as tall
as the picture is high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.worlds.art.colours import INK, PAPER, RGB, dark, hair, mix, named, skin
from eval.worlds.art.hair import COVERED_EARS, hair_before, hair_behind, hair_from_behind
from eval.worlds.art.letters import write
from eval.worlds.art.pen import Num, Pen, stencil
from eval.worlds.scene import Person

HEAD_V = -0.4
"""Height of the middle of the head."""
MOUTH_V = -0.34
SHOULDER = (0.07, -0.262)
LINE = 0.007
_TOPS = {"bun": 0.147, "curly": 0.138, "spiky": 0.142, "hat": 0.15, "bow": 0.138, "cap": 0.13}
_TRUNK = [(-0.058, -0.29), (0.058, -0.29), (0.088, -0.1), (-0.088, -0.1)]
_TROUSERS: tuple[RGB, ...] = ((74, 84, 112), (112, 92, 84), (86, 106, 92), (96, 84, 110), (120, 116, 104))
_COSTUME: tuple[RGB, ...] = ((52, 150, 150), (150, 62, 84), (92, 104, 128), (222, 200, 160), (120, 140, 70))


@dataclass(slots=True)
class Pose:
    """How a person stands; every field is a number or one number per frame.

    Attributes:
        x: Of the feet, stage units.
        y: Of the feet.
        size: Of the whole person.
        indoors: 1 where she is before the back wall, else 0.
        outdoors: 1 where she is seen behind it (doorway, window), else 0.
        turned: 1 where her back is to us.
        squash: Width while she turns, 1 is full.
        face: Where the face points, -1 left to 1 right.
        gaze_u: Where the eyes point.
        gaze_v: The same, 1 is down.
        blink: 1 where the eyes are shut.
        wide: 1 where they are wide open.
        brow: -1 frowning to 1 raised.
        slant: 1 where the brows rise inward (worry, doubt), -1 where they fall (anger).
        smile: -1 to 1.
        mouth: How far it is open, 0 to 1.
        blush: 0 to 1.
        phase: Of the steps, radians.
        stride: Of the steps, 0 to 1.
        lift: How far the person is off the ground.
        breath: How far body and head are raised.
        head_u: Shift of the head (shaking).
        head_v: The same (nodding).
        lean: Tilt of head and body.
        left: Left hand in the picture, own units.
        right: Right hand.
    """

    x: Num
    y: Num
    size: Num = 1.0
    indoors: Num = 1.0
    outdoors: Num = 0.0
    turned: Num = 0.0
    squash: Num = 1.0
    face: Num = 0.0
    gaze_u: Num = 0.0
    gaze_v: Num = 0.0
    blink: Num = 0.0
    wide: Num = 0.0
    brow: Num = 0.0
    slant: Num = 0.0
    smile: Num = 0.35
    mouth: Num = 0.0
    blush: Num = 0.25
    phase: Num = 0.0
    stride: Num = 0.0
    lift: Num = 0.0
    breath: Num = 0.0
    head_u: Num = 0.0
    head_v: Num = 0.0
    lean: Num = 0.0
    left: tuple[Num, Num] = (-0.112, -0.13)
    right: tuple[Num, Num] = (0.112, -0.13)


def top_of(person: Person) -> float:
    """How high she is with hair and hat, at size 1."""
    return max(_TOPS.get(person.hair, 0.112), _TOPS.get(person.extra, 0.112)) - HEAD_V


def draw_person(pen: Pen, person: Person, pose: Pose, palette: str) -> None:
    """Draws a person; the pen stands between the feet and has her size."""
    shirt = named(person.shirt, palette)
    tone, locks = skin(person.skin), hair(person.hair_colour)
    costume = _COSTUME[(person.hair_colour + 2 * person.skin) % len(_COSTUME)]
    legs = _TROUSERS[(person.skin + person.hair_colour) % len(_TROUSERS)]
    front, back = 1.0 - pose.turned, pose.turned
    pen.ellipse(0, 0.004, 0.1, 0.018, (40, 30, 40), alpha=0.3, soft=0.016)
    figure = Pen(pen.painter, pen.x, pen.y - pose.lift * pen.high, pen.wide * pose.squash, pen.high, alpha=pen.alpha)
    upper = figure.at(0, -pose.breath, tilt=pose.lean)
    head = upper.at(pose.head_u, HEAD_V + pose.head_v)
    front_head = head.at(0, 0, alpha=front)
    # A pale rim, as if cut out of paper, sets her off from the wall and from those behind.
    if np.any(pose.indoors * pen.alpha):
        head.ellipse(0, -0.004, 0.124, 0.118, PAPER, alpha=0.6, soft=0.008)
        upper.polygon(_TRUNK, PAPER, round=0.034, alpha=0.6, soft=0.008)
    hair_behind(front_head, person.hair, locks)
    for side in (-1, 1):
        step = np.sin(pose.phase) * pose.stride * side
        raised = np.maximum(0, np.cos(pose.phase) * side) * pose.stride * 0.022
        foot = side * 0.036 + step * 0.034
        figure.limb(side * 0.034, -0.11, foot, -0.022 - raised, 0.024, legs, r1=0.02, line_width=LINE)
        figure.ellipse(foot + 0.008 * pose.face, -0.012 - raised, 0.034, 0.017, dark(legs, 0.5), line_width=LINE)
    upper.polygon(_TRUNK, shirt, round=0.018, fill2=dark(shirt, 0.18), line_width=LINE)
    light = 0.3 * shirt[0] + 0.6 * shirt[1] + 0.1 * shirt[2] > 150
    write(upper, person.name[:1], 0.012 * pose.face, -0.18, 0.085, 0.0085, INK if light else PAPER, alpha=front)
    for side, (hand_u, hand_v) in ((-1, pose.left), (1, pose.right)):
        _arm(upper, side, hand_u, hand_v, shirt, tone)
    if person.extra == "scarf":
        upper.box(0, -0.293, 0.07, 0.02, costume, radius=0.02, line_width=LINE)
        upper.box(0.04, -0.245, 0.017, 0.04, costume, radius=0.008, line_width=LINE, alpha=front)
    for side in (-1, 1) if person.hair not in COVERED_EARS else ():
        head.ellipse(side * 0.1, 0.012, 0.022, 0.024, tone, line_width=LINE)
    head.ellipse(0, 0, 0.104, 0.098, tone, fill2=mix(tone, (214, 110, 90), 0.12), line_width=LINE)
    _face(front_head, person, pose, tone, locks)
    hair_before(front_head, person.hair, locks)
    if np.any(back * pen.alpha):
        hair_from_behind(head.at(0, 0, alpha=back), person.hair, locks)
    _extra(head, person.extra, costume)
    if person.extra == "cap":
        deep = dark(costume, 0.25)
        front_head.box(0.035 * pose.face, -0.079, 0.088, 0.015, deep, radius=0.014, line_width=LINE)


def _arm(pen: Pen, side: int, hand_u: Num, hand_v: Num, shirt: RGB, tone: RGB) -> None:
    """An arm from the shoulder over a soft elbow to the hand."""
    shoulder_u, shoulder_v = side * SHOULDER[0], SHOULDER[1]
    elbow_u = (shoulder_u + hand_u) / 2 + side * 0.016
    elbow_v = (shoulder_v + hand_v) / 2 + 0.012
    pen.ellipse(hand_u, hand_v, 0.025, 0.024, tone, line_width=LINE)
    pen.limb(shoulder_u, shoulder_v, elbow_u, elbow_v, 0.026, shirt, r1=0.024, line_width=LINE)
    short_u, short_v = hand_u + (elbow_u - hand_u) * 0.3, hand_v + (elbow_v - hand_v) * 0.3
    pen.limb(elbow_u, elbow_v, short_u, short_v, 0.022, dark(shirt, 0.06), r1=0.021)


def _face(pen: Pen, person: Person, pose: Pose, tone: RGB, locks: RGB) -> None:
    shift = pose.face * 0.022
    for side in (-1, 1):
        cheek = mix(tone, (236, 70, 80), 0.6)
        pen.ellipse(shift + side * 0.06, 0.038, 0.021, 0.014, cheek, alpha=0.25 + 0.6 * pose.blush, soft=0.006)
    if person.extra == "beard":
        pen.ellipse(shift * 0.5, 0.03, 0.094, 0.078, locks, line_width=LINE, cut=(0, 1, 0.03))
        pen.ellipse(shift, 0.03, 0.05, 0.022, tone)
    blink = pose.blink * (1.0 - np.clip(3.0 * pose.wide, 0.0, 1.0))  # nobody blinks in the moment of surprise
    open_eye = (1 - 0.9 * blink) * (1 + 0.22 * pose.wide)
    for side in (-1, 1):
        u = shift + side * 0.041
        pen.ellipse(u, -0.004, 0.03 + 0.002 * pose.wide, 0.036 * open_eye, PAPER, line_width=0.0055)
        awake = 1.0 - blink
        pupil_u, pupil_v = u + 0.0125 * pose.gaze_u, -0.004 + 0.014 * pose.gaze_v
        pen.ellipse(pupil_u, pupil_v, 0.0178, 0.0205 * open_eye, INK, alpha=awake)
        pen.ellipse(pupil_u - 0.006, pupil_v - 0.007, 0.0058, 0.0058, PAPER, alpha=awake)
        brow_v = -0.055 - 0.014 * pose.brow
        brow = dark(locks, 0.3) if sum(locks) > 240 else locks
        pen.limb(
            shift + side * 0.021,
            brow_v - 0.013 * pose.slant,
            shift + side * 0.062,
            brow_v + 0.009 * pose.slant,
            0.006,
            brow,
        )
    pen.ellipse(shift * 1.5, 0.026, 0.011, 0.009, mix(tone, (190, 80, 60), 0.3))
    mouth_v = MOUTH_V - HEAD_V
    wide = 0.026 * (1 - 0.35 * pose.mouth)
    opened: Num = np.where(np.asarray(pose.mouth) > 0.12, 1.0, 0.0)
    opened = opened if opened.ndim else float(opened)
    bend = 0.034 * pose.smile
    pen.curve(
        [(shift - wide, mouth_v - bend * 0.4), (shift, mouth_v + bend), (shift + wide, mouth_v - bend * 0.4)],
        0.006,
        (130, 52, 54) if sum(tone) > 400 else (66, 22, 28),
        alpha=1.0 - opened,
    )
    if np.any(opened):
        pen.ellipse(
            shift, mouth_v + 0.004, wide, 0.006 + 0.021 * pose.mouth, (122, 34, 44), line_width=0.004, alpha=opened
        )
        pen.ellipse(
            shift, mouth_v + 0.004 + 0.014 * pose.mouth, wide * 0.6, 0.008 * pose.mouth, (232, 110, 110), alpha=opened
        )
    if person.extra == "moustache":
        for side in (-1, 1):
            pen.ellipse(shift + side * 0.021, 0.043, 0.026, 0.011, locks, angle=side * 0.25, line_width=0.004)
    if person.extra == "glasses":
        for side in (-1, 1):
            pen.ellipse(shift + side * 0.042, -0.002, 0.039, 0.041, INK, fill_alpha=0, line_width=0.0075)
        pen.limb(shift - 0.006, -0.008, shift + 0.006, -0.008, 0.004, INK)


@stencil
def _extra(head: Pen, extra: str, costume: RGB) -> None:
    """A costume part on the head, seen from both sides."""
    deep = dark(costume, 0.25)
    if extra == "cap":
        head.ellipse(0, -0.02, 0.114, 0.1, costume, fill2=deep, line_width=LINE, cut=(0, -1, 0.066))
        head.ellipse(0, -0.119, 0.013, 0.009, deep, line_width=LINE * 0.7)
    elif extra == "hat":
        head.box(0, -0.115, 0.068, 0.034, costume, radius=0.014, fill2=deep, line_width=LINE)
        head.box(0, -0.1, 0.068, 0.011, deep)
        head.box(0, -0.084, 0.128, 0.0125, costume, radius=0.012, line_width=LINE)
    elif extra == "bow":
        for side in (-1, 1):
            head.polygon(
                [(0.055, -0.096), (0.055 + side * 0.046, -0.128), (0.055 + side * 0.046, -0.07)],
                costume,
                round=0.008,
                line_width=LINE,
            )
        head.ellipse(0.055, -0.097, 0.013, 0.014, deep, line_width=LINE)
    elif extra == "headband":
        head.curve([(-0.104, -0.045), (0, -0.148), (0.104, -0.045)], 0.0125, costume, line_width=LINE)
    elif extra == "flower":
        for turn in range(5):
            angle = turn * 2 * np.pi / 5
            head.ellipse(
                0.075 + 0.022 * float(np.sin(angle)), -0.08 - 0.022 * float(np.cos(angle)), 0.0165, 0.0165, costume,
                line_width=LINE * 0.7,
            )  # fmt: skip
        head.ellipse(0.075, -0.08, 0.012, 0.012, (250, 216, 90))
