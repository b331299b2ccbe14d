"""Cooldowns: keys, models and keys for a model that are left alone until a time, and why.

A breaker guesses from failures that a target is ill. A cooldown needs no guess: the provider said when a limit resets,
or that it knows no such key or model. Nothing is tried before the time is over.

Pure: ``now`` and ``until`` are in seconds of a monotonic clock. The wall clock is only for what outlives the process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from router.health.breaker import names_target

LIMIT: Final = 10_000  # cooldowns of one profile
_SWEEP_S: Final = 60.0  # how often those that are over are looked for


class Cooldown(NamedTuple):
    """What is left alone: all models where ``model`` is None, all keys where ``key`` is; "" is a nameless key."""

    provider: str
    model: str | None
    key: str | None
    until: float
    reason: str  # a failure class or a few words, for people


class SavedCooldown(NamedTuple):
    """A cooldown as it is kept over a restart. ``until_ms`` is in milliseconds of UTC."""

    provider: str
    model: str | None
    key: str | None
    until_ms: int
    left_ms: int  # when it was saved
    reason: str


class Cooldowns:
    """All cooldowns of one profile. Those that are over go away by themselves; there are never more than ``LIMIT``."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str | None, str | None], Cooldown] = {}
        self._sweep_at = -math.inf

    def __len__(self) -> int:
        return len(self._kept)

    def put(
        self, provider: str, until: float, reason: str, *, key: str | None = None, model: str | None = None
    ) -> Cooldown:
        """Leave a key alone, a model, a key for a model, or with neither the provider. Returns what is in force.

        The longer one stays. A time that isn't finite is refused with ValueError.
        """
        if not math.isfinite(until):
            raise ValueError(f"a cooldown must end, got {until}")
        place = provider, model, key
        known = self._kept.get(place)
        if known is not None and known.until >= until:
            return known
        if known is None and len(self._kept) >= LIMIT:
            self._make_room()
        self._kept[place] = found = Cooldown(provider, model, key, until, reason)
        return found

    def until(self, provider: str, model: str, key: str, now: float) -> Cooldown | None:
        """The cooldown that keeps this target and key from being called the longest; None if none does."""
        if not self._kept:
            return None
        if now >= self._sweep_at:
            self._forget_past(now)
        latest = None
        for place in ((provider, None, key), (provider, model, None), (provider, model, key), (provider, None, None)):
            found = self._kept.get(place)
            if found is not None and found.until > (now if latest is None else latest.until):
                latest = found
        return latest

    def rows(self, now: float) -> list[Cooldown]:
        """What is left alone at ``now``, by name."""
        self._forget_past(now)
        return sorted(self._kept.values(), key=lambda row: (row.provider, row.model or "", row.key or ""))

    def reset(self, pattern: str, *, key: str | None = None) -> list[Cooldown]:
        """Forget the cooldowns a pattern names (see ``names_target``), only those of ``key`` where that is given.

        A pattern with a model leaves alone what is about all models. Returns what was forgotten.
        """
        found = [
            row
            for row in self._kept.values()
            if names_target(pattern, row.provider, row.model or "") and (key is None or key == row.key)
        ]
        for row in found:
            del self._kept[row[:3]]
        return found

    def saved(self, now: float, wall_ms: int) -> list[SavedCooldown]:
        """All cooldowns, for ``restored``; ``wall_ms`` is the time of ``now`` in UTC."""
        return [
            SavedCooldown(row.provider, row.model, row.key, wall_ms + left_ms, left_ms, row.reason)
            for row in self.rows(now)
            if (left_ms := round((row.until - now) * 1000)) > 0
        ]

    def restored(self, rows: Iterable[SavedCooldown], now: float, wall_ms: int) -> int:
        """Go on with what was left alone before a restart; returns how many cooldowns aren't over.

        A wall clock that jumped between shortens the rest or leaves it; it never lengthens it.
        """
        count = 0
        for row in rows:
            left_ms = min(row.until_ms - wall_ms, row.left_ms)
            if left_ms > 0:
                self.put(row.provider, now + left_ms / 1000, row.reason, key=row.key, model=row.model)
                count += 1
        return count

    def _forget_past(self, now: float) -> None:
        self._kept = {place: row for place, row in self._kept.items() if row.until > now}
        self._sweep_at = now + _SWEEP_S

    def _make_room(self) -> None:
        """Forget a tenth: those that are over first or will be."""
        by_end = sorted(self._kept.items(), key=lambda item: item[1].until)
        self._kept = dict(by_end[len(by_end) - LIMIT * 9 // 10 :])
