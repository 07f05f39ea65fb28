"""Makes the verifier's training data: a trained grounder runs over a data set, the truth judges its candidates.

    python -m adapters.train.mine --model BASE --adapters adapters --data train.jsonl --out mined.jsonl

For every example with spans, the grounder's best candidates become one example each: the candidate is the span, the
answer is Yes where it overlaps a true span by an IoU of at least 0.5, else No. What was done is kept beside the output,
so an interrupted run goes on where it was. Under `accelerate launch` the videos are dealt out to the devices.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.train.command import Parser, unusable
from adapters.train.config import complain
from adapters.train.grounder import check_finite
from roles import grounder, verifier
from roles.errors import DataError, MindreelError
from roles.examples import read_numbered, to_line, video_path, write_text
from roles.manner import MANNER_FILE
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
        unpointed: Questions in whose reply the grounder pointed at nothing: their candidates are windows spread over
            the video, as the agent's would be.
    """

    examples: int
    positive: int
    negative: int
    skipped: Mapping[str, int]
    unpointed: int = 0


def candidates(backbone: Qwen2VL, video: Any, query: str) -> tuple[list[Moment], bool]:
    """The grounder's best candidates, as the verifier will get them from the agent, and whether it pointed at all.

    Raises:
        StepError: It has diverged.
    """
    manner = backbone.manner
    pointing = backbone.point(grounder.request(video, None, query, backbone.prompts, manner.budget(grounder.ROLE)))
    check_finite(pointing)
    window = Span(0.0, video.duration_s)
    moments = grounder.read(pointing, window, UNIT_S, verified=True)[: manner.candidates]
    return moments, pointing.rows_norm is not None


def judged(example: Example, group: str, moments: Sequence[Moment]) -> Iterator[Example]:
    """A verifier's examples from the candidates of one question."""
    for moment in moments:
        if moment.span.length_s <= 0:
            continue  # a span without length is no candidate to look at
        overlap = max(iou(moment.span, true) for true in example.spans)
        rounded = math.floor(overlap * 10_000) / 10_000  # down, so that it says Yes exactly where the answer does
        yield Example(
            video=example.video,
            question=example.question,
            answer="Yes" if overlap >= verifier.POSITIVE_IOU else "No",
            spans=(moment.span,),
            tags={
                "group": group,
                "candidate_iou": f"{rounded:.4f}",
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

    from adapters.qwen2vl import Qwen2VL
    from adapters.store import resolve
    from adapters.train.progress import Screen

    processes = PartialState(cpu=device == "cpu")
    numbered = read_numbered(data)
    folder = resolve(adapters, "adapters")
    if not (folder / "grounder").is_dir():
        raise DataError(f"{adapters}: holds no grounder; train one with python -m adapters.train.grounder")
    by_video: dict[str, list[tuple[int, Example]]] = {}
    for line, example in numbered:
        if example.spans:
            by_video.setdefault(str(video_path(example, data)), []).append((line, example))
    if not by_video:
        raise DataError(f"{data}: no example has spans, so there is nothing to judge candidates by")
    if out.is_dir():
        raise DataError(f"{out}: is a folder; name a file with --out")
    paths = sorted(by_video)
    work = out.with_name(f".{out.name}.parts")
    stated = [model, grounder_id(folder), hashlib.sha256(data.read_bytes()).hexdigest()]
    run = hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:16]
    done = _done(work, run)
    share = paths[processes.process_index :: processes.num_processes]
    left = [path for path in share if path not in done]
    if left:
        place = device if device != "auto" or processes.num_processes == 1 else str(processes.device)
        part = work / f"{run}-{processes.process_index}-of-{processes.num_processes}.jsonl"
        with Screen():
            backbone = Qwen2VL.load(model, adapters, device=place, dtype=dtype, prompts="own")
            _look(backbone, left, by_video, data, out, part, max_broken * len(paths), processes)
    processes.wait_for_everyone()
    done = _done(work, run)
    broken = [path for path in paths if path not in done]
    if len(broken) > max_broken * len(paths):
        raise _too_many(data, len(broken))
    lines = [line for path in paths if path in done for line in done[path].lines]
    if not lines:
        why = "none of its videos can be read" if broken else "the grounder gave no span of any length"
        raise DataError(f"{data}: gave no candidates, as {why}")
    positive = sum(json.loads(line)["answer"] == "Yes" for line in lines)
    lost = sum(len(by_video[path]) for path in broken)
    reasons = {"no spans": len(numbered) - sum(map(len, by_video.values())), "broken video": lost}
    skipped = {reason: count for reason, count in reasons.items() if count}
    processes.wait_for_everyone()
    if processes.is_main_process:
        write_text(out, lines)
        shutil.rmtree(work, ignore_errors=True)
    unpointed = sum(one.unpointed for one in done.values())
    return Mined(len(numbered), positive, len(lines) - positive, skipped, unpointed)


def grounder_id(adapters: Path) -> str:
    """Tells apart what decides a grounder's candidates: its weights, its head, its prompts and its manner.

    Raises:
        DataError: They cannot be read.
    """
    digest = hashlib.sha256()
    files = [adapters / "prompts.json", adapters / MANNER_FILE, adapters / "pytorch_model.safetensors"]
    for path in [*files, *sorted((adapters / "grounder").glob("*.safetensors"))]:
        try:
            if path.is_file():
                digest.update(path.name.encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}); check its rights") from error
    return digest.hexdigest()


