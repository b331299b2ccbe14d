"""A fake provider that does as little as possible: canned bytes over raw sockets, on loopback.

It reads a whole request, then answers in the format its path asks for: a JSON reply, or an event stream when the body
says ``"stream":true`` near its start (the payloads write it there). Every delta carries the sender's monotonic clock,
so the load generator on the same machine knows each delta's time on the way.

Run as a worker (see ``processes.Worker``) on the port given, 0 for a free one. Orders
``{"deltas": 200, "delay_ms": 5.0}`` change the streams; each answer holds the counters so far.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass

from benchmarks.worker import serve_commands

_STREAM_FLAG = b'"stream":true'
_FLAG_WITHIN = 400
_STAMP = b"%020d"
_USAGE = {"input_tokens": 1200, "output_tokens": 210, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 800}
_CHAT_USAGE = {
    "prompt_tokens": 2000,
    "completion_tokens": 210,
    "total_tokens": 2210,
    "prompt_tokens_details": {"cached_tokens": 800},
}
_TEXT = "The rule was tried, it matched, and the answer came back unchanged. " * 9


@dataclass(frozen=True, slots=True)
class Format:
    """The canned bytes of one wire format; ``delta`` has a place for the stamp."""

    reply: bytes
    start: bytes
    delta: bytes
    end: bytes


@dataclass(slots=True)
class Settings:
    deltas: int = 200
    delay_s: float = 0.005


@dataclass(slots=True)
class Counters:
    requests: int = 0
    streams: int = 0
    bytes_in: int = 0
    abandoned: int = 0


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _whole(value: object) -> bytes:
    body = _compact(value)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(value: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(value["type"]).encode(), _compact(value))


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"
_PLACE = "S" * 20


def _messages_format() -> Format:
    message = {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "stop_sequence": None,
    }
    opening = {**message, "content": [], "stop_reason": None, "usage": {**_USAGE, "output_tokens": 1}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "text_delta", "text": f"word ~{_PLACE}~ "}
    closing = {"stop_reason": "end_turn", "stop_sequence": None}
    return Format(
        reply=_whole(
            {**message, "content": [{"type": "text", "text": _TEXT}], "stop_reason": "end_turn", "usage": _USAGE}
        ),
        start=_STREAM_HEAD + _chunk(_event({"type": "message_start", "message": opening}) + _event(block)),
        delta=_chunk(_event({"type": "content_block_delta", "index": 0, "delta": delta})),
        end=_chunk(_event({"type": "content_block_stop", "index": 0}))
        + _chunk(_event({"type": "message_delta", "delta": closing, "usage": _USAGE}))
        + _chunk(_event({"type": "message_stop"}))
        + _LAST_CHUNK,
    )


def _chat_format() -> Format:
    common = {"id": "chatcmpl-bench", "created": 1_760_000_000, "model": "llama-3.3-70b-versatile"}

    def part(delta: dict[str, object], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: %b\n\n" % _compact({**common, "object": "chat.completion.chunk", "choices": [choice]})

    choice = {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}
    usage = {**common, "object": "chat.completion.chunk", "choices": [], "usage": _CHAT_USAGE}
    return Format(
        reply=_whole({**common, "object": "chat.completion", "choices": [choice], "usage": _CHAT_USAGE}),
        start=_STREAM_HEAD + _chunk(part({"role": "assistant", "content": ""})),
        delta=_chunk(part({"content": f"word ~{_PLACE}~ "})),
        end=_chunk(part({}, "stop"))
        + _chunk(b"data: %b\n\n" % _compact(usage))
        + _chunk(b"data: [DONE]\n\n")
        + _LAST_CHUNK,
    )


FORMATS = {b"/messages": _messages_format(), b"/chat/completions": _chat_format()}
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._timer: asyncio.TimerHandle | None = None
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
        self._received += len(data)
        if len(self._beginning) < _FLAG_WITHIN:
            self._beginning += data[:_FLAG_WITHIN]
        self._tail = (self._tail + data)[-8:] if self._length is None else b""
        self._answer_when_whole()

    def _expect_head(self) -> None:
        self._head = b""
        self._path: bytes | None = None
        self._length: int | None = 0
        self._received = 0
        self._beginning = b""
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
        self._received = len(rest)
        self._beginning = rest[:_FLAG_WITHIN]
        self._tail = rest[-8:]
        self._answer_when_whole()

    def _answer_when_whole(self) -> None:
        if self._tail[-5:] != _LAST_CHUNK if self._length is None else self._received < self._length:
            return
        assert self._path is not None
        known = next((made for ending, made in FORMATS.items() if self._path.endswith(ending)), None)
        stream = _STREAM_FLAG in self._beginning[:_FLAG_WITHIN]
        self._counters.requests += 1
        self._counters.bytes_in += self._received
        self._expect_head()
        if known is None:
            self._transport.write(_NOT_FOUND)
        elif not stream:
            self._transport.write(known.reply)
        else:
            self._stream(known)

    def _stream(self, known: Format) -> None:
        self._counters.streams += 1
        self._streaming = True
        self._format = known
        self._template = known.delta.replace(_PLACE.encode(), _STAMP)
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
        self._transport.write(self._template % time.monotonic_ns())
        self._sent += 1
        if self._sent < self._deltas:
            self._next()
        else:
            self._transport.write(self._format.end)
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
