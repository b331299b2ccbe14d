"""Listening sockets that close, or go to another process, at the worst moment."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from router.server.listeners import Listener

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


async def greet(request: web.BaseRequest) -> web.StreamResponse:
    await request.read()
    return web.Response(text="hello")


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener("127.0.0.1", 0, greet)
    await listener.open()
    yield listener
    await listener.close()


async def answer_to(client: socket.socket, *, ends: bool = True) -> bytes:
    """All that comes until the connection ends; with ``ends=False`` the answer that leaves it open."""
    loop = asyncio.get_running_loop()
    seen = b""
    async with asyncio.timeout(10):
        while part := await loop.sock_recv(client, 65536):
            seen += part
            if not ends and seen.endswith(b"hello"):
                break
    return seen


@pytest.mark.parametrize("turns", range(5))
@pytest.mark.parametrize("end", [Listener.stop, Listener.retire])
async def test_whoever_was_accepted_is_not_forgotten(
    end: Callable[[Listener], None], turns: int, listener: Listener
) -> None:
    """asyncio accepts in one turn of the loop and makes the handler in the next: a close in between would forget it."""
    loop = asyncio.get_running_loop()
    errors: list[object] = []
    loop.set_exception_handler(lambda loop, context: errors.append(context))
    with (
        socket.socket(fileno=os.dup(listener.fds[0])) as elsewhere,  # as another process has it
        socket.create_connection(("127.0.0.1", listener.port)) as client,
    ):
        client.setblocking(False)
        await loop.sock_sendall(client, REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        for _ in range(turns):
            await asyncio.sleep(0)
        end(listener)
        await asyncio.sleep(0.01)
        try:
            elsewhere.accept()[0].close()
        except BlockingIOError:  # it was accepted here
            try:
                assert (await answer_to(client)).endswith(b"hello")
            except ConnectionResetError:  # what was sent had not been read: idle
                assert end is Listener.stop
        else:
            assert turns < 2
    assert errors == []


async def test_who_retires_answers_once_more_on_each_connection(listener: Listener) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", listener.port)) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, REQUEST)
        assert b"close" not in await answer_to(client, ends=False), "kept for the next request"
        listener.retire()
        await asyncio.sleep(0.01)
        assert listener.connections == 1, "a request may be on its way"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", listener.port))
        await loop.sock_sendall(client, REQUEST)
        seen = await answer_to(client)
        assert b"Connection: close" in seen
        assert seen.endswith(b"hello")
    assert listener.connections == 0


@pytest.mark.parametrize("asked", [False, True], ids=["new", "kept"])
async def test_a_stop_ends_idle_connections(asked: bool, listener: Listener) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", listener.port)) as client:
        client.setblocking(False)
        if asked:
            await loop.sock_sendall(client, REQUEST)
            await answer_to(client, ends=False)
        else:
            await asyncio.sleep(0.01)
        assert listener.connections == 1
        listener.stop()
        assert await answer_to(client) == b""
    assert listener.connections == 0
