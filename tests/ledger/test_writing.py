"""Records become rows once, in whatever order and however often they are written."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from router.ledger.migrations import MIGRATIONS
from router.ledger.writing import Begin, Record, Settle, write_records
from tests.support import ledgers
from tests.support.records import everything, made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(ledgers.create(path)) as connection:
        yield connection


def written(path: Path, batches: Iterable[list[Record]]) -> dict[str, list[tuple[object, ...]]]:
    with closing(ledgers.create(path)) as connection:
        for batch in batches:
            write_records(connection, batch)
    return everything(path)


def test_a_settled_request_is_one_row_one_call_and_one_in_the_sums(connection: sqlite3.Connection, path: Path) -> None:
    write_records(connection, list(made()))
    rows = everything(path)
    assert {table: len(of_table) for table, of_table in rows.items()} == {
        "requests": 1, "attempts": 1, "rollup": 1, "rollup_day": 1, "rules": 1,
    }  # fmt: skip
    columns = "state, outcome, input, output, cost_nano_usd, facts"
    row = connection.execute(f"SELECT {columns} FROM requests").fetchone()
    assert row == ("settled", "ok", 10, 5, 700, '{"tools": 2}')
    assert connection.execute("SELECT requests, cost_nano_usd FROM rollup").fetchone() == (1, 700)


def test_writing_everything_again_changes_nothing(path: Path, tmp_path: Path) -> None:
    records = [record for number in range(1, 30) for record in made(number)]
    once = written(path, [records])
    for repeat in (2, 3):
        assert written(tmp_path / f"{repeat}.db", [records] * repeat) == once


@pytest.mark.slow
def test_how_records_are_batched_makes_no_difference(path: Path, tmp_path: Path) -> None:
    records: list[Record] = [record for number in range(1, 30) for record in made(number)]
    once = written(path, [records])
    rng = random.Random(7)
    for case in range(20):
        remaining, batches = list(records), []
        while remaining:
            size = rng.randint(1, 12)
            batches.append(remaining[:size])
            remaining = remaining[size - rng.randint(0, min(size - 1, 3)) :]  # some are written twice
        assert written(tmp_path / f"{case}.db", batches) == once


def test_a_drafts_verdict_and_what_a_prompt_cache_lost_are_written(connection: sqlite3.Connection) -> None:
    one = made(cache_lost=900, cache_lost_nano_usd=27)
    (call,) = one.settle.attempts
    begun = Begin(one.begin.intent, replace(call, role="draft"))
    draft = replace(call, role="draft", verdict="accepted", score=0.75, saving_nano_usd=-5)
    write_records(connection, [begun, replace(one.settle, attempts=(draft,)), one.annotate])
    columns = "role, verdict, score, saving_nano_usd"
    assert connection.execute(f"SELECT {columns} FROM attempts").fetchone() == ("draft", "accepted", 0.75, -5)
    assert connection.execute("SELECT cache_lost, cache_lost_nano_usd FROM requests").fetchone() == (900, 27)


@pytest.mark.parametrize("together", [True, False], ids=["with the settlement", "after it"])
def test_what_a_prompt_cache_lost_may_be_found_out_with_the_facts(
    connection: sqlite3.Connection, together: bool
) -> None:
    one = made()
    note = replace(one.annotate, cache_lost=900, cache_lost_nano_usd=27)
    write_records(connection, [one.begin, replace(one.settle, annotation=note if together else None)])
    write_records(connection, [one.annotate if together else note])
    assert connection.execute("SELECT cache_lost, cache_lost_nano_usd FROM requests").fetchone() == (900, 27)


def test_the_sums_count_calls_and_requests_with_a_fallback_or_a_draft(connection: sqlite3.Connection) -> None:
    for number, roles in enumerate([("primary",), ("primary", "retry"), ("draft", "verifier", "fallback")], 1):
        one = made(number, attempts=len(roles))
        (call,) = one.settle.attempts
        calls = tuple(replace(call, number=place, role=role) for place, role in enumerate(roles, 1))  # type: ignore[arg-type]
        write_records(connection, [one.begin, replace(one.settle, attempts=calls)])
    for table in ("rollup", "rollup_day"):
        row = connection.execute(f"SELECT requests, attempts, fallbacks, drafted FROM {table}").fetchone()
        assert row == (3, 6, 1, 1)


def test_an_older_ledger_gets_the_calls_of_its_hours(path: Path) -> None:
    """Sums whose requests are all kept get their calls; the others one each, and another one for a fallback."""
    usual = "'r', 'h', 'generate', ?, 'm', 'sdk', ''"
    zeros = ", ".join("0" * 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for migration in MIGRATIONS[:4]:
            connection.executescript(migration)
        for table in ("rollup", "rollup_day"):
            for provider, requests, fallbacks in (("a", 2, 1), ("deleted", 5, 2), ("", 3, 0)):
                connection.execute(
                    f"INSERT INTO {table} VALUES (0, 'work', {usual}, ?, {zeros}, ?)", (provider, requests, fallbacks)
                )
        for request_id, attempts in (("1", 1), ("2", 3)):
            connection.execute(
                "INSERT INTO requests (id, kind, state, time_ms, profile, rule, rule_hash, file_hash, client, api, "
                "requested_model, provider, model, stream, reason, attempts) VALUES (?, 'generate', 'settled', 5, "
                "'work', 'r', 'h', 'f', 'sdk', 'openai-chat', 'm', 'a', 'm', 0, '', ?)",
                (request_id, attempts),
            )
        for migration in MIGRATIONS[4:]:
            connection.executescript(migration)
        for table in ("rollup", "rollup_day"):
            found = connection.execute(f"SELECT provider, attempts FROM {table} ORDER BY 1").fetchall()
            assert found == [("", 0), ("a", 4), ("deleted", 7)]


COMPARED = "at_default, at_default_nano_usd, at_default_paid_nano_usd, at_requested, at_requested_nano_usd"


def compared(connection: sqlite3.Connection) -> tuple[object, ...]:
    """What the sums say of the one request there is; those of the day say the same."""
    hour, day = (connection.execute(f"SELECT {COMPARED} FROM {table}").fetchall() for table in ("rollup", "rollup_day"))
    assert hour == day
    return tuple(*hour)


def test_what_a_request_would_have_cost_is_in_the_sums_whenever_it_is_found_out(connection: sqlite3.Connection) -> None:
    with_it = made(at_default_nano_usd=900, baselines="first")
    write_records(connection, [with_it.begin, with_it.settle])
    assert compared(connection) == (1, 900, 700, 0, 0)
    late = made(2)
    write_records(connection, [late.begin, late.settle])
    assert compared(connection) == (1, 900, 700, 0, 0)
    note = replace(late.annotate, at_default_nano_usd=50, at_requested_nano_usd=60, baselines="second")
    write_records(connection, [note])
    assert compared(connection) == (2, 950, 1400, 1, 60)
    columns = "at_default_nano_usd, at_requested_nano_usd, baselines"
    rows = connection.execute(f"SELECT {columns} FROM requests ORDER BY id").fetchall()
    assert rows == [(900, None, "first"), (50, 60, "second")]


def test_what_a_request_would_have_cost_is_found_out_once(connection: sqlite3.Connection, path: Path) -> None:
    one = made()
    note = replace(one.annotate, at_default_nano_usd=50, baselines="first")
    write_records(connection, [one.begin, one.settle, note])
    before = everything(path)
    write_records(connection, [note, replace(note, at_default_nano_usd=51, baselines="other"), *one])
    assert everything(path) == before
    write_records(connection, [replace(note, at_requested_nano_usd=60)])
    assert compared(connection) == (1, 50, 700, 1, 60)


@pytest.mark.parametrize(
    ("cost", "at_default", "expected"),
    [
        pytest.param(None, 900, (0, 0, 0, 0, 0), id="the cost isn't known"),
        pytest.param(700, None, (0, 0, 0, 0, 0), id="the baseline isn't"),
        pytest.param(0, 0, (1, 0, 0, 0, 0), id="both are nothing, which is known"),
        pytest.param(700, 100, (1, 100, 700, 0, 0), id="it would have been cheaper"),
    ],
)
@pytest.mark.parametrize("late", [False, True], ids=["with the settlement", "after it"])
def test_only_what_is_known_of_both_is_compared(
    connection: sqlite3.Connection, cost: int | None, at_default: int | None, expected: tuple[int, ...], late: bool
) -> None:
    one = made(cost=cost, at_default_nano_usd=None if late else at_default)
    write_records(connection, [one.begin, one.settle, replace(one.annotate, at_default_nano_usd=at_default)])
    assert compared(connection) == expected


def test_a_baseline_may_be_written_before_the_settlement_that_was_spilled(connection: sqlite3.Connection) -> None:
    one = made()
    write_records(connection, [one.begin, replace(one.annotate, at_default_nano_usd=50, baselines="first")])
    assert connection.execute("SELECT count(*) FROM rollup").fetchone() == (0,)
    write_records(connection, [one.settle])
    assert compared(connection) == (1, 50, 700, 0, 0)
    assert connection.execute("SELECT baselines FROM requests").fetchone() == ("first",)


def test_what_is_found_out_of_a_request_that_is_gone_changes_nothing(
    connection: sqlite3.Connection, path: Path
) -> None:
    one = made()
    write_records(connection, [one.begin, one.settle])
    connection.execute("DELETE FROM requests")
    before = everything(path)
    write_records(connection, [replace(one.annotate, at_default_nano_usd=50)])
    assert everything(path) == before


def test_the_sums_have_what_calls_cost_that_another_one_followed(connection: sqlite3.Connection) -> None:
    one = made(attempts=3, cost=None)
    (call,) = one.settle.attempts
    calls = tuple(replace(call, number=number, cost_nano_usd=cost) for number, cost in enumerate((40, None, 700), 1))
    write_records(connection, [one.begin, replace(one.settle, attempts=calls)])
    for table in ("rollup", "rollup_day"):
        found = connection.execute(f"SELECT wasted_nano_usd, wasted_unknown FROM {table}").fetchone()
        assert found == (40, 1)


def test_an_older_ledger_gets_what_its_calls_have_wasted(path: Path) -> None:
    with closing(ledgers.create(path)) as connection:
        for number, costs in enumerate([(700,), (40, 700), (5, None, 700)], 1):
            one = made(number, attempts=len(costs))
            (call,) = one.settle.attempts
            calls = tuple(replace(call, number=place, cost_nano_usd=cost) for place, cost in enumerate(costs, 1))
            write_records(connection, [one.begin, replace(one.settle, attempts=calls)])
        after = everything(path)
        (number,) = (number for number, text in enumerate(MIGRATIONS) if "wasted_nano_usd" in text)
        for table in ("rollup", "rollup_day"):
            for column in ("wasted_nano_usd", "wasted_unknown", "held_nano_usd"):
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("ALTER TABLE requests DROP COLUMN baselines")
        connection.execute("CREATE INDEX requests_held ON requests (profile, time_ms) WHERE held_nano_usd IS NOT NULL")
        for migration in MIGRATIONS[number:]:
            connection.executescript(migration)
        assert connection.execute("SELECT wasted_nano_usd, wasted_unknown FROM rollup").fetchone() == (45, 1)
        assert everything(path) == after


def test_an_older_ledger_gets_what_its_budgets_hold(path: Path) -> None:
    with closing(ledgers.create(path)) as connection:
        for number, held in enumerate([None, 40, 2], 1):
            one = made(number, cost=None)
            settlement = replace(one.settle.settlement, held_nano_usd=held)
            write_records(connection, [one.begin, replace(one.settle, settlement=settlement)])
        after = everything(path)
        (number,) = (number for number, text in enumerate(MIGRATIONS) if "DROP INDEX requests_held" in text)
        for table in ("rollup", "rollup_day"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN held_nano_usd")
        connection.execute("CREATE INDEX requests_held ON requests (profile, time_ms) WHERE held_nano_usd IS NOT NULL")
        connection.executescript(MIGRATIONS[number])
        assert connection.execute("SELECT held_nano_usd FROM rollup").fetchall() == [(42,)]
        assert everything(path) == after


def test_a_later_settlement_of_a_settled_request_is_ignored(connection: sqlite3.Connection, path: Path) -> None:
    one = made()
    write_records(connection, [one.begin, one.settle])
    before = everything(path)
    other = Settle(
        replace(one.settle.settlement, outcome="interrupted", cost_nano_usd=10**9),
        tuple(replace(attempt, cost_nano_usd=10**9) for attempt in one.settle.attempts),
    )
    write_records(connection, [other])
    assert everything(path) == before


def test_a_beginning_that_comes_after_the_end_opens_nothing_again(connection: sqlite3.Connection, path: Path) -> None:
    one = made()
    write_records(connection, [one.begin, one.settle])
    before = everything(path)
    write_records(connection, [one.begin])
    assert everything(path) == before


def test_a_call_that_was_announced_but_never_made_leaves_no_row(connection: sqlite3.Connection) -> None:
    """As when the ledger was locked and the profile serves nothing unrecorded."""
    one = made()
    refused = replace(one.settle.settlement, outcome="refused", status=503, attempts=0, usage=None, cost_nano_usd=None)
    write_records(connection, [one.begin])
    write_records(connection, [Settle(refused)])
    assert connection.execute("SELECT state, outcome, attempts FROM requests").fetchall() == [("settled", "refused", 0)]
    assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (0,)


def test_a_failing_batch_leaves_nothing_of_itself(connection: sqlite3.Connection, path: Path) -> None:
    good, bad = made(1), made(2)
    broken = Begin(replace(bad.begin.intent, rule=None))  # type: ignore[arg-type]
    write_records(connection, list(good))
    before = everything(path)
    with pytest.raises(sqlite3.IntegrityError):
        write_records(connection, [*made(3), broken])
    assert not connection.in_transaction
    assert everything(path) == before


def test_every_order_of_one_requests_records_counts_it_at_most_once(tmp_path: Path) -> None:
    for case, order in enumerate(itertools.permutations(made())):
        rows = written(tmp_path / f"{case}.db", [[record] for record in order])
        assert len(rows["requests"]) <= 1
        assert sum(line[9] for line in rows["rollup"]) <= 1
