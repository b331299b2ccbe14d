"""The stream of OpenAI Responses: it ends with an event that repeats the whole response, usage included."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.codec import ReplyFacts
from router.wire.pieces import fields_of
from router.wire.sse import SseEvent
from router.wire.taps import (
    EventTap,
    Pass,
    decoded,
    error_message,
    error_raw,
    object_in_tail,
    text_or_none,
    usage_report,
)
from router.wire.usage import from_openai

_NULL = msgspec.Raw(b"null")


class _Named(msgspec.Struct):
    type: Any = None


class _Response(msgspec.Struct):
    id: Any = None
    model: Any = None
    status: Any = None
    service_tier: Any = None
    incomplete_details: Any = None
    error: Any = None
    usage: msgspec.Raw = _NULL


class _Event(msgspec.Struct):
    response: msgspec.Raw = _NULL
    error: Any = None
    message: Any = None
    code: Any = None


_named = msgspec.json.Decoder(_Named)
_responses = msgspec.json.Decoder(_Response)
_events = msgspec.json.Decoder(_Event)

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_END_WORDS: Final = tuple(name.encode() for name in sorted(_ENDS))


def response_facts(raw: bytes | msgspec.Raw) -> ReplyFacts | None:
    """Facts of a response object, whole or in an event; ``None`` if it isn't one."""
    response = decoded(raw, _responses)
    if response is None:
        return None
    report = usage_report(response.usage)
    error = error_message(response.error)
    if error is None and response.status == "failed":
        error = "the response failed without a message"
    return ReplyFacts(
        usage=None if report is None else from_openai(report, service_tier=response.service_tier),
        usage_raw=None if report is None else bytes(response.usage).decode(errors="replace"),
        model=text_or_none(response.model),
        response_id=text_or_none(response.id),
        stop_reason=text_or_none(fields_of(response.incomplete_details).get("reason")) or text_or_none(response.status),
        error=error,
        error_raw=error_raw(response.error),
    )


class ResponsesTap(EventTap):
    """The first item commits; ``response.completed``, ``incomplete`` or ``failed`` is the end."""

    def _passes(self, chunk: bytes) -> bool:
        return b'error"' not in chunk and not any(word in chunk for word in _END_WORDS)

    def _read(self, event: SseEvent) -> Pass:
        name = event.event
        if name is None or not name.startswith(("response.", "error")):  # some servers leave the names out
            named = decoded(event.data, _named)
            name = named.type if named is not None and isinstance(named.type, str) else None
        if name in _ENDS or name == "response.created":
            content = decoded(event.data, _events)
            facts = None if content is None else response_facts(content.response)
            if facts is None:  # cut short, or not what its name says
                return Pass.ON
            self.failed = self.failed or name == "response.failed"
            self._note(
                usage=facts.usage,
                usage_raw=facts.usage_raw,
                model=facts.model,
                response_id=facts.response_id,
                stop_reason=facts.stop_reason if name in _ENDS else None,
                error=facts.error if name == "response.failed" else None,
                error_raw=facts.error_raw if name == "response.failed" else None,
            )
            return Pass.LAST if name in _ENDS else Pass.ON
        if name == "response.output_item.added":
            self.committed = True
        elif name == "error":
            told = decoded(event.data, _events) or _Event()
            self.failed = True
            self._note(
                error=error_message(told.error) or text_or_none(told.message) or "the stream broke off with an error",
                error_raw=error_raw(told.error or {"code": told.code, "message": told.message}),
            )
        return Pass.ON

    def _read_tail(self, event: SseEvent) -> Pass:
        """An end event of more than a megabyte (pictures in the output): usage stands near its end."""
        self.committed = True
        raw = object_in_tail(event.data, "usage")
        if raw is None or (report := usage_report(raw)) is None:
            return Pass.ON
        self._note(usage=from_openai(report), usage_raw=bytes(raw).decode(errors="replace"), stop_reason="completed")
        return Pass.LAST
