"""Anthropic Messages: requests seen, streams tapped, replies and errors.

Beside Anthropic itself, many providers serve this format for coding agents (Z.AI, Moonshot, DeepSeek, MiniMax, …), so
event names, key order and optional fields vary.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.anthropic_messages.decode import MessagesDecoder
from router.wire.anthropic_messages.encode import PING, MessagesEncoder
from router.wire.anthropic_messages.foreign import without_foreign
from router.wire.anthropic_messages.parse import parsed
from router.wire.anthropic_messages.render import rendered
from router.wire.anthropic_messages.tap import MessagesTap, ReplyHead
from router.wire.anthropic_messages.view import MessagesView
from router.wire.body import Body
from router.wire.codec import Codec, Rendered, ReplyFacts, ReplyPart, StreamTap
from router.wire.conversation import Conversation
from router.wire.counting import count_request, read_count
from router.wire.decoding import ReplyDecoder
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.error_words import words_for
from router.wire.loss import Losses
from router.wire.pieces import fields_of
from router.wire.request import RequestView
from router.wire.sse import encode_event
from router.wire.taps import decoded, error_message, error_raw, text_or_none, usage_report
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits
from router.wire.usage import from_anthropic


class _Block(msgspec.Struct):
    type: Any = None
    text: Any = None


class _Reply(ReplyHead):
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


_FIELD_NAMES: Final = {
    "stop": "stop_sequences",
    "depth": "thinking",
    "output": "output_config.format",
    "parallel_tools": "tool_choice.disable_parallel_tool_use",
    "user": "metadata.user_id",
}

_COUNTED: Final = frozenset(
    "model messages system tools tool_choice thinking output_config cache_control speed".split()
)
"""What a request to count tokens may hold of a request for a reply."""


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
            error = error_message(reply.error) or "error without a message"
            return ReplyFacts(error=error, error_raw=error_raw(reply.error))
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

    # --- translation ----------------------------------------------------------------------------------------------

    field_names = _FIELD_NAMES
    keep_alive = PING
    estimates_input = True

    def parse(self, view: RequestView, losses: Losses) -> Conversation:
        return parsed(view, losses)

    def render(self, conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
        return rendered(conversation, traits, losses)

    def decoder(self, traits: Traits | None = None, tools: ToolTable | None = None) -> ReplyDecoder:
        return MessagesDecoder(traits, tools)

    def encoder(self, asked: Asked) -> ReplyEncoder:
        return MessagesEncoder(asked)

    def status_for(self, status: int) -> int:
        return status  # 529 is Anthropic's own

    def read_count(self, payload: bytes) -> int | None:
        return read_count(payload)

    def count_request(self, rendered: bytes) -> bytes:
        return count_request(rendered, _COUNTED)

    def without_foreign(self, body: Body, traits: Traits) -> dict[str, bytes]:
        return without_foreign(body, traits)


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
