"""Makes the verifier's training data: a trained grounder runs over a data set, the truth judges its candidates.

    python -m adapters.train.mine --model BASE --adapters adapters --data train.jsonl --out mined.jsonl

For every example with spans, the grounder's best candidates become one example each: the candidate is the span, the
answer is Yes where it overlaps a true span by an IoU of at least 0.5, else No. What was done is kept beside the output,
so an interrupted run goes on where it was. Under `accelerate launch` the videos are dealt out to the devices.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.train.config import complain
from roles import grounder, verifier
from roles.errors import DataError, MindreelError
from roles.examples import parse_lines, read_lines, to_line, video_path, write_text
from roles.spans import iou
from roles.types import Example, Moment, Span

if TYPE_CHECKING:
    from adapters.qwen2vl import Qwen2VL

UNIT_S = 0.001


@dataclass(frozen=True, slots=True)
class Mined:
    """What a run over a data set gave.

    Attributes:
        examples: Examples that were looked at.
        positive: Candidates that are the moment.
        negative: Candidates that are not.
        skipped: Reason -> examples that were left out for it.
    """

    examples: int
    positive: int
    negative: int
    skipped: Mapping[str, int]


def candidates(backbone: Qwen2VL, video: Any, query: str) -> list[Moment]:
    """The grounder's best candidates, as the verifier will get them from the agent."""
    pointing = backbone.point(grounder.request(video, None, query, backbone.prompts))
    window = Span(0.0, video.duration_s)
    return grounder.read(pointing, window, UNIT_S, verified=True)[: verifier.MAX_CANDIDATES]


def judged(example: Example, group: str, moments: Sequence[Moment]) -> Iterator[Example]:
    """A verifier's examples from the candidates of one question."""
    for moment in moments:
        if moment.span.length_s <= 0:
            continue  # a span without length is no candidate to look at
        overlap = max(iou(moment.span, true) for true in example.spans)
        yield Example(
            video=example.video,
            question=example.question,
            answer="Yes" if overlap >= verifier.POSITIVE_IOU else "No",
            spans=(moment.span,),
            tags={
                "group": group,
                "candidate_iou": f"{overlap:.4f}",
                "candidate_confidence": f"{moment.confidence:.6f}",
            },
        )


