"""Messages between two processes at a restart: 4 bytes of length, then JSON. The first one brings open files along."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import Final, TypeVar

import msgspec

from router.server.tenant import Memory

SOCKETS_A_MESSAGE: Final = 64  # Linux takes up to 253
_LENGTH: Final = struct.Struct(">I")


class Hello(msgspec.Struct, tag=True):
    """Who hands over. ``listeners`` are host, port and the number of sockets there, the main one first."""

    pid: int
    version: str
    schema: int
    profiles: list[str]  # that it serves
    listeners: list[tuple[str, int, int]]


class Go(msgspec.Struct, tag=True):
    """The successor can use what it was told."""


class Memories(msgspec.Struct, tag=True):
    """What each profile knows."""

    profiles: dict[str, Memory]


class UnderWay(msgspec.Struct, tag=True):
    """The requests that may have a row and are not settled, id to profile."""

    requests: dict[str, str]


class Opened(msgspec.Struct, tag=True):
    """The successor writes the ledger now."""


class Records(msgspec.Struct, tag=True):
    """For the ledger. The next ones come when these are stored."""

    lines: list[msgspec.Raw]


class Stored(msgspec.Struct, tag=True):
    """The latest records are committed."""


class Ready(msgspec.Struct, tag=True):
    """The successor serves."""


class Stop(msgspec.Struct, tag=True):
    """End, as if by a signal."""


class Bye(msgspec.Struct, tag=True):
    """Nothing more comes."""


Message = Hello | Go | Memories | UnderWay | Opened | Records | Stored | Ready | Stop | Bye
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
M = TypeVar("M")


class Channel:
    """Messages, both ways. Whatever is wrong with it is a ConnectionError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, connection: socket.socket) -> Channel:
        """On a connected socket, which it closes in the end."""
        connection.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=connection))

    async def send(self, message: Message) -> None:
        """Raises ConnectionError. What is long is written in a thread."""
        self._writer.write(await asyncio.to_thread(_framed, message))
        await self._writer.drain()

    def post(self, message: Message) -> None:
        """Send, without learning whether it worked."""
        self._writer.write(_framed(message))

    async def receive(self) -> Message:
        """The next message. Raises ConnectionError at the end."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            body = await self._reader.readexactly(length)
            return await asyncio.to_thread(_decoder.decode, body)
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the other process has ended") from error
        except msgspec.MsgspecError as error:
            raise ConnectionError(f"the other process says what can't be understood: {error}") from error

    async def expect(self, kind: type[M]) -> M:
        """The next message, which must be of this kind. Raises ConnectionError."""
        message = await self.receive()
        if not isinstance(message, kind):
            raise ConnectionError(f"the other process said {type(message).__name__} instead of {kind.__name__}")
        return message

    async def close(self) -> None:
        """Say nothing more."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def _framed(message: Message) -> bytes:
    body = msgspec.json.encode(message)
    return _LENGTH.pack(len(body)) + body


def greet(connection: socket.socket, hello: Hello, fds: list[int]) -> None:
    connection.sendall(_framed(hello) + _LENGTH.pack(len(fds)))
    for first in range(0, len(fds), SOCKETS_A_MESSAGE):
        socket.send_fds(connection, [b"."], fds[first : first + SOCKETS_A_MESSAGE])


def greeted(connection: socket.socket) -> tuple[Hello, list[int]]:
    """The greeting and the files, the lock first. Raises OSError, ValueError."""
    hello = _decoder.decode(_exactly(connection, *_LENGTH.unpack(_exactly(connection, _LENGTH.size))))
    (count,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    fds: list[int] = []
    while len(fds) < count:
        data, more, _, _ = socket.recv_fds(connection, 1, SOCKETS_A_MESSAGE)
        if not data:
            raise ConnectionError("the other process has ended")
        fds += more
    for fd in fds:
        os.set_inheritable(fd, False)
    if not isinstance(hello, Hello):
        raise ConnectionError("that was no greeting")
    return hello, fds


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionError("the other process has ended")
        data += part
    return data
