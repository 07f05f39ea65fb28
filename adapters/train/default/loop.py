"""The base's training: settings and lessons go in, a trained base in a folder comes out; it can stop and go on.

Runs in one process, or in one a GPU under `accelerate launch`; lanes are shared out, so the data are the same.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn

from adapters.tokens import Tokens
from adapters.train.default.augment import augmented
from adapters.train.default.base import fresh_base, write_base
from adapters.train.default.config import DefaultConfig
from adapters.train.default.contract import StateSizes
from adapters.train.default.muon import Muon
from adapters.train.default.network import BaseNetwork
from adapters.train.default.place import Place
from adapters.train.default.pool import Maker, Pool, load_world
from adapters.train.default.tally import LOG_EVERY, LOG_FILE, Tally
from adapters.train.progress import say
from prompts import PromptBook
from roles.errors import InputError
from roles.manner import Manner

STATE_FILE = "state.safetensors"
FREE = ("steps", "roles")
"""Settings that may change when a training goes on: more or fewer steps only bend the schedule from there."""
SAVE_EVERY_S = 240.0
REWARM_STEPS = 60
MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")
"""What the optimizers remember of a parameter."""


class Unfinished(Exception):  # noqa: N818 - no error: the same command goes on
    """The time is up or the training was interrupted; everything is saved."""


class Training:
    """One training run in one folder.

    Args:
        config: Its settings.
        folder: Where it keeps what it needs to go on; `tokenizer/` is there already.
        manner: How the checkpoint will be asked.
        prompts: With what.
        place: Where this process works.
        with_states: Whether the state heads help.
        workers: Processes that make packs.
        init: A state file of another run to start from; its optimizer is not taken over.
    """

    def __init__(
        self,
        config: DefaultConfig,
        folder: Path,
        manner: Manner,
        prompts: PromptBook,
        place: Place,
        *,
        with_states: bool = True,
        workers: int = 4,
        init: Path | None = None,
    ) -> None:
        if config.packs_per_step % place.world:
            raise InputError(
                f"packs_per_step {config.packs_per_step} cannot be shared by {place.world} processes; take a multiple"
            )
        self.config, self.folder, self.manner, self.prompts, self.place = config, folder, manner, prompts, place
        self.tokens = Tokens(folder / "tokenizer")
        self.sizes: StateSizes = load_world(config.world).state_sizes
        self.step = 0
        self.spent_s = 0.0
        info = self._info()
        if info is not None:
            self.step, self.spent_s = int(info["step"]), float(info["spent_s"])
        maker = Maker(config, folder / "tokenizer", prompts, manner)
        lanes = range(place.rank, config.packs_per_step, place.world)
        self.lanes = list(lanes)
        # Worker processes are forked before the device is in use.
        self.pool = Pool(maker, self.lanes, self.step, workers)
        model = fresh_base(config.shape, self.tokens, config.seed)
        torch.manual_seed(config.seed)  # of fresh heads
        torch.set_float32_matmul_precision("high")
        # cuDNN makes a plan for each new number of patches, 4 ms of the CPU's time each; flash kernels need none.
        torch.backends.cuda.enable_cudnn_sdp(False)
        self.network = BaseNetwork(
            model, self.sizes, config.weights, with_states=with_states, compiled=place.device.type == "cuda"
        ).to(place.device)
        self.network.train()
        self.named = {name: p for name, p in self.network.named_parameters() if name != "model.lm_head.weight"}
        decayed = {name: p for name, p in self.named.items() if p.ndim >= 2 and not _looked_up(name)}
        matrices = {name: p for name, p in decayed.items() if p.ndim == 2 and name.startswith("model.")}
        rest = [p for name, p in decayed.items() if name not in matrices]
        plain = [p for name, p in self.named.items() if name not in decayed]
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (
            Muon(
                [{"params": list(matrices.values()), "scale": config.matrix_rate}],
                config.learning_rate, config.weight_decay,
            ),
            torch.optim.AdamW(
                [{"params": rest, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
                lr=config.learning_rate, betas=config.betas, fused=place.device.type == "cuda",
            ),
        )  # fmt: skip
        self._by_muon = frozenset(matrices)
        if info is not None:
            self._load(folder / STATE_FILE)
        elif init is not None:
            self._load(init, moments=False)
        self.interrupted = False
        self.fresh_since = self.step if self.step and not any(one.state for one in self.optimizers) else None

    # Running

    def run(self, seconds: float | None = None) -> None:
        """Trains until the last step.

        Args:
            seconds: Stop after this long, everything saved.

        Raises:
            Unfinished: The time is up, or a signal came.
        """
        began = saved = time.monotonic()
        before = self._listen()
        tally = Tally()
        logged = began
        waited = 0.0
        try:
            while self.step < self.config.steps:
                waited += self._step(tally)
                self.step += 1
                now = time.monotonic()
                if self.step % LOG_EVERY == 0 or self.step == self.config.steps:
                    self._log(tally, now - logged, waited)
                    tally, logged, waited = Tally(), time.monotonic(), 0.0
                    over = self._agreed(self.interrupted or (seconds is not None and now - began >= seconds))
                    if over and self.step < self.config.steps:
                        self.spent_s += now - began
                        self.save()
                        self.place.wait()  # a launcher ends all processes as soon as one has left
                        raise Unfinished(
                            f"stopped after step {self.step} of {self.config.steps}; the same command goes on"
                        )
                    if self._agreed(now - saved >= SAVE_EVERY_S):
                        self.spent_s += now - began
                        began_again = time.monotonic()
                        if seconds is not None:
                            seconds -= now - began
                        began = saved = began_again
                        self.save()
            self.spent_s += time.monotonic() - began
            self.save()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _step(self, tally: Tally) -> float:
        """One optimizer step; returns how long it waited for packs."""
        waited = 0.0
        dtype = torch.bfloat16 if self.place.device.type == "cuda" else torch.float32
        # Without its moments the optimizer's first steps are all of full size.
        again = min(1.0, (self.step - self.fresh_since + 1) / REWARM_STEPS) if self.fresh_since is not None else 1.0
        for group in [group for one in self.optimizers for group in one.param_groups]:
            group["lr"] = self.config.rate_at(self.step) * again * group.get("scale", 1.0)
        for lane in self.lanes:
            asked = time.monotonic()
            drawn, first = self.pool.take(lane, self.step, self.place.device)
            waited += time.monotonic() - asked
            seed = (self.config.seed * 1_000_003 + self.step) * 64 + lane
            # Chance does not depend on where the training was interrupted or which process a lane is in.
            torch.manual_seed(seed)
            pixels = [
                augmented(levels, group.rows, group.columns, dtype, seed)
                for levels, group in zip(drawn.levels, drawn.pack.groups, strict=True)
            ]
            report = self.network(drawn.pack, pixels, dtype)
            (report.loss / self.config.packs_per_step).backward()
            tally.add(report, drawn, first)
        self._share_gradients()
        norm = nn.utils.clip_grad_norm_(self.named.values(), self.config.clip_norm)
        tally.parts["norm"].append(norm.detach())
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return waited

    def _share_gradients(self) -> None:
        if self.place.world == 1:
            return
        for p in self.named.values():
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        grads = [p.grad for p in self.named.values() if p.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        dist.all_reduce(flat)
        for grad, part in zip(grads, torch.split(flat, [grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def _agreed(self, flag: bool) -> bool:
        if self.place.world == 1:
            return flag
        told = torch.tensor([float(flag)], device=self.place.device)
        dist.all_reduce(told)
        return bool(told.item() > 0)

    def _log(self, tally: Tally, seconds: float, waited: float) -> None:
        line = {
            "step": self.step,
            "rate": self.config.rate_at(self.step - 1),
            "step_s": round(seconds / LOG_EVERY, 4),
            "waited_s": round(waited / LOG_EVERY, 4),
            "tokens_per_s": round(tally.tokens * self.place.world / seconds),
            "film_s_per_s": round(tally.seconds * self.place.world / seconds),
            **tally.line(),
        }
        if not self.place.main:
            return
        with (self.folder / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.step % (5 * LOG_EVERY) == 0 or self.step <= LOG_EVERY:
            right = " ".join(f"{name} {value:.2f}" for name, value in line["right"].items())
            say(
                f"step {self.step}/{self.config.steps} {line['step_s']:.3f} s (waited {line['waited_s']:.3f}) "
                f"{line['tokens_per_s'] / 1e3:.0f}K tok/s answer {line['answerer']:.3f} "
                f"class {line.get('class', 0):.2f} states {line.get('states2', 0):.3f}: {right}"
            )

    def _listen(self) -> Mapping[int, Any]:
        def stop(number: int, frame: object) -> None:
            self.interrupted = True

        return {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}

    # Files

    def save(self) -> None:
        """Writes everything that is needed to go on, whole or not at all."""
        if not self.place.main:
            return
        tensors = {f"weight.{name}": p.detach() for name, p in self.named.items()}
        for name, p in self.named.items():
            state = self._optimizer_of(name).state.get(p, {})
            tensors |= {f"{key}.{name}": state[key] for key in MOMENTS if key in state}
        tensors = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        part = self.folder / f".{STATE_FILE}.part"
        info = {"step": str(self.step), "spent_s": repr(self.spent_s), "config": json.dumps(self.config.to_json())}
        save_file(tensors, part, metadata=info)
        part.replace(self.folder / STATE_FILE)

    def _info(self) -> Mapping[str, str] | None:
        """What the state file says of itself; None without one.

        Raises:
            InputError: It belongs to a training with other settings.
        """
        path = self.folder / STATE_FILE
        if not path.is_file():
            return None
        info = state_info(self.folder)
        ours, theirs = json.loads(json.dumps(self.config.to_json())), json.loads(info["config"])
        other = sorted(name for name in ours if name not in FREE and ours[name] != theirs.get(name))
        if other:
            raise InputError(
                f"{path}: that training has other settings ({', '.join(other)}); give them again, or another --out"
            )
        return info

    def _load(self, path: Path, *, moments: bool = True) -> None:
        stored = load_file(path)
        with torch.no_grad():
            for name, p in self.named.items():
                if f"weight.{name}" not in stored and not moments:
                    continue
                p.copy_(stored[f"weight.{name}"])
        if not moments:
            return
        for name, p in self.named.items():
            kept = {key: stored[f"{key}.{name}"].to(p.device) for key in MOMENTS if f"{key}.{name}" in stored}
            if "exp_avg" in kept:
                kept["step"] = torch.tensor(float(self.step), device=p.device)  # AdamW counts, Muon does not
            if kept:
                self._optimizer_of(name).state[p] = kept

    def _optimizer_of(self, name: str) -> torch.optim.Optimizer:
        return self.optimizers[0 if name in self._by_muon else 1]

    def write(self, folder: Path) -> None:
        """Writes the base as a checkpoint folder, and the regression head beside it for the grounder to start from."""
        if not self.place.main:
            return
        write_base(self.network.model, self.config.shape, self.tokens, self.manner, folder)
        head = {name: p.detach().cpu().contiguous() for name, p in self.network.head.state_dict().items()}
        save_file(head, self.folder / "head.safetensors")


def _looked_up(name: str) -> bool:
    """Whether a parameter is a table of vectors, which are neither decayed nor turned."""
    return any(part in name for part in ("embed_tokens", "names.", ".kind."))


def state_info(folder: Path) -> Mapping[str, str]:
    """What a training's state file says of itself: "step", "spent_s", "config".

    Raises:
        InputError: There is none.
    """
    from safetensors import safe_open

    path = folder / STATE_FILE
    if not path.is_file():
        raise InputError(f"{path}: missing; the base was not trained here")
    with safe_open(path, "pt") as file:
        info: Mapping[str, str] = file.metadata()
    return info
