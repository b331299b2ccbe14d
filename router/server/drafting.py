"""Cascades: a cheap draft is asked for first, held back whole and judged; the client sees an accepted one or nothing.

A draft is called once. Whatever keeps it from being an answer (it can't be called, fails, takes too long or isn't good
enough) leaves the request to the rule's own target, the verifier, which is then tried as if there were no cascade.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from router.errors import BadRequest, Refused, UpstreamError
from router.health import classes
from router.profile.profile import Cascade
from router.routing.judging import Draft, Judgement, Question, judge
from router.routing.rules import RouteDecision, Target, filled, no_more
from router.server.attempt import Answer, Attempt, SoftFailure, no_answer
from router.server.trying import Trying
from router.server.ways import EVENTS
from router.wire.codec import Codec
from router.wire.loss import Losses
from router.wire.request import RequestView

if TYPE_CHECKING:
    from router.server.exchange import Exchange

LONGEST_DRAFT: Final = 16 * 2**20
"""Bytes of a streamed draft that are held back; a longer one is none."""


class Drafting:
    """The draft of one request, for a rule with a cascade."""

    def __init__(self, exchange: Exchange, decision: RouteDecision, cascade: Cascade) -> None:
        self._exchange = exchange
        self._decision = decision
        self._cascade = cascade
        self._codec: Codec = exchange.codec

    async def answer(self, view: RequestView) -> Answer | None:
        """The draft, if it is accepted; ``None`` where the verifier has to be asked."""
        exchange = self._exchange
        targets = tuple(filled(exchange.profile.routes, view.model, target) for target in self._cascade.draft)
        if (reason := self._needless(view, targets)) is not None:
            self._note(f"not asked for, {reason}")
            return None
        try:
            question = await asyncio.to_thread(self._question, view)
        except Refused as error:
            self._note(f"not asked for, it couldn't be judged: {error}")
            return None
        trying = exchange.trying = Trying(exchange, replace(self._decision, candidates=targets, why=(), later=no_more))
        attempt = await trying.draft()
        if attempt is None:
            return None  # why is in the trace
        exchange.attempt = attempt
        exchange.outgoing.show_life()
        try:
            answer, payload = await self._call(attempt, view)
        except UpstreamError as error:
            attempt.close()
            await trying.draft_failed(error)
            self._note(f"{attempt.chosen.target} failed: {error}")
            return None
        trying.answered()
        judgement = await asyncio.to_thread(self._judge, question, answer, payload)
        accepted = judgement.accepted(self._cascade.threshold)
        exchange.account.judged(judgement.score, accepted=accepted)
        self._note(f"{attempt.chosen.target} {'accepted' if accepted else 'rejected'}, {self._reasons(judgement)}")
        if accepted:
            return answer
        trying.finished(ok=True)
        attempt.close()
        exchange.account.conclude(None)
        return None

    def _needless(self, view: RequestView, targets: tuple[Target, ...]) -> str | None:
        """Why no draft is to be asked for."""
        verifier = self._decision.candidates[0]
        if all((target.provider, target.model) == (verifier.provider, verifier.model) for target in targets):
            return "it would be the verifier's own"
        if view.body.get("previous_response_id") is not None:
            return "the request continues a reply that only its provider knows"
        losing = self._exchange.tenant.losing.get(self._decision.rule.hash)
        return str(losing) if losing is not None and losing.paused else None

    async def _call(self, attempt: Attempt, view: RequestView) -> tuple[Answer, bytes]:
        """The whole draft, and its bytes as the client would get them. Raises UpstreamError."""
        exchange, verifier = self._exchange, self._decision.candidates[0]
        exchange.account.drafting(exchange.profile.providers[verifier.provider], verifier.model or "")
        whole_s = attempt.chosen.provider.timeouts.get("whole", exchange.profile.timeouts.whole)
        try:
            async with asyncio.timeout(whole_s):
                answer = await attempt.open(view, "draft")
                if answer.relay is None:
                    payload = answer.payload
                else:
                    try:
                        payload = await answer.relay.hold(LONGEST_DRAFT)
                    finally:
                        exchange.account.reply = answer.relay.facts
        except TimeoutError as error:
            raise UpstreamError(
                f"not finished within {whole_s:g} s", error_class=classes.TIMEOUT, maybe_billed=True
            ) from error
        if (fault := no_answer(answer, exchange.facts)) is not None:
            raise SoftFailure(fault, answer)
        return answer, payload

    def _question(self, view: RequestView) -> Question:
        """What the draft has to answer. Raises BadRequest where the body isn't what its format says."""
        try:
            return Question.of(self._codec.parse(view, Losses()))
        except RecursionError:  # a schema's levels are walked one inside the other
            raise BadRequest("it is nested too deeply") from None

    def _judge(self, question: Question, answer: Answer, payload: bytes) -> Judgement:
        """Judge what the client would get: names and shapes are those it knows, whoever answered."""
        decoder = self._codec.decoder()
        headers = answer.way.reply_headers(answer.reply, stream=answer.relay is not None)
        if answer.relay is not None and headers.get("Content-Type", "").startswith(EVENTS):
            events = decoder.feed(payload) + decoder.finish()
        else:
            events = decoder.whole(payload)
        return judge(question, Draft.of(events), risky_tools=self._cascade.risky_tools)

    def _reasons(self, judgement: Judgement) -> str:
        """The score, and the checks that took something away."""
        faults = "; ".join(
            f"{check.name} {check.score:g}: {check.reason}" for check in judgement.checks if check.score < 1
        )
        return f"score {judgement.score:g} of {self._cascade.threshold:g}" + (f" ({faults})" if faults else "")

    def _note(self, line: str) -> None:
        self._exchange.account.trace.append(f"draft: {line}")
