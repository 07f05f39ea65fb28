"""Wrong use of the command is told in a line, and what it shows harms no terminal."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from eval import run
from tests.test_eval_run import ORACLE, command, examples, metrics, ran


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nextgqa", "--out", "OUT"], "--data"),
        (["nothing", "--out", "OUT"], "nothing"),
        (["examples", "--data", "nowhere", "--out", "OUT"], "nowhere"),
        (["examples", "--data", "DATA", "--out", "OUT", "--model", "nowhere", "--plan", "answer"], "nowhere"),
        (["examples", "--data", "DATA", "--out", "OUT", "--limit", "0"], "1 or more"),
        (["examples", "--data", "DATA", "--out", "OUT", "--timeout", "-1"], "timeout"),
        (["examples", "--data", "DATA"], "--out"),
        (["examples", "--data", "DATA", "--out", ""], "expected a path"),
        (["examples", "--data", "", "--out", "OUT"], "expected a path"),
        (["examples", "--data", "DATA", "--out", "OUT", "--timeout", "inf"], "expected seconds"),
        (["examples", "--data", "DATA", "--out", "OUT", "--sets", "3"], "--sets: is for films of our world"),
        (["worlds", "--data", "DATA", "--seed", "3", "--out", "OUT"], "--seed: is for films of our world"),
        (["examples", "--data", "DATA", "--out", "OUT", "--address", "auto"], "needs --engine ray"),
        (["examples", "--data", "DATA", "--out", "OUT", "--gpus-per-worker", "0.5"], "needs --engine ray"),
        (["examples", "--data", "DATA", "--out", "OUT", "--engine", "ray", "--gpus-per-worker", "-1"], "a part of 1"),
        (["examples", "--data", "DATA", "--out", "OUT", "--engine", "ray", "--gpus-per-worker", "nan"], "a part of 1"),
        (["worlds", "--videos", "DATA", "--out", "OUT"], "--data"),
        (["worlds", "--split", "nothing", "--out", "OUT"], "nothing"),
        (["worlds", "--seed", "99999999999", "--out", "OUT"], "split"),
    ],
)
def test_wrong_use_is_told_in_a_line(
    arguments: Sequence[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = examples(tmp_path, 1, ("v1",))
    places = {"OUT": str(tmp_path / "out"), "DATA": str(data)}
    try:
        code = run.main([places.get(one, one) for one in arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    told = capsys.readouterr().err.strip().split("\n")
    assert code == 2
    assert words in "\n".join(told)
    assert "Traceback" not in "\n".join(told)
    assert any(line.startswith("mindreel: error: ") for line in told)


def test_a_world_size_that_no_launcher_set_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    for size in ("2", "many"):
        monkeypatch.setenv("WORLD_SIZE", size)
        code, _, told = ran(command(examples(tmp_path, 1, ("v1",)), tmp_path / "out"), capsys)
        assert code == 2
        assert told.startswith(f"mindreel: error: WORLD_SIZE is '{size}', but no launcher set it")
        assert told.count("\n") == 1


def test_names_with_odd_characters_are_used_and_shown_safely(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a b%20#?\n\x1b[31mé"
    code, said, told = ran(command(examples(tmp_path, 1, ("v1",)), out), capsys)
    assert code == 0
    assert metrics(out)["counts"]["asked"] == 1
    assert "\x1b" not in said + told
    assert "a b%20#? [31mé/report.md" in told


def test_an_interval_of_one_set_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = ran(command(examples(tmp_path, 2, ("v1",)), tmp_path / "out"), capsys)
    assert code == 0
    assert re.search(r"^Acc  +[\d.]+ +one set: no interval +2$", said, re.MULTILINE)


def test_streams_that_were_closed_do_no_harm(tmp_path: Path) -> None:
    data, out = examples(tmp_path, 1, ("v1",)), tmp_path / "out"
    line = shlex.join([sys.executable, "-m", "eval.run", *command(data, out)]) + " >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], cwd=ORACLE.parents[2], check=False).returncode == 0
    assert metrics(out)["counts"]["asked"] == 1
