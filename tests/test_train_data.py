"""From a file of examples to what a role can learn from: skip reasons, broken videos, subtitles, line numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.train.answerer import AnswererRecipe
from adapters.train.config import TrainConfig
from adapters.train.data import Data, load_data, read_numbered, without_broken
from adapters.train.grounder import GrounderRecipe
from adapters.train.planner import PlannerRecipe
from adapters.train.recipe import Recipe, RoleSamples
from adapters.train.verifier import VerifierRecipe
from prompts import own_prompts
from roles.errors import DataError
from roles.subtitles import Line
from roles.types import Span
from tests.videos import make_video

FILMS = Path(__file__).parent / "data" / "oracle" / "videos"
FILM = str(FILMS / "v4.mp4")
"""Ten seconds long."""
PLANNER, GROUNDER = PlannerRecipe(200), GrounderRecipe(200)
VERIFIER, ANSWERER = VerifierRecipe(200), AnswererRecipe(200, "mcq", 0.25)


def example(**more: Any) -> dict[str, Any]:
    return {"video": FILM, "question": "What is it?", "answer": "a square", "spans": [[1, 3]], **more}


def write(folder: Path, rows: list[Mapping[str, Any]]) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def load(folder: Path, rows: list[Mapping[str, Any]], recipe: Recipe = GROUNDER, **settings: Any) -> Data:
    path = write(folder, rows)
    config = TrainConfig(model="base", data=path, out=folder / "out", workers=0, **settings)
    return load_data(path, config, recipe, own_prompts(), main=True)


def test_examples_become_items_that_know_their_video_and_their_line(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", 3)
    path = tmp_path / "train.jsonl"
    rows = [example(), example(video="film.mp4", spans=[[0, 1.5], [2, 9]])]
    path.write_text(f"\ufeff\n{json.dumps(rows[0])}\n\n  \n{json.dumps(rows[1])}\n", encoding="utf-8")
    config = TrainConfig(model="base", data=path, out=tmp_path / "out", workers=0)
    data = load_data(path, config, GROUNDER, own_prompts(), main=False)
    assert [item.source for item in data.items] == ["train.jsonl:2", "train.jsonl:5"]
    assert [item.video.path for item in data.items] == [FILM, str(film)]
    assert [item.video.duration_s for item in data.items] == pytest.approx([10, 3])
    assert data.items[1].spans() == (Span(0, 1.5), Span(2, 3))  # cut at the video's end
    assert (data.skipped, data.broken, data.videos) == ({}, [], 2)


@pytest.mark.parametrize(
    ("recipe", "left_out", "reason"),
    [
        (GROUNDER, example(spans=[]), "no spans"),
        (GROUNDER, example(spans=[[1, 2], [10.5, 12]]), "a span lies behind the end of the video"),
        (GROUNDER, example(question="why " * 201), "a query of more than 200 words"),
        (GROUNDER, example(tags={"query": "why " * 201}), "a query of more than 200 words"),
        (PLANNER, example(question="why " * 201), "a query of more than 200 words"),
        (PLANNER, example(spans=[], answer=None), "neither a route, nor spans, nor an answer"),
        (VERIFIER, example(answer="maybe"), "the answer is neither Yes nor No"),
        (VERIFIER, example(answer=None), "the answer is neither Yes nor No"),
        (VERIFIER, example(answer="Yes", spans=[[1, 2], [3, 4]]), "not exactly one span, the candidate"),
        (VERIFIER, example(answer="Yes", spans=[]), "no spans"),
        (VERIFIER, example(answer="No.", question="why " * 201), "a query of more than 200 words"),
        (ANSWERER, example(answer=None), "no answer"),
        (ANSWERER, example(spans=[[11, 12]]), "a span lies behind the end of the video"),
        (ANSWERER, example(question="why " * 201), "a query of more than 200 words"),
    ],
)
def test_what_a_role_cannot_learn_from_is_counted_by_reason(
    tmp_path: Path, recipe: Recipe, left_out: dict[str, Any], reason: str
) -> None:
    good = example(answer="Yes")
    data = load(tmp_path, [left_out, good, left_out], recipe)
    assert [item.source for item in data.items] == ["train.jsonl:2"]
    assert data.skipped == {reason: 2}


@pytest.mark.parametrize(
    ("recipe", "kept"),
    [
        (GROUNDER, example(question="why " * 201, tags={"query": "short"})),  # the query is what it is asked
        (GROUNDER, example(spans=[[9.5, 400]])),
        (PLANNER, example(spans=[], answer=None, tags={"route": "answer"})),
        (PLANNER, example(spans=[[11, 12]])),  # a route needs no video that is long enough
        (VERIFIER, example(answer=" yes. ")),
        (VERIFIER, example(answer=None, tags={"candidate_iou": "0.5"})),
        (ANSWERER, example(spans=[])),
    ],
)
def test_what_a_role_can_learn_from_is_kept(tmp_path: Path, recipe: Recipe, kept: dict[str, Any]) -> None:
    data = load(tmp_path, [kept], recipe)
    assert len(data.items) == 1
    assert data.skipped == {}


def test_videos_that_are_too_short_or_too_long_are_left_out(tmp_path: Path) -> None:
    rows = [example(video=str(FILMS / f"v{number}.mp4")) for number in (1, 2, 3, 4)]  # 24, 40, 56.3 and 10 s
    data = load(tmp_path, rows, min_duration_s=24.0, max_duration_s=40.0)
    assert [item.source for item in data.items] == ["train.jsonl:1", "train.jsonl:2"]
    assert data.skipped == {"video too short or too long": 2}


def test_broken_videos_are_counted_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    rows = [example(), example(video="bad.mp4"), example(video="bad.mp4"), example(video="gone.mp4")]
    data = load(tmp_path, rows, max_broken=0.7)
    assert len(data.items) == 1
    assert data.skipped == {"broken video": 3}
    assert data.videos == 3
    assert [Path(one.path).name for one in data.broken] == ["bad.mp4", "gone.mp4"]
    said = capsys.readouterr().err
    assert said.count("broken video: ") == 2
    assert f"{tmp_path}/gone.mp4: no such file" in said


@pytest.mark.parametrize(("share", "stops"), [(0.5, False), (0.49, True), (0.0, True), (1.0, False)])
def test_more_than_the_set_share_of_broken_videos_stops_the_run(tmp_path: Path, share: float, stops: bool) -> None:
    rows = [example(), example(), example(), example(video="gone.mp4")]  # one of two videos, of four examples
    if not stops:
        assert len(load(tmp_path, rows, max_broken=share).broken) == 1
        return
    said = rf"train\.jsonl: 1 of 2 videos cannot be read, more than --max-broken {share:g} .*gone\.mp4"
    with pytest.raises(DataError, match=said):
        load(tmp_path, rows, max_broken=share)


def test_nothing_left_to_learn_from_says_why(tmp_path: Path) -> None:
    rows = [example(spans=[]), example(spans=[]), example(spans=[[11, 12]])]
    said = r"nothing in it for the grounder to learn from \(2 x no spans, 1 x a span lies behind the end"
    with pytest.raises(DataError, match=said):
        load(tmp_path, rows)


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_a_file_without_examples_says_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.jsonl: no examples; expected one JSON object per line"):
        read_numbered(path)


def test_wrong_lines_are_named_with_their_fields_and_the_rest_counted(tmp_path: Path) -> None:
    rows = [example(), example(spans=[[3, 1]]), *[example(answers="x")] * 12]
    with pytest.raises(DataError) as raised:
        load(tmp_path, rows)
    said = str(raised.value)
    assert f"{tmp_path}/train.jsonl: line 2, field spans[0]: [3, 1]: expected 0 <= start < end; line 3, field" in said
    assert said.endswith("; and 3 more problems")
    assert "\n" not in said


# --- subtitles ----------------------------------------------------------------------------------------------------


def test_subtitles_reach_the_items_and_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n", encoding="utf-8-sig")
    reads: list[Path] = []
    real = Path.read_text

    def read_text(self: Path, **options: Any) -> str:
        reads.append(self)
        return real(self, **options)

    monkeypatch.setattr(Path, "read_text", read_text)
    rows = [example(tags={"subtitles": "film.srt"}), example(), example(tags={"subtitles": "film.srt"})]
    data = load(tmp_path, rows, ANSWERER)
    assert [item.subtitles for item in data.items] == [(Line(1, 2, "Hello"),), (), (Line(1, 2, "Hello"),)]
    assert [path.name for path in reads].count("film.srt") == 1
    sample = RoleSamples(data.items, ANSWERER, own_prompts(), 0).sample(0, 0)
    assert "1.0s - 2.0s, Hello" in sample.request.prompt.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file or directory); check the path"),
        (b"", "holds no subtitles; expected SubRip (.srt) or WebVTT (.vtt)"),
        (b"\xff\xfe\x80", "are not UTF-8 text; convert them first"),
        (b"1\n00:00:02,000 --> 00:00:01,000\nHi\n", "ends before it starts"),
    ],
)
def test_subtitles_that_cannot_be_used_are_named_with_the_line(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "film.srt").write_bytes(content)
    with pytest.raises(DataError) as raised:
        load(tmp_path, [example(), example(tags={"subtitles": "film.srt"})], ANSWERER)
    assert str(raised.value).startswith(f"{tmp_path}/train.jsonl: line 2: {tmp_path}/film.srt: ")
    assert says in str(raised.value)


def test_a_pipe_as_subtitles_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "film.srt")
    with pytest.raises(DataError, match=r"line 1: .*film\.srt: the subtitles are not a file"):
        load(tmp_path, [example(tags={"subtitles": "film.srt"})], ANSWERER)


# --- videos that break later --------------------------------------------------------------------------------------


def test_videos_that_turn_out_broken_are_taken_out(tmp_path: Path) -> None:
    rows = [example(), example(video=str(FILMS / "v1.mp4")), example(video=str(FILMS / "v1.mp4"), spans=[])]
    data = load(tmp_path, rows, max_broken=0.5)
    config = TrainConfig(model="base", data=tmp_path / "train.jsonl", out=tmp_path, max_broken=0.5)
    assert without_broken(data, {}, config) == data
    left = without_broken(data, {FILM: "worn out"}, config)
    assert [item.source for item in left.items] == ["train.jsonl:2"]
    assert left.skipped == {"no spans": 1, "broken video": 1}
    assert [(one.path, one.reason) for one in left.broken] == [(FILM, "worn out")]
    assert left.videos == 2
    with pytest.raises(DataError, match=r"none of the videos can be decoded; the last: worn out too"):
        without_broken(left, {str(FILMS / "v1.mp4"): "worn out too"}, config)
    strict = TrainConfig(model="base", data=tmp_path / "train.jsonl", out=tmp_path, max_broken=0.4)
    with pytest.raises(DataError, match=r"1 of 2 videos cannot be decoded, more than --max-broken 0\.4 allows"):
        without_broken(data, {FILM: "worn out"}, strict)
