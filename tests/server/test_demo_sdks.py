"""The official SDKs read what the built-in provider says."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import pytest_asyncio

from router.providers.builtin import DEMO_MODELS
from router.server.demo import DemoProvider

if TYPE_CHECKING:
    import anthropic
    import openai

pytestmark = pytest.mark.slow  # importing the SDKs alone takes seconds

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
ARGUMENTS = {"city": "demo city", "days": 3}
TURN: Any = [{"role": "user", "content": "Use the tool."}]
FUNCTION = {"name": "weather", "parameters": SCHEMA, "strict": True}


class World(NamedTuple):
    """The SDKs, pointed at the provider."""

    anthropic: anthropic.AsyncAnthropic
    openai: openai.AsyncOpenAI


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    import anthropic
    import openai

    demo = DemoProvider(pace_s=0)
    await demo.start()
    base = demo.provider().base_urls
    async with (
        anthropic.AsyncAnthropic(
            base_url=base["anthropic-messages"],
            api_key="any",
            max_retries=0,
            http_client=anthropic.DefaultAsyncHttpxClient(trust_env=False),
        ) as messages,
        openai.AsyncOpenAI(
            base_url=base["openai-chat"],
            api_key="any",
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
        ) as others,
    ):
        yield World(messages, others)
    await demo.close()


async def test_models_are_listed_in_each_sdks_shape(world: World) -> None:
    assert [each.id async for each in world.anthropic.models.list()] == list(DEMO_MODELS)
    assert [each.id async for each in world.openai.models.list()] == list(DEMO_MODELS)


async def test_tokens_are_counted_as_generation_counts_them(world: World) -> None:
    turn: Any = [{"role": "user", "content": "Hello there!"}]
    counted = await world.anthropic.messages.count_tokens(model="m", messages=turn)
    assert counted.input_tokens == 3  # two words and a mark
    responses = await world.openai.responses.input_tokens.count(model="m", input="Hello there!")
    assert responses.input_tokens == 3


async def test_a_response_is_kept_and_continued(world: World) -> None:
    import openai

    first = await world.openai.responses.create(model="m", input="Hello there!")
    assert await world.openai.responses.retrieve(first.id) == first
    second = await world.openai.responses.create(model="m", input="Go on.", previous_response_id=first.id)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens_details.cached_tokens == first.usage.total_tokens
    await world.openai.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await world.openai.responses.retrieve(first.id)
    unkept = await world.openai.responses.create(model="m", input="Hello there!", store=False)
    with pytest.raises(openai.NotFoundError):
        await world.openai.responses.retrieve(unkept.id)


async def test_embeddings_are_short_vectors_of_length_one(world: World) -> None:
    made = await world.openai.embeddings.create(model="demo-embed", input=["one", "two words"], encoding_format="float")
    again = await world.openai.embeddings.create(
        model="demo-embed", input="one", encoding_format="base64", dimensions=4
    )
    first, second = (each.embedding for each in made.data)
    assert len(first) == 8
    assert first != second
    assert sum(number * number for number in first) == pytest.approx(1, abs=1e-4)
    packed: Any = again.data[0].embedding
    assert len(struct.unpack("<4f", base64.b64decode(packed)) if isinstance(packed, str) else packed) == 4
    assert made.usage.prompt_tokens == 3


async def sdk_messages(world: World, stream: bool) -> tuple[str, str, Any, int]:
    sent: Any = {"model": "m", "max_tokens": 500, "messages": TURN, "thinking": {"type": "adaptive"}}
    sent["tools"] = [{"name": "weather", "input_schema": SCHEMA}]
    if stream:
        async with world.anthropic.messages.stream(**sent) as events:
            message = await events.get_final_message()
    else:
        message = await world.anthropic.messages.create(**sent)
    thinking, text, call = message.content
    assert (thinking.type, text.type, call.type) == ("thinking", "text", "tool_use")
    assert thinking.signature
    return text.text, call.name, call.input, message.usage.output_tokens


async def sdk_chat(world: World, stream: bool) -> tuple[str, str, Any, int]:
    sent: Any = {"model": "m", "messages": TURN, "reasoning_effort": "high"}
    sent["tools"] = [{"type": "function", "function": FUNCTION}]
    if stream:
        sent["stream_options"] = {"include_usage": True}
        async with world.openai.chat.completions.stream(**sent) as events:
            completion = await events.get_final_completion()
    else:
        completion = await world.openai.chat.completions.create(**sent)
    message = completion.choices[0].message
    call = message.tool_calls[0].function
    return message.content, call.name, json.loads(call.arguments), completion.usage.completion_tokens


async def sdk_responses(world: World, stream: bool) -> tuple[str, str, Any, int]:
    sent: Any = {"model": "m", "input": "Use the tool.", "reasoning": {"effort": "high"}}
    sent["tools"] = [{"type": "function", **FUNCTION}]
    if stream:
        async with world.openai.responses.stream(**sent) as events:
            async for _ in events:
                pass
            response = await events.get_final_response()
    else:
        response = await world.openai.responses.create(**sent)
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    call: Any = response.output[2]
    assert response.usage is not None
    return response.output_text, call.name, json.loads(call.arguments), response.usage.output_tokens


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("send", [sdk_messages, sdk_chat, sdk_responses], ids=["Messages", "Chat", "Responses"])
async def test_the_official_sdk_reads_text_thinking_tool_call_and_usage(
    world: World, send: Callable[[World, bool], Awaitable[tuple[str, str, Any, int]]], stream: bool
) -> None:
    text, name, arguments, output = await send(world, stream)
    assert text == "m uses weather."
    assert (name, arguments) == ("weather", ARGUMENTS)
    assert output > 20


async def test_the_official_sdks_know_its_errors(world: World) -> None:
    import anthropic
    import openai

    turn: Any = [{"role": "user", "content": "Hi"}]
    with pytest.raises(anthropic.RateLimitError):
        await world.anthropic.messages.create(model="demo-error-429", max_tokens=9, messages=turn)
    with pytest.raises(anthropic.APIStatusError, match="overloaded"):
        async with world.anthropic.messages.stream(model="demo-error-stream", max_tokens=99, messages=turn) as events:
            await events.get_final_message()
    with pytest.raises(openai.AuthenticationError):
        await world.openai.chat.completions.create(model="demo-error-401", messages=turn)
