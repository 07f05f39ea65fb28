"""What it is worth to ask all questions on a video together: seconds a question, three ways, as JSON and a table.

    python -m eval.run_speed --adapters DIR --video a.mp4 [--questions 5] [--out speed.json]

Alone: each question on a video that was not seen before, as one after the other on the command line. Video kept: what
was decoded and encoded stays. Together, as `python -m eval.run` asks: the prompts' common beginning is read once, too.
Replies are forced to texts of fixed lengths, as in `eval.speed`; the first round, which warms up, does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.decode import LanguageModel
from adapters.frames import VideoFile, open_video
from agent import Agent
from eval.speed import GIB, NEW_TOKENS, OPTIONS, forced_reply
from eval.steady_model import SteadyModel
from roles.errors import MindreelError

WAYS = ("alone", "video kept", "together")
QUESTION = "Where will person {} look for the marble when she comes back into the room?"


def measure(model: SteadyModel, file: VideoFile, way: str, questions: int) -> dict[str, Any]:
    """Seconds of each of some questions on a video, and the most memory in use."""
    reader = model.reader
    model._language_model = reader if way == "together" else _plain(model)
    model.watch(file)
    model.reset_peak_memory()
    reused, spent_s = reader.reused_tokens, []
    for number in range(questions):
        if way == "alone":
            model.forget(file.video)
            model.watch(file)
        began = time.perf_counter()
        result = Agent(model).ask(file.video, QUESTION.format(number + 1), OPTIONS)
        spent_s.append(time.perf_counter() - began)
        if result.error is not None:
            raise MindreelError(result.error)
    model.forget(file.video)
    model._language_model = reader
    return {
        "seconds": [round(one, 4) for one in spent_s],
        "mean_s": sum(spent_s) / questions,
        "reused_tokens": reader.reused_tokens - reused,
        "peak_mem_bytes": model.peak_memory_bytes(),
    }


def _plain(model: SteadyModel) -> LanguageModel:
    return LanguageModel(model._model.model.language_model)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Loads the model and asks about every video in each way."""
    model = SteadyModel.load(args.model, args.adapters, device=args.device, dtype=args.dtype, attn=args.attn)
    assert isinstance(model, SteadyModel)  # noqa: S101 - `load` makes what it is called on
    model.forced_replies |= {role: forced_reply(model, role, length) for role, length in NEW_TOKENS.items()}
    videos = []
    for path in args.video:
        with open_video(path) as file:
            for way in WAYS:
                measure(model, file, way, 2)
            ways = {way: measure(model, file, way, args.questions) for way in WAYS}
            videos.append({"path": path, "duration_s": file.video.duration_s, "ways": ways})
    return {"model": model.describe(), "questions": args.questions, "new_tokens": NEW_TOKENS, "videos": videos}


def report(record: dict[str, Any]) -> str:
    """The record as a table."""
    about = record["model"]
    lines = [
        f"{about['device_name']}, {about['dtype']}, {about['attention']}, torch {about['torch']}, "
        f"{record['questions']} questions a video",
        "",
        "| video | asked | seconds a question | faster | peak GiB |",
        "|---|---|---|---|---|",
    ]
    for video in record["videos"]:
        first_s = video["ways"][WAYS[0]]["mean_s"]
        for way, found in video["ways"].items():
            cells = (
                f"{video['duration_s']:.0f} s", way, f"{found['mean_s']:.2f}", f"{first_s / found['mean_s']:.2f}x",
                f"{(found['peak_mem_bytes'] or 0) / GIB:.2f}",
            )  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m eval.run_speed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="base model; default: the one that the adapters name")
    parser.add_argument("--adapters", required=True, help="folder of role adapters")
    parser.add_argument("--video", action="append", required=True, help="may be given several times")
    parser.add_argument("--questions", type=int, default=5, help="questions per video (default 5)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--attn", default="auto")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args(argv)
    try:
        record = run(args)
    except MindreelError as error:
        print(f"mindreel: error: {error}", file=sys.stderr)
        return error.exit_code
    print(report(record))
    if args.out is not None:
        args.out.write_text(json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
