"""A restart that nobody notices: a new process takes the sockets and the writing of the ledger from the old one.

Both talk over a Unix socket in the home that exists for a moment (``channel.py`` has the messages):

    new process (``Predecessor``)            old process (``hand_over``)
    has read and checked all files
                                             Hello, with the lock and the listening sockets
    Go
                                             Memories: what it knows of conversations
                                             writes no more; UnderWay: its requests
    writes the ledger; Opened
                                             Records, one batch at a time: from now on it records in this way
    Stored
    serves; Ready
                                             accepts no more, gives up the home, serves what is under way
    Stop, when it is stopped itself
                                             Bye: the last record was stored

Up to ``Ready`` the end of the new process changes nothing: the old one takes the ledger back. After it the end of the
old one, without ``Bye``, leaves its requests interrupted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from router.errors import LedgerError, RouterError
from router.ledger.forwarding import Forwarded
from router.ledger.lock import HomeLock
from router.ledger.migrations import MIGRATIONS
from router.ledger.record_lines import decode, encode
from router.ledger.writing import Record
from router.profile.home import Home
from router.server.admin import AdminClient
from router.server.channel import (
    Bye,
    Channel,
    Go,
    Hello,
    Memories,
    Opened,
    Ready,
    Records,
    Stop,
    Stored,
    UnderWay,
    greet,
    greeted,
)
from router.server.listeners import new_sockets
from router.server.tenant import Memory

if TYPE_CHECKING:
    from router.server.app import App

log = logging.getLogger("router.server")

GREETING_S: Final = 10.0  # for each side, until the other has said its first word


# --- the old process --------------------------------------------------------------------------------------------------


class Successor:
    """The process that takes over, as the old one sees it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stored: asyncio.Future[None] | None = None

    async def store(self, records: list[Record]) -> None:
        """Have records written. Raises ConnectionError when there is no successor any more."""
        self._stored = asyncio.get_running_loop().create_future()
        await self._channel.send(Records([msgspec.Raw(encode(record)) for record in records]))
        await self._stored

    def stored(self) -> None:
        """The latest ones are."""
        if self._stored is not None and not self._stored.done():
            self._stored.set_result(None)

    def lost(self, error: ConnectionError) -> None:
        """Nobody answers any more."""
        if self._stored is not None and not self._stored.done():
            self._stored.set_exception(error)

    async def bye(self) -> None:
        """There are no more records."""
        self._channel.post(Bye())
        await self._channel.close()


