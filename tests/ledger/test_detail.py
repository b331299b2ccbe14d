"""The detail of reports: every number is what plain SQL over requests and calls says."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from router.ledger import sums
from router.ledger.entry import AttemptRecord, Intent, Outcome, Role, Settlement, Verdict
from router.ledger.periods import BEGINNING, DAY_MS, END, HOUR_MS, Stretch, cut
from router.ledger.reports import Dimension, DraftSums, Reader, Row, Scope
from router.ledger.retention import delete_slice
from router.ledger.sums import percentiles
from router.ledger.writing import Annotate, Begin, Record, Settle, write_records
from router.wire.usage import Usage
from tests.support import ledgers

NOW = 1_763_476_200_000
NANO = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(ledgers.create(path)) as connection:
        yield connection


class Book:
    """Makes requests as they may come: answered at once, after retries, by another one, through a draft, or not."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._number = 0

    def some(self, count: int) -> list[Record]:
        return [record for _ in range(count) for record in self.one()]

    def one(self) -> list[Record]:
        rng = self._rng
        self._number += 1
        time_ms = NOW - rng.randrange(3 * DAY_MS)
        intent = Intent(
            id=f"{time_ms:012x}{self._number:020x}", kind=rng.choice(["generate", "generate", "embed", "count"]),
            time_ms=time_ms, profile=rng.choice(["work", "work", "home"]), rule=rng.choice(["code", "talk", "rest"]),
            rule_hash="", file_hash="f", client=rng.choice(["codex", "sdk"]), key=None, tags=None,
            conversation=rng.choice([None, "c1", "c2"]), api="openai-chat", requested_model="m",
            provider=rng.choice(["a", "b"]), model=rng.choice(["x", "y"]), stream=True, reason="",
        )  # fmt: skip
        intent.rule_hash = f"hash of {intent.rule}"
        calls = self._calls(intent)
        if calls and rng.random() < 0.05:
            return [Begin(intent, calls[0])]  # still under way
        records: list[Record] = [Begin(intent, calls[0] if calls else None)]
        lost = rng.choice([None, None, rng.randrange(1, 10**6)])
        found: dict[str, int | None] = {
            "cache_lost": lost,
            "cache_lost_nano_usd": None if lost is None else rng.choice([None, rng.randrange(10**9)]),
            "at_default_nano_usd": rng.choice([None, rng.randrange(10**8)]) if calls else None,
            "at_requested_nano_usd": rng.choice([None, 0, rng.randrange(10**8)]) if calls else None,
        }
        settlement = self._settlement(intent, calls)
        match rng.choice(["with it", "with it", "after it", "again and otherwise", "before it"]):
            case "with it":
                return [*records, Settle(replace(settlement, **found), tuple(calls))]
            case "after it":
                return [*records, Settle(settlement, tuple(calls)), Annotate(intent.id, "{}", **found)]
            case "again and otherwise":
                other = {name: amount and amount + 1 for name, amount in found.items() if name.startswith("at_")}
                settled = Settle(replace(settlement, **found), tuple(calls))
                return [*records, settled, Annotate(intent.id, "{}", **other)]
            case _:  # the settlement took the way through the spill file
                return [*records, Annotate(intent.id, "{}", **found), Settle(settlement, tuple(calls))]

    def _calls(self, intent: Intent) -> list[AttemptRecord]:
        rng = self._rng
        roles: list[Role] = rng.choice(
            [
                [], ["primary"], ["primary"], ["primary", "retry"], ["primary", "fallback"], ["draft"], ["draft"],
                ["primary", "retry", "fallback", "retry", "fallback"], ["draft", "verifier"], ["draft", "verifier"],
                ["draft", "draft", "verifier"], ["draft", "verifier", "retry", "fallback"],
            ]
        )  # fmt: skip
        return [self._call(intent, number, role, last=number == len(roles)) for number, role in enumerate(roles, 1)]

    def _call(self, intent: Intent, number: int, role: Role, *, last: bool) -> AttemptRecord:
        rng = self._rng
        amount = lambda most: rng.choice([None, 0, rng.randrange(most)])  # noqa: E731
        cost = amount(50 * NANO)
        call = AttemptRecord(
            intent.id, number, role, intent.provider or "", intent.model or "", None, intent.time_ms + 5, status=200,
            usage=rng.choice([None, Usage(*(amount(10**5) for _ in range(6)))]), cost_nano_usd=cost,
            list_nano_usd=rng.choice([cost, amount(10**8)]),
        )  # fmt: skip
        if role != "draft":
            return call
        verdict: Verdict | None = "accepted" if last else rng.choice(["rejected", "rejected", None])
        if last and rng.random() < 0.2:
            verdict = None  # the client left before it was judged
        call.verdict, call.score = verdict, rng.random() if verdict else None
        if cost is not None:
            call.saving_nano_usd = (
                rng.choice([None, rng.randrange(-NANO, 90 * NANO)]) if verdict == "accepted" else -cost
            )
        return call

    def _settlement(self, intent: Intent, calls: list[AttemptRecord]) -> Settlement:
        """Sums over the calls, as the server makes them."""
        rng = self._rng
        outcomes: list[Outcome] = (
            ["ok", "ok", "ok", "client-gone", "partial", "upstream-error"] if calls else ["refused"]
        )
        settlement = Settlement(
            intent.id,
            rng.choice(outcomes),
            200,
            attempts=len(calls),
            duration_ms=rng.choice([None, rng.random() * 10**4]),
            held_nano_usd=rng.choice([None, None, rng.randrange(1, 10**9)]),
        )
        if calls:
            served = calls[-1]
            settlement.usage = served.usage
            for name in ("cost_nano_usd", "list_nano_usd"):
                known = getattr(served, name) is not None
                setattr(settlement, name, sum(getattr(call, name) or 0 for call in calls) if known else None)
        return settlement


