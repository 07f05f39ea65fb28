"""The exam: who knows everything gets full marks, who knows nothing gets none, and nothing is asked twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.frames import open_video
from adapters.qwen2vl import Qwen2VL
from adapters.train.planner import route_of
from eval import evidence_swap, exam_films, exam_parts, exam_pool, exam_report, exam_scores, exam_tables, world_exam
from eval.exam_model import ExaminedModel
from eval.exam_parts import PARTS
from eval.exam_sitting import Sitting
from eval.worlds import clues, plot, questions
from prompts import plain
from roles import answerer, grounder, planner, verifier
from roles.errors import DataError, InputError, StepError
from roles.manner import Manner
from roles.spans import iou
from roles.types import Choosing, Clip, Example, Judgement, Pointing, Reply, Request, Span, Usage, Video
from tests.fakes import ScriptedBackbone

ORACLE = Path(__file__).parent / "data" / "oracle"
SEED = 10_050_002
MANNER = Manner(style="direct", choose="likelihood", clip="hull", min_clip_s=64.0, window_s=64.0)


class Examinee(ScriptedBackbone):
    """Knows the films' questions by heart, and answers right if `sees(example, clip)`.

    Its first candidate is right if `points`, it judges right if `judges`, and writes right plans if `plans`.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        sees: Callable[[Example, Span], bool] = lambda example, clip: True,
        points: bool = True,
        judges: bool = True,
        plans: bool = True,
    ) -> None:
        super().__init__(manner=MANNER)
        self.examples = examples
        self.sees, self.points, self.judges, self.plans = sees, points, judges, plans
        self.rewatched = 0

    def reading_afresh(self) -> Any:
        return nullcontext()

    def choose(self, request: Request, texts: Sequence[str]) -> Choosing:
        example = next(
            one for one in self.examples if one.question == request.prompt.text and one.options == tuple(texts)
        )
        knows = self.sees(example, request.clip.whole_span)
        scores = tuple(-1.0 if (text == example.answer) == knows else -5.0 for text in texts)
        return Choosing(scores, Usage(video_tokens=10))

    def write(self, request: Request) -> Reply:
        example = next(one for one in self.examples if one.question in request.prompt.text)
        route = route_of(example)
        query = None if route == "answer" else planner.clean_query(example.tags["query"])
        return Reply(planner.target(route, query) if self.plans else "no plan", True, Usage(video_tokens=1))

    def point(self, request: Request) -> Pointing:
        text = request.prompt.text
        example = next(one for one in self.examples if one.spans and planner.clean_query(one.tags["query"]) in text)
        length_s = request.clip.video.duration_s
        right = [(span.start_s / length_s, span.end_s / length_s) for span in example.spans]
        wrong = [(0.98, 1.0)]
        rows = [*right, *wrong] if self.points else [*wrong, *right]
        scored = tuple((start, end, 0.9 - 0.1 * at) for at, (start, end) in enumerate(rows))
        return Pointing(Reply("At.", True, Usage(video_tokens=100)), scored)

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        found = []
        for request in requests:
            marked = request.clip.marked
            assert marked is not None
            truths = [one for one in self.examples if one.question in request.prompt.text and one.spans]
            # Short candidates are widened before they are judged: a right one then holds its true span.
            yes = any(_holds(marked, span) for one in truths for span in one.spans) == self.judges
            found.append(Judgement(0.9, 0.1, Usage()) if yes else Judgement(0.1, 0.9, Usage()))
        return found


def _holds(outer: Span, inner: Span) -> bool:
    return outer.start_s <= inner.start_s + 0.01 and inner.end_s - 0.01 <= outer.end_s


def sitting(examinee: Examinee, duration_s: float, sample: int = 0) -> Sitting:
    def rewatch() -> None:
        examinee.rewatched += 1

    video = Video("film.mp4", duration_s, 12.0, 336, 224, round(12 * duration_s))
    model = cast("ExaminedModel", examinee)
    return Sitting(model, video, examinee.examples, SEED, sample, rewatch, lambda: None)


