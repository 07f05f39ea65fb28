"""What a checkpoint says of a film goes in, the line that warns a person of a strange one comes out."""

from __future__ import annotations

from roles.types import FilmCheck

REAL_FILMS = "python -m agent.run --model Qwen/Qwen2-VL-2B-Instruct --adapters yeliudev/VideoMind-2B --video ..."
"""The command for films that a model of one kind of film cannot understand."""


def remark(check: FilmCheck | None) -> str | None:
    """The warning, or None where a film is of the checkpoint's kind or the checkpoint knows no kind."""
    if check is None or not check.strange:
        return None
    return (
        "this film is not of the kind that the default model was trained on "
        f"(score {check.score:.3g}, limit {check.limit:.3g}): take its answer as a guess. "
        f"For real films run: {REAL_FILMS}"
    )
