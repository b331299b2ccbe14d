"""The end of an answer waits for its commit, but never long: a locked ledger delays it, a spill file takes over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.support.answers import chat_chunks, message, messages_events, response_events
from tests.support.provider import SSE, End, FakeProvider, Pause, Raw, Send, Status, Step
from tests.support.raw_client import RawClient
from tests.support.serving import Running, read_rows, serving
from tests.support.slow import in_time, within

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORMS = {
    "messages": (
        "/work/v1/messages",
        b'{"model":"x","stream":true,"messages":[]}',
        messages_events("m"),
        b'"message_stop"',
    ),
    "chat": (
        "/work/v1/chat/completions",
        b'{"model":"x","stream":true,"messages":[]}',
        chat_chunks("m", usage=True),
        b"[DONE]",
    ),
    "responses": (
        "/work/v1/responses",
        b'{"model":"x","stream":true,"input":""}',
        response_events("m"),
        b'"response.completed"',
    ),
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS)


class World(NamedTuple):
    router: Running
    provider: FakeProvider

    @property
    def database(self) -> Path:
        return self.router.app.home.database


@pytest_asyncio.fixture(loop_scope="module")
async def world(tmp_path: Path) -> AsyncIterator[World]:
    profile = '[default]\nto = "there"\nmodel = "m"\n'
    async with (
        FakeProvider() as provider,
        serving(tmp_path / "home", {"work": profile}, providers={"there": provider.url}) as router,
    ):
        yield World(router, provider)


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process writes for a while."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.rollback()
        connection.close()


def in_two(form: str, go: asyncio.Event) -> list[Step]:
    """The stream, its second half, with the end, only when it is asked for."""
    events = FORMS[form][2]
    return [Status(200, SSE), Send(b"".join(events[:6])), Pause(go), Send(b"".join(events[6:])), End()]


@EVERY_FORM
async def test_the_end_waits_for_the_commit(form: str, world: World) -> None:
    path, body, _, end = FORMS[form]
    go = asyncio.Event()
    world.provider.answer = lambda request: in_two(form, go)
    async with RawClient(world.router.url) as client:
        await client.send(path, body)
        await client.read_until(b"Hello")
        reading = asyncio.create_task(client.read_until(end))
        with locked(world.database):
            go.set()
            done, _ = await asyncio.wait([reading], timeout=0.12)
            assert not done, "the end isn't shown before it is recorded"
            assert b", world" in client.seen, "what comes before the end doesn't wait"
        with within(1):
            await reading
    [row] = read_rows(world.database)
    assert (row["state"], row["outcome"], row["output"]) == ("settled", "ok", 7)
    assert world.router.app.ledger.spilled == 0


async def test_a_whole_reply_waits_for_the_commit(world: World) -> None:
    go, data = asyncio.Event(), json.dumps(message("m")).encode()
    head = (("content-type", "application/json"), ("content-length", str(len(data))))
    world.provider.answer = lambda request: [
        Status(200, head, chunked=False),
        Raw(data[:50]),
        Pause(go),
        Raw(data[50:]),
    ]
    async with RawClient(world.router.url) as client:
        await client.send("/work/v1/messages", b'{"model":"x","messages":[]}')
        reading = asyncio.create_task(client.read_until(data[-30:]))
        while not world.provider.requests:
            await asyncio.sleep(0.001)
        with locked(world.database):
            go.set()
            done, _ = await asyncio.wait([reading], timeout=0.12)
            assert not done
            assert client.seen == b""
        with within(1):
            await reading
    [row] = read_rows(world.database)
    assert (row["state"], row["outcome"], row["output"]) == ("settled", "ok", 7)


@pytest.mark.parametrize(
    "form", ["messages", *(pytest.param(form, marks=pytest.mark.slow) for form in ("chat", "responses"))]
)
async def test_the_end_never_waits_long_and_the_row_comes_once(form: str, world: World) -> None:
    path, body, _, end = FORMS[form]
    go = asyncio.Event()
    world.provider.answer = lambda request: in_two(form, go)
    ledger = world.router.app.ledger
    async with RawClient(world.router.url) as client:
        await client.send(path, body)
        await client.read_until(b"Hello")
        with locked(world.database):
            go.set()
            started = time.monotonic()
            await client.read_until(end)
            took_s = time.monotonic() - started
            assert took_s > 0.2
            in_time(took_s, 0.4)
            assert ledger.spilled == 1
            [row] = read_rows(world.database)
            assert row["state"] == "open"
    [row] = await world.router.rows()
    assert (row["state"], row["outcome"], row["output"]) == ("settled", "ok", 7)
    [attempt] = await world.router.rows("attempts")
    assert attempt["state"] == "settled"
    assert [line["requests"] for line in await world.router.rows("rollup")] == [1]
    assert ledger.lost == 0


async def test_what_was_spilled_is_taken_in_by_the_next_server(tmp_path: Path) -> None:
    """The first one is gone before the ledger can be written again."""
    home, go = tmp_path / "home", asyncio.Event()
    profile = '[default]\nto = "there"\nmodel = "m"\n'
    async with FakeProvider(lambda request: in_two("messages", go)) as provider:
        path, body, _, end = FORMS["messages"]
        addresses = {"there": provider.url}
        with contextlib.ExitStack() as lock:
            async with serving(home, {"work": profile}, providers=addresses) as router, RawClient(router.url) as client:
                await client.send(path, body)
                await client.read_until(b"Hello")
                lock.enter_context(locked(router.app.home.database))
                go.set()
                await client.read_until(end)
            [row] = read_rows(home / "router.db")
            assert row["state"] == "open"
        async with serving(home, {"work": profile}, providers=addresses) as router:
            [row] = await router.rows()
            assert (row["state"], row["outcome"], row["output"]) == ("settled", "ok", 7)
            assert [line["requests"] for line in await router.rows("rollup")] == [1]
    assert not (home / "router.spill").exists() or not (home / "router.spill").read_bytes()
