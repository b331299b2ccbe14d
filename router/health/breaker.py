"""Breakers: a target that keeps failing is left alone for a while, then tried with a single call.

There is one for each (provider, model, key). It is *closed* while calls go through. It *opens* when the failures of the
last ``window_s`` are at least ``failures`` and at least ``ratio`` of the calls there. When the cooldown is over it is
*half-open*: exactly one call, the probe, goes through, however many ask. If the probe succeeds the breaker closes and
forgets the window; if not it opens again, each time for twice as long, up to eight times the cooldown. A probe without
a verdict never blocks for long: after ``PROBE_LEASE_S`` the next caller may probe, and the first one's verdict still
counts when it comes.

Where the breakers of all candidates are open, one of them is probed early, by force (``last_resort``): the one that
failed longest ago, and none twice within ``FORCED_EVERY_S``, so that an outage isn't met with a call for each request.

Pure: ``now`` is in seconds of a monotonic clock. The wall clock is only for what outlives the process.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

State = Literal["closed", "open", "half-open"]

# What a call counts. Multiples of ½ add up exactly.
SUCCESS: Final = 0.0
SOFT_FAILURE: Final = 0.5
FAILURE: Final = 1.0

PROBE_LEASE_S: Final = 10.0  # so long a probe keeps others from probing
FORCED_EVERY_S: Final = 10.0  # after a forced probe that failed, the next one of the same breaker
MAX_DOUBLINGS: Final = 3  # eight times the cooldown
MAX_WAIT_S: Final = 3600.0  # what a provider's Retry-After, and doubling, may make of a shorter cooldown
FORGOTTEN_AFTER_S: Final = 3600.0  # a breaker that nobody has closed so long after its cooldown knows nothing any more
LIMIT: Final = 10_000  # breakers of one profile
_SLICES: Final = 100  # the window is counted in slices of this share of it


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a target is left alone: ``failures`` at least, making ``ratio`` of the calls within the window."""

    failures: int = 3
    ratio: float = 0.5
    window_s: float = 60.0
    cooldown_s: float = 30.0


class Key(NamedTuple):
    """What one breaker is about. ``key_name`` is the name of the provider's key, "" where it has none."""

    provider: str
    model: str
    key_name: str = ""


class Ticket:
    """The right to make one call, and to say once how it ended; what is said again counts nothing."""

    __slots__ = ("_opening", "_spent", "begun", "key")

    def __init__(self, key: Key, begun: float, opening: int = 0) -> None:
        self.key = key
        self.begun = begun
        self._opening = opening  # which opening of its breaker it probes; 0 for an ordinary call
        self._spent = False

    @property
    def is_probe(self) -> bool:
        """Whether the breaker waits for this call's verdict."""
        return self._opening != 0

    def __repr__(self) -> str:
        return f"Ticket({self.key}, begun={self.begun}, is_probe={self.is_probe})"


class Change(NamedTuple):
    """A breaker opened, opened again or closed. ``retry_at`` is when it may be probed, None when it closed."""

    key: Key
    before: State
    after: State
    retry_at: float | None


class BreakerRow(NamedTuple):
    """One breaker as ``status`` shows it; ``failures`` (a soft one is ½) and ``calls`` are those of the window."""

    key: Key
    state: State
    failures: float
    calls: int
    failed_at: float | None  # of the last failure
    retry_at: float | None  # when somebody will be let through; None: now


class SavedBreaker(NamedTuple):
    """A breaker that isn't closed, as it is kept over a restart. ``…_at_ms`` are milliseconds of UTC."""

    provider: str
    model: str
    key_name: str
    retry_at_ms: int
    left_ms: int  # of the cooldown, when it was saved; below 0 where it was over
    doublings: int
    failed_at_ms: int


