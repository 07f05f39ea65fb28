"""Two runs side by side: differences worked out by hand, their p, the answers that changed, and what is refused."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.compare import main
from eval.item import Item, Record, write_items
from eval.metrics import interval
from eval.paired import FLIPPED, compare, sign_flip_p
from eval.run_folder import write_predictions
from eval.run_scores import round_all, score_run
from roles.errors import DataError
from roles.types import Span

OPTIONS = ("in the bag", "in the box")


def item(at: int, **others: Any) -> Item:
    made = Item(
        key=f"q{at}",
        video=f"v{at // 2}.mp4",
        question=f"Where is thing {at}?",
        options=OPTIONS,
        answer_at=1,
        spans=(Span(0, 10),),
        tags={"type": ("belief", "reality")[at % 2]},
        set=f"v{at // 2}",
    )
    return replace(made, **others)


ITEMS = [item(at) for at in range(8)]


def record(right: bool, end_s: float = 10.0, **others: Any) -> Record:
    choice = int(right)
    return {"said": OPTIONS[choice], "choice": choice, "spans": [[0.0, end_s, 0.9, None]], "error": None} | others


def write(
    folder: Path, items: Sequence[Item], records: Mapping[str, Record], benchmark: str = "nextgqa", **others: Any
) -> Path:
    folder.mkdir()
    write_items(folder / "items.jsonl", items)
    write_predictions(folder, items, {key: {"key": key, **one} for key, one in records.items()})
    headline = others.get("headline", ["Acc", "mIoU"])
    metrics = score_run(benchmark, "val", items, records, headline, [], False)
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def answers(right: str) -> dict[str, Record]:
    """A record for each letter: r is right, w is wrong, - is no record."""
    return {f"q{at}": record(letter == "r") for at, letter in enumerate(right) if letter != "-"}


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return (
        write(tmp_path / "a", ITEMS, answers("rrwwrrww")),
        write(tmp_path / "b", ITEMS, answers("rrrrrw-r")),
    )


def test_differences_are_those_worked_out_by_hand(runs: tuple[Path, Path]) -> None:
    found = compare(*runs)
    acc = found["figures"]["Acc"]
    assert (acc["a"], acc["b"]) == (0.5, 0.75)
    # Sets differ by 0, 2, -1 and 1 questions: of the eight flips of the last three, 6 get as far from 0 as 2 does.
    assert acc["p"] == 0.75
    assert acc["sets that differ"] == 3
    values = [0, 0, 1, 1, 0, -1, 0, 1]
    assert acc["difference"] == round_all(interval(values, [one.set for one in ITEMS]).to_json())
    assert found["figures"]["mIoU"]["difference"]["mean"] == -0.125  # one record is missing
    assert list(found["figures"]) == ["Acc", "mIoU"]
    assert found["compared"] == 8
    assert found["left_out"] == {"a": 0, "b": 0}


def test_answers_that_changed_are_named_with_what_both_said(runs: tuple[Path, Path]) -> None:
    flipped = compare(*runs)["flipped"]
    assert {name: flipped[name] for name in ("both right", "both wrong", *FLIPPED)} == {
        "both right": 3,
        "both wrong": 1,
        "right -> wrong": 1,
        "wrong -> right": 3,
    }
    assert [one["key"] for one in flipped["questions"]] == ["q5", "q2", "q3", "q7"]
    assert flipped["questions"][0] == {
        "key": "q5",
        "change": "right -> wrong",
        "by": "Acc",
        "question": "Where is thing 5?",
        "true": "in the box",
        "a": "in the box",
        "b": "in the bag",
    }


def test_a_run_against_itself_does_not_differ(runs: tuple[Path, Path]) -> None:
    found = compare(runs[0], runs[0], ["Acc", "R1@0.5", "Acc@GQA"])
    for one in found["figures"].values():
        assert one["difference"]["low"] == one["difference"]["high"] == 0.0
        assert one["p"] == 1.0
    assert found["flipped"]["questions"] == []


def test_turned_around_everything_is_turned_around(runs: tuple[Path, Path]) -> None:
    there, back = (compare(*pair)["figures"]["Acc"] for pair in (runs, runs[::-1]))
    assert there["difference"]["mean"] == -back["difference"]["mean"]
    assert there["difference"]["low"] == pytest.approx(-back["difference"]["high"])
    assert there["p"] == back["p"]


def test_moments_flip_by_their_overlap_where_there_are_no_answers(tmp_path: Path) -> None:
    items = [replace(one, options=(), answer_at=None) for one in ITEMS[:2]]
    a = write(tmp_path / "a", items, {"q0": record(True, 4.0), "q1": record(True)}, headline=["R1@0.5"])
    b = write(tmp_path / "b", items, {"q0": record(True, 6.0), "q1": record(True, error="broken")})
    found = compare(a, b)
    assert list(found["figures"]) == ["R1@0.5"]
    (flip,) = found["flipped"]["questions"]
    assert (flip["by"], flip["true"], flip["a"], flip["b"]) == (
        "R1@0.5",
        "0.0 to 10.0 s",
        "0.0 to 4.0 s",
        "0.0 to 6.0 s",
    )


def test_qvhighlights_own_figures_can_be_compared(tmp_path: Path) -> None:
    a = write(tmp_path / "a", ITEMS, answers("rrrrrrrr"), "qvhighlights")
    b = write(tmp_path / "b", ITEMS, answers("--------"), "qvhighlights")
    found = compare(a, b, ["MR-full-mAP", "MR-short-mAP"])["figures"]
    assert found["MR-full-mAP"]["difference"]["mean"] == -1.0


def test_what_only_one_run_is_about_is_left_out_and_counted(runs: tuple[Path, Path], tmp_path: Path) -> None:
    part = write(tmp_path / "part", ITEMS[2:5], answers("rrrrr"))
    found = compare(runs[0], part)
    assert (found["compared"], found["left_out"]) == (3, {"a": 5, "b": 0})
    assert found["figures"]["Acc"]["a"] == pytest.approx(1 / 3, abs=1e-6)
    assert compare(part, runs[0])["left_out"] == {"a": 0, "b": 5}


def test_tables_by_tag(runs: tuple[Path, Path]) -> None:
    rows = compare(*runs, by=["type"])["by"]["type"]
    assert list(rows) == ["belief", "reality"]
    assert (rows["belief"]["Acc"]["a"], rows["belief"]["Acc"]["b"]) == (0.5, 0.75)
    assert rows["reality"]["Acc"]["difference"]["asked"] == 4


def test_the_first_option_can_be_the_right_one(tmp_path: Path) -> None:
    items = [replace(one, answer_at=0) for one in ITEMS]
    a, b = write(tmp_path / "a", items, answers("rrrrrrrr")), write(tmp_path / "b", items, answers("wwwwwwww"))
    assert compare(a, b)["figures"]["Acc"]["difference"]["mean"] == 1.0


def other_benchmark(folder: Path) -> Path:
    return write(folder, ITEMS, {}, "rextime")


def other_answer(folder: Path) -> Path:
    return write(folder, [*ITEMS[:3], replace(ITEMS[3], answer_at=0), *ITEMS[4:]], {})


def other_questions(folder: Path) -> Path:
    return write(folder, [item(at) for at in range(100, 104)], {})


def unfinished(folder: Path) -> Path:
    write(folder, ITEMS, {})
    (folder / "predictions.jsonl").unlink()
    return folder


def no_folder(folder: Path) -> Path:
    return folder


def no_metrics(folder: Path) -> Path:
    write(folder, ITEMS, {})
    (folder / "metrics.json").write_text("[]")
    return folder


def no_record(folder: Path) -> Path:
    write(folder, ITEMS, answers("rrrrrrrr"))
    (folder / "predictions.jsonl").write_text(json.dumps({"key": "q0", "spans": [["start", "end"]]}))
    return folder


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (other_benchmark, "a run on rextime, and"),
        (other_answer, "q3: another answer_at than in"),
        (other_questions, "has no question in common"),
        (unfinished, "is [^ ]*c the folder of a finished run"),
        (no_folder, "is [^ ]*c the folder of a finished run"),
        (no_metrics, "names no benchmark"),
        (no_record, "holds something that is no record"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    make: Callable[[Path], Path],
    said: str,
    runs: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = make(tmp_path / "c")
    with pytest.raises(DataError, match=said):
        compare(runs[0], other)
    assert main([str(runs[0]), str(other)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mindreel: error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--figure", "Acc", "none"], "--figure none: no question has it; there are Acc, mIoU, "),
        (["--by", "colour"], "--by colour: no question has this tag; there are type"),
    ],
)
def test_a_figure_or_a_tag_that_nothing_has_is_refused(
    words: list[str], said: str, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(runs[0]), str(runs[1]), *words]) == 2
    assert said in capsys.readouterr().err


def test_the_command_prints_tables_and_as_many_changed_answers_as_asked_for(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(runs[0]), str(runs[1]), "--figure", "Acc", "--by", "type", "--flips", "2"]
    assert main([*words, "--json", str(tmp_path / "found.json")]) == 0
    out = capsys.readouterr().out
    assert "nextgqa: 8 questions in both\n" in out
    assert "Acc     50.0  75.0  +25.0" in out
    assert "Answers: right -> wrong 1, wrong -> right 3, both right 3, both wrong 1\n" in out
    assert "right -> wrong: q5\n    question  Where is thing 5?\n    true      in the box\n" in out
    assert "q2" in out
    assert "q3" not in out
    assert "... and 2 more: see --flips and --json\n" in out
    assert "p: sign flips of whole sets, two-sided" in out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == compare(*runs, ["Acc"], ["type"])


def test_one_set_has_no_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = [replace(one, set="s") for one in ITEMS]
    folders = [write(tmp_path / name, same, answers(right)) for name, right in (("a", "rrwwrrww"), ("b", "rrrrrrrr"))]
    assert main([str(folder) for folder in folders]) == 0
    (line,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("Acc ")]
    assert line == ["Acc", "50.0", "100.0", "+50.0", "one", "set", "1.0000", "8", "1"]


def test_a_reply_cannot_steer_the_terminal(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = answers("rrrrrrrr") | {"q0": record(True) | {"choice": None, "said": "\x1b[2J\u202eevil\nq9"}}
    assert main([str(runs[0]), str(write(tmp_path / "c", ITEMS, evil))]) == 0
    out = capsys.readouterr().out
    assert "evil" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


@pytest.mark.parametrize("words", [["runs/a"], ["runs/a", "runs/b", "--flips", "-1"], ["a", "b", "c"]])
def test_a_wrong_command_is_one_line(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "eval.compare", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("mindreel: error: ")
    assert done.stderr.count("\n") == 1


# p
def test_p_of_few_sets_is_that_of_all_flips() -> None:
    assert sign_flip_p([1.0] * 5, list("abcde")) == (2 / 32, 5)
    assert sign_flip_p([1.0] * 5, ["a"] * 5) == (1.0, 1)
    assert sign_flip_p([0.0] * 5, list("abcde")) == (1.0, 0)
    assert sign_flip_p([1.0, -1.0, 1.0], ["a", "a", "b"]) == (1.0, 1)
    # Questions without a difference change nothing.
    assert sign_flip_p([1.0] * 5 + [0.0] * 90, list("abcde") + [f"{at}" for at in range(90)]) == (2 / 32, 5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-3, 3)), min_size=1, max_size=14))
def test_p_is_the_share_of_flips_that_are_as_extreme(rows: list[tuple[str, int]]) -> None:
    sums: dict[str, int] = {}
    for name, value in rows:
        sums[name] = sums.get(name, 0) + value
    moved = [one for one in sums.values() if one]
    flips = [
        sum(s * v for s, v in zip(signs, moved, strict=True)) for signs in itertools.product((1, -1), repeat=len(moved))
    ]
    expected = sum(abs(one) >= abs(sum(moved)) for one in flips) / len(flips)
    p, differing = sign_flip_p([value / 10 for _, value in rows], [name for name, _ in rows])
    assert p == pytest.approx(expected)
    assert differing == len(moved)


def test_p_of_many_sets_is_drawn_and_near_that_of_all_flips() -> None:
    names = [f"{at}" for at in range(60)]
    p, differing = sign_flip_p([1.0] * 40 + [-1.0] * 20, names)
    assert differing == 60
    assert p == pytest.approx(0.0135, abs=0.004)  # two tails of 60 coins: 40 heads or more
    assert sign_flip_p([1.0] * 40 + [-1.0] * 20, names) == (p, differing)
    assert sign_flip_p([1.0] * 60, names)[0] == pytest.approx(1 / 10_001)


@pytest.mark.parametrize("sets", [8, 30])
def test_p_is_even_where_nothing_but_luck_differs(sets: int) -> None:
    dice = random.Random(sets)  # noqa: S311
    found = []
    for _ in range(300):
        luck = [dice.gauss(0, 1) for _ in range(sets)]  # of a set: its questions are not independent
        rows = [(f"{at}", luck[at] + dice.gauss(0, 1)) for at in range(sets) for _ in range(dice.randint(1, 5))]
        found.append(sign_flip_p([value for _, value in rows], [name for name, _ in rows])[0])
    for level in (0.05, 0.2, 0.5, 0.8):
        assert sum(p <= level for p in found) / 300 == pytest.approx(level, abs=0.07)


def test_where_nothing_differs_but_luck_p_is_small_as_seldom_as_it_says() -> None:
    dice = random.Random(0)  # noqa: S311
    small = 0
    for _ in range(200):
        values = [float(dice.choice((-1, 0, 1))) for _ in range(30)]
        small += sign_flip_p(values, [f"{at // 3}" for at in range(30)])[0] <= 0.1
    assert small <= 30
