"""The name of a benchmark goes in; which files it needs, how it is asked and which figures count, come out.

File names and folders are the publishers' own. A benchmark whose questions are all scored by the moment they rest on
is grounded always ("ground"), as VideoMind's evaluation does, which never calls its planner; where only the answer
counts the planner decides ("auto"). Text worlds and MVBench, whose protocol is 16 frames of the whole, are answered
straight from the video ("answer").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eval.benchmarks.video_questions import MVBENCH_FOLDERS
from roles import answerer


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a split, as names or patterns.

    Attributes:
        needed: Without one of these the split is not there.
        wanted: Better with these; those that are not there are named in the data report.
    """

    needed: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """A benchmark as it is evaluated.

    Attributes:
        format: One of `eval.benchmarks.formats.FORMATS`; None for Example JSONL.
        splits: Files by split, the one that the field reports first: it is taken where nobody names one.
        plan: "auto", "ground", "answer", or "moment": find a moment and do not answer.
        headline: Figures that are shown first, by the names of `eval.metrics.question_values`.
        rows: Tags that get a table each.
        folders: Where its files may lie, beneath the data's folder and beside `FOLDERS`.
        videos: Where its videos may lie, beside `VIDEOS`.
        lengths: Tables of the videos' lengths, as `eval.benchmarks.files.load_durations` reads them.
        subtitles: Ending of its subtitle files, which are named after the videos; None where rows name them or
            there are none.
        has_evidence: Whether its spans are the evidence for its answers, so that exchanging them means something.
        withheld: Fields of its rows that give the answer or the moment away, or look like evidence and are none, and
            what they are: they reach no question, and the data report counts them.
        shares_ids: Whether its splits are known to hold the same questions; then that is looked for.
        frames: At most so many frames by role, where its protocol says so.
        midpoints: Whether these frames stand in the middle of as many equal parts of what is asked about.
        unit_s: To what the field rounds predicted times, in seconds; None leaves the agent's.
        min_clip_s: The answerer watches at least this much, where VideoMind's evaluation says so, in seconds.
    """

    format: str | None
    splits: Mapping[str, Files]
    plan: str
    headline: tuple[str, ...]
    rows: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    lengths: tuple[str, ...] = ()
    subtitles: str | None = None
    has_evidence: bool = False
    withheld: Mapping[str, str] = field(default_factory=dict)
    shares_ids: bool = False
    frames: Mapping[str, int] = field(default_factory=dict)
    midpoints: bool = False
    unit_s: float | None = None
    min_clip_s: float | None = None


FOLDERS = (".", "annotations", "annotation", "json", "qa", "data")
"""Where any benchmark's files may lie."""
VIDEOS = ("videos", "video", ".")
"""Where any benchmark's videos may lie."""
SUBTITLES = (".", "subtitles", "subtitle", "transcript", "transcripts", "cg_subtitles", "cg_subtitles/cg_subtitles")
"""Where any benchmark's subtitles may lie, beneath the data's folder, its files' or its videos'."""

_RECALL = ("R1@0.3", "R1@0.5", "R1@0.7", "mIoU")
_GROUNDED = ("Acc@GQA", "mIoP", "mIoU", "IoP R1@0.5", "Acc")

