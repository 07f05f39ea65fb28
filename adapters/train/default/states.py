"""Mean states of temporal patches and queries go in, logits of the answers come out: what helps a base to perceive.

The heads are dropped after training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapters.train.default.contract import StateSizes

STATE_WIDTH = 256


class StateHead(nn.Module):
    """Tells from the mean state of a temporal patch what is so then; the question is given as indices.

    Args:
        hidden: Width of the states.
        sizes: Of the questions and answers.
    """

    def __init__(self, hidden: int, sizes: StateSizes) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.look = nn.Linear(hidden, STATE_WIDTH)
        self.kind = nn.Embedding(sizes.kinds, STATE_WIDTH)
        self.names = nn.ModuleList(nn.Embedding(sizes.names, STATE_WIDTH) for _ in range(3))
        self.mix = nn.Sequential(nn.GELU(), nn.Linear(STATE_WIDTH, STATE_WIDTH))
        self.hidden = nn.Linear(2 * STATE_WIDTH, 2 * STATE_WIDTH)
        self.out = nn.Linear(2 * STATE_WIDTH, sizes.classes + sizes.colours + sizes.shapes)
        self.split = (sizes.classes, sizes.colours, sizes.shapes)

    def forward(self, states: Tensor, patch: Tensor, queries: Tensor, query: Tensor) -> tuple[Tensor, ...]:
        """Logits of class, colour and shape, [I, n] each.

        Args:
            states: Mean state of each patch, [P, hidden].
            patch: Which patch each of the I items is about, [I].
            queries: Kind and three names, [Q, 4].
            query: Which query each item asks, [I].
        """
        seen = self.look(self.norm(states))
        asked = self.kind(queries[:, 0])
        for at, names in enumerate(self.names):
            asked = asked + names(queries[:, at + 1])
        asked = self.mix(asked)
        # The product lets a query pick what it is about out of a state that holds everything.
        a, b = seen[patch], asked[query]
        x = functional.gelu(self.hidden(torch.cat((a * b, a + b), dim=-1)))
        return tuple(self.out(x).split(self.split, dim=-1))
