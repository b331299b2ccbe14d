"""Captured requests of real agents, each to a strict provider of every format, and the replies they get.

The providers call the first tools they are offered where the request isn't the answer to such calls, with thinking
before, so that replies have everything in them. A few requests ask for something that only their own maker has; they
are refused by name, and go without it where the profile allows losses.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.asking import BY_NAME
from tests.support.strict.grammar import ENDS, check_grammar
from tests.support.strict.scenario import ARGUMENTS, RAW
from tests.support.strict.world import MAIN, TARGETS, World, strict_world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(11)]

PAYLOADS = Path(__file__).parents[1] / "data" / "payloads"
_PATHS = {
    "/messages": "anthropic-messages",
    "/chat/completions": "openai-chat",
    "/responses": "openai-responses",
    ":generateContent": "gemini",
    ":streamGenerateContent": "gemini",
}


@dataclass(frozen=True)
class Captured:
    """One request as an agent sent it."""

    name: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: dict[str, Any]

    @property
    def api(self) -> str:
        return next(api for end, api in _PATHS.items() if self.path.endswith(end))

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream")) or "stream" in self.path


def captured() -> list[Captured]:
    """All that ask a model for an answer."""
    found = []
    for path in sorted(PAYLOADS.glob("*.json")):
        raw = json.loads(path.read_text("utf-8"))
        if raw["method"] == "POST" and raw["path"].endswith(tuple(_PATHS)):
            headers = [(name, value) for name, value in raw["headers"] if name.lower() not in _OWN_HEADERS]
            found.append(Captured(path.stem, raw["path"], raw.get("query") or "", headers, raw["body"]))
    return found


_OWN_HEADERS = ("host", "content-length", "connection", "accept-encoding", "transfer-encoding", "content-encoding")
ALL = captured()
OTHERS = [
    pytest.param(request, target.name, id=f"{request.name} to {target.name}")
    for request in ALL
    for target in TARGETS.values()
    if request.api != target.api
]
CONTINUED = "sdk-py-responses-previous-id"  # continues a response that nobody here gave


def asks_to_search(request: Captured) -> bool:
    """Whether a tool is offered that runs at its maker, as Codex does every time."""
    return any(str(tool.get("type", "")).startswith("web_search") for tool in request.body.get("tools") or ())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    profiles = {
        f"lossy-{name}": f'{target.profile(f"{{{name}}}")}\n[routing]\non-loss = "allow"\n'
        for name, target in TARGETS.items()
    }
    async with strict_world(tmp_path_factory.mktemp("agents") / "home", profiles=profiles) as world:
        for provider in world.providers.values():
            provider.default = frozenset({"think", "tools", "freeform"})
        yield world


@pytest.fixture
def world(shared: World) -> World:
    shared.fresh()
    return shared


async def send(world: World, request: Captured, profile: str) -> tuple[int, bytes, dict[str, str]]:
    """The agent's request, as it sent it."""
    query = f"?{request.query}" if request.query else ""
    async with world.router.post(
        f"/{profile}{request.path}{query}", data=json.dumps(request.body).encode(), headers=request.headers
    ) as reply:
        return reply.status, await reply.read(), dict(reply.headers)


@pytest.mark.parametrize(("request_", "target"), OTHERS)
async def test_an_agents_request_is_taken_and_answered(request_: Captured, target: str, world: World) -> None:
    provider = world.providers[target]
    status, payload, _ = await send(world, request_, target)
    if request_.name == CONTINUED:
        assert status == 404
        assert "no response of this id" in BY_NAME[request_.api].error_of(payload)
        return
    if asks_to_search(request_):
        assert status == 400
        assert "web_search" in BY_NAME[request_.api].error_of(payload)
        assert provider.exchanges == []
        status, payload, headers = await send(world, request_, f"lossy-{target}")
        assert "tools[" in headers["x-router-dropped"]
    assert provider.violations == []
    assert status == 200, payload
    assert len(provider.exchanges) == 1, "one call, nothing tried twice"
    check_reply(request_, payload, offered=bool(provider.last.heard.tools and not provider.last.heard.rounds))
    row = await world.row()
    truth = provider.last.truth
    assert (row["outcome"], row["attempts"]) == ("ok", 1)
    assert (row["input"], row["cache_read"], row["output"]) == (truth.input, truth.cache_read, truth.output)


def check_reply(request: Captured, payload: bytes, *, offered: bool) -> None:
    """The reply is whole in the agent's format, and calls the agent's own tools if it was offered any."""
    if request.stream:
        assert ENDS[request.api] in payload
        check_grammar(request.api, payload)
    calls = calls_in(request.api, payload, streamed=request.stream)
    assert len(calls) == (2 if offered else 0)
    names = tools_of(request.body)
    for name, arguments, custom in calls:
        assert name in names, f"{name} is none of the agent's tools"
        if custom:
            assert arguments == RAW
        else:
            assert json.loads(arguments) in (*ARGUMENTS, {"input": RAW})


