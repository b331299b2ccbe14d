"""Tools that run at the client but are no functions: each has a type of its own, and items of its own for its calls.

Other formats know only functions, so the model is offered one with the tool's known arguments; a call of it becomes the
item that the client waits for, and such items of the history calls of that function again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from router.wire.conversation import Text, ToolCall, ToolResult
from router.wire.conversation import Tool as NeutralTool
from router.wire.openai_responses.shapes import Item, Tool, read
from router.wire.pieces import compact_raw
from router.wire.taps import decoded

SEARCH: Final = "tool_search"


class _Exec(msgspec.Struct, omit_defaults=True):
    command: list[str]
    working_directory: str | None = None
    timeout_ms: int | None = None
    user: str | None = None


class _Commands(msgspec.Struct, omit_defaults=True):
    commands: list[str]
    timeout_ms: int | None = None
    max_output_length: int | None = None


class _Patch(msgspec.Struct, omit_defaults=True):
    type: Literal["create_file", "update_file", "delete_file"]
    path: str
    diff: str | None = None


class ClientTool(NamedTuple):
    """One type of tool. ``member`` is where its item has the arguments, with the ``fixed`` fields among them;
    ``beside`` are further fields of the item. Arguments that aren't ``shape`` are no call of it."""

    description: str
    schema: dict[str, Any]
    shape: type[Any]
    member: str
    fixed: Mapping[str, Any] = {}
    beside: Mapping[str, Any] = {}

    def item(self, kind: str, arguments: str) -> dict[str, Any] | None:
        """The item's own fields for a call; ``None`` if these aren't the tool's arguments."""
        try:
            given = msgspec.json.decode(arguments, type=self.shape)
        except (msgspec.DecodeError, RecursionError):
            return None
        return {"type": f"{kind}_call", self.member: {**self.fixed, **msgspec.to_builtins(given)}, **self.beside}


def _object(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_MILLISECONDS: Final = {"type": "integer", "description": "Time limit in milliseconds."}

CLIENT_TOOLS: Final[Mapping[str, ClientTool]] = {
    "local_shell": ClientTool(
        "Runs a command on the user's machine.",
        _object(
            ["command"],
            command={**_TEXTS, "description": "The program and its arguments."},
            working_directory=_TEXT,
            timeout_ms=_MILLISECONDS,
        ),
        _Exec,
        "action",
        {"type": "exec", "env": {}},
    ),
    "shell": ClientTool(
        "Runs shell commands on the user's machine.",
        _object(
            ["commands"],
            commands={**_TEXTS, "description": "Command lines, run one after the other."},
            timeout_ms=_MILLISECONDS,
            max_output_length={"type": "integer", "description": "Characters of output to keep."},
        ),
        _Commands,
        "action",
    ),
    "apply_patch": ClientTool(
        "Creates, updates or deletes one file.",
        _object(
            ["type", "path"],
            type={"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            path={"type": "string", "description": "The file's path below the workspace's root."},
            diff={"type": "string", "description": "A unified diff of its content; not needed to delete it."},
        ),
        _Patch,
        "operation",
    ),
    SEARCH: ClientTool(
        "Finds more tools that fit a task.",
        _object(["query"], query=_TEXT),
        dict[str, Any],
        "arguments",
        beside={"execution": "client"},
    ),
}


_tools = msgspec.json.Decoder(list[Tool])


def is_offered(tool: Tool) -> bool:
    """Whether a tool is one of these and runs at the client: a search or a shell can also be the provider's."""
    if tool.type == SEARCH:
        return tool.execution == "client"
    return tool.type in CLIENT_TOOLS and (tool.environment or {}).get("type", "local") == "local"


def offered_in(tools: bytes | None) -> frozenset[str]:
    """The types of these tools among the tools of a request (JSON text)."""
    if tools is None or not any(b'"%b"' % kind.encode() in tools for kind in CLIENT_TOOLS):
        return frozenset()
    return frozenset(tool.type for tool in decoded(tools, _tools) or () if tool.type is not None and is_offered(tool))


def as_function(tool: Tool) -> NeutralTool:
    """The function that stands for an offered tool. Only a search says itself what its arguments are."""
    kind = str(tool.type)
    known = CLIENT_TOOLS[kind]
    schema = known.schema if tool.parameters is None or kind != SEARCH else tool.parameters
    return NeutralTool(kind, tool.description or known.description, schema)


def call_of(item: Item, kind: str, place: str) -> ToolCall:
    """A call of the history. ``kind`` is the item's type without its ``_call``."""
    known = CLIENT_TOOLS[kind]
    raw = {"action": item.action, "operation": item.operation, "arguments": item.arguments}[known.member]
    return ToolCall(item.call_id or item.id or "", kind, _arguments(raw, known, f"{place}.{known.member}"))


def result_of(item: Item, kind: str, place: str) -> ToolResult:
    """What a call gave: a text as it is, found tools by their names, anything else as JSON."""
    if kind == SEARCH:
        text = f"Found tools: {', '.join(_names(item.tools or ())) or 'none'}."
    elif bytes(item.output).startswith(b'"'):
        text = read(item.output, str, f"{place}.output")
    else:
        text = compact_raw(item.output)
    failed = item.status == "failed"
    return ToolResult(item.call_id or item.id or "", (Text(text or str(item.status or "done")),), is_error=failed)


def _arguments(raw: msgspec.Raw, known: ClientTool, place: str) -> str:
    members = read(raw, dict[str, msgspec.Raw], place)
    kept = {name: value for name, value in members.items() if name not in known.fixed}
    return compact_raw(msgspec.json.encode(kept))


def _names(tools: Iterable[Tool]) -> list[str]:
    return [
        name for tool in tools for name in (_names(tool.tools) if tool.tools is not None else [tool.name or ""]) if name
    ]
