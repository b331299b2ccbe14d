"""Tools as this format offers them, and which of them shall be called."""

from __future__ import annotations

from typing import Any

from router.wire.conversation import Conversation, Tool, ToolChoice
from router.wire.loss import Losses
from router.wire.schemas import parameters
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits


def rendered_tools(conversation: Conversation, traits: Traits, table: ToolTable, losses: Losses) -> dict[str, Any]:
    """``tools``, ``tool_choice`` and ``parallel_tool_calls``; nothing of them without tools, which OpenAI refuses."""
    tools, choice = conversation.tools, conversation.tool_choice
    if tools and traits.tools is False:
        losses.refuse("tools", "this model calls no tools")
        return {}
    if choice is not None and choice.mode == "none" and "none" not in traits.tool_choices:
        return {}  # what isn't offered isn't called
    if choice is not None and choice.allowed is not None and not traits.official:
        tools = tuple(tool for tool in tools if tool.name in choice.allowed)
    if not tools:
        if choice is not None and choice.mode in ("any", "named"):
            losses.refuse("tool_choice", "no tool is offered that could be called")
        return {}
    fields: dict[str, Any] = {"tools": _shown(tools, traits, table, losses)}
    if choice is not None and (chosen := _choice(choice, tools, traits, table, losses)) is not None:
        fields["tool_choice"] = chosen
    parallel = conversation.settings.parallel_tools
    if parallel is not None and traits.parallel_tools:
        fields["parallel_tool_calls"] = parallel
    elif parallel is False:
        losses.drop("parallel_tools", "this provider can't be told to make one call at a time")
    return fields


def _shown(tools: tuple[Tool, ...], traits: Traits, table: ToolTable, losses: Losses) -> list[dict[str, Any]]:
    can_be_strict = traits.strict_schemas == "yes" or (
        traits.strict_schemas == "all-tools-equal" and all(tool.strict for tool in tools)
    )
    if not can_be_strict and any(tool.strict for tool in tools):
        losses.drop("tools[].strict", "this provider checks no schemas, or those of all tools only")
    return [_tool(table.tool(tool), can_be_strict) for tool in tools]


def _tool(tool: Tool, can_be_strict: bool) -> dict[str, Any]:
    """Where strictness isn't said, the API tries to make a schema strict, which makes optional fields required."""
    shown: dict[str, Any] = {"type": "custom" if tool.custom else "function", "name": tool.name}
    if tool.description is not None:
        shown["description"] = tool.description
    if tool.custom:
        return shown if tool.grammar is None else {**shown, "format": tool.grammar}
    return {**shown, "parameters": parameters(tool.schema), "strict": bool(tool.strict and can_be_strict)}


def _choice(
    choice: ToolChoice, tools: tuple[Tool, ...], traits: Traits, table: ToolTable, losses: Losses
) -> str | dict[str, Any] | None:
    if choice.mode not in traits.tool_choices:
        if choice.mode != "auto":
            losses.refuse("tool_choice", "this model can't be made to call a tool")
        return None
    if choice.mode == "named":
        named = next((tool for tool in tools if (tool.namespace, tool.name) == (choice.namespace, choice.name)), None)
        if named is None:
            losses.refuse("tool_choice", "the tool it names isn't offered")
        return None if named is None else _named(named, table)
    word = "required" if choice.mode == "any" else choice.mode
    if choice.allowed is None or not traits.official:
        return word
    allowed = [_named(tool, table) for tool in tools if tool.name in choice.allowed]
    return {"type": "allowed_tools", "mode": word, "tools": allowed}


def _named(tool: Tool, table: ToolTable) -> dict[str, Any]:
    shown = table.tool(tool)
    return {"type": "custom" if shown.custom else "function", "name": shown.name}
