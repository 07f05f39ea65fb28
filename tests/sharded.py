"""What a network that FSDP has sharded does, against a whole one; `test_train_processes.py` runs it twice at once.

    python -m torch.distributed.run --nproc_per_node 2 -m tests.sharded

accelerate shards on GPUs alone, so this shards by hand what `fsdp.yaml` names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from adapters.frames import open_video
from adapters.train.build import Workbench, load_trained_state, trained_state
from adapters.train.grounder import GrounderRecipe
from adapters.train.recipe import Item
from adapters.train.validation import whole
from roles.types import Example, Span
from tests.test_train_packing import MIXED, ORACLE, QUERIES, make_bench, make_samples, packed


def learn(bench: Workbench) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of a pass."""
    bench.network.zero_grad()
    total = bench.network(packed(make_samples(MIXED), bench)).total
    total.backward()
    grads: dict[str, Any] = {name: p.grad for name, p in bench.network.named_parameters() if p.grad is not None}
    whole_grads = {name: g.full_tensor() if hasattr(g, "full_tensor") else g.clone() for name, g in grads.items()}
    return float(total.detach()), whole_grads


def ask(bench: Workbench, query: str) -> dict[str, Any]:
    """What it answers now."""
    path = str(Path(ORACLE) / "videos" / "v1.mp4")
    bench.show()
    with open_video(path) as file, torch.no_grad():
        bench.backbone.watch(file)
        item = Item(Example(path, query, spans=(Span(1.0, 4.0),)), file.video, "")
        record: dict[str, Any] = GrounderRecipe(200).ask(bench.backbone, item)
        bench.backbone.forget(file.video)
    return record


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Raises where two differ."""
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-5, msg=name)


def main() -> None:
    """Shards one of two equal networks and compares them."""
    distributed.init_process_group("gloo")
    one, other = make_bench(), make_bench()
    for bench in (one, other):
        bench.network.eval()
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    for layer in one.network.base.model.language_model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(one.network, mesh=mesh)
    expected = learn(other)

    loss, grads = learn(one)
    assert abs(loss - expected[0]) < 1e-4 * expected[0]
    same(grads, expected[1])
    state = trained_state(one.network)
    same(state, trained_state(other.network))
    load_trained_state(one.network, {name: tensor + 1 for name, tensor in state.items()})
    same(trained_state(one.network), {name: tensor + 1 for name, tensor in state.items()})
    load_trained_state(one.network, state)

    # The first process asks more than the second: neither may wait for the other.
    questions = QUERIES[:3] if distributed.get_rank() == 0 else QUERIES[:1]
    with whole(one.network):
        assert [ask(one, query) for query in questions] == [ask(other, query) for query in questions]
    loss, grads = learn(one)
    assert abs(loss - expected[0]) < 1e-4 * expected[0]
    same(grads, expected[1])
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
