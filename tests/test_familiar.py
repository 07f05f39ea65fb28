"""The film detector: films of the generated world of every split are familiar, whatever else is shown is strange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from torch import Tensor

from adapters.familiar import MARGIN, STATISTICS, FilmDetector, statistics
from adapters.frames import open_video, resize
from eval.worlds import plot, raster, stage
from eval.worlds.draw import dice
from eval.worlds.film import write_film
from eval.worlds.scene import YARD, Scene
from eval.worlds.splits import RANGES
from roles.errors import CheckpointError

HEIGHT_PX, WIDTH_PX = 112, 168
Pictures = NDArray[np.uint8]


def _scene(split: str, number: int, length_s: float = 20.0, yard: bool = False) -> Scene:
    """A film of 3:2; with `yard` one that has interludes."""
    seed = RANGES[split][0] + 79 * number
    while True:
        scene = plot.scene(seed, plot.members(seed)[0], length_s=length_s, aspect="3:2")
        if not yard or any(shot.place == YARD for shot in scene.shots):
            return scene
        seed += 1


def _clip(scene: Scene, times_s: Any, height_px: int = HEIGHT_PX) -> Tensor:
    drawn = stage.draw_list(scene, np.asarray(times_s))
    pixels = raster.draw(drawn, height_px * 3 // 2, height_px, noise=scene.look.noise, seed=scene.look.seed)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _training_clip(number: int) -> Tensor:
    """Of the even numbers a whole film at a few moments, of the odd ones two seconds, now and then in the yard."""
    if number % 8 == 7:
        scene = _scene("train", number, 60.0, yard=True)
        shot = next(shot for shot in scene.shots if shot.place == YARD)
        return _clip(scene, np.linspace(shot.start_s, shot.end_s, 6)[1:-1])
    scene = _scene("train", number)
    start_s = dice("start", number).uniform(0, scene.duration_s - 2)
    return _clip(scene, np.linspace(0, scene.duration_s, 4) if number % 2 == 0 else start_s + np.arange(4) / 2)


@pytest.fixture(scope="module")
def detector() -> FilmDetector:
    return FilmDetector.fit(_training_clip(number) for number in range(160))


def _film(pictures: list[Image.Image]) -> Tensor:
    return torch.stack([resize(np.array(one.convert("RGB")), HEIGHT_PX, WIDTH_PX, "cpu") for one in pictures])


def _noise() -> Tensor:
    return torch.randint(0, 256, (8, 3, HEIGHT_PX, WIDTH_PX), generator=torch.Generator().manual_seed(1)).byte()


def _landscape() -> Tensor:
    """As rough as photographs are: energy falls with the square of the frequency; the camera moves across."""
    rng = np.random.default_rng(2)
    height, width = HEIGHT_PX, WIDTH_PX + 40
    far = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.fftfreq(width)[None] * width) + 1
    waves = np.fft.fft2(rng.normal(size=(3, height, width))) / far**1.1
    field = np.fft.ifft2(waves).real
    field = (field - field.mean()) / field.std() * 45 + 110 + field[:1] / field.std() * 20
    levels = np.clip(field, 0, 255).astype(np.uint8)
    return torch.stack([torch.from_numpy(levels[:, :, 5 * k : 5 * k + WIDTH_PX]) for k in range(8)])


def _text() -> Tensor:
    rng = dice("text")
    pictures = []
    for _ in range(4):
        picture = Image.new("RGB", (504, 336), "white")
        pen = ImageDraw.Draw(picture)
        for row in range(22):
            pen.text((10, 6 + 15 * row), "".join(rng.choice("abcdefg hij klm nop") for _ in range(70)), fill="black")
        pictures.append(picture)
    return _film(pictures)


def _colour_bars() -> Tensor:
    colours = ["white", "yellow", "cyan", "lime", "magenta", "red", "blue"]
    picture = Image.new("RGB", (504, 336))
    for number, colour in enumerate(colours):
        ImageDraw.Draw(picture).rectangle((72 * number, 0, 72 * number + 71, 336), fill=colour)
    return _film([picture] * 4)


def _other_cartoon(seed: int) -> Tensor:
    """Circles, boxes and triangles with dark outlines move about in a room with a floor, a door and a window."""
    rng = dice("cartoon", seed)
    colours = [tuple(rng.randrange(60, 250) for _ in range(3)) for _ in range(9)]
    shapes = [(rng.choice("obt"), rng.uniform(40, 460), rng.uniform(80, 300), rng.uniform(15, 50)) for _ in range(7)]
    pictures = []
    for step in range(6):
        picture = Image.new("RGB", (504, 336), colours[7])
        pen = ImageDraw.Draw(picture)
        ink = (50, 40, 45)
        pen.rectangle((0, 240, 504, 336), fill=colours[8])
        pen.rectangle((60, 70, 130, 240), fill=(205, 225, 245), outline=ink, width=4)
        pen.rectangle((300, 20, 400, 90), fill=(205, 225, 245), outline=ink, width=4)
        for number, (kind, x, y, r) in enumerate(shapes):
            x += 8 * step * (-1) ** number
            if kind == "o":
                pen.ellipse((x - r, y - r, x + r, y + r), fill=colours[number], outline=ink, width=4)
            elif kind == "b":
                pen.rectangle((x - r, y - r, x + r, y + r), fill=colours[number], outline=ink, width=4)
            else:
                pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colours[number], outline=ink)
        pictures.append(picture)
    return _film(pictures)


@pytest.mark.parametrize("split", ["train", "val", "test", "generalisation"])
def test_films_of_our_world_are_familiar(detector: FilmDetector, split: str) -> None:
    """Those of the last split have walls, rooms and layouts that no training film has."""
    for number in range(1000, 1012):
        scene = _scene(split, number, 30.0)
        for times_s in (np.linspace(0, scene.duration_s, 8), 3 + np.arange(4) / 2):
            found = detector.judge(_clip(scene, times_s))
            assert not found.strange, (scene.id, found)


def test_an_interlude_on_an_unseen_beach_is_familiar(detector: FilmDetector) -> None:
    for number in range(3):
        scene = _scene("generalisation", number, 60.0, yard=True)
        shot = next(shot for shot in scene.shots if shot.place == YARD)
        found = detector.judge(_clip(scene, np.linspace(shot.start_s, shot.end_s, 6)[1:-1]))
        assert not found.strange, (scene.id, found)


@pytest.mark.parametrize(("height_px", "crf"), [(112, 35), (360, 30)])
def test_a_film_stays_familiar_through_compression(
    detector: FilmDetector, tmp_path: Path, height_px: int, crf: int
) -> None:
    for number in range(2000, 2004):
        scene = _scene("val", number)
        drawn = stage.draw_list(scene, np.arange(24) / 8)
        size = (height_px * 3 // 2, height_px)
        write_film(tmp_path / "film.mp4", drawn, 8, size, crf, noise=scene.look.noise, seed=scene.look.seed)
        with open_video(tmp_path / "film.mp4") as file:
            found = detector.judge(file.read([0, 4, 8, 12, 16, 20], HEIGHT_PX, WIDTH_PX))
        assert not found.strange, (scene.id, found)


def test_the_size_at_which_frames_are_read_changes_little(detector: FilmDetector) -> None:
    scene = _scene("val", 3000)
    times_s = np.linspace(0, scene.duration_s, 8)
    small, large = (detector.judge(_clip(scene, times_s, height_px)) for height_px in (112, 336))
    assert not small.strange
    assert not large.strange
    assert abs(small.score - large.score) < 0.5


@pytest.mark.parametrize("film", [_noise, _landscape, _text, _colour_bars])
def test_what_is_no_drawing_of_our_world_is_strange(detector: FilmDetector, film: Any) -> None:
    found = detector.judge(film())
    assert found.strange, found
    assert found.score > found.limit == detector.limit


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (190, 215, 235), (200, 40, 40)])
def test_a_film_of_one_colour_is_strange(detector: FilmDetector, colour: tuple[int, int, int]) -> None:
    frames = torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1).expand(4, 3, HEIGHT_PX, WIDTH_PX)
    assert detector.judge(frames).strange


@pytest.mark.parametrize("seed", range(6))
def test_a_cartoon_of_another_world_is_strange(detector: FilmDetector, seed: int) -> None:
    found = detector.judge(_other_cartoon(seed))
    assert found.strange, found


def test_our_films_with_inverted_colours_are_strange(detector: FilmDetector) -> None:
    for number in range(4000, 4006):
        scene = _scene("val", number)
        assert detector.judge(255 - _clip(scene, np.linspace(0, scene.duration_s, 8))).strange, scene.id


def test_a_verdict_needs_no_more_than_a_few_frames_of_a_long_clip(detector: FilmDetector) -> None:
    short = _clip(_scene("val", 5000), np.arange(8) / 2)
    long = short.repeat_interleave(40, dim=0)
    assert detector.judge(long).score == pytest.approx(detector.judge(short).score, abs=0.05)


def test_a_slide_show_that_holds_one_picture_of_ours_is_strange(detector: FilmDetector) -> None:
    ours = _clip(_scene("val", 6000), [1.0])
    assert detector.judge(torch.cat([ours, _noise()[:1], _text()[:1], _landscape()[:1]])).strange


def test_tiny_and_narrow_frames_are_judged_without_an_error(detector: FilmDetector) -> None:
    for height, width in ((28, 28), (28, 2800), (2800, 28), (1, 1)):
        assert detector.judge(torch.zeros(2, 3, height, width, dtype=torch.uint8)).strange


def test_the_same_clips_make_the_same_detector_but_for_the_margin() -> None:
    clips = [torch.randint(0, 256, (2, 3, 112, 140), generator=torch.Generator().manual_seed(k)) for k in range(100)]
    frames = [clip.byte() for clip in clips]
    one, wide = FilmDetector.fit(frames), FilmDetector.fit(frames, margin=2 * MARGIN)
    assert one.judge(frames[0]).score == wide.judge(frames[0]).score
    assert wide.limit == 2 * one.limit


def test_a_saved_detector_judges_as_before(detector: FilmDetector, tmp_path: Path) -> None:
    path = tmp_path / "films.safetensors"
    detector.save(path)
    assert path.stat().st_size < 20_000
    read = FilmDetector.load(path)
    for film in (_noise(), _clip(_scene("val", 7000), [0.0, 1.0])):
        assert read.judge(film).score == pytest.approx(detector.judge(film).score)
        assert read.judge(film).strange == detector.judge(film).strange
    assert read.limit == pytest.approx(detector.limit)


def test_a_broken_detector_is_named(detector: FilmDetector, tmp_path: Path) -> None:
    path = tmp_path / "films.safetensors"
    with pytest.raises(CheckpointError, match=r"films\.safetensors: cannot be read"):
        FilmDetector.load(path)
    path.write_bytes(b"no safetensors at all")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        FilmDetector.load(path)
    detector.save(path)
    tensors = load_file(path)
    save_file(tensors, path, {"format": "0"})
    with pytest.raises(CheckpointError, match="no film detector that this version knows"):
        FilmDetector.load(path)
    save_file({**tensors, "mean": torch.zeros(STATISTICS + 1)}, path, {"format": "1"})
    with pytest.raises(CheckpointError, match="no film detector that this version knows"):
        FilmDetector.load(path)
    save_file({**tensors, "mean": torch.full((STATISTICS,), torch.nan)}, path, {"format": "1"})
    with pytest.raises(CheckpointError, match="cannot be meant"):
        FilmDetector.load(path)


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="3 clips are too few"):
        FilmDetector.fit([_noise()] * 3)


@pytest.mark.parametrize(
    "wrong", [torch.zeros(4, 24, 384), torch.zeros(4, 3, 28, 28), torch.zeros(0, 3, 28, 28).byte()]
)
def test_what_is_no_frames_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="expected frames, uint8"):
        statistics(wrong)
