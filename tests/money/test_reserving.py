# ruff: noqa: E501  (tables read better with a case a line)

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.money.cost import cost_nano_usd
from router.money.prices import PriceTable
from router.money.rates import Period, Rates, Tier, Variant
from router.money.reserving import LONGEST_OUTPUT, MARGIN, OVERHEAD, WINDOW, Size, probable, worst_case
from router.wire.usage import Usage

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        pytest.param(Size(tokens=1000, length=90_000), 1500 + OVERHEAD, id="the estimate with its margin"),
        pytest.param(Size(tokens=1000, factor=1.2, length=90_000), 1800 + OVERHEAD, id="and the family's factor"),
        pytest.param(Size(tokens=1000, length=1200), 1200 + OVERHEAD, id="never more than bytes"),
        pytest.param(Size(tokens=100_000, length=400_000, window=128_000), 128_000, id="nor than the window"),
        pytest.param(Size(length=500), 500 + OVERHEAD, id="no estimate: bytes"),
        pytest.param(Size(tokens=10), 15 + OVERHEAD, id="pictures: bytes say nothing"),
        pytest.param(Size(tokens=10, length=50, outside=True, window=200_000), 200_000, id="it refers to something"),
        pytest.param(Size(tokens=10, length=50, outside=True), WINDOW, id="and the window is unknown"),
        pytest.param(Size(), WINDOW, id="nothing is known"),
    ],
)
def test_the_most_input(size: Size, tokens: int) -> None:
    assert size.most_input == tokens


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        pytest.param(Size(max_output=300), 300, id="what was asked for"),
        pytest.param(Size(max_output=300, most_output=200), 200, id="or the model can do"),
        pytest.param(Size(max_output=300, answers=4), 1200, id="of each answer"),
        pytest.param(Size(most_output=64_000, window=200_000), 64_000, id="nothing asked: the model's most"),
        pytest.param(Size(window=200_000), 200_000, id="nothing known of that: its window"),
        pytest.param(Size(), LONGEST_OUTPUT, id="nor of that"),
        pytest.param(Size(max_output=0), 0, id="nothing is wanted"),
        pytest.param(Size(max_output=-5), 0, id="less than nothing is nothing"),
        pytest.param(Size(max_output=5, answers=0), 5, id="an answer at least"),
        pytest.param(Size(writes=False), 0, id="nothing is written"),
    ],
)
def test_the_most_output(size: Size, tokens: int) -> None:
    assert size.most_written == tokens


def rates(**more: object) -> Rates:
    return Rates(**{"input": 3_000_000, "output": 15_000_000, **more})  # type: ignore[arg-type]


FLAT = Size(tokens=0, length=0, max_output=1000)  # OVERHEAD of input, 1,000 of output


@pytest.mark.parametrize(
    ("size", "of", "nano"),
    [
        pytest.param(FLAT, rates(), 2000 * 3000 + 1000 * 15_000, id="plain"),
        pytest.param(FLAT, rates(cache_read=300_000, cache_write=3_750_000, cache_write_1h=6_000_000), 2000 * 6000 + 1000 * 15_000, id="all is written to the cache"),
        pytest.param(FLAT, rates(reasoning=20_000_000), 2000 * 3000 + 1000 * 20_000, id="all is reasoning"),
        pytest.param(FLAT, rates(request=5_000_000_000), 2000 * 3000 + 1000 * 15_000 + 5_000_000, id="a price a request"),
        pytest.param(FLAT._replace(web_searches=5), rates(web_search=10**10), 2000 * 3000 + 1000 * 15_000 + 5 * 10**7, id="web searches"),
        pytest.param(FLAT, rates(tiers=(Tier(1999, rates(input=6_000_000)),)), 2000 * 6000 + 1000 * 15_000, id="a tier that can be reached"),
        pytest.param(FLAT, rates(tiers=(Tier(2000, rates(input=6_000_000)),)), 2000 * 3000 + 1000 * 15_000, id="one that can't"),
        pytest.param(FLAT, rates(variants=(Variant((("service_tier", "priority"),), Period(), Rates(output=30_000_000)),)), 2000 * 3000 + 1000 * 30_000, id="the dearest service class"),
        pytest.param(FLAT._replace(writes=False), Rates(input=3_000_000), 2000 * 3000, id="embeddings"),
        pytest.param(FLAT, Rates(input=1), 0, id="no price of output"),
        pytest.param(FLAT, None, 0, id="no price at all"),
        pytest.param(FLAT, rates(input=0, output=0), 0, id="free"),
    ],
)  # fmt: skip
def test_the_worst_case(size: Size, of: Rates | None, nano: int) -> None:
    known = of is not None and (of.output is not None or not size.writes)
    assert worst_case(size, of, NOW) == (nano if known else None)


