"""lmms-eval's requests go in, our agent's replies come out: what `--model mindreel` stands for.

To our own tasks it replies with JSON that holds the moments as well (`eval.lmms.replies`), to other people's with what
they expect: an option's letter, a moment in seconds, or text. It chooses how long to think and looks at as many frames
as its checkpoint was trained on, so a task's generation settings do not reach it.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lmms_eval.api.instance import GenerationResult
from lmms_eval.api.model import lmms
from loguru import logger
from tqdm import tqdm

from agent.build import SessionOptions, with_model
from agent.settings import Settings
from eval.asking import Job
from eval.item import Item, Record
from eval.lmms.asker import Asker, Request
from eval.lmms.contexts import Asked, read_context
from eval.lmms.docs import Manner, is_ours, item_of, manner_of
from eval.lmms.replies import plain_reply, write_reply
from roles.errors import InputError

_SETTINGS = {one.name for one in fields(Settings)} - {"plan", "budgets"}
_NEVER = 1e9
"""Loss of an option that was not chosen, where the checkpoint gives no probabilities."""


class Mindreel(lmms):  # type: ignore[misc]  # lmms-eval has no types
    """Our agent behind lmms-eval's interface for models that get a task's text and its video's path."""

    is_simple = True

    def __init__(
        self,
        model: str | None = None,
        adapters: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        attn: str = "auto",
        own_prompts: bool = False,
        plan: str = "auto",
        frame_rate: float = 1.0,
        out: str | None = None,
        batch_size: Any = None,
        max_batch_size: Any = None,
        **settings: Any,
    ) -> None:
        """Loads the model; everything can be given with `--model_args name=value,...`.

        Args:
            model: Folder or hub id of the base; with neither it nor adapters, the default model answers.
            adapters: Folder or hub id of the adapters.
            device: "auto", "cpu", "cuda" or "cuda:N"; under `accelerate launch` each process takes its own GPU.
            dtype: "auto", "float32", "bfloat16" or "float16".
            attn: "auto", "flash_attention_2", "sdpa" or "eager".
            own_prompts: Whether a checkpoint without wording of its own is asked in ours.
            plan: "auto" leaves it to our tasks and the planner, "ground" finds a moment first, "answer" watches all.
            frame_rate: Frames per second where a task gives pictures in place of a video.
            out: Folder for records and traces; None keeps none.
            batch_size: Not used: one question is asked at a time.
            max_batch_size: Likewise.
            **settings: Any other field of `agent.Settings`, such as min_clip_s.

        Raises:
            InputError: An argument that there is not, or a model that cannot be loaded.
        """
        super().__init__()
        unknown = sorted(settings.keys() - _SETTINGS)
        if unknown:
            known = ", ".join(sorted(_SETTINGS))
            raise InputError(f"--model_args {unknown[0]}: no such argument; beside those of `Mindreel`: {known}")
        try:
            asked_how = Settings(plan=plan, **settings)
            self._frame_rate = float(frame_rate)
        except (TypeError, ValueError) as error:
            raise InputError(f"--model_args: a value is of the wrong kind ({error})") from error
        chosen = with_model(SessionOptions(video="", model=_text(model), adapters=_text(adapters)))
        kept = _text(out)
        self._temporary = None if kept else tempfile.TemporaryDirectory(prefix="mindreel-lmms-")
        self._folder = Path(kept or (self._temporary.name if self._temporary else ""))
        self._device = _device(device)
        job = Job(
            self._folder,
            model=chosen.model,
            adapters=chosen.adapters,
            device=self._device,
            dtype=dtype,
            attn=attn,
            own_prompts=bool(own_prompts),
            settings=asked_how,
            plan=plan,
        )
        self._asker = Asker(job)

    @property
    def device(self) -> str:
        """Where tensors go that lmms-eval sends from process to process."""
        return self._device if self._device != "auto" else str(self._asker.model.placement.device)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Replies to every request, in their order.

        Raises:
            InputError: A task shows no video, or several.
        """
        asked = [self._read(one.args[0], one.args[2], *one.args[3:6]) for one in requests]
        records = self._records([request for request, _ in asked])
        return [
            write_reply(records[request.item.key])
            if about is None
            else plain_reply(records[request.item.key], bool(request.item.options), about.wants_moment)
            for request, about in asked
        ]

    def loglikelihood(self, requests: Sequence[Any]) -> list[GenerationResult]:
        """Compares the continuations of each question as its options.

        Returns:
            For each a pair: the loss, as lmms-eval takes the option of the lowest (minus the logarithm of its
            probability among the options), and whether it is the one chosen. It is wrapped as lmms-eval 0.7.3 would
            make a text of a bare pair, and then fail on it.

        Raises:
            InputError: A task has only one continuation for a question: there is nothing to compare it with.
        """
        places: dict[tuple[str, str, Any], list[int]] = {}
        for number, one in enumerate(requests):
            _, _, _, doc_id, task, split = one.args
            places.setdefault((task, split, doc_id), []).append(number)
        asked: list[tuple[Request, list[int], list[int]]] = []
        for (task, _, doc_id), numbers in places.items():
            texts = [_continuation(requests[number], self.task_dict) for number in numbers]
            different = list(dict.fromkeys(texts))
            if len(different) < 2:
                raise InputError(
                    f"task {task}, line {doc_id}: the likelihood of one text alone is not known; "
                    "Mindreel compares options: use the task's variant that generates text"
                )
            first = requests[numbers[0]].args
            request, _ = self._read(first[0], *first[2:6])
            options = request.item.options
            if not (options and [text.strip("(). ") for text in different] == _letters(len(options))):
                request = replace(request, item=replace(request.item, options=tuple(different)))
            asked.append((request, numbers, [different.index(text) for text in texts]))
        records = self._records([request for request, _, _ in asked])
        found: list[GenerationResult] = [None] * len(requests)
        for request, numbers, ats in asked:
            record = records[request.item.key]
            for number, at in zip(numbers, ats, strict=True):
                found[number] = GenerationResult(text=(_loss(record, at), record["choice"] == at))
        return found

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Refuses: our agent keeps nothing between two questions.

        Raises:
            InputError: Always.
        """
        raise InputError("Mindreel answers one question at a time; leave tasks of several rounds out of --tasks")

    def _read(
        self, context: str, doc_to_visual: Any, doc_id: Any, task: str, split: str
    ) -> tuple[Request, Asked | None]:
        """What is asked; of our own tasks without its truth, of others as far as their text says."""
        doc: Mapping[str, Any] = self.task_dict[task][split][doc_id]
        key = f"{task}/{split}/{doc_id}"
        if is_ours(doc):
            return Request(replace(item_of(doc), key=key, answer_at=None, spans=()), manner_of(doc)), None
        about = read_context(context)
        item = self._with_video(Item(key, "", about.question, about.options), doc_to_visual(doc))
        return Request(item, Manner("moment" if about.wants_moment else "auto")), about

    def _with_video(self, item: Item, visuals: Any) -> Item:
        """The item with the video that a task shows: a path, a path with the ends of a part, or pictures."""
        shown = list(visuals) if isinstance(visuals, list | tuple) else [visuals] if visuals is not None else []
        if len(shown) > 1 and not any(isinstance(one, str | Mapping) for one in shown):
            folder = self._folder / "pictures" / re.sub(r"\W+", "-", item.key)
            folder.mkdir(parents=True, exist_ok=True)
            for number, picture in enumerate(shown):
                picture.convert("RGB").save(folder / f"{number:06d}.png")
            return replace(item, video=str(folder), frame_rate=self._frame_rate)
        if len(shown) != 1:
            raise InputError(f"{item.key}: {len(shown)} videos; Mindreel answers about one: leave this task out")
        [one] = shown
        if isinstance(one, Mapping):
            part = (one.get("video_start"), one.get("video_end"))
            start_s, end_s = (None if value is None else float(value) for value in part)
            item, one = replace(item, start_s=start_s, end_s=end_s), one.get("url") or one.get("path")
        if not isinstance(one, str):
            raise InputError(f"{item.key}: shows {type(one).__name__} in place of a video's path; leave this task out")
        return replace(item, video=one, missing=not Path(one).exists())

    def _records(self, requests: Sequence[Request]) -> dict[str, Record]:
        """Asks, shows how far it is, and says what went wrong."""
        with tqdm(total=len({one.item.key for one in requests}), desc="Mindreel", disable=self.rank != 0) as bar:
            records = self._asker.ask_all(requests, bar.update)
        failed = [record for record in records.values() if record["error"] is not None]
        if failed:
            first = f"{failed[0]['key']}: {failed[0]['error']}"
            logger.warning(f"{len(failed)} of {len(records)} questions have no answer, first {first}")
        replaced = sum(bool(record["fell_back"]) for record in records.values())
        if replaced:
            logger.warning(f"in {replaced} of {len(records)} questions a role failed and a fallback took its place")
        strange = sum(bool(record["strange"]) for record in records.values())
        if strange:
            logger.warning(
                f"{strange} of {len(records)} questions are on films of a kind that the checkpoint does not know"
            )
        return records


def _text(value: Any) -> str | None:
    """An argument as text, as lmms-eval makes numbers of what looks like one; "none" is none."""
    return None if value is None or str(value).lower() in ("", "none") else str(value)


def _device(name: str) -> str:
    """The device; each process of several takes the GPU of its number."""
    if name == "cuda" or (name == "auto" and int(os.environ.get("WORLD_SIZE", "1")) > 1):
        import torch

        if torch.cuda.is_available():
            return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    return str(name)


def _continuation(request: Any, docs: Mapping[str, Any]) -> str:
    """The text whose likelihood is wanted."""
    _, text, _, doc_id, task, split = request.args
    return str(text(docs[task][split][doc_id]) if callable(text) else text).strip()


def _letters(count: int) -> list[str]:
    from string import ascii_uppercase

    return list(ascii_uppercase[:count])


def _loss(record: Record, at: int) -> float:
    probs = record["probs"]
    if probs is not None:
        return -math.log(probs[at]) if probs[at] > 0 else _NEVER
    if record["choice"] is None:  # no option is the lowest then; 0 for all would be a guess at the first
        return math.inf
    return 0.0 if record["choice"] == at else _NEVER