def mine(
    model: str,
    adapters: str,
    data: Path,
    out: Path,
    device: str = "auto",
    dtype: str = "auto",
    max_broken: float = 0.02,
) -> Mined:
    """Runs a grounder over a data set.

    Args:
        model: The base, a folder or hub id.
        adapters: A folder or hub id that holds a grounder.
        data: Examples with spans.
        out: The verifier's examples, JSON lines; videos are named relative to it.
        device: As for `agent.run`.
        dtype: Likewise.
        max_broken: Stop when a greater share of the videos is broken.

    Raises:
        InputError: Data or weights that cannot be used.
    """
    from accelerate import PartialState

    from adapters.frames import open_video
    from adapters.qwen2vl import Qwen2VL
    from adapters.train.progress import say, track

    processes = PartialState(cpu=device == "cpu")
    numbered, problems = parse_lines(read_lines(data))
    if problems:
        raise DataError(f"{data}: {'; '.join(map(str, problems[:10]))}")
    work = out.with_name(f".{out.name}.parts")
    run = hashlib.sha256(json.dumps([model, adapters]).encode() + data.read_bytes()).hexdigest()[:16]
    part = work / f"{run}-{processes.process_index}-of-{processes.num_processes}.jsonl"
    skipped: Counter[str] = Counter()
    by_video: dict[str, list[tuple[int, Example]]] = {}
    for line, example in numbered:
        if example.spans:
            by_video.setdefault(str(video_path(example, data)), []).append((line, example))
        else:
            skipped["no spans"] += 1
    paths = sorted(by_video)
    mine_paths = paths[processes.process_index :: processes.num_processes]
    done = _done(part)
    left = [path for path in mine_paths if path not in done]
    if left:
        where = device if device != "auto" or processes.num_processes == 1 else str(processes.device)
        backbone = Qwen2VL.load(model, adapters, device=where, dtype=dtype, prompts="own")
        if not backbone.has("grounder"):
            raise DataError(f"{adapters}: holds no grounder; train one with python -m adapters.train.grounder")
        work.mkdir(parents=True, exist_ok=True)
        broken = 0
        with part.open("a", encoding="utf-8") as file:
            for path in track(left, "mining", len(left)) if processes.is_main_process else left:
                found: list[str] = []
                reason = ""
                try:
                    with open_video(path) as opened:
                        video = backbone.watch(opened)
                        for line, example in by_video[path]:
                            query = example.tags.get("query", example.question)
                            moments = candidates(backbone, video, query)
                            named = _renamed(example, path, out)
                            found += [to_line(one) for one in judged(named, f"{data.name}:{line}", moments)]
                        backbone.forget(video)
                except MindreelError as error:
                    reason, found = str(error), []
                    broken += 1
                    say(f"broken video: {error}")
                    if broken > max(max_broken * len(mine_paths), 1):
                        raise DataError(f"{broken} videos cannot be read, too many; the last: {error}") from error
                file.write(json.dumps({"video": path, "lines": found, "broken": reason}, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
    processes.wait_for_everyone()
    parts = [work / f"{run}-{i}-of-{processes.num_processes}.jsonl" for i in range(processes.num_processes)]
    gathered: dict[str, dict[str, Any]] = {}
    for one in parts:
        gathered |= _done(one)
    lines = [line for path in paths for line in gathered.get(path, {}).get("lines", [])]
    broken_examples = sum(len(by_video[path]) for path in paths if gathered.get(path, {}).get("broken"))
    if broken_examples:
        skipped["broken video"] += broken_examples
    positive = sum(json.loads(line)["answer"] == "Yes" for line in lines)
    if not lines:
        raise DataError(f"{data}: gave no candidates ({dict(skipped)})")
    processes.wait_for_everyone()
    if processes.is_main_process:
        write_text(out, lines)
        for one in parts:
            one.unlink(missing_ok=True)
        if work.is_dir() and not any(work.iterdir()):
            work.rmdir()
    return Mined(len(numbered), positive, len(lines) - positive, dict(skipped))


def _renamed(example: Example, path: str, out: Path) -> Example:
    """The example with its video named relative to the output's folder, or absolutely where it lies elsewhere."""
    from dataclasses import replace

    if Path(example.video).is_absolute():
        return example
    return replace(example, video=os.path.relpath(path, out.parent))


def _done(part: Path) -> dict[str, dict[str, Any]]:
    """What an earlier run got done, by video; a line that was cut off does not count."""
    done = {}
    if part.is_file():
        for line in part.read_text(encoding="utf-8").splitlines():
            try:
                found = json.loads(line)
                done[found["video"]] = found
            except (ValueError, KeyError, TypeError):
                continue
    return done


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m adapters.train.mine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="BASE", help="base model, a folder or hub id")
    parser.add_argument("--adapters", required=True, metavar="DIR", help="folder or hub id that holds a grounder")
    parser.add_argument("--data", required=True, type=Path, metavar="FILE", help="examples with spans, JSON lines")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the verifier's examples, JSON lines")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="auto", help="auto, bfloat16, float16 or float32")
    parser.add_argument(
        "--max-broken", type=float, default=0.02, metavar="X", help="stop when a greater share of the videos is broken"
    )
    args = parser.parse_args(argv)
    try:
        mined = mine(args.model, args.adapters, args.data, args.out, args.device, args.dtype, args.max_broken)
    except KeyboardInterrupt:
        print("mindreel: interrupted; the same command goes on where it was", file=sys.stderr)
        return 130
    except MindreelError as error:
        return complain(error)
    left_out = "".join(f", {count} x {reason}" for reason, count in mined.skipped.items())
    print(f"{args.out}: {mined.positive} right and {mined.negative} wrong candidates{left_out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
