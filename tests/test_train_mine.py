"""Mining: a grounder's candidates become the verifier's examples, whole, in order, also after interruptions."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapters.train import mine as mining
from adapters.train.mine import grounder_id, judged, mine
from adapters.train.verifier import VerifierRecipe, verdict_of
from prompts import PromptBook, own_prompts
from roles import verifier
from roles.errors import DataError
from roles.examples import read_examples, video_path
from roles.manner import Manner
from roles.spans import iou
from roles.types import Example, Moment, Pointing, Reply, Request, Span, Usage, Video
from tests.videos import make_video

ORACLE = Path(__file__).parent / "data" / "oracle"
FILMS = ORACLE / "videos"
NAMES = ("v1.mp4", "v2.mp4", "v3.mp4", "v4.mp4")
TRUE = Span(2.0, 6.0)


@dataclass
class Grounder:
    """Stands in for a model that holds a grounder; its candidates depend on the query alone."""

    prompts: PromptBook = field(default_factory=own_prompts)
    manner: Manner = field(default_factory=Manner)
    rows: tuple[tuple[float, float, float], ...] | None = None
    asked: list[str] = field(default_factory=list)
    stop_after: int | None = None
    watched: list[str] = field(default_factory=list)

    def watch(self, file: Any) -> Video:
        self.watched.append(file.video.path)
        video: Video = file.video
        return video

    def forget(self, video: Video) -> None:
        self.watched.remove(video.path)

    def point(self, request: Request) -> Pointing:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        assert request.clip.video.path in self.watched
        self.asked.append(request.prompt.text)
        rows = self.rows
        if rows is None:
            length_s = request.clip.video.duration_s
            shift_s = len(request.prompt.text) % 3
            ends = [
                (2.0 + shift_s, 6.0 + shift_s),
                (0.0, 1.0),
                (1.0, 9.0),
                (5.0, 5.0),
                (2.0, 6.0),
                (3.0, 7.0),
                (2.0, 5.0),
            ]
            rows = tuple((s / length_s, e / length_s, 0.9 - at / 10) for at, (s, e) in enumerate(ends))
        return Pointing(Reply("<|reg|>", True, Usage()), rows)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Grounder:
    from adapters.qwen2vl import Qwen2VL

    stand_in = Grounder()
    monkeypatch.setattr(Qwen2VL, "load", lambda *_args, **_kwargs: stand_in)
    return stand_in


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    folder = tmp_path / "adapters"
    (folder / "grounder").mkdir(parents=True)
    (folder / "grounder" / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def examples(folder: Path) -> Path:
    """Two questions on each film."""
    rows = [
        {"video": str(FILMS / name), "question": f"{word} {name}\u2028?", "spans": [[TRUE.start_s, TRUE.end_s]]}
        for word in ("What is in", "Where is it then in")
        for name in NAMES
    ]
    return write(folder / "train.jsonl", *rows)


def run(data: Path, out: Path, adapters: Path, **more: Any) -> Any:
    return mine("base", str(adapters), data, out, device="cpu", **more)


# --- what becomes of candidates -----------------------------------------------------------------------------------


def test_candidates_are_right_from_half_an_overlap_on() -> None:
    example = Example("v.mp4", "q", answer="other", spans=(Span(0, 1), Span(10, 20)), tags={"query": "x", "id": "7"})
    spans = {
        Span(10, 20): ("Yes", "1.0000"),
        Span(10, 15): ("Yes", "0.5000"),
        Span(10, 14.9999): ("No", "0.4999"),
        Span(10, 14.99999): ("No", "0.4999"),  # would be 0.5000 if it were rounded up
        Span(0, 0.8): ("Yes", "0.8000"),
        Span(30, 40): ("No", "0.0000"),
    }
    made = list(judged(example, "train.jsonl:3", [Moment(span, 0.25) for span in spans]))
    assert [(one.answer, one.tags["candidate_iou"]) for one in made] == list(spans.values())
    for one, span in zip(made, spans, strict=True):
        assert (one.video, one.question, one.options, one.spans) == ("v.mp4", "q", (), (span,))
        assert one.tags.keys() == {"group", "candidate_iou", "candidate_confidence"}
        assert (one.tags["group"], one.tags["candidate_confidence"]) == ("train.jsonl:3", "0.250000")


def test_candidates_without_length_are_left_out() -> None:
    moments = [Moment(Span(3, 3), 0.9), Moment(Span(2, 6), 0.8)]
    [made] = judged(Example("v", "q", spans=(TRUE,)), "g", moments)
    assert made.spans == (Span(2, 6),)


def test_a_mined_file_holds_the_best_five_of_every_question_judged(
    tmp_path: Path, model: Grounder, adapters: Path
) -> None:
    data, out = examples(tmp_path), tmp_path / "mined" / "train.jsonl"
    mined = run(data, out, adapters)
    made = read_examples(out)
    assert mined.examples == 8
    assert (mined.skipped, mined.unpointed) == ({}, 0)
    assert mined.positive + mined.negative == len(made) == 8 * 4  # the fourth of five has no length
    assert mined.positive == sum(one.answer == "Yes" for one in made) > 0
    assert mined.negative > 0
    groups: dict[str, list[Example]] = {}
    for one in made:
        groups.setdefault(one.tags["group"], []).append(one)
    assert sorted(groups) == [f"train.jsonl:{line}" for line in range(1, 9)]
    for line, group in groups.items():
        source = read_examples(data)[int(line.rpartition(":")[2]) - 1]
        assert {(one.video, one.question) for one in group} == {(source.video, source.question)}
        confidences = [float(one.tags["candidate_confidence"]) for one in group]
        assert confidences == [0.9, 0.8, 0.7, 0.5]
        for one in group:
            assert float(one.tags["candidate_iou"]) == pytest.approx(iou(one.spans[0], TRUE), abs=1e-4)
            assert (one.answer == "Yes") == (float(one.tags["candidate_iou"]) >= 0.5)
    assert not model.watched
    assert not list(out.parent.glob(".*"))  # what was kept on the way is gone


def test_what_is_mined_is_what_the_verifier_learns_from(tmp_path: Path, model: Grounder, adapters: Path) -> None:
    from adapters.train.config import TrainConfig
    from adapters.train.data import load_data

    out = tmp_path / "out" / "mined.jsonl"
    mined = run(examples(tmp_path), out, adapters)
    config = TrainConfig(model="base", data=out, out=tmp_path / "out", workers=0)
    data = load_data(out, config, VerifierRecipe(200), own_prompts(), main=False)
    assert len(data.items) == mined.positive + mined.negative
    assert data.skipped == {}
    assert sum(map(verdict_of, data.items)) == mined.positive


def test_the_query_is_looked_for_and_the_question_kept(tmp_path: Path, model: Grounder, adapters: Path) -> None:
    row = {"video": str(FILMS / "v4.mp4"), "question": "Why?", "spans": [[2, 6]], "tags": {"query": "the  circle."}}
    out = tmp_path / "mined.jsonl"
    run(write(tmp_path / "train.jsonl", row), out, adapters)
    [text] = model.asked
    assert text.endswith("the circle")
    assert {one.question for one in read_examples(out)} == {"Why?"}


def test_examples_without_spans_are_counted(tmp_path: Path, model: Grounder, adapters: Path) -> None:
    film = str(FILMS / "v4.mp4")
    rows = [{"video": film, "question": "a"}, {"video": film, "question": "b", "spans": [[1, 3]]}]
    mined = run(write(tmp_path / "train.jsonl", *rows), tmp_path / "mined.jsonl", adapters)
    assert mined.skipped == {"no spans": 1}
    assert mined.examples == 2
    with pytest.raises(DataError, match="no example has spans"):
        run(write(tmp_path / "train.jsonl", rows[0]), tmp_path / "mined.jsonl", adapters)


def test_a_grounder_that_points_at_nothing_gives_windows_as_it_gives_the_agent(
    tmp_path: Path, model: Grounder, adapters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Grounder, "point", lambda *_: Pointing(Reply("What?", True, Usage()), None))
    row = {"video": str(FILMS / "v4.mp4"), "question": "q", "spans": [[2, 6]]}
    mined = run(write(tmp_path / "train.jsonl", row), tmp_path / "mined.jsonl", adapters)
    assert mined.unpointed == 1
    made = read_examples(tmp_path / "mined.jsonl")
    assert len(made) == verifier.MAX_CANDIDATES
    assert {one.tags["candidate_confidence"] for one in made} == {"0.000000"}


def test_no_candidate_of_any_length_is_an_error(tmp_path: Path, model: Grounder, adapters: Path) -> None:
    model.rows = ((0.5, 0.5, 0.9),)
    with pytest.raises(DataError, match=r"gave no candidates, as the grounder gave no span of any length"):
        run(examples(tmp_path), tmp_path / "mined.jsonl", adapters)


def test_a_grounder_that_diverged_stops_the_mining(tmp_path: Path, model: Grounder, adapters: Path) -> None:
    model.rows = ((float("nan"), 0.5, 0.9),)
    with pytest.raises(DataError, match="1 videos cannot be used"):
        run(examples(tmp_path), tmp_path / "mined.jsonl", adapters)


# --- where videos lie ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["mined.jsonl", "deep/er/mined.jsonl", "../elsewhere/mined.jsonl", "data/mined.jsonl"])
def test_videos_are_found_from_where_the_mined_file_lies(
    tmp_path: Path, model: Grounder, adapters: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "data" / "films").mkdir(parents=True)
    make_video(here / "data" / "films" / "a.mp4", 12)
    write(here / "data" / "train.jsonl", {"video": "films/a.mp4", "question": "q", "spans": [[2, 6]]})
    monkeypatch.chdir(here)
    run(Path("data/train.jsonl"), Path(out), adapters)
    made = read_examples(Path(out))
    assert made
    for one in made:
        assert not Path(one.video).is_absolute()
        assert video_path(one, Path(out)).resolve() == here / "data" / "films" / "a.mp4"


def test_videos_are_found_through_links_to_folders(tmp_path: Path, model: Grounder, adapters: Path) -> None:
    real = tmp_path / "disk" / "runs" / "one"
    real.mkdir(parents=True)
    (tmp_path / "out").symlink_to(real)
    film = make_video(tmp_path / "a.mp4", 12)
    (tmp_path / "link.mp4").symlink_to(film)
    data = write(tmp_path / "train.jsonl", {"video": "link.mp4", "question": "q", "spans": [[2, 6]]})
    run(data, tmp_path / "out" / "mined.jsonl", adapters)
    for one in read_examples(tmp_path / "out" / "mined.jsonl"):
        path = video_path(one, tmp_path / "out" / "mined.jsonl")
        assert path.samefile(film)
        assert path.name == "link.mp4"


# --- interruptions ------------------------------------------------------------------------------------------------


def parts_of(out: Path) -> list[Path]:
    return sorted(out.with_name(f".{out.name}.parts").glob("*"))


@pytest.mark.parametrize("stop_after", [0, 1, 2, 3, 7])
def test_an_interrupted_run_goes_on_and_gives_the_same_file(
    tmp_path: Path, model: Grounder, adapters: Path, stop_after: int
) -> None:
    data, out = examples(tmp_path), tmp_path / "out" / "mined.jsonl"
    run(data, tmp_path / "whole.jsonl", adapters)
    whole = (tmp_path / "whole.jsonl").read_bytes()
    model.asked.clear()
    model.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        run(data, out, adapters)
    assert not out.exists()
    model.stop_after = None
    run(data, out, adapters)
    assert out.read_bytes() == whole
    # A video that was begun is done again, the others are not; two questions each.
    assert len(model.asked) == 8 + stop_after % 2
    assert not parts_of(out)


@pytest.mark.parametrize("cut", [1, 30, 400])
def test_a_line_that_was_cut_off_by_a_kill_is_done_again(
    tmp_path: Path, model: Grounder, adapters: Path, cut: int
) -> None:
    data, out = examples(tmp_path), tmp_path / "mined.jsonl"
    run(data, tmp_path / "whole.jsonl", adapters)
    model.stop_after = len(model.asked) + 4
    with pytest.raises(KeyboardInterrupt):
        run(data, out, adapters)
    [part] = parts_of(out)
    part.write_bytes(part.read_bytes()[:-cut])
    model.stop_after = None
    before = len(model.asked)
    run(data, out, adapters)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len(model.asked) - before == (4 if cut == 1 else 6)


@pytest.mark.parametrize("change", ["weights", "head", "data", "model"])
def test_what_another_grounder_or_other_data_gave_is_not_taken_over(
    tmp_path: Path, model: Grounder, adapters: Path, change: str
) -> None:
    data, out = examples(tmp_path), tmp_path / "mined.jsonl"
    model.stop_after = 6
    with pytest.raises(KeyboardInterrupt):
        run(data, out, adapters)
    model.stop_after = None
    model.asked.clear()
    base = "base"
    if change == "weights":
        (adapters / "grounder" / "adapter_model.safetensors").write_bytes(b"others!")
    elif change == "head":
        (adapters / "pytorch_model.safetensors").write_bytes(b"head")
    elif change == "data":
        data.write_text(data.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    else:
        base = "another"
    mine(base, str(adapters), data, out, device="cpu")
    assert len(model.asked) == 8
    assert not parts_of(out)


def test_a_grounder_is_told_by_its_content(adapters: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(adapters, tmp_path / "copy")
    assert grounder_id(copy) == grounder_id(adapters)
    (copy / "verifier").mkdir()
    (copy / "verifier" / "adapter_model.safetensors").write_bytes(b"x")
    assert grounder_id(copy) == grounder_id(adapters)
    (copy / "prompts.json").write_text("{}", encoding="utf-8")
    assert grounder_id(copy) != grounder_id(adapters)


# --- broken videos ------------------------------------------------------------------------------------------------


def test_broken_videos_are_named_counted_and_left_out(
    tmp_path: Path, model: Grounder, adapters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = examples(tmp_path)
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").split("\n") if line]
    write(data, *rows, {**rows[0], "video": "gone.mp4"}, {**rows[1], "video": "gone.mp4"})
    mined = run(data, tmp_path / "mined.jsonl", adapters, max_broken=0.2)
    assert mined.skipped == {"broken video": 2}
    assert mined.positive + mined.negative == 32
    assert capsys.readouterr().err.count("gone.mp4: no such file") == 1


def test_too_many_broken_videos_stop_it_and_mended_ones_are_taken_then(
    tmp_path: Path, model: Grounder, adapters: Path
) -> None:
    film = tmp_path / "a.mp4"
    film.write_bytes(b"no film")
    rows = [{"video": name, "question": "q", "spans": [[2, 6]]} for name in ("a.mp4", str(FILMS / "v4.mp4"))]
    data, out = write(tmp_path / "train.jsonl", *rows), tmp_path / "mined.jsonl"
    with pytest.raises(DataError, match=r"train\.jsonl: 1 videos cannot be used \(see above\), more than --max-broken"):
        run(data, out, adapters, max_broken=0.4)
    assert not out.exists()
    make_video(film, 12)
    mined = run(data, out, adapters, max_broken=0.4)
    assert mined.skipped == {}
    assert len({one.video for one in read_examples(out)}) == 2


def test_a_run_that_left_broken_videos_counts_them_again_when_it_goes_on(
    tmp_path: Path, model: Grounder, adapters: Path
) -> None:
    rows = [{"video": name, "question": "q", "spans": [[2, 6]]} for name in ("a.mp4", *(str(FILMS / n) for n in NAMES))]
    data, out = write(tmp_path / "train.jsonl", *rows), tmp_path / "mined.jsonl"
    model.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        run(data, out, adapters, max_broken=0.2)
    model.stop_after = None
    assert run(data, out, adapters, max_broken=0.2).skipped == {"broken video": 1}


# --- several processes --------------------------------------------------------------------------------------------


def test_two_processes_deal_out_the_videos_and_write_one_file(
    tmp_path: Path, model: Grounder, adapters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import accelerate

    data, out = examples(tmp_path), tmp_path / "mined.jsonl"
    run(data, tmp_path / "whole.jsonl", adapters)
    model.asked.clear()
    barrier = threading.Barrier(2, timeout=20)
    here = threading.local()

    class State:
        num_processes, device = 2, "cpu"

        def __init__(self, **_options: Any) -> None:
            self.process_index = here.index
            self.is_main_process = here.index == 0

        def wait_for_everyone(self) -> None:
            barrier.wait()

    monkeypatch.setattr(accelerate, "PartialState", State)
    results: dict[int, Any] = {}

    def work(index: int) -> None:
        here.index = index
        try:
            results[index] = run(data, out, adapters)
        except BaseException as error:
            barrier.abort()
            results[index] = error
            raise

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert results[0] == results[1]
    assert len(model.asked) == 8
    assert not parts_of(out)


def test_the_real_grounder_is_mined_through_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"video": str(FILMS / "v4.mp4"), "question": "the circle moves", "spans": [[2, 6]]}
    data, out = write(tmp_path / "train.jsonl", row), tmp_path / "mined.jsonl"
    argv = ["--model", str(ORACLE / "base"), "--adapters", str(ORACLE / "videomind"), "--device", "cpu"]
    assert mining.main([*argv, "--data", str(data), "--out", str(out)]) == 0
    made = read_examples(out)
    assert 1 <= len(made) <= verifier.MAX_CANDIDATES
    right = sum(one.answer == "Yes" for one in made)
    assert capsys.readouterr().out == f"{out}: {right} right and {len(made) - right} wrong candidates\n"
    again = tmp_path / "again.jsonl"
    assert mining.main([*argv, "--data", str(data), "--out", str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()
