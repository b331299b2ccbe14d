"""A server keeps to the limits of its profiles, tells clients in their own format, and counts what it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.server.admin import AdminClient
from tests.support.asking import FORMATS, Format
from tests.support.limited import Held, Limited, limited
from tests.support.raw import ask, request
from tests.support.raw_client import RawClient


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Limited]:
    async with limited(tmp_path / "home") as world:
        yield world


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_over_the_rate_a_client_is_told_in_its_own_format(form: Format, world: Limited) -> None:
    await world.limits("[limits]\nrequests-per-minute = 1")
    assert (await world.ask()).status == 200
    refused = await world.ask(form=form)
    told = form.error_of(refused.body)
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert told.startswith("profile work: [limits] requests-per-minute = 1 is reached; try again in ")
    assert f" {refused.headers['retry-after']} s" in told
    assert "x-should-retry" not in refused.headers
    assert len(await world.router.rows()) == 1
    assert world.router.app.services.refused_early == 1


async def test_each_key_has_a_rate_of_its_own(world: Limited) -> None:
    await world.limits("[limits.per-key]\nrequests-per-minute = 1")
    assert [(await world.ask(who)).status for who in ("alice", "alice", "bob", "bob")] == [200, 429, 200, 429]
    assert [(await world.ask("nobody")).status for _ in range(3)] == [200, 200, 200]


async def test_counting_tokens_fetching_and_pages_are_not_limited(world: Limited) -> None:
    await world.limits("[limits]\nrequests-per-minute = 1\nconcurrent-requests = 1\nqueue = 0")
    assert (await world.ask()).status == 200
    assert [(await world.ask(path="/v1/messages/count_tokens")).status for _ in range(3)] == [200] * 3
    for path in ("/v1/responses/resp_1", "/v1/models", "/stats"):
        async with world.router.get(f"/work{path}") as reply:
            assert reply.status in (200, 404)
    assert (await world.ask(path="/v1/embeddings")).status == 429


async def test_a_request_that_is_refused_for_its_head_takes_nothing(world: Limited) -> None:
    await world.limits("[limits]\nrequests-per-minute = 1")
    message = request("POST", "/work/v1/messages", b"{}", host="evil.example")
    assert (await ask(world.router.url, message)).status == 421
    assert (await world.ask()).status == 200


async def test_keys_take_turns_for_a_place(world: Limited) -> None:
    await world.limits("[limits]\nconcurrent-requests = 1")
    held = Held(world)
    asked = []
    for number, who in enumerate(("alice", "alice", "alice", "alice", "bob")):
        asked.append(asyncio.create_task(world.ask(who)))
        await world.until(inside=1, waiting=number)
    for number in range(1, 6):
        await held.calls(number)
        held.release()
    assert {reply.status for reply in await asyncio.gather(*asked)} == {200}
    assert held.order == ["alice", "alice", "bob", "alice", "alice"]
    rows = await world.router.rows()
    assert sum("for its turn: [limits]" in (row["trace"] or "") for row in rows) == 4


async def test_programs_without_a_key_take_turns_too(world: Limited) -> None:
    await world.limits("[limits]\nconcurrent-requests = 1")
    held = Held(world)
    asked = []
    for number, program in enumerate(("codex", "codex", "codex", "claude-cli")):
        asked.append(asyncio.create_task(world.ask(None, program=program)))
        await world.until(inside=1, waiting=number)
    for number in range(1, 5):
        await held.calls(number)
        held.release()
    await asyncio.gather(*asked)
    assert held.order == ["codex", "codex", "claude-cli", "codex"]


async def test_beyond_the_queue_clients_are_refused_before_their_body_is_read(world: Limited) -> None:
    await world.limits("[limits]\nconcurrent-requests = 1\nqueue = 1")
    held = Held(world)
    inside = asyncio.create_task(world.ask())
    await world.until(inside=1, waiting=0)
    waiting = asyncio.create_task(world.ask())
    await world.until(inside=1, waiting=1)
    async with RawClient(world.router.url) as client:
        await client.send("/work/v1/messages", b"{" + b" " * 1_000_000, only=1)
        refused = await client.read_until(b"\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 429 ")
    assert b"Connection: close" in refused
    for number in (1, 2):
        await held.calls(number)
        held.release()
    assert [(await asked).status for asked in (inside, waiting)] == [200, 200]
    stats = json.loads((await ask(world.router.url, request("GET", "/work/stats"))).body)
    assert stats["requests_limited"] == {"concurrent-requests": 1}
    metrics = (await ask(world.router.url, request("GET", "/metrics"))).body.decode()
    assert 'router_requests_limited_total{profile="work",limit="concurrent-requests"} 1\n' in metrics
    assert 'router_requests_limited_total{profile="work",limit="requests-per-minute"} 0\n' in metrics
    status = await asyncio.to_thread(AdminClient(world.router.app.home.socket).call, "GET", "/status", None)
    assert status["profiles"][0]["limited"] == {"concurrent-requests": 1}


async def test_a_change_of_the_file_holds_for_those_who_wait(world: Limited) -> None:
    await world.limits("[limits]\nconcurrent-requests = 1")
    held = Held(world)
    asked = [asyncio.create_task(world.ask()) for _ in range(4)]
    await world.until(inside=1, waiting=3)
    await world.limits("[limits]\nconcurrent-requests = 3")
    await world.until(inside=3, waiting=1)
    await world.limits("")
    await world.until(inside=4, waiting=0)
    await held.calls(4)
    for _ in range(4):
        held.release()
    assert {reply.status for reply in await asyncio.gather(*asked)} == {200}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_a_profile_that_is_stopped_answers_those_who_wait(form: Format, world: Limited) -> None:
    await world.limits("[limits]\nconcurrent-requests = 1")
    held = Held(world)
    inside = asyncio.create_task(world.ask())
    await world.until(inside=1, waiting=0)
    waiting = asyncio.create_task(world.ask(form=form))
    await world.until(inside=1, waiting=1)
    await world.router.app.profile_states.stop("work")
    refused = await waiting
    assert (refused.status, refused.headers["x-should-retry"]) == (503, "false")
    assert "profile work is stopped" in form.error_of(refused.body)
    await held.calls(1)
    held.release()
    assert (await inside).status == 200
    await world.router.app.profile_states.start("work")


async def test_a_server_that_stops_answers_those_who_wait(tmp_path: Path) -> None:
    async with limited(tmp_path / "home") as world:
        await world.limits("[limits]\nconcurrent-requests = 1")
        held = Held(world)
        inside = asyncio.create_task(world.ask())
        await world.until(inside=1, waiting=0)
        waiting = asyncio.create_task(world.ask())
        await world.until(inside=1, waiting=1)
        stopping = asyncio.create_task(world.router.app.stop())
        refused = await waiting
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        await held.calls(1)
        held.release()
        assert (await inside).status == 200, "who is under way has its grace"
        await stopping
