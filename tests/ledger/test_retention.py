"""Old requests go with their calls; sums, younger requests, other profiles and running requests stay."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from router.ledger import retention
from router.ledger.reports import Reader
from router.ledger.retention import forget
from router.ledger.store import Ledger
from router.money.budget import PERIODS
from tests.support.records import made
from tests.support.serving import read_rows, serving, write_profile

NOW = 1_763_000_000_000 + 100_000  # requests are at 1_763_000_000_000 + number
OLD_S = 50.0  # so those up to number 49_999 are older
PROFILE = '[default]\nto = "demo"\nmodel = "m"\n'


async def test_what_is_too_old_goes_and_the_sums_stay(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    ledger = await Ledger.open(path)
    try:
        for number in (*range(1, 26), 60_000, 60_001):
            for record in made(number):
                ledger.put(record)
        for record in made(30, profile="other"):
            ledger.put(record)
        await ledger.put(made(31).begin)  # under way
        before = Reader(path).by_rule("work").total
        assert await forget(ledger, lambda: [("work", OLD_S), ("absent", OLD_S)], NOW, slice_=10) == 25
        assert [int(row["id"], 16) for row in read_rows(path)] == [30, 31, 60_000, 60_001]
        assert [int(row["request_id"], 16) for row in read_rows(path, "attempts")] == [30, 31, 60_000, 60_001]
        assert Reader(path).by_rule("work").total == before
        assert before.sums.requests == 27
        assert await forget(ledger, lambda: [("work", OLD_S)], NOW) == 0
    finally:
        await ledger.close()


async def test_budgets_count_deleted_requests_too(tmp_path: Path) -> None:
    """What they did cost, and what was kept back for calls whose cost nobody knows."""
    path, zone = tmp_path / "router.db", ZoneInfo("UTC")
    ledger = await Ledger.open(path)
    try:
        for number, (cost, held) in enumerate([(700, None), (None, 40), (5, 6)], 1):
            one = made(number, cost=cost)
            ledger.put(one.begin)
            await ledger.put(replace(one.settle, settlement=replace(one.settle.settlement, held_nano_usd=held)))
        before = Reader(path).budget_past("work", zone, NOW)
        assert await forget(ledger, lambda: [("work", OLD_S)], NOW) == 3
        assert Reader(path).budget_past("work", zone, NOW).sums == before.sums
        assert [sum(before.sums[period].values()) for period in PERIODS] == [751, 751]
    finally:
        await ledger.close()


async def test_a_retention_that_changes_holds_from_the_next_slice_on(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path / "router.db")
    try:
        for number in range(1, 31):
            for record in made(number):
                ledger.put(record)
        await ledger.put(made(31).begin)
        told = iter([OLD_S, OLD_S, OLD_S, 200.0])  # once to begin with, then before each slice
        assert await forget(ledger, lambda: [("work", next(told))], NOW, slice_=10) == 20
        assert await forget(ledger, list, NOW) == 0
        gone = iter([[("work", OLD_S)], []])
        assert await forget(ledger, lambda: next(gone), NOW) == 0, "a profile that was removed keeps what it has"
    finally:
        await ledger.close()


async def test_a_changed_retention_is_taken_up_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOOK_S", 0.005)
    home = tmp_path / "home"
    async with serving(home, {"work": PROFILE}) as router:
        await router.app.ledger.put(made(1).begin)
        await router.app.ledger.put(made(1).settle)
        assert len(await router.rows()) == 1
        write_profile(home, "work", PROFILE + '[ledger]\nretention = "1d"\n')
        await router.app.reload()
        while await router.rows():
            await asyncio.sleep(0.01)
    assert Reader(home / "router.db").by_rule("work").total.sums.requests == 1


async def test_others_are_written_between_the_slices(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path / "router.db")
    try:
        for number in range(1, 31):
            for record in made(number):
                ledger.put(record)
        await ledger.put(made(31).begin)
        deleting = asyncio.create_task(forget(ledger, lambda: [("work", OLD_S)], NOW, slice_=10))
        for record in made(60_000):
            await ledger.put(record)
        assert not deleting.done()
        assert await deleting == 30
    finally:
        await ledger.close()
