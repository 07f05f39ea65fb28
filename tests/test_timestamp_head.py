"""The regression head and suppression: known answers and invariants (recorded numbers: tests/parity)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from adapters.heads.timestamp import STRIDES, TimestampHead, suppress

UNITS = json.loads((Path(__file__).parent / "data" / "oracle" / "units.json").read_text())


@pytest.mark.parametrize("record", UNITS["nms"])
def test_suppression_gives_the_recorded_rows(record: dict[str, list[list[float]]]) -> None:
    rows = suppress(torch.tensor(record["rows"]))
    torch.testing.assert_close(rows, torch.tensor(record["out"]), atol=1e-7, rtol=0)


def test_suppression_keeps_every_row_and_no_two_survivors_overlap() -> None:
    generator = torch.Generator().manual_seed(3)
    ends = torch.rand(60, 2, generator=generator).sort(dim=1).values
    rows = suppress(torch.cat((ends, torch.rand(60, 1, generator=generator)), dim=1))
    assert rows.shape == (60, 3)
    alive = rows[rows[:, 2] > 0]
    assert torch.equal(alive[:, 2], alive[:, 2].sort(descending=True).values)
    start = torch.maximum(alive[:, None, 0], alive[None, :, 0])
    end = torch.minimum(alive[:, None, 1], alive[None, :, 1])
    overlap = (end - start).clamp(min=0)
    lengths = alive[:, 1] - alive[:, 0]
    iou = overlap / (lengths[:, None] + lengths[None] - overlap)
    assert (iou - torch.eye(len(alive))).max() < 0.75


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8, 13, 75])
def test_a_clip_shorter_than_a_stride_has_no_step_there(frames: int) -> None:
    torch.manual_seed(0)
    head = TimestampHead(32).eval()
    out = head(torch.randn(1, frames, 32), torch.randn(1, 1, 32))
    assert [level.shape[1] for level in out.pyramid] == [frames // stride for stride in STRIDES if stride <= frames]
    rows = out.rows_norm()
    assert rows.shape == (1, sum(level.shape[1] for level in out.pyramid), 3)
    assert bool((rows[..., 0] <= rows[..., 1]).all())


def test_clips_in_a_batch_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    head = TimestampHead(32).eval()
    frames, query = torch.randn(3, 12, 32), torch.randn(3, 1, 32)
    together = head(frames, query).rows_norm()
    alone = torch.cat([head(frames[i : i + 1], query[i : i + 1]).rows_norm() for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
