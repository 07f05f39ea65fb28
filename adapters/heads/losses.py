"""The grounder's losses: the regression head's outputs and the true spans in, one loss of each part per query out.

The rules are VideoMind's and are pinned by `tests/parity/test_training_head.py`: focal loss on the confidences, L1 on
the distances to both ends, and a sampled contrastive loss that pulls the query's state towards a step inside a true
span. Nothing here waits for a GPU: true spans become small tensors on the CPU, and everything after is masked, not
indexed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from adapters.heads.timestamp import STRIDES, TrainingOutput
from roles.spans import widen
from roles.types import Span

CLASS_WEIGHT = 5.0
COORD_WEIGHT = 1.0
SALIENCY_WEIGHT = 0.05
FOCAL_GAMMA = 2.0
TEMPERATURE = 0.07
CENTRE_RADIUS = 1.5
"""Points further than this from a span's middle, in steps of their level, do not answer for it."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What is true of Q queries about one clip of T steps; S is the largest number of spans of a query.

    Attributes:
        boundary: Spans as fractions of the clip, at least one step long, float32, [Q, S, 2].
        real: False where a row of `boundary` only fills up, [Q, S].
        saliency: 1 for the steps inside a span, else 0, float32, [Q, T].
    """

    boundary: Tensor
    real: Tensor
    saliency: Tensor

    def on(self, device: torch.device) -> Targets:
        """Itself on a device, without waiting for it."""
        return Targets(*(x.to(device, non_blocking=True) for x in (self.boundary, self.real, self.saliency)))


@dataclass(frozen=True, slots=True)
class GroundingLosses:
    """Weighted parts of the grounder's loss, one value per query, [Q] each.

    Attributes:
        class_: Focal loss of the confidences.
        coord: L1 of the distances to the ends.
        saliency: Contrastive loss between the query and the steps.
    """

    class_: Tensor
    coord: Tensor
    saliency: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of the parts, [Q]."""
        return self.class_ + self.coord + self.saliency


def grid_targets(spans: Sequence[Sequence[Span]], duration_s: float, steps: int) -> Targets:
    """Puts true spans on the grid of a clip.

    Spans are clamped to the clip, and those shorter than a step are widened to one about their middle. Step k lies
    inside a span where ceil(start * f) <= k < ceil(end * f), f steps per second. (Source: VideoMind.) Rounding can
    leave a span of exactly one step without any; it then gets the step that its middle falls into.

    Args:
        spans: For each query, the true spans in seconds from the clip's start; none where there is nothing to regress.
        duration_s: Length of the clip.
        steps: T, its temporal patches.

    Raises:
        ValueError: A clip without length or steps.
    """
    if not (duration_s > 0 and steps > 0):
        raise ValueError(f"a clip of {duration_s} s in {steps} steps: expected both above 0")
    rate = steps / duration_s
    most = max((len(some) for some in spans), default=0)
    boundary = torch.zeros(len(spans), max(most, 1), 2)
    real = torch.zeros(len(spans), max(most, 1), dtype=torch.bool)
    saliency = torch.zeros(len(spans), steps)
    for query, some in enumerate(spans):
        for number, span in enumerate(some):
            wide = widen(span.start_s, span.end_s, duration_s, duration_s / steps)
            boundary[query, number] = torch.tensor((wide.start_s / duration_s, wide.end_s / duration_s))
            real[query, number] = True
            first, end = math.ceil(wide.start_s * rate), min(math.ceil(wide.end_s * rate), steps)
            if first >= end:
                first = min(int((wide.start_s + wide.end_s) / 2 * rate), steps - 1)
                end = first + 1
            saliency[query, first:end] = 1.0
    return Targets(boundary, real, saliency)


