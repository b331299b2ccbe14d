"""Stretches of time: how people write them, and how a report reads them cheaply.

Everything inside is integer milliseconds of UTC, ``since`` included and ``until`` not. The ledger keeps sums per hour
and per day of UTC; ``cut`` divides any stretch into whole days, whole hours and the rest, so that only the rest (at
most two hours' worth) is read request by request.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from router.errors import ConfigError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BEGINNING = 0
END = 1_000_000 * DAY_MS  # "no end": later than any clock, and a whole day, so that it never needs single requests

PERIODS = ("today", "yesterday", "week", "last-week", "month", "last-month", "all")
_UNITS = {"m": 60_000, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_AGO = re.compile(r"(\d{1,6})\s*([mhdw])\Z")
_MONTH = re.compile(r"(\d{4})-(\d{2})\Z")
_WAYS = 'such as "7d", "24h", "2026-11-01", "2026-11-01T14:30", "2026-11", "today" or "yesterday"'


class Stretch(NamedTuple):
    """``number`` tells which day of a report it belongs to; ``since`` and ``until`` are in the unit of its table."""

    number: int
    since: int
    until: int


@dataclass(slots=True)
class Cut:
    """Where the sums of some stretches stand: in the daily rows, the hourly rows, and the requests themselves."""

    days: list[Stretch] = field(default_factory=list)  # in days since 1970
    hours: list[Stretch] = field(default_factory=list)  # in hours since 1970
    requests: list[Stretch] = field(default_factory=list)  # in milliseconds


def cut(stretches: Iterable[Stretch]) -> Cut:
    """Divide stretches of milliseconds. Together the pieces cover each stretch exactly once."""
    pieces = Cut()
    for stretch in stretches:
        hours = _whole(stretch, HOUR_MS, pieces.requests)
        if hours is not None:
            days = _whole(hours, 24, pieces.hours)
            if days is not None:
                pieces.days.append(days)
    return pieces


def _whole(stretch: Stretch, unit: int, rest: list[Stretch]) -> Stretch | None:
    """The whole units inside a stretch, in that unit; what is left at its ends goes to ``rest``."""
    number, since, until = stretch
    first, last = -(-since // unit), until // unit
    ends = [(since, until)] if first >= last else [(since, first * unit), (last * unit, until)]
    rest.extend(Stretch(number, a, b) for a, b in ends if a < b)
    return Stretch(number, first, last) if first < last else None


class Days:
    """The local days that a stretch of time touches, numbered from 0."""

    def __init__(self, since_ms: int, until_ms: int, zone: tzinfo) -> None:
        self.names: list[str] = []
        self.stretches: list[Stretch] = []
        day = local_day(since_ms, zone)
        start = since_ms
        while start < until_ms:
            day += timedelta(days=1)
            end = min(midnight(day, zone), until_ms)
            if end > start:
                self.stretches.append(Stretch(len(self.names), start, end))
                self.names.append((day - timedelta(days=1)).isoformat())
                start = end
        self._starts = [stretch.since for stretch in self.stretches]

    def number(self, time_ms: int) -> int:
        """Which of the days a moment within the stretch lies in."""
        return bisect_right(self._starts, time_ms) - 1


def local_day(time_ms: int, zone: tzinfo) -> date:
    """The calendar day of a moment."""
    return datetime.fromtimestamp(time_ms / 1000, zone).date()


def midnight(day: date, zone: tzinfo) -> int:
    """When a calendar day begins; days with a change of the clocks are 23 or 25 hours long."""
    return _ms(datetime.combine(day, time(), zone))


def parse_period(text: str, now_ms: int, zone: tzinfo) -> tuple[int, int]:
    """The beginning and the end of ``PERIODS``, of a month (``2026-10``) or a day. Weeks begin on Monday; today, this
    week and this month have no end. Raises ConfigError."""
    word = text.strip().lower()
    today = local_day(now_ms, zone)
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    begun = {"today": today, "week": monday, "month": first}
    over = {
        "yesterday": (today - timedelta(days=1), today),
        "last-week": (monday - timedelta(days=7), monday),
        "last-month": ((first - timedelta(days=1)).replace(day=1), first),
    }
    if word == "all":
        return BEGINNING, END
    if word in begun:
        return midnight(begun[word], zone), END
    if word in over:
        return _whole_days(*over[word], zone)
    named = _calendar(word, zone)
    if named is None:
        raise ConfigError(f'unknown period "{text}": expected {", ".join(PERIODS)}, a month (2026-10) or a day')
    return named


def parse_since(text: str, now_ms: int, zone: tzinfo) -> int:
    """The moment a person means by ``7d``, ``2026-11-01``, … Raises ConfigError."""
    return _moment(text, now_ms, zone)[0]


def parse_until(text: str, now_ms: int, zone: tzinfo) -> int:
    """Likewise for an end: a day's name includes that whole day. Raises ConfigError."""
    return _moment(text, now_ms, zone)[1]