async def _greeted_back(app: App, path: Path) -> Channel:
    """Say hello to the process that listens at ``path`` and wait for its go. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(GREETING_S)
    try:
        connection.connect(str(path))
        await asyncio.to_thread(greet, connection, *app.hello())
    except OSError:
        connection.close()
        raise
    channel = await Channel.over(connection)
    try:
        async with asyncio.timeout(GREETING_S):
            await channel.expect(Go)
    except OSError:
        await channel.close()
        raise
    return channel


async def hand_over(app: App, path: Path) -> None:
    """Give everything to the process that listens at ``path``, and record through it to the end of this one."""
    try:
        channel = await _greeted_back(app, path)
    except OSError as error:
        log.warning("a restart was given up before anything had changed: %s", error)
        return
    successor = Successor(channel)
    try:
        await channel.send(app.memories())
        await app.pause()
        await channel.send(app.under_way())
        await channel.expect(Opened)
        app.ledger.forward(successor.store)
        while True:
            match await channel.receive():
                case Stored():
                    successor.stored()
                case Ready():
                    app.retire(successor)
                case Stop():
                    app.request_stop()
    except ConnectionError as error:
        await channel.close()
        successor.lost(error)
        if app.retired.is_set():
            log.error("the process that took over has ended; what ends here goes to the spill file")
            await app.ledger.close()
        else:
            log.error("the new process has ended before it served; this one goes on")
            await app.resume()
    except asyncio.CancelledError:
        if not app.retired.is_set():
            await successor.bye()
        raise


# --- the new process --------------------------------------------------------------------------------------------------


class Predecessor:
    """The process that hands over, as the new one sees it."""

    def __init__(self, channel: Channel, hello: Hello, lock: HomeLock, sockets: list[socket.socket]) -> None:
        self.pid = hello.pid
        self.profiles = hello.profiles
        self.main_port = hello.listeners[0][1]
        self.lock = lock  # held by both; the file names the old one until this one signs it
        self.memories: Mapping[str, Memory] = {}
        self.forwarded: Forwarded | None = None
        self._channel = channel
        self._sockets: dict[tuple[str, int], list[socket.socket]] = {}
        for host, port, count in hello.listeners:
            self._sockets[host, port], sockets = sockets[:count], sockets[count:]
        self._listening: asyncio.Task[None] | None = None
        self._withdrawn = False

    @classmethod
    async def meet(cls, home: Home) -> Predecessor:
        """Ask the server of this home to hand over; nothing has changed yet. Raises RouterError."""
        path = home.path / f"{os.getpid()}.s"  # shorter than any other socket's name there: its length is limited
        with socket.socket(socket.AF_UNIX) as meeting:
            meeting.settimeout(GREETING_S)
            path.unlink(missing_ok=True)
            meeting.bind(str(path))
            try:
                meeting.listen(1)
                await asyncio.to_thread(AdminClient(home.socket).call, "POST", "/hand-over", {"socket": path.name})
                connection, _ = await asyncio.to_thread(meeting.accept)
            except OSError as error:
                raise RouterError(f"the running router doesn't hand over: {error}") from error
            finally:
                path.unlink()
        connection.settimeout(GREETING_S)
        try:
            hello, (lock_fd, *fds) = await asyncio.to_thread(greeted, connection)
        except (OSError, ValueError) as error:
            connection.close()
            raise RouterError(f"the running router doesn't hand over: {error}") from error
        sockets = [socket.socket(fileno=fd) for fd in fds]
        before = cls(await Channel.over(connection), hello, HomeLock.adopt(home.lock, lock_fd), sockets)
        if hello.schema > len(MIGRATIONS):
            await before.close()
            raise LedgerError(
                f"the running router {hello.version} is newer (ledger schema {hello.schema}, this one knows "
                f"{len(MIGRATIONS)}); update this one"
            )
        return before

    async def take(self) -> UnderWay:
        """Have it stop to write. Raises RouterError."""
        try:
            await self._channel.send(Go())
            self.memories = (await self._channel.expect(Memories)).profiles
            return await self._channel.expect(UnderWay)
        except ConnectionError as error:
            raise RouterError(f"the running router doesn't hand over: {error}") from error

    def bind(self, host: str, port: int) -> list[socket.socket]:
        """Its sockets for an address, new ones where it has none. Raises ListenError."""
        return self._sockets.pop((host, port), None) or new_sockets(host, port)

    async def opened(self, forwarded: Forwarded) -> None:
        """The ledger is ours: take the old process' records from now on."""
        self.forwarded = forwarded
        self._channel.post(Opened())
        self._listening = asyncio.create_task(self._listen(forwarded), name="predecessor")

    async def ready(self) -> None:
        """We serve. Raises RouterError if it was told to stop in the meantime."""
        if self._withdrawn:
            raise RouterError("the router was stopped meanwhile")
        self._channel.post(Ready())
        self._close_sockets()

    def stop(self) -> None:
        """Have it end as we do."""
        if self._listening is not None and not self._listening.done():
            self._channel.post(Stop())

    @property
    def has_ended(self) -> bool:
        """Whether it has stored its last record."""
        return self._listening is not None and self._listening.done()

    async def gone(self, within_s: float) -> None:
        """Wait for its end."""
        if self._listening is not None:
            await asyncio.wait({self._listening}, timeout=within_s)

    async def close(self) -> None:
        """The end of what there is between us. Before ``ready`` it goes on in our place."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        self.lock.release()
        await self._channel.close()
        self._close_sockets()

    def _close_sockets(self) -> None:
        """Those that nobody wanted."""
        for sockets in self._sockets.values():
            for unwanted in sockets:
                unwanted.close()
        self._sockets.clear()

    async def _listen(self, forwarded: Forwarded) -> None:
        """Write what it sends, until it ends."""
        try:
            while not self._withdrawn:
                match await self._channel.receive():
                    case Records(lines):
                        records = [record for line in lines if (record := decode(line)) is not None]
                        if len(records) < len(lines):
                            log.error("%d records can't be understood", len(lines) - len(records))
                        await forwarded.store(records)
                        self._channel.post(Stored())
                    case Bye():
                        self._withdrawn = True
        except ConnectionError as error:
            log.warning("the process %d, from which this one took over, has died: %s", self.pid, error)
        await forwarded.end()
