"""The name of a format goes in; which files it needs, and the functions that read them, come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.benchmarks import moments, questions, segments
from eval.benchmarks.files import json_rows, text_rows
from eval.benchmarks.records import Converter, Entry


@dataclass(frozen=True, slots=True)
class Format:
    """A public annotation format.

    Attributes:
        files: What `--annotations` names.
        gives: What becomes of an annotation.
        convert: From rows to records.
        load: From files to rows.
    """

    files: str
    gives: str
    convert: Converter
    load: Callable[[Sequence[Path]], Iterable[Entry]] = json_rows


FORMATS = {
    "qvhighlights": Format("highlight_*_release.jsonl", "descriptions, one or more spans", moments.qvhighlights),
    "didemo": Format("*_data.json", "descriptions, the annotators' mean span", segments.didemo),
    "tacos": Format("2D-TAN's or VideoMind's train.json(l)", "descriptions, one span each", moments.tacos),
    "queryd": Format(
        "captions and times as JSON, train_list.txt",
        "spoken descriptions, one span each",
        segments.queryd,
        segments.load_queryd,
    ),
    "hirest-grounding": Format("all_data_*.json", "searches, the part that answers them", segments.hirest_grounding),
    "hirest-step": Format("all_data_*.json", "steps of such parts, one span each", segments.hirest_step),
    "cosmo-cap": Format("anno_cosmo_cap.jsonl", "descriptions, one span each", moments.cosmo_cap),
    "internvid-vtime": Format("anno_internvid_vtime_*.jsonl", "descriptions, one span each", moments.internvid_vtime),
    "charades-sta": Format("charades_sta_*.txt", "descriptions, one span each", moments.charades_sta, text_rows),
    "activitynet": Format("train.json, val_1.json ...", "descriptions, one span each", moments.activitynet),
    "nextqa": Format(
        "train.csv, map_vid_vidorID.json, gsub_*.json",
        "questions, options, answers, routes; spans with gsub",
        questions.nextqa,
        questions.load_nextqa,
    ),
    "videomind-planning": Format("planning_*.jsonl", "questions, routes, queries", questions.videomind_planning),
    "videomind-verifying": Format("verifying_*.json", "candidates with their IoU", questions.videomind_verifying),
}
