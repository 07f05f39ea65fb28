"""Writing adapters: they load in PEFT and in our own model with the same numbers, or nothing is touched."""

from __future__ import annotations

import json
import resource
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from adapters.convert import convert
from adapters.export import LAYOUTS, TrainedAdapter, base_reference, tokens_with_new, write_adapter
from adapters.heads.timestamp import TimestampHead
from adapters.qwen2vl import Qwen2VL
from adapters.staging import new_file, new_folder
from adapters.store import EMBED, FILMS_FILE, HEAD, base_of, read_adapter_folder, read_base_shapes, read_base_tensor
from adapters.tokens import NEW_TOKENS, Tokens
from adapters.trained import is_tied_base, read_trained
from eval.random_checkpoint import SIZES, write
from prompts import FILE_KEYS, PromptBook, own_prompts
from roles.errors import CheckpointError
from roles.manner import MANNER_FILE, Manner, read_manner
from roles.types import Budget

ORACLE = Path(__file__).parent / "data" / "oracle"
BASE = ORACLE / "base"
NEW_IDS = (9614, 9615, 9616)
TEXT = torch.tensor([9601, 17, 300, 9614, 44, 9615, 1200, 9616, 9602, 5])
LIMITS = {"atol": 1e-4, "rtol": 1e-4}
EQUAL = {"atol": 1e-5, "rtol": 1e-5}
"""Rows beside the base's matrix and rows in a copy of it are multiplied in another order."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A tied and an untied base, in bfloat16, which differ in nothing else."""
    place = tmp_path_factory.mktemp("bases")
    for tied in (True, False):
        write(replace(SIZES["tiny"], hidden=64, heads=4, tied=tied), place / str(tied), "cpu")
    return {tied: place / str(tied) / "base" for tied in (True, False)}


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).mul(0.2).to(dtype)


def make_adapter(base: Path, role: str = "grounder", new_tokens: str = "rows", seed: int = 1) -> TrainedAdapter:
    """An adapter as training gives it, with weights large enough to matter."""
    shapes = read_base_shapes(base)
    tied, hidden = HEAD not in shapes, shapes[EMBED][1]
    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    layers = [name for name in shapes if name.endswith(tuple(f"self_attn.{target}.weight" for target in names))]
    lora: dict[str, Tensor] = {}
    for i, name in enumerate(sorted(layers)):
        module = name.removesuffix(".weight")
        lora[f"{module}.lora_A.weight"] = drawn(4, shapes[name][1], seed=seed + i)
        lora[f"{module}.lora_B.weight"] = drawn(shapes[name][0], 4, seed=seed + i + 100)
    embed = head = None
    if new_tokens == "rows":
        embed, head = drawn(3, hidden, seed=seed + 200), None if tied else drawn(3, hidden, seed=seed + 201)
    elif new_tokens == "full":
        copies = [read_base_tensor(base, EMBED if tied else name).float() for name in (EMBED, HEAD)]
        embed, head = (copy + drawn(*copy.shape, seed=seed + 200 + i) for i, copy in enumerate(copies))
    torch.manual_seed(seed)
    return TrainedAdapter(
        role=role,
        lora=lora,
        rank=4,
        alpha=8.0,
        dropout=0.1,
        targets=names,
        token_ids=NEW_IDS if new_tokens == "rows" else (),
        embed=embed,
        head=head,
        timestamp_head=TimestampHead(hidden).state_dict() if role == "grounder" else None,
    )


def put(out: Path, adapter: TrainedAdapter, base: Path, layout: str = "peft", **more: Any) -> Path:
    choices: dict[str, Any] = {"base_name": str(base), "prompts": own_prompts(), "tokens_from": base} | more
    return write_adapter(out, adapter, base=base, layout=layout, **choices)


def load(out: Path) -> Qwen2VL:
    return Qwen2VL.load(None, str(out), device="cpu", dtype="float32")


