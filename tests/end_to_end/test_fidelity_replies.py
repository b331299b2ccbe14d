"""Every recorded reply reaches the client byte for byte, however it is cut, and is settled before its end is seen."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
import pytest_asyncio

from tests.support.provider import SSE, Close, End, FakeProvider, Pause, Raw, Send, Status, Step
from tests.support.recorded import Case, cases, neutral_usage
from tests.support.serving import Running, read_rows, serving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(3)]

CASES = cases()
PROFILE = """
[routing]
ask-usage = false

[default]
to = "{provider}"
model = "target"

[retry]
total = 1
"""
# By the format a client speaks. These three can count tokens, so that their counts can be compared, too.
PROVIDERS = {
    "anthropic-messages": "anthropic",
    "openai-chat": "openai",
    "openai-responses": "openai",
    "gemini": "gemini",
}
NO_STREAM = {"openai-responses.openai.openai-error-1-stream"}  # fails before any content: an ordinary error
CUT_OFF = {
    "anthropic-messages.documented.stream-error-overloaded",
    "openai-chat.documented.stream-truncated-no-done",
    "openai-chat.groq.tool-use-failed-error-streaming.1",
}
STREAMS = [case for case in CASES if case.streamed and case.id not in NO_STREAM | CUT_OFF]


class World(NamedTuple):
    router: Running
    provider: FakeProvider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with FakeProvider() as provider:
        home = tmp_path_factory.mktemp("replies") / "home"
        profiles = {api: PROFILE.format(provider=name) for api, name in PROVIDERS.items()}
        addresses = dict.fromkeys(PROVIDERS.values(), provider.url)
        async with serving(home, profiles, providers=addresses) as router:
            yield World(router, provider)


def ids(some: Iterable[Case]) -> list[object]:
    return [pytest.param(case, id=case.id) for case in some]


def recorded(case: Case, chunks: Iterable[bytes], *, paced: bool = True) -> list[Step]:
    """The recorded head, then the body in these chunks. Paced: the router reads each before the next is sent."""
    steps: list[Step] = [Status(case.status, tuple(case.reply_headers))]
    for chunk in chunks:
        steps.append(Send(chunk))
        if paced:
            steps += [Pause(0), Pause(0)]
    return [*steps, End()]


async def fetch(world: World, case: Case, steps: list[Step]) -> tuple[int, str | None, bytes, str]:
    """Status, content type, body and request id of what the client gets."""
    world.provider.answer = lambda request: steps
    world.provider.requests.clear()
    async with world.router.post(f"/{case.api}{case.path('asked')}", json=case.asking("asked")) as reply:
        body = await reply.read()
        return reply.status, reply.headers.get("content-type"), body, reply.headers["x-router-request-id"]


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *places})
    return [stream[start:end] for start, end in pairwise(edges)]


WHOLE = [case for case in CASES if not case.streamed and case.endpoint != "compact" and case.status not in (401, 403)]


@pytest.mark.parametrize("case", ids(WHOLE))
async def test_a_whole_reply_arrives_as_it_was_sent(case: Case, world: World) -> None:
    dice = random.Random(case.id)
    parts = cut(case.reply, [dice.randrange(len(case.reply)) for _ in range(5)])
    status, content_type, body, request_id = await fetch(world, case, recorded(case, parts))
    assert (status, content_type) == (case.status, case.content_type)
    assert body == case.reply
    await check_row(world, case, request_id)


@pytest.mark.parametrize("case", ids(STREAMS))
async def test_a_stream_arrives_as_it_was_sent_however_it_is_cut(case: Case, world: World) -> None:
    """Whole, event by event, in three random ways, and a few bytes at a time around every event's border."""
    stream = case.reply
    borders = [place + 2 for place in range(len(stream)) if stream.startswith((b"\n\n", b"\r\n\r\n"), place)]
    dice = random.Random(case.id)
    ways = [
        [],
        borders,
        *([dice.randrange(len(stream)) for _ in range(40)] for _ in range(3)),
        [place + step for place in dice.sample(borders, min(6, len(borders))) for step in range(-9, 9)],
    ]
    for places in ways:
        parts = cut(stream, [place for place in places if 0 < place < len(stream)])
        status, content_type, body, request_id = await fetch(world, case, recorded(case, parts))
        assert (status, content_type) == (case.status, case.content_type)
        assert body == stream
        await check_row(world, case, request_id)


@pytest.mark.parametrize("case", ids(case for case in STREAMS if len(case.reply) < 1000))
async def test_short_streams_arrive_byte_by_byte(case: Case, world: World) -> None:
    await byte_by_byte(case, world)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", ids(case for case in STREAMS if len(case.reply) >= 1000))
async def test_long_streams_arrive_byte_by_byte(case: Case, world: World) -> None:
    await byte_by_byte(case, world)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", ids(STREAMS))
