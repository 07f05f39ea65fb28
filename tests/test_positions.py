"""Position ids: the one rule for all sequences, with worked examples."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from adapters.positions import next_position, position_ids

GRID = (3, 2, 2)


def test_text_goes_on_after_the_largest_position_of_the_video_time_included() -> None:
    positions = position_ids(5 + 12 + 2, 5, GRID, marked=False, first_mark=0)
    assert positions[:, :5].tolist() == [[0, 1, 2, 3, 4]] * 3
    assert positions[0, 5:17].tolist() == [5] * 4 + [6] * 4 + [7] * 4
    assert positions[1, 5:17].tolist() == [5, 5, 6, 6] * 3
    assert positions[2, 5:17].tolist() == [5, 6] * 6
    # Three temporal patches outlast two rows: transformers 5 would say 7 here.
    assert positions[:, 17:].tolist() == [[8, 9]] * 3
    assert next_position(positions) == 10


def test_a_segment_token_before_the_first_patch_hides_the_video() -> None:
    positions = position_ids(5 + 12 + 2 + 2, 5, GRID, marked=True, first_mark=0)
    assert positions.tolist() == [list(range(21))] * 3


def test_segment_tokens_inside_take_places_of_the_grid() -> None:
    positions = position_ids(5 + 12 + 2 + 2, 5, GRID, marked=True, first_mark=4)
    plain = position_ids(5 + 12 + 2 + 2, 5, GRID, marked=False, first_mark=0)
    # The block of twelve begins where it always does and so ends two tokens early.
    assert positions[:, :17].tolist() == plain[:, :17].tolist()
    assert positions[:, 17:].tolist() == [[8, 9, 10, 11]] * 3


def test_aligned_marks_leave_all_other_positions_as_they_are() -> None:
    plain = position_ids(5 + 12 + 2, 5, GRID, marked=False, first_mark=0)
    for first, second in ((0, 4), (4, 8), (0, 12), (8, 12), (4, 4)):
        positions = position_ids(5 + 12 + 2 + 2, 5, GRID, True, first, second, aligned=True)
        starts, ends = 5 + first, 5 + second + 1
        others = [at for at in range(21) if at not in (starts, ends)]
        assert positions[:, others].tolist() == plain.tolist()
        assert positions[:, starts].tolist() == [5 + first // 4] * 3
        assert positions[:, ends].tolist() == [5 + second // 4] * 3


def test_without_marks_aligned_says_nothing() -> None:
    plain = position_ids(19, 5, GRID, marked=False, first_mark=0)
    assert torch.equal(position_ids(19, 5, GRID, False, 0, aligned=True), plain)


@given(
    grid=st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(1, 6)),
    head=st.integers(1, 20),
    tail=st.integers(1, 20),
)
def test_every_token_has_a_position_and_text_never_repeats_one(
    grid: tuple[int, int, int], head: int, tail: int
) -> None:
    count = grid[0] * grid[1] * grid[2]
    positions = position_ids(head + count + tail, head, grid, marked=False, first_mark=0)
    assert positions.shape == (3, head + count + tail)
    after = positions[0, head + count :]
    assert torch.equal(positions[:, head + count :], after.expand(3, -1))
    assert int(after[0]) == int(positions[:, : head + count].max()) + 1
