"""Tools as Chat offers them, and which of them shall be called."""

from __future__ import annotations

from typing import Any

from router.wire.conversation import Cache, Conversation, Tool, ToolChoice
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
    if choice is not None and (word := _choice(choice, tools, traits, table, losses)) is not None:
        fields["tool_choice"] = word
    return fields | parallel_calls(conversation.settings, traits, losses)


def _shown(tools: tuple[Tool, ...], traits: Traits, table: ToolTable, losses: Losses) -> list[dict[str, Any]]:
    """Strictness makes optional fields required, so it is only said where the client asked for it."""
    strict = can_be_strict(tools, traits, losses, "tools.strict")
    shown = [_tool(table.tool(tool), strict) for tool in tools]
    for tool, entry in zip(tools, shown, strict=True):
        if tool.cache is not None and traits.cache_hints == "anthropic":
            entry["cache_control"] = anthropic_mark(tool.cache)
        elif tool.cache is not None:
            losses.drop("cache", "tools can't be marked here")
    return shown


def anthropic_mark(cache: Cache) -> dict[str, str]:
    """A cache mark in Anthropic's words, which OpenRouter and some others read."""
    return {"type": "ephemeral", "ttl": "1h"} if cache.ttl in ("1h", "12h") else {"type": "ephemeral"}


def _tool(tool: Tool, strict: bool) -> dict[str, Any]:
    described = (
        {"name": tool.name} if tool.description is None else {"name": tool.name, "description": tool.description}
    )
    if tool.custom:
        return {"type": "custom", "custom": described | _grammar(tool.grammar)}
    function: dict[str, Any] = described | {"parameters": parameters(tool.schema)}
    if strict and tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _grammar(grammar: dict[str, Any] | None) -> dict[str, Any]:
    if not grammar:
        return {}
    if grammar.get("type") != "grammar":
        return {"format": grammar}
    rules = {name: value for name, value in grammar.items() if name != "type"}
    return {"format": {"type": "grammar", "grammar": rules}}


def _choice(
    choice: ToolChoice, tools: tuple[Tool, ...], traits: Traits, table: ToolTable, losses: Losses
) -> str | dict[str, Any] | None:
    if not can_be_said(choice, traits, losses):
        return None
    if choice.mode == "named":
        named = named_tool(choice, tools, losses)
        return None if named is None else _named(named, table)
    word = traits.any_word if choice.mode == "any" else choice.mode
    if choice.allowed is None or not traits.official:
        return word
    allowed = [_named(tool, table) for tool in tools if tool.name in choice.allowed]
    return {"type": "allowed_tools", "allowed_tools": {"mode": word, "tools": allowed}}


def _named(tool: Tool, table: ToolTable) -> dict[str, Any]:
    shown = table.tool(tool)
    kind = "custom" if shown.custom else "function"
    return {"type": kind, kind: {"name": shown.name}}
