"""What a training leaves behind: an adapters folder that others load, and an honest account of how it came about."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from adapters.frames import open_video
from adapters.qwen2vl import Qwen2VL
from adapters.store import read_adapter_folder
from adapters.train import dataset, grounder, verifier
from adapters.train.config import read_config
from adapters.train.recipe import Item
from adapters.trained import read_trained
from agent.run import main as ask
from roles.errors import VideoError
from roles.examples import read_examples, video_path
from tests.films import BASE, make_examples, short_prompts

STEPS = 25


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_examples(tmp_path_factory.mktemp("films"), seconds=4)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reply is so short that it is learned in a few steps."""
    path = short_prompts(tmp_path_factory.mktemp("prompts"))
    texts = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**texts, "grounder_reply": "It <|reg|>."}), encoding="utf-8")
    return path


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    common = f"--model {BASE} --data {data} --out {out} --batch 8 --samples-per-pass 8 --lora-rank 4 --workers 0"
    return [*common.split(), "--learning-rate", "4e-3", "--device", "cpu", "--save-every", "1000", *more]


@pytest.fixture(scope="module")
def judged(data: Path) -> Path:
    """A verifier's examples: the true moment, and a wrong one."""
    path = data.with_name("judged.jsonl")
    lines = []
    for number, line in enumerate(data.read_text(encoding="utf-8").splitlines()):
        example = json.loads(line)
        spans = example["spans"] if number % 2 else [[0.0, 4.0]]
        lines.append({"video": example["video"], "question": "a square", "answer": ("No", "Yes")[number % 2]})
        lines[-1] |= {"spans": spans, "tags": {"group": example["video"]}}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def adapters(data: Path, judged: Path, prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grounder and a verifier of a few steps."""
    out = tmp_path_factory.mktemp("adapters")
    more = ("--prompts", str(prompts), "--val", str(data), "--max-steps", str(STEPS), "--epochs", "99")
    assert grounder.main(arguments(data, out, *more, "--eval-every", "20", "--val-limit", "2")) == 0
    more = ("--prompts", str(prompts), "--val", str(judged), "--max-steps", "4", "--epochs", "99")
    assert verifier.main(arguments(judged, out, *more, "--report-to", "none")) == 0
    return out


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def summary_of(adapters: Path, role: str = "grounder") -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((adapters / role / "summary.json").read_text(encoding="utf-8"))
    return summary


# The account


def test_a_folder_holds_the_adapter_and_the_account(adapters: Path) -> None:
    assert {path.name for path in (adapters / "grounder").iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "loss.png",
        "losses.jsonl",
        "summary.json",
        "training.yaml",
        "validation.jsonl",
    }
    assert {"config.json", "prompts.json", "pytorch_model.safetensors", "tokenizer.json", "README.md"} <= {
        path.name for path in adapters.iterdir()
    }


def test_the_summary_agrees_with_the_logs(adapters: Path, data: Path) -> None:
    summary = summary_of(adapters)
    records = lines_of(adapters / "grounder" / "losses.jsonl")
    steps = [record for record in records if "loss" in record]
    assert summary["steps"] == len(steps) == STEPS
    assert summary["samples"] == STEPS * 8
    for name, value in summary["losses"].items():
        assert value == steps[-1][name], name
    assert set(summary["losses"]) == {"loss", "lm", "class", "coord", "saliency"}
    for step in steps:
        parts = step["lm"] + step["class"] + step["coord"] + step["saliency"]
        assert step["loss"] == pytest.approx(parts, rel=1e-5)
    validations = [record for record in records if "eval_mIoU" in record]
    assert [record["step"] for record in validations] == [20, STEPS]
    assert summary["metrics"]["mIoU"]["last"] == validations[-1]["eval_mIoU"]
    assert summary["data"]["train"] | {"file": ""} == {
        "file": "", "examples": 8, "used": 8, "videos": 4, "skipped": {}, "broken_videos": 0, "broken": [],
    }  # fmt: skip
    assert len(lines_of(adapters / "grounder" / "validation.jsonl")) == 8


def test_the_settings_load_back(adapters: Path, data: Path) -> None:
    config = read_config(adapters / "grounder" / "training.yaml", grounder.GrounderConfig)
    assert (config.max_steps, config.lora_rank, config.data, config.out) == (STEPS, 4, data, adapters)


def test_the_loss_curve_is_a_picture_with_more_than_one_colour(adapters: Path) -> None:
    with Image.open(io.BytesIO((adapters / "grounder" / "loss.png").read_bytes())) as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 10


def test_the_card_names_data_settings_and_metrics(adapters: Path) -> None:
    card = (adapters / "grounder" / "README.md").read_text(encoding="utf-8")
    assert "8 of 8 examples on 4 videos" in card
    assert "mIoU" in card
    assert f"{STEPS} steps" in card
    assert "(loss.png)" in card


def test_logs_go_to_tensorboard_unless_told_otherwise(adapters: Path) -> None:
    events = [path.relative_to(adapters) for path in adapters.rglob("events.out.tfevents.*")]
    assert {path.parent for path in events} == {Path(".train/grounder/tensorboard")}


# The adapter


def test_peft_loads_it_whole(adapters: Path) -> None:
    from peft import PeftModel, get_peft_model_state_dict
    from transformers import Qwen2VLForConditionalGeneration

    base = Qwen2VLForConditionalGeneration.from_pretrained(BASE, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapters / "grounder")
    loaded = get_peft_model_state_dict(model)
    stored = load_file(adapters / "grounder" / "adapter_model.safetensors")
    assert {name for name in stored if ".lora_" in name} <= loaded.keys()
    for name, tensor in stored.items():
        if ".lora_" in name:
            assert torch.equal(loaded[name].float(), tensor.float()), name
    assert any(".lora_B." in name and bool(tensor.any()) for name, tensor in stored.items())


def items_of(path: Path, limit: int | None = None) -> list[Item]:
    items = []
    for example in read_examples(path)[:limit]:
        with open_video(str(video_path(example, path))) as file:
            items.append(Item(example, file.video, ""))
    return items


def asked_anew(adapters: Path, recipe: Any, data: Path) -> list[dict[str, Any]]:
    """What the agent's own model says with the adapter that was written."""
    model = Qwen2VL.load(str(BASE), str(adapters), device="cpu")
    records = []
    for item in items_of(data):
        with open_video(item.video.path) as file:
            model.watch(file)
            records.append(recipe.ask(model, item))
            model.forget(item.video)
    return records


def test_the_grounders_validation_is_what_the_loaded_adapter_gives(adapters: Path, data: Path) -> None:
    recipe = grounder.GrounderRecipe(200)
    anew = asked_anew(adapters, recipe, data)
    told = lines_of(adapters / "grounder" / "validation.jsonl")
    assert [one["reply"] for one in told] == [one["reply"] for one in anew]
    assert all(one["predicted"] for one in told)
    for before, after in zip(told, anew, strict=True):
        assert after["predicted"] == [pytest.approx(span, abs=2e-3) for span in before["predicted"]]
        assert after["confidences"] == pytest.approx(before["confidences"], abs=1e-5)
    reached = {name: value["last"] for name, value in summary_of(adapters)["metrics"].items()}
    assert recipe.score(anew) == pytest.approx(reached, abs=1e-3)


def test_the_verifiers_validation_is_what_the_loaded_adapter_gives(adapters: Path, judged: Path) -> None:
    anew = asked_anew(adapters, verifier.VerifierRecipe(200), judged)
    told = lines_of(adapters / "verifier" / "validation.jsonl")
    assert [one["margin"] for one in told] == pytest.approx([one["margin"] for one in anew], abs=1e-5)
    assert len({one["margin"] for one in told}) > 4


def test_the_agent_answers_with_it(
    adapters: Path, data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    film = data.with_name("film0.mp4")
    command = f"--model {BASE} --adapters {adapters} --video {film} --device cpu --json --trace {tmp_path}/trace.jsonl"
    assert ask([*command.split(), "--question", "Which square comes first?"]) == 0
    told = json.loads(capsys.readouterr().out)
    steps = {step["role"]: step["status"] for step in told["steps"]}
    assert steps["grounder"] == steps["verifier"] == "ok"
    assert told["moments"][0]["p_yes"] is not None


def test_videominds_layout_holds_the_same_adapter(adapters: Path, data: Path, prompts: Path, tmp_path: Path) -> None:
    # The run is finished, so this only writes it again, elsewhere: checkpoints go where the settings lead.
    out = tmp_path / "videomind"
    shutil.copytree(adapters / ".train", out / ".train")
    more = ("--prompts", str(prompts), "--max-steps", str(STEPS), "--epochs", "99", "--report-to", "none")
    assert grounder.main(arguments(data, out, *more, "--layout", "videomind")) == 0
    ours, theirs = read_adapter_folder(str(adapters)), read_adapter_folder(str(out))
    assert theirs.head is not None
    assert (theirs.folder / "config.json").is_file()
    peft = read_trained(ours.roles["grounder"], ours.head, BASE)
    copies = read_trained(theirs.roles["grounder"], theirs.head, BASE)
    assert peft.lora.keys() == copies.lora.keys()
    for name, tensor in peft.lora.items():
        assert torch.equal(tensor, copies.lora[name]), name
    assert copies.token_ids == ()
    assert copies.embed is not None
    assert peft.embed is not None
    assert torch.equal(copies.embed[list(peft.token_ids)].float(), peft.embed.float())
    model = Qwen2VL.load(str(BASE), str(out), device="cpu")
    assert model.has("grounder")


# Starting from it


def state_of(adapters: Path) -> dict[str, torch.Tensor]:
    folder = read_adapter_folder(str(adapters))
    found = read_trained(folder.roles["grounder"], folder.head, BASE)
    assert found.timestamp_head is not None
    whole = found.with_copies(BASE, True)
    assert whole.embed is not None
    return {**found.lora, **found.timestamp_head, "embed": whole.embed}


@pytest.mark.parametrize("mode", ["rows", "full"])
def test_a_new_run_starts_from_a_finished_adapter(adapters: Path, data: Path, tmp_path: Path, mode: str) -> None:
    more = ("--init", str(adapters), "--new-tokens", mode, "--max-steps", "1", "--learning-rate", "1e-12")
    assert grounder.main(arguments(data, tmp_path, *more, "--report-to", "none")) == 0
    before, after = state_of(adapters), state_of(tmp_path)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name].float(), tensor.float(), rtol=0, atol=1e-6, msg=name)
    # And it asks with the wording of that adapter.
    wording = (json.loads((folder / "prompts.json").read_text(encoding="utf-8")) for folder in (adapters, tmp_path))
    assert len({told["grounder"] for told in wording}) == 1
    [first] = [record for record in lines_of(tmp_path / "grounder" / "losses.jsonl") if "loss" in record]
    last = lines_of(adapters / "grounder" / "losses.jsonl")
    assert first["lm"] < 0.5 * next(record["lm"] for record in last if "lm" in record)


