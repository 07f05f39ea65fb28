"""How fast and how small: load time, seconds per role and peak memory of whole questions, written as JSON and a table.

    python -m eval.speed --adapters DIR --video a.mp4 [--video b.mp4] [--repeats 3] [--out speed.json]

Random weights never write a sensible reply, so by default every role's reply is forced to a fixed text of the length
that is asked for (48, 9 and 32 tokens for planner, grounder and answerer): the work is that of a real question. What
was seen of a video is dropped between repeats; the first question after loading is reported as cold.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.frames import VideoFile, open_video
from adapters.qwen2vl import Qwen2VL
from adapters.tokens import END
from agent import Agent, Settings
from prompts import Part
from roles.errors import MindreelError

QUESTION = "Where will Sally look for the marble when she comes back into the room?"
OPTIONS = ("in the basket", "in the box", "in her pocket", "under the table")
NEW_TOKENS = {"planner": 48, "grounder": 9, "answerer": 32}
GIB = 1 << 30


def forced_reply(model: Qwen2VL, role: str, length: int) -> list[int]:
    """A reply of `length` tokens that the role can read, end token included."""
    end = model.tokens.id(END)

    def encode(text: str) -> list[int]:
        return model.tokens.encode([Part(text, trusted=True)])

    if role == "grounder":
        reply = encode(model.prompts.get("grounder", "reply").fill().text)
        filler = encode("a") * max(0, length - 1 - len(reply))
        return [*[*filler, *reply][-(length - 1) :], end]
    if role == "answerer":
        return [*(encode("a") * length)[: length - 1], end]
    value = ""
    while len(plan := encode(json.dumps([{"type": "grounder", "value": value}, {"type": "answerer"}]))) < length - 1:
        value += " a"
    return [*plan[: length - 1], end] if len(plan) > length - 1 else [*plan, end]


def measure(model: Qwen2VL, file: VideoFile) -> dict[str, Any]:
    """Seconds and peak memory of one question on a video that was not seen before."""
    video = model.watch(file)
    model.reset_peak_memory()
    began = time.perf_counter()
    result = Agent(model, Settings()).ask(video, QUESTION, OPTIONS)
    total_s = time.perf_counter() - began
    if result.error is not None:
        raise MindreelError(result.error)
    return {
        "total_s": total_s,
        "steps": {
            step.call.role: {
                "elapsed_s": step.elapsed_s,
                "status": step.status,
                "peak_mem_bytes": step.peak_mem_bytes,
                "usage": {name: value for name, value in (step.usage or {}).items() if name != "frames"},
                "frames": sum(len(frames["indices"]) for frames in (step.usage or {}).get("frames", ())),
            }
            for step in result.steps
        },
        "peak_mem_bytes": max(step.peak_mem_bytes or 0 for step in result.steps),
        "moments": len(result.moments),
    }


def report(record: dict[str, Any]) -> str:
    """The record as a table."""
    about = record["model"]
    lines = [
        f"{about['device_name']}, {about['dtype']}, {about['attention']}, torch {about['torch']}, "
        f"transformers {about['transformers']}",
        f"load {record['load_s']:.1f} s; base {about['base_bytes'] / GIB:.2f} GiB + adapters "
        f"{about['adapter_bytes'] / GIB:.2f} GiB, {record['loaded_mem_bytes'] / GIB:.2f} GiB in use after loading",
        "",
        f"| {'video':>14} | {'run':>6} | planner s | grounder s | verifier s | answerer s | total s | peak GiB |",
        f"|{'-' * 16}|{'-' * 8}|-----------|------------|------------|------------|---------|----------|",
    ]
    for video in record["videos"]:
        for name, run in (("cold", video["runs"][0]), ("median", video["median"])):
            steps = run["steps"]
            cells = " | ".join(
                f"{steps[role]['elapsed_s']:{width}.2f}"
                for role, width in (("planner", 9), ("grounder", 10), ("verifier", 10), ("answerer", 10))
            )
            peak = run["peak_mem_bytes"] / GIB
            label = f"{video['duration_s']:.0f} s"
            lines.append(f"| {label:>14} | {name:>6} | {cells} | {run['total_s']:7.2f} | {peak:8.2f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m eval.speed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="base model; default: the one that the adapters name")
    parser.add_argument("--adapters", required=True, help="folder of role adapters")
    parser.add_argument("--video", action="append", required=True, help="may be given several times")
    parser.add_argument("--repeats", type=int, default=3, help="questions per video after the cold one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--attn", default="auto")
    parser.add_argument("--free-replies", action="store_true", help="let the model write what it likes")
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


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Loads the model and asks about every video."""
    began = time.perf_counter()
    model = Qwen2VL.load(args.model, args.adapters, device=args.device, dtype=args.dtype, attn=args.attn)
    load_s = time.perf_counter() - began
    model.reset_peak_memory()
    loaded = model.peak_memory_bytes() or 0
    if not args.free_replies:
        model.forced_replies |= {role: forced_reply(model, role, length) for role, length in NEW_TOKENS.items()}
    videos = []
    for path in args.video:
        with open_video(path) as file:
            runs = [measure(model, file) for _ in range(1 + args.repeats)]
            order = sorted(range(1, len(runs)), key=lambda at: runs[at]["total_s"])
            median = runs[order[len(order) // 2]] if order else runs[0]
            videos.append({"path": path, "duration_s": file.video.duration_s, "runs": runs, "median": median})
            model.forget(file.video)
    spread = [statistics.pstdev([one["total_s"] for one in video["runs"][1:]] or [0.0]) for video in videos]
    return {
        "model": model.describe(),
        "load_s": load_s,
        "loaded_mem_bytes": loaded,
        "new_tokens": NEW_TOKENS,
        "videos": videos,
        "spread_s": spread,
    }


if __name__ == "__main__":
    sys.exit(main())
