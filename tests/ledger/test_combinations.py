"""Reports by any combination of dimensions, in any period and timezone, also where old requests have been deleted:
always what adding up the requests one by one gives."""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.ledger.entry import AttemptRecord, Intent, Settlement
from router.ledger.forgotten import Forgotten
from router.ledger.periods import BEGINNING, DAY_MS, END, HOUR_MS
from router.ledger.reports import DIMENSIONS, Dimension, Reader, Report, Scope
from router.ledger.retention import delete_slice
from router.ledger.sums import DELETED, ONLY_IN_REQUESTS
from router.ledger.writing import Begin, Record, Settle, write_records
from router.wire.usage import Usage
from tests.support import ledgers


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


# Clocks change in these weeks: Lord Howe by half an hour (4 October), Berlin (25 October), New York (1 November).
FIRST, LAST = ms("2026-10-01T00:00+00:00"), ms("2026-11-10T00:00+00:00")
GONE_BEFORE = ms("2026-10-25T00:47+00:00")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Kathmandu"]
SHOWN = ("requests", "tokens_in", "output", "cost_nano_usd", "unpriced", "errors", "attempts")


def some_requests(count: int) -> list[Record]:
    rng = random.Random(11)
    records: list[Record] = []
    for number in range(count):
        # Many close to midnights of one zone or another, and to the hour the clocks change in.
        near = rng.choice([FIRST + rng.randrange(40) * DAY_MS, ms("2026-10-25T01:00+00:00"), GONE_BEFORE])
        time_ms = rng.choice([rng.randrange(FIRST, LAST), near + rng.randrange(-5 * HOUR_MS, 5 * HOUR_MS)])
        intent = Intent(
            id=f"{time_ms:012x}{number:020x}", kind=rng.choice(["generate", "generate", "embed", "count"]),
            time_ms=time_ms, profile=rng.choice(["work", "work", "home"]), rule=rng.choice(["code", "talk"]),
            rule_hash=rng.choice(["1", "2"]), file_hash="f", client=rng.choice(["codex", "sdk"]),
            key=rng.choice([None, "alice", "bob"]), tags=rng.choice([None, "ci", "ci nightly"]),
            conversation=rng.choice([None, "c1", "c2"]), api="openai-chat", requested_model="m",
            provider=rng.choice([None, "a", "b"]), model=rng.choice([None, "x", "y"]), stream=True, reason="",
        )  # fmt: skip
        cost = rng.choice([None, 0, rng.randrange(10**12)])
        usage = rng.choice([None, Usage(rng.randrange(10**6), 1, None, 3, rng.randrange(10**5))])
        call = AttemptRecord(intent.id, 1, "primary", "a", "x", None, time_ms, usage=usage, cost_nano_usd=cost)
        settlement = Settlement(
            intent.id, rng.choice(["ok", "ok", "upstream-error"]), 200, usage=usage, cost_nano_usd=cost,
            list_nano_usd=cost, attempts=1, price_source=None if cost is None else rng.choice(["table", "own"]),
        )  # fmt: skip
        records += [Begin(intent, call), Settle(settlement, (call,))]
    return records


PLAIN = """
    SELECT id, time_ms, profile, rule, ifnull(model, '') AS model, ifnull(provider, '') AS provider, client,
        ifnull(key, '') AS key, ifnull(tags, '') AS tag, ifnull(conversation, '') AS conversation,
        ifnull(price_source, '?') AS price, 1 AS requests,
        ifnull(input, 0) + ifnull(cache_read, 0) + ifnull(cache_write, 0) + ifnull(cache_write_1h, 0) AS tokens_in,
        ifnull(output, 0) AS output, ifnull(cost_nano_usd, 0) AS cost_nano_usd, cost_nano_usd IS NULL AS unpriced,
        outcome = 'upstream-error' AS errors, attempts
    FROM requests WHERE kind <> 'count'
"""


class Kept:
    """A ledger, and every request that it ever had."""

    def __init__(self, path: Path, requests: list[dict[str, Any]]) -> None:
        self.path = path
        self.requests = requests


