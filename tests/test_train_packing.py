"""Packed passes: many samples in one sequence give what each gives by itself, losses and gradients alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.frames import open_video
from adapters.layout import lay_out
from adapters.loading import choose_placement
from adapters.store import read_adapter_folder
from adapters.tokens import REG, Tokens
from adapters.train.attention import Group, Pack, packed_attention
from adapters.train.build import LoraShape, Workbench, build, load_trained_state, trained_state
from adapters.train.features import read_clip
from adapters.train.grounder import GrounderRecipe
from adapters.train.packing import ClipKey, Pass, assemble, sample_length
from adapters.train.recipe import Item, Sample
from adapters.train.verifier import VerifierRecipe
from prompts import own_prompts
from roles.errors import CheckpointError
from roles.types import Example, Span

ORACLE = Path(__file__).parent / "data" / "oracle"
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
QUERIES = ("a green square appears", "the circle moves up", "nothing at all", "somebody waves")


def make_bench(new_tokens: str = "rows", targets: tuple[str, ...] = ATTENTION) -> Workbench:
    """A grounder on the recorded base, new but for LoRA's B, which is random: from zero it would do nothing."""
    bench = build(
        "grounder",
        ORACLE / "base",
        Tokens(ORACLE / "videomind"),
        own_prompts(),
        choose_placement("cpu", "float32", "sdpa"),
        LoraShape(4, 8.0, 0.0, targets),
        new_tokens,
        True,
        None,
        7,
    )
    generator = torch.Generator().manual_seed(3)
    for name, parameter in bench.network.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
    return bench


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return make_bench()


def make_samples(names: Sequence[tuple[str, str]]) -> list[Sample]:
    """Grounder's samples: (video, query)."""
    samples = []
    for number, (name, query) in enumerate(names):
        path = ORACLE / "videos" / name
        with open_video(path) as file:
            video = file.video
        example = Example(str(path), query, spans=(Span(1.0 + number, 4.0 + number),))
        sample = GrounderRecipe(200).sample(Item(example, video, "x"), own_prompts(), random.Random(0))  # noqa: S311
        samples.append(replace(sample, draw=number))
    return samples


def packed(samples: Sequence[Sample], bench: Workbench, weight: float = 1.0) -> Pass:
    return assemble(samples, bench.tokens, 28, read_clip, weight)


def losses_and_gradients(bench: Workbench, passes: Sequence[Pass]) -> tuple[dict[str, list[float]], dict[str, Any]]:
    bench.network.eval().zero_grad()
    parts: dict[str, list[float]] = {}
    for one in passes:
        losses = bench.network(one)
        losses.total.backward()
        for name, part in losses.parts.items():
            parts.setdefault(name, []).extend(part.tolist())
    grads = {name: p.grad.clone() for name, p in bench.network.named_parameters() if p.grad is not None}
    return parts, grads


MIXED = [("v1.mp4", QUERIES[0]), ("v4.mp4", QUERIES[1]), ("v1.mp4", QUERIES[2]), ("v1.mp4", QUERIES[3])]


