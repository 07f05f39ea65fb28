"""What the viewer sends of videos, and what it refuses."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from agent.viewer.media import Places
from agent.viewer.thumbs import Thumbs
from roles.errors import InputError, VideoError
from roles.types import Reply, Request, Video
from tests.fakes import ScriptedBackbone
from tests.films import COLOURS, make_film
from tests.videos import turn_mp4
from tests.viewer_folder import Served, answered, served

ROOT = Path(__file__).parent.parent
FILM = [("red", 2.0, 6.0), ("blue", 8.0, 12.0)]
FRAMES = {0: 0.0, 4: 2.0, 6: 3.0, 11: 5.5, 14: 7.0, 20: 10.0, 31: 15.5}
"""Numbers and times of frames of a film of 16 s at 2 frames a second."""


class Watching(ScriptedBackbone):
    """Says that it looked at other frames."""

    def write(self, request: Request) -> Reply:
        reply = super().write(request)
        looked = replace(reply.usage, frame_indices=tuple(FRAMES), frame_times_s=tuple(FRAMES.values()))
        return replace(reply, usage=looked)


def asked_about(path: Path, video: str | Path, question: str = "Seen?") -> Path:
    film = Video(str(video), duration_s=16.0, fps=2.0, width_px=84, height_px=84, frames=32)
    return answered(path, question, video=film, backbone=Watching())


@contextmanager
def about_film(folder: Path) -> Iterator[tuple[Served, str, bytes]]:
    """The viewer, an id, and the bytes of the film that it is about."""
    folder.mkdir(exist_ok=True)
    film = make_film(folder / "film.mp4", FILM)
    asked_about(folder / "a.jsonl", film)
    with served(folder) as viewer:
        yield viewer, viewer.rows()["Seen?"]["id"], film.read_bytes()


def test_a_video_is_sent_whole_or_by_ranges(tmp_path: Path) -> None:
    with about_film(tmp_path) as (viewer, id_, film):
        told = viewer.trace("Seen?")["video"]
        assert told["url"] == f"/media/{id_}"
        assert told["problem"] is None
        whole = viewer.get(told["url"])
        assert (whole.status, whole.body) == (200, film)
        assert whole.headers["content-type"] == "video/mp4"
        assert whole.headers["accept-ranges"] == "bytes"
        size = len(film)
        for asked, start, end in (
            ("bytes=0-99", 0, 100),
            ("bytes=100-", 100, size),
            ("bytes=-50", size - 50, size),
            (f"bytes=10-{size * 9}", 10, size),
        ):
            part = viewer.get(told["url"], Range=asked)
            assert (part.status, part.body) == (206, film[start:end]), asked
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        beyond = viewer.get(told["url"], Range=f"bytes={size}-")
        assert beyond.status == 416
        assert beyond.headers["content-range"] == f"bytes */{size}"
        head = viewer.get(told["url"], "HEAD")
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(size))


def test_every_answer_forbids_what_is_elsewhere(tmp_path: Path) -> None:
    with about_film(tmp_path) as (viewer, id_, _):
        for path in ("/", "/api/traces", f"/api/trace/{id_}", f"/media/{id_}", "/nowhere", "/static/nowhere"):
            headers = viewer.get(path).headers
            assert headers["content-security-policy"].startswith("default-src 'self'"), path
            assert "http" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(tmp_path: Path, method: str) -> None:
    with about_film(tmp_path) as (viewer, id_, _):
        for path in ("/", "/api/traces", f"/media/{id_}", "/static/viewer.css"):
            answer = viewer.get(path, method)
            assert answer.status == 405
            assert answer.headers["allow"] == "GET, HEAD"


def test_only_names_of_this_machine_are_answered(tmp_path: Path) -> None:
    with about_film(tmp_path) as (viewer, id_, _):
        for host in ("localhost", f"LOCALHOST:{viewer.port}", "127.0.0.1", f"[::1]:{viewer.port}"):
            assert viewer.get("/api/traces", host=host).status == 200, host
        for host in (
            "evil.example",
            "",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "192.0.2.1",
            "evil@localhost",
        ):
            for path in ("/", "/api/traces", f"/media/{id_}", "/events"):
                assert viewer.get(path, host=host).status == 403, host


TRICKS = (
    "../secret.txt",
    "%2e%2e/secret.txt",
    "..%2fsecret.txt",
    "%2e%2e%2fsecret.txt",
    "....//secret.txt",
    "..\\secret.txt",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "app.py%00.css",
    "%00",
    "..%00/",
)


def test_no_path_leads_out_of_what_is_served(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    with about_film(tmp_path / "runs") as (viewer, id_, _):
        for trick in TRICKS:
            for path in ("/", "/static/", "/media/", "/api/trace/", f"/media/{id_}/", f"/thumb/{id_}/", "/thumb/"):
                answer = viewer.get(path + trick)
                assert answer.status in (400, 404, 405, 422), path + trick
                assert b"SECRET" not in answer.body
                assert b"root:" not in answer.body


def refused(folder: Path, video: str | Path) -> str:
    """Why a trace's video is not shown; it is asserted that it is not."""
    (folder / "a.jsonl").unlink(missing_ok=True)
    asked_about(folder / "a.jsonl", video)
    with served(folder) as viewer:
        told = viewer.trace("Seen?")
        assert told["video"]["url"] is None
        assert {item["thumb"] for lane in told["lanes"] for item in lane["items"]} == {None}
        answer = viewer.get(f"/media/{told['id']}")
        assert answer.status == 404
        assert viewer.get(f"/thumb/{told['id']}/4.jpg").status == 404
        assert answer.json()["problem"] == told["video"]["problem"]
        return str(told["video"]["problem"])


