"""Clients that send slowly, too much, or read nothing: each costs a bounded time and a bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from router.routing.encoding import load_encoding
from router.server import bodies, listeners, outgoing
from tests.support.aftermath import aftermath, leaving_nothing, nothing_recorded
from tests.support.answers import answer
from tests.support.asking import MESSAGES, PROFILE, opening
from tests.support.memory import memory
from tests.support.provider import SSE, End, FakeProvider, Pause, Send, Status, Step, whole
from tests.support.raw import RawClient, ask, request
from tests.support.serving import Running, serving
from tests.support.slow import in_time, within
from tests.support.watchdog import watchdog

BODY = MESSAGES.request(stream=False)[1]
HEAD = b"POST /work/v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a fraction of a second."""
    monkeypatch.setattr(listeners, "HEAD_S", 0.2)
    monkeypatch.setattr(listeners, "LINGER_S", 0.1)
    monkeypatch.setattr(bodies, "IDLE_S", 0.2)


@pytest.fixture
async def served(hurried: None, arena: Any) -> Any:
    arena.provider.answer = answer
    return arena


# --- heads and bodies that drip ---------------------------------------------------------------------------------------

HEADS = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"\r\n", id="an empty line"),
    pytest.param(b"POST /work/v1/messages", id="half a request line"),
    pytest.param(HEAD, id="half a head"),
    pytest.param(HEAD + b"\r", id="all but a line feed"),
]


@pytest.mark.parametrize("start", HEADS)
async def test_a_head_has_to_arrive_in_time(start: bytes, served: Any) -> None:
    async with nothing_recorded(served.router, served.provider), RawClient(served.router.url) as client:
        began = time.monotonic()
        await client.send(start)
        assert await client.until_closed() == b""
        took_s = time.monotonic() - began
        assert took_s >= 0.15
        in_time(took_s, 0.6)


async def test_a_head_that_drips_has_no_longer(served: Any) -> None:
    async with nothing_recorded(served.router, served.provider), RawClient(served.router.url) as client:
        with within(0.6), contextlib.suppress(ConnectionError):
            for byte in HEAD + b"X: " + b"a" * 100:
                await client.send(bytes([byte]))
                await asyncio.sleep(0.01)
                if client.reader.at_eof():
                    break


@pytest.mark.parametrize("first", [True, False], ids=["the first request", "a later one"])
async def test_the_second_part_of_a_head_may_come_later_but_not_too_late(first: bool, served: Any) -> None:
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    async with RawClient(served.router.url) as client:
        for _ in range(0 if first else 2):
            await client.send(whole)
            assert (await client.reply()).status == 200
        await client.send(whole[:50])
        await asyncio.sleep(0.1)
        await client.send(whole[50:])
        assert (await client.reply()).status == 200
        await client.send(whole[:50])
        with within(1):
            assert await client.until_closed() == b""


async def test_a_body_in_many_parts_does_not_shorten_the_connections_life(served: Any) -> None:
    """The time for a head runs from its first byte to its last, not on into what comes after it."""
    body = MESSAGES.request(stream=False)[1] + b" " * 300_000
    data = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    async with RawClient(served.router.url) as client:
        for size in (1000, 3000, 50_000):
            for start in range(0, len(data), size):
                client.writer.write(data[start : start + size])
                await asyncio.sleep(0)
            assert (await client.reply()).status == 200
            await asyncio.sleep(0.3)  # longer than a head may take
        await client.send(request("GET", "/health"))
        assert (await client.reply()).status == 200


async def test_a_slow_answer_is_no_slow_head(served: Any) -> None:
    served.provider.answer = lambda received: [Pause(0.5), *answer(received)]
    async with aftermath(served.router, served.provider):
        reply = await ask(served.router.url, request("POST", "/work/v1/messages", BODY))
    assert reply.status == 200


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_body_that_stops_is_told_so_in_time(framing: str, served: Any) -> None:
    half = BODY[: len(BODY) // 2]
    data = HEAD + (
        b"Content-Length: %d\r\n\r\n%s" % (len(BODY), half)
        if framing == "length"
        else b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(half), half)
    )
    async with nothing_recorded(served.router, served.provider), RawClient(served.router.url) as client:
        with within(0.8):
            await client.send(data)
            reply = await client.reply()
            assert reply.status == 408
            assert MESSAGES.error_of(reply.body)
            assert await client.until_closed() == b""