@pytest.fixture(scope="module", params=["all kept", "old ones deleted", "all deleted"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    path = tmp_path_factory.mktemp("ledger") / "router.db"
    with closing(ledgers.create(path)) as connection:
        write_records(connection, some_requests(1_500))
        connection.row_factory = sqlite3.Row
        requests = [dict(row) for row in connection.execute(PLAIN)]
        before = {"all kept": 0, "old ones deleted": GONE_BEFORE, "all deleted": LAST + DAY_MS}[request.param]
        for profile in ("work", "home"):
            delete_slice(connection, profile, before, 10_000)
        left = {row["id"] for row in connection.execute("SELECT id FROM requests")}
    for each in requests:
        each["deleted"] = each["id"] not in left
        if each["deleted"]:  # it counts where its hour begins, and what only its row knew is gone
            each["time_ms"] -= each["time_ms"] % HOUR_MS
            each |= dict.fromkeys(ONLY_IN_REQUESTS, DELETED)
    return Kept(path, requests)


def added_up(kept: Kept, scope: Scope, by: tuple[Dimension, ...]) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The report by hand. ``()`` is the total."""
    rows: defaultdict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * len(SHOWN))
    for each in kept.requests:
        if each["profile"] != scope.profile or not scope.since_ms <= each["time_ms"] < scope.until_ms:
            continue
        day = datetime.fromtimestamp(each["time_ms"] / 1000, scope.zone).date().isoformat()
        keys: list[tuple[str, ...]] = [()]
        for dimension in by:
            value = day if dimension == "day" else each[dimension]
            values = value.split() or [""] if dimension == "tag" else [value]
            keys = [(*key, value) for key in keys for value in values]
        for key in {(), *keys}:
            rows[key] = [a + int(each[name]) for a, name in zip(rows[key], SHOWN, strict=True)]
    return {key: tuple(amounts) for key, amounts in rows.items()}


def shown(report: Report) -> dict[tuple[str, ...], tuple[int, ...]]:
    rows = report.rows if report.by else ()
    return {
        row.keys: tuple(getattr(row.sums, name) for name in SHOWN)
        for row in (*rows, *((report.total,) if report.total.sums.requests else ()))
    }


moments = st.one_of(
    st.integers(FIRST - DAY_MS, LAST + DAY_MS),
    st.integers(0, 40 * 48).map(lambda halves: FIRST + halves * HOUR_MS // 2),
)


@pytest.mark.sampled(3)
@given(
    by=st.lists(st.sampled_from(DIMENSIONS), max_size=3, unique=True).map(tuple),
    zone=st.sampled_from(ZONES),
    period=st.one_of(st.just((BEGINNING, END)), st.tuples(moments, moments).map(sorted).map(tuple)),
)
def test_a_report_by_any_dimensions_is_what_its_requests_add_up_to(
    kept: Kept, by: tuple[Dimension, ...], zone: str, period: tuple[int, int]
) -> None:
    scope = Scope("work", *period, ZoneInfo(zone))
    report = Reader(kept.path).usage([scope], by, now_ms=LAST)
    assert shown(report) == added_up(kept, scope, by)


@pytest.mark.parametrize("by", [("day",), ("tag",), ("conversation", "key"), ("day", "price")])
def test_the_days_of_a_month_add_up_to_the_month(kept: Kept, by: tuple[Dimension, ...]) -> None:
    for zone in ("Australia/Lord_Howe", "Europe/Berlin"):
        scope = Scope("work", FIRST, LAST, ZoneInfo(zone))
        total = Reader(kept.path).usage([scope], ()).total.sums
        report = Reader(kept.path).usage([scope], by)
        assert report.total.sums == total
        if "tag" not in by:
            assert sum(row.sums.cost_nano_usd for row in report.rows) == total.cost_nano_usd


def test_what_only_sums_are_kept_of_is_counted(kept: Kept) -> None:
    gone = [each for each in kept.requests if each["deleted"] and each["profile"] == "work"]
    scope = Scope("work", FIRST, GONE_BEFORE - 10 * 60_000, UTC)
    found = Reader(kept.path).usage([scope], ("tag",)).forgotten
    if not gone:
        assert found == Forgotten()
        return
    assert found.requests == sum(scope.since_ms <= each["time_ms"] < scope.until_ms for each in gone)
    assert found.split == sum(each["time_ms"] == GONE_BEFORE - GONE_BEFORE % HOUR_MS for each in gone)
    assert found.split > 0
    assert found.before_ms >= ms("2026-10-25T01:00+00:00")
