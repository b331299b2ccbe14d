"""The requests behind a row: their sums are the row's numbers, of whatever report."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from router.ledger.entry import AttemptRecord, Intent, Role, Settlement
from router.ledger.periods import BEGINNING, DAY_MS, END, HOUR_MS, midnight
from router.ledger.reports import DIMENSIONS, CurrentRule, Dimension, Reader, Row, Scope
from router.ledger.selecting import FILTERS, Selection
from router.ledger.sums import Sums
from router.ledger.writing import Annotate, Begin, Record, Settle, write_records
from router.wire.usage import Usage
from tests.support import ledgers

NOW = 1_763_476_200_000
ZONE = ZoneInfo("Europe/Berlin")
RULES = (CurrentRule("code", "h1"), CurrentRule("talk", "h2"), CurrentRule("twin", "h2"), CurrentRule("never", "h9"))
# As recorded: what a rule is called now, what it was called, what it meant before, another rule under its name.
MEANINGS = [("h1", "code"), ("h1", "coding"), ("h0", "code"), ("h2", "talk"), ("h2", "twin"), ("", "(none)")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(ledgers.create(path)) as connection:
        yield connection


def some(seed: int, count: int) -> list[Record]:
    """Requests in which everything that may be missing is missing now and then, with calls that sum up."""
    rng = random.Random(seed)
    return [record for number in range(count) for record in _one(rng, number)]


def _one(rng: random.Random, number: int) -> list[Record]:
    maybe = lambda most: rng.choice([None, 0, rng.randrange(most)])  # noqa: E731
    time_ms = NOW - rng.randrange(3 * DAY_MS)
    rule_hash, rule = rng.choice(MEANINGS)
    intent = Intent(
        id=f"{time_ms:012x}{number:020x}", kind=rng.choice(["generate", "generate", "generate", "embed", "count"]),
        time_ms=time_ms, profile=rng.choice(["work", "work", "home"]), rule=rule, rule_hash=rule_hash, file_hash="f",
        client=rng.choice(["codex", "Codex"]), key=rng.choice([None, "alice", "a_ice"]),
        tags=rng.choice([None, "ci", "ci nightly", "nightly-2"]), conversation=rng.choice([None, "c1", "c%"]),
        api="openai-chat", requested_model="m", provider=rng.choice(["a", "b"]), model=rng.choice(["x", "y"]),
        stream=True, reason="",
    )  # fmt: skip
    roles: list[Role] = rng.choice([[], ["primary"], ["primary"], ["primary", "retry"], ["draft", "verifier"]])
    calls = tuple(
        AttemptRecord(
            intent.id, place, role, "a", "x", None, time_ms, status=200, cost_nano_usd=maybe(10**7),
            usage=rng.choice([None, Usage(*(maybe(10**5) for _ in range(6)))]),
        )
        for place, role in enumerate(roles, 1)
    )  # fmt: skip
    settlement = Settlement(
        intent.id, rng.choice(["ok", "ok", "client-gone", "partial"]) if calls else "refused", 200, attempts=len(calls),
        held_nano_usd=maybe(10**7) if calls else None,
    )  # fmt: skip
    if calls:
        settlement.usage = calls[-1].usage
        settlement.price_source = rng.choice([None, "override", "genai-prices 0.2.3"])
        if all(call.cost_nano_usd is not None for call in calls):
            settlement.cost_nano_usd = sum(call.cost_nano_usd or 0 for call in calls)
            settlement.list_nano_usd = settlement.cost_nano_usd + rng.choice([0, 9])
    begun: list[Record] = [Begin(intent, calls[0] if calls else None)]
    if rng.random() < 0.05:
        return begun
    found: dict[str, Any] = {
        "cache_lost": rng.choice([None, 7]), "at_default_nano_usd": maybe(10**7) if calls else None,
        "at_requested_nano_usd": maybe(10**7) if calls else None,
    }  # fmt: skip
    if rng.random() < 0.5:
        return [*begun, Settle(settlement, calls), Annotate(intent.id, "{}", **found)]
    return [*begun, Settle(replace(settlement, **found), calls)]


def selected(by: tuple[Dimension, ...], row: Row, scopes: list[Scope]) -> tuple[list[Scope], Selection]:
    """What leads from a row to its requests."""
    keys = dict(zip(by, row.keys, strict=True))
    if "profile" in keys:
        scopes = [scope for scope in scopes if scope.profile == keys["profile"]]
    if "day" in keys:
        day = date.fromisoformat(keys["day"])
        since, until = midnight(day, ZONE), midnight(day + timedelta(days=1), ZONE)
        scopes = [
            replace(scope, since_ms=max(since, scope.since_ms), until_ms=min(until, scope.until_ms)) for scope in scopes
        ]
    return scopes, Selection(**{name: key for name, key in keys.items() if name in FILTERS}, reported=True)


BY: list[tuple[Dimension, ...]] = [
    *((dimension,) for dimension in DIMENSIONS),
    ("profile", "rule"),
    ("day", "rule", "tag"),
    ("key", "model"),
    ("conversation", "client", "price", "provider"),
]
PERIODS = {"all": (BEGINNING, END), "ragged": (NOW - 2 * DAY_MS - 12_345, NOW - HOUR_MS - 777)}


@pytest.mark.parametrize("by", BY, ids=" ".join)
@pytest.mark.sampled(5)
def test_every_number_of_a_row_is_the_sum_of_its_requests_and_of_their_calls(
    path: Path, ledger: sqlite3.Connection, by: tuple[Dimension, ...]
) -> None:
    write_records(ledger, some(len(by[0]), 200))
    reader = Reader(path)
    for since, until in PERIODS.values():
        scopes = [Scope(name, since, until, ZONE, RULES) for name in ("work", "home")]
        report = reader.usage(scopes, by, losses=True, now_ms=NOW)
        assert len(report.rows) > 1
        for row in report.rows:
            requests = reader.matching(*selected(by, row, scopes), limit=10_000, now_ms=NOW)
            calls = {request.id: reader.request(request.id)[1] for request in requests}
            assert numbers(row) == added_up(requests, calls), row.keys
        if "tag" not in by:
            listed = sum(
                len(reader.matching(*selected(by, row, scopes), limit=10_000, now_ms=NOW)) for row in report.rows
            )
            assert listed == report.total.sums.requests, "each is behind one row"


def numbers(row: Row) -> dict[str, int]:
    """All of a row's numbers."""
    sums = {name: getattr(row.sums, name) for name in row.sums.__slots__}
    return sums | {"lost": row.cache_loss.requests, "lost_tokens": row.cache_loss.tokens}


