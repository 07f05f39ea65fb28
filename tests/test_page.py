from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.show import clean
from eval.item import Item
from eval.page.items import NAMED, WORST, worst
from eval.page.page import page, write_markdown, write_page
from eval.page.plots import histogram, interval_bar, recall_curve, reliability, timeline, whisker_bars
from eval.page.run import judge, read_run
from eval.page.sections import sections
from eval.page.style import CSS
from roles.errors import DataError
from roles.types import Span
from tests.finished_run import OPTIONS, full_run, items, record, records, with_traces, write_run

MAX_BYTES = 2_000_000
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> javascript:alert(3) "
    "\u202egnp.exe\u2066 \x00 &amp; a|b `c`"
)


class Parsed(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts.append(data)
        elif not self._open or self._open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())

    def attributes(self, name: str) -> list[str]:
        return [values[name] or "" for _, values in self.tags if name in values]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def shown(finished: Path) -> Parsed:
    return Parsed(write_page(finished).read_text(encoding="utf-8"))


def changed(folder: Path, to: Path, name: str, value: Any) -> Path:
    """A copy of a run with one file rewritten; None takes it away."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    if value is None:
        (to / name).unlink()
    else:
        (to / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return to


def other_choice(asked: list[Item], key: str) -> int:
    """A wrong one."""
    item = next(one for one in asked if one.key == key)
    assert item.answer_at is not None
    return (item.answer_at + 1) % len(item.options)


def metrics_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))


def test_the_headline_stands_first_with_its_intervals(finished: Path, shown: Parsed) -> None:
    metrics = metrics_of(finished)
    for name in metrics["headline"]:
        one = metrics["figures"][name]
        told = f"{name}{100 * one['mean']:.1f}{100 * one['low']:.1f} to {100 * one['high']:.1f}, {one['asked']}"
        assert told in "".join(shown.text)


def test_who_was_asked_and_the_dirt_of_the_data_are_told(shown: Parsed) -> None:
    for text in ("checkpoints/mindreel", "0123abcd", "versions.torch", "settings.budgets.answerer"):
        assert text in shown.words
    for text in ("its text is empty", "val.csv line 9", "two options have the same text", "00ff00ff00ff00ff"):
        assert text in shown.words


def test_the_result_stands_ahead_of_what_is_looked_up(finished: Path, shown: Parsed) -> None:
    headings = [one.title for one in sections(read_run(finished))]
    assert headings[:2] == ["Figures", "Theory of mind"]
    assert headings[-3:] == ["What was asked of whom", "The data, and what is odd about it", "Every figure"]
    assert shown.words.index(" questions on ") < shown.words.index("Acc: right answers; mIoU: overlap of the first")
    text = (finished / "report.html").read_text(encoding="utf-8")
    assert text.index('class="tile"') < text.index("Acc: right answers; ")


def test_the_first_screen_says_what_the_best_shortcut_earns(finished: Path, tmp_path: Path) -> None:
    metrics = metrics_of(finished)

    def of(mean: float) -> dict[str, Any]:
        return {"all": {"mean": mean, "low": 0, "high": 1, "asked": 9, "sets": 3}}

    who = {"the model": of(0.9), "chance": of(0.25), "last option": of(0.3), "longest": of(0.4), "x (partial)": of(0.8)}
    folder = changed(finished, tmp_path, "metrics.json", metrics | {"minds": {"shortcuts": who}})
    told = "Right without understanding: 40.0 % by the best shortcut (longest), 25.0 % by chance; the model: 90.0 %."
    assert told in sections(read_run(folder))[0].lines
    assert told in Parsed(write_page(folder).read_text(encoding="utf-8")).words


def test_one_set_has_no_interval(tmp_path: Path) -> None:
    asked = items(4)  # all on one video
    folder = write_run(tmp_path, asked, records(asked))
    metrics = metrics_of(folder)
    assert {one["sets"] for one in metrics["figures"].values()} == {1}
    text = write_page(folder).read_text(encoding="utf-8")
    assert 'class="reach"' not in text
    assert 'class="whisker"' not in text
    acc = f"{100 * metrics['figures']['Acc']['mean']:.1f}"
    assert f"<b>{acc}</b><span>one set: no interval, 4 questions</span>" in text
    for shown in (text, write_markdown(folder).read_text(encoding="utf-8")):
        assert f"{acc} [one set]" in shown
        assert f"{acc} [{acc}" not in shown
    assert "one set cannot tell" in text


def test_long_names_in_a_first_column_have_room(shown: Parsed) -> None:
    assert "td:first-child{min-width:min(15rem,40vw)}" in CSS


def test_every_tag_has_its_table(finished: Path, shown: Parsed) -> None:
    for tag, rows in metrics_of(finished)["by"].items():
        assert f"by {tag}" in shown.words
        for value, figures in rows.items():
            one = figures["mIoU"]
            row = f"{value}{one['asked']}"
            assert row in "".join(shown.text)
            assert f"{100 * one['mean']:.1f} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]" in shown.words


def test_minds_are_shown_beside_the_shortcuts(finished: Path, shown: Parsed) -> None:
    minds = metrics_of(finished)["minds"]
    assert {"the model", "chance", "longest option"} <= minds["shortcuts"].keys()
    for text in (*minds["shortcuts"], *minds["orders"], *minds["sets"], "true", "complement", "below true"):
        assert text in shown.words
    right = minds["swap"]["complement"]["right"]
    assert f"{100 * right['mean']:.1f} [{100 * right['low']:.1f}" in shown.words
    fall = minds["swap"]["complement"]["below true"]["mean"]
    assert f"{100 * fall:+.1f} [" in shown.words


def test_what_failed_is_named(shown: Parsed) -> None:
    failed = shown.words.partition("Missing videos")[2]
    for text in (
        "videos/film 1.mp4 (questions: 1)",
        "q6: frame 31 cannot be decoded",
        "q7: She may look anywhere.",
        "Fell back: grounder: 1q6",
        "Fell back: verifier: 1q8",
        "Never asked: 1q9",
    ):
        assert text in failed, text


def test_a_wrong_question_is_shown_with_options_steps_and_a_link(finished: Path, shown: Parsed) -> None:
    wrong, _ = worst(read_run(finished).judged)
    first = wrong[0]
    text = page(read_run(finished))
    part = next(one for one in text.split('<details class="item">') if f">{first.item.key}</bdi>" in one)
    assert first.choice is not None
    assert first.item.answer_at is not None
    options = re.findall(r"<li>(.*?)</li>", part)
    assert 'class="right">right<' in options[first.item.answer_at]
    assert 'class="wrong">chosen<' in options[first.choice]
    assert sum("chosen" in option for option in options) == 1
    for words in ("planner", "grounder", "verifier", "answerer", "The relevant moment happens in", "Yes 0.900"):
        assert words in part
    link = f"./{first.record['trace'][0]}"
    assert f'href="{link}"' in part
    assert (finished / link).is_file()


def test_the_page_needs_nothing_from_outside(finished: Path, shown: Parsed) -> None:
    text = write_page(finished).read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", text)
    assert not shown.attributes("src")
    assert {tag for tag, _ in shown.tags}.isdisjoint({"link", "img", "iframe", "object", "embed"})
    links = shown.attributes("href")
    assert links
    assert all(link.startswith(("#", "./")) for link in links)


def test_links_inside_the_page_lead_somewhere(shown: Parsed) -> None:
    inside = [link[1:] for link in shown.attributes("href") if link.startswith("#")]
    assert inside
    assert set(inside) <= set(shown.attributes("id"))


def test_only_the_pages_own_script_may_run(shown: Parsed) -> None:
    (script,) = shown.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [one["content"] for tag, one in shown.tags if tag == "meta" and one.get("http-equiv")]
    assert f"script-src 'sha256-{digest}'" in str(policy)
    assert "default-src 'none'" in str(policy)


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    asked = [
        replace(
            one,
            key=f"{HOSTILE} {number}",
            video=f"{HOSTILE}.mp4" if number < 8 else one.video,
            question=f"{HOSTILE}?",
            options=(HOSTILE, *one.options[1:]),
            tags={"type": HOSTILE, HOSTILE: HOSTILE, "duration_s": HOSTILE},
        )
        for number, one in enumerate(items(16))
    ]
    asked[3] = replace(asked[3], missing=True)
    said = records(asked)
    for key in list(said)[4:6]:
        said[key] |= {"said": HOSTILE, "choice": None, "error": HOSTILE, "notes": [HOSTILE], "fell_back": [HOSTILE]}
    for key in list(said)[6:]:
        said[key] |= {"said": HOSTILE, "notes": [HOSTILE], "trace": ["javascript:alert(1)", 1]}
    about = {HOSTILE: {HOSTILE: HOSTILE}}
    data = {HOSTILE: {HOSTILE: {"count": 3, "first": [HOSTILE]}}, "files": [{HOSTILE: HOSTILE}], "split": HOSTILE}
    folder = write_run(tmp_path, asked, said, about=about, data=data)
    metrics = metrics_of(folder)
    metrics |= {"benchmark": HOSTILE, "split": HOSTILE, "headline": [HOSTILE]}
    metrics["figures"][HOSTILE] = metrics["figures"]["Acc"]
    metrics["by"][HOSTILE] = {HOSTILE: {HOSTILE: metrics["figures"]["Acc"]}}
    metrics["minds"]["swap"][HOSTILE] = metrics["minds"]["swap"]["true"]
    metrics["minds"][HOSTILE] = [HOSTILE]
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    text = write_page(folder).read_text(encoding="utf-8")
    found = Parsed(text)
    assert len(found.scripts) == 1
    assert sum(tag == "script" for tag, _ in found.tags) == 1
    assert not any(tag == "img" for tag, _ in found.tags)
    assert not any(name.startswith("on") for _, values in found.tags for name in values)
    assert all(link.startswith(("#", "./")) for link in found.attributes("href"))
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00]", text)
    shown_text = " ".join(clean(HOSTILE).split())
    assert found.words.count(shown_text) > 50
    rows = write_markdown(folder).read_text(encoding="utf-8").splitlines()
    assert not any("<script" in row or "<img" in row for row in rows)
    for head, ruler in pairwise(rows):
        if set(ruler) <= set("|-:") and ruler:
            table = rows[rows.index(head) :]
            table = table[: table.index("")] if "" in table else table
            cells = {len(re.split(r"(?<!\\)\|", row)) for row in table}
            assert len(cells) == 1, table


@pytest.mark.parametrize("name", ["50% #1 ?x=1&y.jsonl", "ünïcode 猫.jsonl", "a\\b.jsonl", "quote\"'.jsonl"])
def test_the_link_of_a_trace_leads_to_its_file(tmp_path: Path, name: str) -> None:
    asked = items(4)
    said = with_traces(tmp_path, asked, records(asked))
    (tmp_path / "traces" / "0.jsonl").rename(tmp_path / "traces" / name)
    said = {
        key: one | {"choice": other_choice(asked, key), "trace": [f"traces/{name}", one["trace"][1]]}
        for key, one in said.items()
    }
    found = Parsed(write_page(write_run(tmp_path, asked, said)).read_text(encoding="utf-8"))
    links = {link for link in found.attributes("href") if link.startswith("./")}
    assert len(links) == 1
    assert (tmp_path / unquote(links.pop())).is_file()
    assert "The relevant moment happens in" in found.words


@pytest.mark.parametrize("name", ["../outside.jsonl", "/etc/passwd", "traces/../../outside.jsonl", "..\\outside.jsonl"])
def test_no_trace_is_read_outside_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    asked = items(4)
    said = with_traces(folder, asked, records(asked))
    (folder / "traces" / "0.jsonl").rename(tmp_path / "outside.jsonl")
    said = {key: one | {"choice": other_choice(asked, key), "trace": [name, 1]} for key, one in said.items()}
    found = Parsed(write_page(write_run(folder, asked, said)).read_text(encoding="utf-8"))
    assert "The relevant moment happens in" not in found.words
    assert "the trace is not inside the run's folder" in found.words
    assert not [link for link in found.attributes("href") if link.startswith("./")]


def test_a_trace_is_found_where_an_earlier_question_was_never_begun(tmp_path: Path) -> None:
    asked = items(4)
    said = with_traces(tmp_path, asked[1:], records(asked))
    said["q3"] |= {"choice": other_choice(asked, "q3"), "trace": ["traces/0.jsonl", 4]}  # it is the third there
    text = write_page(write_run(tmp_path, asked, said)).read_text(encoding="utf-8")
    part = next(one for one in text.split('<details class="item">') if ">q3</bdi>" in one)
    assert "The relevant moment happens in" in part


def test_a_torn_or_missing_trace_is_named(tmp_path: Path) -> None:
    asked = items(4)
    said = records(asked)
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "torn.jsonl").write_text("{", encoding="utf-8")
    for key, name in (("q0", "torn"), ("q1", "none")):
        said[key] |= {"choice": other_choice(asked, key), "trace": [f"traces/{name}.jsonl", 1]}
    text = write_page(write_run(tmp_path, asked, said)).read_text(encoding="utf-8")
    assert "No steps: " in text
    assert "traces/torn.jsonl, line 1" in text
    assert "traces/none.jsonl: the trace cannot be read" in text
    assert str(tmp_path) not in text


def test_the_same_folder_gives_the_same_bytes_wherever_it_lies(finished: Path, tmp_path: Path) -> None:
    before = write_page(finished).read_bytes(), write_markdown(finished).read_bytes()
    shutil.copytree(finished, tmp_path / "elsewhere")
    assert (
        write_page(tmp_path / "elsewhere").read_bytes(),
        write_markdown(tmp_path / "elsewhere").read_bytes(),
    ) == before


@pytest.mark.parametrize("options", [OPTIONS, ()])
@pytest.mark.parametrize("spans", [True, False])
def test_what_a_benchmark_lacks_is_left_out(tmp_path: Path, options: tuple[str, ...], spans: bool) -> None:
    asked = [one if spans else replace(one, spans=()) for one in items(8, options=options)]
    said = {one.key: record(one, 0 if options else None, said="well") for one in asked}
    folder = write_run(tmp_path, asked, said, minds=False)
    found = Parsed(write_page(folder).read_text(encoding="utf-8"))
    assert ("IoU" in found.words) == spans
    assert ("Acc" in found.words) == bool(options)
    assert "Theory of mind" not in found.words
    assert "What was asked of whom" not in found.words
    assert "Calibration" not in found.words
    assert "# nextgqa, val" in write_markdown(folder).read_text(encoding="utf-8")


def test_an_empty_minds_and_empty_plots_do_no_harm(finished: Path, tmp_path: Path) -> None:
    metrics = metrics_of(finished)
    metrics |= {"minds": {"sets": {}, "orders": {}, "shortcuts": {}, "swap": None, "blind": None}, "by": {}}
    metrics |= {"calibration": None, "iou": None, "figures": {}, "headline": [], "split": None}
    folder = changed(finished, tmp_path, "metrics.json", metrics)
    assert "Wrong, and sure of it" in write_page(folder).read_text(encoding="utf-8")


def test_a_huge_run_gives_a_page_of_two_megabytes_at_most(tmp_path: Path) -> None:
    long = "Why & when? " * 500
    asked = [
        Item(
            f"{number} {long}",
            f"{number} {long}.mp4",
            long,
            tuple(f"{at} {long}" for at in range(26)),
            1,
            (Span(0, 9),),
        )
        for number in range(120)
    ]
    asked = [replace(one, tags={f"tag {at}": long for at in range(30)}) for one in asked]
    said = {
        one.key: record(
            one,
            0,
            said=long,
            probs=[0.9] + [0.004] * 25,
            spans=[[20.0 + at, 30.0, 0.5, 0.5] for at in range(100)],
            notes=[long] * 50,
            fell_back=[f"{role} {long}" for role in range(20)],
        )
        for one in asked
    }
    for one in asked[:60]:
        said[one.key]["error"] = long
    one_figure = {"mean": 0.5, "low": 0.25, "high": 0.75, "asked": 10, "sets": 3}
    figures = {f"figure {at}": one_figure for at in range(30)}
    folder = write_run(tmp_path, asked[:2], {}, minds=False)
    tallies = {f"{at} {long}": {"count": 1, "first": [long] * 10} for at in range(500)}
    metrics = metrics_of(folder) | {
        "headline": list(figures),
        "figures": figures,
        "by": {f"tag {at}": {f"{value} {long}": figures for value in range(1000)} for at in range(12)},
        "minds": {"shortcuts": {f"{who} {long}": figures for who in range(30)}, "notes": [long] * 100},
    }
    from eval.item import write_items
    from eval.run_folder import write_predictions

    write_items(tmp_path / "items.jsonl", asked)
    write_predictions(tmp_path, asked, said)
    for name, value in (("metrics", metrics), ("data", {"skipped": tallies}), ("run", {long: long})):
        (tmp_path / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    text = write_page(folder).read_bytes()
    assert len(text) <= MAX_BYTES
    assert text.count(b'class="item"') == WORST
    assert b"</html>" in text


@given(st.lists(st.tuples(st.sampled_from([None, 0, 1]), st.floats(0, 1), st.floats(0, 20)), max_size=120))
def test_the_worst_are_few_and_each_stands_once(said: list[tuple[int | None, float, float]]) -> None:
    judged = []
    for number, (choice, sure, start_s) in enumerate(said):
        item = Item(f"{number}", "v", "?", ("a", "b"), 0, (Span(0, 10),))
        judged.append(
            judge(item, record(item, choice, probs=[sure, sure], spans=[[start_s, start_s + 10, sure, None]]))
        )
    wrong, off = worst(judged)
    keys = [one.item.key for one in (*wrong, *off)]
    assert len(keys) == len(set(keys)) <= WORST
    candidates = {one.item.key for one in judged if not one.right or (one.iou or 0) < 0.5}
    assert set(keys) <= candidates
    assert len(keys) == min(WORST, len(candidates))
    assert all(one.right is False for one in wrong)
    given = [-1.0 if one.confidence is None else one.confidence for one in wrong]
    assert given == sorted(given, reverse=True)
    assert [one.iou for one in off] == sorted(one.iou or 0.0 for one in off)


def test_a_question_without_an_answer_or_a_record_is_a_failure_and_no_wrong_answer() -> None:
    item = items(1)[0]
    failed = [judge(item, None), judge(item, record(item, error="broken")), judge(replace(item, missing=True), None)]
    assert [one.failure is None for one in failed] == [False] * 3
    assert [one.right for one in failed] == [False] * 3
    assert [one.iou for one in failed] == [0.0] * 3
    assert worst(failed) == ([], [])


def test_a_long_list_of_failures_is_cut_and_says_so(tmp_path: Path) -> None:
    asked = items(NAMED + 20)
    said = {one.key: record(one, error="broken") for one in asked}
    found = Parsed(write_page(write_run(tmp_path, asked, said, minds=False)).read_text(encoding="utf-8"))
    assert f"Errors: {NAMED + 20}" in found.words
    assert "and 20 more in predictions.jsonl" in found.words


def test_markdown_has_the_pages_figures(finished: Path) -> None:
    text = write_markdown(finished).read_text(encoding="utf-8")
    metrics = metrics_of(finished)
    for name, one in metrics["figures"].items():
        row = f"| {name} | {one['asked']} | {100 * one['mean']:.1f} [{100 * one['low']:.1f}, {100 * one['high']:.1f}] |"
        assert row in text
    for heading in ("## Figures", "## Theory of mind", "## The data, and what is odd about it"):
        assert f"\n{heading}\n" in text


def numbers(picture: str, kind: str, *names: str) -> list[tuple[float, ...]]:
    """Attributes of the shapes of a class, in the picture's order."""
    shapes = re.findall(rf'<\w+ class="{kind}"([^>]*)>', picture)
    return [tuple(float(re.findall(rf'{name}="([-\d.]+)%?"', shape)[0]) for name in names) for shape in shapes]