def scene_examples(kind: str, length_s: float | None = None) -> tuple[list[Example], float]:
    scene = plot.scene(SEED, kind, length_s=length_s)
    return [questions.example(one, "film.mp4") for one in questions.ask(scene)], scene.duration_s


def scores(part: str, examinee: Examinee, duration_s: float) -> dict[str, Any]:
    asked = list(PARTS[part].examine(sitting(examinee, duration_s)))
    record = {"part": part, "film": "f", "seed": SEED, "kind": "k", "sample": 0, "elapsed_s": 1.0, "asked": asked}
    return exam_report.scores_of(part, [json.loads(json.dumps(record))])


@pytest.fixture(scope="module")
def short() -> tuple[list[Example], float]:
    return scene_examples(plot.members(SEED)[0])


@pytest.fixture(scope="module")
def long() -> tuple[list[Example], float]:
    return scene_examples(plot.members(SEED)[0], 200.0)


def test_who_knows_every_answer_gets_full_marks_and_who_knows_none_gets_none(short: Any) -> None:
    examples, duration_s = short
    knowing = scores("answers", Examinee(examples), duration_s)
    ignorant = scores("answers", Examinee(examples, sees=lambda example, clip: False), duration_s)
    assert knowing["questions"] == sum(bool(one.options) for one in examples) > 4
    assert {row["right"]["mean"] for row in knowing["rows"].values()} == {1.0}
    assert {row["sets"]["mean"] for row in knowing["rows"].values()} == {1.0}
    assert ignorant["rows"]["all"]["right"]["mean"] < 0.01
    assert ignorant["rows"]["all"]["sets"]["mean"] == 0.0


def test_the_answerer_is_examined_on_the_whole_film(short: Any) -> None:
    examples, duration_s = short
    watched: list[Span] = []

    def sees(example: Example, clip: Span) -> bool:
        watched.append(clip)
        return True

    list(PARTS["answers"].examine(sitting(Examinee(examples, sees=sees), duration_s)))
    assert set(watched) == {Span(0.0, duration_s)}


def test_true_moments_overlap_wholly_and_a_wrong_first_one_is_still_among_five(short: Any) -> None:
    examples, duration_s = short
    right = scores("moments", Examinee(examples), duration_s)["rows"]["all"]
    wrong = scores("moments", Examinee(examples, points=False), duration_s)["rows"]["all"]
    assert right["mIoU"]["mean"] > 0.99
    assert right["R1@0.7"]["mean"] == 1.0
    assert wrong["R1@0.5"]["mean"] < 0.3
    assert wrong["R5@0.5"]["mean"] == 1.0


def test_a_good_verifier_gains_where_there_is_room_and_a_bad_one_loses(short: Any) -> None:
    examples, duration_s = short
    good = scores("verifier", Examinee(examples, points=False), duration_s)["rows"]
    idle = scores("verifier", Examinee(examples), duration_s)["rows"]
    bad = scores("verifier", Examinee(examples, judges=False), duration_s)["rows"]
    assert good["where there is room"]["gain"]["mean"] == 1.0
    assert good["overall"]["after"]["mean"] == 1.0
    assert idle["overall"]["gain"]["mean"] == 0.0
    assert "where there is room" not in idle
    assert bad["overall"]["gain"]["mean"] < 0


def test_a_planner_that_writes_no_plan_is_neither_parsed_nor_right(short: Any) -> None:
    examples, duration_s = short
    good = scores("planner", Examinee(examples), duration_s)["rows"]
    bad = scores("planner", Examinee(examples, plans=False), duration_s)["rows"]
    assert good["routes right"]["mean"] == good["read as a plan"]["mean"] == good["plans right"]["mean"] == 1.0
    assert good["mIoU with the planner's query"]["mean"] > 0.99
    assert bad["routes right"]["mean"] == bad["read as a plan"]["mean"] == 0.0
    assert bad["mIoU with the planner's query"]["mean"] == 0.0
    assert bad["mIoU with the question's own query"]["mean"] > 0.99


def around(example: Example, clip: Span) -> bool:
    """Knows an answer where all of the evidence is in the clip."""
    return _holds(clip, answerer.hull(example.spans))


