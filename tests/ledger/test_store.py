"""The ledger's writer under faults: full disks, locks, records that can't be stored, damaged files."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from router.errors import LedgerError
from router.ledger import store
from router.ledger.spill import Spill
from router.ledger.store import Ledger
from router.ledger.writing import Annotate, Begin, Settle, write_records
from tests.support import ledgers
from tests.support.records import everything, made
from tests.support.serving import read_rows
from tests.support.watchdog import watchdog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(path)
    try:
        yield ledger
    finally:
        await ledger.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def put_all(ledger: Ledger, *numbers: int) -> list[asyncio.Future[None]]:
    return [ledger.put(record) for number in numbers for record in made(number)]


async def test_a_record_is_committed_when_its_future_is_done(path: Path) -> None:
    async with opened(path) as ledger:
        for number in range(1, 20):
            for record in made(number):
                await ledger.put(record)
            assert len(read_rows(path)) == number
            assert read_rows(path)[-1]["state"] == "settled"


@pytest.mark.slow
async def test_closing_writes_what_waits_and_folds_the_log_in(path: Path) -> None:
    async with opened(path) as ledger:
        futures = put_all(ledger, *range(1, 2000))
    assert all(future.done() for future in futures)
    assert len(read_rows(path)) == 1999
    assert not path.with_name("router.db-wal").exists() or path.with_name("router.db-wal").stat().st_size == 0
    assert not path.with_suffix(".spill").exists()


async def test_files_are_the_users_own_under_any_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        async with opened(path) as ledger:
            await asyncio.gather(*put_all(ledger, 1))
            ledger.spill(made(2).begin)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("router.db", "router.db-wal", "router.db-shm", "router.spill"), 0o600)


# --- a full disk, a lock ----------------------------------------------------------------------------------------------


async def fill(ledger: Ledger, *, pages: int | None) -> None:
    """Let the database grow no more (None: as it likes)."""
    limit = 2**31 - 2 if pages is None else pages
    await ledger.run(lambda connection: connection.execute(f"PRAGMA max_page_count = {limit}").fetchone())


async def test_a_full_disk_delays_rows_and_loses_none(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "RETRY_S", 0.01)
    async with opened(path) as ledger:
        await asyncio.gather(*put_all(ledger, 1))
        await fill(ledger, pages=1)
        futures = put_all(ledger, *range(2, 400))
        async with watchdog():
            while ledger.failing is None:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.05)
        assert "full" in ledger.failing
        assert not any(future.done() for future in futures)
        await fill(ledger, pages=None)
        async with asyncio.timeout(10):
            await asyncio.gather(*futures)
        assert ledger.failing is None
    assert len(read_rows(path)) == 399
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1, "once, not at every attempt"


@pytest.mark.slow
async def test_beyond_the_bound_records_take_the_spill_file_and_come_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_S", 0.01)
    monkeypatch.setattr(store, "QUEUE_BOUND", 100)
    async with opened(path) as ledger:
        await fill(ledger, pages=1)
        futures = put_all(ledger, *range(1, 200))
        assert sum(future.done() for future in futures) == ledger.spilled == 597 - 100
        await fill(ledger, pages=None)
        async with asyncio.timeout(10):
            await asyncio.gather(*futures)
            while list(path.parent.glob("router.spill*")):
                await asyncio.sleep(0.002)
        assert {row["state"] for row in read_rows(path)} == {"settled"}
        assert len(read_rows(path)) == 199
        assert ledger.lost == 0


async def test_what_cannot_be_written_at_the_end_is_there_at_the_next_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_S", 0.01)
    ledger = await Ledger.open(path)
    await fill(ledger, pages=1)
    futures = put_all(ledger, *range(1, 50))
    async with asyncio.timeout(10):
        await ledger.close()
    assert all(future.done() for future in futures)
    assert read_rows(path) == []
    async with opened(path):
        assert len(read_rows(path)) == 49
        assert {row["outcome"] for row in read_rows(path)} == {"ok"}
    assert not path.with_suffix(".spill").exists()


async def test_importing_the_spill_file_twice_counts_once(path: Path) -> None:
    spill = Spill(path.with_suffix(".spill"))
    spill.append([record for number in range(1, 30) for record in made(number)])
    content = spill.path.read_bytes()
    async with opened(path):
        pass
    once = everything(path)
    spill.path.write_bytes(content)  # as if the process died between the commit and the removal
    async with opened(path):
        pass
    assert everything(path) == once
    assert len(once["requests"]) == 29


async def test_a_record_both_committed_and_spilled_counts_once(path: Path) -> None:
    """As when the commit took longer than the end of an answer may wait."""
    async with opened(path) as ledger:
        one = made()
        await asyncio.gather(ledger.put(one.begin), ledger.put(one.settle))
        once = everything(path)
        ledger.spill(one.settle)
        await ledger.put(made(2).begin)
        while list(path.parent.glob("router.spill*")):
            await asyncio.sleep(0.002)
        assert everything(path)["rollup"] == once["rollup"]


@pytest.mark.slow
async def test_a_foreign_lock_delays_rows_and_never_the_loop(path: Path) -> None:
    async with opened(path) as ledger:
        with locked(path):
            futures = put_all(ledger, *range(1, 100))
            async with watchdog(0.03):
                await asyncio.sleep(0.8)
            assert ledger.failing is not None
            assert not any(future.done() for future in futures)
            assert ledger.waiting == len(futures)
        async with asyncio.timeout(10):
            await asyncio.gather(*futures)
        assert len(read_rows(path)) == 99


async def test_the_spill_file_of_a_full_disk_is_counted_as_lost(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(path) as ledger:
        path.with_suffix(".spill").mkdir()  # can't be written either
        ledger.spill(made().begin)
        assert ledger.lost == 1
        assert "is lost" in caplog.text
        path.with_suffix(".spill").rmdir()


# --- records that can't be stored -------------------------------------------------------------------------------------

_ONE = made(2)
POISON = [
    pytest.param(Begin(replace(_ONE.begin.intent, tags="\udcff")), id="text that is no text"),
    pytest.param(Begin(replace(_ONE.begin.intent, rule=None)), id="nothing where something must be"),  # type: ignore[arg-type]
    pytest.param(Begin(replace(_ONE.begin.intent, time_ms=2**70)), id="a number too large"),
    pytest.param(Begin(replace(_ONE.begin.intent, time_ms="soon")), id="text for a number"),  # type: ignore[arg-type]
    pytest.param(Begin(replace(_ONE.begin.intent, client=object())), id="no value at all"),  # type: ignore[arg-type]
    pytest.param(Annotate(_ONE.begin.intent.id, "\ud800"), id="facts that are no text"),
    pytest.param(
        Settle(replace(made(1).settle.settlement, cost_nano_usd=2**63)), id="a cost beyond any account"
    ),
]  # fmt: skip


@pytest.mark.parametrize("poison", POISON)
async def test_a_record_that_cannot_be_stored_costs_only_itself(
    poison: Begin | Settle | Annotate, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(path) as ledger:
        await ledger.put(made(1).begin)
        futures = [*put_all(ledger, 3, 4), ledger.put(poison), *put_all(ledger, 5, 6)]
        async with asyncio.timeout(10):
            await asyncio.gather(*futures)
            await asyncio.gather(*put_all(ledger, 7))
        assert ledger.failing is None
        assert ledger.lost == 1
        assert "can't be stored" in caplog.text
        settled = read_rows(path, where="state = 'settled'")
        assert [int(row["id"], 16) for row in settled] == [3, 4, 5, 6, 7]


async def test_sums_that_overflow_do_not_stop_the_ledger(path: Path) -> None:
    async with opened(path) as ledger:
        async with asyncio.timeout(10):
            for number in range(1, 4):
                await asyncio.gather(*[ledger.put(record) for record in made(number, cost=2**62)])
            await asyncio.gather(*put_all(ledger, 9))
        assert ledger.failing is None
        assert ledger.lost > 0
        assert [row["id"] for row in read_rows(path)][-1] == made(9).begin.intent.id


async def test_a_spilled_record_that_cannot_be_stored_does_not_keep_the_others_out(path: Path) -> None:
    spill = Spill(path.with_suffix(".spill"))
    spill.append([*made(1)])
    spill.append([Begin(replace(made(2).begin.intent, time_ms=2**63))])
    spill.append([*made(3)])
    async with opened(path) as ledger:
        assert ledger.lost == 1
        assert [int(row["id"], 16) for row in read_rows(path)] == [1, 3]
    assert not spill.path.exists()


# --- what a dead process left -----------------------------------------------------------------------------------------


async def test_open_rows_are_interrupted_once(path: Path) -> None:
    async with opened(path) as ledger:
        await asyncio.gather(*put_all(ledger, 1), ledger.put(made(2).begin), ledger.put(made(3).begin))
        await ledger.run(lambda connection: connection.execute("DELETE FROM attempts WHERE request_id LIKE '%3'"))
    for _ in range(2):
        async with opened(path):
            pass
        rows = read_rows(path)
        assert [row["outcome"] for row in rows] == ["ok", "interrupted", "interrupted"]
        assert [row["attempts"] for row in rows] == [1, 1, 0]
        assert rows[1]["cost_nano_usd"] is None
        attempts = read_rows(path, "attempts")
        assert [(row["state"], row["error_class"], row["maybe_billed"]) for row in attempts] == [
            ("settled", None, 0),
            ("settled", "interrupted", 1),
        ]
        assert sum(line["requests"] for line in read_rows(path, "rollup")) == 3


async def test_an_end_in_the_spill_file_wins_over_an_interruption(path: Path) -> None:
    async with opened(path) as ledger:
        await ledger.put(made(1).begin)
        ledger.spill(made(1).settle)
    async with opened(path):
        assert [row["outcome"] for row in read_rows(path)] == ["ok"]


async def test_an_end_that_is_written_before_its_beginning_counts(path: Path) -> None:
    """The beginning may be in the spill file, or lost with the process."""
    async with opened(path) as ledger:
        for number, begin in ((1, True), (2, False)):
            one = made(number)
            await ledger.put(replace(one.settle, intent=one.begin.intent))
            if begin:
                ledger.spill(one.begin)
    async with opened(path):
        assert [(row["outcome"], row["cost_nano_usd"]) for row in read_rows(path)] == [("ok", 700)] * 2
        assert [row["cost_nano_usd"] for row in read_rows(path, "attempts")] == [700] * 2
        assert [(line["requests"], line["cost_nano_usd"]) for line in read_rows(path, "rollup")] == [(2, 1400)]


async def test_an_end_without_a_beginning_leaves_nothing(path: Path) -> None:
    async with opened(path) as ledger:
        await ledger.put(made(1).settle)
        assert read_rows(path) == read_rows(path, "attempts") == read_rows(path, "rollup") == []


async def test_what_could_not_be_taken_out_of_the_spill_file_is_not_interrupted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as ledger:
        await asyncio.gather(ledger.put(made(1).begin), ledger.put(made(2).begin))
        ledger.spill(made(1).settle)

    def full(*arguments: object) -> None:
        if any(isinstance(record, Settle) and record.settlement.outcome == "ok" for record in arguments[1]):  # type: ignore[attr-defined]
            raise sqlite3.OperationalError("database or disk is full")
        write_records(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_records", full)
        async with opened(path):
            assert [row["outcome"] for row in read_rows(path)] == [None, "interrupted"]
    async with opened(path):
        assert [row["outcome"] for row in read_rows(path)] == ["ok", "interrupted"]


# --- folding the log in -----------------------------------------------------------------------------------------------


def log_pages(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size // 4120 if log.exists() else 0


async def write_many(ledger: Ledger, first: int, count: int) -> None:
    for start in range(first, first + count, 20):
        await asyncio.gather(*(put for number in range(start, start + 20) for put in put_all(ledger, number)))


@pytest.mark.slow
async def test_the_log_is_folded_in_beside_the_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FOLD_CHANGES", 100)
    monkeypatch.setattr(store, "LONG_LOG", 300)
    async with opened(path) as ledger:
        await write_many(ledger, 1, 2_000)
        assert log_pages(path) < 2_000, "it began anew"
        await ledger._finish_folding()
    assert len(read_rows(path)) == 2_000


async def test_what_other_jobs_write_is_folded_in_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleting old requests, for one, while no new ones come."""
    async with opened(path) as ledger:
        await write_many(ledger, 1, 200)
        monkeypatch.setattr(store, "FOLD_CHANGES", 100)
        await ledger.run(lambda connection: connection.execute("DELETE FROM attempts"))
        assert ledger._folding is not None
        await ledger._finish_folding()
        folding = ledger._folding
        assert await ledger.empty_log()
        assert log_pages(path) == 0
        await ledger.run(lambda connection: connection.execute("SELECT 1"))
        assert ledger._folding is folding, "there is nothing to fold in"


