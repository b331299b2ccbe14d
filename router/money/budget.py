"""What budgets have left: of each one the current day and month, what is spent in them and what calls have reserved.

A call is made only if what it may cost still fits; that much is then reserved, and when the call is over its real cost
takes the reservation's place. Checking and reserving are one step without anything in between, so calls made at the
same time can't all see the same money.

Time is an argument, in milliseconds of UTC. Days and months are those of a timezone. They only move forward: where the
clock stands in an earlier day than it has stood in before, requests count at the latest moment that was seen, so no
window is opened twice. Whoever writes that moment down beside the request can add up the same windows again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

Period = Literal["day", "month"]

PERIODS: Final[tuple[Period, ...]] = ("day", "month")


class Scope(NamedTuple):
    """Whose budget it is: the profile's, a rule's (by its label) or a client key's (by its name)."""

    kind: Literal["profile", "rule", "key"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else self.kind


PROFILE: Final = Scope("profile")


class Limits(NamedTuple):
    """Nano-dollars a day and a calendar month; ``None`` is "no limit"."""

    day: int | None = None
    month: int | None = None

    def of(self, period: Period) -> int | None:
        return self.day if period == "day" else self.month


class Need(NamedTuple):
    """What a call takes from budgets, in nano-dollars: ``amount`` is reserved, ``worst`` is the most that it can cost.

    ``None``: nobody knows a price. A call that costs nothing for certain has a ``worst`` of 0."""

    amount: int | None
    worst: int | None

    @property
    def reserved(self) -> int:
        return self.amount or 0

    @property
    def at_risk(self) -> int:
        """What the call can cost beyond what is reserved for it, as far as a price is known."""
        return max(0, (self.worst or 0) - self.reserved)


FREE: Final = Need(0, 0)


@dataclass(slots=True, eq=False)
class Window:
    """A day or a month of one budget, from ``start_ms`` until before ``end_ms``. Amounts are nano-dollars."""

    scope: Scope
    period: Period
    start_ms: int
    end_ms: int
    limit: int | None
    spent: int = 0
    reserved: int = 0
    at_risk: int = 0  # what calls under way can cost beyond what is reserved for them

    def fits(self, need: Need) -> bool:
        """Whether a call may be made. What is spent up to the limit is spent: then only free calls fit."""
        if self.limit is None or need.worst == 0:
            return True
        taken = self.spent + self.reserved
        return taken + need.amount <= self.limit if need.amount else taken < self.limit

    @property
    def share(self) -> float | None:
        """The spent share of the limit, more than 1 when it was passed; ``None`` without one."""
        if self.limit is None:
            return None
        if self.limit == 0:  # nothing may be spent, so it is spent from the beginning
            return 1.0
        return self.spent / self.limit


class Charge:
    """What one request has spent and reserved, in the windows of the moment it came in.

    ``scopes`` are all whose request it is, whether they have budgets or not. One call is under way at a time."""

    __slots__ = ("at_risk", "id", "moment_ms", "over", "reserved", "scopes", "spent", "windows")

    def __init__(self, request_id: str, moment_ms: int, scopes: Collection[Scope]) -> None:
        self.id = request_id
        self.moment_ms = moment_ms
        self.scopes = scopes
        self.windows: tuple[Window, ...] = ()
        self.spent = self.reserved = self.at_risk = 0
        self.over = False  # it has ended; nothing is to be added any more

    @property
    def counted(self) -> int:
        """What budgets count for it now."""
        return self.spent + self.reserved

    def refusing(self, need: Need) -> list[Window]:
        """The windows that a call doesn't fit into."""
        return [window for window in self.windows if not window.fits(need)]

    def reserve(self, need: Need) -> None:
        """Keep back what a call needs, in all windows."""
        self._move(reserved=need.reserved, at_risk=need.at_risk)

    def conclude(self, cost: int | None, *, more: bool = False) -> int:
        """The call is over: count its cost instead of what was reserved, and return what is counted.

        An unknown cost counts as much as was reserved, and so does a smaller one that may not be all (``more``)."""
        counted = self.reserved if cost is None else max(cost, self.reserved) if more else cost
        self._move(spent=counted, reserved=-self.reserved, at_risk=-self.at_risk)
        return counted

    def place(self, windows: Iterable[Window]) -> None:
        """Count in these windows from now on."""
        self.windows = tuple(windows)
        for window in self.windows:
            window.spent += self.spent
            window.reserved += self.reserved
            window.at_risk += self.at_risk

    def _move(self, *, spent: int = 0, reserved: int = 0, at_risk: int = 0) -> None:
        self.spent += spent
        self.reserved += reserved
        self.at_risk += at_risk
        for window in self.windows:
            window.spent += spent
            window.reserved += reserved
            window.at_risk += at_risk


class Budgets:
    """The budgets of one profile. ``mark_ms``: the latest moment at which a request of it came in."""

    def __init__(self, zone: ZoneInfo, limits: Mapping[Scope, Limits], mark_ms: int = 0) -> None:
        self.zone = zone
        self.mark_ms = mark_ms
        self._limits = limits
        self._day = bounds("day", mark_ms, zone)
        self._windows: dict[tuple[Scope, Period], Window] = {}

    def __bool__(self) -> bool:
        return bool(self._limits)

    @property
    def scopes(self) -> frozenset[Scope]:
        """All that have a budget."""
        return frozenset(self._limits)

    def limit(self, limits: Mapping[Scope, Limits]) -> None:
        """Put other limits in force for the same scopes; what is spent and reserved stays."""
        self._limits = limits
        for (scope, period), window in self._windows.items():
            window.limit = limits[scope].of(period)

    def moment(self, now_ms: int) -> int:
        """When a request counts that comes in now: now, unless the clock has stood in a later day before."""
        if now_ms >= self.mark_ms:
            self.mark_ms = now_ms
            if now_ms >= self._day[1]:
                self._day = bounds("day", now_ms, self.zone)
            return now_ms
        return now_ms if now_ms >= self._day[0] else self.mark_ms

    def charge(self, request_id: str, moment_ms: int, scopes: Collection[Scope]) -> Charge:
        """A request that came in at a ``moment``, nothing spent yet."""
        charge = Charge(request_id, moment_ms, scopes)
        self.place(charge)
        return charge

    def place(self, charge: Charge) -> None:
        """Have a charge count here, in the windows of its moment that aren't over."""
        mine = [scope for scope in charge.scopes if scope in self._limits]
        windows = (self.window(scope, period) for scope in mine for period in PERIODS)
        charge.place(window for window in windows if window.start_ms <= charge.moment_ms)

    def window(self, scope: Scope, period: Period) -> Window:
        """The latest window of a budget."""
        window = self._windows.get((scope, period))
        if window is None or self.mark_ms >= window.end_ms:
            window = self._windows[scope, period] = self._opened(scope, period, self.mark_ms)
        return window

    def standing(self, now_ms: int, among: Collection[Scope] | None = None) -> Iterator[Window]:
        """How the limits stand at a moment, for whoever looks: nothing moves for that."""
        for scope, limits in self._limits.items():
            for period in PERIODS:
                if limits.of(period) is not None and (among is None or scope in among):
                    window = self.window(scope, period)
                    yield window if now_ms < window.end_ms else self._opened(scope, period, now_ms)

    def used_share(self, now_ms: int, among: Collection[Scope]) -> float | None:
        """The spent share of the tightest limit, what is reserved left out; ``None`` without any limit."""
        shares = (window.share for window in self.standing(now_ms, among))
        return max((share for share in shares if share is not None), default=None)

    def _opened(self, scope: Scope, period: Period, moment_ms: int) -> Window:
        return Window(scope, period, *bounds(period, moment_ms, self.zone), self._limits[scope].of(period))


def bounds(period: Period, moment_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    """The first instant of the local day or month that a moment lies in, and that of the next."""
    day = datetime.fromtimestamp(moment_ms / 1000, zone).date()
    if _first_ms(day + timedelta(days=1), zone) <= moment_ms:
        day += timedelta(days=1)  # the clocks went back over midnight: the day before isn't opened again
    if period == "day":
        return _first_ms(day, zone), _first_ms(day + timedelta(days=1), zone)
    first = day.replace(day=1)
    return _first_ms(first, zone), _first_ms((first + timedelta(days=32)).replace(day=1), zone)


def _first_ms(day: date, zone: ZoneInfo) -> int:
    """When a local day begins, which isn't at 00:00 where the clocks go forward over midnight."""
    wall = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (wall.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
