"""Samples of a pass go in, the tensors of one packed forward pass come out.

`assemble` lays samples out behind each other, without padding, and lets those on the same clip share its tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from adapters.frames import frame_indices, resized_hw
from adapters.heads.losses import Targets, draw_positive_step, grid_targets
from adapters.layout import lay_out
from adapters.tokens import END, REG, Tokens
from adapters.train.attention import Group, Pack
from adapters.train.recipe import Sample
from roles.types import Clip


@dataclass(frozen=True, slots=True)
class ClipKey:
    """Tells clips apart: the same key is the same visual tokens in the same places.

    Attributes:
        path: The video.
        indices: Numbers of its frames.
        height_px: Height that they are resized to.
        width_px: Width that they are resized to.
        marked_norm: Where segment tokens stand, as fractions of the clip; None without.
    """

    path: str
    indices: tuple[int, ...]
    height_px: int
    width_px: int
    marked_norm: tuple[float, float] | None = None

    @classmethod
    def of(cls, clip: Clip) -> ClipKey:
        """The key of a clip, from what is known of its video; nothing is decoded."""
        video = clip.video
        start_s, end_s = (clip.span.start_s, clip.span.end_s) if clip.span is not None else (None, None)
        indices = frame_indices(video.frames, video.fps, clip.budget, start_s, end_s)
        height, width = resized_hw(video.height_px, video.width_px, clip.budget)
        return cls(video.path, tuple(indices), height, width, clip.marked_norm)

    @property
    def frames(self) -> ClipKey:
        """The same without marks: what the vision tower sees."""
        return replace(self, marked_norm=None)

    def grid(self, token_px: int) -> tuple[int, int, int]:
        """Temporal patches, and rows and columns of visual tokens."""
        return len(self.indices) // 2, self.height_px // token_px, self.width_px // token_px


@dataclass(frozen=True, slots=True)
class Grounding:
    """What the regression head learns from one clip of a pack; Q questions on it.

    Attributes:
        first_visual: Where the clip's visual tokens begin among those of the pack.
        grid: Temporal patches, and rows and columns of visual tokens.
        samples: Numbers of the questions in the pack, [Q].
        states: For each, the position whose next token is the timestamp token, [Q].
        targets: What is true of them.
        positive: For each, the step that the contrastive loss takes as the right one, [Q].
    """

    first_visual: int
    grid: tuple[int, int, int]
    samples: Tensor
    states: Tensor
    targets: Targets
    positive: Tensor

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Grounding:
        """Itself with every tensor changed."""
        truth = Targets(*(change(x) for x in (self.targets.boundary, self.targets.real, self.targets.saliency)))
        samples, states, positive = (change(x) for x in (self.samples, self.states, self.positive))
        return Grounding(self.first_visual, self.grid, samples, states, truth, positive)


@dataclass(frozen=True, slots=True)
class Pass:
    """One packed forward pass; L tokens, N of them visual, M of them predicted, S samples.

    Attributes:
        ids: Token ids, [L].
        positions: Time, row and column, [3, L].
        visual: Where visual tokens go, [N].
        pack: How the sequence is divided.
        clips: Per group, frames uint8 [2 T, 3, height, width] or visual tokens [T, tokens per patch, H].
        predict: Positions whose next token is learned, [M].
        targets: Those tokens, [M].
        owner: Which sample each belongs to, [M].
        shares: One over how many tokens that sample predicts, float32, [M].
        samples: S.
        weight: What the sum of its samples' losses is multiplied with, so that a step's mean comes out.
        groundings: What the regression head learns.
        broken: (video, reason) of samples that had to be replaced.
    """

    ids: Tensor
    positions: Tensor
    visual: Tensor
    pack: Pack
    clips: tuple[Tensor, ...]
    predict: Tensor
    targets: Tensor
    owner: Tensor
    shares: Tensor
    samples: int
    weight: float = 1.0
    groundings: tuple[Grounding, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()

    def pin_memory(self) -> Pass:
        """Itself in page-locked memory, from where copies to a GPU need not wait; called by the data loader."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def on(self, device: torch.device) -> Pass:
        """Itself on a device."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Pass:
        tensors: dict[str, Any] = {
            f.name: change(value) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(
            self,
            **tensors,
            clips=tuple(change(clip) for clip in self.clips),
            groundings=tuple(one.mapped(change) for one in self.groundings),
        )


def sample_length(tokens: Tokens, sample: Sample, key: ClipKey, token_px: int) -> tuple[int, int]:
    """Tokens of a sample: (shared with others on the clip, its own), without laying it out."""
    chat = tokens.chat(sample.request.prompt, sample.request.reply_start)
    grid = key.grid(token_px)
    marks = 2 if key.marked_norm is not None else 0
    return len(chat.head) + grid[0] * grid[1] * grid[2] + marks, len(chat.tail) + len(reply_ids(tokens, sample))


def reply_ids(tokens: Tokens, sample: Sample) -> list[int]:
    """What a sample teaches to write, the end token included."""
    return [*tokens.encode([sample.reply]), tokens.id(END)]


def assemble(
    samples: Sequence[Sample],
    tokens: Tokens,
    token_px: int,
    load: Callable[[ClipKey], Tensor],
    weight: float = 1.0,
    aligned: bool = False,
) -> Pass:
    """Packs samples.

    Args:
        samples: At least one.
        tokens: The checkpoint's tokenizer.
        token_px: Side of the square behind one visual token.
        load: Gives a clip's frames or visual tokens.
        weight: See `Pass`.
        aligned: How tokens around segment tokens are numbered; see `adapters.positions`.

    Raises:
        VideoError: From `load`.
    """
    groups: dict[ClipKey, list[int]] = {}
    for number, sample in enumerate(samples):
        groups.setdefault(ClipKey.of(sample.request.clip), []).append(number)
    ids: list[Tensor] = []
    positions: list[Tensor] = []
    visual: list[Tensor] = []
    predict: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    shares: list[float] = []
    packed: list[Group] = []
    groundings: list[Grounding] = []
    reg = tokens.id(REG) if tokens.has_new_tokens else -1
    start = first_visual = 0
    for key, numbers in groups.items():
        grid = key.grid(token_px)
        prefix = 0
        suffixes: list[int] = []
        pointing: list[tuple[int, int]] = []
        for number in numbers:
            sample = samples[number]
            reply = reply_ids(tokens, sample)
            laid = lay_out(
                tokens, sample.request.prompt, grid, key.marked_norm, sample.request.reply_start, reply, aligned
            )
            if not suffixes:
                prefix = int(laid.visual[-1]) + 1
                ids.append(laid.ids[:prefix])
                positions.append(laid.positions[:, :prefix])
                visual.append(laid.visual + start)
            own = start + prefix + sum(suffixes)
            ids.append(laid.ids[prefix:])
            positions.append(laid.positions[:, prefix:])
            suffixes.append(laid.ids.shape[0] - prefix)
            # The token before each learned one predicts it; the first is predicted by the prompt's last.
            first = own + suffixes[-1] - len(reply) - 1
            predict += range(first, first + len(reply))
            targets += reply
            owner += [number] * len(reply)
            shares += [1 / len(reply)] * len(reply)
            if reg in reply[1:]:
                pointing.append((number, first + reply.index(reg, 1)))
        if pointing:
            asked = [samples[number] for number, _ in pointing]
            length_s = asked[0].request.clip.whole_span.length_s
            truth = grid_targets([sample.spans for sample in asked], length_s, grid[0])
            draws = [torch.Generator().manual_seed(sample.draw) for sample in asked]
            steps = [draw_positive_step(row[None], draw) for row, draw in zip(truth.saliency, draws, strict=True)]
            groundings.append(
                Grounding(
                    first_visual,
                    grid,
                    torch.tensor([number for number, _ in pointing]),
                    torch.tensor([state for _, state in pointing]),
                    truth,
                    torch.cat(steps),
                )
            )
        packed.append(Group(prefix, tuple(suffixes)))
        start += packed[-1].length
        first_visual += grid[0] * grid[1] * grid[2]
    clips = tuple(load(key.frames) for key in groups)
    return Pass(
        ids=torch.cat(ids),
        positions=torch.cat(positions, dim=1),
        visual=torch.cat(visual),
        pack=Pack(tuple(packed)),
        clips=clips,
        predict=torch.tensor(predict),
        targets=torch.tensor(targets),
        owner=torch.tensor(owner),
        shares=torch.tensor(shares),
        samples=len(samples),
        weight=weight,
        groundings=tuple(groundings),
    )


def token_side_px(vision_config: Any) -> int:
    """Side in pixels of the square behind one visual token."""
    return int(vision_config.patch_size * vision_config.spatial_merge_size)
