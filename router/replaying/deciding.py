"""Where a past request would have gone: the server's own walk and the server's own order, over recorded facts.

What the server remembers from request to request (where conversations were, whose turn it is, what is cached) it
remembers here as well, of what the new rules would have done, by the clock of the replay. What can't be known isn't
guessed: ``Undecided`` says for want of which condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, NoReturn, cast

from router.errors import NoRoute, NotFound
from router.ledger.traffic import PastExchange
from router.money.prices import PriceTable
from router.profile.profile import Profile
from router.providers.credentials import Credentials
from router.providers.traits import preferred_format
from router.replaying.facts import ReplayedFacts
from router.routing.candidates import Dropped, Why, unfit
from router.routing.facts import FactUnknown, PhraseTest
from router.routing.rules import (
    Arrange,
    Choice,
    RouteDecision,
    RouteTable,
    Rule,
    Target,
    decide,
    explicit_rule,
    no_more,
)
from router.server.ordering import Ordering
from router.server.target_health import TargetHealth
from router.server.tenant import Memory, Tenant
from router.wire.request import Api

NO_FACTS: Final = "facts that weren't kept"
ADAPTIVE: Final = "the adaptive order, which goes by how targets answer at the moment"
BEFORE: Final = "where the conversation was before"


class Cause(NamedTuple):
    """What would have to be known: a condition, and the rule it stands in, or a fact in words."""

    what: str
    rule: str | None = None


class Undecided(Exception):
    """It can't be told where the request would have gone."""

    def __init__(self, causes: tuple[Cause, ...]) -> None:
        super().__init__(causes)
        self.causes = causes


class Decided(NamedTuple):
    """The rule that takes a request and the first of its candidates that can serve it. Without a target it is refused,
    ``refusal`` says why; without a rule no rule takes it. ``passed_over`` can't serve it."""

    rule: Rule | None
    target: Target | None
    decision: RouteDecision | None
    passed_over: tuple[Dropped, ...] = ()
    refusal: str | None = None


class ReplayedHealth(TargetHealth):
    """What is known of targets, at the time of the replay."""

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self.clock_s = 0.0

    @property
    def now(self) -> float:
        return self.clock_s


class ReplayedTenant(Tenant):
    """The profile as a server would run it, at the time of the replay."""

    health: ReplayedHealth

    def __init__(self, profile: Profile, credentials: Credentials, prices: PriceTable) -> None:
        super().__init__(profile, credentials, prices)
        self.health = ReplayedHealth(profile)
        self._lost: set[str] = set()
        self._translated: set[str] = set()

    def target_of(self, conversation: str | None) -> Target | None:
        if conversation in self._lost:
            raise FactUnknown(BEFORE)
        return super().target_of(conversation)

    def remember(self, conversation: str, target: Target) -> None:
        self._lost.discard(conversation)
        super().remember(conversation, target)

    def lose(self, conversation: str) -> None:
        """It isn't known where this conversation went."""
        self._lost.add(conversation)

    def is_lost(self, conversation: str) -> bool:
        """Whether it isn't known where this conversation was last."""
        return conversation in self._lost

    def gave(self, response_id: str, target: Target, *, own: bool) -> None:
        """A Responses reply came from this target; ``own``: in this format, so that the target knows it."""
        if own:
            self.recall(Memory({}, {response_id: target}))
        else:
            self._translated.add(response_id)

    def continuing(self, response_id: str, chosen: Target) -> Target:
        if response_id in self._translated:
            raise NotFound("the reply that it continues would have been translated, and kept nowhere")
        return super().continuing(response_id, chosen)


