"""Readers of Theory-of-Mind benchmarks: hand-written files in exactly their formats, with the dirt that they have."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.benchmarks import mind_files
from eval.benchmarks import mind_questions as mind
from eval.benchmarks.choice_questions import NOTED, notes
from eval.benchmarks.records import Converted, Entry, Record, Row, Skipped
from roles.errors import DataError

Load = Callable[[Sequence[Path]], Iterable[Entry]]
CONVERTERS = (mind.social_iq, mind.mmtom_qa, mind.muma_tom, mind.egotom, mind.moments)


def lines(*rows: Any) -> str:
    """JSON lines; texts stand as they are."""
    return "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)


def read(folder: Path, convert: Any, load: Load, files: dict[str, Any]) -> tuple[list[Record], list[Skipped]]:
    """Writes files and reads them."""
    for name, content in files.items():
        written = content if isinstance(content, str) else json.dumps(content, indent=1)
        (folder / name).write_text(written, encoding="utf-8")
    found: list[Converted] = list(convert(load([folder / name for name in files])))
    records = [one for one in found if isinstance(one, Record)]
    for record in records:
        if "answer_at" in record.tags:
            assert record.options[int(record.tags["answer_at"])] == record.answer
        else:
            assert record.answer is None
            assert record.tags["hidden_answer"] == "yes"
    assert len({record.tags["id"] for record in records}) == len(records)
    return records, [one for one in found if isinstance(one, Skipped)]


def reasons(skipped: Iterable[Skipped]) -> list[tuple[str, str]]:
    return [(one.reason, one.where) for one in skipped]


# Social-IQ 2.0

SIQ = {
    "qid": "clip_q1_0",
    "q": "Why does she turn at 0:39?",
    "vid_name": "clip",
    "ts": "0.00-60.000000",
    "ans_corr": "LEAK She heard him.",
    "answer_idx": 2,
    "idx_types": ["matched", "rewrite", "corr", "matched"],
    "a0": "She is cold.",
    "a1": "She is bored.",
    "a2": "She  heard him.",
    "a3": "She is late.",
}


def test_social_iq_gives_options_trim_and_transcript_and_no_evidence(tmp_path: Path) -> None:
    files = {"qa_val.json": lines(SIQ), "trims.json": '{"clip": 12.5, "other": 1.0}'}  # one line of questions will do
    (record,), skipped = read(tmp_path, mind.social_iq, mind_files.load_social_iq, files)
    assert skipped == []
    assert record == Record(
        where="qa_val.json line 1",
        names=("clip",),
        question="Why does she turn at 0:39?",
        options=("She is cold.", "She is bored.", "She heard him.", "She is late."),
        answer="She heard him.",
        tags={
            "source": "social-iq",
            "benchmark": "social-iq",
            "id": "clip_q1_0",
            "subtitles": "clip.vtt",
            "ts": "0.00-60.000000",
            "trim_start_s": "12.500",
            "names_time": "0:39",
            "answer_at": "2",
        },
    )
    assert "LEAK" not in repr(record)


def test_social_iq_keeps_and_names_its_dirt(tmp_path: Path) -> None:
    test_row = {key: value for key, value in SIQ.items() if key not in ("answer_idx", "ans_corr", "idx_types")}
    records, skipped = read(
        tmp_path,
        mind.social_iq,
        mind_files.load_social_iq,
        {
            "qa_train.json": lines(
                "{broken",
                SIQ | {"q": "Who is late?"},
                SIQ | {"a0": "She heard  him."},  # the same id again, and the right answer twice
                SIQ | {"qid": "clip_q1_0#2", "q": "Why laugh at:43, or at 12:5?"},
                SIQ | {"qid": "x", "a1": " "},
                SIQ | {"qid": "y", "a2": ""},
                SIQ | {"qid": "z", "answer_idx": 4},
                SIQ | {"qid": "t", "answer_idx": True},
                SIQ | {"qid": "v", "answer_idx": None},
                SIQ | {"qid": "w", "vid_name": "unknown"},
                [1],
                {"qid": "u"},
            ),
            "qa_test.json": lines(test_row, test_row | {"qid": "new"}),
            "trims.json": {"clip": 5, "odd": "soon"},
        },
    )
    found = {record.tags["id"]: record for record in records}
    assert list(found) == ["clip_q1_0", "clip_q1_0#2", "clip_q1_0#2#2", "x", "w", "clip_q1_0#3", "new"]
    twice = found["clip_q1_0#2"]
    assert twice.tags["repeated_id"] == "clip_q1_0"
    assert twice.tags["duplicate_options"] == "yes"
    assert twice.tags["answer_at"] == "2"
    assert twice.options[0] == twice.answer
    assert found["clip_q1_0#2#2"].tags["names_time"] == ":43"
    assert found["x"].options == ("She is cold.", "She heard him.", "She is late.")
    assert found["x"].tags["answer_at"] == "1"
    assert "names_time" not in found["clip_q1_0"].tags
    assert found["clip_q1_0#3"].answer is None
    assert [notes(found[name]) for name in ("clip_q1_0", "x", "w", "new")] == [
        [],
        [NOTED["empty_options"], NOTED["names_time"]],
        [NOTED["names_time"], NOTED["no_trim"]],
        [NOTED["names_time"], NOTED["hidden_answer"]],
    ]
    assert sorted(reasons(skipped)) == sorted(
        [
            ("not a JSON object", "qa_train.json line 1"),
            ("the right option is empty", "qa_train.json line 6"),
            ("field 'answer_idx' is no option's number", "qa_train.json line 7: the number 4"),
            ("field 'answer_idx' is no option's number", "qa_train.json line 8: true"),
            ("field 'answer_idx' is no option's number", "qa_train.json line 9: null"),
            ("not a JSON object", "qa_train.json line 11"),
            ("no field 'q'", "qa_train.json line 12"),
            ("neither a question nor a trim in seconds", "'odd': the text 'soon'"),
        ]
    )


@pytest.mark.parametrize("content", ["", "nothing", "[1,\n2"])
def test_a_file_without_any_question_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError):
        read(tmp_path, mind.social_iq, mind_files.load_social_iq, {"qa_val.json": content})


def test_questions_in_a_json_list_are_read_too(tmp_path: Path) -> None:
    one_per_line = "[\n" + json.dumps(SIQ) + ",\n" + json.dumps(SIQ | {"qid": "b"}) + "\n]\n"
    records, skipped = read(tmp_path, mind.social_iq, mind_files.load_social_iq, {"qa_val.json": one_per_line})
    assert [record.tags["id"] for record in records] == ["clip_q1_0", "b"]
    assert skipped == []


# MMToM-QA

TOLD = "What's inside the apartment: A hall. \nIn the hall, there is a box. \nActions taken by Ann: Ann waits. "
MMTOM = {
    "question": f"{TOLD}\nQuestion: If Ann wants a cup, which one is more likely? (a) Ann thinks (wrongly) so. "
    "(b) Ann knows. Please respond with either a or b.",
    "answer": "b",
    "question_type": 1.2,
    "test": ["init_graph", "actions"],
    "episode": 7,
    "start_time": 0,
    "end_time": 12,
    "answer_list": ["a", "b"],
}


def test_mmtom_qa_puts_what_is_told_ahead_and_steps_into_tags(tmp_path: Path) -> None:
    (record,), skipped = read(tmp_path, mind.mmtom_qa, mind_files.line_rows, {"questions.json": lines(MMTOM)})
    assert skipped == []
    asked = "If Ann wants a cup, which one is more likely?"
    assert record == Record(
        where="questions.json line 1",
        names=("task_7", "7", "task_7/script/0"),
        question="What's inside the apartment: A hall.\nIn the hall, there is a box.\n"
        f"Actions taken by Ann: Ann waits.\n\n{asked}",
        options=("Ann thinks (wrongly) so.", "Ann knows."),
        answer="Ann knows.",
        tags={
            "source": "mmtom-qa",
            "benchmark": "mmtom-qa",
            "id": "1",
            "type": "1.2",
            "kind": "false_belief",
            "order": "1",
            "episode": "7",
            "start_step": "0",
            "end_step": "12",
            "question_only": asked,
            "answer_at": "1",
        },
    )


def test_mmtom_qa_names_every_type_and_every_broken_row(tmp_path: Path) -> None:
    types = [1.1, 1.2, 1.3, 2.1, 2.2, 2.3, 2.4]
    broken = [
        MMTOM | {"question_type": 3.1},
        MMTOM | {"question_type": "1.1"},
        MMTOM | {"answer": "c"},
        MMTOM | {"question": "Why? (a) x (b) y"},
        MMTOM | {"question": "Question: Why? (a) x"},
        {key: value for key, value in MMTOM.items() if key != "episode"},
        MMTOM | {"end_time": "late"},
        MMTOM | {"question": "Question: Why? (a) (b) y"},
    ]
    good = [MMTOM | {"question_type": known} for known in types]
    records, skipped = read(tmp_path, mind.mmtom_qa, mind_files.line_rows, {"questions.json": lines(*broken, *good)})
    assert [record.tags["kind"] for record in records] == list(mind.MMTOM_KINDS.values())
    assert [record.tags["id"] for record in records] == [str(place) for place in range(9, 16)]
    assert [one.reason for one in skipped] == [
        "unknown question type",
        "field 'question_type' is not a number",
        "field 'answer' is neither 'a' nor 'b'",
        "its question is not like 'Question: ... (a) ... (b) ...'",
        "its question is not like 'Question: ... (a) ... (b) ...'",
        "no field 'episode'",
        "field 'end_time' is not a number",
        "fewer than two options with text",
    ]


# MuMA-ToM


def muma(**other: Any) -> dict[str, Any]:
    stem = "After this, which one is MOST likely?"
    episode = {
        "description": "b'Ann walked in. \"Where is it?\" she said.\\n\\nBen\\'s hand moved. Caf\\xc3\\xa9.'",
        "questions": {
            "1": f"{stem}\nA) Ben knew it (not)\nB) Ben did not",
            "2": f"{stem}\nA) help\nB) hinder\nC) neither",
            "3": f"{stem}\nA) to help\nB) to hinder",
            "4": f"{stem}\nA) same\nB) same",
        },
        "answers": {"1": "B) Ben did not\n", "2": "C", "3": "to hinder", "4": "B) same"},
        "labels": {"1": "belief", "2": "social_goal", "3": "belief_of_goal", "4": "belief_of_goal"},
    }
    return episode | other


def test_muma_tom_gives_one_example_for_each_question(tmp_path: Path) -> None:
    records, skipped = read(tmp_path, mind.muma_tom, mind_files.load_muma_tom, {"questions.json": {"9001": muma()}})
    assert skipped == []
    told = 'Ann walked in. "Where is it?" she said.\n\nBen\'s hand moved. Café.'
    asked = "After this, which one is MOST likely?"
    assert records[0] == Record(
        where="questions.json '9001' question 1",
        names=("9001", "video_9001", "episode_9001"),
        question=f"{told}\n\n{asked}",
        options=("Ben knew it (not)", "Ben did not"),
        answer="Ben did not",
        tags={
            "source": "muma-tom",
            "benchmark": "muma-tom",
            "id": "9001_1",
            "type": "belief",
            "order": "1",
            "episode": "9001",
            "text": "description",
            "question_only": asked,
            "answer_at": "1",
        },
    )
    assert [record.tags["id"] for record in records] == ["9001_1", "9001_2", "9001_3", "9001_4"]
    assert [record.answer for record in records] == ["Ben did not", "neither", "to hinder", "same"]
    assert [record.tags.get("order") for record in records] == ["1", None, "2", "2"]
    assert (records[3].tags["duplicate_options"], records[3].tags["answer_at"]) == ("yes", "1")


def test_muma_tom_prefers_the_text_that_leaves_the_video_its_part(tmp_path: Path) -> None:
    filtered = muma(filtered_description="Ann walked in.")
    records, skipped = read(
        tmp_path,
        mind.muma_tom,
        mind_files.load_muma_tom,
        {"questions.json": {"1": muma(), "2": filtered, "3": filtered}, "texts.json": {"3": "Ann waited."}},
    )
    assert skipped == []
    assert [record.tags["text"] for record in records[::4]] == ["description", "filtered_description", "texts.json"]
    assert [record.question.partition("\n")[0] for record in records[4::4]] == ["Ann walked in.", "Ann waited."]


def test_muma_tom_numbers_an_episode_that_comes_again(tmp_path: Path) -> None:
    files = {"questions.json": {"1": muma()}, "more.json": {"1": muma()}}
    records, skipped = read(tmp_path, mind.muma_tom, mind_files.load_muma_tom, files)
    assert skipped == []
    assert [record.tags["id"] for record in records[3:6]] == ["1_4", "1_1#2", "1_2#2"]


def test_muma_tom_skips_a_broken_question_and_keeps_the_others(tmp_path: Path) -> None:
    whole = muma()
    questions = whole["questions"]
    records, skipped = read(
        tmp_path,
        mind.muma_tom,
        mind_files.load_muma_tom,
        {
            "questions.json": {
                "1": muma(answers=whole["answers"] | {"1": "D) none", "2": "A) hinder", "3": "neither", "5": "A) x"}),
                "2": muma(questions=questions | {"1": "Why?\nA) x\nC) y", "2": "Why?", "3": 3}),
                "3": muma(description="b'unfinished\\'"),
                "4": muma(answers=["A"]),
                "5": {"description": "x"},
                "7": muma(questions={}, answers={}),
                "6": muma(answers=whole["answers"] | {"1": "B) He didn't"}),
            }
        },
    )
    assert [record.tags["id"] for record in records] == ["1_2", "1_4", "2_4", "6_1", "6_2", "6_3", "6_4"]
    assert (records[0].answer, records[0].tags["answer_conflict"]) == ("help", "yes")  # its letter counts
    assert [record.tags.get("answer_differs") for record in records[1:]] == [None, None, "yes", None, None, None]
    assert reasons(skipped) == [
        ("the answer's letter is beyond the options", "questions.json '1' question 1: D"),
        ("the answer is none of the options", "questions.json '1' question 3: the text 'neither'"),
        ("no field '5'", "questions.json '1' question 5"),
        ("its options are not lettered A, B, C ...", "questions.json '2' question 1: A C"),
        ("the answer's letter is beyond the options", "questions.json '2' question 2: C"),
        ("field '3' is not text", "questions.json '2' question 3: the number 3"),
        ("its description is neither text nor written as bytes", "questions.json '3'"),
        ("field 'answers' is not an object", "questions.json '4': a list"),
        ("no field 'questions'", "questions.json '5'"),
        ("no questions", "questions.json '7'"),
    ]


# EgoToM

NARRATIONS = "\n".join(
    f"    {time} | #C C {what}"
    for time, what in (("00m:05s", "sits"), ("01m:10s", "stands"), ("01m:30s", "eats"), ("01m:36s", "drinks"))
)
BELIEF = ("vuid", "cuid", "narrations_in_context", "gt_belief", *(f"belief_choice_{letter}" for letter in "abcd"))
GOAL = ("vuid", "cuid", "narrations_in_context", "gt_goal", *(f"goal_choice_{letter}" for letter in "abc"))
TIMES = ("clip_start_time", "clip_end_time")
CUID = "video~pass_1~2-9"
CHOICES = ["C believes one.", "C believes, two.", "C believes three.", "C believes four."]


def table(columns: Sequence[str], *rows: Sequence[str]) -> str:
    """A CSV file; narrations stand in quotes with line feeds in them."""

    class Text(list[str]):
        write = list.append

    text = Text()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return "".join(text)


def ego(*, gt: str = CHOICES[1], start: str = "500.25", end: str = "600.25", told: str = NARRATIONS) -> list[str]:
    return ["video", CUID, told, gt, *CHOICES, start, end]


def test_egotom_shows_the_whole_clip_and_its_end_and_tells_no_more_than_it_shows(tmp_path: Path) -> None:
    files = {"egotom_belief_shuffled.csv": table((*BELIEF, *TIMES), ego())}
    records, skipped = read(tmp_path, mind.egotom, mind_files.load_egotom, files)
    assert skipped == []
    assert [record.tags["context"] for record in records] == ["full", "last_30s", "last_5s"]
    assert [(record.tags["start_s"], record.tags["end_s"]) for record in records] == [
        ("500.250", "600.250"),
        ("570.250", "600.250"),
        ("595.250", "600.250"),
    ]
    told = [line.strip() for line in NARRATIONS.split("\n")]
    asked = mind.EGOTOM_QUESTIONS["belief"]
    assert [record.question for record in records] == [
        "\n".join(told) + f"\n\n{asked}",
        "\n".join(told[1:]) + f"\n\n{asked}",
        f"{told[3]}\n\n{asked}",
    ]
    for record in records:
        assert record.names == ("video",)
        assert record.spans == ()
        assert record.options == tuple(CHOICES)
        assert record.answer == "C believes, two."
        assert record.tags["type"] == "belief"
        assert record.tags["clip"] == CUID
        assert record.tags["question_only"] == asked
        assert record.answer not in record.question
    assert [record.tags["id"] for record in records] == [
        f"{CUID}/belief/{context}" for context in ("full", "last_30s", "last_5s")
    ]


def test_egotom_reads_all_three_tables_and_a_goal_has_three_options(tmp_path: Path) -> None:
    goal = ["video", CUID, "", "To sit.", "To stand.", "To sit.", "To run.", "0", "20"]
    empty = table((*GOAL, "goal_choice_d", *TIMES), [*goal[:7], "", *goal[7:]])
    actions = tuple(name.replace("belief", "actions") for name in BELIEF)
    records, skipped = read(
        tmp_path,
        mind.egotom,
        mind_files.load_egotom,
        {"goal.csv": table((*GOAL, *TIMES), goal), "more.csv": empty, "a.csv": table((*actions, *TIMES), ego())},
    )
    assert skipped == []
    assert [record.tags["type"] for record in records] == ["goal"] * 6 + ["actions"] * 3
    assert {record.options for record in records[:6]} == {("To stand.", "To sit.", "To run.")}
    assert [record.tags.get("empty_options") for record in records[:6]] == [None] * 3 + ["1"] * 3
    assert [record.tags["id"].removeprefix(CUID) for record in records[2:6]] == [
        "/goal/last_5s",
        "/goal/full#2",
        "/goal/last_30s#2",
        "/goal/last_5s#2",
    ]
    assert records[0].question == mind.EGOTOM_QUESTIONS["goal"]
    assert "question_only" not in records[0].tags
    # a clip of 20 s has no last 30 s: the whole of it is shown
    assert [record.tags["start_s"] for record in records[:3]] == ["0.000", "0.000", "15.000"]


def test_egotom_keeps_lines_without_a_time_with_the_line_before(tmp_path: Path) -> None:
    told = "before all\n    01m:10s | #C C stands\nand waits\n    01m:36s | #C C drinks"
    records, _ = read(
        tmp_path, mind.egotom, mind_files.load_egotom, {"t.csv": table((*BELIEF, *TIMES), ego(told=told))}
    )
    assert [record.question.count("and waits") for record in records] == [1, 1, 0]
    assert [record.question.count("before all") for record in records] == [1, 0, 0]


def test_egotom_counts_a_broken_row_once(tmp_path: Path) -> None:
    rows = [
        ego(gt="C believes five."),
        ego(start="700"),
        ego(end="soon"),
        ego(end="inf"),
        ego()[:-1],
        ego(start="-1"),
    ]
    records, skipped = read(tmp_path, mind.egotom, mind_files.load_egotom, {"t.csv": table((*BELIEF, *TIMES), *rows)})
    assert records == []
    assert [one.reason for one in skipped] == [
        "the answer is none of the options",
        "its clip ends before it starts, or where it starts",
        "a clip's time is no number of seconds",
        "a clip's time is no number of seconds",
        "more or fewer fields than the first line has",
        "its clip ends before it starts, or where it starts",
    ]


def test_a_table_that_is_not_egotoms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column cuid"):
        read(tmp_path, mind.egotom, mind_files.load_egotom, {"t.csv": "vuid,x\n1,2\n"})


# MoMentS

FILM = {
    "question_id": "q-Ab1",
    "question": "Why does he wave? ",
    "assigned_categories": ["Intentions", "Non-literal communication"],
    "options": {"A": "To greet ", "B": "He is cold", "C": "He wants the train to stop.", "D": "To warm up"},
    "movie_title": "THE LATE TRAIN",
    "video_url": "https://www.youtube.com/watch?v=aBcDeFgHiJk&t=3",
    "t_0": 0.0,
    "t_i": 120.4567,
    "t_j": 131.2504,
    "multimodal_cues": ["Speech-related"],
    "video_length": 300.5,
}


def test_moments_joins_keys_and_takes_the_focus_window_as_evidence(tmp_path: Path) -> None:
    files = {"keys.json": [{"question_id": "q-Ab1", "correct_answer_key": "C"}], "questions.json": [FILM]}
    (record,), skipped = read(tmp_path, mind.moments, mind_files.load_moments, files)
    assert skipped == []
    assert record == Record(
        where="questions.json item 1",
        names=("aBcDeFgHiJk", "THE LATE TRAIN"),
        question="Why does he wave? ",
        spans=((120.4567, 131.2504),),
        duration_s=300.5,
        options=("To greet", "He is cold", "He wants the train to stop.", "To warm up"),
        answer="He wants the train to stop.",
        tags={
            "source": "moments",
            "benchmark": "moments",
            "id": "q-Ab1",
            "start_s": "0.000",
            "end_s": "131.250",
            "type": "Intentions, Non-literal communication",
            "cues": "Speech-related",
            "answer_at": "2",
        },
    )


def test_moments_counts_every_key_and_keeps_questions_without_one(tmp_path: Path) -> None:
    vimeo = FILM | {"question_id": "b", "video_url": "https://vimeo.com/123456789", "multimodal_cues": []}
    records, skipped = read(
        tmp_path,
        mind.moments,
        mind_files.load_moments,
        {
            "questions.json": [
                FILM,
                vimeo,
                FILM,
                FILM | {"question_id": "c"},
                FILM | {"question_id": "d"},
                FILM | {"question_id": "e", "t_i": None},
                FILM | {"question_id": "f", "t_0": 600},
                FILM | {"question_id": "g", "movie_title": "../up", "video_url": "https://youtu.be/"},
                FILM | {"question_id": "h", "assigned_categories": [3]},
                7,
            ],
            "keys.json": [
                {"question_id": "q-Ab1", "correct_answer_key": "A"},
                {"question_id": "c", "correct_answer_key": "A"},
                {"question_id": "c", "correct_answer_key": "B"},
                {"question_id": "d", "correct_answer_key": "E"},
                {"question_id": "gone", "correct_answer_key": "A"},
                {"question_id": "q-Ab1", "correct_answer_key": "A"},
                {"question_id": "b"},
            ],
        },
    )
    assert [(record.tags["id"], record.answer) for record in records] == [
        ("q-Ab1", "To greet"),
        ("b", None),
        ("q-Ab1#2", "To greet"),
    ]
    assert records[1].names == ("123456789", "THE LATE TRAIN")
    assert "cues" not in records[1].tags
    assert sorted(reasons(skipped)) == sorted(
        [
            ("its keys differ", "questions.json item 4"),
            ("its key names no option", "questions.json item 5: the text 'E'"),
            ("field 't_i' is not a number", "questions.json item 6: null"),
            ("its context ends before it starts", "questions.json item 7: [600, 131.25]"),
            ("neither its URL nor its title names a video", "questions.json item 8: ../up"),
            ("field 'assigned_categories' is not a list of texts", "questions.json item 9"),
            ("not an object with fields", "questions.json item 10: the number 7"),
            ("a key that was there before", "keys.json item 3"),
            ("a key that was there before", "keys.json item 6"),
            ("neither a question nor a key", "keys.json item 7"),
            ("a key to no question", "keys.json item 5: gone"),
        ]
    )


# whatever a file holds

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["a", "b", "A) x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["1", "A", "B"]), inner, max_size=3),
    max_leaves=6,
)
WHOLE: dict[Any, dict[str, Any]] = {
    mind.social_iq: SIQ,
    mind.mmtom_qa: MMTOM,
    mind.muma_tom: muma(),
    mind.egotom: dict(zip((*BELIEF, *TIMES), ego(), strict=True)),
    mind.moments: FILM | {"correct_answer_key": "C"},
}


@pytest.mark.parametrize("convert", CONVERTERS)
@given(data=st.data())
def test_every_row_is_a_record_or_a_skipped(convert: Any, data: st.DataObject) -> None:
    whole = WHOLE[convert]
    rows: list[Entry] = []
    for place in range(data.draw(st.integers(1, 3))):
        changed = data.draw(st.dictionaries(st.sampled_from(sorted(whole)), json_values, max_size=2))
        value = data.draw(st.just({**whole, **changed}) | json_values)
        rows.append(Row(f"item {place}", value, "7"))
    rows.append(Skipped("bad", "item x"))
    found = list(convert(rows))
    assert found[-1] == rows[-1]
    assert all(isinstance(one, (Record, Skipped)) for one in found)
    for row in rows:
        own = [one for one in found if one.where.split(":")[0].split(" question")[0] == row.where]
        assert own, row.where
    for record in (one for one in found if isinstance(one, Record)):
        assert all(isinstance(text, str) for item in record.tags.items() for text in item)
        assert record.answer is None or record.options[int(record.tags["answer_at"])] == record.answer


@given(content=st.lists(json_values, max_size=3), joined=st.sampled_from(["lines", "list"]))
def test_loaders_lose_no_row(tmp_path_factory: pytest.TempPathFactory, content: list[Any], joined: str) -> None:
    path = tmp_path_factory.mktemp("load") / "qa.json"
    rows = [SIQ, *content]
    separate = "\n".join(json.dumps(row) for row in rows)
    path.write_text(separate if joined == "lines" else json.dumps(rows), encoding="utf-8")
    assert len(list(mind_files.line_rows([path]))) == len(rows)
    if joined == "list":
        assert len(list(mind_files.load_moments([path]))) == len(rows)
        assert len(list(mind_files.load_muma_tom([path]))) == len(rows)


def test_moments_may_be_told_by_the_clock_and_with_one_label(tmp_path: Path) -> None:
    by_clock = FILM | {"t_0": "0", "t_i": "01:05", "t_j": "1:01:20.5", "multimodal_cues": "Body Language"}
    files = {"questions.json": json.dumps([by_clock]), "keys.json": json.dumps({by_clock["question_id"]: "B"})}
    (record,), skipped = read(tmp_path, mind.moments, mind_files.load_moments, files)
    assert (record.spans, record.tags["answer_at"], skipped) == (((65.0, 3680.5),), "1", [])
    assert (record.tags["start_s"], record.tags["cues"]) == ("0.000", "Body Language")
    for odd in ("soon", "1:2:3:4", "-5", "nan"):
        files = {"questions.json": json.dumps([FILM | {"t_i": odd}])}
        records, skipped = read(tmp_path, mind.moments, mind_files.load_moments, files)
        assert (records, [one.reason for one in skipped]) == ([], ["field 't_i' is not a number"])


def test_muma_toms_options_may_stand_in_one_line(tmp_path: Path) -> None:
    question = "Who said (in A. Lane's house) so? A) Ann. B) Ben. C) Cleo."
    episode = {"description": "d", "questions": {"1": question}, "answers": {"1": "B"}, "labels": {"1": "belief"}}
    files = {"questions.json": json.dumps({"7": episode})}
    records, skipped = read(tmp_path, mind.muma_tom, mind_files.load_muma_tom, files)
    assert (records, [one.reason for one in skipped]) == ([], ["its options are not lettered A, B, C ..."])
    episode["questions"] = {"1": question.replace(" (in A. Lane's house)", "")}
    (record,), skipped = read(
        tmp_path, mind.muma_tom, mind_files.load_muma_tom, {"questions.json": json.dumps({"7": episode})}
    )
    assert (record.options, record.tags["answer_at"]) == (("Ann.", "Ben.", "Cleo."), "1")
