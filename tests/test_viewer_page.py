"""What the viewer's page does in a real browser: Debian's Chromium, without a window, driven by Playwright."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.viewer.__main__ import main
from roles.types import Video
from tests.fakes import ScriptedBackbone
from tests.films import make_film
from tests.viewer_folder import OPTIONS, Served, answered, many_steps, served

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: make setup")

CHROMIUM = os.environ.get("MINDREEL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium (.ci/run does)")

HOSTILE = '<script>window.hit = 1</script><img src=x onerror="window.hit = 1"> "quoted" & \u202ebackwards'
RIGHT, SPLIT, WRONG, FAILED, FELL = (
    "Which is first?",
    "Which is last?",
    "Which is it not?",
    "Which fails?",
    "Which fell?",
)


@dataclass
class Stage:
    """The viewer on a port, a browser, and what the page complained of."""

    viewer: Served
    folder: Path
    page: Any
    troubles: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.viewer.port}/"

    def open(self, question: str | None = None, query: str = "") -> None:
        """Shows the list, or the trace of a question."""
        if question is None:
            self.page.goto(f"{self.url}#/{query}")
            self.page.wait_for_selector(".rows .row")
            return
        self.page.goto(f"{self.url}#/trace/{self.viewer.rows()[question]['id']}{query}")
        self.heading(question)
        self.page.wait_for_selector(".tl-plane")

    def heading(self, text: str) -> None:
        """Waits until a page has this heading."""
        self.page.locator("h1", has_text=text).wait_for()

    def until(self, true: str) -> None:
        """Waits until an expression holds; asked from outside, since the page's policy forbids it to evaluate texts."""
        end = time.monotonic() + 8
        while not self.page.evaluate(true):
            assert time.monotonic() < end, f"never came true: {true}"
            self.page.wait_for_timeout(20)

    def film(self) -> None:
        """Waits until the film stands still at a picture."""
        self.until("document.querySelector('video').readyState >= 2 && !document.querySelector('video').seeking")

    def time_s(self) -> float:
        return float(self.page.evaluate("document.querySelector('video').currentTime"))

    def lane(self, id_: str) -> Any:
        """The items of a lane."""
        return self.page.locator(f"[data-lane='{id_}'] .item")

    def shown(self) -> list[str]:
        """The questions of the list, in its order."""
        found: list[str] = self.page.locator(".rows .row-link").all_inner_texts()
        return found


