"""What the launcher says goes in, one process's place among the others comes out."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process works.

    Attributes:
        rank: Which process.
        world: How many there are.
        device: Its device.
    """

    rank: int
    world: int
    device: torch.device

    @classmethod
    def here(cls, device: str = "auto") -> Place:
        """This process's place, as its launcher says."""
        rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        local = int(os.environ.get("LOCAL_RANK", 0))
        if device == "auto":
            device = f"cuda:{local}" if torch.cuda.is_available() else "cpu"
        where = torch.device(device)
        if where.type == "cuda":
            torch.cuda.set_device(where)
        if world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
        return cls(rank, world, where)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()

    @property
    def main(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0
