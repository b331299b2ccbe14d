"""What the fake provider answers, in two wire formats: the same short text, whole or in deltas."""

from __future__ import annotations

import json
from dataclasses import dataclass

PLACE = "S" * 20
"""Stands in a delta where the sender's clock goes, 20 digits of nanoseconds."""

_USAGE = {"input_tokens": 1200, "output_tokens": 210, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 800}
_CHAT_USAGE = {
    "prompt_tokens": 2000,
    "completion_tokens": 210,
    "total_tokens": 2210,
    "prompt_tokens_details": {"cached_tokens": 800},
}
_TEXT = "The rule was tried, it matched, and the answer came back unchanged. " * 9


@dataclass(frozen=True, slots=True)
class Format:
    """One wire format's reply, bare of HTTP: whole, and as the events of a stream."""

    reply: bytes
    start: bytes
    delta: bytes
    end: tuple[bytes, ...]

    def stamped(self, nanoseconds: int) -> bytes:
        """A delta that says when it was sent."""
        return self.delta.replace(PLACE.encode(), b"%020d" % nanoseconds)


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _event(value: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(value["type"]).encode(), _compact(value))


def messages_format() -> Format:
    message = {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "stop_sequence": None,
    }
    opening: dict[str, object] = {
        **message,
        "content": [],
        "stop_reason": None,
        "usage": {**_USAGE, "output_tokens": 1},
    }
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "text_delta", "text": f"word ~{PLACE}~ "}
    closing = {"stop_reason": "end_turn", "stop_sequence": None}
    return Format(
        reply=_compact(
            {**message, "content": [{"type": "text", "text": _TEXT}], "stop_reason": "end_turn", "usage": _USAGE}
        ),
        start=_event({"type": "message_start", "message": opening}) + _event(block),
        delta=_event({"type": "content_block_delta", "index": 0, "delta": delta}),
        end=(
            _event({"type": "content_block_stop", "index": 0}),
            _event({"type": "message_delta", "delta": closing, "usage": _USAGE}),
            _event({"type": "message_stop"}),
        ),
    )


def chat_format() -> Format:
    common = {"id": "chatcmpl-bench", "created": 1_760_000_000, "model": "llama-3.3-70b-versatile"}

    def part(delta: dict[str, object], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: %b\n\n" % _compact({**common, "object": "chat.completion.chunk", "choices": [choice]})

    choice = {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}
    usage = {**common, "object": "chat.completion.chunk", "choices": [], "usage": _CHAT_USAGE}
    return Format(
        reply=_compact({**common, "object": "chat.completion", "choices": [choice], "usage": _CHAT_USAGE}),
        start=part({"role": "assistant", "content": ""}),
        delta=part({"content": f"word ~{PLACE}~ "}),
        end=(part({}, "stop"), b"data: %b\n\n" % _compact(usage), b"data: [DONE]\n\n"),
    )
