"""How records become rows: the statements of one write transaction, run in the writer's thread.

Settling is idempotent: a request is settled once, from ``open``, and only that once is it added to the sums. So a
record may be written again after a crash or from the spill file without counting twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from router.ledger.entry import AttemptRecord, Intent, Settlement
from router.wire.usage import Usage

HOUR_MS = 3_600_000
HOURS_A_DAY = 24

_INTENT_COLUMNS = tuple(field.name for field in fields(Intent))
_INSERT_REQUEST = (
    f"INSERT INTO requests (state, {', '.join(_INTENT_COLUMNS)}) "
    f"VALUES ('open', {', '.join('?' * len(_INTENT_COLUMNS))}) "
    # A further call of the request: more is kept back for it.
    "ON CONFLICT (id) DO UPDATE SET held_nano_usd = excluded.held_nano_usd "
    "WHERE state = 'open' AND held_nano_usd IS NOT excluded.held_nano_usd"
)
_SETTLE_REQUEST = """
    UPDATE requests SET state = 'settled', outcome = ?, status = ?, error_class = ?, input = ?, cache_read = ?,
        cache_write = ?, cache_write_1h = ?, output = ?, reasoning = ?, usage_estimated = ?, cost_nano_usd = ?,
        list_nano_usd = ?, price_source = ?, first_byte_ms = ?, duration_ms = ?, attempts = ?,
        provider = coalesce(?, provider), model = coalesce(?, model), facts = coalesce(?, facts),
        estimated_input = coalesce(?, estimated_input), conversation = coalesce(?, conversation),
        cache_lost = coalesce(?, cache_lost), cache_lost_nano_usd = coalesce(?, cache_lost_nano_usd),
        dropped = ?, trace = ?, held_nano_usd = ?, at_default_nano_usd = coalesce(?, at_default_nano_usd),
        at_requested_nano_usd = coalesce(?, at_requested_nano_usd), baselines = coalesce(?, baselines)
    WHERE id = ? AND state = 'open'
    RETURNING time_ms, profile, rule, rule_hash, kind, provider, model, client, key,
        at_default_nano_usd, at_requested_nano_usd
"""
_HAS_REQUEST = "SELECT 1 FROM requests WHERE id = ?"
_INSERT_ATTEMPT = """
    INSERT INTO attempts (request_id, number, role, provider, model, key_name, time_ms, api, reserved_nano_usd, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open') ON CONFLICT (request_id, number) DO NOTHING
"""
_SETTLE_ATTEMPT = """
    INSERT INTO attempts (request_id, number, role, provider, model, key_name, time_ms, api, state, status, error_class,
        maybe_billed, first_byte_ms, duration_ms, input, cache_read, cache_write, cache_write_1h, output, reasoning,
        cost_nano_usd, list_nano_usd, price_source, usage_raw, response_id, verdict, score, saving_nano_usd,
        reserved_nano_usd)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'settled', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (request_id, number) DO UPDATE SET state = 'settled', status = excluded.status,
        error_class = excluded.error_class, maybe_billed = excluded.maybe_billed,
        first_byte_ms = excluded.first_byte_ms, duration_ms = excluded.duration_ms, input = excluded.input,
        cache_read = excluded.cache_read, cache_write = excluded.cache_write, cache_write_1h = excluded.cache_write_1h,
        output = excluded.output, reasoning = excluded.reasoning, cost_nano_usd = excluded.cost_nano_usd,
        list_nano_usd = excluded.list_nano_usd, price_source = excluded.price_source, usage_raw = excluded.usage_raw,
        response_id = excluded.response_id, verdict = excluded.verdict, score = excluded.score,
        saving_nano_usd = excluded.saving_nano_usd, reserved_nano_usd = excluded.reserved_nano_usd
    WHERE attempts.state = 'open'
"""
# A call that was announced and then not made, because its row couldn't be committed in time.
_FORGET_ATTEMPTS = "DELETE FROM attempts WHERE request_id = ? AND state = 'open'"
_SEE_RULE = """
    INSERT INTO rules (profile, rule_hash, rule, first_ms, last_ms) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (profile, rule_hash) DO UPDATE SET rule = excluded.rule,
        first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)
"""
_SET_FACTS = """
    UPDATE requests SET facts = ?, estimated_input = coalesce(?, estimated_input),
        conversation = coalesce(?, conversation), cache_lost = coalesce(?, cache_lost),
        cache_lost_nano_usd = coalesce(?, cache_lost_nano_usd)
    WHERE id = ?
"""
_COMPARED_BEFORE = """
    SELECT time_ms, profile, rule, rule_hash, kind, provider, model, client, key, state, cost_nano_usd,
        at_default_nano_usd, at_requested_nano_usd
    FROM requests WHERE id = ?
"""
_SET_BASELINES = """
    UPDATE requests SET at_default_nano_usd = ?, at_requested_nano_usd = ?, baselines = coalesce(baselines, ?)
    WHERE id = ?