def test_full_copies_are_gone_on_with_as_copies(
    adapters: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copies = tmp_path / "copies"
    more = ("--init", str(adapters), "--new-tokens", "full", "--max-steps", "1", "--report-to", "none")
    assert grounder.main(arguments(data, copies, *more)) == 0
    more = ("--init", str(copies), "--max-steps", "1", "--learning-rate", "1e-12", "--report-to", "none")
    assert grounder.main(arguments(data, tmp_path / "on", *more)) == 0
    assert "the adapter to start from brings copies" in capfd.readouterr().err
    torch.testing.assert_close(state_of(tmp_path / "on")["embed"], state_of(copies)["embed"], rtol=0, atol=1e-6)


def test_another_rank_than_that_of_the_start_is_refused_with_the_right_one(
    adapters: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert grounder.main(arguments(data, tmp_path, "--init", str(adapters), "--lora-rank", "8")) == 2
    assert "say --lora-rank 4" in capfd.readouterr().err.strip().splitlines()[-1]


# Broken videos


@pytest.fixture
def damaged(data: Path, tmp_path: Path) -> Path:
    """The examples, one of four films no video."""
    folder = Path(shutil.copytree(data.parent, tmp_path / "films"))
    (folder / "film2.mp4").write_bytes(b"no video at all")
    return folder / data.name


def test_a_broken_video_is_reported_counted_and_skipped(
    damaged: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    more = ("--max-broken", "0.3", "--max-steps", "1", "--report-to", "none")
    assert grounder.main(arguments(damaged, out, *more)) == 0
    assert "film2.mp4" in capfd.readouterr().err
    counted = summary_of(out)["data"]["train"]
    assert (counted["examples"], counted["used"], counted["broken_videos"]) == (8, 6, 1)
    assert counted["skipped"] == {"broken video": 2}
    assert "film2.mp4" in counted["broken"][0]
    card = (out / "grounder" / "README.md").read_text(encoding="utf-8")
    assert "videos that could not be read: 1" in card
    assert "left out 2 for: broken video" in card


def test_too_many_broken_videos_stop_with_one_line(
    damaged: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert grounder.main(arguments(damaged, tmp_path / "out", "--max-broken", "0.2")) == 2
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert "1 of 4 videos cannot be read, more than --max-broken 0.2 allows" in line
    assert not (tmp_path / "out" / "grounder").exists()


@pytest.mark.parametrize(("share", "code"), [("0.3", 0), ("0.2", 2)])
def test_a_video_that_breaks_while_it_is_learned_is_replaced_and_counted(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    share: str,
    code: int,
) -> None:
    read = dataset.read_clip

    def fails(key: Any) -> Any:
        if key.path.endswith("film1.mp4"):
            raise VideoError(f"{key.path}: frame 3 cannot be decoded")
        return read(key)

    monkeypatch.setattr(dataset, "read_clip", fails)
    more = ("--max-broken", share, "--max-steps", "2", "--report-to", "none")
    assert grounder.main(arguments(data, tmp_path, *more)) == code
    told = capfd.readouterr().err
    assert told.count("broken video, replaced") == 1
    if code:
        assert "1 of 4 videos cannot be decoded" in told.strip().splitlines()[-1]
        return
    counted = summary_of(tmp_path)["data"]["train"]
    assert counted["broken_videos"] == 1
    assert "frame 3 cannot be decoded" in counted["broken"][0]
    card = (tmp_path / "grounder" / "README.md").read_text(encoding="utf-8")
    assert "videos that could not be read: 1" in card
