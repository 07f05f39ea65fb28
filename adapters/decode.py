"""Prefill and greedy decoding over the language model, with the hidden states that the heads need."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from adapters.positions import next_position
from roles.deadline import check_deadline


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Token embeddings and output layer, the base's or an adapter's own; V tokens, H hidden, R replaced rows.

    Attributes:
        embed: [V, H].
        head: [V, H].
        row_ids: Ids that an adapter embeds anew, also beyond V; None where it replaces none. [R]
        embed_rows: Their embeddings, [R, H].
        head_rows: Their rows of the output layer, [R, H].
    """

    embed: Tensor
    head: Tensor
    row_ids: Tensor | None = None
    embed_rows: Tensor | None = None
    head_rows: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """What it holds in memory."""
        return [t for t in (self.embed, self.head, self.embed_rows, self.head_rows) if t is not None]

    def embedded(self, ids: Tensor) -> Tensor:
        """Embeddings of token ids, [..., H]."""
        if self.row_ids is None or self.embed_rows is None:
            return functional.embedding(ids, self.embed)
        same = ids[..., None] == self.row_ids
        replaced = same.any(dim=-1)
        plain = functional.embedding(ids.masked_fill(replaced, 0), self.embed)
        own = functional.embedding(same.int().argmax(dim=-1), self.embed_rows.to(plain.dtype))
        return torch.where(replaced[..., None], own, plain)

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits of normalised hidden states, float32, [..., V] (more where rows lie beyond V)."""
        logits = functional.linear(hidden, self.head)
        if self.row_ids is not None and self.head_rows is not None:
            beyond = int(self.row_ids.max()) + 1 - self.head.shape[0]
            if beyond > 0:
                # Ids between the base's last row and the adapter's own are embedded by nothing: never chosen.
                logits = functional.pad(logits, (0, beyond), value=float("-inf"))
            logits = logits.index_copy(-1, self.row_ids, functional.linear(hidden, self.head_rows.to(hidden.dtype)))
        return logits.float()


@dataclass(slots=True)
class Generation:
    """What greedy decoding gave.

    Attributes:
        ids: Generated ids, end token included.
        finished: Whether an end token came.
        prefill_states: Hidden states before the final norm, of the prompt, [L, H].
        states: Likewise, of the position that predicted each generated id, [H] each.
        seconds: "prefill" and "decode".
    """

    ids: list[int]
    finished: bool
    prefill_states: Tensor
    states: list[Tensor]
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Scores:
    """How likely texts are.

    Attributes:
        log_probs: Of each text, the sum over its tokens, in float32.
        seconds: "prefill", with the first text, and "decode", of the others.
    """

    log_probs: list[float]
    seconds: dict[str, float] = field(default_factory=dict)


class LanguageModel:
    """Drives a Qwen2-VL text model with embeddings and positions of our own.

    Args:
        text_model: transformers' module of the decoder layers and the final norm.
    """

    def __init__(self, text_model: Any) -> None:
        self._model = text_model
        self._norm = text_model.norm
        self._before_norm: Tensor | None = None
        self._norm.register_forward_pre_hook(self._keep)

    def _keep(self, _module: object, args: tuple[Tensor, ...]) -> None:
        self._before_norm = args[0]

    def forward(
        self, embeds: Tensor, positions: Tensor, cache: object | None = None, pack: object | None = None
    ) -> Tensor:
        """Runs the layers causally.

        Args:
            embeds: [batch, L, H]. Rows may be padded on the right: no position sees what comes after it.
            positions: [3, batch, L].
            cache: A transformers cache to read and extend, or None.
            pack: A `adapters.train.attention.Pack` that divides the sequence, where the model attends by packs.

        Returns:
            Hidden states before the final norm, [batch, L, H].
        """
        mask = None if pack is None else dict.fromkeys(("full_attention", "sliding_attention"), pack)
        self._model(
            inputs_embeds=embeds,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        kept, self._before_norm = self._before_norm, None
        assert kept is not None  # noqa: S101 - the hook ran
        return kept

    def normalise(self, states: Tensor) -> Tensor:
        """The final norm."""
        out: Tensor = self._norm(states)
        self._before_norm = None
        return out

    def score(
        self, embeds: Tensor, positions: Tensor, vocabulary: Vocabulary, texts: Sequence[Sequence[int]]
    ) -> Scores:
        """How likely each text is to follow a prompt, which is read once.

        Args:
            embeds: The prompt, [L, H].
            positions: Its positions, [3, L].
            vocabulary: Embeds and scores the texts' tokens.
            texts: Ids of each text, none empty, end token included.
        """
        from transformers import DynamicCache

        cache = DynamicCache()
        started_s = time.perf_counter()
        at = next_position(positions)
        first = vocabulary.logits(self.normalise(self.forward(embeds[None], positions[:, None], cache)[0, -1]))
        first = first.log_softmax(dim=-1)
        scores = Scores([])
        for text in texts:
            check_deadline()
            ids = torch.tensor(text, device=embeds.device)
            found = first[ids[0]]
            if len(text) > 1:
                here = torch.arange(at, at + len(text) - 1, device=embeds.device).expand(3, 1, -1)
                states = self.forward(vocabulary.embedded(ids[None, :-1]), here, cache)[0]
                logits = vocabulary.logits(self.normalise(states)).log_softmax(dim=-1)
                found = found + logits.gather(1, ids[1:, None]).sum()
                cache.crop(1 - len(text))  # what this text added is taken off again
            scores.log_probs.append(float(found))
            scores.seconds.setdefault("prefill", time.perf_counter() - started_s)
        scores.seconds["decode"] = time.perf_counter() - started_s - scores.seconds.get("prefill", 0.0)
        return scores

    def generate(
        self,
        embeds: Tensor,
        positions: Tensor,
        vocabulary: Vocabulary,
        stop_ids: Collection[int],
        max_new_tokens: int,
        forced_ids: Sequence[int] | None = None,
        observe: Callable[[Tensor], None] | None = None,
    ) -> Generation:
        """Decodes greedily.

        Args:
            embeds: The prompt, [L, H].
            positions: Its positions, [3, L].
            vocabulary: Embeds new tokens and scores the next.
            stop_ids: Ids that end the reply.
            max_new_tokens: Longest reply.
            forced_ids: Take these instead of the best ids, all of them; for measurements on random weights.
            observe: Called with the logits of every step, [V].
        """
        from transformers import DynamicCache

        cache = DynamicCache()
        started_s = time.perf_counter()
        states = self.forward(embeds[None], positions[:, None], cache)
        prefill_states, state = states[0], states[0, -1]
        at = next_position(positions)
        ids: list[int] = []
        generation = Generation(ids, False, prefill_states, [])
        limit = max_new_tokens if forced_ids is None else len(forced_ids)
        while True:
            logits = vocabulary.logits(self.normalise(state))
            if observe is not None:
                observe(logits)
            best = int(logits.argmax()) if forced_ids is None else int(forced_ids[len(ids)])
            if not ids:
                generation.seconds["prefill"] = time.perf_counter() - started_s
                started_s = time.perf_counter()
            ids.append(best)
            generation.states.append(state)
            generation.finished = len(ids) == limit if forced_ids is not None else best in stop_ids
            if generation.finished or len(ids) == limit:
                break
            check_deadline()
            token = vocabulary.embedded(torch.tensor([[best]], device=embeds.device))
            here = torch.full((3, 1, 1), at, device=embeds.device)
            state = self.forward(token, here, cache)[0, -1]
            at += 1
        if embeds.is_cuda:
            torch.cuda.synchronize(embeds.device)
        generation.seconds["decode"] = time.perf_counter() - started_s
        return generation
