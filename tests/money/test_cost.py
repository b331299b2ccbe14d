from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.money.cost import UNKNOWN, Cost, charge, cost_nano_usd
from router.money.prices import PriceTable
from router.money.rates import Period, Rates, Tier, Variant
from router.wire.usage import Usage

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SONNET = Rates.flat(
    input=Decimal(3),
    output=Decimal(15),
    cache_read=Decimal("0.3"),
    cache_write=Decimal("3.75"),
    cache_write_1h=Decimal(6),
)


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load()


# Usages as providers reported them in recorded traffic; the amounts in millionths of a dollar by hand.
@pytest.mark.parametrize(
    ("provider", "model", "usage", "searches", "micro_usd"),
    [
        pytest.param(
            "anthropic",
            "claude-sonnet-4-6",
            Usage(
                input=8, cache_read=1_200, cache_write=1_000, cache_write_1h=4_000, output=3, service_tier="standard"
            ),
            0,
            "28179",  # 8×3 + 1200×0.3 + 1000×3.75 + 4000×6 + 3×15
            id="Anthropic with reads and both kinds of writes",
        ),
        pytest.param(
            "anthropic",
            "claude-sonnet-4-0",
            Usage(input=31_772, cache_read=0, cache_write=0, output=644),
            2,
            "124976",  # 31772×3 + 644×15 + 2×10000
            id="Anthropic with two web searches",
        ),
        pytest.param(
            "openai",
            "gpt-5.6-sol",
            Usage(input=8, cache_read=0, cache_write=4_012, output=4, service_tier="default"),
            0,
            "20172",  # 8×4 + 4012×5 + 4×20
            id="OpenAI with cache writes",
        ),
        pytest.param(
            "google",
            "gemini-2.5-pro",
            Usage(input=34, output=1_256, reasoning=787),
            0,
            "12602.5",  # 34×1.25 + 1256×10
            id="Gemini, thoughts priced as output",
        ),
        pytest.param(
            "groq",
            "meta-llama/llama-4-scout-17b-16e-instruct",
            Usage(input=757, output=29, service_tier="on_demand"),
            0,
            "93.13",  # 757×0.11 + 29×0.34
            id="Groq",
        ),
        pytest.param(
            "deepseek",
            "deepseek-reasoner",
            Usage(input=6, cache_read=0, output=212, reasoning=198),
            0,
            "467.58",  # 6×0.55 + 212×2.19, at noon
            id="DeepSeek at its dearer hours",
        ),
        pytest.param(
            "openrouter",
            "anthropic/claude-sonnet-4.6",
            Usage(input=1, cache_read=2_569, cache_write=79, output=100),
            0,
            "2569.95",  # 1×3 + 2569×0.3 + 79×3.75 + 100×15, which is also what OpenRouter said it charged
            id="OpenRouter's rates give what OpenRouter charged",
        ),
    ],
)
def test_recorded_usages(
    table: PriceTable, provider: str, model: str, usage: Usage, searches: int, micro_usd: str
) -> None:
    cost = cost_nano_usd(replace(usage, web_searches=searches), table.rates(provider, model), day=NOON)
    assert cost == Cost(int(Decimal(micro_usd) * 1000), table.version)


@pytest.mark.parametrize(
    ("usage", "rates"),
    [
        pytest.param(Usage(input=10, output=10), None, id="no rates"),
        pytest.param(Usage(), SONNET, id="nothing reported"),
        pytest.param(Usage(input=10), SONNET, id="output not reported"),
        pytest.param(Usage(output=10), SONNET, id="input not reported"),
        pytest.param(Usage(input=10, output=10), Rates(input=5), id="output without a price"),
        pytest.param(Usage(input=10, output=10), Rates(output=5), id="input without a price"),
        pytest.param(Usage(input=0, cache_read=9, output=1), Rates(output=5), id="a cache read without any price"),
        pytest.param(Usage(input=0, cache_write_1h=9, output=1), Rates(output=5), id="a write without any price"),
    ],
)
def test_what_is_not_known_costs_none_and_never_zero(usage: Usage, rates: Rates | None) -> None:
    assert cost_nano_usd(usage, rates, day=NOON) == UNKNOWN


def test_zero_tokens_need_no_price() -> None:
    assert cost_nano_usd(Usage(input=0, output=2), Rates(output=5_000), day=NOON).nano_usd == 10


