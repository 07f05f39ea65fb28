"""What each pack gave goes in, lines of a training's log come out, and back again."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.train.default.arrays import ROLES
from adapters.train.default.network import Report
from adapters.train.default.pool import Drawn

LOG_FILE = "log.jsonl"
LOG_EVERY = 20
"""Steps of a line."""


@dataclass(slots=True)
class Tally:
    """Means since the last log line."""

    parts: dict[str, list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    right: list[tuple[tuple[str, ...], Tensor, Tensor]] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0

    def add(self, report: Report, drawn: Drawn, first: bool) -> None:
        """Counts one pack; what was answered rightly counts only where the films were new."""
        for name, part in report.parts.items():
            self.parts[name].append(part)
        if first:
            self.right.append((drawn.pack.types, report.right, drawn.pack.segment_role))
            self.states.append(report.states_right)
        self.seconds += drawn.pack.seconds
        self.tokens += drawn.pack.ids.shape[0]

    def line(self) -> dict[str, Any]:
        """Everything as numbers; waits for the device."""
        out: dict[str, Any] = {name: float(torch.stack(parts).mean()) for name, parts in self.parts.items()}
        hits: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for types, right, roles in self.right:
            for kind, ok, role in zip(types, right.tolist(), roles.tolist(), strict=True):
                name = kind if ROLES[role] == "answerer" else ROLES[role]
                hits[name][0] += ok
                hits[name][1] += 1
        out["right"] = {name: round(ok / count, 4) for name, (ok, count) in sorted(hits.items())}
        out["asked"] = {name: count for name, (_, count) in sorted(hits.items())}
        if self.states:
            out["states"] = [round(x, 4) for x in torch.stack(self.states).nanmean(dim=0).tolist()]
        return out


def curve(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; of steps that were done twice, the last."""
    lines = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        lines[line["step"]] = line
    return [lines[step] for step in sorted(lines)]
