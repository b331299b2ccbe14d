"""Single requests, as the ledger keeps them: the latest ones, and one with all its calls."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

FAILED = "outcome NOT IN ('ok', 'client-gone')"  # as written here it is answered by the index requests_failed
_ID_DIGITS = 32
_RECENT = 500  # requests of a profile, to learn from
_RECENT_MS = 15 * 60_000  # a request that ended lately may have begun a while ago


@dataclass(frozen=True, slots=True)
class PastRequest:
    """A row of ``requests``, column by column."""

    id: str
    kind: str
    state: str
    time_ms: int
    profile: str
    rule: str
    rule_hash: str
    file_hash: str
    client: str
    key: str | None
    tags: str | None
    conversation: str | None
    api: str
    requested_model: str
    provider: str | None
    model: str | None
    stream: int
    reason: str
    status: int | None
    outcome: str | None
    error_class: str | None
    input: int | None
    cache_read: int | None
    cache_write: int | None
    cache_write_1h: int | None
    output: int | None
    reasoning: int | None
    estimated_input: int | None
    usage_estimated: int
    cost_nano_usd: int | None
    list_nano_usd: int | None
    price_source: str | None
    first_byte_ms: float | None
    duration_ms: float | None
    attempts: int
    facts: str | None
    dropped: str | None
    trace: str | None
    cache_lost: int | None
    cache_lost_nano_usd: int | None
    held_nano_usd: int | None
    charged_ms: int | None
    at_default_nano_usd: int | None
    at_requested_nano_usd: int | None
    baselines: str | None

    @property
    def failed(self) -> bool:
        """Whether it ended, and not well."""
        return self.outcome is not None and self.outcome not in ("ok", "client-gone")

    @property
    def tokens_in(self) -> int | None:
        """All input: fresh, read from a cache and written to one."""
        counts = [self.input, self.cache_read, self.cache_write, self.cache_write_1h]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """A row of ``attempts``, column by column."""

    request_id: str
    number: int
    role: str
    provider: str
    model: str
    key_name: str | None
    time_ms: int
    state: str
    status: int | None
    error_class: str | None
    maybe_billed: int
    first_byte_ms: float | None
    duration_ms: float | None
    input: int | None
    cache_read: int | None
    cache_write: int | None
    cache_write_1h: int | None
    output: int | None
    reasoning: int | None
    cost_nano_usd: int | None
    list_nano_usd: int | None
    price_source: str | None
    usage_raw: str | None
    response_id: str | None
    api: str | None
    verdict: str | None
    score: float | None
    saving_nano_usd: int | None
    reserved_nano_usd: int | None


class PastInput(NamedTuple):
    """What a target read, in tokens: as we estimated it, and all that its provider reported."""

    provider: str
    model: str
    estimated: int
    reported: int


class PastPrompt(NamedTuple):
    """All input of a conversation's request, in its target's tokens, and when it was answered."""

    conversation: str
    provider: str
    model: str
    tokens: int
    ended_ms: float


class PastKey(NamedTuple):
    """A client key without what it is: ``tail`` are its last four characters."""

    id: str
    profile: str
    name: str
    tail: str
    created_ms: int
    revoked_ms: int | None
    daily_usd: float | None
    monthly_usd: float | None


_ALL_INPUT = "input + ifnull(cache_read, 0) + ifnull(cache_write, 0) + ifnull(cache_write_1h, 0)"
_REQUEST = ", ".join(f"r.{f.name}" for f in fields(PastRequest))
_ATTEMPT = ", ".join(f.name for f in fields(PastAttempt))


def latest_requests(
    connection: sqlite3.Connection,
    *,
    profile: str | None,
    rule_hashes: Sequence[str] | None,
    failed: bool,
    limit: int,
    after: str | None,
) -> list[PastRequest]:
    """The latest requests, oldest first; with ``after`` those of a larger id (open ones too)."""
    # The rows come in the order of an index and the walk ends with the limit: by id, by profile, or by failure.
    where, values = ["1"], list[object]()
    order = "r.id DESC"
    if profile is not None:
        where.append("r.profile = ?")
        values.append(profile)
        order = "r.time_ms DESC, r.id DESC" if after is None else order
    if failed:
        where.append(f"r.{FAILED}")
        order = "r.time_ms DESC, r.id DESC" if after is None else order
    if rule_hashes is not None:
        where.append(f"r.rule_hash IN ({', '.join('?' * len(rule_hashes))})")
        values.extend(rule_hashes)
        if after is None:
            where.append(_within_use(len(rule_hashes), profile is not None))
            values.extend([*rule_hashes, *([profile] if profile is not None else [])])
    if after is not None:
        where.append("r.id > ?")
        values.append(after)
    return requests_where(connection, " AND ".join(where), values, order=order, limit=limit)[::-1]


def requests_where(
    connection: sqlite3.Connection, where: str, values: Sequence[object], *, order: str, limit: int
) -> list[PastRequest]:
    """The first requests ``r``, in some order, of which a condition holds."""
    rows = connection.execute(
        f"SELECT {_REQUEST} FROM requests r WHERE {where} ORDER BY {order} LIMIT ?", (*values, limit)
    )
    return [PastRequest(*row) for row in rows]


def _within_use(hashes: int, one_profile: bool) -> str:
    """A rule that hasn't fired for long is found at once: nothing later than its last use is looked at."""
    own = " AND profile = ?" if one_profile else ""
    return (
        f"r.time_ms <= (SELECT ifnull(max(last_ms), 0) FROM rules WHERE rule_hash IN ({', '.join('?' * hashes)}){own})"
    )


