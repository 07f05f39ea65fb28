"""The command line: folders and files of traces go in; a page, one file, a tree or spans come out.

Nothing heavy is imported until the arguments have been read.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from roles.errors import InputError, MindreelError

if TYPE_CHECKING:
    from agent.viewer.files import Index
    from agent.viewer.media import Places

EPILOG = """examples:
  python -m agent.viewer runs/                                  # the page, on this machine only
  python -m agent.viewer runs/ --videos examples                # with videos that lie elsewhere
  python -m agent.viewer trace.jsonl --export page.html         # one file that opens without a network
  python -m agent.viewer trace.jsonl --text                     # a tree in the terminal
  python -m agent.viewer trace.jsonl --otlp http://localhost:6006/v1/traces

exit codes: 0 fine, 2 wrong use or bad input, 1 a failure inside, 130 interrupted"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, like every other error of this program."""
        _say("error", f"{message} (see --help)")
        sys.exit(2)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = _Parser(
        prog="python -m agent.viewer",
        description="See what the agent saw, thought and chose: traces with their videos on one timeline.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("named", nargs="*", metavar="FOLDER|FILE", help="traces, or folders of them (runs)")
    top.add_argument(
        "--videos", action="append", default=[], metavar="DIR", help="where videos may be shown from besides; repeat it"
    )
    top.add_argument("--question", type=int, metavar="N", help="only the Nth question of the file, from 1")
    page = top.add_argument_group("the page")
    page.add_argument("--port", type=int, default=0, metavar="N", help="of 127.0.0.1 (any that is free)")
    page.add_argument("--no-open", action="store_true", help="do not open a browser")
    other = top.add_argument_group("instead of the page")
    how = other.add_mutually_exclusive_group()
    how.add_argument("--export", metavar="PAGE.html", help="write one question as one file that opens offline")
    how.add_argument("--text", action="store_true", help="print a tree of the trace")
    how.add_argument("--otlp", metavar="URL", help="send the trace as OpenTelemetry spans over HTTP")
    other.add_argument("--embed-video", action="store_true", help="with --export: put the video inside, not a link")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Arguments; None takes the process's.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    args = parser().parse_args(argv)
    try:
        return _run(args)
    except KeyboardInterrupt:
        _say("error", "interrupted")
        return 130
    except BrokenPipeError:  # whoever read has gone; what is left in the buffer must not raise at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except MindreelError as error:
        _say("error", str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a person gets a line, not a stack trace
        from agent.errors import one_line

        _say("error", f"a failure inside: {one_line(error)}")
        return 1


def _run(args: argparse.Namespace) -> int:
    one_shot = args.export or args.text or args.otlp
    if args.question is not None and not one_shot:
        raise InputError("--question: goes with --export, --text or --otlp; the page shows all questions")
    if args.question is not None and args.question < 1:
        raise InputError(f"--question {args.question}: questions are counted from 1")
    if args.embed_video and not args.export:
        raise InputError("--embed-video: goes with --export")
    if not 0 <= args.port <= 65535:
        raise InputError(f"--port {args.port}: expected 1 to 65535, or 0 for any that is free")
    from agent.viewer.files import Index
    from agent.viewer.media import Places

    if one_shot and not args.named:
        raise InputError("no trace was named; give its file, such as runs/<time>-<video>.jsonl")
    index = Index(args.named or ["runs"])
    places = Places(index.roots, args.videos)
    if one_shot:
        return _once(args, index, places)
    from agent.viewer.serve import serve

    return serve(index, places, args.port, open_browser=not args.no_open)


def _once(args: argparse.Namespace, index: Index, places: Places) -> int:
    index.refresh()
    if args.text:
        from agent.viewer.text import show_text

        return show_text(index, args.question, sys.stdout)
    if args.otlp:
        from agent.viewer.otlp import send

        sent = send(index, args.question, args.otlp)
        print(f"{sent} spans sent to {args.otlp}")
        return 0
    from agent.viewer.export import export

    for note in export(index, places, args.question, args.export, embed_video=args.embed_video):
        _say("note", note)
    print(args.export)
    return 0


def _say(kind: str, message: str) -> None:
    from agent.show import clean

    with contextlib.suppress(OSError):
        print(f"mindreel: {kind}: {clean(message)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
