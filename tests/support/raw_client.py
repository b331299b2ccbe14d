"""A client on a raw socket: it can leave at any moment, politely or not."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import TracebackType
from urllib.parse import urlsplit

PATIENCE_S = 20.0


class RawClient:
    """One connection to a router. ``send`` a request, or part of one; ``read_until`` some bytes; ``leave``."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self.seen = b""

    async def __aenter__(self) -> RawClient:
        self.reader, self.writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.writer.close()

    async def send(self, path: str, body: bytes, *, only: int | None = None) -> None:
        """POST a body; with ``only`` no more than its first bytes, though the head announces all of them."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + (body if only is None else body[:only]))
        await self.writer.drain()

    async def read_until(self, mark: bytes) -> bytes:
        """Everything up to and including the mark, and what came with it."""
        while mark not in self.seen:
            async with asyncio.timeout(PATIENCE_S):
                part = await self.reader.read(65536)
            if not part:
                raise EOFError(f"the connection ended before {mark!r}: {self.seen[-300:]!r}")
            self.seen += part
        return self.seen

    async def read_all(self) -> bytes:
        """Everything up to the end of the connection."""
        while part := await self.reader.read(65536):
            self.seen += part
        return self.seen

    def leave(self, *, rudely: bool = False) -> None:
        """Close at once; rudely: with a reset instead of an end."""
        if rudely:
            sock: socket.socket = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        else:
            self.writer.close()