def our_logits(model: Qwen2VL, role: str, ids: Tensor = TEXT) -> Tensor:
    """Logits of a text without a video, [L, V]."""
    with model._working(role):
        vocabulary = model._vocabulary(role if model.has(role) else None)
        positions = torch.arange(len(ids)).expand(3, 1, -1)
        states = model._language_model.forward(vocabulary.embedded(ids)[None], positions)
        return vocabulary.logits(model._language_model.normalise(states[0]))


def our_generation(model: Qwen2VL, role: str, ids: Tensor = TEXT) -> list[int]:
    with model._working(role):
        vocabulary = model._vocabulary(role)
        positions = torch.arange(len(ids)).expand(3, -1)
        return model._language_model.generate(vocabulary.embedded(ids), positions, vocabulary, (), 12).ids


def peft_logits(base: Path, folder: Path, ids: Tensor = TEXT) -> Tensor:
    """Logits of transformers and PEFT alone; fails where they miss or do not know a tensor."""
    from peft import PeftModel
    from transformers import Qwen2VLForConditionalGeneration

    model = Qwen2VLForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        adapted = PeftModel.from_pretrained(model, folder).eval()
    # PEFT's advice to tie what a tied base's adapter trained apart, as VideoMind does, is no concern here.
    told = [str(one.message) for one in caught if "ensure_weight_tying" not in str(one.message)]
    assert [text for text in told if "key" in text or "tied" in text or "missing" in text] == []
    with torch.inference_mode():
        return adapted(input_ids=ids[None]).logits[0]


# What PEFT makes of it


@pytest.mark.parametrize("new_tokens", ["rows", "full", "none"])
@pytest.mark.parametrize("tied", [True, False])
def test_peft_gives_the_logits_of_our_own_model(
    tmp_path: Path, bases: dict[bool, Path], tied: bool, new_tokens: str
) -> None:
    adapter = make_adapter(bases[tied], new_tokens=new_tokens)
    folder = put(tmp_path / "out", adapter, bases[tied])
    ours = our_logits(load(tmp_path / "out"), "grounder")
    torch.testing.assert_close(peft_logits(bases[tied], folder), ours, **LIMITS)
    # The comparison means something: without the adapter the numbers are others.
    plain = Qwen2VL.load(str(bases[tied]), None, device="cpu", dtype="float32")
    assert not torch.allclose(our_logits(plain, "grounder"), ours, atol=0.01)


def test_rows_are_stored_as_rows_and_a_tied_base_stores_them_once(tmp_path: Path, bases: dict[bool, Path]) -> None:
    found = {}
    for tied in (True, False):
        folder = put(tmp_path / str(tied), make_adapter(bases[tied]), bases[tied])
        tensors = load_file(folder / "adapter_model.safetensors")
        found[tied] = {name: tuple(t.shape) for name, t in tensors.items() if ".lora_" not in name}
        indices = json.loads((folder / "adapter_config.json").read_text())["trainable_token_indices"]
        assert indices == {name: list(NEW_IDS) for name in ("embed_tokens", "lm_head")[: 1 if tied else 2]}
    embed = "base_model.model.model.language_model.embed_tokens.token_adapter.trainable_tokens_delta"
    assert found[True] == {embed: (3, 64)}
    assert found[False] == {embed: (3, 64), "base_model.model.lm_head.token_adapter.trainable_tokens_delta": (3, 64)}


def test_short_names_stand_only_where_they_mean_the_adapted_layers(tmp_path: Path, bases: dict[bool, Path]) -> None:
    adapter = make_adapter(bases[True], role="planner", new_tokens="none")
    folder = put(tmp_path / "all", adapter, bases[True])
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["target_modules"] == ["k_proj", "o_proj", "q_proj", "v_proj"]
    fewer = {name: tensor for name, tensor in adapter.lora.items() if ".layers.0." in name}
    folder = put(tmp_path / "fewer", replace(adapter, lora=fewer), bases[True])
    config = json.loads((folder / "adapter_config.json").read_text())
    assert all(name.startswith("model.language_model.layers.0.self_attn.") for name in config["target_modules"])
    ours = our_logits(load(tmp_path / "fewer"), "planner")
    torch.testing.assert_close(peft_logits(bases[True], folder), ours, **LIMITS)


