"""What docs/worlds.md shows runs, the kinds and types that it names are those there are, and pictures are current."""

import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from eval.worlds import film, plot, questions, raster, show, splits, stage
from eval.worlds.sheet import draw
from roles.minds import Minds

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "worlds.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    [code] = re.findall(r"^```python\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/worlds.md", "exec"), names)  # noqa: S102 - our own documentation
    assert names["frames"].shape[1:] == (112, 168, 3)
    assert names["frames"].shape[0] == names["drawn"].frames
    assert {question.type for question in names["asked"]} >= {"reality", "honesty"}


def test_every_kind_and_type_is_explained() -> None:
    words = set(re.findall(r"`([a-z_0-9]+)`", DOCS))
    kinds = {kind.removesuffix("_distrusted") for kind in plot.all_kinds()}
    assert kinds - words == set()
    assert set(questions.TYPES) - words == set()
    for first, stop in splits.RANGES.values():
        assert f"{first:,} to {stop - 1:,}" in DOCS


def test_the_picture_in_the_readme_is_what_show_draws() -> None:
    scene = plot.scene(20_000_050, "secret_peek")
    minds = Minds(scene.story)
    sheet = show.sheet_of(scene, minds, questions.ask(scene, minds))
    drawn = np.asarray(draw(sheet).convert("RGB"), dtype=float)
    with Image.open(ROOT / "docs" / "world.png") as picture:
        kept = np.asarray(picture.convert("RGB"), dtype=float)
    assert kept.shape == drawn.shape
    assert np.abs(kept - drawn).mean() < 3  # its colours are few, to be small


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.mp4")), ids=lambda path: path.stem)
def test_the_example_films_are_what_make_makes(path: Path) -> None:
    assert path.stat().st_size < 350_000
    seed, kind = path.stem.split("-")
    scene = plot.scene(int(seed), kind)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
    times_s = film.frame_times(scene.duration_s, scene.look.fps)
    assert len(frames) == len(times_s)
    some = list(range(0, len(frames), 17))
    height, width = frames[0].shape[:2]
    drawn = raster.draw(stage.draw_list(scene, times_s), width, height, some, scene.look.noise, scene.look.seed)
    for k, wanted in zip(some, drawn, strict=True):
        assert np.abs(frames[k] - wanted).mean() < 7, k  # compression; another film of this stage differs by more


def test_there_are_five_example_films() -> None:
    assert len(list((ROOT / "examples").glob("*.mp4"))) == 5
