"""The ledger's one writer: a queue, a task, one SQLite connection.

Whoever records puts a record into the queue, which never blocks, and may await the returned future: it is done when the
record is committed. While one commit runs, the next batch gathers, so commits are shared under load without a timer.
The database is written by this task only; reports read through connections of their own (``reports.py``).

SQLite's log is folded into the database in a thread of its own, since that waits for the disk. While others go on
writing it never gets to the log's end, so now and then the writer folds in the little that is left; then the log begins
anew. Only one of them is at it at any time, and the thread begins only when records have been committed since the last
folding was over: SQLite before 3.51.3 may lose what is committed while the log is folded that is all folded already
(https://sqlite.org/wal.html, "the WAL-reset bug").

At a restart the writing is handed over: ``hand_over`` closes the connection, then either ``forward`` sends every record
to the process that writes from now on, or ``take_back`` goes on as before. What is put in between waits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import aiosqlite

from router.errors import LedgerError
from router.ledger.entry import AttemptRecord, Settlement
from router.ledger.migrations import MIGRATIONS
from router.ledger.spill import Spill
from router.ledger.writing import Record, Settle, request_of, write_records

log = logging.getLogger("router.ledger")
T = TypeVar("T")

# Errors about a record, not about the database: trying again would fail for ever.
_UNSTORABLE = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    ValueError,  # text that isn't Unicode
    TypeError,
)

BATCH = 500  # records in one transaction
QUEUE_BOUND = 10_000  # records waiting; beyond it they go to the spill file
WATCH_S = 0.05  # how often those who wait are looked after
LONG_S = 3600.0
RETRY_S = 0.25  # pause after a failed transaction
FOLD_CHANGES = 2_000  # rows written between two foldings: about 16 MB of log
LONG_LOG = 16_384  # pages, 64 MB; from then on the writer folds in the rest
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # a committed row survives the death of this process; FULL is for power loss
    "PRAGMA busy_timeout = 250",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA wal_autocheckpoint = 0",  # see _fold
    "PRAGMA secure_delete = ON",  # what is deleted is overwritten, here as with builds of SQLite that do so anyway
)


Send = Callable[[list[Record]], Awaitable[None]]
"""Has another process keep records; done when they are committed. Raises ConnectionError where it is gone."""


class _Connection(aiosqlite.Connection):
    """A whole job in one trip to the connection's thread: a transaction can't be cancelled half-way."""

    changes = 0  # rows that succeeding jobs have written
    folded = 0  # of them before the log was last folded in

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self._execute(self._counted, job)  # type: ignore[no-any-return, no-untyped-call]

    def _counted(self, job: Callable[[sqlite3.Connection], T]) -> T:
        before = self._conn.total_changes
        result = job(self._conn)
        self.changes += self._conn.total_changes - before
        return result


class _Waiting(NamedTuple):
    """A record that isn't committed yet, who waits for it, and until when (the loop's time)."""

    record: Record
    future: asyncio.Future[bool]
    until: float

    def settle(self) -> None:
        if not self.future.done():
            self.future.set_result(True)


class Ledger:
    """Open with ``await Ledger.open(...)``, close with ``await ledger.close()``."""

    def __init__(self, path: Path, connection: _Connection) -> None:
        self.path = path
        self.failing: str | None = None  # why writing fails right now
        self.spilled = 0  # records that took the spill file since the start
        self.lost = 0  # records that could be kept nowhere; anything but 0 is shown as a problem
        self._connection: _Connection | None = connection  # None: another process writes
        self._send: Send | None = None  # to the process that writes in our place
        self._decided = asyncio.Event()  # whether it is clear which process writes
        self._decided.set()
        self._spill = Spill(path.with_suffix(".spill"))
        self._queue: deque[_Waiting] = deque()
        self._batch: list[_Waiting] = []  # being written right now
        self._watch: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._folding: asyncio.Task[None] | None = None
        self._jobs = 0  # other than writing records
        self._importing = asyncio.Lock()
        self._file = _identity(path)
        self._closing = False
        self._halted = False
        self._writer: asyncio.Task[None]

    @classmethod
    async def open(cls, path: Path, *, under_way: Collection[str] = ()) -> Ledger:
        """Open or create the ledger, bring its schema up to date and settle what a crash left open: every open row but
        those ``under_way`` in another process.

        Raises LedgerError with the remedy in its text; never deletes or overwrites a damaged file.
        """
        connection = await _connect(path)
        ledger = cls(path, connection)
        try:
            await ledger._recover(under_way)
        except sqlite3.Error as error:
            await connection.close()
            raise LedgerError(f"the ledger {path} can't be used: {error}; {_remedy(error)}") from error
        ledger._begin()
        return ledger

    def put(self, record: Record, *, patience_s: float = LONG_S) -> asyncio.Future[bool]:
        """Record, without waiting. Whoever waits for the future learns whether the record is on disk: true when it is
        committed (or spilled, at the queue's bound), false when that took longer than ``patience_s``, roughly; it is
        written all the same, later.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        if len(self._queue) >= QUEUE_BOUND or self._closing:
            self.spill(record)
            future.set_result(True)
            return future
        self._queue.append(_Waiting(record, future, loop.time() + patience_s))
        self._wake.set()
        if self._watch is None:
            # One timer for all that wait: a timer each would cost more than the record.
            self._watch = loop.call_later(WATCH_S, self._look)
        return future

    def _look(self) -> None:
        """Let those go on who have waited long enough."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for waiting in (*self._batch, *self._queue):
            if waiting.until <= now and not waiting.future.done():
                waiting.future.set_result(False)
        busy = self._batch or self._queue
        self._watch = loop.call_later(WATCH_S, self._look) if busy else None

    def spill(self, record: Record) -> None:
        """Keep a record in the spill file; if that fails too it is counted as lost. Committing it later is harmless."""
        try:
            self._spill.append([record])
            self.spilled += 1
        except OSError as error:
            self.lost += 1
            log.error("a ledger record is lost: %s", error)

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a small job of one's own on the writing connection, between two batches."""
        self._jobs += 1
        try:
            await self._finish_folding()
            return await self._on_writer(job)
        finally:
            self._jobs -= 1
            self._fold_soon()

    async def empty_log(self) -> bool:
        """Fold the whole log in and empty it; false where somebody who reads is in the way."""

        def job(connection: sqlite3.Connection) -> bool:
            emptied = _empty_log(connection)
            if self._connection is not None:
                self._connection.folded = self._connection.changes
            return emptied

        return await self.run(job)

    async def _on_writer(self, job: Callable[[sqlite3.Connection], T]) -> T:
        await self._decided.wait()
        if self._connection is None:
            raise sqlite3.ProgrammingError("another process writes it by now")
        return await self._connection.run(job)

    @property
    def waiting(self) -> int:
        """Records not committed yet."""
        return len(self._queue) + len(self._batch)

    @property
    def unwritten(self) -> set[str]:
        """The requests of which records are not committed yet."""
        return {request_of(waiting.record) for waiting in (*self._batch, *self._queue)}

    # --- handing over ---------------------------------------------------------------------------------------------

    async def hand_over(self) -> None:
        """Let go of the database, so that another process can write it."""
        self._decided.clear()
        await self._halt()
        assert self._connection is not None
        connection, self._connection = self._connection, None
        try:
            await self._finish_folding()
        finally:
            await connection.close()

    def forward(self, send: Send) -> None:
        """From now on another process keeps what is put here, and what was put since ``hand_over``."""
        self._send = send
        self._begin()

    async def take_back(self) -> None:
        """There is no other process after all: write again. Raises LedgerError where the database can't be used."""
        await self._halt()
        self._connection = await _connect(self.path)
        self._file = _identity(self.path)
        self._send = None
        self._begin()

    async def interrupt(self, ids: Collection[str]) -> int:
        """Another process is gone: take in what it spilled, and settle those of its requests that are open still.

        Where the writing has been handed on since then, that is left to who writes now.
        """
        await self._decided.wait()
        if self._connection is None:
            return 0
        spilled = await self._import_spill()
        if spilled is None:
            return 0
        ended = set(ids) - spilled
        return await self.run(
            lambda connection: _interrupt(connection, [id_ for id_ in _open_ids(connection) if id_ in ended])
        )

    async def _halt(self) -> None:
        self._halted = True
        self._wake.set()
        await asyncio.wait({self._writer})  # to its end, even if this is cancelled: it holds records

    def _begin(self) -> None:
        self._halted = False
        self._decided.set()
        self._writer = asyncio.create_task(self._write(), name="ledger writer")

    # --- writing --------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Write what is waiting, then close; records that can't be written are spilled, and so are later ones."""
        self._closing = True
        self._decided.set()
        self._wake.set()
        await self._writer
        for waiting in self._queue:
            self.spill(waiting.record)
            waiting.settle()
        self._queue.clear()
        if self._watch is not None:
            self._watch.cancel()
        if self._connection is None:
            return
        await self._finish_folding()
        try:
            await self._connection.run(_empty_log)
        except sqlite3.Error as error:
            log.warning("the ledger's log could not be folded in: %s", error)
        await self._connection.close()

    async def _write(self) -> None:
        while not self._halted:
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = self._batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            records = [waiting.record for waiting in batch]
            try:
                await (self._store(records) if self._send is None else self._send(records))
            except (sqlite3.Error, ConnectionError) as error:
                self._queue.extendleft(reversed(batch))
                self._batch = []
                if self.failing is None:
                    log.error("the ledger can't be written: %s; trying again", error)
                self.failing = str(error)
                if self._closing:
                    return
                await asyncio.sleep(RETRY_S)
                continue
            if self.failing is not None:
                log.warning("the ledger can be written again")
                self.failing = None
            self._batch = []
            for waiting in batch:
                waiting.settle()
            if self._spill.count and not self._queue and self._connection is not None:
                await self._import_spill()

    async def _store(self, records: list[Record]) -> None:
        """Commit the records together; if one of them can't be stored, each for itself, so that only that one is lost.

        Raises sqlite3.Error where the database is the problem."""
        try:
            await self._on_writer(lambda connection: write_records(connection, records))
            self._fold_soon()
        except _UNSTORABLE as error:
            if len(records) == 1:
                self.lost += 1
                log.error("a ledger record can't be stored: %s: %s", type(error).__name__, error)
                return
            for record in records:
                await self._store([record])

    def _fold_soon(self) -> None:
        """Fold the log in, if there is much in it and nobody is at it."""
        if (
            self._connection is not None
            and not self._closing
            and not self._jobs
            and (self._folding is None or self._folding.done())
            and self._connection.changes - self._connection.folded >= FOLD_CHANGES
        ):
            self._folding = asyncio.create_task(self._fold(self._connection), name="ledger folding")

    async def _finish_folding(self) -> None:
        """Wait until nobody is at it."""
        if self._folding is not None:
            await asyncio.wait({self._folding})

    async def _fold(self, connection: _Connection) -> None:
        try:
            try:
                pages = await asyncio.to_thread(_fold, self.path, self._file)
            except (sqlite3.Error, OSError, ValueError, RuntimeError) as error:
                log.warning("the ledger's log could not be folded in beside the writer: %s", error)
                pages = LONG_LOG
            if pages >= LONG_LOG and connection is self._connection:
                await connection.run(_fold_in)
        except (sqlite3.Error, ValueError) as error:  # the log grows, and it is tried again
            log.warning("the ledger's log could not be folded in: %s", error)
        finally:
            connection.folded = connection.changes

    async def _recover(self, under_way: Collection[str]) -> None:
        spilled = await self._import_spill()
        if spilled is None:
            return
        going_on = spilled.union(under_way)
        interrupted = await self.run(
            lambda connection: _interrupt(connection, [id_ for id_ in _open_ids(connection) if id_ not in going_on])
        )
        if interrupted:
            log.warning("%d requests were under way when the router stopped; marked as interrupted", interrupted)

    async def _import_spill(self) -> set[str] | None:
        """Write what was spilled. The requests whose records could be read and not be written, none where all is well;
        ``None``: nobody knows which they are."""
        async with self._importing:
            left = None
            try:
                records = self._spill.read()
                left = {request_of(record) for record in records}
                if records:
                    await self._store(records)
                self._spill.clear()
            except (sqlite3.Error, OSError) as error:
                log.error("the spill file %s could not be imported: %s", self._spill.path, error)
                return left
            return set()


def _fold(path: Path, file: tuple[int, int]) -> int:
    """Fold the log into the database, but for what is written meanwhile; the log's length in pages.

    Raises OSError where another ``file`` lies there by now: this one's log isn't that one's."""
    if _identity(path) != file:
        raise OSError(f"{path} has been replaced while it is written")
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0.25)) as connection:
        return _fold_in(connection)