def test_who_needs_the_evidence_fails_without_it(long: Any) -> None:
    examples, duration_s = long
    found = scores("swap", Examinee(examples, sees=around), duration_s)["rows"]
    assert found["true/tight"]["right"]["mean"] == found["predicted/tight"]["right"]["mean"] == 1.0
    assert found["complement"]["right"]["mean"] == 0.0
    assert found["complement"]["below true/tight"]["mean"] == 1.0
    assert found["random/tight"]["right"]["mean"] < 1.0


def test_swapped_clips_lie_where_they_should(long: Any) -> None:
    examples, duration_s = long
    asked = list(PARTS["swap"].examine(sitting(Examinee(examples), duration_s)))
    by_id = {one.tags["id"]: one for one in examples}
    assert asked
    for one in asked:
        clips = {name: Span(*ends) for name, ends in one["clips_s"].items()}
        for span in by_id[one["id"]].spans:
            assert iou(clips["true/tight"], Span(span.start_s, span.end_s)) > 0
        assert clips["true/tight"].length_s >= evidence_swap.TIGHT_S - 0.01
        assert clips["random/tight"].length_s == pytest.approx(clips["true/tight"].length_s, abs=0.03)
        assert clips["true/manner"].length_s >= MANNER.min_clip_s - 0.01
        if "complement" in clips:
            assert iou(clips["complement"], clips["true/tight"]) < 0.01
            assert clips["complement"].start_s == 0 or clips["complement"].end_s == pytest.approx(duration_s, abs=0.01)


def test_localising_pays_for_who_cannot_see_details_in_a_long_film(long: Any) -> None:
    examples, duration_s = long
    near = Examinee(examples, sees=lambda example, clip: clip.length_s < 150)
    found = scores("long", near, duration_s)
    assert found["rows"]["all"]["answerer alone"]["mean"] == 0.0
    assert found["rows"]["all"]["full agent"]["mean"] > 0.5
    difference = found["rows"]["all"]["difference"]["mean"]
    assert difference == found["rows"]["all"]["full agent"]["mean"]
    tokens = found["visual tokens a question"]
    assert tokens["answerer alone"] == {"answerer": 10, "all": 10}
    assert tokens["full agent"]["all"] > tokens["full agent"]["answerer"] == 10


def test_the_agent_is_asked_on_films_that_it_has_not_seen(short: Any) -> None:
    examples, duration_s = short
    examinee = Examinee(examples)
    found = scores("agent", examinee, duration_s)
    assert examinee.rewatched == found["questions"]
    assert found["rows"]["all"]["right"]["mean"] == 1.0
    assert found["mIoU"]["all"]["mean"] > 0.99
    assert found["mIoU"]["all"]["asked"] == sum(bool(one.spans) for one in examples)


def test_a_sample_holds_the_same_questions_in_all_films_of_a_set() -> None:
    def drawn(kind: str) -> set[str]:
        examples, _ = scene_examples(kind)
        return {one.tags["id"].partition("/")[2] for one in exam_films.sample(examples, "agent", SEED, 4)}

    films = [drawn(kind) for kind in plot.members(SEED)]
    assert all(len(one) == 4 for one in films)
    # A question that only some films have may take another's place.
    assert all(len(one & films[0]) >= 3 for one in films)


def test_an_interval_is_as_wide_as_the_sets_differ() -> None:
    alike = [(seed, float(at % 2)) for seed in range(40) for at in range(2)]
    unlike = [(seed, float(seed % 2)) for seed in range(40) for at in range(2)]
    narrow, wide = exam_scores.figure(alike), exam_scores.figure(unlike)
    assert narrow is not None
    assert wide is not None
    assert narrow.mean == wide.mean == 0.5
    assert narrow.high - narrow.low == 0
    # Half of 40 sets: a standard error of 0.5 / sqrt(40).
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * 0.5 / 40**0.5, rel=0.15)
    assert exam_scores.figure([]) is None


def test_a_difference_of_a_group_with_itself_is_nothing() -> None:
    entries = [(seed, float(seed % 3 == 0)) for seed in range(30)]
    same = exam_scores.difference(entries, entries)
    other = exam_scores.difference(entries, [(seed, 0.0) for seed, _ in entries])
    assert same is not None
    assert other is not None
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)
    assert other.mean == pytest.approx(1 / 3)
    assert other.low > 0


