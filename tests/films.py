"""Small films of coloured squares with questions on them: eight things to learn, for every role, made on the spot.

Two squares come and go on grey in each film, one after the other, and each film has two questions. Every example
teaches every role: its spans the grounder, its tags `route` and `query` the planner (all four kinds of plan are among
them), its answer the answerer (two of four with options).
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import av
import numpy as np

BASE = Path(__file__).parent / "data" / "oracle" / "base"
"""A frozen Qwen2-VL of 2 million parameters."""
COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 80, 220), "yellow": (230, 210, 40)}
SECONDS = 16.0
FRAMES_PER_S = 2
SIDE_PX = 84

Shown = tuple[str, float, float]
"""Colour, start and end in seconds."""


def make_examples(
    folder: Path, count: int = 8, seconds: float = SECONDS, name: str = "train.jsonl", seed: int = 1
) -> Path:
    """Writes films and examples; returns the file of examples.

    Args:
        folder: Where to; made where it is missing.
        count: Examples, two on a film.
        seconds: Length of the films.
        name: The file's.
        seed: Of the films; another one gives other films under the same names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)  # noqa: S311 - films, no secret
    lines = []
    for number in range(0, count, 2):
        film = f"film{number // 2}.mp4"
        first, second = rng.sample(sorted(COLOURS), 2)
        ends = [rng.randrange(0, 3), rng.randrange(5, 8), rng.randrange(8, 10), rng.randrange(13, 17)]
        ends_s = [seconds * end / 16 for end in ends]
        parts = [(first, ends_s[0], ends_s[1]), (second, ends_s[2], ends_s[3])]
        make_film(folder / film, parts, seconds)
        lines += [json.dumps(one) for one in (_example(film, parts, at, number + at) for at in (0, 1))][
            : count - number
        ]
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def make_film(path: Path, parts: list[Shown], seconds: float = SECONDS) -> Path:
    """Writes a grey film in which squares come and go."""
    inside = slice(SIDE_PX // 6, SIDE_PX - SIDE_PX // 6)
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=FRAMES_PER_S)
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for number in range(int(seconds * FRAMES_PER_S)):
            image = np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)
            for colour, start_s, end_s in parts:
                if start_s <= number / FRAMES_PER_S < end_s:
                    image[inside, inside] = COLOURS[colour]
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        file.mux(stream.encode())
    return path


def _example(film: str, parts: list[Shown], at: int, number: int) -> dict[str, Any]:
    """The example on one square of a film; their kinds take turns."""
    colour, start_s, end_s = parts[at]
    other = parts[1 - at][0]
    query = (f"the first square, which is {colour}", f"at the end {colour} is seen")[at]
    made: dict[str, Any] = {"video": film, "spans": [[start_s, end_s]], "tags": {"query": query}}
    kind = (0, 1, 2, 3, 1, 0, 3, 2)[number % 8]
    if kind == 0:
        made |= {"question": f"When is the {colour} square there?", "answer": "early" if at == 0 else "late"}
        made["tags"]["route"] = "moment"
    elif kind == 1:
        made |= {
            "question": f"Which square comes {('first', 'last')[at]}?",
            "options": sorted(COLOURS),
            "answer": colour,
        }
    elif kind == 2:
        side = ("before", "after")[at]
        made |= {"question": f"Which colour is seen {side} {other}?", "options": sorted(COLOURS), "answer": colour}
        del made["tags"]
    else:
        made |= {"question": f"Is there a {colour} square at all?", "answer": "yes"}
        made["tags"]["route"] = "answer"
    return made


def short_prompts(folder: Path) -> Path:
    """Writes a `prompts.json` of few words, which `BASE` can say; returns the file."""
    texts = {
        "planner": "Plan how to answer.\n\nQuestion: {question}",
        "grounder": "Find the moment.\n\nDescription: {query}",
        "grounder_reply": "It can be seen at <|reg|>.",
        "verifier": "Is the part from <|seg_start|> to <|seg_end|> the moment?\n\nDescription: {query}",
    }
    path = folder / "short-prompts.json"
    path.write_text(json.dumps(texts), encoding="utf-8")
    return path
