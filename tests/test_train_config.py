"""Flags, YAML and the settings dataclass: what can be said, and that everything wrong is said at once."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.train.config import (
    ConfigError,
    Target,
    TrainConfig,
    about,
    complain,
    parse,
    read_config,
    same_training,
    to_yaml,
    validate,
)
from adapters.train.fields import flags_of
from roles.errors import InputError

NEEDED = ["--model", "base", "--data", "train.jsonl", "--out", "out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnConfig(TrainConfig):
    """A role's settings: two defaults of its own, one new field, one new rule."""

    learning_rate: float = 5e-5
    batch: int = 2
    pairs: bool = field(default=True, metadata=about("balance Yes and No", shapes_result=True))

    def rules(self) -> Any:
        if self.pairs and self.batch % 2:
            yield ("pairs", "batch"), f"batch {self.batch}: expected an even number with pairs"


def read(*argv: str, config_type: Any = TrainConfig, needed: bool = True) -> Any:
    return parse(config_type, [*(NEEDED if needed else []), *argv], "prog", "Does it.")


def problems(*argv: str, config_type: Any = TrainConfig, needed: bool = True) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(*argv, config_type=config_type, needed=needed)
    return caught.value.problems


def read_or_problems(path: str) -> tuple[OwnConfig | None, tuple[str, ...]]:
    try:
        return read("--config", path, config_type=OwnConfig), ()
    except ConfigError as error:
        return None, error.problems


def yaml_file(folder: Path, text: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


# Flags


def test_defaults_are_the_recipe_of_the_released_adapters() -> None:
    config = read()
    assert (config.learning_rate, config.schedule, config.warmup, config.batch, config.epochs) == (
        1e-4,
        "cosine",
        0.03,
        32,
        1.0,
    )
    assert (config.lora_rank, config.lora_alpha, config.lora_dropout) == (64, 64.0, 0.1)
    assert config.lora_targets == ("q_proj", "k_proj", "v_proj", "o_proj")
    assert config.max_duration_s == math.inf
    assert validate(config) == []


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--learning-rate", "5e-5"], "learning_rate", 5e-5),
        (["--max-steps=10"], "max_steps", 10),
        (["--max-steps", "none"], "max_steps", None),
        (["--val", "v.jsonl"], "val", Path("v.jsonl")),
        (["--val", "none"], "val", None),
        (["--max-duration-s", "inf"], "max_duration_s", math.inf),
        (["--lora-targets", "q_proj", "v_proj"], "lora_targets", ("q_proj", "v_proj")),
        (["--lora-targets", "q_proj, v_proj"], "lora_targets", ("q_proj", "v_proj")),
        (["--lora-targets=q_proj,v_proj"], "lora_targets", ("q_proj", "v_proj")),
        (["--report-to", "none"], "report_to", ()),
        (["--report-to", "wandb", "tensorboard"], "report_to", ("wandb", "tensorboard")),
        (["--betas", "0.9", "0.95"], "betas", (0.9, 0.95)),
        (["--checkpointing", "all"], "checkpointing", "all"),
        (["--checkpointing", "7"], "checkpointing", 7),
        (["--new-tokens", "none"], "new_tokens", "none"),
        (["--fresh"], "fresh", True),
        (["--fresh", "--no-fresh"], "fresh", False),
        (["--batch", "4", "--batch", "8"], "batch", 8),
        (["--model", "none"], "model", "none"),
    ],
)
def test_a_flag_is_read_as_its_field_says(argv: list[str], name: str, value: object) -> None:
    found = getattr(read(*argv), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--batch", "0"], "--batch 0: expected a whole number of at least 1"),
        (["--batch", "3.5"], "--batch 3.5: expected a whole number of at least 1"),
        (["--learning-rate", "nan"], "--learning-rate nan: expected a number above 0 and at most 1"),
        (["--learning-rate", "1e4"], "--learning-rate 1e4: expected a number above 0 and at most 1"),
        (["--epochs", "inf"], "--epochs inf: expected a number above 0"),
        (["--warmup", "1"], "--warmup 1: expected a number of at least 0 and below 1"),
        (["--max-duration-s=-inf"], "--max-duration-s -inf: expected a number above 0 or inf"),
        (["--max-steps", "0"], "--max-steps 0: expected a whole number of at least 1 or none"),
        (["--seed", "4294967296"], "--seed 4294967296: expected a whole number of at least 0 and below 4294967296"),
        (
            ["--schedule", "cosin"],
            "--schedule cosin: expected one of cosine, linear, constant; did you mean cosine?",
        ),
        (
            ["--checkpointing", "-1"],
            "--checkpointing -1: expected a whole number of at least 0 or one of auto, all, none",
        ),
        (["--betas", "0.9"], "--betas 0.9: expected 2 values, each a number of at least 0 and below 1"),
        (["--device", "gpu"], "--device gpu: expected auto, cpu, cuda or cuda:N"),
        (["--data", ""], "--data '': expected a path"),
        (["--model", " "], "--model ' ': expected text"),
        (["--bacth", "3"], "--bacth: no such flag; did you mean --batch?"),
        (["--zzz"], "--zzz: no such flag (see --help)"),
        (["--fresh", "x"], "x: belongs to no flag (see --help)"),
        (["--batch"], "argument --batch: expected one argument (see --help)"),
    ],
)
def test_what_is_wrong_is_named_with_value_rule_and_choices(argv: list[str], message: str) -> None:
    assert problems(*argv) == (message,)


