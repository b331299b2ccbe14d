"""Forgetting old requests: rows and their calls are deleted after a profile's time, in slices; sums are kept for ever.

Reports by rule, model, provider, client, key and day read the sums, so they stay whole. What only the rows know (tags,
conversations, durations, drafts, facts) goes with them; reports say so (``forgotten.py``). Whatever deletes requests
deletes the oldest first, since that is what they go by.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable

from router.ledger.store import Ledger
from router.ledger.transaction import transaction

log = logging.getLogger("router.ledger")

SLICE = 500  # requests in one transaction: a few milliseconds for whoever waits for a commit
PAUSE_S = 0.05  # between two slices
LOOK_S = 10.0  # how soon a changed retention is noticed
LOOKS_AN_HOUR = 360

Retention = Callable[[], Iterable[tuple[str, float]]]
"""The profiles with the seconds that each keeps its requests, as they are now."""


async def keep_forgetting(ledger: Ledger, retention: Retention) -> None:
    """Delete what is too old, now, every hour and whenever a profile keeps its requests for another time, for ever."""
    while True:
        kept = dict(retention())
        try:
            await forget(ledger, retention, time.time_ns() // 1_000_000)
        except sqlite3.Error as error:
            log.error("old requests could not be deleted: %s; trying again in an hour", error)
        for _ in range(LOOKS_AN_HOUR):
            await asyncio.sleep(LOOK_S)
            if dict(retention()) != kept:
                break


async def forget(ledger: Ledger, retention: Retention, now_ms: int, *, slice_: int = SLICE) -> int:
    """Delete what is older than each profile keeps, slice by slice; how many requests that were. A retention that
    changes meanwhile holds from the next slice on."""
    deleted = 0
    for profile, _ in list(retention()):
        of_profile = 0
        while (kept_s := dict(retention()).get(profile)) is not None:
            before_ms = now_ms - int(kept_s * 1000)
            count = await ledger.run(lambda connection: delete_slice(connection, profile, before_ms, slice_))  # noqa: B023
            of_profile += count
            if count < slice_:
                break
            await asyncio.sleep(PAUSE_S)
        if of_profile:
            log.info("profile %s: %d requests deleted after their time ([ledger] retention)", profile, of_profile)
        deleted += of_profile
    return deleted


def delete_slice(connection: sqlite3.Connection, profile: str, before_ms: int, limit: int) -> int:
    """Delete the oldest requests with their calls, so many at most; those under way are left alone. ``connection`` must
    be in autocommit mode."""
    with transaction(connection):
        ids = connection.execute(
            "SELECT id FROM requests WHERE profile = ? AND time_ms < ? AND state = 'settled' ORDER BY time_ms LIMIT ?",
            (profile, before_ms, limit),
        ).fetchall()
        connection.executemany("DELETE FROM attempts WHERE request_id = ?", ids)
        connection.executemany("DELETE FROM requests WHERE id = ?", ids)
    return len(ids)
