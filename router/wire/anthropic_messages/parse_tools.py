"""The tools of a client's Messages request, and which of them the model may or must call."""

from __future__ import annotations

from typing import Any, Final

from router.wire.anthropic_messages.client_tools import written
from router.wire.anthropic_messages.parse_blocks import cache_of, shown
from router.wire.body import Body
from router.wire.checked import a_list, a_text, an_object, perhaps_flag, perhaps_text, wrong
from router.wire.conversation import Tool, ToolChoice
from router.wire.loss import Losses

_HINTS: Final = {
    "defer_loading": "all tools are offered from the start",
    "eager_input_streaming": "arguments stream as the provider sends them",
    "input_examples": "examples of arguments can't be said elsewhere",
}


def tools_of(body: Body, losses: Losses) -> tuple[Tool, ...]:
    """The tools that run at the client. Those that run at the provider are refused."""
    found = (_tool(tool, f"tools[{at}]", losses) for at, tool in enumerate(a_list(body.get("tools"), "tools")))
    return tuple(tool for tool in found if tool is not None)


def choice_of(body: Body, tools: tuple[Tool, ...], losses: Losses) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may be made in parallel (``None``: not said)."""
    choice = an_object(body.get("tool_choice"), "tool_choice")
    if not choice:
        return None, None
    kind = a_text(choice.get("type"), "tool_choice.type")
    single = perhaps_flag(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    parallel = None if single is None else not single
    if kind == "tool":
        name = a_text(choice.get("name"), "tool_choice.name")
        if any(tool.name == name for tool in tools):
            return ToolChoice("named", name), parallel
        losses.refuse("tool_choice.name", "this tool isn't offered, or it isn't one that can be carried over")
        return None, parallel
    if kind == "auto":
        return ToolChoice("auto"), parallel
    if kind == "any":
        return ToolChoice("any"), parallel
    if kind == "none":
        return ToolChoice("none"), parallel
    raise wrong("tool_choice.type", "'auto', 'any', 'tool' or 'none'")


def _tool(value: Any, where: str, losses: Losses) -> Tool | None:
    if not isinstance(value, dict):
        raise wrong(where, "an object")
    kind = perhaps_text(value.get("type"), f"{where}.type") or "custom"
    function = None if kind == "custom" else written(kind, value)
    if kind != "custom" and function is None:
        losses.refuse(where, f"a tool of type {shown(kind)} runs at Anthropic or needs a model that was trained on it")
        return None
    callers = a_list(value.get("allowed_callers"), f"{where}.allowed_callers")
    if any(caller != "direct" for caller in callers):
        losses.refuse(f"{where}.allowed_callers", "only the model itself can call a tool elsewhere")
    for name, why in _HINTS.items():
        if value.get(name):
            losses.drop(f"tools[].{name}", why)
    if function is None:
        description = perhaps_text(value.get("description"), f"{where}.description") or None
        given = value.get("input_schema")
        schema = None if given is None else an_object(given, f"{where}.input_schema")
    else:
        description, schema = function
    return Tool(
        name=a_text(value.get("name"), f"{where}.name"),
        description=description,
        schema=schema,
        strict=perhaps_flag(value.get("strict"), f"{where}.strict"),
        cache=cache_of(value.get("cache_control"), f"{where}.cache_control"),
    )
