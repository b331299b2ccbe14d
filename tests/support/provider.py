"""A scripted provider on raw sockets: it can answer anything, also what no HTTP library would send.

A ``Script`` is a list of steps played to one request; what arrives is recorded, with the moment the caller hung up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Status:
    """The head of a reply; chunked unless a length is among the headers."""

    code: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    chunked: bool = True


@dataclass(frozen=True)
class Send:
    """Bytes of the body, as one chunk."""

    data: bytes


@dataclass(frozen=True)
class Raw:
    """Bytes on the socket as they are."""

    data: bytes


@dataclass(frozen=True)
class Pause:
    """Wait for an event, or so many seconds."""

    until: asyncio.Event | float


@dataclass(frozen=True)
class End:
    """The regular end of a chunked body."""


@dataclass(frozen=True)
class Close:
    """Hang up without an end (FIN)."""


@dataclass(frozen=True)
class Reset:
    """Hang up with RST."""


@dataclass(frozen=True)
class Stall:
    """Say nothing more until the caller hangs up."""


Step = Status | Send | Raw | Pause | End | Close | Reset | Stall
Answer = Callable[[Received], Iterable[Step]]

SSE = (("content-type", "text/event-stream"),)


def whole(payload: object, *, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> list[Step]:
    """A JSON reply (bytes are sent as they are)."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    head = (("content-type", "application/json"), ("content-length", str(len(data))), *headers)
    return [Status(status, head, chunked=False), Raw(data)]


def stream(*parts: bytes) -> list[Step]:
    """An event stream, one chunk a part."""
    return [Status(200, SSE), *(Send(part) for part in parts), End()]


class FakeProvider:
    """Listens on a free port of loopback. ``answer`` may be replaced at any time."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer: Answer = answer or (lambda request: whole({"error": {"message": "not scripted"}}, status=500))
        self.requests: list[Received] = []
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._play(request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _play(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        watcher = asyncio.create_task(_watch(request, reader))
        self._tasks.add(watcher)
        chunked = True
        try:
            for step in self.answer(request):
                match step:
                    case Status(code, headers, is_chunked):
                        chunked = is_chunked
                        lines = [f"HTTP/1.1 {code} Status", *(f"{name}: {value}" for name, value in headers)]
                        lines += ["transfer-encoding: chunked"] if chunked else []
                        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
                    case Send(data):
                        writer.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
                    case Raw(data):
                        writer.write(data)
                    case Pause(float() | int() as seconds):
                        await asyncio.sleep(seconds)
                    case Pause(asyncio.Event() as event):
                        await event.wait()
                    case End():
                        writer.write(b"0\r\n\r\n")
                    case Close():
                        await writer.drain()
                        return False
                    case Reset():
                        await writer.drain()
                        writer.transport.abort()
                        return False
                    case Stall():
                        await request.closed.wait()
                        return False
                if request.closed.is_set():
                    return False
                await writer.drain()
            return True
        except ConnectionError:
            request.closed.set()
            raise
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
            self._tasks.discard(watcher)


async def _watch(request: Received, reader: asyncio.StreamReader) -> None:
    """Note when the caller hangs up (it sends nothing while it waits for a reply)."""
    try:
        if not reader._buffer and not reader._eof:  # type: ignore[attr-defined]
            await reader._wait_for_data("_watch")  # type: ignore[attr-defined]
    except ConnectionError:
        request.closed.set()
    if reader.at_eof():
        request.closed.set()  # otherwise it was the next request: this reply was done


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head.decode("latin-1").split("\r\n")
    method, path, _ = line.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest if text)}
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = b""
    return Received(method, path, headers, body)
