"""Single passes of the model on a synthetic clip: adapters, segment tokens and positions against recorded logits."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from adapters.layout import lay_out
from adapters.vision import encode
from prompts import Part, Prompt

from .conftest import ORACLE

MINI: dict[str, Any] = json.loads((ORACLE / "mini" / "mini.json").read_text())
ARRAYS = load_file(ORACLE / "mini" / "mini.safetensors")
GRID = (3, 2, 2)
MARKS = {"verifier_seg_mid": (1, 2), "verifier_seg_at_start": (0, 2), "verifier_seg_whole": (0, 3)}
PROMPT = Prompt((Part("Where does it move?", trusted=False),))
LIMITS = {"atol": 1e-4, "rtol": 1e-4}


def vision_out(backbone: Any) -> torch.Tensor:
    from adapters import vision

    tower = backbone._model.model.visual
    with torch.inference_mode():
        return vision._forward(tower, ARRAYS["pixel_values_videos"].view(3, 16, -1), 4, 4)


def test_the_vision_tower_gives_the_recorded_tokens(backbone: Any) -> None:
    torch.testing.assert_close(vision_out(backbone).flatten(0, 1), ARRAYS["vision_out"], **LIMITS)


@pytest.mark.parametrize("run", [run for run in MINI["runs"] if run != "base_text_only"])
def test_a_pass_gives_the_recorded_logits(backbone: Any, run: str) -> None:
    record = MINI["runs"][run]
    marks = MARKS.get(run)
    layout = lay_out(backbone.tokens, PROMPT, GRID, (marks[0] / 3, marks[1] / 3) if marks else None)
    assert layout.ids.tolist() == record["input_ids"]
    if f"{run}.position_ids" in ARRAYS:
        assert layout.positions.tolist() == ARRAYS[f"{run}.position_ids"].tolist()
    features = vision_out(backbone).flatten(0, 1)
    with backbone._working(record["adapter"] or "answerer") as adapter:
        assert adapter == record["adapter"]
        vocabulary = backbone._vocabulary(adapter)
        embeds = functional.embedding(layout.ids, vocabulary.embed)
        embeds[layout.visual] = features
        states = backbone._language_model.forward(embeds[None], layout.positions[:, None])[0]
        logits = vocabulary.logits(backbone._language_model.normalise(states[-1]))
    if f"{run}.prenorm_hidden" in ARRAYS:
        torch.testing.assert_close(states, ARRAYS[f"{run}.prenorm_hidden"], **LIMITS)
    torch.testing.assert_close(logits[:1000], ARRAYS[f"{run}.last_logits_first1000"], **LIMITS)
    assert logits.logsumexp(0).item() == pytest.approx(record["logsumexp"], abs=1e-4, rel=1e-4)
    assert logits.topk(5).indices.tolist() == [token for token, _ in record["top5"]]


def test_text_without_a_video_is_numbered_plainly(backbone: Any) -> None:
    record = MINI["runs"]["base_text_only"]
    ids = torch.tensor(backbone.tokens.encode([Part(record["text"], trusted=True)]))
    assert ids.tolist() == record["input_ids"]
    with backbone._working("answerer"):
        vocabulary = backbone._vocabulary(None)
        positions = torch.arange(len(ids)).expand(3, 1, -1)
        states = backbone._language_model.forward(functional.embedding(ids, vocabulary.embed)[None], positions)
        logits = vocabulary.logits(backbone._language_model.normalise(states[0, -1]))
    assert logits.logsumexp(0).item() == pytest.approx(record["logsumexp"], abs=1e-4, rel=1e-4)
    assert logits.topk(5).indices.tolist() == [token for token, _ in record["top5"]]


def test_the_tokenizer_gives_the_recorded_ids_and_texts(backbone: Any) -> None:
    for record in json.loads((ORACLE / "mini" / "tokenizer.json").read_text()):
        assert backbone.tokens.encode([Part(record["text"], trusted=True)]) == record["ids"]
        assert backbone.tokens._backend.decode(record["ids"], skip_special_tokens=False) == record["decoded"]


def test_encoding_in_chunks_equals_one_pass(backbone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = torch.randint(0, 256, (12, 3, 56, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    eyes, tower = backbone._eyes, backbone._model.model.visual
    with torch.inference_mode():
        whole = encode(tower, frames, eyes._mean, eyes._std)
        monkeypatch.setattr("adapters.vision.MAX_PATCHES", 24 * 2)
        parts = encode(tower, frames, eyes._mean, eyes._std)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)
