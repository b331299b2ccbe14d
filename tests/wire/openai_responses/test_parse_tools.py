"""Tools are offered one by one, wherever the request has them; those that run at their provider are refused."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.conversation import Text, Tool, ToolCall, ToolResult
from router.wire.openai_responses.client_tools import CLIENT_TOOLS
from tests.wire.openai_responses.saying import parse, parsed

HI = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": False}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: X"}


def test_functions_and_freeform_tools_are_understood() -> None:
    custom = {"type": "custom", "name": "apply_patch", "description": "p", "format": GRAMMAR}
    bare = {"name": "g", "parameters": None, "type": "function"}
    assert parsed(HI, tools=[FUNCTION, custom, bare]).tools == (
        Tool("f", "d", SCHEMA, False),
        Tool("apply_patch", "p", custom=True, grammar=GRAMMAR),
        Tool("g"),
    )


def test_tools_of_a_group_are_offered_one_by_one() -> None:
    group = {
        "type": "namespace",
        "name": "agents",
        "description": "about",
        "tools": [FUNCTION, {**FUNCTION, "name": "h"}],
    }
    conversation, losses = parse({"input": [HI], "tools": [group, FUNCTION]})
    assert [(tool.namespace, tool.name) for tool in conversation.tools] == [
        ("agents", "f"),
        ("agents", "h"),
        (None, "f"),
    ]
    assert [(loss.field, loss.refused) for loss in losses.found] == [("tools[0].description", False)]


def test_tools_that_items_add_are_offered_behind_the_others_once() -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [{**FUNCTION, "name": "late"}, FUNCTION]}
    found = {
        "type": "tool_search_output",
        "execution": "client",
        "call_id": "c1",
        "tools": [{"type": "namespace", "name": "n", "description": "", "tools": [FUNCTION]}],
    }
    search = {"type": "tool_search", "execution": "client", "description": "Search.", "parameters": SCHEMA}
    call = {"type": "tool_search_call", "execution": "client", "call_id": "c1", "arguments": {"query": "x"}}
    conversation = parsed(HI, call, found, added, tools=[FUNCTION, search])
    assert [(tool.namespace, tool.name) for tool in conversation.tools] == [
        (None, "f"),
        (None, "tool_search"),
        ("n", "f"),
        (None, "late"),
    ]
    assert conversation.tools[1] == Tool("tool_search", "Search.", SCHEMA)
    assert [turn.parts for turn in conversation.turns[1:]] == [
        (ToolCall("c1", "tool_search", '{"query":"x"}'),),
        (ToolResult("c1", (Text("Found tools: f."),)),),
    ]


def test_a_search_that_the_provider_makes_is_not_needed() -> None:
    call = {"type": "tool_search_call", "execution": "server", "call_id": None, "arguments": {}}
    found = {"type": "tool_search_output", "execution": "server", "call_id": None, "tools": [FUNCTION]}
    called = {"type": "function_call", "call_id": "c", "name": "f", "namespace": "f", "arguments": "{}"}
    conversation, losses = parse({"input": [HI, call, found, called], "tools": [{"type": "tool_search"}]})
    assert [tool.name for tool in conversation.tools] == ["f"]
    assert [(loss.field, loss.refused) for loss in losses.found] == [
        ("tools[0]", False),
        ("input[1]", False),
        ("input[2]", False),
    ]
    assert conversation.turns[1].parts == (ToolCall("c", "f", "{}"),)


@pytest.mark.parametrize("kind", ["local_shell", "shell", "apply_patch"])
def test_a_client_tool_with_a_type_of_its_own_is_offered_as_a_function(kind: str) -> None:
    [tool] = parsed(HI, tools=[{"type": kind}]).tools
    assert (tool.name, tool.custom) == (kind, False)
    assert tool.description
    assert tool.schema == CLIENT_TOOLS[kind].schema


@pytest.mark.parametrize(
    "tool",
    [
        pytest.param({"type": "web_search", "external_web_access": True}, id="web search"),
        pytest.param({"type": "web_search_preview"}, id="web search as it was called"),
        pytest.param({"type": "file_search", "vector_store_ids": ["v"]}, id="file search"),
        pytest.param({"type": "code_interpreter", "container": {"type": "auto"}}, id="code interpreter"),
        pytest.param({"type": "image_generation"}, id="image generation"),
        pytest.param({"type": "mcp", "server_label": "x", "server_url": "https://x.example"}, id="a server's tools"),
        pytest.param({"type": "computer"}, id="a computer"),
        pytest.param({"type": "shell", "environment": {"type": "container_auto"}}, id="a shell at the provider"),
        pytest.param({"type": "programmatic_tool_calling"}, id="programs"),
        pytest.param({"type": "brand_new"}, id="something new"),
    ],
)
def test_tools_that_run_at_their_provider_are_refused(tool: dict[str, Any]) -> None:
    conversation, losses = parse({"input": [HI], "tools": [FUNCTION, tool]})
    assert [tool.name for tool in conversation.tools] == ["f"]
    assert [(loss.field, loss.refused) for loss in losses.found] == [("tools[1]", True)]


def test_who_offers_web_search_is_told_how_codex_leaves_it_out() -> None:
    _, losses = parse({"input": [HI], "tools": [{"type": "web_search"}]})
    assert '-c web_search="disabled"' in losses.refused[0].why


def test_tools_that_programs_may_call_are_refused() -> None:
    _, losses = parse({"input": [HI], "tools": [{**FUNCTION, "allowed_callers": ["direct", "programmatic"]}]})
    assert [loss.field for loss in losses.refused] == ["tools[0].allowed_callers"]
