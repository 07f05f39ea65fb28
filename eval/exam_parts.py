"""A film in front of a model goes in; the parts of the exam come out, each with a record for every question.

Every part goes through the product's own roles and agent. Truth is used only to score, except where a part's own text
says so: the moments' queries and the swapped clips come from the film's questions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.train.planner import kind_of, truth_of
from agent import Agent, Result, Settings
from eval import exam_films
from eval.evidence_swap import LEAST_LEFT_S, TIGHT_S, anywhere, longest_rest
from eval.exam_model import ExaminedModel
from eval.exam_sitting import (
    FEW_FRAMES,
    Record,
    Sitting,
    about,
    answered,
    first_iou,
    has_evidence,
    is_right,
    overlaps,
    points,
)
from roles import answerer, grounder, planner, verifier
from roles.errors import InputError, ReplyError
from roles.types import Plan, Span

TOP = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the exam.

    Attributes:
        sort: The films that it is about.
        needs: Roles that the checkpoint must have.
        examine: Asks, and yields a record for each question.
        costly: Whether it takes a sample of the questions only.
    """

    sort: str
    needs: tuple[str, ...]
    examine: Callable[[Sitting], Iterator[Record]]
    costly: bool = True


def answers(sitting: Sitting) -> Iterator[Record]:
    """Every question with options, answered from the whole film by the answerer alone."""
    agent = sitting.agent("answer")
    for example in (one for one in sitting.examples if one.options):
        sitting.go_on()
        yield about(example) | answered(agent.ask(sitting.video, example.question, example.options), example)


def moments(sitting: Sitting) -> Iterator[Record]:
    """The grounder's moments for the query that belongs to a question."""
    for example in sitting.examples:
        if points(example):
            sitting.go_on()
            found = sitting.pointed(example.tags["query"])
            yield about(example) | {"ious": overlaps(found[:TOP], example), "pointed": bool(found)}


def verified(sitting: Sitting) -> Iterator[Record]:
    """The verifier's order of the grounder's first candidates, asked with the user's question, as the agent does."""
    for example in sitting.drawn("verifier", points):
        found = sitting.pointed(example.tags["query"])[: sitting.model.manner.candidates]
        judgements = sitting.judged(found, example.question)
        yield about(example) | {
            "ious": overlaps(found, example),
            "order": verifier.ranking(found, judgements, sitting.model.manner.rank) if judgements else [],
            "margins": [round(one.margin, 5) for one in judgements] or [0.0] * len(found),
            "yes": [round(one.p_yes, 5) for one in judgements],
            "confidences": [round(moment.confidence, 5) for moment in found],
        }


def planned(sitting: Sitting) -> Iterator[Record]:
    """The planner's route, and what the grounder finds with its query and with the one that belongs to the question."""
    model = sitting.model
    budget = model.manner.budget(planner.ROLE)
    for example in sitting.drawn("planner", lambda one: True):
        reply = model.write(planner.request(sitting.video, None, example.question, model.prompts, budget))
        plan: Plan | None = None
        try:
            plan = planner.read(reply.text, example.question)
        except ReplyError:
            plan = None
        record = about(example) | {
            "truth": truth_of(example),
            "planned": None if plan is None else kind_of(plan, example.question),
            "reply": reply.text,
        }
        query = next((call.query for call in plan.calls if call.role == grounder.ROLE), None) if plan else None
        if points(example):
            own = sitting.pointed(query) if query is not None else []
            record["own_iou"] = (overlaps(own[:1], example) or [0.0])[0]
            record["told_iou"] = (overlaps(sitting.pointed(example.tags["query"])[:1], example) or [0.0])[0]
        yield record


def long(sitting: Sitting) -> Iterator[Record]:
    """The full agent against the answerer alone on the whole film, with the same budget for the answerer.

    With the checkpoint's own budget, and with smaller ones: the moments that were found do not depend on them.
    """
    manner = sitting.model.manner
    full, alone = sitting.agent("auto"), sitting.agent("answer")
    few = {
        frames: Agent(
            sitting.model,
            Settings(plan="answer", budgets={answerer.ROLE: replace(manner.budget(answerer.ROLE), max_frames=frames)}),
        )
        for frames in FEW_FRAMES
    }
    for example in sitting.drawn("long", has_evidence):
        both = [one.ask(sitting.video, example.question, example.options) for one in (full, alone)]
        found = answerer.watched(both[0].moments, manner.clip) if both[0].clip is not None else None
        yield about(example) | {
            "right": is_right(both[0], example),
            "right_alone": is_right(both[1], example),
            "few": {
                str(frames): [
                    is_right(agent.ask(sitting.video, example.question, example.options, span=span), example)
                    for span in (
                        answerer.clip_span(found, sitting.part, agent.settings.over(manner).min_clip_s),
                        sitting.part,
                    )
                ]
                for frames, agent in few.items()
            },
            "tokens": [_tokens(result) for result in both],
            "clip_s": None if both[0].clip is None else round(both[0].clip.length_s, 3),
            "iou": first_iou(both[0], example),
            "error": both[0].error or both[1].error,
        }


