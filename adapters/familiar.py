"""Frames of a film go in; whether the film is of the kind that a model was trained on comes out, with a score.

A model trained on one drawn world alone answers questions about any film as if it were of that world. The detector
compares how the film is drawn, never what happens in it: how sharp edges are and how many, how much of the picture is
flat, dark, pale or coloured, how busy it is from top to bottom, how many colours it has. These statistics of the
training films make a Gaussian; a film too far from it is strange.

Statistics of the pixels were chosen over the visual tokens: tokens of a tower that has seen one world only need not
tell other films apart, and pixels leave the detector as it is when the tower is trained again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from roles.errors import CheckpointError

FRAMES = 8
"""So many frames of a clip are looked at, evenly spread; a cut or a fade is then one of several."""

AREA_PX = 168 * 112
"""Frames are compared at about this many pixels, whatever the budget they were read at."""
_AS_THEY_ARE_PX = (12_544, 22_736)
"""Frames within these areas are not resized: resizing blurs, and edges are what tells most."""

MIN_CLIPS = 100
"""Fewer training clips than this give no covariance worth the name."""
FOLDS = 5
GRAIN = 4.0
"""Standard deviation of the strongest grain, in levels, that training clips are varied by."""
SOFT_PX = 0.7
"""Standard deviation of the strongest softening."""
SHRINK = 0.15
"""Share of the unit matrix in the correlations: unseen backdrops move statistics that were locked in training."""
QUANTILE = 0.99
MARGIN = 1.8
"""The limit is so many times what 99% of held-back training clips stay below: room for unseen backdrops."""

_STEPS = (0.1, 0.25, 0.5, 0.65, 0.75, 0.85, 0.92, 0.97, 0.99)
_BENDS = (0.5, 0.8, 0.95, 0.99)
_FLAT_LEVELS = (6, 12, 24, 48, 96)
_BANDS = 8
_COLOURS = 16**3
STATISTICS = len(_STEPS) + len(_BENDS) + len(_FLAT_LEVELS) + 2 * _BANDS + 7 + 2 + 4
"""Length of what `statistics` returns."""

_FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Familiarity:
    """A verdict on a film.

    Attributes:
        score: Distance from the training films; about 1 for those.
        limit: Above it a film is strange.
        strange: Whether it is.
    """

    score: float
    limit: float
    strange: bool


class FilmDetector:
    """Knows the films that a model was trained on, by how they are drawn.

    Attributes:
        limit: Scores above it are strange.
    """

    def __init__(self, mean: Tensor, whitening: Tensor, limit: float) -> None:
        """Takes what `fit` found.

        Args:
            mean: Of the training clips' statistics, [STATISTICS].
            whitening: Takes a difference from the mean to one whose squared length is `STATISTICS` on average,
                [STATISTICS, STATISTICS].
            limit: Scores above it are strange.
        """
        self._mean, self._whitening = mean, whitening
        self.limit = limit

    @classmethod
    def fit(cls, clips: Iterable[Tensor], *, margin: float = MARGIN) -> FilmDetector:
        """Learns training films.

        Clips should be as varied as what will be asked about: whole films seen at a few moments and short parts, and
        all backdrops. Each is also learned with grain and softened, as compression and resizing leave films, so that
        it matters little whether the clips come from files or are drawn. Each fifth of the clips in turn is held back
        and measured by the others for the limit.

        Args:
            clips: Each one's frames, uint8 [frames, 3, height, width]; about 300, at least `MIN_CLIPS`.
            margin: See `MARGIN`.

        Raises:
            ValueError: There are too few clips, or something is no clip.
        """
        rows = [torch.stack([statistics(one) for one in _variants(clip, number)]) for number, clip in enumerate(clips)]
        if len(rows) < MIN_CLIPS:
            raise ValueError(f"{len(rows)} clips are too few to know films by; give at least {MIN_CLIPS}")
        seen = torch.cat(rows).double()
        # A clip's variants are held back together.
        fold = torch.arange(len(rows)).repeat_interleave(len(rows[0])) % FOLDS
        held_back = torch.cat([_distance(seen[fold == one], *_gaussian(seen[fold != one])) for one in range(FOLDS)])
        mean, whitening = _gaussian(seen)
        return cls(mean.float(), whitening.float(), margin * float(held_back.quantile(QUANTILE)))

    def save(self, path: Path) -> None:
        """Writes the detector, about 10 KB of safetensors."""
        from safetensors.torch import save_file

        tensors = {"mean": self._mean, "whitening": self._whitening, "limit": torch.tensor([self.limit])}
        save_file({name: one.float().contiguous() for name, one in tensors.items()}, path, {"format": _FORMAT})

    @classmethod
    def load(cls, path: Path) -> FilmDetector:
        """Reads what `save` wrote.

        Raises:
            CheckpointError: The file is missing or broken, or holds something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot be read as safetensors ({error}); copy it again") from error
        shapes = {"mean": [STATISTICS], "whitening": [STATISTICS, STATISTICS], "limit": [1]}
        if metadata.get("format") != _FORMAT or {name: list(one.shape) for name, one in tensors.items()} != shapes:
            raise CheckpointError(
                f"{path}: holds no film detector that this version knows (format {metadata.get('format')!r}, expected "
                f"{_FORMAT!r}); update, or delete the file to do without"
            )
        tensors = {name: one.float() for name, one in tensors.items()}
        if not all(bool(one.isfinite().all()) for one in tensors.values()) or float(tensors["limit"]) <= 0:
            raise CheckpointError(f"{path}: holds numbers that cannot be meant; copy it again")
        return cls(tensors["mean"], tensors["whitening"], float(tensors["limit"]))

    def judge(self, frames: Tensor) -> Familiarity:
        """Says whether a film is of the training films' kind.

        Args:
            frames: Of one clip as the vision tower gets them, uint8 [frames, 3, height, width], on any device.

        Raises:
            ValueError: These are no frames.
        """
        score = float(_distance(statistics(frames)[None], self._mean, self._whitening))
        return Familiarity(score=score, limit=self.limit, strange=score > self.limit)


