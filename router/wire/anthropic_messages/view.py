"""Anthropic Messages: a request as rules see it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import msgspec

from router.wire.body import decode
from router.wire.pieces import PieceNotes, blocks_of, compact_raw, fields_of, unreadable
from router.wire.request import Piece, PieceContent, RequestView, Role, Thinking, Tool, bounded
from router.wire.taps import text_or_none

_TOOLS: Final = "the field 'tools' must be a list of objects"
_CLIENT_TOOLS: Final = ("custom", "function", "bash_", "text_editor_", "memory_", "computer_", "str_replace_")
"""Types of tools that run at the client: its own, and Anthropic's with a known schema."""


class _Tool(msgspec.Struct):
    name: Any = None
    type: Any = None
    mcp_server_name: Any = None

    def seen(self) -> Tool:
        kind = self.type if isinstance(self.type, str) else "custom"
        name = text_or_none(self.name) or text_or_none(self.mcp_server_name) or kind
        if kind.startswith("web_search"):
            return Tool(name, "web-search")
        return Tool(name, "function" if kind.startswith(_CLIENT_TOOLS) else "hosted")


class _ToolText(msgspec.Struct):
    name: Any = None
    description: Any = None
    input_schema: msgspec.Raw = msgspec.Raw(b"null")


class MessagesView(RequestView):
    """A request to ``/v1/messages`` or ``/v1/messages/count_tokens``."""

    api = "anthropic-messages"

    @cached_property
    def max_tokens(self) -> int | None:
        return self._whole("max_tokens")

    @cached_property
    def thinking(self) -> Thinking:
        """``type`` enabled, adaptive and between_tools are on; depth is a budget (older models) or an effort word."""
        asked = fields_of(self.body.get("thinking"))
        on = asked.get("type") in ("enabled", "adaptive", "between_tools")
        budget = asked.get("budget_tokens")
        return Thinking(
            on=on,
            budget=budget if on and isinstance(budget, int) and not isinstance(budget, bool) else None,
            effort=text_or_none(fields_of(self.body.get("output_config")).get("effort")),
        )

    @cached_property
    def tool_count(self) -> int:
        return len(self._items("tools"))

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        raw = self.body.raw_field("tools")
        if raw is None or raw == b"null":
            return ()
        return tuple(tool.seen() for tool in bounded(decode(raw, list[_Tool], _TOOLS)))

    @cached_property
    def forced_tool(self) -> str | None:
        choice = fields_of(self.body.get("tool_choice"))
        return text_or_none(choice.get("name")) if choice.get("type") == "tool" else None

    @cached_property
    def system_text(self) -> str:
        return "\n\n".join(_texts_of(self.body.get("system")))

    def _cut(self) -> list[Piece]:
        messages = self._messages("messages")
        pieces: list[Piece] = []
        if (system := self.body.raw_field("system")) is not None and system != b"null":
            pieces.append(self._piece("system", system))
        if (tools := self.body.raw_field("tools")) is not None and tools not in (b"null", b"[]"):
            pieces.append(self._piece("tools", tools))
        return pieces + messages

    def read(self, piece: Piece) -> PieceContent:
        try:
            match piece.kind:
                case "system":
                    return PieceContent("system", texts=tuple(_texts_of(msgspec.json.decode(piece.raw))))
                case "tools":
                    return _read_tools(piece.raw)
                case "message":
                    return _read_message(piece.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return unreadable(piece.raw)


def _texts_of(content: Any) -> list[str]:
    """The texts of a string or of text blocks; blocks without text have none."""
    if isinstance(content, str):
        return [content] if content else []
    texts = (fields_of(block).get("text") for block in blocks_of(content))
    return [text for text in texts if isinstance(text, str) and text]


def _read_tools(raw: bytes) -> PieceContent:
    notes = PieceNotes()
    for tool in msgspec.json.decode(raw, type=list[_ToolText]):
        notes.text(tool.name)
        notes.text(tool.description)
        notes.text(compact_raw(tool.input_schema))
    return notes.content("system")


_ROLES: Final[dict[Any, Role]] = {"user": "user", "assistant": "assistant", "system": "system"}


def _read_message(raw: bytes) -> PieceContent:
    message = fields_of(msgspec.json.decode(raw))
    role = _ROLES.get(message.get("role") if isinstance(message.get("role"), str) else None, "user")
    notes = PieceNotes(human=role == "user")
    content = message.get("content")
    if isinstance(content, str):
        notes.speech(content)
    for block in blocks_of(content):
        _read_block(fields_of(block), notes)
    return notes.content(role)


def _read_block(block: dict[str, Any], notes: PieceNotes) -> None:
    match block.get("type"):
        case "text":
            notes.speech(block.get("text"))
        case "thinking":
            notes.text(block.get("thinking"))
        case "redacted_thinking":
            pass  # sealed: no text for anybody but the provider
        case "image":
            _read_image(block, notes)
        case "document":
            _read_document(block, notes)
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            notes.call(block.get("name"), block.get("input"))
        case "tool_result" | "mcp_tool_result":
            notes.tool_result = notes.tool_result or block["type"] == "tool_result"
            _read_result(block.get("content"), notes)
        case _:
            notes.unknown(block)


def _read_result(content: Any, notes: PieceNotes) -> None:
    """A tool's result: nothing in it was typed by a person."""
    human, notes.human = notes.human, False
    notes.text(content)
    for block in blocks_of(content):
        _read_block(fields_of(block), notes)
    notes.human = human


def _read_image(block: dict[str, Any], notes: PieceNotes) -> None:
    source = fields_of(block.get("source"))
    notes.image(source.get("data") if source.get("type") == "base64" else None)


def _read_document(block: dict[str, Any], notes: PieceNotes) -> None:
    notes.text(block.get("title"))
    notes.text(block.get("context"))
    source = fields_of(block.get("source"))
    match source.get("type"):
        case "text":
            notes.text(source.get("data"))
        case "content":
            _read_result(source.get("content"), notes)
        case "base64":
            notes.document(source.get("data"), source.get("media_type"))
        case _:
            notes.document(None, None)
