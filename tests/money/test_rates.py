from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.money.rates import Change, Period, Rates, Tier, Variant, pico_per_token

DAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("usd_per_million", "pico"),
    [
        pytest.param("3", 3_000_000, id="three dollars a million are three million pico-dollars a token"),
        pytest.param("0.003625", 3_625, id="fractions of a cent stay exact"),
        pytest.param("0", 0, id="free is zero"),
        pytest.param("0.0000004", 0, id="less than half a pico-dollar is nothing"),
        pytest.param("0.0000005", 1, id="half a pico-dollar rounds up"),
        pytest.param("0.18000000000000002", 180_000, id="a float's noise disappears"),
    ],
)
def test_a_published_price_becomes_a_whole_number(usd_per_million: str, pico: int) -> None:
    assert pico_per_token(Decimal(usd_per_million)) == pico


@pytest.mark.parametrize("price", ["-1", "NaN", "Infinity"])
def test_a_price_that_is_no_price_is_refused(price: str) -> None:
    with pytest.raises(ValueError, match="price must be a number"):
        pico_per_token(Decimal(price))


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        pytest.param({}, (2_000_000, 2_000_000, 2_000_000), id="without cache prices the cache costs as input"),
        pytest.param({"cache_read": "0.2"}, (200_000, 2_000_000, 2_000_000), id="a read price leaves writes alone"),
        pytest.param({"cache_write": "2.5"}, (2_000_000, 2_500_000, 2_500_000), id="long writes cost as short ones"),
        pytest.param({"cache_write_1h": "4"}, (2_000_000, 2_000_000, 4_000_000), id="long writes have their own price"),
        pytest.param({"cache_read": "0"}, (0, 2_000_000, 2_000_000), id="a price of 0 is a price"),
    ],
)
def test_an_override_fills_in_missing_cache_prices(cache: dict[str, str], expected: tuple[int, int, int]) -> None:
    rates = Rates.flat(input=Decimal(2), output=Decimal(8), **{kind: Decimal(price) for kind, price in cache.items()})
    assert (rates.cache_read, rates.cache_write, rates.cache_write_1h) == expected
    assert (rates.input, rates.output, rates.source) == (2_000_000, 8_000_000, "override")


@pytest.mark.parametrize(
    ("tokens", "input_rate"),
    [
        pytest.param(0, 10, id="nothing costs the base rate"),
        pytest.param(200, 10, id="a threshold belongs to the lower tier"),
        pytest.param(201, 20, id="one token more changes the rate of all"),
        pytest.param(501, 40, id="the highest tier reached counts"),
    ],
)
def test_a_tier_is_chosen_by_the_whole_input(tokens: int, input_rate: int) -> None:
    rates = Rates(
        input=10, output=1, tiers=(Tier(200, Rates(input=20, output=2)), Tier(500, Rates(input=40, output=4)))
    )
    assert rates.for_input(tokens).input == input_rate


def at(clock: str, day: str = "2026-11-20") -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "moment", "holds"),
    [
        pytest.param(Period(), DAY, True, id="no limits hold always"),
        pytest.param(Period(since=DAY), date(2026, 11, 19), False, id="not before the day"),
        pytest.param(Period(since=DAY), DAY, True, id="from the day on"),
        pytest.param(Period(since=DAY), at("00:00"), True, id="from its first instant on"),
        pytest.param(
            Period(since=DAY),
            datetime(2026, 11, 20, 3, tzinfo=timezone(timedelta(hours=8))),
            False,
            id="days are days of UTC, whatever the zone of the time",
        ),
        pytest.param(Period(hours=(time(1), time(4))), at("01:00"), True, id="hours include their start"),
        pytest.param(Period(hours=(time(1), time(4))), at("04:00"), False, id="hours exclude their end"),
        pytest.param(Period(hours=(time(22), time(6))), at("23:30"), True, id="hours may run over midnight: evening"),
        pytest.param(Period(hours=(time(22), time(6))), at("05:59"), True, id="hours may run over midnight: morning"),
        pytest.param(Period(hours=(time(22), time(6))), at("12:00"), False, id="hours may run over midnight: not noon"),
        pytest.param(Period(hours=(time(1), time(4))), datetime(2026, 11, 20, 2), True, id="a naive time is UTC"),  # noqa: DTZ001
    ],
)
def test_a_period_knows_when_it_holds(period: Period, moment: date, holds: bool) -> None:
    assert period.holds(moment) is holds


def test_the_last_change_that_holds_wins() -> None:
    rates = Rates(
        input=1,
        changes=(
            Change(Period(since=date(2026, 1, 1)), Rates(input=2)),
            Change(Period(since=date(2026, 6, 1)), Rates(input=3)),
            Change(Period(hours=(time(1), time(4))), Rates(input=9)),
        ),
        source="table",
    )
    assert [rates.on(day).input for day in (date(2025, 12, 31), date(2026, 3, 1), DAY, at("02:00"))] == [1, 2, 3, 9]
    assert rates.on(DAY).source == "table"


def test_a_variant_replaces_only_what_it_prices() -> None:
    rates = Rates(
        input=10,
        output=100,
        tiers=(Tier(200, Rates(input=20, output=200)),),
        variants=(Variant((("service_tier", "priority"),), Period(), Rates(input=15)),),
    )
    priority = rates.on(DAY, {"service_tier": "priority"})
    assert (priority.input, priority.output) == (15, 100)
    assert (priority.for_input(201).input, priority.for_input(201).output) == (15, 200)
    assert rates.on(DAY, {"service_tier": "flex"}).input == 10
    assert rates.on(DAY).input == 10


def test_of_two_variants_the_first_wins_and_the_second_fills_in() -> None:
    rates = Rates(
        input=10,
        output=100,
        variants=(
            Variant((("speed", "fast"),), Period(since=DAY), Rates(input=30)),
            Variant((("speed", "fast"),), Period(), Rates(input=20, output=120)),
        ),
    )
    fast = {"speed": "fast"}
    assert (rates.on(DAY, fast).input, rates.on(DAY, fast).output) == (30, 120)
    before = rates.on(date(2026, 11, 19), fast)
    assert (before.input, before.output) == (20, 120)


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_rates_in_force_have_no_dates_left(day: date) -> None:
    rates = Rates(input=1, changes=(Change(Period(since=DAY), Rates(input=2)),))
    chosen = rates.on(day)
    assert chosen.changes == ()
    assert chosen.on(day) == chosen