def statistics(frames: Tensor) -> Tensor:
    """How a clip is drawn: averages over its frames, [STATISTICS], float32 on the CPU.

    Args:
        frames: uint8 [frames, 3, height, width].

    Raises:
        ValueError: These are no frames.
    """
    levels = _chosen(frames)
    x = levels.float()
    grey = (x * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)
    across = (x[..., 1:] - x[..., :-1]).abs().amax(1)[:, :-1]
    down = (x[:, :, 1:] - x[:, :, :-1]).abs().amax(1)[:, :, :-1]
    steps = torch.maximum(across, down)
    bends = (grey[:, 1:-1, 2:] - 2 * grey[:, 1:-1, 1:-1] + grey[:, 1:-1, :-2]).abs()
    most, least = x.amax(1), x.amin(1)
    range_ = most - least
    shares = [most < 80, most < 110, least > 235, range_ > 120, range_ > 60, range_ < 12, range_ < 25]
    # Drawings have outlines: how many of the hard edges have something dark beside them.
    hard = (steps > 60).float()
    dark = functional.max_pool2d((most < 110).float(), 3, 1, 1)[:, :-1, :-1]
    outlined = (hard * dark).sum((1, 2)) / (hard.sum((1, 2)) + 50)
    leaning = (across.mean((1, 2)) + 1).log() - (down.mean((1, 2)) + 1).log()
    bands = [
        value
        for band, greys in zip(steps.tensor_split(_BANDS, 1), grey.tensor_split(_BANDS, 1), strict=True)
        for value in ((band.mean((1, 2)) + 1).log(), greys.mean((1, 2)) / 64)
    ]
    columns = [
        *_quantiles(steps, _STEPS),
        *_quantiles(bends, _BENDS),
        *(share.float().mean((1, 2)).sqrt() for share in shares),
        outlined,
        leaning,
        *bands,
        *_flatness(x),
        *_palette(levels),
    ]
    return torch.stack([column.mean() for column in columns])


