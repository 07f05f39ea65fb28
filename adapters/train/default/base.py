"""A shape goes in, a Qwen2-VL model with fresh weights comes out; a trained one goes out as a stock checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from adapters.eyes import CLIP_MEAN, CLIP_STD
from adapters.tokens import Tokens
from adapters.train.default.config import Shape
from roles.manner import MANNER_FILE, Manner

SPREAD = 0.02
"""Standard deviation of fresh embeddings."""
LONGEST = 32768
"""Tokens that a sequence may have."""


def config_json(shape: Shape, tokens: Tokens) -> dict[str, Any]:
    """A base's `config.json`, as Qwen2-VL's own are written."""
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "attention_dropout": 0.0,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocabulary,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "initializer_range": SPREAD,
        "max_position_embeddings": LONGEST,
        "max_window_layers": shape.layers,
        "rms_norm_eps": 1e-6,
        "rope_theta": shape.rope_theta,
        "rope_scaling": {"type": "mrope", "mrope_section": list(shape.mrope_section)},
        "use_sliding_window": False,
        "use_cache": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": tokens.id("<|endoftext|>"),
        "eos_token_id": tokens.id("<|im_end|>"),
        "vision_start_token_id": tokens.id("<|vision_start|>"),
        "vision_end_token_id": tokens.id("<|vision_end|>"),
        "vision_token_id": tokens.id("<|vision_pad|>"),
        "image_token_id": tokens.id("<|image_pad|>"),
        "video_token_id": tokens.id("<|video_pad|>"),
        "vision_config": {
            "model_type": "qwen2_vl",
            "depth": shape.vision_depth,
            "embed_dim": shape.vision_width,
            "hidden_act": "quick_gelu",
            "hidden_size": shape.hidden,
            "num_heads": shape.vision_heads,
            "mlp_ratio": 4,
            "in_chans": 3,
            "in_channels": 3,
            "patch_size": 14,
            "spatial_patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


def fresh_base(shape: Shape, tokens: Tokens, seed: int) -> Any:
    """A model with random weights in float32, on the CPU.

    Weights keep the variance of what goes in; layers that write to the residual stream start smaller, the deeper the
    model the more, so that the stream keeps its size.
    """
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    config = Qwen2VLConfig.from_dict(config_json(shape, tokens))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = Qwen2VLForConditionalGeneration(config).float()
        depth = {"visual": shape.vision_depth, "language_model": shape.layers}
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and "lm_head" not in name:
                spread = 0.7 * module.in_features**-0.5
                if name.endswith(("o_proj", "down_proj", "attn.proj", "fc2")):
                    spread /= math.sqrt(2 * depth["visual" if "visual" in name else "language_model"])
                nn.init.normal_(module.weight, std=spread)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=SPREAD)
            elif isinstance(module, nn.Conv3d):
                nn.init.normal_(module.weight, std=0.7 * module.weight[0].numel() ** -0.5)
    model.tie_weights()
    return model


def stored_name(name: str) -> str:
    """The name of a tensor in a released Qwen2-VL checkpoint."""
    if name.startswith("model.language_model."):
        return "model." + name.removeprefix("model.language_model.")
    return name.removeprefix("model.") if name.startswith("model.visual.") else name


def write_base(model: Any, shape: Shape, tokens: Tokens, manner: Manner, folder: Path) -> None:
    """Writes a checkpoint folder: weights in bfloat16 under released names, config, processor, manner.

    The tokenizer's files are there already or come from `tokens.folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state: Mapping[str, Tensor] = model.state_dict()
    tensors = {
        stored_name(name): tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for name, tensor in state.items()
        if name != "lm_head.weight"
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _json(folder / "config.json", config_json(shape, tokens))
    stops = [tokens.id("<|im_end|>"), tokens.id("<|endoftext|>")]
    _json(folder / "generation_config.json", {"eos_token_id": stops, "pad_token_id": stops[1], "do_sample": False})
    budget = manner.budget("answerer")
    _json(folder / "preprocessor_config.json", {
        "image_processor_type": "Qwen2VLImageProcessor", "min_pixels": budget.min_px, "max_pixels": budget.max_px,
        "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, "image_mean": list(CLIP_MEAN),
        "image_std": list(CLIP_STD),
    })  # fmt: skip
    _json(folder / MANNER_FILE, manner.to_json())
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if tokens.folder != folder:
            (folder / name).write_bytes((tokens.folder / name).read_bytes())


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
