"""Nothing goes in; what lmms-eval's entry point `lmms_eval.models` wants to know of our model comes out."""

from __future__ import annotations

from typing import Any

NAME = "mindreel"


def manifest() -> Any:
    """Says which class `--model mindreel` stands for; the class is imported when it is asked for."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id=NAME, simple_class_path="eval.lmms.model.Mindreel")