def test_a_set_counts_only_if_all_of_it_is_right() -> None:
    assert exam_scores.whole_sets([(1, 1.0), (1, 0.0), (2, 1.0), (2, 1.0), (3, 0.5)]) == [(1, 0.0), (2, 1.0), (3, 0.5)]


def test_a_question_counts_in_the_rows_that_its_tags_name() -> None:
    false = {"type": "belief", "order": "1", "truth": "false"}
    assert exam_scores.rows_of(false) == ["all", "belief", "belief, false", "core", "order 1", "order 1, false"]
    assert exam_scores.rows_of({"type": "why", "order": "1", "truth": "false"}) == ["all", "why"]


def test_shortcuts_are_scored_on_the_very_same_questions(short: Any) -> None:
    from eval.exam_baselines import best_of, scored

    films = [clues.film(SEED, kind) for kind in plot.members(SEED)]
    rows = scored(films, films)
    asked = sum(bool(one.options) for film in films for one in film.items)
    assert rows["chance"]["all"]["right"]["asked"] == rows["always reality"]["all"]["right"]["asked"] == asked
    assert rows["always reality"]["reality"]["right"]["mean"] == 1.0
    best = best_of(rows, "reality")
    assert best is not None
    assert best[1]["mean"] == 1.0
    assert best_of(rows, "no such row") is None


def test_unseen_wordings_are_set_against_trained_ones() -> None:
    def one(right: bool, **tags: str) -> dict[str, Any]:
        tags = {"type": "reality", "order": "0", "family": "place", "kind": "told", **tags}
        return {"id": "x", "tags": tags, "right": right, "options": 2, "error": None}

    records = [
        {"seed": seed, "elapsed_s": 1.0, "asked": [one(True), one(seed % 4 == 0, held_out="yes")]} for seed in range(40)
    ]
    found = exam_report.scores_of("answers", records)["wordings"]["reality"]
    assert (found["trained"]["mean"], found["unseen"]["mean"]) == (1.0, 0.25)
    assert found["difference"]["low"] < found["difference"]["mean"] == -0.75 < found["difference"]["high"] < -0.5


def test_a_failed_question_is_counted_and_wrong(short: Any) -> None:
    examples, duration_s = short

    def sees(example: Example, clip: Span) -> bool:
        raise StepError("the disk is gone")

    found = scores("answers", Examinee(examples, sees=sees), duration_s)
    assert found["failed"]["count"] == found["questions"] > 0
    assert "the disk is gone" in found["failed"]["first"][0]
    assert found["rows"]["all"]["right"]["mean"] == 0.0


@pytest.fixture(scope="module")
def tiny() -> tuple[Qwen2VL, ExaminedModel]:
    source = str(ORACLE / "videomind")
    return Qwen2VL.load(None, source, device="cpu"), ExaminedModel.load(None, source, device="cpu")  # type: ignore[return-value]


def test_reading_a_film_once_changes_no_answer(tiny: tuple[Qwen2VL, ExaminedModel]) -> None:
    plain_model, sharing = tiny

    def said(model: Qwen2VL, fresh: bool) -> Iterator[Any]:
        with open_video(ORACLE / "videos" / "v1.mp4") as file:
            video = model.watch(file)
            budget = replace(answerer.BUDGET, max_frames=8)
            for text in ("When is the square green?", "When is the square blue? Look closely."):
                if fresh:
                    model.forget(video)
                    model.watch(file)
                span = Span(0.0, video.duration_s)
                yield model.choose(Request("answerer", Clip(video, span, budget), plain(text)), ("yes it is", "no"))
                yield model.point(grounder.request(video, None, text, model.prompts)).rows_norm
                yield model.judge([verifier.request(video, span, Span(2.0, 5.0), text, model.prompts)])[0].margin
            model.forget(video)

    for one, other in zip(said(plain_model, True), said(sharing, False), strict=True):
        if isinstance(one, Choosing):
            assert other.log_probs == pytest.approx(one.log_probs, abs=1e-3)
        elif isinstance(one, float):
            assert other == pytest.approx(one, abs=1e-4)
        else:
            assert (one is None) == (other is None)
            for row, shared in zip(one or (), other or (), strict=True):
                assert shared == pytest.approx(row, abs=1e-3)
    assert sharing.reader.reused_tokens > 500
    before = sharing.reader.reused_tokens
    with sharing.reading_afresh():
        list(said(sharing, False))
    assert sharing.reader.reused_tokens == before


