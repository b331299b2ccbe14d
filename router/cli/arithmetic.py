"""How the amounts of a past request came about: its tokens times the prices, as far as those are still the same.

Only a sum that gives what the ledger has is shown: costs are worked out once, and prices change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from router.cli.output import UNKNOWN, small_money
from router.cli.places import Places
from router.errors import ConfigError
from router.ledger.reports import PastAttempt, PastRequest
from router.money import savings
from router.money.cost import Part, cost_nano_usd, parts
from router.money.rates import PICO_PER_USD, Rates
from router.money.savings import Baseline
from router.profile.profile import Profile
from router.server.pricing import rates_for
from router.wire.usage import Usage, from_anthropic, from_gemini, from_openai

_READERS: Final[Mapping[str | None, Callable[[Mapping[str, Any]], Usage]]] = {
    "anthropic-messages": from_anthropic,
    "openai-chat": from_openai,
    "openai-responses": from_openai,
    "gemini": from_gemini,
}
_CHANGED: Final = "can't be worked out again: prices have changed since"
_EACH: Final = {"request", "web search"}  # what isn't counted in tokens


class Arithmetic:
    """Explains the amounts of one profile's requests."""

    def __init__(self, places: Places, profile: str) -> None:
        self._places = places
        self._name = profile

    def of_call(self, call: PastAttempt) -> str | None:
        """Where the cost of a call comes from; ``None`` where it hasn't ended."""
        if call.state != "settled":
            return None
        usage, worth = _usage(call), call.list_nano_usd
        if worth is None:
            return f"{UNKNOWN}: " + ("no token count came" if usage is None else "not all of it has a price")
        if usage is None:
            return f"{exact(worth)}: no tokens were reported of it"
        source = f" ({call.price_source})" if call.price_source else ""
        if call.price_source == "provider":
            return f"{exact(worth)}, as the provider says"
        paid = "" if call.cost_nano_usd == worth else ", paid by a subscription"
        sum_ = self._sum(call.provider, call.model, usage, worth, call.time_ms)
        if sum_ is None and worth == 0:
            return f"{exact(0)}: free there{source}" if source else f"{exact(0)}: nothing is charged for it"
        return f"{sum_ or f'{exact(worth)}, which {_CHANGED}'}{paid}{source}"

    def of_baselines(self, request: PastRequest, calls: list[PastAttempt]) -> Iterator[tuple[str, str]]:
        """What the request is compared with, under a title each; nothing for one that isn't compared."""
        if request.baselines is None:
            return
        known = savings.decode(request.baselines)
        for title, amount, baseline in (
            ("At default", request.at_default_nano_usd, known.default),
            ("At requested", request.at_requested_nano_usd, known.requested),
        ):
            if baseline is None:
                why = "the profile has no default" if title == "At default" else "nobody is known to have that model"
                yield title, f"{UNKNOWN}: {why}"
                continue
            where = f"{baseline.provider}/{baseline.model}"
            if amount is None:
                yield title, f"{UNKNOWN}: {where}: {baseline.unknown or 'what it did cost is not known'}"
                continue
            came = self._baseline(baseline, amount, calls[-1].time_ms if calls else request.time_ms)
            cost = request.cost_nano_usd
            saved = UNKNOWN if cost is None else small_money(amount - cost)
            yield title, f"{where}: {came}; saved {saved}"

    def _baseline(self, baseline: Baseline, amount: int, time_ms: int) -> str:
        if baseline.usage is None:
            return f"{exact(amount)}, it went there"
        if baseline.billing != "metered":
            return f"{exact(amount)}, paid by a subscription" if baseline.billing == "subscription" else "free there"
        sum_ = self._sum(baseline.provider, baseline.model, baseline.usage.usage, amount, time_ms)
        return sum_ or f"{exact(amount)}, which {_CHANGED}"

    def _sum(self, provider: str, model: str, usage: Usage, amount: int, time_ms: int) -> str | None:
        """The sum that gives an amount; ``None`` where none does."""
        rates = self._rates(provider, model)
        if rates is None:
            return None
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
        for served in (usage, *_service_classes(usage, rates)):
            if cost_nano_usd(served, rates, day=moment).nano_usd == amount:
                terms = " + ".join(map(_term, parts(served, rates, day=moment))) or "nothing that has a price"
                word = served.service_tier if served.service_tier != usage.service_tier else None
                return f"{terms} = {exact(amount)}{f' ({word})' if word else ''}"
        return None

    def _rates(self, name: str, model: str) -> Rates | None:
        profile, prices = self._profile, self._places.prices
        provider = profile.providers.get(name) if profile is not None else self._places.catalog.get(name)
        if provider is None:
            return None
        if profile is not None:
            return rates_for(profile, provider, prices, model)
        return prices.rates(provider.price_provider, model) if provider.price_provider else None

    @cached_property
    def _profile(self) -> Profile | None:
        """The profile as it is now; ``None`` where it is gone or wrong."""
        try:
            return self._places.load(self._name).profile
        except ConfigError:
            return None


def exact(nano_usd: int) -> str:
    """All digits: ``$0.0615``."""
    amount = f"{Decimal(nano_usd).scaleb(-9).normalize():f}"
    whole, _, fraction = amount.partition(".")
    return f"${whole}.{fraction:0<2}"


def _term(part: Part) -> str:
    """``12,300 fresh × $3.00/M``."""
    kind, number, rate = part
    assert rate is not None  # else there would be no amount
    each = Decimal(rate) / (PICO_PER_USD if kind in _EACH else PICO_PER_USD // 10**6)
    whole, _, fraction = f"{each.normalize():f}".partition(".")
    many = "es" if kind == "web search" and number > 1 else ""
    return f"{number:,} {kind}{many} × ${whole}.{fraction:0<2}{'' if kind in _EACH else '/M'}"


def _usage(call: PastAttempt) -> Usage | None:
    """What was reported of a call: its tokens, and what else the provider's own object says."""
    counts = (call.input, call.cache_read, call.cache_write, call.cache_write_1h, call.output, call.reasoning)
    if all(count is None for count in counts):
        return None
    usage = Usage(*counts)
    reader = _READERS.get(call.api)
    if reader is None or call.usage_raw is None:
        return usage
    told = reader(json.loads(call.usage_raw, parse_float=Decimal))
    return replace(
        usage,
        web_searches=told.web_searches,
        service_tier=told.service_tier,
        speed=told.speed,
        provider_cost_usd=told.provider_cost_usd,
    )


def _service_classes(usage: Usage, rates: Rates) -> Iterator[Usage]:
    """The same in each service class that has a price: OpenAI's isn't in the usage object that is kept."""
    for variant in rates.variants:
        for name, word in variant.when:
            if name in ("service_tier", "processing"):
                yield replace(usage, service_tier=word)
