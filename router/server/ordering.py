"""What the strategies are told of a request: prices, records, its conversation; and whether that stays where it is.

The strategies themselves are pure (``routing.strategies``). One ``Ordering`` serves one request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from router.profile.profile import Sticky
from router.routing.facts import Facts
from router.routing.families import family_of
from router.routing.rules import Candidate, Choice, RouteDecision, Target
from router.routing.strategies import Draw, Estimate, Option, order
from router.server.pricing import cost_at
from router.wire.usage import Usage

if TYPE_CHECKING:
    from router.server.tenant import Tenant

USUAL_OUTPUT: Final = 600
"""Tokens of an answer at a model that hasn't been seen often enough: an agent's turn is a tool call or a short text."""
MAX_TURNS: Final = 10_000
"""Choices in turn that are remembered: which rules match together is up to the clients."""


class Ordering:
    """``chance`` gives 0 <= x < 1; ``turns`` counts the requests that a choice was made for, by its name.
    ``takes_turns``: whether this one counts."""

    def __init__(
        self,
        tenant: Tenant,
        facts: Facts,
        *,
        chance: Callable[[], float],
        turns: dict[str, int],
        takes_turns: bool,
    ) -> None:
        self._tenant = tenant
        self._facts = facts
        self._chance = chance
        self._turns = turns
        self._takes_turns = takes_turns
        self._in_turn: set[str] = set()  # choices that were asked for in turn

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
        if strategy == "round-robin":
            self._in_turn.add(name)
        draw = Draw(
            self._chance,
            conversation=self.conversation,
            home=self._home(choices) if strategy == "adaptive" else None,
            turn=self._turns.get(name, 0),
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
        tokens, cached = self._tokens(target), self._cached(target)
        length = tenant.health.performance.output(model)
        output = int(length.mean) if length is not None else min(USUAL_OUTPUT, self._facts.max_tokens or USUAL_OUTPUT)
        usage = Usage(input=tokens - cached, cache_read=cached, output=output)
        return Estimate(cost_at(tenant.profile, provider, tenant.prices, model, usage), tokens, cached, output)

    def stuck(self, decision: RouteDecision) -> RouteDecision:
        """The decision with the conversation's last target in front, where it is to stay there. Raises CountNeeded.

        A request that stays takes no turn of round-robin: that is the next conversation's.
        """
        in_turn = frozenset(self._in_turn)  # before later rules are asked, to which nothing is sent yet
        sticky: Sticky = decision.rule.sticky or self._tenant.profile.sticky  # type: ignore[assignment]  # checked on load
        first, home = decision.candidates[0], self._last(decision) if sticky != "off" else None
        if home is None:
            self._take(in_turn)
            return decision
        if self._same(home.target, first):
            return decision
        if sticky == "conversation":
            return decision.led_by(home, f"stays at {home.target}, where the conversation was")
        stays, goes = self.estimate(home.target), self.estimate(first)
        compared = _compared(stays, goes)
        if stays.nano_usd is None or goes.nano_usd is None or goes.nano_usd < stays.nano_usd:
            self._take(in_turn)
            return replace(decision, why=(*decision.why, f"left {home.target}: {compared}"))
        return decision.led_by(home, f"stays at {home.target}: {compared}")

    def _last(self, decision: RouteDecision) -> Candidate | None:
        """The candidate that answered the conversation last; behind the rule's own only where all rules stick. A first
        request has no conversation yet, whoever began one with the same words."""
        last = self._tenant.target_of(getattr(self._facts, "conversation", None))
        if last is None or decision.rule.kind in ("explicit", "script"):
            return None
        own = (Candidate(target, decision.rule) for target in decision.candidates)
        behind = decision.later() if decision.rule.sticky is None else ()
        return next((candidate for candidate in chain(own, behind) if self._same(candidate.target, last)), None)

    def _take(self, in_turn: Collection[str]) -> None:
        """Round-robin goes on: the next request gets the next."""
        if self._takes_turns:
            if len(self._turns) > MAX_TURNS:
                self._turns.clear()
            for name in in_turn:
                self._turns[name] = self._turns.get(name, 0) + 1

    def _home(self, choices: Sequence[Choice]) -> str | None:
        """The key of the choice that has the conversation in its prompt cache. Raises CountNeeded."""
        last = self._tenant.target_of(self.conversation)
        home = next((choice for choice in choices if last is not None and self._same(choice.target, last)), None)
        return home.key if home is not None and self._cached(home.target) else None

    def _cached(self, target: Target) -> int:
        """How many of the request's tokens a target probably has in its prompt cache. Raises CountNeeded."""
        health, conversation = self._tenant.health, self.conversation
        if conversation is None:
            return 0
        return health.caches.of(conversation, (target.provider, target.model or ""), self._tokens(target), health.now)

    def _tokens(self, target: Target) -> int:
        """The request's tokens as a target counts them. Raises CountNeeded."""
        family = family_of(self._tenant.profile.providers[target.provider].family, target.model or "")
        return int(self._facts.tokens() * family.factor)

    @staticmethod
    def _same(one: Target, other: Target) -> bool:
        return (one.provider, one.model) == (other.provider, other.model)


def _compared(stays: Estimate, goes: Estimate) -> str:
    """Two prices of a request, where it is and where it would go."""
    return f"{_usd(stays.nano_usd)} there with {stays.cached_tokens:,} tokens cached, {_usd(goes.nano_usd)} elsewhere"


def _usd(nano: int | None) -> str:
    return "an unknown price" if nano is None else f"${nano / 1e9:.6f}"