async def test_a_body_that_drips_is_told_so_in_time(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LEAST_BYTES_PER_S", 10_000.0)
    async with nothing_recorded(served.router, served.provider), RawClient(served.router.url) as client:
        with within(1.0):
            await client.send(HEAD + b"Content-Length: 100000\r\n\r\n")
            reading = asyncio.create_task(client.reply())
            while not reading.done():
                with contextlib.suppress(ConnectionError):
                    await client.send(b" ")
                await asyncio.sleep(0.02)
        assert reading.result().status == 408


async def test_many_slow_clients_are_in_nobodys_way(served: Any) -> None:
    async with contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(RawClient(served.router.url)) for _ in range(200)]
        for number, client in enumerate(slow):
            await client.send((b"", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{")[number % 3])
        for _ in range(20):
            with within(0.3):
                assert (await ask(served.router.url, request("POST", "/work/v1/messages", BODY))).status == 200
        with within(3):
            ended = await asyncio.gather(*(client.until_closed() for client in slow))
        assert {data.split(b"\r\n")[0] for data in ended} == {b"", b"HTTP/1.1 408 Request Timeout"}
        await served.router.flush()


# --- too much ---------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def small(home: Path, provider: FakeProvider) -> AsyncIterator[Running]:
    """A router that takes bodies up to 100 KB."""
    settings = '[server]\nmax-body = "100KB"\n'
    async with (
        serving(home, {"work": PROFILE}, providers={"fake": provider.url}, settings=settings) as router,
        leaving_nothing(router, provider),
    ):
        yield router


@pytest.mark.parametrize("length", [100_001, 10**8, 10**10, 2**63 - 1])
async def test_a_body_announced_too_large_is_refused_unread(
    length: int, hurried: None, tmp_path: Path, provider: FakeProvider
) -> None:
    async with (
        small(tmp_path / "home", provider) as router,
        nothing_recorded(router, provider),
        RawClient(router.url) as client,
    ):
        await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % length)
        with within(1):
            reply = await client.reply()
        assert reply.status == 413
        assert "100000" in MESSAGES.error_of(reply.body)
        assert reply.headers["connection"] == "close"
        with within(2):
            assert await client.until_closed() == b""


async def test_a_body_of_just_the_limit_is_taken(tmp_path: Path, provider: FakeProvider) -> None:
    provider.answer = answer
    async with small(tmp_path / "home", provider) as router:
        for extra, status in ((0, 200), (1, 413)):
            body = BODY + b" " * (100_000 - len(BODY) + extra)
            assert (await ask(router.url, request("POST", "/work/v1/messages", body))).status == status
            chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            assert (await ask(router.url, chunked)).status == status


async def test_endless_chunks_are_read_no_further_than_the_limit(
    hurried: None, tmp_path: Path, provider: FakeProvider
) -> None:
    chunk = b"10000\r\n" + b" " * 2**16 + b"\r\n"
    async with (
        small(tmp_path / "home", provider) as router,
        nothing_recorded(router, provider),
        watchdog(),
        RawClient(router.url) as client,
    ):
        await client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        began = time.monotonic()
        sent = 0
        reading = asyncio.create_task(client.reply())
        with contextlib.suppress(ConnectionError):
            while not reading.done():
                await client.send(chunk)
                sent += len(chunk)
        assert (await reading).status == 413
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 10:
                await client.send(chunk)
        in_time(time.monotonic() - began, 2, "the connection is closed soon")
    assert sent < 20 * 2**20


async def test_twenty_large_bodies_at_once_need_no_memory_to_refuse(
    hurried: None, tmp_path: Path, provider: FakeProvider
) -> None:
    async with small(tmp_path / "home", provider) as router:
        before = memory()
        replies = await asyncio.gather(
            *(ask(router.url, HEAD + b"Content-Length: 100000000\r\n\r\n" + b"x" * 2**16) for _ in range(20))
        )
        assert [reply.status for reply in replies] == [413] * 20
        assert memory() - before < 40 * 2**20


ENCODED = [
    pytest.param("br", b"\x8b\x00\x80\x03", id="brotli"),
    pytest.param("gzip, gzip", gzip.compress(gzip.compress(b"\x00" * 2**26)), id="twice"),
    pytest.param("identity, gzip", gzip.compress(BODY), id="not quite identity"),
    pytest.param("nonsense", BODY, id="an unknown word"),
]


@pytest.mark.parametrize(("encoding", "body"), ENCODED)
async def test_bodies_of_unknown_codings_are_refused_unread(encoding: str, body: bytes, served: Any) -> None:
    data = request("POST", "/work/v1/messages", body, headers=[("Content-Encoding", encoding)])
    before = memory()
    async with nothing_recorded(served.router, served.provider), watchdog():
        reply = await ask(served.router.url, data)
    assert reply.status == 415
    assert MESSAGES.error_of(reply.body)
    assert memory() - before < 20 * 2**20


async def test_identity_is_no_compression(served: Any) -> None:
    data = request("POST", "/work/v1/messages", BODY, headers=[("Content-Encoding", "identity")])
    assert (await ask(served.router.url, data)).status == 200


# --- clients that don't read ------------------------------------------------------------------------------------------

FLOOD = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"text":"%s"}}\n\n' % (
    b"a" * 60_000
)


