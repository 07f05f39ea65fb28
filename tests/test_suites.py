"""Benchmarks read for evaluation: a folder in each publisher's shape, with the dirt that such files have."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.benchmarks.choice_questions import NOTED
from eval.benchmarks.formats import FORMATS
from eval.benchmarks.mending import mended_spans
from eval.item import Item, read_items, write_items
from eval.metrics import question_values
from eval.suites.read import read_suite
from eval.suites.report import DataReport
from eval.suites.table import SUITES
from roles.errors import DataError
from roles.types import Span
from tests.suite_folders import NEXTGQA_HEAD, NEXTGQA_SPANS, make_nextgqa, touch, write_json, write_lines


def noted(report: DataReport) -> dict[str, int]:
    return {reason: tally.count for reason, tally in report.noted.items()}


def skipped(report: DataReport) -> dict[str, list[str]]:
    return {reason: tally.first for reason, tally in report.skipped.items()}


def keys(items: list[Item]) -> list[str]:
    return [item.key for item in items]


# the table


def test_every_suite_names_a_format_a_plan_and_figures_that_are_scored() -> None:
    span = Span(0, 1)
    known = {*question_values([span], [span], True), "MR-full-mAP", "MR-full-R1@0.5", "MR-full-R1@0.7"}
    for name, suite in SUITES.items():
        assert suite.format is None or suite.format in FORMATS, name
        assert suite.plan in ("auto", "ground", "answer", "moment"), name
        assert suite.headline, name
        assert set(suite.headline) <= known, name
        assert all(files.needed or files.wanted for files in suite.splits.values()), name


def test_every_row_of_the_facts_has_a_suite() -> None:
    wanted = (
        "nextgqa rextime charades-sta qvhighlights activitynet cgbench mvbench videomme social-iq mmtom-qa muma-tom"
    )
    assert list(SUITES) == [*wanted.split(), "egotom", "moments", "worlds", "examples"]


def test_evidence_is_claimed_by_suites_with_spans_for_answers_only() -> None:
    claimed = {name for name, suite in SUITES.items() if suite.has_evidence}
    assert claimed == {"nextgqa", "rextime", "cgbench", "moments", "worlds", "examples"}


# NExT-GQA


def test_nextgqa_is_read_with_its_spans_and_films(tmp_path: Path) -> None:
    folder = make_nextgqa(tmp_path / "data", missing=("22",))
    items, report = read_suite("nextgqa", folder)
    assert items[0] == Item(
        key="11_1",
        video=str(folder / "NExTVideo/1164/11.mp4"),
        question="What does the man do after he sits?",
        options=("stands up", "sits", "runs", "eats", "sleeps"),
        answer_at=0,
        spans=(Span(2, 6),),
        tags={"source": "nextqa", "id": "11_1", "type": "TN", "route": "ground", "duration_s": "16"},
        set="1164/11",
    )
    assert items[1].spans == (Span(8.5, 12), Span(13, 15))
    assert [item.missing for item in items] == [False, False, True, True]
    assert (report.missing_videos.count, report.missing_videos.first) == (1, ["0001/22.mp4"])
    assert noted(report) == {NOTED["duplicate_options"]: 1}
    assert items[2].is_right(0)
    assert items[2].is_right(1)  # its text is the right one's
    assert not items[2].is_right(2)
    report.require_videos()


def test_nextgqas_dirt_is_kept_and_named(tmp_path: Path) -> None:
    folder = make_nextgqa(tmp_path)
    rows = [
        "11,32,84,84,who sits,the man,1,TC,the man,a,b,c,d",
        "11,32,84,84,who sits,the man,1,TC,the man,a,b,c,d",  # the same id, question and truth
        "11,32,84,84,who sits,a,3,TC,a,the man,b,c,d",  # options in another order, and another answer
        "11,32,84,84,who runs,nobody,4,TC,a,b,c,d,e",
        "11,32,84,84,who eats,a,5,TC,a,,b,c,d",
        "22,32,84,84,who ate,a,9,XX,a,b,c,d,e",
        "33,32,84,84,who ate,a,1,TC,a,b,c,d,e,f",
    ]
    (folder / "val.csv").write_text("\n".join([NEXTGQA_HEAD, *rows]), encoding="utf-8")
    spans = {"1": [[2, 6]], "3": [[2, 6]], "4": [[9, 4], [3, 3], [5, 99]], "5": [[7, 2]]}
    write_json(folder / "gsub_val.json", {"11": {"duration": 16, "location": spans, "fps": 2}})
    items, report = read_suite("nextgqa", folder)
    assert keys(items) == ["11_1", "11_1#2", "11_3", "11_4", "11_5"]
    assert [item.answer_at for item in items] == [0, 0, 0, None, 0]
    assert items[3].spans == (Span(5, 99),)  # as the field's own scorer sees it
    assert items[4].spans == ()
    assert items[4].options == ("a", "b", "c", "d")
    assert {what: tally.first for what, tally in report.changed.items()} == {
        "a span ends before it starts, or where it starts: left out, the question stays": [
            "val.csv line 5: [9, 4]",
            "val.csv line 5: [3, 3]",
            "val.csv line 6: [7, 2]",
        ]
    }
    assert noted(report) == {
        NOTED["repeated_id"]: 1,
        "the same question again, with the same truth: it counts again": 1,
        "the same question again, with another truth": 1,
        "the answer is none of the options: it is not scored": 1,
        "a span ends after the video: as the file has it": 1,
        NOTED["empty_options"]: 1,
        "no span is left: its moments are not scored": 1,
    }
    assert skipped(report) == {
        "unknown question type": ["val.csv line 7: XX"],
        "more or fewer fields than the first line has": ["val.csv line 8"],
    }
    assert report.read == len(items) + sum(tally.count for tally in report.skipped.values())


def test_a_question_without_moments_is_named_where_the_others_have_them(tmp_path: Path) -> None:
    folder = make_nextgqa(tmp_path)
    spans = json.loads((folder / "gsub_val.json").read_text(encoding="utf-8"))
    del spans["11"]["location"]["2"], spans["22"]
    write_json(folder / "gsub_val.json", spans)
    items, report = read_suite("nextgqa", folder)
    assert [len(item.spans) for item in items] == [1, 0, 0, 0]
    assert report.noted["no moments are given for it: it is not scored for them"].count == 3


def test_what_gives_answers_away_is_counted_and_reaches_no_question(tmp_path: Path) -> None:
    row = {"qid": "q", "q": "Why?", "vid_name": "v", "answer_idx": 1, "a0": "no", "a1": "yes", "a2": "so", "a3": "now"}
    odd = {"ts": "0-60", "ans_corr": "LEAK", "idx_types": ["LEAK"]}
    write_lines(tmp_path / "qa_val.json", row | odd, row | {"qid": "r", "ts": ""})
    items, report = read_suite("social-iq", tmp_path)
    assert {what.partition(":")[0]: tally.count for what, tally in report.withheld.items()} == dict.fromkeys(odd, 1)
    assert "LEAK" not in json.dumps([item.to_json() for item in items])


def test_the_split_that_the_field_reports_is_the_default_and_the_choice_is_written_down(tmp_path: Path) -> None:
    folder = make_nextgqa(make_nextgqa(tmp_path), "test")
    _, report = read_suite("nextgqa", folder)
    assert (report.split, report.chosen, report.splits) == ("test", False, ("test", "val"))
    assert ("split", "test", "by default; there are val as well") in report.rows()
    _, report = read_suite("nextgqa", folder, "val")
    assert report.to_json()["split_chosen_by"] == "the user"
    assert [one["name"] for one in report.to_json()["files"]] == ["val.csv", "gsub_val.json", "map_vid_vidorID.json"]
    (folder / "gsub_test.json").unlink()  # without spans it is no NExT-GQA
    assert read_suite("nextgqa", folder)[1].split == "val"


def test_files_are_found_in_the_publishers_folders_and_one_by_itself(tmp_path: Path) -> None:
    folder = make_nextgqa(tmp_path / "datasets/nextgqa")
    (folder / "NExTVideo").rename(tmp_path / "NExTVideo")
    for data in (tmp_path, folder / "val.csv"):
        items, report = read_suite("nextgqa", data, videos=tmp_path / "NExTVideo")
        assert not report.missing_videos.count
        assert all(item.spans for item in items)
    items, _ = read_suite("nextgqa", tmp_path)
    assert items[0].video == str(tmp_path / "NExTVideo/1164/11.mp4")


def test_a_file_that_would_help_and_is_not_there_is_named(tmp_path: Path) -> None:
    folder = make_nextgqa(tmp_path)
    (folder / "map_vid_vidorID.json").unlink()
    items, report = read_suite("nextgqa", folder)
    assert report.to_json()["files_not_there"] == ["map_vid_vidorID.json"]
    assert all(item.missing for item in items)
    with pytest.raises(DataError, match=r"none of its 2 videos \(11\.mp4, 22\.mp4 \.\.\.\) is there; looked in NExT"):
        report.require_videos()


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("nextqa", None, "nextqa: no such benchmark; expected one of nextgqa, rextime"),
        ("nextgqa", "valid", "nextgqa: no split 'valid'; expected one of test, val"),
        ("nextgqa", "test", "looked for test.csv with gsub_test.json in it and in its folders annotations,"),
        ("nextgqa", "test", "splits that are there: val"),
        ("cgbench", None, "no files of cgbench: looked for cgbench_mini.json or cgbench.json in it"),
        ("mvbench", None, "looked for one of action_antonym.json, action_count.json"),
    ],
)
def test_what_is_not_there_is_one_line(tmp_path: Path, name: str, split: str | None, message: str) -> None:
    folder = make_nextgqa(tmp_path)
    with pytest.raises(DataError) as caught:
        read_suite(name, folder, split)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_videos_or_data_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    folder = make_nextgqa(tmp_path)
    with pytest.raises(DataError, match="nowhere: no such folder of videos; check --videos"):
        read_suite("nextgqa", folder, videos=tmp_path / "nowhere")
    with pytest.raises(DataError, match="nowhere: no such file or folder; name the folder that holds nextgqa's files"):
        read_suite("nextgqa", tmp_path / "nowhere")


def test_a_file_with_nothing_to_ask_says_why(tmp_path: Path) -> None:
    folder = make_nextgqa(tmp_path)
    (folder / "val.csv").write_text(f"{NEXTGQA_HEAD}\n11,1,1,1,who,a,1,XX,a,b,c,d,e\n", encoding="utf-8")
    with pytest.raises(DataError, match="all 1 rows were skipped: 1 x unknown question type"):
        read_suite("nextgqa", folder)
    (folder / "val.csv").write_text(f"{NEXTGQA_HEAD}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"nothing to ask in .*: no rows at all"):
        read_suite("nextgqa", folder)


# the other benchmarks


def test_rextimes_answers_begin_with_their_span_and_never_reach_a_question(tmp_path: Path) -> None:
    row = {
        "qid": "anet_val7",
        "vid": "v_abcdefghijk",
        "duration": 100.5,
        "category": "means_end",
        "question": "Why does she whistle?",
        "options": ["to call the dog", "to scare a bird", "to start a race", "to tune it"],
        "answer": "From <s5.3> to <e8.1>, to start a race.",
        "ans": "C",
        "span": [5.3, 8.1],
    }
    hidden = row | {"qid": "t", "vid": "zyxwvutsrqp_60.0_210.0", "ans": "", "answer": "", "span": [0, 0]}
    write_json(tmp_path / "rextime_val.json", [row])
    write_json(tmp_path / "rextime_test_release.json", [hidden])
    touch(tmp_path / "videos/activitynet/v_abcdefghijk.mp4")
    (item,), report = read_suite("rextime", tmp_path)
    assert (item.answer_at, item.spans, item.missing) == (2, (Span(5.3, 8.1),), False)
    assert (item.tags["category"], item.tags["video_source"]) == ("means_end", "activitynet")
    assert "<s5.3>" not in json.dumps(item.to_json())
    assert "answer_at" not in item.tags
    (tmp_path / "rextime_val.json.bak").write_text("no JSON", encoding="utf-8")
    assert read_suite("rextime", tmp_path)[0] == [item]
    assert {what: tally.first for what, tally in report.withheld.items()} == {
        "answer: begins with the true span": ["rextime_val.json item 1"]
    }
    assert report.to_json()["withheld"]["answer: begins with the true span"]["count"] == 1
    assert ("withheld: answer: begins with the true span", "1", "first: rextime_val.json item 1") in report.rows()
    (item,), report = read_suite("rextime", tmp_path, "test")
    assert (item.answer_at, item.spans) == (None, ())
    assert noted(report) == {NOTED["hidden_answer"]: 1}


def test_rextimes_lines_have_no_options_and_are_asked_for_their_moments(tmp_path: Path) -> None:
    line = {"qid": "q", "query": "What now?", "duration": 9, "vid": "abc_0.0_9.0", "relevant_windows": [[0, 4]]}
    write_lines(tmp_path / "rextime_val.jsonl", line | {"ans": "B"})
    (item,), report = read_suite("rextime", tmp_path)
    assert (item.options, item.answer_at, item.spans) == ((), None, (Span(0, 4),))
    assert item.is_right(None) is None
    assert noted(report) == {NOTED["no_options"]: 1}


def test_charades_are_called_by_their_film_and_equal_lines_count_twice(tmp_path: Path) -> None:
    lines = ["3MSZA 24.3 30.4##a person sits.", "3MSZA 24.3 30.4##a person sits.", "AMT7R 5 2##he eats", "x 1##y"]
    write_lines(tmp_path / "charades_sta_test.txt", *lines)
    (tmp_path / "Charades_v1_test.csv").write_text("id,length\n3MSZA,29.5\n", encoding="utf-8")
    touch(tmp_path / "Charades_v1_480/3MSZA.mp4")
    items, report = read_suite("charades-sta", tmp_path)
    assert keys(items) == ["3MSZA/1", "3MSZA/2", "AMT7R/1"]
    assert [item.spans for item in items] == [(Span(24.3, 30.4),), (Span(24.3, 30.4),), ()]
    assert [item.missing for item in items] == [False, False, True]
    assert items[0].tags["duration_s"] == "29.5"
    assert noted(report) == {
        "a span ends after the video: as the file has it": 2,
        "the same question again, with the same truth: it counts again": 1,
        "no span is left: its moments are not scored": 1,
    }
    assert skipped(report) == {"not a line like VIDEO start end##sentence": ["charades_sta_test.txt line 4"]}


def test_qvhighlights_has_all_windows_and_a_test_split_without_them(tmp_path: Path) -> None:
    row = {"qid": 8, "query": "A girl cooks.", "duration": 150, "vid": "NU_210.0_360.0"}
    write_lines(tmp_path / "data/highlight_val_release.jsonl", row | {"relevant_windows": [[82, 150], [0, 4]]})
    write_lines(tmp_path / "data/highlight_test_release.jsonl", row)
    (item,), _ = read_suite("qvhighlights", tmp_path)
    assert (item.key, item.spans) == ("8", (Span(82, 150), Span(0, 4)))
    (item,), report = read_suite("qvhighlights", tmp_path, "test")
    assert (item.question, item.spans) == ("A girl cooks.", ())
    assert noted(report) == {NOTED["hidden_spans"]: 1}


def test_activitynets_swapped_times_are_named_and_the_sentence_stays(tmp_path: Path) -> None:
    entry = {"duration": 82.7, "timestamps": [[0.8, 19.9], [60, 12], [80, 99]], "sentences": ["One.", "Two.", "Three."]}
    write_json(tmp_path / "captions/val_2.json", {"v_QOl": entry})
    touch(tmp_path / "videos/QOl.webm")
    items, report = read_suite("activitynet", tmp_path)
    assert keys(items) == ["v_QOl/1", "v_QOl/2", "v_QOl/3"]
    assert [item.spans for item in items] == [(Span(0.8, 19.9),), (), (Span(80, 99),)]
    assert not any(item.missing for item in items)
    assert list(report.changed) == ["a span ends before it starts, or where it starts: left out, the question stays"]


CGBENCH = {
    "qid": 12,
    "video_uid": 345,
    "question": "Which cup is lifted last?",
    "choices": ["the red one", "both", "both", "none"],
    "right_answer": "C",
    "answer": "both",
    "clue_intervals": [[10, 12.5], [300, 310]],
    "domain": "Sport",
    "sub_category": "Object Perception",
    "duration": 1800.25,
}


def test_cgbench_finds_subtitles_beside_its_file_or_its_videos(tmp_path: Path) -> None:
    write_json(tmp_path / "cgbench_mini.json", [CGBENCH, CGBENCH | {"qid": 13, "video_uid": 346}, CGBENCH])
    write_json(tmp_path / "cgbench.json", [])
    touch(tmp_path / "cg_videos_720p/345.mp4")
    first = touch(tmp_path / "cg_subtitles/345.srt")
    second = touch(tmp_path / "cg_videos_720p/subtitles/346.srt")
    items, report = read_suite("cgbench", tmp_path)
    assert report.split == "mini"
    assert [item.subtitles for item in items] == [str(first), str(second), str(first)]
    assert keys(items) == ["12", "13", "12#2"]
    assert [item.answer_at for item in items] == [2, 2, 2]
    assert items[0].is_right(1)
    assert "subtitles" not in items[0].tags
    second.unlink()
    items, report = read_suite("cgbench", tmp_path)
    assert items[1].subtitles is None
    assert report.noted["its subtitles are not there: asked without"].first == ["cgbench_mini.json item 2: 346.srt"]


def test_mvbenchs_frames_are_a_film_and_its_parts_are_no_tags(tmp_path: Path) -> None:
    row = {"video": "ABC.mp4", "question": "What first?", "candidates": ["He sat.", "He ran."], "answer": "He ran."}
    write_json(tmp_path / "json/action_sequence.json", [row | {"start": 5.3, "end": 17.1}, row | {"answer": "He."}])
    write_json(tmp_path / "json/episodic_reasoning.json", [row | {"video": "show_s01"}, row | {"video": "show_s02/"}])
    write_json(tmp_path / "json/notes.json", [row])
    touch(tmp_path / "video/star/Charades_v1_480/ABC.mp4")
    touch(tmp_path / "video/tvqa/frames_fps3_hq/show_s01/00001.jpg")
    touch(tmp_path / "video/tvqa/frames_fps3_hq/show_s02/readme.txt")
    items, report = read_suite("mvbench", tmp_path)
    assert keys(items) == ["action_sequence_0", "episodic_reasoning_0", "episodic_reasoning_1"]
    assert (items[0].start_s, items[0].end_s, items[0].spans) == (5.3, 17.1, ())
    assert not {"start_s", "end_s", "frame_rate"} & {tag for item in items for tag in item.tags}
    assert items[1].video == str(tmp_path / "video/tvqa/frames_fps3_hq/show_s01")
    assert (items[1].frame_rate, items[1].missing, items[2].missing) == (3.0, False, True)
    assert len(report.lacking) == 18
    assert "notes.json" not in {one.name for one in report.files}
    assert skipped(report) == {"the answer is none of the options": ["action_sequence.json item 2: the text 'He.'"]}


def test_videomme_is_found_where_its_publisher_puts_it(tmp_path: Path) -> None:
    table, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    row = {"videoID": "-x1", "question_id": "001-1", "question": "How many?", "options": ["A. 2.", "B. 3."]}
    row |= {"answer": "B", "duration": "short", "domain": "Sport", "sub_category": "Golf", "task_type": "Counting"}
    (tmp_path / "videomme").mkdir()
    table.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "videomme/test-00000-of-00001.parquet")
    touch(tmp_path / "data/-x1.mp4")
    (item,), _ = read_suite("videomme", tmp_path)
    assert (item.options, item.answer_at, item.missing) == (("2.", "3."), 1, False)
    assert [item.tags[tag] for tag in SUITES["videomme"].rows] == ["short", "Sport", "Golf", "Counting"]


def test_social_iq_names_ids_that_recur_here_and_in_other_splits(tmp_path: Path) -> None:
    row: dict[str, Any] = {"qid": "c_q1", "q": "Why at 0:39?", "vid_name": "c", "ts": "0.00-60.0", "answer_idx": 1}
    row |= {"a0": "as one", "a1": "as two", "a2": "as two", "a3": "as three"}
    test = {key: value for key, value in row.items() if key != "answer_idx"} | {"q": "Who?"}
    write_lines(tmp_path / "siq2/qa/qa_val.json", row, row | {"q": "Why?"}, row | {"qid": "c_q2"})
    write_lines(tmp_path / "siq2/qa/qa_test.json", test, test | {"qid": "new"})
    write_json(tmp_path / "siq2/trims.json", {"c": 11})
    touch(tmp_path / "siq2/video/c.mp4")
    script = touch(tmp_path / "siq2/transcript/c.vtt")
    items, report = read_suite("social-iq", tmp_path)
    assert keys(items) == ["c_q1", "c_q1#2", "c_q2"]
    assert (items[0].spans, items[0].subtitles, items[0].missing) == ((), str(script), False)
    assert items[0].is_right(2)
    assert noted(report) == {
        NOTED["duplicate_options"]: 3,
        NOTED["names_time"]: 2,
        NOTED["repeated_id"]: 1,
        "the same question again, with the same truth: it counts again": 1,
        "its id stands in another split as well": 2,
    }
    items, report = read_suite("social-iq", tmp_path, "test")
    assert [item.answer_at for item in items] == [None, None]
    assert noted(report)[NOTED["hidden_answer"]] == 2
    assert report.noted["its id stands in another split as well"].first == ["c_q1"]


MMTOM = {
    "question": "What's inside: A hall. \nActions taken by Ann: Ann  waits. \nQuestion: If Ann wants a cup, which? "
    "(a) She thinks so. (b) She knows. Please respond with either a or b.",
    "answer": "b",
    "question_type": 1.2,
    "episode": 7,
    "start_time": 0,
    "end_time": 1,
}


def test_mmtom_qa_keeps_the_lines_of_its_text_and_shows_no_step_after_the_one_asked_about(tmp_path: Path) -> None:
    write_lines(tmp_path / "Benchmark/questions.json", MMTOM, MMTOM | {"episode": 8}, MMTOM)
    frames = tmp_path / "videos/task_7/script/0"
    for number in range(4):
        touch(frames / f"Action_{number:04d}_0_normal.png")
    items, report = read_suite("mmtom-qa", tmp_path)
    told = "What's inside: A hall.\nActions taken by Ann: Ann waits."
    assert items[0].question == f"{told}\n\nIf Ann wants a cup, which?"
    assert items[0].query == "If Ann wants a cup, which?"
    assert (items[0].video, items[0].frame_rate, items[0].end_s) == (str(frames), 1.0, None)
    assert [item.missing for item in items] == [False, True, False]
    assert noted(report) == {
        "a folder of pictures without a frame rate: one a second": 2,
        "no frame_intervals.json: what comes after the step asked about is shown": 2,
        "the same question again, with the same truth: it counts again": 1,
    }
    write_json(tmp_path / "videos/task_7/frame_intervals.json", [[0, 2], [2, 3], [3, 4]])
    touch(frames / "Action_0000_0_seg_inst.png")
    items, report = read_suite("mmtom-qa", tmp_path)
    assert items[0].end_s == 3.0
    assert noted(report)["its folder also holds pictures that are no frames: keep *_normal.png only"] == 2


def test_muma_tom_keeps_its_lines_and_its_orders(tmp_path: Path) -> None:
    stem = "Which one?\nA) one\nB) two"
    episode = {
        "description": "He came.\nShe left.",
        "questions": {"1": stem, "2": stem, "3": stem},
        "answers": {"1": "B) two", "2": "A", "3": "C"},
        "labels": {"1": "belief", "2": "belief_of_goal", "3": "social_goal"},
    }
    write_json(tmp_path / "Files/questions.json", {"4005": episode})
    touch(tmp_path / "Videos/video_4005.mp4")
    items, report = read_suite("muma-tom", tmp_path)
    assert [(item.key, item.answer_at, item.tags["order"]) for item in items] == [
        ("4005_1", 1, "1"),
        ("4005_2", 0, "2"),
    ]
    assert items[0].question == "He came.\nShe left.\n\nWhich one?"
    assert not items[0].missing
    assert report.lacking == ("texts.json",)
    assert list(skipped(report)) == ["the answer's letter is beyond the options"]
    assert noted(report) == {}  # two questions of an episode differ in what they are about


def test_egotoms_three_contexts_stay_three_questions(tmp_path: Path) -> None:
    told = '"    00m:05s | #C C sits\n    01m:36s | #C C drinks"'
    head = "vuid,cuid,narrations_in_context,gt_belief,belief_choice_a,belief_choice_b,clip_start_time,clip_end_time\n"
    row = f"vid,clip~1,{told},C is late.,C is late.,C is late.,100.0,200.0\n"
    (tmp_path / "egotom_belief_shuffled.csv").write_text(head + row, encoding="utf-8")
    items, report = read_suite("egotom", tmp_path)
    assert [item.tags["context"] for item in items] == ["full", "last_30s", "last_5s"]
    assert [(item.start_s, item.end_s) for item in items] == [(100, 200), (170, 200), (195, 200)]
    assert [("sits" in item.question, "drinks" in item.question) for item in items] == [
        (True, True),
        (False, True),
        (False, True),
    ]
    assert noted(report) == {NOTED["duplicate_options"]: 3}
    assert report.lacking == ("egotom_goal_shuffled.csv", "egotom_actions_shuffled.csv")


def test_moments_are_joined_with_their_keys_and_read_without(tmp_path: Path) -> None:
    row = {
        "question_id": "Z7",
        "question": "Why repeat it?",
        "assigned_categories": ["Intentions"],
        "options": {"A": "a reflex ", "B": "a ritual"},
        "movie_title": "FILM",
        "video_url": "https://example.org/695852386",
        "t_0": 0.0,
        "t_i": 531.5,
        "t_j": 546.75,
        "multimodal_cues": ["Body Language"],
        "video_length": 659.84,
    }
    write_json(tmp_path / "data/validation/moments_validation_questions.json", [row, row | {"question_id": "no key"}])
    keys_file = tmp_path / "data/validation/moments_validation_keys.json"
    write_json(keys_file, [{"question_id": "Z7", "correct_answer_key": "B"}])
    touch(tmp_path / "videos/695852386.mp4")
    items, report = read_suite("moments", tmp_path)
    assert [(item.answer_at, item.spans, item.end_s) for item in items] == [
        (1, (Span(531.5, 546.75),), 546.75),
        (None, (Span(531.5, 546.75),), 546.75),
    ]
    assert noted(report) == {NOTED["hidden_answer"]: 1, "the same question again, with another truth": 1}
    keys_file.unlink()
    items, report = read_suite("moments", tmp_path, "validation")
    assert report.lacking == ("moments_validation_keys.json",)
    assert report.counts["with_answer"] == 0


# our own format


def test_our_world_is_read_in_matched_sets_and_its_training_labels_are_no_queries(tmp_path: Path) -> None:
    tags = {"type": "belief", "set": "7", "order": "1", "truth": "false", "query": "she looks", "id": "7-lie/belief"}
    row = {"video": "films/7-lie.mp4", "question": "Where?", "options": ["a", "b"], "answer": "b", "spans": [[1, 2]]}
    write_lines(tmp_path / "examples.jsonl", row | {"tags": tags}, row | {"video": "x.mp4", "tags": tags})
    touch(tmp_path / "films/7-lie.mp4")
    items, report = read_suite("worlds", tmp_path)
    assert keys(items) == ["7-lie/belief", "7-lie/belief#2"]
    assert (items[0].set, items[0].query, items[0].answer_at, items[0].spans) == ("7", None, 1, (Span(1, 2),))
    assert items[0].video == str(tmp_path / "films/7-lie.mp4")
    assert (items[1].missing, report.missing_videos.first) == (True, ["x.mp4"])
    assert report.counts["sets"] == 1


def test_examples_are_one_file_and_faults_in_it_are_named(tmp_path: Path) -> None:
    row = {"video": "../a.mp4", "question": "Where?", "answer": "there", "tags": {"start_s": "1", "frame_rate": "2"}}
    mine = write_lines(tmp_path / "data/mine.jsonl", row)
    touch(tmp_path / "a.mp4")
    (item,), report = read_suite("examples", tmp_path / "data")
    assert (item.key, item.missing, item.start_s, item.frame_rate) == ("../a.mp4/1", False, 1.0, 2.0)
    assert noted(report) == {"an answer without options: it is not scored": 1}
    write_lines(tmp_path / "data/yours.jsonl", row)
    with pytest.raises(DataError, match=r"2 files of examples \(mine\.jsonl, yours\.jsonl\); name one of them as"):
        read_suite("examples", tmp_path / "data")
    assert read_suite("examples", mine)[1].files[0].name == "mine.jsonl"
    write_lines(mine, row | {"answer": 3})
    with pytest.raises(DataError, match="line 1, field answer: expected text"):
        read_suite("examples", mine)


@pytest.mark.parametrize("tags", [{"start_s": "soon"}, {"start_s": "9", "end_s": "9"}, {"end_s": "inf"}])
def test_tags_that_make_no_part_leave_the_whole_film(tmp_path: Path, tags: dict[str, str]) -> None:
    row = {"video": "a.mp4", "question": "Where?", "options": ["x", "y"], "answer": "y"}
    path = write_lines(tmp_path / "mine.jsonl", row | {"tags": tags | {"frame_rate": "-1", "answer_at": "7"}})
    (item,), report = read_suite("examples", path)
    assert (item.start_s, item.end_s, item.frame_rate, item.answer_at) == (None, None, None, 1)
    assert list(report.changed) == [NOTED["cut_ignored"], "a frame rate that is no number above 0: left out"]


def test_a_test_file_wins_where_there_are_several_files_of_examples(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        write_lines(tmp_path / f"{name}.jsonl", {"video": f"{name}.mp4", "question": "Where?"})
    assert read_suite("examples", tmp_path)[0][0].video == "test.mp4"
    assert read_suite("examples", tmp_path, "val")[0][0].video == "val.mp4"


# what holds for all


def test_what_was_read_can_be_written_and_read_again(tmp_path: Path) -> None:
    items, report = read_suite("nextgqa", make_nextgqa(tmp_path / "data"))
    write_items(tmp_path / "items.jsonl", items)
    assert read_items(tmp_path / "items.jsonl") == items
    assert json.loads(json.dumps(report.to_json())) == report.to_json()


def test_a_report_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    _, report = read_suite("nextgqa", make_nextgqa(tmp_path / "data", missing=("11",)))
    assert str(tmp_path) not in json.dumps(report.to_json())


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    folder = make_nextgqa(tmp_path)
    first, second = read_suite("nextgqa", folder), read_suite("nextgqa", folder)
    assert first[0] == second[0]
    assert first[1].to_json() == second[1].to_json()


def test_the_table_of_suites_is_cheap_to_import() -> None:
    import subprocess
    import sys

    code = (
        "import sys, eval.suites.table, eval.suites.read; sys.exit(bool({'torch', 'numpy', 'rich'} & set(sys.modules)))"
    )
    root = Path(importlib.import_module("eval").__file__ or "").parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


seconds = st.floats(-50, 200) | st.sampled_from([0.0, 100.0, float("nan"), float("inf")])


@given(
    spans=st.lists(st.tuples(seconds, seconds), max_size=5), length_s=st.none() | st.floats(1, 150), cut=st.booleans()
)
def test_a_span_is_kept_or_is_a_fault_and_what_is_kept_makes_sense(
    spans: list[tuple[float, float]], length_s: float | None, cut: bool
) -> None:
    made = mended_spans(spans, length_s, cut)
    assert len(made.faults) + len(made.kept) <= len(spans)
    if not cut:
        assert len(made.faults) + len(made.kept) == len(spans)
    assert all(span.length_s > 0 for span in made.kept)
    if cut and length_s is not None:
        assert all(span.end_s <= length_s for span in made.kept)
    again = mended_spans([(span.start_s, span.end_s) for span in made.kept], length_s, cut)
    assert again.kept == made.kept
    assert not again.faults


def test_a_row_never_disappears(tmp_path: Path) -> None:
    rows = [CGBENCH, {"qid": 1}, CGBENCH | {"choices": ["a"]}, 7, CGBENCH | {"video_uid": "../x"}, CGBENCH]
    rows += [CGBENCH | {"question": " "}, CGBENCH | {"question": "half \ud800"}, CGBENCH | {"duration": 0}]
    write_json(tmp_path / "cgbench_mini.json", rows)
    items, report = read_suite("cgbench", tmp_path)
    assert report.read == len(rows) == len(items) + sum(tally.count for tally in report.skipped.values())
    assert len(items) == 3
    assert "its video's length is not above 0: taken as unknown" in report.noted


def test_more_of_a_kind_than_can_be_shown_are_still_counted(tmp_path: Path) -> None:
    folder = make_nextgqa(tmp_path)
    rows = [f"11,1,1,1,who is number {number},a,{number},TC,a,a,c,d,e" for number in range(25)]
    (folder / "val.csv").write_text("\n".join([NEXTGQA_HEAD, *rows]), encoding="utf-8")
    assert NEXTGQA_SPANS["11"]["location"]
    _, report = read_suite("nextgqa", folder)
    tally = report.to_json()["noted"][NOTED["duplicate_options"]]
    assert (tally["count"], len(tally["first"])) == (25, 10)
