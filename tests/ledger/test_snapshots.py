"""Somebody reads the ledger for long: writing goes on, and so do reports; the log is taken up again afterwards."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.ledger.backup import back_up
from router.ledger.reports import Reader
from router.ledger.store import Ledger
from tests.support.records import made


async def write(ledger: Ledger, first: int, count: int) -> None:
    for number in range(first, first + count):
        for record in made(number):
            ledger.put(record)
        if number % 10 == 0:
            await ledger.put(made(number).annotate)
    await ledger.run(lambda connection: None)


@pytest.mark.slow
async def test_a_reader_that_stays_is_in_nobodys_way(tmp_path: Path) -> None:
    path, log = tmp_path / "router.db", tmp_path / "router.db-wal"
    ledger = await Ledger.open(path)
    await ledger.run(lambda connection: connection.execute("PRAGMA wal_autocheckpoint = 100").close())
    await write(ledger, 1, 200)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM requests").fetchone() == (200,)
        await write(ledger, 201, 1_000)
        grown = log.stat().st_size
        assert ledger.failing is None
        assert ledger.spilled == 0
        assert Reader(path).by_rule("work").total.sums.requests == 1_200
        assert back_up(path, tmp_path / "copy.db").rows["requests"] == 1_200
        assert reader.execute("SELECT count(*) FROM requests").fetchone() == (200,), "its own moment"
    await write(ledger, 1_201, 1_000)
    assert log.stat().st_size < grown * 1.5, "the log begins anew instead of growing on"
    await ledger.close()
    assert not log.exists()