def test_ranks_and_scales_that_differ_by_module_survive_both_layouts(tmp_path: Path, bases: dict[bool, Path]) -> None:
    name = "model.language_model.layers.1.self_attn.v_proj"
    adapter = make_adapter(bases[True], role="planner", new_tokens="none")
    lora = dict(adapter.lora)
    lora[f"{name}.lora_A.weight"] = lora[f"{name}.lora_A.weight"][:2]
    lora[f"{name}.lora_B.weight"] = lora[f"{name}.lora_B.weight"][:, :2]
    odd = replace(adapter, lora=lora, rank_pattern={name: 2}, alpha_pattern={name: 6.0}, rslora=True)
    folders = {layout: put(tmp_path / layout, odd, bases[True], layout) for layout in LAYOUTS}
    peft, videomind = (our_logits(load(tmp_path / layout), "planner") for layout in LAYOUTS)
    assert torch.equal(peft, videomind)
    torch.testing.assert_close(peft_logits(bases[True], folders["peft"]), peft, **LIMITS)


# Both layouts


@pytest.mark.parametrize("tied", [True, False])
def test_both_layouts_are_the_same_model(tmp_path: Path, bases: dict[bool, Path], tied: bool, small_video: Any) -> None:
    from agent import Agent

    base = bases[tied]
    models = []
    for layout in LAYOUTS:
        out = tmp_path / layout
        for role in ("planner", "grounder", "verifier", "answerer"):
            rows = "rows" if role in ("grounder", "verifier") else "none"
            put(out, make_adapter(base, role, rows, seed=len(role)), base, layout)
        models.append(load(out))
    peft, videomind = models
    for role in ("planner", "grounder", "verifier", "answerer"):
        torch.testing.assert_close(our_logits(peft, role), our_logits(videomind, role), **EQUAL)
        assert our_generation(peft, role) == our_generation(videomind, role)
    rows_bytes = 4 * 64 * 3 * (1 if tied else 2) * 2
    lora = sum(t.numel() for role in ("planner", "verifier") for t in make_adapter(base, role, "none").lora.values())
    head = sum(t.numel() for t in TimestampHead(64).state_dict().values())
    assert peft.describe()["adapter_bytes"] == rows_bytes + 4 * (2 * lora + head)
    answers = []
    for model in models:
        reply = model.tokens.encode(model.prompts.get("grounder", "reply").fill().parts)
        model.forced_replies |= {"grounder": [*reply, model.tokens.id("<|im_end|>")], "planner": [1], "answerer": [5]}
        answers.append(Agent(model).ask(model.watch(small_video), "Who is there?").moments)
    numbers = [[(m.span.start_s, m.span.end_s, m.confidence, m.p_yes, m.p_no) for m in found] for found in answers]
    assert len(numbers[0]) == 5
    for one, other in zip(*numbers, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("new_tokens", ["rows", "full", "none"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_peft_to_videomind_and_back_is_exact(
    tmp_path: Path, bases: dict[bool, Path], tied: bool, new_tokens: str, dtype: torch.dtype
) -> None:
    base = bases[tied]
    first = make_adapter(base, new_tokens=new_tokens)
    first = replace(
        first,
        lora={name: tensor.to(dtype) for name, tensor in first.lora.items()},
        embed=None if first.embed is None else first.embed.to(dtype),
        head=None if first.head is None else first.head.to(dtype),
    )
    put(tmp_path / "a", first, base)
    for source, target, layout in (("a", "b", "videomind"), ("b", "c", "peft")):
        folder = read_adapter_folder(str(tmp_path / source))
        put(tmp_path / target, read_trained(folder.roles["grounder"], folder.head, base), base, layout)
    for name in ("grounder/adapter_model.safetensors", "pytorch_model.safetensors"):
        before, after = load_file(tmp_path / "a" / name), load_file(tmp_path / "c" / name)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)
    configs = [json.loads((tmp_path / place / "grounder/adapter_config.json").read_text()) for place in "ac"]
    assert configs[0] == configs[1]
    assert (tmp_path / "a/prompts.json").read_bytes() == (tmp_path / "c/prompts.json").read_bytes()


def test_videominds_layout_has_the_names_and_keys_of_a_recorded_folder(tmp_path: Path, bases: dict[bool, Path]) -> None:
    out = tmp_path / "out"
    put(out, make_adapter(bases[True], "planner", "none"), bases[True], "videomind")
    assert json.loads((out / "config.json").read_text())["role"] == "planner"
    put(out, make_adapter(bases[True]), bases[True], "videomind")
    config = json.loads((out / "config.json").read_text())
    recorded = json.loads((ORACLE / "videomind/config.json").read_text())
    assert {key: config[key] for key in ("model_type", "role", "base_model", "conv_type")} == {
        key: recorded[key] for key in ("model_type", "role", "base_model", "conv_type")
    }
    assert [config[key] for key in ("reg_token_id", "seg_s_token_id", "seg_e_token_id")] == list(NEW_IDS)
    for role in ("planner", "grounder"):
        ours = json.loads((out / role / "adapter_config.json").read_text())
        theirs = json.loads((ORACLE / "videomind" / role / "adapter_config.json").read_text())
        assert ours.keys() == theirs.keys()
        assert ours["modules_to_save"] == theirs["modules_to_save"]
        pattern = r"model.layers.0.self_attn.k_proj"
        assert pattern in ours["target_modules"]
        names = load_file(out / role / "adapter_model.safetensors").keys()
        recorded_names = load_file(ORACLE / "videomind" / role / "adapter_model.safetensors").keys()
        assert names <= recorded_names
    assert load_file(out / "pytorch_model.safetensors").keys() == (
        load_file(ORACLE / "videomind/pytorch_model.safetensors").keys()
    )


def test_a_base_saved_by_current_transformers_gets_the_flat_config(tmp_path: Path, bases: dict[bool, Path]) -> None:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    base = tmp_path / "base"
    Qwen2VLForConditionalGeneration.from_pretrained(bases[False]).save_pretrained(base)
    shutil.copy(bases[False] / "tokenizer.json", base)
    assert "text_config" in json.loads((base / "config.json").read_text())
    put(tmp_path / "out", make_adapter(base), base, "videomind")
    config = json.loads((tmp_path / "out/config.json").read_text())
    old = json.loads((bases[False] / "config.json").read_text())
    for key in ("hidden_size", "num_hidden_layers", "vocab_size", "rope_theta", "rope_scaling", "torch_dtype"):
        assert config[key] == old[key], key
    assert not {"text_config", "rope_parameters", "dtype"} & config.keys()
    read_back = Qwen2VLConfig(**{key: value for key, value in config.items() if key != "model_type"})
    assert read_back.get_text_config().hidden_size == 64


# Rows and copies


def test_copies_that_depart_in_new_tokens_alone_become_rows(tmp_path: Path, bases: dict[bool, Path]) -> None:
    base = bases[False]
    rows = make_adapter(base)
    copies = rows.with_copies(base, tied=False)
    assert copies.embed is not None
    assert copies.embed.shape == (9728, 64)
    one = put(tmp_path / "rows", rows, base) / "adapter_model.safetensors"
    two = put(tmp_path / "copies", copies, base) / "adapter_model.safetensors"
    assert one.read_bytes() == two.read_bytes()
    kept = put(tmp_path / "kept", copies, base, compact=False)
    assert json.loads((kept / "adapter_config.json").read_text())["modules_to_save"] == ["embed_tokens", "lm_head"]
    # One other row differs in its last bit, and the copies stay.
    copies.embed[7, 3] = torch.nextafter(copies.embed[7, 3], torch.tensor(9.0))
    kept = put(tmp_path / "other", copies, base)
    assert json.loads((kept / "adapter_config.json").read_text())["trainable_token_indices"] is None


def test_a_tied_base_with_rows_of_two_kinds_keeps_copies(tmp_path: Path, bases: dict[bool, Path]) -> None:
    base = bases[True]
    adapter = replace(make_adapter(base), head=drawn(3, 64, seed=9))
    folder = put(tmp_path / "out", adapter, base)
    ours = our_logits(load(tmp_path / "out"), "grounder")
    torch.testing.assert_close(peft_logits(base, folder), ours, **LIMITS)
    tied = our_logits(load(put(tmp_path / "tied", make_adapter(base), base).parent), "grounder")
    assert not torch.allclose(ours[:, NEW_IDS], tied[:, NEW_IDS], atol=0.01)


def test_an_adapter_may_bring_one_half_of_a_vocabulary(tmp_path: Path, bases: dict[bool, Path]) -> None:
    for tied in (True, False):
        for new_tokens in ("rows", "full"):
            adapter = replace(make_adapter(bases[tied], new_tokens=new_tokens), head=None)
            logits = []
            for layout in LAYOUTS:
                out = tmp_path / f"{tied}-{new_tokens}-{layout}"
                folder = put(out, adapter, bases[tied], layout)
                logits.append(our_logits(load(out), "grounder"))
                if layout == "peft":
                    torch.testing.assert_close(peft_logits(bases[tied], folder), logits[0], **LIMITS)
            torch.testing.assert_close(*logits, **EQUAL)


@settings(max_examples=30, deadline=None)
@given(
    ids=st.lists(st.sampled_from([*NEW_IDS, 9727, 9728, 9730]), min_size=1, max_size=4, unique=True),
    tied=st.booleans(),
    half=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
def test_rows_become_copies_and_rows_again(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int], tied: bool, half: torch.dtype
) -> None:
    base = small_base(tmp_path_factory.getbasetemp() / f"small-{tied}", tied)
    rows = drawn(len(ids), 8, seed=len(ids)).add(1.0).to(half)
    adapter = TrainedAdapter("verifier", {}, 4, 8.0, 0.0, (), tuple(ids), rows, None if tied else rows * 2)
    copies = adapter.with_copies(base, tied)
    assert copies.embed is not None
    assert copies.head is not None
    assert copies.embed.shape[0] == max(9728, max(ids) + 1)
    back = copies.with_rows(base, tied, {*NEW_IDS, 9727, 9728, 9729, 9730})
    # Ids beyond the base come with the ids between, whose rows are zeros.
    assert set(back.token_ids) == {*ids, *range(9728, max(ids) + 1)}
    assert back.embed is not None
    at = {one: i for i, one in enumerate(back.token_ids)}
    for one, row in zip(ids, rows, strict=True):
        assert torch.equal(back.embed[at[one]], row.to(back.embed.dtype))
        assert tied or (back.head is not None and torch.equal(back.head[at[one]], row.to(back.head.dtype) * 2))


def small_base(folder: Path, tied: bool) -> Path:
    """The vocabulary of a base and nothing else."""
    if folder.exists():
        return folder
    folder.mkdir()
    names = {"model.embed_tokens.weight": 1, **({} if tied else {"lm_head.weight": 2})}
    tensors = {name: drawn(9728, 8, seed=seed, dtype=torch.bfloat16) for name, seed in names.items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_vl", "tie_word_embeddings": tied}))
    assert is_tied_base(folder) == tied
    return folder


# The base's name, and the tokenizer


def test_a_relative_base_is_found_from_anywhere(
    tmp_path: Path, bases: dict[bool, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bases[True], tmp_path / "models" / "base")
    monkeypatch.chdir(tmp_path)
    adapter = make_adapter(bases[True], "planner", "none")
    put(Path("runs/one"), adapter, Path("models/base"))
    stated = json.loads(Path("runs/one/config.json").read_text())["base_model_path"]
    assert stated == "../../models/base"
    monkeypatch.chdir("/")
    found = base_of(read_adapter_folder(str(tmp_path / "runs/one")))
    assert Path(found).resolve() == (tmp_path / "models/base").resolve()
    # Written again under another name of the same folder, it is the same base.
    put(tmp_path / "runs/one", adapter, tmp_path / "models/base")
    assert json.loads((tmp_path / "runs/one/config.json").read_text())["base_model_path"] == stated


def test_hub_ids_and_absolute_paths_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert base_reference("owner/name", tmp_path / "out") == "owner/name"
    assert base_reference(str(BASE), tmp_path / "out") == str(BASE)
    assert base_reference("~nobody-of-that-name/x", tmp_path) == "~nobody-of-that-name/x"
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert base_reference("owner/name", tmp_path / "a" / "b") == "../../owner/name"


def test_a_plain_tokenizer_gets_the_ids_that_videomind_got(tmp_path: Path) -> None:
    assert not Tokens(BASE).has_new_tokens
    out = tokens_with_new(BASE, tmp_path / "tokens")
    ours, recorded = Tokens(out), Tokens(ORACLE / "videomind")
    assert [ours.id(name) for name in NEW_TOKENS] == [recorded.id(name) for name in NEW_TOKENS] == list(NEW_IDS)
    text = own_prompts().get("verifier").fill(query="a <|reg|> b").parts
    assert ours.encode(text) == recorded.encode(text)
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(out)
    assert theirs("a<|seg_start|>b")["input_ids"] == [*theirs("a")["input_ids"], 9615, *theirs("b")["input_ids"]]
    again = tokens_with_new(out, tmp_path / "again")
    assert (again / "tokenizer.json").read_bytes() == (out / "tokenizer.json").read_bytes()
    assert (again / "tokenizer_config.json").read_bytes() == (out / "tokenizer_config.json").read_bytes()


def test_a_tokenizer_without_qwens_tokens_is_refused(tmp_path: Path) -> None:
    raw = json.loads((BASE / "tokenizer.json").read_text())
    raw["added_tokens"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match="is this a Qwen2-VL checkpoint"):
        tokens_with_new(tmp_path, tmp_path / "out")


# Several roles, and what goes wrong


def test_every_prompt_is_written_and_read_back(tmp_path: Path, bases: dict[bool, Path]) -> None:
    book = own_prompts().replaced("test", {"answerer_options": "Pick: {options} {{}}"})
    put(tmp_path / "out", make_adapter(bases[True], "answerer", "none"), bases[True], prompts=book)
    texts = json.loads((tmp_path / "out/prompts.json").read_text())
    assert texts.keys() == FILE_KEYS.keys()
    read = read_adapter_folder(str(tmp_path / "out")).prompts
    assert all(read.get(*section).source == book.get(*section).source for section in FILE_KEYS.values())


def other_words() -> PromptBook:
    return own_prompts().replaced("test", {"grounder": "Find: {query}"})


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("prompts", r"prompts.json: other prompts are there \(grounder\); .* name another folder"),
        ("base", "its adapters have the base .*, not .*; .* name another folder"),
        ("layout", "holds adapters in the layout peft, not videomind; name another folder, or .*adapters.convert"),
        ("tokenizer", "its adapters have another tokenizer than .*; .* name another folder"),
    ],
)
def test_a_role_that_does_not_go_with_those_there_is_refused(
    tmp_path: Path, bases: dict[bool, Path], what: str, message: str
) -> None:
    out = tmp_path / "out"
    put(out, make_adapter(bases[True], "planner", "none"), bases[True])
    before = contents(out)
    base, layout = bases[what != "base"], "videomind" if what == "layout" else "peft"
    more: dict[str, Any] = {"prompts": other_words()} if what == "prompts" else {}
    if what == "tokenizer":
        raw = json.loads((bases[True] / "tokenizer.json").read_text())
        vocabulary = raw["model"]["vocab"]
        (a, i), (b, j) = list(vocabulary.items())[300:302]
        vocabulary |= {a: j, b: i}
        (tmp_path / "tokenizer.json").write_text(json.dumps(raw))
        more["tokens_from"] = tmp_path
    with pytest.raises(CheckpointError, match=message) as caught:
        put(out, make_adapter(base), base, layout, **more)
    assert "\n" not in str(caught.value)
    assert contents(out) == before


def test_roles_are_added_one_by_one_and_the_readme_lists_them(tmp_path: Path, bases: dict[bool, Path]) -> None:
    out = tmp_path / "out"
    first = make_adapter(bases[True], "planner", "none")
    put(out, first, bases[True], card="# Planner\n", files={"curve.png": b"\x89PNG", "config.yaml": "a: 1\n"})
    shared = (out / "config.json").stat().st_mtime_ns, (out / "tokenizer.json").stat().st_ino
    put(out, make_adapter(bases[True]), bases[True])
    assert shared == ((out / "config.json").stat().st_mtime_ns, (out / "tokenizer.json").stat().st_ino)
    assert (out / "planner/README.md").read_text() == "# Planner\n"
    assert (out / "planner/curve.png").read_bytes() == b"\x89PNG"
    readme = (out / "README.md").read_text()
    assert "- [planner](planner/README.md)\n- grounder\n" in readme
    assert load(out).describe()["roles"] == ["grounder", "planner"]
    (out / "README.md").write_text("my own words")
    put(out, first, bases[True])
    assert (out / "README.md").read_text() == "my own words"
    assert not (out / "planner/curve.png").exists()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """A disk that is full after so many bytes of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("limit_bytes", "role", "new_tokens", "what"),
    [
        (10_000, "grounder", "rows", "out: cannot"),  # too little for the tokenizer
        (300_000, "grounder", "rows", "pytorch_model.safetensors: cannot"),
        (300_000, "planner", "full", "planner: cannot"),
    ],
)
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, bases: dict[bool, Path], limit_bytes: int, role: str, new_tokens: str, what: str
) -> None:
    out = tmp_path / "out"
    put(out, make_adapter(bases[True], role, new_tokens), bases[True], card="# Old\n")
    before = contents(out)
    second = make_adapter(bases[True], role, new_tokens, seed=5)
    with (
        pytest.raises(CheckpointError, match=rf"{what} be written \(.*\); what was there is as it was") as caught,
        files_no_longer_than(limit_bytes),
    ):
        put(out, second, bases[True], card="# New\n")
    assert "\n" not in str(caught.value)
    assert contents(out) == before
    put(out, second, bases[True], card="# New\n")
    assert (out / role / "README.md").read_text() == "# New\n"


def test_a_full_disk_at_the_first_write_leaves_no_folder(tmp_path: Path, bases: dict[bool, Path]) -> None:
    with pytest.raises(CheckpointError, match="cannot be written"), files_no_longer_than(10_000):
        put(tmp_path / "out", make_adapter(bases[True]), bases[True])
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_a_folder_is_one_line(tmp_path: Path, bases: dict[bool, Path]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file/out: cannot be written") as caught:
        put(tmp_path / "file" / "out", make_adapter(bases[True]), bases[True])
    assert caught.value.exit_code == 2


def fill(place: Path, error: BaseException, make: Any = new_folder) -> None:
    with make(place) as partial:
        (partial / "x" if make is new_folder else partial).write_text("half")
        raise error


def test_a_stop_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    place = tmp_path / "grounder"
    with new_folder(place) as folder:
        (folder / "a").write_text("first")
    # As a machine leaves it that stops after the old folder was moved aside.
    place.rename(tmp_path / ".grounder.old")
    (tmp_path / ".grounder.partial").mkdir()
    with pytest.raises(CheckpointError, match="No space"):
        fill(place, OSError(28, "No space left on device"))
    assert [path.name for path in tmp_path.iterdir()] == ["grounder"]
    assert (place / "a").read_text() == "first"


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "grounder"
    with new_folder(place) as folder:
        (folder / "a").write_text("first")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(CheckpointError, match="Input/output error"), new_folder(place) as folder:
        (folder / "a").write_text("second")
    assert (place / "a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["grounder"]


def test_an_interruption_leaves_nothing_half_done(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "a", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "b" / "c", KeyboardInterrupt(), new_file)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert list((tmp_path / "b").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "judge"}, "adapter judge: unknown role; expected one of planner, grounder"),
        ({"lora": {}}, "no LoRA tensors"),
        ({"timestamp_head": None}, "a grounder has a timestamp head, and no other role"),
        ({"role": "verifier"}, "a grounder has a timestamp head, and no other role"),
        ({"token_ids": (1, 1, 2)}, r"token_ids are \(1, 1, 2\); expected different ids"),
        ({"token_ids": (1, 2)}, "embed has 3 rows for 2 token_ids"),
        ({"embed": None}, "has token_ids and no rows"),
        ({"embed": torch.full((3, 64), float("nan"))}, "embed holds NaN or infinity"),
    ],
)
def test_an_adapter_that_is_not_whole_is_refused(
    tmp_path: Path, bases: dict[bool, Path], change: dict[str, Any], message: str
) -> None:
    adapter = replace(make_adapter(bases[True]), **change)
    with pytest.raises(CheckpointError, match=message):
        put(tmp_path / "out", adapter, bases[True])
    assert not (tmp_path / "out").exists()


def test_names_that_leave_the_folder_or_hide_are_refused(tmp_path: Path, bases: dict[bool, Path]) -> None:
    adapter = make_adapter(bases[True], "planner", "none")
    for name in ("../x", "a/b", ".hidden", "adapter_config.json", ""):
        with pytest.raises(CheckpointError, match="is no name for a further file"):
            put(tmp_path / "out", adapter, bases[True], files={name: "x"})
    with pytest.raises(CheckpointError, match="layout 'onnx' is unknown; expected one of peft, videomind"):
        put(tmp_path / "out", adapter, bases[True], "onnx")


# The manner

OWN = Manner(style="direct", choose="likelihood", candidates=3, budgets={"planner": Budget(2.0, 8, 12544, 22736)})


def test_each_role_brings_its_part_of_the_manner(tmp_path: Path) -> None:
    base, out = ORACLE / "base", tmp_path / "out"
    put(out, make_adapter(base, "planner"), base, manner=OWN)
    assert read_manner(out) == OWN
    put(out, make_adapter(base, "verifier"), base, manner=replace(OWN, candidates=2, style="options"))
    assert read_manner(out) == replace(OWN, candidates=2)
    put(out, make_adapter(base, "answerer"), base, manner=Manner())
    assert read_manner(out) == Manner(candidates=2, budgets=OWN.budgets)
    assert load(out).manner == Manner(candidates=2, budgets=OWN.budgets)


def test_nothing_is_said_where_nobody_says_anything(tmp_path: Path) -> None:
    base, out = ORACLE / "base", tmp_path / "out"
    put(out, make_adapter(base, "planner"), base, manner=Manner())
    assert not (out / MANNER_FILE).exists()
    put(out, make_adapter(base, "answerer"), base, manner=OWN)
    # The planner was asked as VideoMind's: its budget is not what the answerer brings.
    assert read_manner(out) == Manner(style="direct", choose="likelihood")


def test_a_manner_that_departs_from_the_bases_is_written_even_if_it_is_the_plain_one(tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    shutil.copytree(ORACLE / "base", base)
    (base / MANNER_FILE).write_text(json.dumps(OWN.to_json()))
    put(out, make_adapter(base, "planner"), base, manner=Manner())
    assert read_manner(out) == Manner()
    assert load(out).manner == Manner()


def test_converted_adapters_are_asked_as_before(tmp_path: Path) -> None:
    base, out = ORACLE / "base", tmp_path / "out"
    put(out, make_adapter(base, "planner"), base, manner=OWN)
    put(out, make_adapter(base, "verifier"), base, manner=OWN)
    (out / FILMS_FILE).write_bytes(b"kinds of films")
    convert(str(out), tmp_path / "made", "videomind")
    assert read_manner(tmp_path / "made") == OWN
    assert (tmp_path / "made" / FILMS_FILE).read_bytes() == b"kinds of films"