def test_a_misspelt_or_repeated_target_is_refused() -> None:
    assert problems("--lora-targets", "qproj", "v_proj")[0].endswith("none twice; did you mean q_proj?")
    assert "none twice" in problems("--lora-targets", "q_proj", "q_proj")[0]
    assert "at least one" in problems("--lora-targets", "none")[0]


def test_every_problem_is_told_at_once() -> None:
    found = problems(
        "--bacth", "3", "--schedule", "cosin", "--batch", "0", "--eval-every", "5", needed=False
    )  # fmt: skip
    starts = ["--schedule cosin", "--batch 0", "--bacth", "--data: missing", "--model: missing", "--out: missing"]
    assert len(found) == 7
    assert all(any(line.startswith(start) for line in found) for start in [*starts, "eval_every 5"])


def test_a_rule_over_fields_that_are_bad_already_is_not_told_again() -> None:
    assert len(problems("--min-duration-s", "9", "--max-duration-s", "5")) == 1
    assert len(problems("--min-duration-s", "9", "--max-duration-s", "x")) == 1
    assert len(problems("--eval-every", "3", "--val", "")) == 1


def test_the_best_weights_need_validations_to_choose_by() -> None:
    assert problems("--select", "best")[0].startswith("select best: expected val and eval_every")
    assert read("--select", "best", "--val", "v", "--eval-every", "5").select == "best"


def test_errors_are_printed_one_line_each_and_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read("--batch", "0", "--schedule", "\x1b[31mred\nblue")
    assert complain(caught.value) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("mindreel: error: --") for line in lines)
    assert "\x1b" not in "".join(lines)


def test_wrong_settings_of_a_launch_are_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert complain(ConfigError(["batch 0"])) == 2
        assert complain(InputError(f"only on {rank}")) == 2
    assert [line.removeprefix("mindreel: error: ") for line in capsys.readouterr().err.splitlines()] == [
        "batch 0",
        "only on 0",
        "only on 1",
    ]


def test_help_shows_groups_and_defaults_and_keeps_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(OwnConfig, ["--help"], "prog", "Trains it.\n\n    prog --model BASE\n\nMore 100% of it.")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for heading in ("data:", "optimisation:", "adapter:", "memory and speed:", "output:", "this role:"):
        assert f"\n{heading}\n" in shown
    assert "\n    prog --model BASE\n" in shown
    flat = " ".join(shown.split())
    assert "--learning-rate X the greatest one (default: 5e-05)" in flat
    assert "--pairs, --no-pairs balance Yes and No (default: yes)" in flat
    assert "prog --data FILE --model BASE --out DIR [--config FILE]" in flat


