"""Muon: matrices of one shape are stepped together, and come out as those that torch steps one after another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from adapters.train.default.muon import Muon, orthogonal

SHAPES = ((24, 24), (16, 40), (16, 40), (40, 16), (40, 16), (96, 8), (1, 12), (24, 24))
RATE = 0.02


def parameters(shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def give_gradients(params: Sequence[Tensor], step: int, left_out: int | None = None) -> None:
    """Gradients of unlike sizes in unlike directions, the same for every list of the same shapes."""
    for at, p in enumerate(params):
        generator = torch.Generator().manual_seed(100 * step + at)
        grad = torch.randn(p.shape, generator=generator) * torch.logspace(-1, 0.5, p.shape[1])
        p.grad = None if at == left_out else grad


def distance(ours: Tensor, theirs: Tensor, before: Tensor) -> float:
    """How far two steps are from each other, as a share of the step."""
    return float((ours - theirs).norm() / (theirs - before).norm())


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_many_matrices_at_once_are_stepped_as_torch_steps_one_after_another(decay: float) -> None:
    ours, theirs = parameters(SHAPES), parameters(SHAPES)
    stacked = Muon(ours, RATE, decay)
    single = torch.optim.Muon(theirs, lr=RATE, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    for step in range(6):
        before = [p.detach().clone() for p in theirs]
        give_gradients(ours, step)
        give_gradients(theirs, step)
        for optimizer in (stacked, single):
            for group in optimizer.param_groups:
                group["lr"] = RATE / (step + 1)
            optimizer.step()
        for at, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            # The iteration is done in bfloat16, whose sums may come out otherwise in a stack.
            assert distance(a.detach(), b.detach(), before[at]) < 0.02, (step, SHAPES[at])
            mean, other = stacked.state[a]["momentum_buffer"], single.state[b]["momentum_buffer"]
            assert torch.allclose(mean, other, rtol=1e-5, atol=1e-7)
            with torch.no_grad():
                a.copy_(b)


def test_a_wrong_constant_would_be_seen() -> None:
    """The comparison above tells apart what differs by little."""
    for wrong in ({"momentum": 0.9}, {"ns_steps": 4}, {"nesterov": False}, {"lr": RATE * 1.1}):
        ours, theirs = parameters(SHAPES[:3]), parameters(SHAPES[:3])
        stacked = Muon(ours, RATE, 0.0)
        settings: dict[str, float] = {"lr": RATE, **wrong}
        single = torch.optim.Muon(theirs, weight_decay=0.0, adjust_lr_fn="match_rms_adamw", **settings)  # type: ignore[arg-type]
        start = [p.detach().clone() for p in theirs]
        both: tuple[torch.optim.Optimizer, ...] = (stacked, single)
        for step in range(3):
            give_gradients(ours, step)
            give_gradients(theirs, step)
            for optimizer in both:
                optimizer.step()
        far = [distance(a.detach(), b.detach(), c) for a, b, c in zip(ours, theirs, start, strict=True)]
        assert min(far) > 0.03, wrong


def test_all_directions_of_a_matrix_come_out_about_equally_long() -> None:
    matrices = torch.randn(3, 20, 50, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 1, 50)
    for wide in (matrices, matrices.transpose(1, 2)):
        before, after = torch.linalg.svdvals(wide), torch.linalg.svdvals(orthogonal(wide).float())
        assert float(before.max() / before.min()) > 20
        assert float(after.min()) > 0.5
        assert float(after.max()) < 1.4
        # Turned, not replaced: the matrix still points where it did.
        assert bool(((orthogonal(wide).float() * wide).sum(dim=(1, 2)) > 0).all())


def test_steps_are_as_large_as_those_of_adamw() -> None:
    for shape in ((32, 32), (16, 64), (64, 16)):
        (p,) = parameters([shape])
        before = p.detach().clone()
        give_gradients([p], 0)
        Muon([p], RATE, 0.0).step()
        assert float((p.detach() - before).square().mean().sqrt()) == pytest.approx(0.2 * RATE, rel=0.25)


def test_what_has_no_gradient_stays_as_it_is_and_takes_nothing_from_others() -> None:
    some, rest = parameters(SHAPES), parameters(SHAPES)
    still = some[1].detach().clone()
    first, second = Muon(some, RATE, 0.3), Muon([p for at, p in enumerate(rest) if at != 1], RATE, 0.3)
    for step in range(2):
        give_gradients(some, step, left_out=1)
        give_gradients(rest, step)
        first.step()
        second.step()
    assert torch.equal(some[1].detach(), still)
    assert some[1] not in first.state
    assert all(torch.equal(a, b) for at, (a, b) in enumerate(zip(some, rest, strict=True)) if at != 1)


def test_a_gradient_of_zeros_moves_nothing_but_by_decay() -> None:
    (p,) = parameters([(8, 6)])
    before = p.detach().clone()
    p.grad = torch.zeros_like(p)
    Muon([p], RATE, 0.5).step()
    assert torch.allclose(p.detach(), before * (1 - RATE * 0.5))


def test_closures_and_what_is_no_matrix_are_refused() -> None:
    (p,) = parameters([(4, 4)])
    with pytest.raises(ValueError, match="closure"):
        Muon([p], RATE, 0.0).step(lambda: 0.0)
    for shape in ((4,), (2, 3, 4)):
        odd = torch.ones(shape, requires_grad=True)
        odd.grad = torch.ones(shape)
        with pytest.raises(ValueError, match=rf"shape \[{', '.join(map(str, shape))}\] is no matrix"):
            Muon([odd], RATE, 0.0).step()
        assert bool((odd == 1).all())
