"""Talking to a server byte by byte, as no HTTP library would."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE_S = 20.0


@dataclass(frozen=True)
class RawReply:
    """One reply as it came; ``whole`` says whether its framing was brought to its regular end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool
    raw: bytes


class RawClient:
    """One connection. Use as an async context manager."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.host, self.port = parts.hostname, parts.port or 80
        self._head_only = False

    async def __aenter__(self) -> RawClient:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=2**26)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def send(self, data: bytes) -> None:
        self._head_only = data.startswith(b"HEAD ")
        self.writer.write(data)
        await self.writer.drain()

    async def until_closed(self, *, within_s: float = PATIENCE_S) -> bytes:
        """All bytes until the server hangs up."""
        parts = []
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionError):
                while part := await self.reader.read(2**16):
                    parts.append(part)
        return b"".join(parts)

    async def reply(self, *, within_s: float = PATIENCE_S) -> RawReply:
        """The next reply on the connection, whole or cut off."""
        async with asyncio.timeout(within_s):
            return await self._reply()

    async def _reply(self) -> RawReply:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return RawReply(0, {}, b"", False, b"")
        line, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest if text)}
        body, raw = bytearray(), bytearray(head)

        def result(*, whole: bool) -> RawReply:
            return RawReply(int(line.split(" ")[1]), headers, bytes(body), whole, bytes(raw))

        if self._head_only:
            return result(whole=True)
        try:
            if headers.get("transfer-encoding") == "chunked":
                while True:
                    size = await self.reader.readuntil(b"\r\n")
                    raw += size
                    chunk = await self.reader.readexactly(int(size, 16) + 2)
                    raw += chunk
                    if int(size, 16) == 0:
                        return result(whole=True)
                    body += chunk[:-2]
            rest = await self.reader.readexactly(int(headers.get("content-length", "0")))
            body += rest
            raw += rest
            return result(whole=True)
        except asyncio.IncompleteReadError as error:
            body += error.partial
            raw += error.partial
            return result(whole=False)
        except ConnectionError:
            return result(whole=False)


def request(
    method: str, path: str, body: object = None, *, host: str = "127.0.0.1", headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """The bytes of an ordinary request (a body that isn't bytes is sent as JSON)."""
    payload = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = [("Host", host), *headers]
    if body is not None:
        fields += [("Content-Type", "application/json"), ("Content-Length", str(len(payload)))]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + payload


async def ask(url: str, data: bytes, *, within_s: float = PATIENCE_S) -> RawReply:
    """One request on a connection of its own."""
    async with RawClient(url) as client:
        await client.send(data)
        return await client.reply(within_s=within_s)
