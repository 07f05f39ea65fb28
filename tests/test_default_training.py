"""The default model's training: it computes what the model does, data depend on numbers alone, it can be stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

import adapters.train.default
from adapters.decode import LanguageModel
from adapters.heads.losses import grid_targets, grounding_losses
from adapters.heads.timestamp import TimestampHead
from adapters.layout import lay_out
from adapters.tokens import REG, Tokens
from adapters.train.default import loop, network, report, roles
from adapters.train.default.__main__ import MORE_TO_DO, main
from adapters.train.default.augment import augmented
from adapters.train.default.base import fresh_base, write_base
from adapters.train.default.config import DEFAULT_FILE, DefaultConfig, RolesConfig, Shape, Weights, read_default_config
from adapters.train.default.contract import UNKNOWN, Lesson, Segment, Stage, States, StateSizes
from adapters.train.default.grounding import padded_losses
from adapters.train.default.loop import STATE_FILE, Training, Unfinished, state_info
from adapters.train.default.muon import Muon
from adapters.train.default.network import BaseNetwork, normalised
from adapters.train.default.pack import Packer
from adapters.train.default.place import Place
from adapters.train.default.pool import Maker, Pool
from adapters.train.default.schedule import pack_number, use_at
from adapters.train.default.states import StateHead
from adapters.train.default.tally import LOG_FILE, Tally, curve
from adapters.train.default.tokenizer import build_tokenizer
from adapters.vision import encode
from prompts import ROLES, Part, Prompt, PromptBook, plain, read_prompt_file
from roles.errors import InputError, StepError
from roles.manner import Manner
from roles.types import PX_PER_TOKEN, Budget, Clip, Request, Span

WORDS = ["ball", "box", "green", "red", "where", "is", "the", "thinks", "basket", "blue", "puts", "looks"]
SHAPE = Shape(hidden=96, layers=3, heads=3, kv_heads=1, intermediate=128, vocabulary=300, mrope_section=(4, 6, 6),
              vision_width=64, vision_depth=2, vision_heads=2)  # fmt: skip
SIZES = StateSizes(kinds=3, names=6, classes=4, colours=3, shapes=3, visible=(1,))
MANNER = Manner(style="direct", choose="likelihood", marks="aligned")
BOOK = read_prompt_file(Path(adapters.train.default.__file__).with_name("prompts.json"))
STAGE = Stage(1.0, ((4, 9, 1.0),))
CONFIG = DefaultConfig(world="tests.test_default_training:Squares", shape=SHAPE, stages=(STAGE,), steps=9,
                       packs_per_step=2, pack_tokens=1024, reuse=2, chunk=3, warmup_steps=4, learning_rate=3e-3,
                       tokenizer_texts=400)  # fmt: skip
CPU = Place(0, 1, torch.device("cpu"))
ROOT = Path(__file__).parent.parent
OFTEN_LOGGED = """
import sys
from adapters.train.default import loop
from adapters.train.default.__main__ import main

loop.LOG_EVERY = 4
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


class Squares:
    """A world of noise: films are seeds, questions are words."""

    state_sizes = SIZES

    def lesson(self, number: int, stage: Stage, manner: Manner, prompts: PromptBook) -> Lesson:
        dice = random.Random(number)  # noqa: S311 - no secret
        patches = dice.randint(4, 9)
        segments = [
            Segment("answerer", "where is the ball?", dice.choice(["the red box", "the blue basket"]), type="reality"),
            Segment("grounder", "green puts ball", None, ((0.25, 0.6),)),
            Segment("planner", "where is the ball?", '[{"type": "answerer"}]'),
            Segment("transcript", "", "1 green puts ball in red box."),
        ]
        marked = None
        if dice.random() < 0.5:
            marked = (0.25, 0.75)
            segments.append(Segment("verifier", "green looks", dice.choice(["Yes.", "No."])))
        labels = np.array([[[dice.randint(0, 3), dice.randint(0, 2), -100]] * patches, [[1, -100, 2]] * patches])
        queries = np.array([[0, 1, 2, 0], [1, 3, 0, 0]], dtype=np.int16)
        states = States(queries, labels.astype(np.int16))
        return Lesson((number, patches), patches, 1, 2 + number % 2, marked, tuple(segments), states, float(patches))

    def draw(self, films: Sequence[Any], rows: int, columns: int, device: Any) -> Tensor:
        parts = []
        for number, patches in films:
            generator = torch.Generator().manual_seed(number)
            parts.append(torch.randint(0, 256, (patches * 4 * rows * columns, 1176), generator=generator))
        return torch.cat(parts).to(torch.uint8).to(device)

    def look(self, seed: int, part: str) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (4 if part == "whole" else 2, 3, 56, 84), generator=generator, dtype=torch.uint8)

    def texts(self, count: int) -> Iterator[str]:
        dice = random.Random(0)  # noqa: S311 - no secret
        for _ in range(count):
            yield " ".join(dice.choices(WORDS, k=6))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return build_tokenizer(Squares().texts(400), SHAPE.vocabulary, tmp_path_factory.mktemp("tokenizer"))


