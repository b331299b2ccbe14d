"""What an attempt cost: the profile's own prices first, then the table; the provider's billing decides who pays."""

from __future__ import annotations

from datetime import UTC, datetime

from router.ledger.entry import AttemptRecord
from router.money.cost import charge, cost_nano_usd
from router.money.prices import PriceTable
from router.money.rates import Rates
from router.profile.profile import Profile
from router.providers.provider import Billing, Provider
from router.wire.usage import Usage

# How a login to a subscription begins, as its agent sends it; API keys of the same vendor look different.
_SUBSCRIPTION_LOGIN = "bearer sk-ant-oat"


def is_subscription_login(authorization: str) -> bool:
    """Whether an Authorization header is a login to a subscription, whose use costs nothing extra."""
    return authorization.lower().startswith(_SUBSCRIPTION_LOGIN)


def rates_for(profile: Profile, provider: Provider, prices: PriceTable, model: str) -> Rates | None:
    """The rates of a model at a provider, or None when nobody names a price."""
    own = profile.prices.get((provider.name, model))
    if own is not None:
        return own
    return prices.rates(provider.price_provider, model) if provider.price_provider else None


def cost_at(
    profile: Profile,
    provider: Provider,
    prices: PriceTable,
    model: str,
    usage: Usage,
    *,
    billing: Billing | None = None,
    moment: datetime | None = None,
) -> int | None:
    """What a usage would cost at a provider, in nano-dollars; None where nobody names a price.

    ``billing`` where it isn't the provider's own, ``moment`` where it isn't now."""
    cost = cost_nano_usd(usage, rates_for(profile, provider, prices, model), day=moment or datetime.now(UTC))
    return charge(cost, billing or provider.billing)[0]


def cache_discount(profile: Profile, provider: Provider, prices: PriceTable, model: str, tokens: int) -> int | None:
    """What so many input tokens cost less where they are read from a prompt cache, in nano-dollars; None where that
    isn't known."""
    fresh = cost_at(profile, provider, prices, model, Usage(input=tokens, output=0))
    cached = cost_at(profile, provider, prices, model, Usage(input=0, cache_read=tokens, output=0))
    return None if fresh is None or cached is None else fresh - cached


def price_attempt(
    attempt: AttemptRecord,
    profile: Profile,
    provider: Provider,
    prices: PriceTable,
    *,
    served_model: str | None,
    subscription_login: bool,
) -> None:
    """Fill in the attempt's cost, list value and price source; all None where the price or the usage is unknown.

    The model asked for is priced; where nobody has a price for that name, the one the provider says it served."""
    if attempt.usage is None:
        return
    rates = rates_for(profile, provider, prices, attempt.model)
    if rates is None and served_model:
        rates = rates_for(profile, provider, prices, served_model)
    billing: Billing = "subscription" if subscription_login else provider.billing
    cost = cost_nano_usd(attempt.usage, rates, day=datetime.fromtimestamp(attempt.time_ms / 1000, UTC))
    attempt.cost_nano_usd, attempt.list_nano_usd = charge(cost, billing)
    attempt.price_source = cost.source


def price_saving(
    draft: AttemptRecord,
    profile: Profile,
    verifier: Provider,
    model: str,
    prices: PriceTable,
    *,
    subscription_login: bool,
) -> None:
    """Fill in what a priced draft has saved: the price of the same usage at the verifier less the draft's own or, where
    the draft isn't the answer, minus what it cost. Unknown where a price is."""
    if draft.cost_nano_usd is None:
        return
    if draft.verdict != "accepted":
        draft.saving_nano_usd = -draft.cost_nano_usd
        return
    if draft.usage is None:
        return
    same_login = subscription_login and verifier.name == draft.provider
    instead = cost_at(
        profile,
        verifier,
        prices,
        model,
        draft.usage,
        billing="subscription" if same_login else None,
        moment=datetime.fromtimestamp(draft.time_ms / 1000, UTC),
    )
    draft.saving_nano_usd = None if instead is None else instead - draft.cost_nano_usd