SUITES: Mapping[str, Suite] = {
    "nextgqa": Suite(
        "nextqa",
        {split: Files((f"{split}.csv", f"gsub_{split}.json"), ("map_vid_vidorID.json",)) for split in ("test", "val")},
        "ground",
        _GROUNDED,
        rows=("type",),
        folders=("datasets/nextgqa", "nextgqa"),
        videos=("NExTVideo",),
        has_evidence=True,
        unit_s=0.1,
    ),
    "rextime": Suite(
        "rextime",
        {
            "val": Files(("rextime_val.json*",)),
            "test": Files(("rextime_test_release.json",)),
            "train": Files(("rextime_train.json",)),
        },
        "ground",
        ("Acc", "Acc@IoU", "mIoU", "R1@0.3", "R1@0.5"),
        rows=("category", "video_source"),
        folders=("rextime", "ReXTime"),
        has_evidence=True,
        withheld={"answer": "begins with the true span"},
        unit_s=1.0,
        min_clip_s=64.0,
    ),
    "charades-sta": Suite(
        "charades-sta",
        {split: Files((f"charades_sta_{split}.txt",)) for split in ("test", "train")},
        "moment",
        _RECALL,
        folders=("charades_sta", "Charades"),
        videos=("Charades_v1_480", "Charades_v1"),
        lengths=("Charades_v1_{split}.csv", "durations.json"),
        unit_s=0.1,
    ),
    "qvhighlights": Suite(
        "qvhighlights",
        {split: Files((f"highlight_{split}_release.jsonl",)) for split in ("val", "test", "train")},
        "moment",
        ("MR-full-mAP", "MR-full-R1@0.5", "MR-full-R1@0.7", "mIoU"),
        folders=("qvhighlights",),
        unit_s=2.0,
    ),
    "activitynet": Suite(
        "activitynet",
        {split: Files((f"{split}.json",)) for split in ("val_2", "val_1", "train")},
        "moment",
        _RECALL,
        folders=("captions", "activitynet_captions"),
        videos=("Activity_Videos", "activitynet/videos"),
        lengths=("durations.json",),
        unit_s=0.01,
    ),
    "cgbench": Suite(
        "cgbench",
        {"mini": Files(("cgbench_mini.json",)), "full": Files(("cgbench.json",))},
        "ground",
        ("Acc", "union mIoU", "rec@IoU", "acc@IoU"),
        rows=("domain", "sub_category"),
        videos=("cg_videos_720p",),
        subtitles=".srt",
        has_evidence=True,
    ),
    "mvbench": Suite(
        "mvbench",
        {"test": Files(wanted=tuple(f"{task}.json" for task in sorted(MVBENCH_FOLDERS)))},
        "answer",
        ("Acc",),
        rows=("task",),
        frames={answerer.ROLE: 16},
        midpoints=True,
    ),
    "videomme": Suite(
        "videomme",
        {"test": Files(("test-*.parquet",))},
        "auto",
        ("Acc",),
        rows=("duration", "domain", "sub_category", "task_type"),
        folders=("videomme",),
        videos=("data",),
    ),
    "social-iq": Suite(
        "social-iq",
        {split: Files((f"qa_{split}.json",), ("trims.json",)) for split in ("val", "test", "train")},
        "auto",
        ("Acc",),
        folders=("siq2/qa", "siq2"),
        videos=("siq2/video",),
        withheld={
            "ans_corr": "the right option's text",
            "idx_types": "says which option is right",
            "ts": "covers the whole clip, so it is no evidence",
        },
        shares_ids=True,
    ),
    "mmtom-qa": Suite(
        "mmtom-qa",
        {"test": Files(("questions.json",))},
        "answer",
        ("Acc",),
        rows=("kind", "type", "order"),
        folders=("Benchmark", "text"),
        withheld={
            "answer_list": "answers beside the right one",
            "start_time": "counts steps, so it is no second",
            "end_time": "counts steps, so it is no second",
        },
        videos=("single_agent_partial_train_240_hp_test_highres", "benchmark"),
    ),
    "muma-tom": Suite(
        "muma-tom",
        {"test": Files(("questions.json",), ("texts.json",))},
        "answer",
        ("Acc",),
        rows=("type", "order"),
        folders=("Files",),
        videos=("Videos",),
    ),
    "egotom": Suite(
        "egotom",
        {"test": Files(wanted=tuple(f"egotom_{task}_shuffled.csv" for task in ("goal", "belief", "actions")))},
        "answer",
        ("Acc",),
        rows=("type", "context"),
        folders=("egotom",),
        videos=("v2/full_scale", "full_scale", "v1/full_scale"),
    ),
    "moments": Suite(
        "moments",
        {
            "validation": Files(("moments_validation_questions.json",), ("moments_validation_keys.json",)),
            "test": Files(("moments_test_questions.json",), ("moments_test_keys.json",)),
            "all": Files(("moments_questions.json",), ("moments_keys.json",)),
        },
        "auto",
        ("Acc", "Acc@IoU", "mIoU"),
        rows=("type", "cues"),
        folders=("data/validation", "data/test", "validation", "test"),
        has_evidence=True,
    ),
    "worlds": Suite(
        None,
        {"all": Files(("examples.jsonl",))},
        "auto",
        ("Acc", "mIoU", "R1@0.5", "Acc@IoU"),
        rows=("type", "order", "truth", "kind", "family", "style"),
        has_evidence=True,
    ),
    "examples": Suite(
        None,
        {"test": Files(("test.jsonl",)), "val": Files(("val.jsonl",)), "all": Files(("*.jsonl",))},
        "auto",
        ("Acc", "mIoU", "R1@0.5", "Acc@IoU"),
        rows=("type", "source"),
        has_evidence=True,
    ),
}
