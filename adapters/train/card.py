"""The summary of a training run goes in, the README of its adapter comes out: what it is, learned from, and can.

Whatever a user or a file wrote is escaped. Of files only the names are told: a card is made to be shown around.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from adapters.train.text import markdown, plain

DOES = {
    "planner": "reads a question about a video and writes, as JSON, whether a moment must be found first, and which",
    "grounder": "finds the moments of a video that a question is about; its regression head gives spans in seconds",
    "verifier": "looks at a candidate moment from close by and says whether it is the one: P(Yes) - P(No)",
    "answerer": "watches the chosen moment and answers the question",
}
WHERE = ("data", "val", "out", "features", "init", "prompts", "model")
"""Settings that name a file or folder."""
UNTOLD = ("device", "workers", "features", "report_to", "log_every", "keep", "fresh", "out", "save_every")
"""Settings that say nothing about the weights; config.yaml has them all."""


def model_card(summary: Mapping[str, Any], adapters: str, curve: str | None = None) -> str:
    """The README.md of one role's adapter.

    Args:
        summary: From `adapters.train.report.write_summary`.
        adapters: The folder that holds the role's, as `agent.run --adapters` takes it.
        curve: The picture of the losses, relative to the card.

    Returns:
        Markdown that begins with the front matter that model hubs read.
    """
    role, base = str(summary["role"]), _name(summary["base"])
    does = DOES.get(role, "is one role of a video question answering agent")
    lines = _front_matter(role, base)
    lines += [
        f"# Mindreel {markdown(role)}",
        "",
        f"A LoRA adapter over {markdown(base)}, one of the roles that answer Theory-of-Mind questions about videos in "
        f"Mindreel. It {does}.",
        "",
    ]
    lines += _data_section(summary["data"])
    lines += _result_section(summary, curve)
    lines += _use_section(summary, role, base, _name(adapters))
    lines += _settings_section(summary["config"])
    lines += [
        "## Limits",
        "",
        "The adapter knows what its data showed it, and its numbers hold for the data above only: try it on your own "
        "before you rely on it. What it says about people's minds is a guess from what can be seen.",
        "",
        "It comes under the terms of its base model and of its training data; Mindreel's code is Apache-2.0.",
    ]
    if summary["notes"]:
        lines += ["", "## Notes", "", *(f"- {markdown(note)}" for note in summary["notes"])]
    return "\n".join(lines).rstrip() + "\n"


def _front_matter(role: str, base: str) -> list[str]:
    def quoted(text: str) -> str:
        return json.dumps(plain(text), ensure_ascii=False)  # also a YAML text

    tags = ["lora", "mindreel", "qwen2_vl", "theory-of-mind", "video", role]
    return [
        "---",
        f"base_model: {quoted(base)}",
        "library_name: peft",
        "tags:",
        *(f"- {quoted(t)}" for t in tags),
        "---",
        "",
    ]


def _data_section(data: Mapping[str, Any]) -> list[str]:
    lines = ["## Data", ""]
    for name, count in (("training", data["train"]), ("validation", data["val"])):
        if count is None:
            continue
        skipped = ", ".join(f"{number:,} for: {markdown(why)}" for why, number in count["skipped"].items())
        told = f"- {name}: {markdown(_name(count['file']))}, {count['used']:,} of {count['examples']:,} examples"
        told += f" on {count['videos']:,} videos"
        told += f"; videos that could not be read: {count['broken_videos']:,}" if count["broken_videos"] else ""
        lines.append(told + (f"; left out {skipped}" if skipped else ""))
    return [*lines, ""]


def _result_section(summary: Mapping[str, Any], curve: str | None) -> list[str]:
    speed = summary["samples_per_s"]
    device = markdown(summary["hardware"].get("device", "unknown"))
    processes = summary["hardware"].get("processes", 1)
    told = f"{summary['steps']:,} steps, {summary['samples']:,} samples"
    told += f", {speed:.3g} samples/s on {processes} x {device}." if speed else "."
    if summary["kept_step"] != summary["steps"]:
        told += f" The weights are those of step {summary['kept_step']:,}, the best in validation."
    lines = ["## Result", "", told, ""]
    metrics = [
        (markdown(name), _number(value["last"]), _number(value["best"]), _number(value["best_step"]))
        for name, value in summary["metrics"].items()
    ]
    if metrics:
        lines += [*_table(("validation", "last", "best", "at step"), metrics), ""]
    losses = [(markdown(name), _number(value)) for name, value in summary["losses"].items()]
    if losses:
        lines += [*_table(("training loss", "last step"), losses), ""]
    if curve is not None:
        lines += [f"![Losses and validation over the steps]({re.sub(r'[^A-Za-z0-9._/-]', '_', curve)})", ""]
    return lines


def _use_section(summary: Mapping[str, Any], role: str, base: str, adapters: str) -> list[str]:
    shell = [shlex.quote(plain(name)) for name in (base, adapters)]
    lines = [
        "## Use",
        "",
        "In Mindreel, with whichever other roles stand in the same folder:",
        "",
        "```bash",
        f"python -m agent.run --video film.mp4 --model {shell[0]} --adapters {shell[1]} \\",
        '    --question "Where will Sally look for the marble?"',
        "```",
        "",
    ]
    if summary["config"].get("layout") == "videomind":
        return [
            *lines,
            "Tensor names are those of transformers 4.45, as in VideoMind. PEFT on a current one needs it converted:",
            "",
            "```bash",
            f"python -m adapters.convert --adapters {shell[1]} --out converted --layout peft",
            "```",
            "",
        ]
    lines += [
        "With PEFT alone, which loads the adapter"
        + (" but not the regression head beside it:" if role == "grounder" else ":"),
        "",
        "```python",
        "from peft import PeftModel",
        "from transformers import Qwen2VLForConditionalGeneration",
        "",
        f"base = Qwen2VLForConditionalGeneration.from_pretrained({json.dumps(plain(base), ensure_ascii=False)})",
        f"model = PeftModel.from_pretrained(base, {json.dumps(plain(f'{adapters}/{role}'), ensure_ascii=False)})",
        "```",
        "",
    ]
    return lines


def _settings_section(config: Mapping[str, Any]) -> list[str]:
    rows = [(markdown(name), markdown(_told(name, value))) for name, value in config.items() if name not in UNTOLD]
    return ["## Settings", "", *_table(("setting", "value"), rows), ""]


def _told(name: str, value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return _name(value) if name in WHERE else str(value).lower() if isinstance(value, bool) else str(value)


def _name(place: object) -> str:
    """A hub id as it is; of a path the last part."""
    text = str(place)
    return text if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", text) else PurePath(text).name or text


def _number(value: float | None) -> str:
    return "no number" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]
