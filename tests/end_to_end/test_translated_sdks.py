"""Official SDKs of every format against strict providers of every format: what they parse, and what the ledger says.

A violation is a request that a real provider would refuse, so there must be none; neither may there be a second call.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from google.genai import errors

from tests.support.strict.clients import TALKS
from tests.support.strict.gemini_replies import Gemini
from tests.support.strict.scenario import ANSWER, ARGUMENTS, ASIDE, PIECES, REFUSAL, TEXT, THOUGHT
from tests.support.strict.talk import Given, Told, ToolSpec
from tests.support.strict.world import MAIN, TARGETS, World, cost_nano_usd, strict_world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(5)]

TOOLS = (ToolSpec("look_up"), ToolSpec("draw"))
STOPS = {
    "end": {"anthropic-messages": "end_turn", "openai-chat": "stop", "openai-responses": "completed", "gemini": "STOP"},
    "calls": {
        "anthropic-messages": "tool_use",
        "openai-chat": "tool_calls",
        "openai-responses": "completed",
        "gemini": "STOP",
    },
    "limit": {
        "anthropic-messages": "max_tokens",
        "openai-chat": "length",
        "openai-responses": "incomplete/max_output_tokens",
        "gemini": "MAX_TOKENS",
    },
}


def pairs(*, passing: bool = True) -> Iterator[Any]:
    """Clients and targets. Of the same format only where the client's words are ones that this very model takes."""
    for client, target in itertools.product(TALKS, TARGETS.values()):
        if client != target.api or (passing and target.name in MAIN):
            yield pytest.param(client, target.name, id=f"{client} to {target.name}")


each_pair = pytest.mark.parametrize(("client", "target"), [*pairs()])
each_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with strict_world(tmp_path_factory.mktemp("translated") / "home") as world:
        yield world


@pytest.fixture
def world(shared: World, request: pytest.FixtureRequest) -> World:
    """The world, with nothing seen yet. Google's own SDK sends what only the API itself is lenient about."""
    shared.fresh()
    client = request.node.callspec.params.get("client")
    for provider in shared.providers.values():
        if isinstance(provider.api, Gemini):
            provider.api.tidy = client != "gemini"
    return shared


def thinks(client: str, target: str) -> bool:
    """Whether the client can ask for thinking: OpenAI's Chat itself refuses that together with tools."""
    return (client, target) != ("openai-chat", "gpt-chat")


def asking(client: str, target: str) -> dict[str, Any]:
    """What a client of the model itself has to say to be allowed tools."""
    return {} if thinks(client, target) else {"more": {"reasoning_effort": "none"}}


def shown(client: str, target: str) -> tuple[str, ...]:
    """What may be read of the thinking. Chat has no word for wanting to read it, so there it is up to the target."""
    how = TARGETS[target].shows_thinking
    if how == "asked":
        return ("", THOUGHT) if client == "openai-chat" else (THOUGHT,)
    return (THOUGHT,) if how == "always" else ("",)


async def check_books(world: World, target: str, replies: Iterable[Told]) -> None:
    """One settled row and one call for each reply, and what the provider said of tokens in both places."""
    provider = world.providers[target]
    replies = list(replies)
    assert provider.violations == []
    assert len(provider.exchanges) == len(replies)
    rows = (await world.router.rows())[-len(replies) :]
    for told, exchange, row in zip(replies, provider.exchanges, rows, strict=True):
        truth = exchange.truth
        writes = truth.cache_write if provider.api.writes_cache else row["cache_write"]
        expected = {
            "state": "settled",
            "outcome": "ok",
            "status": 200,
            "profile": target,
            "provider": TARGETS[target].provider,
            "model": TARGETS[target].model,
            "requested_model": "the-model",
            "stream": int(exchange.streamed),
            "attempts": 1,
            "input": truth.input,
            "cache_read": truth.cache_read,
            "cache_write": writes,
            "output": truth.output,
            "cost_nano_usd": cost_nano_usd(truth),
        }
        assert {name: row[name] for name in expected} == expected
        assert writes in (truth.cache_write, None)
        assert told.usage["total_input"] == truth.total_input
        assert (told.usage["cache_read"] or 0) == truth.cache_read
        assert told.usage["cache_write"] in ((truth.cache_write, None) if provider.api.writes_cache else (0, None))
        assert told.usage["output"] == truth.output
        if told.usage.get("reasoning") is not None and truth.reasoning and TARGETS[target].api != "anthropic-messages":
            assert told.usage["reasoning"] == truth.reasoning
        assert told.headers["x-router-request-id"] == row["id"]
        assert told.model == (TARGETS[target].model if row["api"] == TARGETS[target].api else "the-model")