def film_of(folder: Path) -> Video:
    """Sixteen seconds: red, then blue."""
    path = make_film(folder / "film.mp4", [("red", 1, 7), ("blue", 9, 14)])
    return Video(str(path), duration_s=16.0, fps=2.0, width_px=84, height_px=84, frames=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation: right; right from the wrong moment; wrong. Besides: failed, fallen back, hostile, no film."""
    root = tmp_path_factory.mktemp("viewer") / "run"
    traces = root / "traces"
    traces.mkdir(parents=True)
    film = film_of(root)
    answered(traces / "a.jsonl", RIGHT, SPLIT, WRONG, video=film)
    broken = ScriptedBackbone(failures={"answerer": RuntimeError("out of luck")})
    answered(traces / "b.jsonl", FAILED, video=film, backbone=broken)
    answered(traces / "c.jsonl", FELL, video=film, backbone=ScriptedBackbone(rows=None))
    answered(traces / "d.jsonl", HOSTILE, video=film, backbone=ScriptedBackbone(answer=HOSTILE))
    answered(traces / "e.jsonl", "Where is the film?")
    answered(traces / "f.jsonl", RIGHT, video=film, backbone=ScriptedBackbone(answer="A"))
    spans = {RIGHT: [1.6, 3.2], SPLIT: [12.0, 15.0], WRONG: [1.6, 3.2]}  # the verifier puts 1.6 to 3.2 first
    items = [
        {"key": f"q{at}", "question": text, "options": OPTIONS, "answer_at": int(text != WRONG), "spans": [span]}
        for at, (text, span) in enumerate(spans.items())
    ]
    records = [{"key": f"q{at}", "choice": 1, "trace": ["traces/a.jsonl", at + 1]} for at in range(3)]
    for name, rows in (("items", items), ("predictions", records)):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def viewer(folder: Path) -> Iterator[Served]:
    with served(folder) as running:
        yield running


@pytest.fixture
def make_stage(viewer: Served, folder: Path, browser: Any) -> Iterator[Any]:
    contexts, made = [], []

    def make(**options: Any) -> Stage:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **options}))
        contexts[-1].set_default_timeout(8_000)
        stage = Stage(viewer, folder, contexts[-1].new_page(), [])
        stage.page.on("pageerror", lambda error: stage.troubles.append(str(error)))
        stage.page.on("console", lambda said: stage.troubles.append(said.text) if said.type == "error" else None)
        made.append(stage)
        return stage

    yield make
    for context in contexts:
        context.close()
    assert [trouble for stage in made for trouble in stage.troubles] == []


@pytest.fixture
def stage(make_stage: Any) -> Stage:
    made: Stage = make_stage()
    return made


def test_the_list_shows_every_trace_newest_first(stage: Stage) -> None:
    stage.open()
    newest_first = [row["question"] for row in stage.viewer.get("/api/traces").json()["traces"]]
    assert stage.shown() == newest_first
    row = stage.page.locator(".row", has_text=SPLIT)
    assert row.locator(".row-answer").inner_text().split() == ["In", "the", "box", "right", "answer"]
    assert "wrong" in row.locator(".row-iou").inner_text()
    failed = stage.page.locator(".row", has_text=FAILED)
    assert "answerer failed" in failed.locator(".chips").inner_text()


def test_a_click_on_a_candidate_moves_the_film_into_it(stage: Stage) -> None:
    stage.open(RIGHT)
    stage.film()
    second = stage.lane("grounder").nth(1)
    assert "rank 2" in second.get_attribute("aria-label")
    for candidate, (start_s, end_s) in ((second, (1.6, 3.2)), (stage.lane("grounder").nth(2), (11.2, 12.0))):
        candidate.click()
        stage.film()
        assert start_s <= stage.time_s() < end_s
        head_x = float(re.findall(r"translate\(([\d.]+)", stage.page.locator(".head").get_attribute("transform"))[0])
        bar = candidate.locator(".bar").first
        assert (
            float(bar.get_attribute("x")) <= head_x <= float(bar.get_attribute("x")) + float(bar.get_attribute("width"))
        )


def test_the_picture_at_a_moment_is_the_films(stage: Stage) -> None:
    stage.open(RIGHT)
    stage.film()
    stage.page.evaluate(
        """window.middle = () => { const video = document.querySelector('video');
        const canvas = document.createElement('canvas'), plane = canvas.getContext('2d');
        canvas.width = canvas.height = 84;
        plane.drawImage(video, 0, 0, 84, 84); return [...plane.getImageData(42, 42, 1, 1).data]; }"""
    )
    stage.page.keyboard.press("0")  # the chosen moment: red
    stage.until("middle()[0] > 150 && middle()[2] < 120")
    stage.lane("grounder").nth(2).click()  # blue
    stage.until("middle()[2] > 150 && middle()[0] < 120")


def test_the_verifiers_order_is_told_with_its_change_and_its_doubt(stage: Stage) -> None:
    stage.open(RIGHT)
    first = stage.lane("verifier").first
    assert first.text_content().split() == ["#1", "↑1", "Yes", "0.90", "✓", "chosen"]
    assert "rank 1, was 2, chosen" in first.get_attribute("aria-label")
    assert "P(Yes) 0.90, P(No) 0.05" in first.get_attribute("aria-label")
    first.hover()
    card = stage.page.locator(".tl-card")
    assert "P(No) 0.05" in card.inner_text()
    assert "0:01.6–0:03.2" in card.inner_text()


def test_a_sampled_frame_shows_its_picture(stage: Stage) -> None:
    stage.open(RIGHT)
    strip = stage.page.locator("[data-lane='frames:grounder'] .strip")
    strip.focus()
    stage.page.keyboard.press("End")
    assert "frame 25" in strip.get_attribute("aria-valuetext")
    picture = stage.page.locator(".tl-card img")
    stage.until("document.querySelector('.tl-card img').naturalWidth > 0")
    assert picture.get_attribute("src").endswith("/25.jpg")
    stage.page.keyboard.press("Enter")
    assert stage.time_s() == pytest.approx(1.0, abs=0.1)


def test_dragging_scrubs(stage: Stage) -> None:
    stage.open(RIGHT)
    stage.film()
    box = stage.page.locator(".tl-plane").bounding_box()
    stage.page.mouse.move(box["x"] + 60, box["y"] + 10)
    stage.page.mouse.down()
    stage.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10, steps=4)
    stage.page.mouse.up()
    assert stage.time_s() == pytest.approx(8.0, abs=0.3)
    assert "of 0:16.0" in stage.page.locator(".tl-now").inner_text()


def test_the_playhead_moves_with_the_film(stage: Stage) -> None:
    stage.open(RIGHT)
    before = stage.page.locator(".head").get_attribute("transform")
    stage.page.evaluate("document.querySelector('video').muted = true")
    stage.page.keyboard.press("Space")
    stage.until("document.querySelector('video').currentTime > 0.3")
    assert stage.page.locator(".head").get_attribute("transform") != before
    stage.page.keyboard.press("Space")
    assert stage.page.evaluate("document.querySelector('video').paused")


def test_zooming_widens_the_scale_and_fit_brings_it_back(stage: Stage) -> None:
    stage.open(RIGHT)
    plane = stage.page.locator(".tl-plane")
    whole = float(plane.get_attribute("width"))
    stage.page.get_by_role("button", name="Zoom in").click()
    assert float(plane.get_attribute("width")) == pytest.approx(1.6 * whole, rel=0.01)
    stage.page.keyboard.press("-")
    assert float(plane.get_attribute("width")) == pytest.approx(whole, rel=0.01)


def test_a_chosen_node_shows_its_prompt_its_reply_and_what_was_read(stage: Stage) -> None:
    stage.open(RIGHT)
    step = next(step for step in stage.viewer.trace(SPLIT)["steps"] if step["id"] == "grounder")
    stage.page.locator(".node[data-step=grounder]").click()
    panel = stage.page.locator(".panel")
    assert panel.locator("pre").first.inner_text() == step["prompt"][0]
    assert step["raw"] in panel.inner_text()
    assert '"start_s"' in panel.locator("pre.parsed").inner_text()
    stage.page.locator(".node[data-step=answerer]").focus()
    stage.page.keyboard.press("Enter")
    assert panel.locator("h3").inner_text().startswith("answerer")
    assert "B) In the box" in panel.inner_text()


def test_options_say_in_words_which_is_chosen_and_which_is_right(stage: Stage) -> None:
    stage.open(WRONG)
    basket, box = stage.page.locator(".option").all_inner_texts()
    assert "right answer" in basket
    assert "chosen" not in basket
    assert "chosen" in box
    assert "right answer" not in box
    assert "wrong answer" in stage.page.locator(".verdicts").inner_text()


def test_a_failed_trace_says_why_and_opens_on_the_step_that_failed(stage: Stage) -> None:
    stage.open(FAILED)
    assert "out of luck" in stage.page.get_by_role("alert").inner_text()
    assert "failed" in stage.page.locator(".node[data-step=answerer]").text_content()
    assert "out of luck" in stage.page.locator(".panel").inner_text()
    stage.open(FELL)
    assert "grounder fell back" in stage.page.locator(".troubles").inner_text()


def test_without_its_film_a_trace_still_has_a_timeline(stage: Stage) -> None:
    stage.open("Where is the film?")
    assert "not shown" in stage.page.locator(".no-film").inner_text()
    stage.lane("grounder").first.click()
    assert stage.page.locator(".tl-now").inner_text().startswith("0:30")


def test_filters_leave_what_they_say(stage: Stage) -> None:
    stage.open()
    stage.page.get_by_role("button", name="Right answer, wrong moment").click()
    assert stage.shown() == [SPLIT]
    stage.page.get_by_role("button", name="All").click()
    stage.page.get_by_label("Search").fill("which fell")
    assert stage.shown() == [FELL]
    stage.page.get_by_label("Search").fill("")
    stage.page.get_by_label("Role", exact=True).select_option("answerer")
    stage.page.get_by_label("Status of the role").select_option("failed")
    assert stage.shown() == [FAILED]
    stage.page.reload()  # the filter stands in the address
    stage.page.wait_for_selector(".rows .row")
    assert stage.shown() == [FAILED]


def test_sorting_by_overlap_puts_the_worst_first(stage: Stage) -> None:
    stage.open()
    stage.page.get_by_label("Sort").select_option("iou")
    assert stage.shown()[0] == SPLIT
    stage.page.get_by_label("Sort").select_option("oldest")
    assert stage.shown()[0] == RIGHT


def test_keys_walk_the_list_and_the_evaluation(stage: Stage) -> None:
    stage.open()
    stage.page.keyboard.press("ArrowDown")
    stage.page.keyboard.press("ArrowDown")
    second = stage.shown()[1]
    assert stage.page.evaluate("document.activeElement.textContent") == second
    stage.page.keyboard.press("Enter")
    stage.heading(second)
    stage.open(RIGHT, "")
    for key, question in (("ArrowDown", SPLIT), ("]", WRONG), ("ArrowUp", SPLIT), ("[", RIGHT)):
        stage.page.keyboard.press(key)
        stage.heading(question)
    stage.film()
    stage.page.keyboard.press("ArrowRight")
    stage.page.keyboard.press("ArrowRight")
    stage.page.keyboard.press("ArrowLeft")
    assert stage.time_s() == pytest.approx(1.0, abs=0.01)
    stage.page.keyboard.press("2")  # the verifier's second
    assert 11.2 <= stage.time_s() < 12.0
    stage.page.keyboard.press("/")
    stage.until("document.activeElement.type === 'search'")
    stage.page.keyboard.press("Escape")
    stage.page.keyboard.press("?")
    assert "play, pause" in stage.page.locator("dialog[open]").inner_text()


def test_up_and_down_stay_within_a_filter(stage: Stage) -> None:
    stage.open(SPLIT, "?show=split")
    assert "1 of 1 with this filter" in stage.page.locator(".place").inner_text()
    assert stage.page.get_by_role("link", name="Next trace").count() == 0


def test_lanes_that_the_page_never_heard_of_are_drawn_by_their_kind(stage: Stage) -> None:
    """Later kinds of evidence come as data, not as code of the page."""
    trace = stage.viewer.trace(RIGHT)
    blank: dict[str, Any] = dict.fromkeys(("shade", "rank", "was_rank", "p_yes", "p_no", "thumb", "step"))
    believed = [(0.0, 4.0, 0.2), (4.0, 16.0, 0.9)]
    said = [(1.0, 3.0, "Where is <b>it</b>?"), (3.0, 6.0, "In the box.")]
    new: list[tuple[str, str, list[dict[str, Any]]]] = [
        ("belief-of-yan", "levels", [{"label": f"{high}", "shade": high, "at": at} for *at, high in believed]),
        ("subtitles", "subtitles", [{"label": text, "at": at} for *at, text in said]),
        ("looks", "something new", [{"label": "at Yan", "at": (5.0, 9.0)}]),
    ]
    for id_, kind, rows in new:
        items = [
            {**blank, "detail": "", "chosen": False, **row, "start_s": row["at"][0], "end_s": row["at"][1]}
            for row in rows
        ]
        trace["lanes"].append({"id": id_, "title": id_, "kind": kind, "items": items})
    trace["part"] = [2.0, 14.0]
    stage.page.route("**/api/trace/*", lambda route: route.fulfill(json=trace))
    stage.open(RIGHT)
    heights = [
        float(one.get_attribute("height")) for one in stage.page.locator("[data-lane='belief-of-yan'] .level").all()
    ]
    assert heights[0] / heights[1] == pytest.approx(0.2 / 0.9, rel=0.01)
    assert stage.lane("looks").text_content() == "at Yan"
    assert "0:02.0–0:14.0" in stage.page.locator(".trace > .callout").inner_text()
    stage.lane("subtitles").first.click()
    assert "Where is <b>it</b>?" in stage.page.locator(".caption").inner_text()
    assert 1.0 <= stage.time_s() < 3.0


def test_thousands_of_steps_are_shown_a_few_hundred_at_a_time(stage: Stage) -> None:
    path = many_steps(stage.folder / "many.jsonl", reply_chars=10)
    try:
        stage.open("How many steps?")
        rows = stage.page.locator(".steps tbody tr")
        first = rows.count()
        assert 100 <= first < 1000
        assert "too many to draw" in stage.page.locator(".plan-left").inner_text()
        stage.page.get_by_role("button", name="more steps").click()
        assert rows.count() == first + 1000
        rows.nth(first + 999).click()
        assert stage.page.locator(".panel h3").inner_text().startswith("planner")
    finally:
        path.unlink()


def test_two_marked_traces_stand_side_by_side_with_differences_marked(stage: Stage) -> None:
    stage.open(None, "?sort=oldest")
    marks = stage.page.get_by_label(f"Compare: {RIGHT}")
    marks.nth(0).check()
    marks.nth(1).check()
    stage.page.get_by_role("button", name="Compare the two").click()
    stage.page.wait_for_selector(".versus")
    row = {line.locator("th").first.inner_text(): line for line in stage.page.locator(".versus tbody tr").all()[:10]}
    assert "differs" not in row["Question"].inner_text()
    assert "differs" in row["Answer"].inner_text()
    assert stage.page.locator(".side .tl-plane").count() == 2
    stage.page.get_by_label("show only what differs").check()
    assert not row["Question"].is_visible()
    stage.until("[...document.querySelectorAll('video')].every(one => one.readyState >= 1)")
    stage.page.locator(".side").first.locator("[data-lane=grounder] .item").nth(1).click()
    times = stage.page.evaluate("[...document.querySelectorAll('video')].map(one => one.currentTime)")
    assert times[0] == times[1]  # one film: both sides stand at one second
    assert 1.6 <= times[0] < 3.2


def test_words_that_differ_are_found_and_the_others_are_left(stage: Stage) -> None:
    stage.open()
    left, right = stage.page.evaluate("viewer.words_apart('the red box is here', 'the blue box is there')")
    assert [word for word, apart in left if apart] == ["red", "here"]
    assert [word for word, apart in right if apart] == ["blue", "there"]


def test_texts_of_a_trace_stay_texts(stage: Stage) -> None:
    stage.open()
    assert stage.page.locator(".row-link", has_text="onerror").inner_text() == HOSTILE
    stage.open(HOSTILE)
    stage.page.locator(".node[data-step=answerer]").click()
    assert HOSTILE in stage.page.locator(".panel").text_content()
    assert stage.page.evaluate("window.hit") is None
    assert stage.page.locator("main script, main img[src=x]").count() == 0


def test_a_trace_that_is_written_appears_by_itself(stage: Stage) -> None:
    stage.open()
    stage.page.wait_for_selector(".live[data-state=live]")
    path = stage.folder / "traces" / "z.jsonl"
    try:
        answered(path, "What is new?")
        stage.page.locator(".row-link", has_text="What is new?").wait_for()
        assert stage.shown()[0] == "What is new?"
    finally:
        path.unlink()
    stage.page.locator(".row-link", has_text="What is new?").wait_for(state="detached")


def test_a_trace_that_is_being_written_grows_before_the_eyes(stage: Stage) -> None:
    path = answered(stage.folder / "traces" / "z.jsonl", "What runs?", video=film_of(stage.folder))
    whole = path.read_text().splitlines(keepends=True)
    ended = [at for at, line in enumerate(whole) if '"event": "step.end"' in line]
    try:
        path.write_text("".join(whole[: ended[1] + 2]))  # the grounder has ended, the verifier has begun
        stage.open("What runs?")
        assert "running" in stage.page.locator(".verdicts").inner_text()
        stage.page.locator(".node[data-step=grounder]").click()
        stage.film()
        stage.lane("grounder").nth(1).click()
        with path.open("a") as file:
            file.write("".join(whole[ended[1] + 2 :]))
        stage.page.locator(".verdicts .status.is-ok").wait_for()
        assert stage.page.locator(".panel h3").inner_text().startswith("grounder")  # what was looked at stays
        assert 1.6 <= stage.time_s() < 3.2
    finally:
        path.unlink()


@pytest.mark.parametrize("embedded", [False, True])
def test_an_exported_file_shows_the_same_without_a_network(make_stage: Any, tmp_path: Path, embedded: bool) -> None:
    stage = make_stage()
    target = tmp_path / "page.html"
    more = ["--embed-video"] if embedded else []
    file = str(stage.folder / "traces" / "a.jsonl")
    assert main([file, "--videos", str(stage.folder), "--question", "2", "--export", str(target), *more]) == 0
    stage.open(SPLIT)
    here = [stage.page.locator(part).inner_text() for part in (".options", ".steps", ".panel")]
    stage.page.context.set_offline(True)
    asked: list[str] = []
    stage.page.on("request", lambda request: asked.append(request.url))
    stage.page.goto(target.as_uri())
    stage.heading(SPLIT)
    there = [stage.page.locator(part).inner_text() for part in (".options", ".steps", ".panel")]
    assert there[1:] == here[1:]
    assert there[0].split()[:5] == here[0].split()[:5]
    stage.film()
    stage.lane("grounder").nth(1).click()
    stage.film()
    assert 1.6 <= stage.time_s() < 3.2
    stage.until("document.querySelector('.tl-card img').naturalWidth > 0")
    assert not [url for url in asked if url.startswith("http")]


def test_dark_mode_is_dark_and_legible(make_stage: Any) -> None:
    stage = make_stage(color_scheme="dark")
    stage.open(RIGHT)
    light = stage.page.evaluate(
        """() => ['background-color', 'color'].map((name) => getComputedStyle(document.body).getPropertyValue(name)
        .match(/[0-9.]+/g).slice(0, 3).map((one) => one / 255).map((one) => one <= .04045 ? one / 12.92 :
        ((one + .055) / 1.055) ** 2.4).reduce((sum, one, at) => sum + one * [.2126, .7152, .0722][at], 0))"""
    )
    assert light[0] < 0.05
    assert (light[1] + 0.05) / (light[0] + 0.05) > 7


@pytest.mark.parametrize("question", [None, RIGHT, FAILED])
def test_a_phone_needs_no_sideways_scrolling(make_stage: Any, question: str | None) -> None:
    stage = make_stage(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    stage.open(question)
    stage.page.wait_for_timeout(200)
    assert stage.page.evaluate("document.documentElement.scrollWidth") <= 390
    if question == RIGHT:
        stage.film()
        stage.lane("grounder").nth(1).tap()
        assert 1.6 <= stage.time_s() < 3.2


def test_every_control_has_a_name(stage: Stage) -> None:
    for question in (None, RIGHT):
        stage.open(question)
        nameless = stage.page.evaluate(
            """() => [...document.querySelectorAll('button, a, select, input, [role=button], [role=slider], video')]
            .filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.length))
            .map((node) => node.outerHTML.slice(0, 80))"""
        )
        assert nameless == []
