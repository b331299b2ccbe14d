"""Restarts under load: no connection is refused, no stream breaks, no row is lost or taken for an interrupted one."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.support.answers import answer, messages_events
from tests.support.process import RouterProcess, free_port
from tests.support.provider import SSE, End, FakeProvider, Pause, Received, Send, Status, Step
from tests.support.raw_client import RawClient
from tests.support.serving import read_rows, write_profile, write_providers
from tests.support.slow import in_time

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STREAMS = 200
A_SECOND = 50  # requests, half of them on connections of their own, half on kept ones
KEPT = 10
RESTARTS = 5
PATH = "/work/v1/messages"
EVENTS = messages_events("m")
SLOW = b'{"model":"slow","max_tokens":1,"stream":true,"messages":[]}'
QUICK = b'{"model":"m","max_tokens":1,"messages":[]}'


class World(NamedTuple):
    home: Path
    port: int
    provider: FakeProvider
    finish: asyncio.Event  # lets the slow streams end
    processes: list[RouterProcess]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def spawn(self, *options: str) -> RouterProcess:
        process = RouterProcess(self.home, self.port)
        self.processes.append(process)
        return await process.spawn(*options)

    async def restart(self) -> RouterProcess:
        """Replace the server, and wait until the new one serves."""
        return await (await self.spawn("--take-over")).ready()

    def rows(self) -> list[dict[str, Any]]:
        return read_rows(self.home / "router.db")


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    finish = asyncio.Event()

    def slowly(request: Received) -> Iterable[Step]:
        if request.json["model"] != "slow":
            return answer(request)
        return [Status(200, SSE), Send(b"".join(EVENTS[:6])), Pause(finish), Send(b"".join(EVENTS[6:])), End()]

    home = tmp_path / "home"
    write_profile(home, "work", '[default]\nto = "there"\n')
    async with FakeProvider(slowly) as provider:
        write_providers(home, {"there": provider.url})
        world = World(home, free_port(), provider, finish, [])
        try:
            yield world
        finally:
            for process in world.processes:
                await process.destroy()


@dataclass
class Load:
    """Clients that ask a number of times a second, and what became of it."""

    url: str
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    finished: list[str] = field(default_factory=list)  # request ids
    wrong: Counter[str] = field(default_factory=Counter)

    async def on_new_connections(self, every_s: float) -> None:
        async with asyncio.TaskGroup() as requests:
            while not self.stop.is_set():
                requests.create_task(self.once(None))
                await asyncio.sleep(every_s)

    async def on_a_kept_connection(self, every_s: float) -> None:
        client: RawClient | None = None
        while not self.stop.is_set():
            client = await self.once(client, keep=True)
            await asyncio.sleep(every_s)
        if client is not None:
            client.leave()

    async def once(self, client: RawClient | None, *, keep: bool = False) -> RawClient | None:
        """One request; the client if its connection may be used again."""
        try:
            if client is None:
                client = RawClient(self.url)
                await client.__aenter__()
            client.seen = b""
            await client.send(PATH, QUICK)
            seen = await client.read_until(b'"output_tokens": 7')
        except (OSError, EOFError, TimeoutError) as error:
            self.wrong[f"{type(error).__name__}: {error}"] += 1
            return None
        self.wrong[seen.partition(b"\r\n")[0].decode()] += not seen.startswith(b"HTTP/1.1 200")
        self.finished.append(request_id(seen))
        if not keep or b"\r\nConnection: close" in seen.partition(b"\r\n\r\n")[0]:
            client.leave()
            return None
        return client


def request_id(seen: bytes) -> str:
    return seen.partition(b"x-router-request-id: ")[2][:32].decode()


async def test_five_restarts_under_load(world: World) -> None:
    await (await world.spawn()).ready()
    load, streams = Load(world.url), [RawClient(world.url) for _ in range(STREAMS)]
    took: list[float] = []
    async with asyncio.TaskGroup() as clients:
        for number in range(KEPT):
            clients.create_task(load.on_a_kept_connection(2 * KEPT / A_SECOND * (0.9 + 0.02 * number)))
        clients.create_task(load.on_new_connections(2 / A_SECOND))
        for number in range(RESTARTS):
            for stream in streams[number * STREAMS // RESTARTS : (number + 1) * STREAMS // RESTARTS]:
                await stream.__aenter__()
                await stream.send(PATH, SLOW)
                await stream.read_until(b"Hello")
            began = time.monotonic()
            await world.restart()
            took.append(time.monotonic() - began)
            await asyncio.sleep(1)
        assert [process.process.returncode for process in world.processes] == [None] * (RESTARTS + 1), (
            "all have streams"
        )
        world.finish.set()
        for stream in streams:
            assert (await stream.read_until(b"0\r\n\r\n")).endswith(b'"message_stop"}\n\n\r\n0\r\n\r\n')
            stream.leave()
        load.stop.set()
    assert +load.wrong == Counter()
    for process in world.processes[:-1]:
        assert await process.ended() == 0
    finished = {*load.finished, *(request_id(stream.seen) for stream in streams)}
    assert len(finished) == len(load.finished) + STREAMS
    print(f"\n{STREAMS} streams and {len(load.finished)} requests over {RESTARTS} restarts", end="")
    print(f" of {max(took):.2f} s at most")
    rows = {row["id"]: row for row in world.rows()}
    assert rows.keys() == finished
    assert Counter((row["state"], row["outcome"]) for row in rows.values()) == {("settled", "ok"): len(finished)}
    assert sum(line["requests"] for line in read_rows(world.home / "router.db", "rollup")) == len(finished)
    assert {attempt["state"] for attempt in read_rows(world.home / "router.db", "attempts")} == {"settled"}


async def begun(world: World) -> RawClient:
    """A client whose slow stream has shown its first words."""
    stream = RawClient(world.url)
    await stream.__aenter__()
    await stream.send(PATH, SLOW)
    await stream.read_until(b"Hello")
    return stream


async def told_of_the_end(stream: RawClient) -> bool:
    """Whether a stream ended with an error event, and without an end of its own."""
    seen = await stream.read_all()
    stream.leave()
    return b"event: error" in seen and b"shutting down" in seen and not seen.endswith(b"0\r\n\r\n")


async def test_what_takes_longer_than_the_restart_grace_is_told(world: World) -> None:
    (world.home / "router.toml").write_text('[server]\nrestart-grace = "1s"\nstop-grace = "0s"\n')
    old = await (await world.spawn()).ready()
    stream = await begun(world)
    began = time.monotonic()
    await world.restart()
    assert await told_of_the_end(stream)
    assert await old.ended() == 0
    assert time.monotonic() - began > 1
    assert [row["outcome"] for row in world.rows()] == ["drained"]


async def test_a_stop_ends_every_process_that_still_serves(world: World) -> None:
    (world.home / "router.toml").write_text('[server]\nstop-grace = "1s"\n')
    await (await world.spawn()).ready()
    streams = []
    for _ in range(2):
        streams.append(await begun(world))
        await world.restart()
    streams.append(await begun(world))
    world.processes[-1].signal(signal.SIGTERM)
    began = time.monotonic()
    for stream in streams:
        assert await told_of_the_end(stream)
    for process in world.processes:
        assert await process.ended() == 0
    in_time(time.monotonic() - began, 6, "no grace is waited for twice")
    assert [row["outcome"] for row in world.rows()] == ["drained"] * 3
    assert not (world.home / "router.sock").exists()


async def test_the_first_of_three_is_killed(world: World) -> None:
    """The middle one only passes its records on, and the last one finds out what was left open."""
    first = await (await world.spawn()).ready()
    lost = await begun(world)
    second = await world.restart()
    kept = await begun(world)
    await world.restart()
    first.process.kill()
    world.finish.set()
    await kept.read_until(b"0\r\n\r\n")
    for stream in (lost, kept):
        stream.leave()
    assert await second.ended() == 0
    async with asyncio.timeout(5):
        while None in (found := [row["outcome"] for row in world.rows()]):
            await asyncio.sleep(0.01)
    assert found == ["interrupted", "ok"]
