"""Layers: draw lists of parts of a film and who is in front in each frame go in, one draw list comes out.

Paint order is fixed within a painter; people who pass each other change theirs, so each is painted by herself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.worlds.drawlist import DrawList


def laid(layers: Sequence[DrawList], order: NDArray[np.int64]) -> DrawList:
    """Lays layers over each other, in every frame in an order of its own.

    Args:
        layers: At least one; all with the same frames and width.
        order: The layers' numbers, the lowest first, [frames, layers].

    Returns:
        What a painter would have made of it.
    """
    rows = np.concatenate([layer.rows for layer in layers])
    first_row = np.cumsum([0, *(len(layer.rows) for layer in layers[:-1])])
    first_ref = np.cumsum([0, *(len(layer.refs) for layer in layers[:-1])])
    refs = np.concatenate([layer.refs.astype(np.int64) + start for layer, start in zip(layers, first_row, strict=True)])
    begins = np.stack([layer.offsets[:-1] + start for layer, start in zip(layers, first_ref, strict=True)], axis=1)
    counts = np.stack([np.diff(layer.offsets) for layer in layers], axis=1)
    begins, counts = np.take_along_axis(begins, order, 1).ravel(), np.take_along_axis(counts, order, 1).ravel()
    # Every stretch of refs moves as a whole: its new place minus its old one is one number.
    ends = np.cumsum(counts)
    taken = np.repeat(begins - (ends - counts), counts) + np.arange(int(counts.sum()))
    offsets = np.concatenate([[0], ends[order.shape[1] - 1 :: order.shape[1]]]).astype(np.int64)
    whole = refs[taken]
    small = whole.astype(np.uint16) if len(rows) <= 65536 else whole.astype(np.uint32)
    return DrawList(rows, small, offsets, layers[0].width)
