"""OpenAI Chat Completions and its many dialects: the codec that wires its files together.

Requests that pass are seen in ``view``, their streams in ``tap``; ``parse``, ``render``, ``decode`` and ``encode``
translate, each with its neighbours of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from router.wire.body import Body, decode
from router.wire.codec import Codec, Rendered, ReplyFacts, ReplyPart, StreamTap
from router.wire.conversation import Conversation
from router.wire.decoding import ReplyDecoder
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.error_words import openai_error
from router.wire.loss import Losses
from router.wire.openai_chat.decode import ChatDecoder
from router.wire.openai_chat.encode import KEEP_ALIVE, LEGACY, OPENROUTER, ChatEncoder
from router.wire.openai_chat.foreign import without_foreign
from router.wire.openai_chat.parse import parsed
from router.wire.openai_chat.render import rendered
from router.wire.openai_chat.tap import ChatTap
from router.wire.openai_chat.view import ChatView
from router.wire.overrides import Places
from router.wire.pieces import blocks_of, fields_of
from router.wire.request import RequestView
from router.wire.sse import encode_event
from router.wire.taps import decoded, error_message, error_raw, text_or_none, usage_report
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits
from router.wire.usage import from_openai


class _Reply(msgspec.Struct):
    id: Any = None
    model: Any = None
    service_tier: Any = None
    choices: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    x_groq: Any = None
    error: Any = None
    detail: Any = None
    message: Any = None


_replies = msgspec.json.Decoder(_Reply)
_reply_lists = msgspec.json.Decoder(list[_Reply])


_PLACES: Final = {
    "temperature": ("temperature",),
    "top-p": ("top_p",),
    "top-k": ("top_k",),
    "max-tokens": ("max_completion_tokens",),
    "stop": ("stop",),
    "effort": ("reasoning_effort",),
}


def _limit_field(body: Body, quirks: Mapping[str, object]) -> str:
    """What the output limit is called: older servers know only ``max_tokens``, OpenAI's newer models refuse it.

    Where nothing is known of the provider, a client that uses the old name talks to one that knows it.
    """
    field = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
    known = quirks.get("max-tokens-field")
    return field if not isinstance(known, list) or field in known else str(known[0])


class OpenAIChat(Codec):
    """The codec of ``openai-chat``."""

    api = "openai-chat"
    places = _PLACES
    model_paths = (("model",),)
    keep_alive = KEEP_ALIVE
    field_names = MappingProxyType(
        {
            "max_tokens": "max_completion_tokens",
            "depth": "reasoning_effort",
            "output": "response_format",
            "parallel_tools": "parallel_tool_calls",
            "user": "safety_identifier",
            "cache": "cache_control",
        }
    )

    def view(self, body: Body, *, url_model: str | None = None, url_stream: bool = False) -> RequestView:
        return ChatView(body)

    def tap(self, *, hide_usage: bool = False, media_type: str = "text/event-stream") -> StreamTap:
        return ChatTap(hide_usage=hide_usage)

    def read_reply(self, payload: bytes) -> ReplyFacts:
        reply = decoded(payload, _replies)
        if reply is None:  # some servers wrap an error into a list
            replies = decoded(payload, _reply_lists)
            if not replies or replies[0].error is None:
                return ReplyFacts()
            reply = replies[0]
        if (error := error_message(reply.error)) is not None:
            return ReplyFacts(error=error, error_raw=error_raw(reply.error))
        if reply.choices is None and (text := text_or_none(reply.detail) or text_or_none(reply.message)):
            return ReplyFacts(error=text)
        report = usage_report(reply.usage)
        choices = [fields_of(choice) for choice in blocks_of(reply.choices)]
        return ReplyFacts(
            usage=None if report is None else from_openai(report, service_tier=reply.service_tier),
            usage_raw=None if report is None else bytes(reply.usage).decode(errors="replace"),
            model=text_or_none(reply.model),
            response_id=text_or_none(reply.id),
            stop_reason=text_or_none(choices[0].get("finish_reason")) if choices else None,
            parts=None if reply.choices is None else _parts(choices),
        )

    def asks_usage(self, body: Body) -> bool:
        return fields_of(body.get("stream_options")).get("include_usage") is True

    def with_usage_asked(self, body: Body) -> dict[str, bytes]:
        raw = body.raw_field("stream_options")
        options: dict[str, msgspec.Raw] = {}
        if raw is not None and raw != b"null":
            options = decode(raw, dict[str, msgspec.Raw], "the field 'stream_options' must be an object")
        options["include_usage"] = msgspec.Raw(b"true")
        return {"stream_options": msgspec.json.encode(options)}

    def places_in(self, body: Body, quirks: Mapping[str, object]) -> Places:
        return {**_PLACES, "max-tokens": (_limit_field(body, quirks),)}

    def count_reply(self, tokens: int) -> bytes:
        return b'{"input_tokens":%d}' % tokens

    def error_body(self, status: int, code: str, message: str, request_id: str | None) -> bytes:
        return openai_error(status, code, message)

    def error_event(self, code: str, message: str) -> bytes:
        return encode_event(openai_error(None, code, message))

    def parse(self, view: RequestView, losses: Losses) -> Conversation:
        return parsed(view, losses)

    def render(self, conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
        return rendered(conversation, traits, losses)

    def decoder(self, traits: Traits | None = None, tools: ToolTable | None = None) -> ReplyDecoder:
        return ChatDecoder(traits, tools)

    def encoder(self, asked: Asked) -> ReplyEncoder:
        return ChatEncoder(asked)

    def echoed(self, body: Body) -> dict[str, bytes]:
        """Nothing is repeated, but by these fields a client shows in which dialect it reads replies."""
        return {name: b"true" for name in (LEGACY, OPENROUTER) if body.get(name)}

    def without_foreign(self, body: Body, traits: Traits) -> dict[str, bytes]:
        return without_foreign(body, traits)


def _parts(choices: list[dict[str, Any]]) -> frozenset[ReplyPart]:
    parts: set[ReplyPart] = set()
    for message in (fields_of(choice.get("message")) for choice in choices):
        content = message.get("content")
        if content or message.get("refusal"):
            parts.add("text")
        if message.get("reasoning_content") or message.get("reasoning") or message.get("reasoning_details"):
            parts.add("reasoning")
        if message.get("tool_calls") or message.get("function_call"):
            parts.add("tool-call")
        if message.get("audio") or message.get("images"):
            parts.add("other")
    return frozenset(parts)
