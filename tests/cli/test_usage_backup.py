"""``router usage backup``: a whole, checked copy or none, whoever writes meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from router.errors import RouterError
from router.ledger import backup
from router.ledger.backup import back_up
from router.ledger.reports import Reader
from router.ledger.retention import delete_slice
from router.ledger.writing import write_records
from router.profile.home import Home
from tests.support.records import everything

NOW = time.time_ns() // 1_000_000


def test_a_backup_is_the_ledger_in_a_file_of_the_users_own(run: Any, book: Any, home: Home, tmp_path: Path) -> None:
    for number in range(20):
        book.add(time_ms=NOW - number, tags=f"t{number}")
    target = tmp_path / "copy.db"
    before = os.umask(0)
    try:
        result = run("usage", "backup", str(target))
    finally:
        os.umask(before)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{target}: ")
    assert result.stdout.endswith(" KB, 20 requests, 20 calls; checked.\n")
    assert target.stat().st_mode & 0o777 == 0o600
    assert everything(target) == everything(home.database)
    assert sorted(os.listdir(tmp_path)) == ["copy.db", "home"], "nothing is left beside it"


def test_a_backup_put_in_its_place_is_the_ledger_again(run: Any, book: Any, home: Home, tmp_path: Path) -> None:
    book.add(time_ms=NOW, key="alice")
    told = json.loads(run("usage", "backup", str(tmp_path / "copy.db"), "--json").stdout)
    assert told["file"] == str(tmp_path / "copy.db")
    assert told["bytes"] == (tmp_path / "copy.db").stat().st_size
    assert (told["rows"]["requests"], told["rows"]["rollup"], told["rows"]["keys"]) == (1, 1, 0)
    report = run("usage", "--by", "key", "--json").stdout
    book.add(time_ms=NOW, key="bob")
    book.connection.close()
    for ending in ("", "-wal", "-shm"):
        home.database.with_name(f"router.db{ending}").unlink(missing_ok=True)
    (tmp_path / "copy.db").rename(home.database)
    assert run("usage", "--by", "key", "--json").stdout == report


def test_an_existing_file_is_replaced_only_by_force(run: Any, book: Any, tmp_path: Path) -> None:
    book.add(time_ms=NOW)
    target = tmp_path / "copy.db"
    target.write_text("something dear")
    refused = run("usage", "backup", str(target))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "is there already" in refused.stderr
    assert target.read_text() == "something dear"
    assert run("usage", "backup", str(target), "--force").exit_code == 0
    assert Reader(target).profiles() == ["work"]


class Wrong(NamedTuple):
    """A name that can't be a backup's, and what is said of it."""

    name: str
    said: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong("home/router.db", "belongs to the ledger itself"),
        Wrong("home/router.db-wal", "belongs to the ledger itself"),
        Wrong("link.db", "belongs to the ledger itself"),
        Wrong("nowhere/copy.db", "doesn't exist"),
        Wrong("home", "is no file"),
    ],
    ids=lambda wrong: wrong.name,
)
def test_the_ledger_itself_is_never_replaced(run: Any, book: Any, home: Home, tmp_path: Path, wrong: Wrong) -> None:
    book.add(time_ms=NOW)
    (tmp_path / "link.db").symlink_to(home.database)
    before = everything(home.database)
    result = run("usage", "backup", str(tmp_path / wrong.name), "--force")
    assert result.exit_code == 2
    assert wrong.said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert everything(home.database) == before


def test_where_there_is_no_ledger_there_is_nothing_to_copy(run: Any, home: Home, tmp_path: Path) -> None:
    result = run("usage", "backup", str(tmp_path / "copy.db"))
    assert (result.exit_code, "no ledger" in result.stderr) == (2, True)
    assert not (tmp_path / "copy.db").exists()


def test_a_damaged_ledger_is_told_of(run: Any, home: Home, tmp_path: Path) -> None:
    home.database.write_bytes(b"this is no database at all, whatever its name says" * 100)
    result = run("usage", "backup", str(tmp_path / "copy.db"))
    assert (result.exit_code, "can't be read" in result.stderr) == (3, True)
    assert sorted(os.listdir(tmp_path)) == ["home"]


def test_a_damaged_copy_gets_no_name(book: Any, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        book.add(time_ms=NOW - number)
    really = backup._vacuum_into

    def then_damage(connection: sqlite3.Connection, copy: Path, told: backup.Told) -> None:
        really(connection, copy, told)
        with copy.open("r+b") as file:
            file.seek(5 * 4096)
            file.write(b"\xff" * 4096)

    monkeypatch.setattr(backup, "_vacuum_into", then_damage)
    with pytest.raises(RouterError, match=r"damaged|malformed"):
        back_up(home.database, tmp_path / "copy.db")
    assert sorted(os.listdir(tmp_path)) == ["home"]


def test_a_copy_that_lacks_rows_gets_no_name(
    book: Any, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        book.add(time_ms=NOW - number)
    really = backup._vacuum_into

    def then_lose(connection: sqlite3.Connection, copy: Path, told: backup.Told) -> None:
        really(connection, copy, told)
        with closing(sqlite3.connect(copy, isolation_level=None)) as lossy:
            lossy.execute("DELETE FROM requests WHERE id IN (SELECT id FROM requests LIMIT 1)")

    monkeypatch.setattr(backup, "_vacuum_into", then_lose)
    with pytest.raises(RouterError, match="doesn't have the same rows"):
        back_up(home.database, tmp_path / "copy.db")
    assert sorted(os.listdir(tmp_path)) == ["home"]


def test_too_little_room_is_told_before_anything_is_written(
    run: Any, book: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.add(time_ms=NOW)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 12_000))  # type: ignore[attr-defined]
    result = run("usage", "backup", str(tmp_path / "copy.db"))
    assert result.exit_code == 1
    assert "MB left, and the backup takes about" in result.stderr
    assert sorted(os.listdir(tmp_path)) == ["home"]


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_nothing(book: Any, home: Home, tmp_path: Path) -> None:
    for number in range(500):
        book.add(time_ms=NOW - number)
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "from router.cli.main import main; main()"
    )
    arguments = ["usage", "backup", str(tmp_path / "copy.db"), "--home", str(home.path)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"router: the backup {tmp_path / 'copy.db'} can't be written: ")
    assert len(done.stderr.splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == ["home"]


@pytest.mark.slow
def test_others_write_and_delete_meanwhile(book: Any, home: Home, tmp_path: Path) -> None:
    """Old requests go, new ones come, in thousands: every copy is whole, sound and of one moment."""
    old = NOW - 10 * 3_600_000
    for number in range(0, 4_000, 500):
        write_records(book.connection, [r for n in range(500) for r in book.records(time_ms=old + number + n)])
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(home.database, isolation_level=None, timeout=10)) as connection:
            number = 0
            while not stop.is_set():
                number += 1
                write_records(connection, book.records(time_ms=NOW + number))
                if number % 3 == 0:
                    delete_slice(connection, "work", NOW, 5)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            back_up(home.database, tmp_path / f"{number}.db")
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        with closing(sqlite3.connect(tmp_path / f"{number}.db")) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            days, hours = (copy.execute(f"SELECT sum(requests) FROM {t}").fetchone() for t in ("rollup_day", "rollup"))
            assert days == hours
