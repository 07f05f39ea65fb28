"""Loading: layouts that must work, and one clear line for each that cannot."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.loading import choose_placement
from adapters.qwen2vl import Qwen2VL
from adapters.store import current_name, read_adapter_folder, read_base_tensor, resolve
from eval.random_checkpoint import SIZES, write
from roles.errors import CheckpointError, InputError

from .test_export import NEW_IDS, TEXT, drawn, make_adapter, our_logits, put

ORACLE = Path(__file__).parent / "data" / "oracle"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the recorded checkpoint that a test may break: base/ and videomind/."""
    for name in ("base", "videomind"):
        shutil.copytree(ORACLE / name, tmp_path / name)
    return tmp_path


def load(folder: Path, **choices: Any) -> Qwen2VL:
    return Qwen2VL.load(None, str(folder / "videomind"), device="cpu", dtype="float32", **choices)


def test_the_base_is_held_once_and_adapters_beside_it(folder: Path) -> None:
    model = load(folder)
    about = model.describe()
    base = sum(tensor.numel() for tensor in load_file(folder / "base" / "model.safetensors").values())
    files = [
        *(folder / "videomind").glob("*/adapter_model.safetensors"),
        folder / "videomind/pytorch_model.safetensors",
    ]
    adapters = sum(tensor.numel() for file in files for tensor in load_file(file).values())
    assert about["base_bytes"] == 4 * base
    assert about["adapter_bytes"] == 4 * adapters
    assert about["roles"] == ["grounder", "planner", "verifier"]
    assert (about["attention"], about["dtype"], about["device"]) == ("sdpa", "float32", "cpu")
    assert model.notes == []


@pytest.mark.parametrize("tied", [True, False])
def test_other_shapes_load_and_run(tmp_path: Path, tied: bool, small_video: Any) -> None:
    size = replace(SIZES["tiny"], hidden=96, heads=6, kv_heads=3, layers=3, tied=tied, vision_width=32)
    write(size, tmp_path / "made", "cpu")
    model = Qwen2VL.load(None, str(tmp_path / "made" / "adapters"), device="cpu", dtype="float32")
    assert model.describe()["roles"] == ["answerer", "grounder", "planner", "verifier"]
    assert _ask_all(model, small_video)


def test_a_vocabulary_without_room_takes_the_adapters_own_rows(tmp_path: Path, small_video: Any) -> None:
    write(replace(SIZES["tiny"], vocabulary=9614), tmp_path / "made", "cpu", adapter_vocabulary=9617)
    model = Qwen2VL.load(None, str(tmp_path / "made" / "adapters"), device="cpu", dtype="float32")
    assert _ask_all(model, small_video)


def test_a_vocabulary_without_room_and_without_own_rows_is_refused(tmp_path: Path) -> None:
    write(replace(SIZES["tiny"], vocabulary=9614), tmp_path / "made", "cpu")
    with pytest.raises(CheckpointError, match=r"adapter grounder: nothing embeds <\|reg\|>, .*9614 rows"):
        Qwen2VL.load(None, str(tmp_path / "made" / "adapters"), device="cpu", dtype="float32")


def test_names_of_both_nestings_are_understood(folder: Path) -> None:
    old = load_file(folder / "base" / "model.safetensors")
    save_file({current_name(k): v for k, v in old.items()}, folder / "base" / "model.safetensors", {"format": "pt"})
    assert load(folder).describe()["base_bytes"]


def test_a_base_runs_without_adapters() -> None:
    model = Qwen2VL.load(str(ORACLE / "base"), None, device="cpu", dtype="float32")
    assert not any(model.has(role) for role in ("planner", "grounder", "verifier", "answerer"))
    assert model.prompts.source == "mindreel"


def test_missing_wrong_and_unexpected_tensors_of_the_base_are_all_named(folder: Path) -> None:
    file = folder / "base" / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.norm.weight"]
    tensors["model.layers.0.mlp.down_proj.weight"] = torch.zeros(3, 4)
    tensors["model.layers.9.mlp.up_proj.weight"] = torch.zeros(2)
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    message = str(caught.value)
    assert "1 missing: model.language_model.norm.weight [128]" in message
    assert "model.language_model.layers.0.mlp.down_proj.weight has [3, 4], expected [128, 256]" in message
    assert "1 unexpected: model.language_model.layers.9.mlp.up_proj.weight [2]" in message
    assert "\n" not in message


