"""Anthropic Messages: requests seen, streams tapped, replies and errors.

Beside Anthropic itself, many providers serve this format for coding agents (Z.AI, Moonshot, DeepSeek, MiniMax, …), so
event names, key order and optional fields vary.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import msgspec

from router.wire.body import Body, decode
from router.wire.codec import Codec, ReplyFacts, ReplyPart, StreamTap
from router.wire.error_words import words_for
from router.wire.pieces import PieceNotes, blocks_of, compact_raw, fields_of, unreadable
from router.wire.request import Piece, PieceContent, RequestView, Role, Thinking, Tool, bounded
from router.wire.sse import SseEvent, encode_event
from router.wire.taps import EventTap, Pass, decoded, error_message, text_or_none, usage_report
from router.wire.usage import from_anthropic

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
    def model(self) -> str:
        return self._text("model")

    @cached_property
    def stream(self) -> bool:
        return self._flag("stream")

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
    def has_system_prompt(self) -> bool:
        return bool(self.system_text.strip())

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


class _Named(msgspec.Struct):
    type: Any = None


class _Message(msgspec.Struct):
    id: Any = None
    model: Any = None
    stop_reason: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Start(msgspec.Struct):
    message: _Message


class _Delta(msgspec.Struct):
    delta: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Failure(msgspec.Struct):
    error: Any = None


_named = msgspec.json.Decoder(_Named)
_starts = msgspec.json.Decoder(_Start)
_deltas = msgspec.json.Decoder(_Delta)
_failures = msgspec.json.Decoder(_Failure)

_EVENTS: Final = frozenset(
    "message_start content_block_start content_block_delta content_block_stop "
    "message_delta message_stop ping error".split()
)


class MessagesTap(EventTap):
    """Usage starts in ``message_start`` and is completed by ``message_delta``; ``message_stop`` is the end."""

    def _passes(self, chunk: bytes) -> bool:
        return b"message_" not in chunk and b'error"' not in chunk

    def _read(self, event: SseEvent) -> Pass:
        name = event.event
        if name not in _EVENTS:  # some servers leave the names out
            named = decoded(event.data, _named)
            name = named.type if named is not None and isinstance(named.type, str) else None
        match name:
            case "content_block_start":
                self.committed = True
            case "message_start":
                if (start := decoded(event.data, _starts)) is not None:
                    message = start.message
                    self._note(model=text_or_none(message.model), response_id=text_or_none(message.id))
                    self._note_usage(message.usage, from_anthropic, keep=True)
            case "message_delta":
                if (delta := decoded(event.data, _deltas)) is not None:
                    self._note(stop_reason=text_or_none(fields_of(delta.delta).get("stop_reason")))
                    self._note_usage(delta.usage, from_anthropic, keep=True)
            case "message_stop":
                if decoded(event.data, _named) is not None:  # a stream that is cut may be cut here
                    return Pass.LAST
            case "error":
                failure = decoded(event.data, _failures)
                self.failed = True
                self._note(
                    error=error_message(failure.error if failure else None) or "the stream broke off with an error"
                )
        return Pass.ON


class _Block(msgspec.Struct):
    type: Any = None
    text: Any = None


class _Reply(_Message):
    type: Any = None
    content: Any = None
    error: Any = None
    detail: Any = None
    message: Any = None


_replies = msgspec.json.Decoder(_Reply)


_PLACES: Final = {
    "temperature": ("temperature",),
    "top-p": ("top_p",),
    "top-k": ("top_k",),
    "max-tokens": ("max_tokens",),
    "stop": ("stop_sequences",),
    "effort": ("output_config", "effort"),
}


class AnthropicMessages(Codec):
    """The codec of ``anthropic-messages``."""

    api = "anthropic-messages"
    places = _PLACES
    stops_in_list = True
    model_paths = (("model",), ("message", "model"))

    def view(self, body: Body, *, url_model: str | None = None, url_stream: bool = False) -> RequestView:
        return MessagesView(body)

    def tap(self, *, hide_usage: bool = False, media_type: str = "text/event-stream") -> StreamTap:
        return MessagesTap()

    def read_reply(self, payload: bytes) -> ReplyFacts:
        reply = decoded(payload, _replies)
        if reply is None:
            return ReplyFacts()
        if reply.error is not None or reply.type == "error":
            return ReplyFacts(error=error_message(reply.error) or "error without a message")
        if reply.content is None and (text := text_or_none(reply.detail) or text_or_none(reply.message)):
            return ReplyFacts(error=text)
        report = usage_report(reply.usage)
        return ReplyFacts(
            usage=None if report is None else from_anthropic(report),
            usage_raw=None if report is None else bytes(reply.usage).decode(errors="replace"),
            model=text_or_none(reply.model),
            response_id=text_or_none(reply.id),
            stop_reason=text_or_none(reply.stop_reason),
            parts=_parts(reply.content),
        )

    def count_reply(self, tokens: int) -> bytes:
        return b'{"input_tokens":%d}' % tokens

    def error_body(self, status: int, code: str, message: str, request_id: str | None) -> bytes:
        error = {"type": words_for(status, code).anthropic, "message": message}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})

    def error_event(self, code: str, message: str) -> bytes:
        error = {"type": words_for(None, code).anthropic, "message": message}
        return encode_event(msgspec.json.encode({"type": "error", "error": error}), "error")


def _parts(content: Any) -> frozenset[ReplyPart] | None:
    if not isinstance(content, list):
        return None
    parts: set[ReplyPart] = set()
    for block in map(fields_of, content):
        match block.get("type"):
            case "text":
                if block.get("text"):
                    parts.add("text")
            case "thinking" | "redacted_thinking":
                parts.add("reasoning")
            case "tool_use":
                parts.add("tool-call")
            case _:
                parts.add("other")
    return frozenset(parts)
