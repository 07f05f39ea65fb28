"""Training on a CUDA device: half precision, recomputed layers and fused parts keep to what a CPU computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.test_train_packing import ATTENTION, MIXED, ORACLE, make_samples, packed

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def _gradients(device: str, dtype: str, checkpointed: int = 0, fused: bool = False) -> tuple[float, dict[str, float]]:
    """The loss of one packed pass, and the norm of every gradient."""
    from adapters.loading import choose_placement
    from adapters.tokens import Tokens
    from adapters.train.build import LoraShape, build
    from prompts import own_prompts

    bench = build(
        "grounder",
        ORACLE / "base",
        Tokens(ORACLE / "videomind"),
        own_prompts(),
        choose_placement(device, dtype, "sdpa"),
        LoraShape(4, 8.0, 0.0, ATTENTION),
        "rows",
        True,
        None,
        7,
    )
    generator = torch.Generator().manual_seed(3)
    for name, parameter in bench.network.named_parameters():
        if parameter.requires_grad:
            # Drawn on the CPU, so that devices start alike.
            drawn = torch.randn(parameter.shape, generator=generator) * 0.05
            parameter.data = (1 + drawn if name.endswith("norm.weight") else drawn).to(parameter.device)
    network = bench.network.train()
    assert network.head is not None
    network.head.drop_path = 0.0
    network.checkpointed_layers = checkpointed
    if fused:
        network.compile_parts()
    total = network(packed(make_samples(MIXED), bench)).total
    total.backward()
    norms = {name: float(p.grad.norm()) for name, p in network.named_parameters() if p.grad is not None}
    return float(total.detach()), norms


@pytest.mark.parametrize(("checkpointed", "fused"), [(0, False), (4, False), (2, True)])
def test_half_precision_on_a_gpu_gives_the_losses_and_gradients_of_a_cpu(checkpointed: int, fused: bool) -> None:
    loss, norms = _gradients("cuda", "bfloat16", checkpointed, fused)
    expected, expected_norms = _gradients("cpu", "float32")
    assert loss == pytest.approx(expected, rel=2e-2)
    assert norms.keys() == expected_norms.keys()
    largest = max(expected_norms.values())
    for name, norm in norms.items():
        assert norm == pytest.approx(expected_norms[name], rel=0.15, abs=2e-3 * largest), name


def _train(out: Path, extra: Sequence[str] = ()) -> list[float]:
    import json

    from adapters.train.grounder import main
    from tests.films import make_examples

    data = make_examples(out / "films")
    arguments = ["--model", str(ORACLE / "base"), "--data", str(data), "--out", str(out / "adapters")]
    arguments += ["--batch", "8", "--epochs", "20", "--learning-rate", "2e-3", "--lora-rank", "8", "--workers", "2"]
    assert main([*arguments, "--report-to", "none", *extra]) == 0
    lines = (out / "adapters" / "grounder" / "losses.jsonl").read_text().splitlines()
    return [record["loss"] for record in map(json.loads, lines) if "loss" in record]


@pytest.mark.parametrize("extra", [(), ("--checkpointing", "all", "--compile")], ids=["plain", "small"])
def test_a_run_on_a_gpu_learns(tmp_path: Path, extra: Sequence[str]) -> None:
    losses = _train(tmp_path, extra)
    assert len(losses) == 20
    assert losses[-1] < 0.6 * losses[0]
