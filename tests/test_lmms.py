"""lmms-eval's own command line runs our agent on our tasks and on other people's; the replies are our agent's own."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from eval.item import Item
from eval.lmms.__main__ import main
from eval.lmms.contexts import read_context
from eval.lmms.docs import COMMON, TASKS, TASKS_DIR, Manner, doc_of, item_of, write_task
from eval.lmms.replies import NO_ANSWER, plain_reply, read_reply, write_reply
from eval.lmms.scoring import doc_to_text, mean_score, moment_results, question_results, sets_right, world_results
from roles.errors import DataError, InputError
from roles.types import Span
from tests.films import make_film

ITEM = Item("q1", "film.mp4", "Where is it?", ("in the box", "in the bag"), 1, (Span(2, 4),), {"order": "1"}, set="s1")
RECORD: dict[str, Any] = {
    "key": "q1",
    "said": "in the bag",
    "choice": 1,
    "spans": [[2.0, 4.0, 0.9, None], [6.0, 8.0, 0.1, 0.3]],
    "fell_back": [],
    "strange": False,
    "error": None,
}


# Through lmms-eval's own command line


@dataclass(frozen=True)
class Ran:
    """What lmms-eval left behind, and what it was given."""

    results: Mapping[str, Any]
    samples: Mapping[str, list[dict[str, Any]]]
    docs: Mapping[str, list[dict[str, Any]]]
    log: str
    kept: Path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One run of our two tasks and three other people's on two films of our world."""
    pytest.importorskip("lmms_eval", reason="needs the extra lmms-eval")
    from eval.worlds.__main__ import main as worlds

    folder = tmp_path_factory.mktemp("lmms")
    made = ["--seed", "3", "--n", "1", "--split", "val", "--size", "112", "--kind", "lie", "truth_distrusted"]
    assert worlds(["make", *made, "--length", "12", "--workers", "1", "--out", str(folder / "world")]) == 0
    examples = [json.loads(line) for line in (folder / "world" / "examples.jsonl").read_text().splitlines()]
    tasks = folder / "tasks"
    assert main(["worlds", "--data", str(folder / "world"), "--out", str(tasks)]) == 0
    _write_qvhighlights(folder / "qv", folder / "world", examples)
    assert main(["qvhighlights", "--data", str(folder / "qv"), "--out", str(tasks)]) == 0
    _write_others(tasks, folder / "world", examples)
    command = ["--model", "mindreel", "--model_args", f"device=cpu,out={folder / 'kept'}", "--include_path", str(tasks)]
    command += ["--tasks", "mindreel_world,qvhighlights,letters,losses,seconds", "--limit", "4", "--log_samples"]
    done = subprocess.run(
        [sys.executable, "-m", "lmms_eval", *command, "--output_path", str(folder / "results")],
        env=os.environ | {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=folder,  # away from the sources: the installed package must say that there is such a model
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    [results] = [*(folder / "results").rglob("*_results.json")] or pytest.fail(done.stdout[-4000:])
    samples = {
        path.stem.partition("_samples_")[2]: _rows(path) for path in (folder / "results").rglob("*_samples_*.jsonl")
    }
    docs = {path.stem: _rows(path) for path in tasks.glob("*.jsonl")}
    return Ran(json.loads(results.read_text())["results"], samples, docs, done.stdout, folder / "kept")


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write_qvhighlights(folder: Path, world: Path, examples: list[dict[str, Any]]) -> None:
    """Two queries in QVHighlights' own form: on a film of our world, and on one of a kind that the model never saw."""
    (folder / "videos").mkdir(parents=True)
    one = next(one for one in examples if one.get("spans") and "query" in one["tags"])
    (folder / "videos" / "world.mp4").symlink_to(world / one["video"])
    make_film(folder / "videos" / "squares.mp4", [("red", 2.0, 6.0)], 8.0)
    asked = [("world", one["tags"]["query"], one["spans"]), ("squares", "a red square", [[2, 6]])]
    rows = [
        {"qid": number, "vid": name, "query": query, "duration": 32, "relevant_windows": spans}
        for number, (name, query, spans) in enumerate(asked)
    ]
    (folder / "highlight_val_release.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _write_others(tasks: Path, world: Path, examples: list[dict[str, Any]]) -> None:
    """Tasks that ask and score with lmms-eval's own code: letters, likelihoods of options, and a moment in seconds."""
    chosen = [one for one in examples if len(one.get("options", ())) == 3][:1]
    rows = [
        {
            "path": str(world / one["video"]),
            "video_idx": str(number),
            "question": one["question"],
            "option": [f"{letter}. {option}" for letter, option in zip("ABC", one["options"], strict=True)],
            "answer_at": one["options"].index(one["answer"]),
            "candidates": one["options"],
            "answer": one["answer"],
            "video": "film",
            "caption": one["tags"]["query"],
            "timestamp": str(one["spans"][0]) if one.get("spans") else "[0, 1]",
        }
        for number, one in enumerate(chosen)
    ]
    (tasks / "others.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tasks / "others_utils.py").write_text("def video(doc, kwargs=None):\n    return [doc['path']]\n")
    common = [
        "dataset_path: json",
        "dataset_kwargs: {data_files: {test: others.jsonl}}",
        "test_split: test",
        "doc_to_visual: !function others_utils.video",
    ]
    ego = "!function lmms_eval.tasks.egoschema.utils.egoschema_"
    mvbench = "!function lmms_eval.tasks.mvbench.utils.mvbench_"
    charades = "!function lmms_eval.tasks.charades_sta.utils.temporal_grounding_"
    asks = "The format should be: 'The event happens in the start time - end time'. The textual sentence: "
    texts = {
        "letters": [
            "output_type: generate_until",
            f"doc_to_text: {mvbench}doc_to_text",
            "doc_to_target: answer",
            f"process_results: {mvbench}process_results",
            "lmms_eval_specific_kwargs: {default: {post_prompt: Only give the best option.}}",
            "metric_list:",
            f"  - {{metric: mvbench_accuracy, aggregation: {mvbench}aggregate_results, higher_is_better: true}}",
        ],
        "losses": [
            "output_type: multiple_choice",
            "doc_to_text: question",
            "doc_to_target: answer_at",
            f"doc_to_choice: {ego}doc_to_choice",
            "metric_list:",
            "  - {metric: acc, aggregation: mean, higher_is_better: true}",
        ],
        "seconds": [
            "output_type: generate_until",
            f"doc_to_text: {charades}doc_to_text",
            f"doc_to_target: {charades}doc_to_answer",
            f"process_results: {charades}process_results_generation",
            "lmms_eval_specific_kwargs:",
            f"  default: {{pre_prompt: {json.dumps(asks)}, post_prompt: Please return its start time and end time.}}",
            "metric_list:",
            f"  - {{metric: charades_sta_mIOU, aggregation: {charades}aggregate_miou, higher_is_better: true}}",
        ],
    }
    for name, lines in texts.items():
        (tasks / f"{name}.yaml").write_text("\n".join([f"task: {name}", *common, *lines]) + "\n")


def test_every_question_has_a_reply_and_the_figures_are_those_of_the_replies(ran: Ran) -> None:
    assert [len(ran.samples[name]) for name in ("mindreel_world", "qvhighlights")] == [4, 2], ran.log[-4000:]
    for task, score in (("mindreel_world", world_results), ("qvhighlights", moment_results)):
        again: dict[str, list[dict[str, Any]]] = {}
        for sample in ran.samples[task]:
            for name, value in score(ran.docs[task][sample["doc_id"]], [sample["filtered_resps"]]).items():
                again.setdefault(name, []).append(value)
        assert "Acc" in again or "MR-full-mAP" in again
        for name, values in again.items():
            expected = sets_right(values) if name == "Sets" else mean_score(values)
            assert ran.results[task][f"{name},none"] == pytest.approx(expected), (task, name)


def test_the_replies_are_what_our_agent_says_when_it_is_asked_directly(ran: Ran) -> None:
    from adapters.frames import open_video
    from adapters.qwen2vl import Qwen2VL
    from agent import Agent, Settings
    from agent.build import default_model
    from roles import planner

    model = Qwen2VL.load(*default_model(), device="cpu")
    for task in ("mindreel_world", "qvhighlights"):
        sample = ran.samples[task][-1]
        doc = ran.docs[task][sample["doc_id"]]
        find = planner.route_plan("moment", doc["question"], doc["question"], "forced")
        with open_video(doc["video"]) as file:
            agent = Agent(model, Settings(unit_s=doc["unit_s"] or Settings().unit_s))
            plan = find if task == "qvhighlights" else None
            said = agent.ask(model.watch(file), doc["question"], doc["options"], plan=plan)
        reply = json.loads(sample["filtered_resps"])
        assert (reply["choice"], reply["answer"]) == (said.answer.choice, said.answer.text)
        moments = [[one.span.start_s, one.span.end_s, one.confidence] for one in said.moments]
        assert reply["spans"] == [pytest.approx(one, abs=2e-3) for one in moments]
        assert moments
        assert (reply["choice"] is None, reply.get("strange", False)) == (task == "qvhighlights",) * 2


def test_other_peoples_tasks_get_the_replies_that_they_read(ran: Ran) -> None:
    letters = [sample["filtered_resps"] for sample in ran.samples["letters"]]
    assert all(letter in ("A", "B", "C") for letter in letters)
    assert ran.results["letters"]["mvbench_accuracy,none"] == 100, "the small default model knows these films"
    assert ran.results["losses"]["acc,none"] == 1.0
    for sample, letter in zip(ran.samples["losses"], letters, strict=True):
        losses = [float(loss) for loss, _ in sample["filtered_resps"]]
        assert "ABC"[losses.index(min(losses))] == letter
        assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1, abs=1e-3)
    assert ran.results["seconds"]["charades_sta_mIOU,none"] > 0
    assert "bad predictions: 0/1" in ran.log


def test_records_and_traces_are_kept_where_the_user_says(ran: Ran) -> None:
    from agent import read_traces

    records = [json.loads(line) for path in (ran.kept / "shards").iterdir() for line in path.read_text().splitlines()]
    assert {record["key"].partition("/")[0] for record in records} == set(ran.samples)
    for path, number in (record["trace"] for record in records):
        assert len(list(read_traces(ran.kept / path))) >= number


# The model, without lmms-eval around it


class _Asker:
    """Takes the place of the model: notes what it is asked."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self.requests: list[Any] = []

    def ask_all(self, requests: Any, done: Any) -> dict[str, Any]:
        self.requests += requests
        return {one.item.key: RECORD | {"key": one.item.key, "probs": [0.25, 0.75]} for one in requests}


@dataclass
class _Request:
    args: tuple[Any, ...]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Our model as lmms-eval holds it, with a task `t` that has one line."""
    pytest.importorskip("lmms_eval", reason="needs the extra lmms-eval")
    import eval.lmms.model

    monkeypatch.setattr(eval.lmms.model, "Asker", _Asker)
    made = eval.lmms.model.Mindreel(device="cpu", plan="ground", min_clip_s=4)
    made.task_dict = {"t": {"test": [{"question": "?"}]}}
    return made


def _asked(model: Any, context: str, shown: Any) -> Item:
    model.generate_until([_Request((context, {}, lambda doc: shown, 0, "t", "test"))])
    item: Item = model._asker.requests[-1].item
    return item


def test_the_truth_of_our_own_tasks_is_not_passed_on(model: Any) -> None:
    model.task_dict = {"t": {"test": [doc_of(ITEM, Manner("ground", 0.1, 8.0))]}}
    [reply] = model.generate_until([_Request(("shown to others", {}, lambda doc: ["other.mp4"], 0, "t", "test"))])
    [request] = model._asker.requests
    assert (request.item.question, request.item.options) == (ITEM.question, ITEM.options)
    assert (request.item.answer_at, request.item.spans) == (None, ())
    assert request.manner == Manner("ground", 0.1, 8.0)
    assert json.loads(reply) == {"choice": "B", "answer": "in the bag", "spans": [[2, 4, 0.9], [6, 8, 0.1]]}


def test_what_the_user_says_wins_over_the_benchmark_except_that_a_moment_is_not_answered(model: Any) -> None:
    from eval.lmms.asker import in_manner

    job = in_manner(model._asker.job, Manner("auto", 0.1, 64.0))
    assert (job.plan, job.settings.unit_s, job.settings.min_clip_s) == ("ground", 0.1, 4)
    assert in_manner(model._asker.job, Manner("moment")).plan == "moment"


def test_parts_and_pictures_are_shown_in_place_of_whole_videos(model: Any, tmp_path: Path) -> None:
    from PIL import Image

    item = _asked(model, "Why?", [{"type": "video", "url": "no.mp4", "video_start": 3, "video_end": 9.5}])
    assert (item.video, item.start_s, item.end_s, item.missing) == ("no.mp4", 3.0, 9.5, True)
    item = _asked(model, "Why?", [Image.new("RGB", (32, 32), (number, 0, 0)) for number in range(5)])
    assert (len(list(Path(item.video).iterdir())), item.frame_rate, item.missing) == (5, 1.0, False)


@pytest.mark.parametrize("shown", [None, [], ["a.mp4", "b.mp4"], [b"film"]])
def test_a_task_without_one_video_is_refused(model: Any, shown: Any) -> None:
    with pytest.raises(InputError, match="leave this task out"):
        _asked(model, "Why?", shown)


def test_the_likelihood_of_a_text_alone_is_refused(model: Any) -> None:
    requests = [_Request(("Why?", "so", lambda doc: ["a.mp4"], 0, "t", "test"))]
    with pytest.raises(InputError, match="likelihood of one text alone"):
        model.loglikelihood(requests)
    requests.append(_Request(("Why?", lambda doc: " not so", lambda doc: ["a.mp4"], 0, "t", "test")))
    pairs = [one.text for one in model.loglikelihood(requests)]
    assert pairs == [(pytest.approx(-math.log(0.25)), False), (pytest.approx(-math.log(0.75)), True)]
    assert model._asker.requests[-1].item.options == ("so", "not so")


def test_letters_stand_for_the_options_in_the_text(model: Any) -> None:
    requests = [_Request(("Why?\nA. so\nB. or so", f" {one}", lambda doc: ["a"], 0, "t", "test")) for one in "AB"]
    model.loglikelihood(requests)
    assert model._asker.requests[-1].item.options == ("so", "or so")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modle": "x"}, "modle: no such argument"),
        ({"plan": "guess"}, "plan 'guess'"),
        ({"unit_s": "x"}, "kind"),
        ({"frame_rate": "x"}, "kind"),
    ],
)
def test_wrong_arguments_are_one_line(model: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        type(model)(**arguments)
    with pytest.raises(InputError, match="one question at a time"):
        model.generate_until_multi_round([])


def test_the_package_says_which_class_the_models_name_stands_for() -> None:
    pytest.importorskip("lmms_eval", reason="needs the extra lmms-eval")
    from lmms_eval.models.registry_v2 import ModelRegistryV2

    from eval.lmms.model import Mindreel

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [(name, target)] = project["entry-points"]["lmms_eval.models"].items()
    registry = ModelRegistryV2()
    registry.register_manifest(EntryPoint(name, target, "lmms_eval.models").load()())
    assert registry.get_model_class(name) is Mindreel


# Reading other people's prompts


@pytest.mark.parametrize(
    ("text", "question", "options"),
    [
        (
            "Question:Why is he sad?\nOption:\n(A) He lost.\n(B) It rains.\nOnly give the best option.\n",
            "Why is he sad?",
            ("He lost.", "It rains."),
        ),
        (
            "Select the best answer to the following multiple-choice question based on the video. Respond with only "
            "the letter (A, B, C, or D) of the correct option.\nWho comes back?\nA. Sally\nB. Anne\nThe answer is:",
            "Who comes back?",
            ("Sally", "Anne"),
        ),
        (
            "Where?\nA. in a box\nthat is red\nB. in a bag\n\nAnswer with the option's letter from the given choices.",
            "Where?",
            ("in a box that is red", "in a bag"),
        ),
        ("What colour is the hat?", "What colour is the hat?", ()),
        ("A. B. Smith wrote it?", "A. B. Smith wrote it?", ()),
        ("Which?\nB. two\nC. three", "Which?\nB. two\nC. three", ()),
        ("Choose the best option.\nA) x\nB) y", "Choose the best option.", ("x", "y")),
    ],
)
def test_question_and_options_are_taken_out_of_a_prompt(text: str, question: str, options: tuple[str, ...]) -> None:
    asked = read_context(text)
    assert (asked.question, asked.options, asked.wants_moment) == (question, options, False)


@pytest.mark.parametrize(
    ("text", "description"),
    [
        (
            "Please find the visual event described by a sentence in the video, determining its starting and ending "
            "times. Now I will give you the textual sentence: a person opens a door. . Please return its start time "
            "and end time.",
            "a person opens a door",
        ),
        (
            "Please find the visual event described by the sentence 'a man's hat falls', determining its starting and "
            "ending times. The format should be: 'The event happens in <start time> - <end time> seconds'.",
            "a man's hat falls",
        ),
    ],
)
def test_a_described_moment_is_taken_out_of_a_prompt(text: str, description: str) -> None:
    asked = read_context(text)
    assert (asked.question, asked.options, asked.wants_moment) == (description, (), True)


@given(st.text(max_size=200))
def test_any_text_gives_a_question_and_no_single_option(text: str) -> None:
    asked = read_context(text)
    assert len(asked.options) != 1
    assert asked.question.strip() or not text.strip()


# Replies


def test_a_reply_says_what_went_wrong() -> None:
    failed = RECORD | {"said": None, "choice": None, "spans": [], "error": "no film", "fell_back": ["planner"]}
    reply = write_reply(failed)
    assert json.loads(reply)["error"] == "no film"
    assert json.loads(reply)["fell_back"] == ["planner"]
    assert read_reply(reply, ITEM.options).choice is None
    assert plain_reply(failed, has_options=True, wants_moment=False) == NO_ANSWER
    assert plain_reply(failed, has_options=False, wants_moment=True) == NO_ANSWER


@given(
    st.integers(0, 1),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 1)), max_size=10),
)
def test_what_is_written_is_read_back(choice: int, rows: list[tuple[float, float, float]]) -> None:
    spans = [[min(a, b), max(a, b), score, None] for a, b, score in rows]
    reply = read_reply(write_reply(RECORD | {"choice": choice, "spans": spans}), ITEM.options)
    assert reply.choice == choice
    assert [list(window) for window in reply.windows] == [span[:3] for span in spans]


