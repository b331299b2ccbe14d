"""Translated streams that don't go well: cut anywhere, failing inside, silent, left by the client, of another kind.

The rule is one: what wasn't finished never looks finished, and what went wrong before any content is an HTTP error.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import pytest_asyncio
from google.genai import errors

from router.server import relay
from router.wire.formats import CODECS
from tests.support import raw
from tests.support.aftermath import aftermath, check_books
from tests.support.asking import BY_NAME, opening
from tests.support.provider import Close, End, Pause, Reset, Send, Step, stream, whole
from tests.support.raw import RawReply
from tests.support.strict.clients import TALKS
from tests.support.strict.grammar import ENDS, check_grammar
from tests.support.strict.provider import played
from tests.support.strict.scenario import ARGUMENTS, ASIDE, TEXT
from tests.support.strict.talk import Given, ToolSpec
from tests.support.strict.world import MAIN, TARGETS, World, strict_world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(11)]

SCRIPT = "#think #tools"
_SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}}
ASKING: dict[str, dict[str, Any]] = {
    "anthropic-messages": {
        "model": "m",
        "max_tokens": 2000,
        "thinking": {"type": "adaptive", "display": "summarized"},
        "messages": [{"role": "user", "content": SCRIPT}],
        "tools": [{"name": "look_up", "input_schema": _SCHEMA}],
    },
    "openai-chat": {
        "model": "m",
        "messages": [{"role": "user", "content": SCRIPT}],
        "tools": [{"type": "function", "function": {"name": "look_up", "parameters": _SCHEMA}}],
    },
    "openai-responses": {
        "model": "m",
        "reasoning": {"summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "input": SCRIPT,
        "tools": [{"type": "function", "name": "look_up", "parameters": _SCHEMA, "strict": False}],
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": SCRIPT}]}],
        "tools": [{"functionDeclarations": [{"name": "look_up", "parametersJsonSchema": _SCHEMA}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    },
}
FINISHES = {
    "anthropic-messages": b'"message_delta"',
    "openai-chat": b'"finish_reason":"tool_calls"',
    "openai-responses": b'"response.completed"',
    "gemini": b'"finishReason"',
}
"""What the provider's answer is complete with, even if its connection then ends badly."""
ERRORS = {
    "anthropic-messages": b"event: error\n",
    "openai-chat": b'data: {"error":',
    "openai-responses": b"event: error\n",
    "gemini": b"",
}
RAISED: Any = (anthropic.APIError, openai.APIError, errors.APIError, httpx2.HTTPError, AssertionError)

