from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.money.budget import FREE, PERIODS, PROFILE, Budgets, Charge, Limits, Need, Scope, bounds

DOLLAR = 10**9
ALICE = Scope("key", "alice")
TOOLS = Scope("rule", "tool-use → anthropic")


def ms(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def budgets(daily: int | None = 10, monthly: int | None = 100, zone: str = "UTC") -> Budgets:
    limits = Limits(*(None if usd is None else usd * DOLLAR for usd in (daily, monthly)))
    return Budgets(ZoneInfo(zone), {PROFILE: limits})


def spend(where: Budgets, now_ms: int, nano: int = DOLLAR, *scopes: Scope) -> Charge:
    """A request that is over at once."""
    charge = where.charge("r", where.moment(now_ms), (PROFILE, *scopes))
    charge.conclude(nano)
    return charge


def spent(where: Budgets, now_ms: int) -> tuple[int, ...]:
    return tuple(window.spent // DOLLAR for window in where.standing(now_ms))


# --- days and months --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "spends", "now", "expected"),
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
        pytest.param(
            "America/St_Johns",
            ["2006-10-29T02:15", "2006-10-29T02:30", "2006-10-29T02:32"],
            "2006-10-29T03:30",
            (2, 3),
            id="nor does the day before begin again where they go back over midnight",
        ),
    ],
)
def test_windows_are_days_and_months_of_the_zone(
    zone: str, spends: list[str], now: str, expected: tuple[int, int]
) -> None:
    """``spends`` and ``now`` in UTC, a dollar each."""
    where = budgets(zone=zone)
    for moment in spends:
        spend(where, ms(moment))
    assert spent(where, ms(now)) == expected


@pytest.mark.parametrize(
    ("zone", "moment", "period", "expected"),
    [
        ("UTC", "2026-11-20T12:00", "day", ("2026-11-20T00:00", "2026-11-21T00:00")),
        ("UTC", "2026-12-31T23:59", "month", ("2026-12-01T00:00", "2027-01-01T00:00")),
        ("Europe/Berlin", "2026-10-25T12:00", "day", ("2026-10-24T22:00", "2026-10-25T23:00")),
        ("Europe/Berlin", "2026-03-15T12:00", "month", ("2026-02-28T23:00", "2026-03-31T22:00")),
        ("Africa/Cairo", "2026-04-24T12:00", "day", ("2026-04-23T22:00", "2026-04-24T21:00")),
        ("Pacific/Apia", "2011-12-30T09:59", "day", ("2011-12-29T10:00", "2011-12-30T10:00")),
    ],
)
def test_where_a_window_begins_and_ends(zone: str, moment: str, period: str, expected: tuple[str, str]) -> None:
    assert bounds(period, ms(moment), ZoneInfo(zone)) == tuple(map(ms, expected))  # type: ignore[arg-type]


zones = st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Asia/Kolkata", "America/St_Johns", "Africa/Cairo"])
moments = st.integers(ms("2000-01-01T00:00"), ms("2030-01-01T00:00"))


@given(moments, zones)
def test_windows_cover_all_of_time_once(moment: int, zone: str) -> None:
    for period in PERIODS:
        start, end = bounds(period, moment, ZoneInfo(zone))
        assert start <= moment < end
        assert bounds(period, end, ZoneInfo(zone))[0] == end
        assert bounds(period, start, ZoneInfo(zone)) == (start, end)


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jump", "counted"),
    [
        pytest.param("2026-11-20T08:00", "2026-11-20T08:00", id="within the day"),
        pytest.param("2026-11-19T23:30", "2026-11-20T12:00", id="an hour back over midnight"),
        pytest.param("2026-10-31T12:00", "2026-11-20T12:00", id="to the month before"),
        pytest.param("1970-01-01T00:00", "2026-11-20T12:00", id="to the beginning of time"),
        pytest.param("2026-11-21T12:00", "2026-11-21T12:00", id="a day on"),
    ],
)
def test_a_clock_that_jumps_opens_no_window_again(jump: str, counted: str) -> None:
    where = budgets()
    spend(where, ms("2026-11-20T12:00"), 10 * DOLLAR)
    moment = where.moment(ms(jump))
    assert moment == ms(counted)
    charge = where.charge("r", moment, (PROFILE,))
    fresh = jump > "2026-11-20T24"
    assert bool(charge.refusing(Need(1, 1))) is not fresh


