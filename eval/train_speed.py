"""How fast a grounder trains, and in how much memory: the plain way against ours, one step at a time, in one run.

    python -m eval.train_speed --model random/base --out train_speed.json [--seconds 180] [--videos 8] [--steps 2]

The plain way is what a script around transformers and PEFT does: one sample at a time, its video decoded each time by
worker processes, the vision tower run each time, logits over the whole sequence, every layer computed twice. Then each
saving is added to the last. Settings are VideoMind's: 1 frame a second, at most 150, 36 to 64 visual tokens a frame,
LoRA rank 64. Weights may be random: speed does not depend on them.

MFU counts what has to be computed for the losses of a frozen base: the language model's forward pass and the gradients
of its activations, 4 operations for each weight and token and the attention's share, over the GPU's dense bfloat16
rate. Recomputed layers and the vision tower are not counted as useful.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from adapters.frames import open_video
from adapters.loading import choose_placement, quiet_transformers
from adapters.memory import peak_memory_bytes, reset_peak_memory
from adapters.store import resolve
from adapters.tokenizer_files import tokens_with_new
from adapters.tokens import Tokens
from adapters.train.build import ATTENTION, LoraShape, Workbench, build
from adapters.train.dataset import PassDataset
from adapters.train.features import FeatureStore, fill_store, tower_id
from adapters.train.grounder import GrounderRecipe
from adapters.train.loop import SPARE_BYTES
from adapters.train.packing import ClipKey, Pass, sample_length, token_side_px
from adapters.train.plan import Measured, PlannedPass, plan_steps
from adapters.train.recipe import Item, RoleSamples
from adapters.vision import patches
from eval.clips import write_clip
from prompts import own_prompts
from roles.errors import MindreelError
from roles.types import Example, Span

DENSE_BF16_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to train.

    Attributes:
        name: What is added to the way before.
        questions: Questions on each video.
        in_pass: Samples of one forward pass.
        features: Whether visual tokens come from the disk.
        checkpointing: Layers that compute their activations twice; None decides by memory.
        plain: Whether transformers' own forward pass is used.
        decoded: Whether frames lie ready in memory, so that decoding does not count.
    """

    name: str
    questions: int = 1
    in_pass: int = 1
    features: bool = False
    checkpointing: int | None = 10**6
    plain: bool = False
    decoded: bool = False
    compiled: bool = False


def ways(questions: int, in_pass: int) -> list[Way]:
    """From plain to everything; each adds one saving."""
    return [
        Way("plain", plain=True),
        Way("plain, frames ready in memory", plain=True, decoded=True),
        Way("+ packed passes, batched vision, logits where learned", decoded=True),
        Way("+ visual features on disk", features=True),
        Way("+ recompute only what memory asks for", features=True, checkpointing=None),
        Way(f"+ {in_pass} samples a pass", features=True, checkpointing=None, in_pass=in_pass),
        Way("+ fused norms and feed-forward parts", 1, in_pass, True, None, compiled=True),
        Way("  the same, decoding and encoding every time", 1, in_pass, False, None, compiled=True),
        Way(f"+ {questions} questions share a video", questions, max(questions, in_pass), True, None, compiled=True),
    ]


def make_items(folder: Path, videos: int, seconds: float, questions: int) -> list[Item]:
    """Examples on generated films; links stand for further videos, which cost the same to read."""
    films = [folder / f"film{i}.mp4" for i in range(min(videos, 4))]
    with ProcessPoolExecutor() as pool:
        list(pool.map(write_clip, films, [seconds] * len(films)))
    draw = random.Random(0)  # noqa: S311 - not a secret
    items = []
    for number in range(videos):
        path = folder / f"v{number}.mp4"
        path.symlink_to(films[number % len(films)].name)
        with open_video(path) as file:
            video = file.video
        for _ in range(questions):
            start_s = draw.uniform(0, seconds * 0.8)
            words = " ".join(
                draw.choice(("the woman", "puts", "takes", "the ball", "behind", "a box")) for _ in range(9)
            )
            span = Span(start_s, start_s + draw.uniform(0.05, 0.2) * seconds)
            items.append(Item(Example(str(path), words, spans=(span,)), video, path.name))
    return items