@each_way
@each_pair
async def test_a_conversation_with_thinking_tools_and_pictures(
    client: str, target: str, stream: bool, world: World
) -> None:
    pictures = TARGETS[target].pictures
    thinking = thinks(client, target)
    async with world.talk(
        client, target, stream=stream, system="Be brief.", tools=TOOLS, thinking=thinking, **asking(client, target)
    ) as talk:
        first = await talk.say("Go on. #think #tools")
        second = await talk.give(Given("sunny"), Given("boom", is_error=True, image=pictures == "anywhere"))
        third = await talk.say("Thanks. #hello", image=pictures != "none")
    await check_books(world, target, (first, second, third))
    assert first.text == ASIDE
    assert first.stop == STOPS["calls"][client]
    assert [(call.name, call.arguments) for call in first.calls] == [
        ("look_up", ARGUMENTS[0]),
        ("draw", ARGUMENTS[1]),
    ]
    assert len({call.id for call in first.calls} - {""}) == 2
    assert second.text.startswith(TEXT)
    assert "sunny | failed: boom" in second.text
    assert ("image/png" in second.text) == (pictures == "anywhere")
    assert ("image/png" in third.text) == (pictures != "none")
    assert {second.stop, third.stop} == {STOPS["end"][client]}
    assert not second.calls
    if thinking:
        assert first.thinking in shown(client, target)
        assert second.thinking in shown(client, target)
    assert all(exchange.heard.system == "Be brief." for exchange in world.providers[target].exchanges)


@each_way
@each_pair
async def test_an_answer_that_follows_a_schema(client: str, target: str, stream: bool, world: World) -> None:
    async with world.talk(client, target, stream=stream, structured=True) as talk:
        told = await talk.say("Please. #json")
    await check_books(world, target, [told])
    assert json.loads(told.text) == ANSWER
    assert told.stop == STOPS["end"][client]


@each_way
@each_pair
async def test_an_answer_that_meets_the_limit(client: str, target: str, stream: bool, world: World) -> None:
    async with world.talk(client, target, stream=stream, max_tokens=64) as talk:
        told = await talk.say("Please. #limit")
    await check_books(world, target, [told])
    assert told.text == PIECES[0]
    assert told.stop == STOPS["limit"][client]


@each_way
@each_pair
async def test_a_refusal(client: str, target: str, stream: bool, world: World) -> None:
    async with world.talk(client, target, stream=stream) as talk:
        told = await talk.say("Please. #refuse")
    await check_books(world, target, [told])
    if TARGETS[target].api != "gemini":  # which says nothing
        assert told.text + told.refusal == REFUSAL
    passed = client == TARGETS[target].api
    words = {
        "anthropic-messages": {"refusal"},
        "openai-chat": {"stop"} if passed else {"content_filter", "stop"},
        "openai-responses": {"completed", "incomplete/content_filter"},
        "gemini": {"SAFETY"},
    }
    assert told.stop in words[client]
    if client in ("openai-chat", "openai-responses") and not passed:
        assert told.refusal or told.stop in ("content_filter", "incomplete/content_filter")


