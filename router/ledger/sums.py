"""The queries behind a report: sums of one profile's requests, grouped by any dimensions.

Each gives ``(number of the stretch, the dimensions' columns, amounts)``; what a row is called is decided in
``reports.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, get_args

from router.ledger.periods import Cut, Stretch
from router.ledger.rule_rows import SeenRule

Dimension = Literal["rule", "model", "provider", "profile", "day", "client", "key", "tag", "conversation", "price"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

ID_SLACK_MS = 60_000  # a request's id and its time are taken one after the other
LATENCY_SAMPLE = 100_000  # the latest requests of a profile's period that p50 and p95 are taken from

# The same expressions serve the sums' tables and the requests. The day is the stretch, the profile a constant.
_COLUMNS: dict[Dimension, tuple[str, ...]] = {
    "rule": ("r.rule_hash", "r.rule"),
    "model": ("ifnull(r.model, '')",),
    "provider": ("ifnull(r.provider, '')",),
    "profile": (),
    "day": (),
    "client": ("r.client",),
    "key": ("ifnull(r.key, '')",),
    "tag": ("ifnull(r.tags, '')",),
    "conversation": ("ifnull(r.conversation, '')",),
    "price": ("ifnull(r.price_source, CASE WHEN r.attempts > 0 AND r.cost_nano_usd IS NULL THEN '?' ELSE '' END)",),
}
ONLY_IN_REQUESTS: frozenset[Dimension] = frozenset({"tag", "conversation", "price"})
DELETED = "(deleted)"  # in their place, of requests of which only sums are kept
_COUNTED = "r.kind IN ('generate', 'embed')"
SETTLED = f"{_COUNTED} AND r.state = 'settled'"


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over requests. Unknown amounts are not in them: ``no_usage`` and ``unpriced`` say how many are left out.

    ``input`` was read fresh, ``reasoning`` is a part of ``output``; ``cost`` is what was paid, ``list`` the list price.
    ``fallbacks`` are requests of which a call went to a next candidate, ``drafted`` those that a draft was asked for,
    ``attempts`` all calls. ``at_default`` requests, for which ``at_default_paid`` was paid, would have cost
    ``at_default_nano_usd`` at the profile's default; likewise at the model that was asked for. ``wasted`` is what calls
    cost that another one followed; of ``wasted_unknown`` such calls it isn't known. ``held`` is what budgets count
    beside the cost, for calls that may have been charged and whose cost nobody knows.
    """

    requests: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    no_usage: int = 0
    cost_nano_usd: int = 0
    list_nano_usd: int = 0
    unpriced: int = 0
    errors: int = 0
    fallbacks: int = 0
    attempts: int = 0
    drafted: int = 0
    at_default: int = 0
    at_default_nano_usd: int = 0
    at_default_paid_nano_usd: int = 0
    at_requested: int = 0
    at_requested_nano_usd: int = 0
    at_requested_paid_nano_usd: int = 0
    wasted_nano_usd: int = 0
    wasted_unknown: int = 0
    held_nano_usd: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in NAMES))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) - getattr(other, name) for name in NAMES))

    @property
    def tokens_in(self) -> int:
        """All input: fresh, read from a cache and written to one."""
        return self.input + self.cache_read + self.cache_write

    @property
    def answered(self) -> int:
        """Requests that didn't fail: those that can be compared, if enough is known of them."""
        return self.requests - self.errors


NAMES = tuple(f.name for f in fields(Sums))
_OF_SUMS = ", ".join(f"sum(r.{name})" for name in NAMES)
# One request's part in each, as ``writing.rollup_amounts`` has it.
OF_REQUESTS = ", ".join(
    f"ifnull(sum({amount}), 0)"
    for amount in (
        "1",
        "r.input",
        "r.cache_read",
        "ifnull(r.cache_write, 0) + ifnull(r.cache_write_1h, 0)",
        "r.output",
        "r.reasoning",
        "r.attempts > 0 AND r.input IS NULL AND r.output IS NULL",
        "r.cost_nano_usd",
        "r.list_nano_usd",
        "r.attempts > 0 AND r.cost_nano_usd IS NULL",
        "r.outcome NOT IN ('ok', 'client-gone')",
        "r.attempts > 1 AND EXISTS (SELECT 1 FROM attempts a WHERE a.request_id = r.id AND a.role = 'fallback')",
        "r.attempts",
        "EXISTS (SELECT 1 FROM attempts a INDEXED BY attempts_draft WHERE a.request_id = r.id AND a.role = 'draft')",
        *(
            amount
            for elsewhere in ("r.at_default_nano_usd", "r.at_requested_nano_usd")
            for amount in (
                f"{elsewhere} IS NOT NULL AND r.cost_nano_usd IS NOT NULL",
                f"CASE WHEN r.cost_nano_usd IS NOT NULL THEN {elsewhere} END",
                f"CASE WHEN {elsewhere} IS NOT NULL THEN r.cost_nano_usd END",
            )
        ),
        *(
            f"CASE WHEN r.attempts > 1 THEN "
            f"(SELECT sum({amount}) FROM attempts a WHERE a.request_id = r.id AND a.number < r.attempts) END"
            for amount in ("a.cost_nano_usd", "a.cost_nano_usd IS NULL")
        ),
        "r.held_nano_usd",
    )
)

