"""Replies of a Messages target as neutral events.

Beside Anthropic many servers speak this format, so events may lack their name, blocks may lack their start or stop, a
call's whole input may stand in its start, and ``message_start`` may come twice. Blocks of tools that run at the
provider are reported as opaque and what follows of them is left out.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.anthropic_messages.words import ERROR_CODES, STOPS
from router.wire.decoding import ReplyDecoder
from router.wire.events import Citation, Stop
from router.wire.pieces import fields_of
from router.wire.sse import SseEvent
from router.wire.taps import decoded, error_message, text_or_none, usage_report
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits
from router.wire.usage import from_anthropic

_NULL: Final = msgspec.Raw(b"null")
_NO_ERROR_MESSAGE: Final = "the provider reported an error without a message"


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Any = None
    stop_reason: Any = None
    stop_sequence: Any = None
    stop_details: Any = None


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NULL
    citations: Any = None


class _Head(msgspec.Struct):
    id: Any = None
    model: Any = None
    usage: msgspec.Raw = _NULL


class _Event(msgspec.Struct):
    type: str | None = None
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: Any = None
    usage: msgspec.Raw = _NULL
    error: Any = None


class _StartEvent(msgspec.Struct):
    message: _Head


class _Reply(_Head):
    type: Any = None
    content: list[msgspec.Raw] | None = None
    stop_reason: Any = None
    stop_sequence: Any = None
    stop_details: Any = None
    error: Any = None
    detail: Any = None
    message: Any = None


_events = msgspec.json.Decoder(_Event)
_starts = msgspec.json.Decoder(_StartEvent)
_replies = msgspec.json.Decoder(_Reply)
_blocks = msgspec.json.Decoder(_Block)
_kinds = msgspec.json.Decoder(dict[str, Any])


class MessagesDecoder(ReplyDecoder):
    """Decodes one Messages reply."""

    def __init__(self, traits: Traits | None = None, tools: ToolTable | None = None) -> None:
        super().__init__(traits, tools)
        self._kinds: dict[int, str] = {}  # of the blocks that began, by index
        self._inputs: dict[int, str] = {}  # whole inputs of calls, until it shows whether deltas bring them, too
        self._texts: set[int] = set()  # that have begun
        self._citations: dict[int, list[Citation]] = {}  # of texts that haven't
        self._stop: Stop = "end"
        self._sequence: str | None = None
        self._explanation: str | None = None

    def _read(self, event: SseEvent) -> None:
        read = decoded(event.data, _events)
        if read is None:
            return
        match read.type or event.event:
            case "content_block_delta":
                if read.delta is not None:
                    self._read_delta(read.index, read.delta)
            case "content_block_start":
                if read.content_block is not None:
                    self._read_start(read.index, read.content_block)
            case "content_block_stop":
                self._read_stop(read.index)
            case "message_start":
                if (start := decoded(event.data, _starts)) is not None:
                    self._read_head(start.message)
            case "message_delta":
                if read.delta is not None:
                    self._note_stop(read.delta)
                self._note_usage(read.usage)
            case "message_stop":
                self._end()
            case "ping":
                self.parts.alive()
            case "error":
                self._fail(read.error)

    def _read_whole(self, payload: bytes) -> None:
        reply = decoded(payload, _replies)
        if reply is None:
            return
        if reply.error is not None or reply.type == "error":
            self._fail(reply.error)
            return
        if reply.content is None:
            if message := text_or_none(reply.detail) or text_or_none(reply.message):
                self.parts.fail("server", message)
            return
        self._read_head(reply)
        for index, raw in enumerate(reply.content):
            block = decoded(raw, _blocks)
            if block is not None:
                self._read_start(index, block)
                self._read_stop(index)
        self._note_stop(reply)
        self._end()

    # --- blocks ---------------------------------------------------------------------------------------------------

    def _read_start(self, index: int, block: _Block) -> None:
        self._kinds[index] = block.type
        match block.type:
            case "text":
                for citation in block.citations if isinstance(block.citations, list) else ():
                    self._cite(index, citation)
                self._text(index, block.text)
            case "thinking":
                self.parts.thinking(index, block.thinking or "")
                self.parts.seal(index, "anthropic-signature", block.signature or "")
            case "redacted_thinking":
                self.parts.seal(index, "anthropic-redacted", block.data or "")
            case "tool_use":
                self.parts.call(index, block.id or "", block.name or "")
                if (whole := _input(block.input)) != "":
                    self._inputs[index] = whole
            case _:
                self.parts.opaque(block.type)

    def _read_delta(self, index: int, delta: _Delta) -> None:
        kind = self._kinds.get(index)
        match delta.type:
            case "text_delta":
                if kind in ("text", None):
                    self._text(index, delta.text)
            case "input_json_delta":
                if kind == "tool_use" and delta.partial_json:
                    self._inputs.pop(index, None)
                    self.parts.arguments(index, delta.partial_json)
            case "thinking_delta":
                if kind in ("thinking", None):
                    self.parts.thinking(index, delta.thinking or "")
            case "signature_delta":
                if kind in ("thinking", None):
                    self.parts.seal(index, "anthropic-signature", delta.signature or "")
            case "citations_delta":
                if kind in ("text", None):
                    self._cite(index, delta.citation)

    def _read_stop(self, index: int) -> None:
        match self._kinds.pop(index, None):
            case "text" | None:
                self.parts.close("text", index)
            case "thinking" | "redacted_thinking":
                self.parts.close("thinking", index)
            case "tool_use":
                self._give_input(index)
                self.parts.close("call", index)
        self._texts.discard(index)
        self._citations.pop(index, None)

    def _text(self, index: int, text: str | None) -> None:
        if not text:
            return
        self.parts.text(index, text)
        if index not in self._texts:
            self._texts.add(index)
            for citation in self._citations.pop(index, ()):
                self.parts.cite(index, citation)

    def _cite(self, index: int, raw: Any) -> None:
        """A source. In streams sources come before the text that they are for."""
        fields = fields_of(raw)
        kind = text_or_none(fields.get("type"))
        if kind is None:
            return
        title = text_or_none(fields.get("title")) or text_or_none(fields.get("document_title")) or ""
        citation = Citation(kind, text_or_none(fields.get("url")) or "", title, fields)
        if index in self._texts:
            self.parts.cite(index, citation)
        else:
            self._citations.setdefault(index, []).append(citation)

    def _give_input(self, index: int) -> None:
        if (whole := self._inputs.pop(index, None)) is not None:
            self.parts.arguments(index, whole)

    # --- the message ----------------------------------------------------------------------------------------------

    def _read_head(self, head: _Head) -> None:
        self.parts.start(text_or_none(head.id) or "", text_or_none(head.model) or "")
        self._note_usage(head.usage)

    def _note_usage(self, raw: msgspec.Raw) -> None:
        if (report := usage_report(raw)) is not None:
            self.parts.usage(from_anthropic(report))

    def _note_stop(self, told: _Delta | _Reply) -> None:
        if reason := text_or_none(told.stop_reason):
            self._stop = STOPS.get(reason, "end")
        self._sequence = text_or_none(told.stop_sequence) or self._sequence
        self._explanation = text_or_none(fields_of(told.stop_details).get("explanation")) or self._explanation

    def _end(self) -> None:
        for index in tuple(self._inputs):
            self._give_input(index)
        self.parts.end(self._stop, self._sequence, self._explanation)

    def _fail(self, error: Any) -> None:
        fields = fields_of(error)
        kind = text_or_none(fields.get("type")) or "api_error"
        message = error_message(error) or _NO_ERROR_MESSAGE
        code = ERROR_CODES.get(kind, kind)
        self.parts.fail("context-length" if "prompt is too long" in message.lower() else code, message)


def _input(raw: msgspec.Raw) -> str:
    """A whole input as compact JSON; empty where there is none, which streams say by an empty object."""
    text = bytes(raw)
    if text == b"null":
        return ""
    compact = msgspec.json.format(text, indent=-1).decode(errors="replace")
    return "" if compact in ("{}", '""') else compact
