"""The viewer's command: the page's address, trees, exported pages, bad input."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from agent.viewer.__main__ import main
from agent.viewer.choice import only
from agent.viewer.export import page
from agent.viewer.files import Index
from agent.viewer.text import show_text
from roles.errors import InputError
from tests.films import make_film
from tests.test_viewer_media import FILM, asked_about
from tests.viewer_folder import all_kinds, answered, damaged, evaluated, failed, running, torn

ROOT = Path(__file__).parent.parent
HOSTILE = "</script><script>alert(1)</script><!-- \"'& \u2028 \x1b[31m"
STATIC = ROOT / "agent" / "viewer" / "static"
needs_page = pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page's files are not there")


class Parts(HTMLParser):
    """The elements of a page, and what stands in its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inside.append((*self.tags[-1], data))


def exported(path: Path) -> tuple[Parts, dict[str, object]]:
    parts = Parts(path.read_text(encoding="utf-8"))
    (held,) = [text for tag, attrs, text in parts.inside if attrs.get("id") == "exported"]
    return parts, json.loads(held)


def command(*words: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent.viewer", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_help_is_fast_and_nothing_heavy_is_loaded() -> None:
    began = time.perf_counter()
    assert "--videos DIR" in command("--help").stdout
    assert time.perf_counter() - began < 1.5
    code = (
        "import sys, agent.viewer.app, agent.viewer.text, agent.viewer.otlp, agent.viewer.export\n"
        "print([name for name in ('torch', 'transformers', 'adapters', 'eval', 'peft') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_page_is_up_in_about_a_second_on_the_loopback_address_only(tmp_path: Path) -> None:
    answered(tmp_path / "a.jsonl", "Up?")
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.viewer", str(tmp_path)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", address)
        assert match
        with urllib.request.urlopen(address + "api/traces", timeout=10) as answer:  # noqa: S310 - our own address
            assert "Up?" in answer.read().decode()
        assert time.perf_counter() - began < 3
        with socket.create_connection(("127.0.0.1", int(match[1])), timeout=5) as waiting:
            waiting.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in waiting.recv(4096)
            process.send_signal(2)  # while a page waits for news
            _, said = process.communicate(timeout=10)
        assert process.returncode == 0
        assert said == ""
    finally:
        process.kill()
        process.communicate()


def bad(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What is said of bad input: one line and exit code 2."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as left:
        code = int(left.code or 0)
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.startswith("mindreel: error: ")
    assert said.count("\n") == 1
    return said


def test_bad_input_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = answered(tmp_path / "two.jsonl", "One?", "Two?")
    (tmp_path / "foreign.jsonl").write_text("{}\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jsonl").write_text("")
    page_ = tmp_path / "page.html"
    for words, message in (
        ((tmp_path / "nowhere",), "nowhere: no such file or folder"),
        (("a\0b",), "no such file or folder"),
        ((tmp_path, "--port", "70000"), "--port 70000: expected 1 to 65535"),
        ((tmp_path, "--port", "x"), "invalid int value"),
        ((tmp_path, "--videos", tmp_path / "nowhere"), "--videos .*nowhere: no such file or folder"),
        ((two, "--export", page_), "holds 2 questions; name one by --question 1 to 2"),
        ((two, "--export", page_, "--question", "3"), "--question 3: two.jsonl holds 2 questions"),
        ((two, "--export", page_, "--question", "0"), "questions are counted from 1"),
        ((two, "--export", tmp_path, "--question", "1"), "is a folder"),
        ((two, "--export", tmp_path / "no" / "page.html", "--question", "1"), "there is no folder"),
        ((two, "--export", page_, "--question", "1", "--embed-video"), "--embed-video: sally.mp4: not found"),
        ((two, "--embed-video"), "--embed-video: goes with --export"),
        ((two, "--question", "1"), "--question: goes with"),
        ((two, "--text", "--export", page_), "not allowed with"),
        (("--text",), "no trace was named"),
        ((tmp_path / "empty", "--text"), "holds no traces"),
        ((tmp_path / "empty.jsonl", "--text"), "line 1: an empty file"),
        ((tmp_path / "foreign.jsonl", "--text"), "not the beginning of a Mindreel trace"),
        ((tmp_path / "foreign.jsonl", "--export", page_), "not the beginning of a Mindreel trace"),
        ((tmp_path / "foreign.jsonl", "--question", "1", "--text"), "not the beginning of a Mindreel trace"),
        ((two, "--otlp", "nonsense"), "expected an address"),
        ((two, "--unknown"), "unrecognized arguments"),
    ):
        assert re.search(message, bad(capsys, *words)), (words, message)
    assert not page_.exists()


def test_a_port_in_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--port {port}: cannot be had" in bad(capsys, tmp_path, "--port", str(port))


def text_of(path: Path, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main([str(path), "--text", *words]) == code
    return capsys.readouterr().out


def test_a_tree_tells_plan_steps_moments_and_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(answered(tmp_path / "a.jsonl", "Where will Sally look?"), capsys)
    for words in (
        "a.jsonl, question 1 of 1",
        "Where will Sally look?",
        "Plan  made by: planner",
        "00:06.000 - 00:12.000  confidence 0.800  P(Yes) 0.900  P(No) 0.050",
        "Watched  00:00.000 - 00:32.000 for the answer",
        "B.  In the box  <- chosen",
        "Answer  In the box",
        "100 tokens in, 12 out",
        "The relevant moment happens in <|reg|>.",
    ):
        assert words in text
    assert text.index("planner  ") < text.index("grounder  ") < text.index("verifier  ") < text.index("answerer  ")
    assert "\x1b" not in text  # no terminal, no colours
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_tree_shows_what_went_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(failed(tmp_path / "failed.jsonl"), capsys)
    assert "Error  answerer failed: RuntimeError: out of luck" in text
    assert re.search(r"answerer +failed", text)
    text = text_of(running(tmp_path / "running.jsonl"), capsys)
    assert re.search(r"verifier +running", text)
    assert re.search(r"answerer +not run", text)
    text = text_of(torn(tmp_path / "torn.jsonl"), capsys)
    assert "What is torn?" in text
    assert main([str(damaged(tmp_path / "damaged.jsonl")), "--text"]) == 2
    said = capsys.readouterr()
    assert "What is damaged?" in said.out  # what came before the damage
    assert "damaged.jsonl, line 7: not a JSON object" in said.err


def test_a_tree_of_a_folder_tells_all_and_then_what_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = text_of(all_kinds(tmp_path / "runs"), capsys, code=2)
    for question in ("First?", "Second?", "What fell back?", "What failed?", "What runs?", "What is torn?"):
        assert question in text
    assert "the verifier chooses among" in text


def test_a_tree_of_an_evaluation_says_what_was_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = evaluated(tmp_path / "run")
    text = text_of(run / "traces" / "a.jsonl", capsys, "--question", "2")
    assert "Item  q1" in text
    assert "Answer  right" in text
    assert "Moment  wrong (IoU 0.000 with a true one)" in text
    assert "B.  In the box  <- chosen and right" in text


def test_no_text_can_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(answered(tmp_path / "a.jsonl", HOSTILE), capsys)
    assert "\x1b" not in text
    assert "<script>alert(1)</script>" in text


def test_a_terminal_gets_colours_and_folded_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index([answered(tmp_path / "a.jsonl", "Why " * 40 + "?")])
    index.refresh()
    import io

    out = io.StringIO()
    terminal = Console(
        file=out, force_terminal=True, width=60, markup=False, highlight=False, emoji=False, soft_wrap=True
    )
    monkeypatch.setattr("agent.viewer.text.console", lambda file: terminal)
    assert show_text(index, None, out) == 0
    assert "\x1b[" in out.getvalue()
    plain = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())
    assert all(len(line) <= 60 for line in plain.splitlines())
    assert plain.count("Why") >= 40


def test_a_pipe_that_closes_ends_quietly(tmp_path: Path) -> None:
    path = answered(tmp_path / "a.jsonl", *(f"Question {number}?" for number in range(150)))
    words = [sys.executable, "-m", "agent.viewer", str(path), "--text"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert "a.jsonl, question 1 of 150" in process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(timeout=30)


@needs_page
def test_an_exported_page_is_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my films").mkdir()
    film = make_film(tmp_path / "my films" / "film.mp4", FILM)
    trace = asked_about(tmp_path / "a.jsonl", film, HOSTILE)
    (tmp_path / "pages").mkdir()
    target = tmp_path / "pages" / "page.html"
    assert main([str(trace), "--export", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    parts, held = exported(target)
    for tag, attributes in parts.tags:
        for name in ("src", "href", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    rows = held["traces"]["traces"]  # type: ignore[index]
    (told,) = held["trace"].values()  # type: ignore[attr-defined]
    assert [row["id"] for row in rows] == [told["id"]]
    assert told["question"] == HOSTILE
    assert told["video"]["url"] == "../my%20films/film.mp4"
    pictures = {item["thumb"] for lane in told["lanes"] for item in lane["items"] if lane["kind"] == "ticks"}
    assert len(pictures) == 3  # all frames of one colour are one picture
    for picture in pictures:
        assert base64.b64decode(picture.removeprefix("data:image/jpeg;base64,"))[:2] == b"\xff\xd8"


@needs_page
def test_an_exported_page_allows_only_what_is_in_it(tmp_path: Path) -> None:
    trace = answered(tmp_path / "a.jsonl", HOSTILE)
    assert main([str(trace), "--export", str(tmp_path / "page.html")]) == 0
    parts, _ = exported(tmp_path / "page.html")
    (policy,) = [
        str(attrs["content"]) for tag, attrs in parts.tags if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "unsafe" not in policy
    run = [(tag, text) for tag, attrs, text in parts.inside if attrs.get("type") != "application/json"]
    assert run
    for tag, text in run:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        (part,) = [part for part in policy.split("; ") if part.startswith(f"{tag}-src")]
        assert f"'sha256-{digest}'" in part
    assert len([tag for tag, _ in parts.tags if tag == "script"]) == 1 + len(
        re.findall("<script", (STATIC / "index.html").read_text())
    )


@needs_page
def test_a_video_can_be_put_inside(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", FILM)
    trace = asked_about(tmp_path / "a.jsonl", film)
    assert main([str(trace), "--export", str(tmp_path / "page.html"), "--embed-video"]) == 0
    _, held = exported(tmp_path / "page.html")
    (told,) = held["trace"].values()  # type: ignore[attr-defined]
    assert base64.b64decode(told["video"]["url"].removeprefix("data:video/mp4;base64,")) == film.read_bytes()


@needs_page
def test_a_page_without_its_video_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = answered(tmp_path / "a.jsonl", "One?", "Two?")
    assert main([str(trace), "--export", str(tmp_path / "page.html"), "--question", "2"]) == 0
    assert "mindreel: note: sally.mp4: not found" in capsys.readouterr().err
    _, held = exported(tmp_path / "page.html")
    (told,) = held["trace"].values()  # type: ignore[attr-defined]
    assert told["question"] == "Two?"
    assert told["video"]["url"] is None
    assert (told["previous"], told["next"]) == (None, None)


@needs_page
def test_numbers_that_json_does_not_have_do_not_break_a_page() -> None:
    assert '"a":null' in page({"a": float("nan")})


def test_one_question_must_be_meant(tmp_path: Path) -> None:
    index = Index([all_kinds(tmp_path / "runs")])
    index.refresh()
    with pytest.raises(InputError, match="7 traces; name one file"):
        only(index, None)
    with pytest.raises(InputError, match="7 traces were named"):
        only(index, 1)