class Trial:
    """One way, ready to be timed.

    Args:
        bench: What is trained.
        items: What it learns from; several questions on each video.
        batch: Samples of a step.
        store: Visual tokens on the disk.
        workers: Processes that decode.
    """

    def __init__(
        self, bench: Workbench, items: Sequence[Item], batch: int, store: FeatureStore | None, workers: int
    ) -> None:
        self.bench, self.items, self.batch, self.store, self.workers = bench, items, batch, store, workers
        self._compiled = False
        self.token_px = token_side_px(bench.network.base.config.vision_config)

    def run(self, way: Way, steps: int) -> dict[str, Any]:
        """Times some steps after a first one that does not count.

        Returns:
            samples_per_s, tokens_per_s, mfu, peak_bytes, loss.
        """
        first_of: dict[str, list[Item]] = {}
        for item in self.items:
            first_of.setdefault(item.video.path, []).append(item)
        chosen = [item for asked in first_of.values() for item in asked[: way.questions]]
        samples = RoleSamples(chosen, GrounderRecipe(200), self.bench.prompts, 0)
        measured = []
        for number in range(len(samples)):
            sample = samples.sample(number, 0)
            key = ClipKey.of(sample.request.clip)
            measured.append(Measured(key, *sample_length(self.bench.tokens, sample, key, self.token_px)))
        planned = plan_steps(measured, self.batch, max(1, self.batch // way.in_pass), way.questions, steps + 1, 0)
        store = self.store if way.features else None
        dataset = PassDataset([p for step in planned for p in step], samples, self.bench.tokens, self.token_px, store)
        network = self.bench.network.train()
        if way.compiled and not self._compiled:
            network.compile_parts()
            self._compiled = True
        network.checkpointed_layers = way.checkpointing
        network.zero_grad(set_to_none=True)
        device = self.bench.backbone.placement.device
        if device.type == "cuda":
            torch.cuda.empty_cache()
            free, _ = torch.cuda.mem_get_info(device)
            learned = sum(p.numel() for p in network.parameters() if p.requires_grad)
            network.activation_bytes = max(0, free - 12 * learned - SPARE_BYTES)
        optimizer = torch.optim.AdamW(
            [p for p in network.parameters() if p.requires_grad], lr=1e-5, fused=device.type == "cuda"
        )
        loss_of: Callable[[Pass], Tensor] = self._plain if way.plain else lambda one: network(one).total
        batches = self._ready(dataset) if way.decoded else iter(self._loader(dataset))
        reset_peak_memory(device)
        per_step = len(planned[0])
        loss = 0.0
        began_s = time.perf_counter()
        tokens = 0
        for number in range(steps + 1):
            if number == 1:
                _wait(device)
                began_s, tokens = time.perf_counter(), 0
            for _ in range(per_step):
                one = next(batches)
                tokens += one.ids.shape[0]
                value = loss_of(one)
                value.backward()  # type: ignore[no-untyped-call]
                loss = float(value.detach()) if number == steps else 0.0
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        _wait(device)
        seconds = time.perf_counter() - began_s
        useful = useful_flops(self.bench.network.base.config.get_text_config(), planned[1:])
        rate = dense_rate(device)
        return {
            "way": way.name,
            "samples_per_s": steps * self.batch / seconds,
            "tokens_per_s": tokens / seconds,
            "mfu": useful / seconds / rate if rate else None,
            "peak_bytes": peak_memory_bytes(device),
            "seconds": seconds,
            "last_loss": loss,
        }

    def _loader(self, dataset: PassDataset) -> DataLoader[Any]:
        return DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_size=None,
            num_workers=self.workers,
            prefetch_factor=2 if self.workers else None,
            pin_memory=self.bench.backbone.placement.device.type == "cuda",
        )

    def _ready(self, dataset: PassDataset) -> Iterator[Pass]:
        """Passes whose frames were decoded before the clock runs; one is made for each distinct film."""
        kept: dict[str, Tensor] = {}

        def load(key: ClipKey) -> Tensor:
            film = str(Path(key.path).resolve())
            if film not in kept:
                kept[film] = dataset_load(key)
            return kept[film]

        from adapters.train.features import read_clip as dataset_load
        from adapters.train.packing import assemble

        made = []
        for planned in dataset.planned:
            taken = [dataset.samples.sample(number, planned.epoch) for number in planned.samples]
            made.append(assemble(taken, dataset.tokens, dataset.token_px, load, planned.weight))
        return iter(made)

    def _plain(self, one: Pass) -> Tensor:
        """Transformers' own forward pass on the same tokens: its vision tower, its logits over everything."""
        base, device = self.bench.network.base, self.bench.backbone.placement.device
        one = one.on(device)
        mean, std = (torch.tensor(values, device=device) for values in self.bench.network.pixels)
        vision = base.config.vision_config
        [clip] = one.clips
        pixels = patches(clip, mean, std, vision.patch_size, vision.spatial_merge_size)
        labels = torch.full_like(one.ids, -100)
        labels[one.predict + 1] = one.targets
        rows, columns = clip.shape[2] // vision.patch_size, clip.shape[3] // vision.patch_size
        for layer in base.model.language_model.layers:
            layer.gradient_checkpointing = True
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            out = base(
                input_ids=one.ids[None],
                pixel_values_videos=pixels.flatten(0, 1).to(base.dtype),
                video_grid_thw=torch.tensor([[pixels.shape[0], rows, columns]], device=device),
                position_ids=one.positions[:, None],
                labels=labels[None],
                use_cache=False,
            )
        loss: Tensor = out.loss * one.weight
        return loss


def useful_flops(config: Any, steps: Sequence[Sequence[PlannedPass]]) -> float:
    """Operations that the losses need: forward, and gradients of activations, through a frozen language model.

    Shared prefixes count once: what is not computed is not counted.
    """
    heads, hidden = config.num_attention_heads, config.hidden_size
    kv = hidden // heads * config.num_key_value_heads
    weights = config.num_hidden_layers * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * config.intermediate_size)
    total = 0.0
    for step in steps:
        for one in step:
            total += 4.0 * weights * one.tokens
            # Scores and mixing, causal: 2 products forward and 4 backward, of 2 operations each, over half the square.
            per_sample = one.tokens / max(1, len(one.samples))
            total += config.num_hidden_layers * 6.0 * hidden * per_sample * one.tokens
    return total


