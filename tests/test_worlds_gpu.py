"""The renderer for GPUs: its patches are those of the renderer for CPUs and transformers' video processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.version import Version

from roles.errors import InputError
from tests.worlds_shapes import medley

COMPARED = """
import sys
import numpy as np, torch
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from eval.worlds import rows
from eval.worlds.gpu import draw_patches
from eval.worlds.raster import draw
from tests.worlds_shapes import medley

device, width, height, shapes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
films = [medley(3, shapes, 1), medley(1, 3, 2)]
shown = films[0].rows[1:]
used = [shown[:, at] for at in (rows.SOFT, rows.LINE_WIDTH, rows.CUT)]
assert all(column.any() for column in used) and len(set(shown[:, rows.KIND])) == 7
assert (shown[:, rows.ALPHA] < rows.GRID).any() and (shown[:, rows.FILL_ALPHA] < rows.GRID).any()
assert (shown[:, rows.FILL] != shown[:, rows.FILL2]).any()
noise, seeds = [2.0, 0.0], [5, -6]
pixels, grid = draw_patches(films, width, height, noise, seeds, device=device)
frames = [draw(film, width, height, None, n, s) for film, n, s in zip(films, noise, seeds)]
expected = Qwen2VLVideoProcessor()(
    videos=[torch.from_numpy(f).permute(0, 3, 1, 2) for f in frames],
    do_resize=False, cap_pixels_per_frame=False, return_tensors="pt",
)
assert pixels.dtype == torch.float32
assert grid.tolist() == expected["video_grid_thw"].tolist(), grid
assert pixels.shape == expected["pixel_values_videos"].shape, pixels.shape
levels = (pixels.cpu() - expected["pixel_values_videos"]).abs() * 0.27 * 255
print(f"largest {levels.max():.3f} share {(levels > 0.5).float().mean():.6f}")
assert levels.max() < 1.1 and (levels > 0.5).float().mean() < 1e-3
assert np.ptp(np.concatenate([f.ravel() for f in frames])) > 200
one = [medley(1, 2)]
whole, _ = draw_patches(one, width, height, device=device)
half, _ = draw_patches(one, width, height, dtype=torch.bfloat16, device=device)
assert half.dtype == torch.bfloat16 and torch.allclose(half.float(), whole, atol=0.016)
"""


def _compare(device: str, width: int, height: int, shapes: int, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPARED, device, str(width), str(height), str(shapes)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_patches_equal_the_cpu_frames_after_the_video_processor() -> None:
    triton = pytest.importorskip("triton")
    if Version(triton.__version__) < Version("3.7") and Version(np.__version__) >= Version("2.4"):
        pytest.skip("the interpreter of Triton before 3.7 does not run with numpy 2.4; the kernel itself does")
    _compare("cpu", 84, 56, 9, TRITON_INTERPRET="1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_patches_of_a_gpu_equal_the_cpu_frames_after_the_video_processor() -> None:
    _compare("cuda", 336, 224, 60)


def test_the_kernel_compiles_for_nvidia_gpus_without_fusing_or_approximating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    from triton import compile as compiled
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from eval.worlds import gpu_kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    constants = {"across": 6, "patches": 96, "side": 14, "block": 256}
    kinds = dict.fromkeys(gpu_kernel.draw.arg_names, "fp32") | dict.fromkeys(constants, "constexpr")
    kinds |= {"rows": "*i16", "boxes": "*i32", "refs": "*i32", "begins": "*i64", "ends": "*i64", "keys": "*i32"}
    kinds |= {"strengths": "*fp32", "firsts": "*i64", "out": "*bf16"}
    source = ASTSource(gpu_kernel.draw, kinds, constexprs=constants)
    options = {"num_warps": 2, "enable_fp_fusion": False}
    code = compiled(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]
    # These would round otherwise than a CPU does.
    assert not [word for word in ("fma.rn.f32", "div.full", "sqrt.approx", "rcp.approx") if word in code]
    assert "div.rn.f32" in code
    assert ".local" not in code


def test_without_a_gpu_the_error_names_the_renderer_for_cpus() -> None:
    from eval.worlds.gpu import draw_patches

    with pytest.raises(InputError, match=r"eval\.worlds\.raster\.draw"):
        draw_patches([medley(2, 3)], 84, 56, device="cpu")


def test_what_does_not_fit_into_patches_is_refused() -> None:
    code = """
from eval.worlds.gpu import draw_patches
from eval.worlds.drawlist import Painter
from tests.worlds_shapes import medley
film = medley(1, 1)
for films, size, noise in (
    ([film], (90, 60), 0), ([film], (84, 84), 0), ([], (84, 56), 0), ([film], (84, 56), [1, 2]),
    ([Painter(0).build(1.5)], (84, 56), 0), ([film, medley(1, 1, width=1.51)], (84, 56), 0),
):
    try:
        draw_patches(films, *size, noise, device="cpu")
    except ValueError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"TRITON_INTERPRET": "1"}
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    words = ["blocks of 28", "does not fit", "must be films", "as many noises", "at least one frame", "same width"]
    assert all(word in line for word, line in zip(words, lines, strict=True)), lines


def test_levels_are_read_back_out_of_patches() -> None:
    from eval.worlds.gpu import MEAN, STD
    from eval.worlds_speed import levels

    frames = np.random.default_rng(0).integers(0, 256, (2, 56, 84, 3)).astype(np.uint8)
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    made = Qwen2VLVideoProcessor(image_mean=MEAN, image_std=STD)(
        videos=[torch.from_numpy(frames).permute(0, 3, 1, 2)],
        do_resize=False,
        cap_pixels_per_frame=False,
        return_tensors="pt",
    )
    assert (levels(made["pixel_values_videos"].numpy(), made["video_grid_thw"][0].tolist()) == frames).all()
