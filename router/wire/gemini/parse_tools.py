"""A client's tools and the choice among them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.errors import BadRequest
from router.wire.checked import wrong
from router.wire.conversation import Tool, ToolChoice
from router.wire.gemini.checked import entries, members, text, value
from router.wire.gemini.schema import json_schema
from router.wire.loss import Losses

_SCHEMAS: Final = ("parametersJsonSchema", "parameters")
_KNOWN: Final = frozenset({"name", "description", *_SCHEMAS})
CHOICE: Final = "toolConfig.functionCallingConfig"


def tools_of(raw: bytes | None, losses: Losses) -> tuple[Tool, ...]:
    """The functions of all groups. Tools that run at Google are refused."""
    tools: list[Tool] = []
    for at, group in enumerate(entries(raw, "tools") if raw is not None and raw != b"null" else ()):
        place = f"tools[{at}]"
        for name, inner in members(group, place).items():
            if name != "functionDeclarations":
                losses.refuse(f"{place}.{name}", "the tool runs at Google")
                continue
            for number, declaration in enumerate(entries(inner, f"{place}.{name}")):
                tools.append(_tool(declaration, f"{place}.{name}[{number}]", losses))
    return tuple(tools)


def _tool(raw: msgspec.Raw, place: str, losses: Losses) -> Tool:
    fields = members(raw, place)
    name = text(fields["name"], f"{place}.name") if "name" in fields else ""
    if not name:
        raise BadRequest(f"the field '{place}.name' is missing")
    for other in fields.keys() - _KNOWN:
        losses.drop(f"{place}.{other}", "only Gemini knows it")
    description = text(fields["description"], f"{place}.description") if "description" in fields else None
    return Tool(name, description or None, _schema(fields, place))


def _schema(fields: dict[str, msgspec.Raw], place: str) -> dict[str, Any] | None:
    for name in _SCHEMAS:
        if name in fields:
            schema = json_schema(value(fields[name], f"{place}.{name}"))
            if not isinstance(schema, dict):
                raise wrong(f"{place}.{name}", "an object")
            return schema
    return None


def choice_of(raw: bytes | None, tools: tuple[Tool, ...], losses: Losses) -> ToolChoice | None:
    """``toolConfig``. One allowed name of a forced call is a named choice; ``VALIDATED`` is ``AUTO`` with a promise."""
    if raw is None or raw == b"null":
        return None
    config = members(raw, "toolConfig")
    for other in config.keys() - {"functionCallingConfig"}:
        losses.drop(f"toolConfig.{other}", "only Google's own tools know it")
    if "functionCallingConfig" not in config:
        return None
    fields = members(config["functionCallingConfig"], CHOICE)
    for other in fields.keys() - {"mode", "allowedFunctionNames"}:
        losses.drop(f"{CHOICE}.{other}", "only Gemini knows it")
    allowed = _allowed(fields, tools, losses)
    match text(fields["mode"], f"{CHOICE}.mode").upper() if "mode" in fields else "":
        case "" | "MODE_UNSPECIFIED":
            return ToolChoice("auto", allowed=allowed) if allowed else None
        case "AUTO":
            return ToolChoice("auto", allowed=allowed)
        case "VALIDATED":
            losses.drop(f"{CHOICE}.mode", "calls are not checked against their schemas elsewhere")
            return ToolChoice("auto", allowed=allowed)
        case "NONE":
            return ToolChoice("none")
        case "ANY":
            if allowed is not None and len(allowed) == 1:
                return ToolChoice("named", allowed[0])
            return ToolChoice("any", allowed=allowed)
        case _:
            raise BadRequest(f"the field '{CHOICE}.mode' must be 'AUTO', 'ANY', 'NONE' or 'VALIDATED'")


def _allowed(fields: dict[str, msgspec.Raw], tools: tuple[Tool, ...], losses: Losses) -> tuple[str, ...] | None:
    if "allowedFunctionNames" not in fields:
        return None
    where = f"{CHOICE}.allowedFunctionNames"
    names = tuple(text(name, where) for name in entries(fields["allowedFunctionNames"], where))
    offered = {tool.name for tool in tools}
    if not offered.issuperset(names):
        losses.refuse(where, "it names a tool that isn't offered")
    return tuple(name for name in names if name in offered) or None
