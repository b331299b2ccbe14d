"""Neutral events as a Messages stream, for a client of Anthropic's format.

Its grammar: ``message_start``, then blocks numbered 0, 1, 2, … of one start, deltas and one stop each, then one
``message_delta`` with the stop reason and the usage of it all, then ``message_stop``. Clients take a snapshot of the
usage in ``message_start``, so that event waits for what the provider says before its first content.

Clients keep what they are given and send it back, perhaps to Anthropic itself. So no block of text is empty or nothing
but space, and sealed reasoning of other models is tagged (``opaque.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from router.wire.anthropic_messages.encode_whole import whole_message
from router.wire.anthropic_messages.ids import legal_id
from router.wire.anthropic_messages.words import CITATIONS, message_id, refused, stop_fields, usage_object
from router.wire.conversation import OpaqueState
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.error_words import words_for
from router.wire.events import (
    Citation,
    KeepAlive,
    MessageEnd,
    MessageStart,
    Opaque,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.freeform import FIELD
from router.wire.opaque import wrap
from router.wire.usage import Usage

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'

_TEXT: Final = b'{"type":"text","text":""}'
_THINKING: Final = b'{"type":"thinking","thinking":"","signature":""}'

_json = msgspec.json.Encoder().encode


class MessagesEncoder(ReplyEncoder):
    """Writes one Messages reply."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._begun: MessageStart | None = None
        self._started = False
        self._usage: Usage | None = None
        self._index = 0  # of the open block, or of the next one
        self._open = ""  # the type of the open block
        self._space = ""  # text of a part so far, while it is nothing but space
        self._refusal: list[str] = []
        self._call: ToolCallStart | None = None
        self._call_state: OpaqueState | None = None

    def encode(self, event: StreamEvent) -> bytes:
        return self._WRITERS[type(event)](self, event)

    def whole(self, events: Iterable[StreamEvent]) -> bytes:
        return whole_message(events, self.asked)

    # --- the message ----------------------------------------------------------------------------------------------

    def _begin(self, event: MessageStart) -> bytes:
        self._begun = event
        return b""

    def _start(self) -> bytes:
        """``message_start``, if it isn't written yet, with a ping behind it as Anthropic has it."""
        if self._started:
            return b""
        self._started = True
        begun = self._begun or MessageStart()
        message: dict[str, Any] = {
            "id": message_id(begun.id, self.asked.reply_id),
            "type": "message",
            "role": "assistant",
            "model": self.asked.model or begun.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_object(self._usage, self.asked.input_estimate),
        }
        return _event(b"message_start", {"type": "message_start", "message": message}) + PING

    def _report(self, event: UsageReport) -> bytes:
        self._usage = event.usage
        return b""

    def _alive(self, event: KeepAlive) -> bytes:
        return PING if self._started else self._start()

    def _nothing(self, event: Opaque) -> bytes:
        return b""

    def _end(self, event: MessageEnd) -> bytes:
        start = self._start() + self._close()
        stop, explanation = refused(event.stop, event.explanation, "".join(self._refusal))
        delta = {
            "type": "message_delta",
            "delta": stop_fields(stop, event.sequence, explanation),
            "usage": usage_object(self._usage, self.asked.input_estimate),
        }
        return start + _event(b"message_delta", delta) + _event(b"message_stop", {"type": "message_stop"})

    def _fail(self, event: StreamFailed) -> bytes:
        error = {"type": words_for(None, event.code).anthropic, "message": event.message}
        return _event(b"error", {"type": "error", "error": error})

    # --- parts ----------------------------------------------------------------------------------------------------

    def _text(self, event: TextDelta | RefusalDelta) -> bytes:
        text = event.text
        head = b""
        if self._open != "text":
            text = self._space + text
            if text.isspace():
                self._space = text
                return self._start()
            self._space = ""
            head = self._block("text", _TEXT)
        return head + (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"text_delta","text":%b}}\n\n' % (self._index, _json(text))
        )

    def _refuse(self, event: RefusalDelta) -> bytes:
        self._refusal.append(event.text)
        return self._text(event)

    def _cite(self, event: Citation) -> bytes:
        if self._open != "text" or event.raw.get("type") not in CITATIONS:
            return b""
        return self._delta(b'{"type":"citations_delta","citation":%b}' % _json(event.raw))

    def _thinking(self, event: ThinkingDelta) -> bytes:
        head = b"" if self._open == "thinking" else self._block("thinking", _THINKING)
        return head + self._delta(b'{"type":"thinking_delta","thinking":%b}' % _json(event.text))

    def _signature(self, event: SignatureDelta) -> bytes:
        if self._open == "tool_use":
            self._call_state = event.state
            return b""
        if not self._open and event.state.kind == "anthropic-redacted":
            return self._block(
                "redacted_thinking", b'{"type":"redacted_thinking","data":%b}' % _json(wrap(event.state))
            )
        head = b"" if self._open == "thinking" else self._block("thinking", _THINKING)
        return head + self._seal(event.state)

    def _call_start(self, event: ToolCallStart) -> bytes:
        self._call = event
        block = b'{"type":"tool_use","id":%b,"name":%b,"input":{}}' % (_json(legal_id(event.id)), _json(event.name))
        head = self._block("tool_use", block)
        return head + self._input(f'{{"{FIELD}":"') if event.custom else head

    def _arguments(self, event: ToolCallDelta) -> bytes:
        custom = self._call is not None and self._call.custom
        return self._input(_json(event.text)[1:-1].decode() if custom else event.text)

    def _part_end(self, event: PartEnd) -> bytes:
        self._space = ""
        tail = self._input('"}') if self._call is not None and self._call.custom else b""
        tail += self._close()
        if self._call is not None and self._call_state is not None:
            # A call has no slot for its seal; ``parse_blocks`` brings the two together again.
            state = msgspec.structs.replace(self._call_state, id=self._call.id)
            tail += self._block("thinking", _THINKING) + self._seal(state) + self._close()
        self._call = self._call_state = None
        return tail

    # --- blocks ---------------------------------------------------------------------------------------------------

    def _block(self, kind: str, content: bytes) -> bytes:
        head = self._start() + self._close()
        self._open = kind
        return head + (
            b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
            % (self._index, content)
        )

    def _delta(self, delta: bytes) -> bytes:
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n' % (
            self._index,
            delta,
        )

    def _seal(self, state: OpaqueState) -> bytes:
        return self._delta(b'{"type":"signature_delta","signature":%b}' % _json(wrap(state)))

    def _input(self, fragment: str) -> bytes:
        return self._delta(b'{"type":"input_json_delta","partial_json":%b}' % _json(fragment))

    def _close(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        index, self._index = self._index, self._index + 1
        return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % index

    # An object's own would hold the object, which then only the garbage collector frees.
    _WRITERS: ClassVar[Mapping[type, Callable[[MessagesEncoder, Any], bytes]]] = {
        TextDelta: _text,
        ThinkingDelta: _thinking,
        ToolCallDelta: _arguments,
        PartEnd: _part_end,
        ToolCallStart: _call_start,
        SignatureDelta: _signature,
        RefusalDelta: _refuse,
        Citation: _cite,
        UsageReport: _report,
        KeepAlive: _alive,
        Opaque: _nothing,
        MessageStart: _begin,
        MessageEnd: _end,
        StreamFailed: _fail,
    }


def _event(name: bytes, value: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, _json(value))
