"""Validation examples go in, the role's own metrics come out; the adapter is asked as the agent will ask it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from adapters.frames import open_video
from adapters.train.build import Workbench
from adapters.train.progress import track
from adapters.train.recipe import Item, Recipe, Record
from roles.errors import MindreelError, VideoError


def validate(
    bench: Workbench, recipe: Recipe, items: Sequence[Item], processes: Any, show: bool = True
) -> tuple[dict[str, float], list[Record]]:
    """Asks the adapter about validation examples, each process about a part of the videos.

    Returns:
        (the role's metrics, what each example gave, in order). Among the metrics, where there are any, "failed" counts
        examples on which the adapter failed, which are wrong, and "unseen" those whose videos cannot be decoded, which
        are left out.
    """
    from accelerate.utils import gather_object

    network = bench.network
    was_training = network.training
    network.eval()
    by_video: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        by_video.setdefault(item.video.path, []).append(number)
    mine = sorted(by_video)[processes.process_index :: processes.num_processes]
    records: list[tuple[int, Record]] = []
    device = bench.backbone.placement.device
    half = bench.backbone.placement.dtype != torch.float32
    with whole(network), torch.autocast(device.type, bench.backbone.placement.dtype, enabled=half):
        bench.show()
        for path in track(mine, "validating", len(mine)) if show and processes.is_main_process else mine:
            records += [(number, _ask(bench, recipe, items[number], path)) for number in by_video[path]]
            bench.backbone.forget(items[by_video[path][0]].video)
    gathered = [pair for pair in gather_object(records) if pair is not None]
    gathered.sort(key=lambda pair: pair[0])
    network.train(was_training)
    # A video that cannot be decoded says nothing of the adapter; everything else that went wrong is its fault.
    asked = [record for _, record in gathered if not record.get("unseen")]
    metrics = dict(recipe.score(asked)) if asked else {}
    for name, count in (("failed", sum("error" in one for one in asked)), ("unseen", len(gathered) - len(asked))):
        if count:
            metrics[name] = float(count)
    return metrics, [record for _, record in gathered]


@contextmanager
def whole(network: torch.nn.Module) -> Iterator[None]:
    """Gives every process all weights of a network that FSDP has sharded; does nothing to any other.

    Asking calls parts of the network by themselves, and one process more often than another, so no weight may be
    fetched from the others meanwhile. The base must fit on each device for that long.
    """
    sharded: list[Any] = [module for module in network.modules() if hasattr(module, "set_reshard_after_forward")]
    for module in sharded:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in sharded:
            module.reshard()
            # As FSDP does by itself: the outermost is needed again at once, in the backward pass.
            module.set_reshard_after_forward(module is not network, recurse=False)


def _ask(bench: Workbench, recipe: Recipe, item: Item, path: str) -> Record:
    try:
        if not bench.backbone.watches(item.video):
            bench.backbone.watch(open_video(path))
        return {"source": item.source, **recipe.ask(bench.backbone, item)}
    except VideoError as error:
        return {"source": item.source, "error": str(error), "unseen": True}
    except MindreelError as error:
        return {"source": item.source, **recipe.missed(item), "error": str(error)}
