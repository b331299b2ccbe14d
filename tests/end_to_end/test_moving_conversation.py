"""One conversation that moves between makers' models, in the middle of tool rounds too, and comes back.

Each provider is as strict as the real one about its own sealed reasoning: it refuses what it didn't make, what was
edited, and what stands behind another beginning. So that nothing is refused shows that each got its own and only that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.strict.anthropic import blocks_of
from tests.support.strict.clients import TALKS
from tests.support.strict.gemini import BYPASS
from tests.support.strict.gemini_replies import Gemini
from tests.support.strict.openai_talks import ChatTalk
from tests.support.strict.provider import Exchange
from tests.support.strict.scenario import THOUGHT
from tests.support.strict.seals import is_own_id
from tests.support.strict.talk import Called, Given, Talk, ToolSpec
from tests.support.strict.world import TARGETS, World, strict_world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(7)]

STOPS = ("claude", "gpt", "deepseek", "gemini")
CHAT_STOPS = ("deepseek", "groq")  # to which a Chat client's requests are passed on
TOOLS = (ToolSpec("look_up"), ToolSpec("draw"))


def profile() -> str:
    """A header says which model is next."""
    parts = []
    for name in (*STOPS, "groq"):
        target = TARGETS[name]
        parts.append(f'[providers.{target.provider}]\nbase-url = "{{{name}}}"\nformats = ["{target.api}"]')
        parts.append('api-key = "env:TEST_KEY"')
        parts.append(f'[[rule]]\nmatch = {{ header = {{ x-next = "{name}" }} }}')
        parts.append(f'target = "{target.provider}/{target.model}"')
    return "\n".join(parts)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("moving") / "home"
    async with strict_world(home, (*STOPS, "groq"), profiles={"moving": profile()}) as world:
        yield world


@pytest.fixture
def world(shared: World, request: pytest.FixtureRequest) -> World:
    """Google's own SDK sends what only the API itself is lenient about."""
    shared.fresh()
    api = shared.providers["gemini"].api
    assert isinstance(api, Gemini)
    api.tidy = request.node.callspec.params["client"] != "gemini"
    return shared


class Journey:
    """A conversation, the calls that its client was given, and who made them."""

    def __init__(self, world: World, talk: Talk) -> None:
        self.world = world
        self.talk = talk
        self.calls: list[Called] = []
        self.thoughts: dict[str, int] = dict.fromkeys((*STOPS, "groq"), 0)
        self.said = 0

    async def round(self, asked: str, answered: str, word: str = "think") -> None:
        """A user's turn to one model, which calls tools; their results go to another, which answers."""
        self.said += 1
        self.talk.headers["x-next"] = asked
        told = await self.talk.say(f"Turn {self.said}. #{word} #tools")
        assert len(told.calls) == 2
        self.calls += told.calls
        self.thoughts[asked] += 1
        self.check(asked)
        self.talk.headers["x-next"] = answered
        told = await self.talk.give(Given(f"fact {self.said}"), Given(f"picture {self.said}"))
        assert f"fact {self.said} | picture {self.said}" in told.text
        self.thoughts[answered] += 1
        self.check(answered)

    def check(self, name: str) -> None:
        """The model was called once more, and refused nothing."""
        provider = self.world.providers[name]
        assert provider.violations == []
        assert len(provider.exchanges) == self.thoughts[name], "each request is one call"
        body = provider.last.request.body
        assert b"rtr1." not in body, "what the router wraps stays between router and client"

    def last(self, name: str) -> Exchange:
        return self.world.providers[name].last


each_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
each_client = pytest.mark.parametrize("client", TALKS)


def talk_of(world: World, client: str, *, stream: bool) -> Talk:
    talk = world.talk(client, "moving", stream=stream, system="Be brief.", tools=TOOLS, thinking=True)
    if isinstance(talk, ChatTalk):
        talk.limit = "max_tokens"
    return talk


