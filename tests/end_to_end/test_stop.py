"""Stopping: running answers end within the grace, the rest are told, nothing is lost; and who can't start says why."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.support.answers import answer, chat_chunks, messages_events, response_events
from tests.support.process import RouterProcess, free_port
from tests.support.provider import SSE, End, FakeProvider, Pause, Received, Send, Stall, Status, Step
from tests.support.raw_client import RawClient
from tests.support.serving import read_rows, write_profile, write_providers
from tests.support.slow import in_time, within

pytestmark = pytest.mark.slow

GRACE_S = 1.0
EVENTS = {
    "/work/v1/messages": messages_events("m"),
    "/work/v1/chat/completions": chat_chunks("m", usage=True),
    "/work/v1/responses": response_events("m"),
}
BODY = b'{"model":"%s","stream":true,"messages":[],"input":"","stream_options":{"include_usage":true}}'
WHOLE = b'{"model":"%s","messages":[],"input":""}'


class World(NamedTuple):
    router: RouterProcess
    provider: FakeProvider
    finish: asyncio.Event  # lets the streams of the model "finishing" end

    @property
    def database(self) -> Path:
        return self.router.home / "router.db"


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    finish = asyncio.Event()

    def slowly(request: Received) -> Iterable[Step]:
        model = request.json["model"]
        if model == "silent":
            return [Stall()]
        if model == "beginning":
            return [Status(200, SSE), Send(EVENTS["/work/v1/messages"][0]), Stall()]
        if model not in ("finishing", "endless"):
            return answer(request)
        events = next(events for path, events in EVENTS.items() if path.endswith(request.path))
        rest: list[Step] = [Pause(finish), Send(b"".join(events[6:])), End()] if model == "finishing" else [Stall()]
        return [Status(200, SSE), Send(b"".join(events[:6])), *rest]

    home = tmp_path / "home"
    write_profile(home, "work", '[default]\nto = "there"\n')
    (home / "router.toml").write_text(f'[server]\nstop-grace = "{GRACE_S:g}s"\n')
    async with FakeProvider(slowly) as provider:
        write_providers(home, {"there": f"{provider.url}/work/v1"})
        router = RouterProcess(home, free_port())
        try:
            await (await router.spawn()).ready()
            yield World(router, provider, finish)
        finally:
            await router.destroy()


@pytest_asyncio.fixture
async def clients() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def begun(world: World, clients: AsyncExitStack, model: str, path: str = "/work/v1/messages") -> RawClient:
    """A client whose stream has shown its first words."""
    client = await clients.enter_async_context(RawClient(world.router.url))
    await client.send(path, BODY % model.encode())
    await client.read_until(b"Hello")
    return client


async def refused_since(port: int, began: float) -> float:
    """How long new connections were still taken."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except (ConnectionRefusedError, ConnectionResetError):  # reset: it closed between the handshake and the answer
            return time.monotonic() - began
        writer.close()
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_streams_end_within_the_grace_and_the_rest_are_told(
    number: signal.Signals, world: World, clients: AsyncExitStack
) -> None:
    finishing = [await begun(world, clients, "finishing", path) for path in EVENTS for _ in range(10)]
    endless = {path: await begun(world, clients, "endless", path) for path in EVENTS}
    began = time.monotonic()
    world.router.signal(number)
    in_time(await refused_since(world.router.port, began), 0.5)  # a busy machine; the aim is 0.1
    world.finish.set()
    for client in finishing:
        await client.read_all()
        assert client.seen.endswith(b"0\r\n\r\n"), "a regular end"
    in_time(time.monotonic() - began, GRACE_S, "nobody who could finish was made to wait")
    for path, client in endless.items():
        seen = await client.read_all()
        assert not seen.endswith(b"0\r\n\r\n"), "no regular end"
        told = seen[seen.index(b"Hello") :]
        assert b"shutting down" in told
        event = json.loads(told[told.rindex(b"data: ") :].removeprefix(b"data: ").split(b"\n")[0])
        assert event.get("type") == "error" or "error" in event, path
    assert await world.router.ended() == 0
    took_s = time.monotonic() - began
    assert took_s > GRACE_S * 0.9
    in_time(took_s, GRACE_S + 2)
    rows = read_rows(world.database)
    assert [row["state"] for row in rows] == ["settled"] * 33
    outcomes = sorted(row["outcome"] for row in rows)
    assert outcomes == ["drained"] * 3 + ["ok"] * 30
    for attempt in read_rows(world.database, "attempts"):
        drained = next(row for row in rows if row["id"] == attempt["request_id"])["outcome"] == "drained"
        assert attempt["maybe_billed"] == drained
    check_tidy(world)


