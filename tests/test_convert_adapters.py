"""Converting adapters: the recorded VideoMind folder in other layouts is the same model, and bad input is one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.convert import LAYOUTS, main
from adapters.layout import lay_out
from adapters.qwen2vl import Qwen2VL

from .parity.test_model import ARRAYS, GRID, LIMITS, MARKS, MINI, PROMPT, vision_out

ORACLE = Path(__file__).parent / "data" / "oracle"
RUNS = [run for run, record in MINI["runs"].items() if record.get("adapter")]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The recorded folder in PEFT's layout, and that one in VideoMind's again."""
    place = tmp_path_factory.mktemp("converted")
    assert main(["--adapters", str(ORACLE / "videomind"), "--out", str(place / "peft"), "--layout", "peft"]) == 0
    assert main(["--adapters", str(place / "peft"), "--out", str(place / "videomind"), "--layout", "videomind"]) == 0
    return {layout: place / layout for layout in LAYOUTS}


def test_there_and_back_gives_every_recorded_tensor(converted: dict[str, Path]) -> None:
    files = sorted(path.relative_to(ORACLE / "videomind") for path in (ORACLE / "videomind").rglob("*.safetensors"))
    assert len(files) == 4
    for name in files:
        before, after = load_file(ORACLE / "videomind" / name), load_file(converted["videomind"] / name)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)
    for role in ("planner", "grounder", "verifier"):
        stated = [
            json.loads((place / role / "adapter_config.json").read_text())
            for place in (ORACLE / "videomind", converted["videomind"])
        ]
        for config in stated:
            del config["base_model_name_or_path"]  # the folders lie elsewhere
        assert stated[0] == stated[1]
    assert (converted["peft"] / "tokenizer.json").read_bytes() == (ORACLE / "videomind/tokenizer.json").read_bytes()
    texts = [json.loads((place / "prompts.json").read_text()) for place in (ORACLE / "videomind", converted["peft"])]
    assert texts[0].items() <= texts[1].items()


