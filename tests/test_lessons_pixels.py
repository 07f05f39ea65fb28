"""Pixels of lessons: the tower's layout, sizes as resizing gives them, the same from both renderers."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from packaging.version import Version

from adapters.frames import resize
from adapters.vision import patches
from eval.lesson_pixels import Film, cut, draw, drawn_size, pasted
from eval.lessons import Lessons
from eval.worlds import plot, raster
from eval.worlds.stage import draw_list

INTERPRETED = """
import torch
from eval.lesson_pixels import Film, draw
from tests.worlds_shapes import medley

films = [Film(medley(2, 3, 1), 2.0, 5), Film(medley(2, 1, 2, width=4 / 3), 0.0, 6), Film(medley(2, 1, 3), 1.0, 7)]
torch.save(draw(films, 2, 3, "cpu"), {path!r})
"""


def film(seed: int, aspect: str, noise: float = 0.0) -> Film:
    scene = plot.scene(seed, plot.members(seed)[0], length_s=14, aspect=aspect, check=False)
    return Film(draw_list(scene, np.array([2.0, 2.5, 9.0, 9.5])), noise, seed)


def test_patches_are_cut_as_the_tower_takes_them_and_pasted_back() -> None:
    frames = torch.randint(0, 256, (4, 3, 56, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = torch.zeros(3), torch.full((3,), 1 / 255)
    expected = patches(frames, mean, std, 14, 2).round().to(torch.uint8)
    assert torch.equal(cut(frames), expected.reshape(-1, 1176))
    assert torch.equal(pasted(cut(frames), 84, 56), frames)


@pytest.mark.parametrize(("aspect", "columns"), [("3:2", 6), ("16:9", 7)])
def test_a_film_of_the_views_shape_is_drawn_at_its_size(aspect: str, columns: int) -> None:
    shown = film(3, aspect, noise=2.0)
    frames = raster.draw(shown.drawn, columns * 28, 112, None, 2.0, 3)
    expected = torch.from_numpy(frames).permute(0, 3, 1, 2)
    assert torch.equal(pasted(draw([shown], 4, columns, "cpu"), columns * 28, 112), expected)


def test_a_film_of_another_shape_is_resized_as_files_are() -> None:
    shown = film(3, "4:3")
    found = pasted(draw([shown], 4, 6, "cpu"), 168, 112)
    large = raster.draw(shown.drawn, 298, 224)
    expected = torch.stack([resize(frame, 112, 168, "cpu") for frame in large])
    assert (found.float() - expected.float()).abs().mean() < 2.5
    plain = torch.stack([resize(frame, 112, 168, "cpu") for frame in raster.draw(shown.drawn, 224, 168)])
    assert torch.equal(found, plain)


def test_films_of_one_call_keep_their_order_whatever_their_shapes() -> None:
    shown = [film(3, "4:3"), film(4, "3:2"), film(5, "4:3"), film(6, "3:2")]
    apart = torch.cat([draw([one], 4, 6, "cpu") for one in shown])
    together = Lessons().draw(shown, 4, 6, "cpu")
    assert together.dtype == torch.uint8
    assert together.shape == (4 * 2 * 4 * 24, 3 * 2 * 14 * 14)
    assert torch.equal(together, apart)
    assert not torch.equal(apart[:192], apart[192:384])


@pytest.mark.parametrize("columns", [6, 7, 9])
def test_a_stage_is_drawn_in_its_own_shape(columns: int) -> None:
    for width in (4 / 3, 1.5, 16 / 9):
        across, high = drawn_size(width, 4, columns)
        assert across % 28 == high % 28 == 0
        assert abs(width * high / across - 1) < 0.02
        assert high >= 112
        assert (across, high) == (columns * 28, 112) or high > 112


def test_the_renderer_for_gpus_gives_the_same_levels(tmp_path: object) -> None:
    triton = pytest.importorskip("triton")
    if Version(triton.__version__) < Version("3.7") and Version(np.__version__) >= Version("2.4"):
        pytest.skip("the interpreter of Triton before 3.7 does not run with numpy 2.4; the kernel itself does")
    path = f"{tmp_path}/levels.pt"
    both = []
    for environment in ({"TRITON_INTERPRET": "1"}, {"TRITON_INTERPRET": "0"}):
        done = subprocess.run(
            [sys.executable, "-c", INTERPRETED.format(path=path)],
            capture_output=True,
            text=True,
            env=os.environ | environment,
        )
        assert done.returncode == 0, done.stderr
        both.append(torch.load(path))
    assert both[0].dtype == torch.uint8
    assert both[0].shape == (3 * 4 * 6, 1176)
    difference = (both[0].int() - both[1].int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 1e-3