class Decider:
    """One profile's rules, for one replay. ``budget_used`` tells the spent share of the tightest budget for a client
    key."""

    def __init__(self, tenant: ReplayedTenant, budget_used: Callable[[str | None], float | None]) -> None:
        self.tenant = tenant
        self.profile = tenant.profile
        self._budget_used = budget_used
        self._catalog = lru_cache(maxsize=1024)(tenant.catalog)

    def decide(self, row: PastExchange, record: Mapping[str, Any] | None) -> Decided:
        """Decide one request. Raises Undecided."""
        if record is None:
            raise Undecided((Cause(NO_FACTS),))
        profile = self.profile
        facts = ReplayedFacts(
            row,
            record,
            phrases=profile.routes.phrases,
            zone=profile.timezone,
            provider_used=self.tenant.provider_of,
            budget_used=partial(self._budget_used, record.get("key")),
        )
        try:
            return self._decided(row, record, facts)
        except FactUnknown as error:
            raise Undecided(tuple(dict.fromkeys(self._causes(facts, error)))) from None

    def _decided(self, row: PastExchange, record: Mapping[str, Any], facts: ReplayedFacts) -> Decided:
        routes, tenant = self.profile.routes, self.tenant
        script = self.profile.script
        if script is not None and routes.rules_on and explicit_rule(routes, facts.model) is None:
            raise FactUnknown(f"what {script.name} would have answered")
        ordering = tenant.ordering(facts, chance=_no_chance, takes_turns=row.kind == "generate")
        try:
            decision = ordering.stuck(decide(routes, facts, catalog=self._catalog, arrange=_knowable(ordering)))
            earlier = record.get("continues")
            if isinstance(earlier, str) and decision.rule.kind != "explicit":
                going = tenant.continuing(earlier, decision.candidates[0])
                decision = replace(decision, candidates=(going,), later=no_more)
        except NoRoute as error:
            return Decided(None, None, None, refusal=str(error))
        except NotFound as error:
            return Decided(None, None, None, refusal=str(error))
        if row.kind == "count":
            return Decided(decision.rule, decision.candidates[0], decision)
        passed: list[Dropped] = []
        for candidate in decision.all_candidates():
            against = self._against(facts, candidate.target)
            if against is None:
                return Decided(decision.rule, candidate.target, decision, tuple(passed))
            passed.append(Dropped(candidate, *against))
        return Decided(decision.rule, None, decision, tuple(passed), "nothing can serve it")

    def _against(self, facts: ReplayedFacts, target: Target) -> tuple[Why, str] | None:
        """What keeps a target from serving a request, as far as the facts tell: not how it would have to be translated,
        and nothing of keys, breakers and cooldowns, which have their own time."""
        provider, model, client = self.profile.providers[target.provider], target.model or "", cast(Api, facts.api)
        api = preferred_format(provider, client, model)
        if api is None:
            return "format", "it speaks no wire format that this router knows"
        kinds = {spec.kind for spec in provider.credentials}
        if kinds == {"passthrough"} and api != client:
            return "key", f"the client's own credential is passed on in {client} only, not in {api}"
        abilities = self.tenant.abilities(provider, model, api)
        try:
            return unfit(facts, abilities, factor=self.tenant.window_factor(provider, model))
        except FactUnknown:
            return None  # nothing is known against it

    def _causes(self, facts: ReplayedFacts, error: FactUnknown) -> Iterator[Cause]:
        """The conditions for want of which it is undecided: of the rules up to the first that certainly matches; where
        none of those is to blame, of the rules behind, or else what the error says."""
        routes = self.profile.routes
        found = [*_undecided(routes, facts)] or [*_undecided(routes, facts, behind=True)]
        if found:
            yield from found
            return
        fact = str(error.args[0])
        for name, phrase_id in (routes.phrases.concept_ids if routes.phrases is not None else {}).items():
            if PhraseTest(phrase_id, "latest").id == fact:
                yield Cause(f"concept {name}")
                return
        yield Cause(fact)


def _undecided(routes: RouteTable, facts: ReplayedFacts, *, behind: bool = False) -> Iterator[Cause]:
    first: Rule | None = None  # that certainly matches
    for rule in routes.rules:
        if first is not None and not behind and (routes.strategy == "first-match" or rule.priority != first.priority):
            return
        if rule.match is None or rule.match.holds(facts):
            first = first or rule
        else:
            yield from (Cause(condition.text(), rule.label) for condition in rule.match.undecided(facts))


def _knowable(ordering: Ordering) -> Arrange:
    """The orders of strategies, but for the one that goes by how fast and how well targets answer at the moment."""

    def arrange(strategy: str, name: str, choices: Sequence[Choice]) -> tuple[Sequence[int], Sequence[str]]:
        if strategy == "adaptive":
            raise FactUnknown(ADAPTIVE)
        return ordering(strategy, name, choices)

    return arrange


def _no_chance() -> NoReturn:
    raise FactUnknown("chance")