"""


@dataclass(frozen=True, slots=True)
class Begin:
    """A request is about to be sent to a provider (or was refused: then without an attempt)."""

    intent: Intent
    attempt: AttemptRecord | None = None


@dataclass(frozen=True, slots=True)
class Annotate:
    """The recorded facts of a request (JSON text), found out after its reply, and what is known once its conversation
    is: what its move to another target lost of a prompt cache, and what it would have cost elsewhere."""

    request_id: str
    facts: str
    estimated_input: int | None = None
    conversation: str | None = None
    cache_lost: int | None = None
    cache_lost_nano_usd: int | None = None
    at_default_nano_usd: int | None = None
    at_requested_nano_usd: int | None = None
    baselines: str | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """A request has ended."""

    settlement: Settlement
    attempts: tuple[AttemptRecord, ...] = ()
    annotation: Annotate | None = None  # the facts, if they are known by then
    intent: Intent | None = None  # in case that its ``Begin`` comes later, or never


Record = Begin | Settle | Annotate


def request_of(record: Record) -> str:
    """The id of the request that a record is about."""
    match record:
        case Begin(intent):
            return intent.id
        case Settle(settlement):
            return settlement.id
        case Annotate(request_id):
            return request_id


class RollupKey(NamedTuple):
    """One line of the hourly sums."""

    hour: int
    profile: str
    rule: str
    rule_hash: str
    kind: str
    provider: str
    model: str
    client: str
    key: str


ROLLUP_SUMS = (
    "requests",
    "input",
    "cache_read",
    "cache_write",
    "output",
    "reasoning",
    "no_usage",
    "cost_nano_usd",
    "list_nano_usd",
    "unpriced",
    "errors",
    "fallbacks",
    "attempts",
    "drafted",
    "at_default",
    "at_default_nano_usd",
    "at_default_paid_nano_usd",
    "at_requested",
    "at_requested_nano_usd",
    "at_requested_paid_nano_usd",
    "wasted_nano_usd",
    "wasted_unknown",
    "held_nano_usd",
)
_COMPARED = slice(ROLLUP_SUMS.index("at_default"), ROLLUP_SUMS.index("at_requested_paid_nano_usd") + 1)


def _add_to(table: str, unit: str) -> str:
    """Add lines to a table of sums, whose rows are told apart by ``unit`` (hour or day) and the rest of the key."""
    keys = (unit, *RollupKey._fields[1:])
    return (
        f"INSERT INTO {table} ({', '.join((*keys, *ROLLUP_SUMS))}) "
        f"VALUES ({', '.join('?' * (len(keys) + len(ROLLUP_SUMS)))}) ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
        + ", ".join(f"{name} = {name} + excluded.{name}" for name in ROLLUP_SUMS)
    )


_ADD_TO_HOURS = _add_to("rollup", "hour")
_ADD_TO_DAYS = _add_to("rollup_day", "day")


def write_records(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    """Write a batch in one transaction; on an error nothing of it is written and the error is raised.

    Raises sqlite3.Error. ``connection`` must be in autocommit mode (``isolation_level=None``).
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        sums: dict[RollupKey, list[int]] = {}
        seen_rules: dict[tuple[str, str], tuple[str, int, int]] = {}
        for record in records:
            if isinstance(record, Begin):
                _begin(connection, record)
            elif isinstance(record, Settle):
                _settle(connection, record, sums, seen_rules)
            else:
                _annotate(connection, record, sums)
        connection.executemany(_ADD_TO_HOURS, ((*key, *values) for key, values in sums.items()))
        connection.executemany(
            _ADD_TO_DAYS, ((key.hour // HOURS_A_DAY, *key[1:], *values) for key, values in sums.items())
        )
        connection.executemany(
            _SEE_RULE, ((profile, rule_hash, *seen) for (profile, rule_hash), seen in seen_rules.items())
        )
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls back by itself on some errors (a full disk); a second ROLLBACK would be an error of its own.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _begin(connection: sqlite3.Connection, record: Begin) -> None:
    intent = record.intent
    connection.execute(_INSERT_REQUEST, tuple([getattr(intent, name) for name in _INTENT_COLUMNS]))
    a = record.attempt
    if a is not None:
        connection.execute(
            _INSERT_ATTEMPT,
            (a.request_id, a.number, a.role, a.provider, a.model, a.key_name, a.time_ms, a.api, a.reserved_nano_usd),
        )


def _settle(
    connection: sqlite3.Connection,
    record: Settle,
    sums: dict[RollupKey, list[int]],
    seen_rules: dict[tuple[str, str], tuple[str, int, int]],
) -> None:
    s = record.settlement
    note = record.annotation
    found = (None, None, None) if note is None else (note.facts, note.estimated_input, note.conversation)
    loss = s if s.cache_lost is not None or note is None else note
    values = (
        *(s.outcome, s.status, s.error_class, *_counts(s.usage), s.usage_estimated),
        *(s.cost_nano_usd, s.list_nano_usd, s.price_source, s.first_byte_ms, s.duration_ms, s.attempts),
        *(s.provider, s.model, *found, loss.cache_lost, loss.cache_lost_nano_usd, s.dropped, s.trace),
        *(s.held_nano_usd, s.at_default_nano_usd, s.at_requested_nano_usd, s.baselines, s.id),
    )
    row = connection.execute(_SETTLE_REQUEST, values).fetchone()
    if row is None and record.intent is not None and connection.execute(_HAS_REQUEST, (s.id,)).fetchone() is None:
        _begin(connection, Begin(record.intent))
        row = connection.execute(_SETTLE_REQUEST, values).fetchone()
    if row is None:  # settled already
        return
    for a in record.attempts:
        connection.execute(
            _SETTLE_ATTEMPT,
            (
                *(a.request_id, a.number, a.role, a.provider, a.model, a.key_name, a.time_ms, a.api),
                *(a.status, a.error_class),
                *(a.maybe_billed, a.first_byte_ms, a.duration_ms, *_counts(a.usage)),
                *(a.cost_nano_usd, a.list_nano_usd, a.price_source, a.usage_raw, a.response_id),
                *(a.verdict, a.score, a.saving_nano_usd, a.reserved_nano_usd),
            ),
        )
    if not record.attempts:
        connection.execute(_FORGET_ATTEMPTS, (s.id,))
    at_default, at_requested = row[-2:]  # from an annotation, if one was written before
    if (at_default, at_requested) != (s.at_default_nano_usd, s.at_requested_nano_usd):
        s = replace(s, at_default_nano_usd=at_default, at_requested_nano_usd=at_requested)
    _add(sums, row, rollup_amounts(replace(record, settlement=s)))
    time_ms, profile, rule, rule_hash, *_ = row
    _, first_ms, last_ms = seen_rules.get((profile, rule_hash), (rule, time_ms, time_ms))
    seen_rules[profile, rule_hash] = (rule, min(first_ms, time_ms), max(last_ms, time_ms))


def _annotate(connection: sqlite3.Connection, note: Annotate, sums: dict[RollupKey, list[int]]) -> None:
    """Add what was found out. Baselines are taken once: of a settled request they are added to the sums then."""
    facts = (note.facts, note.estimated_input, note.conversation)
    connection.execute(_SET_FACTS, (*facts, note.cache_lost, note.cache_lost_nano_usd, note.request_id))
    if note.baselines is None and note.at_default_nano_usd is None and note.at_requested_nano_usd is None:
        return
    row = connection.execute(_COMPARED_BEFORE, (note.request_id,)).fetchone()
    if row is None:
        return
    state, cost, *before = row[9:]
    after = [
        new if old is None else old
        for old, new in zip(before, (note.at_default_nano_usd, note.at_requested_nano_usd), strict=True)
    ]
    connection.execute(_SET_BASELINES, (*after, note.baselines, note.request_id))
    if state == "settled":
        more = [0] * len(ROLLUP_SUMS)
        more[_COMPARED] = [
            now - then for now, then in zip(_compared(after, cost), _compared(before, cost), strict=True)
        ]
        _add(sums, row, more)


def _add(sums: dict[RollupKey, list[int]], row: Sequence[Any], amounts: Sequence[int]) -> None:
    """Add amounts to the line of a request, whose row begins with what makes the key."""
    time_ms, profile, rule, rule_hash, kind, provider, model, client, key = row[:9]
    rollup_key = RollupKey(
        time_ms // HOUR_MS, profile, rule, rule_hash, kind, provider or "", model or "", client, key or ""
    )
    line = sums.setdefault(rollup_key, [0] * len(ROLLUP_SUMS))
    for position, amount in enumerate(amounts):
        line[position] += amount


def rollup_amounts(record: Settle) -> tuple[int, ...]:
    """What one settled request adds to the hourly sums, in the order of ``ROLLUP_SUMS``."""
    s = record.settlement
    u = s.usage or Usage()
    called = s.attempts > 0
    roles = {attempt.role for attempt in record.attempts}
    followed = [attempt.cost_nano_usd for attempt in record.attempts if attempt.number < s.attempts]
    return (
        1,
        u.input or 0,
        u.cache_read or 0,
        (u.cache_write or 0) + (u.cache_write_1h or 0),
        u.output or 0,
        u.reasoning or 0,
        int(called and u.input is None and u.output is None),
        s.cost_nano_usd or 0,
        s.list_nano_usd or 0,
        int(called and s.cost_nano_usd is None),
        int(s.outcome not in ("ok", "client-gone")),
        int("fallback" in roles),
        s.attempts,
        int("draft" in roles),
        *_compared((s.at_default_nano_usd, s.at_requested_nano_usd), s.cost_nano_usd),
        sum(cost or 0 for cost in followed),
        followed.count(None),
        s.held_nano_usd or 0,
    )


def _compared(elsewhere: Sequence[int | None], paid: int | None) -> list[int]:
    """For each place: how many requests can be compared (one or none), what they would have cost there, what they did
    cost."""
    each = ((0, 0, 0) if amount is None or paid is None else (1, amount, paid) for amount in elsewhere)
    return [number for three in each for number in three]


def _counts(usage: Usage | None) -> tuple[int | None, ...]:
    u = usage or Usage()
    return (u.input, u.cache_read, u.cache_write, u.cache_write_1h, u.output, u.reasoning)