def test_embeddings_have_neither_output_nor_a_price_for_it() -> None:
    assert cost_nano_usd(Usage(input=1_000), Rates(input=20_000), day=NOON).nano_usd == 20_000


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        pytest.param(Usage(input=0, cache_read=7, output=0), 7 * 2000, id="cache reads as input"),
        pytest.param(Usage(input=0, cache_write=7, output=0), 7 * 2000, id="short writes as input"),
        pytest.param(Usage(input=0, cache_write_1h=7, output=0), 7 * 2000, id="long writes as short ones"),
        pytest.param(Usage(input=0, output=7, reasoning=3), 7 * 8000, id="reasoning as output"),
    ],
)
def test_a_kind_without_its_own_price_is_paid_as_what_it_is_part_of(usage: Usage, nano: int) -> None:
    assert cost_nano_usd(usage, Rates(input=2_000_000, output=8_000_000), day=NOON).nano_usd == nano


def test_reasoning_with_its_own_price_is_taken_out_of_output() -> None:
    rates = Rates(input=0, output=1_000, reasoning=5_000)
    assert cost_nano_usd(Usage(input=0, output=10, reasoning=4), rates, day=NOON).nano_usd == 6 * 1 + 4 * 5
    assert cost_nano_usd(Usage(input=0, output=10, reasoning=99), rates, day=NOON).nano_usd == 10 * 5


def test_a_price_per_request_is_added_once() -> None:
    rates = Rates(input=1_000, output=1_000, request=12 * 10**9)
    assert cost_nano_usd(Usage(input=5, output=5), rates, day=NOON).nano_usd == 12_000_010


@pytest.mark.parametrize(("pico", "nano"), [(499, 0), (500, 1), (1_499, 1), (1_500, 2)])
def test_the_sum_is_rounded_half_up_once(pico: int, nano: int) -> None:
    assert cost_nano_usd(Usage(input=1, output=0), Rates(input=pico, output=0), day=NOON).nano_usd == nano
    split = Rates(input=pico - 400, output=400)
    assert cost_nano_usd(Usage(input=1, output=1), split, day=NOON).nano_usd == nano


@pytest.mark.parametrize(
    ("usage", "rate"),
    [
        pytest.param(Usage(input=100, output=0), 1_000, id="at the threshold"),
        pytest.param(Usage(input=101, output=0), 2_000, id="fresh input alone"),
        pytest.param(Usage(input=1, cache_read=100, output=0), 2_000, id="reads count"),
        pytest.param(Usage(input=1, cache_write=100, output=0), 2_000, id="short writes count"),
        pytest.param(Usage(input=1, cache_write_1h=100, output=0), 2_000, id="long writes count"),
        pytest.param(Usage(input=1, output=500), 1_000, id="output doesn't count"),
    ],
)
def test_the_long_context_tier_is_chosen_by_the_whole_input(usage: Usage, rate: int) -> None:
    rates = Rates(input=1_000, output=0, tiers=(Tier(100, Rates(input=2_000, output=0)),))
    total = (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write or 0) + (usage.cache_write_1h or 0)
    assert cost_nano_usd(usage, rates, day=NOON).nano_usd == total * rate // 1_000


SERVICE = Rates(
    input=1_000,
    output=0,
    variants=(
        Variant((("service_tier", "flex"),), Period(), Rates(input=500_000)),
        Variant((("speed", "fast"),), Period(), Rates(input=6_000_000)),
        Variant((("processing", "batch"),), Period(), Rates(input=7_000_000)),
    ),
    source="table",
)


@pytest.mark.parametrize(
    ("special", "nano", "source"),
    [
        pytest.param({}, 1, "table", id="nothing special"),
        pytest.param({"service_tier": "standard", "speed": "standard"}, 1, "table", id="Anthropic's standard"),
        pytest.param({"service_tier": "default"}, 1, "table", id="OpenAI's default"),
        pytest.param({"service_tier": "flex"}, 500, "table", id="flex"),
        pytest.param({"service_tier": "FLEX"}, 500, "table", id="flex in capitals"),
        pytest.param({"speed": "fast"}, 6_000, "table", id="fast"),
        pytest.param({"service_tier": "batch"}, 7_000, "table", id="a batch reported as a service tier"),
        pytest.param({"service_tier": "priority"}, 1, "table (no price for priority)", id="an unpriced tier is told"),
    ],
)
def test_service_classes(special: dict[str, Any], nano: int, source: str) -> None:
    assert cost_nano_usd(Usage(input=1, output=0, **special), SERVICE, day=NOON) == Cost(nano, source)


