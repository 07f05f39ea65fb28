from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.choices import read_choice
from eval.dumps import NO_WINDOW, main, queries, videomind_sample, write_dump
from eval.item import Item
from eval.page.run import judge, read_run
from eval.run_scores import score_run
from eval.score import qvhighlights_scores, videomind_scores
from eval.score_files import read_dumps
from roles.errors import DataError
from roles.types import Span
from tests.finished_run import HEADLINE, full_run, items, record, records, write_run


def samples(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8")))


def test_a_dump_scores_as_the_run_did(tmp_path: Path) -> None:
    folder = full_run(tmp_path / "run", 40)
    main([str(folder), "--as", "videomind", "--out", str(tmp_path / "dump.json")])
    ours = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    found = videomind_scores([tmp_path / "dump.json"], "ours")
    assert found["all"]["asked"] == ours["items"] == 40
    assert found["all"]["figures"].keys() == ours["figures"].keys() >= {"Acc", "mIoU", "Acc@GQA"}
    for name, one in ours["figures"].items():
        theirs = found["all"]["figures"][name]
        for part in ("mean", "low", "high", "asked"):  # here a set is a video, as there
            assert theirs[part] == pytest.approx(one[part], abs=1e-6), name
    for kind, figures in ours["by"]["type"].items():
        assert found[kind]["figures"]["Acc"]["mean"] == pytest.approx(figures["Acc"]["mean"], abs=1e-6)
    assert found["all"]["no_prediction"] == ours["counts"]["no_span"]


def test_videominds_own_scorer_reads_the_same_answers(tmp_path: Path) -> None:
    asked = items(40)
    folder = write_run(tmp_path / "run", asked, records(asked), minds=False)
    write_dump(folder, "videomind", tmp_path / "dump.json")
    figures = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["figures"]
    tables = videomind_scores([tmp_path / "dump.json"], "default")
    assert tables["QA"][-1]["Acc"] == pytest.approx(100 * figures["Acc"]["mean"], abs=0.01)
    assert tables["Grounding (IoU)"][-1]["mIoU"] == pytest.approx(100 * figures["mIoU"]["mean"], abs=0.01)
    assert tables["IoU Raise"]["count"] > 0  # the grounder's order is there as well


texts = st.one_of(
    st.text(max_size=12), st.sampled_from(["(A)", "B", "C.", "the dog", "The cat.", "I do not know", "A dog"])
)


@given(
    st.lists(st.sampled_from(["the dog", "the cat", "a cat", "A bird", "nobody", "Yes", "I"]), min_size=2, max_size=5),
    st.data(),
)
def test_every_answer_counts_in_the_dump_as_it_counted_in_the_run(options: list[str], data: st.DataObject) -> None:
    places = st.integers(0, len(options) - 1)
    item = Item("k", "v.mp4", "Who?", tuple(options), data.draw(places), (Span(0, 10),))
    choice = data.draw(st.one_of(st.none(), places))
    probs = data.draw(st.sampled_from([None, [1 / len(options)] * len(options)]))
    one = judge(item, record(item, choice, said=data.draw(st.one_of(st.none(), texts)), probs=probs))
    sample = videomind_sample(one)
    read = read_choice(sample.get("response"), options)
    assert (read == ascii_uppercase.index(sample["ans"])) == one.right
    assert (read is None) == (choice is None)


def test_a_reply_is_kept_where_it_names_its_option_by_letter() -> None:
    item = items(1)[0]
    assert item.answer_at is not None
    letter = ascii_uppercase[item.answer_at]
    said = f"{letter}) {item.options[item.answer_at]} I am sure"
    assert videomind_sample(judge(item, record(item, item.answer_at, said=said)))["response"] == said
    loose = judge(item, record(item, 1, said="In the box, I think"))
    sample = videomind_sample(loose)
    assert sample["response"] == "(B) In the box."
    assert sample["said"] == "In the box, I think"


def test_what_is_missing_is_left_out_and_counts_as_wrong(tmp_path: Path) -> None:
    asked = items(4)
    asked[1] = replace(asked[1], missing=True)
    said = records(asked, minds=False)
    said["q2"] = record(asked[2], error="broken")
    del said["q3"]
    folder = write_run(tmp_path / "run", asked, said, minds=False)
    told = write_dump(folder, "videomind", tmp_path / "dump.json")
    assert "4 questions, 3 without a predicted span" in told
    rows = samples(tmp_path / "dump.json")
    assert [sorted({"pred", "conf", "response"} & row.keys()) for row in rows] == [
        ["conf", "pred", "response"],
        [],
        [],
        [],
    ]
    assert all({"span", "options", "ans", "video_path"} <= row.keys() for row in rows)
    found = videomind_scores([tmp_path / "dump.json"], "ours")["all"]
    assert found["no_prediction"] == 3
    assert found["figures"]["Acc"]["asked"] == 4


def test_the_grounders_failure_is_told() -> None:
    item = items(1)[0]
    fell = videomind_sample(judge(item, record(item, 1, fell_back=["grounder"])))
    fine = videomind_sample(judge(item, record(item, 1, fell_back=["verifier"])))
    alone = videomind_sample(judge(item, record(item, 1, plan=["answerer"])))
    assert (fell["grounder_success"], fine["grounder_success"]) == (False, True)
    assert "grounder_success" not in alone


def test_the_length_comes_from_the_file_or_else_from_the_benchmark() -> None:
    item = items(1)[0]
    assert videomind_sample(judge(item, record(item, duration_s=61.5)))["duration"] == 61.5
    assert videomind_sample(judge(item, record(item, duration_s=None)))["duration"] == 60
    unknown = replace(item, tags={"duration_s": "long"})
    assert "duration" not in videomind_sample(judge(unknown, record(unknown, duration_s=None)))


def test_questions_without_options_or_answer_are_dumped(tmp_path: Path) -> None:
    asked = items(3, options=())
    asked.append(replace(items(4)[3], answer_at=None))
    said = {one.key: record(one, said="A cat.", spans=[[1.0, 5.0, 0.5, None]]) for one in asked}
    folder = write_run(tmp_path / "run", asked, said, minds=False)
    write_dump(folder, "videomind", tmp_path / "dump.json")
    rows = read_dumps([tmp_path / "dump.json"])
    assert ["options" in row for row in rows] == [False, False, False, True]
    assert not any("ans" in row for row in rows)


def test_more_options_than_letters_are_refused(tmp_path: Path) -> None:
    item = replace(items(1)[0], options=tuple(f"option {at}" for at in range(27)), answer_at=1)
    with pytest.raises(DataError, match="q0: 27 options"):
        videomind_sample(judge(item, None))


def moments(count: int) -> list[Item]:
    """Descriptions as QVHighlights has them: a qid, some with two windows."""
    made = []
    for number, one in enumerate(items(count, options=())):
        spans = (*one.spans, Span(56, 58)) if number % 3 else one.spans
        made.append(replace(one, tags={"id": str(7 + number)}, video=f"v/film_{number}.mp4", spans=spans))
    return made


def test_a_submission_scores_as_the_run_did(tmp_path: Path) -> None:
    asked = moments(30)
    said = {}
    for number, one in enumerate(asked):
        start_s = one.spans[0].start_s + number % 5
        spans = [[start_s, start_s + 10, 0.4, 0.9], [56.0, 58.0, 0.9, 0.2], [0.0, 3.0, 0.1, None]]
        said[one.key] = record(one, spans=[] if number == 4 else spans[number % 2 :])
    del said["q9"]
    folder = write_run(tmp_path / "run", asked, said, benchmark="qvhighlights", minds=False)
    told = write_dump(folder, "qvhighlights", tmp_path / "submission.jsonl")
    assert "30 questions, 2 without a predicted window" in told
    truth = [
        {"qid": 7 + at, "vid": f"film_{at}", "relevant_windows": [[one.start_s, one.end_s] for one in item.spans]}
        for at, item in enumerate(asked)
    ]
    (tmp_path / "truth.jsonl").write_text("\n".join(map(json.dumps, truth)), encoding="utf-8")
    found = qvhighlights_scores(tmp_path / "truth.jsonl", tmp_path / "submission.jsonl")["brief"]
    ours = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["figures"]
    assert {"MR-full-mAP", "MR-full-R1@0.5", "MR-short-mAP"} <= found.keys()
    for name, value in found.items():
        assert value == pytest.approx(100 * ours[name]["mean"], abs=0.006), name


def test_a_submission_has_a_line_for_each_query_in_the_servers_fields(tmp_path: Path) -> None:
    asked = moments(3)
    asked[2] = replace(asked[2], tags={}, query="A man opens a box.")
    rows = queries([judge(one, record(one, spans=[[1, 5, 0.5, None]]) if at else None) for at, one in enumerate(asked)])
    assert [row["qid"] for row in rows] == [7, 8, "q2"]
    assert rows[0]["pred_relevant_windows"] == [NO_WINDOW]
    assert rows[1]["pred_relevant_windows"] == [[1.0, 5.0, 0.5]]
    assert rows[1]["vid"] == "film_1"
    assert rows[2]["query"] == "A man opens a box."
    assert all(row.keys() == {"qid", "query", "vid", "pred_relevant_windows"} for row in rows)


def test_a_qid_that_two_questions_have_is_refused() -> None:
    asked = [replace(one, tags={"id": "7"}) for one in moments(2)]
    with pytest.raises(DataError, match="qid 7 is another question's too"):
        queries([judge(one, None) for one in asked])


def test_a_dump_of_a_run_is_one_of_its_records_however_odd_its_texts(tmp_path: Path) -> None:
    asked = [replace(one, question="Wo?\u2028\x00 猫 \"'", video="a\n.mp4") for one in items(4)]
    folder = write_run(tmp_path / "run", asked, records(asked), minds=False)
    write_dump(folder, "videomind", tmp_path / "dump.json")
    assert [row["question"] for row in read_dumps([tmp_path / "dump.json"])] == [one.question for one in asked]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["{run}", "--as", "videomind"], "--out"),
        (["{run}", "--as", "mindreel", "--out", "{out}"], "invalid choice"),
        (["{out}/none", "--as", "videomind", "--out", "{out}/d.json"], "metrics.json: missing"),
        (["{run}", "--as", "videomind", "--out", "{run}/items.jsonl/d.json"], "cannot be written"),
    ],
)
def test_wrong_use_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], words: str
) -> None:
    asked = items(2)
    folder = write_run(tmp_path / "run", asked, records(asked), minds=False)
    argv = [part.format(run=folder, out=tmp_path) for part in wrong]
    try:
        code = main(argv)
    except SystemExit as ended:
        code = int(ended.code or 0)
    told = capsys.readouterr().err.strip()
    assert code == 2
    assert words in told
    assert told.count("\n") == 0


def test_help_needs_nothing_heavy() -> None:
    code = "import sys, eval.dumps\ntry: eval.dumps.main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'numpy', 'transformers', 'rich'} & set(sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "--as {videomind,qvhighlights}" in ended.stdout


def test_what_the_dump_says_of_a_run_is_what_its_folder_says(tmp_path: Path) -> None:
    """The dump is made of the folder's files alone: their figures are those of the items and records written there."""
    asked = items(12)
    said = records(asked, minds=False)
    folder = write_run(tmp_path, asked, said, minds=False)
    back = [one.item for one in read_run(folder).judged]
    assert back == asked
    again = score_run(
        "nextgqa", "val", back, {one.item.key: one.record for one in read_run(folder).judged}, HEADLINE, (), False
    )
    assert again["figures"] == json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["figures"]