def flooding(received: object) -> Iterator[Step]:
    """A stream without an end, as fast as it is taken."""
    yield from opening(*MESSAGES.events()[:3])
    while True:
        yield Send(FLOOD)


class Stalled:
    """A client that asks and then doesn't read; its receive buffer is small."""

    def __init__(self, router: Running) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect(("127.0.0.1", router.app.listener.port))
        self.sock.sendall(request("POST", "/work/v1/messages", MESSAGES.request(stream=True)[1]))

    def read_all(self) -> bytes:
        self.sock.settimeout(10)
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := self.sock.recv(2**16):
                parts.append(part)
        return b"".join(parts)


@contextlib.asynccontextmanager
async def impatient(home: Path, provider: FakeProvider) -> AsyncIterator[Running]:
    profile = f'{PROFILE}\n[timeouts]\nidle = "400ms"\n'
    async with (
        serving(home, {"work": profile}, providers={"fake": provider.url}) as router,
        leaving_nothing(router, provider),
    ):
        yield router


async def test_a_client_that_reads_nothing_is_cut_off_and_its_provider_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: FakeProvider
) -> None:
    monkeypatch.setattr(outgoing, "FLUSH_S", 0.2)
    provider.answer = flooding
    async with impatient(tmp_path / "home", provider) as router:
        async with aftermath(router, provider) as after:
            client = Stalled(router)
            with within(3):
                while not provider.requests:
                    await asyncio.sleep(0.005)
                await provider.requests[0].closed.wait()
        assert after.told == ("partial", "broken-stream")
        assert not router.app.services.active
        async with asyncio.timeout(10):
            while connections(router):
                await asyncio.sleep(0.01)
        seen = await asyncio.to_thread(client.read_all)
        client.sock.close()
    assert not seen.endswith(b"0\r\n\r\n")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux notices it for us")
async def test_a_client_that_takes_nothing_of_a_whole_reply_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: FakeProvider
) -> None:
    monkeypatch.setattr(listeners, "STALLED_S", 0.4)
    provider.answer = lambda received: whole(b'{"text": "%s"}' % (b"a" * 2**24))
    async with impatient(tmp_path / "home", provider) as router:
        async with aftermath(router, provider) as after:
            client = Stalled(router)
            while not connections(router):
                await asyncio.sleep(0.005)
        assert after.told == ("ok", None)
        async with asyncio.timeout(10):
            while connections(router):
                await asyncio.sleep(0.01)
        client.sock.close()


