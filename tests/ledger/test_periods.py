"""Stretches of time as people write them and as the ledger's sums are cut."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ConfigError
from router.ledger.periods import (
    BEGINNING,
    DAY_MS,
    END,
    HOUR_MS,
    Days,
    Stretch,
    cut,
    describe,
    parse_period,
    parse_since,
    parse_until,
)

BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


NOW = ms("2026-11-18T14:30:00+00:00")  # a Wednesday


@pytest.mark.parametrize(
    ("text", "zone", "since", "until"),
    [
        pytest.param("7d", UTC, NOW - 7 * DAY_MS, NOW - 7 * DAY_MS, id="days back are exact to the millisecond"),
        pytest.param("24h", UTC, NOW - DAY_MS, NOW - DAY_MS, id="hours"),
        pytest.param("30m", UTC, NOW - HOUR_MS // 2, NOW - HOUR_MS // 2, id="minutes"),
        pytest.param("2W", UTC, NOW - 14 * DAY_MS, NOW - 14 * DAY_MS, id="weeks, in capitals"),
        pytest.param("999999w", UTC, BEGINNING, BEGINNING, id="longer than time itself is the beginning"),
        pytest.param("now", UTC, NOW, NOW, id="now"),
        pytest.param(
            "2026-11-01", UTC, ms("2026-11-01T00:00+00:00"), ms("2026-11-02T00:00+00:00"),
            id="a day begins at midnight and as an end includes itself",
        ),
        pytest.param(
            "2026-11-01", BERLIN, ms("2026-11-01T00:00+01:00"), ms("2026-11-02T00:00+01:00"), id="a day of the zone"
        ),
        pytest.param(
            "2026-10-25", BERLIN, ms("2026-10-25T00:00+02:00"), ms("2026-10-26T00:00+01:00"),
            id="the day the clocks go back has 25 hours",
        ),
        pytest.param(
            "2026-11-01T10:00", BERLIN, ms("2026-11-01T10:00+01:00"), ms("2026-11-01T10:00+01:00"),
            id="a time of day of the zone",
        ),
        pytest.param(
            "2026-11-01T10:00Z", BERLIN, ms("2026-11-01T10:00+00:00"), ms("2026-11-01T10:00+00:00"),
            id="a time with its own zone",
        ),
        pytest.param(
            "yesterday", UTC, ms("2026-11-17T00:00+00:00"), ms("2026-11-18T00:00+00:00"), id="yesterday is a whole day"
        ),
        pytest.param(
            "2026-10", BERLIN, ms("2026-10-01T00:00+02:00"), ms("2026-11-01T00:00+01:00"), id="a month is a whole one"
        ),
    ],
)  # fmt: skip
def test_a_moment_is_read_as_written(text: str, zone: ZoneInfo, since: int, until: int) -> None:
    assert parse_since(text, NOW, zone) == since
    assert parse_until(text, NOW, zone) == until


@pytest.mark.parametrize("text", ["", "soon", "7", "7 fortnights", "2026-13-01", "2026-13", "0000-01", "11/01/2026"])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match="2026-11-01"):
        parse_since(text, NOW, UTC)


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("today", "2026-11-18T00:00+01:00", None),
        ("yesterday", "2026-11-17T00:00+01:00", "2026-11-18T00:00+01:00"),
        ("week", "2026-11-16T00:00+01:00", None),
        ("last-week", "2026-11-09T00:00+01:00", "2026-11-16T00:00+01:00"),
        ("month", "2026-11-01T00:00+01:00", None),
        ("last-month", "2026-10-01T00:00+02:00", "2026-11-01T00:00+01:00"),
        ("2025-12", "2025-12-01T00:00+01:00", "2026-01-01T00:00+01:00"),
        ("2026-10-25", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),
        ("all", "1970-01-01T00:00+00:00", None),
    ],
)
def test_periods_begin_and_end_at_local_midnight(period: str, start: str, end: str | None) -> None:
    assert parse_period(period, NOW, BERLIN) == (ms(start), END if end is None else ms(end))


def test_the_month_before_january_is_of_another_year() -> None:
    january = ms("2026-01-05T10:00+00:00")
    assert parse_period("last-month", january, UTC) == parse_period("2025-12", january, UTC)


@pytest.mark.parametrize("text", ["year", "2026-13", "7d", "2026-11-01T14:30", ""])
def test_an_unknown_period_names_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="today, yesterday, week, last-week, month, last-month, all, a month"):
        parse_period(text, NOW, UTC)


@given(st.integers(0, 40 * DAY_MS), st.integers(0, 40 * DAY_MS))
def test_the_pieces_of_a_cut_cover_the_stretch_exactly_once(a: int, b: int) -> None:
    since, until = sorted((a, b))
    pieces = cut([Stretch(0, since, until)])
    units = [
        *((p, DAY_MS) for p in pieces.days),
        *((p, HOUR_MS) for p in pieces.hours),
        *((p, 1) for p in pieces.requests),
    ]
    covered = sorted((p.since * unit, p.until * unit) for p, unit in units)
    ends = [since] if covered else [until]
    for start, end in covered:
        assert start == ends[-1], "a gap or an overlap"
        assert end > start
        ends.append(end)
    assert ends[-1] == until
    assert sum(p.until - p.since for p in pieces.requests) < 2 * HOUR_MS
    assert sum(p.until - p.since for p in pieces.hours) < 48


def test_an_open_period_needs_no_single_request() -> None:
    pieces = cut([Stretch(0, BEGINNING, END)])
    assert pieces.requests == []
    assert pieces.hours == []


@given(
    st.integers(0, 3 * 366 * DAY_MS),
    st.integers(1, 40 * DAY_MS),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "America/Sao_Paulo", "Pacific/Apia"]),
    st.integers(0, 10**9),
)
def test_days_follow_each_other_and_know_their_moments(start: int, length: int, zone: str, step: int) -> None:
    since = ms("2010-01-01T00:00+00:00") + start
    days = Days(since, since + length, ZoneInfo(zone))
    assert days.stretches[0].since == since
    assert days.stretches[-1].until == since + length
    assert all(a.until == b.since for a, b in zip(days.stretches, days.stretches[1:], strict=False))
    moment = since + step % length
    expected = datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).date().isoformat()
    assert days.names[days.number(moment)] == expected


@pytest.mark.parametrize(
    ("since", "until", "first", "text"),
    [
        (BEGINNING, END, ms("2026-11-03T10:00+00:00"), "all requests, since 3 Nov"),
        (BEGINNING, END, None, "all requests"),
        (ms("2026-11-01T00:00+00:00"), END, None, "since 1 Nov"),
        (ms("2025-11-01T09:05+00:00"), END, None, "since 1 Nov 2025 09:05"),
        (ms("2026-11-01T00:00+00:00"), ms("2026-11-03T00:00+00:00"), None, "1 Nov to 2 Nov"),
        (ms("2026-11-01T00:00+00:00"), ms("2026-11-02T00:00+00:00"), None, "1 Nov"),
        (ms("2026-11-01T00:00+00:00"), ms("2026-11-02T10:30+00:00"), None, "1 Nov to 2 Nov 10:30"),
        (BEGINNING, ms("2026-11-02T00:00+00:00"), None, "until 1 Nov"),
    ],
)
def test_a_period_is_described_in_words(since: int, until: int, first: int | None, text: str) -> None:
    assert describe(since, until, NOW, UTC, first) == text
