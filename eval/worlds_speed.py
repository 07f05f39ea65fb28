"""How fast the worlds are drawn: nothing goes in but options, a table of frames per second comes out.

    python -m eval.worlds_speed [--repeats 3]                      drawing and films, on one core
    python -m eval.worlds_speed --make-reference frames.npz        frames to compare a GPU's with
    python -m eval.worlds_speed --gpu [--reference frames.npz]     drawing into patches, on a GPU

The scene is a busy one: 140 shapes, two of four people walking. On a machine without numba the GPU's frames are
compared with those of --reference, else with frames drawn then and there.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.worlds.drawlist import DrawList, Painter, Point, Value
from roles.errors import DataError, MindreelError

WIDTH, SMALL, LARGE = 1.5, (168, 112), (336, 224)
CPU_FPS, GPU_FPS, FILM_S = 300, 40_000, 2.0
"""What must be reached: frames per second a core, frames per second of a GPU, seconds for a film of a minute."""
COMPARED, NOISE, SEED = 24, 3.0, 11
"""Frames, grain and seed of the comparison between renderers."""
Row = tuple[str, float, str]


def busy_scene(frames: int, fps: float = 12.0, seed: int = 0) -> DrawList:
    """A room with four people, two of whom walk about, made of every kind of shape."""
    dice = np.random.default_rng(seed)
    t = np.arange(frames) / fps
    paint = Painter(frames)
    paint.box(0.75, 0.4, 1.0, 0.5, (244, 214, 170), fill2=(236, 190, 140))
    for i in range(18):
        paint.ellipse(0.1 + 0.16 * (i % 9), 0.12 + 0.2 * (i // 9), 0.012, 0.012, (250, 228, 196))
    paint.box(0.3, 0.35, 0.14, 0.12, (150, 200, 240), radius=0.01, line=(120, 80, 50), line_width=0.015)
    paint.polygon([(0.2, 0.45), (0.3, 0.33), (0.42, 0.45)], (110, 170, 90), round=0.01)
    paint.ellipse(0.38, 0.29, 0.03, 0.03, (255, 230, 90), soft=0.01)
    paint.box(0.75, 0.9, 1.0, 0.16, (176, 122, 80), fill2=(140, 92, 60))
    for i in range(10):
        paint.capsule(0.15 * i, 0.76, 0.15 * i - 0.05, 1.0, 0.002, 0.004, (150, 100, 64))
    for i in range(4):
        _person(paint, t, 0.3 + 0.3 * i, walking=i < 2, phase=float(dice.random() * 6))
    for i, colour in enumerate([(210, 60, 50), (60, 110, 200), (80, 160, 80)]):
        x, edge = 0.4 + 0.35 * i, _outline((60, 35, 30), 0.007)
        paint.ellipse(x, 0.965, 0.13, 0.02, (40, 25, 20), soft=0.02, alpha=0.5)
        paint.box(x, 0.87, 0.11, 0.085, colour, radius=0.02, **edge)
        paint.box(x, 0.79, 0.115, 0.016, colour, radius=0.01, **edge)
        paint.box(x, 0.88, 0.05, 0.04, (235, 245, 255), radius=0.01, fill_alpha=0.4, **edge)
    return paint.build(WIDTH)


def _person(paint: Painter, t: NDArray[np.float64], x: float, walking: bool, phase: float) -> None:
    """Somebody of 28 shapes; all of them move when she walks, the eyes blink when she stands."""
    skin, edge = (246, 214, 186), _outline((70, 45, 40), 0.004)
    place: Value = x + 0.18 * np.sin(t * 1.2 + phase) if walking else x
    swing: Value = 0.04 * np.sin(t * 9 + phase) if walking else 0.0
    bob: Value = 0.008 * np.abs(np.sin(t * 9 + phase)) if walking else 0.0
    eye = np.where((t + phase) % 3.1 < 0.15, 0.003, 0.02)
    shirt = [(222, 70, 80), (70, 140, 210), (250, 180, 60), (130, 90, 190)][int(phase) % 4]
    paint.ellipse(place, 0.81, 0.08, 0.012, (40, 25, 20), soft=0.012, alpha=0.5)
    with paint.at(place, 0.56 - bob):
        for side in (-1, 1):
            foot = 0.03 * side + swing * side
            paint.capsule(0.03 * side, 0.12, foot, 0.23, 0.022, 0.018, (60, 70, 110), **edge)
            paint.ellipse(foot + 0.005 * side, 0.24, 0.03, 0.014, (90, 50, 40), **edge)
        paint.box(0, 0.05, 0.075, 0.1, shirt, radius=0.04, fill2=(90, 30, 60), **edge)
        letter: list[Point] = [(-0.02, 0.08), (-0.012, 0.02), (0, 0.06), (0.012, 0.02), (0.02, 0.08)]
        paint.stroke(letter, 0.005, (255, 255, 255))
        for side in (-1, 1):
            hand = 0.09 * side + swing
            paint.curve((0.065 * side, -0.01), (0.12 * side, 0.05), (hand, 0.11), 0.018, 0.014, shirt, **edge)
            paint.ellipse(hand, 0.12, 0.018, 0.018, skin, **edge)
            paint.ellipse(0.1 * side, -0.13, 0.018, 0.025, skin, **edge)
        paint.ellipse(0, -0.14, 0.105, 0.1, skin, **edge)
        paint.ellipse(0, -0.145, 0.11, 0.105, (110, 64, 40), cut=(0.0, -1.0, 0.17), **edge)
        for side in (-1, 1):
            paint.ellipse(0.04 * side, -0.13, 0.022, eye * 1.3, (255, 255, 255), **edge)
            paint.ellipse(0.044 * side, -0.128, 0.012, eye * 0.7, (30, 25, 30))
            brow: list[Point] = [(0.022 * side, -0.172), (0.042 * side, -0.182), (0.06 * side, -0.168)]
            paint.curve(brow[0], brow[1], brow[2], 0.004, fill=(70, 45, 40))
            paint.ellipse(0.065 * side, -0.09, 0.018, 0.01, (240, 150, 140), soft=0.006, alpha=0.6)
        paint.arc(0, -0.11, 0.035, 0.008, 0.5, 2.6, (150, 50, 50))


def _outline(colour: tuple[float, float, float], width: float) -> dict[str, Any]:
    return {"line": colour, "line_width": width}


def drawing(repeats: int) -> list[Row]:
    """Frames per second of the renderer for CPUs, and seconds for a film of one minute."""
    from eval.worlds.film import write_film
    from eval.worlds.raster import draw

    scene = busy_scene(720)
    first_s = _seconds(lambda: draw(scene, *SMALL, [0], NOISE))
    rows: list[Row] = [
        ("seconds to build the draw list of 720 frames", _best(lambda: busy_scene(720), repeats), ""),
        ("its size in MB", scene.nbytes / 1e6, ""),
        ("shapes a frame", float(np.diff(scene.offsets).mean()), ""),
        ("seconds until the first frame: compiling, or reading what was compiled", first_s, ""),
    ]
    for size, noise in ((SMALL, 0.0), (SMALL, NOISE), (LARGE, NOISE)):
        seconds = _best(partial(draw, scene, *size, None, noise), repeats)
        rows.append((f"frames/s at {size[0]} x {size[1]}, grain {noise:.0f}", scene.frames / seconds, f">= {CPU_FPS}"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        seconds = _best(lambda: write_film(path, busy_scene(720), 12, LARGE, noise=NOISE), repeats)
        rows.append((f"seconds for a film of 60 s, {LARGE[0]} x {LARGE[1]}, 12 fps", seconds, f"<= {FILM_S}"))
        rows.append(("its size in KB", path.stat().st_size / 1e3, ""))
    return rows


def reference() -> NDArray[np.uint8]:
    """The frames that other renderers must equal."""
    from eval.worlds.raster import draw

    return draw(busy_scene(COMPARED, 4.0), *SMALL, None, NOISE, SEED)


def patches(repeats: int, films: int, frames: int, expected: NDArray[np.uint8] | None) -> list[Row]:
    """Frames per second into patches on a GPU, uploads included, and how far the levels are from `expected`."""
    import torch

    from eval.worlds.gpu import draw_patches

    rows: list[Row] = []
    pixels, grid = draw_patches([busy_scene(COMPARED, 4.0)], *SMALL, NOISE, SEED)
    if expected is not None:
        off = np.abs(levels(pixels.float().cpu().numpy(), grid[0].tolist()).astype(np.int64) - expected)
        rows.append(("largest difference from the renderer for CPUs, in levels", float(off.max()), "<= 1"))
        rows.append(("share of channels that differ", float((off > 0).mean()), "< 0.001"))
    scenes = [busy_scene(frames, 2.0, seed) for seed in range(10)]
    batch = 50
    for warps in (1, 2, 4):

        def all_films(count: int = warps) -> None:
            for first in range(0, films, batch):
                lists = [scenes[i % len(scenes)] for i in range(first, min(first + batch, films))]
                draw_patches(lists, *SMALL, NOISE, SEED, dtype=torch.bfloat16, warps=count)
            torch.cuda.synchronize()

        all_films()
        speed = films * frames / _best(all_films, repeats)
        rows.append((f"frames/s at {SMALL[0]} x {SMALL[1]}, {films} films, {warps} warps", speed, f">= {GPU_FPS}"))
    return rows


def levels(pixels: NDArray[np.float32], grid: list[int]) -> NDArray[np.uint8]:
    """Frames [frames, height, width, 3] out of one film's patches."""
    from eval.worlds.gpu import FRAMES_A_PATCH, MEAN, MERGE, PATCH, STD

    t, h, w = grid
    parts = pixels.reshape(t, h // MERGE, w // MERGE, MERGE, MERGE, 3, FRAMES_A_PATCH, PATCH, PATCH)
    parts = parts.transpose(0, 6, 1, 3, 7, 2, 4, 8, 5).reshape(t * FRAMES_A_PATCH, h * PATCH, w * PATCH, 3)
    whole: NDArray[np.uint8] = np.rint((parts * np.array(STD) + np.array(MEAN)) * 255).astype(np.uint8)
    return whole


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _best(work: Callable[[], Any], repeats: int) -> float:
    return min(_seconds(work) for _ in range(max(1, repeats)))


def _expected(path: Path | None) -> NDArray[np.uint8] | None:
    if path is None:
        return reference() if importlib.util.find_spec("numba") else None
    try:
        with np.load(path, allow_pickle=False) as data:
            frames: NDArray[np.uint8] = data["frames"]
            return frames
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} holds no reference ({error}); write one with --make-reference") from error


def main(arguments: list[str] | None = None) -> int:
    """Runs the measurements that were asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.worlds_speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="each figure is the best of so many runs")
    parser.add_argument("--gpu", action="store_true", help="measure drawing into patches instead")
    parser.add_argument("--films", type=int, default=500, help="with --gpu: how many films")
    parser.add_argument("--frames", type=int, default=80, help="with --gpu: how many frames each")
    parser.add_argument("--reference", type=Path, help="with --gpu: frames that --make-reference wrote elsewhere")
    parser.add_argument("--make-reference", type=Path, metavar="FILE", help="write the frames to compare with")
    options = parser.parse_args(arguments)
    try:
        if options.make_reference is not None:
            np.savez_compressed(options.make_reference, frames=reference())
            return 0
        if options.gpu:
            rows = patches(options.repeats, options.films, options.frames, _expected(options.reference))
        else:
            rows = drawing(options.repeats)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except MindreelError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for name, value, target in rows:
        print(f"{name:72s} {value:12,.3f}  {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
