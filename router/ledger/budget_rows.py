"""What budgets count of the past: the sums of the current day and month, and the requests that are still open.

A request counts at ``charged_ms`` where it has one, else at ``time_ms``: what it cost, and what was kept back for calls
whose cost nobody knows. ``charged_ms`` is never before ``time_ms``, so the hourly sums, which know only ``time_ms``,
are right but for the few requests that were moved into a window.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from router.ledger.periods import DAY_MS, HOUR_MS
from router.money.budget import PERIODS, Period, bounds


class Group(NamedTuple):
    """Whose requests they are."""

    rule: str
    rule_hash: str
    key: str  # empty for none


class OpenRequest(NamedTuple):
    """A request that another process has under way."""

    id: str
    moment_ms: int
    of: Group
    held_nano_usd: int


@dataclass(frozen=True, slots=True)
class Past:
    """``mark_ms``: when the latest request counts. ``sums``: nano-dollars by group, of the windows of that moment."""

    mark_ms: int
    sums: Mapping[Period, Mapping[Group, int]]
    open: tuple[OpenRequest, ...]


def past(
    connection: sqlite3.Connection,
    profile: str,
    zone: ZoneInfo,
    mark_ms: int,
    known: Callable[[], Collection[str]] = tuple,
) -> Past:
    """Add up a profile's windows, without the requests that are ``known`` already; it is asked for them first.

    ``mark_ms``: the latest moment that is known without the ledger. The clock isn't asked: it may be ahead, and the
    windows of a later moment are opened, empty, by the first request that comes in then."""
    ids = json.dumps(list(known()))
    mark_ms = max(mark_ms, _latest_ms(connection, profile))
    starts = {period: bounds(period, mark_ms, zone)[0] for period in PERIODS}
    sums = {period: _sums(connection, profile, start, ids) for period, start in starts.items()}
    return Past(mark_ms, sums, tuple(_open(connection, profile, ids)))


def _latest_ms(connection: sqlite3.Connection, profile: str) -> int:
    (latest,) = connection.execute(
        "SELECT max("
        "ifnull((SELECT max(time_ms) FROM requests WHERE profile = ?1), 0), "
        "ifnull((SELECT max(charged_ms) FROM requests WHERE profile = ?1 AND charged_ms IS NOT NULL), 0), "
        f"ifnull((SELECT max(hour) FROM rollup WHERE profile = ?1), 0) * {HOUR_MS})",
        (profile,),
    ).fetchone()
    return int(latest)


_SUMS = """
    SELECT rule, rule_hash, key, sum(cost_nano_usd + held_nano_usd)
    FROM rollup_day WHERE profile = :profile AND day >= :day GROUP BY 1, 2, 3
    UNION ALL
    SELECT rule, rule_hash, key, sum(cost_nano_usd + held_nano_usd)
    FROM rollup WHERE profile = :profile AND hour >= :hour AND hour < :hours_end GROUP BY 1, 2, 3
    UNION ALL
    SELECT rule, rule_hash, ifnull(key, ''), ifnull(cost_nano_usd, 0) + ifnull(held_nano_usd, 0)
    FROM requests INDEXED BY requests_by_profile
    WHERE profile = :profile AND time_ms >= :since AND time_ms < :requests_end AND state = 'settled'
    UNION ALL
    SELECT rule, rule_hash, ifnull(key, ''), ifnull(cost_nano_usd, 0) + ifnull(held_nano_usd, 0)
    FROM requests INDEXED BY requests_charged
    WHERE profile = :profile AND charged_ms >= :since AND charged_ms IS NOT NULL AND time_ms < :since
        AND state = 'settled'
    UNION ALL
    SELECT rule, rule_hash, ifnull(key, ''), -ifnull(cost_nano_usd, 0) - ifnull(held_nano_usd, 0) FROM requests
    WHERE id IN (SELECT value FROM json_each(:known)) AND profile = :profile AND state = 'settled'
        AND ifnull(charged_ms, time_ms) >= :since
"""


def _sums(connection: sqlite3.Connection, profile: str, since_ms: int, known: str) -> Mapping[Group, int]:
    first_hour = -(-since_ms // HOUR_MS)
    first_day = -(-since_ms // DAY_MS)
    found: Counter[Group] = Counter()
    for rule, rule_hash, key, nano in connection.execute(
        _SUMS,
        {
            "profile": profile,
            "known": known,
            "day": first_day,
            "hour": first_hour,
            "hours_end": first_day * DAY_MS // HOUR_MS,
            "since": since_ms,
            "requests_end": first_hour * HOUR_MS,
        },
    ):
        found[Group(rule, rule_hash, key)] += nano
    return found


def _open(connection: sqlite3.Connection, profile: str, known: str) -> list[OpenRequest]:
    rows = connection.execute(
        "SELECT id, ifnull(charged_ms, time_ms), rule, rule_hash, ifnull(key, ''), ifnull(held_nano_usd, 0) "
        "FROM requests WHERE state = 'open' AND profile = ? AND id NOT IN (SELECT value FROM json_each(?))",
        (profile, known),
    )
    return [OpenRequest(id_, moment, Group(*of), held) for id_, moment, *of, held in rows]
