"""OpenAI Responses: a request as rules see it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import msgspec

from router.errors import BadRequest
from router.wire.body import decode
from router.wire.openai_responses.agent_messages import KIND as AGENT_MESSAGE
from router.wire.openai_responses.agent_messages import SEALED_PART, is_sealed, is_task
from router.wire.pieces import PieceNotes, blocks_of, compact_raw, fields_of, unreadable
from router.wire.request import NOT_THINKING, Piece, PieceContent, RequestView, Role, Thinking, Tool, bounded
from router.wire.taps import decoded, text_or_none

_ROLES: Final[dict[Any, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_CLIENT_TOOLS: Final = ("function", "custom", "local_shell", "shell", "apply_patch", "computer")
_ADDED_TOOLS: Final = b'"additional_tools"'  # the type of an item that offers tools, as Codex does with some models
_ITEM_HEAD: Final = 200  # bytes of an item among which its type is looked for


class _Tool(msgspec.Struct):
    type: Any = None
    name: Any = None
    server_label: Any = None
    tools: Any = None

    def seen(self, prefix: str = "") -> list[Tool]:
        """The tool; a namespace's are named ``namespace__tool``."""
        kind = self.type if isinstance(self.type, str) else "function"
        name = text_or_none(self.name) or text_or_none(self.server_label) or kind
        if kind == "namespace":
            inner = (msgspec.convert(fields_of(tool), _Tool) for tool in blocks_of(self.tools))
            return [seen for tool in inner for seen in tool.seen(f"{prefix}{name}__")]
        if kind.startswith("web_search"):
            return [Tool(prefix + name, "web-search")]
        return [Tool(prefix + name, "function" if kind.startswith(_CLIENT_TOOLS) else "hosted")]


class _Item(msgspec.Struct):
    type: Any = None
    tools: msgspec.Raw = msgspec.Raw(b"null")


_items = msgspec.json.Decoder(_Item)
_tools = msgspec.json.Decoder(list[_Tool])


class _ToolText(msgspec.Struct):
    type: Any = None
    name: Any = None
    description: Any = None
    parameters: msgspec.Raw = msgspec.Raw(b"null")
    format: msgspec.Raw = msgspec.Raw(b"null")
    tools: list[msgspec.Raw] | None = None


class ResponsesView(RequestView):
    """A request to ``/v1/responses`` and what hangs below it (``input_tokens``, ``compact``)."""

    api = "openai-responses"

    @cached_property
    def max_tokens(self) -> int | None:
        return self._whole("max_output_tokens")

    @cached_property
    def thinking(self) -> Thinking:
        """``reasoning.effort``; without one the model's default holds, for which the client didn't ask."""
        effort = text_or_none(fields_of(self.body.get("reasoning")).get("effort"))
        return Thinking(on=effort is not None and effort not in NOT_THINKING, effort=effort)

    @cached_property
    def tool_count(self) -> int:
        raw = self.body.raw_field("tools")
        if (raw is not None and b'"namespace"' in raw) or self._added_tools:
            return len(self.tools)
        return len(self._items("tools"))

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        """Those of ``tools``, then those that items of the input add."""
        raw = self.body.raw_field("tools")
        tools: list[_Tool] = []
        if raw is not None and raw != b"null":
            tools += decode(raw, list[_Tool], "the field 'tools' must be a list of objects")
        for piece in self._added_tools:
            added = decoded(piece.raw, _tools)
            tools += added or ()
        try:
            return tuple(seen for tool in bounded(tools) for seen in tool.seen())
        except RecursionError:  # groups are walked one inside the other
            raise BadRequest("the request body is nested too deeply") from None

    @cached_property
    def _added_tools(self) -> list[Piece]:
        return [piece for piece in self._input if piece.kind == "tools"]

    @cached_property
    def forced_tool(self) -> str | None:
        """By name; a forced hosted tool by its type. A list of allowed tools with one entry forces it too."""
        choice = fields_of(self.body.get("tool_choice"))
        if choice.get("type") == "allowed_tools":
            allowed = blocks_of(choice.get("tools"))
            choice = fields_of(allowed[0]) if choice.get("mode") == "required" and len(allowed) == 1 else {}
        kind = text_or_none(choice.get("type"))
        return text_or_none(choice.get("name")) or (kind if kind not in ("function", "custom") else None)

    @cached_property
    def system_text(self) -> str:
        """``instructions`` and the system and developer messages before the first other item."""
        texts = [text] if (text := text_or_none(self.body.get("instructions"))) else []
        for piece in self._input:
            if piece.kind == "tools":
                continue
            content = self.read(piece)
            if content.role != "system":
                break
            texts.extend(content.texts)
        return "\n\n".join(texts)

    def _cut(self) -> list[Piece]:
        pieces: list[Piece] = []
        if (instructions := self.body.raw_field("instructions")) is not None and instructions not in (b"null", b'""'):
            pieces.append(self._piece("system", instructions))
        if (tools := self.body.raw_field("tools")) is not None and tools not in (b"null", b"[]"):
            pieces.append(self._piece("tools", tools))
        pieces.extend(self._input)
        return pieces

    @cached_property
    def _input(self) -> list[Piece]:
        """The items as messages, but for those that offer tools, which say nothing."""
        raw = self.body.raw_field("input")
        if raw is not None and raw.startswith(b'"'):
            return [Piece("message", raw)]
        return [
            self._offer(piece) if piece.raw.find(_ADDED_TOOLS, 0, _ITEM_HEAD) >= 0 else piece
            for piece in self._messages("input")
        ]

    def _offer(self, piece: Piece) -> Piece:
        """The tools of an item that looks like it adds some; the same piece if it is something else."""
        item = decoded(piece.raw, _items)
        return self._piece("tools", bytes(item.tools)) if item and item.type == "additional_tools" else piece

    def read(self, piece: Piece) -> PieceContent:
        try:
            match piece.kind:
                case "system":
                    return PieceContent("system", texts=(msgspec.json.decode(piece.raw, type=str),))
                case "tools":
                    notes = PieceNotes()
                    for tool in msgspec.json.decode(piece.raw, type=list[msgspec.Raw]):
                        _read_tool(tool, notes)
                    return notes.content("system")
                case "message":
                    return _read_item(msgspec.json.decode(piece.raw))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return unreadable(piece.raw, "system" if piece.kind == "system" else "user")