@each_way
@each_pair
async def test_thinking_of_which_nothing_can_be_read_comes_back(
    client: str, target: str, stream: bool, world: World
) -> None:
    thinking = thinks(client, target)
    async with world.talk(
        client, target, stream=stream, tools=TOOLS, thinking=thinking, **asking(client, target)
    ) as talk:
        replies = [await talk.say("Go on. #hidden #tools #silent")]
        replies.append(await talk.give(Given("one"), Given("two")))
        replies.append(await talk.say("And again. #hidden #tools"))
        replies.append(await talk.give(Given("three"), Given("four")))
    await check_books(world, target, replies)
    assert [reply.thinking for reply in replies] == [""] * 4
    assert replies[0].text == ""
    assert "one | two" in replies[1].text
    assert "three | four" in replies[3].text


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, 400), (404, 404), (413, 413), (429, 429), (500, 500), (503, 503)],
)
@each_way
@pytest.mark.parametrize(("client", "target"), [pair for pair in pairs(passing=False) if pair.values[1] in MAIN])
async def test_an_error_of_the_provider_is_the_clients_own(
    client: str, target: str, stream: bool, status: int, expected: int, world: World
) -> None:
    kinds: Any = (anthropic.APIStatusError, openai.APIStatusError, errors.APIError)
    async with world.talk(client, target, stream=stream) as talk:
        with pytest.raises(kinds, match="was told to fail") as raised:
            await talk.say(f"#fail-{status}")
    got = raised.value.code if client == "gemini" else raised.value.status_code
    assert got == expected
    row = await world.row()
    assert (row["state"], row["attempts"]) == ("settled", 1)
    assert row["status"] == expected
    assert row["cost_nano_usd"] in (0, None)


@each_way
@pytest.mark.parametrize(("client", "target"), [pair for pair in pairs(passing=False) if pair.values[1] == "claude"])
async def test_an_overload_that_only_anthropic_knows_is_told_as_503(
    client: str, target: str, stream: bool, world: World
) -> None:
    kinds: Any = (openai.InternalServerError, errors.ServerError)
    async with world.talk(client, target, stream=stream) as talk:
        with pytest.raises(kinds, match="was told to fail") as raised:
            await talk.say("#fail-529")
    assert (raised.value.code if client == "gemini" else raised.value.status_code) == 503


# What a target can't be told is named in the client's own words.
DROPPED = [
    ("anthropic-messages", "gpt", {"extra_body": {"top_k": 5}}, "top_k"),
    ("anthropic-messages", "gpt", {"stop_sequences": ["END"]}, "stop_sequences"),
    ("anthropic-messages", "gpt-chat", {"extra_body": {"temperature": 0.5}}, "temperature"),
    ("anthropic-messages", "deepseek", {"service_tier": "standard_only"}, "service_tier"),
    ("openai-chat", "claude", {"seed": 5}, "seed"),
    ("openai-chat", "claude", {"temperature": 0.5}, "temperature"),
    ("openai-chat", "gemini", {"verbosity": "low"}, "verbosity"),
    ("openai-chat", "gpt", {"presence_penalty": 0.5}, "presence_penalty"),
    ("openai-responses", "claude", {"text": {"verbosity": "low"}}, "text.verbosity"),
    ("openai-responses", "gemini", {"text": {"verbosity": "low"}}, "text.verbosity"),
    ("openai-responses", "gpt-chat", {"temperature": 0.5}, "temperature"),
    ("gemini", "claude", {"top_k": 5}, "generationConfig.topK"),
    ("gemini", "gpt", {"seed": 5}, "generationConfig.seed"),
    ("gemini", "gpt-chat", {"temperature": 0.5}, "generationConfig.temperature"),
]


@each_way
@pytest.mark.parametrize(
    ("client", "target", "more", "field"),
    [pytest.param(*case, id=f"{case[3]} of {case[0]} to {case[1]}") for case in DROPPED],
)
async def test_what_a_target_cannot_be_told_is_reported(
    client: str, target: str, more: dict[str, Any], field: str, stream: bool, world: World
) -> None:
    async with world.talk(client, target, stream=stream, more=more) as talk:
        told = await talk.say("#hello")
    await check_books(world, target, [told])
    assert field in told.dropped.split(", ")
    assert told.text == TEXT
    row = await world.row()
    assert field in (row["dropped"] or "")


@each_way
@each_pair
async def test_nothing_is_reported_as_dropped_where_everything_could_be_told(
    client: str, target: str, stream: bool, world: World
) -> None:
    async with world.talk(
        client, target, stream=stream, system="Be brief.", tools=TOOLS, **asking(client, target)
    ) as talk:
        told = await talk.say("#hello")
    await check_books(world, target, [told])
    assert told.dropped == ""