def packer(tokens: Tokens, length: int = 2560) -> Packer:
    return Packer(tokens, BOOK, MANNER, length, 0, frozenset(SIZES.visible))


def test_any_text_survives_the_tokenizer(tokens: Tokens) -> None:
    for text in ("where is the ball?", "Größe 12,5 – „Ball“", "a\n\nb  c", "日本 🙂"):
        ids = tokens.encode([Part(text, trusted=False)])
        assert tokens.decode(ids) == text
        assert max(ids) < SHAPE.vocabulary


def test_user_text_is_no_control_token(tokens: Tokens) -> None:
    assert tokens.id(REG) not in tokens.encode([Part("a <|reg|> b", trusted=False)])


def test_the_tokenizer_lays_a_chat_out_as_qwen2_vl_does(tokens: Tokens) -> None:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tokens.folder)
    content = [{"type": "video"}, {"type": "text", "text": "where is the ball?"}]
    text = loaded.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    chat = tokens.chat(plain("where is the ball?"))
    expected = [*chat.head, tokens.id("<|video_pad|>"), *chat.tail]
    assert loaded(text, add_special_tokens=False)["input_ids"] == expected
    assert len(loaded) == SHAPE.vocabulary


def test_what_introduces_people_stands_ahead_of_the_request_for_a_transcript(tokens: Tokens) -> None:
    make = packer(tokens)
    plain = make.write(Segment("transcript", "", "1 red puts ball in box."))
    named = make.write(Segment("transcript", "green is <|reg|> the red.", "1 green puts ball in box."))
    for written, ahead in ((plain, ""), (named, "green is <|reg|> the red. ")):
        assert tokens.decode(written.ids[written.reply_at : -1]) == written.segment.reply
        assert f"{ahead}Tell what happens." in tokens.decode(written.ids[: written.reply_at])
        tail = tokens.chat(Prompt((Part(f"{ahead}Tell what happens.", trusted=False),))).tail
        assert tokens.decode(written.ids[: written.reply_at]) == tokens.decode(tail)
        # What a film's maker wrote is no control token.
        assert tokens.id(REG) not in written.ids


def test_a_pack_gives_each_question_what_the_model_alone_gives(tokens: Tokens) -> None:
    world = Squares()
    make = packer(tokens)
    pack = make.make(world, 3, STAGE)
    model = fresh_base(SHAPE, tokens, 0)
    network = BaseNetwork(model, SIZES, Weights())
    levels = [
        world.draw(g.films, g.rows, g.columns, "cpu").view(g.patches, 4 * g.rows * g.columns, -1) for g in pack.groups
    ]
    with torch.no_grad():
        report = network(pack, [normalised(one, torch.float32) for one in levels], torch.float32)

    language = LanguageModel(model.model.language_model)
    nll: dict[str, list[float]] = {}
    for at in range(pack.lessons):
        lesson = world.lesson(3 * 1000 + at, STAGE, MANNER, BOOK)
        frames = world.draw([lesson.film], lesson.rows, lesson.columns, "cpu")
        pixels = normalised(frames.view(lesson.patches, -1, 1176), torch.float32)
        features = tower_tokens(model, pixels, lesson.rows, lesson.columns)
        for segment in lesson.segments:
            written = make.write(segment)
            prompt_tail, reply = written.ids[: written.reply_at], written.ids[written.reply_at :]
            grid, empty = (
                (lesson.patches, lesson.rows, lesson.columns),
                BOOK.get("answerer", "question").fill(question=""),
            )
            layout = lay_out(tokens, empty, grid, lesson.marked_norm, aligned=True)
            tail = len(tokens.chat(empty).tail)
            keep = layout.ids.shape[0] - tail
            ids = torch.tensor([*layout.ids[:keep].tolist(), *prompt_tail, *reply])
            start = int(layout.positions[0, keep])
            rest = torch.arange(start, start + len(written.ids)).expand(3, -1)
            positions = torch.cat((layout.positions[:, :keep], rest), dim=1)
            embeds = model.model.language_model.embed_tokens(ids).index_copy(0, layout.visual, features)
            with torch.no_grad():
                states = language.normalise(language.forward(embeds[None], positions[:, None]))[0]
                log_probs = model.lm_head(states).log_softmax(-1)
            where = torch.arange(keep + len(prompt_tail), len(ids))
            nll.setdefault(segment.role, []).append(-float(log_probs[where - 1, ids[where]].sum()))
    for role, values in nll.items():
        assert float(report.parts[role]) == pytest.approx(sum(values) / len(values), rel=2e-4), role


