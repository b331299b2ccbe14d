"""Reports: the same sums whether they come from the hourly rows or from the requests, under the right names."""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from router.errors import ConfigError, LedgerError, Unavailable
from router.ledger import history
from router.ledger.entry import AttemptRecord, Intent, Settlement
from router.ledger.migrations import MIGRATIONS
from router.ledger.periods import BEGINNING, DAY_MS, END, HOUR_MS
from router.ledger.reports import DIMENSIONS, CacheLoss, CurrentRule, Dimension, DraftSums, Reader, Scope, Sums
from router.ledger.writing import Begin, Record, Settle, rollup_amounts, write_records
from router.wire.usage import Usage
from tests.support import ledgers


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


NOW = ms("2026-11-18T14:30:00+00:00")
Write = Callable[[list[Record]], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
def write(path: Path) -> Iterator[Write]:
    connection = ledgers.create(path)
    yield lambda records: write_records(connection, records)
    connection.close()


_number = iter(range(10**9))


SOME_USAGE = Usage(100, output=10)


def request(
    time_ms: int = NOW,
    *,
    outcome: str = "ok",
    attempts: int = 1,
    usage: Usage | None = SOME_USAGE,
    cost: int | None = 5,
    list_: int | None = 5,
    duration_ms: float | None = 100.0,
    price: str | None = None,
    **fields: object,
) -> list[Record]:
    """The records of one request, as the server puts them."""
    given: dict[str, object] = {
        "kind": "generate", "profile": "work", "rule": "default → anthropic", "rule_hash": "dddddddddddd",
        "file_hash": "f" * 12, "client": "claude-code", "key": None, "tags": None, "conversation": None,
        "api": "anthropic-messages", "requested_model": "m", "provider": "anthropic", "model": "claude-haiku-4-5",
        "stream": True, "reason": "default",
    }  # fmt: skip
    intent = Intent(id=f"{time_ms:012x}{next(_number):020x}", time_ms=time_ms, **(given | fields))  # type: ignore[arg-type]
    settlement = Settlement(
        intent.id, outcome, 200, usage=usage, cost_nano_usd=cost, list_nano_usd=list_, attempts=attempts,
        duration_ms=duration_ms, price_source=price,
    )  # type: ignore[arg-type]  # fmt: skip
    return [Begin(intent), Settle(settlement)]


def some_requests(rng: random.Random, count: int) -> list[Record]:
    """Requests of three days around two midnights, with everything that may be missing missing now and then."""
    records: list[Record] = []
    for _ in range(count):
        rule = rng.choice([("a", "tool-use → anthropic"), ("b", "default → groq"), ("b", "renamed"), ("", "(none)")])
        count_or_none = lambda: rng.choice([None, 0, rng.randrange(10**6)])  # noqa: E731
        records += request(
            NOW - rng.randrange(3 * DAY_MS),
            outcome=rng.choice(["ok", "ok", "client-gone", "upstream-error", "refused", "partial"]),
            attempts=rng.choice([0, 1, 1, 2, 3]),
            usage=rng.choice([None, Usage(*(count_or_none() for _ in range(6)))]),
            cost=count_or_none(),
            list_=count_or_none(),
            kind=rng.choice(["generate", "generate", "embed", "count", "other"]),
            profile=rng.choice(["work", "home"]),
            rule_hash=rule[0],
            rule=rule[1],
            client=rng.choice(["claude-code", "codex"]),
            key=rng.choice([None, "alice", "bob"]),
            tags=rng.choice([None, "ci", "ci nightly", "nightly"]),
            conversation=rng.choice([None, "c1", "c2"]),
            provider=rng.choice([None, "anthropic", "groq"]),
            model=rng.choice([None, "m1", "m2"]),
            price=rng.choice([None, "genai-prices 0.2.3", "override", "provider"]),
        )
    return records


def _price(record: Settle) -> str:
    settled = record.settlement
    unknown = settled.attempts > 0 and settled.cost_nano_usd is None
    return settled.price_source or ("?" if unknown else "")


def expected(records: list[Record], scopes: list[Scope], by: tuple[Dimension, ...]) -> dict[tuple[str, ...], Sums]:
    """The same report, added up request by request in Python."""
    intents = {record.intent.id: record.intent for record in records if isinstance(record, Begin)}
    rows: defaultdict[tuple[str, ...], Sums] = defaultdict(Sums)
    for record in records:
        if not isinstance(record, Settle):
            continue
        intent = intents[record.settlement.id]
        scope = next(scope for scope in scopes if scope.profile == intent.profile)
        if intent.kind not in ("generate", "embed") or not scope.since_ms <= intent.time_ms < scope.until_ms:
            continue
        day = datetime.fromtimestamp(intent.time_ms / 1000, scope.zone).date().isoformat()
        keys: list[tuple[str, ...]] = [()]
        for dimension in by:
            values = {
                "day": [day],
                "tag": (intent.tags or "").split() or [""],
                "price": [_price(record)],
            }.get(dimension) or [getattr(intent, dimension, None) or ""]
            keys = [(*key, value) for key in keys for value in values]
        for key in keys:
            rows[key] += Sums(*rollup_amounts(record))
    return dict(rows)


BY: list[tuple[Dimension, ...]] = [
    *((dimension,) for dimension in DIMENSIONS),
    (),
    ("profile", "rule"),
    ("day", "rule", "model"),
    ("key", "tag"),
    ("provider", "client", "conversation"),
    ("profile", "price"),
]
PERIODS = {
    "all": (BEGINNING, END),
    "ragged": (NOW - 2 * DAY_MS - 12_345, NOW - HOUR_MS - 777),
    "whole hours": (NOW - NOW % HOUR_MS - 30 * HOUR_MS, NOW - NOW % HOUR_MS),
    "within an hour": (NOW - 20 * 60_000, NOW - 10 * 60_000),
    "empty": (NOW, NOW),
}


@pytest.mark.slow
def test_sums_are_exact_by_any_dimension_in_any_period_and_zone(path: Path, write: Write) -> None:
    records = some_requests(random.Random(7), 1_000)
    write(records)
    for since, until in PERIODS.values():
        for zone in (UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")):
            scopes = [Scope("work", since, until, zone), Scope("home", since, until, zone)]
            for by in BY:
                report = Reader(path).usage(scopes, by, now_ms=NOW)
                assert {row.keys: row.sums for row in report.rows} == expected(records, scopes, by), (
                    since,
                    until,
                    zone,
                    by,
                )
                assert report.total.sums == expected(records, scopes, ()).get((), Sums())


def test_a_report_of_whole_hours_reads_no_requests(path: Path, write: Write) -> None:
    write(some_requests(random.Random(3), 50))
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("DELETE FROM requests")
    connection.close()
    since = NOW - NOW % HOUR_MS - 100 * HOUR_MS
    assert Reader(path).by_rule("work", since).total.sums.requests > 0


def test_what_is_not_settled_yet_is_not_counted(path: Path, write: Write) -> None:
    write(request()[:1])
    assert Reader(path).by_rule("work").total.sums == Sums()
    assert [r.state for r in Reader(path).latest()] == ["open"]


RULES = [
    CurrentRule("tool-use → anthropic", "aaaaaaaaaaaa"),
    CurrentRule("input-tokens-lt → groq", "bbbbbbbbbbbb"),
    CurrentRule("default → anthropic", "dddddddddddd"),
    CurrentRule("alias:fast → groq", "eeeeeeeeeeee", listed=False),
]


def names(path: Path, rules: list[CurrentRule] = RULES, zone: ZoneInfo | None = None) -> list[tuple[str, int]]:
    report = Reader(path).by_rule("work", rules=rules, now_ms=NOW, zone=zone or UTC)
    return [(row.keys[0], row.sums.requests) for row in report.rows]


def test_rules_stand_in_the_order_of_their_file_also_when_they_never_fired(path: Path, write: Write) -> None:
    write(request())
    assert names(path) == [("tool-use → anthropic", 0), ("input-tokens-lt → groq", 0), ("default → anthropic", 1)]


def test_what_is_no_rule_follows_the_rules(path: Path, write: Write) -> None:
    for rule, rule_hash in [
        ("(none)", ""), ("catalog → openai", "1"), ("explicit → groq", "2"), ("alias:fast → groq", "eeeeeeeeeeee"),
    ]:  # fmt: skip
        write(request(rule=rule, rule_hash=rule_hash))
    assert [name for name, _ in names(path)] == [
        *(rule.label for rule in RULES), "explicit → groq", "catalog → openai", "(none)",
    ]  # fmt: skip


def test_an_edited_rule_starts_a_new_row_and_its_past_follows_with_its_date(path: Path, write: Write) -> None:
    write(request(NOW - 5 * DAY_MS, rule="tool-use → anthropic", rule_hash="older"))
    write(request(NOW - 1 * DAY_MS, rule="tool-use → anthropic", rule_hash="aaaaaaaaaaaa"))
    assert names(path)[:3] == [
        ("tool-use → anthropic", 1),
        ("tool-use → anthropic (before 17 Nov)", 1),
        ("input-tokens-lt → groq", 0),
    ]


def test_the_past_of_a_rule_that_has_not_fired_since_ends_with_its_last_day(path: Path, write: Write) -> None:
    write(request(ms("2025-12-31T23:30+00:00"), rule="tool-use → anthropic", rule_hash="older"))
    assert names(path)[1] == ("tool-use → anthropic (before 1 Jan)", 1)
    assert names(path, zone=ZoneInfo("America/New_York"))[1] == ("tool-use → anthropic (before 1 Jan)", 1)
    assert names(path, zone=ZoneInfo("Asia/Tokyo"))[1] == ("tool-use → anthropic (before 2 Jan)", 1)


def test_two_pasts_of_one_day_are_told_apart(path: Path, write: Write) -> None:
    for hour, rule_hash in [(6, "one"), (4, "two"), (2, "aaaaaaaaaaaa")]:
        write(request(NOW - hour * HOUR_MS, rule="tool-use → anthropic", rule_hash=rule_hash))
    assert [name for name, _ in names(path)][:3] == [
        "tool-use → anthropic",
        "tool-use → anthropic (before 18 Nov 12:30)",
        "tool-use → anthropic (before 18 Nov 10:30)",
    ]


def test_a_renamed_rule_keeps_its_sums(path: Path, write: Write) -> None:
    write(request(NOW - DAY_MS, rule="tools", rule_hash="aaaaaaaaaaaa"))
    write(request(rule="tool-use → anthropic", rule_hash="aaaaaaaaaaaa"))
    assert names(path)[0] == ("tool-use → anthropic", 2)


def test_a_removed_rule_follows_the_others_with_its_date(path: Path, write: Write) -> None:
    write(request(NOW - 2 * DAY_MS, rule="gone → groq", rule_hash="gone"))
    assert names(path)[3:] == [("gone → groq (before 17 Nov)", 1)]


def test_without_the_profiles_rules_labels_are_shown_as_recorded(path: Path, write: Write) -> None:
    write(request(rule="b", rule_hash="1") + request(rule="a", rule_hash="2"))
    assert names(path, []) == [("a", 1), ("b", 1)]


def test_rows_of_other_dimensions_begin_with_the_dearest(path: Path, write: Write) -> None:
    write(request(model="cheap", cost=1) + request(model="dear", cost=9) + request(model="free", cost=0))
    report = Reader(path).usage([Scope("work")], ("model",))
    assert [row.keys for row in report.rows] == [("dear",), ("cheap",), ("free",)]


def test_detail_has_percentiles_drafts_and_lost_caches_in_any_dimension(path: Path, write: Write) -> None:
    write([record for duration in range(1, 101) for record in request(duration_ms=float(duration), tags="ci nightly")])
    for verdict, cost, saving in (("rejected", 30, -30), ("accepted", 40, 25), (None, None, None)):
        begin, settle = request(duration_ms=None, tags="ci nightly")
        assert isinstance(begin, Begin)
        assert isinstance(settle, Settle)
        draft = AttemptRecord(
            begin.intent.id, 1, "draft", "a", "x", None, NOW, cost_nano_usd=cost, verdict=verdict,
            saving_nano_usd=saving,
        )  # type: ignore[arg-type]  # fmt: skip
        verifier = AttemptRecord(begin.intent.id, 2, "verifier", "a", "y", None, NOW, cost_nano_usd=70)
        settle.settlement.cache_lost = 1000
        settle.settlement.cache_lost_nano_usd = saving and 9
        write([begin, Settle(settle.settlement, (draft,) if verdict == "accepted" else (draft, verifier))])
    for by in (("rule",), ("day",), ("tag",), ("key", "tag")):
        report = Reader(path).usage([Scope("work")], by, detail=True)  # type: ignore[arg-type]
        assert len(report.rows) == (2 if "tag" in by else 1)
        for row in (*report.rows, report.total):
            assert row.latency == (50.0, 95.0, 100)
            assert row.drafts == DraftSums(3, 2, waste_nano_usd=30, saving_nano_usd=-5, unknown=1, waste_unknown=1)
            assert row.cache_loss == CacheLoss(3, 3000, cost_nano_usd=18, unknown=1)


def test_spent_sums_one_profile_since_a_moment(path: Path, write: Write) -> None:
    write(request(NOW, cost=3) + request(NOW - 1, cost=4) + request(NOW, cost=100, profile="home"))
    assert Reader(path).spent("work", NOW).cost_nano_usd == 3


def test_a_ledger_that_does_not_exist_yet_is_empty(path: Path) -> None:
    reader = Reader(path)
    assert reader.usage([Scope("work", rules=tuple(RULES))]).total.sums == Sums()
    assert reader.latest() == []
    assert reader.profiles() == []
    assert not path.exists()


def test_a_file_that_is_no_ledger_is_a_ledger_error(path: Path) -> None:
    path.write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(LedgerError, match=r"router\.db can't be read"):
        Reader(path).by_rule("work")


@pytest.mark.parametrize(("version", "remedy"), [(0, "start the server"), (len(MIGRATIONS) + 1, "update this one")])
def test_a_ledger_of_another_version_says_what_to_do(path: Path, write: Write, version: int, remedy: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(LedgerError, match=remedy):
        Reader(path).profiles()


def test_a_report_over_its_time_is_cut_off(path: Path, write: Write) -> None:
    write(some_requests(random.Random(1), 2_000))
    with pytest.raises(Unavailable, match="shorter period"):
        Reader(path, limit_s=0.0).usage([Scope("work"), Scope("home")], ("conversation", "tag", "model", "client"))


def test_reading_changes_nothing(path: Path, write: Write) -> None:
    write(request())
    before = path.read_bytes()
    Reader(path).by_rule("work", detail=True)
    with Reader(path)._open() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM requests")
    assert path.read_bytes() == before


def test_the_latest_requests_come_oldest_first_and_filtered(path: Path, write: Write) -> None:
    write(
        request(NOW - 3000, rule="a", rule_hash="1")
        + request(NOW - 2000, outcome="upstream-error", rule="b", rule_hash="2")
    )
    write(request(NOW - 1000, profile="home", outcome="client-gone", rule="a", rule_hash="1"))
    reader = Reader(path)
    ages = lambda rows: [NOW - row.time_ms for row in rows]  # noqa: E731
    assert ages(reader.latest()) == [3000, 2000, 1000]
    assert ages(reader.latest(limit=2)) == [2000, 1000]
    assert ages(reader.latest(profile="work")) == [3000, 2000]
    assert ages(reader.latest(failed=True)) == [2000]
    assert ages(reader.latest(profile="work", failed=True)) == [2000]
    assert ages(reader.latest(rule="a")) == [3000, 1000]
    assert ages(reader.latest(rule="a", profile="home")) == [1000]
    assert reader.latest(rule="never") == []
    first = reader.latest()[0].id
    assert ages(reader.latest(after=first)) == [2000, 1000]
    assert ages(reader.latest(after=first, profile="home", rule="a")) == [1000]
    assert ages(reader.latest(after=first, failed=True)) == [2000]


def test_one_request_is_found_by_the_beginning_of_its_id(path: Path, write: Write) -> None:
    records = request(NOW - 1) + request(NOW)
    write(records)
    assert isinstance(records[0], Begin)
    whole = records[0].intent.id
    found, attempts = Reader(path).request(whole)
    assert (found.id, attempts) == (whole, [])
    assert Reader(path).request(f"{NOW:012x}".upper())[0].time_ms == NOW
    with pytest.raises(ConfigError, match="no request"):
        Reader(path).request("ffff")
    with pytest.raises(ConfigError, match="several"):
        Reader(path).request(whole[:6])


@pytest.mark.parametrize(
    ("text", "index"),
    [
        pytest.param({"profile": "work"}, "requests_by_profile", id="one profile's latest come from its index"),
        pytest.param({"failed": True}, "requests_failed", id="failed ones from the index of failures"),
        pytest.param({}, "SCAN r", id="all profiles' from the end of the table"),
    ],
)
def test_the_latest_requests_need_no_sorting(path: Path, write: Write, text: dict[str, object], index: str) -> None:
    write(request())
    plans: list[str] = []
    with Reader(path)._open() as connection:
        seen: list[str] = []
        connection.set_trace_callback(seen.append)
        history.latest_requests(
            connection,
            profile=text.get("profile"),
            rule_hashes=None,
            failed=bool(text.get("failed")),
            limit=5,
            after=None,
        )  # type: ignore[arg-type]
        connection.set_trace_callback(None)
        plans = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {seen[0]}")]
    assert any(index in line for line in plans), plans
    assert not any("TEMP B-TREE" in line for line in plans), plans