def _read_tool(raw: msgspec.Raw, notes: PieceNotes) -> None:
    tool = msgspec.json.decode(raw, type=_ToolText)
    if text_or_none(tool.name) is None:  # hosted: its settings are all there is
        notes.text(compact_raw(raw))
        return
    notes.text(tool.name)
    notes.text(tool.description)
    notes.text(compact_raw(tool.parameters))
    notes.text(compact_raw(tool.format))
    for inner in tool.tools or ():
        _read_tool(inner, notes)


def _read_item(item: Any) -> PieceContent:
    """One input item. What it is decides who speaks: calls and reasoning are the assistant's, outputs the user's side.

    Items that only steer (``compaction_trigger``, ``configuration_update``, …) belong to neither, so they are system.
    """
    if isinstance(item, str):
        notes = PieceNotes()
        notes.speech(item)
        return notes.content("user")
    fields = fields_of(item)
    kind = text_or_none(fields.get("type")) or "message"
    if kind == "message":
        return _read_message(fields)
    notes = PieceNotes(human=False)
    if kind == "reasoning":
        for part in (*blocks_of(fields.get("summary")), *blocks_of(fields.get("content"))):
            notes.text(fields_of(part).get("text"))
        return notes.content("assistant")
    if kind == AGENT_MESSAGE:
        return _read_agent_message(fields)
    if kind.endswith("_call"):
        name = fields.get("name") or kind
        arguments = next((fields[key] for key in ("arguments", "input", "action") if key in fields), None)
        notes.call(name, arguments)
        return notes.content("assistant")
    if kind.endswith(("_call_output", "_output")) or kind == "mcp_approval_response":
        notes.tool_result = True
        output = fields.get("output")
        notes.text(output)
        for part in blocks_of(output):
            _read_part(fields_of(part), notes)
        if output is None or isinstance(output, dict):
            notes.unknown(
                {key: value for key, value in fields.items() if key not in ("type", "id", "call_id", "status")}
            )
        return notes.content("user")
    if kind in ("item_reference", "mcp_approval_request", "mcp_list_tools"):
        notes.unknown(fields)
        return notes.content("assistant")
    if kind != "compaction":  # sealed: no text for anybody but the provider
        notes.unknown(fields)
    return notes.content("system")


def _read_message(fields: dict[str, Any]) -> PieceContent:
    said_by = fields.get("role")
    role = _ROLES.get(said_by, "user") if isinstance(said_by, str) else "user"
    notes = PieceNotes(human=role == "user")
    content = fields.get("content")
    if isinstance(content, str):
        notes.speech(content)
    for part in blocks_of(content):
        _read_part(fields_of(part), notes)
    return notes.content(role)


def _read_agent_message(fields: dict[str, Any]) -> PieceContent:
    """What another agent told this one. A task from the one above stands in a person's place."""
    notes = PieceNotes(human=is_task(fields.get("author"), fields.get("recipient")))
    content = fields.get("content")
    for part in [{"type": "input_text", "text": content}] if isinstance(content, str) else blocks_of(content):
        sealed = fields_of(part).get(SEALED_PART)
        if not isinstance(sealed, str):
            _read_part(fields_of(part), notes)
        elif not is_sealed(sealed):
            notes.speech(sealed)
    return notes.content("user")


def _read_part(part: dict[str, Any], notes: PieceNotes) -> None:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            notes.speech(part.get("text"))
        case "refusal":
            notes.text(part.get("refusal"))
        case "input_image":
            image = part.get("image_url")
            notes.image(image if isinstance(image, str) else fields_of(image).get("url"))
        case "input_file":
            notes.document(part.get("file_data"), None)
        case _:
            notes.unknown(part)
