"""Reading a choice from free text: what names one option is read, whatever else is said is unparsed."""

from __future__ import annotations

from string import ascii_uppercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.choices import ChoiceScores, choice_scores, read_choice

OPTIONS = ["a red ball", "the blue box", "a man", "Vitamin B"]
NUMBERS = ["one", "two", "three", "four"]
DARK = ["red", "dark red"]

words = st.sampled_from(["lamp", "table", "river", "seven", "walks", "under", "green", "Mia"])
texts = st.lists(words, min_size=2, max_size=4).map(" ".join)
option_lists = st.lists(texts, min_size=2, max_size=6, unique_by=str.casefold)
FORMS = ["{0}", "({0})", "{0}.", "{0})", "I think ({0})", "The answer is {0}.", "Answer: {0}", "**{0}**", "Option {0}"]


# fmt: off
THIRD = [
    "C", "(C)", "C.", "I think (C)", "c", "(c)", "c.", "C)", "(C", "[C]", " C\n", "**C**", "**(C)**", "\"C\"",
    "I think C", "I think it is (C)", "So the answer is C.", "The answer is (C) a man.", "Answer: C",
    "Option C", "Best Option: (C) a man", "the answer is: c", "C is the answer", "C) a man", "C: a man",
    "C, because he left", "C\n\nBecause he is a man", "C. Because he left", "(C) (C)", "a man", "A man.",
    "A man is here", "It's a man", "\\boxed{C}", "<think>(A) or (B)?</think><answer>C</answer>",
    "<think>Surely (A).</think>\n(C)",
]
UNCLEAR = [
    "", "  \n", None, "B or C", "A or B", "(A) or (B)", "Both (A) and (B)", "I think A or B", "A, B", "A/B",
    "AB", "The answer is A or B", "(E)", "E", "I", "not (C)", "It is not C", "It isn't (B), it is (C)",
    "neither", "A is not right", "the answer is a dog", "A.M.", "C C C but (B)", "It is left", "(A) a man",
    "C) the blue box", "It is a red ball, not the blue box", "It is not a red ball", "I am a fan of A", "?",
    "()", "( )", "...",
]
# fmt: on


@pytest.mark.parametrize("reply", THIRD)
def test_the_third_option_is_read(reply: str) -> None:
    assert read_choice(reply, OPTIONS) == 2


@pytest.mark.parametrize("reply", UNCLEAR)
def test_what_names_no_option_or_two_is_unparsed(reply: str | None) -> None:
    assert read_choice(reply, OPTIONS) is None


@pytest.mark.parametrize(
    ("reply", "options", "read"),
    [
        ("A man is here", NUMBERS, None),  # an article, no letter
        ("D) One", NUMBERS, None),  # the letter of one, the text of another
        ("(B) two", NUMBERS, 1),
        ("I think it is two", NUMBERS, 1),
        ("two three", NUMBERS, None),
        ("(D) Vitamin B", OPTIONS, 3),  # the B belongs to the text
        ("Vitamin B", OPTIONS, 3),
        ("red", DARK, 0),
        ("It is dark red", DARK, 1),  # and not also "red"
        ("red or dark red", DARK, None),
        ("I have no idea", ["yes", "no"], None),
        ("No.", ["yes", "no"], 1),
        ("No, he does not.", ["Yes", "No"], 1),
        ("same", ["same", "same"], None),
        ("(B) same", ["same", "same"], 1),
        ("A", ["B", "A"], None),  # the letter of one, the text of the other
        ("B", ["A", "B"], 1),
        ("C", ["C", "D"], 0),  # there is no third option
        ("", ["", "x"], None),
        ("nothing", ["", "x"], None),
        ("(A)", ["", "x"], 0),
        ("i", list("pqrstuvwxyz"), 8),
        ("None of the above", ["x", "y", "none of the above"], 2),
        ("u.s.", ["U.S.", "UK"], 0),
        ("C", [], None),
        ("The man", ["A. The woman", "B. The man"], 1),
        ("B. The man", ["A. The woman", "B. The man"], 1),
        ("B", ["(A) the woman", "(B) the man"], 1),
        ("There are 2 men", ["1", "2", "12"], 1),
        ("It takes 2.5 seconds", ["1", "2", "5"], None),
    ],
)
def test_letters_and_texts_of_other_lists(reply: str, options: list[str], read: int | None) -> None:
    assert read_choice(reply, options) == read


@given(option_lists, st.data())
def test_a_letter_names_its_option_in_every_form(options: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(options) - 1))
    form = data.draw(st.sampled_from(FORMS))
    assert read_choice(form.format(ascii_uppercase[at]), options) == at
    assert read_choice(form.format(ascii_uppercase[at]) + f" {options[at]}", options) == at
    beyond = ascii_uppercase[data.draw(st.integers(len(options), 25))]
    assert read_choice(f"({beyond})", options) is None


@given(option_lists, st.data())
def test_an_options_own_text_names_it_in_any_order_of_options(options: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(options) - 1))
    mixed = data.draw(st.permutations(options))
    for reply in (options[at], options[at].upper(), f"It is {options[at]}.", f"  {options[at]}\n"):
        assert read_choice(reply, options) == at
        assert read_choice(reply, mixed) == mixed.index(options[at])


@given(option_lists, st.data())
def test_two_letters_name_nothing(options: list[str], data: st.DataObject) -> None:
    first, second = data.draw(st.permutations(ascii_uppercase[: len(options)]))[:2]
    for reply in (f"({first}) or ({second})", f"{first} or {second}", f"I think ({first}), or perhaps ({second})"):
        assert read_choice(reply, options) is None


@given(st.text(max_size=60), st.lists(st.text(max_size=12), max_size=6))
def test_any_text_gives_an_option_or_nothing(reply: str, options: list[str]) -> None:
    read = read_choice(reply, options)
    assert read is None or 0 <= read < len(options)


def test_an_unparsed_reply_is_wrong_and_counted() -> None:
    replies = ["(A)", "B or C", None, "three", "(D)"]
    found = choice_scores(replies, [NUMBERS] * 5, [0, 1, 0, 2, 0])
    assert found == ChoiceScores(accuracy=0.4, unparsed=2, asked=5)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
def test_accuracy_is_highest_for_right_replies_and_falls_with_a_missing_one(pairs: list[tuple[int, int]]) -> None:
    right = [true for true, _ in pairs]
    said = choice_scores([f"({ascii_uppercase[at]})" for _, at in pairs], [NUMBERS] * len(pairs), right)
    assert said.accuracy == pytest.approx(sum(true == at for true, at in pairs) / len(pairs))
    perfect = [f"({ascii_uppercase[at]})" for at in right]
    assert choice_scores(perfect, [NUMBERS] * len(pairs), right) == ChoiceScores(1.0, 0, len(pairs))
    fewer = choice_scores([None, *perfect[1:]], [NUMBERS] * len(pairs), right)
    assert fewer.accuracy == pytest.approx(1 - 1 / len(pairs))
    assert fewer.unparsed == 1


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="no questions"):
        choice_scores([], [], [])
    with pytest.raises(ValueError, match="1 replies, 2 lists"):
        choice_scores(["A"], [NUMBERS, NUMBERS], [0])
    with pytest.raises(ValueError, match="question 0: right option 4 of 4"):
        choice_scores(["A"], [NUMBERS], [4])
