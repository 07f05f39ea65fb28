"""Whole questions through the agent and through the command line, against what VideoMind's own script gave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent import Agent, Settings
from roles import answerer
from roles.subtitles import read_subtitles
from roles.types import PX_PER_TOKEN, Budget

from .conftest import CASES, ORACLE, read_case


class Lacking:
    """A backbone without some of its adapters, as the recorded runs that did not load them."""

    def __init__(self, backbone: Any, roles: set[str]) -> None:
        self._backbone, self._roles = backbone, roles

    def has(self, role: str) -> bool:
        return role not in self._roles and bool(self._backbone.has(role))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)


def settings_of(case: dict[str, Any]) -> Settings:
    attrs = case["dataset_attrs"]
    default = answerer.BUDGET
    budget = Budget(
        fps=attrs.get("FPS", default.fps),
        max_frames=attrs.get("MAX_FRAMES", default.max_frames),
        min_px=attrs.get("MIN_PIXELS", 128) * PX_PER_TOKEN,
        max_px=attrs.get("MAX_PIXELS", 256) * PX_PER_TOKEN,
    )
    return Settings(
        unit_s=attrs["UNIT"],
        min_clip_s=attrs.get("MIN_LEN", answerer.MIN_CLIP_S),
        min_clip_ratio=attrs.get("MIN_RATIO"),
        style=case["style"],
        budgets={"answerer": budget},
    )


@pytest.mark.parametrize("name", CASES)
def test_the_agent_answers_as_recorded(backbone: Any, videos: dict[str, Any], name: str) -> None:
    case = read_case(name)
    anno, flags, output = case["anno"], case["flags"], case["official_output"]
    lacking = {role for role in ("planner", "verifier") if not flags[f"{role}_loaded"]}
    agent = Agent(Lacking(backbone, lacking), settings_of(case))
    lines = []
    if "subtitle_path" in anno:
        lines = read_subtitles((ORACLE / anno["subtitle_path"]).read_text(), anno["subtitle_path"])
    result = agent.ask(
        videos[anno["video_path"]].video,
        anno.get("question") or anno["query"],
        anno.get("options", ()),
        subtitles=lines,
        duration_s=output["duration"],
    )
    assert result.error is None
    assert result.video.duration_s == pytest.approx(output["duration"], abs=1e-9)
    by_role = {step.call.role: step for step in result.steps}
    # An answer that the recorded script did not ask for (no options there) is extra here, nothing else is.
    ran = [role for role, step in by_role.items() if step.status in ("ok", "fallback")]
    assert [role for role in ran if role != "answerer"] == [role for role in output["agents"] if role != "answerer"]
    if "planner_response" in output:
        assert by_role["planner"].raw == output["planner_response"]
    if "grounder_response" in output:
        assert by_role["grounder"].raw == output["grounder_response"]
        assert (by_role["grounder"].status == "ok") == output["grounder_success"]
    if "pred" in output:
        assert len(result.moments) == len(output["pred"])
        for moment, (start_s, end_s), confidence in zip(result.moments, output["pred"], output["conf"], strict=True):
            assert (moment.span.start_s, moment.span.end_s) == pytest.approx((start_s, end_s), abs=1e-6)
            assert moment.confidence == pytest.approx(confidence, abs=1e-5)
    if "ranks" in output:
        recorded = {step["name"]: step["verifier"] for step in case["steps"] if step["role"] == "verifier"}
        for rank, moment in zip(output["ranks"], result.moments, strict=True):
            assert moment.p_yes == pytest.approx(recorded[f"verifier_{rank}"]["prob_yes"], abs=1e-5)
            assert moment.p_no == pytest.approx(recorded[f"verifier_{rank}"]["prob_no"], abs=1e-5)
    if "answerer_response" in output:
        assert by_role["answerer"].raw == output["answerer_response"]
        [step] = [step for step in case["steps"] if step["role"] == "answerer"]
        assert result.clip is not None
        ends = (step["video_args"]["video_start"], step["video_args"]["video_end"])
        assert (result.clip.start_s, result.clip.end_s) == pytest.approx(ends, abs=1e-5)


def test_the_command_line_answers_as_recorded(tmp_path: Path) -> None:
    case = read_case("case01")
    anno, output = case["anno"], case["official_output"]
    command = [
        *(sys.executable, "-m", "agent.run", "--json", "--device", "cpu", "--dtype", "float32"),
        *("--video", str(ORACLE / anno["video_path"]), "--adapters", str(ORACLE / "videomind")),
        *("--question", anno["question"], "--options", *anno["options"]),
        *("--trace", str(tmp_path / "trace.jsonl")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["plan_source"] == "planner"
    assert found["plan"][0] == {"role": "grounder", "query": output["planner_parsed_query"]}
    for moment, (start_s, end_s), confidence in zip(found["moments"], output["pred"], output["conf"], strict=True):
        assert (moment["start_s"], moment["end_s"]) == pytest.approx((start_s, end_s), abs=1e-6)
        assert moment["confidence"] == pytest.approx(confidence, abs=1e-5)
    assert found["answer"] == {"text": output["answerer_response"], "choice": "C", "option_probs": None}
    assert found["clip"] == {"start_s": 0.0, "end_s": 24.0}