_REJECTED = "d.verdict IS NOT 'accepted'"
_OF_DRAFTS = ", ".join(
    (
        "count(*)",
        f"sum({_REJECTED})",
        f"ifnull(sum(CASE WHEN {_REJECTED} THEN d.cost_nano_usd END), 0)",
        "ifnull(sum(d.saving_nano_usd), 0)",
        "sum(d.saving_nano_usd IS NULL)",
        f"sum({_REJECTED} AND d.cost_nano_usd IS NULL)",
    )
)


class Latency(NamedTuple):
    """How long answered requests took in all, and how many of them (the latest) were looked at."""

    p50_ms: float
    p95_ms: float
    requests: int


class DraftSums(NamedTuple):
    """Drafts of cascades: all; those that no client got, and what these cost; what all saved, less than 0 at a loss.

    Of ``unknown`` ones the saving isn't known, of ``waste_unknown`` ones that no client got the cost; it is left out.
    """

    drafts: int = 0
    rejected: int = 0
    waste_nano_usd: int = 0
    saving_nano_usd: int = 0
    unknown: int = 0
    waste_unknown: int = 0

    def plus(self, other: DraftSums) -> DraftSums:
        return DraftSums(*(a + b for a, b in zip(self, other, strict=True)))


NO_DRAFTS = DraftSums()


class CacheLoss(NamedTuple):
    """Prompt caches that conversations left: by how many requests, how many tokens, what that cost.

    Of ``unknown`` requests the cost isn't known and left out.
    """

    requests: int = 0
    tokens: int = 0
    cost_nano_usd: int = 0
    unknown: int = 0

    def plus(self, other: CacheLoss) -> CacheLoss:
        return CacheLoss(*(a + b for a, b in zip(self, other, strict=True)))


NO_LOSS = CacheLoss()


@dataclass(frozen=True, slots=True)
class Query:
    """One profile's requests within ``stretches`` (milliseconds), which ``cut`` is the division of.

    ``deleted``: what only requests know is ``DELETED`` in every row.
    """

    profile: str
    by: tuple[Dimension, ...]
    stretches: Sequence[Stretch]
    cut: Cut
    deleted: bool = False

    @property
    def columns(self) -> list[str]:
        """The dimensions' columns, in their order; a rule has two."""
        return [
            column
            for dimension in self.by
            for column in ((f"'{DELETED}'",) if self.deleted and dimension in ONLY_IN_REQUESTS else _COLUMNS[dimension])
        ]


Group = tuple[int, tuple[str, ...]]  # number of the stretch, values of the columns


def sums(connection: sqlite3.Connection, query: Query) -> Iterator[tuple[Group, Sums]]:
    """The sums of each group, in several parts: they are to be added up."""
    if ONLY_IN_REQUESTS.isdisjoint(query.by):
        yield from of_sums(connection, query)
        yield from of_requests(connection, query, query.cut.requests)
    else:
        yield from of_requests(connection, query, query.stretches)


def of_sums(connection: sqlite3.Connection, query: Query) -> Iterator[tuple[Group, Sums]]:
    """The sums of each group within the whole days and hours."""
    yield from _of(connection, query, "rollup_day", "day", _COUNTED, _OF_SUMS, query.cut.days)
    yield from _of(connection, query, "rollup", "hour", _COUNTED, _OF_SUMS, query.cut.hours)


def of_requests(
    connection: sqlite3.Connection, query: Query, stretches: Sequence[Stretch]
) -> Iterator[tuple[Group, Sums]]:
    """The sums of each group of the requests that are there."""
    yield from _of(connection, query, "requests", "time_ms", SETTLED, OF_REQUESTS, stretches)


def _of(
    connection: sqlite3.Connection,
    query: Query,
    table: str,
    unit: str,
    condition: str,
    amounts: str,
    stretches: Sequence[Stretch],
) -> Iterator[tuple[Group, Sums]]:
    if not stretches:
        return
    text = (
        f"{_with(stretches)} SELECT {', '.join(['stretch.number', *query.columns])}, {amounts} "
        f"FROM stretch CROSS JOIN {table} r WHERE r.profile = ? AND r.{unit} >= since AND r.{unit} < until "
        f"AND {condition} {_group_by(query)}"
    )
    width = 1 + len(query.columns)
    for row in connection.execute(text, (query.profile,)):
        yield (row[0], row[1:width]), Sums(*row[width:])


