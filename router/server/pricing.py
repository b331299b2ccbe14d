"""What an attempt cost: the profile's own prices first, then the table; the billing of the provider decides who pays."""

from __future__ import annotations

from datetime import UTC, datetime

from router.ledger.entry import AttemptRecord
from router.money.cost import charge, cost_nano_usd
from router.money.prices import PriceTable
from router.money.rates import Rates
from router.profile.profile import Profile
from router.providers.provider import Billing, Provider

# A login to a subscription, as its agent sends it; API keys of the same vendor look different.
SUBSCRIPTION_LOGIN = "Bearer sk-ant-oat"


def rates_for(profile: Profile, provider: Provider, prices: PriceTable, model: str) -> Rates | None:
    """The rates of a model at a provider, or None when nobody names a price."""
    own = profile.prices.get((provider.name, model))
    if own is not None:
        return own
    return prices.rates(provider.price_provider, model) if provider.price_provider else None


def price_attempt(
    attempt: AttemptRecord,
    profile: Profile,
    provider: Provider,
    prices: PriceTable,
    *,
    served_model: str | None,
    credential: str,
) -> None:
    """Fill in the attempt's cost, list value and price source; all None where the price or the usage is unknown.

    The model asked for is priced; where nobody has a price for that name, the one the provider says it served.
    ``credential`` is a passed-through Authorization header, or "".
    """
    if attempt.usage is None:
        return
    rates = rates_for(profile, provider, prices, attempt.model)
    if rates is None and served_model:
        rates = rates_for(profile, provider, prices, served_model)
    billing: Billing = "subscription" if credential.startswith(SUBSCRIPTION_LOGIN) else provider.billing
    cost = cost_nano_usd(attempt.usage, rates, day=datetime.fromtimestamp(attempt.time_ms / 1000, UTC))
    attempt.cost_nano_usd, attempt.list_nano_usd = charge(cost, billing)
    attempt.price_source = cost.source
