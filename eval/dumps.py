"""The folder of a run goes in; its predictions in another project's shape come out, to be scored by its own scorer.

python -m eval.dumps runs/x --as videomind --out dump.json
python -m eval.dumps runs/x --as qvhighlights --out submission.jsonl

`videomind` writes the list of samples that VideoMind's inference writes; `python -m eval.score videomind dump.json
--mode ours` gives the run's own figures for it. `qvhighlights` writes lines as QVHighlights' scorer and its evaluation
server take them. Where a question has no prediction, the first leaves `pred` out, which VideoMind's own scorer takes
for a question that was not asked, and the second writes a window without length, as QVHighlights' scorer needs one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from eval.command import Parser, exit_code, show_anything
from roles.errors import DataError

if TYPE_CHECKING:
    from eval.item import Item
    from eval.page.run import Judged

PROG = "python -m eval.dumps"
SHAPES = ("videomind", "qvhighlights")
TASK_TAGS = ("task", "type", "category", "task_type", "domain")
"""The first of these tags that a question has is VideoMind's `task`, by which its scorer splits its tables."""
NO_WINDOW = [0.0, 0.0, 0.0]
"""Overlaps nothing; QVHighlights' scorer reads the first window of every query and fails where there is none."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    show_anything()
    args = parser().parse_args(argv)
    return exit_code(lambda: print(write_dump(args.run, args.shape, args.out)))


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    about, _, rest = (__doc__ or "").partition("\n\n")
    top = Parser(
        prog=PROG,
        description=about,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    top.add_argument("--as", dest="shape", choices=SHAPES, required=True, help="whose shape")
    top.add_argument("--out", type=Path, required=True, metavar="FILE", help="what to write")
    return top


def write_dump(folder: Path, shape: str, out: Path) -> str:
    """Writes a run's predictions and says in one line what was written and what is missing in it.

    Args:
        folder: A finished run's.
        shape: One of `SHAPES`.
        out: The file; an older one is replaced.

    Raises:
        DataError: The folder holds no finished run, a question does not fit the shape, or the file cannot be written.
    """
    from eval.page.run import read_run
    from roles.examples import write_text

    judged = read_run(folder).judged
    if shape == "videomind":
        samples = [videomind_sample(one) for one in judged]
        lines = [("[" if number == 0 else "") + _line(sample) for number, sample in enumerate(samples)]
        lines = [f"{line}{']' if number == len(lines) else ','}" for number, line in enumerate(lines, start=1)]
        without = sum(bool(one.item.spans) and not one.spans for one in judged)
        told = f"{without:,} without a predicted span, which have no `pred`"
        told += f"; {sum('said' in sample for sample in samples):,} replies were rewritten to name their option"
        pairs = [
            (one, sample["response"])
            for one, sample in zip(judged, samples, strict=True)
            if one.item.options and "response" in sample
        ]
        unread = sum(not _names(response, one.item, _chosen(one)) for one, response in pairs)
        told += f"; {unread:,} cannot be named in words, and count as wrong there" if unread else ""
    else:
        rows = queries(judged)
        lines = [_line(row) for row in rows]
        told = f"{sum(row['pred_relevant_windows'] == [NO_WINDOW] for row in rows):,} without a predicted window"
    write_text(out, lines)
    return f"{out}: {len(lines):,} questions, {told}"


def videomind_sample(one: Judged) -> dict[str, Any]:
    """A question as VideoMind's dump has it; what is not known is left out.

    `response` begins with the letter of the chosen option, as VideoMind's scorer reads only that: the reply where it
    does, else the letter and the option's text, and the reply is kept as `said`.

    Raises:
        DataError: There are more options than letters.
    """
    item, record = one.item, one.record
    sample: dict[str, Any] = {"video_path": item.video, "question": item.question}
    task = next((item.tags[tag] for tag in TASK_TAGS if item.tags.get(tag)), None)
    if task is not None:
        sample["task"] = task
    if one.duration_s is not None:
        sample["duration"] = one.duration_s
    if item.spans:
        sample["span"] = [[span.start_s, span.end_s] for span in item.spans]
    if item.query is not None:
        sample["query"] = item.query
    for name, suffix in (("spans", ""), ("grounded", "_ori")):
        if record.get(name):
            sample[f"pred{suffix}"] = [[float(row[0]), float(row[1])] for row in record[name]]
            sample[f"conf{suffix}"] = [float(row[2]) for row in record[name]]
    if "grounder" in (record.get("plan") or ()):
        sample["grounder_success"] = "grounder" not in (record.get("fell_back") or ())
    if item.options:
        if len(item.options) > len(ascii_uppercase):
            raise DataError(
                f"{item.key}: {len(item.options)} options; VideoMind's shape has letters for {len(ascii_uppercase)}"
            )
        sample["options"] = list(item.options)
        if item.answer_at is not None:
            sample["ans"] = ascii_uppercase[item.answer_at]
    return sample | _response(one)


def queries(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Questions as the lines of a submission to QVHighlights, best window first.

    Raises:
        DataError: Two questions have the same qid.
    """
    rows: dict[int | str, dict[str, Any]] = {}
    for one in judged:
        name = one.item.tags.get("qid") or one.item.tags.get("id") or one.item.key
        qid: int | str = int(name) if name.isascii() and name.isdigit() else name
        if qid in rows:
            raise DataError(f"{one.item.key}: qid {qid} is another question's too; QVHighlights tells them by qid")
        windows = [[float(row[0]), float(row[1]), float(row[2])] for row in one.record.get("spans") or ()]
        rows[qid] = {
            "qid": qid,
            "query": one.item.query or one.item.question,
            "vid": one.item.tags.get("vid") or Path(one.item.video).stem,
            "pred_relevant_windows": windows or [NO_WINDOW],
        }
    return list(rows.values())


def _response(one: Judged) -> dict[str, str]:
    """`response`, and `said` where that is another; nothing where nothing was said."""
    item, said = one.item, one.record.get("said")
    if not item.options:
        return {} if said is None else {"response": said}
    chosen = _chosen(one)
    if chosen is None:
        if said is None or _names(said, item, None):
            return {} if said is None else {"response": said}
        return {"response": "", "said": said}  # it was not read as an option when it was given, and would be now
    letter = ascii_uppercase[chosen]
    # An option's text that was chosen by its probability begins with no letter of an option, or with a wrong one.
    forms = [said] if said is not None and one.record.get("probs") is None and _begins(said, letter) else []
    forms += [f"({letter}) {item.options[chosen]}", f"({letter})", letter]
    response = next((form for form in forms if _names(form, item, chosen)), f"({letter})")
    return {"response": response} | ({} if said in (None, response, item.options[chosen]) else {"said": said})


def _chosen(one: Judged) -> int | None:
    """The chosen option's place; the right one's where another with the same text was chosen: places are compared."""
    return one.item.answer_at if one.right else one.choice


def _begins(reply: str, letter: str) -> bool:
    """Whether a scorer that reads the first letter reads this one."""
    return reply.lstrip("(. \t\n").upper().startswith(letter)


def _names(reply: str, item: Item, chosen: int | None) -> bool:
    """Whether a reply names just that option, or none where none was chosen."""
    from eval.choices import read_choice

    return read_choice(reply, item.options) == chosen


def _line(row: Mapping[str, Any]) -> str:
    """Compact JSON that any scorer reads, whatever is in the texts."""
    return json.dumps(row, ensure_ascii=True, separators=(",", ":"))


if __name__ == "__main__":
    sys.exit(main())
