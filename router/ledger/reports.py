"""What the ledger says, for commands, HTTP and web: read only, through a connection of its own per call.

Sums over whole days and hours come from the daily and hourly sums, which the writer keeps exact; only the rest at the
ends of a period, and what the sums don't know (tags, conversations, durations), is read from the requests. Both ways
count settled requests of the kinds generate and embed. The counterpart that writes is ``writing.py``.
"""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, tzinfo
from itertools import chain
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

from router.errors import ConfigError, LedgerError, Unavailable
from router.ledger import exporting, forgotten, health_rows, history, past_calls, profile_states, sums, traffic
from router.ledger.billed_calls import BilledCalls, on_the_books
from router.ledger.budget_rows import Past, past
from router.ledger.exporting import Exported, Place
from router.ledger.forgotten import NONE_FORGOTTEN, Forgotten
from router.ledger.health_rows import SavedHealth
from router.ledger.history import PastAttempt, PastInput, PastKey, PastRequest
from router.ledger.migrations import MIGRATIONS
from router.ledger.past_calls import PastCall
from router.ledger.periods import BEGINNING, END, HOUR_MS, Days, Stretch, cut
from router.ledger.rule_rows import CurrentRule, Order, RuleRows
from router.ledger.selecting import Selection, select
from router.ledger.sums import DIMENSIONS, NO_DRAFTS, NO_LOSS, CacheLoss, Dimension, DraftSums, Latency, Query, Sums
from router.ledger.traffic import PastExchange

_CHECK_EVERY = 20_000  # SQLite instructions between two looks at the clock
Keys = tuple[str, ...]

