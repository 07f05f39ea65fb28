"""Checkpoints with random weights in the layout of the real ones, to measure speed and memory without any download.

    python -m eval.random_checkpoint --size 2b --out /tmp/random-2b [--device cuda]

Shapes, tensor names (transformers 4.45) and files are those of Qwen2-VL and of VideoMind's folders with LoRA rank 64;
the tokenizer is any Qwen2-VL tokenizer with the added tokens, its ids stated in the config.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from adapters.heads.timestamp import TimestampHead
from adapters.tokens import NEW_TOKENS, Tokens
from eval.packed import unpack
from prompts import FILE_KEYS, REQUIRED_FILE_KEYS, own_prompts

SHARD_BYTES = 4 << 30
LORA_RANK = 64
TOKENIZER = Path(__file__).parents[1] / "tests" / "data" / "oracle" / "videomind"


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a Qwen2-VL model."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    vision_depth: int = 32
    vision_width: int = 1280
    vision_heads: int = 16

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


SIZES = {
    "tiny": Size(128, 256, 2, 4, 2, 9728, True, 2, 64, 4),
    "2b": Size(1536, 8960, 28, 12, 2, 151936, True),
    "7b": Size(3584, 18944, 28, 28, 4, 152064, False),
}


def base_shapes(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a base model's tensors."""
    width, hidden = size.vision_width, size.hidden
    yield "visual.patch_embed.proj.weight", (width, 3, 2, 14, 14)
    for i in range(size.vision_depth):
        block = f"visual.blocks.{i}"
        for norm in ("norm1", "norm2"):
            yield f"{block}.{norm}.weight", (width,)
            yield f"{block}.{norm}.bias", (width,)
        for layer, out, into in (
            ("attn.qkv", 3 * width, width),
            ("attn.proj", width, width),
            ("mlp.fc1", 4 * width, width),
            ("mlp.fc2", width, 4 * width),
        ):
            yield f"{block}.{layer}.weight", (out, into)
            yield f"{block}.{layer}.bias", (out,)
    yield "visual.merger.ln_q.weight", (width,)
    yield "visual.merger.ln_q.bias", (width,)
    for layer, out in (("mlp.0", 4 * width), ("mlp.2", hidden)):
        yield f"visual.merger.{layer}.weight", (out, 4 * width)
        yield f"visual.merger.{layer}.bias", (out,)
    yield "model.embed_tokens.weight", (size.vocabulary, hidden)
    for i in range(size.layers):
        layer = f"model.layers.{i}"
        for name, out in attention_outputs(size).items():
            yield f"{layer}.self_attn.{name}.weight", (out, hidden)
            if name != "o_proj":
                yield f"{layer}.self_attn.{name}.bias", (out,)
        for name in ("gate_proj", "up_proj"):
            yield f"{layer}.mlp.{name}.weight", (size.intermediate, hidden)
        yield f"{layer}.mlp.down_proj.weight", (hidden, size.intermediate)
        yield f"{layer}.input_layernorm.weight", (hidden,)
        yield f"{layer}.post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    if not size.tied:
        yield "lm_head.weight", (size.vocabulary, hidden)


def attention_outputs(size: Size) -> dict[str, int]:
    """Output widths of the attention's projections."""
    return {
        "q_proj": size.hidden,
        "k_proj": size.kv_heads * size.head_dim,
        "v_proj": size.kv_heads * size.head_dim,
        "o_proj": size.hidden,
    }


