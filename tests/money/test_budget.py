from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.money.budget import BudgetMeter

DOLLAR = 10**9


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def meter(daily: int | None = 10, monthly: int | None = 100, zone: str = "UTC") -> BudgetMeter:
    def limit(usd: int | None) -> int | None:
        return None if usd is None else usd * DOLLAR

    return BudgetMeter(limit(daily), limit(monthly), ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "spends", "now", "spent"),
    [
        pytest.param("UTC", ["2026-11-20T09:00", "2026-11-20T23:59"], "2026-11-20T23:59", (2, 2), id="one day"),
        pytest.param("UTC", ["2026-11-20T23:59"], "2026-11-21T00:00", (0, 1), id="midnight empties the day"),
        pytest.param("UTC", ["2026-11-30T23:59"], "2026-12-01T00:00", (0, 0), id="the first empties the month"),
        pytest.param("UTC", ["2026-12-31T12:00"], "2027-01-01T00:00", (0, 0), id="the year's end empties both"),
        pytest.param("UTC", ["2025-11-20T12:00"], "2026-11-20T12:00", (0, 0), id="the same day of another year"),
        pytest.param("Asia/Tokyo", ["2026-11-20T14:59"], "2026-11-20T15:00", (0, 1), id="midnight is the zone's"),
        pytest.param("America/New_York", ["2026-11-21T00:30"], "2026-11-21T04:59", (1, 1), id="not UTC's"),
        pytest.param("Europe/Berlin", ["2026-03-28T23:30"], "2026-03-29T21:59", (1, 1), id="a day of 23 hours lasts"),
        pytest.param("Europe/Berlin", ["2026-03-28T23:30"], "2026-03-29T22:00", (0, 1), id="and ends after 23"),
        pytest.param("Europe/Berlin", ["2026-10-24T22:30"], "2026-10-25T22:59", (1, 1), id="a day of 25 hours lasts"),
        pytest.param("Europe/Berlin", ["2026-10-24T22:30"], "2026-10-25T23:00", (0, 1), id="and ends after 25"),
        pytest.param(
            "America/Havana",
            ["2026-11-01T03:30", "2026-11-01T04:30", "2026-11-01T05:30"],
            "2026-11-01T05:30",
            (2, 2),
            id="clocks that go back after midnight don't start the day again",
        ),
    ],
)
def test_windows_are_days_and_months_of_the_zone(
    zone: str, spends: list[str], now: str, spent: tuple[int, int]
) -> None:
    """``spends`` and ``now`` in UTC, a dollar each."""
    budget = meter(zone=zone)
    for moment in spends:
        budget.add(at(moment), DOLLAR)
    assert budget.spent(at(now)) == (spent[0] * DOLLAR, spent[1] * DOLLAR)


def test_a_zone_that_goes_back_over_midnight_does_not_reopen_the_day() -> None:
    """In Greenland's zone of 2025 the clocks went back from 00:00 to 23:00, so the day before came twice."""
    budget = meter(zone="America/Nuuk")
    before, after = datetime(2025, 10, 26, 0, 30, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)
    assert before.astimezone(ZoneInfo("America/Nuuk")).date() == after.astimezone(ZoneInfo("America/Nuuk")).date()
    budget.add(before, DOLLAR)
    assert budget.spent(after) == (DOLLAR, DOLLAR)
    assert budget.spent(datetime(2025, 10, 26, 2, 0, tzinfo=UTC)) == (0, DOLLAR)


@pytest.mark.parametrize(
    ("back_to", "spent"),
    [
        pytest.param("2026-11-20T08:00", (3, 3), id="within the day"),
        pytest.param("2026-11-19T12:00", (3, 3), id="to the day before"),
        pytest.param("2026-10-31T12:00", (3, 3), id="to the month before"),
        pytest.param("1970-01-01T00:00", (3, 3), id="to the beginning of time"),
    ],
)
def test_a_clock_going_backwards_reopens_nothing(back_to: str, spent: tuple[int, int]) -> None:
    budget = meter()
    budget.add(at("2026-11-20T12:00"), 2 * DOLLAR)
    budget.add(at(back_to), DOLLAR)
    assert budget.spent(at(back_to)) == (spent[0] * DOLLAR, spent[1] * DOLLAR)
    assert budget.spent(at("2026-11-20T13:00")) == (spent[0] * DOLLAR, spent[1] * DOLLAR)