def test_missing_tensors_of_an_adapter_are_named_with_their_shapes(folder: Path) -> None:
    file = folder / "videomind" / "planner" / "adapter_model.safetensors"
    tensors = load_file(file)
    del tensors["base_model.model.model.layers.2.self_attn.q_proj.lora_B.weight"]
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"planner.*1 missing: .*layers.2.self_attn.q_proj.lora_B.weight \[128,"):
        load(folder)


def test_an_adapter_of_another_base_is_refused(folder: Path) -> None:
    config = json.loads((folder / "videomind/planner/adapter_config.json").read_text())
    (folder / "videomind/planner/adapter_config.json").write_text(json.dumps(config | {"r": 4}))
    with pytest.raises(CheckpointError, match=r"lora_A.weight has \[8, 128\], expected \[4, 128\]"):
        load(folder)


def test_a_head_that_does_not_fit_is_refused(folder: Path) -> None:
    file = folder / "videomind" / "pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["base_model.model.coef.scale"]
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"1 missing: coef.scale \[4\]"):
        load(folder)


def _break(folder: Path, what: str) -> None:
    base, adapters = folder / "base", folder / "videomind"
    match what:
        case "pickle base":
            (base / "model.safetensors").rename(base / "pytorch_model.bin")
        case "pickle adapter":
            (adapters / "planner/adapter_model.safetensors").rename(adapters / "planner/adapter_model.bin")
        case "pickle in disguise":
            torch.save({"a": torch.zeros(1)}, adapters / "planner/adapter_model.safetensors")
        case "broken config":
            (base / "config.json").write_text('{"model_type": "qwen2_vl", ')
        case "config of nonsense":
            config = json.loads((base / "config.json").read_text())
            (base / "config.json").write_text(json.dumps(config | {"num_attention_heads": 0}))
        case "another model":
            (base / "config.json").write_text('{"model_type": "llama"}')
        case "broken adapter config":
            (adapters / "planner/adapter_config.json").write_text("[]")
        case "no LoRA":
            (adapters / "planner/adapter_config.json").write_text('{"peft_type": "IA3"}')
        case "dora":
            text = '{"peft_type": "LORA", "r": 8, "lora_alpha": 8, "use_dora": true}'
            (adapters / "planner/adapter_config.json").write_text(text)
        case "no rank":
            (adapters / "planner/adapter_config.json").write_text('{"peft_type": "LORA"}')
        case "no head":
            (adapters / "pytorch_model.safetensors").unlink()
        case "no prompts":
            (adapters / "prompts.json").unlink()
        case "bad prompts":
            (adapters / "prompts.json").write_text('{"planner": "{question}", "grounder": "no field"}')
        case "no base":
            shutil.rmtree(base)
        case "no roles":
            for role in ("planner", "grounder", "verifier"):
                shutil.rmtree(adapters / role)
        case "truncated":
            data = (base / "model.safetensors").read_bytes()
            (base / "model.safetensors").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("pickle base", "has pickle weights only.*convert them to safetensors"),
        ("pickle adapter", "planner: has pickle weights only"),
        ("pickle in disguise", "cannot be read as safetensors"),
        ("broken config", "config.json: cannot be read as JSON"),
        ("config of nonsense", "config.json: no usable Qwen2-VL config"),
        ("another model", "model_type is 'llama'; the base must be a qwen2_vl model"),
        ("broken adapter config", "expected a JSON object, got list"),
        ("no LoRA", "peft_type is 'IA3'; only LORA"),
        ("dora", "use_dora is set"),
        ("no rank", "lacks a rank r and a lora_alpha"),
        ("no head", "the grounder's head pytorch_model.safetensors is missing"),
        ("no prompts", "python -m adapters.import_videomind .* --constants"),
        ("bad prompts", "missing prompt verifier, grounder_reply"),
        ("no base", "its base model 'base' is not there; give it with --model"),
        ("no roles", "no folder planner, grounder, verifier, answerer in it"),
        ("truncated", "cannot be read as safetensors"),
    ],
)
def test_a_broken_checkpoint_is_one_clear_line(
    folder: Path, what: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "videomind")
    _break(folder, what)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_own_wording_serves_a_folder_without_prompts(folder: Path) -> None:
    (folder / "videomind" / "prompts.json").unlink()
    model = load(folder, prompts="own")
    assert model.prompts.source == "mindreel"
    assert "brings no prompts: it is asked in Mindreel's wording" in model.notes[0]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        resolve(str(tmp_path / "nowhere"), "base model")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="is a file; expected a checkpoint folder"):
        resolve(str(tmp_path / "file"), "adapters")


def test_a_hub_id_that_cannot_be_had_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> str:
        raise OSError("no route to the hub\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(CheckpointError, match=r"'owner/name': no such folder, .*no route to the hub\)"):
        resolve("owner/name", "adapters")


