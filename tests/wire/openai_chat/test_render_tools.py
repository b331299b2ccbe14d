from __future__ import annotations

from typing import Any

import pytest

from router.wire.conversation import Cache, Text, Tool, ToolChoice
from router.wire.loss import Losses
from tests.wire.openai_chat.saying import TOOL, conversation, rendered

GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: A"}
PATCH = Tool("patch", "Patches.", custom=True, grammar=GRAMMAR)
STRICT = Tool("s", schema={"type": "object", "properties": {}}, strict=True)


def fields(
    *tools: Tool,
    losses: Losses | None = None,
    choice: ToolChoice | None = None,
    parallel: bool | None = None,
    **flags: Any,
) -> dict[str, Any]:
    """The body without its messages."""
    asked = conversation(Text("Hi"), tools=tools, tool_choice=choice, parallel_tools=parallel)
    body = rendered(asked, losses=losses, **flags)
    return {name: value for name, value in body.items() if name not in ("model", "messages")}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param(None, {"type": "object", "properties": {}}, id="none given"),
        pytest.param({}, {"type": "object", "properties": {}}, id="an empty one"),
        pytest.param({"type": "object"}, {"type": "object", "properties": {}}, id="without properties"),
        pytest.param(
            {"$schema": "x", "type": "object", "properties": {"a": {}}, "required": ["a"], "$defs": {}},
            {"type": "object", "properties": {"a": {}}, "required": ["a"], "$defs": {}},
            id="without its dialect, all else kept",
        ),
    ],
)
def test_a_schema_is_always_an_objects(schema: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    [tool] = fields(Tool("f", schema=schema))["tools"]
    assert tool == {"type": "function", "function": {"name": "f", "parameters": expected}}


@pytest.mark.parametrize(
    ("tools", "rule", "strict"),
    [
        pytest.param((TOOL, STRICT), "yes", [None, True], id="where it was asked for"),
        pytest.param((TOOL, STRICT), "no", [None, None], id="nowhere"),
        pytest.param((TOOL, STRICT), "all-tools-equal", [None, None], id="not for some of them"),
        pytest.param((STRICT,), "all-tools-equal", [True], id="for all of them"),
        pytest.param((TOOL,), "yes", [None], id="unasked nowhere"),
    ],
)
def test_strictness(tools: tuple[Tool, ...], rule: str, strict: list[bool | None]) -> None:
    losses = Losses()
    shown = fields(*tools, losses=losses, strict_schemas=rule)["tools"]
    assert [tool["function"].get("strict") for tool in shown] == strict
    lost = any(tool.strict for tool in tools) and not any(strict)
    assert [loss.field for loss in losses.found] == (["tools.strict"] if lost else [])


def test_a_freeform_tool_is_a_function_where_nothing_else_is_known() -> None:
    [tool] = fields(PATCH)["tools"]
    assert tool["function"]["parameters"]["properties"].keys() == {"input"}
    assert "start: A" in tool["function"]["description"]
    assert fields(PATCH, custom_tools=True)["tools"] == [
        {
            "type": "custom",
            "custom": {
                "name": "patch",
                "description": "Patches.",
                "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}},
            },
        }
    ]


def test_marks_on_tools_are_for_those_who_read_anthropics() -> None:
    marked = Tool("f", cache=Cache("1h"))
    [tool] = fields(marked, cache_hints="anthropic")["tools"]
    assert tool["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    losses = Losses()
    assert "cache_control" not in fields(marked, losses=losses, cache_hints="openai")["tools"][0]
    assert [loss.field for loss in losses.found] == ["cache"]


@pytest.mark.parametrize(
    ("choice", "flags", "expected"),
    [
        pytest.param(ToolChoice("auto"), {}, "auto", id="auto"),
        pytest.param(ToolChoice("none"), {}, "none", id="none"),
        pytest.param(ToolChoice("any"), {}, "required", id="any"),
        pytest.param(ToolChoice("any"), {"any_word": "any"}, "any", id="any in Mistral's word"),
        pytest.param(
            ToolChoice("named", "get_weather"),
            {},
            {"type": "function", "function": {"name": "get_weather"}},
            id="a function",
        ),
        pytest.param(
            ToolChoice("named", "patch"),
            {"custom_tools": True},
            {"type": "custom", "custom": {"name": "patch"}},
            id="freeform",
        ),
        pytest.param(
            ToolChoice("named", "patch"),
            {},
            {"type": "function", "function": {"name": "patch"}},
            id="freeform as a function",
        ),
        pytest.param(
            ToolChoice("auto"), {"tool_choices": frozenset({"none"})}, None, id="auto that goes without saying"
        ),
        pytest.param(
            ToolChoice("any", allowed=("patch",)),
            {"official": True},
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "patch"}}],
                },
            },
            id="some of them at OpenAI",
        ),
    ],
)
def test_a_choice_is_said_in_the_targets_words(choice: ToolChoice, flags: dict[str, Any], expected: Any) -> None:
    assert fields(TOOL, PATCH, choice=choice, **flags).get("tool_choice") == expected