def _look(
    backbone: Qwen2VL,
    paths: Sequence[str],
    by_video: Mapping[str, Sequence[tuple[int, Example]]],
    data: Path,
    out: Path,
    part: Path,
    most_broken: float,
    processes: Any,
) -> None:
    """Looks for candidates in videos, and keeps what it finds video by video."""
    from adapters.frames import open_video
    from adapters.train.progress import say, track
    from adapters.train.videos import appending

    broken = 0
    with appending(part) as keep:
        for path in track(paths, "mining", len(paths)) if processes.is_main_process else paths:
            found: list[str] = []
            unpointed = 0
            try:
                with open_video(path) as opened:
                    video = backbone.watch(opened)
                    try:
                        for line, example in by_video[path]:
                            moments, pointed = candidates(backbone, video, example.tags.get("query", example.question))
                            unpointed += not pointed
                            named = _renamed(example, path, out)
                            found += [to_line(one) for one in judged(named, f"{data.name}:{line}", moments)]
                    finally:
                        backbone.forget(video)
            except MindreelError as error:
                broken += 1
                say(f"broken video: {error}")
                if broken > most_broken:
                    raise _too_many(data, broken) from error
                continue  # looked at again by the next run: it may have been mended
            keep({"video": path, "lines": found, "unpointed": unpointed})


def _too_many(data: Path, broken: int) -> DataError:
    return DataError(
        f"{data}: {broken} videos cannot be used (see above), more than --max-broken allows; mend or remove them and "
        "run the command again, which goes on where it was"
    )


def _renamed(example: Example, path: str, out: Path) -> Example:
    """The example with its video named relative to the output's folder, or absolutely where it is so."""
    if Path(example.video).is_absolute():
        return example
    # `..` leads elsewhere behind a link, so that of both folders the real place counts.
    real = Path(path).parent.resolve() / Path(path).name
    return replace(example, video=os.path.relpath(real, out.parent.resolve()))


@dataclass(frozen=True, slots=True)
class _Found:
    """What one video gave."""

    lines: tuple[str, ...]
    unpointed: int


def _done(work: Path, run: str) -> dict[str, _Found]:
    """What earlier and other processes got done, by video; a line that was cut off does not count."""
    done: dict[str, _Found] = {}
    for part in sorted(work.glob(f"{run}-*.jsonl")):
        for line in part.read_bytes().split(b"\n"):
            try:
                found = json.loads(line)
                done[found["video"]] = _Found(tuple(map(str, found["lines"])), int(found["unpointed"]))
            except (ValueError, KeyError, TypeError):
                continue
    return done


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = Parser(
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
        "--max-broken", type=_share, default=0.02, metavar="X", help="stop when a greater share of the videos is broken"
    )
    try:
        args = parser.parse_args(argv)
        mined = mine(args.model, args.adapters, args.data, args.out, args.device, args.dtype, args.max_broken)
    except KeyboardInterrupt:
        print("mindreel: interrupted; the same command goes on where it was", file=sys.stderr)
        return 130
    except MindreelError as error:
        return complain(error)
    except OSError as error:
        return complain(unusable(error))
    left_out = "".join(f", {count} x {reason}" for reason, count in mined.skipped.items())
    if mined.unpointed:
        left_out += (
            f"; {mined.unpointed} x the grounder pointed at nothing, so windows spread over the video were taken"
        )
    print(f"{args.out}: {mined.positive} right and {mined.negative} wrong candidates{left_out}")
    return 0


def _share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to 1")


if __name__ == "__main__":
    sys.exit(main())
