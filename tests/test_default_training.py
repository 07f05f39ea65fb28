"""The default model's base training: what it computes equals the model's own pass, and its data depend on numbers alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import adapters.train.default
from adapters.decode import LanguageModel
from adapters.heads.losses import grid_targets, grounding_losses
from adapters.heads.timestamp import TimestampHead
from adapters.layout import lay_out
from adapters.tokens import REG, Tokens
from adapters.train.default.augment import augmented
from adapters.train.default.base import fresh_base, write_base
from adapters.train.default.config import Shape, Weights
from adapters.train.default.contract import Lesson, Segment, Stage, States, StateSizes
from adapters.train.default.grounding import padded_losses
from adapters.train.default.network import BaseNetwork, normalised
from adapters.train.default.pack import Packer
from adapters.train.default.tokenizer import build_tokenizer
from adapters.vision import encode
from prompts import Part, PromptBook, plain, read_prompt_file
from roles.manner import Manner
from roles.types import Span

WORDS = ["ball", "box", "green", "red", "where", "is", "the", "thinks", "basket", "blue", "puts", "looks"]
SHAPE = Shape(hidden=96, layers=3, heads=3, kv_heads=1, intermediate=128, vocabulary=300, mrope_section=(4, 6, 6),
              vision_width=64, vision_depth=2, vision_heads=2)  # fmt: skip
SIZES = StateSizes(kinds=3, names=6, classes=4, colours=3, shapes=3, visible=(1,))
MANNER = Manner(style="direct", choose="likelihood", marks="aligned")
BOOK = read_prompt_file(Path(adapters.train.default.__file__).with_name("prompts.json"))
STAGE = Stage(1.0, ((4, 9, 1.0),))


class Squares:
    """A world of noise: films are seeds, questions are words."""

    state_sizes = SIZES

    def lesson(self, number: int, stage: Stage, manner: Manner, prompts: PromptBook) -> Lesson:
        dice = random.Random(number)
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

    def texts(self, count: int) -> Iterator[str]:
        dice = random.Random(0)
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
    text = loaded.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)
    chat = tokens.chat(plain("where is the ball?"))
    expected = [*chat.head, tokens.id("<|video_pad|>"), *chat.tail]
    assert loaded(text, add_special_tokens=False)["input_ids"] == expected
    assert len(loaded) == SHAPE.vocabulary


def test_a_pack_gives_each_question_what_the_model_alone_gives(tokens: Tokens) -> None:
    world = Squares()
    make = packer(tokens)
    pack = make.make(world, 3, STAGE)
    model = fresh_base(SHAPE, tokens, 0)
    network = BaseNetwork(model, SIZES, Weights())
    levels = [world.draw(g.films, g.rows, g.columns, "cpu").view(g.patches, 4 * g.rows * g.columns, -1) for g in pack.groups]
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
            layout = lay_out(tokens, BOOK.get("answerer", "question").fill(question=""),
                             (lesson.patches, lesson.rows, lesson.columns), lesson.marked_norm, aligned=True)  # fmt: skip
            tail = len(tokens.chat(BOOK.get("answerer", "question").fill(question="")).tail)
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
    assert torch.allclose(ours, theirs, atol=0.05 * float(ours.abs().max()))
