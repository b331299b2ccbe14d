"""The first rules file against every kind of request: the server does what ``decide`` and ``explain`` say."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from router.server.replies import header_text
from tests.support.answers import USAGE, answer
from tests.support.deciding import decided
from tests.support.first_file import FIRST_FILE
from tests.support.provider import FakeProvider
from tests.support.serving import Running, serving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(3)]

PAYLOADS = Path(__file__).parents[1] / "data" / "payloads"
SONNET, GROQ, HAIKU = "claude-sonnet-4-5", "llama-3.3-70b-versatile", "claude-haiku-4-5"


class World(NamedTuple):
    router: Running
    anthropic: FakeProvider
    groq: FakeProvider


LARGE_WINDOW = '\n[models."anthropic/claude-sonnet-4-5"]\ncontext = 1_000_000\n'
"""The recorded conversations are longer than this model takes by itself."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with FakeProvider(answer) as anthropic, FakeProvider(answer) as groq:
        home = tmp_path_factory.mktemp("first") / "home"
        addresses = {"anthropic": anthropic.url, "groq": groq.url}
        async with serving(home, {"work": FIRST_FILE + LARGE_WINDOW}, providers=addresses) as router:
            yield World(router, anthropic, groq)


TOOL_SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}}


def messages(text: str, *, tools: bool, stream: bool) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"model": "some-model", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    if tools:
        body["tools"] = [{"name": "look", "description": "Looks.", "input_schema": TOOL_SCHEMA}]
    return "/v1/messages", {**body, "stream": stream}


def chat(text: str, *, tools: bool, stream: bool) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"model": "some-model", "messages": [{"role": "user", "content": text}], "stream": stream}
    if tools:
        body["tools"] = [{"type": "function", "function": {"name": "look", "parameters": TOOL_SCHEMA}}]
    return "/v1/chat/completions", body


def responses(text: str, *, tools: bool, stream: bool) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"model": "some-model", "input": text, "stream": stream}
    if tools:
        body["tools"] = [{"type": "function", "name": "look", "parameters": TOOL_SCHEMA, "strict": False}]
    return "/v1/responses", body


def gemini(text: str, *, tools: bool, stream: bool) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    if tools:
        body["tools"] = [{"functionDeclarations": [{"name": "look", "parameters": TOOL_SCHEMA}]}]
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/some-model:{method}", body


KINDS = [
    pytest.param("hello", True, "tool-use → anthropic", SONNET, id="short with a tool"),
    pytest.param("word " * 3000, True, "tool-use → anthropic", SONNET, id="middling with a tool"),
    pytest.param("hello", False, "input-tokens-lt → groq", GROQ, id="short"),
    pytest.param("word " * 1900, False, "input-tokens-lt → groq", GROQ, id="just below 2000 tokens"),
    pytest.param("word " * 2010, False, "default → anthropic", HAIKU, id="just above 2000 tokens"),
    pytest.param("word " * 30_000, False, "default → anthropic", HAIKU, id="middling"),
    pytest.param("word " * 100_100, False, "input-tokens-gt → anthropic", SONNET, id="just above 100000 tokens"),
    pytest.param("字" * 180_000, False, "input-tokens-gt → anthropic", SONNET, id="long and not English"),
]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("form", [messages, chat, responses, gemini])
@pytest.mark.parametrize(("text", "tools", "label", "model"), KINDS)
async def test_every_kind_of_request_goes_where_the_file_says(
    text: str, tools: bool, label: str, model: str, form: Any, streamed: bool, world: World
) -> None:
    path, body = form(text, tools=tools, stream=streamed)
    row, seen = await check(world, path, json.dumps(body).encode(), {"content-type": "application/json"})
    assert (row["rule"], row["model"]) == (label, model)
    assert model in seen.path if form is gemini else seen.json["model"] == model
    assert {column: row[column] for column in USAGE} == USAGE
    assert row["stream"] == streamed


def captured() -> list[Any]:
    cases = []
    for path in sorted(PAYLOADS.glob("*.json")):
        payload = json.loads(path.read_text())
        if payload["method"] == "POST" and payload["body"] is not None and "count_tokens" not in payload["path"]:
            cases.append(pytest.param(payload, id=path.stem))
    return cases


@pytest.mark.parametrize("payload", captured())
async def test_requests_of_real_agents_go_where_explain_says(payload: dict[str, Any], world: World) -> None:
    own = {"host", "content-length", "connection", "accept-encoding", "transfer-encoding"}
    headers = {name: value for name, value in payload["headers"] if name.lower() not in own}
    path = payload["path"] + (f"?{payload['query']}" if payload["query"] else "")
    row, _ = await check(world, path, json.dumps(payload["body"]).encode(), headers)
    assert row["outcome"] == "ok"
    assert {column: row[column] for column in USAGE} == USAGE


async def test_the_decision_is_the_same_for_a_conversation_that_grows_past_the_limit(world: World) -> None:
    """Pieces of earlier requests are cached: what was counted before must count the same again."""
    turns: list[dict[str, str]] = []
    labels = []
    for turn in range(30):
        turns.append({"role": "user", "content": f"{turn} " + "word " * 150})
        body = {"model": "m", "max_tokens": 9, "messages": turns}
        row, _ = await check(world, "/v1/messages", json.dumps(body).encode(), {"content-type": "application/json"})
        labels.append(row["rule"])
        turns.append({"role": "assistant", "content": "yes"})
    small = labels.count("input-tokens-lt → groq")
    assert 10 <= small <= 14
    assert labels == ["input-tokens-lt → groq"] * small + ["default → anthropic"] * (30 - small)


async def check(world: World, path: str, body: bytes, headers: dict[str, str]) -> tuple[dict[str, Any], Any]:
    """Send a request; reply headers, ledger row, attempt and the call made must all be the decision. Row and call."""
    before = {name: len(getattr(world, name).requests) for name in ("anthropic", "groq")}
    tenant = world.router.app.tenants.find("work")
    assert tenant is not None
    decision, explained = decided(tenant.profile, path, body, headers)
    assert explained.decision is not None
    assert (explained.decision.rule, explained.decision.candidates) == (decision.rule, decision.candidates)
    target = decision.candidates[0]

    async with world.router.post(f"/work{path}", data=io.BytesIO(body), headers=headers) as reply:
        payload = await reply.read()
        assert reply.status == 200, payload
        shown = reply.headers
    assert shown["x-router-rule"] == header_text(decision.rule.label)
    assert shown["x-router-provider"] == target.provider
    assert shown["x-router-model"] == target.model
    assert shown["x-router-route-reason"] == decision.reason
    assert shown["x-router-profile"] == "work"
    assert shown["x-router-attempts"] == "1"

    request_id = shown["x-router-request-id"]
    [row] = await world.router.rows("requests", f"id = '{request_id}'")
    [attempt] = await world.router.rows("attempts", f"request_id = '{request_id}'")
    assert row["state"] == "settled"
    assert row["outcome"] == "ok"
    assert row["rule"] == decision.rule.label
    assert row["rule_hash"] == decision.rule.hash
    assert row["reason"] == decision.reason
    assert row["file_hash"] == tenant.profile.file_hash
    assert (row["provider"], row["model"]) == (target.provider, target.model)
    assert (attempt["provider"], attempt["model"]) == (target.provider, target.model)

    other = "groq" if target.provider == "anthropic" else "anthropic"
    assert len(getattr(world, other).requests) == before[other], "no other provider is called"
    [seen] = getattr(world, target.provider).requests[before[target.provider] :]
    return row, seen
