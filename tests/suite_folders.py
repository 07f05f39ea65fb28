"""Small folders in exactly the shape in which benchmarks are published, films included, for tests of evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.films import make_film

NEXTGQA_HEAD = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4"
NEXTGQA_ROWS = (
    "11,32,84,84,what does the man do after he sits,stands up,1,TN,stands up,sits,runs,eats,sleeps",
    "11,32,84,84,why is the man glad,he won,2,CW,he lost,he won,he ran,he ate,he slept",
    "22,32,84,84,how does the dog play,with a ball,1,CH,with a ball,with a ball,alone,not at all,in water",
    "22,32,84,84,what did the dog do before it ran,it slept,2,TP,it ate,it drank,it slept,it barked,it sat",
)
"""Two films with two questions each; the third has two options with the same text."""
NEXTGQA_SPANS: dict[str, Any] = {
    "11": {"duration": 16, "location": {"1": [[2, 6]], "2": [[8.5, 12], [13, 15]]}, "fps": 2.0},
    "22": {"duration": 16, "location": {"1": [[1, 5]], "2": [[10, 14]]}, "fps": 2.0},
}


def make_nextgqa(folder: Path, split: str = "val", missing: tuple[str, ...] = ()) -> Path:
    """Writes a NExT-GQA with two films of 16 s, four questions and their spans; returns its folder.

    Args:
        folder: Where to; made where it is missing.
        split: "val" or "test".
        missing: Films that are left out: "11", "22".
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = (NEXTGQA_HEAD, *NEXTGQA_ROWS)
    (folder / f"{split}.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    write_json(folder / f"gsub_{split}.json", NEXTGQA_SPANS)
    write_json(folder / "map_vid_vidorID.json", {"11": "1164/11", "22": "0001/22"})
    for film, colours in (("1164/11", ("red", "blue")), ("0001/22", ("green", "yellow"))):
        if film.partition("/")[2] not in missing:
            path = folder / "NExTVideo" / f"{film}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            make_film(path, [(colours[0], 2, 6), (colours[1], 9, 14)])
    return folder


def write_json(path: Path, value: Any) -> Path:
    """Writes JSON; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_lines(path: Path, *rows: Any) -> Path:
    """Writes JSON lines, texts as they stand; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def touch(path: Path) -> Path:
    """An empty file; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path
