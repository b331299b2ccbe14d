"""What a past request would have cost at another target: an estimate, with what it rests on.

Input is the recorded one, in the other model's tokens; what of it would have been read from a prompt cache is an
argument. Output is as long as recorded, times how much longer the other model's answers to such requests are, where
both are known. An unknown price stays unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from router.ledger.traffic import PastExchange
from router.money.cost import charge, cost_nano_usd
from router.money.prices import PriceTable
from router.money.savings import Caching, caching_of, usage_elsewhere
from router.profile.profile import Profile
from router.providers.provider import Billing, Provider
from router.providers.traits import preferred_format
from router.replaying.facts import record_of
from router.replaying.learned import Learned, Shape
from router.routing.families import family_word
from router.routing.rules import Target
from router.server.pricing import rates_for
from router.wire.request import Lifetime
from router.wire.usage import Usage

NOT_KEPT: Final = Caching(reads=False, writes="")


class Priced(NamedTuple):
    """The tokens a request would have had at a target, what it would have cost there, and its list price, in
    nano-dollars; ``None`` where the price or the length of the answer isn't known. ``learned_output``: the answer's
    length isn't the recorded one."""

    usage: Usage | None
    nano_usd: int | None
    list_nano_usd: int | None
    learned_output: bool = False


class Pricing:
    """Prices of one profile for past requests. ``before`` is the profile that they came through, if it is still there:
    it says who was paid by subscription."""

    def __init__(self, profile: Profile, prices: PriceTable, learned: Learned, before: Profile | None = None) -> None:
        self.learned = learned
        self._profile = profile
        self._prices = prices
        self._before = before or profile

    def at(
        self, row: PastExchange, target: Target, *, record: Mapping[str, Any] | None = None, cached: int | None = None
    ) -> Priced:
        """What a request would have cost at a target.

        ``record`` are its facts, if they are at hand; ``cached`` is how many of its tokens (the target's) the target
        had in its prompt cache: by default as many as were read where it went.
        """
        provider, model = self._profile.providers[target.provider], target.model or ""
        record = (record_of(row) or {}) if record is None else record
        tokens = self.input_tokens(row, provider.name, model)
        output, learned_output = self._output(row, model, record)
        if tokens is None:
            return Priced(None, None, None)
        if cached is None:
            cached = round(tokens * (row.cache_read or 0) / (row.tokens_in or 1))
        caching = self.caching(provider, model, row.api, record)
        same = provider.name == row.provider
        usage = usage_elsewhere(row.usage, tokens=tokens, held=cached, caching=caching, same_provider=same)
        usage = replace(usage, output=output)
        cost, value = self.charged(row, provider, model, usage)
        return Priced(usage, cost, value, learned_output)

    def charged(self, row: PastExchange, provider: Provider, model: str, usage: Usage) -> tuple[int | None, int | None]:
        """What a usage costs a request there, and its list price."""
        if usage.output is None:
            return None, None
        moment = datetime.fromtimestamp(row.time_ms / 1000, UTC)
        cost = cost_nano_usd(usage, rates_for(self._profile, provider, self._prices, model), day=moment)
        return charge(cost, self._billing(row, provider))

    def input_tokens(self, row: PastExchange, provider: str, model: str) -> int | None:
        """All of a request's input as a model counts it; ``None`` where nobody counted it."""
        factor = self.learned.factor(provider, model)
        if row.tokens_in is not None and row.provider is not None and row.model is not None:
            return round(row.tokens_in * factor / self.learned.factor(row.provider, row.model))
        return None if row.estimated_input is None else round(row.estimated_input * factor)

    def caching(self, provider: Provider, model: str, api: str, record: Mapping[str, Any]) -> Caching:
        """How a target keeps the prompt of such a request: as it is asked to, by the client or, where it is translated,
        by the router; or unasked, unless it was never seen to."""
        marks = record.get("cache_marks")
        asked: Lifetime = "1h" if marks == "1h" else "5m" if marks else ""
        spoken = preferred_format(provider, api, model)  # type: ignore[arg-type]  # a row's api is one
        if spoken == "anthropic-messages" != api:
            asked = asked or "5m"
        unasked = not asked and self.learned.reads_caches(provider.name, model) is False
        return NOT_KEPT if unasked else caching_of(family_word(provider.family, model), asked)

    def held(self, usage: Usage, provider: Provider, model: str, api: str, record: Mapping[str, Any]) -> int:
        """How many tokens of a request a target has in its prompt cache once it has answered."""
        caching = self.caching(provider, model, api, record)
        if caching.writes:
            return (usage.cache_read or 0) + (usage.cache_write or 0) + (usage.cache_write_1h or 0)
        return (usage.total_input or 0) if caching.reads else 0

    # --- parts ----------------------------------------------------------------------------------------------------

    def _output(self, row: PastExchange, model: str, record: Mapping[str, Any]) -> tuple[int | None, bool]:
        """How many tokens the answer has, and whether that was learned."""
        shape = Shape.of(record)
        there = self.learned.length(model, shape)
        if row.output is None:
            return (None, False) if there is None else (_capped(round(there), record), True)
        here = self.learned.length(row.model or "", shape)
        if not there or not here or row.model == model:
            return row.output, False
        return _capped(round(row.output * there / here), record), True

    def _billing(self, row: PastExchange, provider: Provider) -> Billing:
        """How it is paid: a client's own login to a subscription stays one at the same provider."""
        was = self._before.providers.get(row.provider or "")
        login = row.cost_nano_usd == 0 and bool(row.list_nano_usd) and was is not None and was.billing == "metered"
        return "subscription" if login and provider.name == row.provider else provider.billing


def _capped(tokens: int, record: Mapping[str, Any]) -> int:
    """No answer is longer than the client allows."""
    most = record.get("max_tokens")
    return min(tokens, most) if isinstance(most, int) else tokens