@pytest.mark.slow
async def test_a_folding_that_fails_is_left_to_the_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FOLD_CHANGES", 100)

    def fails(*arguments: object) -> int:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store, "_fold", fails)
    async with opened(path) as ledger:
        await write_many(ledger, 1, 2_000)
        assert log_pages(path) < 2_000
    assert len(read_rows(path)) == 2_000


async def test_other_jobs_and_folding_never_meet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FOLD_CHANGES", 1)
    folding, met = False, 0

    def fold(*arguments: object) -> int:
        nonlocal folding
        folding = True
        time.sleep(0.005)
        folding = False
        return 0

    def job(connection: sqlite3.Connection) -> None:
        nonlocal met
        met += folding
        time.sleep(0.002)
        met += folding

    monkeypatch.setattr(store, "_fold", fold)
    async with opened(path) as ledger:

        async def jobs() -> None:
            for _ in range(20):
                await ledger.run(job)
                await asyncio.sleep(0.003)

        await asyncio.gather(jobs(), write_many(ledger, 1, 200))
        assert met == 0


async def test_who_hands_over_while_the_log_is_folded_in_and_gives_up_leaves_no_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FOLD_CHANGES", 1)
    monkeypatch.setattr(store, "_fold", lambda *arguments: time.sleep(0.1) or 0)
    threads = threading.active_count()
    ledger = await Ledger.open(path)
    await ledger.put(made(1).begin)
    handing_over = asyncio.create_task(ledger.hand_over())
    await asyncio.sleep(0.02)
    handing_over.cancel()
    await asyncio.wait({handing_over})
    await ledger.close()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert threading.active_count() <= threads


