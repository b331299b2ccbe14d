"""A fake provider that does as little as possible: canned bytes over raw sockets, on loopback.

It reads a whole request, then answers in the format its path asks for: a JSON reply, or an event stream when the body
says ``"stream":true``. Every delta carries the sender's monotonic clock,
so the load generator on the same machine knows each delta's time on the way.

Run as a worker (see ``processes.Worker``) on the port given, 0 for a free one. Orders
``{"deltas": 200, "delay_ms": 5.0, "first_ms": 50.0}`` change the streams and what comes before any answer; each answer
holds the counters so far.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass

from benchmarks.replies import PLACE, Format, chat_format, messages_format
from benchmarks.worker import serve_commands

_STREAM_FLAG = b'"stream":true'  # inside a JSON string the quotes are escaped, so this is never somebody's text


@dataclass(slots=True)
class Settings:
    deltas: int = 200
    delay_s: float = 0.005
    first_s: float = 0.0


@dataclass(slots=True)
class Counters:
    requests: int = 0
    streams: int = 0
    bytes_in: int = 0
    abandoned: int = 0


def _whole(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Canned:
    """A format's reply as HTTP/1.1; ``delta`` is filled in with the clock."""

    reply: bytes
    start: bytes
    delta: bytes
    end: bytes

    @classmethod
    def of(cls, made: Format) -> Canned:
        return cls(
            reply=_whole(made.reply),
            start=_STREAM_HEAD + _chunk(made.start),
            delta=_chunk(made.delta).replace(PLACE.encode(), b"%020d"),
            end=b"".join(map(_chunk, made.end)) + _LAST_CHUNK,
        )


CANNED = {b"/messages": Canned.of(messages_format()), b"/chat/completions": Canned.of(chat_format())}
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._timer: asyncio.TimerHandle | None = None
        self._tail = b""
        self._streaming = False
        self._expect_head()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._counters.abandoned += self._streaming

    def data_received(self, data: bytes) -> None:
        if self._path is None:
            self._head += data
            self._read_head()
            return
        self._take(data)

    def _expect_head(self) -> None:
        self._head = b""
        self._path: bytes | None = None
        self._length: int | None = 0
        self._received = 0
        self._asks_stream = False
        self._tail = b""

    def _read_head(self) -> None:
        head, found, rest = self._head.partition(b"\r\n\r\n")
        if not found:
            return
        request_line, _, fields = head.lower().partition(b"\r\n")
        self._path = request_line.split(b" ")[1]
        self._length = 0
        for line in fields.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name == b"content-length":
                self._length = int(value)
            elif name == b"transfer-encoding":
                self._length = None  # until the last chunk
        self._received = 0
        self._take(rest)

    def _take(self, data: bytes) -> None:
        self._received += len(data)
        joined = self._tail + data  # the flag may be cut between two reads
        self._asks_stream = self._asks_stream or _STREAM_FLAG in joined
        self._tail = joined[-len(_STREAM_FLAG) :]
        self._answer_when_whole()

    def _answer_when_whole(self) -> None:
        if self._tail[-5:] != _LAST_CHUNK if self._length is None else self._received < self._length:
            return
        assert self._path is not None
        known = next((made for ending, made in CANNED.items() if self._path.endswith(ending)), None)
        stream = self._asks_stream
        self._counters.requests += 1
        self._counters.bytes_in += self._received
        self._expect_head()
        if self._settings.first_s:
            self._timer = self._loop.call_later(self._settings.first_s, self._answer, known, stream)
        else:
            self._answer(known, stream)

    def _answer(self, known: Canned | None, stream: bool) -> None:
        if known is None:
            self._transport.write(_NOT_FOUND)
        elif not stream:
            self._transport.write(known.reply)
        else:
            self._stream(known)

    def _stream(self, known: Canned) -> None:
        self._counters.streams += 1
        self._streaming = True
        self._canned = known
        self._sent = 0
        self._deltas, self._delay_s = self._settings.deltas, self._settings.delay_s
        self._transport.write(known.start)
        self._started = self._loop.time()
        self._next()

    def _next(self) -> None:
        due = self._started + (self._sent + 1) * self._delay_s
        self._timer = self._loop.call_at(due, self._send) if self._delay_s else None
        if self._timer is None:
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(self._canned.delta % time.monotonic_ns())
        self._sent += 1
        if self._sent < self._deltas:
            self._next()
        else:
            self._transport.write(self._canned.end)
            self._streaming = False


async def main() -> None:
    settings, counters = Settings(), Counters()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(settings, counters), "127.0.0.1", int(sys.argv[1]), backlog=2048
    )

    async def command(order: dict[str, float]) -> dict[str, int]:
        if "deltas" in order:
            settings.deltas = int(order["deltas"])
        if "delay_ms" in order:
            settings.delay_s = order["delay_ms"] / 1000
        if "first_ms" in order:
            settings.first_s = order["first_ms"] / 1000
        return {
            "requests": counters.requests,
            "streams": counters.streams,
            "bytes_in": counters.bytes_in,
            "abandoned": counters.abandoned,
        }

    async with server:
        await serve_commands(command, ready={"port": server.sockets[0].getsockname()[1]})


if __name__ == "__main__":
    asyncio.run(main())