def test_a_day_on_and_back_spends_the_later_day() -> None:
    where = budgets(daily=10)
    spend(where, ms("2026-11-20T12:00"), 9 * DOLLAR)
    spend(where, ms("2026-11-21T12:00"), 3 * DOLLAR)  # by mistake
    spend(where, ms("2026-11-20T13:00"), 4 * DOLLAR)  # it was put right
    assert spent(where, ms("2026-11-20T13:00")) == (7, 16)
    assert spent(where, ms("2026-11-21T00:30")) == (7, 16)
    assert spent(where, ms("2026-11-22T00:00")) == (0, 16)


def test_looking_moves_nothing() -> None:
    where = budgets()
    spend(where, ms("2026-11-20T12:00"))
    assert spent(where, ms("2027-01-01T00:00")) == (0, 0)
    assert spent(where, ms("2026-11-20T13:00")) == (1, 1)
    assert where.moment(ms("2026-11-20T13:00")) == ms("2026-11-20T13:00")


# --- reserving --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "taken", "need", "fits"),
    [
        pytest.param(10, 0, Need(10, 10), True, id="all of it"),
        pytest.param(10, 1, Need(10, 10), False, id="a nano-dollar too much"),
        pytest.param(10, 9, Need(1, 50), True, id="it is the amount that counts, not the worst"),
        pytest.param(10, 9, Need(None, None), True, id="an unknown price while something is left"),
        pytest.param(10, 10, Need(None, None), False, id="an unknown price when it is spent"),
        pytest.param(10, 10, Need(0, 5), False, id="nothing reserved for what may cost something"),
        pytest.param(10, 10, FREE, True, id="what is free"),
        pytest.param(10, 30, FREE, True, id="what is free, beyond the limit"),
        pytest.param(0, 0, Need(1, 1), False, id="nothing may be spent"),
        pytest.param(0, 0, FREE, True, id="nothing may be spent on what is free"),
        pytest.param(None, 10**15, Need(10**15, 10**15), True, id="no limit"),
    ],
)
def test_what_fits(limit: int | None, taken: int, need: Need, fits: bool) -> None:
    where = Budgets(ZoneInfo("UTC"), {PROFILE: Limits(limit, None)})
    spend(where, 1000, taken // 2)
    under_way = where.charge("u", 1000, (PROFILE,))
    under_way.reserve(Need(taken - taken // 2, taken))
    assert (where.charge("r", 1000, (PROFILE,)).refusing(need) == []) is fits


@pytest.mark.parametrize(
    ("cost", "more", "counted"),
    [
        pytest.param(3, False, 3, id="less than reserved"),
        pytest.param(9, False, 9, id="more than reserved"),
        pytest.param(0, False, 0, id="nothing"),
        pytest.param(None, False, 5, id="unknown: what was reserved"),
        pytest.param(None, True, 5, id="unknown, and perhaps charged"),
        pytest.param(3, True, 5, id="there may be more to it"),
        pytest.param(9, True, 9, id="more than reserved, and there may be more to it"),
    ],
)
def test_the_cost_takes_the_place_of_the_reservation(cost: int | None, more: bool, counted: int) -> None:
    where = budgets()
    charge = where.charge("r", 1000, (PROFILE,))
    charge.reserve(Need(5, 8))
    for window in charge.windows:
        assert (window.spent, window.reserved, window.at_risk) == (0, 5, 3)
    assert charge.conclude(cost, more=more) == counted
    for window in charge.windows:
        assert (window.spent, window.reserved, window.at_risk) == (counted, 0, 0)
    assert (charge.counted, charge.spent) == (counted, counted)


def test_a_request_counts_for_the_profile_its_rule_and_its_key_at_once() -> None:
    limits = {PROFILE: Limits(10, None), TOOLS: Limits(5, None), ALICE: Limits(None, 7)}
    where = Budgets(ZoneInfo("UTC"), limits)
    both = where.charge("r", 1000, (PROFILE, TOOLS, ALICE))
    both.reserve(Need(4, 4))
    other = where.charge("s", 1000, (PROFILE, Scope("rule", "default → groq")))
    assert [str(window.scope) for window in both.refusing(Need(4, 4))] == [str(TOOLS), str(ALICE)]
    assert other.refusing(Need(6, 6)) == []
    assert [window.scope for window in other.refusing(Need(7, 7))] == [PROFILE]


def test_a_call_after_midnight_counts_where_its_request_does() -> None:
    where = budgets(daily=10)
    charge = where.charge("r", where.moment(ms("2026-11-20T23:59")), (PROFILE,))
    charge.reserve(Need(9 * DOLLAR, 9 * DOLLAR))
    spend(where, ms("2026-11-21T00:01"))
    charge.conclude(8 * DOLLAR)
    assert charge.refusing(Need(3 * DOLLAR, 3 * DOLLAR))
    assert spent(where, ms("2026-11-21T00:02")) == (1, 9)


def test_limits_change_and_what_is_spent_stays() -> None:
    where = budgets(daily=10)
    charge = spend(where, 1000, 8 * DOLLAR)
    where.limit({PROFILE: Limits(5 * DOLLAR, None)})
    assert charge.refusing(Need(1, 1))
    where.limit({PROFILE: Limits(20 * DOLLAR, None)})
    assert not where.charge("s", 1000, (PROFILE,)).refusing(Need(12 * DOLLAR, 12 * DOLLAR))


@pytest.mark.parametrize(
    ("daily", "monthly", "dollars", "share"),
    [
        pytest.param(None, None, 5, None, id="no limit, no share"),
        pytest.param(10, None, 5, 0.5, id="only a day's limit"),
        pytest.param(None, 100, 80, 0.8, id="only a month's limit"),
        pytest.param(100, 10, 8, 0.8, id="the month is tighter"),
        pytest.param(10, 100, 9, 0.9, id="the day is tighter"),
        pytest.param(10, 100, 12, 1.2, id="beyond the limit"),
        pytest.param(0, None, 0, 1.0, id="a limit of 0 is used up from the beginning"),
    ],
)
def test_the_used_share_is_that_of_the_tightest_limit(
    daily: int | None, monthly: int | None, dollars: int, share: float | None
) -> None:
    where = budgets(daily, monthly)
    spend(where, 1000, dollars * DOLLAR).reserve(Need(DOLLAR, DOLLAR))  # what is reserved isn't spent
    assert where.used_share(1000, (PROFILE,)) == share


# --- any history ------------------------------------------------------------------------------------------------------

SCOPES = {PROFILE: Limits(1000, 3000), TOOLS: Limits(400, None), ALICE: Limits(None, 700)}
steps = st.lists(
    st.tuples(
        st.integers(0, 5),  # which of the requests under way
        st.sampled_from(["begin", "settle", "fail", "unknown", "cancel", "clock"]),
        st.integers(0, 500),
        st.floats(0, 1),
        st.sets(st.sampled_from([TOOLS, ALICE])),
    ),
    max_size=60,
)


@given(steps, zones)
def test_a_worst_case_that_is_reserved_is_never_passed(
    history: list[tuple[int, str, int, float, set[Scope]]], zone: str
) -> None:
    """Whatever begins, ends, fails and is cancelled in between; and the windows are what the requests add up to."""
    where = Budgets(ZoneInfo(zone), SCOPES)
    clock = ms("2026-10-31T20:00")
    under_way: dict[int, Charge] = {}
    over: list[Charge] = []
    seen: set[object] = set()
    for place, step, amount, part, scopes in history:
        charge = under_way.get(place)
        if step == "clock":
            clock += round((part - 0.4) * 48 * 3_600_000)
        elif step == "begin":
            if charge is None:
                charge = under_way[place] = where.charge(str(place), where.moment(clock), (PROFILE, *scopes))
            if not charge.reserved and not charge.refusing(Need(amount, amount)):
                charge.reserve(Need(amount, amount))
        elif charge is not None:
            cost = {"settle": round(charge.reserved * part), "unknown": None}.get(step, 0)
            charge.conclude(cost, more=step == "cancel")
            if step != "fail":  # after a failure there may be another call
                over.append(under_way.pop(place))
        everything = [*over, *under_way.values()]
        seen |= {window for each in everything for window in each.windows}
        for window in seen:
            mine = [each for each in everything if window in each.windows]
            assert window.spent == sum(each.spent for each in mine)  # type: ignore[attr-defined]
            assert window.reserved == sum(each.reserved for each in mine)  # type: ignore[attr-defined]
            assert window.limit is None or window.spent + window.reserved <= window.limit  # type: ignore[attr-defined]
    assert rebuilt(over, under_way, where) == {
        (window.scope, window.period): window.spent + window.reserved for window in where.standing(where.mark_ms)
    }


def rebuilt(over: list[Charge], under_way: Mapping[int, Charge], where: Budgets) -> dict[object, int]:
    """What whoever wrote down each request's moment finds: all of it in the same windows."""
    again = Budgets(where.zone, SCOPES, where.mark_ms)
    for each in (*over, *under_way.values()):
        again.charge(each.id, each.moment_ms, each.scopes).conclude(each.counted)
    return {(window.scope, window.period): window.spent for window in again.standing(where.mark_ms)}


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 900), st.booleans()), max_size=40))
def test_what_is_likely_is_passed_by_no_more_than_the_risk(calls: list[tuple[int, int, bool]]) -> None:
    """Reserved is less than the worst case: whatever the calls cost then, the limit is passed by no more than what
    those under way at the last admission could cost beyond their reservations."""
    where = Budgets(ZoneInfo("UTC"), {PROFILE: Limits(1000, None)})
    window = where.window(PROFILE, "day")
    under_way: list[tuple[Charge, int]] = []
    risk = 0
    for likely, worst, ends in calls:
        need = Need(min(likely, worst), worst)
        charge = where.charge("r", 0, (PROFILE,))
        if not charge.refusing(need):
            charge.reserve(need)
            under_way.append((charge, worst))
            risk = window.at_risk if worst else risk  # what is free may always be called
        if ends and under_way:
            ended, cost = under_way.pop(0)
            ended.conclude(cost)
    for charge, worst in under_way:
        charge.conclude(worst)
    assert window.spent <= 1000 + risk
    assert (window.reserved, window.at_risk) == (0, 0)


def test_a_charge_moves_to_windows_that_were_added_up_anew() -> None:
    where = budgets(zone="UTC")
    charge = spend(where, ms("2026-11-20T12:00"), 2 * DOLLAR)
    charge.reserve(Need(DOLLAR, 3 * DOLLAR))
    again = Budgets(ZoneInfo("Asia/Tokyo"), {PROFILE: Limits(5 * DOLLAR, None)}, where.mark_ms)
    again.place(charge)
    window = again.window(PROFILE, "day")
    assert (window.spent, window.reserved, window.at_risk) == (2 * DOLLAR, DOLLAR, 2 * DOLLAR)
    past = Charge("old", ms("2026-11-19T12:00"), (PROFILE,))
    again.place(past)
    assert [each.period for each in past.windows] == ["month"]


def test_dates_far_away_are_no_problem() -> None:
    for day in (date(1970, 1, 1), date(2099, 12, 31)):
        moment = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
        assert bounds("month", moment, ZoneInfo("UTC"))[0] <= moment
