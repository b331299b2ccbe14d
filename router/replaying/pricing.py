"""What a past request would have cost at another target: an estimate, with what it rests on.

Input is the recorded one, in the other model's tokens; what of it would have been read from a prompt cache is an
argument. Output is as long as recorded, times how much longer the other model's answers to such requests are, where
both are known. An unknown price stays unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from router.ledger.traffic import PastExchange
from router.money.cost import charge, cost_nano_usd
from router.money.prices import PriceTable
from router.profile.profile import Profile
from router.providers.provider import Billing, Provider
from router.providers.traits import preferred_format, traits_for
from router.replaying.facts import record_of
from router.replaying.learned import Learned, Shape
from router.routing.rules import Target
from router.server.pricing import rates_for
from router.wire.request import Api
from router.wire.usage import Usage


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
        self._writes = lru_cache(maxsize=4096)(self._find_writes)
        self._reads = lru_cache(maxsize=4096)(self._find_reads)

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
        usage = self._split(row, record, provider, model, tokens, cached, output)
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

    def writes(self, provider: Provider, model: str, api: str) -> bool:
        """Whether a target writes to its prompt cache what it is told to, for a price of its own."""
        return self._writes(provider.name, model, api)

    def caches(self, provider: Provider, model: str, api: str, record: Mapping[str, Any]) -> bool:
        """Whether a target keeps such a request in a prompt cache."""
        if self._writes(provider.name, model, api):
            return self._marked(provider, model, api, record)
        return self._reads(provider.name, model)

    def held(self, usage: Usage, provider: Provider, model: str, api: str, record: Mapping[str, Any]) -> int:
        """How many tokens of a request a target has in its prompt cache once it has answered."""
        if self._writes(provider.name, model, api):
            return (usage.cache_read or 0) + (usage.cache_write or 0) + (usage.cache_write_1h or 0)
        return (usage.total_input or 0) if self.caches(provider, model, api, record) else 0

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

    def _split(
        self,
        row: PastExchange,
        record: Mapping[str, Any],
        provider: Provider,
        model: str,
        tokens: int,
        cached: int,
        output: int | None,
    ) -> Usage:
        """Which part of the input is read from the cache, written to it, and neither."""
        if not self.caches(provider, model, row.api, record):
            return Usage(input=tokens, output=output)
        read = min(cached, tokens)
        if not self._writes(provider.name, model, row.api):
            return Usage(input=tokens - read, cache_read=read, output=output)
        written, written_1h = row.cache_write or 0, row.cache_write_1h or 0
        fresh = 0
        if (written or written_1h) and row.tokens_in:  # what stood behind the last mark there does so here
            fresh = min(tokens - read, round(tokens * (row.input or 0) / row.tokens_in))
        write = tokens - read - fresh
        long = round(write * written_1h / (written + written_1h)) if written_1h else 0
        return Usage(input=fresh, cache_read=read, cache_write=write - long, cache_write_1h=long, output=output)

    def _marked(self, provider: Provider, model: str, api: str, record: Mapping[str, Any]) -> bool:
        """Whether the request tells the target what to cache: by the client's own marks, or by ours where it had to be
        translated."""
        return bool(record.get("cache_marks")) or self._spoken(provider, model, api) != api

    def _find_writes(self, provider_name: str, model: str, api: str) -> bool:
        """Whether a target caches what it is told to."""
        provider = self._profile.providers.get(provider_name)
        spoken = self._spoken(provider, model, api) if provider is not None else None
        if provider is None or spoken is None:
            return False
        corrections = self._profile.models.get((provider.name, model))
        return traits_for(provider, model, spoken, corrections).cache_hints == "anthropic"

    def _find_reads(self, provider_name: str, model: str) -> bool:
        """Whether a target caches unasked: as was seen, else where it has a price for that."""
        seen = self.learned.reads_caches(provider_name, model)
        if seen is not None:
            return seen
        provider = self._profile.providers.get(provider_name)
        rates = rates_for(self._profile, provider, self._prices, model) if provider is not None else None
        return rates is not None and rates.cache_read is not None and rates.cache_read != rates.input

    @staticmethod
    def _spoken(provider: Provider, model: str, api: str) -> Api | None:
        """The wire format that a client's request is sent on in."""
        return preferred_format(provider, api, model)  # type: ignore[arg-type]  # a row's api is one

    def _billing(self, row: PastExchange, provider: Provider) -> Billing:
        """How it is paid: a client's own login to a subscription stays one at the same provider."""
        was = self._before.providers.get(row.provider or "")
        login = row.cost_nano_usd == 0 and bool(row.list_nano_usd) and was is not None and was.billing == "metered"
        return "subscription" if login and provider.name == row.provider else provider.billing


def _capped(tokens: int, record: Mapping[str, Any]) -> int:
    """No answer is longer than the client allows."""
    most = record.get("max_tokens")
    return min(tokens, most) if isinstance(most, int) else tokens