def connections(router: Running) -> int:
    gate = router.app.listener._gate
    assert gate is not None
    return len(gate.connections)


@pytest.mark.slow
async def test_a_hundred_clients_that_read_nothing_cost_little_memory_and_no_time(
    tmp_path: Path, provider: FakeProvider
) -> None:
    offered = 0

    def counted() -> Iterator[Step]:
        nonlocal offered
        for step in flooding(None):
            offered += 1
            yield step

    provider.answer = lambda received: counted() if b'"stream": true' in received.body else answer(received)
    async with serving(tmp_path / "home", {"work": PROFILE}, providers={"fake": provider.url}) as router:
        await asyncio.to_thread(load_encoding)  # which takes more memory than all of them
        await ask(router.url, request("POST", "/work/v1/messages", BODY))
        before = memory()
        clients = [Stalled(router) for _ in range(100)]
        while len(provider.requests) <= 100:
            await asyncio.sleep(0.01)
        seen, calm = -1, 0
        while calm < 4:  # until every buffer on the way is full
            calm = calm + 1 if seen == offered else 0
            seen = offered
            await asyncio.sleep(0.25)
        each = (memory() - before) / 100
        took = []
        for _ in range(21):
            began = time.monotonic()
            assert (await ask(router.url, request("POST", "/work/v1/messages", BODY))).status == 200
            took.append(time.monotonic() - began)
        for client in clients:
            client.sock.close()
        await router.flush()
        assert {row["outcome"] for row in await router.rows(where="stream = 1")} == {"client-gone"}
    print(f"{each / 1024:.0f} KiB for a stalled stream, both ends of it; others took {sorted(took)[10]:.3f} s")
    assert each < 2**20, "the provider's end is in this process, too"
    in_time(sorted(took)[10], 0.1)


@pytest.mark.slow
async def test_a_flood_goes_through_in_bounded_memory(tmp_path: Path, provider: FakeProvider) -> None:
    parts = 4000

    def flood(received: object) -> Iterator[Step]:
        yield from opening(*MESSAGES.events()[:3])
        for _ in range(parts):
            yield Send(FLOOD)
        yield Send(MESSAGES.events()[-1])
        yield End()

    provider.answer = flood
    async with (
        serving(tmp_path / "home", {"work": PROFILE}, providers={"fake": provider.url}) as router,
        aftermath(router, provider) as after,
    ):
        before, highest, seen = memory(), 0, 0
        async with router.post("/work/v1/messages", data=MESSAGES.request(stream=True)[1]) as reply:
            async for chunk in reply.content.iter_any():
                seen += len(chunk)
                highest = max(highest, memory())
    assert after.told == ("ok", None)
    assert seen > parts * len(FLOOD)
    assert highest - before < 64 * 2**20


async def test_a_stream_without_any_event_end_is_passed_on_in_bounded_memory(
    tmp_path: Path, provider: FakeProvider
) -> None:
    """One line of 20 MB: more than is kept for reading, so it passes unread."""

    def one_line(received: object) -> Iterator[Step]:
        yield Status(200, SSE)
        yield Send(b"".join(MESSAGES.events()[:3]) + b"data: ")
        for _ in range(20):
            yield Send(b"a" * 2**20)
        yield Send(b"\n\n" + b"".join(MESSAGES.events()[3:]))
        yield End()

    provider.answer = one_line
    async with (
        serving(tmp_path / "home", {"work": PROFILE}, providers={"fake": provider.url}) as router,
        aftermath(router, provider) as after,
    ):
        before, highest, size = memory(), 0, 0
        async with router.post("/work/v1/messages", data=MESSAGES.request(stream=True)[1]) as reply:
            async for chunk in reply.content.iter_any():
                size += len(chunk)
                highest = max(highest, memory())
    assert after.told == ("ok", None)
    assert size > 20 * 2**20
    assert highest - before < 40 * 2**20
