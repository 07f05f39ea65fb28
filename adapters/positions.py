"""Position ids of a Qwen2-VL sequence with one video: layout in, [3, length] out. The only place that computes them.

Qwen2-VL numbers a video's tokens by time, row and column of their grid and lets text go on after the largest number
used, time included. Current transformers start that text after the largest of row and column only, so their own
numbers differ for any video longer than its grid is wide; released weights expect the numbers made here.
"""

from __future__ import annotations

import torch
from torch import Tensor


def position_ids(
    length: int,
    video_start: int,
    grid: tuple[int, int, int],
    marked: bool,
    first_mark: int,
    second_mark: int = 0,
    aligned: bool = False,
) -> Tensor:
    """Positions of a prefill.

    The verifier's two segment tokens are numbered in one of two ways. Aligned, all other tokens keep the numbers that
    they have without marks, and a segment token has the number of the temporal patch before which it stands, three
    times. Otherwise they are numbered as its released adapters were trained: the video is taken for an
    unbroken block of T*H*W tokens that begins right after the vision-start token. (a) A segment token in that very
    place hides the block, and the whole sequence is numbered as text. (b) Otherwise the block swallows the segment
    tokens, the video tokens behind them shift, and the last one or two of them are numbered as text.

    Args:
        length: All tokens, segment tokens included.
        video_start: Index of the first token after the vision-start token.
        grid: Temporal patches, and rows and columns of visual tokens (after merging).
        marked: Whether segment tokens were inserted.
        first_mark: Visual tokens before the first segment token; ignored unless `marked`.
        second_mark: Visual tokens before the second one; ignored unless `marked` and `aligned`.
        aligned: Which of the two ways.

    Returns:
        Time, row and column, [3, length], int64.

    Source: transformers 4.45's routine, as recorded in the parity data.
    """
    frames, rows, columns = grid
    if marked and aligned:
        plain = position_ids(length - 2, video_start, grid, marked=False, first_mark=0)
        pieces, before = [], 0
        for mark in (first_mark, second_mark):
            pieces += [
                plain[:, before : video_start + mark],
                torch.full((3, 1), video_start + mark // (rows * columns)),
            ]
            before = video_start + mark
        return torch.cat((*pieces, plain[:, before:]), dim=1)
    if marked and first_mark == 0:
        return torch.arange(length).expand(3, -1)
    block = torch.cartesian_prod(torch.arange(frames), torch.arange(rows), torch.arange(columns)).T + video_start
    after = video_start + max(grid)
    rest = length - video_start - block.shape[1]
    return torch.cat(
        (torch.arange(video_start).expand(3, -1), block, torch.arange(after, after + rest).expand(3, -1)), dim=1
    )


def next_position(positions: Tensor) -> int:
    """Where generated text goes on: after the largest position of the prefill, [3, length]."""
    return int(positions.max()) + 1