async def test_a_stream_cut_in_two_anywhere_arrives_as_it_was_sent(case: Case, world: World) -> None:
    """At every byte of the short ones, at 700 places of the long ones."""
    step = max(1, len(case.reply) // 700)
    for place in range(1, len(case.reply), step):
        _, _, body, request_id = await fetch(world, case, recorded(case, cut(case.reply, [place])))
        assert body == case.reply, place
        if place % 50 == 1:
            await check_row(world, case, request_id)


async def byte_by_byte(case: Case, world: World) -> None:
    *_, body, request_id = await fetch(world, case, recorded(case, [bytes([byte]) for byte in case.reply]))
    assert body == case.reply
    await check_row(world, case, request_id)


async def test_the_frames_of_a_body_without_chunks_pass_too(world: World) -> None:
    """A provider of HTTP/1.0 manners: no length, no chunks, the end is the end of the connection."""
    case = next(case for case in STREAMS if case.api == "anthropic-messages")
    head = (("content-type", case.content_type), ("connection", "close"))
    steps = [Status(200, head, chunked=False), Raw(case.reply[:700]), Pause(0), Raw(case.reply[700:]), Close()]
    *_, body, request_id = await fetch(world, case, steps)
    assert body == case.reply
    await check_row(world, case, request_id)


# The event that ends an answer; whoever has seen it must find the row.
END_MARKS = {
    "anthropic-messages": b'"message_stop"',
    "openai-chat": b"[DONE]",
    "openai-responses": b'"type":"response.completed"',
    "gemini": b'"finishReason"',
}


@pytest.mark.parametrize("case", ids(case for case in STREAMS if END_MARKS[case.api] in case.reply))
async def test_whoever_has_seen_the_end_finds_the_row(case: Case, world: World) -> None:
    """The provider doesn't hang up after the last event, so nothing but that event can have settled the request."""
    middle = len(case.reply) // 2
    first, second = case.reply[:middle], case.reply[middle:]
    steps = [Status(200, SSE), Send(first), Pause(0), Pause(0), Send(second), Pause(0.01), End()]
    world.provider.answer = lambda request: steps
    database: Path = world.router.app.home.database
    async with world.router.post(f"/{case.api}{case.path('asked')}", json=case.asking("asked")) as reply:
        request_id = reply.headers["x-router-request-id"]
        seen = b""
        async for chunk in reply.content.iter_any():
            seen += chunk
            if END_MARKS[case.api] in seen:
                [row] = read_rows(database, "requests", f"id = '{request_id}'")  # at once, without a turn of the loop
                assert row["state"] == "settled"
                assert row["outcome"] == "ok"
        assert seen == case.reply


async def collect(reply: aiohttp.ClientResponse, seen: bytearray) -> None:
    async for chunk in reply.content.iter_any():
        seen += chunk


@pytest.mark.parametrize("case", ids(case for case in CASES if case.id in CUT_OFF))
async def test_a_stream_that_breaks_off_is_passed_on_and_never_made_whole(case: Case, world: World) -> None:
    world.provider.answer = lambda request: recorded(case, [case.reply])
    seen = bytearray()
    async with world.router.post(f"/{case.api}{case.path('asked')}", json=case.asking("asked")) as reply:
        request_id = reply.headers["x-router-request-id"]
        if b'"error"' in case.reply:  # the provider told of it and ended its reply: so does the router
            await collect(reply, seen)
        else:
            with pytest.raises(aiohttp.ClientPayloadError):
                await collect(reply, seen)
    assert seen.startswith(case.reply)
    [row] = await world.router.rows("requests", f"id = '{request_id}'")
    assert row["outcome"] == "partial"
    added = seen[len(case.reply) :]
    if b'"error"' in case.reply:
        assert not added, "the provider's own error event needs no second one"
    else:
        assert json.loads(added.partition(b"data:")[2].partition(b"\n")[0])["error"]["message"]


@pytest.mark.parametrize("case", ids(case for case in CASES if case.id in NO_STREAM))
async def test_an_error_before_any_content_is_an_ordinary_error(case: Case, world: World) -> None:
    status, content_type, body, request_id = await fetch(world, case, recorded(case, [case.reply]))
    assert (status, content_type) == (429, "application/json")
    assert "You exceeded your current quota" in json.loads(body)["error"]["message"]
    [row] = await world.router.rows("requests", f"id = '{request_id}'")
    assert (row["outcome"], row["error_class"]) == ("upstream-error", "quota")


async def check_row(world: World, case: Case, request_id: str) -> None:
    """One settled row, and in it the usage that the reply reported."""
    [row] = await world.router.rows("requests", f"id = '{request_id}'")
    [attempt] = await world.router.rows("attempts", f"request_id = '{request_id}'")
    assert row["state"] == attempt["state"] == "settled"
    if case.status == 200:
        assert row["outcome"] == ("upstream-error" if case.error_inside else "ok")
    expected = None if case.counts else neutral_usage(case)
    columns = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
    if expected is None:
        assert [row[column] for column in columns] == [None] * 5
        return
    assert (row["input"] or 0) == expected["input"]
    assert (row["cache_read"] or 0) == expected["read"]
    assert (row["cache_write"] or 0) + (row["cache_write_1h"] or 0) == expected["write"]
    assert (row["output"] or 0) == expected["output"]
    assert {column: attempt[column] for column in columns} == {column: row[column] for column in columns}
