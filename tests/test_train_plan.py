"""The plan of a run: every sample once a round, whatever the devices, resumable, balanced, with weights that add up."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.train.plan import Measured, PlannedPass, plan_steps, steps_of

measured = st.builds(Measured, st.integers(0, 6), st.integers(1, 900), st.integers(1, 60))


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[Measured], int, int, int, int, int]:
    """(samples, batch, passes, questions_per_video, steps, seed); samples of one clip share the same tokens."""
    samples = draw(st.lists(measured, min_size=1, max_size=30))
    shared = {one.clip: one.shared for one in samples}
    samples = [Measured(one.clip, shared[one.clip], one.own) for one in samples]
    batch = draw(st.integers(1, 12))
    passes = draw(st.integers(1, batch))
    return samples, batch, passes, draw(st.integers(1, 9)), draw(st.integers(1, 8)), draw(st.integers(0, 3))


Step = list[PlannedPass]


def taken(step: Step) -> Counter[tuple[int, int]]:
    """(round, sample) of a step."""
    return Counter((epoch, number) for one in step for epoch, number in zip(one.epochs, one.samples, strict=True))


@given(plans())
def test_a_round_takes_every_sample_once_before_the_next_one_begins(
    given_: tuple[list[Measured], int, int, int, int, int],
) -> None:
    samples, batch, *_ = given_
    steps = plan_steps(*given_)
    assert all(sum(len(one.samples) for one in step) == batch for step in steps)
    total: Counter[tuple[int, int]] = Counter()
    for before, step in pairwise([Counter(), *map(taken, steps)]):
        assert min(epoch for epoch, _ in step) >= max((epoch for epoch, _ in before), default=0)
        total += step
    last = max(epoch for epoch, _ in total)
    whole = {(epoch, number) for epoch in range(last) for number in range(len(samples))}
    assert set(total.values()) == {1}
    assert whole <= total.keys()
    assert sum(total.values()) == batch * len(steps)


@given(plans(), st.data())
def test_steps_hold_the_same_samples_on_any_number_of_devices(
    given_: tuple[list[Measured], int, int, int, int, int], data: st.DataObject
) -> None:
    samples, batch, _, questions, steps, seed = given_
    other = data.draw(st.integers(1, batch))
    mine = plan_steps(*given_)
    theirs = plan_steps(samples, batch, other, questions, steps, seed)
    assert [taken(step) for step in mine] == [taken(step) for step in theirs]


@given(plans())
def test_a_longer_run_begins_with_the_steps_of_a_shorter_one(
    given_: tuple[list[Measured], int, int, int, int, int],
) -> None:
    samples, batch, passes, questions, steps, seed = given_
    short = plan_steps(*given_)
    assert plan_steps(samples, batch, passes, questions, steps + 5, seed)[:steps] == short
    assert plan_steps(*given_) == short


@given(plans())
def test_no_pass_is_empty_and_weights_make_the_mean_of_a_step(
    given_: tuple[list[Measured], int, int, int, int, int],
) -> None:
    _, _, passes, *_ = given_
    for step in plan_steps(*given_):
        assert len(step) == passes
        assert all(one.samples for one in step)
        # The loop averages over passes: a loss of 1 for every sample must come out as 1.
        assert sum(one.weight * len(one.samples) for one in step) / passes == pytest.approx(1)


@given(plans())
def test_the_fullest_pass_has_at_most_one_chunk_more_than_the_emptiest(
    given_: tuple[list[Measured], int, int, int, int, int],
) -> None:
    samples, _, _, questions, *_ = given_
    for step in plan_steps(*given_):
        loads = [one.tokens for one in step]
        by_clip: dict[object, list[int]] = {}
        for one in step:
            for number in one.samples:
                by_clip.setdefault(samples[number].clip, []).append(samples[number].own)
        # A chunk holds up to so many samples of one clip.
        longest = max(
            samples[next(i for i, s in enumerate(samples) if s.clip == clip)].shared
            + sum(sorted(own, reverse=True)[:questions])
            for clip, own in by_clip.items()
        )
        assert loads == sorted(loads, reverse=True)
        assert loads[0] <= loads[-1] + longest


@given(st.lists(st.integers(1, 11), min_size=1, max_size=5), st.integers(1, 4), st.integers(0, 3))
def test_at_most_so_many_questions_of_a_video_stay_together(sizes: list[int], most: int, seed: int) -> None:
    samples = [Measured(clip, 100, 10) for clip, size in enumerate(sizes) for _ in range(size)]
    chunks = sum(-(-size // most) for size in sizes)
    # As many passes as chunks: each pass is one of them.
    [step] = plan_steps(samples, len(samples), chunks, most, 1, seed)
    for one in step:
        assert len({samples[number].clip for number in one.samples}) == 1
        assert len(one.samples) <= most
        assert one.tokens == 100 + 10 * len(one.samples)


def test_questions_on_one_video_share_a_pass() -> None:
    samples = [Measured(number // 4, 1000, 20) for number in range(16)]
    for step in plan_steps(samples, 8, 2, 4, 2, 0):
        assert [len({samples[number].clip for number in one.samples}) for one in step] == [1, 1]
        assert [one.tokens for one in step] == [1080, 1080]


def test_rounds_are_shuffled_anew_and_by_the_seed() -> None:
    samples = [Measured(number, 10, 10) for number in range(20)]

    def order(seed: int) -> list[int]:
        return [number for step in plan_steps(samples, 1, 1, 8, 40, seed) for one in step for number in one.samples]

    first, second = order(0)[:20], order(0)[20:]
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert order(0) != order(1)
    assert first != sorted(first)


def test_a_pass_that_ends_a_round_says_of_each_sample_which_round_it_is_of() -> None:
    samples = [Measured("one clip", 10, 1)] * 3
    steps = plan_steps(samples, 2, 1, 8, 3, 0)
    assert [one.epochs for [one] in steps] == [(0, 0), (0, 1), (1, 1)]
    assert [one.epoch for [one] in steps] == [0, 0, 1]


@pytest.mark.parametrize(
    ("samples", "batch", "epochs", "most", "steps"),
    [
        (320, 32, 1.0, None, 10),
        (320, 32, 2.5, None, 25),
        (330, 32, 1.0, None, 10),
        (8, 32, 1.0, None, 1),  # never none
        (320, 32, 1.0, 4, 4),
        (320, 32, 1.0, 40, 10),
    ],
)
def test_steps_follow_from_rounds_over_the_data(
    samples: int, batch: int, epochs: float, most: int | None, steps: int
) -> None:
    assert steps_of(samples, batch, epochs, most) == steps


@pytest.mark.parametrize(("count", "batch", "passes"), [(0, 4, 1), (3, 4, 5), (3, 4, 0)])
def test_what_cannot_be_planned_is_refused(count: int, batch: int, passes: int) -> None:
    with pytest.raises(ValueError, match="nothing to plan"):
        plan_steps([Measured(0, 1, 1)] * count, batch, passes, 8, 1, 0)