def adapter_shapes(size: Size, vocabulary: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of one role's LoRA tensors, with its own vocabulary or without."""
    for i in range(size.layers):
        for name, out in attention_outputs(size).items():
            prefix = f"base_model.model.model.layers.{i}.self_attn.{name}"
            yield f"{prefix}.lora_A.weight", (LORA_RANK, size.hidden)
            yield f"{prefix}.lora_B.weight", (out, LORA_RANK)
    if vocabulary:
        yield "base_model.model.model.embed_tokens.weight", (size.vocabulary, size.hidden)
        yield "base_model.model.lm_head.weight", (size.vocabulary, size.hidden)


def write(size: Size, out: Path, device: str, seed: int = 0, adapter_vocabulary: int | None = None) -> None:
    """Writes `out/base` and `out/adapters`.

    Args:
        size: The model's shape.
        out: A folder to make.
        device: Where the random numbers are drawn.
        seed: Of the random numbers.
        adapter_vocabulary: Rows of the adapters' own embeddings; None is as many as the base has.
    """
    adapted = replace(size, vocabulary=adapter_vocabulary or size.vocabulary)
    generator = torch.Generator(device).manual_seed(seed)

    def random(name: str, shape: tuple[int, ...]) -> Tensor:
        if "norm" in name or "ln_q" in name:
            one = name.endswith("weight")
            return torch.full(shape, float(one), dtype=torch.bfloat16)
        noise = torch.empty(shape, dtype=torch.bfloat16, device=device).normal_(0, 0.02, generator=generator)
        return noise.cpu()

    base, adapters = out / "base", out / "adapters"
    base.mkdir(parents=True)
    _write_shards(base, base_shapes(size), random)
    unpack(TOKENIZER.parent / "texts.tar.xz")
    tokens = Tokens(TOKENIZER)
    (base / "config.json").write_text(json.dumps(_base_config(size, tokens), indent=2))
    stops = [tokens.id("<|im_end|>"), tokens.id("<|endoftext|>")]
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": stops}))
    for role in ("planner", "grounder", "verifier", "answerer"):
        folder = adapters / role
        folder.mkdir(parents=True)
        shapes = adapter_shapes(adapted, vocabulary=role in ("grounder", "verifier"))
        save_file({name: random(name, shape) for name, shape in shapes}, folder / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": LORA_RANK, "lora_alpha": LORA_RANK, "target_modules": "all"}
        (folder / "adapter_config.json").write_text(json.dumps(config))
    head = TimestampHead(size.hidden)
    save_file(
        {f"base_model.model.{name}": tensor.contiguous() for name, tensor in head.state_dict().items()},
        adapters / "pytorch_model.safetensors",
    )
    (adapters / "config.json").write_text(
        json.dumps({"model_type": "agent_qwen2_vl", "role": "grounder", "base_model_path": "base"})
    )
    book = own_prompts()
    prompts = {key: book.get(*FILE_KEYS[key]).source for key in REQUIRED_FILE_KEYS}
    (adapters / "prompts.json").write_text(json.dumps(prompts))
    for folder in (base, adapters):
        shutil.copy(TOKENIZER / "tokenizer.json", folder / "tokenizer.json")


def _write_shards(
    folder: Path, shapes: Iterator[tuple[str, tuple[int, ...]]], random: Callable[[str, tuple[int, ...]], Tensor]
) -> None:
    shard: dict[str, Tensor] = {}
    shards: list[dict[str, Tensor]] = []
    where: dict[str, int] = {}
    held = 0
    for name, shape in shapes:
        tensor = random(name, shape)
        if shard and held + tensor.nbytes > SHARD_BYTES:
            shards.append(shard)
            shard, held = {}, 0
        where[name] = len(shards)
        shard[name] = tensor
        held += tensor.nbytes
    shards.append(shard)
    names = [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
    for name, content in zip(names, shards, strict=True):
        save_file(content, folder / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: names[i] for name, i in where.items()}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _base_config(size: Size, tokens: Tokens) -> dict[str, object]:
    half = size.head_dim // 2
    quarter = half // 4
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "vocab_size": size.vocabulary,
        "tie_word_embeddings": size.tied,
        "hidden_act": "silu",
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [quarter, (half - quarter) // 2, (half - quarter) // 2]},
        "use_sliding_window": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": tokens.id("<|endoftext|>"),
        "eos_token_id": tokens.id("<|im_end|>"),
        "vision_start_token_id": tokens.id("<|vision_start|>"),
        "vision_end_token_id": tokens.id("<|vision_end|>"),
        "image_token_id": tokens.id("<|image_pad|>"),
        "video_token_id": tokens.id("<|video_pad|>"),
        "vision_config": {
            "depth": size.vision_depth,
            "embed_dim": size.vision_width,
            "hidden_size": size.hidden,
            "num_heads": size.vision_heads,
            "mlp_ratio": 4,
            "in_chans": 3,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m eval.random_checkpoint", description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="2b")
    parser.add_argument("--out", type=Path, required=True, help="folder to make; must not exist")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.out.exists():
        print(f"{args.out} exists already; name a new folder", file=sys.stderr)
        return 2
    write(SIZES[args.size], args.out, args.device, args.seed)
    print(f"wrote {args.out}: {', '.join(NEW_TOKENS)} are among the tokens")
    return 0


if __name__ == "__main__":
    sys.exit(main())