REQUESTS = "FROM requests r WHERE {those}"
CALLS = "FROM attempts a JOIN requests r ON r.id = a.request_id WHERE {those}"
SERVED = f"{CALLS} AND a.number = (SELECT max(number) FROM attempts WHERE request_id = r.id)"
DRAFTS = f"{CALLS} AND a.role = 'draft'"
UNACCEPTED = f"{DRAFTS} AND (a.verdict IS NULL OR a.verdict = 'rejected')"
DEFAULT = f"{REQUESTS} AND r.cost_nano_usd IS NOT NULL AND r.at_default_nano_usd IS NOT NULL"
FOLLOWED = f"{CALLS} AND a.number < r.attempts"
REQUESTED = f"{REQUESTS} AND r.cost_nano_usd IS NOT NULL AND r.at_requested_nano_usd IS NOT NULL"
LEFT = f"{REQUESTS} AND r.cache_lost > 0"

PLAIN = {
    "sums.requests": f"count(*) {REQUESTS}",
    "sums.input": f"sum(a.input) {SERVED}",
    "sums.cache_read": f"sum(a.cache_read) {SERVED}",
    "sums.cache_write": f"sum(ifnull(a.cache_write, 0) + ifnull(a.cache_write_1h, 0)) {SERVED}",
    "sums.output": f"sum(a.output) {SERVED}",
    "sums.reasoning": f"sum(a.reasoning) {SERVED}",
    "sums.no_usage": f"count(*) {SERVED} AND a.input IS NULL AND a.output IS NULL",
    "sums.cost_nano_usd": f"sum(a.cost_nano_usd) {CALLS} AND r.cost_nano_usd IS NOT NULL",
    "sums.list_nano_usd": f"sum(a.list_nano_usd) {CALLS} AND r.list_nano_usd IS NOT NULL",
    "sums.unpriced": f"count(*) {SERVED} AND a.cost_nano_usd IS NULL",
    "sums.errors": f"count(*) {REQUESTS} AND r.outcome NOT IN ('ok', 'client-gone')",
    "sums.fallbacks": f"count(DISTINCT a.request_id) {CALLS} AND a.role = 'fallback'",
    "sums.attempts": f"count(*) {CALLS}",
    "sums.drafted": f"count(DISTINCT a.request_id) {DRAFTS}",
    "sums.at_default": f"count(*) {DEFAULT}",
    "sums.at_default_nano_usd": f"sum(r.at_default_nano_usd) {DEFAULT}",
    "sums.at_default_paid_nano_usd": f"sum(r.cost_nano_usd) {DEFAULT}",
    "sums.at_requested": f"count(*) {REQUESTED}",
    "sums.at_requested_nano_usd": f"sum(r.at_requested_nano_usd) {REQUESTED}",
    "sums.at_requested_paid_nano_usd": f"sum(r.cost_nano_usd) {REQUESTED}",
    "sums.wasted_nano_usd": f"sum(a.cost_nano_usd) {FOLLOWED}",
    "sums.wasted_unknown": f"count(*) {FOLLOWED} AND a.cost_nano_usd IS NULL",
    "sums.held_nano_usd": f"sum(r.held_nano_usd) {REQUESTS}",
    "drafts.drafts": f"count(*) {DRAFTS}",
    "drafts.rejected": f"count(*) {UNACCEPTED}",
    "drafts.waste_nano_usd": f"sum(a.cost_nano_usd) {UNACCEPTED}",
    "drafts.saving_nano_usd": f"sum(a.saving_nano_usd) {DRAFTS}",
    "drafts.unknown": f"count(*) {DRAFTS} AND a.saving_nano_usd IS NULL",
    "drafts.waste_unknown": f"count(*) {UNACCEPTED} AND a.cost_nano_usd IS NULL",
    "cache_loss.requests": f"count(*) {LEFT}",
    "cache_loss.tokens": f"sum(r.cache_lost) {LEFT}",
    "cache_loss.cost_nano_usd": f"sum(r.cache_lost_nano_usd) {LEFT}",
    "cache_loss.unknown": f"count(*) {LEFT} AND r.cache_lost_nano_usd IS NULL",
}
COLUMN = {"day": "date(r.time_ms / 1000, 'unixepoch')", "conversation": "ifnull(r.conversation, '')"}