@pytest.mark.parametrize(
    ("text", "choice", "spans"),
    [
        ("B", 1, []),
        ("The answer is (A).", 0, []),
        ('Sure: ```json\n{"choice": "B", "spans": [[1, 2]]}\n```', 1, [Span(1, 2)]),
        ('{"answer": "in the box"}', 0, []),
        ('{"choice": "A", "spans": [[3, 1], ["x", 2], [1], [-1, 2], [1, 2, 3, 4], [true, 3], null]}', 0, [Span(0, 2)]),
        ('{"choice": "A", "spans": 7}', 0, []),
        ('{"choice": null, "spans": []}', None, []),
        ('{"choice": "A or B"}', None, []),
        ("{", None, []),
        ("", None, []),
    ],
)
def test_any_models_reply_is_read_or_wrong(text: str, choice: int | None, spans: list[Span]) -> None:
    reply = read_reply(text, ITEM.options)
    assert (reply.choice, reply.spans) == (choice, spans)


@given(st.text(max_size=100))
def test_no_reply_stops_the_scoring(text: str) -> None:
    assert set(question_results(doc_of(ITEM, Manner()), [text])) == set(question_results(doc_of(ITEM, Manner()), []))


# Figures and files


def _score(reply: dict[str, Any]) -> dict[str, float]:
    return {name: one["score"] for name, one in world_results(doc_of(ITEM, Manner()), [json.dumps(reply)]).items()}


