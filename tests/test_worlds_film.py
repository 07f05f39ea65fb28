"""Film files: they last, look and seek as they should, and the same film is the same bytes everywhere."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from adapters.pixels import to_rgb
from eval.worlds.drawlist import DrawList, Painter
from eval.worlds.film import exact_fps, frame_times, write_film
from eval.worlds.raster import draw
from eval.worlds_speed import busy_scene
from roles.errors import DataError
from tests.worlds_shapes import medley

SIZE = (168, 112)


def _plain(colours: list[tuple[int, int, int]], width: int = 64, height: int = 48) -> np.ndarray:
    frames = np.empty((len(colours), height, width, 3), dtype=np.uint8)
    frames[:] = np.array(colours, dtype=np.uint8)[:, None, None]
    return frames


def _decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([to_rgb(frame) for frame in container.decode(video=0)])


@pytest.mark.parametrize("fps", [12, 12.5, 29.97, Fraction(30000, 1001), 8])
def test_a_film_has_the_size_rate_and_length_it_was_made_with(tmp_path: Path, fps: float | Fraction) -> None:
    count = write_film(tmp_path / "a.mp4", medley(30, 20), fps, SIZE)
    assert count == 30
    with av.open(str(tmp_path / "a.mp4")) as container:
        video = container.streams.video[0]
        assert (video.width, video.height, video.frames) == (*SIZE, 30)
        assert video.average_rate == pytest.approx(float(fps), rel=1e-6)
        times = [frame.time for frame in container.decode(video)]
        assert float(video.duration * video.time_base) == pytest.approx(30 / fps, abs=1e-3)
        assert container.duration / av.time_base == pytest.approx(30 / float(fps), abs=2e-3)
    assert times == pytest.approx([k / float(fps) for k in range(30)], abs=1e-3)


def test_players_are_told_what_the_pixels_mean(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", medley(2, 9), 12, SIZE)
    with av.open(str(tmp_path / "a.mp4")) as container:
        video = container.streams.video[0]
        context = video.codec_context
        assert (video.codec.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1, 1)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (120, 200, 60)])
def test_colours_come_back_as_they_were_drawn(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    write_film(tmp_path / "a.mp4", [_plain([colour] * 3)], 12, crf=5)
    assert np.abs(_decoded(tmp_path / "a.mp4").astype(int) - colour).max() <= 3


def test_the_pictures_come_back_near_what_was_drawn(tmp_path: Path) -> None:
    film = busy_scene(24)
    write_film(tmp_path / "a.mp4", film, 12, (336, 224), crf=20)
    assert np.abs(_decoded(tmp_path / "a.mp4").astype(int) - draw(film, 336, 224)).mean() < 4


def test_the_same_film_is_the_same_bytes_here_and_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from eval.worlds.film import write_film;"
        "from tests.worlds_shapes import medley;"
        "write_film(Path(sys.argv[1]), medley(40, 30, 3), 12.5, (168, 112), noise=3, seed=4)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there.mp4")], check=True)
    digests = {(tmp_path / "there.mp4").read_bytes()}
    for name in ("a.mp4", "b.mp4"):
        write_film(tmp_path / name, medley(40, 30, 3), 12.5, SIZE, noise=3, seed=4)
        digests.add((tmp_path / name).read_bytes())
    assert len({hashlib.sha256(data).hexdigest() for data in digests}) == 1
    write_film(tmp_path / "c.mp4", medley(40, 30, 3), 12.5, SIZE, noise=3, seed=5)
    assert (tmp_path / "c.mp4").read_bytes() not in digests


def test_a_draw_list_and_its_frames_make_the_same_film(tmp_path: Path) -> None:
    film = medley(10, 30, 3)
    frames = draw(film, *SIZE, noise=2, seed=9)
    write_film(tmp_path / "a.mp4", film, 12, SIZE, noise=2, seed=9)
    write_film(tmp_path / "b.mp4", iter(frames), 12)
    write_film(tmp_path / "c.mp4", [frames[:4], frames[4:]], 12, SIZE)
    assert len({(tmp_path / name).read_bytes() for name in ("a.mp4", "b.mp4", "c.mp4")}) == 1


def test_players_can_start_at_once_and_jump_every_two_seconds(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", medley(100, 20), 12, SIZE)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "a.mp4")) as container:
        keys = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.is_keyframe]
    assert keys[0] == 0
    assert max(np.diff([*keys, 100 / 12])) <= 2.0 + 1e-6


def test_one_frame_is_a_film(tmp_path: Path) -> None:
    assert write_film(tmp_path / "a.mp4", [_plain([(9, 9, 9)])], 12) == 1
    assert len(_decoded(tmp_path / "a.mp4")) == 1


def test_an_interrupted_film_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", [_plain([(9, 9, 9)] * 5)], 12)
    before = (tmp_path / "a.mp4").read_bytes()

    def broken() -> Iterator[np.ndarray]:
        yield from _plain([(200, 9, 9)] * 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "a.mp4", broken(), 12)
    assert (tmp_path / "a.mp4").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_what_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    cases: list[tuple[Any, tuple[int, int] | None, str]] = [
        ([], None, "at least one frame"),
        ([_plain([(0, 0, 0)], 63, 48)], None, "must be even, not 63 x 48"),
        ([_plain([(0, 0, 0)])], (32, 32), "are 64 x 48, not 32 x 32"),
        (Painter(0).build(1.5), SIZE, "at least one frame"),
    ]
    for film, size, words in cases:
        with pytest.raises(DataError, match=words):
            write_film(tmp_path / "a.mp4", film, 12, size)
    with pytest.raises(DataError, match="cannot be written") as caught:
        write_film(tmp_path / "missing" / "a.mp4", [_plain([(0, 0, 0)])], 12)
    assert "\n" not in str(caught.value)
    for fps in (0, -3, float("nan"), 5000):
        with pytest.raises(DataError, match="no frame rate"):
            write_film(tmp_path / "a.mp4", [_plain([(0, 0, 0)])], fps)
    assert not list(tmp_path.iterdir())


def test_frame_times_are_those_the_file_shows_them_at() -> None:
    assert frame_times(2.0, 12.5) == pytest.approx([k / 12.5 for k in range(25)])
    assert len(frame_times(61.4, 12)) == 737
    assert len(frame_times(0.01, 12)) == 1
    assert exact_fps(12.5) == Fraction(25, 2)
    assert exact_fps(29.97) == Fraction(2997, 100)


def test_a_minute_of_film_is_made_in_seconds(tmp_path: Path) -> None:
    film: DrawList = busy_scene(720)
    draw(film, 336, 224, [0])
    began = time.process_time()
    write_film(tmp_path / "a.mp4", film, 12, (336, 224), noise=3, crf=26)
    # 1.4 s where this was written; the target of 2 s is for a machine with nothing else to do.
    assert time.process_time() - began < 4
    assert (tmp_path / "a.mp4").stat().st_size < 1_000_000