class _Window:
    """The calls of the last ``window_s``, to a hundredth of it: calls so close together are forgotten together."""

    __slots__ = ("_slices", "calls", "failures")

    def __init__(self) -> None:
        self._slices: deque[list[float]] = deque()  # [time of the first call, calls, failures]
        self.calls = 0
        self.failures = 0.0

    def add(self, now: float, weight: float, window_s: float) -> None:
        slices = self._slices
        if not slices or now >= slices[-1][0] + window_s / _SLICES:
            self.expire(now, window_s)
            slices.append([now, 0, 0.0])
        newest = slices[-1]
        newest[1] += 1
        newest[2] += weight
        self.calls += 1
        self.failures += weight

    def expire(self, now: float, window_s: float) -> None:
        slices = self._slices
        while slices and slices[0][0] <= now - window_s:
            _, calls, failures = slices.popleft()
            self.calls -= int(calls)
            self.failures -= failures


@dataclass(slots=True)
class _Breaker:
    window: _Window = field(default_factory=_Window)
    opening: int = 0  # the number of the opening in force; 0 while closed
    retry_at: float = -math.inf  # the end of its cooldown
    doublings: int = 0
    forced_again_at: float = -math.inf
    probe: Ticket | None = None  # the newest one without a verdict
    failed_at: float = -math.inf
    closed_at: float = -math.inf  # calls begun before belong to the forgotten window

    def is_probed(self, now: float) -> bool:
        return self.probe is not None and now < self.probe.begun + PROBE_LEASE_S

    def state(self, now: float) -> State:
        if not self.opening:
            return "closed"
        return "half-open" if now >= self.retry_at or self.is_probed(now) else "open"

    def lets_through_at(self) -> float:
        """When the next caller may probe, if no verdict comes before."""
        leased = -math.inf if self.probe is None else self.probe.begun + PROBE_LEASE_S
        return max(self.retry_at, leased)

    def is_forgotten(self, now: float) -> bool:
        return self.opening != 0 and now >= self.retry_at + FORGOTTEN_AFTER_S

    def is_idle(self, now: float, window_s: float) -> bool:
        """Whether it says no more than a new one would."""
        if self.opening:
            return self.is_forgotten(now)
        self.window.expire(now, window_s)
        return not self.window.calls and now >= self.closed_at + window_s