def test_a_time_line_puts_spans_in_their_places() -> None:
    picture = timeline(60.0, [("true", "true", [Span(15, 30), Span(45, 60)]), ("said", "ours", [Span(0, 6)])])
    assert numbers(picture, "true", "x", "width") == [(25, 25), (75, 25)]
    assert numbers(picture, "said", "x", "width") == [(0, 10)]
    assert "60.0 s" in picture


def test_a_span_beyond_the_stated_length_stretches_the_time_line() -> None:
    assert numbers(timeline(10.0, [("said", "ours", [Span(20, 40)])]), "said", "x", "width") == [(50, 50)]
    assert numbers(timeline(0.0, [("said", "ours", [Span(0, 0)])]), "said", "x") == [(0,)]


def test_bars_are_as_high_as_their_shares() -> None:
    figures = {
        name: {"mean": share, "low": share - 0.1, "high": share + 0.1} for name, share in (("a", 0.2), ("b", 0.8))
    }
    (low,), (high,) = numbers(whisker_bars(figures, "bars"), "fill", "height")
    assert high == pytest.approx(4 * low, rel=0.01)
    counted = [height for (height,) in numbers(histogram([1, 0, 4], "counts", "IoU"), "fill", "height")]
    assert counted == pytest.approx([counted[2] / 4, 0, counted[2]], abs=0.01)


