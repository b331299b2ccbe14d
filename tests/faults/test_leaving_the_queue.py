"""Places within a profile's limits are given back, once, whatever becomes of a request; who leaves the queue makes room
in it at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from router.server.exchange import Exchange
from tests.support.answers import answer, messages_events
from tests.support.asking import MESSAGES, opening
from tests.support.limited import Held, Limited, limited, until
from tests.support.provider import Close, Reset, Send, Stall, Step
from tests.support.raw_client import RawClient
from tests.support.targets import failing

ONE = "[limits]\nconcurrent-requests = 1\nqueue = 1"
PATH = "/work/v1/messages"
SMALL = MESSAGES.request(stream=False)[1]
STREAMED = MESSAGES.request(stream=True)[1]
# More than is read before anybody asks for it, and less than the sockets hold: behind bytes that don't even fit into
# those nobody can see the end of a connection.
LARGE = json.dumps({**MESSAGES.body, "messages": [{"role": "user", "content": "word " * 50_000}]}).encode()
HOW = ("closes", "resets", "closes one way")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Limited]:
    async with limited(tmp_path / "home") as world:
        await world.limits(ONE)
        yield world


def leave(client: RawClient, how: str) -> None:
    if how == "closes one way":
        client.writer.write_eof()
    else:
        client.leave(rudely=how == "resets")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["a small body", "a body that nobody reads on"])
async def test_who_leaves_the_queue_makes_room_at_once(body: bytes, how: str, world: Limited) -> None:
    held = Held(world)
    inside = asyncio.create_task(world.ask())
    await world.until(inside=1, waiting=0)
    async with RawClient(world.router.url) as client:
        sending = asyncio.create_task(client.send(PATH, body))
        await world.until(inside=1, waiting=1)
        await asyncio.sleep(0.05)  # until as much of the body has come as is taken of it
        leave(client, how)
        await world.until(inside=1, waiting=0)
        sending.cancel()
    await held.calls(1)
    held.release()
    assert (await inside).status == 200
    assert len(await world.router.rows()) == 1, "who waited has no row"


async def test_who_leaves_as_its_turn_comes_gives_its_place_on(world: Limited) -> None:
    held = Held(world)
    inside = asyncio.create_task(world.ask())
    await world.until(inside=1, waiting=0)
    async with RawClient(world.router.url) as client:
        await client.send(PATH, SMALL)
        await world.until(inside=1, waiting=1)
        await held.calls(1)
        held.release()
        client.leave()
    assert (await inside).status == 200
    await world.until(inside=0, waiting=0)


EVENTS = messages_events("model-1")
# What the provider does, the body, and what becomes of the client: told a status, or gone when the call has come.
ENDINGS: dict[str, tuple[Iterable[Step] | None, bytes, int | None]] = {
    "a whole answer": (None, SMALL, 200),
    "a streamed answer": (None, STREAMED, 200),
    "an error of the provider's": (failing(400), SMALL, 400),
    "a provider that fails": (failing(500), SMALL, 500),
    "a provider that hangs up": ([Reset()], STREAMED, 502),
    "a stream that breaks off": ([*opening(*EVENTS[:5]), Close()], STREAMED, 200),
    "a body that is no JSON": (None, b"{nonsense}", 400),
    "a body without a model": (None, b"{}", 400),
    "a client that leaves before the answer": ([Stall()], SMALL, None),
    "a client that leaves amid the stream": ([*opening(*EVENTS[:5]), Stall()], STREAMED, None),
    "a client that leaves amid much": ([*opening(*EVENTS[:4]), *[Send(EVENTS[3] * 999)] * 99, Stall()], STREAMED, None),
}


@pytest.mark.parametrize("settings", [ONE, f'{ONE}\n[routing]\non-disconnect = "drain"'], ids=["cancel", "drain"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_place_is_given_back_whatever_becomes_of_the_request(
    ending: str, settings: str, world: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.server.drains.LONGEST_S", 0.1)
    steps, body, status = ENDINGS[ending]
    await world.limits(settings)
    world.provider.answer = answer if steps is None else lambda received: steps
    for _ in range(2):
        calls = len(world.provider.requests)
        async with RawClient(world.router.url) as client:
            await client.send(PATH, body)
            if status is None:
                await until(lambda calls=calls: len(world.provider.requests) > calls)
                await asyncio.sleep(0.02)
                client.leave()
            else:
                assert (await client.read_until(b"\r\n")).startswith(b"HTTP/1.1 %d " % status)
        await world.until(inside=0, waiting=0)


async def test_a_place_is_given_back_after_a_fault_of_the_routers(
    world: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(Exchange, "route", broken)
        assert (await world.ask()).status == 500
    await world.until(inside=0, waiting=0)
    assert (await world.ask()).status == 200


async def test_a_place_is_given_back_when_a_profile_is_stopped_at_once(world: Limited) -> None:
    held = Held(world)
    inside, waiting = asyncio.create_task(world.ask()), asyncio.create_task(world.ask())
    await held.calls(1)
    await world.until(inside=1, waiting=1)
    await world.router.app.profile_states.stop("work", now=True)
    assert [(await each).status for each in (inside, waiting)] == [503, 503]
    await world.until(inside=0, waiting=0)
