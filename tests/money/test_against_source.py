"""Our arithmetic against the source's own, model by model, to the nano-dollar.

Intended differences, each stated where it is allowed for: a kind of token without a price makes the cost unknown where
the source counts it as free; an entry without any price is unknown unless declared free; and the few prices with digits
below a pico-dollar per token (noise of a division) are rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import NamedTuple

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices
from hypothesis import given, settings
from hypothesis import strategies as st

from router.money.cost import cost_nano_usd
from router.money.prices import PriceTable
from router.wire.usage import Usage

PRICED = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MOMENTS = (
    datetime(2024, 3, 1, 2, tzinfo=UTC),
    datetime(2026, 8, 20, 7, 30, tzinfo=UTC),
    datetime(2026, 11, 20, 3, 59, tzinfo=UTC),
    datetime(2026, 11, 20, 20, tzinfo=UTC),
)
USAGES = (
    Usage(input=1_203, cache_read=20_417, cache_write=811, cache_write_1h=97, output=1_501, reasoning=400),
    Usage(input=40_001, cache_read=250_000, cache_write=30_011, cache_write_1h=7_003, output=9_999, reasoning=10),
)
EDGES = tuple(
    Usage(input=tokens, output=7)
    for start in (32_000, 100_000, 128_000, 200_000, 272_000)
    for tokens in (start, start + 1)
)
CONTEXTS: tuple[dict[str, str], ...] = (
    {"service_tier": "flex"},
    {"service_tier": "priority"},
    {"service_tier": "fast"},
    {"speed": "fast"},
    {"processing": "batch"},
)


class Case(NamedTuple):
    provider: Provider
    model: ModelInfo
    usage: Usage
    moment: datetime
    context: dict[str, str]


@cache
def table() -> PriceTable:
    return PriceTable.load()


def is_first_match(provider: Provider, model: ModelInfo) -> bool:
    """A few ids are shadowed by an earlier entry; both sides then price the earlier one."""
    return provider.find_model(model.id) is model


def cases() -> Iterator[Case]:
    for provider in providers:
        for model in provider.models:
            if not is_first_match(provider, model):
                continue
            moments = MOMENTS if isinstance(model.prices, list) else (NOW,)
            contexts = ({}, *CONTEXTS) if model.price_variants else ({},)
            tiered = "tiers" in repr(model.prices)
            for usage in (*USAGES, *(EDGES if tiered else ())):
                for moment in moments:
                    for context in contexts:
                        yield Case(provider, model, usage, moment, context)


def with_context(usage: Usage, context: dict[str, str]) -> Usage:
    tier = context.get("service_tier") or ("batch" if "processing" in context else None)
    return Usage(
        input=usage.input,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        cache_write_1h=usage.cache_write_1h,
        output=usage.output,
        reasoning=usage.reasoning,
        service_tier=tier,
        speed=context.get("speed"),
    )


def difference(case: Case) -> str | None:
    usage = case.usage
    read, short, long = usage.cache_read or 0, usage.cache_write or 0, usage.cache_write_1h or 0
    total = (usage.input or 0) + read + short + long
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=total,
            cache_read_tokens=read,
            cache_write_tokens=short + long,
            cache_write_1h_tokens=long,
            output_tokens=usage.output,
            output_reasoning_tokens=usage.reasoning or 0,
        ),
        case.model.id,
        provider_id=case.provider.id,
        genai_request_timestamp=case.moment,
        price_context=case.context,
    )
    rates = table().rates(case.provider.id, case.model.id)
    ours = cost_nano_usd(with_context(usage, case.context), rates, day=case.moment).nano_usd
    prices = theirs.model_price
    no_tokens = prices.input_mtok is None and prices.output_mtok is None  # speech, for one, is sold by the letter
    if no_tokens or (total and prices.input_mtok is None) or (usage.output and prices.output_mtok is None):
        declared_free = rates is not None and rates.input == 0 and rates.output == 0
        expected = 0 if declared_free else None
        return None if ours == expected else f"{name(case)}: {ours} for a model without a price"
    nano = int((theirs.total_price * 10**9).to_integral_value(ROUND_HALF_UP))
    tolerance = total // 1000 if has_noise(prices) else 0
    if ours is None or abs(ours - nano) > tolerance:
        return f"{name(case)}: {ours}, the source says {nano}"
    return None


def name(case: Case) -> str:
    return f"{case.provider.id}/{case.model.id} {case.moment:%Y-%m-%d %H:%M} {case.context} {case.usage}"


def has_noise(prices: ModelPrice) -> bool:
    def numbers() -> Iterator[Decimal]:
        for key in PRICED:
            value = getattr(prices, key)
            if isinstance(value, TieredPrices):
                yield from (value.base, *(tier.price for tier in value.tiers))
            elif value is not None:
                yield value

    return any(number * 10**6 % 1 for number in numbers())


def test_the_exported_table_is_that_of_the_pinned_source() -> None:
    assert table().version == f"genai-prices {genai_prices.__version__}", "run scripts/refresh-prices"


@pytest.mark.slow
def test_every_model_costs_what_the_source_says() -> None:
    compared = list(cases())
    assert len(compared) > 5_000
    differences = [line for case in compared if (line := difference(case)) is not None]
    assert not differences, f"{len(differences)} of {len(compared)}:\n" + "\n".join(differences[:20])


@pytest.mark.parametrize(
    ("provider", "model"),
    [("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-fable-5"), ("perplexity", "sonar-deep-research")],
)
def test_web_searches_cost_what_the_source_says(provider: str, model: str) -> None:
    theirs = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=10, output_tokens=20, web_searches=3),
        model,
        provider_id=provider,
        genai_request_timestamp=NOW,
    )
    ours = cost_nano_usd(Usage(input=10, output=20, web_searches=3), table().rates(provider, model), day=NOW)
    assert ours.nano_usd == theirs.total_price * 10**9


FAMILIAR = [
    (provider, model)
    for provider in providers
    if provider.id in {"anthropic", "openai", "google", "groq", "deepseek", "minimax"}
    for model in provider.models
    if is_first_match(provider, model)
]
counts = st.integers(0, 2_000_000)


@settings(max_examples=150)
@given(
    st.integers(0, len(FAMILIAR) - 1),  # not the models themselves: hypothesis would write each of them out
    st.tuples(counts, counts, counts, counts, counts),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    st.sampled_from(({}, *CONTEXTS)),
)
@pytest.mark.slow
def test_any_usage_at_any_time_costs_what_the_source_says(
    number: int, tokens: tuple[int, int, int, int, int], moment: datetime, context: dict[str, str]
) -> None:
    fresh, read, short, long, output = tokens
    usage = Usage(input=fresh, cache_read=read, cache_write=short, cache_write_1h=long, output=output)
    assert difference(Case(*FAMILIAR[number], usage, moment, context)) is None
