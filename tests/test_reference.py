"""Our passes against transformers' own, on shapes the recordings lack: merged weights, its vision tower, its mask."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.qwen2vl import Qwen2VL
from adapters.store import current_name
from eval.random_checkpoint import SIZES, write
from prompts import plain
from roles.types import Budget, Clip, Request

ALPHA, RANK = 96, 64


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint whose LoRA scale is not 1 and whose weights are large enough to matter."""
    folder = tmp_path_factory.mktemp("reference") / "made"
    size = replace(SIZES["tiny"], hidden=96, heads=6, kv_heads=3, layers=3, tied=request.param, vision_width=32)
    write(size, folder, "cpu", seed=5)
    for role in ("planner", "verifier"):
        file = folder / "adapters" / role / "adapter_model.safetensors"
        save_file({name: tensor * 8 for name, tensor in load_file(file).items()}, file)
        config = json.loads((file.parent / "adapter_config.json").read_text())
        (file.parent / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": ALPHA}))
    return folder


def reference(folder: Path, role: str | None) -> Any:
    """transformers' own model with the role's LoRA merged and its vocabulary put in place."""
    from transformers import Qwen2VLForConditionalGeneration

    model = Qwen2VLForConditionalGeneration.from_pretrained(
        folder / "base", dtype=torch.float32, attn_implementation="eager"
    )
    if role is None:
        return model.eval()
    stored = load_file(folder / "adapters" / role / "adapter_model.safetensors")
    tensors = {current_name(k.removeprefix("base_model.model.")): v.float() for k, v in stored.items()}
    modules = dict(model.named_modules())
    for name in {name.rsplit(".lora_", 1)[0] for name in tensors if ".lora_" in name}:
        update = tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]
        modules[name].weight.data += update * (ALPHA / RANK)
    if "lm_head.weight" in tensors:
        model.lm_head.weight = torch.nn.Parameter(tensors["lm_head.weight"])
        model.model.language_model.embed_tokens.weight = torch.nn.Parameter(
            tensors["model.language_model.embed_tokens.weight"]
        )
    return model.eval()


@pytest.mark.parametrize("role", ["planner", "verifier", None])
def test_a_pass_equals_transformers_with_merged_weights(made: Path, small_video: Any, role: str | None) -> None:
    ours = Qwen2VL.load(None, str(made / "adapters"), device="cpu", dtype="float32")
    theirs = reference(made, role)
    clip = Clip(ours.watch(small_video), None, Budget(1.0, 12, 28224, 50176))
    request = Request(role or "nobody", clip, plain("Who is there?"))
    with ours._working(request.role) as adapter:
        assert adapter == role
        embeds, layout, _ = ours._embed(request)
        states = ours._language_model.forward(embeds[None], layout.positions[:, None])
        logits = ours._vocabulary(adapter).logits(ours._language_model.normalise(states))[0]
        features = ours._eyes.see(clip).features.flatten(0, 1)
        from adapters.vision import patches

        frames = small_video.read(small_video.indices(clip), 168, 196)
        pixels = patches(frames, ours._eyes._mean, ours._eyes._std, 14, 2).flatten(0, 1)
        grid = torch.tensor([[layout.grid[0], 12, 14]])
        tower = theirs.model.visual(pixels, grid_thw=grid)
        torch.testing.assert_close(features, tower.pooler_output, atol=1e-4, rtol=1e-4)
        out = theirs(
            input_ids=layout.ids[None],
            pixel_values_videos=pixels,
            video_grid_thw=grid,
            position_ids=layout.positions[:, None],
        )
    # Weights eight times the usual make large states, whose rounding differs between merged and separate products.
    torch.testing.assert_close(logits, out.logits[0].float(), atol=1e-3, rtol=1e-3)
    assert logits.std() > 0.01


def test_greedy_decoding_with_a_cache_equals_decoding_from_scratch(made: Path, small_video: Any) -> None:
    ours = Qwen2VL.load(None, str(made / "adapters"), device="cpu", dtype="float32")
    clip = Clip(ours.watch(small_video), None, Budget(1.0, 8, 28224, 50176))
    request = Request("planner", clip, plain("Who?"), max_new_tokens=6)
    written = ours.write(request).token_ids
    with ours._working("planner"):
        embeds, layout, _ = ours._embed(request)
        vocabulary, positions = ours._vocabulary("planner"), layout.positions
        for token in written:
            states = ours._language_model.forward(embeds[None], positions[:, None])
            best = int(vocabulary.logits(ours._language_model.normalise(states[0, -1])).argmax())
            assert best == token
            embeds = torch.cat((embeds, vocabulary.embed[token][None]))
            positions = torch.cat((positions, torch.full((3, 1), int(positions.max()) + 1)), dim=1)