def durations(connection: sqlite3.Connection, query: Query) -> Iterator[tuple[int, tuple[str, ...], float]]:
    """``(time_ms, columns, duration_ms)`` of the latest answered requests."""
    since, until = query.stretches[0].since, query.stretches[-1].until
    text = (
        f"SELECT {', '.join(['r.time_ms', *query.columns])}, r.duration_ms FROM requests r WHERE r.profile = ? "
        f"AND r.time_ms >= ? AND r.time_ms < ? AND {SETTLED} AND r.outcome = 'ok' AND r.duration_ms IS NOT NULL "
        "ORDER BY r.time_ms DESC LIMIT ?"
    )
    for row in connection.execute(text, (query.profile, since, until, LATENCY_SAMPLE)):
        yield row[0], row[1:-1], row[-1]


def percentiles(values: list[float]) -> Latency | None:
    """Median and 95th percentile by nearest rank."""
    if not values:
        return None
    values = sorted(values)

    def at(percent: int) -> float:
        return values[max(0, -(-len(values) * percent // 100) - 1)]

    return Latency(at(50), at(95), len(values))


def drafts(connection: sqlite3.Connection, query: Query) -> Iterator[tuple[Group, DraftSums]]:
    """The drafts of each group."""
    if not query.stretches:
        return
    # A request's id begins with its time: only drafts of about the period are looked up among the requests.
    since, until = query.stretches[0].since - ID_SLACK_MS, query.stretches[-1].until + ID_SLACK_MS
    text = (
        f"{_with(query.stretches)} SELECT {', '.join(['stretch.number', *query.columns])}, {_OF_DRAFTS} "
        "FROM attempts d INDEXED BY attempts_draft CROSS JOIN requests r ON r.id = d.request_id CROSS JOIN stretch "
        "WHERE d.role = 'draft' AND d.request_id >= ? AND d.request_id < ? "
        "AND r.profile = ? AND r.time_ms >= since AND r.time_ms < until "
        f"AND {SETTLED} {_group_by(query)}"
    )
    width = len(DraftSums._fields)
    for row in connection.execute(text, (f"{max(0, since):012x}", f"{until:012x}", query.profile)):
        yield (row[0], row[1:-width]), DraftSums(*row[-width:])


def cache_losses(connection: sqlite3.Connection, query: Query) -> Iterator[tuple[Group, CacheLoss]]:
    """The prompt caches that each group left behind."""
    if not query.stretches:
        return
    text = (
        f"{_with(query.stretches)} SELECT {', '.join(['stretch.number', *query.columns])}, count(*), "
        "sum(r.cache_lost), ifnull(sum(r.cache_lost_nano_usd), 0), sum(r.cache_lost_nano_usd IS NULL) "
        "FROM stretch CROSS JOIN requests r INDEXED BY requests_cache_lost "
        "WHERE r.profile = ? AND r.time_ms >= since AND r.time_ms < until AND r.cache_lost IS NOT NULL "
        f"AND {SETTLED} {_group_by(query)}"
    )
    width = len(CacheLoss._fields)
    for row in connection.execute(text, (query.profile,)):
        yield (row[0], row[1:-width]), CacheLoss(*row[-width:])


def seen_rules(connection: sqlite3.Connection, profile: str) -> dict[str, SeenRule]:
    """Every rule's meaning that was ever used, by its hash."""
    rows = connection.execute("SELECT rule_hash, rule, first_ms, last_ms FROM rules WHERE profile = ?", (profile,))
    return {rule_hash: SeenRule(*rest) for rule_hash, *rest in rows}


def profiles(connection: sqlite3.Connection) -> list[str]:
    """The profiles with requests, by name; one look-up each, however many rows there are."""
    rows = connection.execute(
        "WITH RECURSIVE name(x) AS (SELECT min(profile) FROM rollup_day UNION ALL "
        "SELECT (SELECT min(profile) FROM rollup_day WHERE profile > x) FROM name WHERE x IS NOT NULL) "
        "SELECT x FROM name WHERE x IS NOT NULL"
    )
    return [profile for (profile,) in rows]


def hours(connection: sqlite3.Connection, profile: str) -> tuple[int, int] | None:
    """The first and the last hour (since 1970) in which a request of the profile was made."""
    row = connection.execute(
        "SELECT (SELECT min(hour) FROM rollup WHERE profile = ?1), (SELECT max(hour) FROM rollup WHERE profile = ?1)",
        (profile,),
    ).fetchone()
    return None if row[0] is None else (row[0], row[1])


def _with(stretches: Sequence[Stretch]) -> str:
    return f"WITH stretch(number, since, until) AS (VALUES {', '.join(str(tuple(map(int, s))) for s in stretches)})"


def _group_by(query: Query) -> str:
    return f"GROUP BY {', '.join(str(n + 1) for n in range(1 + len(query.columns)))}"
