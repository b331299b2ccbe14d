"""What the strategies are told of a request: prices, records, its conversation; and whether that stays where it is.

The strategies themselves are pure (``routing.strategies``). One ``Ordering`` serves one request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from router.money.cost import cost_nano_usd
from router.profile.profile import Sticky
from router.routing.facts import Facts
from router.routing.families import family_of
from router.routing.rules import Choice, RouteDecision, Target
from router.routing.strategies import Draw, Estimate, Option, order
from router.server.pricing import rates_for
from router.wire.usage import Usage

if TYPE_CHECKING:
    from router.server.tenant import Tenant

USUAL_OUTPUT: Final = 600
"""Tokens of an answer at a model that hasn't been seen often enough: an agent's turn is a tool call or a short text."""


class Ordering:
    """``chance`` gives 0 <= x < 1; ``turns`` counts the requests that a choice was made for."""

    def __init__(self, tenant: Tenant, facts: Facts, *, chance: Callable[[], float], turns: dict[str, int]) -> None:
        self._tenant = tenant
        self._facts = facts
        self._chance = chance
        self._turns = turns

    def __call__(self, strategy: str, name: str, choices: Sequence[Choice]) -> tuple[Sequence[int], Sequence[str]]:
        """The order of the choices, see ``routing.rules.Arrange``. Raises CountNeeded where prices need a count."""
        health, now = self._tenant.health, self._tenant.health.now
        options = []
        for number, choice in enumerate(choices):
            target = choice.target
            options.append(
                Option(
                    number,
                    choice.key,
                    choice.weight,
                    estimate=self.estimate(target) if strategy == "lowest-cost" else None,
                    seen=health.performance.of((target.provider, target.model or ""), now)
                    if strategy == "adaptive"
                    else None,
                )
            )
        turn = self._turns.get(name, 0)
        self._turns[name] = turn + 1
        draw = Draw(
            self._chance,
            conversation=self.conversation,
            home=self._home(choices) if strategy == "adaptive" else None,
            turn=turn,
            adaptive=self._tenant.profile.adaptive,
        )
        return order(strategy, options, draw)

    @property
    def conversation(self) -> str | None:
        """The conversation's key; a first request has the one that its followers will have."""
        facts = self._facts
        return getattr(facts, "conversation", None) or getattr(facts, "conversation_start", None)

    def estimate(self, target: Target) -> Estimate:
        """What this request would cost at a target. Raises CountNeeded."""
        tenant, model = self._tenant, target.model or ""
        provider = tenant.profile.providers[target.provider]
        tokens = int(self._facts.tokens() * family_of(provider.family, model).factor)
        cached = self._cached(target, tokens)
        length = tenant.health.performance.output(model)
        output = int(length.mean) if length is not None else min(USUAL_OUTPUT, self._facts.max_tokens or USUAL_OUTPUT)
        if provider.billing != "metered":
            return Estimate(0, tokens, cached, output)
        usage = Usage(input=tokens - cached, cache_read=cached, output=output)
        cost = cost_nano_usd(usage, rates_for(tenant.profile, provider, tenant.prices, model), day=datetime.now(UTC))
        return Estimate(cost.nano_usd, tokens, cached, output)

    def stuck(self, decision: RouteDecision) -> RouteDecision:
        """The decision with the conversation's last target in front, where it is to stay there. Raises CountNeeded."""
        sticky: Sticky = decision.rule.sticky or self._tenant.profile.sticky  # type: ignore[assignment]  # checked on load
        if sticky == "off" or decision.rule.kind in ("explicit", "script"):
            return decision
        last = self._tenant.target_of(self.conversation)
        if last is None or self._same(last, decision.candidates[0]):
            return decision
        home = next((target for target in decision.candidates if self._same(target, last)), None)
        if home is None and decision.rule.sticky is None:
            home = next((found.target for found in decision.later() if self._same(found.target, last)), None)
        if home is None:
            return decision
        if sticky == "cache":
            stays, goes = self.estimate(home), self.estimate(decision.candidates[0])
            if stays.nano_usd is None or goes.nano_usd is None or goes.nano_usd < stays.nano_usd:
                return replace(decision, why=(*decision.why, f"left {home}: {_compared(stays, goes)}"))
            line = f"stays at {home}: {_compared(stays, goes)}"
        else:
            line = f"stays at {home}, where the conversation was"
        others = tuple(target for target in decision.candidates if target != home)
        return replace(decision, candidates=(home, *others), why=(line, *decision.why))

    def _home(self, choices: Sequence[Choice]) -> str | None:
        last = self._tenant.target_of(self.conversation)
        if last is None:
            return None
        held = self._tenant.health.caches.of(
            self.conversation or "", (last.provider, last.model or ""), 2**31, self._tenant.health.now
        )
        return next((choice.key for choice in choices if held and self._same(choice.target, last)), None)

    def _cached(self, target: Target, tokens: int) -> int:
        health, conversation = self._tenant.health, self.conversation
        if conversation is None:
            return 0
        return health.caches.of(conversation, (target.provider, target.model or ""), tokens, health.now)

    @staticmethod
    def _same(one: Target, other: Target) -> bool:
        return (one.provider, one.model) == (other.provider, other.model)


def _compared(stays: Estimate, goes: Estimate) -> str:
    """Two prices of a request, where it is and where it would go."""
    return f"{_usd(stays.nano_usd)} there with {stays.cached_tokens:,} tokens cached, {_usd(goes.nano_usd)} elsewhere"


def _usd(nano: int | None) -> str:
    return "an unknown price" if nano is None else f"${nano / 1e9:.6f}"