def test_every_field_explains_itself() -> None:
    for flag in flags_of(TrainConfig):
        assert flag.about["help"], flag.name
        assert flag.about["group"] != "this role", flag.name


def test_settings_do_not_load_torch() -> None:
    code = (
        "import sys, adapters.train.config; print([m for m in ('torch', 'transformers', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# A role's own settings


def test_a_subclass_keeps_limits_and_explanations_of_fields_with_other_defaults() -> None:
    config = read(config_type=OwnConfig)
    assert (config.learning_rate, config.batch, config.pairs) == (5e-5, 2, True)
    assert problems("--learning-rate", "2", config_type=OwnConfig)[0].startswith("--learning-rate 2: expected a number")


def test_rules_of_a_subclass_and_of_its_base_are_both_asked() -> None:
    found = problems("--batch", "3", "--eval-every", "1", config_type=OwnConfig)
    assert [line.split()[0] for line in found] == ["eval_every", "batch"]
    assert read("--batch", "3", "--no-pairs", config_type=OwnConfig).batch == 3


def test_an_object_made_in_python_is_validated_as_well() -> None:
    good = read()
    bad = dataclasses.replace(good, batch=True, lora_targets=("q_proj", "conv"), val="x", warmup=2, init="none")
    assert sorted(line.split()[0] for line in validate(bad)) == ["batch", "init", "lora_targets", "val", "warmup"]


# YAML


def test_flags_win_over_yaml_and_yaml_over_defaults(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "model: m\ndata: d\nout: o\nbatch: 8\nlearning-rate: 1e-3\nepochs: 2\n")
    config = read("--config", path, "--batch", "16", needed=False)
    assert (config.model, config.batch, config.learning_rate, config.epochs, config.seed) == ("m", 16, 1e-3, 2.0, 42)


def test_yaml_values_are_read_as_people_write_them(tmp_path: Path) -> None:
    text = """
learning_rate: 1e-4
batch: "64"
val: none
init: null
new_tokens:
max_duration_s: .inf
report_to: []
lora_targets: q_proj, v_proj
betas: [0.9, 0.95]
fresh: true
"""
    config = read("--config", yaml_file(tmp_path, text))
    assert (config.learning_rate, config.batch, config.val, config.init) == (1e-4, 64, None, None)
    assert (config.new_tokens, config.max_duration_s, config.report_to) == ("none", math.inf, ())
    assert (config.lora_targets, config.betas, config.fresh) == (("q_proj", "v_proj"), (0.9, 0.95), True)


def test_every_wrong_line_of_yaml_is_named_with_the_file(tmp_path: Path) -> None:
    text = (
        "vla: x\nworkers: true\nseed: 3.0\nfresh: maybe\nval: 2024-01-01\non: 3\nmodel: 7\nbatch: [1]\nepochs: {a: 1}\n"
    )
    path = yaml_file(tmp_path, text)
    found = problems("--config", path, needed=False)
    told = [line.removeprefix(f"{path}: ").split()[0].rstrip(":") for line in found]
    assert told[:9] == ["vla", "workers", "seed", "fresh", "val", "True", "model", "batch", "epochs"]
    assert told[9:] == ["--data", "--out"]
    assert found[0].endswith("no such setting; did you mean val?")
    assert found[6].endswith("model 7: expected text; put it in quotes")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n- 2\n", "expected lines such as"),
        (b"batch: 1\nbatch: 2\n", "batch stands on line 1 and again on line 2"),
        (b"log-every: 1\nseed: 1\nlog_every: 2\n", "log_every stands on line 1 and again on line 3"),
        (b"batch: [1\n", "line 2, column 1"),
        (b"a: !!python/object/apply:os.system ['true']\n", "no YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"? [a, b]\n: 1\n? {c: d}\n: 2\n", "no YAML"),
        (b"seed: !!int ''\n", "no YAML"),
        (b"val: 2024-13-45\n", "no YAML"),
        (b"a: " + b"[" * 5000, "no YAML"),
    ],
)
def test_yaml_that_cannot_be_used_gives_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    found = problems("--config", str(path), needed=False)
    assert len(found) == 1, "what the file may have held is not called missing"
    assert found[0].startswith(f"{path}: ")
    assert message in found[0]
    assert "\n" not in found[0]


