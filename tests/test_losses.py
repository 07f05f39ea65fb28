"""The grounder's losses: answers worked out by hand, and properties (recorded numbers: tests/parity)."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.heads import timestamp
from adapters.heads.losses import (
    GroundingLosses,
    Targets,
    assign,
    draw_positive_step,
    grid_targets,
    grounding_losses,
)
from adapters.heads.timestamp import STRIDES, TimestampHead, TrainingOutput
from roles.spans import iou
from roles.types import Span

HIDDEN = 32
LAYERS = 3
# Spans of a clip of 64 steps of a second each, in quarters of a step: everything below is exact in float32.
quarters = st.integers(0, 256).map(lambda quarter: quarter / 4)
quarter_spans = st.tuples(quarters, quarters).map(lambda pair: Span(min(pair), max(pair)))


def grid_points(steps: int) -> torch.Tensor:
    """Grid step and stride of each point, from the definition."""
    rows = [(k * stride, stride) for stride in STRIDES for k in range(max(steps, 8) // stride)]
    return torch.tensor(rows, dtype=torch.float32)


def made_output(targets: Targets, steps: int) -> TrainingOutput:
    """An output that is unsure of everything, with the right distances where a point answers."""
    points = grid_points(steps)
    queries = targets.boundary.shape[0]
    _, distances = assign(points, targets, steps)
    return TrainingOutput(
        frames=torch.ones(LAYERS, queries, steps, 8),
        query=torch.ones(LAYERS, queries, 1, 8),
        class_logits=torch.zeros(LAYERS, queries, len(points)),
        distances=distances.expand(LAYERS, -1, -1, -1).clone(),
        points=points,
    )


@pytest.fixture
def head() -> TimestampHead:
    torch.manual_seed(0)
    return TimestampHead(HIDDEN).eval()


# Targets


def test_steps_inside_a_span_begin_at_or_after_its_start_and_before_its_end() -> None:
    targets = grid_targets([[Span(3.0, 9.0)], [Span(4.0, 8.0), Span(15.0, 16.0)]], duration_s=16.0, steps=8)
    assert targets.saliency.tolist() == [[0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 1]]
    assert targets.boundary[:, 0].tolist() == [[3 / 16, 9 / 16], [4 / 16, 8 / 16]]
    assert targets.real.tolist() == [[True, False], [True, True]]


def test_a_short_span_is_widened_to_a_step_and_moved_back_into_the_clip() -> None:
    targets = grid_targets([[Span(7.0, 7.5)], [Span(15.5, 99.0)]], duration_s=16.0, steps=8)
    assert targets.boundary[:, 0].tolist() == [[6.25 / 16, 8.25 / 16], [14 / 16, 1.0]]
    assert targets.saliency.tolist() == [[0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]]


@given(
    st.floats(1, 500, allow_subnormal=False),
    st.integers(1, 200),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_every_span_holds_a_step(duration_s: float, steps: int, ends: list[float]) -> None:
    span = Span(ends[0] * duration_s, ends[1] * duration_s)
    saliency = grid_targets([[span]], duration_s, steps).saliency[0]
    inside = saliency.nonzero().flatten().tolist()
    assert inside
    assert all(b - a == 1 for a, b in pairwise(inside))
    assert abs(len(inside) - max(span.length_s / duration_s * steps, 1)) <= 1 + 1e-6


def test_a_span_that_rounding_leaves_without_a_step_gets_the_one_of_its_middle() -> None:
    # 77.025 s * 40 / 79 is a hair above 39, so no step number lies in [ceil(39.0...1), 40).
    assert math.ceil(77.025 * (40 / 79)) == 40
    assert grid_targets([[Span(79.0, 79.0)]], 79.0, 40).saliency[0].nonzero().tolist() == [[39]]


@pytest.mark.parametrize(("duration_s", "steps"), [(0.0, 4), (4.0, 0), (-1.0, 4)])
def test_a_clip_without_length_is_refused(duration_s: float, steps: int) -> None:
    with pytest.raises(ValueError, match="expected both above 0"):
        grid_targets([[Span(0, 1)]], duration_s, steps)


# Which point answers for which span


@given(st.lists(quarter_spans, min_size=1, max_size=4))
def test_points_answer_by_the_rule(spans: list[Span]) -> None:
    steps = 64
    targets = grid_targets([spans], 64.0, steps)
    positive, distances = assign(grid_points(steps), targets, steps)
    wide = [(start * steps, end * steps) for start, end in targets.boundary[0].tolist()]
    for number, (at, stride) in enumerate(grid_points(steps).tolist()):
        low, high = {1: (0, 2), 2: (2, 4), 4: (4, 8), 8: (8, math.inf)}[int(stride)]
        fitting = [
            (end - start, at - start, end - at)
            for start, end in wide
            if start <= at <= end
            and abs(at - (start + end) / 2) <= 1.5 * stride
            and low <= max(at - start, end - at) <= high
        ]
        assert bool(positive[0, number]) == bool(fitting)
        if fitting:
            shortest = min(length for length, _, _ in fitting)
            found = [value * stride for value in distances[0, number].tolist()]
            assert found in [[left, right] for length, left, right in fitting if length == shortest]


@given(quarter_spans)
def test_every_span_has_a_point_that_answers(span: Span) -> None:
    positive, _ = assign(grid_points(64), grid_targets([[span]], 64.0, 64), 64)
    assert bool(positive.any())


def test_a_query_is_not_answered_by_rows_that_only_fill_up() -> None:
    targets = grid_targets([[Span(8, 10)], [Span(0, 3), Span(8, 10)]], 16.0, 16)
    positive, _ = assign(grid_points(16), targets, 16)
    alone, _ = assign(grid_points(16), grid_targets([[Span(8, 10)]], 16.0, 16), 16)
    assert torch.equal(positive[:1], alone)


# The parts


def test_parts_of_an_unsure_output_are_those_worked_out_by_hand() -> None:
    steps = 16
    targets = grid_targets([[Span(4, 7)], [Span(0, 2), Span(10, 16)]], 16.0, steps)
    output = made_output(targets, steps)
    losses = grounding_losses(output, targets, torch.tensor([5, 11]))
    # Confidence 0.5 everywhere: ln 2 * 0.5^2 on each point, right or wrong. States alike: every step has share 1 / T.
    focal = 5 * LAYERS * math.log(2) / 4
    contrast = 0.05 * LAYERS * math.log(steps)
    assert losses.class_.tolist() == pytest.approx([focal] * 2)
    assert losses.coord.tolist() == pytest.approx([0.0] * 2)
    assert losses.saliency.tolist() == pytest.approx([contrast] * 2)
    assert losses.total.tolist() == pytest.approx([focal + contrast] * 2)


def test_the_coordinate_loss_is_the_mean_distance_in_steps_of_the_level() -> None:
    targets = grid_targets([[Span(4, 7)], [Span(0, 2), Span(10, 16)]], 16.0, 16)
    output = made_output(targets, 16)
    output.distances[..., 0] += 1.0
    output.distances[..., 1] -= 2.0
    assert grounding_losses(output, targets).coord.tolist() == pytest.approx([LAYERS * 1.5] * 2)


def test_a_sure_and_right_output_costs_nothing() -> None:
    targets = grid_targets([[Span(4, 5)], [Span(9, 10)]], 16.0, 16)
    output = made_output(targets, 16)
    positive, _ = assign(output.points, targets, 16)
    output.class_logits[:] = torch.where(positive, 40.0, -40.0)
    step = targets.saliency.argmax(dim=1)
    output.frames[:] = -1.0
    for query in range(2):
        output.frames[:, query, step[query]] = 1.0
    losses = grounding_losses(output, targets)
    assert losses.total.tolist() == pytest.approx([0.0] * 2, abs=1e-6)
    output.class_logits.neg_()
    assert bool((grounding_losses(output, targets).class_ > 100).all())


def test_confidences_beyond_a_short_clips_end_do_not_count() -> None:
    targets = grid_targets([[Span(0, 2)]], 5.0, 5)
    output = made_output(targets, 5)
    before = grounding_losses(output, targets).class_
    output.class_logits[:, :, output.points[:, 0] >= 5] = 30.0
    assert torch.equal(grounding_losses(output, targets).class_, before)
    output.class_logits[:, :, 3] = 30.0
    assert not torch.equal(grounding_losses(output, targets).class_, before)


def test_a_query_without_spans_costs_nothing_and_stays_in_the_graph(head: TimestampHead) -> None:
    targets = grid_targets([[], []], 12.0, 12)
    losses = grounding_losses(head.train_outputs(torch.randn(1, 12, HIDDEN), torch.randn(2, 1, HIDDEN)), targets)
    assert losses.total.tolist() == [0.0, 0.0]
    losses.total.sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


def test_a_query_without_spans_does_not_change_its_neighbour(head: TimestampHead) -> None:
    frames, query = torch.randn(1, 12, HIDDEN), torch.randn(2, 1, HIDDEN)
    targets = grid_targets([[], [Span(3, 6)]], 12.0, 12)
    losses = grounding_losses(head.train_outputs(frames, query), targets, torch.tensor([0, 4]))
    alone = grounding_losses(
        head.train_outputs(frames, query[1:]), grid_targets([[Span(3, 6)]], 12.0, 12), torch.tensor([4])
    )
    assert losses.total[0] == 0
    torch.testing.assert_close(losses.total[1:], alone.total)


def test_a_span_that_no_point_answers_for_has_finite_losses(head: TimestampHead) -> None:
    # In float32 29 / 43 * 43 is above 29 and 30 / 43 * 43 below 30: both ends of this step lie off the grid.
    targets = grid_targets([[Span(29, 30)]], 43.0, 43)
    assert not assign(grid_points(43), targets, 43)[0].any()
    losses = grounding_losses(head.train_outputs(torch.randn(1, 43, HIDDEN), torch.randn(1, 1, HIDDEN)), targets)
    assert losses.coord.item() == 0.0
    assert losses.class_.item() > 0
    assert math.isfinite(losses.total.item())


def test_losses_stay_finite_for_extreme_outputs() -> None:
    targets = grid_targets([[Span(4, 7)]], 16.0, 16)
    output = made_output(targets, 16)
    for tensor, value in ((output.class_logits, 1e4), (output.distances, 1e20), (output.frames, 0.0)):
        tensor[:] = value
    leaves = [t.requires_grad_() for t in (output.class_logits, output.distances, output.frames)]
    losses = grounding_losses(output, targets)
    losses.total.sum().backward()
    assert math.isfinite(losses.total.item())
    assert all(leaf.grad is not None and bool(leaf.grad.isfinite().all()) for leaf in leaves)


def test_autocast_changes_nothing(head: TimestampHead) -> None:
    frames, query = torch.randn(1, 12, HIDDEN), torch.randn(1, 1, HIDDEN)
    targets = grid_targets([[Span(3, 6)]], 12.0, 12)

    def losses() -> GroundingLosses:
        return grounding_losses(head.train_outputs(frames, query), targets, torch.tensor([4]))

    plain = losses()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = losses()
    assert cast.total.dtype == torch.float32
    assert torch.equal(plain.total, cast.total)


# The positive step


def test_the_positive_step_lies_inside_a_span_and_each_one_gets_its_turn() -> None:
    targets = grid_targets([[Span(2, 5)], [Span(0, 1), Span(7, 8)], []], 8.0, 8)
    generator = torch.Generator().manual_seed(1)
    drawn = torch.stack([draw_positive_step(targets.saliency, generator) for _ in range(300)])
    assert [sorted(set(column.tolist())) for column in drawn.T] == [[2, 3, 4], [0, 7], [0]]
    assert drawn[:, 0].bincount().max() < 150


def test_the_draw_is_repeatable() -> None:
    saliency = torch.ones(20, 50)
    first, second = (draw_positive_step(saliency, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, draw_positive_step(saliency, torch.Generator().manual_seed(6)))


# The head in training


@pytest.mark.parametrize("steps", [2, 5, 8, 13, 40])
def test_the_last_layer_gives_what_inference_gives(head: TimestampHead, steps: int) -> None:
    frames, query = torch.randn(2, steps, HIDDEN), torch.randn(2, 1, HIDDEN)
    trained, used = head.train_outputs(frames, query), head(frames, query)
    torch.testing.assert_close(trained.frames[-1], used.fused[:, :-1])
    torch.testing.assert_close(trained.query[-1], used.fused[:, -1:])
    assert trained.class_logits.shape == (LAYERS, 2, sum(max(steps, 8) // stride for stride in STRIDES))
    assert torch.equal(trained.points, grid_points(steps))
    if steps >= 8:
        torch.testing.assert_close(trained.class_logits[-1], used.class_logits)
        torch.testing.assert_close(trained.distances[-1], used.distances)


@pytest.mark.parametrize("steps", [5, 21])
def test_queries_on_one_clip_are_as_if_each_were_alone(head: TimestampHead, steps: int) -> None:
    frames, query = torch.randn(1, steps, HIDDEN), torch.randn(4, 1, HIDDEN)
    spans = [[Span(0, 2)], [Span(1, 4), Span(2, 3)], [], [Span(4, 5)]]
    step = torch.tensor([1, 2, 0, 4])

    def gradients(losses: list[GroundingLosses]) -> list[torch.Tensor]:
        head.zero_grad()
        torch.cat([one.total for one in losses]).sum().backward()
        return [p.grad.clone() for p in head.parameters() if p.grad is not None]

    together = grounding_losses(head.train_outputs(frames, query), grid_targets(spans, float(steps), steps), step)
    repeated = grounding_losses(
        head.train_outputs(frames.expand(4, -1, -1), query), grid_targets(spans, float(steps), steps), step
    )
    alone = [
        grounding_losses(
            head.train_outputs(frames, query[i : i + 1]), grid_targets([spans[i]], float(steps), steps), step[i : i + 1]
        )
        for i in range(4)
    ]
    for part in ("class_", "coord", "saliency"):
        expected = torch.cat([getattr(one, part) for one in alone])
        torch.testing.assert_close(getattr(together, part), expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(getattr(repeated, part), expected, atol=1e-6, rtol=1e-5)
    for ours, theirs in zip(gradients([together]), gradients(alone), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_clips_that_do_not_fit_the_queries_are_refused(head: TimestampHead) -> None:
    with pytest.raises(ValueError, match="2 clips for 3 queries"):
        head.train_outputs(torch.randn(2, 9, HIDDEN), torch.randn(3, 1, HIDDEN))


@pytest.mark.parametrize("steps", [5, 8, 30])
def test_every_parameter_of_the_head_learns(steps: int) -> None:
    torch.manual_seed(0)
    head = TimestampHead(HIDDEN, drop_path=0.0).train()
    targets = grid_targets([[Span(1, 2.5)]], float(steps), steps)
    losses = grounding_losses(head.train_outputs(torch.randn(1, steps, HIDDEN), torch.randn(1, 1, HIDDEN)), targets)
    losses.total.sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        largest = parameter.grad.abs().max().item()
        if name.endswith("self_att.k.bias"):
            # It adds the same to every score of a query, which the softmax takes out again.
            assert largest < 1e-5, name
        else:
            assert largest > 1e-6, name


def test_a_fresh_head_is_sure_of_nothing_whatever_the_width() -> None:
    torch.manual_seed(0)
    for hidden in (HIDDEN, 1536):
        output = TimestampHead(hidden).eval()(torch.randn(4, 75, hidden), torch.randn(4, 1, hidden))
        assert 0.02 < output.class_logits.sigmoid().mean() < 0.12
        assert 0.5 < output.vis_proj.std() < 2
        assert 0.3 < output.distances.median() < 3


def test_branches_are_dropped_only_in_training_and_never_at_inference() -> None:
    torch.manual_seed(0)
    head = TimestampHead(HIDDEN, drop_path=0.5)
    frames, query = torch.randn(1, 12, HIDDEN), torch.randn(6, 1, HIDDEN)
    steady, used = head.eval().train_outputs(frames, query), head(frames, query)
    dropped, again = head.train().train_outputs(frames, query), head.train_outputs(frames, query)
    assert not torch.equal(dropped.class_logits, steady.class_logits)
    assert not torch.equal(dropped.class_logits, again.class_logits)
    assert torch.equal(head(frames, query).class_logits, used.class_logits)
    head.drop_path = 0.0
    assert torch.equal(head.train_outputs(frames, query).class_logits, steady.class_logits)


def test_a_branch_is_dropped_for_whole_samples_and_keeps_its_mean() -> None:
    torch.manual_seed(0)
    kept = timestamp._dropped(torch.ones(4000, 3, 2), 0.25)
    by_sample = kept.flatten(1)
    assert bool((by_sample == by_sample[:, :1]).all())
    assert sorted(set(by_sample[:, 0].tolist())) == pytest.approx([0.0, 4 / 3])
    assert by_sample[:, 0].mean().item() == pytest.approx(1.0, abs=0.05)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000))
def test_a_step_along_the_gradient_lowers_the_loss(seed: int) -> None:
    torch.manual_seed(seed)
    head = TimestampHead(HIDDEN).eval()
    frames, query, step = torch.randn(1, 14, HIDDEN), torch.randn(2, 1, HIDDEN), torch.tensor([4, 9])
    targets = grid_targets([[Span(3, 6)], [Span(8, 13)]], 14.0, 14)
    before = grounding_losses(head.train_outputs(frames, query), targets, step).total.sum()
    before.backward()
    squared = sum(float(p.grad.pow(2).sum()) for p in head.parameters() if p.grad is not None)
    with torch.no_grad():
        for parameter in head.parameters():
            if parameter.grad is not None:
                parameter -= 1e-3 / squared * parameter.grad
    after = grounding_losses(head.train_outputs(frames, query), targets, step).total.sum()
    assert 0 < (before - after).item() < 2e-3


def test_a_fresh_head_learns_a_few_moments() -> None:
    torch.manual_seed(0)
    head = TimestampHead(HIDDEN, drop_path=0.0).train()
    frames, query = torch.randn(1, 20, HIDDEN), torch.randn(3, 1, HIDDEN)
    spans = [Span(2, 5), Span(6, 16), Span(17.5, 19)]
    targets = grid_targets([[span] for span in spans], 20.0, 20)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    for _ in range(50):
        optimizer.zero_grad()
        grounding_losses(head.train_outputs(frames, query), targets).total.mean().backward()
        optimizer.step()
    rows = head.eval()(frames, query).rows_norm()
    best = rows[torch.arange(3), rows[..., 2].argmax(dim=1), :2] * 20
    for (start, end), span in zip(best.tolist(), spans, strict=True):
        assert iou(Span(max(start, 0.0), end), span) > 0.6


@pytest.mark.gpu
def test_nothing_waits_for_the_gpu() -> None:
    device = torch.device("cuda")
    head = TimestampHead(HIDDEN).to(device).train()
    frames, query = torch.randn(1, 75, HIDDEN, device=device), torch.randn(3, 1, HIDDEN, device=device)
    targets = grid_targets([[Span(1, 3)], [Span(8, 40), Span(50, 60)], []], 75.0, 75)
    generator = torch.Generator().manual_seed(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = grounding_losses(head.train_outputs(frames, query), targets, generator=generator)
        losses.total.sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert losses.total.isfinite().all()
