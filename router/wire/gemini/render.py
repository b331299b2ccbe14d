"""A neutral conversation as the body of a generateContent request. Its turns are written in ``render_turns``, its
settings in ``render_settings``; the model and whether to stream stand in the URL."""

from __future__ import annotations

from typing import Any

import msgspec

from router.wire.codec import Rendered
from router.wire.conversation import Conversation, Tool, ToolChoice
from router.wire.gemini.render_settings import generation_config, service_tier
from router.wire.gemini.render_turns import TurnWriter, user
from router.wire.gemini.schema import parameters
from router.wire.history import settled
from router.wire.loss import Losses
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits


def rendered(conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
    """The request for a target. The same conversation gives the same bytes."""
    traits = msgspec.structs.replace(traits, mid_system=False)  # contents know no such speaker
    table = ToolTable(conversation, limit=traits.tool_name_limit, lettered=True)
    contents = TurnWriter(table, traits, losses).contents(settled(conversation, traits, losses))
    system = [{"text": text.text} for text in conversation.system if text.text.strip()]
    if not contents:  # which can't be
        contents, system = [user(*system)] if system else [user({"text": " "})], []
    declarations = _declarations(conversation, table, traits, losses)
    fields: dict[str, Any] = {
        "systemInstruction": {"parts": system} if system else None,
        "contents": contents,
        "tools": [{"functionDeclarations": declarations}] if declarations else None,
        "toolConfig": _tool_config(conversation, table, traits, losses) if declarations else None,
        "generationConfig": generation_config(conversation.settings, traits, losses),
        "serviceTier": service_tier(conversation.settings, traits, losses),
    }
    _report(conversation, bool(declarations), losses)
    fields = {name: value for name, value in fields.items() if value}
    for name in sorted(traits.refused_fields & fields.keys()):
        del fields[name]
        losses.drop(name, "this provider refuses the field")
    return Rendered(msgspec.json.encode(fields), table)


def _declarations(conversation: Conversation, table: ToolTable, traits: Traits, losses: Losses) -> list[dict[str, Any]]:
    if conversation.tools and traits.tools is False:
        losses.refuse("tools", "this model calls no tools")
        return []
    if any(tool.strict for tool in conversation.tools):
        losses.drop("tools[].strict", "arguments aren't held to their schema here")
    return [_declaration(table.tool(tool)) for tool in conversation.tools]


def _declaration(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parametersJsonSchema": parameters(tool.schema)}


def _tool_config(conversation: Conversation, table: ToolTable, traits: Traits, losses: Losses) -> dict[str, Any] | None:
    choice = conversation.tool_choice
    if choice is None:
        return None
    if choice.mode not in traits.tool_choices:
        losses.refuse("tool_choice", f"this model doesn't take the choice '{choice.mode}'")
        return None
    calling = _calling(choice, conversation.tools, table, losses)
    return {"functionCallingConfig": calling} if calling else None


def _calling(choice: ToolChoice, tools: tuple[Tool, ...], table: ToolTable, losses: Losses) -> dict[str, Any] | None:
    """``functionCallingConfig``. Names may only be given where calls are forced or checked."""
    allowed = [table.name(tool.name, tool.namespace) for tool in tools if tool.name in (choice.allowed or ())]
    match choice.mode:
        case "none":
            return {"mode": "NONE"}
        case "named":
            if not any(tool.name == choice.name and tool.namespace == choice.namespace for tool in tools):
                losses.refuse("tool_choice", "the tool it names isn't offered")
                return None
            return {"mode": "ANY", "allowedFunctionNames": [table.name(choice.name or "", choice.namespace)]}
        case "any":
            return {"mode": "ANY", **({"allowedFunctionNames": allowed} if allowed else {})}
        case "auto":
            return {"mode": "VALIDATED", "allowedFunctionNames": allowed} if allowed else None


def _report(conversation: Conversation, tools: bool, losses: Losses) -> None:
    """What Gemini has no word for."""
    settings = conversation.settings
    choice = conversation.tool_choice
    if not tools and choice is not None and choice.mode in ("any", "named"):
        losses.refuse("tool_choice", "no tool is offered that could be called")
    for name in ("verbosity", "user", "cache_key", "cache_all"):
        if getattr(settings, name) is not None:
            losses.drop(name, "Gemini has no such setting")
    if settings.parallel_tools is False and tools:
        losses.drop("parallel_tools", "calls can't be kept apart here")
    if conversation.is_marked:
        losses.drop("cache", "Gemini caches prompts by itself")
