"""The load generator: raw sockets, kept-alive connections, a closed loop, bounded in time and count.

Run as a worker; an order is ``{"port", "path", "payload", "clients", "seconds", "max_requests", "headers", "deltas",
"ramp_s", "pause_ms"}`` and the answer the measured figures, in milliseconds. ``deltas`` is the number a stream must
have, null for whole replies; the clients start one after another within ``ramp_s`` and pause between their requests. A
reply that isn't 200, is cut short or misses a delta is an error. Requests under way at the end are waited for, so what
was sent, answered and seen by the provider is the same number. Wherever the requests go, it is loopback.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.payloads import NONCE_LENGTH, Payload, Session, every_payload
from benchmarks.worker import serve_commands

_STAMP = re.compile(rb"~(\d{20})~")
_STREAM_END = re.compile(rb"message_stop|\[DONE\]|event: response\.completed")
_SEAM = 32  # bytes that are looked at again with the next read
_GRACE_S = 60.0
_MAX_ERRORS = 20
_now = time.monotonic_ns


@dataclass(slots=True)
class Figures:
    """Nanoseconds of every request and delta, and what went wrong."""

    first_byte: list[int] = field(default_factory=list)
    first_delta: list[int] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    transit: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    started: int = 0
    done: int = 0
    bytes_in: int = 0


class Client(asyncio.Protocol):
    """One connection: sends, reads the reply to its end, sends again while ``wanted()``."""

    def __init__(
        self,
        head: bytes,
        payload: Payload | Session,
        deltas: int | None,
        figures: Figures,
        wanted: Callable[[], bool],
        pause_s: float,
        seed: int,
    ) -> None:
        self._head = head
        self._payload = payload
        self._deltas = deltas
        self._figures = figures
        self._wanted = wanted
        self._pause_s = pause_s
        self._chance = random.Random(seed)
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if not self._wanted():
            self._finish()
            return
        nonce = b"%0*x" % (NONCE_LENGTH, self._chance.getrandbits(4 * NONCE_LENGTH))
        self._reply_head: bytes | None = None
        self._buffer = b""
        self._left: int | None = None  # bytes of a body with a length; None: chunked
        self._seen = 0
        self._latest = 0
        self._ended = False
        self._ending = b""
        body = self._payload.body(self._figures.started, nonce)
        message = b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body)
        self._figures.started += 1
        self._began = _now()
        self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        now = _now()
        self._figures.bytes_in += len(data)
        if self._reply_head is None:
            if not self._buffer:
                self._figures.first_byte.append(now - self._began)
            self._buffer += data
            self._reply_head, found, data = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._reply_head = None
                return
            if not self._read_head(self._reply_head, data):
                return
            self._buffer = b""
        self._read_body(data, now)

    def _read_head(self, head: bytes, rest: bytes) -> bool:
        if not head.startswith(b"HTTP/1.1 200"):
            self._fail((head + b"\r\n\r\n" + rest)[:2000].decode("utf-8", "replace"))
            return False
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self._left = int(line[15:])
        return True

    def _read_body(self, data: bytes, now: int) -> None:
        if self._deltas is not None:
            self._read_deltas(data, now)
        if self._left is not None:
            self._left -= len(data)
            over = self._left <= 0
        else:
            self._ending = (self._ending + data)[-256:]
            over = self._ending.endswith(b"\r\n0\r\n\r\n")
        if over:
            self._complete(now)

    def _read_deltas(self, data: bytes, now: int) -> None:
        data = self._buffer + data
        end = 0
        for stamp in _STAMP.finditer(data):
            sent, end = int(stamp.group(1)), stamp.end()
            if sent <= self._latest:  # Responses repeats the whole text at its end
                continue
            if not self._seen:
                self._figures.first_delta.append(now - self._began)
            self._seen += 1
            self._latest = sent
            self._figures.transit.append(now - sent)
        self._ended = self._ended or _STREAM_END.search(data) is not None
        self._buffer = data[max(end, len(data) - _SEAM) :]  # a stamp or the end may be cut between two reads

    def _complete(self, now: int) -> None:
        if self._deltas is not None and not (self._seen == self._deltas and self._ended):
            self._fail(f"a stream with {self._seen} of {self._deltas} deltas, ending {self._ending[-120:]!r}")
            return
        self._figures.whole.append(now - self._began)
        self._figures.done += 1
        if self._pause_s:
            asyncio.get_running_loop().call_later(self._pause_s, self._send)
        else:
            self._send()

    def _fail(self, why: str) -> None:
        self._figures.errors.append(why)
        self._finish()

    def _finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self._fail(f"connection lost with a request under way: {exc!r}")


async def run(order: dict[str, Any], payloads: dict[str, Payload | Session]) -> dict[str, Any]:
    """One measurement."""
    payload = payloads[order["payload"]]
    figures = Figures()
    fields = {
        "host": f"127.0.0.1:{order['port']}",
        "content-type": "application/json",
        "accept": "*/*",
        "user-agent": "bench/1",
        **order["headers"],
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    head = f"POST {order['path']} HTTP/1.1\r\n{lines}".encode()
    loop = asyncio.get_running_loop()
    until = loop.time() + order["seconds"]

    def wanted() -> bool:
        return loop.time() < until and figures.started < order["max_requests"] and len(figures.errors) < _MAX_ERRORS

    began = _now()
    clients: list[Client] = []
    for number in range(order["clients"]):
        await asyncio.sleep(max(0.0, began / 1e9 + order["ramp_s"] * number / order["clients"] - _now() / 1e9))
        seed = random.getrandbits(64)
        make = partial(Client, head, payload, order["deltas"], figures, wanted, order.get("pause_ms", 0) / 1000, seed)
        try:
            _, client = await loop.create_connection(make, "127.0.0.1", order["port"])
        except OSError as error:
            figures.errors.append(f"can't connect: {error}")
            break
        clients.append(client)
    under_way = [client.finished for client in clients]
    if under_way and (late := (await asyncio.wait(under_way, timeout=order["seconds"] + _GRACE_S))[1]):
        figures.errors.append(f"{len(late)} requests got no whole answer within {_GRACE_S:.0f} s of the end")
    seconds = (_now() - began) / 1e9
    return {
        "requests": figures.done,
        "started": figures.started,
        "seconds": seconds,
        "errors": len(figures.errors),
        "first_error": figures.errors[0] if figures.errors else None,
        "deltas": len(figures.transit),
        "bytes_in": figures.bytes_in,
        "first_byte_ms": quantiles(figures.first_byte),
        "first_delta_ms": quantiles(figures.first_delta),
        "whole_ms": quantiles(figures.whole),
        "transit_ms": quantiles(figures.transit),
    }


def quantiles(nanoseconds: Sequence[int]) -> dict[str, float] | None:
    """Median, 99th percentile, maximum and mean in milliseconds; None without samples."""
    if not nanoseconds:
        return None
    ordered = sorted(nanoseconds)
    last = len(ordered) - 1
    at = {"p50": round(last * 0.5), "p99": round(last * 0.99), "max": last}
    return {name: ordered[index] / 1e6 for name, index in at.items()} | {"mean": sum(ordered) / len(ordered) / 1e6}


async def main() -> None:
    payloads = every_payload()

    async def command(order: dict[str, Any]) -> dict[str, Any]:
        return await run(order, payloads)

    await serve_commands(command, ready={})


if __name__ == "__main__":
    asyncio.run(main())
