"""How much of the budgets would have been spent by then: what conditions on a budget's share see in a replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from router.ledger.traffic import PastExchange
from router.money.budget import PROFILE, Budgets, Limits, Scope
from router.profile.profile import Profile


class Spent(NamedTuple):
    """Nano-dollars of a day and of its month."""

    day: int = 0
    month: int = 0


class ReplayedSpending:
    """The budgets of a profile and of its client keys, by the clock of the replay.

    ``keys`` are the limits of the keys that have any, by name; ``before`` is what had been spent of the first request's
    day and month when it came.
    """

    def __init__(self, profile: Profile, keys: Mapping[str, Limits], before: Mapping[Scope, Spent]) -> None:
        limits = {Scope("key", name): of_key for name, of_key in keys.items()}
        if profile.budget is not None:
            limits[PROFILE] = Limits(profile.budget.daily_nano_usd, profile.budget.monthly_nano_usd)
        self._budgets = Budgets(profile.timezone, limits)
        self._before = {scope: spent for scope, spent in before.items() if scope in limits}
        self._now_ms = 0
        self._estimated = False  # whether estimates are among what was spent
        self.asked_estimate = False
        """Whether somebody has asked since the last request came, and was told an estimate."""

    def arrive(self, row: PastExchange, key: str | None) -> Callable[[int, bool], None]:
        """A request comes; returns what is to be told of it when it has ended: its cost, and whether that is an
        estimate."""
        self._now_ms = row.time_ms
        self.asked_estimate = False
        if not self._budgets:
            return _nobody_counts
        moment_ms = self._budgets.moment(row.time_ms)
        for scope, spent in self._before.items():
            self._budgets.window(scope, "day").spent += spent.day
            self._budgets.window(scope, "month").spent += spent.month
        self._before = {}
        charge = self._budgets.charge(row.id, moment_ms, _scopes(key))

        def end(nano_usd: int, estimated: bool) -> None:
            charge.conclude(nano_usd)
            self._estimated = self._estimated or estimated

        return end

    def used_share(self, key: str | None) -> float | None:
        """The spent share of the tightest limit for a request with this key; ``None`` without any."""
        if not self._budgets:
            return None
        self.asked_estimate = self._estimated
        return self._budgets.used_share(self._now_ms, _scopes(key))


def _scopes(key: str | None) -> tuple[Scope, ...]:
    return (PROFILE, Scope("key", key)) if key else (PROFILE,)


def _nobody_counts(nano_usd: int, estimated: bool) -> None:
    """There is no budget."""