def tower_tokens(model: Any, pixels: Tensor, rows: int, columns: int) -> Tensor:
    """Through transformers' own tower, frame pair by frame pair."""
    grid = torch.tensor([[pixels.shape[0], rows * 2, columns * 2]])
    with torch.no_grad():
        out = model.model.visual(pixels.reshape(-1, 1176), grid_thw=grid)
    out = getattr(out, "pooler_output", out)
    return (torch.cat(list(out)) if isinstance(out, tuple | list) else out).reshape(-1, SHAPE.hidden)


def test_padded_films_are_grounded_as_single_ones() -> None:
    torch.manual_seed(0)
    head = TimestampHead(32, drop_path=0.0)
    lengths, spans = [9, 14, 5], [[(1.0, 3.0)], [(2.5, 9.0), (11.0, 13.0)], [(0.0, 4.0)]]
    frames = [torch.randn(1, length, 32) for length in lengths]
    query = torch.randn(3, 32)
    padded = torch.zeros(3, 14, 32)
    inside = torch.zeros(3, 14, dtype=torch.bool)
    ends = torch.full((3, 2, 2), -1.0)
    for at, one in enumerate(frames):
        padded[at, : lengths[at]], inside[at, : lengths[at]] = one[0], True
        ends[at, : len(spans[at])] = torch.tensor(spans[at])
    together = padded_losses(head, padded, inside, torch.arange(3), query, ends)
    for at in range(3):
        output = head.train_outputs(frames[at], query[at][None, None])
        targets = grid_targets([[Span(*s) for s in spans[at]]], float(lengths[at]), lengths[at])
        alone = grounding_losses(output, targets)
        assert together["class"][at].item() == pytest.approx(alone.class_[0].item(), rel=1e-4)
        assert together["coord"][at].item() == pytest.approx(alone.coord[0].item(), rel=1e-4)
    assert all(torch.isfinite(value).all() for value in together.values())


def test_a_pack_depends_on_its_number_alone(tokens: Tokens) -> None:
    first, again, other = (packer(tokens).make(Squares(), number, STAGE) for number in (5, 5, 6))
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.item_labels, again.item_labels)
    assert not torch.equal(first.ids, other.ids)


def test_untouched_levels_are_what_the_tower_is_used_to() -> None:
    frames = torch.randint(0, 256, (4, 3, 56, 84), dtype=torch.uint8)
    from adapters.eyes import CLIP_MEAN, CLIP_STD
    from adapters.vision import patches

    mean, std = torch.tensor(CLIP_MEAN), torch.tensor(CLIP_STD)
    levels = patches(frames, torch.zeros(3), torch.full((3,), 1 / 255), 14, 2).round().to(torch.uint8)
    assert torch.allclose(normalised(levels, torch.float32), patches(frames, mean, std, 14, 2), atol=1e-5)


def test_blur_and_light_keep_the_picture_in_place() -> None:
    y, x = torch.meshgrid(torch.arange(56), torch.arange(84), indexing="ij")
    frame = (2.0 * y + x)[None, None].expand(4, 3, -1, -1).to(torch.uint8)
    from adapters.vision import patches

    levels = patches(frame, torch.zeros(3), torch.full((3,), 1 / 255), 14, 2).round().to(torch.uint8)
    plain = normalised(levels, torch.float32)
    for seed in range(6):
        changed = augmented(levels, 2, 3, torch.float32, seed)
        assert changed.shape == plain.shape
        together = torch.corrcoef(torch.stack((changed.flatten(), plain.flatten())))
        assert float(together[0, 1]) > 0.95
        assert not torch.equal(changed, plain)


def test_a_written_base_loads_as_any_other(tokens: Tokens, tmp_path: Path) -> None:
    from adapters.qwen2vl import Qwen2VL

    model = fresh_base(SHAPE, tokens, 1)
    write_base(model, SHAPE, tokens, MANNER, tmp_path / "base")
    loaded = Qwen2VL.load(str(tmp_path / "base"), None, device="cpu", dtype="float32")
    assert loaded.manner == MANNER
    frames = torch.randint(0, 256, (8, 3, 56, 84), dtype=torch.uint8)
    mean, std = torch.full((3,), 0.5), torch.full((3,), 0.5)
    ours = encode(model.model.visual, frames, mean, std)
    theirs = encode(loaded._model.model.visual, frames, mean, std)
    assert torch.allclose(ours, theirs, atol=0.05 * ours.abs().max().item())


# The loop


def training(folder: Path, config: DefaultConfig = CONFIG, place: Place = CPU, **more: Any) -> Training:
    return Training(config, folder, MANNER, BOOK, place, workers=0, **more)


def work_folder(tokens: Tokens, folder: Path) -> Path:
    (folder / "tokenizer").symlink_to(tokens.folder)
    return folder