@pytest.fixture(scope="module")
def own(converted: dict[str, Path]) -> Any:
    return Qwen2VL.load(None, str(converted["peft"]), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def peft(converted: dict[str, Path]) -> Any:
    """transformers and PEFT alone, with the converted adapters."""
    from peft import PeftModel
    from transformers import Qwen2VLForConditionalGeneration

    model = Qwen2VLForConditionalGeneration.from_pretrained(ORACLE / "base", dtype=torch.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        adapted = PeftModel.from_pretrained(model, converted["peft"] / "grounder", adapter_name="grounder")
        for role in ("planner", "verifier"):
            adapted.load_adapter(converted["peft"] / role, adapter_name=role)
    assert [str(one.message) for one in caught if "adapter keys" in str(one.message)] == []
    return adapted.float().eval()


@pytest.mark.parametrize("run", RUNS)
def test_peft_gives_the_recorded_logits_from_converted_adapters(own: Any, peft: Any, run: str) -> None:
    record = MINI["runs"][run]
    marks = MARKS.get(run)
    layout = lay_out(own.tokens, PROMPT, GRID, (marks[0] / 3, marks[1] / 3) if marks else None)
    assert layout.ids.tolist() == record["input_ids"]
    peft.set_adapter(record["adapter"])
    with torch.inference_mode():
        embeds = peft.get_input_embeddings()(layout.ids)
        embeds[layout.visual] = vision_out(own).flatten(0, 1)
        last = peft(inputs_embeds=embeds[None], position_ids=layout.positions[:, None]).logits[0, -1]
    torch.testing.assert_close(last[:1000], ARRAYS[f"{run}.last_logits_first1000"], **LIMITS)
    assert last.logsumexp(0).item() == pytest.approx(record["logsumexp"], abs=1e-4, rel=1e-4)
    assert last.topk(5).indices.tolist() == [token for token, _ in record["top5"]]


def test_our_own_model_is_the_same_on_converted_adapters(own: Any, small_video: Any) -> None:
    from agent import Agent

    recorded = Qwen2VL.load(None, str(ORACLE / "videomind"), device="cpu", dtype="float32")
    question = "What is the colour of the background when the black triangle is visible?"
    answers = [Agent(model).ask(model.watch(small_video), question) for model in (own, recorded)]
    assert answers[0].moments == answers[1].moments
    assert answers[0].moments
    assert answers[0].answer == answers[1].answer
    assert [(step.call.role, step.status) for step in answers[0].steps] == [
        (role, "ok") for role in ("planner", "grounder", "verifier", "answerer")
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the recorded checkpoint that a test may break."""
    for name in ("base", "videomind"):
        shutil.copytree(ORACLE / name, tmp_path / name)
    return tmp_path


def test_a_base_named_by_a_relative_path_stays_so(folder: Path) -> None:
    out = folder / "converted" / "here"
    assert main(["--adapters", str(folder / "videomind"), "--out", str(out), "--layout", "peft"]) == 0
    assert json.loads((out / "config.json").read_text())["base_model_path"] == "../../base"
    folder.rename(folder.with_name("moved"))
    moved = folder.with_name("moved") / "converted" / "here"
    assert Qwen2VL.load(None, str(moved), device="cpu").has("verifier")


def test_cards_and_further_files_of_a_role_go_along(folder: Path) -> None:
    (folder / "videomind/planner/README.md").write_text("# Planner\n")
    (folder / "videomind/planner/config.yaml").write_text("rank: 8\n")
    (folder / "videomind/planner/optimizer.pt").write_bytes(b"x")
    assert main(["--adapters", str(folder / "videomind"), "--out", str(folder / "out"), "--layout", "peft"]) == 0
    names = sorted(path.name for path in (folder / "out/planner").iterdir())
    assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors", "config.yaml"]
    assert (folder / "out/planner/README.md").read_text() == "# Planner\n"


def test_what_came_out_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / "videomind" / "verifier")
    assert main(["--adapters", str(folder / "videomind"), "--out", str(folder / "out"), "--layout", "peft"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {folder / 'out'} in the layout peft",
        "  planner: LoRA rank 8, the base's vocabulary",
        "  grounder: LoRA rank 16, a vocabulary of its own (9728 tokens)",
    ]


def _other_base(folder: Path) -> None:
    from eval.random_checkpoint import SIZES, write

    write(SIZES["tiny"], folder / "made", "cpu")
    shutil.rmtree(folder / "base")
    shutil.copytree(folder / "made" / "base", folder / "base")


def _broken_head(folder: Path) -> None:
    tensors = load_file(folder / "videomind/pytorch_model.safetensors")
    del tensors["base_model.model.coef.scale"]
    save_file(tensors, folder / "videomind/pytorch_model.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_broken_head, r"pytorch_model.safetensors: tensors do not fit: 1 missing: coef.scale \[4\]"),
        (lambda folder: (folder / "out").mkdir(), "out: exists already; name a new folder with --out"),
        (lambda folder: shutil.rmtree(folder / "videomind"), "adapters '.*': no such folder"),
        (lambda folder: shutil.rmtree(folder / "base"), "its base model 'base' is not there; give it with --model"),
        (
            lambda folder: (folder / "videomind/prompts.json").unlink(),
            "or use this package's own wording: --own-prompts",
        ),
        (lambda folder: (folder / "base/config.json").unlink(), "base/config.json: missing"),
        (lambda folder: (folder / "base/model.safetensors").unlink(), "base: no weights"),
        (lambda folder: (folder / "videomind/pytorch_model.safetensors").unlink(), "the grounder's head .* is missing"),
        (lambda folder: (folder / "videomind/tokenizer.json").write_text("{"), "its tokenizer cannot be loaded"),
        (_other_base, r"adapter_model.safetensors on this base: tensors do not fit: .*layers\.3\.self_attn"),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(
    folder: Path, change: Any, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    monkeypatch.chdir(folder / "videomind")
    change(folder)
    before = sorted(folder.rglob("*"))
    assert main(["--adapters", str(folder / "videomind"), "--out", str(folder / "out"), "--layout", "videomind"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert re.search(message, told), told
    assert sorted(folder.rglob("*")) == before


def test_own_wording_is_stored_on_request(folder: Path) -> None:
    (folder / "videomind/prompts.json").unlink()
    argv = ["--adapters", str(folder / "videomind"), "--out", str(folder / "out"), "--layout", "peft", "--own-prompts"]
    assert main(argv) == 0
    assert (folder / "out/prompts.json").is_file()


def test_help_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from adapters.convert import main; main(['--help'])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert "--layout {peft,videomind}" in ran.stdout


def test_the_layouts_are_those_of_export() -> None:
    from adapters import export

    assert LAYOUTS == export.LAYOUTS
