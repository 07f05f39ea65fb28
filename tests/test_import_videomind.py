"""Importing prompts: VideoMind's constants are parsed, never run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from adapters.import_videomind import main
from prompts import read_prompt_file

ORACLE = Path(__file__).parent / "data" / "oracle" / "videomind"
CONSTANTS = """
import os
os.abort()
MARK_A, MARK_B = "<|seg_start|>", "<|seg_end|>"
SEG_A: str = '<|seg_start|>'
SEG_B = '<|seg_end|>'
COUNT = 3
PLANNER_PROMPT = ('Plan it. ' 'Write [{{"type": "grounder", "value": "x"}}]. ' + "Question: '{}'")
GROUNDER_PROMPT = 'Find "{0}" in it.'
VERIFIER_PROMPT = (f'Between {SEG_A} and {SEG_B}: ' + 'is it {query}?')
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A VideoMind folder without prompts; config only, as nothing else is looked at."""
    made = tmp_path / "videomind"
    made.mkdir()
    shutil.copy(ORACLE / "config.json", made)
    (tmp_path / "constants.py").write_text(CONSTANTS)
    return made


def run(folder: Path, *more: str) -> int:
    return main([str(folder), "--constants", str(folder.parent / "constants.py"), *more])


def test_constants_become_prompts_and_are_not_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    assert "wrote" in capsys.readouterr().out
    texts = json.loads((folder / "prompts.json").read_text())
    assert texts == {
        "planner": 'Plan it. Write [{{"type": "grounder", "value": "x"}}]. Question: \'{question}\'',
        "grounder": 'Find "{query}" in it.',
        "verifier": "Between <|seg_start|> and <|seg_end|>: is it {query}?",
        "grounder_reply": "The relevant moment happens in <|reg|>.",
    }
    book = read_prompt_file(folder / "prompts.json")
    assert book.get("grounder").fill(query="a {} b").text == 'Find "a {} b" in it.'


def test_running_it_again_changes_nothing_and_other_prompts_are_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder) == 0
    assert run(folder) == 0
    (folder / "prompts.json").write_text("{}")
    assert run(folder) == 2
    assert "already there with other prompts; replace it with --force" in capsys.readouterr().err
    assert (folder / "prompts.json").read_text() == "{}"
    assert run(folder, "--force") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PLANNER_PROMPT = '{}'", "GROUNDER_PROMPT, VERIFIER_PROMPT not found as text"),
        ("def (", "cannot be read as Python"),
        (CONSTANTS.replace("{0}", "{0} and {1}"), "GROUNDER_PROMPT has 2 placeholders; expected one"),
        (CONSTANTS.replace("{0}", "it"), "GROUNDER_PROMPT has 0 placeholders; expected one"),
        (CONSTANTS.replace("{0}", "{"), "GROUNDER_PROMPT is no str.format template"),
    ],
)
def test_a_file_that_is_not_videominds_is_refused(
    folder: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder.parent / "constants.py").write_text(text)
    assert run(folder) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (folder / "prompts.json").exists()


def test_a_missing_file_and_a_foreign_folder_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--constants", str(folder / "none.py")]) == 2
    assert "no such file" in capsys.readouterr().err
    (folder / "config.json").write_text('{"model_type": "qwen2_vl"}')
    assert run(folder) == 2
    assert "(VideoMind's layout)" in capsys.readouterr().err
