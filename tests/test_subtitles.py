from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import checks
from roles.errors import QuestionError
from roles.subtitles import MAX_LINES, Line, lines_within, read_subtitles
from roles.types import Span

SRT = (
    "1\n00:00:01,500 --> 00:00:02,250\n<i>Where</i> is\nmy marble?\n\n"
    "2\n01:00:00,000 --> 01:00:01,000\n{\\an8}Gone &amp; lost\n"
)
VTT = (
    "WEBVTT\n\nNOTE a comment\n\nintro\n00:01.500 --> 00:02.250 align:start\n<v Sally>Where is my marble?</v>\n\n"
    "01:00:00.000 --> 01:00:01.000\nGone\n"
)
FIRST = Line(1.5, 2.25, "Where is my marble?")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_subrip_is_read(newline: str) -> None:
    assert read_subtitles("\ufeff" + SRT.replace("\n", newline), "x.srt") == [
        FIRST,
        Line(3600.0, 3601.0, "Gone & lost"),
    ]


def test_webvtt_is_read() -> None:
    assert read_subtitles(VTT, "x.vtt") == [FIRST, Line(3600.0, 3601.0, "Gone")]


def test_lines_without_words_are_left_out() -> None:
    assert read_subtitles(SRT + "\n3\n00:00:05,000 --> 00:00:06,000\n<b> </b>\n", "x.srt")[-1].text == "Gone & lost"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.srt: holds no subtitles"),
        ("hello\nworld", "x.srt: holds no subtitles"),
        ("1\n1 --> 2\nhi", "x.srt: cannot read '1 --> 2'; expected 00:00:01,000 --> 00:00:02,000"),
        ("1\n00:00:03,000 --> 00:00:02,000\nhi", "ends before it starts"),
    ],
)
def test_what_is_no_subtitles_is_refused(text: str, message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        read_subtitles(text, "x.srt")


def test_lines_wholly_inside_are_shown_relative_and_rounded() -> None:
    lines = [Line(1.0, 6.0, "before"), Line(5.0, 6.26, "in"), Line(9.0, 11.0, "after")]
    assert lines_within(lines, Span(5.0, 10.0)) == [Line(0.0, 1.3, "in")]


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20)), max_size=150))
def test_never_more_lines_than_allowed(times: list[tuple[float, float]]) -> None:
    lines = [Line(start, start + length, "x") for start, length in times]
    shown = lines_within(lines, Span(0.0, 200.0))
    assert len(shown) == min(len(lines), MAX_LINES)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_subtitle_file_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.srt"
    path.write_bytes(SRT.replace("marble", "Müsli").encode(encoding))
    assert checks.read_subtitle_file(str(path))[0].text == "Where is my Müsli?"


def test_a_subtitle_file_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.srt"
    with pytest.raises(QuestionError, match=r"x.srt: the subtitles cannot be read \(No such file"):
        checks.read_subtitle_file(str(path))
    with pytest.raises(QuestionError, match="the subtitles cannot be read"):
        checks.read_subtitle_file("a\0b")
    path.write_bytes("Müsli".encode("latin-1"))
    with pytest.raises(QuestionError, match="not UTF-8 text; convert them first"):
        checks.read_subtitle_file(str(path))
    monkeypatch.setattr(checks, "MAX_SUBTITLE_BYTES", 3)
    with pytest.raises(QuestionError, match="5 bytes; expected subtitles of at most 3"):
        checks.read_subtitle_file(str(path))