def test_questions_that_share_a_video_learn_what_each_would_alone(bench: Workbench) -> None:
    samples = make_samples(MIXED)
    together = packed(samples, bench)
    assert [len(group.suffixes) for group in together.pack.groups] == [3, 1]
    assert len(together.clips) == 2
    alone_parts, alone_grads = losses_and_gradients(bench, [packed([sample], bench) for sample in samples])
    parts, grads = losses_and_gradients(bench, [together])
    assert parts.keys() == alone_parts.keys() == {"lm", "class", "coord", "saliency"}
    for name in parts:
        assert parts[name] == pytest.approx(alone_parts[name], abs=1e-5, rel=1e-4), name
    assert grads.keys() == alone_grads.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, alone_grads[name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("aligned", [False, True])
def test_a_verifier_learns_at_the_positions_at_which_it_will_judge(bench: Workbench, aligned: bool) -> None:
    path = ORACLE / "videos" / "v1.mp4"
    with open_video(path) as file:
        item = Item(Example(str(path), QUERIES[0], answer="Yes", spans=(Span(6.0, 11.0),)), file.video, "x")
    sample = VerifierRecipe(200).sample(item, own_prompts(), random.Random(0))  # noqa: S311
    made = assemble([sample], bench.tokens, 28, read_clip, aligned=aligned)
    request, key = sample.request, ClipKey.of(sample.request.clip)
    laid = lay_out(bench.tokens, request.prompt, key.grid(28), request.clip.marked_norm, aligned=aligned)
    length = laid.ids.shape[0]
    assert torch.equal(made.ids[:length], laid.ids)
    assert torch.equal(made.positions[:, :length], laid.positions)
    plain = lay_out(bench.tokens, request.prompt, key.grid(28))
    assert torch.equal(made.positions[:, made.visual], plain.positions[:, plain.visual]) == aligned


def test_a_question_sees_nothing_of_the_others_on_its_video(bench: Workbench) -> None:
    one, other = make_samples([("v1.mp4", QUERIES[0]), ("v1.mp4", QUERIES[1])])
    _, changed = make_samples([("v1.mp4", QUERIES[0]), ("v1.mp4", "a quite different, much longer query than before")])
    with torch.no_grad():
        first = bench.network.eval()(packed([one, other], bench)).parts["lm"][0]
        second = bench.network.eval()(packed([one, changed], bench)).parts["lm"][0]
    assert float(first) == pytest.approx(float(second), abs=1e-5)


def test_recomputing_activations_changes_no_gradient(bench: Workbench) -> None:
    made = packed(make_samples(MIXED), bench)
    _, plain = losses_and_gradients(bench, [made])
    bench.network.checkpointed_layers = 3
    try:
        bench.network.train()
        for module in bench.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.eval()
        if bench.network.head is not None:
            bench.network.head.eval()
        bench.network.zero_grad()
        bench.network(made).total.backward()
        again = {name: p.grad for name, p in bench.network.named_parameters() if p.grad is not None}
    finally:
        bench.network.checkpointed_layers = 0
    layers = bench.network.base.model.language_model.layers
    assert [layer.gradient_checkpointing for layer in layers] == [True, True, True, False]
    for name, grad in plain.items():
        torch.testing.assert_close(again[name], grad, msg=name)


def test_memory_for_activations_decides_how_many_layers_are_recomputed(bench: Workbench) -> None:
    from adapters.train.network import layer_bytes

    made = packed(make_samples(MIXED[:1]), bench)
    config = bench.network.base.config.get_text_config()
    bench.network.checkpointed_layers = None
    bench.network.activation_bytes = int(2.5 * layer_bytes(config, torch.float32) * made.ids.shape[0])
    try:
        with torch.no_grad():
            bench.network(made)
        layers = bench.network.base.model.language_model.layers
        assert [layer.gradient_checkpointing for layer in layers] == [True, True, False, False]
    finally:
        bench.network.checkpointed_layers = 0


def test_what_is_fused_computes_what_transformers_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the compiler: what it fuses is written here, and must be the layers' own arithmetic.
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    made = make_bench()
    one = packed(make_samples(MIXED), made)
    before = losses_and_gradients(made, [one])
    made.network.compile_parts()
    after = losses_and_gradients(made, [one])
    for name, values in before[0].items():
        assert after[0][name] == pytest.approx(values, abs=1e-6, rel=1e-5), name
    for name, grad in before[1].items():
        torch.testing.assert_close(after[1][name], grad, rtol=1e-3, atol=1e-6, msg=name)


def test_long_replies_are_scored_in_parts_with_the_same_gradients(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = packed(make_samples(MIXED), bench)
    whole = losses_and_gradients(bench, [made])
    monkeypatch.setattr("adapters.train.network.LOGIT_ROWS", 7)
    parts = losses_and_gradients(bench, [made])
    assert parts[0]["lm"] == pytest.approx(whole[0]["lm"], rel=1e-5)
    for name, grad in whole[1].items():
        torch.testing.assert_close(parts[1][name], grad, rtol=1e-3, atol=1e-5, msg=name)


def test_every_part_that_learns_gets_gradient_and_nothing_else_does(bench: Workbench) -> None:
    _, grads = losses_and_gradients(bench, [packed(make_samples(MIXED), bench)])
    learning = {name for name, p in bench.network.named_parameters() if p.requires_grad}
    assert grads.keys() == learning
    # The key's bias shifts all scores of a softmax alike, so its true gradient is zero.
    still = {name for name, grad in grads.items() if not float(grad.abs().max()) > 0}
    assert not {name for name in still if not name.endswith("att.k.bias")}
    assert all(bool(torch.isfinite(grad).all()) for grad in grads.values())
    kinds = {name.split(".")[0] for name in learning}
    assert kinds == {"base", "new_tokens", "head"}
    assert not any("visual" in name for name in learning)


def test_the_timestamp_token_is_predicted_by_the_state_that_the_head_reads(bench: Workbench) -> None:
    made = packed(make_samples(MIXED), bench)
    reg = bench.tokens.id(REG)
    states = [state for grounding in made.groundings for state in grounding.states.tolist()]
    at = (made.targets == reg).nonzero().squeeze(1)
    assert sorted(states) == sorted(made.predict[at].tolist())
    assert made.ids[torch.tensor(states) + 1].tolist() == [reg] * 4


def test_lengths_are_known_before_anything_is_laid_out(bench: Workbench) -> None:
    for sample in make_samples(MIXED):
        shared, own = sample_length(bench.tokens, sample, ClipKey.of(sample.request.clip), 28)
        [group] = packed([sample], bench).pack.groups
        assert shared + own == group.length


@pytest.mark.parametrize("groups", [(Group(5, (3,)),), (Group(4, (2, 3)), Group(6, (1,)), Group(2, (1, 1, 4)))])
def test_packed_attention_is_attention_under_the_full_mask(groups: tuple[Group, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    length = sum(group.length for group in groups)
    query = torch.randn(1, 4, length, 8, generator=generator)
    key, value = (torch.randn(1, 2, length, 8, generator=generator) for _ in range(2))
    mask = torch.zeros(length, length, dtype=torch.bool)
    start = 0
    for group in groups:
        prefix = slice(start, start + group.prefix)
        mask[prefix, prefix] = True
        at = start + group.prefix
        for suffix in group.suffixes:
            mask[at : at + suffix, prefix] = True
            mask[at : at + suffix, at : at + suffix] = True
            at += suffix
        start = at
    mask &= torch.ones(length, length, dtype=torch.bool).tril()
    wide = [tensor.repeat_interleave(2, dim=1) for tensor in (key, value)]
    expected = torch.nn.functional.scaled_dot_product_attention(query, *wide, attn_mask=mask)
    out, _ = packed_attention(None, query, key, value, Pack(groups))
    torch.testing.assert_close(out, expected.transpose(1, 2))


def test_full_copies_and_rows_of_the_vocabulary_start_alike() -> None:
    samples = make_samples(MIXED[:2])
    parts = []
    for mode in ("rows", "full"):
        made = make_bench(mode)
        with torch.no_grad():
            parts.append(made.network.eval()(packed(samples, made)).parts["lm"])
    torch.testing.assert_close(parts[0], parts[1], rtol=1e-4, atol=1e-5)


def test_trained_state_comes_back_and_a_foreign_one_is_refused(bench: Workbench) -> None:
    other = make_bench()
    with torch.no_grad():
        for parameter in other.network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)
    load_trained_state(other.network, trained_state(bench.network))
    samples = make_samples(MIXED[:1])
    with torch.no_grad():
        ours = bench.network.eval()(packed(samples, bench)).total
        theirs = other.network.eval()(packed(samples, other)).total
    assert float(ours) == float(theirs)
    with pytest.raises(CheckpointError, match="another adapter"):
        load_trained_state(make_bench("full").network, trained_state(bench.network))


def test_starting_from_an_adapter_of_another_rank_says_which_flag() -> None:
    init = read_adapter_folder(str(ORACLE / "videomind"))
    with pytest.raises(CheckpointError, match="--lora-rank 16"):
        build(
            "grounder",
            ORACLE / "base",
            Tokens(ORACLE / "videomind"),
            init.prompts,
            choose_placement("cpu", "float32", "sdpa"),
            LoraShape(8, 8.0, 0.0, ATTENTION),
            "auto",
            True,
            init,
            0,
        )
