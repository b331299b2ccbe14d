"""Past requests on other rules, one after the other, in the order and at the times they came.

A request is decided from what was known when it came: what others had been answered by then. So what becomes of a
request (where its conversation is now, what is cached, what is spent) is noted when its answer began or ended, as the
ledger has it, and not before.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any, Final

from router.health.prompt_caches import LIFETIME_S, PromptCaches
from router.ledger.history import PastInput
from router.ledger.traffic import PastExchange
from router.money.budget import Limits, Scope
from router.money.prices import PriceTable
from router.profile.profile import Profile
from router.providers.credentials import Credentials
from router.providers.traits import preferred_format
from router.replaying.deciding import Cause, Decided, Decider, ReplayedTenant, Undecided
from router.replaying.facts import record_of
from router.replaying.learned import Learned
from router.replaying.pricing import Priced, Pricing
from router.replaying.spending import ReplayedSpending, Spent
from router.routing.rules import Target
from router.server.counting import counts
from router.wire.request import Lifetime
from router.wire.usage import Usage

Ended = Callable[[int, bool], None]
_LIFETIMES_S: Final = {"5m": LIFETIME_S, "1h": 3600.0}
_ANSWERED = ("ok", "partial")


@dataclass(frozen=True, slots=True)
class Replayed:
    """One request on other rules. ``decided`` is ``None`` where that can't be told, for want of ``causes``.

    ``stays``: it would have gone where it went, and whatever happened then would have happened again. ``served``: who
    would have answered. ``nano_usd`` and ``list_nano_usd`` are what it would have cost, ``None`` where that isn't
    known; ``usage`` the tokens. ``cache_left`` tokens would have stayed behind in the prompt cache of another target,
    ``cache_left_nano_usd`` is what reading them there would have saved. ``by_budget``: a condition looked at the spent
    share of a budget, which is estimated itself.
    """

    row: PastExchange
    decided: Decided | None
    causes: tuple[Cause, ...] = ()
    stays: bool = False
    served: Target | None = None
    usage: Usage | None = None
    nano_usd: int | None = None
    list_nano_usd: int | None = None
    learned_output: bool = False
    cache_left: int | None = None
    cache_left_nano_usd: int | None = None
    by_budget: bool = False


def replayed(
    rows: Iterable[PastExchange],
    profile: Profile,
    prices: PriceTable,
    learned: Learned,
    *,
    before: Profile | None = None,
    credentials: Credentials | None = None,
    keys: Mapping[str, Limits] | None = None,
    spent: Mapping[Scope, Spent] | None = None,
) -> Iterator[Replayed]:
    """Every request to generate on the rules of ``profile``, oldest first.

    ``before`` is the profile that they came through, ``credentials`` say which providers have a key for requests that
    no rule takes; ``keys`` and ``spent`` are those of ``ReplayedSpending``.
    """
    spending = ReplayedSpending(profile, keys or {}, spent or {})
    walk = _Walk(profile, prices, learned, before or profile, credentials or Credentials({}), spending)
    for row in rows:
        found = walk.step(row)
        if found is not None:
            yield found


@dataclass(order=True)
class _Event:
    """Something becomes known at a time, in milliseconds."""

    time_ms: int
    number: int
    happen: Callable[[], None] = field(compare=False)


class _Walk:
    """What is remembered from request to request."""

    def __init__(
        self,
        profile: Profile,
        prices: PriceTable,
        learned: Learned,
        before: Profile,
        credentials: Credentials,
        spending: ReplayedSpending,
    ) -> None:
        self.profile = profile
        self.pricing = Pricing(profile, prices, learned, before)
        self.tenant = ReplayedTenant(profile, credentials, prices)
        self.spending = spending
        self.decider = Decider(self.tenant, spending.used_share)
        self.was = PromptCaches()  # what targets had in their caches, as things went
        self.would = PromptCaches()  # and would have had
        self._events: list[_Event] = []
        self._numbers = count()

    def step(self, row: PastExchange) -> Replayed | None:
        """Decide and price one request; ``None`` for one that only counts tokens, which costs nothing."""
        self._until(row.time_ms)
        self.tenant.health.clock_s = row.time_ms / 1000
        record = record_of(row)
        ended = self.spending.arrive(row, None if record is None else record.get("key"))
        try:
            decided = self.decider.decide(row, record)
        except Undecided as error:
            self._undecided(row, ended)
            return Replayed(row, None, error.causes) if row.kind == "generate" else None
        if row.kind == "count":
            self._counted(row, decided)
            return None
        by_budget = self.spending.asked_estimate
        return self._would_be(row, record or {}, decided, ended, by_budget)

    # --- what becomes of a request --------------------------------------------------------------------------------

    def _would_be(
        self, row: PastExchange, record: Mapping[str, Any], decided: Decided, ended: Ended, by_budget: bool
    ) -> Replayed:
        stays = _stays(row, decided)
        if stays:
            served = Target(row.provider, row.model) if row.provider is not None else None
            priced, exact = self._priced_again(row, record, served)
        elif decided.target is None:
            served, priced, exact = None, Priced(None, 0, 0), True
        else:
            served, exact = decided.target, False
            cached = self._held(self.would, row, record, served)
            priced = self.pricing.at(row, served, record=record, cached=cached)
        left = self._left(row, served)
        self._note(row, record, served, priced, stays=stays)
        held = row.held_nano_usd or 0 if stays else 0
        self._at(_end_ms(row), partial(ended, (priced.nano_usd or 0) + held, not exact))
        return Replayed(
            row, decided, (), stays, served, priced.usage, priced.nano_usd, priced.list_nano_usd,
            priced.learned_output, *left, by_budget,
        )  # fmt: skip

    def _priced_again(self, row: PastExchange, record: Mapping[str, Any], served: Target | None) -> tuple[Priced, bool]:
        """What a request costs that goes where it went: as recorded, but for what the target has more or less of it in
        its prompt cache because earlier requests of the conversation went elsewhere. True: it is the recorded cost."""
        recorded = Priced(row.usage, row.cost_nano_usd if row.attempts else 0, row.list_nano_usd if row.attempts else 0)
        if served is None or served.provider not in self.profile.providers or row.tokens_in is None:
            return recorded, True
        shift = self._held(self.would, row, record, served) - self._held(self.was, row, record, served)
        if not shift or row.cost_nano_usd is None or row.list_nano_usd is None:
            return recorded, True
        provider, model = self.profile.providers[served.provider], served.model or ""
        usage = _shifted(row.usage, shift, self.pricing.caching(provider, model, row.api, record).writes)
        now, then = (self.pricing.charged(row, provider, model, each) for each in (usage, row.usage))
        if now[0] is None or then[0] is None or now[1] is None or then[1] is None:
            return recorded, True
        cost = max(0, row.cost_nano_usd + now[0] - then[0])
        value = max(0, row.list_nano_usd + now[1] - then[1])
        return Priced(usage, cost, value), usage == row.usage

    def _held(self, caches: PromptCaches, row: PastExchange, record: Mapping[str, Any], target: Target) -> int:
        """How many of a request's tokens a target has in its prompt cache."""
        if row.conversation is None:
            return 0
        name = target.provider, target.model or ""
        tokens = self.pricing.input_tokens(row, *name)
        return caches.of(_prompt(row.conversation, record), name, tokens, self.tenant.health.now)

    def _left(self, row: PastExchange, served: Target | None) -> tuple[int | None, int | None]:
        """The prompt cache that the conversation would have left behind."""
        if row.conversation is None or served is None or row.draft == "accepted":
            return None, None
        last = self.last_of(row.conversation)
        if last is None or (last.provider, last.model) == (served.provider, served.model):
            return None, None
        return self.tenant.cache_at(row.conversation, last, row.estimated_input)

    def last_of(self, conversation: str) -> Target | None:
        """Where a conversation was last; ``None`` also where that isn't known."""
        return None if self.tenant.is_lost(conversation) else self.tenant.target_of(conversation)

    def _note(
        self,
        row: PastExchange,
        record: Mapping[str, Any],
        served: Target | None,
        priced: Priced,
        *,
        stays: bool,
    ) -> None:
        """Have it known when its answer begins, and when it ends, what becomes of it."""
        end_ms = _end_ms(row)
        answered = _answered(row)
        if row.provider is not None and answered:
            self._at(end_ms, partial(self._cache, self.was, row, record, Target(row.provider, row.model), row.usage))
        if served is not None and (answered or not stays):
            if row.conversation is not None and not (stays and row.draft == "accepted"):
                self._at(_began_ms(row), partial(self.tenant.remember, row.conversation, served))
            self._at(end_ms, partial(self._settle, row, record, served, priced))

    def _settle(self, row: PastExchange, record: Mapping[str, Any], served: Target, priced: Priced) -> None:
        """The answer is whole."""
        provider, usage = self.profile.providers.get(served.provider), priced.usage
        if provider is None or usage is None:
            return
        key, health = (served.provider, served.model or ""), self.tenant.health
        if row.response_id is not None:
            own = preferred_format(provider, "openai-responses", key[1]) == "openai-responses"
            self.tenant.gave(row.response_id, served, own=own)
        if usage.output is not None:
            health.performance.observe(key, health.now, ok=True, output_tokens=usage.output)
        total = usage.total_input
        if total is not None and row.estimated_input and not row.usage_estimated:
            self.tenant.learn_factors([PastInput(*key, row.estimated_input, total)])
        self._cache(self.would, row, record, served, usage)
        if row.conversation is not None:
            health.caches.note(row.conversation, key, believed(usage), health.now)

    def _cache(
        self, caches: PromptCaches, row: PastExchange, record: Mapping[str, Any], target: Target, usage: Usage
    ) -> None:
        provider = self.profile.providers.get(target.provider)
        if row.conversation is None or provider is None:
            return
        name = target.provider, target.model or ""
        held = self.pricing.held(usage, provider, name[1], row.api, record)
        lasts = _LIFETIMES_S[self.pricing.caching(provider, name[1], row.api, record).lifetime]
        caches.note(_prompt(row.conversation, record), name, held, self.tenant.health.now, lasts)

    def _counted(self, row: PastExchange, decided: Decided) -> None:
        """Whoever counted a conversation's tokens is where it was last."""
        target = decided.target
        if target is None or row.conversation is None or row.outcome != "ok":
            return
        provider = self.profile.providers[target.provider]
        if any(counts(provider, api) for api in provider.formats):
            self._at(_began_ms(row), partial(self.tenant.remember, row.conversation, target))

    def _undecided(self, row: PastExchange, ended: Ended) -> None:
        """It isn't known where it went, nor where its conversation is; its cost is taken to be what it was."""
        if row.conversation is not None:
            self._at(_began_ms(row), partial(self.tenant.lose, row.conversation))
        self._at(_end_ms(row), partial(ended, row.cost_nano_usd or 0, True))

    # --- time -----------------------------------------------------------------------------------------------------

    def _at(self, time_ms: int, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, _Event(time_ms, next(self._numbers), happen))

    def _until(self, time_ms: int) -> None:
        """Let happen what has happened by then."""
        while self._events and self._events[0].time_ms <= time_ms:
            event = heapq.heappop(self._events)
            self.tenant.health.clock_s = event.time_ms / 1000
            event.happen()


