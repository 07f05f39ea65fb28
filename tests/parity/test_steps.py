"""Every step of every recorded question: frames, ids, positions, features, states, logits, spans, verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from adapters.heads.timestamp import suppress
from adapters.tokens import REG
from roles import answerer, grounder, planner, verifier
from roles.spans import evenly_spread
from roles.subtitles import read_subtitles
from roles.types import PX_PER_TOKEN, Budget, Request, Span

from .conftest import CASES, ORACLE, read_case, unroll

STATES = {"atol": 1e-4, "rtol": 1e-4}
STEPS = [(case, index) for case in CASES for index in range(len(read_case(case)["steps"]))]
Step = tuple[dict[str, Any], dict[str, Any], dict[str, torch.Tensor]]


def over_steps(*roles: str) -> pytest.MarkDecorator:
    """Runs a test over the recorded steps of some roles, or of all."""
    chosen = [(case, index) for case, index in STEPS if not roles or read_case(case)["steps"][index]["role"] in roles]
    names = [f"{case}-{read_case(case)['steps'][index]['name']}" for case, index in chosen]
    return pytest.mark.parametrize("step", chosen, ids=names, indirect=True)


@pytest.fixture
def step(request: pytest.FixtureRequest) -> Step:
    """(the case, the step's record, its arrays)"""
    case, index = request.param
    record = read_case(case)["steps"][index]
    prefix = f"{record['name']}."
    arrays = load_file(ORACLE / "inference" / f"{case}.safetensors")
    return read_case(case), record, {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def build_request(backbone: Any, videos: dict[str, Any], case: dict[str, Any], step: dict[str, Any]) -> Request:
    """The request that our roles make for a recorded step, from the same inputs as VideoMind's script had."""
    anno, attrs, output = case["anno"], case["dataset_attrs"], case["official_output"]
    video = videos[anno["video_path"]].video
    question = anno.get("question") or anno["query"]
    whole = Span(0.0, output["duration"])
    role = step["role"]
    if role == "planner":
        return planner.request(video, None, question, backbone.prompts)
    if role == "grounder":
        query = output.get("planner_parsed_query") or question
        return grounder.request(video, None, query, backbone.prompts)
    if role == "verifier":
        at = int(step["name"].removeprefix("verifier_"))
        # The record keeps nine digits, too few where a window begins halfway between two frames.
        found = output["grounder_success"]
        candidate = Span(*output["pred_ori"][at]) if found else evenly_spread(whole.length_s)[at]
        return verifier.request(video, whole, candidate, question, backbone.prompts)
    best = Span(*output["pred"][0]) if output.get("pred") else None
    least_s = attrs["MIN_RATIO"] * whole.length_s if "MIN_RATIO" in attrs else attrs.get("MIN_LEN", answerer.MIN_CLIP_S)
    lines = []
    if "subtitle_path" in anno:
        lines = read_subtitles((ORACLE / anno["subtitle_path"]).read_text(), anno["subtitle_path"])
    return answerer.request(
        video,
        answerer.clip_span(best, whole, least_s),
        question,
        backbone.prompts,
        anno["options"],
        lines,
        case["style"],
        Budget(
            fps=attrs.get("FPS", answerer.BUDGET.fps),
            max_frames=attrs.get("MAX_FRAMES", answerer.BUDGET.max_frames),
            min_px=attrs.get("MIN_PIXELS", 128) * PX_PER_TOKEN,
            max_px=attrs.get("MAX_PIXELS", 256) * PX_PER_TOKEN,
        ),
    )


def assert_statistics(found: torch.Tensor, record: dict[str, Any], **limits: float) -> None:
    """Compares a tensor with its recorded shape, mean, standard deviation and first and last values."""
    assert list(found.shape) == record["shape"]
    flat = found.double().flatten()
    for name, value in (("mean", flat.mean()), ("std", flat.std(correction=0))):
        assert value.item() == pytest.approx(record[name], abs=limits["atol"], rel=limits["rtol"])
    torch.testing.assert_close(flat[:8], torch.tensor(record["first8"]).double(), **limits)
    torch.testing.assert_close(flat[-8:], torch.tensor(record["last8"]).double(), **limits)


@over_steps()
def test_the_request_asks_what_was_asked(backbone: Any, videos: dict[str, Any], step: Step) -> None:
    case, record, _ = step
    request = build_request(backbone, videos, case, record)
    assert request.prompt.text == record["prompt_text"]
    args = record["video_args"]
    budget = request.clip.budget
    assert (budget.fps, budget.max_frames) == (args["fps"], args["max_frames"])
    assert (budget.min_px, budget.max_px) == (args["min_pixels"], args["max_pixels"])
    if "video_start" in args:
        found = (request.clip.whole_span.start_s, request.clip.whole_span.end_s)
        assert found == pytest.approx((args["video_start"], args["video_end"]), abs=1e-5)


@over_steps()
def test_the_same_frames_are_seen(backbone: Any, videos: dict[str, Any], step: Step) -> None:
    case, record, _ = step
    request = build_request(backbone, videos, case, record)
    file = videos[case["anno"]["video_path"]]
    assert file.indices(request.clip) == record["frame_indices"]
    frames = file.read(record["frame_indices"], *record["resized_hw"])
    assert_statistics(frames, record["resized_frames"], atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("name", ["v1", "v2", "v4"])
def test_decoded_frames_are_equal_to_the_last_bit(videos: dict[str, Any], name: str) -> None:
    record = np.load(ORACLE / "frames" / f"{name}.npz")
    file = videos[f"videos/{name}.mp4"]
    frames = file.read(record["indices"].tolist(), file.video.height_px, file.video.width_px)
    assert np.array_equal(frames.permute(0, 2, 3, 1).numpy(), record["frames"])


@over_steps()
def test_pixels_ids_positions_and_features(backbone: Any, videos: dict[str, Any], step: Step) -> None:
    from adapters import vision

    case, record, arrays = step
    request = build_request(backbone, videos, case, record)
    with backbone._working(request.role):
        embeds, layout, usage = backbone._embed(request)
        features = backbone._eyes.see(request.clip).features.flatten(0, 1)
    ids = record.get("input_ids_with_segments_rle") or record["input_ids_rle"]
    assert layout.ids.tolist() == unroll(ids)
    assert usage.input_tokens == record["model_input_len"]
    assert [list(usage.grid_thw or ())] == record["video_grid_thw"]
    if "position_ids" in arrays:
        assert layout.positions.tolist() == arrays["position_ids"].tolist()
    frames = videos[case["anno"]["video_path"]].read(record["frame_indices"], *record["resized_hw"])
    pixels = vision.patches(frames, backbone._eyes._mean, backbone._eyes._std, 14, 2)
    assert_statistics(pixels.flatten(0, 1), record["pixel_values_videos"], atol=1e-5, rtol=1e-5)
    means = record["pixel_values_videos"]["per_temporal_patch_mean"]
    assert pixels.mean(dim=(1, 2)).tolist() == pytest.approx(means, abs=1e-5, rel=1e-5)
    assert_statistics(features, record["vision_tower_out"], **STATES)
    assert_statistics(embeds[None], record["inputs_embeds"], **STATES)


@over_steps("planner", "grounder", "answerer")
def test_generated_tokens_and_their_logits(backbone: Any, videos: dict[str, Any], step: Step) -> None:
    case, record, arrays = step
    request = build_request(backbone, videos, case, record)
    seen: list[torch.Tensor] = []
    with backbone._working(request.role) as adapter:
        embeds, layout, _ = backbone._embed(request)
        generation = backbone._language_model.generate(
            embeds,
            layout.positions,
            backbone._vocabulary(adapter),
            backbone._stop_ids,
            request.max_new_tokens,
            observe=seen.append,
        )
        assert generation.ids == record["output_ids"]
        for logits, one in zip(seen, record["gen"], strict=True):
            best = logits.topk(3)
            assert best.indices.tolist() == one["top3_ids"]
            torch.testing.assert_close(best.values, torch.tensor(one["top3_logits"]), **STATES)
        torch.testing.assert_close(generation.states[0], arrays["prefill_last_prenorm"], **STATES)
        if "prefill_last_logits" in arrays:
            torch.testing.assert_close(seen[0], arrays["prefill_last_logits"], **STATES)
        if record.get("reg_step"):
            _compare_head(backbone, generation, layout, record, arrays)


def _compare_head(backbone: Any, generation: Any, layout: Any, record: Any, arrays: dict[str, torch.Tensor]) -> None:
    at = generation.ids.index(backbone.tokens.id(REG))
    assert at == record["reg_step"]
    torch.testing.assert_close(generation.states[at], arrays["reg_state_prenorm"], **STATES)
    frames = generation.prefill_states[layout.visual].view(layout.grid[0], -1, 128).mean(dim=1)
    out = backbone._head(frames[None], generation.states[at][None, None])
    for name, found in (("vis_proj", out.vis_proj), ("reg_proj", out.reg_proj), ("vis_norm", out.fused)):
        assert_statistics(found.view(record[name]["shape"]), record[name], **STATES)
        if name in arrays:
            torch.testing.assert_close(found[0], arrays[name], **STATES)
    for level, found in enumerate(out.pyramid):
        assert_statistics(found, record[f"pyramid_{level}"], **STATES)
    assert f"pyramid_{len(out.pyramid)}" not in record
    if "saliency_scores" in arrays:
        torch.testing.assert_close(out.class_logits[0].sigmoid(), arrays["saliency_scores"], atol=1e-5, rtol=0)
        torch.testing.assert_close(out.points, arrays["points"][:, [0, 3]], atol=0, rtol=0)
        levels = [arrays[f"coord_head_{k}"] for k in range(len(out.pyramid))]
        factors = [backbone._head.coef.scale[k].expand(len(level)) for k, level in enumerate(levels)]
        expected = torch.cat(levels).exp() * torch.cat(factors)[:, None]
        torch.testing.assert_close(out.distances[0], expected, **STATES)
    rows, recorded = suppress(out.rows_norm()[0]), arrays["reg_rows"]
    # Suppressed rows may come in another order; those that count may not.
    alive = recorded[:, 2] > 0
    torch.testing.assert_close(rows[alive], recorded[alive], atol=1e-5, rtol=0)
    assert rows.shape == recorded.shape


@over_steps("verifier")
def test_verdicts(backbone: Any, videos: dict[str, Any], step: Step) -> None:
    case, record, arrays = step
    request = build_request(backbone, videos, case, record)
    layout_marks = [record["verifier"]["seg_start_pos"], record["verifier"]["seg_end_pos"]]
    with backbone._working("verifier"):
        embeds, layout, _ = backbone._embed(request)
        ids = layout.ids.tolist()
        start, end = (backbone.tokens.id(name) for name in ("<|seg_start|>", "<|seg_end|>"))
        assert [ids.index(start), ids.index(end)] == layout_marks
        states = backbone._language_model.forward(embeds[None], layout.positions[:, None])[0]
        logits = backbone._vocabulary("verifier").logits(backbone._language_model.normalise(states[-1]))
    torch.testing.assert_close(states[-1], arrays["prefill_last_prenorm"], **STATES)
    assert logits.topk(3).indices.tolist() == record["gen"][0]["top3_ids"]
    assert logits.logsumexp(0).item() == pytest.approx(record["verifier"]["logsumexp"], abs=1e-4, rel=1e-4)
    [judgement] = backbone.judge([request])
    assert judgement.p_yes == pytest.approx(record["verifier"]["prob_yes"], abs=1e-5)
    assert judgement.p_no == pytest.approx(record["verifier"]["prob_no"], abs=1e-5)
    score = torch.tensor(judgement.margin).sigmoid().item()
    assert score == pytest.approx(record["verifier"]["score"], abs=1e-5)


def test_every_role_is_covered() -> None:
    roles = {read_case(case)["steps"][index]["role"] for case, index in STEPS}
    assert roles == {"planner", "grounder", "verifier", "answerer"}