def arguments(out: Path, *more: str, sets: int = 1) -> list[str]:
    words = ["--adapters", str(ORACLE / "videomind"), "--split", "val", "--seed", "50002", "--sets", str(sets)]
    return [*words, "--out", str(out), "--workers", "1", "--device", "cpu", "--no-baselines", *more]


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exam")
    assert world_exam.main(arguments(out, "--parts", "planner", "--sample", "1")) == 0
    return out


def test_an_exam_leaves_films_records_and_a_report(examined: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads((examined / "report.json").read_text())
    planner_scores = report["parts"]["planner"]
    assert planner_scores["questions"] == planner_scores["films"] == len(plot.members(SEED))
    assert len(list((examined / "films" / "short" / "films").glob("*.mp4"))) == planner_scores["films"]
    assert "read as a plan" in (examined / "report.md").read_text()
    assert (examined / "report.md").read_text() == exam_tables.markdown(report)


def test_what_is_recorded_is_not_asked_again(
    examined: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (examined / "report.json").read_text()

    def load(self: exam_pool.Candidate, parts: Sequence[str]) -> ExaminedModel:
        raise AssertionError("nothing is left to ask, and yet a model was loaded")

    monkeypatch.setattr(exam_pool.Candidate, "load", load)
    assert world_exam.main(arguments(examined, "--parts", "planner", "--sample", "1")) == 0
    assert (examined / "report.json").read_text() == before


def test_a_torn_record_is_dropped_and_the_rest_is_kept(examined: Path, tmp_path: Path) -> None:
    whole = (examined / "records.jsonl").read_text()
    (tmp_path / "records.jsonl").write_text(whole + '{"part": "pla')
    film = exam_films.films_of("short", "val", 50_002, 1, tmp_path)[0]
    assert exam_pool.Records(tmp_path).get(film, "planner", 1) == json.loads(whole.splitlines()[0])
    assert (tmp_path / "records.jsonl").read_text() == whole
    assert exam_pool.Records(tmp_path).get(film, "planner", 2) is None


def test_another_exam_in_the_same_folder_is_refused(examined: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert world_exam.main(arguments(examined, "--parts", "planner", "--dtype", "bfloat16")) == 2
    assert "holds an exam with another dtype" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", str(tmp_path / "nothing"), *arguments(tmp_path / "out", "--parts", "answers")[2:]]
    assert world_exam.main(words) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "error" in line] == [said[-1]]
    assert str(tmp_path / "nothing") in said[-1]


def test_a_missing_role_or_set_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny: tuple[Qwen2VL, ExaminedModel], monkeypatch: Any
) -> None:
    monkeypatch.setattr(tiny[1], "has", lambda role: role != "verifier")
    with pytest.raises(InputError, match="--parts verifier: the checkpoint has no verifier"):
        exam_parts.check_roles(tiny[1], ["verifier"])
    with pytest.raises(DataError, match="the split val ends after"):
        exam_films.films_of("long", "val", 999_999, 2, tmp_path)
    with pytest.raises(DataError, match="choose one of them"):
        exam_films.first_seed("val", 1_000_000)


def test_lengths_of_films_are_drawn_within_their_sort() -> None:
    drawn: Mapping[str, list[float]] = {
        sort: [cast("float", exam_films.length_s(sort, seed)) for seed in range(50)] for sort in ("long", "swap")
    }
    assert 180 <= min(drawn["long"]) < 200 < 280 < max(drawn["long"]) <= 300
    assert 60 <= min(drawn["swap"]) < 90 < 270 < max(drawn["swap"]) <= 300
    assert exam_films.length_s("short", 5) is None
