"""The folder of a run loses no record, mixes no two runs, and says in a line why it cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from eval import run
from eval.item import Item
from eval.run_folder import Shard, checkpoint_digest, read_predictions, read_records, write_predictions
from roles.errors import CheckpointError, DataError
from tests.test_eval_run import CHECKPOINT, ORACLE, command, examples, ran


def test_another_run_in_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = examples(tmp_path, 1, ("v1",)), tmp_path / "out"
    assert run.main(command(data, out)) == 0
    kept = (out / "metrics.json").read_bytes()
    code, _, told = ran(command(data, out, "--frames", "8"), capsys)
    assert code == 2
    assert "another frames" in told
    assert told.count("\n") == told.count("mindreel: ")
    with (data / "test.jsonl").open("a") as file:
        file.write("\n")
    code, _, told = ran(command(data, out), capsys)
    assert code == 2
    assert "another data" in told
    assert (out / "metrics.json").read_bytes() == kept


def test_a_second_run_at_the_same_time_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from eval.run_folder import only_one

    data, out = examples(tmp_path, 1, ("v1",)), tmp_path / "out"
    script = "import sys, time; from pathlib import Path; from eval.run_folder import only_one\n" \
        "with only_one(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", script, str(out)], stdout=subprocess.PIPE, cwd=ORACLE.parents[2]
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        code, _, told = ran(command(data, out), capsys)
        other.kill()
    assert code == 2
    assert "another run is at work" in told
    with only_one(out):
        pass


def test_a_full_disk_ends_the_run_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard(tmp_path)
    shard.add({"key": "a"})

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eval.run_folder.os.write", full)
    with pytest.raises(DataError, match=r"No space left.*run the same command again"):
        shard.add({"key": "b"})
    monkeypatch.undo()
    assert read_records(tmp_path) == {"a": {"key": "a"}}


def test_a_record_of_an_answer_wins_over_one_of_an_error(tmp_path: Path) -> None:
    for error in ("it broke", None, "it broke again"):
        shard = Shard(tmp_path)
        shard.add({"key": "a", "error": error})
        shard.close()
    assert read_records(tmp_path) == {"a": {"key": "a", "error": None}}


def test_half_a_character_in_a_reply_is_kept(tmp_path: Path) -> None:
    shard = Shard(tmp_path)
    shard.add({"key": "a", "said": "half \ud83d of é"})
    shard.close()
    records = read_records(tmp_path)
    assert records["a"]["said"] == "half \ud83d of é"
    write_predictions(tmp_path, [Item("a", "v.mp4", "what?")], records)
    assert read_predictions(tmp_path) == records


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "a.jsonl").write_text('{"key": "a"}\nnothing\n{"key": "b"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: line 2"):
        read_records(tmp_path)


@pytest.mark.parametrize("name", ["file", "file/below", "x" * 300])
def test_a_folder_that_cannot_be_made_is_told_in_a_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    code, _, told = ran(command(examples(tmp_path, 1, ("v1",)), tmp_path / name), capsys)
    assert code == 2
    assert told.startswith(f"mindreel: error: {tmp_path / name}: cannot be written (")
    assert told.count("\n") == 1


def test_figures_of_fewer_questions_do_not_outlive_the_start_of_a_longer_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = examples(tmp_path, 1, ("v1", "v2")), tmp_path / "out"
    assert run.main(command(data, out, "--limit", "1")) == 0
    (out / ".metrics.json.1.partial").touch()  # as a kill leaves it
    shards = [path.read_bytes() for path in (out / "shards").iterdir()]

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eval.asking.Worker.ask", killed)
    assert run.main(command(data, out)) == 130
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", "data.json", "items.jsonl", "run.json", "shards", "traces"
    ]  # fmt: skip
    assert [path.read_bytes() for path in (out / "shards").iterdir()] == shards


def test_a_folder_with_somebody_s_report_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = examples(tmp_path, 1, ("v1",)), tmp_path / "out"
    out.mkdir()
    (out / "report.md").write_text("mine")
    code, _, told = ran(command(data, out), capsys)
    assert code == 2
    assert "holds other files" in told
    assert (out / "report.md").read_text() == "mine"


def test_other_films_than_a_run_s_own_are_not_made_in_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (out / "films").mkdir(parents=True)
    (out / "films" / "manifest.json").write_text('{"seeds": {"sets": 1}}')
    (out / "run.json").write_text("{}")
    code, _, told = ran(["worlds", *CHECKPOINT, "--sets", "2", "--out", str(out)], capsys)
    assert code == 2
    assert "holds a run of 1 sets of films; name another --out" in told
    assert [path.name for path in (out / "films").iterdir()] == ["manifest.json"]


def test_a_checkpoint_is_known_by_its_contents(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.safetensors").write_bytes(b"12")
        (tmp_path / name / "notes.md").write_text(name)
    same = checkpoint_digest(str(tmp_path / "one"))
    assert same == checkpoint_digest(str(tmp_path / "two"))
    (tmp_path / "two" / "a.safetensors").write_bytes(b"13")
    assert checkpoint_digest(str(tmp_path / "two")) != same


def test_a_weight_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.safetensors").touch()

    def refused(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(CheckpointError, match=r"a\.safetensors: cannot be read \(Permission denied\)"):
        checkpoint_digest(str(tmp_path))
