from __future__ import annotations

from typing import Any

import pytest

from router.errors import BadRequest
from router.wire.conversation import Cache, Tool, ToolChoice
from tests.wire.openai_chat.saying import parsed

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"type": "function", "function": {"name": "f", "description": "Does.", "parameters": SCHEMA}}
TWO = [FUNCTION, {"type": "function", "function": {"name": "g"}}]


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        pytest.param(FUNCTION, Tool("f", "Does.", SCHEMA), id="a function"),
        pytest.param({"function": {"name": "f"}}, Tool("f"), id="without a type and parameters"),
        pytest.param(
            {"type": "function", "function": {"name": "f", "strict": True}}, Tool("f", strict=True), id="a strict one"
        ),
        pytest.param(
            {**FUNCTION, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Tool("f", "Does.", SCHEMA, cache=Cache("1h")),
            id="with a cache mark",
        ),
        pytest.param(
            {"type": "function", "name": "f", "parameters": SCHEMA}, Tool("f", schema=SCHEMA), id="in the flat form"
        ),
        pytest.param(
            {"type": "custom", "custom": {"name": "p", "description": "Patches."}},
            Tool("p", "Patches.", custom=True),
            id="freeform",
        ),
        pytest.param(
            {
                "type": "custom",
                "custom": {
                    "name": "p",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}},
                },
            },
            Tool("p", custom=True, grammar={"type": "grammar", "syntax": "lark", "definition": "start: A"}),
            id="freeform with a grammar, as Responses writes it",
        ),
        pytest.param(
            {"type": "custom", "custom": {"name": "p", "format": {"type": "text"}}},
            Tool("p", custom=True),
            id="freeform with plain text",
        ),
    ],
)
def test_a_tool_is_read(tool: dict[str, Any], expected: Tool) -> None:
    asked, losses = parsed({"tools": [tool]})
    assert (asked.tools, losses.found) == ((expected,), [])


def test_functions_of_the_old_kind_are_tools() -> None:
    asked, _ = parsed({"functions": [{"name": "f", "parameters": SCHEMA}], "function_call": {"name": "f"}})
    assert asked.tools == (Tool("f", schema=SCHEMA),)
    assert asked.tool_choice == ToolChoice("named", "f")


def test_tools_of_the_provider_are_refused() -> None:
    asked, losses = parsed({"tools": [FUNCTION, {"type": "web_search"}]})
    assert [tool.name for tool in asked.tools] == ["f"]
    assert [loss.field for loss in losses.refused] == ["tools[1]"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param("auto", ToolChoice("auto"), id="auto"),
        pytest.param("none", ToolChoice("none"), id="none"),
        pytest.param("required", ToolChoice("any"), id="required"),
        pytest.param("any", ToolChoice("any"), id="Mistral's any"),
        pytest.param(None, None, id="nothing"),
        pytest.param({"type": "function", "function": {"name": "g"}}, ToolChoice("named", "g"), id="a function"),
        pytest.param({"type": "function", "name": "g"}, ToolChoice("named", "g"), id="a function in the flat form"),
        pytest.param(
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "g"}}]},
            },
            ToolChoice("auto", allowed=("g",)),
            id="some of them",
        ),
        pytest.param(
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]},
            },
            ToolChoice("any", allowed=("g",)),
            id="one of some of them",
        ),
    ],
)
def test_the_choice_is_read(choice: Any, expected: ToolChoice | None) -> None:
    asked, losses = parsed({"tools": TWO, "tool_choice": choice})
    assert (asked.tool_choice, losses.found) == (expected, [])


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        pytest.param({"type": "function", "function": {"name": "h"}}, "tool_choice", id="a tool that isn't offered"),
        pytest.param({"type": "web_search"}, "tool_choice", id="a tool of the provider"),
        pytest.param(
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "web_search"}]}},
            "tool_choice.allowed_tools",
            id="only tools of the provider",
        ),
    ],
)
def test_a_choice_that_cant_be_made_is_refused(choice: Any, field: str) -> None:
    _, losses = parsed({"tools": TWO, "tool_choice": choice})
    assert [loss.field for loss in losses.refused] == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"tools": {}}, "tools", id="tools"),
        pytest.param({"tools": ["f"]}, "tools[0]", id="a tool that is text"),
        pytest.param({"tools": [{"type": 5}]}, "tools[0].type", id="a type that is a number"),
        pytest.param({"tools": [{"type": "function"}]}, "tools[0].function.name", id="a function without a name"),
        pytest.param(
            {"tools": [{"type": "custom", "custom": {"name": ""}}]}, "tools[0].custom.name", id="an empty name"
        ),
        pytest.param(
            {"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters", id="parameters"
        ),
        pytest.param({"functions": [None, 5]}, "functions[0].name", id="functions"),
        pytest.param({"tools": TWO, "tool_choice": "maybe"}, "tool_choice", id="an unknown word"),
        pytest.param({"tools": TWO, "tool_choice": 5}, "tool_choice", id="a number"),
        pytest.param(
            {"tools": TWO, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": 5}}},
            "tool_choice.allowed_tools.tools",
            id="allowed tools that are no list",
        ),
    ],
)
def test_a_wrong_type_is_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parsed(body)
    assert f"'{field}'" in str(caught.value)
