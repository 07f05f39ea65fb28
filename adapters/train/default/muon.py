"""Gradients of matrices go in, steps of equal size in all their directions come out: Muon, many matrices at a time.

`torch.optim.Muon` does the same one matrix after another, in 35 launches each; a small network has a hundred matrices
of few shapes and waits for launches more than for arithmetic, so those of one shape are stacked here. Equal to torch's
with `adjust_lr_fn="match_rms_adamw"` (tested).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration that drives singular values towards 1 (Jordan 2024)."""
ITERATIONS = 5
MOMENTUM = 0.95
AS_ADAMW = 0.2
"""Root mean square of AdamW's usual update, so that one learning rate serves both (Liu et al. 2025)."""
EPS = 1e-7


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal.

    Args:
        params: Matrices, or groups of them.
        lr: Learning rate, as for AdamW.
        weight_decay: Decoupled, as in AdamW.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Takes one step.

        Raises:
            ValueError: A closure is given, or a parameter is no matrix.
        """
        if closure is not None:
            raise ValueError("a closure has no use here")
        for group in self.param_groups:
            shapes: dict[tuple[int, ...], list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(tuple(p.shape), []).append(p)
            for shape, params in shapes.items():
                self._step(group, shape, params)

    def _step(self, group: dict[str, Any], shape: tuple[int, ...], params: list[Tensor]) -> None:
        if len(shape) != 2:
            raise ValueError(f"a parameter of shape {list(shape)} is no matrix")
        grads = [p.grad for p in params if p.grad is not None]
        for p, grad in zip(params, grads, strict=True):
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(grad)
        means = [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_lerp_(means, grads, 1 - MOMENTUM)
        ahead = torch._foreach_lerp(grads, means, MOMENTUM)
        turned = orthogonal(torch.stack(tuple(ahead))).to(params[0].dtype)
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        size = group["lr"] * AS_ADAMW * max(shape) ** 0.5
        torch._foreach_add_(params, list(turned.unbind()), alpha=-size)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices with their singular values brought near 1, bfloat16, [n, rows, columns]."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=EPS)
    for _ in range(ITERATIONS):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if tall else x
