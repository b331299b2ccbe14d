"""OpenAI Responses: requests seen, streams tapped, errors; its translation to and from the neutral forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec

from router.wire.body import Body
from router.wire.codec import Codec, Rendered, ReplyFacts, ReplyPart, StreamTap
from router.wire.conversation import Conversation
from router.wire.counting import count_request, read_count
from router.wire.decoding import ReplyDecoder
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.error_words import openai_error
from router.wire.loss import Losses
from router.wire.openai_responses.decode import ResponsesDecoder
from router.wire.openai_responses.encode import KEEP_ALIVE, ResponsesEncoder
from router.wire.openai_responses.faults import error_fields
from router.wire.openai_responses.foreign import without_foreign
from router.wire.openai_responses.parse import parse
from router.wire.openai_responses.render import rendered
from router.wire.openai_responses.response import echoed
from router.wire.openai_responses.tap import ResponsesTap, response_facts
from router.wire.openai_responses.view import ResponsesView
from router.wire.pieces import blocks_of, fields_of
from router.wire.request import RequestView
from router.wire.sse import encode_event
from router.wire.taps import decoded, error_message, error_raw, text_or_none
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits


class _Reply(msgspec.Struct):
    error: Any = None
    detail: Any = None
    message: Any = None
    output: Any = None
    status: Any = None


_replies = msgspec.json.Decoder(_Reply)
_reply_lists = msgspec.json.Decoder(list[_Reply])


_COUNTED: Final = frozenset(
    {"model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "truncation"}
)
"""The fields of a request that ``/responses/input_tokens`` takes."""

_FIELD_NAMES: Final = {
    "cache": "prompt_cache_breakpoint",
    "cache_all": "prompt_cache_options",
    "depth": "reasoning",
    "max_tokens": "max_output_tokens",
    "output": "text.format",
    "parallel_tools": "parallel_tool_calls",
    "user": "safety_identifier",
    "verbosity": "text.verbosity",
}

_PLACES: Final = {
    "temperature": ("temperature",),
    "top-p": ("top_p",),
    "max-tokens": ("max_output_tokens",),
    "effort": ("reasoning", "effort"),
}


class OpenAIResponses(Codec):
    """The codec of ``openai-responses``."""

    api = "openai-responses"
    places = _PLACES
    model_paths = (("model",), ("response", "model"))

    def view(self, body: Body, *, url_model: str | None = None, url_stream: bool = False) -> RequestView:
        return ResponsesView(body)

    def tap(self, *, hide_usage: bool = False, media_type: str = "text/event-stream") -> StreamTap:
        return ResponsesTap()

    def read_reply(self, payload: bytes) -> ReplyFacts:
        reply = decoded(payload, _replies)
        if reply is None:
            replies = decoded(payload, _reply_lists)
            error = replies[0].error if replies else None
            return ReplyFacts(error=error_message(error), error_raw=error_raw(error))
        if reply.output is None and reply.status is None:
            text = error_message(reply.error) or text_or_none(reply.detail) or text_or_none(reply.message)
            if text is not None:
                return ReplyFacts(error=text, error_raw=error_raw(reply.error))
        facts = response_facts(payload)
        if facts is None:
            return ReplyFacts()
        answered = facts.error is None and reply.status not in ("queued", "in_progress", "cancelled")
        return replace(facts, parts=_parts(reply.output)) if answered else facts

    def count_reply(self, tokens: int) -> bytes:
        return b'{"object":"response.input_tokens","input_tokens":%d}' % tokens

    def error_body(self, status: int, code: str, message: str, request_id: str | None) -> bytes:
        return openai_error(status, code, message)

    def error_event(self, code: str, message: str) -> bytes:
        return encode_event(msgspec.json.encode({"type": "error", **error_fields(code, message)}), "error")

    # --- translation ----------------------------------------------------------------------------------------------

    field_names = _FIELD_NAMES
    keep_alive = KEEP_ALIVE

    def parse(self, view: RequestView, losses: Losses) -> Conversation:
        return parse(view, losses)

    def render(self, conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
        return rendered(conversation, traits, losses)

    def decoder(self, traits: Traits | None = None, tools: ToolTable | None = None) -> ReplyDecoder:
        return ResponsesDecoder(traits, tools)

    def encoder(self, asked: Asked) -> ReplyEncoder:
        return ResponsesEncoder(asked)

    def echoed(self, body: Body) -> dict[str, bytes]:
        return echoed(body)

    def read_count(self, payload: bytes) -> int | None:
        return read_count(payload)

    def count_request(self, rendered: bytes) -> bytes:
        return count_request(rendered, _COUNTED)

    def without_foreign(self, body: Body, traits: Traits) -> dict[str, bytes]:
        return without_foreign(body, traits)


def _parts(output: Any) -> frozenset[ReplyPart] | None:
    if not isinstance(output, list):
        return None
    parts: set[ReplyPart] = set()
    for item in map(fields_of, output):
        kind = item.get("type")
        if kind == "message":
            if any(fields_of(p).get("text") or fields_of(p).get("refusal") for p in blocks_of(item.get("content"))):
                parts.add("text")
        elif kind == "reasoning":
            parts.add("reasoning")
        elif kind in ("function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call"):
            parts.add("tool-call")
        else:
            parts.add("other")
    return frozenset(parts)