@each_way
@each_client
async def test_every_model_gets_its_own_reasoning_back_and_nobody_elses(
    client: str, stream: bool, world: World
) -> None:
    async with talk_of(world, client, stream=stream) as talk:
        journey = Journey(world, talk)
        for name in (*STOPS, *STOPS, "claude", "gemini"):
            await journey.round(name, name)
    # Two rounds before the last one make four thoughts each; the last request holds what came before its reply.
    for name, count in (("claude", 5), ("gpt", 3), ("gemini", 5)):
        assert sealed(name, journey.last(name)) == count
    assert own_thoughts(journey.last("deepseek")) == 2


@each_way
@each_client
async def test_a_model_may_change_between_calls_and_their_results(client: str, stream: bool, world: World) -> None:
    async with talk_of(world, client, stream=stream) as talk:
        journey = Journey(world, talk)
        for asked, answered in zip(STOPS, (*STOPS[1:], STOPS[0]), strict=True):
            await journey.round(asked, answered)
        for asked, answered in zip(reversed(STOPS), STOPS, strict=True):
            await journey.round(asked, answered)
        await journey.round("claude", "claude")
    assert sealed("claude", journey.last("claude")) == journey.thoughts["claude"] - 1


@each_way
@each_client
async def test_calls_keep_their_ids_wherever_the_conversation_goes(client: str, stream: bool, world: World) -> None:
    async with talk_of(world, client, stream=stream) as talk:
        journey = Journey(world, talk)
        for name in (*STOPS, "claude", "gpt", "deepseek"):
            await journey.round(name, name)
    given = [call.id for call in journey.calls]
    assert len(set(given)) == len(given) == 14
    assert ids_in(journey.last("deepseek").body) == given
    assert ids_in(journey.last("gpt").body) == given[:12]
    assert ids_in(journey.last("claude").body) == given[:10]


@each_way
@pytest.mark.parametrize("client", ["openai-chat"])
async def test_what_one_chat_provider_needs_and_another_refuses_is_neither_missing_nor_left(
    client: str, stream: bool, world: World
) -> None:
    """DeepSeek wants reasoning back under a name that Groq refuses, and both are spoken to in the client's format."""
    async with talk_of(world, client, stream=stream) as talk:
        journey = Journey(world, talk)
        for name in ("claude", *CHAT_STOPS, "gpt", *CHAT_STOPS, "claude", *CHAT_STOPS):
            await journey.round(name, name)
    assert own_thoughts(journey.last("deepseek")) == 3


@each_way
@each_client
async def test_hidden_thinking_travels_too(client: str, stream: bool, world: World) -> None:
    async with talk_of(world, client, stream=stream) as talk:
        journey = Journey(world, talk)
        for name in (*STOPS, *STOPS):
            await journey.round(name, name, "hidden")
    for name in ("claude", "gpt", "gemini"):
        assert sealed(name, journey.last(name)) == 3


def sealed(name: str, exchange: Exchange) -> int:
    """How many turns of a request bear reasoning that the provider sealed (it has checked that they are its own)."""
    body: dict[str, Any] = exchange.body
    if name == "claude":
        return sum(
            block["type"] == "thinking" and bool(block["signature"])
            for message in body["messages"]
            for block in blocks_of(message)
        )
    if name == "gpt":
        return sum(item.get("type") == "reasoning" for item in body["input"])
    # What Google's SDK streams is a content for each piece; a turn's signature is on one of them.
    return sum(
        part.get("thoughtSignature", BYPASS) != BYPASS for content in body["contents"] for part in content["parts"]
    )


def own_thoughts(exchange: Exchange) -> int:
    """Turns with calls in which DeepSeek finds what it thought itself."""
    return sum(
        message.get("reasoning_content") == THOUGHT
        for message in exchange.body["messages"]
        if any(is_own_id(call["id"], "call_", "deepseek") for call in message.get("tool_calls") or ())
    )


def ids_in(body: dict[str, Any]) -> list[str]:
    """The ids of the calls in a request, in order."""
    if "input" in body:
        return [item["call_id"] for item in body["input"] if item.get("type") == "function_call"]
    messages = body["messages"]
    if any("tool_calls" in message for message in messages):
        return [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    return [block["id"] for message in messages for block in blocks_of(message) if block["type"] == "tool_use"]
