"""The reports of a training run: log records, curve, summary, model card."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from adapters.train import report
from adapters.train.config import TrainConfig
from adapters.train.curve import draw_curve, needs_log_scale, smooth
from adapters.train.records import best_of, loss_parts, losses_by_name, metrics_by_name
from adapters.train.report import DataCount, Run, model_card, summary_of, versions, write_summary
from adapters.train.text import markdown, plain, shown
from roles.errors import CheckpointError

HOSTILE = "x](http://evil) <b>|`$a$`**b**\n# head\x1b[31m\u202e www.evil.org a@b.co"


def step(number: int, **more: Any) -> dict[str, Any]:
    record = {"loss": 4.0 / number, "lm": 3.0 / number, "coord": 1.0 / number, "step": number, "learning_rate": 1e-4}
    return {**record, "grad_norm": 1.0, "epoch": 0.1, "round": 0.1, **more}


def validation(number: int, **metrics: float) -> dict[str, Any]:
    return {f"eval_{name}": value for name, value in metrics.items()} | {"step": number, "epoch": 0.1}


def records(steps: int = 10) -> list[dict[str, Any]]:
    end = {"train_runtime": 3.0, "train_loss": 1.0, "total_flos": 0.0, "step": steps}
    return [*(step(number) for number in range(1, steps + 1)), validation(steps, mIoU=0.4, runtime=2.0), end]


def run(**more: Any) -> Run:
    config = TrainConfig(model="Qwen/Qwen2-VL-2B-Instruct", data=Path("/home/me/train.jsonl"), out=Path("out"), batch=8)
    train = DataCount(
        file=config.data, used=90, videos=30, skipped={"no spans": 7, "broken video": 3}, broken=("v: bad",)
    )
    values: dict[str, Any] = {
        "role": "grounder",
        "config": config,
        "records": records(),
        "steps": 10,
        "elapsed_s": 4.0,
        "train": train,
        "hardware": {"device": "NVIDIA H100", "processes": 2},
    }
    return Run(**values | more)


# Records


def test_parts_of_a_loss_are_told_from_what_else_is_logged() -> None:
    logged = step(1, tokens_per_s=9.0, peak_memory_gib=3.0, broken_videos=2, samples_per_second=1.0, grad_norm=None)
    assert loss_parts(logged) == {"lm": 3.0, "coord": 1.0}
    assert loss_parts(validation(1, mIoU=0.5)) == {}


def test_losses_and_metrics_are_found_by_name_and_step() -> None:
    logged = [step(2), step(1), validation(2, mIoU=0.3, samples_per_second=4.0), {"train_loss": 1.0, "step": 2}]
    losses = losses_by_name(logged)
    assert list(losses) == ["loss", "lm", "coord"]
    assert losses["loss"] == {1: 4.0, 2: 2.0}
    assert list(losses["loss"]) == [1, 2]
    assert metrics_by_name(logged) == {"mIoU": {2: 0.3}}


def test_of_a_step_that_was_done_again_after_a_resume_the_later_record_counts() -> None:
    assert losses_by_name([step(1), step(2), step(2, loss=9.0)])["loss"] == {1: 4.0, 2: 9.0}


@pytest.mark.parametrize("odd", [{}, {"loss": 1.0}, {"step": 1}, {"loss": "x", "step": 1}, {"loss": None, "step": 2}])
def test_records_without_step_or_number_are_passed_over(odd: dict[str, Any]) -> None:
    assert losses_by_name([odd]) == {}


def test_the_best_of_a_metric_is_the_first_highest_of_a_loss_the_lowest() -> None:
    values = {1: 0.5, 2: 0.9, 3: math.nan, 4: 0.9}
    assert best_of("mIoU", values) == (2, 0.9)
    assert best_of("loss", values) == (1, 0.5)
    assert best_of("mIoU", {1: math.nan}) is None


# Curve


def picture(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.parametrize(
    "logged",
    [
        [],
        [step(1)],
        records(10),
        records(300),
        [step(n, loss=math.nan, lm=math.inf) for n in range(1, 60)],
        [step(n, coord=0.0) for n in range(1, 60)],
        [*records(60), validation(60, loss=1.0, lm=0.5, mIoU=math.nan)],
        [validation(5, gain=-0.2)],
    ],
    ids=["none", "one", "short", "long", "no-numbers", "zeros", "validation-loss", "validation-only"],
)
def test_any_run_gives_a_picture_of_1200_pixels(logged: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "new" / "curve.png"
    assert draw_curve(logged, path, "grounder $on$ 心 \n" + "x" * 300) is None
    assert picture(path).width == 1200
    assert [found.name for found in path.parent.iterdir()] == ["curve.png"]


def test_validation_gets_a_panel_of_its_own(tmp_path: Path) -> None:
    draw_curve([step(1), step(2)], tmp_path / "one.png", "a")
    draw_curve([step(1), step(2), validation(2, mIoU=0.5)], tmp_path / "two.png", "a")
    assert picture(tmp_path / "two.png").height > 1.7 * picture(tmp_path / "one.png").height


def test_the_drawn_line_follows_the_records(tmp_path: Path) -> None:
    for name, logged in (("a", records(30)), ("b", [step(n, loss=1.0) for n in range(1, 31)])):
        draw_curve(logged, tmp_path / f"{name}.png", "same")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_a_picture_that_cannot_be_had_is_a_note_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    note = draw_curve(records(), tmp_path / "file" / "curve.png", "a")
    assert note is not None
    assert "cannot be written" in note
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    missing = draw_curve(records(), tmp_path / "curve.png", "a")
    assert missing is not None
    assert "pip install 'mindreel[train]'" in missing
    assert not (tmp_path / "curve.png").exists()


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=300))
@settings(deadline=None)
def test_smoothing_stays_within_the_values_and_keeps_their_number(values: list[float]) -> None:
    line = smooth(values)
    finite = [value for value in values if math.isfinite(value)]
    assert len(line) == len(values)
    slack = 1e-6 * max(map(abs, finite), default=0.0)
    assert all(math.isnan(value) or min(finite) - slack <= value <= max(finite) + slack for value in line)
    assert all(math.isfinite(out) for value, out in zip(values, line, strict=True) if math.isfinite(value))


def test_smoothing_leaves_a_straight_line_where_it_is() -> None:
    values = [0.5 * number for number in range(400)]
    assert smooth(values)[10:-10] == pytest.approx(values[10:-10])


def test_the_scale_is_logarithmic_only_where_values_lie_far_apart() -> None:
    assert needs_log_scale([3.0, 0.1])
    assert not needs_log_scale([3.0, 1.0])
    assert not needs_log_scale([])
    assert not needs_log_scale([math.nan, 0.0, 0.0])
    assert not needs_log_scale([-1.0, -2.0, 3.0, 0.01])


# Summary


def test_a_summary_holds_what_was_done_and_reads_back(tmp_path: Path) -> None:
    logged = [*records(), step(11, loss=math.nan), validation(11, mIoU=0.3)]
    returned = write_summary(
        tmp_path / "deep" / "summary.json", run(records=logged, steps=11, first_step=6, tokens=100)
    )
    read = json.loads((tmp_path / "deep" / "summary.json").read_text(encoding="utf-8"))
    assert read == returned
    assert (read["version"], read["role"], read["steps"], read["resumed_from_step"], read["kept_step"]) == (
        1,
        "grounder",
        11,
        6,
        11,
    )
    assert (read["samples"], read["samples_per_s"], read["tokens_per_s"]) == (88, 10.0, 25.0)
    assert read["losses"] == {"loss": None, "lm": 3 / 11, "coord": 1 / 11}
    assert read["metrics"] == {"mIoU": {"last": 0.3, "best": 0.4, "best_step": 10}}
    train = read["data"]["train"]
    assert (train["examples"], train["used"], train["videos"], train["broken_videos"]) == (100, 90, 30, 1)
    assert train["skipped"] == {"no spans": 7, "broken video": 3}
    assert read["data"]["val"] is None
    assert read["config"]["max_duration_s"] == "inf"
    assert read["config"]["data"] == "/home/me/train.jsonl"
    assert set(read["config"]) == set(TrainConfig.__dataclass_fields__)


def test_a_run_without_steps_or_time_has_no_speed() -> None:
    summary = summary_of(run(records=[], steps=0, elapsed_s=0.0))
    assert (summary["samples_per_s"], summary["losses"], summary["metrics"]) == (None, {}, {})


def test_a_summary_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    write_summary(path, run())
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report.os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_summary(path, run(steps=99))
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["summary.json"]


def test_a_summary_takes_file_names_that_are_no_text(tmp_path: Path) -> None:
    train = DataCount(file=Path("bad\udcff.jsonl"), used=1, videos=1, skipped={})
    write_summary(tmp_path / "summary.json", run(train=train))
    assert "bad" in json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["data"]["train"]["file"]


def test_versions_name_what_decides_the_weights() -> None:
    assert {"python", "torch", "transformers", "peft"} <= set(versions())


# Card


def card(**more: Any) -> str:
    return model_card(summary_of(run(**more)), adapters="/srv/me/adapters", curve="curve.png")


def test_the_front_matter_names_base_library_and_tags() -> None:
    import yaml

    head = yaml.safe_load(card().split("---\n")[1])
    assert head["base_model"] == "Qwen/Qwen2-VL-2B-Instruct"
    assert head["library_name"] == "peft"
    assert {"mindreel", "lora", "grounder"} <= set(head["tags"])


def test_a_card_tells_data_results_settings_and_use() -> None:
    val = DataCount(file=Path("val.jsonl"), used=5, videos=5, skipped={})
    text = card(val=val, notes=["a note"], kept_step=8)
    for said in (
        "90 of 100 examples on 30 videos; videos that could not be read: 1; left out 7 for: no spans, 3 for: ",
        "- validation: val.jsonl, 5 of 5 examples",
        "10 steps, 80 samples, 20 samples/s on 2 x NVIDIA H100. The weights are those of step 8",
        "| mIoU | 0.4 | 0.4 | 10 |",
        "| loss | 0.4 |",
        "| learning\\_rate | 0.0001 |",
        "| lora\\_targets | q\\_proj k\\_proj v\\_proj o\\_proj |",
        "![Losses and validation over the steps](curve.png)",
        "--model Qwen/Qwen2-VL-2B-Instruct --adapters adapters",
        'PeftModel.from_pretrained(base, "adapters/grounder")',
        "- a note",
    ):
        assert said in text, said


def test_a_card_tells_no_folders_of_the_machine_that_made_it() -> None:
    text = card(config=TrainConfig(model="/srv/me/base", data=Path("/srv/me/d.jsonl"), out=Path("/srv/me/out")))
    assert "/srv" not in text
    assert "/home" not in text


def test_the_python_of_a_card_compiles() -> None:
    code = card().split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")


def test_a_card_of_the_other_layout_says_how_to_convert_it() -> None:
    config = TrainConfig(model="b", data=Path("d"), out=Path("o"), layout="videomind")
    assert "adapters.convert" in card(config=config)
    assert "PeftModel" not in card(config=config)


def test_nothing_that_a_user_wrote_becomes_markup_in_a_card() -> None:
    config = TrainConfig(model=HOSTILE, data=Path(HOSTILE), out=Path("o"), init=HOSTILE)
    train = DataCount(file=Path(HOSTILE), used=1, videos=1, skipped={HOSTILE: 1}, broken=(HOSTILE,))
    logged = [step(1, **{HOSTILE: 1.0}), validation(1, **{HOSTILE: 1.0})]
    hardware = {"device": HOSTILE}
    text = card(config=config, train=train, records=logged, hardware=hardware, notes=[HOSTILE])
    plain_one = card(config=TrainConfig(model="m", data=Path("d"), out=Path("o"), init="i"), notes=["n"])
    body = text.split("---\n", 2)[2]
    found, expected = kinds(body), kinds(plain_one.split("---\n", 2)[2])
    assert found.keys() == expected.keys()
    assert found["heading_open"] == expected["heading_open"]
    assert found["image"] == expected["image"]
    assert found["fence"] == expected["fence"]
    assert "\x1b" not in text
    assert "\u202e" not in text


def kinds(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for token in parser().parse(text):
        for part in [token, *(token.children or [])]:
            counts[part.type] = counts.get(part.type, 0) + 1
    return counts


def parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table").enable("strikethrough")


@given(st.text(max_size=40) | st.text(alphabet="\\`*_{}[]()<>#|~$!&:@.+-='\" ax1\n", max_size=20))
@settings(deadline=None, max_examples=300)
def test_escaped_text_shows_as_it_was_written(text: str) -> None:
    wanted = " ".join(plain(text).split())
    (paragraph,) = [token for token in parser().parse(f"a {markdown(text)} b") if token.type == "inline"]
    shown_text = "".join(child.content for child in paragraph.children or [])
    assert {child.type for child in paragraph.children or []} <= {"text", "text_special"}
    assert shown_text.split() == ["a", *wanted.split(), "b"]


@given(st.text(max_size=40) | st.text(alphabet="-+=.1) #>\\`*\t a", max_size=8))
def test_escaped_text_begins_nothing_at_the_start_of_a_line(text: str) -> None:
    for before, blocks in (("", ["paragraph_open"]), ("- ", ["bullet_list_open", "list_item_open", "paragraph_open"])):
        tokens = parser().parse(f"{before}{markdown(text) or 'empty'}")
        assert [token.type for token in tokens if token.nesting == 1] == blocks
        assert not any(token.type in ("hr", "code_block", "fence") for token in tokens)


@given(st.text(max_size=30))
def test_a_table_cell_stays_one_cell(text: str) -> None:
    rows = [token.type for token in parser().parse(f"| a | b |\n| --- | --- |\n| {markdown(text)} | x |")]
    assert rows.count("td_open") == 2


def test_values_in_messages_are_short_and_of_one_line() -> None:
    assert shown("cosine") == "cosine"
    assert shown("a b") == "'a b'"
    assert "\n" not in shown("a\nb\x1b")
    assert len(shown("x" * 10_000)) < 100
    assert plain("a\x1b[31m\u202eb\nc") == "a [31m b c"
