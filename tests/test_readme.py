"""Every command and example of the README runs, in a folder laid out as it says, on small checkpoints."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from roles.spans import iou
from roles.types import Span
from tests.films import make_examples
from tests.suite_folders import make_nextgqa

ROOT = Path(__file__).parents[1]
ORACLE = ROOT / "tests" / "data" / "oracle"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSTANTS = """
PLANNER_PROMPT = 'Plan. Question: {}'
GROUNDER_PROMPT = 'Find: {}'
VERIFIER_PROMPT = 'Between <|seg_start|> and <|seg_end|>: is it {}?'
"""


HIGHLIGHT = {
    "qid": 1,
    "query": "a square comes and goes",
    "duration": 16,
    "vid": "abc_0.0_150.0",
    "relevant_clip_ids": [1, 2],
    "saliency_scores": [[4, 4, 4], [3, 3, 3]],
    "relevant_windows": [[2, 6]],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Shell commands of the README in order, continuation lines joined."""
    joined = "\n".join(blocks("bash")).replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with the film, frames, checkpoints and VideoMind copy that the README speaks of."""
    here = tmp_path_factory.mktemp("readme")
    shutil.copy(ORACLE / "videos" / "v1.mp4", here / "film.mp4")
    shutil.copy(ORACLE / "subs" / "v2.srt", here / "film.srt")
    shutil.copytree(ORACLE / "base", here / "Qwen" / "Qwen2-VL-2B-Instruct")
    shutil.copytree(ORACLE / "base", here / "checkpoints" / "base")
    shutil.copytree(
        ORACLE / "videomind", here / "checkpoints" / "VideoMind-2B", ignore=shutil.ignore_patterns("prompts.json")
    )
    constants = here / "VideoMind" / "videomind" / "constants.py"
    constants.parent.mkdir(parents=True)
    constants.write_text(CONSTANTS)
    make_examples(here)
    shutil.copy(here / "train.jsonl", here / "val.jsonl")
    (here / "videos").mkdir()
    shutil.copy(here / "film0.mp4", here / "videos" / "abc_0.0_150.0.mp4")
    (here / "highlight_train_release.jsonl").write_text(json.dumps(HIGHLIGHT) + "\n")
    make_nextgqa(here / "NExT-GQA")
    (here / "examples").symlink_to(ROOT / "examples")
    (here / "tests").symlink_to(ROOT / "tests")
    (here / "frames").mkdir()
    with av.open(str(here / "film.mp4")) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 16 == 0:
                frame.to_image().save(here / "frames" / f"{number:04d}.jpg")
    return here


def run(words: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done


def serves(words: list[str], place: Path) -> None:
    """A command that shows a page until it is stopped."""
    command, environment = [sys.executable, *words[1:], "--no-open"], {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}api/traces", timeout=30) as page:  # noqa: S310 - our own server
            questions = [trace["question"] for trace in json.load(page)["traces"]]
        server.terminate()
    assert "Where will Sally look for the marble?" in questions


def test_the_commands_run_in_order(place: Path) -> None:
    ran = 0
    for words in commands():
        if words[0] == "make":
            assert run(["make", "--dry-run", words[1], "-C", str(ROOT)], place).stdout
            continue
        if words[0] == "accelerate":
            # Where there are no GPUs, this makes the launcher start two processes all the same.
            words = ["python", "-m", "accelerate.commands.launch", "--multi_gpu", *words[2:]]
        assert words[0] == "python", f"an unexpected command in the README: {words}"
        if words[1:] == ["-m", "agent.viewer", "runs"]:
            serves(words, place)
            continue
        done = run([sys.executable, *words[1:]], place)
        if "--json" in words:
            assert done.stdout.count("\n") == words.count("--question")
        ran += 1
    assert ran >= 30
    figures = json.loads((place / "runs" / "worlds" / "metrics.json").read_text())
    assert figures["figures"]["Acc"]["mean"] > 0.8
    assert figures["minds"]["swap"]["true"]["right"]["asked"] >= 5
    for name in ("nextgqa", "alone", "two", "worlds"):
        assert (place / "runs" / name / "report.html").is_file()
    for role in ("planner", "grounder", "verifier", "answerer"):
        assert (place / "my-adapters" / role / "loss.png").is_file()
        assert (place / "all-adapters" / role / "README.md").is_file()
    assert (place / "two-gpus" / "grounder" / "adapter_model.safetensors").is_file()
    assert (place / "videomind-peft" / "verifier" / "adapter_config.json").is_file()
    assert (place / "qvhighlights.jsonl").read_text().count("\n") == 1


def test_the_examples_run(place: Path) -> None:
    if not (place / "checkpoints" / "VideoMind-2B" / "prompts.json").exists():
        shutil.copy(ORACLE / "videomind" / "prompts.json", place / "checkpoints" / "VideoMind-2B")
    printed = [run([sys.executable, "-c", code], place).stdout for code in blocks("python")]
    assert len(printed) == 3
    assert "confidence" in printed[0]
    assert printed[1] == "short\n"
    assert "('planner', " in printed[2]


def test_the_demo_runs(place: Path) -> None:
    """`make demo` without the set-up, which this very run has done."""
    lines = run(["make", "--dry-run", "demo", "-C", str(ROOT)], place).stdout.replace("\\\n", " ").splitlines()
    [demo] = [line for line in lines if "agent.run" in line]
    done = run([sys.executable, *shlex.split(demo)[1:], "--json"], place)
    result = json.loads(done.stdout)
    assert result["answer"]["text"] == "the blue chest"
    assert result["answer"]["option_probs"][0] > 0.9
    assert result["strange_film"] is False
    best = Span(*(result["moments"][0][end] for end in ("start_s", "end_s")))
    assert max(iou(best, Span(*ends)) for ends in ((0.6, 3.36), (4.07, 4.94))) > 0.6


def test_the_default_answers_the_readmes_questions(place: Path) -> None:
    """The films were made with the test split's seeds; what is right is known from their stories."""
    right = {"20000049": "the blue chest", "20000063": "the orange cupboard", "20000073": "a red bear"}
    asked = [words for words in commands() if any(word.startswith("examples/") for word in words)]
    assert len(asked) == 4
    for words in asked:
        result = json.loads(run([sys.executable, *words[1:], "--json"], place).stdout)
        seed = Path(result["video"]["path"]).name.partition("-")[0]
        assert result["answer"]["text"] == right.get(seed)
        if seed not in right:
            assert iou(Span(result["moments"][0]["start_s"], result["moments"][0]["end_s"]), Span(18.37, 20.14)) > 0.6


def test_files_that_the_readme_links_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert links
