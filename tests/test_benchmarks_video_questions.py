"""ReXTime, CG-Bench, MVBench and Video-MME: hand-written files in exactly their formats, with the dirt they have."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.benchmarks.choice_questions import NOTED, notes
from eval.benchmarks.records import Converted, Record, Row, Skipped
from eval.benchmarks.video_questions import (
    MVBENCH_FOLDERS,
    cgbench,
    load_cgbench,
    load_mvbench,
    load_rextime,
    load_videomme,
    mvbench,
    rextime,
    videomme,
)
from roles.errors import DataError

REXTIME = {
    "qid": "anet_val7",
    "vid": "v_abcdefghijk",
    "duration": 100.5,
    "source": "ActivityNet_val_2",
    "category": "means_end",
    "question": "Why does she whistle?",
    "options": ["to call the dog", "to scare a bird", "to start a race", "to tune it"],
    "answer": "From <s0> to <e0>, to start a race.",
    "ans": "C",
    "span": [5, 8],
}
REXTIME_LINE = {
    "qid": "qvh_val3",
    "query": "What does he do after lunch?",
    "duration": 150,
    "vid": "zyxwvutsrqp_60.0_210.0",
    "relevant_windows": [[0, 28]],
    "ans": "B",
}
CGBENCH = {
    "qid": 12,
    "video_uid": 345,
    "question": "Which cup is lifted last?",
    "choices": ["the red one", "the blue one", "none", "both"],
    "right_answer": "B",
    "answer": "the blue one",
    "clue_intervals": [[10, 12.5], [300, 310]],
    "domain": "Sport",
    "sub_category": "Object Perception",
    "duration": 1800.25,
}
MVBENCH = {
    "video": "ABCDE.mp4",
    "question": "What happened first?",
    "candidates": ["He sat down.", "He stood up.", "He ran."],
    "answer": "He stood up.",
}
VIDEOMME = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Law",
    "url": "https://example.org/-x1",
    "videoID": "-x1abc",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "How many people sit?",
    "options": ["A. 2.", "B. 3.", "C. A dozen.", "D. None."],
    "answer": "C",
}


def rows(*values: Any) -> list[Row]:
    """Rows of a file."""
    return [Row(f"file item {number}", value) for number, value in enumerate(values, start=1)]


def records(found: Iterable[Converted]) -> list[Record]:
    """All of them; a row that was skipped fails the test."""
    made = list(found)
    assert [one for one in made if isinstance(one, Skipped)] == []
    return [one for one in made if isinstance(one, Record)]


def reasons(found: Iterable[Converted]) -> list[str]:
    """Why rows were skipped."""
    return [one.reason for one in found if isinstance(one, Skipped)]


def without(row: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}


def saved(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


# ReXTime


def test_rextime_has_the_option_as_answer_and_its_span_as_evidence() -> None:
    (made,) = records(rextime(rows(REXTIME)))
    assert made.question == "Why does she whistle?"
    assert made.options == ("to call the dog", "to scare a bird", "to start a race", "to tune it")
    assert (made.answer, made.spans, made.duration_s) == ("to start a race", ((5.0, 8.0),), 100.5)
    assert made.tags == {
        "id": "anet_val7",
        "source": "rextime",
        "benchmark": "rextime",
        "category": "means_end",
        "video_source": "activitynet",
        "answer_at": "2",
    }


@pytest.mark.parametrize("start", ["From <s0> to <e0>, ", "From 5.0s to 8.0s, ", "From 5 seconds to 8 seconds, "])
def test_the_span_in_rextimes_answer_reaches_nothing_and_does_not_hide_the_option(start: str) -> None:
    (made,) = records(rextime(rows(without(REXTIME, "ans") | {"answer": f"{start}To start a race."})))
    assert made.answer == "to start a race"
    assert not any("From" in shown for shown in (made.question, *made.options, *made.tags.values()))


def test_rextimes_thirteen_characters_are_activitynet_and_all_else_qvhighlights() -> None:
    made = records(rextime(rows(REXTIME, REXTIME_LINE)))
    assert made[0].names == ("v_abcdefghijk", "abcdefghijk", "activitynet/v_abcdefghijk", "activitynet/abcdefghijk")
    assert made[1].names == ("zyxwvutsrqp_60.0_210.0", "qvhighlights/zyxwvutsrqp_60.0_210.0")
    assert [one.tags["video_source"] for one in made] == ["activitynet", "qvhighlights"]


def test_rextimes_lines_have_windows_and_a_letter_but_no_options() -> None:
    (made,) = records(rextime(rows(REXTIME_LINE)))
    assert (made.question, made.options, made.answer) == ("What does he do after lunch?", (), None)
    assert made.spans == ((0.0, 28.0),)
    assert (made.tags["no_options"], made.tags["answer_at"]) == ("yes", "1")


@pytest.mark.parametrize(
    "key", [{}, {"ans": "", "answer": "", "span": []}, {"ans": None, "answer": None, "span": [0, 100]}]
)
def test_a_rextime_test_row_is_kept_without_answer_and_without_evidence(key: dict[str, Any]) -> None:
    (made,) = records(rextime(rows(without(REXTIME, "ans", "answer", "span") | key)))
    assert (made.answer, made.spans, made.tags["hidden_answer"]) == (None, (), "yes")
    assert len(made.options) == 4
    assert "answer_at" not in made.tags


def test_a_letter_and_a_text_that_differ_are_marked_and_the_letter_counts() -> None:
    (made,) = records(rextime(rows(REXTIME | {"ans": "A"})))
    assert (made.answer, made.tags["answer_conflict"]) == ("to call the dog", "yes")
    (made,) = records(rextime(rows(REXTIME | {"answer": "From <s0> to <e0>, to sleep."})))
    assert (made.answer, made.tags["answer_differs"]) == ("to start a race", "yes")


def test_rextimes_two_files_together_ask_each_question_once(tmp_path: Path) -> None:
    known = REXTIME_LINE | {"qid": REXTIME["qid"], "ans": "C"}
    other = REXTIME | {"qid": "anet_val8"}
    lines = [known, known | {"qid": "anet_val8", "ans": "D"}, REXTIME_LINE, "no JSON"]
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    paths = [saved(tmp_path / "rextime_val.jsonl", text), saved(tmp_path / "rextime_val.json", [REXTIME, other])]
    found = list(rextime(load_rextime(paths)))
    assert [one.tags["id"] for one in found if isinstance(one, Record)] == ["qvh_val3", "anet_val7", "anet_val8"]
    assert reasons(found) == [
        "the same question without options",
        "the same question without options, and with another answer",
        "not a JSON object",
    ]


def test_rextimes_broken_rows_say_what_is_broken() -> None:
    broken = [
        REXTIME | {"ans": "E"},
        REXTIME | {"ans": 2},
        REXTIME | {"span": [3]},
        REXTIME | {"options": ["one"]},
        without(REXTIME, "vid"),
        without(REXTIME_LINE, "relevant_windows"),
        without(REXTIME, "ans") | {"answer": "From <s0> to <e0>, to fly."},
        7,
    ]
    found = list(rextime(rows(*broken)))
    assert reasons(found) == [
        "the answer's letter is beyond the options",
        "the answer is not a letter",
        "a span is not [start, end]",
        "not 2 to 26 options",
        "no field 'vid'",
        "no field 'relevant_windows'",
        "the answer is none of the options",
        "not an object with fields",
    ]
    assert [one.where.split(":")[0] for one in found] == [f"file item {number}" for number in range(1, 9)]


# CG-Bench


def test_cgbench_has_all_clue_intervals_as_evidence() -> None:
    (made,) = records(cgbench(rows(CGBENCH)))
    assert made.spans == ((10.0, 12.5), (300.0, 310.0))
    assert (made.answer, made.duration_s) == ("the blue one", 1800.25)
    assert made.names == ("345", "cg_videos_720p/345")
    assert made.tags == {
        "id": "12",
        "source": "cgbench",
        "benchmark": "cgbench",
        "domain": "Sport",
        "sub_category": "Object Perception",
        "answer_at": "1",
    }


@pytest.mark.parametrize("folder", ["", "cg_subtitles/"])
def test_cgbench_names_the_subtitles_that_lie_beside_and_no_others(tmp_path: Path, folder: str) -> None:
    saved(tmp_path / f"{folder}345.srt", "1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    path = saved(tmp_path / "cgbench_mini.json", [CGBENCH, CGBENCH | {"qid": 13, "video_uid": "346"}])
    made = records(cgbench(load_cgbench([path])))
    assert made[0].tags["subtitles"] == f"{folder}345.srt"
    assert (tmp_path / made[0].tags["subtitles"]).is_file()
    assert "subtitles" not in made[1].tags


def test_of_two_equal_options_the_letter_says_which_one_is_right() -> None:
    twice = CGBENCH | {"choices": ["none", "both ", "both", "one"], "right_answer": "C", "answer": "both"}
    (made,) = records(cgbench(rows(twice)))
    assert (made.answer, made.tags["answer_at"], made.tags["duplicate_options"]) == ("both", "2", "yes")
    assert "answer_conflict" not in made.tags  # both texts are the same


def test_cgbench_without_a_letter_goes_by_the_text_and_without_both_is_skipped() -> None:
    (made,) = records(cgbench(rows(without(CGBENCH, "right_answer"))))
    assert made.tags["answer_at"] == "1"
    assert reasons(cgbench(rows(without(CGBENCH, "right_answer", "answer")))) == ["the answer is none of the options"]


def test_an_empty_text_is_no_option_and_the_right_one_keeps_its_place() -> None:
    (made,) = records(cgbench(rows(CGBENCH | {"choices": ["", "the blue one", " \u200b", "both"]})))
    assert (made.options, made.answer) == (("the blue one", "both"), "the blue one")
    assert (made.tags["answer_at"], made.tags["empty_options"]) == ("0", "2")
    assert notes(made) == ["options without text were left out"]
    empty = [CGBENCH | {"choices": ["the red one", "", "both"]}, CGBENCH | {"choices": ["", "the blue one"]}]
    assert reasons(cgbench(rows(*empty))) == ["the right option is empty", "fewer than two options with text"]


def test_ids_that_come_again_get_numbers_and_are_marked() -> None:
    made = records(cgbench(rows(CGBENCH, CGBENCH | {"qid": "12#2"}, CGBENCH, CGBENCH)))
    assert [one.tags["id"] for one in made] == ["12", "12#2", "12#3", "12#4"]
    assert [one.tags.get("repeated_id") for one in made] == [None, None, "12", "12"]


# MVBench


def task_folder(folder: Path, **tasks: Any) -> Path:
    for task in MVBENCH_FOLDERS:
        saved(folder / f"{task}.json", tasks.get(task, []))
    return folder


def test_mvbench_has_twenty_tasks_named_by_their_files(tmp_path: Path) -> None:
    assert len(MVBENCH_FOLDERS) == 20
    folder = task_folder(tmp_path / "json", action_antonym=[MVBENCH, MVBENCH], object_shuffle=[MVBENCH])
    made = records(mvbench(load_mvbench([folder])))
    assert [one.tags["id"] for one in made] == ["action_antonym_0", "action_antonym_1", "object_shuffle_0"]
    assert made[2].names == ("perception/videos/ABCDE.mp4", "data0613/perception/videos/ABCDE.mp4", "ABCDE.mp4")
    assert made[2].tags == {
        "id": "object_shuffle_0",
        "source": "mvbench",
        "benchmark": "mvbench",
        "task": "object_shuffle",
        "answer_at": "1",
    }


def test_mvbenchs_start_and_end_cut_the_video_and_are_no_evidence(tmp_path: Path) -> None:
    cut = MVBENCH | {"start": 5.3, "end": 17.123456, "accurate_start": 6.0, "accurate_end": 7.0}
    (made,) = records(mvbench(load_mvbench([saved(tmp_path / "action_sequence.json", [cut])])))
    assert made.spans == ()
    assert (made.tags["start_s"], made.tags["end_s"]) == ("5.3", "17.123456")
    assert not {"6", "6.0", "7", "7.0"} & set(made.tags.values())  # they tell where the answer is


@pytest.mark.parametrize(
    ("times", "tags"),
    [
        ({"start": None, "end": None}, {}),
        ({"start": -2, "end": 4}, {"start_s": "0", "end_s": "4"}),
        ({"end": 4}, {"end_s": "4"}),
        ({"start": 9, "end": 9}, {"cut_ignored": "9 to 9"}),
        ({"start": 9, "end": 3}, {"cut_ignored": "9 to 3"}),
        ({"start": 0, "end": -1}, {"cut_ignored": "0 to -1"}),
    ],
)
def test_mvbenchs_times_that_make_no_part_are_kept_beside_the_whole_video(
    tmp_path: Path, times: dict[str, Any], tags: dict[str, str]
) -> None:
    (made,) = records(mvbench(load_mvbench([saved(tmp_path / "action_sequence.json", [MVBENCH | times])])))
    names = ("start_s", "end_s", "cut_ignored")
    assert {name: made.tags[name] for name in names if name in made.tags} == tags


def test_mvbenchs_folders_of_frames_are_named_as_folders_at_three_frames_a_second(tmp_path: Path) -> None:
    shows = [MVBENCH | {"video": "show_s01_clip_02"}, MVBENCH | {"video": "show_s01_clip_03/", "fps": 1.5}]
    made = records(mvbench(load_mvbench([saved(tmp_path / "episodic_reasoning.json", shows)])))
    assert [one.names[0] for one in made] == [
        "tvqa/frames_fps3_hq/show_s01_clip_02/",
        "tvqa/frames_fps3_hq/show_s01_clip_03/",
    ]
    assert [one.tags["frame_rate"] for one in made] == ["3", "1.5"]
    still = saved(tmp_path / "other" / "episodic_reasoning.json", [MVBENCH | {"fps": 0}])
    assert reasons(mvbench(load_mvbench([still]))) == ["field 'fps' is not above 0"]


def test_mvbenchs_dirt_is_named(tmp_path: Path) -> None:
    dirt = [
        MVBENCH | {"answer": "He flew."},
        MVBENCH | {"answer": "he stood up"},
        MVBENCH | {"candidates": ["4", "3", "3"], "answer": "3"},
        MVBENCH | {"candidates": [4, 3], "answer": 3},
        MVBENCH | {"candidates": ["met King", "met A. King"], "answer": "met B. King"},
        without(MVBENCH, "video"),
        MVBENCH | {"start": "0:05"},
        MVBENCH | {"candidates": ["Person B: sat", "sat"], "answer": "sat"},
    ]
    found = list(mvbench(load_mvbench([saved(tmp_path / "moving_count.json", dirt)])))
    assert reasons(found) == [
        "the answer is none of the options",
        "the answer is none of the options",
        "no field 'video'",
        "field 'start' is not a number",
    ]
    made = [one for one in found if isinstance(one, Record)]
    assert [one.answer for one in made] == ["He stood up.", "3", "3", "sat"]
    assert [one.tags["answer_at"] for one in made] == ["1", "1", "1", "1"]
    assert [one.tags.get("duplicate_options") for one in made] == [None, "yes", None, None]
    assert [one.tags["id"] for one in made] == [f"moving_count_{place}" for place in (1, 2, 3, 7)]


def test_files_that_mvbench_lacks_or_does_not_have_are_named(tmp_path: Path) -> None:
    folder = task_folder(tmp_path / "json", state_change=[MVBENCH])
    (folder / "fine_grained_pose.json").unlink()
    saved(folder / "summary.json", [MVBENCH])
    found = list(mvbench(load_mvbench([folder])))
    assert [(one.reason, one.where) for one in found if isinstance(one, Skipped)] == [
        ("a task without file", "json/fine_grained_pose.json"),
        ("its file is named after none of MVBench's 20 tasks", "summary.json item 1"),
    ]
    assert sum(isinstance(one, Record) for one in found) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.json files"):
        list(load_mvbench([tmp_path / "empty"]))


# Video-MME


def parquet(path: Path, *values: dict[str, Any]) -> Path:
    pyarrow, table = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table.write_table(pyarrow.Table.from_pylist(list(values)), path)
    return path


def test_videomme_is_read_from_parquet_and_its_options_lose_their_letters(tmp_path: Path) -> None:
    path = parquet(tmp_path / "test-00000-of-00001.parquet", VIDEOMME, VIDEOMME | {"answer": "A"})
    made = records(videomme(load_videomme([path])))
    assert made[0].options == ("2.", "3.", "A dozen.", "None.")
    assert (made[0].answer, made[1].answer) == ("A dozen.", "2.")
    assert (made[0].where, made[0].names) == ("test-00000-of-00001.parquet row 1", ("-x1abc", "data/-x1abc"))
    assert made[0].duration_s is None
    assert made[0].tags == {
        "id": "001-1",
        "source": "videomme",
        "benchmark": "videomme",
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Law",
        "task_type": "Counting Problem",
        "answer_at": "2",
    }
    assert made[1].tags["repeated_id"] == "001-1"


def test_a_parquet_file_that_is_none_or_lacks_columns_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(load_videomme([saved(tmp_path / "text.parquet", "no Parquet at all")]))
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(load_videomme([tmp_path / "nothing.parquet"]))
    with pytest.raises(DataError, match="no column videoID, answer;") as caught:
        list(load_videomme([parquet(tmp_path / "a.parquet", without(VIDEOMME, "answer", "videoID"))]))
    assert "\n" not in str(caught.value)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'mindreel\[parquet\]'"):
        list(load_videomme([tmp_path / "test.parquet"]))


def test_pyarrow_is_not_imported_with_the_module() -> None:
    code = "import sys, eval.benchmarks.video_questions; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0


def test_videomme_without_an_answer_is_skipped_as_it_hides_none() -> None:
    found = list(videomme(rows(VIDEOMME | {"answer": None}, VIDEOMME | {"answer": "C."}, VIDEOMME | {"answer": "F"})))
    assert reasons(found) == ["the answer is not a letter", "the answer's letter is beyond the options"]


@pytest.mark.parametrize(
    ("given_options", "shown"),
    [
        (["A. cat", "B. dog"], ("cat", "dog")),
        (["(A) cat", "(B) dog", "cow"], ("cat", "dog", "cow")),
        (["A. Lincoln", "G. Washington"], ("A. Lincoln", "G. Washington")),
        (["A cat", "B flat"], ("A cat", "B flat")),
        (["A. B. King", "B. B. King"], ("B. King", "B. King")),
    ],
)
def test_only_letters_that_count_options_are_taken_off(given_options: list[str], shown: tuple[str, ...]) -> None:
    (made,) = records(videomme(rows(VIDEOMME | {"options": given_options, "answer": "B"})))
    assert (made.options, made.tags["answer_at"]) == (shown, "1")


# all of them

CONVERTERS: list[tuple[Callable[[Iterable[Any]], Iterable[Converted]], dict[str, Any]]] = [
    (rextime, REXTIME),
    (rextime, REXTIME_LINE),
    (cgbench, CGBENCH),
    (mvbench, MVBENCH | {"task": "action_sequence", "place": 0, "start": 1, "end": 2}),
    (videomme, VIDEOMME),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["A", "B", "both"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=8,
)


@given(st.data())
def test_every_row_is_a_record_or_a_reason_in_its_place(data: st.DataObject) -> None:
    convert, good = data.draw(st.sampled_from(CONVERTERS))
    broken: list[Any] = []
    for _ in range(data.draw(st.integers(1, 4))):
        fields = sorted(data.draw(st.sets(st.sampled_from(sorted(good)), max_size=3)))
        changed = good | {field: data.draw(JSON) for field in fields}
        broken.append(changed if data.draw(st.booleans()) else without(good, *fields))
    broken.append(data.draw(JSON))
    given_rows: list[Row | Skipped] = [*rows(*broken), Skipped("not a JSON object", "file line 9")]
    made = list(convert(given_rows))
    assert len(made) == len(given_rows)
    assert all(one.where.startswith(row.where) for one, row in zip(made, given_rows, strict=True))
    kept = [one for one in made if isinstance(one, Record)]
    assert len({one.tags["id"] for one in kept}) == len(kept)
    for one in kept:
        assert all(isinstance(value, str) for value in (*one.tags.values(), *one.options, one.question))
        if one.options and "hidden_answer" not in one.tags:
            assert one.options[int(one.tags["answer_at"])] == one.answer
        assert all(option.strip() for option in one.options)
        assert len(notes(one)) == len(set(NOTED) & set(one.tags))
        assert ("duplicate_options" in one.tags) == (len(set(one.options)) < len(one.options))
        assert "<s0>" not in " ".join((one.question, *one.options, *one.tags.values()))
