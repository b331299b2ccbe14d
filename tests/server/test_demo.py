"""The built-in provider speaks each format as recorded traffic does; ``test_demo_sdks`` asks the official SDKs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio

from router.providers.builtin import DEMO_MODELS
from router.server.demo import DemoProvider
from router.server.demo.provider import DIALECTS
from router.server.endpoints import resolve
from router.wire.body import Body
from router.wire.codec import ReplyFacts
from router.wire.formats import CODECS
from router.wire.request import Api
from router.wire.sse import SseDecoder

pytestmark = pytest.mark.sampled(3)

CASES = Path(__file__).parents[1] / "data" / "wire" / "cases"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}, "note": {"type": "string"}},
    "required": ["city", "days"],
}
ARGUMENTS = {"city": "demo city", "days": 3}


class World(NamedTuple):
    """The provider and plain HTTP to it."""

    demo: DemoProvider
    http: aiohttp.ClientSession


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    demo = DemoProvider(pace_s=0)
    await demo.start()
    async with aiohttp.ClientSession(demo.provider().base_urls["anthropic-messages"]) as http:
        yield World(demo, http)
    await demo.close()


# --- the same question in every format ------------------------------------------------------------------------------


def ask(
    api: Api, text: str = "Hello there!", *, model: str = "demo-small", stream: bool = False, **wanted: Any
) -> tuple[str, dict[str, Any]]:
    """Path and body. ``wanted``: tool, forced, thinking, schema, limit, stop."""
    tool, forced = wanted.get("tool"), wanted.get("forced")
    thinking, schema, limit, stop = (wanted.get(name) for name in ("thinking", "schema", "limit", "stop"))
    user = [{"role": "user", "content": text}]
    body: dict[str, Any]
    match api:
        case "anthropic-messages":
            body = {"model": model, "max_tokens": limit or 500, "messages": user, "stream": stream}
            body |= {"tools": [{"name": "weather", "input_schema": SCHEMA}]} if tool else {}
            body |= {"tool_choice": {"type": "any"}} if forced else {}
            body |= {"thinking": {"type": "adaptive"}} if thinking else {}
            body |= {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}} if schema else {}
            body |= {"stop_sequences": [stop]} if stop else {}
            return "/v1/messages", body
        case "openai-chat":
            body = {"model": model, "messages": user, "stream": stream}
            body |= {"stream_options": {"include_usage": True}} if stream else {}
            body |= {"max_completion_tokens": limit} if limit else {}
            inner = {"name": "weather", "parameters": SCHEMA}
            body |= {"tools": [{"type": "function", "function": inner}]} if tool else {}
            body |= {"tool_choice": "required"} if forced else {}
            body |= {"reasoning_effort": "high"} if thinking else {}
            wrapped = {"name": "answer", "schema": SCHEMA}
            body |= {"response_format": {"type": "json_schema", "json_schema": wrapped}} if schema else {}
            body |= {"stop": stop} if stop else {}
            return "/v1/chat/completions", body
        case "openai-responses":
            body = {"model": model, "input": text, "stream": stream}
            body |= {"max_output_tokens": limit} if limit else {}
            body |= {"tools": [{"type": "function", "name": "weather", "parameters": SCHEMA}]} if tool else {}
            body |= {"tool_choice": "required"} if forced else {}
            body |= {"reasoning": {"effort": "high"}} if thinking else {}
            wanted_text = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}
            body |= {"text": wanted_text} if schema else {}
            return "/v1/responses", body
        case "gemini":
            config: dict[str, Any] = {"maxOutputTokens": limit} if limit else {}
            config |= {"thinkingConfig": {"includeThoughts": True}} if thinking else {}
            config |= {"responseJsonSchema": SCHEMA} if schema else {}
            config |= {"stopSequences": [stop]} if stop else {}
            body = {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": config}
            body |= {"tools": [{"functionDeclarations": [{"name": "weather", "parameters": SCHEMA}]}]} if tool else {}
            body |= {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}} if forced else {}
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return f"/v1beta/models/{model}:{method}", body


async def whole(world: World, api: Api, *said: str, **wanted: Any) -> tuple[bytes, ReplyFacts]:
    path, body = ask(api, *said, **wanted)
    async with world.http.post(path, json=body) as reply:
        payload = await reply.read()
        assert reply.status == 200, payload
        return payload, CODECS[api].read_reply(payload)


async def streamed(world: World, api: Api, *said: str, **wanted: Any) -> tuple[bytes, ReplyFacts]:
    """A stream's bytes and what our tap reads of it, fed byte by byte."""
    path, body = ask(api, *said, stream=True, **wanted)
    async with world.http.post(path, json=body) as reply:
        payload = await reply.read()
        assert reply.status == 200, payload
        assert reply.content_type == "text/event-stream"
    tap = CODECS[api].tap()
    passed = bytearray()
    for byte in payload:
        now, later = tap.feed(bytes([byte]))
        passed += now + later
    passed += tap.finish()
    assert bytes(passed) == payload
    assert tap.committed
    assert tap.ended
    assert not tap.failed
    return payload, tap.facts


