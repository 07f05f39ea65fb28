"""The scoring command: VideoMind's own numbers come out of its dump, QVHighlights' out of two files of JSON lines."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eval.score import main, qvhighlights_scores
from eval.videomind_scorer import is_mode, official_scores, our_scores

DATA = Path(__file__).parent / "data" / "oracle" / "evaluation"
MODES = ["default", "cgbench", "cgbench_conf_thr_0.4"]

TRUTH: list[dict[str, Any]] = [
    {
        "qid": 7,
        "query": "a cat sleeps",
        "duration": 10,
        "vid": "v1",
        "relevant_windows": [[2, 8]],
        "relevant_clip_ids": [1, 2, 3],
        "saliency_scores": [[2, 4, 4], [2, 0, 0], [3, 4, 4]],
    },
    {
        "qid": 8,
        "query": "a dog barks",
        "duration": 41,
        "vid": "v2",
        "relevant_windows": [[0, 4], [20, 40]],
        "relevant_clip_ids": [0, 1, *range(10, 20)],
        "saliency_scores": [[4, 4, 4]] * 12,
    },
]
PREDICTIONS: list[dict[str, Any]] = [
    {"qid": 7, "pred_relevant_windows": [[2, 8, 0.9]], "pred_saliency_scores": [0.1, 0.9, 0.2, 0.8, 0.0]},
    {
        "qid": 8,
        "pred_relevant_windows": [[0, 4, 0.2], [20, 40, 0.9]],
        "pred_saliency_scores": [1.0, 1.0, *[0.0] * 8, *[1.0] * 10],
    },
]


@pytest.fixture(scope="module")
def dump() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / "samples.json").read_text(encoding="utf-8"))
    return found


def _lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _score(tmp_path: Path, truth: list[Any], predictions: list[Any]) -> dict[str, Any]:
    return qvhighlights_scores(_lines(tmp_path / "truth.jsonl", truth), _lines(tmp_path / "pred.jsonl", predictions))


@pytest.mark.parametrize("mode", MODES)
def test_videominds_own_numbers_come_out_of_its_dump(mode: str, tmp_path: Path) -> None:
    wanted = json.loads((DATA / "metrics.json").read_text(encoding="utf-8"))[mode]
    assert main(["videomind", str(DATA / "samples.json"), "--mode", mode, "--json", str(tmp_path / "f.json")]) == 0
    found = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert found == wanted
    assert list(found) == list(wanted)


def test_the_table_shows_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["videomind", str(DATA / "samples.json"), "--mode", "cgbench"]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert ["all", "38", "7", "94.74", "89.47", "81.58", "73.68", "68.42", "66.11", "81.58"] in rows
    assert ["IoU", "Raise", "9", "38", "23.68"] in rows


def test_the_order_of_samples_does_not_matter(dump: list[dict[str, Any]]) -> None:
    mixed = random.Random("order").sample(dump, len(dump))  # noqa: S311 - no secret
    assert official_scores(mixed) == official_scores(dump)
    ours, again = our_scores(mixed)["all"]["figures"], our_scores(dump)["all"]["figures"]
    assert {name: one["mean"] for name, one in ours.items()} == pytest.approx(
        {name: one["mean"] for name, one in again.items()}
    )


def test_its_scorer_leaves_out_what_is_missing_and_ours_counts_it(dump: list[dict[str, Any]]) -> None:
    theirs, ours = official_scores(dump), our_scores(dump)["all"]
    assert theirs["Grounding (IoU)"][-1]["#Samples"] == 38
    assert (ours["asked"], ours["no_prediction"], ours["figures"]["mIoU"]["asked"]) == (41, 3, 41)
    # Three more samples with nothing: the sum of overlaps stays what it was.
    assert ours["figures"]["mIoU"]["mean"] * 41 == pytest.approx(
        theirs["Grounding (IoU)"][-1]["mIoU"] / 100 * 38, abs=1e-2
    )
    assert ours["figures"]["union mIoU"]["high"] <= 1


def test_its_scorer_reads_a_first_letter_and_ours_a_choice() -> None:
    asked = {"options": ["one", "two"], "ans": "A"}
    replies = ["A man is here", "D) One", "(A) one", "b", "", None]
    samples = [{**asked, "response": reply} for reply in replies]
    assert official_scores(samples)["QA"][-1] == {
        "Task": "all",
        "#Samples": 6.0,
        "Failed": 3.0,
        "Acc": 33.33,
        "Acc (IoU >= 0.5)": 0.0,
        "Acc (IoP >= 0.5)": 0.0,
    }
    ours = our_scores(samples)["all"]
    assert (ours["unparsed"], ours["figures"]["Acc"]["mean"]) == (4, pytest.approx(1 / 6))


def test_our_intervals_are_drawn_over_videos() -> None:
    samples = [
        {"video_path": f"v{n // 2}", "span": [[0, 4]], "pred": [[0, 4]] if n < 4 else [[5, 9]], "conf": [0.5]}
        for n in range(8)
    ]
    figure = our_scores(samples)["all"]["figures"]["R1@0.5"]
    assert (figure["mean"], figure["asked"], figure["sets"]) == (0.5, 8, 4)


def test_what_the_inference_script_writes_can_be_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = sorted((DATA.parent / "inference").glob("case*.json"))
    outputs = [json.loads(path.read_text(encoding="utf-8"))["official_output"] for path in cases]
    (tmp_path / "output_0.json").write_text(json.dumps(outputs), encoding="utf-8")
    for mode in [*MODES, "ours"]:
        assert main(["videomind", str(tmp_path / "output_0.json"), "--mode", mode]) == 0
    asked = sum(bool(one.get("options")) for one in outputs)
    assert official_scores(outputs)["QA"][-1]["#Samples"] == asked > 0


def test_only_known_modes_are_modes() -> None:
    assert all(map(is_mode, [*MODES, "ours", "cgbench_conf_thr_1"]))
    assert not any(map(is_mode, ["", "cg", "cgbench_conf_thr_", "cgbench_conf_thr_x", "defaults"]))


def test_samples_of_several_dumps_are_joined(tmp_path: Path, dump: list[dict[str, Any]]) -> None:
    halves = [tmp_path / "0.json", tmp_path / "1.json"]
    for path, part in zip(halves, (dump[:20], dump[20:]), strict=True):
        path.write_text(json.dumps(part), encoding="utf-8")
    assert main(["videomind", *map(str, halves), "--json", str(tmp_path / "f.json")]) == 0
    assert json.loads((tmp_path / "f.json").read_text(encoding="utf-8")) == official_scores(dump)


def test_perfect_moments_score_a_hundred(tmp_path: Path) -> None:
    found = _score(tmp_path, TRUTH, PREDICTIONS)
    brief = found["brief"]
    assert {name: brief[name] for name in brief if name.startswith("MR-full")} == {
        "MR-full-mAP": 100.0,
        "MR-full-mAP@0.5": 100.0,
        "MR-full-mAP@0.75": 100.0,
        "MR-full-R1@0.5": 100.0,
        "MR-full-R1@0.7": 100.0,
    }
    assert (brief["MR-middle-mAP"], "MR-long-mAP" in brief) == (100.0, False)
    assert brief["MR-short-mAP"] == 75.0  # the second query's longer moment stands before its short one
    assert found["full"]["MR-mAP"]["average"] == found["full"]["MR-R1"]["0.95"] == 100.0
    assert found["intervals"]["MR-full-mAP"] == [100.0, 100.0]
    # Fair: people of the first query see {1, 2, 3}, {1, 3}, {1, 3}; the clips are ranked 1, 3, 2. VeryGood: nobody,
    # {1, 3}, {1, 3}. In the second query all twelve clips come first.
    assert (brief["HL-min-Fair-mAP"], brief["HL-min-Fair-Hit1"]) == (100.0, 100.0)
    assert (brief["HL-min-VeryGood-mAP"], brief["HL-min-VeryGood-Hit1"]) == (83.33, 100.0)


def test_a_missing_query_is_wrong_and_counted(tmp_path: Path) -> None:
    found = _score(tmp_path, TRUTH, PREDICTIONS[:1])
    assert found["counts"] == {
        "queries": 2,
        "without_prediction": 1,
        "without_windows": 1,
        "without_saliency": 1,
    }
    assert {found["brief"][name] for name in ("MR-full-mAP", "MR-full-R1@0.5", "HL-min-Fair-Hit1")} == {50.0}


def test_moments_and_highlights_can_be_predicted_alone(tmp_path: Path) -> None:
    moments = [{"qid": one["qid"], "pred_relevant_windows": one["pred_relevant_windows"]} for one in PREDICTIONS]
    found = _score(tmp_path, TRUTH, moments)
    assert not [name for name in found["brief"] if name.startswith("HL")]
    assert found["brief"]["MR-full-mAP"] == 100.0
    clips = [{"qid": one["qid"], "pred_saliency_scores": one["pred_saliency_scores"]} for one in PREDICTIONS]
    found = _score(tmp_path, TRUTH, clips)
    assert not [name for name in found["brief"] if name.startswith("MR")]
    assert found["brief"]["HL-min-Fair-mAP"] == 100.0


def test_the_command_prints_and_writes_the_same_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, predictions = _lines(tmp_path / "t", TRUTH), _lines(tmp_path / "p", PREDICTIONS)
    command = ["qvhighlights", "--truth", str(truth), "--predictions", str(predictions)]
    assert main([*command, "--json", str(tmp_path / "f.json")]) == 0
    out = capsys.readouterr().out
    written = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    for name, value in written["brief"].items():
        # Only the second query has a moment of middle length: one video, which has no interval.
        ends = [f"{end:.2f}" for end in written["intervals"][name]] if name != "MR-middle-mAP" else ["one", "video"]
        assert [name, f"{value:.2f}", *ends] in [line.split() for line in out.splitlines()]


def _refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    try:
        code: Any = main(command)
    except SystemExit as left:
        code = left.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("mindreel: error: ")
    return err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("{}", "expected a list of samples"),
        ("[]", "no samples to score"),
        ("[{}]", "nothing to score"),
        ("[3]", "sample 0: expected a JSON object"),
        ('[{}, {"span": [[1]]}]', "sample 1: span: [1]: expected lists of 2 numbers"),
        ('[{"pred": [[1, NaN]], "conf": [1]}]', "sample 0: pred: [1, nan]"),
        ('[{"pred": [[1, 2]], "conf": []}]', "conf: expected one number for each of 1 predictions"),
        ('[{"pred": [[1, 2]]}]', "conf: expected one number"),
        ('[{"task": 3}]', "task: expected a name"),
        ('[{"response": 3}]', "response: expected text"),
        ('[{"options": "ab"}]', "options: expected a list of texts"),
        ('[{"options": ["a", "b"], "ans": "C"}]', "ans 'C': expected the letter of one of 2 options"),
    ],
)
def test_a_wrong_dump_is_refused_in_one_line(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dump.json").write_text(text, encoding="utf-8")
    assert said in _refused(["videomind", str(tmp_path / "dump.json")], capsys)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"qid": None}, "line 1: expected a JSON object with a qid"),
        ({"qid": 8}, "line 2, qid 8: this qid stands in the file twice"),
        ({"relevant_windows": []}, "line 1, qid 7: relevant_windows: expected at least one"),
        ({"relevant_windows": [[1, 2, 3]]}, "expected lists of 2 numbers"),
        ({"relevant_windows": None}, "relevant_windows: expected lists of 2 numbers"),
        ({"saliency_scores": [[5]]}, "saliency_scores: [5]: expected lists of whole numbers from 0 to 4"),
        ({"saliency_scores": [[1]]}, "expected one for each of 1 saliency_scores"),
        ({"saliency_scores": [[1], [1, 2], [1]]}, "expected equally many ratings"),
        ({"relevant_clip_ids": [1, 2, 5]}, "expected whole numbers from 0 to 4"),
        ({"duration": "long"}, "duration: expected seconds"),
        ({"duration": 1e300}, "duration: expected seconds"),
        ({"relevant_windows": [[1, 10**400]]}, "expected lists of 2 numbers"),
    ],
)
def test_a_wrong_truth_is_refused_in_one_line(
    change: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = _lines(tmp_path / "t", [TRUTH[0] | change, TRUTH[1]])
    predictions = _lines(tmp_path / "p", PREDICTIONS)
    assert said in _refused(["qvhighlights", "--truth", str(truth), "--predictions", str(predictions)], capsys)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no queries"),
        ([[]], "line 1: expected a JSON object with a qid"),
        ([{"qid": 9}], "qid 9: not in"),
        ([{"qid": 7}], "no pred_relevant_windows and no pred_saliency_scores"),
        ([{"qid": 7, "pred_relevant_windows": [[0, 4]]}], "expected lists of 3 numbers"),
        ([{"qid": 7, "pred_relevant_windows": [[0, 4, "x"]]}], "expected lists of 3 numbers"),
        ([{"qid": 7, "pred_saliency_scores": [True]}], "pred_saliency_scores: expected a list of numbers"),
        ([{"qid": 7, "pred_saliency_scores": 3}], "pred_saliency_scores: expected a list of numbers"),
    ],
)
def test_wrong_predictions_are_refused_in_one_line(
    rows: list[Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, predictions = _lines(tmp_path / "t", TRUTH), _lines(tmp_path / "p", rows)
    assert said in _refused(["qvhighlights", "--truth", str(truth), "--predictions", str(predictions)], capsys)


def test_wrong_use_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = str(DATA / "samples.json")
    assert "--mode cg: expected default" in _refused(["videomind", samples, "--mode", "cg"], capsys)
    assert "missing.json" in _refused(["videomind", str(tmp_path / "missing.json")], capsys)
    assert "required" in _refused([], capsys)
    assert "--truth" in _refused(["qvhighlights"], capsys)
    (tmp_path / "latin").write_bytes(b"\xe9")
    assert "f.json" in _refused(["videomind", samples, "--json", str(tmp_path / "latin" / "f.json")], capsys)
    assert "UTF-8" in _refused(["videomind", str(tmp_path / "latin")], capsys)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, runpy\nsys.argv = ['score', '--help']\n"
        "try: runpy.run_module('eval.score', run_name='__main__')\n"
        "except SystemExit as left: assert left.code == 0\n"
        "heavy = {'numpy', 'torch', 'rich', 'transformers', 'networkx', 'roles.types'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "videomind" in done.stdout