def test_a_perfect_reply_is_worth_1_and_none_0() -> None:
    perfect = _score({"choice": "B", "spans": [[2, 4]]})
    assert set(perfect.values()) == {1.0}
    assert {"Acc", "Acc@GQA", "Acc@IoU", "Acc order 1", "Sets", "mIoU", "mIoP", "IoP R1@0.5"} <= set(perfect)
    assert set(_score({}).values()) == {0.0}


def test_a_grounded_answer_needs_both_halves() -> None:
    assert _score({"choice": "B", "spans": [[2, 10]]}) | {"Acc": 1.0, "Acc@GQA": 0.0, "mIoP": 0.25} == _score(
        {"choice": "B", "spans": [[2, 10]]}
    )
    assert _score({"choice": "A", "spans": [[2, 4]]})["Acc@GQA"] == 0.0


def test_a_set_is_right_when_all_of_it_is() -> None:
    scores = [("a", 1.0), ("a", 0.0), ("b", 1.0), ("b", 1.0)]
    assert sets_right([{"set": name, "score": score} for name, score in scores]) == 0.5
    assert mean_score([{"set": name, "score": score} for name, score in scores]) == 0.75


def test_several_true_windows_count_one_by_one() -> None:
    item = Item("q", "film.mp4", "a dog", spans=(Span(0, 8), Span(20, 35), Span(40, 100)))
    values = moment_results(doc_of(item, Manner("moment")), [json.dumps({"spans": [[0, 8, 0.9], [40, 100, 0.5]]})])
    scores = {name: one["score"] for name, one in values.items()}
    assert scores["MR-full-mAP"] == pytest.approx(2 / 3)
    assert (scores["MR-short-mAP"], scores["MR-middle-mAP"], scores["MR-full-R1@0.7"]) == (1.0, 0.0, 1.0)
    assert moment_results(doc_of(Item("q", "film.mp4", "a dog"), Manner()), [""]) == {}


