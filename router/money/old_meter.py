"""How much of a budget is spent: running sums of the current day and month in the profile's timezone.

The time is an argument. A window only ever gives way to a later one: a clock that goes backwards, or a timezone that
repeats an hour over midnight, never reopens a window that is spent and over, nor empties one that is current.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(slots=True)
class _Window:
    """The sum of one window. ``start`` is its first local day; None is "nothing has happened yet"."""

    limit: int | None
    start: date | None = None
    spent: int = 0

    def advance(self, start: date) -> None:
        if self.start is None or start > self.start:
            self.start, self.spent = start, 0

    def share(self) -> float | None:
        if self.limit is None:
            return None
        if self.limit == 0:  # nothing may be spent, so it is spent from the beginning
            return math.inf if self.spent else 1.0
        return self.spent / self.limit


class BudgetMeter:
    """Spend of the current day and month, in integer nano-dollars. ``now`` is an aware datetime, in any zone."""

    def __init__(self, daily_nano: int | None, monthly_nano: int | None, timezone: ZoneInfo) -> None:
        self._day = _Window(daily_nano)
        self._month = _Window(monthly_nano)
        self._timezone = timezone

    def load(self, now: datetime, *, day_nano: int, month_nano: int) -> None:
        """Start from what the ledger has for the day and the month of ``now``."""
        self._advance(now)
        self._day.spent, self._month.spent = day_nano, month_nano

    def add(self, now: datetime, nano: int) -> None:
        """Count what a call cost. Unknown costs can't be counted: they are not spent money to a budget."""
        if nano < 0:
            raise ValueError(f"spend can't be negative, got {nano}")
        self._advance(now)
        self._day.spent += nano
        self._month.spent += nano

    def spent(self, now: datetime) -> tuple[int, int]:
        """Nano-dollars of the current day and month."""
        self._advance(now)
        return self._day.spent, self._month.spent

    def used_share(self, now: datetime) -> float | None:
        """The spent share of the tightest limit, 1.0 and more when it is used up; None without any limit."""
        self._advance(now)
        shares = [share for window in (self._day, self._month) if (share := window.share()) is not None]
        return max(shares, default=None)

    def resets_at(self, now: datetime) -> datetime | None:
        """When every used-up window will be over, in the budget's timezone; None while none is used up."""
        self._advance(now)
        ends = [
            self._midnight(end(window.start))
            for window, end in ((self._day, _next_day), (self._month, _next_month))
            if window.start is not None and (window.share() or 0.0) >= 1.0
        ]
        return max(ends, default=None)

    def _advance(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError("the time must have a timezone")
        today = now.astimezone(self._timezone).date()
        self._day.advance(today)
        self._month.advance(today.replace(day=1))

    def _midnight(self, day: date) -> datetime:
        """The first instant of a local day, which isn't 00:00 where the clocks go forward over midnight."""
        wall = datetime(day.year, day.month, day.day, tzinfo=self._timezone)
        return wall.astimezone(UTC).astimezone(self._timezone)


def _next_day(start: date) -> date:
    return start + timedelta(days=1)


def _next_month(start: date) -> date:
    return (start + timedelta(days=32)).replace(day=1)