def _moment(text: str, now_ms: int, zone: tzinfo) -> tuple[int, int]:
    """What a text means as a beginning and as an end."""
    word = text.strip()
    if ago := _AGO.match(word.lower()):
        moment = max(BEGINNING, now_ms - int(ago[1]) * _UNITS[ago[2]])
        return moment, moment
    if word.lower() == "now":
        return now_ms, now_ms
    if word.lower() in ("today", "yesterday"):
        day = local_day(now_ms, zone) - timedelta(days=int(word.lower() == "yesterday"))
        return _whole_days(day, day + timedelta(days=1), zone)
    if (named := _calendar(word, zone)) is not None:
        return named
    try:
        at = datetime.fromisoformat(word)
        moment = _ms(at if at.tzinfo is not None else at.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise ConfigError(f'"{text}" is not a moment: expected one {_WAYS}') from None
    return moment, moment


def _calendar(word: str, zone: tzinfo) -> tuple[int, int] | None:
    """The beginning and the end of a month (``2026-10``) or a day (``2026-10-31``); None for anything else."""
    try:
        if month := _MONTH.match(word):
            first = date(int(month[1]), int(month[2]), 1)
            return _whole_days(first, (first + timedelta(days=31)).replace(day=1), zone)
        day = date.fromisoformat(word)
        return _whole_days(day, day + timedelta(days=1), zone)
    except (ValueError, OverflowError):
        return None


def _whole_days(first: date, after: date, zone: tzinfo) -> tuple[int, int]:
    return midnight(first, zone), midnight(after, zone)


def short_day(day: date, today: date) -> str:
    """``18 Nov``, with the year where it isn't the current one."""
    name = f"{day.day} {('Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec').split()[day.month - 1]}"
    return name if day.year == today.year else f"{name} {day.year}"


def describe(since_ms: int, until_ms: int, now_ms: int, zone: tzinfo, first_ms: int | None = None) -> str:
    """A stretch in words, for the line above a report. ``first_ms`` is the time of the first request, if any."""
    today = local_day(now_ms, zone)

    def words(time_ms: int, *, end: bool = False) -> str:
        at = datetime.fromtimestamp(time_ms / 1000, zone)
        day = local_day(time_ms - 1, zone) if end else at.date()  # of a whole day that is the last
        if time_ms == midnight(at.date(), zone):
            return short_day(day, today)
        return f"{short_day(at.date(), today)} {at:%H:%M}"

    if since_ms <= BEGINNING and until_ms >= END:
        return (
            "all requests" if first_ms is None else f"all requests, since {short_day(local_day(first_ms, zone), today)}"
        )
    if until_ms >= END:
        return f"since {words(since_ms)}"
    first, last = words(since_ms), words(until_ms, end=True)
    if since_ms <= BEGINNING:
        return f"until {last}"
    return last if first == last else f"{first} to {last}"


def _ms(at: datetime) -> int:
    return max(BEGINNING, int((at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)))