def _variants(frames: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """A training clip as it is, with grain, and softened; at most `FRAMES` of its frames, at the compared size."""
    frames = _chosen(frames)
    chance = torch.Generator().manual_seed(number)
    strength, sigma = (torch.rand(2, generator=chance) * torch.tensor([GRAIN, SOFT_PX])).tolist()
    grain = torch.randn((len(frames), 1, *frames.shape[2:]), generator=chance) * strength
    grainy = (frames + grain).round().clamp(0, 255).to(torch.uint8)
    beside = 0.5 * min(1.0, sigma**2)
    row = torch.tensor([beside, 1 - 2 * beside, beside])
    kernel = (row[:, None] * row).expand(3, 1, 3, 3)
    padded = functional.pad(frames.float(), (1, 1, 1, 1), mode="replicate")
    softened = functional.conv2d(padded, kernel, groups=3).round().clamp(0, 255).to(torch.uint8)
    return frames, grainy, softened


def _chosen(frames: Tensor) -> Tensor:
    """At most `FRAMES` frames, evenly spread, at the size at which they are compared, on the CPU.

    Raises:
        ValueError: These are no frames.
    """
    if frames.dtype != torch.uint8 or frames.dim() != 4 or frames.shape[1] != 3 or not frames.numel():
        raise ValueError(f"expected frames, uint8 [frames, 3, height, width], got {frames.dtype} {list(frames.shape)}")
    numbers = torch.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().long()
    return _sized(frames[numbers.to(frames.device)].cpu())


def _sized(levels: Tensor) -> Tensor:
    """Frames at the size at which they are compared."""
    height, width = levels.shape[2:]
    smallest, largest = _AS_THEY_ARE_PX
    scale = 1.0 if smallest <= height * width <= largest else (AREA_PX / (height * width)) ** 0.5
    size = (max(_BANDS + 1, round(height * scale)), max(_BANDS + 1, round(width * scale)))
    if size == (height, width):
        return levels
    resized = functional.interpolate(levels.float(), size=size, mode="bicubic", antialias=True, align_corners=False)
    return resized.round().clamp(0, 255).to(torch.uint8)


def _quantiles(values: Tensor, shares: tuple[float, ...]) -> list[Tensor]:
    """Logarithms of quantiles within each frame, [frames] for each share."""
    return list((values.flatten(1).quantile(torch.tensor(shares), dim=1) + 1).log())


def _flatness(x: Tensor) -> list[Tensor]:
    """Shares of the blocks of 4 x 4 pixels whose levels lie within some range, [frames] for each."""
    highest = functional.max_pool2d(x, 4)
    lowest = -functional.max_pool2d(-x, 4)
    spread = (highest - lowest).amax(1)
    return [(spread < level).float().mean((1, 2)) for level in _FLAT_LEVELS]


def _palette(levels: Tensor) -> list[Tensor]:
    """Entropy of the colours, shares of the most frequent and of the eight most frequent, and how many there are."""
    coarse = (levels >> 4).long()
    codes = (coarse[:, 0] * 256 + coarse[:, 1] * 16 + coarse[:, 2]).flatten(1)
    shares = torch.stack([torch.bincount(frame, minlength=_COLOURS) for frame in codes]).float() / codes.shape[1]
    ordered = shares.sort(dim=1, descending=True).values
    many = (shares > 0.0005).sum(1).float().sqrt() / 3
    return [torch.special.entr(shares).sum(1), ordered[:, 0], ordered[:, :8].sum(1), many]


def _gaussian(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and whitening of the statistics of clips, [clips, STATISTICS]."""
    mean, spread = seen.mean(0), seen.std(0) + 1e-3
    scaled = (seen - mean) / spread
    unit = torch.eye(len(mean), dtype=seen.dtype)
    correlation = (1 - SHRINK) * scaled.T @ scaled / len(seen) + SHRINK * unit
    return mean, torch.linalg.cholesky(torch.linalg.inv(correlation)) / spread[:, None]


def _distance(rows: Tensor, mean: Tensor, whitening: Tensor) -> Tensor:
    """Distances of statistics [clips, STATISTICS] from the Gaussian, per dimension, [clips]."""
    distance: Tensor = torch.linalg.vector_norm((rows - mean) @ whitening, dim=1) / len(mean) ** 0.5
    return distance