def plain(ledger: sqlite3.Connection, scope: Scope, by: tuple[Dimension, ...], keys: tuple[str, ...]) -> dict[str, int]:
    """Every number of a row, each by a query of its own that knows no sums."""
    those = (
        "r.kind IN ('generate', 'embed') AND r.state = 'settled' AND r.profile = ? AND r.time_ms >= ? AND r.time_ms < ?"
    )
    for dimension in by[: len(keys)]:
        those += f" AND {COLUMN.get(dimension, f'r.{dimension}')} = ?"
    values = (scope.profile, scope.since_ms, scope.until_ms, *keys)
    return {
        name: ledger.execute(f"SELECT {text.format(those=those)}", values).fetchone()[0] or 0
        for name, text in PLAIN.items()
    }


def shown(row: Row) -> dict[str, int]:
    """Every number of a row as the report has it. All there are: a new one needs a plain query."""
    parts = {"sums": row.sums.__slots__, "drafts": row.drafts._fields, "cache_loss": row.cache_loss._fields}
    return {f"{part}.{name}": getattr(getattr(row, part), name) for part, names in parts.items() for name in names}


BY: list[tuple[Dimension, ...]] = [("rule",), ("day",), ("provider", "model"), ("conversation",), ("profile", "client")]
PERIODS = {
    "all": (BEGINNING, END),
    "ragged": (NOW - 2 * DAY_MS - 12_345, NOW - HOUR_MS - 777),
    "within an hour": (NOW - 30 * HOUR_MS - 40 * 60_000, NOW - 30 * HOUR_MS),
}


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_every_number_is_what_plain_sql_says(path: Path, ledger: sqlite3.Connection, seed: int, period: str) -> None:
    write_records(ledger, Book(seed).some(250))
    scope = Scope("work", *PERIODS[period])
    for by in BY:
        report = Reader(path).usage([scope], by, detail=True, now_ms=NOW)
        for row in report.rows:
            assert shown(row) == plain(ledger, scope, by, row.keys), row.keys
        assert shown(report.total) == plain(ledger, scope, by, ())
        took = ledger.execute(
            "SELECT duration_ms FROM requests WHERE kind IN ('generate', 'embed') AND outcome = 'ok' "
            "AND profile = 'work' AND time_ms >= ? AND time_ms < ? AND duration_ms IS NOT NULL",
            PERIODS[period],
        ).fetchall()
        assert report.total.latency == percentiles([duration_ms for (duration_ms,) in took])
    assert period != "all" or all(shown(report.total).values()), "everything occurs"


def test_writing_it_all_twice_changes_no_number(path: Path, ledger: sqlite3.Connection) -> None:
    records = Book(5).some(100)
    write_records(ledger, records)
    before = Reader(path).by_rule("work", detail=True)
    write_records(ledger, records)
    assert Reader(path).by_rule("work", detail=True) == before


def test_the_results_of_drafts_are_by_the_hash_of_their_rule(path: Path, ledger: sqlite3.Connection) -> None:
    write_records(ledger, Book(6).some(300))
    for since_ms in (BEGINNING, NOW - DAY_MS - 321):
        found = Reader(path).draft_results("work", since_ms)
        assert set(found) == {"hash of code", "hash of talk", "hash of rest"}
        for rule_hash, drafts in found.items():
            numbers = plain(ledger, Scope("work", since_ms), ("rule",), (rule_hash.removeprefix("hash of "),))
            assert drafts == DraftSums(*(numbers[f"drafts.{name}"] for name in DraftSums._fields))
    assert Reader(path).draft_results("work", NOW + 1) == {}
    assert Reader(path).draft_results("nobody", BEGINNING) == {}


def test_after_the_requests_are_deleted_calls_stay_and_drafts_are_gone(path: Path, ledger: sqlite3.Connection) -> None:
    write_records(ledger, Book(7).some(200))
    scope = Scope("work", NOW - NOW % DAY_MS - DAY_MS, NOW - NOW % DAY_MS)
    before = Reader(path).usage([scope], detail=True).total
    assert before.drafts.drafts
    assert before.cache_loss.requests
    delete_slice(ledger, "work", NOW, 1_000)
    assert Reader(path).usage([scope], detail=True).total == replace(
        before, latency=None, drafts=DraftSums(), cache_loss=type(before.cache_loss)()
    )


@pytest.mark.parametrize(
    ("query", "index"),
    [
        pytest.param("drafts", "INDEX attempts_draft (request_id>? AND request_id<?)", id="drafts"),
        pytest.param("cache_losses", "INDEX requests_cache_lost (profile=? AND time_ms>? AND time_ms<?)", id="caches"),
    ],
)
def test_only_what_is_of_the_period_is_looked_at(
    path: Path, ledger: sqlite3.Connection, query: str, index: str
) -> None:
    write_records(ledger, Book(8).some(50))
    stretches = [Stretch(0, NOW - DAY_MS, NOW)]
    seen: list[str] = []
    ledger.set_trace_callback(seen.append)
    list(getattr(sums, query)(ledger, sums.Query("work", ("rule",), stretches, cut(stretches))))
    ledger.set_trace_callback(None)
    assert any(index in row[3] for row in ledger.execute(f"EXPLAIN QUERY PLAN {seen[0]}"))
