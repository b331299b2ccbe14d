"""The budgets of one profile at work: what its requests may spend, and what is said where they may not.

``money.budget`` has the windows. Here they get their limits (from the profile, its rules and its client keys), their
past (from the ledger), and every request its charge. A charge lives until its row is committed, so that the windows can
be added up anew at any time: what is known here and what the ledger has is counted once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from router.errors import BudgetExceeded, Unavailable
from router.ledger.budget_rows import Group, Past, past
from router.ledger.entry import Intent, Settlement
from router.ledger.store import Ledger
from router.money.budget import PERIODS, PROFILE, Budgets, Charge, Limits, Need, Scope, Window
from router.profile.profile import Profile
from router.routing.rules import Rule, Target
from router.server.alarm import Alarm
from router.server.budget_terms import Terms, belongs, budget_row, dollars, scopes_of, shown_moment, terms_of

log = logging.getLogger("router.server")

MOST_LATE: Final = 20_000
"""Charges whose rows weren't committed in time that are kept all the same: more than wait in the ledger's queue."""

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Short:
    """A call doesn't fit. ``degrade``: the budget that says where to go instead; ``error``: what to tell otherwise."""

    error: BudgetExceeded
    degrade: Scope | None = None


class Spending:
    """One profile's. ``now_ms`` is the clock, in milliseconds of UTC."""

    def __init__(self, profile: str, now_ms: Callable[[], int]) -> None:
        self.profile = profile
        self.terms: Mapping[Scope, Terms] = {}
        self.budgets = Budgets(ZoneInfo("UTC"), {})
        self.alarm = Alarm(profile)
        self._now_ms = now_ms
        self._charges: dict[str, Charge] = {}
        self._ended_elsewhere: dict[str, int] = {}  # requests of another process: ended, and not known to us before
        self._late: dict[str, None] = {}  # charges that are over and whose rows weren't committed in time
        self._loading = False
        self._handing_over: asyncio.Event | None = None
        self._retired = False
        self._warned: set[tuple[Scope, int, int]] = set()
        self._unpriced: set[str] = set()

    # --- taking up ------------------------------------------------------------------------------------------------

    async def use(self, profile: Profile, keys: Mapping[str, Limits], ledger: Ledger) -> None:
        """Put the budgets of a profile's version in force. Other limits hold at once; where there are other budgets or
        days the ledger is asked how they stand. Raises sqlite3.Error."""
        terms = terms_of(profile, keys)
        self.alarm.use(profile.budget)
        if self._same_windows(terms, profile.timezone):
            self._put_in_force(terms)
        else:
            await self._count(terms, profile.timezone, ledger)

    async def recount(self, ledger: Ledger) -> None:
        """Another process has spent meanwhile, and is gone. Raises sqlite3.Error."""
        if self.terms:
            await self._count(self.terms, self.budgets.zone, ledger)

    async def _count(self, terms: Mapping[Scope, Terms], zone: ZoneInfo, ledger: Ledger) -> None:
        self._loading = True
        try:
            known = self._charges.copy  # complete when it is called: between two batches of records
            mark_ms = self.budgets.mark_ms
            job = partial(past, profile=self.profile, zone=zone, mark_ms=mark_ms, known=known)
            self.load(await ledger.run(job), terms, zone)
        finally:
            self._loading = False

    def load(self, found: Past, terms: Mapping[Scope, Terms], zone: ZoneInfo) -> None:
        """Start from what the ledger has; what is known here comes on top of it."""
        limits = {scope: each.limits for scope, each in terms.items()}
        mark_ms = self.budgets.mark_ms
        self.budgets = budgets = Budgets(zone, limits, found.mark_ms)
        for scope in limits:
            for period in PERIODS:
                sums = found.sums[period].items()
                budgets.window(scope, period).spent = sum(nano for group, nano in sums if belongs(group, scope))
        for row in found.open:
            charge = Charge(row.id, row.moment_ms, scopes_of(row.of, limits))
            charge.reserve(Need(row.held_nano_usd, row.held_nano_usd))
            if (counted := self._ended_elsewhere.get(row.id)) is not None:
                charge.conclude(counted)
            self._charges.setdefault(row.id, charge)
        self._ended_elsewhere.clear()
        budgets.moment(mark_ms)  # a day may have begun meanwhile
        for charge in self._charges.values():
            budgets.place(charge)
        self.terms = terms
        self.alarm.loaded(self._standing_limits())

    def _same_windows(self, terms: Mapping[Scope, Terms], zone: ZoneInfo) -> bool:
        return terms.keys() == self.terms.keys() and (zone == self.budgets.zone or not terms)

    def _put_in_force(self, terms: Mapping[Scope, Terms]) -> None:
        self.terms = terms
        self.budgets.limit({scope: each.limits for scope, each in terms.items()})

    # --- requests -------------------------------------------------------------------------------------------------

    def open(self, request_id: str, time_ms: int, rule: Rule, key: str | None) -> Charge:
        """A request that came in at ``time_ms``, before its first call is made."""
        moment_ms = self.budgets.moment(time_ms)
        scopes = scopes_of(Group(rule.label, rule.hash, key or ""), self.terms)
        charge = self._charges[request_id] = self.budgets.charge(request_id, moment_ms, scopes)
        return charge

    def move(self, charge: Charge, rule: Rule, key: str | None) -> None:
        """A request that has made no call yet goes to another rule's targets."""
        charge.scopes = scopes_of(Group(rule.label, rule.hash, key or ""), self.terms)
        self.budgets.place(charge)

    def strict_for(self, charge: Charge) -> bool:
        """Whether the worst case of a request's calls is to be reserved: where one of its budgets is strict."""
        return any(self.terms[window.scope].strict for window in charge.windows if window.scope in self.terms)

    def take(self, charge: Charge, need: Need, *, rule: Rule, target: Target) -> Short | None:
        """Reserve what a call may cost, unless a budget keeps it from being made. ``rule`` is the one that it is called
        for. Nothing else happens in between."""
        blocking: list[Window] = []
        degrading: list[Window] = []
        unpriced = need.worst is None
        for window in charge.windows:
            terms = self.terms.get(window.scope)
            if terms is None or window.limit is None or (window.fits(need) and not (unpriced and terms.strict)):
                continue
            if terms.on_exceed == "warn":
                self._warn(window, "requests go on, as asked")
            elif terms.on_exceed == "degrade" and rule.kind != "degrade":
                degrading.append(window)
            elif terms.on_exceed == "degrade" and not terms.strict:
                self._warn(window, f"requests go to {target}, and cost beyond it")
            else:
                blocking.append(window)
        if blocking or degrading:
            window = max(blocking or degrading, key=lambda each: each.end_ms)
            if window.fits(need):
                why = f'there is no price for {target}, which a strict budget needs: write it under [prices."{target}"]'
            elif need.reserved > (window.limit or 0) > 0:
                why = (
                    f"this call alone may cost {dollars(need.reserved)} of {dollars(window.limit or 0)}; a lower limit "
                    "on its output (max_tokens) would help"
                )
            else:
                why = f"{self._stands(window, need)}; it resets at {shown_moment(window.end_ms, self.budgets.zone)}"
            error = self._exceeded(window, why)
            return Short(error, None if blocking else window.scope)
        if unpriced:
            self._note_unpriced(target)
        charge.reserve(need)
        return None

    def spent_by_others(self, rule: Rule) -> BudgetExceeded | None:
        """What keeps a target from being called for a rule whose own budget is spent, by a request that another rule
        has taken."""
        scope = Scope("rule", rule.label)
        terms = self.terms.get(scope)
        if terms is None or terms.on_exceed == "warn":
            return None
        for window in self.budgets.standing(self._now_ms(), (scope,)):
            if window.limit is not None and window.spent + window.reserved >= window.limit:
                reset = shown_moment(window.end_ms, self.budgets.zone)
                return self._exceeded(window, f"{self._stands(window, Need(None, None))}; it resets at {reset}")
        return None

    def close(self, charge: Charge, committed: asyncio.Future[bool]) -> None:
        """A request has ended, with all that it cost; ``committed``: whether its row is in the ledger in time."""
        self._end(charge)
        committed.add_done_callback(
            lambda done: self._committed(charge, in_time=not done.cancelled() and done.result())
        )

    def _end(self, charge: Charge) -> None:
        charge.over = True
        if charge.windows:
            self.alarm.look(window for window in charge.windows if window.limit is not None)

    def _committed(self, charge: Charge, *, in_time: bool) -> None:
        if in_time and not self._loading:
            self._charges.pop(charge.id, None)
            return
        self._late[charge.id] = None
        while len(self._late) > MOST_LATE and not self._loading:
            oldest = next(iter(self._late))
            del self._late[oldest]
            self._charges.pop(oldest, None)

    # --- handing over ---------------------------------------------------------------------------------------------

    def hand_over(self) -> None:
        """Another process is about to count on: strict budgets allow nothing more until it is clear who serves."""
        self._handing_over = asyncio.Event()

    def go_on(self) -> None:
        """It is this one after all."""
        self._decide(retired=False)

    def retire(self) -> None:
        """It is the other one."""
        self._decide(retired=True)

    def _decide(self, *, retired: bool) -> None:
        self._retired = retired
        if self._handing_over is not None:
            self._handing_over.set()
            self._handing_over = None

    async def opened(self, charge: Charge) -> None:
        """Wait until this process may reserve anything for a request. Raises Unavailable where another one counts on:
        clients find it when they ask again."""
        while (self._retired or self._handing_over is not None) and self.strict_for(charge):
            if self._handing_over is None:
                raise Unavailable("the router has been restarted; ask again", retry_after_s=1.0)
            await self._handing_over.wait()

    # --- another process' requests --------------------------------------------------------------------------------

    def begun_elsewhere(self, intent: Intent) -> None:
        """The process that this one replaces is about to make a call."""
        charge = self._charges.get(intent.id)
        if charge is None:
            moment_ms = intent.charged_ms or intent.time_ms
            self.budgets.moment(moment_ms)
            scopes = scopes_of(Group(intent.rule, intent.rule_hash, intent.key or ""), self.terms)
            charge = self._charges[intent.id] = self.budgets.charge(intent.id, moment_ms, scopes)
        if not charge.over:
            charge.conclude(0)
            charge.reserve(Need(intent.held_nano_usd or 0, intent.held_nano_usd or 0))

    def ended_elsewhere(self, settlement: Settlement) -> None:
        """A request of that process has ended: its cost takes the place of what was kept back for it, once."""
        counted = (settlement.cost_nano_usd or 0) + (settlement.held_nano_usd or 0)
        charge = self._charges.get(settlement.id)
        if charge is None:
            self._ended_elsewhere[settlement.id] = counted
        elif not charge.over:
            charge.conclude(counted)
            self._end(charge)
            self._committed(charge, in_time=False)

    def lost_elsewhere(self, request_id: str) -> None:
        """That process has died with a request: what was kept back for it is what it counts for."""
        charge = self._charges.get(request_id)
        if charge is not None and not charge.over:
            charge.conclude(None)
            self._end(charge)
            self._committed(charge, in_time=False)

    # --- telling --------------------------------------------------------------------------------------------------

    def used_share(self, key: str | None) -> float | None:
        """The spent share of the tightest of the profile's budget and the client key's."""
        if not self.terms:
            return None
        return self.budgets.used_share(self._now_ms(), (PROFILE, Scope("key", key or "")))

    def passed(self, charge: Charge) -> str:
        """The limits that are spent although a request goes on: ``profile day 104%``, empty for none."""
        return ", ".join(
            f"{window.scope} {window.period} {window.share:.0%}"
            for window in charge.windows
            if window.share is not None and window.spent + window.reserved > (window.limit or 0)
        )

    def rows(self) -> list[dict[str, object]]:
        """Every limit as the commands show it."""
        return [budget_row(window, self.budgets.zone, self.terms[window.scope]) for window in self._standing_limits()]

    def problem_lines(self) -> list[str]:
        """What a person should look at."""
        lines = [self.alarm.problem] if self.alarm.problem else []
        behind_ms = self.budgets.mark_ms - self._now_ms()
        if self.terms and behind_ms > _DAY_MS:
            lines.append(
                f"the clock is {behind_ms // _DAY_MS} days behind a request of this profile: its budgets stay in the "
                f"windows of {shown_moment(self.budgets.mark_ms, self.budgets.zone)} until then"
            )
        return lines

    def _standing_limits(self) -> Sequence[Window]:
        return list(self.budgets.standing(self._now_ms()))

    def _stands(self, window: Window, need: Need) -> str:
        """Why a call doesn't fit."""
        taken = window.spent + window.reserved
        limit = window.limit or 0
        if taken >= limit:
            what = "spent" if not window.reserved else "spent or kept back for requests under way"
            return f"{dollars(taken)} of {dollars(limit)} are {what}"
        return (
            f"{dollars(taken)} of {dollars(limit)} are spent or kept back, and this call may cost "
            f"{dollars(need.reserved)}"
        )

    def _exceeded(self, window: Window, why: str) -> BudgetExceeded:
        return BudgetExceeded(
            f"the budget of the {window.scope} for the {window.period} doesn't allow it: {why}",
            resets_at=datetime.fromtimestamp(window.end_ms / 1000, UTC),
            retry_after_s=max(1.0, (window.end_ms - self._now_ms()) / 1000),
        )

    def _warn(self, window: Window, what: str) -> None:
        """Tell that a budget is passed, once for each window."""
        once = (window.scope, PERIODS.index(window.period), window.start_ms)
        if once not in self._warned:
            self._warned = {old for old in self._warned if old[:2] != once[:2]} | {once}
            log.warning(
                "profile %s: the budget of the %s for the %s, %s, is spent; %s",
                *(self.profile, window.scope, window.period, dollars(window.limit or 0), what),
            )

    def _note_unpriced(self, target: Target) -> None:
        name = str(target)
        if name not in self._unpriced and len(self._unpriced) < 1000:  # clients may name any model
            self._unpriced.add(name)
            log.warning("profile %s: there is no price for %s: budgets can't count it", self.profile, name[:200])
