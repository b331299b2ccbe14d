"""Tools that run at the client are carried over, others refused; typed ones are written out as functions."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.conversation import Cache, Tool, ToolChoice
from tests.support.messages import fields_of, parse, request

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
HELLO = {"type": "text", "text": "hello"}


@pytest.mark.parametrize(
    ("tool", "parsed"),
    [
        pytest.param({"name": "f", "input_schema": SCHEMA}, Tool("f", schema=SCHEMA), id="plain"),
        pytest.param(
            {"type": "custom", "name": "f", "description": "does", "input_schema": SCHEMA, "strict": True},
            Tool("f", "does", SCHEMA, strict=True),
            id="custom and strict",
        ),
        pytest.param({"type": None, "name": "f", "input_schema": {}}, Tool("f", schema={}), id="empty schema"),
        pytest.param({"name": "f"}, Tool("f"), id="no schema"),
        pytest.param(
            {"name": "f", "cache_control": {"type": "ephemeral", "ttl": "1h"}, "allowed_callers": ["direct"]},
            Tool("f", cache=Cache("1h")),
            id="with a mark",
        ),
    ],
)
def test_tools_of_the_client(tool: dict[str, Any], parsed: Tool) -> None:
    asked, losses = parse(request(HELLO, tools=[tool]))
    assert asked.tools == (parsed,)
    assert losses.found == []


@pytest.mark.parametrize(
    ("kind", "arguments", "commands"),
    [
        pytest.param("bash_20250124", {"command", "restart"}, None, id="bash"),
        pytest.param("bash_20241022", {"command", "restart"}, None, id="bash, older"),
        pytest.param(
            "text_editor_20250728",
            {"command", "path", "view_range", "file_text", "old_str", "new_str", "insert_line", "insert_text"},
            ["view", "create", "str_replace", "insert"],
            id="text editor",
        ),
        pytest.param(
            "text_editor_20250124",
            {"command", "path", "view_range", "file_text", "old_str", "new_str", "insert_line"},
            ["view", "create", "str_replace", "insert", "undo_edit"],
            id="text editor, older",
        ),
        pytest.param(
            "memory_20250818",
            {
                *("command", "path", "view_range", "file_text", "old_str", "new_str", "insert_line", "insert_text"),
                *("old_path", "new_path"),
            },
            ["view", "create", "str_replace", "insert", "delete", "rename"],
            id="memory",
        ),
    ],
)
def test_typed_client_tools_become_functions(kind: str, arguments: set[str], commands: list[str] | None) -> None:
    asked, losses = parse(request(HELLO, tools=[{"type": kind, "name": "the_tool"}]))
    (tool,) = asked.tools
    assert losses.found == []
    assert tool.name == "the_tool"
    assert tool.description
    assert tool.schema is not None
    assert tool.schema["type"] == "object"
    assert tool.schema["properties"].keys() == arguments
    assert set(tool.schema.get("required", ())) <= arguments
    assert tool.schema["properties"]["command"].get("enum") == commands


def test_the_text_editors_limit_is_a_part_of_its_description() -> None:
    tool = {"type": "text_editor_20250728", "name": "e", "max_characters": 900}
    asked, _ = parse(request(HELLO, tools=[tool]))
    assert "900" in (asked.tools[0].description or "")


@pytest.mark.parametrize(
    "kind",
    [
        "web_search_20250305",
        "web_fetch_20260318",
        "code_execution_20260120",
        "tool_search_tool_bm25_20251119",
        "mcp_toolset",
        "advisor_20260301",
        "computer_20251124",
        "computer_toolset_20260801",
        "browser_toolset_20260801",
        "from_the_future",
    ],
)
def test_other_typed_tools_are_refused(kind: str) -> None:
    asked, losses = parse(request(HELLO, tools=[{"name": "f"}, {"type": kind, "name": "x"}]))
    assert asked.tools == (Tool("f"),)
    assert fields_of(losses, refused=True) == ["tools[1]"]


@pytest.mark.parametrize("callers", [["code_execution_20260120"], ["direct", "code_execution_20260120"]])
def test_other_callers_than_the_model_are_refused(callers: list[str]) -> None:
    _, losses = parse(request(HELLO, tools=[{"name": "f", "allowed_callers": callers}]))
    assert fields_of(losses, refused=True) == ["tools[0].allowed_callers"]


@pytest.mark.parametrize("name", ["defer_loading", "eager_input_streaming", "input_examples"])
def test_hints_of_tools_are_dropped(name: str) -> None:
    _, losses = parse(request(HELLO, tools=[{"name": "f", name: [{}] if name == "input_examples" else True}]))
    assert fields_of(losses, refused=False) == [f"tools[].{name}"]


@pytest.mark.parametrize(
    ("choice", "parsed"),
    [
        pytest.param(None, None, id="null"),
        pytest.param({"type": "auto"}, ToolChoice("auto"), id="auto"),
        pytest.param({"type": "any"}, ToolChoice("any"), id="any"),
        pytest.param({"type": "none"}, ToolChoice("none"), id="none"),
        pytest.param({"type": "tool", "name": "f"}, ToolChoice("named", "f"), id="one tool"),
    ],
)
def test_choices(choice: Any, parsed: ToolChoice | None) -> None:
    asked, losses = parse(request(HELLO, tools=[{"name": "f"}], tool_choice=choice))
    assert asked.tool_choice == parsed
    assert losses.found == []


def test_a_choice_that_names_an_unknown_tool_is_refused() -> None:
    asked, losses = parse(request(HELLO, tools=[{"name": "f"}], tool_choice={"type": "tool", "name": "g"}))
    assert asked.tool_choice is None
    assert fields_of(losses, refused=True) == ["tool_choice.name"]