class Breakers:
    """All breakers of one profile. Those that have nothing to say aren't kept, and never more than ``LIMIT``."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings  # may be replaced: what is open stays open
        self._breakers: dict[Key, _Breaker] = {}
        self._sweep_at = 64  # so many breakers make it worth looking for idle ones
        self._openings = 0

    def __len__(self) -> int:
        return len(self._breakers)

    # --- one call -----------------------------------------------------------------------------------------------------

    def begin(self, key: Key, now: float, *, forced: bool = False) -> Ticket | None:
        """The right to make one call; None while the breaker is open or its probe is under way.

        ``forced`` makes the probe of a breaker that ``last_resort`` names early. One at a time all the same. Whoever
        has a ticket must ``record`` or ``abandon`` it.
        """
        breaker = self._breakers.get(key)
        if breaker is None or not breaker.opening or breaker.is_forgotten(now):
            return Ticket(key, now)
        early = forced and now >= breaker.forced_again_at
        if breaker.is_probed(now) or not (early or now >= breaker.retry_at):
            return None
        breaker.probe = Ticket(key, now, breaker.opening)
        return breaker.probe

    def record(self, ticket: Ticket, now: float, weight: float, *, retry_after_s: float | None = None) -> Change | None:
        """How a call ended: SUCCESS, SOFT_FAILURE or FAILURE. The transition, if that made one.

        ``retry_after_s``, the wait a failing provider asked for, may lengthen the cooldown to at most ``MAX_WAIT_S``.
        An ordinary call that began before its breaker opened is counted and changes nothing else.
        """
        if ticket._spent:
            return None
        ticket._spent = True
        breaker = self._breakers.get(ticket.key)
        if breaker is None or (breaker.opening and breaker.is_forgotten(now)):
            breaker = self._add(ticket.key, now)
        elif ticket.begun < breaker.closed_at:
            return None
        settings, window = self.settings, breaker.window
        window.add(now, weight, settings.window_s)
        if breaker.opening:
            if weight:
                breaker.failed_at = now
            if ticket._opening != breaker.opening:
                return None
            return self._judge(ticket, breaker, now, weight, retry_after_s)
        if not weight:
            return None
        breaker.failed_at = now
        window.expire(now, settings.window_s)
        # Divided, not multiplied: 7 / 100 is the same float as a ratio written 0.07, 0.07 * 100 isn't 7.
        if window.failures < settings.failures or window.failures / window.calls < settings.ratio:
            return None
        return self._open(ticket.key, breaker, now, retry_after_s)

    def abandon(self, ticket: Ticket, now: float) -> None:
        """The call ended and says nothing of its target: the client left, or was wrong, or too fast."""
        ticket._spent = True
        breaker = self._breakers.get(ticket.key)
        if breaker is not None and breaker.probe is ticket:
            breaker.probe = None

    def _judge(
        self, ticket: Ticket, breaker: _Breaker, now: float, weight: float, retry_after_s: float | None
    ) -> Change:
        """The verdict of a probe; also of one that was so slow that others began, or nobody would ever be heard."""
        if not weight:
            self._breakers[ticket.key] = _Breaker(failed_at=breaker.failed_at, closed_at=now)
            return Change(ticket.key, breaker.state(now), "closed", None)
        if ticket.begun >= breaker.retry_at:
            breaker.doublings = min(breaker.doublings + 1, MAX_DOUBLINGS)
        else:  # a forced one cut the cooldown short, so that its failure is no reason for a longer one
            breaker.forced_again_at = now + FORCED_EVERY_S
        return self._open(ticket.key, breaker, now, retry_after_s)

    def _open(self, key: Key, breaker: _Breaker, now: float, retry_after_s: float | None) -> Change:
        before = breaker.state(now)
        wait_s = max(self._cooldown_s(breaker.doublings), min(retry_after_s or 0.0, MAX_WAIT_S))
        self._openings += 1
        breaker.opening = self._openings
        breaker.retry_at = max(breaker.retry_at, now + wait_s)
        breaker.probe = None
        return Change(key, before, "open", breaker.retry_at)

    def _cooldown_s(self, doublings: int) -> float:
        usual = self.settings.cooldown_s
        return min(usual * (1 << doublings), max(usual, MAX_WAIT_S))

    # --- looking ------------------------------------------------------------------------------------------------------

    def state(self, key: Key, now: float) -> State:
        breaker = self._find(key, now)
        return "closed" if breaker is None else breaker.state(now)

    def may_call(self, key: Key, now: float) -> bool:
        """Whether ``begin`` would give a ticket. Looking changes nothing."""
        breaker = self._find(key, now)
        return breaker is None or not breaker.opening or now >= breaker.lets_through_at()

    def retry_at(self, key: Key, now: float) -> float | None:
        """When a caller will be let through if nothing happens before; None where one would be now."""
        breaker = self._find(key, now)
        if breaker is None or not breaker.opening:
            return None
        at = breaker.lets_through_at()
        return at if at > now else None

    def last_resort(self, keys: Iterable[Key], now: float) -> Key | None:
        """The one to try when all are open: that failed longest ago, the first of equals. None of none, or where that
        one was tried so in vain within ``FORCED_EVERY_S``.

        A probe without a verdict when its lease is over counts as a failure then: who hangs isn't asked again first.
        """
        key = min(keys, key=lambda key: self._failed_at(key, now), default=None)
        breaker = None if key is None else self._breakers.get(key)
        return None if breaker is not None and now < breaker.forced_again_at else key

    def _failed_at(self, key: Key, now: float) -> float:
        breaker = self._find(key, now)
        if breaker is None:
            return -math.inf
        if breaker.probe is None or breaker.is_probed(now):
            return breaker.failed_at
        return max(breaker.failed_at, breaker.probe.begun + PROBE_LEASE_S)

    def rows(self, now: float) -> list[BreakerRow]:
        """Every breaker that is kept, by name."""
        self._forget_idle(now)
        return [
            BreakerRow(
                key,
                breaker.state(now),
                breaker.window.failures,
                breaker.window.calls,
                None if breaker.failed_at == -math.inf else breaker.failed_at,
                self.retry_at(key, now),
            )
            for key, breaker in sorted(self._breakers.items(), key=lambda item: item[0])
        ]

    def _find(self, key: Key, now: float) -> _Breaker | None:
        breaker = self._breakers.get(key)
        return None if breaker is None or breaker.is_forgotten(now) else breaker

    # --- keeping ------------------------------------------------------------------------------------------------------

    def reset(self, chosen: Key | str) -> list[Key]:
        """Close and forget one breaker, or those a pattern names (see ``names_target``). Returns which they were."""
        if isinstance(chosen, Key):
            found = [chosen] if chosen in self._breakers else []
        else:
            found = sorted(key for key in self._breakers if names_target(chosen, key.provider, key.model))
        for key in found:
            del self._breakers[key]
        return found

    def saved(self, now: float, wall_ms: int) -> list[SavedBreaker]:
        """The breakers that aren't closed, for ``restored``; ``wall_ms`` is the time of ``now`` in UTC."""
        return [
            SavedBreaker(
                *key,
                retry_at_ms=wall_ms + round((breaker.retry_at - now) * 1000),
                left_ms=round((breaker.retry_at - now) * 1000),
                doublings=breaker.doublings,
                failed_at_ms=wall_ms + round((breaker.failed_at - now) * 1000),
            )
            for key, breaker in self._breakers.items()
            if breaker.opening and not breaker.is_forgotten(now)
        ]

    def restored(self, rows: Iterable[SavedBreaker], now: float, wall_ms: int) -> int:
        """Open what was open before a restart, for what is left of its cooldown; returns how many.

        A wall clock that jumped between shortens the wait or leaves it; it never lengthens it. What is known already
        stays as it is.
        """
        count = 0
        for row in rows:
            key = Key(row.provider, row.model, row.key_name)
            since_ms = wall_ms - row.retry_at_ms
            if key in self._breakers or since_ms >= FORGOTTEN_AFTER_S * 1000:
                continue
            longest_s = max(self._cooldown_s(MAX_DOUBLINGS), MAX_WAIT_S)
            left_s = min(-since_ms / 1000, row.left_ms / 1000, longest_s)
            breaker = self._add(key, now)
            self._openings += 1
            breaker.opening = self._openings
            breaker.retry_at = now + left_s
            breaker.doublings = min(row.doublings, MAX_DOUBLINGS)
            breaker.failed_at = now - max(0, wall_ms - row.failed_at_ms) / 1000
            count += 1
        return count

    def _add(self, key: Key, now: float) -> _Breaker:
        if len(self._breakers) >= self._sweep_at:
            self._forget_idle(now)
        breaker = self._breakers[key] = _Breaker()
        return breaker

    def _forget_idle(self, now: float) -> None:
        """Forget what has nothing to say; where too much is left a tenth of it, too: the oldest, closed ones first."""
        window_s = self.settings.window_s
        for key in [key for key, breaker in self._breakers.items() if breaker.is_idle(now, window_s)]:
            del self._breakers[key]
        if len(self._breakers) >= LIMIT:
            by_worth = sorted(self._breakers.items(), key=lambda item: item[1].opening != 0)
            self._breakers = dict(by_worth[len(by_worth) - LIMIT * 9 // 10 :])
        self._sweep_at = min(LIMIT, max(64, 2 * len(self._breakers)))


def names_target(pattern: str, provider: str, model: str) -> bool:
    """Whether ``provider/model`` (either may be a glob), or ``provider`` for all its models, means this target."""
    wanted_provider, _, wanted_model = pattern.partition("/")
    return fnmatchcase(provider, wanted_provider) and fnmatchcase(model, wanted_model or "*")
