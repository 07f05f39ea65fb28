"""The closed vocabulary of states: names of looks go in, the indices that queries and answers are made of come out."""

from __future__ import annotations

import string

from adapters.train.default.contract import UNKNOWN
from eval.worlds import art

(
    PLACE, BELIEF, SECOND, STATUS, STAGE, DOING, CONTENTS, TRUST, WISH, LID, WHEREABOUTS, HANDS, SEEN_THING, SEEN_BOX,
    PICTURE, SECOND_CONTENTS, INITIAL, VERDICT, PUT_BY, KNOWS,
) = range(20)  # fmt: skip
"""Kinds of queries, with the names that they are about:

PLACE (thing): where it really is. BELIEF (person, thing): where she thinks it is. SECOND (person, other, thing): where
she thinks that the other one thinks it is. STATUS (person): how she is to be seen. STAGE: which stage is shown. DOING
(person): what she does, with which container. CONTENTS (person, container): what she thinks is in it. TRUST (person,
other): whether she believes what the other one says. WISH (person): what she wants. LID: which container is open.
WHEREABOUTS (person): where she really is. HANDS (person): what she holds or speaks of. SEEN_THING (thing), SEEN_BOX
(container): whether and how it is to be seen, and its colour. PICTURE (container): the thing pictured on it.
SECOND_CONTENTS (person, other, container): what she thinks that the other one thinks is in it. INITIAL (person): the
letter on her clothes. VERDICT (person): whether what she said last was the truth, a lie or a mistake. PUT_BY (thing):
who moved it last. KNOWS (person, thing): whether she is right about where it is.
"""
KINDS = 20
VISIBLE = (STATUS, STAGE, DOING, LID, HANDS, SEEN_THING, SEEN_BOX, PICTURE, INITIAL)
"""Kinds that the two frames of one temporal patch show without memory."""

CLASSES: tuple[str, ...] = (
    "absent",  # nobody and nothing of that name is in the film
    "none",  # no picture, no wish, no open lid, empty hands
    # where a thing is, is thought to be, or is to be seen
    "inside", "held", "lying", "gone", "no idea", "handled", "through glass", "not seen",
    # where a person is
    "facing", "turned", "nook", "window", "outside", "yard", "away",
    # what is shown
    "main stage", "other stage",
    # what a person does
    "standing", "walking", "enter", "leave", "put", "take", "carry", "open", "look_away", "turn_back", "hide",
    "come_out", "peek", "spot", "tell", "wish", "idle",
    # the rest
    "thing", "several", "shown", "yes", "no",
    # what somebody said
    "truth", "lie", "mistake",
    # what stands on clothes
    *string.ascii_uppercase,
)  # fmt: skip
CLASS: dict[str, int] = {name: index for index, name in enumerate(CLASSES)}

COLOURS: tuple[str, ...] = ("", *dict.fromkeys((*art.SHIRTS, *art.THING_COLOURS, *art.CONTAINER_COLOURS)))
COLOUR: dict[str, int] = {name: index for index, name in enumerate(COLOURS)}
SHAPES: tuple[str, ...] = ("", *art.THING_SHAPES, *art.CONTAINER_SHAPES)
SHAPE: dict[str, int] = {name: index for index, name in enumerate(SHAPES)}
NAMES: tuple[str, ...] = ("", *art.SHIRTS, *art.THING_SHAPES, *art.CONTAINER_SHAPES)
"""People by the colour of their clothes, things and containers by their shapes: each is unique in a film."""
NAME: dict[str, int] = {name: index for index, name in enumerate(NAMES)}

Label = tuple[int, int, int]
"""Class, colour and shape; `UNKNOWN` where there is none."""


def label(name: str, colour: str | None = None, shape: str | None = None) -> Label:
    """An answer in numbers."""
    return (
        CLASS[name],
        UNKNOWN if colour is None else COLOUR[colour],
        UNKNOWN if shape is None else SHAPE[shape],
    )


UNSCORED: Label = (UNKNOWN, UNKNOWN, UNKNOWN)
