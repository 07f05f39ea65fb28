"""`python -m eval.worlds`: the same bytes every time, going on, errors in one line, statistics and sheets."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from eval.worlds import make, plot, splits, stats
from eval.worlds.__main__ import main
from roles.examples import read_examples
from roles.types import Example, Span

SMALL = ["--size", "64", "--fps", "2", "--length", "12"]
ROOT = Path(__file__).parents[1]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; gives exit code, output and errors."""

    def command(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:  # argparse's own errors
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return command


def make_set(folder: Path, *more: object, n: int = 1, seed: int = 0) -> int:
    words = ["make", "--seed", seed, "--n", n, "--out", folder, "--split", "train", "--workers", 1, *SMALL, *more]
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets; not to be changed."""
    folder = tmp_path_factory.mktemp("worlds") / "made"
    assert make_set(folder, n=2) == 0
    return folder


def files(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if "films:" not in line]
    assert len(lines) == 1, err
    assert lines[0].startswith("mindreel: error: ")
    return lines[0]


def test_the_same_command_gives_the_same_bytes_whatever_the_workers(made: Path, tmp_path: Path) -> None:
    assert make_set(tmp_path / "again", "--workers", "2", n=2) == 0
    assert files(tmp_path / "again") == files(made)


def test_films_are_as_the_records_say_and_evidence_lies_inside_them(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    for name, film in manifest["films"].items():
        path = made / "films" / f"{name}.mp4"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == film["sha256"]
        with av.open(str(path)) as container:
            shown = container.streams.video[0]
            seen = (shown.frames, str(shown.average_rate), shown.width, shown.height)
        assert seen == (film["frames"], film["fps"], film["width_px"], film["height_px"])
        assert abs(film["frames"] / 2 - film["duration_s"]) <= 0.5
    for example in read_examples(made / "examples.jsonl"):
        assert (made / example.video).is_file()
        end_s = manifest["films"][Path(example.video).stem]["duration_s"]
        assert all(span.end_s <= end_s for span in example.spans)


def test_the_manifest_counts_what_is_there(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    examples = read_examples(made / "examples.jsonl")
    counts = manifest["counts"]
    wanted = [f"{seed:08d}-{kind}" for seed in (0, 1) for kind in plot.members(seed)]
    assert list(manifest["films"]) == wanted
    assert counts["films"] == len(wanted) == sum(counts["kinds"].values())
    assert counts["examples"] == len(examples) == sum(counts["types"].values())
    assert sum(map(sum, counts["positions"].values())) == sum(bool(example.options) for example in examples)
    digest = hashlib.sha256((made / "examples.jsonl").read_bytes()).hexdigest()
    assert manifest["examples"]["sha256"] == digest
    assert (manifest["split"], manifest["seeds"]) == ("train", {"first": 0, "last": 1, "sets": 2})
    assert set(manifest["generator"]["versions"]) == {"python", "av", "numba", "numpy"}


def test_going_on_makes_only_what_is_missing_or_damaged(run: Run, made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    assert make_set(folder, n=2) == 0
    before = files(folder)
    names = sorted(path.stem for path in (folder / "films").iterdir())
    (folder / "films" / f"{names[0]}.mp4").unlink()
    (folder / "films" / f"{names[1]}.mp4").write_bytes(b"cut short")
    (folder / "records" / f"{names[2]}.json").write_text('{"torn')
    kept = {name: (folder / "films" / f"{name}.mp4").stat().st_mtime_ns for name in names[3:]}
    words = ["make", "--seed", 0, "--n", 2, "--out", folder, "--split", "train", "--workers", 1, *SMALL]
    code, out, _ = run(*words)
    assert code == 0
    assert f"{len(names) - 3} films were there already" in out
    assert files(folder) == before == files(made)
    assert all((folder / "films" / f"{name}.mp4").stat().st_mtime_ns == kept[name] for name in kept)


def test_an_interrupted_run_keeps_what_is_finished_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, run: Run, made: Path, tmp_path: Path
) -> None:
    words = ["make", "--seed", 0, "--n", 2, "--out", tmp_path / "d", "--split", "train", "--workers", 1, *SMALL]
    real, calls = make.make_film, []

    def stop_at_the_third(job: Any) -> bool:
        calls.append(job)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(job)

    with monkeypatch.context() as patch:
        patch.setattr(make, "make_film", stop_at_the_third)
        code, _, err = run(*words)
    assert code == 130
    assert "what is finished stays" in one_line(err)
    assert len(list((tmp_path / "d" / "films").iterdir())) == 2
    assert run("stats", tmp_path / "d")[0] == 2
    assert run(*words)[0] == 0
    assert files(tmp_path / "d") == files(made)


def begun(folder: Path) -> subprocess.Popen[str]:
    """A long run with two workers that has finished some films."""
    words = ["make", "--seed", "0", "--n", "400", "--out", str(folder), "--split", "train", "--workers", "2", *SMALL]
    process = subprocess.Popen(
        [sys.executable, "-m", "eval.worlds", *words],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: len(list(folder.glob("records/0*.json"))) >= 2)
    return process


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_ctrl_c_ends_all_workers_and_leaves_no_half_film(tmp_path: Path) -> None:
    process = begun(tmp_path / "d")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: everybody gets it
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    films = {path.stem for path in (tmp_path / "d" / "films").iterdir()}
    records = {path.stem for path in (tmp_path / "d" / "records").iterdir()} - {"asked"}
    assert films == records
    assert not (tmp_path / "d" / "manifest.json").exists()


def test_workers_end_when_their_run_is_killed(tmp_path: Path) -> None:
    process = begun(tmp_path / "d")
    process.kill()
    process.communicate(timeout=60)

    def nobody_left() -> bool:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(nobody_left)


def test_a_folder_takes_more_sets_but_no_other_options(run: Run, tmp_path: Path) -> None:
    assert make_set(tmp_path / "d", "--no-films") == 0
    assert make_set(tmp_path / "d", "--no-films", n=2) == 0
    assert json.loads((tmp_path / "d" / "manifest.json").read_text())["seeds"]["sets"] == 2
    base = ["make", "--seed", 0, "--out", tmp_path / "d", "--split", "train", *SMALL]
    for changed, name in (
        (["--n", 2], "films"),
        (["--n", 2, "--no-films", "--fps", "3"], "fps"),
        (["--n", 1, "--no-films"], "sets"),
        (["--n", 2, "--no-films", "--seed", 5], "first_seed"),
    ):
        code, _, err = run(*base, *changed)
        assert code == 2
        assert f"was made with {name} " in one_line(err)


def test_questions_alone_are_those_of_the_films(made: Path, tmp_path: Path) -> None:
    assert make_set(tmp_path / "d", "--no-films", n=2) == 0
    assert not (tmp_path / "d" / "films").exists()
    assert (tmp_path / "d" / "examples.jsonl").read_bytes() == (made / "examples.jsonl").read_bytes()


def made_kinds(folder: Path) -> list[str]:
    return [film["kind"] for film in json.loads((folder / "manifest.json").read_text())["films"].values()]


def test_kinds_and_families_can_be_asked_for(tmp_path: Path) -> None:
    assert make_set(tmp_path / "k", "--no-films", "--kind", "told", "seen_peek") == 0
    assert made_kinds(tmp_path / "k") == ["told", "seen_peek"]
    assert make_set(tmp_path / "f", "--no-films", "--family", "contents", n=3) == 0
    assert sorted(set(made_kinds(tmp_path / "f"))) == sorted(plot.all_kinds("contents"))
    assert make_set(tmp_path / "a", "--no-films", "--family", "place", "--kind", "all") == 0
    wanted = set(plot.all_kinds("place")) - set(splits.HELD_KINDS)
    assert set(made_kinds(tmp_path / "a")) == wanted


def test_a_size_with_width_gives_every_film_that_shape(tmp_path: Path) -> None:
    words = ["make", "--seed", "0", "--n", "1", "--out", str(tmp_path / "d"), "--split", "val", "--kind"]
    words += ["false_belief", "--size", "96x64", "--fps", "2", "--length", "12", "--workers", "1"]
    assert main(words) == 0
    film = next(iter(json.loads((tmp_path / "d" / "manifest.json").read_text())["films"].values()))
    assert (film["width_px"], film["height_px"], film["seed"]) == (96, 64, 10_000_000)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--kind", "nonsense"], "no such kind; take all or some of"),
        (["--kind", "came_back", "--split", "train"], "kept for the generalisation split"),
        (["--kind", "told", "--family", "place"], "give one of them"),
        (["--seed", "9999999", "--n", "2"], "only 1 such sets in the split train, which ends at 9999999"),
        (["--seed", "1000000", "--split", "val"], "only 0 such sets"),
        (["--seed", "15000000"], "belongs to no split"),
        (["--seed", "-1"], "expected a whole number"),
        (["--n", "0"], "at least one"),
        (["--size", "63"], "expected even numbers"),
        (["--size", "400x100"], "stages are 4:3, 3:2, 16:9; take"),
        (["--fps", "0"], "expected 1 to 120"),
        (["--fps", "nan"], "expected 1 to 120"),
        (["--length", "2"], "expected 5 to 600 seconds"),
        (["--workers", "0"], "1 or more"),
        (["--split", "dev"], "invalid choice"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(run: Run, tmp_path: Path, words: list[str], says: str) -> None:
    code, _, err = run("make", "--seed", 0, "--n", 1, "--out", tmp_path / "d", "--no-films", *words)
    assert code == 2
    assert says in one_line(err)
    assert not (tmp_path / "d").exists()


def test_a_folder_that_cannot_be_written_and_a_full_disk_cost_one_line(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    words = ["make", "--seed", 0, "--n", 1, "--split", "train", "--workers", 1, *SMALL]
    code, _, err = run(*words, "--out", tmp_path / "file" / "d")
    assert code == 2
    assert "cannot be written" in one_line(err)

    def full(*_: object) -> dict[str, Any]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(make, "_draw", full)
    code, _, err = run(*words, "--out", tmp_path / "d")
    assert code == 2
    assert "No space left on device" in one_line(err)
    assert "it goes on" in one_line(err)


def test_a_fault_of_the_generator_names_seed_and_kind(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a hand\nwithout an arm")

    monkeypatch.setattr(plot, "scene", broken)
    words = ["make", "--seed", 7, "--n", 1, "--kind", "told", "--out", tmp_path / "d", "--workers", 1]
    code, _, err = run(*words)
    assert code == 1
    assert "seed 7, kind told: ValueError: a hand without an arm" in one_line(err)


def started(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_and_a_wrong_word_import_nothing_heavy() -> None:
    done = started(
        "import sys, eval.worlds.__main__ as m\n"
        "[m.parser(c).format_help() for c in (None, 'make', 'show', 'stats')]\n"
        "print([n for n in ('numpy', 'numba', 'av', 'PIL', 'rich', 'matplotlib', 'torch', 'eval.worlds.shortcuts')"
        " if n in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    words = ["make", "--seed", "0", "--n", "1", "--out", str(tmp_path / "d"), "--workers", "1"]
    done = started(
        f"import sys; sys.modules['numba'] = None\nfrom eval.worlds.__main__ import main\nsys.exit(main({words!r}))"
    )
    assert done.returncode == 2
    assert done.stderr == "mindreel: error: numba is missing; run: pip install 'mindreel[worlds]'\n"


def test_stats_print_and_plot_the_balance(run: Run, made: Path, tmp_path: Path) -> None:
    code, out, _ = run("stats", made, "--out", tmp_path / "stats.png")
    assert code == 0
    for word in ("belief", "reality", *made_kinds(made)):
        assert word in out
    assert (tmp_path / "stats.png").read_bytes().startswith(b"\x89PNG")


def test_stats_refuse_what_is_no_data_set_in_one_line(run: Run, made: Path, tmp_path: Path) -> None:
    assert "cannot be read" in one_line(run("stats", tmp_path / "nowhere")[2])
    (tmp_path / "manifest.json").write_text("[]")
    assert "expected a JSON object" in one_line(run("stats", tmp_path)[2])
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    assert "no manifest that this version can read" in one_line(run("stats", tmp_path)[2])
    (tmp_path / "manifest.json").write_bytes((made / "manifest.json").read_bytes())
    (tmp_path / "examples.jsonl").write_text('{"video": "films/other.mp4", "question": "Who?", "answer": "I"}\n')
    assert "line 1: the manifest knows no film other" in one_line(run("stats", tmp_path)[2])


def test_tallies_measure_positions_and_evidence() -> None:
    tally = stats.Tally()
    for answer in ("a", "a", "b", "a"):
        spans = (Span(1.0, 3.0), Span(2.0, 4.0))
        tally.add(Example("v", "q", ("a", "b"), answer, spans, {"truth": "false"}), film_s=10.0)
    assert stats.position_shares(tally) == [75.0, 25.0]
    assert tally.lengths_s == [3.0] * 4  # where spans overlap it counts once
    assert tally.shares == [0.3] * 4
    assert tally.middles[:2] == [0.2, 0.3]
    assert tally.truths == {"false": 4}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_show_writes_the_sheet_of_a_set_and_prints_its_questions(run: Run, elsewhere: Path) -> None:
    code, out, _ = run("show", 20_000_000, "--kind", "lie", "--length", 12, "--questions", "--frames", 6)
    assert code == 0
    assert out.splitlines()[0] == "20000000-lie.png"
    assert (elsewhere / "20000000-lie.png").read_bytes().startswith(b"\x89PNG")
    assert "belief: " in out
    assert "\n  * " in out
    first = (elsewhere / "20000000-lie.png").read_bytes()
    assert run("show", 20_000_000, "--kind", "lie", "--length", 12, "--frames", 6)[0] == 0
    assert (elsewhere / "20000000-lie.png").read_bytes() == first


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["15000000"], "belongs to no split"),
        (["0", "--kind", "nonsense"], "no such kind"),
        (["0", "--frames", "1"], "expected 2 to 48"),
        (["zero"], "invalid int value"),
    ],
)
def test_show_refuses_what_it_cannot_draw_in_one_line(run: Run, words: list[str], says: str) -> None:
    code, _, err = run("show", *words)
    assert code == 2
    assert says in one_line(err)
