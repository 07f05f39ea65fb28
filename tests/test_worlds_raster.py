"""Draw lists and the renderer for CPUs: what is painted is seen at any size, each frame is the same drawn alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.worlds import raster, shapes, tiles
from eval.worlds.drawlist import DrawList, Painter
from eval.worlds.rows import GRAIN_MIDDLE, GRAIN_SPREAD, SCALE, grain_keys, size_steps, stirred
from eval.worlds_speed import busy_scene
from roles.errors import DataError
from tests.worlds_shapes import medley

Frame = Any
ROOT = Path(__file__).parents[1]

RED, WHITE = (255.0, 0.0, 0.0), (255.0, 255.0, 255.0)


def _one(paint: Callable[[Painter], None], width_px: int = 100, height_px: int = 100, **camera: Any) -> Frame:
    """The picture of a few shapes on white."""
    painter = Painter(1)
    painter.box(0.5, 0.5, 2, 2, WHITE)
    paint(painter)
    return raster.draw(painter.build(1.0, **camera), width_px, height_px)[0]


def _red(picture: Frame, x: float, y: float) -> bool:
    h, w = picture.shape[:2]
    return bool(picture[int(y * h), int(x * w), 1] < 40)


Points = list[tuple[float, float]]
KINDS: dict[str, tuple[Callable[[Painter], None], Points, Points]] = {
    "ellipse": (lambda p: p.ellipse(0.5, 0.5, 0.4, 0.1, RED, angle=np.pi / 2), [(0.5, 0.15)], [(0.15, 0.5)]),
    "box": (
        lambda p: p.box(0.5, 0.5, 0.3, 0.2, RED, radius=0.15),
        [(0.25, 0.5), (0.5, 0.65)],
        [(0.22, 0.32), (0.5, 0.75)],
    ),
    "capsule": (
        lambda p: p.capsule(0.2, 0.5, 0.8, 0.5, 0.15, 0.03, RED),
        [(0.2, 0.38), (0.5, 0.55), (0.77, 0.5)],
        [(0.8, 0.4)],
    ),
    "polygon": (
        lambda p: p.polygon([(0.2, 0.2), (0.8, 0.2), (0.5, 0.8)], RED),
        [(0.5, 0.7), (0.3, 0.25)],
        [(0.3, 0.7), (0.8, 0.5)],
    ),
    "arc": (lambda p: p.arc(0.5, 0.5, 0.3, 0.1, 0, np.pi, RED), [(0.5, 0.8), (0.3, 0.7)], [(0.5, 0.2), (0.5, 0.5)]),
    "ring": (
        lambda p: p.arc(0.5, 0.5, 0.3, 0.1, 0, 2 * np.pi, RED),
        [(0.5, 0.8), (0.5, 0.2), (0.2, 0.5)],
        [(0.5, 0.5)],
    ),
    "curve": (
        lambda p: p.curve((0.1, 0.2), (0.5, 1.0), (0.9, 0.2), 0.04, fill=RED),
        [(0.5, 0.6), (0.12, 0.22)],
        [(0.5, 0.2)],
    ),
    "stroke": (
        lambda p: p.stroke([(0.2, 0.8), (0.2, 0.2), (0.8, 0.8)], 0.03, RED),
        [(0.2, 0.5), (0.5, 0.5)],
        [(0.5, 0.8), (0.8, 0.4)],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [30, 100, 333])
def test_a_shape_covers_its_inside_and_nothing_else_at_any_size(kind: str, size: int) -> None:
    paint, inside, outside = KINDS[kind]
    picture = _one(paint, size, size)
    assert all(_red(picture, *point) for point in inside)
    assert not any(_red(picture, *point) for point in outside)


def test_edges_are_smooth_and_as_large_as_painted() -> None:
    picture = _one(lambda p: p.ellipse(0.5, 0.5, 0.3, 0.3, RED), 64, 64)
    covered = (255 - picture[..., 1].astype(float)).sum() / 255 / 64**2
    assert covered == pytest.approx(np.pi * 0.09, rel=0.01)
    assert len(np.unique(picture[..., 1])) > 10


def test_an_outline_lies_inside_the_edge_and_can_stand_alone() -> None:
    filled = _one(lambda p: p.box(0.5, 0.5, 0.3, 0.3, RED, line=(0, 0, 255), line_width=0.05))
    assert filled[22, 50].tolist() == [0, 0, 255]
    assert filled[50, 50].tolist() == [255, 0, 0]
    assert filled[18, 50].tolist() == [255, 255, 255]
    hollow = _one(lambda p: p.box(0.5, 0.5, 0.3, 0.3, RED, line=(0, 0, 255), line_width=0.05, fill_alpha=0))
    assert hollow[22, 50].tolist() == [0, 0, 255]
    assert hollow[50, 50].tolist() == [255, 255, 255]


def test_a_gradient_runs_downwards_and_a_cut_keeps_its_half_plane() -> None:
    picture = _one(lambda p: p.box(0.5, 0.5, 0.4, 0.4, (0, 0, 0), fill2=(200, 200, 200), cut=(1, 0, 0.5)))
    column = picture[12:88, 70, 0].astype(int)
    assert (np.diff(column) >= 0).all()
    assert column[0] < 10
    assert column[-1] > 190
    assert picture[50, 30].tolist() == [255, 255, 255]


def test_soft_edges_fade_over_the_width_that_was_asked_for() -> None:
    row = _one(lambda p: p.box(0.5, 0.5, 0.3, 0.6, RED, soft=0.1))[50, :, 1].astype(int)
    assert row[8] == 255
    assert row[20] == pytest.approx(128, abs=15)
    assert row[32] == 0


def test_a_group_moves_turns_scales_and_mirrors_what_is_in_it() -> None:
    def grouped(painter: Painter) -> None:
        with painter.at(0.5, 0.5, scale=0.5), painter.at(0.4, 0.0, angle=np.pi / 2, flip=-1.0):
            painter.box(-0.2, 0.0, 0.1, 0.02, RED)
            painter.capsule(0.0, 0.3, 0.1, 0.3, 0.03, fill=RED, cut=(1.0, 0.0, 0.05))

    def direct(painter: Painter) -> None:
        # (u, v) of the inner group is at (0.7 - v / 2, 0.5 - u / 2).
        painter.box(0.7, 0.6, 0.01, 0.05, RED)
        painter.capsule(0.55, 0.5, 0.55, 0.45, 0.015, fill=RED, cut=(0.0, -1.0, -0.475))

    assert np.abs(_one(grouped).astype(int) - _one(direct)).max() <= 1


def test_the_camera_looks_to_the_side_and_closer() -> None:
    def dot(painter: Painter) -> None:
        painter.ellipse(0.6, 0.5, 0.05, 0.05, RED)

    assert _red(_one(dot, dx=0.1), 0.5, 0.5)
    closer = _one(dot, zoom=1.5)
    assert _red(closer, 0.65, 0.5)
    assert _red(closer, 0.71, 0.5)
    assert not _red(closer, 0.56, 0.5)


def test_light_brightens_all_colours_up_to_white() -> None:
    assert _one(lambda p: p.box(0.5, 0.5, 0.3, 0.3, (100, 200, 40)), light=0.5)[50, 50].tolist() == [50, 100, 20]
    assert _one(lambda p: p.box(0.5, 0.5, 0.3, 0.3, (100, 200, 40)), light=2)[50, 50].tolist() == [200, 255, 80]


def test_mirrored_shapes_give_the_mirrored_picture() -> None:
    plain, mirrored = medley(3, 24, seed=1), medley(3, 24, seed=1, mirror=True)
    first, second = raster.draw(plain, 120, 80).astype(int), raster.draw(mirrored, 120, 80)[:, :, ::-1].astype(int)
    # Where an edge falls just between two grid lines, the mirrored one is rounded the other way.
    assert (np.abs(first - second) > 3).mean() < 0.002


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [(168, 112), (75, 50)])
def test_a_frame_of_a_film_equals_the_frame_painted_whole(seed: int, size: tuple[int, int]) -> None:
    film = medley(12, 60, seed=seed)
    kept = raster.draw(film, *size, noise=2.0, seed=seed)
    for i in range(film.frames):
        assert (kept[i] == _whole(film, *size, i, 2.0, seed)).all()


def test_frames_can_be_drawn_in_any_order_and_in_parts() -> None:
    film = medley(9, 40, seed=7)
    frames = raster.draw(film, 120, 80, noise=3.0, seed=2)
    wanted = [8, 0, 0, 5, 4]
    assert (raster.draw(film, 120, 80, wanted, noise=3.0, seed=2) == frames[wanted]).all()
    parts = list(raster.stream(film, 120, 80, noise=3.0, seed=2, at_once=4))
    assert [len(part) for part in parts] == [4, 4, 1]
    assert (np.concatenate(parts) == frames).all()


def _whole(film: DrawList, width_px: int, height_px: int, frame: int, noise: float, seed: int) -> Frame:
    """A frame painted without tiles: every shape over all of its box, one after the other."""
    step_x, step_y = size_steps(film, width_px, height_px)
    rows = film.rows * SCALE
    boxes = raster.pixel_boxes(rows, width_px, height_px, step_x, step_y)
    canvas = np.zeros((3, height_px, width_px), dtype=np.float32)
    for ref in film.refs[film.offsets[frame] : film.offsets[frame + 1]]:
        i0, j0, i1, j1 = (int(v) for v in boxes[ref])
        d = np.empty((max(j1 - j0, 0), max(i1 - i0, 0)), dtype=np.float32)
        x0, y0 = np.float32(i0 + 0.5), np.float32(j0 + 0.5)
        shapes.distances(rows[ref], x0, y0, step_x, step_y, d, j1 - j0, i1 - i0)
        tiles.blend(canvas, rows[ref], False, d, step_y, y0, step_y, j0, j1, i0, i1)
    levels = canvas.transpose(1, 2, 0) + _grain(seed, frame, width_px, height_px, noise)
    return np.floor(np.clip(levels, 0, 255) + np.float32(0.5))


def _grain(seed: int, frame: int, width_px: int, height_px: int, noise: float) -> Frame:
    y, x = np.mgrid[:height_px, :width_px].astype(np.uint32)
    v = stirred(grain_keys(seed, np.array([frame])) ^ (y * np.uint32(65536) + x))
    total = sum((v >> np.uint32(8 * i)) & np.uint32(255) for i in range(4))
    strength = np.float32(noise) / np.float32(GRAIN_SPREAD)
    return ((np.asarray(total).astype(np.float32) - np.float32(GRAIN_MIDDLE)) * strength)[..., None]


def _grey(frames: int) -> DrawList:
    painter = Painter(frames)
    painter.box(0.5, 0.5, 2, 2, (128, 128, 128))
    return painter.build(1.0)


def test_grain_is_as_strong_as_asked_and_new_in_every_frame_and_film() -> None:
    frames = raster.draw(_grey(4), 128, 128, noise=6.0, seed=1).astype(float)
    assert frames.mean() == pytest.approx(128, abs=0.1)
    assert frames.std() == pytest.approx(6.0, rel=0.02)
    other = raster.draw(_grey(4), 128, 128, noise=6.0, seed=2).astype(float)
    for a, b in [(frames[0], frames[1]), (frames[0], other[0]), (frames[0, :, 1:], frames[0, :, :-1])]:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.03


def test_without_grain_colours_are_exact() -> None:
    assert (raster.draw(_grey(1), 64, 64) == 128).all()


def test_what_stays_the_same_is_stored_once() -> None:
    t = np.arange(500) / 12
    painter = Painter(500)
    for i in range(50):
        painter.box(0.02 * i, 0.5, 0.01, 0.3, (10, 20, 30), alpha=np.where(t > 20, 1.0, 0.0))
    painter.ellipse(0.5 + 0.2 * np.sin(t), 0.5, 0.1, 0.1, RED)
    painter.ellipse(0.5, 0.5, 0.1, 0.1, RED, alpha=0)
    still = painter.build(1.5)
    assert 500 < len(still.rows) + 20 <= 50 + 500 + 20
    assert still.frames == 500
    assert len(still.frame(0)) == 1
    assert len(still.frame(499)) == 51
    assert still.nbytes < 150_000


def test_what_lies_beside_the_picture_is_left_out() -> None:
    painter = Painter(2)
    painter.box(np.array([-1.0, 0.5]), 0.5, 0.1, 0.1, RED)
    drawn = painter.build(1.5)
    assert [len(drawn.frame(i)) for i in range(2)] == [0, 1]


def test_rounding_errors_of_a_machine_do_not_change_a_draw_list() -> None:
    def painted(error: float) -> DrawList:
        t = np.arange(40) / 10
        painter = Painter(40)
        with painter.at(0.7 + error, 0.5, angle=np.sin(t) + error):
            painter.box(0.1, 0.1, 0.05 + error, 0.02, RED, line=WHITE, line_width=0.005)
        return painter.build(1.5)

    assert (painted(0).rows == painted(1e-13).rows).all()


def test_a_shape_may_hold_nonsense_while_it_is_absent() -> None:
    painter = Painter(2)
    painter.ellipse(np.array([0.5, np.nan]), np.array([0.5, 99.0]), 0.1, 0.1, RED, alpha=np.array([1.0, 0.0]))
    assert [len(painter.build(1.0).frame(i)) for i in range(2)] == [1, 0]


@pytest.mark.parametrize(
    ("paint", "words"),
    [
        (lambda p: p.ellipse(np.nan, 0.5, 0.1, 0.1, RED), "painted ellipse"),
        (lambda p: p.box(0.5, 0.5, 40, 1, RED), "further than"),
        (lambda p: p.polygon([(0, 0)] * 6, RED), "3 to 5 corners"),
        (lambda p: p.stroke([(0, 0)], 0.1, RED), "2 to 5 points"),
        (lambda p: p.ellipse(np.zeros(5), 0.5, 0.1, 0.1, RED), "there are 3 frames"),
    ],
)
def test_what_cannot_be_stored_is_refused(paint: Callable[[Painter], None], words: str) -> None:
    def attempt() -> None:
        painter = Painter(3)
        paint(painter)
        painter.build(1.0)

    with pytest.raises(ValueError, match=words):
        attempt()


def test_a_size_of_another_shape_is_refused_and_a_near_one_stretched() -> None:
    film = medley(1, 5)
    assert raster.draw(film, 170, 112).shape == (1, 112, 170, 3)
    with pytest.raises(ValueError, match="about 168 pixels wide"):
        raster.draw(film, 200, 112)
    with pytest.raises(ValueError, match="frames run from 0 to 0"):
        raster.draw(film, 168, 112, [1])


def test_an_empty_film_has_no_frames() -> None:
    assert raster.draw(Painter(0).build(1.5), 168, 112).shape == (0, 112, 168, 3)


def test_a_draw_list_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    film = medley(5, 20)
    film.save(tmp_path / "film.npz")
    again = DrawList.load(tmp_path / "film.npz")
    assert all((getattr(again, name) == getattr(film, name)).all() for name in ("rows", "refs", "offsets"))
    assert again.width == film.width
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.npz is no draw list"):
        DrawList.load(tmp_path / "bad.npz")


def test_another_process_draws_the_same() -> None:
    def digest(film: DrawList) -> str:
        return hashlib.sha256(raster.draw(film, 120, 80, noise=2.0).tobytes()).hexdigest()

    code = (
        "import hashlib; from eval.worlds import raster; from tests.worlds_shapes import medley;"
        "print(hashlib.sha256(raster.draw(medley(4, 40, 5), 120, 80, noise=2.0).tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == digest(medley(4, 40, 5))


def test_what_was_compiled_before_a_change_of_the_layout_is_not_used(tmp_path: Path) -> None:
    for name in ("__init__", "worlds/__init__", "worlds/compiler", "worlds/rows", "worlds/shapes"):
        (tmp_path / f"eval/{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"eval/{name}.py").write_bytes((ROOT / f"eval/{name}.py").read_bytes())
    (tmp_path / "eval/worlds/art").mkdir()
    for name in ("art/tracks", "geometry", "table", "tape", "tiles"):
        (tmp_path / f"eval/worlds/{name}.py").touch()
    shutil.copytree(ROOT / "roles", tmp_path / "roles", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import numpy as np; from eval.worlds.rows import COLUMNS, SHAPE; from eval.worlds.shapes import distances\n"
        "row, out = np.zeros(COLUMNS, dtype=np.float32), np.zeros((1, 1), dtype=np.float32)\n"
        "row[SHAPE : SHAPE + 6] = 0, 0, 1, 0, 0.5, 0.5\n"
        "distances(row, *(np.float32(v) for v in (0.9, 0.9, 1, 1)), out, 1, 1); print(f'{out[0, 0]:.3f}')"
    )
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=_environment(tmp_path), capture_output=True, text=True
        )
        found.append(done.stdout.strip() or done.stderr)
        rows = tmp_path / "eval/worlds/rows.py"
        rows.write_text(rows.read_text().replace("ELLIPSE, BOX, CAPSULE,", "BOX, ELLIPSE, CAPSULE,", 1))
    # From a circle's edge, then from a square's.
    assert found == ["0.773", "0.566"]


def _environment(folder: Path) -> dict[str, str]:
    own = {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    return os.environ | own


def test_draw_lists_are_made_without_a_compiler() -> None:
    code = (
        "import sys; sys.modules['numba'] = None; from tests.worlds_shapes import medley; print(medley(2, 20).frames)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "2\n"


def test_without_a_compiler_a_draw_list_is_the_same() -> None:
    code = (
        "import hashlib, sys, warnings; sys.modules['numba'] = None; warnings.simplefilter('ignore')\n"
        "from tests.worlds_shapes import medley; film = medley(6, 42, 3)\n"
        "print(hashlib.sha256(film.rows.tobytes() + film.refs.tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    film = medley(6, 42, 3)
    assert there == hashlib.sha256(film.rows.tobytes() + film.refs.tobytes()).hexdigest()


def test_a_busy_scene_is_drawn_at_300_frames_a_second() -> None:
    film = busy_scene(120)
    raster.draw(film, 168, 112, [0])
    began = time.process_time()
    raster.draw(film, 168, 112, noise=4.0)
    assert 120 / (time.process_time() - began) >= 300


def test_a_capsule_whose_ends_are_one_point_is_a_circle() -> None:
    painter = Painter(1)
    painter.capsule(0.75, 0.5, 0.75, 0.5, 0.3, 0.3, (255, 255, 255))
    frame = raster.draw(painter.build(1.5), 168, 112)[0, :, :, 0]
    y, x = np.mgrid[:112, :168]
    distance = np.hypot((x + 0.5) / 112 - 0.75, (y + 0.5) / 112 - 0.5)
    assert (frame[distance < 0.29] == 255).all()
    assert (frame[distance > 0.31] == 0).all()