def test_a_hub_id_is_downloaded_without_pickles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def serve(name: str, **kwargs: Any) -> str:
        asked.update(kwargs, name=name)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", serve)
    assert resolve("owner/name", "adapters") == tmp_path
    assert asked["name"] == "owner/name"
    assert not any(".bin" in pattern for pattern in asked["allow_patterns"])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"device": "tpu9"}, "device 'tpu9' is unknown"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not here"),
        ({"dtype": "int3"}, "dtype 'int3' is unknown"),
        ({"attn": "magic"}, "attention 'magic' is unknown"),
        ({"device": "cpu", "attn": "flash_attention_2"}, "flash-attn needs a GPU"),
    ],
)
def test_a_choice_that_cannot_be_had_is_named(choice: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_placement(**({"device": "auto", "dtype": "auto", "attn": "auto"} | choice))


def test_attention_is_never_eager_by_accident() -> None:
    placement = choose_placement("cpu", "auto", "auto")
    assert placement.attn == "sdpa"
    assert "needs a GPU" in placement.attn_reason
    assert choose_placement("cpu", "float32", "eager").attn == "eager"


def test_an_adapters_folder_need_not_hold_every_role(folder: Path) -> None:
    shutil.rmtree(folder / "videomind" / "verifier")
    found = read_adapter_folder(str(folder / "videomind"))
    assert list(found.roles) == ["planner", "grounder"]
    assert not load(folder).has("verifier")


def _ask_all(model: Qwen2VL, file: Any) -> bool:
    from agent import Agent

    model.forced_replies["planner"] = [model.tokens.id("<|im_end|>")]
    reply = model.tokens.encode(model.prompts.get("grounder", "reply").fill().parts)
    model.forced_replies["grounder"] = [*reply, model.tokens.id("<|im_end|>")]
    model.forced_replies["answerer"] = [13, 13]
    result = Agent(model).ask(model.watch(file), "Who is there?")
    statuses = {step.call.role: step.status for step in result.steps}
    assert statuses == {"planner": "fallback", "grounder": "ok", "verifier": "ok", "answerer": "ok"}
    return all(moment.p_yes is not None for moment in result.moments)


@pytest.mark.parametrize(
    ("dtype", "capability", "installed", "attention", "reason"),
    [
        ("auto", (9, 0), True, "flash_attention_2", "installed and usable here"),
        ("float32", (9, 0), True, "sdpa", "needs float16 or bfloat16"),
        ("bfloat16", (7, 5), True, "sdpa", "needs an Ampere GPU"),
        ("bfloat16", (9, 0), False, "sdpa", "not installed"),
    ],
)
def test_flash_attention_is_taken_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch,
    dtype: str,
    capability: tuple[int, int],
    installed: bool,
    attention: str,
    reason: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object() if installed else None)
    placement = choose_placement("cuda:0", dtype, "auto")
    assert placement.attn == attention
    assert reason in placement.attn_reason


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("base/preprocessor_config.json", {"image_mean": "x"}, "image_mean is 'x'; expected three numbers"),
        ("base/preprocessor_config.json", {"image_mean": [0.5]}, "image_mean is .*expected three numbers"),
        ("base/preprocessor_config.json", {"image_std": [0.5, 0, 0.5]}, "image_std is .*expected three numbers"),
        ("base/generation_config.json", {"eos_token_id": "x"}, "eos_token_id is 'x'; expected a token id"),
        ("base/generation_config.json", {"eos_token_id": []}, "eos_token_id is .*expected a token id"),
        ("videomind/planner/adapter_config.json", {"r": True}, "lacks a rank r and a lora_alpha"),
        ("videomind/planner/adapter_config.json", {"lora_alpha": float("nan")}, "lacks a rank r and a lora_alpha"),
    ],
)
def test_a_config_that_would_give_nonsense_is_refused(
    folder: Path, file: str, change: dict[str, Any], message: str
) -> None:
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=message):
        load(folder)


def test_a_base_that_states_no_end_tokens_stops_at_the_usual_ones(folder: Path) -> None:
    (folder / "base" / "generation_config.json").write_text('{"eos_token_id": null}')
    model = load(folder)
    assert model._stop_ids == {model.tokens.id("<|im_end|>"), model.tokens.id("<|endoftext|>")}


def test_a_home_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        resolve("~nobody-of-that-name/x", "base model")
    with pytest.raises(CheckpointError, match="no such folder"):
        resolve("", "adapters")


