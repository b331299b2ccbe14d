"""Erasing one profile: all of it goes and nothing else does, at any moment and while others write."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from router.ledger import erasing
from router.ledger.belongings import HEALTH, RULES, STANDING, SUMS
from router.ledger.erasing import compact, erase, under_way
from router.ledger.periods import DAY_MS, END, HOUR_MS
from router.ledger.reports import DIMENSIONS, Reader, Scope
from router.ledger.retention import delete_slice
from router.ledger.store import Ledger
from router.ledger.sums import NAMES
from router.ledger.writing import ROLLUP_SUMS, Record, RollupKey
from tests.ledger.test_combinations import FIRST, GONE_BEFORE, LAST, some_requests
from tests.support import ledgers
from tests.support.records import made

TABLES = ("requests", "attempts", *SUMS, RULES, *HEALTH, *STANDING)


@pytest_asyncio.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path / "router.db")
    yield opened
    await opened.close()


async def fill(ledger: Ledger, records: list[Record]) -> None:
    for record in records:
        ledger.put(record)

    def more(connection: sqlite3.Connection) -> None:
        for profile in ("work", "home"):
            for table in (*HEALTH, *STANDING):
                columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
                values = [f"{profile}{table}" if kind == "TEXT" else 1 for _, _, kind, *_ in columns]
                values[[name for _, name, *_ in columns].index("profile")] = profile
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    await ledger.run(more)
    while ledger.waiting:
        await asyncio.sleep(0.01)


def rows_of(path: Path, profile: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a profile as they stand in the file."""
    own = {"attempts": "request_id IN (SELECT id FROM requests WHERE profile = ?)"}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return {
            table: connection.execute(
                f"SELECT * FROM {table} WHERE {own.get(table, 'profile = ?')} ORDER BY 1, 2", (profile,)
            ).fetchall()
            for table in TABLES
        }


def reports(path: Path, since_ms: int) -> list[Any]:
    """What reports tell of a profile from some moment on."""
    found = [Reader(path).usage([Scope("work", since_ms)], (by,), now_ms=LAST) for by in DIMENSIONS]
    return [replace(report, first_ms=None) for report in found]


def test_every_table_is_some_profiles_or_of_its_requests() -> None:
    with closing(ledgers.create()) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert sorted(tables) == sorted(TABLES)
        for table in SUMS:
            columns = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
            assert columns == {SUMS[table], *RollupKey._fields[1:], *NAMES}
    assert NAMES == ROLLUP_SUMS


async def test_all_of_a_profile_goes_and_nothing_of_another(ledger: Ledger) -> None:
    await fill(ledger, some_requests(400))
    home = rows_of(ledger.path, "home")
    assert all(home.values())
    told: list[int] = []
    erased = await erase(ledger, "work", LAST + DAY_MS, also=(*HEALTH, *STANDING), told=told.append)
    assert erased == told[-1] > 200
    assert not any(rows_of(ledger.path, "work").values())
    assert rows_of(ledger.path, "home") == home
    assert Reader(ledger.path).profiles() == ["home"]
    assert await erase(ledger, "work", END) == 0, "a second time there is nothing left"


async def test_a_profile_that_stays_keeps_its_keys_and_its_port(ledger: Ledger) -> None:
    await fill(ledger, some_requests(50))
    await erase(ledger, "work", END, also=HEALTH)
    assert {table for table, rows in rows_of(ledger.path, "work").items() if rows} == set(STANDING)


@pytest.mark.parametrize(
    "before_ms",
    [
        pytest.param(GONE_BEFORE, id="a moment within an hour"),
        pytest.param(GONE_BEFORE - GONE_BEFORE % HOUR_MS, id="a whole hour"),
        pytest.param(GONE_BEFORE - GONE_BEFORE % DAY_MS, id="a whole day"),
    ],
)
async def test_what_came_later_stays_exactly_as_it_was(ledger: Ledger, before_ms: int) -> None:
    await fill(ledger, some_requests(400))
    before = reports(ledger.path, before_ms)
    home = rows_of(ledger.path, "home")
    await erase(ledger, "work", before_ms)
    assert reports(ledger.path, before_ms) == before
    assert before[0].total.sums.requests > 50
    left = reports(ledger.path, FIRST)
    assert [each.total for each in left] == [each.total for each in before], "and nothing came before"
    assert left[0].forgotten.requests == 0
    assert rows_of(ledger.path, "home") == home
    kept = rows_of(ledger.path, "work")
    assert min(row[3] for row in kept["requests"]) >= before_ms
    assert kept["keys"]


async def test_the_sums_of_requests_deleted_long_ago_go_too(ledger: Ledger) -> None:
    await fill(ledger, some_requests(400))
    await ledger.run(lambda connection: delete_slice(connection, "work", GONE_BEFORE, 10_000))
    later = reports(ledger.path, GONE_BEFORE + DAY_MS)
    await erase(ledger, "work", GONE_BEFORE + DAY_MS)
    assert reports(ledger.path, GONE_BEFORE + DAY_MS) == later
    assert Reader(ledger.path).usage([Scope("work", FIRST, GONE_BEFORE + DAY_MS)]).total.sums.requests == 0