# --- files that can't be used -----------------------------------------------------------------------------------------


def database(path: Path, *, rows: int = 300) -> bytes:
    with closing(ledgers.create(path)) as connection:
        write_records(connection, [record for number in range(1, rows) for record in made(number)])
    return path.read_bytes()


def header_overwritten(path: Path) -> None:
    path.write_bytes(b"\x00" * 100 + database(path)[100:])


def not_a_database(path: Path) -> None:
    path.write_text("dear diary,\n" * 1000)


def cut_short(path: Path) -> None:
    path.write_bytes(database(path)[:5000])


def of_the_future(path: Path) -> None:
    database(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def somebody_elses(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")


UNUSABLE = [
    pytest.param(header_overwritten, "move it aside", id="its header is gone"),
    pytest.param(not_a_database, "move it aside", id="it is no database"),
    pytest.param(cut_short, "move it aside", id="most of it is missing"),
    pytest.param(of_the_future, "a newer router", id="a newer router wrote it"),
    pytest.param(somebody_elses, "no ledger", id="it is another program's"),
]


@pytest.mark.parametrize(("damage", "remedy"), UNUSABLE)
async def test_a_file_that_cannot_be_used_is_refused_and_left_alone(damage: object, remedy: str, path: Path) -> None:
    assert callable(damage)
    damage(path)
    before = path.read_bytes()
    threads = set(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else set()
    with pytest.raises(LedgerError, match=remedy) as raised:
        await Ledger.open(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_status == 3
    assert path.read_bytes() == before
    if threads:
        async with asyncio.timeout(10):
            while set(os.listdir("/proc/self/task")) - threads:
                await asyncio.sleep(0.01)


def damaged(path: Path, *tables: str) -> bytes:
    """A ledger of which the first pages of these tables are rubbish."""
    content = bytearray(database(path))
    with closing(sqlite3.connect(path)) as connection:
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        pages = [
            page for name, page in connection.execute("SELECT name, rootpage FROM sqlite_master") if name in tables
        ]
    for page in pages:
        content[(page - 1) * page_size : (page - 1) * page_size + 64] = b"\xa5" * 64
    path.write_bytes(content)
    return bytes(content)


async def test_a_damaged_page_where_every_start_looks_is_refused(path: Path) -> None:
    content = damaged(path, "requests")
    with pytest.raises(LedgerError, match="move it aside"):
        await Ledger.open(path)
    assert path.read_bytes() == content


async def test_a_damaged_page_elsewhere_is_shown_and_records_are_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_S", 0.01)
    damaged(path, "rollup")
    ledger = await Ledger.open(path)
    put_all(ledger, *range(1000, 1010))
    async with asyncio.timeout(10):
        while ledger.failing is None:
            await asyncio.sleep(0.005)
        assert "malformed" in ledger.failing
        await ledger.close()
    assert len(Spill(path.with_suffix(".spill")).read()) == 30


@pytest.mark.slow
async def test_a_locked_ledger_is_refused_at_the_start_with_what_to_do(path: Path) -> None:
    database(path, rows=2)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE requests SET state = 'open'")
        connection.commit()
    with locked(path), pytest.raises(LedgerError, match="another program"):
        await Ledger.open(path)
    async with opened(path):
        assert [row["outcome"] for row in read_rows(path)] == ["interrupted"]


async def test_places_where_no_ledger_can_be(path: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="doesn't exist"):
        await Ledger.open(tmp_path / "nowhere" / "router.db")
    real = tmp_path / "real.db"
    database(real, rows=2)
    path.symlink_to(real)
    with pytest.raises(LedgerError, match="not a regular file"):
        await Ledger.open(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(LedgerError, match="not a regular file"):
        await Ledger.open(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(LedgerError, match="not a regular file"):
        await Ledger.open(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
async def test_read_only_places_are_refused(path: Path) -> None:
    database(path, rows=2)
    path.chmod(0o400)
    with pytest.raises(LedgerError, match="read-only"):
        await Ledger.open(path)
    path.unlink()
    path.parent.chmod(0o500)
    try:
        with pytest.raises(LedgerError, match="can't be written to"):
            await Ledger.open(path)
    finally:
        path.parent.chmod(0o700)


async def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.touch(0o600)
    async with opened(path) as ledger:
        await asyncio.gather(*put_all(ledger, 1))
        assert len(read_rows(path)) == 1


async def test_a_log_that_was_not_folded_in_is_read(path: Path, tmp_path: Path) -> None:
    """As after a kill: the database and its log lie there side by side."""
    async with opened(path) as ledger:
        await asyncio.gather(*put_all(ledger, *range(1, 50)))
        copy = tmp_path / "copy" / "router.db"
        copy.parent.mkdir()
        for name in ("router.db", "router.db-wal"):
            (copy.parent / name).write_bytes((path.parent / name).read_bytes())
    async with opened(copy):
        assert len(read_rows(copy)) == 49
