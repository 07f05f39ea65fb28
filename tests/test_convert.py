"""Converters: hand-written files in each public format, with the dirt that such files have."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.benchmarks.__main__ import main, parser
from eval.benchmarks.check import check_file
from eval.benchmarks.convert import convert
from eval.benchmarks.formats import FORMATS
from eval.benchmarks.records import Record, Row, Skipped
from eval.benchmarks.report import Report
from eval.benchmarks.videos import VideoFolder
from roles.errors import DataError
from roles.examples import read_examples
from roles.types import Example, Span

ROOT = Path(__file__).parents[1]
Capture = pytest.CaptureFixture[str]
Convert = Callable[..., tuple[list[Example], Report]]


def lines(*rows: Any) -> str:
    """JSON lines; texts stand as they are."""
    return "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Convert:
    """Writes annotation files and empty videos, and converts them in that folder."""
    monkeypatch.chdir(tmp_path)

    def call(
        name: str, files: dict[str, Any], videos: Sequence[str] = (), missing: str = "skip", durations: Any = None
    ) -> tuple[list[Example], Report]:
        for file, content in files.items():
            Path(file).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        for video in ("videos/placeholder.txt", *(f"videos/{video}" for video in videos)):
            Path(video).parent.mkdir(parents=True, exist_ok=True)
            Path(video).touch()
        if durations is not None:
            Path("durations.json").write_text(json.dumps(durations), encoding="utf-8")
        lengths = None if durations is None else Path("durations.json")
        report = convert(name, [Path(file) for file in files], Path("videos"), Path("out.jsonl"), lengths, missing)
        made = read_examples(Path("out.jsonl"))
        assert report.written == len(made)
        assert report.read == report.written + sum(tally.count for tally in report.skipped.values())
        return made, report

    return call


def skipped(report: Report) -> dict[str, list[str]]:
    """Reasons and first places."""
    return {reason: tally.first for reason, tally in report.skipped.items()}


# the formats


def test_qvhighlights_gives_all_windows_and_names_its_dirt(run: Convert) -> None:
    row = {"qid": 8, "query": " A girl  cooks. ", "duration": 150, "vid": "NU_210.0_360.0", "relevant_clip_ids": [41]}
    made, report = run(
        "qvhighlights",
        {
            "train.jsonl": lines(
                {**row, "relevant_windows": [[82, 150], [0, 4]]},
                {**row, "relevant_windows": [[82, 150], [0, 4]], "qid": 9},
                {**row, "relevant_windows": [[10, 152], [10, 152]]},
                {**row, "relevant_windows": [[20, 10]]},
                {**row, "relevant_windows": [[150, 152]]},
                {**row, "relevant_windows": [[1, 2]], "query": " "},
                {**row, "relevant_windows": []},
                {**row, "relevant_windows": [[1]]},
                {**row, "relevant_windows": [[1, "2"]]},
                {**row, "relevant_windows": [["1", 2]]},
                {**row, "relevant_windows": [[1, 2]], "vid": "../secret"},
                {**row, "relevant_windows": [[1, 2]], "duration": 0},
                {**row, "relevant_windows": [[1, 2]], "duration": 10**400},
                '{"qid": 9, "relevant_windows": [[NaN, 2]], "query": "x", "vid": "a", "duration": 9}',
                row,
                '{"qid": 9,',
                "[1]",
            )
        },
        ["NU_210.0_360.0.mp4"],
    )
    tags = {"source": "qvhighlights", "id": "8"}
    assert made == [
        Example("videos/NU_210.0_360.0.mp4", "A girl cooks.", spans=(Span(82, 150), Span(0, 4)), tags=tags),
        Example("videos/NU_210.0_360.0.mp4", "A girl cooks.", spans=(Span(10, 150),), tags=tags),
    ]
    assert skipped(report) == {
        "the same example again": ["train.jsonl line 2"],
        "a span ends before it starts, or where it starts": ["train.jsonl line 4: [20, 10]"],
        "a span lies outside the video": ["train.jsonl line 5: [150, 152]"],
        "its text is empty": ["train.jsonl line 6"],
        "no span": ["train.jsonl line 7"],
        "a span is not [start, end]": ["train.jsonl line 8: a list"],
        "a span's end is not a number": ["train.jsonl line 9: the text '2'"],
        "a span's start is not a number": ["train.jsonl line 10: the text '1'"],
        "its video's name leaves the folder of videos": ["train.jsonl line 11: '../secret'"],
        "its video's length is not above 0": ["train.jsonl line 12: 0 s"],
        "field 'duration' is beyond the floats": ["train.jsonl line 13"],
        "a span is not finite": ["train.jsonl line 14: [nan, 2]"],
        "the file does not give its spans": ["train.jsonl line 15"],
        "not a JSON object": ["train.jsonl line 16", "train.jsonl line 17"],
    }
    assert {what: tally.first for what, tally in report.changed.items()} == {
        "a span given twice was merged": ["train.jsonl line 3"],
        "a span that ends after the video was cut": ["train.jsonl line 3"],
    }


def test_didemo_takes_the_mean_of_the_annotators_in_full_seconds(run: Convert) -> None:
    row = {"annotation_id": 7, "description": "cat jumps", "video": "1@N08_36_d8.mov", "num_segments": 6}
    made, report = run(
        "didemo",
        {
            "train_data.json": [
                {**row, "times": [[0, 0], [1, 1], [1, 2], [1, 1]]},  # means 0.75 and 1: 3.75 s and 10 s
                {**row, "times": [[5, 5], [5, 5], [5, 5]]},
                {**row, "times": [[2, 2]], "video": "other.avi"},
                {**row, "times": [[2, 1]]},
                {**row, "times": [[6, 6]]},
                {**row, "times": []},
                {**row, "times": 3},
                {key: value for key, value in row.items() if key != "annotation_id"}
                | {"times": [[0, 1]], "num_segments": 5},
            ]
        },
        ["1@N08_36_d8.mov.mp4"],
        durations={"1@N08_36_d8": 28.2},
    )
    assert [example.spans for example in made] == [(Span(4, 10),), (Span(25, 28.2),), (Span(0, 10),)]
    assert made[0] == Example(
        "videos/1@N08_36_d8.mov.mp4", "cat jumps", spans=(Span(4, 10),), tags={"source": "didemo", "id": "7"}
    )
    assert made[2].tags == {"source": "didemo"}
    assert skipped(report) == {
        "its video is missing": ["train_data.json item 3: other.avi"],
        "an annotator's moment ends before it starts": ["train_data.json item 4: [2, 1]"],
        "an annotator's segment is not in the video": ["train_data.json item 5: [6, 6]"],
        "field 'times' is empty": ["train_data.json item 6"],
        "field 'times' is not a list": ["train_data.json item 7: the number 3"],
    }


def test_tacos_is_read_in_frames_by_video_and_in_seconds_by_line(run: Convert) -> None:
    made, report = run(
        "tacos",
        {
            "train.json": {
                "s13-d21.avi": {
                    "timestamps": [[294, 588], [588, 294], [0, 30]],
                    "sentences": ["He washes hands", "He looks", ""],
                    "fps": 29.4,
                    "num_frames": 2940,
                },
                "s14.avi": {"timestamps": [], "sentences": ["x"], "fps": 29.4, "num_frames": 10},
                "s15.avi": {"timestamps": [], "sentences": [], "fps": 0, "num_frames": 10},
            },
            "train.jsonl": lines(
                {"qid": 1, "query": "He sits", "duration": 100.0, "vid": "s13-d21", "relevant_windows": [[1.5, 2]]}
            ),
        },
        ["s13-d21-cam-002.AVI"],
    )
    assert [(example.video, example.question, example.spans) for example in made] == [
        ("videos/s13-d21-cam-002.AVI", "He washes hands", (Span(10, 20),)),
        ("videos/s13-d21-cam-002.AVI", "He sits", (Span(1.5, 2),)),
    ]
    assert skipped(report) == {
        "a span ends before it starts, or where it starts": ["train.json 's13-d21.avi' item 2: [20, 10]"],
        "its text is empty": ["train.json 's13-d21.avi' item 3"],
        "as many sentences as timestamps were expected": ["train.json 's14.avi': 1 and 0"],
        "field 'fps' is not above 0": ["train.json 's15.avi'"],
    }


def test_hirest_gives_parts_and_steps_of_clips_only(run: Convert) -> None:
    step = {"index": 0, "heading": "take flour", "absolute_bounds": [50, 58]}
    files = {
        "all_data_train.json": {
            "Make Pancakes": {
                "5V3.mp4": {
                    "relevant": True,
                    "clip": True,
                    "v_duration": 207.08,
                    "bounds": [50, 121],
                    "steps": [step, {**step, "absolute_bounds": [58, 50]}, {"index": 2}],
                },
                "W_u.mp4": {"relevant": True, "clip": False, "v_duration": 9.0, "bounds": [0, 0], "steps": []},
                "bad.mp4": 3,
            },
            "Fly": [],
        }
    }
    made, report = run("hirest-grounding", files, ["5V3.mp4"])
    assert made == [
        Example("videos/5V3.mp4", "Make Pancakes", spans=(Span(50, 121),), tags={"source": "hirest_grounding"})
    ]
    clips = {
        "not marked as relevant and a clip": ["all_data_train.json 'Make Pancakes' 'W_u.mp4'"],
        "not an object with fields": ["all_data_train.json 'Make Pancakes' 'bad.mp4': the number 3"],
        "not an object of videos": ["all_data_train.json 'Fly'"],
    }
    assert skipped(report) == clips
    made, report = run("hirest-step", files, ["5V3.mp4"])
    assert made == [Example("videos/5V3.mp4", "take flour", spans=(Span(50, 58),), tags={"source": "hirest_step"})]
    place = "all_data_train.json 'Make Pancakes' '5V3.mp4' step"
    assert skipped(report) == clips | {
        "a span ends before it starts, or where it starts": [f"{place} 2: [58, 50]"],
        "no field 'heading'": [f"{place} 3"],
    }


def test_queryd_joins_captions_and_times(run: Convert) -> None:
    captions = {
        "video-skz": [["A", "man", "walks."], [], "He stops.", [1]],
        "video-two": [["x"]],
        "video-odd": [["x"], ["y"]],
    }
    times = {"video-skz": [[0.5, 2.25], [3, 4], [5, 6.5], [7, 8]], "video-two": [[0, 1]], "video-odd": [[0, 1]]}
    files = {"captions.json": captions, "times.json": times, "train_list.txt": "video-skz\nvideo-odd\n\nvideo-none\n"}
    made, report = run("queryd", files, ["skz.webm"])
    assert [(example.question, example.spans) for example in made] == [
        ("A man walks.", (Span(0.5, 2.25),)),
        ("He stops.", (Span(5, 6.5),)),
    ]
    assert made[0].video == "videos/skz.webm"
    assert skipped(report) == {
        "its text is empty": ["captions.json 'video-skz' item 2"],
        "a caption is not a list of words": ["captions.json 'video-skz' item 4"],
        "as many captions as times were expected": ["captions.json 'video-odd': 2 and 1"],
        "no captions or no times for a video": ["captions.json 'video-none'"],
    }
    made, _ = run("queryd", {"times.json": times, "captions.json": captions}, ["video-two.mp4"])
    assert {example.video for example in made} == {"videos/skz.webm", "videos/video-two.mp4"}
    with pytest.raises(DataError, match="needs two JSON files"):
        run("queryd", {"captions.json": captions})
    with pytest.raises(DataError, match="needs two JSON files"):
        run("queryd", {"captions.json": captions, "more.json": {"video-skz": []}})


@pytest.mark.parametrize("name", ["cosmo-cap", "internvid-vtime"])
def test_lines_with_one_span_each(run: Convert, name: str) -> None:
    row = {"vid": "BVs52yd-RUQ", "query": "He waves", "duration": 117.4, "span": [3, 9.5]}
    made, report = run(
        name, {"anno.jsonl": lines(row, {**row, "span": [[3, 9]]}, {**row, "query": 4})}, [f"{row['vid']}.mkv"]
    )
    tags = {"source": name.replace("-", "_")}
    assert made == [Example("videos/BVs52yd-RUQ.mkv", "He waves", spans=(Span(3, 9.5),), tags=tags)]
    assert skipped(report) == {
        "a span is not [start, end]": ["anno.jsonl line 2: a list"],
        "field 'query' is not text": ["anno.jsonl line 3: the number 4"],
    }


def test_charades_sta_cuts_at_the_lengths_of_a_table(run: Convert, tmp_path: Path) -> None:
    text = "3MSZA 24.3 30.4##a person sits.\nAMT7R 0.0 x##b\nno marks\n\n3MSZA 31 32##c\nZZZ 0 1##d##e\n"
    files = {"charades_sta_train.txt": text}
    made, report = run("charades-sta", files, ["3MSZA.mp4", "ZZZ.mp4"], durations={"3MSZA.mp4": 30})
    assert [(example.question, example.spans) for example in made] == [
        ("a person sits.", (Span(24.3, 30),)),
        ("d##e", (Span(0, 1),)),
    ]
    assert skipped(report) == {
        "a span's ends are not numbers": ["charades_sta_train.txt line 2: AMT7R 0.0 x"],
        "not a line like VIDEO start end##sentence": ["charades_sta_train.txt line 3"],
        "a span lies outside the video": ["charades_sta_train.txt line 5: [31, 32]"],
    }
    table = tmp_path / "Charades_v1_train.csv"
    table.write_text("id,subject,length\n3MSZA,x,29.5\n", encoding="utf-8")
    convert("charades-sta", [tmp_path / "charades_sta_train.txt"], Path("videos"), Path("out.jsonl"), table)
    assert read_examples(Path("out.jsonl"))[0].spans == (Span(24.3, 29.5),)


def test_activitynet_names_videos_with_or_without_its_prefix(run: Convert) -> None:
    entry = {
        "duration": 82.73,
        "timestamps": [[0.83, 19.86], [-0.5, 60.81]],
        "sentences": ["A boy runs.", " He falls."],
    }
    made, report = run("activitynet", {"train.json": {"v_QOl": entry, "v_no": {**entry, "sentences": []}}}, ["QOl.mp4"])
    assert [(example.video, example.question, example.spans) for example in made] == [
        ("videos/QOl.mp4", "A boy runs.", (Span(0.83, 19.86),)),
        ("videos/QOl.mp4", "He falls.", (Span(0, 60.81),)),
    ]
    assert list(report.changed) == ["a span that begins before the video was cut"]
    assert list(skipped(report)) == ["as many sentences as timestamps were expected"]


HEAD = "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"


def test_nextqa_plans_by_type_and_reads_the_right_option(run: Convert) -> None:
    options = 'lie,"sit, then run",jump,eat,cry'
    made, report = run(
        "nextqa",
        {
            "train.csv": HEAD
            + f"4010,369,640,480,how do they play,1,6,CH,{options}\n"
            + f"4010,369,640,480,how many dogs are there?,0,7,DC,{options}\n"
            + f"4010,369,640,480,what now,9,8,TN,{options}\n"
            + f"4010,369,640,480,what now,2,9,XX,{options}\n"
            + "4010,369,640,480,what now,2,10,TN,lie,lie,jump,eat,cry\n"
            + "4010,369,640,480,what now,2,11,TN,an, unquoted,comma,eat,cry,x\n",
            "map_vid_vidorID.json": {"4010": "1164/4010x"},
        },
        ["1164/4010x.mp4"],
    )
    assert made[0] == Example(
        "videos/1164/4010x.mp4",
        "How do they play?",
        ("lie", "sit, then run", "jump", "eat", "cry"),
        "sit, then run",
        tags={"source": "nextqa", "id": "4010_6", "type": "CH", "route": "ground"},
    )
    assert made[1].question == "How many dogs are there?"
    assert (made[1].tags["route"], made[1].answer, len(made)) == ("answer", "lie", 2)
    assert skipped(report) == {
        "the answer's number is beyond the options": ["train.csv line 4: 9"],
        "unknown question type": ["train.csv line 5: XX"],
        "its options broke the schema": ["train.csv line 6: the same as options[0]: 'lie'"],
        "more or fewer fields than the first line has": ["train.csv line 7"],
    }


def test_nextgqa_gives_text_answers_and_spans(run: Convert) -> None:
    made, report = run(
        "nextqa",
        {
            "val.csv": HEAD.replace("video,", "video_id,")
            + "48,9,640,480,why,2,1,CW,1,2,3,4,5\n"
            + "48,9,640,480,who,2,2,TC,1,2,3,4,5\n"
            + "49,9,640,480,how,2,2,CH,1,2,3,4,5\n",
            "gsub_val.json": {
                "48": {"duration": 34, "location": {"1": [[1.2, 5.8], [30, 40]]}, "fps": 29.97},
                "49": {"duration": 34, "location": {"2": 7}, "fps": 29.97},
            },
        },
        ["48.mp4"],
    )
    assert [(example.answer, example.spans) for example in made] == [("2", (Span(1.2, 5.8), Span(30, 34))), ("2", ())]
    assert skipped(report) == {"field 'spans' is not a list": ["val.csv line 4: the number 7"]}


def test_nextqas_files_are_told_apart_or_refused(run: Convert) -> None:
    with pytest.raises(DataError, match=r"questions are \.csv files"):
        run("nextqa", {"map.json": {"1": "a/1"}})
    with pytest.raises(DataError, match=r"x\.json: expected map_vid_vidorID\.json .* or gsub_"):
        run("nextqa", {"x.json": {"1": 2}, "train.csv": HEAD})
    with pytest.raises(DataError, match=r"y\.csv: no column type, a4; expected question, answer"):
        run("nextqa", {"y.csv": HEAD.replace("type,", "").replace(",a4", "")})
    with pytest.raises(DataError, match=r"z\.csv: line 1 is no CSV \(field larger than field limit"):
        run("nextqa", {"z.csv": f"{'x' * 140_000}\n"})
    with pytest.raises(DataError, match=r"no annotations in these files; expected train\.csv"):
        run("nextqa", {"train.csv": HEAD})


def test_videominds_four_routes_become_three_and_two_keep_a_query(run: Convert) -> None:
    row = {
        "video_path": "data/nextqa/videos/1164/4010.mp4",
        "question": "Why?",
        "query": "the dog  runs",
        "duration": 20.0,
    }
    made, report = run(
        "videomind-planning",
        {
            "planning.jsonl": lines(
                *({**row, "route": route, "question": f"Why {route}?"} for route in (1, 2, 3, 4)),
                {**row, "route": 5},
                {**row, "route": [1]},
                {"route": 1, "question": "Why?", "video_path": row["video_path"]},
                {"route": 4, "question": "Who?", "video_path": row["video_path"]},
            )
        },
        ["videos/1164/4010.mp4"],
    )
    assert [(example.tags["route"], example.tags.get("query")) for example in made] == [
        ("ground", "the dog runs"),
        ("ground", None),
        ("moment", "the dog runs"),
        ("answer", None),
        ("answer", None),
    ]
    assert made[0].video == "videos/videos/1164/4010.mp4"
    assert skipped(report) == {
        "unknown route": ["planning.jsonl line 5: the number 5", "planning.jsonl line 6: a list"],
        "no field 'query'": ["planning.jsonl line 7"],
    }


def test_videominds_candidates_are_tied_together_and_carry_their_overlap(run: Convert) -> None:
    row = {"video_path": "data/didemo/a.mp4", "duration": 30.0, "query": "cat jumps", "span": [[0, 10], [20, 30]]}
    made, report = run(
        "videomind-verifying",
        {
            "verifying.json": [
                {**row, "pred": [[0, 10], [5, 15], [25, 35], [9, 9], [11, 19], [1, 2]]},
                {**row, "pred": [3]},
                {**row, "pred": [[-4, 5]], "span": [[3, 2]]},
            ]
        },
        ["a.mp4"],
    )
    assert [(example.spans[0], float(example.tags["candidate_iou"])) for example in made] == [
        (Span(0, 10), 1.0),
        (Span(5, 15), pytest.approx(1 / 3)),
        (Span(25, 30), pytest.approx(1 / 3)),
        (Span(11, 19), 0.0),
        (Span(0, 5), 0.0),
    ]
    assert {example.tags["group"] for example in made} == {"verifying.json item 1", "verifying.json item 3"}
    assert skipped(report) == {
        "a span ends before it starts, or where it starts": ["verifying.json item 1 candidate 4: [9, 9]"],
        "a candidate is not [start, end]": ["verifying.json item 2"],
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**400) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["vid", "query", "duration", "span", "times", "steps", "route", "relevant", "clip", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("name", FORMATS)
@given(value=json_values, key=st.none() | st.text(max_size=4))
def test_whatever_a_row_holds_it_is_read_or_skipped(name: str, value: Any, key: str | None) -> None:
    if name == "nextqa":
        value = {"type": "CW", **{str(k): str(v) for k, v in (value if isinstance(value, dict) else {}).items()}}
    found = list(FORMATS[name].convert([Row("here", value, key)]))
    assert all(isinstance(item, Record | Skipped) and item.where.startswith("here") for item in found)


# videos


def test_videos_are_found_by_name_with_any_usual_extension(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    for name in ("a.MP4", "b.mov.mp4", "c.webm", "deep/d.mkv", "e_1.0_2.0.mp4", "f.txt", "g"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    finder = VideoFolder(folder, tmp_path / "out.jsonl")
    found = {"a": "a.MP4", "a.avi": "a.MP4", "b.mov": "b.mov.mp4", "c": "c.webm", "deep/d": "deep/d.mkv"}
    for name, file in (found | {"e_1.0_2.0": "e_1.0_2.0.mp4"}).items():
        assert finder.find([name]) == str(folder / file)
    assert finder.find(["x", "c"]) == str(folder / "c.webm")
    for name in ("f", "g", "x/y", "../videos/a", "/a", "a\\b", ""):
        assert finder.find([name]) is None


def test_a_relative_folder_gives_paths_that_move_with_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    monkeypatch.chdir(tmp_path)
    assert VideoFolder(Path("videos"), Path("data/train/out.jsonl")).find(["a"]) == "../../videos/a.mp4"
    assert VideoFolder(tmp_path / "videos", Path("data/out.jsonl")).find(["a"]) == str(tmp_path / "videos" / "a.mp4")


ROWS = lines(*({"vid": vid, "query": "q", "duration": 9, "span": [1, 2]} for vid in ("there", "gone", "gone", "lost")))


def test_missing_videos_are_skipped_kept_or_stop_everything(run: Convert) -> None:
    made, report = run("cosmo-cap", {"a.jsonl": ROWS}, ["there.mp4"])
    assert [example.video for example in made] == ["videos/there.mp4"]
    assert (report.missing_videos.count, report.missing_videos.first) == (2, ["gone.mp4", "lost.mp4"])
    assert report.skipped["its video is missing"].count == 3

    made, report = run("cosmo-cap", {"a.jsonl": ROWS}, missing="keep")
    assert [example.video for example in made] == ["videos/there.mp4", "videos/gone.mp4", "videos/lost.mp4"]
    assert report.missing_videos.count == 2

    before = Path("out.jsonl").read_bytes()
    with pytest.raises(DataError, match=r"videos: 2 videos are missing, first gone\.mp4, lost\.mp4"):
        run("cosmo-cap", {"a.jsonl": ROWS}, missing="stop")
    assert Path("out.jsonl").read_bytes() == before


# the command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("videos").mkdir()
    Path("videos/there.mp4").touch()
    Path("anno.jsonl").write_text(ROWS, encoding="utf-8")
    return tmp_path


CONVERT = ("convert", "cosmo-cap", "--annotations", "anno.jsonl", "--videos", "videos", "--out", "data/train.jsonl")


def test_convert_prints_its_report_and_writes_it_beside_the_examples(folder: Path, capsys: Capture) -> None:
    assert main(CONVERT) == 0
    out = capsys.readouterr().out
    assert [line.split("first")[0].split() for line in out.splitlines()] == [
        ["data/train.jsonl"],
        ["annotations", "read", "4"],
        ["examples", "written", "1"],
        ["skipped:", "its", "video", "is", "missing", "3"],
        ["missing:", "videos", "2"],
    ]
    report = json.loads(Path("data/train.report.json").read_text(encoding="utf-8"))
    assert (report["version"], report["format"], report["read"], report["written"]) == (1, "cosmo-cap", 4, 1)
    first = ["anno.jsonl line 2: gone.mp4", "anno.jsonl line 3: gone.mp4", "anno.jsonl line 4: lost.mp4"]
    assert report["skipped"] == {"its video is missing": {"count": 3, "first": first}}
    assert main(["check", "data/train.jsonl", "--videos"]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anno.jsonl": "none.jsonl"}, "none.jsonl: cannot be read (No such file or directory); check the path"),
        ({"videos": "none"}, "none: no such folder of videos; check the path, or --missing keep"),
        ({"data/train.jsonl": "anno.jsonl"}, "anno.jsonl: also one of the annotation files; name another --out"),
        ({"data/train.jsonl": "videos/there.mp4/x"}, "videos/there.mp4/x: cannot be written"),
        ({"anno.jsonl": "list.pkl"}, "list.pkl: a pickle can run code when it is opened; make JSON of it first"),
        ({"anno.jsonl": "bad.json"}, "bad.json: not JSON (Expecting value at line 1, column 2)"),
        ({"anno.jsonl": "deep.json"}, "deep.json: not JSON that can be read"),
        ({"anno.jsonl": "text.json"}, "text.json: expected a list or an object of annotations, found the text 'x'"),
        ({"cosmo-cap": "nextqa", "anno.jsonl": "list.json"}, "list.json: expected map_vid_vidorID.json or gsub_*.json"),
        ({"cosmo-cap": "didemo"}, "all 4 annotations were skipped: 4 x no field 'times' (first: anno.jsonl line 1)"),
        ({"cosmo-cap": "imagenet"}, "argument FORMAT: invalid choice: 'imagenet'"),
        ({"--out": "--output"}, "the following arguments are required: --out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path, capsys: Capture, change: dict[str, str], message: str
) -> None:
    Path("list.pkl").write_bytes(b"\x80\x04\x95.")
    for name, content in {
        "bad.json": "[",
        "deep.json": "[" * 100_000,
        "text.json": '"x"',
        "list.json": "[]",
    }.items():
        Path(name).write_text(content, encoding="utf-8")
    try:
        code = main([change.get(word, word) for word in CONVERT])
    except SystemExit as end:
        code = int(str(end.code))
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.startswith("mindreel: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "d.json",
            "[]",
            "expected an object of seconds by video, or a .csv with the columns id and length, found a list",
        ),
        ("d.json", '{"a": "long"}', "the length of 'a' is the text 'long'; expected seconds above 0"),
        ("d.json", '{"a": 0}', "the length of 'a' is the number 0; expected seconds above 0"),
        ("d.csv", "id,seconds\na,3\n", "no column length; expected id, length in the first line"),
        ("d.csv", "id,length\na\n", "d.csv line 2: more or fewer fields than the first line has"),
    ],
)
def test_a_bad_table_of_durations_is_one_line(
    folder: Path, capsys: Capture, name: str, content: str, message: str
) -> None:
    Path(name).write_text(content, encoding="utf-8")
    assert main([*CONVERT, "--durations", name]) == 2
    assert capsys.readouterr().err == f"mindreel: error: {name}: {message}\n"


def test_what_is_odd_about_written_choices_is_counted_and_equal_ones_are_left_out(run: Convert) -> None:
    row = {"qid": 1, "video_uid": 7, "question": "Who?", "choices": ["he", "she"], "right_answer": "A", "answer": "he"}
    row |= {"clue_intervals": [[1, 2]], "duration": 9}
    odd = {**row, "question": "Who else?", "answer": "she"}
    again = {**row, "qid": 2}  # differs in its tags only
    files = {"cgbench.json": [row, odd, again, {**odd, "choices": ["she", "she"]}, {**odd, "video_uid": 8}]}
    made, report = run("cgbench", files, ["7.mp4"])
    assert [(example.answer, example.tags.get("answer_conflict")) for example in made] == [("he", None), ("he", "yes")]
    assert {what: (tally.count, tally.first) for what, tally in report.changed.items()} == {
        "the answer's letter and its text name different options: taken by its letter": (1, ["cgbench.json item 2"]),
        "an id that stood there before got a number": (1, ["cgbench.json item 2"]),
    }
    assert {reason: tally.count for reason, tally in report.skipped.items()} == {
        "the same example again": 1,
        "its options broke the schema": 1,
        "its video is missing": 1,
    }


def test_mind_benchmarks_go_through_the_command_to_examples_that_keep_the_schema(run: Convert) -> None:
    siq = {"qid": "q", "q": "Why at 0:39?", "vid_name": "clip", "answer_idx": 1}
    siq |= {f"a{place}": f"as {place}" for place in range(4)}
    made, report = run("social-iq", {"qa_val.json": lines(siq), "trims.json": {"clip": 2}}, ["clip.mp4"])
    assert [(example.video, example.answer, example.spans) for example in made] == [("videos/clip.mp4", "as 1", ())]
    assert list(report.changed) == ["the question names a time of the video"]
    told = "What's inside: a cup.\nQuestion: Where? (a) left (b) right Please respond with either a or b."
    asked = {"question": told, "question_type": 1.2, "answer": "b", "episode": 3, "start_time": 0, "end_time": 4}
    made, _ = run("mmtom-qa", {"questions.json": lines(asked)}, ["task_3.mp4"])
    assert [(example.question, example.options, example.answer) for example in made] == [
        ("What's inside: a cup. Where?", ("left", "right"), "right")
    ]


def test_the_document_lists_every_format_and_its_commands_are_right() -> None:
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", text.partition("| format |")[2], re.MULTILINE) == list(FORMATS)
    commands = re.findall(r"^python -m eval\.benchmarks (.*?)(?: +#.*)?$", text, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        parser().parse_args(command.split())


def test_a_json_file_may_hold_json_lines(run: Convert) -> None:
    made, _ = run("cosmo-cap", {"a.json": ROWS}, missing="keep")
    assert len(made) == 3


def test_check_counts_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    candidate = {"candidate_iou": "0.5", "group": "a"}
    path.write_text(
        lines(
            {"video": "a.mp4", "question": "q", "spans": [[0, 4], [1, 2]], "tags": {"route": "ground", "source": "s"}},
            {"video": "a.mp4", "question": "q", "spans": [[1, 3]], "tags": candidate},
            {"video": "b.mp4", "question": "q", "spans": [[1, 3]], "tags": {**candidate, "candidate_iou": "0.49"}},
            {"video": "b.mp4", "question": "q", "options": ["x", "y"], "answer": "x"},
        ),
        encoding="utf-8",
    )
    assert check_file(path).counts == {
        "examples": "4",
        "videos": "2",
        "with spans": "3",
        "spans": "4",
        "span length": "1 to 4 s, median 2 s",
        "with options": "1",
        "with an answer": "1",
        "routes": "ground 1",
        "sources": "s 1",
        "candidates": "2 of 1 groups, 1 positive (IoU >= 0.5)",
    }


def test_check_names_every_problem_of_every_file_and_exits_2(folder: Path, capsys: Capture) -> None:
    Path("bad.jsonl").write_text(lines({"video": "\x1b[31m" + "x" * 300, "question": "q"}, "{"), encoding="utf-8")
    Path("empty.jsonl").write_text("", encoding="utf-8")
    assert main(["check", "bad.jsonl", "none.jsonl", "empty.jsonl", "--videos"]) == 2
    captured = capsys.readouterr()
    problems = [line for line in captured.out.splitlines() if ".jsonl: " in line]
    assert [problem[:40] for problem in problems] == [
        "bad.jsonl: line 1, field video: no such ",
        "bad.jsonl: line 2: not JSON (Expecting p",
        "none.jsonl: cannot be read (No such file",
        "empty.jsonl: line 1: no examples; expect",
    ]
    assert "\x1b" not in captured.out
    assert captured.err == "mindreel: error: 4 problems in 3 of 3 files\n"


def test_a_reader_who_goes_away_leaves_no_traceback(folder: Path) -> None:
    Path("bad.jsonl").write_text("{\n" * 20_000, encoding="utf-8")
    command = [sys.executable, "-m", "eval.benchmarks", "check", "bad.jsonl"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


def test_failures_and_interrupts_are_no_tracebacks(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_with(error: BaseException) -> tuple[int, str]:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr("eval.benchmarks.__main__.convert", fail)
        return main(CONVERT), capsys.readouterr().err

    assert fails_with(KeyboardInterrupt()) == (130, "mindreel: error: interrupted\n")
    code, shown = fails_with(RuntimeError("odd\nthing"))
    assert code == 1
    assert shown.startswith("mindreel: error: a failure inside: ")
    assert shown.count("\n") == 1


def test_help_lists_the_formats_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom eval.benchmarks.__main__ import main, parser\n"
        "try:\n    main(['convert', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'transformers', 'numpy', 'av', 'rich') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(f"\n  {name} " in shown for name in FORMATS)
    assert shown.endswith("[]\n")