@pytest.mark.parametrize(
    ("daily", "monthly", "day_usd", "month_usd", "share"),
    [
        pytest.param(None, None, 5, 50, None, id="no limit, no share"),
        pytest.param(10, None, 5, 50, 0.5, id="only a day's limit"),
        pytest.param(None, 100, 5, 80, 0.8, id="only a month's limit"),
        pytest.param(10, 100, 5, 80, 0.8, id="the month is tighter"),
        pytest.param(10, 100, 9, 80, 0.9, id="the day is tighter"),
        pytest.param(10, 100, 12, 80, 1.2, id="beyond the limit"),
        pytest.param(0, None, 0, 0, 1.0, id="a limit of 0 is used up from the beginning"),
        pytest.param(0, None, 1, 1, math.inf, id="and endlessly by the first dollar"),
    ],
)
def test_the_used_share_is_that_of_the_tightest_limit(
    daily: int | None, monthly: int | None, day_usd: int, month_usd: int, share: float | None
) -> None:
    budget, now = meter(daily, monthly), at("2026-11-20T12:00")
    budget.load(now, day_nano=day_usd * DOLLAR, month_nano=month_usd * DOLLAR)
    assert budget.used_share(now) == share


def test_a_new_meter_has_spent_nothing() -> None:
    assert meter().used_share(at("2026-11-20T12:00")) == 0.0


def test_spend_goes_on_from_what_was_loaded() -> None:
    budget, now = meter(), at("2026-11-20T12:00")
    budget.load(now, day_nano=4 * DOLLAR, month_nano=40 * DOLLAR)
    budget.add(now, DOLLAR)
    assert budget.spent(now) == (5 * DOLLAR, 41 * DOLLAR)
    assert budget.spent(now + timedelta(days=1)) == (0, 41 * DOLLAR)


@pytest.mark.parametrize(
    ("zone", "now", "day_usd", "month_usd", "reset"),
    [
        pytest.param("UTC", "2026-11-20T12:00", 9, 90, None, id="nothing is used up"),
        pytest.param("UTC", "2026-11-20T12:00", 10, 90, "2026-11-21T00:00+00:00", id="the day is"),
        pytest.param("UTC", "2026-11-20T12:00", 10, 100, "2026-12-01T00:00+00:00", id="both are: the later end"),
        pytest.param("UTC", "2026-12-31T12:00", 0, 100, "2027-01-01T00:00+00:00", id="over the year's end"),
        pytest.param(
            "Europe/Berlin", "2026-10-25T12:00", 10, 10, "2026-10-26T00:00+01:00", id="after a change of time"
        ),
        pytest.param("Europe/Berlin", "2026-10-20T12:00", 0, 100, "2026-11-01T00:00+01:00", id="across one"),
        pytest.param("Africa/Cairo", "2026-04-23T12:00", 10, 10, "2026-04-24T01:00+03:00", id="a day without midnight"),
    ],
)
def test_when_a_used_up_budget_opens_again(
    zone: str, now: str, day_usd: int, month_usd: int, reset: str | None
) -> None:
    budget, moment = meter(zone=zone), at(now)
    budget.load(moment, day_nano=day_usd * DOLLAR, month_nano=month_usd * DOLLAR)
    found = budget.resets_at(moment)
    assert (found.isoformat(timespec="minutes") if found else None) == reset
    if found is not None:
        assert (budget.used_share(found.astimezone(UTC) - timedelta(seconds=1)) or 0) >= 1
        assert (budget.used_share(found) or 0) < 1


def test_a_limit_of_nothing_never_opens() -> None:
    """It says when the window ends, where it is used up again at once."""
    budget, now = meter(daily=0, monthly=None), at("2026-11-20T12:00")
    assert budget.resets_at(now) == at("2026-11-21T00:00")
    assert budget.used_share(at("2026-11-21T00:00")) == 1.0


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone"):
        meter().add(datetime(2026, 11, 20), 1)  # noqa: DTZ001 - that is the point


def test_negative_spend_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        meter().add(at("2026-11-20T12:00"), -1)


instants = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - naive bounds


@given(st.lists(st.tuples(instants, st.integers(0, 10**12))), st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]))
def test_in_any_order_of_times_spend_is_only_reset_by_a_later_window(
    spends: list[tuple[datetime, int]], zone: str
) -> None:
    budget, tz = BudgetMeter(1, 1, ZoneInfo(zone)), ZoneInfo(zone)
    latest, expected = None, 0
    for moment, nano in spends:
        day = moment.astimezone(tz).date()
        if latest is None or day > latest:
            latest, expected = day, 0
        expected += nano
        budget.add(moment, nano)
        day_spent, month_spent = budget.spent(moment)
        assert day_spent == expected
        assert month_spent >= day_spent