@pytest.fixture(scope="module")
def trained(tokens: Tokens, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole training, a line of the log for every third step."""
    folder = work_folder(tokens, tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "LOG_EVERY", 3)
        whole = training(folder)
        whole.run()
    whole.write(folder / "base")
    return folder


def test_a_training_learns_and_says_how_it_went(trained: Path) -> None:
    lines = curve(trained / LOG_FILE)
    assert [line["step"] for line in lines] == [3, 6, 9]
    for name in ("answerer", "planner", "verifier", "transcript", "grounder", "class", "states2"):
        assert lines[-1][name] < 0.9 * lines[0][name], name
    assert lines[0]["rate"] == pytest.approx(3e-3 * 3 / 4)
    assert set(lines[0]["right"]) == {"grounder", "planner", "reality", "transcript", "verifier"}
    assert set(lines[0]["right"]) == set(lines[0]["asked"])
    assert all(line["tokens_per_s"] > 0 for line in lines)
    assert state_info(trained)["step"] == "9"


def test_a_training_in_pieces_gives_the_weights_of_an_unbroken_one(
    trained: Path, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = work_folder(tokens, tmp_path)
    monkeypatch.setattr(loop, "LOG_EVERY", 3)
    before = signal.getsignal(signal.SIGINT)
    for step in (3, 6):
        with pytest.raises(Unfinished, match=f"stopped after step {step} of 9; the same command goes on"):
            training(folder).run(seconds=0)
        assert state_info(folder)["step"] == str(step)
        torch.rand(step)  # what else a process did by chance makes no difference
    last = training(folder)
    assert last.step == 6
    last.run(seconds=0)
    assert signal.getsignal(signal.SIGINT) == before
    ours, theirs = load_file(folder / STATE_FILE), load_file(trained / STATE_FILE)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    seen = [[{k: v for k, v in line.items() if not k.endswith("_s")} for line in curve(one / LOG_FILE)]
            for one in (folder, trained)]  # fmt: skip
    assert json.dumps(seen[0]) == json.dumps(seen[1])


def test_matrices_of_the_model_are_turned_and_tables_and_heads_are_not(tokens: Tokens, tmp_path: Path) -> None:
    started = training(work_folder(tokens, tmp_path))
    names = {id(p): name for name, p in started.named.items()}
    muon, adamw = started.optimizers
    assert isinstance(muon, Muon)
    assert isinstance(adamw, torch.optim.AdamW)
    turned = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    others = [[names[id(p)] for p in group["params"]] for group in adamw.param_groups]
    # Every parameter is stepped once.
    assert sorted([*turned, *(name for group in others for name in group)]) == sorted(started.named)
    assert all(started.named[name].ndim == 2 and name.startswith("model.") for name in turned)
    assert not [
        name for name in turned if "embed" in name or "lm_head" in name or name.startswith(("head.", "states."))
    ]
    for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj", "visual.blocks.0.attn.qkv", "merger.mlp.0"):
        assert any(part in name for name in turned), part
    decayed, plain = others
    assert (adamw.param_groups[0]["weight_decay"], adamw.param_groups[1]["weight_decay"]) == (CONFIG.weight_decay, 0.0)
    assert {group["weight_decay"] for group in muon.param_groups} == {CONFIG.weight_decay}
    assert any("patch_embed" in name for name in decayed)
    assert all(started.named[name].ndim >= 2 for name in decayed)
    assert any("embed_tokens" in name for name in plain)
    tables = ("embed_tokens", "names.", ".kind.")
    assert all(started.named[name].ndim == 1 or any(part in name for part in tables) for name in plain)


def test_both_optimizers_follow_the_schedule_and_are_remembered(trained: Path) -> None:
    stored = load_file(trained / STATE_FILE)
    again = training(trained, replace(CONFIG, steps=20))
    muon, adamw = again.optimizers
    for name, p in again.named.items():
        kept = {key.removesuffix(f".{name}") for key in stored if key.endswith(f".{name}")}
        moments = kept & {"exp_avg", "exp_avg_sq", "momentum_buffer"}
        if p.ndim == 2 and name.startswith("model.") and "embed" not in name:
            assert moments == {"momentum_buffer"}, name
            assert muon.state[p].keys() == moments
        else:
            assert moments == {"exp_avg", "exp_avg_sq"}, name
            assert adamw.state[p].keys() == {*moments, "step"}
            assert float(adamw.state[p]["step"]) == 9
        for key in moments:
            held = (muon if key == "momentum_buffer" else adamw).state[p][key]
            assert torch.equal(held, stored[f"{key}.{name}"])
    assert again.fresh_since is None
    for step in (9, 15):
        again.step = step
        again._step(Tally())
        for optimizer, scale in ((muon, CONFIG.matrix_rate), (adamw, 1.0)):
            rates = [group["lr"] for group in optimizer.param_groups]
            assert rates == pytest.approx([again.config.rate_at(step) * scale] * len(rates))
    assert again.config.rate_at(9) != again.config.rate_at(15)


def test_a_training_with_other_settings_is_refused_but_may_be_longer(trained: Path) -> None:
    with pytest.raises(InputError, match=r"state.safetensors: .*other settings \(chunk, learning_rate\)"):
        training(trained, replace(CONFIG, learning_rate=1e-3, chunk=4))
    assert training(trained, replace(CONFIG, steps=20)).step == 9


def test_packs_that_cannot_be_shared_evenly_are_refused(trained: Path) -> None:
    with pytest.raises(InputError, match="packs_per_step 2 cannot be shared by 3 processes"):
        training(trained, place=Place(0, 3, torch.device("cpu")))


def test_another_training_can_be_started_from_without_its_moments(
    trained: Path, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    folder = work_folder(tokens, tmp_path)
    started = training(folder, replace(CONFIG, steps=1), init=trained / STATE_FILE, with_states=False)
    stored = load_file(trained / STATE_FILE)
    assert started.step == 0
    assert not any(optimizer.state for optimizer in started.optimizers)
    assert all(torch.equal(p, stored[f"weight.{name}"]) for name, p in started.named.items())
    assert not any(name.startswith("states") for name in started.named)
    started.run()
    line = curve(folder / LOG_FILE)[0]
    assert "answerer" in line
    assert "states2" not in line


def test_packs_do_not_depend_on_the_number_of_processes_nor_on_where_a_training_goes_on(trained: Path) -> None:
    config = replace(CONFIG, packs_per_step=4, reuse=3, chunk=2, steps=11)
    maker = Maker(config, trained / "tokenizer", BOOK, MANNER)

    def packs(lanes: Sequence[int], start: int) -> dict[tuple[int, int], tuple[int, bool]]:
        pool = Pool(maker, lanes, start, 0)
        found = {}
        for step in range(start, config.steps):
            for lane in lanes:
                drawn, first = pool.take(lane, step, CPU.device)
                found[step, lane] = drawn.pack.number, first
        return found

    alone = packs(range(4), 0)
    assert packs([0, 2], 0) | packs([1, 3], 0) == alone
    for start in (4, 6, 8):
        assert packs(range(4), start) == {key: value for key, value in alone.items() if key[0] >= start}


def test_a_packs_first_use_is_its_only_unseen_one_and_the_others_are_recent() -> None:
    config = replace(CONFIG, reuse=4, chunk=5, steps=400, packs_per_step=3)
    again = set()
    firsts = []
    for step in range(config.steps):
        for lane in range(3):
            use = use_at(config, lane, step)
            newest = step // 4
            assert use.first == (step % 4 == 0)
            assert (use.fresh == newest) if use.first else (max(0, newest - 4) <= use.fresh <= newest)
            if use.first:
                firsts.append(pack_number(config, use))
            elif newest >= 5:
                again.add(newest - use.fresh)
    assert sorted(firsts) == list(range(300))
    assert again == set(range(5))


# The state heads


def test_a_state_head_learns_what_a_query_asks_of_a_patch() -> None:
    torch.manual_seed(0)
    head = StateHead(32, SIZES)
    states, queries = torch.randn(40, 32), torch.tensor([[0, 1, 2, 0], [1, 3, 0, 0], [2, 4, 5, 1]])
    patch, query = torch.arange(40).repeat(3), torch.arange(3).repeat_interleave(40)
    # Each query reads another direction of the same states.
    labels = torch.stack(((states[:, 0] > 0), (states[:, 1] > 0), (states[:, 2] > 0))).long().flatten()
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        kinds, _, _ = head(states, patch, queries, query)
        loss = torch.nn.functional.cross_entropy(kinds, labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < 0.5 < losses[0]


def test_rare_sorts_are_drawn_more_often_than_their_share_and_none_that_there_is_not() -> None:
    torch.manual_seed(0)
    sort = torch.tensor([7] * 4 + [2] * 96 + [0] * 900)[torch.randperm(1000)]
    drawn = network._evenly(sort, 8, 30_000)
    assert drawn.shape == (30_000,)
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < 1000
    shares = {one: float((sort[drawn] == one).float().mean()) for one in (7, 2, 0)}
    roots = {7: 2.0, 2: 96**0.5, 0: 30.0}
    for one, root in roots.items():
        assert shares[one] == pytest.approx(root / sum(roots.values()), abs=0.01)
    assert shares[7] > 8 * 0.004
    # Within a sort all are drawn alike.
    counts = torch.bincount(drawn, minlength=1000)[sort == 2]
    assert int(counts.min()) > 0.4 * float(counts.float().mean())
    torch.manual_seed(3)
    first = network._evenly(sort, 8, 50)
    torch.manual_seed(3)
    assert torch.equal(network._evenly(sort, 8, 50), first)


@pytest.mark.parametrize("chance", [0.0, 1.0 - 2.0**-53, 1.0])
def test_the_ends_of_chance_stay_within_the_items(chance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def rand(count: int, **_more: Any) -> Tensor:
        return torch.full((count,), chance, dtype=torch.float64)

    monkeypatch.setattr(torch, "rand", rand)
    for sort in (torch.zeros(1, dtype=torch.int64), torch.arange(7), torch.tensor([3, 3, 3, 1])):
        expected = 0 if chance == 0.0 else sort.shape[0] - 1
        assert network._evenly(sort, 7, 5).tolist() == [expected] * 5


def test_state_items_are_drawn_by_kind_and_answer_where_there_are_too_many(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Squares()
    pack = packer(tokens, 1024).make(world, 0, STAGE)
    levels = [world.draw(g.films, g.rows, g.columns, "cpu").view(g.patches, 4 * g.rows * g.columns, -1)
              for g in pack.groups]  # fmt: skip
    pixels = [normalised(one, torch.float32) for one in levels]
    base = BaseNetwork(fresh_base(SHAPE, tokens, 0), SIZES, Weights())
    base.eval()
    items = pack.item_patch.shape[0]
    asked: list[tuple[Tensor, int]] = []

    def noted(sort: Tensor, sorts: int, count: int) -> Tensor:
        assert int(sort.max()) < sorts
        asked.append((sort, count))
        return torch.arange(count)

    monkeypatch.setattr(network, "_evenly", noted)
    with torch.no_grad():
        whole = base(pack, pixels, torch.float32)
        assert not asked
        monkeypatch.setattr(network, "ITEMS", items - 5)
        base(pack, pixels, torch.float32)
        kept = replace(pack, item_patch=pack.item_patch[:-5], item_query=pack.item_query[:-5],
                       item_labels=pack.item_labels[:-5], item_visible=pack.item_visible[:-5])  # fmt: skip
        drawn, alone = base(pack, pixels, torch.float32), base(kept, pixels, torch.float32)
    sort, count = asked[0]
    assert (sort.shape, count) == ((items,), items - 5)
    pairs = {(int(kind), int(label)) for kind, label in zip(pack.queries[pack.item_query, 0], pack.item_labels[:, 0],
                                                           strict=True)}  # fmt: skip
    assert len(set(sort.tolist())) == len(pairs) > 3
    assert drawn.parts["states2"] == alone.parts["states2"] != whole.parts["states2"]


def test_labels_that_are_not_known_teach_nothing(tokens: Tokens) -> None:
    world = Squares()
    pack = packer(tokens, 1024).make(world, 0, STAGE)
    levels = [world.draw(g.films, g.rows, g.columns, "cpu").view(g.patches, 4 * g.rows * g.columns, -1)
              for g in pack.groups]  # fmt: skip
    pixels = [normalised(one, torch.float32) for one in levels]
    base = BaseNetwork(fresh_base(SHAPE, tokens, 0), SIZES, Weights())
    heads = base.states
    assert heads is not None
    deepest = heads[2]
    assert isinstance(deepest, StateHead)

    def gradients(labels: Tensor) -> tuple[dict[str, float], dict[str, float]]:
        base.zero_grad()
        found = base(replace(pack, item_labels=labels), pixels, torch.float32)
        torch.autograd.backward(found.loss)
        norms = {name: float(p.grad.norm()) for name, p in heads.named_parameters() if p.grad is not None}
        return norms, {name: float(found.parts[name]) for name in ("states0", "states1", "states2")}

    norms, parts = gradients(torch.full_like(pack.item_labels, UNKNOWN))
    assert set(norms.values()) == {0.0}
    assert set(parts.values()) == {0.0}
    norms, parts = gradients(pack.item_labels)
    assert all(norms[f"{number}.out.weight"] > 0 for number in range(3))
    # Colours alone are known: rows of the other answers stay as they are.
    some = torch.full_like(pack.item_labels, UNKNOWN)
    some[:, 1] = pack.item_labels[:, 1]
    gradients(some)
    rows = deepest.out.weight.grad
    assert rows is not None
    last = rows.norm(dim=1)
    assert not last[:4].any()
    assert last[4:7].all()
    assert not last[7:].any()


# Settings


def test_the_shipped_settings_are_read_and_the_roles_scripts_know_their_flags() -> None:
    from adapters.train.answerer import AnswererConfig
    from adapters.train.config import parse
    from adapters.train.grounder import GrounderConfig
    from adapters.train.planner import PlannerConfig
    from adapters.train.verifier import VerifierConfig

    config = read_default_config()
    assert json.loads(json.dumps(config.to_json())) == json.loads(
        json.dumps(read_default_config(DEFAULT_FILE).to_json())
    )
    kinds: dict[str, Any] = {"planner": PlannerConfig, "grounder": GrounderConfig, "verifier": VerifierConfig,
                             "answerer": AnswererConfig}  # fmt: skip
    assert set(config.roles.settings) <= {"all", "mine", *kinds}
    for role, kind in kinds.items():
        settings = {**config.roles.settings.get("all", {}), **config.roles.settings.get(role, {})}
        needed = ["--model", "m", "--data", "d", "--val", "v", "--out", "o"]
        read = parse(kind, [*needed, *roles.flags(settings)], role, "")
        for name, value in settings.items():
            found = getattr(read, name)
            assert found == value or (found == () and value == "none"), (role, name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("step: 3", "unknown step; expected some of world"),
        ("shape: {width: 3}", "unknown shape.width"),
        ("shape: 3", "shape 3: expected names with values"),
        ("shape: {hidden: wide}", "shape.hidden 'wide': expected a whole number"),
        ("shape: {hidden: 100}", "shape: hidden must be heads times"),
        ("shape: {vision_heads: 7}", "vision_width must be"),
        ("learning_rate: 1e-3", "learning_rate '1e-3': expected a number, 0 or more .*0.001"),
        ("learning_rate: 2", "learning_rate 2: expected more than 0"),
        ("weights: {states: .nan}", "weights.states nan"),
        ("steps: 0", "steps 0: expected a whole number, at least 1"),
        ("steps: true", "steps True"),
        ("pack_tokens: 1000", "pack_tokens 1000: expected a multiple of 128"),
        ("betas: [0.9]", "betas .*: expected 2 numbers"),
        ("stages: []", "stages"),
        ("stages: [{share: 1.0, lengths: [[20, 12, 1]]}]", "stages: number 1: expected lengths"),
        ("stages: [{share: 1.0, lengths: [12, 20]}]", "stages: .*number 1"),
        ("stages: [{share: 0.5, lengths: [[12, 20, 1]]}]", "stages: their shares must sum to 1"),
        ("roles: {settings: {all: 3}}", "roles.settings"),
        ("- a", "expected lines such as"),
    ],
)
def test_settings_that_cannot_be_meant_are_named_with_their_file(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        read_default_config(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_changes_win_over_the_file_and_reach_nested_settings(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("steps: 7\nshape: {vocabulary: 600}\n", encoding="utf-8")
    config = read_default_config(path, {"steps": 9, "shape.layers": 2, "roles.train": [5, 6]})
    assert (config.steps, config.shape.layers, config.shape.vocabulary, config.roles.train) == (9, 2, 600, (5, 6))


# The adapters


def test_flags_are_what_a_command_line_takes() -> None:
    settings = {"learning_rate": 0.001, "mined_only": True, "balance": False, "steps": [1, 2], "report_to": "none"}
    assert roles.flags(settings) == ["--learning-rate", "0.001", "--mined-only", "--steps", "1", "2",
                                     "--report-to", "none"]  # fmt: skip


def test_adapters_to_start_from_change_nothing_and_can_be_stored_in_half(trained: Path, tmp_path: Path) -> None:
    from adapters.frames import open_video
    from adapters.qwen2vl import Qwen2VL

    base, begin = trained / "base", tmp_path / "begin"
    (tmp_path / ".begin.part").mkdir()  # left by an interrupted run
    config = RolesConfig(rank=4, alpha=8.0)
    roles.write_start(begin, base, trained / "head.safetensors", config, BOOK, MANNER, seed=0)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["begin"]
    size = roles.in_half(begin)
    assert size == sum(one.stat().st_size for one in begin.rglob("*") if one.is_file())
    stored = [load_file(one) for one in sorted(begin.rglob("*.safetensors"))]
    assert len(stored) == 5
    assert {tensor.dtype for file in stored for tensor in file.values()} == {torch.bfloat16}

    alone = Qwen2VL.load(str(base), None, device="cpu", dtype="float32")
    adapted = Qwen2VL.load(None, str(begin), device="cpu", dtype="float32")
    assert adapted.manner.choose == "likelihood"
    texts = ["the red box", "the blue basket"]
    budget = Budget(1.0, 8, 4 * PX_PER_TOKEN, 12 * PX_PER_TOKEN)
    with open_video(ROOT / "tests" / "data" / "oracle" / "videos" / "v4.mp4") as file:
        video = alone.watch(file)
        adapted.watch(file)
        clip = Clip(video, None, budget)
        for role in ROLES:
            assert adapted.has(role)
            request = Request(role, clip, plain("where is the ball?"), max_new_tokens=6)
            assert adapted.write(request).text == alone.write(request).text
            assert adapted.choose(request, texts).log_probs == pytest.approx(alone.choose(request, texts).log_probs)
        said = adapted.tokens.encode([Part("At <|reg|>.", trusted=True)])
        adapted.forced_replies["grounder"] = said
        pointing = adapted.point(Request("grounder", clip, plain("green puts ball"), max_new_tokens=len(said)))
    head = load_file(trained / "head.safetensors")
    assert adapted._head is not None
    for name, tensor in adapted._head.state_dict().items():
        assert torch.equal(tensor, head[name].to(torch.bfloat16).float()), name
    assert pointing.rows_norm
    assert all(0 <= confidence <= 1 for _, _, confidence in pointing.rows_norm)


def test_a_folder_without_the_grounders_head_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="missing; was the grounder trained"):
        roles.in_half(tmp_path)


def test_a_step_that_fails_is_named_with_its_exit_code() -> None:
    with pytest.raises(StepError, match=r"prompts\.nothing --some failed with exit code 1"):
        roles.start(["prompts.nothing", "--some"])


# The report


def test_curves_are_a_picture_and_the_card_states_the_numbers(trained: Path, tmp_path: Path) -> None:
    lines = curve(trained / LOG_FILE)
    report.draw_curves(lines, tmp_path / "curves.png")
    picture = (tmp_path / "curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000
    lines[-1]["right"]["reality"] = lines[-2]["right"]["reality"] = lines[0]["right"]["reality"] = 0.625
    lines[1]["right"]["reality"] = 0.625
    card = report.base_card(CONFIG, lines, 12_345_678, 5400.0)
    for text in ("12.3 million parameters", "9 steps of 2 packs of 1,024 tokens", "90 minutes", "| reality | 62.5 |",
                 "Hidden 96, 3 layers, 3 heads, 1 key-value heads", "| 100% | 4-9 s (1) | whole 1 |"):  # fmt: skip
        assert text in card
    report.base_card(CONFIG, lines[:1], 1, 1.0)  # a training of a single line


def test_the_report_lies_beside_the_weights(trained: Path) -> None:
    base = trained / "base"
    report.write_report(CONFIG, curve(trained / LOG_FILE), base, 60.0)
    weights = load_file(base / "model.safetensors")
    count = sum(tensor.numel() for tensor in weights.values())
    assert f"{count / 1e6:.1f} million parameters" in (base / report.CARD_FILE).read_text(encoding="utf-8")
    assert json.loads((base / "training.json").read_text(encoding="utf-8")) == json.loads(json.dumps(CONFIG.to_json()))
    assert (base / report.CURVES_FILE).is_file()


# The command


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(CONFIG.to_json()))), encoding="utf-8")
    return path


def test_help_is_quick_as_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, time\n"
        "from adapters.train.default.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'transformers', 'numpy', 'yaml', 'safetensors', 'matplotlib'} & set(sys.modules)\n"
        "print('heavy', sorted(heavy), 'took', time.process_time())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--only" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("heavy [] took")
    assert float(last.split()[-1]) < 0.5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "step=3"], "unknown step; expected some of world"),
        (["--set", "shape.wide=3"], "unknown shape.wide"),
        (["--set", "steps"], "--set steps: expected NAME=VALUE"),
        (["--set", "steps=["], "--set steps=[: what stands behind = is no value in YAML"),
        (["--set", "world=prompts:Nothing", "--device", "cpu"], "world 'prompts:Nothing' cannot be loaded"),
        (["--only", "everything"], "argument --only: invalid choice"),
        (["--config", "none.yaml"], "none.yaml: cannot be read"),
        (["--workers", "-1"], "--workers -1: expected a number of processes"),
        (["--only", "card"], "log.jsonl: cannot be used (No such file or directory)"),
    ],
)
def test_wrong_use_gets_one_line_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "out"), *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "tokenizer of" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("mindreel: error: ")
    assert said in lines[0]


def test_the_command_stops_when_the_time_is_up_and_goes_on(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    out = tmp_path / "out"
    command = ["--out", str(out), "--config", str(settings), "--only", "base", "--workers", "0", "--device", "cpu"]
    assert main([*command, "--minutes", "0"]) == MORE_TO_DO
    assert not (out / "base").exists()
    assert main([*command, "--set", "steps=3"]) == 0
    assert [line["step"] for line in curve(out / ".train" / LOG_FILE)] == [2, 3]
    assert sorted(one.name for one in (out / "base").iterdir()) == [
        "chat_template.jinja", "config.json", "generation_config.json", "mindreel.json", "model.safetensors",
        "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert (out / ".train" / "head.safetensors").is_file()


def test_an_interrupt_in_a_later_step_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(roles, "make_films", interrupted)
    assert main(["--out", str(tmp_path), "--only", "films", "--device", "cpu"]) == 130
    assert capsys.readouterr().err == "mindreel: interrupted; the same command goes on\n"


def test_ctrl_c_saves_everything_though_it_reaches_the_workers_too(settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--config", str(settings), "--only", "base", "--device", "cpu", "--workers", "1",
                 "--no-states", "--set", "reuse=1", "steps=1000"]  # fmt: skip
    with (tmp_path / "said").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", OFTEN_LOGGED, *arguments], cwd=ROOT, stderr=said,
            env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True,
        )  # fmt: skip
        try:
            end = time.monotonic() + 120
            while not (out / ".train" / LOG_FILE).is_file() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGINT)
            code = process.wait(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    text = (tmp_path / "said").read_text(encoding="utf-8")
    assert code == 130, text
    assert "Traceback" not in text
    step = int(state_info(out / ".train")["step"])
    assert step >= 4
    assert f"stopped after step {step} of 1000; the same command goes on" in text