APIS: tuple[Api, ...] = tuple(DIALECTS)
every_format = pytest.mark.parametrize("api", APIS)
STOPS = {  # of our words: text, tool, limit, stop sequence
    "anthropic-messages": ("end_turn", "tool_use", "max_tokens", "stop_sequence"),
    "openai-chat": ("stop", "tool_calls", "length", "stop"),
    "openai-responses": ("completed", "completed", "max_output_tokens", "completed"),
    "gemini": ("STOP", "STOP", "MAX_TOKENS", "STOP"),
}


@every_format
@pytest.mark.parametrize(
    ("text", "wanted", "stop", "parts"),
    [
        pytest.param("Hello there!", {}, 0, {"text"}, id="a plain answer"),
        pytest.param("Use the tool.", {"tool": True}, 1, {"text", "tool-call"}, id="a tool, asked for in the text"),
        pytest.param("Hello there!", {"tool": True}, 0, {"text"}, id="a tool that nobody asks for"),
        pytest.param("Hi", {"tool": True, "forced": True}, 1, {"text", "tool-call"}, id="a tool, forced"),
        pytest.param("Hello there!", {"thinking": True}, 0, {"text", "reasoning"}, id="thinking"),
        pytest.param("Hello there!", {"schema": True}, 0, {"text"}, id="JSON by a schema"),
        pytest.param("Hello there!", {"limit": 5}, 2, {"text"}, id="an output limit"),
    ],
)
async def test_whole_and_streamed_answers_say_the_same(
    world: World, api: Api, text: str, wanted: dict[str, Any], stop: int, parts: set[str]
) -> None:
    payload, facts = await whole(world, api, text, **wanted)
    _, seen = await streamed(world, api, text, **wanted)
    assert facts.parts == parts
    assert amounts(facts) == amounts(seen)
    assert amounts(facts)[2] == ("reasoning" in parts)
    assert facts.stop_reason == seen.stop_reason == STOPS[api][stop]
    assert facts.model == seen.model == "demo-small"
    assert len({facts.response_id, seen.response_id, None}) == 3
    if wanted.get("limit"):
        assert amounts(facts)[1] == 5
    if stop == 1:
        assert call_of(api, payload) == ("weather", ARGUMENTS)
    if wanted.get("schema"):
        assert json.loads(text_of(api, payload)) == ARGUMENTS


def amounts(facts: ReplyFacts) -> tuple[int, int, bool]:
    """All that was read, from wherever; all that was written; whether some of it was thinking."""
    usage = facts.usage
    assert usage is not None
    assert usage.output is not None
    read = (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write or 0) + (usage.cache_write_1h or 0)
    assert read > 0
    return read, usage.output, bool(usage.reasoning)


def text_of(api: Api, payload: bytes) -> str:
    reply = json.loads(payload)
    match api:
        case "anthropic-messages":
            return "".join(block["text"] for block in reply["content"] if block["type"] == "text")
        case "openai-chat":
            return reply["choices"][0]["message"]["content"] or ""
        case "openai-responses":
            return "".join(item["content"][0]["text"] for item in reply["output"] if item["type"] == "message")
        case "gemini":
            parts = reply["candidates"][0]["content"]["parts"]
            return "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))


def call_of(api: Api, payload: bytes) -> tuple[str, Any]:
    reply = json.loads(payload)
    match api:
        case "anthropic-messages":
            call = next(block for block in reply["content"] if block["type"] == "tool_use")
            return call["name"], call["input"]
        case "openai-chat":
            call = reply["choices"][0]["message"]["tool_calls"][0]["function"]
            return call["name"], json.loads(call["arguments"])
        case "openai-responses":
            call = next(item for item in reply["output"] if item["type"] == "function_call")
            return call["name"], json.loads(call["arguments"])
        case "gemini":
            call = next(p["functionCall"] for p in reply["candidates"][0]["content"]["parts"] if "functionCall" in p)
            return call["name"], call["args"]


