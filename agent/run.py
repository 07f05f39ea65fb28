"""The command line: one video and questions go in, answers with their moments come out.

Nothing heavy is imported until the arguments have been read and checked.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from roles.errors import MindreelError, VideoError

if TYPE_CHECKING:
    from agent.build import SessionOptions
    from agent.result import Result
    from agent.show import Reporter
    from roles.subtitles import Line

EPILOG = """examples:
  python -m agent.run --video sally.mp4 --adapters checkpoints/mindreel \\
      --question "Where will Sally look for the marble?" --options "in the basket" "in the box"

  # a generated film (python -m eval.worlds make): the small default model knows these, and no others
  python -m agent.run --video examples/20000049-false_belief.mp4 \\
      --question "Where will Yan look for the star?" --options "the blue chest" "the purple suitcase"

exit codes: 0 fine, 2 wrong use or bad input, 1 a failure inside (the trace holds what was done), 130 interrupted"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, like every other error of this program."""
        _complain(f"{message} (see --help)")
        sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Arguments; None takes the process's.

    Returns:
        The exit code.
    """
    _mend_streams()
    given = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(given)
    try:
        from agent.show import results_only

        with results_only(args.json) as out:
            return _run(args, given, out)
    except KeyboardInterrupt:
        return _interrupted("interrupted")
    except BrokenPipeError:  # whoever read the results has gone; what is left in the buffer must not raise at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except MindreelError as error:
        _complain(str(error), error if args.verbose else None)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a person gets a line, not a stack trace
        from agent.errors import one_line

        hint = "" if args.verbose else " (-v shows where)"
        _complain(f"a failure inside: {one_line(error)}{hint}", error if args.verbose else None)
        return 1


def _run(args: argparse.Namespace, given: Sequence[str], out: TextIO) -> int:
    """Checks what is cheap to check, opens a session, and asks every question."""
    subtitles = _check(args)
    from agent import build
    from agent.show import Reporter, show_description
    from agent.strange import remark

    options = _options(args, given)
    reporter = Reporter()
    code = 0
    trace = None
    try:
        with build.open_session(options, progress=reporter, say=reporter.say) as session:
            reporter.rest()
            trace = session.trace
            if args.verbose:
                show_description(session.describe(), sys.stderr)
            for number, question in enumerate(args.question):
                result = session.ask(question, tuple(args.options), subtitles)
                code = max(code, _report(result, args, out, reporter))
                warning = remark(result.film) if number == 0 and not args.json else None
                if warning is not None:
                    _say("warning", warning)
    except KeyboardInterrupt:
        if trace is None:
            raise
        reporter.rest()
        return _interrupted(f"interrupted; {trace.path} holds what was done")
    finally:
        reporter.rest()
    return max(code, 0 if trace.problem is None else 1)


def _report(result: Result, args: argparse.Namespace, out: TextIO, reporter: Reporter) -> int:
    from agent.show import show_json, show_result

    reporter.rest()
    if args.json:
        show_json(result, out)
    else:
        show_result(result, out, title=len(args.question) > 1)
        out.write("\n" if len(args.question) > 1 else "")
        out.flush()
    if result.error is None:
        return 0
    _complain(result.error, result.failure if args.verbose else None)
    return 1


def _check(args: argparse.Namespace) -> list[Line]:
    """Everything that can be wrong without opening the video.

    Returns:
        The subtitles.

    Raises:
        InputError: Something is.
    """
    from agent.checks import check_order, check_question, read_subtitle_file

    for question in args.question:
        check_question(question, args.options)
    check_order(args.start, args.end)
    url = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", args.video)
    if url and not args.allow_urls:
        raise VideoError(f"{args.video}: a URL; give a file, or --allow-urls to fetch it")
    if not url and not _exists(args.video):
        raise VideoError(f"{args.video}: no such file or folder; check the path")
    if args.model is None and args.adapters is None:
        from agent.build import default_model

        default_model()
    return read_subtitle_file(args.subtitles) if args.subtitles else []


def _exists(path: str) -> bool:
    try:
        return bool(path) and Path(path).exists()
    except (OSError, ValueError):
        return False


def _options(args: argparse.Namespace, given: Sequence[str]) -> SessionOptions:
    from agent.build import SessionOptions
    from agent.settings import Settings

    settings = Settings(
        plan=args.plan,
        unit_s=args.unit,
        min_clip_s=args.min_clip,
        step_timeout_s=args.step_timeout,
        seed=args.seed,
    )
    return SessionOptions(
        video=args.video,
        model=args.model,
        adapters=args.adapters,
        device=args.device,
        dtype=args.dtype,
        attn=args.attn,
        own_prompts=args.own_prompts,
        frame_rate=args.frame_rate,
        allow_urls=args.allow_urls,
        start_s=args.start,
        end_s=args.end,
        settings=settings,
        trace=args.trace,
        argv=tuple(given),
    )


def _interrupted(message: str) -> int:
    # An interrupt that passed through an exec (dataclasses use it as modules load) stays marked as unhandled in
    # CPython, which then dies of the signal instead of exiting with our code; an exec that ends well unmarks it.
    exec("")  # noqa: S102
    _complain(message)
    return 130


def _complain(message: str, error: BaseException | None = None) -> None:
    if error is not None:
        with contextlib.suppress(OSError):
            traceback.print_exception(error)
    _say("error", message)


def _say(kind: str, message: str) -> None:
    from agent.show import clean

    with contextlib.suppress(OSError):  # a full or closed stderr must not cost the exit code
        print(f"mindreel: {kind}: {clean(message)}", file=sys.stderr, flush=True)


def _mend_streams() -> None:
    """Makes stdout and stderr writable, whatever the shell did to them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - for good
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = _Parser(
        prog="python -m agent.run",
        usage='python -m agent.run --video V --question "Q" [--adapters DIR] [more options]',
        description="Ask a video questions: find the moments that matter, check them, answer from them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    ask = top.add_argument_group("what to ask")
    ask.add_argument("--video", required=True, metavar="V", help="mp4, mkv, webm, mov, avi, gif, or a folder of frames")
    ask.add_argument("--question", required=True, action="append", metavar="Q", help="repeat it to ask several")
    ask.add_argument("--options", nargs="+", default=[], metavar="A", help="the choices, without letters")
    ask.add_argument("--start", type=seconds, metavar="T", help="ask about the part from here: 90, 1:30 or 0:01:30.5")
    ask.add_argument("--end", type=seconds, metavar="T", help="ask about the part up to here")
    ask.add_argument("--subtitles", metavar="FILE", help=".srt or .vtt; lines of the chosen clip reach the answerer")
    ask.add_argument("--frame-rate", type=positive, default=1.0, metavar="FPS", help="of a folder of frames (1)")
    ask.add_argument("--allow-urls", action="store_true", help="let --video be a URL")

    model = top.add_argument_group("which model")
    model.add_argument(
        "--adapters", metavar="DIR", help="folder or hub id that holds planner/, grounder/ ... (the default's)"
    )
    model.add_argument("--model", metavar="DIR", help="base: folder or hub id (the adapters' own, or the default)")
    model.add_argument("--own-prompts", action="store_true", help="use our wording where the adapters carry none")
    model.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda or cuda:N")
    model.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    model.add_argument("--attn", choices=("auto", "flash_attention_2", "sdpa", "eager"), default="auto")

    how = top.add_argument_group("how to ask")
    how.add_argument(
        "--plan",
        choices=("auto", "ground", "answer"),
        default="auto",
        help="let the planner decide, find a moment first, or answer from the whole",
    )
    how.add_argument("--min-clip", type=float, metavar="S", help="least clip for the answerer (as the checkpoint says)")
    how.add_argument("--unit", type=positive, default=0.001, metavar="S", help="moments are rounded to this (0.001 s)")
    how.add_argument("--step-timeout", type=positive, metavar="S", help="give up a step after this long")
    how.add_argument("--seed", type=int, default=0, help="recorded in the trace (0)")

    show = top.add_argument_group("what to show")
    show.add_argument("--json", action="store_true", help="one JSON object per question on stdout, nothing else there")
    show.add_argument("--trace", metavar="FILE", help="where every step is recorded (runs/<time>-<video>.jsonl)")
    show.add_argument("-v", "--verbose", action="store_true", help="show what is loaded, and where a failure came from")
    return top


def seconds(text: str) -> float:
    """Reads a time: seconds, or [hours:]minutes:seconds."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d{1,2}):(?=\d))?([-+]?(?:\d+(?:\.\d*)?|\.\d+))", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected seconds or [hh:]mm:ss, such as 90 or 1:30.5")
    hours, minutes, rest = match.groups()
    if minutes is not None and (float(rest) >= 60 or (hours is not None and int(minutes) >= 60)):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; minutes and seconds go up to 59")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest)


def positive(text: str) -> float:
    """Reads a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def device(text: str) -> str:
    """Reads a device's name."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected auto, cpu, cuda or cuda:N")
    return text


if __name__ == "__main__":
    sys.exit(main())
