"""Example JSONL: what is written is read back, and whatever is wrong is named by line and field."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.errors import DataError, InputError
from roles.examples import Problem, parse_lines, read_examples, to_line, video_path, write_examples, write_text
from roles.planner import ROUTES
from roles.schema import faults, is_blank
from roles.types import Example, Span

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: not is_blank(text)
)
paths = texts.filter(lambda text: "\0" not in text)
seconds = st.floats(0, 1e6, allow_nan=False) | st.integers(0, 10**6)
spans = st.lists(seconds, min_size=2, max_size=2, unique=True).map(
    lambda ends: Span(float(min(ends)), float(max(ends)))
)
fractions = st.floats(0, 1).map(str)
tags = st.dictionaries(texts, texts, max_size=3).map(
    lambda found: {
        key: value for key, value in found.items() if key not in ("route", "candidate_iou", "candidate_confidence")
    }
)
meant = st.fixed_dictionaries(
    {}, optional={"route": st.sampled_from(ROUTES), "candidate_iou": fractions, "candidate_confidence": fractions}
)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    options = tuple(draw(st.just([]) | st.lists(texts, min_size=2, max_size=5, unique=True)))
    answer = draw(st.none() | (st.sampled_from(options) if options else texts))
    labels = draw(tags) | draw(meant)
    return Example(draw(paths), draw(texts), options, answer, tuple(draw(st.lists(spans, max_size=3))), labels)


ROW: dict[str, Any] = {
    "video": "a.mp4",
    "question": "Where?",
    "options": ["in the basket", "in the box"],
    "answer": "in the box",
    "spans": [[1, 2.5]],
    "tags": {"route": "ground"},
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def found(*lines: str) -> list[str]:
    """The problems of some lines, as a person sees them."""
    return [str(problem) for problem in parse_lines(lines)[1]]


def changed(**fields: Any) -> list[str]:
    """The problems of a good line with other fields."""
    return found(json.dumps({**ROW, **fields}))


# writing and reading


@given(st.lists(examples(), min_size=1, max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, made: list[Example]) -> None:
    path = tmp_path_factory.mktemp("data") / "folder" / "train.jsonl"
    write_examples(path, made)
    assert read_examples(path) == made
    assert path.read_text(encoding="utf-8").split("\n") == [*map(to_line, made), ""]


def test_a_line_leaves_defaults_out_and_writes_numbers_short() -> None:
    assert to_line(Example("a.mp4", "Wo?")) == '{"video":"a.mp4","question":"Wo?"}'
    full = Example("ä.mp4", "When?", ("x", "y"), "x", (Span(0.0, 12.0), Span(0.1, 1e22)), {"kind": "false_belief"})
    assert to_line(full) == (
        '{"video":"ä.mp4","question":"When?","options":["x","y"],"answer":"x","spans":[[0,12],[0.1,1e+22]],'
        '"tags":{"kind":"false_belief"}}'
    )


def test_blank_lines_count_but_hold_nothing_and_equal_lines_are_two_examples() -> None:
    line = to_line(Example("a.mp4", "Where?"))
    numbered, problems = parse_lines(["", line, "  \t\n", line + "\r\n"])
    assert [number for number, _ in numbered] == [2, 4]
    assert numbered[0][1] == numbered[1][1] == Example("a.mp4", "Where?")
    assert problems == []


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + to_line(Example("a.mp4", "Where?")).encode() + b"\r\n")
    assert read_examples(path) == [Example("a.mp4", "Where?")]


def test_a_videos_path_counts_from_the_files_folder() -> None:
    assert video_path(Example("v/a.mp4", "q"), Path("data/train.jsonl")) == Path("data/v/a.mp4")
    assert video_path(Example("/v/a.mp4", "q"), Path("data/train.jsonl")) == Path("/v/a.mp4")


# what is wrong


@given(field=st.sampled_from([*ROW, "extra"]), value=json_values)
def test_any_value_in_any_field_is_read_or_named_and_never_raises(field: str, value: Any) -> None:
    numbered, problems = parse_lines(["", json.dumps({**ROW, field: value})])
    assert bool(numbered) != bool(problems)
    if field == "extra":
        assert problems
    for problem in problems:
        assert problem.line == 2
        assert str(problem).isprintable()
    for _, example in numbered:
        assert parse_lines([to_line(example)])[0] == [(1, example)]


@given(st.text(max_size=30) | json_values.map(json.dumps))
def test_any_line_is_blank_read_or_named(line: str) -> None:
    numbered, problems = parse_lines([line])
    assert bool(numbered) + bool(problems) + (not line.strip()) == 1


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"video": None}, "field video: expected text, found null"),
        ({"video": "a\0b"}, "field video: a path cannot hold the character NUL"),
        ({"question": " \u200b"}, "field question: is blank; expected some text"),
        ({"question": "\ud800"}, "field question: holds half a character (a lone surrogate); write the whole one"),
        (
            {"questoin": "x"},
            "field questoin: unknown key; expected one of video, question, options, answer, spans, tags",
        ),
        ({"options": "in the box"}, "field options: expected a list of texts, found the text 'in the box'"),
        ({"options": ["in the box"]}, "field options: 1 given; expected none, or 2 to 26"),
        ({"options": ["in the box", ""]}, "field options[1]: is blank; expected some text"),
        ({"options": ["x", "in the box", "x"]}, "field options[2]: the same as options[0]: 'x'"),
        (
            {"answer": "In the box"},
            "field answer: 'In the box' is none of the options; write one of them exactly as it stands there",
        ),
        ({"answer": 1}, "field answer: expected text, found the number 1"),
        ({"spans": {}}, "field spans: expected a list of [start_s, end_s], found an object"),
        ({"spans": [[1, 2], [2, 1]]}, "field spans[1]: [2, 1]: expected 0 <= start < end"),
        ({"spans": [[1, 1.0]]}, "field spans[0]: [1, 1]: expected 0 <= start < end"),
        ({"spans": [[-1, 1]]}, "field spans[0]: [-1, 1]: expected 0 <= start < end"),
        ({"spans": [[1, 2, 3]]}, "field spans[0]: expected [start_s, end_s], found 3 values"),
        ({"spans": [1]}, "field spans[0]: expected [start_s, end_s], found the number 1"),
        ({"spans": [[0, True]]}, "field spans[0]: expected two finite numbers of seconds, found true"),
        (
            {"spans": [[0, 10**400]]},
            "field spans[0]: expected two finite numbers of seconds, found a number that is not finite",
        ),
        ({"tags": []}, "field tags: expected an object of texts, found a list"),
        ({"tags": {"age": 4}}, 'field tags.age: expected text, found the number 4; write it as text: "4"'),
        ({"tags": {"a b": None}}, "field tags.'a b': expected text, found null"),
        ({"tags": {"x": "\udcff"}}, "field tags.x: holds half a character (a lone surrogate); write the whole one"),
        (
            {"tags": {"\ud800": "x"}},
            "field tags.'\\ud800': its name holds half a character (a lone surrogate); write the whole one",
        ),
        ({"tags": {"query": " "}}, "field tags.query: is blank; expected some text"),
        (
            {"tags": {"route": "think"}},
            "field tags.route: unknown route 'think'; expected one of ground, moment, answer",
        ),
        (
            {"tags": {"candidate_iou": "1.2"}},
            "field tags.candidate_iou: '1.2': expected a number from 0 to 1 written as text",
        ),
        (
            {"tags": {"candidate_confidence": "nan"}},
            "field tags.candidate_confidence: 'nan': expected a number from 0 to 1 written as text",
        ),
        (
            {"tags": {"candidate_iou": "half"}},
            "field tags.candidate_iou: 'half': expected a number from 0 to 1 written as text",
        ),
    ],
)
def test_a_problem_names_its_line_its_field_and_what_belongs_there(fields: dict[str, Any], problem: str) -> None:
    assert changed(**fields) == [f"line 1, {problem}"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON (Expecting property name enclosed in double quotes at column 2)"),
        ("[1]", "expected a JSON object, found a list"),
        ('{"video":"a","question":"q","spans":[[0,NaN]]}', "NaN is not a number that JSON knows"),
        ('{"video":"a","question":"q","spans":[[0,-Infinity]]}', "-Infinity is not a number that JSON knows"),
        ('{"video":"a","question":"q","video":"b"}', "the key 'video' is given twice"),
    ],
)
def test_a_line_that_is_no_json_object_is_one_problem(line: str, problem: str) -> None:
    assert found(line) == [f"line 1: {problem}"]


def test_numbers_and_nestings_without_end_are_problems() -> None:
    huge, deep = '{"video": ' + "9" * 5000 + "}", "[" * 100_000
    assert [line.partition(":")[0] for line in found(huge, deep)] == ["line 1", "line 2"]
    assert found('{"video":"a","question":"q","spans":[[0,1e999]]}') == [
        "line 1, field spans[0]: expected two finite numbers of seconds, found a number that is not finite"
    ]


def test_all_problems_of_all_lines_are_found_at_once() -> None:
    assert parse_lines(['{"options": ["x"]}', "?"])[1] == [
        Problem(1, "video", "missing; every line needs it"),
        Problem(1, "question", "missing; every line needs it"),
        Problem(1, "options", "1 given; expected none, or 2 to 26"),
        Problem(2, "", "not JSON (Expecting value at column 1)"),
    ]


# files


def test_the_first_ten_problems_of_a_file_are_named_and_the_others_counted(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"video": "a", "question": "q"}\n' + '{"video": "a"}\n' * 1500, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_examples(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: line 2, field question: missing")
    assert message.count("line ") == 10 + message.count("every line ")
    assert message.endswith("; and 1,490 more problems")
    assert isinstance(raised.value, InputError)
    assert raised.value.exit_code == 2


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n \n", encoding="utf-8")
    (tmp_path / "latin.jsonl").write_bytes(b'{"video": "a"}\n{"video": "\xe4"}\n')
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name, message in {
        "missing.jsonl": "cannot be read (No such file or directory); check the path",
        "": "not a file (a folder, a pipe or a device); name a file",
        "pipe.jsonl": "not a file (a folder, a pipe or a device); name a file",
        "empty.jsonl": "no examples; expected one JSON object per line",
        "latin.jsonl": "line 2 is not UTF-8 text; convert the file first",
        "nul\0": "cannot be read (embedded null byte); check the path",
    }.items():
        with pytest.raises(DataError) as raised:
            read_examples(tmp_path / name)
        assert str(raised.value) == f"{tmp_path / name}: {message}"


def test_an_example_that_could_not_be_read_back_is_not_written_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    good = Example("a.mp4", "Where?")
    write_examples(path, [good])
    for bad, field in (
        (Example("a.mp4", "q", spans=(Span(2.0, 2.0),)), "field spans[0]: [2, 2]"),
        (Example("a.mp4", "q", ("x", "y"), "z"), "field answer"),
        (Example("a.mp4", "q", tags={"n": 1}), "field tags.n"),  # type: ignore[dict-item]
    ):
        with pytest.raises(DataError, match="not written: example 2, ") as raised:
            write_examples(path, [good, bad])
        assert field in str(raised.value)
    assert read_examples(path) == [good]
    assert os.listdir(tmp_path) == ["train.jsonl"]  # noqa: PTH208


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.jsonl"
    write_text(path, ["old"])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError) as raised:
        write_text(path, ["new"])
    assert str(raised.value) == f"{path}: cannot be written (No space left on device)"
    assert path.read_text(encoding="utf-8") == "old\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["train.jsonl"]


@pytest.mark.parametrize("name", ["", "taken/train.jsonl"])
def test_a_place_where_no_file_can_be_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write_examples(tmp_path / name if name else Path(), [Example("a.mp4", "q")])


def test_the_documents_examples_keep_the_schema() -> None:
    text = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith('{"video"')]
    numbered, problems = parse_lines(lines)
    assert problems == []
    assert len(numbered) >= 4
    assert all(not list(faults(json.loads(line))) for line in lines)