@pytest.mark.parametrize("api", [api for api in APIS if api != "openai-responses"])  # which has no stop sequences
async def test_an_answer_ends_before_a_stop_sequence(world: World, api: Api) -> None:
    payload, facts = await whole(world, api, stop="message")
    assert text_of(api, payload) == "demo-small here: 1 "
    assert facts.stop_reason == STOPS[api][3]


@every_format
async def test_the_same_request_has_the_same_answer_and_the_answer_says_what_was_asked(world: World, api: Api) -> None:
    first, _ = await whole(world, api)
    second, _ = await whole(world, api)
    assert text_of(api, first) == text_of(api, second)
    assert text_of(api, first) == 'demo-small here: 1 message. You said "Hello there!"'


@pytest.mark.parametrize(
    ("api", "path", "body"),
    [
        pytest.param(
            "anthropic-messages",
            "/v1/messages",
            {
                "model": "m",
                "max_tokens": 100,
                "tools": [{"name": "weather", "input_schema": SCHEMA}],
                "messages": [
                    {"role": "user", "content": "Use the tool."},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "18 degrees"}]},
                ],
            },
            id="Messages",
        ),
        pytest.param(
            "openai-responses",
            "/v1/responses",
            {
                "model": "m",
                "tools": [{"type": "function", "name": "weather", "parameters": SCHEMA}],
                "input": [
                    {"role": "user", "content": "Use the tool."},
                    {"type": "function_call", "call_id": "t", "name": "weather", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "t", "output": "18 degrees"},
                ],
            },
            id="Responses",
        ),
    ],
)
async def test_after_a_tools_result_no_tool_is_called(world: World, api: Api, path: str, body: dict[str, Any]) -> None:
    async with world.http.post(path, json=body) as reply:
        payload = await reply.read()
    assert CODECS[api].read_reply(payload).parts == {"text"}
    assert text_of(api, payload).endswith("The tool has answered.")


# --- the grammar of streams, beside recorded ones -------------------------------------------------------------------


def events_of(payload: bytes) -> list[tuple[str | None, Any]]:
    decoder = SseDecoder()
    events = [*decoder.feed(payload), *decoder.finish()]
    return [(e.event, None if e.data == b"[DONE]" else json.loads(e.data)) for e in events]


def recorded_events(case: str) -> list[tuple[str | None, Any]]:
    body: str = json.loads((CASES / f"{case}.json").read_text("utf-8"))["response"]["body"]
    return events_of(body.encode())


def shapes(events: list[tuple[str | None, Any]], *ignored: str) -> dict[str, set[str]]:
    """The paths of keys that occur in events of each name."""
    found: dict[str, set[str]] = {}
    for name, event in events:
        found.setdefault(name or "", set()).update(path for path in paths(event) if not {*path.split(".")} & {*ignored})
    return found


def paths(value: Any, before: str = "") -> list[str]:
    if isinstance(value, list):
        return [path for item in value for path in paths(item, before)]
    if not isinstance(value, dict):
        return []
    return [path for key, inner in value.items() for path in (f"{before}{key}", *paths(inner, f"{before}{key}."))]


# What recordings have beside: padding, and things that a demonstration doesn't know.
BESIDE = ("obfuscation", "stop_details", "inference_geo", "caller", "thoughtSignature", "phase")


@pytest.mark.parametrize(
    ("api", "case", "text", "wanted"),
    [
        pytest.param(
            "anthropic-messages",
            "anthropic-messages.anthropic.fixed-version-tool-chain-with-thinking-display-regression.1",
            "Use the tool.",
            {"tool": True, "thinking": True},
            id="Messages with thinking and a tool",
        ),
        pytest.param(
            "openai-chat",
            "openai-chat.openai.chat-completion-multiple-tools-streaming-with-content",
            "Use the tool.",
            {"tool": True},
            id="Chat with a tool",
        ),
        pytest.param(
            "openai-responses",
            "openai-responses.openai.responses-tool-use-streaming.2",
            "Hello!",
            {"tool": True},
            id="Responses with text",
        ),
        pytest.param(
            "gemini",
            "gemini.google-gemini.native-output-with-function-tools-stream.1",
            "Use the tool.",
            {"tool": True, "thinking": True},
            id="Gemini with thinking and a tool",
        ),
    ],
)
async def test_events_have_the_names_and_fields_of_recorded_ones(
    world: World, api: Api, case: str, text: str, wanted: dict[str, Any]
) -> None:
    payload, _ = await streamed(world, api, text, **wanted)
    made = shapes(events_of(payload))
    for name, fields in shapes(recorded_events(case), *BESIDE).items():
        # The tools that a response repeats are the request's own, and the recorded one has other tools.
        missing = {
            path for path in fields - made.get(name, set()) if ".tools." not in path and ".reasoning." not in path
        }
        assert (name, missing) == (name, set())


