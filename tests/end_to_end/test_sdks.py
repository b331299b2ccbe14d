"""The official SDKs as clients: what they parse through the router is what they parse from the provider itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.support.answers import TEXT, USAGE, answer
from tests.support.provider import FakeProvider
from tests.support.sdk import claude, gpt
from tests.support.serving import Running, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROFILE = """
[profile]
port = "auto"

[aliases]
"fast model" = "openai/gpt-5-mini"

[[rule]]
match = {{ model-equals = "pick-me" }}
to = "anthropic"
model = "claude-haiku-4-5"

[default]
to = "{provider}"
model = "served-1"
"""
MESSAGES: Any = [{"role": "user", "content": "hi"}]
TOOL: Any = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


class World(NamedTuple):
    router: Running
    provider: FakeProvider

    def base(self, form: str, profile: str) -> str:
        """A base URL as people write it; ``form`` is ``prefix``, ``p`` or ``port``, then what stands behind."""
        where, _, version = form.partition("/")
        tenant = self.router.app.tenants.find(profile)
        assert tenant is not None
        assert tenant.listener is not None
        bases = {
            "prefix": f"{self.router.url}/{profile}",
            "p": f"{self.router.url}/p/{profile}",
            "port": tenant.listener.base_url,
        }
        return f"{bases[where]}/{version}" if version else bases[where]

    async def last_row(self) -> dict[str, Any]:
        return (await self.router.rows())[-1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with FakeProvider(answer) as provider:
        profiles = {"claude": PROFILE.format(provider="anthropic"), "gpt": PROFILE.format(provider="openai")}
        addresses = {"anthropic": provider.url, "openai": provider.url}
        async with serving(tmp_path_factory.mktemp("sdks") / "home", profiles, providers=addresses) as router:
            yield World(router, provider)


FORMS = ["prefix", "prefix/v1", "prefix/v1/", "prefix/v1/v1", "p", "p/v1", "port", "port/", "port/v1", "port/v1/v1"]
KINDS = [(form, True) for form in FORMS] + [(form, False) for form in ("prefix", "port/v1")]


async def done(client: Any, use: Callable[[Any], Any], sync: bool) -> Any:
    """Run one use of a client, whichever kind it is, and close the client. Results become plain data.

    A sync client runs in a thread, since router and provider live in this one. Streams are read to their end.
    """

    def plain(result: Any) -> Any:
        return result.model_dump() if hasattr(result, "model_dump") else result

    def in_thread() -> Any:
        with client:
            result = use(client)
            return plain(result) if hasattr(result, "model_dump") else [plain(event) for event in result]

    if sync:
        return await asyncio.to_thread(in_thread)
    async with client:
        result = await use(client)
        return plain(result) if hasattr(result, "model_dump") else [plain(event) async for event in result]


USES = [
    pytest.param(
        claude,
        lambda c: c.messages.create(model="served-1", max_tokens=9, messages=MESSAGES, tools=[TOOL]),
        id="messages",
    ),
    pytest.param(
        claude,
        lambda c: c.messages.create(model="served-1", max_tokens=9, messages=MESSAGES, stream=True),
        id="messages streamed",
    ),
    pytest.param(
        gpt,
        lambda c: c.chat.completions.create(model="served-1", messages=MESSAGES, tools=[CHAT_TOOL]),
        id="chat",
    ),
    pytest.param(
        gpt,
        lambda c: c.chat.completions.create(model="served-1", messages=MESSAGES, stream=True),
        id="chat streamed",
    ),
    pytest.param(
        gpt,
        lambda c: c.chat.completions.create(
            model="served-1", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        ),
        id="chat streamed with usage",
    ),
    pytest.param(gpt, lambda c: c.responses.create(model="served-1", input="hi"), id="responses"),
    pytest.param(gpt, lambda c: c.responses.create(model="served-1", input="hi", stream=True), id="responses streamed"),
]


@pytest.mark.parametrize(
    ("form", "sync"), [pytest.param(*kind, id=f"{kind[0]}-{'sync' if kind[1] else 'async'}") for kind in KINDS]
)
@pytest.mark.parametrize(("make", "use"), USES)
async def test_generating_gives_what_the_provider_sent(
    make: Any, use: Callable[[Any], Any], form: str, sync: bool, world: World
) -> None:
    profile = "claude" if make is claude else "gpt"
    if make is claude and form.endswith("v1/v1"):
        form = form.removesuffix("/v1")  # its SDK adds the second one
    direct = world.provider.url if make is claude else f"{world.provider.url}/v1"
    expected = await done(make(direct, sync=sync), use, sync)
    got = await done(make(world.base(form, profile), sync=sync), use, sync)
    assert got == expected
    assert got, "there was something to compare"
    row = await world.last_row()
    assert {column: row[column] for column in USAGE} == USAGE
    assert (row["profile"], row["outcome"], row["status"]) == (profile, "ok", 200)
    assert row["stream"] == isinstance(got, list)
    assert row["client"] == "sdk"


async def test_the_messages_stream_helper_accumulates_the_same_message(world: World) -> None:
    async with (
        claude(world.base("prefix", "claude"), sync=False) as client,
        client.messages.stream(model="m", max_tokens=9, messages=MESSAGES, tools=[TOOL]) as stream,
    ):
        texts = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert texts == list(TEXT)
    assert [block.type for block in final.content] == ["text", "tool_use"]
    assert final.content[1].input == {"place": "here"}
    assert final.usage.output_tokens == USAGE["output"]


async def test_the_responses_stream_helper_accumulates_the_same_response(world: World) -> None:
    async with (
        gpt(world.base("port/v1", "gpt"), sync=False) as client,
        client.responses.stream(model="m", input="hi") as stream,
    ):
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert final.output_text == "".join(TEXT)


async def test_the_chat_stream_helper_accumulates_the_same_completion(world: World) -> None:
    async with (
        gpt(world.base("port/v1", "gpt"), sync=False) as client,
        client.chat.completions.stream(model="m", messages=MESSAGES) as stream,
    ):
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "".join(TEXT)
    assert final.usage is None, "usage that the client didn't ask for is not shown"


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_raw_responses_carry_the_routers_headers(sync: bool, world: World) -> None:
    def use(client: Any) -> Any:
        return client.messages.with_raw_response.create(model="m", max_tokens=9, messages=MESSAGES)

    client = claude(world.base("prefix", "claude"), sync=sync)
    raw = await asyncio.to_thread(use, client) if sync else await use(client)
    row = await world.last_row()
    assert raw.headers["x-router-request-id"] == row["id"]
    assert raw.headers["x-router-rule"] == "default -> anthropic"
    assert raw.headers["x-router-model"] == "served-1"
    parsed = raw.parse() if sync else await raw.parse()
    assert parsed.usage.output_tokens == USAGE["output"]
    await asyncio.to_thread(client.close) if sync else await client.close()


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_tokens_are_counted_by_the_provider(sync: bool, world: World) -> None:
    counted = await done(
        claude(world.base("prefix", "claude"), sync=sync),
        lambda c: c.messages.count_tokens(model="m", messages=MESSAGES, tools=[TOOL]),
        sync,
    )
    assert counted["input_tokens"] == 42
    assert world.provider.requests[-1].path == "/v1/messages/count_tokens"
    counted = await done(
        gpt(world.base("prefix/v1", "gpt"), sync=sync),
        lambda c: c.responses.input_tokens.count(model="m", input="hi"),
        sync,
    )
    assert counted["input_tokens"] == 42
    row = await world.last_row()
    assert (row["kind"], row["cost_nano_usd"], row["input"]) == ("count", 0, None)


async def test_responses_are_retrieved_and_deleted_where_they_were_made(world: World) -> None:
    async with gpt(world.base("prefix/v1", "gpt"), sync=False) as client:
        made = await client.responses.create(model="m", input="hi")
        again = await client.responses.retrieve(made.id)
        assert world.provider.requests[-1].path == "/responses/resp_1"
        assert world.provider.requests[-1].headers["authorization"] == "Bearer sk-provider-canary-1234"
        await client.responses.delete(made.id)
    assert again.output_text == made.output_text
    assert world.provider.requests[-1].method == "DELETE"


NAMES = ["fast model", "anthropic:claude-haiku-4-5", "openai:served-1", "openai:gpt-5-mini", "pick-me"]


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@pytest.mark.parametrize("form", ["prefix", "prefix/v1", "port", "port/v1"])
@pytest.mark.parametrize("make", [claude, gpt])
async def test_models_are_listed_and_retrieved(make: Any, form: str, sync: bool, world: World) -> None:
    listed = await done(make(world.base(form, "gpt"), sync=sync), lambda c: c.models.list(), sync)
    found = listed if isinstance(listed, list) else listed["data"]
    assert sorted(model["id"] for model in found) == sorted(NAMES)
    for name in NAMES:
        one = await done(make(world.base(form, "gpt"), sync=sync), lambda c, name=name: c.models.retrieve(name), sync)
        assert one["id"] == name
    with pytest.raises((anthropic.NotFoundError, openai.NotFoundError), match="lists no such model"):
        await done(make(world.base(form, "gpt"), sync=sync), lambda c: c.models.retrieve("nothing"), sync)


async def test_embeddings_pass(world: World) -> None:
    async with gpt(world.base("prefix/v1", "gpt"), sync=False) as client:
        made = await client.embeddings.create(model="text-embedding-3-small", input="hi", encoding_format="float")
    assert made.data[0].embedding == [0.5, -0.25]
    row = await world.last_row()
    assert (row["kind"], row["input"], row["outcome"]) == ("embed", 3, "ok")
