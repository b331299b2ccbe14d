"""The ledger's writing goes to another process and comes back: no record is lost on the way, none counts twice."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from router.ledger import forwarding, store
from router.ledger.forwarding import Forwarded
from router.ledger.lock import HomeLock, holder
from router.ledger.record_lines import decode, encode
from router.ledger.spill import Spill
from router.ledger.store import Ledger
from router.ledger.writing import Record, Settle, request_of
from tests.support.records import made
from tests.support.serving import read_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


class Wire:
    """What is between two ledgers. Cut, nothing passes any more."""

    def __init__(self, to: Forwarded) -> None:
        self.to = to
        self.cut = False

    async def send(self, records: list[Record]) -> None:
        if self.cut:
            raise ConnectionError("cut")
        arrived = [decode(encode(record)) for record in records]
        await self.to.store(record for record in arrived if record is not None)


@asynccontextmanager
async def handed_over(path: Path, *open_numbers: int) -> AsyncIterator[tuple[Ledger, Ledger, Wire]]:
    """An old ledger with these requests open, a new one, and the wire from the first to the second."""
    old = await Ledger.open(path)
    await asyncio.gather(*[old.put(made(number).begin) for number in open_numbers])
    await old.hand_over()
    requests = {made(number).begin.intent.id: "work" for number in open_numbers}
    new = await Ledger.open(path, under_way=requests)
    wire = Wire(Forwarded(new, requests, lambda profile, record: None))
    old.forward(wire.send)
    try:
        yield old, new, wire
    finally:
        await old.close()
        await new.close()


def outcomes(path: Path) -> list[str | None]:
    return [row["outcome"] for row in read_rows(path)]


async def test_requests_under_way_end_through_the_other_process(path: Path) -> None:
    async with handed_over(path, 1, 2) as (old, new, _):
        assert outcomes(path) == [None, None], "not taken for interrupted ones"
        await old.put(made(1).settle)
        assert outcomes(path) == ["ok", None], "committed when its future is done"
        await asyncio.gather(*[old.put(record) for record in made(3)])
        await asyncio.gather(*[new.put(record) for record in made(4)])
        await old.put(made(2).settle)
    assert outcomes(path) == ["ok"] * 4
    assert sum(line["requests"] for line in read_rows(path, "rollup")) == 4


async def test_what_a_request_would_have_cost_is_found_out_by_the_old_process(path: Path) -> None:
    """Its row was settled by the new one; the sums have both, once."""
    one = made(1)
    note = replace(one.annotate, at_default_nano_usd=900, baselines='{"default":{"provider":"a","model":"b"}}')
    async with handed_over(path, 1) as (old, _, _):
        await old.put(one.settle)
        await old.put(note)
        await old.put(note)
    (row,) = read_rows(path)
    assert (row["at_default_nano_usd"], row["baselines"]) == (900, note.baselines)
    for table in ("rollup", "rollup_day"):
        (line,) = read_rows(path, table)
        assert (line["at_default"], line["at_default_nano_usd"], line["at_default_paid_nano_usd"]) == (1, 900, 700)


async def test_what_is_put_between_the_two_waits(path: Path) -> None:
    old = await Ledger.open(path)
    await old.put(made(1).begin)
    await old.hand_over()
    futures = [old.put(record) for record in (made(1).settle, *made(2))]
    impatient = old.put(made(3).begin, patience_s=0.01)
    assert await impatient is False
    assert old.unwritten == {made(number).begin.intent.id for number in (1, 2, 3)}
    assert not any(future.done() for future in futures)
    new = await Ledger.open(path, under_way=old.unwritten)
    old.forward(Wire(Forwarded(new, {}, lambda profile, record: None)).send)
    await asyncio.gather(*futures)
    assert outcomes(path) == ["ok", "ok", None]
    await old.close()
    await new.close()


@pytest.mark.parametrize("forwarding", [False, True], ids=["before a record went over", "after some did"])
async def test_it_is_taken_back_when_the_other_process_ends(
    forwarding: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_S", 0.01)
    old = await Ledger.open(path)
    await old.put(made(1).begin)
    await old.hand_over()
    if forwarding:
        new = await Ledger.open(path, under_way={made(1).begin.intent.id})
        wire = Wire(Forwarded(new, {}, lambda profile, record: None))
        old.forward(wire.send)
        await old.put(made(2).begin)
        wire.cut = True
        await new.close()
    futures = [old.put(made(1).settle), old.put(made(2).begin), old.put(made(2).settle)]
    await asyncio.sleep(0.05)
    assert not any(future.done() for future in futures)
    await old.take_back()
    await asyncio.gather(*futures)
    assert await old.run(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    await old.close()
    assert outcomes(path) == ["ok", "ok"]
    assert old.failing is None


async def test_jobs_wait_until_it_is_clear_who_writes(path: Path) -> None:
    old = await Ledger.open(path)
    await old.hand_over()
    jobs = [asyncio.create_task(old.run(lambda connection: connection.total_changes)) for _ in range(2)]
    await asyncio.sleep(0.02)
    assert not any(job.done() for job in jobs)
    old.forward(Wire(Forwarded(old, {}, lambda profile, record: None)).send)
    for job in jobs:
        with pytest.raises(sqlite3.ProgrammingError, match="another process"):
            await job
    await old.close()


async def test_without_the_other_process_records_are_spilled_and_taken_in_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_S", 0.01)
    async with handed_over(path, 1, 2) as (old, _, wire):
        wire.cut = True
        waiting = old.put(made(1).settle)
        await old.close()
        assert await waiting
        assert await old.put(made(2).settle), "spilled at once"
        assert outcomes(path) == [None, None]
        await wire.to.end()
        assert outcomes(path) == ["ok", "ok"], "what it spilled wins over an interruption"
    assert not list(path.parent.glob("router.spill*"))


async def test_what_a_dead_process_left_open_is_interrupted_and_nothing_else(path: Path) -> None:
    async with handed_over(path, 1, 2) as (old, new, wire):
        await new.put(made(3).begin)
        await asyncio.gather(old.put(made(4).begin), old.put(made(2).settle))
        await wire.to.end()
        assert outcomes(path) == ["interrupted", "ok", None, "interrupted"]
        assert {row["maybe_billed"] for row in read_rows(path, "attempts", "error_class = 'interrupted'")} == {1}


async def test_who_ends_is_told_with_its_profile(path: Path) -> None:
    told: list[tuple[str, str, str]] = []

    def note(profile: str, record: Record) -> None:
        told.append((profile, type(record).__name__, request_of(record)))

    ledger = await Ledger.open(path)
    forwarded = Forwarded(ledger, {made(1).begin.intent.id: "home"}, note)
    await forwarded.store([made(1).settle, made(1).annotate, *made(2, profile="work"), made(2).settle])
    first, second = made(1).begin.intent.id, made(2).begin.intent.id
    assert told == [("home", "Settle", first), ("work", "Begin", second), ("work", "Settle", second)]
    assert forwarded.requests == {}
    await ledger.close()


async def test_a_chain_of_three(path: Path) -> None:
    async with handed_over(path, 1) as (first, second, wire):
        await second.put(made(2).begin)
        await second.hand_over()
        under_way = {*wire.to.requests, made(2).begin.intent.id}
        third = await Ledger.open(path, under_way=under_way)
        second.forward(Wire(Forwarded(third, {}, lambda profile, record: None)).send)
        await asyncio.gather(first.put(made(1).settle), second.put(made(2).settle))
        assert outcomes(path) == ["ok", "ok"]
        await first.close()
        await wire.to.end()
        await second.close()
        await third.close()


async def test_two_processes_spill_into_one_file_while_one_reads_it(path: Path) -> None:
    one, other = Spill(path.with_suffix(".spill")), Spill(path.with_suffix(".spill"))
    found: list[Record] = []

    def append(spill: Spill, first: int) -> None:
        for number in range(first, first + 200):
            spill.append([made(number).settle])

    writing = [
        asyncio.create_task(asyncio.to_thread(append, spill, first)) for spill, first in ((one, 1), (other, 1000))
    ]
    while not all(task.done() for task in writing):
        found += await asyncio.to_thread(one.read)
        one.clear()
    found += one.read()
    one.clear()
    ids = [record.settlement.id for record in found if isinstance(record, Settle)]
    assert len(ids) == len(set(ids)) == 400
    assert not list(path.parent.glob("router.spill*"))


def test_the_lock_is_held_as_long_as_one_of_both_holds_it(path: Path) -> None:
    lock = HomeLock(path.with_name("router.lock")).acquire()
    adopted = HomeLock.adopt(lock.path, os.dup(lock.fd))
    lock.release()
    assert holder(lock.path) == os.getpid()
    adopted.release()
    assert holder(lock.path) is None


async def test_what_a_dead_process_left_is_settled_once_the_database_is_free(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "RETRY_S", 0.01)
    async with handed_over(path, 1) as (_, _, wire):
        locked = iter([True, True])

        def prepare(connection: sqlite3.Connection) -> list[str]:
            if next(locked, False):
                raise sqlite3.OperationalError("database is locked")
            return found(connection)

        found = store._open_ids
        monkeypatch.setattr(store, "_open_ids", prepare)
        await wire.to.end()
        assert outcomes(path) == ["interrupted"]
