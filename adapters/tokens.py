"""Tokenizer and special tokens in one place: prompts go in, ids come out, and user text never becomes a control token.

Qwen2-VL's chat layout is written here once: system turn, then the user's turn with the video before the text, then the
assistant's turn opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prompts import Part, Prompt
from roles.errors import CheckpointError
from roles.verifier import NO, YES

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REG, SEG_START, SEG_END = "<|reg|>", "<|seg_start|>", "<|seg_end|>"
VIDEO, END, END_OF_TEXT = "<|video_pad|>", "<|im_end|>", "<|endoftext|>"
NEW_TOKENS = (REG, SEG_START, SEG_END)
"""What the adapters add to Qwen2-VL's vocabulary, in this order."""

_HEAD = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>"
_TAIL_START = "<|vision_end|>"
_TAIL_END = "<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True)
class ChatIds:
    """A chat around a video: ids before the visual tokens, and after them."""

    head: tuple[int, ...]
    tail: tuple[int, ...]


class Tokens:
    """A tokenizer with the special tokens that Mindreel uses, by name.

    Args:
        folder: A checkpoint folder with `tokenizer.json` (or `vocab.json` and `merges.txt`).

    Raises:
        CheckpointError: No tokenizer in it, or one without Qwen2-VL's special tokens.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._backend = _load(folder)
        if not self._backend.encode("a", add_special_tokens=False).ids:
            # A tokenizer's settings without its words load without complaint and read every text as nothing.
            raise CheckpointError(f"{folder}: its tokenizer has no vocabulary; tokenizer.json or vocab.json is missing")
        # Anything in user text that looks like a special token is then split like any other text.
        self._backend.encode_special_tokens = True
        self._special = {token.content: i for i, token in self._backend.get_added_tokens_decoder().items()}
        needed = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
        missing = [name for name in needed if name not in self._special]
        if missing:
            raise CheckpointError(f"{folder}: the tokenizer lacks {', '.join(missing)}; is this a Qwen2-VL checkpoint?")
        self._split = re.compile("(" + "|".join(map(re.escape, sorted(self._special, key=len, reverse=True))) + ")")

    def __len__(self) -> int:
        """Ids in use, special tokens included."""
        return max(self._backend.get_vocab_size(with_added_tokens=True), max(self._special.values()) + 1)

    @property
    def has_new_tokens(self) -> bool:
        """Whether the timestamp and segment tokens are there."""
        return all(name in self._special for name in NEW_TOKENS)

    def id(self, name: str) -> int:
        """The id of a special token.

        Raises:
            CheckpointError: The tokenizer lacks it.
        """
        try:
            return int(self._special[name])
        except KeyError:
            raise CheckpointError(
                f"{self.folder}: the tokenizer lacks {name}; load it from an adapter folder that brings it"
            ) from None

    def verdict_ids(self) -> tuple[int, int]:
        """Ids of the first tokens of Yes and No."""
        return self.encode([Part(YES, trusted=False)])[0], self.encode([Part(NO, trusted=False)])[0]

    def encode(self, parts: Iterable[Part]) -> list[int]:
        """Token ids of text; special tokens are recognised in trusted parts only.

        Neighbouring text is joined before it is split into tokens, across the border between template and user text,
        so ids equal those of the whole text wherever no user text looks like a special token.
        """
        ids: list[int] = []
        pending = ""
        for part in parts:
            pieces = self._split.split(part.text) if part.trusted else [part.text]
            for piece in pieces:
                if part.trusted and piece in self._special:
                    ids += self._plain(pending)
                    ids.append(self._special[piece])
                    pending = ""
                else:
                    pending += piece
        return ids + self._plain(pending)

    def chat(self, prompt: Prompt, reply_start: str = "") -> ChatIds:
        """Ids of a chat with one video, without the visual tokens themselves."""
        head = self.encode([Part(_HEAD, trusted=True)])
        opened = Part(reply_start, trusted=False)
        tail = self.encode([Part(_TAIL_START, True), *prompt.parts, Part(_TAIL_END, True), opened])
        return ChatIds(tuple(head), tuple(tail))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids; special tokens inside are kept, a final `<|im_end|>` is dropped."""
        ids = list(ids)
        if ids and ids[-1] == self.id("<|im_end|>"):
            ids.pop()
        return str(self._backend.decode(ids, skip_special_tokens=False))

    def _plain(self, text: str) -> list[int]:
        return list(self._backend.encode(text, add_special_tokens=False).ids) if text else []


def _load(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        if file.is_file():
            # Straight from the file: transformers' own loader takes seconds to import and adds nothing here.
            return Tokenizer.from_file(str(file))
        from transformers import Qwen2TokenizerFast

        backend: Tokenizer = Qwen2TokenizerFast.from_pretrained(folder, local_files_only=True).backend_tokenizer
    except Exception as error:  # the tokenizers library raises bare Exceptions on a broken file
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(f"{folder}: its tokenizer cannot be loaded ({reason})") from error
    return backend