def test_a_trace_is_not_trusted_with_paths(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    film = make_film(tmp_path / "secret.mp4", FILM)
    (runs / "notes.txt").write_text("private")
    (runs / "link.mp4").symlink_to(film)
    (runs / "folder").symlink_to(tmp_path)
    (runs / "broken.mp4").symlink_to(runs / "nowhere")
    (runs / "loop.mp4").symlink_to(runs / "loop.mp4")
    os.mkfifo(runs / "pipe.mp4")
    outside = f"lies outside what may be shown; start with --videos {tmp_path}"
    assert outside in refused(runs, film)
    assert outside in refused(runs, runs / ".." / "secret.mp4")
    assert outside in refused(runs, "../secret.mp4")
    assert outside in refused(runs, runs / "link.mp4")
    assert outside in refused(runs, runs / "folder" / "secret.mp4")
    assert "not a kind of file" in refused(runs, runs / "notes.txt")
    for one in ("broken.mp4", "loop.mp4", "pipe.mp4", "nothing.mp4"):
        assert "not found" in refused(runs, runs / one)
    for odd in ("", "a\0b.mp4", "http://example.org/film.mp4", "file:///etc/passwd", "/dev/zero"):
        assert refused(runs, odd)


def test_a_link_to_a_trace_outside_is_not_listed(tmp_path: Path) -> None:
    asked_about(tmp_path / "outside.jsonl", "film.mp4")
    runs = tmp_path / "runs"
    asked_about(runs / "inside.jsonl", "film.mp4", "Inside?")
    (runs / "link.jsonl").symlink_to(tmp_path / "outside.jsonl")
    (runs / "folder").symlink_to(tmp_path)
    (runs / "again.jsonl").symlink_to(runs / "inside.jsonl")
    with served(runs) as viewer:
        assert [row["question"] for row in viewer.get("/api/traces").json()["traces"]] == ["Inside?"]


def test_videos_elsewhere_are_shown_when_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "films" / "deep").mkdir(parents=True)
    film = make_film(tmp_path / "films" / "deep" / "film.mp4", FILM)
    asked_about(tmp_path / "runs" / "here.jsonl", film, "Here?")
    asked_about(tmp_path / "runs" / "moved.jsonl", "/once/upon/deep/film.mp4", "Moved?")
    asked_about(tmp_path / "runs" / "other.jsonl", "/once/upon/other.mp4", "Other?")
    for videos in (tmp_path / "films", film):
        with served(tmp_path / "runs", videos=(videos,)) as viewer:
            urls = {name: viewer.trace(name)["video"]["url"] for name in ("Here?", "Moved?", "Other?")}
            assert urls["Here?"] is not None
            assert urls["Moved?"] is not None
            assert urls["Other?"] is None
            assert viewer.get(urls["Moved?"]).body == film.read_bytes()
    with pytest.raises(InputError, match=r"--videos .*nowhere: no such file or folder"):
        Places([], [tmp_path / "nowhere"])


