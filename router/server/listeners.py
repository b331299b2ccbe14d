"""Listening sockets, and what aiohttp's connections need to be safe on them.

aiohttp has no deadline for a request's head, echoes bad bytes in its own error page and takes absolute request targets;
``Connection`` mends the first two, ``admission.py`` the third. One ``Listener`` is one address; the main one serves all
profiles by path prefix, a profile with a port has one of its own.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from router.errors import ConfigError, ListenError
from router.profile.home import HomeSettings

log = logging.getLogger("router.server")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Bind = Callable[[str, int], list[socket.socket]]

HEAD_S = 10.0  # from the first byte of a head (or the connection) to its last
KEEPALIVE_S = 75.0
LINGER_S = 2.0  # how long to read on after answering a request whose body was not wanted
STALLED_S = 300.0  # a client that takes nothing of what was sent to it for so long is gone
READ_BUFFER = 2**16
BACKLOG = 1024
_TURNS = 2  # of the event loop, until what was accepted has its handler
_REMEDIES: Final = {
    errno.EADDRINUSE: "choose another with --port, or stop what uses it",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose another with --host",
    errno.EACCES: "ports below 1024 are for administrators: choose another with --port",
}


class Connection(RequestHandler):
    """One client connection: closed when a head doesn't arrive in time."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere it is noticed when streaming
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(STALLED_S * 1000))
        self._arm()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages:
            self._disarm()
        elif self._waiter is not None and self._head_timer is None:
            self._arm()  # between requests: the first part of a head

    def close(self) -> None:
        """End after the request under way; without one at once: aiohttp would only cease to read from it."""
        idle = self._request_count == 0 or (self._waiter is not None and not self._waiter.done())
        super().close()
        if idle and self.transport is not None:
            self.transport.close()

    def _arm(self) -> None:
        self._head_timer = asyncio.get_running_loop().call_later(HEAD_S, self._head_late)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self._waiter is not None:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed, or what we failed at, without repeating a byte of it."""
        if status >= 500:
            log.error("a request failed inside the router", exc_info=exc)
        text = "bad HTTP request\n" if status < 500 else "internal error of the router\n"
        response = web.Response(status=status, text=text)
        response.force_close()
        return response


class Gate(web.Server):
    """Makes our connections instead of aiohttp's own.

    aiohttp falls back to defaults in silence when an option is unknown to it; made here, an unknown option is an error.
    """

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler, handler_cancellation=True)
        self.retiring = False  # whether each connection ends with the answer to its next request
        self._options: dict[str, Any] = {
            "keepalive_timeout": KEEPALIVE_S,
            "access_log": None,
            "logger": log,
            "max_line_size": 8190,
            "max_field_size": 16380,
            "max_headers": 100,
            "lingering_time": LINGER_S,
            "read_bufsize": READ_BUFFER,
            "auto_decompress": False,
        }

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._options)

    def _make_request(
        self, message: RawRequestMessage, payload: Any, protocol: Any, writer: Any, task: Any
    ) -> web.BaseRequest:
        # An upgrade is not taken up; but aiohttp reads nothing more from its connection.
        if message.upgrade or self.retiring:
            message = message._replace(should_close=True)
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop)


class Listener:
    """One address. ``open`` binds and listens, ``stop`` accepts no more, ``close`` also ends the connections.

    ``retire`` leaves the address to another process that has its sockets, too.
    """

    def __init__(
        self, host: str, port: int, handler: Handler, *, tls: ssl.SSLContext | None = None, bind: Bind | None = None
    ) -> None:
        self.host = host
        self.port = port
        self._handler = handler
        self._tls = tls
        self._bind = bind or new_sockets
        self._gate: Gate | None = None
        self._servers: list[asyncio.Server] = []

    async def open(self, *, accept: bool = True) -> None:
        """Raises ListenError naming the address; never takes another port than the one asked for (0: any).

        Without ``accept`` clients can connect but wait until ``accept()`` is called.
        """
        loop = asyncio.get_running_loop()
        self._gate = Gate(self._handler)
        for sock in self._bind(self.host, self.port):
            server = await loop.create_server(
                self._gate, sock=sock, backlog=BACKLOG, start_serving=accept, ssl=self._tls
            )
            self._servers.append(server)
        self.port = self._servers[0].sockets[0].getsockname()[1]

    async def accept(self) -> None:
        """Begin to serve an address that was opened without."""
        for server in self._servers:
            await server.start_serving()

    @property
    def base_url(self) -> str:
        """The address as a client types it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "") else "[::1]" if self.host == "::" else self.host
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"

    @property
    def fds(self) -> list[int]:
        """The listening sockets."""
        return [sock.fileno() for server in self._servers for sock in server.sockets]

    @property
    def connections(self) -> int:
        """Clients that are connected."""
        return len(self._gate.connections) if self._gate is not None else 0

    def stop(self) -> None:
        """Accept no more connections and close the idle ones; requests under way go on."""
        self._close_sockets()
        if self._gate is not None:
            self._gate.pre_shutdown()

    def retire(self) -> None:
        """Accept no more connections and close none: a request may be on its way. What still comes is answered."""
        self._close_sockets()
        if self._gate is not None:
            self._gate.retiring = True

    async def close(self) -> None:
        """End everything on this address."""
        self.stop()
        await self.stopped()
        if self._gate is not None:
            await self._gate.shutdown(timeout=1.0)

    async def stopped(self) -> None:
        """Wait, after ``stop``, until the address is free for another listener."""
        for _ in range(_TURNS + 1):
            await asyncio.sleep(0)

    def _close_sockets(self) -> None:
        """Accept nothing from now on; close the sockets a little later.

        A connection that asyncio has accepted gets its handler one turn of the loop later, and for ever none if its
        server was closed in between.
        """
        loop = asyncio.get_running_loop()
        servers, self._servers = self._servers, []
        for server in servers:
            for sock in server.sockets:
                loop.remove_reader(sock.fileno())

        def close(turns: int) -> None:
            if turns:
                loop.call_soon(close, turns - 1)
                return
            for server in servers:
                server.close()

        close(_TURNS)


def new_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address of ``host``. Raises ListenError."""
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(f"{host!r} is not an address of this machine: {error.strerror}") from error
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(addresses):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
            sock.setblocking(False)
    except OSError as error:
        for sock in sockets:
            sock.close()
        reason = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, "choose another with --host or --port")
        raise ListenError(f"can't listen on {host}:{port}: {reason.lower()}; {remedy}") from error
    return sockets


def server_tls(settings: HomeSettings) -> ssl.SSLContext | None:
    """What serves HTTPS, if the settings ask for it. Raises ConfigError where the files can't be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # A key with a password would ask for it on the terminal: it counts as one that can't be read.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or "unknown error"
        raise ConfigError(
            f"[server] tls-cert {settings.tls_cert} and tls-key {settings.tls_key} can't be used: "
            f"{reason.replace('_', ' ').lower()}"
        ) from error
    return context


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a listener on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
