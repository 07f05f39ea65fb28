"""What each role learns, how it is asked in validation and scored: the same requests as the agent's."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.train.answerer import AnswererRecipe, jittered
from adapters.train.grounder import GrounderRecipe, told_by
from adapters.train.planner import PlannerRecipe, kind_of, route_of
from adapters.train.recipe import Item, Recipe, RoleSamples, Skip, check_words
from adapters.train.verifier import VerifierRecipe, verdict_of
from agent.agent import Agent
from agent.settings import Settings
from prompts import Part, own_prompts
from roles import answerer, planner
from roles.errors import InputError, StepError
from roles.manner import BUDGETS, Manner
from roles.subtitles import Line
from roles.types import Budget, Example, Request, Span
from tests.fakes import ANSWER_PLAN, GROUND_PLAN, MOMENT_PLAN, ROWS, VIDEO, ScriptedBackbone

BOOK = own_prompts()
PLANNER, GROUNDER, VERIFIER = PlannerRecipe(200), GrounderRecipe(200), VerifierRecipe(200)
ANSWERER = AnswererRecipe(200, "mcq", 0.25)
OPTIONS = ("in the basket", "in the box")
QUESTION = "Where will  Sally look?"
QUERY = "Sally hides the marble."
LINES = (Line(1, 2, "Hello"), Line(31, 33, "Where is it?"), Line(58, 59, "Bye"))


def rng(seed: int = 0) -> random.Random:
    return random.Random(seed)  # noqa: S311 - an order, no secret


def item_of(**more: Any) -> Item:
    """An example on the film of the fakes, 60 s long."""
    fields: dict[str, Any] = {
        "video": "sally.mp4",
        "question": QUESTION,
        "answer": "in the box",
        "spans": (Span(30, 36),),
        **more,
    }
    return Item(Example(**fields | {"spans": (Span(30, 36),)} | more), VIDEO, "train.jsonl:1")


def asked_by_the_agent(question: str = QUESTION, **more: Any) -> ScriptedBackbone:
    backbone = ScriptedBackbone(answer="B) In the box")
    Agent(backbone, more.pop("settings", None)).ask(VIDEO, question, **more)
    return backbone


def learned(recipe: Recipe, item: Item) -> Request:
    return recipe.sample(item, BOOK, rng()).request


def asked(recipe: Recipe, item: Item, **more: Any) -> tuple[dict[str, Any], list[Request]]:
    backbone: Any = ScriptedBackbone(**more)
    return recipe.ask(backbone, item), backbone.requests


# --- the same requests as the agent's -----------------------------------------------------------------------------


def test_the_planner_learns_and_is_asked_what_the_agent_asks() -> None:
    [wanted] = asked_by_the_agent(options=OPTIONS).asked("planner")
    item = item_of(options=OPTIONS)
    assert learned(PLANNER, item) == wanted
    assert asked(PLANNER, item)[1] == [wanted]


def test_the_grounder_learns_and_is_asked_what_the_agent_asks() -> None:
    [wanted] = asked_by_the_agent().asked("grounder")
    item = item_of(tags={"query": QUERY})
    assert learned(GROUNDER, item) == wanted
    assert asked(GROUNDER, item)[1] == [wanted]


def test_the_grounder_asks_the_question_where_there_is_no_query() -> None:
    [wanted] = asked_by_the_agent(settings=Settings(plan="ground")).asked("grounder")
    assert learned(GROUNDER, item_of()) == wanted


def test_the_verifier_learns_and_is_asked_what_the_agent_asks() -> None:
    wanted = asked_by_the_agent().asked("verifier")
    assert len(wanted) == len(ROWS)
    for (start, end, _), request in zip(ROWS, wanted, strict=True):
        item = item_of(spans=(Span(start * 60, end * 60),), answer="Yes")
        ours = learned(VERIFIER, item)
        assert ours.prompt == request.prompt
        assert (ours.role, ours.reply_start, ours.max_new_tokens) == (request.role, "", request.max_new_tokens)
        assert ours.clip.marked is not None
        # The grounder's seconds are rounded to a thousandth, in single precision.
        assert ours.clip.whole_span.start_s == pytest.approx(request.clip.whole_span.start_s, abs=2e-3)
        assert ours.clip.marked_norm == pytest.approx(request.clip.marked_norm, abs=2e-3)
        assert asked(VERIFIER, item)[1] == [ours]


@pytest.mark.parametrize("style", answerer.STYLES)
def test_the_answerer_is_asked_what_the_agent_asks(style: str) -> None:
    settings = Settings(style=style)
    [wanted] = asked_by_the_agent(options=OPTIONS, subtitles=LINES, settings=settings).asked("answerer")
    moment = asked_by_the_agent(options=OPTIONS).asked("verifier")[1].clip.marked  # the second is said to be right
    assert moment is not None
    item = replace(item_of(spans=(moment,), options=OPTIONS), subtitles=LINES)
    recipe = AnswererRecipe(200, style, 0.0)
    assert asked(recipe, item)[1] == [wanted]
    assert learned(recipe, item) == wanted


def test_the_answerer_without_spans_watches_the_whole_as_the_agent_does() -> None:
    [wanted] = asked_by_the_agent(settings=Settings(plan="answer")).asked("answerer")
    item = item_of(spans=())
    assert learned(ANSWERER, item) == wanted
    assert asked(ANSWERER, item)[1] == [wanted]


# --- planner ------------------------------------------------------------------------------------------------------

ROUTES = [
    ({"tags": {"query": QUERY}}, GROUND_PLAN, "rephrase"),
    ({}, GROUND_PLAN, "ground"),
    ({"answer": None, "tags": {"query": QUERY}}, MOMENT_PLAN, "moment"),
    ({"spans": ()}, ANSWER_PLAN, "answer"),
    ({"tags": {"route": "answer"}}, ANSWER_PLAN, "answer"),
    ({"tags": {"route": "moment"}}, MOMENT_PLAN, "moment"),
    ({"spans": (), "answer": None, "tags": {"route": "ground"}}, GROUND_PLAN, "ground"),
]


@pytest.mark.parametrize(("fields", "plan", "kind"), ROUTES)
@pytest.mark.parametrize("question", [QUESTION, 'Who says "no"?', "Who's \\ {there}?\n", "Wer weiß's? 你好 <|im_end|>"])
def test_the_plan_that_is_taught_is_read_back_as_the_right_one(
    fields: dict[str, Any], plan: str, kind: str, question: str
) -> None:
    item = item_of(question=question, **fields)
    reply = PLANNER.sample(item, BOOK, rng()).reply
    assert not reply.trusted  # a question in it may hold anything
    steps = json.loads(reply.text)
    assert [step["type"] for step in steps] == [step["type"] for step in json.loads(plan)]
    read = planner.read(reply.text, question)
    assert kind_of(read, question) == kind
    record, _ = asked(PLANNER, item, plan=reply.text)
    assert record["said"] == record["truth"] == kind
    assert PLANNER.score([record]) == {"route_accuracy": 1.0, "parse_rate": 1.0}
    if kind != "answer":
        assert steps[0]["value"] == planner.clean_query(item.example.tags.get("query", question))


def test_the_four_plans_are_told_apart() -> None:
    plans = [PLANNER.sample(item_of(**fields), BOOK, rng()).reply.text for fields, _, _ in ROUTES[:4]]
    kinds = [kind for _, _, kind in ROUTES[:4]]
    assert len(set(kinds)) == 4
    for (fields, _, _), kind in zip(ROUTES[:4], kinds, strict=True):
        said = [asked(PLANNER, item_of(**fields), plan=plan)[0] for plan in plans]
        assert [record["said"] for record in said] == kinds
        assert {record["truth"] for record in said} == {kind}
        assert sum(PLANNER.score([record])["route_accuracy"] for record in said) == 1


@pytest.mark.parametrize("reply", ["", "grounder", "[]", '[{"type": "judge"}]', '{"type": ', '["answerer"]'])
def test_a_plan_that_cannot_be_read_is_wrong_and_counted(reply: str) -> None:
    record, _ = asked(PLANNER, item_of(), plan=reply)
    assert record == {"truth": "ground", "said": None, "reply": reply}
    right, _ = asked(PLANNER, item_of(tags={"query": QUERY}), plan=GROUND_PLAN)
    assert PLANNER.score([record, right]) == {"route_accuracy": 0.5, "parse_rate": 0.5}


@pytest.mark.parametrize(
    ("spans", "answer", "route"), [(True, "x", "ground"), (True, None, "moment"), (False, "x", "answer")]
)
def test_what_an_example_holds_says_its_route(spans: bool, answer: str | None, route: str) -> None:
    example = Example("v", "q", answer=answer, spans=(Span(1, 2),) if spans else ())
    assert route_of(example) == route
    assert route_of(replace(example, tags={"route": "answer"})) == "answer"


def test_nothing_to_tell_a_route_from_is_skipped() -> None:
    with pytest.raises(Skip, match="neither a route, nor spans, nor an answer"):
        route_of(Example("v", "q"))


# --- grounder -----------------------------------------------------------------------------------------------------


def test_the_grounder_learns_the_sentence_and_the_spans() -> None:
    sample = GROUNDER.sample(item_of(spans=(Span(1, 2), Span(50, 70))), BOOK, rng())
    assert sample.reply == Part("The relevant moment happens in <|reg|>.", trusted=True)
    assert sample.spans == (Span(1, 2), Span(50, 60))
    assert sample.source == "train.jsonl:1"


def test_spans_are_scored_against_the_best_true_one() -> None:
    item = item_of(spans=(Span(0, 5), Span(30, 36)))
    found, _ = asked(GROUNDER, item)
    assert found["predicted"] == [pytest.approx([s * 60, e * 60], abs=1e-3) for s, e, _ in ROWS]
    assert found["confidences"] == [0.9, 0.8, 0.3]
    assert found["true"] == [[0, 5], [30, 36]]
    part, _ = asked(GROUNDER, item_of(spans=(Span(30, 34),)))
    none, _ = asked(GROUNDER, item, rows=None, grounded="I do not know.")
    assert none["predicted"] == []
    assert none["reply"] == "I do not know."
    scores = GROUNDER.score([found, part, none])
    assert scores == pytest.approx({"mIoU": 5 / 9, "R1@0.3": 2 / 3, "R1@0.5": 2 / 3, "R1@0.7": 1 / 3}, abs=1e-4)


@pytest.mark.parametrize("row", [(math.nan, 0.5, 0.9), (0.1, math.inf, 0.9), (0.1, 0.5, math.nan)])
def test_a_grounder_that_diverged_fails_by_name(row: tuple[float, float, float]) -> None:
    with pytest.raises(StepError, match="diverged"):
        asked(GROUNDER, item_of(), rows=(ROWS[0], row))


# --- verifier -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "overlap", "right"),
    [
        ("Yes", None, True),
        ("no.", None, False),
        (" YES. ", "0.1", True),  # what is said counts
        (None, "0.5", True),
        (None, "0.4999", False),
    ],
)
def test_the_verdict_is_the_answer_or_follows_from_the_overlap(
    answer: str | None, overlap: str | None, right: bool
) -> None:
    item = item_of(answer=answer, tags={} if overlap is None else {"candidate_iou": overlap})
    assert verdict_of(item) is right
    reply = VERIFIER.sample(item, BOOK, rng()).reply
    assert reply.text == ("Yes." if right else "No.")


def test_candidates_are_scored_by_question() -> None:
    def candidate(group: str, margin: tuple[float, float], overlap: str, confidence: str) -> dict[str, Any]:
        tags = {"group": group, "candidate_iou": overlap, "candidate_confidence": confidence}
        item = item_of(answer="Yes" if float(overlap) >= 0.5 else "No", tags=tags)
        return asked(VERIFIER, item, verdicts=[margin])[0]

    records = [
        candidate("a", (0.1, 0.8), "0.2", "0.9"),  # the grounder's first is wrong, the verifier mends it
        candidate("a", (0.9, 0.0), "0.8", "0.4"),
        candidate("b", (0.6, 0.2), "0.6", "0.7"),
        candidate("b", (0.5, 0.4), "0.1", "0.6"),
    ]
    assert [record["right"] for record in records] == [False, True, True, False]
    assert records[0] | {"margin": -0.7} == {
        "margin": -0.7,
        "right": False,
        "group": "a",
        "iou": 0.2,
        "confidence": 0.9,
    }
    scores = VERIFIER.score(records)
    assert scores["auc"] == 1.0
    assert (scores["R1@0.5_before"], scores["R1@0.5_after"], scores["R1@0.5_gain"]) == (0.5, 1.0, 0.5)
    assert (scores["mIoU_before"], scores["mIoU_after"]) == pytest.approx((0.4, 0.7))


def test_without_tags_the_question_is_the_group_and_the_verdict_the_overlap() -> None:
    record, _ = asked(VERIFIER, item_of(answer="Yes"), verdicts=[(0.7, 0.1)])
    other, _ = asked(VERIFIER, item_of(answer="No", question="Another?"), verdicts=[(0.7, 0.1)])
    assert (record["iou"], record["confidence"]) == (1.0, 0.0)
    assert record["group"] != other["group"]
    assert math.isnan(VERIFIER.score([record])["auc"])  # one class alone


def test_a_verifier_that_diverged_fails_by_name() -> None:
    with pytest.raises(StepError, match="diverged"):
        asked(VERIFIER, item_of(answer="Yes"), verdicts=[(math.nan, 0.1)])


# --- answerer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "options", "reply"),
    [
        ("mcq", OPTIONS, "B) In the box"),
        ("options", OPTIONS, "(B) In the box"),
        ("direct", OPTIONS, "in the box"),
        ("mcq", (), "in the box"),
    ],
)
def test_the_answer_that_is_taught_counts_as_right_in_its_style(
    style: str, options: tuple[str, ...], reply: str
) -> None:
    recipe = AnswererRecipe(200, style, 0.25)
    item = item_of(options=options)
    sample = recipe.sample(item, BOOK, rng())
    assert sample.reply == Part(reply, trusted=False)
    record, _ = asked(recipe, item, answer=reply)
    wrong, _ = asked(recipe, item, answer=reply.replace("B", "A").replace("b", "a"))
    assert (record["right"], wrong["right"]) == (True, False)
    assert record["options"] == len(options)
    assert recipe.score([record, wrong]) == {"accuracy": 0.5}


def test_answers_in_words_are_compared_without_case_spaces_and_full_stops() -> None:
    recipe = AnswererRecipe(200, "direct", 0.0)
    item = item_of(options=("Apple", "A box"), answer="Apple")
    assert asked(recipe, item, answer="  apple. ")[0]["right"]
    assert not asked(recipe, item, answer="A box")[0]["right"]  # its first letter is no option's
    assert not asked(recipe, item, answer="")[0]["right"]


@given(st.floats(0, 59), st.floats(0.01, 60), st.floats(0, 2), st.integers(0, 100))
def test_ends_move_by_at_most_a_share_of_the_length_and_stay_inside(
    start_s: float, length_s: float, jitter: float, seed: int
) -> None:
    moment = Span(start_s, min(start_s + length_s, 60.0))
    moved = jittered(moment, jitter, 60.0, rng(seed))
    most_s = jitter * moment.length_s + 1e-9
    assert 0 <= moved.start_s <= moved.end_s <= 60
    if jitter <= 0.5:  # the ends cannot have passed each other
        assert abs(moved.start_s - moment.start_s) <= most_s
        assert abs(moved.end_s - moment.end_s) <= most_s
    assert moment.start_s - most_s <= moved.start_s
    assert moved.end_s <= moment.end_s + most_s
    assert jittered(moment, jitter, 60.0, rng(seed)) == moved


def test_no_jitter_leaves_the_moment_as_it_is() -> None:
    assert jittered(Span(3, 4), 0.0, 60.0, rng(1)) == Span(3, 4)


def test_a_jittered_clip_is_still_of_the_least_length() -> None:
    recipe = AnswererRecipe(200, "mcq", 3.0)
    for seed in range(50):
        span = recipe.sample(item_of(spans=(Span(57, 60),)), BOOK, rng(seed)).request.clip.span
        assert span is not None
        assert span.length_s >= 32 - 1e-9
        assert 0 <= span.start_s < span.end_s <= 60


def test_long_moments_get_different_clips_and_any_of_several_spans_is_taken() -> None:
    one = item_of(spans=(Span(10, 50),))
    clips = {ANSWERER.sample(one, BOOK, rng(seed)).request.clip.span for seed in range(20)}
    assert len(clips) == 20
    assert all(span is not None and 0 <= span.start_s <= 20 and 40 <= span.end_s <= 60 for span in clips)
    several = item_of(spans=(Span(0, 2), Span(58, 60)))
    clips = {ANSWERER.sample(several, BOOK, rng(seed)).request.clip.span for seed in range(20)}
    assert {span.start_s == 0 for span in clips if span is not None} == {True, False}


# --- the checkpoint's manner --------------------------------------------------------------------------------------

DEFAULT = Manner(
    budgets={role: Budget(2.0, 8 + 4 * at, 12544, 22736) for at, role in enumerate(BUDGETS)},
    style="direct",
    choose="likelihood",
    clip="hull",
    min_clip_s=12.0,
    candidates=3,
    window_s=40.0,
    marks="aligned",
)


def test_every_role_learns_and_is_asked_what_the_agent_asks_of_such_a_checkpoint() -> None:
    backbone = ScriptedBackbone(manner=DEFAULT, verdicts=((0.1, 0.8), (0.9, 0.1), (0.2, 0.7)))
    Agent(backbone).ask(VIDEO, QUESTION, OPTIONS)
    judged = backbone.asked("verifier")[1].clip.marked
    assert judged is not None
    item = item_of(spans=(judged,), options=OPTIONS, tags={"query": QUERY})
    recipes: list[Recipe] = [PLANNER, GROUNDER, AnswererRecipe(200, None, 0.0)]
    for recipe in recipes:
        [wanted] = backbone.asked(recipe.role)
        manly = recipe.asked_as(DEFAULT)
        assert manly.manner == DEFAULT
        assert learned(manly, item) == wanted
        assert asked(manly, item)[1] == [wanted]
    judging = item_of(answer="Yes", spans=(judged,))
    wanted = backbone.asked("verifier")[1]
    assert learned(VERIFIER.asked_as(DEFAULT), judging) == wanted
    assert asked(VERIFIER.asked_as(DEFAULT), judging)[1] == [wanted]


def test_the_answerer_learns_from_all_moments_together_where_that_is_the_manner() -> None:
    several = item_of(spans=(Span(20, 22), Span(5, 6), Span(40, 44)), options=OPTIONS)
    recipe = AnswererRecipe(200, None, 0.25).asked_as(DEFAULT)
    clips = [recipe.sample(several, BOOK, rng(seed)).request.clip.whole_span for seed in range(20)]
    assert len(set(clips)) == 20
    # The hull is 39 s long; each end moves by up to a quarter of that.
    assert all(0 <= clip.start_s <= 14.75 and 34.25 <= clip.end_s <= 53.75 for clip in clips)
    [watched] = asked(recipe, several)[1]
    assert watched.clip.whole_span == Span(5, 44)
    assert recipe.sample(several, BOOK, rng()).reply.text == "in the box"


def test_validation_chooses_by_likelihood_where_that_is_the_manner() -> None:
    recipe = AnswererRecipe(200, None, 0.0).asked_as(DEFAULT)
    right, _ = asked(recipe, item_of(options=OPTIONS), likelihoods=(-2.0, -1.0))
    wrong, _ = asked(recipe, item_of(options=OPTIONS), likelihoods=(-1.0, -2.0))
    assert (right["right"], right["reply"]) == (True, "in the box")
    assert (wrong["right"], wrong["reply"]) == (False, "in the basket")
    with pytest.raises(StepError):
        asked(recipe, item_of(options=OPTIONS), likelihoods=(math.nan, -2.0))


def test_a_style_of_ones_own_goes_before_the_manners() -> None:
    assert AnswererRecipe(200, "mcq", 0.0).asked_as(DEFAULT).manner == replace(DEFAULT, style="mcq", choose="letter")
    assert AnswererRecipe(200, "options", 0.0).asked_as(DEFAULT).manner == replace(DEFAULT, style="options")
    assert AnswererRecipe(200, None, 0.0).manner == Manner()
    with pytest.raises(InputError, match="style 'essay'"):
        AnswererRecipe(200, "essay", 0.0)


# --- samples of a run ---------------------------------------------------------------------------------------------


def samples_of(variants: int, seed: int = 0) -> RoleSamples:
    return RoleSamples([item_of(spans=(Span(10, 50),)), item_of(spans=(Span(5, 55),))], ANSWERER, BOOK, seed, variants)


def test_samples_are_the_same_in_every_process_and_differ_by_seed_and_round() -> None:
    mine, theirs = samples_of(4), samples_of(4)
    assert len(mine) == 2
    assert [mine.sample(1, epoch) for epoch in range(9)] == [theirs.sample(1, epoch) for epoch in range(9)]
    assert mine.sample(0, 0).request != samples_of(4, seed=1).sample(0, 0).request
    assert mine.sample(0, 0).request != mine.sample(0, 1).request
    assert mine.sample(0, 0).request.clip.span != mine.sample(1, 0).request.clip.span


def test_clips_take_turns_and_draws_never_repeat() -> None:
    samples = samples_of(3)
    requests = [samples.sample(0, epoch).request for epoch in range(7)]
    assert requests[:3] == requests[3:6]
    assert requests[0] == requests[6]
    assert len({request.clip.span for request in requests}) == 3
    draws = {samples.sample(number, epoch).draw for number in (0, 1) for epoch in range(7)}
    assert len(draws) == 14
    assert all(0 <= draw < 2**63 for draw in draws)


def test_roles_without_chance_have_one_clip() -> None:
    for recipe in (PLANNER, GROUNDER):
        samples = RoleSamples([item_of()], recipe, BOOK, 0)
        assert samples.sample(0, 0).request == samples.sample(0, 5).request


@pytest.mark.parametrize(
    ("recipe", "role", "tokens", "head", "best"),
    [
        (PLANNER, "planner", False, False, "route_accuracy"),
        (GROUNDER, "grounder", True, True, "mIoU"),
        (VERIFIER, "verifier", True, False, "auc"),
        (ANSWERER, "answerer", False, False, "accuracy"),
    ],
)
def test_recipes_say_what_the_loop_asks(recipe: Recipe, role: str, tokens: bool, head: bool, best: str) -> None:
    assert (recipe.role, recipe.learns_tokens, recipe.with_head, recipe.best) == (role, tokens, head, best)
    item = item_of(answer="Yes", tags={"candidate_iou": "0.7"})
    record, requests = asked(recipe, item)
    assert best in recipe.score([record, {**record, "right": False}])
    assert {request.role for request in requests} == {role}
    assert learned(recipe, item).role == role
    assert json.loads(json.dumps(record)) == record  # it is written to validation.jsonl


def test_words_are_counted_as_text_is_split() -> None:
    assert check_words("a b  c", 3) == "a b  c"
    with pytest.raises(Skip, match="more than 2 words"):
        check_words("a b  c", 2)


def test_spans_are_cut_to_the_video() -> None:
    assert item_of(spans=(Span(59, 61), Span(0, 1))).spans() == (Span(59, 60), Span(0, 1))
    for spans in ((), (Span(60, 61),), (Span(0, 1), Span(70, 80))):
        with pytest.raises(Skip):
            item_of(spans=spans).spans()


def test_the_shapes_of_recipes_need_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from adapters.train import answerer, grounder, planner, verifier, mine, all\n"
        "assert not {'torch', 'transformers', 'peft'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)


@pytest.mark.parametrize("reply", ["It is there.", "<|reg|> is when."])
def test_a_grounders_reply_that_no_state_leads_to_is_refused(reply: str) -> None:
    book = own_prompts().replaced("prompts.json", {"grounder_reply": reply})
    with pytest.raises(InputError, match="grounder_reply"):
        told_by(book)
    assert told_by(own_prompts()).count("<|reg|>") == 1


def test_an_example_on_which_the_adapter_failed_is_scored_as_wrong() -> None:
    shown = item_of(spans=(Span(0, 5),))
    assert GROUNDER.score([GROUNDER.missed(shown)])["mIoU"] == 0.0
    planned = item_of(answer="yes", spans=(Span(0, 5),))
    assert PLANNER.score([PLANNER.missed(planned)]) == {"route_accuracy": 0.0, "parse_rate": 0.0}
    judged = [item_of(answer="Yes", tags={"group": "g"}), item_of(answer="No", tags={"group": "g"})]
    assert VERIFIER.score([VERIFIER.missed(item) for item in judged])["auc"] == 0.0
    asked_of = item_of(answer="b", options=("a", "b"))
    assert ANSWERER.score([ANSWERER.missed(asked_of)]) == {"accuracy": 0.0}
