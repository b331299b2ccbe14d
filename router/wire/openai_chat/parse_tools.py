"""The tools of a Chat request, and which of them shall be called: as they are now, and as they were called before
(``functions``, ``function_call``)."""

from __future__ import annotations

from typing import Any, Literal

from router.wire.body import Body
from router.wire.checked import a_list, a_text, an_object, perhaps_flag, perhaps_text, wrong
from router.wire.conversation import Tool, ToolChoice
from router.wire.loss import Losses
from router.wire.openai_chat.parse_messages import cache_of
from router.wire.pieces import fields_of

_MODES: dict[str, Literal["auto", "any", "none"]] = {"auto": "auto", "none": "none", "required": "any", "any": "any"}


def tools_of(body: Body, losses: Losses) -> tuple[Tool, ...]:
    """The tools that run at the client; the provider's own are refused."""
    tools: list[Tool] = []
    for number, entry in enumerate(a_list(body.get("tools"), "tools")):
        where = f"tools[{number}]"
        tool = an_object(entry, where)
        kind = perhaps_text(tool.get("type"), f"{where}.type") or "function"
        if kind == "function":
            tools.append(_function(tool, where))
        elif kind == "custom":
            tools.append(_custom(tool, where))
        else:
            losses.refuse(where, "a tool that runs at the provider isn't carried over")
    for number, entry in enumerate(a_list(body.get("functions"), "functions")):
        tools.append(_definition(an_object(entry, f"functions[{number}]"), f"functions[{number}]"))
    return tuple(tools)


def _function(tool: dict[str, Any], where: str) -> Tool:
    if tool.get("function") is None and "name" in tool:  # the flat form of Responses, which many servers take
        return _definition(tool, where)
    definition = an_object(tool.get("function"), f"{where}.function")
    return _definition({"cache_control": tool.get("cache_control"), **definition}, f"{where}.function")


def _definition(definition: dict[str, Any], where: str) -> Tool:
    parameters = definition.get("parameters")
    return Tool(
        name=_name(definition, where),
        description=perhaps_text(definition.get("description"), f"{where}.description"),
        schema=None if parameters is None else an_object(parameters, f"{where}.parameters"),
        strict=perhaps_flag(definition.get("strict"), f"{where}.strict"),
        cache=cache_of(definition),
    )


def _custom(tool: dict[str, Any], where: str) -> Tool:
    """A freeform tool. Chat nests the grammar's syntax and text one deeper than the neutral form, which is that of
    Responses."""
    where = f"{where}.custom"
    definition = an_object(tool.get("custom"), where)
    form = an_object(definition.get("format"), f"{where}.format")
    grammar = None
    if form.get("type") == "grammar":
        grammar = {"type": "grammar", **an_object(form.get("grammar"), f"{where}.format.grammar")}
    return Tool(
        name=_name(definition, where),
        description=perhaps_text(definition.get("description"), f"{where}.description"),
        custom=True,
        grammar=grammar,
    )


def _name(definition: dict[str, Any], where: str) -> str:
    name = a_text(definition.get("name"), f"{where}.name")
    if not name:
        raise wrong(f"{where}.name", "a name")
    return name


def choice_of(body: Body, tools: tuple[Tool, ...], losses: Losses) -> ToolChoice | None:
    """Which tools may or must be called; ``None`` where nothing is said."""
    field = "tool_choice" if body.get("tool_choice") is not None else "function_call"
    choice = body.get(field)
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _MODES:
            raise wrong(field, "'auto', 'none', 'required' or an object")
        return ToolChoice(_MODES[choice])
    chosen = an_object(choice, field)
    if chosen.get("type") == "allowed_tools":
        return _allowed(an_object(chosen.get("allowed_tools"), f"{field}.allowed_tools"), tools, losses)
    name = _named(chosen)
    if name is None:
        losses.refuse(field, "only a tool that runs at the client can be forced")
        return None
    if name not in {tool.name for tool in tools}:
        losses.refuse(field, "it names a tool that isn't offered")
        return None
    return ToolChoice("named", name)


def _allowed(allowed: dict[str, Any], tools: tuple[Tool, ...], losses: Losses) -> ToolChoice:
    where = "tool_choice.allowed_tools"
    offered = {tool.name for tool in tools}
    names: list[str] = []
    for entry in a_list(allowed.get("tools"), f"{where}.tools"):
        name = _named(an_object(entry, f"{where}.tools"))
        if name in offered and name is not None:
            names.append(name)
        else:
            losses.refuse(where, "it names a tool that isn't offered")
    return ToolChoice("any" if allowed.get("mode") == "required" else "auto", allowed=tuple(names))


def _named(choice: dict[str, Any]) -> str | None:
    inner = fields_of(choice.get("function")) or fields_of(choice.get("custom")) or choice
    name = inner.get("name")
    return name if isinstance(name, str) and name else None