def test_an_adapter_may_bring_one_half_of_a_vocabulary(folder: Path) -> None:
    file = folder / "videomind" / "verifier" / "adapter_model.safetensors"
    tensors = load_file(file)
    del tensors["base_model.model.lm_head.weight"]
    save_file(tensors, file)
    model = load(folder)
    own = tensors["base_model.model.model.embed_tokens.weight"].float()
    assert torch.equal(model._roles["verifier"].embed, own)
    assert model._roles["verifier"].head is model._base_vocabulary.head


def test_ranks_and_scales_that_differ_by_module_are_honoured(folder: Path) -> None:
    place = folder / "videomind" / "planner"
    name = "model.layers.1.self_attn.v_proj"
    tensors = load_file(place / "adapter_model.safetensors")
    for side, cut in (("lora_A", (slice(4), slice(None))), ("lora_B", (slice(None), slice(4)))):
        key = f"base_model.model.{name}.{side}.weight"
        tensors[key] = tensors[key][cut].contiguous()
    save_file(tensors, place / "adapter_model.safetensors")
    config = json.loads((place / "adapter_config.json").read_text())
    patterns = {"rank_pattern": {name: 4}, "alpha_pattern": {name: 2}}
    (place / "adapter_config.json").write_text(json.dumps(config | patterns))
    layers = dict(load(folder)._model.named_modules())
    odd = layers["model.language_model.layers.1.self_attn.v_proj"]
    plain = layers["model.language_model.layers.2.self_attn.v_proj"]
    assert (odd.lora_A["planner"].weight.shape[0], odd.scaling["planner"]) == (4, 0.5)
    assert (plain.lora_A["planner"].weight.shape[0], plain.scaling["planner"]) == (8, 1.0)


# Single rows of the vocabulary (PEFT's trainable token indices)

