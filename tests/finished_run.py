"""Folders of finished runs, made by code: questions, what was said of them, figures, traces."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.agent import Agent
from agent.recorder import TraceWriter
from eval.item import Item, Record, groups_of, write_items
from eval.run_folder import write_predictions
from eval.run_scores import score_run
from roles.types import Span, Video
from tests.fakes import ScriptedBackbone

OPTIONS = ("In the basket.", "In the box.", "On the shelf.", "Nowhere.")
TYPES = ("belief", "reality", "second_order")
BY = ("type", "order")
HEADLINE = ("Acc", "mIoU", "R1@0.5", "Acc@GQA")


def items(count: int, per_video: int = 4, options: Sequence[str] = OPTIONS) -> list[Item]:
    """Questions with options, an answer and spans; four on a video of 60 s."""
    dice = random.Random("finished run")  # noqa: S311 - no secret
    made = []
    for number in range(count):
        start_s = round(dice.uniform(0, 45), 2)
        video = f"videos/film {number // per_video}.mp4"
        made.append(
            Item(
                key=f"q{number}",
                video=video,
                question=f"Where will Sally look for marble {number}?",
                options=tuple(options),
                answer_at=dice.randrange(len(options)) if options else None,
                spans=(Span(start_s, start_s + 10),),
                tags={"type": TYPES[number % 3], "order": str(1 + number % 2), "duration_s": "60"},
                set=video,
            )
        )
    return made


def record(item: Item, choice: int | None = None, **others: Any) -> Record:
    """What was said of a question, chosen by letter."""
    letter = "ABCDEFGH"[choice] if choice is not None else ""
    said = f"({letter}) {item.options[choice]}" if choice is not None else None
    made = {
        "key": item.key,
        "said": said,
        "choice": choice,
        "probs": None,
        "spans": [],
        "grounded": [],
        "plan": ["grounder", "verifier", "answerer"],
        "fell_back": [],
        "error": None,
        "notes": [],
        "strange": None,
        "duration_s": 60.0,
        "swap": None,
        "blind": None,
        "trace": None,
        "elapsed_s": 1.25,
    }
    return made | others


def records(asked: Sequence[Item], minds: bool = True) -> dict[str, Record]:
    """What a model says that is right more often than not, and surer then."""
    dice = random.Random("what is said")  # noqa: S311 - no secret
    made = {}
    for item in asked:
        if item.missing:
            made[item.key] = record(item, error="the video is missing", plan=[], duration_s=None)
            continue
        assert item.answer_at is not None
        probs = [dice.uniform(0.05, 0.5) for _ in item.options]
        probs[item.answer_at] += dice.uniform(0, 0.8)
        probs = [round(one / sum(probs), 5) for one in probs]
        choice = probs.index(max(probs))
        off_s = dice.gauss(0, 4)
        start_s = round(max(0.0, item.spans[0].start_s + off_s), 3) if item.spans else 3.0
        spans = [[start_s, start_s + 9.5, 0.7, 0.8], [5.0, 12.0, 0.4, 0.2], [30.0, 33.0, 0.1, None]]
        swap = None
        if minds:
            kinds = {"true": 0.9, "predicted": 0.7, "random": 0.4, "complement": 0.3}
            swap = {
                kind: {"choice": item.answer_at if dice.random() < share else 0, "clip": [0.0, 8.0]}
                for kind, share in kinds.items()
            }
        made[item.key] = record(
            item,
            choice,
            said=item.options[choice],
            probs=probs,
            spans=spans,
            grounded=spans[::-1],
            swap=swap,
            blind={"choice": dice.randrange(len(item.options))} if minds else None,
        )
    return made


def with_traces(folder: Path, asked: Sequence[Item], said: Mapping[str, Record]) -> dict[str, Record]:
    """Traces of the questions, a file for each video, and the records with their places."""
    made = dict(said)
    for number, group in enumerate(groups_of(asked)):
        name = f"traces/{number}.jsonl"
        video = Video(group.video, duration_s=60.0, fps=25.0, width_px=640, height_px=360, frames=1500)
        with TraceWriter(folder / name) as trace:
            agent = Agent(ScriptedBackbone(), trace=trace)
            for place, item in enumerate(group.items, start=1):
                agent.ask(video, item.question, item.options)
                made[item.key] = {**made[item.key], "trace": [name, place]}
    return made


def write_run(
    folder: Path,
    asked: Sequence[Item],
    said: Mapping[str, Record],
    *,
    benchmark: str = "nextgqa",
    minds: bool = True,
    about: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Path:
    """A finished run's folder, its figures worked out as a run works them out."""
    folder.mkdir(parents=True, exist_ok=True)
    write_items(folder / "items.jsonl", asked)
    write_predictions(folder, asked, said)
    metrics = score_run(benchmark, "val", asked, said, HEADLINE, BY, minds)
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    for name, value in (("run.json", about), ("data.json", data)):
        if value is not None:
            (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


def full_run(folder: Path, count: int = 24) -> Path:
    """A run with everything in it: traces, failures, dirt."""
    asked = items(count)
    asked[5] = replace(asked[5], missing=True)
    said = with_traces(folder, asked, records(asked))
    said["q6"] = record(asked[6], error="frame 31 cannot be decoded", fell_back=["grounder"])
    said["q7"] = said["q7"] | {"choice": None, "said": "She may look anywhere.", "probs": None}
    said["q8"] = said["q8"] | {"fell_back": ["verifier"], "notes": ["the answer was cut off at 32 tokens"]}
    del said["q9"]
    about = {
        "benchmark": "nextgqa",
        "model": {"adapters": "checkpoints/mindreel", "digest": "0123abcd"},
        "plan": "auto",
        "settings": {"seed": 0, "budgets": {"answerer": [2.0, 16]}},
        "versions": {"mindreel": "0.1.0", "torch": "2.11.0"},
    }
    data = {
        "version": 1,
        "split": "val",
        "files": [{"name": "val.csv", "bytes": 1234, "sha256": "00ff00ff00ff00ff"}],
        "read": count + 2,
        "items": count,
        "skipped": {"its text is empty": {"count": 2, "first": ["val.csv line 3", "val.csv line 9"]}},
        "noted": {"two options have the same text": {"count": 1, "first": ["val.csv line 4"]}},
        "changed": {},
        "missing_videos": {"count": 1, "first": ["film 1"]},
    }
    return write_run(folder, asked, said, about=about, data=data)
