"""The regression head in training: targets, outputs and losses against recorded ones, part by part.

Of two samples in a batch VideoMind adds only the smaller sum (`grounder_batch2`); ours are compared one by one.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from adapters.heads.losses import assign, grid_targets, grounding_losses
from adapters.heads.timestamp import TrainingOutput
from adapters.loading import load_head
from roles import grounder
from roles.types import Span

from .conftest import ORACLE

RECORDS: dict[str, dict[str, Any]] = {
    record["id"]: record
    for record in json.loads((ORACLE / "training" / "losses.json").read_text())
    if record["role"] == "grounder"
}
SAMPLES = [(name, at) for name, record in RECORDS.items() for at in range(len(record["annos"]))]
WITH_STATES = ("grounder_1", "grounder_3_short")
LOSS_LIMITS = {"abs": 1e-5, "rel": 1e-4}
STATE_LIMITS = {"atol": 1e-4, "rtol": 1e-4}
over_samples = pytest.mark.parametrize(("name", "at"), SAMPLES, ids=[f"{name}-{at}" for name, at in SAMPLES])


def arrays_of(name: str, at: int) -> dict[str, Tensor]:
    prefix = f"{at}."
    arrays = load_file(ORACLE / "training" / f"{name}.safetensors")
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def spans_of(name: str, at: int) -> list[list[Span]]:
    return [[Span(start_s, end_s) for start_s, end_s in RECORDS[name]["annos"][at]["span"]]]


def steps_of(name: str, at: int) -> int:
    return int(RECORDS[name]["video_grid_thw"][at][0])


@over_samples
def test_spans_on_the_grid_are_the_recorded_ones(name: str, at: int) -> None:
    record = RECORDS[name]
    targets = grid_targets(spans_of(name, at), record["annos"][at]["duration"], steps_of(name, at))
    assert torch.equal(targets.boundary, arrays_of(name, at)["boundary"])
    assert targets.saliency[0].tolist() == record["saliency"][at]
    assert targets.saliency[0, record["pos_clip"][at]] == 1


@over_samples
def test_the_recorded_points_answer_for_the_recorded_spans(name: str, at: int) -> None:
    arrays, steps = arrays_of(name, at), steps_of(name, at)
    targets = grid_targets(spans_of(name, at), RECORDS[name]["annos"][at]["duration"], steps)
    points = arrays["point"][:, [0, 3]]
    positive, distances = assign(points, targets, steps)
    assert positive[0].int().tolist() == arrays["cls_target"][0].int().tolist()
    assert positive.any()
    torch.testing.assert_close(distances, arrays["reg_target"], atol=1e-6, rtol=0)
    assert torch.equal(points[:, 0] < steps, arrays["pyramid_mask"][0] > 0)


@over_samples
def test_losses_of_the_recorded_outputs_are_the_recorded_ones(name: str, at: int) -> None:
    record, arrays, steps = RECORDS[name], arrays_of(name, at), steps_of(name, at)
    # Two entries hold the states that the contrastive loss needs; tests of the whole network compare it everywhere.
    frames = arrays.get("video_emb", torch.ones(3, steps, 256))
    query = arrays.get("query_emb", torch.ones(3, 1, 256))
    output = TrainingOutput(
        frames=frames[:, None],
        query=query[:, None],
        class_logits=arrays["out_class"][:, None, :, 0],
        distances=arrays["out_coord"][:, None],
        points=arrays["point"][:, [0, 3]],
    )
    targets = grid_targets(spans_of(name, at), record["annos"][at]["duration"], steps)
    losses = grounding_losses(output, targets, torch.tensor(record["pos_clip"][at]))
    expected = record["head_losses"][at]
    assert losses.class_.item() == pytest.approx(expected["loss_cls"], **LOSS_LIMITS)
    assert losses.coord.item() == pytest.approx(expected["loss_reg"], **LOSS_LIMITS)
    if "video_emb" in arrays:
        assert losses.saliency.item() == pytest.approx(expected["loss_sal"], **LOSS_LIMITS)
        assert losses.total.item() == pytest.approx(expected["sum"], **LOSS_LIMITS)


class _Listener(nn.Module):
    """Stands where the head is and keeps what it is given."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.heard: list[tuple[Tensor, Tensor]] = []

    def forward(self, frames: Tensor, query: Tensor) -> Any:
        self.heard.append((frames, query))
        return self.head(frames, query)


@pytest.mark.parametrize("name", WITH_STATES)
def test_the_whole_head_gives_the_recorded_outputs_and_losses(
    backbone: Any, videos: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The adapters write the trained reply to these queries by themselves, so inference gives the states of training.

    `grounder_3_short` has 5 steps: its points exist only if padding comes in, and match only if it comes in after the
    fuse layers.
    """
    record, arrays = RECORDS[name], arrays_of(name, 0)
    anno = record["annos"][0]
    listener = _Listener(load_head(ORACLE / "videomind" / "pytorch_model.safetensors", 128, torch.device("cpu")))
    monkeypatch.setattr(backbone, "_head", listener)
    video = videos[anno["video_path"]].video
    pointing = backbone.point(grounder.request(video, None, anno["query"], backbone.prompts))
    assert list(pointing.reply.token_ids) == record["target_ids"]

    [(frames, query)] = listener.heard
    output = listener.head.train_outputs(frames, query)
    torch.testing.assert_close(output.frames[:, 0], arrays["video_emb"], **STATE_LIMITS)
    torch.testing.assert_close(output.query[:, 0], arrays["query_emb"], **STATE_LIMITS)
    torch.testing.assert_close(output.class_logits[:, 0, :, None], arrays["out_class"], **STATE_LIMITS)
    torch.testing.assert_close(output.distances[:, 0], arrays["out_coord"], **STATE_LIMITS)
    assert torch.equal(output.points, arrays["point"][:, [0, 3]])
    targets = grid_targets(spans_of(name, 0), anno["duration"], steps_of(name, 0))
    losses = grounding_losses(output, targets, torch.tensor(record["pos_clip"][0]))
    assert losses.total.item() == pytest.approx(record["head_losses"][0]["sum"], **LOSS_LIMITS)
