"""The calls of past requests, and since when rules decided as they do now: what advice looks at beside the requests."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple


class PastCall(NamedTuple):
    """A call of a settled request to generate. ``verdict``, ``score`` and ``saving`` are those of a draft."""

    request_id: str
    number: int  # from 1
    role: str  # primary | retry | fallback | draft | verifier
    provider: str
    model: str
    error_class: str | None
    duration_ms: float | None
    cost_nano_usd: int | None
    verdict: str | None
    score: float | None
    saving_nano_usd: int | None


_CALLS = f"""
    SELECT {", ".join(f"a.{name}" for name in PastCall._fields)}
    FROM requests r JOIN attempts a ON a.request_id = r.id
    WHERE r.profile = ? AND r.time_ms >= ? AND r.time_ms < ? AND r.state = 'settled' AND r.kind = 'generate'
    ORDER BY r.time_ms, r.id, a.number
"""


def calls(connection: sqlite3.Connection, profile: str, since_ms: int, until_ms: int) -> Iterator[PastCall]:
    """A profile's calls, the oldest request's first."""
    return map(PastCall._make, connection.execute(_CALLS, (profile, since_ms, until_ms)))


def since_of_latest(
    connection: sqlite3.Connection, profile: str, since_ms: int, until_ms: int, most: int
) -> int | None:
    """When the first of a profile's latest so many settled requests to generate came; None if there are no more."""
    row = connection.execute(
        "SELECT time_ms FROM requests WHERE profile = ? AND time_ms >= ? AND time_ms < ? AND state = 'settled' "
        "AND kind = 'generate' ORDER BY time_ms DESC LIMIT 2 OFFSET ?",
        (profile, since_ms, until_ms, most - 1),
    ).fetchall()
    return row[0][0] if len(row) > 1 else None


def first_under(connection: sqlite3.Connection, profile: str, file_hash: str, since_ms: int) -> int | None:
    """When the first request came, since a moment, that a version of the profile's files decided."""
    row = connection.execute(
        "SELECT min(time_ms) FROM requests WHERE profile = ? AND time_ms >= ? AND file_hash = ?",
        (profile, since_ms, file_hash),
    ).fetchone()
    first: int | None = row[0]
    return first