def test_a_line_of_data_is_its_item_again() -> None:
    full = Item("k", "v", "q", ("x", "x"), 0, (Span(0, 1),), {"é": '"'}, "s", "what", 1.0, 2.0, 3.0, "v.srt", True)
    for item in (full, ITEM, Item("k", "v", "q")):
        assert item_of(json.loads(json.dumps(doc_of(item, Manner())))) == item


def test_other_models_are_told_how_to_reply() -> None:
    text = doc_to_text(doc_of(ITEM, Manner()))
    assert read_context(text).options == ITEM.options
    assert '"choice"' in text
    assert '"spans"' in doc_to_text(doc_of(Item("q", "v", "a dog", spans=(Span(0, 1),)), Manner()))


class _Loader(yaml.SafeLoader):
    """Reads the names of functions as text."""


_Loader.add_constructor("!function", lambda loader, node: node.value)


@pytest.mark.parametrize("name", sorted(TASKS.values()))
def test_every_task_names_the_figures_that_are_scored(name: str) -> None:
    import importlib

    texts = [(TASKS_DIR / file).read_text() for file in (COMMON, f"{name}.yaml")]
    common, own = (yaml.load(text, _Loader) for text in texts)  # noqa: S506 - a SafeLoader
    task = common | own
    assert task["task"] == name
    assert task["dataset_kwargs"]["data_files"] == {"test": f"{name}.jsonl"}
    names = [value for value in task.values() if isinstance(value, str) and value.startswith("eval.")]
    names += [metric["aggregation"] for metric in task["metric_list"]]
    functions = {one: getattr(importlib.import_module(one.rpartition(".")[0]), one.rpartition(".")[2]) for one in names}
    spans = (Span(0, 5), Span(10, 30), Span(40, 100))
    items = [Item("q", "v", "q", ("a", "b"), 0, spans, {"order": order}) for order in "012"]
    score = functions[task["process_results"]]
    given_figures = {figure for item in items for figure in score(doc_of(item, Manner()), ["A"])}
    assert {metric["metric"] for metric in task["metric_list"]} == given_figures


def test_a_task_is_written_with_its_data_and_a_relative_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_task("rextime", [ITEM], Path("out"), Manner("ground", 1.0), "val")
    assert yaml.load(path.read_text(), _Loader)["task_alias"] == "rextime (val)"  # noqa: S506 - a SafeLoader
    [doc] = _rows(Path("out/rextime.jsonl"))
    assert (doc["video"], doc["plan"], doc["unit_s"]) == (str(tmp_path / "film.mp4"), "ground", 1.0)
    with pytest.raises(DataError, match="no questions"):
        write_task("rextime", [], Path("out"), Manner())


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nextgqa", "--data", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit) as stopped:
        main(["nosuch", "--data", "x", "--out", "y"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