def rule_hashes(connection: sqlite3.Connection, label: str, profile: str | None) -> list[str]:
    """The meanings that have stood under a label."""
    rows = connection.execute(
        "SELECT DISTINCT rule_hash FROM rules WHERE rule = ? AND (profile = ? OR ? IS NULL)", (label, profile, profile)
    )
    return [rule_hash for (rule_hash,) in rows]


def one_request(connection: sqlite3.Connection, start: str) -> list[tuple[PastRequest, list[PastAttempt]]]:
    """The request of this id, or those (at most two) whose ids begin so, each with its calls."""
    low, high = start.ljust(_ID_DIGITS, "0"), start.ljust(_ID_DIGITS, "f")
    rows = connection.execute(f"SELECT {_REQUEST} FROM requests r WHERE id BETWEEN ? AND ? LIMIT 2", (low, high))
    return [(request, _attempts(connection, request.id)) for request in [PastRequest(*row) for row in rows]]


def _attempts(connection: sqlite3.Connection, request_id: str) -> list[PastAttempt]:
    rows: Iterable[tuple[object, ...]] = connection.execute(
        f"SELECT {_ATTEMPT} FROM attempts WHERE request_id = ? ORDER BY number", (request_id,)
    )
    return [PastAttempt(*row) for row in rows]  # type: ignore[arg-type]  # STRICT columns of the same names


def recent_inputs(connection: sqlite3.Connection, profile: str) -> list[PastInput]:
    """The inputs of a profile's last requests, as far as both counts are known, oldest first."""
    rows = connection.execute(
        f"SELECT provider, model, estimated_input, {_ALL_INPUT}"
        " FROM (SELECT * FROM requests WHERE profile = ? ORDER BY time_ms DESC LIMIT ?)"
        " WHERE kind = 'generate' AND outcome = 'ok' AND usage_estimated = 0"
        " AND provider IS NOT NULL AND model IS NOT NULL AND estimated_input IS NOT NULL AND input IS NOT NULL"
        " ORDER BY time_ms",
        (profile, _RECENT),
    )
    return [PastInput(*row) for row in rows]


def recent_prompts(connection: sqlite3.Connection, profile: str, now_ms: int) -> list[PastPrompt]:
    """The prompts of the requests that a profile has answered in the last minutes, oldest first."""
    rows = connection.execute(
        f"SELECT conversation, provider, model, {_ALL_INPUT}, time_ms + ifnull(duration_ms, 0) FROM requests "
        "WHERE profile = ? AND time_ms > ? AND kind = 'generate' AND outcome IN ('ok', 'client-gone') "
        "AND conversation IS NOT NULL AND provider IS NOT NULL AND model IS NOT NULL AND input IS NOT NULL "
        "ORDER BY time_ms",
        (profile, now_ms - _RECENT_MS),
    )
    return [PastPrompt(*row) for row in rows]


def last_seen(connection: sqlite3.Connection) -> dict[str, int]:
    """When each client sent its latest request: to the hour where only the sums have it."""
    rows = connection.execute(
        """
        WITH latest AS (SELECT client, profile, max(hour) * 3600000 AS hour_ms FROM rollup GROUP BY client, profile)
        SELECT client, max(ifnull(
            (SELECT max(time_ms) FROM requests
             WHERE profile = latest.profile AND time_ms >= hour_ms AND client = latest.client), hour_ms))
        FROM latest GROUP BY client
        """
    )
    return dict(rows)


def client_keys(connection: sqlite3.Connection, profile: str | None) -> list[PastKey]:
    """All client keys ever made, oldest first."""
    rows = connection.execute(
        f"SELECT {', '.join(PastKey._fields)} FROM keys WHERE profile = ? OR ? IS NULL ORDER BY created_ms, id",
        (profile, profile),
    )
    return [PastKey(*row) for row in rows]
