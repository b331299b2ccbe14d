"""A copy of the ledger while it is written to: ``VACUUM INTO`` from one snapshot, checked, then put in its place whole.

It reads only, so that the one writer goes on. The copy has no free pages: nothing of what was deleted is in it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from router.errors import ConfigError, LedgerError, RouterError

Told = Callable[[str, float | None], object]
"""Is told what is being done, and how much of it is done (0 to 1) where that is known."""

_EVERY = 200_000  # SQLite instructions: some milliseconds
_LATE_MS = 3_600_000  # a request may be written so much later than it came


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished one: its size in bytes, and the rows of each table."""

    path: Path
    size: int
    rows: dict[str, int]


def back_up(source: Path, target: Path, *, replace: bool = False, told: Told = lambda what, share: None) -> Backup:
    """Copy the ledger ``source``, of whatever version, to the file ``target`` (mode 0600).

    Either the whole copy is there in the end or nothing. Raises ConfigError for a target that can't be one, LedgerError
    for a ledger that can't be read, RouterError where the copy fails; KeyboardInterrupt between two rows.
    """
    _check(source, target, replace=replace)
    with _copying(target), tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        copy = Path(folder) / "router.db"
        copy.touch(mode=0o600)
        with closing(_open(source)) as connection:
            before = _Seen(connection)
            _check_room(connection, target.parent)
            _vacuum_into(connection, copy, told)
            told("checking the copy", None)
            with closing(_open(copy)) as copied:
                rows = _verified(connection, copied, before)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        size = copy.stat().st_size
        copy.replace(target)
        return Backup(target, size, rows)


def _check(source: Path, target: Path, *, replace: bool) -> None:
    if not source.exists():
        raise ConfigError(f"there is no ledger {source} yet")
    if not target.parent.is_dir():
        raise ConfigError(f"the folder {target.parent} doesn't exist")
    own = {source.with_name(f"{source.name}{ending}").resolve() for ending in ("", "-wal", "-shm", "-journal")}
    if target.resolve() in own:
        raise ConfigError(f"{target} belongs to the ledger itself; name another file")
    if target.is_dir() or (target.exists() and not target.is_file()):
        raise ConfigError(f"{target} is no file; name one")
    if target.exists() and not replace:
        raise ConfigError(f"{target} is there already; name another file, or replace it with --force")


@contextmanager
def _copying(target: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from None  # raised first where SQLite told how far it is, which hides it
        raise RouterError(f"the backup {target} can't be written: {error}; nothing is left of it") from error
    except OSError as error:
        raise RouterError(f"the backup {target} can't be written: {error.strerror or error}") from error


def _open(path: Path) -> sqlite3.Connection:
    """A connection that reads. Raises LedgerError."""
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=1.0
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise LedgerError(f"the ledger {path} can't be read: {error}") from error
    connection.set_progress_handler(_listen, _EVERY)
    return connection


def _listen() -> None:
    """Called now and then, so that Ctrl-C is heard."""


def _check_room(connection: sqlite3.Connection, folder: Path) -> None:
    needed, free = _size(connection), shutil.disk_usage(folder).free
    if free < needed:
        raise RouterError(f"{folder} has {free / 1e6:,.0f} MB left, and the backup takes about {needed / 1e6:,.0f} MB")


def _size(connection: sqlite3.Connection) -> int:
    """What a copy takes, in bytes, about."""
    page, pages, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    return int(page * (pages - free))


def _vacuum_into(connection: sqlite3.Connection, copy: Path, told: Told) -> None:
    whole = max(1, _size(connection))

    def tell() -> None:
        told("copying", min(1.0, copy.stat().st_size / whole))

    connection.set_progress_handler(tell, _EVERY)
    connection.execute("VACUUM INTO ?", (str(copy),))
    connection.set_progress_handler(_listen, _EVERY)


# --- is it the same? --------------------------------------------------------------------------------------------------


class _Seen:
    """The ledger at one moment: each profile's oldest and newest request, and its version as this connection has it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.spans: dict[str, tuple[int, int]] = {}
        for (profile,) in connection.execute("SELECT DISTINCT profile FROM rollup_day").fetchall():
            oldest, newest = (
                connection.execute(f"SELECT {end}(time_ms) FROM requests WHERE profile = ?", (profile,)).fetchone()[0]
                for end in ("min", "max")
            )
            if oldest is not None:
                self.spans[profile] = oldest, newest
        (self.version,) = connection.execute("PRAGMA data_version").fetchone()


def _verified(connection: sqlite3.Connection, copied: sqlite3.Connection, before: _Seen) -> dict[str, int]:
    """The rows of the copy's tables, once it is known to be sound. Raises RouterError.

    Where nobody wrote meanwhile, every table has as many rows as the original. Otherwise each profile has as many
    requests, of those that were there all the time: the latest may have come, the oldest gone.
    """
    (sound,) = copied.execute("PRAGMA integrity_check(1)").fetchone()
    if sound != "ok":
        raise RouterError(f"the copy is damaged, and so may be the ledger: {sound}")
    rows = _rows(copied)
    connection.execute("BEGIN")  # one moment
    after = _Seen(connection)
    if before.version == after.version:
        same = rows == _rows(connection)
    else:
        spans = {
            profile: (after.spans[profile][0], newest - _LATE_MS)
            for profile, (_, newest) in before.spans.items()
            if profile in after.spans
        }
        same = all(_requests(copied, *each) == _requests(connection, *each) for each in spans.items())
    connection.execute("COMMIT")
    if not same:
        raise RouterError("the copy doesn't have the same rows as the ledger; please try again")
    return rows


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    names = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


def _requests(connection: sqlite3.Connection, profile: str, span: tuple[int, int]) -> int:
    (count,) = connection.execute(
        "SELECT count(*) FROM requests WHERE profile = ? AND time_ms BETWEEN ? AND ?", (profile, *span)
    ).fetchone()
    return int(count)