async def test_a_messages_stream_has_each_block_between_its_start_and_its_stop(world: World) -> None:
    payload, _ = await streamed(world, "anthropic-messages", "Use the tool.", tool=True, thinking=True)
    events = events_of(payload)
    assert all(name == event["type"] for name, event in events)
    names = [name for name, _ in events if name != "ping"]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    at = iter(events)
    kinds = []
    for name, event in at:
        if name == "content_block_start":
            assert event["index"] == len(kinds)
            kinds.append(event["content_block"]["type"])
            for inner, between in at:
                if inner == "content_block_stop":
                    break
                assert inner in ("content_block_delta", "ping")
                assert between.get("index", event["index"]) == event["index"]
    assert kinds == ["thinking", "text", "tool_use"]


async def test_a_responses_stream_is_numbered_and_ends_with_all_that_went_before(world: World) -> None:
    payload, _ = await streamed(world, "openai-responses", "Use the tool.", tool=True, thinking=True)
    events = [event for _, event in events_of(payload)]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["reasoning", "message", "function_call"]
    assert events[-1]["response"]["output"] == done
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == done[1]["content"][0]["text"]


async def test_a_chat_stream_tells_usage_only_to_those_who_ask(world: World) -> None:
    asked, _ = await streamed(world, "openai-chat")
    path, body = ask("openai-chat", stream=True)
    del body["stream_options"]
    async with world.http.post(path, json=body) as reply:
        plain = await reply.read()
    assert b'"usage":{' in asked
    assert b"usage" not in plain
    assert plain.endswith(b"data: [DONE]\n\n")


async def test_gemini_without_alt_sse_streams_one_json_array(world: World) -> None:
    path, body = ask("gemini", stream=True, thinking=True)
    async with world.http.post(path.replace("?alt=sse", ""), json=body) as reply:
        payload = await reply.read()
        assert reply.content_type == "application/json"
    assert len(json.loads(payload)) > 2
    tap = CODECS["gemini"].tap(media_type="application/json")
    now, later = tap.feed(payload)
    assert now + later + tap.finish() == payload
    assert tap.facts.usage == (await whole(world, "gemini", thinking=True))[1].usage


# --- usage and the prompt cache -------------------------------------------------------------------------------------


async def test_messages_writes_to_the_cache_what_is_marked_and_reads_it_again(world: World) -> None:
    rules = [{"type": "text", "text": "one two three", "cache_control": {"type": "ephemeral"}}]
    body = {"model": "m", "max_tokens": 50, "system": rules, "messages": [{"role": "user", "content": "four five"}]}

    async def read(**changes: Any) -> tuple[int | None, ...]:
        async with world.http.post("/v1/messages", json={**body, **changes}) as reply:
            usage = CODECS["anthropic-messages"].read_reply(await reply.read()).usage
        assert usage is not None
        return usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h

    hour = [{**rules[0], "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    assert await read() == (2, 0, 3, 0)
    assert await read() == (2, 3, 0, 0)
    assert await read(model="another") == (2, 0, 3, 0)
    assert await read(model="for an hour", system=hour) == (2, 0, 0, 3)
    assert await read(model="all of it", system="one two three", cache_control={"type": "ephemeral"}) == (0, 0, 5, 0)


@pytest.mark.parametrize("api", [api for api in APIS if api != "anthropic-messages"])
async def test_the_other_formats_read_a_repeated_beginning_from_the_cache(world: World, api: Api) -> None:
    long = "word " * 40
    seen = []
    for text in (long, long, "word", "word"):
        usage = (await whole(world, api, text))[1].usage
        assert usage is not None
        seen.append((usage.input, usage.cache_read or 0))
    assert seen == [(40, 0), (0, 40), (1, 0), (1, 0)]  # a word is too short to be cached unasked


# --- errors and other trouble, by the model's name ------------------------------------------------------------------


@every_format
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 529])
async def test_an_error_status_is_given_as_the_models_name_says(world: World, api: Api, status: int) -> None:
    for stream in (False, True):
        path, body = ask(api, model=f"demo-error-{status}", stream=stream)
        async with world.http.post(path, json=body) as reply:
            assert reply.status == status
            assert CODECS[api].read_reply(await reply.read()).error is not None
            assert ("Retry-After" in reply.headers) == (status == 429)


