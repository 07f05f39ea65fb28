"""The name of a format goes in; which files it needs, and the functions that read them, come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.benchmarks import mind_files, mind_questions, moments, questions, segments, video_questions
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
    "rextime": Format(
        "rextime_*.json or rextime_val.jsonl",
        "questions, options, answers, one span; the .jsonl without options",
        video_questions.rextime,
        video_questions.load_rextime,
    ),
    "cgbench": Format(
        "cgbench.json or cgbench_mini.json",
        "questions, options, answers, clue intervals",
        video_questions.cgbench,
        video_questions.load_cgbench,
    ),
    "mvbench": Format(
        "the folder json, or its files",
        "questions, options, answers, the part shown",
        video_questions.mvbench,
        video_questions.load_mvbench,
    ),
    "videomme": Format(
        "test-*.parquet", "questions, options, answers", video_questions.videomme, video_questions.load_videomme
    ),
    "social-iq": Format(
        "qa_*.json, trims.json",
        "questions, four options, answers",
        mind_questions.social_iq,
        mind_files.load_social_iq,
    ),
    "mmtom-qa": Format(
        "questions.json",
        "texts and questions, two statements, answers",
        mind_questions.mmtom_qa,
        mind_files.line_rows,
    ),
    "muma-tom": Format(
        "questions.json, better with texts.json",
        "texts and questions, options, answers",
        mind_questions.muma_tom,
        mind_files.load_muma_tom,
    ),
    "egotom": Format(
        "egotom_{goal,belief,actions}_shuffled.csv",
        "narrations and questions in three contexts",
        mind_questions.egotom,
        mind_files.load_egotom,
    ),
    "moments": Format(
        "questions and keys as JSON",
        "questions, options, answers, focus span",
        mind_questions.moments,
        mind_files.load_moments,
    ),
}