EMBED_ROWS = "base_model.model.model.language_model.embed_tokens.token_adapter.trainable_tokens_delta"
HEAD_ROWS = "base_model.model.lm_head.token_adapter.trainable_tokens_delta"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A verifier with three rows of its own over an untied base: out/verifier."""
    write(replace(SIZES["tiny"], hidden=64, heads=4, tied=False), tmp_path / "made", "cpu")
    base = tmp_path / "made" / "base"
    put(tmp_path / "out", make_adapter(base, "verifier"), base)
    return tmp_path / "out"


def rewrite(folder: Path, config: dict[str, Any] | None = None, tensors: dict[str, Any] | None = None) -> Qwen2VL:
    """Loads a folder after a change; a tensor that is None is dropped."""
    place = folder / "verifier"
    stated = json.loads((place / "adapter_config.json").read_text())
    (place / "adapter_config.json").write_text(json.dumps(stated | (config or {})))
    stored = load_file(place / "adapter_model.safetensors") | (tensors or {})
    save_file({k: v for k, v in stored.items() if v is not None}, place / "adapter_model.safetensors")
    return Qwen2VL.load(None, str(folder), device="cpu", dtype="float32")


@pytest.mark.parametrize("tied", [True, False])
def test_rows_embed_tokens_beyond_the_base(tmp_path: Path, tied: bool, small_video: Any) -> None:
    write(replace(SIZES["tiny"], hidden=64, heads=4, vocabulary=9614, tied=tied), tmp_path / "made", "cpu")
    base = tmp_path / "made" / "base"
    for role in ("planner", "grounder", "verifier", "answerer"):
        adapter = make_adapter(base, role, "rows" if role in ("grounder", "verifier") else "none")
        put(tmp_path / "out", adapter, base)
    model = Qwen2VL.load(None, str(tmp_path / "out"), device="cpu", dtype="float32")
    assert our_logits(model, "grounder").shape == (len(TEXT), 9617)
    assert _ask_all(model, small_video)


def test_rows_cost_no_copy_of_the_vocabulary(rows: Path) -> None:
    model = rewrite(rows)
    own, base = model._roles["verifier"], model._base_vocabulary
    assert own.embed is base.embed
    assert own.head is base.head
    assert own.row_ids is not None
    assert own.row_ids.tolist() == list(NEW_IDS)
    assert [tuple(t.shape) for t in (own.embed_rows, own.head_rows) if t is not None] == [(3, 64), (3, 64)]


def test_a_plain_list_of_ids_means_the_embeddings(rows: Path) -> None:
    model = rewrite(rows, {"trainable_token_indices": list(NEW_IDS)}, {HEAD_ROWS: None})
    own = model._roles["verifier"]
    assert own.embed_rows is not None
    assert own.head_rows is None


def test_rows_of_other_ids_in_each_half_are_filled_up_from_the_base(rows: Path) -> None:
    before = our_logits(rewrite(rows), "verifier")
    extra = drawn(1, 64, seed=77)
    head = torch.cat((load_file(rows / "verifier/adapter_model.safetensors")[HEAD_ROWS], extra))
    stated = {"embed_tokens": list(NEW_IDS), "lm_head": [*NEW_IDS, 7]}
    after = our_logits(rewrite(rows, {"trainable_token_indices": stated}, {HEAD_ROWS: head}), "verifier")
    others = [i for i in range(9728) if i != 7]
    torch.testing.assert_close(after[:, others], before[:, others], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(after[:, 7], before[:, 7], atol=1e-3)


def test_rows_under_the_names_of_the_old_nesting_are_understood(rows: Path) -> None:
    before = our_logits(rewrite(rows), "verifier")
    stored = load_file(rows / "verifier/adapter_model.safetensors")
    changed = dict.fromkeys(stored) | {k.replace("language_model.", ""): v for k, v in stored.items()}
    assert torch.equal(our_logits(rewrite(rows, tensors=changed), "verifier"), before)


@pytest.mark.parametrize("stated", ["all-linear", r".*self_attn\.[qkvo]_proj", ["q_proj"], None])
def test_layers_are_known_by_their_tensors_however_they_are_named(rows: Path, stated: Any) -> None:
    before = our_logits(rewrite(rows), "verifier")
    assert torch.equal(our_logits(rewrite(rows, {"target_modules": stated}), "verifier"), before)


def test_a_tied_copy_follows_where_peft_says_so(tmp_path: Path) -> None:
    write(replace(SIZES["tiny"], hidden=64, heads=4), tmp_path / "made", "cpu")
    base = tmp_path / "made" / "base"
    put(tmp_path / "out", replace(make_adapter(base, "verifier", "full"), head=None), base)
    apart = rewrite(tmp_path / "out")._roles["verifier"]
    assert torch.equal(apart.head, read_base_tensor(base, "model.language_model.embed_tokens.weight").float())
    together = rewrite(tmp_path / "out", {"ensure_weight_tying": True})._roles["verifier"]
    assert together.head is together.embed


@pytest.mark.parametrize(
    ("config", "tensors", "message"),
    [
        ({}, {HEAD_ROWS: None}, r"1 missing: lm_head.token_adapter.trainable_tokens_delta \[3, 64\]"),
        ({}, {EMBED_ROWS: torch.zeros(2, 64)}, r"trainable_tokens_delta has \[2, 64\], expected \[3, 64\]"),
        ({}, {EMBED_ROWS: torch.zeros(3, 63)}, r"trainable_tokens_delta has \[3, 63\], expected \[3, 64\]"),
        ({"trainable_token_indices": None}, {}, "adapter_config.json states no trainable_token_indices for it"),
        ({"trainable_token_indices": {"embed_tokens": [1, 1, 2]}}, {}, r"is \[1, 1, 2\]; expected different ids"),
        ({"trainable_token_indices": {"embed_tokens": [1, -2, 2]}}, {}, r"is \[1, -2, 2\]; expected different ids"),
        ({"trainable_token_indices": {"embed_tokens": [1, True, 2]}}, {}, "expected different ids"),
        ({"trainable_token_indices": {"embed_tokens": "abc"}}, {}, "of embed_tokens is 'abc'; expected different ids"),
        ({"trainable_token_indices": 5}, {}, "of embed_tokens is 5; expected different ids"),
        ({"trainable_token_indices": {"patch_embed": [1]}}, {}, "names 'patch_embed'; expected some of embed_tokens"),
        ({}, {EMBED_ROWS.replace("token_adapter.trainable_tokens_delta", "weight"): torch.zeros(9, 64)}, "holds both"),
        (
            {"trainable_token_indices": {"embed_tokens": [9614, 9615, 99999], "lm_head": [9614, 9615, 99999]}},
            {},
            "adapter verifier: embeds the ids 99999, and the tokenizer .* knows 9617",
        ),
        (
            {"trainable_token_indices": {"embed_tokens": [9614, 9615, 9616], "lm_head": [9614, 9615, 9730]}},
            {},
            "embeddings: no row for the token 9730; the base has 9728 rows",
        ),
        ({"alora_invocation_tokens": [1]}, {}, "alora_invocation_tokens is set; only plain LoRA"),
    ],
)
def test_rows_that_cannot_be_used_are_one_clear_line(
    rows: Path, config: dict[str, Any], tensors: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        rewrite(rows, config, tensors)
    assert "\n" not in str(caught.value)