@pytest.mark.parametrize("api", [api for api in APIS if api != "gemini"])  # which has no error inside a stream
async def test_a_stream_can_end_with_the_formats_error(world: World, api: Api) -> None:
    path, body = ask(api, model="demo-error-stream", stream=True)
    tap = CODECS[api].tap()
    async with world.http.post(path, json=body) as reply:
        with suppress(aiohttp.ClientPayloadError):
            async for chunk in reply.content.iter_any():
                tap.feed(chunk)
    tap.finish()
    assert tap.failed
    assert not tap.ended
    assert tap.facts.error == "overloaded (demo)"


@every_format
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_can_be_cut_in_the_middle(world: World, api: Api, stream: bool) -> None:
    path, body = ask(api, model="demo-cut", stream=stream)
    async with world.http.post(path, json=body) as reply:
        assert await reply.content.readany()
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.content.read()


async def test_a_slow_answer_comes_as_late_as_its_name_says(world: World) -> None:
    path, body = ask("openai-chat", model="demo-slow-0")
    async with world.http.post(path, json=body) as reply:
        assert reply.status == 200
    path, body = ask("openai-chat", model="demo-slow-9")
    with pytest.raises(TimeoutError):
        async with world.http.post(path, json=body, timeout=aiohttp.ClientTimeout(total=0.2)):
            pass


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        pytest.param("/v1/messages", b"{", 400, "", id="no JSON"),
        pytest.param("/v1/messages", b'{"model":"m","messages":[]}', 400, "max_tokens", id="a field that is required"),
        pytest.param("/v1/chat/completions", b'{"messages":[]}', 400, "model", id="no model"),
        pytest.param("/v1/images/generations", b"{}", 404, "path", id="an endpoint it doesn't have"),
        pytest.param("/v2/anything", b"{}", 404, "path", id="no endpoint at all"),
        pytest.param(
            "/v1/responses", b'{"model":"m","previous_response_id":"x"}', 400, "'x'", id="an unknown response"
        ),
    ],
)
async def test_a_wrong_request_is_refused(world: World, path: str, body: bytes, status: int, text: str) -> None:
    async with world.http.post(path, data=body) as reply:
        assert reply.status == status
        assert text in json.loads(await reply.read())["error"]["message"]


async def test_a_client_that_leaves_a_stream_leaves_nothing_behind(world: World) -> None:
    path, body = ask("openai-chat", "word " * 5000, stream=True)
    for _ in range(3):
        async with world.http.post(path, json=body) as reply:
            await reply.content.readany()
            reply.close()
    _, facts = await whole(world, "openai-chat")
    assert facts.usage is not None


# --- what coding agents really send -----------------------------------------------------------------------------------

PAYLOADS = sorted(
    path
    for path in (CASES.parents[1] / "payloads").glob("*.json")
    if isinstance(json.loads(path.read_bytes())["body"], dict)
)


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
async def test_a_captured_request_of_an_agent_is_answered(world: World, path: Path) -> None:
    captured = json.loads(path.read_text("utf-8"))
    body = {name: value for name, value in captured["body"].items() if name != "previous_response_id"}
    endpoint = resolve(captured["path"], prefixed=True)
    assert endpoint.api is not None
    query = f"?{captured['query']}" if captured["query"] else ""
    async with world.http.post(captured["path"] + query, json=body) as reply:
        payload = await reply.read()
        assert reply.status == 200, payload
    codec = CODECS[endpoint.api]
    if endpoint.kind == "count":
        assert json.loads(payload)["input_tokens"] > 0
        return
    tap = codec.tap(media_type=reply.content_type)
    if codec.view(Body.parse(json.dumps(body).encode()), url_stream=endpoint.stream).stream:
        tap.feed(payload)
        tap.finish()
        assert tap.ended
        facts = tap.facts
    else:
        facts = codec.read_reply(payload)
    assert facts.stop_reason is not None
    asks = endpoint.api != "openai-chat" or "stream_options" in body or not body.get("stream")
    assert (facts.usage is not None) == asks


# --- everything else ------------------------------------------------------------------------------------------------


async def test_a_large_request_is_counted_too(world: World) -> None:
    _, facts = await whole(world, "openai-chat", "word " * 50_000)
    assert facts.usage is not None
    assert facts.usage.input == 50_000


async def test_models_and_counts_have_geminis_shape_too(world: World) -> None:
    async with world.http.get("/v1beta/models") as reply:
        listed = await reply.json()
    assert [each["name"] for each in listed["models"]] == [f"models/{name}" for name in DEMO_MODELS]
    asked = {"contents": [{"parts": [{"text": "Hello there!"}]}]}
    for body in (asked, {"generateContentRequest": {"model": "models/m", **asked}}):
        async with world.http.post("/v1beta/models/m:countTokens", json=body) as reply:
            assert (await reply.json())["totalTokens"] == 3  # two words and a mark
