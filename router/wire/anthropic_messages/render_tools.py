"""Tools and the choice among them for a Messages target."""

from __future__ import annotations

from typing import Any

from router.wire.anthropic_messages.caching import Marks
from router.wire.conversation import Conversation, Tool, ToolChoice
from router.wire.loss import Losses
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits


def offered(conversation: Conversation, traits: Traits, losses: Losses) -> tuple[Tool, ...]:
    """The tools to be offered. A choice among some of them is said by offering no others."""
    tools = conversation.tools
    if tools and traits.tools is False:
        losses.refuse("tools", "this model calls no tools")
        return ()
    choice = conversation.tool_choice
    if choice is None or choice.allowed is None:
        return tools
    return tuple(tool for tool in tools if tool.name in choice.allowed)


def tool(shown: Tool, traits: Traits, marks: Marks, losses: Losses) -> dict[str, Any]:
    """One tool, by its name at the target."""
    out: dict[str, Any] = {"name": shown.name}
    if shown.description:
        out["description"] = shown.description
    out["input_schema"] = _schema(shown.schema)
    if shown.strict:
        if traits.strict_schemas == "no":
            losses.drop("tools[].strict", "this provider doesn't hold arguments to their schema")
        else:
            out["strict"] = True
    marks.add(out, shown.cache)
    return out


def choice(
    conversation: Conversation,
    tools: tuple[Tool, ...],
    table: ToolTable,
    traits: Traits,
    losses: Losses,
    *,
    thinks: bool,
) -> dict[str, Any] | None:
    """``tool_choice``, which says also whether calls may be made in parallel; ``None`` where nothing is to be said."""
    asked = conversation.tool_choice
    forced = asked is not None and asked.mode in ("any", "named")
    if not tools:
        if forced:
            losses.refuse("tool_choice", "no tool is offered that could be called")
        return None
    out = None if asked is None else _mode(asked, tools, table, traits, losses, thinks=thinks)
    if conversation.settings.parallel_tools is False:
        if not traits.parallel_tools:
            losses.drop("parallel_tools", "this provider can't be told")
        elif out is None or out["type"] != "none":
            out = {**(out or {"type": "auto"}), "disable_parallel_tool_use": True}
    return out


def _mode(
    asked: ToolChoice, tools: tuple[Tool, ...], table: ToolTable, traits: Traits, losses: Losses, *, thinks: bool
) -> dict[str, Any]:
    auto = {"type": "auto"}
    if asked.mode not in traits.tool_choices:
        losses.refuse("tool_choice", f"this model doesn't take the choice '{asked.mode}'")
        return auto
    if asked.mode in ("any", "named") and thinks:
        losses.refuse("tool_choice", "a call can't be forced while the model thinks")
        return auto
    if asked.mode != "named":
        return {"type": asked.mode}
    if not any(tool.name == asked.name and tool.namespace == asked.namespace for tool in tools):
        losses.refuse("tool_choice", "the tool it names isn't offered")
        return auto
    return {"type": "tool", "name": table.name(asked.name or "", asked.namespace)}


def _schema(schema: dict[str, Any] | None) -> dict[str, Any]:
    """``type`` and ``properties`` are always there: some servers refuse a schema without them."""
    out = dict(schema or {})
    out["type"] = "object"
    out.setdefault("properties", {})
    return out
