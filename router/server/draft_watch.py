"""Whether drafts pay: now and then the ledger is asked what each cascade has cost and saved.

A rule with ``pause-when-losing`` has no drafts while those of that time have cost more than they saved. Nothing else
ends the pause: when the losses are older than that, drafting begins again, and has to show once more that it pays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.errors import LedgerError
from router.ledger.reports import Reader
from router.profile.profile import Profile

if TYPE_CHECKING:
    from router.server.tenant import Tenant

log = logging.getLogger("router.server")

LOOK_S: Final = 60.0
USUAL_WINDOW_S: Final = 7 * 86400.0  # that is looked at where a rule doesn't pause by itself
FEWEST: Final = 20  # drafts of known saving; fewer say nothing


@dataclass(frozen=True, slots=True)
class Losing:
    """The drafts of a rule that have cost more than they saved. ``paused``: it has none for now."""

    rule: str  # its label
    drafts: int
    lost_nano_usd: int
    window_s: float
    paused: bool

    def __str__(self) -> str:
        lost = f"{self.drafts} drafts have cost ${self.lost_nano_usd / 1e9:.4f} more than they saved"
        return f"{lost} in {self.window_s / 86400:g} days" + (", so they are paused" if self.paused else "")


def losing(profile: Profile, reader: Reader, now_ms: int) -> dict[str, Losing]:
    """The rules whose drafts lose money, by hash: a rule that is changed starts anew. Raises LedgerError."""
    found: dict[str, Losing] = {}
    rules = {rule.label: rule for rule in profile.routes.all_rules()}
    windows = {each.pause_when_losing_s or USUAL_WINDOW_S for each in profile.cascades.values()}
    for window_s in windows:
        results = reader.draft_results(profile.name, now_ms - round(window_s * 1000))
        for label, cascade in profile.cascades.items():
            rule = rules.get(label)
            if rule is None or (cascade.pause_when_losing_s or USUAL_WINDOW_S) != window_s:
                continue
            sums = results.get(rule.hash)
            if sums is not None and sums.drafts - sums.unknown >= FEWEST and sums.saving_nano_usd < 0:
                paused = cascade.pause_when_losing_s is not None
                found[rule.hash] = Losing(label, sums.drafts, -sums.saving_nano_usd, window_s, paused)
    return found


async def look(tenant: Tenant, reader: Reader) -> None:
    """Bring a profile's knowledge of its drafts up to date, and tell what is new."""
    profile = tenant.profile
    if not profile.cascades:
        tenant.losing = {}
        return
    try:
        found = await asyncio.to_thread(losing, profile, reader, time.time_ns() // 1_000_000)
    except LedgerError as error:
        log.warning("profile %s: what drafts have saved can't be read: %s", tenant.name, error)
        return
    for rule_hash, each in found.items():
        known = tenant.losing.get(rule_hash)
        if known is None or known.paused != each.paused:
            log.warning("profile %s, rule %s: %s", tenant.name, each.rule, each)
    for rule_hash, known in tenant.losing.items():
        if rule_hash not in found:
            log.info("profile %s, rule %s: drafts no longer lose money", tenant.name, known.rule)
    tenant.losing = found


async def keep_looking(reader: Reader, tenants: Callable[[], Iterable[Tenant]]) -> None:
    """Look at all profiles again and again, for ever."""
    while True:
        for tenant in tuple(tenants()):
            await look(tenant, reader)
        await asyncio.sleep(LOOK_S)
