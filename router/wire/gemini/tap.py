"""Gemini's two streams: events with ``alt=sse``, otherwise one JSON array that grows.

Neither has an end marker: the event with a finish reason is the last one, as the end of the connection shows.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from router.wire.codec import ReplyFacts, ReplyPart
from router.wire.pieces import blocks_of, fields_of
from router.wire.sse import SseDecoder, SseEvent
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
from router.wire.usage import from_gemini, merge

MAX_ARRAY: Final = 16 << 20
"""Bytes of a JSON array that are kept to be read at its end; of a larger one the last 64 KiB."""
_ARRAY_TAIL: Final = 1 << 16

_NULL = msgspec.Raw(b"null")
_WORTH_READING: Final = (b'"finishReason"', b'"blockReason"', b'"error"')
_FINISH: Final = re.compile(rb'"finishReason"\s*:\s*"([A-Z_]+)"')


class Reply(msgspec.Struct):
    """One ``GenerateContentResponse``: a whole reply, or one event of a stream."""

    candidates: Any = None
    promptFeedback: Any = None  # noqa: N815 - Gemini's names
    usageMetadata: msgspec.Raw = _NULL  # noqa: N815
    modelVersion: Any = None  # noqa: N815
    responseId: Any = None  # noqa: N815
    error: Any = None

    def facts(self) -> ReplyFacts:
        """What this reply says. A blocked prompt has no candidates; the reason for that is its stop reason."""
        report = usage_report(self.usageMetadata)
        candidates = [fields_of(candidate) for candidate in blocks_of(self.candidates)]
        reasons = [text_or_none(candidate.get("finishReason")) for candidate in candidates]
        return ReplyFacts(
            usage=None if report is None else from_gemini(report),
            usage_raw=None if report is None else bytes(self.usageMetadata).decode(errors="replace"),
            model=text_or_none(self.modelVersion),
            response_id=text_or_none(self.responseId),
            stop_reason=next(filter(None, reasons), None)
            or text_or_none(fields_of(self.promptFeedback).get("blockReason")),
            error=error_message(self.error),
            error_raw=error_raw(self.error),
            parts=_parts(candidates),
        )


_replies = msgspec.json.Decoder(Reply)
_reply_lists = msgspec.json.Decoder(list[Reply])


def replies_of(payload: bytes) -> list[Reply] | None:
    """A reply, or a list of them (streams without ``alt=sse``, some errors); ``None`` if it is neither."""
    reply = decoded(payload, _replies)
    return decoded(payload, _reply_lists) if reply is None else [reply]


def joined_facts(replies: list[Reply]) -> ReplyFacts:
    """What the replies of one stream say together: later values win."""
    usage = None
    found: dict[str, Any] = {}
    parts: set[ReplyPart] = set()
    for facts in (reply.facts() for reply in replies):
        usage = usage if facts.usage is None else merge(usage, facts.usage)
        parts |= facts.parts or set()
        for name in ("usage_raw", "model", "response_id", "stop_reason", "error", "error_raw"):
            found[name] = getattr(facts, name) or found.get(name)
    return ReplyFacts(usage=usage, parts=frozenset(parts), **found)


class GeminiTap(EventTap):
    """Events with ``alt=sse``: each is a whole response, with the usage so far."""

    def __init__(self) -> None:
        super().__init__()
        self._latest = b""  # whole events that passed unread; they have the usage up to now

    @property
    def facts(self) -> ReplyFacts:
        """See ``StreamTap.facts``. Every event repeats the usage, so only the latest are read, and only when asked."""
        self._take_latest()
        return self._facts

    def _take_latest(self) -> None:
        latest, self._latest = self._latest, b""
        for event in SseDecoder().feed(latest) if latest else ():
            self._take(event)

    def _passes(self, chunk: bytes) -> bool:
        if any(word in chunk for word in _WORTH_READING):
            return False
        if b'"usageMetadata"' in chunk:
            self._latest = chunk
        return True

    def _read(self, event: SseEvent) -> Pass:
        self._take_latest()
        self._take(event)
        return Pass.HOLD if self._facts.stop_reason is not None and not self.failed else Pass.ON

    def _take(self, event: SseEvent) -> None:
        reply = decoded(event.data, _replies)
        if reply is None:
            return
        facts = reply.facts()
        self.committed = self.committed or bool(facts.parts) or facts.stop_reason is not None
        self.failed = self.failed or facts.error is not None
        self._note(
            model=facts.model,
            response_id=facts.response_id,
            stop_reason=facts.stop_reason,
            error=facts.error,
            error_raw=facts.error_raw,
        )
        self._note_usage(reply.usageMetadata, from_gemini)

    def _read_tail(self, event: SseEvent) -> Pass:
        """An event with a large picture."""
        self.committed = True
        if finish := _FINISH.findall(event.data):
            self._note(stop_reason=finish[-1].decode())
        if (raw := object_in_tail(event.data, "usageMetadata")) is not None:
            self._note_usage(raw, from_gemini)
        return Pass.HOLD if finish else Pass.ON

    def _closed(self) -> None:
        self.ended = self._facts.stop_reason is not None and not self.failed


class GeminiArrayTap:
    """One JSON array, passed on one chunk late: the last chunk is held until the end, where everything is read."""

    def __init__(self) -> None:
        self.committed = False
        self.ended = False
        self.failed = False
        self._facts = ReplyFacts()
        self._held = b""
        self._seen = bytearray()
        self._whole = True

    @property
    def facts(self) -> ReplyFacts:
        """See ``StreamTap.facts``; empty until the end."""
        return self._facts

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """See ``StreamTap.feed``."""
        searched = max(0, len(self._seen) - 16)
        self._seen += chunk
        if not self.committed:
            self.committed = any(self._seen.find(word, searched) >= 0 for word in (b'"parts"', b'"finishReason"'))
        if len(self._seen) > (MAX_ARRAY if self._whole else 2 * _ARRAY_TAIL):
            self._whole = False
            del self._seen[:-_ARRAY_TAIL]
        now, self._held = self._held, chunk
        return now, b""

    def finish(self) -> bytes:
        """See ``StreamTap.finish``."""
        held, self._held = self._held, b""
        seen = bytes(self._seen)
        self._seen.clear()
        if self._whole:
            replies = replies_of(seen)
            if replies is not None:
                self._facts = joined_facts(replies)
                self.ended = self._facts.stop_reason is not None
        elif (raw := object_in_tail(seen, "usageMetadata")) is not None and (report := usage_report(raw)) is not None:
            finish = _FINISH.findall(seen)
            self._facts = ReplyFacts(
                usage=from_gemini(report),
                usage_raw=bytes(raw).decode(errors="replace"),
                stop_reason=finish[-1].decode() if finish else None,
            )
            self.ended = bool(finish) and seen.rstrip().endswith(b"]")
        self.failed = self._facts.error is not None
        self.ended = self.ended and not self.failed
        return held


def _parts(candidates: list[dict[str, Any]]) -> frozenset[ReplyPart]:
    found: set[ReplyPart] = set()
    for candidate in candidates:
        for part in map(fields_of, blocks_of(fields_of(candidate.get("content")).get("parts"))):
            if "functionCall" in part:
                found.add("tool-call")
            elif "text" in part:
                if part["text"]:
                    found.add("reasoning" if part.get("thought") is True else "text")
            elif part:
                found.add("other")
    return frozenset(found)