def test_only_allowed_tools_are_offered_where_that_cant_be_said() -> None:
    body = fields(TOOL, PATCH, choice=ToolChoice("any", allowed=("patch",)))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["patch"]
    assert body["tool_choice"] == "required"


@pytest.mark.parametrize("choice", [ToolChoice("any"), ToolChoice("named", "get_weather")], ids=["any", "named"])
def test_a_forced_choice_is_refused_where_it_cant_be(choice: ToolChoice) -> None:
    losses = Losses()
    body = fields(TOOL, losses=losses, choice=choice, tool_choices=frozenset({"auto", "none"}))
    assert body.keys() == {"tools"}
    assert [loss.field for loss in losses.refused] == ["tool_choice"]


@pytest.mark.parametrize(
    ("choice", "tools", "why"),
    [
        pytest.param(ToolChoice("any"), (), "no tool is offered that could be called", id="some tool of none"),
        pytest.param(ToolChoice("named", "f"), (), "no tool is offered that could be called", id="one of none"),
        pytest.param(
            ToolChoice("any", allowed=("f",)),
            (TOOL,),
            "no tool is offered that could be called",
            id="some of those that aren't offered",
        ),
        pytest.param(ToolChoice("named", "f"), (TOOL,), "the tool it names isn't offered", id="another than offered"),
        pytest.param(
            ToolChoice("named", TOOL.name, "group"), (TOOL,), "the tool it names isn't offered", id="another group's"
        ),
    ],
)
def test_a_call_that_cannot_be_made_is_not_demanded(choice: ToolChoice, tools: tuple[Tool, ...], why: str) -> None:
    losses = Losses()
    assert "tool_choice" not in fields(*tools, losses=losses, choice=choice)
    assert [(loss.field, loss.why) for loss in losses.refused] == [("tool_choice", why)]


def test_tools_that_mustnt_be_called_arent_offered_where_that_cant_be_said() -> None:
    assert fields(TOOL, choice=ToolChoice("none"), tool_choices=frozenset({"auto"})) == {}


def test_without_tools_nothing_is_said_of_them() -> None:
    assert fields(choice=ToolChoice("auto"), parallel=False) == {}


def test_a_model_without_tools_is_refused_them() -> None:
    losses = Losses()
    assert fields(TOOL, losses=losses, tools=False) == {}
    assert [loss.field for loss in losses.refused] == ["tools"]


@pytest.mark.parametrize(
    ("asked", "known", "expected", "lost"),
    [
        pytest.param(False, True, False, [], id="one at a time"),
        pytest.param(True, True, True, [], id="several at a time"),
        pytest.param(None, True, None, [], id="nothing said"),
        pytest.param(False, False, None, ["parallel_tools"], id="one at a time where that isn't understood"),
        pytest.param(True, False, None, [], id="several where that isn't understood"),
    ],
)
def test_calls_at_a_time(asked: bool | None, known: bool, expected: bool | None, lost: list[str]) -> None:
    losses = Losses()
    body = fields(TOOL, losses=losses, parallel=asked, parallel_tools=known)
    assert body.get("parallel_tool_calls") == expected
    assert [loss.field for loss in losses.found] == lost
