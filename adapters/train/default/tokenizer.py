"""Texts go in, a small byte-level BPE tokenizer with Qwen2-VL's special tokens and chat template comes out, as files.

Any text can be written with it: what the merges do not know falls back to bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from adapters.tokens import NEW_TOKENS, Tokens
from roles.errors import InputError

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
"""Qwen2-VL's, in its order."""
BYTES = 256
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Lays a chat out as Qwen2-VL expects it; what `adapters.tokens` builds must equal it (tested)."""
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's rule for where words begin."""


def build_tokenizer(texts: Iterable[str], size: int, folder: Path) -> Tokens:
    """Makes the tokenizer and its files.

    Args:
        texts: What it will mostly read and write.
        size: Entries, special tokens included.
        folder: Gets `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja` and what processors read.

    Raises:
        InputError: The size leaves no room, or the texts do not fill it.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    special = (*SPECIAL, *NEW_TOKENS)
    plain = size - len(special)
    if plain < BYTES:
        raise InputError(f"a vocabulary of {size}: expected at least {BYTES + len(special)}, bytes and special tokens")
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=plain, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    if backend.get_vocab_size() != plain:
        raise InputError(
            f"the texts give {backend.get_vocab_size()} entries of {plain}; more or other texts are needed"
        )
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(backend.to_str(pretty=False), encoding="utf-8")
    _write(folder / "tokenizer_config.json", {
        "tokenizer_class": "Qwen2TokenizerFast", "model_max_length": 32768, "pad_token": "<|endoftext|>",
        "eos_token": "<|im_end|>", "bos_token": None, "unk_token": None, "add_prefix_space": False,
        "clean_up_tokenization_spaces": False, "errors": "replace", "split_special_tokens": False,
    })  # fmt: skip
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return Tokens(folder)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
