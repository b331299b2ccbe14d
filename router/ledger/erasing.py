"""Erasing what one profile did before some moment: its requests, their calls, and the sums that count them.

It goes in slices, each a transaction that leaves the ledger right, so that the one writer is never held for long, and
what an erasure that broke off has left is taken by the next. Other profiles' rows aren't touched. Requests that were
under way stay: they are written when they end, and counted.

A deleted row is overwritten (``secure_delete``), but pieces of rows may stand in pages where rows were moved. Only
rewriting the file (``compact``) leaves nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection
from typing import Final, NamedTuple, TypeVar

from router.ledger.periods import DAY_MS, HOUR_MS
from router.ledger.retention import SLICE, delete_slice
from router.ledger.store import Ledger
from router.ledger.sums import NAMES, OF_REQUESTS
from router.ledger.transaction import transaction

T = TypeVar("T")

QUICKLY: Final = 32 * 2**20
"""A file of so many bytes is rewritten in a moment: no longer than a request waits for its row to be committed."""

_TRIES, _PAUSE_S = 20, 0.25  # to empty the log, which waits for whoever reads what it was
_HOURS = DAY_MS // HOUR_MS


class Compacted(NamedTuple):
    """``rewritten``: the file holds nothing but rows that are there. ``emptied``: so does the log beside it, since
    nobody reads any more what was there before. ``problem``: why the file couldn't be rewritten."""

    rewritten: bool
    emptied: bool
    problem: str | None = None


async def erase(
    ledger: Ledger,
    profile: str,
    before_ms: int,
    *,
    also: Collection[str] = (),
    told: Callable[[int], object] = lambda count: None,
) -> int:
    """Erase what came before a moment; how many requests were still there one by one.

    ``also``: tables of ``belongings`` of which all the profile's rows go. ``told`` hears how many requests it has been.
    """

    async def run(job: Callable[[sqlite3.Connection], T]) -> T:
        began = time.perf_counter()
        result = await ledger.run(job)
        await asyncio.sleep(time.perf_counter() - began)  # half of the time is others'
        return result

    erased, count = 0, SLICE
    while count == SLICE:
        count = await run(lambda connection: delete_slice(connection, profile, before_ms, SLICE))
        erased += count
        told(erased)
    for day in await run(lambda connection: _days(connection, profile, before_ms)):
        await run(lambda connection: rebuild_day(connection, profile, day, before_ms))  # noqa: B023
        told(erased)
    await run(lambda connection: _erase_rest(connection, profile, before_ms, also))
    return erased


def _days(connection: sqlite3.Connection, profile: str, before_ms: int) -> list[int]:
    """The days of UTC that have sums to be erased."""
    rows = connection.execute(
        "SELECT DISTINCT day FROM rollup_day WHERE profile = ? AND day * ? < ? ORDER BY day",
        (profile, DAY_MS, before_ms),
    )
    return [day for (day,) in rows]


_NAMED = "profile, rule, rule_hash, kind, provider, model, client, key"
_AMOUNTS = ", ".join(NAMES)
_FROM_REQUESTS = f"""
    INSERT INTO rollup (hour, {_NAMED}, {_AMOUNTS})
    SELECT r.time_ms / {HOUR_MS}, r.profile, r.rule, r.rule_hash, r.kind, ifnull(r.provider, ''), ifnull(r.model, ''),
        r.client, ifnull(r.key, ''), {OF_REQUESTS}
    FROM requests r WHERE r.profile = ? AND r.time_ms >= ? AND r.time_ms < ? AND r.state = 'settled'
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""
_FROM_HOURS = f"""
    INSERT INTO rollup_day (day, {_NAMED}, {_AMOUNTS})
    SELECT hour / {_HOURS}, {_NAMED}, {", ".join(f"sum({name})" for name in NAMES)}
    FROM rollup WHERE profile = ? AND hour >= ? AND hour < ? GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""


def rebuild_day(connection: sqlite3.Connection, profile: str, day: int, before_ms: int) -> None:
    """Have a day's sums count what is left of it: of the hours before the moment, and of its own, the requests that are
    there."""
    first, end = day * _HOURS, (day + 1) * _HOURS
    until = min(end, -(-before_ms // HOUR_MS))
    with transaction(connection):
        connection.execute("DELETE FROM rollup WHERE profile = ? AND hour >= ? AND hour < ?", (profile, first, until))
        connection.execute(_FROM_REQUESTS, (profile, first * HOUR_MS, until * HOUR_MS))
        connection.execute("DELETE FROM rollup_day WHERE profile = ? AND day = ?", (profile, day))
        connection.execute(_FROM_HOURS, (profile, first, end))


def _erase_rest(connection: sqlite3.Connection, profile: str, before_ms: int, also: Collection[str]) -> None:
    with transaction(connection):
        connection.execute("DELETE FROM rules WHERE profile = ? AND last_ms < ?", (profile, before_ms))
        connection.execute("UPDATE rules SET first_ms = ?2 WHERE profile = ?1 AND first_ms < ?2", (profile, before_ms))
        for table in also:
            connection.execute(f"DELETE FROM {table} WHERE profile = ?", (profile,))


def under_way(connection: sqlite3.Connection, profile: str) -> int:
    """How many requests of a profile have not ended."""
    (count,) = connection.execute(
        "SELECT count(*) FROM requests WHERE state = 'open' AND profile = ?", (profile,)
    ).fetchone()
    return int(count)


# --- the file ---------------------------------------------------------------------------------------------------------


async def compact(ledger: Ledger, *, at_most: int | None = None) -> Compacted:
    """Rewrite the file, unless it has more than so many bytes, and empty its log. Nothing else is written meanwhile."""
    rewritten, problem = at_most is None or ledger.path.stat().st_size <= at_most, None
    if rewritten:
        try:
            await ledger.run(_rewrite)
        except sqlite3.OperationalError as error:  # it takes twice the file's room
            rewritten, problem = False, str(error)
    for _ in range(_TRIES):
        if await ledger.empty_log():
            return Compacted(rewritten, True, problem)
        await asyncio.sleep(_PAUSE_S)
    return Compacted(rewritten, False, problem)


def _rewrite(connection: sqlite3.Connection) -> None:
    connection.execute("VACUUM")
