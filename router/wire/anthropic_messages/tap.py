"""The stream of Anthropic Messages: usage starts in the first event and is completed by the last but one."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.pieces import fields_of
from router.wire.sse import SseEvent
from router.wire.taps import EventTap, Pass, decoded, error_message, error_raw, text_or_none
from router.wire.usage import from_anthropic


class _Named(msgspec.Struct):
    type: Any = None


class ReplyHead(msgspec.Struct):
    id: Any = None
    model: Any = None
    stop_reason: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Start(msgspec.Struct):
    message: ReplyHead


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
                error = failure.error if failure else None
                self.failed = True
                self._note(
                    error=error_message(error) or "the stream broke off with an error", error_raw=error_raw(error)
                )
        return Pass.ON