def test_calibration_shows_counts_and_leaves_out_empty_bins() -> None:
    bins: list[dict[str, Any]] = [
        {"low": 0.0, "high": 0.5, "count": 0, "confidence": None, "right": None},
        {"low": 0.5, "high": 1.0, "count": 1234, "confidence": 0.75, "right": 1.0},
    ]
    picture = reliability(bins)
    assert ">1,234</text>" in picture
    assert len(numbers(picture, "dot", "cx")) == 1
    assert len(numbers(recall_curve([[0.5, 0.4], [1.0, 0.1]]), "dot", "cx")) == 2


@given(st.floats(-1, 1), st.floats(0, 0.3))
def test_an_interval_lies_inside_its_bar(mean: float, reach: float) -> None:
    picture = interval_bar({"mean": mean, "low": mean - reach, "high": mean + reach})
    ((low, high),) = numbers(picture, "reach", "x1", "x2")
    ((middle,),) = numbers(picture, "dot", "cx")
    assert 0 <= low <= middle <= high <= 100


@pytest.mark.parametrize("name", ["metrics.json", "items.jsonl", "predictions.jsonl"])
def test_a_folder_that_is_no_finished_run_is_refused(finished: Path, tmp_path: Path, name: str) -> None:
    folder = changed(finished, tmp_path / "run", name, None)
    with pytest.raises(DataError, match=name) as told:
        write_page(folder)
    assert "\n" not in str(told.value)
    assert (folder / "report.html").read_bytes() == (finished / "report.html").read_bytes()


def test_predictions_of_another_run_are_refused(finished: Path, tmp_path: Path) -> None:
    asked = items(2)
    (tmp_path / "items.jsonl").write_text("", encoding="utf-8")
    folder = changed(finished, tmp_path, "predictions.jsonl", json.dumps(record(replace(asked[0], key="other"))))
    with pytest.raises(DataError, match=r"key other: not in items\.jsonl"):
        write_page(folder)


@pytest.mark.parametrize("spans", ["soon", [[1]], [["a", "b"]], [[0, float("inf")]], 7])
def test_a_record_with_broken_spans_is_named(finished: Path, tmp_path: Path, spans: object) -> None:
    row = record(items(1)[0], 0) | {"spans": spans}
    folder = changed(finished, tmp_path, "predictions.jsonl", json.dumps(row))
    with pytest.raises(DataError, match="key q0: no record of a run"):
        write_page(folder)


def test_broken_settings_are_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run\.json: cannot be read"):
        write_page(changed(finished, tmp_path, "run.json", "{"))
    other = changed(finished, tmp_path / "two", "data.json", "[]")
    with pytest.raises(DataError, match=r"data\.json: expected a JSON object"):
        write_page(other)