@pytest.mark.parametrize("model", ["silent", "beginning"])
@pytest.mark.parametrize("body", [BODY, WHOLE], ids=["streamed", "whole"])
async def test_who_has_seen_nothing_yet_gets_an_ordinary_error(body: bytes, model: str, world: World) -> None:
    async with RawClient(world.router.url) as client:
        await client.send("/work/v1/messages", body % model.encode())
        async with asyncio.timeout(5):
            while not world.provider.requests:
                await asyncio.sleep(0.005)
        world.router.signal(signal.SIGTERM)
        seen = await client.read_all()
    assert await world.router.ended() == 0
    assert seen.startswith(b"HTTP/1.1 503 "), seen
    assert b"shutting down" in seen
    assert json.loads(seen.partition(b"\r\n\r\n")[2])["type"] == "error"
    [row] = read_rows(world.database)
    assert (row["state"], row["outcome"]) == ("settled", "drained")


async def test_a_second_signal_ends_it_at_once(world: World, clients: AsyncExitStack) -> None:
    finished = await begun(world, clients, "quick")
    await finished.read_until(b"message_stop")
    client = await begun(world, clients, "endless")
    world.router.signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    began = time.monotonic()
    world.router.signal(signal.SIGTERM)
    assert b"shutting down" in await client.read_all()
    assert await world.router.ended() == 0
    in_time(time.monotonic() - began, 0.7, "the grace was not waited for")
    assert sorted(row["outcome"] for row in read_rows(world.database)) == ["drained", "ok"]
    check_tidy(world)


async def test_an_idle_server_stops_at_once_even_with_kept_connections(world: World) -> None:
    async with RawClient(world.router.url) as client:
        await client.send("/work/v1/messages", WHOLE % b"m")
        await client.read_until(b"output_tokens")
        with within(1.0):
            world.router.signal(signal.SIGTERM)
            assert await world.router.ended() == 0
    check_tidy(world)


def check_tidy(world: World) -> None:
    """No file says that a server is still there, and the ledger is one file."""
    home = world.router.home
    assert not (home / "router.sock").exists()
    log = home / "router.db-wal"
    assert not log.exists() or log.stat().st_size == 0
    assert "Traceback" not in world.router.said()
    assert "never awaited" not in world.router.said()


# --- who can't start --------------------------------------------------------------------------------------------------


async def test_a_second_server_on_the_same_home_gives_up_and_names_the_first(world: World) -> None:
    second = await RouterProcess(world.router.home, free_port()).spawn()
    assert await second.ended() == 4
    assert f"process {world.router.process.pid}" in second.said()
    assert "Traceback" not in second.said()
    async with RawClient(world.router.url) as client:  # the first is unharmed
        await client.send("/work/v1/messages", WHOLE % b"m")
        await client.read_until(b"output_tokens")
    assert (world.router.home / "router.sock").exists()


async def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        router = await RouterProcess(tmp_path / "home", port).spawn()
        assert await router.ended() == 5
    assert f"127.0.0.1:{port}" in router.said()
    assert "--port" in router.said()
    assert "Traceback" not in router.said()


async def test_a_wrong_file_is_named_with_its_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_profile(home, "work", '[default]\nto = "anthropic"\n')
    (home / "router.toml").write_text("[server]\nport = 'many'\n")
    router = await RouterProcess(home, free_port()).spawn()
    assert await router.ended() == 2
    assert "router.toml:2" in router.said()
    assert "Traceback" not in router.said()


async def test_a_damaged_ledger_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_profile(home, "work", '[default]\nto = "anthropic"\n')
    damaged = b"this is no database, " * 500
    (home / "router.db").write_bytes(damaged)
    router = await RouterProcess(home, free_port()).spawn()
    assert await router.ended() == 3
    assert "router.db" in router.said()
    assert "Traceback" not in router.said()
    assert (home / "router.db").read_bytes() == damaged


async def test_a_broken_profile_keeps_nobody_from_starting(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_profile(home, "good", '[default]\nto = "anthropic"\n')
    write_profile(home, "broken", "[[[")
    router = RouterProcess(home, free_port())
    try:
        await (await router.spawn()).ready()
        router.signal(signal.SIGTERM)
        assert await router.ended() == 0
    finally:
        await router.destroy()
    assert "profiles/broken/routing.toml:1" in router.said()