@pytest.mark.slow
async def test_requests_under_way_stay_and_are_counted_when_they_end(ledger: Ledger) -> None:
    await fill(ledger, [record for number in range(1, 2_000) for record in made(number)])
    pair = made(1)
    last = made(5_000)
    await ledger.put(last.begin)
    assert await ledger.run(lambda connection: under_way(connection, "work")) == 1
    # One settles while the sums are being erased, another begins.
    erasure = asyncio.create_task(erase(ledger, "work", pair.begin.intent.time_ms + 10_000))
    await asyncio.sleep(0)
    await ledger.put(last.settle)
    later = made(20_000)
    await ledger.put(later.begin)
    await ledger.put(later.settle)
    await erasure
    total = Reader(ledger.path).by_rule("work").total.sums
    left = [row[0] for row in rows_of(ledger.path, "work")["requests"]]
    assert total.requests == len(left), "sums and requests agree, whichever came first"
    assert later.begin.intent.id in left


class Failing:
    """A ledger whose disk fails after some steps."""

    def __init__(self, ledger: Ledger, steps: int) -> None:
        self._ledger = ledger
        self._steps = steps

    async def run(self, job: Any) -> Any:
        self._steps -= 1
        if self._steps < 0:
            raise sqlite3.OperationalError("disk I/O error")
        return await self._ledger.run(job)


async def test_an_erasure_that_broke_off_is_taken_up_by_the_next(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(ledger, some_requests(400))
    home = rows_of(ledger.path, "home")
    monkeypatch.setattr(erasing, "SLICE", 20)
    chance = random.Random(5)
    for stop in (0, 3, 6, 20):
        failing = Failing(ledger, stop)
        with pytest.raises(sqlite3.OperationalError):
            await erase(failing, "work", GONE_BEFORE + chance.randrange(HOUR_MS))  # type: ignore[arg-type]
        report = Reader(ledger.path).usage([Scope("work")], ("model",))
        assert report.total.sums.requests >= len(
            [r for r in rows_of(ledger.path, "work")["requests"] if r[1] != "count"]
        )
    await erase(ledger, "work", END, also=(*HEALTH, *STANDING))
    assert not any(rows_of(ledger.path, "work").values())
    assert rows_of(ledger.path, "home") == home


CANARY = "canary-3f1d"


def canaries(path: Path) -> dict[str, int]:
    files = {ending: path.with_name(path.name + ending) for ending in ("", "-wal", "-journal", ".spill")}
    return {ending: file.read_bytes().count(CANARY.encode()) for ending, file in files.items() if file.exists()}


async def test_nothing_of_it_is_left_in_the_file_nor_in_its_log(ledger: Ledger) -> None:
    rng = random.Random(2)
    for number in range(600):
        secret = number % 2
        profile, word = ("work", CANARY) if secret else ("home", "kept")
        request = made(
            number + 1, profile=profile, tags=f"{word} {word}", conversation=word, requested_model=word,
            trace=word * rng.randrange(30),
        )  # fmt: skip
        for record in request:
            ledger.put(record)
    await ledger.put(made(10_000, profile="home").begin)
    assert sum(canaries(ledger.path).values()) > 1_000
    await erase(ledger, "work", END)
    assert await compact(ledger) == (True, True, None)
    assert canaries(ledger.path) == {"": 0, "-wal": 0}
    assert Reader(ledger.path).by_rule("home").total.sums.requests == 300


async def test_a_large_file_is_not_rewritten_while_others_wait_but_overwritten(ledger: Ledger) -> None:
    for number in range(200):
        for record in made(number + 1, tags=CANARY):
            ledger.put(record)
    await ledger.put(made(1_000, profile="home").begin)
    count = canaries(ledger.path)
    await erase(ledger, "work", END)
    assert await compact(ledger, at_most=0) == (False, True, None)
    assert sum(canaries(ledger.path).values()) < sum(count.values()) / 20


@pytest.mark.slow
async def test_a_reader_that_stays_keeps_the_log_from_being_emptied(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "_PAUSE_S", 0.0)
    for record in made(1, tags=CANARY):
        await ledger.put(record)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM requests").fetchall()
        await erase(ledger, "work", END)
        monkeypatch.setattr(erasing, "_TRIES", 1)
        assert await compact(ledger) == (True, False, None)
        reader.execute("COMMIT")
        assert await compact(ledger) == (True, True, None)
    assert canaries(ledger.path) == {"": 0, "-wal": 0}


async def test_where_there_is_no_room_the_file_stays(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    await ledger.put(made(1).begin)

    def full(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(erasing, "_rewrite", full)
    assert await compact(ledger) == (False, True, "database or disk is full")