def _tokens(result: Result) -> dict[str, int]:
    """Visual tokens that the answerer saw, and all roles together."""
    seen = {step.call.role: int(step.usage["video_tokens"]) for step in result.steps if step.usage}
    return {"answerer": seen.get(answerer.ROLE, 0), "all": sum(seen.values())}


def swapped(sitting: Sitting) -> Iterator[Record]:
    """Answers from the true evidence, from the predicted one, from as much of the film anywhere, and from the rest."""
    agent = sitting.agent("answer")
    least_s = {"manner": sitting.model.manner.min_clip_s, "tight": TIGHT_S}
    for example in sitting.drawn("swap", has_evidence):
        true = answerer.hull(example.spans)
        found = sitting.pointed(example.tags["query"])[: sitting.model.manner.candidates]
        judgements = sitting.judged(found, example.question)
        found = verifier.read(found, judgements, sitting.model.manner.rank) if judgements else found
        predicted = answerer.watched(found, sitting.model.manner.clip) or sitting.part
        clips: dict[str, Span] = {}
        for name, seconds in least_s.items():
            clips[f"true/{name}"] = answerer.clip_span(true, sitting.part, seconds)
            clips[f"predicted/{name}"] = answerer.clip_span(predicted, sitting.part, seconds)
            clips[f"random/{name}"] = anywhere(clips[f"true/{name}"].length_s, sitting.part, example.tags["id"])
        rest = longest_rest(clips["true/tight"], sitting.part)
        if rest.length_s >= LEAST_LEFT_S:
            clips["complement"] = rest
        right: dict[tuple[float, float], bool] = {}
        for clip in clips.values():
            key = (clip.start_s, clip.end_s)
            if key not in right:
                result = agent.ask(sitting.video, example.question, example.options, span=clip)
                right[key] = is_right(result, example)
        yield about(example) | {
            "right": {name: right[clip.start_s, clip.end_s] for name, clip in clips.items()},
            "clips_s": {name: [round(clip.start_s, 2), round(clip.end_s, 2)] for name, clip in clips.items()},
        }


def asked_agent(sitting: Sitting) -> Iterator[Record]:
    """The agent from question to answer and moment, each time on a film that it has not seen, and how long it takes."""
    agent = sitting.agent("auto")
    with sitting.model.reading_afresh():
        for example in sitting.drawn("agent", lambda one: bool(one.options or one.spans)):
            sitting.rewatch()
            began = time.perf_counter()
            result = agent.ask(sitting.video, example.question, example.options)
            elapsed_s = time.perf_counter() - began
            record = about(example) | {
                "elapsed_s": round(elapsed_s, 4),
                "steps_s": {step.call.role: round(step.elapsed_s, 4) for step in result.steps},
                "fell_back": [step.call.role for step in result.steps if step.status == "fallback"],
                "iou": first_iou(result, example),
            }
            yield record | (answered(result, example) if example.options else {"error": result.error})


PARTS: Mapping[str, Part] = {
    "answers": Part(exam_films.SHORT, (), answers, costly=False),
    "moments": Part(exam_films.SHORT, (grounder.ROLE,), moments, costly=False),
    "verifier": Part(exam_films.SHORT, (grounder.ROLE, verifier.ROLE), verified),
    "planner": Part(exam_films.SHORT, (planner.ROLE, grounder.ROLE), planned),
    "long": Part(exam_films.LONG, (), long),
    "swap": Part(exam_films.SWAP, (grounder.ROLE, verifier.ROLE), swapped),
    "agent": Part(exam_films.SHORT, (), asked_agent),
}


def check_roles(model: ExaminedModel, parts: Sequence[str]) -> None:
    """Refuses parts that the checkpoint has no roles for.

    Raises:
        InputError: Some are missing.
    """
    missing = {part: [role for role in PARTS[part].needs if not model.has(role)] for part in parts}
    for part, roles in missing.items():
        if roles:
            raise InputError(f"--parts {part}: the checkpoint has no {' and no '.join(roles)}; leave this part out")
