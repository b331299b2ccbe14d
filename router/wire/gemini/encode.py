"""Neutral events as a Gemini reply: each event of a stream is a whole response with one part.

A call is written once all of it is known, since Gemini's come whole. What was sealed goes to the part behind it, into
its ``thoughtSignature`` (``signature.py``). Nothing but responses is ever written: clients take comments and the like
for broken JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from router.wire.arguments import BROKEN, as_object
from router.wire.conversation import OpaqueState, Thought
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.events import (
    Citation,
    MessageEnd,
    MessageStart,
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
from router.wire.freeform import wrapped
from router.wire.gemini import signature
from router.wire.gemini.faults import error_event
from router.wire.usage import Usage

_NOTHING: Final = b'{"text":""}'
"""Google's SDK takes a reply without any part for a failed one, and the turn out of its history."""

_CUT_SHORT: Final = ("max-tokens", "context-window")

_json: Final = msgspec.json.encode


@dataclass(slots=True)
class _Call:
    start: ToolCallStart
    arguments: list[str] = field(default_factory=list)
    state: OpaqueState | None = None


class GeminiEncoder(ReplyEncoder):
    """Writes one reply."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._head = b'{"candidates":[{"content":{"parts":['
        self._tail = b""
        self._names: dict[str, str] = {}
        self._framed = False  # a response was written
        self._said = False  # a part was written
        self._calls = 0
        self._call: _Call | None = None
        self._cut_call = b""  # a call with broken arguments, until more follows or the end says that it was cut
        self._thought: list[str] = []
        self._state: OpaqueState | None = None
        self._thinks = False  # a thinking part is open
        self._sealed: list[Thought] = []  # what the next part's slot has to carry
        self._citations: list[dict[str, Any]] = []
        self._usage: Usage | None = None
        self._named("")

    def encode(self, event: StreamEvent) -> bytes:
        """See ``ReplyEncoder.encode``. A failure has no place in an array, which just doesn't end well."""
        if isinstance(event, StreamFailed):
            return b"" if self.asked.array else error_event(event.code, event.message)
        if isinstance(event, MessageEnd):
            last = self._frame(self._reply(self._last_parts(event), event))
            return last + b"]" if self.asked.array else last
        parts = self._parts(event)
        return self._frame(self._head + parts + self._tail) if parts else b""

    def whole(self, events: Iterable[StreamEvent]) -> bytes:
        """See ``ReplyEncoder.whole``."""
        parts: list[bytes] = []
        for event in _joined(events):
            if isinstance(event, MessageEnd):
                return self._reply(b",".join([*parts, *filter(None, [self._last_parts(event)])]), event)
            if part := self._parts(event):
                parts.append(part)
        raise ValueError("the events of a whole reply have no end")

    # --- parts ----------------------------------------------------------------------------------------------------

    def _parts(self, event: StreamEvent) -> bytes:
        """The parts that an event completes, separated by commas; mostly one or none."""
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                return self._behind(self._part(b'{"text":' + _json(text), self._slot()))
            case ThinkingDelta(text=text):
                self._thinks = True
                self._thought.append(text)
                return self._behind(self._part(b'{"text":' + _json(text) + b',"thought":true', None))
            case ToolCallDelta(text=text):
                if self._call is not None:
                    self._call.arguments.append(text)
            case ToolCallStart():
                self._call = _Call(event)
            case SignatureDelta(state=state):
                if self._call is not None:
                    self._call.state = state
                else:
                    self._thinks = True
                    self._state = state
            case PartEnd():
                return self._part_end()
            case MessageStart(model=model):
                self._named(model)
            case UsageReport(usage=usage):
                self._usage = usage
            case Citation():
                self._cite(event)
            case _:
                pass
        return b""

    def _part(self, opened: bytes, slot: str | None) -> bytes:
        """One part."""
        self._said = True
        return opened + (b"}" if slot is None else b',"thoughtSignature":' + _json(slot) + b"}")

    def _behind(self, part: bytes) -> bytes:
        """A part behind the call that was waiting, if one was."""
        waiting, self._cut_call = self._cut_call, b""
        return waiting + b"," + part if waiting and part else waiting or part

    def _slot(self) -> str | None:
        """The slot for a part that has nothing sealed of its own."""
        if not self._sealed:
            return None
        sealed, self._sealed = self._sealed, []
        return signature.written(sealed, None)

    def _part_end(self) -> bytes:
        if self._call is not None:
            call, self._call = self._call, None
            return self._finished_call(call)
        if self._thinks:
            if self._state is not None and self.asked.include_state:
                thought = Thought("".join(self._thought), self._state)
                if thought.text or self._state.value:
                    self._sealed.append(thought)
            self._thinks = False
            self._state = None
            self._thought.clear()
        return b""

    def _finished_call(self, call: _Call) -> bytes:
        """A call. The first one of a reply always bears a slot, so that it can be told from one of Gemini's own, which
        must bear a signature, when the conversation goes on there."""
        start = call.start
        text = "".join(call.arguments)
        arguments = as_object(wrapped(text) if start.custom else text)
        shown = {"id": start.id, "name": start.name, "args": arguments}
        state = call.state if self.asked.include_state else None
        slot = None
        if self._sealed or state is not None or not self._calls:
            sealed, self._sealed = self._sealed, []
            slot = signature.written(sealed, state)
        self._calls += 1
        part = self._part(b'{"functionCall":' + _json(shown), slot)
        if not bytes(arguments).startswith(BROKEN):
            return self._behind(part)
        waiting, self._cut_call = self._cut_call, part
        return waiting

    def _last_parts(self, end: MessageEnd) -> bytes:
        """What is left at the end. A call that the limit cut in two isn't one: its arguments can't be written."""
        if end.stop in _CUT_SHORT:
            self._cut_call = b""
        slot = self._slot()
        return self._behind(b"" if slot is None else b'{"text":"","thoughtSignature":' + _json(slot) + b"}")

    def _cite(self, citation: Citation) -> None:
        if citation.url:
            web = {"uri": citation.url, **({"title": citation.title} if citation.title else {})}
            self._citations.append(citation.raw if "web" in citation.raw else {"web": web})

    # --- responses ------------------------------------------------------------------------------------------------

    def _named(self, served: str) -> None:
        model = self.asked.model or served
        self._names = {**({"modelVersion": model} if model else {}), "responseId": self.asked.reply_id}
        self._tail = b'],"role":"model"},"index":0}],' + _json(self._names)[1:]

    def _reply(self, parts: bytes, end: MessageEnd) -> bytes:
        """The last response of a stream, or the only one."""
        refused = end.stop == "refusal"
        reason = "SAFETY" if refused else "MAX_TOKENS" if end.stop in _CUT_SHORT else "STOP"
        candidate: dict[str, Any] = {
            "content": {"parts": msgspec.Raw(b"[" + (parts or _NOTHING) + b"]"), "role": "model"},
            "finishReason": reason,
            "index": 0,
        }
        if refused and end.explanation:
            candidate["finishMessage"] = end.explanation
        if self._citations:
            candidate["groundingMetadata"] = {"groundingChunks": self._citations}
        reply: dict[str, Any] = {"candidates": [candidate]}
        if refused and not self._said:
            explained = {"blockReasonMessage": end.explanation} if end.explanation else {}
            reply["promptFeedback"] = {"blockReason": "SAFETY", **explained}
        if self._usage is not None:
            reply["usageMetadata"] = usage_metadata(self._usage)
        return _json(reply | self._names)

    def _frame(self, reply: bytes) -> bytes:
        first, self._framed = not self._framed, True
        if not self.asked.array:
            return b"data: " + reply + b"\n\n"
        return (b"[" if first else b",\r\n") + reply


def usage_metadata(usage: Usage) -> dict[str, Any]:
    """Usage in Gemini's sense: the prompt with what was cached, the answer without its thoughts."""
    cached, written = usage.cache_read, (usage.cache_write or 0) + (usage.cache_write_1h or 0)
    prompt = None if usage.input is None and cached is None else (usage.input or 0) + (cached or 0) + written
    answer = None if usage.output is None else max(0, usage.output - (usage.reasoning or 0))
    total = None if prompt is None and usage.output is None else (prompt or 0) + (usage.output or 0)
    found = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": answer,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": total,
    }
    return {name: count for name, count in found.items() if count is not None}


def _joined(events: Iterable[StreamEvent]) -> Iterator[StreamEvent]:
    """The same events, the pieces of one text as one."""
    pieces: list[str] = []
    kind: type[TextDelta] | type[RefusalDelta] | type[ThinkingDelta] | None = None
    for event in events:
        if isinstance(event, TextDelta | RefusalDelta | ThinkingDelta):
            kind = type(event)
            pieces.append(event.text)
            continue
        if pieces and kind is not None and isinstance(event, PartEnd | SignatureDelta):
            yield kind("".join(pieces))
            pieces.clear()
        yield event
