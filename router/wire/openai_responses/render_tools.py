"""Tools as this format offers them, and which of them shall be called."""

from __future__ import annotations

from typing import Any

from router.wire.conversation import Conversation, Tool, ToolChoice
from router.wire.loss import Losses
from router.wire.openai_fields import can_be_said, can_be_strict, named_tool, offered, parallel_calls
from router.wire.schemas import parameters
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits


def rendered_tools(conversation: Conversation, traits: Traits, table: ToolTable, losses: Losses) -> dict[str, Any]:
    """``tools``, ``tool_choice`` and ``parallel_tool_calls``; nothing of them without tools, which OpenAI refuses."""
    tools, choice = offered(conversation, traits, losses), conversation.tool_choice
    if not tools:
        return {}
    fields: dict[str, Any] = {"tools": _shown(tools, traits, table, losses)}
    if choice is not None and (chosen := _choice(choice, tools, traits, table, losses)) is not None:
        fields["tool_choice"] = chosen
    return fields | parallel_calls(conversation.settings, traits, losses)


def _shown(tools: tuple[Tool, ...], traits: Traits, table: ToolTable, losses: Losses) -> list[dict[str, Any]]:
    strict = can_be_strict(tools, traits, losses, "tools[].strict")
    return [_tool(table.tool(tool), strict) for tool in tools]


def _tool(tool: Tool, strict: bool) -> dict[str, Any]:
    """Where strictness isn't said, the API tries to make a schema strict, which makes optional fields required."""
    shown: dict[str, Any] = {"type": "custom" if tool.custom else "function", "name": tool.name}
    if tool.description is not None:
        shown["description"] = tool.description
    if tool.custom:
        return shown if tool.grammar is None else {**shown, "format": tool.grammar}
    return {**shown, "parameters": parameters(tool.schema), "strict": bool(tool.strict and strict)}


def _choice(
    choice: ToolChoice, tools: tuple[Tool, ...], traits: Traits, table: ToolTable, losses: Losses
) -> str | dict[str, Any] | None:
    if not can_be_said(choice, traits, losses):
        return None
    if choice.mode == "named":
        named = named_tool(choice, tools, losses)
        return None if named is None else _named(named, table)
    word = "required" if choice.mode == "any" else choice.mode
    if choice.allowed is None or not traits.official:
        return word
    allowed = [_named(tool, table) for tool in tools if tool.name in choice.allowed]
    return {"type": "allowed_tools", "mode": word, "tools": allowed}


def _named(tool: Tool, table: ToolTable) -> dict[str, Any]:
    shown = table.tool(tool)
    return {"type": "custom" if shown.custom else "function", "name": shown.name}
