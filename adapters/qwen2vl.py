"""One Qwen2-VL base with an adapter per role: the verbs write, point, judge and choose over clips of watched videos."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from adapters.decode import Generation, LanguageModel, Vocabulary
from adapters.eyes import CLIP_MEAN, CLIP_STD, Eyes
from adapters.familiar import FilmDetector
from adapters.frames import VideoFile
from adapters.heads.timestamp import TimestampHead, suppress
from adapters.layout import Layout, lay_out
from adapters.loading import (
    Placement,
    base_vocabulary,
    check_vocabularies,
    choose_placement,
    inject_adapter,
    load_base,
    load_head,
)
from adapters.memory import peak_memory_bytes, reset_peak_memory
from adapters.store import (
    FILMS_FILE,
    AdapterFolder,
    base_of,
    manner_of,
    read_adapter_folder,
    read_normalisation,
    read_stop_ids,
    resolve,
)
from adapters.tokens import END, END_OF_TEXT, REG, Tokens
from prompts import Part, PromptBook, own_prompts
from roles.errors import CheckpointError, StepError
from roles.manner import Manner
from roles.types import Choosing, Clip, FilmCheck, Judgement, Pointing, Reply, Request, Usage, Video

JUDGE_BATCH_TOKENS = 1 << 15
"""Tokens, padding included, that go through one batched prefill on a GPU."""

Progress = Callable[[str], None]


class Qwen2VL:
    """A `roles.backbone.Backbone` on a real checkpoint; use `Qwen2VL.load`.

    One video's frames and features never reach another's: everything that is kept is keyed by the watched file.
    """

    def __init__(
        self,
        model: Any,
        tokens: Tokens,
        prompts: PromptBook,
        placement: Placement,
        stop_ids: Sequence[int],
        pixel_mean: Sequence[float] = CLIP_MEAN,
        pixel_std: Sequence[float] = CLIP_STD,
        manner: Manner | None = None,
    ) -> None:
        self.tokens = tokens
        self.placement = placement
        self.notes: list[str] = []
        self.forced_replies: dict[str, list[int]] = {}
        """Token ids that a role must write, for measurements on random weights."""
        self._model = model
        self._prompts = prompts
        self._manner = manner or Manner()
        self._base_vocabulary = base_vocabulary(model)
        self._language_model = LanguageModel(model.model.language_model)
        self._stop_ids = frozenset(stop_ids)
        self._eyes = Eyes(model.model.visual, pixel_mean, pixel_std, self._judge_film)
        self._lora_layers: dict[int, Any] = {}
        self._roles: dict[str, Vocabulary] = {}
        self._head: TimestampHead | None = None
        self._lock = threading.RLock()
        self._sources: dict[str, str] = {}
        self._detector: FilmDetector | None = None
        self._films: dict[str, FilmCheck] = {}

    @classmethod
    def load(
        cls,
        model: str | None,
        adapters: str | None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        attn: str = "auto",
        prompts: str = "auto",
        progress: Progress | None = None,
    ) -> Qwen2VL:
        """Loads a base and its adapters.

        Args:
            model: Base model, a folder or hub id; None takes the one that the adapters name.
            adapters: Folder or hub id in VideoMind's layout; None runs the base alone.
            device: "auto", "cpu", "cuda" or "cuda:N".
            dtype: "auto", "float32", "bfloat16" or "float16".
            attn: "auto", "flash_attention_2", "sdpa" or "eager".
            prompts: "own" uses this package's wording where the adapters bring none; "auto" refuses them then.
            progress: Told what is being loaded.

        Raises:
            CheckpointError: A folder that is incomplete, broken or does not fit; every wrong tensor is listed.
            InputError: A device, dtype or attention that cannot be had.
        """
        tell = progress or (lambda _text: None)
        placement = choose_placement(device, dtype, attn)
        folder = read_adapter_folder(adapters, own_wording=prompts == "own") if adapters is not None else None
        if model is None:
            if folder is None:
                raise CheckpointError("no model given: name a base with --model, or adapters that name theirs")
            model = base_of(folder)
        base = resolve(model, "base model")
        tokens = Tokens(folder.folder if folder is not None and _has_tokenizer(folder.folder) else base)
        tell(f"base model {base}")
        network = load_base(base, placement)
        mean, std = read_normalisation(base, CLIP_MEAN, CLIP_STD)
        loaded = cls(
            network,
            tokens,
            folder.prompts if folder is not None else own_prompts(),
            placement,
            read_stop_ids(base, [tokens.id(END), tokens.id(END_OF_TEXT)]),
            mean,
            std,
            manner_of(folder, base),
        )
        loaded._sources["model"] = model
        loaded._detector = _film_detector([*([folder.folder] if folder is not None else []), base])
        if folder is not None:
            loaded._sources["adapters"] = str(adapters)
            loaded._add_adapters(folder, tell)
        return loaded

    def _add_adapters(self, folder: AdapterFolder, tell: Progress) -> None:
        for role, files in folder.roles.items():
            tell(f"adapter {role}")
            layers, vocabulary = inject_adapter(self._model, files, self._base_vocabulary, self.placement)
            self._lora_layers |= {id(layer): layer for layer in layers}
            self._roles[role] = vocabulary
        check_vocabularies(self.tokens, self._roles)
        if folder.head is not None:
            self._head = load_head(folder.head, self._base_vocabulary.embed.shape[1], self.placement.device)
        if folder.prompts is own_prompts():
            self.notes.append(f"{folder.folder} brings no prompts: it is asked in Mindreel's wording")

    def adopt(self, role: str, vocabulary: Vocabulary, head: TimestampHead | None) -> None:
        """Takes an adapter that is being trained, whose layers PEFT put into the model under the role's name."""
        from peft.tuners.lora import LoraLayer

        for module in self._model.modules():
            if isinstance(module, LoraLayer) and role in module.lora_A:
                self._lora_layers[id(module)] = module
        self._roles[role] = vocabulary
        if head is not None:
            self._head = head

    # What is loaded

    @property
    def language_model(self) -> LanguageModel:
        """What drives the text model."""
        return self._language_model

    @property
    def prompts(self) -> PromptBook:
        """The checkpoint's templates."""
        return self._prompts

    @property
    def manner(self) -> Manner:
        """How the checkpoint wants to be asked."""
        return self._manner

    def has(self, role: str) -> bool:
        """Whether the checkpoint holds an adapter for the role."""
        return role in self._roles

    def describe(self) -> dict[str, object]:
        """What is loaded: sources, roles, device, dtype, attention, sizes in bytes, versions."""
        import transformers

        seen: set[int] = set()

        def size(tensors: Iterator[Tensor]) -> int:
            total = 0
            for tensor in tensors:
                if tensor.data_ptr() not in seen:
                    seen.add(tensor.data_ptr())
                    total += tensor.numel() * tensor.element_size()
            return total

        base_bytes = size(t for name, t in self._model.named_parameters() if "lora_" not in name)
        adapter_bytes = size(t for name, t in self._model.named_parameters() if "lora_" in name)
        adapter_bytes += size(iter(t for v in self._roles.values() for t in v.tensors()))
        adapter_bytes += size(self._head.parameters()) if self._head is not None else 0
        return {
            **self._sources,
            "roles": sorted(self._roles),
            "prompts": self._prompts.source,
            "manner": self._manner.to_json(),
            "knows_films": self._detector is not None,
            "device": str(self.placement.device),
            "device_name": (
                torch.cuda.get_device_name(self.placement.device) if self.placement.device.type == "cuda" else "cpu"
            ),
            "dtype": str(self.placement.dtype).removeprefix("torch."),
            "attention": self.placement.attn,
            "attention_reason": self.placement.attn_reason,
            "base_bytes": base_bytes,
            "adapter_bytes": adapter_bytes,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }

    def reset_peak_memory(self) -> None:
        """Starts a new measurement."""
        reset_peak_memory(self.placement.device)

    def peak_memory_bytes(self) -> int | None:
        """Most memory in use since the last reset: GPU allocations, or the process's resident memory on a CPU."""
        return peak_memory_bytes(self.placement.device)

    # Videos

    def watch(self, file: VideoFile) -> Video:
        """Makes an opened video known, so that clips of it can be asked about."""
        with self._lock:
            self._films.pop(file.video.path, None)
            self._eyes.watch(file)
        return file.video

    def watches(self, video: Video) -> bool:
        """Whether a video is known."""
        return self._eyes.watches(video)

    def forget(self, video: Video) -> None:
        """Drops everything kept of a video; the file itself stays open."""
        with self._lock:
            self._films.pop(video.path, None)
            self._eyes.forget(video)

    def film(self, video: Video) -> FilmCheck | None:
        """Whether a video is of the kind that the checkpoint was trained on, by the first clip of it that was seen.

        None where the checkpoint knows no kind, or where nothing of the video has been seen yet.
        """
        return self._films.get(video.path)

    def prepare(self, clips: Sequence[Clip]) -> None:
        """Decodes the frames of several clips in one pass; the next calls about them find their frames ready."""
        with self._lock:
            self._eyes.prepare(clips)

    # The verbs

    def write(self, request: Request) -> Reply:
        """Generates text greedily."""
        with self._working(request.role) as adapter:
            reply, _, _ = self._generate(request, adapter)
            return reply

    def point(self, request: Request) -> Pointing:
        """Generates text and regresses spans at its first timestamp token.

        A timestamp token that is the very first token of the reply has no state that led to it and does not count.
        """
        with self._working(request.role) as adapter:
            reply, generation, layout = self._generate(request, adapter)
            reg = self.tokens.id(REG) if self.tokens.has_new_tokens else -1
            at = next((i for i, token in enumerate(generation.ids) if token == reg and i > 0), None)
            if at is None or self._head is None:
                return Pointing(reply, None)
            frames = generation.prefill_states[layout.visual.to(generation.prefill_states.device)]
            frames = frames.float().view(layout.grid[0], -1, frames.shape[-1]).mean(dim=1)
            with torch.autocast(self.placement.device.type, enabled=False):  # as in training: spans in float32
                rows = self._head(frames[None], generation.states[at].float()[None, None]).rows_norm()
            return Pointing(reply, tuple((float(s), float(e), float(c)) for s, e, c in suppress(rows[0]).tolist()))

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """Probabilities of Yes and No at the next token, for several clips.

        On a GPU the clips share one prefill, padded on the right, where no token can see the padding.
        """
        if not requests:
            return []
        limit = JUDGE_BATCH_TOKENS if self.placement.device.type == "cuda" else 0
        return self.judge_in_batches(requests, limit)

    def judge_in_batches(self, requests: Sequence[Request], batch_tokens: int) -> list[Judgement]:
        """`judge` with a limit on the tokens of a batch; 0 takes one clip at a time.

        Raises:
            ValueError: The requests are of several roles, whose adapters cannot share a pass.
        """
        roles = sorted({request.role for request in requests})
        if len(roles) != 1:
            raise ValueError(f"requests of {', '.join(roles)}: expected one role, whose adapter judges them all")
        with self._working(requests[0].role) as adapter:
            self.prepare([request.clip for request in requests])
            inputs = [self._embed(request) for request in requests]
            out: list[Judgement] = []
            batch: list[tuple[Tensor, Layout, Usage]] = []
            for item in inputs:
                longest = max(embeds.shape[0] for embeds, _, _ in [*batch, item])
                if batch and longest * (len(batch) + 1) > batch_tokens:
                    out += self._verdicts(batch, adapter)
                    batch = []
                batch.append(item)
            return out + self._verdicts(batch, adapter)

    def choose(self, request: Request, texts: Sequence[str]) -> Choosing:
        """How likely each text is as the whole reply: one prefill, then each text on what was kept of it.

        Raises:
            ValueError: There are no texts.
        """
        if not texts:
            raise ValueError("no texts to choose among; expected at least one")
        # Read apart from the prompt, as the replies are that an adapter learns from.
        replies = [[*self.tokens.encode([Part(text, trusted=False)]), self.tokens.id(END)] for text in texts]
        with self._working(request.role) as adapter:
            embeds, layout, usage = self._embed(replace(request, max_new_tokens=max(map(len, replies))))
            scores = self._language_model.score(
                embeds, layout.positions.to(embeds.device), self._vocabulary(adapter), replies
            )
        usage = replace(usage, output_tokens=sum(map(len, replies)), seconds={**usage.seconds, **scores.seconds})
        return Choosing(tuple(scores.log_probs), usage)

    # Inside

    @contextmanager
    def _working(self, role: str) -> Iterator[str | None]:
        """Holds the model for one call, with the role's adapter switched on."""
        with self._lock, torch.inference_mode(), _steady_attention(self.placement.device):
            adapter = role if role in self._roles else None
            for layer in self._lora_layers.values():
                layer.enable_adapters(adapter is not None)
                if adapter is not None:
                    layer.set_adapter([adapter])
            try:
                yield adapter
            except torch.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                raise StepError(
                    f"out of memory on {self.placement.device} in the {role}; try a part of the video (--start, "
                    "--end), a half-precision --dtype or a GPU with more memory"
                ) from error

    def _judge_film(self, video: Video, frames: Tensor) -> None:
        """Looks once at each video, at the first frames of it that any role sees, uint8 [n, 3, height, width]."""
        if self._detector is not None and video.path not in self._films:
            found = self._detector.judge(frames)
            self._films[video.path] = FilmCheck(found.score, found.limit, found.strange)

    def _vocabulary(self, adapter: str | None) -> Vocabulary:
        return self._roles[adapter] if adapter is not None else self._base_vocabulary

    def _generate(self, request: Request, adapter: str | None) -> tuple[Reply, Generation, Layout]:
        embeds, layout, usage = self._embed(request)
        generation = self._language_model.generate(
            embeds,
            layout.positions.to(embeds.device),
            self._vocabulary(adapter),
            self._stop_ids,
            request.max_new_tokens,
            self.forced_replies.get(request.role),
        )
        usage = replace(usage, output_tokens=len(generation.ids), seconds={**usage.seconds, **generation.seconds})
        reply = Reply(self.tokens.decode(generation.ids), generation.finished, usage, tuple(generation.ids))
        return reply, generation, layout

    def _embed(self, request: Request) -> tuple[Tensor, Layout, Usage]:
        """A request's embeddings, [L, H], with its layout and what it took so far."""
        adapter = request.role if request.role in self._roles else None
        sight = self._eyes.see(request.clip)
        layout = lay_out(
            self.tokens,
            request.prompt,
            sight.grid,
            request.clip.marked_norm,
            request.reply_start,
            aligned=self._manner.marks == "aligned",
        )
        limit = self._model.config.get_text_config().max_position_embeddings
        if layout.ids.shape[0] + request.max_new_tokens > limit:
            raise StepError(
                f"the {request.role}'s prompt has {layout.ids.shape[0]} tokens; with its reply the model takes {limit}"
            )
        device = sight.features.device
        embeds = self._vocabulary(adapter).embedded(layout.ids.to(device))
        embeds[layout.visual.to(device)] = sight.features.flatten(0, 1).to(embeds.dtype)
        usage = Usage(
            input_tokens=layout.ids.shape[0],
            video_tokens=layout.visual.shape[0],
            frame_times_s=sight.times_s,
            frame_indices=sight.indices,
            grid_thw=sight.grid_thw,
            adapter=adapter,
            seconds=sight.seconds,
        )
        return embeds, layout, usage

    def _verdicts(self, batch: Sequence[tuple[Tensor, Layout, Usage]], adapter: str | None) -> list[Judgement]:
        started_s = time.perf_counter()
        device = batch[0][0].device
        embeds = torch.nn.utils.rnn.pad_sequence([item[0] for item in batch], batch_first=True)
        positions = torch.nn.utils.rnn.pad_sequence([item[1].positions.T for item in batch], batch_first=True)
        states = self._language_model.forward(embeds, positions.permute(2, 0, 1).to(device))
        last = torch.tensor([item[0].shape[0] - 1 for item in batch], device=device)
        last_states = states[torch.arange(len(batch), device=device), last]
        probs = self._vocabulary(adapter).logits(self._language_model.normalise(last_states)).softmax(dim=-1)
        yes, no = self.tokens.verdict_ids()
        pairs = probs[:, [yes, no]].tolist()
        elapsed_s = (time.perf_counter() - started_s) / len(batch)
        return [
            Judgement(p_yes, p_no, replace(usage, output_tokens=1, seconds={**usage.seconds, "prefill": elapsed_s}))
            for (p_yes, p_no), (_, _, usage) in zip(pairs, batch, strict=True)
        ]


def _steady_attention(device: torch.device) -> AbstractContextManager[None]:
    """Keeps sdpa off cuDNN, which builds a plan for each new shape: 40 ms for every token of a growing sequence."""
    if device.type != "cuda":
        return nullcontext()
    kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    chosen: AbstractContextManager[None] = sdpa_kernel(kernels)
    return chosen


def _film_detector(folders: Sequence[Path]) -> FilmDetector | None:
    """What the first of some folders that knows its kind of film knows it by; None where none does.

    Raises:
        CheckpointError: It is broken.
    """
    path = next((folder / FILMS_FILE for folder in folders if (folder / FILMS_FILE).is_file()), None)
    if path is None:
        return None
    return FilmDetector.load(path)


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file()