def test_a_yaml_file_that_is_missing_or_no_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in problems("--config", str(tmp_path / "none.yaml"))[0]
    assert "not a file" in problems("--config", str(tmp_path))[0]
    assert "not a file" in problems("--config", "/dev/null")[0]


def test_an_empty_yaml_file_sets_nothing(tmp_path: Path) -> None:
    assert read("--config", yaml_file(tmp_path, "# nothing\n")) == read()


def test_aliases_that_unfold_without_end_do_not_fill_the_message(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
    found = problems("--config", yaml_file(tmp_path, "\n".join([*rows, "batch: *a11"])))
    assert max(map(len, found)) < 500


def test_missing_pyyaml_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "pip install 'mindreel[train]'" in problems("--config", "x.yaml")[0]
    config = read()
    with pytest.raises(InputError, match=r"mindreel\[train\]"):
        to_yaml(config)


def test_saved_settings_explain_themselves(tmp_path: Path) -> None:
    text = to_yaml(read())
    assert "# samples per optimizer step over all devices\nbatch: 32\n" in text
    assert "\n# optimisation\n" in text
    assert [flag.name for flag in flags_of(TrainConfig) if f"\n{flag.name}: " not in text] == []


def test_saved_settings_of_an_older_version_get_the_new_defaults(tmp_path: Path) -> None:
    lines = [line for line in to_yaml(read("--seed", "7")).splitlines() if not line.startswith("clip_norm")]
    config = read_config(Path(yaml_file(tmp_path, "\n".join(lines))), TrainConfig)
    assert config == read("--seed", "7")


def test_a_saved_file_that_lacks_what_is_required_is_refused(tmp_path: Path) -> None:
    path = Path(yaml_file(tmp_path, "model: m\n"))
    with pytest.raises(ConfigError) as caught:
        read_config(path, TrainConfig)
    assert [line.split(":")[1].strip() for line in caught.value.problems] == ["data", "out"]


def _texts(optional: bool = False) -> st.SearchStrategy[str]:
    texts = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() and "\0" not in text)
    return texts.filter(lambda text: text.strip().lower() != "none") if optional else texts


def _paths() -> st.SearchStrategy[Path]:
    return _texts(optional=True).map(Path).filter(lambda path: str(path).strip().lower() not in ("", "none"))


def _numbers(**limits: Any) -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False, **limits)


CONFIGS = st.builds(
    OwnConfig,
    model=_texts(),
    data=_paths(),
    out=_paths(),
    val=st.none() | _paths(),
    init=st.none() | _texts(optional=True),
    learning_rate=_numbers(min_value=0, max_value=1, exclude_min=True),
    max_duration_s=_numbers(min_value=1) | st.just(math.inf),
    max_steps=st.none() | st.integers(1, 10**12),
    batch=st.integers(1, 500).map(lambda half: 2 * half),
    pairs=st.booleans(),
    betas=st.tuples(_numbers(min_value=0, max_value=0.999), _numbers(min_value=0, max_value=0.999)),
    checkpointing=st.sampled_from(["auto", "all", "none"]) | st.integers(0, 99),
    lora_targets=st.lists(st.sampled_from(get_args(Target)), min_size=1, unique=True).map(tuple),
    report_to=st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), unique=True, max_size=3).map(tuple),
    new_tokens=st.sampled_from(["auto", "rows", "full", "none"]),
)


