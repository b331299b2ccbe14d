"""Calling a provider: one aiohttp session for all; foreign exceptions become ``UpstreamError`` here and nowhere else.

A reply is handed out when its head is there; its body is read by whoever relays it, and closing it cancels the call at
once.
"""

from __future__ import annotations

import io
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from router.errors import ConfigError, UpstreamError
from router.health import classes

READ_BUFFER = 2**16
LARGE_BODY = 2**19  # bodies beyond this are written piece by piece, so that others get their turn in between


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call to a provider. ``connect_s`` bounds the wait for a connection, the caller that for the reply."""

    method: str
    url: str
    headers: CIMultiDict[str]
    body: bytes | None
    connect_s: float
    proxy: str | None = None
    ca_file: str | None = None


class UpstreamReply:
    """A reply whose head has arrived. As a context manager it closes the call unless the body was read whole."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: CIMultiDictProxy[str] = response.headers

    @property
    def ok(self) -> bool:
        """Whether the status says that it worked."""
        return 200 <= self.status < 300

    @property
    def media_type(self) -> str:
        """The content type without parameters, lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    async def chunk(self) -> bytes:
        """The next bytes as they arrived; b"" at the end. Raises UpstreamError when the body breaks off."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(f"the reply broke off: {_reason(error)}", error_class=classes.BROKEN_STREAM) from error

    async def read(self, cap: int) -> bytes:
        """The whole body. Raises UpstreamError when it breaks off (nobody has seen anything of it then: a broken start)
        or is larger than ``cap`` bytes."""
        parts: list[bytes] = []
        size = 0
        while part := await self._piece():
            parts.append(part)
            size += len(part)
            if size > cap:
                raise UpstreamError(f"the reply is larger than {cap} bytes", error_class=classes.SERVER)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _piece(self) -> bytes:
        try:
            return await self.chunk()
        except UpstreamError as error:
            raise UpstreamError(str(error), error_class=classes.BROKEN_START, maybe_billed=True) from error

    def close(self) -> None:
        """End the call: back to the pool if the body was read to its end, else the connection is closed."""
        if self._response.content.at_eof() and self._response.content.exception() is None:
            self._response.release()
        else:
            self._response.close()

    def __enter__(self) -> UpstreamReply:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class Upstream:
    """All calls to providers. ``await close()`` when no call is under way any more."""

    def __init__(self, *, proxy: str | None = None, ca_file: Path | None = None) -> None:
        """``proxy`` is the way to providers that name none of their own and aren't on this machine; ``ca_file`` has
        certificates to trust beside the system's. Raises ConfigError."""
        self._proxy = proxy
        self._trusted = _own_authorities(ca_file) if ca_file is not None else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # admission limits requests; a hidden queue here would only hide waiting
                keepalive_timeout=30,
                ttl_dns_cache=60,
                socket_factory=_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # proxies come from the configuration, never from the environment
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=READ_BUFFER,
            skip_auto_headers=("User-Agent", "Content-Type"),
        )

    async def send(self, call: Call) -> UpstreamReply:
        """Send the request and wait for the reply's head. Redirects are not followed. Raises UpstreamError."""
        try:
            response = await self._session.request(
                call.method,
                _url(call.url),
                data=_payload(call.body),
                headers=call.headers,
                allow_redirects=False,
                timeout=_timeout(call.connect_s),
                proxy=call.proxy or self._way_to(call.url),
                ssl=_tls(call.ca_file) if call.ca_file else self._trusted,
            )
        except aiohttp.ConnectionTimeoutError as error:
            raise UpstreamError(f"no connection within {call.connect_s:g} s", error_class=classes.CONNECT) from error
        except aiohttp.ClientConnectorError as error:
            raise UpstreamError(f"can't connect: {_reason(error)}", error_class=classes.CONNECT) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(
                f"the call failed before an answer: {_reason(error)}", error_class=classes.CONNECT, maybe_billed=True
            ) from error
        return UpstreamReply(response)

    def _way_to(self, url: str) -> str | None:
        return None if self._proxy is None or _is_here(url) else self._proxy

    async def close(self) -> None:
        """Close all pooled connections."""
        await self._session.close()


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    return body if body is None or len(body) <= LARGE_BODY else io.BytesIO(body)


def _reason(error: BaseException) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return next((words for kind, words in _WORDS if isinstance(cause, kind)), type(cause).__name__)


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientPayloadError, "its body is incomplete"),
    (aiohttp.ServerDisconnectedError, "the provider hung up"),
    (aiohttp.ClientConnectionResetError, "the connection was reset"),
    (aiohttp.ClientConnectorCertificateError, "its certificate is not valid"),
    (aiohttp.ClientSSLError, "no secure connection could be made"),
    (aiohttp.ClientConnectorDNSError, "its name can't be resolved"),
    (aiohttp.ClientResponseError, "it is no proper HTTP"),
    (TimeoutError, "it took too long"),
)


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Sockets that notice a dead peer and never wait to fill a packet."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family=family, type=kind, proto=protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    return sock


@lru_cache(maxsize=1024)
def _url(url: str) -> URL:
    return URL(url, encoded=True)


@lru_cache(maxsize=64)
def _timeout(connect_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s)


@lru_cache(maxsize=1024)
def _is_here(url: str) -> bool:
    """Whether a provider runs on this machine."""
    host = _url(url).host or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _own_authorities(ca_file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or "it holds no certificate"
        raise ConfigError(f"[network] ca-file {ca_file} can't be used: {reason.lower()}") from error
    return context


@lru_cache(maxsize=16)
def _tls(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