__all__ = [
    "DIMENSIONS", "CacheLoss", "CurrentRule", "Dimension", "DraftSums", "Latency", "PastAttempt", "PastKey",
    "PastRequest", "Reader", "Report", "Row", "Scope", "Selection", "Sums",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose requests a report is about, and when. ``rules`` are the profile's rules as they are now."""

    profile: str
    since_ms: int = BEGINNING
    until_ms: int = END
    zone: tzinfo = UTC
    rules: tuple[CurrentRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One line: ``keys`` has the shown value of each dimension ("" where a request has none)."""

    keys: tuple[str, ...]
    sums: Sums
    latency: Latency | None = None
    drafts: DraftSums = NO_DRAFTS
    cache_loss: CacheLoss = NO_LOSS


@dataclass(frozen=True, slots=True)
class Report:
    """Rows in the order they are shown. ``total`` counts a request once, also where two tags list it twice.

    ``latency``, ``drafts`` and ``cache_loss`` are there only in detail, and only of requests that aren't among the
    ``forgotten``. ``first_ms`` is the hour of the profiles' first request ever.
    """

    by: tuple[Dimension, ...]
    rows: tuple[Row, ...]
    total: Row
    first_ms: int | None = None
    forgotten: Forgotten = NONE_FORGOTTEN


class Reader:
    """Reports from the ledger at ``path``; one that doesn't exist yet is an empty one.

    ``limit_s`` cuts a call off after so many seconds with Unavailable: for the server, whose worker threads are few.
    Raises LedgerError where the file can't be read.
    """

    def __init__(self, path: Path, *, limit_s: float | None = None) -> None:
        self.path = path
        self.limit_s = limit_s

    def usage(
        self,
        scopes: Sequence[Scope],
        by: Sequence[Dimension] = ("rule",),
        *,
        detail: bool = False,
        losses: bool = False,
        now_ms: int | None = None,
    ) -> Report:
        """Sums of the scopes' requests by any dimensions, each profile in its own period and timezone.

        ``detail`` adds durations, drafts and lost prompt caches, which only single requests have: it takes longer.
        ``losses`` adds the lost prompt caches alone.
        """
        tally = _Tally(tuple(by))
        first: list[int] = []
        with self._open() as connection:
            for scope in scopes:
                lived = sums.hours(connection, scope.profile)
                if lived is not None:
                    first.append(lived[0] * HOUR_MS)
                tally.add(connection, scope, lived, _now_ms() if now_ms is None else now_ms, detail, losses or detail)
        return tally.report(min(first, default=None))

    def by_rule(
        self,
        profile: str,
        since_ms: int = BEGINNING,
        until_ms: int = END,
        *,
        rules: Sequence[CurrentRule] = (),
        zone: tzinfo = UTC,
        detail: bool = False,
        now_ms: int | None = None,
    ) -> Report:
        """One profile's sums by rule; every row's only key is the rule's name."""
        return self.usage([Scope(profile, since_ms, until_ms, zone, tuple(rules))], detail=detail, now_ms=now_ms)

    def spent(self, profile: str, since_ms: int = BEGINNING, until_ms: int = END) -> Sums:
        """One profile's sums since a moment, such as the beginning of a budget's day or month."""
        return self.usage([Scope(profile, since_ms, until_ms)], by=()).total.sums

    def budget_past(self, profile: str, zone: ZoneInfo, mark_ms: int) -> Past:
        """What budgets of a profile count today and this month."""
        with self._open() as connection:
            return past(connection, profile, zone, mark_ms)

    def draft_results(self, profile: str, since_ms: int) -> dict[str, DraftSums]:
        """What drafts have cost and saved since a moment, by the hash of their rule."""
        found: defaultdict[str, DraftSums] = defaultdict(DraftSums)
        stretches = [Stretch(0, since_ms, END)]
        with self._open() as connection:
            for (_, (rule_hash, _)), some in sums.drafts(
                connection, Query(profile, ("rule",), stretches, cut(stretches))
            ):
                found[rule_hash] = found[rule_hash].plus(some)
        return dict(found)

    def latest(
        self,
        *,
        profile: str | None = None,
        rule: str | None = None,
        failed: bool = False,
        limit: int = 20,
        after: str | None = None,
    ) -> list[PastRequest]:
        """The latest requests, oldest first; with ``after`` (an id) those that came later, unfinished ones too."""
        with self._open() as connection:
            hashes = None if rule is None else history.rule_hashes(connection, rule, profile)
            return history.latest_requests(
                connection, profile=profile, rule_hashes=hashes, failed=failed, limit=limit, after=after
            )

    def matching(
        self, scopes: Sequence[Scope], selection: Selection, *, limit: int, now_ms: int | None = None
    ) -> list[PastRequest]:
        """The latest of the scopes' requests that are selected, oldest first."""
        now = _now_ms() if now_ms is None else now_ms
        found: list[PastRequest] = []
        with self._open() as connection:
            for scope in scopes:
                found += select(
                    connection,
                    scope.profile,
                    scope.since_ms,
                    scope.until_ms,
                    selection,
                    rules=scope.rules,
                    zone=scope.zone,
                    now_ms=now,
                    limit=limit,
                )
        return sorted(found, key=lambda request: (request.time_ms, request.id))[-limit:]

    def request(self, request_id: str) -> tuple[PastRequest, list[PastAttempt]]:
        """One request with its calls, by its id or the beginning of it. Raises ConfigError if there isn't just one."""
        with self._open() as connection:
            found = history.one_request(connection, request_id.lower())
        if not found:
            raise ConfigError(f'no request with the id "{request_id}" is in {self.path}; see `router requests`')
        if len(found) > 1:
            raise ConfigError(f'several requests have an id that begins with "{request_id}"; give more of it')
        return found[0]

    def client_keys(self, profile: str | None = None) -> list[PastKey]:
        """All client keys ever made, oldest first, without what they are."""
        with self._open() as connection:
            return history.client_keys(connection, profile)

    def last_seen(self) -> dict[str, int]:
        """When each client sent its latest request, in milliseconds."""
        with self._open() as connection:
            return history.last_seen(connection)

    def left_alone(self, profile: str | None = None) -> dict[str, SavedHealth]:
        """What profiles left alone when that changed last, by profile; some of it may be over."""
        with self._open() as connection:
            names = health_rows.profiles(connection) if profile is None else [profile]
            return {name: health_rows.load(connection, name) for name in names}

    def ports(self) -> dict[str, int]:
        """The port that each profile with an automatic one had last."""
        with self._open() as connection:
            return profile_states.ports(connection)

    def disabled(self) -> set[str]:
        """The profiles that are disabled."""
        with self._open() as connection:
            return profile_states.disabled(connection)

    def recent_inputs(self, profile: str) -> list[PastInput]:
        """The inputs of a profile's last requests, estimated and reported, oldest first."""
        with self._open() as connection:
            return history.recent_inputs(connection, profile)

    def tags(self, profile: str | None = None, among: int = 10_000) -> list[str]:
        """The tags of the latest requests, by name."""
        return sorted(
            {tag for request in self.latest(profile=profile, limit=among) for tag in (request.tags or "").split()}
        )

    def rules(self, profile: str) -> list[str]:
        """The labels of all rules that were ever used, by name."""
        with self._open() as connection:
            return sorted({rule.label for rule in sums.seen_rules(connection, profile).values()})

    def traffic(self, profile: str, since_ms: int = BEGINNING, until_ms: int = END) -> Iterator[PastExchange]:
        """A profile's settled requests to generate or to count, oldest first, read as they are asked for."""
        after = (since_ms, "")
        while True:
            with self._open() as connection:
                found = traffic.page(connection, profile, until_ms, after)
            yield from found
            if len(found) < traffic.PAGE:
                return
            after = found[-1].time_ms, found[-1].id

    def calls(self, profile: str, since_ms: int = BEGINNING, until_ms: int = END) -> list[PastCall]:
        """The calls of a profile's settled requests to generate, the oldest request's first."""
        with self._open() as connection:
            return list(past_calls.calls(connection, profile, since_ms, until_ms))

    def since_of_latest(self, profile: str, since_ms: int, until_ms: int, most: int) -> int | None:
        """When the first of a profile's latest so many settled requests to generate came; None if there are no more."""
        with self._open() as connection:
            return past_calls.since_of_latest(connection, profile, since_ms, until_ms, most)

    def first_under(self, profile: str, file_hash: str, since_ms: int = BEGINNING) -> int | None:
        """When the first request came, since a moment, that a version of the profile's files decided."""
        with self._open() as connection:
            return past_calls.first_under(connection, profile, file_hash, since_ms)

    def export(self, profile: str) -> Iterator[Exported]:
        """All that is kept of a profile, read as it is asked for."""
        place: Place | None = Place()
        while place is not None:
            with self._open() as connection:
                found, place = exporting.page(connection, profile, place)
            yield from found

    def billed_calls(self, providers: Sequence[str], since_ms: int, until_ms: int) -> list[BilledCalls]:
        """The calls that providers have on their books, added up by UTC day."""
        with self._open() as connection:
            return list(on_the_books(connection, providers, since_ms, until_ms))

    def forgotten(self, profile: str, since_ms: int, until_ms: int) -> Forgotten:
        """The requests of a period of which only sums are kept."""
        stretches = [Stretch(0, since_ms, until_ms)]
        query = Query(profile, (), stretches, cut(stretches))
        with self._open() as connection:
            return forgotten.count(connection, query, forgotten.kept_from(connection, profile))

    def conversations(self, client: str, *, without: str) -> set[str]:
        """The conversations that a client had through the router: those of all profiles but one."""
        query = "SELECT DISTINCT conversation FROM requests WHERE client = ? AND profile <> ? AND conversation <> ''"
        with self._open() as connection:
            return {row[0] for row in connection.execute(query, (client, without))}

    def profiles(self) -> list[str]:
        """The profiles that have requests, by name, removed ones too."""
        with self._open() as connection:
            return sums.profiles(connection)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection within one transaction, so that all of a report is from one moment."""
        try:
            with closing(_connect(self.path)) as connection:
                if self.limit_s is not None:
                    end = time.monotonic() + self.limit_s
                    connection.set_progress_handler(lambda: time.monotonic() > end, _CHECK_EVERY)
                connection.execute("BEGIN")
                yield connection
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise Unavailable(
                    f"the report took longer than {self.limit_s:g} s; ask for a shorter period", retry_after_s=60.0
                ) from error
            raise _unreadable(self.path, error) from error
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error


class _Tally:
    """Adds up what the queries give, under the names that are shown."""

    def __init__(self, by: tuple[Dimension, ...]) -> None:
        self.by = by
        self.sums: defaultdict[Keys, Sums] = defaultdict(Sums)
        self.drafts: defaultdict[Keys, DraftSums] = defaultdict(DraftSums)
        self.losses: defaultdict[Keys, CacheLoss] = defaultdict(CacheLoss)
        self.durations: defaultdict[Keys, list[float]] = defaultdict(list)
        self.total = Sums()
        self.total_drafts = NO_DRAFTS
        self.total_loss = NO_LOSS
        self.all_durations: list[float] = []
        self.forgotten = NONE_FORGOTTEN
        self.rule_order: dict[str, Order] = {}

    def add(
        self,
        connection: sqlite3.Connection,
        scope: Scope,
        lived: tuple[int, int] | None,
        now_ms: int,
        detail: bool,
        losses: bool,
    ) -> None:
        """Add one scope. ``lived``: its profile's first and last hour."""
        rules = RuleRows(scope.rules, sums.seen_rules(connection, scope.profile), now_ms, scope.zone)
        self._list_rules(scope, rules)
        if lived is None:
            return
        days = None
        stretches = [Stretch(0, scope.since_ms, scope.until_ms)]
        if "day" in self.by:
            ends = (max(scope.since_ms, lived[0] * HOUR_MS), min(scope.until_ms, (lived[1] + 1) * HOUR_MS))
            days = Days(*ends, scope.zone)
            stretches = days.stretches
        query = Query(scope.profile, self.by, stretches, cut(stretches))
        names = _Names(self.by, scope.profile, days.names if days is not None else [], rules, self.rule_order)
        kept_from = forgotten.kept_from(connection, scope.profile)
        self.forgotten = self.forgotten.plus(forgotten.count(connection, query, kept_from))
        for (number, columns), amounts in chain(
            sums.sums(connection, query), forgotten.sums(connection, query, kept_from)
        ):
            self.total += amounts
            for keys in names.keys(number, columns):
                self.sums[keys] += amounts
        if losses:
            for (number, columns), lost in sums.cache_losses(connection, query):
                self.total_loss = self.total_loss.plus(lost)
                for keys in names.keys(number, columns):
                    self.losses[keys] = self.losses[keys].plus(lost)
        if not (detail and stretches):
            return
        for time_ms, columns, duration_ms in sums.durations(connection, query):
            self.all_durations.append(duration_ms)
            for keys in names.keys(days.number(time_ms) if days is not None else 0, columns):
                self.durations[keys].append(duration_ms)
        for (number, columns), some in sums.drafts(connection, query):
            self.total_drafts = self.total_drafts.plus(some)
            for keys in names.keys(number, columns):
                self.drafts[keys] = self.drafts[keys].plus(some)

    def report(self, first_ms: int | None) -> Report:
        """The rows in order."""
        rows = (
            Row(
                keys,
                amounts,
                sums.percentiles(self.durations.get(keys, [])),
                self.drafts.get(keys, NO_DRAFTS),
                self.losses.get(keys, NO_LOSS),
            )
            for keys, amounts in sorted(self.sums.items(), key=_order(self.by, self.sums, self.rule_order))
        )
        total = Row((), self.total, sums.percentiles(self.all_durations), self.total_drafts, self.total_loss)
        return Report(self.by, tuple(rows), total, first_ms, self.forgotten)

    def _list_rules(self, scope: Scope, rules: RuleRows) -> None:
        """A row for each rule of the file, that may stay at 0."""
        for rule in scope.rules:
            if rule.listed and set(self.by) in ({"rule"}, {"rule", "profile"}):
                keys = tuple(rule.label if dimension == "rule" else scope.profile for dimension in self.by)
                self.sums[keys] += Sums()
                self.rule_order[rule.label] = rules.order(rule.hash, rule.label)


class _Names:
    """From a query's columns to the keys of the rows they count in: several where a request has several tags."""

    def __init__(
        self, by: tuple[Dimension, ...], profile: str, days: list[str], rules: RuleRows, rule_order: dict[str, Order]
    ) -> None:
        self._by = by
        self._profile = profile
        self._days = days
        self._rules = rules
        self._rule_order = rule_order

    def keys(self, number: int, columns: Keys) -> list[Keys]:
        rest = iter(columns)
        found: list[Keys] = [()]
        for dimension in self._by:
            values = self._values(dimension, number, rest)
            found = [(*keys, value) for keys in found for value in values]
        return found

    def _values(self, dimension: Dimension, number: int, rest: Iterator[str]) -> list[str]:
        match dimension:
            case "rule":
                rule_hash, label = next(rest), next(rest)
                name = self._rules.name(rule_hash, label)
                self._rule_order.setdefault(name, self._rules.order(rule_hash, label))
                return [name]
            case "day":
                return [self._days[number]]
            case "profile":
                return [self._profile]
            case "tag":
                return list(dict.fromkeys(next(rest).split())) or [""]
            case _:
                return [next(rest)]


def _order(
    by: tuple[Dimension, ...], rows: dict[Keys, Sums], rule_order: dict[str, Order]
) -> Callable[[tuple[Keys, Sums]], tuple[tuple[object, ...], ...]]:
    """Profiles and days by name, rules as in their file, the rest with the dearest first, dimension by dimension."""
    groups: defaultdict[Keys, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for keys, amounts in rows.items():
        for length in range(1, len(keys) + 1):
            cost, requests = groups[keys[:length]]
            groups[keys[:length]] = (cost - amounts.cost_nano_usd, requests - amounts.requests)

    def key(row: tuple[Keys, Sums]) -> tuple[tuple[object, ...], ...]:
        keys = row[0]
        return tuple(
            (*rule_order[value], value)
            if dimension == "rule"
            else (value,)
            if dimension in ("profile", "day")
            else (*groups[keys[: position + 1]], value)
            for position, (dimension, value) in enumerate(zip(by, keys, strict=True))
        )

    return key


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():
        connection = sqlite3.connect(":memory:", isolation_level=None)
        for migration in MIGRATIONS:
            connection.executescript(migration)
        return connection
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=1.0
    )
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != len(MIGRATIONS):
        connection.close()
        older = "an older router; start the server once, which brings it up to date"
        newer = "a newer router; update this one"
        raise LedgerError(f"the ledger {path} was written by {older if version < len(MIGRATIONS) else newer}")
    return connection


def _unreadable(path: Path, error: sqlite3.Error) -> LedgerError:
    return LedgerError(f"the ledger {path} can't be read: {error}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