def colour_of(jpeg: bytes) -> str:
    """The colour of the middle of a picture."""
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        assert image.width == 160
        pixel = np.asarray(image.convert("RGB"))[image.height // 2, 80].astype(int)
    known = {**COLOURS, "grey": (128, 128, 128)}
    return min(known, key=lambda name: int(np.abs(pixel - np.array(known[name])).sum()))


def test_thumbnails_are_pictures_of_the_right_frames(tmp_path: Path) -> None:
    with about_film(tmp_path) as (viewer, id_, _):
        lanes = {lane["id"]: lane["items"] for lane in viewer.trace("Seen?")["lanes"]}
        ticks = lanes["frames:planner"]
        assert [tick["thumb"] for tick in ticks] == [f"/thumb/{id_}/{frame}.jpg" for frame in FRAMES]
        seen = {}
        for tick in reversed(ticks):
            answer = viewer.get(tick["thumb"])
            assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
            seen[tick["start_s"]] = colour_of(answer.body)
        assert seen == {0.0: "grey", 2.0: "red", 3.0: "red", 5.5: "red", 7.0: "grey", 10.0: "blue", 15.5: "grey"}
        for frame in ("5", "999999", "-1", "x", "99999999999999999999999"):  # nobody looked at these
            assert viewer.get(f"/thumb/{id_}/{frame}.jpg").status == 404


def test_a_film_that_starts_late_gives_the_right_pictures(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    with av.open(str(film), "w") as file:
        stream: Any = file.add_stream("libx264", rate=2, options={"g": "5"})
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        for number in range(20):
            image = np.full((48, 96, 3), COLOURS["red" if number % 2 else "blue"], np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = number + 14  # 7 s late
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    with av.open(str(film)) as file:
        assert file.start_time == pytest.approx(7_000_000)
    thumbs = Thumbs()
    wanted = [(number, number / 2) for number in range(20)]
    for number in (13, 0, 19, 6):
        assert colour_of(thumbs.get(film, wanted, number)) == ("red" if number % 2 else "blue")


def test_a_phone_video_has_upright_thumbnails(tmp_path: Path) -> None:
    upper, lower = np.full((24, 96, 3), COLOURS["red"], np.uint8), np.full((24, 96, 3), COLOURS["blue"], np.uint8)
    stored = np.concatenate([upper, lower])  # red above blue
    for matrix, turned in (((0, 1, -1, 0), "blue to red"), ((0, -1, 1, 0), "red to blue")):
        film = tmp_path / f"{turned}.mp4"
        with av.open(str(film), "w") as file:
            stream: Any = file.add_stream("libx264", rate=2)
            stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
            for _ in range(8):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(stored, "rgb24")))
            file.mux(stream.encode())
        data = Thumbs().get(turn_mp4(film, matrix), [(2, 1.0)], 2)
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (160, 320)
            left, right = (np.asarray(image.convert("RGB"))[160, x].astype(int) for x in (30, 130))
        assert ("red to blue" if left[0] > right[0] else "blue to red") == turned


def test_frames_in_a_folder_have_thumbnails_but_no_player(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, colour in enumerate(["red", "green", "blue", "yellow"] * 8):
        Image.new("RGB", (320, 200), COLOURS[colour]).save(folder / f"{number}.png")
    asked_about(tmp_path / "a.jsonl", folder)
    with served(tmp_path) as viewer:
        told = viewer.trace("Seen?")
        assert told["video"]["url"] is None
        assert "no player" in told["video"]["problem"]
        for frame, colour in ((0, "red"), (6, "blue"), (11, "yellow")):
            assert colour_of(viewer.get(f"/thumb/{told['id']}/{frame}.jpg").body) == colour


def test_what_cannot_be_decoded_says_so(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film at all" * 100)
    asked_about(tmp_path / "a.jsonl", tmp_path / "film.mp4")
    with served(tmp_path) as viewer:
        answer = viewer.get(f"/thumb/{viewer.rows()['Seen?']['id']}/4.jpg")
    assert answer.status == 422
    assert "film.mp4: cannot be decoded" in answer.json()["problem"]


def test_a_list_of_files_called_a_video_reads_none_of_them(tmp_path: Path) -> None:
    make_film(tmp_path / "secret.mp4", FILM)
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {tmp_path / 'secret.mp4'}\n")
    (tmp_path / "hls.mp4").write_text("#EXTM3U\n#EXTINF:16,\nsecret.mp4\n#EXT-X-ENDLIST\n")
    for name in ("list.mp4", "hls.mp4"):
        with pytest.raises(VideoError):
            Thumbs().get(tmp_path / name, list(FRAMES.items()), 4)


def test_thumbnails_are_kept_but_not_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = make_film(tmp_path / "film.mp4", [("red", 0.0, 60.0)], seconds=60.0)
    wanted = [(number, number / 2) for number in range(120)]
    thumbs = Thumbs(cache_bytes=40_000)
    first = thumbs.get(film, wanted, 0)
    opened: list[str] = []
    real = av.open
    monkeypatch.setattr(av, "open", lambda name, **options: opened.append(name) or real(name, **options))
    assert thumbs.get(film, wanted, 0) == first
    assert thumbs.get(film, wanted, 5)  # it lay on the way
    assert opened == []
    for number in range(0, 120, 7):
        thumbs.get(film, wanted, number)
    assert opened
    assert thumbs.kept_bytes <= 40_000


def test_a_video_of_1_gb_streams_without_being_read_whole(tmp_path: Path) -> None:
    big = tmp_path / "big.mp4"
    with big.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(700 << 20)
        file.write(b"here")
    asked_about(tmp_path / "a.jsonl", big)
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.viewer", str(tmp_path), "--no-open"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        viewer = Served(int(re.findall(r":(\d+)/", process.stdout.readline())[0]), None)  # type: ignore[arg-type]
        url = viewer.trace("Seen?")["video"]["url"]
        before = peak_bytes(process.pid)
        part = viewer.get(url, Range=f"bytes={700 << 20}-{(700 << 20) + 3}")
        assert (part.status, part.body) == (206, b"here")
        assert len(viewer.get(url, Range=f"bytes={768 << 20}-").body) == 256 << 20
        assert peak_bytes(process.pid) - before < 32 << 20
    finally:
        process.terminate()
        process.communicate()


def peak_bytes(pid: int) -> int:
    """Most memory that a process has held."""
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        pytest.skip("memory is measured where /proc tells it")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) * 1024
