"""Gemini's ``generateContent``: requests seen, replies and errors. Its streams are in ``gemini.tap``.

The model and whether to stream stand in the URL. Field names are accepted in camel and in snake case, as Gemini does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from router.wire.body import Body
from router.wire.codec import Codec, Rendered, ReplyFacts, StreamTap
from router.wire.conversation import Conversation
from router.wire.decoding import ReplyDecoder
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.error_words import words_for
from router.wire.gemini.count import counting
from router.wire.gemini.decode import GeminiDecoder
from router.wire.gemini.encode import GeminiEncoder
from router.wire.gemini.faults import error_event
from router.wire.gemini.foreign import contents_without_foreign
from router.wire.gemini.parse import parsed
from router.wire.gemini.render import rendered
from router.wire.gemini.render_settings import FIELD_NAMES
from router.wire.gemini.tap import GeminiArrayTap, GeminiTap, joined_facts, replies_of
from router.wire.gemini.view import GeminiView
from router.wire.loss import Losses
from router.wire.overrides import Places
from router.wire.request import RequestView
from router.wire.taps import decoded
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits


class _Count(msgspec.Struct):
    totalTokens: int  # noqa: N815 - Gemini's name


_counts = msgspec.json.Decoder(_Count)

_PLACES: Final = {
    "temperature": ("generationConfig", "temperature"),
    "top-p": ("generationConfig", "topP"),
    "top-k": ("generationConfig", "topK"),
    "max-tokens": ("generationConfig", "maxOutputTokens"),
    "stop": ("generationConfig", "stopSequences"),
    "effort": ("generationConfig", "thinkingConfig", "thinkingLevel"),
}
# The same in the spelling of the protocol's own field names, for a client that uses them.
_SNAKE_PLACES: Final = {name: ("generation_config", *path[1:]) for name, path in _PLACES.items()}


class Gemini(Codec):
    """The codec of ``gemini``."""

    api = "gemini"
    events_query = "alt=sse"
    places = _PLACES
    stops_in_list = True
    model_paths = (("modelVersion",),)
    field_names = FIELD_NAMES

    def view(self, body: Body, *, url_model: str | None = None, url_stream: bool = False) -> RequestView:
        return GeminiView(body, url_model, url_stream)

    def tap(self, *, hide_usage: bool = False, media_type: str = "text/event-stream") -> StreamTap:
        return GeminiArrayTap() if "json" in media_type else GeminiTap()

    def read_reply(self, payload: bytes) -> ReplyFacts:
        replies = replies_of(payload)
        return joined_facts(replies) if replies else ReplyFacts()

    def places_in(self, body: Body, quirks: Mapping[str, object]) -> Places:
        return _SNAKE_PLACES if "generation_config" in body else _PLACES

    def count_reply(self, tokens: int) -> bytes:
        return b'{"totalTokens":%d}' % tokens

    def error_body(self, status: int, code: str, message: str, request_id: str | None) -> bytes:
        error = {"code": status, "message": message, "status": words_for(status, code).gemini}
        return msgspec.json.encode({"error": error})

    def error_event(self, code: str, message: str) -> bytes:
        return error_event(code, message)

    def parse(self, view: RequestView, losses: Losses) -> Conversation:
        return parsed(view, losses)

    def render(self, conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
        return rendered(conversation, traits, losses)

    def decoder(self, traits: Traits | None = None, tools: ToolTable | None = None) -> ReplyDecoder:
        return GeminiDecoder(traits, tools)

    def encoder(self, asked: Asked) -> ReplyEncoder:
        return GeminiEncoder(asked)

    def read_count(self, payload: bytes) -> int | None:
        count = decoded(payload, _counts)
        return None if count is None or count.totalTokens < 0 else count.totalTokens

    def count_request(self, rendered: bytes) -> bytes:
        return counting(rendered)

    def without_foreign(self, body: Body, traits: Traits) -> dict[str, bytes]:
        contents = contents_without_foreign(body, traits)
        return {} if contents is None else {"contents": contents}
