"""The stream of OpenAI Chat Completions and its dialects.

Usage comes on a chunk of its own without choices, on the last chunk, on every chunk, or in Groq's ``x_groq``; some
servers send it although nobody asked, some not although asked. The end is ``[DONE]``, which a few servers leave out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router.wire.pieces import blocks_of, fields_of
from router.wire.sse import SseEvent
from router.wire.taps import EventTap, Pass, decoded, error_message, error_raw, object_in_tail, text_or_none
from router.wire.usage import Usage, from_openai

_NULL = msgspec.Raw(b"null")


class _Groq(msgspec.Struct):
    usage: msgspec.Raw = _NULL


class _Chunk(msgspec.Struct):
    id: Any = None
    model: Any = None
    service_tier: Any = None
    choices: Any = None
    usage: msgspec.Raw = _NULL
    x_groq: _Groq | None = None
    error: Any = None


_chunks = msgspec.json.Decoder(_Chunk)

_CONTENT = ("content", "reasoning_content", "reasoning", "reasoning_details", "tool_calls", "function_call", "refusal")


class ChatTap(EventTap):
    """``hide_usage`` withholds the event that has usage and no choices: the client didn't ask for it, we did."""

    def __init__(self, *, hide_usage: bool = False) -> None:
        super().__init__()
        self._hide_usage = hide_usage
        self._tier: object = None

    def _passes(self, chunk: bytes) -> bool:
        return (
            b"[DONE]" not in chunk
            and b'error"' not in chunk
            and _all_null(chunk, b"usage", b'usage":null', b'usage": null')
            and _all_null(chunk, b"finish_reason", b'finish_reason":null', b'finish_reason": null')
        )

    def _read(self, event: SseEvent) -> Pass:
        if self.committed and event.event is None and self._passes(event.data):
            return Pass.ON
        if event.data.strip() == b"[DONE]":
            return Pass.LAST
        chunk = decoded(event.data, _chunks)
        if chunk is None:
            return Pass.ON
        self._note(model=text_or_none(chunk.model), response_id=text_or_none(chunk.id))
        self._tier = chunk.service_tier or self._tier
        choices = [fields_of(choice) for choice in blocks_of(chunk.choices)]
        error = error_message(chunk.error)
        for choice in choices:
            finish = text_or_none(choice.get("finish_reason"))
            self._note(stop_reason=finish)
            said = _has_content(fields_of(choice.get("delta"))) or bool(choice.get("text"))  # text: /v1/completions
            self.committed = self.committed or said or (finish is not None and error is None)
        if error is not None:  # OpenRouter finishes a choice with it, which is no answer either
            self.failed = True
            self._note(error=error, error_raw=error_raw(chunk.error))
            return Pass.ON
        raw = chunk.usage
        if bytes(raw) == b"null" and chunk.x_groq is not None:
            raw = chunk.x_groq.usage
        known = self._note_usage(raw, self._usage)
        return Pass.HIDE if self._hide_usage and known and chunk.choices == [] else Pass.ON

    def _read_tail(self, event: SseEvent) -> Pass:
        self.committed = True
        if (raw := object_in_tail(event.data, "usage")) is not None:
            self._note_usage(raw, self._usage)
        return Pass.ON

    def _usage(self, report: dict[str, Any]) -> Usage:
        return from_openai(report, service_tier=self._tier)

    def _closed(self) -> None:
        self.ended = self._facts.stop_reason is not None and not self.failed


def _all_null(chunk: bytes, name: bytes, null: bytes, spaced_null: bytes) -> bool:
    """Whether a name stands in these events only as a key with the value null, or not at all."""
    count = chunk.count(name)
    return count == 0 or count == chunk.count(null) or count == chunk.count(spaced_null)


def _has_content(delta: dict[str, Any]) -> bool:
    """Whether a delta has something of an answer; a role alone and empty texts are nothing."""
    return any(delta.get(name) for name in _CONTENT)