def test_a_part_of_a_nano_dollar_is_a_whole_one() -> None:
    assert worst_case(Size(tokens=0, length=0, max_output=0), Rates(input=0, output=0, request=1), NOW) == 1


@pytest.mark.parametrize(
    ("tokens", "cached", "output", "size", "nano"),
    [
        pytest.param(1000, 0, 400, Size(tokens=1000, length=9000), 1000 * 3000 + 400 * 15_000, id="fresh"),
        pytest.param(1000, 800, 400, Size(tokens=1000, length=9000), 200 * 3000 + 800 * 300 + 400 * 15_000, id="cached"),
        pytest.param(1000, 0, 400, Size(tokens=1000, length=9000, max_output=100), 1000 * 3000 + 100 * 15_000, id="limited"),
        pytest.param(1000, 0, 400, Size(tokens=1000, length=9000, answers=3), 1000 * 3000 + 1200 * 15_000, id="three answers"),
    ],
)  # fmt: skip
def test_the_probable_case(tokens: int, cached: int, output: int, size: Size, nano: int) -> None:
    of = rates(cache_read=300_000)
    assert probable(size, of, NOW, tokens=tokens, cached=cached, output=output) == nano


def test_an_unknown_price_has_no_probable_cost() -> None:
    assert probable(Size(tokens=5), None, NOW, tokens=5, cached=0, output=5) is None


TABLE = PriceTable.load()
MODELS = [(provider, model) for provider in ("anthropic", "openai", "google") for model in TABLE.models(provider)]


@given(
    st.sampled_from(MODELS),
    st.integers(0, 300_000),
    st.integers(0, 2000),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
    st.sampled_from([None, "priority", "flex", "batch", "standard"]),
    st.sampled_from([None, "fast", "standard"]),
    st.integers(0, 3),
)  # fmt: skip
def test_no_usage_within_the_size_costs_more(
    of: tuple[str, str],
    tokens: int,
    output: int,
    parts: list[float],
    tier: str | None,
    speed: str | None,
    searches: int,
) -> None:
    """However the tokens are divided among kinds, whatever the class, at every model of the table."""
    priced = TABLE.rates(*of)
    size = Size(tokens=tokens, length=10**9, max_output=output, web_searches=searches)
    worst = worst_case(size, priced, NOW)
    real = int(tokens * MARGIN) + OVERHEAD
    shares = [part / (sum(parts[:4]) or 1) for part in parts[:4]]
    fresh, read, write, write_1h = (int(real * share) for share in shares)
    usage = Usage(
        input=fresh, cache_read=read, cache_write=write, cache_write_1h=write_1h,
        output=int(output * parts[4]), reasoning=int(output * parts[5]),
        service_tier=tier, speed=speed, web_searches=searches,
    )  # fmt: skip
    cost = cost_nano_usd(usage, priced, day=NOW).nano_usd
    assert cost is None or (worst is not None and cost <= worst)
    likely = probable(size, priced, NOW, tokens=tokens, cached=0, output=output)
    assert likely is None or (worst is not None and likely <= worst)


def test_overrides_are_rates_like_others() -> None:
    flat = Rates.flat(input=Decimal(1), output=Decimal(2))
    assert worst_case(FLAT, flat, NOW) == 2000 * 1000 + 1000 * 2000
