"""What the four built-in roles do when they are called: one question's handlers, policies and fallbacks.

An `Asking` is made for each question and holds nothing that changes, so that no question can leak into another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from agent.contract import Handler, Policy, StepContext, StepOutcome
from agent.encode import documents
from agent.settings import Settings
from roles import answerer, grounder, planner, verifier
from roles.backbone import Backbone
from roles.errors import ReplyError
from roles.manner import Manner
from roles.subtitles import Line
from roles.types import Answer, Moment, Plan, Pointing, Reply, Request, RoleCall, Span, Usage, Video


@dataclass(frozen=True, slots=True)
class Asking:
    """One question on one video.

    Attributes:
        backbone: The model.
        settings: How to ask.
        manner: What of that belongs to the checkpoint, as it is in force.
        video: The video.
        question: As typed.
        options: The choices.
        subtitles: All lines of the video.
        span: The part that is asked about; None is the whole.
        part: The same in seconds, also where it is the whole.
        given: A plan that the caller brings; the planner is not asked then.
    """

    backbone: Backbone
    settings: Settings
    manner: Manner
    video: Video
    question: str
    options: tuple[str, ...]
    subtitles: Sequence[Line]
    span: Span | None
    part: Span
    given: Plan | None = None

    def handlers(self) -> dict[str, Handler]:
        """A handler per built-in role."""
        return {"planner": self.plan, "grounder": self.ground, "verifier": self.verify, "answerer": self.answer}

    def policies(self) -> dict[str, Policy]:
        """What happens when a built-in role fails."""
        fallback = partial(Policy, timeout_s=self.settings.step_timeout_s, on_error="fallback")
        return {
            "planner": fallback(fallback=lambda call, context, error: self._unplanned()),
            "grounder": fallback(fallback=lambda call, context, error: self._unfound(context)),
            "verifier": fallback(fallback=lambda call, context, error: self._unverified(context)),
            "answerer": Policy(self.settings.step_timeout_s, "stop"),
        }

    def plan(self, call: RoleCall, context: StepContext) -> StepOutcome:
        """Asks the planner, unless there is nothing to ask it."""
        forced = self.settings.plan
        if self.given is not None:
            return StepOutcome(self.given, status="skipped", reason="a plan was given")
        if forced != "auto":
            plan = planner.route_plan(forced, self.question, self.question, "forced")
            return StepOutcome(plan, status="skipped", reason=f"the plan was forced: {forced}")
        if not self.backbone.has(planner.ROLE):
            reason = "the checkpoint has no planner: grounding directly"
            return StepOutcome(self._fallback_plan(), status="skipped", reason=reason)
        budget = self.manner.budget(planner.ROLE)
        request = planner.request(self.video, self.span, self.question, self.backbone.prompts, budget)
        context.asked(request)
        if self.backbone.has(grounder.ROLE):
            # Most plans go on to the grounder, which looks at the same stretch: one pass over the file serves both.
            looked_for = grounder.request(
                self.video, self.span, self.question, self.backbone.prompts, self.manner.budget(grounder.ROLE)
            )
            self.backbone.prepare([request.clip, looked_for.clip])
        reply = self.backbone.write(request)
        outcome = StepOutcome(None, reply.text, (reply.usage,))
        try:
            plan = planner.read(reply.text, self.question, must_answer=bool(self.options))
        except ReplyError as error:
            reason = f"{error}; grounding on the question"
            return replace(outcome, output=self._fallback_plan(), status="fallback", reason=reason)
        roles = {call.role for call in plan.calls}
        if not self.backbone.has(grounder.ROLE) and answerer.ROLE not in roles:
            plan = planner.route_plan("answer", self.question, self.question, "fallback")
            reason = "the plan only looks for a moment and the checkpoint has no grounder; answering from the whole"
            return replace(outcome, output=plan, status="fallback", reason=reason)
        return replace(outcome, output=plan)

    def ground(self, call: RoleCall, context: StepContext) -> StepOutcome:
        """Looks for moments."""
        if not self.backbone.has(grounder.ROLE):
            return StepOutcome(None, status="skipped", reason="the checkpoint has no grounder: no moment is looked for")
        budget = self.manner.budget(grounder.ROLE)
        request = grounder.request(self.video, self.span, call.query, self.backbone.prompts, budget)
        context.asked(request)
        pointing = self.backbone.point(request)
        raw, usage = pointing.reply.text, (pointing.reply.usage,)
        if not pointing.rows_norm:
            outcome = self._unfound(context)
            reason = f"the reply points at no moment; {outcome.reason}"
            return replace(outcome, raw=raw, usage=usage, status="fallback", reason=reason)
        verified = self._verified(context)
        moments = tuple(grounder.read(pointing, self.part, self.settings.unit_s, verified))
        return StepOutcome(moments, raw, usage, details=_retrieved(call, moments))

    def verify(self, call: RoleCall, context: StepContext) -> StepOutcome:
        """Ranks the best moments anew."""
        moments = _moments(context)
        if not self.backbone.has(verifier.ROLE):
            reason = "the checkpoint has no verifier: the grounder's order stays"
            return StepOutcome(moments, status="skipped", reason=reason)
        if len(moments) == 1:
            return StepOutcome(moments, status="skipped", reason="there is only one candidate")
        candidates = moments[: self.manner.candidates]
        budget, window_s = self.manner.budget(verifier.ROLE), self.manner.window_s
        prompts = self.backbone.prompts
        requests = [
            verifier.request(self.video, self.part, moment.span, call.query, prompts, budget, window_s)
            for moment in candidates
        ]
        context.asked(*requests)
        judgements = self.backbone.judge(requests)
        ranked = tuple(verifier.read(candidates, judgements, self.manner.rank))
        before = [f"{call.id}-{rank}" for rank in range(len(candidates))]
        order = verifier.ranking(candidates, judgements, self.manner.rank)
        details = {
            "reranker.query": call.query,
            "reranker.top_k": len(candidates),
            "reranker.input_documents": documents(candidates, before),
            "reranker.output_documents": documents(ranked, [before[at] for at in order]),
        }
        return StepOutcome(ranked, usage=tuple(judgement.usage for judgement in judgements), details=details)

    def answer(self, call: RoleCall, context: StepContext) -> StepOutcome:
        """Answers from the moments that were found, or from the whole part."""
        manner = self.manner
        moments = _moments(context)
        ratio = self.settings.min_clip_ratio
        least_s = manner.min_clip_s if ratio is None else ratio * self.part.length_s
        clip = answerer.clip_span(answerer.watched(moments, manner.clip), self.part, least_s)
        request = answerer.request(
            self.video,
            clip,
            call.query,
            self.backbone.prompts,
            self.options,
            self.subtitles,
            manner.style,
            manner.budget(answerer.ROLE),
        )
        context.asked(request)
        notes = []
        if not self.backbone.has(answerer.ROLE):
            notes.append("the checkpoint has no answerer: the base model answers")
        if self.options and manner.choose == "likelihood":
            return replace(self._likeliest(request, moments), notes=tuple(notes))
        reply = self.backbone.write(request)
        shown = self.options if manner.style != "direct" else ()
        text, choice = answerer.read(reply.text, shown)
        if not text.strip():
            notes.append("the model's reply is empty")
        elif shown and choice is None:
            notes.append("the reply names none of the options")
        if not reply.finished:
            notes.append(f"the answer was cut off at {request.max_new_tokens} tokens")
        return StepOutcome(Answer(text, choice, moments), reply.text, (reply.usage,), notes=tuple(notes))

    def _likeliest(self, request: Request, moments: tuple[Moment, ...]) -> StepOutcome:
        """Answers with the option that the model finds likeliest as a reply.

        Raises:
            StepError: The model's probabilities are no numbers.
        """
        texts = answerer.replies(self.options, self.manner.style)
        found = self.backbone.choose(request, texts)
        best = answerer.likeliest(found)
        shares = found.shares
        scored = [
            {"letter": letter, "text": text, "log_prob": log_prob, "share": share}
            for letter, text, log_prob, share in zip(
                answerer.LETTERS, self.options, found.log_probs, shares, strict=False
            )
        ]
        answer = Answer(self.options[best], answerer.LETTERS[best], moments, shares)
        return StepOutcome(answer, usage=(found.usage,), details={"answer.options": scored})

    def _fallback_plan(self) -> Plan:
        return planner.route_plan("ground", self.question, self.question, "fallback")

    def _unplanned(self) -> StepOutcome:
        return StepOutcome(self._fallback_plan(), reason="grounding on the question")

    def _verified(self, context: StepContext) -> bool:
        return verifier.ROLE in context.followers and self.backbone.has(verifier.ROLE)

    def _unfound(self, context: StepContext) -> StepOutcome:
        """Moments to go on with where none was found."""
        verified = self._verified(context)
        nothing = Pointing(Reply("", True, Usage()), None)
        moments = tuple(grounder.read(nothing, self.part, self.settings.unit_s, verified))
        spread = f"the verifier chooses among {len(moments)} windows spread over the video"
        return StepOutcome(moments, reason=spread if verified else "the whole video is taken")

    def _unverified(self, context: StepContext) -> StepOutcome:
        return StepOutcome(_moments(context), reason="the grounder's order stays")


def _moments(context: StepContext) -> tuple[Moment, ...]:
    return tuple(cast("Sequence[Moment]", context.inputs.get("moments", ())))


def _retrieved(call: RoleCall, moments: Sequence[Moment]) -> Mapping[str, object]:
    ids = [f"{call.id}-{rank}" for rank in range(len(moments))]
    return {"retrieval.query": call.query, "retrieval.documents": documents(moments, ids)}