def grounding_losses(
    output: TrainingOutput,
    targets: Targets,
    positive_step: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> GroundingLosses:
    """Losses of the regression head, summed over its fuse layers, in float32 also under autocast.

    A query without spans gets zeros, and every parameter still belongs to the graph, so that several GPUs agree on what
    takes part.

    Args:
        output: From `TimestampHead.train_outputs`; Q queries about one clip.
        targets: From `grid_targets`, on any device.
        positive_step: The step that the contrastive loss takes as the right one, [Q]; drawn among the steps inside the
            spans where not given.
        generator: Draws it; the default one of the device where not given.
    """
    device = output.class_logits.device
    with torch.autocast(device.type, enabled=False):
        targets = targets.on(device)
        steps = output.frames.shape[2]
        points = output.points.float()
        positive, distances = assign(points, targets, steps)
        if positive_step is None:
            positive_step = draw_positive_step(targets.saliency, generator)
        grounded = targets.real.any(dim=1)
        parts = (
            CLASS_WEIGHT * focal(output.class_logits.float(), positive, points[:, 0] < steps),
            COORD_WEIGHT * distance(output.distances.float(), distances, positive),
            SALIENCY_WEIGHT
            * contrast(output.frames.float(), output.query.float(), targets.saliency, positive_step.to(device)),
        )
        return GroundingLosses(*(torch.where(grounded, part.sum(dim=0), 0.0) for part in parts))


def assign(points: Tensor, targets: Targets, steps: int) -> tuple[Tensor, Tensor]:
    """Decides which points answer for which span.

    A point answers for a span that it lies inside of, at most 1.5 steps of its level from the middle, and whose further
    end is as far as its level is for: up to 2 grid steps for stride 1, 2 to 4, 4 to 8, and 8 or more for stride 8, ends
    included. Of several such spans the shortest wins. (Source: VideoMind; float32 decides ties as it does there.)
    In a short clip points beyond its end can answer too.

    Args:
        points: Grid step and stride, [P, 2].
        targets: The spans, on the device of the points.
        steps: T, without padding.

    Returns:
        (whether a point answers for any span [Q, P], its distances to that span's ends in steps of its level
        [Q, P, 2]); the distances mean nothing where it answers for none.
    """
    return assign_steps(points, targets.boundary * steps, targets.real)


def assign_steps(points: Tensor, spans: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """`assign` with spans in steps of the clip's grid, [Q, S, 2]; `real` as in `Targets`, [Q, S]."""
    at, stride = points[:, 0, None], points[:, 1, None]
    start, end = spans[:, None].unbind(dim=-1)
    reach = stride * CENTRE_RADIUS
    middle = (start + end) / 2
    inside = (at >= torch.maximum(middle - reach, start)) & (at <= torch.minimum(middle + reach, end))
    left, right = at - start, end - at
    furthest = torch.maximum(left, right)
    least = torch.where(stride > min(STRIDES), stride, 0.0)
    most = torch.where(stride < max(STRIDES), 2 * stride, math.inf)
    answers = inside & (furthest >= least) & (furthest <= most) & real[:, None]
    length = torch.where(answers, end - start, math.inf)
    chosen = length.argmin(dim=2, keepdim=True)
    distances = torch.cat((left.gather(2, chosen), right.gather(2, chosen)), dim=2) / stride
    return answers.any(dim=2), distances


def draw_positive_step(saliency: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A random step among those inside a span, all equally likely, [Q]; 0 for a query without spans.

    Args:
        saliency: 1 inside a span, else 0, [Q, T].
        generator: May live on the CPU, then the draw does not depend on the device.
    """
    device = generator.device if generator is not None else saliency.device
    noise = torch.rand(saliency.shape, generator=generator, device=device).to(saliency.device, non_blocking=True)
    return (saliency * (1 + noise)).argmax(dim=1)


def focal(logits: Tensor, positive: Tensor, counted: Tensor) -> Tensor:
    """Sigmoid focal loss without alpha over the points inside the clip, per layer, [L, Q].

    Args:
        logits: [L, Q, P].
        positive: [Q, P].
        counted: False for points of the padding, [P], or [Q, P] where the clips differ in length.
    """
    truth = positive.to(logits.dtype).expand_as(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = (truth - logits.sigmoid()).abs()
    return (entropy * wrong**FOCAL_GAMMA * counted).sum(dim=2) / counted.sum(dim=-1)


def distance(predicted: Tensor, true: Tensor, positive: Tensor) -> Tensor:
    """Mean distance between predicted and true distances to the ends over the points that answer, per layer, [L, Q].

    Args:
        predicted: [L, Q, P, 2].
        true: [Q, P, 2].
        positive: [Q, P].
    """
    apart = (predicted - true).abs().sum(dim=3) * positive
    # Rounding can put both ends of a span of exactly one step just off the grid: then no point answers, and this is 0.
    return apart.sum(dim=2) / (2 * positive.sum(dim=1)).clamp(min=1)


def contrast(frames: Tensor, query: Tensor, saliency: Tensor, positive_step: Tensor) -> Tensor:
    """How far the query's state is from that of a step inside a span, against the other steps, per layer, [L, Q].

    The steps it is compared with are those no more salient than the right one, so other right steps are among them.

    Args:
        frames: [L, Q, T, width].
        query: [L, Q, 1, width].
        saliency: [Q, T].
        positive_step: [Q].
    """
    likeness = functional.cosine_similarity(frames, query, dim=3) / TEMPERATURE
    at = positive_step[:, None]
    rivals = saliency <= saliency.gather(1, at)
    log_share = likeness.masked_fill(~rivals, -math.inf).log_softmax(dim=2)
    return -log_share.gather(2, at.expand(likeness.shape[0], -1, -1)).squeeze(2)
