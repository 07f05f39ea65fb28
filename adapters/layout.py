"""The token sequence of one request: chat, visual tokens, segment tokens and their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.positions import position_ids
from adapters.tokens import SEG_END, SEG_START, VIDEO, Tokens
from prompts import Prompt


@dataclass(frozen=True, slots=True)
class Layout:
    """A prefill before it is embedded; L tokens, N of them visual.

    Attributes:
        ids: Token ids with a placeholder per visual token, [L].
        visual: Where the visual tokens go, in order, [N].
        positions: Time, row and column of each token, [3, L].
        grid: Temporal patches, and rows and columns of visual tokens.
    """

    ids: Tensor
    visual: Tensor
    positions: Tensor
    grid: tuple[int, int, int]


def lay_out(
    tokens: Tokens,
    prompt: Prompt,
    grid: tuple[int, int, int],
    marked_norm: tuple[float, float] | None = None,
    reply_start: str = "",
    reply_ids: Sequence[int] = (),
    aligned: bool = False,
) -> Layout:
    """Lays out a chat around a clip.

    Args:
        tokens: The checkpoint's tokenizer.
        prompt: What is asked after the video.
        grid: Temporal patches, and rows and columns of visual tokens (after merging).
        marked_norm: Ends of the candidate to enclose between segment tokens, as fractions of the clip.
        reply_start: Text that opens the model's turn.
        reply_ids: What the model is taught to write after that.
        aligned: Whether segment tokens leave the positions of all others as they are; see `position_ids`.
    """
    chat = tokens.chat(prompt, reply_start)
    start, count = len(chat.head), grid[0] * grid[1] * grid[2]
    video = [tokens.id(VIDEO)] * count
    visual = list(range(start, start + count))
    first_mark = second_mark = 0
    if marked_norm is not None:
        per_patch = grid[1] * grid[2]
        first_mark, second_mark = (round(norm * grid[0]) * per_patch for norm in marked_norm)
        before, inside, after = first_mark, second_mark - first_mark, count - second_mark
        video = [
            *video[:before],
            tokens.id(SEG_START),
            *video[:inside],
            tokens.id(SEG_END),
            *video[:after],
        ]
        visual = [at + (at >= start + first_mark) + (at >= start + second_mark) for at in visual]
    ids = [*chat.head, *video, *chat.tail, *reply_ids]
    positions = position_ids(len(ids), start, grid, marked_norm is not None, first_mark, second_mark, aligned)
    return Layout(torch.tensor(ids), torch.tensor(visual), positions, grid)