@given(config=CONFIGS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
def test_any_settings_survive_being_saved(config: OwnConfig, tmp_path: Path) -> None:
    assert validate(config) == []
    path = Path(yaml_file(tmp_path, to_yaml(config)))
    assert read_config(path, OwnConfig) == config
    assert parse(OwnConfig, ["--config", str(path)], "prog", "") == config


def test_odd_texts_survive_being_saved(tmp_path: Path) -> None:
    for odd in (
        "a: b #c",
        "'\"",
        "yes",
        "1e5",
        "~",
        "\udcff.mp4",
        "\u2028x",
        "é\t\n x",
        "0\x85",
        "a\r\nb",
        "\ufeff",
        "- x",
        "2024-01-01",
        "null",
    ):
        config = dataclasses.replace(read(), model=odd, data=Path(odd))
        assert read_config(Path(yaml_file(tmp_path, to_yaml(config))), TrainConfig) == config, odd


@given(
    content=st.dictionaries(
        st.sampled_from([flag.name for flag in flags_of(OwnConfig)]) | st.text(max_size=6),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=4,
        ),
        max_size=6,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
def test_any_values_give_settings_or_problems_and_never_another_error(content: dict[str, Any], tmp_path: Path) -> None:
    import yaml

    path = yaml_file(tmp_path, yaml.safe_dump(content, allow_unicode=True))
    config, found = read_or_problems(path)
    assert (config is None) == bool(found)
    assert config is None or validate(config) == []
    assert all("\n" not in line for line in found)


@given(text=st.text(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
def test_any_file_gives_settings_or_problems(text: str, tmp_path: Path) -> None:
    config, found = read_or_problems(yaml_file(tmp_path, text))
    assert (config is None) == bool(found)
    assert all("\n" not in line for line in found)


# Resuming


def test_the_same_command_trains_the_same() -> None:
    assert same_training(read(), read()) == []


@pytest.mark.parametrize(
    "argv",
    [
        ["--learning-rate", "1e-3"], ["--data", "other.jsonl"], ["--model", "other"], ["--max-steps", "9"],
        ["--batch", "8"], ["--lora-targets", "q_proj"], ["--seed", "1"],
        ["--dtype", "float32"], ["--max-query-words", "9"], ["--new-tokens", "rows"], ["--init", "x"],
        ["--prompts", "x"],
    ],
)  # fmt: skip
def test_what_changes_the_weights_is_named(argv: list[str]) -> None:
    assert same_training(read(), read(*argv)) == [argv[0].removeprefix("--").replace("-", "_")]


@pytest.mark.parametrize(
    "argv",
    [
        ["--workers", "0"], ["--report-to", "none"], ["--log-every", "5"], ["--keep", "9"], ["--device", "cpu"],
        ["--features", "f"], ["--val", "v"], ["--val", "v", "--val-limit", "3"], ["--fresh"], ["--save-every", "5"],
        ["--out", "elsewhere"], ["--max-broken", "0.5"], ["--checkpointing", "all"],
    ],
)  # fmt: skip
def test_what_does_not_change_the_weights_may_change_in_a_resume(argv: list[str]) -> None:
    assert same_training(read(), read(*argv)) == []


def test_another_spelling_of_the_same_path_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert same_training(read(), read("--data", str(tmp_path / "train.jsonl"), "--model", "./base")) == []


def test_settings_of_different_roles_are_never_compared() -> None:
    with pytest.raises(TypeError, match="OwnConfig"):
        same_training(read(), read(config_type=OwnConfig))


def test_a_field_of_a_type_that_no_flag_can_say_is_an_error_of_the_programmer() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Odd:
        table: dict[str, int] = field(default_factory=dict, metadata=about("no flag"))

    with pytest.raises(TypeError, match=r"table: .*dict"):
        parse(Odd, [], "prog", "")