def dense_rate(device: torch.device) -> float | None:
    """The GPU's dense bfloat16 rate, by its data sheet; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((rate for part, rate in DENSE_BF16_FLOPS.items() if part in name), None)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m eval.train_speed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", required=True, help="base model, a folder or hub id")
    parser.add_argument("--out", type=Path, help="JSON with all figures")
    parser.add_argument("--seconds", type=float, default=180.0, help="length of the videos")
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--questions", type=int, default=4, help="questions on each video, where they share it")
    parser.add_argument("--batch", type=int, default=8, help="samples of an optimizer step")
    parser.add_argument("--in-pass", type=int, default=4, help="samples of one forward pass")
    parser.add_argument("--steps", type=int, default=2, help="steps that are timed, after a first one")
    parser.add_argument("--rank", type=int, default=64, help="LoRA's rank")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--ways", default="", help="numbers of the ways to time, comma-separated; all by default")
    args = parser.parse_args(argv)
    try:
        return _measure(args)
    except MindreelError as error:
        print(f"mindreel: error: {error}", file=sys.stderr)
        return error.exit_code


def _measure(args: argparse.Namespace) -> int:
    base = resolve(args.model, "base model")
    placement = choose_placement(args.device, "auto", "sdpa")
    if placement.device.type == "cpu":
        placement = replace(placement, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = Tokens(base)
        if not tokens.has_new_tokens:
            tokens_with_new(base, folder)
            tokens = Tokens(folder)
        items = make_items(folder, args.videos, args.seconds, args.questions)
        shape = LoraShape(args.rank, float(args.rank), 0.1, ATTENTION)
        with quiet_transformers():
            bench = build("grounder", base, tokens, own_prompts(), placement, shape, "auto", True, None, 0)
        pixels = bench.network.pixels
        tower = bench.network.base.model.visual
        store = FeatureStore(folder / "features", tower_id(tower, pixels))
        trial = Trial(bench, items, args.batch, store, args.workers)
        samples = RoleSamples(items, GrounderRecipe(200), bench.prompts, 0)
        keys = [ClipKey.of(samples.sample(number, 0).request.clip).frames for number in range(len(samples))]
        began_s = time.perf_counter()
        fill_store(store, keys, tower, pixels, args.workers, lambda items, _what, _total: items)
        distinct = len(list(store.folder.rglob("*.safetensors")))
        print(f"features of {distinct} clips kept in {time.perf_counter() - began_s:.1f} s")
        wanted = ways(args.questions, args.in_pass)
        if args.ways:
            wanted = [wanted[int(number)] for number in args.ways.split(",")]
        figures = []
        for way in wanted:
            try:
                figures.append(trial.run(way, args.steps))
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                figures.append({"way": way.name, "out_of_memory": True})
            _show(figures[-1], figures[0])
    name_of = torch.cuda.get_device_name(placement.device) if placement.device.type == "cuda" else "cpu"
    result = {"device": name_of, "torch": torch.__version__, "settings": vars(args) | {"out": None}, "ways": figures}
    if args.out is not None:
        args.out.write_text(json.dumps(result, indent=2, default=str), encoding="utf-8")
    return 0


def _show(figure: dict[str, Any], first: dict[str, Any]) -> None:
    if figure.get("out_of_memory"):
        print(f"{figure['way']:55s} out of memory", flush=True)
        return
    gain = figure["samples_per_s"] / first["samples_per_s"] if "samples_per_s" in first else float("nan")
    mfu = f"{100 * figure['mfu']:.0f} %" if figure["mfu"] is not None else "-"
    peak = (figure["peak_bytes"] or 0) / (1 << 30)
    print(
        f"{figure['way']:55s} {figure['samples_per_s']:7.2f} samples/s {figure['tokens_per_s']:9.0f} tokens/s "
        f"MFU {mfu:>5s} {peak:6.1f} GiB {gain:6.2f}x",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