def added_up(requests: list[Any], calls: dict[str, list[Any]]) -> dict[str, int]:
    """The same from the rows of the requests and of the calls alone."""
    found: Counter[str] = Counter()
    for request in requests:
        mine = calls[request.id]
        served = mine[-1] if mine else None
        found["requests"] += 1
        found["attempts"] += len(mine)
        found["errors"] += request.outcome not in ("ok", "client-gone")
        found["fallbacks"] += any(call.role == "fallback" for call in mine)
        found["drafted"] += any(call.role == "draft" for call in mine)
        found["wasted_nano_usd"] += sum(call.cost_nano_usd or 0 for call in mine[:-1])
        found["wasted_unknown"] += sum(call.cost_nano_usd is None for call in mine[:-1])
        found["held_nano_usd"] += request.held_nano_usd or 0
        found["lost"] += request.cache_lost is not None
        found["lost_tokens"] += request.cache_lost or 0
        found["list_nano_usd"] += request.list_nano_usd or 0
        if served is not None:
            found["no_usage"] += served.input is None and served.output is None
            found["input"] += served.input or 0
            found["cache_read"] += served.cache_read or 0
            found["cache_write"] += (served.cache_write or 0) + (served.cache_write_1h or 0)
            found["output"] += served.output or 0
            found["reasoning"] += served.reasoning or 0
            if request.cost_nano_usd is None:
                found["unpriced"] += 1
            else:
                found["cost_nano_usd"] += sum(call.cost_nano_usd for call in mine)
                for which in ("at_default", "at_requested"):
                    elsewhere = getattr(request, f"{which}_nano_usd")
                    if elsewhere is not None:
                        found[which] += 1
                        found[f"{which}_nano_usd"] += elsewhere
                        found[f"{which}_paid_nano_usd"] += sum(call.cost_nano_usd for call in mine)
    names = [*numbers(Row((), Sums()))]
    return {name: found[name] for name in names}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        pytest.param(Selection(rule="code"), ["code h1", "coding h1"], id="a rule by its name of today"),
        pytest.param(Selection(rule="talk"), ["talk h2"], id="of two rules of one meaning each has its own"),
        pytest.param(Selection(rule="code (before 13 Nov)"), ["code h0"], id="what it meant before"),
        pytest.param(Selection(rule="coding"), ["coding h1"], id="a name that no row has any more"),
        pytest.param(Selection(rule="cod"), [], id="a name that nothing ever had"),
        pytest.param(Selection(rule="never"), [], id="a rule that never fired"),
        pytest.param(Selection(rule="code", after="0"), ["code h0", "code h1"], id="following goes by the label"),
    ],
)
def test_a_rule_is_found_by_the_name_of_its_row(
    path: Path, ledger: sqlite3.Connection, selection: Selection, expected: list[str]
) -> None:
    for number, (rule_hash, rule) in enumerate(MEANINGS):
        time_ms = NOW - 6 * DAY_MS + number * 1000
        intent = Intent(
            f"{number + 1:032x}", "generate", time_ms, "work", rule, rule_hash, "f", "sdk", None, None, None,
            "openai-chat", "m", "a", "x", False, "",
        )  # fmt: skip
        write_records(ledger, [Begin(intent), Settle(Settlement(intent.id, "ok", 200))])
    found = Reader(path).matching([Scope("work", zone=ZONE, rules=RULES)], selection, limit=10, now_ms=NOW)
    assert sorted(f"{request.rule} {request.rule_hash}" for request in found) == expected


def test_the_latest_are_listed_oldest_first(path: Path, ledger: sqlite3.Connection) -> None:
    write_records(ledger, some(1, 50))
    scopes = [Scope("work"), Scope("home")]
    every = Reader(path).matching(scopes, Selection(), limit=1000)
    assert [request.time_ms for request in every] == sorted(request.time_ms for request in every)
    assert Reader(path).matching(scopes, Selection(), limit=7) == every[-7:]
    unpriced = Reader(path).matching(scopes, Selection(unpriced=True, failed=True), limit=1000)
    assert unpriced == [
        request for request in every if request.failed and request.attempts and request.cost_nano_usd is None
    ]
    assert {request.kind for request in every} > {"count"}
    reported = Reader(path).matching(scopes, Selection(reported=True), limit=1000)
    assert reported == [each for each in every if each.kind != "count" and each.state == "settled"]