def calls_in(api: str, payload: bytes, *, streamed: bool) -> list[tuple[str, str, bool]]:
    """Name, arguments and kind of each call of a reply."""
    lines = payload.decode().splitlines()
    events = (
        [json.loads(payload)]
        if not streamed
        else [json.loads(line[5:]) for line in lines if line.startswith("data:") and "[DONE]" not in line]
    )
    return {
        "anthropic-messages": _messages_calls,
        "openai-chat": _chat_calls,
        "openai-responses": _responses_calls,
        "gemini": _gemini_calls,
    }[api](events)


def _messages_calls(events: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    if "content" in events[0]:
        blocks = [block for block in events[0]["content"] if block["type"] == "tool_use"]
        return [(block["name"], json.dumps(block["input"]), False) for block in blocks]
    calls: list[list[str]] = []
    for event in events:
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            calls.append([event["content_block"]["name"], ""])
        elif event["type"] == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
            calls[-1][1] += event["delta"]["partial_json"]
    return [(name, arguments, False) for name, arguments in calls]


def _chat_calls(events: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    calls: dict[int, list[str]] = {}
    for event in events:
        for choice in event["choices"]:
            message = choice.get("message") or choice.get("delta")
            for at, call in enumerate(message.get("tool_calls") or ()):
                held = calls.setdefault(call.get("index", at), ["", ""])
                held[0] += call.get("function", {}).get("name") or ""
                held[1] += call.get("function", {}).get("arguments") or ""
    return [(name, arguments, False) for name, arguments in calls.values()]


def _responses_calls(events: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    response = events[-1].get("response") or events[-1]
    return [
        ("/".join(filter(None, (item.get("namespace"), item["name"]))), item.get("arguments") or item.get("input"),
         item["type"] == "custom_tool_call")
        for item in response["output"]
        if item["type"] in ("function_call", "custom_tool_call")
    ]  # fmt: skip


def _gemini_calls(events: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    return [(call["name"], json.dumps(call["args"]), False) for call in calls]


def tools_of(body: dict[str, Any]) -> set[str]:
    """The names of the tools that a request offers, with those of their namespaces."""
    names = set()
    for tool in [*(body.get("tools") or ()), *_added(body)]:
        inner = tool.get("functionDeclarations") or tool.get("function_declarations")
        for declared in inner or [tool.get("function") or tool.get("custom") or tool]:
            names.add(declared.get("name"))
        if tool.get("type") == "namespace":
            names |= {f"{tool['name']}/{each['name']}" for each in tool["tools"]}
    return names


def _added(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Tools that a Responses request brings among its items."""
    items = body.get("input")
    return [
        tool
        for item in (items if isinstance(items, list) else ())
        if item.get("type") == "additional_tools"
        for tool in item["tools"]
    ]


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        pytest.param(request, target.name, id=f"{request.name} to {target.name}")
        for request in ALL
        for target in TARGETS.values()
        if request.api != target.api
        and request.name in ("claude-code-main-turn2", "codex-turn2", "opencode-chat-turn2")
    ],
)
async def test_the_same_request_is_the_same_bytes(request_: Captured, target: str, world: World) -> None:
    """Prompt caches are found by bytes, so a translated request depends on nothing but the request."""
    provider = world.providers[target]
    profile = f"lossy-{target}"
    bodies = set()
    for _ in range(2):
        status, payload, _ = await send(world, request_, profile)
        assert status == 200, payload
        bodies.add(provider.last.request.body)
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        pytest.param(request, target.name, id=f"{request.name} to {target.name}")
        for request in ALL
        for target in TARGETS.values()
        if request.api != target.api and request.name in ("claude-code-long-20turns", "codex-long-20turns")
        and target.name in MAIN
    ],
)  # fmt: skip
async def test_a_grown_conversation_begins_with_the_same_bytes(request_: Captured, target: str, world: World) -> None:
    """Cut off behind any of its turns, a conversation is translated to a beginning of what the whole one becomes."""
    provider = world.providers[target]
    field = "messages" if request_.api == "anthropic-messages" else "input"
    turns = request_.body[field]
    ends = [at for at, turn in enumerate(turns, 1) if at == len(turns) or _starts_turn(turns[at])][-4:]
    grown: list[list[Any]] = []
    for end in ends:
        shorter = Captured(
            request_.name, request_.path, request_.query, request_.headers, {**request_.body, field: turns[:end]}
        )
        status, payload, _ = await send(world, shorter, f"lossy-{target}")
        assert status == 200, payload
        body = provider.last.body
        grown.append([_uncached(each) for each in body.get("messages") or body.get("input") or body["contents"]])
    for shorter_, longer in itertools.pairwise(grown):
        assert longer[: len(shorter_)] == shorter_


def _starts_turn(item: dict[str, Any]) -> bool:
    """Whether what stands before it could be a whole request: this is the assistant's."""
    return item.get("role") == "assistant" or item.get("type") == "reasoning"


def _uncached(value: Any) -> Any:
    """Without cache marks, which move on with the conversation."""
    if isinstance(value, dict):
        return {name: _uncached(each) for name, each in value.items() if name != "cache_control"}
    return [_uncached(each) for each in value] if isinstance(value, list) else value
