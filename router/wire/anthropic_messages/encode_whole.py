"""Neutral events as one whole Messages reply."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from router.wire.anthropic_messages.ids import legal_id
from router.wire.anthropic_messages.words import CITATIONS, message_id, refused, stop_fields, usage_object
from router.wire.arguments import as_object
from router.wire.conversation import OpaqueState
from router.wire.encoding import Asked
from router.wire.events import (
    Citation,
    MessageEnd,
    MessageStart,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.freeform import wrapped
from router.wire.opaque import wrap
from router.wire.usage import Usage


class _Part:
    """What one part holds."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.citations: list[dict[str, Any]] = []
        self.thinking: list[str] = []
        self.state: OpaqueState | None = None
        self.call: ToolCallStart | None = None
        self.arguments: list[str] = []

    def blocks(self) -> list[dict[str, Any]]:
        """Its block; none if it is nothing but space; two for a call with a seal, which has no slot in a call."""
        state = self.state
        if self.call is not None:
            text = "".join(self.arguments)
            arguments = wrapped(text) if self.call.custom else text
            block = {
                "type": "tool_use",
                "id": legal_id(self.call.id),
                "name": self.call.name,
                "input": as_object(arguments),
            }
            if state is None:
                return [block]
            return [block, _thinking("", msgspec.structs.replace(state, id=self.call.id))]
        if self.thinking or state is not None:
            if not self.thinking and state is not None and state.kind == "anthropic-redacted":
                return [{"type": "redacted_thinking", "data": wrap(state)}]
            return [_thinking("".join(self.thinking), state)]
        text = "".join(self.texts)
        if not text.strip():
            return []
        block = {"type": "text", "text": text}
        if self.citations:
            block["citations"] = self.citations
        return [block]


def whole_message(events: Iterable[StreamEvent], asked: Asked) -> bytes:
    """The reply as JSON."""
    begun = MessageStart()
    end = MessageEnd("end")
    usage: Usage | None = None
    refusal: list[str] = []
    content: list[dict[str, Any]] = []
    part = _Part()
    for event in events:
        match event:
            case MessageStart():
                begun = event
            case TextDelta(text):
                part.texts.append(text)
            case RefusalDelta(text):
                part.texts.append(text)
                refusal.append(text)
            case Citation(raw=raw):
                if raw.get("type") in CITATIONS:
                    part.citations.append(raw)
            case ThinkingDelta(text):
                part.thinking.append(text)
            case SignatureDelta(state):
                part.state = state
            case ToolCallStart():
                part.call = event
            case ToolCallDelta(text):
                part.arguments.append(text)
            case PartEnd():
                content.extend(part.blocks())
                part = _Part()
            case UsageReport():
                usage = event.usage
            case MessageEnd():
                end = event
    stop, explanation = refused(end.stop, end.explanation, "".join(refusal))
    message = {
        "id": message_id(begun.id, asked.reply_id),
        "type": "message",
        "role": "assistant",
        "model": asked.model or begun.model,
        "content": content,
        **stop_fields(stop, end.sequence, explanation),
        "usage": usage_object(usage, asked.input_estimate),
    }
    return msgspec.json.encode(message)


def _thinking(text: str, state: OpaqueState | None) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": "" if state is None else wrap(state)}
