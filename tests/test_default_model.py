"""The default model as it ships: small, whole, loadable by others, plain about films that it does not know."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adapters import embedded
from agent import SessionOptions, open_session
from eval.worlds.film import write_film
from roles.manner import read_manner

FILES = sorted(path for path in embedded.FOLDER.rglob("*") if path.is_file() and ".train" not in path.parts)
LIMIT_BYTES = 30_000_000


def test_it_is_there_and_small() -> None:
    assert embedded.present()
    assert sum(path.stat().st_size for path in FILES) < LIMIT_BYTES
    for role in ("planner", "grounder", "verifier", "answerer"):
        assert (embedded.FOLDER / role / "adapter_model.safetensors").is_file()
        assert (embedded.FOLDER / role / "README.md").is_file()


def test_its_weights_are_bfloat16_and_safetensors_alone() -> None:
    assert {path.suffix for path in FILES} <= {".safetensors", ".json", ".jsonl", ".jinja", ".md", ".png", ".yaml"}
    for path in FILES:
        if path.suffix == ".safetensors" and path.name != "films.safetensors":
            assert {tensor.dtype for tensor in load_file(path).values()} == {torch.bfloat16}, path


def test_no_file_names_the_machine_that_made_it() -> None:
    for path in FILES:
        if path.suffix in (".json", ".jsonl", ".md", ".yaml", ".jinja"):
            found = re.search(r"/(tmp|home|root|work|dev|Users)/", path.read_text(encoding="utf-8"))
            assert found is None, (path, found)


def test_others_load_its_base() -> None:
    from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration

    model, told = Qwen2VLForConditionalGeneration.from_pretrained(embedded.base(), output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert len(AutoTokenizer.from_pretrained(embedded.base())) == model.config.get_text_config().vocab_size


def test_base_and_adapters_are_asked_alike() -> None:
    assert read_manner(embedded.FOLDER) == read_manner(embedded.base())


@pytest.mark.parametrize("film", ["noise", "shapes"])
def test_a_film_of_another_kind_is_told_and_answered(tmp_path: Path, film: str) -> None:
    if film == "noise":
        frames = torch.randint(0, 256, (24, 112, 168, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        path = tmp_path / "noise.mp4"
        write_film(path, list(frames.numpy()), 8)
    else:
        path = Path(__file__).parent / "data" / "oracle" / "videos" / "v1.mp4"
    with open_session(SessionOptions(video=str(path), device="cpu", trace=str(tmp_path / "t.jsonl"))) as session:
        result = session.ask("Where is the ball?", ["the red box", "the blue basket"])
    said = json.loads(json.dumps(result.to_json()))
    assert said["strange_film"] is True
    assert said["answer"]["choice"] in ("A", "B")
    assert any("Qwen/Qwen2-VL-2B-Instruct" in note for note in said["notes"])