def test_a_search_without_a_price_is_told() -> None:
    cost = cost_nano_usd(Usage(input=1, output=1, web_searches=2), SONNET, day=NOON)
    assert cost == Cost(18_000, "override (no price for web search)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0.00256995", Cost(2_569_950, "provider"), id="its figure counts"),
        pytest.param("0", Cost(0, "provider"), id="free is a figure too"),
        pytest.param("1.5e-9", Cost(2, "provider"), id="rounded half up to nano-dollars"),
        pytest.param("1e-400", Cost(0, "provider"), id="next to nothing"),
        pytest.param("-0.1", Cost(18_000, "override"), id="a negative one can't be"),
        pytest.param("NaN", Cost(18_000, "override"), id="nor one that is no number"),
        pytest.param("Infinity", Cost(18_000, "override"), id="nor an endless one"),
        pytest.param("1e999999", Cost(18_000, "override"), id="nor an absurd one"),
        pytest.param("free", Cost(18_000, "override"), id="nor a word"),
    ],
)
def test_the_providers_own_figure_is_preferred(text: str, expected: Cost) -> None:
    assert cost_nano_usd(Usage(input=1, output=1, provider_cost_usd=text), SONNET, day=NOON) == expected


def test_the_providers_own_figure_needs_neither_rates_nor_counts() -> None:
    assert cost_nano_usd(Usage(provider_cost_usd="0.5"), None, day=NOON) == Cost(500_000_000, "provider")


@pytest.mark.parametrize(
    ("cost", "billing", "charged"),
    [
        pytest.param(Cost(7, "t"), "metered", (7, 7), id="metered traffic is paid"),
        pytest.param(
            Cost(7, "t"), "subscription", (0, 7), id="a subscription is paid elsewhere and worth its list price"
        ),
        pytest.param(Cost(7, "t"), "free", (0, 0), id="free is free"),
        pytest.param(UNKNOWN, "metered", (None, None), id="an unknown price stays unknown"),
        pytest.param(UNKNOWN, "subscription", (0, None), id="on a subscription only the value is unknown"),
        pytest.param(UNKNOWN, "free", (0, 0), id="free needs no price"),
    ],
)
def test_billing(
    cost: Cost, billing: Literal["metered", "subscription", "free"], charged: tuple[int | None, int | None]
) -> None:
    assert charge(cost, billing) == charged


counts = st.integers(0, 3_000_000)
prices = st.integers(0, 200_000_000)
usages = st.builds(Usage, input=counts, cache_read=counts, cache_write=counts, cache_write_1h=counts, output=counts)
flat_rates = st.builds(Rates, prices, prices, prices, prices, prices)
KINDS = ("input", "cache_read", "cache_write", "cache_write_1h", "output")


def nano(usage: Usage, rates: Rates) -> int:
    amount = cost_nano_usd(usage, rates, day=date(2026, 11, 20)).nano_usd
    assert amount is not None
    return amount


@given(usages, flat_rates)
def test_a_cost_is_never_negative(usage: Usage, rates: Rates) -> None:
    assert nano(usage, rates) >= 0


@given(usages, usages, flat_rates)
def test_without_tiers_costs_add_up_but_for_the_rounding(one: Usage, other: Usage, rates: Rates) -> None:
    both = Usage(**{kind: getattr(one, kind) + getattr(other, kind) for kind in KINDS})
    assert abs(nano(both, rates) - nano(one, rates) - nano(other, rates)) <= 1


@given(usages, flat_rates, st.sampled_from(KINDS), counts)
def test_more_tokens_never_cost_less(usage: Usage, rates: Rates, kind: str, more: int) -> None:
    fuller = Usage(**{name: getattr(usage, name) + (more if name == kind else 0) for name in KINDS})
    assert nano(fuller, rates) >= nano(usage, rates)


@given(usages, flat_rates)
def test_the_integers_agree_with_exact_decimals(usage: Usage, rates: Rates) -> None:
    exact = sum(Decimal(getattr(usage, kind)) * getattr(rates, kind) for kind in KINDS) / 1000
    assert abs(nano(usage, rates) - exact) <= Decimal("0.5")