def _prompt(conversation: str, record: Mapping[str, Any]) -> str:
    """What is cached as one: an agent's side jobs have its conversation's id, and begin otherwise."""
    return f"{conversation}\n{record.get('start')}"


def believed(usage: Usage) -> int:
    """What the server takes a target to hold of a conversation after such an answer."""
    read, written = usage.cache_read or 0, (usage.cache_write or 0) + (usage.cache_write_1h or 0)
    return read + written if written or not read else read + (usage.input or 0)


def _stays(row: PastExchange, decided: Decided) -> bool:
    """Whether a request goes where it went, or where it was answered in the end. The same rule in the same order sends
    it to one of its own there also where another was called, or none, for reasons of that moment."""
    rule, target, decision = decided.rule, decided.target, decided.decision
    if target is None or decision is None:
        return row.attempts == 0
    if rule is not None and rule.hash == row.rule_hash and target in decision.candidates and not decision.why:
        return True
    called = (row.first_provider, row.first_model), (row.provider, row.model)
    return (target.provider, target.model) in called


def _answered(row: PastExchange) -> bool:
    """Whether the client got an answer, or the beginning of one."""
    return row.outcome in _ANSWERED or (row.outcome in ("client-gone", "drained") and row.first_byte_ms is not None)


def _end_ms(row: PastExchange) -> int:
    """When it was over, rounded down as the times of requests are: who comes next comes after it."""
    return row.time_ms + int(row.duration_ms or 0)


def _began_ms(row: PastExchange) -> int:
    """When it was known who answers."""
    took = row.first_byte_ms if row.stream and row.first_byte_ms is not None else row.duration_ms
    return row.time_ms + int(took or 0)


def _shifted(usage: Usage, shift: int, writes: Lifetime) -> Usage:
    """The same request with so many tokens more (or less) read from the cache: less (or more) of it are written, at a
    target that writes for so long, or read fresh."""
    read = usage.cache_read or 0
    rest = {"": usage.input, "5m": usage.cache_write, "1h": usage.cache_write_1h}[writes] or 0
    more = max(-read, min(shift, rest))
    shifted = replace(usage, cache_read=read + more)
    match writes:
        case "":
            return replace(shifted, input=rest - more)
        case "5m":
            return replace(shifted, cache_write=rest - more)
        case "1h":
            return replace(shifted, cache_write_1h=rest - more)
