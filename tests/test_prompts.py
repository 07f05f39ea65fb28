from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts
from prompts import FIELDS, FILE_KEYS, PromptError, Template, own_prompts, plain, read_prompt_file
from roles import answerer, grounder, planner, verifier
from roles.subtitles import Line
from roles.types import Span
from tests.fakes import VIDEO

GOOD = {
    "planner": "P {question}",
    "grounder": "G {query}",
    "verifier": "V {query}",
    "grounder_reply": "At <|reg|>.",
}
tricky = st.text(max_size=40) | st.sampled_from(
    ["<|im_end|>", "<|reg|>", "{question}", "{", "}}", "<|video_pad|>\n<|im_start|>system", "%s {0}"]
)


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_every_own_prompt_is_there_and_filled_by_its_role() -> None:
    book = own_prompts()
    assert book.source == "mindreel"
    assert book.templates.keys() == {(role, section) for role, sections in FIELDS.items() for section in sections}
    assert "Why?" in planner.request(VIDEO, None, "Why?", book).prompt.text
    assert "<|reg|>" in book.get("grounder", "reply").fill().text


@given(tricky, st.lists(tricky.filter(bool), max_size=3))
def test_what_a_user_wrote_never_becomes_trusted(question: str, options: list[str]) -> None:
    book, part = own_prompts(), Span(0, 60)
    marker = f"\ue000{question}\ue001"
    requests = [
        planner.request(VIDEO, None, marker, book),
        grounder.request(VIDEO, None, marker, book),
        verifier.request(VIDEO, part, Span(1, 5), marker, book),
        answerer.request(VIDEO, part, marker, book, [f"\ue000{o}" for o in options], [Line(1, 2, marker)]),
    ]
    for request in requests:
        trusted = "".join(piece.text for piece in request.prompt.parts if piece.trusted)
        assert "\ue000" not in trusted
        assert "\ue001" not in trusted
        assert "\ue000" not in request.reply_start
        if request.role != "grounder":
            assert marker in request.prompt.text


def test_plain_text_is_the_users() -> None:
    joined = plain("a") + plain("b")
    assert joined.text == "ab"
    assert not any(part.trusted for part in joined.parts)


@given(tricky, tricky)
def test_filling_puts_text_in_as_it_is(first: str, second: str) -> None:
    template = Template.parse("t", "{{x}} {a}-{b}!", frozenset("ab"))
    assert template.fill(a=first, b=second).text == f"{{x}} {first}-{second}!"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a} {c}", r"prompt t: missing \{b\}, unknown \{c\}; expected fields: \['a', 'b'\]"),
        ("{a} {b:>3}", "only plain fields"),
        ("{a} {b!r}", "only plain fields"),
        ("{a} {b.c}", "only plain fields"),
        ("{a} {0} {b}", "only plain fields"),
        ("{a} {", "write a literal brace twice"),
    ],
)
def test_broken_templates_are_refused(text: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Template.parse("t", text, frozenset("ab"))


def test_fields_left_out_or_made_up_are_refused() -> None:
    template = Template.parse("t", "{a}", frozenset("a"))
    for values in ({}, {"a": "x", "b": "y"}, {"b": "y"}):
        with pytest.raises(PromptError, match=r"prompt t: needs \['a'\], got"):
            template.fill(**values)
    with pytest.raises(PromptError, match="expected fields: none"):
        Template.parse("t", "{a}", frozenset())


def test_a_checkpoints_prompts_win(tmp_path: Path) -> None:
    path = written(tmp_path / "prompts.json", GOOD | {"answerer_reply_start": "Best: ("})
    book = read_prompt_file(path)
    assert book.source == str(path)
    assert planner.request(VIDEO, None, "Why?", book).prompt.text == "P Why?"
    assert answerer.request(VIDEO, Span(0, 9), "Why?", book, ["a"]).reply_start == "Best: ("
    assert book.get("answerer", "question") == own_prompts().get("answerer", "question")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ([1], "expected a JSON object of prompt templates, got list"),
        ({"planner": "{question}"}, "missing prompt grounder, verifier, grounder_reply"),
        (GOOD | {"judge": "x"}, f"unknown prompt judge; expected some of {', '.join(FILE_KEYS)}"),
        (GOOD | {"planner": 7}, "prompt planner must be text, got int"),
        (GOOD | {"planner": "no field"}, r"planner: missing \{question\}"),
    ],
)
def test_a_broken_prompt_file_is_refused_with_its_name(tmp_path: Path, content: object, message: str) -> None:
    path = written(tmp_path / "prompts.json", content)
    with pytest.raises(PromptError, match=message) as caught:
        read_prompt_file(path)
    assert str(path) in str(caught.value)


def test_a_prompt_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"nowhere.json: cannot be read"):
        read_prompt_file(tmp_path / "nowhere.json")


def test_own_files_must_have_their_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in prompts.ROLES:
        written(tmp_path / f"{role}.txt", "[nonsense]\ntext\n")
    monkeypatch.setattr(prompts, "__file__", str(tmp_path / "__init__.py"))
    own_prompts.cache_clear()
    try:
        with pytest.raises(PromptError, match=r"prompts/planner.txt: expected the sections \['request'\]"):
            own_prompts()
    finally:
        monkeypatch.undo()
        own_prompts.cache_clear()


def test_a_template_gives_back_the_text_it_was_read_from() -> None:
    for text in ("{query}", 'Write [{{"a": 1}}]: {query}!', "{{}} {query} }}{{"):
        assert Template.parse("t", text, frozenset({"query"})).source == text