PAIRS = [
    pytest.param(client, target.name, id=f"{client} to {target.name}")
    for client, target in itertools.product(TALKS, TARGETS.values())
    if client != target.api and target.name in {*MAIN, "deepseek"}
]
each_pair = pytest.mark.parametrize(("client", "target"), PAIRS)
each_client = pytest.mark.parametrize("client", TALKS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with strict_world(tmp_path_factory.mktemp("streams") / "home", {*MAIN, "deepseek"}) as world:
        yield world


@pytest.fixture
def world(shared: World) -> World:
    """The world, with providers that do as usual."""
    shared.fresh()
    for provider in shared.providers.values():
        provider.answer = provider.serve
        provider.turned = False
        provider.play = played
    return shared


async def ask(world: World, client: str, target: str, *, streamed: bool = True) -> RawReply:
    """One raw request of a client and what came back."""
    form = BY_NAME[client]
    body = dict(ASKING[client])
    if client != "gemini":
        body["stream"] = streamed
    path = f"/{target}{form.stream_path if streamed else form.path}"
    return await raw.ask(world.router.url, raw.request("POST", path, body))


async def events_of(world: World, client: str, target: str) -> list[bytes]:
    """The provider's events for the usual request."""
    reply = await ask(world, client, target)
    assert (reply.status, reply.whole) == (200, True)
    assert ENDS[client] in reply.body
    return world.providers[target].last.events


def looks_finished(client: str, reply: RawReply) -> bool:
    """Whether a client could take this for a whole answer."""
    return reply.status == 200 and ENDS[client] in reply.body


ENDINGS: list[list[Step]] = [[Close()], [Reset()], [End()]]
"""A connection that ends without its last chunk, one that is reset, and one that ends as if all were well."""


@each_pair
async def test_a_stream_that_is_cut_never_looks_finished(client: str, target: str, world: World) -> None:
    provider = world.providers[target]
    events = await events_of(world, client, target)
    finish = next(at for at, event in enumerate(events) if FINISHES[TARGETS[target].api] in event)
    known = len(await world.router.rows())
    replies = []
    for count in range(finish + 1):
        for ending in ENDINGS if count == finish else [ENDINGS[count % 3]]:
            provider.play = lambda told, count=count, ending=ending: [*opening(*told[:count]), *ending]
            reply = await ask(world, client, target)
            replies.append(reply)
            assert not looks_finished(client, reply), f"cut behind {count} of {len(events)} events"
            if reply.status == 200:
                assert not reply.whole
                assert ERRORS[client] in reply.body
            else:
                assert reply.status == 502
                assert BY_NAME[client].error_of(reply.body)
    assert any(reply.status == 200 for reply in replies)
    rows = (await world.router.rows())[known:]
    told = [row["outcome"] for row in rows]
    assert told == ["partial" if reply.status == 200 else "upstream-error" for reply in replies]
    assert {row["state"] for row in rows} == {"settled"}
    check_books(world.router)


@each_pair
async def test_an_sdk_raises_wherever_a_stream_is_cut(client: str, target: str, world: World) -> None:
    provider = world.providers[target]
    events = await events_of(world, client, target)
    finish = next(at for at, event in enumerate(events) if FINISHES[TARGETS[target].api] in event)
    for count in range(0, finish + 1, 3):
        provider.play = lambda told, count=count: [*opening(*told[:count]), Close()]
        async with world.talk(
            client, target, stream=True, tools=[ToolSpec("look_up")], thinking=client != "openai-chat"
        ) as talk:
            with pytest.raises(RAISED):
                await talk.say(SCRIPT)


@each_pair
async def test_an_error_inside_a_stream_is_the_clients_own_error(client: str, target: str, world: World) -> None:
    provider = world.providers[target]
    async with aftermath(world.router, provider) as after, world.talk(client, target, stream=True) as talk:
        with pytest.raises(RAISED):
            await talk.say("#late-fail")
    assert after.told == ("partial", "broken-stream")
    provider.play = lambda told: stream(*told[: len(told) // 2], *provider.api.late_failure(provider.last.asked))  # type: ignore[arg-type]
    reply = await ask(world, client, target)
    assert not looks_finished(client, reply)
    assert ERRORS[client] in reply.body
    assert b"overloaded" in reply.body or client == "gemini"


@each_pair
async def test_an_error_before_any_content_is_an_http_error(client: str, target: str, world: World) -> None:
    provider = world.providers[target]

    def play(events: list[bytes]) -> list[Step]:
        assert provider.last.asked is not None
        start = [] if TARGETS[target].api == "gemini" else events[:1]
        return stream(*start, b": still here\n\n", *provider.api.late_failure(provider.last.asked))

    provider.play = play
    async with aftermath(world.router, provider) as after:
        reply = await ask(world, client, target)
    assert reply.status == 503
    assert "overload" in BY_NAME[client].error_of(reply.body).lower()
    assert after.told == ("upstream-error", "overloaded")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@each_pair
async def test_an_error_dressed_as_a_success_is_an_error(
    client: str, target: str, streamed: bool, world: World
) -> None:
    provider = world.providers[target]
    provider.answer = lambda request: whole(provider.api.failure(500, "that went wrong"), status=200)
    async with aftermath(world.router, provider) as after:
        reply = await ask(world, client, target, streamed=streamed)
    assert reply.status == 502
    assert "that went wrong" in BY_NAME[client].error_of(reply.body)
    assert after.row["outcome"] == "upstream-error"


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b'{"x": 1}', b"<html>no</html>", b'{"choices": []}'])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@each_pair
async def test_a_reply_that_is_none_is_an_error(
    client: str, target: str, streamed: bool, payload: bytes, world: World
) -> None:
    provider = world.providers[target]
    provider.answer = lambda request: whole(payload)
    reply = await ask(world, client, target, streamed=streamed)
    assert reply.status == 502
    assert BY_NAME[client].error_of(reply.body)


@each_pair
async def test_a_silent_provider_does_not_look_dead(
    client: str, target: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "KEEP_ALIVE_S", 0.01)
    provider = world.providers[target]
    heard = asyncio.Event()

    def play(events: list[bytes]) -> Iterable[Step]:
        # Gemini's clients can't be told anything, so there is nothing to wait for but a few intervals.
        pause = Pause(heard) if CODECS[BY_NAME[client].name].keep_alive else Pause(0.05)  # type: ignore[index]
        half = len(events) // 2
        return [*opening(*events[:half]), pause, *map(Send, events[half:]), End()]

    provider.play = play
    body = {**ASKING[client]} if client == "gemini" else {**ASKING[client], "stream": True}
    keep_alive = {"anthropic-messages": b"event: ping", "gemini": b""}.get(client, b"\n:")
    seen = b""
    async with world.router.post(f"/{target}{BY_NAME[client].stream_path}", json=body) as reply:
        assert reply.status == 200
        async for part in reply.content.iter_any():
            seen += part
            if keep_alive in seen or seen.startswith(b":"):
                heard.set()
    assert heard.is_set()
    assert ENDS[client] in seen
    async with world.talk(client, target, stream=True, tools=[ToolSpec("look_up")], thinking=True) as talk:
        told = await talk.say(SCRIPT)
    assert told.text == ASIDE
    assert told.calls[0].arguments == ARGUMENTS[0]


@each_pair
async def test_a_client_that_leaves_takes_the_call_with_it(client: str, target: str, world: World) -> None:
    provider = world.providers[target]
    provider.play = lambda events: [*opening(*events[: len(events) // 2]), Pause(60)]
    body = {**ASKING[client]} if client == "gemini" else {**ASKING[client], "stream": True}
    async with aftermath(world.router, provider) as after:
        reply = await world.router.post(f"/{target}{BY_NAME[client].stream_path}", json=body)
        assert await reply.content.readany()
        reply.close()
        async with asyncio.timeout(10):
            await provider.last.request.closed.wait()
    assert after.row["outcome"] == "client-gone"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@each_pair
async def test_a_provider_that_answers_in_the_other_way_is_understood(
    client: str, target: str, streamed: bool, world: World
) -> None:
    provider = world.providers[target]
    provider.turned = True
    async with world.talk(
        client, target, stream=streamed, tools=[ToolSpec("look_up"), ToolSpec("draw")], thinking=True
    ) as talk:
        first = await talk.say(SCRIPT)
        second = await talk.give(Given("sunny"), Given("rainy"))
    assert provider.violations == []
    assert first.text == ASIDE
    assert [call.arguments for call in first.calls] == list(ARGUMENTS)
    assert "sunny | rainy" in second.text
    rows = await world.router.rows()
    assert [row["outcome"] for row in rows[-2:]] == ["ok", "ok"]
    assert second.usage["output"] == provider.last.truth.output
    assert rows[-1]["input"] == provider.last.truth.input


@pytest.mark.parametrize("size", [1, 5, 4096])
@each_pair
async def test_where_the_network_cuts_does_not_matter(client: str, target: str, size: int, world: World) -> None:
    provider = world.providers[target]

    def play(events: list[bytes]) -> list[Step]:
        data = b"".join(events)
        return [*opening(), *(Send(data[at : at + size]) for at in range(0, len(data), size)), End()]

    provider.play = play
    async with world.talk(client, target, stream=True, tools=[ToolSpec("look_up"), ToolSpec("draw")]) as talk:
        first = await talk.say("#tools")
        second = await talk.give(Given("ünï"), Given("✓"))
    assert first.text == ASIDE
    assert [call.arguments for call in first.calls] == list(ARGUMENTS)
    assert second.text == f"{TEXT} I was told: ünï | ✓."


@each_pair
async def test_a_quiet_stream_is_the_same_as_a_noisy_one(client: str, target: str, world: World) -> None:
    """Pings, comments, unknown events, empty deltas and padding change nothing."""
    provider = world.providers[target]
    told = []
    for noisy in (True, False):
        provider.noisy = noisy
        async with world.talk(client, target, stream=True, thinking=client != "openai-chat") as talk:
            told.append(await talk.say("#think #hello"))
    provider.noisy = True
    assert told[0].text == told[1].text == TEXT
    assert told[0].thinking == told[1].thinking
    assert told[0].usage == told[1].usage


@each_pair
async def test_a_call_that_the_limit_cuts_off_is_told_as_cut_off(client: str, target: str, world: World) -> None:
    """Half of the arguments, and the limit as the reason: never a call that looks ready to be made."""
    words = {
        "anthropic-messages": b'"max_tokens"',
        "openai-chat": b'"length"',
        "openai-responses": b"response.incomplete",
        "gemini": b"MAX_TOKENS",
    }
    asking = json.loads(json.dumps(ASKING[client]).replace(SCRIPT, "#cut-call"))
    if client != "gemini":
        asking["stream"] = True
    async with world.router.post(f"/{target}{BY_NAME[client].stream_path}", json=asking) as reply:
        payload = await reply.read()
    assert reply.status == 200
    assert words[client] in payload
    assert b'"tool_use"' not in payload.partition(b'"message_delta"')[2]
    assert b'"finish_reason":"tool_calls"' not in payload


@each_client
async def test_the_parts_of_an_answer_never_overlap(client: str, world: World) -> None:
    """What each format's own clients count on, seen in the bytes, for every target."""
    for target in world.providers:
        if TARGETS[target].api == client:
            continue
        reply = await ask(world, client, target)
        check_grammar(client, reply.body)
        sealed = base64.b64encode(b"rtr1.")[:6] if client == "gemini" else b"rtr1."
        assert sealed in reply.body or target == "gpt-chat", "sealed reasoning is handed to the client"