def _identity(path: Path) -> tuple[int, int]:
    """Which file lies there."""
    found = path.stat()
    return found.st_dev, found.st_ino


def _fold_in(connection: sqlite3.Connection) -> int:
    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages)


def _empty_log(connection: sqlite3.Connection) -> bool:
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


async def _connect(path: Path) -> _Connection:
    """The writing connection, the schema up to date. Raises LedgerError."""
    _check_file(path)
    connection = _Connection(lambda: sqlite3.connect(path, isolation_level=None, cached_statements=64), 64)
    await connection
    try:
        await connection.run(_prepare)
    except sqlite3.Error as error:
        await connection.close()
        raise LedgerError(f"the ledger {path} can't be used: {error}; {_remedy(error)}") from error
    except LedgerError as error:
        await connection.close()
        raise LedgerError(f"the ledger {path} can't be used: {error}") from error
    return connection


def _check_file(path: Path) -> None:
    """Refuse what isn't a file of ours; make a missing one, readable by nobody else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise LedgerError(f"the folder of the ledger, {path.parent}, doesn't exist") from None
        if not os.access(path.parent, os.W_OK):
            raise LedgerError(f"the folder of the ledger, {path.parent}, can't be written to") from None
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return
    if not stat.S_ISREG(mode):
        raise LedgerError(f"the ledger {path} is not a regular file (a link?); name the real file's folder as the home")
    if not os.access(path, os.W_OK):
        raise LedgerError(f"the ledger {path} is read-only; give yourself write access to it")


def _prepare(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()  # first of all: a strange file stays as it is
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"a newer router wrote it (schema {version}, this one knows {len(MIGRATIONS)}); update the router"
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        raise LedgerError("it is another program's database, no ledger; choose another --home")
    if version > 0:
        connection.execute("SELECT * FROM requests LIMIT 1").fetchone()
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    for number in range(version, len(MIGRATIONS)):
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;")


def _remedy(error: sqlite3.Error) -> str:
    if "locked" in str(error):
        return "another program is writing to it; close that program"
    return "move it aside (it is left as it is) or restore a backup"


def _open_ids(connection: sqlite3.Connection) -> list[str]:
    return [id_ for (id_,) in connection.execute("SELECT id FROM requests WHERE state = 'open' ORDER BY id")]


def _interrupt(connection: sqlite3.Connection, ids: list[str]) -> int:
    """Settle rows that a dead process left open: the calls may have been billed, the cost is unknown."""
    settles = []
    for request_id in ids:
        rows = connection.execute(
            "SELECT number, role, provider, model, key_name, time_ms, reserved_nano_usd FROM attempts "
            "WHERE request_id = ? ORDER BY number",
            (request_id,),
        )
        kept = tuple(
            AttemptRecord(
                request_id, number, role, provider, model, key_name, time_ms,
                error_class="interrupted", maybe_billed=True, reserved_nano_usd=reserved,
            )
            for number, role, provider, model, key_name, time_ms, reserved in rows
        )  # fmt: skip
        (held,) = connection.execute("SELECT held_nano_usd FROM requests WHERE id = ?", (request_id,)).fetchone()
        ended = Settlement(
            request_id, "interrupted", None, error_class="interrupted", attempts=len(kept), held_nano_usd=held
        )
        settles.append(Settle(ended, kept))
    write_records(connection, settles)
    return len(settles)
